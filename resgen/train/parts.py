"""Pictures put together of parts that a table tells, and the noise that stands for them.

Of a drawn face a table may tell all: style of hair, colour of skin, which glasses. Each column has a block of z of its own, cut into one cell for
each of its values, as probable as the value is in the table where z is drawn as a generator takes it: normal, and then normed. So noise stands for parts as often as
they occur, and a picture is known for every z: a generator can learn to draw it, without anything that judges (Dosovitskiy et al. 2015, arXiv
1411.5928, drew chairs by what is known of them).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.blocks import PartMapping, PartsMapping, pixel_norm
from resgen.data import ImageSet, natural
from resgen.errors import DataError
from resgen.train.table import is_colour, read_rows, rgb

MAX_VALUES = 256  # of a column, in one class
MAX_SIZE = 10  # of a block of z, for words
FEWEST_NUMBERS = 16  # of z: normed, fewer would hardly vary in size, and a single one would be either 1 or -1
ABSENT = 2.0  # how far from the middle a block's first number is, of words that may be missing: below it is nothing, above it one of them
NEVER = -1000.0  # offset of a cell that a class has no value for, where those of others are tens
SAMPLES, ROUNDS = 8192, 200  # of noise that cells are measured on, and of their correction
SPREADING = 300  # steps in which words' directions move apart


@dataclass(frozen=True)
class Cells:
    """A column's block of z in one class: z lies in the cell of the largest of ``anchors @ z + offsets`` (a power diagram)."""

    values: tuple[str, ...]
    anchors: Tensor  # [values, size]
    offsets: Tensor  # [values]


@dataclass(frozen=True)
class Column:
    """What a table tells of one part: cells of each class, and the value of each image [images], as its number in its class."""

    name: str
    cells: tuple[Cells, ...]
    numbers: Tensor

    @property
    def size(self) -> int:
        """Of the block of z."""
        return self.cells[0].anchors.shape[1]

    def shares(self, labels: Tensor) -> Tensor:
        """Of each image, the share of its class that has its value [images]."""
        kinds = labels * MAX_VALUES + self.numbers
        return (kinds.bincount()[kinds] / labels.bincount()[labels]).float()


@dataclass(frozen=True)
class Parts:
    """All columns of a table, over the images of one data set."""

    columns: tuple[Column, ...]

    @property
    def z_dim(self) -> int:
        return sum(column.size for column in self.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size and most cells of each column, in turns: a configuration's ``parts``."""
        return tuple(number for column in self.columns for number in (column.size, max(len(cells.values) for cells in column.cells)))

    def rarity(self, labels: Tensor) -> Tensor:
        """How rare the rarest part of each image is in its class [images]: one over the share of images that have it. ``labels``: their classes."""
        shares = [column.shares(labels) for column in self.columns]
        return 1 / torch.stack(shares).amin(dim=0)

    def beside(self, mapping: PartsMapping) -> Iterator[tuple[Column, PartMapping]]:
        """Each column, and the part of a mapping that stands for it."""
        for column, part in zip(self.columns, mapping.parts, strict=True):
            assert isinstance(part, PartMapping)
            yield column, part

    def cut(self, mapping: PartsMapping, softness: float) -> None:
        """Give a mapping the cells, their edges ``softness`` wide."""
        for column, part in self.beside(mapping):
            offsets = part.offsets.unflatten(0, (len(column.cells), -1)).fill_(NEVER / softness)
            anchors = part.anchors.unflatten(0, (len(column.cells), -1))
            for label, cells in enumerate(column.cells):
                count = len(cells.values)
                anchors[label, :count], offsets[label, :count] = cells.anchors / softness, cells.offsets / softness

    @torch.no_grad()
    def begin(self, mapping: PartsMapping) -> None:
        """Give a mapping vectors to begin with: like values have like ones."""
        w_dim = mapping.embed.shape[1]
        nn.init.normal_(mapping.embed, std=0.5)
        for column, part in self.beside(mapping):
            used = max(int(cells.anchors.any(dim=0).sum()) for cells in column.cells)  # numbers of the block; the rest are idle
            directions = torch.randn(column.size, w_dim) * (2 / used / len(self.columns)) ** 0.5
            values = part.values.unflatten(0, (len(column.cells), -1))
            for label, cells in enumerate(column.cells):
                values[label, : len(cells.values)] = cells.anchors @ directions


def read_parts(table: Path, data: ImageSet) -> Parts:
    """The parts of the images of ``data``, by the columns of a CSV table, one row each, whose 'file' names it. Raises DataError.

    A column's cells are words, or colours as #rrggbb; what has no such part is empty.
    """
    rows = read_rows(table, len(data.labels), data.names)
    labels = torch.from_numpy(data.labels)
    told = {name: [row[name] or "" for row in rows] for name in rows[0] if name != "file"}
    columns = [_column(name, values, labels, len(data.classes)) for name, values in told.items()]
    varied = [column for column in columns if any(len(cells.values) > 1 for cells in column.cells)]
    if not varied:
        raise DataError(f"{table} tells of no part that differs between images of one class.")
    return Parts(_in_proportion(varied, labels))


def _in_proportion(columns: list[Column], labels: Tensor) -> tuple[Column, ...]:
    """Columns whose cells are as large as their values are common; the last one's block is made longer where z would have too few numbers."""
    *others, last = columns
    idle = max(0, FEWEST_NUMBERS - sum(column.size for column in columns))
    columns = [*others, replace(last, cells=tuple(replace(cells, anchors=F.pad(cells.anchors, (0, idle))) for cells in last.cells))]
    sizes = [column.size for column in columns]
    noise = pixel_norm(torch.randn(SAMPLES, sum(sizes), generator=torch.Generator().manual_seed(1))).split(sizes, dim=1)
    return tuple(_fitted(column, block, labels) for column, block in zip(columns, noise, strict=True))


def _fitted(column: Column, block: Tensor, labels: Tensor) -> Column:
    """A column whose cells hold of its ``block`` of noise [samples, size] the shares that their values have."""
    counts = [column.numbers[labels == label].bincount(minlength=len(cells.values)) for label, cells in enumerate(column.cells)]
    fitted = (replace(cells, offsets=_offsets(block, cells.anchors, count / count.sum())) for cells, count in zip(column.cells, counts, strict=True))
    return replace(column, cells=tuple(fitted))


def _column(name: str, values: list[str], labels: Tensor, classes: int) -> Column:
    """A column with equal cells."""
    in_class = [sorted({value for value, label in zip(values, labels.tolist(), strict=True) if label == own}, key=natural) for own in range(classes)]
    if (most := max(map(len, in_class))) > MAX_VALUES:
        raise DataError(
            f"The column {name[:50]!r} has {most:,} values in a class: parts have at most {MAX_VALUES}; leave out what numbers the images."
        )
    numbers = torch.tensor([in_class[label].index(value) for value, label in zip(values, labels.tolist(), strict=True)])
    anchors = _anchors_of_colours(in_class) if any(map(is_colour, values)) else _anchors_of_words(in_class)
    cells = (Cells(tuple(found), places, torch.zeros(len(found))) for found, places in zip(in_class, anchors, strict=True))
    return Column(name, tuple(cells), numbers)


def _anchors_of_colours(in_class: list[list[str]]) -> list[Tensor]:
    """By lightness, warmth and greenness, each of unit variance over all that occur: like colours are like noise, in all classes."""
    red, green, blue = torch.tensor([rgb(value) for found in in_class for value in found]).float().nan_to_num(0.5).T
    axes = torch.stack([0.299 * red + 0.587 * green + 0.114 * blue, red - blue, green - (red + blue) / 2], dim=1)
    axes = (axes - axes.mean(dim=0)) / (axes.std(dim=0, correction=0) + 1e-3)
    return list(axes.split([len(found) for found in in_class]))


def _anchors_of_words(in_class: list[list[str]]) -> list[Tensor]:
    """Directions far from each other, the same for the first, second... word of each class; whether there is a word at all is the first number."""
    words = [[value for value in found if value] for found in in_class]
    may_miss = any("" in found and len(found) > 1 for found in in_class)
    most = max(1, *map(len, words))
    directions = _spread(most, min(max(1, most - 1), MAX_SIZE))
    found: list[Tensor] = []
    for own in words:
        here = directions[: len(own)] if len(own) > 1 else torch.zeros(len(own), directions.shape[1])
        found.append(torch.cat([torch.full((len(own), 1), ABSENT), here], dim=1) if may_miss else here)
    nothing = torch.zeros(1, found[0].shape[1])
    nothing[0, 0] = -ABSENT if may_miss else 0
    return [torch.cat([nothing, here]) if "" in values else here for here, values in zip(found, in_class, strict=True)]


def _spread(count: int, size: int) -> Tensor:
    """Points [count, size] apart from each other on a sphere of radius sqrt(size)."""
    points = F.normalize(torch.randn(count, size, generator=torch.Generator().manual_seed(0)), dim=1)
    for _ in range(SPREADING):
        nearness = (points @ points.T).fill_diagonal_(-torch.inf)
        pushed = (6 * nearness).softmax(dim=1) @ points if count > 1 else 0
        points = F.normalize(points - 0.1 * pushed, dim=1)
    return points * size**0.5


def _offsets(noise: Tensor, anchors: Tensor, shares: Tensor) -> Tensor:
    """Offsets [values] with which the cells have these shares [values] of noise [samples, size]."""
    dots = noise @ anchors.T
    offsets = -anchors.square().sum(dim=1) / 2
    for turn in range(ROUNDS):
        found = (dots + offsets).argmax(dim=1).bincount(minlength=len(anchors)) / len(noise)
        offsets = offsets + 0.98**turn * len(anchors) ** 0.5 * (shares - found)
    return offsets
