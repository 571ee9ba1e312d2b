"""The Hugging Face Hub: checkpoints fetched from it and put there, and the program itself as a Space."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from resgen.errors import CheckpointError, FileError, ResGenError, why

REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)  # owner/name
_SOURCE = re.compile(rf"({REPOSITORY.pattern})(?::([\w./-]+))?", re.ASCII)  # and what is wanted of it
SUFFIX = ".safetensors"
TIMEOUT = 10.0  # seconds that the Hub may take to say what it holds
CARD = "README.md"
OF_SPACES = ("checkpoints/", "resgen/")  # the folders of a Space in which nothing stays but what is put there
NOT_OURS = {"__pycache__", "node_modules"}  # folders that Python and npm make beside the program's files


class Kind(NamedTuple):
    """What may be fetched of a repository."""

    name: str
    called: Callable[[str], str]  # what a file of it is called, by its name there; "" of others
    what: str  # such a file, in words


def _called_as_checkpoint(file: str) -> str:
    return Path(file).stem if "/" not in file and file.endswith(SUFFIX) else ""  # they lie in no folder


CHECKPOINT = Kind("checkpoint", _called_as_checkpoint, "checkpoint of ResGen; `resgen import` reads generators of other programs")


def source_of(text: str, endings: tuple[str, ...]) -> tuple[str, str | None] | None:
    """The repository that 'owner/name' or 'owner/name:wanted' means, and what is wanted of it; None where a file of this machine is meant.

    That is so where it is here, and without a ':' where its folder is, or where it has one of the ``endings`` of such files: it was mistyped then.
    """
    matched = _SOURCE.fullmatch(text)
    if not matched or os.path.exists(text):  # which is told of names that cannot be, too
        return None
    repository, wanted = matched.groups()
    if not wanted and (text.lower().endswith(endings) or os.path.isdir(os.path.dirname(text))):
        return None
    return repository, wanted


def fetch(repository: str, wanted: str | None) -> Path:
    """The file of a checkpoint on the Hub, by its name there, else the only one; kept once fetched: from then on no network is needed.

    Raises CheckpointError.
    """
    return _fetch(repository, wanted and wanted + SUFFIX, CHECKPOINT)[0]


def fetch_file(repository: str, wanted: str | None, endings: tuple[str, ...]) -> tuple[Path, str]:
    """Another program's file on the Hub, by its name there, else the only one with such an ending, and that name; kept as checkpoints are.

    Raises CheckpointError.
    """

    def called(file: str) -> str:
        return file if file.lower().endswith(endings) else ""

    return _fetch(repository, wanted, Kind("file", called, "file of a generator that could be read"))


def _fetch(repository: str, wanted: str | None, kind: Kind) -> tuple[Path, str]:
    """The file, and its name there. Raises CheckpointError."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return _fetch_online(repository, wanted, kind)
    except RepositoryNotFoundError as error:  # of a private or gated one the Hub tells strangers the same
        raise CheckpointError(
            f"There is no Hub repository {repository}, or it is private: check the name, or log in with `hf auth login`."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # the Hub's client passes on the errors of many layers
        return _find_kept(repository, wanted, kind, error)


def _fetch_online(repository: str, wanted: str | None, kind: Kind) -> tuple[Path, str]:
    """Raises CheckpointError where it is not there, or whatever the Hub's client does."""
    from huggingface_hub import HfApi, hf_hub_download  # pyright: ignore[reportUnknownVariableType]

    files = [file.rfilename for file in HfApi().model_info(repository, timeout=TIMEOUT).siblings or ()]
    chosen = _choose(repository, files, kind, wanted)
    # Whatever revision comes is read as a stranger's file, and a picture holds the SHA-256 of the weights that drew it: no pinning is needed.
    return Path(hf_hub_download(repository, chosen)), chosen  # nosec B615


def _find_kept(repository: str, wanted: str | None, kind: Kind, failed: Exception) -> tuple[Path, str]:
    """What was fetched before, since fetching it now ``failed``. Raises CheckpointError."""
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType]

    try:
        folder = Path(snapshot_download(repository, local_files_only=True))  # nosec B615
    except Exception:
        if isinstance(failed, OSError) and failed.strerror:  # of this machine's disk; those of the network have numbers of their own
            raise CheckpointError(f"{repository} cannot be kept here: {failed.strerror}.") from failed
        raise CheckpointError(f"The Hub cannot be reached, and {repository} was not fetched before; check the network.") from failed
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    if wanted and wanted not in there:
        missing = wanted.removesuffix(SUFFIX)
        raise CheckpointError(f"The Hub cannot be reached, and {missing} of {repository} was not fetched before; check the network.") from failed
    chosen = _choose(repository, there, kind, wanted)
    return folder / chosen, chosen


def _choose(repository: str, files: Sequence[str], kind: Kind, wanted: str | None) -> str:
    """The file that is wanted, else the only one of its kind. Raises CheckpointError."""
    there = {file: called for file in files if (called := kind.called(file))}
    if wanted in there:
        return str(wanted)
    if not there:
        raise CheckpointError(f"{repository} holds no {kind.what}.")
    if wanted is None and len(there) == 1:
        return next(iter(there))
    raise CheckpointError(f"Choose a {kind.name} of {repository} as {repository}:NAME; there are: {', '.join(sorted(there.values()))}.")


def name_there(name: str) -> str:
    """What a checkpoint is called on the Hub. A snapshot, 'cifar10@4000', is one of its own there, 'cifar10-4000': its file is called by a number alone."""
    return name.replace("@", "-")


def push(repository: str, name: str, path: Path, card: str, picture: bytes, private: bool = False) -> tuple[str, bool]:
    """Put a checkpoint's file on the Hub with a picture, and with a model card where the repository has none: one may have been written by hand.

    Returns the address of the page, and whether it is this card. Raises ResGenError.
    """
    called = name_there(name)
    files = {f"{called}{SUFFIX}": path, f"{called}.png": picture, CARD: card.encode()}
    return _upload(repository, files, f"{name}, by ResGen", kept=(CARD,), private=private)


def deploy(repository: str, files: Mapping[str, Path | bytes], hardware: str = "", private: bool = False) -> str:
    """Put the program on the Hub as a Space, files by their names there, in place of what an earlier one left; the address of the page.

    ``hardware`` is what a new one runs on, by the Hub's name for it. Raises ResGenError.
    """
    space: dict[str, Any] = {"repo_type": "space", "space_sdk": "gradio", "space_hardware": hardware or None}
    return _upload(repository, files, "ResGen", emptied=OF_SPACES, private=private, **space)[0]


def _upload(
    repository: str, files: Mapping[str, Path | bytes], message: str, kept: Sequence[str] = (), emptied: tuple[str, ...] = (), **kind: Any
) -> tuple[str, bool]:
    """One commit that adds ``files`` but those ``kept`` as they are there, and of the folders ``emptied`` removes all others.

    The address, and whether nothing had to be kept.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

    if not REPOSITORY.fullmatch(repository):
        raise ResGenError(f"{repository[:80]!r} cannot be a place on the Hub; write owner/name.")
    if get_token() is None:
        raise ResGenError("The Hub must know who you are: log in with `hf auth login`.")
    api = HfApi()
    try:
        address = api.create_repo(repository, exist_ok=True, **kind)
        look = api.space_info if "space_sdk" in kind else api.model_info
        there = [file.rfilename for file in look(repository, timeout=TIMEOUT).siblings or ()]
        added = [CommitOperationAdd(name, content) for name, content in files.items() if name not in kept or name not in there]
        removed = [CommitOperationDelete(name) for name in there if name.startswith(emptied) and name not in files]
        api.create_commit(repository, [*added, *removed], commit_message=message, repo_type=kind.get("repo_type"))
    except Exception as error:  # the Hub's client passes on the errors of many layers
        raise ResGenError(f"{repository} could not be written on the Hub: {why(error)}") from error
    return str(address), len(added) == len(files)


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
