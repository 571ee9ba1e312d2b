"""The Walk screen: a film through pinned images."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from resgen.composite import Walk, read_points
from resgen.errors import RecipeError
from resgen.recipe import usual_scale
from resgen.studio.page import (
    ASK,
    POINTS_HELP,
    QUIET,
    SLOW,
    STATIC,
    UNDER_WAY,
    Updates,
    Values,
    as_pins,
    cancelling,
    dialled,
    download,
    draw_at,
    friendly,
    last_written,
    make_pins,
    pin_list,
    pinned,
    player,
    redraw,
    rewrite,
    slider,
    switch,
    watched,
)  # fmt: skip
from resgen.studio.renderer import Renderer

START = "1,2,3"
FORMATS = {"MP4": ".mp4", "GIF": ".gif", "Animated WebP": ".webp"}


class WalkScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, tray: gr.HTML, checkpoint: gr.HTML) -> None:
        self.renderer, self.tray, self.checkpoint = renderer, tray, checkpoint
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="stage"):
                self.view = player("walk-player", "Pin two images or more in Explore, or take some seeds: the film passes through them.")
                self.stops = pin_list("stops", "Stops", "None yet: take pinned images, or seeds.", ordered=True)
                with gr.Row(elem_classes="rg-line"):
                    self.make = gr.Button("Save film", variant="primary", size="sm", elem_id="make-film")
                    self.cancel = gr.Button("Cancel", size="sm", interactive=False, elem_id="cancel-film")
                self.progress = gr.HTML(elem_id="film-progress", elem_classes="rg-told")
            with gr.Column(elem_classes="side"):
                self._build_controls()
        self.kept = gr.JSON(None, visible=False)
        self.file = gr.JSON(visible=False)

    def _build_controls(self) -> None:
        self.use_pins = gr.Button("Use pinned images", size="sm", elem_id="walk-use-pins")
        self.seeds = gr.Textbox(START, label="Stops from seeds", info=POINTS_HELP, elem_id="walk-seeds")
        paths = [("Through other images", "z"), ("Straight from one to the next", "w")]
        self.path = gr.Radio(
            paths, value="z", label="Path", info="By turning the noise (slerp in z), or in styles (linear in w).", elem_id="walk-path"
        )
        paces = [("Even", "even"), ("Slower at each stop", "eased")]
        self.pace = gr.Radio(paces, value="even", label="Pace", elem_id="walk-pace")
        self.loop = gr.Checkbox(True, label="Loop", info="Return to the first stop.", elem_id="walk-loop")
        self.seconds = slider(Walk, "seconds", elem_id="walk-seconds")
        self.fps = slider(Walk, "fps", elem_id="walk-fps")
        self.scale = slider(Walk, "scale", elem_id="walk-scale")
        self.format = gr.Radio(
            list(FORMATS), value="MP4", label="Format", info="MP4 is the smallest; GIF and WebP play in chats.", elem_id="walk-format"
        )

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return {self.kept, self.stops, *self._fields.values()}

    @property
    def _fields(self) -> dict[str, Any]:
        """The control of each field but the stops."""
        return {"seconds": self.seconds, "fps": self.fps, "loop": self.loop, "path": self.path, "pace": self.pace, "scale": self.scale}

    @property
    def outputs(self) -> set[Any]:
        """What `write` sets."""
        return self.inputs | {self.view}

    def read(self, values: Values) -> Walk | None:
        """The walk that the controls show; None where there are less than two stops. Raises RecipeError."""
        kept = last_written(self, values)
        stops = pinned(values[self.stops])
        if len(stops) < 2:
            return None
        if not isinstance(kept, Walk):
            return Walk(stops=stops, **{name: values[control] for name, control in self._fields.items()})
        shown = self._show(kept)
        return kept.changed(stops=stops, **{name: values[control] for name, control in self._fields.items() if values[control] != shown[control]})

    def _show(self, walk: Walk) -> Values:
        exact = {control: getattr(walk, name) for name, control in self._fields.items()}
        return exact | {self.seconds: dialled(walk, "seconds")}

    def write(self, recipe: Walk) -> Updates:
        """What makes the screen show a walk. Raises ResGenError."""
        return {self.stops: make_pins(self.renderer, recipe.stops), **self._show(recipe), self.kept: recipe.to_dict(), self.view: ASK}

    # Events.

    def connect(self, tab: gr.Tab) -> None:
        """Attach every listener."""
        rewrite(tab.select, self.open, {*self.inputs, self.seeds, self.checkpoint}, self.outputs)
        dials = (self.seconds, self.fps, self.scale)
        changes = [self.path.input, self.pace.input, self.loop.input, *(dial.input for dial in dials), *(dial.release for dial in dials)]
        redraw(self, changes, self.renderer.film_view)
        draw_at(self, [self.stops.change])
        self.use_pins.click(friendly(self.use), self.tray, self.stops, **QUIET)
        self.seeds.submit(friendly(self.take_seeds), [self.seeds, self.checkpoint], self.stops, **QUIET)
        switch(self.make.click, self.cancel, UNDER_WAY)
        film = self.make.click(
            friendly(self.make_film), {*self.inputs, self.format}, [self.file, self.progress, self.cancel], **SLOW, preprocess=False
        )
        film.success(None, self.file, js=(STATIC / "download.js").read_text(encoding="utf-8"))
        cancelling(self.cancel, self.make, [film], self.progress)

    def open(self, values: Values) -> Updates:
        """What the screen shows when it is first opened: a film through the seeds that its box names."""
        if values[self.stops]:
            return {}
        return self._write_usual(Walk(stops=read_points(values[self.seeds], values[self.checkpoint])))

    def take_pins(self, tray: Any) -> Updates:
        """A film through the pinned images."""
        return self._write_usual(Walk(stops=pinned(self.use(tray))))

    def _write_usual(self, walk: Walk) -> Updates:
        """A film of which nobody has said how large it is."""
        return self.write(walk.changed(scale=usual_scale(Walk, self.renderer.library.card(walk.checkpoint).arch.resolution)))

    @staticmethod
    def use(tray: Any) -> list[Any]:
        """The pinned images as stops. Raises RecipeError."""
        return as_pins(tray, 2, "Pin at least two images of one generator: a film passes from one to the next.")

    def take_seeds(self, text: str, checkpoint: str) -> list[dict[str, str]]:
        """Stops from seeds, of the generator that is chosen."""
        return make_pins(self.renderer, read_points(text, checkpoint))

    def make_film(self, values: Values) -> Iterator[Updates]:
        walk, suffix = self.read(values), FORMATS[values[self.format]]
        if walk is None:
            raise RecipeError("Walk: pin at least two images to walk between.")
        for told in watched(self.renderer.film(walk, suffix), "Drawing frames"):
            if isinstance(told, bytes):
                yield {self.file: download(f"walk{suffix}", told), self.progress: f"Made {len(told) / 1e6:.1f} MB."}
            else:
                yield {self.progress: told, self.cancel: UNDER_WAY}
