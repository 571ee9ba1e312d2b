"""Pickles of StyleGAN's kind, read as data: nothing that such a file names is imported, and nothing in it is run.

NVIDIA's networks are pickled with the source of their classes beside their state, and Python's own reader would run it.
Here the opcodes are decoded by `pickletools` and followed by a stack machine that calls functions of ours alone, for a table of harmless
names; objects of whatever class keep its name and their plain state. Each copy is paid for by the file's own bytes, so that a small file
stays small.
"""

import io
import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.interop.modules import Walk

MAX_BYTES = 2**30  # of a file: what is read of it stays in memory, and StyleGAN2 at 1024 pixels has 360 MB
MAX_PIECE = 2**25  # bytes of one value in it; the largest layer of StyleGAN2 has 10 million
MAX_STEPS = 300_000  # opcodes; a file of three networks at 1024 pixels has 65,000
MAX_TEXT = 2**24  # characters of all texts; the source of the networks is 2**16
MAX_LINE = 4096  # bytes of a value written as text
MAX_SHARED = 2**20  # bytes of tensors that appear under a second name

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first two values of what torch.save wrote before it wrote zip files
_TORCH_PROTOCOL = 1001
_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(slots=True)
class Plain:
    """An object of which only the name of its class and its attributes are kept."""

    name: str
    state: dict[Any, Any] = field(default_factory=dict[Any, Any], repr=False)

    def part(self, name: str) -> "Plain | None":
        """The submodule of that name, if there is one."""
        modules = self.state.get("_modules")
        found = modules.get(name) if isinstance(modules, dict) else None
        return found if isinstance(found, Plain) else None


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as the file holds it; memory is taken when `tensor` is called."""

    data: memoryview = field(repr=False)  # bytes of the storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> Tensor:
        """A contiguous copy, of the file's type."""
        if not self.data:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.frombuffer(bytearray(self.data), dtype=self.dtype).as_strided(self.shape, self.stride, self.offset).contiguous()


@dataclass(slots=True)
class StoredArray:
    """A NumPy array of numbers; ``values`` is a read-only view of the file's bytes."""

    values: np.ndarray = field(default_factory=lambda: np.empty(0))


def read_pickle(path: Path) -> object:
    """What the pickle holds: numbers, text, tuples, lists (sets too), dicts, `StoredTensor`, `StoredArray` and `Plain` objects.

    Raises CheckpointError where the file names anything that a network does not need, is damaged, or claims more than it holds.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            _check_start(path.name, file.peek(64)[:64], size)
            return _Machine(_Allowance(path.name, size)).run(_Stream(file, size))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read ({error.strerror or error}); choose another file.") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is damaged or not whole; fetch it again.") from error


def averaged_generator(content: object) -> Plain | None:
    """The generator to draw with, out of what `read_pickle` gave: the averaged one, where there is a whole training's networks."""
    if isinstance(content, dict):
        content = content.get("G_ema") or content.get("G")
    return content if isinstance(content, Plain) else None


def tensors(module: Plain) -> dict[str, Tensor]:
    """Parameters and buffers of a module and its submodules by their dotted names. Raises CheckpointError."""
    found: dict[str, Tensor] = {}
    first: dict[int, Tensor] = {}  # by the identity of what is stored
    shared = 0
    for name, stored in Walk(_attributes).tensors(module):
        if not isinstance(stored, StoredTensor):
            continue
        if id(stored) in first:
            shared += len(stored.data)
            if shared > MAX_SHARED:
                raise CheckpointError("The network uses the same large tensor many times, as no generator does; fetch the file again.")
        else:
            first[id(stored)] = stored.tensor()
        found[name] = first[id(stored)]
    return found


def _attributes(module: object) -> dict[Any, Any] | None:
    return module.state if isinstance(module, Plain) else None


def _check_start(name: str, start: bytes, size: int) -> None:
    """Refuse what is no pickle by its first bytes. Raises CheckpointError."""
    if len(start) < 2 or start[0] != 0x80 or start[1] > 5:
        raise CheckpointError(f"{name} is not a pickle of networks; choose a .pkl file that StyleGAN's training wrote.")
    if size > MAX_BYTES:
        raise CheckpointError(f"{name} is larger than {MAX_BYTES // 2**30} GB; choose a file that holds one generator.")


class _Stream:
    """What `pickletools` reads from: never asked for more than there is, nor for a value larger than a network has."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.tell = file, size, file.tell

    def read(self, count: int) -> bytes:
        if count > min(self.size - self.tell(), MAX_PIECE):
            raise ValueError("a value is longer than the file or than any of a network")
        return self.file.read(count)

    def readline(self) -> bytes:
        return self.file.readline(MAX_LINE)


@dataclass(slots=True)
class _Allowance:
    """What one file may still cost."""

    file: str
    bytes_left: int
    steps_left: int = MAX_STEPS
    text_left: int = MAX_TEXT

    def step(self, argument: object) -> None:
        self.steps_left -= 1
        self.text_left -= len(argument) if isinstance(argument, str) else 0
        if self.steps_left < 0 or self.text_left < 0:
            raise self.refusal("is made of more pieces than any network")

    def pay(self, count: int) -> None:
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise self.refusal("claims more numbers than it holds")

    def refusal(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{self.file} {reason}, so it was not opened; get the network from another source.")


@dataclass(frozen=True, slots=True)
class _Name:
    """A class or function that the file names: never more than the name."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """The numbers of a tensor: announced when ``data`` is None."""

    dtype: torch.dtype
    key: str
    count: int
    data: memoryview | None = None


@dataclass(slots=True)
class _NumberType:
    """NumPy's name of a type of numbers, such as f8, and its byte order."""

    code: str
    order: str = "<"

    @property
    def dtype(self) -> np.dtype[Any]:
        if not re.fullmatch("[fiu][1248]|b1", self.code) or self.order not in ("<", ">", "=", "|"):
            raise ValueError("not a type of numbers")
        return np.dtype(self.order + self.code)


class _Machine:
    """The stack machine of one pickle. A name becomes a `_Name`: a call of it is looked up in `_CALLS` or refused, an object of it is `Plain`."""

    def __init__(self, allowance: _Allowance, storages: bool = False) -> None:
        self.allowance = allowance
        self.storages = storages  # whether a persistent id may announce a storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: _Stream) -> Any:
        for opcode, argument, _ in pickletools.genops(stream):  # pyright: ignore[reportArgumentType]  # reads, lines and a place are all it needs
            self.allowance.step(argument)
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _LITERALS:
                self.stack.append(argument)
            elif opcode.name in _STEPS:
                _STEPS[opcode.name](self, argument)
            else:
                raise self.allowance.refusal(f"uses {opcode.name}, which no network needs")
        raise ValueError("no end")

    def pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def fold(self, count: int) -> None:
        """The last ``count`` values as a tuple."""
        items = tuple(self.stack[-count:])
        if len(items) < count:
            raise IndexError("fewer values than asked for")
        del self.stack[-count:]
        self.stack.append(items)

    def set_items(self, items: list[Any]) -> None:
        """Keys and values in turn into the dict below them. Keys are text or small numbers: others may take long to hash."""
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise TypeError("not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                _size(key)
            target[key] = value

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("not a list")
        target += items

    def name(self, module: object, name: object) -> None:
        """Push a name, of which nothing is looked up."""
        if type(module) is not str or type(name) is not str:
            raise TypeError("not a name")
        named = _Name(_RENAMED.get(module, module[:80]), name[:80])
        if named.module.startswith("dnnlib.tflib"):
            raise CheckpointError(f"{self.allowance.file} was written with TensorFlow; convert it with legacy.py of NVlabs/stylegan3 first.")
        self.stack.append(named)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Name):
            raise self.allowance.refusal("calls something that no network needs")
        if function not in _CALLS:
            raise self.allowance.refusal(f"calls {function.module}.{function.name}, which no network needs and which may be harmful")
        if type(arguments) is not tuple:
            raise TypeError("not arguments")
        self.stack.append(_CALLS[function](self.allowance, *arguments))

    def make(self) -> None:
        """An empty object of a class."""
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, _Name) or type(arguments) is not tuple or (kind in _CALLS and kind not in _DICTS):
            raise self.allowance.refusal("makes an object that no network needs")
        self.stack.append({} if kind in _DICTS else Plain(kind.name))

    def build(self) -> None:
        """Give the object below its state, without a copy."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Plain) and not target.state:
            target.state = state if type(state) is dict else {}  # no network keeps anything else
        elif isinstance(target, _NumberType):
            target.order = state[1]
        elif isinstance(target, StoredArray):
            target.values = _array_of(state)
        elif type(target) is not dict:  # attributes of a dict are of no use
            raise self.allowance.refusal("gives a state to something that has none in a network")

    def announce(self) -> None:
        """A persistent id: within a tensor, a storage whose numbers follow the pickle."""
        identity = self.stack.pop()
        if not self.storages or type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
            raise self.allowance.refusal("refers to something outside itself")
        _, kind, key, _, count = identity[:5]
        if not isinstance(kind, _Name) or kind.name not in _STORAGES or type(key) is not str or (len(identity) == 6 and identity[5] is not None):
            raise TypeError("not a storage")
        self.stack.append(_Storage(_STORAGES[kind.name], key, _size(count)))


def _size(value: object) -> int:
    """A whole number that a file may count with."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a size")
    return value


def _sizes(values: object) -> tuple[int, ...]:
    if type(values) is not tuple or len(values) > 8:
        raise TypeError("not a shape")
    return tuple(map(_size, values))


def _numbers(raw: object, number: object, shape: object, order: Any) -> np.ndarray:
    """A view of bytes as numbers; they must fill the shape exactly."""
    if not isinstance(raw, bytes | bytearray) or not isinstance(number, _NumberType):
        raise TypeError("not numbers")
    values = np.frombuffer(raw, number.dtype).reshape(_sizes(shape), order=order)
    values.flags.writeable = False
    return values


def _array_of(state: object) -> np.ndarray:
    """The numbers of an array of NumPy's, by the state that it is pickled with."""
    if type(state) is not tuple:
        raise TypeError("not an array")
    _, shape, number, fortran, raw = state
    return _numbers(raw, number, shape, "F" if fortran else "C")


def _read_storage(allowance: _Allowance, raw: object) -> _Storage:
    """The storage that torch.save wrote before zip files: five pickles (magic, protocol, system, storage, keys), its length, its numbers."""
    if type(raw) is not bytes:
        raise TypeError("not a storage")
    stream = _Stream(io.BytesIO(raw), len(raw))
    magic, protocol, _, storage, keys = (_Machine(allowance, storages=True).run(stream) for _ in range(5))
    if magic != _TORCH_MAGIC or protocol != _TORCH_PROTOCOL or not isinstance(storage, _Storage) or keys[0] != storage.key:
        raise ValueError("not a storage")
    if int.from_bytes(stream.read(8), "little") != storage.count:
        raise ValueError("a storage of another length")
    end = stream.tell() + storage.count * storage.dtype.itemsize
    if end > len(raw):
        raise allowance.refusal("claims more numbers than it holds")
    return _Storage(storage.dtype, storage.key, storage.count, memoryview(raw)[stream.tell() : end])


def _read_tensor(allowance: _Allowance, storage: object, offset: object, shape: object, stride: object, *_: object) -> StoredTensor:
    """A view of a storage: within it, and nowhere over itself for want of numbers."""
    if not isinstance(storage, _Storage) or storage.data is None:
        raise TypeError("not a tensor")
    start, sizes, steps = _size(offset), _sizes(shape), _sizes(stride)
    last = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if math.prod(sizes) > storage.count or (math.prod(sizes) and last >= storage.count):
        raise allowance.refusal("claims more numbers than it holds")
    allowance.pay(len(storage.data))
    return StoredTensor(storage.data, storage.dtype, start, sizes, steps)


def _read_object(allowance: _Allowance, meta: object) -> Plain:
    """What StyleGAN's persistence keeps of an object, without the source of its class."""
    if type(meta) is not dict or type(meta.get("class_name")) is not str or type(meta.get("state")) is not dict:
        raise allowance.refusal("describes an object in a way that this version does not know")
    return Plain(meta["class_name"], meta["state"])


def _read_scalar(_: _Allowance, number: object, raw: object) -> int | float | bool:
    return _numbers(raw, number, (), "C").item()


def _read_bytes(allowance: _Allowance, text: object, encoding: object) -> bytes:
    """Bytes that Python 2, or an early protocol, wrote as text."""
    if type(text) is not str or encoding != "latin1":
        raise TypeError("not bytes")
    allowance.pay(len(text))
    return text.encode("latin1")


_DICTS = {_Name("collections", "OrderedDict"), _Name("dnnlib.util", "EasyDict"), _Name("dnnlib", "EasyDict"), _Name("builtins", "dict")}
_RENAMED = {"__builtin__": "builtins"}  # how protocols up to 2 write it
_NUMPY = ("numpy.core", "numpy._core")

# What a call of each name gives: a function of ours, whose first argument is the allowance.
_CALLS: dict[_Name, Callable[..., Any]] = {
    _Name("torch_utils.persistence", "_reconstruct_persistent_obj"): _read_object,
    _Name("torch.storage", "_load_from_bytes"): _read_storage,
    _Name("torch._utils", "_rebuild_tensor_v2"): _read_tensor,
    _Name("torch._utils", "_rebuild_parameter"): lambda _, data, *__: data,
    _Name("torch", "Size"): lambda _, sizes: sizes,
    _Name("torch", "device"): lambda _, kind, *__: kind,
    _Name("builtins", "set"): lambda _, items=(): items,
    _Name("builtins", "frozenset"): lambda _, items=(): items,
    _Name("_codecs", "encode"): _read_bytes,
    _Name("numpy", "dtype"): lambda _, code, *__: _NumberType(code),
    _Name("dill._dill", "_create_array"): lambda _, make, arguments, state, *__: StoredArray(_array_of(state)),  # StyleGAN-XL is pickled by dill
    **{name: lambda _: {} for name in _DICTS},
    **{_Name(f"{package}.multiarray", "scalar"): _read_scalar for package in _NUMPY},
    **{_Name(f"{package}.multiarray", "_reconstruct"): lambda *_: StoredArray() for package in _NUMPY},
    **{
        _Name(f"{package}.numeric", "_frombuffer"): lambda _, raw, number, shape, order: StoredArray(_numbers(raw, number, shape, order))
        for package in _NUMPY
    },
}

# Opcodes whose argument is the value.
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


def _memoize(machine: _Machine, place: int | None) -> None:
    machine.memo[len(machine.memo) if place is None else place] = machine.stack[-1]


def _push(value: Callable[[_Machine, Any], Any]) -> Callable[[_Machine, Any], None]:
    """A step that pushes ``value(machine, argument)``."""
    return lambda machine, argument: machine.stack.append(value(machine, argument))


def _dict_since_mark(machine: _Machine, _: object) -> None:
    items = machine.pop_mark()
    machine.stack.append({})
    machine.set_items(items)


def _pop_item(machine: _Machine, _: object) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _pop_name(machine: _Machine, _: object) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.name(module, name)


# What each other opcode does to a machine, given its argument.
_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "NONE": _push(lambda _, __: None),
    "NEWTRUE": _push(lambda _, __: True),
    "NEWFALSE": _push(lambda _, __: False),
    "EMPTY_TUPLE": _push(lambda _, __: ()),
    "EMPTY_LIST": _push(lambda _, __: []),
    "EMPTY_DICT": _push(lambda _, __: {}),
    "EMPTY_SET": _push(lambda _, __: []),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_mark(),
    "DUP": _push(lambda machine, _: machine.stack[-1]),
    "LIST": _push(lambda machine, _: machine.pop_mark()),
    "FROZENSET": _push(lambda machine, _: machine.pop_mark()),
    "TUPLE": _push(lambda machine, _: tuple(machine.pop_mark())),
    "TUPLE1": lambda machine, _: machine.fold(1),
    "TUPLE2": lambda machine, _: machine.fold(2),
    "TUPLE3": lambda machine, _: machine.fold(3),
    "DICT": _dict_since_mark,
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.pop_mark()),
    "ADDITEMS": lambda machine, _: machine.extend(machine.pop_mark()),
    "SETITEM": _pop_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_mark()),
    "MEMOIZE": _memoize,
    "PUT": _memoize,
    "BINPUT": _memoize,
    "LONG_BINPUT": _memoize,
    "GET": _push(lambda machine, place: machine.memo[place]),
    "BINGET": _push(lambda machine, place: machine.memo[place]),
    "LONG_BINGET": _push(lambda machine, place: machine.memo[place]),
    "GLOBAL": lambda machine, both: machine.name(*both.split(" ", 1)),
    "STACK_GLOBAL": _pop_name,
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.make(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.announce(),
}
