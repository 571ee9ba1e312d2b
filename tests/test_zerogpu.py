"""A Space with ZeroGPU, played by a module that does what `spaces` does: torch pretends to have a GPU, and work goes to a process of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from resgen.composite import Walk
from resgen.errors import ResGenError
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.studio import zerogpu
from resgen.studio.renderer import Renderer
from resgen.work import Work, finish

SPACES = """
import multiprocessing, pickle, threading
import torch

torch.cuda.is_available = lambda: True  # which it is not
lent = []

def GPU(task):
    def gradio_handler(*arguments):
        lent.append(task.__name__)
        fork = multiprocessing.get_context("fork")
        results = fork.SimpleQueue()

        def iterate():
            torch.cuda.is_available = lambda: False
            try:
                for result in task(*pickle.loads(pickle.dumps(arguments))):
                    results.put(result)
            finally:
                results.put(None)

        def worker():
            thread = threading.Thread(target=iterate)
            thread.start()
            thread.join()

        process = fork.Process(target=worker)
        process.start()
        while (result := results.get()) is not None:
            yield result
        process.join()
    return gradio_handler
"""
PROGRAM = """
import sys
from pathlib import Path
from resgen.composite import Walk, read
from resgen.errors import ResGenError
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.studio import zerogpu
from resgen.studio.renderer import Renderer
from resgen.work import finish
import spaces

folder, walk, out = sys.argv[1:]
renderer = Renderer(Library(Path(folder), zerogpu.device("auto")))
renderer.view(Recipe(checkpoint="tiny", seeds=(0, 1)))
steps = []
Path(out).write_bytes(finish(renderer.film(read(walk), ".gif"), lambda *step: steps.append(step)))
try:
    finish(renderer.film(read(walk), ".mov"))
except ResGenError as error:
    print(renderer.library.device, *spaces.lent, steps[-1], error)
"""


def test_a_film_is_drawn_where_the_gpu_is_and_all_else_here(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "spaces.py").write_text(SPACES)
    walk = Walk(stops=tuple(Recipe(checkpoint="tiny", seeds=(seed,)) for seed in (1, 2)), seconds=1.0, fps=8)
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_folder), json.dumps(walk.to_dict()), str(tmp_path / "film.gif")],
        env={**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(__file__).parent.parent)))},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert made.stdout == f"cpu _film {(walk.frames, walk.frames)} Films are written as .mp4, .gif, .webp; .mov is none of them.\n", made.stderr
    here = finish(Renderer(Library(tiny_folder, "cpu")).film(walk, ".gif"))
    assert (tmp_path / "film.gif").read_bytes() == here


def test_who_waits_for_the_gpu_keeps_nobody_waiting_and_may_leave(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, lent, told = threading.Event(), threading.Event(), list[str]()

    def film(*_: str) -> Iterator[tuple[int, int]]:
        waits.set()
        lent.wait(20)
        while True:
            yield 1, 2

    def ask() -> None:
        try:
            finish(renderer.film(Walk(stops=(Recipe(checkpoint="tiny", seeds=(1,)),) * 2), ".gif"))
        except ResGenError as error:
            told.append(str(error))

    def long_work() -> Work[str]:
        yield 1, 1
        return "done"

    monkeypatch.setattr(zerogpu, "LENT", True)
    monkeypatch.setattr(zerogpu, "_film", film)
    renderer = Renderer(library)
    asker = threading.Thread(target=ask)
    asker.start()
    assert waits.wait(20)
    assert finish(renderer.turns.share(long_work())) == "done" and not lent.is_set()
    renderer.turns.left = lambda: True
    lent.set()
    asker.join(20)
    assert told == ["Whoever asked for this has gone."]


def test_nothing_is_lent_elsewhere() -> None:
    assert not zerogpu.LENT and zerogpu.device("cuda") == "cuda"
