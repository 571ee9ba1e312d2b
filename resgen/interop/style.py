"""What StyleGAN2 and StyleGAN3 share: mapping network, modulation, filters, and the reading of what their files say."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import check_ranges
from resgen.blocks import pixel_norm
from resgen.errors import CheckpointError
from resgen.interop.pickles import Plain, StoredArray
from resgen.interop.states import State

LEAK = 0.2  # slope of the leaky ReLU below zero
ACTIVATION_GAIN = math.sqrt(2)  # keeps variance through it (He et al. 2015)
MAX_LAYERS = 32
SLOWED = 0.01  # the learning rate of the mapping network's layers, of the others' (Karras et al. 2019, section 2)

PROJECTION = "embed_proj"  # a layer after the embedding of a class in StyleGAN-XL (Sauer et al. 2022)


class StyleMapping(nn.Module):
    """z [N, z_dim], class weights [N, classes] -> w [N, w_dim] (Karras et al. 2019, section 2; class embedding: Karras et al. 2020b).

    The learning rate's factors of the equalised layers are part of the weights here.
    """

    def __init__(self, sizes: tuple[int, ...], num_classes: int, embed_width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(num_classes, embed_width) if num_classes else None
        into = (sizes[0] + embed_width * bool(num_classes), *sizes[1:-1])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(into, sizes[1:], strict=True))

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        x = pixel_norm(z)
        if self.embed is not None:
            assert class_weights is not None, "a conditional generator needs class weights"
            x = torch.cat([x, pixel_norm(self.embed(class_weights))], dim=1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK) * ACTIVATION_GAIN
        return x


def clamped(x: Tensor, limit: float) -> Tensor:
    """Kept within -limit..limit; 0 is no limit."""
    return x.clamp(-limit, limit) if limit else x


class ToImage(nn.Module):
    """1 x 1 convolution to colours, its input maps scaled by w, not demodulated: [N, width, H, W] -> [N, image_channels, H, W]."""

    def __init__(self, width: int, w_dim: int, image_channels: int, clamp: float) -> None:
        super().__init__()
        self.clamp = clamp
        self.style = nn.Linear(w_dim, width)
        self.weight = nn.Parameter(torch.randn(image_channels, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return clamped(F.conv2d(x * self.style(w)[:, :, None, None], self.weight, self.bias), self.clamp)


def demodulation(weight: Tensor, style: Tensor) -> Tensor:
    """What brings each output map to unit variance, [N, out, 1, 1] (Karras et al. 2020, equation 3).

    weight [out, in, k, k], style [N, in]. Scaling input and output maps is the same as scaling the weights of each image (section 2.2
    of the same), and lets all images share one convolution. Sums of squares pass the range of half precision, so they are made in float32.
    """
    power = weight.float().square().sum(dim=(2, 3))
    return torch.rsqrt(style.float().square() @ power.t() + 1e-8)[:, :, None, None].to(style.dtype)


def upsample(x: Tensor, taps: Tensor, factor: int, side: int) -> Tensor:
    """The middle ``side`` x ``side`` samples of x [N, C, H, W] after zeros between its samples and a symmetric filter [T] along each axis."""
    channels, count = x.shape[1], len(taps)
    kernel = (taps * factor).expand(channels, 1, 1, count)
    x = F.conv_transpose2d(x, kernel.transpose(2, 3), stride=(factor, 1), groups=channels)
    x = F.conv_transpose2d(x, kernel, stride=(1, factor), groups=channels)
    excess = x.shape[2] - side
    return F.pad(x, [-(excess // 2), excess // 2 - excess] * 2)


def downsample(x: Tensor, kernel: Tensor, factor: int = 1, padding: int = 0) -> Tensor:
    """Each ``factor``-th sample of x [N, C, H, W], zeros around it, under a symmetric filter: [T] along each axis, or [T, T]."""
    channels, count = x.shape[1], kernel.shape[-1]
    if kernel.ndim == 2:
        return F.conv2d(x, kernel.expand(channels, 1, count, count), stride=factor, padding=padding, groups=channels)
    kernel = kernel.expand(channels, 1, 1, count)
    x = F.conv2d(x, kernel.transpose(2, 3), stride=(factor, 1), padding=(padding, 0), groups=channels)
    return F.conv2d(x, kernel, stride=(1, factor), padding=(0, padding), groups=channels)


def lowpass(count: int, cutoff: float, half_width: float, rate: float, radial: bool = False) -> Tensor:
    """A low-pass filter of ``count`` taps with gain one at rest, [count], or [count, count] if ``radial``.

    Kaiser's windowed sinc, and jinc for the radially symmetric one (Karras et al. 2021, section 3.2 and appendix C.1).
    ``cutoff`` and ``half_width``, that of the transition, are in cycles, ``rate`` in samples, an image. Made on the CPU whatever
    the default device is: filters follow from the configuration and are in no file.
    """
    beta = _kaiser_beta(2.285 * math.pi * (count - 1) * half_width * 4 / rate + 7.95)
    window = torch.kaiser_window(count, False, beta, dtype=torch.float64, device="cpu")
    place = (torch.arange(count, dtype=torch.float64, device="cpu") - (count - 1) / 2) / rate
    if radial:
        radius = torch.hypot(place[:, None], place[None]).clamp_min(1e-12)
        response = torch.special.bessel_j1(2 * math.pi * cutoff * radius) / radius * window.outer(window)
    else:
        response = torch.sinc(2 * cutoff * place) * window
    return (response / response.sum()).float()


def _kaiser_beta(attenuation: float) -> float:
    """The window's shape for an attenuation in decibels (Kaiser 1974)."""
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation > 21 else 0.0


class Settings:
    """What a network's object says of itself, each setting asked for by name and type. Raises CheckpointError where it says something else."""

    def __init__(self, module: Plain | None, name: str) -> None:
        if module is None:
            raise CheckpointError(f"The file has no {name}, which a StyleGAN generator needs; choose another file.")
        self.module, self.name = module, name

    def part(self, name: str) -> "Settings":
        return Settings(self.module.part(name), f"{self.name}.{name}")

    def has(self, name: str) -> bool:
        return self.module.part(name) is not None

    def number(self, name: str, default: float | None = None) -> float:
        value = self.module.state.get(name, default)
        if isinstance(value, StoredArray) and value.values.size:
            value = value.values.flat[0].item()
        if type(value) not in (int, float) or not math.isfinite(value):  # pyright: ignore[reportArgumentType]
            raise self._missing(name)
        return float(value)  # pyright: ignore[reportArgumentType]

    def whole(self, name: str, default: int | None = None) -> int:
        value = self.number(name, default)
        if value != int(value):
            raise self._missing(name)
        return int(value)

    def flag(self, name: str) -> bool:
        return self.module.state.get(name) is True

    def expect(self, name: str, *allowed: object) -> Any:
        """The setting, which has to be one of the ``allowed``; the first where it says nothing."""
        value = self.module.state.get(name, allowed[0])
        if not isinstance(value, str) or value not in allowed:
            raise CheckpointError(f"The generator's {self.name} has another {name} than this version can draw; only {allowed[0]!r} is known.")
        return value

    def _missing(self, name: str) -> CheckpointError:
        return CheckpointError(f"The generator's {self.name} does not say its {name}; choose a file that StyleGAN's training wrote.")


class Folding:
    """The tensors of a file made into weights of a network of ours: gains that the original applies at each pass go into them once."""

    def __init__(self, stored: State) -> None:
        self.stored = stored
        self.weights: State = {}

    def take(self, name: str) -> Tensor:
        """A tensor of the file, in float32. Raises CheckpointError."""
        if name not in self.stored:
            raise CheckpointError(f"The file lacks the generator's {name}; fetch it again.")
        return self.stored[name].float()

    def number(self, name: str) -> Tensor:
        """A tensor of one number, without dimensions. Raises CheckpointError."""
        value = self.take(name)
        if value.numel() != 1:
            raise CheckpointError(f"The file's {name} is not one number; fetch it again.")
        return value.reshape(())

    def copy(self, ours: str, theirs: str, gain: float | Tensor = 1.0) -> None:
        self.weights[ours] = self.take(theirs) * gain

    def linear(self, ours: str, theirs: str, settings: Settings, gain: float = 1.0) -> None:
        """An equalised linear layer (Karras et al. 2018, section 4.1)."""
        self.copy(f"{ours}.weight", f"{theirs}.weight", settings.number("weight_gain") * gain)
        self.copy(f"{ours}.bias", f"{theirs}.bias", settings.number("bias_gain", 1) * gain)

    def equalised(self, ours: str, theirs: str, rate: float = 1.0) -> None:
        """The same, where the gains follow from its shape, and from a learning ``rate`` that is its own."""
        weight = self.take(f"{theirs}.weight")
        self.weights[f"{ours}.weight"] = weight * rate / math.sqrt(weight[0].numel())
        self.weights[f"{ours}.bias"] = self.take(f"{theirs}.bias") * rate

    def mapping(self, settings: Settings, layers: int) -> None:
        if name := _class_layer(settings):
            self.linear("mapping.embed", f"mapping.{name}", settings.part(name))
            if name == PROJECTION:
                self._embed_each(settings)
        elif settings.has("embed"):
            self.take("mapping.embed.weight")  # StyleGAN-XL keeps embeddings where nothing reads them
        for index in range(layers):
            self.linear(f"mapping.layers.{index}", f"mapping.fc{index}", settings.part(f"fc{index}"))

    def _embed_each(self, settings: Settings) -> None:
        """An embedding of each class in the place of the layer that makes it of another one."""
        settings.part(PROJECTION).expect("activation", "lrelu")
        table = self.take("mapping.embed.weight")[: settings.whole("c_dim")]
        made = F.leaky_relu(F.linear(table, self.weights["mapping.embed.weight"], self.weights["mapping.embed.bias"]), LEAK) * ACTIVATION_GAIN
        self.weights |= {"mapping.embed.weight": made.T.contiguous(), "mapping.embed.bias": made.new_zeros(made.shape[1])}

    def mean_w(self, num_classes: int) -> Tensor:
        """The average w of each class, of which the original has one for all, and StyleGAN-XL its own: [max(1, classes), w_dim]."""
        return self.take("mapping.w_avg").expand(max(1, num_classes), -1)


def mapping_sizes(settings: Settings, stored: State) -> tuple[tuple[int, ...], int]:
    """Widths of the mapping from z to w, and of the class embedding (0: none), by the shapes in the file."""
    count = settings.whole("num_layers")
    check_ranges([(count, 1, MAX_LAYERS)])
    widths = [_rows(stored, f"mapping.fc{index}.weight") for index in range(count)]
    name = _class_layer(settings)
    embed = _rows(stored, f"mapping.{name}.weight") if name else 0
    return (settings.whole("z_dim"), *widths), embed


def _class_layer(settings: Settings) -> str:
    """The layer of the mapping that makes of a class what is joined with noise; where there are no classes, none."""
    if not settings.whole("c_dim"):
        return ""
    return PROJECTION if settings.has(PROJECTION) else "embed"


def _rows(stored: State, name: str) -> int:
    value = stored.get(name)
    if value is None or value.ndim != 2:
        raise CheckpointError(f"The file lacks the generator's {name}; fetch it again.")
    return value.shape[0]
