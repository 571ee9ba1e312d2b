import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from resgen import __version__
from resgen import library as library_module
from resgen.card import read_card
from resgen.checkpoint import load_checkpoint, save_card, save_checkpoint
from resgen.cli import app, main
from resgen.cli.training import _without_folders
from resgen.composite import AnatomyOf, Comparison, StyleMix, Walk
from resgen.errors import FileError
from resgen.features import save_features
from resgen.latents import find_direction
from resgen.library import Library
from resgen.notes import read_recipe
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from tests.conftest import untrained, untrained_features
from tests.test_checkpoint import rewrite

PICTURES = {
    "mix": "tiny --rows 1@disc,2 --columns 5,6@square,7 --blocks 2,3",
    "explain": "tiny --image 7@stripes",
    "compare": "tiny@500 tiny --seeds 0-3 --classes disc,square --directions pc1=2 --gains 1,0.5,1",
    "curate": "tiny --class disc --many 20 --keep 5 --order Confidence",
    "direction": "tiny --more 1,2 --less 3 --name bright --seeds 0-2",
    "walk": "tiny --stops 1,2@disc,3 --seconds 0.5 --fps 12 --no-loop --path w --truncation 0.7",
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


@pytest.fixture
def on_tiny(resgen: Command, tiny_folder: Path) -> Command:
    """The command line on the tiny checkpoints, where it must succeed."""

    def call(command: str, *words: object) -> Result:
        made = resgen(command, *words, "--checkpoints", tiny_folder)
        assert made.returncode == 0, made.stderr
        return made

    return call


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_grid_can_be_made_again_from_itself(on_tiny: Command, tmp_path: Path) -> None:
    first, again, npz = tmp_path / "grid.png", tmp_path / "again.png", tmp_path / "out.npz"
    options = f"--classes disc,stripes --truncation .7 --directions pc1=2 --gains 1,0.5,1 --images-dir {tmp_path}/images --npz {npz}".split()
    on_tiny("sample", "tiny", "--seeds", "0-4,9", *options, "--out", first)
    made = on_tiny("render", first, "--out", again)
    assert made.stderr == "" and np.array_equal(pixels(first), pixels(again)) and read_recipe(first) == read_recipe(again)

    arrays = np.load(npz)
    assert arrays["images"].shape == (12, 16, 16, 3) and arrays["images"].dtype == np.uint8
    assert arrays["seeds"].tolist() == [0, 1, 2, 3, 4, 9] * 2 and arrays["seeds"].dtype == np.int64
    assert arrays["labels"].tolist() == [0] * 6 + [2] * 6 and arrays["labels"].dtype == np.int64
    assert arrays["classes"].tolist() == ["disc", "square", "stripes"]
    assert json.loads(str(arrays["recipe"])) == json.loads(Image.open(first).info["resgen"]), "pickled by nobody, and signed"
    tile = tmp_path / "images" / "0011-stripes-seed9.png"
    assert np.array_equal(pixels(tile), arrays["images"][11])
    on_tiny("render", tile, "--out", tmp_path / "tile.png")
    assert np.array_equal(pixels(tmp_path / "tile.png"), arrays["images"][11])


@pytest.mark.parametrize("mark", ["?", "?__theme=dark#", "#"])
def test_a_link_is_drawn_and_its_recipe_written(on_tiny: Command, tmp_path: Path, mark: str) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(3,), classes=("disc",), columns=1, scale=1)
    link = f"https://ann.example/studio/{mark}{recipe.to_query()}"
    on_tiny("render", link, "--out", tmp_path / "a.png")
    assert read_recipe(tmp_path / "a.png")[0] == recipe
    on_tiny("render", link, "--out", tmp_path / "a.json")
    assert read_recipe(tmp_path / "a.json") == (recipe, "")


def test_the_recipe_of_a_picture_is_written_without_drawing(resgen: Command, on_tiny: Command, tmp_path: Path) -> None:
    for name, words in {"a.png": "sample tiny --seeds 1", "b.gif": "walk tiny --stops 1,2 --seconds 0.2"}.items():
        on_tiny(*words.split(), "--out", tmp_path / name)
        assert resgen("render", tmp_path / name, "--out", tmp_path / "told.json").returncode == 0, "where there is no such checkpoint"
        assert read_recipe(tmp_path / "told.json") == read_recipe(tmp_path / name)
        assert "--out recipe.json" in resgen("info", tmp_path / name).stderr
    assert resgen("render", tmp_path / "a.png", "--checkpoint", "cifar10", "--out", tmp_path / "told.json").returncode == 0
    assert read_recipe(tmp_path / "told.json") == (Recipe(checkpoint="cifar10", seeds=(1,)), "")


def test_every_field_of_a_recipe_can_be_given(on_tiny: Command, tmp_path: Path) -> None:
    words = "--seeds 3,5 --variation-of 7 --variation-strength 0.4 --class-mix disc=1,square=2 --truncation 0.5 --directions pc1=8"
    words += " --edits 1:pc2=-1 --sweep pc1 --gains 0,2,1 --columns 5 --scale 2"
    on_tiny("sample", "tiny", *words.split(), "--out", tmp_path / "a.png")
    assert read_recipe(tmp_path / "a.png")[0] == Recipe(
        checkpoint="tiny", seeds=(3, 5), variation_of=7, variation_strength=0.4, class_mix=(("disc", 1.0), ("square", 2.0)), truncation=0.5,
        directions=(("pc1", 8.0),), edits=((1, (("pc2", -1.0),)),), sweep="pc1", residual_gains=(0.0, 2.0, 1.0), columns=5, scale=2,
    )  # fmt: skip
    on_tiny("sample", "tiny", "--plane", "3.5,2,0.5", "--columns", 3, "--out", tmp_path / "b.png")
    assert read_recipe(tmp_path / "b.png")[0] == Recipe(checkpoint="tiny", plane=(3.5, 2.0, 0.5), columns=3)
    on_tiny("sample", "tiny", "--seeds", "1", "--classes", "all", "--out", tmp_path / "c.png")
    assert read_recipe(tmp_path / "c.png")[0].values()["classes"] == ("disc", "square", "stripes")
    for words in ("compare tiny tiny@500 --seeds 1", "direction tiny --more 1 --less 3 --seeds 1"):
        on_tiny(*words.split(), "--classes", "all", "--out", tmp_path / "d.png")
        recipe = read_recipe(tmp_path / "d.png")[0]
        assert (recipe.recipe if isinstance(recipe, Comparison) else recipe).values()["classes"] == ("disc", "square", "stripes")


def test_another_checkpoint_in_the_place_of_the_recipes_is_noted(on_tiny: Command, tmp_path: Path) -> None:
    """A picture always makes itself again, whichever checkpoint drew it."""
    mix = StyleMix(rows=(Recipe(checkpoint="tiny", seeds=(1,)),), columns=(Recipe(checkpoint="tiny", seeds=(2,)),), blocks=(1,))
    for recipe in (Recipe(checkpoint="tiny", seeds=(1, 2)), mix):
        (tmp_path / "recipe.json").write_text(recipe.to_json())
        on_tiny("render", tmp_path / "recipe.json", "--out", tmp_path / "a.png")
        on_tiny("render", tmp_path / "a.png", "--checkpoint", "tiny@500", "--out", tmp_path / "b.png")
        made = on_tiny("render", tmp_path / "b.png", "--out", tmp_path / "c.png")
        assert not np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))
        assert np.array_equal(pixels(tmp_path / "b.png"), pixels(tmp_path / "c.png")) and made.stderr == ""
        assert read_recipe(tmp_path / "b.png")[0] == recipe.with_checkpoint("tiny@500")


def test_another_version_of_the_checkpoint_is_mentioned(on_tiny: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"checkpoint": "tiny", "seeds": "1", "checkpoint_sha256": "00"}))
    assert "another version" in on_tiny("render", recipe, "--out", tmp_path / "a.png").stderr


def test_each_generator_of_a_comparison_is_known_again(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    folder, picture = shutil.copytree(tiny_folder, tmp_path / "checkpoints"), tmp_path / "a.png"
    resgen("compare", "tiny", "plain", "--seeds", "1", "--out", picture, "--checkpoints", folder)
    shelf = Library(folder, "cpu")
    assert read_recipe(picture)[1] == {name: shelf.sha256(name) for name in ("tiny", "plain")}
    assert resgen("render", picture, "--out", tmp_path / "b.png", "--checkpoints", folder).stderr == ""
    shutil.copy(folder / "tiny.safetensors", folder / "plain.safetensors")
    told = resgen("render", picture, "--out", tmp_path / "b.png", "--checkpoints", folder).stderr
    assert told == "resgen: a.png was made with another version of plain; the picture may differ.\n"


def test_a_picture_of_a_file_is_drawn_again_by_that_file(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    mine, picture = Path(shutil.copy(tiny_folder / "tiny.safetensors", tmp_path / "mine.safetensors")), tmp_path / "a.png"
    resgen("sample", mine, "--seeds", "1", "--out", picture)
    words = ("render", picture, "--out", tmp_path / "b.png", "--checkpoints", tiny_folder)
    missing = resgen(*words)
    assert missing.returncode == 2 and "There is no checkpoint 'mine' here" in missing.stderr and "--checkpoint and its file" in missing.stderr
    assert resgen(*words, "--checkpoint", mine) == Result(0, "", "")
    shutil.copy(tiny_folder / "plain.safetensors", mine)
    assert "another version of mine" in resgen(*words, "--checkpoint", mine).stderr
    assert resgen(*words, "--checkpoint", "plain").stderr == "", "another is what was asked for"


def test_images_are_taken_from_the_generator_that_drew_them(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    folder, picture = shutil.copytree(tiny_folder, tmp_path / "checkpoints"), tmp_path / "a.png"
    resgen("sample", "tiny", "--seeds", "3", "--out", picture, "--checkpoints", folder)
    for words in (
        "explain plain --image a.png",
        "direction plain --more a.png --less 5",
        "walk plain --stops 1,a.png",
        "mix plain --rows 1 --columns a.png",
    ):
        command = words.replace("a.png", str(picture)).split()
        made = resgen(*command, "--out", tmp_path / "b.png", "--checkpoints", folder)
        assert made.returncode == 2 and "a.png is an image by tiny; choose one by plain." in made.stderr, made
    shutil.copy(folder / "snapshots" / "tiny" / "500.safetensors", folder / "tiny.safetensors")
    made = resgen("explain", "tiny", "--image", picture, "--out", tmp_path / "b.png", "--checkpoints", folder)
    assert made.returncode == 0 and made.stderr == "resgen: a.png was made with another version of tiny; the picture may differ.\n"


def test_figures_on_the_card_leave_older_pictures_their_checkpoint(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "checkpoints")
    resgen("sample", "tiny", "--seeds", "1", "--out", tmp_path / "a.png", "--checkpoints", folder)
    before = json.loads(resgen("info", "tiny", "--json", "--checkpoints", folder).stdout)
    save_card(replace(load_checkpoint(folder / "tiny.safetensors").card, metrics={"recall": 0.5}), folder / "tiny.safetensors")
    after = json.loads(resgen("info", "tiny", "--json", "--checkpoints", folder).stdout)
    assert after["metrics"] == {"recall": 0.5} and before["metrics"] == {} and after["sha256"] == before["sha256"]
    made = resgen("render", tmp_path / "a.png", "--out", tmp_path / "b.png", "--checkpoints", folder)
    assert made.returncode == 0 and made.stderr == ""


def test_a_strangers_recipe_loads_what_it_names_from_the_folder_alone(
    resgen: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "fetch", lambda *_: pytest.fail("the Hub was asked"))
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path / "mine.safetensors")
    for name in (str(tmp_path / "mine.safetensors"), "owner/name", "../tiny"):
        (tmp_path / "stranger.json").write_text(Recipe(checkpoint=name, seeds=(1,)).to_json())
        made = resgen("render", tmp_path / "stranger.json", "--out", tmp_path / "a.png", "--checkpoints", tiny_folder)
        assert made.returncode == 2 and made.stderr.startswith("resgen: There is no checkpoint") and made.stderr.count("\n") == 1
    made = resgen(
        "render", tmp_path / "stranger.json", "--out", tmp_path / "a.png", "--checkpoint", tmp_path / "mine.safetensors", "--checkpoints", tiny_folder
    )
    assert made.returncode == 0 and read_recipe(tmp_path / "a.png")[0].checkpoint == "mine"


def test_list_and_info(on_tiny: Command) -> None:
    cards = json.loads(on_tiny("list", "--json").stdout)
    assert {card["name"] for card in cards} == {"tiny", "plain"}
    card = json.loads(on_tiny("info", "tiny", "--json").stdout)
    assert card["classes"] == ["disc", "square", "stripes"] and card["dataset"]["name"] == "shapes" and len(card["sha256"]) == 64
    assert "tiny" in on_tiny("list").stdout


def test_snapshots_are_told_of(resgen: Command, on_tiny: Command, tiny_folder: Path) -> None:
    told = on_tiny("info", "tiny").stdout.split()
    assert told[told.index("Snapshots") + 1] == "tiny@500" and "Snapshots" not in on_tiny("info", "plain").stdout
    for words in (("info", "tiny@7"), ("compare", "tiny", "tiny@7", "--out", "x.png")):
        assert "There is no checkpoint 'tiny@7'; there are: tiny@500." in resgen(*words, "--checkpoints", tiny_folder).stderr
    assert "there are: plain, tiny." in resgen("info", "plain@7", "--checkpoints", tiny_folder).stderr


def test_the_version_is_told(resgen: Command) -> None:
    assert resgen("--version") == Result(0, f"resgen {__version__}\n", "")


def test_info_reads_like_a_card(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    """Sentences, figures and the whole commands; no dictionaries, no history, nothing that a terminal or its markup obeys."""
    training = {
        "images_seen": 64000,
        "hours": 2.5,
        "hardware": "two cores [/b] \x1b[2J",
        "command": "resgen train --data shapes.zip --out runs/shapes " + "--flip " * 30,
        "stages": [{"from_image": 32000, "command": "resgen train --resume --lr 1e-4"}],
        "history": [{"images": number, "loss": 0.123456} for number in range(30)],
    }
    metrics = {"accuracy": 0.9, "real_test_accuracy": 0.95, "recall": 0.5}
    header: dict[str, object] = {"training": training, "metrics": metrics, "classes": ["[/b]", "[red]square", "stripes"]}
    path = rewrite(tiny_folder / "tiny.safetensors", tmp_path / "mine.safetensors", header)
    told = resgen("info", path)
    assert told.returncode == 0, told.stderr
    for words in ("mine", "16 x 16 pixels, 3 residual blocks", "[/b]", "[red]square", "the tests", "64,000 images, 2.5 hours", "0.95", "recall"):
        assert words in told.stdout, words
    assert training["command"] in told.stdout and "From image 32,000 on" in told.stdout and "resgen train --resume --lr 1e-4" in told.stdout
    assert "{" not in told.stdout and "0.123456" not in told.stdout and "\x1b[2J" not in told.stdout and "real_test" not in told.stdout


@pytest.mark.parametrize("command", [command.name or command.callback.__name__ for command in app.registered_commands if command.callback])
def test_help_has_an_example(resgen: Command, command: str) -> None:
    made = resgen(command, "--help")
    assert made.returncode == 0 and "Example:" in made.stdout


SAMPLE = "sample tiny --seeds 1 --out x.png"


@pytest.mark.parametrize(
    "words",
    [
        "sample tiny --seeds 3- --out x.png",
        "sample tiny --seeds 0-99999999 --out x.png",
        f"{SAMPLE} --classes cat",
        f"{SAMPLE} --class-mix disc",
        f"{SAMPLE} --class-mix disc=nan",
        f"{SAMPLE} --gains a",
        f"{SAMPLE} --gains nan,1,1",
        f"{SAMPLE} --gains 1,1",
        f"{SAMPLE} --truncation 7",
        f"{SAMPLE} --truncation nan",
        f"{SAMPLE} --scale 1e400",
        f"{SAMPLE} --columns 1.5",
        f"{SAMPLE} --directions pc9=1",
        f"{SAMPLE} --edits -1:pc1=1",
        f"{SAMPLE} --edits 0:pc1=99",
        f"{SAMPLE} --edits 1:pc1=1",
        f"{SAMPLE} --sweep pc2 --columns 5 --edits 1:pc1=1",
        f"{SAMPLE} --latents x",
        f"{SAMPLE} --device abacus",
        f"{SAMPLE} --device cpu:x",
        f"{SAMPLE} --device cuda:999",
        "sample tiny --seeds 1",
        "sample tiny --seeds 1 --out file/x.png",
        "sample tiny --seeds 1 --out folder",
        "sample tiny --seeds 1 --out ''",
        "sample tiny --seeds 1 --images-dir file",
        "sample tiny --seeds 1 --npz file/x.npz",
        f"sample tiny --seeds 1 --npz {'x' * 300}",
        "sample nobody --out x.png",
        "sample ../tiny --out x.png",
        "sample cut.safetensors --out x.png",
        "sample file --out x.png",
        "render none.png --out x.png",
        "render file --out x.png",
        "render folder --out x.png",
        "walk tiny --stops 1 --out x.png",
        "walk tiny --stops 1,2 --out x.avi",
        "walk tiny --stops 1,2 --out file/x.gif",
        "walk tiny --stops 1,2 --seconds nan --out x.gif",
        "walk tiny --stops 1,2 --path q --out x.gif",
        "walk tiny --stops 1,2 --seconds 60 --fps 60 --out x.gif",
        "walk tiny --stops 1,none.png --out x.gif",
        "walk tiny --stops 1,2 --truncation much --out x.gif",
        "mix tiny --rows 1 --columns 2 --blocks nan --out x.png",
        "mix tiny --rows 1 --columns 2 --blocks inf --out x.png",
        "mix tiny --rows 1 --columns 2 --blocks 1.7 --out x.png",
        "mix tiny --rows 1 --columns 2 --blocks 0 --out x.png",
        "mix tiny --rows 1 --columns 2 --blocks 4 --out x.png",
        "mix tiny --rows 0-40 --columns 2 --blocks 1 --out x.png",
        "explain tiny --image 1,2 --out x.png",
        "compare tiny nobody --out x.png",
        f"{SAMPLE.replace('.png', '.jpg')}",
        "studio --port 99999",
        "invert tiny nowhere.jpg --out x.png",
        f"info {'x' * 300}",
        f"render {'x' * 300}.png --out x.png",
        "dataset tiny --first-seed 4294967296 --count 1 --out made",
        "compare tiny plain --classes disc --out x.png",
        "compare tiny plain --classes all --out x.png",
        "curate plain --out x.png",
        "curate tiny --keep 999 --out x.png",
        "curate tiny --order Beauty --out x.png",
        "curate tiny --first-seed 9223372036854775807 --out x.png",
        "direction tiny --more 1 --less 1 --out x.png",
        "direction tiny --more 1 --less 2 --name a;b --out x.png",
        "invert tiny file --out x.png",
        "invert tiny none.jpg --out x.png",
        "info ../tiny",
        "render https://ann.example --out x.png",
        "render http://[ --out x.png",
        "info folder",
    ],
)
def test_bad_input_is_one_line_and_status_2(resgen: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("no picture")
    Path("folder").mkdir()
    Path("cut.safetensors").write_bytes((tiny_folder / "tiny.safetensors").read_bytes()[:3000])
    made = resgen(*("" if word == "''" else word for word in words.split()), "--checkpoints", tiny_folder)
    assert made.returncode == 2, made
    assert made.stderr.startswith("resgen: ") and made.stderr.count("\n") == 1 and len(made.stderr) < 600, made.stderr
    assert sorted(os.listdir()) == ["cut.safetensors", "file", "folder"] and not os.listdir("folder")


@pytest.mark.parametrize(
    "words",
    [
        "train --data none --out run",
        "train --data shapes --out run --widths nan",
        "train --data shapes --out run --widths 1e400",
        "train --data shapes --out run --widths 0,8",
        "train --data shapes --out run --widths 8.5",
        "train-features --data shapes --out x.safetensors --widths nan",
        "train-features --data shapes --out x.safetensors --widths inf,8",
    ],
)
def test_bad_input_to_training_is_one_line_and_status_2(
    resgen: Command, shapes_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    made = resgen(*(shapes_zip if word == "shapes" else word for word in words.split()))
    assert made.returncode == 2 and made.stderr.startswith("resgen: ") and made.stderr.count("\n") == 1, made


def test_the_studio_is_not_begun_in_a_folder_that_is_not_there(resgen: Command, tmp_path: Path) -> None:
    made = resgen("studio", "--checkpoints", tmp_path / "none")
    assert made.returncode == 2 and "There is no folder" in made.stderr


def test_a_folder_that_is_not_there_is_no_empty_one(resgen: Command, tmp_path: Path) -> None:
    made = resgen("list", "--checkpoints", tmp_path / "nowhere")
    assert made.returncode == 2 and "There is no folder" in made.stderr


def test_arrays_of_many_images_need_no_picture(on_tiny: Command, tmp_path: Path) -> None:
    on_tiny("sample", "tiny", "--seeds", "0-199", "--scale", "16", "--npz", tmp_path / "x.npz")
    assert np.load(tmp_path / "x.npz")["images"].shape == (200, 16, 16, 3) and [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_columns_follow_the_count_where_none_are_given(on_tiny: Command, tmp_path: Path) -> None:
    """A picture of many images in 8 columns would be too tall to be shown."""
    for seeds, columns in (("0-3", 8), ("0-143", 12)):
        on_tiny("sample", "tiny", "--seeds", seeds, "--scale", "1", "--out", tmp_path / "x.png")
        assert read_recipe(tmp_path / "x.png")[0].values()["columns"] == columns
    on_tiny("sample", "tiny", "--seeds", "0-99", "--sweep", "pc1", "--scale", "1", "--out", tmp_path / "x.png")
    swept = read_recipe(tmp_path / "x.png")[0]
    assert isinstance(swept, Recipe) and swept.columns == 7 and 0 in swept.sweep_amounts, "however many seeds there are"
    on_tiny("sample", "tiny", "--seeds", "0-99", "--columns", "7", "--scale", "1", "--out", tmp_path / "x.png")
    assert read_recipe(tmp_path / "x.png")[0].values()["columns"] == 7


def test_training_a_feature_network_and_judging_with_it(resgen: Command, tiny_folder: Path, shapes_zip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "checkpoints")
    before = Library(folder, "cpu").sampler("tiny").checkpoint.sha256
    judge, report, near = (tmp_path / name for name in ("judge.safetensors", "report.json", "near.png"))
    # A zip of 60 pictures has no full batch of the default size, so the data is given five times.
    data = [word for _ in range(5) for word in ("--data", shapes_zip)]
    made = resgen("train-features", *data, "--test-data", shapes_zip, "--epochs", 1, "--widths", "8,12,16", "--thumbnails", 0, "--out", judge)
    assert made.returncode == 0 and "test accuracy" in made.stdout, made.stderr
    words = ["--test-data", shapes_zip, "--judge", judge, "--samples", 120, "--out", report, "--card", "--neighbours", near]
    made = resgen("evaluate", "tiny", "--checkpoints", folder, *data, *words)
    assert made.returncode == 0, made.stderr
    figures = json.loads(report.read_text())
    with Image.open(near) as picture:
        assert picture.format == "PNG" and picture.width > 8 * 16 * 3 and "resgen" not in picture.info, "no recipe draws it"
    assert figures["samples"] == 60 and 0 <= figures["accuracy"] <= 1 and figures["real_test_recall"] > 0.9
    shelf = Library(folder, "cpu")
    assert shelf.card("tiny").metrics == figures and shelf.sampler("tiny").checkpoint.sha256 == before


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
@pytest.mark.parametrize(
    ("words", "where", "advice"),
    [
        ("train --data x --out run", "resgen.train.command.train_generator", "--batch"),
        ("train-features --data x --out x.safetensors", "resgen.data.load_images", "less at once"),
    ],
)
def test_a_lack_of_memory_is_told_with_what_to_do(
    resgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, where: str, advice: str
) -> None:
    def lacks(*_: object, **__: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(where, lacks)
    made = resgen(*words.split())
    assert made.returncode == 2 and made.stderr.startswith("resgen: There is not enough memory: ") and advice in made.stderr, made.stderr
    assert made.stderr.count("\n") == 1


EVALUATE = "evaluate tiny --data x --test-data x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"{EVALUATE} --judge none", "not a feature network"),
        (f"{EVALUATE} --judge own --judge own --judge own", "Two judges"),
        (f"{EVALUATE} --judge own --samples 100", "--samples 100 is less than one for each of the 103 classes"),
        (f"{EVALUATE} --judge own --out file/x.json", "could not be written"),
        (f"{EVALUATE} --judge own --neighbours x.jpg", "must end with .png"),
        ("name-directions tiny --data x --attributes none.csv", "not a table"),
        ("name-directions tiny --attributes none.csv", "--data"),
    ],
)
def test_what_is_said_wrongly_is_told_before_images_are_read(
    resgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resgen.data.load_images", lambda *_, **__: pytest.fail("images were read"))
    save_checkpoint(untrained("tiny", 0, tuple(f"c{i}" for i in range(103))), tmp_path / "tiny.safetensors")
    save_features(untrained_features(0), tmp_path / "own", {})
    (tmp_path / "file").write_text("no folder")
    made = resgen(*words.split(), "--checkpoints", tmp_path)
    assert made.returncode == 2 and message in made.stderr, made


@pytest.mark.parametrize("words", ["name-directions ann/mine", "evaluate ann/mine --data x --test-data x --judge x --card"])
def test_what_the_hub_keeps_is_not_written_to(
    resgen: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    kept = Path(shutil.copy(tiny_folder / "tiny.safetensors", tmp_path))
    before = kept.read_bytes()
    monkeypatch.setattr("resgen.library.fetch", lambda *_: kept)
    made = resgen(*words.split())
    assert made.returncode == 2 and f"copy {kept} into a folder of your own" in made.stderr and kept.read_bytes() == before


def test_the_maker_and_licence_of_own_images_are_on_the_card(resgen: Command, tiny_folder: Path, shapes_zip: Path, tmp_path: Path) -> None:
    eyes = ["--features", tiny_folder / "features" / "tiny.safetensors", "--device", "cpu"]
    made = resgen(
        "train", "--data", shapes_zip, *eyes, "--images", 4, "--batch", 4, "--group", 2, "--widths", "8,8,8", "--out", tmp_path / "run",
        "--author", "Ann", "--licence", "CC0 1.0",
    )  # fmt: skip
    card = read_card(tmp_path / "run" / "run.safetensors")
    assert made.returncode == 0 and card.origin == "Trained on shapes.zip (author: Ann; licence: CC0 1.0)."


def test_directions_are_not_sought_for_a_file_that_cannot_be_written(resgen: Command, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(path: Path) -> None:
        raise FileError(f"{path} could not be written: No space left on device.")

    monkeypatch.setattr("resgen.files.check_place", cannot)
    monkeypatch.setattr("resgen.train.directions.name_directions", lambda *_: pytest.fail("they were sought"))
    made = resgen("name-directions", "tiny", "--checkpoints", tiny_folder)
    assert made.returncode == 2 and "could not be written" in made.stderr


def test_each_command_tells_which_pictures_it_leaves_out(
    resgen: Command, tiny_folder: Path, shapes_zip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resgen.train.directions.SAMPLES", 384)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = shutil.copytree(tiny_folder, tmp_path / "checkpoints")
    bad = shutil.copy(shapes_zip, tmp_path / "bad.zip")
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("disc/torn.png", b"no picture")
        names = [name for name in archive.namelist() if "torn" not in name]
    (tmp_path / "t.csv").write_text("\n".join(["file,shade", *(f"{name},{place % 7}" for place, name in enumerate(names))]))
    judge = folder / "features" / "tiny.safetensors"
    for words in (
        ["train-features", "--data", bad, "--epochs", 1, "--widths", "8,12,16", "--thumbnails", 0, "--out", tmp_path / "judge.safetensors"],
        ["train", "--data", bad, "--features", judge, "--images", 4, "--batch", 4, "--group", 2, "--widths", "8,8,8", "--out", tmp_path / "run"],
        ["evaluate", "tiny", "--checkpoints", folder, "--data", bad, "--test-data", shapes_zip, "--judge", judge, "--samples", 100],
        ["name-directions", "tiny", "--checkpoints", folder, "--data", bad, "--attributes", tmp_path / "t.csv"],
    ):
        caplog.clear()
        made = resgen(*words)
        assert made.returncode == 0 and caplog.text.count("'disc/torn.png' cannot be read as pictures") == 1, (words[0], made)


def test_other_faults_are_not_called_a_lack_of_memory(resgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr("resgen.train.command.train_generator", fails)
    with pytest.raises(RuntimeError, match="shapes"):
        resgen("train", "--data", "x", "--out", "run")


def test_python_m_resgen_refuses_bad_input_without_a_traceback() -> None:
    made = subprocess.run([sys.executable, "-m", "resgen", "info", "nobody"], capture_output=True, text=True)
    assert made.returncode == 2 and made.stderr.startswith("resgen: There is no checkpoint")


@pytest.mark.parametrize(("command", "words"), PICTURES.items())
def test_every_kind_of_picture_can_be_made_again_from_itself(on_tiny: Command, tmp_path: Path, command: str, words: str) -> None:
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    on_tiny(command, *words.split(), "--out", first)
    made = on_tiny("render", first, "--out", again)
    assert made.stderr == "" and np.array_equal(pixels(first), pixels(again)) and read_recipe(first) == read_recipe(again)


def test_two_generators_of_one_name_are_not_compared(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    other = shutil.copy(tiny_folder / "plain.safetensors", tmp_path / "tiny.safetensors")
    made = resgen("compare", "tiny", other, "--out", tmp_path / "x.png", "--checkpoints", tiny_folder)
    assert made.returncode == 2 and "called tiny" in made.stderr and not (tmp_path / "x.png").exists()


def test_the_commands_make_the_recipes_that_they_were_told(on_tiny: Command, tmp_path: Path) -> None:
    def recipe_of(command: str):
        on_tiny(command, *PICTURES[command].split(), "--out", tmp_path / "x.png")
        return read_recipe(tmp_path / "x.png")[0]

    def point(seed: int, *classes: str, truncation: float = 1.0) -> Recipe:
        return Recipe(checkpoint="tiny", seeds=(seed,), classes=classes, truncation=truncation, columns=1, scale=1)

    assert recipe_of("mix") == StyleMix(rows=(point(1, "disc"), point(2)), columns=(point(5), point(6, "square"), point(7)), blocks=(1, 2))
    on_tiny("mix", *["tiny", "--rows", "1", "--columns", "5", "--out"], tmp_path / "y.png")
    assert read_recipe(tmp_path / "y.png")[0] == StyleMix(rows=(point(1),), columns=(point(5),), blocks=(1, 2)), "the finer half of three blocks"
    assert recipe_of("explain") == AnatomyOf(recipe=point(7, "stripes").changed(scale=3))
    compared = Recipe(
        checkpoint="tiny@500", seeds=(0, 1, 2, 3), classes=("disc", "square"), directions=(("pc1", 2.0),), residual_gains=(1.0, 0.5, 1.0)
    )
    assert recipe_of("compare") == Comparison(recipe=compared, checkpoints=("tiny@500", "tiny"))
    stops = (point(1, truncation=0.7), point(2, "disc", truncation=0.7), point(3, truncation=0.7))
    assert recipe_of("walk") == Walk(stops=stops, seconds=0.5, fps=12, loop=False, path="w")
    made = recipe_of("direction")
    assert isinstance(made, Recipe) and made.sweep == "bright" and made.own_directions[0][0] == "bright" and made.seeds == (0, 1, 2)
    best = recipe_of("curate")
    assert isinstance(best, Recipe) and best.classes == ("disc",) and len(best.seeds) == 5 and max(best.seeds) < 20


def test_the_best_and_a_direction_are_sought_among_truncated_images(on_tiny: Command, tiny: Sampler, tmp_path: Path) -> None:
    words = ["tiny", "--many", "20", "--keep", "5", "--truncation", "0.5", "--columns", "3", "--scale", "2"]
    on_tiny("curate", *words, "--out", tmp_path / "best.png")
    best = read_recipe(tmp_path / "best.png")[0].values()
    assert (best["truncation"], best["columns"], best["scale"]) == (0.5, 3, 2)
    on_tiny("direction", *["tiny", "--more", "1@disc", "--less", "3@square", "--name", "own", "--truncation", "0"], "--out", tmp_path / "own.png")
    made = read_recipe(tmp_path / "own.png")[0]
    assert isinstance(made, Recipe) and made.truncation == 0
    means = tiny.latents(Recipe(seeds=(1,), classes=("disc", "square"), truncation=0)).mean(axis=1)
    along = find_direction("own", made, tiny.checkpoint).numpy()
    assert np.dot(along, means[0] - means[1]) > 0.999 * np.linalg.norm(along) * np.linalg.norm(means[0] - means[1])


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--data=/home/ann/photos", "--data=photos"), ("/home/ann/photos", "photos"), ("--data=photos/cats", "--data=photos/cats"),
        ("~/x.safetensors", "x.safetensors"), ("--init=../y", "--init=y"), ("--flip", "--flip"),
    ],
)  # fmt: skip
def test_a_card_tells_no_folder_that_is_not_the_projects(word: str, told: str) -> None:
    assert _without_folders(word) == told


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_films_can_be_made_again_from_themselves(on_tiny: Command, tmp_path: Path, suffix: str) -> None:
    film, again = tmp_path / f"walk{suffix}", tmp_path / f"again{suffix}"
    on_tiny("walk", "tiny", "--stops", "1,2", "--seconds", "0.5", "--fps", "10", "--out", film)
    recipe, sha256 = read_recipe(film)
    assert isinstance(recipe, Walk) and recipe.frames == 5 and len(sha256) == 64
    on_tiny("render", film, "--out", again)
    assert again.read_bytes() == film.read_bytes()


def test_a_found_image_goes_on_into_other_commands(on_tiny: Command, tmp_path: Path) -> None:
    target, found = tmp_path / "target.png", tmp_path / "found.png"
    on_tiny("sample", "tiny", "--seeds", "9", "--scale", "1", "--out", target)
    made = on_tiny("invert", "tiny", target, "--steps", "20", "--out", found)
    assert float(made.stdout.split()[1]) > 25
    on_tiny("walk", "tiny", "--stops", f"{found},3", "--path", "w", "--seconds", ".3", "--out", tmp_path / "a.gif")
    walk = read_recipe(tmp_path / "a.gif")[0]
    assert isinstance(walk, Walk) and walk.stops[0] == read_recipe(found)[0]
    on_tiny("mix", "tiny", "--rows", found, "--columns", "3,4", "--blocks", "3", "--out", tmp_path / "mix.png")


def test_curating_judges_with_the_classes_of_the_checkpoint(resgen: Command, tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "checkpoints")
    (folder / "features" / "tiny.safetensors").unlink()
    made = resgen("curate", "tiny", "--many", 8, "--keep", 2, "--out", tmp_path / "x.png", "--checkpoints", folder)
    assert made.returncode == 2 and "no classifier of the classes of tiny" in made.stderr


def test_a_data_set_is_drawn_once_however_it_is_shared_out(
    resgen: Command, on_tiny: Command, tiny_folder: Path, tmp_path: Path, tiny: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resgen.cli.pictures.IMAGES_A_FILE", 12)
    words = ("dataset", "tiny", "--first-seed", "5", "--count", "20", "--classes", "disc,stripes", "--out", tmp_path / "set")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    on_tiny(*words)
    half = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.npz")}
    assert sorted(half) == ["11-16.npz", "23-24.npz"]
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    on_tiny(*words)  # as if the other had been killed
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.npz")}
    assert sorted(files) == ["11-16.npz", "17-22.npz", "23-24.npz", "5-10.npz"] and half.items() <= files.items()
    parts = [np.load(tmp_path / "set" / name) for name in files]
    drawn = {
        (int(seed), int(label)): image for part in parts for seed, label, image in zip(part["seeds"], part["labels"], part["images"], strict=True)
    }
    assert len(drawn) == sum(len(part["seeds"]) for part in parts) == 40
    for label, name in ((0, "disc"), (2, "stripes")):
        expected = tiny.render(Recipe(checkpoint="tiny", seeds=tuple(range(5, 25)), classes=(name,)))
        assert all(np.array_equal(drawn[seed, label], image) for seed, image in zip(range(5, 25), expected, strict=True))
    told = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert told["recipe"]["seeds"] == "5-24" and told["classes"] == ["disc", "square", "stripes"]
    refused = resgen(*words, "--truncation", "0.5", "--checkpoints", tiny_folder)
    assert refused.returncode and "holds other images" in refused.stderr


@pytest.mark.parametrize("told", [{"RANK": "x"}, {"RANK": "2"}, {"WORLD_SIZE": "0"}, {"WORLD_SIZE": ""}, {"RANK": ""}, {}])
def test_a_process_that_cannot_be_told_from_others_neither_draws_a_data_set_nor_trains(
    resgen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    """On GPUs each must know its own, too."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in ({"RANK": "0", "WORLD_SIZE": "2"} | told).items():
        monkeypatch.setenv(name, value)
    for words in (("dataset", "tiny"), ("train", "--data", "none")):
        made = resgen(*words, "--out", tmp_path / "set", "--device", "cpu" if told else "cuda")
        assert made.returncode == 2 and "start it by `torchrun`" in made.stderr and not os.listdir(tmp_path)


def test_where_images_cannot_be_written_none_is_drawn(resgen: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resgen.cli.pictures._draw", lambda *_: pytest.fail("they were drawn"))
    (tmp_path / "file").touch()
    for place, message in (("file", "is a file: name a folder."), ("file/images", "could not be written")):
        made = resgen("sample", "tiny", "--images-dir", tmp_path / place, "--checkpoints", tiny_folder)
        assert made.returncode == 2 and message in made.stderr, made
