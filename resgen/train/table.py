"""CSV tables of what images show: one row an image, which the column 'file' names."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resgen.card import LABEL
from resgen.data import natural
from resgen.errors import DataError

Row = dict[str, str | None]


def read_file(path: Path) -> list[Row]:
    """All rows, in the natural order of 'file'. Raises DataError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: natural(row["file"]))
    except (OSError, KeyError, TypeError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a table of images with a column 'file'.") from error
    if wrong := [name for name in (rows[0] if rows else ()) if not (name and LABEL.fullmatch(f"light {name}"))]:
        raise DataError(f"{path} has a column {str(wrong[0] or '')[:80]!r}: give each a name of at most 50 characters without , = < > & and quotes.")
    return rows


def read_rows(path: Path, count: int, names: Sequence[str] = ()) -> list[Row]:
    """The rows of ``count`` images, in the order of their ``names``; of images without names in the natural order of 'file'. Raises DataError."""
    rows = read_file(path)
    if len(rows) != count:
        raise DataError(f"{path} tells of {len(rows)} images, and there are {count}.")
    return _in_order(rows, names, path) if names else rows


def _in_order(rows: Sequence[Row], names: Sequence[str], path: Path) -> list[Row]:
    """A row for each name: that whose 'file' is the name or its end, from some folder on. Raises DataError."""
    told: dict[str, Row] = {}
    for row in rows:
        file = row["file"] or ""
        if told.setdefault(file, row) is not row:
            raise DataError(f"{path} tells of {file[:80]!r} twice.")
    depths = sorted({file.count("/") + 1 for file in told}, reverse=True)
    found: list[Row] = []
    for name in names:
        folders = name.split("/")
        row = next((row for depth in depths if (row := told.pop("/".join(folders[-depth:]), None))), None)
        if row is None:
            raise DataError(
                f"{path} has no row of its own for {name[-80:]!r}: 'file' names each image by the end of its path, long enough to be its alone."
            )
        found.append(row)
    return found


def is_colour(cell: str) -> bool:
    return cell.startswith("#")


def rgb(cell: str) -> tuple[float, ...]:
    """'#rrggbb' -> three numbers of 0..1; nan for anything else."""
    try:
        return tuple(np.frombuffer(bytes.fromhex(cell[1:7].ljust(6, "x")), np.uint8) / 255)
    except ValueError:
        return (float("nan"),) * 3
