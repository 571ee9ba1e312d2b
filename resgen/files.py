"""Files that are whole or absent: what is written appears under its name when all of it is there. And files that are read only if they are some,
and the folder of those that may go."""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from resgen.errors import FileError

_writers = count()  # of this process: two may write to one name at once


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A path to write to, beside ``path`` and put in its place at the end; gone where anything fails. Raises FileError."""
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def whole_files(path: Path) -> Generator[Path]:
    """As `whole_file`, for a file and those that belong beside it: a path of the same name, in a folder whose files are put in place together at the end.

    Raises FileError.
    """
    check_place(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            yield Path(folder) / path.name
            places = {made: path.with_name(made.name) for made in Path(folder).iterdir()}
            for place in places.values():
                check_place(place)
            for made, place in places.items():
                os.replace(made, place)
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}.") from error


def check_place(path: Path) -> None:
    """Raise FileError now where a file could not be written to ``path`` later, after much work. Its folder is made."""
    if os.path.isdir(path):  # which is told of names that cannot be, too
        raise FileError(f"{path} could not be written: it is a folder.")
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}.") from error


def _partial(path: Path) -> Path:
    if not path.name:
        raise FileError(f"{path} could not be written: it is not the name of a file.")
    return path.with_name(f"{path.name}.{os.getpid()}.{next(_writers)}.part")


def write_atomically(path: Path, data: bytes) -> None:
    """Write all of ``data`` or nothing. Raises FileError."""
    with whole_file(path) as partial:
        partial.write_bytes(data)


def clear_partials(folder: Path) -> None:
    """Remove what writers that were killed have left half-written in a folder that nobody else writes to."""
    for partial in folder.rglob("*.part"):
        if re.search(r"\.\d+\.part$", partial.name, re.ASCII):  # a browser's unfinished downloads have no number of a writer
            with suppress(OSError):
                partial.unlink()


def cache_folder() -> Path:
    """Where this platform keeps what a program can fetch or make again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "resgen" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "resgen"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resgen"


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading that is one: not a pipe, which may let wait for ever, nor a device, which may never end. Raises OSError."""
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(f"{path.name} is not a plain file")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
