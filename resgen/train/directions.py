"""Directions with names: where w moves as a picture grows brighter, a head larger, glasses appear.

For each thing that can be measured of an image, the direction is that of its ridge regression on w, within classes: what goes along with it by
chance is left where it is. It is as long as it does best what its name says, in standard deviations of `LENGTHS`, or the one of that name that the
checkpoint had, where that does it better; and kept where it does it well: along it the measure rises, for nearly every seed. What not all classes
have, such as hair that is lighter or darker, is looked for in those that do.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.architecture import Generator, class_weights
from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet
from resgen.features import Eyes, to_float
from resgen.sampler import micro_batch
from resgen.statistics import fit_ridge, rank_correlations
from resgen.train.table import is_colour, read_rows, rgb
from resgen.work import Progress

Measure = Callable[[Tensor], Tensor]  # images [N, 3, R, R] in -1..1 -> numbers [N]
Classes = dict[str, Tensor]  # by the name of a measure, the classes [<= classes] in which it tells images apart

SAMPLES = 4096  # latents that a direction is found on
LEAST_OF_CLASS = 8  # of these, of a class, each of which is drawn
LENGTHS = (1.0, 0.5, 0.25, 2.0)  # standard deviations: what is drawn in steps wants long ones, what leaves the known soon short ones
STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # lengths that it is tried at
TRIED_SEEDS = 20
CHOOSING_SEEDS = 40  # others, which the length is chosen on: what is told is not the luck of the choice
TRIED_IMAGES = len(STEPS) * (TRIED_SEEDS + CHOOSING_SEEDS * len(LENGTHS))  # of each measure
FAITHFUL = 0.9  # mean rank correlation of step and measure, over the seeds, of a direction that is kept
MIXED_UP = 0.7  # cosine with one kept before, from which on it would be that slider again
SEEN = 0.017  # deviation within a class from which on a measure's changes can be seen
LUMA = torch.tensor([0.299, 0.587, 0.114])


def figure(images: Tensor) -> Tensor:
    """How far each pixel is from the colour of the border, 0..1: a soft outline of what is drawn [N, R, R]."""
    border = torch.cat([images[:, :, 0], images[:, :, :, 0], images[:, :, :, -1]], dim=2).median(dim=2).values
    return (images - border[:, :, None, None]).abs().mean(dim=1).mul(3).clamp(0, 1)


def size(images: Tensor) -> Tensor:
    return figure(images).mean(dim=(1, 2))


def of_figure(values: Tensor, images: Tensor) -> Tensor:
    """The mean of values [N, R, R] over what is drawn."""
    outline = figure(images)
    return (values * outline).sum(dim=(1, 2)) / (outline.sum(dim=(1, 2)) + 1e-6)


def brightness(images: Tensor) -> Tensor:
    return of_figure(images.mean(dim=1), images)


def warmth(images: Tensor) -> Tensor:
    """Red less blue."""
    return of_figure(images[:, 0] - images[:, 2], images)


def saturation(images: Tensor) -> Tensor:
    return of_figure(images.amax(dim=1) - images.amin(dim=1), images)


def contrast(images: Tensor) -> Tensor:
    return images.mean(dim=1).flatten(1).std(dim=1)


def sharpness(images: Tensor) -> Tensor:
    """What a small blur takes away, as a share of what there is."""
    grey = images.mean(dim=1, keepdim=True)
    lost = grey - F.avg_pool2d(grey, 3, 1, 1, count_include_pad=False)
    return lost.abs().mean(dim=(1, 2, 3)) / (grey.flatten(1).std(dim=1) + 0.05)


def backdrop(images: Tensor) -> Tensor:
    """Brightness of the upper corners."""
    reach = images.shape[-1] // 8
    return torch.cat([images[..., :reach, :reach], images[..., :reach, -reach:]], dim=3).mean(dim=(1, 2, 3))


def place(images: Tensor, dim: int) -> Tensor:
    """Centre of what is drawn along rows (1) or columns (2), in -1..1."""
    outline = figure(images)
    profile = outline.sum(dim=3 - dim)
    return (profile * torch.linspace(-1, 1, profile.shape[1])).sum(dim=1) / (profile.sum(dim=1) + 1e-6)


MEASURES: dict[str, Measure] = {
    "size": size,
    "brightness": brightness,
    "warmth": warmth,
    "saturation": saturation,
    "contrast": contrast,
    "sharpness": sharpness,
    "backdrop": backdrop,
    "to the right": lambda images: place(images, 2),
    "downwards": lambda images: place(images, 1),
}


@torch.no_grad()
def name_directions(
    checkpoint: Checkpoint, measures: dict[str, Measure], progress: Progress = lambda *_: None, device: str = "cpu", classes: Classes | None = None
) -> tuple[Checkpoint, dict[str, float]]:
    """The checkpoint with a direction for each measure that has a faithful one, before those it had; and the rank correlation of all tried: what varies too
    little to be seen is not. A measure that ``classes`` name is looked at in those alone. ``progress`` is told of images, which are drawn on the ``device``, and measured on the CPU."""
    generator = checkpoint.build().to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
    w, spread = sample_latents(generator)
    total = len(w) + len(measures) * TRIED_IMAGES
    measured = measure_all(generator, w, measures, lambda drawn: progress(drawn, total))
    scatter = spread.T @ spread / len(w)
    scatter += scatter.diagonal().mean() * torch.eye(len(scatter))  # the ridge
    before = checkpoint.card.direction_names
    found: dict[str, Tensor] = {}
    faith: dict[str, float] = {}
    for done, (name, measure) in enumerate(measures.items()):
        progress(len(w) + done * TRIED_IMAGES, total)
        values = measured[name] - class_means(measured[name][:, None], generator.config.num_classes)[:, 0]
        rows = _rows_of((classes or {}).get(name), len(w), generator.config.num_classes)
        if len(rows) < TRIED_SEEDS + CHOOSING_SEEDS or values[rows].std() < SEEN:
            continue
        slope = torch.linalg.solve(scatter, spread[rows].T @ values[rows] / len(rows))
        trying, choosing = w[rows[: TRIED_SEEDS + CHOOSING_SEEDS]].split([TRIED_SEEDS, CHOOSING_SEEDS])
        # What it had by that name, found on earlier weights, may do it better than what is found now.
        had = [direction for known, direction in zip(before, checkpoint.directions, strict=True) if known == name]
        direction = max([*_of_all_lengths(slope, spread), *had], key=lambda one: rank_correlation(generator, choosing, one, measure))
        faith[name] = rank_correlation(generator, trying, direction, measure)
        alike = [F.cosine_similarity(direction, other, dim=0) for other in found.values()]
        if faith[name] >= FAITHFUL and all(cosine.abs() < MIXED_UP for cosine in alike):
            found[name] = direction
    progress(total, total)
    kept = [i for i, name in enumerate(before) if name not in measures]
    card = replace(checkpoint.card, direction_names=(*found, *(before[i] for i in kept)))
    return replace(
        checkpoint, card=card, directions=torch.cat([w.new_zeros(0, w.shape[1]), *(one[None] for one in found.values()), checkpoint.directions[kept]])
    ), faith


def _rows_of(classes: Tensor | None, count: int, of_all: int) -> Tensor:
    """Which of ``count`` latents, whose classes come in turn, are of some ``classes``, or of any; of many classes first one of each, here and there."""
    labels = torch.arange(count) % max(1, of_all)
    rows = torch.arange(count) if classes is None else torch.isin(labels, classes).nonzero()[:, 0]
    step = max(1, len(labels[rows].unique()) // TRIED_SEEDS)
    return torch.cat([rows[start::step] for start in range(step)])


def _of_all_lengths(slope: Tensor, spread: Tensor) -> list[Tensor]:
    """A direction [w_dim] in each of `LENGTHS` of what latents of this ``spread`` [N, w_dim] have along it."""
    unit = slope / slope.norm().clamp_min(1e-9)
    return [length * (spread @ unit).std() * unit for length in LENGTHS]


def sample_latents(generator: Generator) -> tuple[Tensor, Tensor]:
    """Latents w [SAMPLES or `LEAST_OF_CLASS` of each, w_dim] of all classes in turn, and the same less the mean of their class."""
    classes = generator.config.num_classes
    count = max(SAMPLES, LEAST_OF_CLASS * classes)
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator("cpu").manual_seed(1))
    weights, device = class_weights(torch.arange(count) % max(1, classes), classes), device_of(generator)
    w = generator.map(z.to(device), None if weights is None else weights.to(device))[:, 0].cpu()
    return w, w - class_means(w, classes)


def class_means(values: Tensor, classes: int) -> Tensor:
    """Of rows [N, D] whose classes come in turn, each row's class's mean."""
    groups = max(1, classes)
    labels = torch.arange(len(values)) % groups
    return torch.stack([values[labels == label].mean(dim=0) for label in range(groups)])[labels]


def draw(generator: Generator, w: Tensor) -> Iterator[Tensor]:
    """Images [n, 3, R, R] in -1..1 of latents [N, w_dim], on the CPU, as many at once as a sampler draws of this generator."""
    for part in w.split(micro_batch(generator.config)):
        yield generator.synthesise(part.to(device_of(generator))).float().cpu().clamp(-1, 1).expand(-1, 3, -1, -1)


def device_of(generator: Generator) -> torch.device:
    return next(iter(generator.state_dict().values())).device


def measure_all(generator: Generator, w: Tensor, measures: dict[str, Measure], tell: Callable[[int], object] = lambda _: None) -> dict[str, Tensor]:
    """What each measure says of the images of latents [N, w_dim]; of these no more than a batch is kept. ``tell`` is told how many are done."""
    parts, drawn = list[dict[str, Tensor]](), 0
    for images in draw(generator, w):
        parts.append({name: measure(images) for name, measure in measures.items()})
        tell(drawn := drawn + len(images))
    return {name: torch.cat([part[name] for part in parts]) for name in measures}


def rank_correlation(generator: Generator, w: Tensor, direction: Tensor, measure: Measure) -> float:
    """Spearman's, of step and measure, averaged over the seeds; 0 of one whose measure stays the same."""
    values = torch.stack([measure_all(generator, w + step * direction, {"": measure})[""] for step in STEPS])  # [steps, seeds]
    return float(rank_correlations(values.T).mean())


class Attributes(NamedTuple):
    """What a table tells of images, to be seen of others."""

    measures: dict[str, Measure]
    classes: Classes


@torch.no_grad()
def learn_attributes(data: ImageSet, table: Path, eyes: Eyes) -> Attributes:
    """What each column of a CSV table says of the images of ``data``, one row each: numbers as they are, colours as how light and how warm, words
    that may be missing as whether there is one. Raises DataError.
    """
    columns = read_table(table, len(data.labels), data.names)
    network = eyes.freeze()
    seen = torch.cat([look(network, to_float(part)) for part in torch.from_numpy(data.images).split(250)])
    labels = torch.from_numpy(data.labels)

    def fit(values: Tensor) -> Measure:
        known = values.isfinite()
        estimate = fit_ridge(seen[known], values[known])
        return lambda images: torch.cat([estimate(look(network, part)) for part in images.split(250)]).float()

    def varied(values: Tensor) -> Tensor:
        own = [values[values.isfinite() & (labels == label)] for label in range(len(data.classes))]
        return torch.tensor([label for label, found in enumerate(own) if len(found) and found.min() < found.max()])

    return Attributes({name: fit(values) for name, values in columns.items()}, {name: varied(values) for name, values in columns.items()})


def look(network: Eyes, images: Tensor) -> Tensor:
    """The two deepest maps, averaged over space [N, channels]."""
    return torch.cat([m.float().mean(dim=(2, 3)) for m in network.maps(images)[-2:]], dim=1)


def read_table(path: Path, count: int, names: Sequence[str] = ()) -> dict[str, Tensor]:
    """Numbers [count] by name, of images in the order of ``names`` (`read_rows`); unknown ones are nan. Of words that may be missing, whether there
    is one. Raises DataError.
    """
    rows = read_rows(path, count, names)
    found: dict[str, Tensor] = {}
    for name in [name for name in rows[0] if name != "file"]:
        cells = [row[name] or "" for row in rows]
        if any(map(is_colour, cells)):
            colours = torch.tensor([rgb(cell) for cell in cells]).double()
            found |= {f"light {name}": colours @ LUMA.double(), f"warm {name}": colours[:, 0] - colours[:, 2]}
        elif any(cells) and all(map(_is_number, filter(None, cells))):
            found[name] = torch.tensor([float(cell or "nan") for cell in cells]).double()
        elif not all(cells):
            found[name] = torch.tensor([float(bool(cell)) for cell in cells]).double()
    return {name: values for name, values in found.items() if values[values.isfinite()].std() > 0}


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False
