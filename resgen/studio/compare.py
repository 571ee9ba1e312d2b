"""The Compare screen: the same seeds by several checkpoints, and by one generator through its training."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from resgen.composite import Comparison
from resgen.errors import RecipeError
from resgen.recipe import Recipe, format_seeds, parse_seeds
from resgen.studio.page import (
    ASK,
    LIVE,
    OPEN,
    PIN,
    QUIET,
    RAW,
    SAVE,
    Updates,
    Values,
    dialled,
    download,
    draw_at,
    friendly,
    grid,
    last_written,
    offer,
    offer_images,
    pinned,
    redraw,
    rewrite,
    seeds_in,
    slider,
    warn,
)
from resgen.studio.renderer import Renderer

KEPT_OF_PINS = ("classes", "class_mix", "truncation", "directions", "own_directions", "residual_gains")  # what many images can have together

SEEDS = "0-5"  # of which it opens with images


class CompareScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, tray: gr.HTML) -> None:
        self.renderer, self.library, self.tray = renderer, renderer.library, tray
        learners = self._learners()
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="stage"):
                self.view = grid("compare-grid", "Choose generators to see the same seeds side by side.", (PIN, OPEN, SAVE))
                with gr.Row(elem_classes="rg-line"):
                    self.download = gr.Button("Save PNG", size="sm", elem_id="compare-png")
            with gr.Column(elem_classes="side"):
                self._build_learning(learners)
                info = "One column each; name@images is one as it was after so many."
                self.names = gr.Dropdown(
                    self._choices(), value=self._first_choice(), multiselect=True, label="Generators", info=info, elem_id="compare-names"
                )
                self.seeds = gr.Textbox(SEEDS, label="Seeds", info="One row each: 0-5,42. Press Enter.", elem_id="compare-seeds")
                info = "None: each seed draws its own. Several: rows of each."
                self.classes = gr.Dropdown([], multiselect=True, label="Class", info=info, elem_id="compare-class")
                self.use_pins = gr.Button("Use pinned images", size="sm", elem_id="compare-use-pins")
                self.truncation = slider(Recipe, "truncation", elem_id="compare-truncation")
                self.scale = slider(Recipe, "scale", elem_id="compare-scale")
        self.kept = gr.JSON(None, visible=False)
        self.file = gr.JSON(visible=False)

    def _build_learning(self, learners: list[str]) -> None:
        with gr.Group(visible=bool(learners)):
            info = "A generator with snapshots of its training."
            self.learner = gr.Dropdown(learners, value=next(iter(learners), None), label="How it learns", info=info, elem_id="learner")
            told = self._training(self.learner.value)
            self.moment = gr.Slider(0, **told, step=1, elem_id="moment")
            with gr.Row():
                self.play = gr.Button("Play", size="sm", min_width=60, elem_id="play-training")
                self.whole = gr.Button("All moments side by side", size="sm", elem_id="all-moments")
            self.timer = gr.Timer(1.0, active=False)

    def _choices(self) -> list[str]:
        """All that can be compared: the checkpoints there are now, and the moments of their training."""
        names = self.library.names()
        return names + [moment for name in names for moment in self.library.snapshots(name)]

    def _first_choice(self) -> list[str]:
        """What the screen opens with: a generator through its training where there are snapshots, else the best checkpoint."""
        learners = self._learners()
        return self._moments(learners[0]) if learners else self.library.names()[:1]

    def _learners(self) -> list[str]:
        """The generators whose training can be seen."""
        return [card.name for card in self.library.cards() if self.library.snapshots(card.name)]

    def _moments(self, name: str) -> list[str]:
        return [*self.library.snapshots(str(name)), name]

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return {self.kept, self.names, self.seeds, self.classes, self.truncation, self.scale}

    @property
    def outputs(self) -> set[Any]:
        """What `write` sets."""
        return self.inputs | {self.view, self.learner, self.moment}

    def read(self, values: Values) -> Comparison | None:
        """The comparison that the controls show; None where no checkpoint is chosen. Raises RecipeError."""
        names = _chosen(values[self.names])
        if not names:
            return None
        kept = last_written(self, values)
        if not isinstance(kept, Comparison):
            kept = Comparison(recipe=Recipe(checkpoint=names[0], seeds=parse_seeds(SEEDS)), checkpoints=names)
        shown = self._show(kept)
        moved = {control: value for control, value in values.items() if control in shown and value != shown[control]}
        readers = {
            "seeds": (self.seeds, parse_seeds), "classes": (self.classes, lambda chosen: tuple(chosen or ())), "truncation": (self.truncation, float),
            "scale": (self.scale, int),
        }  # fmt: skip
        if self.seeds in moved and not seeds_in(moved[self.seeds]):
            del moved[self.seeds]
        changes = {name: reader(moved[control]) for name, (control, reader) in readers.items() if control in moved}
        if "classes" in changes:
            changes["class_mix"] = ()
        own = kept.recipe.checkpoint
        checkpoint = own if own in names or self.names not in moved else names[0]
        return Comparison(recipe=kept.recipe.changed(checkpoint=checkpoint, **changes), checkpoints=names)

    def _show(self, comparison: Comparison) -> Values:
        recipe = comparison.recipe
        return {
            self.names: list(comparison.checkpoints),
            self.seeds: format_seeds(recipe.seeds),
            self.classes: list(recipe.classes),
            self.truncation: dialled(recipe, "truncation"),
            self.scale: recipe.scale,
        }

    def write(self, recipe: Comparison) -> Updates:
        """What makes the screen show a comparison. Raises ResGenError."""
        self.renderer.check(recipe)
        shown = self._show(recipe) | {self.classes: gr.update(value=list(recipe.recipe.classes), choices=self._classes(recipe.checkpoints))}
        return {**shown, **self._moment_of(recipe.checkpoints), self.kept: recipe.to_dict(), self.view: ASK}

    def _moment_of(self, names: Sequence[str]) -> Updates:
        """What makes the slider say the same as ``names``, where they are one moment of a training."""
        learner = names[0].partition("@")[0]
        moments = self._moments(learner)
        if len(names) > 1 or len(moments) == 1 or learner not in self.library.names():
            return {}
        return {self.learner: learner, self.moment: gr.update(**self._training(learner, moments.index(names[0])))}

    def _classes(self, names: Sequence[str]) -> list[str]:
        """The classes that all of some checkpoints know."""
        known = [self.library.card(name).classes for name in names]
        return [label for label in known[0] if all(label in others for others in known[1:])] if known else []

    # Events.

    def connect(self, tab: gr.Tab, others: Sequence[gr.Tab]) -> None:
        """Attach every listener; a training stops playing where one of the other tabs is shown."""
        dials = (self.truncation, self.scale)
        redraw(self, [tab.select, *(dial.input for dial in dials), *(dial.release for dial in dials)], self.renderer.view)
        draw_at(self, [self.names.change, self.classes.change])
        rewrite(self.seeds.submit, self.change_seeds, self.inputs, self.outputs)
        tab.select(lambda: gr.update(choices=self._choices()), None, self.names, **QUIET)
        gr.on([self.names.change, tab.select], friendly(self.dress_classes), self.names, self.classes, **RAW)
        rewrite(self.use_pins.click, self.take_pins, self.inputs | {self.tray}, self.outputs)
        self.play.click(self.toggle, self.play, [self.timer, self.play], **QUIET)
        gr.on([other.select for other in others], lambda: self.toggle("Pause"), None, [self.timer, self.play], **QUIET)
        self.timer.tick(friendly(self.next_moment), [self.learner, self.moment], [self.names, self.moment], **LIVE)
        self.learner.input(friendly(self.set_moments), self.learner, self.moment, **QUIET)
        self.moment.input(friendly(self.choose_moment), [self.learner, self.moment], [self.names, self.moment], **LIVE)
        self.whole.click(friendly(self._moments), self.learner, self.names, **QUIET)
        offer(self.download.click, self.make_png, self.inputs, self.file)
        offer_images(self.renderer, self.view, self.file)

    def change_seeds(self, values: Values) -> Updates:
        """Other seeds were typed. Raises RecipeError, also where they can't be read."""
        parse_seeds(values[self.seeds])
        recipe = self.read(values)
        return self.write(recipe) if recipe else {}

    def set_moments(self, name: str | None) -> Any:
        return gr.update(**self._training(name))

    def _training(self, name: str | None, moment: int | None = None) -> dict[str, Any]:
        """The slider through a training, at a moment or its end; it says where the snapshots are of another network than the generator is now."""
        snapshots = self.library.snapshots(str(name)) if name else []
        last, info = max(1, len(snapshots)), "Drag through the training."
        if snapshots and (early := self.library.card(snapshots[0])).arch != self.library.card(str(name)).arch:
            side = early.arch.resolution
            info += f" All but the last are by another network: {early.blocks_in_words}, {side} px."
        shown = len(snapshots) if moment is None else moment
        return {
            "maximum": last,
            "value": last if moment is None else moment,
            "label": f"Images seen: {self._moment_label(name, shown)}",
            "info": info,
        }

    def dress_classes(self, names: list[str] | None) -> Any:
        return gr.update(choices=self._classes(_chosen(names)))

    def take_pins(self, values: Values) -> Updates:
        """The seeds of the pinned images by each of the checkpoints, or by those they come from where one is missing, with all that the images have in common.

        Raises RecipeError.
        """
        pins = pinned(values[self.tray])
        if not pins or any(pin.latents or pin.plane or pin.variation_of is not None for pin in pins):
            raise RecipeError("Compare draws seeds: pin images that come from seeds.")
        chosen, own = _chosen(values[self.names]), dict.fromkeys(pin.checkpoint for pin in pins)
        names = chosen if own.keys() <= {name.partition("@")[0] for name in chosen} else tuple(own)
        seeds = tuple(dict.fromkeys(seed for pin in pins for seed in pin.seeds))
        common = {field: getattr(pins[0], field) for field in KEPT_OF_PINS if len({getattr(pin, field) for pin in pins}) == 1}
        if len(common) < len(KEPT_OF_PINS):
            warn("The pinned images differ in more than their seeds; what they do not have in common is left out.")
        recipe = Recipe(checkpoint=names[0], seeds=seeds, **common)
        return self.write(Comparison(recipe=recipe, checkpoints=names))

    @staticmethod
    def toggle(label: str) -> tuple[Any, Any]:
        """Play through the training, or pause, as the button says."""
        return gr.update(active=label == "Play"), gr.update(value="Pause" if label == "Play" else "Play")

    def next_moment(self, name: str, moment: float) -> tuple[list[str], Any]:
        """The moment after ``moment``; after the last one the first."""
        following = (int(moment) + 1) % len(self._moments(name))
        names, shown = self.choose_moment(name, following)
        return names, {**shown, "value": following}

    def choose_moment(self, name: str, moment: float) -> tuple[list[str], Any]:
        """Show one moment of a training."""
        moments = self._moments(name)
        return [moments[max(0, min(int(moment), len(moments) - 1))]], gr.update(label=f"Images seen: {self._moment_label(name, int(moment))}")

    def _moment_label(self, name: str | None, moment: int) -> str:
        names = self._moments(name) if name else []
        if not 0 <= moment < len(names):
            return "none"
        return f"{self.library.card(names[moment]).training.get('images_seen', 0):,}"

    def make_png(self, values: Values) -> Any:
        recipe = self.read(values)
        return download("comparison.png", self.renderer.png(recipe)) if recipe else None


def _chosen(names: Any) -> tuple[str, ...]:
    """The checkpoints that are compared, as the page tells them. Raises RecipeError."""
    if names and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise RecipeError("Generators: choose them in the list.")
    return tuple(names or ())
