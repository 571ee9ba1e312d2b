"""What every screen is made of: the grid, the player and pin lists in the page, downloads, and errors shown as one message."""

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from resgen.composite import read_query
from resgen.errors import RecipeError, ResGenError
from resgen.recipe import Recipe
from resgen.studio.renderer import Renderer, data_uri

STATIC = Path(__file__).parent / "static"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LIVE: dict[str, Any] = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 2, "concurrency_id": "render"}
SLOW: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "slow"}
NUMBER = "(...values) => [...values.slice(0, -1), (window.resgenAsked = (window.resgenAsked || 0) + 1)]"
DOWNLOAD = "(file) => { if (!file) return; const a = document.createElement('a'); a.href = file.uri; a.download = file.name; a.click(); }"
TYPES = {".png": "image/png", ".zip": "application/zip", ".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp"}

PIN = ("pin", "Pin", "Keep this image for the other screens; key P")
VARY = ("vary", "Make variations", "Images that differ a little from this one")
SAVE = ("save", "Save image", "A PNG that remembers how it was made")


def friendly(function: Any) -> Any:
    """Show a mendable error as one message in the page; what is on screen stays."""

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ResGenError as error:
            raise gr.Error(str(error), title="That did not work", print_exception=False) from error

    return guarded


def live(event: Any, draw: Any, inputs: list[Any], view: gr.HTML, sets: Any = None) -> None:
    """Draw into ``view``, a grid or player, at each ``event``; a picture that comes after one asked for later is dropped.

    ``draw`` makes a `Renderer.view` of ``inputs``, or skips. The page numbers what it asks for (``NUMBER``) in the place of the
    view's own value, which is listed as an input for that alone. With ``sets``, a control, ``draw`` makes its value as well.
    """

    def numbered(*values: Any) -> Any:
        shown = draw(*values[:-1])
        if sets is not None:
            return shown[0] | {"asked": values[-1], "sets": True}, shown[1]
        return shown | {"asked": values[-1]} if "src" in shown else shown

    event(numbered, [*inputs, view], view if sets is None else [view, sets], js=NUMBER, **LIVE)


def _component(name: str, elem_id: str, value: Any = None, begins: str = "", **words: str) -> gr.HTML:
    """A component of ``static``: NAME.html, in which {{word}} stands for each of ``words``, and NAME.js after the script ``begins``."""
    template = (STATIC / f"{name}.html").read_text()
    for word, text in words.items():
        template = template.replace("{{" + word + "}}", html.escape(text))
    script = "".join((STATIC / f"{part}.js").read_text() for part in (begins, name) if part)
    return gr.HTML(value, html_template=template, js_on_load=script, apply_default_css=False, elem_id=elem_id)


def grid(elem_id: str, waiting: str, actions: Sequence[tuple[str, str, str]] = (PIN, SAVE), remembers: bool = False, shares: bool = True) -> gr.HTML:
    """A grid of images whose value is `Renderer.view`; `select` tells an action and the query of its image, `input` the chosen one,
    `submit` asks to be drawn again.

    ``remembers``: undo and redo go through what it showed; ``shares``: the page's address follows it.
    """
    flags = {"remembers": "yes" if remembers else "", "shares": "yes" if shares else ""}
    return _component("grid", elem_id, begins="view", waiting=waiting, actions=json.dumps(actions), **flags)


def player(elem_id: str, waiting: str) -> gr.HTML:
    """Plays a film whose value is `Renderer.film_view`."""
    return _component("player", elem_id, begins="view", waiting=waiting)


def pin_list(elem_id: str, heading: str, hint: str, tray: bool = False) -> gr.HTML:
    """A list of pinned images, its value a list of {query, caption, thumbnail}."""
    return _component("pins", elem_id, [], heading=heading, hint=hint, tray="yes" if tray else "")


def pad(elem_id: str) -> gr.HTML:
    """A pad to drag across the seed plane, its value [x, y]; `input` comes while it moves."""
    return _component("pad", elem_id, [0, 0])


def make_pins(renderer: Renderer, recipes: Sequence[Recipe]) -> list[dict[str, str]]:
    """Pins of recipes of one image each. Raises ResGenError."""
    pins = []
    for recipe in recipes:
        plate = renderer.plate(recipe)
        pins.append({"query": recipe.to_query(), "caption": plate.captions[0], "thumbnail": data_uri(Image.fromarray(plate.images[0]))})
    return pins


def pinned(value: Any) -> tuple[Recipe, ...]:
    """The recipes in a pin list's value, which came from a browser. Raises RecipeError."""
    recipes = []
    for pin in value if isinstance(value, list) else []:
        recipe = read_query(str(pin.get("query", ""))) if isinstance(pin, dict) else None
        if not isinstance(recipe, Recipe) or recipe.count != 1:
            raise RecipeError("A pinned image cannot be read; remove it and pin it again.")
        recipes.append(recipe)
    return tuple(recipes)


def download(name: str, data: bytes) -> dict[str, str]:
    """A file for the browser as a data URI: nothing is left on the server's disk."""
    return {"name": name, "uri": f"data:{TYPES[Path(name).suffix]};base64,{base64.b64encode(data).decode()}"}


def save_tile(renderer: Renderer, query: str, scale: int = 8) -> dict[str, str]:
    """The download of one image of a grid, enlarged. Raises ResGenError."""
    recipe = read_query(query)
    assert isinstance(recipe, Recipe)
    caption = renderer.plate(recipe).captions[0]
    name = "-".join(caption.replace(",", "").replace("seed ", "seed").split())
    return download(f"{name}.png", renderer.png(replace(recipe, scale=scale)))
