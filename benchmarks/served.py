"""The studio in a process of its own, and visitors who ask it over HTTP. For `memory.py`, `soak.py`, `visitors.py` and `worst.py`."""

import html
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from web import ROOT, free_port, running, wait_until_answers

STOP = 5.0  # seconds


@dataclass(frozen=True)
class Studio:
    """A studio that is running."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path  # of all its temporary files

    def megabytes(self) -> float:
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def peak(self) -> float:
        """The most resident memory so far, in megabytes (proc_pid_status(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 / 1e6

    def end(self) -> float:
        """Seconds that it takes to end after SIGTERM."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(4 * STOP)
        return time.monotonic() - begun


INTO_GROUP = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')  # a process of a control group from its first byte on


@contextmanager
def studio(folder: Path, log: Path, words: tuple[str, ...] = (), group: Path | None = None) -> Iterator[Studio]:
    """A studio for strangers with ``folder`` for its temporary files; ``group`` is the folder of the control group that it belongs to."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [*((*INTO_GROUP, str(group)) if group else ()), sys.executable, str(ROOT / "app.py"), "--public", "--port", str(port), *words]
    with running(command, log, {"TMPDIR": str(folder)}) as process:
        wait_until_answers(process, f"{url}/healthz")
        yield Studio(url, process, folder)


class Visitor:
    """One visitor with a session of their own."""

    def __init__(self, url: str, name: str, patience: float = 180.0) -> None:
        self.web, self.name = httpx.Client(base_url=url, timeout=patience), name

    def send(self, endpoint: str, *values: Any) -> str:
        """The number of a request that is sent; raises ValueError with the answer where it is refused at once."""
        answer = self.web.post(f"/gradio_api/call/{endpoint}", json={"data": values, "session_hash": self.name})
        if answer.status_code != 200:
            raise ValueError(f"{answer.status_code} {answer.text[:300]}")
        return answer.json()["event_id"]

    def ask(self, endpoint: str, *values: Any) -> Any:
        """The answer to a request; raises ValueError with the sentence where it is refused."""
        number = self.send(endpoint, *values)
        with self.web.stream("GET", f"/gradio_api/call/{endpoint}/{number}") as stream:
            event = ""
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    event = line.removeprefix("event:").strip()
                elif line.startswith("data:") and event in ("complete", "error"):
                    told = json.loads(line.removeprefix("data:"))
                    if event == "error":
                        raise ValueError(html.unescape(told["error"]) if told else "no reason")
                    return told[0]
        raise ValueError("no answer")

    def leave(self, endpoint: str, *values: Any) -> None:
        """Ask, and go away before the answer."""
        number = self.send(endpoint, *values)
        with self.web.stream("GET", f"/gradio_api/call/{endpoint}/{number}") as stream:
            next(stream.iter_lines(), None)

    def picture(self, recipe: str) -> bytes:
        """The PNG of a recipe in JSON."""
        told = self.ask("render", *RENDER_DEFAULTS, recipe)
        return self.web.get(f"/gradio_api/file={told['path']}").content


# /render's parameters before the last, `recipe`: checkpoint seeds classes class_mix truncation directions columns scale residual_gains sweep plane
RENDER_DEFAULTS = ("", "0-15", "", "", 1.0, "", 8, 3, "", "", "")


def sentence(error: Exception) -> str:
    """What a visitor was told, on one line."""
    return re.sub(r"\s+", " ", str(error))[:160]
