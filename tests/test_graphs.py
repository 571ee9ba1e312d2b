"""Generators as graphs for pages: what cannot be written is told, known for a while and tried again; nothing outlives the studio."""

import json
import logging
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from cachetools import TTLCache

import resgen
from resgen.checkpoint import load_checkpoint
from resgen.errors import CheckpointError
from resgen.files import cache_folder
from resgen.library import Library
from resgen.studio import graphs
from resgen.studio.graphs import Graphs
from resgen.studio.renderer import Renderer
from tests.conftest import until


@pytest.fixture
def renderer(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renderer:
    """Over a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Renderer(library)


def test_what_cannot_be_written_is_in_the_log_and_told_and_tried_again_later(renderer: Renderer, caplog: pytest.LogCaptureFixture) -> None:
    cache_folder().parent.mkdir(parents=True, exist_ok=True)
    cache_folder().touch()  # a file where the folder should be
    made, now = Graphs(renderer), 0.0
    made._failed = TTLCache(1, graphs.FAILED_SECONDS, lambda: now)

    def fails() -> bool:
        try:
            return made.folder("tiny") is not None
        except CheckpointError as error:
            return str(error) == "This generator cannot be drawn in a page."

    with caplog.at_level(logging.ERROR, "resgen.requests"):
        until(fails, 30)
        assert fails() and len(caplog.records) == 1
        now = graphs.FAILED_SECONDS
        until(lambda: fails() and len(caplog.records) == 2, 30)
    assert {json.loads(record.message)["where"] for record in caplog.records} == {"graphs"}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="which processes a process has is read from /proc")
def test_what_writes_ends_with_the_studio(renderer: Renderer) -> None:
    def children() -> set[str]:
        return {number for task in Path("/proc/self/task").iterdir() for number in (task / "children").read_text().split()}

    before, made = children(), Graphs(renderer)
    assert made.folder("tiny") is None and made.folder("plain") is None
    until(lambda: bool(children() - before), 30)
    renderer.turns.stop()
    until(lambda: not children() - before and not made._writing, 30)
    assert os.listdir(cache_folder() / "drawing") == []


def written(checkpoint: Path, folder: Path) -> None:
    """What an export leaves, as far as it is looked at here."""
    folder.mkdir()
    told = {"checkpoints": [{"sha256": load_checkpoint(checkpoint).sha256}]}
    (folder / "site.json").write_text(json.dumps(told))


@pytest.fixture
def made(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> Graphs:
    """With an export that takes no time."""
    made = Graphs(renderer)
    monkeypatch.setattr(made, "_export", written)
    return made


def test_of_a_file_that_is_replaced_meanwhile_nothing_is_kept_under_the_name_of_the_other(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = Path(shutil.copy(tiny_folder / "tiny.safetensors", tmp_path / "x.safetensors"))
    made = Graphs(Renderer(Library(tmp_path, "cpu")))

    def replace(checkpoint: Path, folder: Path) -> None:
        shutil.copy(tiny_folder / "snapshots" / "tiny" / "500.safetensors", target)
        written(checkpoint, folder)

    monkeypatch.setattr(made, "_export", replace)
    assert made.folder("x") is None
    until(lambda: not made._writing, 30)
    assert os.listdir(cache_folder() / "drawing") == []
    until(lambda: made.folder("x") is not None, 30)
    folder = made.folder("x")
    assert folder and folder.name.startswith(load_checkpoint(target).sha256[:24])


def test_a_folder_that_was_cleared_in_part_is_written_anew(made: Graphs) -> None:
    until(lambda: made.folder("tiny") is not None, 30)
    folder = made.folder("tiny")
    assert folder
    (folder / "site.json").unlink()
    (folder / "left").touch()
    assert made.folder("tiny") is None
    until(lambda: made.folder("tiny") == folder, 30)
    assert os.listdir(folder) == ["site.json"]


def test_what_was_left_and_what_nobody_asks_for_goes(made: Graphs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "KEPT", 3)
    shared = cache_folder() / "drawing"
    old = [shared / f"{digit * 24}-1" for digit in "0123"]
    for age, folder in enumerate([*old, shared / ".left", shared / ".under-way"]):
        (folder / "checkpoints").mkdir(parents=True)
        os.utime(folder, (time.time(), time.time() - age))
    os.utime(shared / ".left", (0, 0))
    until(lambda: made.folder("tiny") is not None, 30)
    folder = made.folder("tiny")
    assert folder and {*shared.iterdir()} == {folder, old[0], old[1], shared / ".under-way"}
    os.utime(folder, (0, 0))
    assert made.folder("tiny") == folder, "asked for again"
    until(lambda: made.folder("plain") is not None, 30)
    assert {*shared.iterdir()} == {folder, made.folder("plain"), old[0], shared / ".under-way"}


@pytest.mark.parametrize("told", ["", "{}", '{"checkpoints": []}', '{"checkpoints": [{}]}'])
def test_an_export_that_left_something_else_is_told_as_one_that_failed(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, told: str
) -> None:
    """And not begun again by every page that asks."""

    def odd(_: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "site.json").write_text(told)

    made = Graphs(renderer)
    monkeypatch.setattr(made, "_export", odd)
    with caplog.at_level(logging.ERROR, "resgen.requests"):
        assert made.folder("tiny") is None
        until(lambda: not made._writing, 30)
        with pytest.raises(CheckpointError, match="cannot be drawn in a page"):
            made.folder("tiny")
    assert len(caplog.records) == 1 and os.listdir(cache_folder() / "drawing") == []


FIND = "import os, sys; from importlib.util import find_spec; sys.exit(os.pathsep.join([find_spec('resgen').origin, *sys.path]))"


def test_what_writes_finds_this_program_wherever_the_studio_was_started(renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is installed nowhere: a stand-in for Python, which leaves out what is, tells where it finds the program, and where else it looks."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S -c "{FIND}"\n')
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    with pytest.raises(CheckpointError) as said:
        Graphs(renderer)._export(renderer.library.path("tiny"), tmp_path / "site")
    found, *places = str(said.value).strip().split(os.pathsep)
    assert found == resgen.__file__ and "/elsewhere" in places
