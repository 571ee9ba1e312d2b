"""A checkpoint of ours -> files that draw without us: ONNX, TorchScript, torch.export, and one Python file. Each is checked as it is written."""

import json
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager, redirect_stdout
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resgen.architecture import Generator, class_weights
from resgen.bundle import bundle
from resgen.card import Card
from resgen.errors import CheckpointError, FileError, why
from resgen.files import whole_files
from resgen.interop.graph import GraphConfig
from resgen.latents import draw_seed
from resgen.recipe import Recipe
from resgen.sampler import Sampler, to_pixels

OPSET = 18
CHECKED = (0, 1, 2, 3, 4)  # seeds; an odd number, and another than what the export was traced with
TRACED = 2
TOLERANCE, TOLERANCE_OF_HALF = 1, 3  # of pixels, in 255ths
PYTHON_MAIN = Path(__file__).with_name("export_main.py")


class Drawing(nn.Module):
    """What is exported: z [N, z_dim], and class weights [N, classes] where there are classes -> images [N, channels, R, R] in -1..1, float32."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        return self.generator(z, class_weights).clamp(-1, 1)


def inputs_of(sampler: Sampler, seeds: tuple[int, ...]) -> tuple[Tensor, ...]:
    """The z of seeds, and where there are classes the class weights that each draws."""
    arch = sampler.card.arch
    drawn = [draw_seed(seed, arch.z_dim, arch.num_classes) for seed in seeds]
    z = torch.stack([z for z, _ in drawn])
    weights = class_weights(torch.tensor([label for _, label in drawn]), arch.num_classes)
    return (z,) if weights is None else (z, weights)


def export(sampler: Sampler, kind: str, path: Path, half: bool = False) -> int:
    """Write a checkpoint as ``kind`` ('onnx', 'torchscript', 'pt2' or 'python'; ``half`` for ONNX alone) and return by how much what it draws differs from the sampler, in 255ths.

    Raises CheckpointError where it differs by more than rounding, FileError where it cannot be written.
    """
    if kind not in WRITERS:
        raise CheckpointError(f"There is no export {kind[:40]!r}; there are {', '.join(WRITERS)}.")
    if half and kind != ONNX:
        raise CheckpointError("Only ONNX files can be written in half precision.")
    if kind != PYTHON:
        refuse_graph(sampler.card)
    elif path.suffix != ".py":
        raise CheckpointError(f"{path.name} cannot be a Python file, whose weights lie beside it as .pt: give --out the ending .py.")
    write, draw = WRITERS[kind]
    with whole_files(path) as aside:
        write(sampler, aside, half)
        found = draw(sampler, aside)
        wanted = sampler.render(Recipe(checkpoint=sampler.card.name, seeds=CHECKED))
        difference = int(abs(found.astype(int) - wanted.astype(int)).max())
        limit = TOLERANCE_OF_HALF if half else TOLERANCE
        if difference > limit:
            raise CheckpointError(f"What {path.name} draws differs from {sampler.card.name} by {difference}/255, more than {limit}; it was not kept.")
    return difference


def refuse_graph(card: Card) -> None:
    """Raises CheckpointError for what was imported as a graph."""
    if card.arch.family == GraphConfig.family:
        raise CheckpointError(
            f"{card.name} was imported as a graph of ONNX's operators, which goes on --to {PYTHON} alone; or use {card.source.get('file', 'its file')} itself."
        )


def to_onnx(module: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], output: str) -> torch.onnx.ONNXProgram:
    """A module as a graph of ONNX that takes any number of rows; traced with ``inputs``, which are called ``names``. Raises CheckpointError."""
    with _quiet():
        program = torch.onnx.export(
            module, inputs, dynamo=True, opset_version=OPSET, input_names=names, output_names=[output], verbose=False,
            dynamic_shapes=_any_number(inputs),
        )  # fmt: skip
    assert program is not None
    return program


def _drawing(sampler: Sampler) -> tuple[Drawing, tuple[Tensor, ...]]:
    return Drawing(sampler.checkpoint.build()).eval().requires_grad_(False), inputs_of(sampler, CHECKED[:TRACED])


def _write_onnx(sampler: Sampler, path: Path, half: bool) -> None:
    drawing, inputs = _drawing(sampler)
    write_graph(to_onnx(drawing, inputs, ["z", "class_weights"][: len(inputs)], "image"), path, half)


def write_graph(program: torch.onnx.ONNXProgram, path: Path, half: bool) -> None:
    """Write a graph with its weights inside, its matrices in half precision where ``half``."""
    import onnx  # here, since few commands write graphs

    model = program.model_proto
    if half:
        _halve(model.graph)
    onnx.save(model, path)


def _halve(graph: Any) -> None:
    """Keep the matrices of an onnx.GraphProto in half precision, each cast back by a node that whoever opens the file folds away: half the bytes, sums in single precision.

    Vectors are small, and variances may pass the range of half precision, as in `checkpoint.save_checkpoint`.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = list[Any]()
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim > 1 and abs(values).max() <= np.finfo(np.float16).max:
            name = f"{tensor.name}.half"
            casts.append(helper.make_node("Cast", [name], [tensor.name], to=TensorProto.FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _draw_onnx(sampler: Sampler, path: Path) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    feeds = {wanted.name: value.numpy() for wanted, value in zip(session.get_inputs(), inputs_of(sampler, CHECKED), strict=True)}
    return to_pixels(torch.from_numpy(session.run(None, feeds)[0]))


def _write_torchscript(sampler: Sampler, path: Path, half: bool) -> None:
    drawing, inputs = _drawing(sampler)
    buffer = BytesIO()  # torch's own writer of files ends the process where a disk is full
    with _quiet():
        torch.jit.save(torch.jit.trace(drawing, inputs, check_trace=False), buffer)  # type: ignore[no-untyped-call]
    path.write_bytes(buffer.getvalue())


def _draw_torchscript(sampler: Sampler, path: Path) -> np.ndarray:
    with _quiet():
        return _drawn(torch.jit.load(path), sampler)


def _write_pt2(sampler: Sampler, path: Path, half: bool) -> None:
    drawing, inputs = _drawing(sampler)
    with _quiet():
        program = torch.export.export(drawing, inputs, dynamic_shapes=_any_number(inputs))
        with tempfile.TemporaryDirectory() as folder:  # its writer wants the ending .pt2
            torch.export.save(program, Path(folder) / "generator.pt2")
            path.write_bytes((Path(folder) / "generator.pt2").read_bytes())


def _draw_pt2(sampler: Sampler, path: Path) -> np.ndarray:
    with _quiet(), path.open("rb") as file:
        return _drawn(torch.export.load(file).module(), sampler)


def _write_python(sampler: Sampler, path: Path, half: bool) -> None:
    """The source, and beside it the weights: NAME.py and NAME.pt."""
    card, checkpoint = sampler.card, sampler.checkpoint
    config = type(card.arch)
    wanted = ("resgen.latents", "draw_seed"), ("resgen.architecture", "class_weights"), ("resgen.sampler", "to_pixels")
    source = bundle([(config.__module__, config.__name__), *wanted])
    settings = json.dumps(card.arch.to_dict())
    # What a stranger may have named is written as Python writes a text, so that it stays one.
    title = repr(f"{card.name}: images of a generator; written by ResGen, needs PyTorch alone. Its weights lie beside it.") + "\n\n"
    facts = f"\n\nCONFIG = {config.__name__}.from_dict(json.loads({settings!r}))\nCLASS_NAMES = {card.classes!r}\nBESIDE = {path.with_suffix('.pt').name!r}\n"
    main = PYTHON_MAIN.read_text(encoding="utf-8").partition("# From here on")[2].partition("\n")[2]
    header, _, rest = source.partition("\n\n\n")
    more = "from __future__ import annotations\n\nimport argparse\nimport json\nimport struct\nimport zlib\nfrom pathlib import Path\n"
    path.write_text(title + more + header + "\n\n\n" + rest + facts + main, encoding="utf-8")
    tensors = {f"generator.{name}": value for name, value in checkpoint.weights.items()} | {"mean_w": checkpoint.mean_w}
    buffer = BytesIO()
    torch.save(tensors, buffer)
    path.with_suffix(".pt").write_bytes(buffer.getvalue())


def _draw_python(sampler: Sampler, path: Path) -> np.ndarray:
    """What the file draws in a process of its own, in which nothing of ours can be imported."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "images.npz"
        words = [sys.executable, "-I", str(path.resolve()), "--seeds", *map(str, CHECKED), "--out", str(image)]
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]  # killed for memory, it says nothing
            raise CheckpointError(f"The Python file that was written cannot be run: {said[-1][:200]}.")
        return np.load(image)["images"]


def _drawn(drawing: Callable[..., Tensor], sampler: Sampler) -> np.ndarray:
    with torch.no_grad():
        return to_pixels(drawing(*inputs_of(sampler, CHECKED)))


def _any_number(inputs: tuple[Tensor, ...]) -> tuple[dict[int, Any], ...]:
    batch = torch.export.Dim("batch", min=1)
    return tuple({0: batch} for _ in inputs)


@contextmanager
def _quiet() -> Any:
    """Without the exporters' own remarks."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (CheckpointError, FileError, OSError):
        raise
    except Exception as error:  # exporters fail in many ways, and torch's wraps what it met in advice
        met = error.__cause__ if isinstance(error, torch.onnx.OnnxExporterError) and isinstance(error.__cause__, Exception) else error
        raise CheckpointError(f"This generator cannot be exported so: {why(met)}.") from error
    finally:
        logging.disable(logging.NOTSET)


ONNX, PYTHON = "onnx", "python"
WRITERS: dict[str, tuple[Callable[[Sampler, Path, bool], None], Callable[[Sampler, Path], np.ndarray]]] = {
    ONNX: (_write_onnx, _draw_onnx),
    "torchscript": (_write_torchscript, _draw_torchscript),
    "pt2": (_write_pt2, _draw_pt2),
    PYTHON: (_write_python, _draw_python),
}
