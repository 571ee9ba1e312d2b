"""The Invert screen: a photo -> the latent that draws it, to be pinned and used everywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from resgen.composite import read_dict
from resgen.errors import DataError
from resgen.invert import Inversion, invert, load_photo
from resgen.plates import Plate
from resgen.recipe import Recipe
from resgen.studio.page import SLOW, Updates, Values, cancelling, friendly, grid, offer, redraw, save_tile, watched
from resgen.studio.renderer import GridView, Renderer


class InvertScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, checkpoint: gr.Dropdown) -> None:
        self.renderer, self.library, self.checkpoint = renderer, renderer.library, checkpoint
        with gr.Row():
            with gr.Column(scale=3):
                self.view = grid("invert-grid", "Give a picture: the latent is looked for that draws it.")
                self.result = gr.Markdown(elem_id="invert-result", elem_classes="rg-told")
                self.curve = gr.LinePlot(x="step", y="error", title="Error at each step", visible=False, height=220, elem_id="invert-curve")
            with gr.Column(scale=1, elem_classes="controls"):
                self.photo = gr.File(label="Picture", file_types=["image"], file_count="single", elem_id="invert-photo", height=140)
                self.pasted = gr.Image(label="Or paste one", sources=["clipboard"], type="filepath", height=160, elem_id="invert-paste")
                self.steps = gr.Slider(20, 1000, 400, step=20, label="Steps", info="More come nearer, and take longer.", elem_id="invert-steps")
                with gr.Row():
                    self.find = gr.Button("Find its latent", variant="primary", elem_id="invert-find")
                    self.cancel = gr.Button("Cancel", elem_id="invert-cancel")
        self.kept = gr.JSON(None, visible=False)
        self.file = gr.JSON(visible=False)

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return {self.kept}

    def read(self, values: Values) -> Recipe | None:
        """The recipe of the image that was found, None before there is one. Raises RecipeError."""
        recipe = read_dict(values[self.kept]) if values[self.kept] else None
        return recipe if isinstance(recipe, Recipe) else None

    def write(self, recipe: Recipe) -> Updates:
        """What makes the screen show a found image."""
        return {self.kept: recipe.to_dict()}

    # Events.

    def connect(self) -> None:
        """Attach every listener."""
        redraw(self, [], self.draw)
        found = self.find.click(
            friendly(self.find_latent),
            {self.photo, self.pasted, self.steps, self.checkpoint},
            [self.view, self.kept, self.result, self.curve],
            **SLOW,
        )
        cancelling(self.cancel, found, self.result)
        offer(self.view.select, self.save_tile, None, self.file)

    def draw(self, values: Values) -> Any:
        recipe = self.read(values)
        return self.renderer.view(recipe) if recipe else gr.skip()

    def find_latent(self, values: Values) -> Iterator[Updates]:
        path, name = values[self.photo] or values[self.pasted], values[self.checkpoint]
        if not path:
            raise DataError("There is no picture yet: choose a file, or paste one.")
        target = load_photo(Path(path), self.library.card(name).arch.resolution)
        yield {self.result: "Searching ..."}
        work = invert(target, self.library.sampler(name), self.library.features(name), int(values[self.steps]))
        for told in watched(work, "Searching, steps"):
            if isinstance(told, Inversion):
                yield self.show_found(target, told)
            else:
                yield {self.result: told}

    def show_found(self, target: np.ndarray, found: Inversion) -> Updates:
        """The picture beside what the generator draws, and how near it came."""
        words = f"**{found.psnr:.1f} dB** PSNR: above 30 it is hard to tell from yours. Choose the found image to pin it, then walk, mix or edit it."
        curve = pd.DataFrame({"step": range(1, len(found.losses) + 1), "error": found.losses})
        return {
            **self.write(found.recipe),
            self.view: self._beside(target, found),
            self.result: words,
            self.curve: gr.update(value=curve, visible=True),
        }

    def _beside(self, target: np.ndarray, found: Inversion) -> GridView:
        captions = ("your picture", "what the generator draws")
        plate = Plate(np.stack([target, found.image]), 2, 8, captions, tiles=(None, found.recipe), column_labels=("yours", "found"))
        status = f"{found.psnr:.1f} dB after {len(found.losses)} steps by {found.recipe.checkpoint}"
        return self.renderer.view_plate(plate, found.recipe, status)

    def save_tile(self, event: gr.EventData) -> Any:
        return save_tile(self.renderer, event)
