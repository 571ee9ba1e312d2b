"""A real app over the shipped checkpoints, and a real Chromium."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from resgen.checkpoint import SHIPPED

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
# A page over a loopback address asks nothing of the network; Chromium itself must not either.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python app.py` on a free port, with the shipped checkpoints and a damaged one."""
    folder = shutil.copytree(SHIPPED, tmp_path_factory.mktemp("app") / "checkpoints")
    (folder / "damaged.safetensors").write_bytes(next(folder.glob("*.safetensors")).read_bytes()[:50_000])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "app.log"
    command = [sys.executable, "app.py", "--port", str(port), "--checkpoints", str(folder)]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        if process.poll() is not None:
            pytest.fail(f"the app ended: {log.read_text()}")
        try:
            urllib.request.urlopen(url, timeout=1)
            break
        except OSError:
            time.sleep(0.5)
    yield url
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium")
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, app_url: str) -> Iterator[Page]:
    """The app, opened and painted, at both widths; a console error fails the test."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app_url)
    page.wait_for_selector(".rg-canvas[data-painted]", timeout=60_000)
    yield page
    found = list(errors)  # before closing, which breaks off requests under way and says so in the console
    context.close()
    assert not found, found


def pixels(page: Page) -> str:
    """What the grid's canvas shows."""
    return page.eval_on_selector(".rg-canvas", "canvas => canvas.toDataURL()")


def redrawn(page: Page, act: Callable[[], object]) -> str:
    """Act, wait until the grid shows another recipe, and return its pixels."""
    before = page.get_attribute(".rg-canvas", "data-painted")
    act()
    page.wait_for_function("before => document.querySelector('.rg-canvas').dataset.painted !== before", arg=before, timeout=60_000)
    return pixels(page)


def painted(page: Page, pattern: str) -> None:
    """Wait until the recipe on screen matches."""
    page.wait_for_function("pattern => new RegExp(pattern).test(document.querySelector('.rg-canvas').dataset.painted)", arg=pattern, timeout=60_000)
    assert re.search(pattern, page.url)
