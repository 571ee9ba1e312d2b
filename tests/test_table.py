"""Tables of what images show: each row is of the image that its 'file' names, whatever the order, or the table is refused."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resgen.data import load_images
from resgen.errors import DataError
from resgen.train.table import read_rows


def draw(folder: Path, files: Sequence[str]) -> str:
    """A folder of images, each of another grey: the number of its file."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (2, 2), int(Path(file).stem)).save(folder / file)
    return str(folder)


def table_of(path: Path, files: Sequence[str]) -> Path:
    """A table that tells the grey of each image, the last first."""
    path.write_text("\n".join(["file,grey", *(f"{file},{int(Path(file).stem)}" for file in reversed(files))]))
    return path


@pytest.mark.parametrize("names", ["in its source", "in all sources", "alone"])
def test_rows_are_in_the_order_of_the_images_of_all_sources(tmp_path: Path, names: str) -> None:
    """By as much of the end of each one's path as the table tells; that of the sources is not that of their names."""
    old, new = ("b/10.png", "b/9.png", "c/20.png"), ("b/7.png", "a/30.png", "c/1.png")
    data = load_images([draw(tmp_path / "old", old), draw(tmp_path / "new", new)])
    files = {
        "in its source": [*old, *new],
        "in all sources": [f"{source}/{file}" for source, own in (("old", old), ("new", new)) for file in own],
        "alone": [Path(file).name for file in (*old, *new)],
    }[names]
    rows = read_rows(table_of(tmp_path / "t.csv", files), 6, data.names)
    assert [int(row["grey"] or 0) for row in rows] == data.images[:, 0, 0, 0].tolist() == [9, 10, 20, 30, 7, 1]


def test_zips_and_folders_of_one_class_have_tables_too(shapes_zip: Path, tmp_path: Path) -> None:
    zipped, folder = load_images([str(shapes_zip)]), load_images([draw(tmp_path / "train" / "a", ["00000.png", "00001.png"])])
    files = [f"{name}/{index:03}.png" for name in zipped.classes for index in range(20)]
    assert [row["file"] for row in read_rows(table_of(tmp_path / "t.csv", files), 60, zipped.names)] == files
    assert len(read_rows(table_of(tmp_path / "t.csv", ["a/00000.png", "a/00001.png"]), 2, folder.names)) == 2


@pytest.mark.parametrize(
    ("files", "missed"),
    [
        (["a/1.png", "a/2.png", "b/3.png"], "b/4.png"),  # of another set, as long
        (["a/1.png", "a/2.png", "b/04.png"], "b/4.png"),
        (["a/1.png", "a/2.png", "xb/4.png"], "b/4.png"),  # the end of a name is no name
        (["1.png", "a/1.png", "b/4.png"], "a/2.png"),
    ],
)
def test_a_table_of_other_images_is_refused(tmp_path: Path, files: list[str], missed: str) -> None:
    data = load_images([draw(tmp_path / "set", ["a/1.png", "a/2.png", "b/4.png"])])
    with pytest.raises(DataError, match=rf"t\.csv has no row of its own for '.*set/{missed}': ") as said:
        read_rows(table_of(tmp_path / "t.csv", files), 3, data.names)
    assert "\n" not in said.value.args[0]


def test_images_that_the_table_does_not_tell_apart_are_refused(tmp_path: Path) -> None:
    data = load_images([draw(tmp_path / source, ["a/1.png"]) for source in ("old", "new")])
    table = table_of(tmp_path / "t.csv", ["a/1.png", "a/1.png"])
    with pytest.raises(DataError, match=r"tells of 'a/1\.png' twice"):
        read_rows(table, 2, data.names)
    with pytest.raises(DataError, match=r"no row of its own for '.*new/a/1\.png'"):
        read_rows(table_of(table, ["a/1.png", "a/2.png"]), 2, data.names)


def test_images_without_names_are_told_of_in_the_natural_order_of_files(tmp_path: Path) -> None:
    rows = read_rows(table_of(tmp_path / "t.csv", ["2.png", "10.png", "1.png"]), 3)
    assert [row["grey"] for row in rows] == ["1", "2", "10"]


def test_a_table_that_begins_with_a_byte_order_mark_is_read_as_any(tmp_path: Path) -> None:
    """As Excel writes UTF-8."""
    path = table_of(tmp_path / "t.csv", ["1.png", "2.png"])
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert [row["grey"] for row in read_rows(path, 2)] == ["1", "2"]


def test_names_are_of_the_images_that_could_be_read(tmp_path: Path) -> None:
    source = draw(tmp_path / "set", ["a/1.png", "a/2.png", "a/3.png"])
    (tmp_path / "set" / "a" / "2.png").write_bytes(b"no picture")
    data = load_images([source])
    assert data.names == (f"{source}/a/1.png", f"{source}/a/3.png") and data.skipped == ("a/2.png",)
    assert np.array_equal(data.images[:, 0, 0, 0], [1, 3])
