"""The renderer: recipe -> w -> uint8 images. Above this file nobody needs to know about torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resgen.checkpoint import SHIPPED, Checkpoint, find_checkpoint, load_checkpoint
from resgen.errors import RecipeError, ResGenError
from resgen.latents import block_gains, direction_offsets, draw_noise, given_latents, slerp, truncate
from resgen.recipe import Recipe

Progress = Callable[[int, int], object]  # told (done, all)

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


@dataclass(frozen=True)
class Anatomy:
    """What each residual block does for one image; all pictures uint8 [blocks, R, R, 3]."""

    so_far: np.ndarray  # the image after each block
    added: np.ndarray  # what each block's residual branch changes in the finished image; grey is no change
    features: np.ndarray  # a montage of each block's first 16 feature maps


class Sampler:
    """Renders recipes with one checkpoint on one device; holds no other state, so threads may share it."""

    def __init__(self, checkpoint: Checkpoint, device: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = pick_device(device)
        self.generator = checkpoint.build().to(memory_format=torch.channels_last).to(self.device)
        self._mean_w = checkpoint.mean_w

    def render(self, recipe: Recipe, progress: Progress | None = None) -> np.ndarray:
        """Images uint8 [N, H, W, 3] of a recipe; ``progress`` is told (done, all). Raises RecipeError."""
        return self.synthesise(self.latents(recipe), self.gains(recipe), progress)

    def name(self, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
        """Of each image its seed int64 [N] (-1 for latents) and its label int64 [N] (-1 where there is no single class). Raises RecipeError."""
        if recipe.latents:
            return np.full(recipe.count, -1), np.full(recipe.count, -1)
        noise = draw_noise(recipe, self.checkpoint)
        return noise.seeds.numpy(), noise.labels.numpy()

    def latents(self, recipe: Recipe) -> np.ndarray:
        """The w of each image, float32 [N, blocks, w_dim], truncation and directions included. Raises RecipeError."""
        offsets = direction_offsets(recipe, self.checkpoint)
        if recipe.latents:
            w = truncate(given_latents(recipe, self.checkpoint), self._mean_w.mean(dim=0), recipe.truncation)
        else:
            noise = draw_noise(recipe, self.checkpoint)
            w = truncate(self._map(noise.z, noise.class_weights), self._mean(noise.class_weights), recipe.truncation)
            w = w[:, None].expand(-1, len(self.checkpoint.arch.widths), -1)
        return (w + offsets[:, None]).numpy()

    def gains(self, recipe: Recipe) -> np.ndarray:
        """Gains of the residual branches, float32 [N, blocks]. Raises RecipeError."""
        return np.tile(np.array(block_gains(recipe, self.checkpoint), np.float32), (recipe.count, 1))

    @torch.inference_mode()
    def synthesise(self, w: np.ndarray, gains: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """w [N, blocks, w_dim] and gains [N, blocks] -> images uint8 [N, H, W, 3]."""
        images = []
        for start in range(0, len(w), MICRO_BATCH):
            part = slice(start, start + MICRO_BATCH)
            batch = self.generator.synthesise(self._pad(torch.from_numpy(w[part])), self._pad(torch.from_numpy(gains[part])))
            images.append(to_pixels(batch)[: len(w) - start])
            if progress:
                progress(min(len(w), start + MICRO_BATCH), len(w))
        return np.concatenate(images)

    def between(self, stops: Sequence[Recipe], positions: Sequence[float], through_z: bool) -> tuple[np.ndarray, np.ndarray]:
        """w and gains, as `synthesise` takes them, at places between recipes of one image each; 1.5 is half-way from the second to the third.

        Through z, noise turns spherically and everything else moves in a straight line; otherwise w does. Raises RecipeError.
        """
        pairs = [(min(int(position), len(stops) - 2), position) for position in positions]
        gains = np.stack([self.gains(stop)[0] for stop in stops])
        mixed = np.stack([(1 - p + i) * gains[i] + (p - i) * gains[i + 1] for i, p in pairs]).astype(np.float32)
        if not through_z:
            w = np.stack([self.latents(stop)[0] for stop in stops])
            return np.stack([(1 - p + i) * w[i] + (p - i) * w[i + 1] for i, p in pairs]).astype(np.float32), mixed
        if any(stop.latents for stop in stops):
            raise RecipeError("An inverted image has no noise to turn: walk in a straight line through w instead.")
        drawn = [draw_noise(stop, self.checkpoint) for stop in stops]
        offsets = torch.cat([direction_offsets(stop, self.checkpoint) for stop in stops])
        psi = torch.tensor([stop.truncation for stop in stops])
        z = torch.stack([slerp(drawn[i].z[0], drawn[i + 1].z[0], p - i) for i, p in pairs])
        weights = None
        if self.checkpoint.classes:
            rows = torch.cat([noise.class_weights for noise in drawn if noise.class_weights is not None])
            weights = torch.stack([torch.lerp(rows[i], rows[i + 1], p - i) for i, p in pairs])
        w = self._map(z, weights)
        mean = self._mean(weights)
        psi_at = torch.stack([torch.lerp(psi[i], psi[i + 1], p - i) for i, p in pairs])[:, None]
        offset = torch.stack([torch.lerp(offsets[i], offsets[i + 1], p - i) for i, p in pairs])
        w = mean + psi_at * (w - mean) + offset
        return w[:, None].repeat(1, mixed.shape[1], 1).numpy(), mixed

    @torch.inference_mode()
    def anatomy(self, recipe: Recipe) -> Anatomy:
        """What each block does for the recipe's first image. Raises RecipeError."""
        w = self._pad(torch.from_numpy(self.latents(recipe)[:1]))
        gains = self._pad(torch.from_numpy(self.gains(recipe)[:1]))
        depths = list(self.generator.depths(w, gains))
        finished = depths[-1][1][:1]
        resolution = self.checkpoint.arch.resolution
        so_far = [to_pixels(_enlarge(image[:1], resolution))[0] for _, image in depths]
        added = []
        for block in range(gains.shape[1]):
            without = gains.clone()
            without[:, block] = 0
            difference = finished - self.generator.synthesise(w, without)[:1]
            added.append(to_pixels(difference / difference.abs().amax().clamp_min(1e-3))[0])
        features = [to_pixels(_montage(x[0, :16], resolution))[0] for x, _ in depths]
        return Anatomy(np.stack(so_far), np.stack(added), np.stack(features))

    @torch.inference_mode()
    def _map(self, z: Tensor, weights: Tensor | None) -> Tensor:
        """z [N, z_dim], class weights [N, classes] -> w [N, w_dim] on the CPU, in batches as `synthesise` has them."""
        rows = []
        for start in range(0, len(z), MICRO_BATCH):
            part = slice(start, start + MICRO_BATCH)
            w = self.generator.mapping(self._pad(z[part]), None if weights is None else self._pad(weights[part]))
            rows.append(w[: len(z) - start].cpu())
        return torch.cat(rows)

    def _mean(self, weights: Tensor | None) -> Tensor:
        return self._mean_w if weights is None else weights @ self._mean_w

    def _pad(self, rows: Tensor) -> Tensor:
        """Rows [n, ...] -> [MICRO_BATCH, ...] on the device, the last one repeated."""
        return torch.cat([rows, rows[-1:].expand(MICRO_BATCH - len(rows), *rows.shape[1:])]).to(self.device)


def to_pixels(images: Tensor) -> np.ndarray:
    """Images [N, 1 or 3, H, W], -1..1 -> uint8 [N, H, W, 3]."""
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()


def _enlarge(images: Tensor, resolution: int) -> Tensor:
    return torch.nn.functional.interpolate(images, (resolution, resolution), mode="nearest")


def _montage(maps: Tensor, resolution: int) -> Tensor:
    """Feature maps [<= 16, h, w] -> one image [1, 1, R, R] of 4 x 4 of them, each stretched from its least to its greatest value."""
    side = resolution // 4
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    scaled = (maps - low) / (high - low).clamp_min(1e-6) * 2 - 1
    tiles = torch.full((16, side, side), -1.0, device=maps.device)
    tiles[: len(maps)] = torch.nn.functional.interpolate(scaled[:, None], (side, side), mode="area")[:, 0]
    montage = tiles.view(4, 4, side, side).transpose(1, 2).reshape(1, 1, 4 * side, 4 * side)
    return _enlarge(montage, resolution)


def load(source: str, device: str = "auto", folder: Path = SHIPPED) -> Sampler:
    """A sampler for a checkpoint: a name in ``folder``, a path, or a Hub repository 'owner/name'. Raises CheckpointError."""
    return Sampler(load_checkpoint(find_checkpoint(source, folder)), device)
