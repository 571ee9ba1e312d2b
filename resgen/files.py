"""Files that are whole or absent: what is written appears under its name when all of it is there."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from resgen.errors import FileError


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """A path to write to, beside ``path`` and put in its place at the end; gone where anything fails. Raises FileError."""
    if not path.name:
        raise FileError(f"{path} could not be written: it is not the name of a file.")
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise FileError(f"{path} could not be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def write_atomically(path: Path, data: bytes) -> None:
    """Write all of ``data`` or nothing. Raises FileError."""
    with whole_file(path) as partial:
        partial.write_bytes(data)


def save_atomically(path: Path, save: Callable[[Path], object]) -> None:
    """Let ``save`` write a file, all of it or nothing. Raises FileError; what else ``save`` raises passes through."""
    with whole_file(path) as partial:
        save(partial)
