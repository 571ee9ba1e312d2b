"""Training where it is known what each picture is made of: the generator draws it from its parts, and the mapping learns which parts noise stands for."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet
from resgen.features import to_float
from resgen.precision import autocast
from resgen.train.config import TrainConfig
from resgen.train.parallel import Team
from resgen.train.parts import Parts
from resgen.train.trainer import Trainer, generator_config

W_DIM, MAPPING = 192, (512, 512)  # noise's cells have edges: a mapping needs more than usual to keep to them
NOISE = 1024  # draws of z in a step, of which the mapping learns
FITTED = 32_768  # draws of z by which the parts of a checkpoint that a run begins with are known
COARSE = 4  # pixels a side that are compared as one as well: what is out of place still has a way to go
MAPPING_RATE, PARTS_RATE = 2.0, 4.0  # factors of the step size; a value of a part moves only in the steps that show it


class PartsEmbedding(nn.Module):
    """Numbers of values [N, columns] and labels [N] -> w [N, w_dim]: the sum of what each value adds to its class. Like values begin alike."""

    def __init__(self, parts: Parts, w_dim: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        anchors, classes = parts.anchors(), len(parts.first_numbers[0])
        directions = [torch.randn(part.shape[1], w_dim, generator=generator) * (2 / part.shape[1] / len(anchors)) ** 0.5 for part in anchors]
        self.values = nn.Parameter(torch.cat([part @ direction for part, direction in zip(anchors, directions, strict=True)]))
        self.classes = nn.Parameter(torch.randn(classes, w_dim, generator=generator) * 0.5)

    def forward(self, numbers: Tensor, labels: Tensor) -> Tensor:
        return self.classes[labels] + self.values[numbers].sum(dim=1)

    @torch.no_grad()
    def fit(self, numbers: Tensor, labels: Tensor, w: Tensor) -> None:
        """Become what comes nearest to w [N, w_dim] of the parts of the same rows: by ridge regression on which values occur."""
        rows = torch.arange(len(numbers))[:, None]
        occurs = torch.zeros(len(numbers), len(self.values) + len(self.classes))
        occurs[rows, numbers] = 1
        occurs[rows, len(self.values) + labels[:, None]] = 1
        found = torch.linalg.solve(occurs.T @ occurs + torch.eye(occurs.shape[1]), occurs.T @ w.cpu())
        self.values.copy_(found[: len(self.values)])
        self.classes.copy_(found[len(self.values) :])


class PartsTrainer(Trainer):
    """A `Trainer` whose generator learns each picture by its pixels."""

    betas = (0.9, 0.99)

    def __init__(
        self, config: TrainConfig, data: ImageSet, parts: Parts, device: str, command: str, team: Team, begun: Checkpoint | None = None
    ) -> None:
        self.parts, self.numbers = parts, parts.of_images()
        self.embedding = PartsEmbedding(parts, W_DIM, config.seed).to(device)
        arch = generator_config(config, data, z_dim=parts.z_dim, w_dim=W_DIM, mapping=MAPPING)
        super().__init__(config, arch, data, device, command, team, begun)
        self.average.eval()
        if begun is not None and begun.card.arch == arch:
            noise, labels = torch.randn(FITTED, parts.z_dim), torch.randint(len(self.classes), (FITTED,))
            with torch.no_grad():
                self.embedding.fit(parts.of_noise(noise, labels), labels, self.generator.mapping(noise.to(device), self._class_weights(labels)))

    def parameter_groups(self) -> list[dict[str, Any]]:
        drawing = [p for name, p in self.generator.named_parameters() if not name.startswith("mapping.")]
        return [
            {"params": drawing, "factor": 1.0},
            {"params": list(self.generator.mapping.parameters()), "factor": MAPPING_RATE},
            {"params": list(self.embedding.parameters()), "factor": PARTS_RATE},
        ]

    def modules(self) -> dict[str, nn.Module]:
        return super().modules() | {"embedding": self.embedding}

    def step(self) -> dict[str, float]:
        """One update on a batch of images drawn from all, and of the mapping on fresh noise.

        In the second half of a run, half of a batch are seeds: what is drawn of their mapped noise is compared with what is drawn of the parts they stand
        for, so that the generator draws one part or the other where the mapping does not quite decide. The mapping learns nothing of that: a few pictures
        say less of it than many draws of noise, and drowned that out.
        """
        self.begin_step()
        chosen = self._share(torch.randint(len(self.labels), (self.config.batch,)))
        noise = self._share(torch.randn(NOISE, self.parts.z_dim)).to(self.device)
        labels = self._share(torch.randint(len(self.classes), (NOISE,)))
        goal = self._w(self.parts.of_noise(noise.cpu(), labels), labels)
        mapped = self.generator.mapping(noise, self._class_weights(labels))
        seeds = len(chosen) // 2 if 2 * self.images_seen >= self.config.images else 0
        losses = {
            "pixels": self._draw(chosen[seeds:], mapped[:seeds].detach(), goal[:seeds]),
            "mapping": F.mse_loss(mapped, goal.detach()) / goal.detach().var(),
        }
        self.optimiser.zero_grad(set_to_none=True)
        sum(losses.values(), torch.zeros((), device=self.device)).backward()
        for module in (self.generator, self.embedding):
            self.team.average_gradients(module)
        self.optimiser.step()
        self.end_step()
        return {name: self.team.mean(loss.detach()) for name, loss in losses.items()}

    def _share(self, drawn: Tensor) -> Tensor:
        own = self.team.share(len(drawn))
        return drawn[own.start : own.stop]

    def _draw(self, chosen: Tensor, mapped: Tensor, goal: Tensor) -> Tensor:
        """Mean distance, pixel by pixel and coarsely, of what is drawn from the chosen images, and of what is drawn of ``mapped`` from what the averaged
        generator draws of ``goal`` [N, w_dim each]."""
        images = to_float(self.images[chosen].to(self.device))[:, : self.generator.config.image_channels]
        with autocast(self.device):
            drawn = self.generator.synthesise(torch.cat([self._w(self.numbers[chosen], self.labels[chosen]), mapped])).float()
            with torch.no_grad():
                shown = self.average.synthesise(goal).float()
        apart = drawn - torch.cat([images, shown])
        return apart.abs().mean() + F.avg_pool2d(apart, COARSE).abs().mean()

    def _class_weights(self, labels: Tensor) -> Tensor | None:
        classes = self.generator.config.num_classes
        return F.one_hot(labels, classes).float().to(self.device) if classes else None

    def _w(self, numbers: Tensor, labels: Tensor) -> Tensor:
        return self.embedding(numbers.to(self.device), labels.to(self.device))
