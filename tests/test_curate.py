from itertools import pairwise

import numpy as np
import pytest
import torch

from resgen.curate import CONFIDENCE, ORDERS, TYPICALITY, curate, make_direction
from resgen.errors import RecipeError
from resgen.features import FeatureResNet
from resgen.latents import locate
from resgen.library import Library
from resgen.recipe import MAX_SEED, Recipe, pack_vector, unpack_vector
from resgen.sampler import Sampler
from resgen.work import finish

MANY = 40


@pytest.fixture(scope="module")
def classifier(library: Library) -> FeatureResNet:
    return library.classifier("tiny")


def scores(recipe: Recipe, tiny: Sampler, classifier: FeatureResNet, order: str, label: int | None) -> np.ndarray:
    """How good each image is, worked out one by one: of its class, or of any where ``label`` is None."""
    found = []
    for pixels in tiny.render(recipe):
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            if order == CONFIDENCE:
                values = classifier(image)[0][0].softmax(dim=0).numpy()
            else:
                pooled = classifier.pooled(image)[0].numpy()
                mean, variance = classifier.class_mean.numpy(), classifier.class_variance.numpy()
                values = -((pooled - mean) ** 2 / variance).mean(axis=1)
        found.append(values.max() if label is None else values[label])
    return np.array(found)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("label", ["stripes", None])
def test_the_best_are_kept_best_first(tiny: Sampler, classifier: FeatureResNet, order: str, label: str | None) -> None:
    choice = {"classes": (label,)} if label else {"class_mix": (("disc", 1.0), ("square", 1.0))}
    recipe = Recipe(checkpoint="tiny", seeds=(10,), **choice)  # type: ignore[arg-type]
    kept = finish(curate(recipe, tiny, classifier, MANY, 12, order))
    everyone = range(10, 10 + MANY)
    assert kept == recipe.changed(seeds=kept.seeds) and len(set(kept.seeds)) == 12 and set(kept.seeds) <= set(everyone)
    score = dict(zip(everyone, scores(recipe.changed(seeds=tuple(everyone)), tiny, classifier, order, 2 if label else None).tolist(), strict=True))
    assert np.std(list(score.values())) > 1e-3, "scores must differ for this test to tell anything"
    best, rest = [score[seed] for seed in kept.seeds], [score[seed] for seed in everyone if seed not in kept.seeds]
    assert all(a >= b - 1e-5 for a, b in pairwise(best)) and best[-1] >= max(rest) - 1e-5


def test_each_seed_is_judged_by_the_class_it_draws(tiny: Sampler, classifier: FeatureResNet) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=tuple(range(MANY)))
    kept = finish(curate(recipe, tiny, classifier, MANY, MANY, CONFIDENCE))
    labels = locate(recipe, tiny.checkpoint).labels.tolist()
    by_class = [scores(recipe, tiny, classifier, CONFIDENCE, label) for label in range(3)]
    own = [by_class[labels[seed]][seed] for seed in kept.seeds]
    assert all(a >= b - 1e-5 for a, b in pairwise(own))


@pytest.mark.parametrize(
    ("values", "many", "keep", "order"),
    [
        ({}, 10, 5, "Beauty"),
        ({}, 10, 11, CONFIDENCE),
        ({}, 10, 0, CONFIDENCE),
        ({"plane": (1.0, 1.0, 1.0)}, 10, 5, CONFIDENCE),
        ({"classes": ("disc", "square")}, 10, 5, TYPICALITY),
        ({"sweep": "pc1"}, 10, 5, TYPICALITY),
        ({"latents": (pack_vector([0.0] * 12),)}, 10, 5, TYPICALITY),
        ({"seeds": (MAX_SEED - 3,)}, 10, 5, TYPICALITY),
    ],
)
def test_what_cannot_be_chosen_among_is_refused(tiny: Sampler, classifier: FeatureResNet, values: dict, many: int, keep: int, order: str) -> None:
    with pytest.raises(RecipeError):
        finish(curate(Recipe(checkpoint="tiny", **values), tiny, classifier, many, keep, order))


def test_choosing_ends_where_it_is_closed(tiny: Sampler, classifier: FeatureResNet, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    one_batch = Sampler._draw_batch
    monkeypatch.setattr(Sampler, "_draw_batch", lambda self, w, gains: drawn.append(len(w)) or one_batch(self, w, gains))
    work = curate(Recipe(checkpoint="tiny", seeds=(0,)), tiny, classifier, 1000, 5, CONFIDENCE)
    assert next(work) == (8, 1000)
    work.close()
    assert drawn == [8]


def seeds(*numbers: int) -> list[Recipe]:
    return [Recipe(checkpoint="tiny", seeds=(number,)) for number in numbers]


def test_a_direction_leads_from_less_to_more_one_deviation_long(tiny: Sampler) -> None:
    more, less = seeds(1, 2, 3), seeds(4, 5)
    made = make_direction(Recipe(checkpoint="tiny", seeds=(9,)), "bright", more, less, tiny)
    (name, packed), *others = made.own_directions
    along = np.array(unpack_vector(packed))
    assert name == "bright" and not others and made.seeds == (9,)
    means = [np.mean([tiny.latents(example)[0, 0] for example in side], axis=0) for side in (more, less)]
    wanted = means[0] - means[1]
    assert along @ wanted / np.linalg.norm(along) / np.linalg.norm(wanted) > 0.999, "it leads elsewhere"
    random = tiny.latents(Recipe(checkpoint="tiny", seeds=tuple(range(1000, 2000))))[:, 0] @ (along / np.linalg.norm(along))
    assert np.linalg.norm(along) == pytest.approx(random.std(), rel=0.1)


def test_each_image_of_an_example_counts(tiny: Sampler) -> None:
    """Grids of several seeds are as good as these seeds one by one."""
    recipe = Recipe(checkpoint="tiny", seeds=(9,))
    grids = make_direction(recipe, "own", [recipe.changed(seeds=(0, 1))], [recipe.changed(seeds=(2, 3))], tiny)
    single = make_direction(recipe, "own", seeds(0, 1), seeds(2, 3), tiny)
    along, alike = (np.array(unpack_vector(made.own_directions[0][1])) for made in (grids, single))
    assert np.allclose(along, alike, atol=1e-3)


def test_more_than_a_recipe_holds_are_not_looked_through(tiny: Sampler, classifier: FeatureResNet) -> None:
    with pytest.raises(RecipeError, match="at most 100,000"):
        finish(curate(Recipe(checkpoint="tiny"), tiny, classifier, 2**32 - 1, 3, CONFIDENCE))


def test_a_direction_moves_images_by_its_length(tiny: Sampler) -> None:
    made = make_direction(Recipe(checkpoint="tiny", seeds=(9,)), "bright", seeds(1), seeds(2), tiny)
    along = np.array(unpack_vector(made.own_directions[0][1]))
    moved = tiny.latents(made.changed(directions=(("bright", 2.0),))) - tiny.latents(made)
    assert np.allclose(moved, 2 * along, atol=1e-5)


def test_a_direction_of_the_same_name_takes_the_place_of_the_old(tiny: Sampler) -> None:
    recipe = Recipe(checkpoint="tiny", own_directions=(("bright", pack_vector([1.0] * 12)), ("other", pack_vector([1.0] * 12))))
    made = make_direction(recipe, "bright", seeds(1), seeds(2), tiny)
    assert [name for name, _ in made.own_directions] == ["other", "bright"] and made.own_directions[1] != recipe.own_directions[0]


@pytest.mark.parametrize(
    ("more", "less", "words"),
    [
        ([], seeds(1), "at least one"),
        (seeds(1), [], "at least one"),
        (seeds(1), seeds(1), "same latents"),
        (seeds(1), [Recipe(checkpoint="plain", seeds=(1,))], "another checkpoint"),
    ],
)
def test_examples_that_make_no_direction_are_refused(tiny: Sampler, more: list[Recipe], less: list[Recipe], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        make_direction(Recipe(checkpoint="tiny"), "own", more, less, tiny)


def test_a_name_that_the_generator_has_for_a_direction_is_refused(tiny: Sampler) -> None:
    with pytest.raises(RecipeError, match="give yours another name"):
        make_direction(Recipe(checkpoint="tiny"), tiny.card.direction_names[0], seeds(1), seeds(2), tiny)


def test_a_name_that_cannot_be_written_is_refused(tiny: Sampler) -> None:
    with pytest.raises(RecipeError, match="not a name"):
        make_direction(Recipe(checkpoint="tiny"), "a;b", seeds(1), seeds(2), tiny)
