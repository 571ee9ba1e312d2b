"""The page without a server, in a real Chromium: what it draws is what ResGen draws, and nothing is fetched from anywhere else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from benchmarks.web import only, serve_files
from resgen.composite import Walk
from resgen.library import Library
from resgen.notes import read_recipe
from resgen.plates import draw
from resgen.recipe import Recipe
from resgen.site import export_site, runtime
from resgen.work import finish
from tests.browser.conftest import PATIENCE, SIZES, library, new_visitor, routed, runtime_at_hand, said, until

SHIPPED_ONE = "fashion-mnist"
NEAR = 2  # 255ths by which a page may differ from the server
MOVED = "seeds=0-9&truncation=0.7&directions=pc1%3D2&residual_gains=1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[str]:
    """The address of a page of 'plain', which has no classes, and a shipped checkpoint."""
    folder = tmp_path_factory.mktemp("site")
    with runtime_at_hand():
        finish(export_site([Library(tiny_folder, "cpu").sampler("plain"), library.sampler(SHIPPED_ONE)], folder, runtime.COPY))
    with serve_files(folder) as address:
        yield address


Open = Callable[..., Page]


@pytest.fixture
def open_site(browser: Browser, site: str) -> Iterator[Open]:
    """Opens the page at a hash; a request to anywhere else, or an error in the console that the test does not expect, fails it."""
    errors: list[str] = []
    elsewhere: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(link: str = "", wait: bool = True, expected: str = "", routes: dict[str, Callable[[Route], None]] | None = None) -> Page:
        context = new_visitor(browser, SIZES["desktop"], errors, expected)
        contexts.append(context)
        for pattern, answer in {"**/*": only(site, elsewhere), **(routes or {})}.items():
            context.route(pattern, answer)
        page = context.new_page()
        page.goto(f"{site}#{link}")
        if wait:
            painted(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors and not elsewhere, (errors, elsewhere)


def painted(page: Page, words: str = "") -> None:
    """Wait until what is on screen is what the address says, and that has ``words`` in it."""
    page.wait_for_function(
        "words => document.querySelector('canvas:not([hidden])')?.dataset.painted === location.hash.slice(1) && location.hash.includes(words)",
        arg=words,
        timeout=PATIENCE,
    )


def saved(page: Page, path: Path) -> np.ndarray:
    """The picture that the page saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    download.value.save_as(path)
    return np.asarray(Image.open(path).convert("RGB"))


def tiles(picture: np.ndarray, side: int, columns: int, count: int) -> np.ndarray:
    """The images [N, side, side, 3] of a saved picture, in which each is enlarged by a whole factor."""
    own = picture[:: picture.shape[1] // columns // side, :: picture.shape[1] // columns // side]
    rows = own.shape[0] // side
    return own.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)[:count]


def test_pictures_are_the_servers(open_site: Open, tmp_path: Path, tiny_folder: Path) -> None:
    page = open_site("checkpoint=plain&seeds=0-9")
    for link in ("checkpoint=plain&seeds=0-9", f"checkpoint=plain&{MOVED},0.5,1", f"checkpoint={SHIPPED_ONE}&{MOVED},1.5,1,1"):
        page.evaluate("link => { location.hash = link; }", link)
        page.wait_for_function(
            "name => document.querySelector('#grid').dataset.painted.includes(name)", arg=link.rpartition("&")[2].replace(",", "%2C")
        )
        picture = saved(page, tmp_path / "grid.png")
        recipe, sha256 = read_recipe(tmp_path / "grid.png")
        assert isinstance(recipe, Recipe) and recipe.seeds == tuple(range(10))
        assert (
            (link != "checkpoint=plain&seeds=0-9")
            == (recipe.truncation == 0.7)
            == (recipe.directions == (("pc1", 2.0),))
            == bool(recipe.residual_gains)
        )
        sampler = (Library(tiny_folder, "cpu") if recipe.checkpoint == "plain" else library).sampler(recipe.checkpoint)
        assert sha256 == sampler.checkpoint.sha256
        found = tiles(picture, sampler.card.arch.resolution, recipe.columns, recipe.count)
        assert abs(found.astype(int) - sampler.render(recipe)).max() <= NEAR


def test_a_film_plays_and_each_frame_is_the_servers(open_site: Open, tmp_path: Path) -> None:
    page = open_site(f"checkpoint={SHIPPED_ONE}&stops=3,9,4&seconds=1&classes=bag")
    place = page.get_by_label("Place in the film")
    seen = {place.input_value()}
    until(lambda: bool(seen.add(place.input_value())) or len(seen) > 2, 10)
    place.fill("11")
    expect(place).to_have_attribute("aria-valuetext", "frame 12 of 24")
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # the hand has stopped it
    picture = saved(page, tmp_path / "frame.png")
    stops = tuple(Recipe(checkpoint=SHIPPED_ONE, seeds=(seed,), classes=("bag",), columns=1) for seed in (3, 9, 4))
    wanted = finish(draw(Walk(stops=stops, seconds=1), library.sampler)).images[11]
    assert abs(tiles(picture, 28, 1, 1)[0].astype(int) - wanted).max() <= NEAR
    page.get_by_role("button", name="Reset all sliders").click()
    page.wait_for_function("() => !location.hash.includes('seconds')")


def test_controls_change_the_picture_and_the_address_brings_it_back(open_site: Open, tmp_path: Path) -> None:
    page = open_site("checkpoint=plain")
    expect(page.get_by_label("Class", exact=True)).to_be_hidden()  # it has none
    page.get_by_label("Seeds", exact=True).fill("4,8")
    page.get_by_label("Seeds", exact=True).press("Enter")
    page.get_by_label("Generator", exact=True).select_option(SHIPPED_ONE)
    page.get_by_label("Class", exact=True).select_option("sandal")
    page.get_by_label("Truncation", exact=True).fill("0.5")
    page.get_by_label("block 2, 14 px").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_label("pc3", exact=True).fill("-1.5")
    painted(page, "directions=pc3")
    before = saved(page, tmp_path / "before.png")
    expect(page.get_by_role("status")).to_contain_text("2 images in")
    expect(page.get_by_role("status")).to_contain_text("on your processor")
    page.reload()
    painted(page, "seeds=4%2C8&classes=sandal&truncation=0.5&directions=pc3%3D-1.5&residual_gains=1%2C1.01%2C1%2C1")
    assert np.array_equal(saved(page, tmp_path / "after.png"), before)
    page.get_by_role("button", name="Reset all sliders").click()
    page.wait_for_function("() => !location.hash.includes('pc3')")
    painted(page, "seeds=4%2C8&classes=sandal")
    assert not np.array_equal(saved(page, tmp_path / "back.png"), before)


def test_what_cannot_be_drawn_is_said_and_the_picture_stays(open_site: Open) -> None:
    page = open_site("checkpoint=plain&seeds=1-3&classes=cat")
    expect(page.get_by_role("alert")).to_have_text("plain has no class “cat”.")
    box = page.get_by_label("Seeds", exact=True)
    box.fill("3-1")
    box.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Seeds: the range 3-1 runs backwards; write 1-3.")
    expect(box).to_have_attribute("aria-invalid", "true")
    assert page.evaluate("document.querySelector('#grid').dataset.painted") == "checkpoint=plain&seeds=1-3"
    page.evaluate("() => { HTMLCanvasElement.prototype.toBlob = (take) => take(null); }")
    page.get_by_role("button", name="Save PNG").click()
    expect(page.get_by_role("alert")).to_contain_text("larger than the browser can save")
    expect(page.locator("#grid")).to_be_visible()
    page.evaluate("location.hash = 'checkpoint=plain&seeds=7'")
    painted(page, "seeds=7")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_file_that_is_missing_is_said_and_can_be_asked_for_again(open_site: Open) -> None:
    page = open_site("checkpoint=plain", wait=False, expected="404")
    painted(page)
    routed(page, "**/synthesis.onnx?*", lambda route: route.fulfill(status=404))
    page.get_by_label("Generator", exact=True).select_option(SHIPPED_ONE)
    expect(page.get_by_role("alert")).to_contain_text("synthesis.onnx is missing on this site (status 404)")
    page.unroute("**/synthesis.onnx?*")
    page.get_by_role("button", name="Try again").click()
    painted(page, SHIPPED_ONE)


def test_who_chooses_another_generator_waits_for_that_one_alone(open_site: Open) -> None:
    page = open_site("checkpoint=plain")
    routed(page, f"**/{SHIPPED_ONE}/synthesis.onnx?*", lambda route: None)  # it never comes
    with page.expect_request(f"**/{SHIPPED_ONE}/synthesis.onnx?*"):
        page.get_by_label("Generator", exact=True).select_option(SHIPPED_ONE)
    expect(page.locator("#waiting-words")).to_contain_text(SHIPPED_ONE)
    page.get_by_label("Generator", exact=True).select_option("plain")
    expect(page.locator("#waiting-words")).not_to_contain_text(SHIPPED_ONE)
    painted(page, "checkpoint=plain")


def test_of_pictures_that_follow_each_other_the_last_is_said(open_site: Open) -> None:
    page = open_site("checkpoint=plain&seeds=0-3")

    def turn() -> None:
        page.get_by_label("Truncation", exact=True).fill("0.5")
        painted(page, "truncation")

    assert said(page, "#status", turn)[-2:] == ["off", "polite"]


@pytest.mark.parametrize("changed", [False, True])
def test_a_runtime_from_elsewhere_is_used_if_it_is_the_one_that_was_published(open_site: Open, tmp_path: Path, changed: bool) -> None:
    sources = runtime.place_runtime(tmp_path, runtime.CDN)
    version = f"/{runtime.PACKAGE}@{json.loads((runtime.HERE / 'package.json').read_text())['dependencies'][runtime.PACKAGE]}"
    with serve_files(runtime.find_package(version.partition("@")[2])) as elsewhere:

        def listed(route: Route) -> None:
            told = json.dumps(sources).replace(runtime.CDN_ADDRESS + version, elsewhere.rstrip("/"))
            told = told.replace(sources["script"]["integrity"], runtime.integrity_of(b"other")) if changed else told
            route.fulfill(json={**route.fetch().json(), "runtime": json.loads(told)})

        routes = {"**/site.json": listed, f"{elsewhere}**": lambda route: route.continue_()}
        page = open_site("checkpoint=plain", wait=not changed, expected="integrity" if changed else "", routes=routes)
        if changed:
            expect(page.get_by_role("alert")).to_contain_text("or is not the file it should be")


def test_everyone_can_use_it_and_the_picture_stays_in_sight(open_site: Open) -> None:
    page = open_site("checkpoint=plain&seeds=0-3&stops=0-1&seconds=1")
    for screen, canvas in (("Walk", "#film"), ("Explore", "#grid")):
        page.get_by_role("button", name=screen).click()
        painted(page)
        for width, height in SIZES.values():
            page.set_viewport_size({"width": width, "height": height})
            page.get_by_role("button", name="Reset all sliders").scroll_into_view_if_needed()
            within = "([canvas, width, height]) => { const box = document.querySelector(canvas).getBoundingClientRect(); "
            within += "return box.top >= 0 && box.left >= 0 && box.bottom <= height && box.right <= width; }"
            page.wait_for_function(within, arg=[canvas, width, height], timeout=PATIENCE)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                found = Axe().run(page)
                assert found.violations_count == 0, found.generate_report()
