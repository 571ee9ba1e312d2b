"""Images -> one labelled picture; PNG files that carry their recipe; zips of single images."""

import io
import json
import math
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from resgen.errors import RecipeError
from resgen.recipe import Recipe

CHUNK = "resgen"
GAP = 2  # pixels between images
BACKGROUND = (24, 24, 27)
INK = (228, 228, 231)
MAX_SIDE = 20_000  # pixels of a picture's longer side
MAX_RECIPE_FILE = 64_000_000  # bytes


def grid_shape(recipe: Recipe, count: int) -> tuple[int, int]:
    """(rows, columns) of a recipe's picture: one row per class where classes are listed."""
    columns = len(recipe.seeds) if len(recipe.classes) > 1 else min(recipe.columns, count)
    return math.ceil(count / columns), columns


def compose(images: np.ndarray, recipe: Recipe) -> Image.Image:
    """Images uint8 [N, H, W, 3] -> the picture of a recipe, rows of several classes labelled. Raises RecipeError if too large."""
    rows, columns = grid_shape(recipe, len(images))
    side = images.shape[1] * recipe.scale
    labels = recipe.classes if len(recipe.classes) > 1 else ()
    font = ImageFont.load_default(size=max(10, min(18, side // 3)))
    margin = max((math.ceil(font.getlength(label)) + 12 for label in labels), default=0)
    size = (margin + columns * (side + GAP) - GAP, rows * (side + GAP) - GAP)
    if max(size) > MAX_SIDE:
        raise RecipeError(f"The picture would be {size[0]} x {size[1]} pixels; choose fewer images or a smaller display size.")
    picture = Image.new("RGB", size, BACKGROUND)
    for index, pixels in enumerate(images):
        tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(tile, (margin + index % columns * (side + GAP), index // columns * (side + GAP)))
    draw = ImageDraw.Draw(picture)
    for row, label in enumerate(labels):
        draw.text((margin - 6, row * (side + GAP) + side / 2), label, INK, font, anchor="rm")
    return picture


def sprite(images: np.ndarray, columns: int) -> Image.Image:
    """Images uint8 [N, H, W, 3] edge to edge at their own size, for a browser to enlarge."""
    rows = math.ceil(len(images) / columns)
    padded = np.concatenate([images, np.zeros((rows * columns - len(images), *images.shape[1:]), np.uint8)])
    height, width = images.shape[1:3]
    tiled = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return Image.fromarray(tiled.reshape(rows * height, columns * width, 3))


def png_bytes(picture: Image.Image, recipe: Recipe, sha256: str) -> bytes:
    """A PNG with the recipe and the checkpoint's SHA-256 in its text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, json.dumps({**recipe.to_dict(), "checkpoint_sha256": sha256}))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def zip_bytes(images: np.ndarray, seeds: Sequence[int], labels: Sequence[str], recipe: Recipe, sha256: str) -> bytes:
    """Every image as a PNG of its own, and recipe.json, in one zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in image_files(images, seeds, labels, recipe, sha256):
            archive.writestr(name, data)
        archive.writestr("recipe.json", json.dumps({**recipe.to_dict(), "checkpoint_sha256": sha256}, indent=2))
    return buffer.getvalue()


def image_files(images: np.ndarray, seeds: Sequence[int], labels: Sequence[str], recipe: Recipe, sha256: str) -> list[tuple[str, bytes]]:
    """(file name, PNG) of each image at its own size, each with the recipe that draws it alone."""
    files = []
    for index, (pixels, seed, label) in enumerate(zip(images, seeds, labels, strict=True)):
        alone = recipe.alone(int(seed), label)
        stem = "-".join(filter(None, (f"{index:04}", label, f"seed{seed}")))
        files.append((f"{stem}.png", png_bytes(Image.fromarray(pixels), alone, sha256)))
    return files


def read_recipe(path: Path) -> tuple[Recipe, str]:
    """The recipe, and the checkpoint's SHA-256 or '', of a ResGen PNG or a JSON file. Raises RecipeError."""
    try:
        if path.stat().st_size > MAX_RECIPE_FILE:
            raise RecipeError(f"{path.name} is too large to hold a recipe.")
        text = path.read_text(encoding="utf-8") if path.suffix.lower() == ".json" else _text_chunk(path)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise RecipeError(f"{path.name} cannot be read as a PNG or a JSON recipe.") from error
    recipe = Recipe.from_json(text)
    sha256 = json.loads(text).get("checkpoint_sha256", "")
    return recipe, sha256 if isinstance(sha256, str) else ""


def _text_chunk(path: Path) -> str:
    with Image.open(path, formats=["PNG"]) as picture:
        picture.load()  # text chunks may follow the pixels
        text = getattr(picture, "text", {}).get(CHUNK)
    if not text:
        raise RecipeError(f"{path.name} holds no recipe: it was not made by ResGen, or was saved again by another program.")
    return text


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
