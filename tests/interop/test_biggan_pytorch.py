"""ajbrock's BigGAN, against a network with its names that is written here."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.errors import CheckpointError
from resgen.interop.readers import read_file
from resgen.interop.reading import ImportOptions
from tests.interop.states import made_of

CLASSES, CHUNK, SHARED, WIDTHS = 5, 4, 3, (16, 16, 8)


class Normed(nn.Module):
    """A linear layer or a convolution whose weight is divided by the length of what it makes of one vector."""

    u0: Tensor

    def __init__(self, *shape: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.randn(shape[0]) * 0.1) if bias else None
        self.register_buffer("u0", torch.randn(1, shape[0]))
        self.register_buffer("sv0", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.flatten(1)
        vector = matrix.T @ self.u0[0]
        weight = self.weight / (matrix @ (vector / vector.norm())).norm()
        return F.linear(x, weight, self.bias) if weight.ndim == 2 else F.conv2d(x, weight, self.bias, padding=weight.shape[2] // 2)


class Norm(nn.Module):
    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("stored_mean", torch.randn(width) * 0.2)
        self.register_buffer("stored_var", torch.rand(width) + 0.5)

    def forward(self, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        gain, bias = (values.view(-1, x.shape[1], 1, 1) for values in (gain, bias))
        mean, variance = self.stored_mean[:, None, None], self.stored_var[:, None, None]
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias


class ClassNorm(Norm):
    gain: nn.Module
    bias: nn.Module

    def __init__(self, width: int, reads: int) -> None:
        super().__init__(width)
        self.gain, self.bias = (Normed(width, reads, bias=False) if reads else nn.Embedding(CLASSES, width) for _ in range(2))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, 1 + self.gain(told), self.bias(told))


class LastNorm(Norm):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.gain, self.bias = nn.Parameter(1 + 0.2 * torch.randn(width)), nn.Parameter(0.2 * torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, self.gain, self.bias)


class Block(nn.Module):
    def __init__(self, before: int, after: int, reads: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv_sc = Normed(after, before, 3, 3), Normed(after, after, 3, 3), Normed(after, before, 1, 1)
        self.bn1, self.bn2 = ClassNorm(before, reads), ClassNorm(after, reads)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.conv1(F.interpolate(F.relu(self.bn1(x, told)), scale_factor=2))
        return self.conv2(F.relu(self.bn2(h, told))) + self.conv_sc(F.interpolate(x, scale_factor=2))


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.theta, self.phi = (Normed(width // 8, width, 1, 1, bias=False) for _ in range(2))
        self.g, self.o = Normed(width // 2, width, 1, 1, bias=False), Normed(width, width // 2, 1, 1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        asked, keys, values = self.theta(x), F.max_pool2d(self.phi(x), 2), F.max_pool2d(self.g(x), 2)
        shares = torch.einsum("nchw,ncij->nhwij", asked, keys).flatten(3).softmax(dim=3)
        return x + self.gamma * self.o(torch.einsum("nhwk,nck->nchw", shares, values.flatten(2)))


class BigGAN(nn.Module):
    """Each block reads its own part of z where it is ``chunked``; where the embedding is not ``shared``, its norms have rows for each class."""

    def __init__(self, chunked: bool = True, shared: bool = True) -> None:
        super().__init__()
        self.chunked, reads = chunked, SHARED * shared + CHUNK * chunked
        self.shared = nn.Embedding(CLASSES, SHARED) if shared else nn.Identity()
        self.linear = Normed(WIDTHS[0] * 4**2, CHUNK)
        sizes = pairwise(WIDTHS)
        self.blocks = nn.ModuleList(
            nn.ModuleList([Block(*size, reads), *([] if index else [Attention(size[1])])]) for index, size in enumerate(sizes)
        )
        self.output_layer = nn.Sequential(LastNorm(WIDTHS[-1]), nn.ReLU(), Normed(3, WIDTHS[-1], 3, 3))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        told = self.shared(labels)
        first, *rest = z.split(CHUNK, dim=1)
        x = self.linear(first).view(len(z), -1, 4, 4)
        for index, parts in enumerate(self.blocks):
            for part in parts:  # type: ignore[union-attr]
                x = part(x, torch.cat([told, rest[index]], dim=1) if self.chunked else told)
        return torch.tanh(self.output_layer(x))


@pytest.mark.parametrize(("chunked", "shared"), [(True, True), (False, True), (False, False)])
def test_draws_as_it_did(chunked: bool, shared: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BigGAN(chunked, shared).requires_grad_(False)
    torch.save(network.state_dict(), tmp_path / "G_ema.pth")
    kind, reading = read_file(tmp_path / "G_ema.pth", ImportOptions())
    config: Any = reading.config
    assert kind == "biggan-pytorch" and (config.num_classes, config.chunked, config.attention) == (CLASSES, chunked, (0,))
    z, labels = torch.randn(CLASSES, config.z_dim), torch.arange(CLASSES)
    drawn, wanted = made_of(reading).requires_grad_(False)(z, torch.eye(CLASSES)), network(z, labels)
    assert (drawn - wanted).abs().max() < 1e-5 and wanted.std() > 0.1
    assert (network(z, labels.roll(1)) - wanted).abs().max() > 0.01


@pytest.mark.parametrize("name", ["linear.u1", "blocks.0.0.conv3.weight", "blocks.1.1.weight"])
def test_another_network_is_refused(name: str, tmp_path: Path) -> None:
    torch.save(BigGAN().state_dict() | {name: torch.ones(3)}, tmp_path / "G_ema.pth")
    with pytest.raises(CheckpointError, match=f"also holds {name}"):
        read_file(tmp_path / "G_ema.pth", ImportOptions())
