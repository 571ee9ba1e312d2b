"""Training where it is known what each picture is made of: the generator draws it from its parts."""

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.blocks import PartMapping, PartsMapping
from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet
from resgen.features import to_float
from resgen.precision import autocast
from resgen.train.config import TrainConfig
from resgen.train.parallel import Team
from resgen.train.parts import Parts
from resgen.train.trainer import Trainer, generator_config

W_DIM = 192  # parts side by side need more room than a mapping that joins them
SOFTNESS = 0.1  # of the cells' edges, where anchors are of unit size for each number of the block: a walk passes them smoothly, few seeds lie on them
COARSE = 4  # pixels a side that are compared as one as well: what is out of place still has a way to go
PARTS_RATE = 4.0  # factor of the step size of a value's vector, which moves only in the steps that show it


class PartsTrainer(Trainer):
    """A `Trainer` whose generator learns each picture by its pixels."""

    betas = (0.9, 0.99)

    def __init__(
        self, config: TrainConfig, data: ImageSet, parts: Parts, device: str, command: str, team: Team, begun: Checkpoint | None = None
    ) -> None:
        self.parts = parts
        arch = generator_config(config, data, z_dim=parts.z_dim, w_dim=W_DIM, parts=parts.shape)
        super().__init__(config, arch, data, device, command, team, begun)

    @torch.no_grad()
    def start(self) -> None:
        super().start()
        assert isinstance(self.generator.mapping, PartsMapping)
        self.parts.cut(self.generator.mapping, SOFTNESS)

    @property
    def faster(self) -> tuple[str, float]:
        return "mapping.", PARTS_RATE

    def step(self) -> dict[str, float]:
        """One update on images drawn from all."""
        self.begin_step()
        chosen = torch.randint(len(self.labels), (self.config.batch,))
        own = self.team.share(len(chosen))
        loss = self._distance(chosen[own.start : own.stop])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.team.average_gradients(self.generator)
        self.optimiser.step()
        self.end_step()
        return {"pixels": self.team.mean(loss.detach())}

    def _distance(self, chosen: Tensor) -> Tensor:
        """Mean distance of images from what is drawn of their parts, pixel by pixel and coarsely."""
        images = to_float(self.images[chosen].to(self.device))[:, : self.generator.config.image_channels]
        with autocast(self.device):
            drawn = self.generator.synthesise(self._w(chosen)).float()
        apart = drawn - images
        return apart.abs().mean() + F.avg_pool2d(apart, COARSE).abs().mean()

    def _w(self, chosen: Tensor) -> Tensor:
        """What images' classes and parts add up to [N, w_dim]."""
        mapping, labels = self.generator.mapping, self.labels[chosen].to(self.device)
        assert isinstance(mapping, PartsMapping)
        w = mapping.embed[labels]
        for column, part in zip(self.parts.columns, mapping.parts, strict=True):
            assert isinstance(part, PartMapping)
            w = w + part.values.unflatten(0, (part.classes, -1))[labels, column.numbers[chosen].to(self.device)]
        return w
