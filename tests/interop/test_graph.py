"""Graphs that come with a card: whatever one says, to follow it for its shapes takes little memory and time, and what steers is followed."""

import json
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resgen.errors import CheckpointError
from resgen.interop.graph import GraphConfig, run
from resgen.interop.graph_ops import GraphError, apply_operator

SIDE, TIMES = 1024, 32
MOST = 1 << 24  # numbers that may be read and made to follow any graph; each of `GROWING` has twice as many
Node = tuple[str, list[str], list[str], dict[str, Any]]


class Counted(TorchDispatchMode):
    """Counts the numbers that are read and made; where what is made is on the meta device, none are."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(value, Tensor) and not value.is_meta for value in tree_leaves(result)):
            self.numbers += sum(value.numel() for value in tree_leaves((args, result)) if isinstance(value, Tensor) and not value.is_meta)
        return result


def graph(*nodes: Node, image: str = "z", **constants: tuple[list[int], list[int] | list[float]]) -> GraphConfig:
    """A graph whose noise z is an image already, and which does some more; constants are (shape, numbers)."""
    lines = [json.dumps(node) for node in (*nodes, ("Identity", [image], ["image"], {}))]
    return GraphConfig(
        noise_shape=(3, 4, 4), nodes=tuple(lines), constants=tuple(json.dumps([name, *constant]) for name, constant in constants.items())
    )


def node(operator: str, *inputs: str, out: str = "made", **attributes: Any) -> Node:
    return operator, list(inputs), [out], attributes


NUMBERS: Any = {
    "sides": ([2], [SIDE, SIDE]), "pads": ([4], [0, 0, SIDE - 1, SIDE - 1]), "one": ([1, 1], [1]), "truth": ([1, 1], [1]),
    "pixel": ([1, 1, 1, 1], [1.0]), "nought": ([], [0]), "much": ([], [SIDE * SIDE]), "unit": ([], [1]), "row": ([1, SIDE], [1] * SIDE), "column": ([SIDE, 1], [1] * SIDE), "long": ([1 << 16], [0] * (1 << 16)),
    "wide": ([1, 1 << 16], [0] * (1 << 16)), "high": ([1 << 16, 1], [0] * (1 << 16)),
}  # fmt: skip
GROWING: dict[str, list[Node]] = {
    "constants": [node("ConstantOfShape", "sides", value=[7])],
    "tiles": [node("Tile", "one", "sides")],
    "pads": [node("Pad", "one", "pads")],
    "views": [node("Expand", "one", "sides"), node("Neg", "made")],
    "joined": [node("Concat", *["long"] * 16, axis=0)],
    "outer products": [node("MatMul", "column", "row")],
    "inner products": [node("MatMul", "wide", "high")] * 16,
    "products and sums": [node("Gemm", "one", "one", "row"), node("Gemm", "column", "row")],
    "sums": [node("Add", "column", "row")],
    "choices": [node("Cast", "truth", out="true", to=9), node("Where", "true", "column", "row")],
    "rows": [node("Gather", "row", "long", axis=1), node("Gather", "column", "long", axis=0)] * 4,
    "rows of features": [node("Gather", "z", "long", axis=1)] * 4,
    "ranges": [node("Range", "nought", "much", "unit")],
    "noise": [node("RandomNormal", shape=[1, 3, SIDE, SIDE])],
    "noise like": [node("Expand", "one", "sides"), node("RandomNormalLike", "made")],
    "sums over products": [node("Einsum", "column", "row", equation="ij,jk->ik")],
    "images": [node("Conv", "pixel", "pixel", pads=[SIDE // 2] * 4)],
    "larger images": [node("Resize", "pixel", "", "", "sides", mode="nearest")],
    "images between": [node("MaxPool", "pixel", kernel_shape=[1, 1], pads=[SIDE // 2] * 4, strides=[SIDE, SIDE])],
}


@pytest.mark.parametrize("nodes", GROWING.values(), ids=GROWING)
def test_numbers_without_end_are_not_made(nodes: list[Node]) -> None:
    with Counted() as counted:
        assert graph(*nodes * TIMES, **NUMBERS).resolution == 4  # none of it steers, so that all of it can be followed
    assert counted.numbers < MOST


def test_what_is_steered_by_too_many_numbers_is_refused() -> None:
    many = node("ConstantOfShape", "shape", out="many", value=[4])
    two = node("Slice", "many", "zero", "two", "zero", out="sizes")
    steered = node("Resize", "z", "", "", "sizes", mode="nearest")
    for size in (64, 1 << 21):
        constants: Any = {"shape": ([1], [size]), "zero": ([1], [0]), "two": ([1], [2])}
        if size == 64:
            assert graph(many, two, steered, image="made", **constants).resolution == 4
            continue
        with pytest.raises(CheckpointError, match=r"^This graph cannot be followed: a size in it hangs on [^\n]*\.$"):
            graph(many, two, steered, image="made", **constants)


def test_many_numbers_that_are_drawn_with_are_followed() -> None:
    """As of networks that begin an image with zeros of its size."""
    shape = [
        node("Shape", "z", out="shape"), node("Slice", "shape", "zero", "two", out="first"),
        node("Concat", "first", "sides", out="sizes", axis=0), node("ConstantOfShape", "sizes", out="zeros", value=[0.0]),
        node("Resize", "z", "", "", "sizes", out="large", mode="nearest"), node("Add", "zeros", "large"),
    ]  # fmt: skip
    constants: Any = {"zero": ([1], [0]), "two": ([1], [2]), "sides": ([2], [SIDE, SIDE])}
    config = graph(*shape, image="made", **constants)
    assert config.resolution == SIDE
    z = torch.randn(2, config.z_dim)
    assert torch.equal(config.build()(z)[:, :, :: SIDE // 4, :: SIDE // 4], z.reshape(2, 3, 4, 4))


def test_one_number_may_be_a_size() -> None:
    """As older exporters write how many images there are."""
    shape = [
        node("Shape", "z", out="shape"), node("Gather", "shape", "first", out="images", axis=0), node("Unsqueeze", "images", out="row", axes=[0]),
        node("Concat", "row", "sides", out="sizes", axis=0), node("Reshape", "z", "sizes"),
    ]  # fmt: skip
    assert graph(*shape, image="made", first=([], [0]), sides=([3], [3, 4, 4])).resolution == 4


LONG: Any = {"list": ([2000], [0] * 2000)}
SLOW: dict[str, tuple[list[Node], dict[str, Any]]] = {
    "a tensor in pieces of one": ([node("Split", "z", axis=1, split=1)], {}),
    "more pieces than are asked for": ([node("Split", "z", axis=1, split=[1, 1, 1])], {}),
    "a hundred dimensions": ([node("Unsqueeze", "z", axes=list(range(100)))], {}),
    "a thousand cuts": ([node("Slice", "z", "list", "list", "list")], LONG),
    "a thousand cuts told by attributes": ([node("Slice", "z", starts=[0] * 2000, ends=[9] * 2000, axes=[1] * 2000)], {}),
    "nothing that becomes a fraction": ([node("Cast", "", to=1)], {}),
    "a part of a number": ([node("Gather", "number", "number")], {"number": ([], [0])}),
    "a tensor that nobody makes": ([node("Neg", "nothing")], {}),
    "a range without end": ([node("Range", "number", "much", "number")], {"number": ([], [0]), "much": ([], [1 << 40])}),
    "a range that is too long": ([node("Range", "number", "much", "one")], {"number": ([], [0]), "much": ([], [1 << 40]), "one": ([], [1])}),
    "a range of what is drawn": ([node("Range", "z", "z", "z")], {}),
    "noise that is too much": ([node("RandomNormal", shape=[1, 1 << 20, 1 << 20])], {}),
    "a product that is too large": (
        [
            node("Einsum", "z", "list", equation="nchw,a->nchwa"),
            node("Einsum", "made", "list", equation="nchwa,b->nchwab"),
            node("Einsum", "made", "list", equation="nchwab,d->abdn"),
        ],
        LONG,
    ),
    "sums over many": ([node("Einsum", "z", "z", "z", equation="nchw,nchw,nchw->n")], {}),
    "a row resized to a line": ([node("Resize", "z", "", "", "sides", mode="nearest")], {"sides": ([2], [1 << 20, 1 << 20])}),
    "no pieces": ([("Split", ["z"], [], {"axis": 1})], {}),
}


@pytest.mark.parametrize(("nodes", "constants"), SLOW.values(), ids=SLOW)
def test_a_node_that_no_network_has_is_refused(nodes: list[Node], constants: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"^This graph cannot be followed: [^\n]+\.$"):
        graph(*nodes, **constants)


def test_results_go_once_nothing_reads_them() -> None:
    chain = [node("Neg", "z", out="a"), node("Neg", "a", out="b"), node("Neg", "b", out="unread"), node("Add", "a", "b", out="sum")]
    config = graph(*chain, image="sum")
    values: dict[str, Any] = {"z": torch.ones(1, 3, 4, 4)}
    held = [set(values) for _ in run(config.program, values, kept=["b"])]
    assert held == [{"z", "a"}, {"a", "b"}, {"a", "b", "unread"}, {"a", "b", "sum"}, {"b", "sum", "image"}] and set(values) == {"b"}


def test_the_largest_result_is_what_drawing_needs_memory_for() -> None:
    wide = [node("Resize", "z", "", "scales", out="large", mode="nearest"), node("MaxPool", "large", kernel_shape=[8, 8], strides=[8, 8])]
    assert graph(*wide, image="made", scales=([4], [1.0, 1.0, 8.0, 8.0])).features == 3 * 32**2


def drawn_by_onnxruntime(operator: str, x: Tensor, inputs: dict[str, Tensor], attributes: dict[str, Any]) -> Tensor:
    given = [onnx.numpy_helper.from_array(value.numpy(), name) for name, value in inputs.items() if value.numel()]
    names = ["x", *(name if value.numel() else "" for name, value in inputs.items())]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", list(x.shape)), ("y", None))]
    made = onnx.helper.make_graph([onnx.helper.make_node(operator, names, ["y"], **attributes)], "g", ends[:1], ends[1:], given)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    return torch.from_numpy(onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x.numpy()})[0])


POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
TWICE = {"roi": torch.zeros(0), "scales": torch.tensor([1.0, 1, 2, 2])}
TRANSPOSED = {"weight": torch.randn(4, 3, 3, 4, generator=torch.Generator().manual_seed(2)), "bias": torch.ones(3)}
BROADER = {"roi": torch.zeros(0), "scales": torch.tensor([1.0, 1, 1.3, 2.6])}
SMALLER = {"roi": torch.zeros(0), "scales": torch.tensor([1.0, 1, 0.5, 0.75])}
THRICE = {"roi": torch.zeros(0), "scales": torch.tensor([1.0, 1, 3, 3])}


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("AveragePool", {}, POOL),
        ("AveragePool", {}, POOL | {"pads": [1, 1, 0, 1]}),
        ("AveragePool", {}, POOL | {"pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("AveragePool", {}, POOL | {"ceil_mode": 1}),
        ("MaxPool", {}, POOL | {"pads": [1, 0, 1, 1]}),
        ("MaxPool", {}, POOL | {"ceil_mode": 1}),
        ("MaxPool", {}, {"kernel_shape": [2, 2], "dilations": [2, 2]}),
        *(
            ("Resize", scales, {"mode": "nearest", "coordinate_transformation_mode": transform, "nearest_mode": nearest})
            for scales in (TWICE, THRICE)
            for transform in ("asymmetric", "half_pixel")
            for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        ),
        ("Resize", TWICE, {}),
        ("Resize", TWICE, {"mode": "linear"}),
        ("Resize", TWICE, {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
        ("Resize", TWICE, {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}),
        *(
            ("Resize", scales, {"mode": mode, "coordinate_transformation_mode": "half_pixel", "nearest_mode": "floor", "cubic_coeff_a": -0.75})
            for scales in (TWICE, BROADER, SMALLER)
            for mode in ("nearest", "linear", "cubic")
        ),
        ("Resize", TWICE, {"mode": "cubic", "cubic_coeff_a": -0.5}),
        ("Resize", SMALLER, {"mode": "cubic", "cubic_coeff_a": -0.75, "exclude_outside": 1}),
        ("Pad", {"pads": torch.tensor([0, 0, 1, 2, 0, 0, 2, 1])}, {"mode": "reflect"}),
        ("Pad", {"pads": torch.tensor([0, 0, 1, 2, 0, 0, 2, 1]), "value": torch.tensor(3.0)}, {}),
        *(
            ("ConvTranspose", TRANSPOSED, {"strides": [2, 2], **attributes})
            for attributes in (
                {"pads": [1, 1, 1, 1]},
                {"pads": [0, 1, 1, 0]},
                {"pads": [1, 1, 1, 1], "output_padding": [1, 1]},
                {"pads": [0, 1, 1, 0], "output_padding": [1, 0]},
                {"pads": [0, 2, 1, 0], "dilations": [2, 1]},
                {"output_shape": [16, 17]},
                {"output_shape": [15, 18], "auto_pad": "SAME_UPPER"},
                {"output_shape": [15, 18], "auto_pad": "SAME_LOWER"},
                {"output_shape": [17, 16], "output_padding": [1, 1]},
                {"output_shape": [20, 20]},
                {"auto_pad": "SAME_UPPER"},
                {"auto_pad": "SAME_LOWER"},
                {"auto_pad": "VALID"},
            )
        ),
        ("DepthToSpace", {}, {"blocksize": 2}),
        ("DepthToSpace", {}, {"blocksize": 2, "mode": "CRD"}),
        ("Mod", {"of": torch.tensor([0.7])}, {"fmod": 1}),
        ("Softmax", {}, {}),
        ("LogSoftmax", {}, {"axis": 1}),
        *((operator, {}, {}) for operator in ("Selu", "Celu", "HardSwish", "HardSigmoid", "Sign", "Floor", "Round", "ReduceMax", "ReduceProd")),
        ("Selu", {}, {"alpha": 1.5, "gamma": 1.1}),
        ("Celu", {}, {"alpha": 0.3}),
        ("HardSigmoid", {}, {"alpha": 0.3, "beta": 0.4}),
        ("ReduceMax", {}, {"axes": [1, -1], "keepdims": 0}),
        ("ReduceProd", {}, {"axes": [-1, 1], "keepdims": 0}),
        ("Einsum", {"of": torch.randn(4, 5, generator=torch.Generator().manual_seed(3))}, {"equation": "nchw,cd->ndhw"}),
        ("Einsum", {}, {"equation": "...w->...w"}),
        *(
            ("Slice", {"starts": torch.tensor([start]), "ends": torch.tensor([end]), "axes": torch.tensor([3]), "steps": torch.tensor([step])}, {})
            for start, end, step in ((-1, -(1 << 62), -1), (6, 1, -2), (99, -3, -1), (2, 5, -1), (1, 1 << 62, 3))
        ),
        ("ReduceMean", {}, {"axes": [2, 3], "keepdims": 0}),
        ("LeakyRelu", {}, {"alpha": 0.2}),
    ],
)
def test_an_operator_does_what_it_does_elsewhere_or_is_refused(operator: str, inputs: dict[str, Tensor], attributes: dict[str, Any]) -> None:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    try:
        ours = apply_operator(operator, [x, *(value if value.numel() else None for value in inputs.values())], attributes)
    except GraphError:
        assert "ceil_mode" in attributes or "dilations" in attributes or operator == "Resize" or attributes.get("output_shape") == [20, 20]
        return
    assert torch.allclose(ours, drawn_by_onnxruntime(operator, x, inputs, attributes), atol=1e-5)
