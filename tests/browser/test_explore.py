"""The Explore screen, driven as a person would, judged by the pixels on the page."""

import base64
import io
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import quote_plus

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Route, expect

from resgen.notes import read_recipe
from resgen.recipe import Recipe, pack_vector
from tests.browser.conftest import (
    OPENING,
    Visit,
    at_both_widths,
    choose_generator,
    choose_image,
    enter,
    href,
    library,
    linked,
    number,
    open_tab,
    painted,
    pin,
    pixels,
    redrawn,
    repainted,
    routed,
    settled,
    settled_beyond,
    show_group,
    shown,
    strip,
    text,
    toast,
    unfold,
)  # fmt: skip
from tests.conftest import until

FIRST = OPENING.direction_names[0]  # the first dial
WRITTEN = re.escape(quote_plus(FIRST))  # in an address, as a pattern

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


def images(page: Page, resolution: int = OPENING.arch.resolution, where: str = "#grid") -> np.ndarray:
    """The images on the page, [N, H, W, 3]."""
    data = base64.b64decode(page.evaluate(IMAGES, [where, resolution]))
    return np.frombuffer(data, np.uint8).reshape(-1, resolution, resolution, 4)[..., :3]


def moved(page: Page, before: np.ndarray) -> list[int]:
    """The places of images that are not, to the bit, as they were."""
    return (images(page) != before).any(axis=(1, 2, 3)).nonzero()[0].tolist()


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
    off = np.abs(images(page)[:, None].astype(int) - drawn[None]).mean(axis=(2, 3, 4))
    assert off.argmin(axis=1).tolist() == list(range(24)), "each image is in its place"
    assert off.diagonal().max() < 12, "and as it was drawn, but for the smoothing"


def test_dragging_a_direction_redraws_before_it_is_let_go(page: Page) -> None:
    before = pixels(page)
    show_group(page, "Change")
    slider = page.locator("#direction-1 input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    during = repainted(page, lambda: page.mouse.move(box["x"] + box["width"] * 0.75, y, steps=4))
    page.mouse.move(box["x"] + box["width"] * 0.95, y, steps=4)
    page.mouse.up()
    painted(page, f"directions={WRITTEN}%3D4")
    assert len({before, during, pixels(page)}) == 3


def test_another_checkpoint_draws_another_grid(page: Page) -> None:
    before = pixels(page)
    after = redrawn(page, lambda: choose_generator(page, "fashion-mnist"))
    assert after != before and "checkpoint=fashion-mnist" in href(page)
    expect(page.locator("#card")).to_contain_text("Fashion-MNIST")


def test_bad_seeds_are_one_message_and_the_grid_stays(page: Page) -> None:
    before, box = pixels(page), text(page, "seeds")
    for seeds in ("3-", "abc", "0-99999999"):
        enter(box, seeds)
        toast(page, "Seeds")
        assert pixels(page) == before
    box.press("Tab")  # what was refused is not told again: another message would fail this test
    redrawn(page, lambda: enter(box, "40-43"))
    assert page.locator("#grid .rg-tiles button").count() == 4


def test_seeds_that_cannot_be_read_stop_no_other_control(page: Page) -> None:
    text(page, "seeds").fill("3-")
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    toast(page, "Seeds")
    redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and recipe.seeds == tuple(range(24)) and recipe.truncation == 0.5
    redrawn(page, lambda: page.click("#random"))


def test_a_damaged_checkpoint_is_one_message_and_the_app_goes_on(page: Page) -> None:
    before = pixels(page)
    choose_generator(page, "damaged")
    toast(page, "damaged or not whole")
    assert pixels(page) == before
    redrawn(page, lambda: enter(number(page, "truncation"), "0.5"))  # the generator that is shown is chosen again
    redrawn(page, lambda: choose_generator(page, "fashion-mnist"))


def test_a_link_restores_the_state_for_someone_else(page: Page, visit: Visit) -> None:
    redrawn(page, lambda: choose_generator(page, "fashion-mnist"))
    show_group(page, "Class")
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    show_group(page, "Change")
    redrawn(page, lambda: enter(number(page, "truncation"), "0.6"))
    other = visit(href(page), "desktop" if (page.viewport_size or {})["width"] > 500 else "phone")
    assert pixels(other) == pixels(page)
    expect(other.get_by_label("Classes as rows")).to_be_checked()
    expect(number(other, "truncation")).to_have_value("0.6")


def test_seeds_classes_blocks_and_reset(page: Page) -> None:
    start = pixels(page)
    assert redrawn(page, lambda: page.click("#next")) != start
    assert redrawn(page, lambda: page.click("#random")) != start
    redrawn(page, lambda: page.get_by_label("A mix").check())
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
    painted(page, f"seeds=24-47.*directions={WRITTEN}%3D3")
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
    painted(page, f"directions={WRITTEN}%3D3")
    settled(page, 1)
    painted(page, f"directions={WRITTEN}%3D3")
    expect(number(page, "direction-1")).to_have_value("3")


@at_both_widths
def test_a_tile_is_seen_large_by_mouse_and_keyboard_and_varied(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    tiles.nth(1).click()
    expect(page.locator("#grid .rg-close-up.rg-open")).to_be_visible()
    expect(tiles.nth(1)).to_have_attribute("aria-pressed", "true")
    first = page.eval_on_selector("#grid .rg-close-up canvas", "canvas => canvas.toDataURL()")
    tiles.nth(1).focus()
    page.keyboard.press("ArrowRight")
    expect(tiles.nth(2)).to_have_attribute("aria-pressed", "true")
    assert page.eval_on_selector("#grid .rg-close-up canvas", "canvas => canvas.toDataURL()") != first
    before, count = pixels(page), tiles.count()
    varied = redrawn(page, lambda: page.get_by_role("button", name="Make variations").click())
    assert varied != before and "variation_of=2" in href(page)
    redrawn(page, lambda: page.get_by_role("button", name="Back to all seeds").click())
    expect(tiles).to_have_count(count)
    assert pixels(page) == before


def test_row_labels_stand_beside_their_rows(page: Page) -> None:
    show_group(page, "Class")
    redrawn(page, lambda: page.get_by_label("Classes as rows").check())
    # All at one moment: labels are laid again with each picture.
    (picture,), labels = page.evaluate(
        """() => ["#grid .rg-canvas", "#grid .rg-rows span"].map((where) =>
             [...document.querySelectorAll(where)].map((one) => one.getBoundingClientRect().toJSON()))"""
    )
    rows = min(10, len(OPENING.classes))
    assert len(labels) == rows
    for row in (0, rows - 1):
        label = labels[row]
        assert abs(label["y"] + label["height"] / 2 - picture["y"] - (row + 0.5) * picture["height"] / rows) < picture["height"] / (2 * rows)


def test_downloads_carry_their_recipe(page: Page, tmp_path: Path) -> None:
    redrawn(page, lambda: enter(number(page, "direction-1"), "3"))
    with page.expect_download() as download:
        page.click("#download-png")
    path = tmp_path / "grid.png"
    download.value.save_as(path)
    recipe, _ = read_recipe(path)
    assert isinstance(recipe, Recipe) and recipe == linked(page)
    picture, first = Image.open(path).convert("RGB"), library.sampler(recipe.checkpoint).render(recipe.single(0))[0]
    side = len(first)
    corner = picture.crop((0, 0, side * recipe.scale, side * recipe.scale)).resize((side, side), Image.Resampling.BOX)
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


def test_what_is_asked_of_an_image_that_is_being_saved_is_done_too(page: Page) -> None:
    page.locator("#grid .rg-tiles button").first.click()
    settled(page, 0)
    held: list[Route] | None = []
    routed(page, "**/queue/join*", lambda route: route.continue_() if held is None else held.append(route))
    page.get_by_role("button", name="Save image").click()
    until(lambda: bool(page.evaluate("true") and held), 20)
    page.get_by_role("button", name="Make variations").click()
    ready, held = held, None
    with page.expect_download():
        for route in ready:
            route.continue_()
    painted(page, "variation_of=0")


def test_the_keys_work_wherever_the_page_is_not_typed_in(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    slider = page.locator("#truncation input[type=range]")
    tiles.nth(2).click()
    redrawn(page, lambda: slider.press("ArrowLeft"))
    slider.press("p")
    expect(page.locator("#tray .rg-pin")).to_have_count(1)
    redrawn(page, lambda: slider.press("r"))
    assert "seeds=0-23" not in href(page)
    text(page, "seeds").press("p")
    assert text(page, "seeds").input_value().endswith("p"), "what is typed into a text is no command"
    expect(page.locator("#tray .rg-pin")).to_have_count(1)


def test_escape_closes_the_close_up_from_any_of_its_buttons(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    tiles.nth(3).click()
    page.locator("#grid .rg-close-up").get_by_role("button", name="More", exact=True).focus()
    page.keyboard.press("Escape")
    expect(page.locator("#grid .rg-close-up.rg-open")).to_have_count(0)
    expect(tiles.nth(3)).to_be_focused()


@at_both_widths
def test_the_seed_plane_moves_under_the_pointer(page: Page) -> None:
    count = page.locator("#grid .rg-tiles button").count()
    pad = page.locator(".rg-pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 50)
    page.mouse.down()
    repainted(page, lambda: page.mouse.move(box["x"] + 40, box["y"] + 20, steps=3))
    page.mouse.up()
    painted(page, "plane=1%2C0.5%2C")
    assert page.locator("#grid .rg-tiles button").count() == count, "the window is as large as the grid of seeds was"
    pad.focus()
    page.keyboard.press("ArrowRight")
    painted(page, "plane=1.1%2C0.5%2C")
    redrawn(page, lambda: page.get_by_role("button", name="Back to seeds").click())
    assert "plane" not in href(page)


def test_a_strip_shows_each_image_along_a_direction_and_ends(page: Page) -> None:
    start = shown(page)
    strip(page, FIRST)
    painted(page, f"seeds=0-5&sweep={WRITTEN}&columns=7")
    assert page.locator("#grid .rg-tiles button").count() == 42
    expect(page.locator("#grid .rg-columns span").last).to_have_text("+3")
    tiles = page.locator("#grid .rg-tiles button")
    unfold(page, "Make a direction of your own")
    for place, mark in ((6, "More"), (0, "Less"), (10, "More")):  # both ends of the first row, and the second as it is
        tiles.nth(place).click()
        page.locator("#grid").get_by_role("button", name=mark, exact=True).click()
    expect(page.locator("#marks")).to_contain_text("2 marked more, 1 less")
    assert page.locator("#grid .rg-tiles [data-mark='']").count() == 39, "each step of a strip is marked alone"
    strip(page, FIRST)
    painted(page, f"^{re.escape(start)}$")
    assert [tiles.nth(place).get_attribute("data-mark") for place in (0, 1)] == ["", "more"]
    redrawn(page, lambda: enter(text(page, "seeds"), "5,9,12"))
    for step in (f"&sweep={WRITTEN}&columns=7", "&columns=6"):
        strip(page, FIRST)
        painted(page, f"seeds=5%2C9%2C12{step}")


def test_what_was_chosen_is_drawn_at_last_though_other_pictures_are_under_way(page: Page) -> None:
    start = shown(page)
    for _ in range(4):
        strip(page, FIRST)
        painted(page, f"seeds=0-5&sweep={WRITTEN}&columns=7")
        strip(page, FIRST)
        painted(page, f"^{re.escape(start)}$")


def test_one_image_is_edited_alone_until_others_are_drawn(page: Page) -> None:
    choose_image(page, 1)
    page.get_by_role("radio", name="The chosen image").check()
    before, slider = images(page), number(page, "direction-1")
    redrawn(page, lambda: enter(slider, "4"))
    assert moved(page, before) == [1] and "edits=1%3A" in href(page)
    page.get_by_label("All images").check()
    expect(slider).to_have_value("0")
    redrawn(page, lambda: enter(slider, "2"))
    assert "edits=1%3A" in href(page) and "directions=" in href(page)
    redrawn(page, lambda: page.click("#random"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and not recipe.edits and recipe.directions, "other images have not been edited"


def test_dials_go_over_to_another_image_before_the_studio_answers(page: Page) -> None:
    choose_image(page, 1)
    page.get_by_role("radio", name="The chosen image").check()
    slider = number(page, "direction-1")
    redrawn(page, lambda: enter(slider, "4"))
    held: list[Route] | None = []
    routed(page, "**/queue/join*", lambda route: route.continue_() if held is None else held.append(route))
    page.locator("#grid .rg-tiles button").nth(2).click()
    expect(slider).to_have_value("0")
    enter(slider, "-3")
    ready, held = held, None
    redrawn(page, lambda: [route.continue_() for route in ready])
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and not recipe.directions
    assert recipe.edits == ((1, ((FIRST, 4.0),)), (2, ((FIRST, -3.0),)))
    page.locator("#grid .rg-tiles button").nth(1).click()
    expect(slider).to_have_value("4")


def test_only_the_chosen_image_can_be_moved_once_one_is_chosen(page: Page) -> None:
    page.get_by_role("radio", name="The chosen image").click()
    expect(page.get_by_text("Choose an image first")).to_be_visible()
    expect(page.get_by_label("All images")).to_be_checked()
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    assert "directions=" in href(page) and "edits=" not in href(page)
    choose_image(page, 1)
    expect(page.get_by_text("Choose an image first")).to_be_hidden()


def test_a_strip_of_an_edited_image_is_edited_in_its_row(page: Page) -> None:
    redrawn(page, lambda: enter(number(page, "direction-2"), "1"))
    strip(page, FIRST)
    painted(page, f"seeds=0-5&directions=.*&sweep={WRITTEN}&columns=7")
    choose_image(page, 10)  # in the second row of seven
    page.get_by_role("radio", name="The chosen image").check()
    expect(number(page, "direction-2")).to_have_value("0")  # it stands for the chosen image now
    before = images(page)
    redrawn(page, lambda: enter(number(page, "direction-2"), "4"))
    assert moved(page, before) == list(range(7, 14)) and "edits=1%3A" in href(page)


def test_the_strip_of_blocks_follows_the_chosen_image_and_its_dials(page: Page) -> None:
    def strip_shows(words: str) -> str:
        page.wait_for_function("words => document.querySelector('.rg-blocks').dataset.painted?.includes(words)", arg=words)
        return page.eval_on_selector_all("#blocks canvas", "all => all.map((canvas) => canvas.toDataURL()).join()")

    address, blocks = href(page), len(OPENING.block_names)
    first = strip_shows("%220%22")
    expect(page.locator("#blocks .rg-look")).to_have_count(3 * blocks)
    page.locator("#grid .rg-tiles button").nth(2).click()
    second = strip_shows("%222%22")
    assert second != first and href(page) == address, "the address is that of the grid"
    redrawn(page, lambda: page.locator("#blocks .rg-switch").nth(1).click())
    assert strip_shows("residual_gains") != second
    assert "residual_gains=1%2C0%2C1%2C1%2C1" in href(page)
    expect(number(page, "block-2")).to_have_value("0")
    redrawn(page, lambda: page.locator("#blocks .rg-switch").nth(1).click())
    assert href(page) == address
    redrawn(page, lambda: page.click("#next"))
    strip_shows("%2226%22")  # the same place, another image


def test_marked_images_make_a_direction_that_the_link_keeps(page: Page, visit: Visit) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    unfold(page, "Make a direction of your own")
    for place, mark in ((0, "More"), (1, "More"), (3, "Less")):
        tiles.nth(place).click()
        page.locator("#grid").get_by_role("button", name=mark, exact=True).click()
    redrawn(page, lambda: enter(number(page, "truncation"), "0.8"))
    expect(tiles.nth(0)).to_have_attribute("data-mark", "more")  # marks stay on their images when a slider moves
    expect(page.locator("#marks")).to_contain_text("2 marked more, 1 less")
    text(page, "own-name").fill("fluffy")
    redrawn(page, lambda: page.click("#make-own"))
    expect(page.locator("#own-1")).to_contain_text("fluffy")
    moved = redrawn(page, lambda: enter(number(page, "own-1"), "3"))
    assert pixels(visit(href(page))) == moved
    redrawn(page, lambda: page.get_by_role("button", name="Delete the direction fluffy").click())
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and not recipe.own_directions and not recipe.directions
    expect(page.locator("#own-1")).to_have_count(0)


def test_marks_are_cleared_by_hand_and_by_another_generator(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    unfold(page, "Make a direction of your own")

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
    redrawn(page, lambda: choose_generator(page, "cifar10"))
    expect(page.locator("#marks")).to_contain_text("Nothing is marked yet")
    mark()
    text(page, "own-name").fill("shiny")
    redrawn(page, lambda: page.click("#make-own"))
    expect(page.locator("#own-1")).to_contain_text("shiny")


def test_marks_made_in_haste_all_count(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    unfold(page, "Make a direction of your own")
    held: list[Route] | None = []  # the first is under way until all are made
    routed(page, "**/queue/join*", lambda route: route.continue_() if held is None else held.append(route))
    for place, name in ((1, "More"), (2, "More"), (3, "Less"), (4, "Less")):
        tiles.nth(place).click()
        page.locator("#grid").get_by_role("button", name=name, exact=True).click()
    ready, held = held, None
    for route in ready:
        route.continue_()
    expect(page.locator("#marks")).to_contain_text("2 marked more, 2 less")


def test_each_own_direction_has_a_slider(visit: Visit) -> None:
    offset = pack_vector([1.0] * library.card("fruits").arch.w_dim)
    recipe = Recipe(checkpoint="fruits", seeds=(1, 2), own_directions=tuple((f"mine {i}", offset) for i in range(5)))
    page = visit("?" + recipe.to_query())
    expect(page.locator("#own-5")).to_contain_text("mine 4")


def test_curating_keeps_some_of_many(visit: Visit) -> None:
    page = visit("?checkpoint=fruits")  # whose classifier is there
    unfold(page, "Draw many")
    enter(number(page, "many"), "50")
    redrawn(page, lambda: page.click("#curate"))
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and len(recipe.seeds) == 24 and max(recipe.seeds) > 24
    expect(page.locator("#curating")).to_contain_text("The best 24 are shown")


def test_pins_are_kept_for_the_next_visit_and_removed(page: Page) -> None:
    pin(page, 1, 4, 6)
    later = page.context.new_page()
    later.goto(href(page))
    expect(later.locator("#tray .rg-pin")).to_have_count(3)
    later.locator("#tray .rg-pin-remove").first.press("Enter")
    expect(later.locator("#tray .rg-pin")).to_have_count(2)
    expect(later.locator("#tray .rg-pin-remove").first).to_be_focused()
    open_tab(later, "Walk")
    shown(later, "#walk-player")
    later.click("#walk-use-pins")
    expect(later.locator("#stops .rg-pin")).to_have_count(2)
    for _ in range(2):
        later.locator("#stops .rg-pin-remove").first.press("Enter")
    expect(later.locator("#stops .rg-pins-title")).to_be_focused()
    expect(later.locator("#walk-player .rg-loading")).to_be_visible()
    expect(later.locator("#walk-player canvas")).to_be_hidden()
    expect(later.locator("#walk-player .rg-status")).to_be_empty()


def test_one_pinned_image_makes_no_film(page: Page) -> None:
    pin(page, 1)
    open_tab(page, "Walk")
    shown(page, "#walk-player")
    page.click("#walk-use-pins")
    toast(page, "Pin at least two")
    expect(page.locator("#stops .rg-pin")).to_have_count(3)
