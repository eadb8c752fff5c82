"""Answers to the exercises of chapter 5, Residual learning."""

# ruff: noqa
# mypy: ignore-errors

import math

import torch
from torch import nn
from torch.nn import functional as F

from functools import partial

from answers import Answers, written_module

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong


SPACE = {"nn": nn, "F": F, "torch": torch, "math": math}  # fmt: skip
_module = partial(written_module, SPACE)


def conv(i, o, k=3, s="1", more=", bias=False"):
    return f"nn.Conv2d({i}, {o}, {k}, stride={s}, padding={k // 2}{more})"


# ResidualBlock and DownBlock --------------------------------------------------------------------------------

C = "channels"
PLAIN = [f"self.c1, self.n1 = {conv(C, C)}, nn.BatchNorm2d(channels)", f"self.c2, self.n2 = {conv(C, C)}, nn.BatchNorm2d(channels)"]  # fmt: skip


def residual(*forward, start=PLAIN):
    return _module("ResidualBlock", "channels", start, forward)


FIRST, SECOND = "y = F.relu(self.n1(self.c1(x)))", "y = self.n2(self.c2(y))"

right("ResidualBlock")(residual("return torch.relu(x + self.n2(self.c2(self.n1(self.c1(x)).relu())))"))
right("ResidualBlock")(
    residual(
        "return self.act(torch.add(self.branch(x), x))",
        start=[f"self.branch = nn.Sequential({conv(C, C, more='')}, nn.BatchNorm2d({C}), nn.ReLU(inplace=True), {conv(C, C, more='')}, nn.BatchNorm2d({C}))", "self.act = nn.ReLU()"],
    )
)  # fmt: skip
right("ResidualBlock")(residual("identity = x", FIRST, SECOND, "y += identity", "return y.clamp(min=0)"))
right("ResidualBlock")(residual(FIRST, SECOND, "return F.relu(torch.stack([x, y]).sum(0))"))

wrong("ResidualBlock", "never added|no shortcut")(residual(FIRST, SECOND, "return F.relu(y)"))
wrong("ResidualBlock", "before the sum")(residual(FIRST, SECOND, "return F.relu(y) + x"))
wrong("ResidualBlock", "after the sum is missing")(residual(FIRST, SECOND, "return y + x"))
wrong("ResidualBlock", "between the two convolutions")(
    residual("y = self.n1(self.c1(x))", SECOND, "return F.relu(y + x)")
)
wrong("ResidualBlock", "never called in forward")(
    residual(FIRST, "y = self.n1(self.c2(y))", "return F.relu(y + x)")
)
wrong("ResidualBlock", "multiplied")(residual(FIRST, SECOND, "return F.relu(y * x)"))
wrong("ResidualBlock", "halving|mean")(residual(FIRST, SECOND, "return F.relu((y + x) / 2)"))
wrong("ResidualBlock", "detach")(residual(FIRST, SECOND, "return F.relu(y + x.detach())"))
wrong("ResidualBlock", "returns None")(residual(FIRST, SECOND, "F.relu(y + x)"))
wrong("ResidualBlock", "concatenation|channels")(
    residual(FIRST, SECOND, "return F.relu(torch.cat([x, y], 1))")
)
wrong("ResidualBlock", "changes its input")(
    residual("identity = x", "x = F.relu_(x)", FIRST, SECOND, "return F.relu(y + identity)")
)
wrong("ResidualBlock", "what is done after it is not what")(
    residual("x = F.relu(self.n1(self.c1(x)))", "x = self.n2(self.c2(x))", "return F.relu(x + x)")
)
wrong(
    "ResidualBlock",
    "input is lost|first|instead of the input|after the first|early|between|what goes|not what",
)(residual("x = F.relu(self.n1(self.c1(x)))", "y = self.n2(self.c2(x))", "return F.relu(x + y)"))
wrong("ResidualBlock", "sigmoid|gelu")(
    residual("y = F.gelu(self.n1(self.c1(x)))", SECOND, "return F.gelu(y + x)")
)
wrong("ResidualBlock", "no batch norm")(
    residual(
        "y = F.relu(self.c1(x))",
        "return F.relu(self.c2(y) + x)",
        start=[f"self.c1, self.c2 = {conv(C, C)}, {conv(C, C)}"],
    )
)

DOWN = [
    f"self.c1, self.n1 = {conv('in_channels', 'out_channels', 3, 'stride')}, nn.BatchNorm2d(out_channels)",
    f"self.c2, self.n2 = {conv('out_channels', 'out_channels')}, nn.BatchNorm2d(out_channels)",
]  # fmt: skip
SHORT = [
    "self.short = nn.Sequential()",
    "if stride > 1 or in_channels != out_channels:",
    f"    self.short = nn.Sequential({conv('in_channels', 'out_channels', 1, 'stride')}, nn.BatchNorm2d(out_channels))",
]  # fmt: skip
SUM = "return F.relu(y + self.short(x))"


def down(*forward, start=(*DOWN, *SHORT)):
    return _module("DownBlock", "in_channels, out_channels, stride", start, forward or (FIRST, SECOND, SUM))


right("DownBlock")(down())
right("DownBlock")(down("s = self.short(x)", FIRST, SECOND, "return F.relu(y + s)"))
right("DownBlock")(
    down(
        FIRST, SECOND, "if self.p is not None:", "    x = self.pn(self.p(x))", "return torch.relu(x + y)",
        start=(*DOWN, "self.p = self.pn = None", "if (stride, in_channels) != (1, out_channels):", "    self.p = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride)", "    self.pn = nn.BatchNorm2d(out_channels)"),
    )
)  # fmt: skip
right("DownBlock")(
    down(
        "y = self.body(x)", "y = y + (x if self.fits else self.norm(self.proj(x[..., ::self.s, ::self.s])))", "return y.relu()",
        start=(f"self.body = nn.Sequential({conv('in_channels', 'out_channels', 3, 'stride')}, nn.BatchNorm2d(out_channels), nn.ReLU(), {conv('out_channels', 'out_channels')}, nn.BatchNorm2d(out_channels))",
               "self.fits, self.s = in_channels == out_channels and stride == 1, stride",
               "if not self.fits: self.proj, self.norm = nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)"),
    )
)  # fmt: skip
S1 = f"self.short = nn.Sequential({conv('in_channels', 'out_channels', 1, 'stride')}, nn.BatchNorm2d(out_channels))"
wrong("DownBlock", "where the (shapes agree|input fits)|it has besides|identity|the input itself")(
    down(start=(*DOWN, S1))
)
wrong("DownBlock", "stride|lacks|size of tensor|channels")(
    down(start=(*DOWN, "self.short = nn.Identity()", "if in_channels != out_channels:", "    " + S1))
)
wrong("DownBlock", "stride|lacks|channels|size of tensor")(
    down(start=(*DOWN, "self.short = nn.Identity()", "if stride != 1:", "    " + S1))
)
wrong("DownBlock", "no batch norm after it")(
    down(
        start=(
            *DOWN,
            "self.short = nn.Identity()",
            "if stride != 1 or in_channels != out_channels:",
            f"    self.short = {conv('in_channels', 'out_channels', 1, 'stride')}",
        )
    )
)
wrong("DownBlock", "shortcut (goes through a )?ReLU|ReLU on the shortcut|shortcut goes through a ReLU")(
    down(FIRST, SECOND, "s = self.short(x)", "if len(self.short): s = F.relu(s)", "return F.relu(y + s)")
)
wrong("DownBlock", "size of tensor|stride")(
    down(
        start=(
            *DOWN,
            *SHORT[:2],
            f"    self.short = nn.Sequential({conv('in_channels', 'out_channels', 1)}, nn.BatchNorm2d(out_channels))",
        )
    )
)
wrong("DownBlock", "second convolution strides")(
    down(start=(f"self.c1, self.n1 = {conv('in_channels', 'out_channels')}, nn.BatchNorm2d(out_channels)", f"self.c2, self.n2 = {conv('out_channels', 'out_channels', 3, 'stride')}, nn.BatchNorm2d(out_channels)", *SHORT))
)  # fmt: skip
wrong("DownBlock", "never added|no shortcut|lacks")(down(FIRST, SECOND, "return F.relu(y)", start=DOWN))
wrong("DownBlock", "ReLU")(down(FIRST, SECOND, "return y + self.short(x)"))
wrong("DownBlock", "before the sum")(down(FIRST, SECOND, "return F.relu(y) + self.short(x)"))
wrong("DownBlock", "3x3")(
    down(
        start=(
            *DOWN,
            *SHORT[:2],
            f"    self.short = nn.Sequential({conv('in_channels', 'out_channels', 3, 'stride')}, nn.BatchNorm2d(out_channels))",
        )
    )
)
wrong("DownBlock", "size of tensor")(
    down(start=(*DOWN, "self.short = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()"))
)

# BottleneckBlock --------------------------------------------------------------------------------------------


def bottle(one=conv("in_channels", "width", 1), two=conv("width", "width", 3, "stride"), three=conv("width", "4 * width", 1),
           fits="stride == 1 and in_channels == 4 * width", out="4 * width", short=conv("in_channels", "4 * width", 1, "stride"),
           forward=("y = F.relu(self.n1(self.c1(x)))", "y = F.relu(self.n2(self.c2(y)))", "y = self.n3(self.c3(y))", "return F.relu(y + self.short(x))"), more=()):  # fmt: skip
    start = [f"self.c1, self.c2, self.c3 = {one}, {two}, {three}", "self.n1, self.n2 = nn.BatchNorm2d(self.c1.out_channels), nn.BatchNorm2d(self.c2.out_channels)", f"self.n3 = nn.BatchNorm2d({out})",
             f"self.short = nn.Identity() if {fits} else nn.Sequential({short}, nn.BatchNorm2d({out}))", *more]  # fmt: skip
    return _module("BottleneckBlock", "in_channels, width, stride", start, forward)


B1, B2, B3 = "y = F.relu(self.n1(self.c1(x)))", "y = F.relu(self.n2(self.c2(y)))", "y = self.n3(self.c3(y))"
right("BottleneckBlock")(bottle())
right("BottleneckBlock")(
    bottle(
        forward=(
            "s = self.short(x)",
            "for c, n in ((self.c1, self.n1), (self.c2, self.n2)):",
            "    x = n(c(x)).relu()",
            "return (self.n3(self.c3(x)) + s).relu()",
        )
    )
)
right("BottleneckBlock")(
    bottle(
        "nn.Conv2d(in_channels, width, (1, 1))",
        "nn.Conv2d(width, width, (3, 3), (stride, stride), (1, 1))",
        "nn.Conv2d(width, width * 4, 1)",
    )
)
wrong("BottleneckBlock", "first 1x1 strides")(
    bottle(conv("in_channels", "width", 1, "stride"), conv("width", "width"))
)
wrong("BottleneckBlock", "last 1x1 strides")(
    bottle(two=conv("width", "width"), three=conv("width", "4 * width", 1, "stride"))
)
wrong("BottleneckBlock", "4 \\* width")(
    bottle(
        three=conv("width", "width", 1),
        out="width",
        fits="stride == 1 and in_channels == width",
        short=conv("in_channels", "width", 1, "stride"),
    )
)
wrong("BottleneckBlock", "after the sum is missing")(bottle(forward=(B1, B2, B3, "return y + self.short(x)")))
wrong("BottleneckBlock", "after the second batch norm is missing")(
    bottle(forward=(B1, "y = self.n2(self.c2(y))", B3, "return F.relu(y + self.short(x))"))
)
wrong("BottleneckBlock", "after the first batch norm is missing")(
    bottle(forward=("y = self.n1(self.c1(x))", B2, B3, "return F.relu(y + self.short(x))"))
)
wrong("BottleneckBlock", "before the sum")(bottle(forward=(B1, B2, B3, "return F.relu(y) + self.short(x)")))
wrong("BottleneckBlock", "never added|no shortcut")(bottle(forward=(B1, B2, B3, "return F.relu(y)")))
wrong("BottleneckBlock", "where the shapes agree|input itself")(bottle(fits="False"))
wrong("BottleneckBlock", "size of tensor|shapes?")(bottle(fits="stride == 1"))
wrong("BottleneckBlock", "where the shapes agree|besides|fits|input itself")(
    bottle(fits="stride == 1 and in_channels == width")
)
wrong("BottleneckBlock", "all convolutions are 3x3|3x3")(
    bottle(conv("in_channels", "width"), three=conv("width", "4 * width"))
)

# PreActBlock ------------------------------------------------------------------------------------------------


def pre(*forward, start=PLAIN):
    return _module("PreActBlock", "channels", start, forward)


P1, P2 = "y = self.c1(F.relu(self.n1(x)))", "y = self.c2(F.relu(self.n2(y)))"
right("PreActBlock")(pre(P1, P2, "return x + y"))
right("PreActBlock")(pre(P1, P2, "y += x", "return y"))
right("PreActBlock")(
    pre(
        "return self.f(x) + x",
        start=[
            f"self.f = nn.Sequential(nn.BatchNorm2d({C}), nn.ReLU(), {conv(C, C)}, nn.BatchNorm2d({C}), nn.ReLU(inplace=True), {conv(C, C)})"
        ],
    )
)
wrong("PreActBlock", "ReLU after the sum")(pre(P1, P2, "return F.relu(x + y)"))
wrong("PreActBlock", "never added|no shortcut")(pre(P1, P2, "return y"))
wrong("PreActBlock", "first kind of block|before each convolution")(
    pre(FIRST, SECOND, "return F.relu(x + y)")
)
wrong("PreActBlock", "add x itself")(pre("x = F.relu(self.n1(x))", "y = self.c1(x)", P2, "return x + y"))
wrong("PreActBlock", "add x itself")(pre("x = self.n1(x)", "y = self.c1(F.relu(x))", P2, "return x + y"))
wrong("PreActBlock", "before the first convolution is missing")(
    pre("y = self.c1(self.n1(x))", P2, "return x + y")
)
wrong("PreActBlock", "before the second convolution is missing")(
    pre(P1, "y = self.c2(self.n2(y))", "return x + y")
)
wrong("PreActBlock", "ReLU comes before the batch norm")(
    pre("y = self.c1(self.n1(F.relu(x)))", "y = self.c2(self.n2(F.relu(y)))", "return x + y")
)
wrong("PreActBlock", "changes its input")(pre("y = self.c1(F.relu(self.n1(x)))", P2, "x += y", "return x"))
wrong("PreActBlock", "never called in forward")(pre(P1, "y = self.c2(F.relu(self.n1(y)))", "return x + y"))
wrong("PreActBlock", "returns None")(pre(P1, P2, "x + y"))

# gradient_norms ---------------------------------------------------------------------------------------------


def norms(*lines):
    space = {"F": F, "torch": torch, "nn": nn, "math": math}
    exec("def gradient_norms(model, images, labels):\n    " + "\n    ".join(lines), space)
    return space["gradient_norms"]


Z, L, W = "model.zero_grad()", "loss = F.cross_entropy(model(images), labels)", "loss.backward()"
G = "return {n: p.grad.norm().item() for n, p in model.named_parameters()}"
right("gradient_norms")(
    norms(
        L,
        "names, ps = zip(*model.named_parameters())",
        "return dict(zip(names, [float(g.norm()) for g in torch.autograd.grad(loss, ps)]))",
    )
)
right("gradient_norms")(
    norms(
        "for p in model.parameters(): p.grad = None",
        "nn.CrossEntropyLoss()(model(images), labels).backward()",
        "return {n: p.grad.pow(2).sum().sqrt() for n, p in model.named_parameters()}",
    )
)
right("gradient_norms")(
    norms(
        Z,
        L,
        W,
        "out = {}",
        "for n, p in model.named_parameters():",
        "    out[n] = math.sqrt(sum(v * v for v in p.grad.flatten().tolist()))",
        "return out",
    )
)
right("gradient_norms")(
    norms(
        "model.zero_grad(set_to_none=False)",
        "loss = F.nll_loss(model(images).log_softmax(1), labels)",
        W,
        "return {n: torch.linalg.vector_norm(p.grad).numpy() for n, p in model.named_parameters()}",
    )
)
wrong("gradient_norms", "zero_grad|before|still there")(norms(L, W, G))
wrong("gradient_norms", "backward|NoneType|None")(norms(Z, L, G))
wrong("gradient_norms", "weights|parameter")(
    norms(Z, L, W, "return {n: p.norm().item() for n, p in model.named_parameters()}")
)
wrong("gradient_norms", "square")(
    norms(Z, L, W, "return {n: p.grad.pow(2).sum().item() for n, p in model.named_parameters()}")
)
wrong("gradient_norms", "mean|summed|sum")(
    norms(Z, "loss = F.cross_entropy(model(images), labels, reduction='sum')", W, G)
)
wrong("gradient_norms", "dictionary|name")(
    norms(Z, L, W, "return [p.grad.norm().item() for p in model.parameters()]")
)
wrong("gradient_norms", "return|None")(
    norms(Z, L, W, "print({n: p.grad.norm() for n, p in model.named_parameters()})")
)
wrong("gradient_norms", "weights|step|moved|stay")(
    norms(Z, L, W, "torch.optim.SGD(model.parameters(), lr=0.1).step()", G)
)
wrong("gradient_norms", "softmax")(norms(Z, "loss = F.cross_entropy(model(images).softmax(1), labels)", W, G))
wrong("gradient_norms", "norm|largest|greatest")(
    norms(Z, L, W, "return {n: p.grad.abs().max().item() for n, p in model.named_parameters()}")
)
wrong("gradient_norms", "norm|mean")(
    norms(Z, L, W, "return {n: p.grad.mean().item() for n, p in model.named_parameters()}")
)
wrong("gradient_norms", "norm|sum|absolute")(
    norms(Z, L, W, "return {n: p.grad.abs().sum().item() for n, p in model.named_parameters()}")
)
wrong("gradient_norms", "lacks|bias")(
    norms(Z, L, W, "return {n: p.grad.norm().item() for n, p in model.named_parameters() if 'weight' in n}")
)
wrong("gradient_norms", "gradients? (itself|themselves)|norm|tensor")(
    norms(Z, L, W, "return {n: p.grad for n, p in model.named_parameters()}")
)

# StochasticDepth --------------------------------------------------------------------------------------------


def depth(*forward, start=("self.branch, self.survive = branch, survive",)):
    return _module("StochasticDepth", "branch, survive", start, forward)


E, Q = "if not self.training: return x + self.survive * self.branch(x)", "return x + self.branch(x) if torch.rand(1).item() < self.survive else x"  # fmt: skip
right("StochasticDepth")(depth(E, Q))
right("StochasticDepth")(
    depth(
        "keep = torch.bernoulli(torch.tensor(float(self.survive))) if self.training else self.survive",
        "return x + keep * self.branch(x)",
    )
)
right("StochasticDepth")(
    depth(
        "import random",
        "if self.training:",
        "    return x if random.random() >= self.survive else x + self.branch(x)",
        "return x + self.branch(x) * self.survive",
    )
)
right("StochasticDepth")(
    depth(
        "import numpy as np",
        "y = self.branch(x)",
        "if self.training:",
        "    return x + y if np.random.rand() < self.survive else x",
        "return torch.lerp(x, x + y, self.survive)",
    )
)
wrong("StochasticDepth", "evaluation|survive")(depth("if not self.training: return x + self.branch(x)", Q))
wrong("StochasticDepth", "evaluation|random|training")(depth(Q))
wrong("StochasticDepth", "other way|survive|inverted|probability")(
    depth(E, "return x + self.branch(x) if torch.rand(()) > self.survive else x")
)
wrong("StochasticDepth", "image|whole batch|lot")(
    depth(
        E, "keep = (torch.rand(len(x), 1, 1, 1) < self.survive).float()", "return x + keep * self.branch(x)"
    )
)
wrong("StochasticDepth", "divided|scaled|survive")(
    depth(
        "if not self.training: return x + self.branch(x)",
        "return x + self.branch(x) / self.survive if torch.rand(()) < self.survive else x",
    )
)
wrong("StochasticDepth", "x itself|zero|shortcut|left out|input")(
    depth(E, "return x + self.branch(x) if torch.rand(()) < self.survive else torch.zeros_like(x)")
)
wrong("StochasticDepth", "shortcut|x \\+|input|added")(
    depth(
        "if not self.training: return self.survive * self.branch(x)",
        "return self.branch(x) if torch.rand(()) < self.survive else x",
    )
)
wrong("StochasticDepth", "training|random|always")(depth("return x + self.survive * self.branch(x)"))
wrong("StochasticDepth", "return")(
    depth(E, "if torch.rand(()) < self.survive:", "    return x + self.branch(x)")
)
wrong("StochasticDepth", "keeps the branch in 72%")(
    depth(E, "return x + self.branch(x) if torch.randn(()) < self.survive else x")
)
wrong("StochasticDepth", "dropout|element|value|lot")(
    depth(E, "return x + F.dropout(self.branch(x), 1 - self.survive)")
)
wrong("StochasticDepth", "once|__init__|each|drawn|same")(
    depth(
        E,
        "return x + self.branch(x) if self.keep else x",
        start=("self.branch, self.survive = branch, survive", "self.keep = bool(torch.rand(()) < survive)"),
    )
)
