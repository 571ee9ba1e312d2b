"""The reader of pickles: what it keeps of a good file, and that a bad one is refused in one sentence, runs nothing and takes little memory."""

import io
import os
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resgen.errors import CheckpointError
from resgen.interop import stylegan2_pickles, stylegan3_pickles
from resgen.interop.pickles import MAX_STEPS, Plain, StoredArray, StoredTensor, averaged_generator, read_pickle, tensors
from resgen.interop.readers import check

GOOD = Path(__file__).parent / "stylegan" / "t-classes-32.pkl"
MEMORY = 256  # MB that reading any hostile file may take beside what the program has already


class Code:
    """Runs ``command`` where it is unpickled by Python."""

    def __init__(self, folder: Path) -> None:
        self.command = f"touch {folder / 'ran'}"

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


class Call:
    """A call of any name a file may write down, of this process or not."""

    def __init__(self, module: str, name: str, *arguments: Any, state: Any = None) -> None:
        self.module, self.name, self.arguments, self.state = module, name, arguments, state


_Pickler: Any = pickle._Pickler  # pyright: ignore[reportAttributeAccessIssue]  # the one written in Python: it can be taught to write calls


class Writer(_Pickler):
    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, Call):
            return super().save(obj, save_persistent_id)
        self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
        super().save(obj.arguments)
        self.write(b"R")
        if obj.state is not None:
            super().save(obj.state)
            self.write(b"b")


def written(content: object) -> bytes:
    file = io.BytesIO()
    Writer(file, 4).dump(content)
    return file.getvalue()


def persistent(state: object, source: object = "", kind: str = "Generator") -> Call:
    meta = {"type": "class", "version": 6, "module_src": source, "class_name": kind, "state": state}
    return Call("torch_utils.persistence", "_reconstruct_persistent_obj", meta)


def storage(numbers: bytes, count: int, key: object = "0", kind: str = "FloatStorage", stated: int | None = None) -> Call:
    """A storage as torch.save wrote it before zip files."""
    identity = written(("storage", Call("torch", kind), key, "cpu", count, None)).replace(b")R", b"", 1)  # the class, not a call of it
    parts = [pickle.dumps(0x1950A86A20F9469CFC6C), pickle.dumps(1001), pickle.dumps({}), identity[:-1] + b"Q.", pickle.dumps([key])]
    return Call("torch.storage", "_load_from_bytes", b"".join(parts) + struct.pack("<q", count if stated is None else stated) + numbers)


def tensor(stored: Call, offset: Any, shape: Any, stride: Any) -> Call:
    return Call("torch._utils", "_rebuild_tensor_v2", stored, offset, shape, stride, False, OrderedDict())


def network(value: object) -> Call:
    return persistent({"_parameters": {"weight": value}})


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


def reading(folder: Path, content: bytes) -> object:
    path = folder / "network.pkl"
    path.write_bytes(content)
    return read_pickle(path)


def laughs(depth: int = 60) -> list[Any]:
    """Lists within lists, each twice: small, and endless to walk."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value, value]
    return value


def zip_of(size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", b"\0" * size)
    return file.getvalue()


FOUR = struct.pack("<4f", 1, 2, 3, 4)
REFUSED: dict[str, Callable[[Path], bytes]] = {
    "code": lambda folder: pickle.dumps(Code(folder)),
    "code, old protocol": lambda folder: b"\x80\x02" + pickle.dumps(Code(folder), 0),
    "code in a dict": lambda folder: pickle.dumps({"G_ema": {"state": [Code(folder)]}}),
    "code as a key": lambda folder: pickle.dumps({Code(folder): 1}),
    "code in a class' state": lambda folder: written(
        {"G_ema": persistent({"_modules": {"synthesis": Call("os", "system", f"touch {folder / 'ran'}")}})}
    ),
    "code in nested states": lambda folder: written(persistent({"a": persistent({"b": Call("builtins", "eval", "1")})})),
    "code for the source": lambda folder: written(persistent({}, source=Call("builtins", "exec", f"open({str(folder / 'ran')!r}, 'w')"))),
    "code in a storage": lambda folder: written(network(Call("torch.storage", "_load_from_bytes", pickle.dumps(Code(folder))))),
    "code in a storage's key": lambda folder: written(network(tensor(storage(FOUR, 4, key=Call("os", "getcwd")), 0, (4,), (1,)))),
    "code as a state": lambda folder: written(persistent(Call("os", "getcwd"))),
    "code in an array": lambda folder: pickle.dumps(np.array([Code(folder)], dtype=object)),
    "code by a dotted name": lambda _: written(Call("torch.nn.modules.module", "torch.os.getcwd")),
    "code within a module": lambda _: written(Call("torch.nn.modules.module", "Module")),
    "a network of TensorFlow": lambda _: opcodes(b"cdnnlib.tflib.network\nNetwork\n)\x81"),
    "torch.load": lambda _: written(Call("torch", "load", "/etc/passwd")),
    "torch.hub": lambda _: written(Call("torch.hub", "load", "a/b", "c")),
    "getattr": lambda _: written(Call("builtins", "getattr", 1, "real")),
    "memmap": lambda _: written(Call("numpy", "memmap", "/etc/passwd")),
    "an extension": lambda _: opcodes(b"\x82\x01"),
    "an old instance": lambda _: opcodes(b"(ios\ngetcwd\n"),
    "an id outside": lambda _: opcodes(b"K\x01Q"),
    "an id in a line": lambda _: opcodes(b"Pfile\n"),
    "another persistence": lambda _: written(Call("torch_utils.persistence", "_reconstruct_persistent_obj", {"type": "class"})),
    "a state of a number": lambda _: opcodes(b"K\x01}b"),
    "a call of a number": lambda _: opcodes(b"K\x01)R"),
    "an object of a function": lambda _: opcodes(b"ctorch._utils\n_rebuild_tensor_v2\n)\x81"),
    "a huge tensor": lambda _: written(network(tensor(storage(FOUR, 4), 0, (2**60,), (1,)))),
    "a huge tensor of one number": lambda _: written(network(tensor(storage(FOUR, 4), 0, (2**30, 2**30), (0, 0)))),
    "a tensor beyond its storage": lambda _: written(network(tensor(storage(FOUR, 4), 2, (3,), (1,)))),
    "a tensor before its storage": lambda _: written(network(tensor(storage(FOUR, 4), -1, (3,), (1,)))),
    "a tensor that runs back": lambda _: written(network(tensor(storage(FOUR, 4), 3, (3,), (-1,)))),
    "sizes of endless digits": lambda _: written(network(tensor(storage(FOUR, 4), 0, (1 << 4_000_000,) * 8, (0,) * 8))),
    "a huge storage": lambda _: written(network(tensor(storage(FOUR, 2**60), 0, (4,), (1,)))),
    "a storage of another length": lambda _: written(network(tensor(storage(FOUR, 4, stated=2**60), 0, (4,), (1,)))),
    "a storage of objects": lambda _: written(network(tensor(storage(FOUR, 4, kind="Tensor"), 0, (4,), (1,)))),
    "one storage, many tensors": lambda _: written(
        [tensor(each, 0, (250_000,), (1,)) for each in [storage(bytes(10**6), 250_000)] for _ in range(2000)]
    ),
    "a huge array": lambda _: written(
        Call("numpy.core.multiarray", "_reconstruct", state=(1, (2**60,), Call("numpy", "dtype", "f8", state=(3, "<")), False, b"12345678"))
    ),
    "an array of another kind": lambda _: written(
        Call("numpy.core.multiarray", "_reconstruct", state=(1, (1,), Call("numpy", "dtype", "O8", state=(3, "|")), False, b"12345678"))
    ),
    "an array of dill's without numbers": lambda _: written(Call("dill._dill", "_create_array", None, (), None, None)),
    "a huge place in the memo": lambda _: opcodes(b"]", b"r\xff\xff\xff\xff" * 1000, b"K\x00]j\xfe\xff\xff\xff"),
    "a huge value": lambda _: opcodes(b"\x8e" + struct.pack("<Q", 2**60)),
    "a value longer than the file": lambda _: opcodes(b"B" + struct.pack("<I", 2**32 - 1) + b"few"),
    "a huge bytearray": lambda _: opcodes(b"\x96" + struct.pack("<Q", 2**40) + b"few"),
    "a huge text": lambda _: opcodes(b"\x8d" + struct.pack("<Q", 2**63 - 1) + b"few"),
    "a huge frame around nothing": lambda _: opcodes(b"\x95" + struct.pack("<Q", 2**60)),
    "a long number": lambda _: opcodes(b"I" + b"9" * 10**7 + b"\n"),
    "too many steps": lambda _: opcodes(b"]" * (MAX_STEPS + 5)),
    "too many names": lambda _: opcodes(b"ccollections\nOrderedDict\n" * (MAX_STEPS + 5)),
    "too many objects": lambda _: opcodes(b"cnumpy.core.multiarray\n_reconstruct\nq\x00" + b"h\x00)R" * (MAX_STEPS // 3 + 5)),
    "too much text": lambda _: opcodes((b"X" + struct.pack("<I", 10**6) + b"a" * 999_996 + "😀".encode()) * 20),
    "a long text": lambda _: opcodes(b"X" + struct.pack("<I", 3 * 10**7) + b"a" * (3 * 10**7 - 4) + "😀".encode()),
    "an endless key": lambda _: written({"G_ema": Call("collections", "OrderedDict")})[:-1] + b"(" + written(tuple(laughs()))[2:-1] + b"K\x01u.",
    "a key of endless digits": lambda _: written({1 << 8_000_000: 1}),
    "an endless name": lambda _: b"\x80\x04" + written(laughs())[11:-1] + b"\x8c\x01a\x93.",
    "an empty stack": lambda _: opcodes(b"0"),
    "no mark": lambda _: opcodes(b"t"),
    "an empty memo": lambda _: opcodes(b"h\x07"),
    "nothing": lambda _: b"",
    "no pickle": lambda _: b"\x80\x04",
    "text": lambda _: b"hello",
    "an LFS pointer": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "a zip bomb": lambda _: zip_of(200_000_000),
    "a zlib bomb": lambda _: zlib.compress(bytes(200_000_000)),
    "a page": lambda _: b"<!DOCTYPE html><html></html>",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses(kind: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as refusal:
        reading(tmp_path, REFUSED[kind](tmp_path))
    message = str(refusal.value)
    assert message.startswith("network.pkl ") and message.endswith(".") and "\n" not in message and len(message) < 300
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured by Linux' own account")
def test_refusals_take_little_memory(tmp_path: Path) -> None:
    """All of the above, one after the other in a process of its own."""
    for index, make in enumerate(REFUSED.values()):
        (tmp_path / f"{index}.pkl").write_bytes(make(tmp_path))
    program = """
import re, sys
from pathlib import Path
from resgen.errors import CheckpointError
from resgen.interop.pickles import read_pickle

def memory(kind):  # in MB; the most so far, VmHWM, is this process's own, unlike the figure of getrusage
    return int(re.search(rf"{kind}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

refused, before = 0, memory("VmRSS")
for path in Path(sys.argv[1]).glob("*.pkl"):
    try:
        read_pickle(path)
    except CheckpointError:
        refused += 1
print(refused, memory("VmHWM") - before)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], check=True, capture_output=True, text=True)
    refused, peak = map(int, done.stdout.split())
    assert refused == len(REFUSED)
    assert peak < MEMORY
    assert not (tmp_path / "ran").exists()


def test_source_in_a_file_is_text(tmp_path: Path) -> None:
    """What NVIDIA's own reader would run."""
    content = reading(tmp_path, written({"G_ema": persistent({"_parameters": {}}, source=f"open({str(tmp_path / 'ran')!r}, 'w')")}))
    assert averaged_generator(content) == Plain("Generator", {"_parameters": {}})
    assert not (tmp_path / "ran").exists()


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = GOOD.read_bytes()
    for end in [*range(200), *range(200, len(whole), 997), len(whole) - 1]:
        with pytest.raises(CheckpointError):
            reading(tmp_path, whole[:end])


def test_a_damaged_file_is_read_or_refused(tmp_path: Path) -> None:
    whole, chance = GOOD.read_bytes(), random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 1, 20])):
            damaged[chance.randrange(2, len(damaged))] = chance.randrange(256)
        try:
            state = averaged_generator(reading(tmp_path, bytes(damaged)))
            for reader in (stylegan2_pickles, stylegan3_pickles):
                if state is not None and reader.sniff(state):
                    check(reader.read(tensors(state), state), GOOD)
        except CheckpointError:
            pass


def test_deep_nesting_is_read_without_depth(tmp_path: Path) -> None:
    depth = 140_000
    assert isinstance(reading(tmp_path, opcodes(b"]" * depth + b"a" * (depth - 1))), list)
    assert isinstance(reading(tmp_path, opcodes(b")" + b"\x85" * depth)), tuple)


def test_modules_without_end_are_refused() -> None:
    twice = Plain("A")
    for _ in range(30):
        twice = Plain("A", {"_modules": {"a": twice, "b": twice}})
    deep = Plain("A")
    for _ in range(50):
        deep = Plain("A", {"_modules": {"a": deep}})
    long, whole = Plain("A"), {f"{number}" * 100: Plain("A") for number in range(9)}
    long = Plain("A", {"_modules": {"a" * 101: long}})
    assert not tensors(Plain("A", {"_modules": whole}))
    for module in (twice, deep, long):
        with pytest.raises(CheckpointError, match="more parts"):
            tensors(module)


def walked(names: int, characters: int, modules: int) -> int:
    """The most bytes that are taken to refuse modules that share one table of ``names``."""
    stored = StoredTensor(memoryview(FOUR), torch.float32, 0, (1,), (1,))
    shared = {f"{index:0{characters}}": stored for index in range(names)}
    whole = Plain("A", {"_modules": {str(index): Plain("A", {"_parameters": shared}) for index in range(modules)}})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="more parts than any generator, or of longer names"):
            tensors(whole)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_modules_share_is_counted_at_each() -> None:
    """Neither a longer name nor more of the modules that have it make a refusal dearer."""
    assert walked(1, 10**6, 50) < walked(1, 10**3, 50) + 10**6
    assert walked(1000, 10, 200) < walked(1000, 10, 100) + 10**6


def test_a_buffer_that_a_state_dict_leaves_out_is_left_out(tmp_path: Path) -> None:
    module = torch.nn.Module()
    for name, kept in (("kept", True), ("made", False)):
        module.register_buffer(name, torch.ones(2), persistent=kept)
    state = averaged_generator(reading(tmp_path, pickle.dumps({"G": module})))
    assert state is not None and tensors(state).keys() == module.state_dict().keys() == {"kept"}


def test_a_large_tensor_under_many_names_is_refused(tmp_path: Path) -> None:
    large = tensor(storage(bytes(4 * 10**6), 10**6), 0, (10**6,), (1,))
    content = written([large, persistent({"_parameters": None})])
    assert isinstance(reading(tmp_path, content), list)
    stored = reading(tmp_path, written(large))
    with pytest.raises(CheckpointError, match="many times"):
        tensors(Plain("A", {"_parameters": {"a": stored, "b": stored}}))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_keeps_numbers_text_and_arrays(protocol: int, tmp_path: Path) -> None:
    values = {"a": [1, -(2**40), 2.5, None, True], "b": (("x", "é", b"\xff"), OrderedDict(k=1)), 3: set(), "s": np.float64(0.1), "n": np.int64(7)}
    read = reading(tmp_path, pickle.dumps(values, protocol))
    assert read == {**values, "b": (("x", "é", b"\xff"), {"k": 1}), 3: []}
    for array in (np.arange(6, dtype=np.int64).reshape(2, 3), np.asfortranarray(np.eye(3, 2, dtype=np.float32)), np.float32(3) * np.ones(())):
        stored = reading(tmp_path, pickle.dumps(np.asarray(array), protocol))
        assert isinstance(stored, StoredArray)
        assert np.array_equal(stored.values, array) and stored.values.dtype == array.dtype


def test_keeps_arrays_as_dill_writes_them(tmp_path: Path) -> None:
    state = (1, (2,), Call("numpy", "dtype", "f8", state=(3, "<")), False, struct.pack("<2d", 1, 2))
    stored = reading(tmp_path, written(Call("dill._dill", "_create_array", None, (), state, None)))
    assert isinstance(stored, StoredArray) and stored.values.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_keeps_tensors(dtype: torch.dtype, tmp_path: Path) -> None:
    value = torch.randn(3, 4, 2, 2).to(dtype)
    for each in (value, value.to(memory_format=torch.channels_last), value[1:, ::2], torch.nn.Parameter(value.float()), value[0, 0, 0, 0], value[:0]):
        stored = reading(tmp_path, pickle.dumps(each))
        assert isinstance(stored, StoredTensor)
        assert torch.equal(stored.tensor(), each.detach()) and stored.tensor().is_contiguous()


def test_keeps_the_state_of_torch_modules(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LeakyReLU(0.3), torch.nn.BatchNorm1d(3))
    read = reading(tmp_path, pickle.dumps({"G": module}))
    state = averaged_generator(read)
    assert state is not None and state.name == "Sequential"
    for name, value in module.state_dict().items():
        assert torch.equal(tensors(state)[name], value)
    leaky = state.part("1")
    assert leaky is not None and leaky.state["negative_slope"] == 0.3


def test_an_object_of_any_class_is_kept_as_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its class is never looked up, as that of a discriminator beside the network need not be."""
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Trap:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = torch.nn.Linear(2, 3)
    objects = {b"D": b"ctrap\nTrap\n)\x81}X\x01\x00\x00\x00aK\x07sb", b"E": b"cos\nsystem\n)\x81N}\x86b", b"F": b"cos\nsystem\nK\x01\x85\x81"}
    beside = b"".join(b"X\x01\x00\x00\x00" + key + value for key, value in objects.items())
    whole = pickle.dumps({"G_ema": module})[:-1] + b"(" + beside + b"u."
    read: Any = reading(tmp_path, whole)
    assert read["D"] == Plain("Trap", {"a": 7}) and read["E"] == read["F"] == Plain("system")
    state = averaged_generator(read)
    assert state is not None and torch.equal(tensors(state)["weight"], module.weight)
    assert "trap" not in sys.modules and not (tmp_path / "ran").exists()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pkl", tmp_path):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_pickle(path)
