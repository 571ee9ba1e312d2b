"""Files of others as plain tensors: nothing in a file is run, and what a file claims is never believed beyond its own size.

Files are mapped into memory, since they may be gigabytes of which a part is used. One that is overwritten meanwhile ends the process, which is a
command of its own that its user started: the studio reads such a file only where its host lets visitors bring theirs, and then a copy of its own.
"""

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open

from resgen.data import natural
from resgen.errors import CheckpointError
from resgen.files import open_plain
from resgen.interop import torch_stubs
from resgen.interop.choosing import networks
from resgen.interop.state_dicts import StateDict

ARCHIVE = b"PK"  # how a zip file begins
MAX_BYTES = 1 << 33  # of a file
MAX_PARTS = 100_000  # of an archive
MAX_DIRECTORY = 1 << 24  # bytes of an archive's list of parts
MAX_OPERATIONS = 1_000_000  # of a pickle; a network's takes about fifty for each tensor, and each may make a set or a table
BYTES = {"builtins bytearray", "__builtin__ bytearray"}  # names that torch calls, and which make as many bytes as a number says
ENCODE = "_codecs encode"  # a name that torch calls, and with which NumPy's numbers are pickled
GROWING = {"hex", "base64", "uu", "quopri", "quotedprintable"}  # encodings that make more bytes of bytes, again and again
MAX_WITHIN = 10_000  # values in a tuple and in those within it
TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
OLD_PICKLES = 5  # one after the other, before the tensors, in what torch.save wrote before it wrote archives
TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".model")
PICKLE_SUFFIX, ONNX_SUFFIX, EXPORTED = ".pkl", ".onnx", ".pt2"
FOREIGN = (*TORCH_SUFFIXES, PICKLE_SUFFIX, ONNX_SUFFIX, EXPORTED)  # endings of what is read beside .safetensors, or told why not
READ = (*FOREIGN, ".safetensors")
NUMBER = re.compile(r"[0-9]{1,9}")  # in a name
TORCH_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # of what torch.save wrote before it wrote archives


def check_start(path: Path) -> bytes:
    """The first bytes of a file that is there, and not a pointer in the place of one. Raises CheckpointError."""
    try:
        with open_plain(path) as file:
            start, size = file.read(64), path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path.name} is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`.")
    if not size:
        raise CheckpointError(f"{path.name} is empty; copy or download it again.")
    if size > MAX_BYTES:
        raise CheckpointError(f"{path.name} has {size / 1e9:.0f} GB, more than any generator; give the generator's state dict alone.")
    return start


def is_saved_by_torch(path: Path) -> bool:
    """Whether a file begins as torch.save writes it, whatever it is called. Raises CheckpointError."""
    return check_start(path).startswith((ARCHIVE, TORCH_START))


def read_states(path: Path) -> list[tuple[str, StateDict]]:
    """The state dicts in a file and their places in it, as a.b, those of an averaged generator first. Raises CheckpointError."""
    start = check_start(path)
    if path.suffix.lower() == ".safetensors":
        content = _read_safetensors(path)
    elif path.suffix.lower() in (*TORCH_SUFFIXES, PICKLE_SUFFIX):
        content = _read_torch(path, zipped=start.startswith(ARCHIVE))
    else:
        raise CheckpointError(
            f"{path.name} is of a kind that is not read; there are {', '.join((*TORCH_SUFFIXES, PICKLE_SUFFIX, '.safetensors', ONNX_SUFFIX))}."
        )
    states = networks(content)
    if path.suffix.lower() == ".safetensors":
        states += [(place, again) for place, state in states if list(again := _by_numbers(state)) != list(state)]
    if not states:
        raise CheckpointError(f"{path.name} holds no tensors by name; give a generator's state dict.")
    _check_claims(path, [state for _, state in states])
    return states


def _read_safetensors(path: Path) -> StateDict:
    opened: Any
    try:
        opened = safe_open(path, "pt")
        with opened as file:
            names = sorted(file.keys(), key=natural)  # such files have 10 before 2, and some readers go by the order
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path.name} is damaged or not whole: it cannot be read as safetensors. Copy or download it again.") from error


def _by_numbers(state: StateDict) -> StateDict:
    """The same in another order, for readers that go by it: by the numbers in names, norms behind what else has the same, as conv1, bn1, conv2."""

    def place(name: str) -> tuple[list[int], bool]:
        layer = name.rpartition(".")[0]
        return [int(number) for number in NUMBER.findall(layer)], f"{layer}.running_mean" in state

    return {name: state[name] for name in sorted(state, key=place)}


def _read_torch(path: Path, zipped: bool) -> object:
    if zipped:
        _check_archive(path)
    try:
        _check_pickles(path, zipped)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old forms
            return torch_stubs.load(path) if zipped else torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # a file of a stranger may fail in many ways
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise CheckpointError(
                f"{path.name} holds more than tensors, and opening it would run its code; save the generator's state_dict() alone, and import that."
            ) from error
        raise CheckpointError(f"{path.name} is damaged or not whole: it cannot be read as a PyTorch file. Copy or download it again.") from error


class _Bounded(io.BufferedReader):
    """A file for `zipfile`, which reads an archive's list of parts in one piece, and makes of it ten times as much."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise zipfile.BadZipFile("its list of parts is longer than any network's")
        return super().read(size)


@contextmanager
def open_archive(path: Path) -> Generator[zipfile.ZipFile]:
    """A zip file, whose list of parts was not too long to be read. Raises zipfile.BadZipFile, OSError, ValueError or NotImplementedError."""
    with _Bounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _check_archive(path: Path) -> None:
    """Refuse archives that unpack to more than they are. Raises CheckpointError."""
    try:
        with open_archive(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path.name} is damaged or not whole: it cannot be read as a PyTorch file. Copy or download it again.") from error
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > path.stat().st_size:
        raise CheckpointError(f"{path.name} is an archive that unpacks to more than it is, which PyTorch never writes; it is refused.")


def _check_pickles(path: Path, zipped: bool) -> None:
    """Look through the pickles in a file. Raises CheckpointError, or many kinds of errors where they are damaged."""
    if not zipped:
        with path.open("rb") as file:
            for _ in range(OLD_PICKLES):
                if file.peek(1):
                    _check_pickle(file, path.name)
        return
    with open_archive(path) as archive:
        for part in archive.infolist():
            if part.filename.endswith(".pkl"):
                with archive.open(part) as file:
                    _check_pickle(file, path.name)  # type: ignore[arg-type]


def _check_pickle(file: BinaryIO, name: str) -> None:
    """Refuse a pickle that makes more than a network needs, or tuples that have the same ones within them again and again: as a key, one is followed to
    all its ends. Raises CheckpointError.
    """
    stack, memo = list[int | None](), dict[int, int | None]()  # how many values there are in each; None: a mark
    encodes = grows = False
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count > MAX_OPERATIONS:
            raise CheckpointError(f"{name} has a table of contents larger than any network's; it is refused.")
        encodes, grows = encodes or argument == ENCODE, grows or (isinstance(argument, str) and _encoding(argument) in GROWING)
        if argument in BYTES or (encodes and grows):
            raise CheckpointError(f"{name} makes bytes as no network does; it is refused.")
        if opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument)])  # type: ignore[arg-type]
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else int(argument)] = stack[-1]  # type: ignore[arg-type]
        elif opcode.name == "DUP":
            stack.append(stack[-1])
        else:
            within = sum(_taken(stack, opcode.stack_before))
            if opcode.name in TUPLES and within > MAX_WITHIN:
                raise CheckpointError(f"{name} has tuples within tuples as no network has; it is refused.")
            stack += [None if kind is pickletools.markobject else 1 + (opcode.name in TUPLES) * within for kind in opcode.stack_after]


def _encoding(text: str) -> str:
    """Which encoding a text names: Python passes over all signs but letters and digits."""
    return re.sub("[^a-z0-9]", "", text.lower()).removesuffix("codec")


def _taken(stack: list[int | None], kinds: list[pickletools.StackObject]) -> list[int]:
    """What an opcode takes off the stack: as many values as there are ``kinds``, or, where one is the mark, all from it on and those before it."""
    taken, more = list[int](), len(kinds)
    if pickletools.markobject in kinds:
        more = kinds.index(pickletools.markobject)
        while (value := stack.pop()) is not None:
            taken.append(value)
    return taken + [stack.pop() or 0 for _ in range(more)]


def _check_claims(path: Path, states: list[StateDict]) -> None:
    """Refuse tensors that are larger than what the file holds of them: views of one number that claim many. Raises CheckpointError."""
    for state in states:
        if sum(value.numel() * value.element_size() for value in state.values()) > 2 * path.stat().st_size:
            raise CheckpointError(f"{path.name} claims more numbers than it holds; it is refused.")
