"""What a studio for strangers stands: floods, large bodies, long work of one visitor beside another's, faults, and being ended."""

import http.client
import io
import json
import logging
import os
import select
import signal
import sys
import tempfile
import threading
import time
from asyncio import Queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import gradio as gr
import httpx
import pytest
from gradio.data_classes import ImageData
from gradio.events import api as add_endpoint
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from benchmarks.web import free_port, running, wait_until_answers
from resgen.budget import OWN, PUBLIC
from resgen.cli.studio import GRACE
from resgen.curate import CONFIDENCE
from resgen.errors import RecipeError, ResGenError
from resgen.recipe import Recipe
from resgen.studio import guard, temp_folder
from resgen.studio.app import build
from resgen.studio.guard import COMING, SILENT_SECONDS, SLOWEST, Body, Reserved, check_disk
from resgen.studio.page import friendly
from resgen.studio.queueing import UNREAD_SECONDS, _forget_unread, bound_queue
from resgen.studio.renderer import Renderer
from resgen.studio.temp_folder import own_place
from resgen.studio.turns import Turns
from resgen.work import Work, finish
from tests.conftest import until

SMALL = replace(OWN, request_bytes=100_000, upload_bytes=200_000)


# Turns.


def steps(name: str, count: int, told: list[str], seconds: float = 0.0) -> Work[str]:
    try:
        for step in range(count):
            time.sleep(seconds)
            told.append(name)
            yield step + 1, count
    finally:
        told.append(f"{name} ended")
    return name


def test_work_in_turns_gives_what_it_gives_alone() -> None:
    told: list[str] = []
    progress: list[tuple[int, int]] = []
    assert finish(Turns(OWN).share(steps("a", 3, told)), lambda *step: progress.append(step)) == "a"
    assert progress == [(1, 3), (2, 3), (3, 3)] and told == ["a"] * 3 + ["a ended"]


def test_short_work_goes_ahead_of_long_work() -> None:
    turns, told = Turns(OWN), list[str]()

    def take_long() -> None:
        with suppress(ResGenError):  # the studio is closed meanwhile
            finish(turns.share(steps("long", 200, told, 0.01)))

    longs = [threading.Thread(target=take_long) for _ in range(4)]
    for thread in longs:
        thread.start()
    until(lambda: len(told) >= 40, 30)
    before = len(told)
    finish(turns.share(steps("short", 4, told)))
    between = told[before : told.index("short ended")]
    assert between.count("long") < 20, "each of its steps waits for at most those that are under way"
    turns.stop()
    for thread in longs:
        thread.join(5)
    assert told.count("long ended") == 4 and told.count("long") < 800


def test_long_work_leaves_a_place_for_short_work() -> None:
    """Also where nobody knew before that its first step is long."""
    turns, told, free = Turns(OWN), list[str](), threading.Event()

    def begin_long() -> Work[None]:
        told.append("long")
        free.wait(20)
        yield 1, 1

    finish(turns.share(steps("short", 2, []), "short"))
    longs = [threading.Thread(target=lambda: finish(turns.share(begin_long(), "long"))) for _ in range(3)]
    for thread in longs:
        thread.start()
    until(lambda: bool(told), 30)
    assert finish(turns.share(steps("short", 2, told), "short")) == "short"
    assert told.count("long") == 1 and not free.is_set()
    free.set()
    for thread in longs:
        thread.join(5)
    assert told.count("long") == 3


def test_work_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("resgen.studio.turns.time", SimpleNamespace(monotonic=lambda: 0.3 * len(told)))
    with pytest.raises(RecipeError, match="more than 1 seconds of work, the most that is possible here: ask for less at once"):
        finish(Turns(replace(OWN, seconds=1)).share(steps("a", 100, told)))
    assert told == ["a"] * 4 + ["a ended"]


def test_work_that_is_closed_leaves_its_place_free() -> None:
    turns, told = Turns(OWN), list[str]()
    for _ in range(5):
        shared = turns.share(steps("a", 3, told))
        next(shared)
        shared.close()
    assert finish(turns.share(steps("b", 1, told))) == "b" and told.count("a ended") == 5


def test_work_that_nobody_waits_for_ends_at_its_next_step() -> None:
    turns, told = Turns(OWN), list[str]()
    turns.left = lambda: len(told) == 3
    with pytest.raises(ResGenError, match="has gone"):
        finish(turns.share(steps("a", 100, told)))
    assert told == ["a"] * 3 + ["a ended"]


def test_nothing_begins_when_the_studio_is_closed() -> None:
    turns = Turns(OWN)
    turns.stop()
    with pytest.raises(ResGenError, match="being closed"):
        finish(turns.share(steps("a", 1, [])))


# The queue.


class Line:
    """Anything with these parts."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


def queue_of(*waiting: str, running: tuple[str, ...] = (), limit: int = 4) -> Any:
    """A queue of one line with requests of these visitors."""
    events = [Line(session_hash=name, concurrency_id="render", fn="draw") for name in (*waiting, *running)]
    line: Any = Line(queue=events[: len(waiting)], concurrency_limit=limit, current_concurrency=len(running))

    async def push(**_: Any) -> tuple[bool, str, str]:
        return True, "id", "success"

    queue = Line(
        event_queue_per_concurrency_id={"render": line},
        active_jobs=[[event] for event in events[len(waiting) :]] or [None],
        process_time_per_fn={"draw": Line(avg_time=2.0)},
        push=push,
        get_events=None,
        sleep_when_free=0.001,
        ANALYTICS_MAX_EVENTS=10_000,
        ANAYLTICS_CACHE_FREQUENCY=1,
        pending_messages_per_session={},
        pending_event_ids_session={},
    )
    bound_queue(Line(_queue=queue, fns={0: Line(fn=print)}), replace(OWN, waiting=6, waiting_each=3))  # type: ignore[arg-type]
    return queue


@pytest.mark.parametrize("name", ["push", "get_events", "sleep_when_free", "ANALYTICS_MAX_EVENTS", "ANAYLTICS_CACHE_FREQUENCY"])
def test_a_part_of_gradio_that_is_not_there_any_more_is_told(name: str) -> None:
    queue = queue_of()
    delattr(queue, name)
    with pytest.raises(AttributeError, match=name):
        bound_queue(Line(_queue=queue, fns={}), OWN)  # type: ignore[arg-type]


def pushed(queue: Any, visitor: str) -> Any:
    try:
        queue.push(body=Line(session_hash=visitor, fn_index=0), request=None, username=None).send(None)
    except StopIteration as end:
        return end.value


def test_no_more_wait_than_there_is_room_for() -> None:
    assert pushed(queue_of("a", "a"), "a")[0]
    with pytest.raises(Exception, match=r"3 requests of yours are waiting.*try again in about 2 s"):
        pushed(queue_of("a", "a", "a"), "a")
    assert pushed(queue_of("a", "a", "a"), "b")[0]
    with pytest.raises(Exception, match=r"6 requests are waiting.*try again in about 3 s"):
        pushed(queue_of(*"abcdef"), "g")


def test_who_has_least_under_way_is_served_first() -> None:
    def served(queue: Any) -> str:
        found = queue.get_events()
        return found[0][0].session_hash if found else ""

    assert served(queue_of("a", "a", "b", running=("a",))) == "b"
    assert served(queue_of("a", "b")) == "a"
    assert served(queue_of("a", running=("a", "a"))) == "", "two of one visitor at once"
    assert served(queue_of("b", running=("a", "a"))) == "b"
    assert served(queue_of("b", running=("a", "a", "c", "c"))) == "", "no more than the line has places"
    assert served(queue_of("a", running=("a", "b", "c", "d"), limit=8)) == "", "half of the places are for those who have none"
    assert served(queue_of("a", "e", running=("a", "b", "c", "d"), limit=8)) == "e"


def test_who_comes_while_another_floods_is_served_next() -> None:
    """On a queue of Gradio's own."""
    began, places = list[str](), threading.Semaphore(0)

    def draw(visitor: str) -> str:
        began.append(visitor)
        assert places.acquire(timeout=60)
        return visitor

    with gr.Blocks(analytics_enabled=False) as demo:
        add_endpoint(draw, concurrency_limit=2)
    bound_queue(demo, OWN)
    demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        floods, comes = (Client(demo.local_url or "", verbose=False) for _ in range(2))
        asked = [floods.submit("floods", api_name="/draw") for _ in range(6)]
        until(lambda: len(began) == 2 and len(demo._queue) == 4, 60)
        asked.append(comes.submit("comes", api_name="/draw"))
        until(lambda: len(demo._queue) == 5, 60)
        places.release()
        until(lambda: len(began) == 3, 60)
        assert began == ["floods", "floods", "comes"]
        places.release(6)
        assert sorted(job.result(60) for job in asked) == ["comes", *["floods"] * 6]
    finally:
        demo.close()


def test_answers_that_nobody_takes_are_dropped() -> None:
    queue = queue_of("waits", running=("draws",))
    for name in ("waits", "draws", "reads", "left"):
        answers = Queue[str]()
        if name != "reads":
            answers.put_nowait("megabytes")
        queue.pending_messages_per_session[name] = answers
        queue.pending_event_ids_session[name] = {"id"}
    since: dict[str, tuple[Any, float]] = {}
    queue.pending_messages_per_session["reads"].put_nowait("at once")
    _forget_unread(queue, since, 0.0)
    queue.pending_messages_per_session["reads"].get_nowait()
    queue.pending_messages_per_session["reads"].put_nowait("another, which has just come")
    _forget_unread(queue, since, UNREAD_SECONDS)
    assert "left" in queue.pending_messages_per_session
    _forget_unread(queue, since, UNREAD_SECONDS + 1)
    assert set(queue.pending_messages_per_session) == set(queue.pending_event_ids_session) == {"waits", "draws", "reads"}


# The server.


@pytest.fixture(scope="module")
def served(tiny_folder: Path) -> Iterator[gr.Blocks]:
    demo = build(tiny_folder, "cpu", SMALL)
    demo.launch(prevent_thread_lock=True, quiet=True)
    yield demo
    demo.close()


def connection(demo: gr.Blocks) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", demo.server_port, timeout=20)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "most"), [("queue/join", SMALL.request_bytes), ("call/render", SMALL.request_bytes), ("upload", SMALL.upload_bytes)]
)
def test_large_bodies_are_refused(served: gr.Blocks, path: str, most: int, chunked: bool) -> None:
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    asked, body = connection(served), start + b"x" * most
    headers = {"content-type": "multipart/form-data; boundary=x" if path == "upload" else "application/json"}
    asked.request("POST", f"/gradio_api/{path}", iter([body[:100], body[100:]]) if chunked else body, headers, encode_chunked=chunked)
    answer = asked.getresponse()
    assert answer.status == 413 and f"at most {most:,} bytes" in answer.read().decode()


def part(data: bytes, name: str = "a", field: str = "files") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n"


def begin_upload(demo: gr.Blocks, data: bytes, length: int = 0, chunked: bool = False) -> http.client.HTTPConnection:
    """An upload of which ``data`` has been sent, of ``length`` bytes as far as that is said."""
    asked = connection(demo)
    asked.putrequest("POST", "/gradio_api/upload")
    asked.putheader("content-type", "multipart/form-data; boundary=x")
    if length:
        asked.putheader("content-length", str(length))
    if chunked:
        asked.putheader("transfer-encoding", "chunked")
    asked.endheaders()
    asked.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
    return asked


@pytest.mark.parametrize("how", ["too large", "gone", "gone in a chunk", "no end", "another field", "a name that cannot be"])
def test_uploads_that_come_to_nothing_leave_nothing(served: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(served.app, "uploaded_file_dir", str(tmp_path))

    def kept() -> set[Path]:
        return {*tmp_path.rglob("*")}

    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        finished = Path(upload(web, os.urandom(5000))["path"])
        before, data = kept(), part(os.urandom(50_000))
        if how == "too large":
            asked = begin_upload(served, data, chunked=True)
            until(lambda: kept() > before, 20)
            asked.send(b"%x\r\n%s\r\n" % (SMALL.upload_bytes, bytes(SMALL.upload_bytes)))
            assert asked.getresponse().status == 413
        elif how.startswith("gone"):
            asked = begin_upload(served, data, chunked=True) if "chunk" in how else begin_upload(served, data, 2 * len(data))
            until(lambda: kept() > before, 20)
            asked.close()
        else:
            body = {"no end": data, "another field": part(b"data", field="other") + b"--x--\r\n"}.get(how, data + part(b"data", "..") + b"--x--\r\n")
            web.post("/gradio_api/upload", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
        until(lambda: kept() == before, 20)
        assert finished.stat().st_size == 5000


def test_files_that_come_together_are_each_where_it_is_told(served: gr.Blocks) -> None:
    """Also where two are the same."""
    sent = [("files", ("a.png", data)) for data in (b"one", b"other", b"one")]
    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        paths = [Path(path) for path in web.post("/gradio_api/upload", files=sent).json()]
    assert [path.read_bytes() for path in paths] == [b"one", b"other", b"one"] and {*map(str, paths)} <= served.upload_file_set
    assert {path.parent.parent for path in paths} == {Path(served.app.uploaded_file_dir)}


def test_uploads_under_way_have_the_room_they_may_need(served: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as each announces, or as much as one may be; who gets none is told so at once."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with (tmp_path / "kept").open("wb") as file:
        file.truncate(SMALL.disk - int(1.5 * SMALL.upload_bytes))
    large = part(bytes(int(0.6 * SMALL.upload_bytes))) + b"--x--\r\n"
    together = [begin_upload(served, large[:1000], len(large)) for _ in range(6)]

    def answered() -> list[Any]:
        return select.select([asked.sock for asked in together], [], [], 0)[0]

    until(lambda: len(answered()) >= 4, 20)
    for asked in together:
        if asked.sock not in answered():
            asked.send(large[1000:])
    answers = [asked.getresponse() for asked in together]
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429, 429, 429]
    assert all("Other files are being sent: try again in a moment." in answer.read().decode() for answer in answers if answer.status == 429)

    def status(data: bytes) -> int:
        asked = begin_upload(served, data, len(data))
        return asked.getresponse().status

    for length in (0, 1):  # which chunks make a lie
        unannounced = begin_upload(served, large[:1000], length, chunked=True)
        until(lambda: status(large) == 429, 20)
        assert status(part(b"small") + b"--x--\r\n") == 200
        unannounced.close()
        until(lambda: status(large) == 200, 20)


@pytest.mark.parametrize("bytes_each", [0, 1])
def test_an_upload_that_does_not_come_on_is_ended_and_gives_its_room_back(
    served: gr.Blocks, monkeypatch: pytest.MonkeyPatch, bytes_each: int
) -> None:
    """Also one that comes by single bytes, so as never to be silent."""
    taken = list[int]()

    class Watched(Reserved):
        def add(self, more: int) -> int:
            taken.append(more)
            return super().add(more)

    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(guard, "reserved", coming := Watched())
    asked = begin_upload(served, part(b"")[:-2], SMALL.upload_bytes)
    while not select.select([asked.sock], [], [], 0.1)[0]:
        asked.send(bytes(bytes_each))
    answer = asked.getresponse()
    assert answer.status == 408 and "send it again" in answer.read().decode()
    until(lambda: len(taken) == 2, 20)
    assert taken == [SMALL.upload_bytes, -SMALL.upload_bytes] and coming.bytes == 0


def test_a_body_may_take_its_time_as_long_as_it_comes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as long as one that is silent may, by the clock of this test."""
    sent, each, parts = 0, 25_000, 24
    monkeypatch.setattr(guard, "time", SimpleNamespace(monotonic=lambda: sent / SLOWEST))

    async def send() -> dict[str, Any]:
        nonlocal sent
        sent += each
        await anyio.sleep(0)  # what comes too late is ended here
        return {"body": bytes(each), "more_body": sent < parts * each}

    body = Body(send, parts * each, 0)
    with ThreadPoolExecutor(1) as apart:  # in this thread the browser of another test may have a loop
        came = [len(apart.submit(anyio.run, body.receive).result()["body"]) for _ in range(parts)]
    assert came == [each] * parts and not body.refusal and sent / SLOWEST == 2 * SILENT_SECONDS


def test_uploads_under_way_leave_room_for_what_is_drawn(served: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(guard, "reserved", coming := Reserved())
    coming.add(SMALL.disk // 2)
    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        refused = web.post("/gradio_api/upload", files={"files": ("picture.png", picture())})
        assert refused.status_code == 429 and refused.json()["detail"] == "Other files are being sent: try again in a moment."
        number = web.post("/gradio_api/call/render", json={"data": ["tiny", "1", *LONG_WORK["render"][2:]]}).json()["event_id"]
        assert "picture.png" in web.get(f"/gradio_api/call/render/{number}").text


def test_nothing_is_drawn_for_which_there_is_no_room(served: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list[Recipe]()
    monkeypatch.setattr(Renderer, "png", lambda _, recipe: drawn.append(recipe) or b"")
    monkeypatch.setattr(Renderer, "film", lambda _, walk, suffix: drawn.append(walk))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with (tmp_path / "kept").open("wb") as file:
        file.truncate(SMALL.disk)
    client = Client(served.local_url or "", verbose=False)
    for name in ("/render", "/explore", "/walk"):
        with pytest.raises(AppError, match="bytes of files kept for visitors"):
            client.predict(checkpoint="tiny", api_name=name)
    assert not drawn


def test_files_that_are_coming_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file is made meanwhile, too."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for folder in ("kept", f"{COMING}x"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(bytes(10_000))
    coming = Reserved()  # of its own: other studios of this process may be ending
    monkeypatch.setattr("resgen.studio.guard.reserved", coming)
    coming.add(15_000)
    most = replace(OWN, disk=30_000)
    check_disk(most, 5_000)
    with pytest.raises(RecipeError, match="Other files are being sent"):
        check_disk(most, 5_001)
    with pytest.raises(RecipeError, match="bytes of files kept for visitors"):
        check_disk(most, 20_001)


def test_files_for_which_there_is_no_room_are_refused_and_those_there_are_stay(
    served: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are sent, and those that are made."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        room = SMALL.disk
        kept = upload(web, picture())
        with (tmp_path / "more").open("wb") as file:
            file.truncate(room)  # which takes no room by itself
        refused = web.post("/gradio_api/upload", files={"files": ("picture.png", picture())})
        assert refused.status_code == 429 and f"at most {room:,} are possible here: try again in an hour." in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        number = web.post("/gradio_api/call/render", json={"data": ["tiny", "1", *LONG_WORK["render"][2:]]}).json()["event_id"]
        assert "bytes of files kept for visitors" in web.get(f"/gradio_api/call/render/{number}").text
        assert Path(kept["path"]).read_bytes() == picture() and len(list(tmp_path.iterdir())) == 1


def test_health_is_told_and_what_others_ask_is_not(served: gr.Blocks) -> None:
    asked = connection(served)
    asked.request("GET", "/healthz")
    health = asked.getresponse()
    assert health.status == 200 and json.loads(health.read()) == {"status": "ok"}
    for path in ("/monitoring/summary", "/gradio_api/monitoring/summary"):
        asked = connection(served)
        asked.request("GET", path)
        assert asked.getresponse().status in (403, 404), path
    for path in ("connect", "buckets", "records"):  # which Gradio would do with the host's own token, for who asks from there
        for method in ("GET", "POST"):
            asked = connection(served)
            asked.request(method, f"/gradio_api/run-history/{path}", "{}" if method == "POST" else None, {"content-type": "application/json"})
            assert asked.getresponse().status in (404, 405), path


@pytest.mark.parametrize("way", ["call", "call/v2", "api", "run"])
def test_who_asks_for_a_function_that_is_not_there_is_told_which_are(served: gr.Blocks, way: str) -> None:
    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        for path in (f"/gradio_api/{way}/nosuch", f"/gradio_api/{way}/lambda", f"/gradio_api/{way}/nosuch/"):
            refused = web.post(path, json={"data": []})
            assert refused.status_code == 404 and "checkpoints, curate, explore, invert, render, walk" in refused.json()["detail"], path
        assert web.get(f"/gradio_api/{way}/nosuch/0").status_code == 404


def test_who_misnames_a_parameter_is_told_which_there_are(served: gr.Blocks) -> None:
    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        refused = web.post("/gradio_api/call/v2/render", json={"chekpoint": "tiny"})
        assert refused.status_code == 422
        assert refused.json()["detail"].startswith("There is no parameter 'chekpoint'; there are checkpoint, seeds, ")
        refused = web.post("/gradio_api/call/v2/invert", json={"checkpoint": "tiny"})
        assert refused.status_code == 422 and "image" in refused.json()["detail"]
        assert "event_id" in web.post("/gradio_api/call/v2/render", json={"checkpoint": "tiny"}).json()


def test_a_pasted_picture_is_not_opened_before_it_is_known_to_be_allowed(served: gr.Blocks, tmp_path: Path) -> None:
    Image.new("L", (3000, 3000)).save(tmp_path / "small.png")
    pasted = next(block for block in served.blocks.values() if getattr(block, "elem_id", "") == "invert-paste")
    assert isinstance(pasted, gr.Image)
    given = ImageData(path=str(tmp_path / "small.png"), orig_name="large.bmp")
    assert pasted.preprocess(given) == given.path, "a copy of it was made"


LONG_WORK: dict[str, list[Any]] = {
    "walk": ["tiny", "1,2", 60, 30, False, "z", "even", 1.0, 16, "webp"],
    "invert": ["tiny", 1000],
    "curate": ["tiny", "", 1000, 100, CONFIDENCE, 0, 1.0],
    "render": ["tiny", "0-399", "", "", 1.0, "", 20, 1, "", "", "", ""],
}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> threading.Event:
    """Set once a turn has begun; each takes long enough that no work ends by itself meanwhile."""
    caplog.set_level(logging.INFO, "resgen.requests")
    turn, begun = Turns._turn, threading.Event()

    @contextmanager
    def slow_turn(turns: Turns, used: float, long: bool) -> Iterator[None]:
        with turn(turns, used, long):
            begun.set()
            time.sleep(0.1)
            yield

    monkeypatch.setattr(Turns, "_turn", slow_turn)
    return begun


@pytest.mark.parametrize("endpoint", LONG_WORK)
def test_work_ends_when_who_asked_over_http_goes_away(
    served: gr.Blocks, begun: threading.Event, caplog: pytest.LogCaptureFixture, endpoint: str
) -> None:
    with httpx.Client(base_url=served.local_url or "", timeout=20) as web:
        sent = [upload(web, picture())] if endpoint == "invert" else []
        number = web.post(f"/gradio_api/call/{endpoint}", json={"data": [*sent, *LONG_WORK[endpoint]]}).json()["event_id"]
        with web.stream("GET", f"/gradio_api/call/{endpoint}/{number}"):
            assert begun.wait(20)
    # The work itself has no end; the thread that did it says so a moment after its place is free.
    until(lambda: bool(caplog.records) and not any(served._queue.active_jobs), 10)
    assert "has gone" in caplog.records[-1].getMessage()


def test_a_picture_is_drawn_no_further_once_who_asked_for_it_has_gone(
    served: gr.Blocks, begun: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    asked = connection(served)
    asked.request("POST", "/drawing/picture", json.dumps({"query": "checkpoint=tiny&seeds=0-399&columns=20"}))
    assert begun.wait(20)
    asked.close()
    until(lambda: bool(caplog.records), 10)  # the work itself has no end
    assert "has gone" in caplog.records[-1].getMessage()


def upload(web: httpx.Client, data: bytes) -> dict[str, Any]:
    """A file as an endpoint is given it, once it has been sent."""
    path = web.post("/gradio_api/upload", files={"files": ("picture.png", data)}).json()[0]
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_fault_is_told_by_its_number_alone(served: gr.Blocks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> bytes:
        raise KeyError(f"/etc/secret \x1b[2J {tempfile.gettempdir()}")

    monkeypatch.setattr(Renderer, "png", fail)
    with pytest.raises(Exception, match="whoever runs it finds this as request") as told:
        Client(served.local_url or "", verbose=False).predict(checkpoint="tiny", seeds="1", api_name="/render")
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "resgen.requests"]
    assert len(lines) == 1 and lines[0]["event"] == "failed" and lines[0]["request"] in str(told.value)
    assert "secret" not in str(told.value) and "secret" in lines[0]["message"] and "in fail" in "".join(lines[0]["traceback"])
    assert "\x1b" not in caplog.text


def test_what_is_refused_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "resgen.requests")
    with pytest.raises(gr.Error, match="Seeds"):
        friendly(lambda: Recipe(seeds="x"))()  # type: ignore[arg-type]
    [line] = [json.loads(record.getMessage()) for record in caplog.records]
    assert line["event"] == "refused" and "traceback" not in line


# Temporary files.


def test_what_a_killed_studio_left_is_cleared_and_what_another_uses_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, other = tmp_path / f"{temp_folder.PREFIX}left", tmp_path / "resgen-other"
    for folder in (left, other):
        folder.mkdir()
        (folder / temp_folder.LOCK).touch()
        (folder / "film.mp4").touch()
    with own_place() as mine:
        assert not left.exists() and other.exists() and tempfile.gettempdir() == str(mine) == os.environ["GRADIO_TEMP_DIR"]
        Path(tempfile.mkdtemp(), "x").touch()
        temp_folder._clear_left(tmp_path)
        assert mine.exists(), "it is in use"
    assert sorted(tmp_path.iterdir()) == [other] and "GRADIO_TEMP_DIR" not in os.environ


def test_without_locks_a_place_is_made_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which moves no folder in which a file is open, and tells nobody which folders are in use."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temp_folder, "fcntl", None)
    rename = Path.rename

    def rename_free(folder: Path, target: Path) -> Path:
        if any(folder.iterdir()):
            raise PermissionError(f"a file in {folder} is open")
        return rename(folder, target)

    monkeypatch.setattr(Path, "rename", rename_free)
    with own_place() as mine:
        assert [*tmp_path.iterdir()] == [mine] and mine.name.startswith(temp_folder.PREFIX)
        temp_folder._clear_left(tmp_path)
        assert mine.exists(), "it is in use"
    assert not any(tmp_path.iterdir())


def test_a_studio_that_is_told_to_end_is_gone_in_five_seconds_with_its_files(tiny_folder: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "app.py", "--public", "--port", str(port), "--checkpoints", str(tiny_folder)]
    with running(command, more={"TMPDIR": str(tmp_path)}) as process:
        wait_until_answers(process, f"{url}/healthz")
        client = Client(url, verbose=False)
        client.predict(checkpoint="tiny", seeds="1", api_name="/render")
        long = client.submit(checkpoint="tiny", stops="1,2", seconds=20, fps=30, scale=16, format="webp", api_name="/walk")
        with pytest.raises(AppError, match=f"at most {PUBLIC.frames} are possible here"):  # strangers have their own limits
            client.predict(checkpoint="tiny", stops="1,2", seconds=21, fps=30, scale=1, format="webp", api_name="/walk")
        until(lambda: long.status().code.name == "PROCESSING", 30)
        assert any(tmp_path.rglob("picture.png"))
        process.send_signal(signal.SIGTERM)
        assert GRACE < 5 and process.wait(3 * GRACE) == 0  # a busy machine is late
    assert not list(tmp_path.iterdir())
