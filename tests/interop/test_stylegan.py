"""StyleGAN2 and 3 against NVIDIA's own code (see `originals`), and what their configurations and files are checked for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.interop import readers, stylegan2_pickles, stylegan3_pickles
from resgen.interop.pickles import Plain, averaged_generator, read_pickle, tensors
from resgen.interop.readers import check, read_file
from resgen.interop.reading import ImportOptions
from resgen.interop.state_dicts import Watched
from resgen.interop.stylegan2 import StyleGAN2Config
from resgen.interop.stylegan3 import StyleGAN3Config

HERE = Path(__file__).parent
FILES = sorted((HERE / "stylegan").glob("*.pkl"))
ORIGINALS = Path(os.environ.get("RESGEN_ORIGINALS", HERE.parents[2] / "originals"))  # where checkouts of NVlabs' repositories lie
REPOSITORIES = ("stylegan2-ada-pytorch", "stylegan3")


def plain(path: Path) -> Plain:
    state = averaged_generator(read_pickle(path))
    assert state is not None
    return state


def opened(path: Path) -> Any:
    """The generator that a pickle holds, as an import would make it."""
    _, reading = read_file(path, ImportOptions())
    return built(reading.config, reading.weights)


def built(config: Any, weights: dict[str, Tensor]) -> Any:
    with torch.device("meta"):
        network = config.build()
    network.load_state_dict(weights, assign=True)
    return network.eval().requires_grad_(False)


def difference(path: Path, drawn: Path | None = None) -> float:
    """The largest between our images and the original's, black being -1 and white 1; at most 1e-5 between the mapped latents."""
    network = opened(path)
    made = np.load((drawn or path).with_suffix(".npz"))
    w = network.map(torch.tensor(made["z"]), torch.tensor(made["c"]) if network.config.num_classes else None)
    assert np.abs(w[:, 0].numpy() - made["w"]).max() < 1e-5
    images = torch.cat([network.synthesise(part) for part in w.split(8)]).numpy()
    step = -(-images.shape[2] // made["images"].shape[2])
    return float(np.abs(images[:, :, ::step, ::step] - made["images"]).max())


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def network(request: pytest.FixtureRequest) -> Any:
    return opened(request.param)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_draws_what_the_original_drew(path: Path) -> None:
    assert difference(path) < 1e-4  # of 2 / 255


@pytest.mark.parametrize("name", ["skip-classes-32", "resnet-32"])
def test_a_state_dict_draws_as_the_whole_object(name: str, tmp_path: Path) -> None:
    """All but a clamp, which it does not tell of, follows from names and shapes."""
    pickled = HERE / "stylegan" / f"{name}.pkl"
    torch.save({"state_dict": tensors(plain(pickled)), "step": 3}, tmp_path / "theirs.pth")
    assert difference(tmp_path / "theirs.pth", pickled) < 1e-4
    kind, reading = read_file(tmp_path / "theirs.pth", ImportOptions())
    _, whole = read_file(pickled, ImportOptions())
    assert kind == "stylegan2" and reading.config == whole.config and "clamped" in reading.remarks[-1]
    assert reading.mean_w is not None and whole.mean_w is not None and torch.equal(reading.mean_w, whole.mean_w)


def test_a_state_dict_may_be_of_a_network_without_either_images_on_the_way_or_noise(tmp_path: Path) -> None:
    state = tensors(plain(HERE / "stylegan" / "skip-classes-32.pkl"))
    kept = {name: value for name, value in state.items() if ".noise_" not in name and (".torgb." not in name or ".b32." in name)}
    torch.save(kept, tmp_path / "theirs.pth")
    config: Any = read_file(tmp_path / "theirs.pth", ImportOptions())[1].config
    assert (config.architecture, config.noise, config.num_classes) == ("orig", False, 3)


@pytest.mark.parametrize("name", ["synthesis.b8.conv1.mask", "attention.weight"])
def test_tensors_that_would_be_left_out_are_told(name: str, tmp_path: Path) -> None:
    state = tensors(plain(HERE / "stylegan" / "resnet-32.pkl"))
    torch.save(state | {name: torch.ones(3, 3)}, tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=f"also holds {name}"):
        read_file(tmp_path / "theirs.pth", ImportOptions())


@pytest.mark.parametrize("name", ["skip-classes-32", "t-classes-32"])
def test_what_a_pickled_network_has_more_of_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = HERE / "stylegan" / f"{name}.pkl"
    state = plain(path)
    synthesis, mapping = state.part("synthesis"), state.part("mapping")
    assert synthesis is not None and mapping is not None
    synthesis.state["_modules"]["attention"] = Plain("Attention", {"_parameters": {"weight": mapping.state["_buffers"]["w_avg"]}})
    monkeypatch.setattr(readers, "read_pickle", lambda _: state)
    with pytest.raises(CheckpointError, match=r"also holds synthesis\.attention\.weight"):
        read_file(path, ImportOptions())


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_draws_what_the_original_draws(repository: str, tmp_path: Path) -> None:
    """Each network of `originals.py`, pickled with NVIDIA's source in it, at full size."""
    if not (ORIGINALS / repository).exists():
        pytest.skip(f"{ORIGINALS / repository} is not there: a checkout of NVlabs/{repository}")
    if repository == "stylegan3" and find_spec("scipy") is None:
        pytest.skip("NVlabs/stylegan3 needs scipy")
    subprocess.run([sys.executable, HERE / "originals.py", ORIGINALS / repository, tmp_path], check=True, capture_output=True)
    differences = {path.stem: difference(path) for path in sorted(tmp_path.glob("*.pkl"))}
    for name, value in differences.items():
        print(f"{repository} {name}: {value:.1e}")
    assert len(differences) > 8
    assert max(differences.values()) < 1e-4


def test_meets_the_protocol(network: Any) -> None:
    arch = network.config
    n, blocks = 2, len(arch.block_resolutions)
    classes = torch.full((n, arch.num_classes), 1 / arch.num_classes) if arch.num_classes else None
    w = network.map(torch.randn(n, arch.z_dim), classes)
    assert w.shape == (n, blocks, arch.w_dim)
    image = network.synthesise(w, torch.ones(n, blocks))
    assert image.shape == (n, arch.image_channels, arch.resolution, arch.resolution)
    assert torch.equal(image, network.synthesise(w))
    assert torch.allclose(image, network.synthesise(w[:, 0]), atol=1e-6)
    depths = list(network.depths(w))
    assert torch.equal(depths[-1][1], image) and len(depths) == blocks
    assert all(x.shape[2] >= pixels for (x, _), pixels in zip(depths, arch.block_resolutions, strict=True))
    assert all((part is not None) or not arch.dials for _, part in depths)
    assert all(layer.shape[1] == arch.w_dim for layer in network.layers_of_w()) and torch.equal(network.first_features(w), depths[0][0])


def test_images_do_not_depend_on_company(network: Any) -> None:
    w = torch.randn(3, len(network.config.block_resolutions), network.config.w_dim)
    assert torch.allclose(network.synthesise(w)[:1], network.synthesise(w[:1]), atol=1e-5)


def test_each_block_has_a_w_of_its_own(network: Any) -> None:
    w = torch.randn(1, len(network.config.block_resolutions), network.config.w_dim)
    for block in range(w.shape[1]):
        other = w.clone()
        other[:, block] += 1
        assert (network.synthesise(other) - network.synthesise(w)).abs().max() > 1e-3


def test_a_later_block_leaves_the_image_so_far() -> None:
    network = opened(HERE / "stylegan" / "skip-classes-32.pkl")
    w = torch.randn(1, 4, network.config.w_dim)
    other = torch.cat([w[:, :3], w[:, 3:] + 1], dim=1)
    for (_, image), (_, same) in list(zip(network.depths(w), network.depths(other), strict=True))[:3]:
        assert torch.equal(image, same)


def test_gains_scale_shares_of_the_image_where_images_are_added() -> None:
    network = opened(HERE / "stylegan" / "skip-classes-32.pkl")
    w = torch.randn(1, 4, network.config.w_dim)
    alone = [network.synthesise(w, torch.eye(4)[block : block + 1]) for block in range(4)]
    assert torch.allclose(sum(alone), network.synthesise(w), atol=1e-5)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert network.config.dials and not network.config.residual


def test_gains_scale_residual_branches_where_there_are_any() -> None:
    network = opened(HERE / "stylegan" / "resnet-32.pkl")
    w = torch.randn(1, 4, network.config.w_dim)
    x = [network.synthesise(w, torch.tensor([[1.0, 1.0, 1.0, gain]])) for gain in (0.0, 0.5, 1.0)]
    assert torch.allclose(x[1], (x[0] + x[2]) / 2, atol=1e-5)
    assert (x[0] - x[2]).abs().max() > 0.01
    assert network.config.dials and network.config.residual


def test_gains_do_nothing_where_there_is_neither() -> None:
    config = StyleGAN2Config(widths=(8, 8), mapping=(8, 8), architecture="orig")
    network, w = config.build(), torch.randn(1, 8)
    assert torch.equal(network.synthesise(w, torch.zeros(1, 2)), network.synthesise(w)) and not config.dials
    assert [image is None for _, image in network.depths(w)] == [True, False]


def test_reads_the_average_w() -> None:
    state = plain(HERE / "stylegan" / "t-classes-32.pkl")
    mean_w, mapping = stylegan3_pickles.read(tensors(state), state).mean_w, state.part("mapping")
    assert mapping is not None and mean_w is not None
    assert torch.equal(mean_w, mapping.state["_buffers"]["w_avg"].tensor().expand(3, -1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_configuration_goes_through_json(path: Path) -> None:
    config = opened(path).config
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_half_precision_of_the_weights_is_enough(network: Any) -> None:
    z, count = torch.randn(8, network.config.z_dim), network.config.num_classes
    classes = torch.eye(count)[torch.arange(8) % count] if count else None
    halved = built(network.config, {name: value.half().float() if value.ndim > 1 else value for name, value in network.state_dict().items()})
    assert (halved(z, classes) - network(z, classes)).abs().max() < 3 / 127.5


@pytest.mark.parametrize(
    ("config", "raw"),
    [
        (StyleGAN2Config, []),
        (StyleGAN2Config, {"widths": "512"}),
        (StyleGAN2Config, {"widths": [2**60, 512]}),
        (StyleGAN2Config, {"widths": [512] * 40}),
        (StyleGAN2Config, {"widths": [512] * 11}),
        (StyleGAN2Config, {"widths": [512, True]}),
        (StyleGAN2Config, {"mapping": [512]}),
        (StyleGAN2Config, {"architecture": "other"}),
        (StyleGAN2Config, {"num_classes": 3}),
        (StyleGAN2Config, {"image_channels": 2}),
        (StyleGAN2Config, {"clamp": float("nan")}),
        (StyleGAN2Config, {"clamp": 2**2000}),
        (StyleGAN2Config, {"colour": 1}),
        (StyleGAN3Config, {"sides": [2**40] * 3}),
        (StyleGAN3Config, {"rates": [16, 16]}),
        (StyleGAN3Config, {"rates": [16, 12, 12]}),
        (StyleGAN3Config, {"rates": [0, 16, 16]}),
        (StyleGAN3Config, {"cutoffs": [8.0, 8.0, 8.0]}),
        (StyleGAN3Config, {"cutoffs": [2.0, -1.0, 8.0]}),
        (StyleGAN3Config, {"half_widths": [float("inf"), 1.0, 1.0]}),
        (StyleGAN3Config, {"rates": [32, 16, 16]}),
        (StyleGAN3Config, {"sides": [36, 36, 36]}),
        (StyleGAN3Config, {"filter_size": 10**9}),
        (StyleGAN3Config, {"widths": []}),
        (StyleGAN3Config, {"mapping": []}),
    ],
)
def test_refuses_configurations_that_cannot_be(config: Any, raw: object) -> None:
    with pytest.raises(CheckpointError):
        config.from_dict(raw)


def _set(*place: str) -> Callable[[Plain, Any], None]:
    """Change one thing of a plain state: names of modules, then a setting."""

    def change(state: Plain, value: Any) -> None:
        for name in place[:-1]:
            part = state.part(name)
            assert part is not None
            state = part
        state.state[place[-1]] = value

    return change


@pytest.mark.parametrize(
    ("reader", "file", "change", "value"),
    [
        (stylegan2_pickles, "resnet-32", _set("img_resolution"), 2**60),
        (stylegan2_pickles, "resnet-32", _set("img_resolution"), 64),
        (stylegan2_pickles, "resnet-32", _set("img_channels"), 4),
        (stylegan2_pickles, "resnet-32", _set("c_dim"), 2),
        (stylegan2_pickles, "resnet-32", _set("mapping", "z_dim"), "24"),
        (stylegan2_pickles, "resnet-32", _set("mapping", "num_layers"), 2**40),
        (stylegan2_pickles, "resnet-32", _set("mapping", "fc0", "activation"), "tanh"),
        (stylegan2_pickles, "resnet-32", _set("synthesis", "b8", "conv1", "activation"), "relu"),
        (stylegan2_pickles, "resnet-32", _set("synthesis", "b32", "architecture"), "skip"),
        (stylegan2_pickles, "resnet-32", _set("synthesis", "b8", "conv1", "affine", "weight_gain"), float("nan")),
        (stylegan2_pickles, "resnet-32", _set("synthesis", "b8", "_modules"), {}),
        (stylegan2_pickles, "resnet-32", _set("synthesis", "b8", "conv1", "_parameters"), {}),
        (stylegan2_pickles, "resnet-32", _set("mapping", "_buffers"), {}),
        (stylegan3_pickles, "r-32", _set("synthesis", "L1_36_12", "out_sampling_rate"), 2**60),
        (stylegan3_pickles, "r-32", _set("synthesis", "L1_36_12", "out_sampling_rate"), 32),
        (stylegan3_pickles, "r-32", _set("synthesis", "L1_36_12", "out_cutoff"), 3.0),
        (stylegan3_pickles, "r-32", _set("synthesis", "L0_36_12", "up_factor"), 0),
        (stylegan3_pickles, "r-32", _set("synthesis", "L0_36_12", "conv_kernel"), 3),
        (stylegan3_pickles, "r-32", _set("synthesis", "output_scale"), None),
        (stylegan3_pickles, "r-32", _set("synthesis", "input", "_buffers"), {}),
    ],
)
def test_refuses_files_that_describe_another_network(reader: ModuleType, file: str, change: Callable[[Plain, Any], None], value: Any) -> None:
    state = plain(HERE / "stylegan" / f"{file}.pkl")
    change(state, value)
    with pytest.raises(CheckpointError):
        check(reader.read(tensors(state), state), HERE)


def test_stylegan_xl_maps_classes_through_a_layer_of_its_own() -> None:
    """It has more embeddings than there are classes, one layer after them, and a mean w for each class."""
    torch.manual_seed(0)
    state = plain(HERE / "stylegan" / "t-classes-32.pkl")
    stored, mapping = tensors(state), state.part("mapping")
    assert mapping is not None
    classes, width, table = 3, len(stored["mapping.embed.bias"]), torch.randn(7, 5)
    weight, bias = torch.randn(width, 5), torch.randn(width)
    mapping.state["_modules"] |= {
        "embed": Plain("Embedding"),
        "embed_proj": Plain("Layer", {"weight_gain": 0.4, "bias_gain": 1.0, "activation": "lrelu"}),
    }
    del stored["mapping.embed.bias"]
    means = torch.randn(classes, len(stored["mapping.w_avg"]))
    more = {"mapping.embed.weight": table, "mapping.embed_proj.weight": weight, "mapping.embed_proj.bias": bias, "mapping.w_avg": means}
    watched = Watched(stored | more)
    reading = check(stylegan3_pickles.read(watched, state), HERE)
    z = torch.randn(classes, 24)
    told = torch.nn.functional.leaky_relu(table[:classes] @ weight.T * 0.4 + bias, 0.2)
    x = torch.cat([values / values.square().mean(dim=1, keepdim=True).sqrt() for values in (z, told)], dim=1)
    for name in ("mapping.fc0", "mapping.fc1"):
        x = x @ stored[f"{name}.weight"].T * 0.01 / x.shape[1] ** 0.5 + stored[f"{name}.bias"] * 0.01
        x = 2**0.5 * torch.nn.functional.leaky_relu(x, 0.2)
    assert (built(reading.config, reading.weights).map(z, torch.eye(classes))[:, 0] - x).abs().max() < 1e-5
    assert reading.mean_w is not None and torch.equal(reading.mean_w, means) and not watched.unread


def test_stylegan_xl_keeps_embeddings_without_classes() -> None:
    state = plain(HERE / "stylegan" / "r-32.pkl")
    mapping = state.part("mapping")
    assert mapping is not None
    mapping.state["_modules"]["embed"] = Plain("Embedding")
    watched = Watched(tensors(state) | {"mapping.embed.weight": torch.randn(7, 5)})
    assert check(stylegan3_pickles.read(watched, state), HERE).config.num_classes == 0 and not watched.unread


def test_a_strength_of_many_numbers_is_refused() -> None:
    """It would be multiplied with what it is the strength of."""
    state = plain(HERE / "stylegan" / "resnet-32.pkl")
    conv = state.part("synthesis").part("b8").part("conv1").state  # pyright: ignore[reportOptionalMemberAccess]
    conv["_parameters"]["noise_strength"] = conv["_parameters"]["bias"]
    with pytest.raises(CheckpointError, match="one number"):
        stylegan2_pickles.read(tensors(state), state)


@pytest.mark.parametrize("state", [Plain("Generator"), Plain("Generator", {"_modules": []}), Plain("G", {"_modules": {"synthesis": 3}})])
def test_readers_pass_by_what_is_not_theirs(state: Plain) -> None:
    assert not stylegan2_pickles.sniff(state)
    assert not stylegan3_pickles.sniff(state)


def test_a_fresh_network_can_be_drawn_with() -> None:
    """Without a file: sizes alone decide, filters included."""
    small = StyleGAN2Config(widths=(8, 8), mapping=(8, 8), clamp=1.0)
    assert small.build()(torch.randn(2, 8)).shape == (2, 3, 8, 8)
    assert replace(small, noise=False).build()(torch.randn(2, 8)).shape == (2, 3, 8, 8)
    assert StyleGAN3Config(widths=(8, 8), mapping=(8, 8), radial=1).build()(torch.randn(2, 8)).shape == (2, 3, 16, 16)
