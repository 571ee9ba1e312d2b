"""TorchScript and torch.export files: programs. They are run once, where a person trusts them, and kept as a graph of known operators.

What is written of them is as harmless as any checkpoint of ours: the program itself is in no file of ours.
"""

import itertools
import logging
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resgen.architecture import MAX_CLASSES
from resgen.budget import MAX_WIDTH
from resgen.errors import CheckpointError, why
from resgen.fields import is_list
from resgen.interop import onnx_files
from resgen.interop.reading import ImportOptions, Reading, UnsaidError
from resgen.interop.torch_files import EXPORTED, open_archive
from resgen.tensors import weightless

OF_SCRIPTS = ("num_classes", "noise")  # settings; what torch.export wrote says them itself
OPSETS = {True: 18, False: 17}  # of the exporter of torch.export, and of the older one, which knows TorchScript
TRIED = 2  # noises


def is_program(path: Path) -> bool:
    """Whether a file is a program of PyTorch, by its suffix or by what its archive holds."""
    if path.suffix.lower() == EXPORTED:
        return True
    with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError), open_archive(path) as archive:
        return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())
    return False


def known_settings(path: Path) -> tuple[str, ...]:
    """What a configuration may say of a program."""
    return onnx_files.SETTINGS if path.suffix.lower() == EXPORTED else (*onnx_files.SETTINGS, *OF_SCRIPTS)


def read_program(path: Path, asked: ImportOptions) -> Reading:
    """The network of a program z [N, D] or [N, D, 1, 1], and class weights [N, classes] if it takes them -> image. Raises CheckpointError."""
    if not asked.trusted:
        raise CheckpointError(f"{path.name} is a program, which would be run to read it; if you trust who made it, say --trust.")
    try:
        with _quiet():
            return _read_exported(path, asked) if path.suffix.lower() == EXPORTED else _read_script(path, asked)
    except CheckpointError:
        raise
    except Exception as error:  # programs and exporters fail in many ways
        raise CheckpointError(f"{path.name} cannot be followed as a generator: {why(error)}. Export its network to ONNX and import that.") from error


def _read_script(path: Path, asked: ImportOptions) -> Reading:
    program = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
    names = [argument.name for argument in program.forward.schema.arguments[1:]]
    classes = asked.settings.get("num_classes", 0)
    if len(names) == 1 and classes != 0:
        raise CheckpointError(f"{path.name} takes noise alone, which is {names[0]}; leave num_classes out of the configuration.")
    if len(names) not in (1, 2) or (len(names) == 2 and not (type(classes) is int and 0 < classes <= MAX_CLASSES)):
        raise UnsaidError(
            f"{path.name} takes {len(names)} inputs; a generator takes noise, and class weights or labels, whose num_classes a --config file says."
        )
    place, failed = names.index(onnx_files.noise_of(names, asked)), ""
    for noise, *labels in itertools.product(_noises(program, asked), *([_labels(classes)] if len(names) == 2 else [])):
        inputs = (*labels, noise) if place else (noise, *labels)
        try:
            image = program(*inputs)
        except Exception as error:  # programs fail in many ways, and most noises are not theirs
            failed = f" ({(str(error).strip().splitlines() or [type(error).__name__])[-1][:160]})"  # what TorchScript says begins with where it was
            continue
        if _is_image(image, TRIED):
            return _by_onnx(path, program, inputs, place, asked, dynamo=False)
    raise UnsaidError(f"{path.name} does not make a square image of noise{failed}; say the noise's shape in a --config file: noise: [100, 1, 1].")


def _noises(program: Any, asked: ImportOptions) -> Iterator[Tensor]:
    """Noise of the shape that a person says, or of those that the first weights suggest."""
    said = asked.settings.get("noise")
    if said is not None:
        if not is_list(said) or not 1 <= len(said) <= 3 or any(type(size) is not int or not 1 <= size <= MAX_WIDTH for size in said):
            raise CheckpointError("The configuration's noise must be the shape of one image's noise, as [100] or [100, 1, 1].")
        yield torch.randn(TRIED, *said)
        return
    first = next((value for value in program.parameters() if value.ndim in (2, 4)), None)
    for size in () if first is None else dict.fromkeys((first.shape[0], first.shape[1])):
        yield torch.randn(TRIED, size)
        yield torch.randn(TRIED, size, 1, 1)


def _labels(classes: int) -> tuple[Tensor, Tensor]:
    """What a program may be given of the classes: weights [N, classes], or indices [N]."""
    indices = torch.arange(TRIED) % classes
    return F.one_hot(indices, classes).float(), indices


def _is_image(image: object, count: int) -> bool:
    return isinstance(image, Tensor) and image.ndim == 4 and len(image) == count and image.shape[1] in (1, 3) and image.shape[2] == image.shape[3]


def _read_exported(path: Path, asked: ImportOptions) -> Reading:
    program = torch.export.load(path)
    given = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    names = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    inputs = tuple(_like(given[name]) for name in names)
    noises = [name for name, value in zip(names, inputs, strict=True) if value.is_floating_point()]
    if not noises or not _is_image(program.module()(*inputs), len(inputs[0])):
        raise CheckpointError(f"{path.name} does not make square images of noise.")
    return _by_onnx(path, program, inputs, names.index(onnx_files.noise_of(noises, asked)), asked, dynamo=True)


def _like(known: Tensor) -> Tensor:
    """An input of the type and shape that a program was exported with; of as many images as it takes, where it takes no others. Raises CheckpointError."""
    images, *sizes = (TRIED if isinstance(size, torch.SymInt) and not place else int(size) for place, size in enumerate(known.shape))
    if any(not 1 <= size <= MAX_WIDTH for size in (images, *sizes)):
        raise CheckpointError("This program's inputs are larger than any noise.")
    if known.is_floating_point():
        return torch.randn(images, *sizes, dtype=known.dtype)
    return (torch.arange(images) % TRIED).to(known.dtype).reshape(images, *[1] * len(sizes)).expand(images, *sizes)


def _by_onnx(path: Path, program: Any, inputs: tuple[Tensor, ...], place: int, asked: ImportOptions, dynamo: bool) -> Reading:
    """The program as ONNX, read as any such file, and compared with the program; ``place`` is that of noise among its inputs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.stem}.onnx"
        names = ["class_weights", "z"] if place else ["z", "class_weights"][: len(inputs)]
        more: dict[str, Any] = (
            {} if dynamo else {"input_names": names, "dynamic_axes": {name: {0: "batch"} for name in names}, "output_names": ["image"]}
        )
        made = torch.onnx.export(program, inputs, None if dynamo else str(file), dynamo=dynamo, opset_version=OPSETS[dynamo], verbose=False, **more)
        if made is not None:
            made.save(file, external_data=False)
        reading = onnx_files.read_onnx(file, asked if dynamo else replace(asked, settings={"noise_input": "z"}))
    _compare(path, reading, program.module() if dynamo else program, inputs, place)
    return reading


@torch.no_grad()
def _compare(path: Path, reading: Reading, program: Callable[..., Tensor], inputs: tuple[Tensor, ...], place: int) -> None:
    with weightless():
        generator = reading.config.build()
    generator.load_state_dict(reading.weights, assign=True)
    zero_to_one = getattr(reading.config, "zero_to_one", False)
    wanted = program(*inputs) * (2 if zero_to_one else 1) - float(zero_to_one)
    noise, labels = inputs[place].flatten(1).float(), [value for index, value in enumerate(inputs) if index != place]
    weights = [
        value.float() if value.is_floating_point() else F.one_hot(value.long().flatten(), reading.config.num_classes).float() for value in labels
    ]
    if (generator(noise, *weights) - wanted).abs().max() > 2 / 255:
        raise CheckpointError(f"{path.name} draws something else than what could be read of it; export its network to ONNX and import that.")


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryFile() as unread:
            warnings.simplefilter("ignore")
            sys.stdout.flush()
            kept = os.dup(1)  # exporters write past Python
            os.dup2(unread.fileno(), 1)
            try:
                yield
            finally:
                sys.stdout.flush()
                os.dup2(kept, 1)
                os.close(kept)
    finally:
        logging.disable(logging.NOTSET)
