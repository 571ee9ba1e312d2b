"""What every training is made of: a generator, its averaged copy, and an optimiser, a step at a time."""

import copy
import logging
from typing import Any

import torch
from torch import Tensor

from resgen.checkpoint import Checkpoint
from resgen.data import ImageSet, named
from resgen.errors import DataError
from resgen.features import to_float
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.train.config import TrainConfig, check_widths, doublings
from resgen.train.contest import Contest
from resgen.train.initial_weights import take_weights
from resgen.train.parallel import Team
from resgen.train.state import State, restore

MAX_HALVINGS = 4  # of the step size after losses that are not finite, before a run gives up
EMA_IMAGES = 50_000  # half-life of the averaged weights; shorter at the start of a run
HEAD_START = 3000  # images that weights begun with count for in the average

HALF_MAX, FLOAT_MAX = torch.finfo(torch.float16).max, torch.finfo(torch.float32).max

log = logging.getLogger(__name__)


def generator_config(config: TrainConfig, data: ImageSet, **latents: Any) -> GeneratorConfig:
    """The generator for this data: as many doublings as the resolution has; widths beyond these are of steady blocks. Of ``latents`` what is not usual.

    Raises DataError where the resolution cannot be reached, or has too few widths.
    """
    resolution = data.images.shape[-1]
    base, doubled = doublings(resolution)
    widths = config.widths or tuple(max(32, min(256, 64 * 2 ** (doubled - depth))) for depth in range(doubled + 1))
    check_widths(widths, resolution)
    channels = 1 if data.is_grey else 3
    return GeneratorConfig(
        num_classes=len(named(data.classes)), image_channels=channels, base_resolution=base, widths=widths, mean_shift=config.mean_shift or 0,
        steady=len(widths) - doubled - 1, **latents,
    )  # fmt: skip


@torch.no_grad()
def fresh_generator(arch: GeneratorConfig, data: ImageSet, seed: int) -> ResNetGenerator:
    """An untrained generator, random by the ``seed``, which draws the data's median colour: Adam would take long to reach a white background from grey."""
    torch.manual_seed(seed)
    generator = ResNetGenerator(arch)
    some = torch.from_numpy(data.images[:: len(data.images) // 1000 + 1])
    colour = to_float(some).transpose(0, 1).flatten(1).median(dim=1).values
    bias = generator.to_image[-1][-1].bias  # type: ignore[index]
    bias.copy_(colour[: len(bias)])
    return generator


class Trainer:
    """Generator, averaged generator and optimiser; one `step` at a time, which subclasses say.

    The ``generator`` takes what fits of the checkpoint that a run is ``begun`` with. ``rare``: how the names of those weights begin that move only in few
    of the steps, and the factor of their step size.

    Everything random in a step is drawn from a seed made of the run's seed and the step's number, so a run
    that was killed and resumed takes the same steps as one that never stopped.
    """

    betas = (0.0, 0.99)  # of the optimiser
    contest: Contest | None = None  # with an adversary, where a subclass has one

    def __init__(
        self,
        config: TrainConfig,
        generator: ResNetGenerator,
        rare: tuple[str, float],
        data: ImageSet,
        device: str,
        command: str,
        team: Team,
        begun: Checkpoint | None = None,
    ) -> None:
        self.config, self.device, self.team = config, torch.device(device), team
        self.classes = named(data.classes)
        self.told_of_data = {"images": len(data.labels), "sha256": data.sha256}
        self.threads = torch.get_num_threads() if self.device.type == "cpu" else None  # on which the last digits of sums depend
        self.images, self.labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        if begun:
            take_weights(generator, begun)
        self.generator = generator.to(memory_format=torch.channels_last).to(self.device)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        team.share_batch_norms(self.generator)
        self.optimiser = torch.optim.Adam(self._parameter_groups(*rare), config.lr, betas=self.betas)
        self.steps_done = self.halvings = 0
        self.training_before = begun.card.training if begun else {}  # what the card told of the weights before this run
        self.stages: list[dict[str, Any]] = [{"from_image": 0, "command": command}]

    def _parameter_groups(self, prefix: str, factor: float) -> list[dict[str, Any]]:
        parameters = list(self.generator.named_parameters())
        rare, rest = ([p for name, p in parameters if name.startswith(prefix) is chosen] for chosen in (True, False))
        return [{"params": rare, "factor": factor}, {"params": rest, "factor": 1.0}]

    def step(self) -> dict[str, float]:
        """One update on one batch; returns the losses."""
        raise NotImplementedError

    def modules(self) -> dict[str, torch.nn.Module]:
        """What a run's state holds the weights of, by name."""
        own: dict[str, torch.nn.Module] = {"generator": self.generator, "average": self.average}
        return own | ({"adversary": self.contest.adversary} if self.contest else {})

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """What a run's state holds the memory of, by name."""
        own: dict[str, torch.optim.Optimizer] = {"adam": self.optimiser}
        return own | ({"heads": self.contest.optimiser} if self.contest else {})

    def forget(self) -> None:
        """Drop what a state does not hold. Done at each save, so that a resumed run takes the same steps."""

    @property
    def images_seen(self) -> int:
        return self.steps_done * self.config.batch

    @property
    def caution(self) -> float:
        """What all step sizes are multiplied by, after losses that were not finite."""
        return 0.5**self.halvings

    def begin_step(self) -> int:
        """Set seed and step sizes of the next step; returns its seed."""
        step_seed = self.config.seed * 1_000_003 + self.steps_done + 1
        torch.manual_seed(step_seed)
        left = 1 - self.images_seen / self.config.images
        rate = self.config.lr * max(0.05, min(1.0, 2 * left)) * self.caution
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        return step_seed

    def follow(self, fake: Tensor, gradient: Tensor, losses: dict[str, Tensor], waits: bool) -> dict[str, float]:
        """End a step: move the generator by the ``gradient`` on its images ``fake``, or not where it ``waits`` for a new adversary, and take it
        into the average. Returns the whole team's ``losses``.
        """
        self.optimiser.zero_grad(set_to_none=True)
        fake.backward(gradient)
        self.team.average_gradients(self.generator)
        if not waits:
            self.optimiser.step()
        self.steps_done += 1
        counted = self.images_seen + (10 * HEAD_START if self.training_before else 0)
        update_average(self.average, self.generator, counted, self.config.batch, EMA_IMAGES)
        return {name: self.team.mean(loss.detach()) for name, loss in losses.items()}

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
