"""Drag to pixel: how long after a slider moved its pictures are on screen, in Chromium, a grid of 24.

    python benchmarks/drag.py cifar10

Four pages with a slider for truncation: the studio; a minimal Gradio app of the same network, a slider and a `gr.Gallery`, which draws with the
network as it is trained (float32, one batch); the same app with ResGen's sampler behind it, so that what the page costs is seen alone; and the page
without a server, which draws by itself on WASM, a part of the grid at a time while the slider moves. Rounds alternate between them, so that a busy
machine is fair to all. The slider is held, as by a hand. First it takes single steps, each once the last is on screen, and the median counts; then it
moves every 16 ms for two seconds, and the pictures that come are counted.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rounds import least_seconds
from static_site import GRID, PATIENCE
from web import CHROMIUM, ROOT, WITHOUT_GPU, free_port, running, serve_files, wait_until_answers

from resgen.grid import sprite
from resgen.library import SHIPPED, Library
from resgen.plates import draw
from resgen.recipe import Recipe
from resgen.site import export_site, runtime
from resgen.studio.renderer import FASTEST, data_uri
from resgen.work import finish

ROUNDS, STEPS = 3, 8  # steps of a round
DRAGGED_SECONDS = 2

# What of each page is on screen: text that changes with the picture, "" while parts of it are missing.
OF_STUDIO = """() => {
  const canvas = document.querySelector("#grid .rg-canvas[data-painted]");
  return canvas ? canvas.getContext("2d").getImageData(0, canvas.height >> 1, canvas.width, 1).data.join("") : ""; // all images are painted at once
}"""
OF_SITE = "() => document.querySelector('#grid').dataset.painted ?? ''"
OF_GALLERY = """() => {
  const images = [...document.querySelectorAll("#gallery img")];
  return images.length === COUNT && images.every((image) => image.complete && image.naturalWidth) ? images.map((image) => image.src).join() : "";
}""".replace("COUNT", str(GRID))
MOVE = """(value) => {
  const range = document.querySelector("#truncation input[type=range]");
  range.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
  range.value = value;
  range.dispatchEvent(new Event("input", { bubbles: true }));
}"""
# Of a gallery all images must be others; of a canvas one row of its pixels.
STEP = """async (value) => {
  const shown = SHOWN, parts = (text) => text.split(",h");
  const before = new Set(parts(shown()));
  const began = performance.now();
  (MOVE)(value);
  for (;;) {
    await new Promise(requestAnimationFrame);
    const now = shown();
    if (now && !parts(now).some((part) => before.has(part))) return performance.now() - began;
  }
}"""
DRAG = """async (seconds) => {
  const shown = SHOWN, seen = new Set([shown()]), began = performance.now();
  for (let moves = 0; performance.now() - began < seconds * 1000; moves++) {
    (MOVE)(((moves % 80) / 100 + 0.1).toFixed(2));
    await new Promise((resolve) => setTimeout(resolve, 16));
    if (shown()) seen.add(shown());
  }
  return (seen.size - 1) / seconds;
}"""


@dataclass(frozen=True)
class Place:
    """A page to be measured, and what of it is on screen."""

    name: str
    page: Page
    shown: str

    def script(self, script: str) -> str:
        return script.replace("SHOWN", self.shown).replace("MOVE", MOVE)

    def steps(self, values: list[float]) -> list[float]:
        """The milliseconds of each step."""
        return [self.page.evaluate(self.script(STEP), value) for value in values]

    def pictures_a_second(self) -> float:
        return self.page.evaluate(self.script(DRAG), DRAGGED_SECONDS)


def minimal(name: str, port: int, with_sampler: bool) -> None:
    """The app to compare with: as short as Gradio lets it be."""
    import gradio as gr
    import torch

    from resgen.latents import locate
    from resgen.sampler import to_pixels

    sampler = Library(SHIPPED, "cpu").sampler(name)
    generator = sampler.checkpoint.build().eval()
    recipe = Recipe(checkpoint=name, seeds=tuple(range(GRID)))

    def by_network(psi: float) -> list[Any]:
        with torch.inference_mode():
            points = locate(recipe.changed(truncation=psi), sampler.checkpoint)
            return list(to_pixels(generator.synthesise(sampler.map(points), points.gains)))

    def by_sampler(psi: float) -> list[Any]:
        return list(sampler.render(recipe.changed(truncation=psi)))

    by = by_sampler if with_sampler else by_network
    with gr.Blocks() as demo:
        psi = gr.Slider(0, 1.5, 1, step=0.01, label="Truncation", elem_id="truncation")
        gallery = gr.Gallery(by(1), columns=8, elem_id="gallery")
        psi.input(by, psi, gallery, show_progress="hidden", trigger_mode="always_last")
    demo.launch(server_port=port, quiet=True)


@contextmanager
def serving(*words: str) -> Iterator[str]:
    """The address of a server that Python runs with these words and a port, once it answers."""
    url = f"http://127.0.0.1:{(port := free_port())}/"
    environment = {"PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False"}
    with running([sys.executable, *words, "--port", str(port)], more=environment) as process:
        wait_until_answers(process, url)
        yield url


@contextmanager
def opened(name: str) -> Iterator[list[Place]]:
    """All pages, their first pictures on screen."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        finish(export_site([Library(SHIPPED, "cpu").sampler(name)], folder, runtime.COPY))
        link = f"checkpoint={name}&seeds=0-{GRID - 1}"
        mine = str(Path(__file__))
        kinds = [
            ("studio", f"{stack.enter_context(serving('app.py'))}?{link}", OF_STUDIO),
            ("gr.Gallery, the network", stack.enter_context(serving(mine, name, "--minimal", "network")), OF_GALLERY),
            ("gr.Gallery, ResGen's sampler", stack.enter_context(serving(mine, name, "--minimal", "sampler")), OF_GALLERY),
            ("in the browser, WASM", f"{stack.enter_context(serve_files(folder))}#{link}", OF_SITE),
        ]
        browser = stack.enter_context(sync_playwright()).chromium.launch(executable_path=CHROMIUM, args=WITHOUT_GPU)
        places = list[Place]()
        for kind, address, shown in kinds:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.wait_for_function(shown, timeout=PATIENCE)
            places.append(Place(kind, page, shown))
        yield places
        browser.close()


def compare(name: str) -> None:
    with opened(name) as places:
        steps: dict[str, list[float]] = {place.name: [] for place in places}
        pictures: dict[str, list[float]] = {place.name: [] for place in places}
        for number in range(ROUNDS + 1):
            values = [round(0.9 + (number * STEPS + step) / 100, 2) for step in range(STEPS)]  # none at which a drag ends: it would be no change
            for place in places:
                place.page.bring_to_front()
                found, rate = place.steps(values), place.pictures_a_second()
                if number:  # the first round warms up
                    steps[place.name] += found
                    pictures[place.name].append(rate)
                place.page.wait_for_timeout(1500)  # what is still under way comes to its end
    print(f"\n{name}, {GRID} images: ms from the slider's step to the last pixel; pictures a second while it moves")
    base = statistics.median(steps[places[1].name])
    for place in places:
        times = sorted(steps[place.name])
        rate = f"{statistics.median(pictures[place.name]):4.1f}/s" if place.shown != OF_SITE else "in parts"
        median, late = statistics.median(times), times[int(0.9 * len(times))]
        print(f"  {place.name:30} median {median:5.0f}   9 of 10 within {late:5.0f}   x {base / median:.2f}   {rate}")


def encodings(name: str) -> None:
    """What a grid costs as a picture for the page."""
    picture = sprite(finish(draw(Recipe(checkpoint=name, seeds=tuple(range(GRID))), Library(SHIPPED, "cpu").sampler)))
    seconds = least_seconds({kind: partial(data_uri, picture, kind) for kind in FASTEST})
    print(f"\n{name}, {GRID} images as a data URI, every pixel as it is")
    for kind, taken in seconds.items():
        print(f"  {kind:30} {taken * 1000:6.2f} ms {len(data_uri(picture, kind)) / 1000:6.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--minimal", choices=["network", "sampler"], help="serve the app to compare with, and nothing else")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    if given.minimal:
        minimal(given.checkpoints[0], given.port, given.minimal == "sampler")
        return
    for name in given.checkpoints:
        encodings(name)
        compare(name)


if __name__ == "__main__":
    main()
