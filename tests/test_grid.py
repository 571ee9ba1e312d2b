import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resgen import grid
from resgen.errors import RecipeError
from resgen.plates import Plate
from resgen.recipe import Recipe

IMAGES = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), dtype=np.uint8)


def plate(count: int, columns: int, scale: int = 1, row_labels: tuple[str, ...] = (), column_labels: tuple[str, ...] = ()) -> Plate:
    return Plate(IMAGES[:count], columns, scale, tuple(f"image {i}" for i in range(count)), row_labels, column_labels)


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


def test_a_png_carries_its_recipe(tmp_path: Path) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(1, 5), truncation=0.5)
    path = tmp_path / "grid.png"
    path.write_bytes(grid.png_bytes(grid.compose(plate(2, 2)), recipe, "ab" * 32))
    assert grid.read_recipe(path) == (recipe, "ab" * 32)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    assert grid.read_recipe(tmp_path / "recipe.json") == (recipe, "")


def test_files_without_a_recipe_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "bare.png")
    (tmp_path / "noise.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe{")
    for name in ("bare.png", "noise.png", "bad.json", "missing.png"):
        with pytest.raises(RecipeError, match=name.split(".")[0]):
            grid.read_recipe(tmp_path / name)


def test_a_zip_holds_each_image_with_a_recipe_of_its_own(tmp_path: Path) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(4, 9))
    tiles = (recipe.alone(0), recipe.alone(1))
    made = Plate(IMAGES[:2], 2, 1, ("cat, seed 4", "dog, seed 9"), tiles=tiles)
    with zipfile.ZipFile(io.BytesIO(grid.zip_bytes(made, recipe, ""))) as archive:
        assert archive.namelist() == ["0000-cat-seed4.png", "0001-dog-seed9.png", "recipe.json"]
        archive.extractall(tmp_path)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "0001-dog-seed9.png")), IMAGES[1])
    assert grid.read_recipe(tmp_path / "0001-dog-seed9.png")[0] == Recipe(checkpoint="tiny", seeds=(9,), columns=1, scale=1)


def test_a_picture_too_large_to_be_useful_is_refused() -> None:
    with pytest.raises(RecipeError, match="pixels"):
        grid.compose(Plate(np.zeros((3000, 8, 8, 3), np.uint8), 1, 1, ("",) * 3000))


def test_an_unwritable_place_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecipeError, match="could not be written"):
        grid.write_atomically(tmp_path / "file" / "grid.png", b"x")
