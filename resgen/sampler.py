"""The renderer: recipe -> uint8 images. Above this file nobody needs to know about torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resgen.checkpoint import SHIPPED, Checkpoint, find_checkpoint, load_checkpoint
from resgen.errors import ResGenError
from resgen.latents import Latents, block_gains, direction_offset, draw_latents, truncate
from resgen.recipe import Recipe

# Convolution libraries choose their algorithm by batch size, and with it the last bits of a result.
# Every batch therefore has this size, padded where images are few: a seed's pixels do not depend on company.
MICRO_BATCH = 8


def pick_device(wanted: str = "auto") -> str:
    """'auto' -> CUDA, else MPS, else the CPU; any other name is checked. Raises ResGenError."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, present in available.items() if present)
    if not available.get(wanted.split(":")[0], False):
        present = ", ".join(name for name, there in available.items() if there)
        raise ResGenError(f"The device {wanted!r} is not available here; choose from: auto, {present}.")
    return wanted


class Sampler:
    """Renders recipes with one checkpoint on one device; holds no other state, so threads may share it."""

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = pick_device(device)
        self._generator = checkpoint.build().to(memory_format=torch.channels_last).to(self.device)
        self._mean_w = checkpoint.mean_w.to(self.device)

    def render(self, recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """Images uint8 [N, H, W, 3] of a recipe; ``progress`` is told (done, all). Raises RecipeError."""
        return self.render_labelled(recipe, progress)[0]

    def render_labelled(self, recipe: Recipe, progress: Callable[[int, int], None] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Images as `render`, seeds int64 [N] and labels int64 [N] (-1 where there is no single class)."""
        latents = draw_latents(recipe, self.checkpoint)
        offset = direction_offset(recipe, self.checkpoint).to(self.device)
        gains = torch.tensor(block_gains(recipe, self.checkpoint), device=self.device)
        count, images = len(latents.z), []
        for start in range(0, count, MICRO_BATCH):
            pixels = self._render_batch(latents, slice(start, start + MICRO_BATCH), recipe.truncation, offset, gains)
            images.append(pixels[: count - start])
            if progress:
                progress(min(count, start + MICRO_BATCH), count)
        return np.concatenate(images), latents.seeds.numpy(), latents.labels.numpy()

    @torch.inference_mode()
    def _render_batch(self, latents: Latents, part: slice, psi: float, offset: Tensor, gains: Tensor) -> np.ndarray:
        z = self._pad(latents.z[part])
        weights = None if latents.class_weights is None else self._pad(latents.class_weights[part])
        w = self._generator.mapping(z, weights)
        mean = self._mean_w if weights is None else weights @ self._mean_w
        images = self._generator.synthesise(truncate(w, mean, psi) + offset, gains)
        pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()

    def _pad(self, rows: Tensor) -> Tensor:
        """Rows [n, D] -> [MICRO_BATCH, D], the last one repeated."""
        return torch.cat([rows, rows[-1:].expand(MICRO_BATCH - len(rows), -1)]).to(self.device)


def load(source: str, device: str = "auto", folder: Path = SHIPPED) -> Sampler:
    """A sampler for a checkpoint: a name in ``folder``, a path, or a Hub repository 'owner/name'. Raises CheckpointError."""
    return Sampler(load_checkpoint(find_checkpoint(source, folder)), device)
