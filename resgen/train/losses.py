"""What the discriminator and the generator minimise."""

import torch
from torch import Tensor
from torch.nn import functional as F


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic pairing of logits [heads, N]: a real image should beat the generated one beside it (Jolicoeur-Martineau 2019)."""
    return F.softplus(fake - real).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The same contest with the sides changed."""
    return F.softplus(real - fake).mean()


def gradient_penalty(logits: Tensor, perturbed: Tensor, noise: float) -> Tensor:
    """R1 + R2 (Huang et al. 2024) by finite differences: logits [heads, N] before and after unit Gaussian noise times ``noise``.

    The expected square of the slope along a random direction is the squared norm of the gradient.
    """
    return ((perturbed - logits) / noise).square().mean()


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
