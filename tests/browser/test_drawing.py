"""A page that draws for itself while a dial is turned, in a real Chromium: what it shows is what the server draws once the hand lets go."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Request, expect

from resgen.recipe import Recipe, pack_vector
from resgen.site import runtime
from tests.browser.conftest import Visit, library, number, pixels, redrawn, runtime_at_hand, shown

NAME = "fashion-mnist"  # the smallest
NEAR = 3  # 255ths by which it may differ; both are enlarged
WRITING = 90_000  # milliseconds that a generator is given to become graphs
PINNED = json.loads((Path(runtime.__file__).parent / "package.json").read_text())["dependencies"][runtime.PACKAGE]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> Iterator[None]:
    """The server finds what draws on its own disk: no test needs the internet."""
    with runtime_at_hand():
        runtime.find_package(PINNED)
    yield


@pytest.fixture
def page(visit: Visit) -> Page:
    own = pack_vector(np.random.default_rng(0).normal(0, 0.1, library.card(NAME).arch.w_dim).tolist())
    recipe = Recipe(checkpoint=NAME, seeds=tuple(range(6)), columns=3, truncation=0.9, directions=(("mine", 1.0),), own_directions=(("mine", own),))
    page = visit("?" + recipe.to_query(), here=True)
    ready(page)
    return page


def ready(page: Page) -> None:
    """Wait until the next turn of a dial is the page's."""
    expect(switch(page)).to_have_attribute("aria-checked", "true", timeout=WRITING)
    expect(switch(page)).to_have_attribute("aria-busy", "false", timeout=WRITING)


def switch(page: Page) -> Locator:
    return page.get_by_role("switch", name="Draw here")


def held(page: Page, dial: Locator, share: float) -> np.ndarray:
    """What is on screen once the page has drawn what a dial is held at, ``share`` of its length."""
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    page.mouse.down()
    expect(page.locator("#grid .rg-status")).to_contain_text("on your processor")
    return colours(pixels(page))


def colours(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def test_a_held_dial_is_drawn_by_the_page_as_the_server_draws_it(page: Page) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/queue/join" in request.url else None)
    for dial in ("#truncation", "#direction-1", "#own-1", "#block-2"):
        before, link = colours(pixels(page)), page.url
        asked.clear()
        here = held(page, page.locator(f"{dial} input[type=range]"), 0.8)
        assert abs(here - before).max() > 30, dial
        assert not asked and page.url == link, dial
        with page.expect_response("**/drawing/stand"):
            there = colours(redrawn(page, page.mouse.up))
        assert abs(here - there).max() <= NEAR, dial
        ready(page)


def test_a_window_of_the_seed_plane_is_drawn_by_the_page_while_it_is_dragged(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles")
    for _ in range(2):  # from seeds to the plane, and on it
        before, link = colours(pixels(page)), shown(page)
        box = tiles.bounding_box()
        assert box
        page.mouse.move(box["x"] + 200, box["y"] + 150)
        page.mouse.down()
        page.mouse.move(box["x"] + 150, box["y"] + 120)
        expect(page.locator("#grid .rg-status")).to_contain_text("on your processor")
        page.wait_for_function("document.querySelector('#grid .rg-canvas').style.transform === ''")  # what is painted is what is wanted
        here = colours(pixels(page))
        assert abs(here - before).max() > 30 and shown(page) == link
        with page.expect_response("**/drawing/stand"):
            there = colours(redrawn(page, page.mouse.up))
        assert abs(here - there).max() <= NEAR
        ready(page)


def test_who_does_not_want_it_has_the_server_draw(page: Page) -> None:
    switch(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    redrawn(page, lambda: (number(page, "truncation").fill("0.5"), number(page, "truncation").press("Enter")))
    expect(page.locator("#grid .rg-status")).to_contain_text("on CPU")
