"""The recipe: everything a picture is a function of, and the one place where user input is checked.

A recipe travels as JSON (files, the PNG's text chunk, the HTTP API) and as a URL query (links).
"""

import base64
import binascii
import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from resgen.errors import RecipeError

MAX_SEED = 2**63 - 1
MAX_SEEDS = 100_000
MAX_SCALE = 16
MAX_LATENTS = 64
MAX_QUERY = 200_000  # characters of a link
MAX_LATENT_BYTES = 65_536
MAX_OWN_DIRECTIONS = 8
PLANE_WIDTH, PLANE_HEIGHT = 1000, 1_000_000  # of the seed plane: the point (x, y) of whole numbers is the seed 1000 y + x
SWEEP_REACH = 3.0  # standard deviations to either side
_OWN_NAME = re.compile(r"[\w -]{1,40}")

Pairs = tuple[tuple[str, float], ...]


def parse_seeds(text: str) -> tuple[int, ...]:
    """'0-15,42' -> (0, 1, ..., 15, 42), in the order given; raises RecipeError with what to write instead."""
    seeds: list[int] = []
    for part in filter(None, re.split(r"[,\s]+", text.strip())):
        match = re.fullmatch(r"(\d{1,19})(?:-(\d{1,19}))?", part, re.ASCII)
        if not match:
            raise RecipeError(f"Seeds: {part[:40]!r} is not a seed; write whole numbers and ranges, such as 0-15,42.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise RecipeError(f"Seeds: the range {part} runs backwards; write {last}-{first}.")
        if last > MAX_SEED:
            raise RecipeError(f"Seeds: {last} is too large; the largest seed is {MAX_SEED}.")
        if last - first >= MAX_SEEDS - len(seeds):
            raise RecipeError(f"Seeds: {part} asks for too many images; at most {MAX_SEEDS:,} fit in one recipe.")
        seeds.extend(range(first, last + 1))
    if not seeds:
        raise RecipeError("Seeds: there are none; write whole numbers and ranges, such as 0-15,42.")
    return tuple(seeds)


def format_seeds(seeds: tuple[int, ...]) -> str:
    """(0, 1, 2, 42) -> '0-2,42': the text that `parse_seeds` reads back."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in runs)


def parse_pairs(text: str, what: str) -> Pairs:
    """'cat=.7,dog=.3' -> (('cat', 0.7), ('dog', 0.3)); ``what`` names the field in an error."""
    pairs = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = part.rpartition("=")
        try:
            pairs.append((name.strip(), float(number)))
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise RecipeError(f"{what}: {part[:40]!r} is not a name with a number; write name=0.5, more of them separated by commas.")
    return tuple(pairs)


def parse_numbers(text: str, what: str) -> list[float]:
    """'1,0.5,2' -> [1, 0.5, 2]; '' -> []; ``what`` names the field in an error."""
    try:
        return [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError as error:
        raise RecipeError(f"{what}: {text[:40]!r} are not numbers separated by commas.") from error


def _format_pairs(pairs: Pairs) -> str:
    return ",".join(f"{name}={value:.10g}" for name, value in pairs)


def pack_vector(values: Sequence[float]) -> str:
    """Numbers -> URL-safe text of their half-precision bytes. Raises RecipeError for a number that half precision cannot hold."""
    try:
        return base64.urlsafe_b64encode(struct.pack(f"<{len(values)}e", *values)).decode().rstrip("=")
    except (OverflowError, struct.error) as error:
        raise RecipeError("A latent holds numbers too large to be written down.") from error


def unpack_vector(text: str) -> tuple[float, ...]:
    """What `pack_vector` packed; raises RecipeError for any other text."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if not data or len(data) > MAX_LATENT_BYTES:
            raise ValueError("a latent has between one and some thousand numbers")
        values = struct.unpack(f"<{len(data) // 2}e", data)
    except (ValueError, binascii.Error, struct.error) as error:
        raise RecipeError(f"{text[:24]!r} is not a latent: copy the whole text that ResGen gave.") from error
    if not all(map(math.isfinite, values)):
        raise RecipeError("A latent holds numbers that are not finite.")
    return values


def _add_pairs(first: Pairs, second: Pairs) -> Pairs:
    """The sums by name, in the order the names first appear."""
    total = dict(first)
    for name, value in second:
        total[name] = total.get(name, 0.0) + value
    return tuple(total.items())


@dataclass(frozen=True)
class Recipe:
    """What to draw: points (seeds, or latents, or a window of the seed plane) x classes x the steps of a sweep.

    Images are ordered class by class, points within, steps of a sweep innermost. Raises RecipeError on creation
    where a value is out of range; whether names exist in the checkpoint is known, and checked, when it is rendered.
    """

    checkpoint: str = ""
    seeds: tuple[int, ...] = tuple(range(16))  # each 0..2^63-1
    latents: tuple[str, ...] = ()  # packed w of images, drawn in place of the seeds: they bring their class with them
    plane: tuple[float, float, float] | None = None  # x, y, step: columns x columns points about (x, y), in place of the seeds
    classes: tuple[str, ...] = ()  # one row of points each; empty: each seed draws its own
    class_mix: Pairs = ()  # (class, share): one mixture for all images
    truncation: float = 1.0  # psi, 0..1.5: 0 is the class's mean image
    directions: Pairs = ()  # (name, -10..10 standard deviations)
    own_directions: tuple[tuple[str, str], ...] = ()  # (name, packed offset of w): directions beside the checkpoint's
    edits: tuple[tuple[int, Pairs], ...] = ()  # (place of a row or image, directions added to it alone)
    sweep: str = ""  # a direction: each image becomes a row of `columns` images, from -3 to 3 standard deviations
    residual_gains: tuple[float, ...] = ()  # 0..2 for each block's residual branch; empty: all 1
    variation_of: int | None = None  # seeds become variations of this seed
    variation_strength: float = 0.3  # 0..1: how far variations go
    columns: int = 8  # 1..100
    scale: int = 3  # 1..16: enlargement of each image

    def __post_init__(self) -> None:
        self._check_points()
        self._check_classes()
        if self.count > MAX_SEEDS:
            raise RecipeError(f"This makes {self.count:,} images; at most {MAX_SEEDS:,} fit in one recipe: give fewer seeds, classes or columns.")
        self._check_range("Truncation", self.truncation, 0, 1.5)
        self._check_range("Variation strength", self.variation_strength, 0, 1)
        self._check_range("Columns", self.columns, 2 if self.sweep else 1, 100)
        self._check_range("Display size", self.scale, 1, MAX_SCALE)
        for name, value in (*self.directions, *(pair for _, pairs in self.edits for pair in pairs)):
            self._check_range(f"Direction {name}", value, -10, 10)
        for index, gain in enumerate(self.residual_gains):
            self._check_range(f"Residual gain of block {index + 1}", gain, 0, 2)
        if len(self.own_directions) > MAX_OWN_DIRECTIONS:
            raise RecipeError(f"Directions: at most {MAX_OWN_DIRECTIONS} of your own fit in one recipe.")
        for name, packed in self.own_directions:
            if not _OWN_NAME.fullmatch(name):
                raise RecipeError(f"Directions: {name[:40]!r} is not a name; use up to 40 letters, digits, spaces, - and _.")
            unpack_vector(packed)

    def _check_points(self) -> None:
        if not self.seeds or len(self.seeds) > MAX_SEEDS:
            raise RecipeError(f"Seeds: give between 1 and {MAX_SEEDS:,}.")
        for seed in (*self.seeds, *(() if self.variation_of is None else (self.variation_of,))):
            if not 0 <= seed <= MAX_SEED:
                raise RecipeError(f"Seeds: {seed} is outside 0..{MAX_SEED}.")
        if len(self.latents) > MAX_LATENTS:
            raise RecipeError(f"Latents: at most {MAX_LATENTS} fit in one recipe.")
        for latent in self.latents:
            unpack_vector(latent)
        if self.plane is not None:
            if len(self.plane) != 3:
                raise RecipeError("Plane: give x, y and step.")
            for what, value, low, high in zip(("x", "y", "step"), self.plane, (0, 0, 0), (PLANE_WIDTH, PLANE_HEIGHT, 10), strict=True):
                self._check_range(f"Plane {what}", value, low, high)
        if sum(map(bool, (self.latents, self.plane is not None, self.variation_of is not None))) > 1:
            raise RecipeError("Choose one of latents, the seed plane and variations of a seed.")

    def _check_classes(self) -> None:
        if self.classes and self.class_mix:
            raise RecipeError("Classes: choose either classes or a class mix, not both.")
        if self.latents and (self.classes or self.class_mix):
            raise RecipeError("Classes: latents bring their class with them; leave the class empty.")
        for name, share in self.class_mix:
            self._check_range(f"Class mix of {name}", share, 0, 1000)
        if self.class_mix and not any(share for _, share in self.class_mix):
            raise RecipeError("Class mix: every share is zero; raise at least one.")

    @staticmethod
    def _check_range(what: str, value: float, low: float, high: float) -> None:
        if not math.isfinite(value) or not low <= value <= high:
            raise RecipeError(f"{what}: {value:g} is outside {low:g}..{high:g}.")

    # Its images.

    @property
    def points(self) -> int:
        """How many different latents there are before classes and a sweep multiply them."""
        return len(self.latents) or (self.columns**2 if self.plane is not None else len(self.seeds))

    @property
    def count(self) -> int:
        """How many images there are."""
        return self.points * max(1, len(self.classes)) * (self.columns if self.sweep else 1)

    @property
    def sweep_amounts(self) -> tuple[float, ...]:
        """Standard deviations along a row of a sweep; (0,) without one."""
        if not self.sweep:
            return (0.0,)
        return tuple(SWEEP_REACH * (2 * step / (self.columns - 1) - 1) for step in range(self.columns))

    @property
    def plane_points(self) -> tuple[tuple[float, float], ...]:
        """The (x, y) of each point of the plane's window, row by row."""
        assert self.plane is not None
        x, y, step = self.plane
        offsets = [(place - (self.columns - 1) / 2) * step for place in range(self.columns)]
        return tuple((x + dx, y + dy) for dy in offsets for dx in offsets)

    def alone(self, index: int) -> "Recipe":
        """The recipe of one of its images, by its place."""
        row, step = divmod(index, len(self.sweep_amounts))
        label, point = divmod(row, self.points)
        swept: Pairs = ((self.sweep, self.sweep_amounts[step]),) if self.sweep else ()
        plane = self.plane and (*(v % size for v, size in zip(self.plane_points[point], (PLANE_WIDTH, PLANE_HEIGHT), strict=True)), self.plane[2])
        return replace(
            self,
            seeds=self.seeds if self.latents or self.plane else (self.seeds[point],),
            latents=self.latents[point : point + 1],
            plane=plane,
            classes=self.classes[label : label + 1],
            directions=_add_pairs(_add_pairs(self.directions, dict(self.edits).get(row, ())), swept),
            edits=(),
            sweep="",
            columns=1,
            scale=1,
        )

    # JSON.

    def to_dict(self) -> dict[str, Any]:
        """Only what differs from the defaults, and always the checkpoint and, where they are drawn, the seeds (as text)."""
        default, values = asdict(Recipe()), asdict(self)
        values = {key: value for key, value in values.items() if value != default[key]} | {"checkpoint": self.checkpoint}
        if self.latents or self.plane is not None:
            values.pop("seeds", None)
            return values
        return {**values, "seeds": format_seeds(self.seeds)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """Read a recipe from untrusted JSON; raises RecipeError."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError("This is not a recipe: its JSON cannot be read.") from error
        return cls.from_dict(raw)

    @classmethod
    def from_dict(cls, raw: object) -> "Recipe":
        """Read a recipe from untrusted parsed JSON; raises RecipeError."""
        if not isinstance(raw, dict):
            raise RecipeError("This is not a recipe: it must be a JSON object.")
        if unknown := set(raw) - {field.name for field in fields(cls)} - {"checkpoint_sha256"}:
            raise RecipeError(f"The recipe has settings that this version does not know: {', '.join(sorted(map(str, unknown)))[:200]}.")
        values = {name: _read_field(name, value) for name, value in raw.items() if name != "checkpoint_sha256"}
        return cls(**values)

    # URL query.

    def to_query(self) -> str:
        """The part of a link after '?'."""
        values = self.to_dict()
        for name, pack in _PACKERS.items():
            if name in values:
                values[name] = pack(values[name])
        return urlencode(values)

    @classmethod
    def from_query(cls, query: str) -> "Recipe":
        """Read the part of a link after '?'; names that are not a recipe's are passed over. Raises RecipeError."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, text in parse_qsl(query[:MAX_QUERY]):
            if name in known:
                values[name] = _UNPACKERS.get(name, _number)(text)
        return cls.from_dict(values)


def _number(text: str) -> float | int:
    try:
        return int(text) if re.fullmatch(r"\d{1,19}", text, re.ASCII) else float(text)
    except ValueError as error:
        raise RecipeError(f"The link holds {text[:40]!r} where a number is needed.") from error


def _numbers(text: str) -> list[float | int]:
    return [_number(part) for part in text.split(",")]


def _format_numbers(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:.10g}" for number in numbers)


def parse_edits(text: str) -> list[tuple[int, Pairs]]:
    """'3:pc1=2;5:pc2=-1' -> ((3, (('pc1', 2.0),)), (5, (('pc2', -1.0),))); raises RecipeError."""
    edits = []
    for part in filter(None, text.split(";")):
        place, _, pairs = part.partition(":")
        if not re.fullmatch(r"\d{1,6}", place, re.ASCII):
            raise RecipeError(f"Edits: {part[:40]!r} does not begin with the place of an image and a colon, such as 3:pc1=2.")
        edits.append((int(place), parse_pairs(pairs, "Edits")))
    return edits


_PACKERS = {
    "latents": ",".join,
    "plane": _format_numbers,
    "classes": ",".join,
    "class_mix": _format_pairs,
    "directions": _format_pairs,
    "own_directions": lambda own: ",".join(f"{name}={packed}" for name, packed in own),
    "edits": lambda edits: ";".join(f"{place}:{_format_pairs(pairs)}" for place, pairs in edits),
    "residual_gains": _format_numbers,
}
_UNPACKERS = {
    "checkpoint": str,
    "seeds": str,
    "latents": lambda text: text.split(","),
    "plane": _numbers,
    "classes": lambda text: text.split(","),
    "class_mix": lambda text: parse_pairs(text, "Class mix"),
    "directions": lambda text: parse_pairs(text, "Directions"),
    "own_directions": lambda text: [part.split("=", 1) for part in text.split(",")],
    "edits": parse_edits,
    "sweep": str,
    "residual_gains": _numbers,
}


def _read_field(name: str, value: object) -> Any:
    """One JSON value -> the type of its field."""
    try:
        return _READERS[name](value)
    except (TypeError, ValueError, AttributeError) as error:
        raise RecipeError(f"The recipe's {name.replace('_', ' ')} cannot be read: {str(value)[:60]}.") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _integer(value: object) -> int:
    number = _float(value)
    if isinstance(value, int):
        return value
    if not number.is_integer():
        raise TypeError
    return int(number)


def _pairs(value: Any) -> Pairs:
    return tuple((_text(name), _float(number)) for name, number in value)


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(_float(number) for number in value)


_READERS: dict[str, Any] = {
    "checkpoint": _text,
    "seeds": lambda v: parse_seeds(v) if isinstance(v, str) else tuple(_integer(seed) for seed in v),
    "latents": lambda v: tuple(_text(latent) for latent in v),
    "plane": lambda v: None if v is None else _floats(v),
    "classes": lambda v: tuple(_text(name) for name in v),
    "class_mix": _pairs,
    "directions": _pairs,
    "own_directions": lambda v: tuple((_text(name), _text(packed)) for name, packed in v),
    "edits": lambda v: tuple((_integer(place), _pairs(pairs)) for place, pairs in v),
    "sweep": _text,
    "truncation": _float,
    "residual_gains": _floats,
    "variation_of": lambda v: None if v is None else _integer(v),
    "variation_strength": _float,
    "columns": _integer,
    "scale": _integer,
}
