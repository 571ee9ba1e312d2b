"""Commands that bring generators in and take them out: import, export."""

from pathlib import Path
from typing import Annotated

import typer

from resgen.cli.common import CheckpointArgument, Device, Folder, library


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command("import", epilog="Example: resgen import netG_epoch_24.pth --output tanh --as faces")(import_)
    app.command("export", epilog="Example: resgen export cifar10 --to onnx --out cifar10.onnx")(export)


def import_(
    file: Annotated[
        Path, typer.Argument(help="A state dict (.pth, .pt, .bin, .safetensors), a pickled StyleGAN (.pkl), or an .onnx, .pt2 or TorchScript file.")
    ],
    name: Annotated[str, typer.Option("--as", help="What it is called here; default: the file's name.")] = "",
    arch: Annotated[str, typer.Option(help="The kind of its network, where it must not be guessed.")] = "",
    config: Annotated[
        Path | None, typer.Option(help="What the file does not say, in YAML or JSON: StudioGAN's configuration, names of classes.")
    ] = None,
    output: Annotated[str, typer.Option(help="What the network ends with, where the file does not say it: tanh or sigmoid.")] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Run the file where it is a program: TorchScript or torch.export.")] = False,
    to: Annotated[Path | None, typer.Option(help="The folder of the checkpoint; default: that of the shipped ones.")] = None,
    device: Device = "cpu",
) -> None:
    """Make a checkpoint of another program's generator."""
    from resgen.checkpoint import save_checkpoint
    from resgen.imports import import_file, read_settings
    from resgen.interop.reading import Asked
    from resgen.sampler import pick_device

    if trust:
        typer.echo(f"resgen: {file.name} is run if it is a program; nothing of it is kept but its graph.", err=True)
    asked = Asked(output, trust, read_settings(config) if config else {})
    made = import_file(file, name or file.stem.replace(" ", "-"), asked, arch, pick_device(device))
    path = library(to).folder / f"{made.name}.safetensors"
    save_checkpoint(made, path, whole=True)
    side = made.card.arch.resolution
    print(f"{path}: {made.card.source['kind']}, {side} x {side} pixels, {made.card.blocks_in_words}, {len(made.classes) or 'no'} classes.")


def export(
    checkpoint: CheckpointArgument,
    out: Annotated[Path, typer.Option(help="The file; of python, its weights lie beside it as .pt.")],
    to: Annotated[str, typer.Option(help="onnx, torchscript, pt2 or python.")] = "onnx",
    half: Annotated[bool, typer.Option("--half", help="ONNX in half precision.")] = False,
    checkpoints: Folder = None,
) -> None:
    """Write a checkpoint as a file that draws without ResGen; what it draws is compared with the checkpoint."""
    from resgen.exports import export as write

    shelf = library(checkpoints)
    difference = write(shelf.sampler(shelf.add(checkpoint)), to, out, half)
    print(f"{out}: draws as {checkpoint} does, within {difference}/255.")
