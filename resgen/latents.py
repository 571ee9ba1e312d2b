"""A recipe -> points in latent space: noise, classes, truncation, directions and gains of each image. No images here.

Points can be joined, mixed and walked between before anything is drawn; `resgen.sampler` turns them into images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from resgen.architecture import class_weights
from resgen.card import Card
from resgen.checkpoint import Checkpoint
from resgen.errors import RecipeError
from resgen.recipe import PLANE_HEIGHT, PLANE_WIDTH, Recipe, unpack_vector


@dataclass(frozen=True)
class Points:
    """Places in latent space: S sources, and N images that stand, in each of B blocks, between two of them.

    A source's w is mapped from its noise and class, or given; it is drawn towards the mean by psi, and moved.
    """

    z: Tensor  # float32 [S, z_dim]
    class_weights: Tensor  # float32 [S, classes], rows summing to 1; no columns: unconditional
    given: Tensor  # float32 [S, B, w_dim]: a w that was spelled out
    mapped: Tensor  # bool [S]: w comes from z and class; else it is the one given
    psi: Tensor  # float32 [S]: truncation
    offsets: Tensor  # float32 [S, w_dim]: what directions add
    first: Tensor  # int64 [N, B]: a source
    second: Tensor  # int64 [N, B]: another
    share: Tensor  # float32 [N]: 0 is all of the first, 1 all of the second
    gains: Tensor  # float32 [N, B]: of the residual branches
    seeds: Tensor  # int64 [N]: of a point of the seed plane the nearest, of a given w -1
    labels: Tensor  # int64 [N]: index into the checkpoint's classes, -1 where there is none or a mixture

    def __len__(self) -> int:
        return len(self.first)


_OF_SOURCES = ("z", "class_weights", "given", "mapped", "psi", "offsets")


# From a recipe.


def locate(recipe: Recipe, checkpoint: Checkpoint) -> Points:
    """The points of a recipe's images, in their order. Raises RecipeError for what the checkpoint does not have."""
    sources = _given_sources(recipe, checkpoint.card) if recipe.latents else _drawn_sources(recipe, checkpoint.card)
    steps = len(recipe.sweep_amounts)
    repeated = {name: value.repeat_interleave(steps, 0) if steps > 1 else value for name, value in sources.items()}
    count, blocks = recipe.count, len(checkpoint.card.arch.block_resolutions)
    alone = torch.arange(count)[:, None].expand(-1, blocks)
    return Points(
        **repeated,
        psi=torch.full((count,), recipe.truncation),
        offsets=_offsets(recipe, checkpoint),
        first=alone,
        second=alone,
        share=torch.zeros(count),
        gains=torch.tensor(block_gains(recipe, checkpoint.card)).expand(count, -1),
    )


def draw_seed(seed: int, z_dim: int, num_classes: int) -> tuple[Tensor, int]:
    """The z [z_dim] of a seed, and the class it draws (-1 where unconditional); always on the CPU in float32. Seeds alike but for multiples of `SEEDS` draw the same."""
    generator = torch.Generator("cpu").manual_seed(seed)
    z = torch.randn(z_dim, generator=generator)
    label = int(torch.randint(num_classes, (), generator=generator)) if num_classes else -1
    return z, label


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation between vectors [D] (Shoemake 1985); t = 0 gives a, 1 gives b."""
    cosine = torch.dot(a, b) / (torch.dot(a, a) * torch.dot(b, b)).sqrt()
    angle = torch.acos(torch.clamp(cosine, -1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def class_indices(names: Sequence[str], card: Card) -> list[int]:
    """Positions of class names. Raises RecipeError for a name that the checkpoint does not have."""
    if names and not card.classes:
        raise RecipeError(f"{card.name} has no classes to choose from; leave the class empty.")
    for name in names:
        if name not in card.classes:
            shown = ", ".join(card.classes[:12]) + (", ..." if len(card.classes) > 12 else "")
            raise RecipeError(f"{card.name} has no class {name[:40]!r}; it has {shown}.")
    return [card.classes.index(name) for name in names]


def block_gains(recipe: Recipe, card: Card) -> tuple[float, ...]:
    """One gain per block. Raises RecipeError where the recipe has another number of them."""
    blocks = len(card.arch.block_resolutions)
    if recipe.residual_gains and not card.arch.dials:
        raise RecipeError(f"{card.name} has no residual branches to dial; leave the gains empty.")
    if recipe.residual_gains and len(recipe.residual_gains) != blocks:
        raise RecipeError(f"{card.name} has {card.blocks_in_words}, but the recipe gives {len(recipe.residual_gains)} gains.")
    return recipe.residual_gains or (1.0,) * blocks


def _given_sources(recipe: Recipe, card: Card) -> dict[str, Tensor]:
    arch, blocks = card.arch, len(card.arch.block_resolutions)
    rows: list[Tensor] = []
    for text in recipe.latents:
        values = torch.tensor(unpack_vector(text))
        if len(values) not in (arch.w_dim, arch.w_dim * blocks):
            raise RecipeError(f"A latent of {len(values)} numbers does not belong to {card.name}; choose the checkpoint it was made with.")
        rows.append(values.view(-1, arch.w_dim).expand(blocks, -1))
    count = len(rows)
    return {
        "z": torch.zeros(count, arch.z_dim),
        "class_weights": torch.zeros(count, arch.num_classes),
        "given": torch.stack(rows),
        "mapped": torch.zeros(count, dtype=torch.bool),
        "seeds": torch.full((count,), -1),
        "labels": torch.full((count,), -1),
    }


def _drawn_sources(recipe: Recipe, card: Card) -> dict[str, Tensor]:
    """Noise and classes: class by class, points within."""
    arch = card.arch
    z, weights, labels, seeds = _plane_points(recipe, card) if recipe.plane is not None else _seed_points(recipe, card)
    if chosen := class_indices(recipe.classes, card):
        labels = torch.tensor(chosen).repeat_interleave(len(z))
        z, seeds, weights = z.repeat(len(chosen), 1), seeds.repeat(len(chosen)), _one_hot(labels, card)
    elif recipe.class_mix:
        weights, labels = _mixture(recipe, card).expand(len(z), -1), torch.full_like(labels, -1)
    given = torch.zeros(1, len(arch.block_resolutions), arch.w_dim).expand(len(z), -1, -1)
    return {"z": z, "class_weights": weights, "given": given, "mapped": torch.ones(len(z), dtype=torch.bool), "seeds": seeds, "labels": labels}


def _one_hot(labels: Tensor, card: Card) -> Tensor:
    """Class weights [N, classes] of labels [N]; no columns where unconditional."""
    weights = class_weights(labels, card.arch.num_classes)
    return torch.zeros(len(labels), 0) if weights is None else weights


def _mixture(recipe: Recipe, card: Card) -> Tensor:
    """The class weights [classes] of a recipe's mixture; shares that are all zero are equal ones."""
    indices = class_indices([name for name, _ in recipe.class_mix], card)
    shares = torch.tensor([share for _, share in recipe.class_mix])
    weights = torch.zeros(card.arch.num_classes)
    weights[indices] = shares if shares.any() else torch.ones_like(shares)
    return weights / weights.sum()


def _seed_points(recipe: Recipe, card: Card) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, class weights, labels and seeds."""
    arch = card.arch
    drawn = [draw_seed(seed, arch.z_dim, arch.num_classes) for seed in recipe.seeds]
    if recipe.variation_of is not None:
        origin, label = draw_seed(recipe.variation_of, arch.z_dim, arch.num_classes)
        for seed, strength in recipe.variation_path:
            origin = slerp(origin, draw_seed(seed, arch.z_dim, arch.num_classes)[0], strength)
        drawn = [(slerp(origin, z, recipe.variation_strength), label) for z, _ in drawn]
    labels = torch.tensor([label for _, label in drawn])
    return torch.stack([z for z, _ in drawn]), _one_hot(labels, card), labels, torch.tensor(recipe.seeds)


def _plane_points(recipe: Recipe, card: Card) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, class weights, labels and seeds. Points between whole numbers blend the z and the class of their four neighbours, bilinearly.

    A mapping network normalises z; where there is none, a blend is made as strong as a seed's own.
    """
    arch, drawn = card.arch, dict[int, tuple[Tensor, int]]()
    z: list[Tensor] = []
    weights: list[Tensor] = []
    seeds: list[int] = []
    for x, y in map(recipe.plane_point, range(recipe.points)):
        blend, classes, nearest = torch.zeros(arch.z_dim), torch.zeros(max(1, arch.num_classes)), (0.0, 0)
        strength = 0.0
        for column, row in ((math.floor(x) + i, math.floor(y) + j) for i in (0, 1) for j in (0, 1)):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            seed = column % PLANE_WIDTH + PLANE_WIDTH * (row % PLANE_HEIGHT)
            if not share:
                continue
            if seed not in drawn:
                drawn[seed] = draw_seed(seed, arch.z_dim, arch.num_classes)
            blend, nearest = blend + share * drawn[seed][0], max(nearest, (share, seed))
            classes[drawn[seed][1]] += share
            strength += share**2
        z.append(blend if arch.mapped else blend / strength**0.5)
        weights.append(classes)
        seeds.append(nearest[1])
    return torch.stack(z), torch.stack(weights)[:, : arch.num_classes], torch.full((len(z),), -1), torch.tensor(seeds)


def _offsets(recipe: Recipe, checkpoint: Checkpoint) -> Tensor:
    """What directions, edits and the sweep add to the w of each image [N, w_dim]. Raises RecipeError."""

    def offset(pairs: Sequence[tuple[str, float]]) -> Tensor:
        return sum((amount * find_direction(name, recipe, checkpoint) for name, amount in pairs), torch.zeros(checkpoint.card.arch.w_dim))

    rows = offset(recipe.directions).repeat(recipe.count // len(recipe.sweep_amounts), 1)
    for place, pairs in recipe.edits:
        if place < len(rows):
            rows[place] += offset(pairs)
    if not recipe.sweep:
        return rows
    along = find_direction(recipe.sweep, recipe, checkpoint)
    steps = torch.stack([amount * along for amount in recipe.sweep_amounts])
    return (rows[:, None] + steps).flatten(0, 1)


def find_direction(name: str, recipe: Recipe, checkpoint: Checkpoint) -> Tensor:
    """The offset [w_dim] of one standard deviation along a direction. Raises RecipeError where there is none of that name."""
    card = checkpoint.card
    for own, packed in recipe.own_directions:
        if own == name:
            values = torch.tensor(unpack_vector(packed))
            if len(values) != card.arch.w_dim:
                raise RecipeError(f"The direction {name!r} was not made with {card.name}; remove it or choose its checkpoint.")
            return values
    if name not in card.direction_names:
        raise RecipeError(f"{card.name} has no direction {name[:40]!r}; it has {', '.join(card.direction_names) or 'none'}.")
    return checkpoint.directions[card.direction_names.index(name)]


# Of points.


def join(parts: Sequence[Points]) -> Points:
    """All images of all parts, in order."""
    sizes = [len(part.z) for part in parts]
    starts = [sum(sizes[:i]) for i in range(len(parts))]
    moved = [replace(part, first=part.first + start, second=part.second + start) for part, start in zip(parts, starts, strict=True)]
    return Points(**{field.name: torch.cat([getattr(part, field.name) for part in moved]) for field in fields(Points)})


def mix(rows: Points, columns: Points, blocks: Sequence[int]) -> Points:
    """The table of rows x columns, row by row: each image the row's, but in ``blocks``, where it follows the column (Karras et al. 2019)."""
    both = join([rows, columns])
    row = torch.arange(len(rows)).repeat_interleave(len(columns))
    column = torch.arange(len(columns)).repeat(len(rows)) + len(rows)
    first = both.first[row]
    first[:, list(blocks)] = both.first[column][:, list(blocks)]
    kept = {name: getattr(both, name)[row] for name in ("gains", "seeds", "labels", "share")}
    return replace(both, first=first, second=first, **kept)


def walk(stops: Points, positions: Sequence[float], through_z: bool) -> Points:
    """Points at places between images; 1.5 is half-way from the second to the third.

    Through z, noise turns spherically and everything else moves in a straight line; otherwise w does. Raises RecipeError.
    """
    start = torch.tensor([min(int(position), len(stops) - 2) for position in positions])
    share = torch.tensor(positions, dtype=torch.float32) - start
    gains = torch.lerp(stops.gains[start], stops.gains[start + 1], share[:, None])
    nearest = start + (share >= 0.5).long()
    frames = {"gains": gains, "seeds": stops.seeds[nearest], "labels": stops.labels[nearest]}
    if not through_z:
        return replace(stops, first=stops.first[start], second=stops.first[start + 1], share=share, **frames)
    if not stops.mapped.all():
        raise RecipeError("An inverted image has no noise to turn: walk in a straight line through w instead.")
    before, after = (_sources(stops, places) for places in (stops.first[start, 0], stops.first[start + 1, 0]))
    turned = torch.stack([slerp(a, b, float(t)) for a, b, t in zip(before["z"], after["z"], share, strict=True)])
    between = {name: torch.lerp(before[name], after[name], _beside(share, before[name])) for name in ("class_weights", "psi", "offsets", "given")}
    alone = torch.arange(len(positions))[:, None].expand(-1, gains.shape[1])
    return Points(**between, z=turned, mapped=before["mapped"], first=alone, second=alone, share=torch.zeros(len(positions)), **frames)


def _sources(points: Points, places: Tensor) -> dict[str, Tensor]:
    return {name: getattr(points, name)[places] for name in _OF_SOURCES}


def _beside(share: Tensor, values: Tensor) -> Tensor:
    """Shares [N] shaped to weigh values [N, ...]."""
    return share.view(-1, *[1] * (values.ndim - 1))
