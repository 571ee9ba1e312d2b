"""A training that is killed again and again, at random moments: what it leaves is always whole, and it ends with the weights of one that ran through.

    python benchmarks/kill.py --kills 50

Each life of the run is a process of its own, ended by SIGKILL somewhere between its first moment and its end. After each death every checkpoint and
state in the folder is read, and the run is taken up again. Tells how many deaths there were, what had been saved by then, and the verdict; ends with
status 1 where a file was not whole, a life ended otherwise than by the kill, or the weights differ.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from resgen.checkpoint import load_checkpoint
from resgen.features import FeatureConfig, FeatureResNet, save_features
from resgen.train.command import train_generator
from resgen.train.config import TrainConfig
from resgen.train.state import STATE

BATCH, SAVE_EVERY = 8, 16
SAVES = 30  # of the whole run


def make_inputs(folder: Path) -> tuple[TrainConfig, Path]:
    """The settings of a small run, and its eyes."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / "data" / name).mkdir(parents=True)
        for index in range(8):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / "data" / name / f"{index}.png")
    torch.manual_seed(0)
    save_features(FeatureResNet(FeatureConfig(2, (4, 8))), folder / "eyes.safetensors", {})
    data = (str(folder / "data"),)
    config = TrainConfig(data, "made", images=SAVES * SAVE_EVERY, batch=BATCH, group=4, save_every=SAVE_EVERY, widths=(4, 4))
    return config, folder / "eyes.safetensors"


def train(config: TrainConfig, eyes: Path, out: Path) -> None:
    train_generator(config, out, True, eyes, "cpu", {}, "resgen train", lambda *_: None, lambda _: None)


def live(config: TrainConfig, eyes: Path, out: Path, seconds: float) -> bool:
    """One life of the run, ended after so many seconds. True where it was; False where the run came to its end."""
    child = os.fork()
    if child == 0:
        try:
            train(config, eyes, out)
        except BaseException as error:
            print(f"    {type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended and status:
            sys.exit("A life ended by itself, with the error above.")
        if ended:
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def check(out: Path) -> int:
    """Read every file that must be whole; how many there were. Raises what reading raises."""
    found = list(out.rglob("*.safetensors"))
    for path in found:
        if path.name == STATE:
            load_file(path)
        else:
            load_checkpoint(path)
    for path in out.rglob("*.png"):
        Image.open(path).load()
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # a process that has threads cannot be forked
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        config, eyes = make_inputs(Path(folder))
        straight = Path(folder) / "straight"
        began = time.monotonic()
        train(config, eyes, straight)
        longest = (time.monotonic() - began) / SAVES * 2  # seconds of a life: about two saves
        kills, whole, runs = 0, 0, 1
        while kills < asked.kills:
            out = Path(folder) / f"killed{runs}"
            if live(config, eyes, out, chance.uniform(0, longest)):
                kills += 1
                whole += check(out)
            else:
                compare(straight, out)
                runs += 1
        last = Path(folder) / f"killed{runs}"
        train(config, eyes, last)
        compare(straight, last)
        left = len(list(Path(folder).rglob("*.part")))
        print(f"{kills} kills of {runs} runs, {whole} files read whole; the weights are those of a run without; {left} half files left.")
        sys.exit(left > 0)


def compare(straight: Path, out: Path) -> None:
    """Ends the program where two runs did not come to the same state."""
    one, other = load_file(straight / STATE), load_file(out / STATE)
    if one.keys() != other.keys() or not all(torch.equal(one[name], other[name]) for name in one):
        sys.exit(f"{out.name} ended with other weights.")


if __name__ == "__main__":
    main()
