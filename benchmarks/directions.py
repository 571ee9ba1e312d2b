"""Whether a class changes steadily along each direction: rank correlation of the readout with the direction's amount.

    python benchmarks/directions.py cifar10 --class cat

Ten seeds go from -3 to 3 standard deviations. The readout of an image is its place on the line from a seed's first image to
its last: the projection of its pixels.
"""

import argparse

import numpy as np
import torch

from resgen.library import load
from resgen.recipe import Recipe
from resgen.statistics import rank_correlations

STEPS = 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--class", dest="label", default="")
    arguments = parser.parse_args()
    sampler = load(arguments.checkpoint)
    classes = (arguments.label,) if arguments.label else ()
    for name in sampler.card.direction_names:
        images = sampler.render(Recipe(seeds=tuple(range(10)), classes=classes, sweep=name, columns=STEPS)).astype(float)
        rows = images.reshape(10, STEPS, -1)
        readout = np.einsum("sid,sd->si", rows - rows[:, :1], rows[:, -1] - rows[:, 0])
        correlations = rank_correlations(torch.from_numpy(readout))
        change = np.abs(rows[:, -1] - rows[:, 0]).mean() / 255
        print(f"{name:7} rank correlation: least {correlations.min():.3f}, mean {correlations.mean():.3f}; pixels change by {change:.3f}")


if __name__ == "__main__":
    main()
