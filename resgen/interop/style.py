"""What the networks of StyleGAN2 and StyleGAN3 share: mapping network, modulation, filters."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.blocks import pixel_norm

LEAK = 0.2  # slope of the leaky ReLU below zero
ACTIVATION_GAIN = math.sqrt(2)  # keeps variance through it (He et al. 2015)
MAX_LAYERS = 32


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
