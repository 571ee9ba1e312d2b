import io
import json
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import pytest
from PIL import Image

from resgen import grid
from resgen.composite import Walk
from resgen.errors import RecipeError
from resgen.notes import read_recipe
from resgen.recipe import Recipe
from tests.conftest import with_pipes

PIXEL = Image.new("RGB", (1, 1))
WALK = Walk(stops=(Recipe(seeds=(1,)), Recipe(seeds=(2,))))


def test_a_recipe_alone_is_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(WALK.to_json())
    assert read_recipe(tmp_path / "recipe.json") == (WALK, "")
    (tmp_path / "odd.json").write_text(json.dumps({"seeds": "1", "checkpoint_sha256": 7}))
    assert read_recipe(tmp_path / "odd.json") == (Recipe(seeds=(1,)), "")
    (tmp_path / "odd.json").write_text(json.dumps({"seeds": "1", "checkpoint_sha256": {"a": "00", "b": 7}}))
    assert read_recipe(tmp_path / "odd.json") == (Recipe(seeds=(1,)), {"a": "00"})


def test_a_file_may_be_named_by_text(tmp_path: Path) -> None:
    recipe = Recipe(checkpoint="cat", seeds=(1,))
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    assert read_recipe(str(tmp_path / "recipe.json")) == (recipe, "")


def test_a_note_after_the_pixels_is_found(tmp_path: Path) -> None:
    data = grid.png_bytes(PIXEL, WALK, "")
    start = data.index(b"iTXt") - 4
    length = int.from_bytes(data[start : start + 4], "big") + 12
    note, end = data[start : start + length], data.index(b"IEND") - 4
    moved = data[:start] + data[start + length : end] + note + data[end:]
    (tmp_path / "late.png").write_bytes(moved)
    assert moved.index(b"IDAT") < moved.index(b"iTXt") and read_recipe(tmp_path / "late.png")[0] == WALK


def plain_animation(kind: str) -> bytes:
    buffer = io.BytesIO()
    PIXEL.save(buffer, kind, save_all=True, append_images=[Image.new("RGB", (1, 1), "red")])
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("bare.png", None),
        ("noise.png", b"\x89PNG\r\n\x1a\n" + bytes(99)),
        ("bad.json", b"\xff\xfe{"),
        ("list.json", b"[]"),
        ("text.mp4", b"ffconcat version 1.0\nfile other.mp4\n"),
        ("noise.mp4", bytes(1000)),
        ("bare.gif", plain_animation("GIF")),
        ("bare.webp", plain_animation("WEBP")),
        ("noise.gif", b"GIF89a" + bytes(20)),
        ("short.gif", b"GIF89a"),
        ("cut.gif", b"GIF89a" + bytes(7) + b"!\xfe\x09abc"),
        ("long.gif", b"GIF89a" + bytes(7) + b"!\xfe" + (b"\xff" + bytes(255)) * 17_000),
        ("box.mp4", b"\0\0\0\x10moov\0\0\0\xffudta"),
        ("long.json", b"[" + b"[]," * 1_500_000),
        ("riff.webp", b"RIFF\0\0\0\0WEBPXMP \xff\xff\xff\xff{"),
        ("photo.jpg", b"\xff\xd8\xff" + bytes(50)),
        ("empty.png", b""),
        ("missing.png", None),
    ],
)
def test_files_without_a_recipe_are_refused_in_one_sentence(tmp_path: Path, name: str, data: bytes | None) -> None:
    if name == "bare.png":
        PIXEL.save(tmp_path / name)
    elif data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(RecipeError) as raised:
        read_recipe(tmp_path / name)
    assert "\n" not in raised.value.args[0] and str(tmp_path) not in str(raised.value)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"tEXt", b"resgen\0" + WALK.to_json().encode()),
        chunk(b"zTXt", b"resgen\0\0" + zlib.compress(WALK.to_json().encode())),
        chunk(b"iTXt", b"resgen\0\1\0en\0\0" + zlib.compress(WALK.to_json().encode())),
        chunk(b"tEXt", b"resgen2\0{}") + chunk(b"iTXt", b"resgen\0\0\0\0\0" + WALK.to_json().encode()),
    ],
)
def test_other_programs_may_write_a_note_in_other_chunks(tmp_path: Path, text: bytes) -> None:
    whole = io.BytesIO()
    PIXEL.save(whole, "PNG")
    (tmp_path / "x.png").write_bytes(whole.getvalue()[:33] + text + whole.getvalue()[33:])
    assert read_recipe(tmp_path / "x.png")[0] == WALK


def test_a_note_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(50_000_000))
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", b"resgen\0\0" + packed))
    tracemalloc.start()
    with pytest.raises(RecipeError, match="too large"):
        read_recipe(tmp_path / "x.png")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_no_pixel_is_decoded_to_find_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a picture says it has."""
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a decoder was asked"))
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0)
    note = chunk(b"iTXt", b"resgen\0\0\0\0\0" + WALK.to_json().encode())
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"none") + note)
    assert read_recipe(tmp_path / "x.png")[0] == WALK


@with_pipes
def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for path in (tmp_path / "pipe.json", tmp_path):
        with pytest.raises(RecipeError, match="is not a file"):
            read_recipe(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_jpeg_is_a_picture_without_a_recipe(tmp_path: Path, name: str) -> None:
    """Under its own ending or that of the PNG that it was."""
    PIXEL.save(tmp_path / name, "JPEG")
    with pytest.raises(RecipeError, match=f"{name} holds no recipe"):
        read_recipe(tmp_path / name)
