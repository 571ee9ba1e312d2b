"""An image -> the latent that draws it: optimisation of w, one w for each block (Abdal et al. 2019), from the likeliest of many starts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from resgen.budget import MAX_PICTURE_PIXELS, USUAL_STEPS
from resgen.data import on_white, open_picture
from resgen.errors import DataError
from resgen.features import FeatureResNet
from resgen.latents import locate
from resgen.recipe import Recipe
from resgen.sampler import Sampler, to_pixels
from resgen.work import Work

CANDIDATES = 512  # random images among which the starts are looked for
STARTS = 4  # of them, improved side by side
WATCHED_STEPS = 8  # between two images that a watcher is shown
FEATURE_SHARE = 0.2  # of the steps, the first ones: all starts, and features compared too, since pixels alone get stuck far away
LR = 0.1  # of Adam
LOOKED_SIDE = 128  # pixels; features see larger images made smaller, since they learned small ones and a large one's maps take gigabytes


@dataclass(frozen=True)
class Inversion:
    """What was found for one image."""

    recipe: Recipe  # of one image: the latent
    image: np.ndarray  # uint8 [H, W, 3]: what the recipe draws
    psnr: float  # decibels, of ``image`` against the target
    losses: tuple[float, ...]  # mean squared error in -1..1 after each step


def load_photo(path: Path, resolution: int, crop: tuple[float, float, float] = (1.0, 0.5, 0.5), most: int = MAX_PICTURE_PIXELS) -> np.ndarray:
    """A PNG, JPEG, WebP, GIF, BMP or TIFF -> uint8 [R, R, 3]: upright, on white, a square of it. Raises DataError.

    ``crop``: how many times smaller the square is than the largest one, from 1, and where it lies, 0 at the left and top to 1. ``most``: pixels of the
    picture.
    """
    nearer, across, down = crop
    if not (nearer >= 1 and 0 <= across <= 1 and 0 <= down <= 1):
        raise DataError("Crop: the square lies within the picture: zoom in from 1, and move it from 0 to 1.")
    picture = open_picture(path, most)
    side = max(1, round(min(picture.size) / nearer))
    left, top = round((picture.width - side) * across), round((picture.height - side) * down)
    square = on_white(picture.crop((left, top, left + side, top + side)))
    return np.asarray(square.resize((resolution, resolution), Image.Resampling.LANCZOS))


def invert(
    target: np.ndarray,
    sampler: Sampler,
    features: FeatureResNet | None = None,
    steps: int = USUAL_STEPS,
    watch: Callable[[np.ndarray, Recipe], object] | None = None,
) -> Work[Inversion]:
    """The latent whose image is nearest to ``target``, uint8 [R, R, 3] of the generator's resolution.

    The same arguments give the same latent on one device. ``features`` guides the beginning of the way; ``watch`` is shown the best
    image so far, uint8 [R, R, 3], now and then, and its recipe; ``steps`` is at least 1.
    Raises DataError where the target has another size, ResGenError where memory is short or the GPU is lost.
    """
    if target.shape[:2] != (sampler.card.arch.resolution,) * 2:
        raise DataError(f"{sampler.card.name} draws {sampler.card.arch.resolution} pixels a side; give an image of that size.")
    with sampler.guarded():
        return (yield from _search(target, sampler, features, steps, watch))


def _search(
    target: np.ndarray, sampler: Sampler, features: FeatureResNet | None, steps: int, watch: Callable[[np.ndarray, Recipe], object] | None
) -> Work[Inversion]:
    image = torch.from_numpy(target.copy()).permute(2, 0, 1)[None].float().to(sampler.device) / 127.5 - 1
    image = image.contiguous(memory_format=torch.channels_last)
    wanted = [] if features is None else [m.detach() for m in _look(features, image)]
    w = (yield from _likely_starts(image, sampler, steps)).requires_grad_(True)
    optimiser = torch.optim.Adam([w], betas=(0.9, 0.99))
    losses, best, best_w, best_image = [], float("inf"), w.detach()[0], image
    for step in range(steps):
        looking_around = step < FEATURE_SHARE * steps
        if not looking_around and len(w) > 1:
            w = best_w[None].clone().requires_grad_(True)
            optimiser = torch.optim.Adam([w], betas=(0.9, 0.99))
        optimiser.param_groups[0]["lr"] = LR * min(1.0, (step + 1) / 10) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        drawn = _as_far_as_seen(sampler.generator.synthesise(w).expand(-1, 3, -1, -1), image)
        error = (drawn - image).square().mean(dim=(1, 2, 3))
        loss = error + 0.1 * _feature_error(features, drawn, wanted) if features is not None and looking_around else error
        least = error.detach().min().item()
        if least < best:
            nearest = error.argmin()
            best, best_w, best_image = least, w.detach()[nearest].clone(), drawn.detach()[nearest][None]
        if watch is not None and step % WATCHED_STEPS == 0:
            watch(to_pixels(best_image)[0], _recipe(sampler, best_w))
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        optimiser.step()
        losses.append(least)
        yield step + 1, steps
    recipe = _recipe(sampler, best_w)
    found = sampler.render(recipe)[0]
    return Inversion(recipe, found, psnr(found, target), tuple(losses))


def _as_far_as_seen(drawn: Tensor, image: Tensor) -> Tensor:
    """Images without what reaches beyond black where ``image`` is black, and beyond white where it is white: nobody sees that it does."""
    drawn = torch.where(image <= -1, drawn.clamp(min=-1), drawn)
    return torch.where(image >= 1, drawn.clamp(max=1), drawn)


def _recipe(sampler: Sampler, w: Tensor) -> Recipe:
    """Of one image, the latent w [blocks, w_dim]."""
    return sampler.recipe(w[None].cpu().numpy(), columns=1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of uint8 images of one shape in decibels; 99 for equal ones."""
    error = float(((a.astype(np.float64) - b.astype(np.float64)) ** 2).mean())
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def _look(features: FeatureResNet, images: Tensor) -> list[Tensor]:
    """The feature maps of images [N, 3, R, R], of at most `LOOKED_SIDE` pixels a side."""
    return features.maps(F.interpolate(images, LOOKED_SIDE, mode="area") if images.shape[-1] > LOOKED_SIDE else images)


def _feature_error(features: FeatureResNet, drawn: Tensor, wanted: list[Tensor]) -> Tensor:
    """Distance of feature maps, each scaled by the target's own strength [N]."""
    errors = [(m - t).square().mean(dim=(1, 2, 3)) / t.square().mean() for m, t in zip(_look(features, drawn), wanted, strict=True)]
    return torch.stack(errors).mean(dim=0)


@torch.no_grad()
def _likely_starts(image: Tensor, sampler: Sampler, steps: int) -> Work[Tensor]:
    """w [STARTS, blocks, w_dim] of the random images nearest to the target, compared at a quarter of the resolution and at all of it.

    Each batch that is looked at is a step, before the first of ``steps``.
    """
    recipe = Recipe(checkpoint=sampler.card.name, seeds=tuple(range(CANDIDATES)), truncation=0.8)
    points = locate(recipe, sampler.checkpoint)
    w = sampler.map(points).to(sampler.device)
    errors = []
    for drawn in sampler.batches(points):
        difference = torch.from_numpy(drawn).permute(0, 3, 1, 2).to(image) / 127.5 - 1 - image
        errors.append(difference.square().mean(dim=(1, 2, 3)) + 2 * F.avg_pool2d(difference, 4, ceil_mode=True).square().mean(dim=(1, 2, 3)))
        yield 0, steps
    return w[torch.cat(errors).argsort()[:STARTS]].clone()
