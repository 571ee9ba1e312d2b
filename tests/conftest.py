"""Small real files for the tests: a tiny generator's checkpoint and a zip of class folders."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resgen.checkpoint import Checkpoint, save_checkpoint
from resgen.generator import GeneratorConfig, ResNetGenerator

CLASSES = ("disc", "square", "stripes")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two untrained checkpoints: 'tiny' with three classes, and 'plain' without."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, (name, classes) in enumerate((("tiny", CLASSES), ("plain", ()))):
        torch.manual_seed(seed)
        arch = GeneratorConfig(num_classes=len(classes), widths=(16, 16, 8), z_dim=16, w_dim=12)
        checkpoint = Checkpoint(
            name,
            arch,
            classes,
            dataset={"name": "shapes", "author": "the tests", "licence": "Apache-2.0"},
            direction_names=("pc1", "pc2"),
            weights=ResNetGenerator(arch).state_dict(),
            mean_w=torch.randn(max(1, len(classes)), 12),
            directions=torch.randn(2, 12),
        )
        save_checkpoint(checkpoint, folder / f"{name}.safetensors")
    return folder


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
