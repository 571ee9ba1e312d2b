"""TorchScript and torch.export files: programs. They are run once, where a person trusts them, and kept as a graph of known operators.

What is written of them is as harmless as any checkpoint of ours: the program itself is in no file of ours.
"""

import logging
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgen.errors import CheckpointError, why
from resgen.interop.files import EXPORTED, open_archive
from resgen.interop.onnx_files import read_onnx
from resgen.interop.reading import ImportOptions, Reading
from resgen.tensors import weightless

OPSETS = {True: 18, False: 17}  # of the exporter of torch.export, and of the older one, which knows TorchScript
TRIED = 2  # noises


def is_program(path: Path) -> bool:
    """Whether a file is a program of PyTorch, by its suffix or by what its archive holds."""
    if path.suffix.lower() == EXPORTED:
        return True
    with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError), open_archive(path) as archive:
        return any(name.endswith("/constants.pkl") or "/code/" in name for name in archive.namelist())
    return False


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
    takes = len(program.forward.schema.arguments) - 1
    classes = asked.settings.get("num_classes", 0)
    if takes not in (1, 2) or (takes == 2 and not (type(classes) is int and classes > 0)):
        raise CheckpointError(
            f"{path.name} takes {takes} inputs; a generator takes noise, and class weights, whose num_classes a --config file says."
        )
    labels = (torch.eye(classes)[:TRIED],) if takes == 2 else ()
    for noise in _noises(program, asked):
        image: Any = None
        with suppress(RuntimeError):
            image = program(noise, *labels)
        if _is_image(image):
            return _by_onnx(path, program, (noise, *labels), asked, dynamo=False)
    raise CheckpointError(f"{path.name} does not make a square image of noise; say the noise's shape in a --config file: noise: [100, 1, 1].")


def _noises(program: Any, asked: ImportOptions) -> Iterator[Tensor]:
    """Noise of the shape that a person says, or of those that the first weights suggest."""
    said = asked.settings.get("noise")
    if isinstance(said, list):
        yield torch.randn(TRIED, *said)
        return
    first = next((value for value in program.parameters() if value.ndim in (2, 4)), None)
    for size in () if first is None else dict.fromkeys((first.shape[0], first.shape[1])):
        yield torch.randn(TRIED, size)
        yield torch.randn(TRIED, size, 1, 1)


def _is_image(image: object) -> bool:
    return isinstance(image, Tensor) and image.ndim == 4 and len(image) == TRIED and image.shape[1] in (1, 3) and image.shape[2] == image.shape[3]


def _read_exported(path: Path, asked: ImportOptions) -> Reading:
    program = torch.export.load(path)
    shapes = {node.name: tuple(node.meta["val"].shape) for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [torch.randn(TRIED, *map(int, shapes[name][1:])) for name in program.graph_signature.user_inputs if isinstance(name, str)]
    image = program.module()(*inputs)
    if not _is_image(image):
        raise CheckpointError(f"{path.name} does not make square images of noise.")
    return _by_onnx(path, program, tuple(inputs), asked, dynamo=True)


def _by_onnx(path: Path, program: Any, inputs: tuple[Tensor, ...], asked: ImportOptions, dynamo: bool) -> Reading:
    """The program as ONNX, read as any such file, and compared with the program."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{path.stem}.onnx"
        names = ["z", "class_weights"][: len(inputs)]
        more: dict[str, Any] = (
            {} if dynamo else {"input_names": names, "dynamic_axes": {name: {0: "batch"} for name in names}, "output_names": ["image"]}
        )
        made = torch.onnx.export(program, inputs, None if dynamo else str(file), dynamo=dynamo, opset_version=OPSETS[dynamo], verbose=False, **more)
        if made is not None:
            made.save(file, external_data=False)
        reading = read_onnx(file, asked)
    _compare(path, reading, program.module() if dynamo else program, inputs)
    return reading


@torch.no_grad()
def _compare(path: Path, reading: Reading, program: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    with weightless():
        generator = reading.config.build()
    generator.load_state_dict(reading.weights, assign=True)
    zero_to_one = getattr(reading.config, "zero_to_one", False)
    wanted = program(*inputs) * (2 if zero_to_one else 1) - float(zero_to_one)
    if (generator(inputs[0].flatten(1), *inputs[1:]) - wanted).abs().max() > 2 / 255:
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
