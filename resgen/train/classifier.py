"""`resgen train-features`: a small ResNet classifier, to train a generator in, or to judge with."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.data import ImageSet
from resgen.errors import DataError
from resgen.features import FeatureConfig, FeatureResNet, save_features, to_float
from resgen.precision import autocast
from resgen.train.augment import cutout, mirror, shift

BATCH = 256  # images of a step
PART = 500  # images that are looked at at once, where nothing is learned
FEWEST_STEPS = 6  # that a cycle of step sizes is made for: with five its rise would have no length


def train_features(
    data: ImageSet,
    test: ImageSet | None,
    out: Path,
    config: FeatureConfig,
    epochs: int,
    seed: int,
    flip: bool,
    thumbnail_weight: float,
    report: Callable[[str], None],
    device: str = "cpu",
) -> dict[str, Any]:
    """One-cycle SGD on classification (and thumbnails); writes ``out`` after each epoch and returns its card. Fewer images than `BATCH` are one batch.

    Raises DataError where there is a single image, or the loss is not finite any more; what the epoch before wrote stays.
    """
    if len(data.labels) < 2:
        raise DataError("One image is too few: give --data two at least, so that a network can learn what they differ in.")
    torch.manual_seed(seed)
    network = FeatureResNet(config).to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = max(1, len(data.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, total_steps=max(FEWEST_STEPS, epochs * steps), pct_start=0.2)
    card: dict[str, Any] = {"epochs": epochs, "seed": seed, "classes": data.classes}
    started = time.monotonic()
    for epoch in range(epochs):
        order, total = torch.randperm(len(data.labels)), 0.0
        for picks in order.split(BATCH)[:steps]:  # a last batch of few would be noise
            loss = _loss(network, data, picks, flip, thumbnail_weight)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        if not math.isfinite(total):
            raise DataError(f"The training diverged in epoch {epoch + 1}: choose another --seed, or a smaller --thumbnails.")
        line = f"epoch {epoch + 1}/{epochs}: loss {total / steps:.3f}, {time.monotonic() - started:.0f} s"
        if test is not None:
            card["test_accuracy"] = round(accuracy(network, test), 4)
            line += f", test accuracy {card['test_accuracy']:.1%}"
        if epoch == epochs - 1:
            measure_classes(network, data)
        save_features(network, out, card)
        report(line)
    return card


def _loss(network: FeatureResNet, data: ImageSet, picks: Tensor, flip: bool, thumbnail_weight: float) -> Tensor:
    """Of the images whose places are ``picks``, moved, mirrored and with a hole each."""
    device = network.class_mean.device
    x = shift(to_float(torch.from_numpy(data.images)[picks].to(device)))
    x = cutout(mirror(x) if flip else x, 0.25).contiguous(memory_format=torch.channels_last)
    with autocast(device):
        logits, thumbnails = network(x)
    loss = F.cross_entropy(logits.float(), torch.from_numpy(data.labels)[picks].to(device))
    if thumbnail_weight:
        target = F.interpolate(x, thumbnails.shape[-2:], mode="area")
        loss = loss + thumbnail_weight * F.mse_loss(thumbnails.float(), target)
    return loss


@torch.no_grad()
def measure_classes(network: FeatureResNet, data: ImageSet) -> None:
    """Fill the network's mean and variance of each class's pooled features."""
    network.eval()
    device = network.class_mean.device
    pooled = torch.cat([network.pooled(to_float(part.to(device))) for part in torch.from_numpy(data.images).split(PART)])
    labels = torch.from_numpy(data.labels).to(device)
    for label in range(network.config.num_classes):
        network.class_mean[label] = pooled[labels == label].mean(dim=0)
        network.class_variance[label] = pooled[labels == label].var(dim=0, unbiased=False)
    network.train()


@torch.no_grad()
def accuracy(network: FeatureResNet, data: ImageSet) -> float:
    """Share of ``data`` whose class the network names."""
    network.eval()
    device, hits = network.class_mean.device, 0
    for images, labels in zip(torch.from_numpy(data.images).split(PART), torch.from_numpy(data.labels).split(PART), strict=True):
        with autocast(device):
            logits, _ = network(to_float(images.to(device)))
        hits += int((logits.argmax(1).cpu() == labels).sum())
    network.train()
    return hits / len(data.labels)
