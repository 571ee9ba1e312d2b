"""Generators as graphs, which pages draw by: each is written once, by a process of its own, and kept by what identifies its checkpoint."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from cachetools import TTLCache

from resgen.errors import CheckpointError
from resgen.files import cache_folder
from resgen.studio.log import note_failure
from resgen.studio.renderer import Renderer

FOLDER = re.compile(r"[0-9a-f]{24}-\d+", re.ASCII)
FORMAT = 1  # of what is kept of a generator; another one is written anew
WRITING_SECONDS = 600
PROGRAM = Path(__file__).parents[2]  # where Python finds `resgen`, also where it is installed nowhere and the studio was started from elsewhere
LOOK = 0.5  # seconds between two looks whether the studio ends
FAILED_SECONDS = 600  # until what failed is tried again: a disk may have been full
FAILURES_KEPT = 256
KEPT = 64  # generators, those that were asked for last
LIST = "site.json"  # which is written last: a folder that has it is whole


class Graphs:
    """Finds the graphs of generators, and has those written that are not there."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer, self._folder = renderer, cache_folder() / "drawing"
        self._writer, self._choosing = ThreadPoolExecutor(1, "graphs"), Lock()
        self._writing = set[str]()  # by what identifies a checkpoint
        self._failed: TTLCache[str, str] = TTLCache(FAILURES_KEPT, FAILED_SECONDS)

    def folder(self, name: str) -> Path | None:
        """Where a generator's graphs are; None while they are being written. Raises CheckpointError."""
        if name not in self._renderer.library.names():
            raise CheckpointError("There is no such generator here.")
        sha256 = self._renderer.sha256(name)
        folder = self._folder / f"{sha256[:24]}-{FORMAT}"
        if _is_whole(folder):
            with suppress(OSError):
                os.utime(folder)
            return folder
        with self._choosing:
            if _is_whole(folder):  # by now
                return folder
            if words := self._failed.get(sha256):
                raise CheckpointError(words)
            if sha256 not in self._writing:
                self._writing.add(sha256)
                self._writer.submit(self._write, sha256, self._renderer.library.path(name), folder)
        return None

    def file(self, place: str) -> Path | None:
        """What a page fetches of a generator's folder, 'FOLDER/NAME'."""
        folder, _, name = place.partition("/")
        if not FOLDER.fullmatch(folder):
            return None
        files = (self._folder / folder / "checkpoints").glob("*/*")
        return {path.relative_to(self._folder / folder).as_posix(): path for path in files if path.is_file()}.get(name)

    def _write(self, sha256: str, checkpoint: Path, folder: Path) -> None:
        """A checkpoint's graphs; what goes wrong is in the log, and known for a while."""
        try:
            if self._renderer.turns.stopped:
                return
            folder.parent.mkdir(parents=True, exist_ok=True)
            _clear(folder.parent)
            with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as place:
                self._export(checkpoint, made := Path(place) / "site")
                if _sha256(made) != sha256:
                    return  # its file was replaced meanwhile: who asks again asks for another one
                shutil.rmtree(folder, ignore_errors=True)  # what somebody cleared a part of
                made.rename(folder)
        except Exception as error:  # nobody looks at what the writer's thread raises
            if not _is_whole(folder) and not self._renderer.turns.stopped:  # else another studio was sooner, or this one ends
                note_failure("graphs", error)
                with self._choosing:
                    self._failed[sha256] = "This generator cannot be drawn in a page."
        finally:
            with self._choosing:
                self._writing.discard(sha256)

    def _export(self, checkpoint: Path, folder: Path) -> None:
        """By a process, since an export changes what torch does in its whole process; it ends with the studio. Raises CheckpointError, OSError."""
        words = [sys.executable, "-m", "resgen", "export", str(checkpoint), "--to", "site", "--runtime", "cdn", "--out", str(folder)]
        places = os.pathsep.join(filter(None, (str(PROGRAM), os.environ.get("PYTHONPATH"))))
        settings = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
        end = time.monotonic() + WRITING_SECONDS
        with subprocess.Popen(words, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            said = None
            while said is None:
                try:
                    said = process.communicate(timeout=LOOK)[1]
                except subprocess.TimeoutExpired:
                    if self._renderer.turns.stopped or time.monotonic() > end:
                        process.kill()
        if process.returncode:
            raise CheckpointError(said.decode(errors="replace") or f"The export of {checkpoint.name} was ended after {WRITING_SECONDS} seconds.")


def _is_whole(folder: Path) -> bool:
    return (folder / LIST).is_file()


def _sha256(folder: Path) -> str:
    """What identifies the checkpoint whose graphs are in a folder. Raises CheckpointError."""
    [checkpoint] = json.loads((folder / LIST).read_text(encoding="utf-8"))["checkpoints"]
    return checkpoint["sha256"]


def _age(folder: Path) -> float:
    """Seconds since a folder was written or asked for; none where another studio has just removed it."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0


def _clear(shared: Path) -> None:
    """Remove what a process that was killed has left half-written, and the generators that were asked for longest ago."""
    ages = {folder: _age(folder) for folder in shared.iterdir()}
    left = [folder for folder, age in ages.items() if folder.name.startswith(".") and age > WRITING_SECONDS + LOOK]
    kept = sorted((folder for folder in ages if FOLDER.fullmatch(folder.name)), key=lambda folder: ages[folder])
    for folder in (*left, *kept[KEPT - 1 :]):  # one more comes
        shutil.rmtree(folder, ignore_errors=True)
