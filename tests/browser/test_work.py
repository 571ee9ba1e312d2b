"""Long work: it tells how it goes, ends when it is cancelled or its page closes, and hurts nothing else when it fails."""

import time
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from resgen.composite import Walk
from resgen.recipe import Recipe
from tests.browser.conftest import (
    App,
    Visit,
    await_request,
    choose_generator,
    enter,
    functions,
    library,
    number,
    open_tab,
    redrawn,
    routed,
    set_steps,
    shown,
    toast,
    unfold,
    until,
)

LEFT = 1.0  # seconds of work that may still be done after Cancel, or after the page's end
WATCHED = 0.6  # seconds for which the app must be idle to count as at rest
watched = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="how much the app computes is read from /proc")


def comes_to_rest(app: App) -> float:
    """Wait until the app computes no more, and return how much it still did, in seconds of work."""
    began = mark = app.cpu_seconds()
    since = time.monotonic()

    def rests() -> bool:
        nonlocal mark, since
        if app.cpu_seconds() - mark > 0.1:
            mark, since = app.cpu_seconds(), time.monotonic()
        return time.monotonic() - since > WATCHED

    until(rests, 20)
    return mark - began


def walk(visit: Visit) -> Page:
    """A film that takes a minute at least."""
    stops = tuple(Recipe(checkpoint="fruits", seeds=(seed,), columns=1, scale=1) for seed in (1, 2, 3))
    page = visit("?" + Walk(stops=stops, seconds=60, fps=30, scale=4).to_query())
    shown(page, "#walk-player")
    expect(page.locator("#cancel-film")).to_be_disabled()
    return page


def film(visit: Visit) -> Page:
    """Begin a film that takes a minute at least."""
    page = walk(visit)
    page.click("#make-film")
    expect(page.locator("#film-progress")).to_contain_text("Drawing frames")
    return page


def inversion(visit: Visit, folder: Path) -> Page:
    """Begin an inversion that takes a minute at least."""
    Image.fromarray(library.sampler("fruits").render(Recipe(checkpoint="fruits", seeds=(77,)))[0]).save(folder / "photo.png")
    page = visit("?checkpoint=fruits")
    open_tab(page, "Invert")
    page.set_input_files("#invert-photo input[type=file]", folder / "photo.png")
    expect(page.locator("#invert-photo")).to_contain_text("photo")
    set_steps(page, 1000)
    page.click("#invert-find")
    expect(page.locator("#invert-result")).to_contain_text("Searching with fruits, steps")
    return page


COUNT = """(() => {
  const ask = window.requestAnimationFrame;
  window.asked = 0;
  window.requestAnimationFrame = (callback) => { window.asked++; return ask(callback); };
})()"""


def test_a_page_that_nobody_touches_rests(visit: Visit, app: App) -> None:
    """It asks to be called with no picture of the screen, but while a film plays: Gradio would go on counting seconds that nobody sees."""
    page = visit("about:blank", wait=False)
    page.add_init_script(COUNT)
    page.goto(app.url)
    shown(page)

    def rests() -> bool:
        return page.evaluate("(asked => new Promise(done => setTimeout(() => done(window.asked === asked), 500)))(window.asked)")

    until(rests, 20)
    open_tab(page, "Walk")
    shown(page, "#walk-player")
    assert not rests(), "the film stands still"
    page.locator("#walk-player .rg-play").click()
    until(rests, 20)
    page.locator("#walk-player .rg-play").click()
    open_tab(page, "Explore")
    until(rests, 20)
    open_tab(page, "Walk")
    until(lambda: not rests(), 20)


@watched
def test_cancel_ends_a_film(visit: Visit, app: App) -> None:
    page = film(visit)
    page.click("#cancel-film")
    assert comes_to_rest(app) < LEFT
    expect(page.locator("#film-progress")).to_contain_text("Cancelled")
    expect(page.locator("#cancel-film")).to_be_disabled()  # there is nothing to cancel
    expect(page.locator("#make-film")).to_be_focused()
    page.click("#make-film")  # its place is free
    expect(page.locator("#film-progress")).to_contain_text("Drawing frames")
    page.click("#cancel-film")
    expect(page.locator("#film-progress")).to_contain_text("Cancelled")


@watched
@pytest.mark.parametrize("late", [False, True], ids=["at once", "once the film is under way"])
def test_cancel_ends_a_film_of_which_the_server_has_not_heard_yet(visit: Visit, app: App, late: bool) -> None:
    page, told = walk(visit), "#film-progress"
    held, cancelling, is_slow = list[Route](), list[Route](), True
    routed(page, "**/queue/join*", lambda route: held.append(route) if is_slow else route.continue_())
    routed(page, "**/cancel*", lambda route: cancelling.append(route) if late else route.continue_())
    page.click("#make-film")
    await_request(page, held, functions(page, "make-film", "click"))
    page.click("#cancel-film")
    is_slow = False
    for route in held:
        route.continue_()
    if late:
        expect(page.locator(told)).to_contain_text("Drawing frames")
        until(lambda: bool(page.evaluate("true") and cancelling), 20)
    for route in cancelling:
        route.continue_()
    expect(page.locator(told)).to_contain_text("Cancelled")
    assert comes_to_rest(app) < LEFT
    expect(page.locator(told)).to_contain_text("Cancelled")


@watched
def test_cancel_ends_an_inversion(visit: Visit, app: App, tmp_path: Path) -> None:
    page = inversion(visit, tmp_path)
    page.click("#invert-cancel")
    assert comes_to_rest(app) < LEFT
    expect(page.locator("#invert-result")).to_contain_text("Cancelled")
    expect(page.locator("#invert-cancel")).to_be_disabled()


@watched
@pytest.mark.parametrize("work", ["film", "inversion"])
def test_a_page_that_is_closed_ends_its_work(visit: Visit, app: App, tmp_path: Path, work: str) -> None:
    page = film(visit) if work == "film" else inversion(visit, tmp_path)
    page.close()
    assert comes_to_rest(app) < LEFT


def test_curating_that_fails_is_one_message_and_covers_nothing(visit: Visit) -> None:
    page = visit("?checkpoint=fruits")  # whose classifier is there
    unfold(page, "Draw many")
    for box, value in ((page.get_by_label("number input for Keep"), "100"), (number(page, "many"), "50")):
        enter(box, value)
        expect(box).to_have_value(value)
    page.click("#curate")
    toast(page, "cannot be kept")
    expect(page.locator("#curating")).to_have_text("Not finished.")
    expect(page.locator("#cancel-curate")).to_be_disabled()
    expect(page.locator("#controls .group .error, #controls .group [data-testid=status-tracker].generating")).to_have_count(0)
    redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))


def test_curating_puts_no_spinner_on_the_controls(visit: Visit) -> None:
    page = visit("?checkpoint=fruits")  # whose classifier is there
    unfold(page, "Draw many")
    page.click("#curate")
    expect(page.locator("#curating")).to_contain_text("Drawing")
    expect(page.locator("#controls .group .eta-bar, #controls .group .progress-text, #controls .group .generating")).to_have_count(0)
    page.click("#cancel-curate")
    expect(page.locator("#curating")).to_contain_text("Cancelled")
    redrawn(page, lambda: choose_generator(page, "cifar10"))
