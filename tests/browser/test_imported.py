"""Generators of other programs on every screen: a residual one with classes, one without residual blocks, and a StyleGAN2."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect

from resgen.checkpoint import save_checkpoint
from resgen.composite import Comparison, read_query
from resgen.imports import import_file
from resgen.recipe import Recipe
from tests.browser.conftest import PATIENCE, Visit, choose, enter, number, open_tab, painted, redrawn, serving, set_steps, shown, text, toast
from tests.interop.states import their_file
from tests.interop.test_files import nested_classes_that_run_code
from tests.test_imports import asked_of

NETWORKS = {"mimicry": "mimicry-cgan_pd-32", "dcgan": "dcgan-plain", "stylegan2": "skip-classes-32.pkl"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of imported checkpoints."""
    folder = tmp_path_factory.mktemp("imported")
    for name, theirs in NETWORKS.items():
        path, asked = their_file(theirs, folder), asked_of(theirs)
        save_checkpoint(import_file(path, name, asked), folder / f"{name}.safetensors", whole=True)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over that folder, to which visitors may add."""
    with serving(folder, tmp_path_factory.mktemp("log") / "app.log", "--allow-import") as app:
        yield app.url


@pytest.mark.parametrize("name", list(NETWORKS))
def test_an_imported_generator_is_played_on_every_screen(visit: Visit, url: str, name: str) -> None:
    page = visit(f"{url}/?{Recipe(checkpoint=name, seeds=tuple(range(6)), columns=3).to_query()}")
    redrawn(page, lambda: enter(number(page, "direction-1"), "2"))
    redrawn(page, lambda: enter(number(page, "truncation"), "0.7"))
    page.locator("#grid .rg-tiles button").nth(1).click()
    expect(page.locator("#blocks .rg-look:visible").first).to_be_visible()
    if name != "dcgan":  # it has no branches to switch
        redrawn(page, lambda: page.locator("#blocks .rg-switch").last.click())
    open_tab(page, "Walk")
    redrawn(page, lambda: enter(number(page, "walk-seconds"), "0.5"), "#walk-player")
    open_tab(page, "Mix")
    if name == "dcgan":  # nor styles to mix
        expect(page.locator("#mix-lacking")).to_contain_text("no styles to mix")
    else:
        redrawn(page, lambda: page.click("#mix-swap"), "#mix-grid")
    open_tab(page, "Compare")
    compared = read_query(shown(page, "#compare-grid"))
    assert isinstance(compared, Comparison)
    if name not in compared.checkpoints:
        redrawn(page, lambda: choose(page, "compare-names", name), "#compare-grid")
    redrawn(page, lambda: enter(text(page, "compare-seeds"), "7,8"), "#compare-grid")
    open_tab(page, "Invert")
    set_steps(page, 20)
    page.click("#invert-example")
    expect(page.locator("#invert-result")).to_contain_text("dB", timeout=PATIENCE)


def offer(page: Page, file: Path) -> None:
    """Drop a file on the page."""
    page.evaluate(
        """([name, bytes]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], name));
          document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )


def test_a_generator_that_is_dropped_on_the_page_opens_and_stays(visit: Visit, url: str, folder: Path, tmp_path: Path) -> None:
    page = visit(url)
    expect(page.locator("#open-file")).to_have_text("Open a picture or generator")
    torch.manual_seed(0)
    layers = ((8, 16, 4, 1, 0), (16, 8, 4, 2, 1), (8, 3, 4, 2, 1))  # a small DCGAN: in, out, kernel, stride, padding
    torch.save({f"main.{3 * i}.weight": torch.randn(a, b, k, k) / 4 for i, (a, b, k, _, _) in enumerate(layers)}, tmp_path / "brought.pth")
    offer(page, tmp_path / "brought.pth")
    painted(page, "checkpoint=brought&")
    toast(page, "tanh is assumed")
    expect(page.locator("#checkpoint .rg-generator[title=brought]")).to_have_attribute("aria-checked", "true")
    nested_classes_that_run_code(tmp_path / "hostile.pkl")
    offer(page, tmp_path / "hostile.pkl")
    toast(page, "may be harmful")
    assert not (tmp_path / "ran").exists() and {path.stem for path in folder.glob("*.safetensors")} == {*NETWORKS, "brought"}
    again = visit(f"{url}/?checkpoint=brought")
    painted(again, "checkpoint=brought&")
    open_tab(again, "Compare")
    redrawn(again, lambda: choose(again, "compare-names", "brought"), "#compare-grid")
    compared = read_query(shown(again, "#compare-grid"))
    assert isinstance(compared, Comparison) and compared.checkpoints[1:] == ("brought",)
