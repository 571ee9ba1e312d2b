"""The drifting loss (Deng et al. 2026, arXiv 2602.04770): where a generated image should move, in features of a frozen network.

For every generated image a field V points to real images like it and away from generated ones like it. The two cancel
where both are equally dense, so V vanishes when the distributions agree; a generator that draws few pictures is driven
apart. Nothing is trained against the generator, and nothing can be fooled by it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURES = (0.05, 0.2)  # of the kernel, in units of the mean distance to real images
PIXELS = 8  # a side of the small copy of the image that is compared as well


def describe(images: Tensor, maps: list[Tensor], finest: int = 0) -> list[Tensor]:
    """What is compared of each image: a list of tensors [places, N, channels], each place with a field of its own.

    Images [N, C, R, R] as a small copy; of every feature map, the vector at each place, the whole map coarsely, the deeper
    maps also by quarters, and mean and deviation of each channel. The maps are of unit size; those before ``finest`` are left out.
    """
    found = [_pool(images.float(), PIXELS).flatten(1)[None]]
    for depth, feature_map in enumerate(maps[finest:], finest):
        x = feature_map.float()
        if depth == 0:
            x = F.avg_pool2d(x, 2)
        places = x.flatten(2).permute(2, 0, 1)
        found.append(places)
        if depth:
            found.append(_pool(x, min(4, x.shape[-1])).flatten(1)[None])
        if depth > 1:
            found.append(_pool(x, 2).flatten(2).permute(2, 0, 1))
        found.append(torch.cat([places.mean(dim=0), (places.var(dim=0, correction=min(1, len(places) - 1)) + 1e-4).sqrt()], dim=1)[None])
    return found


def _pool(x: Tensor, side: int) -> Tensor:
    """The means of side x side parts."""
    if x.device.type == "mps" and x.shape[-1] % side:  # which Apple's GPUs refuse (pytorch#96056)
        return F.adaptive_avg_pool2d(x.cpu(), side).to(x.device)
    return F.adaptive_avg_pool2d(x, side)


@torch.no_grad()
def drift_field(x: Tensor, real: Tensor, fake: Tensor, others: Tensor | None = None, guidance: float = 0.0) -> tuple[Tensor, Tensor]:
    """V [places, N, channels] for generated x, and the mean distance to real images, which is the unit of both.

    ``real`` [places, P, channels]; ``fake`` [places, Q, channels] begins with x itself. V leads from the mean of the generated
    images near x to that of the real ones near it, each mean with a kernel of its own, so that an image far from both is
    carried back. What already draws another x counts less. V has unit size at each temperature; this unit
    and that of distances are those of all places together: a place where all images agree, such as a plain background, needs no move.
    ``others`` [places, U, channels], real images of any class, repel as well and are weighed as the share ``guidance`` of all
    that repels: classes grow more distinct (the paper's classifier-free guidance).
    """
    attracting, repelling = torch.cdist(x, real), torch.cdist(x, fake)
    scale = attracting.mean()
    # Itself, as if at the mean distance of its place: nothing in company, but all that is left of the mean where others are farther.
    repelling.diagonal(dim1=1, dim2=2).copy_(attracting.mean(dim=(1, 2))[:, None].expand(-1, x.shape[1]))
    weights = x.new_zeros(real.shape[1] + fake.shape[1])
    if others is not None:
        weight = guidance / (1 - guidance) * fake.shape[1] / others.shape[1]
        weights = torch.cat([weights, weights.new_full((others.shape[1],), math.log(weight))])
        repelling, fake = torch.cat([repelling, torch.cdist(x, others)], dim=2), torch.cat([fake, others], dim=1)
    distances = torch.cat([attracting, repelling], dim=2) / scale
    field = torch.zeros_like(x)
    for temperature in TEMPERATURES:
        logits = weights - distances / temperature
        logits = logits - 0.5 * logits.logsumexp(dim=1, keepdim=True)
        to_real, to_fake = (part.softmax(dim=2) for part in logits.split([real.shape[1], fake.shape[1]], dim=2))
        v = to_real @ real - to_fake @ fake
        field += v / (v.square().sum(dim=2).mean() + 1e-12).sqrt()
    return field, scale


def drift_loss(x: Tensor, real: Tensor, fake: Tensor, others: Tensor | None = None, guidance: float = 0.0) -> Tensor:
    """Mean squared distance from x to where `drift_field` moves it; its gradient is the field."""
    field, scale = drift_field(x.detach(), real, fake, others, guidance)
    position = x / scale
    return (position - (position + field).detach()).square().sum(dim=2).mean()


class Memory:
    """The latest descriptions of each class, newest first, in bfloat16: more company than one batch has."""

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._of_class: dict[int, list[Tensor]] = {}

    @property
    def is_empty(self) -> bool:
        return not self._of_class

    def get(self, label: int) -> list[Tensor] | None:
        found = self._of_class.get(label)
        return None if found is None else [part.float() for part in found]

    def add(self, label: int, descriptions: list[Tensor]) -> None:
        parts = [part.detach().bfloat16() for part in descriptions]
        if before := self._of_class.get(label):
            parts = [torch.cat(pair, dim=1) for pair in zip(parts, before, strict=True)]
        self._of_class[label] = [part[:, : self.kept] for part in parts]

    def draw(self, count: int) -> list[Tensor] | None:
        """Descriptions of ``count`` remembered images of any class, drawn with replacement; None where nothing is remembered."""
        if self.is_empty:
            return None
        labels = sorted(self._of_class)
        chosen = [self._of_class[labels[int(torch.randint(len(labels), ()))]] for _ in range(count)]
        places = [int(torch.randint(parts[0].shape[1], ())) for parts in chosen]
        columns = ([part[:, place : place + 1] for part in parts] for parts, place in zip(chosen, places, strict=True))
        return [torch.cat(parts, dim=1).float() for parts in zip(*columns, strict=True)]

    def clear(self) -> None:
        self._of_class.clear()
