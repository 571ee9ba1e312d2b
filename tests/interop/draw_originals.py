"""Makes `drawn/`: what original implementations draw of 32 latents, to compare ours with; their weights follow from names and shapes.

``python tests/interop/draw_originals.py FOLDER`` needs in FOLDER checkouts of kwotsin/mimicry a7fda06c4aff1e6af8dc4c4a35ed6636e434c766,
huggingface/pytorch-pretrained-BigGAN 1e18aed2dff75db51428f13b940c38b923eb4a3d, brownvc/R3GAN 19a7ddf463fbac2bd39b4c1c73d63f1c441c7403 and
POSTECH-CVLab/PyTorch-StudioGAN 947b35e9835b67860fdce44d337f6d7fee7c8db3. The DCGAN is the row of layers of pytorch/examples' dcgan/main.py
at 00b1e34c536d1cd312f561bc8bceea3e78e74071. Widths are reduced where the original lets one.
"""

import importlib
import json
import sys
import types
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.interop.states import filled, latents, picked

HERE = Path(__file__).parent / "drawn"
SETTINGS = {"studiogan-big_resnet-free": {"MODEL": {"backbone": "big_resnet"}}}


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    for name, network, z_dim, classes, draw in (*mimicry(folder), *dcgan(), *biggan(folder), *r3gan(folder), *studiogan(folder)):
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        state = filled(shapes)
        kept = {key: value for key, value in network.state_dict().items() if key.endswith("Kernel")}  # filters, which follow from the code
        network.load_state_dict(state | kept)
        z, labels = latents(z_dim, classes)
        with torch.no_grad():
            images = torch.cat([draw(network.eval(), a, b) for a, b in zip(z.split(8), labels.split(8), strict=True)])
        about = json.dumps({"shapes": {key: value for key, value in shapes.items() if key not in kept}, "settings": SETTINGS.get(name, {})})
        np.savez_compressed(HERE / f"{name}.npz", about=np.array(about), images=picked(images).numpy().astype(np.float16))
        print(name, tuple(images.shape), f"{images.std():.2f}")


def package(name: str, folder: Path) -> None:
    """A package whose own `__init__` is not run."""
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(folder)]


def mimicry(folder: Path) -> Any:
    root = folder / "mimicry" / "torch_mimicry"
    package("torch_mimicry", root)
    package("torch_mimicry.nets", root / "nets")
    kinds = {"sngan": "SNGAN", "ssgan": "SSGAN", "infomax_gan": "InfoMaxGAN", "wgan_gp": "WGANGP", "cgan_pd": "CGANPD"}
    for family, name in kinds.items():
        package(f"torch_mimicry.nets.{family}", root / "nets" / family)
        classes = 5 if family == "cgan_pd" else 0
        for size in (32, 128) if classes else (32, 48, 64, 128):
            module = importlib.import_module(f"torch_mimicry.nets.{family}.{family}_{size}")
            network = getattr(module, f"{name}Generator{size}")(ngf=8 if size == 32 else 32, **({"num_classes": classes} if classes else {}))
            draw: Callable[..., Any] = (lambda g, z, y: g(z, y)) if classes else (lambda g, z, y: g(z))
            yield f"mimicry-{family}-{size}", network, 128, classes, draw


def dcgan() -> Any:
    for bias in (False, True):
        layers, before = list[nn.Module](), 100
        for index, width in enumerate((64, 32, 16, 8)):
            layers += [nn.ConvTranspose2d(before, width, 4, 2 if index else 1, 1 if index else 0, bias=bias), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        network = nn.Module()
        network.main = nn.Sequential(*layers, nn.ConvTranspose2d(before, 3, 4, 2, 1, bias=bias), nn.Tanh())
        yield f"dcgan-{'biased' if bias else 'plain'}", network, 100, 0, lambda g, z, y: g.main(z[:, :, None, None])


def biggan(folder: Path) -> Any:
    package("pytorch_pretrained_biggan", folder / "pytorch-pretrained-BigGAN" / "pytorch_pretrained_biggan")
    sys.modules["pytorch_pretrained_biggan.file_utils"] = types.ModuleType("file_utils")
    sys.modules["pytorch_pretrained_biggan.file_utils"].cached_path = None  # type: ignore[attr-defined]
    config = importlib.import_module("pytorch_pretrained_biggan.config").BigGANConfig(channel_width=8, num_classes=7)
    network = importlib.import_module("pytorch_pretrained_biggan.model").BigGAN(config)
    yield "biggan-128", network, 128, 7, lambda g, z, y: g(z, torch.eye(7)[y], 1.0)


def r3gan(folder: Path) -> Any:
    sys.path.insert(0, str(folder / "R3GAN"))
    for name in ("requests", "pkg_resources"):
        sys.modules.setdefault(name, types.ModuleType(name))
    from packaging.version import parse

    sys.modules["pkg_resources"].parse_version = parse  # type: ignore[attr-defined]
    make = importlib.import_module("training.networks").Generator
    common = {"NoiseDimension": 64, "ExpansionFactor": 2, "FP16Stages": []}
    yield "r3gan-classes-32", make(
        **common, WidthPerStage=[16] * 4, CardinalityPerStage=[4] * 4, BlocksPerStage=[2] * 4, ConditionEmbeddingDimension=64, c_dim=10,
        img_resolution=32,
    ), 64, 10, lambda g, z, y: g(z, torch.eye(10)[y])  # fmt: skip
    yield "r3gan-64", make(
        **common, WidthPerStage=[16, 16, 16, 16, 8], CardinalityPerStage=[4, 4, 4, 4, 2], BlocksPerStage=[2] * 5, ConditionEmbeddingDimension=0,
        c_dim=0, img_resolution=64,
    ), 64, 0, lambda g, z, y: g(z, None)  # fmt: skip


def studiogan(folder: Path) -> Any:
    root = folder / "PyTorch-StudioGAN" / "src"
    package("utils", root / "utils")
    package("models", root / "models")
    sys.modules["utils.misc"] = misc = types.ModuleType("utils.misc")
    misc.dummy_context_mgr = nullcontext  # type: ignore[attr-defined]
    sys.modules["utils"].misc = misc  # type: ignore[attr-defined]
    ops = importlib.import_module("utils.ops")
    cases = {  # backbone, conditional, spectral norms and attention, z, size
        "resnet-free": ("resnet", False, False, 128, 32), "resnet": ("resnet", True, True, 128, 64),
        "big_resnet": ("big_resnet", True, True, 80, 32), "big_resnet-free": ("big_resnet", False, True, 80, 32),
        "big_resnet-128": ("big_resnet", True, True, 120, 128), "deep_legacy": ("big_resnet_deep_legacy", True, True, 128, 32),
        "deep_legacy-64": ("big_resnet_deep_legacy", True, True, 128, 64), "deep_studiogan": ("big_resnet_deep_studiogan", True, True, 128, 32),
    }  # fmt: skip
    for name, (backbone, conditional, rich, z_dim, size) in cases.items():
        normed = conditional or backbone == "big_resnet"
        modules = types.SimpleNamespace(
            g_conv2d=ops.snconv2d if rich else ops.conv2d, g_linear=ops.snlinear if rich else ops.linear, g_act_fn=nn.ReLU(),
            g_bn=ops.ConditionalBatchNorm2d if normed else ops.batchnorm_2d,
        )  # fmt: skip
        model = types.SimpleNamespace(info_type="N/A", g_info_injection="N/A")
        shared = 32 if conditional and backbone != "resnet" else "N/A"
        method = "cBN" if conditional else "W/O"
        network = importlib.import_module(f"models.{backbone}").Generator(
            z_dim, shared, size, 8, rich, [2], method, 6, "ortho", 2, False, modules, model
        )
        yield f"studiogan-{name}", network, z_dim, 6 if conditional else 0, lambda g, z, y: g(z, y, eval=True)


if __name__ == "__main__":
    main()
