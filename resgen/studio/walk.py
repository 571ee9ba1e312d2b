"""The Walk screen: a film through pinned images."""

from typing import Any

import gradio as gr

from resgen.composite import Walk, read_points
from resgen.recipe import Recipe
from resgen.sampler import Progress
from resgen.studio.page import DOWNLOAD, QUIET, SLOW, download, friendly, live, make_pins, pin_list, pinned, player
from resgen.studio.renderer import Renderer

START = "1,2,3"
FORMATS = {"MP4": ".mp4", "GIF": ".gif", "Animated WebP": ".webp"}


class WalkScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, tray: gr.HTML, checkpoint: gr.Dropdown) -> None:
        self.renderer, self.tray, self.checkpoint = renderer, tray, checkpoint
        with gr.Row():
            with gr.Column(scale=3):
                self.player = player("walk-player", "Pin two images or more in Explore, or take some seeds: the film passes through them.")
                with gr.Row():
                    self.make = gr.Button("Make film", variant="primary", elem_id="make-film")
                    self.cancel = gr.Button("Cancel", elem_id="cancel-film")
                self.progress = gr.HTML(elem_id="film-progress")
            with gr.Column(scale=1, elem_classes="controls"):
                self.stops = pin_list("stops", "Stops", "No stops yet.")
                with gr.Row():
                    self.use_pins = gr.Button("Take pinned images", size="sm", elem_id="walk-use-pins")
                    self.clear = gr.Button("Clear", size="sm", min_width=60)
                self.seeds = gr.Textbox(
                    START, label="Stops from seeds", info="3,7@cat,10-12: seeds, of a class after @. Press Enter.", elem_id="walk-seeds"
                )
                self.path = gr.Radio(
                    [("Turn the noise (slerp in z)", "z"), ("Straight line (linear in w)", "w")], value="z", label="Path", info="How the images between two stops are found.", elem_id="walk-path"
                )  # fmt: skip
                self.loop = gr.Checkbox(True, label="Loop", info="Return to the first stop.")
                self.seconds = gr.Slider(0.5, 30, 4, step=0.5, label="Seconds", info="Length of the whole film.", elem_id="walk-seconds")
                self.fps = gr.Slider(4, 60, 24, step=1, label="Frames a second", info="More are smoother, and take longer to make.")
                self.scale = gr.Slider(1, 16, 8, step=1, label="Size", info="Enlargement of the film's images.")
                self.format = gr.Radio(
                    list(FORMATS), value="MP4", label="Format", info="MP4 is the smallest; GIF and WebP play in chats.", elem_id="walk-format"
                )
        self.file = gr.JSON(visible=False)

    @property
    def settings(self) -> list[Any]:
        return [self.stops, self.seconds, self.fps, self.loop, self.path, self.scale]

    def connect(self) -> None:
        changes: list[Any] = [component.change for component in (self.stops, self.seconds, self.path, self.loop)]
        changes.append(self.use_pins.click(lambda tray: tray, self.tray, self.stops, **QUIET).then)
        changes.append(self.seeds.submit(self.take_seeds, [self.seeds, self.checkpoint], self.stops, **QUIET).then)
        for change in changes:
            live(change, self.preview, self.settings, self.player)
        self.clear.click(list, None, self.stops, **QUIET)
        film = self.make.click(self.make_film, [*self.settings, self.format], [self.file, self.progress], **SLOW)
        film.success(None, self.file, js=DOWNLOAD)
        self.cancel.click(lambda: "Cancelled.", None, self.progress, cancels=[film], **QUIET)

    def take_seeds(self, text: str, checkpoint: str) -> list[dict[str, str]]:
        return friendly(make_pins)(self.renderer, friendly(read_points)(text, checkpoint))

    @friendly
    def preview(self, stops: Any, *settings: Any) -> Any:
        """The film's frames at their own size, fewer than the film will have; nothing before there are two stops."""
        recipes = pinned(stops)
        return self.renderer.film_view(_walk(recipes, *settings)) if len(recipes) > 1 else gr.skip()

    @friendly
    def make_film(self, stops: Any, *settings: Any, progress: Any = gr.Progress()) -> tuple[dict[str, str], str]:
        *numbers, name = settings
        walk = _walk(pinned(stops), *numbers)

        def tell(done: int, total: int) -> None:
            progress((done, total), desc="Drawing", unit="frames")

        teller: Progress = tell
        data = self.renderer.film(walk, FORMATS[name], teller)
        return download(f"walk{FORMATS[name]}", data), f"Made {walk.frames} frames, {len(data) / 1e6:.1f} MB."

    def restore(self, walk: Walk) -> list[Any]:
        """Updates that show a walk: of `settings`."""
        return [make_pins(self.renderer, walk.stops), walk.seconds, walk.fps, walk.loop, walk.path, walk.scale]


def _walk(stops: tuple[Recipe, ...], seconds: float, fps: float, loop: bool, path: str, scale: float) -> Walk:
    return Walk(stops, float(seconds), int(fps), bool(loop), path, int(scale))
