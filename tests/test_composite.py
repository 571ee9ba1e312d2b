import json
import tracemalloc
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resgen.budget import MAX_FRAMES, MAX_NOTE, MAX_QUERY, MAX_SEEDS, MAX_STOPS
from resgen.composite import AnatomyOf, Comparison, StyleMix, Walk, read, read_points, read_query
from resgen.errors import RecipeError
from resgen.recipe import Recipe
from tests import strategies

ONE, TWO = (Recipe(checkpoint="tiny", seeds=(seed,), columns=1) for seed in (1, 2))


FIELDS = [*Recipe.model_fields, *Walk.model_fields, *StyleMix.model_fields, *Comparison.model_fields, "kind"]
keys = st.sampled_from(FIELDS) | strategies.names


@given(st.dictionaries(keys, strategies.json_values, max_size=5), st.sampled_from(["", "walk", "mix", "compare", "anatomy"]))
def test_json_of_a_stranger_is_a_recipe_or_refused(raw: dict[str, object], kind: str) -> None:
    for values in (raw, {**raw, "kind": kind}):
        try:
            recipe = read(json.dumps(values))
        except RecipeError as error:
            assert len(error.args[0]) < 500
        else:
            assert read(recipe.to_json()) == recipe and read_query(recipe.to_query()) == recipe


@given(st.text(st.one_of(st.sampled_from('{}[]",:0123456789.eE-'), strategies.letters), max_size=40))
def test_text_of_a_stranger_is_a_recipe_or_refused(text: str) -> None:
    for read_text in (read, read_query, lambda text: read_query("walk=" + text), lambda text: read_query("edits=" + text)):
        try:
            recipe = read_text(text)
        except RecipeError:
            continue
        assert read(recipe.to_json()) == recipe


@given(
    st.lists(st.tuples(st.sampled_from(list(Recipe.model_fields)), st.text(strategies.letters | st.sampled_from("0123456789.-=,;:"), max_size=12)))
)
def test_a_link_of_a_stranger_is_a_recipe_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        recipe = read_query("&".join(f"{name}={text}" for name, text in pairs))
    except RecipeError:
        return
    assert read_query(recipe.to_query()) == recipe and read(recipe.to_json()) == recipe


@pytest.mark.parametrize("depth", [500, 900, 5_000, 100_000])
@pytest.mark.parametrize("before", ["", '{"truncation": ', '{"seeds": ', '{"kind": "walk", "stops": ', '{"kind": ', '{"x": '])
def test_deep_nesting_is_refused(before: str, depth: int) -> None:
    with pytest.raises(RecipeError):
        read(before + "[" * depth + "]" * depth + ("}" if before else ""))


@pytest.mark.parametrize(
    "bad",
    [
        '{"kind": "mix"}',
        '{"kind": "walk", "stops": [], "seconds": 1}',
        '{"kind": "walk", "stops": 3}',
        '{"kind": "walk", "stops": [{"seeds": "1"}]}',
        '{"kind": "walk", "stops": [{"seeds": "1"}, {"seeds": "2-3"}]}',
        '{"kind": "walk", "stops": [{"seeds": "1"}, {"seeds": "2", "checkpoint": "other"}]}',
        '{"kind": "dance"}',
        '{"kind": ["walk"]}',
        '{"kind": "compare", "recipe": {"seeds": "1"}, "checkpoints": [1]}',
        '{"kind": "compare", "recipe": {"seeds": "1"}, "checkpoints": []}',
        '{"kind": "anatomy", "recipe": {"seeds": "1-5"}}',
        '{"kind": "walk", "stops": [{"seeds": "1"}, {"seeds": "2"}], "seconds": 1e9}',
        '{"kind": "walk", "stops": [{"seeds": "1"}, {"seeds": "2"}], "seconds": 60, "fps": 60}',
        '{"kind": "mix", "rows": [{"seeds": "1"}], "columns": [{"seeds": "1"}], "blocks": [1, 1]}',
        '{"kind": "mix", "rows": [{"seeds": "1"}], "columns": [{"seeds": "1"}], "blocks": [1.7]}',
        '{"kind": "mix", "extra": 1}',
        "[1]",
    ],
)
def test_recipes_of_recipes_are_checked(bad: str) -> None:
    with pytest.raises(RecipeError):
        read(bad)


def test_a_long_link_is_read_whole_or_refused_in_one_sentence() -> None:
    long = Recipe(seeds=tuple(range(0, 40_000, 2)))
    assert 120_000 < len(long.to_query()) < MAX_QUERY and read_query(long.to_query()) == long
    with pytest.raises(RecipeError, match="longer than"):
        read_query(long.to_query() + "&sweep=" + "x" * MAX_QUERY)


@pytest.mark.parametrize("kind", ["mix", "walk", "anatomy"])
def test_seeds_of_what_is_one_image_are_not_counted_out(kind: str) -> None:
    """A link of two and a half thousand characters would ask for six million."""
    many = [{"seeds": "0-99999"}] * MAX_STOPS
    of = {"mix": {"rows": many, "columns": many, "blocks": []}, "walk": {"stops": many}, "anatomy": {"recipe": many[0]}}
    query = urlencode({kind: json.dumps(of[kind])})
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError, match="at most 1,000 fit"):
            read_query(query)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_link_that_was_cut_short_says_so() -> None:
    query = Walk(stops=(ONE, TWO)).to_query()
    with pytest.raises(RecipeError, match="cut short"):
        read_query(query[: len(query) // 2])


def test_every_kind_says_how_many_images_it_makes() -> None:
    grid = Recipe(checkpoint="tiny", seeds=tuple(range(1000)))
    assert Comparison(recipe=grid, checkpoints=("tiny", "plain")).count == 2000
    assert Comparison(recipe=Recipe(seeds=(1, 2), sweep="pc1", columns=7), checkpoints=("a", "b", "c")).count == 42
    assert StyleMix(rows=(ONE, TWO), columns=(ONE, TWO, TWO), blocks=()).count == 3 * 4 - 1
    assert Walk(stops=(ONE, TWO), seconds=2, fps=10).count == 20
    assert AnatomyOf(recipe=ONE).count == 1


def test_a_comparison_is_called_after_one_of_those_compared() -> None:
    compared = Comparison(recipe=Recipe(checkpoint="b"), checkpoints=("a", "b"))
    assert compared.checkpoint == "b" and compared.changed(recipe=Recipe()).checkpoint == "a"


def test_a_comparison_has_as_few_images_as_a_recipe() -> None:
    half = Recipe(checkpoint="tiny", seeds=tuple(range(MAX_SEEDS // 2)))
    assert Comparison(recipe=half, checkpoints=("a", "b")).count == MAX_SEEDS
    with pytest.raises(RecipeError, match="100,000"):
        Comparison(recipe=half, checkpoints=("a", "b", "c"))


@pytest.mark.parametrize("loop", [True, False])
def test_a_walk_goes_evenly_from_its_first_image_to_its_last(loop: bool) -> None:
    walk = Walk(stops=(ONE, TWO, ONE), seconds=1, fps=12, loop=loop)
    steps = [b - a for a, b in zip(walk.positions, walk.positions[1:], strict=False)]
    assert walk.positions[0] == 0 and len(walk.positions) == walk.frames == 12
    assert min(steps) > 0 and max(steps) - min(steps) < 1e-9
    assert walk.positions[-1] == pytest.approx(3 - steps[0] if loop else 2)


@given(st.floats(0.2, 60), st.integers(1, 60), st.booleans(), st.sampled_from(["even", "eased"]), st.integers(0, 2000))
def test_a_thinned_walk_goes_the_same_way_in_as_many_frames_as_are_wanted(seconds: float, fps: int, loop: bool, pace: Any, most: int) -> None:
    assume(seconds * fps <= MAX_FRAMES)
    stops = tuple(Recipe(checkpoint="c", seeds=(seed,)) for seed in range(3))
    walk = Walk(stops=stops, seconds=seconds, fps=fps, loop=loop, pace=pace)
    thin = walk.thinned(most)
    assert thin.frames == min(walk.frames, max(2, most)) and (thin.stops, thin.loop, thin.pace, thin.path) == (stops, loop, pace, walk.path)
    legs = 3 if loop else 2
    even = [legs * frame / (thin.frames - (not loop)) for frame in range(thin.frames)]
    assert thin.positions == pytest.approx([at if pace == "even" else at // 1 + (at % 1) ** 2 * (3 - 2 * (at % 1)) for at in even])
    assert thin.positions[0] == walk.positions[0] and (loop or thin.positions[-1] == walk.positions[-1])


def test_another_checkpoint_draws_all_parts() -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(1,), directions=(("pc1", 2.0),), columns=1)
    for made in (recipe, Walk(stops=(recipe, recipe)), StyleMix(rows=(recipe,), columns=(recipe,), blocks=(1,)), AnatomyOf(recipe=recipe)):
        moved = made.with_checkpoint("other")
        assert moved.checkpoint == "other" and "tiny" not in moved.to_json() and moved.with_checkpoint("tiny") == made
    compared = Comparison(recipe=recipe, checkpoints=("tiny@500", "tiny")).with_checkpoint("other")
    assert compared.checkpoints == ("tiny@500", "other") and compared.checkpoint == "other"


def test_points_are_seeds_of_a_class_or_none() -> None:
    points = read_points("3, 7@cat,10-11@a%3Bb", "tiny", 0.5)
    assert [(point.seeds, point.classes) for point in points] == [((3,), ()), ((7,), ("cat",)), ((10,), ("a;b",)), ((11,), ("a;b",))]
    assert all(point.count == 1 and point.checkpoint == "tiny" and point.truncation == 0.5 for point in points)


def test_too_many_points_are_refused() -> None:
    with pytest.raises(RecipeError, match="at most 32"):
        read_points("0-40", "tiny")


def test_a_recipe_that_is_too_long_is_not_read() -> None:
    with pytest.raises(RecipeError, match="longer than"):
        read('{"checkpoint": "' + "x" * MAX_NOTE + '"}')
