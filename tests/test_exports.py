"""Each export, loaded in a process that cannot import ResGen, draws what the checkpoint draws."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resgen.errors import CheckpointError
from resgen.exports import WRITERS, export, inputs_of, to_onnx
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.sampler import Sampler

SEEDS = (5, 6, 7)
LOAD = {
    "onnx": "import onnxruntime as o; s = o.InferenceSession(path); out = s.run(None, dict(zip([i.name for i in s.get_inputs()], inputs)))[0]",
    "torchscript": "import torch; out = torch.jit.load(path)(*map(torch.from_numpy, inputs)).numpy()",
    "pt2": "import torch; out = torch.export.load(open(path, 'rb')).module()(*map(torch.from_numpy, inputs)).detach().numpy()",
}
ALONE = """
import sys
sys.modules["resgen"] = None
import numpy as np
path = sys.argv[1]
inputs = list(np.load(sys.argv[2]).values())
{load}
np.save(sys.argv[3], out)
"""


def drawn_alone(kind: str, path: Path, sampler: Sampler) -> np.ndarray:
    """Images uint8 of SEEDS, drawn by an export in a process of its own."""
    if kind == "python":
        words = ["-I", str(path), "--seeds", *map(str, SEEDS), "--out", str(path.with_suffix(".npz"))]
        subprocess.run([sys.executable, *words], check=True, cwd=path.parent)
        return np.load(path.with_suffix(".npz"))["images"]
    given, made = path.parent / "inputs.npz", path.parent / "images.npy"
    np.savez(given, *(value.numpy() for value in inputs_of(sampler, SEEDS)))
    subprocess.run([sys.executable, "-I", "-c", ALONE.format(load=LOAD[kind]), str(path), str(given), str(made)], check=True)
    images = np.load(made)
    return ((images + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("kind", WRITERS)
def test_an_export_draws_alone_what_the_checkpoint_draws(kind: str, tiny: Sampler, tmp_path: Path) -> None:
    path = tmp_path / {"python": "tiny.py", "pt2": "tiny.pt2"}.get(kind, f"tiny.{kind}")
    assert export(tiny, kind, path) <= 1
    wanted = tiny.render(Recipe(seeds=SEEDS)).astype(int)
    assert abs(drawn_alone(kind, path, tiny).astype(int) - wanted).max() <= 1
    assert not list(tmp_path.glob("*.part"))


def test_half_precision_is_near(tiny: Sampler, tmp_path: Path) -> None:
    assert export(tiny, "onnx", tmp_path / "tiny.onnx", half=True) <= 3
    wanted = tiny.render(Recipe(seeds=SEEDS)).astype(int)
    assert abs(drawn_alone("onnx", tmp_path / "tiny.onnx", tiny).astype(int) - wanted).max() <= 3


@pytest.mark.parametrize("name", ["cifar10", "faces"])
def test_shipped_weights_fit_half_precision(name: str, tmp_path: Path) -> None:
    assert export(Library(device="cpu").sampler(name), "onnx", tmp_path / "x.onnx", half=True) <= 3


def test_a_name_is_no_program(tiny: Sampler, tmp_path: Path) -> None:
    """That of a checkpoint may be a stranger's."""
    name = f'x"""+str(open({str(tmp_path / "ran")!r}, "w"))+"""'
    export(Sampler(replace(tiny.checkpoint, card=replace(tiny.card, name=name)), "cpu"), "python", tmp_path / "x.py")
    assert (tmp_path / "x.py").exists() and not (tmp_path / "ran").exists()


def test_weights_are_not_written_over_by_their_program(tiny: Sampler, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"\.py"):
        export(tiny, "python", tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())


def test_what_draws_something_else_is_not_kept(tiny: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, draw = WRITERS["torchscript"]
    monkeypatch.setitem(WRITERS, "torchscript", (write, lambda sampler, path: 255 - draw(sampler, path)))
    with pytest.raises(CheckpointError, match="it was not kept"):
        export(tiny, "torchscript", tmp_path / "tiny.pt")
    assert not list(tmp_path.iterdir())


def test_a_program_and_its_weights_are_kept_together_or_not_at_all(tiny: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, draw = WRITERS["python"]
    before = {tmp_path / "tiny.py": b"old program", tmp_path / "tiny.pt": b"old weights"}
    for path, data in before.items():
        path.write_bytes(data)
    monkeypatch.setitem(WRITERS, "python", (write, lambda *given: 255 - draw(*given)))
    with pytest.raises(CheckpointError, match="it was not kept"):
        export(tiny, "python", tmp_path / "tiny.py")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.setitem(WRITERS, "python", (write, draw))
    export(tiny, "python", tmp_path / "tiny.py")
    assert {*tmp_path.iterdir()} == {*before} and not {path.read_bytes() for path in before} & {*before.values()}


@pytest.mark.parametrize(("kind", "half"), [("keras", False), ("python", True)])
def test_what_cannot_be_written_is_said(kind: str, half: bool, tiny: Sampler, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        export(tiny, kind, tmp_path / "x", half)


def test_the_random_state_is_left_as_it_is(tiny: Sampler, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    export(tiny, "torchscript", tmp_path / "tiny.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_exported_is_told_by_its_cause() -> None:
    class Unfollowed(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            raise NotImplementedError("no way through")

    with pytest.raises(CheckpointError, match=r"^This generator cannot be exported so: no way through\.$"):
        to_onnx(Unfollowed(), (torch.zeros(2, 4),), ["z"], "image")
