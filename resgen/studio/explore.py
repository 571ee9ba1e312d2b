"""The Explore screen: a live grid of images and everything that changes it."""

import base64
import secrets
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from resgen.errors import ResGenError
from resgen.recipe import MAX_SEED, Recipe, format_seeds, parse_seeds
from resgen.studio.controls import Controls
from resgen.studio.renderer import Renderer

START = Recipe(seeds=tuple(range(24)), columns=6, scale=4)  # what an opened page shows
STATIC = Path(__file__).parent / "static"
DOWNLOAD = "(file) => { const a = document.createElement('a'); a.href = file.uri; a.download = file.name; a.click(); }"
COPY_LINK = """async () => {
  const button = document.querySelector('#copy-link');
  try { await navigator.clipboard.writeText(location.href); button.textContent = 'Link copied'; }
  catch { window.prompt('Copy this link:', location.href); }
  setTimeout(() => { button.textContent = 'Copy link'; }, 1500);
}"""


def friendly(function: Any) -> Any:
    """Show a mendable error as one message in the page; what is on screen stays."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ResGenError as error:
            raise gr.Error(str(error), title="That did not work", print_exception=False) from error

    return guarded


class Explore:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        with gr.Row():
            with gr.Column(scale=3, elem_id="picture"):
                self.grid = gr.HTML(
                    value=None,
                    html_template=(STATIC / "grid.html").read_text(),
                    js_on_load=(STATIC / "grid.js").read_text(),
                    apply_default_css=False,
                    elem_id="grid",
                )
                with gr.Row(elem_id="actions"):
                    self.copy_link = gr.Button("Copy link", size="sm", min_width=60, elem_id="copy-link")
                    self.download_png = gr.Button("Save PNG", size="sm", min_width=60, elem_id="download-png")
                    self.download_zip = gr.Button("Save zip", size="sm", min_width=60, elem_id="download-zip")
                    self.reset = gr.Button("Reset", size="sm", min_width=60, elem_id="reset")
            with gr.Column(scale=1, elem_id="controls"):
                self.controls = Controls(renderer.names())
        self.file = gr.JSON(visible=False)

    def connect(self, demo: gr.Blocks) -> None:
        """Attach every listener."""
        c, everything = self.controls, [*self.controls.shown, self.grid]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        live: dict[str, Any] = {**quiet, "trigger_mode": "always_last", "concurrency_limit": 2, "concurrency_id": "render"}
        demo.load(self.open, None, everything, **quiet)
        c.checkpoint.input(self.change_checkpoint, c.components, everything, **quiet)
        for slider in c.live:
            slider.input(self.draw, c.components, self.grid, **live)
        class_details = [c.one_class, c.row_classes, c.mixed, *c.shares]
        for component in (c.class_mode, c.mixed):
            component.input(c.class_updates, [c.class_mode, c.mixed], class_details, **quiet)
        c.seeds.submit(self.draw, c.components, self.grid, **live)
        for button, move in ((c.previous, -1), (c.next, 1), (c.random, 0)):
            button.click(self.move_seeds(move), c.components, [c.seeds, self.grid], **live)
        self.reset.click(self.start_over, c.checkpoint, everything, **quiet)
        vary = [*everything, c.seeds_before]
        self.grid.select(self.act_on_tile, c.components, [*vary, self.file], **quiet).then(None, self.file, js=f"(f) => f && ({DOWNLOAD})(f)")
        c.leave_variations.click(self.leave_variations, [c.seeds_before, *c.components], everything, **quiet)
        self.copy_link.click(None, js=COPY_LINK)
        for button, make in ((self.download_png, self.make_png), (self.download_zip, self.make_zip)):
            button.click(make, c.components, self.file, **quiet).success(None, self.file, js=DOWNLOAD)

    def _recipe(self, values: tuple[Any, ...]) -> Recipe:
        return self.controls.recipe(values, self.renderer.sampler(values[0]).checkpoint)

    def _show(self, recipe: Recipe) -> list[Any]:
        """Updates of all controls and the grid."""
        view = self.renderer.view(recipe)
        return [*self.controls.updates(recipe, self.renderer.sampler(recipe.checkpoint).checkpoint), view]

    @friendly
    def open(self, request: gr.Request) -> list[Any]:
        """The page's first picture: what its link says, or the best checkpoint's first seeds."""
        names = self.renderer.names()
        if not names:
            raise ResGenError(f"There is no checkpoint in {self.renderer.folder.name}/; train one or copy a .safetensors file there.")
        try:
            recipe = Recipe.from_query(str(request.query_params))
            return self._show(recipe if recipe.checkpoint else replace(START, checkpoint=names[0]))
        except ResGenError as error:
            gr.Warning(f"This link could not be followed: {error}")
            return self._show(replace(START, checkpoint=names[0]))

    @friendly
    def change_checkpoint(self, *values: Any) -> list[Any]:
        """Another generator, with the seeds, truncation and layout there are."""
        c = self.controls
        by_id = dict(zip((component._id for component in c.components), values, strict=True))
        seeds, truncation, columns, scale = (by_id[kept._id] for kept in (c.seeds, c.truncation, c.columns, c.scale))
        return self._show(Recipe(values[0], parse_seeds(seeds), truncation=truncation, columns=int(columns), scale=int(scale)))

    @friendly
    def draw(self, *values: Any) -> dict[str, Any]:
        return self.renderer.view(self._recipe(values))

    def move_seeds(self, direction: int) -> Any:
        """A listener that steps to the next (1) or previous (-1) seeds, or to random ones (0)."""

        @friendly
        def move(*values: Any) -> tuple[str, dict[str, Any]]:
            recipe = self._recipe(values)
            count = len(recipe.seeds)
            start = secrets.randbelow(1_000_000) if direction == 0 else recipe.seeds[0] + direction * count
            start = min(max(0, start), MAX_SEED - count)
            moved = replace(recipe, seeds=tuple(range(start, start + count)))
            return format_seeds(moved.seeds), self.renderer.view(moved)

        return move

    @friendly
    def start_over(self, checkpoint: str) -> list[Any]:
        return self._show(replace(START, checkpoint=checkpoint))

    @friendly
    def act_on_tile(self, event: gr.EventData, *values: Any) -> list[Any]:
        """'Make variations' or 'Save image' of one tile."""
        recipe, seed, label = self._recipe(values), int(event.seed), str(event.label)
        unchanged = [gr.skip()] * (len(self.controls.shown) + 2)
        if event.action == "save":
            alone = replace(recipe.alone(seed, label), scale=recipe.scale)
            return [*unchanged, self._file(f"{label or recipe.checkpoint}-seed{seed}.png", self.renderer.png(alone))]
        varied = replace(recipe, seeds=START.seeds, classes=(label,) if label and not recipe.class_mix else (), variation_of=seed)
        return [*self._show(varied), format_seeds(recipe.seeds), None]

    @friendly
    def leave_variations(self, seeds_before: str, *values: Any) -> list[Any]:
        recipe = self._recipe(values)
        return self._show(replace(recipe, variation_of=None, seeds=parse_seeds(seeds_before or format_seeds(START.seeds))))

    @friendly
    def make_png(self, *values: Any) -> dict[str, str]:
        recipe = self._recipe(values)
        return self._file(f"{recipe.checkpoint}.png", self.renderer.png(recipe))

    @friendly
    def make_zip(self, *values: Any) -> dict[str, str]:
        recipe = self._recipe(values)
        return self._file(f"{recipe.checkpoint}.zip", self.renderer.zip(recipe))

    @staticmethod
    def _file(name: str, data: bytes) -> dict[str, str]:
        """A download as a data URI: nothing is left on the server's disk."""
        kind = "application/zip" if name.endswith(".zip") else "image/png"
        return {"name": name, "uri": f"data:{kind};base64,{base64.b64encode(data).decode()}"}
