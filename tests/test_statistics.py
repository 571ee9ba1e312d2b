"""What is measured of latents holds for each class, however many there are."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from resgen import statistics
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.statistics import latent_statistics, rank_correlations

CLASSES = 60


@pytest.mark.parametrize("least", [2, statistics.OF_CLASS])
def test_the_mean_of_a_class_is_near_where_there_are_many(monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    """Of two latents it is not, nor do distances from it tell how far latents are apart."""
    monkeypatch.setattr(statistics, "SAMPLES", 64)
    monkeypatch.setattr(statistics, "OF_CLASS", least)
    torch.manual_seed(0)
    generator = ResNetGenerator(GeneratorConfig(num_classes=CLASSES, widths=(8, 8), z_dim=16, w_dim=12)).eval()
    mean_w, names, directions = latent_statistics(generator, torch.device("cpu"))
    labels = torch.arange(200 * CLASSES) % CLASSES
    with torch.no_grad():
        w = generator.map(torch.randn(len(labels), 16), F.one_hot(labels, CLASSES).float())[:, 0]
    of_class = torch.stack([w[labels == label].mean(dim=0) for label in range(CLASSES)])
    spread = w - of_class[labels]
    off = (mean_w - of_class).square().mean().sqrt() / spread.square().mean().sqrt()
    along = directions[names.index("pc1")]
    length = along.norm() / (spread @ F.normalize(along, dim=0)).std()
    assert (off < 0.25 and 0.9 < length < 1.1) == (least > 2)


def test_what_is_measured_of_few_classes_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped checkpoints have up to 103: the same latents, to the last bit."""
    torch.manual_seed(0)
    generator = ResNetGenerator(GeneratorConfig(num_classes=103, widths=(8, 8), z_dim=16, w_dim=12)).eval()
    now = latent_statistics(generator, torch.device("cpu"))
    monkeypatch.setattr(statistics, "OF_CLASS", 2)
    before = latent_statistics(generator, torch.device("cpu"))
    assert torch.equal(now[0], before[0]) and now[1] == before[1] and torch.equal(now[2], before[2])


def test_what_stays_the_same_follows_no_direction() -> None:
    rows = np.array([np.zeros(13), np.arange(13), -(np.arange(13) ** 3), np.r_[np.zeros(12), 1], np.arange(13) // 3], float)
    found = rank_correlations(torch.from_numpy(rows))
    assert found[:3].tolist() == pytest.approx([0, 1, -1]) and 0.4 < found[3] < 0.5 and 0.95 < found[4] < 1
