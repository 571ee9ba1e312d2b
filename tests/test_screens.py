"""A screen's contract, without a browser: what was written is read again, and a control that is moved changes its own field alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resgen.budget import OWN
from resgen.composite import Comparison, StyleMix, Walk, read_dict, read_query
from resgen.errors import DataError, RecipeError, ResGenError
from resgen.generator import GeneratorConfig
from resgen.library import Library
from resgen.recipe import Recipe, pack_vector
from resgen.studio.app import Studio
from resgen.studio.controls import Kept
from resgen.studio.page import as_pins, make_pins, pinned, uploaded
from resgen.studio.renderer import Renderer
from tests.conftest import CLASSES

W_DIM, BLOCKS = 12, 3  # of the checkpoint `tiny`
EXAMPLES = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def packed(size: int) -> st.SearchStrategy[str]:
    """Vectors of halves, each made of one number: numbers drawn one by one would take most of a test's time."""
    return st.integers(0, 2**32).map(lambda seed: pack_vector(np.random.default_rng(seed).uniform(-4, 4, size).tolist()))


vectors = packed(W_DIM)
latents = vectors | packed(W_DIM * BLOCKS)
amounts = st.floats(-10, 10) | st.sampled_from([-10.0, -5.0, 0.1, 3.0, 10.0])
classes = st.lists(st.sampled_from(CLASSES), unique=True, max_size=3).map(tuple)
own_directions = st.dictionaries(st.sampled_from(["own", "a b", "x-1"]), vectors, max_size=3)
class_mixes = st.dictionaries(st.sampled_from(CLASSES), st.floats(0, 1000), min_size=1)
gains = st.just(()) | st.tuples(*[st.floats(0, 2)] * BLOCKS)


@st.composite
def drawable(draw: st.DrawFn, single: bool = False) -> Recipe:
    """Any recipe that `tiny` can draw, with all that a recipe may hold."""
    own = draw(own_directions)
    directions = st.dictionaries(st.sampled_from(["pc1", "pc2", *own]), amounts, max_size=4).map(lambda found: tuple(found.items()))
    seeds = draw(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 30), min_size=1, max_size=1 if single else 4))
    values: dict[str, Any] = {
        "checkpoint": "tiny",
        "seeds": tuple(seeds),
        "truncation": draw(st.floats(0, 1.5)),
        "directions": draw(directions),
        "own_directions": tuple(own.items()),
        "residual_gains": draw(gains),
        "variation_strength": draw(st.floats(0, 1)),
        "columns": 1 if single else draw(st.integers(2, 5)),
        "scale": draw(st.integers(1, 16)),
    }
    if not single:
        values["sweep"] = draw(st.sampled_from(["", "", "pc1", *own]))
        values["edits"] = tuple(draw(st.dictionaries(st.integers(0, 6), directions, max_size=3)).items())
    kind = draw(st.sampled_from(["seeds", "latents", "plane", "variations"]))
    if kind == "latents":
        return Recipe(**values, latents=tuple(draw(st.lists(latents, min_size=1, max_size=1 if single else 3))))
    if kind == "plane":
        values["plane"] = (draw(st.floats(0, 1000)), draw(st.floats(0, 1e6)), draw(st.floats(0, 10)))
        values["plane_rows"] = draw(st.integers(0, 1 if single else 4))
    if kind == "variations":
        path = draw(st.lists(st.tuples(st.integers(0, 99), st.floats(0, 1)), max_size=2))
        values |= {"variation_of": draw(st.integers(0, 2**63 - 1)), "variation_path": tuple(path)}
    if draw(st.booleans()):
        return Recipe(**values, class_mix=tuple(draw(class_mixes).items()))
    return Recipe(**values, classes=draw(classes)[: 1 if single else 3])


single = drawable(single=True)
walks = st.builds(
    Walk,
    stops=st.lists(single, min_size=2, max_size=3).map(tuple),
    seconds=st.floats(0.2, 30),
    fps=st.integers(1, 60),
    loop=st.booleans(),
    path=st.sampled_from(["z", "w"]),
    pace=st.sampled_from(["even", "eased"]),
    scale=st.integers(1, 16),
)
mixes = st.builds(
    StyleMix,
    rows=st.lists(single, min_size=1, max_size=2).map(tuple),
    columns=st.lists(single, min_size=1, max_size=2).map(tuple),
    blocks=st.permutations(range(BLOCKS)).flatmap(lambda order: st.integers(0, BLOCKS).map(lambda count: tuple(order[:count]))),
    scale=st.integers(1, 16),
)
columns = st.lists(st.sampled_from(["tiny", "tiny@500"]), min_size=1, max_size=4).map(tuple)
comparisons = st.builds(Comparison, recipe=drawable(), checkpoints=columns).filter(lambda comparison: comparison.count <= OWN.images)


@pytest.fixture(scope="module")
def studio(tiny_folder: Path) -> Studio:
    with gr.Blocks() as demo:
        return Studio(Renderer(Library(tiny_folder, "cpu")), demo)


def settle(screen: Any, recipe: Any, before: dict[Any, Any] | None = None) -> dict[Any, Any]:
    """What the page holds once a recipe was written."""
    return held(before or {control: control.value for control in screen.inputs}, screen.write(recipe))


def held(values: dict[Any, Any], updates: dict[Any, Any]) -> dict[Any, Any]:
    """What the page holds once some of its ``values`` were written anew."""
    values = dict(values)
    for control, update in updates.items():
        if control in values:
            is_update = isinstance(update, dict) and update.get("__type__") == "update"
            values[control] = update.get("value", values[control]) if is_update else update
    return values


def test_each_answer_of_explore_is_another_value_though_the_picture_is_the_same(studio: Studio) -> None:
    one, other = (studio.explore.draw(Recipe(checkpoint="tiny")) for _ in range(2))
    assert one != other and one["src"] == other["src"]


@EXAMPLES
@given(recipe=drawable())
def test_explore_reads_what_it_wrote(studio: Studio, recipe: Recipe) -> None:
    assert studio.explore.read(settle(studio.explore, recipe)) == recipe


@settings(EXAMPLES, max_examples=150)
@given(first=drawable(), recipe=drawable())
def test_nothing_of_the_recipe_before_is_left(studio: Studio, first: Recipe, recipe: Recipe) -> None:
    before = settle(studio.explore, first)
    assert studio.explore.read(settle(studio.explore, recipe, before)) == recipe


@EXAMPLES
@given(recipe=walks)
def test_walk_reads_what_it_wrote(studio: Studio, recipe: Walk) -> None:
    assert studio.walk.read(settle(studio.walk, recipe)) == recipe


@EXAMPLES
@given(recipe=mixes)
def test_mix_reads_what_it_wrote(studio: Studio, recipe: StyleMix) -> None:
    assert studio.mix.read(settle(studio.mix, recipe)) == recipe


@EXAMPLES
@given(recipe=comparisons)
def test_compare_reads_what_it_wrote(studio: Studio, recipe: Comparison) -> None:
    assert studio.compare.read(settle(studio.compare, recipe)) == recipe


@EXAMPLES
@given(recipe=single)
def test_invert_reads_what_it_wrote(studio: Studio, recipe: Recipe) -> None:
    assert studio.invert.read(settle(studio.invert, recipe)) == recipe


FULL = Recipe(
    checkpoint="tiny",
    seeds=(3, 4),
    truncation=0.8234567,
    directions=(("pc1", 8.0), ("pc2", -1.25)),
    edits=((1, (("pc1", 2.0),)),),
    residual_gains=(1.0, 0.333, 1.5),
    class_mix=(("disc", 0.7), ("square", 0.2), ("stripes", 0.1)),
    columns=5,
)


def turned(amounts: dict[str, float], sweep: str = "", edits: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the page's dials of directions tell, of `FULL` where single images are not turned."""
    return {"names": ["pc1", "pc2"], "own": [], "amounts": amounts, "edits": edits or {"1": {"pc1": 2}}, "place": -1, "sweep": sweep}


MOVES: dict[str, Callable[[Studio], tuple[Any, Any, dict[str, Any]]]] = {
    "truncation": lambda s: (s.explore.controls.truncation, 0.5, {"truncation": 0.5}),
    "a direction": lambda s: (s.explore.controls.directions, turned({"pc1": 5, "pc2": 3}), {"directions": (("pc1", 8.0), ("pc2", 3.0))}),
    "a direction to nothing": lambda s: (s.explore.controls.directions, turned({"pc1": 5}), {"directions": (("pc1", 8.0),)}),
    "all directions to nothing": lambda s: (s.explore.controls.directions, turned({}), {"directions": ()}),
    "a strip": lambda s: (s.explore.controls.directions, turned({"pc1": 5, "pc2": -1.2}, "pc2"), {"sweep": "pc2"}),
    "a gain": lambda s: (s.explore.controls.blocks, {"names": ["1", "2", "3"], "gains": [0, 0.33, 1.5]}, {"residual_gains": (0.0, 0.333, 1.5)}),
    "columns": lambda s: (s.explore.controls.columns, 2, {"columns": 2}),
    "a share": lambda s: (s.explore.controls.shares[2], 1, {"class_mix": (("disc", 0.7), ("square", 0.2), ("stripes", 0.7))}),
    "seeds": lambda s: (s.explore.controls.seeds, "7,9", {"seeds": (7, 9), "edits": ()}),
    "one class": lambda s: (s.explore.controls.class_mode, "One class", {"classes": ("disc",), "class_mix": ()}),
    "the plane": lambda s: (s.explore.controls.plane, [1, 2, 0.5], {"plane": (1.0, 2.0, 0.5), "plane_rows": 1, "columns": 2, "edits": ()}),
}


@pytest.mark.parametrize("what", MOVES)
def test_a_moved_control_changes_its_own_field_alone_and_back(studio: Studio, what: str) -> None:
    control, value, changes = MOVES[what](studio)
    values = settle(studio.explore, FULL)
    assert studio.explore.read(values | {control: value}) == FULL.changed(**changes)
    assert studio.explore.read(values | {control: values[control]}) == FULL


def test_seeds_that_are_being_typed_do_not_stop_a_slider(studio: Studio) -> None:
    c = studio.explore.controls
    values = settle(studio.explore, FULL) | {c.seeds: "3-", c.truncation: 0.5}
    assert studio.explore.read(values) == FULL.changed(truncation=0.5)
    compared = Comparison(recipe=FULL, checkpoints=("tiny", "tiny@500"))
    values = settle(studio.compare, compared) | {studio.compare.seeds: "3-", studio.compare.truncation: 0.5}
    assert studio.compare.read(values) == compared.changed(recipe=FULL.changed(truncation=0.5))


def test_seeds_that_were_refused_are_not_refused_again_where_their_box_is_left(studio: Studio) -> None:
    explore = studio.explore
    values = settle(explore, FULL) | {explore.controls.seeds: "5;6;7", explore.refused: []}
    told = explore.check_left_seeds(values)
    values[explore.refused] = next(told)
    with pytest.raises(RecipeError, match="Seeds"):
        next(told)
    assert list(explore.check_left_seeds(values)) == [gr.skip()]


def test_what_is_pressed_before_the_first_picture_says_so(studio: Studio) -> None:
    values = settle(studio.explore, FULL) | {studio.explore.kept: None}
    with pytest.raises(RecipeError, match="on their way"):
        studio.explore.read(values)


def test_another_checkpoint_keeps_what_belongs_to_any(studio: Studio) -> None:
    c = studio.explore.controls
    values = settle(studio.explore, FULL) | {c.checkpoint: "plain"}
    moved = studio.explore.read(values)
    assert moved == Recipe(checkpoint="plain", seeds=FULL.seeds, truncation=FULL.truncation, columns=FULL.columns, scale=FULL.scale)
    assert studio.explore.read(settle(studio.explore, moved, values)) == moved
    assert studio.explore.read(values | {c.checkpoint: "plain", c.truncation: 0.25}).truncation == 0.25


def test_a_generator_that_cannot_be_drawn_with_does_not_stay_chosen(studio: Studio) -> None:
    c = studio.explore.controls
    values = settle(studio.explore, FULL) | {c.checkpoint: "gone"}
    assert studio.explore.change_checkpoint(values) == {c.checkpoint: "tiny"}


def test_own_directions_come_along_into_variations_and_back(studio: Studio) -> None:
    explore, mine = studio.explore, ("mine", pack_vector([1.0] * W_DIM))
    grid = FULL.changed(class_mix=(), edits=(), own_directions=(mine,), directions=(("mine", 2.0), ("pc1", 8.0)))
    image, other = (FULL.changed(class_mix=(), edits=(), seeds=(seed,), columns=1) for seed in (3, 9))
    values = settle(explore, grid) | {explore.narrow: False}
    kept = Kept.from_json(explore.vary(values, gr.EventData(None, {"action": "vary", "tile": image.to_query()}))[explore.kept])
    assert kept.recipe.own_directions == (mine,) and kept.recipe.variation_of == 3

    def among(kept: Kept) -> dict[Any, Any]:
        return settle(explore, kept.recipe) | {explore.kept: kept.to_json()}

    marked = {explore.marked: {"more": [image.to_query()], "less": [other.to_query()]}, explore.controls.own_name: "made"}
    made = Kept.from_json(explore.make_own(among(kept) | marked)[explore.kept])
    back = Kept.from_json(explore.leave_variations(among(made))[explore.kept]).recipe
    assert back == grid.changed(own_directions=made.recipe.own_directions) and [name for name, _ in back.own_directions] == ["mine", "made"]
    removed = explore.change_directions(among(made), gr.EventData(None, {"action": "remove", "name": "mine"}))
    back = Kept.from_json(explore.leave_variations(among(Kept.from_json(removed[explore.kept])))[explore.kept]).recipe
    assert [name for name, _ in back.own_directions] == ["made"] and back.directions == (("pc1", 8.0),)
    assert explore.leave_variations(settle(explore, back)) == {}, "asked for twice"


def test_a_window_entered_from_a_found_image_is_as_large_as_a_first_picture(studio: Studio) -> None:
    found = Recipe(checkpoint="tiny", latents=(pack_vector([0.5] * W_DIM),), columns=1, scale=1)
    window = studio.explore.read(settle(studio.explore, found) | {studio.explore.controls.plane: [1, 2, 0.5]})
    assert window.plane == (1, 2, 0.5) and (window.columns, window.plane_rows) == (4, 4) and window.scale > 1 and not window.latents


def test_dials_of_one_image_move_it_alone(studio: Studio) -> None:
    directions = studio.explore.controls.directions
    values, amounts = settle(studio.explore, FULL), {"pc1": 5, "pc2": -1.2}
    assert values[directions]["edits"] == {"1": {"pc1": 2}}
    assert studio.explore.read(values | {directions: values[directions] | {"place": 1}}) == FULL, "which image is moved changes none"
    moved = values | {directions: turned(amounts, edits={"1": {"pc1": 2, "pc2": -3}, "0": {"pc1": 1}})}
    assert studio.explore.read(moved) == FULL.changed(edits=((1, (("pc1", 2.0), ("pc2", -3.0))), (0, (("pc1", 1.0),))))
    rested = values | {directions: turned(amounts, edits={"1": {}})}
    assert studio.explore.read(rested) == FULL.changed(edits=())


def test_other_seeds_are_not_edited(studio: Studio) -> None:
    """Whether what was turned of the old ones was written since, or only the page tells it."""
    c = studio.explore.controls
    values = settle(studio.explore, FULL) | {c.seeds: "7,9", c.directions: turned({"pc1": 5, "pc2": -1.2}, edits={"1": {"pc1": 2}, "0": {"pc2": 4}})}
    changed = studio.explore.change_seeds(values)
    assert studio.explore.read(values) == FULL.changed(seeds=(7, 9), edits=()) and changed[c.directions]["value"]["edits"] == {}
    assert studio.explore.change_seeds(settle(studio.explore, FULL)) == {}, "what is the same is not written"


def test_a_strip_of_many_classes_is_of_the_first_and_gives_them_back(studio: Studio) -> None:
    rows = Recipe(checkpoint="tiny", seeds=tuple(range(10)), classes=("square", "disc", "stripes"), columns=10, edits=((2, (("pc1", 1.0),)),))
    strip = enter_strip(studio, rows, "pc1")
    assert strip.classes == ("square",) and strip.count == 6 * 7
    turned_there = strip.changed(edits=((1, (("pc2", 2.0),)),))
    assert leave_strip(studio, turned_there, rows) == rows.changed(edits=((2, (("pc1", 1.0),)), (1, (("pc2", 2.0),))))


def test_what_is_turned_along_a_strip_stays_off_the_plane(studio: Studio) -> None:
    window = Recipe(checkpoint="tiny", seeds=(1, 2), plane=(3.0, 4.0, 0.25), plane_rows=2, columns=2)
    strip = enter_strip(studio, window, "pc1")
    assert strip.plane is None and strip.seeds == (1, 2)
    assert leave_strip(studio, strip.changed(edits=((0, (("pc2", 2.0),)),)), window) == window


def enter_strip(studio: Studio, recipe: Recipe, name: str) -> Recipe:
    """What is shown after a direction's *Strip*."""
    return written(studio, settle(studio.explore, recipe), {"action": "strip", "name": name})


def leave_strip(studio: Studio, strip: Recipe, before: Recipe) -> Recipe:
    """What is shown after *Strip* again, of a grid ``before`` it."""
    values = settle(studio.explore, strip)
    values[studio.explore.kept] = Kept(strip, (before.to_query(),)).to_json()
    return written(studio, values, {"action": "strip", "name": ""})


def written(studio: Studio, values: dict[Any, Any], told: dict[str, Any]) -> Recipe:
    updates = studio.explore.change_directions(values | {studio.explore.narrow: False}, gr.EventData(None, told))
    return Kept.from_json(updates[studio.explore.kept]).recipe


def test_there_is_a_way_back_from_variations_whatever_was_done_among_them(studio: Studio) -> None:
    """Also from a strip of one of them, by one step or by two."""
    explore, c = studio.explore, studio.explore.controls
    grid = Recipe(checkpoint="tiny", seeds=(3, 4, 5), classes=("disc",), columns=3)

    def then(deed: Callable[..., Any], values: dict[Any, Any], *more: Any) -> dict[Any, Any]:
        return held(values, deed(values | {explore.narrow: False}, *more))

    tile = grid.changed(seeds=(4,)).to_query()
    varied = then(explore.vary, settle(explore, grid), gr.EventData(None, {"action": "vary", "tile": tile}))
    assert explore.read(varied).variation_of == 4
    other = then(explore.change_classes, varied | {c.class_mode: "From the seed"})
    assert explore.read(then(explore.leave_variations, other)) == grid
    strip = then(explore.change_directions, varied, gr.EventData(None, {"action": "strip", "name": "pc1"}))
    assert explore.read(strip).sweep == "pc1"
    left = then(explore.change_directions, strip, gr.EventData(None, {"action": "strip", "name": ""}))
    assert explore.read(left) == explore.read(varied)
    assert explore.read(then(explore.leave_variations, left)) == grid and explore.read(then(explore.leave_variations, strip)) == grid


def test_each_class_of_a_mix_keeps_its_share(studio: Studio) -> None:
    c = studio.explore.controls
    values = settle(studio.explore, FULL)  # disc .7, square .2, stripes .1
    fewer = values | {c.mixed: ["square", "stripes"]}
    assert studio.explore.read(fewer).class_mix == (("square", 0.2), ("stripes", 0.1))
    shown = studio.explore.change_mixed(fewer)
    assert [shown[share]["value"] for share in c.shares[:2]] == [1, 0.5], "the sliders follow"
    more = settle(studio.explore, FULL.changed(class_mix=(("square", 2.0),))) | {c.mixed: ["square", "disc"]}
    assert studio.explore.read(more).class_mix == (("square", 2.0), ("disc", 2.0))


@pytest.mark.parametrize("edits", [None, [], {"x": {}}, {"-1": {}}, {"1": 5}, {"9" * 10: {}}, {"": {}}])
def test_edits_that_no_page_tells_are_refused(studio: Studio, edits: Any) -> None:
    directions = studio.explore.controls.directions
    values = settle(studio.explore, FULL)
    with pytest.raises(RecipeError, match="load it again"):
        studio.explore.read(values | {directions: values[directions] | {"edits": edits}})


def test_a_mix_of_no_rows_is_none(studio: Studio) -> None:
    mix = studio.mix
    values = {**dict.fromkeys(mix.inputs), mix.row_seeds: " ", mix.column_seeds: "1-2", mix.checkpoint: "tiny"}
    assert mix.open(values) == {}


def test_a_mix_begins_within_a_class_where_classes_have_no_styles_in_common(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    mix, card = studio.mix, studio.library.card("tiny")
    arch = card.arch
    assert isinstance(arch, GeneratorConfig)
    values = {**dict.fromkeys(mix.inputs), mix.row_seeds: "1-3", mix.column_seeds: "7, ,9@square", mix.checkpoint: "tiny"}

    def classes(opened: dict[Any, Any]) -> list[str]:
        begun = read_dict(opened[mix.kept])
        assert isinstance(begun, StyleMix)
        return ["".join(image.classes) for image in (*begun.rows, *begun.columns)]

    assert classes(mix.open(values)) == ["", "", "", "", "square"], "each seed's own"

    monkeypatch.setattr(studio.library, "card", lambda _: replace(card, arch=replace(arch, parts=(arch.z_dim, 4))))
    opened = mix.open(values)
    [own] = set(classes(opened)[:4])
    assert own in card.classes and classes(opened)[4] == "square"
    assert (opened[mix.row_seeds], opened[mix.column_seeds]) == (f"1-3@{own}", f"7@{own},9@square"), "as the fields say"
    [(caption, _)] = mix.renderer.single_images([Recipe(checkpoint="tiny", seeds=(1,), columns=1)])
    assert caption.startswith(own), "that of the first"


def test_blocks_to_mix_are_those_of_the_images_generator(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finer half of them at first, and then what is chosen, whichever rows and columns come and go."""
    mix = studio.mix
    tiny, plain = (tuple(Recipe(checkpoint=name, seeds=(seed,), columns=1, scale=1) for seed in (1, 2)) for name in ("tiny", "plain"))
    pins = [{"query": image.to_query()} for image in plain]
    values = settle(mix, StyleMix(rows=tiny[:1], columns=tiny[1:], blocks=(0, 2)))
    monkeypatch.setattr(
        studio.library, "card", lambda name: SimpleNamespace(block_names=["1", "2", "3", "4"] if name == "plain" else ["1", "2", "3"])
    )
    assert mix.offer_blocks(values) == {}, "what was written is as it should be"
    assert mix.offer_blocks(values | {mix.rows: pins}) == {}, "two generators: the drawing says so"
    others = values | {mix.rows: pins, mix.columns: pins}
    offered = mix.offer_blocks(others)
    assert len(offered[mix.blocks]["choices"]) == 4 and offered[mix.blocks]["value"] == [2, 3]
    assert mix.read(others) == StyleMix(rows=plain, columns=plain, blocks=(2, 3)), "and so it is drawn meanwhile"
    chosen = others | {mix.kept: offered[mix.kept], mix.blocks: [0], mix.rows: pins[:1]}
    assert mix.offer_blocks(chosen)[mix.blocks]["value"] == [0]
    assert mix.offer_blocks(values | {mix.rows: [], mix.columns: []}) == {}


def test_compared_pins_keep_what_they_have_in_common(studio: Studio) -> None:
    compare = studio.compare
    pins = [
        Recipe(checkpoint="tiny", seeds=(seed,), classes=("disc",), directions=(("pc1", 2.0),), truncation=t, columns=1)
        for seed, t in ((1, 0.5), (2, 0.7))
    ]
    values = settle(compare, Comparison(recipe=FULL, checkpoints=("tiny", "tiny@500"))) | {compare.tray: [{"query": pin.to_query()} for pin in pins]}
    taken = read_dict(compare.take_pins(values)[compare.kept])
    assert isinstance(taken, Comparison) and taken.checkpoints == ("tiny", "tiny@500")
    assert taken.recipe == Recipe(checkpoint="tiny", seeds=(1, 2), classes=("disc",), directions=(("pc1", 2.0),))


def test_pins_of_a_generator_that_is_not_compared_are_drawn_by_it(studio: Studio) -> None:
    compare = studio.compare
    pins = [{"query": Recipe(checkpoint=name, seeds=(4,), columns=1).to_query()} for name in ("plain", "tiny")]
    values = settle(compare, Comparison(recipe=FULL, checkpoints=("tiny", "tiny@500"))) | {compare.tray: pins}
    taken = read_dict(compare.take_pins(values)[compare.kept])
    assert isinstance(taken, Comparison) and taken.checkpoints == ("plain", "tiny")


def test_seeds_that_would_be_too_many_stop_nothing_else(studio: Studio) -> None:
    explore, c = studio.explore, studio.explore.controls
    values = settle(explore, FULL) | {c.seeds: "0-999", c.truncation: 0.5}
    assert explore.read(values) == FULL.changed(truncation=0.5)
    with pytest.raises(RecipeError, match="at most 400"):
        list(explore.check_seeds(values))
    assert list(explore.check_seeds(values | {c.seeds: "0-399"}))[-1] == []


def test_pins_of_several_generators_are_those_of_the_first(studio: Studio) -> None:
    pins = [{"query": Recipe(checkpoint=name, seeds=(seed,), columns=1).to_query()} for seed, name in enumerate(("tiny", "plain", "tiny"))]
    assert studio.walk.use(pins) == [pins[0], pins[2]]
    with pytest.raises(RecipeError, match="Pin at least two"):
        studio.walk.use(pins[:2])
    with pytest.raises(RecipeError, match="Pin an image"):
        studio.mix.use([])


@pytest.mark.parametrize("wrong", [{"a": 1}, "ab", 5, [5], {"query": "checkpoint=tiny&seeds=1"}])
def test_what_are_no_pins_is_refused_in_a_sentence(studio: Studio, wrong: Any) -> None:
    for take in (pinned, as_pins, studio.walk.take_pins, studio.mix.take_pins):
        with pytest.raises(RecipeError, match="pinned image cannot be read"):
            take(wrong)
    assert not pinned(None) and not as_pins(None)


@pytest.mark.parametrize("wrong", [[5], ["tiny", 5], 5, "tiny", {"tiny": 1}])
def test_what_are_no_generators_is_not_compared(studio: Studio, wrong: Any) -> None:
    compare = studio.compare
    one = Recipe(checkpoint="tiny", seeds=(1,), columns=1)
    shown = settle(compare, Comparison(recipe=one, checkpoints=("tiny",)))
    values = {**shown, compare.names: wrong, compare.tray: make_pins(compare.renderer, [one])}
    for take in (compare.read, compare.take_pins, lambda values: compare.dress_classes(values[compare.names])):
        with pytest.raises(RecipeError, match="choose them in the list"):
            take(values)


def test_a_direction_of_ones_own_takes_turns(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    explore = studio.explore
    queries = [Recipe(checkpoint="tiny", seeds=(seed,), columns=1).to_query() for seed in range(6)]
    marked = {"more": queries[:4], "less": queries[4:]}
    values = {**settle(explore, Recipe(checkpoint="tiny", seeds=(1,))), explore.marked: marked, explore.controls.own_name: "mine"}
    turn, turns = explore.renderer.turns._turn, list[float]()
    monkeypatch.setattr(explore.renderer.turns, "_turn", lambda used, long: turns.append(used) or turn(used, long))
    assert "mine" in str(explore.make_own(values)[explore.kept]) and len(turns) > len(queries)
    monkeypatch.setattr(explore.renderer.turns, "stopped", True)
    with pytest.raises(ResGenError, match="being closed"):
        explore.make_own(values)


def test_a_file_that_is_not_here_any_more_is_asked_for_again_and_none_of_the_servers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it cleared, sent to another replica, or never sent."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "here"))
    for place in ("here", "other"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "photo.png").touch()
    assert uploaded({"path": str(tmp_path / "here" / "photo.png")}, "none").name == "photo.png"
    for path in (tmp_path / "here" / "gone.png", tmp_path / "other" / "photo.png", tmp_path / "here", "/etc/passwd", "photo.png", "x\0y"):
        with pytest.raises(DataError) as told:
            uploaded({"path": str(path)}, "none")
        assert str(told.value) == "What was sent is not here any more: send it again."
    for nothing in (None, {}, {"path": None}, "x"):
        with pytest.raises(DataError, match=r"^none$"):
            uploaded(nothing, "none")


def test_stops_from_seeds_are_of_the_chosen_generator(studio: Studio) -> None:
    [stop] = studio.walk.take_seeds("5", "plain")
    assert read_query(stop["query"]).checkpoint == "plain"


def test_classes_as_rows_without_a_class_are_no_rows(studio: Studio) -> None:
    c = studio.explore.controls
    rows = Recipe(checkpoint="tiny", seeds=(1, 2), classes=("disc", "square"))
    assert studio.explore.read(settle(studio.explore, rows) | {c.row_classes: []}) == rows.changed(classes=())
