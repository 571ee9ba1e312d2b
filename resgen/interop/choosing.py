"""Which of the tables in a file is a generator, told by their names: a training saves several networks, and much else."""

import re
from typing import Any

import torch
from torch import Tensor

from resgen.errors import CheckpointError
from resgen.fields import is_table
from resgen.interop.modules import entries
from resgen.interop.state_dicts import StateDict
from resgen.interop.torch_stubs import opened

MAX_DEPTH = 3  # tables within tables
MAX_WORD = 100  # characters of a key that may say what a table is
MAX_COUNTED = 1 << 31  # a greater number is no place in a list
MAX_NAME = 500  # characters of a tensor's name: thousands of tables may have the same one, and each makes names of its own
AVERAGED = ("g_ema", "ema", "params_ema", "generator_ema", "netg_ema")  # what others call the generator to draw with, best first
AVERAGES = {"ema", "running", "average", "averaged", "avg", "smooth", "gs", "ge", "gema"}  # words of other names for it, as of state_dict_ema or avgG
PLAIN = ("g", "netg", "generator", "gen", "model_state_dict", "state_dict", "model", "params")
GENERATORS = {"g", "gen", "generator", "decoder"}  # words of other names for any
ADVERSARIES = {"d", "dis", "disc", "discriminator", "critic", "adversary"}  # words of names for what a generator is trained with
ENCODER = ["encoder"]  # the same, as the whole of a name: a class may have one of its own
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # of a name, as a_word or aWord
WRAPPED = re.compile(r"(?:module\.|_orig_mod\.)*")  # what parallel training, averaging and compiling put before names
COUNTED = "n_averaged"  # beside the tensors of torch's AveragedModel


def networks(content: object) -> list[tuple[str, StateDict]]:
    """The state dicts in what a file holds and their places in it, as a.b, those of an averaged generator first. Raises CheckpointError."""
    return [(place, state) for name, raw in opened(_tables(content)) for place, state in _apart(name, _clean(raw)) if state]


def _tables(content: object) -> list[tuple[str, dict[Any, Any]]]:
    """The dictionaries in a file and their places, the best names first. One that is in several places, as within itself, counts once, by the best of its names."""
    found, level = dict[int, tuple[tuple[int, str], dict[Any, Any]]](), [("", content)] if is_table(content) else []
    for _ in range(MAX_DEPTH + 1):
        below = list[tuple[str, dict[Any, Any]]]()
        for name, table in level:
            rank, known = _rank(name), found.get(id(table))
            if known is None or rank < known[0]:
                found[id(table)] = rank, table
            if known is None or rank[0] < known[0][0]:  # a better rank is that of all within, too
                below += [(f"{name}.{_word(key)}", value) for key, value in entries(table) if is_table(value)]
        level = below
    return [(name.removeprefix("."), table) for (_, name), table in sorted(found.values(), key=lambda pair: pair[0])]


def _word(key: object) -> str:
    """A key that may say what a table is; of a tuple, say, only that it is one, since a file may have the same long text in it thousands of times."""
    return key[:MAX_WORD] if isinstance(key, str) else str(key) if isinstance(key, int) and abs(key) < MAX_COUNTED else type(key).__name__


def _rank(name: str) -> tuple[int, str]:
    """How good the name of a table is: first those of an averaged generator, then none at all, then those of any generator, then all others, of which
    those of an adversary are last.
    """
    parts = [part for part in name.split(".") if part]
    words = [part.lower() for part in parts]
    last = len(AVERAGED) + len(PLAIN) + 2
    if any(map(_is_adversary, parts)):
        return last + 1, name
    for rank, known in enumerate(AVERAGED):
        if known in words:
            return rank, name
    if any(map(_is_average, parts)):
        return len(AVERAGED), name
    for rank, known in enumerate(PLAIN, len(AVERAGED) + 1):
        if known in words:
            return rank, name
    return (last - any(map(_is_generator, parts)) if parts else len(AVERAGED) + 1), name


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]


def _is_average(name: str) -> bool:
    return not AVERAGES.isdisjoint(_words(name)) and not _is_adversary(name)


def _is_generator(name: str) -> bool:
    return (name.lower() in PLAIN or not GENERATORS.isdisjoint(_words(name))) and not _is_adversary(name)


def _is_adversary(name: str) -> bool:
    return not ADVERSARIES.isdisjoint(_words(name)) or _words(name) == ENCODER


def _clean(raw: dict[Any, Any]) -> StateDict:
    """The dense tensors of a table by name, without what a network is wrapped in. Raises CheckpointError for names that are too long."""
    dense = {key: value for key, value in entries(raw) if isinstance(key, str) and type(value) in (Tensor, torch.nn.Parameter) and _is_dense(value)}
    if any(len(key) > MAX_NAME for key in dense):
        raise CheckpointError("The file has tensors with longer names than any network's; give the generator's state dict.")
    return _unwrapped({key: value.detach() for key, value in dense.items()})


def _unwrapped(state: StateDict) -> StateDict:
    names = [name for name in state if name != COUNTED]
    prefix = min((wrapped[0] for name in names if (wrapped := WRAPPED.match(name))), key=len, default="")
    prefix = prefix if all(name.startswith(prefix) for name in names) else ""
    return {name.removeprefix(prefix): state[name] for name in names}


def _apart(place: str, state: StateDict) -> list[tuple[str, StateDict]]:
    """The networks that a table holds under names of one with dots, as those of a whole training, the best first; then the table itself."""
    parts = dict[str, StateDict]()
    for name, value in state.items():
        part, _, within = name.partition(".")
        parts.setdefault(part, {})[within] = value
    if not any(_is_adversary(part) or _is_average(part) for part in parts):
        return [(place, state)]
    generators = [part for part in parts if _is_generator(part) or _is_average(part)]
    return [*((f"{place}.{part}".removeprefix("."), _unwrapped(parts[part])) for part in sorted(generators, key=_rank)), (place, state)]


def _is_dense(value: Tensor) -> bool:
    return value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
