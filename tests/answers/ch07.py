"""Answers to the exercises of chapter 7, Small networks."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from functools import partial

from answers import Answers, written_module
from fercourse.layers import ConvNormAct

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong
SPACE = {"nn": nn, "F": F, "torch": torch, "math": math, "np": np, "copy": copy, "ConvNormAct": ConvNormAct}


def _function(name, arguments, lines):
    """Return the function of these lines, as somebody types it."""
    space = dict(SPACE)
    exec(f"def {name}({arguments}):\n    " + "\n    ".join(lines), space)
    return space[name]


_module = partial(written_module, SPACE)

# separable_macs ---------------------------------------------------------------------------------------------


def macs(*lines):
    return _function("separable_macs", "in_channels, out_channels, kernel_size, size, stride", lines)


N = "n = math.ceil(size / stride)"
FULL = "full = kernel_size ** 2 * in_channels * out_channels * n * n"
DW = "dw = kernel_size ** 2 * in_channels * n * n"
PW = "pw = in_channels * out_channels * n * n"
BOTH = "return full, dw + pw"

right("separable_macs")(macs(N, FULL, DW, PW, BOTH))
right("separable_macs")(macs("n = (size + stride - 1) // stride", "per = n ** 2 * in_channels", "k2 = kernel_size * kernel_size", "return [per * k2 * out_channels, per * (k2 + out_channels)]"))  # fmt: skip
right("separable_macs")(
    macs(
        "with torch.device('meta'):",
        "    f = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)",
        "    d = nn.Conv2d(in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=False)",
        "    p = nn.Conv2d(in_channels, out_channels, 1, bias=False)",
        "n = len(range(0, size, stride)) ** 2",
        "return n * f.weight.numel(), n * (d.weight.numel() + p.weight.numel())",
    )
)
right("separable_macs")(macs("n = np.ceil(size / stride)", FULL, "return np.array([full, full * (1 / out_channels + 1 / kernel_size ** 2)])"))  # fmt: skip
right("separable_macs")(macs(N, FULL, DW, PW, "return {'a': (full, dw + pw)}['a']"))
wrong("separable_macs", "stride is not used")(macs("n = size", FULL, DW, PW, BOTH))
wrong("separable_macs", "pair comes first|order")(macs(N, FULL, DW, PW, "return dw + pw, full"))
wrong("separable_macs", "round(ed)? (down|up)")(macs("n = size // stride", FULL, DW, PW, BOTH))
wrong("separable_macs", "round up|not rounded")(macs("n = size / stride", FULL, DW, PW, BOTH))
wrong("separable_macs", "nearest|round")(macs("n = round(size / stride)", FULL, DW, PW, BOTH))
wrong("separable_macs", "round|one is added")(macs("n = size // stride + 1", FULL, DW, PW, BOTH))
wrong("separable_macs", "height and width|size squared")(
    macs(
        "n = math.ceil(size / stride)",
        "return n * kernel_size**2 * in_channels * out_channels, n * in_channels * (kernel_size**2 + out_channels)",
    )
)
wrong("separable_macs", "weights")(
    macs(
        "return kernel_size**2 * in_channels * out_channels, in_channels * (kernel_size**2 + out_channels)",
    )
)
wrong("separable_macs", "pointwise half is missing")(macs(N, FULL, DW, "return full, dw"))
wrong("separable_macs", "depthwise half is missing")(macs(N, FULL, PW, "return full, pw"))
wrong("separable_macs", "input\\* channel|each output channel")(
    macs(N, FULL, "dw = kernel_size ** 2 * out_channels * n * n", PW, BOTH)
)
wrong("separable_macs", "sees one channel only")(
    macs(N, FULL, "dw = kernel_size ** 2 * in_channels ** 2 * n * n", PW, BOTH)
)
wrong("separable_macs", "smaller picture")(
    macs(N, FULL, DW, "pw = in_channels * out_channels * size * size", BOTH)
)
wrong("separable_macs", "1x1 kernels")(
    macs(N, FULL, DW, "pw = kernel_size ** 2 * in_channels * out_channels * n * n", BOTH)
)
wrong("separable_macs", "squared")(
    macs(N, "full = kernel_size * in_channels * out_channels * n * n", "dw = kernel_size * in_channels * n * n", PW, BOTH)
)  # fmt: skip
wrong("separable_macs", "counted once")(macs(N, FULL, "dw = kernel_size * in_channels * n * n", PW, BOTH))
wrong("separable_macs", "one number, the sum")(macs(N, FULL, DW, PW, "return full, dw, pw"))
wrong("separable_macs", "quotient")(macs(N, FULL, DW, PW, "return (dw + pw) / full"))
wrong("separable_macs", "multiplied")(macs(N, FULL, DW, PW, "return full, dw * pw"))
wrong("separable_macs", "twice as many")(macs(N, FULL, DW, PW, "return 2 * full, 2 * (dw + pw)"))
wrong("separable_macs", "biases")(
    macs(
        N,
        "return (n*n*(kernel_size**2*in_channels*out_channels + out_channels), n*n*(kernel_size**2*in_channels + in_channels + in_channels*out_channels + out_channels))",
    )
)
wrong("separable_macs", "divided by the stride once|shrink")(
    macs(
        "p = size * size // stride",
        "return p * kernel_size**2 * in_channels * out_channels, p * in_channels * (kernel_size**2 + out_channels)",
    )
)
wrong("separable_macs", "without padding")(macs("n = (size - kernel_size) // stride + 1", FULL, DW, PW, BOTH))
wrong("separable_macs", "return")(macs(N, FULL, DW, PW, "print(full, dw + pw)"))
wrong("separable_macs", "stride[\\s\\S]*counted once")(
    macs("n = size", FULL, "dw = kernel_size * in_channels * n * n", PW, BOTH)
)
wrong("separable_macs", "added")(macs(N, FULL, DW, "pw = (in_channels + out_channels) * n * n", BOTH))
wrong("separable_macs", "not multiplied by the pixels")(
    macs(N, FULL, DW, "pw = in_channels * out_channels", BOTH)
)
wrong("separable_macs", "3 x 3")(
    macs(N, "full = 9 * in_channels * out_channels * n * n", "dw = 9 * in_channels * n * n", PW, BOTH)
)
wrong("separable_macs", "full convolution is not|pair and not for the full")(
    macs(N, "full = kernel_size ** 2 * in_channels * out_channels * size * size", DW, PW, BOTH)
)

# DepthwiseSeparable -----------------------------------------------------------------------------------------


def ds(
    dw="nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False)",
    pw="nn.Conv2d(in_channels, out_channels, 1, bias=False)",
    n1="in_channels",
    n2="out_channels",
    forward=("x = F.relu(self.n1(self.dw(x)))", "return F.relu(self.n2(self.pw(x)))"),
):
    start = [
        f"self.dw, self.pw = {dw}, {pw}",
        f"self.n1, self.n2 = nn.BatchNorm2d({n1}), nn.BatchNorm2d({n2})",
    ]
    return _module("DepthwiseSeparable", "in_channels, out_channels, stride", start, forward)


right("DepthwiseSeparable")(ds())
right("DepthwiseSeparable")(
    _module(
        "DepthwiseSeparable",
        "in_channels, out_channels, stride",
        [
            "self.f = nn.Sequential(nn.Conv2d(in_channels, in_channels, (3, 3), (stride, stride), (1, 1), groups=in_channels), nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True), nn.Conv2d(in_channels, out_channels, (1, 1)), nn.BatchNorm2d(out_channels), nn.ReLU())"
        ],
        ["return self.f(x)"],
    )
)
right("DepthwiseSeparable")(
    _module(
        "DepthwiseSeparable",
        "in_channels, out_channels, stride",
        [
            "self.point = ConvNormAct(in_channels, out_channels, kernel_size=1)",
            "self.depth = ConvNormAct(in_channels, in_channels, groups=in_channels, stride=stride, act=None)",
        ],
        ["return self.point(self.depth(x).clamp(min=0))"],
    )
)
right("DepthwiseSeparable")(
    ds(
        forward=(
            "for conv, norm in ((self.dw, self.n1), (self.pw, self.n2)):",
            "    x = torch.relu(norm(conv(x)))",
            "return x",
        )
    )
)
wrong("DepthwiseSeparable", "groups=in_channels")(
    ds(dw="nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, bias=False)")
)
wrong("DepthwiseSeparable", "1x1 strides|depthwise one should stride")(
    ds(
        dw="nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)",
        pw="nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)",
    )
)
wrong("DepthwiseSeparable", "both convolutions stride|depthwise one alone")(
    ds(pw="nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)")
)
wrong("DepthwiseSeparable", "between depthwise and pointwise")(
    ds(forward=("x = self.n1(self.dw(x))", "return F.relu(self.n2(self.pw(x)))"))
)
wrong("DepthwiseSeparable", "at the end is missing")(
    ds(forward=("x = F.relu(self.n1(self.dw(x)))", "return self.n2(self.pw(x))"))
)
wrong("DepthwiseSeparable", "no padding")(
    ds(dw="nn.Conv2d(in_channels, in_channels, 3, stride=stride, groups=in_channels, bias=False)")
)
wrong("DepthwiseSeparable", "batch norm")(
    _module(
        "DepthwiseSeparable",
        "in_channels, out_channels, stride",
        [
            "self.a = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels)",
            "self.b = nn.Conv2d(in_channels, out_channels, 1)",
        ],
        ["return F.relu(self.b(F.relu(self.a(x))))"],
    )
)
wrong("DepthwiseSeparable", "order|1x1 comes first")(
    ds(
        dw="nn.Conv2d(in_channels, out_channels, 1, bias=False)",
        pw="nn.Conv2d(out_channels, out_channels, 3, stride=stride, padding=1, groups=out_channels, bias=False)",
        n1="out_channels",
    )
)
wrong("DepthwiseSeparable", "3x3")(ds(pw="nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)"))
wrong("DepthwiseSeparable", "divisible|changes the number of channels")(
    ds(
        dw="nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False)",
        n1="out_channels",
        pw="nn.Conv2d(out_channels, out_channels, 1, bias=False)",
    )
)
wrong("DepthwiseSeparable", "stride is not used|stride")(
    ds(dw="nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)")
)
wrong("DepthwiseSeparable", "before the batch norm")(
    ds(forward=("x = self.n1(F.relu(self.dw(x)))", "return self.n2(F.relu(self.pw(x)))"))
)
wrong("DepthwiseSeparable", "never called")(
    ds(forward=("x = self.dw(x)", "return F.relu(self.n2(self.pw(x)))"))
)
wrong("DepthwiseSeparable", "another number of channels|channels")(ds(n1="out_channels"))
wrong("DepthwiseSeparable", "return")(
    ds(forward=("x = F.relu(self.n1(self.dw(x)))", "F.relu(self.n2(self.pw(x)))"))
)
wrong("DepthwiseSeparable", "ReLU6")(
    ds(forward=("x = F.relu6(self.n1(self.dw(x)))", "return F.relu6(self.n2(self.pw(x)))"))
)
wrong("DepthwiseSeparable", "one full 3x3")(
    _module(
        "DepthwiseSeparable",
        "in_channels, out_channels, stride",
        ["self.c = ConvNormAct(in_channels, out_channels, stride=stride)"],
        ["return self.c(x)"],
    )
)

# hard_swish -------------------------------------------------------------------------------------------------


def swish(*lines):
    return _function("hard_swish", "x", lines)


GATE = "gate = torch.clamp(x + 3, 0, 6) / 6"
SLOPE = "slope = torch.where(x.abs() < 3, (2 * x + 3) / 6, (x > 0).float())"
PAIR = "return x * gate, slope"

right("hard_swish")(swish(GATE, SLOPE, PAIR))
right("hard_swish")(
    swish(
        "x = x.detach().clone().requires_grad_(True)",
        "y = F.hardswish(x)",
        "y.sum().backward()",
        "return y, x.grad",
    )
)
right("hard_swish")(
    swish(
        "v, s = torch.zeros_like(x), torch.zeros_like(x)",
        "up, mid = x >= 3, (x > -3) & (x < 3)",
        "v[up], s[up] = x[up], 1.0",
        "v[mid], s[mid] = x[mid] * (x[mid] + 3) / 6, x[mid] / 3 + 0.5",
        "return v, s",
    )
)
right("hard_swish")(
    swish(
        "a = x.numpy()",
        "v = np.where(a <= -3, 0, np.where(a >= 3, a, a * (a + 3) / 6))",
        "s = np.piecewise(a, [a < -3, a > 3], [0, 1, lambda t: (2 * t + 3) / 6])",
        "return [v, s]",
    )
)
right("hard_swish")(swish("return torch.stack([F.relu6(x + 3) * x / 6, torch.where(x < -3, 0., torch.where(x > 3, 1., x / 3 + .5))])"))  # fmt: skip
wrong("hard_swish", "product rule|gate alone")(swish(GATE, "return x * gate, gate"))
wrong("hard_swish", "gate's slope|1/6")(swish(GATE, "return x * gate, ((x > -3) & (x < 3)).float() / 6"))
wrong("hard_swish", "holds on the ramp only|above 3")(swish(GATE, "return x * gate, (2 * x + 3) / 6"))
wrong("hard_swish", "hard-sigmoid")(swish(GATE, SLOPE, "return gate, slope"))
wrong("hard_swish", "division by 6")(swish("return x * (x + 3).clamp(0, 6), torch.where(x.abs() < 3, (2 * x + 3) / 6, (x > 0).float())"))  # fmt: skip
wrong("hard_swish", "swish, with the sigmoid")(
    swish("s = x.sigmoid()", "return x * s, s * (1 + x * (1 - s))")
)
wrong("hard_swish", "slopes come first|order")(swish(GATE, SLOPE, "return slope, x * gate"))
wrong("hard_swish", "return two|two")(swish(GATE, "return x * gate"))
wrong("hard_swish", "cut at 1")(swish("gate = torch.clamp(x + 3, 0, 1)", SLOPE, PAIR))
wrong("hard_swish", "3 is missing")(swish("gate = torch.clamp(x, 0, 6) / 6", SLOPE, PAIR))
wrong("hard_swish", "above 3|not 0")(
    swish(GATE, "slope = torch.where(x.abs() < 3, (2 * x + 3) / 6, torch.zeros_like(x))", PAIR)
)
wrong("hard_swish", "not cut at 6")(swish("gate = F.relu(x + 3) / 6", SLOPE, PAIR))
wrong("hard_swish", "ambiguous|Boolean value")(swish("if x < -3: return 0, 0", "if x > 3: return x, 1", "return x * (x + 3) / 6, (2 * x + 3) / 6"))  # fmt: skip
wrong("hard_swish", "return")(swish(GATE, SLOPE, "x * gate, slope"))
wrong("hard_swish", "cut to 0 and 1")(swish(GATE, "return x * gate, ((2 * x + 3) / 6).clamp(0, 1)"))
wrong("hard_swish", "ReLU")(swish(GATE, "return x * gate, (x > 0).float()"))
wrong("hard_swish", "multiplied by x")(swish(GATE, "return x * gate, gate + ((x > -3) & (x < 3)) / 6"))
wrong("hard_swish", "on the ramp only")(swish(GATE, "return x * gate, gate + x / 6"))
wrong("hard_swish", "one number|a float|scalar|each value")(
    swish(
        "x = x.clone().requires_grad_()",
        "y = F.hardswish(x)",
        "y.sum().backward()",
        "return y, x.grad.mean()",
    )
)
wrong("hard_swish", "changes its argument")(swish(GATE, SLOPE, "x *= gate", "return x, slope"))
wrong("hard_swish", "(x\\^2 \\+ 3 x)|gate alone")(
    swish(GATE, "slope = torch.where(x.abs() < 3, x / 3, (x > 0).float())", PAIR)
)

# MobileBlock ------------------------------------------------------------------------------------------------

HS = "F.hardswish"


def block(
    c1="nn.Conv2d(in_channels, wide, 1, bias=False)",
    c2="nn.Conv2d(wide, wide, kernel_size, stride, kernel_size // 2, groups=wide, bias=False)",
    c3="nn.Conv2d(wide, out_channels, 1, bias=False)",
    fits="stride == 1 and in_channels == out_channels",
    norms=("wide", "wide", "out_channels"),
    forward=(
        f"y = {HS}(self.n1(self.c1(x)))",
        f"y = {HS}(self.n2(self.c2(y)))",
        "y = self.n3(self.c3(y))",
        "return x + y if self.fits else y",
    ),
    more=(),
):
    start = [
        f"self.c1, self.c2, self.c3 = {c1}, {c2}, {c3}",
        f"self.n1, self.n2, self.n3 = {', '.join(f'nn.BatchNorm2d({n})' for n in norms)}",
        f"self.fits = {fits}",
        *more,
    ]
    return _module("MobileBlock", "in_channels, wide, out_channels, kernel_size, stride", start, forward)


Y1, Y2, Y3 = f"y = {HS}(self.n1(self.c1(x)))", f"y = {HS}(self.n2(self.c2(y)))", "y = self.n3(self.c3(y))"
ADD = "return x + y if self.fits else y"
right("MobileBlock")(block())
right("MobileBlock")(
    block(
        "nn.Conv2d(in_channels, wide, kernel_size=1)",
        "nn.Conv2d(wide, wide, kernel_size, stride=stride, padding=(kernel_size - 1) // 2, groups=wide)",
        "nn.Conv2d(wide, out_channels, kernel_size=1)",
        forward=(Y1, Y2, Y3, "if self.fits:", "    y += x", "return y"),
    )
)
right("MobileBlock")(
    _module(
        "MobileBlock",
        "in_channels, wide, out_channels, kernel_size, stride",
        [
            "self.f = nn.Sequential(",
            "    nn.Conv2d(in_channels, wide, 1), nn.BatchNorm2d(wide), nn.Hardswish(inplace=True),",
            "    nn.ZeroPad2d(kernel_size // 2),",
            "    nn.Conv2d(wide, wide, kernel_size, stride, groups=wide), nn.BatchNorm2d(wide), nn.Hardswish(),",
            "    nn.Conv2d(wide, out_channels, 1), nn.BatchNorm2d(out_channels))",
            "self.scale = 1.0 if (stride, in_channels) == (1, out_channels) else None",
        ],
        ["y = self.f(x)", "return y if self.scale is None else torch.add(x, y)"],
    )
)
right("MobileBlock")(
    block(
        forward=(
            "a = self.n1(self.c1(x))",
            "a = a * F.relu6(a + 3) / 6",
            "a = self.n2(self.c2(a))",
            "a = a * F.hardsigmoid(a)",
            "a = self.n3(self.c3(a))",
            "if self.fits: return a + x",
            "return a",
        )
    )
)
wrong("MobileBlock", "linear bottleneck|leave it out")(
    block(forward=(Y1, Y2, f"y = {HS}(self.n3(self.c3(y)))", ADD))
)
wrong("MobileBlock", "after the sum")(block(forward=(Y1, Y2, Y3, f"return {HS}(x + y) if self.fits else y")))
wrong("MobileBlock", "ReLU after the sum|leave it out")(
    block(forward=(Y1, Y2, Y3, "return F.relu(x + y) if self.fits else y"))
)
wrong("MobileBlock", "at the end|leave it out")(
    block(forward=(Y1, Y2, Y3, "if self.fits: y = x + y", f"return {HS}(y)"))
)
wrong("MobileBlock", "groups=wide")(
    block(c2="nn.Conv2d(wide, wide, kernel_size, stride, kernel_size // 2, bias=False)")
)
wrong("MobileBlock", "padding")(
    block(c2="nn.Conv2d(wide, wide, kernel_size, stride, 1, groups=wide, bias=False)")
)
wrong("MobileBlock", "padding")(
    block(c2="nn.Conv2d(wide, wide, kernel_size, stride, groups=wide, bias=False)")
)
wrong("MobileBlock", "3x3")(block(c2="nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)"))
wrong("MobileBlock", "not a factor")(
    block(
        "nn.Conv2d(in_channels, in_channels * wide, 1, bias=False)",
        "nn.Conv2d(in_channels * wide, in_channels * wide, kernel_size, stride, kernel_size // 2, groups=in_channels * wide, bias=False)",
        "nn.Conv2d(in_channels * wide, out_channels, 1, bias=False)",
        norms=("in_channels * wide", "in_channels * wide", "out_channels"),
    )
)
wrong("MobileBlock", "different shapes[\\s\\S]*stride is 1 and")(block(fits="in_channels == out_channels"))
wrong("MobileBlock", "different shapes[\\s\\S]*stride is 1 and")(block(fits="stride == 1"))
wrong("MobileBlock", "no shortcut")(block(forward=(Y1, Y2, Y3, "return y")))
wrong("MobileBlock", "first 1x1 strides")(
    block(
        "nn.Conv2d(in_channels, wide, 1, stride, bias=False)",
        "nn.Conv2d(wide, wide, kernel_size, 1, kernel_size // 2, groups=wide, bias=False)",
    )
)
wrong("MobileBlock", "last 1x1 strides")(
    block(
        c2="nn.Conv2d(wide, wide, kernel_size, 1, kernel_size // 2, groups=wide, bias=False)",
        c3="nn.Conv2d(wide, out_channels, 1, stride, bias=False)",
    )
)
wrong("MobileBlock", "hard-swish is asked for|relu6")(
    block(forward=("y = F.relu6(self.n1(self.c1(x)))", "y = F.relu6(self.n2(self.c2(y)))", Y3, ADD))
)
wrong("MobileBlock", "hard-swish is asked for")(
    block(forward=("y = F.silu(self.n1(self.c1(x)))", "y = F.silu(self.n2(self.c2(y)))", Y3, ADD))
)
wrong("MobileBlock", "hard-swish is x times|hard-sigmoid")(
    block(
        forward=("y = F.hardsigmoid(self.n1(self.c1(x)))", "y = F.hardsigmoid(self.n2(self.c2(y)))", Y3, ADD)
    )
)
wrong("MobileBlock", "depthwise convolution's batch norm is missing|hard-swish")(
    block(forward=(Y1, "y = self.n2(self.c2(y))", Y3, ADD))
)
wrong("MobileBlock", "after the first batch norm is missing")(
    block(forward=("y = self.n1(self.c1(x))", Y2, Y3, ADD))
)
wrong("MobileBlock", "no shortcut; here a 1x1|makes it fit|does not fit")(
    block(
        more=(
            "self.s = nn.Identity() if self.fits else nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))",
        ),
        forward=(Y1, Y2, Y3, "return y + self.s(x)"),
    )
)
wrong("MobileBlock", "never called|called 2 times")(
    block(forward=(Y1, f"y = {HS}(self.n1(self.c2(y)))", Y3, ADD))
)
wrong("MobileBlock", "batch norm|n3 is made, and never called")(
    block(forward=(Y1, Y2, "y = self.c3(y)", ADD))
)
wrong("MobileBlock", "stride is not used|stride")(
    block(c2="nn.Conv2d(wide, wide, kernel_size, padding=kernel_size // 2, groups=wide, bias=False)")
)

# keep_pixels ------------------------------------------------------------------------------------------------


def keep(*lines):
    return _function("keep_pixels", "model", lines)


right("keep_pixels")(
    keep(
        "last = None",
        "for m in model.modules():",
        "    if isinstance(m, nn.Conv2d) and m.stride[0] == 2:",
        "        last = m",
        "if last is not None: last.stride = 1",
    )
)
right("keep_pixels")(
    keep(
        "for m in reversed(list(model.modules())):",
        "    if isinstance(m, nn.Conv2d) and 2 in m.stride:",
        "        m.stride = (1, 1)",
        "        return model",
    )
)
right("keep_pixels")(
    keep(
        "found = [(n, m) for n, m in model.named_modules() if type(m) is nn.Conv2d and m.stride == (2, 2)]",
        "for name, old in found[-1:]:",
        "    new = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, padding=old.padding, groups=old.groups, bias=old.bias is not None)",
        "    new.load_state_dict(old.state_dict())",
        "    parent, _, last = name.rpartition('.')",
        "    setattr(model.get_submodule(parent), last, new)",
    )
)
wrong("keep_pixels", "first of stride 2")(
    keep(
        "for m in model.modules():",
        "    if isinstance(m, nn.Conv2d) and m.stride == (2, 2):",
        "        m.stride = (1, 1)",
        "        break",
    )
)
wrong("keep_pixels", "every stride|more than the last")(
    keep(
        "for m in model.modules():",
        "    if isinstance(m, nn.Conv2d) and m.stride == (2, 2): m.stride = (1, 1)",
    )
)
wrong("keep_pixels", "every stride|more than the last")(
    keep("for m in model.modules():", "    if isinstance(m, nn.Conv2d): m.stride = (1, 1)")
)
wrong("keep_pixels", "pair, \\(2, 2\\)|nothing is changed")(
    keep(
        "found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == 2]",
        "if found: found[-1].stride = 1",
    )
)
wrong("keep_pixels", "fresh weights|weights")(
    keep(
        "found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "if found:",
        "    name, old = found[-1]",
        "    parent, _, last = name.rpartition('.')",
        "    setattr(model.get_submodule(parent), last, nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, 1, old.padding, groups=old.groups, bias=old.bias is not None))",
    )
)
wrong("keep_pixels", "copy")(
    keep(
        "model = copy.deepcopy(model)",
        "found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "if found: found[-1].stride = (1, 1)",
        "return model",
    )
)
wrong("keep_pixels", "no last one to take")(
    keep(
        "found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "found[-1].stride = (1, 1)",
    )
)
wrong("keep_pixels", "last convolution of all")(
    keep("convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]", "convs[-1].stride = (1, 1)")
)
wrong("keep_pixels", "AttributeError|has no attribute|max-pool|nothing")(
    keep("found = [m for m in model.modules() if m.stride == (2, 2)]", "found[-1].stride = (1, 1)")
)
wrong("keep_pixels", "nothing is changed|pair|pooling")(
    keep(
        "for m in list(model.modules())[::-1]:",
        "    if hasattr(m, 'stride') and not isinstance(m, nn.Conv2d):",
        "        m.stride = 1",
        "        return",
    )
)
wrong("keep_pixels", "last but one|wrong convolution")(
    keep(
        "found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "if len(found) > 1: found[-2].stride = (1, 1)",
        "elif found: found[0].stride = (1, 1)",
    )
)
wrong("keep_pixels", "neither 1 nor 2")(
    keep(
        "found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "if found: found[-1].stride = (4, 4)",
    )
)
wrong("keep_pixels", "weights|something else")(
    keep(
        "found = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "if found:",
        "    found[-1].stride = (1, 1)",
        "    found[-1].reset_parameters()",
    )
)
wrong("keep_pixels", "pooling layer")(
    keep(
        "for m in reversed(list(model.modules())):",
        "    if isinstance(m, (nn.Conv2d, nn.MaxPool2d)) and m.stride in ((2, 2), 2):",
        "        m.stride = 1",
        "        return",
    )
)
wrong("keep_pixels", "first level")(
    keep(
        "found = [m for m in model.children() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]",
        "if found: found[-1].stride = (1, 1)",
    )
)
wrong("keep_pixels", "search ends at the last convolution")(
    keep(
        "for m in list(model.modules())[::-1]:",
        "    if isinstance(m, nn.Conv2d):",
        "        if m.stride == (2, 2): m.stride = (1, 1)",
        "        break",
    )
)
wrong("keep_pixels", "pooling layer")(
    keep(
        "found = [m for m in model.modules() if getattr(m, 'stride', None) in (2, (2, 2))]",
        "if found: found[-1].stride = (1, 1)",
    )
)
wrong("keep_pixels", "not another name for it")(
    keep(
        "for m in model.modules():",
        "    stride = getattr(m, 'stride', None)",
        "    if stride == (2, 2): stride = (1, 1)",
    )
)
wrong("keep_pixels", "no last one to take")(
    keep(
        "for m in model.modules():",
        "    if isinstance(m, nn.Conv2d) and m.stride == (2, 2): last = m",
        "last.stride = (1, 1)",
    )
)
wrong("DepthwiseSeparable", "Batch norm and ReLU between")(
    _module(
        "DepthwiseSeparable",
        "in_channels, out_channels, stride",
        [
            "self.dw = nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False)",
            "self.pw = ConvNormAct(in_channels, out_channels, kernel_size=1)",
        ],
        ["return self.pw(self.dw(x))"],
    )
)
wrong("MobileBlock", "added to itself")(
    block(forward=(Y1, Y2, "x = self.n3(self.c3(y))", "return x + x if self.fits else x"))
)

# separate ---------------------------------------------------------------------------------------------------


def sep(
    test="isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1 and m.in_channels > 1",
    dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=False)",
    pw="nn.Conv2d(m.in_channels, m.out_channels, 1, bias=m.bias is not None)",
    between="",
    deeper="separate(m)",
    put="setattr(network, name, nn.Sequential(dw, {between}pw))",
    last="return network",
):
    lines = [
        "for name, m in list(network.named_children()):",
        f"    if {test}:",
        f"        dw = {dw}",
        f"        pw = {pw}",
    ]
    lines += ["        " + put.format(between=between), "    else:", f"        {deeper}", last]
    return _function("separate", "network", lines)


right("separate")(sep())
right("separate")(
    _function(
        "separate",
        "network",
        [
            "todo = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]",
            "for n, m in todo:",
            "    if tuple(m.kernel_size) != (3, 3) or m.groups != 1 or m.in_channels == 1: continue",
            "    c = m.in_channels",
            "    pair = nn.Sequential(nn.Conv2d(c, c, 3, stride=m.stride[0], padding=m.padding[0], groups=c, bias=False))",
            "    pair.append(nn.Conv2d(c, m.out_channels, kernel_size=1, bias=bool(m.bias is not None)))",
            "    where, _, last = n.rpartition('.')",
            "    parent = network.get_submodule(where) if where else network",
            "    setattr(parent, last, pair)",
        ],
    )
)
right("separate")(
    _function(
        "separate",
        "network",
        [
            "for parent in list(network.modules()):",
            "    for key in list(parent._modules):",
            "        m = parent._modules[key]",
            "        if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1 and m.in_channels != 1:",
            "            from collections import OrderedDict",
            "            parent._modules[key] = nn.Sequential(OrderedDict(d=nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=None), p=nn.Conv2d(m.in_channels, m.out_channels, 1, bias=m.bias is not None)))",
        ],
    )
)
wrong("separate", "deeper in the tree")(sep(deeper="pass"))
wrong("separate", "stride of the old convolution is lost|stride")(
    sep(dw="nn.Conv2d(m.in_channels, m.in_channels, 3, padding=m.padding, groups=m.in_channels, bias=False)")
)
wrong("separate", "padding")(
    sep(dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, 1, groups=m.in_channels, bias=False)")
)
wrong("separate", "padding")(
    sep(dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, groups=m.in_channels, bias=False)")
)
wrong("separate", "bias")(sep(pw="nn.Conv2d(m.in_channels, m.out_channels, 1)"))
wrong("separate", "bias")(sep(pw="nn.Conv2d(m.in_channels, m.out_channels, 1, bias=False)"))
wrong("separate", "depthwise convolution has a bias|bias")(
    sep(dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels)")
)
wrong("separate", "groups=in_channels")(
    sep(dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, bias=False)")
)
wrong("separate", "No 3x3 convolution is replaced")(sep(put="m = nn.Sequential(dw, pw)"))
wrong("separate", "single input channel")(
    sep(test="isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1")
)
wrong("separate", "groups already")(
    sep(test="isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.in_channels > 1")
)
wrong("separate", "not 3x3")(sep(test="isinstance(m, nn.Conv2d) and m.groups == 1 and m.in_channels > 1"))
wrong("separate", "pointwise convolution strides|depthwise one should")(
    sep(
        dw="nn.Conv2d(m.in_channels, m.in_channels, 3, 1, m.padding, groups=m.in_channels, bias=False)",
        pw="nn.Conv2d(m.in_channels, m.out_channels, 1, m.stride, bias=m.bias is not None)",
    )
)
wrong("separate", "between the two")(sep(between="nn.BatchNorm2d(m.in_channels), "))
wrong("separate", "between the two")(sep(between="nn.ReLU(), "))
wrong("separate", "(3, 3)|No 3x3 convolution is replaced")(
    sep(test="isinstance(m, nn.Conv2d) and m.kernel_size == 3 and m.groups == 1 and m.in_channels > 1")
)
wrong("separate", "copy")(
    _function(
        "separate",
        "network",
        [
            "network = copy.deepcopy(network)",
            "def go(net):",
            "    for n, m in list(net.named_children()):",
            "        if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1 and m.in_channels > 1:",
            "            setattr(net, n, nn.Sequential(nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=False), nn.Conv2d(m.in_channels, m.out_channels, 1, bias=m.bias is not None)))",
            "        else: go(m)",
            "go(network)",
            "return network",
        ],
    )
)
wrong("separate", "no pointwise")(
    sep(
        put="setattr(network, name, dw)",
    )
)
wrong("separate", "order|1x1 comes first")(
    sep(
        dw="nn.Conv2d(m.in_channels, m.out_channels, 1, bias=m.bias is not None)",
        pw="nn.Conv2d(m.out_channels, m.out_channels, 3, m.stride, m.padding, groups=m.out_channels, bias=False)",
    )
)
wrong("separate", "dot in its name")(
    _function(
        "separate",
        "network",
        [
            "for n, m in list(network.named_modules()):",
            "    if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1 and m.in_channels > 1:",
            "        setattr(network, n, nn.Sequential(nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=False), nn.Conv2d(m.in_channels, m.out_channels, 1, bias=m.bias is not None)))",
        ],
    )
)
wrong("separate", "depthwise convolution has the bias")(
    sep(
        dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=m.bias is not None)",
        pw="nn.Conv2d(m.in_channels, m.out_channels, 1, bias=False)",
    )
)
wrong("separate", "pointwise one alone should")(
    sep(
        dw="nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=m.bias is not None)"
    )
)
wrong("separate", "1x1 comes first")(
    sep(
        dw="nn.Conv2d(m.in_channels, m.out_channels, 1, bias=False)",
        pw="nn.Conv2d(m.out_channels, m.out_channels, 3, m.stride, m.padding, groups=m.out_channels, bias=m.bias is not None)",
    )
)
wrong("separate", "two bare convolutions")(
    sep(
        dw="ConvNormAct(m.in_channels, m.in_channels, stride=m.stride[0], groups=m.in_channels)",
        pw="ConvNormAct(m.in_channels, m.out_channels, kernel_size=1)",
    )
)
wrong("separate", "it is 3x1, not 3x3")(
    sep(test="isinstance(m, nn.Conv2d) and m.kernel_size[0] == 3 and m.groups == 1 and m.in_channels > 1")
)
wrong("separate", "new entry")(
    _function(
        "separate",
        "network",
        [
            "for n, m in list(network.named_modules()):",
            "    if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.groups == 1 and m.in_channels > 1:",
            "        setattr(network, n.replace('.', '_'), nn.Sequential(nn.Conv2d(m.in_channels, m.in_channels, 3, m.stride, m.padding, groups=m.in_channels, bias=False), nn.Conv2d(m.in_channels, m.out_channels, 1, bias=m.bias is not None)))",
        ],
    )
)
right("separate")(
    _function(
        "separate",
        "network",
        [
            "def put(m):",
            "    for key, c in list(m.named_children()):",
            "        if isinstance(c, nn.Conv2d) and c.kernel_size == (3, 3) and c.groups == 1 and c.in_channels > 1:",
            "            m.add_module(key, nn.Sequential(nn.Conv2d(c.in_channels, c.in_channels, 3, c.stride, c.padding, 1, c.in_channels, False), nn.Conv2d(c.in_channels, c.out_channels, 1, bias=c.bias is not None)))",
            "network.apply(put)",
        ],
    )
)
