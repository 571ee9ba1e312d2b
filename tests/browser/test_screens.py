"""The other screens, each driven as a person would and judged by the pixels on the page."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from resgen import grid
from resgen.composite import Comparison, StyleMix, Walk, read_query
from resgen.plates import draw, draw_frames
from resgen.recipe import Recipe
from resgen.sampler import Sampler, load
from tests.browser.conftest import painted, pixels, redrawn


def sampler_of(name: str) -> Sampler:
    return load(name, "cpu")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def canvas(page: Page, where: str) -> str:
    """What the canvas of a grid or player shows, once it shows something."""
    page.wait_for_selector(f"{where} canvas[data-painted]", timeout=60_000)
    return page.eval_on_selector(f"{where} canvas[data-painted]", "canvas => canvas.toDataURL()")


def changed(page: Page, where: str, before: str) -> str:
    """Wait until the canvas shows something else."""
    script = "([where, before]) => document.querySelector(`${where} canvas[data-painted]`)?.toDataURL() !== before"
    page.wait_for_function(script, arg=[where, before], timeout=60_000)
    return canvas(page, where)


def pin(page: Page, *places: int) -> None:
    for place in places:
        page.locator("#grid .rg-tiles button").nth(place).click()
        page.keyboard.press("p")
    expect(page.locator("#tray .rg-pin")).to_have_count(len(places))


def set_number(box: Locator, value: str) -> None:
    box.fill(value)
    box.press("Enter")


def test_pins_are_kept_for_the_next_visit_and_removed(page: Page) -> None:
    pin(page, 1, 4)
    later = page.context.new_page()
    later.goto(page.url)
    expect(later.locator("#tray .rg-pin")).to_have_count(2, timeout=60_000)
    later.locator("#tray .rg-pin button").first.click()
    expect(later.locator("#tray .rg-pin")).to_have_count(1)
    open_tab(later, "Walk")
    later.click("#walk-use-pins")
    expect(later.locator("#stops .rg-pin")).to_have_count(1)


def test_undo_and_redo_go_through_what_was_shown(page: Page) -> None:
    start = pixels(page)
    expect(page.locator("#undo")).to_be_disabled()
    page.wait_for_timeout(700)  # a state counts when it was left alone for a while
    second = redrawn(page, lambda: page.click("#next"))
    page.wait_for_timeout(700)
    third = redrawn(page, lambda: page.click("#next"))
    page.wait_for_timeout(700)
    assert redrawn(page, lambda: page.click("#undo")) == second
    assert redrawn(page, lambda: page.click("#undo")) == start
    assert redrawn(page, lambda: page.click("#redo")) == second
    assert redrawn(page, lambda: page.click("#redo")) == third
    expect(page.locator("#seeds textarea, #seeds input").first).to_have_value("48-71")


def test_the_r_key_draws_random_seeds(page: Page) -> None:
    page.locator("#grid .rg-tiles button").first.focus()
    assert redrawn(page, lambda: page.keyboard.press("r")) != ""
    assert "seeds=0-23" not in page.url


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
    redrawn(page, lambda: page.get_by_role("option").nth(1).click())
    assert page.locator("#grid .rg-tiles button").count() == 42 and "sweep=" in page.url
    expect(page.locator("#grid .rg-columns span").last).to_have_text("+3")


def test_one_image_is_edited_alone(page: Page) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    tiles.nth(1).click()
    page.get_by_role("radio", name="The chosen image").check()
    page.wait_for_timeout(1500)
    crop = """index => { const c = document.querySelector('#grid .rg-canvas'); const s = c.width / 6;
      const d = c.getContext('2d').getImageData((index % 6) * s + 8, Math.floor(index / 6) * s + 8, s - 18, s - 18).data;
      return d.reduce((a, b) => a + b, 0); }"""
    before = [page.evaluate(crop, index) for index in (0, 1, 2)]
    number = page.locator("#direction-1 input[type=number]")
    redrawn(page, lambda: set_number(number, "4"))
    after = [page.evaluate(crop, index) for index in (0, 1, 2)]
    assert after[0] == before[0] and after[2] == before[2] and after[1] != before[1]
    assert "edits=1%3A" in page.url
    page.get_by_label("All images").check()
    expect(number).to_have_value("0")
    redrawn(page, lambda: set_number(number, "2"))
    assert "edits=1%3A" in page.url and "directions=" in page.url


def test_the_inside_of_the_network_is_shown_for_the_chosen_image(page: Page) -> None:
    page.get_by_role("button", name="Inside the network").click()
    address = page.url
    page.locator("#grid .rg-tiles button").nth(2).click()
    first = canvas(page, "#anatomy")
    assert page.locator("#anatomy .rg-tiles button").count() == 3 * len(sampler_of("fruits").checkpoint.arch.widths)
    page.locator("#grid .rg-tiles button").nth(3).click()
    assert changed(page, "#anatomy", first) != first
    assert page.url == address, "the address is that of the grid"


def test_marked_images_make_a_direction_that_the_link_keeps(page: Page, browser: Browser) -> None:
    tiles = page.locator("#grid .rg-tiles button")
    for place, mark in ((0, "More"), (1, "More"), (3, "Less")):
        tiles.nth(place).click()
        page.locator("#grid").get_by_role("button", name=mark, exact=True).click()
    page.get_by_role("button", name="Your own directions").click()
    expect(page.locator("#marks")).to_contain_text("2 marked more, 1 less")
    page.locator("#own-name input, #own-name textarea").first.fill("fluffy")
    redrawn(page, lambda: page.click("#make-own"))
    number = page.locator("#own-1 input[type=number]")
    expect(page.locator("#own-1")).to_contain_text("fluffy")
    moved = redrawn(page, lambda: set_number(number, "3"))
    context = browser.new_context(viewport=page.viewport_size)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_selector("#grid .rg-canvas[data-painted]", timeout=60_000)
    assert pixels(other) == moved
    context.close()


def test_curating_keeps_some_of_many(page: Page) -> None:
    page.get_by_role("button", name="Curate").click()
    redrawn(page, lambda: page.click("#curate"))
    recipe = read_query(page.url.partition("?")[2])
    assert isinstance(recipe, Recipe) and len(recipe.seeds) == 24 and max(recipe.seeds) > 24


def test_a_walk_plays_and_is_saved_with_its_recipe(page: Page, browser: Browser, tmp_path: Path) -> None:
    pin(page, 0, 5)
    open_tab(page, "Walk")
    page.click("#walk-use-pins")
    first = canvas(page, "#walk-player")
    assert changed(page, "#walk-player", first) != first, "the film stands still"
    page.locator("#walk-player .rg-play").click()
    set_number(page.locator("#walk-seconds input[type=number]"), "0.5")
    page.wait_for_function("() => location.search.includes('0.5')", timeout=60_000)
    with page.expect_download(timeout=120_000) as download:
        page.click("#make-film")
    path = tmp_path / "walk.mp4"
    download.value.save_as(path)
    walk, _ = grid.read_recipe(path)
    assert isinstance(walk, Walk) and len(walk.stops) == 2 and walk.frames == 12
    shown = read_query(page.url.partition("?")[2])
    assert shown == walk
    context = browser.new_context(viewport=page.viewport_size)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_selector("#walk-player canvas[data-painted]", timeout=60_000)
    expect(other.locator("#stops .rg-pin")).to_have_count(2)
    context.close()


def test_too_few_stops_are_one_message(page: Page) -> None:
    open_tab(page, "Walk")
    page.click("#make-film")
    expect(page.locator(".toast-body.error")).to_contain_text("at least two images")
    page.locator(".toast-close").first.click()


def test_a_film_can_be_cancelled(page: Page) -> None:
    pin(page, 0, 5)
    open_tab(page, "Walk")
    page.click("#walk-use-pins")
    canvas(page, "#walk-player")
    set_number(page.locator("#walk-seconds input[type=number]"), "30")
    page.click("#make-film")
    page.wait_for_timeout(500)
    page.click("#cancel-film")
    expect(page.locator("#film-progress")).to_contain_text("Cancelled")


def test_a_mix_follows_its_rows_columns_and_blocks(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Mix")
    first = canvas(page, "#mix-grid")
    page.get_by_label("Coarse: shape and pose").check()
    second = changed(page, "#mix-grid", first)
    set_number(page.locator("#mix-row-seeds textarea, #mix-row-seeds input").first, "3@lemon,9@banana")
    changed(page, "#mix-grid", second)
    with page.expect_download() as download:
        page.click("#mix-png")
    path = tmp_path / "mix.png"
    download.value.save_as(path)
    mix, _ = grid.read_recipe(path)
    assert isinstance(mix, StyleMix) and [row.classes for row in mix.rows] == [("lemon",), ("banana",)]
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(grid.compose(draw(mix, sampler_of))))


def test_a_picture_is_found_again_and_can_be_pinned(page: Page, tmp_path: Path) -> None:
    target = sampler_of("fruits").render(Recipe("fruits", (77,)))[0]
    path = tmp_path / "photo.png"
    Image.fromarray(target).save(path)
    open_tab(page, "Invert")
    page.set_input_files("#invert-photo input[type=file]", path)
    set_number(page.locator("#invert-steps input[type=number]"), "50")
    page.wait_for_timeout(500)
    page.click("#invert-find")
    page.wait_for_selector("#invert-grid canvas[data-painted]", timeout=180_000)
    expect(page.locator("#invert-result")).to_contain_text("dB")
    page.locator("#invert-grid .rg-tiles button").nth(1).click()
    page.locator("#invert-grid").get_by_role("button", name="Pin", exact=True).click()
    expect(page.locator("#tray .rg-pin")).to_have_count(1)
    assert "latents=" in page.url


def test_no_picture_to_invert_is_one_message(page: Page) -> None:
    open_tab(page, "Invert")
    page.click("#invert-find")
    expect(page.locator(".toast-body.error")).to_contain_text("no picture yet")


def test_checkpoints_are_compared_and_scrubbed(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Compare")
    first = canvas(page, "#compare-grid")
    moment = page.locator("#moment input[type=range]")
    moment.scroll_into_view_if_needed()
    moment.focus()
    page.keyboard.press("Home")
    second = changed(page, "#compare-grid", first)
    page.keyboard.press("ArrowRight")
    third = changed(page, "#compare-grid", second)
    page.click("#all-moments")
    changed(page, "#compare-grid", third)
    expect(page.locator("#compare-grid .rg-columns span").last).to_have_text("cifar10")
    with page.expect_download() as download:
        page.click("#compare-png")
    path = tmp_path / "comparison.png"
    download.value.save_as(path)
    comparison, _ = grid.read_recipe(path)
    assert isinstance(comparison, Comparison) and len(comparison.checkpoints) > 2
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(grid.compose(draw(comparison, sampler_of))))


def test_about_shows_measured_figures_and_curves(page: Page) -> None:
    open_tab(page, "About")
    expect(page.locator("#about-card")).to_contain_text("million weights")
    expect(page.locator("#figures")).to_contain_text("Named as meant")
    expect(page.locator("#curves canvas, #curves svg").first).to_be_visible()


@pytest.mark.parametrize("how", ["button", "drop"])
def test_a_picture_brought_back_restores_its_recipe(page: Page, tmp_path: Path, how: str) -> None:
    start = pixels(page)
    moved = redrawn(page, lambda: page.click("#next"))
    with page.expect_download() as download:
        page.click("#download-png")
    path = tmp_path / "grid.png"
    download.value.save_as(path)
    assert redrawn(page, lambda: page.click("#reset")) == start

    def bring() -> None:
        if how == "button":
            with page.expect_file_chooser() as chooser:
                page.click("#open-file")
            chooser.value.set_files(path)
            return
        page.evaluate(
            """async (data) => {
              const blob = await (await fetch(data)).blob();
              const transfer = new DataTransfer();
              transfer.items.add(new File([blob], 'grid.png', { type: 'image/png' }));
              document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
            }""",
            "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        )

    assert redrawn(page, bring) == moved


def test_a_bad_file_is_one_message(page: Page, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    (tmp_path / "bare.png").write_bytes(buffer.getvalue())
    with page.expect_file_chooser() as chooser:
        page.click("#open-file")
    chooser.value.set_files(tmp_path / "bare.png")
    expect(page.locator(".toast-body.error")).to_contain_text("holds no recipe")


def test_four_actions_from_opening_to_sharing(page: Page) -> None:
    """A newcomer's path: a picture they like, changed, shared."""
    redrawn(page, lambda: page.click("#random"))  # 1: until they like one
    page.locator("#grid .rg-tiles button").nth(4).click()  # 2: closer
    redrawn(page, lambda: set_number(page.locator("#direction-1 input[type=number]"), "3"))  # 3: changed
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy-link")  # 4: shared
    assert page.evaluate("navigator.clipboard.readText()") == page.url


@pytest.mark.parametrize("screen", ["Explore", "Walk", "Mix", "Invert", "Compare", "About"])
def test_axe_finds_no_serious_violation(page: Page, screen: str) -> None:
    open_tab(page, screen)
    page.wait_for_timeout(1500)
    found = Axe().run(page).response["violations"]
    serious = [(v["id"], [node["html"][:200] for node in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=1)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page scrolls sideways"


def test_a_walk_in_the_page_is_the_film_of_the_command_line(page: Page) -> None:
    """The player's first frame has the pixels that `draw_frames` gives."""
    pin(page, 0, 5)
    open_tab(page, "Walk")
    page.click("#walk-use-pins")
    canvas(page, "#walk-player")
    walk = read_query(page.url.partition("?")[2])
    assert isinstance(walk, Walk)
    assert np.array_equal(draw_frames(walk, sampler_of(walk.checkpoint))[0], sampler_of(walk.checkpoint).render(walk.stops[0])[0])


def test_a_tab_opened_before_the_first_picture_stays_open(browser: Browser, app_url: str) -> None:
    page = browser.new_page()
    page.goto(app_url)
    open_tab(page, "Walk")
    page.wait_for_selector("#grid canvas[data-painted]", state="attached", timeout=60_000)
    page.wait_for_timeout(500)
    expect(page.locator("#walk-use-pins")).to_be_visible()
    page.close()
