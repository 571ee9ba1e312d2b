"""Seeds -> z -> w: noise, classes, truncation and directions. No images here."""

from dataclasses import dataclass

import torch
from torch import Tensor

from resgen.checkpoint import Checkpoint
from resgen.errors import RecipeError
from resgen.recipe import Recipe


@dataclass(frozen=True)
class Latents:
    """What the mapping network is given for each image of a recipe."""

    z: Tensor  # float32 [N, z_dim]
    class_weights: Tensor | None  # float32 [N, classes], rows summing to 1; None: unconditional
    labels: Tensor  # int64 [N]: index into the checkpoint's classes, -1 where there is none or a mixture
    seeds: Tensor  # int64 [N]


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


def draw_latents(recipe: Recipe, checkpoint: Checkpoint) -> Latents:
    """The latents of a recipe's images: class by class, seeds within. Raises RecipeError."""
    arch = checkpoint.arch
    drawn = [draw_seed(seed, arch.z_dim, arch.num_classes) for seed in recipe.seeds]
    if recipe.variation_of is not None:
        origin, label = draw_seed(recipe.variation_of, arch.z_dim, arch.num_classes)
        drawn = [(slerp(origin, z, recipe.variation_strength), label) for z, _ in drawn]
    z = torch.stack([z for z, _ in drawn])
    labels = torch.tensor([label for _, label in drawn])
    seeds = torch.tensor(recipe.seeds)

    chosen = class_indices(recipe.classes, checkpoint)
    if chosen:
        labels = torch.tensor(chosen).repeat_interleave(len(z))
        z, seeds = z.repeat(len(chosen), 1), seeds.repeat(len(chosen))
    if not arch.num_classes:
        return Latents(z, None, labels, seeds)
    if recipe.class_mix:
        indices = class_indices(tuple(name for name, _ in recipe.class_mix), checkpoint)
        weights = torch.zeros(arch.num_classes)
        weights[indices] = torch.tensor([share for _, share in recipe.class_mix])
        weights = (weights / weights.sum()).expand(len(z), -1)
        return Latents(z, weights, torch.full_like(labels, -1), seeds)
    return Latents(z, torch.nn.functional.one_hot(labels, arch.num_classes).float(), labels, seeds)


def truncate(w: Tensor, mean: Tensor, psi: float) -> Tensor:
    """Draw w [N, D] towards ``mean`` (Karras et al. 2019, section B): psi = 1 leaves it, 0 gives the mean."""
    return mean + psi * (w - mean)


def direction_offset(recipe: Recipe, checkpoint: Checkpoint) -> Tensor:
    """The sum [w_dim] of a recipe's directions, each scaled by its standard deviations. Raises RecipeError."""
    offset = torch.zeros(checkpoint.arch.w_dim)
    for name, amount in recipe.directions:
        if name not in checkpoint.direction_names:
            raise RecipeError(f"{checkpoint.name} has no direction {name[:40]!r}; it has {', '.join(checkpoint.direction_names)}.")
        offset = offset + amount * checkpoint.directions[checkpoint.direction_names.index(name)]
    return offset


def block_gains(recipe: Recipe, checkpoint: Checkpoint) -> tuple[float, ...]:
    """One gain per block. Raises RecipeError where the recipe has another number of them."""
    blocks = len(checkpoint.arch.widths)
    if recipe.residual_gains and len(recipe.residual_gains) != blocks:
        raise RecipeError(f"{checkpoint.name} has {blocks} residual blocks, but the recipe gives {len(recipe.residual_gains)} gains.")
    return recipe.residual_gains or (1.0,) * blocks
