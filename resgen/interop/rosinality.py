"""Reader of the StyleGAN2 of rosinality/stylegan2-pytorch, of which there are many copies: the skip architecture, with gains that follow from shapes."""

from resgen.interop.reading import ImportOptions, Reading, refuse_sigmoid
from resgen.interop.state_dicts import StateDict
from resgen.interop.style import MAX_LAYERS
from resgen.interop.style_files import SLOWED, Folding, check_filter, root_of_inputs
from resgen.interop.stylegan2 import StyleGAN2Config

SETTINGS: tuple[str, ...] = ()
MEAN_W = "latent_avg"
BESIDE = (MEAN_W,)  # in the table that holds the network, or where programs that find latents keep it, around both
FILTER_GAIN = 4  # three of four samples were zeros


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of one of its generators."""
    return {"input.input", "style.1.weight", "conv1.conv.modulation.weight", "to_rgb1.conv.weight"} <= set(state)


def read(state: StateDict, asked: ImportOptions) -> Reading:
    refuse_sigmoid(asked)
    for name in state:
        if name.startswith(("convs.", "to_rgbs.")) and name.endswith(".kernel"):
            check_filter(state[name], FILTER_GAIN)
    blocks = 1 + sum(f"to_rgbs.{index}.bias" in state for index in range(MAX_LAYERS))
    layers = [f"style.{place}" for place in range(1, MAX_LAYERS + 1) if f"style.{place}.weight" in state]
    sizes = (state["style.1.weight"].shape[1], *(len(state[f"{name}.bias"]) for name in layers))
    lasts = ("conv1", *(f"convs.{2 * depth - 1}" for depth in range(1, blocks)))
    widths = tuple(len(state[f"{name}.activate.bias"]) for name in lasts)
    config = StyleGAN2Config(image_channels=state["to_rgb1.bias"].numel(), widths=widths, mapping=sizes)
    folding = Folding(state)
    for index, name in enumerate(layers):
        folding.equalised(f"mapping.layers.{index}", name, SLOWED)
    folding.weights["const"] = folding.take("input.input")[0]
    for depth, last in enumerate(lasts):
        _fold_layer(folding, f"blocks.{depth}.conv1", last, 2 * depth)
        if depth:
            _fold_layer(folding, f"blocks.{depth}.conv0", f"convs.{2 * depth - 2}", 2 * depth - 1)
        _fold_image(folding, f"blocks.{depth}.to_image", f"to_rgbs.{depth - 1}" if depth else "to_rgb1")
    # Programs that find latents keep it once for each layer.
    mean_w = folding.take(MEAN_W).view(-1, config.w_dim)[:1] if MEAN_W in state else None
    return Reading(config, folding.weights, mean_w=mean_w)


def _fold_layer(folding: Folding, ours: str, theirs: str, noise: int) -> None:
    _fold_convolution(folding, ours, theirs)
    folding.copy(f"{ours}.bias", f"{theirs}.activate.bias")
    folding.weights[f"{ours}.noise"] = folding.take(f"noises.noise_{noise}")[0, 0] * folding.number(f"{theirs}.noise.weight")


def _fold_image(folding: Folding, ours: str, theirs: str) -> None:
    _fold_convolution(folding, ours, theirs)
    folding.weights[f"{ours}.bias"] = folding.take(f"{theirs}.bias").flatten()


def _fold_convolution(folding: Folding, ours: str, theirs: str) -> None:
    weight = folding.take(f"{theirs}.conv.weight")[0]
    folding.equalised(f"{ours}.style", f"{theirs}.conv.modulation")
    folding.weights[f"{ours}.weight"] = weight / root_of_inputs(weight)
