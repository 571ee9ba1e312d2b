"""Whatever is sent for a function of the page, named or not, is answered in a sentence that is no fault of the program, and opens nothing."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from resgen.budget import PUBLIC
from resgen.recipe import Recipe
from resgen.studio.app import build
from resgen.studio.controls import Kept

FILE = {"meta": {"_type": "gradio.FileData"}}
KEPT = Kept(Recipe(checkpoint="tiny", seeds=(1, 2), columns=2)).to_json()
TOLD: dict[str, Any] = {"seeds": "1-2", "directions": {"amounts": {}, "edits": {}, "sweep": ""}, "blocks": {"gains": [1.0]}}
PINNED = {"query": "checkpoint=tiny&seeds=1&columns=1&scale=1"}
WRONG: list[Any] = [
    None, True, -1, 1e308, float("nan"), 10**400, "", "x" * 3000, "checkpoint=tiny&seeds=1", "../../etc/passwd", [], {}, [None], [[[]]], ["tiny", 5],
    {"path": "/etc/passwd"}, {"path": "/etc/passwd", **FILE}, {"path": "http://127.0.0.1:1/x", **FILE}, {"path": "x", "meta": 5}, [{"query": 5}],
    [{"query": "checkpoint=../../x"}], {"recipe": {}}, {"recipe": {"kind": "walk"}}, {"recipe": 5, "query": []}, {"names": 5, "amounts": [], "gains": "x"},
    {"amounts": {}, "edits": {"1": {"pc1": "x"}}, "sweep": ""},
]  # fmt: skip
EVENTS: list[Any] = [
    None,
    5,
    "x",
    [],
    {},
    {"action": 5, "tile": 7, "query": [], "index": "x", "more": 3, "less": 3, "name": [], "whole": 3},
]


VALUES_OF_INVERT = {"invert-zoom": 1, "invert-across": 0.5, "invert-down": 0.5, "invert-steps": 20}


class Asked:
    """A studio whose functions are called by their numbers."""

    def __init__(self, demo: gr.Blocks) -> None:
        self.demo, self.web = demo, httpx.Client(base_url=demo.local_url or "", timeout=60)
        self.visitors = cycle("ab")  # by turns: who asks again at once is kept waiting a moment

    def call(self, function: int, values: list[Any], event: Any = None) -> str:
        """What is said to values; 'done' where they are taken."""
        return self.call_all([(function, values, event)])[0]

    def call_all(self, calls: list[tuple[int, list[Any], Any]]) -> list[str]:
        """The same of several calls, as many at a time as a visitor may have waiting."""
        most = PUBLIC.waiting_each
        return [said for start in range(0, len(calls), most) for said in self._call_at_once(calls[start : start + most])]

    def _call_at_once(self, calls: list[tuple[int, list[Any], Any]]) -> list[str]:
        visitor, numbers = next(self.visitors), list[str]()
        for function, values, event in calls:
            sent = json.dumps({"data": values, "fn_index": function, "session_hash": visitor, "event_data": event})
            answer = self.web.post("/gradio_api/queue/join", content=sent, headers={"content-type": "application/json"})
            assert answer.status_code == 200, answer.text
            numbers.append(answer.json()["event_id"])
        with self.web.stream("GET", "/gradio_api/queue/data", params={"session_hash": visitor}) as stream:
            told = [json.loads(line.removeprefix("data:")) for line in stream.iter_lines() if line]
        last = {message["event_id"]: message for message in told if message["msg"] == "process_completed"}
        return ["done" if last[number]["success"] else str(last[number]["output"]["error"]) for number in numbers]

    @property
    def functions(self) -> dict[int, Any]:
        return {number: function for number, function in self.demo.fns.items() if function.fn and function.queue}


@pytest.fixture(scope="module")
def asked(tiny_folder: Path) -> Iterator[Asked]:
    demo = build(tiny_folder, "cpu", PUBLIC)
    demo.launch(prevent_thread_lock=True, quiet=True)
    yield Asked(demo)
    demo.close()


@pytest.fixture(autouse=True)
def no_faults(asked: Asked, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """What ``asked`` is asked is no fault of its; what its start says, such as that the first port is taken, is none either."""
    caplog.set_level(logging.INFO, "resgen.requests")
    capfd.readouterr()
    yield
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "resgen.requests"]
    assert not [(line["where"], line["traceback"][-2:]) for line in lines if line["event"] == "failed"]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(("place", "wrong"), enumerate(WRONG), ids=lambda given: str(given)[:30])
def test_wrong_values_are_answered_in_a_sentence(asked: Asked, place: int, wrong: Any) -> None:
    """Every function gets every value, and every event, though not each of these with each of those."""
    functions = asked.functions.items()
    events = [EVENTS[(number + place) % len(EVENTS)] if function.collects_event_data else None for number, function in functions]
    answers = asked.call_all([(number, [wrong] * len(function.inputs), event) for (number, function), event in zip(functions, events, strict=True)])
    for said, (number, function) in zip(answers, functions, strict=True):
        assert said not in ("", "None") and "/work" not in said and str(Path.cwd()) not in said, (number, function.name, said)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[:30])
def test_one_wrong_value_among_good_ones_is_too(asked: Asked, wrong: Any) -> None:
    """Of the function that draws the first grid, whose controls all screens have some of."""
    number, draw = next(iter(asked.functions.items()))
    good = values_of(draw)
    assert asked.call(number, good) == "done"
    answers = asked.call_all([(number, [*good[:place], wrong, *good[place + 1 :]], None) for place in range(len(good))])
    for control, said in zip(draw.inputs, answers, strict=True):
        assert said not in ("", "None"), control.elem_id


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("make_film", {"walk-format": "x"}),
        ("draw", {"mix-blocks": [0, "a"], "rows": [PINNED], "columns": [PINNED]}),
        ("draw", {"compare-names": ["tiny"], "compare-class": None}),
        ("choose_moment", {"learner": "tiny", "moment": -5}),
        ("show_target", {"invert-photo": None, "checkpoint": "tiny", None: "x"}),
        ("find_latent", {"invert-steps": 20, "checkpoint": "tiny", None: "x"}),
    ],
)
def test_values_that_only_their_screen_knows_to_be_wrong(asked: Asked, name: str, wrong: dict[str | None, Any]) -> None:
    for number, function in asked.functions.items():
        if function.name.startswith(name):
            assert asked.call(number, [wrong.get(control.elem_id, control.value) for control in function.inputs]) not in ("", "None")


def test_many_images_are_not_taken_for_one(asked: Asked) -> None:
    """Where the page tells of an image: by its buttons, by what hangs on the chosen one, by marks."""
    many = "checkpoint=tiny&seeds=0-99999"
    marks = ({"more": [many], "less": [PINNED["query"]]}, {"more": [PINNED["query"]] * 1000, "less": []})
    said = dict[str, str]()
    for number, function in asked.functions.items():
        good = values_of(function)
        if function.name in ("save", "vary"):
            said[function.name] = asked.call(number, good, {"action": function.name, "tile": many})
        elif function.name in ("show_ends", "show_anatomy"):
            said[function.name] = asked.call(number, [{"tile": many, "whole": many}])
        elif function.name == "make_own":
            place = next(place for place, control in enumerate(function.inputs) if control.value == {"more": [], "less": []})
            said |= {f"marks {i}": asked.call(number, [*good[:place], marked, *good[place + 1 :]]) for i, marked in enumerate(marks)}
    assert said.pop("marks 1").startswith("1000 images are marked") and said.pop("save") == "This image cannot be saved alone."
    assert said == dict.fromkeys(["vary", "show_anatomy", "show_ends", "marks 0"], "This is not one image.")


def values_of(function: Any) -> list[Any]:
    """Values that a function of the Explore screen takes."""
    return [KEPT if isinstance(control, gr.JSON) else TOLD.get(control.elem_id, control.value) for control in function.inputs]


def test_values_that_are_missing_are_asked_for(asked: Asked) -> None:
    for number, function in asked.functions.items():
        if function.inputs:
            assert "load the page again" in asked.call(number, []), function.name


def test_nothing_is_called_but_what_there_is_and_nothing_beside_the_queue(asked: Asked) -> None:
    scripts = [number for number, function in asked.demo.fns.items() if function.fn is None]
    for number in (*scripts[:2], 10**6, -1):
        answer = asked.web.post("/gradio_api/queue/join", json={"data": [], "fn_index": number, "session_hash": "one"})
        assert answer.status_code == 404 and "load the page again" in answer.text
    assert asked.web.post("/gradio_api/run/render", json={"data": ["tiny", "1"]}).status_code == 404


def test_no_file_of_the_server_is_read_and_no_address_loaded(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that lies on the server, named in each way in which a file may be."""
    from gradio import processing_utils

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", lambda _: pytest.fail("it was loaded"))
    Image.new("RGB", (16, 16)).save(tmp_path / "mine.png")
    number = next(number for number, function in asked.functions.items() if function.api_name == "invert")
    for path in (str(tmp_path / "mine.png"), "http://example.com/x.png", "/proc/self/environ", "../x.png"):
        for file in ({"path": path}, {"path": path, **FILE}, {"path": path, "meta": {}}):
            assert asked.call(number, [file, "tiny", 5]) != "done"


def test_no_picture_is_made_of_words(asked: Asked) -> None:
    """Of a data URI Gradio would make a file before anybody knows how large its picture is, and keep it for ever."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "PNG")
    pasted = {"url": f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", **FILE}
    before = {*Path(get_upload_folder()).rglob("*")}
    for number, function in asked.functions.items():
        if function.name in ("show_target", "find_latent"):
            values = [VALUES_OF_INVERT.get(getattr(component, "elem_id", "")) for component in function.inputs]
            with_picture = [pasted if isinstance(component, gr.Image) else value for component, value in zip(function.inputs, values, strict=True)]
            assert "a file that was sent" in asked.call(number, with_picture)
    assert {*Path(get_upload_folder()).rglob("*")} == before


def test_values_are_not_kept_after_the_answer(asked: Asked) -> None:
    number = next(number for number, function in asked.functions.items() if function.api_name == "render")
    asked.call(number, ["tiny", "1", "", "", 1.0, "", 1, 1, "", "", "", ""])
    assert not [*asked.demo.state_holder["a"].components, *asked.demo.state_holder["b"].components]
    assert not asked.demo._queue.cached_event_analytics_summary["functions"], "Gradio adds up how long each took, at each answer"
