"""The recipe: everything a picture is a function of, each field said once.

A recipe travels as JSON (files, the note inside a picture, the HTTP interface) and as a URL query (links).
"""

import base64
import binascii
import json
import math
import re
import struct
from collections.abc import Sequence
from numbers import Integral
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from resgen.budget import (
    MAX_BLOCKS,
    MAX_CLASSES,
    MAX_DIRECTIONS,
    MAX_LATENT_BYTES,
    MAX_LATENTS,
    MAX_OWN_DIRECTIONS,
    MAX_OWN_NAME,
    MAX_SEEDS,
)  # fmt: skip
from resgen.errors import RecipeError
from resgen.fields import (
    Declared,
    Dial,
    Many,
    Pairs,
    Text,
    add_pairs,
    as_pairs,
    read_names,
    read_numbers,
    read_pairs,
    write_field,
    write_names,
    write_numbers,
    write_pairs,
)  # fmt: skip

MAX_SEED = 2**63 - 1
SEEDS = 2**32  # that differ: from there on they draw the same images again, since torch's generator of numbers takes 32 bits of a seed
MAX_SCALE = 16
LARGE = 768  # pixels a side to which images are enlarged where nobody says how far
MAX_AMOUNT = 10  # standard deviations along a direction
MAX_EDIT = 3 * MAX_AMOUNT  # of a single image: an edit of it, and what it was turned before, is one edit where it stands alone
MAX_SHARE = 1000
PLANE_WIDTH, PLANE_HEIGHT = 1000, 1_000_000  # of the seed plane: the point (x, y) of whole numbers is the seed 1000 y + x
SWEEP_REACH = 3.0  # standard deviations to either side
_OWN_NAME = re.compile(rf"[\w -]{{1,{MAX_OWN_NAME}}}")
NAME_RULE = f"Up to {MAX_OWN_NAME} letters, digits, spaces, - and _."
_PACKED = re.compile(r"[A-Za-z0-9_-]+")


# Text forms of the fields that have one of their own.


def parse_seeds(text: str, most: int = MAX_SEEDS) -> tuple[int, ...]:
    """'0-15,42' -> (0, 1, ..., 15, 42), in the order given, ``most`` at most; raises RecipeError with what to write instead."""
    seeds: list[int] = []
    joined = "-".join(end.strip() for end in re.split("[-\u2013\u2014]", text))  # spaces within a range; no pattern that looks for them twice
    for part in filter(None, re.split(r"[,\s]+", joined)):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part, re.ASCII)
        if not match:
            raise RecipeError(f"Seeds: {part[:40]!r} is not a seed; write whole numbers and ranges, such as 0-15,42.")
        if longest := max((number for number in match.groups("") if len(number) > len(str(MAX_SEED))), default=""):
            raise RecipeError(f"Seeds: {longest[:40]} is too large; the largest seed is {MAX_SEED}.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise RecipeError(f"Seeds: the range {part} runs backwards; write {last}-{first}.")
        if last > MAX_SEED:
            raise RecipeError(f"Seeds: {last} is too large; the largest seed is {MAX_SEED}.")
        if last - first >= most - len(seeds):
            raise RecipeError(f"Seeds: {part} asks for too many images; at most {most:,} fit in one recipe.")
        seeds.extend(range(first, last + 1))
    if not seeds:
        raise RecipeError("Seeds: there are none; write whole numbers and ranges, such as 0-15,42.")
    return tuple(seeds)


def format_seeds(seeds: Sequence[int]) -> str:
    """(0, 1, 2, 42) -> '0-2,42': the text that `parse_seeds` reads back."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in runs)


def enlargement(side: int, resolution: int) -> int:
    """The largest scale at which images of ``resolution`` pixels have at most ``side``; 1 where they have more already."""
    return max(1, min(MAX_SCALE, side // resolution))


def usual_scale(of: type[Declared], resolution: int) -> int:
    """The scale of a picture or film where nobody says one: as it is declared, or less where that makes images of ``resolution`` pixels larger than `LARGE`."""
    return min(of.model_fields["scale"].default, enlargement(LARGE, resolution))


def pack_vector(values: Sequence[float]) -> str:
    """Numbers -> URL-safe text of their half-precision bytes. Raises RecipeError for a number that half precision cannot hold."""
    try:
        return base64.urlsafe_b64encode(struct.pack(f"<{len(values)}e", *values)).decode().rstrip("=")
    except OverflowError as error:
        raise RecipeError("A latent holds numbers too large to be written down.") from error


def unpack_vector(text: str) -> tuple[float, ...]:
    """What `pack_vector` packed; raises RecipeError for any other text."""
    try:
        if len(text) > MAX_LATENT_BYTES * 4 // 3 + 4:
            raise ValueError("longer than any latent")
        if not _PACKED.fullmatch(text):
            raise ValueError("not what pack_vector writes")
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        values = struct.unpack(f"<{len(data) // 2}e", data)
    except (ValueError, binascii.Error, struct.error) as error:
        raise RecipeError(f"{text[:24]!r} is not a latent: copy the whole text that ResGen gave.") from error
    if not all(map(math.isfinite, values)):
        raise RecipeError("A latent holds numbers that are not finite.")
    return values


def _read_plane(text: str) -> tuple[float, ...] | None:
    """'x,y,step' -> (x, y, step); '' -> None."""
    return tuple(read_numbers(text, "Plane")) or None


def _read_own(text: str) -> list[list[str]]:
    return [part.split("=", 1) for part in text.split(",") if part]


def _read_edits(text: str) -> list[tuple[int, Any]]:
    """'3:pc1=2;5:pc2=-1' -> [(3, [('pc1', 2.0)]), (5, [('pc2', -1.0)])]; raises RecipeError."""
    edits: list[tuple[int, Any]] = []
    for part in filter(None, text.split(";")):
        place, _, pairs = part.partition(":")
        if not re.fullmatch(r"\d{1,6}", place, re.ASCII):
            raise RecipeError(f"Edits: {part[:40]!r} does not begin with the place of an image and a colon, such as 3:pc1=2.")
        edits.append((int(place), read_pairs(pairs, "Edits")))
    return edits


def _write_edits(edits: "Edits") -> str:
    return ";".join(f"{place}:{write_pairs(pairs)}" for place, pairs in edits)


# Types of fields.


def _check_packed(text: str) -> str:
    unpack_vector(text)
    return text


def _check_own(own: tuple[str, str]) -> tuple[str, str]:
    if not _OWN_NAME.fullmatch(own[0]):
        raise RecipeError(f"Directions: {own[0][:40]!r} is not a name. {NAME_RULE}")
    return own


def _join(*sums: Pairs, most: float) -> Pairs:
    """Each name once: what is given to it several times is added, and must not come to more than ``most``."""
    joined = add_pairs(*sums)
    for name, value in joined:
        if abs(value) > most:
            raise RecipeError(f"{name[:40]!r} is given several times, which comes to {value:g}; at most {most:g} is possible.")
    return joined


def _join_edits(edits: "Edits") -> "Edits":
    """One entry for each place, those that move nothing left out."""
    places: dict[int, list[Pairs]] = {}
    for place, pairs in edits:
        places.setdefault(place, []).append(pairs)
    joined = ((place, _join(*given, most=MAX_EDIT)) for place, given in places.items())
    return tuple((place, pairs) for place, pairs in joined if pairs)


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Scale = Annotated[int, Field(ge=1, le=MAX_SCALE, title="Size when saved", description="Enlargement of each image."), Dial(1)]
Name = Annotated[str, Field(max_length=200)]
Label = Annotated[str, Field(min_length=1, max_length=200)]  # of a class or a direction
Packed = Annotated[str, AfterValidator(_check_packed)]
Amount = Annotated[float, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Amounts = Annotated[Many[tuple[Label, Amount]], Field(max_length=MAX_DIRECTIONS), AfterValidator(lambda pairs: _join(pairs, most=MAX_AMOUNT))]
Turned = Annotated[float, Field(ge=-MAX_EDIT, le=MAX_EDIT)]
Own = Annotated[tuple[str, Packed], AfterValidator(_check_own)]
Edits = tuple[tuple[int, Pairs], ...]
Gain = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(ge=0, le=MAX_SHARE)]
PlaneX = Annotated[float, Field(ge=0, le=PLANE_WIDTH)]
PlaneY = Annotated[float, Field(ge=0, le=PLANE_HEIGHT)]
PlaneStep = Annotated[float, Field(ge=0, le=10)]

AMOUNT_DIAL = Dial(0.1, -5, 5)  # of a direction's slider
GAIN_DIAL = Dial(0.01, 0, 2)
SHARE_DIAL = Dial(0.01, 0, 1)
STEP_DIAL = Dial(0.01, 0.02, 1)


class Recipe(Declared):
    """What to draw: points (seeds, or latents, or a window of the seed plane) x classes x the steps of a sweep.

    Images are ordered class by class, points within, steps of a sweep innermost. Whether names exist in the checkpoint is
    known, and checked, when it is rendered.
    """

    checkpoint: Annotated[Name, Field(title="Checkpoint", description="The trained generator that draws.")] = ""
    seeds: Annotated[
        Many[Seed],
        Field(min_length=1, max_length=MAX_SEEDS, title="Seeds", description="One image for each number: 0-15,42."),
        BeforeValidator(lambda seeds: (seeds,) if not isinstance(seeds, bool) and isinstance(seeds, Integral) else seeds),  # NumPy's numbers, too
        Text(parse_seeds, format_seeds),
    ] = tuple(range(16))
    latents: Annotated[
        Many[Packed],
        Field(max_length=MAX_LATENTS, title="Latents", description="Packed w of images, drawn in place of seeds; they bring their class with them."),
        Text(lambda text: text.split(",") if text else (), ",".join),
    ] = ()
    plane: Annotated[
        tuple[PlaneX, PlaneY, PlaneStep] | None,
        Field(title="Plane", description="x,y,step: a window of the seed plane around a point, in place of seeds."),
        Text(_read_plane, write_numbers),
    ] = None
    plane_rows: Annotated[int, Field(ge=0, le=100, title="Plane rows", description="Rows of the plane's window; 0: as many as columns.")] = 0
    classes: Annotated[
        Many[Label],
        Field(max_length=MAX_CLASSES, title="Classes", description="Class names, a row of images each; none: drawn from the seed."),
        Text(read_names, write_names),
    ] = ()
    class_mix: Annotated[
        Many[tuple[Label, Share]],
        Field(max_length=MAX_CLASSES, title="Class mix", description="One mixture of classes for all images: cat=0.7,dog=0.3."),
        AfterValidator(lambda pairs: _join(pairs, most=MAX_SHARE)),
        Text(lambda text: read_pairs(text, "Class mix"), write_pairs),
    ] = ()
    truncation: Annotated[
        float, Field(ge=0, le=1.5, title="Truncation", description="Psi. 0: the average image; 1: all the variety there is."), Dial(0.01)
    ] = 1.0
    directions: Annotated[
        Amounts,
        Field(title="Directions", description="Latent directions in standard deviations: pc1=2,pc3=-1."),
        Text(lambda text: read_pairs(text, "Directions"), write_pairs),
    ] = ()
    own_directions: Annotated[
        Many[Own],
        Field(max_length=MAX_OWN_DIRECTIONS, title="Own directions", description="Directions beside the checkpoint's: name=packed offset of w."),
        Text(_read_own, lambda own: ",".join(f"{name}={packed}" for name, packed in own)),
    ] = ()
    edits: Annotated[
        Many[
            tuple[
                Annotated[int, Field(ge=0, lt=MAX_SEEDS)],
                Annotated[Many[tuple[Label, Turned]], Field(max_length=MAX_DIRECTIONS), BeforeValidator(as_pairs)],
            ]
        ],
        Field(max_length=MAX_SEEDS, title="Edits", description="Directions of single images, by their place from 0: 3:pc1=2;5:pc2=-1."),
        AfterValidator(_join_edits),
        Text(_read_edits, _write_edits),
    ] = ()
    sweep: Annotated[Name, Field(title="Strip", description="A direction: each image becomes a row, from -3 to 3 standard deviations.")] = ""
    residual_gains: Annotated[
        Many[Gain],
        Field(max_length=MAX_BLOCKS, title="Gains", description="How much each residual block adds: 1,1,0.5,1; none: all 1."),
        Text(lambda text: read_numbers(text, "Gains"), write_numbers),
    ] = ()
    variation_of: Annotated[Seed | None, Field(title="Variations of seed", description="Make the seeds variations of this seed.")] = None
    variation_strength: Annotated[
        float, Field(ge=0, le=1, title="Strength", description="How far variations go from the image, 0 to 1."), Dial(0.01)
    ] = 0.3
    variation_path: Annotated[
        Many[tuple[Seed, Annotated[float, Field(ge=0, le=1)]]],
        Field(max_length=32, title="Variation path", description="Variations of a variation: from the seed to it, seed=strength at each turn."),
        Text(lambda text: read_pairs(text, "Variation path"), lambda path: write_pairs(tuple((str(seed), part) for seed, part in path))),
    ] = ()
    columns: Annotated[int, Field(ge=1, le=100, title="Columns", description="Images in a row."), Dial(1)] = 8
    scale: Scale = 3

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if sum(map(bool, (self.latents, self.plane is not None, self.variation_of is not None))) > 1:
            raise RecipeError("Choose one of latents, the seed plane and variations of a seed.")
        if self.variation_path and self.variation_of is None:
            raise RecipeError("Variation path: say which seed it starts from.")
        if self.classes and self.class_mix:
            raise RecipeError("Classes: choose either classes or a class mix, not both.")
        if self.latents and (self.classes or self.class_mix):
            raise RecipeError("Classes: latents bring their class with them; leave the class empty.")
        if self.sweep and self.columns < 2:
            raise RecipeError("Columns: a strip needs at least 2.")
        if len({name for name, _ in self.own_directions}) < len(self.own_directions):
            raise RecipeError("Directions: two of your own have one name; rename one.")
        self._check_sums()
        if self.count > MAX_SEEDS:
            raise RecipeError(f"This makes {self.count:,} images; at most {MAX_SEEDS:,} fit in one recipe: give fewer seeds, classes or columns.")
        return self

    def _check_sums(self) -> None:
        """Raise RecipeError where an image is turned further, or along more directions, than it could be alone."""
        all_of_them, most = dict(self.directions), MAX_AMOUNT + MAX_EDIT
        of_all = {*all_of_them, *filter(None, [self.sweep])}
        if (names := max(len({*of_all, *dict(pairs)}) for pairs in ((), *dict(self.edits).values()))) > MAX_DIRECTIONS:
            raise RecipeError(f"Directions: an image is turned along {names}; at most {MAX_DIRECTIONS} fit in one recipe.")
        for name, amount in (pair for _, pairs in self.edits for pair in pairs):
            reach = abs(amount + all_of_them.get(name, 0.0)) + SWEEP_REACH * (name == self.sweep)
            if reach > most:
                raise RecipeError(f"Edits: {name[:40]!r} comes to {reach:g} with what moves all images; at most {most:g} is possible.")

    # Its images.

    @property
    def points(self) -> int:
        """How many different latents there are before classes and a sweep multiply them."""
        return len(self.latents) or (self.columns * (self.plane_rows or self.columns) if self.plane is not None else len(self.seeds))

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

    def plane_point(self, point: int) -> tuple[float, float]:
        """The (x, y) of a point of the plane's window; they go row by row."""
        assert self.plane is not None
        x, y, step = self.plane
        row, column = divmod(point, self.columns)
        return x + (column - (self.columns - 1) / 2) * step, y + (row - ((self.plane_rows or self.columns) - 1) / 2) * step

    @property
    def across(self) -> int:
        """How many images lie in a row: the steps of a strip, the points of a class where there are several, else the columns as far as they are filled."""
        return self.columns if self.sweep else self.points if len(self.classes) > 1 else min(self.columns, self.count)

    def single(self, index: int) -> "Recipe":
        """The recipe of one of its images, by its place; of own directions only those that it uses.

        Where directions, edits and the sweep together pass the limit of a direction, the rest is an edit.
        """
        row, step = divmod(index, len(self.sweep_amounts))
        label, point = divmod(row, self.points)
        swept: Pairs = ((self.sweep, self.sweep_amounts[step]),) if self.sweep else ()
        directions = add_pairs(self.directions, dict(self.edits).get(row, ()), swept)
        kept = tuple((name, _clamp(amount)) for name, amount in directions)
        rest = tuple((name, amount - part) for (name, amount), (_, part) in zip(directions, kept, strict=True) if amount != part)
        plane = self.plane and (*(v % size for v, size in zip(self.plane_point(point), (PLANE_WIDTH, PLANE_HEIGHT), strict=True)), self.plane[2])
        return self.changed(
            seeds=Recipe().seeds if self.latents or self.plane else (self.seeds[point],),
            latents=self.latents[point : point + 1],
            plane=plane,
            plane_rows=0,
            classes=self.classes[label : label + 1],
            directions=kept,
            own_directions=tuple(own for own in self.own_directions if own[0] in dict(directions)),
            edits=((0, rest),),
            sweep="",
            columns=1,
            scale=1,
        )

    # JSON.

    def to_dict(self) -> dict[str, Any]:
        """Only what differs from the defaults, and always the checkpoint and, where they are drawn, the seeds (as text)."""
        values = {"checkpoint": self.checkpoint, **self.changes()}
        if "seeds" in values or not (self.latents or self.plane is not None):
            values["seeds"] = format_seeds(self.seeds)
        return values

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    # URL query.

    def to_query(self) -> str:
        """The part of a link after '?'."""
        return urlencode({name: value if isinstance(value, str) else write_field(Recipe, name, value) for name, value in self.to_dict().items()})

    @classmethod
    def from_query(cls, query: str) -> "Recipe":
        """Read the part of a link after '?'; names that are not a recipe's are passed over. Raises RecipeError."""
        texts: dict[str, Any] = {name: text for name, text in parse_qsl(query) if name in cls.model_fields}
        return cls(**texts)

    def over(self, first: "Recipe") -> "Recipe":
        """Itself where it names a checkpoint; else what it says, and ``first`` in all that it does not."""
        return self if self.checkpoint else first.changed(**self.told() | {"checkpoint": first.checkpoint})

    def with_checkpoint(self, name: str) -> "Recipe":
        """The same, drawn by another generator."""
        return self.changed(checkpoint=name)


def _clamp(amount: float) -> float:
    return max(-float(MAX_AMOUNT), min(float(MAX_AMOUNT), amount))


# What a field is called on the command line and in the HTTP interface, where it is not by its own name.
CALLED = {"residual_gains": "gains"}
