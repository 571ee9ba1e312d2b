"""What is measured of a generator's latents: the mean w, and directions that change its pictures."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.architecture import Architecture, Generator, class_weights

SAMPLES = 8192  # latents that means and directions are measured on
OF_CLASS, MOST_SAMPLES = 32, 131_072  # latents of a class at least, since the mean of a few is far from the class's; but no more than so many in all
SAMPLES_OF_FEATURES = 1024  # the same, where features have to be made of each
PRINCIPAL, FACTORISED = 12, 6  # directions of each kind
SEEN_ON = 32  # images of up to 128 pixels that a direction's visible effect is measured on; of larger ones fewer
POOLED = 4  # pixels a side that features are averaged to
BATCH = 32
MAPPED = 1024  # latents that are mapped at once: of each, there is a weight for every class
RIDGE = 0.1  # weight of a regression's own length beside its error


def latents_drawn(arch: Architecture) -> tuple[int, int]:
    """Of how many latents `latent_statistics` makes first features, and of how many whole images, at most."""
    return 0 if arch.mapped else SAMPLES_OF_FEATURES, 2 * (PRINCIPAL + FACTORISED) * _seen(arch)


def _seen(arch: Architecture) -> int:
    """Images that a direction's visible effect is measured on."""
    return max(4, min(SEEN_ON, SEEN_ON * 128**2 // arch.resolution**2))


@torch.no_grad()
def latent_statistics(generator: Generator, device: torch.device) -> tuple[Tensor, tuple[str, ...], Tensor]:
    """Mean w of each class [max(1, classes), w_dim]; names and offsets of directions, one standard deviation long [directions, w_dim].

    pc: principal directions about the class means (Harkonen et al. 2020): of w, or where w is noise itself, of the first block's features,
    brought back to w. sefa: those that the layers which read w answer to most (Shen & Zhou 2021). What changes the picture most comes first.
    """
    arch = generator.config
    groups = max(1, arch.num_classes)
    count = max(SAMPLES, 2 * groups, min(OF_CLASS * groups, MOST_SAMPLES)) if arch.mapped else SAMPLES_OF_FEATURES
    labels = torch.arange(count, device=device) % groups
    z = torch.randn(len(labels), arch.z_dim, generator=torch.Generator("cpu").manual_seed(0)).to(device)
    parts = zip(z.split(MAPPED), labels.split(MAPPED), strict=True)
    w = torch.cat([generator.map(noise, class_weights(own, arch.num_classes))[:, 0] for noise, own in parts])
    mean_w = _mean_w(generator, w, labels)
    spread = w - mean_w[labels]
    named = _principal(spread) if arch.mapped else _principal_by_features(generator, w, spread)
    named |= _factorised(generator, spread)
    seen = w[: _seen(arch)]
    names = sorted(named, key=lambda name: -visible_effect(generator, seen, named[name]))
    return mean_w, tuple(names), torch.stack([named[name] for name in names])


def fit_ridge(features: Tensor, targets: Tensor) -> Callable[[Tensor], Tensor]:
    """Ridge regression (Hoerl & Kennard 1970) of ``targets`` [N] or [N, K] on features [N, D]: what makes float64 estimates of other features."""
    mean, deviation, middle = features.mean(dim=0), features.std(dim=0) + 1e-6, targets.double().mean(dim=0)
    x = ((features - mean) / deviation).double()
    weights = torch.linalg.solve(x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1]).double(), x.T @ (targets.double() - middle))
    return lambda seen: ((seen - mean) / deviation).double() @ weights + middle


def visible_effect(generator: Generator, w: Tensor, direction: Tensor) -> float:
    """Mean absolute change of pixels from one standard deviation before to one after."""
    return float((generator.synthesise(w + direction) - generator.synthesise(w - direction)).abs().mean())


def rank_correlations(values: Tensor) -> Tensor:
    """Spearman's, of each row [rows, steps] with the number of the step: equal values have their mean rank, and 0 is that of a row of equal ones."""
    count = values.shape[1]
    above = (values[:, :, None] > values[:, None]).double() + 0.5 * (values[:, :, None] == values[:, None]).double()
    ranks = F.normalize(above.sum(dim=2) - count / 2, dim=1)
    return ranks @ F.normalize(torch.arange(count).double() - (count - 1) / 2, dim=0)


def _mean_w(generator: Generator, w: Tensor, labels: Tensor) -> Tensor:
    """Measured, or where w is noise and class, exact."""
    arch = generator.config
    groups = max(1, arch.num_classes)
    if arch.mapped:
        return torch.stack([w[labels == c].mean(dim=0) for c in range(groups)])
    every = torch.arange(groups, device=w.device)
    return generator.map(w.new_zeros(groups, arch.z_dim), class_weights(every, arch.num_classes))[:, 0]


def _principal(spread: Tensor) -> dict[str, Tensor]:
    _, scales, rows = torch.linalg.svd(spread, full_matrices=False)
    return {f"pc{i + 1}": scale / len(spread) ** 0.5 * row for i, (scale, row) in enumerate(zip(scales[:PRINCIPAL], rows, strict=False))}


def _principal_by_features(generator: Generator, w: Tensor, spread: Tensor) -> dict[str, Tensor]:
    """For each principal component of the first block's features, what w does along it on the average."""
    # On the CPU: Apple's GPUs pool to no size that does not divide (pytorch#96056), and have no float64.
    features = torch.cat([F.adaptive_avg_pool2d(generator.first_features(part).cpu(), POOLED).flatten(1) for part in w.split(BATCH)])
    features = features - features.mean(dim=0)
    _, places = torch.linalg.eigh((features @ features.T).double())  # least first; [samples, components], each of length one
    kept = places.flip(1)[:, : min(PRINCIPAL, generator.config.z_dim)].float().to(spread.device)
    shifts = F.normalize(kept.T @ spread, dim=1)
    return {f"pc{i + 1}": row * (spread @ row).std() for i, row in enumerate(shifts)}


def _factorised(generator: Generator, spread: Tensor) -> dict[str, Tensor]:
    arch, layers = generator.config, generator.layers_of_w()
    if not layers:
        return {}
    known = arch.w_dim if arch.mapped else arch.z_dim  # what tells the class does not vary about the class's mean
    _, _, answers = torch.linalg.svd(torch.cat(layers)[:, :known], full_matrices=False)
    rows = [F.pad(row, (0, arch.w_dim - known)) for row in answers[:FACTORISED]]
    return {f"sefa{i + 1}": row * (spread @ row).std() for i, row in enumerate(rows)}
