"""A generator and an adversary that learn from each other."""

import torch
from torch import Tensor

from resgen.precision import autocast
from resgen.train.adversary import Adversary
from resgen.train.config import TrainConfig
from resgen.train.parallel import Team

HEAD_AHEAD = 0.3  # loss below which a head waits for the generator: one that knows everything tells it little
FROZEN_STEPS = 60  # first ones of a new adversary, in which it learns and the generator waits


class Contest:
    """An adversary for what a `Sight` sees, shaped as ``probe``'s, and its optimiser."""

    def __init__(self, probe: list[Tensor], classes: int, config: TrainConfig, team: Team) -> None:
        device = probe[0].device
        self.adversary = Adversary(probe, classes, config.clarity).to(memory_format=torch.channels_last).to(device)  # type: ignore[call-overload]
        team.share_batch_norms(self.adversary)
        self.optimiser = torch.optim.Adam(self.adversary.parameter_groups())
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        self._team = team

    def resist(
        self, fake: Tensor, seen: list[Tensor], labels: Tensor, real: list[Tensor], real_labels: Tensor, caution: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The adversary's gradient on the images ``fake``, and its own update, with ``caution`` times its step sizes.

        ``seen`` is the `Sight.look` of these, ``real`` that of real images.
        """
        with autocast(fake.device):
            loss, named = self.adversary.judge(seen, labels)
        (gradient,) = torch.autograd.grad(loss, fake)
        with autocast(fake.device):
            heads, naming = self.adversary.learn(real, real_labels, [part.detach() for part in seen], labels)
        self.optimiser.zero_grad(set_to_none=True)
        learning = [head for head in heads if self._team.mean(head.detach().clone()) > HEAD_AHEAD]  # Adam passes over the others
        if (losses := naming + sum(learning) / len(heads)).requires_grad:  # else there is no namer, and all heads wait
            losses.backward()
        self._team.average_gradients(self.adversary)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * caution
        self.optimiser.step()
        return gradient, {"heads": heads.mean(), "named": named}
