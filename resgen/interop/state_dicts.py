"""State dicts of others, read layer by layer: spectral norms folded, batch norms as `LinearNorm`, names made ours."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

StateDict = dict[str, Tensor]
_IDLE = re.compile(r"(^|\.)(num_batches_tracked|Kernel|sv0)$")  # what norms note; R3GAN's filters, which are those of its paper
_PARTS = {"original": "orig", "0._u": "u", "0._v": "v"}  # torch.nn.utils.parametrizations.spectral_norm, torch.nn.utils.spectral_norm
_PARAMETRIZED = re.compile(r"\bparametrizations\.(\w+)\.(original|0\._u|0\._v)$")


class Watched(dict[str, Tensor]):
    """A state dict that knows which of its tensors have been read."""

    def __init__(self, state: StateDict) -> None:
        super().__init__(state)
        self._read = set[str]()

    def __getitem__(self, name: str) -> Tensor:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return super().get(name, default)

    @property
    def unread(self) -> list[str]:
        """The names of those that change what a network draws, and have not been read."""
        return [name for name in self if name not in self._read and not _IDLE.search(name)]


def older_names(state: StateDict) -> StateDict:
    """A state dict whose spectral norms are called as torch first called them, whichever of its two ways made them."""
    return {_PARAMETRIZED.sub(lambda found: f"{found[1]}_{_PARTS[found[2]]}", name): value for name, value in state.items()}


def pick(state: StateDict, name: str, dim: int = 0) -> Tensor:
    """A weight of a state dict, float32; where it is spectrally normalised (Miyato et al. 2018), what the norm makes of it.

    ``dim`` is that of its outputs: 1 for a transposed convolution. Raises KeyError where there is none.
    """
    raw, u, v = (f"{name}_{part}" for part in ("orig", "u", "v"))
    if raw in state:
        weight = state[raw].float()
        matrix = weight.transpose(0, dim).flatten(1)
        return weight / torch.dot(state[u].float(), matrix @ state[v].float())
    return state[name].float()


def statistics(mean: Tensor, variance: Tensor, epsilon: float) -> StateDict:
    """What a `LinearNorm` normalises by."""
    return {"mean": mean.float(), "deviation": (variance.float() + epsilon).sqrt()}


def plain_norm(state: StateDict, name: str, epsilon: float) -> StateDict:
    """A batch norm of torch's as a `LinearNorm` without a condition; one without scale and shift has those of nothing."""
    found = statistics(state[f"{name}.running_mean"], state[f"{name}.running_var"], epsilon)
    scale, shift = state.get(f"{name}.weight", torch.ones_like(found["mean"])), state.get(f"{name}.bias", torch.zeros_like(found["mean"]))
    return found | {"bias": torch.cat([scale.float(), shift.float()])}


def conditional(scale: Tensor, shift: Tensor) -> StateDict:
    """What a `LinearNorm` makes of its condition, of [channels, condition] each: a scale beside one, a shift beside nothing."""
    return {"weight": torch.cat([scale, shift]), "bias": torch.cat([scale.new_ones(len(scale)), shift.new_zeros(len(shift))])}


def attention_of(weight: Callable[[str], Tensor], strength: Tensor, out: str = "o") -> StateDict:
    """A `PooledAttention` of what its ``weight`` of a part is, named as its paper has them (Zhang et al. 2019), but for that of its result."""
    names = (("query", "theta"), ("key", "phi"), ("value", "g"), ("out", out))
    return {f"{ours}.weight": weight(theirs) for ours, theirs in names} | {"strength": strength.float().view(1)}


def named(prefix: str, tensors: StateDict) -> StateDict:
    """Tensors under longer names."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def layer(state: StateDict, name: str) -> StateDict:
    """Weight and bias of a linear layer or a convolution."""
    return {"weight": pick(state, f"{name}.weight"), "bias": state[f"{name}.bias"].float()}


def before_tanh(layer: StateDict, output: str) -> StateDict:
    """The layer of an image that ours end with tanh, where theirs may be said to end with sigmoid: 2 sigmoid(x) - 1 = tanh(x / 2)."""
    return {name: value / 2 for name, value in layer.items()} if output == "sigmoid" else layer
