"""Small networks of NVIDIA's own code and what they draw, to compare ours with.

``python tests/interop/originals.py CHECKOUT FOLDER`` needs a checkout of NVlabs/stylegan2-ada-pytorch or NVlabs/stylegan3, and scipy for
the latter; it writes NAME.pkl, as a training would, and NAME.npz: 32 latents z, classes c (one-hot) and, in float32, w and images.
With ``--shipped`` it makes the files of ``stylegan/`` beside it: fewer networks, each seventh pixel, and in the place of NVIDIA's source
(which is under a licence of its own) a line that raises an error where anything runs it. Those were made with
stylegan2-ada-pytorch d72cc7d041b42ec8e806021a205ed9349f87c6a4 and stylegan3 c233a919a6faee6e36a316ddd4eddababad1adf9.
"""

import argparse
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

SOURCE = "raise SystemExit('a file was run')"
SHIPPED = ("skip-classes-32", "resnet-32", "t-classes-32", "r-32")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shipped", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(options.checkout))
    if options.shipped:
        _leave_out_source()
    networks = _stylegan3 if (options.checkout / "training" / "networks_stylegan3.py").exists() else _stylegan2
    for name, make in networks().items():
        if not options.shipped or name in SHIPPED:
            torch.manual_seed(0)
            _write(options.folder / name, _stirred(make()), step=7 if options.shipped else 1)


def _leave_out_source() -> None:
    from torch_utils import persistence  # pyright: ignore[reportMissingImports]

    persistence._module_to_src = lambda module: SOURCE


def _stylegan2() -> dict[str, Any]:
    from training.networks import Generator  # pyright: ignore[reportMissingImports]

    def network(architecture: str, classes: int, side: int, clamp: float | None, **mapping: Any) -> Any:
        synthesis = {"channel_base": 4 * side, "channel_max": 12, "architecture": architecture, "conv_clamp": clamp}
        return lambda: Generator(24, classes, 16, side, 3, mapping_kwargs={"num_layers": 3, **mapping}, synthesis_kwargs=synthesis)

    networks = {
        f"{architecture}{'-classes' * bool(classes)}-{side}": network(architecture, classes, side, clamp)
        for architecture in ("skip", "resnet", "orig")
        for classes in (0, 3)
        for side, clamp in ((32, None), (64, 256))
    }
    return networks | {
        "clamped-32": network("resnet", 0, 32, 1.0, layer_features=12),
        "skip-classes-8": network("skip", 3, 8, None, embed_features=5),
    }


def _stylegan3() -> dict[str, Any]:
    from training import networks_stylegan2  # pyright: ignore[reportMissingImports]
    from training.networks_stylegan3 import Generator  # pyright: ignore[reportMissingImports]

    def network(classes: int, side: int, **settings: Any) -> Any:
        settings = {"channel_base": 256, "channel_max": 8, "num_layers": 6, "mapping_kwargs": {"num_layers": 2}} | settings
        return lambda: Generator(24, classes, 16, side, 3, **settings)

    networks = {
        f"{kind}{'-classes' * bool(classes)}-{side}": network(classes, side, **settings)
        for kind, settings in (("t", {}), ("r", {"channel_base": 512, "channel_max": 12, "conv_kernel": 1, "use_radial_filters": True}))
        for classes in (0, 3)
        for side in (32, 64)
    }
    networks["t-clamped-128"] = network(0, 128, num_layers=14, channel_max=8, conv_clamp=1)
    networks["new-skip-32"] = lambda: networks_stylegan2.Generator(24, 0, 16, 32, 3, channel_base=256, channel_max=16)
    return networks


def _stirred(network: Any) -> Any:
    """Random numbers where a fresh network has zeros and ones, so that each tensor matters; images within about -1..1."""
    generator = torch.Generator().manual_seed(7)
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        random = torch.randn(value.shape, generator=generator)
        if name.endswith("bias"):
            value.data += random * (30 if "mapping.fc" in name else 0.3)
        elif name.endswith(("noise_strength", "w_avg", "input.affine.weight")):
            value.data = random * 0.3
        elif name.endswith("magnitude_ema"):
            value.data = random.exp()
        elif name.endswith("transform"):
            value.data += 0.05 * torch.tensor([[1.0, -2.0, 1.0], [2.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
        elif name.endswith("torgb.weight"):
            value.data *= 0.2
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def _write(stem: Path, network: Any, step: int) -> None:
    z = torch.randn(32, network.z_dim, generator=torch.Generator().manual_seed(1))
    c = torch.eye(network.c_dim)[torch.arange(32) % network.c_dim] if network.c_dim else torch.zeros(32, 0)
    w = network.mapping(z, c)
    images = torch.cat([network.synthesis(part, noise_mode="const") for part in w.split(8)])[:, :, ::step, ::step]
    stem.parent.mkdir(parents=True, exist_ok=True)
    content = {"G": None, "D": None, "G_ema": network, "augment_pipe": None, "training_set_kwargs": None}
    stem.with_suffix(".pkl").write_bytes(pickle.dumps(content))
    np.savez_compressed(stem.with_suffix(".npz"), z=z.numpy(), c=c.numpy(), w=w[:, 0].numpy(), images=images.numpy())
    print(f"{stem.name}: largest value {images.abs().max():.2f}")


if __name__ == "__main__":
    main()
