"""The budget: how much is taken of whatever comes from outside, in one place.

First what files, links and recipes may hold to be read at all: the same for everyone, since it belongs to the formats. Then what a studio gives
to one request and to all of them: `OWN` on one's own machine, `PUBLIC` for strangers, each limit settable by `--limit NAME=NUMBER`. All of it is
checked before anything is allocated.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from resgen.errors import RecipeError, ResGenError

# Of a recipe.
MAX_SEEDS = 100_000  # images
MAX_UNDRAWN = 1000  # seeds of a recipe of one image, which may have some beside its latent
MAX_LATENTS = 64
MAX_LATENT_BYTES = 65_536
MAX_OWN_DIRECTIONS = 8
MAX_OWN_NAME = 40  # characters of the name of one
MAX_DIRECTIONS = 256  # at once
MAX_BLOCKS = 64
MAX_STOPS = 32  # of a walk
MAX_FRAMES = 1800
MAX_COMPARED = 12  # checkpoints
MAX_QUERY = 200_000  # characters of a link

# Of work, where nobody says how much.
USUAL_STEPS = 400  # of a search for the latent of a picture
USUAL_MANY, USUAL_KEPT = 200, 24  # seeds among which the best are looked for, and those

# Of a file.
MAX_NOTE = 4_000_000  # bytes of a recipe: as Python's objects they may take twenty times as many
MAX_PARTS = 50_000  # that are passed over to find it
MAX_PICTURE_PIXELS = 60_000_000
MAX_PICTURE_BYTES = 300_000_000

# Of a network, and of what it learns from.
MAX_RESOLUTION = 1024  # pixels a side
MAX_WIDTH = 4096  # channels, or numbers of a latent
MAX_CLASSES = 20_000

# Of a checkpoint.
MAX_HEADER = 5_000_000  # bytes: as Python's objects they may take twenty times as many
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
MAX_FACTS = 200  # entries of a table on a card
MAX_ROWS, MAX_CURVES = 1000, 12  # of a history
MAX_STAGES = 100
MAX_EARLIER = 1000

# Of what is made.
MAX_GRID_PIXELS = 100_000_000  # of a picture: three hundred megabytes while it is made
MAX_SIDE = 60_000  # pixels; beyond it image viewers and encoders fail
MAX_FILM_PIXELS = 500_000_000  # frames x area


_PASSED = "There are {amount:,.0f} {words}; at most {most:,} are possible here"


def _limit(default: int, words: str, remedy: str, passed: str = _PASSED) -> Any:
    """A settable limit: what it counts, what to do where it is passed, and how that is said."""
    return field(default=default, metadata={"words": words, "remedy": remedy, "passed": passed})


_FEWER = "ask for fewer; the command line draws more"
_SHORTER = "make the recipe shorter"


@dataclass(frozen=True)
class Budget:
    """What a studio gives; every limit is a whole number of at least 1."""

    images: int = _limit(400, "images in a request", _FEWER)
    pixels: int = _limit(50_000_000, "pixels in a request (images x area)", _FEWER)
    saved_pixels: int = _limit(MAX_GRID_PIXELS, "pixels in a saved picture", "choose fewer images or a smaller size")
    frames: int = _limit(MAX_FRAMES, "frames in a film", "choose fewer seconds or frames a second")
    film_pixels: int = _limit(MAX_FILM_PIXELS, "pixels in a film (frames x area)", "choose a smaller size, fewer seconds or frames a second")
    vector: int = _limit(MAX_LATENT_BYTES // 2, "numbers in a latent or direction", "use those that this generator gave")
    edits: int = _limit(MAX_SEEDS, "images with directions of their own", _SHORTER)
    directions: int = _limit(MAX_DIRECTIONS, "directions at once", _SHORTER)
    characters: int = _limit(MAX_NOTE, "characters in a recipe", _SHORTER)
    reply_characters: int = _limit(100_000_000, "characters in a reply (recipe x images)", "ask for fewer images or make the recipe shorter")
    candidates: int = _limit(1000, "images to choose from, or steps of a search", "ask for fewer")
    upload_pixels: int = _limit(MAX_PICTURE_PIXELS, "pixels in a picture sent", "make it smaller first")
    upload_bytes: int = _limit(50_000_000, "bytes in a file sent", "send a smaller one")
    request_bytes: int = _limit(20_000_000, "bytes in a request without a file", "send less at once")
    disk: int = _limit(20_000_000_000, "bytes of files kept for visitors", "try again in an hour")
    waiting: int = _limit(500, "requests waiting", "try again")
    waiting_each: int = _limit(100, "requests of one visitor waiting", "wait until they are answered")
    seconds: int = _limit(
        3600, "seconds of work in a request", "ask for less at once", "This takes more than {most:,} seconds of work, the most that is possible here"
    )
    megabytes: int = _limit(4000, "megabytes for one request's images", "ask for fewer or smaller images")

    def check(self, name: str, amount: float, remedy: str = "") -> None:
        """Raise RecipeError with the limit and what to do, the usual or a ``remedy`` of its own, where ``amount`` passes the limit called ``name``."""
        most, told = getattr(self, name), _WORDS[name]
        if amount > most:
            raise RecipeError(f"{told['passed'].format(amount=amount, most=most, words=told['words'])}: {remedy or told['remedy']}.")

    def with_limits(self, texts: Iterable[str]) -> "Budget":
        """The same with others of its limits, each as NAME=NUMBER. Raises ResGenError."""
        return replace(self, **dict(map(_read_limit, texts)))


def _read_limit(text: str) -> tuple[str, int]:
    matched = re.fullmatch(r"(\w+)=(\d{1,15})", text, re.ASCII)
    if not matched or matched[1] not in _WORDS or int(matched[2]) < 1:
        raise ResGenError(f"{text[:40]!r} is no limit: write NAME=NUMBER with one of {', '.join(_WORDS)}.")
    return matched[1], int(matched[2])


_WORDS = {limit.name: limit.metadata for limit in fields(Budget)}
OWN = Budget()
IMPORTING = replace(OWN, upload_bytes=512_000_000)  # a StyleGAN snapshot with all of its networks has up to 400 MB
PUBLIC = Budget(
    images=400, pixels=30_000_000, saved_pixels=25_000_000, frames=600, film_pixels=150_000_000, vector=16_384, edits=400, directions=64,
    characters=200_000, reply_characters=20_000_000, candidates=1000, upload_pixels=25_000_000, upload_bytes=20_000_000, request_bytes=2_000_000, disk=4_000_000_000, waiting=100, waiting_each=20, seconds=120, megabytes=700,
)  # fmt: skip
