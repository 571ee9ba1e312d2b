"""StyleGAN2 and StyleGAN2-ADA generators, written from the papers in plain PyTorch.

Karras et al. 2019 "A Style-Based Generator", 2020 "Analyzing and Improving the Image Quality of StyleGAN" (called the paper below),
2020b "Training Generative Adversarial Networks with Limited Data". The noise inputs are the constant ones that the file holds.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, Generator, check_sizes, one_gain
from resgen.budget import MAX_RESOLUTION, MAX_WIDTH
from resgen.errors import CheckpointError
from resgen.interop.style import (
    ACTIVATION_GAIN,
    LEAK,
    MAX_LAYERS,
    StyleMapping,
    ToImage,
    clamped,
    demodulation,
    downsample,
    upsample,
)

ARCHITECTURES = ("skip", "resnet", "orig")  # the paper's figure 7
BINOMIAL = (1, 3, 3, 1)  # the resampling filter along each axis, over its sum


@dataclass(frozen=True)
class StyleGAN2Config(Described):
    """The shape of a `StyleGAN2`; block i works at ``4 * 2**i`` pixels with ``widths[i]`` channels."""

    num_classes: int = 0  # 0: unconditional
    image_channels: int = 3  # 1: grey, 3: RGB
    widths: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128)  # channels of each block, coarse to fine
    mapping: tuple[int, ...] = (512, *[512] * 8)  # widths from z to w
    embed_width: int = 0  # of the class embedding
    architecture: str = "skip"
    noise: bool = True
    clamp: float = 0.0  # what the convolutions' outputs are kept within; 0: nothing

    family: ClassVar[str] = "stylegan2"
    mapped = True

    def __post_init__(self) -> None:
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (len(self.widths), 1, 12),
            (self.resolution, 4, MAX_RESOLUTION),
            (len(self.mapping), 2, MAX_LAYERS + 1),
            (self.embed_width, bool(self.num_classes), MAX_WIDTH if self.num_classes else 0),
            (self.clamp, 0, 2**16),
            *((width, 1, MAX_WIDTH) for width in (*self.widths, *self.mapping)),
        ]
        check_sizes(self.image_channels, sizes)
        if self.architecture not in ARCHITECTURES:
            raise CheckpointError(f"A StyleGAN2 is one of {', '.join(ARCHITECTURES)}, not {self.architecture[:40]!r}.")

    @property
    def z_dim(self) -> int:
        return self.mapping[0]

    @property
    def w_dim(self) -> int:
        return self.mapping[-1]

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(4 * 2**depth for depth in range(len(self.widths)))

    @property
    def residual(self) -> bool:
        return self.architecture == "resnet"

    @property
    def dials(self) -> bool:
        return self.architecture != "orig"

    def build(self) -> "StyleGAN2":
        return StyleGAN2(self)


class _StyledConv(nn.Module):
    """3 x 3 convolution whose input maps are scaled by w, demodulated; noise, bias, leaky ReLU (the paper's figure 2d).

    x [N, in, H, W], w [N, w_dim] -> [N, out, side, side], twice H and W where ``doubles``.
    """

    noise: Tensor | None
    blur: Tensor

    def __init__(self, channels: tuple[int, int], side: int, doubles: bool, config: StyleGAN2Config) -> None:
        super().__init__()
        self.side, self.doubles, self.clamp = side, doubles, config.clamp
        into, out = channels
        self.style = nn.Linear(config.w_dim, into)
        self.weight = nn.Parameter(torch.randn(out, into, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out))
        self.register_buffer("noise", torch.zeros(side, side) if config.noise else None)  # times its strength
        self.register_buffer("blur", binomial_taps().outer(binomial_taps()) * 4, persistent=False)  # 4: three of four samples were zeros

    def forward(self, x: Tensor, w: Tensor, gain: float = 1.0) -> Tensor:
        style = self.style(w)
        # The activation's gain goes into what it is made of: leaky(a x) = a leaky(x), and these are smaller than the maps.
        gain, limit = gain * ACTIVATION_GAIN, self.clamp * gain
        shift = self.bias[:, None, None] if self.noise is None else self.bias[:, None, None] + self.noise
        x = torch.addcmul(shift * gain, self._convolve(x * style[:, :, None, None]), demodulation(self.weight, style) * gain)
        return clamped(F.leaky_relu(x, LEAK), limit)

    def _convolve(self, x: Tensor) -> Tensor:
        if not self.doubles:
            return F.conv2d(x, self.weight, padding=1)
        x = F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
        return downsample(x, self.blur, padding=1)


class _Block(nn.Module):
    """The layers of one resolution: x [N, in, r / 2, r / 2] -> [N, out, r, r]; the first one starts from the constant, [N, out, 4, 4]."""

    taps: Tensor

    def __init__(self, depth: int, config: StyleGAN2Config) -> None:
        super().__init__()
        into, out, side = config.widths[max(depth - 1, 0)], config.widths[depth], 4 * 2**depth
        last = depth == len(config.widths) - 1
        self.conv0 = _StyledConv((into, out), side, True, config) if depth else None
        self.conv1 = _StyledConv((out, out), side, False, config)
        self.skip = nn.Conv2d(into, out, 1, bias=False) if depth and config.architecture == "resnet" else None
        self.to_image = ToImage(out, config.w_dim, config.image_channels, config.clamp) if last or config.architecture == "skip" else None
        self.register_buffer("taps", binomial_taps(), persistent=False)

    def forward(self, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        if self.conv0 is None:
            return gain * self.conv1(x, w)  # there is nothing yet that it would be added to
        h = self.conv0(x, w)
        if self.skip is None:
            return self.conv1(h, w)
        return self.skipped(x) + gain * self.conv1(h, w, math.sqrt(0.5))

    def skipped(self, x: Tensor) -> Tensor:
        """What goes past the residual branch. Both by the root of a half, so that their sum keeps its variance."""
        assert self.skip is not None, "only residual blocks past the first have a way around"
        return self.double(self.skip(x)) * math.sqrt(0.5)

    def double(self, x: Tensor) -> Tensor:
        """Twice the pixels a side, through the resampling filter."""
        return upsample(x, self.taps, 2, 2 * x.shape[2])


class StyleGAN2(Generator):
    """A block has one w for all its layers.

    (The original can also give each layer its own, and then shares the w of a block's conversion to colours with the next block;
    with one w an image the two are the same.) ``gains`` scale each block's share of the image in the skip architecture, and each
    block's residual branch in the residual one; the third has neither.
    """

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config: StyleGAN2Config = config
        self.mapping = StyleMapping(config.mapping, config.num_classes, config.embed_width)
        self.const = nn.Parameter(torch.randn(config.widths[0], 4, 4))
        self.blocks = nn.ModuleList(_Block(depth, config) for depth in range(len(config.widths)))

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.for_each_block(self.mapping(z, class_weights))

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """In the residual architecture, the image so far is what would be drawn if the branches of all later blocks were silent."""
        w = self.for_each_block(w)
        for depth, (x, image) in enumerate(self._made(w, gains)):
            yield x, self._ended(depth + 1, x, w) if image is None and self.config.residual else image

    def synthesise(self, w: Tensor, gains: Tensor | None = None) -> Tensor:
        *_, (_, image) = self._made(self.for_each_block(w), gains)
        assert image is not None, "the last block makes an image"
        return image

    def first_features(self, w: Tensor) -> Tensor:
        return next(self._made(self.for_each_block(w), None))[0]

    def layers_of_w(self) -> list[Tensor]:
        return [part.style.weight for part in self.modules() if isinstance(part, _StyledConv | ToImage)]

    def _made(self, w: Tensor, gains: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """After each block, its features, and the image where the network itself makes one: skip at each block, the others at the last."""
        x, image = self.const.expand(w.shape[0], -1, -1, -1), None
        for depth, block in enumerate(cast(list[_Block], self.blocks)):
            gain = one_gain(gains if self.config.dials else None, depth)
            x = block(x, w[:, depth], gain if self.config.residual else 1.0)
            if block.to_image is not None:
                part = block.to_image(x, w[:, depth]) * (1.0 if self.config.residual else gain)
                image = part if image is None else block.double(image) + part
            yield x, image

    def _ended(self, start: int, x: Tensor, w: Tensor) -> Tensor:
        blocks = cast(list[_Block], self.blocks)
        for block in blocks[start:]:
            x = block.skipped(x)
        to_image = blocks[-1].to_image
        assert to_image is not None, "the last block makes an image"
        return to_image(x, w[:, -1])


def binomial_taps() -> Tensor:
    """The resampling filter along each axis, [4]."""
    return torch.tensor(BINOMIAL, dtype=torch.float32, device="cpu") / sum(BINOMIAL)
