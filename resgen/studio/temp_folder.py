"""Where a studio's temporary files lie: one folder, gone with the process; what a killed one has left is cleared by the next."""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from resgen.files import open_plain

PREFIX, LOCK = "resgen-studio-", "lock"

try:
    import fcntl
except ImportError:  # of Windows, where nothing tells a folder in use from one left over: none is cleared
    fcntl = None


@contextmanager
def own_place() -> Generator[Path]:
    """A folder for all temporary files of this process, in use as long as the process holds its lock, where there are locks."""
    shared = tempfile.gettempdir()
    _clear_left(Path(shared))
    with _new_place() as place:
        tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"] = str(place)
        try:
            yield place
        finally:
            tempfile.tempdir = shared
            del os.environ["GRADIO_TEMP_DIR"]
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _new_place() -> Generator[Path]:
    if not fcntl:  # Windows moves no folder in which a file is open
        yield Path(tempfile.mkdtemp(prefix=PREFIX))
        return
    made = Path(tempfile.mkdtemp(prefix=".resgen-"))
    place = made.with_name(made.name.replace(".resgen-", PREFIX))
    with (made / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(place)  # now that it is locked, others may see it
        yield place


def _clear_left(shared: Path) -> None:
    """Remove the folders whose process is gone: their locks are free."""
    for place in shared.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if not fcntl:
                return
            with open_plain(place / LOCK) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
