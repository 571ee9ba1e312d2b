"""Every choice of a training run."""

from dataclasses import dataclass

from resgen.budget import MAX_RESOLUTION
from resgen.errors import DataError

LOSSES = ("drift", "adversary", "drift+adversary", "parts", "parts+adversary")
USED_BY = {  # options that some of the losses have no use for
    "group": ("drift", "adversary", "drift+adversary"),
    "flip": ("drift", "adversary", "drift+adversary"),
    "guidance": ("drift", "drift+adversary"),
    "clarity": ("adversary", "drift+adversary", "parts+adversary"),
    "drift_share": ("drift+adversary",),
    "drift_first": ("drift+adversary",),
}
MAX_SEED = 2**31 - 1  # seeds of steps and groups are made of a run's, and must fit 63 bits
MAX_IMAGES = 10**12
MAX_BATCH = 65_536


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise DataError where the option ``name`` is no number from ``low`` to ``high``."""
    if not low <= value <= high:  # nan is not
        raise DataError(f"--{name} must be a number from {low} to {high}.")


def doublings(resolution: int) -> tuple[int, int]:
    """Pixels a side of a generator's first block, 4 to 16, and how often they are doubled to ``resolution``. Raises DataError where none leads there."""
    base, count = resolution, 0
    while base > 7 and base % 2 == 0:
        base, count = base // 2, count + 1
    if base > 16:
        raise DataError(f"Images of {resolution} pixels cannot be reached by doubling; give --resolution, for example 64 or 128.")
    return base, count


def check_widths(widths: tuple[int, ...], resolution: int) -> None:
    """Raise DataError where there are fewer ``widths`` than blocks that images of ``resolution`` pixels need."""
    least = doublings(resolution)[1] + 1
    if len(widths) < least:
        raise DataError(f"--widths needs at least {least} numbers for images of {resolution} pixels.")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `resgen train`; a run with the same settings gives the same weights on a CPU with as many threads."""

    data: tuple[str, ...]  # a torchvision name, or folders and zips of class folders
    name: str  # of the checkpoint
    images: int = 250_000  # to draw in all
    batch: int = 64  # images drawn in a step, a multiple of `group`
    group: int = 0  # images of one class in a batch, which repel each other; 0: chosen for the number of classes
    resolution: int | None = None  # pixels a side; None: the data's own
    widths: tuple[int, ...] | None = None  # channels per block, those beyond the doublings steady; None: as the run begins with, or by the resolution
    mean_shift: int | None = None  # reach in 255ths of a `mean_shift` at the end; None: that of what the run begins with, or none
    lr: float = 3e-4  # the generator's step size, falling to a twentieth over the second half; an adversary has its own
    guidance: float = 0.0  # 0..0.9: how far images of any class repel; more makes classes distinct, at the cost of variety
    flip: bool = False  # mirror real images: for sets without a left and right of their own
    seed: int = 0
    save_every: int = 20_000  # images between saves, history rows and sample grids
    loss: str = "drift"  # of LOSSES
    table: str = ""  # for parts: the file that tells what each image is made of, or its SHA-256
    features: str = ""  # what looks at the images: a name, or the SHA-256 of its network's file
    init: str = ""  # name of the checkpoint whose weights the run began with; "": random ones
    drift_share: float = 0.5  # of drift beside an adversary, as norms of their gradients on the image
    clarity: float = 0.9  # share of its class that an adversary must see in an image
    drift_first: int = 0  # images of drift alone before an adversary comes: one that starts from noise loses the variety

    def __post_init__(self) -> None:
        limits = {
            "images": (self.images, 1, MAX_IMAGES),
            "batch": (self.batch, 2, MAX_BATCH),
            "group": (self.group, 0, MAX_BATCH),
            "save-every": (self.save_every, 1, MAX_IMAGES),
            "mean-shift": (self.mean_shift or 0, 0, 255),
            "lr": (self.lr, 0, 1),
            "guidance": (self.guidance, 0, 0.9),
            "drift-share": (self.drift_share, 0, 10),
            "clarity": (self.clarity, 0.01, 1),
            "drift-first": (self.drift_first, 0, MAX_IMAGES),
            "resolution": (self.resolution or 4, 4, MAX_RESOLUTION),
            "seed": (self.seed, 0, MAX_SEED),
        }
        for name, (value, low, high) in limits.items():
            check_range(name, value, low, high)
        if self.resolution:  # else it is known once the images are read
            doublings(self.resolution)
            if self.widths:
                check_widths(self.widths, self.resolution)
        if self.loss not in LOSSES:
            raise DataError(f"--loss must be one of {', '.join(LOSSES)}.")
        if self.assembles != bool(self.table):
            raise DataError("--loss parts needs --table, a CSV file that tells what each image is made of, and no other does.")
        for option, losses in USED_BY.items():
            if self.loss not in losses and self._says(option):
                raise DataError(f"--{option.replace('_', '-')} does nothing with --loss {self.loss}: leave it out, or choose {' or '.join(losses)}.")

    def _says(self, option: str) -> bool:
        """True where an option is not as it is unsaid; images in groups of one are in none."""
        return getattr(self, option) != getattr(TrainConfig, option) and (option, self.group) != ("group", 1)

    @property
    def assembles(self) -> bool:
        """True where images are drawn of known parts."""
        return "parts" in self.loss

    @property
    def drifts(self) -> bool:
        return "drift" in self.loss

    @property
    def fights(self) -> bool:
        """True where there is an adversary."""
        return "adversary" in self.loss

    @property
    def real(self) -> int:
        """New real images of a class for each group: heads see as many as are generated; drift alone remembers the last ones."""
        return self.group if self.fights else max(1, self.group // 2)
