"""Commands that draw: sample, dataset, render, walk, mix, explain, compare, invert, curate, direction."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resgen.budget import USUAL_KEPT, USUAL_MANY, USUAL_STEPS
from resgen.cli.common import (
    CheckpointArgument,
    Device,
    Folder,
    OutPng,
    Points,
    checked_folder,
    checked_place,
    checked_png,
    library,
    options_of,
    progress,
)
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, Signature, StyleMix, Walk, finer_half, read_link, read_points
from resgen.errors import CheckpointError, FileError, RecipeError
from resgen.fields import Declared, limits, read_numbers
from resgen.processes import this_process
from resgen.recipe import SEEDS, Recipe, usual_scale

if TYPE_CHECKING:
    from resgen.library import Library
    from resgen.plates import Plate

LINKS = "http://", "https://"  # what links begin with
IMAGES_A_FILE = 1000  # of a data set
SWEEP_STEPS = 7  # of a strip, where nobody has said how many


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog="Example: resgen sample cifar10 --seeds 0-63 --classes cat --out cats.png")(sample)
    app.command(epilog="Example: resgen dataset cifar10 --count 50000 --out cifar10-drawn")(dataset)
    app.command(epilog="Example: resgen render grid.png --out again.png")(render)
    app.command(epilog="Example: resgen walk cifar10 --stops 3@cat,7@cat,12@dog --seconds 6 --out walk.mp4")(walk)
    app.command(epilog="Example: resgen mix cifar10 --rows 1@cat,2@cat --columns 8@dog,9@horse --blocks 3,4 --out mix.png")(mix)
    app.command(epilog="Example: resgen explain cifar10 --image 7@frog --out anatomy.png")(explain)
    app.command(epilog="Example: resgen compare cifar10@1024 cifar10@64000 cifar10 --seeds 0-7 --out learning.png")(compare)
    app.command(epilog="Example: resgen invert cifar10 photo.jpg --out found.png")(invert)
    app.command(epilog="Example: resgen curate cifar10 --class cat --many 500 --keep 32 --out cats.png")(curate)
    app.command(epilog="Example: resgen direction cifar10 --more 3@cat,8@cat --less 5@cat --name fluffy --seeds 0-5 --out fluffy.png")(direction)


def _draw(recipe: AnyRecipe, shelf: "Library") -> "Plate":
    from resgen.plates import draw
    from resgen.work import finish

    with progress("Rendering") as tell:
        return finish(draw(recipe, shelf.sampler), tell)


def _write_picture(plate: "Plate", recipe: AnyRecipe, shelf: "Library", out: Path) -> None:
    from resgen import grid
    from resgen.files import write_atomically
    from resgen.notes import signature

    write_atomically(out, grid.png_bytes(grid.compose(plate), recipe, signature(recipe, shelf.sha256)))


def _write_film(recipe: Walk, shelf: "Library", out: Path) -> None:
    from resgen.files import whole_file
    from resgen.film import write_film
    from resgen.work import finish

    with whole_file(out) as partial, partial.open("wb") as file, progress("Rendering") as tell:
        finish(write_film(recipe, shelf.sampler(recipe.checkpoint), out.suffix.lower(), file), tell)


def _write(recipe: AnyRecipe, shelf: "Library", out: Path) -> None:
    """Draw any recipe and write it: a film where ``out`` is one, else a PNG. Raises FileError where ``out`` has another ending."""
    if isinstance(recipe, Walk) and out.suffix.lower() != ".png":
        _write_film(recipe, shelf, out)
    else:
        checked_png(out)
        _write_picture(_draw(recipe, shelf), recipe, shelf, out)


def _tell_of_others(file: Path, recipe: AnyRecipe, noted: Signature, shelf: "Library") -> None:
    """Warn on stderr where checkpoints that a file names are others than those that drew it."""
    if others := shelf.replaced(recipe, noted):
        print(f"resgen: {file.name} was made with another version of {', '.join(others)}; the picture may differ.", file=sys.stderr)


def _read_images(texts: str, checkpoint: str, shelf: "Library", truncation: float) -> tuple[Recipe, ...]:
    """'3,7@cat,found.png' -> recipes of one image each: seeds, seeds of a class, or the images in files made by ResGen. Raises RecipeError."""
    from resgen.notes import read_recipe

    points: list[Recipe] = []
    for text in filter(None, (part.strip() for part in texts.split(","))):
        if Path(text).suffix.lower() in (".png", ".json"):
            recipe, noted = read_recipe(Path(text))
            if not isinstance(recipe, Recipe) or recipe.count != 1:
                raise RecipeError(f"{text} holds more than one image; choose a file of a single one.")
            if recipe.checkpoint not in ("", checkpoint):
                raise RecipeError(f"{text} is an image by {recipe.checkpoint}; choose one by {checkpoint}.")
            points.append(recipe.with_checkpoint(checkpoint))
            _tell_of_others(Path(text), points[-1], noted, shelf)
        else:
            points += read_points(text, checkpoint, truncation)
    return tuple(points)


def _read_truncation(text: str) -> float:
    """Raises RecipeError."""
    return Recipe(truncation=text).truncation  # type: ignore[arg-type]


@options_of(
    Recipe, "seeds", "plane", "latents", "variation_of", "variation_strength", "classes", "class_mix", "truncation", "directions",
    "own_directions", "edits", "sweep", "residual_gains", "columns", "scale", columns=None, scale=None,
)  # fmt: skip
def sample(
    checkpoint: CheckpointArgument,
    fields: dict[str, Any],
    out: Annotated[Path | None, typer.Option(help="The grid, as PNG with its recipe inside.", callback=checked_png)] = None,
    images_dir: Annotated[Path | None, typer.Option(help="Write each image into this folder.", callback=checked_folder)] = None,
    npz: Annotated[
        Path | None, typer.Option(help="Write arrays here: images, seeds, labels, classes and the recipe.", callback=checked_place)
    ] = None,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw a grid of images. Without --columns it has 8 of them or more, as suits the count, and a strip has 7 steps."""
    if not (out or images_dir or npz):
        raise RecipeError("Say where to: --out grid.png, --images-dir FOLDER or --npz FILE.")
    shelf = library(checkpoints, device)
    name = shelf.add(checkpoint)
    recipe = Recipe(checkpoint=name, **_with_all_classes(_with_scale(fields, Recipe, name, shelf), name, shelf))
    if "columns" not in fields:
        most = int(limits(Recipe, "columns")[1])
        recipe = recipe.changed(columns=SWEEP_STEPS if recipe.sweep else min(most, max(Recipe().columns, round(recipe.points**0.5))))
    _check_edits(recipe)
    if out:
        _check_size(recipe, shelf.card(name).arch.resolution)
    plate = _draw(recipe, shelf)
    if out:
        _write_picture(plate, recipe, shelf, out)
    if images_dir:
        _write_images(plate, shelf, images_dir)
    if npz:
        _write_arrays(plate, recipe, shelf, npz)


@options_of(Recipe, "classes", "class_mix", "truncation", "directions", "own_directions", "residual_gains")
def dataset(
    checkpoint: CheckpointArgument,
    fields: dict[str, Any],
    out: Annotated[Path, typer.Option(help="The folder.")],
    first_seed: Annotated[int, typer.Option(help="Where the seeds begin.", min=0)] = 0,
    count: Annotated[int, typer.Option(help="How many seeds; of each class, where classes are given.", min=1)] = 10_000,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw many images as arrays, 1,000 a file: images, seeds, labels, classes and the recipe. Goes on where it was broken off; `torchrun` shares the files out."""
    from resgen.sampler import pick_device

    rank, processes, device = this_process(pick_device(device))
    shelf = library(checkpoints, device)
    name = shelf.add(checkpoint)
    if first_seed + count > SEEDS:
        raise RecipeError(f"There are {SEEDS:,} seeds, and those after them draw the same again: begin earlier, or ask for fewer.")
    seeds = range(first_seed, first_seed + count)
    recipe = Recipe(checkpoint=name, seeds=(seeds[0], seeds[-1]), **_with_all_classes(fields, name, shelf))
    step = max(1, 2 * IMAGES_A_FILE // recipe.count)
    told = recipe.to_dict() | {"seeds": f"{seeds[0]}-{seeds[-1]}"}  # all of them, which may be more than a recipe holds
    _claim(out, {"recipe": told, "sha256": shelf.sha256(name), "classes": shelf.card(name).classes})
    for part in [seeds[at : at + step] for at in range(0, count, step)[rank::processes]]:
        path = out / f"{part[0]}-{part[-1]}.npz"
        if not path.exists():
            drawn = recipe.changed(seeds=tuple(part))
            _write_arrays(_draw(drawn, shelf), drawn, shelf, path)


def _with_all_classes(fields: dict[str, Any], name: str, shelf: "Library") -> dict[str, Any]:
    """Fields in which the classes 'all' are those of a checkpoint. Raises CheckpointError."""
    return {**fields, "classes": shelf.card(name).classes} if fields.get("classes") == "all" else fields


def _with_scale(fields: dict[str, Any], of: type[Declared], name: str, shelf: "Library") -> dict[str, Any]:
    """Fields in which the scale, where it was not given, is the usual one for a checkpoint's images. Raises CheckpointError."""
    return {"scale": usual_scale(of, shelf.card(name).arch.resolution), **fields}


def _claim(folder: Path, of: dict[str, Any]) -> None:
    """Make a folder that of one set of images, told in its dataset.json. Raises FileError where it is another's."""
    from resgen.files import write_atomically

    told, words = folder / "dataset.json", json.dumps(of, indent=1)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = told.read_text(encoding="utf-8") if told.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{folder} cannot be used: name another folder.") from error
    if before not in ("", words) or (not before and any(folder.glob("*.npz"))):
        raise FileError(f"{folder} holds other images: say the same as before to go on with them, or name a new folder.")
    write_atomically(told, words.encode())


def _check_size(recipe: Recipe, resolution: int) -> None:
    """Refuse a picture that would be too large before it is drawn for minutes. Raises RecipeError."""
    from resgen.grid import check_size

    check_size(recipe.across * resolution * recipe.scale, -(-recipe.count // recipe.across) * resolution * recipe.scale)


def _check_edits(recipe: Recipe) -> None:
    """Refuse edits of images that there are not, which a link may have: here they were mistyped. Raises RecipeError."""
    rows = recipe.count // len(recipe.sweep_amounts)
    if beyond := [place for place, _ in recipe.edits if place >= rows]:
        raise RecipeError(f"Edits: there is no image {beyond[0]}; places are counted from 0, and the last one is {rows - 1}.")


def _write_images(plate: "Plate", shelf: "Library", folder: Path) -> None:
    from resgen.files import write_atomically
    from resgen.grid import image_files

    for name, data in image_files(plate, lambda name: shelf.sampler(name).checkpoint.sha256):
        write_atomically(folder / name, data)


def _write_arrays(plate: "Plate", recipe: Recipe, shelf: "Library", path: Path) -> None:
    import io

    import numpy as np

    from resgen.files import write_atomically
    from resgen.latents import locate
    from resgen.notes import sign

    checkpoint = shelf.sampler(recipe.checkpoint).checkpoint
    points = locate(recipe, checkpoint)
    told = {"classes": np.array(checkpoint.classes, np.str_), "recipe": np.array(sign(recipe, checkpoint.sha256))}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=plate.images, seeds=points.seeds.numpy(), labels=points.labels.numpy(), **told)
    write_atomically(path, buffer.getvalue())


def render(
    recipe: Annotated[str, typer.Argument(help="A picture or film made by ResGen, a recipe as .json, or a link of the studio, in quotes.")],
    out: Annotated[
        Path, typer.Option(help="The picture, as PNG, or the film, as MP4, GIF or WebP; or .json, for the recipe alone.", callback=checked_place)
    ],
    checkpoint: Annotated[str, typer.Option(help="Draw with this checkpoint in place of the recipe's.")] = "",
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw a picture or film again from the recipe inside it, or from a link."""
    from resgen.files import write_atomically
    from resgen.notes import read_recipe, sign

    read, noted = (read_link(recipe), "") if recipe.startswith(LINKS) else read_recipe(recipe)
    shelf = library(checkpoints, device)
    drawn = read.with_checkpoint(shelf.add(checkpoint)) if checkpoint else read
    if out.suffix.lower() == ".json":  # for which the checkpoint need not be here
        write_atomically(out, sign(drawn, noted if drawn == read else "", indent=2).encode())
        return
    drawn = shelf.named(drawn)
    try:
        shelf.path(drawn.checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{error} Where it is elsewhere, say --checkpoint and its file.") from error
    if not checkpoint or drawn.checkpoint == read.checkpoint:
        _tell_of_others(Path(recipe), drawn, noted, shelf)
    _write(drawn, shelf, out)


@options_of(Walk, "seconds", "fps", "loop", "path", "pace", "scale", scale=None)
@options_of(Recipe, "truncation")
def walk(
    checkpoint: CheckpointArgument,
    out: Annotated[Path, typer.Option(help="The film: .mp4, .gif or .webp, with its recipe inside.", callback=checked_place)],
    stops: Points,
    fields: dict[str, Any],
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Make a film that passes through images."""
    shelf = library(checkpoints, device)
    name, truncation = shelf.add(checkpoint), _read_truncation(fields.pop("truncation"))
    points = _read_images(stops, name, shelf, truncation)
    _write(Walk(stops=points, **_with_scale(fields, Walk, name, shelf)), shelf, out)


def _read_blocks(text: str, count: int) -> tuple[int, ...]:
    """'1,3' of ``count`` blocks -> (0, 2). Raises RecipeError."""
    numbers = read_numbers(text, "Blocks")
    if any(number not in range(1, count + 1) for number in numbers):
        raise RecipeError(f"Blocks: {text[:40]!r} must be whole numbers from 1, the coarsest, to {count}, separated by commas.")
    return tuple(int(number) - 1 for number in numbers) or finer_half(count)


@options_of(StyleMix, "scale", scale=None)
@options_of(Recipe, "truncation")
def mix(
    checkpoint: CheckpointArgument,
    out: OutPng,
    rows: Points,
    columns: Points,
    fields: dict[str, Any],
    blocks: Annotated[str, typer.Option(help="Residual blocks that follow the columns, 1 the coarsest; default: the finer half.")] = "",
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Mix the coarse features of some images (rows) with the fine ones of others (columns)."""
    shelf = library(checkpoints, device)
    name, truncation = shelf.add(checkpoint), _read_truncation(fields.pop("truncation"))
    chosen = _read_blocks(blocks, len(shelf.card(name).block_names))
    sides = (_read_images(side, name, shelf, truncation) for side in (rows, columns))
    _write(StyleMix(rows=next(sides), columns=next(sides), blocks=chosen, **_with_scale(fields, StyleMix, name, shelf)), shelf, out)  # type: ignore[arg-type]


@options_of(Recipe, "truncation", "scale", scale=None)
def explain(
    checkpoint: CheckpointArgument,
    out: OutPng,
    fields: dict[str, Any],
    image: Annotated[str, typer.Option(help="A seed, seed@class, or a PNG file of a single image.")] = "0",
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Show what each residual block does for an image: the image so far, what the block changes, its features."""
    shelf = library(checkpoints, device)
    name, truncation = shelf.add(checkpoint), _read_truncation(fields.pop("truncation"))
    points = _read_images(image, name, shelf, truncation)
    if len(points) != 1:
        raise RecipeError("Image: name exactly one.")
    _write(AnatomyOf(recipe=points[0].changed(**_with_scale(fields, Recipe, name, shelf))), shelf, out)


@options_of(Recipe, "seeds", "classes", "truncation", "directions", "residual_gains", "scale", seeds="0-7", scale=None)
def compare(
    names: Annotated[list[str], typer.Argument(help="Checkpoints, one column each; NAME@IMAGES is a snapshot of a training.")],
    out: OutPng,
    fields: dict[str, Any],
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw the same seeds with several checkpoints, or with one through its training."""
    shelf = library(checkpoints, device)
    found = tuple(shelf.add(name) for name in names)
    largest = max(found, key=lambda name: shelf.card(name).arch.resolution)  # to whose images the others are brought
    fields = _with_all_classes(_with_scale(fields, Recipe, largest, shelf), found[0], shelf)
    if len({*found}) < len({*names}):
        raise CheckpointError(f"Two of these are called {max(found, key=found.count)}, and pictures tell generators by their names: rename a file.")
    _write(Comparison(recipe=Recipe(checkpoint=found[0], **fields), checkpoints=found), shelf, out)


def invert(
    checkpoint: CheckpointArgument,
    photo: Annotated[Path, typer.Argument(help="A picture of any size: PNG, JPEG, WebP, GIF, BMP or TIFF.")],
    out: OutPng,
    steps: Annotated[int, typer.Option(help="Steps of the search.", min=1)] = USUAL_STEPS,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Find the latent that draws a picture; use the PNG with walk, mix and explain."""
    from resgen.invert import invert as search
    from resgen.invert import load_photo
    from resgen.work import finish

    shelf = library(checkpoints, device)
    name = shelf.add(checkpoint)
    target = load_photo(photo, shelf.card(name).arch.resolution)
    with progress("Searching") as tell:
        found = finish(search(target, shelf.sampler(name), shelf.features(name), steps), tell)
    _write(found.recipe, shelf, out)
    typer.echo(f"PSNR {found.psnr:.1f} dB")


@options_of(Recipe, "truncation", "columns", "scale", scale=None)
def curate(
    checkpoint: CheckpointArgument,
    out: OutPng,
    fields: dict[str, Any],
    label: Annotated[str, typer.Option("--class", help="A class; default: each seed draws its own.")] = "",
    many: Annotated[int, typer.Option(help="How many seeds to look at.", min=1)] = USUAL_MANY,
    keep: Annotated[int, typer.Option(help="How many to keep.", min=1)] = USUAL_KEPT,
    order: Annotated[str, typer.Option(help="Confidence, or Likeness to real images.")] = "Confidence",
    first_seed: Annotated[int, typer.Option(help="Where the seeds begin.", min=0)] = 0,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw many images and keep the best, judged by a classifier of the generator's classes."""
    from resgen import curate as curating
    from resgen.work import finish

    shelf = library(checkpoints, device)
    name = shelf.add(checkpoint)
    recipe = Recipe(checkpoint=name, seeds=(first_seed,), classes=(label,) if label else (), **_with_scale(fields, Recipe, name, shelf))
    with progress("Drawing") as tell:
        best = finish(curating.curate(recipe, shelf.sampler(name), shelf.classifier(name), many, keep, order), tell)
    _write(best, shelf, out)


@options_of(Recipe, "seeds", "classes", "truncation", "columns", "scale", seeds="0-5", columns=SWEEP_STEPS, scale=None)
def direction(
    checkpoint: CheckpointArgument,
    out: OutPng,
    more: Annotated[str, typer.Option(help="Images that have much of it: seeds, seed@class, or PNG files of single images.")],
    less: Annotated[str, typer.Option(help="Images that have little of it.")],
    fields: dict[str, Any],
    name: Annotated[str, typer.Option(help="What to call it.")] = "own",
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Make a direction from examples, and show images along it."""
    from resgen.curate import make_direction

    shelf = library(checkpoints, device)
    source = shelf.add(checkpoint)
    recipe = Recipe(checkpoint=source, **_with_all_classes(_with_scale(fields, Recipe, source, shelf), source, shelf))
    examples, opposites = (_read_images(text, source, shelf, recipe.truncation) for text in (more, less))
    made = make_direction(recipe, name, examples, opposites, shelf.sampler(source))
    _write(made.changed(sweep=name), shelf, out)
