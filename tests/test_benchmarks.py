"""What benchmarks find of answers and numbers, tried without their long runs."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def worst(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """It imports what lies beside it, as a program does."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    yield import_module("worst")
    for name in ("worst", "served", "web"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("which", [0, 2, 3])
def test_each_answer_to_a_case_counts(worst: ModuleType, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    """Also where somebody gets none, because the case itself fails."""
    numbers, served = iter(range(worst.AT_ONCE)), type("Served", (), {"url": "http://127.0.0.1:9"})
    monkeypatch.setattr(worst, "grid", lambda visitor, number: 0.0)

    def case(visitor: object, folder: Path) -> None:
        if next(numbers) == which:
            raise KeyError("path")

    told, _, times = worst.try_case(case, served, Path("."))
    assert len(told) == worst.AT_ONCE and sum(map(worst.is_wrong, told)) == 1 and times
