"""Rows of convolutions, as DCGAN and PyTorch-GAN are some, against the modules whose state dicts were imported, with all that can be said of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resgen.architecture import Generator
from resgen.errors import CheckpointError
from resgen.interop.conv_chain import ConvChainConfig
from resgen.interop.readers import read_file
from resgen.interop.reading import ImportOptions, Reading, UnsaidError
from tests.interop.states import filled, made_of

IMAGES, CLASSES = 4, 5
LEAKY = partial(nn.LeakyReLU, 0.2)


class Row(nn.Module):
    """Layers after noise z [N, D]: as one pixel, or through a linear layer whose result is [N, C, side, side]."""

    def __init__(self, *layers: nn.Module, side: int = 0) -> None:
        super().__init__()
        self.linear, self.side = (layers[0], side) if side else (None, 1)
        self.main = nn.Sequential(*layers[bool(side) :])

    def forward(self, z: Tensor) -> Tensor:
        return self.main((z if self.linear is None else self.linear(z)).view(len(z), -1, self.side, self.side))


class PyTorchGAN(nn.Module):
    """The generator of PyTorch-GAN's infogan, acgan and sgan, narrow, or of its lsgan, which begins with no norm; ``joined`` numbers go beside z into its first layer."""

    def __init__(
        self, z_dim: int, joined: int = 0, embedding: int = 0, end: type[nn.Module] = nn.Tanh, epsilon: float = 0.8, normed: bool = True
    ) -> None:
        super().__init__()
        if embedding:
            self.label_emb = nn.Embedding(CLASSES, embedding)
        self.l1 = nn.Sequential(nn.Linear(z_dim + joined, 8 * 4**2))
        self.conv_blocks = nn.Sequential(
            *([nn.BatchNorm2d(8)] * normed), nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8, epsilon), nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, 3, 1, 1), nn.BatchNorm2d(4, epsilon), nn.LeakyReLU(0.2), nn.Conv2d(4, 3, 3, 1, 1), end(),
        )  # fmt: skip

    def forward(self, inputs: Tensor) -> Tensor:
        return self.conv_blocks(self.l1(inputs).view(len(inputs), 8, 4, 4))


class Linears(nn.Module):
    """The generator of PyTorch-GAN's gan, wgan_gp and cgan, narrow: linear layers, the last of which makes all pixels of the image."""

    def __init__(self, channels: int = 1, embedding: int = 0, end: type[nn.Module] = nn.Tanh, activation: Callable[[], nn.Module] = LEAKY) -> None:
        super().__init__()
        if embedding:
            self.label_emb = nn.Embedding(CLASSES, embedding)
        self.channels, layers = channels, list[nn.Module]()
        for before, after in ((8 + embedding, 6), (6, 10), (10, 12)):
            layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after, 0.8)] if layers else []), activation()]
        self.model = nn.Sequential(*layers, nn.Linear(12, channels * 7**2), end())

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs).view(len(inputs), self.channels, 7, 7)


def ready(network: nn.Module) -> nn.Module:
    """With numbers of which each matters."""
    network.load_state_dict(filled({name: tuple(value.shape) for name, value in network.state_dict().items()}))
    return network.eval().requires_grad_(False)


def imported(network: nn.Module, folder: Path, output: str = "tanh", **settings: Any) -> tuple[str, Reading, Generator]:
    torch.save(network.state_dict(), folder / "theirs.pth")
    kind, reading = read_file(folder / "theirs.pth", ImportOptions(output=output, settings=settings))
    return kind, reading, made_of(reading)


def drawn_alike(network: nn.Module, folder: Path, output: str = "tanh", **settings: Any) -> bool:
    """Whether what was imported draws noise as the network does, which says its images in 0..1 where it ends with sigmoid."""
    _, reading, generator = imported(network, folder, output, **settings)
    z = torch.randn(IMAGES, reading.config.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(z) * 2 - 1 if output == "sigmoid" else network(z)
        assert wanted.std() > 0.02 and reading.config.resolution == wanted.shape[-1]
        return bool((generator(z) - wanted).abs().max() < 1e-4)


ROWS: dict[str, tuple[nn.Module, dict[str, Any]]] = {
    "as the paper has it": (Row(nn.ConvTranspose2d(8, 6, 4), nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()), {}),
    "steps": (
        Row(nn.ConvTranspose2d(8, 6, 5, 1, 1), nn.ReLU(), nn.ConvTranspose2d(6, 3, 7, 3, 2), nn.Tanh()),
        {"strides": [1, 3], "paddings": [1, 2]},
    ),
    "output paddings": (
        Row(nn.ConvTranspose2d(8, 6, 4), nn.ReLU(), nn.ConvTranspose2d(6, 3, 3, 2, 1, 1), nn.Tanh()),
        {"strides": [1, 2], "paddings": [0, 1], "output_paddings": [0, 1]},
    ),
    "transposed, odd and of equal widths": (
        Row(nn.ConvTranspose2d(8, 6, 4), nn.ReLU(), nn.ConvTranspose2d(6, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 3, 1, 1), nn.Tanh()),
        {"kinds": ["transposed", "transposed", "plain"], "strides": [1, 2, 1], "paddings": [0, 1, 1]},
    ),
    "enlarged": (
        Row(
            nn.Linear(8, 6 * 4**2), nn.Upsample(scale_factor=2), nn.Conv2d(6, 6, 3, 1, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(6, 3, 3, 1, 1), nn.Tanh(), side=4,
        ),
        {"kinds": ["enlarged", "enlarged"], "activation": ["none", "relu"]},
    ),
    "activations": (
        Row(nn.ConvTranspose2d(8, 6, 4), nn.ELU(), nn.ConvTranspose2d(6, 6, 4, 2, 1), nn.LeakyReLU(0.1), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()),
        {"activation": ["elu", "leaky_relu_0.1"]},
    ),
    "one activation": (Row(nn.ConvTranspose2d(8, 6, 4), nn.GELU(), nn.ConvTranspose2d(6, 1, 4, 2, 1), nn.Tanh()), {"activation": "gelu"}),
    "epsilon": (
        Row(nn.ConvTranspose2d(8, 6, 4), nn.BatchNorm2d(6, 0.3), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()),
        {"epsilon": 0.3},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("network", "settings"), ROWS.values(), ids=ROWS)
def test_a_row_draws_as_it_did(network: nn.Module, settings: dict[str, Any], tmp_path: Path) -> None:
    assert drawn_alike(ready(network), tmp_path, **settings)
    kind, reading, _ = imported(network, tmp_path, **settings)
    assert kind == "dcgan" and not any(name in str(reading.remarks) for name in settings)
    assert ConvChainConfig.from_dict(reading.config.to_dict()) == reading.config


@pytest.mark.parametrize("name", ["steps", "output paddings", "enlarged"])
def test_what_is_not_said_is_asked(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsaidError, match=r"--config file: .*lists? of [23]"):
        imported(ROWS[name][0], tmp_path)


def test_what_is_assumed_is_told(tmp_path: Path) -> None:
    _, reading, _ = imported(ROWS["as the paper has it"][0], tmp_path)
    assert "epsilon" not in str(imported(ROWS["one activation"][0], tmp_path)[1].remarks)  # there is no norm
    assert reading.remarks == (
        "Such a file does not tell all of its network; assumed are kinds transposed, transposed; activation relu; strides 1, 2; paddings 0, 1; epsilon 1e-05.",
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"strides": [1, 2]}, "say both"),
        ({"paddings": [0, 1]}, "say both"),
        ({"strides": [1, 2, 2], "paddings": [0, 1]}, "strides must be a list of 2 whole numbers"),
        ({"strides": "2", "paddings": [0, 1]}, "strides must be a list"),
        ({"strides": [1, True], "paddings": [0, 1]}, "strides must be a list"),
        ({"strides": [1, 10**9], "paddings": [0, 1]}, "out of range"),
        ({"strides": [1, 2], "paddings": [0, 1], "output_paddings": [0, 2]}, "out of range"),
        ({"output_paddings": [1]}, "output_paddings must be a list"),
        ({"kinds": ["transposed"]}, "kinds are 1; this network has 2"),
        ({"kinds": ["transposed", "round"]}, "kinds must be a list, for each convolution one of: transposed, plain, enlarged"),
        ({"kinds": ["transposed", "plain"]}, "main.3 is plain, but its weights have another order"),
        ({"activation": ["relu", "relu"]}, "a list of 1"),
        ({"activation": [["relu"]]}, "a list of 1"),
        ({"epsilon": "small"}, "epsilon must be a number"),
        ({"num_classes": 8}, "among the 8 inputs"),
        ({"num_classes": 10**9}, "among the 8 inputs"),
        ({"num_classes": 3, "class_at": 6}, "from 0 to 5"),
        ({"class_at": 0}, "needs num_classes"),
        ({"stride": [1, 2]}, "stride says nothing of such a file"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=says):
        imported(ready(ROWS["as the paper has it"][0]), tmp_path, **settings)


CLASSED: dict[str, nn.Module] = {
    "a pixel": Row(nn.ConvTranspose2d(8 + CLASSES, 6, 4), nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()),
    "a linear layer": Row(nn.Linear(8 + CLASSES, 6 * 4**2), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh(), side=4),
    "PyTorch-GAN's": PyTorchGAN(8, CLASSES),
}


@pytest.mark.parametrize("network", CLASSED.values(), ids=CLASSED)
@pytest.mark.parametrize("at", [None, 0, 6])
def test_a_class_that_goes_in_beside_noise_is_one(network: nn.Module, at: int | None, tmp_path: Path) -> None:
    """After it, before it, or within: as of InfoGAN, whose codes follow the class."""
    settings = {"num_classes": CLASSES} | ({} if at is None else {"class_at": at})
    _, reading, generator = imported(ready(network), tmp_path, "tanh", **settings)
    z, classes = torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(0)), torch.eye(CLASSES)
    before = 8 if at is None else at
    assert (reading.config.num_classes, reading.config.z_dim) == (CLASSES, 8)
    with torch.no_grad():
        wanted = network(torch.cat([z[:, :before], classes, z[:, before:]], dim=1))
        assert (generator(z, classes) - wanted).abs().max() < 1e-4 and wanted.std() > 0.02
        assert (generator(z, classes.roll(1, 0)) - wanted).abs().max() > 0.01


@pytest.mark.parametrize("end", [nn.Tanh, nn.Sigmoid])
def test_pytorch_gan_draws_as_it_did(end: type[nn.Module], tmp_path: Path) -> None:
    network = ready(PyTorchGAN(8, end=end))
    assert drawn_alike(network, tmp_path, "sigmoid" if end is nn.Sigmoid else "")
    assert imported(network, tmp_path)[0] == "pytorch-gan"
    assert drawn_alike(ready(PyTorchGAN(8, epsilon=1e-5)), tmp_path, epsilon=1e-5)


def test_pytorch_gan_without_a_norm_at_the_beginning(tmp_path: Path) -> None:
    network = ready(PyTorchGAN(8, normed=False))
    assert drawn_alike(network, tmp_path, "") and imported(network, tmp_path)[0] == "pytorch-gan"


@pytest.mark.parametrize(("channels", "end"), [(1, nn.Tanh), (3, nn.Sigmoid)])
def test_linear_layers_draw_as_they_did(channels: int, end: type[nn.Module], tmp_path: Path) -> None:
    network = ready(Linears(channels, end=end))
    assert drawn_alike(network, tmp_path, "sigmoid" if end is nn.Sigmoid else "")
    kind, reading, _ = imported(network, tmp_path)
    assert kind == "pytorch-gan" and reading.remarks == (
        "Such a file does not tell all of its network; assumed are activation leaky_relu; epsilon 0.8.",
    )
    assert drawn_alike(ready(Linears(activation=nn.GELU)), tmp_path, activation="gelu")


@pytest.mark.parametrize("at", [0, 8])
def test_linear_layers_with_a_class(at: int, tmp_path: Path) -> None:
    """Its embedding comes before noise where nothing else is said."""
    network: Any = ready(Linears(embedding=3))
    _, reading, generator = imported(network, tmp_path, "tanh", **({"class_at": at} if at else {}))
    z, embedded = torch.randn(CLASSES, 8), network.label_emb(torch.arange(CLASSES))
    with torch.no_grad():
        wanted = network(torch.cat([z, embedded] if at else [embedded, z], dim=1))
        assert (generator(z, torch.eye(CLASSES)) - wanted).abs().max() < 1e-4 and ("class_at 0" in str(reading.remarks)) == (not at)


def test_linear_layers_that_make_no_square_are_refused(tmp_path: Path) -> None:
    network = Linears()
    network.model[-2] = nn.Linear(12, 50)
    with pytest.raises(CheckpointError, match="50 numbers, which are no square image"):
        imported(network, tmp_path)


@pytest.mark.parametrize("at", [None, 0])
def test_pytorch_gan_with_an_embedding_beside_noise(at: int | None, tmp_path: Path) -> None:
    network: Any = ready(PyTorchGAN(8, joined=3, embedding=3))
    _, reading, generator = imported(network, tmp_path, "tanh", **({} if at is None else {"class_at": at}))
    z, labels = torch.randn(CLASSES, 8, generator=torch.Generator().manual_seed(0)), torch.arange(CLASSES)
    embedded = network.label_emb(labels)
    with torch.no_grad():
        wanted = network(torch.cat([z, embedded] if at is None else [embedded, z], dim=1))
        assert reading.config.num_classes == CLASSES and (generator(z, torch.eye(CLASSES)) - wanted).abs().max() < 1e-4


def test_pytorch_gan_with_an_embedding_that_is_multiplied_or_unused(tmp_path: Path) -> None:
    network = ready(PyTorchGAN(8, embedding=8))
    with pytest.raises(CheckpointError, match=r"export it to ONNX.*num_classes: 0"):
        imported(network, tmp_path)
    assert drawn_alike(network, tmp_path, num_classes=0)


def test_a_configuration_without_output_paddings_is_written_as_before_there_were_any() -> None:
    """What identifies a checkpoint is made of this."""
    known = (
        *("family", "num_classes", "image_channels", "z_dim", "embedding", "stem_width", "base_resolution", "stem_activation"),
        *("kinds", "widths", "kernels", "strides", "paddings", "activations"),
    )
    assert tuple(ConvChainConfig().to_dict()) == known
    assert "output_paddings" in ConvChainConfig(strides=(2,), output_paddings=(1,)).to_dict()
