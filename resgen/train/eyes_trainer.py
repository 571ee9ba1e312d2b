"""Training in the eyes of a frozen network: the drifting loss, an adversary, or both."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resgen.architecture import class_weights
from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet
from resgen.features import Eyes, as_shown, to_float
from resgen.generator import GeneratorConfig
from resgen.precision import autocast
from resgen.train.augment import Augmentation, mirror, move
from resgen.train.config import TrainConfig
from resgen.train.contest import FROZEN_STEPS, Contest
from resgen.train.drift import Memory, describe, drift_loss
from resgen.train.initial_weights import kept_latents
from resgen.train.parallel import Team
from resgen.train.sight import Sight
from resgen.train.trainer import Trainer, fresh_generator, generator_config

REAL_MEMORY, FAKE_MEMORY = 3200, 1280  # images remembered of all classes together: memory bounds real ones, age the generated
MOST_REAL, MOST_FAKE = 64, 32  # of a class
OTHERS = 32  # images of any class that repel, with guidance
COARSE = 2  # maps at the coarse end that drift compares beside an adversary: it leads to means, and those of fine detail are soft
DRIFT_EVERY = 2  # steps with an adversary: drift takes every second one, twice as strongly
APART = 1009  # seeds, at least, that the first groups of two steps lie apart
CLASS_RATE = 3.0  # factor of the step size of a class's own latent, with an adversary: realism must not outrun the class


def group_seed(step_seed: int, place: int, groups: int) -> int:
    """The seed of a step's group number ``place`` of ``groups``, 63 bits: no two groups of steps near each other have the same."""
    return (step_seed * max(APART, groups) + place) % 2**63


@dataclass(frozen=True)
class Batch:
    """One step's images of this process."""

    real: Tensor  # [groups x real, 3, R, R] in -1..1
    real_labels: Tensor
    z: Tensor  # [groups x group, z_dim]
    labels: Tensor
    changes: tuple[Augmentation, Augmentation]  # of real and of generated images, for an adversary


class EyesTrainer(Trainer):
    """A `Trainer` with frozen eyes, an adversary, and memories of what they saw."""

    def __init__(
        self, config: TrainConfig, data: ImageSet, features: Eyes, device: str, command: str, team: Team, begun: Checkpoint | None = None
    ) -> None:
        latents: dict[str, Any] = {}
        if begun is not None:
            assert isinstance(begun.card.arch, GeneratorConfig)
            latents = kept_latents(begun.card.arch, len(data.classes))
        generator = fresh_generator(generator_config(config, data, **latents), data, config.seed)
        # A class's own latent moves only in the steps that draw it, so it moves the further the rarer these are.
        rarity = max(1.0, len(data.classes) * config.group / config.batch)
        rare = "mapping.embed", rarity * (CLASS_RATE if config.fights else 1)
        super().__init__(config, generator, rare, data, device, command, team, begun)
        self.by_class = [torch.nonzero(self.labels == c).flatten() for c in range(len(data.classes))]
        self.sight = Sight(features, self.images, self.device)
        if config.fights:
            self.contest = Contest(self.sight.probe, self.generator.config.num_classes, config, team)
        classes = len(data.classes)
        self.real_memory = Memory(max(config.real, min(MOST_REAL, REAL_MEMORY // classes)))
        self.fake_memory = Memory(min(MOST_FAKE, FAKE_MEMORY // classes))
        self.offset = torch.zeros(2, 1, device=self.device)  # 0..1, as `move` takes it

    def step(self) -> dict[str, float]:
        """One update on one batch, groups of one class each; returns the losses."""
        step_seed = self.begin_step()
        fights, began = self._fights(self.images_seen), self._fights(self.images_seen - self.config.batch)
        if fights and not began:
            self.forget()  # what is remembered has more parts
        labels = self._choose_classes()
        others = self.real_memory.draw(OTHERS) if self.config.guidance else None
        offset = torch.rand(2, 1, device=self.device)
        if self.real_memory.is_empty:
            self.offset = offset
        batch = self._draw_batch(labels, step_seed)
        with autocast(self.device):
            fake = as_shown(self._generate(batch.z, batch.labels).float())
        losses: dict[str, Tensor] = {}
        gradient = torch.zeros_like(fake)
        if fights:
            gradient, losses = self._resist(batch, fake)
        if self.config.drifts and not (fights and self.steps_done % DRIFT_EVERY):
            finest = max(0, len(self.sight.probe) - 1 - COARSE) if fights else 0
            drift, losses["drift"] = self._drift(batch, fake, labels, others, finest)
            share = DRIFT_EVERY * self.config.drift_share * self.team.norm(gradient) / self.team.norm(drift) if fights else 1.0
            gradient = gradient + share * drift
        waits = fights and self.images_seen < self.config.drift_first + FROZEN_STEPS * self.config.batch
        return self.follow(fake, gradient, losses, waits)

    def _fights(self, images_seen: int) -> bool:
        """True where the step after so many images has an adversary."""
        return self.contest is not None and images_seen >= self.config.drift_first

    def _resist(self, batch: Batch, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What an adversary makes of the images ``fake``: their gradient, and losses. It sees only changed images, so that it knows none by heart."""
        assert self.contest is not None
        change_real, change_fake = batch.changes
        with autocast(self.device):
            with torch.no_grad():
                of_real = self.sight.look(change_real(batch.real))
            of_fake = self.sight.look(change_fake(fake))
        return self.contest.resist(fake, of_fake, batch.labels, of_real, batch.real_labels, self.caution)

    def _drift(self, batch: Batch, fake: Tensor, labels: list[int], others: list[Tensor] | None, finest: int) -> tuple[Tensor, Tensor]:
        """The drifting loss's gradient on the images ``fake`` in maps from number ``finest`` on, and the loss.

        Eyes see all images moved by one `offset`: their maps' grid would leave its print, were it always the same on the image. It changes
        when the memories are emptied, since what is moved otherwise is no company.
        """
        with autocast(self.device):
            with torch.no_grad():
                real_maps = self.sight.maps(move(batch.real, self.offset.expand(-1, len(batch.real))))
            fake_maps = self.sight.maps(move(fake, self.offset.expand(-1, len(fake))))
        self._remember(self.real_memory, labels, describe(batch.real, real_maps, finest), self.config.real)
        fake_parts = describe(fake, fake_maps, finest)
        mine = enumerate(labels[place] for place in self.team.share(len(labels)))
        loss = torch.stack([self._group_loss(place, label, fake_parts, others) for place, label in mine]).mean()
        self._remember(self.fake_memory, labels, fake_parts, self.config.group)
        return torch.autograd.grad(loss, fake)[0], loss

    def _choose_classes(self) -> list[int]:
        """A class for each group of the batch; none comes twice before all have come."""
        groups, classes = self.config.batch // self.config.group, len(self.by_class)
        return torch.cat([torch.randperm(classes) for _ in range(-(-groups // classes))])[:groups].tolist()

    def _draw_batch(self, labels: list[int], step_seed: int) -> Batch:
        """This process's share of the groups, each drawn by a seed of its own: whichever process draws it."""
        places = self.team.share(len(labels))
        draws = [self._draw(labels[place], group_seed(step_seed, place, len(labels))) for place in places]
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
        return self.generator(z, class_weights(labels, self.generator.config.num_classes)).expand(-1, 3, -1, -1)

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
