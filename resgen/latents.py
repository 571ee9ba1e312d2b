"""Seeds -> z -> w: noise, classes, truncation and directions. No images here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from resgen.checkpoint import Checkpoint
from resgen.errors import RecipeError
from resgen.recipe import PLANE_HEIGHT, PLANE_WIDTH, Recipe, unpack_vector


@dataclass(frozen=True)
class Noise:
    """What the mapping network is given for each image of a recipe."""

    z: Tensor  # float32 [N, z_dim]
    class_weights: Tensor | None  # float32 [N, classes], rows summing to 1; None: unconditional
    labels: Tensor  # int64 [N]: index into the checkpoint's classes, -1 where there is none or a mixture
    seeds: Tensor  # int64 [N]; of a point of the seed plane, the seed nearest to it

    def repeat_each(self, times: int) -> "Noise":
        """Every image ``times`` times in a row."""
        weights = None if self.class_weights is None else self.class_weights.repeat_interleave(times, 0)
        return Noise(self.z.repeat_interleave(times, 0), weights, self.labels.repeat_interleave(times), self.seeds.repeat_interleave(times))


def draw_seed(seed: int, z_dim: int, num_classes: int) -> tuple[Tensor, int]:
    """The z [z_dim] of a seed, and the class it draws (-1 where unconditional); always on the CPU in float32."""
    generator = torch.Generator("cpu").manual_seed(seed)
    z = torch.randn(z_dim, generator=generator)
    label = int(torch.randint(num_classes, (), generator=generator)) if num_classes else -1
    return z, label


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation between vectors [D] (Shoemake 1985); t = 0 gives a, 1 gives b."""
    cosine = torch.dot(a, b) / (a.norm() * b.norm())
    angle = torch.acos(cosine.clamp(-1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def class_indices(names: tuple[str, ...], checkpoint: Checkpoint) -> list[int]:
    """Positions of class names; raises RecipeError for a name that the checkpoint does not have."""
    if names and not checkpoint.classes:
        raise RecipeError(f"{checkpoint.name} has no classes to choose from; leave the class empty.")
    for name in names:
        if name not in checkpoint.classes:
            shown = ", ".join(checkpoint.classes[:12]) + (", ..." if len(checkpoint.classes) > 12 else "")
            raise RecipeError(f"{checkpoint.name} has no class {name[:40]!r}; it has {shown}.")
    return [checkpoint.classes.index(name) for name in names]


def draw_noise(recipe: Recipe, checkpoint: Checkpoint) -> Noise:
    """z and classes of a recipe's images without its sweep: class by class, points within. Raises RecipeError."""
    points = _plane_points(recipe, checkpoint) if recipe.plane is not None else _seed_points(recipe, checkpoint)
    points = _choose_classes(points, recipe, checkpoint)
    return points.repeat_each(len(recipe.sweep_amounts))


def _one_hot(labels: Tensor, checkpoint: Checkpoint) -> Tensor | None:
    return torch.nn.functional.one_hot(labels, checkpoint.arch.num_classes).float() if checkpoint.classes else None


def _seed_points(recipe: Recipe, checkpoint: Checkpoint) -> Noise:
    arch = checkpoint.arch
    drawn = [draw_seed(seed, arch.z_dim, arch.num_classes) for seed in recipe.seeds]
    if recipe.variation_of is not None:
        origin, label = draw_seed(recipe.variation_of, arch.z_dim, arch.num_classes)
        drawn = [(slerp(origin, z, recipe.variation_strength), label) for z, _ in drawn]
    labels = torch.tensor([label for _, label in drawn])
    return Noise(torch.stack([z for z, _ in drawn]), _one_hot(labels, checkpoint), labels, torch.tensor(recipe.seeds))


def _plane_points(recipe: Recipe, checkpoint: Checkpoint) -> Noise:
    """Points between whole numbers blend the z and the class of their four neighbours, weighted bilinearly.

    The mapping network normalises z, so a blend is as strong as a seed's own.
    """
    arch, drawn = checkpoint.arch, dict[int, tuple[Tensor, int]]()
    z, weights, seeds = [], [], []
    for x, y in recipe.plane_points:
        blend, classes, nearest = torch.zeros(arch.z_dim), torch.zeros(max(1, arch.num_classes)), (0.0, 0)
        for column, row in ((math.floor(x) + i, math.floor(y) + j) for i in (0, 1) for j in (0, 1)):
            share = (1 - abs(x - column)) * (1 - abs(y - row))
            seed = column % PLANE_WIDTH + PLANE_WIDTH * (row % PLANE_HEIGHT)
            if not share:
                continue
            if seed not in drawn:
                drawn[seed] = draw_seed(seed, arch.z_dim, arch.num_classes)
            blend, nearest = blend + share * drawn[seed][0], max(nearest, (share, seed))
            classes[drawn[seed][1]] += share
        z.append(blend)
        weights.append(classes)
        seeds.append(nearest[1])
    labels = torch.full((len(z),), -1)
    return Noise(torch.stack(z), torch.stack(weights) if arch.num_classes else None, labels, torch.tensor(seeds))


def _choose_classes(points: Noise, recipe: Recipe, checkpoint: Checkpoint) -> Noise:
    """The points once for each of the recipe's classes, or all with its mixture."""
    if chosen := class_indices(recipe.classes, checkpoint):
        labels = torch.tensor(chosen).repeat_interleave(len(points.z))
        return Noise(points.z.repeat(len(chosen), 1), _one_hot(labels, checkpoint), labels, points.seeds.repeat(len(chosen)))
    if recipe.class_mix:
        indices = class_indices(tuple(name for name, _ in recipe.class_mix), checkpoint)
        weights = torch.zeros(checkpoint.arch.num_classes)
        weights[indices] = torch.tensor([share for _, share in recipe.class_mix])
        weights = (weights / weights.sum()).expand(len(points.z), -1)
        return replace(points, class_weights=weights, labels=torch.full_like(points.labels, -1))
    return points


def given_latents(recipe: Recipe, checkpoint: Checkpoint) -> Tensor:
    """The w [N, blocks, w_dim] that a recipe spells out. Raises RecipeError where they are of another generator."""
    arch, rows = checkpoint.arch, []
    for text in recipe.latents:
        values = torch.tensor(unpack_vector(text))
        if len(values) not in (arch.w_dim, arch.w_dim * len(arch.widths)):
            raise RecipeError(f"A latent of {len(values)} numbers does not belong to {checkpoint.name}; choose the checkpoint it was made with.")
        rows.append(values.view(-1, arch.w_dim).expand(len(arch.widths), -1))
    return torch.stack(rows).repeat_interleave(len(recipe.sweep_amounts), 0)


def truncate(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    """Draw w [N, D] towards ``mean`` (Karras et al. 2019, section B): psi = 1 leaves it, 0 gives the mean."""
    return mean + psi * (w - mean)


def find_direction(name: str, recipe: Recipe, checkpoint: Checkpoint) -> Tensor:
    """The offset [w_dim] of one standard deviation along a direction. Raises RecipeError where there is none of that name."""
    for own, packed in recipe.own_directions:
        if own == name:
            values = torch.tensor(unpack_vector(packed))
            if len(values) != checkpoint.arch.w_dim:
                raise RecipeError(f"The direction {name!r} was not made with {checkpoint.name}; remove it or choose its checkpoint.")
            return values
    if name not in checkpoint.direction_names:
        raise RecipeError(f"{checkpoint.name} has no direction {name[:40]!r}; it has {', '.join(checkpoint.direction_names)}.")
    return checkpoint.directions[checkpoint.direction_names.index(name)]


def direction_offsets(recipe: Recipe, checkpoint: Checkpoint) -> Tensor:
    """What directions, edits and the sweep add to the w of each image [N, w_dim]. Raises RecipeError."""

    def offset(pairs: Sequence[tuple[str, float]]) -> Tensor:
        return sum((amount * find_direction(name, recipe, checkpoint) for name, amount in pairs), torch.zeros(checkpoint.arch.w_dim))

    rows = offset(recipe.directions).repeat(recipe.count // len(recipe.sweep_amounts), 1)
    for place, pairs in recipe.edits:
        if place < len(rows):
            rows[place] += offset(pairs)
    if not recipe.sweep:
        return rows
    along = find_direction(recipe.sweep, recipe, checkpoint)
    steps = torch.stack([amount * along for amount in recipe.sweep_amounts])
    return (rows[:, None] + steps).flatten(0, 1)


def block_gains(recipe: Recipe, checkpoint: Checkpoint) -> tuple[float, ...]:
    """One gain per block. Raises RecipeError where the recipe has another number of them."""
    blocks = len(checkpoint.arch.widths)
    if recipe.residual_gains and len(recipe.residual_gains) != blocks:
        raise RecipeError(f"{checkpoint.name} has {blocks} residual blocks, but the recipe gives {len(recipe.residual_gains)} gains.")
    return recipe.residual_gains or (1.0,) * blocks
