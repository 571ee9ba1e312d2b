import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resgen import grid
from resgen.composite import Comparison
from resgen.errors import RecipeError
from resgen.library import Library
from resgen.notes import read_recipe
from resgen.plates import Plate
from resgen.recipe import Recipe
from resgen.sampler import Sampler

IMAGES = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)


def plate(count: int, columns: int, scale: int = 1, row_labels: tuple[str, ...] = (), column_labels: tuple[str, ...] = ()) -> Plate:
    return Plate(IMAGES[:count], columns, scale, tuple(f"image {i}" for i in range(count)), (None,) * count, row_labels, column_labels)


def test_a_picture_holds_its_images_in_reading_order() -> None:
    picture = np.asarray(grid.compose(plate(6, 4)))
    assert picture.shape == (18, 38, 3)
    assert np.array_equal(picture[:8, 10:18], IMAGES[1]) and np.array_equal(picture[10:18, :8], IMAGES[4])


def test_rows_of_classes_are_labelled() -> None:
    picture = np.asarray(grid.compose(plate(6, 3, 4, row_labels=("aeroplane", "cat"))))
    margin = picture.shape[1] - 3 * 34 + 2
    assert picture.shape[0] == 2 * 34 - 2 and margin > 20
    assert picture[:32, :margin].max() > 150, "no letters beside the first row"


def test_columns_are_labelled() -> None:
    picture = np.asarray(grid.compose(plate(6, 3, 4, column_labels=("-3", "0", "+3"))))
    head = picture.shape[0] - 2 * 34 + 2
    assert head > 10 and picture[:head].max() > 150, "no letters above the columns"


@pytest.mark.parametrize("labels", [("cifar10@64000", "fashion", "fruits"), ("m" * 90, "w" * 90, "x")])
def test_labels_of_columns_stay_within_them(labels: tuple[str, ...]) -> None:
    picture = np.asarray(grid.compose(plate(6, 3, 8, column_labels=labels)))
    head = picture[: picture.shape[0] - 2 * 66 + 2]
    assert head.max() > 150 and (head[:, [64, 65, 130, 131]] == grid.BACKGROUND).all(), "letters between two columns"


def test_a_sprite_is_the_images_edge_to_edge() -> None:
    sprite = np.asarray(grid.sprite(plate(5, 4, 3)))
    assert sprite.shape == (16, 32, 3) and np.array_equal(sprite[8:, :8], IMAGES[4]) and not sprite[8:, 8:].any()


def test_a_png_carries_its_recipe(tmp_path: Path) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(1, 5), truncation=0.5)
    path = tmp_path / "grid.png"
    path.write_bytes(grid.png_bytes(grid.compose(plate(2, 2)), recipe, "ab" * 32))
    assert read_recipe(path) == (recipe, "ab" * 32)


def test_a_picture_names_who_drew_it_though_its_recipe_does_not(tiny: Sampler, library: Library, tmp_path: Path) -> None:
    path, comparison = tmp_path / "grid.png", Comparison(recipe=Recipe(seeds=(1,)), checkpoints=("", "plain"))
    asked: list[str] = []

    def sampler_of(name: str) -> Sampler:
        asked.append(name)
        return library.sampler(name or "tiny")

    sha256, other = tiny.checkpoint.sha256, library.sha256("plain")
    path.write_bytes(grid.draw_png(Recipe(seeds=(1,)), sampler_of))
    assert read_recipe(path) == (Recipe(checkpoint="tiny", seeds=(1,)), sha256)
    path.write_bytes(grid.draw_png(comparison, sampler_of))
    assert read_recipe(path) == (comparison.with_checkpoint("tiny"), {"tiny": sha256, "plain": other})
    assert asked == ["", "", "plain"], "each once: the file may be replaced meanwhile"


def test_a_zip_holds_each_image_with_a_recipe_of_its_own(tmp_path: Path) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(4, 9))
    tiles = (recipe.single(0), recipe.single(1))
    made = Plate(IMAGES[:2], 2, 1, ("cat, seed 4", "dog, seed 9"), tiles=tiles)
    with zipfile.ZipFile(io.BytesIO(grid.zip_bytes(made, recipe, lambda name: f"sha of {name}"))) as archive:
        assert archive.namelist() == ["0000-cat-seed4.png", "0001-dog-seed9.png", "recipe.json"]
        archive.extractall(tmp_path)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "0001-dog-seed9.png")), IMAGES[1])
    assert read_recipe(tmp_path / "0001-dog-seed9.png") == (Recipe(checkpoint="tiny", seeds=(9,), columns=1, scale=1), "sha of tiny")
    assert read_recipe(tmp_path / "recipe.json") == (recipe, "sha of tiny")


def test_images_without_a_recipe_of_their_own_are_no_files() -> None:
    made = Plate(IMAGES[:2], 2, 1, ("corner", "cat"), tiles=(None, Recipe(checkpoint="tiny", seeds=(1,))))
    files = grid.image_files(made, str)
    assert next(files)[0] == "0001-cat.png" and next(files, None) is None, "one by one"


@pytest.mark.parametrize(("caption", "words"), [("cat, seed 7", "cat-seed7"), ("../../etc", "..-..-etc"), ("salt & pepper, é", "salt-pepper")])
def test_captions_become_parts_of_file_names(caption: str, words: str) -> None:
    assert grid.file_words(caption) == words and "/" not in words


@pytest.mark.parametrize("columns", [1, 100])
def test_the_area_of_a_picture_is_bounded_and_not_only_its_sides(columns: int) -> None:
    images = np.zeros((10_000, 8, 8, 3), np.uint8)
    with pytest.raises(RecipeError, match=r"pixels; choose fewer images or a smaller size; where rows are no classes, other columns"):
        grid.compose(Plate(images, columns, 16, ("",) * 10_000, (None,) * 10_000))
