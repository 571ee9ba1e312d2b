"""What a reader is asked, and what it gives."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from resgen.architecture import Architecture
from resgen.errors import CheckpointError

OUTPUTS = ("tanh", "sigmoid")


@dataclass(frozen=True)
class ImportOptions:
    """What a person says of a file that the file does not: nothing, where it does."""

    output: str = ""  # tanh or sigmoid: what the network ends with
    trusted: bool = False  # a program may be run to read it
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # a configuration file's


@dataclass(frozen=True)
class Reading:
    """A network read from a file."""

    config: Architecture
    weights: dict[str, Tensor]  # the state dict of what the configuration builds
    classes: tuple[str, ...] = ()  # where the file names them
    mean_w: Tensor | None = None  # [max(1, classes), w_dim], where the file holds it


class OutputUnsaidError(CheckpointError):
    """Neither a file nor a person says what its network ends with."""


def asked_output(asked: ImportOptions) -> str:
    """'tanh' or 'sigmoid'. Raises OutputUnsaidError where a person has not said it, CheckpointError where they have said something else."""
    if not asked.output:
        raise OutputUnsaidError("The file does not say whether its network ends with tanh or sigmoid; say it with --output tanh or --output sigmoid.")
    if asked.output not in OUTPUTS:
        raise CheckpointError(f"A network's output is {' or '.join(OUTPUTS)}, not {asked.output[:40]!r}.")
    return asked.output
