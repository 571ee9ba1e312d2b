"""Writes the table of measured figures into README.md, from the cards of the shipped checkpoints: python docs/figures.py"""

import re
from pathlib import Path

from resgen.card import Card, read_card

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SHIPPED = ("cifar10", "faces", "fashion-mnist", "fruits")  # whatever else lies beside them
ROWS = {
    "images of each that are compared": "samples",
    "named as meant": "accuracy",
    "pixel deviation within a class, of real": "deviation",
    "Fréchet distance (judge's features)": "frechet",
    "precision": "precision",
    "recall": "recall",
    "near copies of training images": "near_copies",
}
FORMATS = {"samples": ",d", "accuracy": ".1%", "near_copies": ".2%"}
TABLE = re.compile(r"^\| figure .*?(?=^$)", re.M | re.S)


def shipped() -> list[Card]:
    return [read_card(ROOT / "checkpoints" / f"{name}.safetensors") for name in SHIPPED]


def table(cards: list[Card]) -> str:
    """A Markdown table: a pair of columns a checkpoint, what it draws and what its data set's test images give in the same judge."""
    lines = [["figure", *(name for card in cards for name in (f"`{card.name}`", "real"))]]
    lines.append(["---"] * len(lines[0]))
    lines += [[label, *(_said(card, figure, real) for card in cards for real in (False, True))] for label, figure in ROWS.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _said(card: Card, figure: str, real: bool) -> str:
    judged = f"lite2_{figure}" if f"lite2_{figure}" in card.metrics else figure
    value = card.metrics[f"real_test_{judged}" if real else judged]
    return format(value, FORMATS.get(figure, ".2f" if abs(value) < 10 else ".0f"))


def main() -> None:
    README.write_text(TABLE.sub(lambda _: table(shipped()), README.read_text(encoding="utf-8"), count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
