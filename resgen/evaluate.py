"""Metrics of generated against real images, in the features of a ResNet that no generator was trained with."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resgen.data import ImageSet
from resgen.features import FeatureResNet, to_float
from resgen.recipe import Recipe
from resgen.sampler import Sampler

MANIFOLD_SAMPLES = 2000  # images a side for precision and recall
NEIGHBOURS = 3
NEAR_QUANTILE = 0.01  # of the test images' distances to their nearest training image: nearer is a near copy


def evaluate(
    sampler: Sampler, train: ImageSet, test: ImageSet, judge: FeatureResNet, samples: int, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """`compare` for ``samples`` images of a checkpoint at truncation 1, seeds 0.., classes in equal shares."""
    classes = sampler.checkpoint.classes
    recipe = Recipe(seeds=tuple(range(samples // max(1, len(classes)))), classes=classes)
    images, (_, labels) = sampler.render(recipe, progress), sampler.name(recipe)
    return compare(ImageSet(images.transpose(0, 3, 1, 2), labels, classes), train, test, judge)


def compare(fake: ImageSet, train: ImageSet, test: ImageSet, judge: FeatureResNet) -> dict[str, Any]:
    """Figures of generated images, and the same of the test set.

    `accuracy`: share whose intended class the judge names; `deviation`: pixel standard deviation within a class
    over the real one; `frechet`: Frechet distance of the judge's features to the training set's (Heusel et al.
    2017); `precision`, `recall`: k = 3 nearest-neighbour manifolds (Kynkaanniemi et al. 2019); `near_copies`: share nearer
    to a training image than 1 % of the test images are.
    """
    judge.freeze()
    fake, train = shuffled(fake), shuffled(train)
    reference, held_out, generated = (judge_all(judge, data.images) for data in (train, test, fake))
    figures = {"samples": len(fake.labels), "judge_test_accuracy": round(_accuracy(held_out[1], test.labels), 4)}
    limit = float(nearest(held_out[0], reference[0])[0][:, 0].quantile(NEAR_QUANTILE))
    for prefix, data, (features, logits) in (("", fake, generated), ("real_test_", test, held_out)):
        precision, recall = precision_recall(reference[0], features)
        figures |= {
            f"{prefix}accuracy": round(_accuracy(logits, data.labels), 4),
            f"{prefix}deviation": round(class_deviation(data) / class_deviation(train), 4),
            f"{prefix}frechet": round(frechet_distance(reference[0], features), 4),
            f"{prefix}precision": round(precision, 4),
            f"{prefix}recall": round(recall, 4),
            f"{prefix}near_copies": round(float((nearest(features, reference[0])[0][:, 0] < limit).float().mean()), 4),
        }
    return figures


def shuffled(data: ImageSet) -> ImageSet:
    """The same images in a random order, so that the first of them are a fair sample."""
    order = np.random.default_rng(0).permutation(len(data.labels))
    return ImageSet(data.images[order], data.labels[order], data.classes)


def neighbour_rows(sampler: Sampler, train: ImageSet, judge: FeatureResNet, seeds: tuple[int, ...], count: int) -> np.ndarray:
    """For each seed the generated image and its ``count`` nearest training images by the judge's features, uint8 [seeds x (1 + count), R, R, 3]."""
    images = sampler.render(Recipe(seeds=seeds))
    _, places = nearest(judge_all(judge, images.transpose(0, 3, 1, 2))[0], judge_all(judge, train.images)[0], count)
    found = train.images[places.numpy()].transpose(0, 1, 3, 4, 2)
    return np.concatenate([images[:, None], found], axis=1).reshape(-1, *images.shape[1:])


def nearest(points: Tensor, among: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Distances and places [N, count] of the nearest rows of ``among`` [M, D] to each of ``points`` [N, D]."""
    found = [torch.cdist(part, among).topk(count, dim=1, largest=False) for part in points.split(500)]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


@torch.inference_mode()
def judge_all(judge: FeatureResNet, images: np.ndarray, batch: int = 250) -> tuple[Tensor, Tensor]:
    """Pooled features [N, D] and class logits [N, classes] of uint8 images [N, 3, H, W]."""
    features = [judge.pooled(to_float(torch.from_numpy(images[start : start + batch]))) for start in range(0, len(images), batch)]
    pooled = torch.cat(features)
    return pooled, judge.classify(pooled)


def _accuracy(logits: Tensor, labels: np.ndarray) -> float:
    return float((logits.argmax(1).numpy() == labels).mean())


def class_deviation(data: ImageSet) -> float:
    """Standard deviation of each pixel within its class, averaged over pixels and classes, in 0..255."""
    return float(np.mean([data.images[data.labels == c].astype(np.float32).std(axis=0).mean() for c in np.unique(data.labels)]))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Frechet distance between Gaussians fitted to features [N, D] and [M, D]."""
    a, b = a.double(), b.double()
    covariances = torch.cov(a.T), torch.cov(b.T)
    root_trace = torch.linalg.eigvals(covariances[0] @ covariances[1]).sqrt().real.sum()
    difference = (a.mean(0) - b.mean(0)).square().sum()
    return float(difference + covariances[0].trace() + covariances[1].trace() - 2 * root_trace)


def precision_recall(real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Share of generated features inside the real manifold, and the other way round."""
    real, fake = real[:MANIFOLD_SAMPLES], fake[:MANIFOLD_SAMPLES]
    return _covered(real, fake), _covered(fake, real)


def _covered(manifold: Tensor, points: Tensor) -> float:
    """Share of ``points`` that lie within some manifold point's distance to its k-th neighbour."""
    radii = torch.cdist(manifold, manifold).kthvalue(NEIGHBOURS + 1, dim=1).values
    return float((torch.cdist(points, manifold) <= radii).any(dim=1).float().mean())
