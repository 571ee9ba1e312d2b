"""The Explore screen: a live grid of images and everything that changes it."""

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import gradio as gr

from resgen.budget import USUAL_KEPT, USUAL_MANY
from resgen.composite import AnatomyOf, read_query
from resgen.curate import ORDERS, curate, seek_direction
from resgen.errors import RecipeError, ResGenError
from resgen.recipe import MAX_SEED, Recipe, enlargement, format_seeds, parse_seeds
from resgen.studio.controls import ENDS, TILE, Controls, Kept
from resgen.studio.log import note_refusal
from resgen.studio.page import (
    ASK,
    BESIDE,
    LESS,
    MORE,
    PIN,
    RAW,
    SAVE,
    SLOW,
    STATIC,
    UNDER_WAY,
    VARY,
    Updates,
    Values,
    cancelling,
    details_of,
    download,
    draw_at,
    friendly,
    grid,
    listen,
    offer,
    offer_images,
    one_image,
    redraw,
    refocus,
    rewrite,
    switch,
    tell,
    warn,
    watched,
)  # fmt: skip
from resgen.studio.renderer import GridView, Renderer
from resgen.work import finish

FIRST = {"seeds": tuple(range(24)), "columns": 6}  # what an opened page shows
FIRST_NARROW = {"seeds": tuple(range(16)), "columns": 4}  # on a phone: large enough for a thumb
ROW_SEEDS = 10  # of a row of each class
SWEEP_SEEDS, SWEEP_COLUMNS = 6, 7
MOST_MARKED = 256  # images as More, or as Less, of a direction


class Explore:
    """Builds the screen inside an open `gr.Blocks`, and connects it."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer, self.library = renderer, renderer.library
        self._answers = count()
        self.controls = Controls(self.library)
        with gr.Row(elem_id="workbench"):
            with gr.Column(elem_id="picture"):
                self.view = grid("grid", "Loading the first images ...", (PIN, VARY, MORE, LESS, SAVE), wanders=True)
                with gr.Row(elem_id="actions"):
                    self.undo = gr.Button("Undo", size="sm", min_width=60, elem_id="undo")
                    self.redo = gr.Button("Redo", size="sm", min_width=60, elem_id="redo")
                    gr.Button("Before", size="sm", min_width=60, elem_id="before")  # held, it counts in the page alone
                    self.reset = gr.Button("Reset", size="sm", min_width=60, elem_id="reset")
                    self.copy_link = gr.Button("Copy link", size="sm", min_width=60, elem_id="copy-link")
                    self.download_png = gr.Button("Save PNG", size="sm", min_width=60, elem_id="download-png")
                    self.download_zip = gr.Button("Save zip", size="sm", min_width=60, elem_id="download-zip")
                self.controls.build_blocks()
            with gr.Column(elem_id="controls"):
                self.controls.build()
                self._build_curating()
        self.kept = self.controls.kept
        self.file = gr.JSON(visible=False)
        self.refused = gr.JSON([], visible=False)  # the text of the seeds that were refused last
        self.narrow = gr.Checkbox(False, visible=False)  # whether the page is as narrow as a phone
        self.marked = gr.JSON({"more": [], "less": []}, visible=False)
        self.anatomy = tell("anatomy", "resgen-anatomy")
        self.ends = tell("ends", "resgen-ends")
        self.original = tell("original", "resgen-before")
        self.samples = tell("samples", "resgen-samples")

    def _build_curating(self) -> None:
        most = self.renderer.budget.candidates
        step = min(50, most)
        with gr.Accordion("Draw many, keep the best", open=False, elem_id="curating-fold") as self.curating_fold:
            self.order = gr.Radio(
                list(ORDERS), value=next(iter(ORDERS)), label="Best first by", info="A classifier looks at every image.", elem_id="order"
            )
            self.many = gr.Slider(step, most, min(USUAL_MANY, most), step=step, label="Draw", info="How many seeds to look at.", elem_id="many")
            self.keep = gr.Slider(1, 100, USUAL_KEPT, step=1, label="Keep", info="How many of them to show.")
            with gr.Row():
                self.curate = gr.Button("Keep the best", size="sm", elem_id="curate")
                self.cancel = gr.Button("Cancel", size="sm", min_width=60, interactive=False, elem_id="cancel-curate")
            self.curating = gr.HTML(elem_id="curating", elem_classes="rg-told")
            self.found = gr.JSON(visible=False)

    # The contract of a screen.

    @property
    def inputs(self) -> set[Any]:
        return self.controls.inputs

    @property
    def outputs(self) -> set[Any]:
        """What `write` sets."""
        return self.controls.outputs | {self.view, self.curating_fold}

    def read(self, values: Values) -> Recipe:
        """The recipe that the controls show; seeds that make more images than are drawn count as little as those that can't be read. Raises RecipeError."""
        recipe = self.controls.read(values)
        if recipe.count <= self.renderer.budget.images:
            return recipe
        seeds = Kept.from_json(values[self.kept]).recipe.seeds
        return recipe if recipe.seeds == seeds else self.controls.read(values | {self.controls.seeds: format_seeds(seeds)})

    def check_seeds(self, values: Values) -> Iterator[list[str]]:
        """Say what is wrong with the seeds that were typed, and keep which were refused. Raises RecipeError."""
        text = values[self.controls.seeds]
        yield [text]
        parse_seeds(text)
        self.renderer.budget.check("images", self.controls.read(values).count)
        yield []

    def check_left_seeds(self, values: Values) -> Iterator[Any]:
        """The same where the box is left, but for seeds that were refused last. Raises RecipeError."""
        if [values[self.controls.seeds]] == values[self.refused]:
            yield gr.skip()
        else:
            yield from self.check_seeds(values)

    def write(self, recipe: Recipe, before: tuple[str, ...] = ()) -> Updates:
        """What makes the screen show a recipe; ``before`` are the queries to go back to from variations and a strip. Raises ResGenError."""
        self.renderer.check(recipe)  # what can't be drawn is refused before anything changes
        judged = gr.update(visible=self.library.has_classifier(recipe.checkpoint))
        return self.controls.write(Kept(recipe, before)) | {self.view: ASK, self.curating_fold: judged}

    def _before(self, values: Values) -> tuple[str, ...]:
        """The queries to go back to, where a change goes neither further nor back."""
        return Kept.from_json(values[self.kept]).before

    # Events.

    def connect(self) -> None:
        """Attach every listener."""
        c = self.controls
        redraw(self, c.live, self.draw)
        self._on(c.checkpoint.input, self.change_checkpoint)
        self._on(c.plane.release, self.rest)
        self._on(partial(gr.on, [c.seeds.submit, c.seeds.blur]), self.change_seeds)
        self._on(c.mixed.input, self.change_mixed)
        self._on(c.directions.select, self.change_directions)
        c.mixed.change(friendly(self.dress_classes), {c.class_mode, c.mixed}, [c.one_class, c.row_classes, c.mixed, *c.shares], **RAW)
        self._on(c.class_mode.input, self.change_classes)
        draw_at(self, [c.row_classes.change, c.mixed.change])
        c.seeds.submit(friendly(self.check_seeds), self.inputs, self.refused, **RAW)
        c.seeds.blur(friendly(self.check_left_seeds), self.inputs | {self.refused}, self.refused, **RAW)
        for button, move in ((c.previous, -1), (c.next, 1), (c.random, 0)):
            self._on(button.click, self.move_seeds(move))
        self._on(self.reset.click, self.start_over)
        for button, leave in ((c.leave_variations, self.leave_variations), (c.leave_latents, self.leave_latents)):
            refocus(self._on(button.click, leave), "#random")
        self._connect_images()
        self.undo.click(None, js="() => history.back()")
        self.redo.click(None, js="() => history.forward()")
        self.copy_link.click(None, js=(STATIC / "copy.js").read_text(encoding="utf-8"))
        offer(self.download_png.click, self.make_png, self.inputs, self.file)
        offer(self.download_zip.click, self.make_zip, self.inputs, self.file)
        switch(self.curate.click, self.cancel, UNDER_WAY)
        curating = self.curate.click(
            friendly(self.find_best),
            {self.order, self.many, self.keep, *self.inputs},
            [self.found, self.curating, self.cancel],
            **SLOW,
            preprocess=False,
        )
        cancelling(self.cancel, self.curate, [curating], self.curating)
        rewrite(curating.success, self.open_found, self.found, self.outputs)

    def draw(self, recipe: Recipe) -> dict[str, Any]:
        """The view of a recipe, as an answer of its own: Gradio tells of no value twice, and what was on screen already may be painted over by a hand."""
        return {**self.renderer.view(recipe), "answer": next(self._answers)}

    def _on(self, event: Any, change: Any, more: set[Any] | None = None) -> Any:
        """At ``event``, show the recipe that ``change`` makes of what the controls show. Returns the last event of it."""
        return rewrite(event, change, self.inputs | {self.narrow} | (more or set()), self.outputs)

    def _connect_images(self) -> None:
        c = self.controls
        self._on(self.view.select, self.vary)
        offer_images(self.renderer, self.view, self.file)
        listen(self.view, "input", self.show_anatomy, self.anatomy, **BESIDE)
        listen(self.view, "expand", self.show_ends, self.ends, **BESIDE)
        self.view.undo(friendly(self.show_original), self.inputs, self.original, **BESIDE, preprocess=False)
        listen(self.view, "like", self.count_marks, [self.marked, c.marks])
        c.clear_marks.click(None, None, None, js="() => window.dispatchEvent(new CustomEvent('resgen-clear-marks'))")
        self._on(c.make_own.click, self.make_own, {self.marked, c.own_name})

    def first_picture(self, name: str = "", narrow: bool = False) -> Recipe:
        """What is shown at first of a checkpoint, or of the best. Raises ResGenError where there is none."""
        if not name:
            return self.renderer.costs.opening(partial(self.first_picture, narrow=narrow))
        return self.renderer.costs.fitted(Recipe(checkpoint=name, **self._first(narrow), scale=self._scale(name)))

    @staticmethod
    def _first(narrow: Any) -> dict[str, Any]:
        return FIRST_NARROW if narrow else FIRST

    def _scale(self, name: str) -> int:
        return enlargement(TILE, self.library.card(name).arch.resolution)

    def change_checkpoint(self, values: Values) -> Updates:
        """Another generator, with the seeds, truncation and layout there are, of the seeds as many as may be drawn; one that can't be drawn with is not kept."""
        try:
            return self.write(self.renderer.costs.fitted(self.read(values)))
        except ResGenError as error:
            note_refusal("change_checkpoint", error)
            warn(str(error))
            return {self.controls.checkpoint: Kept.from_json(values[self.kept]).recipe.checkpoint}

    def rest(self, values: Values) -> Updates:
        """The seed plane was entered or left, and the hand is still: the controls of seeds go or come."""
        return self._write_changed(values, lambda recipe: recipe.plane is None)

    def change_seeds(self, values: Values) -> Updates:
        """Other seeds were typed: what was turned of single images is not theirs."""
        return self._write_changed(values, lambda recipe: recipe.seeds)

    def _write_changed(self, values: Values, what: Callable[[Recipe], object]) -> Updates:
        """The controls written anew where ``what`` they show of a recipe has changed."""
        recipe, kept = self.read(values), Kept.from_json(values[self.kept])
        return {} if what(recipe) == what(kept.recipe) else self.write(recipe, kept.before)

    def change_mixed(self, values: Values) -> Updates:
        """Other classes are mixed: each keeps its share, whichever slider it gets. None is on the way to others."""
        if not values[self.controls.mixed]:
            return {}
        return self.write(self.read(values), self._before(values))

    def change_directions(self, values: Values, event: gr.EventData) -> Updates:
        """To and from a strip, or without one of the user's own directions."""
        recipe, name, kept = self.read(values), details_of(event).get("name"), Kept.from_json(values[self.kept])
        if details_of(event).get("action") == "remove":
            return self.write(_without_own(recipe, name), kept.before)
        if not name:
            return self.write(self._after_strip(recipe.changed(sweep=""), kept.last, values[self.narrow]), kept.before[:-1])
        seeds, classes = recipe.seeds[:SWEEP_SEEDS], recipe.classes[:1]
        strip = recipe.changed(sweep=name, columns=SWEEP_COLUMNS, seeds=seeds, classes=classes, plane=None, plane_rows=0, edits=())
        return self.write(strip, kept.before if kept.recipe.sweep else (*kept.before, recipe.to_query()))

    def _after_strip(self, recipe: Recipe, found: Recipe | None, narrow: Any) -> Recipe:
        """The images ``found`` before a strip of some of them, turned as they are now; those of the strip where it went on to others."""
        if found is None or found.seeds[:SWEEP_SEEDS] != recipe.seeds:
            return recipe.changed(columns=self._first(narrow)["columns"])
        edits = found.edits if found.plane else tuple((dict(found.edits) | dict(recipe.edits)).items())  # the plane's images are others
        classes = found.classes if found.classes[:1] == recipe.classes else recipe.classes
        return recipe.changed(seeds=found.seeds, columns=found.columns, classes=classes, plane=found.plane, plane_rows=found.plane_rows, edits=edits)

    def change_classes(self, values: Values) -> Updates:
        """Another way to choose classes; rows of them are of few seeds at first."""
        recipe = self.read(values)
        few = recipe.seeds[:ROW_SEEDS] if len(recipe.classes) > 1 else recipe.seeds
        return self.write(recipe.changed(seeds=few, edits=recipe.edits if few == recipe.seeds else ()), self._before(values))

    def dress_classes(self, values: Values) -> Updates:
        c = self.controls
        dressed = c.dress_classes(values[c.class_mode], values[c.mixed])
        return {control: gr.update(**more) for control, more in dressed.items()}

    def move_seeds(self, direction: int) -> Any:
        """A listener that steps to the next (1) or previous (-1) seeds, or to random ones (0)."""

        def move(values: Values) -> Updates:
            recipe = self.read(values)
            count = len(recipe.seeds)
            start = secrets.randbelow(1_000_000) if direction == 0 else recipe.seeds[0] + direction * count
            start = min(max(0, start), MAX_SEED - count)
            return self.write(recipe.changed(seeds=tuple(range(start, start + count)), edits=()), self._before(values))

        return move

    def start_over(self, values: Values) -> Updates:
        return self.write(self.first_picture(values[self.controls.checkpoint], values[self.narrow]))

    def vary(self, values: Values, event: gr.EventData) -> Updates:
        """Variations of an image, which may be a variation itself."""
        if details_of(event).get("action") != "vary":
            return {}
        target, now = one_image(details_of(event).get("tile")), self.read(values)
        if target.latents or target.plane:
            raise RecipeError("Variations are made of seeds; this image comes from a latent. Move it along directions instead.")
        origin, path = target.seeds[0], ()
        if target.variation_of is not None:
            origin, path = target.variation_of, (*target.variation_path, (target.seeds[0], target.variation_strength))
        label = self.renderer.label(target)
        varied = target.changed(
            **self._first(values[self.narrow]),
            scale=self._scale(target.checkpoint),
            classes=(label,) if label else (),
            variation_of=origin,
            variation_path=path,
            own_directions=(now if now.checkpoint == target.checkpoint else target).own_directions,
        )
        before = self._before(values)
        return self.write(varied, before if before and now.variation_of is not None else (*before, now.to_query()))

    def leave_variations(self, values: Values) -> Updates:
        """Back to what was on screen before them; where nobody knows, to all seeds."""
        recipe, kept = self.read(values), Kept.from_json(values[self.kept])
        if recipe.variation_of is None:
            return {}  # asked for twice
        before = kept.before
        while before:
            found, before = read_query(before[-1]), before[:-1]
            if isinstance(found, Recipe) and found.variation_of is None:  # else the variations of which this is a strip
                return self.write(_with_own(found, recipe) if found.checkpoint == recipe.checkpoint else found, before)
        return self.write(recipe.changed(variation_of=None, variation_path=(), classes=()))

    def leave_latents(self, values: Values) -> Updates:
        recipe = self.read(values)
        return self.write(
            recipe.changed(latents=(), edits=(), columns=self._first(values[self.narrow])["columns"], scale=self._scale(recipe.checkpoint))
        )

    def show_anatomy(self, details: dict[str, Any]) -> Any:
        """What each block does for the image that the screen goes by."""
        recipe = self._told(details)
        return self.renderer.view(AnatomyOf(recipe=recipe)) if recipe else gr.skip()

    def show_ends(self, details: dict[str, Any]) -> Any:
        """The image that the screen goes by at both ends of each direction, but for what it is turned to already."""
        recipe = self._told(details)
        if recipe is None:
            return gr.skip()
        whole = read_query(details.get("whole"))
        bare = recipe.changed(directions=(), edits=(), own_directions=whole.own_directions if isinstance(whole, Recipe) else ())
        names = [*(name for name, _ in bare.own_directions), *self.library.card(bare.checkpoint).direction_names]
        return {"view": self.renderer.ends(bare, names, ENDS), "names": names} if names else gr.skip()

    @staticmethod
    def _told(details: dict[str, Any]) -> Recipe | None:
        return one_image(details["tile"]) if details.get("tile") else None

    def show_original(self, values: Values) -> GridView:
        """The same images before anything was turned."""
        recipe = self.read(values)
        return self.renderer.view(recipe.changed(truncation=1.0, directions=(), edits=(), residual_gains=()))

    def count_marks(self, details: dict[str, Any]) -> Updates:
        more, less = (_queries(details, kind) for kind in ("more", "less"))
        words = f"{len(more)} marked more, {len(less)} less." if more or less else "Nothing is marked yet."
        return {self.marked: {"more": more, "less": less}, self.controls.marks: words}

    def make_own(self, values: Values) -> Updates:
        recipe, marked = self.read(values), values[self.marked]
        more, less = ([one_image(query) for query in _queries(marked, kind)] for kind in ("more", "less"))
        name = (values[self.controls.own_name] or "").strip() or "own"
        work = seek_direction(recipe, name, more, less, self.library.sampler(recipe.checkpoint))
        return self.write(finish(self.renderer.turns.share(work, ("direction", recipe.checkpoint))), self._before(values))

    def find_best(self, values: Values) -> Iterator[Updates]:
        recipe = self.read(values)
        sampler, classifier = self.library.sampler(recipe.checkpoint), self.library.classifier(recipe.checkpoint)
        self.renderer.costs.check_looking(recipe.checkpoint, int(values[self.many]))
        work = curate(recipe, sampler, classifier, int(values[self.many]), int(values[self.keep]), values[self.order])
        for news in watched(self.renderer.turns.share(work), "Drawing"):
            if isinstance(news, Recipe):
                yield {self.found: {"query": news.to_query()}, self.curating: f"The best {len(news.seeds)} are shown."}
            else:
                yield {self.curating: news, self.cancel: UNDER_WAY}

    def open_found(self, found: Any) -> Updates:
        recipe = read_query(found.get("query") if isinstance(found, dict) else None)
        if not isinstance(recipe, Recipe):
            raise RecipeError("What was found is no grid of images.")
        return self.write(recipe)

    def make_png(self, values: Values) -> dict[str, str]:
        recipe = self.read(values)
        return download(f"{recipe.checkpoint}.png", self.renderer.png(recipe))

    def make_zip(self, values: Values) -> dict[str, str]:
        recipe = self.read(values)
        return download(f"{recipe.checkpoint}.zip", self.renderer.zip(recipe))


def _queries(marked: Any, kind: str) -> list[str]:
    """The queries of the images that are marked as of a kind, as the page tells them. Raises RecipeError."""
    queries = marked.get(kind) if isinstance(marked, dict) else None
    found = [query for query in queries if isinstance(query, str)] if isinstance(queries, list) else []
    if len(found) > MOST_MARKED:
        raise RecipeError(f"{len(found)} images are marked; {MOST_MARKED} say as much: clear the marks and begin again.")
    return found


def _with_own(recipe: Recipe, other: Recipe) -> Recipe:
    """With the own directions of ``other`` in place of its own, and without all that moves along those that are not among them."""
    for name in dict(recipe.own_directions).keys() - dict(other.own_directions):
        recipe = _without_own(recipe, name)
    return recipe.changed(own_directions=other.own_directions)


def _without_own(recipe: Recipe, name: Any) -> Recipe:
    """Without one of the user's own directions, and all that moves along it."""
    return recipe.changed(
        own_directions=tuple(own for own in recipe.own_directions if own[0] != name),
        directions=tuple(pair for pair in recipe.directions if pair[0] != name),
        edits=tuple((place, tuple(pair for pair in pairs if pair[0] != name)) for place, pairs in recipe.edits),
        sweep="" if recipe.sweep == name else recipe.sweep,
    )
