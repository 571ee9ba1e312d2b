"""Pre-activation residual generators (Miyato et al. 2018; Brock et al. 2019): a linear stem, residual blocks that each double the size, tanh."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, check_sizes
from resgen.budget import MAX_BLOCKS, MAX_RESOLUTION, MAX_WIDTH
from resgen.errors import CheckpointError
from resgen.interop.layers import ACTIVATIONS, LinearNorm, PooledAttention, StagedGenerator

UPSAMPLINGS = ("nearest", "bilinear")


@dataclass(frozen=True)
class ResNetConfig(Described):
    """The shape of a `ResNetOfOthers`; w is z, then the class: its weights, or an embedding of them."""

    num_classes: int = 0
    image_channels: int = 3
    z_dim: int = 128
    base_resolution: int = 4  # pixels a side of the stem
    stem_width: int = 256
    widths: tuple[int, ...] = (256, 256, 256)  # channels after each block
    upsampling: str = "nearest"  # or bilinear
    activation: str = "relu"
    embedding: int = 0  # numbers of a class's embedding; 0: the norms read class weights
    chunked: bool = False  # z in as many parts as there are layers that read it: one for the stem, one for each block's norms
    attention: tuple[int, ...] = ()  # blocks, from 0, that attention follows

    family: ClassVar[str] = "resnet"

    def __post_init__(self) -> None:
        parts = len(self.widths) + 1
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (self.base_resolution, 1, 64),
            (len(self.widths), 1, min(10, MAX_BLOCKS)),
            (self.z_dim, 1, MAX_WIDTH),
            (self.embedding, 0, MAX_WIDTH if self.num_classes else 0),
            (self.resolution, 1, MAX_RESOLUTION),
            (self.z_dim % parts if self.chunked else 0, 0, 0),
            *((width, 1, MAX_WIDTH) for width in (self.stem_width, *self.widths)),
            *((block, 0, len(self.widths) - 1) for block in self.attention),
        ]
        check_sizes(self.image_channels, sizes)
        if self.upsampling not in UPSAMPLINGS or self.activation not in ACTIVATIONS:
            raise CheckpointError(f"A residual generator upsamples by {' or '.join(UPSAMPLINGS)} and is activated by {', '.join(ACTIVATIONS)}.")

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(self.base_resolution * 2 ** (depth + 1) for depth in range(len(self.widths)))

    @property
    def class_dim(self) -> int:
        """Numbers of w that tell the class."""
        return self.embedding or self.num_classes

    @property
    def w_dim(self) -> int:
        return self.z_dim + self.class_dim

    @property
    def chunk(self) -> int:
        """Numbers of z that one layer reads."""
        return self.z_dim // (len(self.widths) + 1) if self.chunked else self.z_dim

    @property
    def condition(self) -> int:
        """Numbers that a block's norms read: the class, then a part of z."""
        return self.class_dim + self.chunk * self.chunked

    @property
    def styled(self) -> bool:
        return self.condition > 0

    def build(self) -> "ResNetOfOthers":
        return ResNetOfOthers(self)


class UpBlock(nn.Module):
    """x [N, in, H, W], condition [N, C] -> [N, out, 2H, 2W] = skip(x) + gain * branch(x, condition)."""

    def __init__(self, before: int, after: int, config: ResNetConfig) -> None:
        super().__init__()
        self.activate, self.mode = ACTIVATIONS[config.activation], config.upsampling
        self.norm1 = LinearNorm(before, config.condition)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.norm2 = LinearNorm(after, config.condition)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.skip = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, condition: Tensor, gain: Tensor | float) -> Tensor:
        h = F.interpolate(self.activate(self.norm1(x, condition)), scale_factor=2.0, mode=self.mode)
        h = self.conv2(self.activate(self.norm2(self.conv1(h), condition)))
        return F.interpolate(self.skip(x), scale_factor=2.0, mode=self.mode) + gain * h  # a 1 x 1 convolution may run before it is enlarged


class ResNetOfOthers(StagedGenerator):
    """The generator of mimicry's SNGAN, SSGAN, InfoMax-GAN, WGAN-GP and cGAN-PD, and of StudioGAN's resnet and big_resnet."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config: ResNetConfig = config
        self.embed = nn.Parameter(torch.zeros(config.num_classes, config.embedding)) if config.embedding else None
        self.project = nn.Linear(config.chunk, config.stem_width * config.base_resolution**2)
        sizes = zip((config.stem_width, *config.widths[:-1]), config.widths, strict=True)
        self.blocks = nn.ModuleList(UpBlock(before, after, config) for before, after in sizes)
        self.attention = nn.ModuleDict({str(block): PooledAttention(config.widths[block]) for block in config.attention})
        self.norm = LinearNorm(config.widths[-1])
        self.to_image = nn.Conv2d(config.widths[-1], config.image_channels, 3, padding=1)

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        if not self.config.num_classes:
            return self.for_each_block(z)
        assert class_weights is not None, "a conditional generator needs class weights"
        return self.for_each_block(torch.cat([z, class_weights if self.embed is None else class_weights @ self.embed], dim=1))

    def stem(self, w: Tensor) -> Tensor:
        side = self.config.base_resolution
        return self.project(w[:, : self.config.chunk]).view(-1, self.config.stem_width, side, side)

    def block(self, index: int, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        x = self.blocks[index](x, self._read_by(index, w), gain)
        return self.attention[str(index)](x) if str(index) in self.attention else x

    def _read_by(self, index: int, w: Tensor) -> Tensor:
        """What a block's norms read of w [N, w_dim]: the class, then their part of z."""
        config = self.config
        told = w[:, config.z_dim :]
        return torch.cat([told, w[:, (index + 1) * config.chunk : (index + 2) * config.chunk]], dim=1) if config.chunked else told

    def end(self, x: Tensor) -> Tensor:
        return torch.tanh(self.to_image(ACTIVATIONS[self.config.activation](self.norm(x, x))))

    def layers_of_w(self) -> list[Tensor]:
        width = self.config.w_dim
        layers = [F.pad(self.project.weight, (0, width - self.config.chunk))]
        places = torch.arange(width, device=self.project.weight.device)
        for index, block in enumerate(self.blocks):
            read = self._read_by(index, places[None])[0]
            for norm in (block.norm1, block.norm2):
                if isinstance(norm, LinearNorm) and norm.weight is not None:
                    layers.append(norm.weight.new_zeros(len(norm.weight), width).index_copy(1, read, norm.weight))
        return layers
