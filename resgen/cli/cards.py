"""Commands that tell what there is: list, info."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from resgen.cli.common import CheckpointArgument, Folder, library
from resgen.errors import CheckpointError

if TYPE_CHECKING:
    from resgen.card import Card


def add_to(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command("list", epilog="Example: resgen list --json")(list_)
    app.command(epilog="Example: resgen info cifar10 --json")(info)


def list_(as_json: Annotated[bool, typer.Option("--json", help="Whole cards, as JSON.")] = False, checkpoints: Folder = None) -> None:
    """List the checkpoints there are."""
    cards = library(checkpoints).cards()
    if as_json:
        print(json.dumps([card.to_dict() for card in cards], indent=2))
        return
    table = Table("name", "pixels", "classes", "trained on")
    for card in cards:
        table.add_row(card.name, str(card.arch.resolution), str(len(card.classes) or "-"), escape(str(card.dataset.get("name", ""))))
    Console().print(table)


def info(
    checkpoint: CheckpointArgument,
    as_json: Annotated[bool, typer.Option("--json", help="The whole card, as JSON.")] = False,
    checkpoints: Folder = None,
) -> None:
    """Show a checkpoint's card."""
    from resgen.notes import NOTED

    if Path(checkpoint).suffix.lower() in NOTED and Path(checkpoint).is_file():
        raise CheckpointError(
            f"{Path(checkpoint).name} is no checkpoint: what is in a picture or film is written by `resgen render FILE --out recipe.json`."
        )
    shelf = library(checkpoints)
    name = shelf.add(checkpoint)
    if as_json:
        print(json.dumps(shelf.card(name).to_dict() | {"sha256": shelf.sampler(name).checkpoint.sha256}, indent=2))
        return
    card, console = shelf.card(name), Console()
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for what, words in describe(card):
        facts.add_row(f"[bold]{what}", escape(words))
    if snapshots := shelf.snapshots(name):
        facts.add_row("[bold]Snapshots", ", ".join(snapshots))
    console.print(facts)
    if card.metrics:
        console.print(figures_table(card.metrics))
    for moment, command in commands(card):
        console.print(f"\n[bold]{moment}[/bold]")
        console.print(escape(command), soft_wrap=True, highlight=False)


def describe(card: "Card") -> list[tuple[str, str]]:
    """What a card says, as (what, words)."""
    data, training = card.dataset, card.training
    facts = [("Name", card.name), ("Images", f"{card.arch.resolution} x {card.arch.resolution} pixels, {card.blocks_in_words}")]
    if card.classes:
        more = f", and {len(card.classes) - 12} more" if len(card.classes) > 12 else ""
        facts.append(("Classes", ", ".join(card.classes[:12]) + more))
    if card.direction_names:
        facts.append(("Directions", ", ".join(card.direction_names)))
    if card.source:
        facts.append(
            ("Imported", f"from {card.source.get('file', '?')} ({card.source.get('kind', '?')}), SHA-256 {card.source.get('sha256', '?')[:16]}")
        )
    if data.get("name"):
        count = f", {data['images']:,} images" if "images" in data else ""
        facts.append(("Data", f"{data['name']}{count}; author: {data.get('author', 'not stated')}; licence: {data.get('licence', 'not stated')}"))
    if "images_seen" in training:
        facts.append(("Training", f"{training['images_seen']:,} images, {training.get('hours', '?')} hours on {training.get('hardware', '?')}"))
    return facts


def figures_table(metrics: dict[str, Any]) -> Table:
    """Measured figures beside those of real test images."""
    table = Table("figure", "generated", "real test set")
    for key, value in metrics.items():
        if not key.startswith("real_test_"):
            table.add_row(escape(key), f"{value:g}", f"{metrics[other]:g}" if (other := f"real_test_{key}") in metrics else "")
    return table


def commands(card: "Card") -> list[tuple[str, str]]:
    """How the generator was trained, stage by stage: (when, command)."""
    training = card.training
    first = [("Trained with", training["command"])] if training.get("command") else []
    return first + [(f"From image {stage['from_image']:,} on", stage["command"]) for stage in training.get("stages", ())]
