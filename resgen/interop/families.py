"""Which architectures there are: the family that a card names -> the class of its configuration."""

from typing import Any

from resgen.architecture import Architecture, Described
from resgen.errors import CheckpointError
from resgen.fields import is_table
from resgen.generator import GeneratorConfig
from resgen.interop.bottleneck import BottleneckConfig
from resgen.interop.conv_chain import ConvChainConfig
from resgen.interop.graph import GraphConfig
from resgen.interop.r3gan import R3GANConfig
from resgen.interop.resnet import ResNetConfig
from resgen.interop.stylegan2 import StyleGAN2Config
from resgen.interop.stylegan3 import StyleGAN3Config

FAMILIES: dict[str, type[Described]] = {
    config.family: config
    for config in (GeneratorConfig, ResNetConfig, BottleneckConfig, R3GANConfig, ConvChainConfig, GraphConfig, StyleGAN2Config, StyleGAN3Config)
}


def read_architecture(raw: object) -> Architecture:
    """The architecture in untrusted JSON; where no family is named, our own. Raises CheckpointError."""
    family: Any = raw.get("family", GeneratorConfig.family) if is_table(raw) else GeneratorConfig.family
    if not isinstance(family, str) or family not in FAMILIES:
        raise CheckpointError(f"This version knows no generators of the family {str(family)[:40]!r}; it knows {', '.join(FAMILIES)}. Update ResGen.")
    config: Any = FAMILIES[family].from_dict(raw)
    return config
