"""StyleGAN3-t and -r generators, written from the paper in plain PyTorch.

Karras et al. 2021 "Alias-Free Generative Adversarial Networks" (called the paper below). Each layer's band (sampling rate, cutoff,
transition) is said by the configuration as the file says it; filters are designed from it. The network has no noise inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, Generator, check_ranges, check_sizes
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
    lowpass,
    upsample,
)

MAX_TAPS = 256
MAX_MARGIN = 64  # pixels kept beyond each edge of the image


@dataclass(frozen=True)
class StyleGAN3Config(Described):
    """The shape of a `StyleGAN3`. Lists have one entry for each layer of ``widths`` and one more for the conversion to colours.

    Frequencies are in cycles an image, rates in samples an image (the paper's section 3.2).
    """

    num_classes: int = 0  # 0: unconditional
    image_channels: int = 3  # 1: grey, 3: RGB
    mapping: tuple[int, ...] = (512, 512, 512)  # widths from z to w
    embed_width: int = 0  # of the class embedding
    widths: tuple[int, ...] = (512, 512)  # channels of each layer
    sides: tuple[int, ...] = (36, 16, 16)  # samples a side, margins included
    rates: tuple[int, ...] = (16, 16, 16)  # s
    cutoffs: tuple[float, ...] = (2.0, 8.0, 8.0)  # f_c
    half_widths: tuple[float, ...] = (6.0, 1.85, 1.85)  # f_h, of the transition band
    kernel: int = 3  # pixels a side of the convolutions: 3 in -t, 1 in -r
    filter_size: int = 6  # taps for each sample of the lower rate, n
    oversampling: int = 2  # of the leaky ReLU, m
    radial: int = 0  # how many layers, from the first, have radially symmetric filters on their way down: those of -r
    clamp: float = 256.0  # what activations are kept within; 0: nothing
    output_gain: float = 0.25

    family: ClassVar[str] = "stylegan3"
    mapped = True
    residual = False
    dials = False

    def __post_init__(self) -> None:
        depth = len(self.widths)
        check_ranges([(depth, 1, MAX_LAYERS), (len(self.mapping), 2, MAX_LAYERS + 1)])
        if {len(self.sides), len(self.rates), len(self.cutoffs), len(self.half_widths)} != {depth + 1}:
            raise CheckpointError("The generator's configuration does not describe each layer; import its file again.")
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (self.embed_width, bool(self.num_classes), MAX_WIDTH if self.num_classes else 0),
            (self.kernel, 1, 7),
            (self.filter_size, 1, MAX_TAPS),
            (self.oversampling, 1, 8),
            (self.radial, 0, depth),
            (self.clamp, 0, 2**16),
            (self.output_gain, 2**-16, 2**16),
            *((width, 1, MAX_WIDTH) for width in (*self.widths, *self.mapping)),
            *((side, 1, MAX_RESOLUTION + 2 * MAX_MARGIN) for side in self.sides),
            *((rate, 1, MAX_RESOLUTION) for rate in self.rates),
            *((cutoff, 2**-10, rate / 2) for cutoff, rate in zip(self.cutoffs, self.rates, strict=True)),
            *((width, 0, MAX_RESOLUTION) for width in self.half_widths),
        ]
        check_sizes(self.image_channels, sizes)
        whole = all(self.inner_rate(layer) % rate == 0 for layer in range(depth) for rate in (self.rates[max(layer - 1, 0)], self.rates[layer]))
        if (
            not whole
            or 2 * self.cutoffs[0] >= self.rates[0]
            or any(before > after for before, after in pairwise(self.rates))
            or len({*self.rates[-2:], *self.sides[-2:]}) > 1
        ):
            raise CheckpointError("The generator's configuration is none of a StyleGAN3 that this version can draw; import its file again.")
        check_ranges([(self.filter_size * self.inner_rate(layer) // self.rates[max(layer - 1, 0)], 1, MAX_TAPS) for layer in range(depth)])

    @property
    def z_dim(self) -> int:
        return self.mapping[0]

    @property
    def w_dim(self) -> int:
        return self.mapping[-1]

    @property
    def features(self) -> int:
        """Those of a layer's signal where its leaky ReLU is taken, at a higher rate and with margins."""
        return max(width * (side * self.oversampling) ** 2 for width, side in zip(self.widths, self.sides, strict=False))

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(self.rates))

    def inner_rate(self, layer: int) -> int:
        """The rate at which a layer's leaky ReLU works."""
        return max(self.rates[max(layer - 1, 0)], self.rates[layer]) * self.oversampling

    def build(self) -> "StyleGAN3":
        return StyleGAN3(self)


class _FourierInput(nn.Module):
    """w [N, w_dim] -> [N, width, side, side]: sines of fixed frequencies on a plane that w turns and moves (the paper's appendix F.1)."""

    frequencies: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        width = config.widths[0]
        self.side, self.rate, self.band = config.sides[0], config.rates[0], config.cutoffs[0]
        self.motion = nn.Linear(config.w_dim, 4)  # cosine and sine of the turn, not yet of unit length; shift
        self.weight = nn.Parameter(torch.randn(width, width))
        self.register_buffer("frequencies", torch.randn(width, 2))
        self.register_buffer("phases", torch.rand(width))
        self.register_buffer("transform", torch.eye(3))  # applied to the whole image

    def forward(self, w: Tensor) -> Tensor:
        turn, shift = self._motion(w)
        phases = self.phases + shift @ self.frequencies.t()
        frequencies = self.frequencies @ turn
        # Frequencies that the transform moves out of the band fade until they can no longer be sampled.
        size = ((self.rate / 2 - frequencies.norm(dim=2)) / (self.rate / 2 - self.band)).clamp(0, 1)
        axis = (torch.arange(self.side, device=w.device) + 0.5 - self.side / 2) / self.rate
        across, down = (axis[:, None] * frequencies[:, None, :, 0], axis[:, None] * frequencies[:, None, :, 1])
        angle = across[:, None] + down[:, :, None] + phases[:, None, None]
        waves = torch.sin(2 * torch.pi * angle) * size[:, None, None]
        return (waves.to(w.dtype) @ self.weight.t()).permute(0, 3, 1, 2)  # places are float32, whatever the weights are

    def _motion(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The plane's movement, its fixed transform first, then w's shift and turn: place -> turn @ place + shift, [N, 2, 2] and [N, 2]."""
        motion = self.motion(w)
        motion = motion / motion[:, :2].norm(dim=1, keepdim=True)
        cosine, sine, shift = motion[:, 0], motion[:, 1], motion[:, 2:]
        turn = torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
        linear, moved = self.transform[:2, :2], self.transform[:2, 2]
        return turn @ linear, (turn @ (moved - shift)[:, :, None])[:, :, 0]


class FilteredLayer(nn.Module):
    """Modulated convolution, then a leaky ReLU at a higher rate between two filters (the paper's figure 4b).

    x [N, in, side, side], w [N, w_dim] -> [N, out, side', side'].
    """

    gain: Tensor
    rising: Tensor
    falling: Tensor

    def __init__(self, index: int, config: StyleGAN3Config) -> None:
        super().__init__()
        before = max(index - 1, 0)
        into, out = config.widths[before], config.widths[index]
        self.side, self.clamp = config.sides[index], config.clamp
        self.style = nn.Linear(config.w_dim, into)
        self.weight = nn.Parameter(torch.randn(out, into, config.kernel, config.kernel))
        self.bias = nn.Parameter(torch.zeros(out))
        self.register_buffer("gain", torch.ones([]))  # over the average magnitude of the input in training
        inner = config.inner_rate(index)
        self.up, self.down = inner // config.rates[before], inner // config.rates[index]
        up, down = (config.filter_size * factor if factor > 1 else 1 for factor in (self.up, self.down))
        self.inner_side = (self.side - 1) * self.down + down  # samples that the filter on the way down needs
        rising = lowpass(up, config.cutoffs[before], config.half_widths[before], inner)
        falling = lowpass(down, config.cutoffs[index], config.half_widths[index], inner, radial=index < config.radial and down > 1)
        self.register_buffer("rising", rising, persistent=False)
        self.register_buffer("falling", falling, persistent=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.style(w)
        scale = demodulation(self.weight, style) * self.gain * ACTIVATION_GAIN  # leaky(a x) = a leaky(x), and here the maps are small
        x = F.conv2d(x * style[:, :, None, None], self.weight, padding=self.weight.shape[2] - 1)
        x = torch.addcmul(self.bias[:, None, None] * ACTIVATION_GAIN, x, scale)
        x = F.leaky_relu(upsample(x, self.rising, self.up, self.inner_side), LEAK)
        return downsample(clamped(x, self.clamp), self.falling, self.down)


class StyleGAN3(Generator):
    """Layers of one sampling rate are a block, the Fourier features with the first and the conversion to colours with the last of them.

    There are neither residual branches nor images on the way, so ``gains`` do nothing. Features hold a margin around the image.
    """

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.config: StyleGAN3Config = config
        self.mapping = StyleMapping(config.mapping, config.num_classes, config.embed_width)
        self.input = _FourierInput(config)
        self.layers = nn.ModuleList(FilteredLayer(index, config) for index in range(len(config.widths)))
        self.to_image = ToImage(config.widths[-1], config.w_dim, config.image_channels, config.clamp)

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.for_each_block(self.mapping(z, class_weights))

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        w = self.for_each_block(w)
        x = self.input(w[:, 0])
        for block, rate in enumerate(self.config.block_resolutions):
            for layer, own in zip(self.layers, self.config.rates, strict=False):  # the conversion to colours has a rate too
                x = layer(x, w[:, block]) if own == rate else x
            yield x, self.to_image(x, w[:, block]) * self.config.output_gain if block == w.shape[1] - 1 else None

    def layers_of_w(self) -> list[Tensor]:
        return [self.input.motion.weight, *(part.style.weight for part in self.modules() if isinstance(part, FilteredLayer | ToImage))]
