"""Reader of StyleGAN2's state dicts with NVIDIA's names, as PyTorch-StudioGAN saves them too: gains follow from shapes."""

import re

from resgen.interop.reading import ImportOptions, Reading, refuse_sigmoid
from resgen.interop.state_dicts import StateDict
from resgen.interop.style_files import SLOWED, Gains, NamedFolding, check_filter, root_of_inputs
from resgen.interop.stylegan2 import StyleGAN2Config

SETTINGS: tuple[str, ...] = ()
UNSAID = "Such a file does not tell whether its layers' outputs are clamped; it is assumed that they are not."


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of a StyleGAN2 under NVIDIA's names."""
    return {"mapping.fc0.weight", "synthesis.b4.const", "synthesis.b4.conv1.affine.weight"} <= set(state)


def read(state: StateDict, asked: ImportOptions) -> Reading:
    refuse_sigmoid(asked)
    check_filters(state)
    config = _config(state)
    folding = NamedFolding(state, _gains(state))
    folding.mapping(len(config.mapping) - 1, "embed" if config.num_classes else "")
    fold_blocks(folding, config)
    return Reading(config, folding.weights, mean_w=folding.mean_w(config.num_classes), remarks=(UNSAID,))


def _config(state: StateDict) -> StyleGAN2Config:
    side = max(int(found[1]) for name in state if (found := re.fullmatch(r"synthesis\.b(\d{1,5})\.conv1\.bias", name)))
    embed, layers = state.get("mapping.embed.weight"), sum(bool(re.fullmatch(r"mapping\.fc\d{1,3}\.weight", name)) for name in state)
    embedding, classes = (0, 0) if embed is None else embed.shape
    return StyleGAN2Config(
        num_classes=classes,
        image_channels=len(state[f"synthesis.b{side}.torgb.bias"]),
        widths=widths_of(state, side),
        mapping=(state["mapping.fc0.weight"].shape[1] - embedding, *(len(state[f"mapping.fc{index}.weight"]) for index in range(layers))),
        embed_width=embedding,
        architecture=_architecture(state),
        noise=f"synthesis.b{side}.conv1.noise_const" in state,
    )


def _architecture(state: StateDict) -> str:
    if any(name.endswith(".skip.weight") for name in state):
        return "resnet"
    return "skip" if "synthesis.b4.torgb.weight" in state else "orig"


def _gains(state: StateDict) -> Gains:
    """Those of equalised layers, of which the mapping's learn more slowly."""

    def gains(name: str) -> tuple[float, float]:
        rate = SLOWED if name.startswith("mapping.fc") else 1.0
        return rate / root_of_inputs(state[f"{name}.weight"]), rate

    return gains


def widths_of(state: StateDict, side: int) -> tuple[int, ...]:
    """Channels of each block of a network whose image has ``side`` pixels a side, coarse to fine; 0 where there is no such block."""
    return tuple(len(state.get(f"synthesis.b{4 * 2**depth}.conv1.bias", ())) for depth in range(side.bit_length() - 2))


def check_filters(state: StateDict) -> None:
    """Refuse filters that no published configuration uses. Raises CheckpointError."""
    for name in state:
        if name.startswith("synthesis.") and name.endswith("resample_filter"):
            check_filter(state[name])


def fold_blocks(folding: NamedFolding, config: StyleGAN2Config) -> None:
    """Take all but the mapping."""
    folding.copy("const", "synthesis.b4.const")
    for depth in range(len(config.widths)):
        _fold_block(folding, depth, config)


def _fold_block(folding: NamedFolding, depth: int, config: StyleGAN2Config) -> None:
    ours, theirs = f"blocks.{depth}", f"synthesis.b{4 * 2**depth}"
    for conv in ("conv0", "conv1") if depth else ("conv1",):
        folding.linear(f"{ours}.{conv}.style", f"{theirs}.{conv}.affine")
        folding.copy(f"{ours}.{conv}.weight", f"{theirs}.{conv}.weight")
        folding.copy(f"{ours}.{conv}.bias", f"{theirs}.{conv}.bias")
        if config.noise:
            folding.copy(f"{ours}.{conv}.noise", f"{theirs}.{conv}.noise_const", folding.number(f"{theirs}.{conv}.noise_strength"))
    if f"{theirs}.torgb.weight" in folding.stored:
        folding.linear(f"{ours}.to_image.style", f"{theirs}.torgb.affine", folding.gains(f"{theirs}.torgb")[0])
        folding.copy(f"{ours}.to_image.weight", f"{theirs}.torgb.weight")
        folding.copy(f"{ours}.to_image.bias", f"{theirs}.torgb.bias")
    if f"{theirs}.skip.weight" in folding.stored:
        folding.copy(f"{ours}.skip.weight", f"{theirs}.skip.weight", folding.gains(f"{theirs}.skip")[0])
