"""Writing files all or nothing; locks; opening plain files only; the cache folder."""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import BinaryIO

from resgen.errors import FileError

try:
    import fcntl
except ImportError:  # of Windows, where no folder can be locked: nothing is kept from anybody
    fcntl = None

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


def clear_partials(folder: Path, *names: str) -> None:
    """Remove what killed writers of files of these ``names``, in which * stands for anything, have left half-written in a folder of one's own."""
    for partial in folder.glob("*.part"):
        written = re.fullmatch(r"(.+)\.\d+\.\d+\.part", partial.name, re.ASCII)  # as `_partial` names them
        if written and any(fnmatchcase(written[1], name) for name in names):
            with suppress(OSError):
                partial.unlink()


@contextmanager
def locked(path: Path, waits: bool = True) -> Generator[None]:
    """Hold the lock ``path``, a file that is gone afterwards: nobody else has it meanwhile. That of a process that was killed is free.

    Where none can be made, nothing is kept from anybody. Raises BlockingIOError where it does not wait for whoever holds it.
    """
    lock = _lock(path, waits)
    try:
        yield
    finally:
        if lock:
            with lock, suppress(OSError):
                path.unlink()


def _lock(path: Path, waits: bool) -> BinaryIO | None:
    """The file ``path``, open and locked; None where there are no locks. Raises BlockingIOError."""
    while fcntl:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as opened:
                file = opened.enter_context(path.open("ab"))
                fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    opened.pop_all()
                    return file
        except FileNotFoundError:
            continue  # whoever had it has removed it, and another may have made the next one
        except BlockingIOError:
            raise
        except OSError:
            return None
    return None


@contextmanager
def own_folder(folder: Path) -> Generator[None]:
    """A folder that no other run has for its own meanwhile; where it is new and stays empty, it is gone afterwards. Raises FileError."""
    is_new = not folder.exists()
    try:
        with ExitStack() as held:
            try:
                held.enter_context(locked(folder / ".lock", waits=False))
            except BlockingIOError as error:
                raise FileError(f"Another run is writing to {folder}: wait until it has ended, or choose another --out.") from error
            yield
    finally:
        if is_new:
            with suppress(OSError):
                folder.rmdir()


def cache_folder() -> Path:
    """Where this account keeps what a program can fetch or make again: where XDG_CACHE_HOME says, else where its platform does."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "resgen"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "resgen" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "resgen"
    return Path.home() / ".cache" / "resgen"


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading; refuse pipes and devices, which may block or never end. Raises OSError."""
    file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(f"{path.name} is not a plain file")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
