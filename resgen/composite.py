"""Recipes made of recipes: style mix, walk, comparison and anatomy. Plain data with the same faces as `Recipe`: JSON and links.

`read` and `read_query` take any kind; `resgen.plates` draws them.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from resgen.errors import RecipeError
from resgen.recipe import MAX_QUERY, MAX_SCALE, Recipe, parse_seeds

MAX_STOPS = 32
MAX_FRAMES = 1800
MAX_COMPARED = 12


@dataclass(frozen=True)
class Composite:
    """What the kinds share: a name for JSON and links, and recipes inside."""

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"kind": self.kind, **{field.name: _plain(getattr(self, field.name)) for field in fields(self)}}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_query(self) -> str:
        """The part of a link after '?'."""
        values = {name: value for name, value in self.to_dict().items() if name != "kind"}
        return urlencode({self.kind: json.dumps(values, separators=(",", ":"))})

    @property
    def checkpoint(self) -> str:
        """The checkpoint it is drawn with, the first where there are several."""
        return next(recipe.checkpoint for recipe in self.parts())

    def parts(self) -> Iterable[Recipe]:
        """The recipes inside."""
        for field in fields(self):
            value = getattr(self, field.name)
            yield from (part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Recipe))

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise RecipeError(otherwise)

    def _check_single(self, recipes: tuple[Recipe, ...], what: str) -> None:
        self._check(1 <= len(recipes) <= MAX_STOPS, f"{what}: pin between 1 and {MAX_STOPS} images.")
        self._check(all(recipe.count == 1 for recipe in recipes), f"{what}: every recipe must be of one image.")
        self._check(len({recipe.checkpoint for recipe in self.parts()}) == 1, f"{what}: all images must come from one checkpoint.")


@dataclass(frozen=True)
class StyleMix(Composite):
    """Rows x columns: each image is the row's, but for the blocks listed, which follow the column's w (Karras et al. 2019)."""

    kind = "mix"
    rows: tuple[Recipe, ...]  # of one image each
    columns: tuple[Recipe, ...]
    blocks: tuple[int, ...]  # 0 is the coarsest
    scale: int = 3  # enlargement of each image

    def __post_init__(self) -> None:
        self._check_single(self.rows, "Rows")
        self._check_single(self.columns, "Columns")
        self._check(1 <= self.scale <= MAX_SCALE, f"Display size: {self.scale} is outside 1..{MAX_SCALE}.")
        self._check(len(set(self.blocks)) == len(self.blocks) and all(0 <= block < 10 for block in self.blocks), "Blocks: name each once, from 0.")


@dataclass(frozen=True)
class Walk(Composite):
    """A film that passes through images in order."""

    kind = "walk"
    stops: tuple[Recipe, ...]  # of one image each, at least two
    seconds: float = 4.0  # of the whole film, 0.2..60
    fps: int = 24  # frames a second, 1..60
    loop: bool = True  # return to the first stop
    path: str = "z"  # "z": turn the noise spherically; "w": straight lines
    scale: int = 6  # enlargement of each image

    def __post_init__(self) -> None:
        self._check(len(self.stops) > 1, "Walk: pin at least two images to walk between.")
        self._check_single(self.stops, "Walk")
        self._check(0.2 <= self.seconds <= 60, f"Seconds: {self.seconds:g} is outside 0.2..60.")
        self._check(1 <= self.fps <= 60, f"Frames a second: {self.fps} is outside 1..60.")
        self._check(
            self.frames <= MAX_FRAMES, f"This film has {self.frames} frames; at most {MAX_FRAMES} are made: fewer seconds or frames a second."
        )
        self._check(self.path in ("z", "w"), "Path: choose z or w.")
        self._check(1 <= self.scale <= MAX_SCALE, f"Display size: {self.scale} is outside 1..{MAX_SCALE}.")

    @property
    def frames(self) -> int:
        return max(2, round(self.seconds * self.fps))

    @property
    def positions(self) -> list[float]:
        """Where each frame stands: 0 is the first stop, 1.5 half-way from the second to the third."""
        legs = len(self.stops) if self.loop else len(self.stops) - 1
        return [legs * frame / (self.frames - (not self.loop)) for frame in range(self.frames)]


@dataclass(frozen=True)
class Comparison(Composite):
    """One recipe drawn by several checkpoints, side by side: the recipe's own and others, or snapshots such as cifar10@4000."""

    kind = "compare"
    recipe: Recipe
    checkpoints: tuple[str, ...]  # in order

    def __post_init__(self) -> None:
        self._check(1 <= len(self.checkpoints) <= MAX_COMPARED, f"Compare: name between 1 and {MAX_COMPARED} checkpoints.")


@dataclass(frozen=True)
class AnatomyOf(Composite):
    """What each residual block does for one image: the image so far, what the block changes, its features."""

    kind = "anatomy"
    recipe: Recipe

    def __post_init__(self) -> None:
        self._check(self.recipe.count == 1, "Anatomy: choose one image.")


AnyRecipe = Recipe | Composite


def read_points(text: str, checkpoint: str, truncation: float = 1.0) -> tuple[Recipe, ...]:
    """'3,7@cat,10-12@dog' -> recipes of one image each: seeds, of a class where one is named. Raises RecipeError."""
    points: list[Recipe] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        seeds, _, label = part.partition("@")
        for seed in parse_seeds(seeds):
            points.append(Recipe(checkpoint, (seed,), classes=(label,) if label else (), truncation=truncation, columns=1, scale=1))
            if len(points) > MAX_STOPS:
                raise RecipeError(f"{text[:40]!r} names too many images; at most {MAX_STOPS} fit.")
    return tuple(points)


def _plain(value: Any) -> Any:
    if isinstance(value, Recipe):
        return value.to_dict()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _recipes(value: Any) -> tuple[Recipe, ...]:
    return tuple(Recipe.from_dict(item) for item in _listed(value))


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _typed(*types: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in types:
            raise TypeError
        return value

    return read


_WHOLE = _typed(int)
_READERS: dict[type[Composite], dict[str, Callable[[Any], Any]]] = {
    StyleMix: {"rows": _recipes, "columns": _recipes, "blocks": lambda v: tuple(_WHOLE(block) for block in _listed(v)), "scale": _WHOLE},
    Walk: {"stops": _recipes, "seconds": _typed(int, float), "fps": _WHOLE, "loop": _typed(bool), "path": _typed(str), "scale": _WHOLE},
    Comparison: {"recipe": Recipe.from_dict, "checkpoints": lambda v: tuple(_typed(str)(name) for name in _listed(v))},
    AnatomyOf: {"recipe": Recipe.from_dict},
}
_KINDS = {kind.kind: kind for kind in _READERS}


def read(text: str) -> AnyRecipe:
    """Any recipe from untrusted JSON; raises RecipeError."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError("This is not a recipe: its JSON cannot be read.") from error
    if isinstance(raw, dict) and "kind" in raw:
        return _read_composite(raw["kind"], {name: value for name, value in raw.items() if name not in ("kind", "checkpoint_sha256")})
    return Recipe.from_dict(raw)


def read_query(query: str) -> AnyRecipe:
    """Any recipe from the part of a link after '?'; raises RecipeError."""
    values = dict(parse_qsl(query[:MAX_QUERY]))
    for kind in _KINDS:
        if kind in values:
            return read(json.dumps({**_object(values[kind]), "kind": kind}))
    return Recipe.from_query(query)


def _object(text: str) -> dict[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError("The link was cut short or changed on its way: copy it again.") from error
    return raw if isinstance(raw, dict) else {}


def _read_composite(kind: object, raw: dict[str, Any]) -> Composite:
    if not isinstance(kind, str) or kind not in _KINDS:
        raise RecipeError(f"The recipe is of a kind that this version does not know: {str(kind)[:40]}.")
    readers = _READERS[_KINDS[kind]]
    if unknown := set(raw) - set(readers):
        raise RecipeError(f"The recipe has settings that this version does not know: {', '.join(sorted(map(str, unknown)))[:200]}.")
    values = {}
    for name, value in raw.items():
        try:
            values[name] = readers[name](value)
        except (TypeError, ValueError, AttributeError) as error:
            raise RecipeError(f"The recipe's {name} cannot be read: {str(value)[:60]}.") from error
    try:
        return _KINDS[kind](**values)
    except TypeError as error:
        missing = [field.name for field in fields(_KINDS[kind]) if field.name not in values]
        raise RecipeError(f"The recipe lacks {', '.join(missing)}.") from error
