"""Choosing among many images, and directions from examples: recipe in, recipe out."""

from collections.abc import Sequence

import numpy as np
import torch

from resgen.composite import AnyRecipe
from resgen.errors import RecipeError
from resgen.features import FeatureResNet, to_float
from resgen.latents import Points, locate
from resgen.recipe import MAX_SEEDS, SEEDS, Recipe, pack_vector
from resgen.sampler import Sampler
from resgen.work import Work, finish

CONFIDENCE, TYPICALITY = "Confidence", "Likeness to real images"
ORDERS = (CONFIDENCE, TYPICALITY)
SPREAD_SEEDS = 512  # on which one standard deviation of a direction is measured


def curate(recipe: Recipe, sampler: Sampler, classifier: FeatureResNet, many: int, keep: int, order: str) -> Work[Recipe]:
    """``recipe`` with the best ``keep`` of ``many`` seeds, counted on from its first; ``classifier`` knows the generator's classes.

    Confidence: how sure the classifier is of the class an image was meant to show, or of any where none was meant.
    Likeness: how near the image's features are to those of real images of its class, each in standard deviations. Raises RecipeError,
    ResGenError where memory is short or the GPU is lost.
    """
    if order not in ORDERS:
        raise RecipeError(f"Order: choose {' or '.join(ORDERS)}.")
    if recipe.latents or recipe.plane or len(recipe.classes) > 1 or recipe.sweep:
        raise RecipeError("The best are chosen among seeds; leave the plane, the strip, latents and rows of classes first.")
    if many > MAX_SEEDS:
        raise RecipeError(f"Many: {many:,} images are too many to look through; at most {MAX_SEEDS:,} are.")
    if not 1 <= keep <= many:
        raise RecipeError(f"Keep: {keep} of {many} images cannot be kept; keep between 1 and all.")
    if recipe.seeds[0] + many > SEEDS:
        raise RecipeError("Seeds: there are not so many after the first; begin with a smaller one.")
    candidates = recipe.changed(seeds=tuple(range(recipe.seeds[0], recipe.seeds[0] + many)), edits=())
    points = locate(candidates, sampler.checkpoint)
    scores = yield from _score_all(points, sampler, classifier, order)
    best = np.argsort(-scores, kind="stable")[:keep]
    return candidates.changed(seeds=tuple(candidates.seeds[index] for index in best))


def _score_all(points: Points, sampler: Sampler, classifier: FeatureResNet, order: str) -> Work[np.ndarray]:
    """A score [N] of each point's image. No image is kept: a thousand large ones would fill the memory."""
    scores: list[float] = []
    for images in sampler.batches(points):
        labels = points.labels[len(scores) : len(scores) + len(images)]
        with sampler.guarded():
            scores += _scores(images, labels, classifier, order).tolist()
        yield len(scores), len(points)
    return np.array(scores)


@torch.inference_mode()
def _scores(images: np.ndarray, labels: torch.Tensor, classifier: FeatureResNet, order: str) -> np.ndarray:
    """A score [N] of each image, more is better."""
    device = classifier.classify.weight.device
    pooled = classifier.pooled(to_float(torch.from_numpy(images).permute(0, 3, 1, 2).to(device))).float()
    if order == CONFIDENCE:
        scores = classifier.classify(pooled).softmax(dim=1)
    else:
        distances = (pooled[:, None] - classifier.class_mean).square() / (classifier.class_variance + 1e-6)
        scores = -distances.mean(dim=2)
    meant = labels.to(device)
    own = scores.gather(1, meant.clamp_min(0)[:, None])[:, 0]
    return torch.where(meant >= 0, own, scores.amax(dim=1)).cpu().numpy()


def make_direction(recipe: Recipe, name: str, more: Sequence[AnyRecipe], less: Sequence[AnyRecipe], sampler: Sampler) -> Recipe:
    """What `seek_direction` finds. Raises RecipeError."""
    return finish(seek_direction(recipe, name, more, less, sampler))


def seek_direction(recipe: Recipe, name: str, more: Sequence[AnyRecipe], less: Sequence[AnyRecipe], sampler: Sampler) -> Work[Recipe]:
    """``recipe`` with a direction of its own: from the mean w of the images in ``less`` to that of those in ``more``.

    It is one standard deviation long, as images of random seeds spread along it. Raises RecipeError.
    """
    if name in sampler.card.direction_names:
        raise RecipeError(f"The generator has a direction {name} already: give yours another name.")
    if not more or not less:
        raise RecipeError("Mark at least one image More and one Less: the direction leads from these to those.")
    examples = [example for example in (*more, *less) if isinstance(example, Recipe) and example.checkpoint == recipe.checkpoint]
    if len(examples) < len(more) + len(less):
        raise RecipeError("Some marked images come from another checkpoint; mark images of the present one.")
    found: list[np.ndarray] = []
    for example in examples:
        found.append(sampler.latents(example))
        yield len(found), len(examples)
    towards, away = (np.concatenate(side).mean(axis=(0, 1)) for side in (found[: len(more)], found[len(more) :]))
    difference = towards - away
    length = float(np.linalg.norm(difference))
    if length < 1e-4:
        raise RecipeError("The marked images have the same latents on both sides; mark different ones.")
    unit = difference / length
    spread = sampler.latents(Recipe(checkpoint=recipe.checkpoint, seeds=tuple(range(SPREAD_SEEDS)))).mean(axis=1) @ unit
    own = (*((other, packed) for other, packed in recipe.own_directions if other != name), (name, pack_vector((unit * spread.std()).tolist())))
    return recipe.changed(own_directions=own)
