"""The recipe: everything a picture is a function of, and the one place where user input is checked.

A recipe travels as JSON (files, the PNG's text chunk, the HTTP API) and as a URL query (links).
"""

import json
import math
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from resgen.errors import RecipeError

MAX_SEED = 2**63 - 1
MAX_SEEDS = 100_000
MAX_PIXELS_FACTOR = 16


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


def parse_pairs(text: str, what: str) -> tuple[tuple[str, float], ...]:
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


def _format_pairs(pairs: tuple[tuple[str, float], ...]) -> str:
    return ",".join(f"{name}={value:g}" for name, value in pairs)


@dataclass(frozen=True)
class Recipe:
    """What to draw. Images are ordered class by class, seeds within; N = seeds x max(1, classes).

    Raises RecipeError on creation where a value is out of range; whether names exist in the checkpoint is
    known, and checked, when it is rendered.
    """

    checkpoint: str = ""
    seeds: tuple[int, ...] = tuple(range(16))  # each 0..2^63-1
    classes: tuple[str, ...] = ()  # one row of seeds each; empty: each seed draws its own
    class_mix: tuple[tuple[str, float], ...] = ()  # (class, share): one mixture for all images
    truncation: float = 1.0  # psi, 0..1.5: 0 is the class's mean image
    directions: tuple[tuple[str, float], ...] = ()  # (name, -5..5 standard deviations)
    residual_gains: tuple[float, ...] = ()  # 0..2 for each block's residual branch; empty: all 1
    variation_of: int | None = None  # seeds become variations of this seed
    variation_strength: float = 0.3  # 0..1: how far variations go
    columns: int = 8  # 1..100
    scale: int = 3  # 1..16: enlargement of each image

    def __post_init__(self) -> None:
        if not self.seeds or len(self.seeds) > MAX_SEEDS:
            raise RecipeError(f"Seeds: give between 1 and {MAX_SEEDS:,}.")
        for seed in (*self.seeds, *(() if self.variation_of is None else (self.variation_of,))):
            if not 0 <= seed <= MAX_SEED:
                raise RecipeError(f"Seeds: {seed} is outside 0..{MAX_SEED}.")
        if len(self.seeds) * max(1, len(self.classes)) > MAX_SEEDS:
            raise RecipeError(f"Seeds times classes make too many images; at most {MAX_SEEDS:,} fit in one recipe.")
        if self.classes and self.class_mix:
            raise RecipeError("Classes: choose either classes or a class mix, not both.")
        self._check_range("Truncation", self.truncation, 0, 1.5)
        self._check_range("Variation strength", self.variation_strength, 0, 1)
        self._check_range("Columns", self.columns, 1, 100)
        self._check_range("Display size", self.scale, 1, MAX_PIXELS_FACTOR)
        for name, value in self.directions:
            self._check_range(f"Direction {name}", value, -5, 5)
        for index, gain in enumerate(self.residual_gains):
            self._check_range(f"Residual gain of block {index + 1}", gain, 0, 2)
        for name, share in self.class_mix:
            self._check_range(f"Class mix of {name}", share, 0, 1000)
        if self.class_mix and not any(share for _, share in self.class_mix):
            raise RecipeError("Class mix: every share is zero; raise at least one.")

    @staticmethod
    def _check_range(what: str, value: float, low: float, high: float) -> None:
        if not math.isfinite(value) or not low <= value <= high:
            raise RecipeError(f"{what}: {value:g} is outside {low:g}..{high:g}.")

    def alone(self, seed: int, label: str = "") -> "Recipe":
        """The recipe of one image of this one; ``label`` is its class where it has just one."""
        classes = (label,) if label and not self.class_mix else ()
        return replace(self, seeds=(seed,), classes=classes, columns=1, scale=1)

    # JSON.

    def to_dict(self) -> dict[str, Any]:
        """Only what differs from the defaults, and always the checkpoint and the seeds (as text)."""
        default, values = asdict(Recipe()), asdict(self)
        values = {key: value for key, value in values.items() if value != default[key]}
        return {**values, "checkpoint": self.checkpoint, "seeds": format_seeds(self.seeds)}

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
        for name, text in parse_qsl(query[:20_000]):
            if name in known:
                values[name] = _UNPACKERS.get(name, _number)(text)
        return cls.from_dict(values)


def _number(text: str) -> float | int:
    try:
        return int(text) if re.fullmatch(r"\d{1,19}", text, re.ASCII) else float(text)
    except ValueError as error:
        raise RecipeError(f"The link holds {text[:40]!r} where a number is needed.") from error


_PACKERS = {
    "classes": ",".join,
    "class_mix": _format_pairs,
    "directions": _format_pairs,
    "residual_gains": lambda gains: ",".join(f"{gain:g}" for gain in gains),
}
_UNPACKERS = {
    "checkpoint": str,
    "seeds": str,
    "classes": lambda text: text.split(","),
    "class_mix": lambda text: parse_pairs(text, "Class mix"),
    "directions": lambda text: parse_pairs(text, "Directions"),
    "residual_gains": lambda text: [_number(part) for part in text.split(",")],
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


def _pairs(value: Any) -> tuple[tuple[str, float], ...]:
    return tuple((_text(name), _float(number)) for name, number in value)


_READERS: dict[str, Any] = {
    "checkpoint": _text,
    "seeds": lambda v: parse_seeds(v) if isinstance(v, str) else tuple(_integer(seed) for seed in v),
    "classes": lambda v: tuple(_text(name) for name in v),
    "class_mix": _pairs,
    "directions": _pairs,
    "truncation": _float,
    "residual_gains": lambda v: tuple(_float(gain) for gain in v),
    "variation_of": lambda v: None if v is None else _integer(v),
    "variation_strength": _float,
    "columns": _integer,
    "scale": _integer,
}
