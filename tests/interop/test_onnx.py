"""Files of ONNX that are made wrong: each is refused in one sentence, and soon."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.helper import make_graph, make_model, make_node, make_tensor, make_tensor_value_info
from onnx.numpy_helper import from_array

from resgen.errors import CheckpointError
from resgen.interop.readers import GRAPH, read_file
from resgen.interop.reading import ImportOptions

SECONDS = 10.0  # that reading any of these may take; it takes none


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in what is not done by then."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def write(path: Path, *nodes: Any, given: tuple[Any, ...] = (), label: tuple[str, ...] | None = None) -> None:
    """A file with noise z [n, 3, 4, 4], an image as large, and between them what is said."""
    z, image = (make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3, 4, 4]) for name in ("z", "image"))
    labels = [] if label is None else [make_tensor_value_info("label", onnx.TensorProto.INT64, label)]
    path.write_bytes(make_model(make_graph(list(nodes), "g", [z, *labels], [image], list(given))).SerializeToString())


def floats(name: str, shape: list[int], *numbers: float) -> Any:
    return make_tensor(name, onnx.TensorProto.FLOAT, shape, numbers)


def a_constant_without_outputs(path: Path) -> None:
    write(path, make_node("Constant", [], [], value_float=1.0), make_node("Tanh", ["z"], ["image"]))


def a_constant_without_a_value(path: Path) -> None:
    write(path, make_node("Constant", [], ["c"]), make_node("Tanh", ["z"], ["image"]))


def a_node_without_inputs(path: Path) -> None:
    write(path, make_node("Identity", [], ["image"]))


def words_as_weights(path: Path) -> None:
    write(path, make_node("Tanh", ["z"], ["image"]), given=(from_array(np.array(["word"], object), "w"),))


def limits_of_several_numbers(path: Path) -> None:
    write(path, make_node("Clip", ["z", "low"], ["image"]), given=(floats("low", [2], -1, -1),))


def a_table_of_classes_without_rows(path: Path) -> None:
    nodes = make_node("Gather", ["table", "label"], ["embedded"]), make_node("Tanh", ["z"], ["image"])
    write(path, *nodes, given=(floats("table", [], 1),), label=("n",))


def a_tensor_of_another_size(path: Path) -> None:
    tensor = floats("w", [2], 1, 2)
    tensor.dims[0] = 3
    write(path, make_node("Tanh", ["z"], ["image"]), given=(tensor,))


def an_image_made_of_itself(path: Path) -> None:
    write(path, make_node("Identity", ["image"], ["image"]))


def an_image_made_of_a_ring(path: Path) -> None:
    nodes = make_node("Identity", ["a"], ["image"]), make_node("Cast", ["b"], ["a"], to=1), make_node("Identity", ["a"], ["b"])
    write(path, *nodes)


FILES: dict[Callable[[Path], None], str] = {
    a_constant_without_outputs: "is damaged",
    a_constant_without_a_value: "is damaged",
    a_node_without_inputs: "is damaged",
    words_as_weights: "is damaged",
    limits_of_several_numbers: "is damaged",
    a_table_of_classes_without_rows: "is damaged",
    a_tensor_of_another_size: "is damaged",
    an_image_made_of_itself: "is no generator",
    an_image_made_of_a_ring: "is no generator",
}


@pytest.mark.parametrize(("make", "says"), FILES.items(), ids=[make.__name__ for make in FILES])
def test_a_file_that_is_made_wrong_is_refused(make: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    make(tmp_path / "theirs.onnx")
    with at_most(SECONDS), pytest.raises(CheckpointError, match=rf"^theirs\.onnx {says}[^\n]*\.$"):
        read_file(tmp_path / "theirs.onnx", ImportOptions())


def test_what_ends_an_image_is_found_behind_nodes_that_change_nothing(tmp_path: Path) -> None:
    nodes = make_node("Sigmoid", ["z"], ["a"]), make_node("Cast", ["a"], ["b"], to=1), make_node("Identity", ["b"], ["image"])
    write(tmp_path / "theirs.onnx", *nodes)
    kind, reading = read_file(tmp_path / "theirs.onnx", ImportOptions())
    assert kind == GRAPH and getattr(reading.config, "zero_to_one", False)
