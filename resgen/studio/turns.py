"""Who draws next: work under way takes turns, a step each, so that nobody's long work holds up another's first pieces."""

import itertools
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Condition
from typing import TypeVar

from resgen.budget import Budget
from resgen.errors import ResGenError
from resgen.work import Work

DRAWING = 2  # steps at once: one draws while another's is brought into a file
PATIENCE = 10.0  # seconds that a step waits at most behind ones that came later

T = TypeVar("T")


class Turns:
    """Gives each step a turn: the less time a work has had, the sooner; none to a work that has used up its seconds, or that nobody waits for.

    Threads share it. ``left`` tells whether whoever asked for what the calling thread does has gone.
    """

    def __init__(self, budget: Budget, left: Callable[[], bool] = lambda: False) -> None:
        self.budget, self.left, self.stopped = budget, left, False
        self._free, self._waiting = DRAWING, list[tuple[float, int]]()
        self._changed, self._tickets = Condition(), itertools.count()

    def share(self, work: Work[T]) -> Work[T]:
        """``work``, each of its steps in its turn. Raises RecipeError where it takes too long, ResGenError where the studio ends or nobody waits for it."""
        used = 0.0
        try:
            while True:
                with self._turn(used):
                    begun = time.monotonic()
                    try:
                        step = next(work)
                    except StopIteration as end:
                        return end.value
                    used += time.monotonic() - begun
                self.budget.hold("seconds", used)
                yield step
        finally:
            work.close()

    def run(self, step: Callable[[], T]) -> T:
        """One step in its turn. Raises ResGenError where the studio ends or nobody waits for it."""
        with self._turn(0.0):
            return step()

    def stop(self) -> None:
        """End all work at its next step."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    @contextmanager
    def _turn(self, used: float) -> Generator[None]:
        mine = (time.monotonic() + min(used, PATIENCE), next(self._tickets))
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: self.stopped or (self._free and min(self._waiting) == mine))
            self._waiting.remove(mine)
            if self.stopped:
                raise ResGenError("The studio is being closed; open it again in a moment.")
            if self.left():
                raise ResGenError("Whoever asked for this has gone.")
            self._free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()
