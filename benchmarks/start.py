"""From the start of the program to the first grid in a browser: python benchmarks/start.py [FOLDER ...]

Each FOLDER is a checkout (default: this one), started by its own `python app.py`; several are timed in turns, so that they can be compared on
one machine. Needs Chromium and Playwright. All times are medians, in seconds from the start of the process.
"""

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
LATEST = 120  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def measure(folder: Path, browser: Browser) -> tuple[float, float, float]:
    """When the server answers, when the first page has its grid, and how long a second page takes for its own."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.Popen([sys.executable, "app.py", "--port", str(port)], cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=1)
                break
            except OSError:
                if time.perf_counter() - started > LATEST or process.poll() is not None:
                    sys.exit(f"{folder} does not start.")
                time.sleep(0.02)
        answered = time.perf_counter() - started
        first = open_page(browser, url, started)
        return answered, first, open_page(browser, url, time.perf_counter())
    finally:
        process.terminate()
        process.wait()


def open_page(browser: Browser, url: str, since: float) -> float:
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector(".rg-canvas[data-painted]", timeout=LATEST * 1000)
    took = time.perf_counter() - since
    page.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(__file__).resolve().parent.parent])
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    folders = [folder.resolve() for folder in arguments.folders]
    rows: dict[Path, list[tuple[float, float, float]]] = {folder: [] for folder in folders}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(arguments.times):
            for folder in folders:
                rows[folder].append(measure(folder, browser))
        browser.close()
    for folder, found in rows.items():
        answered, first, second = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{folder.name}: answers after {answered:.2f} s, first grid after {first:.2f} s, a second page's grid after {second:.2f} s")


if __name__ == "__main__":
    main()
