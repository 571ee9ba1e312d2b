"""Pictures, films and links of the first version: they open, and what they hold draws what they show."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resgen.composite import AnatomyOf, Comparison, Recipe, StyleMix, Walk, read_query
from resgen.grid import compose
from resgen.library import SHIPPED, Library
from resgen.notes import read_recipe
from resgen.plates import draw
from resgen.work import finish

FOLDER = Path(__file__).parent / "made_before"
LINKS: dict[str, str] = json.loads((FOLDER / "links.json").read_text())
FILES = sorted(path.name for path in FOLDER.iterdir() if path.suffix != ".json")
TYPES = {"mix": StyleMix, "walk": Walk, "walk-w": Walk, "compare": Comparison, "anatomy": AnatomyOf}


@pytest.fixture(scope="module")
def shipped() -> Library:
    return Library(SHIPPED, "cpu")


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_the_recipe_of_its_link(name: str, shipped: Library) -> None:
    recipe, noted = read_recipe(FOLDER / name)
    assert recipe == read_query(LINKS[Path(name).stem]) and type(recipe) is TYPES.get(Path(name).stem, Recipe)
    assert noted and not shipped.replaced(recipe, noted), "the checkpoint is the one that drew it"


def test_each_thing_that_a_recipe_could_hold_is_among_them() -> None:
    assert {Path(name).stem for name in FILES} == set(LINKS)
    simple = [recipe for link in LINKS.values() if isinstance(recipe := read_query(link), Recipe)]
    used = {name for recipe in simple for name in recipe.changes()}
    assert used == set(Recipe.model_fields) - {"variation_path", "plane_rows"}  # these are younger
    assert read_query(LINKS["directions"]).directions == (("pc1", 8.0), ("pc9", -1.25))  # type: ignore[union-attr]
    assert [name for name, _ in read_query(LINKS["class-mix"]).class_mix] == ["cat", "dog", "frog", "horse", "ship"]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".png")])
def test_a_picture_is_drawn_as_it_was(name: str, shipped: Library) -> None:
    """Its images are; letters beside and above them may be others, in as much room."""
    recipe, _ = read_recipe(FOLDER / name)
    plate = finish(draw(recipe, shipped.sampler))
    then = np.asarray(Image.open(FOLDER / name).convert("RGB"))
    assert compose(plate).size == then.shape[1::-1]
    images = np.asarray(compose(replace(plate, row_labels=(), column_labels=()))).astype(int)
    height, width, _ = images.shape
    assert abs(images - then[-height:, -width:]).max() <= 2
