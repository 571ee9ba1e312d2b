"""Training on several GPUs or machines: `torchrun --nproc-per-node 8 -m resgen train ...`.

Each process takes an equal share of every batch. Batch-norm statistics, memories and gradients are those of the whole batch,
so a step is the one that a single process would take.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from resgen.errors import ResGenError
from resgen.processes import this_process


@dataclass(frozen=True)
class Team:
    """The processes of one training, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True in the one process that writes files and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """This process's part of ``count`` things, which the team's size must divide."""
        part = count // self.size
        return range(self.rank * part, (self.rank + 1) * part)

    def gather(self, parts: list[Tensor]) -> list[Tensor]:
        """Tensors [places, n, channels] of this process -> [places, size x n, channels] of all, in the order of ranks."""
        if self.size == 1:
            return parts
        gathered = []
        for part in parts:
            received = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)]
            distributed.all_gather(received, part.contiguous())
            gathered.append(torch.cat(received, dim=1))
        return gathered

    def mean(self, value: Tensor) -> float:
        """Mean over the processes of a tensor of one number."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value.item() / self.size

    def norm(self, gradient: Tensor) -> float:
        """Of the whole team's gradient, of which this is a process's part; up to a factor that all gradients share, and never 0."""
        return self.mean(gradient.square().sum()) ** 0.5 + 1e-12

    def share_batch_norms(self, module: nn.Module) -> None:
        """Put a `SharedBatchNorm` with the same weights in the place of each batch norm."""
        if self.size == 1:
            return
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                shared = SharedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared.to(next(module.parameters()).device))
            else:
                self.share_batch_norms(child)

    def average_gradients(self, module: nn.Module) -> None:
        """Give every process the mean of all gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, shared in zip(gradients, flat.div_(self.size).split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(shared.view_as(gradient))


def join(device: str) -> tuple[Team, str]:
    """This process's team, as `torchrun` tells it, and its own device. Raises ResGenError where they do not find each other."""
    process = this_process(device)
    if process.size == 1:
        return Team(), device
    if process.device != device:
        device = process.device
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    except (RuntimeError, ValueError) as error:
        raise ResGenError(
            "The training processes cannot find each other: start them with `torchrun --nproc-per-node N -m resgen train ...`."
        ) from error
    return Team(distributed.get_rank(), distributed.get_world_size()), device


def leave() -> None:
    """Take leave of the team, if there is one."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


class _Sum(torch.autograd.Function):
    """Sum over the processes; every process's gradient reaches what each of them gave."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes; torch's own does this on GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values, size = x.float(), distributed.get_world_size()
        mean = _Sum.apply(values.mean(dim=(0, 2, 3))) / size
        # Of the distances from the common mean: the mean square less the square of the mean would lose all digits where the mean is large.
        variance = _Sum.apply((values - mean[:, None, None]).square().mean(dim=(0, 2, 3))) / size
        self._remember(mean.detach(), variance.detach(), x.numel() // x.shape[1] * size)
        mean, variance = mean[:, None, None], variance[:, None, None]
        normed = (values - mean) * torch.rsqrt(variance + self.eps)
        if self.affine:
            normed = normed * self.weight[:, None, None] + self.bias[:, None, None]
        return normed.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
