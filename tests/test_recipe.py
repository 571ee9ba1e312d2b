import json

import pytest

from resgen.errors import RecipeError
from resgen.recipe import MAX_SEED, Recipe, format_seeds, parse_pairs, parse_seeds

FULL = Recipe(
    checkpoint="cifar10",
    seeds=(3, 4, 5, 42, MAX_SEED),
    classes=("cat", "dog"),
    truncation=0.7,
    directions=(("pc1", 1.5), ("pc3", -2.0)),
    residual_gains=(1.0, 0.5, 2.0, 0.0),
    variation_of=7,
    variation_strength=0.25,
    columns=5,
    scale=2,
)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", (7,)), ("0-3,42", (0, 1, 2, 3, 42)), (" 5 , 1-2 ", (5, 1, 2)), ("1 2\n3", (1, 2, 3)), (str(MAX_SEED), (MAX_SEED,))],
)
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds
    assert parse_seeds(format_seeds(seeds)) == seeds


@pytest.mark.parametrize("text", ["", "3-", "abc", "-1", "5-2", "0-99999999", "1.5", str(MAX_SEED + 1), "9" * 5000, "٣", "0x10", ",,"])
def test_bad_seeds_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(RecipeError, match="Seeds") as raised:
        parse_seeds(text)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 200


@pytest.mark.parametrize("recipe", [Recipe(), FULL, Recipe(checkpoint="x", class_mix=(("cat", 0.7), ("dog", 0.3)))])
def test_json_and_links_give_the_recipe_back(recipe: Recipe) -> None:
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert Recipe.from_query(recipe.to_query()) == recipe


def test_links_pass_over_what_is_not_a_recipe() -> None:
    assert Recipe.from_query("__theme=dark&seeds=1-2&checkpoint=a") == Recipe(checkpoint="a", seeds=(1, 2))


@pytest.mark.parametrize(
    "bad",
    [
        {"truncation": 9},
        {"truncation": "NaN"},
        {"columns": 0},
        {"columns": 2.5},
        {"scale": 1000},
        {"seeds": [-1]},
        {"seeds": []},
        {"classes": [1]},
        {"class_mix": [["cat", 0.0]]},
        {"directions": [["pc1", 99]]},
        {"residual_gains": [3]},
        {"classes": ["a", "b"], "class_mix": [["a", 1]]},
        {"variation_of": "x"},
        {"sheeds": [1]},
        {"truncation": True},
    ],
)
def test_bad_values_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_json(json.dumps(bad))


@pytest.mark.parametrize("text", ["", "[]", "nul", "[" * 100_000, '{"seeds": {}}'])
def test_json_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        Recipe.from_json(text)


@pytest.mark.parametrize("text", ["cat", "cat=", "=1", "cat=x"])
def test_bad_pairs_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="Class mix"):
        parse_pairs(text, "Class mix")
