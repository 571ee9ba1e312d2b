"""Readers of DCGANs by their shapes alone: rows of convolutions of any depth, with or without biases and norms, under any names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.fields import is_list
from resgen.interop.conv_chain import PLAIN, TRANSPOSED, ConvChainConfig
from resgen.interop.layers import ACTIVATIONS
from resgen.interop.reading import ImportOptions, Reading, asked_output
from resgen.interop.states import State, pick

LINEAR = "linear"
EPSILON = 1e-5  # torch's default
STEPS = {(PLAIN, 1): (1, 0), (PLAIN, 3): (1, 1), (PLAIN, 5): (1, 2), (TRANSPOSED, 2): (2, 0), (TRANSPOSED, 4): (2, 1), (TRANSPOSED, 6): (2, 2)}
COURSE = ((3, 4, 3, 4), (2, 1, 2, 2))  # kernels of a course's DCGAN for MNIST, which many have copied, and its strides, without padding


@dataclass(frozen=True)
class Layer:
    """A convolution or a linear layer, a norm after it folded into it."""

    kind: str
    weight: Tensor  # [out, in, k, k]; transposed: [in, out, k, k]; linear: [out, in]
    bias: Tensor  # [out]

    def __post_init__(self) -> None:
        if self.bias.shape != (self.weight.shape[int(self.kind == TRANSPOSED)],) or not self.weight.numel():
            raise ValueError("an empty layer, or a bias of another size")

    def normed(self, state: State, name: str, epsilon: float = EPSILON) -> "Layer":
        """The same, and a batch norm after it; of a linear layer's output, each channel's pixels have one."""
        deviation = (state[f"{name}.running_var"].float() + epsilon).sqrt()
        scale = state[f"{name}.weight"].float() / deviation if f"{name}.weight" in state else 1 / deviation
        shift = state[f"{name}.bias"].float() if f"{name}.bias" in state else torch.zeros_like(scale)
        if scale.ndim != 1 or not len(scale) or shift.shape != scale.shape:
            raise ValueError("a norm of another size than its layer")
        pixels = len(self.bias) // len(scale)
        scale, shift, mean = (values.repeat_interleave(pixels) for values in (scale, shift, state[f"{name}.running_mean"].float()))
        shape = [1] * self.weight.ndim
        shape[int(self.kind == TRANSPOSED)] = -1
        return replace(self, weight=self.weight * scale.view(shape), bias=(self.bias - mean) * scale + shift)


def sniff(state: State) -> bool:
    """Whether these tensors are a row of convolutions that begins with one pixel of noise, or with a linear layer, and ends with an image."""
    try:
        layers = _layers(state)
    except (KeyError, ValueError, RuntimeError, IndexError, StopIteration, TypeError, ArithmeticError):
        return False
    enlarging = any(layer.kind == TRANSPOSED for layer in layers)  # else what does it, between plain ones, is not in the file
    return len(layers) > 1 and enlarging and len(layers[-1].bias) in (1, 3)


def read(state: State, asked: ImportOptions) -> Reading:
    linear, layers = split(_layers(state))
    activations = _activations(len(layers) - (linear is None), asked.settings)
    strides, paddings = _steps(layers, linear is not None, asked.settings)
    config = ConvChainConfig(
        image_channels=len(layers[-1].bias),
        **stem_of(linear, layers, activations[0]),
        kinds=tuple(layer.kind for layer in layers),
        widths=tuple(len(layer.bias) for layer in layers),
        kernels=tuple(layer.weight.shape[-1] for layer in layers),
        strides=strides,
        paddings=paddings,
        activations=(*activations[len(activations) - len(layers) + 1 :], asked_output(asked)),
    )
    return Reading(config, weights_of(linear, layers))


def split(layers: list[Layer]) -> tuple[Layer | None, list[Layer]]:
    """A linear layer at the beginning, if there is one, and the rest."""
    return (layers[0], layers[1:]) if layers[0].kind == LINEAR else (None, layers)


def stem_of(linear: Layer | None, layers: Sequence[Layer], activation: str) -> dict[str, Any]:
    """The settings of what comes before the first convolution."""
    first = layers[0].weight.shape[int(layers[0].kind != TRANSPOSED)]
    if linear is None:
        return {"z_dim": first}
    side = math.isqrt(len(linear.bias) // first)
    return {"z_dim": linear.weight.shape[1], "stem_width": first, "base_resolution": side, "stem_activation": activation}


def weights_of(linear: Layer | None, layers: Sequence[Layer]) -> State:
    """The state dict of a `ConvChain`."""
    weights: State = {} if linear is None else {"project.weight": linear.weight, "project.bias": linear.bias}
    for index, layer in enumerate(layers):
        weights |= {f"layers.{index}.weight": layer.weight, f"layers.{index}.bias": layer.bias}
    return weights


def _layers(state: State) -> list[Layer]:
    """The convolutions in their order. Raises what a wrong shape raises for anything else."""
    layers, after_norm = list[Layer](), False
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    for name in names:
        if f"{name}.running_mean" in state:
            if after_norm:
                raise ValueError("norms that do not follow their convolutions")
            layers[-1], after_norm = layers[-1].normed(state, name), True
            continue
        after_norm = False
        weight = next(state[key] for key in (f"{name}.weight", f"{name}.weight_orig") if key in state)
        if weight.ndim == 2 and not layers:
            layers.append(linear_of(state, name))
        elif weight.ndim == 4 and weight.shape[2] == weight.shape[3]:
            layers.append(_convolution(state, name, weight, layers))
        else:
            raise ValueError("not a convolution")
    return layers


def _convolution(state: State, name: str, weight: Tensor, layers: Sequence[Layer]) -> Layer:
    """Shapes tell transposed ones from plain ones; where both would do, the size of the kernel: even ones are transposed."""
    first, second, side, _ = weight.shape
    if layers and layers[-1].kind == LINEAR:
        before = next(size for size in (second, first) if math.isqrt(len(layers[-1].bias) // size) ** 2 * size == len(layers[-1].bias))
    else:
        before = len(layers[-1].bias) if layers else first
    if before not in (first, second):
        raise ValueError("not in a row")
    kind = TRANSPOSED if first == before and (second != before or side % 2 == 0) else PLAIN
    out = second if kind == TRANSPOSED else first
    bias = state.get(f"{name}.bias")
    return Layer(kind, pick(state, f"{name}.weight", dim=int(kind == TRANSPOSED)), torch.zeros(out) if bias is None else bias.float())


def linear_of(state: State, name: str) -> Layer:
    """A linear layer of a state dict."""
    weight, bias = pick(state, f"{name}.weight"), state.get(f"{name}.bias")
    return Layer(LINEAR, weight, torch.zeros(len(weight)) if bias is None else bias.float())


def _steps(layers: Sequence[Layer], begun: bool, settings: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Strides and paddings, where a linear layer has ``begun``, or one pixel has: those said, else those that kernels of this size have by custom. Raises CheckpointError where there is no custom."""
    kernels = tuple(layer.weight.shape[-1] for layer in layers)
    said = tuple(settings.get(name) for name in ("strides", "paddings"))
    if all(is_list(values) and len(values) == len(layers) and all(type(value) is int for value in values) for values in said):
        return tuple(said[0] or ()), tuple(said[1] or ())
    if kernels == COURSE[0] and all(layer.kind == TRANSPOSED for layer in layers):
        return COURSE[1], (0,) * len(layers)
    found = [STEPS.get((layer.kind, kernel), (0, 0)) for layer, kernel in zip(layers, kernels, strict=True)]
    found[0] = found[0] if begun else (1, 0)
    if (0, 0) in found:
        raise CheckpointError(
            f"The file does not say by what steps its kernels of {', '.join(map(str, kernels))} pixels go; "
            f"say it in a --config file: strides and paddings, lists of {len(layers)} whole numbers."
        )
    return tuple(stride for stride, _ in found), tuple(padding for _, padding in found)


def _activations(count: int, settings: dict[str, Any]) -> tuple[str, ...]:
    """Those said of all layers but the last, one or a list; else ReLU, as the paper has it. Raises CheckpointError."""
    said = settings.get("activation", "relu")
    names = said if is_list(said) else [said] * count
    if len(names) != count or any(name not in ACTIVATIONS for name in names):
        raise CheckpointError(f"The configuration's activation must be one, or a list of {count}, of: {', '.join(ACTIVATIONS)}.")
    return tuple(names)
