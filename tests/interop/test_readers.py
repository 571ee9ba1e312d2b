"""Networks of others, filled with numbers, against what their original implementations drew of them: see `draw_originals.py`."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from resgen.errors import CheckpointError
from resgen.interop.readers import GRAPH, READERS, check, read_file
from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.resnet import ResNetConfig
from tests.interop.states import ORIGINALS, latents, made_of, original, picked, their_file, told_of
from tests.interop.test_files import torchscript
from tests.interop.test_onnx import an_image_made_of_itself

DRAWN = sorted(ORIGINALS.glob("*.npz"))


def test_every_reader_is_compared() -> None:
    elsewhere = {"biggan-pytorch", "pytorch-gan", "rosinality", "stylegan2"}  # compared in files of their own
    assert {path.stem.partition("-")[0] for path in DRAWN} == {*READERS} - elsewhere


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.stem)
def test_what_the_original_drew_is_drawn(path: Path, tmp_path: Path) -> None:
    torch.save({"g_ema": original(path.stem)}, tmp_path / "theirs.pth")
    kind, reading = read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh", settings=told_of(path.stem)["settings"]))
    assert kind == path.stem.partition("-")[0]
    generator = made_of(reading)
    classes = reading.config.num_classes
    z, labels = latents(reading.config.z_dim, classes)
    weights = torch.eye(classes)[labels] if classes else None
    with torch.no_grad():
        images = torch.cat([generator(a, b) for a, b in zip(z.split(8), weights.split(8) if weights is not None else [None] * 4, strict=True)])
    wanted = torch.from_numpy(np.load(path)["images"].astype(np.float32))
    assert (picked(images) - wanted).abs().max() < 1 / 255 and wanted.std() > 0.05


def test_r3gan_is_read_from_what_its_training_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its modules are pickled by the names of their classes, without source."""
    state = original("r3gan-classes-32")
    kinds = [type(name, (nn.Module,), {"__module__": place}) for place, name in (("training.networks", "Generator"), ("R3GAN.Networks", "Stage"))]
    for kind in kinds:
        for name in (kind.__module__.partition(".")[0], kind.__module__):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        setattr(sys.modules[kind.__module__], kind.__name__, kind)
    network = kinds[0]()
    for name, value in state.items():
        *places, leaf = name.split(".")
        part = network
        for place in places:
            if place not in part._modules:
                part.add_module(place, kinds[1]())
            part = part.get_submodule(place)
        part.register_parameter(leaf, nn.Parameter(value))
    network.DataType = torch.bfloat16  # type: ignore[assignment]
    (tmp_path / "theirs.pkl").write_bytes(pickle.dumps({"G": None, "D": None, "G_ema": network, "G_opt_state": {"state": {0: torch.zeros(3)}}}))
    torch.save(state, tmp_path / "theirs.pth")
    (kind, found), (_, wanted) = (read_file(tmp_path / f"theirs.{suffix}", ImportOptions()) for suffix in ("pkl", "pth"))
    assert kind == "r3gan" and found.config == wanted.config
    assert all(torch.equal(value, wanted.weights[name]) for name, value in found.weights.items())


@pytest.mark.parametrize("norm", [torch.nn.utils.spectral_norm, torch.nn.utils.parametrizations.spectral_norm])
def test_spectral_norms_of_both_kinds_are_folded(norm: Callable[[nn.Module], nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [norm(nn.ConvTranspose2d(8, 8, 4, 1, 0, bias=False)), nn.BatchNorm2d(8), nn.ReLU(), norm(nn.ConvTranspose2d(8, 3, 4, 2, 1)), nn.Tanh()]
    network = nn.Sequential(*layers)
    for _ in range(50):  # until the norms have found the largest singular values
        network(torch.randn(16, 8, 1, 1))
    torch.save(network.state_dict(), tmp_path / "theirs.pth")
    kind, reading = read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))
    generator = made_of(reading)
    z = torch.randn(4, 8)
    with torch.no_grad():
        drawn = network.eval()(z[:, :, None, None])
        assert kind == "dcgan" and (generator(z) - drawn).abs().max() < 1e-4 and drawn.std() > 0.05


def test_layers_are_in_their_order_however_a_file_sorts_them(tmp_path: Path) -> None:
    """Safetensors has main.10 before main.2."""
    state = original("dcgan-plain")
    torch.save(state, tmp_path / "theirs.pth")
    save_file(state, tmp_path / "theirs.safetensors")
    (_, plain), (kind, sorted_) = (read_file(tmp_path / f"theirs{suffix}", ImportOptions(output="tanh")) for suffix in (".pth", ".safetensors"))
    assert kind == "dcgan" and sorted_.config == plain.config
    assert all(torch.equal(value, plain.weights[name]) for name, value in sorted_.weights.items())


@pytest.mark.parametrize("suffix", [".PTH", ".PT"])
def test_endings_may_be_written_large(suffix: str, tmp_path: Path) -> None:
    torch.save(original("dcgan-plain"), tmp_path / f"theirs{suffix}")
    assert read_file(tmp_path / f"theirs{suffix}", ImportOptions(output="tanh"))[0] == "dcgan"


def test_more_classes_than_means_can_be_kept_of_are_refused(tmp_path: Path) -> None:
    """A file of a few kilobytes, whose classes' latents would be gigabytes."""
    config = ResNetConfig(num_classes=20_000, z_dim=1, base_resolution=4, stem_width=1, widths=(1, 1))
    with pytest.raises(CheckpointError, match="20000 classes"):
        check(Reading(config, {}), tmp_path / "theirs.pth")


def test_a_generator_that_lacks_a_layer_is_refused(tmp_path: Path) -> None:
    state = original("mimicry-sngan-32")
    del state["block3.c2.bias"]
    torch.save(state, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=r"lacks block3\.c2\.bias"):
        read_file(tmp_path / "theirs.pth", ImportOptions())


def test_what_a_file_does_not_say_is_asked_for(tmp_path: Path) -> None:
    torch.save(original("dcgan-plain"), tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match="--output tanh or --output sigmoid"):
        read_file(tmp_path / "theirs.pth", ImportOptions())


@pytest.mark.parametrize("name", ["mimicry-sngan-32", "biggan-128", "studiogan-resnet", "studiogan-deep_legacy"])
def test_an_output_that_is_said_is_drawn(name: str, tmp_path: Path) -> None:
    torch.save(original(name), tmp_path / "theirs.pth")
    tanh, sigmoid = (made_of(read_file(tmp_path / "theirs.pth", ImportOptions(output=output))[1]) for output in ("", "sigmoid"))
    z, labels = latents(tanh.config.z_dim, tanh.config.num_classes)
    weights = torch.eye(tanh.config.num_classes)[labels[:2]] if tanh.config.num_classes else None
    with torch.no_grad():
        drawn, other = (network(z[:2], weights).double() for network in (tanh, sigmoid))
    within = drawn.abs() < 0.999
    assert within.float().mean() > 0.5 and (other - (2 * torch.sigmoid(torch.atanh(drawn)) - 1))[within].abs().max() < 1e-3


@pytest.mark.parametrize("name", ["r3gan-64", "skip-classes-32.pkl"])
def test_a_sigmoid_that_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    path = their_file(name, tmp_path)
    read_file(path, ImportOptions(output="tanh"))
    with pytest.raises(CheckpointError, match="leave --output out"):
        read_file(path, ImportOptions(output="sigmoid"))


@pytest.mark.parametrize(("suffix", "make", "as_it_is"), [(".onnx", an_image_made_of_itself, "no generator"), (".pt", torchscript, "--trust")])
def test_a_kind_that_a_file_cannot_be_is_refused(suffix: str, make: Callable[[Path], None], as_it_is: str, tmp_path: Path) -> None:
    path = tmp_path / f"theirs{suffix}"
    make(path)
    for wanted, says in (("dcgan", "not read as dcgan; leave --arch out"), (GRAPH if suffix == ".onnx" else "", as_it_is)):
        with pytest.raises(CheckpointError, match=says):
            read_file(path, ImportOptions(), wanted)


def test_an_output_that_there_is_not_is_refused() -> None:
    with pytest.raises(CheckpointError, match="tanh or sigmoid, not 'relu'"):
        ImportOptions(output="relu")


@pytest.mark.parametrize("name", ["mimicry-sngan-32", "dcgan-plain", "r3gan-64", "biggan-128", "skip-classes-32.pkl"])
def test_what_a_configuration_says_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    path = their_file(name, tmp_path)
    with pytest.raises(CheckpointError, match=r"The configuration's activations says nothing of such a file; .*classes\."):
        read_file(path, ImportOptions(output="tanh", settings={"classes": [], "activations": "elu"}))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("mimicry-sngan-32", ("block2.c1.sn_u", "block2.c1.sn_sigma")),
        ("mimicry-sngan-32", ("attn_block.theta.weight",)),
        ("studiogan-resnet", ("blocks.0.0.conv2d9.weight",)),
        ("dcgan-plain", ("main.0.mask",)),
    ],
)
def test_tensors_that_would_be_left_out_are_told(name: str, more: tuple[str, ...], tmp_path: Path) -> None:
    state = original(name)
    torch.save(state | {key: torch.ones(4) for key in more}, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match="export its network to ONNX") as refused:
        read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))
    assert all(key in str(refused.value) for key in more)


def test_what_stands_beside_a_network_is_for_the_reader_that_asks_for_it(tmp_path: Path) -> None:
    """As a mean w of rosinality's, which another network would leave out."""
    torch.save({"g_ema": original("mimicry-sngan-32"), "latent_avg": torch.ones(128)}, tmp_path / "theirs.pth")
    assert read_file(tmp_path / "theirs.pth", ImportOptions(output="tanh"))[0] == "mimicry"


def test_what_a_network_only_counts_is_no_part_of_its_picture(tmp_path: Path) -> None:
    state = original("r3gan-64")
    filters = {"Model.MainLayers.1.Layers.0.Resampler.Kernel": torch.ones(4, 4) / 16}
    torch.save(state | filters | {"n_averaged": torch.tensor(3), "x.num_batches_tracked": torch.tensor(5)}, tmp_path / "theirs.pth")
    assert read_file(tmp_path / "theirs.pth", ImportOptions())[0] == "r3gan"
