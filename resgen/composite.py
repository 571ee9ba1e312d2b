"""Recipes made of recipes: style mix, walk, comparison and anatomy. Plain data with the same faces as `Recipe`: JSON and links.

`read`, `read_query` and `read_link` take any kind; `resgen.plates` draws them.
"""

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from resgen.budget import MAX_BLOCKS, MAX_COMPARED, MAX_FRAMES, MAX_NOTE, MAX_QUERY, MAX_SEEDS, MAX_STOPS, MAX_UNDRAWN
from resgen.errors import RecipeError
from resgen.fields import Declared, Dial, Many, is_table, is_tuple
from resgen.recipe import Name, Recipe, Scale, parse_seeds

SIGNATURE = "checkpoint_sha256"  # what a note beside the recipe says of the checkpoint that drew
Signature = str | dict[str, str]  # its SHA-256; of a comparison those of all that drew, by their names


def _check_seeds(recipe: Any) -> Any:
    """Count the seeds that the text of a recipe of one image asks for before they are counted out: '0-99999' is short in a link. Raises RecipeError."""
    if is_table(recipe) and isinstance(seeds := recipe.get("seeds"), str):
        parse_seeds(seeds, MAX_UNDRAWN)
    return recipe


One = Annotated[Recipe, BeforeValidator(_check_seeds)]
Stops = Annotated[Many[One], Field(min_length=1, max_length=MAX_STOPS)]


class Composite(Declared):
    """What the kinds share: a name for JSON and links, and recipes inside."""

    kind: ClassVar[str]

    @property
    def count(self) -> int:
        """How many images there are."""
        raise NotImplementedError

    @property
    def checkpoint(self) -> str:
        """The checkpoint it is drawn with, the first where there are several."""
        return next(self.parts()).checkpoint

    def parts(self) -> Iterator[Recipe]:
        """The recipes inside."""
        for value in self.values().values():
            yield from (part for part in (value if is_tuple(value) else (value,)) if isinstance(part, Recipe))

    def with_checkpoint(self, name: str) -> Self:
        """The same, drawn by another generator."""
        return self.changed(**{field: _renamed(value, name) for field, value in self.values().items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"kind": self.kind, **{name: _plain(value) for name, value in self.values().items()}}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_query(self) -> str:
        """The part of a link after '?'."""
        values = {name: value for name, value in self.to_dict().items() if name != "kind"}
        return urlencode({self.kind: json.dumps(values, separators=(",", ":"))})

    def _check_single(self, recipes: tuple[Recipe, ...], what: str) -> None:
        if any(recipe.count != 1 for recipe in recipes):
            raise RecipeError(f"{what}: every recipe must be of one image.")
        if len({recipe.checkpoint for recipe in self.parts()}) != 1:
            raise RecipeError(f"{what}: all images must come from one checkpoint.")


class StyleMix(Composite):
    """Rows x columns: each image is the row's, but for the blocks listed, which follow the column's w (Karras et al. 2019)."""

    kind = "mix"
    rows: Annotated[Stops, Field(title="Rows", description="Images that keep their shape, one each.")]
    columns: Annotated[Stops, Field(title="Columns", description="Images that lend their style, one each.")]
    blocks: Annotated[
        Many[Annotated[int, Field(ge=0, lt=MAX_BLOCKS)]],
        Field(max_length=MAX_BLOCKS, title="Blocks", description="Residual blocks that follow the columns, 0 the coarsest."),
    ]
    scale: Scale = 3

    @model_validator(mode="after")
    def _check_images(self) -> Self:
        self._check_single(self.rows, "Rows")
        self._check_single(self.columns, "Columns")
        if len(set(self.blocks)) != len(self.blocks):
            raise RecipeError("Blocks: name each once.")
        return self

    @property
    def count(self) -> int:
        return (len(self.rows) + 1) * (len(self.columns) + 1) - 1


def finer_half(blocks: int) -> tuple[int, ...]:
    """The blocks that follow the columns where nobody has said which: the finer half of all."""
    return tuple(range(blocks // 2, blocks))


class Walk(Composite):
    """A film that passes through images in order."""

    kind = "walk"
    stops: Annotated[Stops, Field(title="Walk", description="Images to pass through, at least two.")]
    seconds: Annotated[float, Field(ge=0.2, le=60, title="Seconds", description="Length of the whole film."), Dial(0.5, 0.5)] = 4.0
    fps: Annotated[
        int, Field(ge=1, le=60, title="Frames a second", description="More are smoother, and take longer to make; a GIF has at most 50."), Dial(1)
    ] = 24
    loop: Annotated[bool, Field(title="Loop", description="Return to the first image.")] = True
    path: Annotated[Literal["z", "w"], Field(title="Path", description="z: turn the noise; w: straight lines.")] = "z"
    pace: Annotated[Literal["even", "eased"], Field(title="Pace", description="even, or eased: slower near each stop.")] = "even"
    scale: Scale = 6

    @model_validator(mode="after")
    def _check_film(self) -> Self:
        if len(self.stops) < 2:
            raise RecipeError("Walk: pin at least two images to walk between.")
        self._check_single(self.stops, "Walk")
        if self.frames > MAX_FRAMES:
            raise RecipeError(f"This film has {self.frames} frames; at most {MAX_FRAMES} are made: fewer seconds or frames a second.")
        return self

    @property
    def count(self) -> int:
        return self.frames

    @property
    def frames(self) -> int:
        return max(2, round(self.seconds * self.fps))

    @property
    def positions(self) -> list[float]:
        """Where each frame stands: 0 is the first stop, 1.5 half-way from the second to the third."""
        legs = len(self.stops) if self.loop else len(self.stops) - 1
        even = [legs * frame / (self.frames - (not self.loop)) for frame in range(self.frames)]
        return even if self.pace == "even" else [math.floor(at) + _ease(at % 1) for at in even]

    @property
    def stop_frames(self) -> list[int]:
        """The frame that is nearest to each stop."""
        positions = self.positions
        return [min(range(self.frames), key=lambda frame: abs(positions[frame] - stop)) for stop in range(len(self.stops))]

    def thinned(self, frames: int) -> Self:
        """The same way in at most so many frames, two at least; where it must be, in a little less time."""
        count = max(2, frames)
        if count >= self.frames:
            return self
        fps = math.ceil(count / self.seconds)
        return self.changed(fps=fps, seconds=count / fps)


class Comparison(Composite):
    """One recipe drawn by several checkpoints, side by side: the recipe's own and others, or snapshots such as cifar10@4000."""

    kind = "compare"
    recipe: Recipe
    checkpoints: Annotated[
        Many[Name],
        Field(min_length=1, max_length=MAX_COMPARED, title="Compare", description="Checkpoints, a column each; NAME@IMAGES is a snapshot."),
    ]

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.count > MAX_SEEDS:
            raise RecipeError(f"Compare: this makes {self.count:,} images; at most {MAX_SEEDS:,} fit: give fewer seeds or checkpoints.")
        return self

    @property
    def count(self) -> int:
        return self.recipe.count * len(self.checkpoints)

    @property
    def checkpoint(self) -> str:
        """The recipe's own where it is compared, else the first that is."""
        return self.recipe.checkpoint if self.recipe.checkpoint in self.checkpoints else self.checkpoints[0]

    def with_checkpoint(self, name: str) -> Self:
        """The same with another generator in the place of the recipe's own."""
        names = tuple(name if other == self.checkpoint else other for other in self.checkpoints)
        return self.changed(recipe=self.recipe.with_checkpoint(name), checkpoints=names)


class AnatomyOf(Composite):
    """What each residual block does for one image: the image so far, what the block changes, its features."""

    kind = "anatomy"
    recipe: One

    @model_validator(mode="after")
    def _check_image(self) -> Self:
        if self.recipe.count != 1:
            raise RecipeError("Anatomy: choose one image.")
        return self

    @property
    def count(self) -> int:
        return 1


def _ease(share: float) -> float:
    """0..1 -> 0..1, at rest at both ends."""
    return share * share * (3 - 2 * share)


AnyRecipe = Recipe | Composite
NO_OBJECT = "This is not a recipe: it must be a JSON object."
KINDS: dict[str, type[Composite]] = {kind.kind: kind for kind in (StyleMix, Walk, Comparison, AnatomyOf)}


def painters(recipe: AnyRecipe) -> tuple[str, ...]:
    """The checkpoints that draw a recipe."""
    return recipe.checkpoints if isinstance(recipe, Comparison) else (recipe.checkpoint,)


def read_points(text: str, checkpoint: str, truncation: float = 1.0) -> tuple[Recipe, ...]:
    """'3,7@cat,10-12@dog' -> recipes of one image each: seeds, of a class where one is named. Raises RecipeError."""
    points: list[Recipe] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        seeds, _, label = part.partition("@")
        for seed in parse_seeds(seeds):
            points.append(Recipe(checkpoint=checkpoint, seeds=(seed,), classes=label, truncation=truncation, columns=1, scale=1))  # type: ignore[arg-type]
            if len(points) > MAX_STOPS:
                raise RecipeError(f"{text[:40]!r} names too many images; at most {MAX_STOPS} fit.")
    return tuple(points)


def _plain(value: Any) -> Any:
    if isinstance(value, Recipe):
        return value.to_dict()
    return [_plain(item) for item in value] if is_tuple(value) else value


def _renamed(value: Any, name: str) -> Any:
    if isinstance(value, Recipe):
        return value.with_checkpoint(name)
    return tuple(_renamed(item, name) for item in value) if is_tuple(value) else value


def read(text: str) -> AnyRecipe:
    """Any recipe from untrusted JSON; raises RecipeError."""
    if len(text) > MAX_NOTE:
        raise RecipeError(f"The recipe is longer than the {MAX_NOTE:,} characters that are read; make it shorter.")
    return read_dict(read_object(text, "This is not a recipe: its JSON cannot be read."))


def read_dict(raw: Any) -> AnyRecipe:
    """Any recipe from a JSON object that may come from a stranger; raises RecipeError."""
    if not is_table(raw):
        raise RecipeError(NO_OBJECT)
    values = {str(name): value for name, value in raw.items() if name not in ("kind", SIGNATURE)}
    if "kind" not in raw:
        return Recipe(**values)
    kind = raw["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecipeError(f"The recipe is of a kind that this version does not know: {str(kind)[:40]}.")
    return KINDS[kind](**values)


def read_query(query: Any) -> AnyRecipe:
    """Any recipe from the part of a link after '?', which may be anything that a page tells; raises RecipeError."""
    if not isinstance(query, str):
        raise RecipeError("This is no link of a picture.")
    if len(query) > MAX_QUERY:
        raise RecipeError(f"The link is longer than the {MAX_QUERY:,} characters that are read; save the picture and open the file instead.")
    values = dict(parse_qsl(query))
    for kind in KINDS:
        if kind in values:
            return read_dict({**read_object(values[kind], "The link was cut short or changed on its way: copy it again."), "kind": kind})
    return Recipe.from_query(query)


def read_link(link: str) -> AnyRecipe:
    """Any recipe from a whole link, http://..., whose recipe stands behind '?' or '#'; raises RecipeError."""
    try:
        parts = urlsplit(link)
    except ValueError as error:
        raise RecipeError("This is no link of a picture.") from error
    query = "&".join(filter(None, (parts.query, parts.fragment)))
    if not query:
        raise RecipeError("The link leads to the studio, and to no picture: copy the address once the picture is on screen.")
    return read_query(query)


def read_object(text: str, otherwise: str) -> dict[str, Any]:
    """The table that JSON holds, from anywhere; raises RecipeError, ``otherwise`` where it is no JSON."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(otherwise) from error
    if not is_table(raw):
        raise RecipeError(NO_OBJECT)
    return raw
