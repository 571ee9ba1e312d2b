"""The public HTTP endpoints, for `gradio_client` and MCP: /render, /walk, /invert, /curate and /checkpoints. Nothing else is public."""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from resgen import curate
from resgen.checkpoint import list_checkpoints
from resgen.composite import Walk, read, read_points
from resgen.errors import RecipeError
from resgen.grid import write_atomically
from resgen.recipe import Recipe, parse_numbers, parse_pairs, parse_seeds
from resgen.studio.page import friendly
from resgen.studio.renderer import Renderer

KEPT_SECONDS = 3600
MAX_STEPS = 1000


class Files:
    """Pictures and films handed out, each for an hour."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="resgen-"))

    def hand_out(self, name: str, data: bytes) -> str:
        for entry in self.folder.iterdir():
            if time.time() - entry.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
        path = Path(tempfile.mkdtemp(dir=self.folder)) / name
        write_atomically(path, data)
        return str(path)


def add_api(renderer: Renderer) -> None:
    """Declare the endpoints inside an open `gr.Blocks`."""
    files = Files()
    first = next(iter(renderer.names()), "")
    checkpoint = gr.Textbox(first, label="checkpoint", visible=False)
    truncation = gr.Number(1.0, label="truncation", visible=False)
    _add(
        "render",
        _render(renderer, files),
        [
            checkpoint,
            gr.Textbox("0-15", label="seeds", visible=False),
            gr.Textbox("", label="classes", visible=False),
            gr.Textbox("", label="class mix", visible=False),
            truncation,
            gr.Textbox("", label="directions", visible=False),
            gr.Number(8, label="columns", precision=0, visible=False),
            gr.Number(3, label="scale", precision=0, visible=False),
            gr.Textbox("", label="gains", visible=False),
            gr.Textbox("", label="sweep", visible=False),
            gr.Textbox("", label="plane", visible=False),
            gr.Textbox("", label="recipe", visible=False),
        ],
        gr.File(label="PNG", visible=False),
        "render",
    )
    _add(
        "walk",
        _walk(renderer, files),
        [
            checkpoint,
            gr.Textbox("1,2,3", label="stops", visible=False),
            gr.Number(4, label="seconds", visible=False),
            gr.Number(24, label="fps", precision=0, visible=False),
            gr.Checkbox(True, label="loop", visible=False),
            gr.Textbox("z", label="path", visible=False),
            truncation,
            gr.Number(6, label="scale", precision=0, visible=False),
            gr.Textbox("mp4", label="format", visible=False),
        ],
        gr.File(label="film", visible=False),
        "slow",
    )
    _add(
        "invert",
        _invert(renderer),
        [gr.File(label="image", visible=False), checkpoint, gr.Number(400, label="steps", precision=0, visible=False)],
        gr.JSON(label="latent", visible=False),
        "slow",
    )
    _add(
        "curate",
        _curate(renderer),
        [
            checkpoint,
            gr.Textbox("", label="class", visible=False),
            gr.Number(200, label="many", precision=0, visible=False),
            gr.Number(24, label="keep", precision=0, visible=False),
            gr.Textbox(curate.CONFIDENCE, label="order", visible=False),
            gr.Number(0, label="first seed", precision=0, visible=False),
        ],
        gr.JSON(label="recipe", visible=False),
        "slow",
    )

    def checkpoints() -> list[dict[str, Any]]:
        """List the checkpoints there are, each as its card: classes, data set, figures, directions."""
        return list_checkpoints(renderer.folder)

    _add("checkpoints", checkpoints, None, gr.JSON(visible=False), "render")


def _add(name: str, function: Callable[..., Any], inputs: Any, output: Any, queue: str) -> None:
    limit = {"render": 2, "slow": 1}[queue]
    gr.Button(visible=False).click(friendly(function), inputs, output, api_name=name, concurrency_limit=limit, concurrency_id=queue)


def _render(renderer: Renderer, files: Files) -> Callable[..., str]:
    def render(
        checkpoint: str, seeds: str, classes: str, class_mix: str, truncation: float, directions: str,
        columns: int, scale: int, gains: str, sweep: str, plane: str, recipe: str,
    ) -> str:  # fmt: skip
        """Draw a grid of generated images, or any other recipe.

        Args:
            checkpoint: name of a checkpoint, one of /checkpoints
            seeds: numbers and ranges, such as 0-15,42; each is one image
            classes: class names separated by commas, a row of seeds each; empty: drawn from the seed
            class_mix: a mixture of classes, such as cat=0.7,dog=0.3
            truncation: 0 (the average image) to 1.5
            directions: latent directions in standard deviations, such as pc1=2,pc3=-1
            columns: images in a row
            scale: enlargement of each image, 1 to 16
            gains: how much each residual block adds, 0 to 2, such as 1,1,0.5,1; empty: all 1
            sweep: a direction along which each image becomes a row
            plane: x,y,step: a window of the seed plane, in place of seeds
            recipe: a whole recipe as JSON, in place of everything else: a grid, mix, compare or anatomy

        Returns:
            A PNG that carries its recipe in the text chunk 'resgen'.
        """
        wanted = read(recipe) if recipe else Recipe(
            checkpoint=checkpoint,
            seeds=parse_seeds(seeds),
            plane=tuple(parse_numbers(plane, "Plane")) or None,  # type: ignore[arg-type]
            classes=tuple(filter(None, classes.split(","))),
            class_mix=parse_pairs(class_mix, "Class mix"),
            truncation=float(truncation),
            directions=parse_pairs(directions, "Directions"),
            sweep=sweep,
            residual_gains=tuple(parse_numbers(gains, "Gains")),
            columns=int(columns),
            scale=int(scale),
        )  # fmt: skip
        if isinstance(wanted, Walk):
            raise RecipeError("A walk is a film: ask /walk for it.")
        return files.hand_out("picture.png", renderer.png(wanted))

    return render


def _walk(renderer: Renderer, files: Files) -> Callable[..., str]:
    def walk(checkpoint: str, stops: str, seconds: float, fps: int, loop: bool, path: str, truncation: float, scale: int, format: str) -> str:
        """Make a film that passes through images.

        Args:
            checkpoint: name of a checkpoint, one of /checkpoints
            stops: seeds, of a class after @, such as 3,7@cat,10-12; or a whole walk as JSON, in place of everything but the format
            seconds: of the whole film, 0.2 to 60
            fps: frames a second, 1 to 60
            loop: whether it returns to the first image
            path: z turns the noise spherically, w goes in straight lines
            truncation: 0 (the average image) to 1.5
            scale: enlargement of each image, 1 to 16
            format: mp4, gif or webp

        Returns:
            The film, with its recipe inside.
        """
        if stops.lstrip().startswith("{"):
            wanted = read(stops)
        else:
            wanted = Walk(read_points(stops, checkpoint, float(truncation)), float(seconds), int(fps), bool(loop), path, int(scale))
        if not isinstance(wanted, Walk):
            raise RecipeError("Stops: this recipe is not a walk; ask /render for it.")
        return files.hand_out(f"walk.{format[:5]}" if format.isalnum() else "walk", renderer.film(wanted, f".{format}"))

    return walk


def _invert(renderer: Renderer) -> Callable[..., dict[str, Any]]:
    def invert(image: str, checkpoint: str, steps: int) -> dict[str, Any]:
        """Find the latent that draws an image.

        Args:
            image: a picture file
            checkpoint: name of a checkpoint, one of /checkpoints
            steps: of the search, 1 to 1000

        Returns:
            The recipe of the image found, for /render, and how near it comes: PSNR in decibels.
        """
        from resgen.invert import load_photo

        if not image:
            raise RecipeError("Image: send a picture file.")
        if not 1 <= steps <= MAX_STEPS:
            raise RecipeError(f"Steps: {steps} is outside 1..{MAX_STEPS}.")
        target = load_photo(Path(image), renderer.sampler(checkpoint).checkpoint.arch.resolution)
        found = renderer.invert(target, checkpoint, int(steps))
        return {"recipe": found.recipe.to_dict(), "psnr": round(found.psnr, 2)}

    return invert


def _curate(renderer: Renderer) -> Callable[..., dict[str, Any]]:
    def keep_best(checkpoint: str, label: str, many: int, keep: int, order: str, first_seed: int) -> dict[str, Any]:
        """Draw many images and keep the best.

        Args:
            checkpoint: name of a checkpoint, one of /checkpoints
            label: a class, or empty: each seed draws its own
            many: how many seeds to look at, at most 1000
            keep: how many to keep
            order: 'Confidence' of a classifier, or 'Likeness to real images'
            first_seed: where the seeds begin

        Returns:
            The recipe of the images kept, best first, for /render.
        """
        if many > MAX_STEPS:
            raise RecipeError(f"Many: at most {MAX_STEPS} images are looked at.")
        recipe = Recipe(checkpoint, (int(first_seed),), classes=(label,) if label else ())
        best = curate.curate(recipe, renderer.sampler(checkpoint), renderer.features(checkpoint), int(many), int(keep), order)
        return replace(best, columns=8).to_dict()

    return keep_best
