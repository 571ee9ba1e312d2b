"""The card: what a checkpoint's file says of itself, read without its tensors, and safe to show whoever wrote it."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from resgen.architecture import Architecture
from resgen.errors import CheckpointError
from resgen.fields import is_list, is_table
from resgen.interop.families import read_architecture

FORMAT = 1
HEADER = "resgen"
NUMBERS = {"images", "images_seen", "hours", "from_image"}  # on a card; figures and history are numbers too, all else is words
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)  # of a checkpoint
LABEL = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff,=<>&\"]{1,64}")
_WORDS = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]*")  # no codes that a terminal obeys, nothing that cannot be written as UTF-8


@dataclass(frozen=True)
class Card:
    """A generator's shape, the names it knows, where it comes from and what was measured of it."""

    name: str
    arch: Architecture
    classes: tuple[str, ...] = ()
    direction_names: tuple[str, ...] = ()
    dataset: dict[str, Any] = field(default_factory=dict[str, Any])  # name, author, licence
    training: dict[str, Any] = field(default_factory=dict[str, Any])  # images seen, command, hardware
    metrics: dict[str, float] = field(default_factory=dict[str, float])  # measured by `resgen evaluate`
    source: dict[str, str] = field(default_factory=dict[str, str])  # of an imported one: the file it was, its kind and SHA-256
    earlier: tuple[str, ...] = ()  # SHA-256 of files with the same tensors and another card: early pictures noted it

    def header(self) -> dict[str, Any]:
        """What is written into the file."""
        return {
            "format": FORMAT,
            "arch": self.arch.to_dict(),
            "classes": self.classes,
            "dataset": self.dataset,
            "training": self.training,
            "metrics": self.metrics,
            "directions": self.direction_names,
            "earlier": self.earlier,
            **({"source": self.source} if self.source else {}),
        }

    def to_dict(self) -> dict[str, Any]:
        """All there is to know, ready for JSON."""
        more = {"name": self.name, "resolution": self.arch.resolution, "blocks": len(self.arch.block_resolutions), "residual": self.arch.residual}
        return more | self.header() | {"classes": list(self.classes), "directions": list(self.direction_names), "earlier": list(self.earlier)}

    @property
    def blocks_in_words(self) -> str:
        """How many blocks there are, and of which kind: '4 residual blocks'."""
        count = len(self.arch.block_resolutions)
        return f"{count} {'residual ' if self.arch.residual else ''}block{'s' * (count > 1)}"

    @property
    def block_names(self) -> tuple[str, ...]:
        """What each block is called, coarse to fine: 'block 1, 4 px'."""
        return tuple(f"block {i + 1}, {pixels} px" for i, pixels in enumerate(self.arch.block_resolutions))


def read_card(path: Path) -> Card:
    """The card of a checkpoint's file. Raises CheckpointError with what is wrong with the file."""
    try:
        metadata = read_metadata(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {path.name!r} in {path.parent}.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is damaged or not a checkpoint: it cannot be read as safetensors. Copy or download it again.") from error
    return parse_card(metadata, path)


def read_metadata(path: Path) -> dict[str, str]:
    """The words in a safetensors file's header. Raises what safetensors raises."""
    opened: Any = safe_open(path, "pt")  # safetensors has no types
    with opened as file:
        return file.metadata() or {}


def parse_card(metadata: dict[str, str], path: Path) -> Card:
    """The card in a file's metadata, which may come from a stranger. Raises CheckpointError."""
    if HEADER not in metadata:
        raise CheckpointError(f"{path.name} is a safetensors file, but not a ResGen checkpoint: its header has no card.")
    try:
        header = json.loads(metadata[HEADER])
        if not is_table(header):
            raise ValueError("the card is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a damaged card: {error}.") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path.name} has format {str(header.get('format'))[:20]}; this version reads format {FORMAT}. Update ResGen or the file."
        )
    arch = read_architecture(header.get("arch"))
    classes, names = (_read_labels(header.get(key, []), path) for key in ("classes", "directions"))
    if len(classes) != arch.num_classes:
        raise CheckpointError(f"{path.name} names {len(classes)} classes, but its generator has {arch.num_classes}.")
    earlier = tuple(value for value in raw if isinstance(value, str) and len(value) == 64) if is_list(raw := header.get("earlier")) else ()
    return Card(name_of(path), arch, classes, names, earlier=earlier, **_read_tables(header))


def name_of(path: Path) -> str:
    """A file's checkpoint: its stem, or 'cifar10@4000' for snapshots/cifar10/4000.safetensors."""
    is_snapshot = path.parent.parent.name == "snapshots" and path.stem.isdigit()  # the Hub's client keeps its files in folders called so too
    return f"{path.parent.name}@{path.stem}" if is_snapshot else path.stem


def _read_labels(raw: Any, path: Path) -> tuple[str, ...]:
    if not is_list(raw) or not all(isinstance(label, str) and LABEL.fullmatch(label) for label in raw) or len(set(raw)) != len(raw):
        raise CheckpointError(f"{path.name} has class or direction names that cannot be used.")
    return tuple(raw)


def _read_tables(header: dict[str, Any]) -> dict[str, Any]:
    """What a card tells of data set, training and figures. It may come from a stranger: what is not of the kind expected is left out."""
    tables = (value if is_table(value := header.get(key)) else {} for key in ("dataset", "training", "metrics", "source"))
    dataset, training, metrics, source = tables
    stages, history = (_rows(training.get(key)) for key in ("stages", "history"))
    return {
        "dataset": {key: value for key, value in dataset.items() if _fits(key, value)},
        "training": {
            **{key: value for key, value in training.items() if _fits(key, value)},
            "stages": [row for row in stages if _is_number(row.get("from_image")) and _is_words(row.get("command"))],
            "history": [row for row in history if all(map(_is_number, row.values()))],
        },
        "source": {key: value for key, value in source.items() if _is_words(value)},
        "metrics": {key: value for key, value in metrics.items() if _is_number(value)},
    }


def _rows(raw: Any) -> list[dict[str, Any]]:
    return [row for row in raw if is_table(row)] if is_list(raw) else []


def _fits(key: str, value: object) -> bool:
    return _is_number(value) if key in NUMBERS else _is_words(value)


def _is_words(value: object) -> bool:
    return isinstance(value, str) and bool(_WORDS.fullmatch(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15
