"""The page's history: Undo and Redo go through what was on screen, whichever screen it was."""

from pathlib import Path

from playwright.sync_api import Page, expect

from resgen.composite import StyleMix, Walk
from resgen.notes import sign
from tests.browser.conftest import (
    PATIENCE,
    choose_generator,
    enter,
    href,
    linked,
    number,
    open_tab,
    painted,
    pin,
    pixels,
    redrawn,
    settled,
    shown,
    text,
)


def test_undo_and_redo_go_through_what_was_shown(page: Page) -> None:
    start = pixels(page)
    settled(page, 0)
    expect(page.locator("#redo")).to_be_disabled()
    second = redrawn(page, lambda: page.click("#next"))
    settled(page, 1)
    third = redrawn(page, lambda: page.click("#next"))
    settled(page, 2)
    assert redrawn(page, lambda: page.click("#undo")) == second
    assert redrawn(page, lambda: page.click("#undo")) == start
    settled(page, 0)
    assert redrawn(page, lambda: page.click("#redo")) == second
    assert redrawn(page, lambda: page.click("#redo")) == third
    settled(page, 2)
    expect(page.locator("#redo")).to_be_disabled()
    expect(text(page, "seeds")).to_have_value("48-71")
    redrawn(page, lambda: page.click("#undo"))
    expect(page.locator("#redo")).to_be_enabled()
    redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))
    settled(page, 2)
    expect(page.locator("#redo")).to_be_disabled()  # what was undone is forgotten


def test_whoever_goes_back_at_once_finds_what_was_there_before(page: Page) -> None:
    start = pixels(page)
    settled(page, 0)
    redrawn(page, lambda: page.click("#next"))
    assert redrawn(page, page.go_back) == start
    settled(page, 0)
    page.go_forward()
    painted(page, "seeds=24-47")
    settled(page, 1)


def test_panels_of_gradio_keep_neither_the_address_nor_the_way_back(page: Page) -> None:
    settled(page, 0)
    redrawn(page, lambda: page.click("#next"))
    settled(page, 1)
    link = href(page)
    page.get_by_role("button", name="Settings").click()
    page.wait_for_function("history.state === null && location.search.includes('view=settings')")
    page.locator(".api-docs .backdrop").click(position={"x": 5, "y": 5})
    page.wait_for_function("history.state === null && !location.search.includes('view')")
    redrawn(page, lambda: page.click("#undo"))
    settled(page, 0)
    redrawn(page, lambda: page.click("#redo"))
    settled(page, 1)
    assert href(page) == link


def test_the_last_of_many_changes_in_a_row_is_shown(page: Page) -> None:
    """What comes while the studio is still answering is not lost: page and picture would say different things."""
    settled(page, 0)
    for step in (1, 2, 3):
        redrawn(page, lambda: page.click("#next"))
        settled(page, step)
    page.evaluate("() => { history.back(); setTimeout(() => history.back(), 30); }")
    expect(text(page, "seeds")).to_have_value("24-47", timeout=PATIENCE)
    page.wait_for_function("document.querySelector('#grid canvas').dataset.painted.includes('seeds=24-47')", timeout=PATIENCE)
    page.evaluate("() => ['fashion-mnist', 'fruits'].forEach((name) => document.querySelector(`#checkpoint [title='${name}']`).click())")
    page.wait_for_function("document.querySelector('#grid canvas').dataset.painted.includes('checkpoint=fruits')", timeout=PATIENCE)
    expect(page.locator("#checkpoint [title=fruits]")).to_have_attribute("aria-checked", "true")


def test_undo_and_redo_cross_from_one_screen_to_another(page: Page) -> None:
    settled(page, 0)
    pin(page, 0, 5)
    redrawn_walk = page.locator("#walk-player canvas[data-painted]")
    page.click("#film-pins")
    expect(redrawn_walk).to_be_visible()
    settled(page, 1)
    walk = linked(page)
    assert isinstance(walk, Walk) and len(walk.stops) == 2
    page.go_back()
    expect(page.locator("#grid")).to_be_visible()
    settled(page, 0)
    expect(page.locator("#redo")).to_be_enabled()
    redrawn(page, lambda: page.click("#next"))
    settled(page, 1)
    redrawn(page, lambda: page.click("#undo"))
    settled(page, 0)
    expect(text(page, "seeds")).to_have_value("0-23")
    open_tab(page, "Mix")
    shown(page, "#mix-grid")
    settled(page, 1)
    mix = linked(page)
    assert isinstance(mix, StyleMix)
    page.go_back()
    expect(page.locator("#grid")).to_be_visible()
    settled(page, 0)
    page.click("#redo")
    expect(page.locator("#mix-grid")).to_be_visible()
    settled(page, 1)
    assert linked(page) == mix


def test_a_film_opened_keeps_its_generator_on_all_screens(page: Page, tmp_path: Path) -> None:
    redrawn(page, lambda: choose_generator(page, "cifar10"))
    redrawn(page, lambda: page.click("#next"))
    film = Walk(stops=tuple(linked(page).changed(seeds=(seed,), columns=1, scale=1) for seed in (3, 4)), seconds=1)  # type: ignore[attr-defined]
    (tmp_path / "walk.json").write_text(sign(film, ""))
    with page.expect_file_chooser() as chooser:
        page.click("#open-file")
    chooser.value.set_files(tmp_path / "walk.json")
    shown(page, "#walk-player")
    redrawn(page, lambda: enter(text(page, "walk-seeds"), "3@ship,5@cat"), "#walk-player")  # a message would fail this test
    open_tab(page, "Explore")
    expect(text(page, "seeds")).to_have_value("24-47")  # what was there is there still
    assert "checkpoint=cifar10" in shown(page)
