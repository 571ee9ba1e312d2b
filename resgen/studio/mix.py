"""The Mix screen: rows x columns, each image the row's but for some blocks, which follow the column."""

from typing import Any

import gradio as gr

from resgen.composite import StyleMix, read_points
from resgen.studio.page import DOWNLOAD, QUIET, download, friendly, grid, live, make_pins, pin_list, pinned, save_tile
from resgen.studio.renderer import Renderer

RANGES = ("Coarse: shape and pose", "Middle", "Fine: colour and texture")


class MixScreen:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer, tray: gr.HTML, checkpoint: gr.Dropdown) -> None:
        self.renderer, self.tray, self.checkpoint = renderer, tray, checkpoint
        with gr.Row():
            with gr.Column(scale=3):
                self.grid = grid("mix-grid", "Take rows and columns: each image of the table is the row's, styled after the column's.")
                self.download = gr.Button("Save PNG", size="sm", elem_id="mix-png")
            with gr.Column(scale=1, elem_classes="controls"):
                self.rows = pin_list("mix-rows", "Rows", "Images that keep their shape.")
                self.columns = pin_list("mix-columns", "Columns", "Images that lend their style.")
                with gr.Row():
                    self.pins_to_rows = gr.Button("Pinned to rows", size="sm", min_width=100, elem_id="pins-to-rows")
                    self.pins_to_columns = gr.Button("Pinned to columns", size="sm", min_width=100, elem_id="pins-to-columns")
                self.row_seeds = gr.Textbox(
                    "1-4", label="Rows from seeds", info="3,7@cat,10-12: seeds, of a class after @. Press Enter.", elem_id="mix-row-seeds"
                )
                self.column_seeds = gr.Textbox("11-15", label="Columns from seeds", info="The same for columns.", elem_id="mix-column-seeds")
                self.range = gr.CheckboxGroup(
                    list(RANGES), value=[RANGES[2]], label="Taken from the column", info="Which residual blocks follow it.", elem_id="mix-range"
                )
                self.scale = gr.Slider(1, 16, 3, step=1, label="Display size", info="Enlargement of each image.")
        self.file = gr.JSON(visible=False)

    @property
    def settings(self) -> list[Any]:
        return [self.rows, self.columns, self.range, self.scale]

    def connect(self) -> None:
        changes: list[Any] = [component.change for component in (self.rows, self.columns, self.range, self.scale)]
        for button, target in ((self.pins_to_rows, self.rows), (self.pins_to_columns, self.columns)):
            changes.append(button.click(lambda tray: tray, self.tray, target, **QUIET).then)
        for text, target in ((self.row_seeds, self.rows), (self.column_seeds, self.columns)):
            changes.append(text.submit(self.take_seeds, [text, self.checkpoint], target, **QUIET).then)
        for change in changes:
            live(change, self.draw, self.settings, self.grid)
        self.download.click(self.make_png, self.settings, self.file, **QUIET).success(None, self.file, js=DOWNLOAD)
        self.grid.select(self.save, None, self.file, **QUIET).success(None, self.file, js=DOWNLOAD)

    def take_seeds(self, text: str, checkpoint: str) -> list[dict[str, str]]:
        return friendly(make_pins)(self.renderer, friendly(read_points)(text, checkpoint))

    @friendly
    def open(self, rows: Any, columns: Any, row_seeds: str, column_seeds: str, checkpoint: str) -> Any:
        """What the screen shows when it is first opened: a table of the seeds there are."""
        if rows or columns:
            return [gr.skip()] * 2
        return [self.take_seeds(row_seeds, checkpoint), self.take_seeds(column_seeds, checkpoint)]

    @friendly
    def draw(self, *settings: Any) -> Any:
        recipe = self._recipe(*settings)
        return self.renderer.view(recipe) if recipe else gr.skip()

    def _recipe(self, rows: Any, columns: Any, ranges: list[str], scale: float) -> StyleMix | None:
        sides = pinned(rows), pinned(columns)
        if not all(sides):
            return None
        blocks = len(self.renderer.sampler(sides[0][0].checkpoint).checkpoint.arch.widths)
        chosen = tuple(block for name, part in zip(RANGES, split_blocks(blocks), strict=True) if name in ranges for block in part)
        return StyleMix(*sides, chosen, int(scale))

    @friendly
    def make_png(self, *settings: Any) -> Any:
        recipe = self._recipe(*settings)
        return download("mix.png", self.renderer.png(recipe)) if recipe else None

    @friendly
    def save(self, event: gr.EventData) -> Any:
        return save_tile(self.renderer, event.tile)

    def restore(self, mix: StyleMix) -> list[Any]:
        """Updates that show a mix: of `settings`."""
        blocks = len(self.renderer.sampler(mix.checkpoint).checkpoint.arch.widths)
        ranges = [name for name, part in zip(RANGES, split_blocks(blocks), strict=True) if set(part) & set(mix.blocks)]
        return [make_pins(self.renderer, mix.rows), make_pins(self.renderer, mix.columns), ranges, mix.scale]


def split_blocks(blocks: int) -> tuple[range, range, range]:
    """Coarse, middle and fine blocks: about a third each, the first and the last never empty where there are two."""
    third = max(1, round(blocks / 3))
    return range(third), range(third, blocks - third), range(max(third, blocks - third), blocks)
