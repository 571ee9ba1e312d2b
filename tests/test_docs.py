"""What the documents tell to type is there to be typed: commands are understood, and the examples marked as tests run."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from resgen.cli import app
from resgen.library import SHIPPED
from resgen.studio.app import build

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_line_understands_every_command(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    for name, *words in commands(page):
        group.commands[name].make_context(name, words, resilient_parsing=False)  # reads the words, and runs nothing


def test_commands_are_found() -> None:
    found = {page.name: sum(1 for _ in commands(page)) for page in PAGES}
    assert found["host-it.md"] >= 7 and found["call-it.md"] >= 2 and found["README.md"] >= 10 and found["export.md"] >= 5


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
