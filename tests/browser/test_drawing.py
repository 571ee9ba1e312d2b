"""What follows the hand while a dial is turned, in a real Chromium, drawn by the page or asked for: it is what is drawn once the hand lets go."""

import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from resgen.composite import Walk, read_query
from resgen.recipe import Recipe, pack_vector
from resgen.site import runtime
from tests.browser.conftest import (
    PATIENCE,
    App,
    Visit,
    colours,
    enter,
    functions,
    href,
    library,
    number,
    painted,
    pixels,
    redrawn,
    routed,
    runtime_at_hand,
    settled,
    shown,
)  # fmt: skip
from tests.conftest import until

NAME = "fashion-mnist"  # the smallest
NEAR = {"page": 3, "server": 0}  # 255ths by which what is drawn there may differ from what is drawn once the hand lets go; both are enlarged
WRITING = 90_000  # milliseconds that a generator is given to become graphs
FORBIDDEN = """
for (const kind of ["localStorage", "sessionStorage"]) Object.defineProperty(window, kind, { get() { throw new Error(`${kind} is forbidden`); } });
Object.defineProperty(navigator, "connection", { value: { saveData: true } });  // nothing is fetched before it is chosen
"""
# A visitor who has chosen nothing, with a GPU, far from the server.
UNDECIDED = """
localStorage.removeItem("resgen-draw-here");
Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => ({ info: {} }) } });
const since = performance.now.bind(performance);
performance.now = () => 1000 * since();
"""
# The server has no time to say where the first images stand.
BUSY = """
const ask = window.fetch.bind(window);
window.fetch = (address, options) => {
  if (window.wasBusy || !String(address).endsWith("/drawing/stand")) return ask(address, options);
  window.wasBusy = true;
  return Promise.resolve(new Response("{}", { status: 503 }));
};
"""
# What draws in the page fails once, as where a GPU is lost.
LOSE = """() => {
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...more) {
    if (window.wasLost || message.ask !== "synthesise") return post.call(this, message, ...more);
    window.wasLost = true;
    return this.dispatchEvent(new MessageEvent("message", { data: { id: message.id, error: "The device is lost." } }));
  };
}"""
# What hangs on the picture has come.
AT_REST = """() => {
  const anatomy = document.querySelector(".rg-blocks").dataset.painted;
  return anatomy && JSON.parse(new URLSearchParams(anatomy).get("anatomy")).recipe.seeds === /seeds=(\\d+)/.exec(location.search)[1];
}"""
PINNED = json.loads((Path(runtime.__file__).parent / "package.json").read_text())["dependencies"][runtime.PACKAGE]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> Iterator[None]:
    """The server finds what draws on its own disk: no test needs the internet."""
    with runtime_at_hand():
        runtime.find_package(PINNED)
    yield


@pytest.fixture(params=["page", "server"])
def place(request: pytest.FixtureRequest) -> str:
    """Who draws while a dial is held."""
    return request.param


@pytest.fixture
def page(visit: Visit, place: str) -> Page:
    own = pack_vector(np.random.default_rng(0).normal(0, 0.1, library.card(NAME).arch.w_dim).tolist())
    recipe = Recipe(checkpoint=NAME, seeds=tuple(range(6)), columns=3, truncation=0.9, directions=(("mine", 1.0),), own_directions=(("mine", own),))
    page = visit("?" + recipe.to_query(), here=place == "page")
    ready(page, place)
    return page


def ready(page: Page, place: str) -> None:
    """Wait until the next turn of a dial is drawn there."""
    expect(switch(page)).to_have_attribute("aria-checked", str(place == "page").lower(), timeout=WRITING)
    expect(switch(page)).to_have_attribute("aria-busy", "false", timeout=WRITING)


def switch(page: Page) -> Locator:
    return page.get_by_role("switch", name="Draw on this device")


def held(page: Page, dial: Locator, share: float, place: str) -> np.ndarray:
    """What is on screen once it has been drawn what a dial is held at, ``share`` of its length."""
    dial.scroll_into_view_if_needed()
    box = dial.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    before = colours(pixels(page))
    page.mouse.down()
    followed(page, before, place)
    return colours(pixels(page))


def followed(page: Page, before: np.ndarray, place: str) -> None:
    """Wait until something far from ``before`` is on screen, all of it where the page draws it in parts."""
    until(lambda: bool(abs(colours(pixels(page)) - before).max() > 30), seconds=30)
    if place == "page":
        expect(page.locator("#grid .rg-status")).to_contain_text("on your processor")


def test_a_grid_follows_a_held_dial_beside_the_queue(page: Page, place: str) -> None:
    drawing, asked = functions(page, "grid", "submit"), list[int]()
    assert len(drawing) == 1
    page.on("request", lambda request: asked.append(json.loads(request.post_data or "{}")["fn_index"]) if "/queue/join" in request.url else None)
    for dial in ("#truncation", "#direction-1", "#own-1", "#block-2"):
        before, link = shown(page), href(page)
        asked.clear()
        drawn = held(page, page.locator(f"{dial} input[type=range]"), 0.8, place)
        assert drawing[0] not in asked, dial
        assert shown(page) == before and href(page) == link, dial
        expect(page.locator("#grid .rg-status")).to_have_attribute("aria-live", "off")  # nobody is told of each picture under the hand
        with page.expect_response("**/drawing/stand") if place == "page" else nullcontext():
            let_go = colours(redrawn(page, page.mouse.up))
        assert drawing[0] in asked, dial
        expect(page.locator("#grid .rg-status")).to_have_attribute("aria-live", "polite")
        assert abs(drawn - let_go).max() <= NEAR[place], dial
        ready(page, place)
    page.locator("#own-1 input[type=range]").dblclick(position={"x": 20, "y": 5})
    painted(page, "^(?!.*&directions=[^&]*mine)")


def test_what_is_pinned_and_copied_while_a_dial_is_held_is_what_the_dial_is_left_at(page: Page, place: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#grid .rg-tiles button").nth(1).click()
    held(page, page.locator("#truncation input[type=range]"), 0.3, place)
    page.keyboard.press("p")
    page.evaluate("document.querySelector('#copy-link').click()")
    expect(page.locator("#tray .rg-pin")).to_have_count(0)
    redrawn(page, page.mouse.up)
    expect(page.locator("#copy-link")).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()") == href(page)
    expect(page.locator("#tray .rg-pin")).to_have_count(1)
    [pinned] = page.evaluate("JSON.parse(localStorage['resgen-pins'])")
    left, kept = read_query(shown(page)), read_query(pinned["query"])
    assert isinstance(left, Recipe) and isinstance(kept, Recipe) and kept.seeds == (1,) and kept.truncation == left.truncation < 0.9


def test_a_dial_that_is_back_where_it_was_keeps_nothing_waiting(page: Page, place: str) -> None:
    page.locator("#grid .rg-tiles button").nth(1).click()
    dial = page.locator("#truncation input[type=range]")
    held(page, dial, 0.3, place)
    with page.expect_response("**/drawing/stand") if place == "page" else nullcontext():
        before = redrawn(page, page.mouse.up)
    ready(page, place)
    box = dial.bounding_box()
    assert box
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 5)
    followed(page, colours(before), place)
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 5)
    page.mouse.up()
    page.keyboard.press("p")
    expect(page.locator("#tray .rg-pin")).to_have_count(1, timeout=4000)  # sooner than what waits for a picture that does not come
    assert (colours(pixels(page)) == colours(before)).all(), "the studio's picture is on screen again"


def test_a_grid_follows_the_window_of_the_seed_plane_while_it_is_dragged(page: Page, place: str) -> None:
    tiles = page.locator("#grid .rg-tiles")
    for _ in range(2):  # from seeds to the plane, and on it
        before, link = colours(pixels(page)), shown(page)
        box = tiles.bounding_box()
        assert box
        page.mouse.move(box["x"] + 200, box["y"] + 150)
        page.mouse.down()
        page.mouse.move(box["x"] + 150, box["y"] + 120)
        followed(page, before, place)
        page.wait_for_function("document.querySelector('#grid .rg-canvas').style.transform === ''")  # what is painted is what is wanted
        drawn = colours(pixels(page))
        assert shown(page) == link
        with page.expect_response("**/drawing/stand") if place == "page" else nullcontext():
            let_go = colours(redrawn(page, page.mouse.up))
        assert abs(drawn - let_go).max() <= NEAR[place]
        ready(page, place)


def test_where_storage_is_forbidden_and_a_generator_fails_once_the_page_still_draws_and_goes_back(visit: Visit, app: App) -> None:
    page = visit("about:blank", wait=False)
    page.add_init_script(FORBIDDEN)
    page.route("**/drawing/generators/*", lambda route: route.fulfill(json={}), times=1)
    page.goto(f"{app.url}/?{Recipe(checkpoint=NAME, seeds=tuple(range(6)), columns=3).to_query()}")
    start = pixels(page)
    settled(page, 0)
    switch(page).click()
    expect(switch(page)).to_have_attribute("title", re.compile("^This device could not"))  # of these images
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    redrawn(page, lambda: page.click("#next"))
    settled(page, 1)
    ready(page, "page")
    assert redrawn(page, lambda: page.click("#undo")) == start
    settled(page, 0)


def test_nothing_is_fetched_before_a_dial_was_turned(visit: Visit, app: App) -> None:
    """However slow the server and fast the GPU."""
    page = visit("about:blank", wait=False)
    page.add_init_script(UNDECIDED)
    asked = list[str]()
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto(f"{app.url}/?{Recipe(checkpoint=NAME, seeds=tuple(range(6)), columns=3).to_query()}")
    shown(page)
    ready(page, "server")
    page.wait_for_function("document.querySelector('.rg-blocks').dataset.painted", timeout=PATIENCE)  # all that hangs on the picture has come
    assert not [path for path in asked if path.startswith("/drawing/generators")]
    with page.expect_request("**/drawing/generators/*"):
        redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))


def test_what_is_being_fetched_can_be_stopped(visit: Visit, app: App) -> None:
    page = visit(f"?{Recipe(checkpoint=NAME, seeds=tuple(range(6)), columns=3).to_query()}")
    ready(page, "server")
    routed(page, "**/drawing/graphs/**", lambda route: None)  # it never comes
    with page.expect_request("**/drawing/graphs/**", timeout=WRITING):
        switch(page).click()
    expect(switch(page)).to_have_attribute("data-news", re.compile("fetching"))
    switch(page).click()
    until(lambda: bool(page.evaluate("true") and not page.workers), 20)  # who fetches is gone
    ready(page, "server")
    expect(switch(page)).to_have_attribute("data-news", "")
    assert page.evaluate("localStorage.getItem('resgen-draw-here')") == "no"
    page.unroute("**/drawing/graphs/**")
    switch(page).click()
    ready(page, "page")


def test_what_has_failed_twice_is_tried_again_only_when_asked_for(visit: Visit, app: App) -> None:
    """Neither a busy server nor what becomes of images that are gone is a failure of the device."""
    page = visit("about:blank", wait=False, here=True)
    page.add_init_script(BUSY)
    asked, held, is_slow = list[str](), list[Route](), True
    page.on("request", lambda request: asked.append(request.url) if "/drawing/generators/" in request.url else None)
    page.route("**/drawing/generators/*", lambda route: held.append(route) if is_slow else route.fulfill(json={}), times=2)
    page.goto(f"{app.url}/?{Recipe(checkpoint=NAME, seeds=tuple(range(6)), columns=3).to_query()}")
    shown(page)
    page.wait_for_function("window.wasBusy", timeout=PATIENCE)
    for _ in range(2):
        with page.expect_response("**/drawing/stand"):
            redrawn(page, lambda: page.click("#next"))
    until(lambda: bool(page.evaluate("true") and held), 20)
    is_slow = False
    held[0].fulfill(json={})
    for tries in (1, 2, 2):
        page.wait_for_function(AT_REST, timeout=PATIENCE)
        until(lambda tries=tries: page.evaluate("true") and len(asked) >= tries, 20)
        ready(page, "server")
        expect(switch(page)).to_have_attribute("title", re.compile("^This device could not"))
        assert len(asked) == tries
        redrawn(page, lambda: page.click("#next"))
    switch(page).click()
    ready(page, "page")


@pytest.mark.parametrize("place", ["server"], indirect=True)
def test_a_picture_asked_for_before_does_not_undo_what_the_hand_turns_now(page: Page, place: str) -> None:
    held(page, page.locator("#truncation input[type=range]"), 0.3, place)
    waiting, is_slow = list[Route](), True
    routed(page, "**/gradio_api/queue/join*", lambda route: waiting.append(route) if is_slow else route.continue_())
    page.mouse.up()
    until(lambda: bool(page.evaluate("true") and waiting), 20)
    held(page, page.locator("#direction-1 input[type=range]"), 0.9, place)
    routed(page, "**/drawing/picture", lambda route: None, times=1)  # it never comes, and keeps no other waiting
    with page.expect_request("**/drawing/picture"):
        page.mouse.move(0, 0)
    before, is_slow = shown(page), False
    with page.expect_request(lambda request: "/drawing/picture" in request.url and json.loads(request.post_data or "{}")["query"] != before) as again:
        for route in waiting:
            route.continue_()
    page.unroute("**/gradio_api/queue/join*")
    told = json.loads(again.value.post_data or "{}")
    assert list(told["turned"]) == ["directions"] and "truncation=" in told["query"], "the picture that came, and what is held"
    redrawn(page, page.mouse.up)
    painted(page, "truncation=.*&directions=|directions=.*&truncation=")


@pytest.mark.parametrize("place", ["page"], indirect=True)
def test_who_does_not_want_it_has_the_server_draw(page: Page) -> None:
    switch(page).click()
    expect(switch(page)).to_have_attribute("aria-checked", "false")
    redrawn(page, lambda: (number(page, "truncation").fill("0.5"), number(page, "truncation").press("Enter")))
    expect(page.locator("#grid .rg-status")).to_contain_text("on CPU")


def test_a_film_is_drawn_whole_by_the_page(visit: Visit) -> None:
    """The server draws few frames a second of a long film, the page all of them; the same ones at its stops."""
    stops = tuple(Recipe(checkpoint=NAME, seeds=(seed,), residual_gains=(1.0, 1.0, 1.0, gain)) for seed, gain in ((3, 1.0), (5, 0.3), (9, 1.0)))
    walk = Walk(stops=stops, seconds=4, fps=40)
    page = visit("?" + walk.to_query(), wait=False)
    status, slider = page.locator("#walk-player .rg-status"), page.locator("#walk-player input[type=range]")
    expect(status).to_contain_text("on CPU")
    assert slider.get_attribute("max") == "71"
    at_stops = [stopped(page, place) for place in range(3)]
    page.evaluate("localStorage.setItem('resgen-draw-here', 'yes')")
    redrawn(page, lambda: page.get_by_label("Slower at each stop").check(), "#walk-player")
    expect(status).to_contain_text("160 frames in", timeout=WRITING)
    assert slider.get_attribute("max") == "159"
    for place, before in enumerate(at_stops):
        assert abs(stopped(page, place) - before).max() <= NEAR["page"], place
    page.evaluate(LOSE)
    redrawn(page, lambda: page.get_by_label("Even").check(), "#walk-player")
    page.wait_for_function("window.wasLost")
    with page.expect_request("**/drawing/generators/*"):
        redrawn(page, lambda: page.get_by_label("Slower at each stop").check(), "#walk-player")


def stopped(page: Page, stop: int) -> np.ndarray:
    """The film at one of its stops."""
    page.locator("#stops .rg-pin-open").nth(stop).click()
    return colours(pixels(page, "#walk-player"))
