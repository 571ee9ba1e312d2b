"""TorchScript and torch.export, where they are trusted: what was imported draws as the program does."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resgen.errors import CheckpointError
from resgen.interop.readers import PROGRAM, read_file
from resgen.interop.reading import ImportOptions, UnsaidError
from tests.interop.states import made_of

CLASSES, Z_DIM = 5, 6


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is said to be old
        yield


def layers(inputs: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, 12 * 4), nn.ReLU(), nn.Unflatten(1, (12, 2, 2)), nn.ConvTranspose2d(12, 3, 4, 4), nn.Tanh())


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = layers(Z_DIM)

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


class Pixel(nn.Module):
    """Of noise [N, D, 1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.main = nn.Sequential(nn.ConvTranspose2d(Z_DIM, 8, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


class Labelled(nn.Module):
    """Of noise and labels [N]."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.embed = layers(Z_DIM + 4), nn.Embedding(CLASSES, 4)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.main(torch.cat([z, self.embed(labels)], dim=1))


class Weighted(nn.Module):
    """Of noise and class weights [N, C]."""

    def __init__(self) -> None:
        super().__init__()
        self.main = layers(Z_DIM + CLASSES)

    def forward(self, z: Tensor, weights: Tensor) -> Tensor:
        return self.main(torch.cat([z, weights], dim=1))


class WeightsFirst(Weighted):
    def forward(self, y: Tensor, noise: Tensor) -> Tensor:  # type: ignore[override]
        return self.main(torch.cat([noise, y], dim=1))


def inputs_of(network: nn.Module, count: int) -> tuple[Tensor, ...]:
    """What the network takes for images of all classes in turn."""
    z, labels = torch.randn(count, Z_DIM, generator=torch.Generator().manual_seed(1)), torch.arange(count) % CLASSES
    weights = torch.eye(CLASSES)[labels]
    if isinstance(network, WeightsFirst):
        return weights, z
    if isinstance(network, Pixel):
        return (z[:, :, None, None],)
    return (z,) if isinstance(network, Plain) else (z, labels) if isinstance(network, Labelled) else (z, weights)


def drawn_alike(network: nn.Module, path: Path, **settings: Any) -> bool:
    """Whether the program in a file is imported as a generator that draws as the network does."""
    kind, reading = read_file(path, ImportOptions(trusted=True, settings=settings))
    inputs = inputs_of(network, 7)
    z = inputs[isinstance(network, WeightsFirst)].flatten(1)
    weights = torch.eye(CLASSES)[torch.arange(7) % CLASSES] if reading.config.num_classes else None
    with torch.no_grad():
        wanted = network(*inputs)
        assert kind == PROGRAM and reading.config.num_classes == (CLASSES if len(inputs) == 2 else 0) and wanted.std() > 0.02
        return bool((made_of(reading)(z, weights) - wanted).abs().max() < 1e-5)


@pytest.mark.parametrize("network", [Plain, Pixel, Labelled, Weighted, WeightsFirst])
@pytest.mark.parametrize("scripted", [False, True])
def test_torchscript_is_read(network: type[nn.Module], scripted: bool, tmp_path: Path) -> None:
    made = network().eval()
    program = torch.jit.script(made) if scripted else torch.jit.trace(made, inputs_of(made, 2))  # type: ignore[no-untyped-call]
    torch.jit.save(program, tmp_path / "theirs.pt")  # type: ignore[no-untyped-call]
    settings: dict[str, Any] = {"noise": [Z_DIM, 1, 1] if network is Pixel else [Z_DIM]}
    settings |= {"num_classes": CLASSES} if len(inputs_of(made, 2)) == 2 else {}
    assert drawn_alike(made, tmp_path / "theirs.pt", **settings)


def test_the_noise_of_torchscript_is_found_by_its_first_layer(tmp_path: Path) -> None:
    for network in (Plain().eval(), Pixel().eval()):
        torch.jit.save(torch.jit.script(network), tmp_path / "theirs.pt")  # type: ignore[no-untyped-call]
        assert drawn_alike(network, tmp_path / "theirs.pt")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "num_classes a --config file says"),
        ({"num_classes": 10**9}, "num_classes a --config file says"),
        ({"num_classes": CLASSES, "noise": [7]}, r"square image of noise \(.*shapes cannot be multiplied"),
        ({"num_classes": CLASSES, "noise": [10**9]}, "noise must be the shape"),
        ({"num_classes": CLASSES, "noise": "6"}, "noise must be the shape"),
        ({"num_classes": CLASSES, "noise_input": "y"}, "noise_input must be one of: z, labels"),
        ({"num_classes": CLASSES, "z_dim": 6}, "z_dim says nothing of such a file"),
    ],
)
def test_what_torchscript_needs_is_asked(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Labelled()), tmp_path / "theirs.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(CheckpointError, match=says):
        read_file(tmp_path / "theirs.pt", ImportOptions(trusted=True, settings=settings))


def test_what_a_program_says_itself_is_not_to_be_said(tmp_path: Path) -> None:
    made = Plain().eval()
    torch.jit.save(torch.jit.script(made), tmp_path / "theirs.pt")  # type: ignore[no-untyped-call]
    torch.export.save(torch.export.export(made, inputs_of(made, 1)), tmp_path / "theirs.pt2")
    for suffix, says in (("pt", "takes noise alone, which is z"), ("pt2", "num_classes says nothing of such a file")):
        with pytest.raises(CheckpointError, match=says):
            read_file(tmp_path / f"theirs.{suffix}", ImportOptions(trusted=True, settings={"num_classes": CLASSES}))


def test_a_question_is_one_that_a_person_can_answer(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(Labelled()), tmp_path / "theirs.pt")  # type: ignore[no-untyped-call]
    with pytest.raises(UnsaidError):
        read_file(tmp_path / "theirs.pt", ImportOptions(trusted=True))


@pytest.mark.parametrize("network", [Plain, Pixel, Labelled, Weighted, WeightsFirst])
@pytest.mark.parametrize("images", [0, 1])
def test_torch_export_is_read(network: type[nn.Module], images: int, tmp_path: Path) -> None:
    """Of any number of images (0), or of as many as it was exported with: one, as its manual does it."""
    made = network().eval()
    inputs = inputs_of(made, images or 2)
    shapes = None if images else tuple({0: torch.export.Dim("n", min=1)} for _ in inputs)
    torch.export.save(torch.export.export(made, inputs, dynamic_shapes=shapes), tmp_path / "theirs.pt2")
    assert drawn_alike(made, tmp_path / "theirs.pt2")


def test_a_batch_that_cannot_be_one_image_is_told(tmp_path: Path) -> None:
    made = Plain().eval()
    torch.export.save(torch.export.export(made, inputs_of(made, 3)), tmp_path / "theirs.pt2")
    with pytest.raises(CheckpointError, match="3 images at once: export it with one image's noise"):
        read_file(tmp_path / "theirs.pt2", ImportOptions(trusted=True))
