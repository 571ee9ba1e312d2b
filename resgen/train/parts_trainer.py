"""Training where it is known what each picture is made of: the generator draws it from its parts (Dosovitskiy et al. 2015, arXiv 1411.5928).

Means of pixels are soft where a little is still unknown. What eyes see of a picture and of its own (Johnson et al. 2016, arXiv 1603.08155) and an
adversary beside the pixels (Isola et al. 2017, arXiv 1611.07004) make it sharp.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.blocks import PartsMapping
from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet
from resgen.features import Eyes, as_shown, to_float
from resgen.generator import GeneratorConfig
from resgen.precision import autocast
from resgen.train.augment import Augmentation
from resgen.train.config import TrainConfig
from resgen.train.contest import FROZEN_STEPS, Contest
from resgen.train.initial_weights import kept_widths
from resgen.train.parallel import Team
from resgen.train.parts import Parts
from resgen.train.sight import Sight
from resgen.train.trainer import Trainer, fresh_generator, generator_config

W_DIM = 192  # parts side by side need more room than a mapping that joins them
SOFTNESS = 0.001  # of the cells' edges, beside anchors of unit size in each number: in one seed of forty two values of a part are mixed (in eight at five times as much)
COARSE = 4  # pixels a side that are compared as one as well: what is out of place still has a way to go
SEEN_SHARE, FOUGHT_SHARE = 1.0, 4.0  # of the eyes' distance and of the adversary beside the pixels, as norms of their gradients on the image
MEASURED = 64  # images that norms of new blocks are measured on
PARTS_RATE = 4.0  # factor of the step size of a value's vector, which moves only in the steps that show it


class PartsTrainer(Trainer):
    """A `Trainer` whose generator learns each picture by its pixels; with an adversary, which needs eyes, also by what these see of it."""

    betas = (0.9, 0.99)

    def __init__(
        self,
        config: TrainConfig,
        data: ImageSet,
        parts: Parts,
        eyes: Eyes | None,
        device: str,
        command: str,
        team: Team,
        begun: Checkpoint | None = None,
    ) -> None:
        arch = generator_config(config, data, z_dim=parts.z_dim, w_dim=W_DIM, parts=parts.shape)
        generator = fresh_generator(arch, data, config.seed)
        assert isinstance(generator.mapping, PartsMapping)
        parts.begin(generator.mapping)
        super().__init__(config, generator, ("mapping.", PARTS_RATE), data, device, command, team, begun)
        self.parts = parts
        self.chances = parts.rarity(self.labels).double()  # of each image to be drawn: what is rare is learned as well as what is common
        self._cut()
        if begun is not None:
            assert isinstance(begun.card.arch, GeneratorConfig)
            hold_norms(self.generator)
            if (known := len(kept_widths(begun.card.arch, arch.resolution))) < len(self.generator.blocks):
                self._measure_norms(known)
        if eyes is not None:
            self.sight = Sight(eyes, self.images, self.device)
            self.contest = Contest(self.sight.probe, arch.num_classes, config, team)

    @torch.no_grad()
    def _measure_norms(self, known: int) -> None:
        """Give the norms of blocks that are finer than the ``known`` ones the statistics of one batch, since they are held from then on."""
        finer = [norm for parts in (self.generator.blocks, self.generator.to_image) for norm in norms_of(parts[known:])]
        for norm in finer:
            norm.train().momentum = 1.0
        drawn = torch.randint(len(self.labels), (MEASURED,))
        with autocast(self.device):
            self.generator.synthesise(self._w(drawn, self.labels[drawn].to(self.device)))
        hold_norms(self.generator)
        self.average.load_state_dict(self.generator.state_dict())

    @torch.no_grad()
    def _cut(self) -> None:
        """Noise stands for parts by the table, whatever cells the weights had that the run begins with."""
        for generator in (self.generator, self.average):
            assert isinstance(generator.mapping, PartsMapping)
            self.parts.cut(generator.mapping, SOFTNESS)

    def step(self) -> dict[str, float]:
        """One update on images drawn from all, by their `chances`."""
        self.begin_step()
        drawn = torch.multinomial(self.chances, self.config.batch, replacement=True)
        changes = [Augmentation.draw(1) for _ in drawn] if self.contest else []
        own = self.team.share(len(drawn))
        chosen = drawn[own.start : own.stop]
        real, labels = to_float(self.images[chosen].to(self.device)), self.labels[chosen].to(self.device)
        with autocast(self.device):
            fake = self.generator.synthesise(self._w(chosen, labels)).float()
        gradient, losses = self._compare(fake, real)
        if self.contest:
            change = Augmentation.join(changes[own.start : own.stop], self.device)
            seen, told = self._look(fake, real, labels, change, self.team.norm(gradient))
            gradient, losses = gradient + seen, losses | told
        return self.follow(fake, gradient, losses, waits=self.contest is not None and self.steps_done < FROZEN_STEPS)

    def _compare(self, fake: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient on images ``fake`` of their mean squared distance from ``real``, pixel by pixel and coarsely; and this distance.

        Squared: a missing eye is few pixels that are far off, and counts; by its amount it would drown in what is a little off everywhere.
        """
        apart = fake - real[:, : fake.shape[1]]
        pixels = apart.square().mean() + F.avg_pool2d(apart, COARSE).square().mean()
        return torch.autograd.grad(pixels, fake)[0], {"pixels": pixels}

    def _look(self, fake: Tensor, real: Tensor, labels: Tensor, change: Augmentation, size: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient on images ``fake`` of what eyes see otherwise than in ``real``, and of the adversary, by their shares of ``size``; and losses.

        Both see the pair after the same ``change``.
        """
        assert self.contest is not None
        with autocast(self.device):
            with torch.no_grad():
                of_real = self.sight.look(change(real))
            of_fake = self.sight.look(change(as_shown(fake).expand(-1, 3, -1, -1)))
        seen = torch.stack([(a.float() - b.float()).abs().mean() for a, b in zip(of_fake[1:], of_real[1:], strict=True)]).mean()
        (seeing,) = torch.autograd.grad(seen, fake, retain_graph=True)
        fighting, losses = self.contest.resist(fake, of_fake, labels, of_real, labels, self.caution)
        seeing, fighting = (share * size / self.team.norm(part) * part for share, part in ((SEEN_SHARE, seeing), (FOUGHT_SHARE, fighting)))
        return seeing + fighting, {"seen": seen} | losses

    def _w(self, chosen: Tensor, labels: Tensor) -> Tensor:
        """What images' classes and parts add up to [N, w_dim]."""
        mapping = self.generator.mapping
        assert isinstance(mapping, PartsMapping)
        w = mapping.embed[labels]
        for column, part in self.parts.beside(mapping):
            w = w + part.values.unflatten(0, (part.classes, -1))[labels, column.numbers[chosen].to(self.device)]
        return w


def hold_norms(generator: nn.Module) -> None:
    """Norm by the statistics that there are, as drawing does: by those of its batch, what is rare is drawn as it never is later."""
    for norm in norms_of(generator):
        norm.eval()


def norms_of(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
