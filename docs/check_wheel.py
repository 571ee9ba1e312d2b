"""Whether a built wheel holds all that the studio shows: python docs/check_wheel.py dist/resgen-*.whl"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DRAW = """
from resgen.library import SHIPPED, Library
from resgen.studio.app import build
library = Library(device="cpu")
assert "checkpoints" == SHIPPED.name and SHIPPED.parent.name == "resgen", SHIPPED
build(device="cpu")
print("The installed package has", ", ".join(library.names()), "and draws", library.sampler(library.names()[0]).render(
    __import__("resgen").Recipe(seeds=(0,))).shape)
"""


def main(wheel: str) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = (path for path in (ROOT / "resgen").rglob("*") if "node_modules" not in path.parts)
    wanted = {str(path.relative_to(ROOT)) for path in ours if path.suffix in (".py", ".js", ".json", ".html", ".css", ".svg", ".txt", ".typed")}
    wanted |= {f"resgen/{path.relative_to(ROOT)}" for path in (ROOT / "checkpoints").rglob("*.safetensors")}
    if missing := sorted(wanted - names):
        sys.exit(f"The wheel lacks {', '.join(missing)}.")
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(wheel).extractall(folder)
        subprocess.run([sys.executable, "-c", DRAW], cwd=folder, check=True)


if __name__ == "__main__":
    main(sys.argv[1])
