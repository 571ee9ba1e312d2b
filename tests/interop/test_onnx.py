"""Files of ONNX: what they draw is what onnxruntime draws, or their module; those that are made wrong are refused in one sentence, and soon."""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.helper import make_graph, make_model, make_node, make_tensor, make_tensor_value_info
from onnx.numpy_helper import from_array
from torch import Tensor, nn

from resgen.errors import CheckpointError
from resgen.interop.graph import INDEX, WEIGHTS
from resgen.interop.readers import GRAPH, read_file
from resgen.interop.reading import ImportOptions, OutputUnsaidError
from tests.interop.states import made_of

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


def write(
    path: Path,
    *nodes: Any,
    given: tuple[Any, ...] = (),
    label: tuple[str, ...] | None = None,
    image: tuple[Any, ...] = ("n", 3, 4, 4),
    more: Any = None,
) -> None:
    """A file with noise z [n, 3, 4, 4], an image as large, and between them what is said."""
    shapes = {"z": ("n", 3, 4, 4), "image": image}
    z, made = (make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items())
    labels = [] if label is None else [make_tensor_value_info("label", onnx.TensorProto.INT64, label)]
    path.write_bytes(make_model(make_graph(list(nodes), "g", [z, *labels], [made], list(given)), **(more or {})).SerializeToString())


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


def number(name: str, value: float) -> Any:
    return floats(name, [], value)


HALF, ONE, BYTE = number("half", 0.5), number("one", 1), number("byte", 127.5)
ENDS: dict[str, tuple[list[Any], tuple[float, float]]] = {
    "tanh": ([make_node("Tanh", ["z"], ["image"])], (-1, 1)),
    "sigmoid, reshaped": (
        [make_node("Sigmoid", ["z"], ["a"]), make_node("Flatten", ["a"], ["b"]), make_node("Reshape", ["b", "shape"], ["image"])],
        (0, 1),
    ),
    "tanh, squeezed": (
        [make_node("Tanh", ["z"], ["a"]), make_node("Unsqueeze", ["a", "axis"], ["b"]), make_node("Squeeze", ["b", "axis"], ["image"])],
        (-1, 1),
    ),
    "tanh brought to 0..1": ([make_node("Tanh", ["z"], ["a"]), make_node("Add", ["one", "a"], ["b"]), make_node("Mul", ["b", "half"], ["image"])], (0, 1)),
    "tanh brought to 0..1 by a quotient": (
        [make_node("Tanh", ["z"], ["a"]), make_node("Add", ["a", "one"], ["b"]), make_node("Div", ["b", "two"], ["image"])],
        (0, 1),
    ),
    "sigmoid turned about": ([make_node("Sigmoid", ["z"], ["a"]), make_node("Sub", ["one", "a"], ["image"])], (0, 1)),
    "bytes": ([make_node("Tanh", ["z"], ["a"]), make_node("Add", ["a", "one"], ["b"]), make_node("Mul", ["b", "byte"], ["image"])], (0, 255)),
    "clipped bytes": ([make_node("Mul", ["z", "byte"], ["a"]), make_node("Clip", ["a", "zero", "most"], ["image"])], (0, 255)),
    "clipped to 0..1": ([make_node("Clip", ["z", "zero", "one"], ["image"])], (0, 1)),
    "clipped to -1..1": ([make_node("Clip", ["z", "minus", "one"], ["image"])], (-1, 1)),
}  # fmt: skip
NUMBERS = (
    *(HALF, ONE, BYTE, number("zero", 0), number("minus", -1), number("two", 2), number("most", 255)),
    *(from_array(np.array([0, 3, 4, 4]), "shape"), from_array(np.array([0]), "axis")),
)


OLDER = {"opset_imports": [onnx.helper.make_opsetid("", 17)], "ir_version": 8}  # such as onnxruntime reads


def drawn_by_onnxruntime(path: Path, **inputs: Tensor) -> Tensor:
    return torch.from_numpy(onnxruntime.InferenceSession(path).run(None, {name: value.numpy() for name, value in inputs.items()})[0])


@pytest.mark.parametrize(("nodes", "limits"), ENDS.values(), ids=ENDS)
def test_what_a_file_says_of_its_limits_is_believed(nodes: list[Any], limits: tuple[float, float], tmp_path: Path) -> None:
    """And no question asked: the image is drawn in -1..1, whatever a network's own limits are."""
    path = tmp_path / "theirs.onnx"
    write(path, *nodes, given=NUMBERS, more=OLDER)
    generator = made_of(read_file(path, ImportOptions())[1])
    z, (low, high) = torch.randn(5, 48, generator=torch.Generator().manual_seed(0)), limits
    wanted = (drawn_by_onnxruntime(path, z=z.view(5, 3, 4, 4)) - low) * 2 / (high - low) - 1
    assert (generator(z) - wanted).abs().max() < 1e-5 and wanted.std() > 0.2


@pytest.mark.parametrize(
    ("name", "said"), [("tanh", "sigmoid"), ("sigmoid turned about", "tanh"), ("bytes", "tanh"), ("tanh brought to 0..1", "tanh")]
)
def test_what_is_said_against_a_file_is_refused(name: str, said: str, tmp_path: Path) -> None:
    write(tmp_path / "theirs.onnx", *ENDS[name][0], given=NUMBERS)
    with pytest.raises(CheckpointError, match=r"makes images in .*\.\..*; leave --output out"):
        read_file(tmp_path / "theirs.onnx", ImportOptions(output=said))


@pytest.mark.parametrize("nodes", [
    [make_node("Neg", ["z"], ["image"])], [make_node("Clip", ["z", "zero"], ["image"])], [make_node("Clip", ["z", "", "one"], ["image"])],
    [make_node("Tanh", ["z"], ["a"]), make_node("Mul", ["a", "two"], ["image"])], [make_node("Tanh", ["z"], ["a"]), make_node("Add", ["a", "a"], ["image"])],
    [make_node("Sigmoid", ["z"], ["a"]), make_node("Div", ["one", "a"], ["image"])],
])  # fmt: skip
def test_what_a_file_does_not_say_is_asked(nodes: list[Any], tmp_path: Path) -> None:
    write(tmp_path / "theirs.onnx", *nodes, given=NUMBERS)
    with pytest.raises(OutputUnsaidError, match=r"-1\.\.1 \(tanh\) or 0\.\.1 \(sigmoid\)"):
        read_file(tmp_path / "theirs.onnx", ImportOptions())
    for output in ("tanh", "sigmoid"):
        assert getattr(read_file(tmp_path / "theirs.onnx", ImportOptions(output=output))[1].config, "zero_to_one", None) == (output == "sigmoid")


class Classed(nn.Module):
    """Noise z [N, 6] and the class's weights or label -> image [N, 3, 8, 8]; what is joined to the noise, or multiplied, is the class's embedding."""

    def __init__(self, multiplied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.multiplied = nn.Embedding(5, 6), multiplied
        self.main = nn.Sequential(
            nn.Linear(6 if multiplied else 12, 12 * 4), nn.ReLU(), nn.Unflatten(1, (12, 2, 2)), nn.ConvTranspose2d(12, 3, 4, 4), nn.Tanh()
        )

    def embedded(self, z: Tensor, embedding: Tensor) -> Tensor:
        return self.main(z * embedding if self.multiplied else torch.cat([z, embedding], dim=1))

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.embedded(z, self.embed(label))


class WeightsFirst(Classed):
    def forward(self, y: Tensor, z: Tensor) -> Tensor:  # type: ignore[override]
        return self.embedded(z, y @ self.embed.weight)


def exported(network: nn.Module, path: Path, *inputs: Tensor, names: tuple[str, ...]) -> None:
    axes = {name: {0: "n"} for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the older exporter, which many files are of
        torch.onnx.export(network.eval(), inputs, str(path), dynamo=False, input_names=list(names), dynamic_axes=axes, opset_version=17)


@pytest.mark.parametrize("multiplied", [False, True])
def test_an_index_of_a_class_draws_as_it_did_and_classes_mix(multiplied: bool, tmp_path: Path) -> None:
    network = Classed(multiplied)
    exported(network, tmp_path / "theirs.onnx", torch.randn(2, 6), torch.tensor([0, 1]), names=("z", "label"))
    reading = read_file(tmp_path / "theirs.onnx", ImportOptions())[1]
    generator, z = made_of(reading), torch.randn(5, 6)
    assert reading.config.num_classes == 5 and getattr(reading.config, "class_kind", "") == WEIGHTS
    with torch.no_grad():
        wanted = network(z, torch.arange(5))
        assert (generator(z, torch.eye(5)) - wanted).abs().max() < 1e-5 and wanted.std() > 0.1
        mixed = torch.tensor([[0.25, 0.75, 0, 0, 0]]).expand(5, -1)
        wanted = network.embedded(z, mixed @ network.embed.weight)
        assert (generator(z, mixed) - wanted).abs().max() < 1e-5


def test_an_index_that_does_more_than_to_look_up_stays_one(tmp_path: Path) -> None:
    """Its class is that of the greatest weight."""

    class Counted(Classed):
        def forward(self, z: Tensor, label: Tensor) -> Tensor:
            return self.embedded(z * (1 + label[:, None]), self.embed(label))

    network = Counted()
    exported(network, tmp_path / "theirs.onnx", torch.randn(2, 6), torch.tensor([0, 1]), names=("z", "label"))
    reading = read_file(tmp_path / "theirs.onnx", ImportOptions())[1]
    z = torch.randn(5, 6)
    with torch.no_grad():
        assert getattr(reading.config, "class_kind", "") == INDEX
        assert (made_of(reading)(z, torch.eye(5)) - network(z, torch.arange(5))).abs().max() < 1e-5


class Labelled(Classed):
    """Its label is [N, 1], as Keras makes them, and counts besides where it is ``counted``."""

    def __init__(self, ways: str, counted: bool = False) -> None:
        super().__init__()
        self.ways, self.counted = ways, counted

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        shaped = {"flat": label.flatten(), "squeezed": label.squeeze(1), "reshaped": label.reshape(-1), "as it is": label}[self.ways].long()
        return self.embedded(z * (1 + label) if self.counted else z, self.embed(shaped).reshape(-1, 6))


class Between(nn.Module):
    """Noise z [N, 6] -> features [N, 8, 8, 8] -> what is done between -> image."""

    def __init__(self, done: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.project, self.done, self.draw = nn.Linear(6, 512), done, nn.LazyConv2d(3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        return self.draw(self.done(self.project(z).view(-1, 8, 8, 8))).tanh()


BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "selu": nn.SELU(), "celu": nn.CELU(0.5), "hardswish": nn.Hardswish(), "hardsigmoid": nn.Hardsigmoid(), "mish": nn.Mish(),
    "sign": torch.sign, "floor": torch.floor, "round": torch.round, "greater": lambda x: x * (x > 0.1), "log softmax": nn.LogSoftmax(1),
    "greatest": lambda x: x - x.amax(1, keepdim=True), "product": lambda x: x * x.prod(3, keepdim=True),
    "einsum": lambda x: torch.einsum("nchw,nchv->ncwv", x, x), "range": lambda x: x + torch.arange(x.shape[2]).float(),
    "flip": lambda x: x.flip(3), "reflected": nn.ReflectionPad2d(1), "replicated": nn.ReplicationPad2d(2), "circular": nn.CircularPad2d(1),
    "nearest 1.5": nn.Upsample(scale_factor=1.5), "nearest 1.3": nn.Upsample(scale_factor=1.3), "nearest half": nn.Upsample(scale_factor=0.5),
    "nearest, said by size": nn.Upsample(size=(13, 13)), "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "bicubic by corners": nn.Upsample(scale_factor=1.5, mode="bicubic", align_corners=True), "bilinear 1.3": nn.Upsample(scale_factor=1.3, mode="bilinear"),
}  # fmt: skip


@pytest.mark.parametrize("done", BETWEEN.values(), ids=BETWEEN)
def test_what_networks_do_between_draws_as_torch_does(done: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    network, z = Between(done).eval(), torch.randn(3, 6)
    wanted = network(z)
    exported(network, tmp_path / "theirs.onnx", z[:2], names=("z",))
    assert (made_of(read_file(tmp_path / "theirs.onnx", ImportOptions())[1])(z) - wanted).abs().max() < 1e-5


def test_fractions_that_a_range_is_made_of_are_numbers(tmp_path: Path) -> None:
    path, numbers = tmp_path / "theirs.onnx", {"start": -0.5, "end": 0.5, "step": 0.25}
    nodes = make_node("Range", [*numbers], ["ramp"]), make_node("Add", ["z", "ramp"], ["a"]), make_node("Tanh", ["a"], ["image"])
    write(path, *nodes, given=tuple(number(name, value) for name, value in numbers.items()), more=OLDER)
    z = torch.randn(2, 48)
    assert (made_of(read_file(path, ImportOptions())[1])(z) - drawn_by_onnxruntime(path, z=z.view(2, 3, 4, 4))).abs().max() < 1e-6


def test_bfloat16_is_read_as_what_it_stands_for(tmp_path: Path) -> None:
    """Of an input, of a weight, and between them."""
    path, kind = tmp_path / "theirs.onnx", onnx.TensorProto.BFLOAT16
    z, image = (make_tensor_value_info(name, kind, ["n", 3, 4, 4]) for name in ("z", "image"))
    nodes = make_node("Mul", ["z", "weight"], ["a"]), make_node("Cast", ["a"], ["b"], to=kind), make_node("Tanh", ["b"], ["image"])
    path.write_bytes(make_model(make_graph([*nodes], "g", [z], [image], [make_tensor("weight", kind, [1], [0.625])])).SerializeToString())
    noise = torch.randn(2, 48)
    assert torch.equal(made_of(read_file(path, ImportOptions())[1])(noise), (noise * 0.625).tanh().view(2, 3, 4, 4))


def test_a_type_that_is_not_known_is_told(tmp_path: Path) -> None:
    nodes = (
        make_node("Cast", ["z"], ["a"], to=onnx.TensorProto.FLOAT8E4M3FN),
        make_node("Cast", ["a"], ["b"], to=1),
        make_node("Tanh", ["b"], ["image"]),
    )
    write(tmp_path / "theirs.onnx", *nodes)
    with pytest.raises(CheckpointError, match="of a type that is not known here"):
        read_file(tmp_path / "theirs.onnx", ImportOptions())


def test_noise_of_a_network_is_the_same_for_all_images(tmp_path: Path) -> None:
    network = Between(lambda x: 100 * (0 * x + torch.randn_like(x)) + 100 * (0 * x - torch.randn_like(x))).eval()
    network(torch.randn(2, 6))
    exported(network, tmp_path / "theirs.onnx", torch.randn(2, 6), names=("z",))
    reading = read_file(tmp_path / "theirs.onnx", ImportOptions())[1]
    one, two, *_, alone = (image for count in (5, 1) for image in made_of(reading)(torch.randn(count, 6)))
    assert torch.equal(one, two) and torch.allclose(one, alone, atol=1e-4) and one.std() > 0.5  # each of the two has its own
    assert reading.remarks == ("It draws noise of its own between its layers, which is one and the same for all images here.",)


@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.int32])
@pytest.mark.parametrize(
    ("ways", "counted", "given"),
    [("squeezed", False, WEIGHTS), ("reshaped", False, WEIGHTS), ("as it is", False, WEIGHTS), ("as it is", True, INDEX), ("flat", False, INDEX)],
)
def test_a_label_of_one_column_is_an_index(kind: torch.dtype, ways: str, counted: bool, given: str, tmp_path: Path) -> None:
    """One whose shape is asked for, as by this exporter's `flatten`, does more than to look up."""
    network = Labelled(ways, counted)
    exported(network, tmp_path / "theirs.onnx", torch.randn(2, 6), torch.zeros(2, 1, dtype=kind), names=("a", "b"))
    reading = read_file(tmp_path / "theirs.onnx", ImportOptions())[1]
    z = torch.randn(5, 6)
    assert (reading.config.num_classes, getattr(reading.config, "class_kind", ""), reading.remarks) == (5, given, ())
    with torch.no_grad():
        wanted = network(z, torch.arange(5)[:, None].to(kind))
        assert (made_of(reading)(z, torch.eye(5)) - wanted).abs().max() < 1e-5


def test_a_class_of_one_number_that_is_not_looked_up_is_refused(tmp_path: Path) -> None:
    class Stronger(Classed):
        def forward(self, z: Tensor, label: Tensor) -> Tensor:
            return self.embedded(z, label * z)

    exported(Stronger(), tmp_path / "theirs.onnx", torch.randn(2, 6), torch.randn(2, 1), names=("z", "label"))
    with pytest.raises(CheckpointError, match="does not say how many classes its input label knows"):
        read_file(tmp_path / "theirs.onnx", ImportOptions())


@pytest.mark.parametrize(
    ("names", "settings", "told"),
    [(("y", "z"), {}, "noise is taken to be 'z'"), (("class", "my_noise"), {}, "'my_noise'"), (("a", "b"), {"noise_input": "b"}, "")],
)
def test_noise_is_found_behind_a_class(names: tuple[str, str], settings: dict[str, str], told: str, tmp_path: Path) -> None:
    network = WeightsFirst()
    exported(network, tmp_path / "theirs.onnx", torch.randn(2, 5), torch.randn(2, 6), names=names)
    reading = read_file(tmp_path / "theirs.onnx", ImportOptions(settings=settings))[1]
    z, weights = torch.randn(5, 6), torch.eye(5)
    with torch.no_grad():
        assert (reading.config.z_dim, reading.config.num_classes) == (6, 5)
        assert (made_of(reading)(z, weights) - network(weights, z)).abs().max() < 1e-5
    assert told in str(reading.remarks) and bool(told) == bool(reading.remarks)


def test_which_input_is_taken_for_noise_is_told_and_can_be_said(tmp_path: Path) -> None:
    exported(WeightsFirst(), tmp_path / "theirs.onnx", torch.randn(2, 5), torch.randn(2, 6), names=("a", "b"))
    assert read_file(tmp_path / "theirs.onnx", ImportOptions())[1].remarks == ("Its noise is taken to be 'a' [5], its class 'b' [6].",)
    for settings, says in (({"noise_input": "c"}, "one of: a, b"), ({"num_classes": 5}, "num_classes says nothing of such a file")):
        with pytest.raises(CheckpointError, match=says):
            read_file(tmp_path / "theirs.onnx", ImportOptions(settings=settings))


@pytest.mark.parametrize("sides", [(4, 4), ("h", "w")])
def test_channels_may_be_last(sides: tuple[Any, Any], tmp_path: Path) -> None:
    nodes = make_node("Tanh", ["z"], ["a"]), make_node("Transpose", ["a"], ["image"], perm=[0, 2, 3, 1])
    write(tmp_path / "theirs.onnx", *nodes, image=("n", *sides, 3))
    z = torch.randn(2, 48)
    assert torch.equal(made_of(read_file(tmp_path / "theirs.onnx", ImportOptions())[1])(z), z.view(2, 3, 4, 4).tanh())


def test_operators_that_are_not_used_may_be_named(tmp_path: Path) -> None:
    """As TensorFlow's converter always does."""
    domains = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 2)]
    write(tmp_path / "theirs.onnx", make_node("Tanh", ["z"], ["image"]), more={"opset_imports": domains})
    assert read_file(tmp_path / "theirs.onnx", ImportOptions())[0] == GRAPH
    write(tmp_path / "theirs.onnx", make_node("Scaler", ["z"], ["image"], domain="ai.onnx.ml"), more={"opset_imports": domains})
    with pytest.raises(CheckpointError, match="operators beyond those of ONNX itself"):
        read_file(tmp_path / "theirs.onnx", ImportOptions())


def test_many_images_at_once_are_told_from_other_faults(tmp_path: Path) -> None:
    z, image = (make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("z", [16, 48]), ("image", [16, 3, 4, 4])))
    nodes = [make_node("Reshape", ["z", "shape"], ["a"]), make_node("Tanh", ["a"], ["image"])]
    model = make_model(make_graph(nodes, "g", [z], [image], [from_array(np.array([16, 3, 4, 4]), "shape")]))
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="16 images at once: export it with one image's noise"):
        read_file(tmp_path / "theirs.onnx", ImportOptions())
