"""Any file of another program -> a network of ours: the readers there are, and the one way to use them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from resgen.errors import CheckpointError
from resgen.interop import biggan, dcgan, mimicry, pytorch_gan, r3gan, studiogan, stylegan2, stylegan3
from resgen.interop.files import ONNX_SUFFIX, PICKLE_SUFFIX, check_start, read_states
from resgen.interop.onnx_files import read_onnx
from resgen.interop.pickles import Plain, averaged_generator, read_pickle, tensors
from resgen.interop.programs import is_program, read_program
from resgen.interop.reading import ImportOptions, Reading
from resgen.interop.states import State, older_names
from resgen.tensors import are_finite, weightless


class Reader(Protocol):
    """A module that reads one kind of state dict."""

    sniff: Callable[[State], bool]
    read: Callable[[State, ImportOptions], Reading]


class PickleReader(Protocol):
    """A module that reads one kind of pickled network, for which its settings are needed beside its tensors."""

    sniff: Callable[[Plain], bool]
    read: Callable[[Plain], Reading]


READERS: dict[str, Reader] = {
    "mimicry": mimicry,
    "biggan": biggan,
    "studiogan": studiogan,
    "r3gan": r3gan,
    "pytorch-gan": pytorch_gan,
    "dcgan": dcgan,  # last: it looks at shapes alone
}  # pyright: ignore[reportAssignmentType]
PICKLED: dict[str, PickleReader] = {"stylegan2": stylegan2, "stylegan3": stylegan3}  # pyright: ignore[reportAssignmentType]
MAX_MEANS = 1 << 25  # numbers of the mean latents of all classes
GRAPH, PROGRAM = "onnx", "program"
KINDS = (*READERS, *PICKLED, GRAPH)


def read_file(path: Path, asked: ImportOptions, wanted: str = "") -> tuple[str, Reading]:
    """The kind of a file, and the network in it; ``wanted`` names the kind where it must not be guessed. Raises CheckpointError."""
    if wanted and wanted not in KINDS:
        raise CheckpointError(f"There is no reader {wanted[:40]!r}; there are {', '.join(KINDS)}.")
    check_start(path)
    if path.suffix.lower() == PICKLE_SUFFIX:
        return _read_pickled(path, asked, wanted)
    if is_program(path):
        return PROGRAM, check(read_program(path, asked), path)
    if path.suffix.lower() == ONNX_SUFFIX:
        return GRAPH, _read(partial(read_onnx, path, asked), path, _malformed)
    return _read_states(path, read_states(path), asked, wanted)


def _read_states(path: Path, states: list[State], asked: ImportOptions, wanted: str) -> tuple[str, Reading]:
    for state in map(older_names, states):
        for name, reader in READERS.items():
            if wanted in ("", name) and reader.sniff(state):
                return name, _read(partial(reader.read, state, asked), path)
    raise CheckpointError(f"{path.name} is not recognised as any of: {wanted or ', '.join(KINDS)}; export the network to ONNX and import that.")


def _read_pickled(path: Path, asked: ImportOptions, wanted: str) -> tuple[str, Reading]:
    """StyleGAN's by what its objects say of themselves; of others, trained with its code, the tensors tell enough."""
    whole = averaged_generator(read_pickle(path))
    if whole is None:
        raise CheckpointError(f"{path.name} holds no network called G_ema or G; choose a .pkl file that a training wrote.")
    for name, reader in PICKLED.items():
        if wanted in ("", name) and reader.sniff(whole):
            return name, _read(partial(reader.read, whole), path)
    return _read_states(path, [tensors(whole)], asked, wanted)


def _lacking(error: Exception) -> str:
    """What is wrong with tensors that a reader tripped over."""
    why = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else "its tensors have other shapes"
    return f"looks like a generator that is known, but {why}; give its whole state dict"


def _malformed(_: Exception) -> str:
    return "is damaged: a part of it is not as ONNX has it; export its network again"


def _read(read: Callable[[], Reading], path: Path, wrong: Callable[[Exception], str] = _lacking) -> Reading:
    """What a reader makes of a file, checked. Raises CheckpointError, whatever the reader trips over; ``wrong`` says what the file then is."""
    try:
        return check(read(), path)
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError, StopIteration, ArithmeticError) as error:
        raise CheckpointError(f"{path.name} {wrong(error)}.") from error


def check(reading: Reading, path: Path) -> Reading:
    """The reading, where its tensors are those that its configuration asks for, and finite. Raises CheckpointError."""
    arch, held = reading.config, dict(reading.weights)
    if max(1, arch.num_classes) * arch.w_dim > MAX_MEANS:
        raise CheckpointError(
            f"{path.name} has {arch.num_classes} classes of {arch.w_dim} numbers each, too many to be opened: export it with fewer classes."
        )
    with weightless():
        expected = {name: tuple(value.shape) for name, value in arch.build().state_dict().items()}
    if reading.mean_w is not None:
        held["mean w"], expected["mean w"] = reading.mean_w, (max(1, arch.num_classes), arch.w_dim)
    found = {name: tuple(value.shape) for name, value in held.items()}
    if found != expected:
        wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise CheckpointError(f"{path.name} does not hold the generator that its shapes tell of: see {', '.join(wrong[:3])}.")
    if not are_finite(held):
        raise CheckpointError(f"{path.name} holds numbers that are not finite: its training diverged or the file is damaged.")
    return reading
