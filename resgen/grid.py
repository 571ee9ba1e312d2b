"""A plate -> one labelled picture, a sprite for the page, single images in a zip."""

import io
import math
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from resgen.budget import MAX_GRID_PIXELS, MAX_SIDE
from resgen.composite import AnyRecipe, Signature, painters
from resgen.errors import RecipeError
from resgen.notes import png_note, sign, signature
from resgen.plates import Plate, SamplerOf, draw
from resgen.work import finish

GAP = 2  # pixels between images
BACKGROUND = (24, 24, 27)
INK = (228, 228, 231)
LEAST_LETTERS = 10  # pixels: smaller ones cannot be read

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def check_size(width: int, height: int) -> None:
    """Raises RecipeError where a picture would be too large to be useful."""
    if width * height > MAX_GRID_PIXELS or max(width, height) > MAX_SIDE:
        raise RecipeError(
            f"The picture would be {width:,} x {height:,} pixels; choose fewer images or a smaller size; where rows are no classes, other columns help too."
        )


def compose(plate: Plate) -> Image.Image:
    """The picture of a plate, its rows and columns labelled. Raises RecipeError where it would be too large to be useful."""
    side = plate.images.shape[1] * plate.scale
    rows = math.ceil(len(plate.images) / plate.columns)
    letters = max(LEAST_LETTERS, min(18, side // 3))
    font = ImageFont.load_default(size=letters)
    margin = max((math.ceil(font.getlength(label)) + 12 for label in plate.row_labels), default=0)
    head = letters + 10 if plate.column_labels else 0
    size = (margin + plate.columns * (side + GAP) - GAP, head + rows * (side + GAP) - GAP)
    check_size(*size)
    picture = Image.new("RGB", size, BACKGROUND)
    origin = (margin, head)
    for index, pixels in enumerate(plate.images):
        tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(tile, (origin[0] + index % plate.columns * (side + GAP), origin[1] + index // plate.columns * (side + GAP)))
    draw, narrow = ImageDraw.Draw(picture), _font_within(plate.column_labels, side, letters)
    for row, label in enumerate(plate.row_labels):
        draw.text((margin - 6, origin[1] + row * (side + GAP) + side / 2), label, INK, font, anchor="rm")
    for column, label in enumerate(plate.column_labels):
        words = _shortened(label, narrow, side)
        draw.text((origin[0] + column * (side + GAP) + side / 2, head / 2), words, INK, narrow, anchor="mm")
    return picture


def _font_within(labels: Sequence[str], width: int, letters: int) -> Font:
    """The largest font of up to ``letters`` pixels in which all labels fit into ``width``; where none does, the smallest that can be read."""
    fonts = [ImageFont.load_default(size=size) for size in range(letters, LEAST_LETTERS - 1, -1)]
    return next((font for font in fonts if all(font.getlength(label) <= width for label in labels)), fonts[-1])


def _shortened(label: str, font: Font, width: int) -> str:
    """A label, its end left out as far as it is too long."""
    fits = (label, *(f"{label[:end]}..." for end in range(len(label) - 1, 0, -1)), "")
    return next(words for words in fits if font.getlength(words) <= width)


def sprite(plate: Plate) -> Image.Image:
    """A plate's images edge to edge at their own size, for a browser to enlarge."""
    images, columns = plate.images, plate.columns
    rows = math.ceil(len(images) / columns)
    padded = np.concatenate([images, np.zeros((rows * columns - len(images), *images.shape[1:]), np.uint8)])
    height, width = images.shape[1:3]
    tiled = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return Image.fromarray(tiled.reshape(rows * height, columns * width, 3))


def png_bytes(picture: Image.Image, recipe: AnyRecipe, signature: Signature) -> bytes:
    """A PNG with the recipe, and what identifies the checkpoints that drew it, in its text chunk."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=png_note(sign(recipe, signature)))
    return buffer.getvalue()


def draw_png(recipe: AnyRecipe, sampler_of: SamplerOf) -> bytes:
    """The picture of any recipe, drawn, as a PNG that carries it and names who drew it. Raises ResGenError."""
    samplers = {name: sampler_of(name) for name in painters(recipe)}  # asked for once: a file may be replaced meanwhile
    if not recipe.checkpoint:
        name = samplers[""].card.name
        recipe, samplers[name] = recipe.with_checkpoint(name), samplers[""]
    plate = finish(draw(recipe, samplers.__getitem__))
    return png_bytes(compose(plate), recipe, signature(recipe, lambda name: samplers[name].checkpoint.sha256))


def zip_bytes(plate: Plate, recipe: AnyRecipe, sha256_of: Callable[[str], str]) -> bytes:
    """Every image as a PNG of its own, and recipe.json, in one zip; ``sha256_of`` a checkpoint's name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in image_files(plate, sha256_of):
            archive.writestr(name, data)
        archive.writestr("recipe.json", sign(recipe, signature(recipe, sha256_of), indent=2))
    return buffer.getvalue()


def image_files(plate: Plate, sha256_of: Callable[[str], str]) -> Iterator[tuple[str, bytes]]:
    """(file name, PNG) of each image at its own size, each with the recipe that draws it alone."""
    for index, (pixels, caption, alone) in enumerate(zip(plate.images, plate.captions, plate.tiles, strict=True)):
        if alone is not None:
            yield f"{index:04}-{file_words(caption)}.png", png_bytes(Image.fromarray(pixels), alone, sha256_of(alone.checkpoint))


def file_words(caption: str) -> str:
    """A caption as a part of a file's name: 'cat, seed 7' -> 'cat-seed7'."""
    return re.sub(r"[^\w.+-]+", "-", caption.replace("seed ", "seed"), flags=re.ASCII).strip("-")
