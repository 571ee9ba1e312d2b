"""From the start of the program to the first grid in a browser: python benchmarks/start.py [FOLDER ...]

Each FOLDER is a checkout (default: this one), started by its own `python app.py`; several are timed in turns, so that they can be compared on
one machine. Needs Chromium and Playwright. All times are medians, in seconds from the start of the process.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from web import CHROMIUM, ROOT, START, WITHOUT_GPU, free_port, running, wait_until_answers


def measure(folder: Path, browser: Browser) -> tuple[float, float, float]:
    """When the server answers, when the first page has its grid, and how long a second page takes for its own."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    started = time.perf_counter()
    with running([sys.executable, str(folder / "app.py"), "--port", str(port)], more={"PYTHONPATH": str(folder)}) as process:
        wait_until_answers(process, url)
        answered = time.perf_counter() - started
        first = open_page(browser, url, started)
        return answered, first, open_page(browser, url, time.perf_counter())


def open_page(browser: Browser, url: str, since: float) -> float:
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector(".rg-canvas[data-painted]", timeout=START * 1000)
    took = time.perf_counter() - since
    page.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT])
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    folders = [folder.resolve() for folder in arguments.folders]
    rows: dict[Path, list[tuple[float, float, float]]] = {folder: [] for folder in folders}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=WITHOUT_GPU)
        for _ in range(arguments.times):
            for folder in folders:
                rows[folder].append(measure(folder, browser))
        browser.close()
    for folder, found in rows.items():
        answered, first, second = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{folder.name}: answers after {answered:.2f} s, first grid after {first:.2f} s, a second page's grid after {second:.2f} s")


if __name__ == "__main__":
    main()
