"""The card: what a checkpoint's file says of itself, read without its tensors, and safe to show whoever wrote it."""

import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resgen.architecture import Architecture
from resgen.budget import MAX_CURVES, MAX_EARLIER, MAX_FACTS, MAX_ROWS, MAX_STAGES
from resgen.errors import UNSHOWN, CheckpointError
from resgen.fields import is_list, is_table
from resgen.interop.families import read_architecture
from resgen.tensors import open_tensors

FORMAT = 1
HEADER = "resgen"
NUMBERS = {"images", "skipped", "images_seen", "hours", "from_image"}  # on a card; figures and history are numbers too, all else is words
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)  # of a checkpoint
LABEL = re.compile(rf"[^{UNSHOWN},=<>&\"]{{1,64}}")
_WORDS = re.compile(rf"(?:[^{UNSHOWN}]|\n){{0,10000}}")
_KEY = re.compile(rf"[^{UNSHOWN}]{{1,100}}")  # of an entry of a table
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    def origin(self) -> str:
        """On what it was trained, in a sentence, as its maker says; "" where the card does not."""
        name, author, licence = (self.dataset.get(key, "not stated") for key in ("name", "author", "licence"))
        return f"Trained on {name} (author: {author}; licence: {licence})." if self.dataset.get("name") else ""

    @property
    def likeness(self) -> float:
        """How like the data its pictures are: the lesser of precision and recall, as shares of a held-out set's own; 0 where they were not measured."""
        measures = ("lite2_precision", "lite2_recall")
        return min(self.metrics.get(measure, 0) / (self.metrics.get(f"real_test_{measure}") or 1) for measure in measures)

    @property
    def accuracy_in_words(self) -> str:
        """How often its images are named as they were meant, by the judge that no training has seen, else by its own; "" where nobody has measured it."""
        for measure, words in (("lite2_accuracy", "named as meant"), ("accuracy", "named as meant by its own judge")):
            if measure in self.metrics:
                return f"{self.metrics[measure]:.1%} {words}"
        return ""

    @property
    def block_names(self) -> tuple[str, ...]:
        """What each block is called, coarse to fine: 'block 1, 4 px'."""
        return tuple(f"block {i + 1}, {pixels} px" for i, pixels in enumerate(self.arch.block_resolutions))


def read_card(path: Path) -> Card:
    """The card of a checkpoint's file. Raises CheckpointError with what is wrong with the file."""
    try:
        with open_tensors(path) as file:
            return parse_card(file.metadata, path)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {path.name!r} in {path.parent}.") from error


def has_card(path: Path) -> bool:
    """True for a file that says it is a checkpoint of ResGen, whether or not it can be read."""
    try:
        with open_tensors(path) as file:
            return HEADER in file.metadata
    except (CheckpointError, OSError):
        return False


def parse_card(metadata: dict[str, str], path: Path) -> Card:
    """The card in a file's metadata, which may come from a stranger. Raises CheckpointError."""
    if HEADER not in metadata:
        raise CheckpointError(
            f"{path.name} is a safetensors file, but not a ResGen checkpoint: its header has no card. Of another program, import it: resgen import {path.name}"
        )
    try:
        header = json.loads(metadata[HEADER])
        if not is_table(header):
            raise ValueError("the card is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a damaged card: {str(error)[:120]}.") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path.name} has format {str(header.get('format'))[:20]}; this version reads format {FORMAT}. Update ResGen or the file."
        )
    arch = read_architecture(header.get("arch"))
    classes, names = (_read_labels(header.get(key, []), path) for key in ("classes", "directions"))
    if len(classes) != arch.num_classes:
        raise CheckpointError(f"{path.name} names {len(classes)} classes, but its generator has {arch.num_classes}.")
    return Card(name_of(path), arch, classes, names, earlier=_read_earlier(header.get("earlier")), **_read_tables(header))


def name_of(path: Path) -> str:
    """A file's checkpoint: its stem, or 'cifar10@4000' for snapshots/cifar10/4000.safetensors."""
    is_snapshot = path.parent.parent.name == "snapshots" and path.stem.isdigit()  # the Hub's client keeps its files in folders called so too
    return f"{path.parent.name}@{path.stem}" if is_snapshot else path.stem


def plain(words: str) -> str:
    """A card's words as Markdown that shows them as they are, in a line: no markup, no links."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~:/.@-])", r"\\\1", html.escape(words.replace("\n", " "), quote=False))


def _read_labels(raw: Any, path: Path) -> tuple[str, ...]:
    if not is_list(raw) or not all(isinstance(label, str) and LABEL.fullmatch(label) for label in raw) or len(set(raw)) != len(raw):
        raise CheckpointError(f"{path.name} has class or direction names that cannot be used.")
    return tuple(raw)


def _read_earlier(raw: Any) -> tuple[str, ...]:
    return tuple(value for value in raw[-MAX_EARLIER:] if isinstance(value, str) and _SHA256.fullmatch(value)) if is_list(raw) else ()


def _read_tables(header: dict[str, Any]) -> dict[str, Any]:
    """What a card tells of data set, training and figures. It may come from a stranger: what is not of the kind expected is left out."""
    dataset, training, metrics, source = (_facts(header.get(key)) for key in ("dataset", "training", "metrics", "source"))
    return {
        "dataset": {key: value for key, value in dataset.items() if _fits(key, value)},
        "training": {
            **{key: value for key, value in training.items() if _fits(key, value)},
            "stages": _read_stages(training.get("stages")),
            "history": _read_history(training.get("history")),
        },
        "source": {key: value for key, value in source.items() if _is_words(value)},
        "metrics": {key: value for key, value in metrics.items() if _is_number(value)},
    }


def _read_stages(raw: Any) -> list[dict[str, Any]]:
    rows = [{key: row.get(key) for key in ("from_image", "command")} for row in _rows(raw)[:MAX_STAGES]]
    return [row for row in rows if all(_fits(key, value) for key, value in row.items())]


def _read_history(raw: Any) -> list[dict[str, Any]]:
    """Rows of figures; none where there are more figures than anybody plots, which as a table would be large and empty."""
    rows = [row for row in _rows(raw)[:MAX_ROWS] if all(map(_is_number, row.values())) and all(map(_KEY.fullmatch, row))]
    return rows if len({name for row in rows for name in row}) <= MAX_CURVES else []


def _facts(raw: Any) -> dict[str, Any]:
    """The entries of a table, if it is one, that are called by something that can be shown."""
    return {key: value for key, value in list(raw.items())[:MAX_FACTS] if _KEY.fullmatch(key)} if is_table(raw) else {}


def _rows(raw: Any) -> list[dict[str, Any]]:
    return [row for row in raw if is_table(row)] if is_list(raw) else []


def _fits(key: str, value: object) -> bool:
    return _is_number(value) if key in NUMBERS else _is_words(value)


def _is_words(value: object) -> bool:
    return isinstance(value, str) and bool(_WORDS.fullmatch(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15
