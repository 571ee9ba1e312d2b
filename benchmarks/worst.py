"""The worst that was ever asked of a studio, asked again of one for strangers: refused in a sentence, or done within its memory?

    python benchmarks/worst.py --megabytes 2000

The most that was resident is measured. To have the system hold the bound too, so that a studio that passes it is killed, put it into a control group:

    mkdir /sys/fs/cgroup/memory/worst && echo 2000000000 > /sys/fs/cgroup/memory/worst/memory.limit_in_bytes   # of version 2: memory.max
    python benchmarks/worst.py --megabytes 2000 --group /sys/fs/cgroup/memory/worst

Each case is sent four times at once, while another visitor draws grids of 16, and all four answers count. Files are put into the studio's folder of checkpoints beside the good
ones. Ends with status 1 where an answer is neither a sentence nor a result, where the studio dies or takes more memory, or where the other's grid (the
median of those drawn meanwhile) takes more than three times as long as usual.
"""

import argparse
import io
import json
import shutil
import statistics
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file
from served import RENDER_DEFAULTS, Studio, Visitor, sentence, studio

from resgen.card import HEADER, Card
from resgen.checkpoint import Checkpoint, save_checkpoint
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.library import SHIPPED

AT_ONCE, USUAL, MOST = 4, 20, 3.0
Case = Callable[[Visitor, Path], Any]


def render(**recipe: Any) -> Case:
    return lambda visitor, _: visitor.ask("render", *RENDER_DEFAULTS, json.dumps(recipe if "kind" in recipe else {"checkpoint": "fruits", **recipe}))


def walk(seconds: float, fps: int, scale: int) -> Case:
    return lambda visitor, _: visitor.ask("walk", "fruits", "1,2,3", seconds, fps, True, "z", "even", 1.0, scale, "mp4")


def invert(name: str, data: bytes) -> Case:
    def ask(visitor: Visitor, folder: Path) -> Any:
        answer = visitor.web.post("/gradio_api/upload", files={"files": (name, data)})
        if answer.status_code != 200:
            raise ValueError(answer.text[:200])
        return visitor.ask("invert", {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}, "fruits", 20)

    return ask


def body(size: int) -> Case:
    def ask(visitor: Visitor, _: Path) -> Any:
        answer = visitor.web.post("/gradio_api/queue/join", content=bytes(size))
        raise ValueError(answer.text[:200])

    return ask


def with_checkpoint(name: str) -> Case:
    return lambda visitor, _: visitor.ask("render", name, *RENDER_DEFAULTS[1:], "")


def flood(visitor: Visitor, _: Path) -> Any:
    for _number in range(340):
        visitor.send("render", "fruits", "0-399", *RENDER_DEFAULTS[2:], "")


def thin_png() -> bytes:
    """1 x 80 million pixels in a few thousand bytes."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(2_000_000)) for _ in range(80)) + rows.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 1, 80_000_000, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)


def large_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (13_350, 13_350)).save(buffer, "PNG")
    return buffer.getvalue()


def noted_png() -> bytes:
    """A picture whose note unpacks to 60 MB."""
    note, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    note.add_itxt("resgen", " " * 60_000_000, zip=True)
    Image.new("L", (8, 8)).save(buffer, "PNG", pnginfo=note)
    return buffer.getvalue()


LONG = "A" * 80_000
CASES: dict[str, Case] = {
    "H1 a film of 1,800 frames of 1,024 px": walk(60, 30, 16),
    "H1 a film of 600 frames": walk(25, 24, 4),
    "H2 a comparison of 12 x 100,000": render(kind="compare", recipe={"checkpoint": "fruits", "seeds": "0-99999"}, checkpoints=["fruits"] * 12),
    "H2 a comparison of 12 x 33": render(kind="compare", recipe={"checkpoint": "fruits", "seeds": "0-32"}, checkpoints=["fruits", "cifar10"] * 6),
    "H3 own directions of 64 KB, 400 images": render(seeds="0-399", own_directions=[[f"d{i}", LONG] for i in range(8)]),
    "H3 a recipe of 16,000 edits": render(seeds="0-399", edits=[[i, [["pc1", 1]]] for i in range(16_000)]),
    "H3 a body of 200 MB": body(200_000_000),
    "H4 a checkpoint of NaN that sorts first": with_checkpoint("nan"),
    "H5 a card with surrogates, 2^70 and nesting": with_checkpoint("odd"),
    "H6 a card and a link of HTML": render(checkpoint="<a href=//198.51.100.7>x</a>"),
    "H7 a features card that claims 4.9 GB": lambda visitor, _: visitor.ask("invert", {"path": "/etc/hostname"}, "plain", 20),
    "H7 attention at 128 px": with_checkpoint("attention"),
    "H7 64 channels at 1,024 px": with_checkpoint("wide"),
    "H7 a card of 10,000 keys": with_checkpoint("keys"),
    "H7 a card whose graph makes 21 GB": with_checkpoint("graph"),
    "H7 a picture of 1 x 80 million pixels": invert("thin.png", thin_png()),
    "H7 a picture of 178 million pixels": invert("large.png", large_png()),
    "H7 a picture with a note of 60 MB": invert("noted.png", noted_png()),
    "H7 361 images at scale 16": render(seeds="0-360", columns=19, scale=16),
    "H7 the most that is allowed": render(seeds="0-399", columns=20, scale=3),
    "H8 a path": with_checkpoint("../../etc/passwd"),
    "H8 a Hub repository": with_checkpoint("owner/name"),
    "a wrong list of 4 MB": render(seeds=["x"] * 900_000),
    "a list nested 100,000 times": lambda visitor, _: visitor.ask("render", *RENDER_DEFAULTS, "[" * 100_000),
    "H3 a flood of 340 requests": flood,  # last, since what it has asked for is still drawn afterwards
}


def make_files(folder: Path) -> None:
    """Good checkpoints, and those of strangers."""
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    shapes = {
        "attention": GeneratorConfig(base_resolution=32, widths=(8, 8, 8), z_dim=4, w_dim=4, attention=(128,)),
        "wide": GeneratorConfig(base_resolution=64, widths=(4, 4, 4, 4, 64), z_dim=4, w_dim=4),
        "nan": GeneratorConfig(base_resolution=64, widths=(4, 4, 4, 4, 4), z_dim=4, w_dim=4),
        "plain": GeneratorConfig(widths=(4, 4), z_dim=4, w_dim=4),
    }
    for name, arch in shapes.items():
        weights = ResNetGenerator(arch).state_dict()
        if name == "nan":
            weights = {key: value * float("nan") if value.is_floating_point() else value for key, value in weights.items()}
        card = Card(name, arch, training={"images_seen": 10**12 if name == "nan" else 0})
        save_checkpoint(Checkpoint(card, weights, torch.zeros(1, 4), torch.zeros(0, 4)), folder / f"{name}.safetensors")
    plain = Checkpoint(Card("x", shapes["plain"]), ResNetGenerator(shapes["plain"]).state_dict(), torch.zeros(1, 4), torch.zeros(0, 4))
    nested: Any = []
    for _ in range(500):
        nested = [nested]
    odd = {"stages": [{"from_image": 2**70, "command": "\ud800"}, {"from_image": nested}], "command": "\x1b[2J<img src=x>"}
    keys = {"history": [{f"k{i}": 1.0} for i in range(10_000)]}
    for name, training in (("odd", odd), ("keys", keys)):
        save_checkpoint(replace(plain, card=replace(plain.card, training=training)), folder / f"{name}.safetensors")
    nodes = [["ConstantOfShape", ["sides"], [f"x{i}"], {"value": [4]}] for i in range(10)] + [["Reshape", ["z", "x0"], ["image"], {}]]
    graph = {"family": "graph", "nodes": [json.dumps(node) for node in nodes], "constants": ['["sides", [2], [16384, 16384]]']}
    save_file({"x": torch.zeros(1)}, folder / "graph.safetensors", {HEADER: json.dumps(plain.card.header() | {"arch": graph})})
    header = {"num_classes": 2, "widths": [16384, 16384], "classes": ["a", "b"]}
    save_file({"x": torch.zeros(1)}, folder / "features" / "aaa.safetensors", {"resgen-features": json.dumps(header)})


def grid(visitor: Visitor, number: int) -> float:
    """Seconds until another visitor has 16 images, others each time; infinite where they are refused."""
    begun = time.monotonic()
    try:
        visitor.ask("render", "fruits", f"{16 * number}-{16 * number + 15}", *RENDER_DEFAULTS[2:], "")
    except (ValueError, httpx.HTTPError) as error:
        print("!", sentence(error))
        return float("inf")
    return time.monotonic() - begun


def try_case(case: Case, served: Studio, folder: Path) -> tuple[list[str], float, list[float]]:
    """What those who send it are told, seconds until all are, and the other visitor's times meanwhile."""
    told: list[str] = []

    def send(number: int) -> None:
        visitor = Visitor(served.url, f"bad{number}{time.monotonic()}")
        try:
            case(visitor, folder)
            told.append("done")
        except ValueError as error:
            told.append(sentence(error))
        except httpx.TransportError as error:
            told.append("closed" if isinstance(error, httpx.WriteError | httpx.ReadError) else f"! {error}")
        except Exception as error:
            told.append(f"! {type(error).__name__}: {error}")

    threads = [threading.Thread(target=send, args=(number,)) for number in range(AT_ONCE)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    other, times = Visitor(served.url, "other"), list[float]()
    while any(thread.is_alive() for thread in threads) or not times:
        times.append(grid(other, int(time.monotonic() * 100) % 10_000_000))
    return told, time.monotonic() - begun, times


def is_wrong(answer: str) -> bool:
    """True for what is neither a sentence nor a result."""
    return answer.startswith("!") or "in the log" in answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2000, help="of resident memory that the studio may come to")
    parser.add_argument("--cases", default="", help="those with this in their name")
    parser.add_argument("--group", type=Path, help="folder of the control group that the studio belongs to")
    asked = parser.parse_args()
    bad = False
    with tempfile.TemporaryDirectory() as name:
        folder, place = Path(name, "checkpoints"), Path(name, "place")
        place.mkdir()
        make_files(folder)
        with studio(place, Path(name, "log"), ("--checkpoints", str(folder)), asked.group) as served:
            visitor = Visitor(served.url, "usual")
            grid(visitor, 0)
            usual = statistics.median(grid(visitor, number) for number in range(1, USUAL))
            print(f"a grid of 16 usually takes {1000 * usual:.0f} ms, and the studio has {served.megabytes():.0f} MB", flush=True)
            for what, case in CASES.items():
                if asked.cases not in what:
                    continue
                told, took, times = try_case(case, served, folder)
                middle, slowest = statistics.median(times), max(times)
                dead = served.process.poll() is not None
                peak = 0.0 if dead else served.peak()
                wrong = dead or peak > asked.megabytes or middle > MOST * usual or any(map(is_wrong, told))
                bad = bad or wrong
                size = f"{served.megabytes():5.0f}, peak {peak:5.0f} MB" if peak else "dead"
                print(
                    f"{'!' if wrong else ' '} {what:45} {took:6.1f} s  other's grid {1000 * middle:5.0f} ms, at most {1000 * slowest:5.0f} ms {size}  {' | '.join(dict.fromkeys(told))}",
                    flush=True,
                )
            print(Path(name, "log").read_text().count('"event": "failed"'), "faults in the log")
            print("".join(line + "\n" for line in Path(name, "log").read_text().splitlines() if "failed" in line)[:4000])
    sys.exit(bad)


if __name__ == "__main__":
    main()
