"""One .safetensors file = card + weights. Nothing in it is ever unpickled or run."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgen.architecture import Generator
from resgen.card import HEADER, Card, parse_card, read_card
from resgen.errors import CheckpointError
from resgen.tensors import Layout, are_finite, half, layout_of, open_tensors, save_tensors, to_float32, weightless


@dataclass(frozen=True)
class Checkpoint:
    """A generator: its card and its tensors (float32 on the CPU)."""

    card: Card
    weights: dict[str, Tensor] = field(repr=False)
    mean_w: Tensor = field(repr=False)  # [max(1, classes), w_dim]
    directions: Tensor = field(repr=False)  # [names, w_dim]: one standard deviation each
    sha256: str = ""  # of what a picture depends on: architecture and tensors as the file holds them

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    def build(self) -> Generator:
        """The generator with these weights, in evaluation mode; it shares them."""
        with weightless():
            generator = self.card.arch.build()
        generator.load_state_dict(self.weights, assign=True)
        return generator.eval().requires_grad_(False)


def save_checkpoint(checkpoint: Checkpoint, path: Path, whole: bool = False) -> None:
    """Write the file atomically, matrices in half precision unless ``whole``; vectors are small, and variances may pass its range. Raises FileError."""
    tensors = {f"generator.{name}": value for name, value in checkpoint.weights.items()}
    tensors |= {"mean_w": checkpoint.mean_w, "directions": checkpoint.directions}
    tensors = {name: value.detach().cpu().contiguous() if whole else half(value) for name, value in tensors.items()}
    save_tensors(tensors, {HEADER: json.dumps(checkpoint.card.header())}, path)


def save_card(card: Card, path: Path) -> None:
    """Give the checkpoint in ``path`` another card, its tensors as they are. Raises CheckpointError or FileError."""
    card = replace(card, earlier=(*read_card(path).earlier, file_hash(path)))
    with open_tensors(path) as file:
        tensors = file.read()
    save_tensors(tensors, {HEADER: json.dumps(card.header())}, path)


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """The whole checkpoint; raises CheckpointError where a tensor is missing, misshapen or not finite."""
    try:
        with open_tensors(path) as file:
            card = parse_card(file.metadata, path)
            expected = _expected(card)
            found = file.layout
            if found != expected:
                wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
                raise CheckpointError(f"{path.name} does not hold the generator its card describes: see {', '.join(wrong[:3])}.")
            stored = file.read()
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {path.name!r} in {path.parent}.") from error
    tensors = to_float32(stored)
    if not are_finite(tensors):
        raise CheckpointError(f"{path.name} holds numbers that are not finite: its training diverged or the file is damaged.")
    weights = {name.removeprefix("generator."): value for name, value in tensors.items() if name.startswith("generator.")}
    return Checkpoint(card, weights, tensors["mean_w"], tensors["directions"], identity(card.arch.to_dict(), stored))


def _expected(card: Card) -> Layout:
    """What a file with this card must hold."""
    with weightless():
        tensors = {f"generator.{name}": value for name, value in card.arch.build().state_dict().items()}
        tensors["mean_w"] = torch.empty(max(1, card.arch.num_classes), card.arch.w_dim)
        tensors["directions"] = torch.empty(len(card.direction_names), card.arch.w_dim)
    return layout_of(tensors)


def identity(arch: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of an architecture and its tensors: two files with the same draw the same, whatever their cards say."""
    digest = hashlib.sha256(json.dumps(arch, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
