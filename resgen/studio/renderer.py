"""What the studio asks of the rest of the program: cards, rendered grids, files. No Gradio here."""

import base64
import io
import time
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from resgen import grid
from resgen.checkpoint import checkpoint_names, find_checkpoint, list_checkpoints
from resgen.errors import CheckpointError, RecipeError
from resgen.recipe import Recipe
from resgen.sampler import Sampler, load, pick_device

MAX_IMAGES = 400  # a grid in the browser
SAMPLERS_KEPT = 4


class Renderer:
    """Renders recipes with the checkpoints of one folder on one device; keeps the latest samplers loaded."""

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device = folder, pick_device(device)
        self._samplers: OrderedDict[tuple[str, int], Sampler] = OrderedDict()
        self._lock = Lock()

    def names(self) -> list[str]:
        """All checkpoints of the folder: the best first, those that cannot be read last."""
        readable = [card["name"] for card in list_checkpoints(self.folder)]
        return readable + [name for name in checkpoint_names(self.folder) if name not in readable]

    def sampler(self, name: str) -> Sampler:
        """The sampler of a listed checkpoint, loaded again when its file changes. Raises CheckpointError."""
        if name not in checkpoint_names(self.folder):
            raise CheckpointError(f"There is no checkpoint {name[:80]!r} here; choose one from the list.")
        key = (name, find_checkpoint(name, self.folder).stat().st_mtime_ns)
        with self._lock:
            if key not in self._samplers:
                self._samplers[key] = load(name, self.device, self.folder)
            self._samplers.move_to_end(key)
            while len(self._samplers) > SAMPLERS_KEPT:
                self._samplers.popitem(last=False)
            return self._samplers[key]

    def images(self, recipe: Recipe) -> tuple[np.ndarray, list[int], list[str]]:
        """Images, seeds and class names ('' where there is none) of a recipe. Raises ResGenError."""
        count = len(recipe.seeds) * max(1, len(recipe.classes))
        if count > MAX_IMAGES:
            raise RecipeError(f"Seeds: this asks for {count:,} images; the browser shows at most {MAX_IMAGES}. The command line draws more.")
        sampler = self.sampler(recipe.checkpoint)
        images, seeds, labels = sampler.render_labelled(recipe)
        return images, seeds.tolist(), [sampler.checkpoint.classes[label] if label >= 0 else "" for label in labels]

    def view(self, recipe: Recipe) -> dict[str, Any]:
        """What the page's grid draws: all images side by side as one data URI, and the words for each."""
        self.sampler(recipe.checkpoint)  # loaded before the clock starts
        started = time.perf_counter()
        images, seeds, labels = self.images(recipe)
        elapsed = time.perf_counter() - started
        rows, columns = grid.grid_shape(recipe, len(images))
        buffer = io.BytesIO()
        grid.sprite(images, columns).save(buffer, "PNG", compress_level=1)
        return {
            "src": "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(),
            "rows": rows,
            "columns": columns,
            "resolution": images.shape[1],
            "tile": images.shape[1] * recipe.scale,
            "seeds": [str(seed) for seed in seeds],  # larger than a number of JavaScript can be
            "labels": labels,
            "rowLabels": list(recipe.classes) if len(recipe.classes) > 1 else [],
            "kind": "variation" if recipe.variation_of is not None else "seed",
            "query": recipe.to_query(),
            "milliseconds": round(elapsed * 1000),
            "device": self.device.upper(),
        }

    def png(self, recipe: Recipe) -> bytes:
        """The recipe's picture as a PNG that carries it. Raises ResGenError."""
        images, _, _ = self.images(recipe)
        return grid.png_bytes(grid.compose(images, recipe), recipe, self.sampler(recipe.checkpoint).checkpoint.sha256)

    def zip(self, recipe: Recipe) -> bytes:
        """Each of the recipe's images as a PNG of its own, in a zip. Raises ResGenError."""
        images, seeds, labels = self.images(recipe)
        return grid.zip_bytes(images, seeds, labels, recipe, self.sampler(recipe.checkpoint).checkpoint.sha256)
