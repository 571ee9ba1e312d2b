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
from resgen.features import Eyes, to_float
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.train.augment import mirror
from resgen.train.config import TrainConfig
from resgen.train.drift import Memory, describe, drift_loss
from resgen.train.parallel import Team

STATE = "state.safetensors"
HISTORY = "history.csv"
ADJUSTABLE = {"data", "images", "lr", "guidance", "save_every"}  # settings that may change on the way
REAL_MEMORY, FAKE_MEMORY = 3200, 1280  # images remembered of all classes together: memory bounds real ones, age the generated
MOST_REAL, MOST_FAKE = 64, 32  # of a class
OTHERS = 32  # images of any class that repel, with guidance
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
    """Generator, averaged generator, optimiser and memories; one `step` at a time."""

    def __init__(self, config: TrainConfig, data: ImageSet, features: Eyes, device: str, command: str, team: Team) -> None:
        self.config, self.device, self.team = config, torch.device(device), team
        self.features = features.freeze().to(self.device)
        self.classes = data.classes
        self.images, self.labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        self.by_class = [torch.nonzero(self.labels == c).flatten() for c in range(len(data.classes))]
        torch.manual_seed(config.seed)
        arch = generator_config(config, data)
        self.generator = ResNetGenerator(arch).to(memory_format=torch.channels_last).to(self.device)
        probe = self.features.maps(to_float(self.images[:: len(self.images) // 256 + 1].to(self.device)))
        self.map_scales = [float(m.square().mean().sqrt()) for m in probe]  # brings every map to unit size
        self._start_from_background()
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        team.share_batch_norms(self.generator)
        self.optimiser = torch.optim.Adam(self._parameter_groups(), config.lr, betas=(0.0, 0.99))
        classes = len(data.classes)
        self.real_memory = Memory(max(config.real, min(MOST_REAL, REAL_MEMORY // classes)))
        self.fake_memory = Memory(min(MOST_FAKE, FAKE_MEMORY // classes))
        self.steps_done = 0
        self.stages: list[dict[str, Any]] = [{"from_image": 0, "command": command}]

    def _start_from_background(self) -> None:
        """Let the untrained generator draw the data's median colour: Adam would take long to reach a white background from grey."""
        colour = to_float(self.images[:: len(self.images) // 1000 + 1]).transpose(0, 1).flatten(1).median(dim=1).values
        bias = self.generator.to_image[-1][-1].bias  # type: ignore[index]
        with torch.no_grad():
            bias.copy_(colour[: len(bias)])

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """A class's own latent moves only in the steps that draw it, so it moves the further the rarer these are."""
        own = [p for name, p in self.generator.named_parameters() if name == "mapping.embed"]
        rest = [p for name, p in self.generator.named_parameters() if name != "mapping.embed"]
        groups = self.config.batch // self.config.group
        return [{"params": own, "factor": max(1.0, len(self.by_class) / groups)}, {"params": rest, "factor": 1.0}]

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
        places = self.team.share(len(labels))
        draws = [self._draw(labels[place], step_seed * 1009 + place) for place in places]
        real, z = (torch.cat(parts) for parts in zip(*draws, strict=True))
        mine = [labels[place] for place in places]
        with torch.autocast(self.device.type, torch.bfloat16):
            fake = self._generate(z, torch.tensor(mine, device=self.device).repeat_interleave(self.config.group))
            with torch.no_grad():
                real_maps = self.features.maps(real)
            fake_maps = self.features.maps(fake.float())
        self._remember(self.real_memory, labels, describe(real, real_maps, self.map_scales), self.config.real)
        fake_parts = describe(fake, fake_maps, self.map_scales)
        loss = torch.stack([self._group_loss(place, label, fake_parts, others) for place, label in enumerate(mine)]).mean()
        self._remember(self.fake_memory, labels, fake_parts, self.config.group)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.team.average_gradients(self.generator)
        self.optimiser.step()
        self.steps_done += 1
        update_average(self.average, self.generator, self.images_seen, self.config.batch, self.config.ema_images)
        return {"drift": self.team.mean(loss.detach())}

    def _choose_classes(self) -> list[int]:
        """A class for each group of the batch; none comes twice before all have come."""
        groups, classes = self.config.batch // self.config.group, len(self.by_class)
        return torch.cat([torch.randperm(classes) for _ in range(-(-groups // classes))])[:groups].tolist()

    def _draw(self, label: int, seed: int) -> tuple[Tensor, Tensor]:
        """A group's real images -1..1 [real, 3, R, R] and z [group, z_dim], by a seed of their own: whichever process draws them."""
        torch.manual_seed(seed)
        own = self.by_class[label]
        images = to_float(self.images[own[torch.randint(len(own), (self.config.real,))]].to(self.device))
        if self.config.flip:
            images = mirror(images).contiguous(memory_format=torch.channels_last)
        return images, torch.randn(self.config.group, self.generator.config.z_dim).to(self.device)

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
        rate = self.config.lr * max(0.05, min(1.0, 2 * left))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]

    # Saving and resuming.

    def _modules(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "average": self.average}

    def save(self, path: Path) -> None:
        """Write everything a later `load` needs, atomically."""
        tensors = {f"{key}.{name}": value for key, module in self._modules().items() for name, value in module.state_dict().items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in state.items()}
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
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, index, field = name.split(".")
                state.setdefault(int(index), {})[field] = tensor
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})


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
    ``on_milestone`` the seconds of training, when the images seen pass one of `MILESTONES`.
    """
    state, history = out / STATE, out / HISTORY
    rows: list[dict[str, Any]] = []
    if resume and state.exists():
        trainer.load(state)
        rows = [row for row in _read_history(history) if int(row["images"]) <= trainer.images_seen]
        if rows and trainer.images_seen >= trainer.config.images:
            on_save(rows)  # nothing is left to train, but the checkpoint may be written anew
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
            if trainer.team.leads:
                trainer.save(state)
                _write_history(history, rows)
            trainer.forget()
            on_save(rows)
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
