"""The command line: each command builds a recipe or a configuration and hands it on.

Exit status 0 on success, 2 on bad input with one line on stderr.
"""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resgen.errors import RecipeError, ResGenError
from resgen.recipe import Recipe, parse_pairs, parse_seeds

if TYPE_CHECKING:
    from resgen.sampler import Sampler

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Explore image generators built from residual networks."
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Folder = Annotated[Path | None, typer.Option("--checkpoints", help="Folder with checkpoints; default: the shipped ones.")]
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
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, note="")
        yield lambda done, total, note="": bar.update(task, completed=done, total=total, note=note)


def _load(source: str, device: str, folder: Path | None) -> "Sampler":
    from resgen.checkpoint import SHIPPED
    from resgen.sampler import load

    return load(source, device, folder or SHIPPED)


def _write_picture(sampler: "Sampler", recipe: Recipe, out: Path, images_dir: Path | None = None, npz: Path | None = None) -> None:
    """Render once and write each of the wanted forms."""
    import numpy as np

    from resgen import grid

    with _progress("Rendering") as progress:
        images, seeds, labels = sampler.render_labelled(recipe, progress)
    sha256 = sampler.checkpoint.sha256
    grid.write_atomically(out, grid.png_bytes(grid.compose(images, recipe), recipe, sha256))
    if images_dir:
        names = [sampler.checkpoint.classes[label] if label >= 0 else "" for label in labels]
        for name, data in grid.image_files(images, seeds.tolist(), names, recipe, sha256):
            grid.write_atomically(images_dir / name, data)
    if npz:
        import io

        buffer = io.BytesIO()
        np.savez_compressed(buffer, images=images, seeds=seeds, labels=labels)
        grid.write_atomically(npz, buffer.getvalue())


@app.command(epilog="Example: resgen sample cifar10 --seeds 0-63 --classes cat --out cats.png")
def sample(
    checkpoint: Annotated[str, typer.Argument(help="A name, a .safetensors file or a Hub repository.")],
    out: Annotated[Path, typer.Option(help="The grid, as PNG with its recipe inside.")],
    seeds: Annotated[str, typer.Option(help="Numbers and ranges: 0-15,42.")] = "0-15",
    classes: Annotated[str, typer.Option(help="Classes, separated by commas, or 'all': one row each. Default: drawn from the seed.")] = "",
    class_mix: Annotated[str, typer.Option(help="A mixture: cat=.7,dog=.3.")] = "",
    truncation: Annotated[float, typer.Option(help="Psi, 0 (the mean) to 1.5.")] = 1.0,
    directions: Annotated[str, typer.Option(help="Latent directions in standard deviations: pc1=2,pc3=-1.")] = "",
    gains: Annotated[str, typer.Option(help="Gain of each residual block, 0 to 2: 1,1,0.5,1.")] = "",
    columns: Annotated[int, typer.Option(help="Images in a row.")] = 8,
    scale: Annotated[int, typer.Option(help="Enlargement of each image, 1 to 16.")] = 3,
    images_dir: Annotated[Path | None, typer.Option(help="Also write each image here.")] = None,
    npz: Annotated[Path | None, typer.Option(help="Also write images, seeds and labels here.")] = None,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw a grid of images."""
    sampler = _load(checkpoint, device, checkpoints)
    names = sampler.checkpoint.classes if classes == "all" else tuple(filter(None, classes.split(",")))
    try:
        residual_gains = tuple(float(gain) for gain in gains.split(",")) if gains else ()
    except ValueError as error:
        raise RecipeError(f"Gains: {gains[:40]!r} are not numbers separated by commas.") from error
    recipe = Recipe(
        checkpoint=sampler.checkpoint.name,
        seeds=parse_seeds(seeds),
        classes=names,
        class_mix=parse_pairs(class_mix, "Class mix"),
        truncation=truncation,
        directions=parse_pairs(directions, "Directions"),
        residual_gains=residual_gains,
        columns=columns,
        scale=scale,
    )
    _write_picture(sampler, recipe, out, images_dir, npz)


@app.command(epilog="Example: resgen render grid.png --out again.png")
def render(
    recipe: Annotated[Path, typer.Argument(help="A PNG made by ResGen, or a recipe as .json.")],
    out: Annotated[Path, typer.Option(help="The picture, as PNG.")],
    checkpoint: Annotated[str, typer.Option(help="Draw with this checkpoint in place of the recipe's.")] = "",
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Draw a picture again from the recipe inside it."""
    from resgen.grid import read_recipe

    read, sha256 = read_recipe(recipe)
    sampler = _load(checkpoint or read.checkpoint, device, checkpoints)
    if sha256 not in ("", sampler.checkpoint.sha256):
        print(f"resgen: {recipe.name} was made with another version of {read.checkpoint}; the picture may differ.", file=sys.stderr)
    _write_picture(sampler, read, out)


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
    checkpoint: Annotated[str, typer.Argument(help="A name, a .safetensors file or a Hub repository.")],
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
    images: Annotated[int, typer.Option(help="Real images to show in all.", min=1)] = 500_000,
    batch: Annotated[int, typer.Option(help="Images a step, a multiple of 4.", min=4)] = 64,
    resolution: Annotated[int | None, typer.Option(help="Pixels a side; default: the data's own.")] = None,
    lr: Annotated[float, typer.Option(help="Step size.")] = 3e-4,
    gamma: Annotated[float, typer.Option(help="Weight of the gradient penalty.")] = 0.5,
    energy: Annotated[float, typer.Option(help="Weight of the energy distance.")] = 0.5,
    classify: Annotated[float, typer.Option(help="Weight of the class loss in the second half.")] = 0.0,
    augment: Annotated[float, typer.Option(help="Share of images augmented; for small sets shown often.", min=0, max=1)] = 0.0,
    flip: Annotated[bool, typer.Option(help="Mirror real images.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    save_every: Annotated[int, typer.Option(help="Images between saves.", min=1)] = 20_000,
    features: Annotated[Path | None, typer.Option(help="Feature network; default: one trained first, into --out.")] = None,
    dataset: Annotated[str, typer.Option(help="The data set's name for the card, known ones with author and licence; default: --data.")] = "",
    device: Device = "auto",
) -> None:
    """Train a generator on your images."""
    from resgen.data import describe_source
    from resgen.train.command import train_generator
    from resgen.train.config import TrainConfig

    config = TrainConfig(
        data=tuple(data), name=name or out.resolve().name, images=images, batch=batch, resolution=resolution,
        lr=lr, gamma=gamma, energy=energy, classify=classify, augment=augment, flip=flip, seed=seed, save_every=save_every,
    )  # fmt: skip
    # A card travels, so the paths in it are shortened to their last part.
    command = shlex.join(["resgen", *(Path(word).name if "/" in word else word for word in sys.argv[1:])])
    source = describe_source(dataset or ", ".join(Path(entry).name for entry in data))
    with _progress("Training") as progress:
        path = train_generator(config, out, resume, features, device, source, command, progress, report=typer.echo)
    typer.echo(f"Wrote {path}")


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
) -> None:
    """Train a ResNet that a discriminator looks through, or that judges."""
    from resgen.data import load_images
    from resgen.features import FeatureConfig
    from resgen.train.classifier import train_features

    images = load_images(data)
    config = FeatureConfig(len(images.classes), tuple(int(width) for width in widths.split(",")), blocks)
    test = load_images(test_data, images.images.shape[-1], train=False) if test_data else None
    train_features(images, test, out, config, epochs, seed, flip, thumbnails, report=typer.echo)


@app.command(epilog="Example: resgen evaluate cifar10 --data cifar10 --test-data cifar10 --judge runs/judge.safetensors --out report.json")
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A name, a .safetensors file or a Hub repository.")],
    data: DataOption,
    test_data: Annotated[list[str], typer.Option(help="Held-out images, for the floor of every figure.")],
    judge: Annotated[Path, typer.Option(help="A network of `resgen train-features` that this checkpoint was not trained with.")],
    out: Annotated[Path | None, typer.Option(help="The figures, as JSON.")] = None,
    card: Annotated[bool, typer.Option("--card", help="Write the figures on the checkpoint's card.")] = False,
    samples: Annotated[int, typer.Option(min=100)] = 10_000,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Measure a checkpoint: accuracy, variety, Frechet distance, precision and recall."""
    from dataclasses import replace

    from rich.table import Table

    from resgen.checkpoint import SHIPPED, find_checkpoint, save_checkpoint
    from resgen.data import load_images
    from resgen.evaluate import evaluate as measure
    from resgen.features import load_features
    from resgen.grid import write_atomically

    sampler = _load(checkpoint, device, checkpoints)
    resolution = sampler.checkpoint.arch.resolution
    train_set, test_set = load_images(data, resolution), load_images(test_data, resolution, train=False)
    with _progress("Sampling") as progress:
        figures = measure(sampler, train_set, test_set, load_features(judge), samples, progress)
    table = Table("figure", "generated", "real test set")
    for key, value in figures.items():
        if not key.startswith("real_test_"):
            table.add_row(key, str(value), str(figures.get(f"real_test_{key}", "")))
    Console().print(table)
    if out:
        write_atomically(out, json.dumps(figures, indent=2).encode())
    if card:
        path = find_checkpoint(checkpoint, checkpoints or SHIPPED)
        save_checkpoint(replace(sampler.checkpoint, metrics=figures), path)
