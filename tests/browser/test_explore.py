"""The Explore screen, driven as a person would, judged by the pixels on the page."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from resgen import grid
from resgen.plates import draw
from resgen.recipe import Recipe
from resgen.sampler import load
from tests.browser.conftest import painted, pixels, redrawn


def test_a_grid_is_there_at_once_and_fits(page: Page) -> None:
    tiles = page.locator(".rg-tiles button")
    assert tiles.count() >= 12
    expect(page.locator(".rg-status")).to_contain_text("ms on")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    shown = np.asarray(Image.open(io.BytesIO(page.locator(".rg-stage").screenshot())).convert("L"), float)
    assert shown.std() > 20, "the grid is blank"


def test_dragging_a_direction_redraws_before_it_is_let_go(page: Page) -> None:
    before = pixels(page)
    slider = page.locator("#direction-1 input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    during = redrawn(page, lambda: page.mouse.move(box["x"] + box["width"] * 0.75, y, steps=4))
    page.mouse.move(box["x"] + box["width"] * 0.95, y, steps=4)
    page.mouse.up()
    painted(page, r"directions=\w+%3D4")
    assert len({before, during, pixels(page)}) == 3


def test_another_checkpoint_draws_another_grid(page: Page) -> None:
    before = pixels(page)
    page.click("#checkpoint input")
    after = redrawn(page, lambda: page.get_by_role("option", name="fashion-mnist").click())
    assert after != before and "checkpoint=fashion-mnist" in page.url
    expect(page.locator("#card")).to_contain_text("Fashion-MNIST")


def test_bad_seeds_are_one_message_and_the_grid_stays(page: Page) -> None:
    before = pixels(page)
    box = page.locator("#seeds textarea, #seeds input").first
    for text in ("3-", "abc", "0-99999999"):
        box.fill(text)
        box.press("Enter")
        toast = page.locator(".toast-body.error")
        expect(toast).to_have_count(1)
        expect(toast).to_contain_text("Seeds")
        page.locator(".toast-close").first.click()
        expect(toast).to_have_count(0)
        assert pixels(page) == before
    redrawn(page, lambda: (box.fill("40-43"), box.press("Enter")))
    assert page.locator(".rg-tiles button").count() == 4


def test_a_damaged_checkpoint_is_one_message_and_the_app_goes_on(page: Page) -> None:
    before = pixels(page)
    page.click("#checkpoint input")
    page.get_by_role("option", name="damaged").click()
    expect(page.locator(".toast-body.error")).to_contain_text("damaged or not a checkpoint")
    assert pixels(page) == before
    page.locator(".toast-close").first.click()
    page.click("#checkpoint input")
    redrawn(page, lambda: page.get_by_role("option", name="fashion-mnist").click())


def test_a_link_restores_the_state_for_someone_else(page: Page, browser: Browser) -> None:
    page.click("#checkpoint input")
    redrawn(page, lambda: page.get_by_role("option", name="fashion-mnist").click())
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    truncation = page.locator("#truncation input[type=number]")
    redrawn(page, lambda: (truncation.fill("0.6"), truncation.press("Enter")))
    context = browser.new_context(viewport=page.viewport_size)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_selector(".rg-canvas[data-painted]", timeout=60_000)
    assert pixels(other) == pixels(page)
    expect(other.get_by_label("Classes as rows")).to_be_checked()
    expect(other.locator("#truncation input[type=number]")).to_have_value("0.6")
    context.close()


def test_a_link_that_cannot_be_followed_still_shows_a_grid(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/?checkpoint=nobody&seeds=1-")
    page.wait_for_selector(".rg-canvas[data-painted]", timeout=60_000)
    expect(page.locator(".toast-body.warning")).to_contain_text("could not be followed")


def test_seeds_classes_blocks_and_reset(page: Page) -> None:
    start = pixels(page)
    assert redrawn(page, lambda: page.click("#next")) != start
    assert redrawn(page, lambda: page.click("#random")) != start
    redrawn(page, lambda: page.get_by_label("A mix").check())
    page.get_by_role("button", name="Residual blocks").click()
    gain = page.locator("#block-2 input[type=number]")
    mixed = pixels(page)
    assert redrawn(page, lambda: (gain.fill("0"), gain.press("Enter"))) != mixed
    assert redrawn(page, lambda: page.click("#reset")) == start


def test_what_is_on_screen_is_what_the_controls_say_in_whatever_order_pictures_come(page: Page) -> None:
    turn = """([amount, buttons]) => {
      for (const button of buttons[0]) document.querySelector(button).click();
      const slider = document.querySelector('#direction-1 input[type=range]');
      slider.value = amount;
      slider.dispatchEvent(new Event('input', { bubbles: true }));
      for (const button of buttons[1]) document.querySelector(button).click();
    }"""
    start = pixels(page)
    page.evaluate(turn, ["3", [["#next"], []]])
    page.wait_for_timeout(3000)
    painted(page, r"seeds=24-47.*directions=\w+%3D3")
    page.evaluate(turn, ["-3", [[], ["#reset"]]])
    painted(page, r"^(?!.*directions)")
    page.wait_for_timeout(2000)  # what comes later must not be shown
    assert pixels(page) == start


def test_a_slider_moved_right_after_a_click_on_an_image_stays(page: Page) -> None:
    page.evaluate(
        """() => {
          document.querySelector('#grid .rg-tiles button').click();
          const slider = document.querySelector('#direction-1 input[type=range]');
          setTimeout(() => { slider.value = 3; slider.dispatchEvent(new Event('input', { bubbles: true })); }, 60);
        }"""
    )
    page.wait_for_timeout(3000)
    painted(page, r"directions=\w+%3D3")
    expect(page.locator("#direction-1 input[type=number]")).to_have_value("3")


def test_a_tile_is_seen_large_by_mouse_and_keyboard_and_varied(page: Page) -> None:
    tiles = page.locator(".rg-tiles button")
    tiles.nth(1).click()
    close_up = page.locator(".rg-close-up")
    expect(close_up).to_be_visible()
    expect(tiles.nth(1)).to_have_attribute("aria-pressed", "true")
    first = page.eval_on_selector(".rg-close-up canvas", "canvas => canvas.toDataURL()")
    tiles.nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(2)).to_have_attribute("aria-pressed", "true")
    assert page.eval_on_selector(".rg-close-up canvas", "canvas => canvas.toDataURL()") != first
    grid_before, count = pixels(page), tiles.count()
    varied = redrawn(page, lambda: page.get_by_role("button", name="Make variations").click())
    assert varied != grid_before and "variation_of=2" in page.url
    redrawn(page, lambda: page.get_by_role("button", name="Back to all seeds").click())
    expect(tiles).to_have_count(count)


def test_row_labels_stand_beside_their_rows(page: Page) -> None:
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    picture, labels = page.locator("#grid .rg-canvas").bounding_box(), page.locator("#grid .rg-rows span")
    assert picture and labels.count() == 10
    for row in (0, 9):
        label = labels.nth(row).bounding_box()
        assert label and abs(label["y"] + label["height"] / 2 - picture["y"] - (row + 0.5) * picture["height"] / 10) < picture["height"] / 20


def test_downloads_carry_their_recipe(page: Page, tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.click("#download-png")
    path = tmp_path / "grid.png"
    download.value.save_as(path)
    recipe, _ = grid.read_recipe(path)
    assert isinstance(recipe, Recipe)
    again = grid.compose(draw(recipe, lambda name: load(name, "cpu")))
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(again))
    with page.expect_download() as download:
        page.click("#download-zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == len(recipe.seeds) + 1
        assert json.loads(archive.read("recipe.json"))["checkpoint"] == recipe.checkpoint
    page.locator(".rg-tiles button").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save image").click()
    assert download.value.suggested_filename.endswith("-seed0.png")
