"""State dicts whose numbers follow from names and shapes, so that a test and an original implementation can fill the same network."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resgen.architecture import Generator
from resgen.interop.reading import Reading

LATENTS = 32
PICKLES = Path(__file__).parent / "stylegan"
ORIGINALS = Path(__file__).parent / "drawn"  # what `draw_originals.py` drew with networks of others


def told_of(name: str) -> dict[str, Any]:
    """What is known of a network whose pictures were drawn: `shapes` of its tensors, and `settings`."""
    return json.loads(str(np.load(ORIGINALS / f"{name}.npz")["about"]))


def original(name: str) -> dict[str, Tensor]:
    """The state dict of a network whose pictures were drawn."""
    return filled({key: tuple(shape) for key, shape in told_of(name)["shapes"].items()})


def their_file(name: str, folder: Path) -> Path:
    """A network of others as they save it: a pickle that is kept, or the `original` of that name, in the folder."""
    if name.endswith(".pkl"):
        return PICKLES / name
    torch.save(original(name), folder / "theirs.pth")
    return folder / "theirs.pth"


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A tensor for each name: weights that keep the strength of what they are given, statistics that matter, spectral norms that hold."""
    state = {name: _numbers(name, shape) for name, shape in shapes.items()}
    for name in state:
        if name.endswith("_v") and f"{name[:-2]}_orig" in state:
            matrix = state[f"{name[:-2]}_orig"].flatten(1)
            state[name] = torch.nn.functional.normalize(matrix.T @ torch.ones(len(matrix)), dim=0)
            state[f"{name[:-2]}_u"] = torch.nn.functional.normalize(matrix @ state[name], dim=0)
    return state


def _numbers(name: str, shape: tuple[int, ...]) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if "running_var" in leaf:
        return drawn.abs() * 0.5 + 0.5
    if leaf in ("gamma", "sigma"):
        return torch.full(shape, 0.7)
    if "embed.weight" in name:
        return 1 + 0.3 * drawn
    if len(shape) < 2 or "running_mean" in leaf:
        return 0.2 * drawn + (1.0 if leaf == "weight" else 0.0)
    return drawn if leaf == "Basis" else drawn / math.sqrt(math.prod(shape[1:]))


def made_of(reading: Reading) -> Generator:
    """The network that was read."""
    with torch.device("meta"):
        generator = reading.config.build().eval()
    generator.load_state_dict(reading.weights, assign=True)
    return generator


def latents(z_dim: int, classes: int) -> tuple[Tensor, Tensor]:
    """z [32, z_dim], and labels [32] in turn."""
    return torch.randn(LATENTS, z_dim, generator=torch.Generator().manual_seed(0)), torch.arange(LATENTS) % max(1, classes)


def picked(images: Tensor, count: int = 200) -> Tensor:
    """Some hundred numbers of each image, evenly spread: [32, about count]."""
    flat = images.flatten(1)
    return flat[:, :: max(1, flat.shape[1] // count) | 1]
