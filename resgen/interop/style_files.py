"""What readers of StyleGAN's files share: what a network's object says of itself, and tensors made into weights of ours."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.architecture import check_ranges
from resgen.errors import CheckpointError
from resgen.interop.pickles import Plain, StoredArray
from resgen.interop.state_dicts import StateDict
from resgen.interop.style import ACTIVATION_GAIN, LEAK, MAX_LAYERS
from resgen.interop.stylegan2 import binomial_taps

SLOWED = 0.01  # the learning rate of the mapping network's layers, of the others' (Karras et al. 2019, section 2)
PROJECTION = "embed_proj"  # a layer after the embedding of a class in StyleGAN-XL (Sauer et al. 2022)


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

    def whole(self, name: str) -> int:
        value = self.number(name)
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

    def __init__(self, stored: StateDict) -> None:
        self.stored = stored
        self.weights: StateDict = {}

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

    def equalised(self, ours: str, theirs: str, rate: float = 1.0) -> None:
        """A linear layer whose gain follows from its shape, and from a learning ``rate`` that is its own."""
        weight = self.take(f"{theirs}.weight")
        self.weights[f"{ours}.weight"] = weight * rate / root_of_inputs(weight)
        self.weights[f"{ours}.bias"] = self.take(f"{theirs}.bias") * rate


Gains = Callable[[str], tuple[float, float]]  # the name of a layer -> what its weight and its bias are multiplied by at each pass


class NamedFolding(Folding):
    """The same for files with NVIDIA's names."""

    def __init__(self, stored: StateDict, gains: Gains) -> None:
        super().__init__(stored)
        self.gains = gains

    def linear(self, ours: str, theirs: str, factor: float = 1.0) -> None:
        weight, bias = self.gains(theirs)
        self.copy(f"{ours}.weight", f"{theirs}.weight", weight * factor)
        self.copy(f"{ours}.bias", f"{theirs}.bias", bias * factor)

    def mapping(self, layers: int, class_layer: str) -> None:
        """The layers from z to w, and the one that makes of a class what is joined with noise, if there is one."""
        if class_layer:
            self.linear("mapping.embed", f"mapping.{class_layer}")
        for index in range(layers):
            self.linear(f"mapping.layers.{index}", f"mapping.fc{index}")

    def mean_w(self, num_classes: int) -> Tensor:
        """The average w of each class, of which the original has one for all, and StyleGAN-XL its own: [max(1, classes), w_dim]."""
        return self.take("mapping.w_avg").expand(max(1, num_classes), -1)


def root_of_inputs(weight: Tensor) -> float:
    """Of an equalised layer (Karras et al. 2018, section 4.1): what its weight [out, in, ...] is divided by at each pass."""
    return math.sqrt(weight[0].numel())


def gains_of(whole: Settings) -> Gains:
    """The gains that the layers of a network's object say of themselves."""

    def gains(name: str) -> tuple[float, float]:
        layer = whole
        for part in name.split("."):
            layer = layer.part(part)
        return layer.number("weight_gain"), layer.number("bias_gain", 1)

    return gains


def fold_mapping(folding: NamedFolding, settings: Settings, layers: int) -> None:
    name = _class_layer(settings)
    folding.mapping(layers, name)
    if name == PROJECTION:
        _embed_each(folding, settings)
    elif not name and settings.has("embed"):
        folding.take("mapping.embed.weight")  # StyleGAN-XL keeps embeddings where nothing reads them


def _embed_each(folding: NamedFolding, settings: Settings) -> None:
    """An embedding of each class in the place of the layer that makes it of another one."""
    settings.part(PROJECTION).expect("activation", "lrelu")
    table, weights = folding.take("mapping.embed.weight")[: settings.whole("c_dim")], folding.weights
    made = F.leaky_relu(F.linear(table, weights["mapping.embed.weight"], weights["mapping.embed.bias"]), LEAK) * ACTIVATION_GAIN
    weights |= {"mapping.embed.weight": made.T.contiguous(), "mapping.embed.bias": made.new_zeros(made.shape[1])}


def check_filter(found: Tensor, gain: float = 1.0) -> None:
    """Refuse a filter other than StyleGAN2's times a ``gain``. Raises CheckpointError."""
    taps = binomial_taps()
    if found.shape != (4, 4) or not torch.allclose(found.float(), taps.outer(taps) * gain, atol=1e-4):
        raise CheckpointError("The generator resamples with another filter than this version can; only [1, 3, 3, 1] is known.")


def mapping_sizes(settings: Settings, stored: StateDict) -> tuple[tuple[int, ...], int]:
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


def _rows(stored: StateDict, name: str) -> int:
    value = stored.get(name)
    if value is None or value.ndim != 2:
        raise CheckpointError(f"The file lacks the generator's {name}; fetch it again.")
    return value.shape[0]
