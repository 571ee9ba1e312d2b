import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from resgen.checkpoint import SHIPPED, find_checkpoint, list_checkpoints, load_checkpoint, read_card, save_checkpoint
from resgen.errors import CheckpointError


def rewrite(source: Path, target: Path, header: dict[str, object], **tensors: torch.Tensor) -> Path:
    """A copy of a checkpoint with parts of its header and tensors replaced."""
    from safetensors import safe_open

    with safe_open(source, "pt") as file:
        old = json.loads(file.metadata()["resgen"])
    save_file({**load_file(source), **tensors}, target, {"resgen": json.dumps({**old, **header})})
    return target


def test_round_trip(tiny_folder: Path) -> None:
    checkpoint = load_checkpoint(tiny_folder / "tiny.safetensors")
    assert checkpoint.name == "tiny" and checkpoint.classes == ("disc", "square", "stripes") and len(checkpoint.sha256) == 64
    assert checkpoint.mean_w.shape == (3, 12) and checkpoint.directions.dtype == torch.float32
    assert json.loads(json.dumps(checkpoint.card()))["resolution"] == 16
    assert not list(tiny_folder.glob("*.part"))


def test_damaged_files_are_refused_in_one_sentence(tiny_folder: Path, tmp_path: Path) -> None:
    whole = (tiny_folder / "tiny.safetensors").read_bytes()
    files = {
        "short": whole[: len(whole) // 2],
        "random": bytes(range(256)) * 99,
        "empty": b"",
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(500)),
        "pickle": b"cos\nsystem\n(S'true'\ntR.",
    }
    for name, data in files.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=name) as raised:
            load_checkpoint(path)
        assert "\n" not in str(raised.value)
    assert list_checkpoints(tmp_path) == []


def test_lying_files_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    tiny = tiny_folder / "tiny.safetensors"
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    nan = torch.full((3, 12), float("nan"))
    lies = [
        foreign,
        rewrite(tiny, tmp_path / "version.safetensors", {"format": 99}),
        rewrite(tiny, tmp_path / "huge.safetensors", {"arch": {"widths": [4096] * 10, "num_classes": 3}}),
        rewrite(tiny, tmp_path / "classes.safetensors", {"classes": ["a"]}),
        rewrite(tiny, tmp_path / "markup.safetensors", {"classes": ["<script>", "b", "c"]}),
        rewrite(tiny, tmp_path / "extra.safetensors", {}, surprise=torch.zeros(3)),
        rewrite(tiny, tmp_path / "shape.safetensors", {}, mean_w=torch.zeros(1, 12)),
        rewrite(tiny, tmp_path / "nan.safetensors", {}, mean_w=nan),
    ]
    for path in lies:
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_card_of_nonsense_is_shown_without_it(tiny_folder: Path, tmp_path: Path) -> None:
    stage = {"from_image": 5, "command": "resgen train"}
    nonsense: dict[str, object] = {
        "dataset": {"name": ["a"], "images": "many", "author": "me"},
        "training": {
            "images_seen": 10**400,
            "command": {},
            "stages": [stage, 3, {"from_image": "x"}],
            "history": [[1], {"images": 1}, {"images": {}}],
        },
        "metrics": {"accuracy": "high", "frechet": None, "recall": 0.5},
    }
    checkpoint = load_checkpoint(rewrite(tiny_folder / "tiny.safetensors", tmp_path / "odd.safetensors", nonsense))
    assert checkpoint.dataset == {"author": "me"} and checkpoint.metrics == {"recall": 0.5}
    assert checkpoint.training == {"stages": [stage], "history": [{"images": 1}]}
    assert [card["name"] for card in list_checkpoints(tmp_path)] == ["odd"]


def test_names_paths_and_nothing_else_are_found(tiny_folder: Path) -> None:
    assert find_checkpoint("tiny", tiny_folder) == tiny_folder / "tiny.safetensors"
    assert find_checkpoint(str(tiny_folder / "plain.safetensors"), tiny_folder).stem == "plain"
    for name in ("nobody", "../tiny", "", "a b"):
        with pytest.raises(CheckpointError, match="no checkpoint"):
            find_checkpoint(name, tiny_folder)


@pytest.mark.parametrize("name", ["cifar10", "fashion-mnist"])
def test_shipped_checkpoints_are_small_and_documented(name: str) -> None:
    path = SHIPPED / f"{name}.safetensors"
    card = read_card(path)
    assert path.stat().st_size < 10_000_000 and len(card.classes) == 10 and len(card.direction_names) >= 8
    assert (
        all(card.dataset[key] for key in ("name", "author", "licence"))
        and card.training["command"]
        and card.training["images_seen"] > 0
        and any(card.metrics.get(name, 0) > 0 for name in ("accuracy", "lite2_accuracy"))
    )
    load_checkpoint(path)


def test_large_variances_survive_the_half_precision_file(tiny_folder: Path, tmp_path: Path) -> None:
    tiny = load_checkpoint(tiny_folder / "tiny.safetensors")
    name = "to_image.0.0.running_var"
    save_checkpoint(replace(tiny, weights={**tiny.weights, name: tiny.weights[name] * 1e6}), tmp_path / "large.safetensors")
    assert load_checkpoint(tmp_path / "large.safetensors").weights[name].min() > 65_504
