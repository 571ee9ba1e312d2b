"""`resgen train`: the loop, its saves and its resumption.

Everything random in a step is drawn from a seed made of the run's seed and the step's number, so a run
that was killed and resumed takes the same steps as one that never stopped.
"""

import copy
import csv
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from resgen.data import ImageSet
from resgen.errors import CheckpointError
from resgen.features import FeatureResNet, to_float
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.train.augment import diff_augment, mirror
from resgen.train.config import TrainConfig
from resgen.train.discriminator import GROUP, Discriminator
from resgen.train.losses import discriminator_loss, energy_distance, generator_loss, gradient_penalty

STATE = "state.safetensors"
HISTORY = "history.csv"
ADJUSTABLE = {"data", "images", "lr", "gamma", "energy", "classify", "augment", "save_every"}  # settings that may change on the way
NOISE = 0.1  # of the gradient penalty, in units of the feature maps' own size
GAMMA_SETTLES = 24_000  # images until the penalty's weight is that of the settings
PENALTY_EVERY = 4  # steps; its weight makes up for it (lazy regularisation, Karras et al. 2020)
MILESTONES = tuple(1000 * 4**power for power in range(8))  # images after which a snapshot is kept, to show how a generator learns


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
    """Generator, discriminator, averaged generator and their optimisers; one `step` at a time."""

    def __init__(self, config: TrainConfig, data: ImageSet, features: FeatureResNet, device: str, command: str) -> None:
        self.config, self.device = config, torch.device(device)
        self.features = features.freeze().to(self.device)
        self.classes = data.classes
        self.images, self.labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        self.by_class = [torch.nonzero(self.labels == c).flatten() for c in range(len(data.classes))]
        torch.manual_seed(config.seed)
        arch = generator_config(config, data)
        if config.classify and features.config.num_classes != arch.num_classes:
            raise CheckpointError("--classify needs a feature network trained on the same classes.")
        self.generator = ResNetGenerator(arch).to(memory_format=torch.channels_last).to(self.device)
        probe = self.features.maps(to_float(self.images[:: len(self.images) // 256 + 1].to(self.device)))
        shapes = [(m.shape[1], m.shape[2]) for m in probe]
        self.map_scales = [float(m.square().mean().sqrt()) for m in probe]  # brings every map to unit size
        self.discriminator = Discriminator(shapes, arch.num_classes, config.head_width).to(self.device)
        self.discriminator.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.optimiser_g = torch.optim.Adam(self.generator.parameters(), config.lr, betas=(0.0, 0.99))
        self.optimiser_d = torch.optim.Adam(self.discriminator.parameters(), config.lr, betas=(0.0, 0.99))
        self.steps_done = 0
        self.stages: list[dict[str, Any]] = [{"from_image": 0, "command": command}]

    @property
    def images_seen(self) -> int:
        return self.steps_done * self.config.batch

    def step(self) -> dict[str, float]:
        """One update of both networks on one batch; returns the losses."""
        torch.manual_seed(self.config.seed * 1_000_003 + self.steps_done + 1)
        self._set_learning_rate()
        real, labels = self._draw_batch()
        conditions = labels if self.generator.config.num_classes else None
        with torch.autocast(self.device.type, torch.bfloat16):
            fake = self._generate(labels)
            with torch.no_grad():
                real_maps = self.features.maps(diff_augment(real, self.config.augment))
            fake_maps = self.features.maps(diff_augment(fake.float(), self.config.augment))

            # Discriminator, on the generator's present images.
            maps = [torch.cat([r, f.detach()]) / s for r, f, s in zip(real_maps, fake_maps, self.map_scales, strict=True)]
            both = None if conditions is None else conditions.repeat(2)
            logits = self.discriminator(maps, both)
            real_logits, fake_logits = logits.chunk(2, dim=1)
            loss_d = discriminator_loss(real_logits, fake_logits)
            penalty = torch.zeros((), device=self.device)
            if self.steps_done % PENALTY_EVERY == 0:
                shaken = self.discriminator([m + NOISE * torch.randn_like(m) for m in maps], both)
                penalty = PENALTY_EVERY * gradient_penalty(logits, shaken, NOISE)
        self.optimiser_d.zero_grad(set_to_none=True)
        (loss_d + self._gamma() * penalty).backward()
        self.optimiser_d.step()

        # Generator, on the same images and feature maps: only the heads run again.
        self.discriminator.requires_grad_(False)
        with torch.autocast(self.device.type, torch.bfloat16):
            maps = [f / s for f, s in zip(fake_maps, self.map_scales, strict=True)]
            loss_g = generator_loss(real_logits.detach(), self.discriminator(maps, conditions))
        pairs = zip(real_maps[1:], fake_maps[1:], strict=True)
        loss_e = torch.stack([energy_distance(_summary(r), _summary(f), labels) for r, f in pairs]).sum()
        loss_c = self._class_loss(fake_maps[-1], conditions)
        self.optimiser_g.zero_grad(set_to_none=True)
        (loss_g + self.config.energy * loss_e + self.config.classify * loss_c).backward()
        self.optimiser_g.step()
        self.discriminator.requires_grad_(True)

        self.steps_done += 1
        self._update_average()
        return {"loss_d": loss_d.item(), "penalty": penalty.item(), "loss_g": loss_g.item(), "energy": loss_e.item(), "class": loss_c.item()}

    def _class_loss(self, deepest: Tensor, conditions: Tensor | None) -> Tensor:
        """Cross-entropy of the frozen network's own classes on generated images (Odena et al. 2017), in a run's second half.

        From the first image it would gather each class into one picture; later, shapes and their variety are there to stay.
        """
        if conditions is None or not self.config.classify or self.images_seen < self.config.images / 2:
            return torch.zeros((), device=self.device)
        logits = self.features.classify(deepest.float().mean(dim=(2, 3)))
        return F.cross_entropy(logits, conditions)

    def _draw_batch(self) -> tuple[Tensor, Tensor]:
        """Real images -1..1 [batch, 3, R, R] and labels [batch], each group of neighbours of one class."""
        classes = torch.randint(len(self.by_class), (self.config.batch // GROUP,))
        picks = torch.cat([self.by_class[c][torch.randint(len(self.by_class[c]), (GROUP,))] for c in classes.tolist()])
        real = to_float(self.images[picks].to(self.device))
        return mirror(real) if self.config.flip else real, self.labels[picks].to(self.device)

    def _generate(self, labels: Tensor) -> Tensor:
        arch = self.generator.config
        z = torch.randn(len(labels), arch.z_dim).to(self.device)
        weights = F.one_hot(labels, arch.num_classes).to(z.dtype) if arch.num_classes else None
        return self.generator(z, weights).expand(-1, 3, -1, -1)

    def _gamma(self) -> float:
        """The penalty's weight: eight times as strong at the start, while the discriminator has it easy."""
        begun = self.images_seen / GAMMA_SETTLES
        return self.config.gamma * max(1.0, 8.0 - 7.0 * begun)

    def _set_learning_rate(self) -> None:
        left = 1 - self.images_seen / self.config.images
        rate = self.config.lr * max(0.05, min(1.0, 2 * left))
        for optimiser in (self.optimiser_g, self.optimiser_d):
            for group in optimiser.param_groups:
                group["lr"] = rate

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average of the generator, shorter at the start (Karras et al. 2020)."""
        half_life = min(self.config.ema_images, 0.1 * self.images_seen)
        decay = 0.5 ** (self.config.batch / half_life)
        source = self.generator.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(source[name], 1 - decay)

    # Saving and resuming.

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"g": self.generator, "d": self.discriminator, "average": self.average}

    def save(self, path: Path) -> None:
        """Write everything a later `load` needs, atomically."""
        tensors = {f"{key}.{name}": value for key, module in self._modules().items() for name, value in module.state_dict().items()}
        for key, optimiser in (("adam_g", self.optimiser_g), ("adam_d", self.optimiser_d)):
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{key}.{index}.{name}": value for name, value in state.items()}
        header = {"steps": self.steps_done, "config": asdict(self.config), "stages": self.stages}
        partial = path.with_name(path.name + ".part")
        save_file({name: value.contiguous().clone() for name, value in tensors.items()}, partial, {"resgen-training": json.dumps(header)})
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Take up a run where `save` left it; raises CheckpointError where a setting that has shaped it differs.

        Other settings may be changed on the way: that begins a new stage, which the card tells.
        """
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["resgen-training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        wanted = json.loads(json.dumps(asdict(self.config)))
        changed = {name for name, value in wanted.items() if header["config"].get(name) != value}
        if fixed := sorted(changed - ADJUSTABLE):
            raise CheckpointError(f"{path.parent} was begun with another {', '.join(fixed)}; resume with the same settings or choose another --out.")
        self.steps_done = header["steps"]
        stage = {"from_image": self.images_seen, "command": self.stages[0]["command"]}
        self.stages = header["stages"] + ([stage] if changed - {"data", "save_every"} else [])
        for key, module in self._modules().items():
            module.load_state_dict({n.removeprefix(key + "."): t for n, t in tensors.items() if n.startswith(key + ".")})
        for key, optimiser in (("adam_g", self.optimiser_g), ("adam_d", self.optimiser_d)):
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                if name.startswith(key + "."):
                    _, index, field = name.split(".")
                    state.setdefault(int(index), {})[field] = tensor
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _summary(feature_map: Tensor) -> Tensor:
    """A feature map as one vector [N, channels * 16]: pooled to at most 4 x 4 positions."""
    size = min(4, feature_map.shape[-1])
    return F.adaptive_avg_pool2d(feature_map, size).flatten(1).float()


def run(
    trainer: Trainer,
    out: Path,
    resume: bool,
    on_step: Callable[[int, dict[str, float], float], None],
    on_save: Callable[[dict[str, Any]], None],
    on_milestone: Callable[[float], None],
) -> None:
    """Train to ``config.images``, saving into ``out``.

    ``on_step`` is told images seen, losses and images per second; ``on_save`` the row added to the history;
    ``on_milestone`` the seconds of training, when the images seen pass one of `MILESTONES`.
    """
    state, history = out / STATE, out / HISTORY
    rows: list[dict[str, Any]] = []
    if resume and state.exists():
        trainer.load(state)
        rows = [row for row in _read_history(history) if int(row["images"]) <= trainer.images_seen]
    elif state.exists():
        raise CheckpointError(f"{out} already holds a run: add --resume to go on with it, or choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    before, started, since_save = float(rows[-1]["seconds"]) if rows else 0.0, time.monotonic(), time.monotonic()
    rate, kept = 0.0, []
    while trainer.images_seen < trainer.config.images:
        tick = time.monotonic()
        losses = trainer.step()
        kept.append(losses)
        instant = trainer.config.batch / (time.monotonic() - tick)
        rate = instant if not rate else 0.95 * rate + 0.05 * instant
        on_step(trainer.images_seen, losses, rate)
        seen, seen_before = trainer.images_seen, trainer.images_seen - trainer.config.batch
        if any(seen_before < milestone <= seen for milestone in MILESTONES):
            on_milestone(before + time.monotonic() - started)
        if seen >= trainer.config.images or seen // trainer.config.save_every != seen_before // trainer.config.save_every:
            mean = {key: round(sum(entry[key] for entry in kept) / len(kept), 4) for key in losses}
            speed = len(kept) * trainer.config.batch / (time.monotonic() - since_save)
            rows.append(
                {
                    "images": trainer.images_seen,
                    **mean,
                    "images_per_second": round(speed, 1),
                    "seconds": round(before + time.monotonic() - started, 1),
                }
            )
            trainer.save(state)
            _write_history(history, rows)
            on_save(rows[-1])
            kept, since_save = [], time.monotonic()


def _read_history(path: Path) -> list[dict[str, Any]]:
    """Its rows; none where a kill came between the first state and its history."""
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)
