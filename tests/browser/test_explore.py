"""The Explore screen, driven as a person would, judged by the pixels on the page."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from resgen.carry import read_recipe
from resgen.recipe import Recipe, pack_vector
from tests.browser.conftest import (
    Visit,
    at_both_widths,
    choose,
    enter,
    library,
    linked,
    number,
    open_tab,
    painted,
    pin,
    pixels,
    redrawn,
    settled,
    settled_beyond,
    shown,
    text,
    toast,
    unfold,
)  # fmt: skip

# The images of a grid in the page, each drawn back to its own size: r, g, b, 255, ... of all of them as base64.
IMAGES = """([where, resolution]) => {
  const from = document.querySelector(`${where} canvas[data-painted]`);
  const [columns, rows] = ["Columns", "Rows"].map(
    (side) => getComputedStyle(document.querySelector(`${where} .rg-tiles`))[`gridTemplate${side}`].split(" ").length);
  const [step, down] = [from.width / columns, from.height / rows];
  const small = Object.assign(document.createElement("canvas"), { width: resolution, height: resolution });
  const context = small.getContext("2d");
  context.imageSmoothingEnabled = false;
  const size = resolution * resolution * 4;
  const bytes = new Uint8Array(columns * rows * size);
  for (let index = 0; index < columns * rows; index++) {
    context.drawImage(from, (index % columns) * step, Math.floor(index / columns) * down, step - 2, down - 2, 0, 0, resolution, resolution);
    bytes.set(context.getImageData(0, 0, resolution, resolution).data, index * size);
  }
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}"""


def images(page: Page, resolution: int = 64, where: str = "#grid") -> np.ndarray:
    """The images on the page, [N, H, W, 3]."""
    data = base64.b64decode(page.evaluate(IMAGES, [where, resolution]))
    return np.frombuffer(data, np.uint8).reshape(-1, resolution, resolution, 4)[..., :3]


@at_both_widths
def test_a_grid_is_there_at_once_and_fits(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    assert tiles.count() >= 12
    expect(page.locator("#grid .rg-status")).to_contain_text("ms on")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"
    seen = np.asarray(Image.open(io.BytesIO(page.locator("#grid .rg-stage").screenshot())).convert("L"), float)
    assert seen.std() > 20, "the grid is blank"


def test_the_grid_shows_what_the_generator_draws(page: Page) -> None:
    recipe = linked(page)
    assert isinstance(recipe, Recipe)
    drawn = library.sampler(recipe.checkpoint).render(recipe)
    assert recipe.scale == 2, "twice as large, so that each pixel of an image can be found again"
    off = np.abs(images(page)[:, None].astype(int) - drawn[None]).mean(axis=(2, 3, 4))
    assert off.argmin(axis=1).tolist() == list(range(24)), "each image is in its place"
    assert off.diagonal().max() < 8, "and as it was drawn, but for the smoothing"


@at_both_widths
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


@at_both_widths
def test_another_checkpoint_draws_another_grid(page: Page) -> None:
    before = pixels(page)
    after = redrawn(page, lambda: choose(page, "checkpoint", "fashion-mnist"))
    assert after != before and "checkpoint=fashion-mnist" in page.url
    expect(page.locator("#card")).to_contain_text("Fashion-MNIST")


def test_bad_seeds_are_one_message_and_the_grid_stays(page: Page) -> None:
    before, box = pixels(page), text(page, "seeds")
    for seeds in ("3-", "abc", "0-99999999"):
        enter(box, seeds)
        toast(page, "Seeds")
        assert pixels(page) == before
    redrawn(page, lambda: enter(box, "40-43"))
    assert page.locator("#grid .rg-tiles button").count() == 4


def test_seeds_that_cannot_be_read_stop_no_other_control(page: Page) -> None:
    text(page, "seeds").fill("3-")
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and recipe.seeds == tuple(range(24)) and recipe.truncation == 0.5
    redrawn(page, lambda: page.click("#random"))
    redrawn(page, lambda: page.get_by_label("Seed plane").first.check())


def test_a_damaged_checkpoint_is_one_message_and_the_app_goes_on(page: Page) -> None:
    before = pixels(page)
    choose(page, "checkpoint", "damaged")
    toast(page, "damaged or not a checkpoint")
    assert pixels(page) == before
    redrawn(page, lambda: choose(page, "checkpoint", "fashion-mnist"))


@at_both_widths
def test_a_link_restores_the_state_for_someone_else(page: Page, visit: Visit) -> None:
    redrawn(page, lambda: choose(page, "checkpoint", "fashion-mnist"))
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    redrawn(page, lambda: enter(number(page, "truncation"), "0.6"))
    other = visit(page.url, "desktop" if (page.viewport_size or {})["width"] > 500 else "phone")
    assert pixels(other) == pixels(page)
    expect(other.get_by_label("Classes as rows")).to_be_checked()
    expect(number(other, "truncation")).to_have_value("0.6")


def test_seeds_classes_blocks_and_reset(page: Page) -> None:
    start = pixels(page)
    assert redrawn(page, lambda: page.click("#next")) != start
    assert redrawn(page, lambda: page.click("#random")) != start
    redrawn(page, lambda: page.get_by_label("A mix").check())
    unfold(page, "Residual blocks")
    mixed = pixels(page)
    assert redrawn(page, lambda: enter(number(page, "block-2"), "0")) != mixed
    assert redrawn(page, lambda: page.click("#reset")) == start


def test_what_is_on_screen_is_what_the_controls_say_in_whatever_order_pictures_come(page: Page) -> None:
    turn = """([amount, buttons]) => {
      for (const button of buttons[0]) document.querySelector(button).click();
      const slider = document.querySelector('#direction-1 input[type=range]');
      slider.value = amount;
      slider.dispatchEvent(new Event('input', { bubbles: true }));
      for (const button of buttons[1]) document.querySelector(button).click();
    }"""
    settled(page, 0)
    start = pixels(page)
    page.evaluate(turn, ["3", [["#next"], []]])
    painted(page, r"seeds=24-47.*directions=\w+%3D3")
    settled_beyond(page, 1)  # nothing came after it for a while
    page.evaluate(turn, ["-3", [[], ["#reset"]]])
    painted(page, r"^(?!.*directions)")
    settled_beyond(page, 2)
    assert pixels(page) == start


def test_a_slider_moved_right_after_a_click_on_an_image_stays(page: Page) -> None:
    settled(page, 0)
    page.evaluate(
        """() => {
          document.querySelector('#grid .rg-tiles button').click();
          const slider = document.querySelector('#direction-1 input[type=range]');
          setTimeout(() => { slider.value = 3; slider.dispatchEvent(new Event('input', { bubbles: true })); }, 60);
        }"""
    )
    painted(page, r"directions=\w+%3D3")
    settled(page, 1)
    painted(page, r"directions=\w+%3D3")
    expect(number(page, "direction-1")).to_have_value("3")


@at_both_widths
def test_a_tile_is_seen_large_by_mouse_and_keyboard_and_varied(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    tiles.nth(1).click()
    expect(page.locator("#grid .rg-close-up")).to_be_visible()
    expect(tiles.nth(1)).to_have_attribute("aria-pressed", "true")
    first = page.eval_on_selector("#grid .rg-close-up canvas", "canvas => canvas.toDataURL()")
    tiles.nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(2)).to_have_attribute("aria-pressed", "true")
    assert page.eval_on_selector("#grid .rg-close-up canvas", "canvas => canvas.toDataURL()") != first
    before, count = pixels(page), tiles.count()
    varied = redrawn(page, lambda: page.get_by_role("button", name="Make variations").click())
    assert varied != before and "variation_of=2" in page.url
    redrawn(page, lambda: page.get_by_role("button", name="Back to all seeds").click())
    expect(tiles).to_have_count(count)
    assert pixels(page) == before


@at_both_widths
def test_row_labels_stand_beside_their_rows(page: Page) -> None:
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    picture, labels = page.locator("#grid .rg-canvas").bounding_box(), page.locator("#grid .rg-rows span")
    assert picture and labels.count() == 10
    for row in (0, 9):
        label = labels.nth(row).bounding_box()
        assert label and abs(label["y"] + label["height"] / 2 - picture["y"] - (row + 0.5) * picture["height"] / 10) < picture["height"] / 20


def test_downloads_carry_their_recipe(page: Page, tmp_path: Path) -> None:
    redrawn(page, lambda: enter(number(page, "direction-1"), "3"))
    with page.expect_download() as download:
        page.click("#download-png")
    path = tmp_path / "grid.png"
    download.value.save_as(path)
    recipe, _ = read_recipe(path)
    assert isinstance(recipe, Recipe) and recipe == linked(page)
    picture, first = Image.open(path).convert("RGB"), library.sampler(recipe.checkpoint).render(recipe.alone(0))[0]
    corner = picture.crop((0, 0, 64 * recipe.scale, 64 * recipe.scale)).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(corner, int) - first).mean() < 2
    with page.expect_download() as download:
        page.click("#download-zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == len(recipe.seeds) + 1
        assert json.loads(archive.read("recipe.json"))["checkpoint"] == recipe.checkpoint
    page.locator("#grid .rg-tiles button").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save image").click()
    assert download.value.suggested_filename.endswith("-seed0.png")


def test_the_keys_work_wherever_the_page_is_not_typed_in(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    slider = page.locator("#truncation input[type=range]")
    tiles.nth(2).click()
    redrawn(page, lambda: slider.press("ArrowLeft"))
    slider.press("p")
    expect(page.locator("#tray .rg-pin")).to_have_count(1)
    redrawn(page, lambda: slider.press("r"))
    assert "seeds=0-23" not in page.url
    text(page, "seeds").press("p")
    assert text(page, "seeds").input_value().endswith("p"), "what is typed into a text is no command"
    expect(page.locator("#tray .rg-pin")).to_have_count(1)


def test_escape_closes_the_close_up_from_any_of_its_buttons(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    tiles.nth(3).click()
    page.locator("#grid .rg-close-up").get_by_role("button", name="More", exact=True).focus()
    page.keyboard.press("Escape")
    expect(page.locator("#grid .rg-close-up")).to_be_hidden()
    expect(tiles.nth(3)).to_be_focused()


@at_both_widths
def test_the_seed_plane_moves_under_the_pointer(page: Page) -> None:
    before = redrawn(page, lambda: page.get_by_label("Seed plane").first.check())
    assert page.locator("#grid .rg-tiles button").count() == 36
    pad = page.locator(".rg-pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    during = redrawn(page, lambda: page.mouse.move(box["x"] + 40, box["y"] + 70, steps=3))
    page.mouse.up()
    assert during != before
    painted(page, "plane=1%2C0.5%2C")
    pad.focus()
    page.keyboard.press("ArrowRight")
    painted(page, "plane=1.1%2C0.5%2C")
    redrawn(page, lambda: page.get_by_label("Seeds", exact=True).first.check())


def test_a_strip_shows_each_image_along_a_direction(page: Page) -> None:
    page.click("#sweep input")
    page.get_by_role("option").nth(1).click()
    painted(page, r"seeds=0-5&sweep=\w+&columns=7")
    assert page.locator("#grid .rg-tiles button").count() == 42
    expect(page.locator("#grid .rg-columns span").last).to_have_text("+3")


def test_what_was_chosen_is_drawn_at_last_though_other_pictures_are_under_way(page: Page) -> None:
    """The mouse is let go over a slider that lies below the list of options, which draws as well."""
    start = shown(page)
    for _ in range(4):
        choose(page, "sweep", "pc1")
        painted(page, r"seeds=0-5&sweep=pc1&columns=7")
        choose(page, "sweep", "none")
        painted(page, f"^{re.escape(start)}$")


def test_one_image_is_edited_alone_until_others_are_drawn(page: Page) -> None:
    page.locator("#grid .rg-tiles button").nth(1).click()
    page.get_by_role("radio", name="The chosen image").check()
    before, slider = images(page), number(page, "direction-1")
    redrawn(page, lambda: enter(slider, "4"))
    moved = (images(page) != before).any(axis=(1, 2, 3))
    assert moved.nonzero()[0].tolist() == [1] and "edits=1%3A" in page.url
    page.get_by_label("All images").check()
    expect(slider).to_have_value("0")
    redrawn(page, lambda: enter(slider, "2"))
    assert "edits=1%3A" in page.url and "directions=" in page.url
    redrawn(page, lambda: page.click("#random"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and not recipe.edits and recipe.directions, "other images have not been edited"


def test_only_the_chosen_image_can_be_moved_once_one_is_chosen(page: Page) -> None:
    page.get_by_role("radio", name="The chosen image").click()
    toast(page, "Choose an image first")
    expect(page.get_by_label("All images")).to_be_checked()
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    assert "directions=" in page.url and "edits=" not in page.url


def test_a_strip_of_an_edited_image_is_edited_in_its_row(page: Page) -> None:
    choose(page, "sweep", "pc1")
    painted(page, r"seeds=0-5&sweep=pc1&columns=7")
    page.locator("#grid .rg-tiles button").nth(10).click()  # in the second row of seven
    page.get_by_role("radio", name="The chosen image").check()
    before = images(page)
    redrawn(page, lambda: enter(number(page, "direction-2"), "4"))
    moved = (images(page) != before).any(axis=(1, 2, 3))
    assert moved.nonzero()[0].tolist() == list(range(7, 14)) and "edits=1%3A" in page.url


def test_the_inside_of_the_network_is_shown_for_the_chosen_image_and_follows_it(page: Page) -> None:
    unfold(page, "Inside the network")
    address, blocks = page.url, len(library.card("fruits").block_names)
    page.locator("#grid .rg-tiles button").nth(2).click()
    first = shown(page, "#anatomy")
    assert page.locator("#anatomy .rg-tiles button").count() == 3 * blocks
    redrawn(page, lambda: page.locator("#grid .rg-tiles button").nth(3).click(), "#anatomy")
    assert page.url == address, "the address is that of the grid"
    unfold(page, "Residual blocks")
    before = pixels(page, "#anatomy")
    assert redrawn(page, lambda: enter(number(page, "block-2"), "0"), "#anatomy") != before
    assert "residual_gains" in shown(page, "#anatomy")
    redrawn(page, lambda: page.click("#next"), "#anatomy")
    painted(page, "seeds=24-47")
    assert "%2227%22" in shown(page, "#anatomy"), "the same place, another image"
    assert first != shown(page, "#anatomy")


def test_marked_images_make_a_direction_that_the_link_keeps(page: Page, visit: Visit) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    for place, mark in ((0, "More"), (1, "More"), (3, "Less")):
        tiles.nth(place).click()
        page.locator("#grid").get_by_role("button", name=mark, exact=True).click()
    redrawn(page, lambda: enter(number(page, "truncation"), "0.8"))
    expect(tiles.nth(0)).to_have_attribute("data-mark", "more")  # marks stay on their images when a slider moves
    unfold(page, "Your own directions")
    expect(page.locator("#marks")).to_contain_text("2 marked more, 1 less")
    text(page, "own-name").fill("fluffy")
    redrawn(page, lambda: page.click("#make-own"))
    expect(page.locator("#own-1")).to_contain_text("fluffy")
    moved = redrawn(page, lambda: enter(number(page, "own-1"), "3"))
    assert pixels(visit(page.url)) == moved
    redrawn(page, lambda: page.click("#remove-own"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and not recipe.own_directions and not recipe.directions
    expect(page.locator("#own-1")).to_be_hidden()


def test_marks_are_cleared_by_hand_and_by_another_generator(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    unfold(page, "Your own directions")

    def mark() -> None:
        for place, name in ((4, "More"), (5, "Less")):
            tiles.nth(place).click()
            page.locator("#grid").get_by_role("button", name=name, exact=True).click()
        expect(page.locator("#marks")).to_contain_text("1 marked more, 1 less")

    mark()
    page.click("#clear-marks")
    expect(page.locator("#marks")).to_contain_text("Nothing is marked yet")
    expect(tiles.nth(4)).to_have_attribute("data-mark", "")
    mark()
    redrawn(page, lambda: choose(page, "checkpoint", "cifar10"))
    expect(page.locator("#marks")).to_contain_text("Nothing is marked yet")
    mark()
    text(page, "own-name").fill("shiny")
    redrawn(page, lambda: page.click("#make-own"))
    expect(page.locator("#own-1")).to_contain_text("shiny")


def test_each_own_direction_has_a_slider(visit: Visit) -> None:
    offset = pack_vector([1.0] * library.card("fruits").arch.w_dim)
    recipe = Recipe(checkpoint="fruits", seeds=(1, 2), own_directions=tuple((f"mine {i}", offset) for i in range(5)))
    page = visit("?" + recipe.to_query())
    unfold(page, "Your own directions")
    expect(page.locator("#own-5")).to_contain_text("mine 4")


def test_curating_keeps_some_of_many(page: Page) -> None:
    unfold(page, "Curate")
    enter(number(page, "many"), "50")
    redrawn(page, lambda: page.click("#curate"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and len(recipe.seeds) == 24 and max(recipe.seeds) > 24
    expect(page.locator("#curating")).to_contain_text("The best 24 are shown")


@at_both_widths
def test_four_actions_from_opening_to_sharing(page: Page) -> None:
    """A newcomer's path: a picture they like, changed, shared."""
    redrawn(page, lambda: page.click("#random"))  # 1: until they like one
    page.locator("#grid .rg-tiles button").nth(4).click()  # 2: closer
    redrawn(page, lambda: enter(number(page, "direction-1"), "3"))  # 3: changed
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy-link")  # 4: shared
    expect(page.locator("#copy-link")).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_pins_are_kept_for_the_next_visit_and_removed(page: Page) -> None:
    pin(page, 1, 4)
    later = page.context.new_page()
    later.goto(page.url)
    expect(later.locator("#tray .rg-pin")).to_have_count(2)
    later.locator("#tray .rg-pin button").first.click()
    expect(later.locator("#tray .rg-pin")).to_have_count(1)
    open_tab(later, "Walk")
    later.click("#walk-use-pins")
    expect(later.locator("#stops .rg-pin")).to_have_count(1)
