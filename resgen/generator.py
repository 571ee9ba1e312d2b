"""The generator: latent w -> image, through residual blocks that each add their part to the picture."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.blocks import MappingNetwork, ResBlock, SelfAttention
from resgen.errors import CheckpointError

MAX_RESOLUTION = 1024
MAX_WIDTH = 4096
MAX_CLASSES = 20_000


@dataclass(frozen=True)
class GeneratorConfig:
    """The shape of a `ResNetGenerator`; block i works at ``base_resolution * 2**i`` with ``widths[i]`` channels."""

    num_classes: int = 0  # 0: unconditional
    image_channels: int = 3  # 1: grey, 3: RGB
    base_resolution: int = 4  # pixels a side of the learned linear layer's output
    widths: tuple[int, ...] = (256, 192, 128, 64)  # channels of each block, coarse to fine
    z_dim: int = 128  # noise
    w_dim: int = 128  # mapped latent
    attention: tuple[int, ...] = ()  # resolutions after whose block self-attention is applied

    def __post_init__(self) -> None:
        limits = [
            (self.num_classes, 0, MAX_CLASSES),
            (self.base_resolution, 1, 64),
            (len(self.widths), 1, 10),
            (self.z_dim, 1, MAX_WIDTH),
            (self.w_dim, 1, MAX_WIDTH),
            (self.resolution, 1, MAX_RESOLUTION),
            *((width, 1, MAX_WIDTH) for width in self.widths),
        ]
        if self.image_channels not in (1, 3) or any(not low <= value <= high for value, low, high in limits):
            raise CheckpointError("The generator's configuration holds sizes that are out of range.")

    @property
    def resolution(self) -> int:
        """Pixels a side of the finished image."""
        return self.base_resolution * 2 ** (len(self.widths) - 1)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: object) -> "GeneratorConfig":
        """Build from untrusted JSON; raises CheckpointError for a wrong key or type."""
        if not isinstance(raw, dict):
            raise CheckpointError("The generator's configuration is not a table of settings.")
        values: dict[str, Any] = {}
        for name, default in asdict(cls()).items():
            value = raw.get(name, default)
            if isinstance(default, tuple):
                valid = isinstance(value, list | tuple) and all(type(number) is int for number in value)
                value = tuple(value) if valid else value
            else:
                valid = type(value) is int
            if not valid:
                raise CheckpointError(f"The generator's setting {name!r} must be made of whole numbers.")
            values[name] = value
        if unknown := set(raw) - set(values):
            raise CheckpointError(
                f"The generator's configuration has settings that this version does not know: {', '.join(sorted(map(str, unknown)))}."
            )
        return cls(**values)


class ResNetGenerator(nn.Module):
    """z, class weights -> w -> image [N, image_channels, R, R]; black is -1, white 1, and a little beyond may occur.

    Each block's output is turned into an image of its own depth; the image is the sum of them all
    (residual features of different depths fused; Karras et al. 2020, "skip" architecture).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        base, widths = config.base_resolution, config.widths
        self.mapping = MappingNetwork(config.z_dim, config.w_dim, config.num_classes)
        self.stem = nn.Linear(config.w_dim, widths[0] * base * base)
        nn.init.normal_(self.stem.weight, std=config.w_dim**-0.5)
        nn.init.zeros_(self.stem.bias)
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        self.to_image = nn.ModuleList()
        for depth, width in enumerate(widths):
            self.blocks.append(ResBlock(widths[max(depth - 1, 0)], width, config.w_dim, upsample=depth > 0))
            if base * 2**depth in config.attention:
                self.attention[str(depth)] = SelfAttention(width)
            conv = nn.Conv2d(width, config.image_channels, 3, padding=1)
            nn.init.normal_(conv.weight, std=0.2 * (9 * width) ** -0.5)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.to_image.append(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv))

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """After each block: its features [N, width, r, r], and the image [N, image_channels, r, r] so far.

        w is [N, w_dim] or [N, blocks, w_dim] (a w of its own for each block); ``gains`` [N, blocks] scale the residual branches.
        """
        if w.ndim == 2:
            w = w[:, None].expand(-1, len(self.blocks), -1)
        base = self.config.base_resolution
        x = self.stem(w[:, 0]).view(-1, self.config.widths[0], base, base)
        x = x.contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        for depth, (block, to_image) in enumerate(zip(self.blocks, self.to_image, strict=True)):
            x = block(x, w[:, depth], 1.0 if gains is None else gains[:, depth, None, None, None])
            if str(depth) in self.attention:
                x = self.attention[str(depth)](x)
            part = to_image(x)
            if image is not None:
                part = part + F.interpolate(image, scale_factor=2.0, mode="bilinear")
            image = part
            yield x, part

    def synthesise(self, w: Tensor, gains: Tensor | None = None) -> Tensor:
        """The finished image: the last of `depths`."""
        *_, (_, image) = self.depths(w, gains)
        return image

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.synthesise(self.mapping(z, class_weights))
