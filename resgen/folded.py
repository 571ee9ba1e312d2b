"""A trained `ResNetGenerator` rewritten to draw faster, without gradients: the same sums in another order, equal up to rounding.

- Batch norms, their statistics fixed, are folded into the scale and shift that w gives.
- What is constant before an upsampling is computed before it. A 3 x 3 convolution of an image whose pixels are 2 x 2 alike sees at most
  2 x 2 different ones, at each of four places: four kernels of 2 x 2 on the small image take 16 products where one of 3 x 3 took 36.
"""

from collections.abc import Iterator
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

import torch
from cachetools import LRUCache
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.blocks import ConditionalBatchNorm, ResBlock
from resgen.generator import ResNetGenerator, finished, joined

MEMORY = 128 << 20  # bytes of the depths that are kept


class Depth(NamedTuple):
    """What is known after a block: its number, its features [N, width, r, r] and the image so far [N, image_channels, r, r]."""

    block: int
    features: Tensor
    image: Tensor


class FoldedNorm:
    """A conditional batch norm and the ReLU after it: relu(x * scale(w) + shift(w))."""

    def __init__(self, norm: ConditionalBatchNorm) -> None:
        mean, size = _statistics(norm.norm)
        (weight, shift_weight), (bias, shift_bias) = norm.affine.weight.chunk(2), norm.affine.bias.chunk(2)
        weight, bias = size[:, None] * weight, size * (1 + bias)
        self.weight = torch.cat([weight, shift_weight - mean[:, None] * weight])
        self.bias = torch.cat([bias, shift_bias - mean * bias])

    def __call__(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = F.linear(w, self.weight, self.bias)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, x, scale).relu_()


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The fixed mean of a norm, and one over the deviation."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, torch.rsqrt(norm.running_var + norm.eps)


class UpsampledConv:
    """skip + gain * conv(h), both [N, any, H, W] brought to twice their size first; conv is a 3 x 3 convolution with padding 1."""

    def __init__(self, conv: nn.Conv2d) -> None:
        # The rows 2i and 2i + 1 of the large image see the rows i - 1, i, i and i, i, i + 1 of the small one.
        rows = [torch.stack(pair, dim=2) for pair in _halves(conv.weight.unbind(2))]
        kernels = [torch.stack(pair, dim=3) for part in rows for pair in _halves(part.unbind(3))]
        assert conv.bias is not None
        self.weight, self.bias = torch.cat(kernels).contiguous(memory_format=torch.channels_last), conv.bias.repeat(4)

    def __call__(self, h: Tensor, skip: Tensor, gain: Tensor) -> Tensor:
        count, channels, height, width = skip.shape
        places = F.conv2d(h, self.weight, self.bias, padding=1).chunk(4, dim=1)
        size = (count, channels, 2 * height, 2 * width)
        large = torch.empty(size, dtype=skip.dtype, device=skip.device, memory_format=torch.channels_last)
        for place, found in enumerate(places):
            down, right = divmod(place, 2)
            seen = found[:, :, down : down + height, right : right + width]
            torch.addcmul(skip, seen, gain, out=large[:, :, down::2, right::2])
        return large


def _halves(taps: tuple[Tensor, ...]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Three taps over pixels that are alike by twos -> two taps over these twos, for the first and the second pixel of each."""
    return (taps[0], taps[1] + taps[2]), (taps[0] + taps[1], taps[2])


class FoldedBlock:
    """A `ResBlock`: x [N, in, H, W], w [N, w_dim], gain [N, 1, 1, 1] -> [N, out, H', W']."""

    def __init__(self, block: ResBlock) -> None:
        self.norm1, self.norm2 = FoldedNorm(block.norm1), FoldedNorm(block.norm2)
        self.conv1, self.conv2, self.skip = block.conv1, block.conv2, block.skip
        self.upsampled = UpsampledConv(block.conv2) if block.upsample else None

    def __call__(self, x: Tensor, w: Tensor, gain: Tensor) -> Tensor:
        h, skip = self.norm2(self.conv1(self.norm1(x, w)), w), self.skip(x)
        return self.upsampled(h, skip, gain) if self.upsampled else torch.addcmul(skip, self.conv2(h), gain)


class FoldedImage:
    """A block's features -> its part of the image: batch norm, ReLU and convolution."""

    def __init__(self, to_image: nn.Sequential) -> None:
        norm, _, self.conv = to_image
        assert isinstance(norm, nn.BatchNorm2d)
        mean, size = _statistics(norm)
        self.scale = (size * norm.weight)[:, None, None]
        self.shift = (norm.bias - mean * size * norm.weight)[:, None, None]

    def __call__(self, x: Tensor) -> Tensor:
        return self.conv(torch.addcmul(self.shift, x, self.scale).relu_())


class FoldedGenerator:
    """w, gains -> image, as the generator it was made of; it can go on from any block."""

    def __init__(self, generator: ResNetGenerator) -> None:
        self.config, self.stem, self.attention = generator.config, generator.stem, generator.attention
        self.blocks = [FoldedBlock(block) for block in generator.blocks]  # type: ignore[arg-type]
        self.to_image = [FoldedImage(to_image) for to_image in generator.to_image]  # type: ignore[arg-type]

    def depths(self, w: Tensor, gains: Tensor, after: Depth | None = None) -> Iterator[Depth]:
        """All depths for w [N, blocks, w_dim] and gains [N, blocks], or those behind one that is known."""
        x, image = (after.features, after.image) if after else (self._start(w[:, 0]), None)
        for number in range(after.block + 1 if after else 0, len(self.blocks)):
            x = self.blocks[number](x, w[:, number], gains[:, number, None, None, None])
            if str(number) in self.attention:
                x = self.attention[str(number)](x)
            image = joined(image, self.to_image[number](x), self.blocks[number].upsampled is not None)
            yield Depth(number, x, self._finished(image) if number + 1 == len(self.blocks) else image)

    def _finished(self, image: Tensor) -> Tensor:
        """On a CPU one by one: what a mean shift compares then stays in the processor's cache, and takes a third of the time."""
        if not self.config.mean_shift or image.device.type != "cpu":
            return finished(image, self.config)
        return torch.cat([finished(one, self.config) for one in image.split(1)])

    def _start(self, w: Tensor) -> Tensor:
        base = self.config.base_resolution
        return self.stem(w).view(-1, self.config.widths[0], base, base).contiguous(memory_format=torch.channels_last)


class Memory:
    """The depths drawn last, up to `MEMORY` bytes together; threads and generators may share it."""

    def __init__(self) -> None:
        self._depths: LRUCache[bytes, Depth] = LRUCache(MEMORY, lambda depth: depth.features.nbytes + depth.image.nbytes)
        self._lock = Lock()

    def get(self, key: bytes) -> Depth | None:
        with self._lock:
            return self._depths.get(key)

    def keep(self, key: bytes, depth: Depth) -> None:
        with self._lock:
            if self._depths.getsizeof(depth) <= MEMORY:
                self._depths[key] = depth


class Remembering:
    """Draws with a folded generator, and goes on from the last block up to which everything is as it was in a picture before.

    Whoever moves a fine block's dial, or style, waits for that block and those behind it only. ``name`` tells generators apart that share a memory.
    """

    def __init__(self, generator: FoldedGenerator, name: str, memory: Memory) -> None:
        self.generator, self.name, self.memory = generator, name.encode(), memory

    def synthesise(self, w: Tensor, gains: Tensor) -> Tensor:
        """w [N, blocks, w_dim], gains [N, blocks] -> image [N, image_channels, R, R]."""
        keys = list(self._keys(w, gains))
        known = next((depth for key in reversed(keys) if (depth := self.memory.get(key))), None)
        for depth in self.generator.depths(w, gains, known):
            if depth.block < len(keys):
                self.memory.keep(keys[depth.block], depth)
            known = depth
        assert known is not None
        return known.image

    def _keys(self, w: Tensor, gains: Tensor) -> Iterator[bytes]:
        """What tells apart all that the picture up to each block hangs on; of the last block none, since nothing is left to draw behind it."""
        digest = blake2b(self.name, digest_size=16)
        for styles, gain in zip(w.cpu().unbind(1)[:-1], gains.cpu().unbind(1)[:-1], strict=True):
            digest.update(styles.numpy().tobytes())
            digest.update(gain.numpy().tobytes())
            yield digest.digest()
