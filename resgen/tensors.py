"""Tensors and metadata in a .safetensors file that may come from a stranger: its header is checked before anything is allocated for it.

The file is eight bytes that say how long the header is, the header in JSON, and the bytes of the tensors one after another. They are copied
out of it, never mapped into memory: overwriting a file that is mapped ends the process.
"""

import json
import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors.torch import save  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from resgen.budget import MAX_DIMENSIONS, MAX_HEADER, MAX_TENSORS
from resgen.errors import CheckpointError
from resgen.fields import is_list, is_table
from resgen.files import open_plain, write_atomically

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}


class _Unfilled(TorchFunctionMode):
    """Leaves new tensors as they are: to fill one by chance on the meta device imports torch's compiler first, which takes two seconds."""

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        named = kwargs or {}
        if func in (Tensor.normal_, nn.init.normal_):
            return named["tensor"] if "tensor" in named else args[0]
        return (torch.empty if func is torch.randn else func)(*args, **named)


@contextmanager
def weightless() -> Generator[None]:
    """Where networks are built of shapes alone, to compare these, or to be given weights by `load_state_dict(..., assign=True)`."""
    with torch.device("meta"), _Unfilled():
        yield


Layout = dict[str, tuple[tuple[int, ...], bool]]  # of each tensor by its name: shape, and whether it holds fractions or counts


def layout_of(tensors: Mapping[str, Tensor]) -> Layout:
    return {name: (tuple(value.shape), value.is_floating_point()) for name, value in tensors.items()}


def to_float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fractions in full precision, counts as they are."""
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def half(value: Tensor) -> Tensor:
    """Matrices in half precision, on the CPU; vectors are small, and variances may pass its range."""
    value = value.detach().cpu().contiguous()
    return value.half() if value.is_floating_point() and value.ndim > 1 else value


def are_finite(tensors: Mapping[str, Tensor]) -> bool:
    return all(bool(value.isfinite().all()) for value in tensors.values())


@dataclass(frozen=True)
class Slot:
    """A tensor's kind, shape and place: its first byte and the one after its last, counted from the end of the header."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class TensorFile:
    """An open file whose header is sound."""

    metadata: dict[str, str]
    slots: dict[str, Slot]  # by name, in the order of their places
    _file: BinaryIO = field(repr=False)

    @property
    def layout(self) -> Layout:
        return {name: (slot.shape, slot.dtype.is_floating_point) for name, slot in self.slots.items()}

    def read(self) -> dict[str, Tensor]:
        """All tensors, on the CPU, in memory of their own. Raises ValueError where the file has become shorter."""
        return {name: self._next(slot) for name, slot in self.slots.items()}

    def _next(self, slot: Slot) -> Tensor:
        if slot.begin == slot.end:
            return torch.empty(slot.shape, dtype=slot.dtype)
        data = bytearray(slot.end - slot.begin)
        if self._file.readinto(data) != len(data):  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
            raise ValueError("it changed while it was read")
        return torch.frombuffer(data, dtype=slot.dtype).reshape(slot.shape)


@contextmanager
def open_tensors(path: Path) -> Generator[TensorFile]:
    """A .safetensors file to read from, once. Raises CheckpointError where it is none, or damaged; FileNotFoundError where there is none."""
    try:
        with open_plain(path) as file:
            yield _read_header(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is damaged or not whole: it cannot be read as safetensors. Copy or download it again.") from error


def save_tensors(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Write a .safetensors file, all of it or nothing. Raises FileError."""
    write_atomically(path, save(tensors, metadata))


def _read_header(file: BinaryIO) -> TensorFile:
    """The header of an open file, which is left at the first tensor. Raises ValueError where it is not sound."""
    size = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(MAX_HEADER, size - 8):
        raise ValueError("its header has an impossible length")
    header = json.loads(file.read(length).decode())
    if not is_table(header) or len(header) > MAX_TENSORS:
        raise ValueError("its header is not a table of tensors")
    metadata = header.pop("__metadata__", {})
    if not is_table(metadata) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no text")
    slots = sorted(((name, _read_slot(raw)) for name, raw in header.items()), key=lambda pair: (pair[1].begin, pair[1].end))
    ends = [0, *(slot.end for _, slot in slots)]
    if any(slot.begin != before for (_, slot), before in zip(slots, ends, strict=False)) or ends[-1] != size - 8 - length:
        raise ValueError("its tensors overlap, or leave room between them")
    return TensorFile(metadata, dict(slots), file)


def _read_slot(raw: Any) -> Slot:
    if not is_table(raw) or raw.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("a tensor is not described")
    shape, offsets = _whole_numbers(raw["shape"]), _whole_numbers(raw["data_offsets"])
    if not isinstance(raw["dtype"], str) or raw["dtype"] not in DTYPES or len(offsets) != 2:
        raise ValueError("a tensor is of a kind that is not read")
    slot = Slot(DTYPES[raw["dtype"]], shape, *offsets)
    if slot.end - slot.begin != math.prod(shape) * slot.dtype.itemsize:
        raise ValueError("a tensor's place does not fit its shape")
    return slot


def _whole_numbers(raw: Any) -> tuple[int, ...]:
    if not is_list(raw) or len(raw) > MAX_DIMENSIONS or any(type(value) is not int or not 0 <= value < 2**48 for value in raw):
        raise ValueError("a tensor's shape or place is not made of whole numbers")
    return tuple(raw)
