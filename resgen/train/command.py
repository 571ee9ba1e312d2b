"""What `resgen train` does: data, feature network, loop, checkpoint."""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from resgen.card import LABEL, NAME
from resgen.checkpoint import Checkpoint, file_hash, load_checkpoint, save_checkpoint
from resgen.data import ImageSet, load_and_tell, load_images, named
from resgen.efficientnet import PretrainedEyes, is_installed
from resgen.errors import CheckpointError, DataError
from resgen.features import Eyes, PretrainedResNet50, load_features
from resgen.files import check_place, clear_partials, own_folder, write_atomically
from resgen.generator import GeneratorConfig
from resgen.grid import draw_png
from resgen.library import SHIPPED, Library
from resgen.recipe import Recipe, enlargement
from resgen.sampler import Sampler, pick_device
from resgen.train.config import TrainConfig
from resgen.train.eyes_trainer import EyesTrainer
from resgen.train.finish import to_checkpoint
from resgen.train.initial_weights import inherited
from resgen.train.loop import check_run, run, take_up
from resgen.train.parallel import Team, join, leave
from resgen.train.parts import read_parts
from resgen.train.parts_trainer import PartsTrainer
from resgen.train.state import ADVERSARIES, HISTORY, STATE, as_begun, save_adversary, saved_images, take_adversary
from resgen.train.table import read_file
from resgen.train.trainer import Trainer

# For drift alone, and to name directions where EfficientNet is not installed: photographs of all sorts taught them.
EYES = SHIPPED / "features" / "cifar10.safetensors"
BY_NAME = {"lite0": PretrainedEyes, "resnet50": PretrainedResNet50}  # --features that are no file
SIDES = 32, 512  # pixels, least and most, that lite0 is told to look at
FEW_CLASSES, LARGE_GROUP, SMALL_GROUP = 20, 16, 4  # many classes need many in a batch, hence small groups
SAMPLES_SIDE = 8192  # pixels, at most, of a grid of samples
SHOWN_CLASSES = 12
SAMPLES, SNAPSHOTS = "samples", "snapshots"  # folders of a run; snapshots lie where a library looks for them


def train_generator(
    config: TrainConfig,
    out: Path,
    resume: bool,
    features: Path | None,
    device: str,
    dataset: dict[str, Any],
    command: str,
    progress: Callable[..., None],
    report: Callable[[str], None],
) -> Path:
    """Train and return the checkpoint's path; it is written anew at each save. Raises ResGenError."""
    check_name(config.name)
    team, device = join(pick_device(device))
    tell = report if team.leads else lambda _: None
    with _own_place(out, config.name) if team.leads else nullcontext(), _told_if_stopped(out, tell):
        trainer, data = _prepare(config, out, resume, features, device, team, command)
        path = _run(trainer, data, out, dataset, progress, tell)
    leave()
    return path


@contextmanager
def _told_if_stopped(out: Path, tell: Callable[[str], None]) -> Generator[None]:
    """Where the work is stopped by Ctrl-C, say what is left of it."""
    try:
        yield
    except KeyboardInterrupt:
        seen = saved_images(out / STATE)
        tell(
            f"Stopped; saved up to image {seen:,}: the same command with --resume goes on from there." if seen else "Stopped; nothing was saved yet."
        )
        raise


@contextmanager
def _own_place(out: Path, name: str) -> Generator[None]:
    """The folder of a run, as long as it lasts its own, without what one that was killed left half-written. Raises FileError."""
    with own_folder(out):
        for file in (f"{name}.safetensors", STATE, HISTORY):
            check_place(out / file)
            clear_partials(out, file)
        clear_partials(out / ADVERSARIES, f"{name}.safetensors")
        clear_partials(out / SAMPLES, "[0-9]*.png")
        clear_partials(out / SNAPSHOTS / name, "[0-9]*.safetensors")
        yield


def _prepare(config: TrainConfig, out: Path, resume: bool, features: Path | None, device: str, team: Team, command: str) -> tuple[Trainer, ImageSet]:
    """What trains, and on what. What may be said wrongly is looked at before the images, which take long. Raises ResGenError."""
    check_run(out, config.name, resume)
    begun, begun_at = None, None
    if config.init and (out / STATE).exists() and (kept := as_begun(config, out / STATE)):
        config, begun = kept
    elif config.init:
        begun, begun_at = _begun(config.init)
    config, eyes = _with_eyes(config, features)
    if config.assembles:
        read_file(Path(config.table))
    data = (load_and_tell if team.leads else load_images)(config.data, config.resolution)
    check_classes(data)
    config = _grouped(config, len(data.classes), team.size)
    if begun_at is not None:
        assert begun is not None and isinstance(begun.card.arch, GeneratorConfig)
        config = inherited(config, begun.card.arch, data.images.shape[-1])
    trainer = _make_trainer(config, data, eyes, device, command, team, begun)
    if begun_at is not None and not (out / STATE).exists():  # a run that goes on has its own
        take_adversary(trainer, begun_at)
    return trainer, data


def _run(trainer: Trainer, data: ImageSet, out: Path, dataset: dict[str, Any], progress: Callable[..., None], report: Callable[[str], None]) -> Path:
    """Train to the end, and tell of it; the checkpoint's path. Raises ResGenError."""
    config = trainer.config
    path = out / f"{config.name}.safetensors"
    if data.skipped:
        dataset = {**dataset, "skipped": len(data.skipped)}

    def on_step(images: int, losses: dict[str, float], rate: float) -> None:
        note = "  ".join([*(f"{name} {value:.2f}" for name, value in losses.items()), f"{rate:.0f} images/s"])
        progress(images, config.images, note)

    def on_save(rows: list[dict[str, Any]]) -> None:
        last = rows[-1] if rows else {"seconds": 0}  # of a run whose history is lost
        save_checkpoint(to_checkpoint(trainer, dataset, float(last["seconds"]) / 3600, rows), path)
        save_adversary(trainer, path)
        draw_samples(path, out / SAMPLES / f"{trainer.images_seen:09}.png")
        report("  ".join(f"{key} {value}" for key, value in last.items()))

    def on_milestone(seconds: float) -> None:
        save_checkpoint(to_checkpoint(trainer, dataset, seconds / 3600), out / SNAPSHOTS / config.name / f"{trainer.images_seen}.safetensors")

    rows = take_up(trainer, out)
    report(_describe(data))
    if trainer.team.leads:
        run(trainer, out, rows, on_step, on_save, on_milestone)
        report(f"Wrote {path}")
    else:
        run(trainer, out, rows, *[lambda *_: None] * 3)
    return path


def best_eyes() -> Path:
    """The best there are here: EfficientNet-lite0 where it is installed, else the own ones."""
    return Path("lite0") if is_installed("lite0") else EYES


def open_eyes(features: Path) -> Eyes:
    """The network of --features: a file, 'resnet50', 'lite0' or 'lite0@128' (pixels a side). Raises ResGenError."""
    name, _, side = str(features).partition("@")
    if name == "lite0" and side:
        if not (side.isdecimal() and SIDES[0] <= int(side) <= SIDES[1]):
            raise CheckpointError(f"--features {features}: lite0 looks at {SIDES[0]} to {SIDES[1]} pixels a side, as in lite0@128.")
        return PretrainedEyes(name, int(side))
    return BY_NAME[name]() if name in BY_NAME and not side else load_features(features)


def check_name(name: str) -> None:
    """Raise DataError before the training for a name that its checkpoint could not have."""
    if name.casefold() == Path(STATE).stem:
        raise DataError(f"A checkpoint cannot be named {name}, as the state of its training is: give it another --name.")
    if not NAME.fullmatch(name):
        raise DataError(f"A checkpoint cannot be named {name[:80]!r}: give --name letters, digits, '.', '_' and '-', 64 at most.")


def check_classes(data: ImageSet) -> None:
    """Raise DataError before the training for classes that its checkpoint could not be read with."""
    if wrong := [label for label in named(data.classes) if not LABEL.fullmatch(label)]:
        raise DataError(f"A class cannot be named {wrong[0][:80]!r}: give its folder a name of at most 64 characters without , = < > & and quotes.")


def draw_samples(checkpoint: Path, out: Path) -> None:
    """Ten seeds of each of up to ten classes, or fewer where images are large, as the shipped file would draw them. Raises FileError."""
    sampler = Sampler(load_checkpoint(checkpoint), "cpu")
    resolution = sampler.card.arch.resolution
    across = max(1, min(10, SAMPLES_SIDE // resolution))
    classes = sampler.card.classes[:across]
    seeds = tuple(range(across if classes else across**2))
    recipe = Recipe(seeds=seeds, classes=classes, columns=across, scale=min(2, enlargement(SAMPLES_SIDE, across * resolution)))
    write_atomically(out, draw_png(recipe, lambda _: sampler))


def _grouped(config: TrainConfig, classes: int, processes: int) -> TrainConfig:
    """With as many images of one class in a batch as suit the number of classes, where that is not said. Raises DataError."""
    group = 1 if config.assembles else config.group or (LARGE_GROUP if classes <= FEW_CLASSES else SMALL_GROUP)
    if config.batch % (group * processes):
        of_processes = f" times the {processes} processes" if processes > 1 else ""
        raise DataError(f"--batch must be a multiple of --group, {group}{of_processes}.")
    return replace(config, group=group)


def _begun(name: str) -> tuple[Checkpoint, Path]:
    """The checkpoint of a name, a path or the Hub, one that was trained here, and its file. Raises ResGenError."""
    if name.endswith(".safetensors") and not Path(name).is_file():
        raise CheckpointError(f"There is no file {name}, which --init names.")
    library = Library(device="cpu")
    path = library.path(library.add(name))
    found = load_checkpoint(path)
    if not isinstance(found.card.arch, GeneratorConfig):
        raise DataError(f"{found.name} was imported, and has no weights that training could begin with; begin with one trained here.")
    return found, path


def _with_eyes(config: TrainConfig, features: Path | None) -> tuple[TrainConfig, Eyes | None]:
    """The settings with what looks at the images, and the eyes that the loss needs. Raises ResGenError."""
    if config.loss == "parts":
        if features:
            raise DataError("--loss parts compares pixels, without eyes: leave out --features, or add an adversary, --loss parts+adversary.")
        return config, None
    features = features or (Path("lite0") if config.fights else EYES)  # an adversary in other eyes is not worth its time
    return replace(config, features=file_hash(features) if features.is_file() else str(features)), open_eyes(features)


def _make_trainer(config: TrainConfig, data: ImageSet, eyes: Eyes | None, device: str, command: str, team: Team, begun: Checkpoint | None) -> Trainer:
    """The trainer that a loss asks for. Raises ResGenError."""
    if config.assembles:
        parts = read_parts(Path(config.table), data)
        return PartsTrainer(replace(config, table=file_hash(Path(config.table))), data, parts, eyes, device, command, team, begun)
    assert eyes is not None
    return EyesTrainer(config, data, eyes, device, command, team, begun)


def _describe(data: ImageSet) -> str:
    """What was found, for whoever has put a picture into the wrong folder."""
    counts = Counter(data.labels.tolist())
    found = f"{len(data.labels):,} {'grey ' * data.is_grey}images of {data.images.shape[-1]} pixels"
    each = [f"{label} {counts[index]:,}" for index, label in enumerate(named(data.classes))]
    shown = ", ".join(each[:SHOWN_CLASSES]) + (", ..." if len(each) > SHOWN_CLASSES else "")
    return f"{found} in {len(each)} classes: {shown}." if each else f"{found}, without classes."
