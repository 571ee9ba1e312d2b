"""The whole interface: `build` makes it, `launch_options` says how it is served."""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import: it calls home otherwise

import gradio as gr
from gradio.themes import Soft

from resgen.checkpoint import SHIPPED
from resgen.studio.api import add_api
from resgen.studio.explore import STATIC, Explore
from resgen.studio.renderer import Renderer

CACHE_SECONDS = 3600


def build(folder: Path = SHIPPED, device: str = "auto") -> gr.Blocks:
    """The interface over the checkpoints of ``folder``. Raises ResGenError for a device that is not there."""
    renderer = Renderer(folder, device)
    with gr.Blocks(title="ResGen", delete_cache=(CACHE_SECONDS, CACHE_SECONDS), analytics_enabled=False) as demo:
        gr.Markdown("# ResGen\nImages from residual networks: turn the seeds and latents, watch them change.", elem_id="title")
        explore = Explore(renderer)
        explore.connect(demo)
        add_api(renderer)
    return demo


def launch_options() -> dict[str, Any]:
    """Arguments of `Blocks.launch` that belong to the look and the limits."""
    fonts = ("ui-sans-serif", "system-ui", "sans-serif")
    theme = Soft(primary_hue="indigo", neutral_hue="zinc", font=fonts, font_mono=("ui-monospace", "monospace")).set(
        block_label_background_fill="transparent",
        block_title_background_fill="transparent",
        block_title_padding="0",
        body_background_fill="*neutral_100",
        block_title_text_color="*body_text_color",
        block_title_text_color_dark="*body_text_color",
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color_dark="*neutral_400",
    )
    return {
        "theme": theme,
        "css_paths": [STATIC / "studio.css"],
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "max_file_size": "10mb",
    }
