"""The values that are sent for a function of the page: checked before Gradio and the function take them, forgotten once it is answered.

A page calls its functions by their numbers, and so may anyone who speaks as a page does: there is no secret in a page. So nothing that a
function is sent is taken on trust.
"""

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like

from resgen.errors import RecipeError, ResGenError
from resgen.studio.gradio_patches import put_in_place
from resgen.studio.page import message

FARTHEST = 2.0**63  # of a number, either way


class _Nowhere(dict[int, dict[str, Any]]):
    """Where a visitor's values go: every component is there, nothing is kept of it, so nothing is worked out to be kept."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: int) -> dict[str, Any]:
        return {}

    def __setitem__(self, key: int, value: dict[str, Any]) -> None:
        pass


NOWHERE = _Nowhere()


def check_values(demo: gr.Blocks) -> None:
    """Answer in a sentence what is no value of a component, and keep nothing of what was.

    Gradio takes any value where it does not prepare it, loads what a file's address names, prints a traceback where it cannot prepare one, and
    keeps the latest value of every component for ten thousand sessions, which takes half of the time that an event costs.
    """
    blocks: Any = demo
    prepare, process = blocks.preprocess_data, blocks.process_api

    async def prepare_checked(function: Any, values: Any, *more: Any) -> Any:
        try:
            _check(function, values)
            return await prepare(function, values, *more)
        except ResGenError as error:
            raise message(error, function.name) from error
        except Exception as error:
            raise message(RecipeError("These are not the values that this takes; load the page again."), function.name) from error

    async def process_unkept(*words: Any, **more: Any) -> Any:
        if state := more.get("state"):
            state.config_values, state.blocks_config.config_for_block = NOWHERE, lambda *_: {}
        return await process(*words, **more)

    put_in_place(blocks, "preprocess_data", prepare_checked)
    put_in_place(blocks, "process_api", process_unkept)


def _check(function: Any, values: Sequence[Any]) -> None:
    """Raise RecipeError where a value is none of its component, or a file that is not on this server."""
    if any(is_http_url_like(file["path"]) for file in _files(values)):
        raise RecipeError("Nothing is loaded from an address here: send the file itself.")
    parameters = [*signature(function.fn).parameters]
    for place, (component, value) in enumerate(zip(function.inputs, values, strict=False)):
        words, fits = _kind(component)
        if not fits(value):
            name = parameters[place] if isinstance(component, Api) else component.label or "A value"
            raise RecipeError(f"{name}: this must be {words}.")


def _files(value: Any) -> Iterator[dict[str, Any]]:
    """All that Gradio takes for a file in a value."""
    if is_file_obj_with_meta(value):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _files(part)


Kind = tuple[str, Callable[[Any], bool]]


def _kind(component: Any) -> Kind:
    """What a component's values are, in words and as a check; parts of the page whose values are made of others check them when they read them."""
    if isinstance(component, Api):
        return ENDPOINT.get(component.api_info().get("type", ""), ANYTHING)
    if isinstance(component, gr.Radio):
        return ONE_OF, lambda value: value in [choice for _, choice in component.choices]
    if isinstance(component, gr.CheckboxGroup) or getattr(component, "multiselect", False):
        return CHOICES
    return next((kind for of, kind in CONTROLS.items() if isinstance(component, of)), ANYTHING)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -FARTHEST < value < FARTHEST  # which no nan is


def _is_choice(value: Any) -> bool:
    return value is None or isinstance(value, str) or _is_number(value)


ONE_OF = "one of the choices"
ANYTHING: Kind = ("", lambda _: True)
NUMBER: Kind = ("a number", _is_number)
SWITCH: Kind = ("true or false", lambda value: isinstance(value, bool))
WORDS: Kind = ("text", lambda value: isinstance(value, str))
FILE: Kind = ("a file that was sent", lambda value: value is None or is_file_obj_with_meta(value))  # of an address in its place Gradio makes a file
CONTROLS: dict[Any, Kind] = {
    gr.File: FILE,
    gr.Image: FILE,
    gr.UploadButton: FILE,
    gr.Slider: NUMBER,
    gr.Checkbox: SWITCH,
    gr.Textbox: WORDS,
    gr.Dropdown: (ONE_OF, _is_choice),
}
CHOICES: Kind = ("a list of choices", lambda value: value is None or (isinstance(value, list) and all(map(_is_choice, value))))
ENDPOINT: dict[str, Kind] = {
    "string": WORDS,
    "number": NUMBER,
    "integer": ("a whole number", lambda value: _is_number(value) and isinstance(value, int)),
    "boolean": SWITCH,
}
