"""Files that mean harm, or are not what they say: each is refused in one sentence, nothing of it is run, and little memory is used."""

import argparse
import collections
import datetime
import itertools
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc
import types
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from resgen.errors import CheckpointError
from resgen.interop.choosing import networks
from resgen.interop.readers import read_file
from resgen.interop.reading import ImportOptions
from resgen.interop.torch_files import read_states
from resgen.library import SHIPPED
from tests.conftest import grows_evenly
from tests.interop.test_pickles import FOUR, Call, network, persistent, storage, tensor, written

MEGABYTES = 512
READ = """
import json, re, sys
from pathlib import Path
from resgen.errors import CheckpointError
from resgen.imports import import_file
from resgen.interop.reading import ImportOptions
def memory(kind):  # in MB; the most so far, VmHWM, is this process's own, unlike the figure of getrusage
    return int(re.search(rf"{kind}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
before = memory("VmRSS")
for path in map(Path, sys.argv[1:]):
    try:
        import_file(path, "x", ImportOptions(output="tanh"))
    except CheckpointError as error:
        print(json.dumps([str(path), memory("VmHWM") - before, str(error)]))
"""


class Runs:
    """A pickle that runs code."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def runs_code(path: Path) -> None:
    torch.save({"generator": {"main.0.weight": torch.zeros(4, 4, 4, 4), "x": Runs(path.parent / "ran")}}, path)


def old_save_that_runs_code(path: Path) -> None:
    torch.save({"generator": {"main.0.weight": torch.zeros(4, 4, 4, 4), "x": Runs(path.parent / "ran")}}, path, _use_new_zipfile_serialization=False)


def old_pickle_that_runs_code(path: Path) -> None:
    path.write_bytes(pickle.dumps(Runs(path.parent / "ran")))


def one_number_that_claims_many(path: Path) -> None:
    torch.save({"main.0.weight": torch.zeros(1).expand(2**30, 2**30)}, path)


def two_to_the_sixty(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**30, 2**30], "data_offsets": [0, 2**62]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))


def truncated(path: Path) -> None:
    torch.save({"main.0.weight": torch.zeros(100, 64, 4, 4)}, path)
    path.write_bytes(path.read_bytes()[:-5000])


def tuples_within_tuples(path: Path) -> None:
    """A key of two tuples, of which each has the one before twice: to look it up takes two to the sixty steps."""
    twice = b"".join(bytes([ord("h"), number, ord("h"), number, 0x86, ord("q"), number + 1]) for number in range(60))
    archived(path, b"\x80\x02)q\x00" + twice + b"}h<Ns.")


def archived(path: Path, content: bytes) -> None:
    """A file as torch.save writes it, of any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", b"3\n")


def bytes_by_a_number(path: Path) -> None:
    archived(path, b"\x80\x02](c__builtin__\nbytearray\nq\x01" + b"h\x01J\x00\x00\x00\x40\x85R" * 4 + b"e.")


def bytes_doubled_again_and_again(path: Path) -> None:
    twice = b"h\x01h\x02X\x0b\x00\x00\x00_HEX--codec\x86Rq\x02"
    archived(path, b"\x80\x02](c_codecs\nencode\nq\x01X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86Rq\x02" + twice * 32 + b"e.")


class Within(nn.Module):
    """A module within itself, under a hundred names."""

    def __init__(self) -> None:
        super().__init__()
        self._modules = dict.fromkeys(map(str, range(100)), self)


def modules_without_end(path: Path) -> None:
    torch.save(Within(), path)


def table_that_says_how_it_is_read(path: Path) -> None:
    """A table of which to ask its items gives a number."""
    archived(path, b"\x80\x02}X\x01\x00\x00\x00gccollections\nOrderedDict\n)R}(X\x05\x00\x00\x00itemsK\x01X\x08\x00\x00\x00_modulesK\x01ubs.")


def zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(1 << 30))


def git_lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3004421\n")


def torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(4, 4), torch.zeros(1, 4)), path)  # type: ignore[no-untyped-call]


def onnx_with_data_elsewhere(path: Path) -> None:
    import onnx

    weight = onnx.helper.make_tensor("w", 1, [4, 12], [0.0] * 48)
    node = onnx.helper.make_node("MatMul", ["z", "w"], ["image"])
    z, image = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("z", ["n", 4]), ("image", ["n", 12])))
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [weight]))
    outside = model.graph.initializer[0]
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../../etc/passwd")
    path.write_bytes(model.SerializeToString())


def onnx_that_grows(path: Path) -> None:
    import onnx

    sizes = onnx.helper.make_tensor("s", 7, [4], [1, 3, 1 << 20, 1 << 20])
    node = onnx.helper.make_node("Expand", ["z", "s"], ["image"])
    z, image = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("z", ["n", 3, 1, 1]), ("image", ["n", 3, 64, 64])))
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [sizes])).SerializeToString())


def onnx_with_a_loop(path: Path) -> None:
    import onnx

    node = onnx.helper.make_node("SequenceEmpty", [], ["image"])
    z, image = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("z", ["n", 4]), ("image", ["n", 3, 64, 64])))
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [])).SerializeToString())


def nested_classes_that_run_code(path: Path) -> None:
    """A network within a network, the inner one's state made by a call."""
    inner = persistent({"_modules": {"b4": persistent({"conv1": Call("os", "mkdir", str(path.parent / "ran"))})}}, kind="SynthesisNetwork")
    path.write_bytes(written({"G_ema": persistent({"_modules": {"synthesis": inner}})}))


def nested_classes_with_code_as_source(path: Path) -> None:
    """What NVIDIA's own reader would run for each class: here it is text, and what is left is no generator."""
    source = f"import os; os.mkdir({str(path.parent / 'ran')!r})"
    inner = persistent({"_parameters": {}}, source, kind="SynthesisNetwork")
    path.write_bytes(written({"G_ema": persistent({"_modules": {"synthesis": inner}}, source)}))


def nested_classes_described_by_a_class(path: Path) -> None:
    path.write_bytes(written({"G_ema": Call("torch_utils.persistence", "_reconstruct_persistent_obj", persistent({}))}))


def pickled_tensor_that_claims_many(path: Path) -> None:
    path.write_bytes(written({"G_ema": network(tensor(storage(FOUR, 4), 0, (2**30, 2**30), (0, 0)))}))


def pickle_without_a_network(path: Path) -> None:
    path.write_bytes(pickle.dumps({"D": None, "numbers": [1, 2, 3]}))


def network_of_tensorflow(path: Path) -> None:
    path.write_bytes(b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81.")


def cut_stylegan(path: Path) -> None:
    path.write_bytes((Path(__file__).parent / "stylegan" / "resnet-32.pkl").read_bytes()[:-5000])


def pickle_of_many_sets(path: Path) -> None:
    """Each of one byte is two hundred in memory."""
    path.write_bytes(b"\x80\x04" + b"\x8f" * 5_000_000 + b".")


def archive_of_many_parts(path: Path) -> None:
    """A list of parts that is longer than what it lists: an entry of forty-six bytes is four hundred in memory."""
    entry = b"PK\x01\x02" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    count = 1_000_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, count * len(entry), 0, 0)
    path.write_bytes(entry * count + end)


def norm_wider_than_its_layer(path: Path) -> None:
    """A thousand channels of one layer, ten thousand of its norm: together ten thousand million numbers."""
    norm = {"running_mean": torch.zeros(10_000), "running_var": torch.ones(10_000)}
    torch.save(
        {"a.weight": torch.zeros(1, 1, 1000, 1000), "a.bias": torch.zeros(10_000), **{f"n.{name}": value for name, value in norm.items()}}, path
    )


def bias_of_no_dimension(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(8, 3, 4, 4), "a.bias": torch.tensor(0.0), "b.weight": torch.zeros(3, 3, 4, 4)}, path)


def onnx_that_pads(path: Path) -> None:
    """Sixteen pixels become a thousand million, of which a stride keeps nine."""
    import onnx

    weight = onnx.helper.make_tensor("w", 1, [3, 3, 1, 1], [0.0] * 9)
    node = onnx.helper.make_node("Conv", ["z", "w"], ["image"], pads=[16384] * 4, strides=[16384] * 2)
    z, image = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("z", ["n", 3, 4, 4]), ("image", ["n", 3, 3, 3])))
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [weight])).SerializeToString())


def onnx_of_many_images_that_are_none(path: Path) -> None:
    """A column times a row of sixty-five thousand numbers each; nothing of it is the image."""
    import onnx

    sizes = [("column", [1 << 16, 1]), ("row", [1, 1 << 16])]
    given = [onnx.helper.make_tensor(name, 1, shape, [0.0] * (1 << 16)) for name, shape in sizes]
    nodes = [onnx.helper.make_node("MatMul", ["column", "row"], ["much"]), onnx.helper.make_node("Identity", ["z"], ["image"])]
    z, image = (onnx.helper.make_tensor_value_info(name, 1, ["n", 3, 8, 8]) for name in ("z", "image"))
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [z], [image], given)).SerializeToString())


def onnx_with_data_elsewhere_in_a_list(path: Path) -> None:
    import onnx

    z, image = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("z", ["n", 4]), ("image", ["n", 3, 4, 4])))
    outside = onnx.TensorProto(name="x", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="secret")
    node = onnx.helper.make_node("Identity", ["z"], ["image"], x=[outside])
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [])).SerializeToString())


def onnx_of_many_parts(path: Path) -> None:
    """More than can be written into a checkpoint's header and read again."""
    import onnx

    names = ["z", *(f"x{index}" for index in range(5000)), "image"]
    nodes = [onnx.helper.make_node("Identity", [name], [then]) for name, then in itertools.pairwise(names)]
    z, image = (onnx.helper.make_tensor_value_info(name, 1, ["n", 3, 8, 8]) for name in ("z", "image"))
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [z], [image], [])).SerializeToString())


def onnx_that_makes_bytes(path: Path) -> None:
    import onnx

    node = onnx.helper.make_node("Cast", ["z"], ["image"], to=onnx.TensorProto.UINT8)
    z, image = (onnx.helper.make_tensor_value_info(name, kind, ["n", 3, 8, 8]) for name, kind in (("z", 1), ("image", onnx.TensorProto.UINT8)))
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [])).SerializeToString())


def onnx_that_branches(path: Path) -> None:
    import onnx

    z, image, branched = (onnx.helper.make_tensor_value_info(name, 1, ["n", 3, 8, 8]) for name in ("z", "image", "branched"))
    branch = onnx.helper.make_graph([onnx.helper.make_node("Tanh", ["z"], ["branched"])], "b", [], [branched])
    node = onnx.helper.make_node("If", ["truth"], ["image"], then_branch=branch, else_branch=branch)
    truth = onnx.helper.make_tensor("truth", onnx.TensorProto.BOOL, [], [True])
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [z], [image], [truth])).SerializeToString())


def of_ours(path: Path) -> None:
    shutil.copyfile(SHIPPED / "fashion-mnist.safetensors", path)


def empty(path: Path) -> None:
    path.write_bytes(b"")


FILES: dict[tuple[str, Callable[[Path], None]], str] = {
    (".pth", runs_code): "would run its code",
    (".bin", old_pickle_that_runs_code): "would run its code",
    (".pt", one_number_that_claims_many): "claims more numbers",
    (".safetensors", two_to_the_sixty): "safetensors",
    (".pth", truncated): "damaged or not whole",
    (".pth", zip_bomb): "unpacks to more",
    (".pth", tuples_within_tuples): "tuples within tuples",
    (".pth", pickle_of_many_sets): "larger than any network's",
    (".pth", bytes_by_a_number): "makes bytes",
    (".pth", bytes_doubled_again_and_again): "makes bytes",
    (".pth", modules_without_end): "more parts than any generator",
    (".pth", table_that_says_how_it_is_read): "no tensors by name",
    (".pth", archive_of_many_parts): "damaged or not whole",
    (".pth", norm_wider_than_its_layer): "not recognised",
    (".pth", bias_of_no_dimension): "not recognised",
    (".pth", git_lfs_pointer): "Git LFS",
    (".safetensors", of_ours): "a checkpoint of ResGen already",
    (".safetensors", git_lfs_pointer): "Git LFS",
    (".onnx", git_lfs_pointer): "Git LFS",
    (".pt", torchscript): "--trust",
    (".onnx", onnx_with_data_elsewhere): "weights in other files",
    (".onnx", onnx_that_grows): "cannot be followed",
    (".onnx", onnx_with_a_loop): "does not know",
    (".onnx", onnx_with_data_elsewhere_in_a_list): "weights in other files",
    (".onnx", onnx_that_pads): "cannot be followed",
    (".onnx", onnx_of_many_images_that_are_none): "cannot be followed",
    (".onnx", onnx_of_many_parts): "more than a checkpoint can tell of",
    (".onnx", onnx_that_makes_bytes): "made bytes",
    (".onnx", onnx_that_branches): "branches or loops",
    (".onnx", truncated): "cannot be read as ONNX",
    (".pth", empty): "is empty",
    (".pkl", old_pickle_that_runs_code): "may be harmful",
    (".pkl", nested_classes_that_run_code): "may be harmful",
    (".pkl", nested_classes_with_code_as_source): "not recognised",
    (".pkl", nested_classes_described_by_a_class): "describes an object in a way",
    (".pkl", pickled_tensor_that_claims_many): "claims more numbers",
    (".pkl", pickle_without_a_network): "no network called G_ema",
    (".pkl", network_of_tensorflow): "TensorFlow",
    (".pkl", cut_stylegan): "damaged or not whole",
    (".pkl", zip_bomb): "unpacks to more",
    (".pkl", runs_code): "would run its code",
    (".pkl", old_save_that_runs_code): "would run its code",
    (".pkl", git_lfs_pointer): "Git LFS",
    (".pkl", empty): "is empty",
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Callable[[Path], None]], tuple[Path, int, str]]:
    """Of each of `FILES` its path, the most megabytes used until it was refused, and the sentence; all by one process, since torch takes long to import."""
    paths = {}
    for suffix, make in FILES:
        paths[suffix, make] = tmp_path_factory.mktemp(make.__name__) / f"theirs{suffix}"
        make(paths[suffix, make])
    done = subprocess.run([sys.executable, "-c", READ, *map(str, paths.values())], capture_output=True, text=True, timeout=300)
    assert not done.returncode and not done.stderr.strip(), done.stderr[-500:]
    told = {path: (megabytes, sentence) for path, megabytes, sentence in map(json.loads, done.stdout.splitlines())}
    return {kind: (path, *told.get(str(path), (0, "not refused"))) for kind, path in paths.items()}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by Linux' own account")
@pytest.mark.parametrize(("kind", "says"), FILES.items(), ids=[f"{make.__name__}{suffix}" for suffix, make in FILES])
def test_a_file_that_means_harm_is_refused(kind: tuple[str, Callable[[Path], None]], says: str, refusals: Any) -> None:
    path, megabytes, sentence = refusals[kind]
    assert says in sentence and "\n" not in sentence
    assert megabytes < MEGABYTES and not (path.parent / "ran").exists()


def a_generator() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.ConvTranspose2d(8, 8, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())


class Settings(dict[str, Any]):
    """As many keep them."""

    __getattr__ = dict[str, Any].get


@pytest.mark.parametrize("beside", [
    argparse.Namespace(size=32), types.SimpleNamespace(size=32), Settings(size=32), np.float64(3.2), np.zeros(3), np.random.get_state(), Path("runs"),
    datetime.datetime(2020, 1, 1), collections.defaultdict(list, a=[1]), {1, 2}, nn.BCELoss(), nn.functional.relu, torch.float32, nn.Conv2d,
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_what_a_file_holds_beside_its_tensors_does_not_matter(beside: Any, tmp_path: Path) -> None:
    network = a_generator()
    torch.save({"generator": network.state_dict(), "beside": beside, "within": {"it": [beside]}}, tmp_path / "theirs.pth")
    kind, reading = read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))
    assert kind == "dcgan" and torch.equal(reading.weights["layers.1.weight"], network.state_dict()["3.weight"])


@pytest.mark.parametrize("place", ["", "'generator'"])
def test_a_whole_module_is_read_as_its_state_dict(place: str, tmp_path: Path) -> None:
    """Without what it would leave out, also within a module that spreads it."""
    network = a_generator()
    network.register_buffer("grid", torch.zeros(3), persistent=False)
    spread = nn.DataParallel(network)
    torch.save({"generator": spread, "epoch": 3} if place else spread, tmp_path / "theirs.model")
    ((_, state), *_) = read_states(tmp_path / "theirs.model")
    wanted = network.state_dict()
    assert list(state) == list(wanted) and all(torch.equal(value, wanted[name]) for name, value in state.items())


def test_what_a_file_names_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs_alone.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\nclass Settings:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    named = types.ModuleType("theirs_alone")
    kind = type("Settings", (), {"__module__": "theirs_alone"})
    vars(named)["Settings"] = kind
    monkeypatch.setitem(sys.modules, "theirs_alone", named)
    torch.save({"generator": a_generator().state_dict(), "settings": kind()}, tmp_path / "theirs.pth")
    monkeypatch.delitem(sys.modules, "theirs_alone")
    assert read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))[0] == "dcgan"
    assert "theirs_alone" not in sys.modules and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [
    *("builtins eval", "builtins exec", "builtins getattr", "builtins setattr", "builtins open", "builtins __import__", "__builtin__ eval"),
    *("os system", "posix system", "nt system", "subprocess Popen", "importlib import_module", "shutil rmtree", "runpy run_path", "pickle loads", "operator attrgetter"),
])  # fmt: skip
@pytest.mark.parametrize("called", [b"", b"X\x01\x00\x00\x001\x85R"])
def test_what_is_known_to_do_harm_is_refused(name: str, called: bytes, tmp_path: Path) -> None:
    archived(tmp_path / "theirs.pth", b"\x80\x02}(K\x01c" + name.replace(" ", "\n").encode() + b"\n" + called + b"u.")
    with pytest.raises(CheckpointError, match="would run its code"):
        read_states(tmp_path / "theirs.pth")


def test_more_names_than_any_network_has_are_refused(tmp_path: Path) -> None:
    names = b"".join(b"ctheirs%d\nKind\nq\x00" % index for index in range(1000))
    archived(tmp_path / "theirs.pth", b"\x80\x02](" + names + b"e.")
    with pytest.raises(CheckpointError, match="would run its code"):
        read_states(tmp_path / "theirs.pth")


def test_a_program_that_makes_no_image_is_refused(tmp_path: Path) -> None:
    torchscript(tmp_path / "theirs.pt")
    with pytest.raises(CheckpointError, match="does not make a square image"):
        read_file(tmp_path / "theirs.pt", ImportOptions(trusted=True))


def test_a_table_that_holds_itself_is_read_once(tmp_path: Path) -> None:
    table: dict[str, Any] = {"main.0.weight": torch.zeros(2, 2)}
    table |= {f"part{index}": table for index in range(8)}
    torch.save(table, tmp_path / "theirs.pth")
    ((_, state),) = read_states(tmp_path / "theirs.pth")
    assert state.keys() == {"main.0.weight"}


def test_a_table_in_several_places_counts_as_the_best_of_its_names(tmp_path: Path) -> None:
    averaged, other, within = ({"weight": torch.full((2,), float(number))} for number in range(3))
    parts = {"x": {"y": within}}
    torch.save({"params": averaged, "parts": parts, "model": other, "ema": averaged, "g_ema": parts}, tmp_path / "theirs.pth")
    assert [int(state["weight"][0]) for _, state in read_states(tmp_path / "theirs.pth")] == [2, 0, 1]


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [
        ("state_dict", "state_dict_ema"),
        ("model", "model_ema"),
        ("model_state_dict", "ema_state_dict"),
        ("generator", "g_running"),
        ("netG", "G_averaged"),
        ("netG", "average of G"),
        ("netG_ema", "G_ema"),
        ("netG", "avgG"),
        ("G", "GEMA"),
        ("G", "Gema"),
        ("generator", "generatorEMA"),
        ("G", "Gs"),
        ("generator", "generator_smooth"),
    ],
)
def test_the_averaged_network_is_taken_whatever_it_is_called(raw: str, averaged: str, tmp_path: Path) -> None:
    torch.save({name: {"weight": torch.full((2,), float(name == averaged))} for name in (raw, averaged)}, tmp_path / "theirs.pth")
    first, second = read_states(tmp_path / "theirs.pth")
    assert (first[0], int(first[1]["weight"][0]), second[0]) == (averaged, 1, raw)


@pytest.mark.parametrize("schema", ["{}", "{}_orig_mod.", "module.{}", "module._orig_mod.module.{}"])
def test_what_a_network_is_wrapped_in_is_taken_off_its_names(schema: str, tmp_path: Path) -> None:
    network = {"main.0.weight": torch.zeros(2), "module_list.weight": torch.ones(2)}
    wrapped = {schema.format("module.") + name: value for name, value in network.items()}
    torch.save(wrapped | {"n_averaged": torch.tensor(7)}, tmp_path / "theirs.pth")
    ((_, state),) = read_states(tmp_path / "theirs.pth")
    assert {name: float(value[0]) for name, value in state.items()} == {"main.0.weight": 0, "module_list.weight": 1}


def test_what_some_names_alone_begin_with_stays(tmp_path: Path) -> None:
    torch.save({"module.module.a": torch.zeros(1), "module.b": torch.zeros(1)}, tmp_path / "theirs.pth")
    ((_, state),) = read_states(tmp_path / "theirs.pth")
    assert set(state) == {"module.a", "b"}


def test_averaged_weights_of_torch_are_read(tmp_path: Path) -> None:
    network = nn.Sequential(nn.ConvTranspose2d(8, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())
    torch.save(torch.optim.swa_utils.AveragedModel(network).state_dict(), tmp_path / "theirs.pth")
    kind, reading = read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))
    assert kind == "dcgan" and torch.equal(reading.weights["layers.0.weight"], network.state_dict()["0.weight"])


def test_the_generator_is_found_within_a_whole_training(tmp_path: Path) -> None:
    """As Lightning keeps one: in one table, under names with dots. Its two networks in a row would pass for one."""
    generator = nn.Sequential(nn.ConvTranspose2d(8, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())
    adversary = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1))
    parts = {"generator": generator, "discriminator": adversary, "generator_ema": nn.Sequential(*generator)}
    state = {f"{part}.{name}": value + (part == "generator_ema") for part, network in parts.items() for name, value in network.state_dict().items()}
    for left_out, place in (("", "'state_dict.generator_ema'"), ("generator_ema", "'state_dict.generator'")):
        kept = {name: value for name, value in state.items() if name.partition(".")[0] != left_out}
        torch.save({"state_dict": kept}, tmp_path / "theirs.ckpt")
        kind, reading = read_file(tmp_path / "theirs.ckpt", ImportOptions(output="tanh"))
        assert kind == "dcgan" and len(reading.config.block_resolutions) == 2 and place in reading.remarks[0]
        assert torch.equal(reading.weights["layers.0.weight"], generator.state_dict()["0.weight"] + (not left_out))


@pytest.mark.parametrize(
    ("generator", "adversary", "averaged"),
    [
        *(("gen", "dis", ""), ("net_g", "net_d", ""), ("g_net", "d_net", ""), ("model_G", "model_D", ""), ("netG", "netD", "")),
        *(("decoder", "encoder", ""), ("generator", "adversary", ""), ("G", "D", "GE"), ("gen", "critic_ema", "gen_ema")),
    ],
)
@pytest.mark.parametrize("flat", [True, False])
def test_a_generator_is_told_from_its_adversary_by_the_words_of_its_name(
    generator: str, adversary: str, averaged: str, flat: bool, tmp_path: Path
) -> None:
    theirs = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1)).state_dict()
    ours = a_generator().state_dict()
    parts = {adversary: theirs, generator: ours} | ({averaged: {name: value + 1 for name, value in ours.items()}} if averaged else {})
    state = {f"{part}.{name}": value for part, network in parts.items() for name, value in network.items()}
    torch.save(state if flat else parts, tmp_path / "theirs.pth")
    kind, reading = read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))
    assert kind == "dcgan" and reading.remarks[0] == f"It is read from {averaged or generator!r}."
    assert torch.equal(reading.weights["layers.1.weight"], ours["3.weight"] + bool(averaged))


def test_two_networks_in_a_row_are_not_one(tmp_path: Path) -> None:
    theirs = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1)).state_dict()
    torch.save(
        {f"{part}.{name}": value for part, of in (("one", a_generator().state_dict()), ("two", theirs)) for name, value in of.items()},
        tmp_path / "theirs.pth",
    )
    with pytest.raises(CheckpointError, match="not recognised"):
        read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))


def test_an_encoder_of_classes_is_a_part_of_its_network(tmp_path: Path) -> None:
    torch.save({"label_encoder.weight": torch.zeros(2), "decoder.weight": torch.zeros(2)}, tmp_path / "theirs.pth")
    ((_, state),) = read_states(tmp_path / "theirs.pth")
    assert len(state) == 2


def test_a_table_of_many_networks_is_soon_taken_apart(tmp_path: Path) -> None:
    def take_apart(count: int) -> None:
        path = tmp_path / f"{count}.pth"
        if not path.exists():
            torch.save({f"ema{index}.{'module.' * 20}w": torch.zeros(1) for index in range(count)}, path)
        assert len(read_states(path)) == 1 + count

    grows_evenly(take_apart, 500)


def in_a_key(text: str) -> dict[Any, Any]:
    return {(text,) * 20: {"weight": torch.zeros(1)}}


def in_names(text: str) -> dict[Any, Any]:
    name = f"module.{text}"
    return {str(index): {name: torch.zeros(1)} for index in range(20)}


@pytest.mark.parametrize("make", [in_a_key, in_names])
def test_a_long_text_in_many_places_is_not_copied_to_each(make: Callable[[str], dict[Any, Any]]) -> None:
    content = make("a" * 1_000_000)
    tracemalloc.start()
    try:
        with suppress(CheckpointError):
            assert list(networks(content)[0][1]) == ["weight"]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_layers_are_in_their_order_where_a_file_has_them_in_another(tmp_path: Path) -> None:
    """As safetensors has those that are called by what they are: all norms, then all convolutions."""
    layers = [nn.ConvTranspose2d(8, 8, 4), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 3, 4, 2, 1)]
    torch.nn.init.normal_(layers[1].weight)
    network = nn.Sequential(collections.OrderedDict(zip(("conv1", "bn1", "conv2", "bn2", "conv3"), layers, strict=True)))
    read = list[Any]()
    for name, save in (("theirs.safetensors", save_file), ("theirs.pth", torch.save)):
        save(network.state_dict(), tmp_path / name)
        kind, reading = read_file(tmp_path / name, ImportOptions(output="tanh"))
        assert kind == "dcgan"
        read.append(reading.weights)
    assert read[0].keys() == read[1].keys() and all(torch.equal(value, read[1][name]) for name, value in read[0].items())


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_may_be_called_a_pickle(zipped: bool, tmp_path: Path) -> None:
    network = nn.Sequential(nn.ConvTranspose2d(8, 8, 4), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())
    torch.save(network.state_dict(), tmp_path / "theirs.pkl", _use_new_zipfile_serialization=zipped)
    kind, reading = read_file(tmp_path / "theirs.pkl", ImportOptions(output="tanh"))
    assert kind == "dcgan" and torch.equal(reading.weights["layers.0.weight"], network.state_dict()["0.weight"])
