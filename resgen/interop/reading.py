"""What a reader is asked, and what it gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from resgen.architecture import Architecture
from resgen.errors import CheckpointError

OUTPUTS = ("tanh", "sigmoid")


@dataclass(frozen=True)
class ImportOptions:
    """What a person says of a file that the file does not: nothing, where it does. Raises CheckpointError for an output that there is not."""

    output: str = ""  # tanh or sigmoid: what the network ends with
    trusted: bool = False  # a program may be run to read it
    settings: dict[str, Any] = field(default_factory=dict[str, Any])  # a configuration file's

    def __post_init__(self) -> None:
        if self.output not in ("", *OUTPUTS):
            raise CheckpointError(f"A network's output is {' or '.join(OUTPUTS)}, not {self.output[:40]!r}.")

    def check_settings(self, known: Sequence[str]) -> None:
        """Raise CheckpointError where a setting is none of those that are ``known`` of this kind of file."""
        if unknown := [str(name)[:40] for name in self.settings if name not in known]:
            raise CheckpointError(
                f"The configuration's {', '.join(unknown[:3])} says nothing of such a file; what can be said is {', '.join(known)}."
            )


@dataclass(frozen=True)
class Reading:
    """A network read from a file."""

    config: Architecture
    weights: dict[str, Tensor]  # the state dict of what the configuration builds
    classes: tuple[str, ...] = ()  # where the file names them
    mean_w: Tensor | None = None  # [max(1, classes), w_dim], where the file holds it
    remarks: tuple[str, ...] = ()  # sentences: what was taken for granted, where a file leaves it open


def refuse_sigmoid(asked: ImportOptions) -> None:
    """Raise CheckpointError where a network that ends with its last layer is said to end with sigmoid."""
    if asked.output == "sigmoid":
        raise CheckpointError("Such a network makes images in -1..1 and ends with no sigmoid; leave --output out.")


class UnsaidError(CheckpointError):
    """A file leaves open what a person has to say."""


class OutputUnsaidError(UnsaidError):
    """Neither a file nor a person says what its network ends with."""


def asked_output(asked: ImportOptions) -> str:
    """'tanh' or 'sigmoid'. Raises OutputUnsaidError where a person has not said it."""
    if not asked.output:
        raise OutputUnsaidError(
            "The file does not say whether its images are in -1..1 (tanh) or 0..1 (sigmoid); say it with --output tanh or --output sigmoid."
        )
    return asked.output
