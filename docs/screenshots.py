"""Takes a picture of every screen, at desktop and phone width, light and dark, into docs/screens/: python docs/screenshots.py"""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from resgen.library import load
from resgen.recipe import Recipe
from resgen.studio.app import build, launch_options

OUT = Path(__file__).parent / "screens"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
CHROMIUM = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
PAINTED = 120_000  # milliseconds
AT_REST = "document.fonts.status === 'loaded' && document.getAnimations().every((one) => one.playState !== 'running' || one.effect.getTiming().iterations === Infinity)"


def explore(page: Page) -> None:
    box = page.locator("#seeds textarea, #seeds input").first
    box.fill("0-9")
    box.press("Enter")
    page.wait_for_function("location.search.includes('seeds=0-9')", timeout=PAINTED)
    page.get_by_label("Classes as rows").check()
    page.wait_for_function("location.search.includes('classes=')", timeout=PAINTED)
    page.locator("#grid .rg-tiles button").nth(17).click()
    page.wait_for_selector("#grid .rg-close-up:visible")


def walk(page: Page) -> None:
    box = page.locator("#walk-seeds textarea, #walk-seeds input").first
    box.fill("3@lemon,8@apple-granny-smith,5@strawberry")
    box.press("Enter")
    page.wait_for_selector("#walk-player canvas[data-painted]", timeout=PAINTED)


def mix(page: Page) -> None:
    page.wait_for_selector("#mix-grid canvas[data-painted]", timeout=PAINTED)


def invert(page: Page) -> None:
    page.set_input_files("#invert-photo input[type=file]", {"name": "photo.png", "mimeType": "image/png", "buffer": PHOTO})
    page.locator("#invert-photo").get_by_text("photo").first.wait_for()
    page.click("#invert-find")
    page.wait_for_selector("#invert-grid canvas[data-painted]", timeout=PAINTED)
    page.wait_for_selector("#invert-curve canvas, #invert-curve svg", timeout=PAINTED)


def compare(page: Page) -> None:
    page.wait_for_selector("#compare-grid canvas[data-painted]", timeout=PAINTED)


def about(page: Page) -> None:
    page.get_by_text("Named as meant").wait_for()
    page.wait_for_selector("#curves canvas, #curves svg", timeout=PAINTED)


SCREENS: dict[str, Callable[[Page], None]] = {"Explore": explore, "Walk": walk, "Mix": mix, "Invert": invert, "Compare": compare, "About": about}


def main() -> None:
    demo = build(device="cpu")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
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


def _photo() -> bytes:
    """An image of the shipped generator's own, so that no one's photo is needed."""
    buffer = io.BytesIO()
    Image.fromarray(load("fruits", "cpu").render(Recipe(checkpoint="fruits", seeds=(77,)))[0]).save(buffer, "PNG")
    return buffer.getvalue()


PHOTO = _photo()

if __name__ == "__main__":
    main()
