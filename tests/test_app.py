import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from resgen.budget import IMPORTING, OWN, PUBLIC, Budget
from resgen.cli import main
from resgen.errors import ResGenError
from resgen.studio.renderer import Renderer

ROOT = Path(__file__).parent.parent


def test_a_device_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["studio", "--device", "abacus"])
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("resgen: The device 'abacus' is not available")


@pytest.mark.parametrize(
    ("words", "space", "budget"),
    [("", "", OWN), ("--allow-import", "", IMPORTING), ("--public", "", PUBLIC), ("--share", "", PUBLIC), ("", "owner/name", PUBLIC)],
)
def test_strangers_have_their_own_limits_and_each_can_be_set(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, words: str, space: str, budget: Budget
) -> None:
    held = list[Budget]()

    def build_on(renderer: Renderer, _: bool) -> None:
        held.append(renderer.budget)
        raise ResGenError("That was all.")

    monkeypatch.setattr("resgen.studio.app.build_on", build_on)
    monkeypatch.setenv("SPACE_ID", space)
    with pytest.raises(SystemExit):
        main(f"studio {words} --limit images=7 --checkpoints {tiny_folder} --device cpu".split())
    assert held == [replace(budget, images=7)]


class Launched:
    """What the command asks of an app, without a server."""

    local_url, server_port = "http://localhost:8000/", 8000

    def launch(self, **_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("words", "outside", "told"),
    [("--host 0.0.0.0", "127.0.0.1", ["http://127.0.0.1:8000/"]), ("--host 0.0.0.0", "255.255.255.255", []), ("", "127.0.0.1", [])],
)
def test_a_studio_for_the_network_says_the_address_that_others_open(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, outside: str, told: list[str]
) -> None:
    """Which a machine without a network has not."""
    monkeypatch.setattr("resgen.cli.studio.OUTSIDE", (outside, 9))
    monkeypatch.setattr("resgen.studio.app.build_on", lambda *_: Launched())
    monkeypatch.setattr("resgen.cli.studio._wait_for_the_end", lambda: None)
    monkeypatch.setattr("resgen.cli.studio._close", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        main(f"studio {words} --checkpoints {tiny_folder} --device cpu".split())
    first, *more = capsys.readouterr().out.splitlines()
    assert not ended.value.code and "http://localhost:8000/" in first
    assert [part for line in more for part in line.split() if part.startswith("http")] == told


COUNT = """
import ast
from resgen.studio.gradio_patches import import_gradio
read, parsed = ast.parse, []
ast.parse = lambda text, *others, **more: parsed.append(text) or read(text, *others, **more)
import_gradio()
print(sum("(Component" in str(text) for text in parsed))
"""


def test_gradio_is_imported_without_reading_the_source_of_its_components() -> None:
    made = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, cwd=ROOT)
    assert made.stdout == "0\n"


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        made = subprocess.run([sys.executable, "app.py", "--port", port], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert made.returncode == 2 and made.stderr == f"resgen: 127.0.0.1:{port} is taken or cannot be listened on; choose another --port or --host.\n"
