"""Reader of ONNX files: any generator z [N, D] or [N, D, 1, 1], and a class if there is one, -> image, made of operators that are known here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resgen.errors import CheckpointError
from resgen.interop.graph import INDEX, MAX_STEERING, NONE, WEIGHTS, GraphConfig
from resgen.interop.reading import ImportOptions, Reading, asked_output

ENDS = {"Tanh": False, "Sigmoid": True}  # whether an image that ends so is in 0..1
STEERED = {"Resize", "Upsample", "Clip", "Pad"}  # operators whose further inputs say sizes and limits
MAX_ONNX = 1 << 31  # bytes: protocol buffers hold no more


def read_onnx(path: Path, asked: ImportOptions) -> Reading:
    """The graph of a file as data. Raises CheckpointError, or whatever a malformed file trips it over."""
    model, onnx = _parse(path)
    graph = model.graph
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(graph)):
        raise CheckpointError(f"{path.name} keeps its weights in other files, which are not opened; save it with all its data inside.")
    if model.functions or any(opset.domain not in ("", "ai.onnx") for opset in model.opset_import) or len(graph.sparse_initializer):
        raise CheckpointError(f"{path.name} uses operators beyond those of ONNX itself; export its network with plain operators.")
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = _nodes(graph, values, onnx)
    inputs = [value for value in graph.input if value.name not in values]
    noise, label = _inputs(inputs, path)
    constants, weights = _constants(values, graph)
    classes = 0 if label is None else _classes(label, graph, values, path)
    if len(graph.output) != 1:
        raise CheckpointError(f"{path.name} has {len(graph.output)} outputs; a generator has one, the image.")
    config = GraphConfig(
        num_classes=classes,
        image_channels=_channels(_dims(graph.output[0]), path),
        noise_shape=tuple(_dims(noise)[1:]),
        noise_input=noise.name,
        class_input="" if label is None else label.name,
        class_kind=NONE if label is None else WEIGHTS if _is_float(label) else INDEX,
        output=graph.output[0].name,
        zero_to_one=_zero_to_one(graph, values, asked, path),
        batch=1 if _dims(noise)[0] == 1 else 0,
        nodes=nodes,
        constants=constants,
    )
    return Reading(config, weights)


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


def _nodes(graph: Any, values: dict[str, np.ndarray], onnx: Any) -> tuple[str, ...]:
    """The nodes as JSON; those that are constants go into ``values``."""
    found = list[str]()
    for node in graph.node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.op_type == "Constant":
            values[node.output[0]] = _constant(attributes, onnx)
            continue
        plain = {name: _plain(value, onnx) for name, value in attributes.items()}
        found.append(json.dumps([node.op_type, list(node.input), list(node.output), plain]))
    return tuple(found)


def _constant(attributes: dict[str, Any], onnx: Any) -> np.ndarray:
    (name, value), *_ = attributes.items()
    if name == "value":
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value, np.float32 if "float" in name else np.int64)


def _plain(value: Any, onnx: Any) -> Any:
    """An attribute as JSON. Raises ValueError for one that holds a graph of its own."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value).reshape(-1)[:1].tolist()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int | float):
        return value
    return [_plain(part, onnx) for part in value]


def _constants(values: dict[str, np.ndarray], graph: Any) -> tuple[tuple[str, ...], dict[str, torch.Tensor]]:
    """Each constant as JSON, and as weights those with fractions that do not steer."""
    lines, weights = list[str](), dict[str, torch.Tensor]()
    steering = {name for node in graph.node if node.op_type in STEERED for name in node.input[1:]}
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


def _channels(dims: list[int], path: Path) -> int:
    """Of an image [N, C, R, R], where the file says them, else 3. Raises CheckpointError."""
    if len(dims) == 4 and dims[3] in (1, 3) and dims[1] not in (0, 1, 3):
        raise CheckpointError(f"{path.name} makes images with their channels last; export its network with channels first, [N, {dims[3]}, R, R].")
    return dims[1] or 3 if len(dims) == 4 else 3


def _is_float(value: Any) -> bool:
    return value.type.tensor_type.elem_type in (1, 10, 11)


def _inputs(inputs: list[Any], path: Path) -> tuple[Any, Any | None]:
    """Noise, and a class if there is one."""
    noise = [value for value in inputs if _is_float(value) and len(_dims(value)) in (2, 3, 4) and all(_dims(value)[1:])]
    if not noise or len(inputs) > 2:
        shapes = "; ".join(f"{value.name} {_dims(value)}" for value in inputs)
        raise CheckpointError(f"{path.name} is no generator of noise, with a class or without: its inputs are {shapes or 'none'}.")
    label = next((value for value in inputs if value.name != noise[0].name), None)
    return noise[0], label


def _classes(label: Any, graph: Any, values: dict[str, np.ndarray], path: Path) -> int:
    """How many classes there are: the size of weights, or the rows of the table that an index is looked up in."""
    dims = _dims(label)
    if _is_float(label) and len(dims) == 2 and dims[1]:
        return dims[1]
    tables = [values[node.input[0]] for node in graph.node if node.op_type == "Gather" and label.name in node.input[1:] and node.input[0] in values]
    if len(dims) == 1 and tables:
        return len(tables[0])
    raise CheckpointError(f"{path.name} does not say how many classes its input {label.name} knows; export it with class weights [N, classes].")


def _zero_to_one(graph: Any, values: dict[str, np.ndarray], asked: ImportOptions, path: Path) -> bool:
    """Whether the image is in 0..1: what its last operator says, else what a person says."""
    made_by = {name: node for node in graph.node for name in node.output}
    name, passed = graph.output[0].name, set[str]()
    while (last := made_by.get(name)) is not None and last.op_type in ("Cast", "Identity"):
        if name in passed:
            raise CheckpointError(f"{path.name} is no generator: its image is made of itself.")
        passed.add(name)
        name = last.input[0]
    if asked.output or last is None or last.op_type not in (*ENDS, "Clip"):
        return asked_output(asked) == "sigmoid"
    if last.op_type != "Clip":
        return ENDS[last.op_type]
    lowest = values.get(last.input[1]) if len(last.input) > 1 else None
    return asked_output(asked) == "sigmoid" if lowest is None or float(lowest) not in (-1, 0) else float(lowest) == 0
