"""Long work as steps, so that whoever asked can watch it, and leave it at any step.

A function that takes long is a generator of (done, all) that returns its result: closing it ends the work at the step it is in,
with nothing left running. `finish` runs one to its end.
"""

import time
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Work = Generator[tuple[int, int], None, T]
Progress = Callable[[int, int], object]  # told (done, all)


def finish(work: "Work[T]", progress: Progress | None = None) -> T:
    """The result of ``work``; ``progress`` is told each step."""
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            return end.value
        if progress:
            progress(done, total)


def timed(work: "Work[T]") -> "Work[tuple[T, float]]":
    """``work``, and beside its result the seconds that its steps took, without what came between them."""
    seconds = 0.0
    try:
        while True:
            begun = time.perf_counter()
            try:
                step = next(work)
            except StopIteration as end:
                return end.value, seconds + time.perf_counter() - begun
            seconds += time.perf_counter() - begun
            yield step
    finally:
        work.close()


def within(work: "Work[T]", part: int, parts: int) -> "Work[T]":
    """``work`` as part number ``part`` of ``parts`` alike: its steps counted among all of theirs."""
    while True:
        try:
            done, total = next(work)
        except StopIteration as end:
            return end.value
        yield part * total + done, parts * total
