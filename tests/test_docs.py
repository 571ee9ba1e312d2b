"""What the documents tell to type is there to be typed: commands are understood, links lead somewhere, and the examples marked as tests run."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from resgen.cli import app
from resgen.interop.readers import KINDS
from resgen.library import SHIPPED, Library
from resgen.notes import read_recipe
from resgen.studio.app import build
from tests.test_card import FIGURES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md", "data/faces/README.md")] + sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"(<!-- test -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
PORT = "7860"  # of a studio, in the documents


def blocks(page: Path) -> list[tuple[bool, str, str]]:
    """Whether it is marked, the language, and the text of each block of code."""
    return [(bool(mark), language, text) for mark, language, text in BLOCK.findall(page.read_text())]


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `resgen` of each command in a page's shell blocks."""
    for _, language, text in blocks(page):
        for line in text.replace("\\\n", " ").splitlines() if language == "sh" else ():
            for part in re.split(r"&&|\|", line):
                words = [word for word in shlex.split(part, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
                if words[:1] == ["resgen"]:
                    yield words[1:]
                elif words[1:3] == ["-m", "resgen"]:
                    yield words[3:]
                elif words[:2] == ["python", "app.py"]:
                    yield ["studio", *words[2:]]


def called(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_the_command_line_understands_every_command(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    for name, *words in commands(page):
        group.commands[name].make_context(name, words, resilient_parsing=False)  # reads the words, and runs nothing


def test_commands_are_found() -> None:
    found = {called(page): sum(1 for _ in commands(page)) for page in PAGES}
    least = {"README.md": 9, "docs/host-it.md": 7, "docs/call-it.md": 2, "docs/export.md": 5, "docs/train.md": 13, "data/faces/README.md": 4}
    assert all(found[page] >= count for page, count in least.items()), found


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    for place, heading in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()):
        target = page.parent / place if place else page
        assert target.exists(), place
        assert not heading or heading in anchors(target), f"{place}#{heading}"


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in links, where it is shown as a page."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_nobody_is_told_to_install_the_package_of_this_name_that_others_have_published() -> None:
    told = [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "resgen").rglob("*.py")]
    assert not [called(file) for file in told if re.search(r"pip install (-\S+ )*['\"]?resgen|'resgen\[", file.read_text(encoding="utf-8"))]


def test_the_example_of_the_readme_runs() -> None:
    (example,) = [text for marked, language, text in blocks(ROOT / "README.md") if marked and language == "python"]
    values: dict[str, Any] = {}
    exec(example, values)
    assert values["images"].shape == (3, 32, 32, 3)


@pytest.mark.parametrize("name", FIGURES["SHIPPED"])
def test_the_pictures_of_the_readme_are_by_the_checkpoints_that_are_shipped(name: str) -> None:
    recipe, sha256 = read_recipe(ROOT / "docs" / f"{name}.png")
    assert (recipe.checkpoint, sha256) == (name, Library().sha256(name))


def test_examples_of_calls_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    demo = build(SHIPPED, "cpu")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    values: dict[str, Any] = {}
    try:
        for marked, language, text in blocks(ROOT / "docs" / "call-it.md"):
            text = text.replace(f"http://127.0.0.1:{PORT}", url.rstrip("/"))
            if marked and language == "python":
                exec(text, values)
            elif marked:
                subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True, timeout=60)
    finally:
        demo.close()
    assert values["images"].shape == (3, 32, 32, 3) and len(values["cards"]) >= 3 and values["found"]["psnr"] > 0
    assert Path("grid.png").read_bytes().startswith(b"\x89PNG") and Path(values["film"]).read_bytes().startswith(b"GIF8")
    assert Path(values["cats"]).read_bytes() != Path(values["turned"]).read_bytes()


def test_every_kind_of_generator_that_is_read_is_told_of() -> None:
    told = (ROOT / "docs" / "bring-your-own.md").read_text()
    assert [kind for kind in KINDS if f"| `{kind}` |" not in told] == []
