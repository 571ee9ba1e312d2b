import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from resgen import tensors as module
from resgen.errors import CheckpointError
from resgen.tensors import DTYPES, open_tensors, save_tensors
from tests.conftest import with_pipes

GOOD: dict[str, Any] = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F16", "shape": [1, 2], "data_offsets": [8, 12]}}


def written(path: Path, header: object, data: bytes = bytes(12), length: int | None = None) -> Path:
    """A file with this header, as JSON or as it is."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def test_what_is_written_is_read_by_the_library_and_by_us(tmp_path: Path) -> None:
    given = {name: torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in DTYPES.items()}
    given |= {"empty": torch.zeros(0, 3), "number": torch.tensor(2.5)}
    save_tensors(given, {"word": "é"}, tmp_path / "x")
    theirs = load_file(tmp_path / "x")
    with open_tensors(tmp_path / "x") as file:
        assert file.metadata == {"word": "é"} and {name: slot.shape for name, slot in file.slots.items()} == {
            n: tuple(t.shape) for n, t in given.items()
        }
        ours = file.read()
    for name, tensor in given.items():
        assert ours[name].dtype == tensor.dtype and torch.equal(ours[name], tensor) and torch.equal(theirs[name], tensor)


def test_what_was_read_does_not_hang_on_the_file(tmp_path: Path) -> None:
    save_tensors({"a": torch.ones(5000)}, {}, tmp_path / "x")
    with open_tensors(tmp_path / "x") as file:
        read = file.read()["a"]
    (tmp_path / "x").write_bytes(b"")
    assert read.sum() == 5000


def test_a_file_that_is_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    save_tensors({"a": torch.ones(50_000)}, {}, tmp_path / "x")
    with pytest.raises(CheckpointError, match="damaged"), open_tensors(tmp_path / "x") as file:
        os.truncate(tmp_path / "x", 10_000)
        file.read()


def test_files_are_as_readable_as_others(tmp_path: Path) -> None:
    save_tensors({"a": torch.ones(1)}, {}, tmp_path / "x")
    (tmp_path / "y").write_bytes(b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "y").stat().st_mode


def changed(**values: object) -> dict[str, Any]:
    return {**GOOD, "a": {**GOOD["a"], **values}}


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[]", b"5", b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 5000, b'{"a": 1' + b"0" * 5000 + b"}", {}, {"a": 1}, {"a": {}},
        {"__metadata__": []}, {"__metadata__": {"a": 1}, **GOOD}, {**GOOD, "c": GOOD["b"]}, {"a": GOOD["a"]}, {"b": GOOD["b"]},
        changed(dtype="F4"), changed(dtype="C64"), changed(dtype="I8"), changed(dtype=[]), changed(dtype="F16"), changed(more=1),
        changed(shape=[3]), changed(shape=[-2]), changed(shape=[2.0]), changed(shape=[True, 2]), changed(shape=2), changed(shape=[2] + [1] * 9),
        changed(shape=[2**70, 0]), changed(shape=["2"]), changed(data_offsets=[0]), changed(data_offsets=[8, 0]), changed(data_offsets=[0, 8, 8]),
        changed(data_offsets=[-8, 0]), changed(data_offsets=[4, 12]), changed(data_offsets=[0, 2**70]), changed(data_offsets=None),
    ],
)  # fmt: skip
def test_headers_that_are_not_sound_are_refused(tmp_path: Path, header: object) -> None:
    with pytest.raises(CheckpointError, match="x is damaged or not whole"), open_tensors(written(tmp_path / "x", header)):
        pytest.fail("it was opened")


def test_the_good_header_of_these_is_read(tmp_path: Path) -> None:
    with open_tensors(written(tmp_path / "x", GOOD)) as file:
        assert [tuple(tensor.shape) for tensor in file.read().values()] == [(2,), (1, 2)]


@pytest.mark.parametrize("length", [0, 1, 10**6, 2**63, 2**64 - 1])
def test_lengths_that_cannot_be_are_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(CheckpointError), open_tensors(written(tmp_path / "x", GOOD, length=length)):
        pytest.fail("it was opened")


def test_a_header_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "x", {"word": "w" * 1000})
    monkeypatch.setattr(module, "MAX_HEADER", 1000)
    with pytest.raises(CheckpointError), open_tensors(tmp_path / "x"):
        pytest.fail("it was opened")


@with_pipes
def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(CheckpointError), open_tensors(path):
            pytest.fail("it was opened")
    with pytest.raises(FileNotFoundError), open_tensors(tmp_path / "none"):
        pytest.fail("it was opened")
