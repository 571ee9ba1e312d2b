"""The generator: latent w -> image, through residual blocks that each add their part to the picture."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, Generator, check_sizes, one_gain
from resgen.blocks import PLACES, ConditionalBatchNorm, MappingNetwork, PartsMapping, ResBlock, SelfAttention, mean_shift
from resgen.budget import MAX_RESOLUTION, MAX_WIDTH

MAX_ATTENTION = 128  # pixels a side: every place looks at every other, which at four times the places takes sixteen times as long
MAX_CELLS = 4096  # of a part's block of z
YOUNGER = ("parts", "mean_shift", "steady")  # settings that the first checkpoints do not have
MAX_FEATURES = 2**26  # numbers of one image after a block, at most those of 64 channels at 1024 pixels: files of few bytes could ask for more


@dataclass(frozen=True)
class GeneratorConfig(Described):
    """The shape of a `ResNetGenerator`; block i works at ``base_resolution * 2**i`` with ``widths[i]`` channels, ``steady`` ones as the last that doubled."""

    num_classes: int = 0  # 0: unconditional
    image_channels: int = 3  # 1: grey, 3: RGB
    base_resolution: int = 4  # pixels a side of the learned linear layer's output
    widths: tuple[int, ...] = (256, 192, 128, 64)  # channels of each block, coarse to fine
    z_dim: int = 128  # noise
    w_dim: int = 128  # mapped latent
    attention: tuple[int, ...] = ()  # resolutions after whose block self-attention is applied
    parts: tuple[int, ...] = ()  # of a `PartsMapping`: size and cells of each part's block of z; (): a `MappingNetwork`
    mean_shift: int = 0  # reach, in 255ths, of the `mean_shift` that ends the picture and makes fields of one colour even; 0: none
    steady: int = 0  # blocks at the end that do not double the resolution: they refine what the last that did has drawn

    family: ClassVar[str] = "resgen"
    mapped = True

    def __post_init__(self) -> None:
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (self.base_resolution, 1, 64),
            (len(self.widths), 1, 10),
            (self.z_dim, 1, MAX_WIDTH),
            (self.w_dim, 1, MAX_WIDTH),
            (self.resolution, 1, MAX_RESOLUTION),
            (self.mean_shift, 0, 255),
            (self.steady, 0, len(self.widths) - 1),
            (self.features, 1, MAX_FEATURES),
            *((width, 1, MAX_WIDTH) for width in self.widths),
            *((side, 1, MAX_ATTENTION) for side in self.attention),
        ]
        sizes += [(number, 1, MAX_CELLS) for number in self.parts] + [(len(self.parts) % 2, 0, 0)]
        if self.parts:
            sizes.append((sum(self.parts[::2]), self.z_dim, self.z_dim))
            sizes.append((sum(self.parts[1::2]) * max(1, self.num_classes) * self.w_dim, 1, MAX_FEATURES))
        check_sizes(self.image_channels, sizes)

    @property
    def shares_styles(self) -> bool:
        return not self.parts  # a `PartsMapping` has vectors of each class's own

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(self.base_resolution * 2 ** min(depth, len(self.growing) - 1) for depth in range(len(self.widths)))

    @property
    def growing(self) -> tuple[int, ...]:
        """Channels of the blocks that are not steady."""
        return self.widths[: len(self.widths) - self.steady]

    @property
    def features(self) -> int:
        compared = PLACES**2 * self.resolution**2 if self.mean_shift else 0  # pixels with colours, by a mean shift
        return max(super().features, compared)

    def to_dict(self) -> dict[str, Any]:
        """As the first checkpoints have it, without a family, and of what is younger only what there is: what identifies a checkpoint is made of this."""
        return {name: value for name, value in asdict(self).items() if name not in YOUNGER or value}

    def build(self) -> "ResNetGenerator":
        return ResNetGenerator(self)


class ResNetGenerator(Generator):
    """z, class weights -> w -> image [N, image_channels, R, R]; black is -1, white 1, and a little beyond may occur.

    Each block's output is turned into an image of its own depth; the image is the sum of them all
    (residual features of different depths fused; Karras et al. 2020, "skip" architecture).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config: GeneratorConfig = config
        base, widths, resolutions = config.base_resolution, config.widths, config.block_resolutions
        self.mapping = (
            PartsMapping(config.parts, config.w_dim, config.num_classes)
            if config.parts
            else MappingNetwork(config.z_dim, config.w_dim, config.num_classes)
        )
        self.stem = nn.Linear(config.w_dim, widths[0] * base * base)
        nn.init.normal_(self.stem.weight, std=config.w_dim**-0.5)
        nn.init.zeros_(self.stem.bias)
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        self.to_image = nn.ModuleList()
        for depth, width in enumerate(widths):
            self.blocks.append(ResBlock(widths[max(depth - 1, 0)], width, config.w_dim, upsample=0 < depth < len(config.growing)))
            if resolutions[depth] in config.attention:
                self.attention[str(depth)] = SelfAttention(width)
            conv = nn.Conv2d(width, config.image_channels, 3, padding=1)
            nn.init.normal_(conv.weight, std=0.2 * (9 * width) ** -0.5)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.to_image.append(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv))

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.for_each_block(self.mapping(z, class_weights))

    def layers_of_w(self) -> list[Tensor]:
        return [self.stem.weight, *(part.affine.weight for part in self.modules() if isinstance(part, ConditionalBatchNorm))]

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """``gains`` scale the residual branches; an image so far is as large as its block."""
        w, base = self.for_each_block(w), self.config.base_resolution
        x = self.stem(w[:, 0]).view(-1, self.config.widths[0], base, base)
        x = x.contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        for depth, (block, to_image) in enumerate(zip(self.blocks, self.to_image, strict=True)):
            x = block(x, w[:, depth], one_gain(gains, depth))
            if str(depth) in self.attention:
                x = self.attention[str(depth)](x)
            image = joined(image, to_image(x), block.upsample)  # type: ignore[arg-type]
            yield x, finished(image, self.config) if depth + 1 == len(self.blocks) else image


def joined(image: Tensor | None, part: Tensor, doubles: bool) -> Tensor:
    """The image so far, brought to the size of a block that ``doubles`` it, and this block's part of it; ``image`` is None before the first."""
    if image is None:
        return part
    return part + (F.interpolate(image, scale_factor=2.0, mode="bilinear") if doubles else image)


def finished(image: Tensor, config: GeneratorConfig) -> Tensor:
    """The sum of all blocks' parts as it is shown."""
    return mean_shift(image, config.mean_shift * 2 / 255) if config.mean_shift else image
