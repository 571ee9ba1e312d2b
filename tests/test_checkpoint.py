import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from resgen.checkpoint import load_checkpoint, save_card, save_checkpoint
from resgen.errors import CheckpointError
from resgen.recipe import Recipe
from resgen.sampler import Sampler


def rewrite(source: Path, target: Path, header: dict[str, object], **tensors: torch.Tensor) -> Path:
    """A copy of a checkpoint with parts of its header and tensors replaced."""
    with safe_open(source, "pt") as file:
        old = json.loads(file.metadata()["resgen"])
    save_file({**load_file(source), **tensors}, target, {"resgen": json.dumps({**old, **header})})
    return target


def test_round_trip(tiny_folder: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_folder / "tiny.safetensors")
    assert checkpoint.name == "tiny" and checkpoint.classes == ("disc", "square", "stripes") and len(checkpoint.sha256) == 64
    assert checkpoint.mean_w.shape == (3, 12) and checkpoint.directions.dtype == torch.float32
    assert not list(tiny_folder.glob("*.part"))
    save_checkpoint(checkpoint, tmp_path / "tiny.safetensors")
    again = load_checkpoint(tmp_path / "tiny.safetensors")
    assert again.card == checkpoint.card and again.sha256 == checkpoint.sha256
    assert all(torch.equal(again.weights[name], value) for name, value in checkpoint.weights.items())


def test_building_leaves_the_random_state_as_it_is(tiny_folder: Path) -> None:
    checkpoint = load_checkpoint(tiny_folder / "tiny.safetensors")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    generator = checkpoint.build()
    assert torch.equal(torch.get_rng_state(), before) and not generator.training
    shared = {name: value.data_ptr() for name, value in checkpoint.weights.items()}
    assert all(shared[name] == value.data_ptr() for name, value in generator.state_dict().items()), "a second copy was made"


def test_another_card_on_the_same_tensors_is_the_same_generator(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes((tiny_folder / "tiny.safetensors").read_bytes())
    before = load_checkpoint(path)
    save_card(replace(before.card, metrics={"accuracy": 0.5}, training={"command": "resgen train"}), path)
    after = load_checkpoint(path)
    assert after.card.metrics == {"accuracy": 0.5} and after.sha256 == before.sha256
    assert [file.name for file in tmp_path.iterdir()] == ["tiny.safetensors"]
    stored, old = load_file(path), load_file(tiny_folder / "tiny.safetensors")
    assert {name: value.dtype for name, value in stored.items()} == {name: value.dtype for name, value in old.items()}


def test_other_tensors_are_another_generator(tiny_folder: Path, tmp_path: Path) -> None:
    tiny = load_checkpoint(tiny_folder / "tiny.safetensors")
    others = [
        rewrite(tiny_folder / "tiny.safetensors", tmp_path / "means.safetensors", {}, mean_w=torch.zeros(3, 12)),
        rewrite(tiny_folder / "tiny.safetensors", tmp_path / "directions.safetensors", {}, directions=torch.zeros(2, 12)),
    ]
    assert len({tiny.sha256, *(load_checkpoint(path).sha256 for path in others)}) == 3


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
        assert "\n" not in raised.value.args[0]


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
        rewrite(tiny, tmp_path / "complex.safetensors", {}, mean_w=torch.zeros(3, 12, dtype=torch.complex64)),
        rewrite(tiny, tmp_path / "whole.safetensors", {}, mean_w=torch.zeros(3, 12, dtype=torch.int64)),
    ]
    for path in lies:
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_file_that_is_cut_while_it_is_used_changes_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes((tiny_folder / "tiny.safetensors").read_bytes())
    sampler = Sampler(load_checkpoint(path), "cpu")
    expected = sampler.render(Recipe(seeds=(1,)))
    path.write_bytes(b"")
    assert (sampler.render(Recipe(seeds=(1,))) == expected).all()


def test_large_variances_survive_the_half_precision_file(tiny_folder: Path, tmp_path: Path) -> None:
    tiny = load_checkpoint(tiny_folder / "tiny.safetensors")
    name = "to_image.0.0.running_var"
    save_checkpoint(replace(tiny, weights={**tiny.weights, name: tiny.weights[name] * 1e6}), tmp_path / "large.safetensors")
    assert load_checkpoint(tmp_path / "large.safetensors").weights[name].min() > 65_504
