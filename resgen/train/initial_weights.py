"""What a run takes of the checkpoint that it begins with: settings, and weights as far as they fit; a wider one is narrowed, a narrower one widened."""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby, pairwise
from operator import ge, le
from typing import Any

import torch
from torch import Tensor, nn

from resgen.checkpoint import Checkpoint
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.train.config import TrainConfig

NARROWEST = 16  # channels, from which on a block that a run adds has no fewer than the last
LATENTS = ("z_dim", "w_dim", "parts")  # settings of a generator that one begun with it shares

Weights = dict[str, Tensor]


def inherited(config: TrainConfig, before: GeneratorConfig, resolution: int) -> TrainConfig:
    """The settings of a run on images of ``resolution`` pixels; what they leave open is as it was in the generator that the run begins with."""
    widths = config.widths or _widths(before, resolution)
    mean_shift = before.mean_shift if config.mean_shift is None else config.mean_shift
    return replace(config, widths=widths, mean_shift=mean_shift)


def kept_latents(before: GeneratorConfig, classes: int) -> dict[str, Any]:
    """The settings of noise and w that a generator of ``classes`` (1: unconditional) takes of the one that it begins with.

    Parts are cut for each class: those of other classes would stand for nothing, and nothing but a table could fill them.
    """
    if before.parts and max(1, before.num_classes) != classes:
        return {"w_dim": before.w_dim}
    return {name: getattr(before, name) for name in LATENTS}


def kept_widths(before: GeneratorConfig, resolution: int) -> tuple[int, ...]:
    """Channels of the blocks that a run on images of ``resolution`` pixels can go on with: steady ones have no place in a larger generator."""
    return before.widths if before.resolution == resolution else before.growing


def _widths(before: GeneratorConfig, resolution: int) -> tuple[int, ...] | None:
    """What is kept of ``before``'s channels, and for each doubling of its size half of those of the last block; None where no doubling leads to
    ``resolution``.
    """
    side, widths = before.resolution, kept_widths(before, resolution)
    while side < resolution:
        side, widths = 2 * side, (*widths, min(widths[-1], max(NARROWEST, widths[-1] // 2)))
    return widths if side == resolution else None


def take_weights(generator: ResNetGenerator, begun: Checkpoint) -> None:
    """Give a generator every weight of a checkpoint that has its place and shape: of a smaller one the coarse blocks, of other classes all but these.

    A wider one is narrowed first, a narrower one widened. Blocks behind those of a smaller one add nothing to its picture yet.
    """
    before, after, own = begun.card.arch, generator.config, generator.state_dict()
    assert isinstance(before, GeneratorConfig)
    weights, known = begun.weights, kept_widths(before, after.resolution)
    if known != before.widths:
        weights = {name: value for name, value in weights.items() if not _is_beyond(name, len(known))}
        before = replace(before, widths=known, steady=0)
    if _differs(ge, before.widths, after.widths):
        weights = narrowed(weights, before, after)
    elif _differs(le, before.widths, after.widths):
        weights = widened(weights, own)
    generator.load_state_dict(
        {name: weights[name] if name in weights and weights[name].shape == value.shape else value for name, value in own.items()}
    )
    if known == after.widths[: len(known)]:
        for part in generator.to_image[len(known) :]:
            conv = part[-1]  # type: ignore[index]
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)


def _is_beyond(name: str, blocks: int) -> bool:
    """True for a weight of a block, or of what follows it, behind the first ``blocks``."""
    part, number, *_ = name.split(".")
    return part in ("blocks", "attention", "to_image") and int(number) >= blocks


def _differs(order: Callable[[int, int], bool], before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """True where one block has other channels than its counterpart, and all stand to theirs in this ``order``."""
    return len(before) == len(after) and before != after and all(map(order, before, after))


def narrowed(weights: Weights, before: GeneratorConfig, after: GeneratorConfig) -> Weights:
    """Weights of ``before`` with ``after``'s channels, at most as many in each block: those kept that what comes after them weighs most.

    A skip that was the identity goes on as one, to the channels that are kept; one that cannot, since it joined more channels to as many as
    ``after`` has on both sides, is lost. Attention is not narrowed.
    """
    wide = {name: value.float() for name, value in weights.items()}
    streams = _streams(wide, before, after)
    kept = _stem(wide, before, streams[0])
    for depth, (entering, leaving) in enumerate(pairwise([streams[0], *streams])):
        kept.update(_block(wide, f"blocks.{depth}.", entering, leaving))
        kept.update(_image(wide, f"to_image.{depth}.", leaving))
    return {**weights, **kept}


def _streams(weights: Weights, before: GeneratorConfig, after: GeneratorConfig) -> list[Tensor]:
    """The channels that are kept of each block's output: the same ones where the next skip is the identity."""
    streams: list[Tensor] = []
    for (_, width), blocks in groupby(zip(before.widths, after.widths, strict=True)):
        depths = range(len(streams), len(streams) + len(list(blocks)))
        kept = _strongest(torch.stack([_weight_of_outputs(weights, depth) for depth in depths]).sum(dim=0), width)
        streams += [kept] * len(depths)
    return streams


def _strongest(weight: Tensor, count: int) -> Tensor:
    """Places of the ``count`` largest of ``weight`` [channels], in order."""
    return weight.topk(count).indices.sort().values


def _weight_of_inputs(conv: Tensor) -> Tensor:
    """How much a convolution [out, in, k, k] makes of each channel it is given [in], 1 on average."""
    norms = conv.square().sum(dim=(0, 2, 3)).sqrt()
    return norms / norms.mean()


def _weight_of_outputs(weights: Weights, depth: int) -> Tensor:
    """How much of each channel that a block gives [channels] gets into the image and into the next block's branch."""
    image, norm = weights[f"to_image.{depth}.2.weight"], weights[f"to_image.{depth}.0.weight"]
    weight = _weight_of_inputs(image * norm[:, None, None])
    following = weights.get(f"blocks.{depth + 1}.conv1.weight")
    return weight if following is None else weight + _weight_of_inputs(following)


def _stem(weights: Weights, before: GeneratorConfig, kept: Tensor) -> Weights:
    """The stem's rows, which are channels times places."""
    places = before.base_resolution**2
    return {name: weights[name].unflatten(0, (-1, places))[kept].flatten(0, 1) for name in ("stem.weight", "stem.bias")}


def _block(weights: Weights, block: str, entering: Tensor, leaving: Tensor) -> Weights:
    """One residual block's weights, of whose inputs and outputs some channels are kept."""
    hidden = _strongest(_weight_of_inputs(weights[block + "conv2.weight"]), len(leaving))
    skip = weights.get(block + "skip.weight", torch.eye(len(weights[block + "conv2.bias"]))[:, :, None, None])
    return {
        **_norm(weights, block + "norm1.", entering),
        **_norm(weights, block + "norm2.", hidden),
        block + "conv1.weight": weights[block + "conv1.weight"][hidden][:, entering],
        block + "conv1.bias": weights[block + "conv1.bias"][hidden],
        block + "conv2.weight": weights[block + "conv2.weight"][leaving][:, hidden],
        block + "conv2.bias": weights[block + "conv2.bias"][leaving],
        block + "skip.weight": skip[leaving][:, entering],
        block + "skip.bias": weights.get(block + "skip.bias", torch.zeros(len(skip)))[leaving],
    }


def _norm(weights: Weights, norm: str, kept: Tensor) -> Weights:
    """A conditional norm's statistics, and the rows of its scale and shift."""
    statistics = {name: weights[name][kept] for name in (norm + "norm.running_mean", norm + "norm.running_var")}
    rows = torch.cat([kept, kept + len(weights[norm + "norm.running_mean"])])
    return {**statistics, **{name: weights[name][rows] for name in (norm + "affine.weight", norm + "affine.bias")}}


def _image(weights: Weights, part: str, kept: Tensor) -> Weights:
    """What turns a block's channels into an image."""
    of_channels = ("0.weight", "0.bias", "0.running_mean", "0.running_var")
    return {**{part + name: weights[part + name][kept] for name in of_channels}, part + "2.weight": weights[part + "2.weight"][:, kept]}


def widened(weights: Weights, fresh: Weights) -> Weights:
    """Weights with as many channels as ``fresh`` has, those of a generator as it is made: the picture stays (Chen et al. 2016, arXiv 1511.05641).

    What is new reads all that there is, and nothing that was there reads it yet. A skip that was the identity goes on as one; one that must be
    it from now on, since it joins as many channels to as many, is lost. Attention is not widened.
    """
    identities = {
        name: torch.eye(len(weights[name.replace("skip.weight", "conv2.bias")]))[:, :, None, None]
        for name in fresh
        if name.endswith("skip.weight") and name not in weights
    }
    return {name: _laid_over(value, fresh[name], 2 if ".affine." in name else 1) for name, value in (weights | identities).items() if name in fresh}


def _laid_over(value: Tensor, fresh: Tensor, halves: int) -> Tensor:
    """``fresh`` with ``value`` in its first rows and columns, of each of its ``halves``, and nothing beside that in these rows."""
    if value.shape == fresh.shape:
        return value
    laid, value = fresh.clone().unflatten(0, (halves, -1)), value.unflatten(0, (halves, -1))
    rows = laid[:, : value.shape[1]]
    rows.zero_()
    rows[tuple(slice(0, size) for size in value.shape)] = value
    return laid.flatten(0, 1)
