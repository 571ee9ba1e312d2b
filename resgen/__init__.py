"""ResGen: explore image generators built from residual networks."""

from typing import TYPE_CHECKING, Any

from resgen.errors import CheckpointError, DataError, RecipeError, ResGenError
from resgen.recipe import Recipe

if TYPE_CHECKING:
    from resgen.checkpoint import list_checkpoints
    from resgen.sampler import Sampler, load

__version__ = "0.1.0"
__all__ = ["CheckpointError", "DataError", "Recipe", "RecipeError", "ResGenError", "Sampler", "list_checkpoints", "load"]

_HOMES = {"Sampler": "resgen.sampler", "load": "resgen.sampler", "list_checkpoints": "resgen.checkpoint"}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for, so that `resgen --help` answers at once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resgen' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
