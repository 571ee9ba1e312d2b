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
from resgen.train.augment import mirror
from resgen.train.config import TrainConfig
from resgen.train.drift import Memory, describe, drift_loss

STATE = "state.safetensors"
HISTORY = "history.csv"
ADJUSTABLE = {"data", "images", "lr", "guidance", "save_every"}  # settings that may change on the way
REAL_MEMORY, FAKE_MEMORY = 640, 320  # images remembered of all classes together
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

    def __init__(self, config: TrainConfig, data: ImageSet, features: FeatureResNet, device: str, command: str) -> None:
        self.config, self.device = config, torch.device(device)
        self.features = features.freeze().to(self.device)
        self.classes = data.classes
        self.images, self.labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        self.by_class = [torch.nonzero(self.labels == c).flatten() for c in range(len(data.classes))]
        torch.manual_seed(config.seed)
        arch = generator_config(config, data)
        self.generator = ResNetGenerator(arch).to(memory_format=torch.channels_last).to(self.device)
        probe = self.features.maps(to_float(self.images[:: len(self.images) // 256 + 1].to(self.device)))
        self.map_scales = [float(m.square().mean().sqrt()) for m in probe]  # brings every map to unit size
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.generator.parameters(), config.lr, betas=(0.0, 0.99))
        self.real_memory = Memory(max(config.real, REAL_MEMORY // max(10, len(data.classes))))
        self.fake_memory = Memory(FAKE_MEMORY // max(10, len(data.classes)))
        self.steps_done = 0
        self.stages: list[dict[str, Any]] = [{"from_image": 0, "command": command}]

    @property
    def images_seen(self) -> int:
        return self.steps_done * self.config.batch

    def step(self) -> dict[str, float]:
        """One update on one batch, groups of one class each; returns the losses."""
        torch.manual_seed(self.config.seed * 1_000_003 + self.steps_done + 1)
        self._set_learning_rate()
        groups = torch.randint(len(self.by_class), (self.config.batch // self.config.group,)).tolist()
        with torch.autocast(self.device.type, torch.bfloat16):
            real = self._draw_real(groups)
            fake = self._generate(torch.tensor(groups, device=self.device).repeat_interleave(self.config.group))
            with torch.no_grad():
                real_maps = self.features.maps(real)
            fake_maps = self.features.maps(fake.float())
        real_parts = describe(real, real_maps, self.map_scales)
        fake_parts = describe(fake, fake_maps, self.map_scales)
        loss = torch.stack([self._group_loss(place, label, real_parts, fake_parts) for place, label in enumerate(groups)]).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.steps_done += 1
        self._update_average()
        return {"drift": loss.item()}

    def _group_loss(self, place: int, label: int, real_parts: list[Tensor], fake_parts: list[Tensor]) -> Tensor:
        """The drifting loss of the batch's group number ``place``, against what is remembered of its class; both are then remembered."""
        reals, fakes = self.config.real, self.config.group
        self.real_memory.add(label, [part[:, place * reals : (place + 1) * reals] for part in real_parts])
        mine = [part[:, place * fakes : (place + 1) * fakes] for part in fake_parts]
        remembered = self.fake_memory.get(label) or [part[:, :0] for part in mine]
        real = self.real_memory.get(label)
        assert real is not None
        others = self.real_memory.draw(OTHERS) if self.config.guidance else [None] * len(mine)
        parts = zip(mine, real, remembered, others, strict=True)
        losses = [drift_loss(x, y, torch.cat([x.detach(), old], dim=1), z, self.config.guidance) for x, y, old, z in parts]
        self.fake_memory.add(label, mine)
        return torch.stack(losses).mean()

    def forget(self) -> None:
        """Empty the memories. Done at each save, so that a resumed run, whose memories are empty too, takes the same steps."""
        self.real_memory.clear()
        self.fake_memory.clear()

    def _draw_real(self, groups: list[int]) -> Tensor:
        """Real images -1..1 [groups x real, 3, R, R], those of a group side by side."""
        picks = torch.cat([self.by_class[c][torch.randint(len(self.by_class[c]), (self.config.real,))] for c in groups])
        images = to_float(self.images[picks].to(self.device))
        return mirror(images).contiguous(memory_format=torch.channels_last) if self.config.flip else images

    def _generate(self, labels: Tensor) -> Tensor:
        arch = self.generator.config
        z = torch.randn(len(labels), arch.z_dim).to(self.device)
        weights = F.one_hot(labels, arch.num_classes).to(z.dtype) if arch.num_classes else None
        return self.generator(z, weights).expand(-1, 3, -1, -1)

    def _set_learning_rate(self) -> None:
        left = 1 - self.images_seen / self.config.images
        rate = self.config.lr * max(0.05, min(1.0, 2 * left))
        for group in self.optimiser.param_groups:
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
            trainer.save(state)
            trainer.forget()
            _write_history(history, rows)
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
