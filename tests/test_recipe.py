import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resgen import fields
from resgen.composite import Walk, read, read_query
from resgen.errors import RecipeError
from resgen.fields import Declared, add_pairs
from resgen.recipe import MAX_SEED, Recipe, format_seeds, pack_vector, parse_seeds, unpack_vector, usual_scale
from tests import strategies
from tests.conftest import grows_evenly


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7", (7,)), ("0-3,42", (0, 1, 2, 3, 42)), (" 5 , 1-2 ", (5, 1, 2)), ("1 2\n3", (1, 2, 3)), (str(MAX_SEED), (MAX_SEED,))],
)
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["7 - 9", "7\u20139", "7 \u2014 9", "7 -9"])
def test_a_range_is_read_however_it_is_typed(text: str) -> None:
    assert parse_seeds(text) == (7, 8, 9)


@given(strategies.several(strategies.seeds, 12, 1))
def test_seeds_come_back_from_their_text(seeds: tuple[int, ...]) -> None:
    assert parse_seeds(format_seeds(seeds)) == seeds


@pytest.mark.parametrize("text", ["", "3-", "abc", "-1", "5-2", "0-99999999", "1.5", str(MAX_SEED + 1), "9" * 5000, "٣", "0x10", ",,", "3, -5"])
def test_bad_seeds_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(RecipeError, match="Seeds") as raised:
        parse_seeds(text)
    assert "\n" not in raised.value.args[0] and len(str(raised.value)) < 200


@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_vectors_come_back_from_their_text(values: list[float]) -> None:
    assert unpack_vector(pack_vector(values)) == tuple(values)


@pytest.mark.parametrize("text", ["", "A", "AAAA,AAAA", "AA==", "A+A/", "é", "A" * 100_000, pack_vector([float("inf")]), pack_vector([float("nan")])])
def test_text_that_is_no_vector_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        unpack_vector(text)


def test_a_number_too_large_for_a_vector_is_refused() -> None:
    with pytest.raises(RecipeError, match="too large"):
        pack_vector([1e6])


def test_many_spaces_are_read_at_once() -> None:
    """A server reads them in links, between all other answers."""

    def read_seeds(spaces: int) -> None:
        assert parse_seeds("1" + " " * spaces + "2 " + "-" + " " * spaces + "4") == (1, 2, 3, 4)

    grows_evenly(read_seeds, 20_000)


def test_pairs_may_be_a_mapping_and_seeds_a_number() -> None:
    plain = {"seeds": 5, "class_mix": {"cat": 0.5, "dog": 1}, "directions": {"pc1": 2}, "edits": {"3": {"pc1": 2}, "0": {"pc2": -1}}}
    plain["own_directions"] = {"mine": pack_vector([1.0])}
    expected = Recipe(
        seeds=(5,), class_mix=(("cat", 0.5), ("dog", 1.0)), directions=(("pc1", 2.0),), edits=((3, (("pc1", 2.0),)), (0, (("pc2", -1.0),))),
        own_directions=(("mine", pack_vector([1.0])),),
    )  # fmt: skip
    assert Recipe(**{**plain, "seeds": np.int64(5)}) == expected, "as of an array"
    assert Recipe(**plain) == expected and read(json.dumps(plain)) == expected and read(expected.to_json()) == expected


def test_links_pass_over_what_is_not_a_recipe() -> None:
    assert Recipe.from_query("__theme=dark&seeds=1-2&checkpoint=a") == Recipe(checkpoint="a", seeds=(1, 2))


@pytest.mark.parametrize(
    "bad",
    [
        {"truncation": 9},
        {"truncation": "NaN"},
        {"truncation": 10**400},
        {"truncation": "1e400"},
        {"columns": 0},
        {"columns": 2.5},
        {"scale": 1000},
        {"seeds": [-1]},
        {"seeds": -1},
        {"seeds": True},
        {"seeds": {"1": 2}},
        {"directions": {"pc1": {"pc2": 1}}},
        {"seeds": []},
        {"seeds": [MAX_SEED + 1]},
        {"classes": [1]},
        {"classes": [""]},
        {"class_mix": [["cat", -0.1]]},
        {"directions": [["pc1", 99]]},
        {"directions": "pc1=6,pc1=6"},
        {"edits": "0:pc1=16;0:pc1=16"},
        {"edits": "-100:pc1=1"},
        {"edits": [[-100, [["pc1", 1.0]]]]},
        {"edits": [[-1, [["pc1", 1.0]]]]},
        {"edits": [[100_000, [["pc1", 1.0]]]]},
        {"edits": [[0, [["pc1", 31.0]]]]},
        {"residual_gains": [3]},
        {"residual_gains": "1,nan"},
        {"classes": ["a", "b"], "class_mix": [["a", 1]]},
        {"variation_of": "x"},
        {"variation_path": "3=0.5"},
        {"variation_of": 1, "variation_path": "3=1.5"},
        {"variation_of": 1, "plane": "1,2,1"},
        {"plane": "1,2"},
        {"plane": [1, 2, 99]},
        {"latents": "AAA", "classes": "cat"},
        {"latents": ["AAAA,AAAA"]},
        {"own_directions": [["a;b", "AAA"]]},
        {"own_directions": [["a", "AAA"], ["a", "AAA"]]},
        {"sweep": "pc1", "columns": 1},
        {"sheeds": [1]},
        {"plane": [1, 1, 1], "columns": 100, "sweep": "pc1"},
    ],
)
def test_bad_values_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        Recipe(**bad)  # type: ignore[arg-type]
    with pytest.raises(RecipeError):
        read(json.dumps(bad))


@pytest.mark.parametrize("text", ["", "[]", "nul", "[" * 100_000, '{"seeds": {}}', '{"seeds": 1' + "0" * 5000 + "}"])
def test_json_that_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        read(text)


def test_what_a_link_does_not_say_is_another_recipes() -> None:
    first = Recipe(checkpoint="best", seeds=(1, 2), columns=2, scale=5)
    assert Recipe.from_query("columns=8").over(first) == first.changed(columns=8), "be it at its default"
    assert Recipe.from_query("checkpoint=&seeds=7").over(first) == first.changed(seeds=(7,))
    assert (whole := Recipe(checkpoint="own", columns=3)).over(first) is whole


def test_edits_of_one_place_are_one_edit() -> None:
    joined = Recipe(edits=((1, (("pc1", 2.0),)), (0, ()), (1, (("pc2", 1.0), ("pc1", -0.5)))))  # type: ignore[arg-type]
    assert joined.edits == ((1, (("pc1", 1.5), ("pc2", 1.0))),) and joined == Recipe(edits="1:pc1=1.5,pc2=1")  # type: ignore[arg-type]


def test_a_value_beyond_what_sliders_show_is_kept() -> None:
    recipe = read_query("directions=pc1%3D8%2Cpc2%3D-10&class_mix=a%3D1%2Cb%3D1%2Cc%3D1%2Cd%3D1%2Ce%3D1&residual_gains=2,2")
    assert isinstance(recipe, Recipe)
    assert recipe.directions == (("pc1", 8.0), ("pc2", -10.0)) and len(recipe.class_mix) == 5 and recipe.residual_gains == (2.0, 2.0)


def test_numbers_in_links_lose_nothing() -> None:
    recipe = Recipe(truncation=1 / 3, directions=(("a;b", 0.1 + 0.2),), edits=((0, (("a;b", 1 / 7),)),))
    assert read_query(recipe.to_query()) == recipe


@given(strategies.recipes())
def test_each_image_alone_is_one_image_that_can_be_written_down(recipe: Recipe) -> None:
    for index in {0, recipe.count // 2, recipe.count - 1}:
        alone = recipe.single(index)
        assert alone.count == 1 and read(alone.to_json()) == alone == read_query(alone.to_query())


@given(strategies.recipes())
def test_each_image_alone_is_turned_as_far_as_it_was_among_others(recipe: Recipe) -> None:
    """Also where that is further than all images may be turned."""
    for index in {0, recipe.count // 2, recipe.count - 1}:
        row, step = divmod(index, len(recipe.sweep_amounts))
        along = ((recipe.sweep, recipe.sweep_amounts[step]),) if recipe.sweep else ()
        turned = dict(add_pairs(recipe.directions, dict(recipe.edits).get(row, ()), along))
        alone = recipe.single(index)
        assert dict(add_pairs(alone.directions, *dict(alone.edits).values())) == pytest.approx(turned)


def test_an_image_is_not_turned_further_than_it_can_be_alone() -> None:
    furthest = Recipe(directions=(("pc1", 10.0),), edits=((0, (("pc1", 27.0),)),), sweep="pc1", columns=3)
    assert dict(furthest.single(2).edits) == {0: (("pc1", 30.0),)}
    with pytest.raises(RecipeError, match="comes to 41 with what moves all images; at most 40 is possible"):
        furthest.changed(edits=((0, (("pc1", 28.0),)),))


def test_an_image_is_not_turned_along_more_directions_than_it_can_be_alone() -> None:
    many = tuple((f"d{number}", 1.0) for number in range(200))
    most = {f"e{number}": 1.0 for number in range(56)}
    recipe = Recipe(directions=many, edits=((0, most),))  # type: ignore[arg-type]
    assert len(recipe.single(0).directions) == 256
    for more in ({"edits": ((0, {**most, "one": 1.0}),)}, {"sweep": "one"}):
        with pytest.raises(RecipeError, match="along 257"):
            recipe.changed(**more)


@pytest.mark.parametrize(("of", "resolution", "scale"), [(Recipe, 32, 3), (Recipe, 256, 3), (Recipe, 512, 1), (Walk, 128, 6), (Walk, 1024, 1)])
def test_large_images_are_enlarged_less_where_nobody_says_how_far(of: type[Declared], resolution: int, scale: int) -> None:
    assert usual_scale(of, resolution) == scale


def test_an_image_alone_carries_no_more_than_it_needs() -> None:
    packed = pack_vector([0.5] * 12)
    recipe = Recipe(seeds=tuple(range(1000)), own_directions=(("used", packed), ("other", packed)), edits=((3, (("used", 1.0),)),))
    assert recipe.single(0).own_directions == () and recipe.single(3).own_directions == (("used", packed),)
    assert len(Recipe(seeds=tuple(range(0, 2000, 2)), plane=(1, 1, 1)).single(5).to_query()) < 200


def test_as_many_edits_as_fit_are_joined_at_once() -> None:
    """In time that grows with their number: by its square, it would take minutes."""

    def join(count: int) -> None:
        edits = [(place, (("pc1", 1.0),)) for place in range(count)] * 2
        assert Recipe(seeds=(1,), edits=edits).edits[-1] == (count - 1, (("pc1", 2.0),))  # type: ignore[arg-type]

    grows_evenly(join, 10_000)


@pytest.mark.parametrize(
    "name", ["seeds", "latents", "classes", "class_mix", "directions", "own_directions", "edits", "residual_gains", "variation_path"]
)
def test_the_first_wrong_entry_of_a_list_is_enough(name: str) -> None:
    """A word on each of a million would fill the memory."""
    problems: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        sentence = fields._sentence
        patch.setattr(fields, "_sentence", lambda of, error: problems.append(error.error_count()) or sentence(of, error))
        with pytest.raises(RecipeError):
            Recipe(**{name: [None] * 1000})  # type: ignore[arg-type]
    assert problems[0] < 4
