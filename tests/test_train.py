import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from resgen.checkpoint import load_checkpoint
from resgen.data import load_images
from resgen.errors import CheckpointError, DataError
from resgen.features import FeatureConfig, FeatureResNet, load_features, save_features
from resgen.train.augment import diff_augment
from resgen.train.command import train_generator
from resgen.train.config import TrainConfig
from resgen.train.losses import energy_distance


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained feature network: training runs the same on it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("features") / "features.safetensors"
    save_features(FeatureResNet(FeatureConfig(3, (8, 12, 16))), path, {})
    return path


def arguments(data: Path, eyes: Path, out: Path, images: int) -> list[str]:
    settings = {
        "--data": data,
        "--features": eyes,
        "--out": out,
        "--name": "shapes",
        "--images": images,
        "--batch": 12,
        "--save-every": 120,
        "--device": "cpu",
    }
    return [sys.executable, "-m", "resgen", "train", *(str(word) for pair in settings.items() for word in pair)]


def test_a_killed_run_resumes_to_the_same_weights(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    subprocess.run(arguments(shapes_zip, eyes, tmp_path / "straight", 360), check=True, capture_output=True)

    killed = tmp_path / "killed"
    process = subprocess.Popen(arguments(shapes_zip, eyes, killed, 360), stdout=subprocess.PIPE)
    while not (killed / "history.csv").exists():
        assert process.poll() is None and process.stdout
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for path in killed.glob("*.safetensors"):
        load_file(path)  # whole, whenever the kill came
    subprocess.run([*arguments(shapes_zip, eyes, killed, 360), "--resume"], check=True, capture_output=True)

    straight, resumed = (load_file(tmp_path / run / "state.safetensors") for run in ("straight", "killed"))
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    with (killed / "history.csv").open() as file:
        assert [int(row["images"]) for row in csv.DictReader(file)] == [120, 240, 360]
    checkpoint = load_checkpoint(killed / "shapes.safetensors")
    assert checkpoint.classes == ("disc", "square", "stripes") and checkpoint.training["images_seen"] == 360
    assert checkpoint.directions.shape == (12, 128) and len(list((killed / "samples").glob("*.png"))) >= 1


def test_a_run_is_not_overwritten_nor_mixed_up(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    def train(resume: bool, **changes: object) -> None:
        config = TrainConfig(data=(str(shapes_zip),), name="shapes", save_every=12, **{"batch": 12, "images": 12, **changes})  # type: ignore[arg-type]
        train_generator(config, tmp_path, resume, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)

    train(resume=False)
    with pytest.raises(CheckpointError, match="--resume"):
        train(resume=False)
    with pytest.raises(CheckpointError, match="seed"):
        train(resume=True, seed=5, images=24)
    with pytest.raises(DataError, match="multiple"):
        train(resume=True, batch=6)


def test_augmentation_is_differentiable_and_keeps_the_shape() -> None:
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    augmented = diff_augment(images, 1.0)
    augmented.sum().backward()
    assert augmented.shape == images.shape and images.grad is not None and images.grad.abs().sum() > 0


def test_energy_distance_prefers_variety() -> None:
    torch.manual_seed(0)
    real, labels = torch.randn(64, 10), torch.arange(64) % 4
    varied, collapsed = torch.randn(64, 10), torch.zeros(64, 10)
    assert energy_distance(real, varied, labels) < energy_distance(real, collapsed, labels)


def test_a_feature_network_folds_without_change(shapes_zip: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FeatureResNet(FeatureConfig(3, (8, 12, 16), blocks_per_stage=2))
    images = torch.from_numpy(load_images([str(shapes_zip)]).images[:8]).float() / 127.5 - 1
    network(images)  # gives the batch norms statistics
    save_features(network, tmp_path / "network.safetensors", {"note": 1})
    plain = network.eval().pooled(images)
    folded = load_features(tmp_path / "network.safetensors").freeze().pooled(images)
    assert torch.allclose(plain, folded, atol=1e-4)


def test_another_file_is_no_feature_network(tiny_folder: Path) -> None:
    with pytest.raises(CheckpointError, match="train-features"):
        load_features(tiny_folder / "tiny.safetensors")


def test_the_class_loss_joins_in_the_second_half(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    config = TrainConfig(data=(str(shapes_zip),), name="shapes", batch=12, images=24, save_every=12, classify=0.2)
    train_generator(config, tmp_path, False, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)
    with (tmp_path / "history.csv").open() as file:
        first, second = csv.DictReader(file)
    assert float(first["class"]) == 0 and float(second["class"]) > 0

    torch.manual_seed(0)
    save_features(FeatureResNet(FeatureConfig(5, (8, 12, 16))), tmp_path / "five.safetensors", {})
    with pytest.raises(CheckpointError, match="same classes"):
        train_generator(config, tmp_path / "other", False, tmp_path / "five.safetensors", "cpu", {}, "", lambda *_: None, lambda _: None)
