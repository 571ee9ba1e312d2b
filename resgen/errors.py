"""Every error that a person can cause or mend, each saying in one sentence what to do."""

import re
from collections.abc import Generator
from contextlib import contextmanager

MAX_MESSAGE = 400  # characters
BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of the words around it; scripts that run to the left need none
UNSHOWN = rf"\x00-\x1f\x7f-\x9f\ud800-\udfff{BIDI}"  # and codes that a terminal obeys, and what cannot be written as UTF-8
_UNSHOWN = re.compile(f"[{UNSHOWN}]+")
_SHORT = re.compile("out of memory|allocate memory|not enough memory|alloc(ation)?_failed", re.IGNORECASE)


def why(error: Exception) -> str:
    """The first line of what an error of others says, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def is_short(error: BaseException) -> bool:
    """True for a lack of memory, in whatever words: the allocators of the CPU and of Metal raise plain RuntimeErrors, that of CUDA a kind of them."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _SHORT.search(str(error)) is not None)


@contextmanager
def enough_memory(otherwise: str, work: str = "") -> Generator[None]:
    """Make a lack of memory a ShortageError, which says for what ``work`` it is too little, as "to draw", and what to do ``otherwise``."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_short(error):
            raise
        raise ShortageError(f"There is not enough memory{work and ' '}{work}: {otherwise}.") from error


class ResGenError(Exception):
    """A problem with the input; the message is one clear sentence shown to the user as it is."""

    def __str__(self) -> str:
        """The sentence on one line, without what a terminal obeys or UTF-8 cannot hold: it may repeat words of a stranger's file."""
        return _UNSHOWN.sub(" ", super().__str__())[:MAX_MESSAGE]


class ShortageError(ResGenError):
    """Too little memory: with less at once, or elsewhere, there may be enough."""


class RecipeError(ResGenError):
    """A recipe, or a part of one (seeds, classes, sliders), that cannot be drawn."""


class CheckpointError(ResGenError):
    """A checkpoint that is missing, damaged, unsafe or of a format this version cannot read."""


class DataError(ResGenError):
    """A data set or picture that cannot be found, read or used."""


class FileError(ResGenError):
    """A file that cannot be written: no room, no right, no such folder."""


class SiteError(ResGenError):
    """A page that cannot be written, because what it draws with cannot be had."""
