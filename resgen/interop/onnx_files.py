"""Reader of ONNX files: any generator z [N, D] or [N, D, 1, 1], and a class if there is one, -> image, made of operators that are known here."""

import json
import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resgen.architecture import MAX_ENTRIES
from resgen.errors import CheckpointError
from resgen.interop.graph import INDEX, MAX_STEERING, NONE, WEIGHTS, GraphConfig
from resgen.interop.graph_ops import FLOATS, STEERED, apply_operator
from resgen.interop.reading import ImportOptions, Reading, asked_output

SETTINGS = ("noise_input",)
NOISE = {"z", "noise", "latent", "latents"}  # words of the name of an input that is noise
UNSAID = 0  # ONNX's number of no type
LIMITS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}  # between which an image is that is said to end so
BYTES = (0.0, 255.0)  # limits of an image that only has to be divided
ENDS = {"Tanh": LIMITS["tanh"], "Sigmoid": LIMITS["sigmoid"]}
SHAPING = {"Cast", "Identity", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"}  # operators that leave numbers as they are
SCALING: dict[str, Callable[[float, float], float]] = {"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul, "Div": operator.truediv}
NOISY = {"RandomNormal", "RandomNormalLike"}
FIXED = "It draws noise of its own between its layers, which is one and the same for all images here."
MAX_ONNX = 1 << 31  # bytes: protocol buffers hold no more


def read_onnx(path: Path, asked: ImportOptions) -> Reading:
    """The graph of a file as data. Raises CheckpointError, or whatever a malformed file trips it over."""
    model, onnx = _parse(path)
    graph = model.graph
    _check_kept(model, path, onnx)
    values = _values(graph, onnx, path)
    noise, label, remarks = _inputs(graph, values, asked, path)
    classes, class_input, kind = (0, "", NONE) if label is None else _class_of(label, graph, values, path, onnx)
    channels = _channels(graph, path, onnx)
    zero_to_one = _zero_to_one(graph, values, asked, path, onnx)
    constants, weights = _constants(values, graph)
    images = _dims(noise)[0]
    try:
        config = GraphConfig(
            num_classes=classes,
            image_channels=channels,
            noise_shape=tuple(_dims(noise)[1:]),
            noise_input=noise.name,
            class_input=class_input,
            class_kind=kind,
            output=graph.output[0].name,
            zero_to_one=zero_to_one,
            batch=1 if images == 1 else 0,
            nodes=_nodes(graph, onnx),
            constants=constants,
        )
    except CheckpointError as error:
        if images > 1:
            raise CheckpointError(f"{error} {path.name} makes {images} images at once: export it with one image's noise, or any number's.") from error
        raise
    noisy = any(node.op_type in NOISY for node in graph.node)
    return Reading(config, weights, remarks=(*remarks, FIXED) if noisy else remarks)


def _check_kept(model: Any, path: Path, onnx: Any) -> None:
    """Refuse a file that a checkpoint cannot keep whole. Raises CheckpointError."""
    graph = model.graph
    constants = len(graph.initializer) + sum(node.op_type == "Constant" for node in graph.node)
    if max(constants, len(graph.node) + len(graph.initializer) - constants) > MAX_ENTRIES:
        raise CheckpointError(f"{path.name} has {len(graph.node):,} operators, more than a checkpoint can tell of: export a simpler network.")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(graph)):
        raise CheckpointError(f"{path.name} keeps its weights in other files, which are not opened; save it with all its data inside.")
    if model.functions or any(node.domain not in ("", "ai.onnx") for node in graph.node) or len(graph.sparse_initializer):
        raise CheckpointError(f"{path.name} uses operators beyond those of ONNX itself; export its network with plain operators.")


def _parse(path: Path) -> tuple[Any, Any]:
    import onnx  # here, since few files are of this kind

    if path.stat().st_size > MAX_ONNX:
        raise CheckpointError(f"{path.name} is larger than an ONNX file can be.")
    try:
        return onnx.load(path, load_external_data=False), onnx
    except Exception as error:  # protocol buffers fail in many ways
        raise CheckpointError(f"{path.name} is damaged or not whole: it cannot be read as ONNX. Copy or download it again.") from error


def _tensors(graph: Any) -> list[Any]:
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    return [*graph.initializer, *(tensor for attribute in attributes for tensor in (attribute.t, *attribute.tensors))]


def _values(graph: Any, onnx: Any, path: Path) -> dict[str, np.ndarray]:
    """The constants by name. Raises CheckpointError for a graph that has others within it."""
    if any(attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for node in graph.node for attribute in node.attribute):
        raise CheckpointError(f"{path.name} branches or loops while it runs; export its network with fixed shapes (dynamo=True).")
    values = {tensor.name: _array(tensor, onnx) for tensor in graph.initializer}
    return values | {node.output[0]: _constant(_attributes(node, onnx), onnx) for node in graph.node if node.op_type == "Constant"}


def _array(tensor: Any, onnx: Any) -> np.ndarray:
    """Its numbers; those of bfloat16, which NumPy has not, as float32."""
    array = onnx.numpy_helper.to_array(tensor)
    return array.astype(np.float32) if tensor.data_type in FLOATS and array.dtype.kind != "f" else array


def _attributes(node: Any, onnx: Any) -> dict[str, Any]:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _nodes(graph: Any, onnx: Any) -> tuple[str, ...]:
    """The nodes as JSON, but for constants; each that makes noise makes its own."""
    found = list[str]()
    for node in graph.node:
        if node.op_type != "Constant":
            plain = {name: _plain(value, onnx) for name, value in _attributes(node, onnx).items()}
            plain |= {"seed": len(found)} if node.op_type in NOISY else {}
            found.append(json.dumps([node.op_type, list(node.input), list(node.output), plain]))
    return tuple(found)


def _constant(attributes: dict[str, Any], onnx: Any) -> np.ndarray:
    (name, value), *_ = attributes.items()
    if name == "value":
        return _array(value, onnx)
    return np.asarray(value, np.float32 if "float" in name else np.int64)


def _plain(value: Any, onnx: Any) -> Any:
    """An attribute as JSON."""
    if isinstance(value, onnx.TensorProto):
        return _array(value, onnx).reshape(-1)[:1].tolist()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float):
        return value
    return [_plain(part, onnx) for part in value]


def _constants(values: dict[str, np.ndarray], graph: Any) -> tuple[tuple[str, ...], dict[str, torch.Tensor]]:
    """Each constant as JSON, and as weights those with fractions that do not steer."""
    lines, weights = list[str](), dict[str, torch.Tensor]()
    steering = {name for node in graph.node if node.op_type in STEERED for name in node.input[STEERED[node.op_type] :]}
    for index, (name, value) in enumerate(values.items()):
        floating = np.issubdtype(value.dtype, np.floating)
        if floating and name not in steering:
            lines.append(json.dumps([name, list(value.shape), None]))
            weights[f"constant{index}"] = torch.from_numpy(np.array(value, np.float32))
        else:
            numbers = [float(number) if floating else int(number) for number in value.reshape(-1)[: MAX_STEERING + 1]]
            lines.append(json.dumps([name, list(value.shape), numbers]))
    return tuple(lines), weights


def _dims(value: Any) -> list[int]:
    """Sizes of an input or output; 0: any."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _channels(graph: Any, path: Path, onnx: Any) -> int:
    """Of an image [N, C, R, R], where the file says them, else 3; one whose channels are last gets them first. Raises CheckpointError."""
    if len(graph.output) != 1:
        raise CheckpointError(f"{path.name} has {len(graph.output)} outputs; a generator has one, the image.")
    if graph.output[0].type.tensor_type.elem_type not in (UNSAID, *FLOATS):
        raise CheckpointError(f"{path.name} makes whole numbers; export its network before its images are made bytes.")
    dims = _dims(graph.output[0])
    if len(dims) == 4 and dims[3] in (1, 3) and dims[1] not in (1, 3):
        _append(graph, onnx.helper.make_node("Transpose", [graph.output[0].name], ["channels first"], perm=[0, 3, 1, 2]))
        return dims[3]
    return dims[1] or 3 if len(dims) == 4 else 3


def _append(graph: Any, node: Any) -> None:
    """Let a node make the image of what was the image."""
    graph.node.append(node)
    graph.output[0].name = node.output[0]


def _is_float(value: Any) -> bool:
    return value.type.tensor_type.elem_type in FLOATS


def _inputs(graph: Any, values: dict[str, np.ndarray], asked: ImportOptions, path: Path) -> tuple[Any, Any | None, tuple[str, ...]]:
    """Noise, a class if there is one, and which is which where both could be noise. Raises CheckpointError."""
    inputs = [value for value in graph.input if value.name not in values]
    told = {value.name: f"{value.name[:40]!r} {_dims(value)[1:]}" for value in inputs}
    floats = {value.name: value for value in inputs if _is_float(value) and len(_dims(value)) in (2, 3, 4) and all(_dims(value)[1:])}
    noise = {name: value for name, value in floats.items() if len(inputs) <= 2 and not _tables(value, graph, values)}
    if not noise:
        raise CheckpointError(
            f"{path.name} has the inputs {', '.join(told.values()) or 'none'}, of one image; export its network with noise alone, or noise and a class."
        )
    name = noise_of(list(noise), asked)
    label = next((value for value in inputs if value.name != name), None)
    unsaid = label is not None and label.name in noise and "noise_input" not in asked.settings
    return noise[name], label, (f"Its noise is taken to be {told[name]}, its class {told[label.name]}.",) if label is not None and unsaid else ()


def noise_of(names: Sequence[str], asked: ImportOptions) -> str:
    """Which input is noise: the one that is said, else one that is called so, else the first. Raises CheckpointError where there is none."""
    said = asked.settings.get("noise_input")
    if said is not None and said not in names:
        raise CheckpointError(f"The configuration's noise_input must be one of: {', '.join(names)}.")
    return said or next((name for name in names if not NOISE.isdisjoint(re.findall("[a-z]+", name.lower()))), names[0])


def _tables(label: Any, graph: Any, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Those whose rows an input is looked up in, behind operators that leave its numbers as they are."""
    names, tables = {label.name}, list[np.ndarray]()
    for node in graph.node:
        if node.op_type in SHAPING and node.input[0] in names:
            names.update(node.output)
        elif node.op_type == "Gather" and node.input[1] in names and node.input[0] in values:
            tables.append(values[node.input[0]])
    return tables


def _class_of(label: Any, graph: Any, values: dict[str, np.ndarray], path: Path, onnx: Any) -> tuple[int, str, str]:
    """How many classes there are, the size of weights or the rows of tables; the input that is given the class; and what of it. Raises CheckpointError."""
    dims, tables = _dims(label), _tables(label, graph, values)
    if not tables and _is_float(label) and len(dims) == 2 and dims[1] > 1:
        return dims[1], label.name, WEIGHTS
    if not tables or len(dims) not in (1, 2) or dims[1:] not in ([], [1]):
        raise CheckpointError(f"{path.name} does not say how many classes its input {label.name} knows; export it with class weights [N, classes].")
    classes = min(map(len, tables))
    return (classes, label.name, WEIGHTS) if _mixed(label, graph, values, onnx) else (classes, _indexed(label, graph, onnx), INDEX)


def _mixed(label: Any, graph: Any, values: dict[str, np.ndarray], onnx: Any) -> bool:
    """Whether weights could take the place of a class's index, since all that it does is to look up rows of tables: these are mixed, then."""
    images, *rest = _dims(label)
    found, lookups = {label.name: torch.empty(images or 2, *rest, device="meta")}, list[Any]()
    for node in graph.node:
        if found.keys().isdisjoint(node.input):
            continue
        steering = [torch.tensor(values[name]) for name in node.input[1:] if name in values]
        if node.op_type in SHAPING and len(steering) == len(node.input) - 1:
            found[node.output[0]] = apply_operator(node.op_type, [found[node.input[0]], *steering], _attributes(node, onnx))
        elif _is_lookup(node, values):
            lookups.append(node)
        else:
            return False
    indices, rows = [found[node.input[1]] for node in lookups], {len(values[node.input[0]]) for node in lookups}
    if len(rows) != 1 or any(index.ndim not in (1, 2) or index.numel() != len(index) for index in indices):
        return False
    each = "class weights of each image"  # names with spaces are no exporter's
    for node, index in zip(lookups, indices, strict=True):
        node.op_type, node.input[:] = "MatMul", [label.name if index.ndim == 1 else each, node.input[0]]
        del node.attribute[:]
    left = [node for node in graph.node if node.op_type not in SHAPING or node.input[0] not in found]
    del graph.node[:]
    graph.node.extend([onnx.helper.make_node("Unsqueeze", [label.name], [each], axes=[1]), *left])
    return True


def _is_lookup(node: Any, values: dict[str, np.ndarray]) -> bool:
    """Whether a node takes rows of a table of fractions."""
    table = values.get(node.input[0])
    rows = node.op_type == "Gather" and not any(attribute.i for attribute in node.attribute)  # along the first axis
    return rows and table is not None and table.ndim == 2 and np.issubdtype(table.dtype, np.floating)


def _indexed(label: Any, graph: Any, onnx: Any) -> str:
    """The input that is given a class's index [N], which is brought to the kind and shape of the label's."""
    index, cast = "class index", "class index of its kind"
    graph.node.insert(0, onnx.helper.make_node("Reshape", [cast], [label.name], shape=[-1] + [1] * (len(_dims(label)) - 1)))
    graph.node.insert(0, onnx.helper.make_node("Cast", [index], [cast], to=label.type.tensor_type.elem_type))
    return index


def _zero_to_one(graph: Any, values: dict[str, np.ndarray], asked: ImportOptions, path: Path, onnx: Any) -> bool:
    """Whether the image is in 0..1: what its last operators say, else what a person says; one in 0..255 is divided. Raises CheckpointError."""
    limits = _limits(graph, values, path)
    if limits is not None and np.allclose(limits, BYTES, atol=0.5):
        values["largest byte"] = np.array(BYTES[1], np.float32)
        _append(graph, onnx.helper.make_node("Div", [graph.output[0].name, "largest byte"], ["image in 0..1"]))
        limits = LIMITS["sigmoid"]
    known = next((output for output, usual in LIMITS.items() if limits is not None and np.allclose(limits, usual, atol=0.01)), "")
    if known and asked.output not in ("", known):
        low, high = LIMITS[known]
        raise CheckpointError(f"{path.name} makes images in {low:g}..{high:g}, as its last operators say; leave --output out.")
    return (known or asked_output(asked)) == "sigmoid"


def _limits(graph: Any, values: dict[str, np.ndarray], path: Path) -> tuple[float, float] | None:
    """Between which numbers the image is, where its last operators say it. Raises CheckpointError for one made of itself."""
    made_by = {name: node for node in graph.node for name in node.output}
    name, passed, scales = graph.output[0].name, set[str](), list[Callable[[float], float]]()
    while (last := made_by.get(name)) is not None:
        if name in passed:
            raise CheckpointError(f"{path.name} is no generator: its image is made of itself.")
        passed.add(name)
        if last.op_type in SHAPING:
            name = last.input[0]
        elif (scaled := _scaled(last, values)) is not None:
            name = scaled[0]
            scales.append(scaled[1])
        else:
            break
    limits = None if last is None else _clipped(last, values) if last.op_type == "Clip" else ENDS.get(last.op_type)
    for scale in reversed(scales if limits else []):
        low, high = sorted(map(scale, limits or ()))
        limits = low, high
    return limits


def _scaled(node: Any, values: dict[str, np.ndarray]) -> tuple[str, Callable[[float], float]] | None:
    """What a node scales or shifts by a number, and how."""
    if node.op_type not in SCALING or len(node.input) != 2:
        return None
    first, second = (values.get(name) for name in node.input)
    calculate = SCALING[node.op_type]
    if first is None and second is not None and second.size == 1:
        number = float(second.reshape(())[()])
        return node.input[0], lambda x: calculate(x, number)
    if second is None and first is not None and first.size == 1 and node.op_type != "Div":
        number = float(first.reshape(())[()])
        return node.input[1], lambda x: calculate(number, x)
    return None


def _clipped(node: Any, values: dict[str, np.ndarray]) -> tuple[float, float] | None:
    """Both limits of a Clip, which are inputs, and were attributes."""
    said = {attribute.name: attribute.f for attribute in node.attribute}
    low, high = (values.get(name) for name in (*node.input[1:], "", "")[:2])
    low, high = (said.get(name) if limit is None else float(limit) for name, limit in (("min", low), ("max", high)))
    return None if low is None or high is None else (low, high)
