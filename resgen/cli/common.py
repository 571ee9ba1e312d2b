"""What commands share: options made of declared fields, the library, a progress bar."""

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from resgen.errors import CheckpointError, FileError
from resgen.fields import Declared, write_field
from resgen.processes import leads
from resgen.recipe import CALLED

if TYPE_CHECKING:
    from resgen.library import Library


def checked_place(path: Path | None) -> Path | None:
    """The same, where a file could be written to it: before the work, not after it. Raises FileError."""
    from resgen.files import check_place

    if path is not None:
        check_place(path)
    return path


def checked_png(path: Path | None) -> Path | None:
    """As `checked_place`, of a picture. Raises FileError."""
    if path is not None and path.suffix.lower() != ".png" and not path.is_dir():
        raise FileError(f"{path.name or 'The name'} must end with .png: pictures are written as PNG, which keeps their recipe.")
    return checked_place(path)


def checked_folder(path: Path | None) -> Path | None:
    """As `checked_place`, of a folder in which files are written, which is made. Raises FileError."""
    if path is not None:
        if os.path.isfile(path):  # which is told of names that cannot be, too
            raise FileError(f"{path} is a file: name a folder.")
        checked_place(path / "image.png")
    return path


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Folder = Annotated[Path | None, typer.Option("--checkpoints", help="Folder with checkpoints; default: the shipped ones.")]
CheckpointArgument = Annotated[str, typer.Argument(help="A name, a .safetensors file or a Hub repository.")]
OutPng = Annotated[Path, typer.Option(help="The picture, as PNG with its recipe inside.", callback=checked_png)]
Points = Annotated[str, typer.Option(help="Seeds, seed@class, or PNG files of single images: 3,7@cat,found.png.")]

# What a field's text may be on the command line, or mean where it is missing.
MORE = {"classes": "all: every class of the checkpoint.", "scale": "Without it as suits their size."}


def options_of(of: type[Declared], *names: str, **defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these fields, called, described and defaulting as declared, or as ``defaults`` say.

    The command takes them as one dictionary, ``fields``: those that were given, or have a default, as text for the declaration to read.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(**values: Any) -> None:
            given = {name: value for name in names if (value := values.pop(name)) is not None}
            others = values.pop("fields", {})  # of an `options_of` around this one
            command(**values, fields=given | others)

        own = [parameter for parameter in inspect.signature(command).parameters.values() if parameter.name != "fields"]
        made = [_option(of, name, defaults) for name in names]
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *made)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _option(of: type[Declared], name: str, defaults: dict[str, Any]) -> inspect.Parameter:
    field, flag = of.model_fields[name], f"--{CALLED.get(name, name).replace('_', '-')}"
    told = " ".join(filter(None, (field.description, MORE.get(name))))
    default = defaults.get(name, field.default)
    if field.annotation is bool:
        annotation: Any = Annotated[bool, typer.Option(f"{flag}/--no-{flag[2:]}", help=told)]
    else:
        annotation = Annotated[str | None, typer.Option(flag, help=told, metavar=name.upper())]
        default = None if default is None else default if isinstance(default, str) else write_field(of, name, default)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def check_folder(checkpoints: Path | None) -> None:
    """Raise CheckpointError where a folder of checkpoints that was named is not there."""
    if checkpoints is not None and not checkpoints.is_dir():
        raise CheckpointError(f"There is no folder {checkpoints} to look for checkpoints in.")


def library(folder: Path | None, device: str = "cpu") -> "Library":
    """The library of a folder, or the shipped one. Raises ResGenError."""
    from resgen.library import SHIPPED, Library

    check_folder(folder)
    return Library(folder or SHIPPED, device)


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Says on a terminal's stderr what is being done, as long as it is; nothing elsewhere."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(f"{words} ..."):
            yield
    else:
        yield


@contextmanager
def progress(label: str) -> Iterator[Callable[..., None]]:
    """A bar on a terminal's stderr that is told (done, all); nothing elsewhere."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (console.is_terminal and leads())) as bar:
        task = bar.add_task(label, note="")

        def tell(done: int, total: int, note: str = "") -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield tell
