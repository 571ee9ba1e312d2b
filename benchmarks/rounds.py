"""Timing things against one another on a machine that may be busy."""

import time
from collections.abc import Callable

ROUNDS = 8


def least_seconds(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The least seconds that each step took in `ROUNDS` rounds, which alternate between the steps, so that a busy machine is fair to all."""
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            least[name] = min(least[name], time.perf_counter() - start)
    return least
