"""What a run writes so that it can go on: its state, whole or absent, its history, and the adversary for runs that begin with its checkpoint."""

import csv
import json
import logging
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resgen.card import Card
from resgen.checkpoint import Checkpoint
from resgen.data import named
from resgen.errors import CheckpointError
from resgen.fields import is_table
from resgen.files import whole_file
from resgen.generator import GeneratorConfig
from resgen.tensors import are_finite, half, layout_of, open_tensors, save_tensors
from resgen.train.config import TrainConfig

if TYPE_CHECKING:
    from resgen.train.trainer import Trainer

STATE = "state.safetensors"
HISTORY = "history.csv"
ADVERSARIES = "adversaries"  # folder beside a checkpoint
HEADER = "resgen-training"
VERSION = 5  # of what a step does
ADJUSTABLE = {"data", "images", "lr", "guidance", "save_every", "drift_share", "clarity"}  # settings that may change on the way
UNSAID = {"data"}  # of these, what does not begin a new stage: the same images elsewhere; a save empties memories, so how often there is one counts
ADAM = {"step", "exp_avg", "exp_avg_sq"}  # what it remembers of a parameter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """All that the steps of a run from here on depend on."""

    header: dict[str, Any]  # steps done, settings, generator, data, threads, stages, what the run began with, how often the step size was halved
    tensors: dict[str, Tensor] = field(repr=False)  # copies, by 'module.name' and 'optimiser.number of the parameter.name'


def capture(trainer: "Trainer") -> State:
    """The state of a run between two steps, with its memories empty."""
    tensors = {f"{key}.{name}": value for key, module in trainer.modules().items() for name, value in module.state_dict().items()}
    for key, optimiser in trainer.optimisers().items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{key}.{index}.{name}": value for name, value in state.items()}
    header = {
        "version": VERSION,
        "steps": trainer.steps_done,
        "config": asdict(trainer.config),
        "arch": trainer.generator.config.to_dict(),
        "classes": list(trainer.classes),
        "data": trainer.told_of_data,
        "threads": trainer.threads,
        "stages": trainer.stages,
        "begun": trainer.training_before,
        "halvings": trainer.halvings,
    }
    return State(header, {name: value.detach().contiguous().clone() for name, value in tensors.items()})


def restore(trainer: "Trainer", state: State) -> None:
    """Put a trainer's weights and optimisers back to where they were. Raises many kinds of errors where they are not this trainer's."""
    for key, module in trainer.modules().items():
        module.load_state_dict(_part(state.tensors, key))
    for key, optimiser in trainer.optimisers().items():
        _fill(optimiser, _part(state.tensors, key))
    trainer.steps_done, trainer.halvings = state.header["steps"], state.header["halvings"]


def save_state(state: State, path: Path) -> None:
    """Write everything a later `load_state` needs, atomically. Raises FileError."""
    save_tensors(state.tensors, {HEADER: json.dumps(state.header)}, path)


def load_state(trainer: "Trainer", path: Path) -> None:
    """Take up a run where `save_state` left it. Raises CheckpointError where the file is damaged, or a setting that has shaped the run differs.

    Other settings may be changed on the way: that begins a new stage, which the card tells.
    """
    try:
        state = _read_state(path)
    except Exception as error:
        raise _damaged(path) from error
    if state.header.get("version") != VERSION:
        raise CheckpointError(f"{path.parent} was begun by a ResGen whose steps were others: begin another run, with its checkpoint as --init.")
    # Of a setting that is younger than the state it is not known whether it differs.
    wanted, config = json.loads(json.dumps(asdict(trainer.config))), state.header["config"]
    changed = {name for name, value in wanted.items() if config.get(name, value) != value}
    if fixed := sorted(changed - ADJUSTABLE):
        raise CheckpointError(f"{path.parent} was begun with another {', '.join(fixed)}; resume with the same settings or choose another --out.")
    classes = tuple(state.header.get("classes", trainer.classes))
    if named(classes) != trainer.classes:
        raise CheckpointError(f"{path.parent} was begun with other classes, {', '.join(classes[:12]) or 'none'}: resume with the same data.")
    try:
        restore(trainer, state)
    except Exception as error:
        raise _damaged(path) from error
    # What was told of the weights that the run began with: the checkpoint of that name may be another one by now.
    trainer.training_before = state.header.get("begun", trainer.training_before)
    command, others = trainer.stages[0]["command"], _told_of_others(state.header.get("data"), trainer.told_of_data)
    stage = {"from_image": trainer.images_seen, "command": command + others}
    trainer.stages = state.header["stages"] + ([stage] if changed - UNSAID or others else [])
    _warn_of_threads(state.header.get("threads"), trainer)


def saved_images(path: Path) -> int:
    """How many images a run had seen whose state lies at ``path``; 0 where none does. Raises CheckpointError where it is damaged."""
    if not path.exists():
        return 0
    try:
        with open_tensors(path) as file:
            header = json.loads(file.metadata[HEADER])
        return int(header["steps"] * header["config"]["batch"])
    except Exception as error:
        raise _damaged(path) from error


def _told_of_others(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """What a card says behind a command from which on the images are others; '' where they are the same, or the state is older than this question."""
    if before in (None, now):
        return ""
    return f"  # the images are others from here on: {now['images']:,} of them, {before['images']:,} before"


def _warn_of_threads(before: int | None, trainer: "Trainer") -> None:
    """Sums on a CPU depend in their last digits on how many threads share them."""
    if trainer.team.leads and before and trainer.threads and before != trainer.threads:
        log.warning(
            "resgen: the run had %d thread(s) and goes on with %d: its weights will not be exactly those of a run that never stopped.",
            before,
            trainer.threads,
        )


def as_begun(config: TrainConfig, path: Path) -> tuple[TrainConfig, Checkpoint] | None:
    """In the place of the checkpoint that a run began with, which may be gone, what its own state at ``path`` keeps: what the ``config`` leaves open, and
    the generator; None where the state is too old to tell its shape. Raises CheckpointError where it is damaged.
    """
    try:
        state = _read_state(path)
        if "arch" not in state.header:
            return None
        kept, arch = state.header["config"], GeneratorConfig.from_dict(state.header["arch"])
        widths = config.widths or (tuple(kept["widths"]) if kept["widths"] else None)
        mean_shift = kept["mean_shift"] if config.mean_shift is None else config.mean_shift
        config = replace(config, widths=widths, mean_shift=mean_shift)
    except Exception as error:
        raise _damaged(path) from error
    card = Card(config.name, arch, training=state.header.get("begun", {}))
    return config, Checkpoint(card, _part(state.tensors, "average"), torch.zeros(0), torch.zeros(0))


def save_adversary(trainer: "Trainer", checkpoint: Path) -> None:
    """Keep a run's adversary, if it has one, beside its ``checkpoint``, matrices in half precision, for runs that begin with that. Raises FileError."""
    if trainer.contest:
        tensors = {name: half(value) for name, value in trainer.contest.adversary.state_dict().items()}
        save_tensors(tensors, {HEADER: json.dumps(_knows(trainer))}, adversary_of(checkpoint))


def take_adversary(trainer: "Trainer", checkpoint: Path) -> None:
    """Begin with the adversary beside a ``checkpoint``, if there is one, and it looks through the same eyes at the same classes.

    Raises CheckpointError where its file is damaged.
    """
    path = adversary_of(checkpoint)
    if trainer.contest is None or not path.is_file():
        return
    try:
        with open_tensors(path) as file:
            knows, weights = json.loads(file.metadata[HEADER]), file.read()
        if not are_finite(weights):
            raise ValueError("it holds numbers that are not finite")
        if knows == _knows(trainer) and layout_of(weights) == layout_of(trainer.contest.adversary.state_dict()):
            trainer.contest.adversary.load_state_dict(weights)
    except Exception as error:
        raise CheckpointError(f"{path}, beside the checkpoint of --init, is damaged: move it away to begin with a new adversary.") from error


def adversary_of(checkpoint: Path) -> Path:
    """Where a checkpoint's adversary is kept: adversaries/NAME.safetensors beside NAME.safetensors."""
    return checkpoint.parent / ADVERSARIES / checkpoint.name


def _knows(trainer: "Trainer") -> dict[str, Any]:
    """What an adversary has learned to look through, and at."""
    return {"features": trainer.config.features, "classes": list(trainer.classes)}


def _read_state(path: Path) -> State:
    """The state in a file. Raises many kinds of errors where it is not one that `save_state` wrote."""
    with open_tensors(path) as file:
        header, tensors = json.loads(file.metadata[HEADER]), file.read()
    header.setdefault("halvings", 0)  # younger than the first states
    config, steps, halvings = header["config"], header["steps"], header["halvings"]
    if type(steps) is not int or not 0 <= steps <= -(-config["images"] // config["batch"]):
        raise ValueError("its number of steps cannot be")
    if type(halvings) is not int or not 0 <= halvings <= 64:
        raise ValueError("its step size cannot be")
    data, threads = header.get("data", {"images": 0}), header.get("threads")
    if type(data["images"]) is not int or type(threads) not in (int, type(None)):
        raise ValueError("its data are not told")
    begun = header.get("begun", {})
    if not header["stages"] or not all(map(_is_stage, header["stages"])) or not all(map(_is_stage, begun.get("stages", []))):
        raise ValueError("its stages are not told")
    if not all(type(begun.get(key, 0)) in (int, float) for key in ("images_seen", "hours")) or not isinstance(begun.get("command", ""), str):
        raise ValueError("what it began with is not told")
    if not all(isinstance(name, str) for name in header.get("classes", [])):
        raise ValueError("its classes are not told")
    if not are_finite(tensors):
        raise ValueError("it holds numbers that are not finite")
    return State(header, tensors)


def _is_stage(row: Any) -> bool:
    return is_table(row) and type(row.get("from_image")) in (int, float) and isinstance(row.get("command"), str)


def _part(tensors: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    """Those of a module or optimiser, by their own names."""
    return {name.removeprefix(f"{key}."): tensor for name, tensor in tensors.items() if name.startswith(f"{key}.")}


def _fill(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an Adam its state back, as 'number of the parameter.name of the value'; shapes must be the parameters' own."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, value = name.partition(".")
        state.setdefault(int(index), {})[value] = tensor.clone()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for index, values in state.items():
        if values.keys() != ADAM or values["step"].ndim or any(values[name].shape != parameters[index].shape for name in ADAM - {"step"}):
            raise ValueError("an optimiser's state does not fit")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or not the state of a run: choose another --out, or delete the folder and begin again.")


def read_history(path: Path) -> list[dict[str, Any]]:
    """Its rows; none where there is no history yet. Raises CheckpointError where it cannot be read."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_read_row(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged: delete it to go on without the history so far.") from error


def _read_row(row: dict[str, str]) -> dict[str, Any]:
    """A row whose cells are numbers, or empty. Raises many kinds of errors for others."""
    if not all(math.isfinite(float(cell)) for cell in row.values() if cell):
        raise ValueError("a figure is not finite")
    return {**row, "images": int(row["images"]), "seconds": float(row["seconds"])}


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """All rows, atomically; a figure that only some rows have is left empty in the others."""

    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
