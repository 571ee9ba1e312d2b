"""Checkpoints -> a folder for any host of static files: a page that draws them in the visitor's own browser."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch

from resgen.checkpoint import Checkpoint
from resgen.errors import CheckpointError, FileError
from resgen.exports import refuse_graph
from resgen.files import whole_files, write_atomically
from resgen.sampler import Sampler
from resgen.site.graphs import MAPPING, SYNTHESIS, write_graphs
from resgen.site.runtime import place_runtime
from resgen.work import Work

STATIC = Path(__file__).with_name("static")
PAGE, INDEX, LIST, LATENTS = "site.html", "index.html", "site.json", "latents.bin"


def export_site(samplers: Sequence[Sampler], folder: Path, runtime: str) -> Work[dict[str, int]]:
    """Write the page, a step for each checkpoint, and return by how much what it draws differs from each, in 255ths.

    ``runtime`` is one of `runtime.RUNTIMES`. Raises CheckpointError for a checkpoint that no page can draw, FileError where the folder holds
    something else or cannot be written, SiteError where onnxruntime-web cannot be had.
    """
    _refuse(samplers, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sources = place_runtime(folder, runtime)
        differences = dict[str, int]()
        for sampler in samplers:
            yield len(differences), len(samplers)
            differences[sampler.card.name] = _write_checkpoint(sampler, folder)
    except OSError as error:
        raise FileError(f"{folder} could not be written: {error.strerror or error}.") from error
    for path in STATIC.iterdir():
        write_atomically(folder / (INDEX if path.name == PAGE else path.name), path.read_bytes())
    listed = {"runtime": sources, "checkpoints": [_entry(sampler.checkpoint, folder) for sampler in samplers]}
    write_atomically(folder / LIST, json.dumps(listed, indent=1).encode())  # last: a folder with a list is whole
    return differences


def _refuse(samplers: Sequence[Sampler], folder: Path) -> None:
    """Raise what can be said before anything is written."""
    names = [sampler.card.name for sampler in samplers]
    if twice := {name for name in names if names.count(name) > 1}:
        raise CheckpointError(f"The page tells checkpoints by their names: give {', '.join(sorted(twice))} once.")
    for sampler in samplers:
        refuse_graph(sampler.card)
    if (folder / INDEX).exists() and not (folder / LIST).exists():
        raise FileError(f"{folder} holds another page: name a new folder.")


def _write_checkpoint(sampler: Sampler, folder: Path) -> int:
    """Its graphs and latents, in a folder of their own."""
    place = folder / "checkpoints" / sampler.card.name
    place.mkdir(parents=True, exist_ok=True)
    with whole_files(place / LATENTS) as aside:
        aside.write_bytes(_latents(sampler.checkpoint))
        return write_graphs(sampler, aside.parent)


def _latents(checkpoint: Checkpoint) -> bytes:
    """The mean w of each class, then the directions: float32, little-endian, row by row."""
    return torch.cat([checkpoint.mean_w, checkpoint.directions]).numpy().astype("<f4").tobytes()


def _entry(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    """What the page needs to know of a checkpoint, and where its files lie."""
    card, arch = checkpoint.card, checkpoint.card.arch
    files = {"mapping": MAPPING, "synthesis": SYNTHESIS, "latents": LATENTS}
    return {
        "name": card.name,
        "sha256": checkpoint.sha256,
        "origin": card.origin,
        "classes": card.classes,
        "directions": card.direction_names,
        "blocks": card.block_names,
        "residual": arch.residual,
        "dials": arch.dials,
        "mapped": arch.mapped,
        "resolution": arch.resolution,
        "channels": arch.image_channels,
        "zDim": arch.z_dim,
        "wDim": arch.w_dim,
        "graphs": {key: _source(folder, f"checkpoints/{card.name}/{name}") for key, name in files.items()},
    }


def _source(folder: Path, place: str) -> dict[str, Any]:
    """Where the page fetches a file: by a name that changes with what is in it, so that a browser keeps it until then, and no longer."""
    data = (folder / place).read_bytes()
    return {"url": f"{quote(place)}?{hashlib.sha256(data).hexdigest()[:16]}", "bytes": len(data)}
