"""What the studio shows of a recipe: views for the page, files to keep. No Gradio here."""

import base64
import io
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, TypedDict, TypeVar
from weakref import WeakValueDictionary

import numpy as np
from cachetools import LRUCache
from PIL import Image, ImageOps

from resgen import grid
from resgen.budget import OWN, Budget
from resgen.composite import AnyRecipe, Walk, painters
from resgen.errors import ResGenError
from resgen.film import check_suffix
from resgen.latents import join, locate
from resgen.library import Library
from resgen.notes import signature
from resgen.plates import Plate, draw, name_images
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.studio import zerogpu
from resgen.studio.costs import Costs
from resgen.studio.turns import Turns
from resgen.work import Work, finish, timed

PREVIEW_FRAMES = 72
LINK_SIDE, LINK_FRAMES = 1200, 8
KEPT_BYTES = 32_000_000  # of pictures for the page: pages open with the same, and hands go back
THUMBNAIL = 104  # pixels a side: twice of what a pin has on the page
SAMPLE_SEED = 8  # of the picture that stands for a generator; of those that come along, each can be named
PNG, WEBP = "PNG", "WEBP"
FASTEST: dict[str, dict[str, Any]] = {PNG: {"compress_level": 1}, WEBP: {"lossless": True, "method": 0, "quality": 0}}  # encoding without loss
WEBP_SIDE = 16_383  # pixels: no WebP is longer

Samplers = dict[str, Sampler]  # by the names of their checkpoints
T = TypeVar("T")


class GridView(TypedDict):
    """What the page's grid is told of a picture."""

    src: str  # all images side by side, a data URI
    rows: int
    columns: int
    resolution: int  # pixels a side of an image
    captions: tuple[str, ...]
    tiles: list[str]  # the query of each image alone, '' where it has none
    keys: list[str]  # what stays the same of an image when sliders move
    rowLabels: tuple[str, ...]
    columnLabels: tuple[str, ...]
    query: str  # of the whole
    status: str
    milliseconds: float  # that drawing took, without waiting for others


class FilmView(GridView):
    """What the page's player is told of a film."""

    tile: int  # pixels a side that a frame of the saved film has
    frames: int
    seconds: float
    stops: list[int]  # the frame at each stop


class Renderer:
    """Renders recipes with a library's checkpoints for the page."""

    def __init__(self, library: Library, budget: Budget = OWN) -> None:
        self.library, self.budget, self.costs, self.turns = library, budget, Costs(library, budget), Turns(budget)
        self._views: LRUCache[bytes, Any] = LRUCache(KEPT_BYTES, _size)
        self._drawing: WeakValueDictionary[bytes, Lock] = WeakValueDictionary()  # locks of what is drawn to be kept
        self._keeping = Lock()

    def _samplers(self, recipe: AnyRecipe) -> Samplers:
        """What draws a recipe, for all of a work: a file that is replaced meanwhile changes nothing. Raises ResGenError where it would be too much."""
        self.costs.check(recipe)
        return self._samplers_of(painters(recipe))

    def _samplers_of(self, names: Sequence[str]) -> Samplers:
        return {name: self.library.sampler(name) for name in names}

    def check(self, recipe: AnyRecipe) -> None:
        """Raise ResGenError where a recipe cannot be drawn: too much of it, or names that its checkpoint does not have."""
        for name, sampler in self._samplers(recipe).items():
            for part in (recipe,) if isinstance(recipe, Recipe) else recipe.parts():
                locate(part.with_checkpoint(name), sampler.checkpoint)

    def view(self, recipe: AnyRecipe) -> GridView:
        """What the page's grid shows for a recipe. Raises ResGenError."""
        return self._view(recipe)

    def _view(self, recipe: AnyRecipe, what: str = "") -> GridView:
        """The view of a recipe, whose images the status calls ``what``."""
        return self._keep(painters(recipe), (recipe.to_query(), what), lambda samplers: self._draw_view(recipe, samplers, what))

    def _keep(self, names: Sequence[str], words: Sequence[object], make: Callable[[Samplers], T]) -> T:
        """What ``make`` draws with some checkpoints, or has drawn before with the same; ``words`` say what. It is drawn once, however many ask."""
        asked = _key((*map(self.sha256, names), *words))
        with self._one_at_a_time(asked):
            with self._keeping:
                found = self._views.get(asked)
            if found is None:
                samplers = self._samplers_of(names)
                found = make(samplers)
                drawn = _key((*(sampler.checkpoint.sha256 for sampler in samplers.values()), *words))
                with self._keeping, suppress(ValueError):  # one that is larger than all that is kept
                    self._views[drawn] = found
        return found

    @contextmanager
    def _one_at_a_time(self, key: bytes) -> Generator[None]:
        """Where one draws and others wait for it; the next of them does where it could not."""
        with self._keeping:
            drawing = self._drawing.setdefault(key, Lock())
        with drawing:
            yield

    def _draw_view(self, recipe: AnyRecipe, samplers: Samplers, what: str) -> GridView:
        self.costs.check(recipe)
        plate, seconds = finish(self.turns.share(timed(draw(recipe, samplers.__getitem__)), _kind(recipe)))
        milliseconds, count = seconds * 1000, len(plate.images)
        images = what or f"{count} image{'s' * (count > 1)}"
        painter = f"{len(samplers)} generators" if len(samplers) > 1 else recipe.checkpoint
        status = f"{images} by {painter} in {milliseconds:.0f} ms {samplers[recipe.checkpoint].where}"
        return {**self.view_plate(plate, recipe, status), "milliseconds": milliseconds}

    def view_plate(self, plate: Plate, recipe: AnyRecipe | None, status: str) -> GridView:
        """The view of a plate that is drawn; without a recipe the page's address does not follow it."""
        sprite = grid.sprite(plate)
        return {
            "src": data_uri(sprite, WEBP if max(sprite.size) <= WEBP_SIDE else PNG),
            "rows": math.ceil(len(plate.images) / plate.columns),
            "columns": plate.columns,
            "resolution": plate.images.shape[1],
            "captions": plate.captions,
            "tiles": [tile.to_query() if tile else "" for tile in plate.tiles],
            "keys": [_lasting(tile) if tile else "" for tile in plate.tiles],
            "rowLabels": plate.row_labels,
            "columnLabels": plate.column_labels,
            "query": recipe.to_query() if recipe else "",
            "status": status,
            "milliseconds": 0,
        }

    def film_view(self, walk: Walk) -> FilmView:
        """What the page's player shows: at most `PREVIEW_FRAMES` frames of a walk at their own size. Raises ResGenError."""
        fewer = self._thinned(walk, PREVIEW_FRAMES)
        view = self._view(fewer, f"{fewer.frames} frames" if fewer == walk else f"{fewer.frames} of {walk.frames} frames")
        tile, query = view["resolution"] * walk.scale, walk.to_query()
        return {**view, "tile": tile, "query": query, "frames": fewer.frames, "seconds": walk.seconds, "stops": fewer.stop_frames}

    def _thinned(self, walk: Walk, most: int) -> Walk:
        """A walk with as many of its frames as are drawn at once, at most ``most``."""
        return walk.thinned(min(most, self.costs.at_once(walk)))

    def link_picture(self, recipe: AnyRecipe) -> bytes:
        """A JPEG of at most `LINK_SIDE` pixels a side of what a link shows: of a walk a few frames, of what is very long its beginning.

        It is kept, since many look at one link. Raises ResGenError.
        """
        return self._keep(painters(recipe), ("link", recipe.to_query()), lambda samplers: self._draw_link(recipe, samplers))

    def _draw_link(self, recipe: AnyRecipe, samplers: Samplers) -> bytes:
        shown = self._thinned(recipe, LINK_FRAMES) if isinstance(recipe, Walk) else recipe
        self.costs.check(shown)
        plate = finish(self.turns.share(draw(shown, samplers.__getitem__), _kind(shown)))
        sprite = grid.sprite(replace(plate, columns=LINK_FRAMES // 2) if isinstance(recipe, Walk) else plate)
        most = 4 * min(sprite.size)
        seen = sprite.crop((0, 0, min(sprite.width, most), min(sprite.height, most)))
        buffer = io.BytesIO()
        ImageOps.contain(seen, (LINK_SIDE, LINK_SIDE), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    def label(self, recipe: Recipe) -> str:
        """The class of a recipe of one image, '' where there is no single one. Raises ResGenError."""
        sampler = self.library.sampler(recipe.checkpoint)
        index = int(locate(recipe, sampler.checkpoint).labels[0])
        return sampler.card.classes[index] if index >= 0 else ""

    def single_images(self, recipes: Sequence[Recipe]) -> list[tuple[str, np.ndarray]]:
        """The caption and image uint8 [H, W, 3] of each of some recipes of one image, of one checkpoint, drawn together. Raises ResGenError."""
        return self._draw_singles(recipes, self.library.sampler(recipes[0].checkpoint)) if recipes else []

    def _draw_singles(self, recipes: Sequence[Recipe], sampler: Sampler) -> list[tuple[str, np.ndarray]]:
        for recipe in recipes:
            self.costs.check_recipe(recipe)
        self.costs.check_pictures(recipes[0], sum(recipe.count for recipe in recipes))
        points = [locate(recipe, sampler.checkpoint) for recipe in recipes]
        captions = [name_images(recipe, one, sampler)[0] for recipe, one in zip(recipes, points, strict=True)]
        return list(zip(captions, finish(self.turns.share(sampler.draw(join(points)), _kind(recipes[0]))), strict=True))

    def ends(self, recipe: Recipe, names: Sequence[str], amount: float) -> GridView:
        """An image at both ends of each direction, at least one, two images a name; kept, since pages open with the same. Raises ResGenError."""
        words = ("ends", recipe.to_query(), amount, *names)
        return self._keep(painters(recipe), words, lambda samplers: self._draw_ends(recipe, names, amount, samplers[recipe.checkpoint]))

    def _draw_ends(self, recipe: Recipe, names: Sequence[str], amount: float, sampler: Sampler) -> GridView:
        moved = [recipe.changed(directions=((name, sign * amount),)) for name in names for sign in (-1, 1)]
        captions, images = list[str](), list[np.ndarray]()
        some = self.costs.at_once(recipe)  # large images are not all drawn at once
        for first in range(0, len(moved), some):
            for caption, image in self._draw_singles(moved[first : first + some], sampler):
                captions.append(caption)
                images.append(np.asarray(thumbnail(image)))
        return self.view_plate(Plate(np.stack(images), 2, 1, tuple(captions), tiles=(None,) * len(images)), recipe, "")

    def samples(self) -> list[tuple[str, str]]:
        """Each generator that can be read and a picture by it, as a data URI; a picture is drawn once, however many pages open."""
        found: list[tuple[str, str]] = []
        for name in self.library.names():
            with suppress(ResGenError):
                found.append((name, self._keep((name,), ("sample",), partial(self._draw_sample, name))))
        return found

    def _draw_sample(self, name: str, samplers: Samplers) -> str:
        [(_, image)] = self._draw_singles([Recipe(checkpoint=name, seeds=(SAMPLE_SEED,), columns=1, scale=1)], samplers[name])
        return data_uri(thumbnail(image))

    def png(self, recipe: AnyRecipe) -> bytes:
        """The recipe's picture as a PNG that carries it. Raises ResGenError."""
        samplers = self._samplers(recipe)
        self.costs.check_saved(recipe)
        signed = signature(recipe, partial(_sha256, samplers))
        return self._encode(recipe, samplers, lambda plate: grid.png_bytes(grid.compose(plate), recipe, signed))

    def zip(self, recipe: AnyRecipe) -> bytes:
        """Each of the recipe's images as a PNG of its own, in a zip. Raises ResGenError."""
        samplers = self._samplers(recipe)
        return self._encode(recipe, samplers, lambda plate: grid.zip_bytes(plate, recipe, partial(_sha256, samplers)))

    def _encode(self, recipe: AnyRecipe, samplers: Samplers, encode: Callable[[Plate], bytes]) -> bytes:
        return finish(self.turns.share(_encoded(draw(recipe, samplers.__getitem__), encode), _kind(recipe)))

    def film(self, walk: Walk, suffix: str) -> Work[bytes]:
        """A walk as a film that carries it. Raises ResGenError."""
        check_suffix(suffix)
        self.costs.check_film(walk)
        made = zerogpu.make_film(walk, self.library, suffix)
        return self.turns.beside(made) if zerogpu.LENT else self.turns.share(made, (suffix, *_kind(walk)))

    def sha256(self, name: str) -> str:
        """What identifies a checkpoint in files. Raises ResGenError."""
        return self.library.sha256(name)

    def file_name(self, recipe: Recipe) -> str:
        """A name for the file of one image: 'cat-seed7.png'. Raises ResGenError."""
        sampler = self.library.sampler(recipe.checkpoint)
        return f"{grid.file_words(name_images(recipe, locate(recipe, sampler.checkpoint), sampler)[0])}.png"


def _sha256(samplers: Samplers, name: str) -> str:
    """What identifies the checkpoint that drew."""
    return samplers[name].checkpoint.sha256


def _kind(recipe: AnyRecipe) -> tuple[str | int, ...]:
    """The same for recipes whose steps take about as long."""
    return (*painters(recipe), recipe.count)


def _encoded(drawing: Work[Plate], encode: Callable[[Plate], bytes]) -> Work[bytes]:
    """A plate as a file, which is a step of its own."""
    plate = yield from drawing
    yield len(plate.images), len(plate.images)
    return encode(plate)


def _size(kept: GridView | str | bytes) -> int:
    """Bytes that keeping something takes, or a little more."""
    if isinstance(kept, str | bytes):
        return len(kept)
    return 2 * len(kept["query"]) + len(kept["src"]) + sum(map(len, (*kept["tiles"], *kept["keys"])))


def _key(words: Sequence[object]) -> bytes:
    """As long for a long recipe as for a short one: what is kept is weighed without its key."""
    return sha256(repr(words).encode()).digest()


def _lasting(tile: Recipe) -> str:
    """What stays the same of an image when sliders move."""
    return tile.changed(truncation=1.0, directions=(), own_directions=(), edits=(), residual_gains=()).to_query()


def thumbnail(image: np.ndarray) -> Image.Image:
    """An image uint8 [H, W, 3], made smaller where it has more pixels than are seen of a small one."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return small


def data_uri(picture: Image.Image, kind: str = PNG) -> str:
    """A picture, every pixel as it is, as the text of an <img>'s source; ``kind`` is PNG, or WEBP, which is smaller and sooner encoded."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **FASTEST[kind])
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def media_type(name: str) -> str:
    """The MIME type of a file that the studio hands out, by its name."""
    return {".png": "image/png", ".zip": "application/zip", ".mp4": "video/mp4", ".gif": "image/gif", ".webp": "image/webp"}[Path(name).suffix]
