"""Any file of another program -> a network of ours: the readers there are, and the one way to use them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from resgen.errors import CheckpointError
from resgen.interop import (
    biggan,
    biggan_pytorch,
    dcgan,
    mimicry,
    onnx_files,
    programs,
    pytorch_gan,
    r3gan,
    rosinality,
    studiogan,
    stylegan2_pickles,
    stylegan2_states,
    stylegan3_pickles,
)
from resgen.interop.pickles import Plain, averaged_generator, read_pickle, tensors
from resgen.interop.reading import ImportOptions, Reading, refuse_sigmoid
from resgen.interop.state_dicts import StateDict, Watched, older_names
from resgen.interop.torch_files import ONNX_SUFFIX, PICKLE_SUFFIX, is_saved_by_torch, read_states
from resgen.tensors import are_finite, weightless


class Reader(Protocol):
    """A module that reads one kind of state dict; it may also name, as `BESIDE`, tensors that its files keep in tables around the network."""

    SETTINGS: tuple[str, ...] | None  # what a configuration may say of it, beside `ALWAYS`; None: all that its own training's says
    sniff: Callable[[StateDict], bool]
    read: Callable[[StateDict, ImportOptions], Reading]


class PickleReader(Protocol):
    """A module that reads one kind of pickled network, for which its settings are needed beside its tensors."""

    sniff: Callable[[Plain], bool]
    read: Callable[[StateDict, Plain], Reading]


READERS: dict[str, Reader] = {
    "mimicry": mimicry,
    "biggan": biggan,
    "biggan-pytorch": biggan_pytorch,
    "studiogan": studiogan,
    "r3gan": r3gan,
    "rosinality": rosinality,
    "stylegan2": stylegan2_states,
    "pytorch-gan": pytorch_gan,
    "dcgan": dcgan,  # last: it looks at shapes alone
}  # pyright: ignore[reportAssignmentType]
PICKLED: dict[str, PickleReader] = {"stylegan2": stylegan2_pickles, "stylegan3": stylegan3_pickles}  # pyright: ignore[reportAssignmentType]
MAX_MEANS = 1 << 25  # numbers of the mean latents of all classes
ALWAYS = ("classes",)  # settings that go with any file
GRAPH, PROGRAM = "onnx", "program"
KINDS = (*dict.fromkeys((*READERS, *PICKLED)), GRAPH)


def read_file(path: Path, asked: ImportOptions, wanted: str = "") -> tuple[str, Reading]:
    """The kind of a file, and the network in it; ``wanted`` names the kind where it must not be guessed. Raises CheckpointError."""
    if wanted and wanted not in KINDS:
        raise CheckpointError(f"There is no reader {wanted[:40]!r}; there are {', '.join(KINDS)}.")
    if not is_saved_by_torch(path) and path.suffix.lower() == PICKLE_SUFFIX:
        return _read_pickled(path, asked, wanted)
    if programs.is_program(path):
        _check_wanted(path, wanted, PROGRAM)
        asked.check_settings((*programs.known_settings(path), *ALWAYS))
        return PROGRAM, check(programs.read_program(path, asked), path)
    if path.suffix.lower() == ONNX_SUFFIX:
        _check_wanted(path, wanted, GRAPH)
        asked.check_settings((*onnx_files.SETTINGS, *ALWAYS))
        return GRAPH, _read(partial(onnx_files.read_onnx, path, asked), path, _malformed)
    return _read_states(path, read_states(path), asked, wanted)


def _check_wanted(path: Path, wanted: str, kind: str) -> None:
    """Raise CheckpointError where a file that is read by its form, whatever network is in it, is said to be of another kind."""
    if wanted not in ("", kind):
        raise CheckpointError(f"{path.name} is a graph or a program, which says itself what it draws, and is not read as {wanted}; leave --arch out.")


def _read_states(path: Path, states: list[tuple[str, StateDict]], asked: ImportOptions, wanted: str) -> tuple[str, Reading]:
    tables = dict(states)
    for place, raw in states:
        state = older_names(raw)
        for name, reader in READERS.items():
            if wanted in ("", name) and reader.sniff(state):
                state |= _beside(place, tables, getattr(reader, "BESIDE", ()))
                if reader.SETTINGS is not None:
                    asked.check_settings((*reader.SETTINGS, *ALWAYS))
                reading = _read(partial(_read_whole, path, name, reader.read, state, asked), path)
                return name, replace(reading, remarks=(*([f"It is read from {place[:100]!r}."] if place else []), *reading.remarks))
    raise CheckpointError(f"{path.name} is not recognised as any of: {wanted or ', '.join(KINDS)}; export the network to ONNX and import that.")


def _beside(place: str, tables: dict[str, StateDict], names: tuple[str, ...]) -> StateDict:
    """The tensors of these names in the tables around the one at a place, each from the nearest that has it."""
    found = StateDict()
    while place:
        place = place.rpartition(".")[0]
        around = tables.get(place, {})
        found = {name: around[name] for name in names if name in around} | found
    return found


def _read_whole(path: Path, name: str, read: Callable[[StateDict, Any], Reading], state: StateDict, about: ImportOptions | Plain) -> Reading:
    """What a reader makes of all of a state dict, given what is known ``about`` it. Raises CheckpointError where it leaves tensors out, and
    whatever the reader trips over.
    """
    watched = Watched(state)
    reading = read(watched, about)
    if left := watched.unread:
        raise CheckpointError(
            f"{path.name} looks like {name}, but also holds {', '.join(left[:3])}, which would be left out; export its network to ONNX and import that."
        )
    return reading


def _read_pickled(path: Path, asked: ImportOptions, wanted: str) -> tuple[str, Reading]:
    """StyleGAN's by what its objects say of themselves; of others, trained with its code, the tensors tell enough."""
    whole = averaged_generator(read_pickle(path))
    if whole is None:
        raise CheckpointError(
            f"{path.name} holds no network called G_ema or G; choose a .pkl file that a training wrote, or save the generator's state_dict() with torch.save."
        )
    state = tensors(whole)
    for name, reader in PICKLED.items():
        if wanted in ("", name) and reader.sniff(whole):
            asked.check_settings(ALWAYS)
            refuse_sigmoid(asked)
            return name, _read(partial(_read_whole, path, name, reader.read, state, whole), path)
    return _read_states(path, [("", state)], asked, wanted)


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
