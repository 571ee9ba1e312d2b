"""The renderer: points in latent space -> w -> uint8 images. Above this file nobody needs to know about torch."""

import logging
import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.architecture import Architecture
from resgen.architecture import Generator as Network
from resgen.checkpoint import Checkpoint
from resgen.errors import RecipeError, ResGenError, ShortageError, enough_memory, why
from resgen.folded import FoldedGenerator, Memory, Remembering
from resgen.generator import ResNetGenerator
from resgen.latents import Points, block_gains, find_direction, locate
from resgen.precision import draw_exactly
from resgen.recipe import Recipe, pack_vector
from resgen.work import Progress, Work, finish

# Convolution libraries choose their algorithm by batch size, and with it the last bits of a result.
# Every batch of a generator therefore has one size, padded where images are few: a seed's pixels do not depend on company. It follows from the
# architecture alone, so that the features of a batch have a few hundred megabytes at most.
MICRO_BATCH = 8
SHORT_SECONDS = 60.0  # that images are drawn one by one before whole batches are tried again: others may have given memory back
_LOST = re.compile("(CUDA|HIP) error", re.IGNORECASE)
BATCH_FEATURES = 2**24  # numbers after a block: 8 images of 64 channels at 181 pixels
GPU_LOST = "the GPU was lost: restart the studio to use it again"

T = TypeVar("T")
log = logging.getLogger(__name__)
gpu_lost = Event()  # set once a GPU has failed: from then on it fails in all that this process asks of it


def micro_batch(arch: Architecture) -> int:
    """How many images of a generator are drawn at once, 1..`MICRO_BATCH`."""
    return max(1, min(MICRO_BATCH, BATCH_FEATURES // max(1, arch.features)))


def pick_device(wanted: str = "auto") -> str:
    """'auto' -> CUDA, else MPS, else the CPU; any other name is checked. Raises ResGenError."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, present in available.items() if present)
    kind, _, index = wanted.partition(":")
    known = available.get(kind, False) and (not index or (kind == "cuda" and bool(re.fullmatch(r"\d{1,2}", index, re.ASCII))))
    if not known or wanted.endswith(":") or (index and int(index) >= torch.cuda.device_count()):
        present = ", ".join(name for name, there in available.items() if there)
        raise ResGenError(f"The device {wanted[:40]!r} is not available here; choose from: auto, {present}.")
    return wanted


class DeviceLostError(ResGenError):
    """The GPU has failed, and the CPU has taken its place: what was under way is to be begun again."""


@contextmanager
def room_for(name: str) -> Generator[None]:
    """Raise ShortageError where memory for the generator ``name`` is short; what torch keeps of a GPU's for later is given back then."""
    try:
        with enough_memory("choose a smaller generator, or close other programs", f"to draw with {name}"):
            yield
    except ShortageError:
        if torch.cuda.is_available() and not gpu_lost.is_set():
            torch.cuda.empty_cache()
        raise


def _is_device_loss(error: RuntimeError) -> bool:
    """Whether an error says that the GPU failed, and not what was asked of it."""
    return type(error).__name__ == "AcceleratorError" or bool(_LOST.search(str(error)))  # of which torch before 2.8 knows the text alone


def _note_device_loss(device: str, error: RuntimeError) -> None:
    """Remember that the GPU failed. Raises ``error`` where it tells of anything else."""
    if device == "cpu" or not _is_device_loss(error):
        raise error
    if not gpu_lost.is_set():
        gpu_lost.set()
        log.warning("The CPU draws from now on, since %s (%s)", GPU_LOST, why(error))


class Place(NamedTuple):
    """A generator on a device."""

    device: str
    generator: Network
    drawing: Any  # what synthesises as it does, sooner where it can be folded


@dataclass(frozen=True)
class Anatomy:
    """What each block does for one image; all pictures uint8 [blocks, R, R, 3]; the first two are empty where no block can be dialled."""

    so_far: np.ndarray  # the image after each block
    added: np.ndarray  # what each block's residual branch changes in the finished image; grey is no change
    features: np.ndarray  # a montage of each block's first 16 feature maps


@dataclass(frozen=True)
class Stand:
    """Of a recipe's images, float32: w = centre + psi x (mapped - centre) + offsets."""

    mapped: np.ndarray  # [N, blocks, w_dim]
    centre: np.ndarray  # [N, w_dim]: what truncation draws w to
    offsets: np.ndarray  # [N, w_dim]: what directions add


class Sampler:
    """Draws points with one checkpoint on one device, or on the CPU once that is lost; threads may share it.

    Several may share a ``memory`` of what they drew last. Raises ResGenError where the device is not there, or memory is short.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", memory: Memory | None = None) -> None:
        self.checkpoint, self.card = checkpoint, checkpoint.card
        self.micro_batch = micro_batch(checkpoint.card.arch)
        self.shortage = ""  # how it draws since memory was short, in words
        self._again = 0.0  # when whole batches are tried again
        self._memory = memory or Memory()
        device = pick_device(device)
        try:
            self._place = self._place_on(device)
        except RuntimeError as error:
            _note_device_loss(device, error)
            self._place = self._place_on("cpu")

    @property
    def bytes(self) -> int:
        """What it takes of memory, roughly: its weights as the checkpoint holds them, and once more in the order in which they are drawn with."""
        return 2 * sum(weight.nbytes for weight in self.checkpoint.weights.values())

    @property
    def device(self) -> str:
        return self._place.device

    @property
    def generator(self) -> Network:
        return self._place.generator

    @property
    def where(self) -> str:
        """Where and how it draws, in words."""
        return self.shortage or (f"on CPU, since {GPU_LOST}" if gpu_lost.is_set() else f"on {self.device.upper()}")

    @torch.inference_mode(False)  # what is made there cannot be searched with
    def _place_on(self, device: str) -> Place:
        draw_exactly()
        with room_for(self.card.name):
            generator = self.checkpoint.build().to(memory_format=torch.channels_last).to(device)
            if not isinstance(generator, ResNetGenerator):
                return Place(device, generator, generator)
            return Place(device, generator, Remembering(FoldedGenerator(generator), f"{self.checkpoint.sha256} {device}", self._memory))

    @contextmanager
    def guarded(self) -> Generator[Place]:
        """Where the generator is used: raises ShortageError where memory is short, DeviceLostError where its device is lost; from then on it is on the CPU."""
        place = self._place
        try:
            with room_for(self.card.name):
                yield place
        except RuntimeError as error:
            _note_device_loss(place.device, error)
            if self._place is place:  # else another thread was sooner
                self._place = self._place_on("cpu")
            raise DeviceLostError("The GPU was lost while this was under way: ask for it again, and the CPU does it.") from error

    def _made(self, make: Callable[[Place], T]) -> T:
        """What ``make`` makes with the generator, made anew where its device is lost. Raises ShortageError."""
        with suppress(DeviceLostError), self.guarded() as place:
            return make(place)
        with self.guarded() as place:
            return make(place)

    def _made_somewhere(self, make: Callable[[Place], T]) -> T:
        """`_made`, on the CPU where memory is short on its device. Raises ShortageError where it is short there, too."""
        try:
            return self._made(make)
        except ShortageError:
            if self.device == "cpu":
                raise
        with room_for(self.card.name):
            return make(self._place_on("cpu"))

    def render(self, recipe: Recipe, progress: Progress | None = None) -> np.ndarray:
        """Images uint8 [N, R, R, 3] of a recipe, by this checkpoint whichever the recipe names. Raises RecipeError, or ResGenError where memory is short."""
        return finish(self.draw(locate(recipe, self.checkpoint)), progress)

    def latents(self, recipe: Recipe) -> np.ndarray:
        """The w of each image of a recipe, float32 [N, blocks, w_dim], truncation and directions included. Raises RecipeError."""
        return self.map(locate(recipe, self.checkpoint)).numpy()

    def direction(self, name: str) -> np.ndarray:
        """What a step of one standard deviation along a direction adds to w, float32 [w_dim]. Raises RecipeError where there is none of that name."""
        return find_direction(name, Recipe(), self.checkpoint).numpy().copy()  # the checkpoint's own stays as it is

    def recipe(self, w: np.ndarray, **fields: Any) -> Recipe:
        """The recipe of images by their w, [N, blocks, w_dim] as `latents` gives it, in half precision; ``fields`` are others of a `Recipe`.

        Raises RecipeError.
        """
        self._check_latents(w)
        return Recipe(checkpoint=self.card.name, latents=tuple(pack_vector(own.ravel().tolist()) for own in w), **fields)

    def draw_latents(self, w: np.ndarray, gains: Sequence[float] = ()) -> np.ndarray:
        """Images uint8 [N, R, R, 3] by their w, [N, blocks, w_dim] as `latents` gives it: any number of them, each as exact as it is given.

        ``gains`` are those of a `Recipe`. Raises RecipeError, or ResGenError where memory is short.
        """
        self._check_latents(w)
        rows = torch.tensor(block_gains(Recipe(residual_gains=tuple(gains)), self.card)).expand(len(w), -1)
        return np.concatenate(list(self._batches(torch.tensor(w, dtype=torch.float32), rows)))

    def _check_latents(self, w: np.ndarray) -> None:
        """Raise RecipeError where these are not the w of images."""
        shape = len(self.card.arch.block_resolutions), self.card.arch.w_dim
        if w.shape[1:] != shape or not len(w):
            raise RecipeError(f"Latents of {self.card.name} have the shape [images, {shape[0]}, {shape[1]}], and not {list(w.shape)}.")

    def stand(self, recipe: Recipe) -> Stand:
        """Where the images of a recipe stand, and what draws and moves them. Raises RecipeError."""
        points = locate(recipe, self.checkpoint)
        bare = replace(points, offsets=torch.zeros_like(points.offsets))
        mapped, centre = (self.map(replace(bare, psi=torch.full_like(points.psi, psi))).numpy() for psi in (1, 0))
        return Stand(mapped, centre[:, 0], points.offsets.numpy())

    def draw(self, points: Points) -> Work[np.ndarray]:
        """Images uint8 [N, R, R, 3] of points, in steps of a micro-batch. Raises ResGenError where memory is short."""
        images: list[np.ndarray] = []
        for batch in self.batches(points):
            images.append(batch)
            yield sum(map(len, images)), len(points)
        return np.concatenate(images)

    def batches(self, points: Points) -> Iterator[np.ndarray]:
        """The images of points, uint8 [n, H, W, 3] at a time, each batch drawn when it is asked for."""
        yield from self._batches(self.map(points), points.gains)

    def _batches(self, w: Tensor, gains: Tensor) -> Iterator[np.ndarray]:
        for start in range(0, len(w), self.micro_batch):
            part = slice(start, start + self.micro_batch)
            yield self._draw_batch(w[part], gains[part])

    @torch.inference_mode()
    def map(self, points: Points) -> Tensor:
        """The w [N, blocks, w_dim] of points, on the CPU: mapped or given, drawn towards the mean by psi, moved."""
        parts = (slice(start, start + self.micro_batch) for start in range(0, len(points.z), self.micro_batch))
        sources = torch.cat([self._made_somewhere(partial(self._map_batch, points, part)) for part in parts])
        block = torch.arange(sources.shape[1])
        return torch.lerp(sources[points.first, block], sources[points.second, block], points.share[:, None, None])

    def _map_batch(self, points: Points, part: slice, place: Place) -> Tensor:
        """The w [n, blocks, w_dim] of a micro-batch of sources."""
        z, weights, mapped = points.z[part], points.class_weights[part], points.mapped[part, None, None]
        w = place.generator.map(self._pad(z, place), self._pad(weights, place) if self.card.classes else None)[: len(z)].cpu()
        mean_w = self.checkpoint.mean_w
        own_mean = (self._pad(weights) @ mean_w)[: len(z), None] if self.card.classes else mean_w.expand(len(z), -1)[:, None]
        mean = torch.where(mapped, own_mean, mean_w.mean(dim=0))
        w = torch.where(mapped, w, points.given[part])
        # Drawn towards the mean (Karras et al. 2019, section B): psi = 1 leaves w, 0 gives the mean.
        return mean + points.psi[part, None, None] * (w - mean) + points.offsets[part, None]

    @torch.inference_mode()
    def _draw_batch(self, w: Tensor, gains: Tensor) -> np.ndarray:
        if not self.shortage or time.monotonic() >= self._again:
            with suppress(ShortageError):
                drawn = self._made(partial(self._draw_whole, w, gains))
                self.shortage = ""
                return drawn
            self._again = time.monotonic() + SHORT_SECONDS
        return self._made_somewhere(partial(self._draw_alone, w, gains))

    def _draw_whole(self, w: Tensor, gains: Tensor, place: Place) -> np.ndarray:
        return to_pixels(place.drawing.synthesise(self._pad(w, place), self._pad(gains, place)))[: len(w)]

    def _draw_alone(self, w: Tensor, gains: Tensor, place: Place) -> np.ndarray:
        """Image by image. The last bits may differ from those of a whole batch, as between devices."""
        self.shortage = f"one by one on {place.device.upper()}, since memory is short"
        rows = (slice(row, row + 1) for row in range(len(w)))
        return np.concatenate([to_pixels(place.drawing.synthesise(w[row].to(place.device), gains[row].to(place.device))) for row in rows])

    def anatomy(self, points: Points) -> Anatomy:
        """What each block does for the first of the points. Raises ResGenError where memory is short."""
        w = self.map(points)[:1]
        return self._made_somewhere(partial(self._anatomy, w, points.gains[:1]))

    @torch.inference_mode()
    def _anatomy(self, w: Tensor, gains: Tensor, place: Place) -> Anatomy:
        resolution, blocks = self.card.arch.resolution, gains.shape[1]
        rows = torch.cat([gains, gains * (1 - torch.eye(blocks))])  # the image itself, then one row for each block that is left out
        first, *rest = (self._pad(rows[start : start + self.micro_batch], place) for start in range(0, len(rows), self.micro_batch))
        depths = list(place.generator.depths(self._pad(w, place), first))
        features = np.stack([to_pixels(_montage(x[0, :16], resolution))[0] for x, _ in depths])
        if not self.card.arch.dials:
            return Anatomy(features[:0], features[:0], features)
        images = [image for _, image in depths if image is not None]
        so_far = [to_pixels(_enlarge(image[:1], resolution))[0] for image in images]
        finished = torch.cat([images[-1], *(place.drawing.synthesise(self._pad(w, place), part) for part in rest)])
        changes = finished[:1] - finished[1 : len(rows)]
        changes /= changes.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
        return Anatomy(np.stack(so_far), to_pixels(changes), features)

    def _pad(self, rows: Tensor, place: Place | None = None) -> Tensor:
        """Rows [n, ...] -> [micro_batch, ...], where ``place`` is or else where they are, the last one repeated."""
        padded = torch.cat([rows, rows[-1:].expand(self.micro_batch - len(rows), *rows.shape[1:])])
        return padded.to(place.device) if place else padded


def to_pixels(images: Tensor) -> np.ndarray:
    """Images [N, 1 or 3, H, W], -1..1 -> uint8 [N, H, W, 3]."""
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).cpu().numpy()


def _enlarge(images: Tensor, resolution: int) -> Tensor:
    return F.interpolate(images, (resolution, resolution), mode="nearest")


def _montage(maps: Tensor, resolution: int) -> Tensor:
    """Feature maps [<= 16, h, w] -> one image [1, 1, R, R] of 4 x 4 of them, each stretched from its least to its greatest value."""
    side = resolution // 4
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    scaled = (maps - low) / (high - low).clamp_min(1e-6) * 2 - 1
    tiles = torch.full((16, side, side), -1.0, device=maps.device)
    tiles[: len(maps)] = F.interpolate(scaled[:, None], (side, side), mode="area")[:, 0]
    montage = tiles.view(4, 4, side, side).transpose(1, 2).reshape(1, 1, 4 * side, 4 * side)
    return _enlarge(montage, resolution)
