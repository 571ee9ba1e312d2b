"""What a plain SNGAN of the same cost reaches in the same time, measured by the same judge.

    OMP_NUM_THREADS=1 python benchmarks/sngan.py --data cifar10 --test-data cifar10 --judge runs/judge.safetensors --minutes 77

The networks of Miyato et al. 2018 (arXiv 1802.05957), as wide as makes the generator cost what `resgen train` gives CIFAR-10
(0.38 GFLOP an image, two per multiply-add) and the discriminator what its feature network does (0.20); classes enter
through conditional batch norms and a projection (Miyato & Koyama 2018). It is helped where that costs it nothing: averaged
weights, and one discriminator step for each generator step in place of five, which would leave the generator few steps.
"""

import argparse
import copy
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from resgen.data import ImageSet, load_images
from resgen.evaluate import compare
from resgen.features import load_features, to_float
from resgen.grid import compose
from resgen.plates import Plate
from resgen.precision import autocast
from resgen.train.augment import mirror
from resgen.train.trainer import update_average

CPU = torch.device("cpu")
Z, WIDTH, DISCRIMINATOR_WIDTH = 128, 88, 80
BATCH, RATE, BETAS = 64, 2e-4, (0.0, 0.9)
EMA_IMAGES = 10_000  # half-life
REPORTS = 4  # evenly spread over the time


class ClassNorm(nn.Module):
    """Batch norm with a scale and shift of each class."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = nn.Embedding(classes, channels), nn.Embedding(classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.norm(x) * self.scale(labels)[:, :, None, None] + self.shift(labels)[:, :, None, None]


class UpBlock(nn.Module):
    """Norm, ReLU, double, convolve, norm, ReLU, convolve; beside a doubled 1 x 1 skip."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ClassNorm(width, classes), ClassNorm(width, classes)
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.conv1(F.interpolate(F.relu(self.norm1(x, labels)), scale_factor=2.0))
        h = self.conv2(F.relu(self.norm2(h, labels)))
        return h + self.skip(F.interpolate(x, scale_factor=2.0))


class Generator(nn.Module):
    """z [N, 128], labels [N] -> images [N, 3, 32, 32] in -1..1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Linear(Z, WIDTH * 16)
        self.blocks = nn.ModuleList(UpBlock(WIDTH, classes) for _ in range(3))
        self.norm, self.to_image = nn.BatchNorm2d(WIDTH), nn.Conv2d(WIDTH, 3, 3, padding=1)
        self.apply(_initialise)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = self.stem(z).view(-1, WIDTH, 4, 4).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, labels)
        return self.to_image(F.relu(self.norm(x))).tanh()


class DownBlock(nn.Module):
    """ReLU, convolve, ReLU, convolve, halve if ``pool``; the first block of all has no first ReLU."""

    def __init__(self, before: int, after: int, pool: bool, first: bool = False) -> None:
        super().__init__()
        self.pool, self.first = pool, first
        self.conv1 = spectral_norm(nn.Conv2d(before, after, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(after, after, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(before, after, 1)) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if not self.pool:
            return x + h
        return F.avg_pool2d(h, 2) + self.skip(F.avg_pool2d(x, 2))


class Discriminator(nn.Module):
    """Images [N, 3, 32, 32], labels [N] -> [N]: positive where they seem real."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        width = DISCRIMINATOR_WIDTH
        self.blocks = nn.Sequential(
            DownBlock(3, width, pool=True, first=True),
            DownBlock(width, width, pool=True),
            DownBlock(width, width, False),
            DownBlock(width, width, False),
        )
        self.score, self.embed = nn.Linear(width, 1), nn.Embedding(classes, width)
        self.apply(_initialise)
        spectral_norm(self.score)
        spectral_norm(self.embed)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        h = F.relu(self.blocks(images)).float().sum(dim=(2, 3))
        return self.score(h)[:, 0] + (self.embed(labels) * h).sum(dim=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight, gain=2**0.5)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


class Sngan:
    """Both networks and their optimisers; one `step` at a time."""

    def __init__(self, data: ImageSet) -> None:
        torch.manual_seed(0)
        self.images, self.labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        self.classes = len(data.classes)
        self.generator = Generator(self.classes).to(memory_format=torch.channels_last)
        self.discriminator = Discriminator(self.classes).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.optimisers = [torch.optim.Adam(net.parameters(), RATE, betas=BETAS) for net in (self.discriminator, self.generator)]
        self.images_seen = 0

    def step(self, left: float = 1.0) -> None:
        """One update of each network, at the share ``left`` of the step size."""
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = RATE * left
        picks = torch.randint(len(self.labels), (BATCH,))
        real = mirror(to_float(self.images[picks])).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), autocast(CPU):
            fake, labels = self._generate()
        with autocast(CPU):
            scores = self.discriminator(torch.cat([real, fake.to(real)]), torch.cat([self.labels[picks], labels]))
        on_real, on_fake = scores.chunk(2)
        self._update(0, F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean())
        with autocast(CPU):
            fake, labels = self._generate()
            scores = self.discriminator(fake, labels)
        self._update(1, -scores.mean())
        self.images_seen += BATCH
        update_average(self.average, self.generator, self.images_seen, BATCH, EMA_IMAGES)

    def _generate(self) -> tuple[Tensor, Tensor]:
        labels = torch.randint(self.classes, (BATCH,))
        return self.generator(torch.randn(BATCH, Z), labels), labels

    def _update(self, which: int, loss: Tensor) -> None:
        self.optimisers[which].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[which].step()

    @torch.inference_mode()
    def sample(self, count: int, classes: tuple[str, ...]) -> ImageSet:
        """``count`` images of the averaged generator, as many of each class."""
        average, labels = self.average.eval(), torch.arange(count) % self.classes
        z = torch.randn(count, Z, generator=torch.Generator().manual_seed(1))
        images = [average(*part).add(1).mul(127.5).round().byte() for part in zip(z.split(100), labels.split(100), strict=True)]
        return ImageSet(torch.cat(images).numpy(), labels.numpy(), classes)


def save_grid(samples: ImageSet, path: Path) -> None:
    """Ten of each of ten classes."""
    rows = [samples.images[samples.labels == label][:10] for label in range(10)]
    images = np.concatenate(rows).transpose(0, 2, 3, 1)
    compose(Plate(images, 10, 2, ("",) * len(images), (None,) * len(images))).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--test-data", nargs="+", required=True)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=77.0, help="of training; the measuring is not counted")
    parser.add_argument("--out", type=Path, default=Path("runs/sngan"))
    chosen = parser.parse_args()
    train, test = load_images(chosen.data), load_images(chosen.test_data, train=False)
    chosen.out.mkdir(parents=True, exist_ok=True)
    sngan = Sngan(train)
    spent, limit = 0.0, chosen.minutes * 60
    for report in range(1, REPORTS + 1):
        while spent < limit * report / REPORTS:
            tick = time.monotonic()
            sngan.step(1 - spent / limit)
            spent += time.monotonic() - tick
        samples = sngan.sample(10_000, train.classes)
        save_grid(samples, chosen.out / f"{report}.png")
        figures = {"minutes": round(spent / 60, 1), "images": sngan.images_seen, **compare(samples, train, test, load_features(chosen.judge))}
        print(json.dumps(figures), flush=True)
        (chosen.out / f"{report}.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
