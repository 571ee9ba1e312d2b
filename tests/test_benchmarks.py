"""What benchmarks find of answers and numbers, tried without their long runs."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks.directions import rank_correlations


@pytest.fixture
def worst(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """It imports what lies beside it, as a program does."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    yield import_module("worst")
    for name in ("worst", "served", "web"):
        sys.modules.pop(name, None)


def test_what_stays_the_same_follows_no_direction() -> None:
    rows = np.array([np.zeros(13), np.arange(13), -(np.arange(13) ** 3), np.r_[np.zeros(12), 1], np.arange(13) // 3], float)
    found = rank_correlations(rows)
    assert found[:3].tolist() == pytest.approx([0, 1, -1]) and 0.4 < found[3] < 0.5 and 0.95 < found[4] < 1


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
