"""A generator that is a graph of operators kept as data: what an ONNX file describes, without the file and without its runtime."""

import json
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from resgen.architecture import MAX_CLASSES, Described, Generator, check_sizes
from resgen.budget import MAX_BLOCKS, MAX_RESOLUTION, MAX_WIDTH
from resgen.errors import CheckpointError, why
from resgen.fields import is_list, is_table
from resgen.interop.graph_ops import MAX_DIMENSIONS, MAX_NUMBERS, MAX_PADDED, OPERATORS, GraphError, ShapeInference, apply_operator

NONE, WEIGHTS, INDEX = CLASS_INPUTS = ("none", "weights", "index")
MAX_STEERING = 65_536  # numbers of a constant that steers shapes


@dataclass(frozen=True)
class Node:
    """One operator: y, ... = operator(x, ..., attributes)."""

    operator: str
    inputs: tuple[str, ...]  # '' where one is left out
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class Constant:
    """A tensor that is given: a weight of the checkpoint, or numbers written here, which steer shapes."""

    name: str
    shape: tuple[int, ...]
    numbers: list[int] | list[float] | None


@dataclass(frozen=True)
class GraphConfig(Described):
    """The graph of a `GraphGenerator`; w is z, then class weights, and all blocks have the same."""

    num_classes: int = 0
    image_channels: int = 3
    noise_shape: tuple[int, ...] = (100,)  # of one image's z
    noise_input: str = "z"
    class_input: str = ""
    class_kind: str = NONE  # what the graph is given of the class: weights, or the index of the greatest
    output: str = "image"
    zero_to_one: bool = False  # the graph's image is in 0..1, not in -1..1
    batch: int = 0  # images that the graph makes at once; 0: any number
    nodes: tuple[str, ...] = ()  # each JSON: [operator, inputs, outputs, attributes]
    constants: tuple[str, ...] = ()  # each JSON: [name, shape, numbers or null]

    family: ClassVar[str] = "graph"
    residual = False
    dials = False
    styled = False

    def __post_init__(self) -> None:
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (self.batch, 0, 1),
            (len(self.noise_shape), 1, 3),
            *((size, 1, MAX_WIDTH) for size in (*self.noise_shape, self.z_dim)),
        ]
        check_sizes(self.image_channels, sizes)
        if self.class_kind not in CLASS_INPUTS or (self.class_kind == NONE) != (self.num_classes == 0):
            raise CheckpointError("The configuration of this graph contradicts itself: classes need an input, and an input needs classes.")
        check_sizes(self.image_channels, [(len(self.block_resolutions), 1, MAX_BLOCKS), (self.resolution, 1, MAX_RESOLUTION)])

    @property
    def z_dim(self) -> int:
        return math.prod(self.noise_shape)

    @property
    def w_dim(self) -> int:
        return self.z_dim + self.num_classes

    @cached_property
    def program(self) -> list[Node]:
        """The nodes in their order. Raises CheckpointError."""
        found = list[Node]()
        for line in self.nodes:
            node = _parse(line, 4)
            operator, inputs, outputs, attributes = node
            if not (isinstance(operator, str) and _are_words(inputs) and _are_words(outputs) and is_table(attributes)):
                raise CheckpointError("A node of this graph is not an operator with names of inputs and outputs.")
            if operator not in OPERATORS:
                raise CheckpointError(f"This graph needs the operator {operator[:40]!r}, which ResGen does not know; export its network without it.")
            found.append(Node(operator, tuple(inputs), tuple(outputs), attributes))
        return found

    @cached_property
    def given(self) -> list[Constant]:
        """The constants. Raises CheckpointError."""
        found = list[Constant]()
        for line in self.constants:
            name, shape, numbers = _parse(line, 3)
            valid = isinstance(name, str) and _are_sizes(shape) and (numbers is None or _are_numbers(numbers))
            if (
                not valid
                or len(shape) > 8
                or math.prod(shape) > MAX_NUMBERS
                or (numbers is not None and not len(numbers) == math.prod(shape) <= MAX_STEERING)
            ):
                raise CheckpointError("A constant of this graph has no name, or another size than it says.")
            found.append(Constant(name, tuple(shape), numbers))
        return found

    @property
    def shown(self) -> tuple[tuple[str, int], ...]:
        """Of each size that features have on their way: the last tensor [N, C, r, r], and r. Raises CheckpointError."""
        return self._followed[0]

    @property
    def features(self) -> int:
        return self._followed[1]

    @cached_property
    def _followed(self) -> tuple[tuple[tuple[str, int], ...], int]:
        """What is `shown`, and the most numbers that one result has, found by a run without numbers. Raises CheckpointError."""
        values = {
            constant.name: torch.empty(constant.shape, device="meta") if constant.numbers is None else written(constant) for constant in self.given
        }
        inputs = {self.noise_input: torch.empty(1, *self.noise_shape, device="meta")}
        if self.class_kind != NONE:
            inputs[self.class_input] = torch.empty(1, self.num_classes, device="meta") if self.class_kind == WEIGHTS else torch.zeros(1).long()
        program, last, most = self.program, dict[int, str](), 0
        image: Any = None
        try:
            for name, value in run(program, values | inputs, ShapeInference()):
                if isinstance(value, Tensor) and value.ndim == 4 and value.shape[0] == 1 < value.shape[2] == value.shape[3]:
                    last.pop(value.shape[2], None)
                    last[value.shape[2]] = name
                image, most = value if name == self.output else image, max(most, value.numel())
        except Exception as error:  # operators fail in many ways
            raise CheckpointError(f"This graph cannot be followed: {why(error)}.") from error
        if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[:2] != (1, self.image_channels) or image.shape[2] != image.shape[3]:
            shape = list(image.shape) if isinstance(image, Tensor) else "nothing"
            raise CheckpointError(f"This graph makes {shape} of one noise; a generator makes one square image of {self.image_channels} channels.")
        sides = sorted((side, name) for side, name in last.items() if side < image.shape[2])
        return (*((name, side) for side, name in sides), (self.output, image.shape[2])), most

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(side for _, side in self.shown)

    def build(self) -> "GraphGenerator":
        return GraphGenerator(self)


def _parse(line: str, parts: int) -> list[Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("This graph is damaged: a part of it is no JSON.") from error
    if not is_list(found) or len(found) != parts:
        raise CheckpointError("This graph is damaged: a part of it has another form than this version reads.")
    return found


def _are_words(raw: Any) -> bool:
    return is_list(raw) and all(isinstance(word, str) for word in raw)


def _are_sizes(raw: Any) -> bool:
    return is_list(raw) and all(type(size) is int and 0 <= size <= MAX_NUMBERS for size in raw)


def _are_numbers(raw: Any) -> bool:
    return is_list(raw) and all(type(number) in (int, float) and -(1 << 63) <= number < 1 << 63 for number in raw)


def written(constant: Constant) -> Tensor:
    """The numbers of a constant that steers, on the CPU: fractions if one of them is, else whole."""
    numbers = constant.numbers or []
    kind = torch.float32 if any(isinstance(number, float) for number in numbers) else torch.int64
    return torch.tensor(numbers, dtype=kind, device="cpu").reshape(constant.shape)


def run(
    program: list[Node], values: dict[str, Any], operate: Callable[..., Any] = apply_operator, kept: Collection[str] = ()
) -> Iterator[tuple[str, Any]]:
    """Each result's name and value, in the order of the graph; ``values`` holds inputs and constants, and gathers those results that are ``kept``,
    and others as long as they are read.
    """
    last_read = {name: index for index, node in enumerate(program) for name in node.inputs}
    for index, node in enumerate(program):
        result = operate(node.operator, [values[name] if name else None for name in node.inputs], node.attributes | {"outputs": len(node.outputs)})
        for name, value in zip(node.outputs, result if isinstance(result, tuple) else (result,), strict=False):
            if value.ndim > MAX_DIMENSIONS:
                raise GraphError(f"it makes a tensor of {value.ndim} dimensions")
            if value.numel() > MAX_NUMBERS * max([1, *value.shape[:1]]):
                raise GraphError(f"it makes a tensor of {' x '.join(map(str, value.shape))} numbers")
            values[name] = value
            yield name, value
        for name in {*node.inputs, *node.outputs} - {*kept}:
            if last_read.get(name, index) <= index:
                values.pop(name, None)


class GraphGenerator(Generator):
    """Runs the graph; its blocks are the sizes that features have on their way."""

    def __init__(self, config: GraphConfig) -> None:
        super().__init__()
        self.config: GraphConfig = config
        for index, constant in enumerate(config.given):
            if constant.numbers is None:
                self.register_buffer(f"constant{index}", torch.zeros(constant.shape))

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        if not self.config.num_classes:
            return self.for_each_block(z)
        assert class_weights is not None, "a conditional generator needs class weights"
        return self.for_each_block(torch.cat([z, class_weights], dim=1))

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        parts = [self._features(part) for part in self._parts(w)]
        for place in range(len(parts[0])):
            features = torch.cat([part[place] for part in parts])
            yield features, features if place == len(parts[0]) - 1 else None

    def first_features(self, w: Tensor) -> Tensor:
        """Without what the graph makes of them."""
        name = self.config.shown[0][0]
        return torch.cat([next(value for made, value in run(self.config.program, self._given(part)) if made == name) for part in self._parts(w)])

    def _parts(self, w: Tensor) -> tuple[Tensor, ...]:
        """Latents [N, w_dim] of as many images as the graph makes at once, and no tensor grows too large."""
        return self.for_each_block(w)[:, 0].split(self.config.batch or max(1, MAX_NUMBERS // MAX_PADDED // max(1, self.config.features)))

    def _features(self, w: Tensor) -> list[Tensor]:
        config, values = self.config, self._given(w)
        names = [name for name, _ in config.shown]
        for _ in run(config.program, values, kept=names):
            pass
        found = [values[name] for name in names]
        return [*found[:-1], 2 * found[-1] - 1 if config.zero_to_one else found[-1]]

    def _given(self, w: Tensor) -> dict[str, Any]:
        """Constants and inputs by their names."""
        config, values = self.config, dict[str, Any]()
        for index, constant in enumerate(config.given):
            values[constant.name] = getattr(self, f"constant{index}") if constant.numbers is None else written(constant)
        values[config.noise_input] = w[:, : config.z_dim].reshape(len(w), *config.noise_shape)
        if config.class_kind != NONE:
            weights = w[:, config.z_dim :]
            values[config.class_input] = weights if config.class_kind == WEIGHTS else weights.argmax(dim=1)
        return values

    def layers_of_w(self) -> list[Tensor]:
        """None: a graph does not say which of its constants are layers."""
        return []
