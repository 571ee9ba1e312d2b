"""The Invert screen: a photo -> the latent that draws it, to be pinned and used everywhere."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from resgen.errors import DataError
from resgen.plates import Plate
from resgen.studio.page import DOWNLOAD, QUIET, SLOW, friendly, grid, save_tile
from resgen.studio.renderer import Renderer


class InvertScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, checkpoint: gr.Dropdown) -> None:
        self.renderer, self.checkpoint = renderer, checkpoint
        with gr.Row():
            with gr.Column(scale=3):
                self.grid = grid("invert-grid", "Give a picture: the latent is looked for that draws it.")
                self.result = gr.Markdown(elem_id="invert-result")
                self.curve = gr.LinePlot(x="step", y="error", title="Error at each step", visible=False, height=220, elem_id="invert-curve")
            with gr.Column(scale=1, elem_classes="controls"):
                self.photo = gr.File(label="Picture", file_types=["image"], file_count="single", elem_id="invert-photo", height=140)
                self.pasted = gr.Image(label="Or paste one", sources=["clipboard"], type="filepath", height=160, elem_id="invert-paste")
                self.steps = gr.Slider(20, 1000, 400, step=20, label="Steps", info="More come nearer, and take longer.", elem_id="invert-steps")
                with gr.Row():
                    self.find = gr.Button("Find its latent", variant="primary", elem_id="invert-find")
                    self.cancel = gr.Button("Cancel", elem_id="invert-cancel")
        self.file = gr.JSON(visible=False)

    def connect(self) -> None:
        found = self.find.click(
            self.find_latent, [self.photo, self.pasted, self.steps, self.checkpoint], [self.grid, self.result, self.curve], **SLOW
        )
        self.cancel.click(lambda: "Cancelled.", None, self.result, cancels=[found], **QUIET)
        self.grid.select(self.save, None, self.file, **QUIET).success(None, self.file, js=DOWNLOAD)

    @friendly
    def find_latent(
        self, photo: str | None, pasted: str | None, steps: float, checkpoint: str, progress: Any = gr.Progress()
    ) -> tuple[Any, str, Any]:
        from resgen.invert import load_photo

        path = photo or pasted
        if not path:
            raise DataError("There is no picture yet: choose a file, or paste one.")
        target = load_photo(Path(path), self.renderer.sampler(checkpoint).checkpoint.arch.resolution)
        found = self.renderer.invert(target, checkpoint, int(steps), lambda done, total: progress((done, total), desc="Searching", unit="steps"))
        plate = Plate(
            np.stack([target, found.image]),
            2,
            8,
            ("your picture", "what the generator draws"),
            tiles=(None, found.recipe),
            column_labels=("yours", "found"),
        )
        view = self.renderer.view_plate(plate, found.recipe, f"{found.psnr:.1f} dB after {len(found.losses)} steps")
        words = f"**{found.psnr:.1f} dB** PSNR: above 30 it is hard to tell from yours. Choose the found image to pin it, then walk, mix or edit it."
        curve = pd.DataFrame({"step": range(1, len(found.losses) + 1), "error": found.losses})
        return view, words, gr.update(value=curve, visible=True)

    @friendly
    def save(self, event: gr.EventData) -> Any:
        return save_tile(self.renderer, event.tile)
