"""Gradio, imported without what only its own developers need."""

import inspect
from importlib import import_module


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
