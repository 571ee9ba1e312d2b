"""Reader of PyTorch-StudioGAN (Kang et al. 2023): backbones resnet, big_resnet and both big_resnet_deep, with their YAML configuration.

Shapes tell everything but the activation, and in deep ones how many blocks make a stage; without a configuration these are StudioGAN's defaults.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.fields import is_table
from resgen.interop.bottleneck import BottleneckConfig
from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.resnet import ResNetConfig
from resgen.interop.state_dicts import StateDict, attention_of, before_tanh, conditional, layer, named, pick, plain_norm

SETTINGS = None  # its own configuration, most of which is about training
BASE = 4
EPSILON = 1e-4
ACTIVATION_NAMES = {"ReLU": "relu", "Leaky_ReLU": "leaky_relu_0.1", "ELU": "elu", "GELU": "gelu"}
DEPTH = 2  # blocks of a stage in every published configuration of a deep one


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of one of StudioGAN's residual generators."""
    return {"linear0.bias", "bn4.running_mean", "conv2d5.bias", "blocks.0.0.conv2d1.bias"} <= set(state)


def read(state: StateDict, asked: ImportOptions) -> Reading:
    if any(name.startswith("info_") for name in state):
        raise CheckpointError(
            "This StudioGAN generator takes information codes beside noise (InfoGAN), which ResGen cannot give it; import one without."
        )
    model = _table(asked.settings, "MODEL")
    wanted = model.get("g_act_fn", "ReLU")
    if wanted not in ACTIVATION_NAMES:
        raise CheckpointError(f"The configuration's g_act_fn {str(wanted)[:40]!r} is not one of {', '.join(ACTIVATION_NAMES)}.")
    places = sorted({int(found[1]) for name in state if (found := re.match(r"blocks\.(\d{1,3})\.0\.", name))})
    blocks = [place for place in places if f"blocks.{place}.0.conv2d1.bias" in state]
    attention = tuple(blocks.index(place - 1) for place in places if place not in blocks)
    read_them = _read_deep if "blocks.0.0.conv2d4.bias" in state else _read_resnet
    config, weights = read_them(state, blocks, {"attention": attention, "activation": ACTIVATION_NAMES[wanted]}, asked.settings)
    for place in (place for place in places if place not in blocks):
        weights |= named(f"attention.{blocks.index(place - 1)}", _attention(state, f"blocks.{place}.0"))
    weights |= named("norm", plain_norm(state, "bn4", EPSILON)) | named("to_image", before_tanh(layer(state, "conv2d5"), asked.output))
    return Reading(config, weights)


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found = settings.get(name, {})
    return found if is_table(found) else {}


def _read_resnet(state: StateDict, blocks: list[int], more: dict[str, Any], settings: dict[str, Any]) -> tuple[ResNetConfig, StateDict]:
    width, project, shared = pick(state, "blocks.0.0.conv2d1.weight").shape[1], layer(state, "linear0"), state.get("shared.weight")
    reads = pick(state, "blocks.0.0.bn1.gain.weight").shape[1] if _conditional(state) else 0
    chunk, embedding = project["weight"].shape[1], 0 if shared is None else shared.shape[1]
    chunked = reads == embedding + chunk and (shared is not None or _table(settings, "MODEL").get("backbone") == "big_resnet")
    config = ResNetConfig(
        num_classes=reads if shared is None and not chunked else 0 if shared is None else shared.shape[0],
        z_dim=chunk * (len(blocks) + 1) if chunked else chunk,
        base_resolution=BASE,
        stem_width=width,
        widths=tuple(len(state[f"blocks.{place}.0.conv2d2.bias"]) for place in blocks),
        embedding=embedding,
        chunked=chunked,
        **more,
    )
    weights: StateDict = named("project", project) | ({} if shared is None else {"embed": shared.float()})
    for index, place in enumerate(blocks):
        for theirs, ours in (("conv2d0", "skip"), ("conv2d1", "conv1"), ("conv2d2", "conv2")):
            weights |= named(f"blocks.{index}.{ours}", layer(state, f"blocks.{place}.0.{theirs}"))
        for part in (1, 2):
            weights |= named(f"blocks.{index}.norm{part}", _norm(state, f"blocks.{place}.0.bn{part}"))
    return config, weights


def _read_deep(state: StateDict, blocks: list[int], more: dict[str, Any], settings: dict[str, Any]) -> tuple[BottleneckConfig, StateDict]:
    width, project, shared = pick(state, "blocks.0.0.conv2d1.weight").shape[1], layer(state, "linear0"), state.get("shared.weight")
    embedding = 0 if shared is None else shared.shape[1]
    depth, convolve = _depth(len(blocks), settings), f"blocks.{blocks[0]}.0.conv2d0.bias" in state
    config = BottleneckConfig(
        num_classes=0 if shared is None else shared.shape[0],
        z_dim=project["weight"].shape[1] - embedding,
        embedding=embedding,
        base_resolution=BASE,
        stem_width=width,
        widths=tuple(len(state[f"blocks.{place}.0.conv2d4.bias"]) for place in blocks),
        enlarging=tuple(index % depth == depth - 1 for index in range(len(blocks))),
        skip="convolve" if convolve else "drop",
        **more,
    )
    weights: StateDict = {} if shared is None else {"embed": shared.float()}
    weights |= named("project", project | {"weight": _class_last(project["weight"], embedding)})
    for index, place in enumerate(blocks):
        if convolve:
            weights |= named(f"blocks.{index}.skip", layer(state, f"blocks.{place}.0.conv2d0"))
        for part in range(4):
            weights |= named(f"blocks.{index}.convs.{part}", layer(state, f"blocks.{place}.0.conv2d{part + 1}"))
            norm = _norm(state, f"blocks.{place}.0.bn{part + 1}")
            weights |= named(f"blocks.{index}.norms.{part}", norm | {"weight": _class_last(norm["weight"], embedding)})
    return config, weights


def _depth(blocks: int, settings: dict[str, Any]) -> int:
    """Blocks of a stage, the last of which doubles the size."""
    side = _table(settings, "DATA").get("img_size")
    if not isinstance(side, int) or side <= BASE:
        return DEPTH
    doublings = round(math.log2(side / BASE))
    if BASE * 2**doublings != side or blocks % doublings:
        raise CheckpointError(
            f"The configuration's img_size {side} does not go with the {blocks} blocks of this file; give the configuration it was trained with."
        )
    return blocks // doublings


def _conditional(state: StateDict) -> bool:
    return any(name.startswith("blocks.0.0.bn1.gain.weight") for name in state)


def _class_last(weight: Tensor, embedding: int) -> Tensor:
    """Columns that were the class, then z, turned about."""
    return torch.cat([weight[:, embedding:], weight[:, :embedding]], dim=1)


def _norm(state: StateDict, name: str) -> StateDict:
    if not _conditional(state):
        return plain_norm(state, name, EPSILON)
    return plain_norm(state, f"{name}.bn", EPSILON) | conditional(pick(state, f"{name}.gain.weight"), pick(state, f"{name}.bias.weight"))


def _attention(state: StateDict, name: str) -> StateDict:
    return attention_of(lambda part: pick(state, f"{name}.conv1x1_{part}.weight"), state[f"{name}.sigma"], out="attn")
