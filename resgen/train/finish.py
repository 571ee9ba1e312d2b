"""From a trainer to a checkpoint: mean w, directions and the card."""

import platform
from collections.abc import Sequence
from typing import Any

import torch

from resgen.card import Card
from resgen.checkpoint import Checkpoint
from resgen.statistics import latent_statistics
from resgen.train.trainer import Trainer

KEPT_ROWS = 200  # of the history on the card
LOSS_NAMES = ("drift", "heads", "named", "pixels", "seen")  # figures of the history on the card


@torch.no_grad()
def to_checkpoint(trainer: Trainer, dataset: dict[str, Any], hours: float, history: Sequence[dict[str, Any]] = ()) -> Checkpoint:
    """The averaged generator with its measured latent statistics and where it comes from."""
    generator = trainer.average.eval()
    mean_w, names, directions = latent_statistics(generator, trainer.device)
    step = -(-len(history) // KEPT_ROWS) or 1
    begun, before = trainer.training_before, trainer.training_before.get("images_seen", 0)
    stages = [{**stage, "from_image": before + stage["from_image"]} for stage in trainer.stages]
    if begun:
        stages = [{"from_image": 0, "command": begun.get("command", "")}, *begun.get("stages", []), *stages]
    card = Card(
        name=trainer.config.name,
        arch=generator.config,
        classes=trainer.classes,
        dataset={**dataset, "images": len(trainer.labels)},
        training={
            "images_seen": before + trainer.images_seen,
            "hours": round(begun.get("hours", 0) + hours, 2),
            "command": stages[0]["command"],
            "stages": stages[1:],
            "hardware": hardware(trainer.device),
            "history": [
                {"images": before + row["images"], **{name: float(row[name]) for name in LOSS_NAMES if row.get(name) not in (None, "")}}
                for row in history[::-step][::-1]  # the last one is among them
            ],
        },
        direction_names=names,
    )
    return Checkpoint(card, generator.state_dict(), mean_w, directions)


def hardware(device: torch.device) -> str:
    """What the training ran on, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)}, {platform.machine()}"
