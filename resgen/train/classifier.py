"""`resgen train-features`: a small ResNet classifier, to train a generator in, or to judge with."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from resgen.data import ImageSet
from resgen.errors import DataError
from resgen.features import FeatureConfig, FeatureResNet, save_features, to_float
from resgen.precision import autocast
from resgen.train.augment import cutout, mirror, shift

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
    batch: int = 256,
) -> dict[str, Any]:
    """One-cycle SGD on classification (and thumbnails); writes ``out`` after each epoch and returns its card. Fewer images than ``batch`` are one batch.

    Raises DataError where there is a single image, or the loss is not finite any more; what the epoch before wrote stays.
    """
    if len(data.labels) < 2:
        raise DataError("One image is too few: give --data two at least, so that a network can learn what they differ in.")
    torch.manual_seed(seed)
    network = FeatureResNet(config).to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
    batch = min(batch, len(data.labels))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = len(data.labels) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.2, total_steps=max(FEWEST_STEPS, epochs * steps), pct_start=0.2)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    card: dict[str, Any] = {"epochs": epochs, "seed": seed, "classes": data.classes}
    started = time.monotonic()
    for epoch in range(epochs):
        order, total = torch.randperm(len(labels)), 0.0
        for step in range(steps):
            picks = order[step * batch : (step + 1) * batch]
            x = shift(to_float(images[picks].to(device)))
            x = cutout(mirror(x) if flip else x, 0.25).contiguous(memory_format=torch.channels_last)
            with autocast(x.device):
                logits, thumbnails = network(x)
            loss = F.cross_entropy(logits.float(), labels[picks].to(device))
            if thumbnail_weight:
                target = F.interpolate(x, thumbnails.shape[-2:], mode="area")
                loss = loss + thumbnail_weight * F.mse_loss(thumbnails.float(), target)
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


@torch.no_grad()
def measure_classes(network: FeatureResNet, data: ImageSet, batch: int = 500) -> None:
    """Fill the network's mean and variance of each class's pooled features."""
    network.eval()
    device = network.class_mean.device
    pooled = torch.cat([network.pooled(to_float(part.to(device))) for part in torch.from_numpy(data.images).split(batch)])
    labels = torch.from_numpy(data.labels).to(device)
    for label in range(network.config.num_classes):
        network.class_mean[label] = pooled[labels == label].mean(dim=0)
        network.class_variance[label] = pooled[labels == label].var(dim=0, unbiased=False)
    network.train()


@torch.no_grad()
def accuracy(network: FeatureResNet, data: ImageSet, batch: int = 500) -> float:
    """Share of ``data`` whose class the network names."""
    network.eval()
    device, hits = network.class_mean.device, 0
    for images, labels in zip(torch.from_numpy(data.images).split(batch), torch.from_numpy(data.labels).split(batch), strict=True):
        with autocast(device):
            logits, _ = network(to_float(images.to(device)))
        hits += int((logits.argmax(1).cpu() == labels).sum())
    network.train()
    return hits / len(data.labels)
