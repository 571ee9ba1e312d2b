"""From a trainer to a checkpoint: mean w, principal directions and the card."""

import platform

import torch
from torch.nn import functional as F

from resgen.checkpoint import Checkpoint
from resgen.train.loop import Trainer

SAMPLES = 8192  # latents that means and directions are measured on
DIRECTIONS = 12


@torch.no_grad()
def to_checkpoint(trainer: Trainer, dataset: dict[str, str], hours: float) -> Checkpoint:
    """The averaged generator with its measured latent statistics and where it comes from."""
    generator, classes = trainer.average.eval(), trainer.classes
    mean_w, directions = latent_statistics(trainer)
    return Checkpoint(
        name=trainer.config.name,
        arch=generator.config,
        classes=classes if generator.config.num_classes else (),
        dataset={**dataset, "images": len(trainer.labels)},
        training={
            "images_seen": trainer.images_seen,
            "hours": round(hours, 2),
            "command": trainer.stages[0]["command"],
            "stages": trainer.stages[1:],
            "hardware": hardware(trainer.device),
        },
        direction_names=tuple(f"pc{i + 1}" for i in range(len(directions))),
        weights=generator.state_dict(),
        mean_w=mean_w,
        directions=directions,
    )


def latent_statistics(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean w of each class [max(1, classes), w_dim], and principal directions of w about those means
    (Harkonen et al. 2020), strongest first, each one standard deviation long [<= DIRECTIONS, w_dim]."""
    arch = trainer.average.config
    generator = torch.Generator("cpu").manual_seed(0)
    z = torch.randn(SAMPLES, arch.z_dim, generator=generator).to(trainer.device)
    groups = max(1, arch.num_classes)
    labels = torch.arange(SAMPLES, device=trainer.device) % groups
    weights = F.one_hot(labels, arch.num_classes).float() if arch.num_classes else None
    w = trainer.average.mapping(z, weights)
    mean_w = torch.stack([w[labels == c].mean(dim=0) for c in range(groups)])
    _, scales, rows = torch.linalg.svd(w - mean_w[labels], full_matrices=False)
    return mean_w, (scales[:, None] / SAMPLES**0.5 * rows)[:DIRECTIONS]


def hardware(device: torch.device) -> str:
    """What the training ran on, for the card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads, {platform.machine()}"
