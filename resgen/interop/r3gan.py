"""R3GAN (Huang et al. 2024): residual blocks of grouped convolutions without norms, and the reader of its files."""

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES, Described, check_sizes
from resgen.budget import MAX_BLOCKS, MAX_RESOLUTION, MAX_WIDTH
from resgen.interop.layers import ACTIVATIONS, StagedGenerator
from resgen.interop.reading import ImportOptions, Reading, refuse_sigmoid
from resgen.interop.state_dicts import StateDict

SETTINGS: tuple[str, ...] = ()
BASE = 4


@dataclass(frozen=True)
class R3GANConfig(Described):
    """The shape of an `R3GAN`; w is z, then the class's embedding."""

    num_classes: int = 0
    image_channels: int = 3
    z_dim: int = 64
    embedding: int = 0  # numbers of a class's embedding
    widths: tuple[int, ...] = (768, 768, 768, 768)  # channels of each stage
    groups: tuple[int, ...] = (96, 96, 96, 96)  # of each stage's middle convolutions
    blocks: tuple[int, ...] = (2, 2, 2, 2)  # of each stage
    expansion: int = 2  # the middle has as many times the channels

    family: ClassVar[str] = "r3gan"
    styled = False

    def __post_init__(self) -> None:
        stages = len(self.widths)
        sizes = [
            (self.num_classes, 0, MAX_CLASSES),
            (stages, 1, 10),
            (len(self.groups), stages, stages),
            (len(self.blocks), stages, stages),
            (sum(self.blocks), 1, MAX_BLOCKS),
            (self.z_dim, 1, MAX_WIDTH),
            (self.embedding, *((1, MAX_WIDTH) if self.num_classes else (0, 0))),
            (self.expansion, 1, 8),
            *((width, 1, MAX_WIDTH) for width in self.widths),
            *((blocks, 1, MAX_BLOCKS) for blocks in self.blocks),
            *((groups, 1, MAX_WIDTH) for groups in self.groups),
        ]
        check_sizes(self.image_channels, sizes)
        uneven = [(width * self.expansion % groups, 0, 0) for width, groups in zip(self.widths, self.groups, strict=True)]
        check_sizes(self.image_channels, [(self.resolution, 1, MAX_RESOLUTION), *uneven])

    @property
    def stages_of_blocks(self) -> tuple[int, ...]:
        """The stage of each block."""
        return tuple(stage for stage, blocks in enumerate(self.blocks) for _ in range(blocks))

    @property
    def features(self) -> int:
        """Those of the middle of a block."""
        return max(self.widths[stage] * self.expansion * side**2 for stage, side in zip(self.stages_of_blocks, self.block_resolutions, strict=True))

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        return tuple(BASE * 2**stage for stage in self.stages_of_blocks)

    @property
    def w_dim(self) -> int:
        return self.z_dim + self.embedding

    def build(self) -> "R3GAN":
        return R3GAN(self)


class GroupedBlock(nn.Module):
    """x [N, C, H, W] -> x + gain * branch(x): widen, convolve in groups, narrow; a bias before each activation, none elsewhere."""

    def __init__(self, width: int, middle: int, groups: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(width, middle, 1)
        self.convolve = nn.Conv2d(middle, middle, 3, padding=1, groups=groups)
        self.narrow = nn.Conv2d(middle, width, 1, bias=False)

    def forward(self, x: Tensor, gain: Tensor | float) -> Tensor:
        activate = ACTIVATIONS["leaky_relu"]
        return x + gain * self.narrow(activate(self.convolve(activate(self.widen(x)))))


def enlarge(x: Tensor) -> Tensor:
    """Doubled, and smoothed by 1 3 3 1: what lies between pixels is 3/4 of the nearer and 1/4 of the farther; beyond the border there is nothing."""
    x = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=2.0, mode="bilinear")
    return x[:, :, 2:-2, 2:-2]


class R3GAN(StagedGenerator):
    """Each stage after the first begins with a doubling of the size, and a 1 x 1 convolution before it where the channels change."""

    def __init__(self, config: R3GANConfig) -> None:
        super().__init__()
        self.config: R3GANConfig = config
        self.embed = nn.Parameter(torch.zeros(config.num_classes, config.embedding)) if config.embedding else None
        self.basis = nn.Parameter(torch.zeros(config.widths[0], BASE, BASE))
        self.project = nn.Linear(config.w_dim, config.widths[0], bias=False)
        sizes = [(config.widths[stage], config.groups[stage]) for stage in config.stages_of_blocks]
        self.blocks = nn.ModuleList(GroupedBlock(width, width * config.expansion, groups) for width, groups in sizes)
        changes = zip(config.widths, config.widths[1:], strict=False)
        self.widths = nn.ModuleDict(
            {str(stage): nn.Conv2d(before, after, 1, bias=False) for stage, (before, after) in enumerate(changes, 1) if before != after}
        )
        self.to_image = nn.Conv2d(config.widths[-1], config.image_channels, 1, bias=False)

    def stem(self, w: Tensor) -> Tensor:
        return self.basis * self.project(w)[:, :, None, None]

    def block(self, index: int, x: Tensor, w: Tensor, gain: Tensor | float) -> Tensor:
        stages = self.config.stages_of_blocks
        stage = stages[index]
        if index and stages[index - 1] != stage:
            x = enlarge(self.widths[str(stage)](x) if str(stage) in self.widths else x)
        return self.blocks[index](x, gain)

    def end(self, x: Tensor) -> Tensor:
        return self.to_image(x)

    def layers_of_w(self) -> list[Tensor]:
        return [self.project.weight]


def sniff(state: StateDict) -> bool:
    """Whether these are the tensors of an R3GAN generator."""
    return {
        "Model.MainLayers.0.Layers.0.Basis",
        "Model.AggregationLayer.Layer.weight",
        "Model.MainLayers.0.Layers.1.LinearLayer1.Layer.weight",
    } <= set(state)


def read(state: StateDict, asked: ImportOptions) -> Reading:
    refuse_sigmoid(asked)
    places = sorted(
        {(int(a[1]), int(a[2])) for name in state if (a := re.match(r"Model\.MainLayers\.(\d{1,2})\.Layers\.(\d{1,2})\.LinearLayer1\.", name))}
    )
    stages = range(1 + max(stage for stage, _ in places))
    embed, image = state.get("Model.EmbeddingLayer.weight"), state["Model.AggregationLayer.Layer.weight"]
    firsts = [state[f"Model.MainLayers.{stage}.Layers.1.LinearLayer2.Layer.weight"] for stage in stages]
    widths = tuple(state[f"Model.MainLayers.{stage}.Layers.1.LinearLayer1.Layer.weight"].shape[1] for stage in stages)
    embedding = 0 if embed is None else embed.shape[0]
    config = R3GANConfig(
        num_classes=0 if embed is None else embed.shape[1],
        image_channels=image.shape[0],
        z_dim=state["Model.MainLayers.0.Layers.0.LinearLayer.weight"].shape[1] - embedding,
        embedding=embedding,
        widths=widths,
        groups=tuple(first.shape[0] // first.shape[1] for first in firsts),
        blocks=tuple(sum(stage == place for place, _ in places) for stage in stages),
        expansion=firsts[0].shape[0] // widths[0],
    )
    weights: StateDict = {} if embed is None else {"embed": embed.T.contiguous()}
    weights |= {
        "basis": state["Model.MainLayers.0.Layers.0.Basis"],
        "project.weight": state["Model.MainLayers.0.Layers.0.LinearLayer.weight"],
        "to_image.weight": image,
    }
    for stage in stages[1:]:
        if (name := f"Model.MainLayers.{stage}.Layers.0.LinearLayer.Layer.weight") in state:
            weights[f"widths.{stage}.weight"] = state[name]
    for index, (stage, place) in enumerate(places):
        theirs = f"Model.MainLayers.{stage}.Layers.{place}"
        for part, ours in enumerate(("widen", "convolve", "narrow"), 1):
            weights[f"blocks.{index}.{ours}.weight"] = state[f"{theirs}.LinearLayer{part}.Layer.weight"]
        for part, ours in enumerate(("widen", "convolve"), 1):
            weights[f"blocks.{index}.{ours}.bias"] = state[f"{theirs}.NonLinearity{part}.Bias"]
    return Reading(config, {name: value.float() for name, value in weights.items()})
