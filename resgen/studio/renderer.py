"""What the studio asks of the rest of the program: cards, rendered grids, files. No Gradio here."""

import base64
import io
import math
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from resgen import grid
from resgen.checkpoint import checkpoint_names, find_checkpoint, list_checkpoints, snapshot_names
from resgen.composite import AnyRecipe, Walk
from resgen.errors import CheckpointError, RecipeError
from resgen.features import FeatureResNet, find_features, load_features
from resgen.film import encode
from resgen.invert import Inversion, invert
from resgen.plates import Plate, draw, draw_frames
from resgen.recipe import Recipe
from resgen.sampler import Progress, Sampler, load, pick_device

MAX_IMAGES = 400  # a grid in the browser
PREVIEW_FRAMES = 72
SAMPLERS_KEPT = 12


class Renderer:
    """Renders recipes with the checkpoints of one folder on one device; keeps the latest samplers loaded."""

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder, pick_device(device)
        self._samplers: OrderedDict[tuple[str, int], Sampler] = OrderedDict()
        self._features: dict[Path, FeatureResNet] = {}
        self._lock = Lock()

    def names(self) -> list[str]:
        """All checkpoints of the folder in the order of `list_checkpoints`, those that cannot be read last."""
        readable = [card["name"] for card in list_checkpoints(self.folder)]
        return readable + [name for name in checkpoint_names(self.folder) if name not in readable]

    def snapshots(self, name: str) -> list[str]:
        """The names of a checkpoint's snapshots, such as cifar10@4000, early to late."""
        return snapshot_names(name, self.folder)

    def snapshot_names(self) -> list[str]:
        return [snapshot for name in self.names() for snapshot in self.snapshots(name)]

    def sampler(self, name: str) -> Sampler:
        """The sampler of a listed checkpoint, loaded again when its file changes. Raises CheckpointError."""
        if name not in checkpoint_names(self.folder) and name not in self.snapshots(name.partition("@")[0]):
            raise CheckpointError(f"There is no checkpoint {name[:80]!r} here; choose one from the list.")
        key = (name, find_checkpoint(name, self.folder).stat().st_mtime_ns)
        with self._lock:
            if key not in self._samplers:
                self._samplers[key] = load(name, self.device, self.folder)
            self._samplers.move_to_end(key)
            while len(self._samplers) > SAMPLERS_KEPT:
                self._samplers.popitem(last=False)
            return self._samplers[key]

    def plate(self, recipe: AnyRecipe, limit: int = MAX_IMAGES) -> Plate:
        """The images of any recipe, laid out. Raises ResGenError."""
        if isinstance(recipe, Recipe) and recipe.count > limit:
            raise RecipeError(f"Seeds: this asks for {recipe.count:,} images; the browser shows at most {limit}. The command line draws more.")
        return draw(recipe, self.sampler)

    def view(self, recipe: AnyRecipe) -> dict[str, Any]:
        """What the page's grid shows for a recipe. Raises ResGenError."""
        self.sampler(recipe.checkpoint)  # loaded before the clock starts
        started = time.perf_counter()
        plate = self.plate(recipe)
        milliseconds = (time.perf_counter() - started) * 1000
        count = len(plate.images)
        return self.view_plate(plate, recipe, f"{count} image{'s' * (count > 1)} in {milliseconds:.0f} ms on {self.device.upper()}")

    def view_plate(self, plate: Plate, recipe: AnyRecipe, status: str) -> dict[str, Any]:
        """All images side by side as one data URI, the words and the recipe of each, and the link's query."""
        return {
            "src": data_uri(grid.sprite(plate)),
            "rows": math.ceil(len(plate.images) / plate.columns),
            "columns": plate.columns,
            "resolution": plate.images.shape[1],
            "tile": plate.images.shape[1] * plate.scale,
            "captions": plate.captions,
            "tiles": [tile.to_query() if tile else "" for tile in plate.tiles] or [""] * len(plate.images),
            "rowLabels": plate.row_labels,
            "columnLabels": plate.column_labels,
            "query": recipe.to_query(),
            "status": status,
        }

    def film_view(self, walk: Walk) -> dict[str, Any]:
        """What the page's player shows: at most `PREVIEW_FRAMES` frames of a walk at their own size. Raises ResGenError."""
        fewer = replace(walk, fps=max(1, min(walk.fps, int(PREVIEW_FRAMES / walk.seconds))))
        view = self.view(fewer)
        return view | {"frames": fewer.frames, "seconds": walk.seconds, "tile": view["resolution"] * walk.scale, "query": walk.to_query()}

    def png(self, recipe: AnyRecipe) -> bytes:
        """The recipe's picture as a PNG that carries it. Raises ResGenError."""
        return grid.png_bytes(grid.compose(self.plate(recipe)), recipe, self.sha256(recipe))

    def zip(self, recipe: AnyRecipe) -> bytes:
        """Each of the recipe's images as a PNG of its own, in a zip. Raises ResGenError."""
        return grid.zip_bytes(self.plate(recipe), recipe, self.sha256(recipe))

    def film(self, walk: Walk, suffix: str, progress: Progress | None = None) -> bytes:
        """A walk as a film that carries it. Raises ResGenError."""
        frames = draw_frames(walk, self.sampler(walk.checkpoint), progress)
        return encode(frames, walk, self.sha256(walk), suffix)

    def invert(self, target: np.ndarray, name: str, steps: int, progress: Progress | None = None) -> Inversion:
        """The latent that draws an image uint8 [R, R, 3]. Raises ResGenError."""
        return invert(target, self.sampler(name), self.features(name), steps, progress=progress)

    def features(self, name: str) -> FeatureResNet | None:
        """The feature network that was shipped with a checkpoint, else any that was shipped, else none."""
        path = find_features(name, self.folder)
        with self._lock:
            if path is not None and path not in self._features:
                self._features[path] = load_features(path).freeze().to(self.device)
            return None if path is None else self._features[path]

    def label(self, recipe: Recipe) -> str:
        """The class of a recipe's first image, '' where there is no single one. Raises ResGenError."""
        sampler = self.sampler(recipe.checkpoint)
        index = int(sampler.name(recipe)[1][0])
        return sampler.checkpoint.classes[index] if index >= 0 else ""

    def sha256(self, recipe: AnyRecipe) -> str:
        return self.sampler(recipe.checkpoint).checkpoint.sha256


def data_uri(picture: Image.Image) -> str:
    """A picture as the text of an <img>'s source."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
