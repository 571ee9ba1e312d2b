"""The About screen: cards with measured figures and training curves, and how it works in one picture."""

from typing import Any, TypedDict

import gradio as gr
import pandas as pd

from resgen.card import Card, plain
from resgen.errors import ResGenError
from resgen.recipe import Recipe
from resgen.studio.page import QUIET, RAW, STATIC, Updates, component, friendly, writing
from resgen.studio.renderer import GridView, Renderer

# What a figure is called on the page, and what it means.
FIGURES = {
    "accuracy": ("Named as meant", "share of images whose class a judge names"),
    "deviation": ("Variety in a class", "pixel deviation within a class, or of all images where there are none, over that of real images"),
    "samples": ("Images compared", "of each: distances shrink as sets grow, so both are as large"),
    "frechet": ("Fréchet distance", "of the judge's features to those of real images; less is better"),
    "kernel": ("Kernel distance", "the same without assuming Gaussians; less is better"),
    "precision": ("Precision", "share of images among real ones"),
    "recall": ("Recall", "share of real images among these"),
    "near_copies": ("Near copies", "share nearer to a training image than 1 % of the test set is"),
    "inception_frechet": ("FID", "Fréchet distance of Inception features to those of real images; less is better"),
    "inception_kernel": ("KID", "kernel distance of Inception features; less is better"),
    "inception_precision": ("Precision, Inception", "share of images among real ones"),
    "inception_recall": ("Recall, Inception", "share of real images among these"),
}
JUDGES = {"lite2_": ", by EfficientNet-lite2", "": ""}  # what figures begin with on a card: who measured them


SHELF_SEEDS = tuple(range(4, 10))  # the first six in a row of which nearly all can be named, by each generator that comes along


class Shelved(TypedDict):
    """What the page's shelf is told of one generator."""

    name: str
    view: GridView | None  # None where it cannot be drawn with
    facts: list[str]


class AboutScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, checkpoint: gr.HTML) -> None:
        self.renderer, self.library, self.checkpoint = renderer, renderer.library, checkpoint
        gr.HTML((STATIC / "how.html").read_text(encoding="utf-8"), elem_id="how")
        gr.Markdown("## Generators")
        self.shelf = component("shelf", "shelf", begins=("view",))
        self.card = gr.Markdown(elem_id="about-card")
        self.figures = gr.Dataframe(headers=["Figure", "Generated", "Real test images", "Meaning"], interactive=False, wrap=True, elem_id="figures")
        self.loss = gr.LinePlot(x="images", y="amount", color="figure", title="Through the training", height=260, elem_id="curves", visible=False)

    def connect(self, tab: gr.Tab) -> None:
        """Attach every listener."""
        is_filled = "(shelf) => [Array.isArray(shelf) && shelf.length > 0]"  # its pictures are many, and the server's own
        tab.select(friendly(self.fill_shelf), self.shelf, self.shelf, js=is_filled, **QUIET)
        shown = {self.card, self.figures, self.loss}
        tab.select(writing(self.show, shown), self.checkpoint, [*shown], **RAW)

    def fill_shelf(self, is_filled: Any) -> Any:
        """All generators side by side, once: six samples of each, and what its card says."""
        if is_filled is True:
            return gr.skip()
        found: list[Shelved] = []
        for card in self.library.cards():
            try:
                view = self.renderer.view(Recipe(checkpoint=card.name, seeds=SHELF_SEEDS, columns=3))
            except ResGenError as error:
                found.append({"name": card.name, "view": None, "facts": [str(error)]})
                continue
            found.append({"name": card.name, "view": view, "facts": short_facts(card)})
        return found

    def show(self, name: str | None) -> Updates:
        if not name:
            return {}
        sampler = self.library.sampler(name)
        curves, weights = history_table(sampler.card), sum(value.numel() for value in sampler.checkpoint.weights.values())
        return {
            self.card: describe_fully(sampler.card, weights),
            self.figures: figures_table(sampler.card),
            self.loss: gr.update(value=curves, visible=not curves.empty),
        }


def short_facts(card: Card) -> list[str]:
    """A few words for each thing to know."""
    side = f"{card.arch.resolution} x {card.arch.resolution} px"
    facts = [f"{side}, {len(card.classes)} classes" if card.classes else side]
    if accuracy := card.accuracy_in_words:
        facts.append(accuracy)
    if (distance := card.metrics.get("lite2_frechet")) is not None:
        facts.append(f"Fréchet {distance:.0f} (real {card.metrics.get('real_test_lite2_frechet', 0):.0f})")
    if licence := card.dataset.get("licence"):
        facts.append(f"data: {licence}")
    return facts


def describe_fully(card: Card, weights: int) -> str:
    """The card in words, as Markdown in which what the file says is shown as it is."""
    training, data, side = card.training, card.dataset, card.arch.resolution
    lines = [
        f"## {plain(card.name)}",
        f"{weights / 1e6:.1f} million weights in {card.blocks_in_words}, {side} x {side} pixels.",
    ]
    if source := card.source:
        lines.append(f"**Imported**: {plain(source.get('file', '?'))} ({plain(source.get('kind', '?'))}).")
    if data.get("name"):
        author, licence = plain(data.get("author", "not stated")), plain(data.get("licence", "not stated"))
        lines.append(f"**Data**: {plain(data['name'])}, {data.get('images', 0):,} images; author: {author}; licence: {licence}.")
    if training.get("images_seen"):
        lines.append(
            f"**Training**: {training['images_seen']:,} images in {training.get('hours', '?')} hours on {plain(training.get('hardware', '?'))}."
        )
    if training.get("command"):
        later = [f"# from image {stage['from_image']:,} on\n{stage['command']}" for stage in training.get("stages", ())]
        commands = "\n".join([training["command"], *later])
        lines.append("\n".join(f"    {line}" for line in commands.splitlines()))  # an indented block, which no text can end
    return "\n\n".join(lines)


def figures_table(card: Card) -> list[list[str]]:
    """Measured figures beside those of real test images."""
    metrics, rows = card.metrics, list[list[str]]()
    for prefix, judge in JUDGES.items():
        for key, (name, meaning) in FIGURES.items():
            if (figure := metrics.get(prefix + key)) is not None:
                real = metrics.get(f"real_test_{prefix}{key}")
                rows.append([name + judge, *("" if value is None else _said(value) for value in (figure, real)), meaning])
    return rows or [["Not measured yet", "", "", "run `resgen evaluate --card`"]]


def _said(figure: float) -> str:
    return f"{figure:,}" if isinstance(figure, int) else f"{figure:.3g}"


def history_table(card: Card) -> pd.DataFrame:
    """The losses on the card, one row for each figure and moment."""
    rows = [row for row in card.training.get("history", []) if "images" in row]
    found = [(row["images"], name, amount) for row in rows for name, amount in row.items() if name != "images"]
    return pd.DataFrame(found, columns=["images", "figure", "amount"])
