"""What measurements, tests and screenshots in a browser need, and nothing of ResGen: a browser, a free port, servers, and no other host."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Route

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first draws no window that nobody sees
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), None)
# A page over a loopback address asks nothing of the network; Chromium itself must not either.
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
WITHOUT_GPU = [*FLAGS, "--disable-gpu"]
START, STOP = 120.0, 10.0  # seconds in which a server answers, and ends


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: Sequence[str], log: Path | None = None, more: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the repository's folder, whose words go into ``log``, ``more`` variables in its environment; ended at the end."""
    with (log or Path(os.devnull)).open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(more or {})}, stdout=file, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP)
        process.kill()
        process.wait()


def wait_until_answers(process: subprocess.Popen[bytes], url: str) -> None:
    """Raises RuntimeError where a server ends before it answers, or does not answer in time."""
    latest = time.monotonic() + START
    while process.poll() is None and time.monotonic() < latest:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{url} does not answer; its process {'runs' if process.poll() is None else 'ended'}.")


class _Files(http.server.SimpleHTTPRequestHandler):
    """A plain server of files for pages of any host, such as a CDN is, that says nothing."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve_files(folder: Path) -> Iterator[str]:
    """The address at which a folder's files are, while it is asked for."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def only(site: str, elsewhere: list[str]) -> Callable[[Route], None]:
    """For a page that reaches no host but ``site``: what it asks of others is noted in ``elsewhere`` and refused."""

    def guard(route: Route) -> None:
        if route.request.url.startswith((site, "blob:", "data:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    return guard
