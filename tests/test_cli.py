import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from resgen.cli import main
from resgen.composite import Walk
from resgen.features import FeatureConfig, FeatureResNet, save_features
from resgen.grid import read_recipe

PICTURES = {
    "mix": "tiny --rows 1@disc,2 --columns 5,6@square,7 --blocks 2,3",
    "explain": "tiny --image 7@stripes",
    "compare": "tiny@500 tiny --seeds 0-3",
    "curate": "tiny --class disc --many 20 --keep 5 --order Confidence",
    "direction": "tiny --more 1,2 --less 3 --name bright --seeds 0-2",
    "walk": "tiny --stops 1,2@disc,3 --seconds 0.5 --fps 12",
}


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Result]


@pytest.fixture
def resgen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, run in this process: starting Python and torch anew each time takes seconds."""

    def call(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["resgen", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    return call


def test_a_grid_can_be_made_again_from_itself(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    first, again, npz = tmp_path / "grid.png", tmp_path / "again.png", tmp_path / "out.npz"
    options = f"--classes disc,stripes --truncation .7 --directions pc1=2 --gains 1,0.5,1 --images-dir {tmp_path}/images --npz {npz}".split()
    made = resgen("sample", "tiny", "--checkpoints", tiny_folder, "--seeds", "0-4,9", *options, "--out", first)
    assert made.returncode == 0, made.stderr
    made = resgen("render", first, "--checkpoints", tiny_folder, "--out", again)
    assert made.returncode == 0 and made.stderr == ""
    assert np.array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(again)))

    arrays = np.load(npz)
    assert arrays["images"].shape == (12, 16, 16, 3) and arrays["images"].dtype == np.uint8
    assert arrays["seeds"].tolist() == [0, 1, 2, 3, 4, 9] * 2 and arrays["seeds"].dtype == np.int64
    assert arrays["labels"].tolist() == [0] * 6 + [2] * 6 and arrays["labels"].dtype == np.int64
    tile = tmp_path / "images" / "0011-stripes-seed9.png"
    assert np.array_equal(np.asarray(Image.open(tile)), arrays["images"][11])
    resgen("render", tile, "--checkpoints", tiny_folder, "--out", tmp_path / "tile.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "tile.png")), arrays["images"][11])


def test_another_version_of_the_checkpoint_is_mentioned(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"checkpoint": "tiny", "seeds": "1", "checkpoint_sha256": "00"}))
    made = resgen("render", recipe, "--checkpoints", tiny_folder, "--out", tmp_path / "a.png")
    assert made.returncode == 0 and "another version" in made.stderr


def test_list_and_info(resgen: Command, tiny_folder: Path) -> None:
    cards = json.loads(resgen("list", "--json", "--checkpoints", tiny_folder).stdout)
    assert {card["name"] for card in cards} == {"tiny", "plain"}
    card = json.loads(resgen("info", "tiny", "--json", "--checkpoints", tiny_folder).stdout)
    assert card["classes"] == ["disc", "square", "stripes"] and card["dataset"]["name"] == "shapes"
    assert "disc" in resgen("info", "tiny", "--checkpoints", tiny_folder).stdout


@pytest.mark.parametrize("command", ["sample", "render", *PICTURES, "invert", "train", "train-features", "evaluate", "info", "list"])
def test_help_has_an_example(resgen: Command, command: str) -> None:
    made = resgen(command, "--help")
    assert made.returncode == 0 and "Example:" in made.stdout


def test_bad_input_is_one_line_and_status_2(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes((tiny_folder / "tiny.safetensors").read_bytes()[:3000])
    sample = ["sample", "tiny", "--checkpoints", tiny_folder, "--out", tmp_path / "x.png"]
    for words in (
        [*sample, "--seeds", "3-"],
        [*sample, "--seeds", "0-99999999"],
        [*sample, "--classes", "cat"],
        [*sample, "--class-mix", "disc"],
        [*sample, "--gains", "a"],
        [*sample, "--truncation", "7"],
        [*sample, "--device", "abacus"],
        ["sample", "nobody", "--out", tmp_path / "x.png"],
        ["sample", tmp_path / "cut.safetensors", "--out", tmp_path / "x.png"],
        ["render", tmp_path / "none.png", "--out", tmp_path / "x.png"],
        ["train", "--data", tmp_path / "none", "--out", tmp_path / "run"],
        ["info", "../tiny"],
    ):
        made = resgen(*words)
        assert made.returncode == 2, (words, made)
        assert made.stderr.startswith("resgen: ") and made.stderr.count("\n") == 1, made.stderr
    assert not (tmp_path / "x.png").exists()


def test_training_a_feature_network_and_judging_with_it(resgen: Command, tiny_folder: Path, shapes_zip: Path, tmp_path: Path) -> None:
    judge, report = tmp_path / "judge.safetensors", tmp_path / "report.json"
    # A zip of 60 pictures has no full batch of the default size, so the data is given five times.
    data = [word for _ in range(5) for word in ("--data", shapes_zip)]
    made = resgen("train-features", *data, "--test-data", shapes_zip, "--epochs", 1, "--widths", "8,12,16", "--thumbnails", 0, "--out", judge)
    assert made.returncode == 0 and "test accuracy" in made.stdout, made.stderr
    made = resgen(
        "evaluate", "tiny", "--checkpoints", tiny_folder, *data, "--test-data", shapes_zip, "--judge", judge, "--samples", 120, "--out", report
    )
    assert made.returncode == 0, made.stderr
    figures = json.loads(report.read_text())
    assert figures["samples"] == 120 and 0 <= figures["accuracy"] <= 1 and figures["real_test_recall"] > 0.9


def test_python_m_resgen_refuses_bad_input_without_a_traceback() -> None:
    made = subprocess.run([sys.executable, "-m", "resgen", "info", "nobody"], capture_output=True, text=True)
    assert made.returncode == 2 and made.stderr.startswith("resgen: There is no checkpoint")


@pytest.fixture
def studio_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny checkpoints with a feature network and a snapshot beside them."""
    folder = shutil.copytree(tiny_folder, tmp_path / "checkpoints")
    (folder / "features").mkdir()
    torch.manual_seed(0)
    save_features(FeatureResNet(FeatureConfig(3, (8, 12, 16))), folder / "features" / "tiny.safetensors", {})
    (folder / "snapshots" / "tiny").mkdir(parents=True)
    shutil.copy(folder / "tiny.safetensors", folder / "snapshots" / "tiny" / "500.safetensors")
    return folder


@pytest.mark.parametrize(("command", "words"), PICTURES.items())
def test_every_kind_of_picture_can_be_made_again_from_itself(resgen: Command, studio_folder: Path, tmp_path: Path, command: str, words: str) -> None:
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    made = resgen(command, *words.split(), "--checkpoints", studio_folder, "--out", first)
    assert made.returncode == 0, made.stderr
    made = resgen("render", first, "--checkpoints", studio_folder, "--out", again)
    assert made.returncode == 0 and made.stderr == ""
    assert np.array_equal(np.asarray(Image.open(first)), np.asarray(Image.open(again)))


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_films_carry_their_recipe(resgen: Command, studio_folder: Path, tmp_path: Path, suffix: str) -> None:
    film, again = tmp_path / f"walk{suffix}", tmp_path / f"again{suffix}"
    made = resgen("walk", "tiny", "--stops", "1,2", "--seconds", "0.5", "--fps", "10", "--checkpoints", studio_folder, "--out", film)
    assert made.returncode == 0, made.stderr
    recipe, sha256 = read_recipe(film)
    assert isinstance(recipe, Walk) and recipe.frames == 5 and len(sha256) == 64
    assert resgen("render", film, "--checkpoints", studio_folder, "--out", again).returncode == 0
    assert read_recipe(again)[0] == recipe
    made = resgen("walk", "tiny", "--stops", "1,2", "--checkpoints", studio_folder, "--out", tmp_path / "walk.avi")
    assert made.returncode == 2 and made.stderr.count("\n") == 1 and ".mp4" in made.stderr


def test_an_image_is_found_again(resgen: Command, studio_folder: Path, tmp_path: Path) -> None:
    target, found = tmp_path / "target.png", tmp_path / "found.png"
    resgen("sample", "tiny", "--seeds", "9", "--scale", "1", "--checkpoints", studio_folder, "--out", target)
    made = resgen("invert", "tiny", target, "--steps", "60", "--checkpoints", studio_folder, "--out", found)
    assert made.returncode == 0 and float(made.stdout.split()[1]) > 25, made.stderr
    made = resgen(
        "walk", "tiny", "--stops", f"{found},3", "--path", "w", "--seconds", ".3", "--checkpoints", studio_folder, "--out", tmp_path / "a.gif"
    )
    assert made.returncode == 0, made.stderr
    (tmp_path / "not.png").write_bytes(b"no picture")
    made = resgen("invert", "tiny", tmp_path / "not.png", "--checkpoints", studio_folder, "--out", found)
    assert made.returncode == 2 and made.stderr.count("\n") == 1
