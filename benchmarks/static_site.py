"""The page without a server, in Chromium: whether it draws what ResGen draws, what it fetches, and how long a grid takes.

    python benchmarks/static_site.py                       # every shipped checkpoint
    python benchmarks/static_site.py fruits --webgpu

A plain server of files gives out what `resgen export --to site` writes; a request to any other host ends the run. Of each checkpoint ten seeds are
saved from the page and compared with `resgen sample`, at rest and with truncation, a direction and a block's dial moved. Then a grid of 24 is drawn
again and again with another truncation, and the least time from the change of the address to the last image painted counts. With --webgpu the
graphs are drawn by WebGPU on SwiftShader, a GPU in software: its pixels are a GPU's, its times would say nothing.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route, sync_playwright
from web import CHROMIUM, FLAGS, WITHOUT_GPU, only, serve_files

from resgen.library import SHIPPED, Library
from resgen.notes import read_recipe
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.site import export_site, runtime
from resgen.work import finish

SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
WORDS = {False: "on your processor", True: "on your GPU"}
PATIENCE = 300_000  # milliseconds
COMPARED, GRID, ROUNDS = 10, 24, 8
PAINTED = "link => document.querySelector('canvas:not([hidden])')?.dataset.painted === link"
TIMED = """async (link) => {
  const grid = document.querySelector("#grid");
  const painted = new Promise((resolve) => new MutationObserver(() => grid.dataset.painted === link && resolve()).observe(grid, { attributes: true }));
  const began = performance.now();
  location.hash = link;
  await painted;
  return performance.now() - began;
}"""


@contextmanager
def opened(site: str, webgpu: bool, elsewhere: list[str]) -> Iterator[Page]:
    """A page that reaches no host but the site's: what it asks of others is noted in ``elsewhere`` and refused."""

    def take_software(route: Route) -> None:
        route.fulfill(response=(answer := route.fetch()), body=answer.text().replace("!adapter.info?.isFallbackAdapter", "true"))

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *SOFTWARE_GPU] if webgpu else WITHOUT_GPU)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.route("**/*", only(site, elsewhere))
        if webgpu:
            context.route("**/draw.js", take_software)
        yield context.new_page()
        browser.close()


def difference(page: Page, sampler: Sampler, link: str) -> int:
    """By how much the page's picture differs from the sampler's, in 255ths."""
    page.evaluate("link => { location.hash = link; }", link)
    page.wait_for_function(PAINTED, arg=link, timeout=PATIENCE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    recipe, _ = read_recipe(download.value.path())
    assert isinstance(recipe, Recipe) and recipe.count == COMPARED
    side, columns = sampler.card.arch.resolution, recipe.columns
    picture = np.asarray(Image.open(download.value.path()).convert("RGB"))
    own = picture[:: picture.shape[1] // columns // side, :: picture.shape[1] // columns // side]
    images = own.reshape(-1, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)[:COMPARED]
    return int(abs(images.astype(int) - sampler.render(recipe)).max())


def moved(sampler: Sampler) -> str:
    """What an address adds to move truncation, and a direction and a block's dial where there are any."""
    card = sampler.card
    direction = f"&directions={quote_plus(card.direction_names[0])}%3D1.5" if card.direction_names else ""
    gains = ["0.5", *["1"] * (len(card.block_names) - 1)]
    return f"&truncation=0.7{direction}" + (f"&residual_gains={'%2C'.join(gains)}" if card.arch.dials else "")


def measure(site: str, sampler: Sampler, webgpu: bool) -> tuple[float, int, int, float]:
    """MB fetched, the differences of ten seeds at rest and moved, and the milliseconds of a grid."""
    fetched: list[int] = []
    elsewhere: list[str] = []
    base = f"checkpoint={sampler.card.name}&seeds="
    with opened(site, webgpu, elsewhere) as page:
        page.context.on("response", lambda response: fetched.append(int(response.headers.get("content-length", 0))))
        page.goto(f"{site}#{base}0-{COMPARED - 1}")
        page.wait_for_function(PAINTED, arg=f"{base}0-{COMPARED - 1}", timeout=PATIENCE)
        assert WORDS[webgpu] in page.locator("#status").inner_text(), page.locator("#status").inner_text()
        found = [difference(page, sampler, f"{base}0-{COMPARED - 1}{more}") for more in ("", moved(sampler))]
        links = [f"{base}0-{GRID - 1}&truncation={round(0.9 - part / 100, 2)}" for part in range(0 if webgpu else ROUNDS)]
        milliseconds = min((page.evaluate(TIMED, link) for link in links), default=float("nan"))
    assert not elsewhere, elsewhere
    return sum(fetched) / 1e6, found[0], found[1], milliseconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*")
    parser.add_argument("--webgpu", action="store_true", help="on SwiftShader")
    given = parser.parse_args()
    library = Library(SHIPPED, "cpu")
    samplers = [library.sampler(name) for name in given.checkpoints or [name for name in library.names() if "@" not in name]]
    print(
        f"{'checkpoint':16} {'MB fetched':>10} {'at rest':>8} {'moved':>8} {f'ms for {GRID}':>10}   ({'WebGPU on SwiftShader' if given.webgpu else 'WASM, one thread'})"
    )
    with tempfile.TemporaryDirectory() as folder, serve_files(Path(folder)) as site:
        finish(export_site(samplers, Path(folder), runtime.COPY))
        for sampler in samplers:
            megabytes, at_rest, with_dials, milliseconds = measure(site, sampler, given.webgpu)
            timed = "-" if given.webgpu else round(milliseconds)
            print(f"{sampler.card.name:16} {megabytes:10.1f} {at_rest:>4}/255 {with_dials:>4}/255 {timed:>10}", flush=True)


if __name__ == "__main__":
    main()
