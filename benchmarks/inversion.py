"""How near inversion comes: the generator's own samples, and held-out real images where a data set is given.

    python benchmarks/inversion.py cifar10 --images 20 --data test.zip

For each: PSNR, seconds, and the mean squared error at the start, half-way and at the end.
"""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from resgen.budget import USUAL_STEPS
from resgen.data import load_images
from resgen.invert import invert
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.work import finish


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--steps", type=int, default=USUAL_STEPS)
    parser.add_argument("--data", nargs="*", default=[], help="held-out images: a torchvision name, folders or zips")
    arguments = parser.parse_args()
    library = Library()
    name = library.add(arguments.checkpoint)
    sampler, features = library.sampler(name), library.features(name)

    def measure(what: str, targets: Sequence[np.ndarray]) -> None:
        rows = []
        for target in targets:
            started = time.perf_counter()
            found = finish(invert(target, sampler, features, arguments.steps))
            rows.append((found.psnr, time.perf_counter() - started, found.losses[0], found.losses[len(found.losses) // 2], found.losses[-1]))
            print(
                f"{what}: {rows[-1][0]:5.1f} dB in {rows[-1][1]:4.1f} s; error {rows[-1][2]:.4f} -> {rows[-1][3]:.4f} -> {rows[-1][4]:.4f}",
                flush=True,
            )
        table = np.array(rows)
        print(f"{what}: PSNR least {table[:, 0].min():.1f}, median {np.median(table[:, 0]):.1f} dB; {table[:, 1].max():.1f} s at most", flush=True)

    # Seeds far from those that the search starts from.
    measure("own sample", list(sampler.render(Recipe(checkpoint=name, seeds=tuple(range(10_000, 10_000 + arguments.images))))))
    if arguments.data:
        held_out = load_images(arguments.data, sampler.card.arch.resolution, train=False).images
        picks = np.random.default_rng(0).permutation(len(held_out))[: arguments.images]
        measure("real image", list(held_out[picks].transpose(0, 2, 3, 1)))


if __name__ == "__main__":
    main()
