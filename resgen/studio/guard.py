"""What stands between the network and the studio: bodies and waiting requests are bounded, `/healthz` is answered."""

import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import gradio as gr
import gradio.routes
import gradio.utils
from anyio import move_on_after, to_thread
from fastapi import HTTPException
from gradio.context import LocalContext
from gradio.route_utils import upload_fn
from gradio.utils import get_upload_folder
from starlette.requests import ClientDisconnect

from resgen.budget import Budget
from resgen.errors import RecipeError

EACH = 2  # requests of one visitor under way in one line
UNREAD_SECONDS = 15.0  # that an answer waits for who asked
SILENT_SECONDS = 30.0  # that a body may pause, and that it may be behind the slowest that is waited for
SLOWEST = 10_000  # bytes a second, on the whole
BEING_SENT = "Other files are being sent: try again in a moment."
PAGE = 4096  # bytes that the smallest file takes of a disk
COMING = "coming-"  # how the folders begin in which files lie that are still being sent
PAUSE = 0.01  # seconds between two looks at an empty queue; Gradio's thousandth keeps a tenth of a core busy for nobody
CALL = re.compile(r"(?:/gradio_api)?/(?:call/v2|call|api|run)/([^/]+)(?:/[^/]*)?")  # a path by which a program asks for a function by name
Scope = dict[str, Any]
Message = dict[str, Any]


class Reserved:
    """Bytes that uploads under way may bring yet, in all studios of this process: their files lie in one folder."""

    def __init__(self) -> None:
        self._lock, self.bytes = Lock(), 0

    def add(self, more: int) -> int:
        """Count ``more`` in, and return how many there are then."""
        with self._lock:
            self.bytes += more
            return self.bytes


reserved = Reserved()


def put_in_place(owner: Any, name: str, ours: Any) -> None:
    """Have Gradio use ``ours`` for what it calls ``name``. Raises AttributeError where a version of it has no such thing: a guard must not go unseen."""
    getattr(owner, name)
    setattr(owner, name, ours)


class Guard:
    """An ASGI middleware: refuses bodies beyond the budget, as soon as they are announced or have come so far, and those that do not come on, files
    that find the disk full, and functions other than those of ``names``, of which Gradio knows no better than to fail; answers `/healthz`."""

    def __init__(self, app: Any, budget: Budget, names: Collection[str]) -> None:
        self.app, self.budget, self.names = app, budget, names
        put_in_place(gradio.routes, "upload_fn", _take_files)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/healthz":
            await _answer(send, 200, {"status": "ok"})
        elif (call := CALL.fullmatch(scope["path"])) and call[1] not in self.names:
            await _answer(send, 404, {"detail": f"There is no such function here; there are {', '.join(sorted(self.names))}."})
        elif scope["path"].endswith("/upload"):
            await self._pass_on_files(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send, self.budget.request_bytes)

    async def _pass_on_files(self, scope: Scope, receive: Any, send: Any) -> None:
        """Let the app answer, if there is room for what may come, beside what is kept and what other uploads under way may bring."""
        most = self.budget.upload_bytes
        more = min(_announced(scope) or most, most)
        others = reserved.add(more) - more
        try:
            if others and others + more > self.budget.disk // 2:  # the other half is for what is drawn
                raise RecipeError(BEING_SENT)
            await to_thread.run_sync(_check_room, self.budget, more, others)
        except RecipeError as error:
            await _answer(send, 429, {"detail": str(error)})
        else:
            await self._pass_on(scope, receive, send, most)
        finally:
            reserved.add(-more)

    async def _pass_on(self, scope: Scope, receive: Any, send: Any, most: int) -> None:
        """Let the app answer, unless more than ``most`` bytes are announced or come, or they stop coming."""
        body, begun = Body(receive, most, _announced(scope)), False

        async def watch(message: Message) -> None:
            nonlocal begun
            if begun or not body.refusal:  # what is answered to the half of a body is no answer
                begun = True
                await send(message)

        if not body.refusal:
            with suppress(ClientDisconnect):
                await self.app(scope, body.receive, watch)
        if body.refusal and not begun:
            status, words = body.refusal
            await _answer(send, status, {"detail": words})


class Body:
    """The body of a request as it comes; one that is refused ends as if its sender had gone."""

    def __init__(self, receive: Any, most: int, announced: int) -> None:
        self._receive, self._most, self._came, self._begun = receive, most, 0, time.monotonic()
        self._is_whole = False
        self.refusal: tuple[int, str] | None = None  # a status and words
        self._check(announced)

    async def receive(self) -> Message:
        """The next part, after the last one that the sender has gone."""
        message: Message = {}
        with move_on_after(None if self._is_whole else self._patience()):
            message = await self._receive()
        if not message:
            self.refusal = 408, "This stopped coming before it was whole: send it again."
        self._came += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        self._check(self._came)
        return {"type": "http.disconnect"} if self.refusal else message

    def _check(self, size: int) -> None:
        if size > self._most:
            self.refusal = 413, f"There are at most {self._most:,} bytes possible in such a request here: send less at once."

    def _patience(self) -> float:
        """Seconds until the next part must have come."""
        late = time.monotonic() - self._begun - self._came / SLOWEST
        return SILENT_SECONDS - max(0.0, late)


def check_disk(budget: Budget, more: int) -> None:
    """Raise RecipeError where ``more`` bytes are too many beside the files that are kept for visitors, for an hour or two, and those that are coming."""
    _check_room(budget, more, reserved.bytes)


def _check_room(budget: Budget, more: int, coming: int) -> None:
    """`check_disk`, where ``coming`` was counted first, so that what is whole meanwhile counts twice and not never."""
    kept = _kept()
    budget.check("disk", more + kept)
    if more + coming + kept > budget.disk:
        raise RecipeError(BEING_SENT)


def _kept() -> int:
    """Bytes of the files that are kept for visitors, without those that are coming."""
    kept = 0
    for folder, inside, names in os.walk(get_upload_folder()):
        inside[:] = [name for name in inside if not name.startswith(COMING)]
        for name in names:
            with suppress(OSError):  # it has just gone
                kept += max(PAGE, os.stat(os.path.join(folder, name)).st_size)
    return kept


async def _take_files(request: Any, folder: str, *limits: Any, **more: Any) -> tuple[list[str], list[str], list[str]]:
    """What Gradio does with an upload, in a folder of its own that goes with the request. Files go to their places once all are whole: what breaks
    off, or is no file to Gradio, it would leave among them, where nothing ever clears it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=COMING, dir=folder, ignore_cleanup_errors=True) as own:
        taken, _, _ = await upload_fn(request, own, *limits, **more | {"force_move": True})
        places = {path: os.path.join(folder, os.path.relpath(path, own)) for path in taken}
        for place in places.values():
            os.makedirs(os.path.dirname(place), exist_ok=True)
        for path, place in places.items():
            os.replace(path, place)
    return [places[path] for path in taken], [], []


def _announced(scope: Scope) -> int:
    """The length of a body as its head says, 0 where it does not or the body comes in chunks, whatever else is said."""
    head = dict(scope["headers"])
    length = head.get(b"content-length", b"0")
    return int(length[:19]) if length.isdigit() and b"transfer-encoding" not in head else 0


async def _answer(send: Any, status: int, told: dict[str, str]) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


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
