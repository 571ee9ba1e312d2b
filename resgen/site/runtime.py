"""onnxruntime-web for the page: found, or installed into a cache by npm, and copied; or left to a public CDN. package.json says which."""

import base64
import hashlib
import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resgen.errors import SiteError
from resgen.files import cache_folder, write_atomically

COPY, CDN = "copy", "cdn"
RUNTIMES = (COPY, CDN)
HERE = Path(__file__).parent
PACKAGE = "onnxruntime-web"
CDN_ADDRESS = "https://cdn.jsdelivr.net/npm"
COPIED = {"script": "runtime/onnxruntime.js", "wasm": "runtime/onnxruntime.wasm"}  # every host knows what these endings mean
NPM_SECONDS = 600


def place_runtime(folder: Path, runtime: str) -> dict[str, dict[str, Any]]:
    """Where the page finds the runtime's script and wasm: {url, bytes}, and of another host's files their integrity. Raises SiteError.

    Of ``COPY`` they are copied into the folder, of ``CDN`` nothing is.
    """
    if runtime not in RUNTIMES:
        raise SiteError(f"There is no runtime {runtime[:40]!r}; there are {', '.join(RUNTIMES)}.")
    files, version = _declared()
    if runtime == CDN:
        return {name: {**part, "url": f"{CDN_ADDRESS}/{PACKAGE}@{version}/{part['file']}"} for name, part in files.items()}
    package = find_package(version)
    return {name: _copy(package / part["file"], part["integrity"], folder, COPIED[name]) for name, part in files.items()}


def installed_files() -> dict[str, Path]:
    """The runtime's files by their names in package.json where the package is installed, beside that or in the cache; else none."""
    files, version = _declared()
    package = _installed(version)
    return {part["file"]: package / part["file"] for part in files.values()} if package else {}


def find_package(version: str) -> Path:
    """The folder of onnxruntime-web: where it is installed, or in the cache after npm has installed it there. Raises SiteError."""
    return _installed(version) or _install(version)


def _installed(version: str) -> Path | None:
    places = (folder / "node_modules" / PACKAGE for folder in (HERE, _cache(version)))
    return next((place for place in places if _version(place) == version), None)


def _declared() -> tuple[dict[str, Any], str]:
    """The files of onnxruntime-web that are needed, and its version."""
    declared = json.loads((HERE / "package.json").read_text(encoding="utf-8"))
    return declared["runtime"], declared["dependencies"][PACKAGE]


def _cache(version: str) -> Path:
    return cache_folder() / f"{PACKAGE}-{version}"


def integrity_of(data: bytes) -> str:
    """As the attribute of that name has it."""
    return f"sha384-{base64.b64encode(hashlib.sha384(data).digest()).decode()}"


def _version(package: Path) -> str:
    """The version of an installed package, "" where there is none."""
    try:
        return json.loads((package / "package.json").read_text(encoding="utf-8")).get("version", "")
    except (OSError, ValueError):
        return ""


def _install(version: str) -> Path:
    """What package-lock.json pins, by npm, into the cache; the package's folder. Raises SiteError."""
    npm = shutil.which("npm")
    if npm is None:
        raise SiteError(f"The page needs {PACKAGE}, which npm fetches: install Node.js, or let the page load it from a CDN with --runtime {CDN}.")
    folder = _cache(version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as own:  # whoever installs it at the same time does so elsewhere
        _run_npm(npm, Path(own))
        if not _installed(version):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                Path(own).rename(folder)
    return folder / "node_modules" / PACKAGE


def _run_npm(npm: str, folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(HERE / name, folder / name)
    words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise SiteError(_failed("it took too long")) from error
    if done.returncode:
        raise SiteError(_failed(next((line for line in done.stderr.splitlines() if "ERR" in line or "error" in line), "no reason given")))


def _failed(reason: str) -> str:
    return f"npm could not install {PACKAGE} ({reason[:160]}): try again with a connection, or with --runtime {CDN}."


def _copy(file: Path, integrity: str, folder: Path, name: str) -> dict[str, Any]:
    """A file of the runtime, put into the page's folder; it must be the one that package.json tells. Raises SiteError."""
    data = file.read_bytes() if file.exists() else b""
    if integrity_of(data) != integrity:
        raise SiteError(f"{file} is not the file that was published: delete {file.parents[2]}, then export again.")
    write_atomically(folder / name, data)
    return {"url": name, "bytes": len(data)}
