"""The Explore screen's controls, and how they map to a recipe and back."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from resgen.checkpoint import Checkpoint
from resgen.recipe import Pairs, Recipe, format_seeds, parse_seeds
from resgen.studio.page import pad

ANY, ONE, ROWS, MIX = "From the seed", "One class", "Classes as rows", "A mix"
SEEDS, PLANE = "Seeds", "Seed plane"
WHOLE, CHOSEN = "All images", "The chosen image"
NO_SWEEP = "none"
FIRST_DIRECTIONS = 12  # shown at once; the rest in a fold of their own
MAX_DIRECTIONS = 24
MAX_OWN = 4
MAX_BLOCKS = 10
MAX_MIXED = 4
PLAIN = {"place": -1, "whole": [], "edits": []}  # editing all images, none of which has an edit of its own


class Controls:
    """Creates the components where it is called; ``components`` lists those a recipe is made of, in order."""

    def __init__(self, names: list[str]) -> None:
        self.checkpoint = gr.Dropdown(names, label="Checkpoint", info="The trained generator that draws.", elem_id="checkpoint")
        self.card = gr.Markdown(elem_id="card")
        self._build_points()
        self._build_classes()
        self.truncation = gr.Slider(
            0, 1.5, 1, step=0.01, label="Truncation", info="0: the average image; 1: all the variety there is.", elem_id="truncation"
        )
        self._build_directions()
        with gr.Accordion("Residual blocks", open=False):
            gr.Markdown(
                "How much each residual block adds: 0 leaves only its skip connection, 1 is as trained. Choose an image to see what each does."
            )
            self.gains = [gr.Slider(0, 2, 1, step=0.01, label=f"Block {i + 1}", elem_id=f"block-{i + 1}") for i in range(MAX_BLOCKS)]
        with gr.Accordion("Layout", open=False):
            self.columns = gr.Slider(1, 100, 8, step=1, label="Columns", info="Images in a row.", elem_id="columns")
            self.scale = gr.Slider(1, 16, 3, step=1, label="Display size", info="Enlargement of each image.", elem_id="scale")

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
            self.step = gr.Slider(0.02, 1, 0.25, step=0.01, label="Zoom", info="Distance between neighbours, in seeds.", elem_id="plane-step")
        with gr.Group(visible=False) as self.latent_group:
            self.latents = gr.Textbox(label="Latents", info="Images that were found or mixed, not drawn from seeds.", interactive=False, max_lines=1)
            self.leave_latents = gr.Button("Back to seeds", size="sm")
        with gr.Group(visible=False) as self.variation_group:
            self.variation_of = gr.Textbox(label="Variations of seed", info="Each seed above pulls this image its own way.", interactive=False)
            self.variation_strength = gr.Slider(0, 1, 0.3, step=0.01, label="Strength", info="How far variations go from the image.")
            self.leave_variations = gr.Button("Back to all seeds", size="sm")
            self.seeds_before = gr.Textbox(visible=False)

    def _build_classes(self) -> None:
        with gr.Group(visible=False) as self.class_group:
            self.class_mode = gr.Radio([ANY, ONE, ROWS, MIX], value=ANY, label="Class", info="What the images show.", elem_id="class-mode")
            self.one_class = gr.Dropdown([], label="Class to show", info="All images show this.", visible=False)
            self.row_classes = gr.Dropdown([], multiselect=True, label="Rows", info="A row of the seeds for each class.", visible=False)
            self.mixed = gr.Dropdown([], multiselect=True, max_choices=MAX_MIXED, label="Classes to mix", info=f"Up to {MAX_MIXED}.", visible=False)
            self.shares = [gr.Slider(0, 1, 1, step=0.01, label="Share", visible=False) for _ in range(MAX_MIXED)]

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
            self.make_own = gr.Button("Make the direction", size="sm", elem_id="make-own")
            self.own_sliders = [gr.Slider(-5, 5, 0, step=0.1, label="Own", visible=False, elem_id=f"own-{i + 1}") for i in range(MAX_OWN)]
        self.own = gr.JSON([], visible=False)  # [[name, packed offset], ...]
        self.editing = gr.JSON(PLAIN, visible=False)  # which image the sliders move, and what they do not show just now

    @staticmethod
    def _direction(i: int) -> gr.Slider:
        return gr.Slider(-5, 5, 0, step=0.1, label=f"Direction {i + 1}", elem_id=f"direction-{i + 1}", visible=i < FIRST_DIRECTIONS)

    @property
    def live(self) -> list[Any]:
        """Components that redraw the grid while they are moved."""
        points = [self.points, self.pad, self.step, self.variation_strength]
        classes = [self.class_mode, self.one_class, self.row_classes, self.mixed, *self.shares]
        return [*points, *classes, self.truncation, *self.directions, *self.own_sliders, self.sweep, *self.gains, self.columns, self.scale]

    @property
    def components(self) -> list[Any]:
        return [self.checkpoint, self.seeds, self.latents, self.variation_of, self.own, self.editing, *self.live]

    def reader(self, values: tuple[Any, ...]) -> Callable[[Any], Any]:
        """A function that gives a component's value among those of ``components``."""
        by_id = dict(zip((c._id for c in self.components), values, strict=True))
        return lambda component: by_id[component._id]

    def recipe(self, values: tuple[Any, ...], checkpoint: Checkpoint) -> Recipe:
        """The recipe of the values of ``components``. Raises RecipeError."""
        value = self.reader(values)
        latents = tuple(filter(None, (value(self.latents) or "").split(",")))
        mode = ANY if latents or not checkpoint.classes else value(self.class_mode)
        classes: tuple[str, ...] = ()
        mix: Pairs = ()
        if mode == ONE:
            classes = (value(self.one_class) or checkpoint.classes[0],)
        elif mode == ROWS:
            classes = tuple(value(self.row_classes) or checkpoint.classes)
        elif mode == MIX:
            mixed = value(self.mixed) or _few(checkpoint.classes)[:2]
            mix = tuple((name, float(value(share))) for name, share in zip(mixed, self.shares, strict=False))
        own = tuple((str(name), str(packed)) for name, packed in value(self.own) or ())
        sliders = list(zip(checkpoint.direction_names, map(value, self.directions), strict=False))
        sliders += zip((name for name, _ in own), map(value, self.own_sliders), strict=False)
        directions, edits = self._edited(tuple((name, float(amount)) for name, amount in sliders if amount), value(self.editing))
        gains = tuple(float(value(gain)) for gain in self.gains[: len(checkpoint.arch.widths)])
        plane = None if latents or value(self.points) != PLANE else (*map(float, value(self.pad) or (0, 0)), float(value(self.step)))
        origin = "" if latents or plane else value(self.variation_of)
        return Recipe(
            checkpoint=checkpoint.name,
            seeds=parse_seeds(value(self.seeds)),
            latents=latents,
            plane=plane,  # type: ignore[arg-type]
            classes=classes,
            class_mix=mix,
            truncation=float(value(self.truncation)),
            directions=directions,
            own_directions=own,
            edits=edits,
            sweep="" if value(self.sweep) in (None, NO_SWEEP) else value(self.sweep),
            residual_gains=() if all(gain == 1 for gain in gains) else gains,
            variation_of=int(origin) if origin else None,
            variation_strength=float(value(self.variation_strength)),
            columns=int(value(self.columns)),
            scale=int(value(self.scale)),
        )

    @staticmethod
    def _edited(sliders: Pairs, editing: dict[str, Any] | None) -> tuple[Pairs, tuple[tuple[int, Pairs], ...]]:
        """Directions of all images and edits of single ones, from the sliders and what they do not show."""
        state = {**PLAIN, **(editing or {})}
        whole = tuple((str(name), float(amount)) for name, amount in state["whole"])
        edits = {int(place): tuple((str(name), float(amount)) for name, amount in pairs) for place, pairs in state["edits"]}
        if state["place"] < 0:
            return sliders, tuple(edits.items())
        edits[int(state["place"])] = sliders
        return whole, tuple((place, pairs) for place, pairs in edits.items() if pairs)

    @property
    def shown(self) -> list[Any]:
        """Components that `updates` sets."""
        groups = [self.seed_group, self.plane_group, self.latent_group, self.variation_group, self.class_group, self.more_directions]
        return [*self.components, self.card, self.scope, *groups]

    def updates(self, recipe: Recipe, checkpoint: Checkpoint) -> list[Any]:
        """What makes the controls show ``recipe``, one update for each of ``shown``."""
        mix, plane = recipe.class_mix, recipe.plane
        mode = MIX if mix else ROWS if len(recipe.classes) > 1 else ONE if recipe.classes else ANY
        choices = list(checkpoint.classes)
        mixed = [name for name, _ in mix] or _few(choices)[:2]
        strongest = max((share for _, share in mix), default=1)
        own = [name for name, _ in recipe.own_directions]
        sweeps = [NO_SWEEP, *checkpoint.direction_names, *own]
        return [
            gr.update(value=checkpoint.name),
            gr.update(value=format_seeds(recipe.seeds)),
            gr.update(value=",".join(recipe.latents)),
            gr.update(value="" if recipe.variation_of is None else str(recipe.variation_of)),
            [list(pair) for pair in recipe.own_directions],
            {"place": -1, "whole": [], "edits": [[place, list(pairs)] for place, pairs in recipe.edits]},
            gr.update(value=PLANE if plane else SEEDS, visible=not recipe.latents),
            gr.update(value=list(plane[:2]) if plane else [0, 0]),
            gr.update(value=plane[2] if plane else 0.25),
            gr.update(value=recipe.variation_strength),
            gr.update(value=mode),
            gr.update(choices=choices, value=next(iter(recipe.classes or choices), None), visible=mode == ONE),
            gr.update(choices=choices, value=list(recipe.classes) if mode == ROWS else _few(choices), visible=mode == ROWS),
            gr.update(choices=choices, value=mixed, visible=mode == MIX),
            *self._share_updates(mixed, [share / strongest for _, share in mix], mode == MIX),
            gr.update(value=recipe.truncation),
            *self.direction_updates(recipe.directions, checkpoint.direction_names, own),
            gr.update(choices=sweeps, value=recipe.sweep or NO_SWEEP),
            *self._gain_updates(recipe, checkpoint),
            gr.update(value=recipe.columns),
            gr.update(value=recipe.scale),
            gr.update(value=describe(checkpoint)),
            gr.update(value=WHOLE),
            gr.update(visible=not plane and not recipe.latents),
            gr.update(visible=bool(plane)),
            gr.update(visible=bool(recipe.latents)),
            gr.update(visible=recipe.variation_of is not None),
            gr.update(visible=bool(choices) and not recipe.latents),
            gr.update(visible=len(checkpoint.direction_names) > FIRST_DIRECTIONS),
        ]

    def direction_updates(self, amounts: Pairs, names: Sequence[str], own: Sequence[str]) -> list[Any]:
        """Updates of the direction sliders and of those of own directions."""
        by_name, updates = dict(amounts), []
        for sliders, labels in ((self.directions, names), (self.own_sliders, own)):
            used = [gr.update(value=by_name.get(name, 0), label=name, visible=True) for name in labels[: len(sliders)]]
            updates += used + [gr.update(value=0, visible=False)] * (len(sliders) - len(used))
        return updates

    @staticmethod
    def _gain_updates(recipe: Recipe, checkpoint: Checkpoint) -> list[Any]:
        arch = checkpoint.arch
        gains = recipe.residual_gains or (1.0,) * len(arch.widths)
        used = [gr.update(value=gain, visible=True, label=f"Block {i + 1} ({arch.base_resolution * 2**i} px)") for i, gain in enumerate(gains)]
        return used + [gr.update(value=1, visible=False)] * (MAX_BLOCKS - len(used))

    @staticmethod
    def _share_updates(mixed: list[str], shares: list[float], visible: bool) -> list[Any]:
        """Name and show a slider for each mixed class; set them where ``shares`` are given."""
        updates = []
        for i in range(MAX_MIXED):
            used = i < len(mixed)
            update = gr.update(label=mixed[i] if used else "Share", visible=visible and used)
            updates.append({**update, "value": shares[i]} if i < len(shares) else update)
        return updates

    def class_updates(self, mode: str, mixed: list[str]) -> list[Any]:
        """Show the class controls of ``mode``: updates of one_class, row_classes, mixed and the shares."""
        shown = [gr.update(visible=mode == wanted) for wanted in (ONE, ROWS, MIX)]
        return [*shown, *self._share_updates(mixed, [], mode == MIX)]


def _few(classes: Sequence[str]) -> list[str]:
    """Ten classes at most, from all over the list: neighbours in it may be kinds of one thing."""
    return list(classes[:: max(1, len(classes) // 10)][:10])


def describe(checkpoint: Checkpoint) -> str:
    """The card in two lines: what was measured, and on what it was trained."""
    arch, metrics = checkpoint.arch, checkpoint.metrics
    facts = [f"{arch.resolution} x {arch.resolution} px", f"{len(checkpoint.classes)} classes" if checkpoint.classes else "no classes"]
    if seen := checkpoint.training.get("images_seen"):
        facts.append(f"{seen:,} images seen in training")
    if accuracy := metrics.get("accuracy"):
        facts.append(f"a judge names {accuracy:.0%} of its classes")
    lines = [" · ".join(facts)]
    if name := checkpoint.dataset.get("name"):
        lines.append(f"Trained on {name} (author: {checkpoint.dataset.get('author')}; licence: {checkpoint.dataset.get('licence')}).")
    return "  \n".join(lines)
