"""The Compare screen: the same seeds by several checkpoints, and by one generator through its training."""

from typing import Any

import gradio as gr

from resgen.composite import Comparison, read_dict
from resgen.fields import Dial, declaration, read_names, write_names
from resgen.recipe import Recipe, format_seeds, parse_seeds
from resgen.studio.page import (
    ASK,
    LIVE,
    PIN,
    QUIET,
    SAVE,
    Updates,
    Values,
    dialled,
    download,
    follow,
    grid,
    offer,
    redraw,
    save_tile,
    slider,
)
from resgen.studio.renderer import Renderer


class CompareScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer, self.library = renderer, renderer.library
        names = self.library.names()
        learners = [name for name in names if self.library.snapshots(name)]
        moments = [moment for name in learners for moment in self.library.snapshots(name)]
        with gr.Row():
            with gr.Column(scale=3):
                self.view = grid("compare-grid", "Choose checkpoints to see the same seeds side by side.", (PIN, SAVE))
                self.download = gr.Button("Save PNG", size="sm", elem_id="compare-png")
            with gr.Column(scale=1, elem_classes="controls"):
                info = "One column each; name@images is a snapshot."
                self.names = gr.Dropdown(
                    names + moments, value=self._first_choice(), multiselect=True, label="Checkpoints", info=info, elem_id="compare-names"
                )
                self.seeds = gr.Textbox("0-5", label="Seeds", info="One row each: 0-5,42. Press Enter.", elem_id="compare-seeds")
                self.classes = gr.Textbox(
                    "",
                    label="Class",
                    info="Empty: each seed draws its own. Several, with commas: rows of each. Press Enter.",
                    elem_id="compare-class",
                )
                self.truncation = slider(Recipe, "truncation", elem_id="compare-truncation")
                self.scale = slider(Recipe, "scale", elem_id="compare-scale")
                self._build_learning(learners)
        self.kept = gr.JSON(None, visible=False)
        self.file = gr.JSON(visible=False)

    def _build_learning(self, learners: list[str]) -> None:
        with gr.Group(visible=bool(learners)):
            info = "A checkpoint with snapshots of its training."
            self.learner = gr.Dropdown(learners, value=next(iter(learners), None), label="How it learns", info=info, elem_id="learner")
            self.moment = gr.Slider(0, 1, 1, step=1, label="Images seen", info="Drag through the training.", elem_id="moment")
            self.whole = gr.Button("All moments side by side", size="sm", elem_id="all-moments")

    def _first_choice(self) -> list[str]:
        """What the screen opens with: a generator through its training where there are snapshots, else the best checkpoint."""
        for name in self.library.names():
            if self.library.snapshots(name):
                return self._moments(name)
        return self.library.names()[:1]

    def _moments(self, name: str) -> list[str]:
        return [*self.library.snapshots(name), name]

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return {self.kept, self.names, self.seeds, self.classes, self.truncation, self.scale}

    @property
    def outputs(self) -> set[Any]:
        """What `write` sets."""
        return self.inputs | {self.view}

    def read(self, values: Values) -> Comparison | None:
        """The comparison that the controls show; None where no checkpoint is chosen. Raises RecipeError."""
        names = tuple(values[self.names] or ())
        if not names:
            return None
        kept = read_dict(values[self.kept]) if values[self.kept] else None
        if not isinstance(kept, Comparison):
            kept = Comparison(recipe=Recipe(checkpoint=names[0], seeds=(0,)), checkpoints=names)
        shown = self._show(kept)
        moved = {control: value for control, value in values.items() if control in shown and value != shown[control]}
        readers = {
            "seeds": (self.seeds, parse_seeds), "classes": (self.classes, read_names), "truncation": (self.truncation, float),
            "scale": (self.scale, int),
        }  # fmt: skip
        changes = {name: reader(moved[control]) for name, (control, reader) in readers.items() if control in moved}
        if "classes" in changes:
            changes["class_mix"] = ()
        checkpoint = kept.checkpoint if kept.checkpoint in names or self.names not in moved else names[0]
        return Comparison(recipe=kept.recipe.changed(checkpoint=checkpoint, **changes), checkpoints=names)

    def _show(self, comparison: Comparison) -> Values:
        recipe = comparison.recipe
        return {
            self.names: list(comparison.checkpoints),
            self.seeds: format_seeds(recipe.seeds),
            self.classes: write_names(recipe.classes),
            self.truncation: dialled(declaration(Recipe, "truncation", Dial), recipe.truncation),
            self.scale: recipe.scale,
        }

    def write(self, recipe: Comparison) -> Updates:
        """What makes the screen show a comparison. Raises ResGenError."""
        self.renderer.check(recipe)
        return {**self._show(recipe), self.kept: recipe.to_dict(), self.view: ASK}

    # Events.

    def connect(self, demo: gr.Blocks, tab: gr.Tab) -> None:
        """Attach every listener."""
        dials = (self.truncation, self.scale)
        changes = [self.seeds.submit, self.classes.submit, tab.select]
        redraw(self, [*changes, *(dial.input for dial in dials), *(dial.release for dial in dials)], self.draw)
        follow(self, [self.names.change])
        demo.load(self.set_moments, self.learner, self.moment, **QUIET)
        self.learner.change(self.set_moments, self.learner, self.moment, **QUIET)
        self.moment.input(self.choose_moment, [self.learner, self.moment], [self.names, self.moment], **LIVE)
        self.whole.click(self._moments, self.learner, self.names, **QUIET)
        offer(self.download.click, self.make_png, self.inputs, self.file)
        offer(self.view.select, self.save_tile, None, self.file)

    def set_moments(self, name: str | None) -> Any:
        moments = len(self.library.snapshots(name)) if name else 0
        return gr.update(maximum=max(1, moments), value=max(1, moments), label=f"Images seen: {self._moment_label(name, moments)}")

    def choose_moment(self, name: str, moment: float) -> tuple[list[str], Any]:
        """Show one moment of a training."""
        return [self._moments(name)[int(moment)]], gr.update(label=f"Images seen: {self._moment_label(name, int(moment))}")

    def _moment_label(self, name: str | None, moment: int) -> str:
        names = self._moments(name) if name else []
        if moment >= len(names):
            return "none"
        return f"{self.library.card(names[moment]).training.get('images_seen', 0):,}"

    def draw(self, values: Values) -> Any:
        recipe = self.read(values)
        return self.renderer.view(recipe) if recipe else gr.skip()

    def make_png(self, values: Values) -> Any:
        recipe = self.read(values)
        return download("comparison.png", self.renderer.png(recipe)) if recipe else None

    def save_tile(self, event: gr.EventData) -> Any:
        return save_tile(self.renderer, event)
