"""Whether a built wheel holds all that the studio shows, and needs no more than what it asks for: python docs/check_wheel.py dist/resgen-*.whl"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
USE = """
import sys
from importlib.machinery import PathFinder

find, others = PathFinder.find_spec, set(sys.argv[1:])
PathFinder.find_spec = lambda name, *more: None if name.partition(".")[0] in others else find(name, *more)

from pathlib import Path

from resgen import Recipe
from resgen.cli import main
from resgen.library import SHIPPED, Library
from resgen.studio.app import build
library = Library(device="cpu")
assert "checkpoints" == SHIPPED.name and SHIPPED.parent.name == "resgen", SHIPPED
build(device="cpu")
name = library.names()[-1]
assert library.sampler(name).render(Recipe(seeds=(0,))).shape[0] == 1
made = {"film.mp4": ["walk", name, "--stops", "1,2", "--seconds", "0.5"], f"{name}.onnx": ["export", name]}
for file, words in made.items():
    try:
        main([*words, "--out", file])
    except SystemExit as ended:
        assert not ended.code, words
    assert Path(file).stat().st_size, file
print("The installed package has", ", ".join(library.names()), "and draws, films and exports with its requirements alone")
"""


def required() -> set[str]:
    """Names of all that `requirements.txt` brings, and what that requires."""
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ = [Requirement(line) for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    while open_:
        wanted = open_.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key not in seen:
            seen.add(key)
            open_ += _requirements_of(wanted)
    return {name for name, _ in seen}


def _requirements_of(wanted: Requirement) -> Iterator[Requirement]:
    """What an installed distribution requires here, with the extras that are wanted of it."""
    for line in distribution(wanted.name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)):
            yield requirement


def main(wheel: str) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = (path for path in (ROOT / "resgen").rglob("*") if "node_modules" not in path.parts)
    wanted = {str(path.relative_to(ROOT)) for path in ours if path.suffix in (".py", ".js", ".json", ".html", ".css", ".svg", ".txt", ".typed")}
    wanted |= {f"resgen/{path.relative_to(ROOT)}" for path in (ROOT / "checkpoints").rglob("*.safetensors")}
    if missing := sorted(wanted - names):
        sys.exit(f"The wheel lacks {', '.join(missing)}.")
    of_requirements = required() | {"resgen"}
    others = [module for module, owners in packages_distributions().items() if not of_requirements & set(map(canonicalize_name, owners))]
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        subprocess.run([sys.executable, "-c", USE, *others], cwd=folder, check=True)


if __name__ == "__main__":
    main(sys.argv[1])
