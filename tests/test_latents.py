import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from resgen.errors import RecipeError
from resgen.latents import Points, block_gains, draw_seed, find_direction, join, locate, mix, slerp, walk
from resgen.library import Library
from resgen.recipe import MAX_SEED, Recipe, pack_vector
from resgen.sampler import Sampler


def place(tiny: Sampler, **values: object) -> Points:
    return locate(Recipe(checkpoint="tiny", **values), tiny.checkpoint)  # type: ignore[arg-type]


def angle(a: torch.Tensor, b: torch.Tensor) -> float:
    return math.acos(float(F.cosine_similarity(a.double(), b.double(), dim=0).clamp(-1, 1)))


def test_a_seed_is_independent_of_its_company(tiny: Sampler) -> None:
    alone, crowd = place(tiny, seeds=(7,)), place(tiny, seeds=tuple(range(20)))
    assert torch.equal(alone.z[0], crowd.z[7]) and alone.labels[0] == crowd.labels[7]
    assert torch.equal(alone.z[0], torch.randn(16, generator=torch.Generator("cpu").manual_seed(7)))


def test_classes_drawn_from_seeds_are_uniform() -> None:
    counts = torch.bincount(torch.tensor([draw_seed(seed, 8, 5)[1] for seed in range(2000)]), minlength=5)
    assert counts.min() > 330 and counts.max() < 470  # 400 each, within four standard deviations


def test_largest_seed_is_a_seed() -> None:
    drawn = [draw_seed(seed, 8, 0)[0] for seed in (MAX_SEED, MAX_SEED - 1, MAX_SEED % 2**31, 0)]
    assert not any(torch.equal(drawn[0], other) for other in drawn[1:])


def test_classes_are_rows_of_the_same_seeds(tiny: Sampler) -> None:
    points = place(tiny, seeds=(4, 9), classes=("stripes", "disc"))
    assert points.labels.tolist() == [2, 2, 0, 0] and points.seeds.tolist() == [4, 9, 4, 9]
    assert torch.equal(points.z[0], points.z[2]) and points.class_weights.argmax(dim=1).tolist() == [2, 2, 0, 0]


def test_a_class_mix_is_shares_that_sum_to_one(tiny: Sampler) -> None:
    points = place(tiny, class_mix=(("disc", 3.0), ("stripes", 1.0)))
    assert points.class_weights[5].tolist() == [0.75, 0, 0.25] and set(points.labels.tolist()) == {-1}


def test_shares_that_are_all_zero_are_equal(tiny: Sampler) -> None:
    points = place(tiny, class_mix=(("disc", 0.0), ("stripes", 0.0)))
    assert points.class_weights[0].tolist() == [0.5, 0, 0.5]


@given(st.integers(0, MAX_SEED), st.integers(0, MAX_SEED), st.floats(0, 1))
def test_slerp_turns_at_an_even_pace_and_keeps_the_length(first: int, second: int, t: float) -> None:
    a, b = (F.normalize(draw_seed(seed, 64, 0)[0], dim=0) for seed in (first, second))
    between = slerp(a, b, t)
    assert abs(between.norm() - 1) < 1e-4
    assert angle(a, between) == pytest.approx(t * angle(a, b), abs=2e-3)
    assert angle(between, b) == pytest.approx((1 - t) * angle(a, b), abs=2e-3)


def test_variations_go_as_far_from_the_image_as_their_strength_says(tiny: Sampler) -> None:
    origin, label = draw_seed(5, 16, 3)
    for strength in (0.0, 0.25, 0.5, 1.0):
        points = place(tiny, seeds=(1, 2), variation_of=5, variation_strength=strength)
        assert points.labels.tolist() == [label] * 2
        for z, seed in zip(points.z, (1, 2), strict=True):
            assert torch.allclose(z, slerp(origin, draw_seed(seed, 16, 3)[0], strength), atol=1e-5)
    assert torch.allclose(place(tiny, seeds=(1,), variation_of=5, variation_strength=0).z[0], origin, atol=1e-5)
    assert torch.allclose(place(tiny, seeds=(1,), variation_of=5, variation_strength=1).z[0], draw_seed(1, 16, 3)[0], atol=1e-5)


def test_variations_of_a_variation_start_from_it(tiny: Sampler) -> None:
    first = place(tiny, seeds=(9,), variation_of=5, variation_strength=0.4)
    further = place(tiny, seeds=(1, 2), variation_of=5, variation_path=((9, 0.4),), variation_strength=0)
    assert torch.allclose(further.z, first.z.expand(2, -1), atol=1e-5) and further.labels.tolist() == first.labels.tolist() * 2
    third = place(tiny, seeds=(1,), variation_of=5, variation_path=((9, 0.4), (3, 0.2)), variation_strength=0.5)
    start = slerp(first.z[0], draw_seed(3, 16, 3)[0], 0.2)
    assert torch.allclose(third.z[0], slerp(start, draw_seed(1, 16, 3)[0], 0.5), atol=1e-5)


def test_truncation_ends_at_the_mean_of_the_class(tiny: Sampler) -> None:
    points = place(tiny, seeds=(1, 2), classes=("square",), truncation=0)
    assert torch.allclose(tiny.map(points), tiny.checkpoint.mean_w[1].expand(2, 3, -1), atol=1e-6)
    whole, half = (tiny.map(place(tiny, seeds=(1, 2), classes=("square",), truncation=psi)) for psi in (1, 0.5))
    assert torch.allclose(half, (whole + tiny.checkpoint.mean_w[1]) / 2, atol=1e-5)


def test_directions_add_up(tiny: Sampler) -> None:
    offsets = place(tiny, seeds=(1, 2), directions=(("pc1", 2.0), ("pc2", -1.0))).offsets
    directions = tiny.checkpoint.directions
    assert offsets.shape == (2, 12) and torch.allclose(offsets[1], 2 * directions[0] - directions[1])


def test_directions_move_as_far_whatever_the_truncation(tiny: Sampler) -> None:
    moved, still = (tiny.map(place(tiny, seeds=(1, 2), truncation=0.25, directions=pairs)) for pairs in ((("pc1", 2.0),), ()))
    assert torch.allclose(moved - still, 2 * tiny.checkpoint.directions[0].expand(2, 3, -1), atol=1e-5)


def test_an_own_direction_goes_before_the_checkpoints(tiny: Sampler) -> None:
    own = (("pc1", pack_vector([1.0] * 12)), ("short", pack_vector([1.0])))
    recipe = Recipe(checkpoint="tiny", own_directions=own)
    assert find_direction("pc1", recipe, tiny.checkpoint).tolist() == [1.0] * 12
    with pytest.raises(RecipeError, match="was not made with tiny"):
        find_direction("short", recipe, tiny.checkpoint)


@pytest.mark.parametrize(
    "values",
    [
        {"classes": ("cat",)},
        {"class_mix": (("cat", 1.0),)},
        {"directions": (("pc9", 1.0),)},
        {"edits": ((0, (("pc9", 1.0),)),)},
        {"sweep": "pc9"},
        {"residual_gains": (1.0,)},
    ],
)
def test_what_a_checkpoint_does_not_have_is_refused(tiny: Sampler, values: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="tiny has"):
        place(tiny, **values)


def test_gains_are_one_where_none_are_given(tiny: Sampler) -> None:
    assert block_gains(Recipe(), tiny.card) == (1, 1, 1)
    assert place(tiny, residual_gains=(0.5, 2.0, 0.0)).gains[3].tolist() == [0.5, 2, 0]


def test_a_whole_point_of_the_plane_is_its_seed_and_a_half_is_between(tiny: Sampler) -> None:
    whole = place(tiny, plane=(3.0, 2.0, 1.0), columns=1)
    assert torch.equal(whole.z[0], draw_seed(2003, 16, 3)[0]) and whole.seeds.tolist() == [2003]
    between = place(tiny, plane=(3.5, 2.0, 1.0), columns=1)
    assert torch.allclose(between.z[0], (draw_seed(2003, 16, 3)[0] + draw_seed(2004, 16, 3)[0]) / 2)
    assert abs(float(between.class_weights.sum()) - 1) < 1e-6
    near = place(tiny, plane=(3.75, 2.25, 1.0), columns=1)
    corners = {2003: 0.1875, 2004: 0.5625, 3003: 0.0625, 3004: 0.1875}
    assert torch.allclose(near.z[0], sum((share * draw_seed(seed, 16, 3)[0] for seed, share in corners.items()), torch.zeros(16)), atol=1e-6)
    assert near.seeds.tolist() == [2004]


def test_the_plane_is_a_square_of_neighbours_without_an_edge(tiny: Sampler) -> None:
    assert place(tiny, plane=(5.0, 5.0, 1.0), columns=3).seeds.tolist() == [4004, 4005, 4006, 5004, 5005, 5006, 6004, 6005, 6006]
    assert place(tiny, plane=(0.0, 0.0, 1.0), columns=3).seeds.tolist()[:5] == [999_999_999, 999_999_000, 999_999_001, 999, 0]


def test_latents_that_are_spelled_out_come_back(tiny: Sampler) -> None:
    one, each = torch.randn(12), torch.randn(3, 12)
    w = tiny.map(place(tiny, latents=(pack_vector(one.tolist()), pack_vector(each.ravel().tolist()))))
    assert torch.allclose(w[0], one.expand(3, -1), atol=2e-3) and torch.allclose(w[1], each, atol=2e-3)
    assert place(tiny, latents=(pack_vector(one.tolist()),)).labels.tolist() == [-1]
    with pytest.raises(RecipeError, match="does not belong"):
        place(tiny, latents=(pack_vector([1.0] * 5),))


def test_a_sweep_goes_from_minus_three_to_three_deviations(tiny: Sampler) -> None:
    points = place(tiny, seeds=(1, 2), sweep="pc2", columns=7)
    along = tiny.checkpoint.directions[1]
    assert points.offsets.shape == (14, 12) and points.seeds.tolist() == [1] * 7 + [2] * 7
    assert torch.allclose(points.offsets[7], -3 * along) and torch.allclose(points.offsets[13], 3 * along)
    assert torch.equal(points.offsets[3], torch.zeros(12))


def test_an_edit_moves_one_image_or_row(tiny: Sampler) -> None:
    edits = ((0, (("pc1", 2.0),)), (99, (("pc1", 5.0),)))
    offsets = place(tiny, seeds=(1, 2, 3), directions=(("pc2", 1.0),), edits=edits).offsets
    assert torch.equal(offsets[1], offsets[2]) and torch.allclose(offsets[0] - offsets[1], 2 * tiny.checkpoint.directions[0])
    swept = place(tiny, seeds=(1, 2, 3), sweep="pc2", columns=2, edits=edits).offsets
    assert torch.allclose(swept[:2] - swept[2:4], 2 * tiny.checkpoint.directions[0].expand(2, -1)) and torch.equal(swept[2:4], swept[4:])


def test_joined_points_are_their_parts_in_order(tiny: Sampler) -> None:
    parts = [place(tiny, seeds=(1, 2), residual_gains=(0.0, 1.0, 1.0)), place(tiny, latents=(pack_vector([0.5] * 12),)), place(tiny, seeds=(3,))]
    joined = join(parts)
    assert len(joined) == 4 and joined.seeds.tolist() == [1, 2, -1, 3] and joined.gains[:, 0].tolist() == [0, 0, 1, 1]
    assert torch.equal(tiny.map(joined), torch.cat([tiny.map(part) for part in parts]))


def test_a_mix_follows_the_columns_in_its_blocks_and_the_rows_elsewhere(tiny: Sampler) -> None:
    rows = place(tiny, seeds=(1, 2), residual_gains=(1.0, 0.5, 0.0), directions=(("pc1", 1.0),))
    columns = place(tiny, seeds=(3, 4, 5), truncation=0.5)
    mixed = mix(rows, columns, (0, 2))
    w, row_w, column_w = tiny.map(mixed), tiny.map(rows), tiny.map(columns)
    for index in range(6):
        row, column = divmod(index, 3)
        assert torch.equal(w[index, 1], row_w[row, 1])
        assert torch.equal(w[index, 0], column_w[column, 0]) and torch.equal(w[index, 2], column_w[column, 2])
    assert torch.equal(mixed.gains, rows.gains.repeat_interleave(3, 0)) and mixed.seeds.tolist() == [1, 1, 1, 2, 2, 2]


def test_a_mix_of_no_blocks_is_its_rows_and_of_all_its_columns(tiny: Sampler) -> None:
    rows, columns = place(tiny, seeds=(1, 2)), place(tiny, seeds=(3, 4, 5))
    assert torch.equal(tiny.map(mix(rows, columns, ())), tiny.map(rows).repeat_interleave(3, 0))
    assert torch.equal(tiny.map(mix(rows, columns, (0, 1, 2))), tiny.map(columns).repeat(2, 1, 1))


def unit_stops(tiny: Sampler) -> Points:
    """Three stops whose noise has length 1, and that differ in all else."""
    stops = join(
        [
            place(tiny, seeds=(1,), classes=("disc",), truncation=0.5),
            place(tiny, seeds=(2,), classes=("stripes",), directions=(("pc1", 2.0),)),
            place(tiny, seeds=(3,), class_mix=(("disc", 1.0), ("square", 1.0)), residual_gains=(0.0, 2.0, 1.0)),
        ]
    )
    return replace(stops, z=F.normalize(stops.z, dim=1))


@pytest.mark.parametrize("through_z", [True, False])
def test_a_walk_at_whole_positions_is_at_its_stops(tiny: Sampler, through_z: bool) -> None:
    stops = unit_stops(tiny)
    frames = walk(stops, [0, 1, 2], through_z)
    assert torch.allclose(tiny.map(frames), tiny.map(stops), atol=1e-5)
    for name in ("gains", "seeds", "labels"):
        assert torch.equal(getattr(frames, name), getattr(stops, name)), name


def test_a_walk_through_z_turns_the_noise_and_moves_the_rest_in_straight_lines(tiny: Sampler) -> None:
    stops = unit_stops(tiny)
    positions = [0.0, 0.1, 0.4, 0.75, 1.0, 1.3, 1.9]
    frames = walk(stops, positions, through_z=True)
    assert torch.allclose(frames.z.norm(dim=1), torch.ones(len(positions)), atol=1e-5)
    for index, position in enumerate(positions):
        start = min(int(position), 1)
        share, before, after = position - start, stops.z[start], stops.z[start + 1]
        assert angle(before, frames.z[index]) == pytest.approx(share * angle(before, after), abs=2e-3)
        for name in ("class_weights", "psi", "offsets", "gains"):
            ends = getattr(stops, name)
            assert torch.allclose(getattr(frames, name)[index], (1 - share) * ends[start] + share * ends[start + 1], atol=1e-6), name


def test_a_walk_through_w_is_a_straight_line(tiny: Sampler) -> None:
    stops = join([place(tiny, seeds=(1, 2)), place(tiny, latents=(pack_vector([0.25] * 36),))])
    ends, w = tiny.map(stops), tiny.map(walk(stops, [0.25, 1.5], through_z=False))
    assert torch.allclose(w[0], 0.75 * ends[0] + 0.25 * ends[1], atol=1e-6) and torch.allclose(w[1], (ends[1] + ends[2]) / 2, atol=1e-6)


def test_a_walk_is_named_after_the_nearest_stop(tiny: Sampler) -> None:
    frames = walk(place(tiny, seeds=(7, 8, 9)), [0.2, 0.7, 1.4, 1.6], through_z=True)
    assert frames.seeds.tolist() == [7, 8, 8, 9]


def test_latents_have_no_noise_to_turn(tiny: Sampler) -> None:
    stops = join([place(tiny, seeds=(1,)), place(tiny, latents=(pack_vector([1.0] * 12),))])
    with pytest.raises(RecipeError, match="straight line"):
        walk(stops, [0.5], through_z=True)


def test_points_of_an_unconditional_checkpoint_have_no_classes(library: Library) -> None:
    points = locate(Recipe(checkpoint="plain", seeds=(5, 6)), library.sampler("plain").checkpoint)
    assert points.class_weights.shape == (2, 0) and points.labels.tolist() == [-1, -1]
    assert all(len(getattr(points, field.name)) == 2 for field in fields(Points))
