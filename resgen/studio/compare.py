"""The Compare screen: the same seeds by several checkpoints, and by one generator through its training."""

from dataclasses import replace
from typing import Any

import gradio as gr

from resgen.composite import Comparison
from resgen.recipe import Recipe, format_seeds, parse_seeds
from resgen.studio.page import DOWNLOAD, LIVE, PIN, QUIET, SAVE, download, friendly, grid, live, save_tile
from resgen.studio.renderer import Renderer


class CompareScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        everything = renderer.names() + renderer.snapshot_names()
        learners = [name for name in renderer.names() if renderer.snapshots(name)]
        with gr.Row():
            with gr.Column(scale=3):
                self.grid = grid("compare-grid", "Choose checkpoints to see the same seeds side by side.", (PIN, SAVE))
                self.download = gr.Button("Save PNG", size="sm", elem_id="compare-png")
            with gr.Column(scale=1, elem_classes="controls"):
                self.names = gr.Dropdown(
                    everything,
                    value=self._first_choice(),
                    multiselect=True,
                    label="Checkpoints",
                    info="One column each; name@images is a snapshot.",
                    elem_id="compare-names",
                )
                self.seeds = gr.Textbox("0-5", label="Seeds", info="One row each: 0-5,42. Press Enter.", elem_id="compare-seeds")
                self.label = gr.Textbox("", label="Class", info="Empty: each seed draws its own. Press Enter.", elem_id="compare-class")
                self.truncation = gr.Slider(0, 1.5, 1, step=0.01, label="Truncation", info="0: the average image; 1: all the variety there is.")
                self.scale = gr.Slider(1, 16, 3, step=1, label="Display size", info="Enlargement of each image.")
                with gr.Group(visible=bool(learners)):
                    self.learner = gr.Dropdown(
                        learners,
                        value=next(iter(learners), None),
                        label="How it learns",
                        info="A checkpoint with snapshots of its training.",
                        elem_id="learner",
                    )
                    self.moment = gr.Slider(0, 1, 1, step=1, label="Images seen", info="Drag through the training.", elem_id="moment")
                    self.whole = gr.Button("All moments side by side", size="sm", elem_id="all-moments")
        self.file = gr.JSON(visible=False)

    def _first_choice(self) -> list[str]:
        """What the screen opens with: a generator through its training where there are snapshots, else the best checkpoint."""
        for name in self.renderer.names():
            if snapshots := self.renderer.snapshots(name):
                return [*snapshots, name]
        return self.renderer.names()[:1]

    @property
    def settings(self) -> list[Any]:
        return [self.names, self.seeds, self.label, self.truncation, self.scale]

    def connect(self, demo: gr.Blocks, tab: gr.Tab) -> None:
        for change in (self.names.change, self.truncation.input, self.scale.input, self.seeds.submit, self.label.submit, tab.select):
            live(change, self.draw, self.settings, self.grid)
        demo.load(self.set_moments, self.learner, self.moment, **QUIET)
        self.learner.change(self.set_moments, self.learner, self.moment, **QUIET)
        self.moment.input(self.choose_moment, [self.learner, self.moment], [self.names, self.moment], **LIVE)
        self.whole.click(lambda name: [*self.renderer.snapshots(name), name], self.learner, self.names, **QUIET)
        self.download.click(self.make_png, self.settings, self.file, **QUIET).success(None, self.file, js=DOWNLOAD)
        self.grid.select(self.save, None, self.file, **QUIET).success(None, self.file, js=DOWNLOAD)

    def set_moments(self, name: str | None) -> Any:
        moments = len(self.renderer.snapshots(name)) if name else 0
        return gr.update(maximum=max(1, moments), value=max(1, moments), label=f"Images seen: {self._moment_label(name, moments)}")

    def choose_moment(self, name: str, moment: float) -> tuple[list[str], Any]:
        """Show one moment of a training."""
        names = [*self.renderer.snapshots(name), name]
        return [names[int(moment)]], gr.update(label=f"Images seen: {self._moment_label(name, int(moment))}")

    def _moment_label(self, name: str | None, moment: int) -> str:
        names = [*self.renderer.snapshots(name), name] if name else []
        if not name or moment >= len(names):
            return "none"
        seen = self.renderer.sampler(names[moment] or "").checkpoint.training.get("images_seen", 0)
        return f"{seen:,}"

    def _recipe(self, names: list[str], seeds: str, label: str, truncation: float, scale: float) -> Comparison:
        classes = (label.strip(),) if label.strip() else ()
        first = names[0] if names else ""
        return Comparison(Recipe(first, parse_seeds(seeds), classes=classes, truncation=float(truncation), scale=int(scale)), tuple(names))

    @friendly
    def draw(self, names: list[str], *settings: Any) -> Any:
        """One moment alone is a plain grid, several are columns."""
        if not names:
            return gr.skip()
        comparison = self._recipe(names, *settings)
        if len(names) == 1:
            return self.renderer.view(replace(comparison, recipe=replace(comparison.recipe, columns=6)).recipe) | {"query": comparison.to_query()}
        return self.renderer.view(comparison)

    @friendly
    def make_png(self, *settings: Any) -> Any:
        return download("comparison.png", self.renderer.png(self._recipe(*settings)))

    @friendly
    def save(self, event: gr.EventData) -> Any:
        return save_tile(self.renderer, event.tile)

    def restore(self, comparison: Comparison) -> list[Any]:
        """Updates that show a comparison: of `settings`."""
        recipe = comparison.recipe
        return [list(comparison.checkpoints), format_seeds(recipe.seeds), next(iter(recipe.classes), ""), recipe.truncation, recipe.scale]
