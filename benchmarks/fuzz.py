"""Damaged files and recipes of strangers: what each kind of them comes to, how long it takes, how much memory.

    python benchmarks/fuzz.py --tries 20000
    python benchmarks/fuzz.py --kinds png --first 4711 --tries 1       # one that is to be looked at again

Good files are made small and new, and changed at random: bytes turned, cut off, doubled, lengths and numbers swapped, values of JSON replaced.
Try number N of a kind is always the same. Each must be refused in a sentence or read; anything else is a crash and told with its number, as is
one that takes longer than a second or touches a file, a process or a host that is not its own. Ends with status 1 where there is any.
"""

import argparse
import io
import json
import random
import re
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from resgen.card import Card, read_card
from resgen.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk, read, read_query
from resgen.data import open_picture
from resgen.errors import ResGenError
from resgen.features import FeatureConfig, FeatureResNet, load_features, save_features
from resgen.film import write_film
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.grid import png_bytes
from resgen.notes import read_recipe
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import Sampler
from resgen.work import finish

ROOM = 3 << 30  # bytes of address space beside what there is at the start
SLOW = 1.0  # seconds
TOLD = 10  # crashes of a kind
ODD: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 2**64, 10**400, -0.0, 1e308, float("nan"), float("inf"), "", "\ud800", "\x1b[2J", "[/b]", "<img src=x>", "a" * 5000,
    [], {}, [[]], {"a": {}}, [[[[[[[[]]]]]]]], ["\ud800"], [10**400], {"\ud800": 1}, "../../etc/passwd", "owner/name", "1-99999999", "nan",
]  # fmt: skip
NUMBERS = ["0", "-1", "1", "65535", "4294967295", "9223372036854775807", "1e999", "NaN", "9" * 400, "0.0001"]
TOUCHING = ("open", "os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "ctypes.dlopen", "exec")


@dataclass(frozen=True)
class Kind:
    """Good examples of something, how one is damaged, and what reads it."""

    good: Sequence[bytes]
    damage: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes], object]


@dataclass
class Found:
    """What became of the tries of a kind."""

    refused: int = 0
    accepted: int = 0
    slowest: float = 0.0  # seconds
    growth: float = 0.0  # MB
    crashes: list[str] = field(default_factory=list)


# Damage.


def damage_bytes(good: bytes, chance: random.Random) -> bytes:
    """One to four changes of any place."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 4))):
        chance.choice((_turn, _cut, _double, _drop, _swap_length, _swap_number))(data, chance)
    return bytes(data)


def damage_file(good: bytes, chance: random.Random) -> bytes:
    """As `damage_bytes`, half of the times in the first two thousand bytes, where a file says what it is."""
    return damage_bytes(good[:2000], chance) + good[2000:] if chance.random() < 0.5 else damage_bytes(good, chance)


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data)) if data else 0


def _turn(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 3, 20))):
        if data:
            data[_place(data, chance)] = chance.choice((0, 255, chance.randrange(256)))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    del data[at : at + chance.choice((1, 4, 100))]


def _double(data: bytearray, chance: random.Random) -> None:
    at, begin = _place(data, chance), _place(data, chance)
    data[at:at] = data[begin : begin + chance.choice((1, 8, 500))] * chance.choice((1, 1, 50))


def _swap_length(data: bytearray, chance: random.Random) -> None:
    at = _place(data, chance)
    form = chance.choice(("<I", ">I", "<Q", ">H"))
    value = chance.choice((0, 1, 7, 255, 2**15, 2**31 - 1, 2**32 - 1, 2**63)) % 2 ** (8 * struct.calcsize(form))
    data[at : at + struct.calcsize(form)] = struct.pack(form, value)


def _swap_number(data: bytearray, chance: random.Random) -> None:
    if found := list(re.finditer(rb"-?\d+(?:\.\d+)?", data)):
        match = chance.choice(found)
        data[match.start() : match.end()] = chance.choice(NUMBERS).encode()


def damage_json(good: bytes, chance: random.Random) -> bytes:
    """One to three values of a JSON text replaced, taken away, doubled or called otherwise; sometimes bytes too."""
    value = json.loads(good)
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = _change_value(value, chance)
    text = json.dumps(value).encode()
    return damage_bytes(text, chance) if chance.random() < 0.2 else text


def _change_value(value: Any, chance: random.Random) -> Any:
    if not value or not isinstance(value, list | dict) or chance.random() < 0.1:
        return chance.choice(ODD)
    place = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
    changed = value.copy()
    what = chance.random()
    if what < 0.7:
        changed[place] = _change_value(value[place], chance)
    elif what < 0.8:
        del changed[place]
    elif isinstance(changed, dict):
        changed[str(chance.choice(ODD))[:60]] = changed[place]
    else:
        changed += [changed[place]] * chance.choice((1, 3, 300))
    return changed


def damage_card(good: bytes, chance: random.Random) -> bytes:
    """A .safetensors file whose words hold a damaged card, or whose table of tensors is damaged; all else is sound."""
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    if chance.random() < 0.7:
        words = header["__metadata__"]
        name = next(iter(words))
        words[name] = damage_json(words[name].encode(), chance).decode("utf-8", "replace")
    else:
        header = _change_value(header, chance)
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + good[8 + length :]


# Good examples.


def make_kinds(folder: Path) -> dict[str, Kind]:
    """What is tried, by name; ``folder`` is written to."""
    torch.manual_seed(0)
    arch = GeneratorConfig(num_classes=2, widths=(8, 4, 4), z_dim=4, w_dim=4, steady=1)
    training = {"images_seen": 9, "hours": 0.5, "command": "resgen train", "stages": [{"from_image": 5, "command": "more"}]}
    training["history"] = [{"images": i, "drift": 0.5} for i in range(3)]
    card = Card("made", arch, ("a", "b"), ("pc1",), {"name": "n", "images": 3}, training, {"accuracy": 0.5}, earlier=("0" * 64,))
    made = Checkpoint(card, ResNetGenerator(arch).state_dict(), torch.zeros(2, 4), torch.ones(1, 4))
    save_checkpoint(made, folder / "made.safetensors")
    save_features(FeatureResNet(FeatureConfig(2, (4, 4))), folder / "eyes.safetensors", {"classes": ["a", "b"]})
    sampler = Sampler(load_checkpoint(folder / "made.safetensors"), "cpu")
    recipes = _recipes()
    walk = next(recipe for recipe in recipes if isinstance(recipe, Walk))
    checkpoint, eyes = ((folder / name).read_bytes() for name in ("made.safetensors", "eyes.safetensors"))
    texts = [recipe.to_json().encode() for recipe in recipes]
    kinds = {
        "checkpoint": Kind([checkpoint], damage_file, lambda data: _use(load_checkpoint(_put(folder / "x.safetensors", data)))),
        "features": Kind([eyes], damage_file, lambda data: load_features(_put(folder / "x.safetensors", data)).freeze()),
        "card": Kind([checkpoint], damage_card, lambda data: _show(read_card(_put(folder / "x.safetensors", data)))),
        "eyes' card": Kind([eyes], damage_card, lambda data: load_features(_put(folder / "x.safetensors", data)).freeze()),
        "json": Kind(texts, damage_json, lambda data: _write_again(read(data.decode("utf-8", "replace")))),
        "link": Kind([recipe.to_query().encode() for recipe in recipes], damage_bytes, lambda data: _write_again(read_query(data.decode("latin-1")))),
        "recipe file": Kind(texts, damage_bytes, lambda data: read_recipe(_put(folder / "x.json", data))),
        "png": Kind([_picture(recipe) for recipe in recipes], damage_file, lambda data: read_recipe(_put(folder / "x.png", data))),
    }
    for suffix in ("gif", "webp", "mp4"):
        film = io.BytesIO()
        finish(write_film(walk, sampler, f".{suffix}", film))
        kinds[suffix] = Kind([film.getvalue()], damage_bytes, lambda data, suffix=suffix: read_recipe(_put(folder / f"x.{suffix}", data)))
    kinds["photo"] = Kind([_photo(form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")], damage_bytes, open_picture)
    return kinds


def _recipes() -> list[AnyRecipe]:
    one, two = (Recipe(checkpoint="made", seeds=(seed,), classes=("a",), columns=1) for seed in (1, 2))
    rich = Recipe(
        checkpoint="made", seeds=(1, 2, 9), variation_of=3, variation_path=((4, 0.5),), class_mix=(("a", 0.5), ("b", 1)), truncation=0.7,
        directions=(("pc1", 2),), own_directions=(("own", pack_vector([1, 2, 3, 4])),), edits=((1, (("pc1", -1),)),), sweep="pc1", residual_gains=(1, 0.5),
    )  # fmt: skip
    plane = Recipe(checkpoint="made", plane=(1, 2, 0.5), columns=3, classes=("a", "b"))
    latent = Recipe(checkpoint="made", latents=(pack_vector([0.5] * 4),), columns=1)
    mix = StyleMix(rows=(one,), columns=(one, two), blocks=(1,))
    walk = Walk(stops=(one, two), seconds=0.2, fps=10, scale=2)
    return [rich, plane, latent, mix, walk, Comparison(recipe=one, checkpoints=("made", "other")), AnatomyOf(recipe=two)]


def _picture(recipe: AnyRecipe) -> bytes:
    return png_bytes(Image.new("RGB", (20, 10), "red"), recipe, "0" * 64)


def _photo(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).save(buffer, form)
    return buffer.getvalue()


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _use(checkpoint: Checkpoint) -> None:
    checkpoint.build()
    _show(checkpoint.card)


def _show(card: Card) -> None:
    """As a list of checkpoints and a terminal tell of it."""
    json.dumps(card.to_dict(), ensure_ascii=False, allow_nan=False).encode()


def _write_again(recipe: AnyRecipe) -> None:
    if read(recipe.to_json()) != recipe or read_query(recipe.to_query()) != recipe:
        raise AssertionError("what was read is not what is written")


# Tries.


class Watch:
    """Notes what is touched outside of a folder while it is on: files, processes, hosts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.on, self.touched = str(folder), False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event.startswith(TOUCHING) and not (event == "open" and str(arguments[0]).startswith(self.folder)):
            self.touched.append(f"{event} {str(arguments)[:80]}")


def try_kind(name: str, kind: Kind, numbers: range, watch: Watch | None = None) -> Found:
    """What becomes of these tries of a kind."""
    found, before = Found(), _peak()
    for number in numbers:
        chance = random.Random(f"{name}/{number}")
        data = kind.damage(chance.choice(kind.good), chance)
        begun, wrong = time.perf_counter(), ""
        if watch:
            watch.on = True
        try:
            kind.read(data)
            found.accepted += 1
        except ResGenError as error:
            found.refused += 1
            wrong = "a message of several lines" if "\n" in str(error) else ""
        except BaseException as error:
            wrong = f"{type(error).__name__}: {str(error)[:120]}"
        took = time.perf_counter() - begun
        if watch:
            watch.on = False
            wrong = wrong or "; ".join(watch.touched)
            watch.touched.clear()
        found.slowest = max(found.slowest, took)
        wrong = wrong or (f"{took:.1f} s" if took > SLOW else "")
        if wrong:
            found.crashes.append(f"{name} {number}: {wrong}")
    found.growth = _peak() - before
    return found


def _peak() -> float:
    """Most memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def _limit_memory() -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=2000, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first try")
    parser.add_argument("--kinds", nargs="*", default=[], help="default: all")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    crashed = False
    with tempfile.TemporaryDirectory() as folder:
        kinds, watch = make_kinds(Path(folder)), Watch(Path(folder))
        for name, kind in kinds.items():
            try_kind(name, kind, range(100))  # modules are loaded, caches filled
        if sys.platform == "linux":
            _limit_memory()
        print(f"{'kind':12} {'tried':>7} {'refused':>8} {'accepted':>8} {'crashed':>7} {'slowest':>9} {'growth':>8}")
        for name in asked.kinds or kinds:
            found = try_kind(name, kinds[name], range(asked.first, asked.first + asked.tries), watch)
            counts = f"{asked.tries:7} {found.refused:8} {found.accepted:8} {len(found.crashes):7}"
            print(f"{name:12} {counts} {1000 * found.slowest:6.0f} ms {found.growth:5.0f} MB", flush=True)
            for crash in found.crashes[:TOLD]:
                print(f"    {crash}", flush=True)
            crashed = crashed or bool(found.crashes)
    sys.exit(crashed)


if __name__ == "__main__":
    main()
