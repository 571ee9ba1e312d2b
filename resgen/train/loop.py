"""The loop of `resgen train`, with its saves."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resgen.errors import CheckpointError
from resgen.train.state import HISTORY, STATE, State, capture, load_state, read_history, save_state, write_history
from resgen.train.trainer import Trainer

MILESTONES = tuple(1000 * 4**power for power in range(8))  # images after which a snapshot is kept, to show how a generator learns


def run(
    trainer: Trainer,
    out: Path,
    rows: list[dict[str, Any]],
    on_step: Callable[[int, dict[str, float], float], None],
    on_save: Callable[[list[dict[str, Any]]], None],
    on_milestone: Callable[[float], None],
) -> None:
    """Train to ``config.images``, saving into ``out``; ``rows``: the history so far, as `take_up` gives it.

    ``on_step`` is told images seen, losses and images per second; ``on_save`` the history;
    ``on_milestone`` the seconds of training, when the images seen pass one of `MILESTONES`. Where a loss or a weight is not finite, the run
    goes back to its last save. Raises ResGenError.
    """
    if trainer.images_seen >= trainer.config.images:
        on_save(rows)  # nothing is left to train, but the checkpoint may be written anew
    before, started, since_save = rows[-1]["seconds"] if rows else 0.0, time.monotonic(), time.monotonic()
    rate, kept, good = 0.0, [], capture(trainer)
    while trainer.images_seen < trainer.config.images:
        tick = time.monotonic()
        losses = trainer.step()
        seen, seen_before = trainer.images_seen, trainer.images_seen - trainer.config.batch
        is_milestone = any(seen_before < milestone <= seen for milestone in MILESTONES)
        saves = seen >= trainer.config.images or seen // trainer.config.save_every != seen_before // trainer.config.save_every
        if not all(map(math.isfinite, losses.values())) or ((saves or is_milestone) and not trainer.is_sound()):
            trainer.go_back(good)
            kept, since_save = [], time.monotonic()
            continue
        kept.append(losses)
        instant = trainer.config.batch / (time.monotonic() - tick)
        rate = instant if not rate else 0.95 * rate + 0.05 * instant
        on_step(seen, losses, rate)
        if is_milestone:
            on_milestone(before + time.monotonic() - started)
        if saves:
            speed = len(kept) * trainer.config.batch / (time.monotonic() - since_save)
            seconds = before + time.monotonic() - started
            rows.append({"images": seen, **_mean(kept), "images_per_second": round(speed, 1), "seconds": round(seconds, 1)})
            good = _save(trainer, out, rows)
            on_save(rows)
            kept, since_save = [], time.monotonic()


def _save(trainer: Trainer, out: Path, rows: list[dict[str, Any]]) -> State:
    """The state that a run can go on from, in its folder as well. Raises FileError."""
    trainer.forget()
    state = capture(trainer)
    if trainer.team.leads:
        write_history(out / HISTORY, rows)  # first: rows beyond the state are dropped on the way back, missing ones would stay missing
        save_state(state, out / STATE)
    return state


def check_run(out: Path, name: str, resume: bool) -> None:
    """Raise CheckpointError, before the work, where ``out`` holds a run and none is to be resumed, or one of this ``name`` without its state is."""
    if (out / STATE).exists() and not resume:
        raise CheckpointError(f"{out} already holds a run: add --resume to go on with it, or choose another --out.")
    if not (out / STATE).exists() and resume and (out / f"{name}.safetensors").exists():  # which is written after the first state
        raise CheckpointError(f"{out} lacks {STATE}, the state of its run: begin another in another --out, with its checkpoint as --init.")


def take_up(trainer: Trainer, out: Path) -> list[dict[str, Any]]:
    """Take up the run in ``out`` if there is one; the rows of its history. Raises CheckpointError."""
    if not (out / STATE).exists():
        return []
    load_state(trainer, out / STATE)
    return [row for row in read_history(out / HISTORY) if row["images"] <= trainer.images_seen]


def _mean(kept: list[dict[str, float]]) -> dict[str, float]:
    """Of each loss over the steps that had it."""
    found = {name: [losses[name] for losses in kept if name in losses] for losses in kept for name in losses}
    return {name: round(sum(values) / len(values), 4) for name, values in found.items()}
