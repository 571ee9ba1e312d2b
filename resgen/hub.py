"""The Hugging Face Hub: checkpoints fetched from it and put there, and the program itself as a Space."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resgen.errors import CheckpointError, FileError, ResGenError, why

REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)  # owner/name
SOURCE = re.compile(rf"({REPOSITORY.pattern})(?::([\w.-]+))?", re.ASCII)  # and one of its checkpoints
SUFFIX = ".safetensors"
TIMEOUT = 10.0  # seconds that the Hub may take to say what it holds
CARD, PICTURE = "README.md", "samples.png"  # beside a checkpoint
OF_SPACES = ("checkpoints/", "resgen/")  # the folders of a Space in which nothing stays but what is put there
NOT_OURS = {"__pycache__", "node_modules"}  # folders that Python and npm make beside the program's files


def fetch(source: str) -> Path:
    """The file of a checkpoint on the Hub, 'owner/name' or 'owner/name:checkpoint', kept once fetched: from then on no network is needed.

    Raises CheckpointError.
    """
    matched = SOURCE.fullmatch(source)
    if not matched:
        raise CheckpointError(f"{source[:80]!r} is no Hub repository; write owner/name, or owner/name:checkpoint.")
    from huggingface_hub.errors import RepositoryNotFoundError

    repository, wanted = matched.groups()
    try:
        return _fetch_online(repository, wanted)
    except RepositoryNotFoundError as error:  # of a private or gated one the Hub tells strangers the same
        raise CheckpointError(
            f"There is no Hub repository {repository}, or it is private: check the name, or log in with `hf auth login`."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # the Hub's client passes on the errors of many layers
        return _find_kept(repository, wanted, error)


def _fetch_online(repository: str, wanted: str | None) -> Path:
    """Raises CheckpointError where it is not there, or whatever the Hub's client does."""
    from huggingface_hub import HfApi, hf_hub_download  # pyright: ignore[reportUnknownVariableType]

    files = [file.rfilename for file in HfApi().model_info(repository, timeout=TIMEOUT).siblings or ()]
    names = [Path(name).stem for name in files if "/" not in name and name.endswith(SUFFIX)]
    chosen = _choose(repository, names, wanted) + SUFFIX
    # Whatever revision comes is read as a stranger's file, and a picture holds the SHA-256 of the weights that drew it: no pinning is needed.
    return Path(hf_hub_download(repository, chosen))  # nosec B615


def _find_kept(repository: str, wanted: str | None, failed: Exception) -> Path:
    """What was fetched before, since fetching it now ``failed``. Raises CheckpointError."""
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]

    try:
        folder = Path(snapshot_download(repository, local_files_only=True))  # nosec B615
    except Exception:
        if isinstance(failed, OSError) and failed.strerror:  # of this machine's disk; those of the network have numbers of their own
            raise CheckpointError(f"{repository} cannot be kept here: {failed.strerror}.") from failed
        raise CheckpointError(f"The Hub cannot be reached, and {repository} was not fetched before; check the network.") from failed
    names = [path.stem for path in folder.glob(f"*{SUFFIX}")]
    if wanted and wanted not in names:
        raise CheckpointError(f"The Hub cannot be reached, and {wanted} of {repository} was not fetched before; check the network.") from failed
    return folder / (_choose(repository, names, wanted) + SUFFIX)


def _choose(repository: str, names: Sequence[str], wanted: str | None) -> str:
    """The checkpoint that is wanted, else the only one. Raises CheckpointError."""
    if wanted in names:
        return str(wanted)
    if wanted is None and len(names) == 1:
        return names[0]
    there = f"there are: {', '.join(sorted(names))}" if names else "it holds none"
    raise CheckpointError(f"Choose a checkpoint of {repository} as {repository}:NAME; {there}.")


def push(repository: str, name: str, path: Path, card: str, picture: bytes, private: bool = False) -> str:
    """Put a checkpoint's file on the Hub with a model card and a picture; the address of the page. Raises ResGenError.

    A snapshot, 'cifar10@4000', becomes a checkpoint of its own there, 'cifar10-4000': its file is called by a number alone.
    """
    file = name.replace("@", "-") + SUFFIX
    return _upload(repository, {file: path, CARD: card.encode(), PICTURE: picture}, f"{name}, by ResGen", private=private)


def deploy(repository: str, files: Mapping[str, Path | bytes], private: bool = False) -> str:
    """Put the program on the Hub as a Space, files by their names there, in place of what an earlier one left; the address of the page.

    Raises ResGenError.
    """
    return _upload(repository, files, "ResGen", OF_SPACES, repo_type="space", space_sdk="gradio", private=private)


def _upload(repository: str, files: Mapping[str, Path | bytes], message: str, emptied: tuple[str, ...] = (), **kind: Any) -> str:
    """One commit that adds ``files``, and of a Space's folders ``emptied`` removes all others."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

    if not REPOSITORY.fullmatch(repository):
        raise ResGenError(f"{repository[:80]!r} cannot be a place on the Hub; write owner/name.")
    if get_token() is None:
        raise ResGenError("The Hub must know who you are: log in with `hf auth login`.")
    api = HfApi()
    try:
        address = api.create_repo(repository, exist_ok=True, **kind)
        there = [file.rfilename for file in api.space_info(repository, timeout=TIMEOUT).siblings or ()] if emptied else []
        added = [CommitOperationAdd(name, content) for name, content in files.items()]
        removed = [CommitOperationDelete(name) for name in there if name.startswith(emptied) and name not in files]
        api.create_commit(repository, [*added, *removed], commit_message=message, repo_type=kind.get("repo_type"))
    except Exception as error:  # the Hub's client passes on the errors of many layers
        raise ResGenError(f"{repository} could not be written on the Hub: {why(error)}") from error
    return str(address)


def space_files(checkout: Path, checkpoints: Path, names: Sequence[str]) -> dict[str, Path | bytes]:
    """What a Space needs, by its name there: the program, and of a folder of checkpoints these, with their feature networks and snapshots.

    Raises FileError where ``checkout`` is no checkout of the program, CheckpointError where one is not in the folder.
    """
    own = [checkout / name for name in ("app.py", "requirements.txt", "LICENSE", CARD)]
    if missing := [path.name for path in own if not path.is_file()]:
        raise FileError(f"{missing[0]} is not in {checkout}: a Space is made from a clone of ResGen's repository.")
    files: dict[str, Path | bytes] = {**{path.name: path for path in own}, **_files_below(checkout / "resgen", "resgen")}
    files[CARD] = _space_page((checkout / CARD).read_text(encoding="utf-8")).encode()
    for name in names:
        if not (checkpoints / f"{name}{SUFFIX}").is_file():
            raise CheckpointError(f"There is no {name}{SUFFIX} in {checkpoints}; a snapshot goes with its generator: choose that.")
        wanted = {f"{name}{SUFFIX}": checkpoints / f"{name}{SUFFIX}", f"features/{name}{SUFFIX}": checkpoints / "features" / f"{name}{SUFFIX}"}
        files |= {f"checkpoints/{inside}": path for inside, path in wanted.items() if path.is_file()}
        files |= _files_below(checkpoints / "snapshots" / name, f"checkpoints/snapshots/{name}")
    return files


def _space_page(readme: str) -> str:
    """Of the project's page the Space's settings, the title and what it is: all that follows leads to files that a Space does not have."""
    return "\n\n".join(readme.split("\n\n")[:3]) + "\n"


def _files_below(folder: Path, called: str) -> dict[str, Path]:
    """The files of a folder that no tool made there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not NOT_OURS & set(path.parts))
    return {f"{called}/{path.relative_to(folder).as_posix()}": path for path in paths}
