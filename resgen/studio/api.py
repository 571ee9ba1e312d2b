"""The public HTTP endpoints, for `gradio_client` and MCP: /render and /checkpoints. Nothing else is public."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import gradio as gr

from resgen.checkpoint import list_checkpoints
from resgen.recipe import Recipe, parse_pairs, parse_seeds
from resgen.studio.explore import friendly
from resgen.studio.renderer import Renderer

KEPT_SECONDS = 3600


def add_api(renderer: Renderer) -> None:
    """Declare the endpoints inside an open `gr.Blocks`."""
    folder = Path(tempfile.mkdtemp(prefix="resgen-"))

    @friendly
    def render(checkpoint: str, seeds: str, classes: str, class_mix: str, truncation: float, directions: str, columns: int, scale: int) -> str:
        """Draw a grid of generated images.

        Args:
            checkpoint: name of a checkpoint, one of /checkpoints
            seeds: numbers and ranges, such as 0-15,42; each is one image
            classes: class names separated by commas, a row of seeds each; empty: drawn from the seed
            class_mix: a mixture of classes, such as cat=0.7,dog=0.3
            truncation: 0 (the average image) to 1.5
            directions: latent directions in standard deviations, such as pc1=2,pc3=-1
            columns: images in a row
            scale: enlargement of each image, 1 to 16

        Returns:
            A PNG that carries its recipe in the text chunk 'resgen'.
        """
        recipe = Recipe(
            checkpoint=checkpoint,
            seeds=parse_seeds(seeds),
            classes=tuple(filter(None, classes.split(","))),
            class_mix=parse_pairs(class_mix, "Class mix"),
            truncation=float(truncation),
            directions=parse_pairs(directions, "Directions"),
            columns=int(columns),
            scale=int(scale),
        )
        data = renderer.png(recipe)
        _forget_old(folder)
        path = Path(tempfile.mkdtemp(dir=folder)) / "grid.png"
        path.write_bytes(data)
        return str(path)

    def checkpoints() -> list[dict[str, Any]]:
        """List the checkpoints there are, each as its card: classes, data set, figures, directions."""
        return list_checkpoints(renderer.folder)

    first = next(iter(renderer.names()), "")
    inputs = [
        gr.Textbox(first, label="checkpoint", visible=False),
        gr.Textbox("0-15", label="seeds", visible=False),
        gr.Textbox("", label="classes", visible=False),
        gr.Textbox("", label="class mix", visible=False),
        gr.Number(1.0, label="truncation", visible=False),
        gr.Textbox("", label="directions", visible=False),
        gr.Number(8, label="columns", precision=0, visible=False),
        gr.Number(3, label="scale", precision=0, visible=False),
    ]
    output = gr.File(label="PNG", visible=False)
    gr.Button(visible=False).click(render, inputs, output, api_name="render", concurrency_limit=2, concurrency_id="render")
    gr.Button(visible=False).click(checkpoints, None, gr.JSON(visible=False), api_name="checkpoints")


def _forget_old(folder: Path) -> None:
    """Remove pictures that were handed out long ago."""
    for entry in folder.iterdir():
        if time.time() - entry.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)
