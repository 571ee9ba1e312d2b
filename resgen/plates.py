"""Any recipe -> a plate: its images and how they are laid out. The one place that draws, whoever asks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk
from resgen.errors import RecipeError
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import Progress, Sampler

SamplerOf = Callable[[str], Sampler]  # a checkpoint's name -> its sampler


@dataclass(frozen=True)
class Plate:
    """Images in rows, with words for each, and for rows and columns where these mean something."""

    images: np.ndarray  # uint8 [N, H, W, 3], row by row
    columns: int
    scale: int  # enlargement of each image
    captions: tuple[str, ...]  # one for each image
    row_labels: tuple[str, ...] = ()
    column_labels: tuple[str, ...] = ()
    tiles: tuple[Recipe | None, ...] = ()  # the recipe of each image alone, where it has one


def draw(recipe: AnyRecipe, sampler_of: SamplerOf, progress: Progress | None = None) -> Plate:
    """The plate of any recipe; of a walk, its frames. Raises ResGenError."""
    if isinstance(recipe, Recipe):
        return _draw_grid(recipe, sampler_of(recipe.checkpoint), progress)
    if isinstance(recipe, StyleMix):
        return _draw_mix(recipe, sampler_of(recipe.checkpoint), progress)
    if isinstance(recipe, Walk):
        frames = draw_frames(recipe, sampler_of(recipe.checkpoint), progress)
        return Plate(frames, 10, recipe.scale, tuple(f"frame {i + 1}" for i in range(len(frames))))
    if isinstance(recipe, Comparison):
        return _draw_comparison(recipe, sampler_of, progress)
    if isinstance(recipe, AnatomyOf):
        return _draw_anatomy(recipe, sampler_of(recipe.checkpoint))
    raise TypeError(f"no plate is made of {type(recipe).__name__}")


def draw_frames(walk: Walk, sampler: Sampler, progress: Progress | None = None) -> np.ndarray:
    """A walk's frames uint8 [F, H, W, 3]. Raises RecipeError."""
    stops = (*walk.stops, walk.stops[0]) if walk.loop else walk.stops
    return sampler.synthesise(*sampler.between(stops, walk.positions, walk.path == "z"), progress)


def name_images(recipe: Recipe, sampler: Sampler) -> tuple[str, ...]:
    """What a person calls each image: 'cat, seed 7'."""
    kind = "variation" if recipe.variation_of is not None else "near seed" if recipe.plane else "seed"
    classes, captions = sampler.checkpoint.classes, []
    for index, (seed, label) in enumerate(zip(*sampler.name(recipe), strict=True)):
        name = f"latent {index // len(recipe.sweep_amounts) + 1}" if seed < 0 else f"{kind} {seed}"
        captions.append(f"{classes[label]}, {name}" if label >= 0 else name)
    return tuple(captions)


def _draw_grid(recipe: Recipe, sampler: Sampler, progress: Progress | None) -> Plate:
    images, captions = sampler.render(recipe, progress), name_images(recipe, sampler)
    tiles = tuple(recipe.alone(index) for index in range(len(images)))
    if recipe.sweep:
        steps = tuple(f"{amount:+.2g}" if amount else "0" for amount in recipe.sweep_amounts)
        captions = tuple(f"{caption}, {recipe.sweep} {steps[index % len(steps)]}" for index, caption in enumerate(captions))
        return Plate(images, recipe.columns, recipe.scale, captions, column_labels=steps, tiles=tiles)
    if len(recipe.classes) > 1:
        return Plate(images, recipe.points, recipe.scale, captions, row_labels=recipe.classes, tiles=tiles)
    return Plate(images, min(recipe.columns, len(images)), recipe.scale, captions, tiles=tiles)


def _draw_mix(mix: StyleMix, sampler: Sampler, progress: Progress | None) -> Plate:
    """The first row and column show the images themselves, the rest their mixtures."""
    blocks = len(sampler.checkpoint.arch.widths)
    if beyond := [block for block in mix.blocks if block >= blocks]:
        raise RecipeError(f"{sampler.checkpoint.name} has {blocks} residual blocks; there is no block {beyond[0] + 1}.")
    rows, columns = (np.concatenate([sampler.latents(part) for part in side]) for side in (mix.rows, mix.columns))
    gains = np.concatenate([sampler.gains(part) for part in mix.rows])
    column_gains = np.concatenate([sampler.gains(part) for part in mix.columns])
    mixed = np.repeat(rows, len(columns), axis=0)
    mixed[:, list(mix.blocks)] = np.tile(columns, (len(rows), 1, 1))[:, list(mix.blocks)]
    w = np.concatenate([columns, rows, mixed])
    images = sampler.synthesise(w, np.concatenate([column_gains, gains, np.repeat(gains, len(columns), axis=0)]), progress)
    top, left, inner = np.split(images, [len(columns), len(columns) + len(rows)])
    body = np.concatenate([left[:, None], inner.reshape(len(rows), len(columns), *images.shape[1:])], axis=1)
    corner = np.zeros_like(top[:1])
    plate = np.concatenate([corner, top, body.reshape(-1, *images.shape[1:])])
    names = [[name_images(part, sampler)[0] for part in side] for side in (mix.rows, mix.columns)]
    captions = ["", *names[1]]
    for row in names[0]:
        captions += [row, *(f"{row} with the style of {column}" for column in names[1])]
    tiles: list[Recipe | None] = [None, *mix.columns]
    for part, row in zip(mix.rows, mixed.reshape(len(rows), len(columns), *mixed.shape[1:]), strict=True):
        tiles += [part, *(spell_out(part, w) for w in row)]
    return Plate(plate, len(columns) + 1, mix.scale, tuple(captions), tiles=tuple(tiles))


def _draw_comparison(comparison: Comparison, sampler_of: SamplerOf, progress: Progress | None) -> Plate:
    """One row for each image, one column for each checkpoint."""
    recipes = [replace(comparison.recipe, checkpoint=name) for name in comparison.checkpoints]
    plates = [_draw_grid(recipe, sampler_of(recipe.checkpoint), progress) for recipe in recipes]
    if len({plate.images.shape for plate in plates}) > 1:
        raise RecipeError("Compare: these checkpoints draw images of different sizes or numbers; choose some that draw the same.")
    count = len(plates[0].images)
    images = np.stack([plate.images for plate in plates], axis=1).reshape(-1, *plates[0].images.shape[1:])
    captions = tuple(f"{plates[0].captions[i]}, {name}" for i in range(count) for name in comparison.checkpoints)
    tiles = tuple(plate.tiles[i] for i in range(count) for plate in plates)
    return Plate(images, len(plates), comparison.recipe.scale, captions, column_labels=comparison.checkpoints, tiles=tiles)


def _draw_anatomy(anatomy: AnatomyOf, sampler: Sampler) -> Plate:
    """Three rows over the blocks, coarse to fine."""
    shown = sampler.anatomy(anatomy.recipe)
    arch = sampler.checkpoint.arch
    blocks = tuple(f"block {i + 1}, {arch.base_resolution * 2**i} px" for i in range(len(arch.widths)))
    rows = ("image so far", "what it changes", "its features")
    captions = tuple(f"{row}: {block}" for row in rows for block in blocks)
    images = np.concatenate([shown.so_far, shown.added, shown.features])
    return Plate(images, len(blocks), anatomy.recipe.scale, captions, row_labels=rows, column_labels=blocks)


def spell_out(recipe: Recipe, w: np.ndarray) -> Recipe:
    """The recipe of one image by its w [blocks, w_dim] alone, gains and layout as in ``recipe``."""
    return Recipe(recipe.checkpoint, latents=(pack_vector(w.ravel().tolist()),), residual_gains=recipe.residual_gains, columns=1, scale=1)
