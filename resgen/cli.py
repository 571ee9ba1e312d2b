"""The command line: each command builds a recipe or a configuration and hands it on.

Exit status 0 on success, 2 on bad input with one line on stderr.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resgen.errors import RecipeError, ResGenError
from resgen.recipe import Recipe, parse_numbers, parse_pairs, parse_seeds

if TYPE_CHECKING:
    import numpy as np

    from resgen.composite import AnyRecipe
    from resgen.features import FeatureResNet
    from resgen.plates import Plate
    from resgen.sampler import Sampler

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Explore image generators built from residual networks."
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Folder = Annotated[Path | None, typer.Option("--checkpoints", help="Folder with checkpoints; default: the shipped ones.")]
CheckpointArgument = Annotated[str, typer.Argument(help="A name, a .safetensors file or a Hub repository.")]
OutPng = Annotated[Path, typer.Option(help="The picture, as PNG with its recipe inside.")]
Truncation = Annotated[float, typer.Option(help="Psi, 0 (the mean) to 1.5.")]
Scale = Annotated[int, typer.Option(help="Enlargement of each image, 1 to 16.")]
DataOption = Annotated[list[str], typer.Option("--data", help="cifar10, fashion-mnist, or folders and zips of class folders; may be repeated.")]


def main() -> None:
    """Run the command line; an error that a user can mend is one line and exit status 2."""
    try:
        app()
    except ResGenError as error:
        print(f"resgen: {error}", file=sys.stderr)
        sys.exit(2)


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr that is told (done, all); nothing elsewhere."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    console = Console(stderr=True)
    of_another_process = os.environ.get("RANK", "0") != "0"  # torchrun's number of a process
    with Progress(*columns, console=console, disable=not console.is_terminal or of_another_process) as bar:
        task = bar.add_task(label, note="")
        yield lambda done, total, note="": bar.update(task, completed=done, total=total, note=note)


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(width) for width in parse_numbers(text, "Widths"))


def _name_of(source: str) -> str:
    """What a recipe calls a checkpoint that was named, or given as a path."""
    return Path(source).stem if source.endswith(".safetensors") else source


def _load(source: str, device: str, folder: Path | None) -> "Sampler":
    from resgen.checkpoint import SHIPPED
    from resgen.sampler import load

    return load(source, device, folder or SHIPPED)


def _load_features(sampler: "Sampler", folder: Path | None) -> "FeatureResNet | None":
    """The frozen feature network that was shipped with a checkpoint, or another, or none."""
    from resgen.checkpoint import SHIPPED
    from resgen.features import find_features, load_features

    path = find_features(sampler.checkpoint.name, folder or SHIPPED)
    return load_features(path).freeze().to(sampler.device) if path else None


def _write(recipe: "AnyRecipe", source: str, out: Path, device: str, folder: Path | None, images_dir: Path | None = None) -> "Plate":
    """Draw any recipe with the checkpoint ``source`` (others by their names) and write it: a film where ``out`` is one, else a PNG."""
    from resgen import film, grid
    from resgen.composite import Walk
    from resgen.plates import draw

    first = _load(source, device, folder)

    def sampler_of(name: str) -> "Sampler":
        return first if name in ("", recipe.checkpoint) else _load(name, device, folder)

    sha256 = first.checkpoint.sha256
    with _progress("Rendering") as progress:
        plate = draw(recipe, sampler_of, progress)
    if isinstance(recipe, Walk) and out.suffix.lower() != ".png":
        data = film.encode(plate.images, recipe, sha256, out.suffix.lower())
    else:
        data = grid.png_bytes(grid.compose(plate), recipe, sha256)
    grid.write_atomically(out, data)
    if images_dir:
        for name, data in grid.image_files(plate, sha256):
            grid.write_atomically(images_dir / name, data)
    return plate


def _read_points(texts: str, checkpoint: str, truncation: float) -> "tuple[Recipe, ...]":
    """'3,7@cat,found.png' -> recipes of one image each: seeds, seeds of a class, or the images in files made by ResGen."""
    from resgen.composite import read_points
    from resgen.grid import read_recipe

    points: list[Recipe] = []
    for text in filter(None, (part.strip() for part in texts.split(","))):
        if Path(text).suffix.lower() in (".png", ".json"):
            recipe, _ = read_recipe(Path(text))
            if not isinstance(recipe, Recipe) or recipe.count != 1:
                raise RecipeError(f"{text} holds more than one image; choose a file of a single one.")
            points.append(replace(recipe, checkpoint=checkpoint))
        else:
            points += read_points(text, checkpoint, truncation)
    return tuple(points)


@app.command(epilog="Example: resgen sample cifar10 --seeds 0-63 --classes cat --out cats.png")
def sample(
    checkpoint: CheckpointArgument,
    out: Annotated[Path, typer.Option(help="The grid, as PNG with its recipe inside.")],
    seeds: Annotated[str, typer.Option(help="Numbers and ranges: 0-15,42.")] = "0-15",
    plane: Annotated[str, typer.Option(help="x,y,step: a window of the seed plane, columns x columns, in place of seeds.")] = "",
    variation_of: Annotated[int | None, typer.Option(help="Make the seeds variations of this seed.", min=0)] = None,
    variation_strength: Annotated[float, typer.Option(help="How far variations go, 0 to 1.")] = 0.3,
    classes: Annotated[str, typer.Option(help="Classes, separated by commas, or 'all': one row each. Default: drawn from the seed.")] = "",
    class_mix: Annotated[str, typer.Option(help="A mixture: cat=.7,dog=.3.")] = "",
    truncation: Truncation = 1.0,
    directions: Annotated[str, typer.Option(help="Latent directions in standard deviations: pc1=2,pc3=-1.")] = "",
    sweep: Annotated[str, typer.Option(help="A direction: each image becomes a row, from -3 to 3 standard deviations.")] = "",
    gains: Annotated[str, typer.Option(help="Gain of each residual block, 0 to 2: 1,1,0.5,1.")] = "",
    columns: Annotated[int, typer.Option(help="Images in a row.")] = 8,
    scale: Scale = 3,
    images_dir: Annotated[Path | None, typer.Option(help="Also write each image here.")] = None,
    npz: Annotated[Path | None, typer.Option(help="Also write images, seeds and labels here.")] = None,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw a grid of images."""
    names = tuple(filter(None, classes.split(",")))
    if classes == "all":
        names = _load(checkpoint, device, checkpoints).checkpoint.classes
    recipe = Recipe(
        checkpoint=_name_of(checkpoint),
        seeds=parse_seeds(seeds),
        plane=tuple(parse_numbers(plane, "Plane")) or None,  # type: ignore[arg-type]
        variation_of=variation_of,
        variation_strength=variation_strength,
        classes=names,
        class_mix=parse_pairs(class_mix, "Class mix"),
        truncation=truncation,
        directions=parse_pairs(directions, "Directions"),
        sweep=sweep,
        residual_gains=tuple(parse_numbers(gains, "Gains")),
        columns=columns,
        scale=scale,
    )
    plate = _write(recipe, checkpoint, out, device, checkpoints, images_dir)
    if npz:
        _write_arrays(npz, recipe, plate.images, _load(checkpoint, device, checkpoints))


def _write_arrays(path: Path, recipe: Recipe, images: "np.ndarray", sampler: "Sampler") -> None:
    import io

    import numpy as np

    from resgen.grid import write_atomically

    seeds, labels = sampler.name(recipe)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images, seeds=seeds, labels=labels)
    write_atomically(path, buffer.getvalue())


@app.command(epilog="Example: resgen render grid.png --out again.png")
def render(
    recipe: Annotated[Path, typer.Argument(help="A picture or film made by ResGen, or a recipe as .json.")],
    out: Annotated[Path, typer.Option(help="The picture, as PNG, or the film, as MP4, GIF or WebP.")],
    checkpoint: Annotated[str, typer.Option(help="Draw with this checkpoint in place of the recipe's.")] = "",
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw a picture or film again from the recipe inside it."""
    from resgen.grid import read_recipe

    read, sha256 = read_recipe(recipe)
    source = checkpoint or read.checkpoint
    if sha256 not in ("", _load(source, "cpu", checkpoints).checkpoint.sha256):
        print(f"resgen: {recipe.name} was made with another version of {read.checkpoint}; the picture may differ.", file=sys.stderr)
    _write(read, source, out, device, checkpoints)


@app.command(epilog="Example: resgen walk cifar10 --stops 3@cat,7@cat,12@dog --seconds 6 --out walk.mp4")
def walk(
    checkpoint: CheckpointArgument,
    out: Annotated[Path, typer.Option(help="The film: .mp4, .gif or .webp, with its recipe inside.")],
    stops: Annotated[str, typer.Option(help="Images to pass through: seeds, seed@class, or PNG files of single images.")],
    seconds: Annotated[float, typer.Option(help="Of the whole film.")] = 4.0,
    fps: Annotated[int, typer.Option(help="Frames a second.")] = 24,
    loop: Annotated[bool, typer.Option(help="Return to the first image.")] = True,
    path: Annotated[str, typer.Option(help="z: turn the noise; w: straight lines.")] = "z",
    truncation: Truncation = 1.0,
    scale: Scale = 6,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Make a film that passes through images."""
    from resgen.composite import Walk

    points = _read_points(stops, _name_of(checkpoint), truncation)
    _write(Walk(points, seconds, fps, loop, path, scale), checkpoint, out, device, checkpoints)


@app.command(epilog="Example: resgen mix cifar10 --rows 1@cat,2@cat --columns 8@dog,9@horse --blocks 3,4 --out mix.png")
def mix(
    checkpoint: CheckpointArgument,
    out: OutPng,
    rows: Annotated[str, typer.Option(help="Images that keep their shape: seeds, seed@class, or PNG files of single images.")],
    columns: Annotated[str, typer.Option(help="Images that lend their style.")],
    blocks: Annotated[str, typer.Option(help="Residual blocks that follow the columns, 1 the coarsest.")] = "3,4",
    truncation: Truncation = 1.0,
    scale: Scale = 3,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Mix the coarse features of some images with the fine ones of others."""
    from resgen.composite import StyleMix

    name = _name_of(checkpoint)
    chosen = tuple(int(block) - 1 for block in parse_numbers(blocks, "Blocks"))
    recipe = StyleMix(_read_points(rows, name, truncation), _read_points(columns, name, truncation), chosen, scale)
    _write(recipe, checkpoint, out, device, checkpoints)


@app.command(epilog="Example: resgen explain cifar10 --image 7@frog --out anatomy.png")
def explain(
    checkpoint: CheckpointArgument,
    out: OutPng,
    image: Annotated[str, typer.Option(help="A seed, seed@class, or a PNG file of a single image.")] = "0",
    truncation: Truncation = 1.0,
    scale: Scale = 4,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Show what each residual block does for an image: the image so far, what the block changes, its features."""
    from resgen.composite import AnatomyOf

    points = _read_points(image, _name_of(checkpoint), truncation)
    if len(points) != 1:
        raise RecipeError("Image: name exactly one.")
    _write(AnatomyOf(replace(points[0], scale=scale)), checkpoint, out, device, checkpoints)


@app.command(epilog="Example: resgen compare cifar10@4000 cifar10@64000 cifar10 --seeds 0-7 --out learning.png")
def compare(
    names: Annotated[list[str], typer.Argument(help="Checkpoints, one column each; NAME@IMAGES is a snapshot of a training.")],
    out: OutPng,
    seeds: Annotated[str, typer.Option(help="Numbers and ranges: 0-15,42.")] = "0-7",
    classes: Annotated[str, typer.Option(help="One class for all; default: drawn from the seed.")] = "",
    truncation: Truncation = 1.0,
    scale: Scale = 3,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw the same seeds with several checkpoints, or with one through its training."""
    from resgen.composite import Comparison

    recipe = Recipe(names[0], parse_seeds(seeds), classes=tuple(filter(None, classes.split(","))), truncation=truncation, scale=scale)
    _write(Comparison(recipe, tuple(names)), names[0], out, device, checkpoints)


@app.command(epilog="Example: resgen invert cifar10 photo.jpg --out found.png")
def invert(
    checkpoint: CheckpointArgument,
    photo: Annotated[Path, typer.Argument(help="A picture of any size and format.")],
    out: OutPng,
    steps: Annotated[int, typer.Option(help="Of the search.", min=1)] = 400,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Find the latent that draws a picture; use the PNG with walk, mix and explain."""
    from resgen.invert import invert as search
    from resgen.invert import load_photo

    sampler = _load(checkpoint, device, checkpoints)
    target = load_photo(photo, sampler.checkpoint.arch.resolution)
    features = _load_features(sampler, checkpoints)
    with _progress("Searching") as progress:
        found = search(target, sampler, features, steps, progress=progress)
    _write(found.recipe, checkpoint, out, device, checkpoints)
    typer.echo(f"PSNR {found.psnr:.1f} dB")


@app.command(epilog="Example: resgen curate cifar10 --class cat --many 500 --keep 32 --out cats.png")
def curate(
    checkpoint: CheckpointArgument,
    out: OutPng,
    label: Annotated[str, typer.Option("--class", help="A class; default: each seed draws its own.")] = "",
    many: Annotated[int, typer.Option(help="How many seeds to look at.", min=1)] = 200,
    keep: Annotated[int, typer.Option(help="How many to keep.", min=1)] = 24,
    order: Annotated[str, typer.Option(help="Confidence, or Likeness to real images.")] = "Confidence",
    first_seed: Annotated[int, typer.Option(help="Where the seeds begin.", min=0)] = 0,
    scale: Scale = 3,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw many images and keep the best, judged by a classifier."""
    from resgen import curate as curating

    sampler = _load(checkpoint, device, checkpoints)
    features = _load_features(sampler, checkpoints)
    recipe = Recipe(_name_of(checkpoint), (first_seed,), classes=(label,) if label else (), scale=scale)
    with _progress("Drawing") as progress:
        best = curating.curate(recipe, sampler, features, many, keep, order, progress)
    _write(best, checkpoint, out, device, checkpoints)


@app.command(epilog="Example: resgen direction cifar10 --more 3@cat,8@cat --less 5@cat --name fluffy --seeds 0-5 --out fluffy.png")
def direction(
    checkpoint: CheckpointArgument,
    out: OutPng,
    more: Annotated[str, typer.Option(help="Images that have much of it: seeds, seed@class, or PNG files of single images.")],
    less: Annotated[str, typer.Option(help="Images that have little of it.")],
    name: Annotated[str, typer.Option(help="What to call it.")] = "own",
    seeds: Annotated[str, typer.Option(help="Images to show along it, a row each.")] = "0-5",
    classes: Annotated[str, typer.Option(help="One class for all; default: drawn from the seed.")] = "",
    columns: Annotated[int, typer.Option(help="Steps from -3 to 3 standard deviations.", min=2)] = 7,
    scale: Scale = 3,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Make a direction from examples, and show images along it."""
    from resgen.curate import make_direction

    source = _name_of(checkpoint)
    recipe = Recipe(source, parse_seeds(seeds), classes=tuple(filter(None, classes.split(","))), columns=columns, scale=scale)
    examples, opposites = (_read_points(text, source, 1.0) for text in (more, less))
    made = make_direction(recipe, name, examples, opposites, _load(checkpoint, device, checkpoints))
    _write(replace(made, sweep=name), checkpoint, out, device, checkpoints)


@app.command("list", epilog="Example: resgen list --json")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Whole cards, as JSON.")] = False, checkpoints: Folder = None) -> None:
    """List the checkpoints there are."""
    from rich.table import Table

    from resgen.checkpoint import SHIPPED, list_checkpoints

    cards = list_checkpoints(checkpoints or SHIPPED)
    if as_json:
        print(json.dumps(cards, indent=2))
        return
    table = Table("name", "pixels", "classes", "trained on")
    for card in cards:
        table.add_row(card["name"], str(card["resolution"]), str(len(card["classes"]) or "-"), str(card["dataset"].get("name", "")))
    Console().print(table)


@app.command(epilog="Example: resgen info cifar10 --json")
def info(
    checkpoint: CheckpointArgument,
    as_json: Annotated[bool, typer.Option("--json", help="The whole card, as JSON.")] = False,
    checkpoints: Folder = None,
) -> None:
    """Show a checkpoint's card."""
    from rich.table import Table

    from resgen.checkpoint import SHIPPED, find_checkpoint, read_card

    card = read_card(find_checkpoint(checkpoint, checkpoints or SHIPPED)).card()
    if as_json:
        print(json.dumps(card, indent=2))
        return
    table = Table(show_header=False)
    for key, value in card.items():
        shown = (
            ", ".join(f"{k}: {v}" for k, v in value.items())
            if isinstance(value, dict)
            else ", ".join(value)
            if isinstance(value, list)
            else str(value)
        )
        table.add_row(key, shown)
    Console().print(table)


@app.command(epilog="Example: resgen train --data cifar10 --flip --out runs/cifar10")
def train(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the run: state, history, sample grids and the checkpoint.")],
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out.")] = False,
    name: Annotated[str, typer.Option(help="Name of the checkpoint; default: the folder's.")] = "",
    images: Annotated[int, typer.Option(help="Images to draw in all.", min=1)] = 250_000,
    batch: Annotated[int, typer.Option(help="Images drawn in a step, a multiple of --group.", min=2)] = 64,
    group: Annotated[int, typer.Option(help="Images of one class in a batch; 0: by the number of classes.", min=0)] = 0,
    resolution: Annotated[int | None, typer.Option(help="Pixels a side; default: the data's own.")] = None,
    widths: Annotated[str, typer.Option(help="Channels of each block, coarse to fine; default: by the resolution.")] = "",
    lr: Annotated[float, typer.Option(help="Step size.")] = 3e-4,
    guidance: Annotated[float, typer.Option(help="How far images of any class repel: more makes classes distinct.", min=0, max=0.9)] = 0.0,
    flip: Annotated[bool, typer.Option(help="Mirror real images.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    save_every: Annotated[int, typer.Option(help="Images between saves.", min=1)] = 20_000,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Eyes: lite0, lite0@64 (pixels a side), resnet50 (a download) or a network of train-features; default: lite0 for an adversary."
        ),
    ] = None,
    loss: Annotated[str, typer.Option(help="drift, adversary or drift+adversary.")] = "drift",
    init: Annotated[str, typer.Option(help="A checkpoint whose weights the run begins with.")] = "",
    drift_share: Annotated[float, typer.Option(help="How much drift weighs beside an adversary.", min=0, max=10)] = 0.5,
    drift_first: Annotated[int, typer.Option(help="Images of drift alone before the adversary comes.", min=0)] = 0,
    dataset: Annotated[str, typer.Option(help="The data set's name for the card, known ones with author and licence; default: --data.")] = "",
    device: Device = "auto",
) -> None:
    """Train a generator on your images."""
    from resgen.data import describe_source
    from resgen.train.command import train_generator
    from resgen.train.config import TrainConfig

    config = TrainConfig(
        data=tuple(data), name=name or out.resolve().name, images=images, batch=batch, group=group,
        resolution=resolution, widths=_widths(widths) or None, lr=lr, guidance=guidance, flip=flip, seed=seed, save_every=save_every,
        loss=loss, init=init, drift_share=drift_share, drift_first=drift_first,
    )  # fmt: skip
    # A card travels: paths inside the folder that the command ran in stay as they are, others are shortened to their last part.
    outside = [word for word in sys.argv[1:] if word.startswith(("/", "~", "../"))]
    command = shlex.join(["resgen", *(Path(word).name if word in outside else word for word in sys.argv[1:])])
    source = describe_source(dataset or ", ".join(Path(entry).name for entry in data))
    with _progress("Training") as progress:
        train_generator(config, out, resume, features, device, source, command, progress, report=typer.echo)


@app.command(epilog="Example: resgen train-features --data cifar10 --test-data cifar10 --out runs/judge.safetensors")
def train_features(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The network, as .safetensors.")],
    test_data: Annotated[list[str] | None, typer.Option(help="Test images, to measure its accuracy on.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    widths: Annotated[str, typer.Option(help="Channels of the stem and of each stage.")] = "48,96,192,384",
    blocks: Annotated[int, typer.Option(help="Residual blocks in a stage.", min=1)] = 1,
    thumbnails: Annotated[float, typer.Option(help="Weight of predicting a small copy of the image; 0 for a judge.")] = 1.0,
    flip: Annotated[bool, typer.Option(help="Mirror images.")] = False,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train a ResNet whose features a generator is trained in, or that judges."""
    from resgen.data import load_images
    from resgen.features import FeatureConfig
    from resgen.sampler import pick_device
    from resgen.train.classifier import train_features

    images = load_images(data)
    config = FeatureConfig(len(images.classes), _widths(widths), blocks)
    test = load_images(test_data, images.images.shape[-1], train=False) if test_data else None
    train_features(images, test, out, config, epochs, seed, flip, thumbnails, report=typer.echo, device=pick_device(device))


@app.command(epilog="Example: resgen evaluate cifar10 --data cifar10 --test-data cifar10 --judge runs/judge.safetensors --out report.json")
def evaluate(
    checkpoint: CheckpointArgument,
    data: DataOption,
    test_data: Annotated[list[str], typer.Option(help="Held-out images, for the floor of every figure.")],
    judge: Annotated[
        list[str], typer.Option(help="lite2, or a network of `resgen train-features` that this checkpoint was not trained with; again for more.")
    ],
    out: Annotated[Path | None, typer.Option(help="The figures, as JSON.")] = None,
    neighbours: Annotated[Path | None, typer.Option(help="A picture of samples, each beside its nearest training images.")] = None,
    inception: Annotated[bool, typer.Option("--inception", help="Add FID, KID, precision and recall of the Inception network (a download).")] = False,
    card: Annotated[bool, typer.Option("--card", help="Write the figures on the checkpoint's card.")] = False,
    samples: Annotated[int, typer.Option(min=100)] = 10_000,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Measure a checkpoint: accuracy, variety, Frechet distance, precision and recall."""
    from rich.table import Table

    from resgen.checkpoint import SHIPPED, find_checkpoint
    from resgen.data import load_images
    from resgen.evaluate import evaluate as measure
    from resgen.evaluate import load_judges, neighbour_rows, put_on_card
    from resgen.grid import compose, png_bytes, write_atomically
    from resgen.plates import Plate

    sampler = _load(checkpoint, device, checkpoints)
    resolution = sampler.checkpoint.arch.resolution
    train_set, test_set = load_images(data, resolution), load_images(test_data, resolution, train=False)
    judges = load_judges(judge, sampler.device)
    with _progress("Sampling") as progress:
        figures = measure(sampler, train_set, test_set, judges, samples, inception, progress)
    table = Table("figure", "generated", "real test set")
    for key, value in figures.items():
        if not key.startswith("real_test_"):
            table.add_row(key, str(value), str(figures.get(f"real_test_{key}", "")))
    Console().print(table)
    if out:
        write_atomically(out, json.dumps(figures, indent=2).encode())
    if neighbours:
        rows = neighbour_rows(sampler, train_set, next(iter(judges.values())), tuple(range(10)), 7)
        plate = Plate(rows, 8, 3, ("",) * len(rows), column_labels=("generated", *(f"nearest {i + 1}" for i in range(7))))
        write_atomically(neighbours, png_bytes(compose(plate), Recipe(sampler.checkpoint.name, tuple(range(10))), sampler.checkpoint.sha256))
    if card:
        put_on_card(find_checkpoint(checkpoint, checkpoints or SHIPPED), figures)


@app.command(
    epilog="Example: resgen name-directions runs/faces/faces.safetensors --data data/faces/images/test --attributes data/faces/images/test.csv"
)
def name_directions(
    checkpoint: CheckpointArgument,
    data: Annotated[list[str] | None, typer.Option(help="Images that the table tells of.")] = None,
    attributes: Annotated[Path | None, typer.Option(help="A CSV table with a column 'file' and a row for each image of --data.")] = None,
    checkpoints: Folder = None,
) -> None:
    """Give a checkpoint directions that do what their names say: brightness, size, and what a table of its data knows."""
    from resgen.checkpoint import SHIPPED, find_checkpoint, load_checkpoint, save_checkpoint
    from resgen.data import load_images
    from resgen.train.command import open_eyes
    from resgen.train.directions import MEASURES, learn_attributes
    from resgen.train.directions import name_directions as name_them

    path = find_checkpoint(checkpoint, checkpoints or SHIPPED)
    loaded = load_checkpoint(path)
    known = learn_attributes(load_images(data or [], loaded.arch.resolution), attributes, open_eyes(None)) if attributes else {}
    named, faith = name_them(loaded, {**known, **MEASURES})
    save_checkpoint(named, path)
    for name, correlation in faith.items():
        typer.echo(f"{'kept' if name in named.direction_names else 'left out':9} {name}: rank correlation {correlation:.2f}")
