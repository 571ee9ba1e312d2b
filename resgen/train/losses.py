"""What the discriminator and the generator minimise."""

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Hinge loss, averaged over the heads (Lim & Ye 2017)."""
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]).mean()


def generator_loss(fake: list[Tensor]) -> Tensor:
    """The generator raises every head's logits."""
    return -torch.stack([f.mean() for f in fake]).mean()


def energy_distance(real: Tensor, fake: Tensor, labels: Tensor) -> Tensor:
    """Energy distance between features [N, D] of real and generated images that share their labels, class by class.

    2 E|x - y| - E|x - x'| - E|y - y'| (Szekely & Rizzo 2013), without the term in real images alone, which has
    no gradient. The repulsion between generated images is what keeps a class from shrinking to one picture.
    """
    same = labels[:, None] == labels[None, :]
    apart = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    scale = real.shape[1] ** -0.5
    attraction = torch.cdist(fake, real)[same].mean()
    repulsion = torch.cdist(fake, fake)[apart].mean()
    return scale * (2 * attraction - repulsion)
