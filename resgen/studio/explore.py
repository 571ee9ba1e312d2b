"""The Explore screen: a live grid of images and everything that changes it."""

import secrets
from dataclasses import replace
from typing import Any

import gradio as gr

from resgen.composite import AnatomyOf, read_query
from resgen.curate import ORDERS, curate, make_direction
from resgen.errors import RecipeError, ResGenError
from resgen.recipe import MAX_SEED, Recipe, format_seeds, parse_seeds
from resgen.studio.controls import CHOSEN, PLAIN, Controls
from resgen.studio.page import DOWNLOAD, PIN, QUIET, SAVE, SLOW, VARY, download, friendly, grid, live, save_tile
from resgen.studio.renderer import Renderer

START = Recipe(seeds=tuple(range(24)), columns=6)  # what an opened page shows
TILE = 128  # pixels a side that an image is enlarged to at first
PLANE_COLUMNS = 6
SWEEP_SEEDS, SWEEP_COLUMNS = 6, 7
MORE = ("more", "More", "Mark as having more of what your own direction shall mean")
LESS = ("less", "Less", "Mark as having less of it")
COPY_LINK = """async () => {
  const button = document.querySelector('#copy-link');
  try { await navigator.clipboard.writeText(location.href); button.textContent = 'Link copied'; }
  catch { window.prompt('Copy this link:', location.href); }
  setTimeout(() => { button.textContent = 'Copy link'; }, 1500);
}"""


class Explore:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        with gr.Row():
            with gr.Column(scale=3, elem_id="picture"):
                self.grid = grid("grid", "Loading the first images ...", (PIN, VARY, MORE, LESS, SAVE), remembers=True)
                with gr.Row(elem_id="actions"):
                    self.copy_link = gr.Button("Copy link", size="sm", min_width=60, elem_id="copy-link")
                    self.download_png = gr.Button("Save PNG", size="sm", min_width=60, elem_id="download-png")
                    self.download_zip = gr.Button("Save zip", size="sm", min_width=60, elem_id="download-zip")
                    self.undo = gr.Button("Undo", size="sm", min_width=60, elem_id="undo", interactive=True)
                    self.redo = gr.Button("Redo", size="sm", min_width=60, elem_id="redo")
                    self.reset = gr.Button("Reset", size="sm", min_width=60, elem_id="reset")
                with gr.Accordion("Inside the network: what each residual block does for the chosen image", open=False, elem_id="inside"):
                    self.anatomy = grid("anatomy", "Choose an image above.", (), shares=False)
                with gr.Accordion("Curate: draw many, keep the best", open=False):
                    self.order = gr.Radio(
                        list(ORDERS), value=next(iter(ORDERS)), label="Best first by", info="A classifier looks at every image.", elem_id="order"
                    )
                    self.many = gr.Slider(50, 1000, 200, step=50, label="Draw", info="How many seeds to look at.")
                    self.keep = gr.Slider(1, 100, 24, step=1, label="Keep", info="How many of them to show.")
                    self.curate = gr.Button("Keep the best", size="sm", elem_id="curate")
            with gr.Column(scale=1, elem_id="controls", elem_classes="controls"):
                self.controls = Controls(renderer.names())
        self.file = gr.JSON(visible=False)
        self.chosen = gr.JSON({"index": -1, "tile": ""}, visible=False)
        self.marked = gr.JSON({"more": [], "less": []}, visible=False)

    @property
    def everything(self) -> list[Any]:
        return [*self.controls.shown, self.grid]

    def connect(self) -> None:
        """Attach every listener."""
        c, everything = self.controls, self.everything
        c.checkpoint.input(self.change_checkpoint, c.components, everything, **QUIET)
        layout = {c.points, c.sweep}
        for component in c.live:
            if component not in layout:
                live(component.input, self.draw, c.components, self.grid)
                if isinstance(component, gr.Slider):
                    live(component.release, self.draw, c.components, self.grid)
        class_details = [c.one_class, c.row_classes, c.mixed, *c.shares]
        for component in (c.class_mode, c.mixed):
            component.input(c.class_updates, [c.class_mode, c.mixed], class_details, **QUIET)
        for component in layout:
            component.input(self.change_layout, c.components, everything, **QUIET)
        live(c.seeds.submit, self.draw, c.components, self.grid)
        for button, move in ((c.previous, -1), (c.next, 1), (c.random, 0)):
            live(button.click, self.move_seeds(move), c.components, self.grid, sets=c.seeds)
        live(self.grid.submit, self.draw, c.components, self.grid)
        self.reset.click(self.start_over, c.components, everything, **QUIET)
        self.undo.click(None, js="() => history.back()")
        self.redo.click(None, js="() => history.forward()")
        self._connect_tiles()
        c.leave_variations.click(self.leave_variations, [c.seeds_before, *c.components], everything, **QUIET)
        c.leave_latents.click(self.leave_latents, c.components, everything, **QUIET)
        self.copy_link.click(None, js=COPY_LINK)
        for button, make in ((self.download_png, self.make_png), (self.download_zip, self.make_zip)):
            button.click(make, c.components, self.file, **QUIET).success(None, self.file, js=DOWNLOAD)
        self.curate.click(self.keep_best, [self.order, self.many, self.keep, *c.components], everything, **SLOW)

    def _connect_tiles(self) -> None:
        c = self.controls
        self.grid.select(self.act_on_tile, c.components, [*self.everything, c.seeds_before, self.file], **QUIET).then(None, self.file, js=DOWNLOAD)
        choice = self.grid.input(self.choose, None, self.chosen, **QUIET)
        choice.then(self.edit, [self.chosen, c.scope, *c.components], [c.editing, *c.directions, *c.own_sliders], **QUIET)
        live(choice.then, self.show_anatomy, [self.chosen], self.anatomy)
        c.scope.input(self.edit, [self.chosen, c.scope, *c.components], [c.editing, *c.directions, *c.own_sliders], **QUIET)
        self.grid.like(self.count_marks, None, [self.marked, c.marks], **QUIET)
        c.make_own.click(self.make_own, [self.marked, c.own_name, *c.components], self.everything, **QUIET)

    def _recipe(self, values: tuple[Any, ...]) -> Recipe:
        return self.controls.recipe(values, self.renderer.sampler(values[0]).checkpoint)

    def show(self, recipe: Recipe) -> list[Any]:
        """Updates of all controls and the grid. Raises ResGenError."""
        view = self.renderer.view(recipe)
        return [*self.controls.updates(recipe, self.renderer.sampler(recipe.checkpoint).checkpoint), view]

    def first_picture(self) -> Recipe:
        """What a page without a link shows. Raises ResGenError where there is no checkpoint."""
        names = self.renderer.names()
        if not names:
            raise ResGenError(f"There is no checkpoint in {self.renderer.folder.name}/; train one or copy a .safetensors file there.")
        return self._start(names[0])

    def _start(self, name: str) -> Recipe:
        return replace(START, checkpoint=name, scale=max(1, TILE // self.renderer.sampler(name).checkpoint.arch.resolution))

    @friendly
    def change_checkpoint(self, *values: Any) -> list[Any]:
        """Another generator, with the seeds, truncation and layout there are."""
        c, value = self.controls, self.controls.reader(values)
        seeds, truncation, columns, scale = map(value, (c.seeds, c.truncation, c.columns, c.scale))
        return self.show(Recipe(values[0], parse_seeds(seeds), truncation=truncation, columns=int(columns), scale=int(scale)))

    @friendly
    def change_layout(self, *values: Any) -> list[Any]:
        """To and from the seed plane or a strip: both need a number of columns that suits them."""
        recipe = self._recipe(values)
        if recipe.plane:
            return self.show(replace(recipe, columns=PLANE_COLUMNS, sweep="", edits=()))
        if recipe.sweep:
            return self.show(replace(recipe, columns=SWEEP_COLUMNS, seeds=recipe.seeds[:SWEEP_SEEDS], edits=()))
        return self.show(replace(recipe, columns=START.columns, seeds=START.seeds if len(recipe.seeds) <= SWEEP_SEEDS else recipe.seeds))

    @friendly
    def draw(self, *values: Any) -> dict[str, Any]:
        return self.renderer.view(self._recipe(values))

    def move_seeds(self, direction: int) -> Any:
        """A listener that steps to the next (1) or previous (-1) seeds, or to random ones (0)."""

        @friendly
        def move(*values: Any) -> tuple[dict[str, Any], str]:
            recipe = self._recipe(values)
            count = len(recipe.seeds)
            start = secrets.randbelow(1_000_000) if direction == 0 else recipe.seeds[0] + direction * count
            start = min(max(0, start), MAX_SEED - count)
            moved = replace(recipe, seeds=tuple(range(start, start + count)))
            return self.renderer.view(moved), format_seeds(moved.seeds)

        return move

    @friendly
    def start_over(self, *values: Any) -> list[Any]:
        return self.show(self._start(values[0]))

    @friendly
    def act_on_tile(self, event: gr.EventData, *values: Any) -> list[Any]:
        """'Make variations', 'Save image', or a step through the browser's history."""
        unchanged = [gr.skip()] * (len(self.everything) + 1)
        if event.action == "save":
            return [*unchanged, save_tile(self.renderer, event.tile)]
        target = read_query(event.tile)
        if not isinstance(target, Recipe):
            raise RecipeError("This belongs to another screen; open its tab.")
        if event.action == "restore":
            return [*self.show(target if target.checkpoint else self.first_picture()), gr.skip(), None]
        if target.latents or target.plane:
            raise RecipeError("Variations are made of seeds; this image comes from a latent. Move it along directions instead.")
        before = format_seeds(self._recipe(values).seeds)
        seed, label = target.seeds[0], self.renderer.label(target)
        scale = self._start(target.checkpoint).scale
        varied = replace(target, seeds=START.seeds, classes=(label,) if label else (), variation_of=seed, columns=START.columns, scale=scale)
        return [*self.show(varied), before, None]

    @friendly
    def leave_variations(self, seeds_before: str, *values: Any) -> list[Any]:
        recipe = self._recipe(values)
        return self.show(replace(recipe, variation_of=None, seeds=parse_seeds(seeds_before or format_seeds(START.seeds))))

    @friendly
    def leave_latents(self, *values: Any) -> list[Any]:
        return self.show(replace(self._recipe(values), latents=(), edits=(), columns=START.columns, scale=self._start(values[0]).scale))

    def choose(self, event: gr.EventData) -> dict[str, Any]:
        """Remember which image was clicked: its place and its recipe's query, or -1 and ''."""
        return {"index": event.index, "tile": event.tile}

    @friendly
    def edit(self, chosen: dict[str, Any], scope: str, *values: Any) -> list[Any]:
        """Which images the direction sliders move from now on: all, or the chosen one."""
        recipe, c = self._recipe(values), self.controls
        checkpoint = self.renderer.sampler(recipe.checkpoint).checkpoint
        place = int(chosen["index"]) // len(recipe.sweep_amounts) if scope == CHOSEN and chosen["index"] >= 0 else -1
        state = {"place": place, "whole": [list(pair) for pair in recipe.directions], "edits": [[i, list(pairs)] for i, pairs in recipe.edits]}
        if place == (c.reader(values)(c.editing) or PLAIN)["place"]:
            return [gr.skip()] * (1 + len(c.directions) + len(c.own_sliders))  # they go on with what they moved, and may have moved since
        amounts = dict(recipe.directions if place < 0 else dict(recipe.edits).get(place, ()))
        updates = []
        for sliders, names in ((c.directions, checkpoint.direction_names), (c.own_sliders, [name for name, _ in recipe.own_directions])):
            wanted = [amounts.get(name, 0) for name in names] + [0] * len(sliders)
            updates += wanted[: len(sliders)]
        return [state, *updates]

    @friendly
    def show_anatomy(self, chosen: dict[str, Any]) -> Any:
        recipe = read_query(chosen["tile"]) if chosen["tile"] else None
        if not isinstance(recipe, Recipe):
            return gr.skip()
        return self.renderer.view(AnatomyOf(replace(recipe, scale=3)))

    def count_marks(self, event: gr.EventData) -> tuple[dict[str, list[str]], str]:
        marked = {"more": list(event.more), "less": list(event.less)}
        return marked, f"{len(marked['more'])} marked more, {len(marked['less'])} less."

    @friendly
    def make_own(self, marked: dict[str, list[str]], name: str, *values: Any) -> list[Any]:
        recipe = self._recipe(values)
        more, less = ([read_query(query) for query in marked[kind]] for kind in ("more", "less"))
        return self.show(make_direction(recipe, name.strip(), more, less, self.renderer.sampler(recipe.checkpoint)))

    @friendly
    def keep_best(self, order: str, many: float, keep: float, *values: Any) -> list[Any]:
        recipe = self._recipe(values)
        features = self.renderer.features(recipe.checkpoint)
        return self.show(curate(recipe, self.renderer.sampler(recipe.checkpoint), features, int(many), int(keep), order))

    @friendly
    def make_png(self, *values: Any) -> dict[str, str]:
        recipe = self._recipe(values)
        return download(f"{recipe.checkpoint}.png", self.renderer.png(recipe))

    @friendly
    def make_zip(self, *values: Any) -> dict[str, str]:
        recipe = self._recipe(values)
        return download(f"{recipe.checkpoint}.zip", self.renderer.zip(recipe))
