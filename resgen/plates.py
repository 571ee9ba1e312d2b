"""Any recipe -> a plate: its images and how they are laid out. The one place that draws, whoever asks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk
from resgen.errors import RecipeError
from resgen.latents import Points, join, locate, mix, walk
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import Sampler
from resgen.work import Work, within

SamplerOf = Callable[[str], Sampler]  # a checkpoint's name -> its sampler


@dataclass(frozen=True)
class Plate:
    """Images in rows, with words for each, and for rows and columns where these mean something."""

    images: np.ndarray  # uint8 [N, H, W, 3], row by row
    columns: int
    scale: int  # enlargement of each image
    captions: tuple[str, ...]  # one for each image
    tiles: tuple[Recipe | None, ...]  # the recipe of each image alone, where it has one
    row_labels: tuple[str, ...] = ()
    column_labels: tuple[str, ...] = ()


def draw(recipe: AnyRecipe, sampler_of: SamplerOf) -> Work[Plate]:
    """The plate of any recipe; of a walk, its frames. Raises ResGenError."""
    if isinstance(recipe, Recipe):
        return (yield from _draw_grid(recipe, sampler_of(recipe.checkpoint)))
    if isinstance(recipe, StyleMix):
        return (yield from _draw_mix(recipe, sampler_of(recipe.checkpoint)))
    if isinstance(recipe, Walk):
        sampler = sampler_of(recipe.checkpoint)
        frames = yield from sampler.draw(frame_points(recipe, sampler))
        return Plate(frames, 10, recipe.scale, tuple(f"frame {i + 1}" for i in range(len(frames))), tiles=(None,) * len(frames))
    if isinstance(recipe, Comparison):
        return (yield from _draw_comparison(recipe, sampler_of))
    if isinstance(recipe, AnatomyOf):
        return _draw_anatomy(recipe, sampler_of(recipe.checkpoint))
    raise TypeError(f"no plate is made of {type(recipe).__name__}")


def frame_points(recipe: Walk, sampler: Sampler) -> Points:
    """The points of a walk's frames. Raises RecipeError."""
    stops = join([locate(stop, sampler.checkpoint) for stop in recipe.stops])
    if recipe.loop:
        stops = join([stops, locate(recipe.stops[0], sampler.checkpoint)])
    return walk(stops, recipe.positions, recipe.path == "z")


def stream_frames(recipe: Walk, sampler: Sampler) -> Iterator[np.ndarray]:
    """The frames of a walk, uint8 [H, W, 3] one by one, each batch drawn when it is asked for. Raises RecipeError."""
    for batch in sampler.batches(frame_points(recipe, sampler)):
        yield from batch


def name_images(recipe: Recipe, points: Points, sampler: Sampler) -> tuple[str, ...]:
    """What a person calls each image: 'cat, seed 7'."""
    kind = "variation" if recipe.variation_of is not None else "near seed" if recipe.plane else "seed"
    classes = sampler.card.classes
    captions: list[str] = []
    for index, (seed, label) in enumerate(zip(map(int, points.seeds), map(int, points.labels), strict=True)):
        name = f"latent {index // len(recipe.sweep_amounts) + 1}" if seed < 0 else f"{kind} {seed}"
        captions.append(f"{classes[label]}, {name}" if label >= 0 else name)
    return tuple(captions)


def _draw_grid(recipe: Recipe, sampler: Sampler) -> Work[Plate]:
    points = locate(recipe, sampler.checkpoint)
    images = yield from sampler.draw(points)
    captions = name_images(recipe, points, sampler)
    tiles = tuple(recipe.single(index) for index in range(len(images)))
    if recipe.sweep:
        steps = tuple(f"{amount:+.2g}" if amount else "0" for amount in recipe.sweep_amounts)
        captions = tuple(f"{caption}, {recipe.sweep} {steps[index % len(steps)]}" for index, caption in enumerate(captions))
        return Plate(images, recipe.across, recipe.scale, captions, column_labels=steps, tiles=tiles)
    return Plate(images, recipe.across, recipe.scale, captions, row_labels=recipe.classes if len(recipe.classes) > 1 else (), tiles=tiles)


def _draw_mix(recipe: StyleMix, sampler: Sampler) -> Work[Plate]:
    """The first row and column show the images themselves, the rest their mixtures."""
    blocks = len(sampler.card.arch.block_resolutions)
    if not sampler.card.arch.styled:
        raise RecipeError(f"{sampler.card.name} has one latent for all its blocks: it has no styles to mix.")
    if beyond := [block for block in recipe.blocks if block >= blocks]:
        raise RecipeError(f"{sampler.card.name} has {sampler.card.blocks_in_words}; there is no block {beyond[0] + 1}.")
    rows, columns = (join([locate(part, sampler.checkpoint) for part in side]) for side in (recipe.rows, recipe.columns))
    points = join([columns, rows, mix(rows, columns, recipe.blocks)])
    images = yield from sampler.draw(points)
    names = [name for part in (*recipe.columns, *recipe.rows) for name in name_images(part, locate(part, sampler.checkpoint), sampler)]
    across, down = len(recipe.columns), len(recipe.rows)
    w = sampler.map(points).numpy()
    order, captions, tiles = [0], [""], [None, *recipe.columns]  # of the table, row by row; the corner is empty
    order += range(across)
    captions += names[:across]
    for row, part in enumerate(recipe.rows):
        inner = range(across + down + row * across, across + down + (row + 1) * across)
        order += [across + row, *inner]
        captions += [names[across + row], *(f"{names[across + row]} with the style of {column}" for column in names[:across])]
        tiles += [part, *(spell_out(part, w[index]) for index in inner)]
    table = images[order]
    table[0] = 0
    return Plate(table, across + 1, recipe.scale, tuple(captions), tiles=tuple(tiles))


def _draw_comparison(comparison: Comparison, sampler_of: SamplerOf) -> Work[Plate]:
    """One row for each image, one column for each checkpoint; of one checkpoint a plain grid."""
    if len(comparison.checkpoints) == 1:
        alone = comparison.checkpoints[0]
        return (yield from _draw_grid(comparison.recipe.with_checkpoint(alone), sampler_of(alone)))
    plates: list[Plate] = []
    for name in comparison.checkpoints:
        drawing = _draw_grid(comparison.recipe.with_checkpoint(name), sampler_of(name))
        plates.append((yield from within(drawing, len(plates), len(comparison.checkpoints))))
    count, side = len(plates[0].images), max(plate.images.shape[1] for plate in plates)
    images = np.stack([_enlarged(plate.images, side) for plate in plates], axis=1).reshape(-1, side, side, 3)
    captions = tuple(f"{plate.captions[i]}, {name}" for i in range(count) for plate, name in zip(plates, comparison.checkpoints, strict=True))
    tiles = tuple(plate.tiles[i] for i in range(count) for plate in plates)
    return Plate(images, len(plates), comparison.recipe.scale, captions, column_labels=_heads(comparison.checkpoints), tiles=tiles)


def _heads(names: Sequence[str]) -> tuple[str, ...]:
    """What stands above each checkpoint; of the moments of one training, the images that it had seen."""
    if len({name.partition("@")[0] for name in names}) > 1:
        return tuple(names)
    return tuple(f"{int(images):,} images" if images.isdecimal() else name for name, _, images in (name.partition("@") for name in names))


def _enlarged(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 [N, H, W, 3] at ``side`` pixels, each pixel as it is: smaller ones beside larger ones stay what they are."""
    places = np.arange(side) * images.shape[1] // side
    return images[:, places][:, :, places]


def _draw_anatomy(anatomy: AnatomyOf, sampler: Sampler) -> Plate:
    """Three rows over the blocks, coarse to fine; only the last of them where no block can be dialled."""
    shown = sampler.anatomy(locate(anatomy.recipe, sampler.checkpoint))
    blocks = sampler.card.block_names
    rows = ("image so far", "what it changes", "its features") if sampler.card.arch.dials else ("its features",)
    captions = tuple(f"{row}: {block}" for row in rows for block in blocks)
    images = np.concatenate([shown.so_far, shown.added, shown.features])
    return Plate(images, len(blocks), anatomy.recipe.scale, captions, row_labels=rows, column_labels=blocks, tiles=(None,) * len(images))


def spell_out(recipe: Recipe, w: np.ndarray) -> Recipe:
    """The recipe of one image by its w [blocks, w_dim] alone, gains and layout as in ``recipe``."""
    latent = pack_vector(w.ravel().tolist())
    return Recipe(checkpoint=recipe.checkpoint, latents=(latent,), residual_gains=recipe.residual_gains, columns=1, scale=1)
