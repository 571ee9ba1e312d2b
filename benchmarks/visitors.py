"""Many visitors at once: how many pictures they get, beside one who asks alone.

    python benchmarks/visitors.py                  # 32 visitors for 60 s
    OMP_NUM_THREADS=1 python benchmarks/visitors.py --replicas 2

Starts the studio as for strangers. First one visitor asks for pictures, each once the last is there, then as many as are asked for do; every picture
must be the one that is drawn of its recipe alone. What of the processor the studio used meanwhile says how much more there could have been. With
--replicas several copies stand behind nginx, set up as in docs/host-it.md. Ends with status 1 where a picture is another one.
"""

import argparse
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from served import Studio, Visitor, sentence, studio
from soak import Seen, pixels, recipes, seen_alone
from web import free_port, running, wait_until_answers

from resgen.grid import draw_png
from resgen.library import Library

ALONE_SECONDS = 30.0
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIGURATION = """
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    map $cookie_resgen $resgen_visitor { "" $remote_addr; default $cookie_resgen; }
    map "$uri $cookie_resgen" $resgen_cookie { "/ " "resgen=$request_id; Path=/; HttpOnly; SameSite=Lax"; }
    upstream resgen {
        hash $resgen_visitor consistent;
        SERVERS
    }
    server {
        listen 127.0.0.1:PORT;
        location / {
            proxy_pass http://resgen/;
            add_header Set-Cookie $resgen_cookie;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_read_timeout 10m;
            client_max_body_size 20m;
        }
    }
}
"""


@dataclass(frozen=True)
class Place:
    """Where visitors ask, and the copies of the studio that answer."""

    url: str
    copies: Sequence[Studio]

    def visitor(self, number: int) -> Visitor:
        visitor = Visitor(self.url, f"visitor{number}")
        visitor.web.get("/")  # the page, with which nginx gives a cookie
        return visitor

    def processor_seconds(self) -> float:
        """What all copies have used so far."""
        return sum(sum(psutil.Process(copy.process.pid).cpu_times()[:2]) for copy in self.copies)


@contextmanager
def opened(replicas: int) -> Iterator[Place]:
    """The studio, or several copies of it behind nginx."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        copies = list[Studio]()
        for number in range(replicas):
            (own := folder / f"copy{number}").mkdir()
            copies.append(stack.enter_context(studio(own, folder / f"log{number}")))
        yield Place(copies[0].url if replicas == 1 else stack.enter_context(_behind_nginx(folder, copies)), copies)


@contextmanager
def _behind_nginx(folder: Path, copies: Sequence[Studio]) -> Iterator[str]:
    """The one address of several copies."""
    assert NGINX, "nginx is not here: install it"
    servers = " ".join(f"server {copy.url.removeprefix('http://')};" for copy in copies)
    (folder / "nginx.conf").write_text(CONFIGURATION.replace("SERVERS", servers).replace("PORT", str(port := free_port())))
    words = [NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", "nginx.log", "-g", "daemon off;"]
    with running(words) as process:
        wait_until_answers(process, f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"


Expected = Sequence[tuple[str, np.ndarray]]


def drawn_alone(place: Place, names: list[str]) -> Expected:
    """Recipes, and what each looks like where nobody else asks, which every copy must say; so is each checkpoint loaded."""
    library, expected = Library(device="cpu"), list[tuple[str, np.ndarray]]()
    for recipe in recipes(names):
        words, here = recipe.to_json(), pixels(draw_png(recipe, library.sampler))
        found = [seen_alone(copy.url, words, here) for copy in place.copies]
        assert all(np.array_equal(found[0], other) for other in found), words
        expected.append((words, found[0]))
    return expected


def visit(visitor: Visitor, first: int, until: float, expected: Expected, seen: Seen) -> None:
    """One visitor's requests, one after another, from the recipe number ``first`` on."""
    for recipe, picture in itertools.islice(itertools.cycle(expected), first, None):
        begun = time.monotonic()
        if begun >= until:
            return
        try:
            right = np.array_equal(pixels(visitor.picture(recipe)), picture)
            told = "" if right else f"another picture of {recipe[:100]}"
        except (ValueError, httpx.HTTPError) as error:
            right, told = False, sentence(error)
        seen.count("right" if right else "wrong", time.monotonic() - begun if right else None, told)


def measure(place: Place, visitors: int, seconds: float, expected: Expected) -> tuple[float, Seen]:
    """How many pictures a second visitors get who ask at once, and what they see; told in a line."""
    seen, begun, used = Seen(), time.monotonic(), place.processor_seconds()
    until = begun + seconds
    threads = [
        threading.Thread(target=visit, args=(place.visitor(number), number % len(expected), until, expected, seen)) for number in range(visitors)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    rate, share = len(seen.seconds) / took, (place.processor_seconds() - used) / took / (psutil.cpu_count() or 1)
    late = statistics.quantiles(seen.seconds, n=20)[-1]
    print(
        f"  {visitors:3} visitor{'s' * (visitors > 1):1}  {rate:5.1f} pictures/s  median {statistics.median(seen.seconds):.2f} s"
        f"  95 of 100 within {late:.2f} s  the studio used {share:.0%} of the processor  {seen.counts['right']} right, {seen.counts['wrong']} wrong",
        flush=True,
    )
    return rate, seen


def compare(replicas: int, visitors: int, seconds: float, names: list[str]) -> bool:
    """Whether every picture was right."""
    print(f"{replicas} {'copy' if replicas == 1 else 'copies behind nginx'}, {', '.join(names)}, five kinds of recipes each")
    with opened(replicas) as place:
        expected = drawn_alone(place, names)
        of_one, alone = measure(place, 1, ALONE_SECONDS, expected)
        of_all, together = measure(place, visitors, seconds, expected)
    print(f"  {visitors} visitors get x {of_all / of_one:.2f} of what one gets")
    wrong = {*alone.wrong, *together.wrong}
    for told in wrong:
        print(f"  ! {told}")
    return not wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--replicas", type=int, default=1)
    asked = parser.parse_args()
    names = [card.name for card in Library(device="cpu").cards()]
    sys.exit(not compare(asked.replicas, asked.visitors, asked.seconds, names))


if __name__ == "__main__":
    main()
