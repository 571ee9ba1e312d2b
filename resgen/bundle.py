"""The source of some of our classes and functions, with all of ours that they need, as one file that imports nothing of ours."""

import ast
import importlib
import inspect
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import ModuleType

OWN = "resgen"


class _Module:
    """The definitions at the top of one of our modules, by name, and what it imports."""

    def __init__(self, module: ModuleType) -> None:
        self.name, self.text = module.__name__, inspect.getsource(module)
        self.definitions: dict[str, ast.stmt] = {}
        self.ours: dict[str, tuple[str, str]] = {}  # local name -> module and name there
        self.others: dict[str, str] = {}  # local name -> an import statement
        for node in ast.parse(self.text).body:
            self._take(node)

    def _take(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                self._take_import(node, alias)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            self.definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        self.definitions[name.id] = node

    def _take_import(self, node: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        local = (alias.asname or alias.name).partition(".")[0]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == OWN:
            self.ours[local] = (node.module, alias.name)
        else:
            words = alias.name + (f" as {alias.asname}" if alias.asname else "")
            self.others[local] = f"from {node.module} import {words}" if isinstance(node, ast.ImportFrom) else f"import {words}"

    def source(self, node: ast.stmt) -> str:
        """The text of a definition with its decorators and the comment at its end."""
        first = min([node.lineno, *(part.lineno for part in getattr(node, "decorator_list", []))])
        return "\n".join(self.text.splitlines()[first - 1 : node.end_lineno])


@lru_cache(64)
def _module(name: str) -> _Module:
    return _Module(importlib.import_module(name))


def bundle(wanted: Sequence[tuple[str, str]]) -> str:
    """The source of ``wanted``, (module, name) each, and of all of ours that it needs, in an order in which it can be run."""
    parts, imports, done, homes = list[str](), set[str](), set[tuple[str, int]](), dict[str, str]()

    def add(place: str, name: str) -> None:
        module = _module(place)
        if name in module.ours:
            return add(*module.ours[name])
        if name in module.others:
            imports.add(module.others[name])
            return None
        node = module.definitions.get(name)
        if node is None or (place, node.lineno) in done:
            return None
        assert homes.setdefault(name, place) == place, f"{name} is defined in {homes[name]} and in {place}"
        done.add((place, node.lineno))
        for used in _names(node):
            add(place, used)
        parts.append(module.source(node))
        return None

    for place, name in wanted:
        add(place, name)
    return "\n".join(sorted(imports, key=lambda line: (line.startswith("from"), line))) + "\n\n\n" + "\n\n\n".join(parts) + "\n"


def _names(node: ast.AST) -> Iterable[str]:
    """Names that a definition uses, in their order; those in quotes too, where they are types."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
            yield part.value
