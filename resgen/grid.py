"""A plate -> one labelled picture; PNG files that carry their recipe; zips of single images."""

import io
import json
import math
import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from resgen.composite import AnyRecipe, read
from resgen.errors import RecipeError
from resgen.film import read_note
from resgen.plates import Plate

CHUNK = "resgen"
GAP = 2  # pixels between images
BACKGROUND = (24, 24, 27)
INK = (228, 228, 231)
MAX_SIDE = 20_000  # pixels of a picture's longer side
MAX_RECIPE_FILE = 64_000_000  # bytes


def compose(plate: Plate) -> Image.Image:
    """The picture of a plate, its rows and columns labelled. Raises RecipeError where it would be too large to be useful."""
    side = plate.images.shape[1] * plate.scale
    rows = math.ceil(len(plate.images) / plate.columns)
    letters = max(10, min(18, side // 3))
    font = ImageFont.load_default(size=letters)
    margin = max((math.ceil(font.getlength(label)) + 12 for label in plate.row_labels), default=0)
    head = letters + 10 if plate.column_labels else 0
    size = (margin + plate.columns * (side + GAP) - GAP, head + rows * (side + GAP) - GAP)
    if max(size) > MAX_SIDE:
        raise RecipeError(f"The picture would be {size[0]} x {size[1]} pixels; choose fewer images or a smaller display size.")
    picture = Image.new("RGB", size, BACKGROUND)
    origin = (margin, head)
    for index, pixels in enumerate(plate.images):
        tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(tile, (origin[0] + index % plate.columns * (side + GAP), origin[1] + index // plate.columns * (side + GAP)))
    draw = ImageDraw.Draw(picture)
    for row, label in enumerate(plate.row_labels):
        draw.text((margin - 6, origin[1] + row * (side + GAP) + side / 2), label, INK, font, anchor="rm")
    for column, label in enumerate(plate.column_labels):
        draw.text((origin[0] + column * (side + GAP) + side / 2, head / 2), label, INK, font, anchor="mm")
    return picture


def sprite(plate: Plate) -> Image.Image:
    """A plate's images edge to edge at their own size, for a browser to enlarge."""
    images, columns = plate.images, plate.columns
    rows = math.ceil(len(images) / columns)
    padded = np.concatenate([images, np.zeros((rows * columns - len(images), *images.shape[1:]), np.uint8)])
    height, width = images.shape[1:3]
    tiled = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return Image.fromarray(tiled.reshape(rows * height, columns * width, 3))


def signed_json(recipe: AnyRecipe, sha256: str, indent: int | None = None) -> str:
    """The recipe's JSON with the checkpoint's SHA-256: what a file made by ResGen carries."""
    return json.dumps({**recipe.to_dict(), "checkpoint_sha256": sha256}, indent=indent)


def png_bytes(picture: Image.Image, recipe: AnyRecipe, sha256: str) -> bytes:
    """A PNG with the recipe and the checkpoint's SHA-256 in its text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, signed_json(recipe, sha256))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def zip_bytes(plate: Plate, recipe: AnyRecipe, sha256: str) -> bytes:
    """Every image as a PNG of its own, and recipe.json, in one zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in image_files(plate, sha256):
            archive.writestr(name, data)
        archive.writestr("recipe.json", signed_json(recipe, sha256, indent=2))
    return buffer.getvalue()


def image_files(plate: Plate, sha256: str) -> list[tuple[str, bytes]]:
    """(file name, PNG) of each image at its own size, each with the recipe that draws it alone."""
    files = []
    for index, (pixels, caption, alone) in enumerate(zip(plate.images, plate.captions, plate.tiles, strict=True)):
        if alone is not None:
            words = re.sub(r"[^\w.+-]+", "-", caption.replace("seed ", "seed"), flags=re.ASCII)
            files.append((f"{index:04}-{words}.png", png_bytes(Image.fromarray(pixels), alone, sha256)))
    return files


def read_recipe(path: Path) -> tuple[AnyRecipe, str]:
    """The recipe, and the checkpoint's SHA-256 or '', of a picture or film made by ResGen or a JSON file. Raises RecipeError."""
    readers = {".json": lambda path: path.read_text(encoding="utf-8"), ".mp4": read_note, ".gif": read_note, ".webp": read_note}
    try:
        if path.stat().st_size > MAX_RECIPE_FILE:
            raise RecipeError(f"{path.name} is too large to hold a recipe.")
        text = readers.get(path.suffix.lower(), _text_chunk)(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecipeError(f"{path.name} cannot be read as a picture, a film or a JSON recipe.") from error
    if not text:
        raise RecipeError(f"{path.name} holds no recipe: it was not made by ResGen, or was saved again by another program.")
    recipe = read(text)
    sha256 = json.loads(text).get("checkpoint_sha256", "")
    return recipe, sha256 if isinstance(sha256, str) else ""


def _text_chunk(path: Path) -> str:
    with Image.open(path, formats=["PNG"]) as picture:
        picture.load()  # text chunks may follow the pixels
        return str(getattr(picture, "text", {}).get(CHUNK, ""))


def write_atomically(path: Path, data: bytes) -> None:
    """Write all of ``data`` or nothing."""
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise RecipeError(f"{path} could not be written: {error.strerror or error}.") from error
