"""One .safetensors file = weights + config + card. Nothing in it is ever unpickled or run."""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.features import half
from resgen.generator import GeneratorConfig, ResNetGenerator

FORMAT = 1
HEADER = "resgen"
SHIPPED = Path(__file__).resolve().parent.parent / "checkpoints"
NUMBERS = {"images", "images_seen", "hours", "from_image"}  # on a card; figures and history are numbers too, all else is words
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LABEL = re.compile(r"[^\x00-\x1f,=<>&\"]{1,64}")


@dataclass(frozen=True)
class Checkpoint:
    """A generator's shape, its card and, once loaded, its tensors (float32 on the CPU)."""

    name: str
    arch: GeneratorConfig
    classes: tuple[str, ...] = ()
    dataset: dict[str, Any] = field(default_factory=dict)  # name, licence
    training: dict[str, Any] = field(default_factory=dict)  # images seen, command, hardware
    metrics: dict[str, Any] = field(default_factory=dict)  # measured by `resgen evaluate`
    direction_names: tuple[str, ...] = ()
    sha256: str = ""
    weights: dict[str, Tensor] = field(default_factory=dict, repr=False)
    mean_w: Tensor = field(default_factory=lambda: torch.zeros(0), repr=False)  # [max(1, classes), w_dim]
    directions: Tensor = field(default_factory=lambda: torch.zeros(0), repr=False)  # [names, w_dim]: one standard deviation each

    def build(self) -> ResNetGenerator:
        """The generator with these weights, in evaluation mode."""
        generator = ResNetGenerator(self.arch)
        generator.load_state_dict(self.weights)
        return generator.eval().requires_grad_(False)

    def card(self) -> dict[str, Any]:
        """What there is to know about the file, ready for JSON."""
        return {
            "name": self.name,
            "format": FORMAT,
            "resolution": self.arch.resolution,
            "classes": list(self.classes),
            "dataset": self.dataset,
            "training": self.training,
            "metrics": self.metrics,
            "directions": list(self.direction_names),
            "blocks": len(self.arch.widths),
            "arch": self.arch.to_dict(),
            "sha256": self.sha256,
        }


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write the file atomically, matrices in half precision; vectors are small, and variances may pass its range."""
    header = {
        "format": FORMAT,
        "arch": checkpoint.arch.to_dict(),
        "classes": checkpoint.classes,
        "dataset": checkpoint.dataset,
        "training": checkpoint.training,
        "metrics": checkpoint.metrics,
        "directions": checkpoint.direction_names,
    }
    tensors = {f"generator.{name}": half(value) for name, value in checkpoint.weights.items()}
    tensors |= {"mean_w": half(checkpoint.mean_w), "directions": half(checkpoint.directions)}
    partial = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, partial, metadata={HEADER: json.dumps(header)})
    os.replace(partial, path)


def read_card(path: Path) -> Checkpoint:
    """The checkpoint without its tensors; raises CheckpointError with what is wrong with the file."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no checkpoint {path.name!r} in {path.parent}.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is damaged or not a checkpoint: it cannot be read as safetensors. Copy or download it again.") from error
    if HEADER not in metadata:
        raise CheckpointError(f"{path.name} is a safetensors file, but not a ResGen checkpoint: its header has no card.")
    try:
        header = json.loads(metadata[HEADER])
        if not isinstance(header, dict):
            raise ValueError("the card is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a damaged card: {error}.") from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path.name} has format {str(header.get('format'))[:20]}; this version reads format {FORMAT}. Update ResGen or the file."
        )
    arch = GeneratorConfig.from_dict(header.get("arch"))
    classes, names = (_read_labels(header.get(key, []), path) for key in ("classes", "directions"))
    if len(classes) != arch.num_classes:
        raise CheckpointError(f"{path.name} names {len(classes)} classes, but its generator has {arch.num_classes}.")
    tables = _read_tables(header)
    return Checkpoint(_name_of(path), arch, classes, direction_names=names, sha256=_sha256(path, path.stat().st_mtime_ns), **tables)


def _name_of(path: Path) -> str:
    """A file's checkpoint: its stem, or 'cifar10@4000' for snapshots/cifar10/4000.safetensors."""
    return f"{path.parent.name}@{path.stem}" if path.parent.parent.name == "snapshots" else path.stem


def _read_labels(raw: object, path: Path) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(label, str) and _LABEL.fullmatch(label) for label in raw) or len(set(raw)) != len(raw):
        raise CheckpointError(f"{path.name} has class or direction names that cannot be used.")
    return tuple(raw)


def _read_tables(header: dict[str, Any]) -> dict[str, Any]:
    """What a card tells of data set, training and figures. It may come from a stranger: what is not of the kind expected is left out."""
    dataset, training, metrics = (value if isinstance(value := header.get(key), dict) else {} for key in ("dataset", "training", "metrics"))
    stages, history = (rows if isinstance(rows := training.get(key), list) else [] for key in ("stages", "history"))
    return {
        "dataset": {key: value for key, value in dataset.items() if _fits(key, value)},
        "training": {
            **{key: value for key, value in training.items() if _fits(key, value)},
            "stages": [row for row in stages if isinstance(row, dict) and _is_number(row.get("from_image")) and isinstance(row.get("command"), str)],
            "history": [row for row in history if isinstance(row, dict) and all(map(_is_number, row.values()))],
        },
        "metrics": {key: value for key, value in metrics.items() if _is_number(value)},
    }


def _fits(key: str, value: object) -> bool:
    return _is_number(value) if key in NUMBERS else isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e15


@lru_cache(maxsize=256)
def _sha256(path: Path, modified_ns: int) -> str:
    """The file's hash; ``modified_ns`` makes a changed file be read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """The whole checkpoint; raises CheckpointError where a tensor is missing, misshapen or not finite."""
    card = read_card(path)
    with torch.device("meta"):
        expected = {f"generator.{name}": value.shape for name, value in ResNetGenerator(card.arch).state_dict().items()}
    expected["mean_w"] = torch.Size([max(1, card.arch.num_classes), card.arch.w_dim])
    expected["directions"] = torch.Size([len(card.direction_names), card.arch.w_dim])
    with safe_open(path, "pt") as file:
        found = {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        if found != expected:
            wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            raise CheckpointError(f"{path.name} does not hold the generator its card describes: see {', '.join(wrong[:3])}.")
        tensors = {name: file.get_tensor(name) for name in found}
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    if not all(value.isfinite().all() for value in tensors.values()):
        raise CheckpointError(f"{path.name} holds numbers that are not finite: its training diverged or the file is damaged.")
    weights = {name.removeprefix("generator."): value for name, value in tensors.items() if name.startswith("generator.")}
    return Checkpoint(**{**card.__dict__, "weights": weights, "mean_w": tensors["mean_w"], "directions": tensors["directions"]})


def checkpoint_names(folder: Path = SHIPPED) -> list[str]:
    """The names of all checkpoint files in a folder, damaged ones included."""
    return sorted(path.stem for path in folder.glob("*.safetensors") if _NAME.fullmatch(path.stem))


def snapshot_names(name: str, folder: Path = SHIPPED) -> list[str]:
    """The snapshots of a checkpoint's training, early to late: 'cifar10@4000' is snapshots/cifar10/4000.safetensors."""
    if not _NAME.fullmatch(name):
        return []
    moments = sorted(int(path.stem) for path in (folder / "snapshots" / name).glob("*.safetensors") if re.fullmatch(r"\d{1,12}", path.stem, re.ASCII))
    return [f"{name}@{images}" for images in moments]


def list_checkpoints(folder: Path = SHIPPED) -> list[dict[str, Any]]:
    """The cards of a folder's readable checkpoints: those of the largest images first, and of these the longest trained."""
    cards = []
    for name in checkpoint_names(folder):
        try:
            cards.append(read_card(folder / f"{name}.safetensors").card())
        except CheckpointError:
            continue
    return sorted(cards, key=lambda card: (-card["resolution"], -card["training"].get("images_seen", 0), card["name"]))


def find_checkpoint(source: str, folder: Path = SHIPPED) -> Path:
    """A name in ``folder``, a path, or a Hub repository 'owner/name' -> a file. Raises CheckpointError."""
    if _NAME.fullmatch(source) and (folder / f"{source}.safetensors").is_file():
        return folder / f"{source}.safetensors"
    if source in snapshot_names(source.partition("@")[0], folder):
        name, _, images = source.partition("@")
        return folder / "snapshots" / name / f"{images}.safetensors"
    if Path(source).is_file():
        return Path(source)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", source, re.ASCII) and not Path(source).parent.is_dir():
        return _download(source)
    known = ", ".join(checkpoint_names(folder)) or "none yet"
    raise CheckpointError(f"There is no checkpoint {source[:80]!r}; there are: {known}. A path to a .safetensors file works too.")


def _download(repository: str) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    try:
        files = [name for name in HfApi().list_repo_files(repository) if name.endswith(".safetensors")]
        if not files:
            raise CheckpointError(f"The Hub repository {repository} holds no .safetensors file.")
        return Path(hf_hub_download(repository, files[0]))
    except CheckpointError:
        raise
    except Exception as error:  # the Hub's client passes on many kinds of network errors
        raise CheckpointError(f"{repository} could not be fetched from the Hub; check the name and the network.") from error
