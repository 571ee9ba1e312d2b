from pathlib import Path

import pytest
import torch

from resgen.checkpoint import Checkpoint, load_checkpoint
from resgen.errors import RecipeError
from resgen.latents import block_gains, direction_offsets, draw_noise, draw_seed, given_latents, slerp, truncate
from resgen.recipe import MAX_SEED, Recipe, pack_vector


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Checkpoint:
    return load_checkpoint(tiny_folder / "tiny.safetensors")


def test_a_seed_is_independent_of_its_company(tiny: Checkpoint) -> None:
    alone, crowd = draw_noise(Recipe(seeds=(7,)), tiny), draw_noise(Recipe(seeds=tuple(range(20))), tiny)
    assert torch.equal(alone.z[0], crowd.z[7]) and alone.labels[0] == crowd.labels[7]
    assert torch.equal(alone.z[0], torch.randn(16, generator=torch.Generator("cpu").manual_seed(7)))


def test_classes_drawn_from_seeds_are_uniform() -> None:
    counts = torch.bincount(torch.tensor([draw_seed(seed, 8, 5)[1] for seed in range(2000)]), minlength=5)
    assert counts.min() > 330 and counts.max() < 470  # 400 each, within four standard deviations


def test_largest_seed_is_a_seed() -> None:
    assert not torch.equal(draw_seed(MAX_SEED, 8, 0)[0], draw_seed(MAX_SEED - 1, 8, 0)[0])


def test_classes_are_rows_of_the_same_seeds(tiny: Checkpoint) -> None:
    noise = draw_noise(Recipe(seeds=(4, 9), classes=("stripes", "disc")), tiny)
    assert noise.labels.tolist() == [2, 2, 0, 0] and noise.seeds.tolist() == [4, 9, 4, 9]
    assert torch.equal(noise.z[0], noise.z[2])


def test_a_mix_is_shares_that_sum_to_one(tiny: Checkpoint) -> None:
    noise = draw_noise(Recipe(class_mix=(("disc", 3.0), ("stripes", 1.0))), tiny)
    assert noise.class_weights is not None
    assert noise.class_weights[5].tolist() == [0.75, 0, 0.25] and set(noise.labels.tolist()) == {-1}


def test_slerp_keeps_the_length_and_the_ends() -> None:
    a, b = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    a, b = a / a.norm(), b / b.norm()
    assert torch.allclose(slerp(a, b, 0), a) and torch.allclose(slerp(a, b, 1), b, atol=1e-6)
    assert abs(slerp(a, b, 0.3).norm() - 1) < 1e-5
    assert torch.allclose(slerp(a, a, 0.5), a)


def test_variations_without_strength_are_the_image_itself(tiny: Checkpoint) -> None:
    noise = draw_noise(Recipe(seeds=(1, 2), variation_of=5, variation_strength=0), tiny)
    z, label = draw_seed(5, 16, 3)
    assert torch.allclose(noise.z, z.expand(2, -1)) and noise.labels.tolist() == [label] * 2


def test_truncation_ends_at_the_mean() -> None:
    w, mean = torch.randn(4, 8), torch.randn(8)
    assert torch.equal(truncate(w, mean, 0), mean.expand(4, -1)) and torch.allclose(truncate(w, mean, 1), w, atol=1e-6)


def test_directions_add_up(tiny: Checkpoint) -> None:
    offsets = direction_offsets(Recipe(seeds=(1, 2), directions=(("pc1", 2.0), ("pc2", -1.0))), tiny)
    assert offsets.shape == (2, 12) and torch.allclose(offsets[1], 2 * tiny.directions[0] - tiny.directions[1])


@pytest.mark.parametrize(
    "recipe", [Recipe(classes=("cat",)), Recipe(class_mix=(("cat", 1.0),)), Recipe(directions=(("pc9", 1.0),)), Recipe(residual_gains=(1.0,))]
)
def test_unknown_names_are_refused(tiny: Checkpoint, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="tiny has"):
        draw_noise(recipe, tiny)
        direction_offsets(recipe, tiny)
        block_gains(recipe, tiny)


def test_a_whole_point_of_the_plane_is_its_seed_and_a_half_is_between(tiny: Checkpoint) -> None:
    whole = draw_noise(Recipe(plane=(3.0, 2.0, 1.0), columns=1), tiny)
    assert torch.equal(whole.z[0], draw_seed(2003, 16, 3)[0]) and whole.seeds.tolist() == [2003]
    between = draw_noise(Recipe(plane=(3.5, 2.0, 1.0), columns=1), tiny)
    assert torch.allclose(between.z[0], (draw_seed(2003, 16, 3)[0] + draw_seed(2004, 16, 3)[0]) / 2)
    assert between.class_weights is not None and abs(float(between.class_weights.sum()) - 1) < 1e-6


def test_the_plane_is_a_square_of_neighbours(tiny: Checkpoint) -> None:
    noise = draw_noise(Recipe(plane=(5.0, 5.0, 1.0), columns=3), tiny)
    assert noise.seeds.tolist() == [4004, 4005, 4006, 5004, 5005, 5006, 6004, 6005, 6006]


def test_latents_that_are_spelled_out_come_back(tiny: Checkpoint) -> None:
    w = torch.randn(12)
    given = given_latents(Recipe(latents=(pack_vector(w.tolist()),)), tiny)
    assert given.shape == (1, 3, 12) and torch.allclose(given[0, 2], w, atol=2e-3)
    with pytest.raises(RecipeError, match="does not belong"):
        given_latents(Recipe(latents=(pack_vector([1.0] * 5),)), tiny)


def test_a_sweep_goes_from_minus_three_to_three_deviations(tiny: Checkpoint) -> None:
    recipe = Recipe(seeds=(1, 2), sweep="pc2", columns=7)
    offsets = direction_offsets(recipe, tiny)
    assert offsets.shape == (14, 12) and len(draw_noise(recipe, tiny).z) == 14
    assert torch.allclose(offsets[7], -3 * tiny.directions[1]) and torch.allclose(offsets[13], 3 * tiny.directions[1])
    assert torch.equal(offsets[3], torch.zeros(12))


def test_an_edit_moves_one_image(tiny: Checkpoint) -> None:
    offsets = direction_offsets(Recipe(seeds=(1, 2, 3), directions=(("pc2", 1.0),), edits=((1, (("pc1", 2.0),)),)), tiny)
    assert torch.equal(offsets[0], offsets[2]) and torch.allclose(offsets[1] - offsets[0], 2 * tiny.directions[0])
