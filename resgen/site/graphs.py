"""A checkpoint -> the two graphs of ONNX that a page draws with. What lies between them, all linear in w, is the page's own sum."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from resgen.architecture import Generator
from resgen.errors import CheckpointError
from resgen.exports import CHECKED, TOLERANCE_OF_HALF, TRACED, inputs_of, to_onnx, write_graph
from resgen.recipe import Recipe
from resgen.sampler import Sampler, to_pixels

MAPPING, SYNTHESIS = "mapping.onnx", "synthesis.onnx"
DIALLED = 0.5  # the gain of every block in the second of the pictures that are compared


class Mapping(nn.Module):
    """z [N, z_dim], and class weights [N, classes] where there are classes -> w [N, blocks, w_dim]."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.generator.map(z, class_weights)


class Synthesis(nn.Module):
    """w [N, blocks, w_dim], and gains [N, blocks] where there are dials -> images [N, channels, R, R] in -1..1."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, w: Tensor, gains: Tensor | None = None) -> Tensor:
        return self.generator.synthesise(w, gains).clamp(-1, 1)


def write_graphs(sampler: Sampler, folder: Path) -> int:
    """Write mapping.onnx and synthesis.onnx and return by how much what they draw differs from the sampler, in 255ths.

    Raises CheckpointError where it is more than half precision explains, or the generator has no such graphs.
    """
    generator = sampler.checkpoint.build()
    inputs = inputs_of(sampler, CHECKED[:TRACED])
    write_graph(to_onnx(Mapping(generator), inputs, ["z", "class_weights"][: len(inputs)], "w"), folder / MAPPING, half=True)
    with torch.no_grad():
        w = generator.map(*inputs).contiguous()
    latents = (w, torch.ones(w.shape[:2])) if sampler.card.arch.dials else (w,)
    write_graph(to_onnx(Synthesis(generator), latents, ["w", "gains"][: len(latents)], "image"), folder / SYNTHESIS, half=True)
    return _difference(sampler, folder)


def _difference(sampler: Sampler, folder: Path) -> int:
    """By how much what the graphs draw differs from the sampler, in 255ths, all dials at rest and, where there are any, at half. Raises CheckpointError."""
    import onnxruntime

    mapping, synthesis = (onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"]) for name in (MAPPING, SYNTHESIS))
    inputs = [value.numpy() for value in inputs_of(sampler, CHECKED)]
    w = np.asarray(mapping.run(None, dict(zip(["z", "class_weights"], inputs, strict=False)))[0])
    blocks, differences = len(sampler.card.arch.block_resolutions), list[int]()
    for gain in (1, DIALLED) if sampler.card.arch.dials else (1,):
        gains = {"gains": np.full((len(w), blocks), gain, np.float32)} if sampler.card.arch.dials else {}
        found = to_pixels(torch.from_numpy(np.asarray(synthesis.run(None, {"w": w, **gains})[0])))
        recipe = Recipe(checkpoint=sampler.card.name, seeds=CHECKED, residual_gains=(gain,) * blocks if gain != 1 else ())
        differences.append(int(abs(found.astype(int) - sampler.render(recipe)).max()))
    if max(differences) > TOLERANCE_OF_HALF:
        raise CheckpointError(
            f"What the page would draw differs from {sampler.card.name} by {max(differences)}/255, more than {TOLERANCE_OF_HALF}; "
            "its weights do not fit half precision: export it --to onnx."
        )
    return max(differences)
