"""The Mix screen: rows x columns, each image the row's but for some blocks, which follow the column."""

from typing import Any

import gradio as gr

from resgen.card import plain
from resgen.composite import StyleMix, finer_half, read_points
from resgen.errors import ResGenError
from resgen.recipe import Recipe
from resgen.studio.page import (
    ASK,
    LAST,
    OPEN,
    PIN,
    POINTS_HELP,
    QUIET,
    SAVE,
    Updates,
    Values,
    as_pins,
    download,
    draw_at,
    friendly,
    grid,
    last_written,
    make_pins,
    offer,
    offer_images,
    pin_list,
    pinned,
    redraw,
    rewrite,
    slider,
    writing,
)  # fmt: skip
from resgen.studio.renderer import Renderer

FIRST_SCALE = 2


class MixScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, tray: gr.HTML, checkpoint: gr.HTML) -> None:
        self.renderer, self.library, self.tray, self.checkpoint = renderer, renderer.library, tray, checkpoint
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="stage"):
                self.view = grid(
                    "mix-grid", "Take rows and columns: each image of the table is the row's, styled after the column's.", (PIN, OPEN, SAVE)
                )
                with gr.Row(elem_classes="rg-line"):
                    self.download = gr.Button("Save PNG", size="sm", elem_id="mix-png")
                    self.swap = gr.Button("Swap rows and columns", size="sm", elem_id="mix-swap")
            with gr.Column(elem_classes="side"):
                self.lacking = gr.Markdown(elem_id="mix-lacking")
                self.rows = pin_list("mix-rows", "Rows", "Images that keep their shape.")
                self.columns = pin_list("mix-columns", "Columns", "Images that lend their style.")
                with gr.Row():
                    self.pins_to_rows = gr.Button("Pins as rows", size="sm", min_width=100, elem_id="pins-to-rows")
                    self.pins_to_columns = gr.Button("Pins as columns", size="sm", min_width=100, elem_id="pins-to-columns")
                self.row_seeds = gr.Textbox("1-4", label="Rows from seeds", info=POINTS_HELP, elem_id="mix-row-seeds")
                self.column_seeds = gr.Textbox("11-15", label="Columns from seeds", info="The same for columns.", elem_id="mix-column-seeds")
                self.blocks = gr.CheckboxGroup(
                    [], label="Taken from the column", info="Residual blocks that follow it, coarse to fine.", elem_id="mix-blocks"
                )
                self.scale = slider(StyleMix, "scale", elem_id="mix-scale")
        self.kept = gr.JSON(None, visible=False)
        self.file = gr.JSON(visible=False)

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return {self.kept, self.rows, self.columns, self.blocks, self.scale}

    @property
    def outputs(self) -> set[Any]:
        """What `write` sets."""
        return self.inputs | {self.view, self.lacking}

    def read(self, values: Values) -> StyleMix | None:
        """The mix that the controls show; None where a side is empty. Raises RecipeError."""
        rows, columns = pinned(values[self.rows]), pinned(values[self.columns])
        if not rows or not columns:
            return None
        kept = last_written(self, values)
        chosen = tuple(values[self.blocks] or ())
        blocks = tuple(sorted(chosen)) if all(isinstance(block, int) for block in chosen) else chosen
        count = self._count(rows[0])
        if not isinstance(kept, StyleMix) or self._count(kept.rows[0]) != count:
            blocks = finer_half(count)  # those that are chosen are another generator's
        if isinstance(kept, StyleMix) and blocks == tuple(sorted(kept.blocks)):
            blocks = kept.blocks  # in the order in which they were given
        return StyleMix(rows=rows, columns=columns, blocks=blocks, scale=values[self.scale])

    def write(self, recipe: StyleMix) -> Updates:
        """What makes the screen show a mix. Raises ResGenError."""
        return {
            self.rows: make_pins(self.renderer, recipe.rows),
            self.columns: make_pins(self.renderer, recipe.columns),
            self.blocks: gr.update(choices=self._choices(recipe.checkpoint), value=list(recipe.blocks)),
            self.scale: recipe.scale,
            self.kept: recipe.to_dict(),
            self.lacking: "",
            self.view: ASK,
        }

    def _count(self, image: Recipe) -> int:
        """How many blocks an image's generator has."""
        return len(self.library.card(image.checkpoint).block_names)

    def _choices(self, name: str) -> list[tuple[str, int]]:
        return [(words.capitalize(), block) for block, words in enumerate(self.library.card(name).block_names)]

    # Events.

    def connect(self, tab: gr.Tab) -> None:
        """Attach every listener."""
        redraw(self, [self.blocks.input, self.scale.input, self.scale.release], self.renderer.view)
        draw_at(self, [self.rows.change, self.columns.change])
        offered = {self.blocks, self.kept, self.lacking}
        self.view.submit(writing(self.offer_blocks, offered), self.inputs, [*offered], **LAST, preprocess=False)
        for button, target in ((self.pins_to_rows, self.rows), (self.pins_to_columns, self.columns)):
            button.click(friendly(self.use), self.tray, target, **QUIET)
        for text, target in ((self.row_seeds, self.rows), (self.column_seeds, self.columns)):
            text.submit(friendly(self.take_seeds), [text, self.rows, self.columns, self.checkpoint], target, **QUIET)
        rewrite(self.swap.click, self.swapped, self.inputs, self.outputs)
        offer(self.download.click, self.make_png, self.inputs, self.file)
        offer_images(self.renderer, self.view, self.file)
        texts = {self.row_seeds, self.column_seeds}
        rewrite(tab.select, self.open, {*self.inputs, *texts, self.checkpoint}, self.outputs | texts)

    def offer_blocks(self, values: Values) -> Updates:
        """The blocks of the generator whose images are mixed now."""
        try:
            recipe = self.read(values)
        except ResGenError:
            return {}  # which the drawing says
        if recipe is None or recipe == last_written(self, values):
            return {}
        blocks = gr.update(choices=self._choices(recipe.checkpoint), value=list(recipe.blocks))
        return {self.blocks: blocks, self.kept: recipe.to_dict(), self.lacking: ""}

    def take_seeds(self, text: str, rows: Any, columns: Any, checkpoint: str) -> list[dict[str, str]]:
        """Pins from seeds, of the generator that the table's images so far come from."""
        name = next((image.checkpoint for image in (*pinned(rows), *pinned(columns))), checkpoint)
        return make_pins(self.renderer, read_points(text, name))

    def open(self, values: Values) -> Updates:
        """What the screen shows when it is first opened: a table of the seeds there are, the finer half of the blocks taken from the columns."""
        if values[self.rows] or values[self.columns]:
            return {}
        name = values[self.checkpoint]
        if not self.library.card(name).arch.styled:
            return {
                self.lacking: f"{plain(name)} has one latent for all its blocks, so there are no styles to mix: choose another generator in Explore."
            }
        texts = self._of_one_class([values[self.row_seeds], values[self.column_seeds]], name)
        begun = self._begin(*(read_points(text, name) for text in texts))
        return begun | dict(zip((self.row_seeds, self.column_seeds), texts, strict=True)) if begun else {}

    def _of_one_class(self, texts: list[str], name: str) -> list[str]:
        """The seeds of rows and columns, of the class that the first draws where a generator's classes have no styles in common."""
        first = next(iter(read_points(texts[0], name)), None)
        if self.library.card(name).arch.shares_styles or first is None or not (label := self.renderer.label(first)):
            return texts
        return [",".join(piece if "@" in piece else f"{piece}@{label}" for piece in filter(None, map(str.strip, text.split(",")))) for text in texts]

    def take_pins(self, tray: Any) -> Updates:
        """Each pinned image with each: half of them as rows, half as columns."""
        images = pinned(as_pins(tray, 2, "Pin at least two images of one generator: one lends its style to the other."))
        half = (len(images) + 1) // 2
        return self._begin(images[:half], images[half:])

    @staticmethod
    def use(tray: Any) -> list[Any]:
        """The pinned images as rows, or as columns. Raises RecipeError."""
        return as_pins(tray, 1, "Pin an image in Explore first.")

    def _begin(self, rows: tuple[Recipe, ...], columns: tuple[Recipe, ...]) -> Updates:
        """A table whose images take the finer half of their blocks from the columns; none where a side is empty."""
        if not rows or not columns:
            return {}
        blocks = finer_half(self._count(rows[0]))
        return self.write(StyleMix(rows=rows, columns=columns, blocks=blocks, scale=FIRST_SCALE))

    def swapped(self, values: Values) -> Updates:
        """Rows as columns and columns as rows."""
        recipe = self.read(values)
        return self.write(recipe.changed(rows=recipe.columns, columns=recipe.rows)) if recipe else {}

    def make_png(self, values: Values) -> Any:
        recipe = self.read(values)
        return download("mix.png", self.renderer.png(recipe)) if recipe else None
