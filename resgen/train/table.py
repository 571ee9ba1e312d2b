"""CSV tables of what images show: one row an image, in the natural order of the column 'file'."""

import csv
from pathlib import Path

import numpy as np

from resgen.card import LABEL
from resgen.data import natural
from resgen.errors import DataError


def read_rows(path: Path, count: int) -> list[dict[str, str | None]]:
    """The rows of ``count`` images, in their order. Raises DataError."""
    try:
        with path.open(newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: natural(row["file"]))
    except (OSError, KeyError, TypeError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a table of images with a column 'file'.") from error
    if wrong := [name for name in (rows[0] if rows else ()) if not (name and LABEL.fullmatch(f"light {name}"))]:
        raise DataError(f"{path} has a column {str(wrong[0] or '')[:80]!r}: give each a name of at most 50 characters without , = < > & and quotes.")
    if len(rows) != count:
        raise DataError(f"{path} tells of {len(rows)} images, and there are {count}.")
    return rows


def is_colour(cell: str) -> bool:
    return cell.startswith("#")


def rgb(cell: str) -> tuple[float, ...]:
    """'#rrggbb' -> three numbers of 0..1; nan for anything else."""
    try:
        return tuple(np.frombuffer(bytes.fromhex(cell[1:7].ljust(6, "x")), np.uint8) / 255)
    except ValueError:
        return (float("nan"),) * 3
