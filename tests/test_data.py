import io
import os
import time
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from resgen import data as module
from resgen.data import DOWNLOADED, ImageSet, describe_source, difference, load_and_tell, load_images, open_picture
from resgen.errors import DataError
from tests.conftest import with_pipes


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_downloaded_set_keeps_its_split_labels_and_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five images in place of the download, as torchvision holds those of each set."""
    asked: list[bool] = []
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)

    def colour(folder: Path, train: bool, download: bool) -> Any:
        asked.append(train)
        return SimpleNamespace(data=pixels, targets=[3, 0, 1, 3, 2], classes=["airplane", "automobile", "bird", "cat"])

    def grey(folder: Path, train: bool, download: bool) -> Any:
        asked.append(train)
        classes = ["T-shirt/top", "Trouser", "Pullover", "Ankle boot"]
        return SimpleNamespace(data=torch.from_numpy(pixels[:, :28, :28, 0].copy()), targets=torch.tensor([3, 0, 1, 3, 2]), classes=classes)

    monkeypatch.setattr(datasets, "CIFAR10", colour)
    monkeypatch.setattr(datasets, "FashionMNIST", grey)
    train, test, small = load_images([name]), load_images([name], train=False), load_images([name], resolution=16)
    is_grey, side = name == "fashion-mnist", 28 if name == "fashion-mnist" else 32
    assert asked == [True, False, True] and train.labels.tolist() == test.labels.tolist() == [3, 0, 1, 3, 2] and train.labels.dtype == np.int64
    assert train.classes == (("t-shirt", "trouser", "pullover", "ankle-boot") if is_grey else ("airplane", "automobile", "bird", "cat"))
    assert train.images.shape == (5, 3, side, side) and train.is_grey == is_grey and small.images.shape == (5, 3, 16, 16)
    assert np.array_equal(train.images[:, 0], pixels[:, :side, :side, 0])


def test_a_set_that_cannot_be_downloaded_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "CIFAR10", lambda *_, **__: (_ for _ in ()).throw(OSError("no route")))
    with pytest.raises(DataError, match="cifar10 could not be downloaded; check the network"):
        load_images(["cifar10"])


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


def test_colours_count_wherever_they_are() -> None:
    grey, coloured = np.full((2500, 3, 2, 2), 7, np.uint8), np.full((2500, 3, 2, 2), 7, np.uint8)
    coloured[1500:, 0] = 200
    assert ImageSet(grey, np.zeros(2500, int), ("a",)).is_grey and not ImageSet(coloured, np.zeros(2500, int), ("a",)).is_grey


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


def test_what_macos_lays_beside_images_is_skipped(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "x.png")
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.write(tmp_path / "x.png", "cats/x.png")
        for name in ("__MACOSX/cats/._x.png", "cats/._x.png", "__MACOSX/x.png"):
            archive.writestr(name, b"no picture")
    data = load_images([str(tmp_path / "mac.zip")])
    assert len(data.images) == 1 and data.classes == ("cats",)


def test_numbers_sort_as_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1, 0):
        (tmp_path / f"{number}-class{number}").mkdir()
        for index in (10, 9):
            Image.new("L", (2, 2), 20 * number + index).save(tmp_path / f"{number}-class{number}" / f"{index}.png")
    data = load_images([str(tmp_path)])
    assert data.classes == ("class0", "class1", "class2", "class10")
    assert data.images[:, 0, 0, 0].tolist() == [9, 10, 29, 30, 49, 50, 209, 210]


def test_two_folders_of_one_class_are_refused(tmp_path: Path) -> None:
    for folder in ("1-a", "2-a"):
        (tmp_path / folder).mkdir()
        Image.new("L", (2, 2)).save(tmp_path / folder / "x.png")
    with pytest.raises(DataError, match="'1-a' and '2-a'"):
        load_images([str(tmp_path)])


@with_pipes
def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path: Path) -> None:
    """Of a class in which none can be, the class too."""
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
    for name in ("a/2.png", "a/10.png", "c/1.png"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    (tmp_path / "a" / "3.png").write_bytes((tmp_path / "a" / "2.png").read_bytes()[:50])
    (tmp_path / "b" / "1.png").write_bytes(b"no picture")
    os.mkfifo(tmp_path / "c" / "2.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "c" / "3.png", "PPM")
    found = load_images([str(tmp_path)])
    assert found.skipped == ("a/3.png", "b/1.png", "c/2.png", "c/3.png")
    assert found.classes == ("a", "c") and found.labels.tolist() == [0, 0, 1] and found.images.shape == (3, 3, 4, 4)


def test_pictures_of_other_endings_are_counted_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a telephone's, beside those that are read; where there are no others, they are what is wrong."""
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for name in ("a/1.heic", "a/2.HEIC", "a/3.avif", "__MACOSX/a/._4.heic", "a/table.csv"):
            archive.writestr(name, b"no picture that is read")
    with pytest.raises(DataError, match=r"it holds 2 \.heic, 1 \.avif: convert them first.*\.jpg"):
        load_images([str(tmp_path / "some.zip")])
    Image.new("L", (4, 4)).save(tmp_path / "5.jfif", "JPEG")
    with zipfile.ZipFile(tmp_path / "some.zip", "a") as archive:
        archive.write(tmp_path / "5.jfif", "a/5.jfif")
    found = load_and_tell([str(tmp_path / "some.zip")])
    assert len(found.images) == 1 and found.unread == ("2 .heic", "1 .avif") and "2 .heic, 1 .avif are left out" in caplog.text


@pytest.mark.parametrize("whole", [True, False])
def test_a_zip_is_closed_when_its_images_are_read(shapes_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    opened = list[zipfile.ZipFile]()
    archives = zipfile.ZipFile
    monkeypatch.setattr(module.zipfile, "ZipFile", lambda path: opened.append(archives(path)) or opened[-1])
    if whole:
        load_images([str(shapes_zip)])
    else:
        with pytest.raises(DataError, match="neither a folder"):
            load_images([str(shapes_zip), str(tmp_path / "missing")])
    assert [archive.fp for archive in opened] == [None]


def test_a_card_names_who_made_the_images_and_known_sets_keep_theirs() -> None:
    assert describe_source("holiday") == {"name": "holiday", "author": "not stated", "licence": "not stated"}
    assert describe_source("holiday", "Ann", "CC0") == {"name": "holiday", "author": "Ann", "licence": "CC0"}
    assert describe_source("fruits", licence="CC0") == {**describe_source("fruits"), "licence": "CC0"}
    assert describe_source("fruits")["author"] != "not stated"


def test_a_single_class_is_none_and_others_are_named_where_they_differ() -> None:
    assert difference(("photos",), ("held",)) == difference(("photos",), ()) == difference(("a", "b"), ("a", "b")) == ""
    assert difference(("a", "b"), ("b", "a")) == "they come in another order"
    assert difference(("a", "b", "c"), ("a", "b", "d")) == "only one of them has c, d"
    assert difference(("a", "b"), ("photos",)) == "only one of them has a, b"
    assert difference(tuple("abcdefgh"), ("a", "b")) == "only one of them has c, d, e and more"


@pytest.mark.parametrize("damage", ["sum", "password", "cut", "large"])
def test_damaged_zips_are_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/x.png", buffer.getvalue())
    whole = bytearray((tmp_path / "x.zip").read_bytes())
    if damage == "sum":
        whole[whole.find(b"IDAT") + 6] ^= 255
    elif damage == "password":
        whole[6] |= 1
        whole[whole.find(b"PK\1\2") + 8] |= 1
    elif damage == "cut":
        del whole[40:100]
    else:
        monkeypatch.setattr(module, "MAX_PICTURE_BYTES", 50)
    (tmp_path / "x.zip").write_bytes(whole)
    with pytest.raises(DataError) as raised:
        load_images([str(tmp_path / "x.zip")])
    assert "\n" not in raised.value.args[0] and "x" in str(raised.value)


def test_pictures_that_make_a_set_too_large_ask_for_a_resolution(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("L", (1500, 1200)).save(tmp_path / "a" / "x.png")
    with pytest.raises(DataError, match="--resolution"):
        load_images([str(tmp_path)])
    assert load_images([str(tmp_path)], 8).images.shape == (1, 3, 8, 8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"])
def test_pictures_of_all_modes_are_opened_or_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (3, 2)).save(tmp_path / "x.tif")
    try:
        assert open_picture(tmp_path / "x.tif").mode in ("RGB", "RGBA")
    except DataError as error:
        assert mode == "LAB" and "cannot be read" in str(error)


def test_a_picture_for_which_there_is_no_memory_is_not_called_a_bad_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (3, 2)).save(tmp_path / "x.png")

    def short(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", short)
    with pytest.raises(MemoryError):
        open_picture(tmp_path / "x.png")


def test_of_processes_that_want_one_set_one_downloads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the same time each would write to the files that another one reads."""
    begun = list[Path]()

    class Kept:
        classes, targets, data = ("a",), [0, 0], np.zeros((2, 4, 4, 3), np.uint8)

        def __init__(self, folder: Path, train: bool, download: bool) -> None:
            if not (folder / "whole").exists():
                begun.append(folder)
                (folder / "half").touch(exist_ok=False)
                time.sleep(0.05)
                (folder / "half").rename(folder / "whole")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Kept)
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    with ThreadPoolExecutor(4) as pool:
        sets = list(pool.map(lambda _: load_images(["cifar10"]), range(4)))
    assert [len(found.labels) for found in sets] == [2] * 4 and begun == [tmp_path / "cache"]


def test_a_set_takes_its_memory_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for index in range(60):
            buffer = io.BytesIO()
            Image.new("RGB", (128, 128), (index, 0, 0)).save(buffer, "PNG")
            archive.writestr(f"a/{index}.png", buffer.getvalue())
    load_images([str(tmp_path / "set.zip")])
    tracemalloc.start()
    data = load_images([str(tmp_path / "set.zip")])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.5 * data.images.nbytes and data.images[:, 0, 5, 5].tolist() == list(range(60))
