"""The public HTTP endpoints, for `gradio_client` and MCP: /render, /explore, /walk, /invert, /curate and /checkpoints. Nothing else is public.

Their parameters are the recipe's fields, as declared.
"""

import inspect
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from gradio.data_classes import FileData
from gradio.events import api as add_endpoint

from resgen import curate as curating
from resgen.budget import USUAL_KEPT, USUAL_MANY, USUAL_STEPS
from resgen.composite import Walk, read, read_points
from resgen.errors import RecipeError
from resgen.fields import Declared, write_field
from resgen.files import write_atomically
from resgen.invert import invert as search
from resgen.invert import load_photo
from resgen.recipe import CALLED, Recipe, enlargement, parse_seeds, usual_scale
from resgen.studio.guard import DISK_BLOCK, check_disk
from resgen.studio.page import LONG, RENDER, friendly, uploaded
from resgen.studio.renderer import Renderer
from resgen.words import follow
from resgen.work import finish

HANDED_SECONDS = 60.0  # that a file handed out is kept beside Gradio's copy
TILE = 96  # pixels a side of an image that an agent looks at


def add_api(renderer: Renderer) -> None:
    """Declare the endpoints inside an open `gr.Blocks`."""
    api = Api(renderer)
    for name, function, line in (
        ("render", api.render, RENDER), ("explore", api.explore, RENDER), ("walk", api.walk, LONG), ("invert", api.invert, LONG),
        ("curate", api.curate, LONG), ("checkpoints", api.checkpoints, RENDER),
    ):  # fmt: skip
        add_endpoint(friendly(function, shown=str), api_name=name, **line)  # a program is told plain words


class Api:
    """The endpoints of a renderer."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer, self.library = renderer, renderer.library
        self._folder = tempfile.TemporaryDirectory(prefix="resgen-")  # gone with the process
        self._handed: deque[tuple[float, Path]] = deque()
        self._handing = Lock()
        self.render = _with_fields(
            self._render, Recipe, "checkpoint seeds classes class_mix truncation directions columns scale residual_gains sweep plane recipe"
        )
        self.walk = _with_fields(self._walk, Walk, "checkpoint stops seconds fps loop path pace truncation scale format")

    def _hand_out(self, name: str, make: Callable[[], bytes]) -> FileData:
        """A file for a visitor, made if there is room. Gradio copies it as soon as it has it, and keeps the copy for a while: what was handed out before
        may go."""
        with self._handing:
            while self._handed and time.monotonic() - self._handed[0][0] > HANDED_SECONDS:
                shutil.rmtree(self._handed.popleft()[1].parent, ignore_errors=True)
        check_disk(self.renderer.budget, DISK_BLOCK)
        data = make()
        check_disk(self.renderer.budget, len(data))
        path = Path(tempfile.mkdtemp(dir=self._folder.name)) / name
        write_atomically(path, data)
        self._handed.append((time.monotonic(), path))
        return FileData(path=str(path), orig_name=name)

    def _render(self, checkpoint: str = "", recipe: str = "", scale: int = 0, **fields: Any) -> FileData:
        """Draw a grid of generated images, or any other recipe.

        Args:
            checkpoint: name of a checkpoint, one of /checkpoints; default: the best
            recipe: a whole recipe as JSON, in place of everything else: a grid, mix, compare or anatomy
            scale: enlargement of each image, 1 to 16; 0: as suits their size

        Returns:
            A PNG that carries its recipe in the text chunk 'resgen'.
        """
        self.renderer.budget.check("characters", len(recipe))
        if recipe:
            wanted = self.library.named(read(recipe), checkpoint)
        else:
            name = self.library.chosen(checkpoint)
            wanted = Recipe(checkpoint=name, scale=scale or self._usual_scale(Recipe, name), **fields)
        if isinstance(wanted, Walk):
            raise RecipeError("A walk is a film: ask /walk for it.")
        return self._hand_out("picture.png", lambda: self.renderer.png(wanted))

    def _usual_scale(self, of: type[Declared], checkpoint: str) -> int:
        return usual_scale(of, self.library.card(checkpoint).arch.resolution)

    def explore(self, words: str = "", checkpoint: str = "", seeds: str = "0-11") -> FileData:
        """Draw a grid of generated images, changed as words say: to go on, say all that was said before and what comes now.

        Args:
            words: changes in their order, parted by commas: more of NAME, less of NAME, no NAME, as CLASS, more varied, more typical, others
            checkpoint: name of a checkpoint, one of /checkpoints, which names its directions and classes; default: the best
            seeds: one image for each number

        Returns:
            A PNG that carries its recipe in the text chunk 'resgen'.
        """
        card = self.library.card(self.library.chosen(checkpoint))
        recipe = Recipe(checkpoint=card.name, seeds=parse_seeds(seeds), columns=4, scale=enlargement(TILE, card.arch.resolution))
        changed = follow(recipe, words, card.direction_names, card.classes)
        return self._hand_out("picture.png", lambda: self.renderer.png(changed))

    def _walk(
        self, stops: str = "1,2,3", checkpoint: str = "", truncation: float = 1.0, format: str = "mp4", scale: int = 0, **fields: Any
    ) -> FileData:
        """Make a film that passes through images.

        Args:
            stops: seeds, of a class after @, such as 3,7@cat,10-12; or a whole walk as JSON, in place of everything but the format
            checkpoint: name of a checkpoint, one of /checkpoints; default: the best
            truncation: psi, 0 (the average image) to 1.5
            format: mp4, gif or webp
            scale: enlargement of each image, 1 to 16; 0: as suits their size

        Returns:
            The film, with its recipe inside.
        """
        self.renderer.budget.check("characters", len(stops))
        format = format.lower()
        if stops.lstrip().startswith("{"):
            wanted = self.library.named(read(stops), checkpoint)
        else:
            name = self.library.chosen(checkpoint)
            wanted = Walk(stops=read_points(stops, name, truncation), scale=scale or self._usual_scale(Walk, name), **fields)
        if not isinstance(wanted, Walk):
            raise RecipeError("Stops: this recipe is not a walk; ask /render for it.")
        return self._hand_out(f"walk.{format}", lambda: finish(self.renderer.film(wanted, f".{format}")))

    def invert(self, image: FileData, checkpoint: str = "", steps: int = USUAL_STEPS) -> dict[str, Any]:
        """Find the latent that draws an image.

        Args:
            image: a picture file
            checkpoint: name of a checkpoint, one of /checkpoints; default: the best
            steps: of the search, 1 to 1000 where the server has no other limit

        Returns:
            The recipe of the image found, for /render, and how near it comes: PSNR in decibels.
        """
        name = self.library.chosen(checkpoint)
        self.renderer.costs.check_search(name, steps)
        if steps < 1:
            raise RecipeError(f"Steps: {steps} is too few; at least 1 is needed.")
        target = load_photo(
            uploaded(image, "Image: send a picture file."), self.library.card(name).arch.resolution, most=self.renderer.budget.upload_pixels
        )
        found = finish(self.renderer.turns.share(search(target, self.library.sampler(name), self.library.features(name), steps)))
        return {"recipe": found.recipe.to_dict(), "psnr": round(found.psnr, 2)}

    def curate(
        self,
        checkpoint: str = "",
        label: str = "",
        many: int = USUAL_MANY,
        keep: int = USUAL_KEPT,
        order: str = curating.CONFIDENCE,
        first_seed: int = 0,
        truncation: float = 1.0,
    ) -> dict[str, Any]:
        """Draw many images and keep the best.

        Args:
            checkpoint: name of a checkpoint, one of /checkpoints; default: the best
            label: a class, or empty: each seed draws its own
            many: how many seeds to look at, at most 1000 where the server has no other limit
            keep: how many to keep
            order: 'Confidence' of a classifier, or 'Likeness to real images'
            first_seed: where the seeds begin
            truncation: psi, 0 (the average image) to 1.5

        Returns:
            The recipe of the images kept, best first, for /render.
        """
        name = self.library.chosen(checkpoint)
        self.renderer.costs.check_looking(name, many)
        self.renderer.budget.check("images", keep)
        recipe = Recipe(checkpoint=name, seeds=(first_seed,), classes=(label,) if label else (), truncation=truncation)
        work = curating.curate(recipe, self.library.sampler(name), self.library.classifier(name), many, keep, order)
        return finish(self.renderer.turns.share(work)).to_dict()

    def checkpoints(self) -> list[dict[str, Any]]:
        """List the checkpoints there are, each as its card: classes, data set, figures, directions."""
        return [card.to_dict() for card in self.library.cards()]


def _with_fields(function: Callable[..., Any], of: type[Declared], order: str) -> Callable[..., Any]:
    """``function`` with parameters in this order: its own, and in place of its ``**fields`` one for each field, typed and described as declared."""
    own = inspect.signature(function).parameters
    names = order.split()
    parameters = [own.get(name) or _parameter(of, name) for name in names]

    def endpoint(*arguments: Any) -> Any:
        return function(**dict(zip(names, arguments, strict=False)))

    made = [(parameter.name, name) for parameter, name in zip(parameters, names, strict=True) if name not in own]
    helps = "".join(f"            {called}: {of.model_fields[name].description}\n" for called, name in made)
    head, returns, tail = (function.__doc__ or "").partition("\n        Returns:")
    endpoint.__doc__ = f"{head.rstrip()}\n{helps}{returns}{tail}"
    endpoint.__name__ = function.__name__.lstrip("_")
    endpoint.__qualname__ = function.__qualname__
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation=FileData)  # type: ignore[attr-defined]
    endpoint.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": FileData}
    return endpoint


def _parameter(of: type[Declared], name: str) -> inspect.Parameter:
    field = of.model_fields[name]
    plain = field.annotation in (int, float, bool)
    kind = field.annotation if plain else str
    default = field.default if plain else "" if field.default in (None, ()) else write_field(of, name, field.default)
    return inspect.Parameter(CALLED.get(name, name), inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
