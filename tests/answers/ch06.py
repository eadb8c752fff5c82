"""Answers to the exercises of chapter 6, Squeeze and excitation."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

from fercourse import layers
from fercourse.layers import ConvNormAct, SqueezeExcite

from functools import partial

from answers import Answers, written_function, written_module

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong
SPACE = {
    "nn": nn, "F": F, "torch": torch, "math": math, "layers": layers, "copy": copy,
    "ConvNormAct": ConvNormAct, "SqueezeExcite": SqueezeExcite,
}  # fmt: skip


_module = partial(written_module, SPACE)

_function = partial(written_function, SPACE)

# ChannelGate ------------------------------------------------------------------------------------------------

MIDDLE = "m = max(1, channels // reduction)"
DENSE = [MIDDLE, "self.a, self.b = nn.Linear(channels, m), nn.Linear(m, channels)"]


def gate(*forward, start=DENSE):
    return _module("ChannelGate", "channels, reduction", start, forward)


MEAN, HIDDEN, GATES = (
    "z = x.mean((2, 3))",
    "z = F.relu(self.a(z))",
    "g = torch.sigmoid(self.b(z))",
)
SCALE = "return x * g[:, :, None, None]"
FOUR = (MEAN, HIDDEN, GATES, SCALE)

right("ChannelGate")(gate(*FOUR))
right("ChannelGate")(
    gate(
        "return self.net(x) * x",
        start=[MIDDLE, "self.net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, m, 1), nn.ReLU(inplace=True), nn.Conv2d(m, channels, 1), nn.Sigmoid())"],
    )
)  # fmt: skip
right("ChannelGate")(
    gate(
        "b, c, h, w = x.shape",
        "y = self.fc2(self.act(self.fc1(x.flatten(2).sum(-1) / (h * w))))",
        "return torch.einsum('bchw,bc->bchw', x, 1 / (1 + (-y).exp()))",
        start=["self.fc1 = nn.Linear(channels, channels // reduction or 1)", "self.act = nn.ReLU()", "self.fc2 = nn.Linear(self.fc1.out_features, channels)"],
    )
)  # fmt: skip
right("ChannelGate")(
    gate(
        "s = F.adaptive_avg_pool2d(x, (1, 1)).view(x.size(0), -1)",
        "s = self.up(torch.clamp(self.down(s), min=0))",
        "return x.mul(s.sigmoid().view(len(x), -1, 1, 1).expand_as(x))",
        start=["hidden = channels // reduction", "if hidden < 1: hidden = 1", "self.up, self.down = nn.Linear(hidden, channels), nn.Linear(channels, hidden)"],
    )
)  # fmt: skip
right("ChannelGate")(
    gate("return self.se(x)", start=["self.se = layers.SqueezeExcite(channels, squeeze_channels=max(channels // reduction, 1))"])
)  # fmt: skip

wrong("ChannelGate", "at least 1")(
    gate(*FOUR, start=["m = channels // reduction", "self.a, self.b = nn.Linear(channels, m), nn.Linear(m, channels)"])
)  # fmt: skip
wrong("ChannelGate", "take the mean")(gate("z = x.amax((2, 3))", *FOUR[1:]))
wrong("ChannelGate", "take the mean|greatest")(gate("z = F.adaptive_max_pool2d(x, 1).flatten(1)", *FOUR[1:]))
wrong("ChannelGate", "adds the pixels up")(gate("z = x.sum(dim=(2, 3))", *FOUR[1:]))
wrong("ChannelGate", "images of the batch")(
    gate("z = x.mean((0, 2, 3))", HIDDEN, GATES, "return x * g[None, :, None, None]")
)
wrong("ChannelGate", "ReLU between")(gate(MEAN, "z = self.a(z)", GATES, SCALE))
wrong("ChannelGate", "sigmoid between")(gate(MEAN, "z = torch.sigmoid(self.a(z))", GATES, SCALE))
wrong("ChannelGate", "no sigmoid")(gate(MEAN, HIDDEN, "g = self.b(z)", SCALE))
wrong("ChannelGate", "softmax")(gate(MEAN, HIDDEN, "g = self.b(z).softmax(dim=1)", SCALE))
wrong("ChannelGate", "tanh")(gate(MEAN, HIDDEN, "g = torch.tanh(self.b(z))", SCALE))
wrong("ChannelGate", "ReLU before the sigmoid")(
    gate(MEAN, HIDDEN, "g = torch.sigmoid(F.relu(self.b(z)))", SCALE)
)
wrong("ChannelGate", "returns the gates")(gate(MEAN, HIDDEN, GATES, "return g[:, :, None, None]"))
wrong("ChannelGate", "returns the gates")(gate(MEAN, HIDDEN, GATES, "return g"))
wrong("ChannelGate", "added")(gate(MEAN, HIDDEN, GATES, "return x + g[:, :, None, None]"))
wrong("ChannelGate", "never be closed")(gate(MEAN, HIDDEN, GATES, "return x + x * g[:, :, None, None]"))
wrong("ChannelGate", "shapes")(gate(MEAN, HIDDEN, GATES, "return x * g"))
wrong("ChannelGate", "changes its input")(gate(MEAN, HIDDEN, GATES, "x *= g[:, :, None, None]", "return x"))
wrong("ChannelGate", "returns None")(gate(MEAN, HIDDEN, GATES, "x * g[:, :, None, None]"))
wrong("ChannelGate", "one dense layer")(
    gate(MEAN, "g = self.a(z).sigmoid()", SCALE, start=["self.a = nn.Linear(channels, channels)"])
)
wrong("ChannelGate", "no biases")(
    gate(*FOUR, start=[MIDDLE, "self.a, self.b = nn.Linear(channels, m, bias=False), nn.Linear(m, channels, bias=False)"])
)  # fmt: skip
wrong("ChannelGate", "`reduction` wide")(
    gate(*FOUR, start=["self.a, self.b = nn.Linear(channels, reduction), nn.Linear(reduction, channels)"])
)
wrong("ChannelGate", "as wide as the input")(
    gate(*FOUR, start=["self.a, self.b = nn.Linear(channels, channels), nn.Linear(channels, channels)"])
)
wrong("ChannelGate", "made in __init__")(
    gate(
        MEAN,
        "m = max(1, x.shape[1] // 4)",
        "g = nn.Linear(m, x.shape[1])(F.relu(nn.Linear(x.shape[1], m)(z))).sigmoid()",
        SCALE,
        start=["pass"],
    )
)
wrong("ChannelGate", "detached")(gate(MEAN, HIDDEN, "g = torch.sigmoid(self.b(z)).detach()", SCALE))
wrong("ChannelGate", "hard-sigmoid")(gate(MEAN, HIDDEN, "g = F.hardsigmoid(self.b(z))", SCALE))
wrong("ChannelGate", "averages by the gates|multiply the input itself")(
    gate(MEAN, HIDDEN, GATES, "return (x.mean((2, 3)) * g)[:, :, None, None].expand_as(x)")
)
wrong("ChannelGate", "another number of values")(gate("z = F.adaptive_avg_pool2d(x, 1)", *FOUR[1:]))
wrong("ChannelGate", "normalisation")(
    gate(MEAN, "z = F.relu(self.n(self.a(z)))", GATES, SCALE, start=[*DENSE, "self.n = nn.BatchNorm1d(m)"])
)

# se_parameters ----------------------------------------------------------------------------------------------


def count(*lines):
    return _function("se_parameters(widths, depths, reduction)", *lines)


LOOP = ("total = 0", "for c, n in zip(widths, depths):", "    m = c // reduction")
right("se_parameters")(count(*LOOP, "    total += n * (c * m + m + m * c + c)", "return total"))
right("se_parameters")(
    count("return sum(d * (w // reduction * (2 * w + 1) + w) for w, d in zip(widths, depths, strict=True))")
)
right("se_parameters")(
    count(
        "total = torch.tensor(0)",
        "for c, n in zip(widths, depths):",
        "    se = layers.SqueezeExcite(c, squeeze_channels=c // reduction)",
        "    total = total + n * sum(p.numel() for p in se.parameters())",
        "return total",
    )
)
right("se_parameters")(
    count(
        "import numpy as np",
        "c, n = np.array(widths), np.array(depths)",
        "m = np.floor(c / reduction)",
        "return float(n @ (2 * c * m + c + m))",
    )
)
right("se_parameters")(
    count(
        "blocks = [w for w, d in zip(widths, depths) for _ in range(d)]",
        "one = nn.Sequential(*[nn.Sequential(nn.Linear(w, w // reduction), nn.Linear(w // reduction, w)) for w in blocks])",
        "return sum(p.numel() for p in one.parameters())",
    )
)
wrong("se_parameters", "biases are missing")(count(*LOOP, "    total += n * 2 * c * m", "return total"))
wrong("se_parameters", "biases are missing")(
    count("return sum(2 * d * w * w / reduction for w, d in zip(widths, depths))")
)
wrong("se_parameters", "one dense layer is counted")(
    count(*LOOP, "    total += n * (c * m + m)", "return total")
)
wrong("se_parameters", "first one has|first has one too|first dense|second dense")(
    count(*LOOP, "    total += n * (2 * c * m + c)", "return total")
)
wrong("se_parameters", "first dense layer's bias")(
    count(*LOOP, "    total += n * (2 * c * m + m)", "return total")
)
wrong("se_parameters", "counted once")(count(*LOOP, "    total += 2 * c * m + c + m", "return total"))
wrong("se_parameters", "return` stand inside the loop")(
    count(*LOOP, "    total += n * (2 * c * m + c + m)", "    return total")
)
wrong("se_parameters", "last stage alone")(
    count(*LOOP, "    total = n * (2 * c * m + c + m)", "return total")
)
wrong("se_parameters", "sum is asked for")(
    count("return [d * (2 * w * (w // reduction) + w + w // reduction) for w, d in zip(widths, depths)]")
)
wrong("se_parameters", "rounded down")(
    count("return sum(d * (2 * w * w / reduction + w + w / reduction) for w, d in zip(widths, depths))")
)
wrong("se_parameters", "middle is `reduction`")(
    count("return sum(d * (2 * w * reduction + w + reduction) for w, d in zip(widths, depths))")
)
wrong("se_parameters", "no part in it")(
    count("return sum(d * (2 * w * w + 2 * w) for w, d in zip(widths, depths))")
)
wrong("se_parameters", "both layers gave all channels")(
    count(*LOOP, "    total += n * (2 * c * m + 2 * c)", "return total")
)
wrong("se_parameters", "millions")(count(*LOOP, "    total += n * (2 * c * m + c + m)", "return total / 1e6"))
wrong("se_parameters", "return")(count(*LOOP, "    total += n * (2 * c * m + c + m)", "print(total)"))
wrong("se_parameters", "four once more")(
    count(*LOOP, "    c, m = 4 * c, 4 * m", "    total += n * (2 * c * m + c + m)", "return total")
)

# SEBottleneck -----------------------------------------------------------------------------------------------

TRUNK = [
    "wide = 4 * width",
    "self.branch = nn.Sequential(ConvNormAct(in_channels, width, kernel_size=1), ConvNormAct(width, width, stride=stride), ConvNormAct(width, wide, kernel_size=1, act=None))",
    "self.short = nn.Identity()",
    "if stride != 1 or in_channels != wide:",
    "    self.short = ConvNormAct(in_channels, wide, kernel_size=1, stride=stride, act=None)",
]
GATED = "self.se = layers.SqueezeExcite(wide, squeeze_channels=wide // reduction)"


def bottle(*forward, start=(*TRUNK, GATED)):
    return _module("SEBottleneck", "in_channels, width, stride, reduction", start, forward)


right("SEBottleneck")(bottle("return F.relu(self.se(self.branch(x)) + self.short(x))"))
right("SEBottleneck")(
    bottle("s = self.short(x)", "y = self.se(self.branch(x))", "y += s", "return torch.relu(y)")
)
right("SEBottleneck")(
    bottle(
        "return (self.branch(x) + self.short(x)).clamp(min=0)",
        start=[*TRUNK, GATED, "self.branch.append(self.se)"],
    )
)
right("SEBottleneck")(
    bottle(
        "y = self.n1(self.c1(x)).relu()",
        "y = self.n2(self.c2(y)).relu()",
        "y = self.n3(self.c3(y))",
        "g = self.up(self.down(y.mean((2, 3))).relu()).sigmoid()",
        "y = y * g.unsqueeze(-1).unsqueeze(-1)",
        "if self.proj is not None: x = self.proj_norm(self.proj(x))",
        "return F.relu(x + y)",
        start=[
            "o = 4 * width",
            "self.c1, self.n1 = nn.Conv2d(in_channels, width, 1), nn.BatchNorm2d(width)",
            "self.c2, self.n2 = nn.Conv2d(width, width, 3, stride, 1), nn.BatchNorm2d(width)",
            "self.c3, self.n3 = nn.Conv2d(width, o, 1, bias=False), nn.BatchNorm2d(o)",
            "self.down, self.up = nn.Linear(o, o // reduction), nn.Linear(o // reduction, o)",
            "self.proj = None",
            "if stride > 1 or in_channels != o: self.proj, self.proj_norm = nn.Conv2d(in_channels, o, 1, stride), nn.BatchNorm2d(o)",
        ],
    )
)
wrong("SEBottleneck", "position 'post'")(bottle("return self.se(F.relu(self.branch(x) + self.short(x)))"))
wrong("SEBottleneck", "close the shortcut too")(
    bottle("return F.relu(self.se(self.branch(x) + self.short(x)))")
)
wrong("SEBottleneck", "on the shortcut; they belong")(
    bottle("return F.relu(self.branch(x) + self.se(self.short(x)))")
)
wrong("SEBottleneck", "never called|no gates|has besides")(
    bottle("return F.relu(self.branch(x) + self.short(x))")
)
wrong("SEBottleneck", "bottleneck of chapter 5")(
    bottle("return F.relu(self.branch(x) + self.short(x))", start=TRUNK)
)
wrong("SEBottleneck", "never added")(
    bottle("return F.relu(self.se(self.branch(x)))", start=[*TRUNK[:2], GATED])
)
wrong("SEBottleneck", "ReLU after the sum is missing")(
    bottle("return self.se(self.branch(x)) + self.short(x)")
)
wrong("SEBottleneck", "only add, never take away")(
    bottle("return F.relu(F.relu(self.se(self.branch(x))) + self.short(x))")
)
wrong("SEBottleneck", "ReLU before the gates")(
    bottle("return F.relu(self.se(F.relu(self.branch(x))) + self.short(x))")
)
wrong("SEBottleneck", "squares")(
    bottle("y = self.branch(x)", "return F.relu(y * self.se(y) + self.short(x))")
)
wrong("SEBottleneck", "ungated one")(
    bottle("y = self.branch(x)", "return F.relu(y + self.se(y) + self.short(x))")
)
wrong("SEBottleneck", "4 \\* width // reduction")(
    bottle(
        "return F.relu(self.se(self.branch(x)) + self.short(x))",
        start=[*TRUNK, "self.se = layers.SqueezeExcite(wide, squeeze_channels=width // reduction)"],
    )
)
wrong("SEBottleneck", "expected|channels than it was made for")(
    bottle(
        "return F.relu(self.se(self.branch(x)) + self.short(x))",
        start=[*TRUNK, "self.se = layers.SqueezeExcite(width, squeeze_channels=width // reduction)"],
    )
)
wrong("SEBottleneck", "typed in as 16|at least|lacks")(
    bottle(
        "return F.relu(self.se(self.branch(x)) + self.short(x))",
        start=[*TRUNK, "self.se = layers.SqueezeExcite(wide, squeeze_channels=wide // 16)"],
    )
)
wrong("SEBottleneck", "position 'pre'")(
    bottle(
        "return F.relu(self.branch(self.se(x)) + self.short(x))",
        start=[
            *TRUNK,
            "self.se = layers.SqueezeExcite(in_channels, squeeze_channels=in_channels // reduction)",
        ],
    )
)
wrong("SEBottleneck", "follow the 3x3")(
    bottle(
        "y = self.branch[2](self.se(self.branch[1](self.branch[0](x))))",
        "return F.relu(y + self.short(x))",
        start=[*TRUNK, "self.se = layers.SqueezeExcite(width, squeeze_channels=width // reduction)"],
    )
)
wrong("SEBottleneck", "before the last batch norm")(
    bottle(
        "y = self.branch[1](self.branch[0](x))",
        "y = self.branch[2].norm(self.se(self.branch[2].conv(y)))",
        "return F.relu(y + self.short(x))",
    )
)
wrong("SEBottleneck", "shortcut should be the input itself")(
    bottle(
        "return F.relu(self.se(self.branch(x)) + self.short(x))",
        start=[*TRUNK[:2], TRUNK[4].strip(), GATED],
    )
)
wrong("SEBottleneck", "first 1x1 strides")(
    bottle(
        "return F.relu(self.se(self.branch(x)) + self.short(x))",
        start=[TRUNK[0], TRUNK[1].replace("kernel_size=1), ConvNormAct(width, width, stride=stride)", "kernel_size=1, stride=stride), ConvNormAct(width, width)"), *TRUNK[2:], GATED],
    )
)  # fmt: skip
wrong("SEBottleneck", "unexpected keyword|required|arguments")(
    bottle("return self.se(x)", start=["self.se = layers.SqueezeExcite(4 * width, reduction)"])
)

# ConcurrentGate ---------------------------------------------------------------------------------------------

BOTH = [
    "self.channel = layers.SqueezeExcite(channels, squeeze_channels=channels // reduction)",
    "self.place = nn.Conv2d(channels, 1, 1)",
]


def concurrent(*forward, start=BOTH):
    return _module("ConcurrentGate", "channels, reduction", start, forward)


right("ConcurrentGate")(concurrent("return self.channel(x) + x * torch.sigmoid(self.place(x))"))
right("ConcurrentGate")(
    concurrent(
        "one = self.place(x).sigmoid() * x",
        "other = self.channel(x)",
        "return torch.stack([one, other]).sum(0)",
        start=[BOTH[0], BOTH[1].replace("1, 1)", "1, kernel_size=1, bias=False)")],
    )
)
right("ConcurrentGate")(concurrent("return x * (self.channel.gates(x) + F.sigmoid(self.place(x)))"))
right("ConcurrentGate")(
    concurrent(
        "c = self.f2(F.relu(self.f1(x.mean((2, 3))))).sigmoid()[..., None, None]",
        "s = self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).sigmoid()",
        "return torch.add(x * c, x * s)",
        start=["self.f1, self.f2 = nn.Linear(channels, channels // reduction), nn.Linear(channels // reduction, channels)", "self.dense = nn.Linear(channels, 1)"],
    )
)  # fmt: skip
wrong("ConcurrentGate", "places are missing")(concurrent("return self.channel(x)", start=BOTH[:1]))
wrong("ConcurrentGate", "channels are missing")(
    concurrent("return x * self.place(x).sigmoid()", start=BOTH[1:])
)
wrong("ConcurrentGate", "gates are multiplied")(
    concurrent("return self.channel(x) * self.place(x).sigmoid()")
)
wrong("ConcurrentGate", "greater of the two")(
    concurrent("return torch.max(self.channel(x), x * self.place(x).sigmoid())")
)
wrong("ConcurrentGate", "side by side")(
    concurrent("x = self.channel(x)", "return x * self.place(x).sigmoid()")
)
wrong("ConcurrentGate", "side by side")(
    concurrent("y = self.channel(x)", "return y + y * self.place(y).sigmoid()")
)
wrong("ConcurrentGate", "side by side")(concurrent("return self.channel(x * self.place(x).sigmoid())"))
wrong("ConcurrentGate", "added as it is")(concurrent("return self.channel(x) + self.place(x).sigmoid()"))
wrong("ConcurrentGate", "no sigmoid")(concurrent("return self.channel(x) + x * self.place(x)"))
wrong("ConcurrentGate", "squares")(concurrent("return x * self.channel(x) + x * self.place(x).sigmoid()"))
wrong("ConcurrentGate", "joined|concatenat")(
    concurrent("return torch.cat([self.channel(x), x * self.place(x).sigmoid()], dim=1)")
)
wrong("ConcurrentGate", "3x3")(
    concurrent("return self.channel(x) + x * self.place(x).sigmoid()", start=[BOTH[0], "self.place = nn.Conv2d(channels, 1, 3, padding=1)"])
)  # fmt: skip
wrong("ConcurrentGate", "map for each channel")(
    concurrent("return self.channel(x) + x * self.place(x).sigmoid()", start=[BOTH[0], "self.place = nn.Conv2d(channels, channels, 1)"])
)  # fmt: skip
wrong("ConcurrentGate", "softmax over a single map")(
    concurrent("return self.channel(x) + x * self.place(x).softmax(1)")
)
wrong("ConcurrentGate", "besides, ungated")(
    concurrent("return x + self.channel(x) + x * self.place(x).sigmoid()")
)
wrong("ConcurrentGate", "mean of the two")(
    concurrent("return (self.channel(x) + x * self.place(x).sigmoid()) / 2")
)
wrong("ConcurrentGate", "`reduction` wide")(
    concurrent("return self.channel(x) + x * self.place(x).sigmoid()", start=["self.channel = layers.SqueezeExcite(channels, squeeze_channels=reduction)", BOTH[1]])
)  # fmt: skip
wrong("ConcurrentGate", "returns the sum of the gates")(
    concurrent("return self.channel.gates(x) + self.place(x).sigmoid()")
)
wrong("ConcurrentGate", "averaged to one number")(
    concurrent("return self.channel(x) + x * self.place(x).mean((2, 3), keepdim=True).sigmoid()")
)

# read_gates -------------------------------------------------------------------------------------------------


def read(*lines):
    return _function("read_gates(model, images)", *lines)


START = ("was, found, handles = model.training, {}, []", "model.eval()")
WALK = ("for name, module in model.named_modules():", "    if isinstance(module, layers.SqueezeExcite):")
KEEP = "        handles.append(module.gate.register_forward_hook(lambda m, i, o, name=name: found.update({name: o.flatten(1)})))"
PASS = ("with torch.no_grad():", "    model(images)")
AWAY = ("for handle in handles: handle.remove()", "model.train(was)")
END = "return found"

right("read_gates")(read(*START, *WALK, KEEP, *PASS, *AWAY, END))
right("read_gates")(
    read(
        "mode = model.training",
        "model.train(False)",
        "out = {}",
        "def keep(name):",
        "    def hook(module, inputs, output):",
        "        out[name] = module.gates(inputs[0])[:, :, 0, 0].detach().numpy()",
        "    return hook",
        "hooks = [m.register_forward_hook(keep(n)) for n, m in model.named_modules() if type(m) is layers.SqueezeExcite]",
        "model(images)",
        "[h.remove() for h in hooks]",
        "model.train(mode)",
        "return out",
    )
)
right("read_gates")(
    read(
        "net = copy.deepcopy(model).eval()",
        "out = {}",
        "for n, m in net.named_modules():",
        "    if hasattr(m, 'expand') and hasattr(m, 'reduce'):",
        "        def note(_, inputs, n=n): out[n] = inputs[0]",
        "        m.gate.register_forward_pre_hook(note)",
        "        m.gate.register_forward_hook(lambda _, __, g, n=n: out.__setitem__(n, g.squeeze(-1).squeeze(-1)))",
        "net(images)",
        "return out",
    )
)
right("read_gates")(
    read(
        "was = model.training",
        "model.eval()",
        "found = {}",
        "names = {m: n for n, m in model.named_modules() if isinstance(m, SqueezeExcite)}",
        "def hook(m, inputs, out):",
        "    x = inputs[0].mean((2, 3), keepdim=True)",
        "    found[names[m]] = m.gate(m.expand(torch.relu(m.reduce(x)))).view(len(x), -1)",
        "handles = [m.register_forward_hook(hook) for m in names]",
        "try:",
        "    with torch.inference_mode(): model(images)",
        "finally:",
        "    for h in handles: h.remove()",
        "    model.train(was)",
        "return found",
    )
)
wrong("read_gates", "model.eval\\(\\)")(read(START[0], *WALK, KEEP, *PASS, *AWAY, END))
wrong("read_gates", "left in evaluation mode")(read(*START, *WALK, KEEP, *PASS, AWAY[0], END))
wrong("read_gates", "hooks stay")(read(*START, *WALK, KEEP, *PASS, AWAY[1], END))
wrong("read_gates", "look.*up when it is called")(
    read(*START, *WALK, KEEP.replace(", name=name", ""), *PASS, *AWAY, END)
)
wrong("read_gates", "flatten")(read(*START, *WALK, KEEP.replace("o.flatten(1)", "o"), *PASS, *AWAY, END))
wrong("read_gates", "before the sigmoid")(
    read(*START, *WALK, KEEP.replace("module.gate", "module.expand"), *PASS, *AWAY, END)
)
wrong("read_gates", "hard-sigmoid")(
    read(*START, *WALK, KEEP.replace("module.gate", "module.expand").replace("o.flatten(1)", "o.sigmoid().flatten(1)"), *PASS, *AWAY, END)
)  # fmt: skip
wrong("read_gates", "gated maps")(
    read(*START, *WALK, KEEP.replace("module.gate", "module").replace("o.flatten(1)", "o"), *PASS, *AWAY, END)
)
wrong("read_gates", "averaged over the images")(
    read(*START, *WALK, KEEP.replace("o.flatten(1)", "o.flatten(1).mean(0)"), *PASS, *AWAY, END)
)
wrong("read_gates", "dictionary is empty")(read(*START, *WALK, KEEP, *AWAY, *PASS, END))
wrong("read_gates", "dictionary")(
    read(
        *START,
        "found = []",
        *WALK,
        "        handles.append(module.gate.register_forward_hook(lambda m, i, o: found.append(o.flatten(1))))",
        *PASS,
        *AWAY,
        END,
    )
)
wrong("read_gates", "name of its SqueezeExcite")(
    read(
        *START,
        "for name, module in model.named_modules():",
        "    if name.endswith('gate'):",
        "        handles.append(module.register_forward_hook(lambda m, i, o, name=name: found.update({name: o.flatten(1)})))",
        *PASS,
        *AWAY,
        END,
    )
)
wrong("read_gates", "squeezed averages")(
    read(*START, *WALK, KEEP.replace("module.gate", "module.squeeze"), *PASS, *AWAY, END)
)
wrong("read_gates", "narrow middle")(
    read(*START, *WALK, KEEP.replace("module.gate", "module.reduce"), *PASS, *AWAY, END)
)
wrong("read_gates", "None|return")(read(*START, *WALK, KEEP, *PASS, *AWAY, "print(found)"))
wrong("read_gates", "dictionary is empty|all levels|missing")(
    read(*START, "for name, module in model.named_children():", WALK[1], KEEP, *PASS, *AWAY, END)
)

# freeze_gates -----------------------------------------------------------------------------------------------


def freeze(*lines):
    return _function("freeze_gates(model, images)", *lines)


MEASURE = (
    "was, found, handles = model.training, {}, []",
    "model.eval()",
    "for name, module in model.named_modules():",
    "    if isinstance(module, layers.SqueezeExcite):",
    "        handles.append(module.gate.register_forward_hook(lambda m, i, o, name=name: found.update({name: o.detach()})))",
    *PASS,
    "for handle in handles: handle.remove()",
)
CONSTANT = (
    "class Scale(nn.Module):",
    "    def __init__(self, g):",
    "        super().__init__()",
    "        self.register_buffer('g', g)",
    "    def forward(self, x): return x * self.g",
)
PUT = (
    "for name, g in found.items():",
    "    parent, _, last = name.rpartition('.')",
    "    setattr(model.get_submodule(parent), last, Scale(g.mean(0, keepdim=True)))",
)
DONE = ("model.train(was)", "return model")


def putting(value, scale="x * self.g"):
    return freeze(
        *MEASURE, *CONSTANT[:-1], f"    def forward(self, x): return {scale}", *PUT[:2],
        PUT[2].replace("g.mean(0, keepdim=True)", value), *DONE,
    )  # fmt: skip


right("freeze_gates")(freeze(*MEASURE, *CONSTANT, *PUT, *DONE))
right("freeze_gates")(
    freeze(
        *MEASURE,
        "for name, g in found.items():",
        "    se = model.get_submodule(name)",
        "    m = g.mean(0).flatten()",
        "    se.gate = nn.Identity()",
        "    se.expand.weight.data.zero_()",
        "    se.expand.bias.data.copy_(m)",
        *DONE,
    )
)
right("freeze_gates")(
    freeze(
        "mode = model.training",
        "model.eval()",
        "means = {}",
        "def measure(gate, inputs, out): means[gate] = out.mean(0)",
        "gates = [m.gate for m in model.modules() if isinstance(m, layers.SqueezeExcite)]",
        "hooks = [g.register_forward_hook(measure) for g in gates]",
        "with torch.no_grad(): model(images)",
        "for h in hooks: h.remove()",
        "for g in gates: g.register_forward_hook(lambda gate, inputs, out, m=means[g]: m.expand_as(out))",
        "return model.train(mode)",
    )
)
right("freeze_gates")(
    freeze(
        *MEASURE,
        "for name, g in found.items():",
        "    se = model.get_submodule(name)",
        "    se.forward = lambda x, g=g.mean(dim=0): x * g",
        *DONE,
    )
)
right("freeze_gates")(
    freeze(
        "was = model.training",
        "model.eval()",
        "sums = {}",
        "class Fixed(nn.Module):",
        "    def __init__(self, values):",
        "        super().__init__()",
        "        self.values = nn.Parameter(values, requires_grad=False)",
        "    def forward(self, x): return self.values.expand(len(x), -1, 1, 1)",
        "gated = [m for m in model.modules() if isinstance(m, layers.SqueezeExcite)]",
        "handles = [m.register_forward_hook(lambda m, i, o: sums.setdefault(m, []).append(m.gates(i[0]).detach())) for m in gated]",
        "for image in images.split(2): model(image)",
        "for h in handles: h.remove()",
        "for m in gated: m.gate = Fixed(torch.cat(sums[m]).mean(0, keepdim=True))",
        "model.train(was)",
        "return model",
    )
)
wrong("freeze_gates", "Nothing has changed")(
    freeze(
        *MEASURE,
        *CONSTANT,
        "for name, module in model.named_modules():",
        "    if name in found: module = Scale(found[name].mean(0, keepdim=True))",
        *DONE,
    )
)
wrong("freeze_gates", "model.eval")(freeze(MEASURE[0], *MEASURE[2:], *CONSTANT, *PUT, *DONE))
wrong("freeze_gates", "left in evaluation mode")(freeze(*MEASURE, *CONSTANT, *PUT, "return model"))
wrong("freeze_gates", "None|return")(freeze(*MEASURE, *CONSTANT, *PUT, DONE[0]))
wrong("freeze_gates", "over the channels")(putting("g.mean()"))
wrong("freeze_gates", "first image's gates")(putting("g[:1]"))
wrong("freeze_gates", "last image's gates")(putting("g[-1:]"))
wrong("freeze_gates", "All gates are 1")(putting("torch.ones_like(g[:1])"))
wrong("freeze_gates", "a half")(putting("torch.full_like(g[:1], 0.5)"))
wrong("freeze_gates", "median")(putting("g.median(0, keepdim=True)[0]"))
wrong("freeze_gates", "added to the maps")(putting("g.mean(0, keepdim=True)", "x + self.g"))
wrong("freeze_gates", "mean before the sigmoid|before the sigmoid")(
    freeze(
        *[line.replace("module.gate.", "module.expand.") for line in MEASURE],
        *CONSTANT,
        *PUT[:2],
        "    se = model.get_submodule(name)",
        "    setattr(model.get_submodule(parent), last, Scale(se.gate(g.mean(0, keepdim=True))))",
        *DONE,
    )
)
wrong("freeze_gates", "sigmoid is missing")(
    freeze(*[line.replace("module.gate.", "module.expand.") for line in MEASURE], *CONSTANT, *PUT, *DONE)
)
wrong("freeze_gates", "still follow the images")(
    freeze(
        "for m in model.modules():",
        "    if isinstance(m, layers.SqueezeExcite):",
        "        m.gate.register_forward_hook(lambda _, __, out: out.mean(0, keepdim=True).expand_as(out))",
        "return model",
    )
)
wrong("freeze_gates", "copy")(freeze("model = copy.deepcopy(model)", *MEASURE, *CONSTANT, *PUT, *DONE))
wrong("freeze_gates", "before the next is measured")(
    freeze(
        *CONSTANT,
        "was = model.training",
        "model.eval()",
        "for name, module in list(model.named_modules()):",
        "    if isinstance(module, layers.SqueezeExcite):",
        "        kept = []",
        "        h = module.gate.register_forward_hook(lambda m, i, o: kept.append(o.detach()))",
        "        with torch.no_grad(): model(images)",
        "        h.remove()",
        "        parent, _, last = name.rpartition('.')",
        "        setattr(model.get_submodule(parent), last, Scale(kept[0].mean(0, keepdim=True)))",
        "model.train(was)",
        "return model",
    )
)
wrong("freeze_gates", "only the last")(freeze(*MEASURE, *CONSTANT, *PUT[:2], PUT[2][4:], *DONE))
wrong("freeze_gates", "shapes|different shapes|size")(
    freeze(
        *MEASURE,
        "for name, g in found.items():",
        "    se = model.get_submodule(name)",
        "    mean = g.mean(0, keepdim=True)",
        "    se.forward = lambda x: x * mean",
        *DONE,
    )
)

# More of them ------------------------------------------------------------------------------------------------

wrong("ChannelGate", "each pixel gets gates of its own")(
    gate(
        "return x * torch.sigmoid(self.b(F.relu(self.a(x))))",
        start=[MIDDLE, "self.a, self.b = nn.Conv2d(channels, m, 1), nn.Conv2d(m, channels, 1)"],
    )
)
wrong("ChannelGate", "averaged into one")(
    gate(MEAN, HIDDEN, GATES, "return x * g.mean(1)[:, None, None, None]")
)
wrong("ChannelGate", "typed in")(
    gate(*FOUR, start=["m = max(1, channels // 16)", "self.a, self.b = nn.Linear(channels, m), nn.Linear(m, channels)"])
)  # fmt: skip
wrong("ChannelGate", "// divides and rounds down")(
    gate(*FOUR, start=["m = max(1, channels / reduction)", "self.a, self.b = nn.Linear(channels, m), nn.Linear(m, channels)"])
)  # fmt: skip
wrong("ChannelGate", "leaky_relu")(gate(MEAN, "z = F.leaky_relu(self.a(z))", GATES, SCALE))
wrong("se_parameters", "counted twice")(
    count("return sum(2 * d * (w * (w // reduction) + w + w // reduction) for w, d in zip(widths, depths))")
)
wrong("se_parameters", "mind the brackets")(
    count("return sum(d * 2 * w * (w // reduction) + w + w // reduction for w, d in zip(widths, depths))")
)
wrong("se_parameters", "last depth")(
    count(*LOOP, "    total = total + 2 * c * m + c + m", "return total * n")
)
ALL_RIGHT = "return F.relu(self.se(self.branch(x)) + self.short(x))"
wrong("SEBottleneck", "Branch and shortcut do not fit")(
    bottle(ALL_RIGHT, start=[*TRUNK[:3], "if in_channels != wide:", TRUNK[4], GATED])
)
wrong("SEBottleneck", "Branch and shortcut do not fit")(
    bottle(ALL_RIGHT, start=[*TRUNK[:3], "if stride != 1:", TRUNK[4], GATED])
)
wrong("SEBottleneck", "`reduction` itself")(
    bottle(ALL_RIGHT, start=[*TRUNK, "self.se = layers.SqueezeExcite(wide, squeeze_channels=reduction)"])
)
wrong("SEBottleneck", "multiplied; add")(bottle("return F.relu(self.se(self.branch(x)) * self.short(x))"))
wrong("SEBottleneck", "hardsigmoid")(
    bottle(ALL_RIGHT, start=[*TRUNK, GATED.replace("reduction)", "reduction, gate=nn.Hardsigmoid)")])
)
wrong("ConcurrentGate", "one sigmoid")(
    concurrent("return x * torch.sigmoid(self.channel(x) + self.place(x))")
)
wrong("ConcurrentGate", "below a half")(
    concurrent("return self.channel(x) + x * torch.sigmoid(F.relu(self.place(x)))")
)
wrong("ConcurrentGate", "made in forward")(
    concurrent("return self.channel(x) + x * nn.Conv2d(x.shape[1], 1, 1)(x).sigmoid()", start=BOTH[:1])
)
wrong("ConcurrentGate", "changes its input")(
    concurrent("y = self.channel(x)", "x *= self.place(x).sigmoid()", "return x + y")
)
wrong("read_gates", "last image's gates")(
    read(*START, *WALK, KEEP, "for image in images: model(image[None])", *AWAY, END)
)
wrong("read_gates", "is no number")(
    read(*START, *WALK, KEEP.replace("module.gate", "module").replace("o.flatten(1)", "(o / i[0]).mean((2, 3))"), *PASS, *AWAY, END)
)  # fmt: skip
wrong("read_gates", "share one key")(
    read(*START, *WALK, KEEP.replace("name=name", "name='se'"), *PASS, *AWAY, END)
)
wrong("read_gates", "left in training mode")(read(*START, *WALK, KEEP, *PASS, AWAY[0], "model.train()", END))
wrong("freeze_gates", "sigmoid is applied once more")(
    freeze(
        *MEASURE,
        "for name, g in found.items():",
        "    se = model.get_submodule(name)",
        "    se.expand.weight.data.zero_()",
        "    se.expand.bias.data.copy_(g.mean(0).flatten())",
        *DONE,
    )
)
wrong("freeze_gates", "gated maps is used")(
    freeze(*[line.replace("module.gate.", "module.") for line in MEASURE], *CONSTANT, *PUT, *DONE)
)
wrong("freeze_gates", "not its own")(
    freeze(*MEASURE, *CONSTANT, "for name, g in found.items():", "    setattr(model, name, Scale(g.mean(0, keepdim=True)))", *DONE)
)  # fmt: skip
wrong("freeze_gates", "Nothing has changed")(
    freeze("for p in model.parameters(): p.requires_grad_(False)", "model(images)", "return model")
)

# What a second reader wrote ---------------------------------------------------------------------------------

wrong("ChannelGate", "two axes of length one come last")(
    gate(MEAN, HIDDEN, GATES, "return x * g[:, None, None, :]")
)
wrong("ConcurrentGate", "from what the places have let through")(
    concurrent("s = x * self.place(x).sigmoid()", "return s + self.channel(s)")
)
wrong("read_gates", "takes away every axis")(
    read(*START, *WALK, KEEP.replace("o.flatten(1)", "o.squeeze()"), *PASS, *AWAY, END)
)
wrong("read_gates", "hooks are cleared")(
    read(*START, *WALK, KEEP, *PASS, "for m in model.modules(): m._forward_hooks.clear()", AWAY[1], END)
)
wrong("read_gates", "nn.Sigmoid alone")(
    read(*START, WALK[0], "    if isinstance(module, nn.Sigmoid):", KEEP.replace("module.gate", "module").replace("{name:", "{name[:-5]:"), *PASS, *AWAY, END)
)  # fmt: skip
wrong("read_gates", "built in any way")(
    read("x, out = model.stem(images), {}", "for b in model.stages: out[b] = b.se.gates(x)", "return out")
)
wrong("read_gates", "through the whole network")(
    read(
        *START,
        "return {n: m.gates(images).flatten(1) for n, m in model.named_modules() if isinstance(m, SqueezeExcite)}",
    )
)
wrong("freeze_gates", "requires_grad = False keeps the weights")(
    freeze(
        *MEASURE, "for name in found:", "    model.get_submodule(name).requires_grad_(False)", *DONE
    )
)  # fmt: skip
wrong("freeze_gates", "in the place of .gate")(
    freeze(*MEASURE, *CONSTANT, "for n, g in found.items():", "    model.get_submodule(n).gate = Scale(g.mean(0, keepdim=True))", *DONE)
)  # fmt: skip
wrong("freeze_gates", "built in any way")(
    freeze("for b in model.blocks: b.se.gate = nn.Identity()", "return model")
)
wrong("ChannelGate", "channels - reduction wide")(
    gate(*FOUR, start=["m = max(1, channels - reduction)", DENSE[1]])
)
wrong("se_parameters", "widths are added up first")(
    count("c = sum(widths)", "return sum(depths) * (2 * c * (c // reduction) + c + c // reduction)")
)
wrong("ConcurrentGate", "turned round")(
    concurrent("return self.channel(x) + x * (1 - self.place(x).sigmoid())")
)
wrong("ConcurrentGate", "on the map alone")(
    concurrent("return self.channel(x) + torch.sigmoid(x * self.place(x))")
)
wrong("read_gates", "Only the last hook")(
    read(*START, WALK[0], WALK[1], KEEP.replace("handles.append(", "handle = (").replace("flatten(1)})))", "flatten(1)})))"), *PASS, "handle.remove()", AWAY[1], END)
)  # fmt: skip
wrong("freeze_gates", "logit of the mean")(putting("g.mean(0, keepdim=True).logit()"))
wrong("freeze_gates", "still answer to the image")(
    freeze(*MEASURE, "for n, g in found.items():", "    se = model.get_submodule(n)", "    se.gate = nn.Identity()", "    se.expand.bias.data = g.mean(0).flatten()", *DONE)
)  # fmt: skip
