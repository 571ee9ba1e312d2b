import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resgen.data import load_images
from resgen.errors import DataError


def test_a_zip_of_class_folders(shapes_zip: Path) -> None:
    data = load_images([str(shapes_zip)])
    assert data.images.shape == (60, 3, 16, 16) and data.classes == ("disc", "square", "stripes")
    assert np.bincount(data.labels).tolist() == [20, 20, 20] and not data.is_grey


def test_a_folder_equals_its_zip(shapes_zip: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shapes_zip) as archive:
        archive.extractall(tmp_path)
    folder, zipped = load_images([str(tmp_path)]), load_images([str(shapes_zip)])
    assert np.array_equal(folder.images, zipped.images) and np.array_equal(folder.labels, zipped.labels)


def test_numbered_folders_keep_the_label_order(tmp_path: Path) -> None:
    for folder in ("0-zebra", "1-ant"):
        (tmp_path / folder).mkdir()
        Image.new("L", (10, 8), 77).save(tmp_path / folder / "a.png")
    data = load_images([str(tmp_path)])
    assert data.classes == ("zebra", "ant") and data.images.shape == (2, 3, 8, 8) and data.is_grey


def test_transparency_lies_on_white_and_sizes_are_made_equal(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGBA", (30, 20), (255, 0, 0, 0)).save(tmp_path / "a" / "clear.png")
    Image.new("RGB", (5, 5), (0, 0, 255)).save(tmp_path / "a" / "small.png")
    images = load_images([str(tmp_path)], resolution=8).images
    assert images.shape == (2, 3, 8, 8) and (images[0] == 255).all() and (images[1, 2] == 255).all()


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "bad" / "a").mkdir(parents=True)
    (tmp_path / "bad" / "a" / "x.png").write_bytes(b"no picture")
    for source in ("empty", "text.txt", "missing", "bad"):
        with pytest.raises(DataError):
            load_images([str(tmp_path / source)])
