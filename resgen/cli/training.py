"""Commands that train and measure: train, train-features, evaluate, name-directions."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from resgen.budget import MAX_WIDTH
from resgen.cli.cards import figures_table
from resgen.cli.common import CheckpointArgument, Device, Folder, checked_place, checked_png, library, progress
from resgen.errors import DataError, FileError, RecipeError, enough_memory
from resgen.fields import read_numbers
from resgen.train.config import TrainConfig

if TYPE_CHECKING:
    from resgen.data import ImageSet
    from resgen.evaluate import Judge
    from resgen.sampler import Sampler

NEIGHBOURS = 7  # training images beside each that was drawn
NEIGHBOUR_SIDE = 900  # pixels, at most, of an image that is enlarged there
DataOption = Annotated[list[str], typer.Option("--data", help="cifar10, fashion-mnist, or folders and zips of class folders; may be repeated.")]


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog="Example: resgen train --data cifar10 --flip --out runs/cifar10")(train)
    app.command("train-features", epilog="Example: resgen train-features --data cifar10 --test-data cifar10 --out runs/judge.safetensors")(
        train_features
    )
    app.command(epilog="Example: resgen evaluate cifar10 --data cifar10 --test-data cifar10 --judge runs/judge.safetensors --out report.json")(
        evaluate
    )
    app.command("name-directions", epilog="Example: resgen name-directions runs/better/better.safetensors")(name_directions)


def _widths(text: str) -> tuple[int, ...]:
    """'48,96' -> (48, 96). Raises RecipeError."""
    widths = read_numbers(text, "Widths")
    if any(not 1 <= width <= MAX_WIDTH or width % 1 for width in widths):
        raise RecipeError(f"Widths: {text[:40]} must be whole numbers from 1 to {MAX_WIDTH}, separated by commas.")
    return tuple(map(int, widths))


def _folder(text: str) -> Path:
    """Raises FileError for the empty name, which would be the folder that one is in."""
    if not text:
        raise FileError("--out is empty: name a folder, or . for this one.")
    return Path(text)


def _without_folders(word: str) -> str:
    """A word of a command, a path in it shortened to its last part where it leads out of the folder that the command ran in: a card travels."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return f"{option}{equals}{Path(value).name if value.startswith(('/', '~', '../')) else value}"


def train(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the run: state, history, sample grids and the checkpoint.", parser=_folder, metavar="PATH")],
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out.")] = False,
    name: Annotated[str, typer.Option(help="Name of the checkpoint; default: the folder's.")] = "",
    images: Annotated[int, typer.Option(help="Images to draw in all.")] = TrainConfig.images,
    batch: Annotated[int, typer.Option(help="Images drawn in a step, a multiple of --group.")] = TrainConfig.batch,
    group: Annotated[int, typer.Option(help="Images of one class in a batch; 0: by the number of classes.")] = TrainConfig.group,
    resolution: Annotated[int | None, typer.Option(help="Pixels a side; default: the data's own.")] = None,
    widths: Annotated[
        str,
        typer.Option(
            help="Channels of each block, coarse to fine; more than there are doublings are of blocks that refine at full size. "
            "Default: those of --init, halved for each doubling of its size, or by the resolution."
        ),
    ] = "",
    mean_shift: Annotated[
        int | None, typer.Option(help="For flat drawings: colours nearer than so many of 255 levels become one; default: --init's, or 0.")
    ] = None,
    lr: Annotated[float, typer.Option(help="The generator's step size, which falls over the second half.")] = TrainConfig.lr,
    guidance: Annotated[
        float, typer.Option(help="How far images of any class repel: more makes classes distinct, at the cost of variety; 0 to 0.9.")
    ] = TrainConfig.guidance,
    flip: Annotated[bool, typer.Option(help="Mirror real images.")] = TrainConfig.flip,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = TrainConfig.seed,
    save_every: Annotated[int, typer.Option(help="Images between saves.")] = TrainConfig.save_every,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Eyes: lite0, lite0@64 (pixels a side), resnet50 (a download) or a network of train-features; "
            "default: lite0 for an adversary, for drift alone the shipped one of cifar10."
        ),
    ] = None,
    loss: Annotated[str, typer.Option(help="drift, adversary, drift+adversary, parts, or parts+adversary.")] = TrainConfig.loss,
    table: Annotated[
        Path | None, typer.Option(help="For parts: a CSV table with a row for each image, of what it is made of, and a column 'file'.")
    ] = None,
    init: Annotated[
        str, typer.Option(help="A checkpoint whose weights the run begins with, and with its adversary where that lies in adversaries/ beside it.")
    ] = TrainConfig.init,
    drift_share: Annotated[float, typer.Option(help="How much drift weighs beside an adversary, 0 to 10.")] = TrainConfig.drift_share,
    clarity: Annotated[
        float,
        typer.Option(
            help="Share of its class, 0.01 to 1, that an adversary must see in an image: more makes classes distinct, at the cost of variety."
        ),
    ] = TrainConfig.clarity,
    drift_first: Annotated[int, typer.Option(help="Images of drift alone before the adversary comes.")] = TrainConfig.drift_first,
    dataset: Annotated[str, typer.Option(help="The data set's name for the card, known ones with author and licence; default: --data.")] = "",
    author: Annotated[str, typer.Option(help="Who made the images, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="The images' licence, for the card.")] = "",
    device: Device = "auto",
) -> None:
    """Train a generator on your images."""
    from resgen.data import describe_source
    from resgen.train.command import train_generator
    from resgen.train.memory import keep_freed_memory

    config = TrainConfig(
        data=tuple(data), name=name or out.resolve().name, images=images, batch=batch, group=group,
        resolution=resolution, widths=_widths(widths) or None, mean_shift=mean_shift, lr=lr, guidance=guidance, flip=flip, seed=seed, save_every=save_every,
        loss=loss, table=str(table or ""), init=init, drift_share=drift_share, clarity=clarity, drift_first=drift_first,
    )  # fmt: skip
    command = shlex.join(["resgen", *map(_without_folders, sys.argv[1:])])
    source = describe_source(dataset or ", ".join(Path(entry).name for entry in data), author, licence)
    keep_freed_memory()
    with progress("Training") as tell, enough_memory("give a smaller --batch or --widths, or a smaller --resolution"):
        train_generator(config, out, resume, features, device, source, command, tell, report=typer.echo)


def train_features(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The network, as .safetensors.")],
    test_data: Annotated[list[str] | None, typer.Option(help="Test images, to measure its accuracy on.")] = None,
    epochs: Annotated[int, typer.Option(help="Times that every image is seen.")] = 5,
    widths: Annotated[str, typer.Option(help="Channels of the stem and of each stage.")] = "48,96,192,384",
    blocks: Annotated[int, typer.Option(help="Residual blocks in a stage.")] = 1,
    thumbnails: Annotated[float, typer.Option(help="Weight of predicting a small copy of the image; 0 for a judge.")] = 1.0,
    flip: Annotated[bool, typer.Option(help="Mirror images.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Device = "auto",
) -> None:
    """Train a ResNet whose features a generator is trained in, or that judges."""
    from resgen.data import difference, load_and_tell
    from resgen.features import MAX_BLOCKS, FeatureConfig
    from resgen.files import check_place
    from resgen.sampler import pick_device
    from resgen.train.classifier import train_features
    from resgen.train.config import MAX_SEED, check_range
    from resgen.train.memory import keep_freed_memory

    for option, value, most in (("epochs", epochs, 10_000), ("blocks", blocks, MAX_BLOCKS)):
        check_range(option, value, 1, most)
    for option, value, most in (("thumbnails", thumbnails, 100), ("seed", seed, MAX_SEED)):
        check_range(option, value, 0, most)
    channels = _widths(widths)
    check_place(out)
    keep_freed_memory()
    images = load_and_tell(data)
    config = FeatureConfig(len(images.classes), channels, blocks)
    test = load_and_tell(test_data, images.images.shape[-1], train=False) if test_data else None
    if test is not None and (how := difference(test.classes, images.classes)):
        raise DataError(f"The test images have other classes than the images ({how}): give both the same class folders.")
    with enough_memory("give smaller --widths"):
        train_features(images, test, out, config, epochs, seed, flip, thumbnails, report=typer.echo, device=pick_device(device))


def evaluate(
    checkpoint: CheckpointArgument,
    data: DataOption,
    test_data: Annotated[list[str], typer.Option(help="Held-out images; the same figures are measured for them, for comparison.")],
    judge: Annotated[
        list[str], typer.Option(help="lite2, or a network of `resgen train-features` that this checkpoint was not trained with; again for more.")
    ],
    out: Annotated[Path | None, typer.Option(help="The figures, as JSON.", callback=checked_place)] = None,
    neighbours: Annotated[
        Path | None, typer.Option(help="A picture of samples, each beside its nearest training images, as PNG.", callback=checked_png)
    ] = None,
    inception: Annotated[bool, typer.Option("--inception", help="Add FID, KID, precision and recall of the Inception network (a download).")] = False,
    card: Annotated[bool, typer.Option("--card", help="Write the figures on the checkpoint's card.")] = False,
    samples: Annotated[int, typer.Option(min=100, help="Images to draw, in equal shares of the classes.")] = 10_000,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Measure a checkpoint: accuracy, variety, Frechet distance, precision and recall."""
    from resgen.data import load_and_tell
    from resgen.evaluate import check_library, check_samples, load_judges, put_on_card
    from resgen.evaluate import evaluate as measure
    from resgen.files import write_atomically
    from resgen.train.memory import keep_freed_memory

    keep_freed_memory()
    shelf = library(checkpoints, device)
    name = shelf.add(checkpoint)
    if card:
        _check_own(checkpoint, shelf.path(name))
    sampler, resolution = shelf.sampler(name), shelf.card(name).arch.resolution
    check_library()
    check_samples(samples, sampler.card.classes)
    judges = load_judges(judge, sampler.device)
    train_set, test_set = load_and_tell(data, resolution), load_and_tell(test_data, resolution, train=False)
    with progress("Measuring") as tell:
        figures = measure(sampler, train_set, test_set, judges, samples, inception, tell)
    Console().print(figures_table(figures))
    if out:
        write_atomically(out, json.dumps(figures, indent=2).encode())
    if card:
        put_on_card(shelf.path(name), figures)
    if neighbours:
        _write_neighbours(neighbours, sampler, train_set, next(iter(judges.values())))


def _write_neighbours(path: Path, sampler: "Sampler", train_set: "ImageSet", judge: "Judge") -> None:
    """A picture of ten images, each beside its nearest training images; without a note, since no recipe draws those. Raises FileError."""
    from resgen.evaluate import neighbour_rows
    from resgen.files import whole_file
    from resgen.grid import compose
    from resgen.plates import Plate
    from resgen.recipe import enlargement

    rows = neighbour_rows(sampler, train_set, judge, tuple(range(10)), NEIGHBOURS)
    labels = ("generated", *(f"nearest {i + 1}" for i in range(NEIGHBOURS)))
    scale = min(3, enlargement(NEIGHBOUR_SIDE, rows.shape[1]))
    plate = Plate(rows, len(labels), scale, ("",) * len(rows), (None,) * len(rows), column_labels=labels)
    with whole_file(path) as partial:
        compose(plate).save(partial, "PNG")


def _check_own(checkpoint: str, path: Path) -> None:
    """Raise FileError, before the work, where the file of a ``checkpoint`` cannot be written anew, or is the Hub's cache's, which is not to be changed."""
    from resgen.files import check_place

    if "/" in checkpoint and not Path(checkpoint).is_file():
        raise FileError(
            f"{checkpoint} was fetched from the Hub, and its file would be changed: copy {path} into a folder of your own, and name that."
        )
    check_place(path)


def name_directions(
    checkpoint: CheckpointArgument,
    data: Annotated[list[str] | None, typer.Option(help="Images that the table tells of.")] = None,
    attributes: Annotated[Path | None, typer.Option(help="A CSV table with a column 'file' and a row for each image of --data.")] = None,
    device: Device = "auto",
    checkpoints: Folder = None,
) -> None:
    """Give a checkpoint directions that do what their names say: brightness, size, and what a table of its data knows. The file is written anew."""
    from resgen.checkpoint import load_checkpoint, save_checkpoint
    from resgen.data import load_and_tell
    from resgen.generator import GeneratorConfig
    from resgen.train.command import best_eyes, open_eyes
    from resgen.train.directions import FAITHFUL, MEASURES, Attributes, learn_attributes
    from resgen.train.directions import name_directions as name_them
    from resgen.train.table import read_file

    shelf = library(checkpoints, device)
    path = shelf.path(shelf.add(checkpoint))
    _check_own(checkpoint, path)
    loaded = load_checkpoint(path)
    if attributes and not data:
        raise DataError("--attributes tells of images: name them by --data.")
    told = Attributes({}, {})
    if attributes:
        read_file(attributes)  # before images are: what is wrong with it is told at once
        told = learn_attributes(load_and_tell(data or [], loaded.card.arch.resolution), attributes, open_eyes(best_eyes()))
    with progress("Naming") as tell, enough_memory("close other programs, or choose --device cpu"):
        named, faith = name_them(loaded, {**told.measures, **MEASURES}, tell, shelf.device, told.classes)
    save_checkpoint(named, path, whole=loaded.card.arch.family != GeneratorConfig.family)  # what was imported is kept as it came
    for name, correlation in faith.items():
        kept = name in named.card.direction_names
        doubled = "" if kept or correlation < FAITHFUL else ", but it does what another one does"
        typer.echo(f"{'kept' if kept else 'left out':9} {name}: rank correlation {correlation:.2f}{doubled}")
