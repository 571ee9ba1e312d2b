import json
from pathlib import Path
from runpy import run_path

import pytest

from resgen.card import name_of, parse_card, plain, read_card
from resgen.checkpoint import load_checkpoint
from resgen.errors import CheckpointError
from resgen.library import SHIPPED, list_checkpoints
from tests.test_checkpoint import rewrite

FIGURES = run_path(str(SHIPPED.parent / "docs" / "figures.py"))


def test_a_card_is_read_without_the_tensors(tiny_folder: Path) -> None:
    card = read_card(tiny_folder / "tiny.safetensors")
    assert card == load_checkpoint(tiny_folder / "tiny.safetensors").card and not hasattr(card, "build")
    assert card.classes == ("disc", "square", "stripes") and card.direction_names == ("pc1", "pc2")
    assert card.block_names == ("block 1, 4 px", "block 2, 8 px", "block 3, 16 px")
    known = json.loads(json.dumps(card.to_dict()))
    assert known["resolution"] == 16 and known["blocks"] == 3 and known["dataset"]["author"] == "the tests"


def test_a_card_of_nonsense_is_shown_without_it(tiny_folder: Path, tmp_path: Path) -> None:
    stage = {"from_image": 5, "command": "resgen train"}
    nonsense: dict[str, object] = {
        "dataset": {"name": ["a"], "images": "many", "author": "me", "licence": "a\x1b[2Jb", "url": "\ud800"},
        "training": {
            "images_seen": 10**400,
            "command": {},
            "stages": [stage, 3, {"from_image": "x"}, {"from_image": 1, "command": "\x1b]0;title\x07"}],
            "history": [[1], {"images": 1}, {"images": {}}, {"images": float("nan")}],
        },
        "metrics": {"accuracy": "high", "frechet": None, "recall": 0.5, "kernel": float("inf")},
    }
    card = load_checkpoint(rewrite(tiny_folder / "tiny.safetensors", tmp_path / "odd.safetensors", nonsense)).card
    assert card.dataset == {"author": "me"} and card.metrics == {"recall": 0.5}
    assert card.training == {"stages": [stage], "history": [{"images": 1}]}
    assert [card["name"] for card in list_checkpoints(tmp_path)] == ["odd"]


def test_a_card_can_be_told_whatever_it_holds(tiny_folder: Path, tmp_path: Path) -> None:
    """In UTF-8 and within what other programs read as numbers; and it stays small, also as a table of its history."""
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    nonsense: dict[str, object] = {
        "dataset": {"\ud800": "x", "name": "n" * 20_000, "author": "me", **{f"k{i}": "x" for i in range(1000)}},
        "training": {
            "stages": [{"from_image": 1, "command": "c", "deep": deep, "large": 2**70, "\ud800": 1}] * 500,
            "history": [{"images": index, f"figure {index}": 1} for index in range(500)],
        },
        "metrics": {"\ud800": 1, "recall": 0.5},
        "source": {"\x1b[2J": "x", "file": "f"},
        "earlier": ["\ud800" * 64, "0" * 64, 5],
    }
    card = read_card(rewrite(tiny_folder / "tiny.safetensors", tmp_path / "odd.safetensors", nonsense))
    assert len(json.dumps(card.to_dict(), ensure_ascii=False).encode()) < 20_000
    assert card.training == {"stages": [{"from_image": 1, "command": "c"}] * 100, "history": []}
    assert card.metrics == {"recall": 0.5} and card.source == {"file": "f"} and card.earlier == ("0" * 64,)
    assert card.dataset["author"] == "me" and "name" not in card.dataset and len(card.dataset) < 200


@pytest.mark.parametrize(
    "names", [["<b>", "b", "c"], ["a", "a", "b"], ["a\x1bb", "b", "c"], ["a\x9bb", "b", "c"], ["\ud800", "b", "c"], ["", "b", "c"], [1, 2, 3]]
)
def test_names_that_cannot_be_shown_or_written_are_refused(tiny_folder: Path, tmp_path: Path, names: list[object]) -> None:
    with pytest.raises(CheckpointError, match="names that cannot be used"):
        read_card(rewrite(tiny_folder / "tiny.safetensors", tmp_path / "odd.safetensors", {"classes": names}))


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, "{", '{"format": 2}', '{"format": 1}', '{"format": 1, "arch": []}', '{"format": 1, "arch": {"widths": [0]}}']
)
def test_a_damaged_card_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        parse_card({"resgen": text}, Path("x.safetensors"))
    assert "\n" not in raised.value.args[0] and len(str(raised.value)) < 300


def test_a_snapshot_is_called_after_its_checkpoint() -> None:
    assert name_of(Path("checkpoints/cifar10.safetensors")) == "cifar10"
    assert name_of(Path("checkpoints/snapshots/cifar10/4000.safetensors")) == "cifar10@4000"


@pytest.mark.parametrize("name", FIGURES["SHIPPED"])
def test_shipped_checkpoints_are_small_and_documented(name: str) -> None:
    path = SHIPPED / f"{name}.safetensors"
    card = read_card(path)
    assert path.stat().st_size < 10_000_000 and len(card.classes) >= 8 and len(card.direction_names) >= 8
    assert all(card.dataset[key] for key in ("name", "author", "licence"))
    assert card.training["command"] and card.training["images_seen"] > 0
    assert any(card.metrics.get(name, 0) > 0 for name in ("accuracy", "lite2_accuracy"))


def test_the_figures_in_the_readme_are_those_of_the_cards() -> None:
    assert FIGURES["table"](FIGURES["shipped"]()) in (SHIPPED.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", ["<img src=x>", "[a](http://b)", "**bold** `code`", "a_b_c", "# head", "www.b.c", "a@b.c", "one\ntwo"])
def test_words_of_a_card_are_shown_as_they_are(words: str) -> None:
    assert not set("<>\n") & set(plain(words)) and all(f"\\{sign}" in plain(words) for sign in words if sign in "[]()*`_#.@")
