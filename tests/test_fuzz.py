"""A short run of `benchmarks/fuzz.py`: whatever damage is done to what a stranger sends, it is refused in a sentence or read."""

import importlib
import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

TRIES = 200
NAMES = ("checkpoint", "features", "card", "eyes' card", "json", "link", "recipe file", "png", "gif", "webp", "mp4", "photo")


@pytest.fixture(scope="module")
def fuzz() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        return importlib.import_module("fuzz")


@pytest.fixture(scope="module")
def kinds(fuzz: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return fuzz.make_kinds(tmp_path_factory.mktemp("fuzz"))


def test_all_kinds_are_tried(kinds: dict[str, Any]) -> None:
    assert set(kinds) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_refused_or_read(fuzz: Any, kinds: dict[str, Any], name: str) -> None:
    found = fuzz.try_kind(name, kinds[name], range(TRIES))
    assert not found.crashes and found.refused + found.accepted == TRIES
    assert found.refused > TRIES / 10, "the damage is none"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_damaged_is_read(fuzz: Any, kinds: dict[str, Any], name: str) -> None:
    found = fuzz.try_kind(name, replace(kinds[name], damage=lambda good, chance: good), range(20))
    assert found.accepted == 20


def test_a_crash_is_told_with_its_number(fuzz: Any) -> None:
    def fail(data: bytes) -> None:
        raise struct.error(f"{len(data)} bytes")

    found = fuzz.try_kind("made up", fuzz.Kind([b"good"], lambda good, chance: good, fail), range(7, 9))
    assert found.crashes == ["made up 7: error: 4 bytes", "made up 8: error: 4 bytes"]


def test_a_try_is_always_the_same(fuzz: Any, kinds: dict[str, Any]) -> None:
    png = kinds["png"]
    first, again = (png.damage(png.good[0], random.Random("png/3")) for _ in range(2))
    assert first == again and first != png.good[0]
