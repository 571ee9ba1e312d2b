"""The Invert screen: a photo -> the latent that draws it, forming in sight; then to be pinned, edited and used everywhere."""

import secrets
from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from resgen.budget import USUAL_STEPS
from resgen.invert import Inversion, invert, load_photo
from resgen.plates import Plate
from resgen.recipe import Recipe
from resgen.studio.page import (
    LAST,
    OPEN,
    PIN,
    QUIET,
    RAW,
    SAVE,
    SLOW,
    UNDER_WAY,
    Updates,
    Values,
    cancelling,
    friendly,
    grid,
    last_written,
    offer_images,
    redraw,
    switch,
    uploaded,
    watched,
)
from resgen.studio.renderer import GridView, Renderer

Near = tuple[np.ndarray, Recipe]  # an image uint8 [R, R, 3], and what draws it


class InvertScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, checkpoint: gr.HTML) -> None:
        self.renderer, self.library, self.checkpoint = renderer, renderer.library, checkpoint
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="stage"):
                self.view = grid("invert-grid", "Give a picture: the generator looks for the closest image it can draw.", (PIN, OPEN, SAVE))
                self.result = gr.Markdown(elem_id="invert-result", elem_classes="rg-told")
            with gr.Column(elem_classes="side"):
                self._build_controls()
        self.kept = gr.JSON(None, visible=False)
        self.example_seed = gr.JSON(None, visible=False)  # of the generator's own picture that is looked for, in place of a photo
        self.file = gr.JSON(visible=False)

    def _build_controls(self) -> None:
        self.photo = gr.File(label="Picture", file_types=["image"], file_count="single", elem_id="invert-photo", height=160)
        self.pasted = gr.Image(label="Or paste one", sources=["clipboard"], type="filepath", image_mode=None, height=160, elem_id="invert-paste")
        self.example = gr.Button("Try a picture of the generator's own", size="sm", elem_id="invert-example")
        with gr.Accordion("Crop", open=False):
            self.zoom = gr.Slider(1, 5, 1, step=0.05, label="Zoom", elem_id="invert-zoom")
            self.across = gr.Slider(0, 1, 0.5, step=0.01, label="Left or right", elem_id="invert-across")
            self.down = gr.Slider(0, 1, 0.5, step=0.01, label="Up or down", elem_id="invert-down")
        most = self.renderer.budget.candidates
        step = min(20, most)
        self.steps = gr.Slider(
            step, most, min(USUAL_STEPS, most), step=step, label="Steps", info="More come nearer, and take longer.", elem_id="invert-steps"
        )
        with gr.Row():
            self.find = gr.Button("Find the closest image", variant="primary", size="sm", elem_id="invert-find")
            self.cancel = gr.Button("Cancel", size="sm", interactive=False, elem_id="invert-cancel")
        self.curve = gr.LinePlot(x="step", y="error", title="Error at each step", visible=False, height=200, elem_id="invert-curve")

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return {self.kept}

    def read(self, values: Values) -> Recipe | None:
        """The recipe of the image that was found, None before there is one. Raises RecipeError."""
        recipe = last_written(self, values)
        return recipe if isinstance(recipe, Recipe) else None

    def write(self, recipe: Recipe) -> Updates:
        """What makes the screen show an image that was found."""
        return {self.kept: recipe.to_dict()}

    # Events.

    def connect(self) -> None:
        """Attach every listener."""
        redraw(self, [], self.renderer.view)
        given = {self.photo, self.pasted, self.example_seed, self.zoom, self.across, self.down, self.checkpoint}
        outputs = [self.view, self.kept, self.result, self.curve, self.cancel]
        for chosen, other in ((self.photo.upload, self.pasted), (self.pasted.input, self.photo)):  # the last one given is looked for
            forgotten = chosen(lambda other=other: self.forget(other), None, [self.example_seed, other, self.result, self.curve], **QUIET)
            forgotten.then(friendly(self.show_target), given, self.view, **RAW)
        gr.on([dial.input for dial in (self.zoom, self.across, self.down)], friendly(self.show_target), given, self.view, **LAST, preprocess=False)
        seed = self.example.click(lambda: (secrets.randbelow(1_000_000), None, None), None, [self.example_seed, self.photo, self.pasted], **QUIET)
        switch(seed.then, self.cancel, UNDER_WAY)
        own = seed.then(friendly(self.find_latent), given | {self.steps}, outputs, **SLOW, preprocess=False)
        # One search at a time, and none for a picture that another has taken the place of.
        self.find.click(None, cancels=own)
        switch(self.find.click, self.cancel, UNDER_WAY)
        found = self.find.click(friendly(self.find_latent), given | {self.steps}, outputs, **SLOW, preprocess=False)
        gr.on([self.photo.upload, self.pasted.input, self.example.click], None, cancels=[found, own])
        cropped = gr.on([dial.release for dial in (self.zoom, self.across, self.down)], None, cancels=[found])
        cropped.then(friendly(self.show_cropped), given, [self.view, self.result, self.curve], **RAW)
        cancelling(self.cancel, self.find, [found, own], self.result)
        offer_images(self.renderer, self.view, self.file)

    def target(self, values: Values) -> np.ndarray:
        """The picture that is looked for, uint8 [R, R, 3]. Raises ResGenError where there is none."""
        name = values[self.checkpoint]
        if values[self.example_seed] is not None:
            return self.renderer.single_images([Recipe(checkpoint=name, seeds=(values[self.example_seed],), columns=1)])[0][1]
        path = uploaded(values[self.photo] or values[self.pasted], "There is no picture yet: choose a file, or paste one.")
        crop = (values[self.zoom], values[self.across], values[self.down])
        return load_photo(path, self.library.card(name).arch.resolution, crop, self.renderer.budget.upload_pixels)

    def _nothing_found(self) -> Updates:
        return {self.result: "", self.curve: gr.update(visible=False)}

    def forget(self, other: Any) -> Updates:
        """Without what ``other`` has given, and what was found of it."""
        return {self.example_seed: None, other: None, **self._nothing_found()}

    def show_target(self, values: Values) -> Any:
        """The picture as it will be looked for, before it is."""
        if not (values[self.photo] or values[self.pasted]):
            return gr.skip()
        return self._beside(self.target(values), f"to be drawn by {values[self.checkpoint]}")

    def show_cropped(self, values: Values) -> Updates:
        """The picture as it will be looked for, without what was found of another part of it."""
        if not (values[self.photo] or values[self.pasted]):
            return {}
        return {self.view: self.show_target(values), **self._nothing_found()}

    def find_latent(self, values: Values) -> Iterator[Updates]:
        self.renderer.costs.check_search(values[self.checkpoint], values[self.steps])
        target, name = self.target(values), values[self.checkpoint]
        sampler, features = self.library.sampler(name), self.library.features(name)  # first: what cannot be read has not been searched with
        yield {
            **self._nothing_found(),
            self.result: "Searching ...",
            self.cancel: UNDER_WAY,
            self.view: self._beside(target, f"to be drawn by {name}"),
        }
        latest = list[Near]()
        work = invert(target, sampler, features, int(values[self.steps]), watch=lambda *near: latest.append(near))
        for told in watched(self.renderer.turns.share(work), f"Searching with {name}, steps"):
            if isinstance(told, Inversion):
                yield self.show_found(target, told)
            else:
                near = latest[-1] if latest else None
                yield {self.result: told, self.cancel: UNDER_WAY, self.view: self._beside(target, f"to be drawn by {name}", near)}
                del latest[:-1]

    def show_found(self, target: np.ndarray, found: Inversion) -> Updates:
        """The picture beside what the generator draws, and how near it came."""
        words = f"**{found.psnr:.1f} dB** PSNR: above 30 the two are hard to tell apart. Choose the found image to pin it or to go on in Explore."
        curve = pd.DataFrame({"step": range(1, len(found.losses) + 1), "error": found.losses})
        status = f"found in {len(found.losses)} steps by {found.recipe.checkpoint}"
        return {
            **self.write(found.recipe),
            self.view: self._beside(target, status, (found.image, found.recipe), found.recipe),
            self.result: words,
            self.curve: gr.update(value=curve, visible=True),
        }

    def _beside(self, target: np.ndarray, status: str, near: Near | None = None, found: Recipe | None = None) -> GridView:
        """The picture, and beside it the nearest image there is, which can be pinned and opened; the page's address follows what is ``found``."""
        images = [target] if near is None else [target, near[0]]
        captions = ("picture to find", "closest image" if found else "closest so far")[: len(images)]
        tiles = (None, near[1] if near else None)[: len(images)]
        plate = Plate(np.stack(images), len(images), 8, captions, tiles=tiles, column_labels=captions)
        view = self.renderer.view_plate(plate, found, status)
        if found:
            view["query"] = f"screen=invert&{view['query']}"  # so that the browser's Back comes back here
        return view
