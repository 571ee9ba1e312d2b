"""Reader of StyleGAN3's pickles, and of StyleGAN-XL's: what the objects say of themselves, and the scale of layers made part of their weights."""

import re
from typing import cast

import torch

from resgen.architecture import check_ranges
from resgen.errors import CheckpointError
from resgen.interop.pickles import Plain
from resgen.interop.reading import Reading
from resgen.interop.state_dicts import StateDict
from resgen.interop.style import MAX_LAYERS
from resgen.interop.style_files import NamedFolding, Settings, fold_mapping, gains_of, mapping_sizes, root_of_inputs
from resgen.interop.stylegan3 import MAX_TAPS, FilteredLayer, StyleGAN3, StyleGAN3Config
from resgen.tensors import weightless


def sniff(state: Plain) -> bool:
    """Whether this is the plain state of a StyleGAN3 generator (see `pickles.averaged_generator`)."""
    synthesis = state.part("synthesis")
    return synthesis is not None and synthesis.part("input") is not None and bool(_layer_names(synthesis))


def read(stored: StateDict, state: Plain) -> Reading:
    """The network in a generator's tensors and its plain state. Raises CheckpointError."""
    whole = Settings(state, "generator")
    names = _layer_names(whole.part("synthesis").module)
    config = _config(whole, names, stored)
    with weightless():
        network = config.build()
    _check_filters(network, names, stored)
    folding = NamedFolding(stored, gains_of(whole))
    fold_mapping(folding, whole.part("mapping"), len(config.mapping) - 1)
    _fold_input(folding)
    for index, name in enumerate(names[:-1]):
        _fold_layer(folding, f"layers.{index}", f"synthesis.{name}")
    _fold_image(folding, f"synthesis.{names[-1]}")
    return Reading(config, folding.weights, mean_w=folding.mean_w(config.num_classes))


def _layer_names(synthesis: Plain) -> list[str]:
    """Names of the layers, such as L3_84_128: place, samples a side, channels."""
    modules = synthesis.state.get("_modules")
    found = [name for name in modules if re.fullmatch(r"L\d{1,2}_\d{1,4}_\d{1,4}", str(name))] if isinstance(modules, dict) else []
    return sorted(found, key=lambda name: int(name[1:].split("_")[0]))


def _config(whole: Settings, names: list[str], stored: StateDict) -> StyleGAN3Config:
    synthesis = whole.part("synthesis")
    check_ranges([(len(names), 2, MAX_LAYERS + 1)])
    layers = [synthesis.part(name) for name in names]
    first = layers[0]
    factor = first.whole("up_factor")
    check_ranges([(factor, 1, MAX_TAPS)])
    whole.part("mapping").part("fc0").expect("activation", "lrelu")
    sizes, embed = mapping_sizes(whole.part("mapping"), stored)
    return StyleGAN3Config(
        num_classes=whole.whole("c_dim"),
        image_channels=whole.whole("img_channels"),
        mapping=sizes,
        embed_width=embed,
        widths=tuple(layer.whole("out_channels") for layer in layers[:-1]),
        sides=tuple(layer.whole("out_size") for layer in layers),
        rates=tuple(layer.whole("out_sampling_rate") for layer in layers),
        cutoffs=tuple(layer.number("out_cutoff") for layer in layers),
        half_widths=tuple(layer.number("out_half_width") for layer in layers),
        kernel=first.whole("conv_kernel"),
        filter_size=first.whole("up_taps") // factor,
        oversampling=factor,  # the first layer's rate is that of its input
        radial=sum(layer.flag("down_radial") for layer in layers),
        clamp=0.0 if first.module.state.get("conv_clamp") is None else first.number("conv_clamp"),
        output_gain=synthesis.number("output_scale"),
    )


def _check_filters(network: StyleGAN3, names: list[str], stored: StateDict) -> None:
    """Refuse a file whose filters are not those that its bands ask for. Raises CheckpointError."""
    for layer, name in zip(cast(list[FilteredLayer], network.layers), names, strict=False):
        for ours, theirs in ((layer.rising, "up_filter"), (layer.falling, "down_filter")):
            found = stored.get(f"synthesis.{name}.{theirs}", torch.ones(1))
            if found.shape != ours.shape or not torch.allclose(found.float(), ours, atol=1e-5):
                raise CheckpointError(f"The generator's layer {name} has another filter than its band asks for, which this version cannot draw.")


def _fold_input(folding: NamedFolding) -> None:
    folding.linear("input.motion", "synthesis.input.affine")
    folding.copy("input.weight", "synthesis.input.weight", 1 / root_of_inputs(folding.take("synthesis.input.weight")))
    for ours, theirs in (("frequencies", "freqs"), ("phases", "phases"), ("transform", "transform")):
        folding.copy(f"input.{ours}", f"synthesis.input.{theirs}")


def _fold_layer(folding: NamedFolding, ours: str, theirs: str) -> None:
    """Weights of unit magnitude (the paper's appendix F.1: scale is the business of the gain); demodulation would bring them there too."""
    weight = folding.take(f"{theirs}.weight")
    magnitude = weight.flatten(1).square().mean(dim=1)[(...,) + (None,) * (weight.ndim - 1)]
    folding.linear(f"{ours}.style", f"{theirs}.affine")
    folding.copy(f"{ours}.weight", f"{theirs}.weight", magnitude.rsqrt())
    folding.copy(f"{ours}.bias", f"{theirs}.bias")
    folding.weights[f"{ours}.gain"] = folding.number(f"{theirs}.magnitude_ema").rsqrt()


def _fold_image(folding: NamedFolding, theirs: str) -> None:
    gain = folding.number(f"{theirs}.magnitude_ema").rsqrt() * (1 / root_of_inputs(folding.take(f"{theirs}.weight")))
    folding.linear("to_image.style", f"{theirs}.affine")
    folding.copy("to_image.weight", f"{theirs}.weight", gain)
    folding.copy("to_image.bias", f"{theirs}.bias")
