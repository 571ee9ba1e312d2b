"""What a run writes so that it can be killed and resumed: its state, whole or absent, and its history."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.fields import is_table
from resgen.files import save_atomically, whole_file

if TYPE_CHECKING:
    from resgen.train.loop import Trainer

STATE = "state.safetensors"
HISTORY = "history.csv"
HEADER = "resgen-training"
ADJUSTABLE = {"data", "images", "lr", "guidance", "save_every", "drift_share"}  # settings that may change on the way
UNSAID = {"data", "save_every"}  # of these, what does not begin a new stage


def _modules(trainer: "Trainer") -> dict[str, torch.nn.Module]:
    found: dict[str, torch.nn.Module] = {"generator": trainer.generator, "average": trainer.average}
    return found | ({"adversary": trainer.adversary} if trainer.adversary is not None else {})


def _optimisers(trainer: "Trainer") -> dict[str, torch.optim.Optimizer]:
    found: dict[str, torch.optim.Optimizer] = {"adam": trainer.optimiser}
    return found | ({"heads": trainer.heads_optimiser} if trainer.adversary is not None else {})


def save_state(trainer: "Trainer", path: Path) -> None:
    """Write everything a later `load_state` needs, atomically."""
    tensors = {f"{key}.{name}": value for key, module in _modules(trainer).items() for name, value in module.state_dict().items()}
    for key, optimiser in _optimisers(trainer).items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{key}.{index}.{name}": value for name, value in state.items()}
    header = {"steps": trainer.steps_done, "config": asdict(trainer.config), "stages": trainer.stages, "begun": trainer.begun}
    copies = {name: value.contiguous().clone() for name, value in tensors.items()}
    save_atomically(path, lambda partial: save_file(copies, partial, {HEADER: json.dumps(header)}))


def load_state(trainer: "Trainer", path: Path) -> None:
    """Take up a run where `save_state` left it. Raises CheckpointError where the file is damaged, or a setting that has shaped the run differs.

    Other settings may be changed on the way: that begins a new stage, which the card tells.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config, stages, steps = dict(header["config"]), list(header["stages"]), header["steps"]
        if not is_table(header.get("begun", {})):
            raise ValueError("what it began with is not told")
        if type(steps) is not int or not 0 <= steps <= -(-config["images"] // config["batch"]) or not stages:
            raise ValueError("its number of steps cannot be")
    except Exception as error:
        raise _damaged(path) from error
    wanted = json.loads(json.dumps(asdict(trainer.config)))
    changed = {name for name, value in wanted.items() if config.get(name) != value}
    if fixed := sorted(changed - ADJUSTABLE):
        raise CheckpointError(f"{path.parent} was begun with another {', '.join(fixed)}; resume with the same settings or choose another --out.")
    try:
        for key, module in _modules(trainer).items():
            module.load_state_dict({n.removeprefix(key + "."): t for n, t in tensors.items() if n.startswith(key + ".")})
        for key, optimiser in _optimisers(trainer).items():
            _fill(optimiser, {n.removeprefix(key + "."): t for n, t in tensors.items() if n.startswith(key + ".")})
    except Exception as error:
        raise _damaged(path) from error
    trainer.steps_done = steps
    # What was told of the weights that the run began with: the checkpoint of that name may be another one by now.
    trainer.begun = header.get("begun", trainer.begun)
    stage = {"from_image": trainer.images_seen, "command": trainer.stages[0]["command"]}
    trainer.stages = stages + ([stage] if changed - UNSAID else [])


def _fill(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give an optimiser its state back, as 'number of the parameter.name of the value'; shapes must be the parameters' own."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = tensor
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for index, values in state.items():
        if any(value.ndim and value.shape != parameters[index].shape for value in values.values()):
            raise ValueError("an optimiser's state does not fit")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or not the state of a run: choose another --out, or delete the folder and begin again.")


def read_history(path: Path) -> list[dict[str, Any]]:
    """Its rows; none where there is no history yet. Raises CheckpointError where it cannot be read."""
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            return [{**row, "images": int(row["images"]), "seconds": float(row["seconds"])} for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: delete it to go on without the history so far.") from error


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """All rows, atomically; a figure that only some rows have is left empty in the others."""

    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
