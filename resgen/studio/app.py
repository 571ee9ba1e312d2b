"""The whole interface, ready to be launched."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before the import: it calls home otherwise
os.environ.setdefault("GRADIO_RUN_HISTORY", "False")  # which writes to the Hub for who asks from the host itself, as a proxy there may seem to do

import gradio as gr
from gradio.themes import Base, Soft
from starlette.middleware import Middleware

from resgen.budget import OWN, Budget
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk, read_query
from resgen.errors import RecipeError, ResGenError
from resgen.interop.torch_files import READ
from resgen.library import SHIPPED, Library
from resgen.notes import NOTED, read_recipe
from resgen.recipe import Recipe
from resgen.studio import zerogpu
from resgen.studio.about import AboutScreen
from resgen.studio.api import add_api
from resgen.studio.compare import CompareScreen
from resgen.studio.drawing import Drawing
from resgen.studio.explore import Explore
from resgen.studio.guard import Guard
from resgen.studio.invert import InvertScreen
from resgen.studio.mix import MixScreen
from resgen.studio.page import (
    NARROW,
    QUIET,
    RENDER,
    STATIC,
    Updates,
    address,
    component,
    details_of,
    draws_here,
    friendly,
    inform,
    pin_list,
    refocus,
    rewrite,
    uploaded,
    warn,
)
from resgen.studio.page_head import PageHead
from resgen.studio.queueing import asker_left, bound_queue
from resgen.studio.renderer import Renderer
from resgen.studio.uploads import keep_upload
from resgen.studio.values import check_values
from resgen.studio.walk import WalkScreen

CACHE_SECONDS = 3600
SESSIONS_KEPT = 500  # of which Gradio keeps what their components are; a page says all that is needed with each request
LARGE = 20_000_000  # bytes of a generator that is not read at once
WITHOUT_RECIPE = ("invert", "about")  # screens that a link names, since no recipe says them
SELECTED = "#screens [role=tab][aria-selected=true]"
LINK = "[location.search, location.hash].map((part) => part.slice(1)).filter(Boolean).join('&')"  # '?' may say how the page looks, '#' what it shows
OPENED = f"(link, narrow, ...more) => [{LINK}, window.matchMedia('{NARROW}').matches, ...more]"


class Studio:
    """All screens under one roof: the tray they share, and links and files that open any of them."""

    def __init__(self, renderer: Renderer, demo: gr.Blocks, allow_import: bool = False) -> None:
        self.library, self.allow_import, self.seconds = renderer.library, allow_import, renderer.budget.seconds
        self.address = address("address")
        with gr.Row(elem_id="head"):
            gr.Markdown("# ResGen", elem_id="title")
            words = "Open a picture or generator" if allow_import else "Open a picture"
            kinds = [*NOTED, *(READ if allow_import else ())]
            self.opener = gr.UploadButton(words, size="sm", file_types=kinds, elem_id="open-file")
            component("bar", "bar", begins=("keys", "common"))
        with gr.Tabs(elem_id="screens") as self.tabs:
            with gr.Tab("Explore", id="explore") as explore:
                self.explore = Explore(renderer)
                with gr.Row(elem_id="pinned"):
                    self.tray = pin_list("tray", "Pinned", "Choose an image and pin it (key P): films and mixes are made of pins.", tray=True)
                    self.film_pins = gr.Button("Make film", size="sm", min_width=60, elem_id="film-pins")
                    self.mix_pins = gr.Button("Mix", size="sm", min_width=60, elem_id="mix-pins")
            checkpoint = self.explore.controls.checkpoint
            with gr.Tab("Walk", id="walk") as walk:
                self.walk = WalkScreen(renderer, self.tray, checkpoint)
            with gr.Tab("Mix", id="mix") as mix:
                self.mix = MixScreen(renderer, self.tray, checkpoint)
            with gr.Tab("Invert", id="invert") as invert:
                self.invert = InvertScreen(renderer, checkpoint)
            with gr.Tab("Compare", id="compare") as compare:
                self.compare = CompareScreen(renderer, self.tray)
            with gr.Tab("About", id="about") as about:
                self.about = AboutScreen(renderer, checkpoint)
        draws_here("here")
        self.explore.connect()
        self.walk.connect(walk)
        self.mix.connect(mix)
        self.invert.connect()
        self.compare.connect(compare, (explore, walk, mix, invert, about))
        self.about.connect(about)
        for name, tab in zip(WITHOUT_RECIPE, (invert, about), strict=True):
            shown = f"new CustomEvent('resgen-shown', {{ detail: {{ query: 'screen={name}' }} }})"
            tab.select(None, None, None, js=f"() => window.dispatchEvent({shown})")
        self._connect_images()
        self._connect_links(renderer, demo)

    def _connect_links(self, renderer: Renderer, demo: gr.Blocks) -> None:
        """From the page's address, and from files that are opened, to the screens they show."""
        everything = {self.tabs, *self.explore.outputs, *self.walk.outputs, *self.mix.outputs, *self.compare.outputs}
        opened = rewrite(demo.load, self.open_page, [self.address, self.explore.narrow], everything | {self.explore.narrow}, js=OPENED)
        opened.then(friendly(renderer.samples), None, self.explore.samples, **QUIET)
        rewrite(self.address.select, self.go_to, [self.address, self.explore.narrow, self.invert.kept], everything, js=OPENED)
        opening = {*everything, self.about.shelf}
        taken = rewrite(self.opener.upload, self.open_file, [self.opener, self.explore.narrow], opening)
        if self.allow_import:
            taken.then(friendly(renderer.samples), None, self.explore.samples, **QUIET)

    def _connect_images(self) -> None:
        """From pinned images to the screens that are made of them, and from an image of any screen to Explore."""
        for button, name, screen in ((self.film_pins, "walk", self.walk), (self.mix_pins, "mix", self.mix)):

            def take(tray: Any, name: str = name, screen: WalkScreen | MixScreen = screen) -> Updates:
                return {self.tabs: gr.update(selected=name), **screen.take_pins(tray)}

            refocus(rewrite(button.click, take, self.tray, {self.tabs, *screen.outputs}), SELECTED)
        for images in (self.mix.view, self.invert.view, self.compare.view, self.tray, self.mix.rows, self.mix.columns):
            refocus(rewrite(images.select, self.open_image, None, {self.tabs, *self.explore.outputs}), SELECTED)

    def show(self, recipe: AnyRecipe) -> Updates:
        """What opens a recipe on the screen it belongs to. Raises ResGenError."""
        if isinstance(recipe, Walk):
            return {self.tabs: gr.update(selected="walk"), **self.walk.write(recipe)}
        if isinstance(recipe, StyleMix):
            return {self.tabs: gr.update(selected="mix"), **self.mix.write(recipe)}
        if isinstance(recipe, Comparison):
            return {self.tabs: gr.update(selected="compare"), **self.compare.write(recipe)}
        shown = recipe.recipe if isinstance(recipe, AnatomyOf) else recipe
        assert isinstance(shown, Recipe)
        return {self.tabs: gr.update(selected="explore"), **self.explore.write(shown)}

    def open_image(self, event: gr.EventData) -> Updates:
        """One image in Explore: a pin that was clicked, or what an image of another screen was asked for."""
        if details_of(event).get("action", "open") != "open":
            return {}
        recipe = read_query(details_of(event).get("tile") or details_of(event).get("query"))
        if not isinstance(recipe, Recipe):
            raise RecipeError("This image cannot be opened alone.")
        return self.show(recipe)

    def open_page(self, link: str, narrow: bool) -> Updates:
        """The page's first picture: what its link says, or the best checkpoint's first seeds; Explore is never left empty."""
        first = self.explore.first_picture(narrow=narrow)
        if (screen := _screen_of(link)) and not _says_recipe(link):
            return {**self.explore.write(first), self.tabs: gr.update(selected=screen), self.explore.narrow: narrow}
        try:
            recipe = self._read(link, narrow)
            shown = self.show(recipe)
            if isinstance(recipe, Recipe):
                del shown[self.tabs]  # a page opens on Explore; who has gone on to another tab meanwhile stays there
            else:
                shown = {**self.explore.write(self.explore.first_picture(recipe.checkpoint, narrow)), **shown}
        except ResGenError as error:
            warn(f"This link could not be followed: {error}")
            shown = self.explore.write(first)
        return shown | {self.explore.narrow: narrow}

    def go_to(self, link: str, narrow: bool, found: Any) -> Updates:
        """What the browser's Back or Forward goes to; an image that is not the one ``found`` on the screen Invert opens in Explore."""
        screen = _screen_of(link)
        if screen and not _says_recipe(link):
            return {self.tabs: gr.update(selected=screen)}
        recipe = self._read(link, narrow)
        return {self.tabs: gr.update(selected=screen)} if screen and recipe == self.invert.read({self.invert.kept: found}) else self.show(recipe)

    def _read(self, link: str, narrow: bool) -> AnyRecipe:
        """The recipe of the address's parts after '?' and '#'; where it says nothing, the first picture; where no checkpoint, the best."""
        recipe = read_query(str(link or "").lstrip("?#"))
        return recipe.over(self.explore.first_picture(narrow=narrow)) if isinstance(recipe, Recipe) else recipe

    def open_file(self, file: Any, narrow: bool) -> Updates:
        """Open a picture or film made by ResGen on the screen that made it; a generator, where the host takes it, in Explore."""
        path = uploaded(file, "There is no file; choose one.")
        if path.suffix.lower() in READ:
            return self.open_generator(path, narrow)
        recipe, noted = read_recipe(path)
        recipe = self.library.named(recipe)
        if others := self.library.replaced(recipe, noted):
            warn(f"This was made with another version of {', '.join(others)}; it may look different.")
        return self.show(recipe)

    def open_generator(self, path: Path, narrow: bool) -> Updates:
        """Keep a generator that a visitor brings, and open it. Raises RecipeError where the host takes none."""
        if not self.allow_import:
            raise RecipeError(
                f"{path.name} seems to be a generator, and this page takes pictures and films alone: start your own with "
                f"resgen studio --allow-import, or make it a checkpoint with resgen import {path.name}."
            )
        if path.stat().st_size > LARGE:
            inform(f"{path.name} is being read, which takes a minute.")
        name, told = keep_upload(path, self.library, self.seconds)
        inform(told)
        return {**self.show(self.explore.first_picture(name, narrow)), self.about.shelf: None}  # a shelf that is drawn again when it is looked at


def _told(link: Any) -> dict[str, str]:
    """What a link says, by name."""
    return dict(parse_qsl(str(link or "").lstrip("?#")))


def _says_recipe(link: Any) -> bool:
    return "checkpoint" in _told(link)


def _screen_of(link: Any) -> str:
    """The screen that a link names, which may show nothing that a link could say; '' where it names none."""
    screen = _told(link).get("screen", "")
    return screen if screen in WITHOUT_RECIPE else ""


def build(folder: Path = SHIPPED, device: str = "auto", budget: Budget = OWN) -> gr.Blocks:
    """The interface over the checkpoints of ``folder``. Raises ResGenError for a device that is not there."""
    return build_on(Renderer(Library(folder, zerogpu.device(device)), budget))


def build_on(renderer: Renderer, allow_import: bool = False) -> gr.Blocks:
    """The interface over a renderer, to whose library visitors may add where ``allow_import``."""
    with suppress(ResGenError):
        renderer.library.first()  # from now on it is known which checkpoint the page begins with
    with gr.Blocks(title="ResGen", delete_cache=(CACHE_SECONDS, CACHE_SECONDS), analytics_enabled=False) as demo:
        Studio(renderer, demo, allow_import)
        add_api(renderer)
        nowhere = gr.JSON(visible=False)
    for function in demo.fns.values():
        # The page would mark all that any event may change as loading and loaded, at each step of each event, though none of it shows that.
        function.show_progress_on = [nowhere]
    demo.queue(default_concurrency_limit=RENDER["concurrency_limit"], api_open=False)  # nothing is asked beside the queue
    bound_queue(demo, renderer.budget)
    check_values(demo)
    renderer.turns.left = asker_left(demo)
    cast(Any, demo).launch = partial(demo.launch, **_launch_options(renderer, demo))
    return demo


def _theme() -> Base:
    """Text on the accent, and in it, is dark enough to be read by everyone (WCAG 2 AA)."""
    fonts = ("ui-sans-serif", "system-ui", "sans-serif")
    return Soft(primary_hue="indigo", neutral_hue="zinc", font=fonts, font_mono=("ui-monospace", "monospace")).set(
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


def _launch_options(renderer: Renderer, demo: gr.Blocks) -> dict[str, Any]:
    """Arguments of `Blocks.launch` that belong to the look, the limits, and what is served beside the page."""
    names = {str(function.api_name) for function in demo.fns.values() if function.api_name and function.api_visibility == "public"}
    return {
        "theme": _theme(),
        "css_paths": [STATIC / "studio.css"],
        "js": (STATIC / "drop.js").read_text(encoding="utf-8"),
        "footer_links": ["api", "settings"],
        "ssr_mode": False,
        "max_file_size": renderer.budget.upload_bytes,
        "enable_monitoring": False,
        "state_session_capacity": SESSIONS_KEPT,
        "app_kwargs": {
            "middleware": [Middleware(Guard, budget=renderer.budget, names=names), Middleware(PageHead, library=renderer.library)],
            "routes": Drawing(renderer).routes(),
        },
    }
