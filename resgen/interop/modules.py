"""Modules in a file, which is read as data: what their state dict would be. A file may have the same part in many places, so all is counted at each."""

from collections.abc import Callable, ItemsView, Iterator
from typing import Any

from resgen.errors import CheckpointError
from resgen.fields import is_table

MAX_PIECES = 30_000  # modules and tensors in a file
MAX_DEPTH = 32  # modules within modules
MAX_NAME = 100  # characters of the name of one of them


class Walk:
    """A way through the modules of one file. ``attributes_of`` a module is a table; of what is none, it is None."""

    def __init__(self, attributes_of: Callable[[object], dict[str, Any] | None]) -> None:
        self.attributes_of, self.left = attributes_of, MAX_PIECES

    def tensors(self, root: object) -> Iterator[tuple[str, Any]]:
        """What is in the place of parameters and buffers of a module and of those within it, by dotted names, without what a state dict leaves out.

        Raises CheckpointError for more modules, tensors, depth or longer names than a generator has.
        """
        waiting = [("", self.attributes_of(root) or {}, 0)]
        while waiting:
            prefix, attributes, depth = waiting.pop()
            parts, parameters, buffers = (_table(attributes.get(kind)) for kind in ("_modules", "_parameters", "_buffers"))
            left_out: Any = attributes.get("_non_persistent_buffers_set")
            if type(left_out) not in (set, list):  # the latter is how `pickles` keeps a set
                left_out = ()
            self.left -= 1 + len(parts) + len(parameters) + len(buffers) + len(left_out)
            if self.left < 0 or depth > MAX_DEPTH or not all(map(_is_name, (*parts, *parameters, *buffers))):
                raise CheckpointError("The file has modules of more parts than any generator, or of longer names; give the generator's state dict.")
            temporary = {name for name in left_out if isinstance(name, str)}
            for name, value in (*entries(parameters), *entries(buffers)):
                if name not in temporary:
                    yield f"{prefix}{name}", value
            within = [(f"{prefix}{name}.", found, depth + 1) for name, part in entries(parts) if (found := self.attributes_of(part)) is not None]
            waiting += reversed(within)


def entries(table: dict[Any, Any]) -> ItemsView[Any, Any]:
    """A table's keys and values; its own `items` may be an attribute that the file gave it."""
    return dict[Any, Any].items(table)


def _table(raw: object) -> dict[Any, Any]:
    return raw if is_table(raw) else {}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and len(name) <= MAX_NAME
