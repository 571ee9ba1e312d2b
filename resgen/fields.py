"""What a field of a recipe is: declared once, with its type, limits, default, help and text form.

Everything else is made of the declaration: validation, JSON, links, the note inside a picture, the command line's options,
the sliders' reach, the HTTP interface's schema.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeGuard, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, FailFast, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, core_schema

from resgen.errors import RecipeError

T = TypeVar("T")
Pairs = tuple[tuple[str, float], ...]
Many = Annotated[tuple[T, ...], FailFast()]  # a list may come from a stranger: what is wrong with each of a million entries, nobody reads


@dataclass(frozen=True)
class Text:
    """A field's form as one piece of text: in a link, on the command line, in the HTTP interface."""

    read: Callable[[str], Any]  # raises RecipeError
    write: Callable[[Any], str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let the field be given as text too, and pairs as a mapping."""
        return core_schema.no_info_before_validator_function(
            lambda value: self.read(value) if isinstance(value, str) else as_pairs(value), handler(source)
        )


def as_pairs(value: Any) -> Any:
    """{'cat': 1} -> [('cat', 1)]; anything else as it is."""
    return list(value.items()) if is_table(value) else value


@dataclass(frozen=True)
class Dial:
    """How a number is offered to a hand: in these steps, and within a reach that may be less than its limits."""

    step: float
    low: float | None = None  # None: as far as the limits
    high: float | None = None


class Declared(BaseModel):
    """A value made of declared fields: checked whole on creation, never changed. Raises RecipeError with one sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise RecipeError(_sentence(cls, error)) from None

    def changed(self, **values: Any) -> Self:
        """The same with other ``values``. Raises RecipeError."""
        return type(self)(**{**self.values(), **values})

    def values(self) -> dict[str, Any]:
        """Its fields as they are."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def changes(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        declared = type(self).model_fields
        return {name: value for name, value in self.values().items() if declared[name].is_required() or value != declared[name].default}

    def told(self) -> dict[str, Any]:
        """The fields that were said, be it at their defaults."""
        return {name: value for name, value in self.values().items() if name in self.model_fields_set}


def declaration(of: type[Declared], name: str, kind: type) -> Any:
    """The `Text` or `Dial` that field ``name`` is declared with, or None."""
    return next((part for part in of.model_fields[name].metadata if isinstance(part, kind)), None)


def limits(of: type[Declared], name: str) -> tuple[float, float]:
    """The least and the greatest value of a field that is a number."""
    found = {key: getattr(part, key) for part in of.model_fields[name].metadata for key in ("ge", "le") if hasattr(part, key)}
    return found["ge"], found["le"]


def write_field(of: type[Declared], name: str, value: Any) -> str:
    """A field's value as text, which `read` of its declaration, or pydantic for plain numbers and words, reads back."""
    text = declaration(of, name, Text)
    return text.write(value) if text else write_number(value) if isinstance(value, float) else str(value)


def _sentence(of: type[Declared], error: ValidationError) -> str:
    """What is wrong first, in one sentence."""
    found = error.errors(include_url=False)
    if unknown := [str(problem["loc"][-1])[:60] for problem in found if problem["type"] == "extra_forbidden"]:
        return f"The recipe has settings that this version does not know: {', '.join(sorted(unknown)[:5])}."
    if missing := [str(problem["loc"][0]) for problem in found if problem["type"] == "missing" and len(problem["loc"]) == 1]:
        return f"The recipe lacks {', '.join(missing)}."
    problem, name = found[0], str(found[0]["loc"][0]) if found[0]["loc"] else ""
    field = of.model_fields.get(name)
    title = (field.title if field else None) or name.replace("_", " ").capitalize() or "The recipe"
    given, bound = problem["input"], problem.get("ctx", {})
    if problem["type"] == "less_than_equal":
        return f"{title}: {str(given)[:40]} is too large; at most {_short(bound['le'])} is possible."
    if problem["type"] == "greater_than_equal":
        return f"{title}: {str(given)[:40]} is too small; at least {_short(bound['ge'])} is needed."
    if problem["type"] == "too_long":
        return f"{title}: there are {bound.get('actual_length') or 'too many'}; at most {bound['max_length']:,} fit in one recipe."
    if problem["type"] == "too_short":
        return f"{title}: there are none; give at least {bound['min_length']}."
    return f"{title}: {_short(given)} cannot be read. {(field.description if field else None) or ''}".strip()


def _short(value: object) -> str:
    return repr(value)[:40] if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)[:40]


# What is found in JSON and among fields.


def is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_tuple(value: Any) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


# Text forms.


def write_number(number: float) -> str:
    """The shortest text that reads back as the same number: 0.1, 2, 1e-09."""
    return repr(float(number)).removesuffix(".0")


def read_numbers(text: str, what: str) -> list[float]:
    """'1,0.5,2' -> [1, 0.5, 2]; '' -> []; ``what`` names the field in an error."""
    try:
        return [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError as error:
        raise RecipeError(f"{what}: {text[:40]!r} are not numbers separated by commas.") from error


def write_numbers(numbers: Iterable[float]) -> str:
    return ",".join(map(write_number, numbers))


def write_name(name: str) -> str:
    """A name in which what separates names, a percent sign, and space at its ends, is written as in addresses: 'a;b' -> 'a%3Bb'."""
    return re.sub(r"[%,;:=@]|^\s+|\s+\Z", lambda found: quote(found[0], safe=""), name)


def read_names(text: str) -> list[str]:
    """'cat,dog' -> ['cat', 'dog']."""
    return [unquote(part.strip()) for part in text.split(",") if part.strip()]


def write_names(names: Sequence[str]) -> str:
    return ",".join(map(write_name, names))


def read_pairs(text: str, what: str) -> list[tuple[str, float]]:
    """'cat=.7,dog=.3' -> [('cat', 0.7), ('dog', 0.3)]; ``what`` names the field in an error."""
    pairs: list[tuple[str, float]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = part.rpartition("=")
        try:
            pairs.append((unquote(name.strip()), float(number)))
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise RecipeError(f"{what}: {part[:40]!r} is not a name with a number; write name=0.5, more of them separated by commas.")
    return pairs


def write_pairs(pairs: Pairs) -> str:
    return ",".join(f"{write_name(name)}={write_number(value)}" for name, value in pairs)


def add_pairs(*sums: Iterable[tuple[str, float]]) -> Pairs:
    """The sums by name, in the order in which names first appear."""
    total: dict[str, float] = {}
    for pairs in sums:
        for name, value in pairs:
            total[name] = total.get(name, 0.0) + value
    return tuple(total.items())
