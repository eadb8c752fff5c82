"""Checkers of chapter 6, Squeeze and excitation."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fercourse.check.core import Exercise, Wrong, as_array, differs, run
from fercourse.check.functions import RESULT, TRACE, Case, Mistake, judge_function, of
from fercourse.check.modules import Trial, build_answer, judge_module, randomise, variants
from fercourse.layers import ConvNormAct, InvertedResidual, SqueezeExcite, pooled_head
from fercourse.models.resnet import BasicBlock

# ChannelGate ------------------------------------------------------------------------------------------------


class _ChannelGate(nn.Module):
    """Squeeze-and-excitation with dense layers; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, channels: int, reduction: int, *, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        middle = {
            "fixed": max(1, channels // 16),
            "min": min(1, channels // reduction),
            "reduction is the width": reduction,
            "multiplied": channels * reduction,
            "no reduction": channels,
            "rounded up": -(-channels // reduction),
            "subtracted": max(1, channels - reduction),
        }.get(kind, max(1, channels // reduction))
        if kind == "one layer":
            self.dense = nn.Linear(channels, channels)
        else:
            self.reduce = nn.Linear(channels, middle)
            self.expand = nn.Linear(middle, channels)

    def squeezed(self, x: Tensor) -> Tensor:
        return {
            "max": lambda: x.amax((2, 3)),
            "sum": lambda: x.sum((2, 3)),
            "deviation": lambda: x.std((2, 3)),
            "batch": lambda: x.mean((0, 2, 3))[None],
            "detached squeeze": lambda: x.detach().mean((2, 3)),
            "relu first": lambda: x.relu().mean((2, 3)),
            "corner": lambda: x[:, :, 0, 0],
            "one mean": lambda: x.mean((1, 2, 3))[:, None].expand(x.shape[:2]),
            "per pixel": lambda: x.permute(0, 2, 3, 1),
        }.get(self.kind, lambda: nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))()

    def forward(self, x: Tensor) -> Tensor:
        kind, z = self.kind, self.squeezed(x)
        if kind == "one layer":
            z = self.dense(z)
        else:
            z = self.reduce(z)
            if kind == "sigmoid between":
                z = z.sigmoid()
            elif kind != "no relu":
                z = z.relu()
            z = self.expand(z)
        gates = {
            "no sigmoid": lambda: z,
            "softmax": lambda: z.softmax(1),
            "tanh": lambda: z.tanh(),
            "relu at the end": lambda: z.relu(),
            "hard": lambda: nn.functional.hardsigmoid(z),
            "relu and sigmoid": lambda: z.relu().sigmoid(),
            "twice": lambda: z.sigmoid().sigmoid(),
            "rest": lambda: 1 - z.sigmoid(),
            "detached": lambda: z.sigmoid().detach(),
            "binary": lambda: (z > 0).float() + 0 * z,
            "one gate": lambda: z.sigmoid().mean(1, keepdim=True),
            "batch gates": lambda: z.sigmoid().mean(0, keepdim=True),
        }.get(kind, lambda: z.sigmoid())()
        gates = gates.permute(0, 3, 1, 2) if kind == "per pixel" else gates[:, :, None, None]
        return {
            "gates alone": lambda: gates,
            "gates spread": lambda: gates.expand_as(x),
            "gates flat": lambda: gates.flatten(1),
            "added": lambda: x + gates,
            "kept": lambda: x + x * gates,
            "divided": lambda: x / gates,
            "averages gated": lambda: self.squeezed(x)[:, :, None, None] * gates,
            "averages gated, spread": lambda: (self.squeezed(x)[:, :, None, None] * gates).expand_as(x),
            "doubled": lambda: 2 * x * gates,
            "squared": lambda: x * gates * gates,
            "relu last": lambda: (x * gates).relu(),
        }.get(kind, lambda: x * gates)()


_AT_LEAST = (
    "Where there are fewer channels than the reduction, channels // reduction is 0, and the gates would hear "
    "nothing of the image: the middle is at least 1 wide."
)
_AXES = (
    "Have the gates the shape (B, channels, 1, 1) when they meet the maps? The two axes of length one come last, as in "
    "gates[:, :, None, None]."
)
_GATE_MISTAKES = {
    "max": "The squeeze takes the greatest value of each channel; take the mean.",
    "sum": "The squeeze adds the pixels up; take their mean, which does not depend on the picture's size.",
    "deviation": "The squeeze takes the standard deviation; take the mean.",
    "batch": "The squeeze averages over the images of the batch as well: each image has gates of its own.",
    "corner": "The squeeze takes a single pixel of each channel; take the mean of them all.",
    "one mean": "The squeeze averages over the channels too: each channel has a mean of its own.",
    "per pixel": "There is no squeeze: each pixel gets gates of its own. Average each channel first.",
    "one gate": "The gates of all channels are averaged into one: each channel has its own.",
    "batch gates": "The gates are averaged over the images of the batch: each image has its own.",
    "squared": "The input is multiplied by the gates twice.",
    "fixed": "16 is typed in as the reduction; take the argument.",
    "min": "min(1, ...) makes the middle 1 wide at most; max(1, ...) makes it 1 at least.",
    "relu first": "There is a ReLU before the squeeze: average the channels as they come.",
    "no relu": "The ReLU between the two dense layers is missing: without it they are one linear map.",
    "sigmoid between": "There is a sigmoid between the two dense layers; a ReLU belongs there.",
    "no sigmoid": "There is no sigmoid: gates may then be negative, or larger than 1.",
    "softmax": "There is a softmax at the end, which makes the channels compete for a sum of 1; each gate is a "
    "sigmoid of its own.",
    "tanh": "There is a tanh at the end, which can turn a channel's sign round; a sigmoid lies between 0 and 1.",
    "relu at the end": "There is a ReLU at the end where the sigmoid belongs: the gates have no upper end.",
    "hard": "There is a hard-sigmoid at the end, MobileNetV3's gate; the sigmoid is asked for.",
    "relu and sigmoid": "There is a ReLU before the sigmoid: no gate could then fall below a half.",
    "twice": "The sigmoid is applied twice.",
    "rest": "The gates are turned round, one minus the sigmoid.",
    "binary": "The gates are cut to 0 or 1: then no gradient passes, and nothing is learned.",
    "gates alone": "It returns the gates; multiply the input by them.",
    "gates spread": "It returns the gates; multiply the input by them.",
    "gates flat": "It returns the gates; multiply the input by them.",
    "added": "The gates are added to the input; multiply.",
    "kept": "The input is added to what is gated: a channel could then never be closed.",
    "divided": "The input is divided by the gates; multiply.",
    "averages gated, spread": "It multiplies the averages by the gates; multiply the input itself, pixel by pixel.",
    "averages gated": "It multiplies the averages by the gates; multiply the input itself, pixel by pixel.",
    "doubled": "The gates are doubled.",
    "relu last": "There is a ReLU on what is returned: only the gates are asked for.",
    "detached": "The gates are detached: no gradient would reach the dense layers.",
    "detached squeeze": "The squeeze is detached: the gradient should pass through the average too.",
    "reduction is the width": "The middle is `reduction` wide; it should be channels // reduction.",
    "multiplied": "The middle is channels * reduction wide: it should be narrower, channels // reduction.",
    "no reduction": "The middle is as wide as the input: divide by the reduction.",
    "subtracted": "The middle is channels - reduction wide; divide: channels // reduction.",
    "rounded up": "channels / reduction is rounded up; // rounds down.",
    "one layer": "There is one dense layer; two are asked for, with a narrow middle between them.",
}


_NO_BIAS = "The dense layers have no biases; leave them in, as nn.Linear has them by itself."


def _without_biases(answer: Any, trial: Trial) -> bool:
    try:
        values = list(trial.build(answer).parameters())
    except Exception:
        return False
    return bool(values) and all(value.dim() > 1 for value in values)


def _judge(answer: Any, name: str, **options: Any) -> None:
    """Judge a module, and say more of what the general messages only touch."""
    try:
        judge_module(answer, name, **options)
    except Wrong as wrong:
        said = str(wrong)
        if "raised" in said and "float" in said:
            raise Wrong(
                f"A number of channels is a float: / divides, // divides and rounds down.\n{wrong}"
            ) from wrong
        if "chance" in said and "it lacks" in said:
            said = said.partition("\n")[2]
            raise Wrong(
                f"Is a layer made in forward? Make it in __init__, or it is new in each pass.\n{said}"
            ) from wrong
        raise


def _judge_channel_gate(answer: Any) -> str:
    name, mistakes = "ChannelGate", variants(_ChannelGate, _GATE_MISTAKES)
    trials = [Trial((40, 4), (3, 40, 5, 6)), Trial((7, 2), (2, 7, 4, 4))]
    try:
        _judge(answer, name, reference=_ChannelGate, trials=trials, mistakes=mistakes)
    except Wrong as wrong:
        if _without_biases(answer, trials[0]):
            raise Wrong(f"{_NO_BIAS}\n{wrong}") from wrong
        if "raised" in str(wrong) and "must match the size of tensor" in str(wrong):
            raise Wrong(f"{_AXES}\n{wrong}") from wrong
        raise
    few = Trial((6, 16), (3, 6, 4, 5))
    try:
        module = build_answer(answer, name, few)
        if any(not value.numel() for value in module.parameters()):
            raise Wrong(f"{name}{few.words}: a dense layer of width 0.")
        _judge(answer, name, reference=_ChannelGate, trials=[few], mistakes=mistakes)
    except Wrong as wrong:
        raise Wrong(f"{_AT_LEAST}\n{wrong}") from wrong
    return "All of squeeze and excitation, in two dense layers. It fits behind any layer that has channels."


ChannelGate = Exercise("ch06", "ChannelGate", _judge_channel_gate)


# se_parameters ----------------------------------------------------------------------------------------------


def _count(
    widths: Sequence[int],
    depths: Sequence[int],
    reduction: int,
    *,
    one: Callable[[int, Any], float] = lambda c, m: 2 * c * m + c + m,
    middle: Callable[[int, int], float] = lambda c, r: c // r,
    times: Callable[[int], int] = lambda depth: depth,
    stages: slice = slice(None),
    made: Callable[[list[float]], Any] = sum,
) -> Any:
    """The right answer, and with other options the wrong ones."""
    return made(
        [
            times(depth) * one(c, middle(c, reduction))
            for c, depth in list(zip(widths, depths, strict=False))[stages]
        ]
    )


def _stray(
    widths: Sequence[int], depths: Sequence[int], reduction: int, *, times: Callable[..., float]
) -> float:
    """Each stage's block once, and then what is multiplied by a depth that is not its own."""
    return times([2 * c * (c // reduction) + c + c // reduction for c in widths], depths, widths)


_STRAY: tuple[tuple[Callable[..., float], str], ...] = (
    (lambda ones, depths, _: sum(ones) * sum(depths), "Every stage is multiplied by all depths; each has one depth."),
    (lambda ones, depths, _: sum(ones) * depths[-1], "All stages are multiplied by the last depth; each has its own."),
    (lambda ones, depths, _: sum(ones) * depths[0], "All stages are multiplied by the first depth; each has its own."),
    (
        lambda ones, depths, widths: sum(d * o - (d - 1) * (o - 2 * c * ((o - c) // (2 * c + 1)))
                                         for o, d, c in zip(ones, depths, widths, strict=True)),
        "The biases are counted once a stage; each block has its own: mind the brackets around the sum.",
    ),
)  # fmt: skip


def _explain_count(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, (widths, depths, reduction) = as_array(seen[RESULT]), arguments
    if found is None or found.size != 1 or found.dtype.kind == "U":
        return None
    width, depth = widths[-1], depths[-1]
    if found.item() in (_count([width], [depth], reduction), _count([width], [1], reduction)):
        return "That is the last stage alone: add the stages up, instead of keeping the newest."
    if abs(found.item() - expected[RESULT] / 1e6) < 1e-6:
        return "That is in millions; the number itself is asked for."
    return None


def _judge_se_parameters(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_count, **options), message)

    judge_function(
        answer,
        "se_parameters",
        reference=_count,
        cases=[
            of((64, 128, 256, 512), (2, 2, 2, 2), 16, words="the stages of ResNet18 and reduction 16"),
            of([256, 512, 1024, 2048], [3, 4, 6, 3], 8, words="the stages of ResNet50 and reduction 8"),
            of([40, 24], [3, 1], 16, words="widths [40, 24], depths [3, 1] and reduction 16"),
        ],
        mistakes=[
            *(Mistake(partial(_stray, times=times), message) for times, message in _STRAY),
            wrong("The biases are counted twice.", one=lambda c, m: 2 * (c * m + c + m)),
            wrong("The kernels are 1x1, and have no 9 weights.", one=lambda c, m: 18 * c * m + c + m),
            wrong("A batch norm is counted besides; the block of gates has none.", one=lambda c, m: 2 * c * m + 3 * c + m),
            wrong("The biases are missing: each dense layer has one for each value that it gives.",
                  one=lambda c, m: 2 * c * m),
            wrong("The biases are missing, and channels / reduction is not a whole number: rounded down, //.",
                  one=lambda c, m: 2 * c * m, middle=lambda c, r: c / r),
            wrong("The middle is channels / reduction, rounded down to a whole number: //.", middle=lambda c, r: c / r),
            wrong("The middle is channels / reduction, rounded down, not to the nearest.",
                  middle=lambda c, r: round(c / r)),
            wrong("The middle is channels / reduction, rounded down, not up.", middle=lambda c, r: -(-c // r)),
            wrong("Only the first dense layer's bias is counted; the second has one for each channel.",
                  one=lambda c, m: 2 * c * m + m),
            wrong("Only the second dense layer's bias is counted; the first has one too.",
                  one=lambda c, m: 2 * c * m + c),
            wrong("The biases are counted as if both layers gave all channels; the first gives channels // reduction.",
                  one=lambda c, m: 2 * c * m + 2 * c),
            wrong("The biases are counted as if both layers gave the middle; the second gives all channels.",
                  one=lambda c, m: 2 * c * m + 2 * m),
            wrong("One dense layer is counted; there are two, into the middle and out of it.",
                  one=lambda c, m: c * m + m),
            wrong("One dense layer is counted; there are two, into the middle and out of it.", one=lambda c, m: c * m + c),
            wrong("One dense layer is counted, without bias; there are two, with biases.", one=lambda c, m: c * m),
            wrong("One dense layer is counted; there are two, into the middle and out of it.",
                  one=lambda c, m: c * m + c + m),
            wrong("One layer from all channels to all channels is counted; there are two, by way of a narrow middle.",
                  one=lambda c, m: c * c + c),
            wrong("One layer from all channels to all channels is counted; there are two, by way of a narrow middle.",
                  one=lambda c, m: c * c),
            wrong("The reduction has no part in it: the middle is channels // reduction wide.",
                  middle=lambda c, r: c),
            wrong("The middle is `reduction` wide there; it is channels // reduction.", middle=lambda c, r: r),
            wrong("The middle is channels * reduction wide there; it is channels // reduction.",
                  middle=lambda c, r: c * r),
            wrong("Both layers are divided by the reduction once more: 2 * channels * (channels // reduction).",
                  one=lambda c, m: 2 * m * m + c + m),
            wrong("The width of the middle is counted twice, as if its input were narrow too.",
                  one=lambda c, m: 2 * m * m),
            wrong("Every stage is counted once; it has as many blocks as depths says, each with its own gates.",
                  times=lambda depth: 1),
            wrong("Every stage is counted once, without biases; it has as many blocks as depths says.",
                  times=lambda depth: 1, one=lambda c, m: 2 * c * m),
            wrong("The first block of each stage is left out; it has gates like the others.",
                  times=lambda depth: depth - 1),
            wrong("The depths are squared.", times=lambda depth: depth**2),
            wrong("The last stage is missing.", stages=slice(None, -1)),
            wrong("The first stage is missing.", stages=slice(1, None)),
            Mistake(lambda widths, depths, reduction: _count([sum(widths)], [sum(depths)], reduction),
                    "The widths are added up first; each stage has a width of its own, and costs by its square."),
            wrong("Two blocks of gates are counted for each block, as if each of its convolutions had its own.",
                  times=lambda depth: 2 * depth),
            wrong("Those are the counts stage by stage; their sum is asked for.", made=list),
            wrong("Those are the counts stage by stage; their sum is asked for.", made=tuple),
            wrong("That is the greatest stage alone; add all stages up.", made=max),
            wrong("That is the first stage alone: does a `return` stand inside the loop?", made=lambda n: n[0]),
            wrong("That is the last stage alone: add the stages up, instead of keeping the newest.",
                  made=lambda n: n[-1]),
            wrong("That is the mean of the stages; add them up.", made=lambda n: sum(n) / len(n)),
            wrong("That is in thousands; the number itself is asked for.", made=lambda n: sum(n) / 1e3),
            wrong("That is in millions; the number itself is asked for.", made=lambda n: sum(n) / 1e6),
            wrong("The widths are doubled: widths holds what the gates see, 4 * width of a bottleneck included.",
                  one=lambda c, m: 2 * (2 * c) * (2 * m) + 2 * c + 2 * m),
            wrong("The widths are multiplied by four once more: widths holds what the gates see.",
                  one=lambda c, m: 2 * (4 * c) * (4 * m) + 4 * c + 4 * m),
            wrong("A batch norm is counted besides; the block of gates has none.",
                  one=lambda c, m: 2 * c * m + c + m + 2 * m),
        ],
        explain=_explain_count,
    )  # fmt: skip
    return (
        "The last stage has most of it: gates cost by the square of the channels, and nothing by the picture."
    )


se_parameters = Exercise("ch06", "se_parameters", _judge_se_parameters)


# SEBottleneck -----------------------------------------------------------------------------------------------


class _SEBottleneck(nn.Module):
    """A gated bottleneck; ``kind`` names what is wrong with it, if anything."""

    def __init__(
        self, in_channels: int, width: int, stride: int, reduction: int, *, kind: str = "right"
    ) -> None:
        super().__init__()
        self.kind = kind
        out = width if kind == "no expansion" else 4 * width
        strides = {"stride first": (stride, 1, 1), "stride last": (1, 1, stride)}.get(kind, (1, stride, 1))
        edge = 3 if kind == "all 3x3" else 1
        self.conv1 = ConvNormAct(in_channels, width, kernel_size=edge, stride=strides[0], act=None)
        self.conv2 = ConvNormAct(width, width, stride=strides[1], act=None)
        self.conv3 = ConvNormAct(width, out, kernel_size=edge, stride=strides[2], act=None)
        if kind == "no last norm":
            self.conv3.norm = nn.Identity()
        gated = {"middle": width, "after first": width, "pre": in_channels}.get(kind, out)
        squeezed = {
            "squeezed by width": width // reduction,
            "squeezed by input": in_channels // reduction,
            "squeezed to width": width,
            "fixed": out // 16,
            "reduction is the width": reduction,
            "no reduction": out,
        }.get(kind, gated // reduction)
        if kind != "no gates":
            self.se = SqueezeExcite(gated, squeeze_channels=squeezed)
        if kind == "two gates":
            self.more = SqueezeExcite(gated, squeeze_channels=squeezed)
        self.shortcut: nn.Module = nn.Identity()
        if kind != "no shortcut" and (stride != 1 or in_channels != out or kind == "always projected"):
            layers: list[nn.Module] = [nn.Conv2d(in_channels, out, 1, stride, bias=False)]
            if kind != "bare projection":
                layers.append(nn.BatchNorm2d(out))
            if kind == "projection relu":
                layers.append(nn.ReLU())
            self.shortcut = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        se: Callable[[Tensor], Tensor] = getattr(self, "se", lambda value: value)
        out = self.conv1(se(x) if kind == "pre" else x)
        out = out if kind == "no first relu" else out.relu()
        if kind == "after first":
            out = se(out)
        out = self.conv2(out)
        if kind == "middle before relu":
            out = se(out)
        out = out if kind == "no middle relu" else out.relu()
        if kind == "middle":
            out = se(out)
        out = self.conv3.norm(se(self.conv3.conv(out))) if kind == "before norm" else self.conv3(out)
        if kind in ("relu before gates", "relu before sum"):
            out = out.relu()
        if kind in ("plain", "no shortcut"):
            return se(out).relu()
        shortcut = self.shortcut(x)
        if kind == "product":
            return (se(out) * shortcut).relu()
        if kind == "two gates":
            out = self.more(out)
        if kind in ("post", "before relu", "after sum, no relu"):
            out = out + shortcut
            if kind == "after sum, no relu":
                return se(out)
            return se(out.relu()) if kind == "post" else se(out).relu()
        if kind == "shortcut":
            return (out + se(shortcut)).relu()
        if kind == "both":
            return (se(out) + se(shortcut)).relu()
        if kind == "squared":
            out = out * se(out)
        elif kind == "gates added":
            out = out + se.gates(out)  # type: ignore[attr-defined]
        elif kind == "gates alone":
            out = se.gates(out).expand_as(out)  # type: ignore[attr-defined]
        elif kind == "gates of the input":
            out = out * se.gates(shortcut)  # type: ignore[attr-defined]
        elif kind == "added twice":
            out = out + se(out)
        elif kind not in ("middle", "after first", "pre", "before norm", "no gates", "middle before relu"):
            out = se(out)
        if kind == "relu after gates":
            out = out.relu()
        out = out + shortcut
        return out if kind in ("no last relu", "relu before sum") else out.relu()


_BOTTLENECK_MISTAKES = {
    "no gates": "There are no gates: that is the bottleneck of chapter 5.",
    "post": "The gates come after the sum and its ReLU (the position 'post'): they belong on the branch, before "
    "the input is added.",
    "before relu": "The gates come after the sum, and close the shortcut too: they belong on the branch, before "
    "the input is added.",
    "after sum, no relu": "The gates come after the sum, and close the shortcut too, and no ReLU follows: they belong "
    "on the branch, before the input is added.",
    "product": "Branch and shortcut are multiplied; add them.",
    "two gates": "There are two blocks of gates, one after the other; one is asked for.",
    "all 3x3": "All convolutions are 3x3; first and last are 1x1.",
    "shortcut": "The gates are on the shortcut; they belong on the branch.",
    "both": "The gates are on the shortcut as well; they belong on the branch alone.",
    "pre": "The gates come before the branch (the position 'pre'); they belong behind its last batch norm.",
    "middle": "The gates follow the 3x3 convolution, where the block is narrow; they belong at the branch's end.",
    "middle before relu": "The gates follow the 3x3 convolution, where the block is narrow; they belong at the "
    "branch's end.",
    "after first": "The gates follow the first 1x1 convolution; they belong at the branch's end.",
    "before norm": "The gates come before the last batch norm; they belong after it.",
    "relu before gates": "There is a ReLU before the gates: the branch ends in batch norm, so that it may also "
    "take away.",
    "relu after gates": "There is a ReLU between gates and sum: the branch could then only add, never take away.",
    "relu before sum": "The ReLU comes before the sum: add the input first, then apply it.",
    "squared": "What SqueezeExcite returns is gated already; multiplying by it again squares the values.",
    "added twice": "The gated branch is added to the ungated one: only the gated one belongs in the sum.",
    "gates added": "The gates are added to the branch; multiply.",
    "gates alone": "The gates are added to the shortcut, without the branch that they belong to.",
    "gates of the input": "The gates are computed from the shortcut; compute them from the branch that they close.",
    "squeezed by width": "The squeeze width is width // reduction; the gates see 4 * width channels, so "
    "4 * width // reduction.",
    "squeezed by input": "The squeeze width is in_channels // reduction; the gates see 4 * width channels, so "
    "4 * width // reduction.",
    "squeezed to width": "The squeeze width is width; it should be 4 * width // reduction.",
    "fixed": "The reduction is typed in as 16; take the argument.",
    "reduction is the width": "The squeeze width is `reduction` itself; it should be 4 * width // reduction.",
    "no reduction": "The squeeze does not reduce: its width should be 4 * width // reduction.",
    "plain": "There is no shortcut: the input is never added.",
    "no shortcut": "There is no shortcut: the input is never added.",
    "no expansion": "The last convolution gives width channels; it should give 4 * width.",
    "stride first": "The first 1x1 strides and throws three of four pixels away unseen; the 3x3 should stride.",
    "stride last": "The last 1x1 strides; the 3x3 in the middle should.",
    "no last relu": "The ReLU after the sum is missing.",
    "no first relu": "The ReLU after the first batch norm is missing.",
    "no middle relu": "The ReLU after the second batch norm is missing.",
    "no last norm": "The last convolution has no batch norm after it.",
    "bare projection": "The 1x1 convolution of the shortcut has no batch norm after it.",
    "projection relu": "There is a ReLU on the shortcut: it should carry positive and negative values alike.",
    "always projected": "Where the shapes agree, the shortcut should be the input itself.",
}


def _slim(answer: Any) -> Any:
    """Return the class without the biases that a batch norm takes away again: superfluous, and not wrong."""
    if not (inspect.isclass(answer) and issubclass(answer, nn.Module)) or answer is nn.Module:
        return answer

    class Slim(answer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            with contextlib.suppress(Exception):  # whatever is wrong is told when it is judged
                _drop_idle_biases(self, torch.randn(3, arguments[0], 6, 6))

    return Slim


def _drop_idle_biases(module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        before = module.train()(x)
        for one in module.modules():
            if isinstance(one, nn.Conv2d) and one.bias is not None:
                one.bias.add_(1)
                if torch.allclose(module(x), before, atol=1e-4):
                    one.bias = None
                else:
                    one.bias.sub_(1)


_APART = (
    "Branch and shortcut do not fit: the 3x3 has the stride, and the shortcut a 1x1 convolution to 4 * width with "
    "that stride, wherever the stride is not 1 *or* the channels differ."
)


def _judge_se_bottleneck(answer: Any) -> str:
    try:
        _judge(
            _slim(answer),
            "SEBottleneck",
            reference=_SEBottleneck,
            # Chosen so that no two layers of a block have the same shape.
            trials=[
                Trial((14, 6, 2, 3), (2, 14, 8, 8)),
                Trial((12, 3, 1, 6), (2, 12, 6, 6)),
                Trial((5, 3, 1, 2), (2, 5, 5, 7)),
                Trial((16, 4, 2, 16), (2, 16, 6, 6)),
                Trial((4, 4, 1, 8), (2, 4, 6, 6)),
            ],
            mistakes=variants(_SEBottleneck, _BOTTLENECK_MISTAKES),
        )
    except Wrong as wrong:
        if "must match the size" in str(wrong):
            raise Wrong(f"{_APART}\n{wrong}") from wrong
        raise
    return "Sixteen of these and a stem are paper 1's SE-ResNet50."


SEBottleneck = Exercise("ch06", "SEBottleneck", _judge_se_bottleneck)


# ConcurrentGate ---------------------------------------------------------------------------------------------


class _ConcurrentGate(nn.Module):
    """Channels and places gated side by side; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, channels: int, reduction: int, *, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        squeezed = {
            "no reduction": channels,
            "reduction is the width": reduction,
            "fixed": max(1, channels // 16),
        }.get(kind, channels // reduction)
        if kind != "places alone":
            self.channel = SqueezeExcite(channels, squeeze_channels=squeezed)
        if kind == "two layers":
            self.narrow = nn.Conv2d(channels, squeezed, 1)
            self.place = nn.Conv2d(squeezed, 1, 1, bias=False)
        elif kind not in ("channels alone", "mean map"):
            size = 3 if kind == "3x3" else 7 if kind == "7x7" else 1
            maps = channels if kind.startswith("a map a channel") else 1
            self.place = nn.Conv2d(channels, maps, size, padding=size // 2, bias=kind.endswith("biased"))

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        if kind == "channels alone":
            return self.channel(x)
        if kind == "mean map":
            place = x.mean(1, keepdim=True)
        else:
            place = self.place(self.narrow(x).relu() if kind == "two layers" else x)
        gates = {
            "relu, sigmoid": lambda: place.relu().sigmoid(),
            "no sigmoid": lambda: place,
            "relu": lambda: place.relu(),
            "tanh": lambda: place.tanh(),
            "softmax": lambda: place.flatten(1).softmax(1).reshape(place.shape),
            "softmax of one": lambda: place.softmax(1),
            "pooled": lambda: place.mean((2, 3), keepdim=True).sigmoid(),
            "detached": lambda: place.sigmoid().detach(),
        }.get(kind, lambda: place.sigmoid())()
        if kind == "places alone":
            return x * gates
        one, other = self.channel(x), x * gates
        return {
            "product": lambda: one * gates,
            "squared": lambda: one * other,
            "maximum": lambda: torch.maximum(one, other),
            "minimum": lambda: torch.minimum(one, other),
            "both and places": lambda: one * gates + other,
            "both and channels": lambda: one * gates + one,
            "places of the gated": lambda: one + x * self.place(one).sigmoid(),
            "all added": lambda: x + one + gates,
            "sigmoid of the sum": lambda: x * (one + place).sigmoid(),
            "mean": lambda: (one + other) / 2,
            "channels first": lambda: one * self.place(one).sigmoid(),
            "channels first, added": lambda: one + one * self.place(one).sigmoid(),
            "rest": lambda: one + x * (1 - gates),
            "sigmoid of the product": lambda: one + (x * place).sigmoid(),
            "places first": lambda: self.channel(other),
            "places first, added": lambda: other + self.channel(other),
            "gate added": lambda: one + gates,
            "input added": lambda: x + one + other,
            "input squared": lambda: x * one + other,
            "joined": lambda: torch.cat([one, other], 1),
            "one sigmoid": lambda: (
                x
                * (
                    self.channel.expand(self.channel.act(self.channel.reduce(x.mean((2, 3), keepdim=True))))
                    + place
                ).sigmoid()
            ),
            "minus": lambda: one - other,
            "gates alone": lambda: self.channel.gates(x) + gates,
        }.get(kind, lambda: one + other)()


_CONCURRENT_MISTAKES = {
    "channels alone": "Only the channels are gated; the places are missing.",
    "places alone": "Only the places are gated; the channels are missing.",
    "product": "The two gates are multiplied; gate the input by each, and add the two results.",
    "squared": "The two gated inputs are multiplied; add them.",
    "maximum": "That is the greater of the two; add them. (The authors' later paper has both.)",
    "mean": "That is the mean of the two; add them.",
    "minimum": "That is the smaller of the two; add them.",
    "both and places": "The channels' result is gated by the places besides: gate the input by each, and add the two.",
    "both and channels": "The places' gate is multiplied onto what the channels let through: gate the input by each.",
    "places of the gated": "The gate of the places is computed from what the channels have let through: both gates see "
    "the input itself, side by side.",
    "all added": "The gate of the places is added as it is, and the input ungated: multiply the two.",
    "sigmoid of the sum": "The two are added before one sigmoid; each gate has its own.",
    "relu, sigmoid": "There is a ReLU before the sigmoid of the places: no gate could then fall below a half.",
    "mean map": "The places are gated by the mean of the channels; a 1x1 convolution from all of them is asked for.",
    "two layers": "The gate of the places has two convolutions; one is asked for, from all channels to one map.",
    "minus": "One is subtracted from the other; add them.",
    "channels first": "The places are gated from what the channels have let through: both gates see the input "
    "itself, side by side.",
    "channels first, added": "The places are gated from what the channels have let through: both gates see the "
    "input itself, side by side.",
    "places first": "The channels are gated from what the places have let through: both gates see the input "
    "itself, side by side.",
    "rest": "The gate of the places is turned round, one minus the sigmoid.",
    "sigmoid of the product": "The sigmoid is taken of the input times the map; it belongs on the map alone.",
    "fixed": "16 is typed in as the reduction; take the argument.",
    "places first, added": "The channels are gated from what the places have let through: both gates see the input "
    "itself, side by side.",
    "gate added": "The gate of the places is added as it is; multiply the input by it first.",
    "input added": "The input is added besides, ungated: only the two gated ones are asked for.",
    "input squared": "What SqueezeExcite returns is gated already; multiplying it by the input squares the values.",
    "gates alone": "It returns the sum of the gates; multiply the input by them.",
    "joined": "The two are joined end to end, with twice the channels; add them.",
    "one sigmoid": "The two are added before one sigmoid; each gate has its own.",
    "no sigmoid": "The gate of the places has no sigmoid: it could be negative, or larger than 1.",
    "relu": "The gate of the places is a ReLU, without an upper end; a sigmoid is asked for.",
    "tanh": "The gate of the places is a tanh, which can turn signs round; a sigmoid is asked for.",
    "softmax": "The gate of the places is a softmax over them, which makes them compete; each is a sigmoid.",
    "softmax of one": "A softmax over a single map is 1 everywhere, so nothing is gated; use a sigmoid.",
    "pooled": "The gate of the places is averaged to one number; it should be a map, one number a place.",
    "detached": "The gate of the places is detached: its convolution would never learn.",
    "3x3": "The convolution of the places is 3x3; 1x1 is asked for, each place by itself.",
    "7x7": "The convolution of the places is 7x7; 1x1 is asked for, each place by itself.",
    "a map a channel": "The convolution gives a map for each channel; one map for all is asked for.",
    "a map a channel, biased": "The convolution gives a map for each channel; one map for all is asked for.",
    "no reduction": "The squeeze does not reduce: squeeze_channels is channels // reduction.",
    "reduction is the width": "The squeeze is `reduction` wide; it should be channels // reduction.",
}


def _judge_concurrent_gate(answer: Any) -> str:
    try:
        _judge(
            answer,
            "ConcurrentGate",
            reference=_ConcurrentGate,
            trials=[Trial((8, 2), (3, 8, 5, 6)), Trial((12, 4), (2, 12, 7, 4)), Trial((6, 3), (2, 6, 3, 3))],
            mistakes=variants(_ConcurrentGate, _CONCURRENT_MISTAKES),
        )
    except Wrong as wrong:
        first, _, rest = str(wrong).partition("\n")
        if first.startswith("The order is another") and rest:
            raise Wrong(rest) from wrong  # either of the two gates may come first
        raise
    return (
        "Channels say what is there, places say where. In their sum, each gate can close its own part only."
    )


ConcurrentGate = Exercise("ch06", "ConcurrentGate", _judge_concurrent_gate)


# read_gates -------------------------------------------------------------------------------------------------

GATES = "the gates it returns"
_HARD = "which also has a hard-sigmoid as a gate"


def _network(seed: int, hard: bool, training: bool) -> nn.Sequential:
    """A small network with gates of several widths, its weights and statistics drawn at random."""
    torch.manual_seed(seed)
    middle: nn.Module = BasicBlock(8, 8, se_reduction=4)
    if hard:
        middle = InvertedResidual(8, 8, expanded_channels=20, squeeze_channels=5)
    model = nn.Sequential(
        ConvNormAct(1, 8), middle, BasicBlock(8, 12, stride=2, se_reduction=3), pooled_head(12, 7)
    )
    randomise(model, seed)
    with torch.no_grad():
        for one in _gated(model).values():  # gates that differ from image to image
            one.reduce.weight.mul_(6)
            one.expand.weight.mul_(2)
    return model.train(training)


def _state(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().double().flatten() for value in model.state_dict().values()])


def _hooks(model: nn.Module) -> int:
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())


def _mode(model: nn.Module) -> str:
    return "train" if model.training else "eval"


def _nothing(module: nn.Module, inputs: Any, out: Tensor) -> None:
    """A hook of somebody else's, which should stay where it is."""


def _read_case(seed: int, hard: bool, training: bool, number: int = 5, hooked: bool = False) -> Case:
    def make() -> tuple[Any, ...]:
        images = torch.randn(number, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        model = _network(seed, hard, training)
        for one in _gated(model).values() if hooked else ():
            one.gate.register_forward_hook(_nothing)
        return model, images

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model = arguments[0]
        return {
            GATES: result,
            "the mode it leaves the network in": _mode(model),
            "the hooks it leaves in the network": _hooks(model),
            "the network's weights and statistics, which must stay": _state(model),
        }

    words = f"a network in {'training' if training else 'evaluation'} mode" + (f", {_HARD}" if hard else "")
    words += f", with {number} image{'s' * (number > 1)}" + " and hooks of its own" * hooked
    return Case(make, words, observe, rtol=1e-3, atol=1e-5, may_change=True)


def _judge_any_network(answer: Any, name: str, **options: Any) -> None:
    """Judge a function of a network, and name what usually stands behind an error there."""
    try:
        judge_function(answer, name, **options)
    except Wrong as wrong:
        said = str(wrong)
        if re.search(
            r"raised AttributeError: '(Sequential|BasicBlock|InvertedResidual|ConvNormAct)' object", said
        ):
            said = "\n".join(line for line in said.splitlines() if "spelt" not in line)
            raise Wrong(
                "The network may be built in any way, with parts of any name: walk through model.named_modules(), "
                f"and look for layers.SqueezeExcite.\n{said}"
            ) from wrong
        if re.search(r"to have \d+ channels, but got 1 channels", said):
            raise Wrong(
                "The images are given to a module inside the network, which gets the maps of the layer before it: "
                f"pass them through the whole network, and let a hook read the gates.\n{said}"
            ) from wrong
        raise


def _gated(model: nn.Module) -> dict[str, SqueezeExcite]:
    return {name: one for name, one in model.named_modules() if isinstance(one, SqueezeExcite)}


def _read(
    model: nn.Module,
    images: Tensor,
    *,
    mode: str | None = "eval",
    restore: bool | str = True,
    remove: bool | str = True,
    clear: bool = False,
    every: type[nn.Module] | None = None,
    part: str = "gate",
    given: bool = False,
    key: Callable[[str, int], Any] = lambda name, number: name,
    only: slice = slice(None),
    shape: Callable[[Tensor], Any] = lambda values: values.flatten(1),
    made: Callable[[dict[Any, Any]], Any] = lambda found: found,
) -> Any:
    """The right answer, and with other options the wrong ones."""
    was, found, handles = model.training, {}, []
    if mode is not None:
        model.train(mode == "train")
    for number, (name, one) in enumerate(list(_gated(model).items())[only]):
        if every is not None and not isinstance(one.gate, every):
            continue

        def note(_: Any, inputs: Any, out: Tensor, name: str = name, number: int = number) -> None:
            found[key(name, number)] = shape((inputs[0] if given else out).detach())

        target = one if part == "itself" else getattr(one, part)
        handles.append(target.register_forward_hook(note))
    with torch.no_grad():
        model(images)
    if remove:
        for handle in handles[-1:] if remove == "last" else handles:
            handle.remove()
    for module in model.modules() if clear else ():
        module._forward_hooks.clear()
    if restore:
        model.train(True if restore == "train" else was)
    return made(found)


def _only_boxed(found: Any, right: Tensor) -> bool:
    """Whether the values are right, and only axes of length one are too many."""
    return (
        found.shape != right.shape
        and found.squeeze().shape == right.shape
        and not differs(found.squeeze(), right, rtol=1e-3, atol=1e-5)
    )


def _explain_read(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, right = seen[GATES], expected[GATES]
    if found is None:
        return "It returns nothing (None): is a `return` missing?"
    if isinstance(found, (list, tuple)):
        return "It returns the gates alone; a dictionary with the name of each SqueezeExcite is asked for."
    if not isinstance(found, dict):
        return "It should return a dictionary, from the name of each SqueezeExcite to its gates."
    if not found:
        return "The dictionary is empty: is the batch passed through the network before the hooks are removed, and "\
            "are the modules of the kind layers.SqueezeExcite?"  # fmt: skip
    known = dict(arguments[0].named_modules())
    if len(found) == 1 < len(right) and next(iter(found)) != next(iter(right)):
        if next(iter(found)) in known:
            return "Only one entry is there, the last one's: in a loop, a function or lambda looks its names up when it "\
                "is called, and by then they are the last one's. Bind them: lambda ..., name=name."  # fmt: skip
        return "All share one key, and the last overwrites the others: take the names that named_modules() gives."
    if set(found) < set(right):
        return "Some modules are missing: named_modules() walks through all levels, named_children() through one."
    if set(found) == set(right):
        arrays = {name: as_array(value) for name, value in found.items()}
        if any(one is None or one.dtype.kind == "U" for one in arrays.values()):
            return "The values are no arrays of gates."
        if any(np.isnan(one).any() for one in arrays.values() if one is not None):
            return "Where a map is 0, what is gated divided by it is no number: read what the module's .gate gives."
        if all(one is not None and one.shape == arguments[1].shape for one in arrays.values()):
            return "The gates are computed from the images themselves; inside the network each module gets the maps "\
                "before it: let a hook read what its .gate gives, and pass the images through the network."  # fmt: skip
        if all(_only_boxed(arrays[name], right[name]) for name in right):
            return "The gates are right but for their shape: (images, channels) is asked for, flatten(1)."
    elif len(found) == len(right):
        return f"The names are others: as named_modules() gives them, such as {next(iter(right))!r}."
    return None


def _judge_read_gates(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_read, **options), message)

    training = "The gates are read in the mode the network is in; call model.eval() first, else batch norm uses "\
        "this batch, and its statistics move."  # fmt: skip
    flat = "The gates are right but for their shape: (images, channels) is asked for, flatten(1)."
    names = "The names are those of the gate's own layer; the name of its SqueezeExcite is asked for."
    _judge_any_network(
        answer,
        "read_gates",
        reference=_read,
        cases=[
            _read_case(3, hard=False, training=True),
            _read_case(4, hard=True, training=False),
            _read_case(5, hard=False, training=False, number=1),
            _read_case(6, hard=False, training=True, number=2, hooked=True),
        ],
        mistakes=[
            wrong(training, mode=None),
            wrong(training, mode=None, restore=False),
            wrong(training, mode=None, shape=lambda g: g),
            wrong(training, mode=None, remove=False),
            wrong("The gates are read in training mode: batch norm then uses this batch.", mode="train"),
            wrong("The network is left in training mode; put back the mode it was in.", restore="train"),
            wrong("Only the last image's gates are there: pass all images at once, or join the gates.", shape=lambda g: g[-1:].flatten(1)),
            wrong("Only the first channel's gates are there.", shape=lambda g: g[:, 0].flatten()),
            wrong("The gates are rounded; return them as they are.", shape=lambda g: g.flatten(1).round()),
            wrong("The network is left in evaluation mode; put back the mode it was in.", restore=False),
            wrong("The hooks stay in the network: keep what register_forward_hook returns, and call .remove().",
                  remove=False),
            wrong("The hooks stay in the network, and so does evaluation mode: leave it as you found it.",
                  remove=False, restore=False),
            wrong("All hooks are cleared, those of others too: call .remove() on what register_forward_hook returns.",
                  clear=True),
            wrong("All hooks are cleared, those of others too: call .remove() on what register_forward_hook returns.",
                  clear=True, remove=False),
            wrong("The gates of kind nn.Sigmoid alone are read; MobileNetV3's is a hard-sigmoid. Look for "
                  "layers.SqueezeExcite, and take its .gate.", every=nn.Sigmoid),
            wrong("squeeze() takes away every axis of length one, and with a single image that of the images too: "
                  "flatten(1).", shape=lambda g: g.squeeze()),
            wrong("Only the last hook is taken away; keep all handles, in a list, and remove each.", remove="last"),
            wrong("The gates of each module are averaged to one number; each image's and channel's are asked for.",
                  shape=lambda g: g.mean()),
            wrong("The gates of each module are averaged to one number; each image's and channel's are asked for.",
                  shape=lambda g: g.mean().item()),
            wrong(flat, shape=lambda g: g),
            wrong(flat, shape=lambda g: g, restore=False),
            wrong("Only the first image's gates are there.", shape=lambda g: g[0].flatten()),
            wrong("Only the first image's gates are there.", shape=lambda g: g[:1].flatten(1)),
            wrong("The gates are averaged over the images; each image's own are asked for.",
                  shape=lambda g: g.mean((0, 2, 3))),
            wrong("The gates are averaged over the images; each image's own are asked for.",
                  shape=lambda g: g.mean(0, keepdim=True).flatten(1)),
            wrong("The gates are averaged over the channels; each channel's own are asked for.",
                  shape=lambda g: g.mean((1, 2, 3))),
            wrong("The axes are exchanged: (images, channels) is asked for.", shape=lambda g: g.flatten(1).T),
            wrong("Those are the values before the sigmoid; the gates come after it.", part="expand"),
            wrong("Those are the values before the sigmoid; the gates come after it.", part="gate", given=True),
            wrong("Those are the values before the sigmoid, and their shape is not (images, channels).",
                  part="expand", shape=lambda g: g),
            wrong("A sigmoid is computed by hand, or once too often: read what the module's own gate gives, which in "
                  "MobileNetV3 is a hard-sigmoid.", part="expand", shape=lambda g: g.flatten(1).sigmoid()),
            wrong("The sigmoid is applied once more: what the gate gives has been through it.",
                  shape=lambda g: g.flatten(1).sigmoid()),
            wrong("Those are the squeezed averages; the gates are computed from them.", part="squeeze"),
            wrong("Those are the squeezed averages; the gates are computed from them.",
                  part="squeeze", shape=lambda g: g),
            wrong("Those are the values of the narrow middle; the gates are what comes out at the end.", part="reduce"),
            wrong("Those are the values of the narrow middle; the gates are what comes out at the end.", part="act"),
            wrong("Those are the values of the narrow middle; the gates are what comes out at the end.",
                  part="reduce", shape=lambda g: g),
            wrong("Those are the values of the narrow middle; the gates are what comes out at the end.",
                  part="act", shape=lambda g: g),
            wrong("Those are the gated maps, which the module returns; the gates are inside, at .gate.",
                  part="itself", shape=lambda g: g),
            wrong("Those are the gated maps, which the module returns; the gates are inside, at .gate.", part="itself"),
            wrong("Those are the gated maps, averaged; the gates are inside, at .gate.",
                  part="itself", shape=lambda g: g.mean((2, 3))),
            wrong("Those are the maps that come in; the gates are inside, at .gate.",
                  part="itself", given=True, shape=lambda g: g),
            wrong("Those are the maps that come in, averaged; the gates are computed from them.",
                  part="itself", given=True, shape=lambda g: g.mean((2, 3))),
            wrong(names, key=lambda name, number: f"{name}.gate"),
            wrong(names, key=lambda name, number: f"{name}.gate", shape=lambda g: g),
            wrong("The keys are numbers; the name of each SqueezeExcite is asked for.", key=lambda name, number: number),
            wrong("The keys are the last parts of the names, which may be the same twice: take the whole name.",
                  key=lambda name, number: name.rpartition(".")[2]),
            wrong("Only the first SqueezeExcite is read: does a `return` or `break` stand inside the loop?",
                  only=slice(0, 1)),
            wrong("Only the last one's gates are there: read all of them.", only=slice(-1, None)),
            wrong("One tensor for each is asked for, by name; here they are joined.",
                  made=lambda found: torch.cat(list(found.values()), 1)),
        ],
        explain=_explain_read,
    )  # fmt: skip
    return "A hook reads what a network computes inside, without a change to its code."


read_gates = Exercise("ch06", "read_gates", _judge_read_gates)


# freeze_gates -----------------------------------------------------------------------------------------------

OUT, ALONE, PASSED = "the logits of other images", "those of an image alone", "the network that was passed"


_MIXED = (
    "A module scales by values that are not its own: those of another module (in a loop, a lambda looks its names up when "
    "it is called: bind them, mean=mean), those of single images (take the mean over them), or it was put in a wrong "
    "place (setattr wants the parent and the last part of the name)."
)


def _freeze_case(seed: int, hard: bool, training: bool) -> Case:
    def make() -> tuple[Any, ...]:
        return _network(seed, hard, training), torch.randn(
            6, 1, 8, 8, generator=torch.Generator().manual_seed(seed)
        )

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model, others = arguments[0], torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(99))
        if not isinstance(result, nn.Module):
            return {OUT: None if result is None else "no network"}
        mode = _mode(result)

        def logits(one: nn.Module, images: Tensor) -> Tensor:
            try:
                with torch.no_grad():
                    return run(one.eval(), images, what="The network that freeze_gates returns")
            except Wrong as wrong:
                if re.search("must match|not be broadcast|expanded size", str(wrong)):
                    raise Wrong(f"{_MIXED}\n{wrong}") from wrong
                raise

        whole = logits(result, others)
        return {
            TRACE: any(
                not value.requires_grad for one in _gated(model).values() for value in one.parameters()
            ),
            OUT: whole,
            ALONE: logits(result, others[:1]),
            PASSED: whole if model is result else logits(model, others),
            "the mode it leaves the network in": mode,
        }

    words = f"a network in {'training' if training else 'evaluation'} mode" + (f", {_HARD}" if hard else "")
    return Case(make, words, observe, rtol=1e-3, atol=1e-4, may_change=True)


class _Constant(nn.Module):
    """Scales each channel by a fixed number."""

    def __init__(self, gates: Tensor, kind: str) -> None:
        super().__init__()
        self.gates, self.kind = gates, kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "returned":
            return self.gates.expand_as(x)
        return x + self.gates if self.kind == "added" else x * self.gates


def _freeze(
    model: nn.Module,
    images: Tensor,
    *,
    mode: str | None = "eval",
    restore: bool | str = True,
    part: str = "gate",
    made: Callable[[Tensor, SqueezeExcite], Tensor] = lambda g, se: g.mean(0, keepdim=True),
    only: slice = slice(None),
    kind: str = "scaled",
    in_turn: bool = False,
    batch: bool = False,
    effect: bool = True,
    locked: bool = False,
    at_gate: bool = False,
    copied: bool = False,
    returned: bool = True,
) -> Any:
    """The right answer, and with other options the wrong ones."""
    was = model.training
    model = copy.deepcopy(model) if copied else model
    if mode is not None:
        model.train(mode == "train")

    def measured() -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        handles = [
            (one if part == "itself" else getattr(one, part)).register_forward_hook(
                lambda _, __, out, name=name: values.__setitem__(name, out.detach())
            )
            for name, one in _gated(model).items()
        ]
        with torch.no_grad():
            model(images)
        for handle in handles:
            handle.remove()
        return values

    first = measured()
    for name, one in list(_gated(model).items())[only]:
        gates = (measured() if in_turn else first)[name]
        parent, _, last = name.rpartition(".")
        if batch:
            one.gate.register_forward_hook(lambda _, __, out: out.mean(0, keepdim=True).expand_as(out))
        elif kind in ("no sigmoid", "bias alone"):
            one.gate = nn.Identity()
            if kind == "bias alone":
                one.expand.bias = nn.Parameter(gates.mean(0).flatten())
        elif locked:
            one.requires_grad_(False)
        elif at_gate:
            one.gate = _Constant(made(gates, one), kind)
        elif effect:
            setattr(model.get_submodule(parent), last, _Constant(made(gates, one), kind))
    if restore:
        model.train(True if restore == "train" else was)
    return model if returned else None


def _explain_freeze(seen: dict[str, Any], _: dict[str, Any], __: tuple[Any, ...]) -> str | None:
    found = seen.get(OUT)
    if found is None:
        return "It returns nothing (None): return the network, changed in place."
    if isinstance(found, str):
        return "It should return the network, changed in place."
    return None


def _judge_freeze_gates(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_freeze, **options), message)

    training = "The gates are measured in the mode the network is in; call model.eval() first, else batch norm uses "\
        "this batch, and its statistics move."  # fmt: skip
    _judge_any_network(
        answer,
        "freeze_gates",
        reference=_freeze,
        cases=[_freeze_case(5, hard=False, training=True), _freeze_case(6, hard=True, training=False)],
        mistakes=[
            wrong("Nothing has changed: a name in a loop is only a name, so put the new module into its parent with "
                  "setattr, or change what the module holds.", effect=False),
            wrong("requires_grad = False keeps the weights as they are, and the gates still follow the images: fix the "
                  "gates themselves.", locked=True),
            wrong("A module that multiplies stands in the place of .gate, where it scales what `expand` gives: there it "
                  "has to return the means themselves.", at_gate=True),
            wrong("Nothing has changed, and the network is left in evaluation mode.", effect=False, restore=False),
            wrong("Nothing has changed but the statistics of batch norm, which a pass in training mode moves.",
                  effect=False, mode=None),
            wrong(training, mode=None),
            wrong("The gates are measured in training mode: batch norm then uses this batch.", mode="train"),
            wrong("The network is left in evaluation mode; put back the mode it was in.", restore=False),
            wrong("The gates still follow the images: each batch gets the mean of its own gates. Keep the mean over "
                  "the images that were given.", batch=True),
            wrong("The gates still follow the images: each batch gets the mean of its own gates. Keep the mean over "
                  "the images that were given.", batch=True, restore=False),
            wrong("A copy is changed; the network itself is to be changed, in place.", copied=True),
            wrong("A copy is changed, and left in evaluation mode; the network itself is to be changed, in place.",
                  copied=True, restore=False),
            wrong("Each is frozen before the next is measured, which then sees other values: measure all gates first, "
                  "in the network as it is.", in_turn=True),
            wrong("Each is frozen before the next is measured, which then sees other values: measure all gates first, "
                  "in the network as it is.", in_turn=True, restore=False),
            wrong("The mean is taken over the channels too: each channel keeps a gate of its own.",
                  made=lambda g, se: g.mean()),
            wrong("The mean is taken over the channels, not over the images.",
                  made=lambda g, se: g.mean(1, keepdim=True).mean(0, keepdim=True)),
            wrong("The first image's gates are kept; the mean over all images is asked for.", made=lambda g, se: g[:1]),
            wrong("The last image's gates are kept; the mean over all images is asked for.", made=lambda g, se: g[-1:]),
            wrong("The median is kept; the mean is asked for.", made=lambda g, se: g.median(0, keepdim=True).values),
            wrong("The greatest gates are kept; the mean is asked for.", made=lambda g, se: g.amax(0, keepdim=True)),
            wrong("The gates are added up; the mean is asked for.", made=lambda g, se: g.sum(0, keepdim=True)),
            wrong("The mean is taken before the sigmoid: the gate of a mean is not the mean of the gates.",
                  part="expand", made=lambda v, se: se.gate(v.mean(0, keepdim=True))),
            wrong("The values before the sigmoid are averaged and used as gates: the sigmoid is missing.", part="expand"),
            wrong("The sigmoid is applied once more to the mean gates.",
                  made=lambda g, se: g.mean(0, keepdim=True).sigmoid()),
            wrong("The images' averages are averaged first: those are the gates of the mean image, not the mean of "
                  "the gates.", part="squeeze",
                  made=lambda z, se: se.gate(se.expand(se.act(se.reduce(z.mean(0, keepdim=True)))))),
            wrong("The squeezed averages are used as gates; take what the gate gives.", part="squeeze"),
            wrong("All gates are 1: that takes squeeze and excitation out, instead of freezing it.",
                  made=lambda g, se: torch.ones_like(g[:1])),
            wrong("The network is left in training mode; put back the mode it was in.", restore="train"),
            wrong("The sigmoid is taken away, and the gates still follow the images: keep their mean.", kind="no sigmoid"),
            wrong("The bias is the logit of the mean, and no sigmoid follows: either the mean and no sigmoid, or its logit "
                  "and the sigmoid.", made=lambda g, se: g.mean(0, keepdim=True).logit()),
            wrong("The bias is the mean, but the weights of `expand` still answer to the image: set them to 0.",
                  kind="bias alone"),
            wrong("That is one minus the mean gates.", made=lambda g, se: 1 - g.mean(0, keepdim=True)),
            wrong("The standard deviation of the gates is kept; the mean is asked for.", made=lambda g, se: g.std(0, keepdim=True)),
            wrong("The gates are what the bias alone gives; keep the mean of the gates over the images.",
                  made=lambda g, se: se.gate(se.expand.bias[None, :, None, None]).detach()),
            wrong("The mean of the gated maps is used as gates: measure what .gate gives, not what the module returns.",
                  part="itself"),
            wrong("The mean of the gated maps is used as gates: measure what .gate gives, not what the module returns.",
                  part="itself", made=lambda y, se: y.mean((0, 2, 3), keepdim=True)),
            wrong("All gates are 0: nothing passes.", made=lambda g, se: torch.zeros_like(g[:1])),
            wrong("All gates are a half, which is where gates start, not their mean.",
                  made=lambda g, se: torch.full_like(g[:1], 0.5)),
            wrong("The gates are added to the maps; multiply.", kind="added"),
            wrong("The module returns the gates; it should return the maps, multiplied by them.", kind="returned"),
            wrong("Only the first SqueezeExcite is frozen: all of them are asked for.", only=slice(0, 1)),
            wrong("Only the last SqueezeExcite is frozen: all of them are asked for.", only=slice(-1, None)),
        ],
        explain=_explain_freeze,
    )  # fmt: skip
    return "What is left is a number a channel, which in a ResNet the batch norm before it could have learned too."


freeze_gates = Exercise("ch06", "freeze_gates", _judge_freeze_gates)

__all__ = ["ChannelGate", "ConcurrentGate", "SEBottleneck", "freeze_gates", "read_gates", "se_parameters"]
