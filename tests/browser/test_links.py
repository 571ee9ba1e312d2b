"""Links: one for each thing that a recipe can hold. Each opens as it is, and survives a hand on the controls."""

from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from resgen.composite import AnyRecipe, Comparison, StyleMix, Walk
from resgen.recipe import Recipe, pack_vector
from tests.browser.conftest import (
    PATIENCE,
    App,
    Visit,
    colours,
    draws,
    enter,
    href,
    library,
    linked,
    number,
    open_tab,
    pixels,
    redrawn,
    settled,
    shown,
    text,
    toast,
    unfold,
)  # fmt: skip

FRUITS = library.card("fruits").arch
W_DIM, BLOCKS = FRUITS.w_dim, len(FRUITS.block_resolutions)


def packed(seed: int, numbers: int = W_DIM) -> str:
    return pack_vector(np.random.default_rng(seed).normal(size=numbers).round(3).tolist())


def seed(number: int, **more: object) -> Recipe:
    """One image of fruits."""
    return Recipe(**{"checkpoint": "fruits", "seeds": (number,), "columns": 1, "scale": 1} | more)  # type: ignore[arg-type]


def grid(**more: object) -> Recipe:
    return Recipe(**{"checkpoint": "fruits", "seeds": (3, 7, 7, 40), "columns": 4, "scale": 2} | more)  # type: ignore[arg-type]


def turn(control: str, away: str = "1", fold: str = "") -> Callable[[Page, str], None]:
    """Move a slider away and back."""

    def act(page: Page, where: str) -> None:
        if fold:
            unfold(page, fold)
        box = number(page, control)
        shown = box.input_value()
        assert float(shown) != float(away)
        redrawn(page, lambda: enter(box, away), where)
        redrawn(page, lambda: enter(box, shown), where)

    return act


def latent() -> str:
    """A w of each block, as it is found by Invert."""
    return packed(5, W_DIM * BLOCKS)


EXPLORE, WALK, MIX, COMPARE = "#grid", "#walk-player", "#mix-grid", "#compare-grid"
Turn = Callable[[Page, str], None]
LINKS: dict[str, tuple[AnyRecipe, str, Turn]] = {
    "own directions": (
        grid(own_directions=tuple((f"mine {i}", packed(i)) for i in range(8)), directions=(("mine 1", 1.25), ("mine 7", -0.5))),
        EXPLORE,
        turn("own-8", "2"),
    ),
    "edits": (grid(edits=((1, (("pc1", 2.0), ("sefa4", -1.0))), (3, (("pc2", 0.123456),))), directions=(("pc3", 1.0),)), EXPLORE, turn("direction-1", "-2")),
    "plane": (grid(seeds=tuple(range(16)), plane=(12.3456, 7.875, 0.123), columns=4), EXPLORE, turn("plane-step", "0.5")),
    "sweep": (grid(sweep="pc2", columns=5, classes=("banana", "lemon")), EXPLORE, turn("truncation", "0.5")),
    "gains": (grid(residual_gains=(1, 0.5, 1.2345, 0, 2, 1)), EXPLORE, turn("block-2", "1.7")),
    "variations": (
        grid(variation_of=5, variation_path=((11, 0.3), (2, 0.77)), variation_strength=0.123456, classes=("apple-red-1",)),
        EXPLORE,
        turn("variation-strength", "0.8"),
    ),
    "latents": (grid(seeds=tuple(range(16)), latents=(latent(), packed(6)), columns=2), EXPLORE, turn("direction-2", "3")),
    "class mix of five": (
        grid(class_mix=(("banana", 0.5), ("lemon", 2.0), ("apple-red-1", 0.123), ("strawberry", 0.0), ("apple-pink-lady", 1.0))),
        EXPLORE,
        turn("share-5", "0.25"),
    ),
    "beyond the sliders": (grid(directions=(("pc1", 8.0), ("pc10", -0.05)), truncation=0.8234567), EXPLORE, turn("columns", "2", "Layout")),
    "walk of a minute": (Walk(stops=(seed(3, classes=("lemon",)), seed(8, truncation=0.5), seed(2)), seconds=60, fps=5, path="w"), WALK, turn("walk-scale", "3")),
    "mix of chosen blocks": (StyleMix(rows=(seed(1), seed(2)), columns=(seed(3), seed(4)), blocks=(3, 0), scale=2), MIX, turn("mix-scale", "3")),
    "comparison": (
        Comparison(
            recipe=Recipe(
                checkpoint="cifar10@1024", seeds=(3, 5), classes=("ship", "cat"), directions=(("pc1", 1.5),), residual_gains=(1, 0.5, 1, 1),
                truncation=0.8234567,
            ),
            checkpoints=("cifar10@1024", "cifar10@64000"),
        ),
        COMPARE,
        turn("compare-scale", "2"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", list(LINKS))
def test_a_link_opens_and_says_the_same_after_a_control_was_moved_and_moved_back(visit: Visit, what: str) -> None:
    recipe, where, turn_and_back = LINKS[what]
    page = visit("?" + recipe.to_query(), wait=False)
    draws(page, recipe, where)
    if where == WALK:
        page.locator("#walk-player input[type=range]").fill("9")  # a film stands still to be looked at
    before = colours(pixels(page, where))
    turn_and_back(page, where)
    draws(page, recipe, where)
    after = colours(pixels(page, where))
    assert after.shape == before.shape
    assert np.abs(after - before).max() <= 1, "of what is enlarged anew, a browser may round a pixel otherwise"


def test_a_link_too_long_for_a_server_opens_behind_a_hash(visit: Visit) -> None:
    latents = tuple(packed(i, W_DIM * BLOCKS) for i in range(40))
    recipe = Recipe(checkpoint="fruits", latents=latents, columns=8, scale=1)
    assert len(recipe.to_query()) > 60_000
    page = visit("#" + recipe.to_query())
    draws(page, recipe)
    redrawn(page, lambda: enter(number(page, "direction-1"), "1"))
    assert "#" in href(page) and "?" not in href(page)
    redrawn(page, lambda: enter(number(page, "direction-1"), "0"))
    draws(page, recipe)


def test_a_link_may_say_what_it_shows_behind_what_it_says_of_the_page(visit: Visit) -> None:
    recipe = Recipe(checkpoint="fruits", seeds=(5, 6))
    draws(visit("?__theme=dark#" + recipe.to_query()), recipe)


def test_a_link_of_seeds_alone_is_followed(visit: Visit) -> None:
    page = visit("?seeds=3")
    recipe = linked(page)
    assert isinstance(recipe, Recipe) and recipe.seeds == (3,) and recipe.checkpoint == "faces"
    assert page.locator("#grid .rg-tiles button").count() == 1
    expect(text(page, "seeds")).to_have_value("3")


@pytest.mark.parametrize(("name", "part"), [("Invert", "#invert-find"), ("About", "#shelf canvas")])
def test_a_screen_without_a_recipe_has_an_address_too(visit: Visit, name: str, part: str) -> None:
    page = visit()
    open_tab(page, name)
    page.wait_for_function("name => location.search === `?screen=${name}`", arg=name.lower())
    later = page.context.new_page()
    later.goto(href(page))
    expect(later.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true", timeout=PATIENCE)
    expect(later.locator(part).first).to_be_visible(timeout=PATIENCE)
    settled(later, 0)
    open_tab(later, "Explore")
    settled(later, 1)
    assert isinstance(linked(later), Recipe)
    later.go_back()
    expect(later.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true", timeout=PATIENCE)


def test_a_link_that_cannot_be_followed_still_shows_a_grid(visit: Visit) -> None:
    page = visit("?checkpoint=nobody&seeds=1-")
    toast(page, "could not be followed")
    assert page.locator("#grid .rg-tiles button").count() == 24


@pytest.mark.parametrize(
    "link",
    [
        "seeds=" + quote("<a/href=http://198.51.100.7/>click"),
        "checkpoint=" + quote("<img src=http://198.51.100.7/x.png>"),
        "walk=" + quote('{"stops":"<img src=http://198.51.100.7/y.png>"}'),
        "directions=" + quote("[click](http://198.51.100.7/)"),
    ],
)
def test_markup_in_a_link_is_shown_as_text_and_asks_nothing_of_others(visit: Visit, app: App, link: str) -> None:
    page = visit("about:blank", wait=False)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{app.url}/?{link}")
    shown(page)
    message = page.locator(".toast-body")
    expect(message).to_contain_text("could not be followed")
    assert "198.51" in (message.text_content() or "") or "<img" in (message.text_content() or "") or "<a" in (message.text_content() or "")
    assert message.locator("a, img[src^='http']").count() == 0, "an element was made of it"
    assert page.locator("[href*='198.51'], [src*='198.51']").count() == 0
    toast(page, "could not be followed")
    assert all(url.startswith((app.url, "data:", "blob:")) for url in asked), asked


def test_what_a_link_holds_is_drawn_by_the_generator_as_it_is(visit: Visit) -> None:
    """The first image of a link with directions, gains and a class, against the generator's own."""
    recipe = grid(seeds=(3,), columns=1, classes=("banana",), directions=(("pc1", 8.0),), residual_gains=(1, 0.5, 1, 1, 1, 1), truncation=0.8234567)
    page = visit("?" + recipe.to_query())
    data = page.eval_on_selector(
        "#grid .rg-canvas",
        """canvas => {
          const small = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
          small.getContext("2d").drawImage(canvas, 0, 0, canvas.width - 2, canvas.height - 2, 0, 0, 64, 64);
          return [...small.getContext("2d").getImageData(0, 0, 64, 64).data];
        }""",
    )
    seen = np.array(data, int).reshape(64, 64, 4)[..., :3]
    assert np.abs(seen - library.sampler("fruits").render(recipe)[0]).mean() < 4
