"""Changes of a recipe said in words: 'more of pc1', 'as cat, less varied', for those who have no sliders, such as agents."""

import re
from collections.abc import Sequence
from typing import Any

from resgen.errors import RecipeError
from resgen.fields import limits
from resgen.recipe import MAX_AMOUNT, SEEDS, Recipe

STEPS = {"a little ": 0.5, "": 1.0, "much ": 2.0}  # standard deviations along a direction
VARIED = {"varied": 0.2, "typical": -0.2}  # steps of truncation
BETWEEN = r",|\band\b"
MOST_WORDS = 500  # characters
HELP = "more of NAME, less of NAME, no NAME, as CLASS, more varied, more typical, others; 'much more' and 'a little less' work too"

Changes = dict[str, Any]


def follow(recipe: Recipe, words: str, directions: Sequence[str], classes: Sequence[str]) -> Recipe:
    """The recipe after changes, parted by commas or 'and'; names are those of the checkpoint's directions and classes. Raises RecipeError."""
    if len(words) > MOST_WORDS:
        raise RecipeError(f"Words: at most {MOST_WORDS} characters are read.")
    for said in _parted(words.casefold(), [name.casefold() for name in (*directions, *classes)]):
        recipe = recipe.changed(**_change(recipe, said, directions, classes))
    return recipe


def _parted(words: str, names: Sequence[str]) -> list[str]:
    """What is between the commas and the 'and's that are not within a name."""
    whole = sorted((name for name in names if re.search(BETWEEN, name)), key=len, reverse=True)
    either = "|".join([*map(re.escape, whole), f"({BETWEEN})"])
    lines = re.sub(either, lambda found: "\n" if found[1] else found[0], words).split("\n")
    return [line.strip() for line in lines if line.strip()]


def _change(recipe: Recipe, said: str, directions: Sequence[str], classes: Sequence[str]) -> Changes:
    """What one part of the words changes."""
    if re.fullmatch(r"others?( images| seeds)?", said):
        return _others(recipe)
    if matched := re.fullmatch(r"(a little |much |)(more|less)(?: of)? (.+)", said):
        much, way, name = matched.groups()
        step = STEPS[much] if way == "more" else -STEPS[much]
        if name in VARIED:
            return _vary(recipe, VARIED[name] * step)
        return _move(recipe, _named(name, directions, "direction"), step)
    if matched := re.fullmatch(r"(?:no|without) (.+)", said):
        name = _named(matched[1], directions, "direction")
        return {"directions": tuple(pair for pair in recipe.directions if pair[0] != name)}
    if matched := re.fullmatch(r"as (?:an? )?(.+)", said):
        return {"classes": (_named(matched[1], classes, "class"),), "class_mix": ()}
    raise RecipeError(f"Words: {said[:60]!r} is not understood; say {HELP}.")


def _named(name: str, names: Sequence[str], what: str) -> str:
    """The name as it is written. Raises RecipeError where there is none such."""
    for known in names:
        if known.casefold() == name:
            return known
    raise RecipeError(f"Words: there is no {what} {name[:60]!r}; there are: {', '.join(names[:40]) or 'none'}.")


def _move(recipe: Recipe, name: str, step: float) -> Changes:
    amounts = dict(recipe.directions)
    amounts[name] = max(-MAX_AMOUNT, min(MAX_AMOUNT, amounts.get(name, 0.0) + step))
    return {"directions": tuple(amounts.items())}


def _vary(recipe: Recipe, step: float) -> Changes:
    least, most = limits(Recipe, "truncation")
    return {"truncation": round(max(least, min(most, recipe.truncation + step)), 3)}


def _others(recipe: Recipe) -> Changes:
    """As many seeds after the last one."""
    first = max(recipe.seeds) + 1
    if first + len(recipe.seeds) > SEEDS:
        first = 0
    return {"seeds": tuple(range(first, first + len(recipe.seeds)))}
