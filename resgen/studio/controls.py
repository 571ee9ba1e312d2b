"""The Explore screen's controls, and how they map to a recipe and back."""

from typing import Any

import gradio as gr

from resgen.checkpoint import Checkpoint
from resgen.recipe import Recipe, format_seeds, parse_seeds

ANY, ONE, ROWS, MIX = "From the seed", "One class", "Classes as rows", "A mix"
MAX_DIRECTIONS = 12
MAX_BLOCKS = 10
MAX_MIXED = 4


class Controls:
    """Creates the components where it is called; ``components`` lists those a recipe is made of, in order."""

    def __init__(self, names: list[str]) -> None:
        self.checkpoint = gr.Dropdown(names, label="Checkpoint", info="The trained generator that draws.", elem_id="checkpoint")
        self.card = gr.Markdown(elem_id="card")
        with gr.Group():
            self.seeds = gr.Textbox(label="Seeds", info="One image for each number: 0-15,42. Press Enter to draw.", elem_id="seeds", max_lines=2)
            with gr.Row():
                self.previous = gr.Button("Previous", size="sm", min_width=60)
                self.random = gr.Button("Random", size="sm", min_width=60, elem_id="random")
                self.next = gr.Button("Next", size="sm", min_width=60, elem_id="next")
        with gr.Group(visible=False) as self.variation_group:
            self.variation_of = gr.Textbox(label="Variations of seed", info="Each seed above pulls this image its own way.", interactive=False)
            self.variation_strength = gr.Slider(0, 1, 0.3, step=0.01, label="Strength", info="How far variations go from the image.")
            self.leave_variations = gr.Button("Back to all seeds", size="sm")
            self.seeds_before = gr.Textbox(visible=False)
        with gr.Group(visible=False) as self.class_group:
            self.class_mode = gr.Radio([ANY, ONE, ROWS, MIX], value=ANY, label="Class", info="What the images show.", elem_id="class-mode")
            self.one_class = gr.Dropdown([], label="Class to show", info="All images show this.", visible=False)
            self.row_classes = gr.Dropdown([], multiselect=True, label="Rows", info="A row of the seeds for each class.", visible=False)
            self.mixed = gr.Dropdown([], multiselect=True, max_choices=MAX_MIXED, label="Classes to mix", info=f"Up to {MAX_MIXED}.", visible=False)
            self.shares = [gr.Slider(0, 1, 1, step=0.01, label="Share", visible=False) for _ in range(MAX_MIXED)]
        self.truncation = gr.Slider(
            0, 1.5, 1, step=0.01, label="Truncation", info="0: the average image; 1: all the variety there is.", elem_id="truncation"
        )
        with gr.Accordion("Directions", open=True):
            self.directions = [gr.Slider(-5, 5, 0, step=0.1, label=f"Direction {i + 1}", elem_id=f"direction-{i + 1}") for i in range(MAX_DIRECTIONS)]
        with gr.Accordion("Residual blocks", open=False):
            gr.Markdown("How much each residual block adds: 0 leaves only its skip connection, 1 is as trained.")
            self.gains = [gr.Slider(0, 2, 1, step=0.01, label=f"Block {i + 1}", elem_id=f"block-{i + 1}") for i in range(MAX_BLOCKS)]
        with gr.Accordion("Layout", open=False):
            self.columns = gr.Slider(1, 100, 8, step=1, label="Columns", info="Images in a row.", elem_id="columns")
            self.scale = gr.Slider(1, 16, 3, step=1, label="Display size", info="Enlargement of each image.")

    @property
    def live(self) -> list[Any]:
        """Components that redraw the grid while they are moved."""
        classes = [self.class_mode, self.one_class, self.row_classes, self.mixed, *self.shares]
        return [*classes, self.variation_strength, self.truncation, *self.directions, *self.gains, self.columns, self.scale]

    @property
    def components(self) -> list[Any]:
        return [self.checkpoint, self.seeds, self.variation_of, *self.live]

    def recipe(self, values: tuple[Any, ...], checkpoint: Checkpoint) -> Recipe:
        """The recipe of the values of ``components``. Raises RecipeError."""
        by_id = dict(zip((c._id for c in self.components), values, strict=True))

        def value(component: Any) -> Any:
            return by_id[component._id]

        mode = value(self.class_mode) if checkpoint.classes else ANY
        classes: tuple[str, ...] = ()
        mix: tuple[tuple[str, float], ...] = ()
        if mode == ONE:
            classes = (value(self.one_class) or checkpoint.classes[0],)
        elif mode == ROWS:
            classes = tuple(value(self.row_classes) or checkpoint.classes)
        elif mode == MIX:
            mixed = value(self.mixed) or checkpoint.classes[:2]
            mix = tuple((name, float(value(share))) for name, share in zip(mixed, self.shares, strict=False))
        gains = tuple(float(value(gain)) for gain in self.gains[: len(checkpoint.arch.widths)])
        amounts = zip(checkpoint.direction_names, map(value, self.directions), strict=False)
        origin = value(self.variation_of)
        return Recipe(
            checkpoint=checkpoint.name,
            seeds=parse_seeds(value(self.seeds)),
            classes=classes,
            class_mix=mix,
            truncation=float(value(self.truncation)),
            directions=tuple((name, float(amount)) for name, amount in amounts if amount),
            residual_gains=() if all(gain == 1 for gain in gains) else gains,
            variation_of=int(origin) if origin else None,
            variation_strength=float(value(self.variation_strength)),
            columns=int(value(self.columns)),
            scale=int(value(self.scale)),
        )

    @property
    def shown(self) -> list[Any]:
        """Components that `updates` sets."""
        return [*self.components, self.card, self.class_group, self.variation_group]

    def updates(self, recipe: Recipe, checkpoint: Checkpoint) -> list[Any]:
        """What makes the controls show ``recipe``, one update for each of ``shown``."""
        mix = recipe.class_mix
        mode = MIX if mix else ROWS if len(recipe.classes) > 1 else ONE if recipe.classes else ANY
        choices = list(checkpoint.classes)
        mixed = [name for name, _ in mix] or choices[:2]
        strongest = max((share for _, share in mix), default=1)
        return [
            gr.update(value=checkpoint.name),
            gr.update(value=format_seeds(recipe.seeds)),
            gr.update(value="" if recipe.variation_of is None else str(recipe.variation_of)),
            gr.update(value=mode),
            gr.update(choices=choices, value=next(iter(recipe.classes or choices), None), visible=mode == ONE),
            gr.update(choices=choices, value=list(recipe.classes) if mode == ROWS else choices[:10], visible=mode == ROWS),
            gr.update(choices=choices, value=mixed, visible=mode == MIX),
            *self._share_updates(mixed, [share / strongest for _, share in mix], mode == MIX),
            gr.update(value=recipe.variation_strength),
            gr.update(value=recipe.truncation),
            *self._direction_updates(recipe, checkpoint),
            *self._gain_updates(recipe, checkpoint),
            gr.update(value=recipe.columns),
            gr.update(value=recipe.scale),
            gr.update(value=describe(checkpoint)),
            gr.update(visible=bool(choices)),
            gr.update(visible=recipe.variation_of is not None),
        ]

    @staticmethod
    def _direction_updates(recipe: Recipe, checkpoint: Checkpoint) -> list[Any]:
        amounts = dict(recipe.directions)
        used = [gr.update(value=amounts.get(name, 0), visible=True) for name in checkpoint.direction_names[:MAX_DIRECTIONS]]
        return used + [gr.update(value=0, visible=False)] * (MAX_DIRECTIONS - len(used))

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
