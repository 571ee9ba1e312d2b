"""A row of convolutions, as DCGAN is one (Radford et al. 2016): transposed, plain, or after an enlargement; norms are folded into them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, check_sizes
from resgen.budget import MAX_BLOCKS, MAX_RESOLUTION, MAX_WIDTH
from resgen.errors import CheckpointError
from resgen.interop.layers import ACTIVATIONS, StagedGenerator

TRANSPOSED, PLAIN, ENLARGED = KINDS = ("transposed", "plain", "enlarged")  # enlarged: pixels doubled, then a plain convolution


@dataclass(frozen=True)
class ConvChainConfig(Described):
    """The shape of a `ConvChain`: lists with an entry for each layer. w is z, then the class's embedding: one pixel, or a linear layer's input."""

    num_classes: int = 0
    image_channels: int = 3
    z_dim: int = 100
    embedding: int = 0  # numbers of a class's embedding
    stem_width: int = 0  # channels that a linear layer makes before the first convolution; 0: there is none
    base_resolution: int = 1  # pixels a side before the first convolution
    stem_activation: str = "none"
    kinds: tuple[str, ...] = (TRANSPOSED,)
    widths: tuple[int, ...] = (3,)  # channels after each layer, the last those of the image
    kernels: tuple[int, ...] = (4,)
    strides: tuple[int, ...] = (1,)
    paddings: tuple[int, ...] = (0,)
    activations: tuple[str, ...] = ("tanh",)
    output_paddings: tuple[int, ...] = ()  # of transposed ones: pixels added at the end of a side; (): none anywhere

    family: ClassVar[str] = "dcgan"
    residual = False
    dials = False
    styled = False

    def __post_init__(self) -> None:
        layers = len(self.widths)
        lists = (self.kinds, self.kernels, self.strides, self.paddings, self.activations, self.ends)
        if any(len(entries) != layers for entries in lists) or {*self.kinds} - {*KINDS} or {self.stem_activation, *self.activations} - {*ACTIVATIONS}:
            raise CheckpointError("The configuration of this row of convolutions contradicts itself: each layer needs one entry of each known kind.")
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (layers, 1, min(16, MAX_BLOCKS)),
            (self.stem_width, 0, MAX_WIDTH),
            (self.base_resolution, 1, 64 if self.stem_width else 1),
            (self.z_dim, 1, MAX_WIDTH),
            (self.embedding, *((1, MAX_WIDTH) if self.num_classes else (0, 0))),
            *((width, 1, MAX_WIDTH) for width in self.widths),
            *((kernel, 1, 64) for kernel in self.kernels),
            *((stride, 1, 8) for stride in self.strides),
            *((padding, 0, 32) for padding in self.paddings),
            *((end, 0, stride - 1 if kind == TRANSPOSED else 0) for end, stride, kind in zip(self.ends, self.strides, self.kinds, strict=True)),
        ]
        check_sizes(self.image_channels, sizes)
        check_sizes(self.widths[-1], [(side, 1, MAX_RESOLUTION) for side in self.block_resolutions])

    @property
    def ends(self) -> tuple[int, ...]:
        """The output padding of each layer."""
        return self.output_paddings or (0,) * len(self.widths)

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        sides, side = list[int](), self.base_resolution
        for kind, kernel, stride, padding, end in zip(self.kinds, self.kernels, self.strides, self.paddings, self.ends, strict=True):
            if kind == TRANSPOSED:
                side = (side - 1) * stride - 2 * padding + kernel + end
            else:
                side = ((side * 2 if kind == ENLARGED else side) + 2 * padding - kernel) // stride + 1
            sides.append(side)
        return tuple(sides)

    @property
    def w_dim(self) -> int:
        return self.z_dim + self.embedding

    def to_dict(self) -> dict[str, Any]:
        """Without output paddings where there are none, as before there were any: what identifies a checkpoint is made of this."""
        return {name: value for name, value in super().to_dict().items() if name != "output_paddings" or value}

    def build(self) -> "ConvChain":
        return ConvChain(self)


class ConvChain(StagedGenerator):
    """Each layer is a block of which nothing can be dialled: what it makes is all there is."""

    def __init__(self, config: ConvChainConfig) -> None:
        super().__init__()
        self.config: ConvChainConfig = config
        self.embed = nn.Parameter(torch.zeros(config.num_classes, config.embedding)) if config.embedding else None
        self.project = nn.Linear(config.w_dim, config.stem_width * config.base_resolution**2) if config.stem_width else None
        befores = (config.stem_width or config.w_dim, *config.widths[:-1])
        shapes = zip(befores, config.widths, config.kernels, config.strides, config.paddings, strict=True)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(*shape, output_padding=end) if kind == TRANSPOSED else nn.Conv2d(*shape)
            for kind, shape, end in zip(config.kinds, shapes, config.ends, strict=True)
        )

    def stem(self, w: Tensor) -> Tensor:
        if self.project is None:
            return w[:, :, None, None]
        side = self.config.base_resolution
        return ACTIVATIONS[self.config.stem_activation](self.project(w).view(-1, self.config.stem_width, side, side))

    def block(self, index: int, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0) if self.config.kinds[index] == ENLARGED else x
        return ACTIVATIONS[self.config.activations[index]](self.layers[index](x))

    def end(self, x: Tensor) -> Tensor:
        return x

    def layers_of_w(self) -> list[Tensor]:
        if self.project is not None:
            return [self.project.weight]
        weight = self.layers[0].weight  # [w_dim, out, k, k], or plain [out, w_dim, k, k]
        assert isinstance(weight, Tensor)
        return [weight.movedim(0 if self.config.kinds[0] == TRANSPOSED else 1, -1).reshape(-1, self.config.w_dim)]
