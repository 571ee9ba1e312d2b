"""Which process this is of those that `torchrun` has started, as it tells each by the environment."""

import os
from typing import NamedTuple

from resgen.errors import ResGenError


class Process(NamedTuple):
    """One of several that share work."""

    rank: int  # 0..size - 1
    size: int  # how many there are
    device: str  # its own


def this_process(device: str) -> Process:
    """This one; ``device`` is what all were given, of which each has its own where that is 'cuda'. Raises ResGenError."""
    try:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ["RANK"] if size > 1 else os.environ.get("RANK", "0"))
        if not 0 <= rank < size:
            raise ValueError("there is no such process")
        return Process(rank, size, f"cuda:{int(os.environ['LOCAL_RANK'])}" if device == "cuda" and size > 1 else device)
    except (KeyError, ValueError) as error:
        raise ResGenError("RANK, WORLD_SIZE and LOCAL_RANK do not say which process this is: start it by `torchrun`, or unset them.") from error


def leads() -> bool:
    """Whether this process speaks to a terminal: the first one, or any that is not told which it is."""
    return os.environ.get("RANK", "0") == "0"
