"""Reader of pytorch-pretrained-BigGAN: DeepMind's BigGAN-deep, as Hugging Face brought it to PyTorch."""

import re

import torch
from torch import Tensor

from resgen.interop.bottleneck import BottleneckConfig
from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.state_dicts import StateDict, attention_of, before_tanh, conditional, layer, named, pick, statistics

SETTINGS: tuple[str, ...] = ()
BASE = 4
EPSILON = 1e-4
SHOWN = 3  # channels of the last convolution that are an image


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of a BigGAN of pytorch-pretrained-BigGAN."""
    return {"embeddings.weight", "generator.bn.running_means"} <= set(state) and "generator.layers.0.bn_0.running_means" in state


def read(state: StateDict, asked: ImportOptions) -> Reading:
    """Its norms have statistics for 51 truncations, of which those of no truncation, the last, are taken."""
    places = sorted({int(found[1]) for name in state if (found := re.match(r"generator\.layers\.(\d{1,3})\.", name))})
    blocks = [place for place in places if f"generator.layers.{place}.bn_0.running_means" in state]
    classes, stem = state["embeddings.weight"], pick(state, "generator.gen_z.weight")
    width = stem.shape[0] // BASE**2
    widths = tuple(len(state[f"generator.layers.{place}.conv_3.bias"]) for place in blocks)
    config = BottleneckConfig(
        num_classes=classes.shape[1],
        z_dim=stem.shape[1] - classes.shape[0],
        embedding=classes.shape[0],
        stem_width=width,
        widths=widths,
        enlarging=tuple(index % 2 == 1 for index in range(len(blocks))),  # as in all that were published
        attention=tuple(blocks.index(place - 1) for place in places if place not in blocks),
    )
    weights: StateDict = {"embed": classes.float().T.contiguous()} | named(
        "to_image", before_tanh(_shown(layer(state, "generator.conv_to_rgb")), asked.output)
    )
    project = {"weight": stem, "bias": state["generator.gen_z.bias"].float()}
    weights |= named("project", {name: _channels_first(value, width) for name, value in project.items()})
    for index, place in enumerate(blocks):
        for part in range(4):
            weights |= named(f"blocks.{index}.norms.{part}", _norm(state, f"generator.layers.{place}.bn_{part}"))
            weights |= named(f"blocks.{index}.convs.{part}", layer(state, f"generator.layers.{place}.conv_{part}"))
    for place in (place for place in places if place not in blocks):
        weights |= named(f"attention.{blocks.index(place - 1)}", _attention(state, f"generator.layers.{place}"))
    weights |= named(
        "norm", _statistics(state, "generator.bn") | {"bias": torch.cat([state["generator.bn.weight"], state["generator.bn.bias"]]).float()}
    )
    return Reading(config, weights)


def _channels_first(values: Tensor, width: int) -> Tensor:
    """Rows that were ordered y, x, channel, as TensorFlow has them, ordered channel, y, x."""
    return values.view(BASE, BASE, width, *values.shape[1:]).movedim(2, 0).reshape(values.shape)


def _shown(values: StateDict) -> StateDict:
    return {name: value[:SHOWN].contiguous() for name, value in values.items()}


def _statistics(state: StateDict, name: str) -> StateDict:
    return statistics(state[f"{name}.running_means"][-1], state[f"{name}.running_vars"][-1], EPSILON)


def _norm(state: StateDict, name: str) -> StateDict:
    return _statistics(state, name) | conditional(pick(state, f"{name}.scale.weight"), pick(state, f"{name}.offset.weight"))


def _attention(state: StateDict, name: str) -> StateDict:
    return attention_of(lambda part: pick(state, f"{name}.snconv1x1_{part}.weight"), state[f"{name}.gamma"], out="o_conv")
