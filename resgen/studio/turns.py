"""Who draws next: work under way takes turns, a step each, so that nobody's long work holds up another's first pieces."""

import itertools
import time
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Condition
from typing import NamedTuple, TypeVar

from cachetools import LRUCache

from resgen.budget import Budget
from resgen.errors import ResGenError
from resgen.work import Work

DRAWING, LONG = 2, 1  # steps at once, and of them those of long work: whoever comes with short work begins at once
SHORT = 1.0  # seconds; work is long that has had more, or whose kind has had steps of more
KINDS_KEPT = 256
PATIENCE = 10.0  # seconds that a step waits at most behind ones that came later

asker_gone: ContextVar[Callable[[], bool]] = ContextVar("asker_gone", default=lambda: False)  # of a plain request

T = TypeVar("T")


class Ticket(NamedTuple):
    """The place of a step that waits: the least is served first."""

    due: float
    number: int
    long: bool


class Turns:
    """Gives each step a turn: the less time a work has had, the sooner; none to a work that has used up its seconds, or that nobody waits for.

    Threads share it. ``left`` tells whether whoever asked Gradio's queue for what the calling thread does has gone.
    """

    left: Callable[[], bool]

    def __init__(self, budget: Budget) -> None:
        self.budget, self.left, self.stopped = budget, lambda: False, False
        self._running, self._waiting = list[Ticket](), list[Ticket]()
        self._steps: LRUCache[Hashable, float] = LRUCache(KINDS_KEPT)  # seconds of a long one of the latest steps of each kind
        self._changed, self._tickets = Condition(), itertools.count()

    def share(self, work: Work[T], kind: Hashable = None) -> Work[T]:
        """``work``, each of its steps in its turn; a ``kind`` that is not known yet is taken for a long one.

        Raises RecipeError where it takes too long, ResGenError where the studio ends or nobody waits for it.
        """
        used = 0.0
        try:
            while True:
                with self._turn(used, max(used, self._expected(kind)) >= SHORT):
                    begun = time.monotonic()
                    try:
                        step = next(work)
                    except StopIteration as end:
                        return end.value
                    finally:
                        used += self._note(kind, time.monotonic() - begun)
                self.budget.check("seconds", used)
                yield step
        finally:
            work.close()

    def beside(self, work: Work[T]) -> Work[T]:
        """``work`` that is done elsewhere: it takes no turns, and ends as others do where the studio ends or nobody waits for it. Raises ResGenError."""
        try:
            while True:
                self._check_wanted()
                try:
                    step = next(work)
                except StopIteration as end:
                    return end.value
                yield step
        finally:
            work.close()

    def stop(self) -> None:
        """End all work at its next step."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    def _expected(self, kind: Hashable) -> float:
        """Seconds that a step of a kind may take."""
        with self._changed:
            return self._steps.get(kind, SHORT)

    def _note(self, kind: Hashable, seconds: float) -> float:
        """Remember, and give back, how long a step took; one that was long once is forgotten by and by."""
        with self._changed:
            if kind is not None:
                self._steps[kind] = max(seconds, self._steps.get(kind, 0.0) / 2)
        return seconds

    def _is_next(self, mine: Ticket) -> bool:
        """Whether it is the turn of a step that waits: the first of those that may begin."""
        full = sum(ticket.long for ticket in self._running) >= LONG
        may = [ticket for ticket in self._waiting if not (ticket.long and full)] if len(self._running) < DRAWING else []
        return bool(may) and min(may) == mine

    def _check_wanted(self) -> None:
        """Raise ResGenError where the studio ends, or nobody waits for what the calling thread does."""
        if self.stopped:
            raise ResGenError("The studio is being closed; open it again in a moment.")
        if self.left() or asker_gone.get()():
            raise ResGenError("Whoever asked for this has gone.")

    @contextmanager
    def _turn(self, used: float, long: bool) -> Generator[None]:
        mine = Ticket(time.monotonic() + min(used, PATIENCE), next(self._tickets), long)
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: self.stopped or self._is_next(mine))
            self._waiting.remove(mine)
            self._changed.notify_all()
            self._check_wanted()
            self._running.append(mine)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(mine)
                self._changed.notify_all()
