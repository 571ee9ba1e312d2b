import numpy as np
import torch

from resgen.data import ImageSet
from resgen.evaluate import class_deviation, frechet_distance, precision_recall


def test_frechet_distance_of_known_gaussians() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(20_000, 4, generator=generator), torch.randn(20_000, 4, generator=generator)
    assert frechet_distance(a, b) < 0.01
    assert abs(frechet_distance(a, 2 * b + 3) - 4 * (9 + 1)) < 1  # means 3 apart, deviations 1 and 2, in each of 4 dimensions


def test_recall_sees_what_is_missing_and_precision_what_is_wrong() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.cat([torch.randn(500, 4, generator=generator), torch.randn(500, 4, generator=generator) + 20])
    half = torch.randn(1000, 4, generator=generator)
    precision, recall = precision_recall(real, half)
    assert precision > 0.9 and 0.3 < recall < 0.6
    assert precision_recall(real, half + 100) == (0.0, 0.0)


def test_a_few_repeated_pictures_have_no_recall() -> None:
    real = torch.randn(1000, 16, generator=torch.Generator().manual_seed(0))
    repeated = real[:4].repeat(250, 1) + 1e-6 * torch.randn(1000, 16)
    assert precision_recall(real, repeated)[1] < 0.1


def test_deviation_is_within_classes() -> None:
    images = np.zeros((4, 3, 2, 2), np.uint8)
    images[2:] = 200
    assert class_deviation(ImageSet(images, np.array([0, 0, 1, 1]), ("a", "b"))) == 0
    assert class_deviation(ImageSet(images, np.array([0, 1, 0, 1]), ("a", "b"))) == 100
