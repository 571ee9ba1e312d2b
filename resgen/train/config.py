"""Every choice of a training run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `resgen train`; a run with the same settings gives the same weights on a CPU."""

    data: tuple[str, ...]  # a torchvision name, or folders and zips of class folders
    name: str  # of the checkpoint
    images: int = 500_000  # real images to show in all
    batch: int = 64  # a multiple of the discriminator's group of 4
    resolution: int | None = None  # pixels a side; None: the data's own
    widths: tuple[int, ...] | None = None  # channels per generator block; None: chosen for the resolution
    head_width: int = 96  # channels of the discriminator's heads
    lr: float = 3e-4  # Adam's step size, falling to a twentieth over the second half
    ema_images: int = 10_000  # half-life of the averaged weights, in images
    gamma: float = 0.5  # weight of the gradient penalty
    energy: float = 0.5  # weight of the energy distance
    classify: float = 0.0  # weight of the class loss in the second half
    augment: float = 0.0  # share of images augmented before the discriminator
    flip: bool = False  # mirror real images: for sets without a left and right of their own
    seed: int = 0
    save_every: int = 20_000  # images between saves, history rows and sample grids
