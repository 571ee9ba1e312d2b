"""What the operators of an ONNX graph compute, in PyTorch: name -> function of inputs (None: left out) and attributes.

Only what has no side effects and no inner graph is here. Whole numbers, which steer shapes, stay on the CPU; fractions may be anywhere.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attributes = dict[str, Any]
Operator = Callable[[list[Any], Attributes], Any]

MAX_NUMBERS = 1 << 28  # of one tensor
MAX_PADDED = 4  # a tensor of more than SMALL numbers may grow at most so many times by padding,
SMALL = 1 << 20  # since what is padded within an operator is no result, and does not count as `features`
MAX_FOLLOWED = 1 << 20  # numbers that are read and made, all together, while a graph is followed for its shapes
MAX_LIST = 1024  # numbers that say an operator's sizes or places: one for each dimension, or each part
MAX_DIMENSIONS = 64  # as most of torch's operators have it
CUBIC = -0.75  # how far bicubic resizing goes beyond what it is between
SMOOTH = {"linear": "bilinear", "cubic": "bicubic"}  # ONNX's words for what torch calls so
ORIGINS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "asymmetric": lambda places, factor: places / factor,
    "half_pixel": lambda places, factor: (places + 0.5) / factor - 0.5,
    "pytorch_half_pixel": lambda places, factor: ((places + 0.5) / factor - 0.5) * (len(places) > 1),
}  # where a resized image's pixels come from
ROUNDING = 5e-4  # of places of pixels, which are of single precision: less than what parts them
NEAREST: dict[str, Callable[[Tensor], Tensor]] = {
    "floor": lambda places: (places + ROUNDING).floor(),
    "ceil": lambda places: (places - ROUNDING).ceil(),
    "round_prefer_floor": lambda places: (places - 0.5 - ROUNDING).ceil(),
    "round_prefer_ceil": lambda places: (places + 0.5 + ROUNDING).floor(),
}
SELU = 1.0507010221481323, 1.6732631921768188  # as its paper has it, of single precision
FLOATS, INTS, TRUTH = {1, 10, 11, 16}, {2, 3, 5, 6, 7, 12, 13}, 9  # ONNX's numbers of types; 16 is bfloat16


class GraphError(Exception):
    """A graph that cannot be followed."""


def bounded(shape: list[int]) -> list[int]:
    """The shape. Raises GraphError where a tensor of it would be too large."""
    if math.prod(max(1, size) for size in shape) > MAX_NUMBERS:
        raise GraphError(f"it makes a tensor of {' x '.join(map(str, shape))} numbers")
    return shape


def _listed(value: Any) -> list[Any]:
    """The numbers of an input or an attribute that says sizes or places. Raises GraphError where there are none to be had, or too many."""
    if not isinstance(value, Tensor):
        return list(value)
    if value.is_meta:
        raise GraphError("a size in it hangs on what it draws, or on more numbers than steer a network")
    if value.numel() > MAX_LIST:
        raise GraphError(f"it reads {value.numel()} numbers as a size")
    return value.reshape(-1).tolist()


def _ints(value: Any) -> list[int]:
    return [int(number) for number in _listed(value)]


def _pairs(pads: list[int], dims: int) -> list[tuple[int, int]]:
    """ONNX's pads, all begins then all ends, as (begin, end) of each dimension."""
    return [(pads[dim], pads[dim + dims]) for dim in range(dims)]


def _flat(pairs: list[tuple[int, int]]) -> list[int]:
    """Of `F.pad`: the last dimension first."""
    return [amount for pair in reversed(pairs) for amount in pair]


def _padded(x: Tensor, attributes: Attributes, value: float = 0.0) -> Tensor:
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise GraphError(f"its padding {attributes['auto_pad']} is not known here")
    dims = x.ndim - 2
    pads = attributes.get("pads", [0] * 2 * dims)
    if not any(pads):
        return x
    pairs = _pairs(pads, dims)
    sides = [size + begin + end for size, (begin, end) in zip(x.shape[2:], pairs, strict=True)]
    if math.prod([*x.shape[:2], *sides]) > MAX_PADDED * max(SMALL, x.numel()):
        raise GraphError(f"it pads {' x '.join(map(str, x.shape[2:]))} pixels to {' x '.join(map(str, sides))}")
    return F.pad(x, _flat(pairs), value=value)


def _three(inputs: list[Any]) -> tuple[Any, Any, Any]:
    """Two or three inputs; one that is left out is None."""
    return inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None


def _conv(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, weight, bias = _three(inputs)
    x = _padded(x, attributes)
    return F.conv2d(x, weight, bias, attributes.get("strides", 1), 0, attributes.get("dilations", 1), attributes.get("group", 1))


def _conv_transpose(inputs: list[Any], attributes: Attributes) -> Tensor:
    """What is padded differently on two sides, as where an output's size is said, is cut off afterwards."""
    x, weight, bias = _three(inputs)
    strides, dilations, more = (attributes.get(name, [usual] * 2) for name, usual in (("strides", 1), ("dilations", 1), ("output_padding", 0)))
    sides = [
        (size - 1) * stride + (kernel - 1) * dilation + 1 + end
        for size, stride, kernel, dilation, end in zip(x.shape[2:], strides, weight.shape[2:], dilations, more, strict=True)
    ]
    bounded([x.shape[0], weight.shape[1] * attributes.get("group", 1), *sides])
    pads = _transposed_pads(attributes, sides, [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)])
    if min(min(pair) for pair in pads) < 0:
        raise GraphError("a transposed convolution of it makes less than it says")
    even = all(begin == end for begin, end in pads)
    left = [side - begin - end for side, (begin, end) in zip(sides, pads, strict=True)]
    if not even and math.prod(sides) > MAX_PADDED * max(SMALL, math.prod(left)):
        raise GraphError(f"it cuts {' x '.join(map(str, sides))} pixels to {' x '.join(map(str, left))}")
    padding = [begin for begin, _ in pads] if even else 0
    y = F.conv_transpose2d(x, weight, bias, strides, padding, more, attributes.get("group", 1), dilations)
    return y if even else F.pad(y, _flat([(-begin, -end) for begin, end in pads]))


def _transposed_pads(attributes: Attributes, sides: list[int], usual: list[int]) -> list[tuple[int, int]]:
    """What is cut off a transposed convolution's result of these ``sides``: as said, or so much that a said or ``usual`` size is left."""
    kind: str = attributes.get("auto_pad", "NOTSET")
    if "output_shape" in attributes:
        wanted = attributes["output_shape"][-2:]
    elif kind in ("SAME_UPPER", "SAME_LOWER"):
        wanted = usual
    else:
        return _pairs(attributes.get("pads", [0] * 4), 2)
    much = [side - size for side, size in zip(sides, wanted, strict=True)]
    return [(cut // 2, cut - cut // 2) if kind == "SAME_UPPER" else (cut - cut // 2, cut // 2) for cut in much]


def _batch_norm(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, scale, bias, mean, variance = inputs
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, attributes.get("epsilon", 1e-5))


def _layer_norm(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, scale, bias = _three(inputs)
    return F.layer_norm(x, list(x.shape[attributes.get("axis", -1) :]), scale, bias, attributes.get("epsilon", 1e-5))


def _gemm(inputs: list[Any], attributes: Attributes) -> Tensor:
    a, b, c = _three(inputs)
    product = (a.T if attributes.get("transA") else a) @ (b.T if attributes.get("transB") else b)
    product = product * attributes.get("alpha", 1.0)
    return product if c is None else product + attributes.get("beta", 1.0) * c


def _matmul(inputs: list[Any], attributes: Attributes) -> Tensor:
    a, b = inputs
    bounded([*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2] if a.ndim > 1 else 1, b.shape[-1]])
    return a @ b


def _binary(operation: Callable[[Any, Any], Any]) -> Operator:
    def run(inputs: list[Any], attributes: Attributes) -> Any:
        a, b = inputs
        bounded(list(torch.broadcast_shapes(a.shape, b.shape)))
        if a.device != b.device:  # a whole number that became a factor
            a, b = (value.to(a.device if b.device.type == "cpu" else b.device) for value in (a, b))
        return operation(a, b)

    return run


def _unary(operation: Callable[[Any], Any]) -> Operator:
    return lambda inputs, attributes: operation(inputs[0])


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _clip(inputs: list[Any], attributes: Attributes) -> Tensor:
    low, high = (*inputs[1:], None, None)[:2]
    low, high = attributes.get("min", low), attributes.get("max", high)
    return torch.clamp(inputs[0], *(None if limit is None else float(limit) for limit in (low, high)))


def _reshape(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, shape = inputs[0], _ints(inputs[1] if len(inputs) > 1 else attributes["shape"])
    if not attributes.get("allowzero"):
        shape = [x.shape[dim] if size == 0 else size for dim, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, axis = inputs[0], attributes.get("axis", 1) % (inputs[0].ndim + 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _squeeze(inputs: list[Any], attributes: Attributes) -> Tensor:
    axes = _axes(inputs, attributes)
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(tuple(axes))


def _unsqueeze(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, axes = inputs[0], _axes(inputs, attributes) or []
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _axes(inputs: list[Any], attributes: Attributes) -> list[int] | None:
    if len(inputs) > 1 and inputs[1] is not None:
        return _ints(inputs[1])
    return attributes.get("axes")


def _concat(inputs: list[Any], attributes: Attributes) -> Tensor:
    bounded([sum(value.numel() for value in inputs)])
    return torch.cat(inputs, dim=attributes["axis"])


def _split(inputs: list[Any], attributes: Attributes) -> tuple[Tensor, ...]:
    x, axis = inputs[0], attributes.get("axis", 0)
    given = inputs[1] if len(inputs) > 1 and inputs[1] is not None else attributes.get("split")
    if given is None:
        return torch.split(x, math.ceil(x.shape[axis] / attributes["outputs"]), dim=axis)
    sizes = _ints(given)
    if len(sizes) != attributes["outputs"]:
        raise GraphError(f"it splits a tensor into {len(sizes)} parts, and names {attributes['outputs']}")
    return torch.split(x, sizes, dim=axis)


def _slice(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, rest = inputs[0], [None if value is None else _ints(value) for value in inputs[1:]]
    starts, ends, axes, steps = (*rest, None, None, None, None)[:4]
    starts, ends, axes = starts or attributes["starts"], ends or attributes["ends"], axes or attributes.get("axes")
    if len(starts) > x.ndim:
        raise GraphError("it cuts a tensor along more dimensions than there are")
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = (axes[place] if axes else place) % x.ndim
        x = _cut(x, axis, slice(start, end, steps[place] if steps else 1))
    return x


def _cut(x: Tensor, axis: int, part: slice) -> Tensor:
    """A part along an axis; one that goes backwards is the same of what is turned about."""
    start, end, step = part.indices(x.shape[axis])
    if step < 0:
        x, last = x.flip(axis), x.shape[axis] - 1
        start, end, step = last - start, last - end, -step
    return x[(slice(None),) * axis + (slice(start, end, step),)]


def _gather(inputs: list[Any], attributes: Attributes) -> Tensor:
    x, indices = inputs
    axis = attributes.get("axis", 0) % x.ndim
    bounded([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    taken = x.index_select(axis, indices.reshape(-1).to(x.device))
    return taken.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _shape(inputs: list[Any], attributes: Attributes) -> Tensor:
    return torch.tensor(list(inputs[0].shape)[attributes.get("start", 0) : attributes.get("end")], dtype=torch.int64)


def _cast(inputs: list[Any], attributes: Attributes) -> Tensor:
    kind = attributes["to"]
    if kind not in {*FLOATS, *INTS, TRUTH}:
        raise GraphError(f"it makes numbers of a type that is not known here, ONNX's {kind}")
    return inputs[0].float() if kind in FLOATS else inputs[0].long() if kind in INTS else inputs[0].bool()


def _constant_of_shape(inputs: list[Any], attributes: Attributes) -> Tensor:
    value = attributes.get("value", 0.0)
    value = value[0] if isinstance(value, list) else value
    return torch.full(bounded(_ints(inputs[0])), value, dtype=torch.float32 if isinstance(value, float) else torch.int64)


def _expand(inputs: list[Any], attributes: Attributes) -> Tensor:
    x = inputs[0]
    return x.expand(bounded(list(torch.broadcast_shapes(x.shape, _ints(inputs[1])))))


def _tile(inputs: list[Any], attributes: Attributes) -> Tensor:
    times = _ints(inputs[1])
    bounded([size * count for size, count in zip(inputs[0].shape, times, strict=True)])
    return inputs[0].repeat(times)


def _resize(inputs: list[Any], attributes: Attributes) -> Tensor:
    """By the nearest pixels, bilinearly or bicubically, as networks do it."""
    x, factors = inputs[0], [1.0, 1.0]
    scales, sizes = (inputs[1], None) if len(inputs) == 2 else (*inputs[2:], None, None)[:2]
    if scales is None and "scales" in attributes:
        scales = attributes["scales"]
    if sizes is not None:
        sides = _ints(sizes)[-2:]
        factors = [side / size for side, size in zip(sides, x.shape[-2:], strict=True)]
    else:
        factors = _listed(scales)[-2:]
        sides = [math.floor(size * factor) for size, factor in zip(x.shape[-2:], factors, strict=True)]
    bounded([*x.shape[:2], *sides])
    mode, transform = attributes.get("mode", "nearest"), attributes.get("coordinate_transformation_mode", "half_pixel")
    smoothed = attributes.get("antialias", 0) or attributes.get("exclude_outside", 0) or attributes.get("cubic_coeff_a", CUBIC) != CUBIC
    nearest = attributes.get("nearest_mode", "round_prefer_floor")
    whole = all(side % size == 0 for side, size in zip(sides, x.shape[-2:], strict=True))
    if mode == "nearest" and whole and _repeats(transform, nearest):
        return F.interpolate(x, sides)
    if mode == "nearest" and transform in ORIGINS and nearest in NEAREST and x.ndim == 4:
        places = [ORIGINS[transform](torch.arange(side, device=x.device), factor) for side, factor in zip(sides, factors, strict=True)]
        rows, columns = (NEAREST[nearest](place).clamp(0, size - 1).long() for place, size in zip(places, x.shape[2:], strict=True))
        return x[:, :, rows[:, None], columns]
    if mode in SMOOTH and transform in ("half_pixel", "pytorch_half_pixel", "align_corners") and not smoothed:
        how: dict[str, Any] = {"scale_factor": tuple(factors)} if sizes is None else {"size": sides}
        return F.interpolate(x, mode=SMOOTH[mode], align_corners=transform == "align_corners", **how)
    raise GraphError(f"it resizes by {mode}, {transform}, which is not known here")


def _repeats(transform: str, nearest_mode: str) -> bool:
    """Whether the nearest pixel is each one a whole number of times, where sides become so many times as long."""
    if transform == "asymmetric":
        return nearest_mode == "floor"
    return transform in ("half_pixel", "pytorch_half_pixel") and nearest_mode.startswith("round")


def _upsample(inputs: list[Any], attributes: Attributes) -> Tensor:
    """What became of it is Resize, which says how it places pixels."""
    return _resize(inputs, {**attributes, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})


def _pad(inputs: list[Any], attributes: Attributes) -> Tensor:
    if len(inputs) > 3:
        raise GraphError("it pads some of its axes, which is not known here")
    x = inputs[0]
    pads = _pairs(_ints(inputs[1]) if len(inputs) > 1 else attributes["pads"], x.ndim)
    value = float(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else attributes.get("value", 0.0)
    bounded([size + begin + end for size, (begin, end) in zip(x.shape, pads, strict=True)])
    mode: str = attributes.get("mode", "constant")
    mode = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    return F.pad(x, _flat(pads), value=value) if mode == "constant" else F.pad(x, _flat(pads[2:]), mode=mode)


def _depth_to_space(inputs: list[Any], attributes: Attributes) -> Tensor:
    if attributes.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(inputs[0], attributes["blocksize"])
    size = attributes["blocksize"]
    n, c, h, w = inputs[0].shape
    return inputs[0].reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // size**2, h * size, w * size)


def _reduce(operation: Callable[..., Any]) -> Operator:
    def run(inputs: list[Any], attributes: Attributes) -> Any:
        axes = _axes(inputs, attributes)
        return operation(inputs[0], dim=list(range(inputs[0].ndim)) if axes is None else axes, keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _product(x: Tensor, dim: list[int], keepdim: bool) -> Tensor:
    for axis in sorted((axis % x.ndim for axis in dim), reverse=True):
        x = x.prod(dim=axis, keepdim=keepdim)
    return x


def _einsum(inputs: list[Any], attributes: Attributes) -> Tensor:
    """Of one tensor or two: what more would make on the way cannot be told from what they make."""
    if len(inputs) > 2:
        raise GraphError(f"it sums over {len(inputs)} tensors at once")
    bounded(list(torch.einsum(attributes["equation"], *(x.to("meta") for x in inputs)).shape))
    return torch.einsum(attributes["equation"], *inputs)


def _range(inputs: list[Any], attributes: Attributes) -> Tensor:
    start, end, step = (_listed(value)[0] for value in inputs)
    bounded([math.ceil((end - start) / step)])
    return torch.arange(start, end, step)


def _noise(shape: list[int], attributes: Attributes, device: torch.device | None = None) -> Tensor:
    """Noise that is the same for all images and at all times: a picture is a function of its recipe alone."""
    made = torch.empty([1, *bounded(shape)[1:]], device=device)
    if not made.is_meta:
        drawn = torch.randn(made.shape, generator=torch.Generator("cpu").manual_seed(int(attributes.get("seed", 0))), device="cpu")
        made = drawn.to(made.device) * attributes.get("scale", 1.0) + attributes.get("mean", 0.0)
    return made.expand(shape)


def _pool(x: Tensor, attributes: Attributes, operation: Callable[..., Tensor], empty: float) -> Tensor:
    if attributes.get("ceil_mode", 0) or any(step != 1 for step in attributes.get("dilations", ())):
        raise GraphError("it pools beyond its edges or with gaps, which is not known here")
    return operation(_padded(x, attributes, empty), attributes["kernel_shape"], attributes.get("strides", [1, 1]))


def _max_pool(inputs: list[Any], attributes: Attributes) -> Tensor:
    return _pool(inputs[0], attributes, F.max_pool2d, -math.inf)


def _average_pool(inputs: list[Any], attributes: Attributes) -> Tensor:
    """What is padded counts only where an attribute says so."""
    pooled = _pool(inputs[0], attributes, F.avg_pool2d, 0.0)
    if attributes.get("count_include_pad", 0) or not any(attributes.get("pads", ())):
        return pooled
    return pooled / _pool(torch.ones_like(inputs[0]), attributes, F.avg_pool2d, 0.0)


def _gelu(inputs: list[Any], attributes: Attributes) -> Tensor:
    return F.gelu(inputs[0], approximate=attributes.get("approximate", "none"))


OPERATORS: dict[str, Operator] = {
    "Abs": _unary(torch.abs), "Cos": _unary(torch.cos), "Erf": _unary(torch.erf), "Exp": _unary(torch.exp), "Log": _unary(torch.log),
    "Neg": _unary(torch.neg), "Reciprocal": _unary(torch.reciprocal), "Relu": _unary(F.relu), "Sigmoid": _unary(torch.sigmoid),
    "Sin": _unary(torch.sin), "Softplus": _unary(F.softplus), "Sqrt": _unary(torch.sqrt), "Tanh": _unary(torch.tanh),
    "Identity": _unary(lambda x: x), "Dropout": _unary(lambda x: x), "Sign": _unary(torch.sign), "Floor": _unary(torch.floor),
    "Round": _unary(torch.round), "HardSwish": _unary(F.hardswish), "Mish": _unary(F.mish),
    "Add": _binary(torch.add), "Sub": _binary(torch.sub), "Mul": _binary(torch.mul), "Div": _binary(_divide), "Pow": _binary(torch.pow),
    "Mod": lambda inputs, attributes: _binary(torch.fmod if attributes.get("fmod") else torch.remainder)(inputs, attributes),
    "Equal": _binary(torch.eq), "Greater": _binary(torch.gt), "Max": _binary(torch.maximum), "Min": _binary(torch.minimum),
    "Where": lambda inputs, attributes: torch.where(*inputs),
    "PRelu": _binary(lambda x, slope: torch.where(x < 0, x * slope, x)),
    "LeakyRelu": lambda inputs, attributes: F.leaky_relu(inputs[0], attributes.get("alpha", 0.01)),
    "Elu": lambda inputs, attributes: F.elu(inputs[0], attributes.get("alpha", 1.0)),
    "Selu": lambda inputs, attributes: attributes.get("gamma", SELU[0]) * F.elu(inputs[0], attributes.get("alpha", SELU[1])),
    "Celu": lambda inputs, attributes: F.celu(inputs[0], attributes.get("alpha", 1.0)),
    "HardSigmoid": lambda inputs, attributes: (inputs[0] * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5)).clamp(0, 1),
    "Softmax": lambda inputs, attributes: torch.softmax(inputs[0], attributes.get("axis", -1)),
    "LogSoftmax": lambda inputs, attributes: torch.log_softmax(inputs[0], attributes.get("axis", -1)),
    "Gelu": _gelu, "Clip": _clip,
    "Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul, "Einsum": _einsum,
    "BatchNormalization": _batch_norm, "LayerNormalization": _layer_norm,
    "InstanceNormalization": lambda inputs, attributes: F.instance_norm(
        inputs[0], weight=inputs[1], bias=inputs[2], eps=attributes.get("epsilon", 1e-5)
    ),
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Concat": _concat, "Split": _split,
    "Transpose": lambda inputs, attributes: inputs[0].permute(attributes.get("perm", list(range(inputs[0].ndim))[::-1])),
    "Slice": _slice, "Gather": _gather, "Shape": _shape, "Cast": _cast, "ConstantOfShape": _constant_of_shape, "Expand": _expand, "Tile": _tile, "Range": _range,
    "RandomNormal": lambda inputs, attributes: _noise(_ints(attributes["shape"]), attributes),
    "RandomNormalLike": lambda inputs, attributes: _noise(list(inputs[0].shape), attributes, inputs[0].device),
    "Resize": _resize, "Upsample": _upsample, "Pad": _pad, "DepthToSpace": _depth_to_space,
    "ReduceMean": _reduce(torch.mean), "ReduceSum": _reduce(torch.sum), "ReduceL2": _reduce(torch.linalg.vector_norm),
    "ReduceMax": _reduce(torch.amax), "ReduceProd": _reduce(_product),
    "MaxPool": _max_pool, "AveragePool": _average_pool,
    "GlobalAveragePool": lambda inputs, attributes: inputs[0].mean(dim=(2, 3), keepdim=True),
}  # fmt: skip
DRAWING = {
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Einsum",
    "MaxPool",
    "AveragePool",
    "RandomNormal",
    "RandomNormalLike",
}  # steer nothing, and cost more than what they read and make
STEERED = {
    **dict.fromkeys(("ConstantOfShape", "Range"), 0),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Split", "Slice", "Expand", "Tile", "Resize", "Upsample", "Pad", "Clip"), 1),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceL2", "ReduceMax", "ReduceProd"), 1),
}  # operator -> the first of its inputs that says a size, a place or a limit


def apply_operator(operator: str, inputs: list[Any], attributes: Attributes) -> Any:
    """What an operator makes of its inputs: one tensor, or a tuple of them."""
    return OPERATORS[operator](inputs, attributes)


class ShapeInference:
    """What operators make where only shapes count: features are on the meta device, and so are numbers, but for the few that may steer."""

    def __init__(self) -> None:
        self.left = MAX_FOLLOWED

    def __call__(self, operator: str, inputs: list[Any], attributes: Attributes) -> Any:
        numbers = sum(value.numel() for value in inputs if value is not None and not value.is_meta)
        if not any(value is not None and value.is_meta for value in inputs[: STEERED.get(operator)]):
            made = _without_numbers(operator, inputs, attributes)  # how many there will be is known before there are any
            numbers += sum(value.numel() for value in (made if isinstance(made, tuple) else (made,)))
        if operator in DRAWING or numbers > self.left:
            return _without_numbers(operator, inputs, attributes)
        self.left -= numbers
        return apply_operator(operator, inputs, attributes)


def _without_numbers(operator: str, inputs: list[Any], attributes: Attributes) -> Any:
    first = STEERED.get(operator, len(inputs))
    with torch.device("meta"):
        return apply_operator(operator, [value if value is None else value.to("meta") for value in inputs[:first]] + inputs[first:], attributes)
