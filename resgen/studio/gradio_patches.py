"""Gradio, imported without what only its own developers need, and changed where it has to be."""

import inspect
from importlib import import_module
from typing import Any


def import_gradio() -> None:
    """Import Gradio for the first time, without the stubs (.pyi) of its components that it writes anew at every import, which takes two seconds.

    Components whose source is not found it leaves alone; while it is imported, that is so for its own.
    """
    find = inspect.getfile

    def find_others(thing: object) -> str:
        if str(getattr(thing, "__module__", "")).startswith("gradio."):
            raise OSError
        return find(thing)  # type: ignore[arg-type]

    inspect.getfile = find_others
    try:
        import_module("gradio")
    finally:
        inspect.getfile = find


def put_in_place(owner: Any, name: str, ours: Any) -> None:
    """Have Gradio use ``ours`` for what it calls ``name``. Raises AttributeError where a version of it has no such thing: a guard must not go unseen."""
    getattr(owner, name)
    setattr(owner, name, ours)
