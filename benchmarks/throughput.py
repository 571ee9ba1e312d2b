"""Training steps: images per second, and the share of this machine's convolution rate that they reach.

    OMP_NUM_THREADS=1 python benchmarks/throughput.py

Two trainings side by side take a core each, hence one thread. Steps of `resgen train` (the generator it gives 32 x 32 pixels
of ten classes), of drift alone in the eyes of `train-features` and of drift and an adversary in EfficientNet-lite0, stand beside one of
a plain SNGAN, and all beside what the machine can do: a 3 x 3 convolution of 128 channels, forward and backward. Weights and images are random: cost does not
depend on them. Rounds alternate between them and the best of each counts, so that a busy machine is fair to all.
"""

from collections.abc import Callable

import numpy as np
import torch
from rounds import least_seconds
from sngan import BATCH, CPU, Sngan
from torch.utils.flop_counter import FlopCounterMode

from resgen.data import ImageSet
from resgen.efficientnet import PretrainedEyes
from resgen.features import FeatureConfig, FeatureResNet
from resgen.precision import autocast
from resgen.train.config import TrainConfig
from resgen.train.contest import FROZEN_STEPS
from resgen.train.eyes_trainer import EyesTrainer
from resgen.train.parallel import Team

WARM_UP = 12


def convolution() -> Callable[[], object]:
    """What the machine can do."""
    conv = torch.nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last)
    images = torch.randn(64, 128, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_(True)

    def step() -> None:
        with autocast(CPU):
            out = conv(images)
        out.sum().backward()

    return step


def flops(step: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def main() -> None:
    rng = np.random.default_rng(0)
    data = ImageSet(rng.integers(0, 256, (2000, 3, 32, 32), np.uint8), np.arange(2000) % 10, tuple("abcdefghij"))
    drift = EyesTrainer(TrainConfig((), "", group=16, guidance=0.25, flip=True), data, FeatureResNet(FeatureConfig()), "cpu", "", Team())
    joined = EyesTrainer(TrainConfig((), "", group=16, flip=True, loss="drift+adversary"), data, PretrainedEyes(), "cpu", "", Team())

    joined.steps_done = FROZEN_STEPS  # before that the generator waits for its adversary, and such a step costs less

    def two_steps() -> None:  # drift takes every second one
        joined.step()
        joined.step()

    steps = {"convolution": convolution(), "drift": drift.step, "joined": two_steps, "SNGAN": Sngan(data).step}
    images = {"drift": BATCH, "joined": 2 * BATCH, "SNGAN": BATCH}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    cost = {name: flops(step) for name, step in steps.items()}
    best = least_seconds(steps)
    limit = cost["convolution"] / best["convolution"]
    print(f"convolution  {limit / 1e12:.3f} TFLOP/s with {torch.get_num_threads()} thread(s)")
    for name, count in images.items():
        print(
            f"{name:12} {count / best[name]:5.1f} images/s, {cost[name] / count / 1e9:.2f} GFLOP an image, "
            f"{cost[name] / best[name] / limit:.0%} of the convolution's rate"
        )


if __name__ == "__main__":
    main()
