"""The Explore screen's controls, and how they map to a recipe and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from resgen.card import Card
from resgen.composite import read_dict
from resgen.errors import RecipeError
from resgen.fields import Dial, Pairs, declaration
from resgen.library import Library
from resgen.recipe import AMOUNT_DIAL, GAIN_DIAL, MAX_OWN_DIRECTIONS, SHARE_DIAL, STEP_DIAL, Recipe, format_seeds, parse_seeds
from resgen.studio.page import Updates, Values, dialled, pad, plain, slider

ANY, ONE, ROWS, MIX = "From the seed", "One class", "Classes as rows", "A mix"
SEEDS, PLANE = "Seeds", "Seed plane"
WHOLE, CHOSEN = "All images", "The chosen image"
NO_SWEEP = "none"
FIRST_DIRECTIONS = 12  # shown at once; the rest in a fold of their own
MAX_DIRECTIONS = 24  # sliders
SHOWN_BLOCKS = 10  # dials
SHOWN_SHARES = 6  # sliders of a mixture
FIRST_STEP = 0.25  # of the seed plane


@dataclass(frozen=True)
class Kept:
    """What the controls were last set to, and what they do not show."""

    recipe: Recipe
    place: int = -1  # of the image or row that the direction sliders move; -1: all
    before: str = ""  # the query of what was on screen before its variations

    def to_json(self) -> dict[str, Any]:
        return {"recipe": self.recipe.to_dict(), "place": self.place, "before": self.before}

    @classmethod
    def from_json(cls, raw: Any) -> "Kept":
        """Read what came back from a browser. Raises RecipeError."""
        if not isinstance(raw, dict) or not isinstance(raw.get("recipe"), dict):
            raise RecipeError("The page has lost its state; load it again.")
        recipe = read_dict(raw["recipe"])
        assert isinstance(recipe, Recipe)
        return cls(recipe, raw["place"] if isinstance(raw.get("place"), int) else -1, str(raw.get("before") or ""))


class Controls:
    """Creates the components where it is called."""

    def __init__(self, library: Library) -> None:
        self.library = library
        names = library.names()
        self.checkpoint = gr.Dropdown(names, label="Checkpoint", info="The trained generator that draws.", elem_id="checkpoint")
        self.card = gr.Markdown(elem_id="card")
        self._build_points()
        self._build_classes()
        self.truncation = slider(Recipe, "truncation", elem_id="truncation")
        self._build_directions()
        with gr.Accordion("Residual blocks", open=False):
            gr.Markdown(
                "How much each residual block adds: 0 leaves only its skip connection, 1 is as trained. Choose an image to see what each does."
            )
            self.gains = [self._dial(GAIN_DIAL, 1, label=f"Block {i + 1}", elem_id=f"block-{i + 1}") for i in range(SHOWN_BLOCKS)]
        with gr.Accordion("Layout", open=False):
            self.columns = slider(Recipe, "columns", elem_id="columns")
            self.scale = slider(Recipe, "scale", elem_id="scale")
        self.kept = gr.JSON(None, visible=False)  # `Kept`

    @staticmethod
    def _dial(dial: Dial, value: float, **more: Any) -> gr.Slider:
        assert dial.low is not None and dial.high is not None
        return gr.Slider(dial.low, dial.high, value, step=dial.step, **more)

    def _build_points(self) -> None:
        self.points = gr.Radio([SEEDS, PLANE], value=SEEDS, label="Images from", info="Numbers, or a field to wander in.", elem_id="points")
        with gr.Group() as self.seed_group:
            self.seeds = gr.Textbox(label="Seeds", info="One image for each number: 0-15,42. Press Enter to draw.", elem_id="seeds", max_lines=2)
            with gr.Row():
                self.previous = gr.Button("Previous", size="sm", min_width=60)
                self.random = gr.Button("Random", size="sm", min_width=60, elem_id="random")
                self.next = gr.Button("Next", size="sm", min_width=60, elem_id="next")
        with gr.Group(visible=False) as self.plane_group:
            self.pad = pad("plane-pad")
            info = "How far apart neighbours are, in seeds: less is nearer."
            self.step = self._dial(STEP_DIAL, FIRST_STEP, label="Distance", info=info, elem_id="plane-step")
        with gr.Group(visible=False) as self.latent_group:
            gr.Markdown("These images were found or mixed, not drawn from seeds.")
            self.leave_latents = gr.Button("Back to seeds", size="sm")
        with gr.Group(visible=False) as self.variation_group:
            self.variation = gr.Markdown(elem_id="variation")
            self.variation_strength = slider(Recipe, "variation_strength", elem_id="variation-strength")
            self.leave_variations = gr.Button("Back to all seeds", size="sm")

    def _build_classes(self) -> None:
        with gr.Group(visible=False) as self.class_group:
            self.class_mode = gr.Radio([ANY, ONE, ROWS, MIX], value=ANY, label="Class", info="What the images show.", elem_id="class-mode")
            self.one_class = gr.Dropdown([], label="Class to show", info="All images show this.", visible=False, elem_id="one-class")
            self.row_classes = gr.Dropdown(
                [], multiselect=True, label="Rows", info="A row of the seeds for each class.", visible=False, elem_id="row-classes"
            )
            info = f"Sliders for the first {SHOWN_SHARES}."
            self.mixed = gr.Dropdown([], multiselect=True, label="Classes to mix", info=info, visible=False, elem_id="mixed")
            self.shares = [self._dial(SHARE_DIAL, 1, label="Share", visible=False, elem_id=f"share-{i + 1}") for i in range(SHOWN_SHARES)]

    def _build_directions(self) -> None:
        with gr.Accordion("Directions", open=True):
            self.scope = gr.Radio([WHOLE, CHOSEN], value=WHOLE, label="Move", info="Every image, or only the one you clicked.", elem_id="scope")
            first = [self._direction(i) for i in range(FIRST_DIRECTIONS)]
            with gr.Accordion("More directions", open=False, visible=False) as self.more_directions:
                rest = [self._direction(i) for i in range(FIRST_DIRECTIONS, MAX_DIRECTIONS)]
            self.directions = first + rest
            self.sweep = gr.Dropdown([NO_SWEEP], value=NO_SWEEP, label="Strip", info="Each image as a row along one direction.", elem_id="sweep")
        with gr.Accordion("Your own directions", open=False):
            gr.Markdown("Click images and mark some **More**, some **Less** of what you mean. Their difference is a direction.")
            self.marks = gr.Markdown("Nothing is marked yet.", elem_id="marks")
            self.own_name = gr.Textbox(label="Its name", info="Up to 40 letters, digits and spaces.", max_length=40, elem_id="own-name")
            with gr.Row():
                self.make_own = gr.Button("Make the direction", size="sm", elem_id="make-own")
                self.clear_marks = gr.Button("Clear marks", size="sm", min_width=60, elem_id="clear-marks")
            self.own = [self._dial(AMOUNT_DIAL, 0, label="Own", visible=False, elem_id=f"own-{i + 1}") for i in range(MAX_OWN_DIRECTIONS)]
            with gr.Row(visible=False) as self.own_group:
                self.own_names = gr.Dropdown([], label="Of your own", min_width=120, elem_id="own-names")
                self.remove_own = gr.Button("Remove", size="sm", min_width=60, elem_id="remove-own")

    def _direction(self, i: int) -> gr.Slider:
        return self._dial(AMOUNT_DIAL, 0, label=f"Direction {i + 1}", elem_id=f"direction-{i + 1}", visible=i < FIRST_DIRECTIONS)

    @property
    def inputs(self) -> set[Any]:
        """What `read` is given the values of."""
        return {
            self.kept, self.checkpoint, self.seeds, self.points, self.pad, self.step, self.variation_strength, self.class_mode, self.one_class,
            self.row_classes, self.mixed, *self.shares, self.truncation, *self.directions, *self.own, self.sweep, *self.gains, self.columns,
            self.scale,
        }  # fmt: skip

    @property
    def live(self) -> list[Any]:
        """Events that redraw the grid: while a control is moved, and once more when it is let go."""
        sliders = [
            self.step, self.variation_strength, *self.shares, self.truncation, *self.directions, *self.own, *self.gains, self.columns, self.scale
        ]  # fmt: skip
        others = [self.class_mode.input, self.one_class.input, self.pad.input, self.seeds.submit]
        return [*(control.input for control in sliders), *(control.release for control in sliders), *others]

    # From values to a recipe.

    def read(self, values: Values) -> Recipe:
        """The recipe that the controls show. Raises RecipeError."""
        kept = Kept.from_json(values[self.kept])
        recipe, name = kept.recipe, values[self.checkpoint] or kept.recipe.checkpoint
        card = self.library.card(name)
        shown = self.show(kept)
        moved: Values = {control: values[control] for control in shown if control in values and values[control] != shown[control]}
        if name != recipe.checkpoint:  # of what was drawn by another generator, what belongs to any
            recipe = Recipe(checkpoint=name, seeds=recipe.seeds, truncation=recipe.truncation, columns=recipe.columns, scale=recipe.scale)
            moved = {control: moved[control] for control in (self.seeds, self.truncation, self.columns, self.scale) if control in moved}
        changes = {
            **self._take_seeds(moved),
            **self._take_plane(values, moved),
            **self._take_classes(recipe, values, moved, card),
            **self._take_directions(replace(kept, recipe=recipe), moved, card),
            **self._take_gains(recipe, moved, card),
            **{
                name: moved[control]
                for name, control in (
                    ("truncation", self.truncation), ("variation_strength", self.variation_strength), ("columns", self.columns), ("scale", self.scale)
                )
                if control in moved
            },
        }  # fmt: skip
        if self.sweep in moved:
            changes["sweep"] = "" if moved[self.sweep] in (None, NO_SWEEP) else moved[self.sweep]
        return recipe.changed(**changes) if changes else recipe

    def _take_seeds(self, moved: Values) -> dict[str, Any]:
        """New seeds; edits of single images were of the old ones. Seeds that are being typed and can't be read don't count yet."""
        try:
            return {"seeds": parse_seeds(moved[self.seeds]), "edits": ()} if self.seeds in moved else {}
        except RecipeError:
            return {}

    def _take_plane(self, values: Values, moved: Values) -> dict[str, Any]:
        if not moved.keys() & {self.points, self.pad, self.step}:
            return {}
        if values[self.points] != PLANE:
            return {"plane": None}
        x, y = values[self.pad] or (0, 0)
        return {"plane": (x, y, values[self.step]), "latents": (), "variation_of": None, "variation_path": ()}

    def _take_classes(self, recipe: Recipe, values: Values, moved: Values, card: Card) -> dict[str, Any]:
        if not moved.keys() & {self.class_mode, self.one_class, self.row_classes, self.mixed, *self.shares} or recipe.latents or not card.classes:
            return {}
        mode = values[self.class_mode]
        if mode == ONE:
            return {"classes": (values[self.one_class] or card.classes[0],), "class_mix": ()}
        if mode == ROWS:
            return {"classes": tuple(values[self.row_classes] or ()), "class_mix": ()}
        return {"classes": (), "class_mix": self._take_mix(recipe, values, moved, card) if mode == MIX else ()}

    def _take_mix(self, recipe: Recipe, values: Values, moved: Values, card: Card) -> Pairs:
        """Shares as the sliders say, in units of the strongest there was; those without a slider, or not moved, as they were."""
        names, before, strongest = values[self.mixed] or _few(card.classes)[:2], dict(recipe.class_mix), _strongest(recipe)
        by_slider = dict(zip(names, self.shares, strict=False))
        return tuple(
            (
                name,
                values[by_slider[name]] * strongest
                if name in by_slider and (by_slider[name] in moved or name not in before)
                else before.get(name, 1),
            )
            for name in names
        )

    def _take_directions(self, kept: Kept, moved: Values, card: Card) -> dict[str, Any]:
        recipe = kept.recipe
        changed = {name: moved[control] for name, control in self._direction_sliders(recipe, card).items() if control in moved}
        if not changed:
            return {}
        amounts = tuple((name, value) for name, value in (dict(_amounts(kept)) | changed).items() if value)
        if kept.place < 0:
            return {"directions": amounts}
        return {"edits": (*((place, pairs) for place, pairs in recipe.edits if place != kept.place), (kept.place, amounts))}

    def _direction_sliders(self, recipe: Recipe, card: Card) -> dict[str, gr.Slider]:
        """The slider of each direction that has one."""
        own = [name for name, _ in recipe.own_directions]
        return dict([*zip(card.direction_names, self.directions, strict=False), *zip(own, self.own, strict=False)])

    def _take_gains(self, recipe: Recipe, moved: Values, card: Card) -> dict[str, Any]:
        blocks = len(card.block_names)
        changed = {i: moved[control] for i, control in enumerate(self.gains[:blocks]) if control in moved}
        if not changed:
            return {}
        gains = tuple(changed.get(i, gain) for i, gain in enumerate(recipe.residual_gains or (1.0,) * blocks))
        return {"residual_gains": () if all(gain == 1 for gain in gains) else gains}

    # From a recipe to values.

    def show(self, kept: Kept) -> Values:
        """What each control shows of a recipe. Raises ResGenError where its generator is not there."""
        recipe = kept.recipe
        card = self.library.card(recipe.checkpoint)
        amounts, gains = dict(_amounts(kept)), recipe.residual_gains
        sliders = {control: name for name, control in self._direction_sliders(recipe, card).items()}
        return {
            self.checkpoint: recipe.checkpoint,
            self.seeds: format_seeds(recipe.seeds),
            self.points: PLANE if recipe.plane else SEEDS,
            self.pad: list(recipe.plane[:2]) if recipe.plane else [0, 0],
            self.step: dialled(STEP_DIAL, recipe.plane[2]) if recipe.plane else FIRST_STEP,
            self.variation_strength: self._dialled("variation_strength", recipe),
            **self._show_classes(recipe, card),
            self.truncation: self._dialled("truncation", recipe),
            **{control: dialled(AMOUNT_DIAL, amounts.get(sliders.get(control, ""), 0)) for control in (*self.directions, *self.own)},
            self.sweep: recipe.sweep or NO_SWEEP,
            **{control: dialled(GAIN_DIAL, gains[i]) if i < len(gains) else 1 for i, control in enumerate(self.gains)},
            self.columns: recipe.columns,
            self.scale: recipe.scale,
        }

    @staticmethod
    def _dialled(name: str, recipe: Recipe) -> float:
        return dialled(declaration(Recipe, name, Dial), getattr(recipe, name))

    def _show_classes(self, recipe: Recipe, card: Card) -> Values:
        mix, strongest = recipe.class_mix, _strongest(recipe)
        shares = [dialled(SHARE_DIAL, share / strongest) for _, share in mix]
        return {
            self.class_mode: MIX if mix else ROWS if len(recipe.classes) > 1 else ONE if recipe.classes else ANY,
            self.one_class: next(iter(recipe.classes or card.classes), None),
            self.row_classes: list(recipe.classes) if len(recipe.classes) > 1 else _few(card.classes),
            self.mixed: [name for name, _ in mix] or _few(card.classes)[:2],
            **{control: shares[i] if i < len(shares) else 1 for i, control in enumerate(self.shares)},
        }

    def write(self, kept: Kept) -> Updates:
        """What makes the controls show a recipe. Raises ResGenError."""
        recipe = kept.recipe
        card = self.library.card(recipe.checkpoint)
        shown = self.show(kept)
        changes: dict[Any, dict[str, Any]] = {control: {"value": value} for control, value in shown.items()}
        for dressing in (self._dress(recipe, card), self.dress_classes(shown[self.class_mode], shown[self.mixed])):
            for control, more in dressing.items():
                changes.setdefault(control, {}).update(more)
        updates: Updates = {control: gr.update(**change) for control, change in changes.items()}
        updates[self.kept] = kept.to_json()
        updates[self.scope] = WHOLE if kept.place < 0 else CHOSEN
        updates[self.card] = describe(card)
        return updates

    def _dress(self, recipe: Recipe, card: Card) -> Mapping[Any, dict[str, Any]]:
        """Choices, labels and visibility of the controls."""
        choices, own = list(card.classes), [name for name, _ in recipe.own_directions]
        labels = {control: name for name, control in self._direction_sliders(recipe, card).items()}
        blocks = [name.capitalize() for name in card.block_names]
        return {
            self.points: {"visible": not recipe.latents},
            **{dropdown: {"choices": choices} for dropdown in (self.one_class, self.row_classes, self.mixed)},
            **{control: {"label": labels.get(control, ""), "visible": control in labels} for control in (*self.directions, *self.own)},
            self.sweep: {"choices": [NO_SWEEP, *card.direction_names, *own]},
            **{control: {"label": blocks[i] if i < len(blocks) else "", "visible": card.arch.dials and i < len(blocks)} for i, control in enumerate(self.gains)},
            self.own_names: {"choices": own, "value": own[0] if own else None},
            self.variation: {"value": _describe_variation(recipe)},
            **{
                group: {"visible": visible}
                for group, visible in (
                    (self.seed_group, not recipe.plane and not recipe.latents), (self.plane_group, bool(recipe.plane)),
                    (self.latent_group, bool(recipe.latents)), (self.variation_group, recipe.variation_of is not None),
                    (self.class_group, bool(choices) and not recipe.latents), (self.own_group, bool(own)),
                    (self.more_directions, len(card.direction_names) > FIRST_DIRECTIONS),
                )
            },
        }  # fmt: skip

    def dress_classes(self, mode: str, mixed: Sequence[str] | None) -> dict[Any, dict[str, Any]]:
        """Show the class controls of ``mode``, with a named slider for each mixed class."""
        details = {self.one_class: ONE, self.row_classes: ROWS, self.mixed: MIX}
        names = list(mixed or ())
        return {
            **{control: {"visible": mode == wanted} for control, wanted in details.items()},
            **{
                control: {"label": names[i] if i < len(names) else "Share", "visible": mode == MIX and i < len(names)}
                for i, control in enumerate(self.shares)
            },
        }

    @property
    def outputs(self) -> set[Any]:
        """What `write` sets."""
        groups = {self.seed_group, self.plane_group, self.latent_group, self.variation_group, self.class_group, self.own_group, self.more_directions}
        return self.inputs | groups | {self.card, self.scope, self.own_names, self.variation}


def _amounts(kept: Kept) -> Pairs:
    """What the direction sliders stand for: directions of all images, or those of the one that is edited."""
    return kept.recipe.directions if kept.place < 0 else dict(kept.recipe.edits).get(kept.place, ())


def _strongest(recipe: Recipe) -> float:
    return max((share for _, share in recipe.class_mix), default=1.0) or 1.0


def _few(classes: Sequence[str]) -> list[str]:
    """Ten classes at most, from all over the list: neighbours in it may be kinds of one thing."""
    return list(classes[:: max(1, len(classes) // 10)][:10])


def _describe_variation(recipe: Recipe) -> str:
    if recipe.variation_of is None:
        return ""
    turns = "".join(f", varied by {seed}" for seed, _ in recipe.variation_path)
    return f"Variations of seed {recipe.variation_of}{turns}: each seed pulls this image its own way."


def describe(card: Card) -> str:
    """The card in two lines: what was measured, and on what it was trained."""
    facts = [f"{card.arch.resolution} x {card.arch.resolution} px", f"{len(card.classes)} classes" if card.classes else "no classes"]
    if seen := card.training.get("images_seen"):
        facts.append(f"{seen:,} images seen in training")
    if accuracy := card.metrics.get("lite2_accuracy") or card.metrics.get("accuracy"):
        facts.append(f"a judge names {accuracy:.0%} of its classes")
    lines = [" · ".join(facts)]
    if name := card.dataset.get("name"):
        lines.append(
            plain(f"Trained on {name} (author: {card.dataset.get('author', 'not stated')}; licence: {card.dataset.get('licence', 'not stated')}).")
        )
    return "  \n".join(lines)
