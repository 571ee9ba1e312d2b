"""Generators of other programs on every screen: a residual one with classes, one without residual blocks, and a StyleGAN2."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from resgen.checkpoint import save_checkpoint
from resgen.imports import import_file
from resgen.recipe import Recipe
from tests.browser.conftest import PATIENCE, ROOT, enter, free_port, number, open_tab, redrawn, serves, shown
from tests.test_imports import their_file

NETWORKS = {"mimicry": "mimicry-cgan_pd-32", "dcgan": "dcgan-plain", "stylegan2": "skip-classes-32.pkl"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a folder of imported checkpoints."""
    folder = tmp_path_factory.mktemp("imported")
    for name, theirs in NETWORKS.items():
        path, asked = their_file(theirs, folder)
        save_checkpoint(import_file(path, name, asked), folder / f"{name}.safetensors", whole=True)
    port = free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--checkpoints", str(folder)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    )
    serves(process, f"http://127.0.0.1:{port}")
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.mark.parametrize("name", list(NETWORKS))
def test_an_imported_generator_is_played_on_every_screen(browser: Browser, url: str, name: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{url}/?{Recipe(checkpoint=name, seeds=tuple(range(6)), columns=3).to_query()}")
    shown(page)
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    redrawn(page, lambda: enter(number(page, "truncation"), "0.7"))
    page.locator("#grid .rg-tiles button").nth(1).click()
    expect(page.locator("#blocks .rg-look:visible").first).to_be_visible()
    if name != "dcgan":  # it has no branches to switch
        redrawn(page, lambda: page.locator("#blocks .rg-switch").last.click())
    for tab, where in (("Walk", "#walk-player"), ("Mix", "#mix-grid"), ("Compare", "#compare-grid")):
        if name == "dcgan" and tab == "Mix":  # nor styles to mix
            continue
        open_tab(page, tab)
        shown(page, where)
    open_tab(page, "Invert")
    enter(number(page, "invert-steps"), "20")
    page.click("#invert-example")
    expect(page.locator("#invert-result")).to_contain_text("dB", timeout=PATIENCE)
    assert not errors and page.locator(".toast-body").count() == 0
    page.close()
