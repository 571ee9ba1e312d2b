"""Small real files for the tests: checkpoints, feature networks, a library of them, and a zip of class folders."""

import gc
import io
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from xdist.scheduler import LoadFileScheduling

from resgen.card import Card
from resgen.checkpoint import Checkpoint, save_checkpoint
from resgen.features import FeatureConfig, FeatureResNet, save_features
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.library import Library
from resgen.sampler import Sampler
from resgen.studio.gradio_patches import import_gradio

CLASSES = ("disc", "square", "stripes")

# The same examples in every run, and as many as an issue of this project once asked for.
settings.register_profile("resgen", max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("resgen")
torch.set_num_threads(1)  # of networks this small, threads do little but wait for one another


import_gradio()  # before any test does, which would have it write the stubs of its components

with_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")

# Of the browser tests, all but the longest, the longest first. They are begun last, by whoever is free: each process that drives a browser
# starts an app.
LATE = (
    "test_workbench.py", "test_screens.py", "test_drawing.py", "test_links.py", "test_site.py", "test_work.py", "test_imported.py", "test_history.py",
    "test_choices.py", "test_strangers.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LATE.index(item.path.name) if item.path.parent.name == "browser" and item.path.name in LATE else -1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """A file stays in one process, which makes what its tests share once. One begins with the longest of the browser tests, the other with the rest."""
    config.option.loadscopereorder = False  # the longest first would be both of the browser's at once
    return LoadFileScheduling(config, log)


def untrained(name: str, seed: int, classes: tuple[str, ...]) -> Checkpoint:
    """A generator of 16 x 16 pixels with random weights."""
    torch.manual_seed(seed)
    arch = GeneratorConfig(num_classes=len(classes), widths=(16, 16, 8), z_dim=16, w_dim=12)
    dataset = {"name": "shapes", "author": "the tests", "licence": "Apache-2.0"}
    weights = ResNetGenerator(arch).state_dict()
    means, directions = torch.randn(max(1, len(classes)), 12), torch.randn(2, 12)
    return Checkpoint(Card(name, arch, classes, ("pc1", "pc2"), dataset), weights, means, directions)


def untrained_features(seed: int) -> FeatureResNet:
    """A classifier of three classes with random weights, far enough apart to tell images from one another."""
    torch.manual_seed(seed)
    network = FeatureResNet(FeatureConfig(3, (8, 12, 16)))
    network.classify.weight.data *= 20
    network.class_mean.normal_().abs_()
    network.class_variance.uniform_(0.5, 2)
    return network


def grows_evenly(work: Callable[[int], object], size: int) -> None:
    """Assert that four times the size takes ``work`` less than eight times as long: in time that grows by the square, it would take sixteen."""

    def seconds(size: int) -> float:
        times = list[float]()
        for _ in range(5):
            begun = time.thread_time()
            work(size)
            times.append(time.thread_time() - begun)
        return min(times)

    gc.disable()  # it looks through all that other tests have left, longer than the work takes
    try:
        small, large = seconds(size), seconds(4 * size)
    finally:
        gc.enable()
    assert large < 8 * small, f"{small:.4f} s, then {large:.4f} s"


def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until ``holds`` does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two untrained checkpoints: 'tiny' with three classes, a snapshot of its training and two feature networks, and 'plain'.

    Of the networks one knows the classes of 'tiny', and one, which comes first by its name, as many others.
    """
    folder = tmp_path_factory.mktemp("checkpoints")
    save_checkpoint(untrained("tiny", 0, CLASSES), folder / "tiny.safetensors")
    save_checkpoint(untrained("plain", 1, ()), folder / "plain.safetensors")
    (folder / "snapshots" / "tiny").mkdir(parents=True)
    save_checkpoint(untrained("tiny@500", 2, CLASSES), folder / "snapshots" / "tiny" / "500.safetensors")
    (folder / "features").mkdir()
    save_features(untrained_features(0), folder / "features" / "tiny.safetensors", {"classes": CLASSES})
    save_features(untrained_features(1), folder / "features" / "clothes.safetensors", {"classes": ("coat", "hat", "shoe")})
    return folder


@pytest.fixture(scope="session")
def library(tiny_folder: Path) -> Library:
    return Library(tiny_folder, "cpu")


@pytest.fixture(scope="session")
def tiny(library: Library) -> Sampler:
    return library.sampler("tiny")


def draw_shape(name: str, rng: np.random.Generator, side: int = 16) -> Image.Image:
    """One small colourful picture of a class."""
    y, x = np.mgrid[:side, :side] - side / 2 + rng.uniform(-2, 2, (2, 1, 1))
    size = rng.uniform(3, 6)
    mask = {"disc": x**2 + y**2 < size**2, "square": np.maximum(abs(x), abs(y)) < size, "stripes": np.sin(x * 6 / size) > 0}[name]
    pixels = np.where(mask[..., None], rng.integers(120, 255, 3), rng.integers(0, 90, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="session")
def shapes_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: 20 pictures of 16 x 16 pixels in each of three class folders, zipped."""
    path = tmp_path_factory.mktemp("data") / "shapes.zip"
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for name in CLASSES:
            for index in range(20):
                buffer = io.BytesIO()
                draw_shape(name, rng).save(buffer, "PNG")
                archive.writestr(f"{name}/{index:03}.png", buffer.getvalue())
    return path
