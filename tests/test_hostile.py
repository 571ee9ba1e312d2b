"""The command line with wrong words, damaged files and places that cannot be written: exit status 2, one line, no traceback, nothing left behind."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from resgen.cli import main
from resgen.data import load_images
from resgen.errors import CheckpointError
from resgen.features import FeatureConfig, FeatureResNet, load_features, save_features
from resgen.train.config import TrainConfig
from resgen.train.eyes_trainer import EyesTrainer
from resgen.train.parallel import Team
from resgen.train.state import load_state
from tests.test_checkpoint import rewrite

resource = pytest.importorskip("resource")  # limits, and pipes with names, are those of Unix
TRAIN: str = "train --data shapes.zip --out run --features eyes.safetensors --images 12 --batch 12 --group 4 --widths 8,8,8 --device cpu"
FEATURES: str = "train-features --data shapes.zip --out x.safetensors --widths 8,8 --epochs 1 --device cpu"
LONG = "9" * 400


@pytest.fixture
def place(tiny_folder: Path, shapes_zip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a data set, eyes, and things that are not what they are called."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(shapes_zip, "shapes.zip")
    _make_eyes()
    shutil.copy(tiny_folder / "tiny.safetensors", "tiny.safetensors")
    Path("file").write_text("no folder")
    Path("folder").mkdir()
    os.mkfifo("pipe.safetensors")
    os.mkfifo("pipe.png")
    for name in ("odd", "empty", "bad"):
        Path(name).mkdir()
    Path("odd", "a & b").mkdir()
    Path("odd", "c").mkdir()
    Path("bad", "a").mkdir()
    Image.new("RGB", (16, 16)).save("odd/a & b/x.png")
    Image.new("RGB", (16, 16)).save("odd/c/x.png")
    Path("bad", "a", "x.png").write_bytes(b"no picture")
    whole = Path("shapes.zip").read_bytes()
    Path("half.zip").write_bytes(whole[: len(whole) // 2])
    return tmp_path


@pytest.fixture
def run(finished: Path, place: Path) -> Path:
    """A run that is finished, of the words of `TRAIN`."""
    return shutil.copytree(finished, Path("run"))


@pytest.fixture(scope="module")
def finished(shapes_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.chdir(folder)
        shutil.copy(shapes_zip, "shapes.zip")
        _make_eyes()
        main(TRAIN.split())
    assert ended.value.code == 0
    return folder / "run"


def _make_eyes() -> None:
    torch.manual_seed(0)
    save_features(FeatureResNet(FeatureConfig(3, (8, 8))), Path("eyes.safetensors"), {})


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail as it should, and gives its line."""

    def run(*words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert ended.value.code == 2, err
        assert err.startswith("resgen: ") and err.count("\n") == 1 and len(err) < 600, (out, err)
        assert out == "" or (out.startswith("60 images of ") and out.count("\n") == 1), "before a training's first step, what it found"
        return err

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("train-features --data bad --out x.safetensors --blocks nan", "--blocks"),
        ("train-features --data bad --out x.safetensors --blocks inf", "--blocks"),
        ("train-features --data bad --out x.safetensors --blocks 1.7", "--blocks"),
        (f"{FEATURES} --blocks 0", "--blocks"),
        (f"{FEATURES} --blocks 65", "--blocks"),
        (f"{FEATURES} --epochs 0", "--epochs"),
        (f"{FEATURES} --epochs {LONG}", "--epochs"),
        (f"{FEATURES} --thumbnails nan", "--thumbnails"),
        (f"{FEATURES} --thumbnails -1", "--thumbnails"),
        (f"{FEATURES} --seed 99999999999999999999", "--seed"),
        (f"{FEATURES} --seed -1", "--seed"),
        (f"{FEATURES} --device cpu:x", "device"),
        (f"{FEATURES} --test-data odd", "other classes"),
        ("train-features --data shapes.zip --out file/x.safetensors", "could not be written"),
        ("train-features --data shapes.zip --out folder", "could not be written"),
        ("train-features --data shapes.zip --out ''", "could not be written"),
        (f"{TRAIN} --lr nan", "--lr"),
        (f"{TRAIN} --lr -1", "--lr"),
        (f"{TRAIN} --lr 1e6", "--lr"),
        (f"{TRAIN} --resolution -4", "--resolution"),
        (f"{TRAIN} --resolution 1", "--resolution"),
        (f"{TRAIN} --resolution {LONG}", "--resolution"),
        (f"{TRAIN} --seed {LONG}", "--seed"),
        (f"{TRAIN} --images 0", "--images"),
        (f"{TRAIN} --images {LONG}", "--images"),
        (f"{TRAIN} --batch 7", "--batch"),
        (f"{TRAIN} --batch {LONG}", "--batch"),
        (f"{TRAIN} --group -1", "--group"),
        (f"{TRAIN} --save-every 0", "--save-every"),
        (f"{TRAIN} --guidance 2", "--guidance"),
        (f"{TRAIN} --drift-share nan", "--drift-share"),
        (f"{TRAIN} --drift-first -1", "--drift-first"),
        (f"{TRAIN} --loss magic", "--loss"),
        (f"{TRAIN} --widths 8", "--widths"),
        (f"{TRAIN} --mean-shift 256", "--mean-shift"),
        (f"{TRAIN} --device cpu:x", "device"),
        (f"{TRAIN} --name ../../evil", "--name"),
        (f"{TRAIN} --init nobody", "no checkpoint"),
        (f"{TRAIN} --init file", "file"),
        (f"{TRAIN} --features file", "feature network"),
        (f"{TRAIN} --features pipe.safetensors", "feature network"),
        (f"{TRAIN} --features tiny.safetensors", "feature network"),
        (f"{TRAIN} --data odd --data bad", "a & b"),
        ("train --data odd --out run", "a & b"),
        ("train --data bad --out run", "None of the 1 images"),
        ("train --data empty --out run", "No image"),
        ("train --data half.zip --out run", "half.zip"),
        ("train --data file --out run", "file"),
        ("train --data shapes.zip --out file --features eyes.safetensors", "file"),
        ("train --data shapes.zip --out file/run --features eyes.safetensors", "could not be written"),
        ("train --data shapes.zip --out ''", "--out is empty"),
        ("train", "--data"),
        ("nothing", "nothing"),
        ("list --nothing", "--nothing"),
        (f"list --checkpoints {'x' * 300}", "too long"),
        (f"train --data {'x' * 300} --out run", "too long"),
        (f"{TRAIN} --init {'x' * 300}.safetensors", "too long"),
        (f"{TRAIN} --features {'x' * 300}", "too long"),
        (f"train --data shapes.zip --name x --out {'x' * 300}", "too long"),
        (f"import {'x' * 300}", "too long"),
        (f"dataset tiny --out {'x' * 300}", "name another folder"),
        (f"export tiny --to site --out {'x' * 300}", "too long"),
        ("info pipe.safetensors", "pipe.safetensors"),
        ("invert tiny pipe.png --out x.png", "cannot be read"),
        ("render pipe.png --out x.png", "not a file"),
        (f"sample tiny --seeds {LONG} --out x.png", "Seeds"),
        (f"sample tiny --truncation {LONG} --out x.png", "Truncation"),
        (f"curate tiny --first-seed {LONG} --out x.png", "Seed"),
    ],
)
def test_wrong_words_are_one_line(told: Callable[..., str], place: Path, tiny_folder: Path, words: str, expected: str) -> None:
    before = sorted(os.listdir())
    at_tiny = ["--checkpoints", tiny_folder] if " tiny " in words else []
    assert expected in told(*("" if word == "''" else word for word in words.split()), *at_tiny)
    assert sorted(os.listdir()) in (before, sorted([*before, "run"])) and not any(Path("run").rglob("*.*"))


def _zip_with_a_bad_sum() -> None:
    """One of three pictures cannot be unpacked."""
    with zipfile.ZipFile("sum.zip", "w") as archive:
        for index in range(3):
            buffer = io.BytesIO()
            Image.fromarray(np.full((16, 16, 3), 80 * index, np.uint8)).save(buffer, "PNG")
            archive.writestr(f"a/{index}.png", buffer.getvalue())
    data = bytearray(Path("sum.zip").read_bytes())
    data[data.find(b"IDAT") + 6] ^= 255
    Path("sum.zip").write_bytes(data)


def test_a_picture_that_cannot_be_read_is_left_out_and_named(
    place: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _zip_with_a_bad_sum()
    with pytest.raises(SystemExit) as ended:
        main(f"{TRAIN} --data sum.zip".replace("--data shapes.zip ", "").split())
    assert ended.value.code == 0, capsys.readouterr()
    assert "'a/0.png' cannot be read" in caplog.text
    with safe_open("run/run.safetensors", "pt") as file:
        assert json.loads(file.metadata()["resgen"])["dataset"] | {"images": 2, "skipped": 1} == json.loads(file.metadata()["resgen"])["dataset"]


HEADERS: dict[str, list[object]] = {
    "steps": [-1, 10**9, 1.5, "1", None, True],
    "config": [None, [], {"images": 12}, {"images": "12", "batch": 12}, {"images": 12, "batch": 0}],
    "stages": [None, [], [5], [{"from_image": "x", "command": "y"}], [{"from_image": 1}]],
    "begun": [[], {"images_seen": "x"}, {"hours": []}, {"stages": [5]}, {"command": 5}],
    "halvings": [-1, 1000, "1", None],
}


@pytest.mark.parametrize("name", ["again.jpg", "again.webp", "again.mp4"])
def test_a_picture_is_written_under_no_other_ending(told: Callable[..., str], place: Path, tiny_folder: Path, name: str) -> None:
    Path("recipe.json").write_text('{"checkpoint": "tiny", "seeds": "1"}')
    assert "must end with .png" in told("render", "recipe.json", "--out", name, "--checkpoints", tiny_folder) and not Path(name).exists()


def test_a_damaged_state_is_one_line(told: Callable[..., str], run: Path) -> None:
    """Whatever in it is damaged; and the old checkpoint stays as it was."""
    state, checkpoint = run / "state.safetensors", (run / "run.safetensors").read_bytes()
    whole, tensors = state.read_bytes(), load_file(state)
    with safe_open(state, "pt") as file:
        header = json.loads(file.metadata()["resgen-training"])
    trainer = EyesTrainer(TrainConfig(**header["config"]), load_images(["shapes.zip"]), load_features(Path("eyes.safetensors")), "cpu", "", Team())
    moment = next(name for name in tensors if name.endswith("exp_avg"))
    changed: list[bytes] = [b"", b"hello", whole[:100], whole[:-1], whole + b"x", whole[:9] + b"\xff" + whole[10:]]
    for name, values in HEADERS.items():
        changed += [_state(tensors, {**header, name: value}) for value in values]
    changed += [_state(tensors, text) for text in ({}, [], None)]
    others = {moment: torch.zeros(5)}, {moment: tensors[moment] * float("nan")}, {"adam.9999.exp_avg": torch.zeros(1)}, {"adam.x.y": torch.zeros(1)}
    changed += [_state({**tensors, **other}, header) for other in others]
    changed += [
        _state({name: value for name, value in tensors.items() if name != left_out}, header) for left_out in (moment, "generator.stem.weight")
    ]
    for number, data in enumerate(changed):
        state.write_bytes(data)
        with pytest.raises(CheckpointError, match="damaged"):
            load_state(trainer, state)
            pytest.fail(f"state {number} was taken")
    assert "damaged" in told(*f"{TRAIN} --resume".split())
    state.unlink()
    os.mkfifo(state)
    assert "damaged" in told(*f"{TRAIN} --resume".split())
    assert (run / "run.safetensors").read_bytes() == checkpoint and not list(run.rglob("*.part"))


def _state(tensors: dict[str, torch.Tensor], header: object) -> bytes:
    save_file(tensors, "changed.safetensors", {"resgen-training": json.dumps(header)})
    return Path("changed.safetensors").read_bytes()


@pytest.mark.parametrize("data", [b"images,seconds\n12,x\n", b"images,seconds\n12,1,2,3\n", b"images,seconds\n12,inf\n", b"\0\n1\n", b"\xff\n1\n"])
def test_a_damaged_history_is_one_line(told: Callable[..., str], run: Path, data: bytes) -> None:
    (run / "history.csv").write_bytes(data)
    assert "history.csv is damaged" in told(*f"{TRAIN} --resume".split())


def test_names_with_codes_are_told_without_them(told: Callable[..., str], place: Path, tiny_folder: Path) -> None:
    odd = rewrite(tiny_folder / "tiny.safetensors", Path("odd.safetensors"), {"arch": {"\x1b[2J[/b]\ud800\n": 1}})
    line = told("info", odd)
    assert "[/b]" in line and "\x1b" not in line and "\ud800" not in line


WRITING = [
    "sample tiny --seeds 0-9 --scale 8 --out x.png",
    "sample tiny --seeds 0-9 --npz x.npz",
    "sample tiny --seeds 0-1 --images-dir many",
    "render grid.png --out x.png",
    "walk tiny --stops 1,2 --seconds 1 --out x.mp4",
    "walk tiny --stops 1,2 --seconds 1 --out x.gif",
    "walk tiny --stops 1,2 --seconds 1 --out x.webp",
    "mix tiny --rows 1 --columns 2 --blocks 2 --out x.png",
    "explain tiny --image 1 --out x.png",
    "compare tiny tiny --scale 8 --out x.png",
    "export tiny --to torchscript --out x.pt",
    "export tiny --to python --out x.py",
    "name-directions tiny.safetensors",
    FEATURES,
    TRAIN.replace("--images 12", "--images 24"),
    f"{TRAIN} --images 24 --resume",
]


@contextmanager
def full(most: int) -> Iterator[None]:
    """Lets no file grow beyond so many bytes, as a disk that has no more: the system refuses to write on."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:  # before anything is told of the test, which may go to a file
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("words", WRITING)
def test_what_cannot_be_written_is_one_line_and_the_old_file_stays(told: Callable[..., str], run: Path, tiny_folder: Path, words: str) -> None:
    with pytest.raises(SystemExit):
        main(f"sample tiny --seeds 0-9 --scale 8 --out grid.png --checkpoints {tiny_folder}".split())
    if not words.endswith("--resume"):
        (run / "state.safetensors").unlink(missing_ok=True)
    for name in ("x.png", "x.npz", "x.mp4", "x.gif", "x.webp", "x.pt", "x.py", "x.safetensors"):
        Path(name).write_text("old")
    before = _files()
    with full(500):
        line = told(*words.split(), *(["--checkpoints", tiny_folder] if " tiny " in words else ["--checkpoints", "."] if "grid.png" in words else []))
    assert "could not be written" in line and "large" in line, line
    assert _files() == before, "an old file was changed, or a half one left"


def _files() -> dict[Path, bytes]:
    """All but a run's history, of which rows beyond the state are dropped on the way back."""
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.name != "history.csv"}
