"""Reader of PyTorch-GAN's generators (Linder-Norén 2018), which many have copied: a linear layer, then convolutions, two after an enlargement."""

from typing import Any

import torch
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.interop.conv_chain import ENLARGED, PLAIN, ConvChainConfig
from resgen.interop.dcgan import Layer, linear_of, said_classes, said_epsilon, stem_of, taken_for_granted, weights_of
from resgen.interop.layers import ACTIVATIONS
from resgen.interop.reading import ImportOptions, Reading, UnsaidError
from resgen.interop.states import State

SETTINGS = ("activation", "epsilon", "num_classes", "class_at")
EPSILON = 0.8  # of the norms after convolutions: meant as a momentum there, and trained with
STEM = "l1.0"
CONVOLUTIONS, NORMS = (2, 6, 9), (3, 7)  # places in `conv_blocks`


def sniff(state: State) -> bool:
    """Whether these are the tensors of one of its convolutional generators."""
    wanted = {f"{STEM}.weight", "conv_blocks.0.running_mean", *(f"conv_blocks.{place}.weight" for place in (*CONVOLUTIONS, *NORMS))}
    return wanted <= set(state)


def read(state: State, asked: ImportOptions) -> Reading:
    """A class is an embedding after z, or one-hot where it is said. Their activation is a leaky ReLU; of copies with another, it is said."""
    settings = asked.settings
    linear = linear_of(state, STEM).normed(state, "conv_blocks.0")
    embed = _embed(state.get("label_emb.weight"), linear, settings)
    classes, embedding = embed.shape
    linear = linear.class_last(embedding, settings)
    layers = [Layer(PLAIN, state[f"conv_blocks.{place}.weight"].float(), state[f"conv_blocks.{place}.bias"].float()) for place in CONVOLUTIONS]
    epsilon, activation = said_epsilon(settings, EPSILON), _activation(settings)
    layers = [*(layer.normed(state, f"conv_blocks.{place}", epsilon) for layer, place in zip(layers, NORMS, strict=False)), layers[-1]]
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
