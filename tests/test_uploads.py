"""Files that come from a browser become checkpoints, or are refused in one sentence: the server's side of `--allow-import`."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.helper import make_graph, make_model, make_node, make_tensor_value_info
from onnx.numpy_helper import from_array

from resgen.checkpoint import file_hash
from resgen.cli import main
from resgen.errors import CheckpointError, RecipeError
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.studio import uploads as module
from resgen.studio.app import build
from resgen.studio.uploads import keep_upload
from tests.interop.states import PICKLES, their_file
from tests.interop.test_files import nested_classes_that_run_code
from tests.interop.test_onnx import at_most

SECONDS = 3600  # that a request has


@pytest.fixture
def shelf(tmp_path: Path) -> Library:
    (tmp_path / "shelf").mkdir()
    return Library(tmp_path / "shelf", "cpu")


def dcgan(folder: Path, called: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = their_file("dcgan-plain", folder)
    return path.rename(folder / called)


def heavy(path: Path, side: int, channels: int = 16, count: int = 100) -> Path:
    """A graph of many convolutions, the weights of each one and the same number."""
    shapes = {
        "start": [-1, channels, 4, 4],
        "sides": [1, channels, side, side],
        "weights": [channels, channels, 3, 3],
        "from": [0],
        "to": [3],
        "axis": [1],
    }
    given = [from_array(np.array(shape), name) for name, shape in shapes.items()] + [from_array(np.array(1 / 9 / channels, np.float32), "one")]
    nodes = [
        make_node("Reshape", ["z", "start"], ["small"]),
        make_node("Resize", ["small", "", "", "sides"], ["x0"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        make_node("Expand", ["one", "weights"], ["weight"]),
        *(make_node("Conv", [f"x{index}", "weight"], [f"x{index + 1}"], pads=[1] * 4) for index in range(count)),
        make_node("Slice", [f"x{count}", "from", "to", "axis"], ["three"]),
        make_node("Tanh", ["three"], ["image"]),
    ]  # fmt: skip
    ends = [
        make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("z", ["n", channels * 16]), ("image", ["n", 3, side, side]))
    ]
    path.write_bytes(make_model(make_graph(nodes, "g", ends[:1], ends[1:], given)).SerializeToString())
    return path


def test_what_a_file_does_not_say_is_assumed_and_told(shelf: Library, tmp_path: Path) -> None:
    name, told = keep_upload(dcgan(tmp_path, "my net (2).pth"), shelf, SECONDS)
    assert name == "my-net-2-" and "dcgan" in told and "tanh is assumed" in told
    assert shelf.sampler(name).render(Recipe(seeds=(0, 1))).std() > 5
    name, told = keep_upload(PICKLES / "skip-classes-32.pkl", shelf, SECONDS)
    assert name == "skip-classes-32" and "assumed" not in told


def test_what_a_page_cannot_be_told_is_said_with_who_can(shelf: Library, tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(8, 8, 7, 7), "b.weight": torch.zeros(8, 3, 7, 7)}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"strides, paddings.*A page cannot be told that; resgen import can"):
        keep_upload(tmp_path / "net.pth", shelf, SECONDS)
    assert not [*shelf.folder.iterdir()]


def test_a_file_is_kept_once_and_never_in_the_place_of_another(shelf: Library, tmp_path: Path) -> None:
    first = dcgan(tmp_path / "a", "net.pth")
    assert keep_upload(first, shelf, SECONDS)[0] == "net"
    assert keep_upload(first.rename(tmp_path / "again.pth"), shelf, SECONDS) == ("net", "again.pth is here already, as net.")
    shutil.copy(PICKLES / "resnet-32.pkl", tmp_path / "Net.pkl")
    assert keep_upload(tmp_path / "Net.pkl", shelf, SECONDS)[0] == "Net-2" and set(shelf.names()) == {"net", "Net-2"}


@pytest.mark.parametrize(("side", "seconds"), [(1024, 1), (64, 2)])  # one image takes longer; many do
def test_what_takes_too_long_to_be_measured_is_soon_refused(side: int, seconds: int, shelf: Library, tmp_path: Path) -> None:
    path = heavy(tmp_path / "net.onnx", side)
    assert path.stat().st_size < 10_000
    with (
        at_most(10 + 2 * seconds),
        pytest.raises(CheckpointError, match=rf"^net\.onnx takes more than the {seconds} seconds of a request .*resgen import\.$"),
    ):
        keep_upload(path, shelf, seconds)
    assert not [*shelf.folder.iterdir()]


@pytest.mark.parametrize("same", [False, True])
def test_what_is_brought_at_once_under_one_name_is_kept_as_if_one_came_after_the_other(
    shelf: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    convert, read = module._converted, threading.Barrier(2, timeout=60)

    def convert_together(*words: Any) -> Any:
        made = convert(*words)
        read.wait()
        return made

    monkeypatch.setattr(module, "_converted", convert_together)
    first, second = dcgan(tmp_path / "a", "net.pth"), tmp_path / "b" / ("net.pth" if same else "net.pkl")
    second.parent.mkdir()
    shutil.copy(first if same else PICKLES / "resnet-32.pkl", second)
    with ThreadPoolExecutor(2) as visitors:
        told = [name for name, _ in visitors.map(lambda path: keep_upload(path, shelf, SECONDS), (first, second))]
    kept = {"net"} if same else {"net", "net-2"}
    assert {*told} == kept == set(shelf.names()) == {path.stem for path in shelf.folder.iterdir()}
    for path, name in zip((first, second), told, strict=True):
        assert shelf.card(name).source["sha256"] == file_hash(path)
        assert shelf.sampler(name).render(Recipe(seeds=(0,))).std() > 1


def test_a_checkpoint_of_ours_is_kept_as_it_is(shelf: Library, tiny_folder: Path) -> None:
    name, _ = keep_upload(tiny_folder / "plain.safetensors", shelf, SECONDS)
    assert shelf.path(name).read_bytes() == (tiny_folder / "plain.safetensors").read_bytes()
    assert keep_upload(tiny_folder / "plain.safetensors", shelf, SECONDS)[0] == name


def test_nothing_is_run_and_nothing_kept_of_what_is_refused(shelf: Library, tmp_path: Path, tiny_folder: Path) -> None:
    nested_classes_that_run_code(tmp_path / "hostile.pkl")
    torch.jit.script(torch.nn.Conv2d(1, 1, 1)).save(tmp_path / "program.pt")
    (tmp_path / "cut.safetensors").write_bytes((tiny_folder / "plain.safetensors").read_bytes()[:-9])
    for name, words in (
        ("hostile.pkl", "may be harmful"),
        ("program.pt", "a program, which a page does not run"),
        ("cut.safetensors", "cannot be read|damaged"),
    ):
        with pytest.raises(CheckpointError, match=words):
            keep_upload(tmp_path / name, shelf, SECONDS)
    assert not (tmp_path / "ran").exists() and not [*shelf.folder.iterdir()]


def test_a_page_takes_generators_only_where_its_host_lets_it(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    folder = shutil.copytree(tiny_folder, tmp_path / "folder")
    (open_file,) = (event.fn for event in build(folder, "cpu").fns.values() if event.name == "open_file" and event.fn)
    with pytest.raises(Exception, match=r"takes pictures and films alone.*--allow-import.*resgen import net\.pth\.") as refused:
        open_file({"path": str(dcgan(tmp_path, "net.pth"))}, False)
    assert isinstance(refused.value.__cause__, RecipeError) and not (folder / "net.safetensors").exists()


@pytest.mark.parametrize(("words", "place"), [(["--share"], ""), ([], "ann/studio")])
def test_a_public_page_takes_none(words: list[str], place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SPACE_ID", place)
    with pytest.raises(SystemExit) as ended:
        main(["studio", "--allow-import", *words])
    assert ended.value.code == 2 and "leave it out" in capsys.readouterr().err
