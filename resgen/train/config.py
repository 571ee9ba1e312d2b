"""Every choice of a training run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `resgen train`; a run with the same settings gives the same weights on a CPU."""

    data: tuple[str, ...]  # a torchvision name, or folders and zips of class folders
    name: str  # of the checkpoint
    images: int = 250_000  # to draw in all
    batch: int = 64  # images drawn in a step, a multiple of `group`
    group: int = 0  # images of one class in a batch, which repel each other; 0: chosen for the number of classes
    resolution: int | None = None  # pixels a side; None: the data's own
    widths: tuple[int, ...] | None = None  # channels per generator block; None: chosen for the resolution
    lr: float = 3e-4  # Adam's step size, falling to a twentieth over the second half
    ema_images: int = 10_000  # half-life of the averaged weights, in images
    guidance: float = 0.0  # 0..0.9: how far images of any class repel; more makes classes distinct, at the cost of variety
    flip: bool = False  # mirror real images: for sets without a left and right of their own
    seed: int = 0
    save_every: int = 20_000  # images between saves, history rows and sample grids

    @property
    def real(self) -> int:
        """New real images of a class for each group."""
        return max(1, self.group // 2)
