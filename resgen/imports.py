"""A file of another program -> a checkpoint of ours."""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from resgen.architecture import Architecture, Generator, class_weights
from resgen.budget import MAX_HEADER
from resgen.card import HEADER, LABEL, NAME, Card, has_card, parse_card
from resgen.checkpoint import Checkpoint, file_hash
from resgen.errors import CheckpointError, why
from resgen.fields import is_list, is_table
from resgen.interop.graph import GraphConfig
from resgen.interop.graph_ops import GraphError
from resgen.interop.readers import read_file
from resgen.interop.reading import ImportOptions
from resgen.statistics import latent_statistics, latents_drawn

MAX_SETTINGS = 1 << 20  # bytes of a configuration file
FAR = 8  # |value| beyond which numbers are no image's (-1..1 or 0..1); a network's last layer may pass these a little


def import_file(
    path: Path,
    name: str,
    asked: ImportOptions,
    kind: str = "",
    device: str = "cpu",
    tell: Callable[[str], object] = lambda sentence: None,
    seconds: float = math.inf,
) -> Checkpoint:
    """The generator in a file, with its mean w and directions, measured within ``seconds``; ``kind`` names the reader where it must not be guessed.

    ``tell`` is given sentences on what was taken for granted. Raises CheckpointError for what cannot be read, with what to do.
    """
    check_name(name)
    if has_card(path):
        raise CheckpointError(
            f"{path.name} is a checkpoint of ResGen already: put it into the folder of checkpoints, or give its path wherever a name is asked."
        )
    kind, reading = read_file(path, asked, kind)
    arch = reading.config
    source = {"file": path.name, "kind": kind, "sha256": file_hash(path)}
    card = Card(name, arch, _classes(reading.classes, arch.num_classes, asked.settings), source=source)
    empty = torch.zeros(max(1, arch.num_classes), arch.w_dim)
    checkpoint = Checkpoint(card, reading.weights, empty, empty[:0])
    generator = checkpoint.build().to(device)
    with _Watch(path, seconds) as watch:
        images, (mean_w, names, directions) = _tried(generator, path, torch.device(device), watch)
    for remark in (*reading.remarks, *_doubts(images, arch, asked, path)):
        tell(remark)
    mean_w = mean_w.cpu() if reading.mean_w is None else reading.mean_w
    made = Checkpoint(replace(card, direction_names=names), reading.weights, mean_w, directions.cpu())
    _check_readable(made, path)
    return made


def own_name(name: str) -> str:
    """A file's or repository's own name as far as a checkpoint may have it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip("_.-")[:56] or "imported"


def check_name(name: str) -> str:
    """The name. Raises CheckpointError where no checkpoint can have it."""
    if not NAME.fullmatch(name):
        raise CheckpointError(f"{name[:40]!r} cannot be a checkpoint's name: use letters, digits, dots, dashes and underscores; say one with --as.")
    return name


def _check_readable(made: Checkpoint, path: Path) -> None:
    """Raise CheckpointError where what would be written could not be read again."""
    header = json.dumps(made.card.header())
    try:
        if len(header) > MAX_HEADER // 2:  # beside it there are names and sizes of tensors
            raise CheckpointError("its description is too long")
        parse_card({HEADER: header}, path)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name} has more parts than a checkpoint can tell of: export a simpler network.") from error


def read_settings(path: Path) -> dict[str, Any]:
    """A configuration file in YAML or JSON. Raises CheckpointError."""
    import yaml

    try:
        if path.stat().st_size > MAX_SETTINGS:
            raise CheckpointError(f"{path.name} is larger than any configuration.")
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError for a date that is none
        raise CheckpointError(f"{path.name} is not a configuration in YAML or JSON.") from error
    if not is_table(settings):
        raise CheckpointError(f"{path.name} is not a table of settings.")
    return settings


def _classes(told: Sequence[str], count: int, settings: dict[str, Any]) -> tuple[str, ...]:
    """The names of classes: those a configuration gives, or the file, else numbers. Raises CheckpointError."""
    given = settings.get("classes")
    if not is_list(given):
        return tuple(told) or tuple(f"class {index}" for index in range(count))
    names = [str(name) for name in given]
    if len(names) != count or len(set(names)) != count or not all(map(LABEL.fullmatch, names)):
        raise CheckpointError(
            f"The configuration names {len(names)} classes; this generator needs {count} different names without signs like , = < >."
        )
    return tuple(names)


def _doubts(images: Tensor, arch: Architecture, asked: ImportOptions, path: Path) -> tuple[str, ...]:
    """What the numbers of images say against what was said of a graph's. Raises CheckpointError where no image has them."""
    if not isinstance(arch, GraphConfig):
        return ()
    if images.abs().max() > FAR:
        raise CheckpointError(f"{path.name} draws numbers far beyond -1..1 and 0..1: export its network so that its images are in one of these.")
    pale = asked.output == "tanh" and images.min() >= 0
    return ("Nothing that it draws is below 0: its images may be in 0..1 (sigmoid), not in -1..1 (tanh).",) if pale else ()


class _Watch(TorchDispatchMode):
    """Ends what is drawn between two operations of torch's once ``seconds`` are over: in a small file one image may be days of work."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.path, self.seconds, self.begun = path, seconds, time.monotonic()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        self.check(0)
        return func(*args, **(kwargs or {}))

    def check(self, more: float) -> None:
        """Raise CheckpointError where so many ``more`` seconds are too many."""
        if time.monotonic() - self.begun + more > self.seconds:
            raise CheckpointError(f"{self.path.name} takes more than the {self.seconds:,.0f} seconds of a request to be measured: use resgen import.")


def _seconds_left(generator: Generator, w: Tensor) -> float:
    """About how long `latent_statistics` will take, by what it makes of two latents."""
    times = [time.monotonic()]
    for draw in (generator.first_features, generator.synthesise):
        draw(w).sum().item()  # which waits for a GPU
        times.append(time.monotonic())
    features, images = latents_drawn(generator.config)
    return ((times[1] - times[0]) * features + (times[2] - times[1]) * images) / len(w)


@torch.no_grad()
def _tried(generator: Generator, path: Path, device: torch.device, watch: _Watch) -> tuple[Tensor, tuple[Tensor, tuple[str, ...], Tensor]]:
    """Two images of a generator, and its `latent_statistics`. Raises CheckpointError where they are none, or take too long."""
    arch = generator.config
    noise = torch.randn(2, arch.z_dim, generator=torch.Generator("cpu").manual_seed(0))
    weights = class_weights(torch.tensor([0, arch.num_classes - 1], device=device), arch.num_classes)
    try:
        images = generator(noise.to(device), weights)
        if tuple(images.shape) != (2, arch.image_channels, arch.resolution, arch.resolution) or not images.isfinite().all():
            raise CheckpointError(f"{path.name} could be read, but what its network draws is no image.")
        watch.check(_seconds_left(generator, generator.map(noise.to(device), weights)))
        return images, latent_statistics(generator, device)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, GraphError) as error:
        raise CheckpointError(f"{path.name} could be read, but its network cannot be run: {why(error)}.") from error
