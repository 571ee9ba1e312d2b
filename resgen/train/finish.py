"""From a trainer to a checkpoint: mean w, directions and the card."""

import platform
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.blocks import ConditionalBatchNorm
from resgen.card import Card
from resgen.checkpoint import Checkpoint
from resgen.generator import ResNetGenerator
from resgen.train.loop import Trainer

SAMPLES = 8192  # latents that means and directions are measured on
PRINCIPAL, FACTORISED = 12, 6  # directions of each kind
SEEN_ON = 32  # images that a direction's visible effect is measured on
KEPT_ROWS = 200  # of the history on the card
LOSS_NAMES = ("drift", "heads", "named")  # figures of the history on the card


@torch.no_grad()
def to_checkpoint(trainer: Trainer, dataset: dict[str, str], hours: float, history: Sequence[dict[str, Any]] = ()) -> Checkpoint:
    """The averaged generator with its measured latent statistics and where it comes from."""
    generator, classes = trainer.average.eval(), trainer.classes
    mean_w, names, directions = latent_statistics(generator, trainer.device)
    step = max(1, len(history) // KEPT_ROWS)
    begun, before = trainer.begun, trainer.begun.get("images_seen", 0)
    stages = [{**stage, "from_image": before + stage["from_image"]} for stage in trainer.stages]
    if begun:
        stages = [{"from_image": 0, "command": begun.get("command", "")}, *begun.get("stages", []), *stages]
    card = Card(
        name=trainer.config.name,
        arch=generator.config,
        classes=classes if generator.config.num_classes else (),
        dataset={**dataset, "images": len(trainer.labels)},
        training={
            "images_seen": before + trainer.images_seen,
            "hours": round(begun.get("hours", 0) + hours, 2),
            "command": stages[0]["command"],
            "stages": stages[1:],
            "hardware": hardware(trainer.device),
            "history": [
                {"images": before + row["images"], **{name: float(row[name]) for name in LOSS_NAMES if row.get(name) not in (None, "")}}
                for row in history[::step]
            ],
        },
        direction_names=names,
    )
    return Checkpoint(card, generator.state_dict(), mean_w, directions)


def latent_statistics(generator: ResNetGenerator, device: torch.device) -> tuple[Tensor, tuple[str, ...], Tensor]:
    """Mean w of each class [max(1, classes), w_dim]; names and offsets of directions, one standard deviation long [directions, w_dim].

    pc: principal directions of w about the class means (Harkonen et al. 2020). sefa: those that the generator's own layers
    answer to most (Shen & Zhou 2021). What changes the picture most comes first.
    """
    arch = generator.config
    z = torch.randn(SAMPLES, arch.z_dim, generator=torch.Generator("cpu").manual_seed(0)).to(device)
    groups = max(1, arch.num_classes)
    labels = torch.arange(SAMPLES, device=device) % groups
    weights = F.one_hot(labels, arch.num_classes).float() if arch.num_classes else None
    w = generator.mapping(z, weights)
    mean_w = torch.stack([w[labels == c].mean(dim=0) for c in range(groups)])
    spread = w - mean_w[labels]
    _, scales, rows = torch.linalg.svd(spread, full_matrices=False)
    named = {f"pc{i + 1}": scale / SAMPLES**0.5 * row for i, (scale, row) in enumerate(zip(scales[:PRINCIPAL], rows, strict=False))}
    layers = [generator.stem.weight, *(part.affine.weight for part in generator.modules() if isinstance(part, ConditionalBatchNorm))]
    _, _, answers = torch.linalg.svd(torch.cat(layers), full_matrices=False)
    named |= {f"sefa{i + 1}": row * (spread @ row).std() for i, row in enumerate(answers[:FACTORISED])}
    names = sorted(named, key=lambda name: -visible_effect(generator, w[:SEEN_ON], named[name]))
    return mean_w, tuple(names), torch.stack([named[name] for name in names])


def visible_effect(generator: ResNetGenerator, w: Tensor, direction: Tensor) -> float:
    """Mean absolute change of pixels from one standard deviation before to one after."""
    return float((generator.synthesise(w + direction) - generator.synthesise(w - direction)).abs().mean())


def hardware(device: torch.device) -> str:
    """What the training ran on, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' * (threads > 1)}, {platform.machine()}"
