"""Gradio's queue, bounded and fair: how many requests wait, whose turn it is, whose answers nobody takes, and who has left."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import gradio as gr
import gradio.utils
from fastapi import HTTPException
from gradio.context import LocalContext

from resgen.budget import Budget
from resgen.studio.gradio_patches import put_in_place

EACH = 2  # requests of one visitor under way in one line
UNREAD_SECONDS = 15.0  # that an answer waits for who asked
PAUSE = 0.01  # seconds between two looks at an empty queue; Gradio's thousandth keeps a tenth of a core busy for nobody


def bound_queue(demo: gr.Blocks, budget: Budget) -> None:
    """Let no more requests wait than the budget says, in all and of one visitor, and serve visitors by turns.

    Gradio's own queue refuses with its own words, knows no visitors and serves in the order of coming: one who asks for much is served before all others.
    """
    queue, functions = demo._queue, demo.fns
    push, unread_since = queue.push, dict[str, tuple[Any, float]]()

    async def push_within(body: Any, request: Any, username: str | None) -> Any:
        if (function := functions.get(body.fn_index)) is None or function.fn is None:
            raise HTTPException(404, "There is no such function here: load the page again.")
        _forget_unread(queue, unread_since, time.monotonic())
        waiting = _waiting(queue)
        own = sum(event.session_hash == body.session_hash for event in waiting)
        if own >= budget.waiting_each:
            raise _busy(f"{own} requests of yours are waiting, as many as one visitor may have here", _expected_wait(queue))
        if len(waiting) >= budget.waiting:
            raise _busy(f"{len(waiting)} requests are waiting, as many as fit here", _expected_wait(queue))
        return await push(body=body, request=request, username=username)

    def next_event() -> Any:
        running = Counter((event.concurrency_id, event.session_hash) for event in _under_way(queue))
        for name, line in queue.event_queue_per_concurrency_id.items():
            if line.concurrency_limit is not None and line.current_concurrency >= line.concurrency_limit:
                continue
            served = {event: running[name, event.session_hash] for event in line.queue}
            chosen = min(served, key=lambda event: served[event], default=None)
            if chosen is not None and _may_begin(served[chosen], line):
                line.queue.remove(chosen)
                return [chosen], False, name
        return None

    put_in_place(queue, "push", push_within)
    put_in_place(queue, "get_events", next_event)
    put_in_place(queue, "sleep_when_free", PAUSE)
    # At each answer Gradio makes a table of all it has kept, for a page of figures that is not served, and looks for matplotlib on the disk, twice.
    put_in_place(queue, "ANALYTICS_MAX_EVENTS", 1)
    put_in_place(queue, "ANAYLTICS_CACHE_FREQUENCY", sys.maxsize)
    put_in_place(gradio.utils, "MatplotlibBackendMananger", nullcontext)


def asker_left(demo: gr.Blocks) -> Callable[[], bool]:
    """What tells whether whoever asked for what the calling thread does has gone: who asked without the queue has not, as far as is known.

    Gradio ends what makes steps for a page that is gone, and lets a plain function run to its end.
    """
    asked = demo._queue.event_ids_to_events

    def left() -> bool:
        number = LocalContext.event_id.get(None)
        return number is not None and not (number in asked and asked[number].alive)

    return left


def _waiting(queue: Any) -> list[Any]:
    return [event for line in queue.event_queue_per_concurrency_id.values() for event in line.queue]


def _under_way(queue: Any) -> list[Any]:
    return [event for job in queue.active_jobs if job for event in job]


def _may_begin(own: int, line: Any) -> bool:
    """Whether one more of a visitor who has ``own`` under way may begin: half of the places are for those who have none."""
    if line.concurrency_limit is None or not own:
        return True
    return own < EACH and line.current_concurrency < max(EACH, line.concurrency_limit // 2)


def _forget_unread(queue: Any, since: dict[str, tuple[Any, float]], now: float) -> None:
    """Drop the answers of visitors who do not take them, and have nothing under way; ``since`` when each one's oldest was first found waiting.

    Whoever is there takes an answer as soon as it comes; Gradio keeps those of two thousand others, megabytes each.
    """
    busy = {event.session_hash for event in (*_under_way(queue), *_waiting(queue))}
    oldest = {name: next(iter(answers._queue), None) for name, answers in queue.pending_messages_per_session.items() if name not in busy}
    for name in [*since]:
        if oldest.get(name) is not since[name][0]:
            del since[name]
    for name, answer in oldest.items():
        if answer is not None and now - since.setdefault(name, (answer, now))[1] > UNREAD_SECONDS:
            del queue.pending_messages_per_session[name]
            queue.pending_event_ids_session.pop(name, None)


def _expected_wait(queue: Any) -> int:
    """Seconds until what waits now is done, by how long each took before."""
    waits = [
        sum(queue.process_time_per_fn[event.fn].avg_time for event in line.queue if event.fn in queue.process_time_per_fn)
        / (line.concurrency_limit or 1)
        for line in queue.event_queue_per_concurrency_id.values()
    ]
    return max(1, round(max(waits, default=0)))


def _busy(what: str, wait: int) -> HTTPException:
    return HTTPException(429, f"{what}: try again in about {wait} s.", headers={"Retry-After": str(wait)})
