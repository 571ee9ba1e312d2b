"""rosinality's StyleGAN2, against the same network written here the long way: an image's own kernels, and zeros between samples."""

import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.errors import CheckpointError
from resgen.interop.readers import read_file
from resgen.interop.reading import ImportOptions, Reading
from tests.interop.states import made_of

W, WIDTHS, LAYERS = 8, (6, 6, 4), 2
FILTER = torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])) / 16


def a_network() -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {"input.input": (1, WIDTHS[0], 4, 4)}
    for place in range(1, LAYERS + 1):
        shapes |= {f"style.{place}.weight": (W, W), f"style.{place}.bias": (W,)}
    before = WIDTHS[0]
    for depth, width in enumerate(WIDTHS):
        for part in (0, 1) if depth else (1,):
            name, side = f"convs.{2 * depth - 2 + part}" if depth else "conv1", 4 * 2**depth
            shapes |= convolution(name, before, width, 3)
            shapes |= {f"{name}.noise.weight": (1,), f"{name}.activate.bias": (width,), f"noises.noise_{2 * depth - 1 + part}": (1, 1, side, side)}
            before = width
        name = f"to_rgbs.{depth - 1}" if depth else "to_rgb1"
        shapes |= {**convolution(name, width, 3, 1), f"{name}.bias": (1, 3, 1, 1)}
    torch.manual_seed(0)
    state = {name: torch.randn(shape) * (100 if name.startswith("style.") else 1) for name, shape in shapes.items()}
    kernels = [f"{name}.kernel" for depth in (1, 2) for name in (f"convs.{2 * depth - 2}.conv.blur", f"to_rgbs.{depth - 1}.upsample")]
    return state | {name: FILTER.clone() for name in kernels}


def convolution(name: str, before: int, after: int, side: int) -> dict[str, tuple[int, ...]]:
    modulation = {f"{name}.conv.modulation.weight": (before, W), f"{name}.conv.modulation.bias": (before,)}
    return {f"{name}.conv.weight": (1, after, before, side, side), **modulation}


def mapped(state: dict[str, Tensor], z: Tensor) -> Tensor:
    x = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for place in range(1, LAYERS + 1):
        weight, bias = state[f"style.{place}.weight"] * 0.01 / math.sqrt(W), state[f"style.{place}.bias"] * 0.01
        x = math.sqrt(2) * F.leaky_relu(x @ weight.T + bias, 0.2)
    return x


def drawn(state: dict[str, Tensor], z: Tensor) -> Tensor:
    return torch.stack([image(state, w) for w in mapped(state, z)])


def image(state: dict[str, Tensor], w: Tensor) -> Tensor:
    x = layer(state, "conv1", state["input.input"], w, 0)
    colours = convolved(state, "to_rgb1", x, w) + state["to_rgb1.bias"]
    for index in range(len(WIDTHS) - 1):
        x = layer(state, f"convs.{2 * index}", apart(x), w, 2 * index + 1, doubled=True)
        x = layer(state, f"convs.{2 * index + 1}", x, w, 2 * index + 2)
        colours = filtered(apart(colours)) + convolved(state, f"to_rgbs.{index}", x, w) + state[f"to_rgbs.{index}.bias"]
    return colours[0]


def layer(state: dict[str, Tensor], name: str, x: Tensor, w: Tensor, noise: int, doubled: bool = False) -> Tensor:
    x = filtered(F.pad(convolved(state, name, x, w, turned=True), [1] * 4)) if doubled else convolved(state, name, F.pad(x, [1] * 4), w)
    x = x + state[f"{name}.noise.weight"] * state[f"noises.noise_{noise}"] + state[f"{name}.activate.bias"][:, None, None]
    return math.sqrt(2) * F.leaky_relu(x, 0.2)


def convolved(state: dict[str, Tensor], name: str, x: Tensor, w: Tensor, turned: bool = False) -> Tensor:
    """Between zeros, a transposed convolution is one with its kernel turned about."""
    style = state[f"{name}.conv.modulation.weight"] @ w / math.sqrt(W) + state[f"{name}.conv.modulation.bias"]
    kernel = state[f"{name}.conv.weight"][0]
    kernel = kernel / math.sqrt(kernel[0].numel()) * style[:, None, None]
    if "to_rgb" not in name:
        kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
    return F.conv2d(x, kernel.flip(2, 3) if turned else kernel)


def apart(x: Tensor) -> Tensor:
    """Zeros between the samples, and two around."""
    wide = x.new_zeros(*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1)
    wide[:, :, ::2, ::2] = x
    return F.pad(wide, [2] * 4)


def filtered(x: Tensor) -> Tensor:
    return F.conv2d(x.transpose(0, 1), FILTER[None, None]).transpose(0, 1)


def imported(content: Any, folder: Path) -> Reading:
    torch.save(content, folder / "theirs.pt")
    kind, reading = read_file(folder / "theirs.pt", ImportOptions())
    assert kind == "rosinality"
    return reading


def test_draws_as_it_did(tmp_path: Path) -> None:
    state, z = a_network(), torch.randn(4, W)
    reading = imported({"g": a_network(), "d": {"x": torch.ones(3)}, "g_ema": state}, tmp_path)
    generator, wanted = made_of(reading), drawn(state, z)
    with torch.no_grad():
        assert (generator(z) - wanted).abs().max() < 1e-5 and wanted.std() > 0.5
    assert reading.mean_w is None and reading.remarks == ("It is read from 'g_ema'.",)


@pytest.mark.parametrize("shape", [(W,), (1, W), (6, W)])
def test_the_mean_w_stands_beside_the_network(shape: tuple[int, ...], tmp_path: Path) -> None:
    mean = torch.randn(W)
    reading = imported({"g_ema": a_network(), "latent_avg": mean.expand(shape)}, tmp_path)
    assert reading.mean_w is not None and torch.equal(reading.mean_w, mean[None])


def test_a_training_and_an_encoder_are_left_aside(tmp_path: Path) -> None:
    """As rosinality's own training saves it, with its arguments; and as pSp and e4e do, whose decoder it is."""
    training = {"g": a_network(), "g_optim": {"state": {}}, "g_ema": a_network(), "args": Namespace(size=16, path="data"), "ada_aug_p": 0.0}
    assert imported(training, tmp_path).remarks == ("It is read from 'g_ema'.",)
    both = {f"decoder.{name}": value for name, value in a_network().items()} | {"encoder.input_layer.0.weight": torch.ones(4, 3, 3, 3)}
    reading = imported({"state_dict": both, "latent_avg": torch.ones(6, W), "opts": Namespace(size=16)}, tmp_path)
    assert reading.remarks == ("It is read from 'state_dict.decoder'.",) and reading.mean_w is not None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"convs.0.conv.blur.kernel": torch.ones(4, 4)}, "another filter"),
        ({"convs.0.conv.blur.kernel": torch.ones(2, 2)}, "another filter"),
        ({"noises.noise_0": torch.ones(1)}, "other shapes"),
        ({"conv1.noise.weight": torch.ones(6)}, "not one number"),
        ({"latent_avg": torch.ones(5)}, "other shapes"),
        ({"attention.weight": torch.ones(3)}, "also holds attention.weight"),
    ],
)
def test_another_network_is_refused(changed: dict[str, Tensor], says: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=says):
        imported(a_network() | changed, tmp_path)
