import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen.composite import Walk
from resgen.errors import RecipeError
from resgen.fields import Dial, Text, add_pairs, declaration, limits, read_names, read_pairs, write_field, write_names, write_number, write_pairs
from resgen.recipe import Recipe
from tests import strategies


@given(strategies.recipes())
def test_every_field_reads_its_own_text(recipe: Recipe) -> None:
    for name, value in recipe.values().items():
        if value is not None:
            assert recipe.changed(**{name: write_field(Recipe, name, value)}) == recipe, name


@given(strategies.walks(st.just((Recipe(seeds=(1,)), Recipe(seeds=(2,))))))
def test_every_field_of_a_walk_reads_its_own_text(walk: Walk) -> None:
    for name in ("seconds", "fps", "loop", "path", "scale"):
        assert walk.changed(**{name: write_field(Walk, name, getattr(walk, name))}) == walk, name


@given(strategies.several(strategies.names, 4))
def test_names_come_back_whatever_they_hold(names: tuple[str, ...]) -> None:
    assert tuple(read_names(write_names(names))) == names


@given(strategies.pairs(strategies.names, -1e300, 1e300))
def test_pairs_come_back_to_the_last_bit(pairs: tuple[tuple[str, float], ...]) -> None:
    assert tuple(read_pairs(write_pairs(pairs), "Pairs")) == pairs


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_written_to_the_last_bit(number: float) -> None:
    assert float(write_number(number)) == number


def test_numbers_are_written_as_a_person_would() -> None:
    assert [write_number(number) for number in (2.0, 0.1, -1.25, 0)] == ["2", "0.1", "-1.25", "0"]


@pytest.mark.parametrize("text", ["cat", "cat=", "=1", "cat=x"])
def test_bad_pairs_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="Class mix"):
        read_pairs(text, "Class mix")


def test_pairs_of_one_name_are_added() -> None:
    assert add_pairs([("a", 1.0), ("b", 2.0)], [("a", 0.5)]) == (("a", 1.5), ("b", 2.0))


def test_every_field_says_what_it_is() -> None:
    for name, field in (*Recipe.model_fields.items(), *Walk.model_fields.items()):
        assert field.title and field.description, name


def test_limits_and_dials_are_those_of_the_declaration() -> None:
    assert limits(Recipe, "truncation") == (0, 1.5) and limits(Walk, "fps") == (1, 60)
    assert declaration(Recipe, "truncation", Dial) == Dial(0.01) and declaration(Recipe, "truncation", Text) is None
    for name in ("truncation", "scale", "variation_strength"):
        low, high = limits(Recipe, name)
        for value in (low, high):
            assert getattr(Recipe().changed(**{name: value}), name) == value
        for value in (low - 1, high + 1):
            with pytest.raises(RecipeError, match=str(Recipe.model_fields[name].title)):
                Recipe().changed(**{name: value})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"truncation": 9}, "Truncation: 9 is too large; at most 1.5 is possible."),
        ({"scale": 0}, "Size when saved: 0 is too small; at least 1 is needed."),
        ({"seeds": []}, "Seeds: there are none; give at least 1."),
        ({"own_directions": [["a", "AAA"]] * 9}, "Own directions: there are 9; at most 8 fit in one recipe."),
        ({"sheeds": 1}, "The recipe has settings that this version does not know: sheeds."),
        ({"variation_of": "x"}, "Variations of seed: 'x' cannot be read. Make the seeds variations of this seed."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecipeError) as raised:
        Recipe(**values)  # type: ignore[arg-type]
    assert str(raised.value) == sentence
