"""Every kind of recipe, by every way it travels: what comes back is equal."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from PIL import Image

from resgen import film
from resgen.composite import AnyRecipe, Walk, read, read_query
from resgen.grid import png_bytes
from resgen.notes import read_recipe, sign
from tests import strategies

SHA256 = "ab" * 32
PIXEL = Image.new("RGB", (1, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


def write_small_film(path: Path, recipe: AnyRecipe) -> Path:
    """Two frames of one colour each, with the note that a film of ``recipe`` carries."""
    pictures: Iterator[Image.Image] = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    with path.open("wb") as file:
        for _ in film._ENCODERS[path.suffix](pictures, 10, sign(recipe, SHA256), file):
            pass
    return path


@pytest.mark.parametrize("kind", strategies.KINDS)
def test_json_links_and_files_give_every_kind_of_recipe_back(kind: str, folder: Path) -> None:
    @given(strategies.KINDS[kind])
    def check(recipe: AnyRecipe) -> None:
        assert read(recipe.to_json()) == recipe
        assert read_query(recipe.to_query()) == recipe == read_query("__theme=dark&" + recipe.to_query())
        (folder / "a.png").write_bytes(png_bytes(PIXEL, recipe, SHA256))
        assert read_recipe(folder / "a.png") == (recipe, SHA256)
        (folder / "a.json").write_text(sign(recipe, SHA256, indent=2))
        assert read_recipe(folder / "a.json") == (recipe, SHA256)
        if isinstance(recipe, Walk):
            assert read_recipe(write_small_film(folder / "a.gif", recipe)) == (recipe, SHA256)

    check()


@pytest.mark.parametrize("suffix", [".mp4", ".webp"])
def test_films_give_their_recipe_back(suffix: str, folder: Path) -> None:
    @settings(max_examples=20)
    @given(strategies.KINDS["walk"])
    def check(recipe: Walk) -> None:
        assert read_recipe(write_small_film(folder / f"a{suffix}", recipe)) == (recipe, SHA256)

    check()
