"""Commands that bring generators in and take them out: import, export, push, deploy."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from resgen.cli.cards import commands, describe
from resgen.cli.common import CheckpointArgument, Device, Folder, library, progress, waiting
from resgen.errors import CheckpointError, DataError
from resgen.work import finish

if TYPE_CHECKING:
    from resgen.card import Card

SITE = "site"
Place = Annotated[str, typer.Argument(help="Where on the Hub: owner/name.")]
Licence = Annotated[str, typer.Option("--license", help="The licence that the page names, by the Hub's name for it, such as mit; default: none.")]
Private = Annotated[bool, typer.Option("--private", help="Create a private repository.")]
SAMPLE_SEEDS = 24  # of the picture on a model card
INSTALLING = "Drawn with ResGen: in a clone of its repository, `pip install -e .`. The package called resgen on PyPI is another program."


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command("import", epilog="Example: resgen import netG_epoch_24.pth --output tanh --as mine")(import_)
    app.command("export", epilog="Example: resgen export cifar10 --to onnx --out cifar10.onnx")(export)
    app.command(epilog="Example: resgen push cifar10 owner/cifar10-resgen")(push)
    app.command(epilog="Example: resgen deploy owner/resgen --checkpoint cifar10 --dry-run")(deploy)


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="A state dict (.pth, .pt, .bin, .safetensors), a pickled StyleGAN (.pkl), or an .onnx, .pt2 or TorchScript file; or owner/name:FILE on the Hub."
        ),
    ],
    name: Annotated[str, typer.Option("--as", help="What it is called here; default: the file's name.")] = "",
    arch: Annotated[
        str,
        typer.Option(help="The kind of its network, where it must not be guessed: one that docs/bring-your-own.md lists."),
    ] = "",
    config: Annotated[
        Path | None, typer.Option(help="What the file does not say, in YAML or JSON: StudioGAN's configuration, names of classes.")
    ] = None,
    output: Annotated[str, typer.Option(help="Where its images are, if the file does not say it: tanh (-1..1) or sigmoid (0..1).")] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Run the file where it is a program: TorchScript or torch.export.")] = False,
    dataset: Annotated[str, typer.Option(help="What it was trained on, for the card; known ones with author and licence.")] = "",
    author: Annotated[str, typer.Option(help="The data set's author, for the card.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence, for the card.")] = "",
    to: Annotated[Path | None, typer.Option(help="The folder of the checkpoint; default: that of the shipped ones.")] = None,
    device: Device = "cpu",
) -> None:
    """Make a checkpoint of another program's generator."""
    from resgen.checkpoint import save_checkpoint
    from resgen.files import check_place
    from resgen.imports import check_name, import_file, own_name, read_settings
    from resgen.interop.reading import ImportOptions
    from resgen.library import SHIPPED
    from resgen.sampler import pick_device

    told_of_data = _told_of_data(dataset, author, licence)
    if trust:
        typer.echo(f"resgen: {file.name} is run if it is a program; nothing of it is kept but its graph.", err=True)
    file, called, origin = _fetched(file)
    name = check_name(name) if name else own_name(called)
    path = (to or SHIPPED) / f"{name}.safetensors"
    if path.exists():
        raise CheckpointError(f"There is a checkpoint {name} in {path.parent} already: say another name with --as.")
    check_place(path)
    asked = ImportOptions(output, trust, read_settings(config) if config else {})
    told = list[str]()
    with waiting(f"Reading {file.name}, and measuring what its latents do"):
        made = import_file(file, name, asked, arch, pick_device(device), told.append)
    made = replace(made, card=replace(made.card, dataset=told_of_data, source=made.card.source | {"file": origin}))
    save_checkpoint(made, path, whole=True)
    side = made.card.arch.resolution
    print(f"{path}: {made.card.source['kind']}, {side} x {side} pixels, {made.card.blocks_in_words}, {len(made.classes) or 'no'} classes.")
    if told:
        print(
            *told,
            "Where the pictures look wrong, say what you know in --config or with --output, or export the network to ONNX and import that.",
            sep="\n",
        )


def _told_of_data(dataset: str, author: str, licence: str) -> dict[str, str]:
    """What a card is told of the data set. Raises DataError where that has no name."""
    from resgen.data import describe_source

    said = {key: words for key, words in (("author", author), ("licence", licence)) if words}
    if said and not dataset:
        raise DataError("--author and --licence are those of the data set: name it with --dataset.")
    return describe_source(dataset) | said if dataset else {}


def _fetched(file: Path) -> tuple[Path, str, str]:
    """A file, from the Hub where its name is of there; what a checkpoint made of it is called; and where it is from, as the card says it.

    Files of repositories are mostly called alike: that is called as its repository is.
    """
    from resgen import hub
    from resgen.interop.torch_files import READ

    found = hub.source_of(file.as_posix(), READ)
    if not found:
        return file, file.stem, file.name
    path, there = hub.fetch_file(*found, READ)
    return path, found[0].partition("/")[2], f"{found[0]}:{there}"


def export(
    names: Annotated[
        list[str], typer.Argument(metavar="CHECKPOINT...", help="A name, a .safetensors file or a Hub repository; several with --to site.")
    ],
    out: Annotated[Path, typer.Option(help="The file; of python, its weights lie beside it as .pt; of a site, the folder.")],
    to: Annotated[str, typer.Option(help="onnx, torchscript, pt2, python, or site: a page that draws in the visitor's browser.")] = "onnx",
    half: Annotated[bool, typer.Option("--half", help="ONNX in half precision, as that of a site always is.")] = False,
    runtime: Annotated[str, typer.Option(help="Of a site, where onnxruntime-web is: copy (in its folder) or cdn (cdn.jsdelivr.net).")] = "copy",
    checkpoints: Folder = None,
) -> None:
    """Write a checkpoint as a file, or several as a page, that draws without ResGen; what it draws is compared with the checkpoint."""
    from resgen.exports import export as write
    from resgen.site import export_site

    shelf = library(checkpoints)
    samplers = [shelf.sampler(shelf.add(name)) for name in names]
    if to == SITE:
        with progress("Writing") as tell:
            differences = finish(export_site(samplers, out, runtime), tell)
    elif len(samplers) == 1:
        differences = {names[0]: write(samplers[0], to, out, half)}
    else:
        raise CheckpointError(f"A file holds one checkpoint; several go --to {SITE}.")
    for name, difference in differences.items():
        print(f"{out}: draws as {name} does, within {difference}/255.")


def push(checkpoint: CheckpointArgument, place: Place, licence: Licence = "", private: Private = False, checkpoints: Folder = None) -> None:
    """Put a checkpoint on the Hugging Face Hub with a picture, and a page made of its card where the repository has none (README.md)."""
    from resgen import hub
    from resgen.grid import draw_png
    from resgen.recipe import Recipe, enlargement

    shelf = library(checkpoints)
    name = shelf.add(checkpoint)
    recipe = Recipe(checkpoint=name, seeds=tuple(range(SAMPLE_SEEDS)), scale=enlargement(96, shelf.card(name).arch.resolution))
    address, is_new = hub.push(place, name, shelf.path(name), model_card(shelf.card(name), place, licence), draw_png(recipe, shelf.sampler), private)
    print(address)
    if not is_new:
        typer.echo(
            f"resgen: {place} has a {hub.CARD}, which stays as it is; where it is to be written anew, delete it there and push again.", err=True
        )


def model_card(card: "Card", place: str, licence: str = "") -> str:
    """A checkpoint's card as the page of a repository on the Hub. What it tells may come from a stranger, and stays text.

    It names the ``licence`` that whoever puts it there gives it: that of the data, which the card tells, need not be the weights' own.
    """
    from huggingface_hub import ModelCardData

    from resgen.card import plain
    from resgen.hub import name_there

    called = name_there(card.name)
    tags = ["image-generation", "resnet"]
    head = ModelCardData(license=licence or None, library_name="resgen", pipeline_tag="unconditional-image-generation", tags=tags)
    facts = "".join(f"| {plain(what)} | {plain(words)} |\n" for what, words in describe(card))
    figures = "".join(f"| {plain(name)} | {value:g} |\n" for name, value in card.metrics.items())
    measured = f"\n## Measured\n\n| figure | value |\n| --- | --- |\n{figures}" if figures else ""
    trained = "".join(f"\n{plain(moment)}:\n\n    {command.replace(chr(10), ' ')}\n" for moment, command in commands(card))
    use = f'import resgen\n\nimages = resgen.load("{place}:{called}").render(resgen.Recipe(seeds=(0, 1, 2)))  # uint8 [3, R, R, 3]'
    return (
        f"---\n{head.to_yaml()}\n---\n\n# {plain(card.name)}\n\n![{SAMPLE_SEEDS} images]({called}.png)\n\n"
        f"| | |\n| --- | --- |\n{facts}\n{INSTALLING}\n\n```python\n{use}\n```\n{measured}{trained}"
    )


def deploy(
    place: Place,
    chosen: Annotated[
        list[str] | None, typer.Option("--checkpoint", help="The name of a checkpoint in --checkpoints, again for more; default: all.")
    ] = None,
    hardware: Annotated[
        str, typer.Option(help="What a new Space runs on, by the Hub's name for it, such as zero-a10g; default: the Hub's own, cpu-basic.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go up, and stop.")] = False,
    private: Private = False,
    checkpoints: Folder = None,
) -> None:
    """Put the studio on the Hugging Face Hub as a Space."""
    from resgen import hub

    shelf = library(checkpoints)
    try:
        names = [shelf.card(name).name for name in chosen] if chosen else [card.name for card in shelf.cards()]
    except CheckpointError as error:
        raise CheckpointError(f"{error} Where it is elsewhere, name its folder with --checkpoints.") from error
    files = hub.space_files(Path.cwd(), shelf.folder, names)
    sizes = {name: len(content) if isinstance(content, bytes) else content.stat().st_size for name, content in files.items()}
    table = Table("file", "size", show_edge=False)
    for name, size in sizes.items():
        table.add_row(escape(name), decimal(size))
    Console().print(table)
    print(f"{len(files)} files, {decimal(sum(sizes.values()))}")
    if not dry_run:
        print(hub.deploy(place, files, hardware, private))
