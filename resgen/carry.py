"""Recipes inside files: the note in a PNG, MP4, GIF or WebP, or a JSON file, written and read in one place."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

from PIL import Image, PngImagePlugin

from resgen.composite import SIGNATURE, AnyRecipe, read
from resgen.errors import RecipeError

CHUNK = "resgen"  # of a PNG
MAX_RECIPE_FILE = 64_000_000  # bytes
MAX_NOTED_PIXELS = 120_000_000  # of a picture whose pixels must be passed over to reach the note


def sign(recipe: AnyRecipe, sha256: str, indent: int | None = None) -> str:
    """The note that a file made by ResGen carries: the recipe's JSON with the checkpoint's SHA-256."""
    return json.dumps({**recipe.to_dict(), SIGNATURE: sha256}, indent=indent)


def png_note(note: str) -> PngImagePlugin.PngInfo:
    """A note as a PNG's text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, note)
    return info


def read_recipe(path: Path) -> tuple[AnyRecipe, str]:
    """The recipe, and the checkpoint's SHA-256 or '', of a picture or film made by ResGen or a JSON file. Raises RecipeError."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise RecipeError(f"{path.name} is not a file.")
        if found.st_size > MAX_RECIPE_FILE:
            raise RecipeError(f"{path.name} is too large to hold a recipe.")
        note = _READERS.get(path.suffix.lower(), _png_chunk)(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecipeError(f"{path.name} cannot be read as a picture, a film or a JSON recipe.") from error
    if not note:
        raise RecipeError(f"{path.name} holds no recipe: it was not made by ResGen, or was saved again by another program.")
    recipe = read(note)
    sha256 = json.loads(note).get(SIGNATURE, "")
    return recipe, sha256 if isinstance(sha256, str) else ""


def _png_chunk(path: Path) -> str:
    with Image.open(path, formats=["PNG"]) as picture:
        if CHUNK not in picture.info:
            if picture.width * picture.height > MAX_NOTED_PIXELS:
                raise RecipeError(f"{path.name} is too large a picture to look for a recipe in.")
            picture.load()  # text chunks may follow the pixels
        return str(picture.info.get(CHUNK, ""))


def _animation_note(path: Path) -> str:
    with Image.open(path, formats=["GIF", "WEBP"]) as picture:
        note = picture.info.get("comment") or picture.info.get("xmp") or b""
    return note.decode("utf-8", "replace") if isinstance(note, bytes) else str(note)


def _film_note(path: Path) -> str:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), format="mp4") as container:  # the format named: others open files that a text names
            return container.metadata.get("comment", "")
    except FFmpegError as error:
        raise ValueError("not a film") from error


def _json_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


_READERS: dict[str, Callable[[Path], str]] = {".json": _json_text, ".mp4": _film_note, ".gif": _animation_note, ".webp": _animation_note}
