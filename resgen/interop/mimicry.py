"""Reader of mimicry (Lee & Town 2020): SNGAN, SSGAN, InfoMax-GAN and WGAN-GP, which are one network, and cGAN-PD."""

import math

from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.resnet import ResNetConfig
from resgen.interop.state_dicts import StateDict, before_tanh, layer, named, plain_norm

SETTINGS: tuple[str, ...] = ()
EPSILON = 1e-5  # torch's default


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of one of mimicry's residual generators."""
    return {"l1.weight", "block2.c1.weight", "block2.c_sc.weight"} <= set(state) and (
        "block2.b1.weight" in state or "block2.b1.embed.weight" in state
    )


def read(state: StateDict, asked: ImportOptions) -> Reading:
    blocks = sum(f"block{i}.c1.weight" in state for i in range(2, 12))
    last = blocks + 2
    stem_width = state["block2.c1.weight"].shape[1]
    embed = state.get("block2.b1.embed.weight")
    config = ResNetConfig(
        num_classes=0 if embed is None else embed.shape[0],
        image_channels=state[f"c{last}.weight"].shape[0],
        z_dim=state["l1.weight"].shape[1],
        base_resolution=math.isqrt(state["l1.weight"].shape[0] // stem_width),
        stem_width=stem_width,
        widths=tuple(state[f"block{i}.c1.weight"].shape[0] for i in range(2, last)),
        upsampling="bilinear",
    )
    weights = named("project", layer(state, "l1"))
    for index in range(blocks):
        theirs = f"block{index + 2}"
        for norm, ours in (("b1", "norm1"), ("b2", "norm2")):
            weights |= named(f"blocks.{index}.{ours}", _norm(state, f"{theirs}.{norm}"))
        for conv, ours in (("c1", "conv1"), ("c2", "conv2"), ("c_sc", "skip")):
            weights |= named(f"blocks.{index}.{ours}", layer(state, f"{theirs}.{conv}"))
    weights |= named("norm", plain_norm(state, f"b{last}", EPSILON)) | named("to_image", before_tanh(layer(state, f"c{last}"), asked.output))
    return Reading(config, weights)


def _norm(state: StateDict, name: str) -> StateDict:
    if f"{name}.embed.weight" not in state:
        return plain_norm(state, name, EPSILON)
    plain, embed = plain_norm(state, f"{name}.bn", EPSILON), state[f"{name}.embed.weight"].float()  # of each class scale, then shift
    return {**plain, "weight": embed.T.contiguous(), "bias": embed.new_zeros(embed.shape[1])}
