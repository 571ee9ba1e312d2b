"""`resgen train`: one step of it, and the loop with its saves.

Everything random in a step is drawn from a seed made of the run's seed and the step's number, so a run
that was killed and resumed takes the same steps as one that never stopped.
"""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet
from resgen.errors import CheckpointError, DataError
from resgen.features import Eyes, to_float
from resgen.files import clear_partials
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.precision import autocast
from resgen.train.adversary import Adversary
from resgen.train.augment import Augmentation, mirror
from resgen.train.begin import take_weights
from resgen.train.config import TrainConfig
from resgen.train.drift import Memory, describe, drift_loss
from resgen.train.parallel import Team
from resgen.train.state import HISTORY, STATE, State, capture, load_state, read_history, restore, save_state, write_history

REAL_MEMORY, FAKE_MEMORY = 3200, 1280  # images remembered of all classes together: memory bounds real ones, age the generated
MOST_REAL, MOST_FAKE = 64, 32  # of a class
OTHERS = 32  # images of any class that repel, with guidance
MILESTONES = tuple(1000 * 4**power for power in range(8))  # images after which a snapshot is kept, to show how a generator learns
DRIFT_EVERY = 2  # steps with an adversary: drift takes every second one, twice as strongly
CLASS_RATE = 3.0  # factor of the step size of a class's own latent, with an adversary: realism must not outrun the class
FROZEN_STEPS = 60  # first ones of a new adversary, in which it learns and the generator waits
HEADS_AHEAD = 0.3  # heads' loss below which they wait for the generator: heads that know everything tell it little
MAX_HALVINGS = 4  # of the step size after losses that are not finite, before a run gives up
EMA_IMAGES = 10_000  # half-life of the averaged weights
HEAD_START = 3000  # images that weights begun with count for in the average

HALF_MAX, FLOAT_MAX = torch.finfo(torch.float16).max, torch.finfo(torch.float32).max

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """One step's images of this process."""

    real: Tensor  # [groups x real, 3, R, R] in -1..1
    real_labels: Tensor
    z: Tensor  # [groups x group, z_dim]
    labels: Tensor
    changes: tuple[Augmentation, Augmentation]  # of real and of generated images, for an adversary


def generator_config(config: TrainConfig, data: ImageSet) -> GeneratorConfig:
    """The generator for this data: as many doublings as the resolution has, from a base of 4 to 7 pixels."""
    base, doublings = data.images.shape[-1], 0
    while base > 7 and base % 2 == 0:
        base, doublings = base // 2, doublings + 1
    if base > 16:
        raise CheckpointError(f"Images of {data.images.shape[-1]} pixels cannot be reached by doubling; give --resolution a power of two.")
    widths = config.widths or tuple(max(32, min(256, 64 * 2 ** (doublings - depth))) for depth in range(doublings + 1))
    if len(widths) != doublings + 1:
        raise CheckpointError(f"--widths needs {doublings + 1} numbers for images of {data.images.shape[-1]} pixels.")
    classes = len(data.classes) if len(data.classes) > 1 else 0
    return GeneratorConfig(num_classes=classes, image_channels=1 if data.is_grey else 3, base_resolution=base, widths=widths)


class Trainer:
    """Generator, averaged generator, adversary, optimisers and memories; one `step` at a time."""

    def __init__(
        self, config: TrainConfig, data: ImageSet, features: Eyes, device: str, command: str, team: Team, begun: Checkpoint | None = None
    ) -> None:
        self.config, self.device, self.team = config, torch.device(device), team
        self.features = features.freeze().to(self.device)
        self.classes = data.classes
        self.images, self.labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        self.by_class = [torch.nonzero(self.labels == c).flatten() for c in range(len(data.classes))]
        torch.manual_seed(config.seed)
        self.generator = ResNetGenerator(generator_config(config, data))
        self._start_from_background()
        if begun:
            take_weights(self.generator, begun)
        self.generator = self.generator.to(memory_format=torch.channels_last).to(self.device)  # type: ignore[call-overload]
        probe = self.features.maps(to_float(self.images[:: len(self.images) // 256 + 1].to(self.device)))
        self.map_scales = [float(m.float().square().mean().sqrt()) for m in probe]  # brings every map to unit size
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        team.share_batch_norms(self.generator)
        self.optimiser = torch.optim.Adam(self._parameter_groups(), config.lr, betas=(0.0, 0.99))
        self.adversary = self._make_adversary(probe) if config.fights else None
        classes = len(data.classes)
        self.real_memory = Memory(max(config.real, min(MOST_REAL, REAL_MEMORY // classes)))
        self.fake_memory = Memory(min(MOST_FAKE, FAKE_MEMORY // classes))
        self.steps_done = self.halvings = 0
        self.begun = begun.card.training if begun else {}  # what the card told of the weights before this run
        self.stages: list[dict[str, Any]] = [{"from_image": 0, "command": command}]

    def _start_from_background(self) -> None:
        """Let the untrained generator draw the data's median colour: Adam would take long to reach a white background from grey."""
        colour = to_float(self.images[:: len(self.images) // 1000 + 1]).transpose(0, 1).flatten(1).median(dim=1).values
        bias = self.generator.to_image[-1][-1].bias  # type: ignore[index]
        with torch.no_grad():
            bias.copy_(colour[: len(bias)])

    def _make_adversary(self, probe: list[Tensor]) -> Adversary:
        """Heads and namer for the eyes' maps, and their optimiser."""
        adversary = Adversary(self._unit(probe), self.generator.config.num_classes).to(memory_format=torch.channels_last).to(self.device)  # type: ignore[call-overload]
        self.team.share_batch_norms(adversary)
        self.heads_optimiser = torch.optim.Adam(adversary.parameter_groups(self.config.lr))
        for group in self.heads_optimiser.param_groups:
            group["first_lr"] = group["lr"]
        return adversary

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """A class's own latent moves only in the steps that draw it, so it moves the further the rarer these are."""
        own = [p for name, p in self.generator.named_parameters() if name == "mapping.embed"]
        rest = [p for name, p in self.generator.named_parameters() if name != "mapping.embed"]
        factor = max(1.0, len(self.by_class) * self.config.group / self.config.batch) * (CLASS_RATE if self.config.fights else 1)
        return [{"params": own, "factor": factor}, {"params": rest, "factor": 1.0}]

    def _unit(self, maps: list[Tensor]) -> list[Tensor]:
        return [feature_map / scale for feature_map, scale in zip(maps, self.map_scales, strict=True)]

    @property
    def images_seen(self) -> int:
        return self.steps_done * self.config.batch

    def step(self) -> dict[str, float]:
        """One update on one batch, groups of one class each; returns the losses."""
        step_seed = self.config.seed * 1_000_003 + self.steps_done + 1
        torch.manual_seed(step_seed)
        self._set_learning_rate()
        labels = self._choose_classes()
        others = self.real_memory.draw(OTHERS) if self.config.guidance else None
        batch = self._draw_batch(labels, step_seed)
        with autocast(self.device):
            fake = self._generate(batch.z, batch.labels).float()
        fights = self.adversary is not None and self.images_seen >= self.config.drift_first
        losses: dict[str, Tensor] = {}
        gradient = torch.zeros_like(fake)
        if fights:
            gradient, losses = self._resist(batch, fake)
        if self.config.drifts and not (fights and self.steps_done % DRIFT_EVERY):
            drift, losses["drift"] = self._drift(batch, fake, labels, others)
            share = DRIFT_EVERY * self.config.drift_share * self._norm(gradient) / self._norm(drift) if fights else 1.0
            gradient = gradient + share * drift
        self.optimiser.zero_grad(set_to_none=True)
        fake.backward(gradient)
        self.team.average_gradients(self.generator)
        if not fights or self.images_seen >= self.config.drift_first + FROZEN_STEPS * self.config.batch:
            self.optimiser.step()
        self.steps_done += 1
        counted = self.images_seen + (10 * HEAD_START if self.begun else 0)
        update_average(self.average, self.generator, counted, self.config.batch, EMA_IMAGES)
        return {name: self.team.mean(loss.detach()) for name, loss in losses.items()}

    def _resist(self, batch: Batch, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The adversary's gradient on the images ``fake``, and its own update. It sees only changed images, so that it knows none by heart."""
        assert self.adversary is not None
        change_real, change_fake = batch.changes
        with autocast(self.device):
            with torch.no_grad():
                real_maps = self._unit(self.features.maps(change_real(batch.real)))
            fake_maps = self._unit(self.features.maps(change_fake(fake)))
            loss, named = self.adversary.judge(fake_maps, batch.labels)
        (gradient,) = torch.autograd.grad(loss, fake)
        with autocast(self.device):
            heads, naming = self.adversary.learn(real_maps, batch.real_labels, [m.detach() for m in fake_maps], batch.labels)
        self.heads_optimiser.zero_grad(set_to_none=True)
        (naming + heads * (self.team.mean(heads.detach().clone()) > HEADS_AHEAD)).backward()
        self.team.average_gradients(self.adversary)
        self.heads_optimiser.step()
        return gradient, {"heads": heads, "named": named}

    def _drift(self, batch: Batch, fake: Tensor, labels: list[int], others: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        """The drifting loss's gradient on the images ``fake``, and the loss."""
        with autocast(self.device):
            with torch.no_grad():
                real_maps = self.features.maps(batch.real)
            fake_maps = self.features.maps(fake)
        self._remember(self.real_memory, labels, describe(batch.real, real_maps, self.map_scales), self.config.real)
        fake_parts = describe(fake, fake_maps, self.map_scales)
        mine = enumerate(labels[place] for place in self.team.share(len(labels)))
        loss = torch.stack([self._group_loss(place, label, fake_parts, others) for place, label in mine]).mean()
        self._remember(self.fake_memory, labels, fake_parts, self.config.group)
        return torch.autograd.grad(loss, fake)[0], loss

    def _norm(self, gradient: Tensor) -> float:
        """Of the whole team's gradient, up to a factor that all gradients share."""
        return self.team.mean(gradient.square().sum()) ** 0.5 + 1e-12

    def _choose_classes(self) -> list[int]:
        """A class for each group of the batch; none comes twice before all have come."""
        groups, classes = self.config.batch // self.config.group, len(self.by_class)
        return torch.cat([torch.randperm(classes) for _ in range(-(-groups // classes))])[:groups].tolist()

    def _draw_batch(self, labels: list[int], step_seed: int) -> Batch:
        """This process's share of the groups, each drawn by a seed of its own: whichever process draws it."""
        places = self.team.share(len(labels))
        draws = [self._draw(labels[place], step_seed * 1009 + place) for place in places]
        real, z, *changes = zip(*draws, strict=True)
        own = torch.tensor([labels[place] for place in places], device=self.device)
        joined = [Augmentation.join(list(parts), self.device) for parts in changes]
        return Batch(
            torch.cat(real).contiguous(memory_format=torch.channels_last),
            own.repeat_interleave(self.config.real),
            torch.cat(z),
            own.repeat_interleave(self.config.group),
            (joined[0], joined[1]),
        )

    def _draw(self, label: int, seed: int) -> tuple[Tensor, Tensor, Augmentation, Augmentation]:
        """A group's real images -1..1 [real, 3, R, R], z [group, z_dim], and how an adversary's eyes see both."""
        torch.manual_seed(seed)
        own = self.by_class[label]
        images = to_float(self.images[own[torch.randint(len(own), (self.config.real,))]].to(self.device))
        if self.config.flip:
            images = mirror(images)
        z = torch.randn(self.config.group, self.generator.config.z_dim).to(self.device)
        return images, z, Augmentation.draw(self.config.real), Augmentation.draw(self.config.group)

    def _generate(self, z: Tensor, labels: Tensor) -> Tensor:
        classes = self.generator.config.num_classes
        weights = F.one_hot(labels, classes).to(z.dtype) if classes else None
        return self.generator(z, weights).expand(-1, 3, -1, -1)

    def _group_loss(self, place: int, label: int, fake_parts: list[Tensor], others: list[Tensor] | None) -> Tensor:
        """The drifting loss of this process's group number ``place``, against what is remembered of its class."""
        size = self.config.group
        mine = [part[:, place * size : (place + 1) * size] for part in fake_parts]
        remembered = self.fake_memory.get(label) or [part[:, :0] for part in mine]
        real = self.real_memory.get(label)
        assert real is not None
        parts = zip(mine, real, remembered, others or [None] * len(mine), strict=True)
        return torch.stack([drift_loss(x, y, torch.cat([x.detach(), old], dim=1), z, self.config.guidance) for x, y, old, z in parts]).mean()

    def _remember(self, memory: Memory, labels: list[int], parts: list[Tensor], size: int) -> None:
        """Add the whole team's descriptions, ``size`` images of each of the batch's groups."""
        parts = self.team.gather([part.detach().bfloat16() for part in parts])
        for place, label in enumerate(labels):
            memory.add(label, [part[:, place * size : (place + 1) * size] for part in parts])

    def forget(self) -> None:
        """Empty the memories. Done at each save, so that a resumed run, whose memories are empty too, takes the same steps."""
        self.real_memory.clear()
        self.fake_memory.clear()

    def _set_learning_rate(self) -> None:
        left = 1 - self.images_seen / self.config.images
        caution = 0.5**self.halvings
        rate = self.config.lr * max(0.05, min(1.0, 2 * left)) * caution
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        for group in self.heads_optimiser.param_groups if self.adversary is not None else []:
            group["lr"] = group["first_lr"] * caution

    def is_sound(self) -> bool:
        """False where a weight is not finite, or too large for the half precision of a checkpoint's matrices."""
        weights = [value for module in (self.generator, self.average) for value in module.state_dict().values() if value.is_floating_point()]
        return all(bool((value.abs() <= (HALF_MAX if value.ndim > 1 else FLOAT_MAX)).all()) for value in weights)  # nan is not

    def go_back(self, good: State) -> None:
        """Take up the last good state with half of the step size. Raises DataError where that has been tried often enough."""
        seen = self.images_seen
        halvings = self.halvings + 1
        if halvings > MAX_HALVINGS:
            raise DataError(f"The training diverges, after {seen:,} images with a step size halved {MAX_HALVINGS} times: begin with a smaller --lr.")
        restore(self, good)
        self.halvings = halvings
        self.forget()
        if self.team.leads:
            log.warning("resgen: the training diverged after %d images: back to image %d, with half of the step size.", seen, self.images_seen)


@torch.no_grad()
def update_average(average: torch.nn.Module, generator: torch.nn.Module, images_seen: int, batch: int, ema_images: int) -> None:
    """Move ``average`` towards ``generator`` after a batch: an exponential mean with a half-life of ``ema_images``, shorter at the start (Karras et al. 2020)."""
    decay = 0.5 ** (batch / min(ema_images, 0.1 * images_seen))
    source = generator.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(source[name], 1 - decay)


def run(
    trainer: Trainer,
    out: Path,
    resume: bool,
    on_step: Callable[[int, dict[str, float], float], None],
    on_save: Callable[[list[dict[str, Any]]], None],
    on_milestone: Callable[[float], None],
) -> None:
    """Train to ``config.images``, saving into ``out``.

    ``on_step`` is told images seen, losses and images per second; ``on_save`` the history;
    ``on_milestone`` the seconds of training, when the images seen pass one of `MILESTONES`. Where a loss or a weight is not finite, the run
    goes back to its last save. Raises ResGenError.
    """
    rows = _begin(trainer, out, resume)
    if rows and trainer.images_seen >= trainer.config.images:
        on_save(rows)  # nothing is left to train, but the checkpoint may be written anew
    before, started, since_save = rows[-1]["seconds"] if rows else 0.0, time.monotonic(), time.monotonic()
    rate, kept, good = 0.0, [], capture(trainer)
    while trainer.images_seen < trainer.config.images:
        tick = time.monotonic()
        losses = trainer.step()
        seen, seen_before = trainer.images_seen, trainer.images_seen - trainer.config.batch
        is_milestone = any(seen_before < milestone <= seen for milestone in MILESTONES)
        saves = seen >= trainer.config.images or seen // trainer.config.save_every != seen_before // trainer.config.save_every
        if not all(map(math.isfinite, losses.values())) or ((saves or is_milestone) and not trainer.is_sound()):
            trainer.go_back(good)
            kept, since_save = [], time.monotonic()
            continue
        kept.append(losses)
        instant = trainer.config.batch / (time.monotonic() - tick)
        rate = instant if not rate else 0.95 * rate + 0.05 * instant
        on_step(seen, losses, rate)
        if is_milestone:
            on_milestone(before + time.monotonic() - started)
        if saves:
            speed = len(kept) * trainer.config.batch / (time.monotonic() - since_save)
            seconds = before + time.monotonic() - started
            rows.append({"images": seen, **_mean(kept), "images_per_second": round(speed, 1), "seconds": round(seconds, 1)})
            trainer.forget()
            good = capture(trainer)
            if trainer.team.leads:
                write_history(out / HISTORY, rows)  # first: rows beyond the state are dropped on the way back, missing ones would stay missing
                save_state(good, out / STATE)
            on_save(rows)
            kept, since_save = [], time.monotonic()


def _begin(trainer: Trainer, out: Path, resume: bool) -> list[dict[str, Any]]:
    """Take up the run in ``out`` if there is one; the rows of its history. Raises CheckpointError."""
    rows: list[dict[str, Any]] = []
    if (out / STATE).exists():
        if not resume:
            raise CheckpointError(f"{out} already holds a run: add --resume to go on with it, or choose another --out.")
        load_state(trainer, out / STATE)
        rows = [row for row in read_history(out / HISTORY) if row["images"] <= trainer.images_seen]
    if trainer.team.leads:
        clear_partials(out)
    return rows


def _mean(kept: list[dict[str, float]]) -> dict[str, float]:
    """Of each loss over the steps that had it."""
    found = {name: [losses[name] for losses in kept if name in losses] for losses in kept for name in losses}
    return {name: round(sum(values) / len(values), 4) for name, values in found.items()}
