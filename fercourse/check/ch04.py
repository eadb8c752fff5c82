"""Checkers of chapter 4, Depth: the VGG family."""

from __future__ import annotations

import ast
import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.check.core import Exercise, Wrong, as_array, differs, run, want_function
from fercourse.check.functions import RESULT, Case, Mistake, judge_function, of
from fercourse.check.modules import Trial, Variant, judge_module

# receptive_fields -------------------------------------------------------------------------------------------

Layers = list[tuple[int, int]]


def _fields(
    layers: Layers,
    *,
    start: int = 1,
    grow: Callable[[int, int], int] = lambda kernel, stride: kernel - 1,
    jump: Callable[[int, int], int] = lambda step, stride: step * stride,
    step: int = 1,
    early: bool = False,
) -> list[int]:
    """The right answer, and with other options the wrong ones."""
    fields, field = [], start
    for kernel, stride in layers:
        if early:
            step = jump(step, stride)
        field += grow(kernel, stride) * step
        if not early:
            step = jump(step, stride)
        fields.append(field)
    return fields


def _backwards_step(layers: Layers, add: Callable[[int, int, int], int]) -> list[int]:
    """A walk that goes from the first layer on, as if it were the last."""
    fields, field = [], 1
    for kernel, stride in layers:
        field = add(field, kernel, stride)
        fields.append(field)
    return fields


def _explain_fields(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, layers, right = as_array(seen[RESULT]), arguments[0], expected[RESULT]
    if found is None or found.dtype.kind != "f" or found.shape != (len(layers),):
        return None
    for number, ((kernel, _), value, wanted) in enumerate(zip(layers, found.tolist(), right, strict=True), 1):
        if abs(value - wanted) > 1e-6:
            before = right[number - 2] if number > 1 else 1
            step = math.prod(stride for _, stride in layers[: number - 1])
            return (
                f"Layer {number} is the first that is wrong: before it {before} pixels are seen; its window of {kernel} "
                f"adds {kernel - 1} steps, of {step} pixels each (the product of the strides before it), which makes "
                f"{wanted}; found {value:g}."
            )
    return None


def _judge_receptive_fields(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_fields, **options), message)

    early = "Its own stride counts for a layer already; it counts for the layers after it only."
    judge_function(
        answer,
        "receptive_fields",
        reference=_fields,
        cases=[
            of([(3, 1), (3, 1), (2, 2), (3, 1), (5, 2), (3, 1)]),
            of([(7, 2), (3, 2), (3, 1), (1, 2), (3, 3), (4, 1)]),
            of([(3, 1)]),
            of([(5, 3), (2, 2), (2, 2)]),
            of([], words="[]"),
        ],
        mistakes=[
            wrong(early, early=True),
            wrong(
                "The strides are not used: behind a stride of 2, neighbours lie two pixels apart.",
                jump=lambda step, stride: 1,
            ),
            wrong(
                "Strides multiply: after two of 2, neighbours lie 4 pixels apart; here they are added up.",
                jump=lambda step, stride: step + stride,
            ),
            wrong(
                "Strides multiply: after two of 2, neighbours lie 4 pixels apart; here they are added up.",
                jump=lambda step, stride: step + stride - 1,
            ),
            wrong(
                "Strides multiply: only the last one before the layer is used here.",
                jump=lambda step, stride: stride,
            ),
            wrong("One pixel sees itself: the field begins with 1, not with 0.", start=0),
            wrong(
                "A window of k values adds k - 1, since one of them is seen already; here it adds k.",
                grow=lambda kernel, stride: kernel,
            ),
            wrong(
                "A window of k values adds k - 1, since one of them is seen already; here it adds k.",
                grow=lambda kernel, stride: kernel,
                start=0,
            ),
            wrong(
                "A window of k values adds k - 1 steps in all, half of them on each side; here it adds half.",
                grow=lambda kernel, stride: kernel // 2,
            ),
            wrong(
                "The stride is taken from the window; it makes the steps of the layers behind it longer instead.",
                grow=lambda kernel, stride: kernel - stride,
            ),
            wrong(
                "A window adds k - 1 steps; here a power or product of kernels is formed.",
                grow=lambda kernel, stride: kernel * kernel - 1,
            ),
            Mistake(
                lambda layers: _fields([(s, k) for k, s in layers]),
                "The order is (kernel, stride); here they are swapped.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: (f - 1) * s + k),
                "That formula is for walking backwards, from the last layer to the first; walked forwards it takes each "
                "layer's own stride for those before it.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: f * s + k - s),
                "That formula is for walking backwards, from the last layer to the first; walked forwards it takes each "
                "layer's own stride for those before it.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: f * s + k - 1),
                "The field itself is multiplied by the stride; only the step between neighbours is.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: (f + k - 1) * s),
                "The field itself is multiplied by the stride; only the step between neighbours is.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: f + (k - 1) * s),
                "Each layer's own stride is its step here; its step is the product of the strides of all layers before it.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers[::-1], lambda f, k, s: (f - 1) * s + k),
                _on_the_way,
            ),
            Mistake(
                lambda layers: _backwards_step(layers[::-1], lambda f, k, s: (f - 1) * s + k)[::-1],
                _on_the_way,
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: f * k),
                "Windows add, they do not multiply: two of 3 see 5, not 9. Only strides set neighbours further apart, not kernels.",
            ),
            Mistake(
                lambda layers: _backwards_step(layers, lambda f, k, s: f * k * s),
                "Windows add, they do not multiply: two of 3 see 5, not 9. Only strides set neighbours further apart, not kernels.",
            ),
            Mistake(
                lambda layers: [_fields(layers)[-1]] * bool(layers),
                "That is the last field alone; the list should hold the field after every layer.",
            ),
            Mistake(
                lambda layers: _fields(layers)[-1],
                "That is the last field alone; the list should hold the field after every layer.",
            ),
            Mistake(
                lambda layers: [1, *_fields(layers)],
                "The list begins with the single pixel before any layer; begin with the field after layer 1.",
            ),
            Mistake(
                lambda layers: [1, *_fields(layers)][: len(layers)],
                "The list holds the field before each layer; that after it is asked for: append after adding.",
            ),
            Mistake(
                lambda layers: _fields(layers[::-1]),
                "The layers are taken from the last to the first.",
            ),
            Mistake(
                lambda layers: _fields(layers[::-1])[::-1],
                "The layers are taken from the last to the first.",
            ),
            Mistake(
                lambda layers: _fields(layers)[::-1],
                "The list is the wrong way round: the field after the first layer comes first.",
            ),
            Mistake(
                lambda layers: _fields(layers)[:1] or None,
                "That is the first layer alone: does the `return` stand inside the loop?",
            ),
            Mistake(
                _steps,
                "Those are the steps between neighbours (the products of the strides), not the fields.",
            ),
            Mistake(
                lambda layers: [_fields([layer])[0] for layer in layers],
                "Each layer is taken by itself: what it adds comes on top of the field of the layers before.",
            ),
            Mistake(
                lambda layers: [a * a for a in _fields(layers)],
                "That is the number of pixels in the square; its side is asked for.",
            ),
            Mistake(
                lambda layers: list(zip(_fields(layers), _steps(layers), strict=True)),
                "Each value is a pair, of field and step; the field alone is asked for.",
            ),
            Mistake(
                lambda layers: [[n] for n in _fields(layers)],
                "Each field stands in a list of its own; one number each is asked for.",
            ),
            Mistake(
                lambda layers: [min(48, n) for n in _fields(layers)],
                "Fields are cut off at the size of a picture; the formula's width is asked for.",
            ),
        ],
        explain=_explain_fields,
    )  # fmt: skip
    return "One walk for all layers: the field grows by the step, and the step by the strides."


_on_the_way = (
    "A walk backwards tells the field of the whole row at its end only; the values on its way are fields of the last layers "
    "alone. Begin anew for each layer, or walk forwards."
)


def _steps(layers: Layers) -> list[int]:
    return list(itertools.accumulate((stride for _, stride in layers), lambda a, b: a * b))


receptive_fields = Exercise("ch04", "receptive_fields", _judge_receptive_fields)


# vgg_cost ---------------------------------------------------------------------------------------------------

Config = list[Any]


def _cost(
    config: Config,
    size: int,
    *,
    window: int = 9,
    bias: bool | str = True,
    mac_bias: bool = False,
    halve: str = "down",
    carry: str = "yes",
    channels: int = 1,
    places: Callable[[int], float] = lambda size: size * size,
    macs_factor: int = 1,
    padded: bool = True,
    early: bool = False,
    by: str = "input",
    norm: int = 0,
    area: str = "",
) -> tuple[Any, Any]:
    """The right answer, and with other options the wrong ones."""
    parameters: Any = 0
    macs: Any = 0
    whole = size * size
    for place, item in enumerate(config):
        if item == "M":
            size = {
                "down": size // 2,
                "up": -(-size // 2),
                "no": size,
                "minus": size - 2,
                "float": size / 2,
                "quarter": size // 4,
            }[halve]  # type: ignore[assignment]
            whole //= {"halved": 2, "floored": 4}.get(area, 1)
            if carry == "doubles":
                channels *= 2
            continue
        if not padded:
            size -= 2
        weights = window * (channels if by == "input" else item) * item
        biases = {"in": channels, "one": 1}[bias] if isinstance(bias, str) else bias * item
        parameters += weights + biases + norm * item
        side = size // 2 if early and config[place + 1 : place + 2] == ["M"] else size
        macs += macs_factor * (weights + mac_bias * item) * (whole if area else places(side))
        if carry == "yes":
            channels = item
    return parameters, macs


def _judge_vgg_cost(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_cost, **options), message)

    def changed(change: Callable[[Any, Any], Any], message: str) -> Mistake:
        return Mistake(lambda config, size: change(*_cost(config, size)), message)

    head = "The first convolution takes a grey picture: one channel comes in."
    _own_size = (
        "All weights are multiplied by the last size: the picture shrinks on the way, and each convolution works on its "
        "own size. Add up in the loop."
    )
    singles: dict[str, dict[str, Any]] = {
        "The biases are missing from the parameters: one for each channel that goes out.": {"bias": False},
        "The biases are counted by the channels that come in; there is one for each channel that goes out.": {
            "bias": "in"
        },
        "One bias is counted for a whole convolution; there is one for each channel that goes out.": {"bias": "one"},
        "The biases are counted as multiplications: they are added only.": {"mac_bias": True},
        "Max-pooling halves the side of the picture: size // 2 at each \"M\".": {"halve": "no"},
        "An odd side is rounded up here; a max-pool leaves out what does not fill its window, size // 2.": {
            "halve": "up"
        },
        "Sides are whole numbers: a max-pool leaves out what does not fill its window, size // 2.": {
            "halve": "float"
        },
        "A max-pool halves the side; here it takes 2 away.": {"halve": "minus"},
        "A max-pool halves the side, and so leaves a quarter of the places; here it quarters the side.": {"halve": "quarter"},
        "Each convolution is counted as if one channel came in: carry along how many the last one gave.": {
            "carry": "no"
        },
        head: {"channels": 3},
        "The channels that come in count: 9 * channels in * channels out.": {"by": "output"},
        "The window is 3 x 3: 9 weights for each pair of channels; here there are 3.": {"window": 3},
        "The window is 3 x 3: 9 weights for each pair of channels; here there is 1.": {"window": 1},
        "The window is 3 x 3; here it has 25 weights, as a 5 x 5 has.": {"window": 25},
        "A picture has size * size places; here the weights are used size times only.": {
            "places": lambda size: size
        },
        "The multiply-accumulates are the weights times the places of the picture: size * size.": {
            "places": lambda size: 1
        },
        "A multiply-accumulate is counted as two operations (FLOPs); count each once.": {"macs_factor": 2},
        "The convolutions are padded and keep the size; here each takes two pixels away.": {"padded": False},
        "The picture is halved for the convolution before the max-pool already; it works on the full size.": {
            "early": True
        },
        "Batch norm is counted as well; there is none here.": {"norm": 2},
        "Batch norm is counted as well, with its running statistics; there is none here.": {"norm": 4},
        "A max-pool leaves a quarter of the places (half the height, half the width); here it leaves half of them.": {
            "area": "halved"
        },
        "The places are divided by 4 and rounded; it is the side that is halved and rounded down, then squared.": {
            "area": "floored"
        },
        "The convolutions are padded and give size * size values; here the rim is left out.": {
            "places": lambda size: (size - 2) ** 2
        },
    }  # fmt: skip
    known = list(singles.items())
    pairs = [
        (f"{one} And: {two[0].lower()}{two[1:]}", {**first, **second})
        for (one, first), (two, second) in itertools.combinations(known, 2)
        if not first.keys() & second.keys()
    ]
    judge_function(
        answer,
        "vgg_cost",
        reference=_cost,
        cases=[
            of([4, "M", 6, 8, "M", 8], 22),
            of([3, 5], 7),
            of(["M", 2, 7, "M", 3], 13),
            of([64, 64, "M", 128, 128, "M"], 48),
            of([5], 9),
        ],
        mistakes=[
            *(wrong(message, **options) for message, options in known),
            changed(lambda p, m: (m, p), "The two are swapped: parameters first, then multiply-accumulates."),
            changed(lambda p, m: p, "That is the first number alone: return both, parameters and MACs."),
            changed(lambda p, m: m, "Those are the MACs alone: return both, parameters and MACs."),
            changed(lambda p, m: p + m, "The two are added up: return both, parameters and MACs."),
            changed(
                lambda p, m: (p / 1e6, m / 1e6), "They are in millions; return the numbers themselves."
            ),
            changed(lambda p, m: (p, m / 1e6), "The MACs are in millions; return the number itself."),
            changed(
                lambda p, m: {"parameters": p, "macs": m}, "A dictionary is returned; return two numbers."
            ),
            Mistake(
                lambda config, size: (_cost(config, size)[0], _cost(config, size)[0] * size * size),
                "The multiply-accumulates of each convolution are its own weights times the places it works on: the "
                "picture shrinks on the way. Add them up in the loop.",
            ),
            Mistake(
                lambda config, size: (_cost(config, size)[0], _cost(config, size, bias=False)[0] * size * size),
                "The multiply-accumulates of each convolution are its own weights times the places it works on: the "
                "picture shrinks on the way. Add them up in the loop.",
            ),
            Mistake(
                lambda config, size: (
                    _cost(config, size)[0],
                    _cost(config, size, bias=False)[0] * _final_side(config, size) ** 2,
                ),
                _own_size,
            ),
            Mistake(
                lambda config, size: _cost([n for n in config if n != "M"][-1:], size),
                "Only the last convolution counts: add them up with +=.",
            ),
            Mistake(
                lambda config, size: _last_alone(config, size),
                "Only the last convolution counts: add them up with +=.",
            ),
            Mistake(
                lambda config, size: _cost(config[: 1 + _first(config)], size),
                "Only the first convolution counts: does a `return` stand inside the loop?",
            ),
            Mistake(
                lambda config, size: _cost(config[:1], size),
                "Only the first item counts: does a `return` stand inside the loop?",
            ),
            Mistake(
                lambda config, size: (
                    _cost(config, size)[0],
                    _cost(config, size)[0] * _final_side(config, size) ** 2,
                ),
                _own_size,
            ),
            Mistake(
                lambda config, size: _cost(config[1:], size, channels=config[0] if config[0] != "M" else 1),
                "The first convolution is left out: from one channel, the grey picture, to its own width.",
            ),
            Mistake(
                lambda config, size: (_cost(config, size)[0], _last_alone(config, size)[1]),
                "The MACs are those of the last convolution alone: add them up with +=.",
            ),
            Mistake(
                lambda config, size: (_last_alone(config, size)[0], _cost(config, size)[1]),
                "The parameters are those of the last convolution alone: add them up with +=.",
            ),
            Mistake(
                lambda config, size: (_cost(config, size)[0] + 7 * _width(config) + 7, _cost(config, size)[1] + 7 * _width(config)),
                "The head is counted as well; the convolutions alone are asked for.",
            ),
            Mistake(
                lambda config, size: (_cost(config, size)[0] + 7 * _width(config) + 7, _cost(config, size)[1]),
                "The head is counted as well; the convolutions alone are asked for.",
            ),
            Mistake(
                lambda config, size: tuple(list(one) for one in zip(*_each(config, size), strict=True)),
                "Those are lists of the costs of each layer; return their sums, two numbers.",
            ),
            Mistake(
                lambda config, size: tuple(_each(config, size)),
                "Those are the costs of each layer; return their sums, two numbers.",
            ),
            *(wrong(message, **options) for message, options in pairs),
        ],
        explain=_explain_cost,
    )  # fmt: skip
    return "With it you can compare configurations before you build, let alone train, any of them."


def _first(config: Config) -> int:
    return next(place for place, item in enumerate(config) if item != "M")


def _width(config: Config) -> int:
    return [item for item in config if item != "M"][-1]


def _final_side(config: Config, size: int) -> int:
    for item in config:
        size = size // 2 if item == "M" else size
    return size


def _each(config: Config, size: int) -> list[tuple[Any, Any]]:
    costs, before = [], (0, 0)
    for number, item in enumerate(config, start=1):
        now = _cost(config[:number], size)
        if item != "M":
            costs.append((now[0] - before[0], now[1] - before[1]))
        before = now
    return costs


def _last_alone(config: Config, size: int) -> tuple[Any, Any]:
    return _each(config, size)[-1]


def _explain_cost(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, right = as_array(seen[RESULT]), expected[RESULT]
    if found is None or found.shape != (2,) or found.dtype.kind != "f":
        return None
    config, size = arguments
    what = "parameters" if abs(found[0] - right[0]) > 0.5 else "multiply-accumulates"
    options: dict[str, dict[str, Any]] = {
        "parameters": {"carry": "no", "by": "output", "channels": 3, "bias": False},
        "multiply-accumulates": {"halve": "no", "padded": False, "early": True, "mac_bias": True},
    }[what]  # type: ignore[assignment]
    names = {
        "carry": "the channels that come in are not carried along",
        "by": "the channels that go out are taken for those that come in",
        "channels": "the first convolution is given three channels, not one",
        "bias": "biases are left out",
        "halve": "the picture is not halved",
        "padded": "the convolutions take pixels away at the border",
        "early": "the picture is halved too early",
        "mac_bias": "biases are counted as multiplications",
    }
    place = 0 if what == "parameters" else 1
    for key, value in options.items():
        if abs(_cost(config, size, **{key: value})[place] - found[place]) < 0.5:  # type: ignore[arg-type]
            return f"The {what} are what comes out if {names[key]}."
    other = (
        "the multiply-accumulates are wrong too" if abs(found[1] - right[1]) > 0.5 else "the other is right"
    )
    if what == "parameters":
        return (
            f"The parameters are wrong ({other}): a convolution from a to b channels has 9 * a * b weights and b biases, "
            "and a is what the convolution before gave, 1 at first."
        )
    return (
        "The parameters are right, the multiply-accumulates are not: each convolution uses its weights, without the "
        "biases, at every place of the picture as large as it is there."
    )


vgg_cost = Exercise("ch04", "vgg_cost", _judge_vgg_cost)


# StridedVGG -------------------------------------------------------------------------------------------------


class _Average(nn.Module):
    """The end of the network; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, channels: int, classes: int, kind: str) -> None:
        super().__init__()
        self.dense: nn.Module = nn.Linear(channels, 7 if kind == "seven" else classes)
        if kind.startswith("two dense"):
            self.dense = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), self.dense)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        values = {
            "max": lambda: x.amax((2, 3)),
            "sum": lambda: x.sum((2, 3)),
            "corner": lambda: x[:, :, 0, 0],
            "middle": lambda: x[:, :, x.shape[2] // 2, x.shape[3] // 2],
        }.get(self.kind, lambda: F.adaptive_avg_pool2d(x, 1).flatten(1))()
        out = self.dense(values)
        ends = {"softmax": lambda: out.softmax(1), "log": lambda: out.log_softmax(1), "relu": out.relu}
        return ends.get(self.kind, lambda: out)()


def _brick(i: int, o: int, kind: str, stride: int = 1, kernel: int = 3, padding: int = 1) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(i, o, kernel, stride, padding, bias=kind == "two dense biased")]
    norm, relu = [nn.BatchNorm2d(o)], [nn.ReLU()]
    if kind in ("no norm", "bare"):
        norm = []
    if kind in ("no relu", "bare"):
        relu = []
    return [*layers, *relu, *norm] if kind == "norm last" else [*layers, *norm, *relu]


def _strided(config: Config, classes: int, kind: str = "right") -> nn.Module:
    """The right network, and with another kind a wrong one."""
    layers: list[nn.Module] = []
    channels = 1
    shared: dict[int, list[nn.Module]] = {}
    ends = [n for n, item in enumerate(config) if item == "M"]
    after = [n + 1 for n in ends]
    if kind == "shared" and "M M" not in " ".join(map(str, config)):
        raise ValueError("no two of them can share")
    for place, item in enumerate(config):
        plain = kind if kind in ("no norm", "no relu", "norm last", "two dense biased") else ""
        if item != "M":
            moved = (kind == "moved" and place + 1 in ends) or (kind == "moved on" and place in after)
            stride = 2 if moved else 1
            last = kind == "last bare" and place == max(n for n, one in enumerate(config) if one != "M")
            own = "no relu" if last else kind.removesuffix(" numbers") if kind.endswith(" numbers") else plain
            layers += _brick(channels, item, own, stride)
            channels = item
            continue
        if (kind == "moved" and place) or kind == "moved on":
            continue
        options: dict[str, Any] = {"stride": 2}
        more: list[nn.Module] = []
        width, own = channels, plain
        if kind == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        if kind == "average pool":
            layers.append(nn.AvgPool2d(2))
            continue
        if kind == "both":
            more = [nn.MaxPool2d(2)]
        elif kind == "pool and conv":
            options, more = {"stride": 1}, [nn.MaxPool2d(2)]
        elif kind == "no stride":
            options = {"stride": 1}
        elif kind == "kernel 2":
            options = {"stride": 2, "kernel": 2, "padding": 0}
        elif kind == "kernel 1":
            options = {"stride": 2, "kernel": 1, "padding": 0}
        elif kind == "no padding":
            options = {"stride": 2, "padding": 0}
        elif kind == "doubles":
            width = 2 * channels
        elif kind == "next":
            width = next((n for n in config[place + 1 :] if n != "M"), channels)
        elif kind in ("bare M", "no norm M", "no relu M", "norm last M"):
            own = kind.removesuffix(" M")
        elif kind == "nothing":
            continue
        if kind == "shared":
            made = shared.setdefault(channels, _brick(channels, width, own, **options))
        elif kind == "depthwise":
            made = _brick(channels, width, own, **options)
            made[0] = nn.Conv2d(channels, width, 3, 2, 1, groups=channels, bias=False)
        else:
            made = _brick(channels, width, own, **options)
        layers += [*made, *more]
        channels = width
    return nn.Sequential(*layers, _Average(channels, classes, kind))


_STRIDED_MISTAKES = {
    "pool": "The max-pools are still there: each \"M\" should be a convolution of stride 2.",
    "average pool": "An average pool stands at each \"M\"; a convolution of stride 2 is asked for.",
    "both": "There is a max-pool beside each convolution of stride 2: the picture is halved twice.",
    "pool and conv": "There is still a max-pool behind the new convolution: the convolution itself strides.",
    "no stride": "The convolutions at \"M\" do not stride: stride=2 halves the picture.",
    "nothing": "Nothing stands at \"M\": a convolution of stride 2 belongs there.",
    "moved": "The stride is moved into the convolution before; \"M\" should be a convolution of its own.",
    "moved on": "The stride is moved into the convolution behind; \"M\" should be a convolution of its own.",
    "kernel 2": "The window at \"M\" is 2 x 2; a 3 x 3 with padding 1 is asked for.",
    "kernel 1": "The window at \"M\" is 1 x 1 and skips three of four places unseen; a 3 x 3 is asked for.",
    "no padding": "The convolutions at \"M\" have no padding: padding=1.",
    "doubles": "The convolutions at \"M\" double the channels; they keep them.",
    "next": "The convolutions at \"M\" widen to the next number already; they keep the channels.",
    "depthwise": "The convolutions at \"M\" look at each channel by itself (groups); an ordinary one is asked for.",
    "bare M": "The convolutions at \"M\" have neither batch norm nor ReLU behind them.",
    "no norm M": "The convolutions at \"M\" have no batch norm behind them.",
    "no relu M": "The convolutions at \"M\" have no ReLU behind them.",
    "norm last M": "In the convolutions at \"M\" the ReLU comes before the batch norm; the order is convolution, batch norm, ReLU.",
    "norm last numbers": "In the convolutions at the numbers the ReLU comes before the batch norm; the order is convolution, batch norm, ReLU.",
    "no norm numbers": "The convolutions at the numbers have no batch norm behind them.",
    "no relu numbers": "The convolutions at the numbers have no ReLU behind them.",
    "bare numbers": "The convolutions at the numbers have neither batch norm nor ReLU behind them.",
    "shared": "One convolution serves several \"M\": each needs its own weights.",
    "no norm": "There is no batch norm: one belongs behind each convolution.",
    "no relu": "There is no ReLU: one belongs behind each batch norm.",
    "norm last": "The order is convolution, batch norm, ReLU; here the ReLU comes before the batch norm.",
    "last bare": "The last convolution has no ReLU behind its batch norm.",
    "max": "At the end the greatest value of each channel is taken; the average is asked for.",
    "sum": "At the end values are added up; the average divides by the number of places.",
    "corner": "At the end one corner is taken; the average over all places is asked for.",
    "middle": "At the end the middle place is taken; the average over all places is asked for.",
    "seven": "The number of classes is typed in, 7: it is num_classes.",
    "two dense": "There are two dense layers at the end; one is asked for.",
    "two dense biased": "There are two dense layers at the end; one is asked for.",
    "softmax": "There is a softmax at the end: cross_entropy applies its own, so return the logits.",
    "log": "There is a log-softmax at the end: cross_entropy applies its own, so return the logits.",
    "relu": "There is a ReLU after the dense layer: logits may be negative.",
}  # fmt: skip


def _judge_strided_vgg(answer: Any) -> str:
    flat = "The dense layer sees all places (flatten): average over them first, or the network fits one size only."
    judge_module(
        answer,
        "StridedVGG",
        reference=_strided,
        trials=[
            Trial(([4, "M", 6, "M"], 7), (2, 1, 12, 12)),
            Trial(([3, 5, "M", 4], 2), (3, 1, 9, 11)),
            Trial(([2, "M", "M", 6], 4), (2, 1, 13, 8)),
        ],
        mistakes=[
            *(Variant(partial(_strided, kind=kind), text) for kind, text in _STRIDED_MISTAKES.items()),
            Variant(_flat, flat),
        ],
    )
    return "Now the network learns how to shrink, and pays for it with weights and multiplications."


def _flat(config: Config, classes: int) -> nn.Module:
    """The features of the first trial, flattened."""
    network = _strided(config, classes)
    assert isinstance(network, nn.Sequential)
    end: Any = network[-1]
    return nn.Sequential(*network[:-1], nn.Flatten(), nn.Linear(end.dense.in_features * 9, classes))


StridedVGG = Exercise("ch04", "StridedVGG", _judge_strided_vgg)


# pool_the_head ----------------------------------------------------------------------------------------------


class _Headed(nn.Module):
    """A network with features and a head, as exercise 4 describes it."""

    def __init__(self, features: Sequence[nn.Module], head: Sequence[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.head = nn.Sequential(*head)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def _headed(number: int) -> tuple[_Headed, int]:
    """Return a network and the side of its pictures."""
    torch.manual_seed(number)
    if number == 0:
        body = [
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.ReLU(),
        ]
        return _Headed(body, [nn.Flatten(), nn.Linear(6 * 16, 20), nn.ReLU(), nn.Linear(20, 7)]), 8
    nested = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU())
    body = [nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU()), nested, nn.MaxPool2d(2)]
    dense = [nn.Flatten(), nn.Linear(5 * 9, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 9), nn.ReLU()]
    return _Headed(body, [*dense, nn.Linear(9, 3)]), 6  # fmt: skip


def _judge_pool_the_head(answer: Any) -> str:
    name = "pool_the_head"
    want_function(answer, name)
    for number in (0, 1):
        model, side = _headed(number)
        model.eval()
        before, old = copy.deepcopy(model), model.head
        _silent = run(answer, model, what=f"{name}, called with a small network,")
        _judge_new_head(model, before, old, side, _silent)
    return "It takes pictures of any size now, and most of its weights are gone."


def _judge_new_head(model: _Headed, before: _Headed, old: nn.Module, side: int, returned: Any) -> None:
    """Raise `Wrong` unless the model ends in an average and one dense layer, naming what it is instead."""
    channels = [m for m in before.features.modules() if isinstance(m, nn.Conv2d)][-1].out_channels
    linears = [m for m in before.head.modules() if isinstance(m, nn.Linear)]
    hidden, classes = linears[0].out_features, linears[-1].out_features
    x = torch.randn(4, 1, side, side)
    if "features" not in model._modules or "head" not in model._modules:
        raise Wrong("The model has lost its features or its head: replace model.head, and leave the rest.")
    theirs = model.features.state_dict()
    for key, value in before.features.state_dict().items():
        if key not in theirs:
            raise Wrong(
                "The features have changed, or other layers stand in their place: only the head is to be replaced."
            )
        if differs(theirs[key], value):
            raise Wrong(
                f"The features' {key} has other values than before: they should keep what they have learned."
            )
    if model.head is old and not differs_in_state(old, before.head):
        if isinstance(returned, nn.Module) and returned is not model:
            raise Wrong(
                "The model that was given is unchanged: another one is returned. Change it in place, model.head = ..."
            )
        extra = [key for key in model._modules if key not in ("features", "head")]
        raise Wrong(
            f"model.head is still the old one ({extra[0]} is new, and forward does not use it): assign to model.head."
            if extra
            else "model.head is still the old one: assign the new layers to model.head (a name of your own does not "
            "change the model)."
        )
    told = f"a network with {channels} channels and {classes} classes"
    with torch.no_grad():
        features = before.features(x)
        model.eval()
        try:
            found = run(model, x, what=f"The new model, {told}, called with pictures of {side} x {side},")
        except Wrong as wrong:
            raise Wrong(f"{_why_it_fails(model, before, x)}{wrong}") from wrong
    if not isinstance(found, Tensor):
        raise Wrong(f"The new model returns {type(found).__name__}; expected a tensor.")
    if found.dim() == 4 and found.shape[:2] == (4, classes):
        raise Wrong(f"Logits have shape {tuple(found.shape)}; flatten them to (4, {classes}).")
    new = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    new = [m for m in new if not any(m is one for one in _convs(model.features, before.features))]
    if found.shape != (4, classes):
        if found.dim() == 2 and found.shape[1] == channels:
            raise Wrong(
                f"The output has {channels} values, one a channel: the dense layer to {classes} classes is missing."
            )
        if found.dim() == 2 and found.shape[1] == hidden:
            raise Wrong(
                f"The output has {hidden} values, as the first dense layer of the old head; its *last* one knows the "
                f"number of classes, {classes}."
            )
        if found.dim() == 2:
            raise Wrong(
                f"The output has {found.shape[1]} values; this network has {classes} classes: read the number from the "
                "last dense layer of the old head."
            )
        raise Wrong(f"The output has shape {tuple(found.shape)}; expected (4, {classes}).")
    if len(new) > 1:
        raise Wrong(
            f"The new head has {len(new)} layers with weights; one dense layer, from {channels} to {classes}, is asked for."
        )
    if not new:
        raise Wrong("The new head has no dense layer that PyTorch knows of.")
    known = sum(p.numel() for p in before.features.parameters())
    more = sum(p.numel() for p in model.parameters()) - known - sum(p.numel() for p in new[0].parameters())
    if more:
        raise Wrong(
            f"Besides the dense layer the new head has {more} weights (a batch norm?), which were not asked for."
        )
    weight = new[0].weight.detach().flatten(1)
    bias = torch.zeros(classes) if new[0].bias is None else new[0].bias.detach()
    if weight.shape != (classes, channels):
        raise Wrong(
            f"The dense layer takes {weight.shape[1]} values; after the average there is one for each of the "
            f"{channels} channels. With more it sees all places, and fits one size of picture only."
        )
    fixed = next((m for m in model.head.modules() if isinstance(m, nn.AvgPool2d)), None)
    if fixed is not None and differs(found, features.mean((2, 3)) @ weight.T + bias, rtol=1e-3, atol=1e-5):
        raise Wrong(
            f"nn.AvgPool2d({fixed.kernel_size}) averages windows of a fixed size; the average over all places is asked "
            "for, whatever the size: nn.AdaptiveAvgPool2d(1)."
        )
    _name_the_pooling(found, features, weight, bias, told)
    if new[0].bias is None:
        raise Wrong(
            "The dense layer has no bias: with it, the classifier can know how frequent each class is."
        )
    for other in (side + 3, side + 4):
        size = f"pictures of {other} x {other}, where it was made for {side} x {side},"
        with torch.no_grad():
            out = run(model, torch.randn(2, 1, other, other), what=f"The new model, called with {size}")
        if tuple(out.shape) != (2, classes):
            raise Wrong(
                f"With {size} the output has shape {tuple(out.shape)}; the average leaves no place over."
            )
    model.train()
    torch.manual_seed(0)
    one = model(x)
    if differs(one, model(x)):
        raise Wrong("Two passes in training mode differ: there is dropout left, which was not asked for.")
    one.square().sum().backward()
    if any(p.grad is None for p in model.parameters()):
        raise Wrong("No gradient reaches some of the weights: is something detached, or frozen?")
    if returned is not None and returned is not model:
        what = "the new head" if returned is model.head else f"{type(returned).__name__}"
        raise Wrong(f"The model is right; but {what} is returned: return the model, or nothing.")


def _why_it_fails(model: _Headed, before: _Headed, x: Tensor) -> str:
    """Return in a line why the new head cannot take what the features give, or nothing."""
    last = _convs(before.features)[-1]
    channels = last.out_channels
    first = next((m for m in model.head.modules() if isinstance(m, nn.Linear)), None)
    old = next(m for m in before.head.modules() if isinstance(m, nn.Linear))
    if first is None:
        return ""
    shapes: list[tuple[int, ...]] = []
    hook = first.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))
    with contextlib.suppress(Exception):
        model(x)
    hook.remove()
    if shapes and len(shapes[0]) == 4:
        return f"The dense layer gets a shape of {shapes[0]}: flatten before it.\n"
    takes, comes = first.in_features, shapes[0][-1] if shapes else 0
    if takes == channels and comes == old.in_features:
        return "The average is missing: the dense layer gets the values of all places.\n"
    if takes == old.in_features and comes == channels:
        return (
            f"The dense layer takes {takes} values, as the old head did, one for each place of each channel; after the "
            f"average {channels} are left, one a channel.\n"
        )
    if takes in {n for m in _convs(before.features) for n in (m.in_channels, m.out_channels)} - {channels}:
        return (
            f"The dense layer takes {takes} values, which is not what the *last* convolution of the features gives: its "
            f"out_channels, {channels}.\n"
        )
    if comes == channels:
        return (
            f"The dense layer takes {takes} values; here the features end in {channels} channels: read the number from "
            "their last convolution.\n"
        )
    return ""


def _convs(*parts: nn.Module) -> list[nn.Module]:
    return [m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)]


def differs_in_state(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules differ in a layer or a value."""
    return repr(one) != repr(other) or any(
        differs(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


def _name_the_pooling(found: Tensor, features: Tensor, weight: Tensor, bias: Tensor, told: str) -> None:
    """Raise `Wrong` unless the logits are the dense layer of the average."""

    def dense(values: Tensor) -> Tensor:
        return values @ weight.T + bias

    mean, count = features.mean((2, 3)), features.shape[2] * features.shape[3]
    right = dense(mean)
    if not differs(found, right, rtol=1e-3, atol=1e-5):
        return
    kinds: dict[str, Callable[[], Tensor]] = {
        "The greatest value of each channel is taken (max-pooling); the average is asked for.": lambda: dense(features.amax((2, 3))),
        "The values are added up; the average divides by the number of places.": lambda: dense(features.sum((2, 3))),
        "One corner is taken; the average over all places is asked for.": lambda: dense(features[:, :, 0, 0]),
        "The middle place is taken; the average over all places is asked for.": lambda: dense(features[:, :, features.shape[2] // 2, features.shape[3] // 2]),
        "The average is divided by the number of places once more.": lambda: dense(mean / count),
        "There is a softmax at the end: cross_entropy applies its own, so return the logits.": lambda: right.softmax(1),
        "There is a log-softmax at the end: cross_entropy applies its own, so return the logits.": lambda: right.log_softmax(1),
        "There is a ReLU after the dense layer: logits may be negative.": lambda: right.relu(),
        "There is a sigmoid at the end: return the logits.": lambda: right.sigmoid(),
        "The averages are normalised before the dense layer, which was not asked for.": lambda: dense(F.normalize(mean)),
    }  # fmt: skip
    for message, make in kinds.items():
        if not differs(found, make(), rtol=1e-3, atol=1e-5):
            raise Wrong(message)
    raise Wrong(
        f"For {told}, the logits are not the dense layer of the averages over all places: {differs(found, right)}."
    )


pool_the_head = Exercise("ch04", "pool_the_head", _judge_pool_the_head)


# fold_batch_norm --------------------------------------------------------------------------------------------

_GIVEN = "the convolution that was given, which must stay as it is"


def _fold_case(seed: int, words: str, **options: Any) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        conv = nn.Conv2d(**options)
        norm = nn.BatchNorm2d(conv.out_channels, eps=0.01 if seed == 1 else 1e-5)
        with torch.no_grad():
            norm.weight.uniform_(0.5, 2.0).mul_(torch.where(torch.rand(conv.out_channels) < 0.3, -1.0, 1.0))
            norm.bias.normal_()
            norm.running_mean.normal_()  # type: ignore[union-attr]
            norm.running_var.uniform_(0.02, 3.0)  # type: ignore[union-attr]
        return conv.eval(), norm.eval()

    x = torch.randn(2, options["in_channels"], 9, 10, generator=torch.Generator().manual_seed(seed))

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        conv, norm = arguments
        given = torch.cat([p.detach().flatten() for p in [*conv.parameters(), *norm.state_dict().values()]])
        seen: dict[str, Any] = {_GIVEN: given}
        if isinstance(result, nn.Module):
            convs = [m for m in result.modules() if isinstance(m, nn.Conv2d)]
            norms = [m for m in result.modules() if isinstance(m, nn.BatchNorm2d)]
            seen["what is returned"] = (
                "the convolution that was given, changed"
                if result is conv
                else f"{len(convs)} convolution{'s' * (len(convs) != 1)}, {len(norms)} batch norm{'s' * (len(norms) != 1)}"
            )
            kept = [(c.stride, c.padding, c.dilation, c.groups, c.kernel_size) for c in convs]
            seen["stride, padding, dilation, groups and kernel"] = str(kept[0] if kept else None)
            out: Any = None
            with torch.no_grad(), contextlib.suppress(Exception):  # with other settings it may not fit
                out = result(x)
            seen["its shape"] = list(out.shape) if isinstance(out, Tensor) else "none, it raises an error"
            seen["the values that the new convolution gives"] = out
            seen["its bias"] = "none" if not convs or convs[0].bias is None else convs[0].bias.detach()
            seen["its weights"] = (
                "parameters"
                if convs and isinstance(convs[0].weight, nn.Parameter) and convs[0].weight.is_leaf
                else "tensors with a graph"
            )
        else:
            seen["what is returned"] = (
                "the numbers of a convolution, not the layer"
                if isinstance(result, (tuple, list, dict, Tensor))
                else "nothing"
                if result is None
                else type(result).__name__
            )
        return seen

    return Case(make, words, observe, rtol=1e-3, atol=1e-4, may_change=True)


def _fold(
    conv: nn.Conv2d,
    norm: nn.BatchNorm2d,
    *,
    scale: Callable[[Any], Tensor] = lambda n: n.weight / (n.running_var + n.eps).sqrt(),
    shift: Callable[[Any, Any, Any], Any] = lambda n, s, b: n.bias + s * (b - n.running_mean),
    weights: str = "scaled",
    gives: str = "copy",
    bias: str = "given",
    settings: Callable[[nn.Conv2d], dict[str, Any]] = lambda c: {},
) -> Any:
    """The right answer, and with other options the wrong ones."""
    with torch.no_grad():
        factor = scale(norm)
        old = torch.zeros(conv.out_channels) if conv.bias is None or bias == "forgotten" else conv.bias
        values = conv.weight * factor[:, None, None, None] if weights == "scaled" else conv.weight.clone()
        if weights == "input":
            values = conv.weight * factor[None, :, None, None]
        elif weights == "divided":
            values = conv.weight / factor[:, None, None, None]
        elif weights == "shifted":
            values = conv.weight * factor[:, None, None, None] + shift(norm, factor, old)[:, None, None, None]
        new = shift(norm, factor, old)
        plain = {
            "in_channels": conv.in_channels, "out_channels": conv.out_channels, "kernel_size": conv.kernel_size,
            "stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "groups": conv.groups,
        }  # fmt: skip
        folded = nn.Conv2d(**{**plain, **settings(conv)})
        folded.weight.copy_(values)
        assert folded.bias is not None
        folded.bias.copy_(new)
        if bias == "none" or (bias == "if there" and conv.bias is None):
            folded.bias = None
        elif bias == "random":
            torch.manual_seed(3)
            folded.bias.normal_()
    return {"copy": lambda: folded, "both": lambda: nn.Sequential(folded, norm)}[gives]()


def _changes_given(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    folded = _fold(conv, norm)
    with torch.no_grad():
        conv.weight.copy_(folded.weight)
        conv.bias = nn.Parameter(folded.bias.clone())
    return conv


def _explain_fold(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    what = seen.get("what is returned")
    if what == "the convolution that was given, changed":
        return "The convolution that was given is changed and returned: make a new one, copy.deepcopy(conv)."
    if differs(seen[_GIVEN], expected[_GIVEN]):
        return (
            "The convolution or the batch norm that was given has changed: work on a new one, copy.deepcopy(conv). (A "
            "new layer that is given conv.weight itself shares it.)"
        )
    if what == "nothing":
        return "It returns nothing: return the new convolution."
    if what == "the numbers of a convolution, not the layer":
        return "It returns numbers, weights or biases; return a layer, an nn.Conv2d that holds them."
    if isinstance(what, str) and "batch norm" in what and not what.endswith("0 batch norms"):
        return "The batch norm is still in what is returned: fold it into the convolution and leave it out."
    if isinstance(what, str) and "1 convolution," not in what:
        return f"What is returned holds {what}; one convolution is asked for."
    settings = "stride, padding, dilation, groups and kernel"
    if seen.get(settings) != expected[settings]:
        names = ("stride", "padding", "dilation", "groups", "kernel size")
        pair = (ast.literal_eval(str(one)) for one in (seen.get(settings), expected[settings]))
        lost = [name for name, one, other in zip(names, *map(_settings, pair), strict=True) if one != other]
        return (
            f"The new convolution has lost the {' and the '.join(lost)} of the given one: hand over all its settings "
            "(stride, padding, dilation, groups), or copy conv, which keeps them."
        )
    values = "the values that the new convolution gives"
    if not differs(seen.get(values), expected[values], rtol=1e-3, atol=1e-4):
        return "Its weights are no parameters of their own: wrap them, nn.Parameter(weight.detach())."
    found, right = as_array(seen.get(values)), as_array(expected[values])
    if found is None or right is None or found.shape != right.shape:
        return None
    gap = found - right
    flat = gap - gap.mean(axis=(0, 2, 3), keepdims=True)
    bias, fan_in = as_array(seen.get("its bias")), arguments[0].weight[0].numel()
    if bias is not None and bias.dtype.kind == "f" and 0 < abs(bias).max() <= fan_in**-0.5 + 1e-6:
        return "The new bias is never set: it is still random, as nn.Conv2d makes it."
    if abs(flat).max() < 1e-3:
        return (
            "The new weights are right and the new bias is not: it is beta + scale * (bias - mean), where bias is the "
            "convolution's own, 0 if it has none."
        )
    return (
        "The new weights are not right: each output channel's weights are multiplied by gamma / sqrt(variance + eps) of "
        "that channel."
    )


def _settings(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (None,) * 5


def _judge_fold_batch_norm(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_fold, **options), message)

    def by(scale: Callable[[Any], Any], message: str) -> Mistake:
        return wrong(message, scale=scale)

    def plus(shift: Callable[[Any, Any, Any], Any], message: str) -> Mistake:
        return wrong(message, shift=shift)

    no_eps = "The eps is missing, or is not this batch norm's own: divide by sqrt(variance + norm.eps)."
    own = "The convolution's own bias is forgotten: batch norm scales it too, scale * (bias - mean)."
    judge_function(
        answer,
        "fold_batch_norm",
        reference=_fold,
        cases=[
            _fold_case(1, "a 3x3 convolution with padding and without bias", in_channels=3, out_channels=5,
                       kernel_size=3, padding=1, bias=False),
            _fold_case(2, "a 5x5 convolution with bias, stride 2 and padding 2", in_channels=2, out_channels=4,
                       kernel_size=5, stride=2, padding=2),
            _fold_case(3, "a depthwise convolution with bias, padding 2 and dilation 2", in_channels=4, out_channels=4,
                       kernel_size=3, padding=2, dilation=2, groups=4),
            _fold_case(4, "a 1x1 convolution as wide as its input, without bias", in_channels=6, out_channels=6,
                       kernel_size=1, bias=False),
        ],
        mistakes=[
            by(lambda n: n.weight / n.running_var.sqrt(), no_eps),
            by(lambda n: n.weight / (n.running_var.sqrt() + n.eps), "The eps belongs under the root: sqrt(variance + eps)."),
            by(lambda n: n.weight / (n.running_var + n.eps), "The root is missing: divide by sqrt(variance + eps)."),
            by(lambda n: n.weight / n.running_var, "The root is missing: divide by sqrt(variance + eps)."),
            by(lambda n: 1 / (n.running_var + n.eps).sqrt(), "Batch norm's own scale, norm.weight, is missing."),
            by(lambda n: n.weight, "The variance is not used: divide by sqrt(variance + eps)."),
            by(lambda n: n.weight * (n.running_var + n.eps).sqrt(), "Divide by the standard deviation; here it multiplies."),
            by(lambda n: (n.running_var + n.eps).sqrt() / n.weight, "The scale is upside down: norm.weight / sqrt(variance + eps)."),
            by(lambda n: n.weight / (n.running_var + 1e-3).sqrt(), "The eps is typed in: this batch norm has its own, norm.eps."),
            by(lambda n: n.weight / (n.running_var - n.eps).sqrt(), "The eps is added to the variance, not subtracted."),
            by(lambda n: n.weight / (n.running_mean + n.eps).abs().sqrt(), "The mean stands where the variance belongs."),
            wrong(own, bias="forgotten"),
            plus(lambda n, s, b: n.bias - s * n.running_mean + b, "The convolution's own bias is not scaled: batch norm scales it too, scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias + s * b, "The running mean is not subtracted: the new bias is beta + scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias + b, "The running mean is not subtracted, nor the old bias scaled: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias, "The new bias is batch norm's alone: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias + s * (b + n.running_mean), "The running mean is added; subtract it: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias - s * (b - n.running_mean), "The sign is wrong: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias + b - n.running_mean, "The difference is not scaled: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: s * (n.bias + b - n.running_mean), "Batch norm's own shift is scaled as well; add it after scaling: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: s * (b - n.running_mean), "Batch norm's own shift, norm.bias, is missing: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: b, "The bias stays what it was: the new one is beta + scale * (bias - mean)."),
            plus(lambda n, s, b: s * b, "Mean and shift of the batch norm are missing from the bias: beta + scale * (bias - mean)."),
            plus(lambda n, s, b: n.bias - n.running_mean * n.weight + b * s, "The mean is multiplied by gamma alone: it, too, is divided by the standard deviation."),
            wrong("The weights stay as they were: each output channel's are multiplied by gamma / sqrt(variance + eps).", weights="kept"),
            wrong("The input channels are scaled; the first axis of the weights is the output channels.", weights="input"),
            wrong("The weights are divided by the scale; multiply.", weights="divided"),
            wrong("The shift is added to the weights; it belongs into the bias.", weights="shifted"),
            wrong("The new convolution has no bias: what batch norm shifts by belongs there.", bias="none"),
            wrong("Where the given convolution has no bias, the new one has none either: it needs one, for batch norm's shift.", bias="if there"),
            wrong("The new bias is never set: it is still random.", bias="random"),
            wrong("The batch norm is still in what is returned: fold it into the convolution and leave it out.", gives="both"),
            Mistake(_changes_given, "The convolution that was given is changed and returned: make a new one, copy.deepcopy(conv)."),
            Mistake(lambda conv, norm: copy.deepcopy(conv), "It is a copy of the convolution alone: the batch norm is not in it."),
            wrong("The new convolution has lost the stride of the given one.", settings=lambda c: {"stride": 1}),
            wrong("The new convolution has lost the padding of the given one.", settings=lambda c: {"padding": 0}),
            wrong("The new convolution has lost the dilation of the given one.", settings=lambda c: {"dilation": 1}),
            wrong(f"{no_eps} {own}", scale=lambda n: n.weight / n.running_var.sqrt(), bias="forgotten"),
        ],
        explain=_explain_fold,
    )  # fmt: skip
    return "Exact, and a layer less to compute: this is what exporting for a phone does first."


fold_batch_norm = Exercise("ch04", "fold_batch_norm", _judge_fold_batch_norm)


# unit_variance ----------------------------------------------------------------------------------------------


class _Odd(nn.Module):
    """Convolutions that no nn.Sequential holds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 5, stride=2, padding=2)
        self.inner = nn.Sequential(
            nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.last = nn.Conv2d(8, 5, 1, bias=False)
        self.head = nn.Linear(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.inner(self.stem(x))).relu()
        return self.head(x.mean((2, 3)))


def _deviations(model: nn.Module, images: Tensor) -> list[float]:
    """Return the standard deviation of what each convolution gives, in order."""
    found: list[float] = []
    hooks = [
        m.register_forward_hook(lambda _, __, out: found.append(out.detach().std().item()))
        for m in _convs(model)
    ]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


_DIRECTIONS = "the direction of each convolution's weights, which scaling leaves"
_BIASES = "the biases, scaled as the weights"
_SPREADS = "the standard deviation of what each convolution gives"
_OTHERS = "the dense layers, which stay as they are"
_LAYERS = "the number of the model's layers"
_HOOKS = "the number of hooks left behind"
_MODE = "whether the model is in training mode, as it was"
_LEAVES = "whether weights are still parameters that learn"


def _variance_case(number: int) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(number)
        if number == 0:
            model: nn.Module = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 7),
            )  # fmt: skip
        else:
            model = _Odd()
        contrast = torch.linspace(0.3, 4, 16).view(-1, 1, 1, 1)  # images that differ in their own spread
        return model, 0.5 + contrast * torch.randn(16, 1, 8, 8)

    def observe(_: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model, images = arguments
        convs = _convs(model)
        hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        seen: dict[str, Any] = {
            _LAYERS: sum(1 for _ in model.modules()),
            _LEAVES: all(p.is_leaf and p.requires_grad for p in model.parameters()),
            _DIRECTIONS: [F.normalize(m.weight.detach().flatten(), dim=0) for m in convs],  # type: ignore[operator]
            _OTHERS: [m.weight.detach() for m in model.modules() if isinstance(m, nn.Linear)],
            _HOOKS: hooks,
        }
        for module in model.modules():
            module._forward_hooks.clear()
        seen[_SPREADS] = _deviations(model, images)
        seen[_BIASES] = [
            (m.bias.detach() / m.weight.detach().norm())  # type: ignore[operator]
            for m in convs
            if m.bias is not None
        ]
        seen[_MODE] = model.training
        return seen

    words = (
        "a row of three convolutions"
        if number == 0
        else "a network whose convolutions are in no nn.Sequential"
    )
    return Case(make, words, observe, rtol=0.02, atol=2e-3, may_change=True)


def _scale(
    model: nn.Module,
    images: Tensor,
    *,
    of: Callable[[Tensor], Tensor] = lambda out: out.std(),
    apply: str = "divide",
    bias: str = "too",
    which: slice = slice(None),
    at_once: bool = False,
    dense: bool = False,
    own: str = "output",
    top: bool = False,
) -> None:
    """The right answer, and with other options the wrong ones."""
    kinds = (nn.Conv2d, nn.Linear) if dense else (nn.Conv2d,)
    convs = [m for m in (model.children() if top else model.modules()) if isinstance(m, kinds)][which]

    def measure(conv: nn.Module) -> Tensor:
        outs: list[Tensor] = []
        hook = conv.register_forward_hook(
            lambda _, given, out: outs.append((given[0] if own == "input" else out).clone())
        )
        model(images)
        hook.remove()
        if own == "relu":
            outs[0] = outs[0].relu()
        if own in ("model", "images"):
            return of(images if own == "images" else model(images))
        return of(conv.weight if own == "weights" else outs[0])  # type: ignore[arg-type]

    with torch.no_grad():
        before = [measure(conv) for conv in convs] if at_once else []
        for number, conv in enumerate(convs):
            spread = before[number] if at_once else measure(conv)
            weight: Any = conv.weight
            factor = spread if spread.dim() == 0 else spread.view(-1, *[1] * (weight.dim() - 1))
            if apply == "divide":
                weight /= factor
            elif apply == "multiply":
                weight *= factor
            shift: Any = conv.bias
            if shift is not None:
                if bias == "too":
                    shift /= spread if apply == "divide" else 1 / spread
                elif bias == "zero":
                    shift.zero_()
                elif bias == "centred":
                    shift /= spread
                    outs: list[Tensor] = []
                    hook = conv.register_forward_hook(lambda _, __, out, outs=outs: outs.append(out.clone()))
                    model(images)
                    hook.remove()
                    shift -= outs[0].mean() if own == "output" else outs[0].mean((0, 2, 3))


def _redrawn(model: nn.Module, _: Tensor) -> None:
    for conv in _convs(model):
        nn.init.kaiming_normal_(conv.weight)  # type: ignore[arg-type]


def _explain_variance(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    model, images = arguments
    before = _deviations(model, images)
    if seen[_HOOKS]:
        return (
            f"{seen[_HOOKS]} hook{' is' if seen[_HOOKS] == 1 else 's are'} left behind: keep what register_forward_hook returns, "
            "and remove() it."
        )
    if seen[_LAYERS] != expected[_LAYERS]:
        return "The model has other layers than before (batch norm?): scale the weights of its convolutions, and add nothing."
    if not seen[_LEAVES]:
        return (
            "The weights are no plain parameters any more: change them under torch.no_grad(), or wrap the new ones in "
            "nn.Parameter."
        )
    if differs(seen[_DIRECTIONS], expected[_DIRECTIONS], rtol=0.02, atol=2e-3):
        return (
            "The weights of a convolution are not a multiple of what they were: they are drawn anew, or scaled channel by "
            "channel. Divide all of them by one number."
        )
    if differs(seen[_OTHERS], expected[_OTHERS]):
        return "The dense layer has changed as well; scale the convolutions alone."
    if seen[_MODE] != expected[_MODE]:
        return "The model is left in evaluation mode: nothing but its convolutions is to change."
    if not any(one.abs().sum() for one in seen[_BIASES]):
        return "The bias is set to zero; divide it by the same number as the weights."
    spreads = as_array(seen[_SPREADS])
    if spreads is not None and not differs(spreads, before, rtol=1e-3):
        return (
            "Nothing has changed in the model that was given: is a copy scaled, or a new tensor made that is never put "
            "back (weight = weight / std)?"
        )
    if spreads is not None and not differs(seen[_SPREADS], expected[_SPREADS], rtol=0.02, atol=2e-3):
        return (
            "The weights are scaled and the biases are not as they should be: divide both by the same number."
        )
    if spreads is not None and spreads.dtype.kind == "f":
        good = [abs(value - 1) < 0.02 for value in spreads]
        if good[0] and not all(good):
            return (
                "The first convolution is right, a later one is not. When a convolution has been scaled, those behind it "
                "get other values: measure each anew, after those before it are done. And each by the spread of its "
                "own output, before any ReLU, which overwrites it where inplace=True: take the deviation inside the hook."
            )
        return (
            f"The convolutions give deviations {', '.join(f'{v:.3g}' for v in spreads)}; expected 1 each. Divide by the "
            "standard deviation of all the values that the convolution gives for these images, before any ReLU."
        )
    return None


def _judge_unit_variance(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_scale, **options), message)

    judge_function(
        answer,
        "unit_variance",
        reference=_scale,
        cases=[_variance_case(0), _variance_case(1)],
        mistakes=[
            wrong("Deviations are measured before the convolutions in front are scaled (all at once, or from the last to the first): scaling one changes what those behind it get. Begin with the first, and measure each anew.", at_once=True),
            wrong("It divides by the variance; the standard deviation is its root.", of=lambda out: out.var()),
            wrong("It divides by the root of the standard deviation; divide by the deviation itself.", of=lambda out: out.std().sqrt()),
            wrong("It multiplies by the standard deviation; divide.", apply="multiply"),
            wrong("The bias is left as it is: divide it too, or the output is not divided as a whole.", bias="kept"),
            wrong("The bias is set to zero; divide it by the same number as the weights.", bias="zero"),
            wrong("The mean is subtracted as well; only divide.", bias="centred"),
            wrong("It measures after the ReLU; what the convolution itself gives is asked for.", own="relu"),
            wrong("It measures what goes into the convolution; measure what comes out.", own="input"),
            wrong("It divides by the spread of the weights; measure that of the output.", own="weights"),
            wrong("Only the first convolution is scaled.", which=slice(1)),
            wrong("Only the last convolution is scaled.", which=slice(-1, None)),
            wrong("The last convolution is left out.", which=slice(-1)),
            wrong("The first convolution is left out.", which=slice(1, None)),
            wrong("Each channel is scaled by its own deviation; one number for the whole convolution is asked for.", of=lambda out: out.std((0, 2, 3))),
            wrong("It divides by the mean of the values, not by their standard deviation.", of=lambda out: out.mean()),
            wrong("It divides by the mean of the absolute values, not by their standard deviation.", of=lambda out: out.abs().mean()),
            wrong("It divides by the greatest value, not by the standard deviation.", of=lambda out: out.abs().max()),
            wrong("It divides by the greatest value, not by the standard deviation.", of=lambda out: out.max()),
            wrong("It divides by the norm of all values; the standard deviation is asked for.", of=lambda out: out.norm()),
            wrong("It divides by the root of the mean square, which counts the mean too; the standard deviation is around the mean.", of=lambda out: out.square().mean().sqrt()),
            wrong("It divides by the spread between images, averaged over places; the deviation of all values together is asked for.", of=lambda out: out.std(0).mean()),
            wrong("It takes the mean of the channels' deviations; the deviation of all values together is asked for.", of=lambda out: out.std((0, 2, 3)).mean()),
            wrong("It takes the mean of the images' own deviations; the deviation of all values together is asked for.", of=lambda out: out.std((1, 2, 3)).mean()),
            wrong("Convolutions inside an nn.Sequential are left out: model.modules() walks through all, children() sees the outermost layers only.", top=True),
            wrong("It measures one image alone; the deviation over the whole batch is asked for.", of=lambda out: out[0].std()),
            wrong("The dense layer is scaled as well; scale the convolutions alone.", dense=True),
            wrong("It divides by the spread of what the whole model gives; measure what each convolution gives.", own="model"),
            wrong("It divides by the spread of the images themselves; measure what each convolution gives.", own="images"),
            Mistake(_redrawn, "The weights are drawn anew; scale those that are there."),
        ],
        explain=_explain_variance,
    )  # fmt: skip
    return "A deep stack without batch norm now begins with a signal at every layer. Try it on DEEP, above."


unit_variance = Exercise("ch04", "unit_variance", _judge_unit_variance)

__all__ = [
    "StridedVGG", "fold_batch_norm", "pool_the_head", "receptive_fields", "unit_variance", "vgg_cost",
]  # fmt: skip
