"""Recipes inside files: the note in a PNG, MP4, GIF or WebP, or a JSON file, written and read in one place.

Strangers send such files. To read a note no picture is decoded: the parts of a file are passed over by their lengths.
"""

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import PngImagePlugin

from resgen.budget import MAX_NOTE, MAX_PARTS
from resgen.composite import SIGNATURE, AnyRecipe, Comparison, Signature, read
from resgen.errors import RecipeError
from resgen.fields import is_table
from resgen.files import open_plain

CHUNK = "resgen"  # of a PNG
COMMENT_OF_FILM = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")  # boxes, each in the one before


def signature(recipe: AnyRecipe, sha256_of: Callable[[str], str]) -> Signature:
    """What identifies the checkpoints that drew a recipe; ``sha256_of`` a checkpoint's name."""
    return {name: sha256_of(name) for name in recipe.checkpoints} if isinstance(recipe, Comparison) else sha256_of(recipe.checkpoint)


def sign(recipe: AnyRecipe, signature: Signature, indent: int | None = None) -> str:
    """The note that a file made by ResGen carries: the recipe's JSON, and what identifies the checkpoints that drew it, where that is known."""
    return json.dumps({**recipe.to_dict(), **({SIGNATURE: signature} if signature else {})}, indent=indent)


def png_note(note: str) -> PngImagePlugin.PngInfo:
    """A note as a PNG's text chunk."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(CHUNK, note)
    return info


def read_recipe(source: str | os.PathLike[str]) -> tuple[AnyRecipe, Signature]:
    """The recipe, and what identifies the checkpoints that drew it or '', of a picture or film made by ResGen or a JSON file. Raises RecipeError."""
    path = Path(source)
    if not os.path.isfile(path):
        raise RecipeError(f"{path.name} is not a file." if os.path.exists(path) else f"There is no file {path.name}.")
    try:
        with open_plain(path) as file:
            note = _READERS.get(path.suffix.lower(), _png_note)(file)
        if len(note) > MAX_NOTE:
            raise RecipeError(f"{path.name} is too large to hold a recipe.")
        text = note.decode()
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise RecipeError(f"{path.name} cannot be read as a picture, a film or a JSON recipe.") from error
    if not text:
        raise RecipeError(f"{path.name} holds no recipe: it was not made by ResGen, or was saved again by another program.")
    recipe = read(text)
    noted = json.loads(text).get(SIGNATURE)
    if is_table(noted):
        return recipe, {name: sha256 for name, sha256 in noted.items() if isinstance(sha256, str)}
    return recipe, noted if isinstance(noted, str) else ""


# The note in a file of each kind, b'' where there is none; at most a little more than MAX_NOTE is read. They raise ValueError.


def _json_note(file: BinaryIO) -> bytes:
    return file.read(MAX_NOTE + 1)


def _png_note(file: BinaryIO) -> bytes:
    """Chunks: length, kind, data, checksum. A JPEG has none, under whatever name."""
    start = file.read(8)
    if start.startswith(b"\xff\xd8\xff"):
        return b""
    if start != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG")
    for _ in range(MAX_PARTS):
        start = file.read(8)
        if len(start) < 8:
            break
        length, kind = struct.unpack(">I4s", start)
        unpack = _PNG_TEXTS.get(kind)
        data = file.read(min(length, MAX_NOTE + 100)) if unpack else b""
        if unpack and data.startswith(CHUNK.encode() + b"\0"):
            return unpack(data[len(CHUNK) + 1 :])
        file.seek(length - len(data) + 4, 1)
        if kind == b"IEND":
            break
    return b""


def _plain_text(data: bytes) -> bytes:
    return data.decode("latin-1").encode()


def _packed_text(data: bytes) -> bytes:
    """After a byte for the method: text that is compressed."""
    return _plain_text(_unpack(data[1:]))


def _international_text(data: bytes) -> bytes:
    """After two bytes, of which the first tells whether it is compressed, and the names of a language and of the keyword in it: the text."""
    _, _, rest = data[2:].partition(b"\0")
    _, _, text = rest.partition(b"\0")
    return _unpack(text) if data[:1] == b"\1" else text


def _unpack(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, MAX_NOTE + 1)


_PNG_TEXTS: dict[bytes, Callable[[bytes], bytes]] = {b"tEXt": _plain_text, b"zTXt": _packed_text, b"iTXt": _international_text}


def _webp_note(file: BinaryIO) -> bytes:
    """Chunks: kind, length, data, one byte more where that makes the length even."""
    riff, kind = file.read(4), file.read(8)[4:]
    if riff != b"RIFF" or kind != b"WEBP":
        raise ValueError("not a WebP")
    for _ in range(MAX_PARTS):
        kind, length = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
        if kind == b"XMP ":
            return file.read(min(length, MAX_NOTE + 1))
        if not length:
            break
        file.seek(length + length % 2, 1)
    return b""


def _gif_note(file: BinaryIO) -> bytes:
    """The comment before the first frame. Blocks: an exclamation mark, a label, parts of up to 255 bytes each with its length before it, an empty one."""
    start = file.read(13)
    if len(start) < 13 or start[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("not a GIF")
    if start[10] & 0x80:
        file.seek(3 * 2 ** (start[10] % 8 + 1), 1)  # the palette
    for _ in range(MAX_PARTS):
        mark, label = file.read(1), file.read(1)
        if mark != b"!":
            break
        block = b"".join(_gif_parts(file))
        if label == b"\xfe":
            return block
    return b""


def _gif_parts(file: BinaryIO) -> Iterator[bytes]:
    for _ in range(MAX_NOTE // 255 + 1):
        length = file.read(1)
        if not (part := file.read(length[0]) if length else b""):
            return
        yield part
    yield bytes(MAX_NOTE)  # longer than any note


def _film_note(file: BinaryIO) -> bytes:
    begin, end = 0, file.seek(0, 2)
    for kind in COMMENT_OF_FILM:
        begin, end = _find_box(file, begin, end, kind)
        begin += 4 if kind == b"meta" else 8 if kind == b"data" else 0  # version; type and language
    file.seek(begin)
    return file.read(max(0, min(end - begin, MAX_NOTE + 1)))


def _find_box(file: BinaryIO, begin: int, end: int, wanted: bytes) -> tuple[int, int]:
    """Where the inside of the first box of a kind begins and ends, among those between two places; an empty place at the end where there is none.

    Boxes: length with these eight bytes, kind, inside. A length of 1 tells that eight more bytes tell it, one of 0 that it reaches to the end.
    """
    for _ in range(MAX_PARTS):
        if begin + 8 > end:
            break
        file.seek(begin)
        length, kind = struct.unpack(">I4s", file.read(8))
        inside = begin + 8
        if length == 1:
            length, inside = struct.unpack(">Q", file.read(8))[0], begin + 16
        after = begin + length if length else end
        if not inside <= after <= end:
            raise ValueError("a box does not fit in the one around it")
        if kind == wanted:
            return inside, after
        begin = after
    return end, end


_READERS: dict[str, Callable[[BinaryIO], bytes]] = {".json": _json_note, ".mp4": _film_note, ".gif": _gif_note, ".webp": _webp_note}
NOTED = (".png", *_READERS)  # endings of files that a recipe may be in
