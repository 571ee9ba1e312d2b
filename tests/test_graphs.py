"""Generators as graphs for pages: what cannot be written is told, known for a while and tried again; nothing outlives the studio."""

import json
import logging
import os
import sys
from pathlib import Path

import pytest

import resgen
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


def test_what_cannot_be_written_is_in_the_log_and_told_and_tried_again_later(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(graphs, "FAILED_SECONDS", 1.0)
    cache_folder().parent.mkdir(parents=True, exist_ok=True)
    cache_folder().touch()  # a file where the folder should be
    made = Graphs(renderer)

    def fails() -> bool:
        try:
            return made.folder("tiny") is not None
        except CheckpointError as error:
            return str(error) == "This generator cannot be drawn in a page."

    with caplog.at_level(logging.ERROR, "resgen.requests"):
        until(fails, 30)
        assert fails() and len(caplog.records) == 1
        until(lambda: fails() and len(caplog.records) == 2, 30)
    assert {json.loads(record.message)["where"] for record in caplog.records} == {"graphs"}


def test_what_writes_ends_with_the_studio(renderer: Renderer) -> None:
    def children() -> set[str]:
        return {number for task in Path("/proc/self/task").iterdir() for number in (task / "children").read_text().split()}

    before, made = children(), Graphs(renderer)
    assert made.folder("tiny") is None and made.folder("plain") is None
    until(lambda: bool(children() - before), 30)
    renderer.turns.stop()
    until(lambda: not children() - before and not made._writing, 30)
    assert os.listdir(cache_folder() / "drawing") == []


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
