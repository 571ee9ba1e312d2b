"""Many visitors for a while: is every answer right, does memory stay, is anything left?

    python benchmarks/soak.py --visitors 64 --seconds 300

Starts the studio as for strangers. Each visitor asks for pictures, one after another; of a hundred requests ten cannot be read, ten ask for far too
much, and five visitors leave before their answer. Every picture must be the one that is drawn of its recipe alone. Ends with status 1 where one is
not, where memory at the end is over 1.05 times that of the first minute, where the studio died, did not end within five seconds of SIGTERM, or left
a file.
"""

import argparse
import io
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from served import RENDER_DEFAULTS, STOP, Visitor, sentence, studio

from resgen.composite import AnyRecipe, Comparison, StyleMix
from resgen.grid import draw_png
from resgen.library import Library
from resgen.recipe import Recipe

WARM = 60.0  # seconds after which memory is what it is
FLAT = 1.05
NEAR = 2  # of 255
BROKEN: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b'{"data": 5}',
    b'{"data": [null]}',
    b'{"data": ["\xff"]}',
    b'{"data": []}' * 1000,
    b"\0" * 100_000,
    b"[" * 50_000,
]
HUGE: list[str] = [
    '{"checkpoint": "NAME", "seeds": "0-99999"}',
    '{"checkpoint": "NAME", "seeds": "0-360", "columns": 19, "scale": 16}',
    '{"kind": "compare", "recipe": {"checkpoint": "NAME", "seeds": "0-99"}, "checkpoints": ["NAME", "NAME", "NAME", "NAME", "NAME", "NAME"]}',
    '{"checkpoint": "NAME", "plane": [1, 1, 1], "columns": 100, "plane_rows": 100}',
    '{"checkpoint": "NAME", "seeds": "0-7", "own_directions": [["a", "' + "A" * 80_000 + '"]]}',
    '{"checkpoint": "NAME", "seeds": "0-7", "edits": [' + ",".join(f"[{i},[[\"pc1\",1]]]" for i in range(5000)) + "]}",
    '{"checkpoint": "../../etc/passwd", "seeds": "1"}',
    '{"checkpoint": "owner/name", "seeds": "1"}',
    "[" * 100_000,
    '{"checkpoint": "NAME", "seeds": [' + "null," * 100_000 + "1]}",
    '{"checkpoint": "<img src=http://198.51.100.7/x.png>", "seeds": "1"}',
]  # fmt: skip


@dataclass
class Seen:
    """What the visitors saw."""

    counts: Counter[str] = field(default_factory=Counter[str])
    seconds: list[float] = field(default_factory=list[float])  # of each picture
    wrong: list[str] = field(default_factory=list[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, seconds: float | None = None, wrong: str = "") -> None:
        with self.lock:
            self.counts[what] += 1
            if seconds is not None:
                self.seconds.append(seconds)
            if wrong:
                self.wrong.append(wrong)


def recipes(names: list[str]) -> list[AnyRecipe]:
    """What honest visitors ask for."""
    found: list[AnyRecipe] = []
    for number, name in enumerate(names):
        seeds = tuple(range(20 * number, 20 * number + 16))
        one, two = (Recipe(checkpoint=name, seeds=(seed,), columns=1, scale=1) for seed in (number, number + 9))
        found += [
            Recipe(checkpoint=name, seeds=seeds, columns=4, scale=2), Recipe(checkpoint=name, seeds=seeds[:7], truncation=0.5, scale=1),
            Recipe(checkpoint=name, plane=(3.5, 7.25, 0.3), columns=3), StyleMix(rows=(one, two), columns=(two,), blocks=(1,), scale=2),
            Comparison(recipe=Recipe(checkpoint=name, seeds=seeds[:3], scale=1), checkpoints=tuple(names)),
        ]  # fmt: skip
    return found


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture)


def seen_alone(url: str, recipe: str, drawn: np.ndarray) -> np.ndarray:
    """What a studio gives a visitor who is alone; as it is drawn here but for rounding, since another number of threads adds in another order."""
    found = pixels(Visitor(url, "alone").picture(recipe))
    assert np.abs(found.astype(int) - drawn).max() <= NEAR, recipe
    return found


def visit(visitor: Visitor, chance: random.Random, until: float, expected: list[tuple[str, np.ndarray]], names: list[str], seen: Seen) -> None:
    """One visitor's requests, one after another."""
    while time.monotonic() < until:
        kind = chance.random()
        try:
            if kind < 0.1:
                _send_broken(visitor, chance, seen)
            elif kind < 0.2:
                _send_huge(visitor, chance, names, seen)
            elif kind < 0.25:
                visitor.leave("render", *_values(chance.choice(expected)[0]))
                seen.count("left before the answer")
            else:
                _ask(visitor, *chance.choice(expected), seen)
        except httpx.HTTPError as error:
            seen.count("no answer", wrong=f"{type(error).__name__}: {error}")
        time.sleep(chance.uniform(0, 0.5))


def _values(recipe: str) -> tuple[Any, ...]:
    return (*RENDER_DEFAULTS, recipe)


def _ask(visitor: Visitor, recipe: str, expected: np.ndarray, seen: Seen) -> None:
    begun = time.monotonic()
    try:
        found = pixels(visitor.picture(recipe))
    except ValueError as error:
        busy = "try again in about" in str(error)
        seen.count("told to try again" if busy else "refused, though well-formed", wrong="" if busy else sentence(error))
        return
    same = np.array_equal(found, expected)
    seen.count("right" if same else "wrong", time.monotonic() - begun, "" if same else f"another picture of {recipe[:100]}")


def _send_broken(visitor: Visitor, chance: random.Random, seen: Seen) -> None:
    path = chance.choice(("/gradio_api/call/render", "/gradio_api/queue/join", "/gradio_api/call/walk", "/gradio_api/upload"))
    answer = visitor.web.post(path, content=chance.choice(BROKEN), headers={"content-type": "application/json"})
    seen.count(
        "malformed", wrong=f"a server's error at {path}: {answer.status_code}" if answer.status_code >= 500 and answer.text.count("\n") else ""
    )


def _send_huge(visitor: Visitor, chance: random.Random, names: list[str], seen: Seen) -> None:
    recipe = chance.choice(HUGE).replace("NAME", chance.choice(names))
    try:
        if chance.random() < 0.3:
            visitor.ask("walk", "", recipe if chance.random() < 0.5 else "1,2,3", 60.0, 60, True, "z", "even", 1.0, 16, "mp4")
        else:
            visitor.ask("render", *_values(recipe))
        seen.count("hostile, done")
    except ValueError as error:
        told = sentence(error)
        seen.count("hostile, refused", wrong=told if "request " in told and "log" in told else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=180)
    asked = parser.parse_args()
    library, seen = Library(device="cpu"), Seen()
    names = [card.name for card in library.cards()]
    drawn = [(recipe.to_json(), pixels(draw_png(recipe, library.sampler))) for recipe in recipes(names)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        place = Path(folder, "place")
        place.mkdir()
        with studio(place, log) as served:
            expected = [(recipe, seen_alone(served.url, recipe, picture)) for recipe, picture in drawn]
            until = time.monotonic() + asked.seconds
            threads = [
                threading.Thread(target=visit, args=(Visitor(served.url, f"v{i}"), random.Random(i), until, expected, names, seen), daemon=True)
                for i in range(asked.visitors)
            ]
            for thread in threads:
                thread.start()
            memory = _watch_memory(served, until)
            for thread in threads:
                thread.join(200)
            alive = served.process.poll() is None
            peak = served.peak() if alive else float("nan")
            took = served.end() if alive else float("nan")
        left = sorted(place.rglob("*"))
        failures = log.read_text().count('"event": "failed"')
    first, last = memory
    print(f"{asked.visitors} visitors, {asked.seconds:.0f} s")
    for what, count in sorted(seen.counts.items()):
        print(f"  {count:6} {what}")
    spread = statistics.quantiles(seen.seconds, n=20)
    print(
        f"  pictures: median {statistics.median(seen.seconds):.2f} s, 95th percentile {spread[-1]:.2f} s, {len(seen.seconds) / asked.seconds:.1f} a second"
    )
    print(f"  memory: first minute {first:.0f} MB, end {last:.0f} MB, x {last / first:.3f}, peak {peak:.0f} MB; faults in the log: {failures}")
    print(f"  alive: {alive}; ended {took:.1f} s after SIGTERM; files left: {len(left)}")
    for wrong, count in Counter(seen.wrong).most_common(10):
        print(f"  ! {count} x {wrong}")
    sys.exit(bool(seen.wrong or left or failures or not alive or took > STOP or last > FLAT * first))


def _watch_memory(served: Any, until: float) -> tuple[float, float]:
    """Median megabytes of the last ten seconds of the first minute (or third, where there is less), and of all."""
    begun, told = time.monotonic(), list[tuple[float, float]]()
    while time.monotonic() < until and served.process.poll() is None:
        told.append((time.monotonic() - begun, served.megabytes()))
        time.sleep(0.5)
    length = told[-1][0]
    warm = min(WARM, length / 3)
    return tuple(statistics.median([size for at, size in told if end - 10 <= at <= end]) for end in (warm, length))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
