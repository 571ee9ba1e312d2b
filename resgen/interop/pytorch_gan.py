"""Reader of PyTorch-GAN's generators (Linder-Norén 2018), which many have copied: a linear layer, then convolutions, two after an enlargement."""

import math
from typing import Any

from resgen.errors import CheckpointError
from resgen.interop.conv_chain import ENLARGED, PLAIN, ConvChainConfig
from resgen.interop.dcgan import Layer, linear_of, weights_of
from resgen.interop.layers import ACTIVATIONS
from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.states import State

EPSILON = 0.8  # of the norms after convolutions: meant as a momentum there, and trained with
STEM = "l1.0"
CONVOLUTIONS, NORMS = (2, 6, 9), (3, 7)  # places in `conv_blocks`


def sniff(state: State) -> bool:
    """Whether these are the tensors of one of its convolutional generators."""
    wanted = {f"{STEM}.weight", "conv_blocks.0.running_mean", *(f"conv_blocks.{place}.weight" for place in (*CONVOLUTIONS, *NORMS))}
    return wanted <= set(state)


def read(state: State, asked: ImportOptions) -> Reading:
    """A class is an embedding after z. Their activation is a leaky ReLU; of copies with another, a configuration says ``activation``."""
    embed = state.get("label_emb.weight")
    linear = linear_of(state, STEM).normed(state, "conv_blocks.0")
    layers = [Layer(PLAIN, state[f"conv_blocks.{place}.weight"].float(), state[f"conv_blocks.{place}.bias"].float()) for place in CONVOLUTIONS]
    layers = [*(layer.normed(state, f"conv_blocks.{place}", EPSILON) for layer, place in zip(layers, NORMS, strict=False)), layers[-1]]
    embedding = 0 if embed is None else embed.shape[1]
    if linear.weight.shape[1] <= embedding:
        raise CheckpointError("This generator multiplies noise by its class's embedding, which is not linear; ResGen opens those that join the two.")
    activation = _activation(asked.settings)
    width = layers[0].weight.shape[1]
    config = ConvChainConfig(
        num_classes=0 if embed is None else embed.shape[0],
        image_channels=len(layers[-1].bias),
        z_dim=linear.weight.shape[1] - embedding,
        embedding=embedding,
        stem_width=width,
        base_resolution=math.isqrt(len(linear.bias) // width),
        kinds=(ENLARGED, ENLARGED, PLAIN),
        widths=tuple(len(layer.bias) for layer in layers),
        kernels=(3, 3, 3),
        strides=(1, 1, 1),
        paddings=(1, 1, 1),
        activations=(activation, activation, "tanh"),
    )
    weights = weights_of(linear, layers)
    return Reading(config, weights if embed is None else weights | {"embed": embed.float()})


def _activation(settings: dict[str, Any]) -> str:
    activation = settings.get("activation", "leaky_relu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise CheckpointError(f"The configuration's activation must be one of: {', '.join(ACTIVATIONS)}.")
    return activation
