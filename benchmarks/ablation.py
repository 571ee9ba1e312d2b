"""What each part of `resgen train --loss drift+adversary` is worth: trainings of equal cost, each without one of them.

    OMP_NUM_THREADS=1 python benchmarks/ablation.py --init DRIFT.safetensors --data cifar10 --test-data cifar10 --minutes 12

All begin with the weights of one checkpoint of drift alone, but those that begin with none. Cost is the seconds of processor that training
took, so that a busy machine is fair to all; the lite2 judge, which no training sees, measures the images. Figures and a grid of ten seeds of each
class are kept for each training in ``--out``; one that is there already is not trained again. Out comes a table.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sngan import Sngan, save_grid

from resgen.checkpoint import Checkpoint, load_checkpoint
from resgen.data import ImageSet, load_images
from resgen.evaluate import compare, draw_samples, load_judges
from resgen.sampler import Sampler
from resgen.train import adversary
from resgen.train.command import EYES, open_eyes
from resgen.train.config import TrainConfig
from resgen.train.contest import FROZEN_STEPS
from resgen.train.eyes_trainer import EyesTrainer
from resgen.train.finish import to_checkpoint
from resgen.train.parallel import Team

JOINED = {"loss": "drift+adversary", "drift_share": 1.0}
WARM_UP, TIMED = FROZEN_STEPS + 3, 20  # steps that tell how many the minutes have; while the generator waits for its adversary they cost less
FIGURES = ("frechet", "kernel", "precision", "recall", "accuracy", "deviation", "near_copies")


@dataclass(frozen=True)
class Arm:
    """One training."""

    choices: dict[str, Any] = field(default_factory=dict)  # of its loss; none: `JOINED`
    eyes: Path = Path("lite0")
    begun: bool = True  # with the weights of --init
    without: Callable[[], AbstractContextManager[Any]] = nullcontext  # takes a part away while it trains


ARMS = {
    "drift and adversary": Arm(),
    "no drift": Arm({"loss": "adversary"}),
    "no adversary": Arm({"loss": "drift"}),
    "no namer": Arm(without=lambda: patch.object(adversary, "CLASS_WEIGHT", 0.0)),
    "from nothing": Arm(begun=False),
    "eyes of 64 pixels": Arm(eyes=Path("lite0@64")),
    "no adversary, eyes of the data": Arm({"loss": "drift"}, eyes=EYES),
}
PLAIN = "SNGAN, from nothing"


def train_arm(arm: Arm, begun: Checkpoint, data: ImageSet, seconds: float) -> tuple[Checkpoint, int]:
    """The averaged generator after ``seconds`` of processor, and how many images it drew in training."""
    choices = {"batch": 60, "group": 6, "lr": 2.5e-4, "flip": True, **(arm.choices or JOINED)}
    config = TrainConfig((), "ablation", images=10**9, widths=begun.card.arch.widths, **choices)  # type: ignore[attr-defined]
    with arm.without():
        trainer = EyesTrainer(config, data, open_eyes(arm.eyes), "cpu", "", Team(), begun if arm.begun else None)
        spent = 0.0
        while trainer.images_seen < trainer.config.images:
            start = time.process_time()
            trainer.step()
            spent += time.process_time() - start
            if trainer.steps_done == WARM_UP:
                spent_warming = spent
            elif trainer.steps_done == WARM_UP + TIMED:  # the step size falls towards the last image, so their number must be known
                steps = trainer.steps_done + (seconds - spent) / (spent - spent_warming) * TIMED
                trainer.config = replace(config, images=int(steps) * config.batch)
    return to_checkpoint(trainer, {}, spent / 3600), trainer.images_seen


def train_plain(data: ImageSet, seconds: float, count: int) -> tuple[ImageSet, int]:
    """Images of an SNGAN after as long, and how many it drew in training."""
    sngan, start = Sngan(data), time.process_time()
    while (spent := time.process_time() - start) < seconds:
        sngan.step(1 - spent / seconds)
    return sngan.sample(count, data.classes), sngan.images_seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", type=Path, required=True, help="a checkpoint of drift alone")
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--test-data", nargs="+", required=True)
    parser.add_argument("--minutes", type=float, default=12.0, help="of processor, of each training")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    chosen = parser.parse_args()
    begun = load_checkpoint(chosen.init)
    train, test = load_images(chosen.data), load_images(chosen.test_data, train=False)
    (judge,) = load_judges(["lite2"], "cpu").values()
    chosen.out.mkdir(parents=True, exist_ok=True)

    def measure(name: str, make: Callable[[], tuple[ImageSet, int]]) -> dict[str, Any]:
        path = chosen.out / f"{name.replace(',', '').replace(' ', '-').lower()}.json"
        if not path.exists():
            samples, images = make()
            save_grid(samples, path.with_suffix(".webp"))
            path.write_text(json.dumps({"images": images, **compare(samples, train, test, judge)}, indent=2))
        return json.loads(path.read_text())

    def make_arm(arm: Arm) -> tuple[ImageSet, int]:
        checkpoint, images = train_arm(arm, begun, train, chosen.minutes * 60)
        return draw_samples(Sampler(checkpoint, "cpu"), chosen.samples), images

    def tell(name: str, images: str, figures: dict[str, Any], prefix: str = "") -> None:
        print("|", " | ".join([name, images, *(f"{figures[prefix + figure]:.4g}" for figure in FIGURES)]), "|", flush=True)

    print("|", " | ".join([f"{chosen.minutes:g} minutes of processor each", "images", *FIGURES]), "|")
    print("|", " | ".join(["---"] * (len(FIGURES) + 2)), "|", flush=True)
    rows: dict[str, Callable[[], tuple[ImageSet, int]]] = {"as it begins": lambda: (draw_samples(Sampler(begun, "cpu"), chosen.samples), 0)}
    rows |= {name: partial(make_arm, arm) for name, arm in ARMS.items()}
    rows[PLAIN] = lambda: train_plain(train, chosen.minutes * 60, chosen.samples)
    for name, make in rows.items():
        found = measure(name, make)
        tell(name, f"{found['images']:,}", found)
    tell("real test set", "", found, "real_test_")


if __name__ == "__main__":
    main()
