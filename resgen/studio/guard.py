"""What stands between the network and the studio: bodies and files are bounded, `/healthz` is answered."""

import json
import os
import re
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import gradio.routes
import gradio.utils
import gradio_client.utils
from anyio import move_on_after, to_thread
from fastapi import HTTPException
from gradio.route_utils import upload_fn
from gradio.utils import get_upload_folder
from gradio_client.utils import construct_args
from starlette.requests import ClientDisconnect

from resgen.budget import Budget
from resgen.errors import RecipeError
from resgen.studio.gradio_patches import put_in_place

SILENT_SECONDS = 30.0  # that a body may pause, and that it may be behind the slowest that is waited for
SLOWEST = 10_000  # bytes a second, on the whole
BEING_SENT = "Other files are being sent: try again in a moment."
DISK_BLOCK = 4096  # bytes that the smallest file takes of a disk
COMING = "coming-"  # how the folders begin in which files lie that are still being sent
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


class Guard:
    """An ASGI middleware: refuses bodies beyond the budget, as soon as they are announced or have come so far, and those that do not come on, files
    that find the disk full, and functions other than those of ``names``, or parameters that they do not have, of which Gradio knows no better than to
    fail; answers `/healthz`."""

    def __init__(self, app: Any, budget: Budget, names: Collection[str]) -> None:
        self.app, self.budget, self.names = app, budget, names
        put_in_place(gradio.routes, "upload_fn", _take_files)
        put_in_place(gradio_client.utils, "construct_args", _in_order)

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
                kept += max(DISK_BLOCK, os.stat(os.path.join(folder, name)).st_size)
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


class MisnamedError(HTTPException, TypeError):
    """A function was called with a parameter that it does not have, or without one that it needs; to Gradio's client a TypeError, as before."""


def _in_order(parameters: Any, values: Any, named: dict[str, Any]) -> list[Any]:
    """What Gradio makes of a call's named values: a list in the order of the parameters."""
    try:
        return construct_args(parameters, values, named)
    except TypeError as error:
        names = [str(parameter.get("parameter_name")) for parameter in parameters]
        unknown = next((name for name in named if name not in names), None)
        words = str(error) if unknown is None else f"There is no parameter {unknown[:40]!r}; there are {', '.join(names)}."
        raise MisnamedError(422, words) from error


def _announced(scope: Scope) -> int:
    """The length of a body as its head says, 0 where it does not or the body comes in chunks, whatever else is said."""
    head = dict(scope["headers"])
    length = head.get(b"content-length", b"0")
    return int(length[:19]) if length.isdigit() and b"transfer-encoding" not in head else 0


async def _answer(send: Any, status: int, told: dict[str, str]) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if status == 429:
        headers.append((b"retry-after", b"60"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
