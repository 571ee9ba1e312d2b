"""The Explore screen's controls, and how they map to a recipe and back."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import gradio as gr

from resgen.budget import MAX_OWN_NAME
from resgen.card import Card, plain
from resgen.composite import read_dict, read_query
from resgen.errors import RecipeError
from resgen.fields import Dial, Pairs, limits
from resgen.library import Library
from resgen.recipe import AMOUNT_DIAL, GAIN_DIAL, NAME_RULE, SHARE_DIAL, STEP_DIAL, Recipe, enlargement, format_seeds
from resgen.studio.page import Updates, Values, blocks, dial, dialled, directions, generators, on_dial, plane, seeds_in, slider

ANY, ONE, ROWS, MIX = "From the seed", "One class", "Classes as rows", "A mix"
FIRST_DIRECTIONS = 8  # shown at once
ENDS = 3.0  # standard deviations at the two ends of a direction that are shown
TILE = 128  # pixels a side that an image of a saved picture has at first
FOUND_WINDOW = 4  # images a side of the window of the seed plane that is entered from one image
SHOWN_SHARES = 6  # sliders of a mixture
MOST_BEFORE = 8  # pictures to go back to that are kept
LOST = "The page has lost its state; load it again."
COMING = "The first images are on their way: try again once they are there."
_PLACE = re.compile("[0-9]{1,9}")  # of an image, as a name in JSON


class DirectionsView(TypedDict):
    """What the page's dials of directions are told, and tell."""

    names: list[str]  # the checkpoint's
    own: list[str]
    amounts: dict[str, float]  # of those that all images are turned along
    edits: dict[str, dict[str, float]]  # the same of single images, by their place; along a strip, of a row
    place: int  # of the image or row that the dials move; -1: all
    sweep: str  # the one that each image is shown along, '' for none


class BlocksView(TypedDict):
    """What the page's strip of residual blocks is told, and tells."""

    names: list[str]
    gains: list[float]
    dials: bool  # whether gains do anything


@dataclass(frozen=True)
class Kept:
    """What the controls were last set to, and what they do not show."""

    recipe: Recipe
    before: tuple[str, ...] = ()  # the queries of what was on screen before its variations, or the strip, the one to go back to first at the end

    def to_json(self) -> dict[str, Any]:
        return {"recipe": self.recipe.to_dict(), "before": list(self.before)}

    @classmethod
    def from_json(cls, raw: Any) -> "Kept":
        """Read what came back from a browser. Raises RecipeError."""
        if raw is None:
            raise RecipeError(COMING)
        if not isinstance(raw, dict) or not isinstance(raw.get("recipe"), dict):
            raise RecipeError(LOST)
        recipe = read_dict(raw["recipe"])
        if not isinstance(recipe, Recipe):
            raise RecipeError(LOST)
        before = raw.get("before")
        return cls(recipe, tuple(query for query in before[-MOST_BEFORE:] if isinstance(query, str)) if isinstance(before, list) else ())

    @property
    def last(self) -> Recipe | None:
        """What to go back to, None where nobody knows. Raises RecipeError."""
        found = read_query(self.before[-1]) if self.before else None
        return found if isinstance(found, Recipe) else None


class Controls:
    """Creates the components where `build` is called; the strip of blocks stands elsewhere."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def build_blocks(self) -> None:
        self.blocks = blocks("blocks")

    def build(self) -> None:
        self.checkpoint = generators("checkpoint", self.library.names())
        self.card = gr.Markdown(elem_id="card")
        with gr.Column(elem_id="group-seeds", elem_classes="group"):
            self._build_points()
        with gr.Column(elem_id="group-class", elem_classes="group"):
            self._build_classes()
        with gr.Column(elem_id="group-change", elem_classes="group"):
            self.truncation = dial("truncation", Recipe, "truncation")
            self._build_directions()
        with gr.Column(elem_id="group-layout", elem_classes="group"), gr.Accordion("Layout", open=False):
            self.columns = slider(Recipe, "columns", elem_id="columns")
            self.scale = slider(Recipe, "scale", elem_id="scale")
        self.kept = gr.JSON(None, visible=False)  # `Kept`

    @staticmethod
    def _dial(dial: Dial, value: float, **more: Any) -> gr.Slider:
        assert dial.low is not None and dial.high is not None
        return gr.Slider(dial.low, dial.high, value, step=dial.step, **more)

    def _build_points(self) -> None:
        with gr.Column(elem_classes="rg-tight") as self.seed_group:
            self.seeds = gr.Textbox(label="Seeds", info="One image for each number: 0-15,42, and Enter.", elem_id="seeds", max_lines=2)
            with gr.Row():
                self.previous = gr.Button("Previous", size="sm", min_width=60)
                self.random = gr.Button("Random", size="sm", min_width=60, elem_id="random")
                self.next = gr.Button("Next", size="sm", min_width=60, elem_id="next")
        with gr.Column(visible=False, elem_classes="rg-tight") as self.latent_group:
            gr.Markdown("These images were found or mixed, not drawn from seeds.")
            self.leave_latents = gr.Button("Back to seeds", size="sm")
        with gr.Column(visible=False, elem_classes="rg-tight") as self.variation_group:
            self.variation = gr.Markdown(elem_id="variation")
            self.variation_strength = slider(Recipe, "variation_strength", elem_id="variation-strength")
            self.leave_variations = gr.Button("Back to all seeds", size="sm")
        self.plane = plane("plane")

    def _build_classes(self) -> None:
        with gr.Column(visible=False, elem_classes="rg-tight") as self.class_group:
            self.class_mode = gr.Radio([ANY, ONE, ROWS, MIX], value=ANY, label="Class", info="What the images show.", elem_id="class-mode")
            self.one_class = gr.Dropdown([], label="Class to show", visible=False, elem_id="one-class")
            self.row_classes = gr.Dropdown(
                [], multiselect=True, label="Rows", info="A row of the seeds for each class.", visible=False, elem_id="row-classes"
            )
            info = f"Sliders for the first {SHOWN_SHARES}."
            self.mixed = gr.Dropdown([], multiselect=True, label="Classes to mix", info=info, visible=False, elem_id="mixed")
            self.shares = [self._dial(SHARE_DIAL, 1, label="Share", visible=False, elem_id=f"share-{i + 1}") for i in range(SHOWN_SHARES)]
        self.no_class = gr.Markdown("These images have no class to choose.", visible=False, elem_id="no-class")

    def _build_directions(self) -> None:
        self.directions = directions("directions", FIRST_DIRECTIONS, ENDS)
        with gr.Accordion("Make a direction of your own", open=False):
            gr.Markdown("Choose images and mark some **More**, some **Less** of what you mean. Their difference is a direction.")
            self.marks = gr.Markdown("Nothing is marked yet.", elem_id="marks")
            self.own_name = gr.Textbox("", label="Its name", info=NAME_RULE, max_length=MAX_OWN_NAME, elem_id="own-name")
            with gr.Row():
                self.make_own = gr.Button("Make the direction", size="sm", elem_id="make-own")
                self.clear_marks = gr.Button("Clear marks", size="sm", min_width=60, elem_id="clear-marks")

    @property
    def inputs(self) -> set[Any]:
        """What `read` is given the values of."""
        return {
            self.kept, self.checkpoint, self.seeds, self.plane, self.variation_strength, self.class_mode, self.one_class, self.row_classes,
            self.mixed, *self.shares, self.truncation, self.directions, self.blocks, self.columns, self.scale,
        }  # fmt: skip

    @property
    def live(self) -> list[Any]:
        """Events that redraw the grid: while a control is moved, and once more when it is let go."""
        dials = [self.variation_strength, *self.shares, self.truncation, self.directions, self.blocks, self.columns, self.scale]
        others = [self.one_class.input, self.plane.input]
        return [*(control.input for control in dials), *(control.release for control in dials), *others]

    # From values to a recipe.

    def read(self, values: Values) -> Recipe:
        """The recipe that the controls show. Raises RecipeError."""
        recipe = Kept.from_json(values[self.kept]).recipe
        values = values | {self.plane: values[self.plane] or None}  # the page tells nothing as an empty text
        _check_told(values[self.plane], values[self.truncation], values[self.directions], values[self.blocks])
        name = values[self.checkpoint] or recipe.checkpoint
        card = self.library.card(name)
        shown = self.show(recipe)
        moved: Values = {control: values[control] for control in shown if control in values and values[control] != shown[control]}
        if name != recipe.checkpoint:  # of what was drawn by another generator, what belongs to any; saved images stay as large
            scale = enlargement(recipe.scale * self.library.card(recipe.checkpoint).arch.resolution, card.arch.resolution)
            recipe = Recipe(checkpoint=name, seeds=recipe.seeds, truncation=recipe.truncation, columns=recipe.columns, scale=scale)
            moved = {control: moved[control] for control in (self.seeds, self.truncation, self.columns, self.scale) if control in moved}
        changes = {
            **self._take_plane(recipe, shown, moved),
            **self._take_classes(recipe, shown, values, moved, card),
            **self._take_directions(recipe, shown, moved, card),
            **self._take_seeds(moved),  # last: edits of single images, also those that the page still tells, were of the old seeds
            **self._take_gains(recipe, shown, moved, card),
            **{
                name: moved[control]
                for name, control in (
                    ("truncation", self.truncation), ("variation_strength", self.variation_strength), ("columns", self.columns), ("scale", self.scale)
                )
                if control in moved
            },
        }  # fmt: skip
        return recipe.changed(**changes) if changes else recipe

    def _take_seeds(self, moved: Values) -> dict[str, Any]:
        """New seeds, without edits of single images; those that can't be read don't count yet."""
        seeds = seeds_in(moved[self.seeds]) if self.seeds in moved else None
        return {"seeds": seeds, "edits": ()} if seeds else {}

    def _take_plane(self, recipe: Recipe, shown: Values, moved: Values) -> dict[str, Any]:
        """Another window; one that is entered from seeds is as large as their grid, one from a found image as a first picture."""
        if self.plane not in moved:
            return {}
        if moved[self.plane] is None:
            return {"plane": None, "plane_rows": 0}
        window = moved[self.plane] if recipe.plane is None else _exact(recipe.plane, shown[self.plane], moved[self.plane])
        larger = {"scale": enlargement(TILE, self.library.card(recipe.checkpoint).arch.resolution)} if recipe.latents else {}
        return on_plane(recipe, window) | larger

    def _take_classes(self, recipe: Recipe, shown: Values, values: Values, moved: Values, card: Card) -> dict[str, Any]:
        if not moved.keys() & {self.class_mode, self.one_class, self.row_classes, self.mixed, *self.shares} or recipe.latents or not card.classes:
            return {}
        mode = values[self.class_mode]
        if mode == ONE:
            return {"classes": (values[self.one_class] or card.classes[0],), "class_mix": ()}
        if mode == ROWS:
            return {"classes": tuple(values[self.row_classes] or ()), "class_mix": ()}
        return {"classes": (), "class_mix": self._take_mix(recipe, shown, values, moved, card) if mode == MIX else ()}

    def _take_mix(self, recipe: Recipe, shown: Values, values: Values, moved: Values, card: Card) -> Pairs:
        """Shares as the sliders say, in units of the strongest there was; those without a slider, or not moved, as they were; new ones as much as that."""
        before, strongest = dict(recipe.class_mix), _strongest(recipe)
        slider_of = dict(zip(shown[self.mixed], self.shares, strict=False))  # until they are written anew, sliders are those of the classes before

        def share(name: str) -> float:
            if name in slider_of and (slider_of[name] in moved or name not in before):
                return values[slider_of[name]] * strongest
            return before.get(name, strongest)

        return tuple((name, share(name)) for name in values[self.mixed] or _few(card.classes)[:2])

    def _take_directions(self, recipe: Recipe, shown: Values, moved: Values, card: Card) -> dict[str, Any]:
        if self.directions not in moved:
            return {}
        now, before = moved[self.directions], shown[self.directions]
        names = [*card.direction_names, *(name for name, _ in recipe.own_directions)]
        changes: dict[str, Any] = {"sweep": now["sweep"]} if now["sweep"] != before["sweep"] else {}
        if turned := _turned(names, before["amounts"], now["amounts"]):
            changes["directions"] = turned_amounts(recipe.directions, turned)
        edits = dict(recipe.edits)
        for place in {**before["edits"], **now["edits"]}:
            if turned := _turned(names, before["edits"].get(place, {}), now["edits"].get(place, {})):
                edits[int(place)] = turned_amounts(edits.get(int(place), ()), turned)
        return changes | ({"edits": tuple(edits.items())} if edits != dict(recipe.edits) else {})

    def _take_gains(self, recipe: Recipe, shown: Values, moved: Values, card: Card) -> dict[str, Any]:
        if self.blocks not in moved:
            return {}
        exact = recipe.residual_gains or (1.0,) * len(card.block_names)
        gains = _exact(exact, shown[self.blocks]["gains"], moved[self.blocks]["gains"])
        return {"residual_gains": written_gains(gains)}

    # From a recipe to values.

    def show(self, recipe: Recipe) -> Values:
        """What each control shows of a recipe. Raises ResGenError where its generator is not there."""
        card = self.library.card(recipe.checkpoint)
        return {
            self.checkpoint: recipe.checkpoint,
            self.seeds: format_seeds(recipe.seeds),
            self.plane: [*recipe.plane[:2], on_dial(STEP_DIAL, recipe.plane[2])] if recipe.plane else None,
            self.variation_strength: dialled(recipe, "variation_strength"),
            **self._show_classes(recipe, card),
            self.truncation: dialled(recipe, "truncation"),
            self.directions: _show_directions(recipe, card),
            self.blocks: _show_blocks(recipe, card),
            self.columns: recipe.columns,
            self.scale: recipe.scale,
        }

    def _show_classes(self, recipe: Recipe, card: Card) -> Values:
        mix, strongest = recipe.class_mix, _strongest(recipe)
        shares = [on_dial(SHARE_DIAL, share / strongest) for _, share in mix]
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
        shown = self.show(recipe)
        changes: dict[Any, dict[str, Any]] = {control: {"value": value} for control, value in shown.items()}
        for dressing in (self._dress(recipe, card), self.dress_classes(shown[self.class_mode], shown[self.mixed])):
            for control, more in dressing.items():
                changes.setdefault(control, {}).update(more)
        updates: Updates = {control: gr.update(**change) for control, change in changes.items()}
        updates[self.kept] = kept.to_json()
        updates[self.card] = describe(card)
        return updates

    def _dress(self, recipe: Recipe, card: Card) -> Mapping[Any, dict[str, Any]]:
        """Choices, labels and visibility of the controls."""
        choices = list(card.classes)
        return {
            **{dropdown: {"choices": choices} for dropdown in (self.one_class, self.row_classes, self.mixed)},
            self.variation: {"value": _describe_variation(recipe)},
            **{
                group: {"visible": visible}
                for group, visible in (
                    (self.seed_group, not recipe.plane and not recipe.latents), (self.latent_group, bool(recipe.latents)),
                    (self.variation_group, recipe.variation_of is not None), (self.class_group, bool(choices) and not recipe.latents),
                    (self.no_class, not choices or bool(recipe.latents)),
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
        groups = {self.seed_group, self.latent_group, self.variation_group, self.class_group, self.no_class}
        return self.inputs | groups | {self.card, self.variation}


def _check_told(plane: Any, truncation: Any, directions: Any, blocks: Any) -> None:
    """Raise RecipeError where the page tells something else than those parts of it have; the numbers in them are a recipe's, which checks them."""
    window = plane is None or (isinstance(plane, list) and len(plane) == 3)
    dials = isinstance(directions, dict) and isinstance(directions.get("amounts"), dict) and "sweep" in directions
    edits = directions.get("edits") if dials else None
    single = isinstance(edits, dict) and all(_PLACE.fullmatch(place) and isinstance(amounts, dict) for place, amounts in edits.items())
    number = isinstance(truncation, int | float)
    if not (window and number and single and isinstance(blocks, dict) and isinstance(blocks.get("gains"), list)):
        raise RecipeError(LOST)


def on_plane(recipe: Recipe, window: Sequence[float]) -> dict[str, Any]:
    """What is changed of a recipe to show a window [x, y, step] of the seed plane; entered from seeds, it is as large as their grid, from a found
    image as a first picture.
    """
    if recipe.plane is not None:
        return {"plane": tuple(window)}
    left = {"latents": (), "variation_of": None, "variation_path": (), "edits": (), "sweep": "", "classes": recipe.classes[:1]}
    if recipe.latents:
        return {"plane": tuple(window), "plane_rows": FOUND_WINDOW, "columns": FOUND_WINDOW, **left}
    columns = min(recipe.columns, len(recipe.seeds))
    rows = min(math.ceil(len(recipe.seeds) / columns), limits(Recipe, "plane_rows")[1])
    return {"plane": tuple(window), "plane_rows": int(rows), "columns": columns, **left}


def turned_amounts(amounts: Pairs, turned: Mapping[str, float]) -> Pairs:
    """Amounts by name, those of ``turned`` in place of what they were; without those that are at rest."""
    return tuple((name, amount) for name, amount in (dict(amounts) | dict(turned)).items() if amount)


def written_gains(gains: Sequence[float]) -> tuple[float, ...]:
    """Gains of all blocks as a recipe has them: none where nothing is turned."""
    return () if all(gain == 1 for gain in gains) else tuple(gains)


def _exact(values: Sequence[float], shown: Sequence[float], now: Sequence[float]) -> tuple[float, ...]:
    """``now``, but for those numbers that were not moved from what was ``shown`` of ``values``: these are as exact as they were."""
    return tuple(value if moved == before else moved for value, before, moved in zip(values, shown, now, strict=False))


def _show_directions(recipe: Recipe, card: Card) -> DirectionsView:
    return {
        "names": list(card.direction_names),
        "own": [name for name, _ in recipe.own_directions],
        "amounts": _on_dials(recipe.directions),
        "edits": {str(place): _on_dials(amounts) for place, amounts in recipe.edits},
        "place": -1,
        "sweep": recipe.sweep,
    }


def _on_dials(amounts: Pairs) -> dict[str, float]:
    shown = {name: on_dial(AMOUNT_DIAL, amount) for name, amount in amounts}
    return {name: amount for name, amount in shown.items() if amount}


def _turned(names: Sequence[str], before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """What those of ``names`` were turned to that are not as ``before``."""
    return {name: now.get(name, 0) for name in names if now.get(name, 0) != before.get(name, 0)}


def _show_blocks(recipe: Recipe, card: Card) -> BlocksView:
    gains = recipe.residual_gains or (1.0,) * len(card.block_names)
    return {"names": list(card.block_names), "gains": [on_dial(GAIN_DIAL, gain) for gain in gains], "dials": card.arch.dials}


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
    """The card in two lines: what it draws, and how well by measurement; About has all of it."""
    classes = f"{len(card.classes)} classes" if card.classes else "no classes"
    name = card.dataset.get("name")
    facts = [f"{card.arch.resolution} x {card.arch.resolution} px", f"{plain(name)}, {classes}" if name else classes]
    if seen := card.training.get("images_seen"):
        facts.append(f"{seen:,} images seen")
    if accuracy := card.accuracy_in_words:
        facts.append(accuracy)
    return " · ".join([*facts, "see About"])
