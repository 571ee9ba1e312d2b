"""A walk's frames -> MP4, GIF or animated WebP, with the walk's recipe inside."""

import io
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from resgen.composite import Walk
from resgen.errors import RecipeError

Encoder = Callable[[list[Image.Image], int, str], bytes]


def encode(frames: np.ndarray, walk: Walk, sha256: str, suffix: str) -> bytes:
    """Frames uint8 [F, H, W, 3] -> the bytes of a '.mp4', '.gif' or '.webp' film; the walk and the checkpoint's hash are noted in it.

    Raises RecipeError for another suffix.
    """
    if suffix not in _ENCODERS:
        raise RecipeError(f"Films are written as {', '.join(_ENCODERS)}; {suffix or 'no ending'} is none of them.")
    side = frames.shape[1] * walk.scale
    side += side % 2  # films hold colours at half the resolution, so their sides must be even
    pictures = [Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS) for frame in frames]
    note = json.dumps({**walk.to_dict(), "checkpoint_sha256": sha256})
    return _ENCODERS[suffix](pictures, walk.fps, note)


def _encode_mp4(pictures: list[Image.Image], fps: int, note: str) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["comment"] = note
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "16", "preset": "fast"})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return buffer.getvalue()


def _encode_gif(pictures: list[Image.Image], fps: int, note: str) -> bytes:
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=1000 / fps, loop=0, comment=note.encode())
    return buffer.getvalue()


def _encode_webp(pictures: list[Image.Image], fps: int, note: str) -> bytes:
    buffer = io.BytesIO()
    options = {"duration": round(1000 / fps), "loop": 0, "quality": 90, "method": 3, "xmp": note.encode()}
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], **options)
    return buffer.getvalue()


_ENCODERS: dict[str, Encoder] = {".mp4": _encode_mp4, ".gif": _encode_gif, ".webp": _encode_webp}


def read_note(path: Path) -> str:
    """The JSON inside a film, '' where there is none; raises OSError or ValueError where the file cannot be read."""
    if path.suffix.lower() == ".mp4":
        import av
        from av.error import FFmpegError

        try:
            with av.open(str(path)) as container:
                return container.metadata.get("comment", "")
        except FFmpegError as error:
            raise ValueError("not a film") from error
    with Image.open(path, formats=["GIF", "WEBP"]) as picture:
        note = picture.info.get("comment") or picture.info.get("xmp") or b""
    return note.decode("utf-8", "replace") if isinstance(note, bytes) else str(note)
