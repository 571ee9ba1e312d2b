"""What a page asks for while a hand turns a dial: the picture, or what it needs to draw for itself: scripts, generators as graphs, and where the
images on screen stand.

These are plain requests, each with its answer, beside Gradio's queue, which takes longer than drawing does.
"""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from resgen.architecture import Architecture
from resgen.composite import Walk, read_object, read_query
from resgen.errors import CheckpointError, RecipeError, ResGenError
from resgen.fields import is_list, is_table
from resgen.plates import frame_points
from resgen.recipe import Recipe, unpack_vector
from resgen.studio.controls import on_plane, turned_amounts, written_gains
from resgen.studio.graphs import LIST, Graphs
from resgen.studio.log import note_failure, note_refusal
from resgen.studio.renderer import Renderer
from resgen.studio.turns import asker_gone
from resgen.work import Work, finish

SOURCES = Path(__file__).parents[1]
KEPT = "public, max-age=31536000, immutable"  # of what has another address once it is another
LATER = {"Retry-After": "5"}  # seconds
_STATUS: dict[type[ResGenError], tuple[int, dict[str, str]]] = {CheckpointError: (404, {}), RecipeError: (422, {})}  # of any other it is 503
AT_ONCE = 4  # requests that are worked on
LINKS_AT_ONCE = 2  # of pictures of links, which nobody's hand waits for
FIRST_OF_LINK = Recipe(seeds=tuple(range(8)), columns=4)  # what is shown of a link that says nothing
LINK_KEPT = 3600  # seconds: a generator may be replaced by another of its name
# A film that a page draws and keeps.
FILM_PIXELS = 2**24  # all frames together: 64 megabytes of the page's memory
FILM_LATENTS = 2**20  # numbers of all their w: 6 megabytes on the way


class Drawing:
    """Answers pages that draw for themselves."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer, self.library = renderer, renderer.library
        self._graphs = Graphs(renderer)
        # By their places in the source tree, where preview.js finds those of the page without a server.
        self._scripts = {path.relative_to(SOURCES).as_posix(): path for path in SOURCES.glob("s*/static/*.js")}
        self._places, self._places_for_links = CapacityLimiter(AT_ONCE), CapacityLimiter(LINKS_AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """Where all of it is found. What the page fetches is a file, but for `generators/NAME` and what it posts."""
        return [
            Route("/drawing/generators/{name:path}", self.generator),
            Route("/drawing/stand", self.stand, methods=["POST"]),
            Route("/drawing/film", self.film, methods=["POST"]),
            Route("/drawing/picture", self.picture, methods=["POST"]),
            Route("/drawing/link.jpg", self.link),
            Route("/drawing/{place:path}", self.file),
        ]

    async def generator(self, request: Request) -> Response:
        """A generator's entry of site.json, and where its graphs and the runtime are: addresses relative to /drawing/. Not yet: 202."""
        return await self._answer(request, self._generator, request.path_params["name"])

    def _generator(self, name: str) -> Any:
        folder = self._graphs.folder(name)
        return folder and _entry(folder)

    async def file(self, request: Request) -> Response:
        """A script, a graph, or a part of the runtime."""
        place = request.path_params["place"]
        found = self._scripts.get(place) or await to_thread.run_sync(self._find, place)
        if found is None:
            return _told("There is no such file here.", 404, {})
        return FileResponse(found, headers={"Cache-Control": "no-cache" if place in self._scripts else KEPT})

    def _find(self, place: str) -> Path | None:
        kind, _, name = place.partition("/")
        if kind == "runtime":
            return _runtime_files().get(name)
        return self._graphs.file(name) if kind == "graphs" else None

    async def stand(self, request: Request) -> Response:
        """Where the images of a recipe stand, whose query is the body: a `sampler.Stand` and one's own directions, float32 as base64."""
        return await self._answer(request, self._stand, await _body(request))

    async def picture(self, request: Request) -> Response:
        """What the grid shows of {"query", "turned"}: a recipe whose dials were turned, as `turn` takes them."""
        return await self._answer(request, self._picture, await _body(request))

    def _picture(self, body: str) -> Any:
        told = read_object(body, "What the page told cannot be read; load it again.")
        view = self.renderer.view(turn(_grid_of(told.get("query")), told.get("turned")))
        return {name: view[name] for name in ("src", "status")}

    async def link(self, request: Request) -> Response:
        """A picture of what a link shows, whose query is the address's, for previews of it; of the first generator where it says nothing."""
        return await self._answer(request, self._link, request.url.query, self._places_for_links)

    def _link(self, query: str) -> Response:
        recipe = read_query(query)
        if isinstance(recipe, Recipe) and not recipe.checkpoint:
            recipe = recipe.over(self.renderer.costs.opening(FIRST_OF_LINK.with_checkpoint))
        picture = self.renderer.link_picture(self.library.named(recipe))
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": f"public, max-age={LINK_KEPT}"})

    def _stand(self, query: str) -> Any:
        recipe = _grid_of(query)
        self.renderer.check(recipe)
        return finish(self.renderer.turns.share(self._place(recipe), ("stand", recipe.checkpoint)))

    def _place(self, recipe: Recipe) -> Work[dict[str, Any]]:
        yield 0, 1
        sampler = self.library.sampler(recipe.checkpoint)
        stand = sampler.stand(recipe)
        own = {name: _packed(np.asarray(unpack_vector(vector))) for name, vector in recipe.own_directions}
        return {
            "count": recipe.count,
            "sha256": sampler.checkpoint.sha256,
            "own": own,
            **{name: _packed(values) for name, values in vars(stand).items()},
        }

    async def film(self, request: Request) -> Response:
        """Where the frames of a walk stand, whose query is the body: their w and gains, float32 as base64, and the frames at its stops.

        Of a long film, or of large images, fewer frames.
        """
        return await self._answer(request, self._film, await _body(request))

    def _film(self, query: str) -> Any:
        walk = read_query(query)
        if not isinstance(walk, Walk):
            raise RecipeError("Only a walk is a film.")
        self.renderer.costs.check_recipe(walk)
        thinned = walk.thinned(_most_frames(self.library.card(walk.checkpoint).arch))
        return finish(self.renderer.turns.share(self._place_frames(thinned), ("frames", thinned.checkpoint)))

    def _place_frames(self, walk: Walk) -> Work[dict[str, Any]]:
        yield 0, 1
        sampler = self.library.sampler(walk.checkpoint)
        points = frame_points(walk, sampler)
        placed = {"w": _packed(sampler.map(points).numpy()), "gains": _packed(points.gains.numpy())}
        told = {"count": walk.frames, "stops": walk.stop_frames, "checkpoint": walk.checkpoint, "sha256": sampler.checkpoint.sha256}
        return told | placed

    async def _answer(self, request: Request, function: Callable[[str], Any], argument: str, places: CapacityLimiter | None = None) -> Response:
        """`_response` of a function, which is told if who asked has gone; what it does takes no part in Gradio's queue, so it is bounded here."""
        places = places or self._places
        if places.statistics().tasks_waiting >= self.renderer.budget.waiting:
            return _told("Too many pages ask at once.", 429, LATER)
        gone = Event()
        asker_gone.set(gone.is_set)
        watching = asyncio.create_task(_watch(request, gone))
        try:
            return await to_thread.run_sync(_response, function, argument, limiter=places)
        finally:
            watching.cancel()


async def _watch(request: Request, gone: Event) -> None:
    """Set ``gone`` once who asked no longer listens."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _response(function: Callable[[str], Any], argument: str) -> Response:
    """What ``function`` tells, as JSON if it is no response by itself, or why it does not."""
    try:
        told = function(argument)
    except ResGenError as error:
        note_refusal("drawing", error)
        return _told(str(error), *_STATUS.get(type(error), (503, LATER)))
    except Exception as error:
        return _told(f"Something is wrong with the studio itself: request {note_failure('drawing', error)} in its log.", 500, {})
    if told is None:
        return _told("This generator is being prepared.", 202, LATER)
    return told if isinstance(told, Response) else JSONResponse(told)


def _told(words: str, status: int, headers: dict[str, str]) -> Response:
    """Words in place of what was asked for, which may be there the next time."""
    return JSONResponse({"detail": words}, status, {"Cache-Control": "no-store", **headers})


def turn(recipe: Recipe, turned: Any) -> Recipe:
    """A recipe after dials were turned: "truncation" to a number, "directions" to one by name, "gains" of all blocks, the "plane" to another window.

    Raises RecipeError.
    """
    dials = turned if is_table(turned) else {}
    changes = on_plane(recipe, window) if is_list(window := dials.get("plane")) else {}
    if is_table(amounts := dials.get("directions")):
        changes["directions"] = turned_amounts(recipe.directions, amounts)
    if is_list(gains := dials.get("gains")):
        changes["residual_gains"] = written_gains(gains)
    if "truncation" in dials:
        changes["truncation"] = dials["truncation"]
    return recipe.changed(**changes)


def _most_frames(arch: Architecture) -> int:
    """How many frames a page may draw of a film and keep."""
    return min(FILM_PIXELS // arch.resolution**2, FILM_LATENTS // (len(arch.block_resolutions) * arch.w_dim))


def _grid_of(query: Any) -> Recipe:
    recipe = read_query(query)
    if not isinstance(recipe, Recipe):
        raise RecipeError("Only a grid of images can be drawn while a dial is turned.")
    return recipe


async def _body(request: Request) -> str:
    return (await request.body()).decode(errors="replace")


def _entry(folder: Path) -> dict[str, Any]:
    listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    [checkpoint] = listed["checkpoints"]
    graphs = {name: {**source, "url": f"graphs/{folder.name}/{source['url']}"} for name, source in checkpoint.pop("graphs").items()}
    runtime = listed["runtime"]
    if _runtime_files():
        runtime = {name: {**part, "url": f"runtime/{part['file']}?{quote(part['integrity'])}"} for name, part in runtime.items()}
    return {"checkpoint": checkpoint, "graphs": graphs, "runtime": runtime}


def _runtime_files() -> dict[str, Path]:
    """Those of onnxruntime-web, by name, where it is installed; else the page fetches them from a public CDN, by their hashes."""
    from resgen.site.runtime import installed_files  # here, since what writes graphs takes a second to import

    return installed_files()


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()
