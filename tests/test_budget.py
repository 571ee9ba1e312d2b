"""Every limit of the budget is held, before anything is drawn, by one sentence that says it and what to do."""

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from PIL import Image

from resgen.budget import OWN, PUBLIC, Budget
from resgen.composite import AnyRecipe, Comparison, StyleMix, Walk
from resgen.errors import DataError, RecipeError, ResGenError
from resgen.invert import load_photo
from resgen.library import Library
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import Sampler
from resgen.studio.renderer import Renderer
from resgen.work import finish

ONE, TWO = (Recipe(checkpoint="tiny", seeds=(seed,), columns=1, scale=1) for seed in (1, 2))
GRID = Recipe(checkpoint="tiny", seeds=tuple(range(9)))
FILM = Walk(stops=(ONE, TWO), seconds=1, fps=10, scale=2)
# What asks for so much of what each limit is of, in a grid or a film.
ASKS: dict[str, tuple[AnyRecipe, int]] = {
    "images": (GRID, 9),
    "pixels": (GRID, 9 * 16**2),
    "frames": (FILM, 10),
    "film_pixels": (FILM, 10 * 32**2),
    "saved_pixels": (GRID, 16 * 48**2),  # its second row takes as much room as the first
    "vector": (GRID.changed(own_directions=(("own", pack_vector([1] * 12)),)), 12),
    "edits": (GRID.changed(edits=tuple((place, (("pc1", 1.0),)) for place in range(5))), 5),
    "directions": (GRID.changed(directions=(("pc1", 1), ("pc2", 1)), edits=((0, (("pc1", 1.0),)),)), 3),
    "characters": (GRID, len(GRID.to_query())),
    "reply_characters": (GRID, 9 * len(GRID.to_query())),
}


def ask(folder: Path, recipe: AnyRecipe, budget: Budget) -> bytes:
    renderer = Renderer(Library(folder, "cpu"), budget)
    return finish(renderer.film(recipe, ".gif")) if isinstance(recipe, Walk) else renderer.png(recipe)


@pytest.mark.parametrize("name", ASKS)
def test_a_limit_is_the_most_that_is_drawn(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    recipe, amount = ASKS[name]
    assert ask(tiny_folder, recipe, replace(OWN, **{name: amount}))
    monkeypatch.setattr(Sampler, "_draw_batch", lambda *_: pytest.fail("it was drawn"))
    with pytest.raises(RecipeError, match=f"^There are {amount:,} .*; at most {amount - 1:,} are possible here: .+\\.$"):
        ask(tiny_folder, recipe, replace(OWN, **{name: amount - 1}))


def test_a_render_takes_no_more_memory_than_it_may(tiny_folder: Path) -> None:
    with pytest.raises(RecipeError, match="megabytes"):
        Renderer(Library(tiny_folder, "cpu"), replace(OWN, pixels=10**12, images=10**6, megabytes=100)).check(
            GRID.changed(seeds=tuple(range(50_000)))
        )


@pytest.mark.parametrize(
    "asks",
    [
        lambda renderer: renderer.view(ONE),
        lambda renderer: renderer.single_images([ONE]),
        lambda renderer: renderer.film(FILM, ".gif"),
        lambda renderer: renderer.costs.check_looking("tiny", 1),
        lambda renderer: renderer.costs.check_search("tiny", 1),
    ],
)
def test_whatever_draws_takes_no_more_memory_than_it_may(tiny_folder: Path, asks: Callable[[Renderer], object]) -> None:
    with pytest.raises(RecipeError, match="megabytes"):
        asks(Renderer(Library(tiny_folder, "cpu"), replace(OWN, megabytes=0)))


def test_what_recipes_are_made_of_is_held_too(tiny_folder: Path) -> None:
    renderer = Renderer(Library(tiny_folder, "cpu"), replace(OWN, directions=1))
    turned = ONE.changed(directions=(("pc1", 1), ("pc2", 1)))
    for recipe in (StyleMix(rows=(ONE,), columns=(turned,), blocks=(1,)), Comparison(recipe=turned, checkpoints=("plain", "tiny"))):
        with pytest.raises(RecipeError, match="directions"):
            renderer.view(recipe)
    with pytest.raises(RecipeError, match="directions"):
        finish(renderer.film(FILM.changed(stops=(ONE, turned)), ".gif"))


def test_each_limit_is_tried() -> None:
    """Those that are not of a recipe by tests of what holds them, here and in test_public.py, test_uploads.py and test_values.py."""
    elsewhere = {"megabytes", "candidates", "upload_pixels", "upload_bytes", "request_bytes", "disk", "waiting", "waiting_each", "seconds"}
    assert {limit.name for limit in fields(Budget)} == set(ASKS) | elsewhere


def test_no_more_is_looked_through_than_may_be(tiny_folder: Path) -> None:
    renderer = Renderer(Library(tiny_folder, "cpu"), replace(OWN, candidates=30))
    for ask_for in (renderer.costs.check_looking, renderer.costs.check_search):
        ask_for("tiny", 30)
        with pytest.raises(RecipeError, match="at most 30 are possible here"):
            ask_for("tiny", 31)


def test_no_larger_picture_is_opened_than_may_be(tmp_path: Path) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "photo.png")
    assert load_photo(tmp_path / "photo.png", 16, most=1600).shape == (16, 16, 3)
    with pytest.raises(DataError, match="more than 1,599"):
        load_photo(tmp_path / "photo.png", 16, most=1599)


def test_work_that_takes_too_long_is_not_counted_to_the_second() -> None:
    with pytest.raises(RecipeError, match=r"^This takes more than 120 seconds of work, the most that is possible here: ask for less at once\.$"):
        PUBLIC.check("seconds", 120.2)


def test_strangers_are_given_no_more_than_the_owner() -> None:
    own, public = asdict(OWN), asdict(PUBLIC)
    assert all(0 < public[name] <= own[name] for name in own)


def test_each_limit_can_be_set() -> None:
    for limit in fields(Budget):
        assert asdict(PUBLIC.with_limits([f"{limit.name}=7"])) == asdict(PUBLIC) | {limit.name: 7}


@pytest.mark.parametrize("text", ["", "images", "images=", "images=0", "images=-1", "images=1.5", "beauty=1", "hold=1", "images=" + "9" * 400])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ResGenError, match="NAME=NUMBER with one of images,"):
        OWN.with_limits([text])


def test_the_documentation_has_every_limit() -> None:
    told = (Path(__file__).parents[1] / "docs" / "security.md").read_text()
    rows = [
        f"| `{limit.name}` | {limit.metadata['words']} | {asdict(OWN)[limit.name]:,} | {asdict(PUBLIC)[limit.name]:,} |" for limit in fields(Budget)
    ]
    assert "\n| --- | --- | ---: | ---: |\n" + "\n".join(rows) + "\n\n" in told
