"""What PyTorch files name beside tensors: none of it is imported or called, and a class of ours without any effect stands in the place of each name."""

import sys
from collections import OrderedDict
from collections.abc import ItemsView
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from resgen.errors import CheckpointError
from resgen.fields import is_table

MAX_NAMES = 64  # for which something stands, since torch looks each up again and again
MAX_PIECES = 30_000  # modules and tensors of whole modules in a file
MAX_DEPTH = 32  # modules within modules
MAX_NAME = 100  # characters of the name of one of them
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


def opened(tables: list[tuple[str, dict[Any, Any]]], path: Path) -> list[tuple[str, dict[Any, Any]]]:
    """Tables and their places; in place of one that stands for a whole module, what its state dict would be. Raises CheckpointError."""
    left, found = MAX_PIECES, list[tuple[str, dict[Any, Any]]]()
    for place, table in tables:
        state, waiting = dict[Any, Any](), [("", table, 0)] if "_modules" in _attributes(table) else []
        while waiting:
            prefix, module, depth = waiting.pop()
            parts = _part(module, "_modules")
            tensors = _part(module, "_parameters") | _part(module, "_buffers")
            left -= 1 + len(parts) + len(tensors)
            if left < 0 or depth > MAX_DEPTH or any(len(str(name)) > MAX_NAME for name in (*parts, *tensors)):
                raise CheckpointError(
                    f"{path.name} has modules of more parts than any generator, or of longer names; give the generator's state dict."
                )
            state |= {f"{prefix}{name}": value for name, value in tensors.items()}
            waiting += [(f"{prefix}{name}.", part, depth + 1) for name, part in reversed(parts.items()) if is_table(part)]
        found.append((place, state or table))
    return found


def entries(table: dict[Any, Any]) -> ItemsView[Any, Any]:
    """A table's keys and values; its own `items` may be an attribute that the file gave it."""
    return dict[Any, Any].items(table)


def _attributes(table: dict[Any, Any]) -> dict[str, Any]:
    return getattr(table, "__dict__", {})


def _part(module: dict[Any, Any], kind: str) -> dict[Any, Any]:
    """One of the tables of a module, without buffers that its state dict leaves out."""
    attributes = _attributes(module)
    part, without = attributes.get(kind), attributes.get("_non_persistent_buffers_set")
    return {name: value for name, value in entries(part) if not isinstance(without, set) or name not in without} if is_table(part) else {}
