import csv
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models import resnet50
from torchvision.models._api import WeightsEnum

from resgen.checkpoint import load_checkpoint
from resgen.cli import main
from resgen.data import ImageSet, load_images
from resgen.errors import CheckpointError, DataError, FileError, ResGenError
from resgen.features import FeatureConfig, FeatureResNet, PretrainedResNet50, as_shown, load_features, save_features
from resgen.files import own_folder
from resgen.grid import GAP
from resgen.library import Library
from resgen.train import command
from resgen.train.classifier import train_features
from resgen.train.command import draw_samples, open_eyes, train_generator
from resgen.train.config import TrainConfig
from resgen.train.drift import Memory, describe, drift_field, drift_loss
from resgen.train.eyes_trainer import EyesTrainer, group_seed
from resgen.train.parallel import SharedBatchNorm, Team
from resgen.train.state import ADVERSARIES, STATE


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
        "--group": 4,
        "--save-every": 120,
        "--widths": "32,32,16",
        "--device": "cpu",
    }
    return [sys.executable, "-m", "resgen", "train", *(str(word) for pair in settings.items() for word in pair)]


def train_here(words: list[str]) -> None:
    """What `arguments` say, without another process."""
    with pytest.raises(SystemExit) as ended:
        main(words[3:])
    assert not ended.value.code


def test_a_killed_run_resumes_to_the_same_weights(shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drift alone for 60 images, then the adversary beside it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    extra = ["--loss", "drift+adversary", "--drift-first", "60"]
    train_here([*arguments(shapes_zip, eyes, tmp_path / "straight", 360), *extra])

    killed = tmp_path / "killed"
    process = subprocess.Popen([*arguments(shapes_zip, eyes, killed, 360), *extra], stdout=subprocess.PIPE)
    while not (killed / "state.safetensors").exists():
        assert process.poll() is None and process.stdout
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for path in killed.glob("*.safetensors"):
        load_file(path)  # whole, whenever the kill came
    with safe_open(killed / "state.safetensors", "pt") as file:
        assert 0 < json.loads(file.metadata()["resgen-training"])["steps"] < 30, "it was killed on its way"
    train_here([*arguments(shapes_zip, eyes, killed, 360), *extra, "--resume"])

    straight, resumed = (load_file(tmp_path / run / "state.safetensors") for run in ("straight", "killed"))
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    with (killed / "history.csv").open() as file:
        assert [int(row["images"]) for row in csv.DictReader(file)] == [120, 240, 360]
    checkpoint = load_checkpoint(killed / "shapes.safetensors")
    assert checkpoint.classes == ("disc", "square", "stripes") and checkpoint.card.training["images_seen"] == 360
    assert checkpoint.directions.shape == (18, 128) and len(list((killed / "samples").glob("*.png"))) >= 1


def test_a_generator_that_moves_beside_an_adversary_resumes_to_the_same_weights(
    shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resgen.train.eyes_trainer.FROZEN_STEPS", 2)
    config = TrainConfig(
        (str(shapes_zip),), "shapes", images=120, batch=12, group=4, widths=(8, 8, 8), save_every=60, loss="drift+adversary", drift_first=24
    )
    step = EyesTrainer.step

    def run(out: Path, resume: bool = False) -> dict[str, Tensor]:
        train_generator(config, out, resume, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)
        return load_file(out / "state.safetensors")

    def stopped(self: EyesTrainer) -> dict[str, float]:
        if self.steps_done == 8:
            raise KeyboardInterrupt
        return step(self)

    straight = run(tmp_path / "straight")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(EyesTrainer, "step", stopped)
        run(tmp_path / "stopped")
    resumed = run(tmp_path / "stopped", True)
    assert straight.keys() == resumed.keys() and all(torch.equal(straight[name], resumed[name]) for name in straight)


@pytest.mark.parametrize(
    ("stop", "resume", "said"),
    [
        (0, False, "Stopped; nothing was saved yet."),
        (3, False, "Stopped; saved up to image 8: the same"),
        (4, True, "Stopped; saved up to image 16: "),
    ],
)
def test_a_run_that_is_stopped_says_what_is_left_of_it(
    shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, resume: bool, said: str
) -> None:
    """A run that went on and was stopped before a save of its own too. What images were found is said once, before the first step."""
    config, told, step = TrainConfig((str(shapes_zip),), "shapes", images=16, batch=4, group=2, save_every=8, widths=(8, 8, 8)), [], EyesTrainer.step

    def stopped(self: EyesTrainer) -> dict[str, float]:
        assert told == ["60 images of 16 pixels in 3 classes: disc 20, square 20, stripes 20."] or self.steps_done
        if self.steps_done == stop:
            raise KeyboardInterrupt
        return step(self)

    if resume:
        go(config, tmp_path, eyes)
    monkeypatch.setattr(EyesTrainer, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_generator(replace(config, images=24), tmp_path, resume, eyes, "cpu", {}, "", lambda *_: None, told.append)
    assert told[-1].startswith(said) and sum("60 images" in line for line in told) == 1


def test_images_of_one_folder_make_a_run_without_classes_that_goes_on_wherever_they_lie(eyes: Path, tmp_path: Path) -> None:
    told = list[str]()
    for place in ("photos", "moved"):
        (tmp_path / place).mkdir()
        for index in range(4):
            Image.new("L", (8, 8), 40 * index).save(tmp_path / place / f"{index}.png")
    for place, images in (("photos", 4), ("moved", 8)):
        config = TrainConfig((str(tmp_path / place),), "grey", images=images, batch=4, group=2, widths=(8, 8))
        path = train_generator(config, tmp_path / "run", place == "moved", eyes, "cpu", {}, "", lambda *_: None, told.append)
    card = load_checkpoint(path).card
    assert card.classes == () and card.arch.image_channels == 1 and card.training["images_seen"] == 8
    assert told[0] == "4 grey images of 8 pixels, without classes."


def test_a_runs_folder_is_one_to_look_at(shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checkpoint, and this through its training; the state of the run is no generator."""
    monkeypatch.setattr("resgen.train.loop.MILESTONES", (4, 8))
    go(TrainConfig((str(shapes_zip),), "shapes", images=12, batch=4, group=2, widths=(8, 8, 8)), tmp_path, eyes)
    found = Library(tmp_path, "cpu")
    assert found.names() == ["shapes"] and found.snapshots("shapes") == ["shapes@4", "shapes@8"]
    assert [found.card(name).training["images_seen"] for name in ("shapes@4", "shapes@8", "shapes")] == [4, 8, 12]
    (tmp_path / "history.csv").unlink()
    assert "state" in found.names(), "elsewhere a checkpoint may be called so"


def test_drift_leads_to_the_data(eyes: Path) -> None:
    """From grey to the orange that all images are."""
    orange = np.broadcast_to(np.array([230, 120, 20], np.uint8)[:, None, None], (3, 16, 16))
    data = ImageSet(np.stack([orange] * 24), np.arange(24) % 2, ("a", "b"))
    config = TrainConfig((), "orange", images=480, batch=12, group=6, widths=(8, 8, 8), lr=3e-3)
    trainer = EyesTrainer(config, data, load_features(eyes), "cpu", "", Team())
    with torch.no_grad():
        trainer.generator.to_image[-1][-1].bias.zero_()  # type: ignore[index]  # it begins with the data's own colour

    def apart() -> float:
        with torch.no_grad():
            drawn = trainer.generator(torch.randn(24, 128, generator=torch.Generator().manual_seed(0)), torch.eye(2)[torch.arange(24) % 2])
        return float((drawn.mean(dim=(0, 2, 3)) - torch.tensor([230.0, 120.0, 20.0]) / 127.5 + 1).abs().mean())

    before = apart()
    for _ in range(40):
        trainer.step()
    assert apart() < before / 3


def test_a_run_is_not_overwritten_nor_mixed_up(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    def train(resume: bool, eyes: Path = eyes, **changes: object) -> None:
        settings = {"name": "shapes", "batch": 12, "group": 4, "images": 12, **changes}
        config = TrainConfig(**{"data": (str(shapes_zip),), "save_every": 12, **settings})  # type: ignore[arg-type]
        train_generator(config, tmp_path, resume, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)

    train(resume=False)
    with pytest.raises(CheckpointError, match="--resume"):
        train(resume=False)
    with pytest.raises(CheckpointError, match="seed"):
        train(resume=True, seed=5, images=24)
    with zipfile.ZipFile(shapes_zip) as archive, zipfile.ZipFile(tmp_path / "others.zip", "w") as renamed:
        for name in archive.namelist():
            renamed.writestr(f"other-{name}", archive.read(name))
    with pytest.raises(CheckpointError, match="other classes, disc, square, stripes"):
        train(resume=True, data=(str(tmp_path / "others.zip"),), images=24)
    others = tmp_path / "others.safetensors"
    save_features(FeatureResNet(FeatureConfig(3, (8, 12, 20))), others, {})
    with pytest.raises(CheckpointError, match="another features"):
        train(resume=True, eyes=others)
    with pytest.raises(DataError, match="--name"):
        train(resume=True, name="State")
    with pytest.raises(DataError, match="multiple"):
        train(resume=True, batch=6)
    trained = (tmp_path / "shapes.safetensors").read_bytes()
    (tmp_path / STATE).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {STATE}"):
        train(resume=True)
    assert (tmp_path / "shapes.safetensors").read_bytes() == trained


@pytest.mark.parametrize(("most", "side"), [(8192, 10 * 2 * 16), (200, 10 * 16), (100, 6 * 16), (10, 16)])
def test_samples_of_large_images_are_fewer_and_smaller(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, side: int
) -> None:
    """So that a picture of them can be made at all."""
    monkeypatch.setattr(command, "SAMPLES_SIDE", most)
    draw_samples(tiny_folder / "plain.safetensors", tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as picture:
        assert side <= min(picture.size) and max(picture.size) < side + 10 * GAP


def test_two_runs_do_not_write_to_one_folder_and_files_of_others_stay(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    config = TrainConfig((str(shapes_zip),), "shapes", images=12, batch=12, group=4, widths=(8, 8, 8))
    theirs = [tmp_path / name for name in ("backup.7z.001.part", "deep/shapes.safetensors.1.2.part", "film.mp4.1.2.part")]
    killed = [
        tmp_path / f"{name}.1.2.part"
        for name in (STATE, "history.csv", "shapes.safetensors", "samples/000000012.png", "snapshots/shapes/1000.safetensors")
    ]
    for path in (*theirs, *killed):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with own_folder(tmp_path), pytest.raises(FileError, match="Another run is writing"):
        go(config, tmp_path, eyes)
    assert all(path.exists() for path in (*theirs, *killed)), "what the other run is writing"
    go(config, tmp_path, eyes)
    assert all(path.exists() for path in theirs) and not any(path.exists() for path in killed)
    with own_folder(tmp_path):
        pass


def test_what_is_far_beyond_black_and_white_is_led_back_and_nothing_further_out() -> None:
    images = torch.tensor([-3.0, -1.2, 0.5, 1.2, 3.0], requires_grad=True)
    shown = as_shown(images)
    assert shown.tolist() == [-1, -1, 0.5, 1, 1]
    (brighter,) = torch.autograd.grad(-shown.sum(), images, retain_graph=True)  # a step down this gradient is one up
    (darker,) = torch.autograd.grad(shown.sum(), images)
    assert (-brighter).tolist() == [1, 0, 1, 0, 0] and (-darker).tolist() == [0, 0, -1, 0, -1]


def test_drift_carries_a_collapsed_sample_to_the_whole_of_the_data() -> None:
    """Points that start as one cluster spread over two far ones: attraction alone would choose one, or their middle."""
    torch.manual_seed(0)
    clusters = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    points = (0.1 * torch.randn(1, 64, 2)).requires_grad_(True)
    optimiser = torch.optim.Adam([points], lr=0.05)
    for _ in range(300):
        real = (clusters[torch.randint(2, (64,))] + 0.1 * torch.randn(64, 2))[None]
        optimiser.zero_grad()
        drift_loss(points, real, points.detach()).backward()
        optimiser.step()
    nearest = torch.cdist(points[0].detach(), clusters).min(dim=1)
    assert nearest.values.median() < 0.5
    assert 0.25 < nearest.indices.float().mean() < 0.75, "one cluster was left out"


def test_drift_is_blind_to_a_common_scale() -> None:
    torch.manual_seed(0)
    x, real = torch.randn(3, 8, 5), torch.randn(3, 9, 5)
    small, scale = drift_field(x, real, x)
    large, larger_scale = drift_field(10 * x, 10 * real, 10 * x)
    assert torch.allclose(small, large, atol=1e-4) and torch.allclose(10 * scale, larger_scale, rtol=1e-4)


def test_a_plain_background_needs_no_move() -> None:
    """Where all images agree but for a trifle, that trifle is not blown up to the size of what matters."""
    torch.manual_seed(0)
    x, real = torch.randn(2, 16, 5), torch.randn(2, 32, 5)
    x[1], real[1] = 1e-3 * x[1], 1e-3 * real[1]
    field, _ = drift_field(x, real, x)
    assert field[1].abs().max() < 0.01 * field[0].abs().max()


def test_an_image_far_from_all_others_is_carried_back() -> None:
    torch.manual_seed(0)
    x, real = 0.1 * torch.randn(1, 16, 5), 0.1 * torch.randn(1, 32, 5)
    x[0, 0] += 10
    field, _ = drift_field(x, real, x)
    sizes = field[0].norm(dim=1)
    assert (field[0, 0] < 0).all() and sizes[0] > sizes[1:].max()


def test_training_starts_from_the_background(eyes: Path) -> None:
    """Pictures on white: the untrained generator draws on white too."""
    images = np.full((12, 3, 16, 16), 255, np.uint8)
    images[:, :, 6:10, 6:10] = 40
    data = ImageSet(images, np.arange(12) % 3, ("a", "b", "c"))
    trainer = EyesTrainer(TrainConfig((), "", batch=8, group=4), data, load_features(eyes), "cpu", "", Team())
    z = torch.randn(8, trainer.generator.config.z_dim)
    assert trainer.generator(z, torch.eye(3)[torch.arange(8) % 3]).mean() > 0.7


def test_guidance_leads_away_from_images_of_any_class() -> None:
    torch.manual_seed(0)
    real = torch.tensor([1.0, 0.0]) + 0.5 * torch.randn(1, 64, 2)
    others = torch.tensor([-1.0, 0.0]) + 0.5 * torch.randn(1, 64, 2)
    x = 0.5 * torch.randn(1, 64, 2)
    plain, _ = drift_field(x, real, x)
    guided, _ = drift_field(x, real, x, others, 0.5)
    assert guided[0, :, 0].mean() > plain[0, :, 0].mean()


def test_descriptions_are_places_by_images_by_channels() -> None:
    network = FeatureResNet(FeatureConfig(3, (8, 12, 16))).freeze()
    images = torch.rand(5, 3, 16, 16)
    found = describe(images, network.maps(images))
    assert all(part.ndim == 3 and part.shape[1] == 5 for part in found)
    assert found[0].shape == (1, 5, 3 * 64) and found[1].shape == (64, 5, 8)
    coarse = describe(images, network.maps(images), finest=2)  # of a deep map its places, the whole, its quarters, and mean and deviation
    assert all(torch.equal(part, same) for part, same in zip(coarse, [found[0], *found[-4:]], strict=True))


def test_drift_leaves_detail_to_an_adversary_once_there_is_one(shapes_zip: Path, eyes: Path) -> None:
    config = TrainConfig((), "shapes", images=48, batch=12, group=4, widths=(8, 8, 8), loss="drift+adversary", drift_first=24, guidance=0.2)
    trainer = EyesTrainer(config, load_images([str(shapes_zip)]), load_features(eyes), "cpu", "", Team())
    parts: list[int] = []
    for _ in range(4):
        told = trainer.step()
        remembered = trainer.real_memory.get(0)
        assert remembered is not None and ("heads" in told) == (trainer.images_seen > 24)
        parts.append(len(remembered))
    alone = len(describe(torch.zeros(1, 3, 16, 16), load_features(eyes).maps(torch.zeros(1, 3, 16, 16))))
    assert parts[:2] == [alone] * 2 and parts[2] == parts[3] < alone


def test_what_drift_remembers_was_moved_as_what_it_sees(shapes_zip: Path, eyes: Path) -> None:
    config = TrainConfig((), "shapes", images=96, batch=12, group=4, widths=(8, 8, 8))
    trainer = EyesTrainer(config, load_images([str(shapes_zip)]), load_features(eyes), "cpu", "", Team())
    offsets = []
    for step in range(6):
        if step == 3:
            trainer.forget()
        trainer.step()
        offsets.append(tuple(trainer.offset.flatten().tolist()))
    assert len(set(offsets[:3])) == len(set(offsets[3:])) == 1 and offsets[0] != offsets[3]


@pytest.mark.parametrize("loss", ["drift", "drift+adversary"])
def test_eyes_see_of_a_drawn_image_what_a_visitor_sees(shapes_zip: Path, eyes: Path, loss: str) -> None:
    """No photograph has a black below black: an adversary that saw one would learn nothing else."""
    config = TrainConfig((), "shapes", images=48, batch=12, group=4, widths=(8, 8, 8), loss=loss)
    told: list[dict[str, float]] = []
    for black in (-1.5, -40.0):
        trainer = EyesTrainer(config, load_images([str(shapes_zip)]), load_features(eyes), "cpu", "", Team())
        with torch.no_grad():
            for to_image in trainer.generator.to_image:
                to_image[-1].weight.zero_()  # type: ignore[index]
                to_image[-1].bias.fill_(black / 3)  # type: ignore[index]
        told.append(trainer.step())
    assert told[0] == told[1]


@pytest.mark.parametrize("groups", [1, 16, 1009, 1010, 4096, 65_536])
def test_groups_of_near_steps_have_seeds_of_their_own(groups: int) -> None:
    """In large batches too; those of a batch of up to 1,009 groups are what they were."""
    step = 2**31 * 1_000_003
    places = sorted({0, 1, groups // 2, groups - 1} & {*range(groups)})
    seeds = [group_seed(step + later, place, groups) for later in range(3) for place in places]
    assert len({*seeds}) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
    if groups <= 1009:
        assert seeds[0] == step * 1009


def test_no_group_of_a_large_batch_is_that_of_the_step_before() -> None:
    steps = [{group_seed(step, place, 3000) for place in range(3000)} for step in (5, 6, 7)]
    assert len(set.union(*steps)) == 9000


def test_a_memory_keeps_the_latest_of_each_class() -> None:
    memory = Memory(kept=3)
    assert memory.get(0) is None
    memory.add(0, [torch.zeros(1, 2, 4)])
    memory.add(0, [torch.ones(1, 2, 4)])
    kept = memory.get(0)
    assert kept is not None and kept[0][0, :, 0].tolist() == [1, 1, 0] and memory.get(1) is None
    drawn = memory.draw(5)
    assert drawn is not None and drawn[0].shape == (1, 5, 4) and Memory(kept=3).draw(5) is None


def test_eyes_can_be_a_pretrained_resnet50(shapes_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but its weights, which no test downloads."""
    torch.manual_seed(0)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: resnet50().state_dict())
    monkeypatch.setattr(PretrainedResNet50, "side", 64)
    config = TrainConfig(data=(str(shapes_zip),), name="shapes", batch=4, group=4, images=4)
    path = train_generator(config, tmp_path, False, Path("resnet50"), "cpu", {}, "", lambda *_: None, lambda _: None)
    assert load_checkpoint(path).card.training["images_seen"] == 4

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", unreachable)
    with pytest.raises(ResGenError, match="train-features"):
        PretrainedResNet50()


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


@pytest.mark.parametrize("arch", [{"widths": [4096] * 10, "blocks_per_stage": 64}, {"blocks_per_stage": 10**9}, {"widths": [8.5, 9]}])
def test_a_small_file_cannot_ask_for_a_large_network(tmp_path: Path, arch: dict[str, object]) -> None:
    resource = pytest.importorskip("resource")
    save_file(
        {"x": torch.zeros(1)}, tmp_path / "evil.safetensors", {"resgen-features": json.dumps({"arch": {"num_classes": 3, "widths": [8], **arch}})}
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="train-features"):
        load_features(tmp_path / "evil.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_two_processes_take_the_steps_of_one(shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of two gloo processes are those of one with the same global batch; guidance draws on both memories."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more would wait for one another

    def history(out: Path, train: Callable[[list[str]], object]) -> list[dict[str, str]]:
        words = arguments(shapes_zip, eyes, out, 64)
        words[words.index("--batch") + 1], words[words.index("--save-every") + 1] = "16", "16"
        train([*words, "--guidance", "0.25", "--loss", "drift+adversary", "--drift-first", "32"])
        with (out / "history.csv").open() as file:
            return list(csv.DictReader(file))

    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one = history(tmp_path / "one", train_here)
    two = history(tmp_path / "two", lambda words: subprocess.run([words[0], *launcher, *words[1:]], check=True, capture_output=True))
    drift, heads = ([[float(row[name] or "nan") for row in rows] for rows in (two, one)] for name in ("drift", "heads"))
    assert drift[0][:2] == pytest.approx(drift[1][:2], rel=1e-3)
    # The namer drops units of each process's own choice.
    assert heads[0][2:] == pytest.approx(heads[1][2:], rel=2e-2, nan_ok=True) and drift[0][2:] == pytest.approx(drift[1][2:], rel=2e-2, nan_ok=True)


def test_a_state_whose_optimiser_does_not_fit_is_called_damaged(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    """Of what else may be damaged in it, see test_hostile.py."""
    config = TrainConfig((str(shapes_zip),), "shapes", images=12, batch=12, group=4, widths=(8, 8, 8), loss="drift+adversary")

    def train(resume: bool) -> None:
        train_generator(config, tmp_path, resume, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)

    train(resume=False)
    path = tmp_path / "state.safetensors"
    with safe_open(path, "pt") as file:
        header = file.metadata()
    save_file(load_file(path) | {"heads.3.exp_avg": torch.zeros(5)}, path, header)
    with pytest.raises(CheckpointError, match="damaged"):
        train(resume=True)


def test_a_run_of_a_version_with_other_steps_is_not_called_damaged(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    config = TrainConfig((str(shapes_zip),), "shapes", images=12, batch=12, group=4, widths=(8, 8, 8))
    train_generator(config, tmp_path, False, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)
    path = tmp_path / "state.safetensors"
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["resgen-training"])
    header.pop("version")
    save_file(load_file(path), path, {"resgen-training": json.dumps(header)})
    with pytest.raises(CheckpointError, match="--init"):
        train_generator(config, tmp_path, True, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)


def test_names_are_checked_before_the_training(tmp_path: Path, eyes: Path) -> None:
    for folder in ("plain", "a & b"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "data" / folder / "x.png")
    config = TrainConfig((str(tmp_path / "data"),), "shapes", images=4, batch=4, group=2)
    for changed, message in ((config, "a & b"), (replace(config, name="../evil"), "--name")):
        with pytest.raises(DataError, match=message):
            train_generator(changed, tmp_path / "out", False, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": float("nan")},
        {"lr": -1},
        {"seed": 2**62},
        {"resolution": -4},
        {"resolution": 100},
        {"widths": (8, 8), "resolution": 32},
        {"loss": "magic"},
        {"guidance": 1.0},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match=f"--{next(iter(wrong))}"):
        TrainConfig((), "", **wrong)  # type: ignore[arg-type]


OTHERS = {"group": 4, "flip": True, "guidance": 0.2, "clarity": 0.5, "drift_share": 1.0, "drift_first": 1}


@pytest.mark.parametrize(
    ("loss", "useless"),
    [
        ("drift", "clarity drift_share drift_first"),
        ("adversary", "guidance drift_share drift_first"),
        ("drift+adversary", ""),
        ("parts", "group flip guidance clarity drift_share drift_first"),
        ("parts+adversary", "group flip guidance drift_share drift_first"),
    ],
)
def test_an_option_that_a_loss_has_no_use_for_is_refused(loss: str, useless: str) -> None:
    table = "parts.csv" if "parts" in loss else ""
    for option, value in OTHERS.items():
        if option in useless.split():
            with pytest.raises(DataError, match=f"--{option.replace('_', '-')} does nothing with --loss {re.escape(loss)}: "):
                TrainConfig((), "", loss=loss, table=table, **{option: value})  # type: ignore[arg-type]
        else:
            TrainConfig((), "", loss=loss, table=table, **{option: value})  # type: ignore[arg-type]
    TrainConfig((), "", loss=loss, table=table, group=1)


def test_eyes_by_name(eyes: Path) -> None:
    """Their side is a setting; what is no name is a file."""
    assert isinstance(open_eyes(eyes), FeatureResNet)
    assert [open_eyes(Path(name)).side for name in ("lite0", "lite0@64")] == [96, 64]  # type: ignore[union-attr]
    for side in ("nonsense", "1024", "-64"):
        with pytest.raises(CheckpointError, match="32 to 512 pixels"):
            open_eyes(Path(f"lite0@{side}"))


def test_a_run_begins_with_what_fits_of_a_checkpoint(tiny_folder: Path, shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    """Weights of the same place and shape are taken; the card tells of every stage and counts the images of all."""
    config = TrainConfig((str(shapes_zip),), "grown", images=4, batch=4, group=2, lr=0.0, widths=(32, 32, 16))
    train_generator(config, tmp_path / "first", False, eyes, "cpu", {}, "first", lambda *_: None, lambda _: None)
    first = tmp_path / "first" / "grown.safetensors"
    second = replace(config, init=str(first), loss="drift+adversary", widths=None)
    path = train_generator(second, tmp_path / "second", False, eyes, "cpu", {}, "second", lambda *_: None, lambda _: None)
    before, after = load_checkpoint(first), load_checkpoint(path)
    learned = [name for name, value in before.weights.items() if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(before.weights[name], after.weights[name]) for name in learned)
    assert after.card.arch == before.card.arch and after.card.training["command"] == "first" and after.card.training["images_seen"] == 8
    assert after.card.training["stages"] == [{"from_image": 4, "command": "second"}]
    shutil.copy(path, first)  # the name stands for another checkpoint by now, which changes nothing of what the run began with
    more = replace(second, images=8)
    resumed = load_checkpoint(train_generator(more, tmp_path / "second", True, eyes, "cpu", {}, "more", lambda *_: None, lambda _: None))
    assert resumed.card.training["images_seen"] == 12 and [stage["from_image"] for stage in resumed.card.training["stages"]] == [4, 8]


def test_a_run_goes_on_without_the_checkpoint_that_it_began_with(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    """None of its weights is used any more; settings that it gave are the run's own by now. A file that is gone is no name of the Hub's."""
    config = TrainConfig((str(shapes_zip),), "made", images=8, batch=4, group=2, widths=(16, 8, 8), mean_shift=20)
    first = go(config, tmp_path / "first", eyes)
    begun = replace(config, init=str(first), widths=None, mean_shift=None)
    go(begun, tmp_path / "straight", eyes)
    go(replace(begun, images=4), tmp_path / "second", eyes)
    go(replace(begun, images=4), tmp_path / "third", eyes)
    first.unlink()
    with pytest.raises(CheckpointError, match=r"There is no file .*made\.safetensors, which --init names"):
        go(begun, tmp_path / "fourth", eyes)
    resumed = load_checkpoint(go(begun, tmp_path / "second", eyes, resume=True))
    assert resumed.card.training["images_seen"] == 16 and resumed.card.arch == load_checkpoint(tmp_path / "straight" / "made.safetensors").card.arch
    with pytest.raises(CheckpointError, match="another widths"):
        go(replace(begun, widths=(16, 8, 12)), tmp_path / "second", eyes, resume=True)
    header = drop_from_header(tmp_path / "third" / STATE, "arch")
    assert "arch" not in header
    with pytest.raises(CheckpointError, match="which --init names"):
        go(begun, tmp_path / "third", eyes, resume=True)


def drop_from_header(state: Path, *keys: str) -> dict[str, object]:
    """Make a state one of before these were kept; returns what is left of its header."""
    with safe_open(state, "pt") as file:
        header = json.loads(file.metadata()["resgen-training"])
    for key in keys:
        del header[key]
    save_file(load_file(state), state, {"resgen-training": json.dumps(header)})
    return header


def test_a_run_whose_images_are_others_tells_so_on_its_card(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    """Though their classes have the same names; the same images elsewhere are no news."""
    for fold, files in (("same", "*.png"), ("fewer", "*[0-8].png")):
        with zipfile.ZipFile(shapes_zip) as archive:
            archive.extractall(tmp_path / "all")
        for path in (tmp_path / "all").rglob(files):
            place = tmp_path / fold / path.relative_to(tmp_path / "all")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    config = TrainConfig((str(shapes_zip),), "shapes", images=4, batch=4, group=2, widths=(8, 8, 8))

    def stages(data: Path, images: int) -> list[dict[str, object]]:
        path = train_generator(
            replace(config, data=(str(data),), images=images), tmp_path / "run", True, eyes, "cpu", {}, "again", lambda *_: None, lambda _: None
        )
        return load_checkpoint(path).card.training["stages"]

    assert stages(shapes_zip, 4) == stages(tmp_path / "same", 4) == []
    assert stages(tmp_path / "fewer", 4) == [{"from_image": 4, "command": "again  # the images are others from here on: 54 of them, 60 before"}]
    assert stages(shapes_zip, 4) == [], "nothing was learned from them"
    assert len(stages(tmp_path / "fewer", 8)) == len(stages(tmp_path / "fewer", 8)) == 1
    drop_from_header(tmp_path / "run" / STATE, "data")
    assert len(stages(shapes_zip, 8)) == 1, "of a state that does not tell its images, nothing is known"


def test_another_number_of_threads_is_told(
    shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig((str(shapes_zip),), "shapes", images=4, batch=4, group=2, widths=(8, 8, 8))
    go(config, tmp_path, eyes)
    go(config, tmp_path, eyes, resume=True)
    assert not caplog.text
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    go(config, tmp_path, eyes, resume=True)
    assert "goes on with 7" in caplog.text


def test_what_is_said_wrongly_is_told_before_the_images_are_read(
    shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig((str(shapes_zip),), "shapes", images=4, batch=4, group=2, widths=(8, 8, 8))
    go(config, tmp_path / "run", eyes)
    (tmp_path / "file").write_text("no folder")
    for reader in ("load_images", "load_and_tell"):
        monkeypatch.setattr(f"resgen.train.command.{reader}", lambda *_: pytest.fail("the images were read first"))
    parts = replace(config, loss="parts", group=0, table=str(tmp_path / "none.csv"))
    for wrong, out, features, message in (
        (config, "run", eyes, "--resume"),
        (replace(config, init="nobody"), "new", eyes, "nobody"),
        (replace(config, init="gone.safetensors"), "new", eyes, "There is no file"),
        (config, "new", tmp_path / "none", "not a feature network"),
        (parts, "new", None, "not a table"),
        (parts, "new", eyes, "leave out --features"),
        (config, "file", eyes, "could not be written"),
    ):
        with pytest.raises(ResGenError, match=message):
            train_generator(wrong, tmp_path / out, False, features, "cpu", {}, "", lambda *_: None, lambda _: None)
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_done_writes_what_is_missing(shapes_zip: Path, eyes: Path, tmp_path: Path) -> None:
    config = TrainConfig((str(shapes_zip),), "shapes", images=4, batch=4, group=2, widths=(8, 8, 8))
    path = go(config, tmp_path, eyes)
    before = load_checkpoint(path)
    for gone in (path, tmp_path / "history.csv"):
        gone.unlink()
    told: list[str] = []
    train_generator(config, tmp_path, True, eyes, "cpu", {}, "", lambda *_: None, told.append)
    assert load_checkpoint(path).sha256 == before.sha256 and told[-1] == f"Wrote {path}"


def test_a_run_begins_with_the_adversary_beside_its_checkpoint(shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its eyes are the same; heads do not learn here, and another seed makes others."""
    monkeypatch.setattr("resgen.train.adversary.HEAD_RATE", 0.0)
    torch.manual_seed(1)
    other_eyes = tmp_path / "other.safetensors"
    save_features(FeatureResNet(FeatureConfig(3, (8, 12, 16))), other_eyes, {})
    config = TrainConfig((str(shapes_zip),), "made", images=4, batch=4, group=2, widths=(32, 32, 16), loss="drift+adversary")

    def run(out: str, eyes: Path = eyes, **changes: object) -> dict[str, Tensor]:
        train_generator(replace(config, **changes), tmp_path / out, False, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)  # type: ignore[arg-type]
        state = load_file(tmp_path / out / STATE)
        return {name: value.clone() for name, value in state.items() if name.startswith("adversary.") and name.endswith("original")}

    first, begun = run("first"), {"init": str(tmp_path / "first" / "made.safetensors"), "seed": 2}
    names = [name for name in first if "namer" not in name]

    def are_as_in_first(run: dict[str, Tensor]) -> bool:
        return all(torch.equal(first[name].half(), run[name].half()) for name in names)

    assert names and are_as_in_first(run("second", **begun))
    assert are_as_in_first(run("wider", **begun, widths=(32, 48, 24)))
    assert not are_as_in_first(run("looking otherwise", other_eyes, **begun))
    kept = tmp_path / "first" / ADVERSARIES / "made.safetensors"
    with safe_open(kept, "pt") as file:
        whole, header = load_file(kept), file.metadata()
    save_file({**whole, names[0].removeprefix("adversary."): first[names[0]] / 0}, kept, header)
    with pytest.raises(CheckpointError, match="beside the checkpoint of --init"):
        run("not finite", **begun)
    kept.write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="beside the checkpoint of --init"):
        run("torn", **begun)
    kept.unlink()
    assert not are_as_in_first(run("alone", **begun))


def test_eyes_fold_once(eyes: Path) -> None:
    network, images = load_features(eyes), torch.rand(2, 3, 16, 16)
    assert torch.equal(network.freeze().pooled(images), network.freeze().pooled(images))


def test_features_of_few_images(shapes_zip: Path, tmp_path: Path) -> None:
    """Fewer than a batch: still a network, and no division by zero, for any number of steps."""
    data = load_images([str(shapes_zip)])
    for epochs in (5, 1):
        card = train_features(data, data, tmp_path / "few.safetensors", FeatureConfig(3, (8, 12, 16)), epochs, 0, False, 1.0, lambda _: None)
    assert 0 <= card["test_accuracy"] <= 1 and load_features(tmp_path / "few.safetensors").class_variance.isfinite().all()


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_image_teaches_no_features(tmp_path: Path, count: int) -> None:
    """Its norms would have one value a channel."""
    data = ImageSet(np.zeros((count, 3, 4, 4), np.uint8), np.zeros(count, int), ("a",))
    with pytest.raises(DataError, match="two at least") if count == 1 else nullcontext():
        train_features(data, None, tmp_path / "few.safetensors", FeatureConfig(1, (8, 12, 16)), 1, 0, False, 1.0, lambda _: None)


@pytest.mark.parametrize("side", [4, 8, 16])
def test_the_smallest_images_are_described_in_numbers(eyes: Path, side: int) -> None:
    """Where the last map has one place there is no deviation between places."""
    maps = load_features(eyes).freeze().maps(torch.rand(2, 3, side, side))
    assert all(description.isfinite().all() for description in describe(torch.rand(2, 3, side, side), maps))


def test_shared_norms_keep_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variance of numbers about a large mean, which the mean square less the squared mean would lose."""
    monkeypatch.setattr("resgen.train.parallel.distributed.get_world_size", lambda: 1)
    monkeypatch.setattr("resgen.train.parallel.distributed.all_reduce", lambda _: None)
    x = 3000 + 0.1 * torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    norm = SharedBatchNorm(2, affine=False).train()
    assert norm(x).std() == pytest.approx(1, abs=0.02)


def go(config: TrainConfig, out: Path, eyes: Path, resume: bool = False) -> Path:
    return train_generator(config, out, resume, eyes, "cpu", {}, "", lambda *_: None, lambda _: None)


def test_a_run_that_diverges_goes_back_with_half_of_the_step_size(
    shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To its last save; what it does from there is what a run does that was killed there and resumed."""
    step, rates, fails = EyesTrainer.step, list[tuple[int, float]](), [3, 5]

    def failing(self: EyesTrainer) -> dict[str, float]:
        losses = step(self)
        rates.append((self.steps_done, self.optimiser.param_groups[-1]["lr"]))
        if fails and self.steps_done == fails[0]:
            del fails[0]
            return {**losses, "drift": float("nan")}
        return losses

    monkeypatch.setattr(EyesTrainer, "step", failing)
    config = TrainConfig((str(shapes_zip),), "shapes", images=48, batch=8, group=4, save_every=16, lr=1e-3, widths=(8, 8, 8))
    go(config, tmp_path, eyes)
    assert [done for done, _ in rates] == [1, 2, 3, 3, 4, 5, 5, 6]
    assert [rate / rates[0][1] for _, rate in rates[2:5]] == pytest.approx([1, 0.5, 0.5])
    assert rates[-2][1] == pytest.approx(rates[-3][1] / 2) and caplog.text.count("with half of the step size") == 2
    with (tmp_path / "history.csv").open() as file:
        assert [int(row["images"]) for row in csv.DictReader(file)] == [16, 32, 48]
    state = load_file(tmp_path / "state.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    with safe_open(tmp_path / "state.safetensors", "pt") as file:
        assert json.loads(file.metadata()["resgen-training"])["halvings"] == 2
    go(replace(config, images=64), tmp_path, eyes, resume=True)
    assert rates[-1][1] < rates[0][1] / 4, "a resumed run has forgotten its caution"


@pytest.mark.parametrize("what", ["losses", "weights"])
def test_a_run_that_always_diverges_ends_in_a_sentence(
    shapes_zip: Path, eyes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    step = EyesTrainer.step

    def failing(self: EyesTrainer) -> dict[str, float]:
        losses = step(self)
        if what == "weights" and self.steps_done == 3:
            next(self.generator.parameters()).data[0, 0] = 1e9
        return {name: float("inf") for name in losses} if what == "losses" and self.steps_done == 3 else losses

    monkeypatch.setattr(EyesTrainer, "step", failing)
    config = TrainConfig((str(shapes_zip),), "shapes", images=24, batch=8, group=4, save_every=8, widths=(8, 8, 8))
    with pytest.raises(DataError, match=r"diverges, after 24 images.*smaller --lr"):
        go(config, tmp_path, eyes)
    assert load_checkpoint(tmp_path / "shapes.safetensors").card.training["images_seen"] == 16


FAULTS = """
import resource, torch
from resgen.train.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**23)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep what they like")
def test_memory_that_a_step_frees_is_there_for_the_next() -> None:
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    before, after = map(int, told.split())
    assert after < before / 100, "pages that the system had to hand out"
