"""What imported networks share: norms linear in a condition, attention, activations, and a generator that is a row of stages."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import Generator, one_gain

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),  # as most generators have it
    "leaky_relu_0.1": lambda x: F.leaky_relu(x, 0.1),
    "leaky_relu_0.01": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
    "sigmoid": lambda x: 2 * torch.sigmoid(x) - 1,  # 0..1 of an image, brought to -1..1
}


class LinearNorm(nn.Module):
    """Normalisation by fixed statistics, its scale and shift linear in a condition c [N, condition] (de Vries et al. 2017); plain for no condition."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, condition: int = 0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))  # root of variance and epsilon
        self.weight = nn.Parameter(torch.zeros(2 * channels, condition)) if condition else None
        self.bias = nn.Parameter(torch.zeros(2 * channels))  # of scale, then shift

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        affine = self.bias[None] if self.weight is None else F.linear(condition, self.weight, self.bias)
        scale, shift = affine.chunk(2, dim=1)
        scale = scale / self.deviation
        return torch.addcmul((shift - self.mean * scale)[:, :, None, None], x, scale[:, :, None, None])


class PooledAttention(nn.Module):
    """Self-attention with keys and values at half the resolution (Zhang et al. 2019; Brock et al. 2019), times a learned strength."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.strength = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2).transpose(1, 2)
        key, value = (F.max_pool2d(layer(x), 2).flatten(2).transpose(1, 2) for layer in (self.key, self.value))
        attended = torch.softmax(query @ key.transpose(1, 2), dim=2) @ value
        return x + self.strength * self.out(attended.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:]))


class StagedGenerator(Generator):
    """A stem, blocks in a row, and an end that makes the image.

    Where blocks are residual, the image so far is what the end makes of a block's features when the branches of all later ones are silent.
    """

    embed: nn.Parameter | None  # [classes, D]: what w tells of a class beside z; None: nothing

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        if self.embed is None:
            return self.for_each_block(z)
        assert class_weights is not None, "a conditional generator needs class weights"
        return self.for_each_block(torch.cat([z, class_weights @ self.embed], dim=1))

    def stem(self, w: Tensor) -> Tensor:
        """First features [N, C, r, r] of w [N, w_dim]."""
        raise NotImplementedError

    def block(self, index: int, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        """Features after a block of features before it and its w [N, w_dim]."""
        raise NotImplementedError

    def end(self, x: Tensor) -> Tensor:
        """The image of the last block's features."""
        raise NotImplementedError

    def features(self, w: Tensor, gains: Tensor | None = None) -> Iterator[Tensor]:
        """After each block."""
        w = self.for_each_block(w)
        x = self.stem(w[:, 0]).contiguous(memory_format=torch.channels_last)
        for index in range(w.shape[1]):
            x = self.block(index, x, w[:, index], one_gain(gains, index))
            yield x

    def first_features(self, w: Tensor) -> Tensor:
        return next(self.features(w))

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        w = self.for_each_block(w)
        last = w.shape[1] - 1
        for index, x in enumerate(self.features(w, gains)):
            yield x, self._ended(index + 1, x, w) if self.config.residual or index == last else None

    def synthesise(self, w: Tensor, gains: Tensor | None = None) -> Tensor:
        *_, x = self.features(w, gains)
        return self.end(x)

    def _ended(self, start: int, x: Tensor, w: Tensor) -> Tensor:
        for index in range(start, w.shape[1]):
            x = self.block(index, x, w[:, index], 0.0)
        return self.end(x)
