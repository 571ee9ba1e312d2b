"""The whole interface: `build` makes it, `launch_options` says how it is served."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import: it calls home otherwise

import gradio as gr
from gradio.themes import Soft

from resgen.checkpoint import SHIPPED
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk, read_query
from resgen.errors import ResGenError
from resgen.grid import read_recipe
from resgen.recipe import Recipe
from resgen.studio.about import AboutScreen
from resgen.studio.api import add_api
from resgen.studio.compare import CompareScreen
from resgen.studio.explore import Explore
from resgen.studio.invert import InvertScreen
from resgen.studio.mix import MixScreen
from resgen.studio.page import QUIET, STATIC, friendly, pin_list
from resgen.studio.renderer import Renderer
from resgen.studio.walk import WalkScreen

CACHE_SECONDS = 3600


class Studio:
    """All screens under one roof: the tray they share, and links and files that open any of them."""

    def __init__(self, renderer: Renderer, demo: gr.Blocks) -> None:
        self.renderer = renderer
        with gr.Row(elem_id="head"):
            gr.Markdown("# ResGen\nImages from residual networks: turn the seeds and latents, watch them change.", elem_id="title")
            self.opener = gr.UploadButton("Open a picture", size="sm", file_types=[".png", ".mp4", ".gif", ".webp", ".json"], elem_id="open-file")
        self.tray = pin_list("tray", "Pinned", "Click an image and pin it (key P) to walk, mix and compare with it.", tray=True)
        with gr.Tabs(elem_id="screens") as self.tabs:
            with gr.Tab("Explore", id="explore"):
                self.explore = Explore(renderer)
            checkpoint = self.explore.controls.checkpoint
            with gr.Tab("Walk", id="walk"):
                self.walk = WalkScreen(renderer, self.tray, checkpoint)
            with gr.Tab("Mix", id="mix") as mix_tab:
                self.mix = MixScreen(renderer, self.tray, checkpoint)
            with gr.Tab("Invert", id="invert"):
                self.invert = InvertScreen(renderer, checkpoint)
            with gr.Tab("Compare", id="compare") as compare_tab:
                self.compare = CompareScreen(renderer)
            with gr.Tab("About", id="about"):
                self.about = AboutScreen(renderer, checkpoint)
        self.explore.connect()
        self.walk.connect()
        self.mix.connect()
        self.invert.connect()
        self.compare.connect(demo, compare_tab)
        self.about.connect(demo)
        mix = self.mix
        first_mix = [mix.rows, mix.columns, mix.row_seeds, mix.column_seeds, checkpoint]
        mix_tab.select(mix.open, first_mix, [mix.rows, mix.columns], **QUIET)
        demo.load(self.follow_link, None, self.everything, **QUIET)
        self.opener.upload(self.open_file, self.opener, self.everything, **QUIET)

    @property
    def everything(self) -> list[Any]:
        """What a link may set: the tab, and the controls of every screen."""
        return [self.tabs, *self.explore.everything, *self.walk.settings, *self.mix.settings, *self.compare.settings]

    def show(self, recipe: AnyRecipe) -> list[Any]:
        """Updates of `everything` that open a recipe on the screen it belongs to. Raises ResGenError."""
        tab, parts = "explore", [[gr.skip()] * len(part) for part in self._parts()]
        if isinstance(recipe, Walk):
            tab, parts[1] = "walk", self.walk.restore(recipe)
        elif isinstance(recipe, StyleMix):
            tab, parts[2] = "mix", self.mix.restore(recipe)
        elif isinstance(recipe, Comparison):
            tab, parts[3] = "compare", self.compare.restore(recipe)
        elif isinstance(recipe, Recipe):
            parts[0] = self.explore.show(recipe)
        elif isinstance(recipe, AnatomyOf):
            parts[0] = self.explore.show(recipe.recipe)
        if tab != "explore":
            parts[0] = self.explore.show(self.explore.first_picture())
        return [gr.update(selected=tab), *(update for part in parts for update in part)]

    def _parts(self) -> list[list[Any]]:
        return [self.explore.everything, self.walk.settings, self.mix.settings, self.compare.settings]

    @friendly
    def follow_link(self, request: gr.Request) -> list[Any]:
        """The page's first picture: what its link says, or the best checkpoint's first seeds."""
        try:
            recipe = read_query(str(request.query_params))
            shown = self.show(recipe if recipe.checkpoint else self.explore.first_picture())
        except ResGenError as error:
            recipe = self.explore.first_picture()
            gr.Warning(f"This link could not be followed: {error}")
            shown = self.show(recipe)
        if isinstance(recipe, Recipe):
            shown[0] = gr.skip()  # a page opens on Explore; who has gone on to another tab meanwhile stays there
        return shown

    @friendly
    def open_file(self, path: str) -> list[Any]:
        """Open a picture or film made by ResGen on the screen that made it."""
        recipe, sha256 = read_recipe(Path(path))
        if sha256 not in ("", self.renderer.sha256(recipe)):
            gr.Warning(f"This was made with another version of {recipe.checkpoint}; it may look different.")
        return self.show(recipe)


def build(folder: Path = SHIPPED, device: str = "auto") -> gr.Blocks:
    """The interface over the checkpoints of ``folder``. Raises ResGenError for a device that is not there."""
    renderer = Renderer(folder, device)
    with gr.Blocks(title="ResGen", delete_cache=(CACHE_SECONDS, CACHE_SECONDS), analytics_enabled=False) as demo:
        Studio(renderer, demo)
        add_api(renderer)
    return demo


def launch_options() -> dict[str, Any]:
    """Arguments of `Blocks.launch` that belong to the look and the limits."""
    fonts = ("ui-sans-serif", "system-ui", "sans-serif")
    theme = Soft(primary_hue="indigo", neutral_hue="zinc", font=fonts, font_mono=("ui-monospace", "monospace")).set(
        # Text on the accent, and in it, is dark enough to be read by everyone (WCAG 2 AA).
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_label_background_fill_selected_dark="*primary_600",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_600",
        block_label_text_color="*body_text_color",
        block_label_text_color_dark="*body_text_color",
        block_label_background_fill="transparent",
        block_title_background_fill="transparent",
        block_title_padding="0",
        body_background_fill="*neutral_100",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        body_text_color_subdued="*neutral_600",
        block_info_text_color="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color_dark="*neutral_400",
    )
    return {
        "theme": theme,
        "css_paths": [STATIC / "studio.css"],
        "js": (STATIC / "drop.js").read_text(),
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "max_file_size": "20mb",
    }
