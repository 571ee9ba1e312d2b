"""Generators that a visitor brings, where the host lets them: a file of another program, or of ours -> a checkpoint in the library's folder."""

import shutil
from pathlib import Path
from threading import Lock

from resgen.card import NAME, has_card
from resgen.checkpoint import Checkpoint, file_hash, load_checkpoint, save_checkpoint
from resgen.errors import CheckpointError
from resgen.files import whole_file
from resgen.imports import import_file, own_name
from resgen.interop.programs import is_program
from resgen.interop.reading import ImportOptions, OutputUnsaidError, UnsaidError
from resgen.library import Library

ASSUMED = "tanh"  # what most generators end with
LOOK_WRONG = "Where its images look wrong, say what you know to resgen import."
_placing = Lock()  # whoever has it knows which names are free, and what was brought


def keep_upload(path: Path, library: Library, seconds: float) -> tuple[str, str]:
    """Keep the generator of a file that came from a browser: its name in the library, and a sentence on what became of it.

    Nothing of the file is run: programs are refused, and so is what takes more than ``seconds`` to be measured. A file that was brought before is found
    again. Raises CheckpointError or FileError.
    """
    if is_program(path):
        raise CheckpointError(f"{path.name} is a program, which a page does not run; if you trust who made it: resgen import {path.name} --trust")
    digest = file_hash(path)
    if known := _brought_before(path, digest, library):
        return known, _here_already(path, known)
    made, told = None, ""
    if has_card(path):
        load_checkpoint(path)  # which checks all of it
    else:
        made, told = _converted(path, library.device, seconds)
    with _placing:  # others may have brought something meanwhile, under the same name or the same thing
        if known := _brought_before(path, digest, library):
            return known, _here_already(path, known)
        name = _free_name(path, library)
        _keep(path, made, library.folder / f"{name}.safetensors")
    card = library.card(name)
    side = card.arch.resolution
    return name, f"{name} is kept: {card.source.get('kind', 'ResGen')}, {side} x {side} pixels, {card.blocks_in_words}.{told}"


def _here_already(path: Path, known: str) -> str:
    return f"{path.name} is here already, as {known}."


def _keep(path: Path, made: Checkpoint | None, target: Path) -> None:
    """Write the checkpoint ``made`` of a file to its place, or the file itself."""
    if made is not None:
        save_checkpoint(made, target, whole=True)
    else:
        with whole_file(target) as partial:
            shutil.copyfile(path, partial)


def _converted(path: Path, device: str, seconds: float) -> tuple[Checkpoint, str]:
    """The checkpoint made of a file, and what was assumed of it."""
    name, told = own_name(path.stem), list[str]()
    try:
        made = import_file(path, name, ImportOptions(), device=device, tell=told.append, seconds=seconds)
    except OutputUnsaidError:
        told = [f"Its file does not say what it ends with: {ASSUMED} is assumed."]
        made = import_file(path, name, ImportOptions(output=ASSUMED), device=device, tell=told.append, seconds=seconds)
    except UnsaidError as error:
        raise CheckpointError(f"{error} A page cannot be told that; resgen import can, where you have ResGen yourself.") from error
    return made, "".join(f" {sentence}" for sentence in [*told, LOOK_WRONG] if told)


def _brought_before(path: Path, digest: str, library: Library) -> str | None:
    size = path.stat().st_size
    for card in library.cards():
        kept = library.path(card.name)
        if card.source.get("sha256") == digest or (kept.stat().st_size == size and file_hash(kept) == digest):
            return card.name
    return None


def _free_name(path: Path, library: Library) -> str:
    """The file's own name, and a number where another has it."""
    words = own_name(path.stem)
    names = (words if turn == 1 else f"{words}-{turn}" for turn in range(1, 10_000))
    taken = {name.lower() for name in library.names()}
    return next(name for name in names if NAME.fullmatch(name) and name.lower() not in taken)
