"""The end of an exported Python file: it draws seeds of the generator above it. It is copied, not imported."""

import argparse
import struct
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgen.architecture import class_weights
from resgen.latents import draw_seed
from resgen.sampler import to_pixels

CONFIG: Any = None
CLASS_NAMES: tuple[str, ...] = ()
BESIDE = ""

# From here on it is copied.


def load() -> tuple[Any, Tensor]:
    """The generator, and its mean w."""
    tensors = torch.load(Path(__file__).with_name(BESIDE), weights_only=True)
    generator = CONFIG.build()
    generator.load_state_dict({name.removeprefix("generator."): value for name, value in tensors.items() if name != "mean_w"}, assign=True)
    return generator.eval().requires_grad_(False), tensors["mean_w"]


def draw(seeds: list[int], label: str | None = None, truncation: float = 1.0) -> Any:
    """Images uint8 [N, H, W, 3] of seeds, of a class or of the one that each seed draws; truncation 0 is the average image."""
    generator, mean_w = load()
    drawn = [draw_seed(seed, CONFIG.z_dim, CONFIG.num_classes) for seed in seeds]
    z, labels = torch.stack([z for z, _ in drawn]), torch.tensor([CLASS_NAMES.index(label) if label else found for _, found in drawn])
    weights = class_weights(labels, CONFIG.num_classes)
    mean = (mean_w[labels] if CLASS_NAMES else mean_w.expand(len(z), -1))[:, None]
    with torch.inference_mode():
        w = generator.map(z, weights)
        return to_pixels(generator.synthesise(mean + truncation * (w - mean)))


def png(images: Any) -> bytes:
    """Images side by side as a PNG."""
    row = images.transpose(1, 0, 2, 3).reshape(images.shape[1], -1)
    height, width = row.shape[0], row.shape[1] // 3

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + line.tobytes() for line in row)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def main() -> None:
    """Draw seeds into a picture, or into an .npz file of images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--label", choices=CLASS_NAMES, help="a class; else each seed draws one")
    parser.add_argument("--truncation", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("images.png"))
    options = parser.parse_args()
    images = draw(options.seeds, options.label, options.truncation)
    if options.out.suffix == ".npz":
        import numpy as np

        np.savez(options.out, images=images)
    else:
        options.out.write_bytes(png(images))


if __name__ == "__main__":
    main()
