"""Drawing on this machine: images a second, and what a change of a part of the picture costs.

    OMP_NUM_THREADS=1 python benchmarks/drawing.py cifar10 fruits

The sampler, as the studio draws, stands beside the same network as it is trained, in float32 and in bfloat16 autocast, all in batches of 64, and a
plain SNGAN generator of 32 pixels; and beside what the machine can do: a 3 x 3 convolution of 128 channels. How far half precision changes the pictures
is told too. Then a grid of 24 images is drawn whole,
with the last block's dial moved, and with the styles of all blocks from the third on moved. Rounds alternate and the best of each counts, so that a busy
machine is fair to all.
"""

import argparse
from collections.abc import Callable

import torch
from rounds import ROUNDS, least_seconds
from sngan import WIDTH, Z
from sngan import Generator as SnganGenerator
from torch.utils.flop_counter import FlopCounterMode

from resgen.folded import FoldedGenerator, Memory, Remembering
from resgen.generator import ResNetGenerator
from resgen.latents import locate
from resgen.library import load
from resgen.recipe import Recipe
from resgen.sampler import MICRO_BATCH, Sampler
from resgen.work import finish

BATCH, GRID = 64, 24


def convolution() -> tuple[Callable[[], object], int]:
    """What the machine can do, and how many operations that is."""
    conv = torch.nn.Conv2d(128, 128, 3, padding=1).to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 128, 16, 16).contiguous(memory_format=torch.channels_last)
    return lambda: conv(images), 2 * BATCH * 16 * 16 * 9 * 128 * 128


def throughput(sampler: Sampler) -> None:
    generator = sampler.checkpoint.build().to(memory_format=torch.channels_last)
    # Other seeds in each round, since the sampler does not draw twice what it has just drawn.
    rounds = [range(number * BATCH, (number + 1) * BATCH) for number in range(ROUNDS)]
    points = [locate(Recipe(checkpoint=sampler.card.name, seeds=tuple(seeds)), sampler.checkpoint) for seeds in rounds]
    w, gains, left = sampler.map(points[0]), points[0].gains, iter(points)
    sngan = SnganGenerator(10).eval().to(memory_format=torch.channels_last)
    noise, labels = torch.randn(BATCH, Z), torch.arange(BATCH) % 10

    def in_bf16() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return generator.synthesise(w, gains)

    conv, operations = convolution()
    with FlopCounterMode(display=False) as counter:
        generator.synthesise(w, gains)
    cost = counter.get_total_flops() / BATCH
    found = least_seconds({
        "convolution": conv, "eager float32": lambda: generator.synthesise(w, gains), "bfloat16 autocast": in_bf16, "sampler": lambda: finish(sampler.draw(next(left))),
        f"SNGAN, {WIDTH} wide": lambda: sngan(noise, labels),
    })  # fmt: skip
    limit = operations / found.pop("convolution")
    print(f"\n{sampler.card.name}: {cost / 1e9:.2f} GFLOP an image as trained; float32 convolution {limit / 1e12:.3f} TFLOP/s")
    for name, seconds in found.items():
        share = f"{cost * BATCH / seconds / limit:4.0%} of the convolution's rate" if "SNGAN" not in name else ""
        print(f"  {name:18} {BATCH / seconds:6.0f} images/s  x {found['eager float32'] / seconds:.2f}  {share}")
    difference = (in_bf16() - generator.synthesise(w, gains)).abs().max().item()
    print(f"  bfloat16 autocast differs from float32 by up to {difference * 127.5:.1f}/255")


def changes(sampler: Sampler) -> None:
    generator = sampler.checkpoint.build().to(memory_format=torch.channels_last)
    assert isinstance(generator, ResNetGenerator)
    points = locate(Recipe(checkpoint=sampler.card.name, seeds=tuple(range(GRID))), sampler.checkpoint)
    w, gains = sampler.map(points), points.gains.clone()
    drawing = Remembering(FoldedGenerator(generator), "", Memory())

    def draw() -> None:
        for start in range(0, GRID, MICRO_BATCH):
            drawing.synthesise(w[start : start + MICRO_BATCH], gains[start : start + MICRO_BATCH])

    def move(values: torch.Tensor, first_block: int) -> None:
        values[:, first_block:] += 1e-3
        draw()

    found = least_seconds(
        {"whole": lambda: move(w, 0), "third block's style and up": lambda: move(w, 2), "last block's dial": lambda: move(gains, -1)}
    )
    for name, seconds in found.items():
        print(f"  {GRID} images, {name:27} {seconds * 1000:6.1f} ms  x {found['whole'] / seconds:.2f}")


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+")
    print(f"{torch.get_num_threads()} thread(s), {torch.backends.cpu.get_cpu_capability()}")
    for name in parser.parse_args().checkpoints:
        sampler = load(name, "cpu")
        throughput(sampler)
        changes(sampler)


if __name__ == "__main__":
    main()
