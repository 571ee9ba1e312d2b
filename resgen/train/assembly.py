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
        """One update on a batch of images drawn from all, and of the mapping on fresh noise."""
        self.begin_step()
        chosen = self._share(torch.randint(len(self.labels), (self.config.batch,)))
        noise = self._share(torch.randn(NOISE, self.parts.z_dim))
        labels = self._share(torch.randint(len(self.classes), (NOISE,)))
        losses = {"pixels": self._draw(chosen), "mapping": self._map(noise, labels)}
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

    def _draw(self, chosen: Tensor) -> Tensor:
        """Mean distance of the chosen images from what is drawn of their parts, pixel by pixel and coarsely."""
        real = to_float(self.images[chosen].to(self.device))
        with autocast(self.device):
            drawn = self.generator.synthesise(self._w(self.numbers[chosen], self.labels[chosen])).float()
        apart = drawn - real[:, : drawn.shape[1]]
        return apart.abs().mean() + F.avg_pool2d(apart, COARSE).abs().mean()

    def _map(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Mean square distance of where noise is mapped to from the w of the parts it stands for, as a share of w's variance."""
        goal = self._w(self.parts.of_noise(noise, labels), labels).detach()
        classes = self.generator.config.num_classes
        weights = F.one_hot(labels, classes).float().to(self.device) if classes else None
        return F.mse_loss(self.generator.mapping(noise.to(self.device), weights), goal) / goal.var()

    def _w(self, numbers: Tensor, labels: Tensor) -> Tensor:
        return self.embedding(numbers.to(self.device), labels.to(self.device))
