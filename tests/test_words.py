"""Changes said in words."""

import pytest

from resgen.errors import RecipeError
from resgen.recipe import Recipe
from resgen.words import follow

NAMES, CLASSES = ("pc1", "Warmth", "light background", "hats, gloves"), ("cat", "Bell pepper", "Salt and pepper")


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("more of pc1", {"directions": (("pc1", 1.5),)}),
        ("Much less warmth", {"directions": (("pc1", 0.5), ("Warmth", -2.0))}),
        ("a little more of light background, no pc1", {"directions": (("light background", 0.5),)}),
        ("more of pc1 and more of pc1", {"directions": (("pc1", 2.5),)}),
        ("as a bell pepper", {"classes": ("Bell pepper",)}),
        ("more varied", {"truncation": 0.9}),
        ("less varied, more typical", {"truncation": 0.3}),
        ("much more varied, a little less typical", {"truncation": 1.2}),
        ("as salt and pepper and more of hats, gloves", {"classes": ("Salt and pepper",), "directions": (("pc1", 0.5), ("hats, gloves", 1.0))}),
        ("others", {"seeds": (6, 7)}),
        ("", {}),
        (" , ", {}),
    ],
)
def test_words_change_what_they_say(words: str, changes: dict[str, object]) -> None:
    recipe = Recipe(checkpoint="x", seeds=(4, 5), truncation=0.7, directions=(("pc1", 0.5),))
    assert follow(recipe, words, NAMES, CLASSES) == recipe.changed(**changes)


def test_amounts_have_an_end() -> None:
    recipe = Recipe(directions=(("pc1", 9.5),), truncation=1.5)
    assert follow(recipe, "much more of pc1, more varied", NAMES, CLASSES) == recipe.changed(directions=(("pc1", 10.0),))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("more of smile", "there is no direction 'smile'; there are: pc1, Warmth"),
        ("as dog", "there is no class 'dog'; there are: cat"),
        ("paint a dog", "not understood; say more of NAME"),
        ("more " * 200, "at most 500 characters"),
    ],
)
def test_words_that_say_nothing_are_told_what_would(words: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        follow(Recipe(), words, NAMES, CLASSES)
