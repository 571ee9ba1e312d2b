"""Takes a picture of every screen, at desktop and phone width, light and dark, into docs/screens/: python -m docs.screenshots"""

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.web import CHROMIUM, WITHOUT_GPU
from resgen.studio.app import build

OUT = Path(__file__).parent / "screens"
SIZES = {"desktop": (1280, 800), "large": (1920, 1080), "phone": (390, 844)}
PAINTED = 240_000  # milliseconds
AT_REST = "document.fonts.status === 'loaded' && document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)"


def explore(page: Page) -> None:
    page.locator("#grid .rg-tiles button").nth(8).click()
    page.wait_for_selector("#grid .rg-close-up.rg-open")
    page.keyboard.press("p")
    page.wait_for_selector("#tray .rg-pin")
    page.wait_for_function("document.querySelector('.rg-blocks').dataset.painted?.includes('%228%22')", timeout=PAINTED)
    page.wait_for_function("document.querySelector('.rg-generator img[src]') && document.querySelector('.rg-end canvas').width > 1", timeout=PAINTED)


def walk(page: Page) -> None:
    page.wait_for_selector("#walk-player canvas[data-painted]", timeout=PAINTED)


def mix(page: Page) -> None:
    page.wait_for_selector("#mix-grid canvas[data-painted]", timeout=PAINTED)


def invert(page: Page) -> None:
    box = page.locator("#invert-steps input[type=number]")
    box.fill("100")
    box.press("Enter")
    page.click("#invert-example")
    page.locator("#invert-result").get_by_text("dB").wait_for(timeout=PAINTED)
    page.wait_for_selector("#invert-curve canvas, #invert-curve svg", timeout=PAINTED)


def compare(page: Page) -> None:
    page.wait_for_selector("#compare-grid canvas[data-painted]", timeout=PAINTED)


def about(page: Page) -> None:
    page.locator(".rg-shelved").first.wait_for(timeout=PAINTED)
    page.wait_for_selector("#curves canvas, #curves svg", timeout=PAINTED)


SCREENS: dict[str, Callable[[Page], None]] = {"Explore": explore, "Walk": walk, "Mix": mix, "Invert": invert, "Compare": compare, "About": about}


def main() -> None:
    demo = build(device="cpu")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=WITHOUT_GPU)
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                for name, prepare in SCREENS.items():
                    page = context.new_page()
                    page.goto(url)
                    page.wait_for_selector("#grid .rg-canvas[data-painted]", timeout=PAINTED)
                    page.get_by_role("tab", name=name).click()
                    prepare(page)
                    page.wait_for_function(AT_REST, timeout=PAINTED)
                    picture = Image.open(io.BytesIO(page.screenshot()))
                    picture.save(OUT / f"{name.lower()}-{size}-{scheme}.webp", quality=85)
                    page.close()
                context.close()
        browser.close()
    demo.close()


if __name__ == "__main__":
    main()
