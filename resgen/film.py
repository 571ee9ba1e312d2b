"""A walk -> MP4, GIF or animated WebP, with the walk's recipe inside; drawn, encoded and written frame by frame."""

import io
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.GifImagePlugin import getdata, getheader

from resgen.budget import MAX_FILM_PIXELS
from resgen.composite import Walk
from resgen.errors import RecipeError
from resgen.notes import sign
from resgen.plates import stream_frames
from resgen.sampler import Sampler
from resgen.work import Work

MOST_GIF_FPS = 50  # a GIF counts hundredths of a second, and browsers slow down what changes after one

Step = Iterator[None]  # one for each frame
Encoder = Callable[[Iterator[Image.Image], int, str, BinaryIO], Step]


def write_film(walk: Walk, sampler: Sampler, suffix: str, out: BinaryIO) -> Work[None]:
    """Write a walk to ``out`` as a '.mp4', '.gif' or '.webp' film that carries it. Raises RecipeError.

    A GIF has at most `MOST_GIF_FPS` frames a second.
    """
    check_suffix(suffix)
    drawn = walk.changed(fps=min(walk.fps, MOST_GIF_FPS)) if suffix == ".gif" else walk
    side = sampler.card.arch.resolution * walk.scale
    side += side % 2  # films hold colours at half the resolution, so their sides must be even
    if drawn.frames * side**2 > MAX_FILM_PIXELS:
        millions = f"{drawn.frames * side**2 / 1e6:.0f} million pixels; at most {MAX_FILM_PIXELS / 1e6:.0f}"
        raise RecipeError(f"This film would have {millions} are made: choose a smaller size, fewer seconds or frames a second.")
    pictures = (_enlarge(frame, side) for frame in stream_frames(drawn, sampler))
    for done, _ in enumerate(_ENCODERS[suffix](pictures, drawn.fps, sign(walk, sampler.checkpoint.sha256), out), start=1):
        yield done, drawn.frames


def check_suffix(suffix: str) -> None:
    """Raise RecipeError where films are not written as files with such an ending."""
    if suffix not in _ENCODERS:
        raise RecipeError(f"Films are written as {', '.join(_ENCODERS)}; {suffix[:10] or 'no ending'} is none of them.")


def _enlarge(frame: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS)


def _encode_mp4(pictures: Iterator[Image.Image], fps: int, note: str, out: BinaryIO) -> Step:
    # One thread: with several, the same frames became another file once in a thousand times.
    return _encode_av(pictures, fps, out, "mp4", "libx264", {"crf": "16", "preset": "fast", "threads": "1"}, note)


def _encode_webp(pictures: Iterator[Image.Image], fps: int, note: str, out: BinaryIO) -> Step:
    buffer = io.BytesIO()
    yield from _encode_av(pictures, fps, buffer, "webp", "libwebp_anim", {"quality": "90", "compression_level": "3"})
    out.write(_with_xmp(buffer.getvalue(), note.encode()))


def _encode_av(
    pictures: Iterator[Image.Image], fps: int, out: BinaryIO, container_format: str, codec: str, options: dict[str, str], note: str = ""
) -> Step:
    import av

    opened: Any = av.open(out, "w", format=container_format, options={"loop": "0"} if container_format == "webp" else {})
    with opened as container:
        if note:
            container.metadata["comment"] = note
        stream: Any = container.add_stream(codec, rate=Fraction(fps), options=options)
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.width, stream.height = picture.size
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
            yield
        container.mux(stream.encode())


def _with_xmp(film: bytes, note: bytes) -> bytes:
    """A WebP with ``note`` as its XMP chunk, and the flag that says so (WebP container specification).

    Where all frames are equal, the encoder has written a picture, without the chunk for flags.
    """
    chunks = film[12:]  # after 'RIFF', size, 'WEBP'
    if not chunks.startswith(b"VP8X"):
        with Image.open(io.BytesIO(film)) as picture:
            width, height = ((side - 1).to_bytes(3, "little") for side in picture.size)
        chunks = b"VP8X" + struct.pack("<I", 10) + bytes(4) + width + height + chunks
    flags_at = 8  # after 'VP8X', size
    body = b"WEBP" + chunks[:flags_at] + bytes([chunks[flags_at] | 0x04]) + chunks[flags_at + 1 :]
    body += b"XMP " + struct.pack("<I", len(note)) + note + b"\0" * (len(note) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _encode_gif(pictures: Iterator[Image.Image], fps: int, note: str, out: BinaryIO) -> Step:
    """Frames with a palette each. Their times are whole hundredths of a second, longer and shorter by turns where fps asks for it."""
    for number, picture in enumerate(pictures):
        frame = picture.quantize(256)
        if number == 0:
            header, _ = getheader(frame, info={"comment": note.encode(), "loop": 0, "duration": 0})
            out.writelines(header)
        hundredths = round(100 * (number + 1) / fps) - round(100 * number / fps)
        out.writelines(getdata(frame, duration=10 * hundredths, include_color_table=True))
        yield
    out.write(b";")


_ENCODERS: dict[str, Encoder] = {".mp4": _encode_mp4, ".gif": _encode_gif, ".webp": _encode_webp}
