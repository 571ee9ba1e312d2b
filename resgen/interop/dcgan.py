"""Readers of DCGANs by their shapes alone: rows of convolutions of any depth, with or without biases and norms, under any names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from resgen.budget import MAX_WIDTH
from resgen.errors import CheckpointError
from resgen.fields import is_list
from resgen.interop.conv_chain import ENLARGED, KINDS, PLAIN, TRANSPOSED, ConvChainConfig
from resgen.interop.layers import ACTIVATIONS
from resgen.interop.reading import ImportOptions, Reading, UnsaidError, asked_output
from resgen.interop.state_dicts import StateDict, pick

SETTINGS = ("activation", "kinds", "strides", "paddings", "output_paddings", "epsilon", "num_classes", "class_at")
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

    @property
    def inputs(self) -> int:
        return self.weight.shape[int(self.kind != TRANSPOSED)]

    def normed(self, state: StateDict, name: str, epsilon: float = EPSILON) -> "Layer":
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

    def class_last(self, count: int, settings: dict[str, Any]) -> "Layer":
        """The same, ``count`` inputs that tell the class brought to the end from where they are said to be. Raises CheckpointError."""
        start = settings.get("class_at", self.inputs - count)
        if "class_at" in settings and not count:
            raise CheckpointError("The configuration's class_at needs num_classes beside it.")
        if type(start) is not int or not 0 <= start <= self.inputs - count:
            raise CheckpointError(
                f"The configuration's class_at must be the place, from 0 to {self.inputs - count}, from which on {count} of the {self.inputs} "
                "numbers that the first layer reads tell the class."
            )
        places = torch.arange(self.inputs)
        order = torch.cat([places[:start], places[start + count :], places[start : start + count]])
        return replace(self, weight=self.weight.index_select(int(self.kind != TRANSPOSED), order))


def sniff(state: StateDict) -> bool:
    """Whether these tensors are a row of convolutions that begins with one pixel of noise, or with a linear layer, and ends with an image, its only one."""
    try:
        layers = _layers(state)
    except (KeyError, ValueError, RuntimeError, IndexError, StopIteration, TypeError, ArithmeticError):
        return False
    enlarging = any(layer.kind in (LINEAR, TRANSPOSED) for layer in layers)  # plain ones alone may as well be a discriminator
    images = [layer for layer in layers if len(layer.bias) in (1, 3)]  # one before the end is what a discriminator behind it looks at
    return len(layers) > 1 and enlarging and len(images) == 1 and images[0] is layers[-1]


def read(state: StateDict, asked: ImportOptions) -> Reading:
    settings = asked.settings
    epsilon = said_epsilon(settings, EPSILON)
    layers = _layers(state, _said_kinds(settings), epsilon)
    classes = said_classes(layers[0], settings)
    linear, layers = split([layers[0].class_last(classes, settings), *layers[1:]])
    steps = _steps(layers, linear is not None, settings)
    activations = _activations(len(layers) - (linear is None), settings)
    config = ConvChainConfig(
        num_classes=classes,
        embedding=classes,
        image_channels=len(layers[-1].bias),
        **stem_of(linear, layers, activations[0], classes),
        kinds=tuple(layer.kind for layer in layers),
        widths=tuple(len(layer.bias) for layer in layers),
        kernels=tuple(layer.weight.shape[-1] for layer in layers),
        **steps,
        activations=(*activations[len(activations) - len(layers) + 1 :], asked_output(asked)),
    )
    normed = {"epsilon": [epsilon]} if any(name.endswith(".running_var") for name in state) else {}
    assumed = {"kinds": config.kinds, "activation": activations, **steps, **normed}
    return Reading(config, weights_of(linear, layers, torch.eye(classes)), remarks=taken_for_granted(assumed, settings))


def taken_for_granted(assumed: dict[str, Sequence[object]], settings: dict[str, Any]) -> tuple[str, ...]:
    """The sentence that tells what was assumed, by the names of settings, where these do not say it."""
    told = [f"{name} {', '.join(map(str, values))}" for name, values in assumed.items() if name not in settings]
    return (f"Such a file does not tell all of its network; assumed are {'; '.join(told)}.",) if told else ()


def split(layers: list[Layer]) -> tuple[Layer | None, list[Layer]]:
    """A linear layer at the beginning, if there is one, and the rest."""
    return (layers[0], layers[1:]) if layers[0].kind == LINEAR else (None, layers)


def stem_of(linear: Layer | None, layers: Sequence[Layer], activation: str, embedding: int) -> dict[str, Any]:
    """The settings of what comes before the first convolution, where the last ``embedding`` of its inputs tell the class."""
    first = layers[0].inputs
    if linear is None:
        return {"z_dim": first - embedding}
    side = math.isqrt(len(linear.bias) // first)
    return {"z_dim": linear.inputs - embedding, "stem_width": first, "base_resolution": side, "stem_activation": activation}


def weights_of(linear: Layer | None, layers: Sequence[Layer], embed: Tensor) -> StateDict:
    """The state dict of a `ConvChain`; embed is [classes, embedding]."""
    weights: StateDict = {} if linear is None else {"project.weight": linear.weight, "project.bias": linear.bias}
    for index, layer in enumerate(layers):
        weights |= {f"layers.{index}.weight": layer.weight, f"layers.{index}.bias": layer.bias}
    return weights | {"embed": embed} if embed.numel() else weights


def said_epsilon(settings: dict[str, Any], usual: float) -> float:
    """What norms add to a variance: what is said, or what is ``usual``. Raises CheckpointError."""
    said = settings.get("epsilon", usual)
    if type(said) not in (int, float) or not 0 <= said <= 1:
        raise CheckpointError("The configuration's epsilon must be a number from 0 to 1, that which norms add to a variance.")
    return said


def _said_kinds(settings: dict[str, Any]) -> Sequence[str]:
    """Kinds of convolutions; none where they are not said. Raises CheckpointError."""
    said = settings.get("kinds", [])
    if not is_list(said) or any(kind not in KINDS for kind in said):
        raise CheckpointError(f"The configuration's kinds must be a list, for each convolution one of: {', '.join(KINDS)}.")
    return said


def said_classes(first: Layer, settings: dict[str, Any]) -> int:
    """How many of the first layer's inputs are a class, one-hot; 0 where it is not said. Raises CheckpointError."""
    said = settings.get("num_classes", 0)
    if type(said) is not int or not 0 <= said < min(first.inputs, MAX_WIDTH):
        raise CheckpointError(
            f"The configuration's num_classes must be a number of classes that are among the {first.inputs} inputs of this network."
        )
    return said


def _layers(state: StateDict, kinds: Sequence[str] = (), epsilon: float = EPSILON) -> list[Layer]:
    """The convolutions in their order, of the ``kinds`` said, if they are. Raises CheckpointError where these do not fit, and what a wrong shape raises for anything else."""
    layers, after_norm, waiting = list[Layer](), False, list(kinds)
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    for name in names:
        if f"{name}.running_mean" in state:
            if after_norm:
                raise ValueError("norms that do not follow their convolutions")
            layers[-1], after_norm = layers[-1].normed(state, name, epsilon), True
            continue
        after_norm = False
        weight = next(state[key] for key in (f"{name}.weight", f"{name}.weight_orig") if key in state)
        if weight.ndim == 2 and not layers:
            layers.append(linear_of(state, name))
        elif weight.ndim == 4 and weight.shape[2] == weight.shape[3]:
            layers.append(_convolution(state, name, weight, layers, waiting.pop(0) if waiting else ""))
        else:
            raise ValueError("not a convolution")
    convolutions = sum(layer.kind != LINEAR for layer in layers)
    if kinds and len(kinds) != convolutions:
        raise CheckpointError(f"The configuration's kinds are {len(kinds)}; this network has {convolutions} convolutions.")
    return layers


def _convolution(state: StateDict, name: str, weight: Tensor, layers: Sequence[Layer], said: str) -> Layer:
    """Shapes tell transposed ones from plain ones; where both would do, what is ``said``, or the size of the kernel: even ones are transposed."""
    first, second, side, _ = weight.shape
    if layers and layers[-1].kind == LINEAR:
        before = next(size for size in (second, first) if math.isqrt(len(layers[-1].bias) // size) ** 2 * size == len(layers[-1].bias))
    else:
        before = len(layers[-1].bias) if layers else first
    if before not in (first, second):
        raise ValueError("not in a row")
    kind = said or (TRANSPOSED if first == before and (second != before or side % 2 == 0) else PLAIN)
    if before != (first if kind == TRANSPOSED else second):
        raise CheckpointError(f"The configuration says that {name} is {kind}, but its weights have another order; say what it is, or nothing.")
    out = second if kind == TRANSPOSED else first
    bias = state.get(f"{name}.bias")
    return Layer(kind, pick(state, f"{name}.weight", dim=int(kind == TRANSPOSED)), torch.zeros(out) if bias is None else bias.float())


def linear_of(state: StateDict, name: str) -> Layer:
    """A linear layer of a state dict."""
    weight, bias = pick(state, f"{name}.weight"), state.get(f"{name}.bias")
    return Layer(LINEAR, weight, torch.zeros(len(weight)) if bias is None else bias.float())


def _steps(layers: Sequence[Layer], begun: bool, settings: dict[str, Any]) -> dict[str, Any]:
    """Strides, paddings and output paddings, where a linear layer has ``begun``, or one pixel has: those said, else those that kernels of this size have by custom.

    Raises UnsaidError where there is no custom, CheckpointError where what is said does not fit.
    """
    kernels = tuple(layer.weight.shape[-1] for layer in layers)
    strides, paddings, ends = (_said_numbers(settings, name, len(layers)) for name in ("strides", "paddings", "output_paddings"))
    more = {"output_paddings": ends} if any(ends) else {}
    if bool(strides) != bool(paddings):
        raise CheckpointError("The configuration says strides or paddings alone; say both, of each convolution.")
    if strides:
        return {"strides": strides, "paddings": paddings, **more}
    if kernels == COURSE[0] and all(layer.kind == TRANSPOSED for layer in layers):
        return {"strides": COURSE[1], "paddings": (0,) * len(layers), **more}
    if not any(layer.kind in (TRANSPOSED, ENLARGED) for layer in layers):
        raise UnsaidError(
            "The file does not say before which of its convolutions pixels are doubled; say it in a --config file: "
            f"kinds, a list of {len(layers)} words, each one of: {', '.join(KINDS)}."
        )
    found = [STEPS.get((PLAIN if layer.kind == ENLARGED else layer.kind, kernel), (0, 0)) for layer, kernel in zip(layers, kernels, strict=True)]
    found[0] = found[0] if begun else (1, 0)
    if (0, 0) in found:
        raise UnsaidError(
            f"The file does not say by what steps its kernels of {', '.join(map(str, kernels))} pixels go; say it in a --config file: "
            f"strides, paddings and, where there are some, output_paddings, lists of {len(layers)} whole numbers."
        )
    return {"strides": tuple(stride for stride, _ in found), "paddings": tuple(padding for _, padding in found), **more}


def _said_numbers(settings: dict[str, Any], name: str, count: int) -> tuple[int, ...]:
    """A list of ``count`` numbers that a setting says; () where it is not there. Raises CheckpointError."""
    if name not in settings:
        return ()
    said = settings[name]
    if not is_list(said) or len(said) != count or any(type(value) is not int for value in said):
        raise CheckpointError(f"The configuration's {name} must be a list of {count} whole numbers, one of each convolution.")
    return tuple(said)


def _activations(count: int, settings: dict[str, Any]) -> tuple[str, ...]:
    """Those said of all layers but the last, one or a list; else ReLU, as the paper has it. Raises CheckpointError."""
    said = settings.get("activation", "relu")
    names = said if is_list(said) else [said] * count
    if len(names) != count or any(not isinstance(name, str) or name not in ACTIVATIONS for name in names):
        raise CheckpointError(f"The configuration's activation must be one, or a list of {count}, of: {', '.join(ACTIVATIONS)}.")
    return tuple(names)
