"""Reader of PyTorch-GAN's generators (Linder-Norén 2018), which many have copied: linear layers alone, or one, then convolutions, two after an
enlargement.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.errors import CheckpointError
from resgen.interop.conv_chain import ENLARGED, PLAIN, TRANSPOSED, ConvChainConfig
from resgen.interop.dcgan import Layer, linear_of, said_classes, said_epsilon, stem_of, taken_for_granted, weights_of
from resgen.interop.layers import ACTIVATIONS
from resgen.interop.reading import ImportOptions, Reading, UnsaidError
from resgen.interop.state_dicts import StateDict

SETTINGS = ("activation", "epsilon", "num_classes", "class_at")
EPSILON = 0.8  # of the norms after convolutions and linear layers: meant as a momentum there, and trained with
STEM, STEM_NORM = "l1.0", "conv_blocks.0"
LAYOUTS = {True: ((2, 6, 9), (3, 7)), False: ((1, 5, 8), (2, 6))}  # places of convolutions and norms in `conv_blocks`, which a norm begins, or none
ROW = "model"  # of linear layers


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of one of its generators."""
    return _is_row(state) or {f"{STEM}.weight", *(f"conv_blocks.{place}.weight" for places in _layout(state) for place in places)} <= set(state)


def read(state: StateDict, asked: ImportOptions) -> Reading:
    """A class is an embedding, or one-hot where it is said. Their activation is a leaky ReLU; of copies with another, it is said."""
    return _read_row(state, asked) if _is_row(state) else _read_convolutions(state, asked)


def _layout(state: StateDict) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return LAYOUTS[f"{STEM_NORM}.running_mean" in state]


def _is_row(state: StateDict) -> bool:
    """Whether there are linear layers alone, norms from the second on: a discriminator has none."""
    within = {name: value for name, value in state.items() if name.startswith(f"{ROW}.")}
    return {f"{ROW}.0.weight", f"{ROW}.2.weight", f"{ROW}.3.running_mean"} <= set(within) and all(value.ndim <= 2 for value in within.values())


def _read_convolutions(state: StateDict, asked: ImportOptions) -> Reading:
    settings, (convolutions, norms) = asked.settings, _layout(state)
    linear = linear_of(state, STEM)
    if f"{STEM_NORM}.running_mean" in state:
        linear = linear.normed(state, STEM_NORM)
    embed = _embed(state.get("label_emb.weight"), linear, settings)
    classes, embedding = embed.shape
    linear = linear.class_last(embedding, settings)
    layers = [Layer(PLAIN, state[f"conv_blocks.{place}.weight"].float(), state[f"conv_blocks.{place}.bias"].float()) for place in convolutions]
    epsilon, activation = said_epsilon(settings, EPSILON), _activation(settings)
    layers = [*(layer.normed(state, f"conv_blocks.{place}", epsilon) for layer, place in zip(layers, norms, strict=False)), layers[-1]]
    config = ConvChainConfig(
        num_classes=classes,
        image_channels=len(layers[-1].bias),
        embedding=embedding,
        **stem_of(linear, layers, "none", embedding),
        kinds=(ENLARGED, ENLARGED, PLAIN),
        widths=tuple(len(layer.bias) for layer in layers),
        kernels=(3, 3, 3),
        strides=(1, 1, 1),
        paddings=(1, 1, 1),
        activations=(activation, activation, asked.output or "tanh"),
    )
    assumed = {"activation": [activation], "epsilon": [epsilon]}
    return Reading(config, weights_of(linear, layers, embed), remarks=taken_for_granted(assumed, settings))


def _read_row(state: StateDict, asked: ImportOptions) -> Reading:
    """An embedding of a class comes before z."""
    epsilon, activation = said_epsilon(asked.settings, EPSILON), _activation(asked.settings)
    layers = _linear_layers(state, epsilon)
    embed = _embed(state.get("label_emb.weight"), layers[0], asked.settings)
    classes, embedding = embed.shape
    place = {"class_at": 0} if embedding and "label_emb.weight" in state else {}
    layers = _of_pixels([layers[0].class_last(embedding, place | asked.settings), *layers[1:]], activation)
    config = ConvChainConfig(
        num_classes=classes,
        image_channels=len(layers[-1].bias),
        embedding=embedding,
        **stem_of(None, layers, "none", embedding),
        kinds=(TRANSPOSED,) * len(layers),
        widths=tuple(len(layer.bias) for layer in layers),
        kernels=tuple(layer.weight.shape[-1] for layer in layers),
        strides=(1,) * len(layers),
        paddings=(0,) * len(layers),
        activations=(*[activation] * (len(layers) - 1), asked.output or "tanh"),
    )
    assumed = {"activation": [activation], "epsilon": [epsilon], **{name: [value] for name, value in place.items()}}
    return Reading(config, weights_of(None, layers, embed), remarks=taken_for_granted(assumed, asked.settings))


def _linear_layers(state: StateDict, epsilon: float) -> list[Layer]:
    layers = list[Layer]()
    for name in dict.fromkeys(name.rpartition(".")[0] for name in state if name.startswith(f"{ROW}.")):
        if f"{name}.running_mean" in state:
            layers[-1] = layers[-1].normed(state, name, epsilon)
        else:
            layers.append(linear_of(state, name))
    return layers


def _of_pixels(layers: list[Layer], activation: str) -> list[Layer]:
    """The same as transposed convolutions of one pixel, of which the last makes the image.

    It would add one bias to all pixels: theirs are weights of a further channel, which is constant.
    """
    *hidden, last = layers
    channels = next((count for count in (1, 3) if count * math.isqrt(len(last.bias) // count) ** 2 == len(last.bias)), 0)
    if not channels:
        raise CheckpointError(f"The last layer of this generator makes {len(last.bias)} numbers, which are no square image, grey or in colours.")
    side = math.isqrt(len(last.bias) // channels)
    narrow = [Layer(TRANSPOSED, layer.weight.T[:, :, None, None].contiguous(), layer.bias) for layer in hidden]
    wide = Layer(TRANSPOSED, F.pad(narrow[-1].weight, [0, 0, 0, 0, 0, 1]), F.pad(narrow[-1].bias, [0, 1], value=1.0))
    constant = ACTIVATIONS[activation](torch.ones(1))
    weight = torch.cat([last.weight.T, last.bias[None] / constant]).view(-1, channels, side, side)
    return [*narrow[:-1], wide, Layer(TRANSPOSED, weight, torch.zeros(channels))]


def _embed(embed: Tensor | None, linear: Layer, settings: dict[str, Any]) -> Tensor:
    """What the linear layer reads of each class [classes, embedding]: the file's embeddings, or as many classes as are said.

    Raises UnsaidError where it does not read them beside noise, CheckpointError for what cannot be meant.
    """
    if embed is None:
        return torch.eye(said_classes(linear, settings))
    said = settings.get("num_classes", len(embed))
    if said == len(embed) and embed.shape[1] < linear.inputs:
        return embed.float()
    if said != 0:
        raise UnsaidError(
            "This generator multiplies noise by its class's embedding, which is not linear: export it to ONNX and import that; "
            "or it leaves the embedding unused: then say num_classes: 0 in a --config file."
        )
    return torch.eye(0)


def _activation(settings: dict[str, Any]) -> str:
    activation = settings.get("activation", "leaky_relu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise CheckpointError(f"The configuration's activation must be one of: {', '.join(ACTIVATIONS)}.")
    return activation
