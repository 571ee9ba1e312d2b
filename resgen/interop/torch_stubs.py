"""What PyTorch files name beside tensors: none of it is imported or called, and a class of ours without any effect stands in the place of each name."""

import sys
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from resgen.fields import is_table
from resgen.interop.modules import Walk

MAX_NAMES = 64  # for which something stands, since torch looks each up again and again
OPAQUE = {"numpy", "pathlib", "datetime"}  # first words of names whose objects have states of their own kinds
HARMLESS = {
    *("argparse.Namespace", "types.SimpleNamespace", "collections.defaultdict"),
    *(f"builtins.{kind}" for kind in ("bool", "dict", "float", "int", "list", "object", "range", "slice", "str", "tuple")),
}  # of Python's own names, of which a file that gives any other is refused
_loading = Lock()  # what stands for a name does so in all of torch


class Table:
    """Stands for a class or a function: what it makes is a table without entries, whatever it is called with, which keeps what is put in and its attributes."""

    def __new__(cls, *_: object) -> Any:
        return OrderedDict[Any, Any]()


class Nothing:
    """The same, where what it makes keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: object) -> "Nothing":
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def load(path: Path) -> object:
    """What a zip file of torch.save holds. Raises what `torch.load` does, also for names that nothing stands for."""
    with _loading:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        known = [name for name in names if _is_harmless(name)] if len(names) <= MAX_NAMES else []
        with torch.serialization.safe_globals([(Nothing if _first(name) in OPAQUE else Table, name) for name in known]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _first(name: str) -> str:
    return name.partition(".")[0]


def _is_harmless(name: str) -> bool:
    return name in HARMLESS or _first(name) in OPAQUE or _first(name) not in sys.stdlib_module_names


def opened(tables: list[tuple[str, dict[Any, Any]]]) -> list[tuple[str, dict[Any, Any]]]:
    """Tables and their places; in place of one that stands for a whole module, what its state dict would be. Raises CheckpointError."""
    walk = Walk(_attributes)  # one for all of the file
    return [(place, (_is_module(table) and dict(walk.tensors(table))) or table) for place, table in tables]


def _is_module(table: object) -> bool:
    return "_modules" in (_attributes(table) or {})


def _attributes(table: object) -> dict[str, Any] | None:
    return getattr(table, "__dict__", {}) if is_table(table) else None
