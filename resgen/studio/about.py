"""The About screen: cards with measured figures and training curves, and how it works in one picture."""

from typing import Any

import gradio as gr
import pandas as pd

from resgen.checkpoint import Checkpoint
from resgen.studio.page import QUIET, STATIC, friendly
from resgen.studio.renderer import Renderer

# What a figure is called on the page, and what it means.
FIGURES = {
    "accuracy": ("Named as meant", "share of images whose class a judge names"),
    "deviation": ("Variety in a class", "pixel deviation within a class, over that of real images"),
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


class AboutScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, checkpoint: gr.Dropdown) -> None:
        self.renderer, self.checkpoint = renderer, checkpoint
        gr.HTML((STATIC / "how.html").read_text(), elem_id="how")
        self.card = gr.Markdown(elem_id="about-card")
        self.figures = gr.Dataframe(headers=["Figure", "Generated", "Real test images", "Meaning"], interactive=False, wrap=True, elem_id="figures")
        self.loss = gr.LinePlot(x="images", y="value", color="figure", title="Through the training", height=260, elem_id="curves", visible=False)

    @property
    def shown(self) -> list[Any]:
        return [self.card, self.figures, self.loss]

    def connect(self, demo: gr.Blocks) -> None:
        demo.load(self.show, self.checkpoint, self.shown, **QUIET)
        self.checkpoint.change(self.show, self.checkpoint, self.shown, **QUIET)

    @friendly
    def show(self, name: str | None) -> list[Any]:
        if not name:
            return [gr.skip()] * 3
        checkpoint = self.renderer.sampler(name).checkpoint
        curves = history_table(checkpoint)
        return [describe_fully(checkpoint), figures_table(checkpoint), gr.update(value=curves, visible=not curves.empty)]


def describe_fully(checkpoint: Checkpoint) -> str:
    """The card in words, as Markdown."""
    training, dataset, arch = checkpoint.training, checkpoint.dataset, checkpoint.arch
    parameters = sum(value.numel() for value in checkpoint.weights.values())
    lines = [
        f"## {checkpoint.name}",
        f"{parameters / 1e6:.1f} million weights in {len(arch.widths)} residual blocks, {arch.resolution} x {arch.resolution} pixels.",
    ]
    if dataset.get("name"):
        lines.append(
            f"**Data**: {dataset['name']}, {dataset.get('images', 0):,} images; author: {dataset.get('author')}; licence: {dataset.get('licence')}."
        )
    if training.get("images_seen"):
        lines.append(f"**Training**: {training['images_seen']:,} images in {training.get('hours')} hours on {training.get('hardware')}.")
    if training.get("command"):
        later = [f"# from image {stage['from_image']:,} on\n{stage['command']}" for stage in training.get("stages", ())]
        lines.append("\n".join(["```sh", training["command"], *later, "```"]))
    return "\n\n".join(lines)


def figures_table(checkpoint: Checkpoint) -> list[list[str]]:
    """Measured figures beside those of real test images."""
    metrics = checkpoint.metrics
    rows = []
    for key, (name, meaning) in FIGURES.items():
        if key in metrics:
            rows.append([name, _show(metrics[key]), _show(metrics.get(f"real_test_{key}", "")), meaning])
    return rows or [["Not measured yet", "", "", "run `resgen evaluate --card`"]]


def _show(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else str(value)


def history_table(checkpoint: Checkpoint) -> pd.DataFrame:
    """The losses on the card, one row for each figure and moment."""
    table = pd.DataFrame(checkpoint.training.get("history", []))
    if "images" not in table:
        return pd.DataFrame(columns=["images", "figure", "value"])
    return table.melt("images", var_name="figure", value_name="value")
