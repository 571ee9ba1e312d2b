"""A GPU lent for one piece of work, where Hugging Face's ZeroGPU lends one: `spaces.GPU` runs a function in a process that has it.

In every other process torch only pretends to have one. There the library draws on the processor: a loan has to be waited for and is counted
against the visitor's day, so that a hand on a slider would soon be left without. Films are worth one.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

from resgen.composite import Walk, read
from resgen.errors import ResGenError
from resgen.film import write_film
from resgen.library import Library
from resgen.sampler import Sampler
from resgen.work import Work

LENT = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")  # as `spaces` itself reads it


def device(wanted: str) -> str:
    """The device of a library that draws in this process."""
    return "cpu" if LENT else wanted


def make_film(walk: Walk, library: Library, suffix: str) -> Work[bytes]:
    """A walk as a film that carries it, drawn with the GPU that is lent, where one is. Raises ResGenError."""
    if not LENT:
        return (yield from _write(walk, library.sampler(walk.checkpoint), suffix))
    for told in _film(str(library.folder), walk.to_json(), suffix):
        if isinstance(told, ResGenError):
            raise told
        if isinstance(told, bytes):
            return told
        yield told
    raise ResGenError("The GPU was taken back before the film was ready; try again, or make it shorter.")


def _write(walk: Walk, sampler: Sampler, suffix: str) -> Work[bytes]:
    with TemporaryFile() as file:
        yield from write_film(walk, sampler, suffix, file)
        file.seek(0)
        return file.read()


def _film(folder: str, walk: str, suffix: str) -> Iterator[tuple[int, int] | bytes | ResGenError]:
    """Steps, and at last the film or what went wrong: all that goes in and out travels between processes."""
    try:
        recipe = read(walk)
        assert isinstance(recipe, Walk)
        yield (yield from _write(recipe, _library(folder).sampler(recipe.checkpoint), suffix))
    except ResGenError as error:
        yield error


@lru_cache(1)
def _library(folder: str) -> Library:
    """Of the process that has the GPU; it may serve again."""
    return Library(Path(folder))


if LENT:
    _film = import_module("spaces").GPU(_film)  # before the app starts: a Space without such a function is ended
