"""Changes of a recipe said in words: 'more of pc1', 'as cat, less varied', for those who have no sliders, such as agents."""

import re
from collections.abc import Sequence
from typing import Any

from resgen.errors import RecipeError
from resgen.recipe import MAX_AMOUNT, MAX_SEED, Recipe

STEPS = {"a little ": 0.5, "": 1.0, "much ": 2.0}  # standard deviations along a direction
TRUNCATION_STEP = 0.2
MOST_WORDS = 500  # characters
HELP = "more of NAME, less of NAME, no NAME, as CLASS, more varied, more typical, others; 'much more' and 'a little less' work too"

Changes = dict[str, Any]


def follow(recipe: Recipe, words: str, directions: Sequence[str], classes: Sequence[str]) -> Recipe:
    """The recipe after changes, parted by commas or 'and'; names are those of the checkpoint's directions and classes. Raises RecipeError."""
    if len(words) > MOST_WORDS:
        raise RecipeError(f"Words: at most {MOST_WORDS} characters are read.")
    for said in filter(None, (part.strip() for part in re.split(r",|\band\b", words.casefold()))):
        recipe = recipe.changed(**_change(recipe, said, directions, classes))
    return recipe


def _change(recipe: Recipe, said: str, directions: Sequence[str], classes: Sequence[str]) -> Changes:
    """What one part of the words changes."""
    if said in ("more varied", "less varied", "more typical"):
        return _vary(recipe, TRUNCATION_STEP if said == "more varied" else -TRUNCATION_STEP)
    if re.fullmatch(r"others?( images| seeds)?", said):
        return _others(recipe)
    if matched := re.fullmatch(r"(a little |much |)(more|less)(?: of)? (.+)", said):
        much, way, name = matched.groups()
        return _move(recipe, _named(name, directions, "direction"), STEPS[much] if way == "more" else -STEPS[much])
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
    return {"truncation": round(max(0.0, min(1.5, recipe.truncation + step)), 3)}


def _others(recipe: Recipe) -> Changes:
    """As many seeds after the last one."""
    first = max(recipe.seeds) + 1
    if first + len(recipe.seeds) > MAX_SEED:
        first = 0
    return {"seeds": tuple(range(first, first + len(recipe.seeds)))}
