"""ResGen: explore image generators built from residual networks."""

from typing import TYPE_CHECKING, Any

from resgen.errors import CheckpointError, DataError, FileError, RecipeError, ResGenError
from resgen.recipe import Recipe

if TYPE_CHECKING:
    from resgen.library import list_checkpoints, load
    from resgen.sampler import Sampler

__version__ = "0.2.0.dev0"
__all__ = ["CheckpointError", "DataError", "FileError", "Recipe", "RecipeError", "ResGenError", "Sampler", "list_checkpoints", "load"]

_HOMES = {"Sampler": "resgen.sampler", "load": "resgen.library", "list_checkpoints": "resgen.library"}


def __dir__() -> list[str]:
    """What is here, and what is imported once it is asked for."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for, so that `resgen --help` answers at once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resgen' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
