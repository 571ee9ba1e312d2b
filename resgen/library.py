"""Where checkpoints, samplers and feature networks are found, loaded and kept: one library for every face of the program."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from cachetools import LRUCache, TTLCache

from resgen.card import NAME, Card, name_of, read_card
from resgen.checkpoint import file_hash, load_checkpoint
from resgen.composite import AnyRecipe, Signature, painters
from resgen.errors import CheckpointError, ResGenError
from resgen.features import FeatureResNet, load_features, read_classes
from resgen.folded import Memory
from resgen.hub import fetch, source_of
from resgen.interop.torch_files import FOREIGN, READ
from resgen.sampler import Sampler, gpu_lost, pick_device, room_for

SAMPLERS_KEPT = 600_000_000  # bytes of generators that stay loaded, at least one
HASHES_KEPT, FEATURES_KEPT, FAULTS_KEPT = 1024, 6, 256
FAULT_SECONDS = 60.0  # until a file that could not be read is tried again
_INSIDE, _BESIDE = Path(__file__).resolve().parent / "checkpoints", Path(__file__).resolve().parent.parent / "checkpoints"
SHIPPED = _INSIDE if _INSIDE.is_dir() else _BESIDE  # in an installed package, else in the repository

T = TypeVar("T")


class Library:
    """The checkpoints of one folder, and others added by hand, on one device; the latest used stay loaded. Threads may share it.

    Raises ResGenError for a device that is not there.
    """

    def __init__(self, folder: Path = SHIPPED, device: str = "auto") -> None:
        self.folder, self._device = folder, pick_device(device)
        self._added: dict[str, Path] = {}
        self._memory = Memory()
        self._samplers: LRUCache[Any, Sampler] = LRUCache(SAMPLERS_KEPT, lambda sampler: min(SAMPLERS_KEPT, sampler.bytes))
        self._hashes: LRUCache[Any, str] = LRUCache(HASHES_KEPT)
        self._features: LRUCache[Any, FeatureResNet] = LRUCache(FEATURES_KEPT)
        self._faults: TTLCache[Any, str] = TTLCache(FAULTS_KEPT, FAULT_SECONDS)
        self._locks: dict[Any, Lock] = {}
        self._lock = Lock()

    @property
    def device(self) -> str:
        """Where it is drawn: the device that was picked, the CPU once the GPU is lost."""
        return "cpu" if gpu_lost.is_set() else self._device

    # Names.

    def names(self) -> list[str]:
        """All checkpoints of the folder in the order of `cards`, those that are known to draw nothing last."""
        readable = [card.name for card in self.cards() if not self.fault(card.name)]
        return readable + [name for name in self._stems() if name not in readable]

    def first(self) -> str:
        """The first checkpoint that can be drawn with. Raises CheckpointError where there is none."""
        if name := next(self.drawable(), None):
            return name
        raise CheckpointError(f"There is no checkpoint in {self.folder.name}/ that can be drawn with; train one or copy a .safetensors file there.")

    def drawable(self) -> Iterator[str]:
        """The checkpoints that can be drawn with, in the order of `names`; each is loaded when it is asked for."""
        for name in self.names():
            with suppress(ResGenError):
                self.sampler(name)
                yield name

    def fault(self, name: str) -> str:
        """Why a checkpoint cannot be drawn with, as far as that was found; '' otherwise."""
        path = self.path(name)
        with self._lock:
            return self._faults.get((path, _stamp(path)), "")

    def _stems(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.safetensors") if NAME.fullmatch(path.stem) and not _is_state(path))

    def cards(self) -> list[Card]:
        """The cards that can be read, the best first: by the size of images, then by what was measured, by training, and by the number of classes."""
        return sorted(self._readable(self._stems()), key=_rank)

    def _readable(self, names: Iterable[str]) -> Iterator[Card]:
        """The cards of those that can be read."""
        for name in names:
            with suppress(CheckpointError):
                yield self.card(name)

    def snapshots(self, name: str) -> list[str]:
        """The snapshots of a training that are kept under a checkpoint's name and can be read, early to late: 'cifar10@4000' is
        snapshots/cifar10/4000.safetensors.
        """
        return [card.name for card in self._readable(self._moments(name))]

    def _moments(self, name: str) -> list[str]:
        """All that is kept of a training."""
        if not NAME.fullmatch(name):
            return []
        files = (self.folder / "snapshots" / name).glob("*.safetensors")
        moments = sorted(int(path.stem) for path in files if re.fullmatch(r"\d{1,12}", path.stem, re.ASCII) and path.is_file())
        return [f"{name}@{images}" for images in moments]

    def add(self, source: str | PathLike[str]) -> str:
        """The name of a checkpoint that a user chose: a name in the folder, the path of a file, or a Hub repository 'owner/name' or 'owner/name:checkpoint'.

        From now on it is found by that name. Raises CheckpointError.
        """
        source, path = os.fspath(source), Path(source)
        if self._find(source) is not None:
            return source
        if not os.path.isfile(path):  # which is told of names that cannot be, too
            found = source_of(source, READ)
            if not found:
                raise CheckpointError(f"There is no checkpoint {source[:80]!r}; {self._known(source)} A path to a .safetensors file works too.")
            path = fetch(*found)
        if path.suffix.lower() in FOREIGN:
            raise CheckpointError(f"{path.name} is a file of another program: make a checkpoint of it with `resgen import`.")
        self._added[name_of(path)] = path
        return name_of(path)

    def path(self, name: str) -> Path:
        """The file of a checkpoint by its name: one of the folder, a snapshot, or one added. Never a path. Raises CheckpointError."""
        found = self._find(name)
        if found is None:
            raise CheckpointError(f"There is no checkpoint {name[:80]!r} here; {self._known(name)}")
        return found

    def _find(self, name: Any) -> Path | None:
        """The file of a checkpoint, whose name may be anything that a page tells. Raises CheckpointError where that is no name."""
        if not isinstance(name, str):
            raise CheckpointError(f"A checkpoint has a name; {self._known()}")
        if name in self._added:
            return self._added[name]
        if NAME.fullmatch(name) and (self.folder / f"{name}.safetensors").is_file():
            return self.folder / f"{name}.safetensors"
        origin, _, images = name.partition("@")
        return self.folder / "snapshots" / origin / f"{images}.safetensors" if name in self._moments(origin) else None

    def _known(self, asked: str = "") -> str:
        """What there is in place of what was ``asked`` for: of a snapshot others of its training, where there are some."""
        origin, at, _ = asked.partition("@")
        return f"there are: {', '.join((self.snapshots(origin) if at else []) or self._stems()) or 'none yet'}."

    # What they hold.

    def card(self, name: str) -> Card:
        """A checkpoint's card. Raises CheckpointError."""
        path = self.path(name)
        return _card(path, _stamp(path))

    def named(self, recipe: AnyRecipe, name: str = "") -> AnyRecipe:
        """The recipe, by the checkpoint ``name`` where it names none, or the best. Raises CheckpointError where there is none."""
        return recipe if recipe.checkpoint else recipe.with_checkpoint(self.chosen(name))

    def chosen(self, name: str) -> str:
        """``name``; where it is empty, that of the best checkpoint. Raises CheckpointError where there is none."""
        return name or self.first()

    def sampler(self, name: str) -> Sampler:
        """The sampler of a checkpoint, loaded again when its file changes. Raises CheckpointError, ResGenError where memory is short."""
        path, device = self.path(name), self.device
        key = (path, _stamp(path))
        if fault := self.fault(name):
            raise CheckpointError(fault)
        try:
            with room_for(name):
                return self._kept(self._samplers, (*key, device), lambda: Sampler(load_checkpoint(path), device, self._memory))
        except CheckpointError as error:
            with self._lock:
                self._faults[key] = str(error)
            raise

    def sha256(self, name: str) -> str:
        """What identifies a checkpoint in files; it is loaded for that once. Raises CheckpointError."""
        path = self.path(name)
        # A key of its own: the sampler is loaded under the lock of its key while this one's is held.
        return self._kept(self._hashes, (path, _stamp(path), "hash"), lambda: self.sampler(name).checkpoint.sha256)

    def features(self, name: str) -> FeatureResNet | None:
        """The feature network shipped with a checkpoint, features/NAME.safetensors; else any that was shipped, else none. Raises CheckpointError."""
        shipped = self._feature_files()
        own = [path for path in shipped if path.stem == name.partition("@")[0]]
        return next((self._load_features(path) for path in own + shipped), None)

    def classifier(self, name: str) -> FeatureResNet:
        """A feature network that knows the very classes of a checkpoint. Raises CheckpointError where there is none."""
        if path := self._classifier_file(name):
            return self._load_features(path)
        raise CheckpointError(
            f"There is no classifier of the classes of {name} beside these checkpoints; make one with `resgen train-features`, as features/{name}.safetensors."
        )

    def has_classifier(self, name: str) -> bool:
        """Whether there is a `classifier` for a checkpoint. Raises CheckpointError."""
        return self._classifier_file(name) is not None

    def _classifier_file(self, name: str) -> Path | None:
        classes = self.card(name).classes
        return next((path for path in self._feature_files() if classes and _feature_classes(path, _stamp(path)) == classes), None)

    def _feature_files(self) -> list[Path]:
        return sorted(path for path in (self.folder / "features").glob("*.safetensors") if path.is_file())

    def _load_features(self, path: Path) -> FeatureResNet:
        device = self.device
        with room_for(path.stem):
            return self._kept(self._features, (path, _stamp(path), device), lambda: load_features(path).freeze().to(device))

    def _kept(self, cache: "LRUCache[Any, T]", key: Any, load: Callable[[], T]) -> T:
        """What is kept under ``key``, loaded once however many ask; others are not kept waiting by it."""
        with self._lock:
            if key in cache:
                return cache[key]
            loading = self._locks.setdefault(key, Lock())
        with loading:
            with self._lock:
                if key in cache:
                    return cache[key]
            try:
                loaded = load()
                with self._lock:
                    cache[key] = loaded
            finally:
                self._locks.pop(key, None)
            return loaded

    def replaced(self, recipe: AnyRecipe, noted: Signature) -> list[str]:
        """Of the checkpoints that a recipe names, those that are others than the ones ``noted`` in its picture or film. Raises CheckpointError.

        Early versions noted one of a comparison's.
        """
        known = noted if isinstance(noted, dict) else {recipe.checkpoint: noted}
        return [name for name in dict.fromkeys(painters(recipe)) if not self._identifies(known.get(name, ""), name)]

    def _identifies(self, sha256: str, name: str) -> bool:
        """Whether ``sha256`` is that of a checkpoint, of its whole file as early versions noted it, or is not known."""
        path = self.path(name)
        known = ("", self.sampler(name).checkpoint.sha256, *self.card(name).earlier)
        return sha256 in known or sha256 == _file_hash(path, _stamp(path))


def load(source: str | PathLike[str], device: str = "auto", folder: str | PathLike[str] = SHIPPED) -> Sampler:
    """A sampler for a checkpoint: a name in ``folder``, a path, or a Hub repository 'owner/name' or 'owner/name:checkpoint'.

    Raises CheckpointError, or ResGenError where the device is not there.
    """
    library = Library(Path(folder), device)
    return library.sampler(library.add(source))


def list_checkpoints(folder: str | PathLike[str] = SHIPPED) -> list[dict[str, Any]]:
    """The cards of a folder's readable checkpoints, the best first."""
    return [card.to_dict() for card in Library(Path(folder), "cpu").cards()]


def _is_state(path: Path) -> bool:
    """True for what a run of `resgen train` keeps beside its checkpoint, to go on from."""
    return path.stem == "state" and path.with_name("history.csv").is_file()


def _rank(card: Card) -> tuple[float | str, ...]:
    return -card.arch.resolution, -card.likeness, -card.training.get("images_seen", 0), -len(card.classes), card.name


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew. Raises CheckpointError where it is gone."""
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    return found.st_mtime_ns, found.st_size


@lru_cache(256)
def _card(path: Path, stamp: tuple[int, int]) -> Card:
    return read_card(path)


@lru_cache(256)
def _file_hash(path: Path, stamp: tuple[int, int]) -> str:
    return file_hash(path)


@lru_cache(256)
def _feature_classes(path: Path, stamp: tuple[int, int]) -> Sequence[str]:
    return read_classes(path)
