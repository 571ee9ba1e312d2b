"""A checkpoint of a stranger whose card holds markup, scripts, pictures of other hosts and marks that turn words: text on the page, and no request leaves it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from resgen.checkpoint import save_checkpoint
from resgen.studio.app import build
from tests.browser.conftest import SIZES, Visit, new_visitor, open_tab, shown
from tests.conftest import until, untrained

HOST = "198.51.100.7"
PICTURE, SCRIPT, LINK = f"<img src=http://{HOST}/a.png>", "<script>window.ran = 1</script>", f"[click](http://{HOST}/)"
TURNED, ESCAPED = "\u202eturned", "\x1b[2Jcleared"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("strangers")
    good = untrained("odd", 0, (LINK, "javascript:ran", f"![x](http://{HOST}/b.png)"))
    dataset = {"name": PICTURE, "author": SCRIPT, "licence": f"{LINK} javascript:alert(1)", "images": 3}
    training = {"images_seen": 9, "hardware": f"![x](http://{HOST}/c.png) <a href=javascript:ran>x</a>", "command": f"run {PICTURE}\n\n{LINK}"}
    turned = {"author": TURNED, "licence": ESCAPED}
    save_checkpoint(replace(good, card=replace(good.card, dataset=dataset, training=training)), folder / "odd.safetensors")
    other = untrained("turned", 1, ())
    save_checkpoint(replace(other, card=replace(other.card, dataset={"name": "n", **turned})), folder / "turned.safetensors")
    demo = build(folder, "cpu")
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    yield address.rstrip("/")
    demo.close()


def test_no_script_but_the_pages_own_runs_and_no_other_host_is_asked(browser: Browser, url: str) -> None:
    """If markup of a stranger came into the page after all."""
    context = new_visitor(browser, SIZES["desktop"], errors := list[str](), expected="Content Security Policy")
    page = context.new_page()
    page.add_init_script("addEventListener('securitypolicyviolation', ({ blockedURI }) => (window.blocked ||= []).push(blockedURI))")
    page.goto(f"{url}/?checkpoint=odd")
    shown(page)
    assert page.evaluate("window.blocked") is None
    page.evaluate(
        """(host) => {
          const script = document.createElement("script");
          script.textContent = "window.ran = 1";
          document.body.append(script, Object.assign(new Image(), { src: `http://${host}/a.png` }));
          document.body.insertAdjacentHTML("beforeend", `<img src="nothing" onerror="window.ran = 2"><iframe src="http://${host}/"></iframe>`);
          return fetch(`http://${host}/`).catch(() => null);
        }""",
        HOST,
    )
    until(lambda: len(page.evaluate("window.blocked || []")) == 5, 10)
    assert page.evaluate("window.ran") is None
    context.close()
    assert all("nothing" in words or "404" in words for words in errors), errors


def test_a_card_is_shown_as_text_and_asks_nothing_of_others(visit: Visit, url: str) -> None:
    page = visit("about:blank", wait=False)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/?checkpoint=turned")
    shown(page)
    open_tab(page, "About")
    expect(page.locator("#about-card")).to_contain_text(TURNED.replace("\u202e", "")[-4:])
    assert "\u202e" not in page.content()
    page.goto(f"{url}/?checkpoint=odd")
    shown(page)
    expect(page.locator("#card")).to_contain_text(PICTURE)
    open_tab(page, "About")
    card, shelf = page.locator("#about-card"), page.locator("#shelf")
    for words in (PICTURE, SCRIPT, LINK, "javascript:alert(1)", f"![x](http://{HOST}/c.png)", "<a href=javascript:ran>x</a>", f"run {PICTURE}"):
        expect(card).to_contain_text(words)
    expect(shelf).to_contain_text(LINK)
    assert TURNED[0] not in page.content() and "\x1b" not in page.content()
    for tab in ("Compare", "Mix", "Explore"):
        open_tab(page, tab)
    assert page.locator(f"[href*='{HOST}'], [src*='{HOST}'], [href^='javascript:']").count() == 0
    assert page.evaluate("window.ran") is None
    assert all(address.startswith((url, "data:", "blob:")) for address in asked), asked
