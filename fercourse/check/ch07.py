"""Checkers of chapter 7, Small networks."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fercourse.check.core import Exercise, Wrong, as_array, differs, run, students_line, want_function
from fercourse.check.functions import RESULT, Case, Mistake, judge_function, of
from fercourse.check.modules import Trial, Variant, build_answer, judge_module, variants

# separable_macs ---------------------------------------------------------------------------------------------


def _up(n: float, s: int) -> int:
    return math.ceil(n / s)


# What each part should be comes first in its table; the others are what students write in its place, and why not.
# fmt: off
_Kinds = list[tuple[Callable[..., Any], str]]
_PIXELS: _Kinds = [
    (lambda n, s, k: _up(n, s) ** 2, ""),
    (lambda n, s, k: n * n, "The stride is not used: the layers work out ceil(size / stride) squared pixels."),
    (lambda n, s, k: 1, "Those are the weights. Each is used once at every output pixel: multiply by their number."),
    (lambda n, s, k: (n // s) ** 2, "Round up where size / stride is not whole: here it is rounded down."),
    (lambda n, s, k: (n / s) ** 2, "Round up where size / stride is not whole: here it is not rounded."),
    (lambda n, s, k: round(n / s) ** 2, "Round up where size / stride is not whole: here it is rounded to the nearest."),
    (lambda n, s, k: (n // s + 1) ** 2, "One is added even where size / stride is whole: round up instead."),
    (lambda n, s, k: math.ceil((n / s) ** 2), "Round height and width up, each by itself; here their product is rounded."),
    (lambda n, s, k: n * n // s // s, "Round height and width up, each by itself; here their product is rounded down."),
    (lambda n, s, k: n * n / s, "The number of pixels is divided by the stride once; height and width shrink, each of them."),
    (lambda n, s, k: math.ceil(n * n / s), "The number of pixels is divided by the stride once; height and width shrink, each."),
    (lambda n, s, k: n * n // s, "The number of pixels is divided by the stride once; height and width shrink, each of them."),
    (lambda n, s, k: _up(n, s), "Height and width both: there are size squared pixels, here it is size once."),
    (lambda n, s, k: n // s, "Height and width both, rounded up: here it is size // stride once."),
    (lambda n, s, k: n, "Height and width both, divided by the stride: here it is size once."),
    (lambda n, s, k: (n * s) ** 2, "The stride is multiplied; it divides."),
    (lambda n, s, k: ((n - k) // s + 1) ** 2, "The padding is such that ceil(size / stride) pixels come out; here it is as without padding."),
    (lambda n, s, k: ((n + 2 - k) // s + 1) ** 2, "The padding is 1 here whatever the kernel: ceil(size / stride) pixels come out."),
    (lambda n, s, k: (n - k + 1) ** 2, "The stride is not used, nor the padding: ceil(size / stride) squared pixels come out."),
    (lambda n, s, k: _up(_up(n, s), s) ** 2, "The stride is used twice."),
]
_FULL: _Kinds = [
    (lambda k, i, o: k * k * i * o, ""),
    (lambda k, i, o: k * i * o, "A kernel has kernel_size squared values; in the full convolution it is counted once."),
    (lambda k, i, o: k * k * (i + o), "The channels are added; each output channel has a kernel for each input channel, so multiply."),
    (lambda k, i, o: k * k * i, "The full convolution has a kernel for each pair of channels; here only the input channels count."),
    (lambda k, i, o: k * k * o, "The full convolution has a kernel for each pair of channels; here only the output channels count."),
    (lambda k, i, o: i * o, "The kernel is not used: in the full convolution it has kernel_size squared values."),
    (lambda k, i, o: k * k * i * i, "The full convolution goes from in_channels to out_channels, here from in to in."),
    (lambda k, i, o: k * k * i * o + o, "Biases are counted; the exercise leaves them out."),
    (lambda k, i, o: 9 * i * o, "The kernel is taken to be 3 x 3; it is kernel_size x kernel_size."),
]
_DEPTHWISE: _Kinds = [
    (lambda k, i, o: k * k * i, ""),
    (lambda k, i, o: k * i, "The depthwise kernel has kernel_size squared values, here it is counted once."),
    (lambda k, i, o: k * k * o, "The depthwise half has one kernel for each *input* channel; here it is counted for each output channel."),
    (lambda k, i, o: k * k * i * i, "The depthwise half is counted as a full convolution: each of its kernels sees one channel only."),
    (lambda k, i, o: k * k * i * o, "The depthwise half is counted as a full convolution: each of its kernels sees one channel only."),
    (lambda k, i, o: k * k, "The depthwise half has one kernel for each channel; here it is counted as one kernel for all."),
    (lambda k, i, o: 0, "The depthwise half is missing from the pair."),
    (lambda k, i, o: i, "The depthwise half has kernel_size squared weights a channel; the kernel is not used."),
    (lambda k, i, o: k * k * i + i, "Biases are counted; the exercise leaves them out."),
    (lambda k, i, o: 9 * i, "The depthwise kernel is taken to be 3 x 3; it is kernel_size x kernel_size."),
]
_POINTWISE: _Kinds = [
    (lambda k, i, o: i * o, ""),
    (lambda k, i, o: 0, "The pointwise half is missing from the pair: without it no channel learns of another."),
    (lambda k, i, o: i * i, "The pointwise half goes from in_channels to out_channels; here it is counted from in to in."),
    (lambda k, i, o: o * o, "The pointwise half goes from in_channels to out_channels; here it is counted from out to out."),
    (lambda k, i, o: o, "The pointwise half has a weight for each pair of channels; here in_channels is missing."),
    (lambda k, i, o: i, "The pointwise half has a weight for each pair of channels; here out_channels is missing."),
    (lambda k, i, o: i + o, "The channels are added; the pointwise half has a weight for each pair, so multiply."),
    (lambda k, i, o: k * k * i * o, "The pointwise half has 1x1 kernels; here they are counted as kernel_size x kernel_size."),
    (lambda k, i, o: k * i * o, "The pointwise half has 1x1 kernels; here they are counted as kernel_size x 1."),
    (lambda k, i, o: i * o + o, "Biases are counted; the exercise leaves them out."),
]
_TWICE = "The pointwise half works on a picture that is shrunk twice: the depthwise half alone strides."
#: Where the parts stride, from (full, depthwise, pointwise) as they should be, on all, none or twice.
_WHERE: list[tuple[tuple[int, int, int], str]] = [
    ((1, 1, 1), ""),
    ((1, 1, 0), "The depthwise half strides, so that the pointwise one works on the smaller picture too; here on size x size."),
    ((1, 0, 1), "The depthwise half strides already; here it is counted at size x size pixels, as if the pointwise one strode."),
    ((1, 0, 0), "The stride is used for the full convolution and not for the pair."),
    ((0, 1, 1), "The stride is used for the pair and not for the full convolution."),
    ((0, 1, 0), "Only the depthwise half is strided; the full convolution strides too, and the pointwise half works on less."),
    ((1, 1, 2), _TWICE),
    ((0, 1, 2), _TWICE),
    ((1, 1, -1), "The pointwise half is not multiplied by the pixels: its weights, too, are used at each of them."),
    ((1, -1, 1), "The depthwise half is not multiplied by the pixels: its weights, too, are used at each of them."),
    ((-1, 1, 1), "The full convolution is not multiplied by the pixels: its weights, too, are used at each of them."),
    ((1, -1, -1), "The pair is not multiplied by the pixels: its weights, too, are used at each of them."),
]
_GIVES: _Kinds = [
    (lambda a, b, c: (a, b + c), ""),
    (lambda a, b, c: (b + c, a), "The order is (full, pair); here the pair comes first."),
    (lambda a, b, c: (a, b * c), "The halves of the pair come one after the other: add their costs, here they are multiplied."),
    (lambda a, b, c: (a, b, c), "The pair is one number, the sum of its halves; here they are given one by one."),
    (lambda a, b, c: (a, (b, c)), "The pair is one number, the sum of its halves; here they are given one by one."),
    (lambda a, b, c: (b + c) / a, "That is the quotient; both numbers are asked for, (full, pair)."),
    (lambda a, b, c: a / (b + c), "That is the quotient; both numbers are asked for, (full, pair)."),
    (lambda a, b, c: a - b - c, "That is the difference; both numbers are asked for, (full, pair)."),
    (lambda a, b, c: (a, (b + c) / a), "The second number is the pair's share; its multiply-accumulates are asked for."),
    (lambda a, b, c: (a, a - b - c), "The second number is what is saved; the pair's multiply-accumulates are asked for."),
    (lambda a, b, c: b + c, "That is the pair alone; return (full, pair)."),
    (lambda a, b, c: a, "That is the full convolution alone; return (full, pair)."),
    (lambda a, b, c: (2 * a, 2 * (b + c)), "Those are twice as many: a multiplication and an addition together count as one."),
    (lambda a, b, c: (a / 1e6, (b + c) / 1e6), "Those are millions; the numbers themselves are asked for."),
    (lambda a, b, c: {"full": a, "pair": b + c}, "It returns a dictionary; two numbers are asked for, (full, pair)."),
]
# fmt: on


def _separable(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    size: int,
    stride: int,
    *,
    pixels: int = 0,
    full: int = 0,
    depthwise: int = 0,
    pointwise: int = 0,
    where: int = 0,
    gives: int = 0,
) -> Any:
    """The right answer, and with other places in the tables the wrong ones."""

    def at(strided: int) -> Any:
        if strided == -1:
            return 1
        side = _up(size, stride) if strided == 2 else size
        return _PIXELS[pixels][0](side, stride if strided else 1, kernel_size)

    sizes = (kernel_size, in_channels, out_channels)
    parts = (_FULL[full][0], _DEPTHWISE[depthwise][0], _POINTWISE[pointwise][0])
    counts = [at(used) * part(*sizes) for used, part in zip(_WHERE[where][0], parts, strict=True)]
    return _GIVES[gives][0](*counts)


_MAC_TABLES: dict[str, list[tuple[Any, str]]] = {
    "gives": list(_GIVES),
    "pixels": list(_PIXELS),
    "where": list(_WHERE),
    "full": list(_FULL),
    "depthwise": list(_DEPTHWISE),
    "pointwise": list(_POINTWISE),
}


def _explain_macs(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Name two slips at once, or say which of the two numbers is wrong."""
    slips = [(name, place) for name, table in _MAC_TABLES.items() for place in range(1, len(table))]
    for one, other in itertools.combinations(slips, 2):
        if one[0] != other[0] and not differs(seen[RESULT], _separable(*arguments, **dict((one, other)))):
            words = dict.fromkeys(_MAC_TABLES[name][place][1] for name, place in (one, other))
            return " ".join(words)
    found = as_array(seen[RESULT])
    if found is None or found.shape != (2,):
        return None
    right = [abs(a - b) < 0.5 for a, b in zip(found, expected[RESULT], strict=True)]
    i, o, k, size, stride = arguments
    side = _up(size, stride)
    if right[0] and not right[1]:
        return (
            f"The full convolution is right. The pair: {k} x {k} x {i} weights in the depthwise half and {i} x {o} in "
            f"the pointwise one, each used at {side} x {side} pixels."
        )
    if right[1] and not right[0]:
        return (
            f"The pair is right. The full convolution has {k} x {k} x {i} x {o} weights, each used at {side} x {side} "
            "pixels."
        )
    return None


def _judge_separable_macs(answer: Any) -> str:
    judge_function(
        answer,
        "separable_macs",
        reference=_separable,
        cases=[
            of(64, 128, 3, 24, 1, words="64, 128, 3, 24, 1 (in, out, kernel, size, stride)"),
            of(16, 24, 3, 48, 2, words="16, 24, 3, 48, 2"),
            of(40, 112, 5, 13, 2, words="40, 112, 5, 13, 2"),
            of(3, 7, 7, 10, 3, words="3, 7, 7, 10, 3"),
        ],
        mistakes=[
            Mistake(partial(_separable, **{name: place}), table[place][1])
            for name, table in _MAC_TABLES.items()
            for place in range(1, len(table))
        ]
        + [
            Mistake(
                partial(_separable, full=7, depthwise=8, pointwise=9),
                "Biases are counted; the exercise leaves them out.",
            )
        ],
        explain=_explain_macs,
    )
    return "The pair's share is 1 / out_channels + 1 / kernel_size squared, whatever the picture."


separable_macs = Exercise("ch07", "separable_macs", _judge_separable_macs)


# DepthwiseSeparable -----------------------------------------------------------------------------------------


class _Separable(nn.Module):
    """Depthwise 3x3, BN, ReLU, 1x1, BN, ReLU; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        i, o = in_channels, out_channels
        first, second = (1, stride) if kind == "stride second" else (stride, 1)
        if kind == "both stride":
            first, second = stride, stride
        if kind == "no stride":
            first = 1
        padding = 0 if kind == "no padding" else 1
        groups = {"full": 1, "two groups": 2, "dense pointwise": 1}.get(kind, i)
        self.first: nn.Module = nn.Conv2d(i, i, 3, first, padding, groups=groups, bias=False)
        self.norm1 = nn.Identity() if kind in ("no norm", "no first norm") else nn.BatchNorm2d(i)
        self.second: nn.Module = nn.Conv2d(i, o, 1, second, bias=False)
        self.norm2 = nn.Identity() if kind in ("no norm", "no last norm") else nn.BatchNorm2d(o)
        if kind == "3x3 pointwise":
            self.second = nn.Conv2d(i, o, 3, second, 1, bias=False)
        if kind == "bare first":
            self.norm1 = nn.Identity()
        if kind == "one full":
            self.first, self.norm1 = nn.Identity(), nn.Identity()
            self.second = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        if kind == "pointwise first":
            self.first, self.norm1 = nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o)
            self.second = nn.Conv2d(o, o, 3, stride, 1, groups=o, bias=False)
        if kind == "wide depthwise":
            self.first = nn.Conv2d(i, o, 3, first, 1, groups=i, bias=False)
            self.norm1 = nn.BatchNorm2d(o)
            self.second = nn.Conv2d(o, o, 1, bias=False)
        if kind == "grouped pointwise":
            self.second = nn.Conv2d(i, o, 1, second, groups=math.gcd(i, o), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        out = self.first(x)
        if kind == "relu before norm":
            return self.norm2(self.second(self.norm1(out.relu()))).relu()
        if kind == "relu both before norm":
            return self.norm2(self.second(self.norm1(out.relu())).relu())
        out = self.norm1(out)
        if kind not in ("no first relu", "no relu", "one full", "bare first"):
            out = nn.functional.relu6(out) if kind == "relu6" else out.relu()
        if kind == "hardswish":
            out = nn.functional.hardswish(self.norm1(self.first(x)))
        out = self.norm2(self.second(out))
        if kind == "shortcut" and out.shape == x.shape:
            return (out + x).relu()
        if kind in ("no last relu", "no relu"):
            return out
        if kind == "hardswish":
            return nn.functional.hardswish(out)
        return nn.functional.relu6(out) if kind == "relu6" else out.relu()


_SEPARABLE_MISTAKES = {
    "full": "The first convolution mixes all channels: depthwise means groups=in_channels.",
    "two groups": "The first convolution has 2 groups: depthwise means as many as channels.",
    "one full": "That is one full 3x3 convolution: a depthwise and a pointwise one are asked for.",
    "pointwise first": "The order is depthwise, then pointwise; here the 1x1 comes first.",
    "wide depthwise": "The depthwise convolution changes the number of channels; leave that to the pointwise one.",
    "grouped pointwise": "The 1x1 convolution has groups: it is there to mix all channels.",
    "3x3 pointwise": "The second convolution is 3x3; pointwise means 1x1.",
    "stride second": "The 1x1 strides, so that the depthwise one works on four times the pixels for nothing: let the depthwise one stride.",
    "both stride": "Both convolutions stride; the depthwise one alone should.",
    "no stride": "The stride is not used.",
    "no padding": "The depthwise convolution has no padding: with 3x3, padding=1 keeps the size.",
    "no norm": "There is no batch norm: one belongs after each convolution.",
    "bare first": "Batch norm and ReLU between depthwise and pointwise are missing.",
    "no first norm": "The depthwise convolution has no batch norm after it.",
    "no last norm": "The pointwise convolution has no batch norm after it.",
    "no first relu": "The ReLU between depthwise and pointwise is missing.",
    "no last relu": "The ReLU at the end is missing: this is V1's layer; the linear bottleneck is V2's.",
    "no relu": "There is no ReLU: one belongs after each batch norm.",
    "relu before norm": "A ReLU comes before the batch norm; the order is convolution, batch norm, ReLU.",
    "relu both before norm": "The ReLUs come before the batch norms; the order is convolution, batch norm, ReLU.",
    "relu6": "That is ReLU6; this layer has plain ReLUs.",
    "hardswish": "That is hard-swish; this layer has plain ReLUs.",
    "shortcut": "There is a shortcut: the layer of V1 has none.",
}


def _judge_depthwise_separable(answer: Any) -> str:
    judge_module(
        answer,
        "DepthwiseSeparable",
        reference=_Separable,
        trials=[
            Trial((4, 6, 1), (2, 4, 8, 8)),
            Trial((6, 10, 2), (2, 6, 8, 8)),
            Trial((8, 8, 1), (2, 8, 5, 7)),
            Trial((8, 4, 2), (2, 8, 7, 9)),
        ],
        mistakes=variants(_Separable, _SEPARABLE_MISTAKES),
    )
    return "A stem, thirteen of these and a head: that is MobileNetV1."


DepthwiseSeparable = Exercise("ch07", "DepthwiseSeparable", _judge_depthwise_separable)


# hard_swish -------------------------------------------------------------------------------------------------


def _gate(x: Tensor) -> Tensor:
    return (x + 3).clamp(0, 6) / 6


def _ramp(x: Tensor) -> Tensor:
    return ((x > -3) & (x < 3)).to(x.dtype)


def _right_slope(x: Tensor) -> Tensor:
    return _gate(x) + x * _ramp(x) / 6


_VALUES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "gate alone": (_gate, "The values are those of hard-sigmoid: hard-swish is x times it."),
    "swish": (lambda x: x * x.sigmoid(), "The values are those of swish, with the sigmoid; the hard one is piecewise."),
    "sixth missing": (lambda x: 6 * x * _gate(x), "The division by 6 is missing: the gate goes from 0 to 1."),
    "gate to 1": (lambda x: x * (x + 3).clamp(0, 1), "The gate is cut at 1 before it is divided: min(max(x + 3, 0), 6) / 6."),
    "gate to 1 then 6": (lambda x: x * (x + 3).clamp(0, 1) / 6, "The gate is cut at 1: min(max(x + 3, 0), 6) / 6 is cut at 6."),
    "no shift": (lambda x: x * x.clamp(0, 6) / 6, "The 3 is missing: the gate is min(max(x + 3, 0), 6) / 6."),
    "shift after": (lambda x: x * (x.clamp(0, 6) + 3) / 6, "The 3 is added after cutting; add it before."),
    "shift minus": (lambda x: x * (x - 3).clamp(0, 6) / 6, "The 3 is subtracted; add it."),
    "shift outside": (lambda x: (x + 3) * _gate(x), "The factor is x, not x + 3."),
    "product cut": (lambda x: (x * (x + 3)).clamp(0, 6) / 6, "The product is cut; cut the gate alone, then multiply."),
    "no upper": (lambda x: x * (x + 3).clamp(min=0) / 6, "The gate is not cut at 6: from x = 3 on it should be 1."),
    "no lower": (lambda x: x * (x + 3).clamp(max=6) / 6, "The gate is not cut at 0: from x = -3 down it should be 0."),
    "uncut": (lambda x: x * (x + 3) / 6, "The gate is not cut: min(max(x + 3, 0), 6) / 6."),
    "cut at 3": (lambda x: x * (x + 3).clamp(0, 3) / 6, "The gate is cut at 3; it is cut at 6, which x = 3 reaches."),
    "divided by 3": (lambda x: x * (x + 3).clamp(0, 6) / 3, "Divided by 3; the gate goes from 0 to 1, so divide by 6."),
    "relu6": (lambda x: x.clamp(0, 6), "The values are those of ReLU6: multiply x by ReLU6(x + 3) / 6."),
    "relu": (lambda x: x.clamp(min=0), "The values are those of ReLU."),
    "zero below zero": (lambda x: x.clamp(min=0) * _gate(x), "Below 0 all is cut off: hard-swish is negative between -3 and 0."),
    "keras": (lambda x: x * (0.2 * x + 0.5).clamp(0, 1), "That gate rises by 0.2; the one asked for by 1/6, from -3 to 3."),
    "narrow": (lambda x: x * ((x + 1) / 2).clamp(0, 1), "That gate rises from -1 to 1; the one asked for from -3 to 3."),
}  # fmt: skip

_SLOPES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "gate alone": (_gate, "The slope is the gate alone: by the product rule, x times the gate's slope comes on top."),
    "gate slope": (lambda x: _ramp(x) / 6, "That is the gate's slope, 1/6 on the ramp. By the product rule, the slope is "
                   "the gate plus x times that."),
    "second part": (lambda x: x * _ramp(x) / 6, "Only x times the gate's slope; the gate itself comes on top (the product rule)."),
    "everywhere": (lambda x: _gate(x) + x / 6, "The gate's slope is 1/6 on the ramp only; beyond -3 and 3 it is 0."),
    "no factor": (lambda x: _gate(x) + _ramp(x) / 6, "By the product rule the gate's slope is multiplied by x; here it is added as it is."),
    "not sixth": (lambda x: _gate(x) + x * _ramp(x), "The gate's slope is 1/6 on the ramp, not 1."),
    "parabola": (lambda x: (2 * x + 3) / 6, "(2 x + 3) / 6 holds on the ramp only: below -3 the slope is 0, above 3 it is 1."),
    "no upper": (lambda x: torch.where(x > -3, (2 * x + 3) / 6, 0 * x), "Above 3 hard-swish is x, so that its slope is 1."),
    "zero upper": (lambda x: _ramp(x) * (2 * x + 3) / 6, "Above 3 hard-swish is x, so that its slope is 1, not 0."),
    "no lower": (lambda x: torch.where(x < 3, (2 * x + 3) / 6, 0 * x + 1), "Below -3 hard-swish is 0, and so is its slope."),
    "below one": (lambda x: torch.where(x <= -3, 0 * x + 1, _right_slope(x)), "Below -3 hard-swish is 0, and so is its slope."),
    "upper x": (lambda x: torch.where(x >= 3, x, _right_slope(x)), "Above 3 hard-swish is x; its slope is then 1."),
    "cut": (lambda x: ((2 * x + 3) / 6).clamp(0, 1), "The slope is cut to 0 and 1. It is negative between -3 and -1.5, where "
            "hard-swish falls, and above 1 just before 3."),
    "cut below": (lambda x: _right_slope(x).clamp(min=0), "The slope may be negative: between -3 and -1.5 hard-swish falls."),
    "cut above": (lambda x: _right_slope(x).clamp(max=1), "The slope may be above 1: just before 3 it reaches 1.5."),
    "step": (lambda x: (x > 0).to(x.dtype), "That is the slope of a ReLU."),
    "swish": (lambda x: x.sigmoid() * (1 + x * (1 - x.sigmoid())), "That is the slope of swish, with the sigmoid."),
    "x + 3": (lambda x: torch.where(x.abs() < 3, (x + 3) / 6, (x > 0).to(x.dtype)), "On the ramp hard-swish is (x^2 + 3 x) / 6: "
              "its slope is (2 x + 3) / 6."),
    "2x": (lambda x: torch.where(x.abs() < 3, x / 3, (x > 0).to(x.dtype)), "On the ramp hard-swish is (x^2 + 3 x) / 6: its slope is "
           "(2 x + 3) / 6; the 3 is missing."),
    "undivided": (lambda x: torch.where(x.abs() < 3, 2 * x + 3, (x > 0).to(x.dtype)), "On the ramp the slope is (2 x + 3) / 6: the "
                  "division by 6 is missing."),
    "half": (lambda x: torch.where(x.abs() < 3, (2 * x + 3) / 3, (x > 0).to(x.dtype)), "On the ramp the slope is (2 x + 3) / 6; here it "
             "is divided by 3."),
    "x + half": (lambda x: torch.where(x.abs() < 3, x / 6 + 0.5, (x > 0).to(x.dtype)), "The slope is the gate alone: by the product "
                 "rule, x times the gate's slope comes on top."),
    "ones": (lambda x: torch.ones_like(x), "The slope is 1 everywhere: it changes with x."),
    "zeros": (lambda x: torch.zeros_like(x), "The slope is 0 everywhere: was the gradient cleared, or taken of a constant?"),
    "values": (lambda x: x * _gate(x), "The second tensor is the values once more; the slopes are asked for."),
    "difference": (lambda x: _right_slope(x) * 0 + (x * _gate(x)) / torch.where(x == 0, x + 1, x), "That is value by x, the gate; the "
                   "slope also counts how the gate changes."),
    "minus": (lambda x: _gate(x) - x * _ramp(x) / 6, "The two parts of the product rule are added, not subtracted."),
}  # fmt: skip


def _hard_swish(
    x: Tensor,
    *,
    values: Callable[[Tensor], Any] = lambda x: x * _gate(x),
    slopes: Callable[[Tensor], Any] = _right_slope,
    gives: Callable[[Any, Any], Any] = lambda a, b: (a, b),
) -> Any:
    """The right answer, and with other options the wrong ones."""
    return gives(values(x), slopes(x))


def _swish_case(x: Tensor, words: str) -> Case:
    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        _ask_for_two(result)
        values, slopes = result
        given = arguments[0]
        if isinstance(values, Tensor) and tuple(values.shape) != tuple(given.shape):
            raise Wrong(
                f"hard_swish, called with {words}: the values have shape {tuple(values.shape)}; the input has "
                f"{tuple(given.shape)}."
            )
        return {"the values": values, "the slopes": slopes}

    return Case(lambda: (x.clone(),), words, observe, rtol=2e-3, atol=2e-3)


def _ask_for_two(result: Any) -> None:
    """Raise `Wrong` for what is no pair."""
    if isinstance(result, dict):
        raise Wrong("It returns a dictionary; return two tensors, values and slopes.")
    if isinstance(result, Tensor) and not (result.dim() and len(result) == 2):
        raise Wrong("It returns one tensor; return two, values and slopes.")
    try:
        count = len(result)
    except TypeError:
        count = None
    if result is None:
        raise Wrong("It returns None: is a `return` missing? Return (values, slopes).")
    if count != 2:
        raise Wrong(
            f"It returns {type(result).__name__}{'' if count is None else f' of length {count}'}; return two tensors, "
            "values and slopes."
        )


def _judge_hard_swish(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_hard_swish, **options), message)

    draw = torch.Generator().manual_seed(4)
    line = torch.tensor([-5.0, -3.5, -2.9, -2.0, -1.5, -0.7, 0.0, 0.4, 1.1, 2.0, 2.9, 3.2, 4.5, 9.0])
    cases = [
        _swish_case(line, "values from -5 to 9"),
        _swish_case(4 * torch.randn(2, 3, 4, generator=draw), "random values of shape (2, 3, 4)"),
        _swish_case(torch.tensor(1.25), "the single value 1.25"),
    ]
    swapped = "The order is (values, slopes); here the slopes come first."
    judge_function(
        answer,
        "hard_swish",
        reference=_hard_swish,
        cases=cases,
        mistakes=[
            wrong(swapped, gives=lambda a, b: (b, a)),
            *(wrong(message, values=function) for function, message in _VALUES.values()),
            *(wrong(message, slopes=function) for function, message in _SLOPES.values()),
            *(
                wrong(message, values=function, slopes=_slope_of(function))
                for function, message in _VALUES.values()
            ),
        ],
        explain=_explain_swish,
    )
    return "Negative between -3 and 0, and its slope up to 1.5: not quite as plain as it looks."


def _slope_of(function: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """Return the derivative of another function: right for what was written, if that is wrong."""

    def slope(x: Tensor) -> Tensor:
        with torch.enable_grad():
            given = x.detach().clone().requires_grad_()
            return torch.autograd.grad(function(given).sum(), given)[0]

    return slope


def _explain_swish(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Name values and slopes each by itself, as far as they are known."""
    x = arguments[0]
    for name, kinds in (("the values", _VALUES), ("the slopes", _SLOPES)):
        if not differs(seen[name], expected[name], rtol=2e-3, atol=2e-3):
            continue
        for function, message in kinds.values():
            if not differs(seen[name], function(x), rtol=2e-3, atol=2e-3):
                return message
        found, right = as_array(seen[name]), as_array(expected[name])
        if found is None or right is None or not right.shape:
            return None
        if not found.shape:
            return f"{name[0].upper()}{name[1:]} are one number; one for each value of x is asked for."
        if found.shape != right.shape:
            return f"{name[0].upper()}{name[1:]} are asked for one by one: one for each value of x, in x's shape."
        bad = abs(found - right) > 5e-3
        position = as_array(x)
        assert position is not None
        places = [
            words
            for words, where in (
                ("below -3", position < -3),
                ("between -3 and 3", abs(position) < 3),
                ("above 3", position > 3),
            )
            if (bad & where).any()
        ]
        if len(places) < 3:
            values = {
                "the values": {"below -3": "0", "between -3 and 3": "x (x + 3) / 6", "above 3": "x"},
                "the slopes": {"below -3": "0", "between -3 and 3": "(2 x + 3) / 6", "above 3": "1"},
            }[name]
            told = "; ".join(f"{place} they are {values[place]}" for place in places)
            return f"{name[0].upper()}{name[1:]} are wrong for x {' and '.join(places)} only: {told}."
        return None
    return None


hard_swish = Exercise("ch07", "hard_swish", _judge_hard_swish)


# MobileBlock ------------------------------------------------------------------------------------------------


class _Mobile(nn.Module):
    """1x1 wide, depthwise, 1x1 narrow; ``kind`` names what is wrong with it, if anything."""

    def __init__(
        self,
        in_channels: int,
        wide: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        *,
        kind: str = "right",
    ) -> None:
        super().__init__()
        self.kind, self.stride = kind, stride
        i, w, o, k = in_channels, wide, out_channels, kernel_size
        if kind == "factor":
            w = i * wide
        s1, s2, s3 = {
            "stride first": (stride, 1, 1),
            "stride last": (1, 1, stride),
            "no stride": (1, 1, 1),
        }.get(kind, (1, stride, 1))
        if kind == "stride all":
            s1 = s2 = s3 = stride
        if kind == "always 3x3":
            k = 3
        padding = {"padding 1": 1, "no padding": 0}.get(kind, k // 2)
        groups = {"full": 1, "groups of in": i}.get(kind, w)
        edge = (3, 1) if kind == "3x3 edges" else (1, 0)
        self.conv1: nn.Module = nn.Conv2d(i, w, edge[0], s1, edge[1], bias=False)
        self.norm1 = nn.Identity() if kind in ("no norm", "no first norm") else nn.BatchNorm2d(w)
        self.conv2 = nn.Conv2d(w, w, k, s2, padding, groups=groups, bias=False)
        self.norm2 = nn.Identity() if kind in ("no norm", "no middle norm") else nn.BatchNorm2d(w)
        self.conv3 = nn.Conv2d(w, o, edge[0], s3, edge[1], bias=False)
        self.norm3 = nn.Identity() if kind in ("no norm", "no last norm") else nn.BatchNorm2d(o)
        self.shortcut: nn.Module | None = None
        if stride == 1 and i == o and kind != "plain":
            self.shortcut = nn.Identity()
        elif kind in ("projected", "projected stride 1", "bare projection") and (
            stride == 1 or kind != "projected stride 1"
        ):
            conv = nn.Conv2d(i, o, 1, stride, bias=False)
            norm: list[nn.Module] = [] if kind == "bare projection" else [nn.BatchNorm2d(o)]
            self.shortcut = nn.Sequential(conv, *norm)
        if kind == "no expansion":
            self.conv1, self.norm1 = nn.Identity(), nn.Identity()
            self.conv2 = nn.Conv2d(i, i, k, stride, k // 2, groups=i, bias=False)
            self.norm2, self.conv3 = nn.BatchNorm2d(i), nn.Conv2d(i, o, 1, bias=False)
        if kind == "expands if wider" and w == i:
            self.conv1, self.norm1 = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        act = {"relu": torch.relu, "relu6": nn.functional.relu6, "swish": nn.functional.silu}.get(
            kind, nn.functional.hardswish
        )
        if kind == "hard-sigmoid":
            act = nn.functional.hardsigmoid
        out = self.conv1(x)
        if kind == "act before norm":
            out = self.norm2(act(self.conv2(self.norm1(act(out)))))
        else:
            out = self.norm1(out)
            skip = kind == "no expansion" or (
                kind == "expands if wider" and isinstance(self.conv1, nn.Identity)
            )
            if kind not in ("no first act", "no act") and not skip:
                out = act(out)
            out = self.norm2(self.conv2(out))
            if kind == "shortcut inside" and out.shape == x.shape:
                out = out + x
            if kind not in ("no middle act", "no act"):
                out = act(out)
        out = self.conv3(out)
        if kind == "sum before norm" and self.shortcut is not None:
            return self.norm3(out + x)
        out = self.norm3(out)
        if kind in ("last act", "last relu", "act where no shortcut") and not (
            kind == "act where no shortcut" and self.shortcut is not None
        ):
            out = out.relu() if kind == "last relu" else act(out)
        if kind in ("any stride", "by shape") and out.shape == x.shape:
            return out + x
        if self.shortcut is None:
            return act(out) if kind == "after sum everywhere" else out
        shortcut = self.shortcut(x)
        out = {
            "itself": lambda: out + out,
            "product": lambda: out * shortcut,
            "minus": lambda: out - shortcut,
            "mean": lambda: (out + shortcut) / 2,
            "twice": lambda: out + 2 * shortcut,
            "detached": lambda: out + shortcut.detach(),
            "act on shortcut": lambda: out + act(shortcut),
        }.get(kind, lambda: out + shortcut)()
        if kind in ("act after sum", "after sum everywhere"):
            return act(out)
        return out.relu() if kind == "relu after sum" else out


_LINEAR = "There is an activation after the last 1x1: leave it out, the block is narrow there (a linear bottleneck)."
_MOBILE_MISTAKES = {
    "plain": "There is no shortcut: where stride is 1 and the channels agree, the input is added.",
    "last act": _LINEAR,
    "last relu": _LINEAR,
    "act where no shortcut": _LINEAR,
    "act after sum": "There is an activation after the sum: leave it out, the block is narrow there.",
    "after sum everywhere": "There is an activation at the end: leave it out, the block is narrow there.",
    "relu after sum": "There is a ReLU after the sum, as in a ResNet: leave it out, the block is narrow there.",
    "full": "The middle convolution mixes all channels: depthwise means groups=wide.",
    "groups of in": "The middle convolution has in_channels groups: depthwise means as many as it has channels, groups=wide.",
    "factor": "wide is the width in the middle itself, not a factor for in_channels.",
    "always 3x3": "The depthwise convolution is 3x3 whatever kernel_size says.",
    "padding 1": "The padding is 1 whatever kernel_size says: kernel_size // 2 keeps the size.",
    "no padding": "The depthwise convolution has no padding: kernel_size // 2 keeps the size.",
    "stride first": "The first 1x1 strides and skips three of four pixels unseen; the depthwise one should stride.",
    "stride last": "The last 1x1 strides, so that the depthwise one works on four times the pixels for nothing: let the depthwise one stride.",
    "stride all": "All convolutions stride; the depthwise one alone should.",
    "no stride": "The stride is not used.",
    "3x3 edges": "First and last convolution are 3x3; they should be 1x1.",
    "no norm": "There is no batch norm: one belongs after each convolution.",
    "no first norm": "The first convolution has no batch norm after it.",
    "no middle norm": "The depthwise convolution has no batch norm after it.",
    "no last norm": "The last convolution has no batch norm after it.",
    "no first act": "The hard-swish after the first batch norm is missing.",
    "no middle act": "The hard-swish after the depthwise convolution's batch norm is missing.",
    "no act": "There is no activation: hard-swish belongs after the first two batch norms.",
    "act before norm": "The activation comes before the batch norm; the order is convolution, batch norm, hard-swish.",
    "relu": "The activations are ReLUs; hard-swish is asked for.",
    "relu6": "The activations are ReLU6, as in V2; hard-swish is asked for.",
    "swish": "The activations are swish (SiLU); hard-swish is asked for.",
    "hard-sigmoid": "The activations are hard-sigmoid; hard-swish is x times that.",
    "projected": "Where the input does not fit there is no shortcut; here a 1x1 convolution makes it fit.",
    "projected stride 1": "Where the input does not fit there is no shortcut; here a 1x1 convolution makes it fit.",
    "bare projection": "Where the input does not fit there is no shortcut; here a 1x1 convolution makes it fit.",
    "sum before norm": "The input is added before the last batch norm, which then changes the shortcut too.",
    "shortcut inside": "The input is added in the middle; the shortcut joins the narrow ends.",
    "itself": "The branch is added to itself: is `x` overwritten before the sum? Keep the input under its name.",
    "product": "Input and branch are multiplied; add them.",
    "minus": "The input is subtracted; add it.",
    "mean": "Sum, not mean: halving at every block would shrink the signal to nothing.",
    "twice": "The input is added twice.",
    "detached": "The shortcut is detached: the gradient, too, should pass through it.",
    "act on shortcut": "The shortcut goes through an activation: it should be left as it is.",
    "no expansion": "The 1x1 convolution to wide channels is missing.",
    "expands if wider": "Where wide equals in_channels the first 1x1 is left out; here it is always there.",
}


def _adds_what_fits(answer: Any, trial: Trial) -> None:
    """Raise `Wrong` where input and branch meet in different shapes."""
    module = build_answer(answer, "MobileBlock", trial)
    i, _, o, _, stride = trial.arguments
    try:
        module(trial.input())
    except RuntimeError as error:
        if "must match the size" not in str(error):
            return
        fits = stride == 1 and i == o
        told = (
            "Here it should fit, so the branch changes height and width: is the depthwise convolution's padding "
            "kernel_size // 2, and are the others 1x1 without padding?"
            if fits
            else "The input fits if the stride is 1 and in_channels equals out_channels: both."
        )
        raise Wrong(
            f"MobileBlock{trial.words} adds an input and a branch of different shapes. {told}\n{students_line(error)}"
        ) from error
    except Exception:  # told by what follows
        return


def _judge_mobile_block(answer: Any) -> str:
    trials = [
        Trial((4, 12, 6, 5, 2), (2, 4, 8, 8)),
        Trial((4, 10, 4, 3, 1), (2, 4, 8, 8)),
        Trial((6, 15, 6, 5, 1), (2, 6, 7, 9)),
        Trial((6, 14, 4, 3, 1), (2, 6, 6, 6)),
        Trial((5, 11, 5, 3, 2), (2, 5, 7, 9)),
        Trial((6, 6, 5, 3, 1), (2, 6, 6, 6)),
    ]
    for trial in trials:
        _adds_what_fits(answer, trial)
    judge_module(
        answer,
        "MobileBlock",
        reference=_Mobile,
        trials=trials,
        mistakes=variants(_Mobile, _MOBILE_MISTAKES),
    )
    return "Put squeeze and excitation before the last 1x1, and it is a row of V3's table."


MobileBlock = Exercise("ch07", "MobileBlock", _judge_mobile_block)


# keep_pixels ------------------------------------------------------------------------------------------------


class _Strided(nn.Module):
    """A small network with a list of strides, some of them inside a residual branch that is added to nothing."""

    def __init__(self, strides: tuple[int, ...], tail: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, stride in enumerate(strides):
            groups = 4 if number % 2 else 1
            conv = nn.Conv2d(4, 4, 3, stride, 1, groups=groups, bias=False)
            layers.append(nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU()))
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.Sequential(*layers)
        self.last = nn.Conv2d(4, 6, 1)
        self.pool = nn.MaxPool2d(2, 2) if tail else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.last(self.blocks(self.stem(x))))


def _convs(model: nn.Module) -> list[nn.Conv2d]:
    return [one for one in model.modules() if isinstance(one, nn.Conv2d)]


def _keep(model: nn.Module, *, which: int | slice = -1, kind: str = "") -> Any:
    """The right answer, and with other options the wrong ones."""
    given = model
    if kind == "copy":
        model = copy.deepcopy(model)
    strided = [conv for conv in _convs(model) if conv.stride == (2, 2)]
    if kind == "last of all":
        strided = _convs(model)
    if kind == "first level":
        strided = [conv for conv in strided if any(conv is child for child in model.children())]
    if kind == "if the last":
        strided = [conv for conv in strided if conv is _convs(model)[-1]]
    if kind == "depthwise alone":
        strided = [conv for conv in strided if conv.groups > 1]
    for conv in strided[which] if isinstance(which, slice) else strided[which : which + 1 or None]:
        if kind == "fresh":
            _renew(given, conv)
        else:
            conv.stride = (1, 1)
    return model


def _renew(model: nn.Module, conv: nn.Conv2d) -> None:
    """Put a new convolution of stride 1 in the place of another."""
    new = copy.deepcopy(conv)
    new.reset_parameters()
    new.stride = (1, 1)
    for one in list(model.modules()):
        for name, child in list(one.named_children()):
            if child is conv:
                setattr(one, name, new)


def _stride_words(model: nn.Module) -> list[int]:
    """Return the strides of a model's convolutions, a number each."""
    return [
        int(conv.stride[0]) if isinstance(conv.stride, (tuple, list)) else int(conv.stride)
        for conv in _convs(model)
    ]


def _other_strides(model: nn.Module) -> list[Any]:
    """Return the strides of what is no convolution: pooling."""
    others = [one for one in model.modules() if not isinstance(one, nn.Conv2d) and hasattr(one, "stride")]
    strides: list[Any] = [one.stride for one in others]
    return [stride if isinstance(stride, int) else stride[0] for stride in strides]


def _keep_case(make: Callable[[], nn.Module], words: str, size: int = 16) -> Case:
    def arguments() -> tuple[Any, ...]:
        torch.manual_seed(2)
        model = make().eval()
        # Which objects the strides are: setting one to what it was can be told from leaving it alone.
        vars(model)["strides_given"] = [conv.stride for conv in _convs(model)]
        return (model,)

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model = arguments[0]
        before = make()
        x = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(1))
        strides = _stride_words(model)
        if isinstance(result, nn.Module) and result is not model and strides == _stride_words(before):
            raise Wrong(
                "The model that was given is unchanged; another one is returned. Change the given one itself, "
                "without a copy."
            )
        if len(strides) != len(_convs(before)):
            raise Wrong(
                f"The model has {len(strides)} convolutions afterwards and had {len(_convs(before))}: set the stride "
                "of the one that is there."
            )
        if _other_strides(model) != _other_strides(before):
            raise Wrong("The stride of a pooling layer is set too: only convolutions are asked for.")
        given = vars(model)["strides_given"]
        touched = [n for n, conv in enumerate(_convs(model)) if conv.stride is not given[n]]
        if 2 in strides and touched and strides == _stride_words(before):
            raise Wrong(
                f"The stride that is set is that of a convolution which has stride 1 already (the last but {after}): look "
                "for the last one whose stride is 2."
                if (after := len(strides) - 1 - touched[-1])
                else "The last convolution of all is changed, which has stride 1 already; look for the last whose stride is 2."
            )
        same = [float(value.float().sum()) for value in model.state_dict().values()]
        try:
            with torch.no_grad():
                out = model.eval()(x)
        except Exception as error:
            raise Wrong(
                f"After keep_pixels, called with {words}, the model cannot be run any more: {error}"
            ) from error
        return {
            "the strides of its convolutions": strides,
            "the weights": same,
            "what the model then gives": out,
        }

    return Case(arguments, words, observe, may_change=True, rtol=1e-3, atol=1e-4)


_UNCHANGED = (
    "The strides are what they were: nothing is changed. conv.stride is a pair, (2, 2), which is not equal to 2; and it is "
    "the convolution's own stride that must be set, not another name for it."
)


def _explain_keep(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    names = list(expected)
    found, right = seen[names[0]], expected[names[0]]
    if found == right:
        if differs(seen[names[1]], expected[names[1]], rtol=1e-3, atol=1e-4):
            return (
                "The stride is right, but weights have changed: set conv.stride, and make no new convolution."
            )
        return "The strides are right, but something else has changed: set conv.stride of one convolution, no more."
    changed = [number for number, (a, b) in enumerate(zip(found, right, strict=True)) if a != b]
    if not all(stride in (1, 2) for stride in found):
        return "A stride is neither 1 nor 2: the convolution found should get stride 1."
    if 2 not in right and 2 not in found:
        return None
    more = [n for n in changed if found[n] == 1]
    less = [n for n in changed if found[n] == 2]
    if less and not more:
        return _UNCHANGED if len(less) == 1 else None
    if more and not less:
        return "More than the last stride of 2 is changed: one convolution, and no other, gets stride 1."
    if more and less:
        where = "the first" if 2 not in found[: more[0]] else "another"
        return f"The wrong convolution is changed: {where} of stride 2 instead of the last."
    return None


_WITHOUT = "a network without any stride of 2"


def _flat() -> nn.Sequential:
    """Four convolutions, all at the first level."""
    return nn.Sequential(
        *(nn.Conv2d(4 if n else 1, 4, 3, stride, 1) for n, stride in enumerate((1, 2, 2, 1)))
    )


def _judge_keep_pixels(answer: Any) -> str:
    def small(strides: tuple[int, ...], tail: bool = False) -> Callable[[], nn.Module]:
        return lambda: _Strided(strides, tail)

    def mobile() -> nn.Module:
        from fercourse.models.mobilenet import MobileNetV2, V2Stage

        table = (V2Stage(1, 8, 1, 1), V2Stage(2, 8, 2, 2), V2Stage(2, 16, 2, 2), V2Stage(2, 16, 2, 1))
        return MobileNetV2(table=table, width_mult=0.25, stem_stride=2, last_stride=2)

    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_keep, **options), message)

    try:
        _judge_strides(answer, small, mobile, wrong)
    except Wrong as error:
        if f"{_WITHOUT}, raised" not in str(error):
            raise
        told = [line for line in str(error).splitlines() if "where does the loop stop" not in line]
        raise Wrong(
            "\n".join(
                [
                    "A model without any such convolution is to stay as it is; there is no last one to take.",
                    *told,
                ]
            )
        ) from error
    return "Four times the pixels in what follows, and not a weight more: that is what paper 1 did."


def _judge_strides(answer: Any, small: Any, mobile: Any, wrong: Any) -> None:
    judge_function(
        answer,
        "keep_pixels",
        reference=_keep,
        cases=[
            _keep_case(mobile, "a small MobileNetV2 as published", 48),
            _keep_case(small((2, 1, 2, 1)), "a network with strides 1, 2, 1, 2, 1, 1"),
            _keep_case(small((1, 2, 1)), "a network with one stride of 2"),
            _keep_case(
                small((2, 2), True),
                "a network with strides 1, 2, 2, 1 and a max-pool of stride 2 behind them",
            ),
            _keep_case(_flat, "four convolutions in a row, with strides 1, 2, 2, 1"),
            _keep_case(
                lambda: nn.Sequential(_flat(), nn.Sequential(nn.Conv2d(4, 3, 3, 2, 1))),
                "a network whose last convolution has stride 2",
            ),
            _keep_case(small((1, 1)), _WITHOUT),
        ],
        mistakes=[
            wrong(
                "Only the first level is looked at, model.children(); model.modules() goes through the whole tree.",
                kind="first level",
            ),
            wrong(
                "The search ends at the last convolution of all, whatever its stride: look for the last whose stride is 2.",
                kind="if the last",
            ),
            Mistake(lambda model: None, _UNCHANGED),
            wrong("The wrong convolution is changed: the first of stride 2 instead of the last.", which=0),
            wrong(
                "Every stride of 2 is changed; the last one alone should be, or the cost grows much more.",
                which=slice(None),
            ),
            wrong(
                "The last two strides of 2 are changed; the last one alone should be.", which=slice(-2, None)
            ),
            wrong(
                "All strides of 2 but the first are changed; the last one alone should be.",
                which=slice(1, None),
            ),
            wrong(
                "All strides of 2 but the last are changed; it is the last one that should be.",
                which=slice(None, -1),
            ),
            wrong("The wrong convolution is changed: the last but one of stride 2.", which=-2),
            wrong(
                "The last convolution of all is changed, which has stride 1 already; look for the last whose stride is 2.",
                kind="last of all",
            ),
            wrong("Another copy of the model is changed, and the one given is not.", kind="copy"),
            wrong(
                "A new convolution with fresh weights takes the place of the old one; set the stride of the old one, "
                "which keeps its weights.",
                kind="fresh",
            ),
            wrong(
                "Only depthwise convolutions are looked at; the last of all convolutions with stride 2 is asked for.",
                kind="depthwise alone",
            ),
        ],
        explain=_explain_keep,
    )


keep_pixels = Exercise("ch07", "keep_pixels", _judge_keep_pixels)


# separate ---------------------------------------------------------------------------------------------------


def _wanted(module: nn.Module) -> bool:
    """Whether a module is to be replaced."""
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (3, 3)
        and module.groups == 1
        and module.in_channels > 1
    )


def _pair_for(conv: nn.Conv2d, kind: str) -> nn.Module:
    """Return what stands in a convolution's place; ``kind`` names what is wrong with it, if anything."""
    i, o = conv.in_channels, conv.out_channels
    stride: Any = conv.stride
    padding: Any = {"padding 1": 1, "no padding": 0}.get(kind, conv.padding)
    had = conv.bias is not None
    if kind in ("pointwise first", "pointwise first, bias last"):
        late = kind != "pointwise first"
        last = nn.Conv2d(o, o, 3, stride, padding, groups=o, bias=had and late)
        return nn.Sequential(nn.Conv2d(i, o, 1, bias=had and not late), last)
    one = {"stride second": 1, "no stride": 1}.get(kind, stride)
    two = stride if kind in ("stride second", "stride both") else 1
    below = {"first bias": True, "both bias": had, "swapped bias": had}.get(kind, False)
    above = {
        "bias always": True,
        "bias never": False,
        "first bias": True,
        "swapped bias": False,
        "all bare": False,
    }.get(kind, had)
    first = nn.Conv2d(i, i, 3, one, padding, groups=1 if kind == "full" else i, bias=below)
    between = [nn.BatchNorm2d(i)] if "norm" in kind or "all" in kind else []
    between += [nn.ReLU()] if "relu" in kind or "all" in kind else []  # type: ignore[list-item]
    behind = [nn.BatchNorm2d(o)] if kind == "behind it" or "all" in kind else []
    behind += [nn.ReLU()] if kind == "active behind" or "all" in kind else []  # type: ignore[list-item]
    return nn.Sequential(first, *between, nn.Conv2d(i, o, 1, two, bias=above), *behind)


def _separate(network: nn.Module, *, kind: str = "") -> None:
    """The right answer, and with other kinds the wrong ones."""
    for name, child in list(network.named_children()):
        if _wanted(child):
            assert isinstance(child, nn.Conv2d)
            setattr(network, name, _pair_for(child, kind))
        else:
            _separate(child, kind=kind)


class _Tail(nn.Module):
    """A part of the given networks: its own convolutions, named, and one that is not to be changed."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(5, 5, 3, 1, 1, bias=False), nn.BatchNorm2d(5))
        self.edge = nn.Conv2d(5, 9, 1)
        self.five = nn.Conv2d(9, 4, 5, 1, 2)
        self.tall = nn.Conv2d(4, 3, (3, 1), 1, (1, 0))

    def forward(self, x: Tensor) -> Tensor:
        return self.tall(self.five(self.edge(x + self.branch(x))))


class _Given(nn.Module):
    """The network that is handed out, in several kinds."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        if number == 0:
            self.body: nn.Module = nn.Sequential(
                nn.ReLU(), nn.Conv2d(6, 10, 3, 1, 1, bias=False), nn.BatchNorm2d(10)
            )
            self.tail: nn.Module = nn.Conv2d(10, 3, 3, 2, 1)
        elif number == 1:
            self.body = nn.Sequential(
                nn.Conv2d(6, 6, 3, 2, 1, groups=6), nn.Sequential(nn.Conv2d(6, 5, 3, 2, 0), nn.ReLU())
            )
            self.tail = nn.Sequential(_Tail(), nn.ReLU())
        else:
            self.body = nn.ModuleDict(
                {"conv": nn.Conv2d(6, 7, 3, 1, 1, bias=False), "norm": nn.BatchNorm2d(7)}
            )
            self.tail = nn.ModuleList([nn.Conv2d(7, 8, 3, 2, 1), nn.Conv2d(8, 2, 3, 1, 0, bias=False)])
        self.number = number

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.number < 2:
            return self.tail(self.body(x))
        assert isinstance(self.body, nn.ModuleDict)
        assert isinstance(self.tail, nn.ModuleList)
        x = self.body["norm"](self.body["conv"](x)).relu()
        for layer in self.tail:
            x = layer(x)
        return x


class _Changed(nn.Module):
    """A given network after a function has gone over it."""

    function: Callable[[nn.Module], Any]

    def __init__(self, number: int) -> None:
        super().__init__()
        torch.manual_seed(number)
        self.network: nn.Module = _Given(number)
        type(self).function(self.network)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


def _changed_by(function: Callable[[nn.Module], Any]) -> type[_Changed]:
    return type("separate", (_Changed,), {"function": staticmethod(function)})


class _On(Trial):
    """A trial that is told by the number of the given network."""

    @property
    def words(self) -> str:
        return f", given network {self.arguments[0] + 1} of 3"


def _look(answer: Any, number: int) -> None:
    """Raise `Wrong` for what comparing outputs would not show, or would not name."""
    network = _Given(number)
    before = dict(network.named_modules())
    leaves = {name: one for name, one in before.items() if not list(one.children()) and not _wanted(one)}
    values = {name: [p.detach().clone() for p in one.parameters()] for name, one in leaves.items()}
    result = run(answer, network, what="separate, called with a small network,")
    now = dict(network.named_modules())
    if dotted := [key for one in network.modules() for key in one._modules if "." in key]:
        parent, _, last = dotted[0].rpartition(".")
        raise Wrong(
            f"setattr(network, {dotted[0]!r}, ...) makes a new entry with a dot in its name, and the old convolution "
            f"stays where it is: take its parent, network.get_submodule({parent!r}), and set {last!r} there."
        )
    if any("name" in one._modules for one in network.modules()):
        raise Wrong(
            "network.name = ... makes an entry called 'name': setattr(network, name, new) takes the name's value."
        )
    for name in now.keys() - before.keys():
        parent, _, last = name.rpartition(".")
        if parent in before and now.get(parent) is before[parent]:
            raise Wrong(
                f"A new entry {last!r} is made beside the old layers, where forward does not look: set the name that the "
                "convolution has in its parent."
            )
    old = set(map(id, before.values()))
    left = {name: one for name, one in now.items() if isinstance(one, nn.Conv2d) and _wanted(one)}
    if any(id(one) not in old for one in left.values()):
        raise Wrong(
            "The first convolution of the pair mixes all channels: depthwise means groups=in_channels."
        )
    if (
        isinstance(result, nn.Module)
        and result is not network
        and len(left) == sum(map(_wanted, before.values()))
    ):
        raise Wrong(
            "The network that was given is unchanged; another one is returned. Change the given one itself, without a "
            "copy."
        )
    for name, one in leaves.items():
        if now.get(name) is not one:
            _name_touched(name, one, now.get(name))
        if not all(torch.equal(a, b) for a, b in zip(one.parameters(), values[name], strict=True)):
            raise Wrong(f"The weights of {name}, which is not to be replaced, have changed.")
    new = [one for one in now.values() if isinstance(one, nn.Conv2d) and id(one) not in old]
    if left:
        _name_left(left, bool(new))
    if not any(one.kernel_size == (1, 1) for one in new):
        raise Wrong("There are new depthwise convolutions, and no pointwise ones behind them.")
    if any(one.kernel_size == (1, 1) and one.stride != (1, 1) for one in new):
        raise Wrong(
            "A pointwise convolution strides, so that the depthwise one before it works on four times the pixels for "
            "nothing: the depthwise one takes over the stride."
        )


def _name_touched(name: str, old: nn.Module, new: nn.Module | None) -> None:
    """Raise `Wrong` for a layer that should have been left alone."""
    if isinstance(old, nn.Conv2d):
        reason = (
            "has groups already"
            if old.groups > 1
            else "has a single input channel"
            if old.in_channels == 1
            else f"is {old.kernel_size[0]}x{old.kernel_size[1]}, not 3x3"
        )
        raise Wrong(f"The convolution {name} is replaced, and should be left alone: it {reason}.")
    kind = type(old).__name__
    raise Wrong(
        f"The layer {name} ({kind}) is {'gone' if new is None else 'replaced'}; it should stay as it is."
    )


def _name_left(left: dict[str, nn.Conv2d], some: bool) -> None:
    """Raise `Wrong` for 3x3 convolutions that are still there, whether or not ``some`` were replaced."""
    name = next(iter(left))
    if not some:
        raise Wrong(
            f"No 3x3 convolution is replaced: {name} is still there. Giving a loop's name another value changes nothing "
            "in the network: setattr(parent, name, new). And conv.kernel_size is a pair, (3, 3)."
        )
    if all("." in one for one in left):
        raise Wrong(
            f"The 3x3 convolution {name} is still there: it lies deeper in the tree. Let the function call itself for "
            "every child."
        )
    if all(conv.stride != (1, 1) for conv in left.values()):
        raise Wrong(
            f"The 3x3 convolution {name} is still there, which has stride 2: it is to be replaced as well."
        )
    if all(conv.bias is not None for conv in left.values()):
        raise Wrong(
            f"The 3x3 convolution {name} is still there, which has a bias: it is to be replaced as well."
        )
    raise Wrong(f"The 3x3 convolution {name} is still there: every one is asked for.")


_NOTHING_ELSE = "There are batch norm and ReLU behind each of the two; two bare convolutions are asked for."
_SEPARATE_MISTAKES = {
    "no stride": "The stride of the old convolution is lost: the depthwise one takes it over.",
    "padding 1": "The padding is 1 everywhere: take it over from the old convolution.",
    "no padding": "The padding of the old convolution is lost: the depthwise one takes it over.",
    "stride both": "Both convolutions stride; the depthwise one alone should.",
    "bias always": "The pointwise convolution has a bias everywhere; it should have one where the old one had.",
    "both bias": "The depthwise convolution has a bias; the pointwise one alone should, where the old one had.",
    "first bias": "The depthwise convolution has a bias; leave it to the pointwise one.",
    "swapped bias": "The depthwise convolution has the bias; it belongs to the pointwise one.",
    "bias never": "The bias is lost: the pointwise convolution has one where the old one had.",
    "full": "The first convolution of the pair mixes all channels: depthwise means groups=in_channels.",
    "pointwise first": "The order is depthwise, then pointwise; here the 1x1 comes first.",
    "pointwise first, bias last": "The order is depthwise, then pointwise; here the 1x1 comes first.",
    "all with them": _NOTHING_ELSE,
    "all bare": _NOTHING_ELSE,
    "norm between": "There is a batch norm between the two; nothing stands there.",
    "relu between": "There is a ReLU between the two; nothing stands there.",
    "norm and relu": "There are batch norm and ReLU between the two; nothing stands there.",
    "behind it": "There is a batch norm behind the pair, which was not asked for.",
    "active behind": "There is a ReLU behind the pair, which was not asked for.",
}


def _judge_separate(answer: Any) -> str:
    want_function(answer, "separate")
    for number in range(3):
        _look(answer, number)
    judge_module(
        _changed_by(answer),
        "separate",
        reference=_changed_by(_separate),
        trials=[_On((number,), (2, 1, 12, 12)) for number in range(3)],
        mistakes=[
            Variant(_changed_by(partial(_separate, kind=kind)), text)
            for kind, text in _SEPARATE_MISTAKES.items()
        ],
    )
    return "A ninth of the multiplications, and fresh weights: now it has to be trained."


separate = Exercise("ch07", "separate", _judge_separate)

__all__ = [
    "DepthwiseSeparable", "MobileBlock", "hard_swish", "keep_pixels", "separable_macs", "separate",
]  # fmt: skip
