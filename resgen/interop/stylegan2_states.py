"""Reader of StyleGAN2's state dicts with NVIDIA's names, as PyTorch-StudioGAN saves them too: what its objects say when pickled is told by shapes."""

import math
import re
from dataclasses import replace

from torch import Tensor

from resgen.interop import stylegan2
from resgen.interop.pickles import Plain
from resgen.interop.reading import ImportOptions, Reading, refuse_sigmoid
from resgen.interop.states import State
from resgen.interop.style import SLOWED

SETTINGS: tuple[str, ...] = ()
UNSAID = "Such a file does not tell whether its layers' outputs are clamped; it is assumed that they are not."


def sniff(state: State) -> bool:
    """Whether these are the tensors of a StyleGAN2 under NVIDIA's names."""
    return {"mapping.fc0.weight", "synthesis.b4.const", "synthesis.b4.conv1.affine.weight"} <= set(state)


def read(state: State, asked: ImportOptions) -> Reading:
    refuse_sigmoid(asked)
    return replace(stylegan2.read(state, _described(state)), remarks=(UNSAID,))


def _described(state: State) -> Plain:
    """The modules that the tensors are of, each with the settings that follow from these."""
    whole, embed = Plain("Generator"), state.get("mapping.embed.weight")
    for name, value in state.items():
        part, _, leaf = name.rpartition(".")
        _place(whole, part).state |= _settings(name, leaf, value)
    side = max(int(found[1]) for name in state if (found := re.fullmatch(r"synthesis\.b(\d{1,5})\.conv1\.bias", name)))
    last = f"synthesis.b{side}"
    _place(whole, last).state["architecture"] = _architecture(state)
    embedding, classes = (0, 0) if embed is None else embed.shape
    whole.state |= {"c_dim": classes, "img_channels": len(state[f"{last}.torgb.bias"]), "img_resolution": side}
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d{1,3}\.weight", name)) for name in state)
    _place(whole, "mapping").state |= {"c_dim": classes, "num_layers": layers, "z_dim": state["mapping.fc0.weight"].shape[1] - embedding}
    return whole


def _place(whole: Plain, name: str) -> Plain:
    """The submodule of a dotted name, made where there is none."""
    for part in name.split("."):
        whole = whole.state.setdefault("_modules", {}).setdefault(part, Plain(part))
    return whole


def _settings(name: str, leaf: str, value: Tensor) -> dict[str, object]:
    if leaf == "weight":
        rate = SLOWED if name.startswith("mapping.fc") else 1.0
        return {"weight_gain": rate / math.sqrt(value[0].numel()), "bias_gain": rate}
    return {"use_noise": True} if leaf == "noise_const" else {}


def _architecture(state: State) -> str:
    if any(name.endswith(".skip.weight") for name in state):
        return "resnet"
    return "skip" if "synthesis.b4.torgb.weight" in state else "orig"
