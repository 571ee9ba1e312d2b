"""What every image generator has in common: sizes, a mapping from noise to w, and a synthesis from w to an image, block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any, ClassVar, Protocol, Self, get_args, get_origin, get_type_hints

from torch import Tensor, nn
from torch.nn import functional as F

from resgen.budget import MAX_CLASSES as MAX_CLASSES  # beside the other sizes, for whoever checks them
from resgen.errors import CheckpointError

MAX_ENTRIES = 4096  # of a list in a configuration
LARGEST = 2**53  # of its numbers
USUAL_WIDTH = 64  # channels of the finest block


def class_weights(labels: Tensor, classes: int) -> Tensor | None:
    """Weights [N, classes] of labels [N], all on the own class; None for a generator without ``classes``."""
    return F.one_hot(labels, classes).float() if classes else None


class Architecture(Protocol):
    """The shape of a generator: a frozen configuration that says all sizes, and makes the module. Its limits hold before anything is allocated."""

    family: ClassVar[str]

    @property
    def num_classes(self) -> int:
        """0: unconditional."""
        ...

    @property
    def image_channels(self) -> int:
        """1: grey, 3: RGB."""
        ...

    @property
    def z_dim(self) -> int:
        """Numbers of noise."""
        ...

    @property
    def w_dim(self) -> int:
        """Numbers of a block's w."""
        ...

    @property
    def resolution(self) -> int:
        """Pixels a side of the finished image."""
        ...

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """Pixels a side after each block, coarse to fine."""
        ...

    @property
    def features(self) -> int:
        """The most numbers that the features of one image have after a block: what drawing needs memory for."""
        ...

    @property
    def residual(self) -> bool:
        """Whether gains scale residual branches; else each block's share of the image, where `dials`."""
        ...

    @property
    def dials(self) -> bool:
        """Whether gains change anything."""
        ...

    @property
    def mapped(self) -> bool:
        """Whether w comes from a mapping network; else it is z, joined with the class."""
        ...

    @property
    def styled(self) -> bool:
        """Whether each block reads its own w; else the first block's is all that counts, and styles cannot be mixed."""
        ...

    @property
    def shares_styles(self) -> bool:
        """Whether classes have their styles in common; else those of two classes say nothing to each other, and a mix of them is a blot."""
        ...

    def to_dict(self) -> dict[str, Any]: ...

    def build(self) -> "Generator":
        """The module, its weights undefined."""
        ...


class Described:
    """Reading and writing for frozen dataclasses of numbers, words, truths, and lists of these; each field has a default."""

    family: ClassVar[str]
    # What holds of most; where it hangs on the sizes, a subclass has a property.
    residual = True
    dials = True
    mapped = False
    styled = True
    shares_styles = True

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def resolution(self) -> int:
        return self.block_resolutions[-1] if self.block_resolutions else 0

    @property
    def features(self) -> int:
        sides, widths = self.block_resolutions, getattr(self, "widths", ())
        usual = (USUAL_WIDTH,) * len(sides)  # where a family does not say a width for each block
        return max((width * side**2 for width, side in zip(widths if len(widths) == len(sides) else usual, sides, strict=True)), default=0)

    def to_dict(self) -> dict[str, Any]:
        assert is_dataclass(self)
        return {"family": self.family, **asdict(self)}

    @classmethod
    def from_dict(cls, raw: object) -> Self:
        """Build from untrusted JSON; raises CheckpointError for a wrong key or type."""
        if not isinstance(raw, dict):
            raise CheckpointError("The generator's configuration is not a table of settings.")
        assert is_dataclass(cls)
        types, values = get_type_hints(cls), dict[str, Any]()
        for field in fields(cls):
            value, of = raw.get(field.name, field.default), types[field.name]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            if not _fits(value, of):
                raise CheckpointError(f"The generator's setting {field.name!r} must be made of {_in_words(of)}.")
            values[field.name] = tuple(value) if get_origin(of) is tuple else value  # pyright: ignore[reportUnknownArgumentType]
        if unknown := set(raw) - {"family", *values}:  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            raise CheckpointError(
                f"The generator's configuration has settings that this version does not know: {', '.join(sorted(map(str, unknown)))}."  # pyright: ignore[reportUnknownArgumentType]
            )
        return cls(**values)


def _fits(value: Any, of: Any) -> bool:
    if get_origin(of) is tuple:
        element = get_args(of)[0]
        return isinstance(value, list | tuple) and len(value) <= MAX_ENTRIES and all(_fits(part, element) for part in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return type(value) is of and (of is str or abs(value) < LARGEST)  # nan is not, and what is computed of larger ones may not fit a fraction


def _in_words(of: Any) -> str:
    return {int: "whole numbers", str: "text", bool: "true or false", float: "fractions"}[get_args(of)[0] if get_origin(of) is tuple else of]


def check_sizes(image_channels: int, sizes: Sequence[tuple[float, float, float]]) -> None:
    """Each size is (value, least, most); raises CheckpointError where one is out of range."""
    check_ranges([*sizes, (image_channels, 1, 3), (image_channels % 2, 1, 1)])


def check_ranges(ranges: Sequence[tuple[float, float, float]]) -> None:
    """Raise CheckpointError unless low <= value <= high for each (value, low, high)."""
    if any(not low <= value <= high for value, low, high in ranges):
        raise CheckpointError("The generator's configuration holds sizes that are out of range.")


class Generator(nn.Module):
    """z [N, z_dim], class weights [N, classes] -> w [N, blocks, w_dim] -> image [N, image_channels, R, R]; black is -1, white 1.

    Its state dict holds every tensor it needs: it is built without memory, and given its weights (`Checkpoint.build`).
    """

    config: Architecture

    def map(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """w [N, blocks, w_dim]; class weights are given where there are classes, rows summing to 1."""
        raise NotImplementedError

    def depths(self, w: Tensor, gains: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """After each block: its features [N, width, r, r], and the image [N, image_channels, any, any] so far, where a network has one before its end.

        w is [N, w_dim] or [N, blocks, w_dim] (a w of its own for each block); ``gains`` [N, blocks].
        """
        raise NotImplementedError

    def synthesise(self, w: Tensor, gains: Tensor | None = None) -> Tensor:
        """The finished image: the last of `depths`."""
        *_, (_, image) = self.depths(w, gains)
        assert image is not None, "every network ends with an image"
        return image

    def first_features(self, w: Tensor) -> Tensor:
        """The features [N, width, r, r] after the first block."""
        return next(self.depths(w))[0]

    def layers_of_w(self) -> list[Tensor]:
        """The weights [any, w_dim] of the layers that read w: what changes most along a direction can be read off them (Shen & Zhou 2021)."""
        raise NotImplementedError

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.synthesise(self.map(z, class_weights))

    def for_each_block(self, w: Tensor) -> Tensor:
        """w [N, w_dim] or [N, blocks, w_dim] -> [N, blocks, w_dim]."""
        return w[:, None].expand(-1, len(self.config.block_resolutions), -1) if w.ndim == 2 else w


def one_gain(gains: Tensor | None, block: int) -> Tensor | float:
    """The gains [N, 1, 1, 1] of a block; 1 where there are none."""
    return 1.0 if gains is None else gains[:, block, None, None, None]
