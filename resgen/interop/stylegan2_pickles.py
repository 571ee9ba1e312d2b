"""Reader of StyleGAN2's and StyleGAN2-ADA's pickles: what the objects say of themselves, and tensors as `stylegan2_states` has them."""

from resgen.architecture import check_ranges
from resgen.budget import MAX_RESOLUTION
from resgen.interop.pickles import Plain
from resgen.interop.reading import Reading
from resgen.interop.state_dicts import StateDict
from resgen.interop.style_files import NamedFolding, Settings, fold_mapping, gains_of, mapping_sizes
from resgen.interop.stylegan2 import ARCHITECTURES, StyleGAN2Config
from resgen.interop.stylegan2_states import check_filters, fold_blocks, widths_of


def sniff(state: Plain) -> bool:
    """Whether this is the plain state of a StyleGAN2 generator (see `pickles.averaged_generator`)."""
    synthesis = state.part("synthesis")
    first = synthesis.part("b4") if synthesis else None
    return first is not None and first.part("conv1") is not None


def read(stored: StateDict, state: Plain) -> Reading:
    """The network in a generator's tensors and its plain state. Raises CheckpointError."""
    whole = Settings(state, "generator")
    config = _config(whole, stored)
    folding = NamedFolding(stored, gains_of(whole))
    fold_mapping(folding, whole.part("mapping"), len(config.mapping) - 1)
    fold_blocks(folding, config)
    return Reading(config, folding.weights, mean_w=folding.mean_w(config.num_classes))


def _config(whole: Settings, stored: StateDict) -> StyleGAN2Config:
    synthesis, mapping = whole.part("synthesis"), whole.part("mapping")
    side = whole.whole("img_resolution")
    check_ranges([(side, 4, MAX_RESOLUTION)])
    widths = widths_of(stored, side)
    blocks = [synthesis.part(f"b{4 * 2**depth}") for depth in range(len(widths))]
    _check_activations(blocks, mapping)
    check_filters(stored)
    sizes, embed = mapping_sizes(mapping, stored)
    last = blocks[-1].part("conv1")
    return StyleGAN2Config(
        num_classes=whole.whole("c_dim"),
        image_channels=whole.whole("img_channels"),
        widths=widths,
        mapping=sizes,
        embed_width=embed,
        architecture=blocks[-1].expect("architecture", *ARCHITECTURES),
        noise=last.flag("use_noise"),
        clamp=0.0 if last.module.state.get("conv_clamp") is None else last.number("conv_clamp"),
    )


def _check_activations(blocks: list[Settings], mapping: Settings) -> None:
    """Refuse those that no published configuration uses. Raises CheckpointError."""
    mapping.part("fc0").expect("activation", "lrelu")
    for block in blocks:
        block.part("conv1").expect("activation", "lrelu")
