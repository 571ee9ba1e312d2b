"""What every screen is made of: the grid, the player and pin lists in the page, downloads, long work, and errors shown as one message."""

import base64
import html
import inspect
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Protocol, TypeVar

import gradio as gr
from gradio.utils import get_upload_folder, is_in_or_equal

from resgen.budget import MAX_STOPS
from resgen.composite import AnyRecipe, read_dict, read_query
from resgen.errors import DataError, RecipeError, ResGenError
from resgen.fields import Declared, Dial, declaration, limits
from resgen.recipe import AMOUNT_DIAL, GAIN_DIAL, PLANE_HEIGHT, PLANE_WIDTH, STEP_DIAL, Recipe, enlargement, parse_seeds
from resgen.studio.log import note_failure, note_refusal
from resgen.studio.renderer import Renderer, data_uri, media_type, thumbnail
from resgen.work import Work

STATIC = Path(__file__).parent / "static"
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LAST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}  # of what a hand may do again before an answer comes, the last counts
# Values as the page has them: a screen checks them itself, and Gradio would refuse those that are between two recipes, such as
# a class of the generator before.
RAW: dict[str, Any] = {**QUIET, "preprocess": False}
# Lines of requests, and how many of each are under way; who draws when is the business of `Turns`.
RENDER: dict[str, Any] = {"concurrency_limit": 8, "concurrency_id": "render"}
LONG: dict[str, Any] = {"concurrency_limit": 3, "concurrency_id": "slow"}
LIVE: dict[str, Any] = {**RAW, "trigger_mode": "always_last", **RENDER}
BESIDE: dict[str, Any] = {**LAST, "concurrency_limit": 3, "concurrency_id": "beside"}  # what hangs on a picture
SLOW: dict[str, Any] = {**QUIET, **LONG}
GRID = ("view", "fit", "keys", "sheet", "tiles", "closeup", "waits", "marks", "before", "wander")  # scripts that a grid begins with
ASK: Any = object()  # what `write` gives a grid or player that is to be drawn, once all that is written with it is in the page
SAVED_SIDE = 2048  # pixels up to which a single image is enlarged, eight times at most
UNDER_WAY, OVER = (gr.update(interactive=is_on) for is_on in (True, False))  # of a button that cancels
TOLD_EVERY = 0.25  # seconds between two words of long work; it ends at such a moment when it is cancelled

POINTS_HELP = "Such as 3,7 or 10-12; @ and a class behind one chooses it. Press Enter."  # of a box for `read_points`

UNREAD = "A pinned image cannot be read; remove it and pin it again."

PIN = ("pin", "Pin", "Keep this image for the other screens; key P")
OPEN = ("open", "Open in Explore", "Go on with this image: turn it, vary it")
VARY = ("vary", "Make variations", "Images that differ a little from this one")
MORE = ("more", "More", "Mark as having more of what your own direction shall mean")
LESS = ("less", "Less", "Mark as having less of it")
SAVE = ("save", "Save image", "A PNG that remembers how it was made")

NARROW = "(max-width: 768px), (max-width: 1000px) and (orientation: portrait)"  # a phone, or a tablet held upright; studio.css says it too
_PLANE: dict[str, Any] = {"width": PLANE_WIDTH, "height": PLANE_HEIGHT, "low": STEP_DIAL.low, "high": STEP_DIAL.high}

Values = dict[Any, Any]  # of components, by component
Updates = dict[Any, Any]
T = TypeVar("T")


class Screen(Protocol):
    """A screen shows a recipe and is read as one: ``read(write(recipe)) == recipe``, also where its controls can't show all of it.

    What they can't show is in ``kept``, the recipe last written: a control counts only once it shows something else than that.
    """

    kept: gr.JSON
    view: gr.HTML  # the grid or player that draws the recipe when `write` asks it to

    @property
    def inputs(self) -> set[Any]:
        """What `read` is given the values of, ``kept`` among them."""
        ...

    def read(self, values: Values) -> AnyRecipe | None:
        """The recipe that the controls show, None where there is none yet. Raises RecipeError."""
        ...

    def write(self, recipe: Any) -> Updates:
        """What makes the controls show a recipe. Raises ResGenError."""
        ...


def last_written(screen: Screen, values: Values) -> AnyRecipe | None:
    """The recipe last written to a screen, as the page tells it; None before there is one. Raises RecipeError."""
    return read_dict(values[screen.kept]) if values[screen.kept] else None


# Events.


def friendly(function: Callable[..., Any], shown: Callable[[str], str] = html.escape) -> Any:
    """Show an error as one message in the page; what is on screen stays. What nobody but a programmer can mend stands in the log alone.

    ``shown``: how words of strangers are written; a page takes them for HTML.
    """
    where = getattr(function, "__qualname__", "")

    @wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise message(error, where, shown) from error

    @wraps(function)
    def guarded_steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from function(*args, **kwargs)
        except Exception as error:
            raise message(error, where, shown) from error

    return guarded_steps if inspect.isgeneratorfunction(function) else guarded


def message(error: Exception, where: str, shown: Callable[[str], str] = html.escape) -> gr.Error:
    """What is shown of an error; it is noted in the log."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, ResGenError):
        note_refusal(where, error)
        words = str(error)
    else:
        words = f"Something is wrong with the studio itself; whoever runs it finds this as request {note_failure(where, error)} in the log."
    return gr.Error(shown(words), title="That did not work", print_exception=False)


def details_of(event: gr.EventData) -> dict[str, Any]:
    """What the page tells beside an event, by name; nothing where it is no table."""
    return event._data if isinstance(event._data, dict) else {}


def warn(words: str) -> None:
    """Show a message that may hold words from outside."""
    gr.Warning(html.escape(words))


def inform(words: str) -> None:
    """The same, where nothing is amiss."""
    gr.Info(html.escape(words))


def uploaded(file: Any, otherwise: str) -> Path:
    """The file that a visitor has sent, as the page names it. Raises DataError, ``otherwise`` where it names none.

    What was cleared since, or sent to another process, is not here, nor is whatever else on the server it may name. Gradio's own way to a file leaves
    another one, empty, at each event.
    """
    path = file.get("path") if isinstance(file, dict) else getattr(file, "path", None)
    if not isinstance(path, str):
        raise DataError(otherwise)
    if not os.path.isfile(path) or not is_in_or_equal(path, get_upload_folder()):  # in this order: a name that cannot be is no file
        raise DataError("What was sent is not here any more: send it again.")
    return Path(path)


def one_image(query: Any, otherwise: str = "This is not one image.") -> Recipe:
    """The recipe of an image that the page tells of by its query. Raises RecipeError, ``otherwise`` where it is none, or more than one."""
    recipe = read_query(query) if isinstance(query, str) else None
    if not isinstance(recipe, Recipe) or recipe.count != 1:
        raise RecipeError(otherwise)
    return recipe


def seeds_in(text: str) -> tuple[int, ...] | None:
    """The seeds that a box says; None where they can't be read, as while they are typed."""
    try:
        return parse_seeds(text)
    except RecipeError:
        return None


def listen(view: gr.HTML, event: str, change: Callable[[dict[str, Any]], Any], outputs: Any, **options: Any) -> Any:
    """At an event of a `grid`, call ``change`` with what was told last with it.

    One that comes while another is under way is sent again by Gradio, but with what was told with the first; so the page is asked for the last.
    """
    details = gr.JSON(visible=False)
    script = f"() => [document.querySelector('#{view.elem_id} .rg-view').told.{event}]"
    return getattr(view, event)(friendly(_of_table(change)), details, outputs, js=script, **{**LAST, **options})


def _of_table(change: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    return wraps(change)(lambda details: change(details if isinstance(details, dict) else {}))


def redraw(screen: Screen, triggers: Iterable[Any], view_of: Callable[[Any], Any]) -> None:
    """Show ``view_of`` a screen's recipe, where it has one, at each of ``triggers``, and whenever `write` asks for it.

    All of them are one event, of which one is under way and the last one waits: pictures come in the order in which they were
    asked for, and the last one shows what the controls say.
    """

    def draw(values: Values) -> Any:
        recipe = screen.read(values)
        return None if recipe is None else view_of(recipe)

    gr.on([*triggers, screen.view.submit], friendly(draw), set(screen.inputs), screen.view, **LIVE)


def rewrite(event: Any, change: Callable[..., Updates], inputs: Any, outputs: set[Any], **options: Any) -> Any:
    """At ``event``, write what ``change`` makes of ``inputs``; then the grids and players that are given `ASK` are drawn.

    That is told beside their value, which a picture under way may replace at any moment. An event that comes while another is under way waits and
    is made of what the page says then; of more, the last one. One that a listener is told something with can't wait, since it would be told that
    of the first: it is dropped. So is one that waits for another which is refused. Returns the last of the events.
    """
    asked = gr.JSON(visible=False)

    @wraps(change)
    def split(*arguments: Any, **more: Any) -> Updates:
        updates = change(*arguments, **more)
        views = [view.elem_id for view, update in updates.items() if update is ASK]
        return {control: update for control, update in updates.items() if update is not ASK} | {asked: views}

    once = any(parameter.annotation is gr.EventData for parameter in inspect.signature(change).parameters.values())
    mode = {"trigger_mode": "once" if once else "always_last"}
    written = event(writing(split, outputs), inputs, outputs | {asked}, **{**RAW, **mode, **options})
    return written.success(None, asked, None, js=_ask())


def _ask() -> str:
    return (STATIC / "ask.js").read_text(encoding="utf-8")


def refocus(event: Any, selector: str) -> None:
    """After ``event``, focus a part of the page where what had the keyboard's focus is gone with it."""
    event.then(None, None, None, js=f"() => ({(STATIC / 'refocus.js').read_text(encoding='utf-8')})({json.dumps(selector)})")


def draw_at(screen: Screen, triggers: Iterable[Any]) -> None:
    """Have a screen drawn at ``triggers``, changes that come from a hand or from `write` alike; what comes together is drawn once."""
    for trigger in triggers:
        trigger(None, None, None, js=f"() => ({_ask()})(['{screen.view.elem_id}'])")


def writing(change: Callable[..., Updates], outputs: set[Any]) -> Any:
    """``change`` as a listener that sets only what is not as it should be already: who moved a control meanwhile keeps what they did."""

    @wraps(change)
    def write(*arguments: Any, **more: Any) -> Updates:
        updates = change(*arguments, **more)
        values = arguments[0] if arguments and isinstance(arguments[0], dict) else {}
        needed = {control: _without(update, values[control]) if control in values else update for control, update in updates.items()}
        return {control: update for control, update in needed.items() if update is not None} or {next(iter(outputs)): gr.skip()}

    return friendly(write)


def _without(update: Any, value: Any) -> Any:
    """``update`` without the value that the component has; None where that was all."""
    if not (isinstance(update, dict) and update.get("__type__") == "update"):
        return None if update == value else update
    return {key: part for key, part in update.items() if key != "value" or part != value}


def watched(work: Work[T], words: str) -> Iterator[str | T]:
    """Long work as words for the page, now and then, and at last its result, or that there is none. Closing this ends the work."""
    told = 0.0
    try:
        while True:
            done, total = next(work)
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                yield f"{words}: {done} of {total}"
    except StopIteration as end:
        yield end.value
    except Exception:
        yield "Not finished."
        raise
    finally:
        work.close()


def cancelling(button: gr.Button, begin: gr.Button, works: Sequence[Any], words: gr.HTML | gr.Markdown) -> None:
    """Let ``button`` end ``works``, events of listeners that make steps, and say so; the keyboard goes on from ``begin``.

    It is on while one is under way: each step tells `UNDER_WAY`, and what begins one does by `switch`, before the server has heard of it.
    """
    for work in works:
        for end in (work.then, work.failure):  # of what has failed `then` is not told
            switch(end, button, OVER)
    refocus(button.click(None, cancels=list(works)).then(lambda: "Cancelled.", None, words, **QUIET), f"#{begin.elem_id}")


def switch(event: Any, button: gr.Button, to: dict[str, Any]) -> None:
    """At ``event`` make a button that cancels `UNDER_WAY`, or `OVER`, in the page itself. Of one event this is the first listener: each waits for those
    before it to end."""
    event(None, None, button, js=f"() => ({json.dumps(to)})")


# Components.


def slider(of: type[Declared], name: str, **more: Any) -> gr.Slider:
    """The slider of a declared number: limits, step, label and help as declared."""
    field, reach = of.model_fields[name], _reach(of, name)
    return gr.Slider(reach["low"], reach["high"], field.default, step=reach["step"], **{"label": field.title, "info": field.description, **more})


def _reach(of: type[Declared], name: str) -> dict[str, float]:
    """The ends and the step of the dial of a declared number: where it has no ends of its own, the number's limits."""
    dial, (low, high) = declaration(of, name, Dial), limits(of, name)
    return {"low": low if dial.low is None else dial.low, "high": high if dial.high is None else dial.high, "step": dial.step}


def dialled(recipe: Declared, name: str) -> float:
    """What the slider of a declared number shows of a recipe's."""
    return nearest_step(**_reach(type(recipe), name), value=getattr(recipe, name))


def on_dial(dial: Dial, value: float) -> float:
    """What a slider with ends of its own shows of a value."""
    return nearest_step(**_dial_words(dial), value=value)


def nearest_step(low: float, high: float, step: float, value: float) -> float:
    """The nearest of a slider's steps within its reach."""
    return round(max(low, min(high, round(value / step) * step)), 6)


def component(name: str, elem_id: str, value: Any = None, begins: Sequence[str] = (), **words: str | float) -> gr.HTML:
    """A component of ``static``: NAME.html, in which {{word}} stands for each of ``words``, and NAME.js after the scripts ``begins``."""
    template = (STATIC / f"{name}.html").read_text(encoding="utf-8")
    for word, text in words.items():
        template = template.replace("{{" + word + "}}", html.escape(str(text)))
    script = "".join((STATIC / f"{part}.js").read_text(encoding="utf-8") for part in (*begins, name))
    return gr.HTML(value, html_template=template, js_on_load=script, apply_default_css=False, elem_id=elem_id)


def grid(elem_id: str, waiting: str, actions: Sequence[tuple[str, str, str]], wanders: bool = False) -> gr.HTML:
    """A grid of images whose value is `Renderer.view`; the page's address follows it. `select` tells an action and the query of its
    image, `download` that of one to be saved, `input` the chosen one (else the first), `expand` another such image whatever is turned, `submit` asks
    to be drawn, `undo` for the same images before anything was turned.

    ``wanders``: dragging it moves the window of the seed plane.
    """
    words = {"waiting": waiting, "actions": json.dumps(actions), "wanders": "yes" if wanders else "", "narrow": NARROW, **_PLANE}
    return component("grid", elem_id, begins=GRID, **words)


def player(elem_id: str, waiting: str) -> gr.HTML:
    """Plays a film whose value is `Renderer.film_view`; `submit` asks to be drawn."""
    return component("player", elem_id, begins=("view",), waiting=waiting)


def pin_list(elem_id: str, heading: str, hint: str, tray: bool = False, ordered: bool = False) -> gr.HTML:
    """A list of pinned images, its value a list of {query, caption, thumbnail}; `select` tells which one is clicked.

    ``tray``: it collects what is pinned anywhere; ``ordered``: its images can be moved to another place.
    """
    kinds = {"tray": "yes" if tray else "", "ordered": "yes" if ordered else ""}
    return component("pins", elem_id, [], ("common",), heading=heading, hint=hint, most=MAX_STOPS, **kinds)


def dial(elem_id: str, of: type[Declared], name: str) -> gr.HTML:
    """A dial of a declared number, as `slider`; `input` comes while it moves, `release` when it is let go."""
    field = of.model_fields[name]
    words = {"label": str(field.title), "help": str(field.description), "field": name, "rest": field.default}
    return component("slider", elem_id, field.default, ("dial",), **words, **_reach(of, name))


def plane(elem_id: str) -> gr.HTML:
    """The window of the seed plane, [x, y, step] or None; `input` comes while it moves, `release` when it rests."""
    return component("plane", elem_id, begins=("fit", "dial", "keys"), step=STEP_DIAL.step, **_PLANE)


def directions(elem_id: str, first: int, ends: float) -> gr.HTML:
    """A dial for each direction, its value a `DirectionsView`; ``first`` are shown at once, each between pictures of its two ``ends``. `input`
    comes while a dial moves, `release` when it rests, `select` tells that a direction shall be a strip, or be removed."""
    return component("directions", elem_id, {}, ("view", "dial"), first=first, ends=ends, **_dial_words(AMOUNT_DIAL))


def blocks(elem_id: str) -> gr.HTML:
    """The strip of residual blocks, its value a `BlocksView`; events as those of `directions`."""
    return component("blocks", elem_id, {}, ("view", "dial"), **_dial_words(GAIN_DIAL))


def generators(elem_id: str, names: Sequence[str]) -> gr.HTML:
    """A generator chosen by its picture, its value a name; `input` when it is chosen."""
    return component("generators", elem_id, next(iter(names), None), ("keys",), names=json.dumps(names))


def tell(elem_id: str, event: str) -> gr.HTML:
    """Hands its value on to the rest of the page as an event."""
    return component("tell", elem_id, event=event)


def draws_here(elem_id: str) -> gr.HTML:
    """What draws in the page while a hand turns a dial, and the switch for it, which stands beside a grid's status."""
    return component("here", elem_id, begins=("common", "view", "worth"), width=PLANE_WIDTH, height=PLANE_HEIGHT)


def _dial_words(dial: Dial) -> dict[str, float]:
    assert dial.low is not None and dial.high is not None
    return {"low": dial.low, "high": dial.high, "step": dial.step}


def address(elem_id: str) -> gr.HTML:
    """Keeps the browser's history of what was on screen; `select` when Back or Forward has gone to another link."""
    return component("address", elem_id, "", ("common",))


def make_pins(renderer: Renderer, recipes: Sequence[Recipe]) -> list[dict[str, str]]:
    """Pins of recipes of one image each, of one checkpoint. Raises ResGenError."""
    drawn = renderer.single_images(recipes)
    return [
        {"query": recipe.to_query(), "caption": caption, "thumbnail": data_uri(thumbnail(image))}
        for recipe, (caption, image) in zip(recipes, drawn, strict=True)
    ]


def pinned(value: Any) -> tuple[Recipe, ...]:
    """The recipes in a pin list's value, which came from a browser. Raises RecipeError."""
    return tuple(one_image(pin.get("query") if isinstance(pin, dict) else None, UNREAD) for pin in _pins(value))


def _pins(value: Any) -> list[Any]:
    """The pins of a pin list's value. Raises RecipeError where it is none."""
    if value and not isinstance(value, list):
        raise RecipeError(UNREAD)
    return value or []


def as_pins(value: Any, least: int = 0, words: str = "") -> list[Any]:
    """A pin list's value for another one, whose images come from one generator: that of the first. Raises RecipeError where it is none, and with
    ``words`` where that are fewer than the ``least`` that are needed.
    """
    images = pinned(value)
    ours = [pin for pin, image in zip(_pins(value), images, strict=True) if image.checkpoint == images[0].checkpoint]
    if len(ours) < len(images):
        warn(f"{len(images) - len(ours)} pinned images of other generators than {images[0].checkpoint} are left out.")
    if len(ours) < least:
        raise RecipeError(words)
    return ours


# Files to keep.


def offer(event: Any, make: Callable[..., Any], inputs: Any, file: gr.JSON) -> None:
    """At ``event``, hand the file that ``make`` makes of ``inputs`` to the browser; none where it makes None."""
    made = event(friendly(make), inputs, file, **RAW, trigger_mode="multiple")  # a second one is not dropped while the first is made
    made.success(None, file, js=(STATIC / "download.js").read_text(encoding="utf-8"))


def download(name: str, data: bytes) -> dict[str, str]:
    """A file for the browser as a data URI: nothing is left on the server's disk."""
    return {"name": name, "uri": f"data:{media_type(name)};base64,{base64.b64encode(data).decode()}"}


def offer_images(renderer: Renderer, view: gr.HTML, file: gr.JSON) -> None:
    """Hand one image of a grid, enlarged, to the browser where its button to save is pressed."""

    def save(event: gr.EventData) -> dict[str, str]:
        recipe = one_image(details_of(event).get("tile"), "This image cannot be saved alone.")
        scale = min(8, enlargement(SAVED_SIDE, renderer.library.card(recipe.checkpoint).arch.resolution))
        return download(renderer.file_name(recipe), renderer.png(recipe.changed(scale=scale)))

    offer(view.download, save, None, file)
