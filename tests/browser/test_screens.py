"""The other screens, each driven as a person would and judged by the pixels on the page."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from resgen import grid
from resgen.composite import Comparison, StyleMix, Walk
from resgen.notes import read_recipe
from resgen.plates import draw, stream_frames
from resgen.recipe import Recipe
from resgen.work import finish
from tests.browser.conftest import (
    OPENING,
    PATIENCE,
    Visit,
    choose,
    choose_generator,
    enter,
    href,
    library,
    linked,
    number,
    open_tab,
    pin,
    pixels,
    redrawn,
    set_steps,
    settled,
    settled_beyond,
    shown,
    text,
    toast,
)  # fmt: skip


def changed(page: Page, where: str, before: str) -> str:
    """Wait until the canvas of a grid or player shows something else."""
    script = "([where, before]) => document.querySelector(`${where} canvas[data-painted]`)?.toDataURL() !== before"
    page.wait_for_function(script, arg=[where, before], timeout=PATIENCE, polling=100)  # to encode it takes a while
    return pixels(page, where)


def saved(page: Page, button: str, path: Path) -> Path:
    """The file that a button gives."""
    with page.expect_download(timeout=120_000) as download:
        page.click(button)
    download.value.save_as(path)
    return path


def test_a_walk_plays_and_is_saved_with_its_recipe(page: Page, visit: Visit, tmp_path: Path) -> None:
    pin(page, 0, 5)
    open_tab(page, "Walk")
    shown(page, "#walk-player")  # it opens playing
    redrawn(page, lambda: page.click("#walk-use-pins"), "#walk-player")
    first = pixels(page, "#walk-player")
    slider = page.locator("#walk-player input[type=range]")
    slider.focus()
    place = slider.input_value()
    changed(page, "#walk-player", first)  # the film does not stand still
    assert slider.input_value() == place, "nobody is told of each frame"
    page.keyboard.press("ArrowRight")
    expect(page.locator("#walk-player .rg-play")).to_have_text("Play")
    assert slider.input_value() == page.get_attribute("#walk-player canvas", "data-frame")
    redrawn(page, lambda: enter(number(page, "walk-seconds"), "0.5"), "#walk-player")
    redrawn(page, lambda: enter(number(page, "walk-fps"), "20"), "#walk-player")
    redrawn(page, lambda: enter(number(page, "walk-scale"), "2"), "#walk-player")
    path = saved(page, "#make-film", tmp_path / "walk.mp4")
    walk, _ = read_recipe(path)
    assert isinstance(walk, Walk) and len(walk.stops) == 2 and walk.frames == 10 and walk.scale == 2
    assert linked(page) == walk, "the link says what the film was made of"
    other = visit(href(page))
    shown(other, "#walk-player")
    expect(other.locator("#stops .rg-pin")).to_have_count(2)
    expect(number(other, "walk-fps")).to_have_value("20")


def test_a_walk_in_the_page_is_the_film_of_the_command_line(page: Page) -> None:
    """Each frame of the player has the pixels of the same frame of `stream_frames`."""
    pin(page, 0, 5)
    page.click("#film-pins")
    shown(page, "#walk-player")
    page.locator("#walk-player .rg-play").click()
    redrawn(page, lambda: enter(number(page, "walk-seconds"), "1"), "#walk-player")
    redrawn(page, lambda: page.get_by_label("Loop").uncheck(), "#walk-player")  # there and back, two frames would be the same
    walk = linked(page)
    assert isinstance(walk, Walk) and not walk.loop
    frames = list(stream_frames(walk, library.sampler(walk.checkpoint)))
    assert np.array_equal(frames[0], library.sampler(walk.checkpoint).render(walk.stops[0])[0])
    slider = page.locator("#walk-player input[type=range]")
    for place in (0, 7, 12, 23):
        slider.fill(str(place))
        data = page.eval_on_selector(
            "#walk-player canvas",
            """(canvas, side) => {
              const small = Object.assign(document.createElement("canvas"), { width: side, height: side });
              small.getContext("2d").imageSmoothingQuality = "high";
              small.getContext("2d").drawImage(canvas, 0, 0, side, side);
              return [...small.getContext("2d").getImageData(0, 0, side, side).data];
            }""",
            OPENING.arch.resolution,
        )
        seen = np.array(data, int).reshape(*frames[0].shape[:2], 4)[..., :3]
        off = [np.abs(seen - frame).mean() for frame in frames]
        assert int(np.argmin(off)) == place and off[place] < 4, f"frame {place} of the page is not that of the film"
    expect(slider).to_have_attribute("aria-valuetext", "frame 24 of 24")


def test_too_few_stops_are_one_message(page: Page) -> None:
    open_tab(page, "Walk")
    shown(page, "#walk-player")
    page.locator("#stops .rg-clear").click()
    page.click("#make-film")
    toast(page, "at least two images")


def test_stops_are_dragged_to_another_place_and_clicked_to_jump(page: Page) -> None:
    open_tab(page, "Walk")
    shown(page, "#walk-player")
    before = linked(page)
    assert isinstance(before, Walk) and len(before.stops) == 3
    first, last = (page.locator("#stops .rg-pin-open").nth(place).bounding_box() for place in (0, 2))
    assert first and last

    def drag() -> None:
        page.mouse.move(first["x"] + 26, first["y"] + 26)
        page.mouse.down()
        page.mouse.move(last["x"] + 30, last["y"] + 26, steps=4)
        page.mouse.up()

    redrawn(page, drag, "#walk-player")
    after = linked(page)
    assert isinstance(after, Walk) and after.stops == (*before.stops[1:], before.stops[0])
    stops, canvas = page.locator("#stops .rg-pin-open"), page.locator("#walk-player canvas")
    stops.nth(2).press("Enter")  # a drag leaves nothing behind
    expect(canvas).to_have_attribute("data-frame", "48")  # of 72, three stops and back
    stops.nth(1).click()
    expect(canvas).to_have_attribute("data-frame", "24")
    expect(stops.nth(1)).to_have_attribute("aria-keyshortcuts", "Alt+ArrowLeft Alt+ArrowRight")
    box = stops.nth(1).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 26)  # no button is down
    assert stops.nth(1).evaluate("stop => stop.parentElement.style.transform") == ""
    eased = redrawn(page, lambda: page.get_by_label("Slower at each stop").check(), "#walk-player")
    assert linked(page) == after.changed(pace="eased") and eased


def test_stops_come_from_seeds_of_the_generator_of_the_other_stops(visit: Visit) -> None:
    """Also where Explore shows another generator."""
    film = Walk(stops=(Recipe(checkpoint="cifar10", seeds=(1,), columns=1, scale=1), Recipe(checkpoint="cifar10", seeds=(2,), columns=1, scale=1)))
    page = visit("?" + film.to_query())
    shown(page, "#walk-player")
    assert "checkpoint=cifar10" in shown(page), "Explore shows the film's generator too"
    redrawn(page, lambda: enter(text(page, "walk-seeds"), "3@ship,4@cat"), "#walk-player")
    walk = linked(page)
    assert isinstance(walk, Walk) and {stop.checkpoint for stop in walk.stops} == {"cifar10"} and walk.stops[0].classes == ("ship",)


def test_a_mix_follows_its_rows_columns_and_blocks(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Mix")
    first = pixels(page, "#mix-grid")
    begun = linked(page)
    assert isinstance(begun, StyleMix) and len({image.classes for image in (*begun.rows, *begun.columns)}) == 1, "styles of faces do not mix"
    page.locator("#mix-blocks").get_by_label("Block 1, 4 px").check()
    second = changed(page, "#mix-grid", first)
    one, other = OPENING.classes[:2]
    enter(text(page, "mix-row-seeds"), f"3@{one},9@{other}")
    changed(page, "#mix-grid", second)
    path = saved(page, "#mix-png", tmp_path / "mix.png")
    mix, _ = read_recipe(path)
    assert isinstance(mix, StyleMix) and [row.classes for row in mix.rows] == [(one,), (other,)] and 0 in mix.blocks
    assert linked(page) == mix
    rows = library.sampler(OPENING.name).render(mix.rows[1])
    own, table = OPENING.arch.resolution, Image.open(path).convert("RGB")
    side = own * mix.scale
    step = (table.height - side) // len(mix.rows)  # the last row begins two further down
    seen = table.crop((0, 2 * step, side, 2 * step + side)).resize((own, own), Image.Resampling.BOX)
    assert np.abs(np.asarray(seen, int) - rows[0]).mean() < 2, "the second row begins with its own image"


def test_rows_and_columns_are_swapped_and_a_cell_goes_on_in_explore(page: Page) -> None:
    open_tab(page, "Mix")
    shown(page, "#mix-grid")
    before = linked(page)
    assert isinstance(before, StyleMix)
    redrawn(page, lambda: page.click("#mix-swap"), "#mix-grid")
    assert linked(page) == before.changed(rows=before.columns, columns=before.rows)
    page.locator("#mix-grid .rg-tiles button").nth(7).click()
    page.locator("#mix-grid").get_by_role("button", name="Open in Explore").click()
    expect(page.locator("#grid")).to_be_visible()
    page.wait_for_function("document.querySelector('#grid canvas').dataset.painted.includes('latents=')", timeout=PATIENCE)


def test_any_blocks_may_be_mixed(page: Page) -> None:
    open_tab(page, "Mix")
    shown(page, "#mix-grid")
    names = [f"Block {number}, {side} px" for number, side in enumerate(OPENING.arch.block_resolutions, start=1)]
    for name in names:
        page.locator("#mix-blocks").get_by_label(name).uncheck()
    for name in (names[0], names[3]):
        page.locator("#mix-blocks").get_by_label(name).check()
    page.wait_for_function("""() => decodeURIComponent(location.search).includes('"blocks":[0,3]')""", timeout=PATIENCE)
    mix = linked(page)
    assert isinstance(mix, StyleMix) and mix.blocks == (0, 3)


def test_a_picture_is_found_again_and_can_be_pinned(visit: Visit, tmp_path: Path) -> None:
    page = visit("?checkpoint=fruits")
    target = library.sampler("fruits").render(Recipe(checkpoint="fruits", seeds=(77,)))[0]
    path = tmp_path / "photo.png"
    Image.fromarray(target).save(path)
    settled(page, 0)
    open_tab(page, "Invert")
    settled(page, 1)
    page.set_input_files("#invert-photo input[type=file]", path)
    expect(page.locator("#invert-photo")).to_contain_text("photo")
    set_steps(page, 40)
    page.click("#invert-find")
    page.wait_for_selector("#invert-grid canvas[data-painted]", timeout=180_000)
    expect(page.locator("#invert-result")).to_contain_text("dB", timeout=PATIENCE)
    page.locator("#invert-grid .rg-tiles button").nth(1).click()
    page.locator("#invert-grid").get_by_role("button", name="Pin", exact=True).click()
    expect(page.locator("#tray .rg-pin")).to_have_count(1)
    found = linked(page)
    assert isinstance(found, Recipe) and found.latents
    settled(page, 2)
    open_tab(page, "Explore")
    settled(page, 3)
    page.go_back()
    expect(page.get_by_role("tab", name="Invert")).to_have_attribute("aria-selected", "true", timeout=PATIENCE)
    expect(page.locator("#invert-grid .rg-tiles button")).to_have_count(2)  # as it was left
    assert np.abs(library.sampler("fruits").render(found)[0].astype(int) - target).mean() < 25, "what was found is near to what was given"


def test_a_picture_of_its_own_is_found_in_sight_and_opened_in_explore(visit: Visit) -> None:
    page = visit("?checkpoint=fruits")
    open_tab(page, "Invert")
    set_steps(page, 60)
    page.click("#invert-example")
    expect(page.locator("#invert-cancel")).to_be_enabled()
    expect(page.locator("#invert-grid .rg-columns span").last).to_have_text("closest so far", timeout=60_000)
    expect(page.locator("#invert-result")).to_contain_text("dB", timeout=120_000)
    expect(page.locator("#invert-cancel")).to_be_disabled()
    page.locator("#invert-grid .rg-tiles button").nth(1).click()
    page.locator("#invert-grid").get_by_role("button", name="Open in Explore").click()
    page.wait_for_function("document.querySelector('#grid canvas').dataset.painted.includes('latents=')", timeout=PATIENCE)
    expect(page.locator("#grid")).to_be_visible()
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))


def test_what_was_found_of_a_picture_goes_with_it(visit: Visit, tmp_path: Path) -> None:
    page = visit("?checkpoint=fashion-mnist")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photo.png")
    open_tab(page, "Invert")
    set_steps(page, 20)
    page.click("#invert-example")
    expect(page.locator("#invert-result")).to_contain_text("dB", timeout=120_000)
    expect(page.locator("#invert-curve")).to_be_visible()
    page.set_input_files("#invert-photo input[type=file]", tmp_path / "photo.png")
    expect(page.locator("#invert-curve")).to_be_hidden()
    expect(page.locator("#invert-result")).to_have_text("")


def test_no_picture_to_invert_is_one_message(page: Page) -> None:
    open_tab(page, "Invert")
    page.click("#invert-find")
    toast(page, "no picture yet")
    expect(page.locator("#invert-cancel")).to_be_disabled()


def test_checkpoints_are_compared_and_scrubbed(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Compare")
    first = pixels(page, "#compare-grid")
    page.click("#play-training")
    expect(page.locator("#play-training")).to_have_text("Pause")
    open_tab(page, "About")
    open_tab(page, "Compare")
    expect(page.locator("#play-training")).to_have_text("Play")  # and it has stopped: nothing moves what follows
    first = pixels(page, "#compare-grid")
    moment = page.locator("#moment input[type=range]")
    moment.scroll_into_view_if_needed()
    moment.focus()
    page.keyboard.press("Home")
    second = changed(page, "#compare-grid", first)
    page.keyboard.press("ArrowRight")
    third = changed(page, "#compare-grid", second)
    page.click("#all-moments")
    changed(page, "#compare-grid", third)
    expect(page.locator("#compare-grid .rg-columns span").last).to_have_text(OPENING.name)
    path = saved(page, "#compare-png", tmp_path / "comparison.png")
    comparison, _ = read_recipe(path)
    assert isinstance(comparison, Comparison) and len(comparison.checkpoints) > 2
    plate = finish(draw(comparison, library.sampler))
    off = np.asarray(Image.open(path), int) - np.asarray(grid.compose(plate), int)
    assert np.abs(off).max() <= 2, "the app and this process may round otherwise, since they have other numbers of threads"
    for column, name in enumerate(comparison.checkpoints):
        own = library.sampler(name).render(comparison.recipe.with_checkpoint(name))
        enlarged = plate.images.shape[1] // own.shape[1]  # snapshots may be smaller than what came of them
        own = own.repeat(enlarged, axis=1).repeat(enlarged, axis=2)
        assert np.array_equal(plate.images[column :: plate.columns], own), f"the column of {name} is what it draws alone"


def test_compared_checkpoints_taken_away_all_at_once_leave_the_picture(page: Page) -> None:
    open_tab(page, "Compare")
    before = pixels(page, "#compare-grid")
    page.locator("#compare-names .token-remove.remove-all").click()
    expect(page.locator("#compare-names .token")).to_have_count(0)
    assert pixels(page, "#compare-grid") == before
    redrawn(page, lambda: choose(page, "compare-names", "cifar10@1024"), "#compare-grid")
    enter(text(page, "compare-seeds"), "3-")
    toast(page, "Seeds")
    redrawn(page, lambda: enter(number(page, "compare-truncation"), "0.5"), "#compare-grid")
    assert page.locator("#compare-grid .rg-tiles button").count() == 6


def test_checkpoints_of_any_size_are_compared_by_pinned_seeds(page: Page) -> None:
    redrawn(page, lambda: choose_generator(page, "cifar10"))
    pin(page, 3, 7)
    open_tab(page, "Compare")
    shown(page, "#compare-grid")
    redrawn(page, lambda: page.click("#compare-use-pins"), "#compare-grid")
    redrawn(page, lambda: choose(page, "compare-names", "fashion-mnist"), "#compare-grid")
    comparison = linked(page)
    assert isinstance(comparison, Comparison) and comparison.recipe.seeds == (3, 7) and comparison.checkpoints[-1] == "fashion-mnist"
    plate = finish(draw(comparison, library.sampler))
    assert plate.images.shape[1] == 32, "as large as the largest"


def test_a_training_is_played(page: Page) -> None:
    open_tab(page, "Compare")
    shown(page, "#compare-grid")
    redrawn(page, lambda: page.click("#play-training"), "#compare-grid")
    redrawn(page, lambda: None, "#compare-grid")  # and the next moment
    steps = page.evaluate("history.length")
    for _ in range(2):
        redrawn(page, lambda: None, "#compare-grid")
    page.click("#play-training")
    expect(page.locator("#play-training")).to_have_text("Play")
    assert page.evaluate("history.length") == steps, "what plays is no step of the visitor's"


def test_a_moment_of_a_link_is_where_the_slider_stands(visit: Visit) -> None:
    name = next(name for name in library.names() if len(library.snapshots(name)) > 1)
    early = library.snapshots(name)[1]
    page = visit("?" + Comparison(recipe=Recipe(checkpoint=early, seeds=(0, 1)), checkpoints=(early,)).to_query(), wait=False)
    shown(page, "#compare-grid")
    expect(page.locator("#moment input[type=range]")).to_have_value("1")
    expect(page.locator("#moment")).to_contain_text(f"{library.card(early).training['images_seen']:,}")


def test_about_shows_measured_figures_and_curves(page: Page) -> None:
    open_tab(page, "About")
    expect(page.locator(".rg-shelved")).to_have_count(len(library.names()))
    expect(page.locator("#about-card")).to_contain_text("million weights")
    expect(page.locator("#figures")).to_contain_text("Named as meant")
    expect(page.locator("#curves canvas, #curves svg").first).to_be_visible()


@pytest.mark.parametrize("how", ["button", "drop"])
def test_a_picture_brought_back_restores_its_recipe(page: Page, tmp_path: Path, how: str) -> None:
    start = pixels(page)
    moved = redrawn(page, lambda: page.click("#next"))
    path = saved(page, "#download-png", tmp_path / "grid.png")
    assert redrawn(page, lambda: page.click("#reset")) == start

    def bring() -> None:
        if how == "button":
            with page.expect_file_chooser() as chooser:
                page.click("#open-file")
            chooser.value.set_files(path)
            return
        drop(page, "body", path)

    assert redrawn(page, bring) == moved


def drop(page: Page, where: str, path: Path) -> None:
    """Drag a picture over a part of the page, and drop it there; the browser is kept from opening it in the page's place."""
    left = page.evaluate(
        """async ([where, name, data]) => {
          const blob = await (await fetch(data)).blob();
          const transfer = new DataTransfer();
          transfer.items.add(new File([blob], name, { type: blob.type }));
          const over = (kind) => new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
          return ['dragover', 'drop'].filter((kind) => document.querySelector(where).dispatchEvent(over(kind)));
        }""",
        [where, path.name, f"data:image/{path.suffix[1:]};base64," + base64.b64encode(path.read_bytes()).decode()],
    )
    assert left == []


def test_a_photo_dropped_anywhere_on_invert_is_the_one_that_is_looked_for(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Invert")
    for name, where in (("first.jpeg", "#invert-grid"), ("second.png", "#invert-photo"), ("third.jpeg", "body")):
        Image.new("RGB", (40, 40), "red").save(tmp_path / name)
        drop(page, where, tmp_path / name)
        expect(page.locator("#invert-photo")).to_contain_text(name.partition(".")[0])


def test_each_pinning_is_told_wherever_it_is_done(page: Page) -> None:
    open_tab(page, "Mix")
    shown(page, "#mix-grid")
    page.click("#pins-to-rows")
    toast(page, "Pin an image")
    expect(page.locator("#mix-rows .rg-pin")).to_have_count(4)
    page.locator("#mix-grid .rg-tiles button").nth(7).click()
    for words in ("Pinned, 1 of 32", "Pinned already"):
        page.keyboard.press("p")
        expect(page.locator(".rg-news")).to_have_text(words)
    page.evaluate(
        """() => {
          const [pin] = JSON.parse(localStorage["resgen-pins"]);
          for (let more = 1; more < 32; more++) dispatchEvent(new CustomEvent("resgen-pin", { detail: { ...pin, query: `${pin.query}&scale=${more}` } }));
        }"""
    )
    page.locator("#mix-grid .rg-tiles button").nth(8).click()
    page.keyboard.press("p")
    expect(page.locator(".rg-news")).to_contain_text("There is room for 32")
    expect(page.locator(".rg-news")).to_be_empty()
    expect(page.locator("#tray .rg-pin")).to_have_count(32)


def test_a_bad_file_is_one_message(page: Page, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    (tmp_path / "bare.png").write_bytes(buffer.getvalue())
    with page.expect_file_chooser() as chooser:
        page.click("#open-file")
    chooser.value.set_files(tmp_path / "bare.png")
    toast(page, "holds no recipe")


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "light"), ("phone", "dark")])
def test_axe_finds_no_serious_violation_on_any_screen(visit: Visit, width: str, scheme: str) -> None:
    page = visit(width=width)
    if scheme == "dark":
        page.locator(".rg-theme").click()
    ready = {"Explore": "#grid canvas", "Walk": "#walk-use-pins", "Mix": "#mix-grid canvas[data-painted]", "Invert": "#invert-find"}
    ready |= {"Compare": "#compare-grid canvas[data-painted]", "About": "#curves canvas, #curves svg"}
    for screen, selector in ready.items():
        open_tab(page, screen)
        page.locator(selector).first.wait_for()
        page.wait_for_function(
            "document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)"
        )
        found = Axe().run(page).response["violations"]
        serious = [(v["id"], [node["html"][:200] for node in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, f"{screen}: {json.dumps(serious, indent=1)}"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{screen} scrolls sideways"


def test_a_tab_opened_before_the_first_picture_stays_open(visit: Visit) -> None:
    page = visit(wait=False)
    open_tab(page, "Walk")
    shown(page)
    expect(page.locator("#walk-use-pins")).to_be_visible()
    open_tab(page, "Explore")
    settled_beyond(page, 0)
    expect(page.locator("#grid .rg-tiles")).to_be_visible()
