"""Reader of ajbrock/BigGAN-PyTorch (Brock et al. 2019), with or without a shared embedding of classes and parts of z for each block."""

import math
import re

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.resnet import ResNetConfig
from resgen.interop.state_dicts import StateDict, attention_of, before_tanh, conditional, named, statistics

SETTINGS: tuple[str, ...] = ()
EPSILON = 1e-5


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of one of its generators."""
    return {"linear.weight", "output_layer.2.weight", "blocks.0.0.bn1.stored_mean", "blocks.0.0.bn1.gain.weight", "blocks.0.0.conv_sc.weight"} <= set(
        state
    )


def read(state: StateDict, asked: ImportOptions) -> Reading:
    blocks = 1 + max(int(found[1]) for name in state if (found := re.match(r"blocks\.(\d{1,2})\.0\.", name)))
    shared, project, gain = state.get("shared.weight"), _layer(state, "linear"), state["blocks.0.0.bn1.gain.weight"]
    classes, embedding = (len(gain), 0) if shared is None else shared.shape
    chunk, stem_width = project["weight"].shape[1], state["blocks.0.0.conv1.weight"].shape[1]
    chunked = shared is not None and gain.shape[1] > embedding
    config = ResNetConfig(
        num_classes=classes,
        image_channels=len(state["output_layer.2.bias"]),
        z_dim=chunk * (blocks + 1) if chunked else chunk,
        base_resolution=math.isqrt(len(project["bias"]) // stem_width),
        stem_width=stem_width,
        widths=tuple(len(state[f"blocks.{index}.0.conv2.bias"]) for index in range(blocks)),
        embedding=embedding,
        chunked=chunked,
        attention=tuple(index for index in range(blocks) if f"blocks.{index}.1.gamma" in state),
    )
    weights: StateDict = named("project", project) | ({} if shared is None else {"embed": shared.float()})
    for index in range(blocks):
        for theirs, ours in (("conv1", "conv1"), ("conv2", "conv2"), ("conv_sc", "skip")):
            weights |= named(f"blocks.{index}.{ours}", _layer(state, f"blocks.{index}.0.{theirs}"))
        for part in (1, 2):
            weights |= named(f"blocks.{index}.norm{part}", _norm(state, f"blocks.{index}.0.bn{part}", shared is None))
    for index in config.attention:
        weights |= named(f"attention.{index}", _attention(state, f"blocks.{index}.1"))
    last = torch.cat([state["output_layer.0.gain"].float(), state["output_layer.0.bias"].float()])
    weights |= named("norm", {**_statistics(state, "output_layer.0"), "bias": last})
    return Reading(config, weights | named("to_image", before_tanh(_layer(state, "output_layer.2"), asked.output)))


def _weight(state: StateDict, name: str) -> Tensor:
    """Where it is spectrally normalised, its largest singular value is estimated from the vector that the file keeps, as each of its passes does."""
    weight = state[f"{name}.weight"].float()
    if f"{name}.u0" not in state:
        return weight
    matrix = weight.flatten(1)
    right = F.normalize(state[f"{name}.u0"].float() @ matrix)
    return weight / (right @ matrix.T).norm()


def _layer(state: StateDict, name: str) -> StateDict:
    return {"weight": _weight(state, name), "bias": state[f"{name}.bias"].float()}


def _statistics(state: StateDict, name: str) -> StateDict:
    return statistics(state[f"{name}.stored_mean"], state[f"{name}.stored_var"], EPSILON)


def _norm(state: StateDict, name: str, embedded: bool) -> StateDict:
    """Scale and shift are linear in a class's embedding, or where they are ``embedded`` themselves, a row for each class."""
    gain, bias = (_weight(state, f"{name}.{part}") for part in ("gain", "bias"))
    return _statistics(state, name) | (conditional(gain.T, bias.T) if embedded else conditional(gain, bias))


def _attention(state: StateDict, name: str) -> StateDict:
    return attention_of(lambda part: _weight(state, f"{name}.{part}"), state[f"{name}.gamma"])
