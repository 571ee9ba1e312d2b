"""StyleGAN2 and StyleGAN2-ADA generators, written from the papers in plain PyTorch, and the reader of their pickles.

Karras et al. 2019 "A Style-Based Generator", 2020 "Analyzing and Improving the Image Quality of StyleGAN" (called the paper below),
2020b "Training Generative Adversarial Networks with Limited Data". The noise inputs are the constant ones that the file holds.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.errors import CheckpointError
from resgen.generator import MAX_CLASSES, MAX_RESOLUTION, MAX_WIDTH
from resgen.interop.pickles import Plain, tensors
from resgen.interop.style import (
    ACTIVATION_GAIN,
    LEAK,
    MAX_LAYERS,
    Folding,
    Settings,
    StyleMapping,
    ToImage,
    check_ranges,
    clamped,
    config_from,
    demodulation,
    downsample,
    mapping_sizes,
    spread,
    table_of,
    upsample,
)

ARCHITECTURES = ("skip", "resnet", "orig")  # the paper's figure 7
BINOMIAL = (1, 3, 3, 1)  # the resampling filter along each axis, over its sum


@dataclass(frozen=True)
class StyleGAN2Config:
    """The shape of a `StyleGAN2`; block i works at ``4 * 2**i`` pixels with ``widths[i]`` channels."""

    num_classes: int = 0  # 0: unconditional
    image_channels: int = 3  # 1: grey, 3: RGB
    widths: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128)  # channels of each block, coarse to fine
    mapping: tuple[int, ...] = (512, *[512] * 8)  # widths from z to w
    embed_width: int = 0  # of the class embedding
    architecture: str = "skip"
    noise: bool = True
    clamp: float = 0.0  # what the convolutions' outputs are kept within; 0: nothing

    def __post_init__(self) -> None:
        check_ranges(
            [
                (self.num_classes, 0, MAX_CLASSES),
                (len(self.widths), 1, 12),
                (self.resolution, 4, MAX_RESOLUTION),
                (len(self.mapping), 2, MAX_LAYERS + 1),
                (self.embed_width, bool(self.num_classes), MAX_WIDTH if self.num_classes else 0),
                (self.clamp, 0, 2**16),
                *((width, 1, MAX_WIDTH) for width in (*self.widths, *self.mapping)),
            ]
        )
        if self.image_channels not in (1, 3) or self.architecture not in ARCHITECTURES:
            raise CheckpointError("The generator's configuration is none of a StyleGAN2 that this version can draw; import its file again.")

    @property
    def resolution(self) -> int:
        """Pixels a side of the finished image."""
        return 2 ** (len(self.widths) + 1)

    def to_dict(self) -> dict[str, Any]:
        return table_of(self)

    @classmethod
    def from_dict(cls, raw: object) -> "StyleGAN2Config":
        """Build from untrusted JSON; raises CheckpointError for a wrong key, type or size."""
        return config_from(cls, raw)


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
        self.style = nn.Linear(config.mapping[-1], into)
        self.weight = nn.Parameter(torch.randn(out, into, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out))
        self.register_buffer("noise", torch.zeros(side, side) if config.noise else None)  # times its strength
        self.register_buffer("blur", _taps().outer(_taps()) * 4, persistent=False)  # 4: three of four samples were zeros

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
        self.to_image = ToImage(out, config.mapping[-1], config.image_channels, config.clamp) if last or config.architecture == "skip" else None
        self.register_buffer("taps", _taps(), persistent=False)

    def forward(self, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        h = x if self.conv0 is None else self.conv0(x, w)
        if self.skip is None:
            return self.conv1(h, w)
        # Both branches by the root of a half, so that their sum keeps its variance.
        return self.double(self.skip(x)) * math.sqrt(0.5) + gain * self.conv1(h, w, math.sqrt(0.5))

    def double(self, x: Tensor) -> Tensor:
        """Twice the pixels a side, through the resampling filter."""
        return upsample(x, self.taps, 2, 2 * x.shape[2])


class StyleGAN2(nn.Module):
    """z, class weights -> w -> image [N, image_channels, R, R] in about -1..1.

    A block has one w for all its layers. (The original can also give each layer its own, and then shares the w of a block's
    conversion to colours with the next block; with one w an image the two are the same.) ``gains`` scale each block's share of
    the image in the skip architecture, and each block's residual branch in the residual one; the third has neither.
    """

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.w_dim = config.mapping[0], config.mapping[-1]
        self.num_classes, self.image_channels, self.resolution = config.num_classes, config.image_channels, config.resolution
        self.block_resolutions = tuple(4 * 2**depth for depth in range(len(config.widths)))
        self.residual = config.architecture == "resnet"
        self.dials = config.architecture != "orig"  # whether gains do anything
        self.mapping = StyleMapping(config.mapping, config.num_classes, config.embed_width)
        self.const = nn.Parameter(torch.randn(config.widths[0], 4, 4))
        self.blocks = nn.ModuleList(_Block(depth, config) for depth in range(len(config.widths)))

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """z [N, z_dim], class weights [N, classes] -> w [N, blocks, w_dim]. Raises CheckpointError where classes are needed and not given."""
        return spread(self.mapping(z, class_weights), len(self.blocks))

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """After each block that makes an image: its features [N, width, r, r], and the image [N, image_channels, r, r] so far.

        w is [N, w_dim] or [N, blocks, w_dim], gains [N, blocks]. In the skip architecture that is each block, in the others the last alone.
        """
        w = spread(w, len(self.blocks))
        x = self.const.expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        for depth, block in enumerate(cast(Iterable[_Block], self.blocks)):
            gain = 1.0 if gains is None or not self.dials else gains[:, depth, None, None, None]
            x = block(x, w[:, depth], gain)
            if block.to_image is not None:
                part: Tensor = block.to_image(x, w[:, depth]) * (1.0 if self.residual else gain)
                image = part if image is None else block.double(image) + part
                yield x, image

    def synthesise(self, w: Tensor, gains: Tensor | None = None) -> Tensor:
        """The finished image: the last of `depths`."""
        *_, (_, image) = self.depths(w, gains)
        return image

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.synthesise(self.map(z, class_weights))


def _taps() -> Tensor:
    return torch.tensor(BINOMIAL, dtype=torch.float32, device="cpu") / sum(BINOMIAL)


def sniff(state: object) -> bool:
    """Whether this is the plain state of a StyleGAN2 generator (see `pickles.averaged_generator`)."""
    synthesis = state.part("synthesis") if isinstance(state, Plain) else None
    first = synthesis.part("b4") if synthesis else None
    return first is not None and first.part("conv1") is not None


def read(state: Plain) -> tuple[StyleGAN2Config, dict[str, Tensor], Tensor]:
    """Configuration, weights for `StyleGAN2` and mean w [max(1, classes), w_dim] of a generator's plain state. Raises CheckpointError."""
    stored = tensors(state)
    whole = Settings(state, "generator")
    config = _config(whole, stored)
    with torch.device("meta"):
        network = StyleGAN2(config)
    folding = Folding(stored)
    folding.mapping(whole.part("mapping"), len(config.mapping) - 1)
    folding.copy("const", "synthesis.b4.const")
    for depth in range(len(config.widths)):
        _fold_block(folding, depth, whole.part("synthesis").part(f"b{4 * 2**depth}"), config)
    return config, folding.fitting(network), folding.mean_w(config.num_classes)


def _config(whole: Settings, stored: dict[str, Tensor]) -> StyleGAN2Config:
    synthesis, mapping = whole.part("synthesis"), whole.part("mapping")
    resolution = whole.whole("img_resolution")
    check_ranges([(resolution, 4, MAX_RESOLUTION)])
    blocks = [synthesis.part(f"b{4 * 2**depth}") for depth in range(resolution.bit_length() - 2)]
    _check_supported(blocks, mapping, stored)
    sizes, embed = mapping_sizes(mapping, stored)
    last = blocks[-1].part("conv1")
    return StyleGAN2Config(
        num_classes=whole.whole("c_dim"),
        image_channels=whole.whole("img_channels"),
        widths=tuple(len(stored.get(f"synthesis.b{4 * 2**depth}.conv1.bias", ())) for depth in range(len(blocks))),
        mapping=sizes,
        embed_width=embed,
        architecture=blocks[-1].expect("architecture", *ARCHITECTURES),
        noise=last.flag("use_noise"),
        clamp=0.0 if last.module.state.get("conv_clamp") is None else last.number("conv_clamp"),
    )


def _check_supported(blocks: list[Settings], mapping: Settings, stored: dict[str, Tensor]) -> None:
    """Refuse activations and filters that no published configuration uses. Raises CheckpointError."""
    mapping.part("fc0").expect("activation", "lrelu")
    for block in blocks:
        block.part("conv1").expect("activation", "lrelu")
    for name, value in stored.items():
        is_filter = name.startswith("synthesis.") and name.endswith("resample_filter")
        if is_filter and (value.shape != (4, 4) or not torch.allclose(value.float(), _taps().outer(_taps()), atol=1e-4)):
            raise CheckpointError("The generator resamples with another filter than this version can; only [1, 3, 3, 1] is known.")


def _fold_block(folding: Folding, depth: int, settings: Settings, config: StyleGAN2Config) -> None:
    ours, theirs = f"blocks.{depth}", f"synthesis.b{4 * 2**depth}"
    for conv in ("conv0", "conv1") if depth else ("conv1",):
        folding.linear(f"{ours}.{conv}.style", f"{theirs}.{conv}.affine", settings.part(conv).part("affine"))
        folding.copy(f"{ours}.{conv}.weight", f"{theirs}.{conv}.weight")
        folding.copy(f"{ours}.{conv}.bias", f"{theirs}.{conv}.bias")
        if config.noise:
            folding.copy(f"{ours}.{conv}.noise", f"{theirs}.{conv}.noise_const", folding.take(f"{theirs}.{conv}.noise_strength"))
    if settings.has("torgb"):
        image = settings.part("torgb")
        folding.linear(f"{ours}.to_image.style", f"{theirs}.torgb.affine", image.part("affine"), image.number("weight_gain"))
        folding.copy(f"{ours}.to_image.weight", f"{theirs}.torgb.weight")
        folding.copy(f"{ours}.to_image.bias", f"{theirs}.torgb.bias")
    if settings.has("skip"):
        folding.copy(f"{ours}.skip.weight", f"{theirs}.skip.weight", settings.part("skip").number("weight_gain"))
