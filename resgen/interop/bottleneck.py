"""BigGAN-deep (Brock et al. 2019, appendix B): residual blocks of four convolutions about a narrow middle, all norms read z and the class."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, check_sizes
from resgen.budget import MAX_BLOCKS, MAX_RESOLUTION, MAX_WIDTH
from resgen.errors import CheckpointError
from resgen.interop.layers import ACTIVATIONS, LinearNorm, PooledAttention, StagedGenerator

SKIPS = ("drop", "convolve")
NARROWING = 4  # a block's input has as many times the channels of its middle


@dataclass(frozen=True)
class BottleneckConfig(Described):
    """The shape of a `BottleneckGenerator`; w is z, then the class's embedding."""

    num_classes: int = 0
    image_channels: int = 3
    z_dim: int = 128
    embedding: int = 0  # numbers of a class's embedding
    base_resolution: int = 4
    stem_width: int = 64
    widths: tuple[int, ...] = (64, 64)  # channels after each block
    enlarging: tuple[bool, ...] = (False, True)  # which blocks double the size
    attention: tuple[int, ...] = ()  # blocks, from 0, that attention follows
    activation: str = "relu"
    skip: str = "drop"  # the channels that are too many, or convolve

    family: ClassVar[str] = "biggan-deep"

    def __post_init__(self) -> None:
        if len(self.enlarging) != len(self.widths) or self.skip not in SKIPS or self.activation not in ACTIVATIONS:
            raise CheckpointError("The configuration of this BigGAN-deep contradicts itself: each block needs a width, and whether it enlarges.")
        before = (self.stem_width, *self.widths[:-1])
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (self.base_resolution, 1, 64),
            (len(self.widths), 1, MAX_BLOCKS),
            (sum(self.enlarging), 0, 10),
            (self.z_dim, 1, MAX_WIDTH),
            (self.embedding, *((1, MAX_WIDTH) if self.num_classes else (0, 0))),
            (self.resolution, 1, MAX_RESOLUTION),
            *((width, 1, MAX_WIDTH) for width in (self.stem_width, *self.widths)),
            *((width, NARROWING, MAX_WIDTH) for width in before),
            *((after, 1, width if self.skip == "drop" else MAX_WIDTH) for width, after in zip(before, self.widths, strict=True)),
            *((block, 0, len(self.widths) - 1) for block in self.attention),
        ]
        check_sizes(self.image_channels, sizes)

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(self.base_resolution * 2 ** sum(self.enlarging[: depth + 1]) for depth in range(len(self.widths)))

    @property
    def w_dim(self) -> int:
        return self.z_dim + self.embedding

    def build(self) -> "BottleneckGenerator":
        return BottleneckGenerator(self)


class BottleneckBlock(nn.Module):
    """x [N, in, H, W], w [N, w_dim] -> [N, out, H', W'] = skip(x) + gain * branch(x, w)."""

    def __init__(self, before: int, after: int, enlarge: bool, config: BottleneckConfig) -> None:
        super().__init__()
        middle = before // NARROWING
        self.activate, self.enlarge, self.kept = ACTIVATIONS[config.activation], enlarge, after
        self.norms = nn.ModuleList(LinearNorm(width, config.w_dim) for width in (before, middle, middle, middle))
        shapes = ((before, middle, 1), (middle, middle, 3), (middle, middle, 3), (middle, after, 1))
        self.convs = nn.ModuleList(nn.Conv2d(first, second, side, padding=side // 2) for first, second, side in shapes)
        self.skip = nn.Conv2d(before, after, 1) if config.skip == "convolve" else None

    def forward(self, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        h = x
        for place, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            h = self.activate(norm(h, w))
            h = conv(_double(h) if self.enlarge and place == 1 else h)
        x = x[:, : self.kept] if self.skip is None else self.skip(x)
        return (_double(x) if self.enlarge else x) + gain * h


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0)


class BottleneckGenerator(StagedGenerator):
    """The generator of pytorch-pretrained-BigGAN, and of StudioGAN's two deep ones."""

    def __init__(self, config: BottleneckConfig) -> None:
        super().__init__()
        self.config: BottleneckConfig = config
        self.embed = nn.Parameter(torch.zeros(config.num_classes, config.embedding)) if config.num_classes else None
        self.project = nn.Linear(config.w_dim, config.stem_width * config.base_resolution**2)
        sizes = zip((config.stem_width, *config.widths[:-1]), config.widths, config.enlarging, strict=True)
        self.blocks = nn.ModuleList(BottleneckBlock(before, after, enlarge, config) for before, after, enlarge in sizes)
        self.attention = nn.ModuleDict({str(block): PooledAttention(config.widths[block]) for block in config.attention})
        self.norm = LinearNorm(config.widths[-1])
        self.to_image = nn.Conv2d(config.widths[-1], config.image_channels, 3, padding=1)

    def stem(self, w: Tensor) -> Tensor:
        side = self.config.base_resolution
        return self.project(w).view(-1, self.config.stem_width, side, side)

    def block(self, index: int, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        x = self.blocks[index](x, w, gain)
        return self.attention[str(index)](x) if str(index) in self.attention else x

    def end(self, x: Tensor) -> Tensor:
        return torch.tanh(self.to_image(ACTIVATIONS[self.config.activation](self.norm(x, x))))

    def layers_of_w(self) -> list[Tensor]:
        norms = [norm.weight for norm in self.modules() if isinstance(norm, LinearNorm) and norm.weight is not None]
        return [self.project.weight, *norms]
