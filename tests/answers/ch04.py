"""Answers to the exercises of chapter 4, Depth."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math
from itertools import accumulate

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from functools import partial

from answers import Answers, written_function, written_module
from fercourse.layers import ConvNormAct

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong
_SPACE = {"nn": nn, "F": F, "torch": torch, "math": math, "np": np, "copy": copy, "ConvNormAct": ConvNormAct, "accumulate": accumulate}  # fmt: skip


function = partial(written_function, _SPACE)

module = partial(written_module, _SPACE)

# receptive_fields -------------------------------------------------------------------------------------------


def fields(*lines):
    return function("receptive_fields(layers)", *lines)


def walk(inside, start="out, field, step = [], 1, 1", end="return out"):
    return fields(start, "for k, s in layers:", *(f"    {line}" for line in inside), end)


right("receptive_fields")(walk(["field = field + (k - 1) * step", "step = step * s", "out.append(field)"]))
right("receptive_fields")(
    fields(
        "out = []",
        "for n in range(1, len(layers) + 1):",
        "    first = last = 0",
        "    for k, s in reversed(layers[:n]):",
        "        first, last = first * s, last * s + k - 1",
        "    out.append(last - first + 1)",
        "return out",
    )
)
right("receptive_fields")(
    fields(
        "if not layers: return []",
        "k = np.array([a for a, b in layers]); s = np.array([b for a, b in layers])",
        "steps = np.concatenate([[1], np.cumprod(s)[:-1]])",
        "return 1 + np.cumsum((k - 1) * steps)",
    )
)
right("receptive_fields")(
    fields(
        "def one(some):",
        "    r = 1",
        "    for k, s in some[::-1]: r = (r - 1) * s + k",
        "    return r",
        "return tuple(one(layers[: n + 1]) for n in range(len(layers)))",
    )
)
right("receptive_fields")(
    fields(
        "states = accumulate(layers, lambda a, l: (a[0] + (l[0] - 1) * a[1], a[1] * l[1]), initial=(1, 1))",
        "return [float(f) for f, _ in states][1:]",
    )
)
wrong("receptive_fields", "own stride counts")(
    walk(["step *= s", "field += (k - 1) * step", "out.append(field)"])
)
wrong("receptive_fields", "strides are not used")(walk(["field += k - 1", "out.append(field)"]))
wrong("receptive_fields", "multiply")(walk(["field += (k - 1) * step", "step += s", "out.append(field)"]))
wrong("receptive_fields", "multiply")(walk(["field += (k - 1) * step", "step += s - 1", "out.append(field)"]))
wrong("receptive_fields", "only the last one")(
    walk(["field += (k - 1) * step", "step = s", "out.append(field)"])
)
wrong("receptive_fields", "begins with 1")(
    walk(["field += (k - 1) * step", "step *= s", "out.append(field)"], start="out, field, step = [], 0, 1")
)
wrong("receptive_fields", "k - 1")(walk(["field += k * step", "step *= s", "out.append(field)"]))
wrong("receptive_fields", "k - 1")(
    walk(["field += k * step", "step *= s", "out.append(field)"], start="out, field, step = [], 0, 1")
)
wrong("receptive_fields", "half")(walk(["field += k // 2 * step", "step *= s", "out.append(field)"]))
wrong("receptive_fields", "backwards")(walk(["field = (field - 1) * s + k", "out.append(field)"]))
wrong("receptive_fields", "field itself")(walk(["field = field * s + k - 1", "out.append(field)"]))
wrong("receptive_fields", "windows add")(walk(["field *= k", "out.append(field)"]))
wrong("receptive_fields", "last field alone|last value alone")(
    walk(["field += (k - 1) * step", "step *= s"], end="return field")
)
wrong("receptive_fields", "before each layer")(
    walk(["out.append(field)", "field += (k - 1) * step", "step *= s"])
)
wrong("receptive_fields", "single pixel|too many in front")(
    walk(["field += (k - 1) * step", "step *= s", "out.append(field)"], start="out, field, step = [1], 1, 1")
)
wrong("receptive_fields", "from the last to the first|last to first|reverse")(
    fields("out, field, step = [], 1, 1", "for k, s in reversed(layers):", "    field += (k - 1) * step", "    step *= s", "    out.append(field)", "return out")
)  # fmt: skip
wrong("receptive_fields", "swapped")(
    fields("out, field, step = [], 1, 1", "for s, k in layers:", "    field += (k - 1) * step", "    step *= s", "    out.append(field)", "return out")
)  # fmt: skip
wrong("receptive_fields", "steps between neighbours")(walk(["step *= s", "out.append(step)"]))
wrong("receptive_fields", "first values|return.*inside")(
    walk(["field += (k - 1) * step", "step *= s", "out.append(field)", "return out"])
)
wrong("receptive_fields", "returns nothing|return")(
    walk(["field += (k - 1) * step", "step *= s", "out.append(field)"], end="print(out)")
)
wrong("receptive_fields", "pair")(walk(["field += (k - 1) * step", "step *= s", "out.append((field, step))"]))
wrong("receptive_fields", "by itself")(walk(["out.append(k)"]))
wrong("receptive_fields", "first that is wrong|stride")(
    walk(["field += (k - 1) * step * s", "step *= 2", "out.append(field)"])
)

wrong("receptive_fields", "adds 0 steps, of 4 pixels each")(
    walk(["field += max(1, k - 1) * step", "step *= s", "out.append(field)"])
)
wrong("receptive_fields", "wrong way round")(
    walk(["field += (k - 1) * step", "step *= s", "out.append(field)"], end="return out[::-1]")
)
wrong("receptive_fields", "return.*inside")(
    walk(["field += (k - 1) * step", "step *= s", "out.append(field)", "return out"], end="")
)
right("receptive_fields")(
    fields(
        "k = torch.tensor([a for a, _ in layers]); s = torch.tensor([b for _, b in layers])",
        "return 1 + ((k - 1) * (s.cumprod(0) / s)).cumsum(0)",
    )
)

# vgg_cost ---------------------------------------------------------------------------------------------------


def cost(pool="size //= 2", conv=("p += 9 * c * w + w", "m += 9 * c * w * size * size", "c = w"), start="c, p, m = 1, 0, 0", end="return p, m"):  # fmt: skip
    return function(
        "vgg_cost(config, size)",
        start,
        "for w in config:",
        "    if w == 'M':",
        f"        {pool}",
        "    else:",
        *(f"        {line}" for line in conv),
        end,
    )


right("vgg_cost")(cost())
right("vgg_cost")(
    function(
        "vgg_cost(config, size)",
        "layers, c = [], 1",
        "for w in config:",
        "    layers.append(nn.MaxPool2d(2) if w == 'M' else nn.Conv2d(c, w, 3, padding=1))",
        "    c = c if w == 'M' else w",
        "x, macs = torch.zeros(1, 1, size, size), 0",
        "for layer in layers:",
        "    x = layer(x)",
        "    if isinstance(layer, nn.Conv2d): macs += layer.weight.numel() * x.shape[2] * x.shape[3]",
        "return sum(p.numel() for l in layers for p in l.parameters()), macs",
    )
)
right("vgg_cost")(
    function(
        "vgg_cost(config, size)",
        "if not config: return [0, 0]",
        "def go(items, c, n):",
        "    if not items: return 0, 0",
        "    w, *rest = items",
        "    if isinstance(w, str): return go(rest, c, n // 2)",
        "    p, m = go(rest, w, n)",
        "    return p + (c * 9 + 1) * w, m + c * 9 * w * n ** 2",
        "return list(go(config, 1, size))",
    )
)
right("vgg_cost")(
    function(
        "vgg_cost(config, size)",
        "widths = [w for w in config if w != 'M']",
        "ins = [1] + widths[:-1]",
        "sides, n = [], size",
        "for w in config:",
        "    if w == 'M': n = math.floor(n / 2)",
        "    else: sides.append(n)",
        "weights = np.array([9 * a * b for a, b in zip(ins, widths)])",
        "return weights.sum() + sum(widths), float((weights * np.array(sides) ** 2).sum())",
    )
)
wrong("vgg_cost", "biases are missing")(
    cost(conv=("p += 9 * c * w", "m += 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "biases are counted")(
    cost(conv=("n = 9 * c * w + w", "p += n", "m += n * size * size", "c = w"))
)
wrong("vgg_cost", "halves the side")(cost(pool="pass"))
wrong("vgg_cost", "one channel came in|carry")(
    cost(conv=("p += 9 * c * w + w", "m += 9 * c * w * size * size"))
)
wrong("vgg_cost", "grey|one channel")(cost(start="c, p, m = 3, 0, 0"))
wrong("vgg_cost", "weights for each pair|3 x 3")(
    cost(conv=("p += 3 * c * w + w", "m += 3 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "size \\* size")(cost(conv=("p += 9 * c * w + w", "m += 9 * c * w * size", "c = w")))
wrong("vgg_cost", "swapped")(cost(end="return m, p"))
wrong("vgg_cost", "alone|both")(cost(end="return p"))
wrong("vgg_cost", "whole|rounded")(cost(pool="size /= 2"))
wrong("vgg_cost", "rounded up")(cost(pool="size = math.ceil(size / 2)"))
wrong("vgg_cost", "channels that come in")(
    cost(conv=("c = w", "p += 9 * c * w + w", "m += 9 * c * w * size * size"))
)
wrong("vgg_cost", "two operations|flops")(
    cost(conv=("p += 9 * c * w + w", "m += 2 * 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "add them up|last convolution")(
    cost(conv=("p = 9 * c * w + w", "m = 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "on the way|shrinks")(
    cost(conv=("p += 9 * c * w + w", "c = w"), end="return p, p * size * size")
)
wrong("vgg_cost", "return")(
    cost(conv=("p += 9 * c * w + w", "m += 9 * c * w * size * size", "c = w", "return p, m"))
)
wrong("vgg_cost", "nothing|None")(cost(end="print(p, m)"))
wrong("vgg_cost", "million")(cost(end="return p / 1e6, m / 1e6"))
wrong("vgg_cost", "dictionary")(cost(end="return {'parameters': p, 'macs': m}"))
wrong("vgg_cost", "padded|two pixels")(
    cost(conv=("size -= 2", "p += 9 * c * w + w", "m += 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "batch norm")(
    cost(conv=("p += 9 * c * w + w + 2 * w", "m += 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "one bias is counted")(
    cost(conv=("p += 9 * c * w + 1", "m += 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "biases.*halves|halves.*biases")(
    cost(pool="pass", conv=("p += 9 * c * w", "m += 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "quarter|halves")(cost(pool="size //= 4"))

wrong("vgg_cost", "biases are counted by the channels that come in")(
    cost(conv=("p += 9 * c * w + c", "m += 9 * c * w * size * size", "c = w"))
)
wrong("vgg_cost", "one bias is counted")(
    cost(conv=("p += 9 * c * w + 1", "m += 9 * c * w * size * size", "c = w"))
)

# StridedVGG -------------------------------------------------------------------------------------------------

DOWN = "    layers += [nn.Conv2d(c, c, 3, 2, 1), nn.BatchNorm2d(c), nn.ReLU()]"
CONV = "    layers += [nn.Conv2d(c, w, 3, padding=1), nn.BatchNorm2d(w), nn.ReLU()]"


def strided(down=DOWN, conv=CONV, forward=("return self.dense(self.body(x).mean((2, 3)))",), more=("self.dense = nn.Linear(c, num_classes)",), update="c = c if w == 'M' else w", wrap="self.body = nn.Sequential(*layers)"):  # fmt: skip
    start = ["layers, c = [], 1", "for w in config:", "    if w == 'M':", "    " + down, "    else:", "    " + conv, "    " + update, wrap, *more]  # fmt: skip
    return module("StridedVGG", "config, num_classes", start, forward)


right("StridedVGG")(strided())
right("StridedVGG")(
    module(
        "StridedVGG",
        "config, num_classes",
        [
            "self.convs, self.norms = nn.ModuleList(), nn.ModuleList()",
            "channels = 1",
            "for item in config:",
            "    out = channels if item == 'M' else item",
            "    self.convs.append(nn.Conv2d(channels, out, 3, stride=2 if item == 'M' else 1, padding=1, bias=False))",
            "    self.norms.append(nn.BatchNorm2d(out))",
            "    channels = out",
            "self.fc = nn.Conv2d(channels, num_classes, 1)",
        ],
        [
            "for c, n in zip(self.convs, self.norms): x = F.relu(n(c(x)), inplace=True)",
            "return self.fc(F.adaptive_avg_pool2d(x, 1)).flatten(1)",
        ],
    )
)
right("StridedVGG")(
    strided(
        more=("self.body.append(nn.AdaptiveAvgPool2d((1, 1)))", "self.body.append(nn.Flatten())", "self.body.append(nn.Linear(c, num_classes))"),
        forward=("return self.body(x)",),
    )
)  # fmt: skip
right("StridedVGG")(
    strided(
        down="    layers.append(ConvNormAct(c, c, stride=2))",
        conv="    layers.append(ConvNormAct(c, w, bias=True))",
    )
)
wrong("StridedVGG", "max-pools? (are|is) still")(strided(down="    layers.append(nn.MaxPool2d(2))"))
wrong("StridedVGG", "average pool")(strided(down="    layers.append(nn.AvgPool2d(2))"))
wrong("StridedVGG", "do not stride|smaller|stride")(strided(down=DOWN.replace("3, 2, 1", "3, 1, 1")))
wrong("StridedVGG", "halved twice|max-pool")(
    strided(down=DOWN.replace("nn.ReLU()]", "nn.ReLU(), nn.MaxPool2d(2)]"))
)
wrong("StridedVGG", "still a max-pool|max-pool")(
    strided(down=DOWN.replace("3, 2, 1", "3, 1, 1").replace("nn.ReLU()]", "nn.ReLU(), nn.MaxPool2d(2)]"))
)
wrong("StridedVGG", "no padding|padding")(strided(down=DOWN.replace("3, 2, 1", "3, 2")))
wrong("StridedVGG", "2 x 2|2x2")(strided(down=DOWN.replace("3, 2, 1", "2, 2")))
wrong("StridedVGG", "1 x 1|1x1")(strided(down=DOWN.replace("3, 2, 1", "1, 2")))
wrong("StridedVGG", "neither batch norm nor relu")(
    strided(down="    layers.append(nn.Conv2d(c, c, 3, 2, 1))")
)
wrong("StridedVGG", "no ReLU behind")(strided(down=DOWN.replace(", nn.ReLU()", "")))
wrong("StridedVGG", "no batch norm behind")(strided(down=DOWN.replace(", nn.BatchNorm2d(c)", "")))
wrong("StridedVGG", "double the channels|keep")(
    strided(
        down="    layers += [nn.Conv2d(c, 2 * c, 3, 2, 1), nn.BatchNorm2d(2 * c), nn.ReLU()]",
        update="c = 2 * c if w == 'M' else w",
    )
)
wrong("StridedVGG", "no batch norm")(
    strided(down=DOWN.replace(", nn.BatchNorm2d(c)", ""), conv=CONV.replace(", nn.BatchNorm2d(w)", ""))
)
wrong("StridedVGG", "no ReLU")(
    strided(down=DOWN.replace(", nn.ReLU()", ""), conv=CONV.replace(", nn.ReLU()", ""))
)
wrong("StridedVGG", "order is convolution")(
    strided(down=DOWN.replace("nn.BatchNorm2d(c), nn.ReLU()", "nn.ReLU(), nn.BatchNorm2d(c)"), conv=CONV.replace("nn.BatchNorm2d(w), nn.ReLU()", "nn.ReLU(), nn.BatchNorm2d(w)"))
)  # fmt: skip
wrong("StridedVGG", "greatest value")(strided(forward=("return self.dense(self.body(x).amax((2, 3)))",)))
wrong("StridedVGG", "softmax")(strided(forward=("return self.dense(self.body(x).mean((2, 3))).softmax(1)",)))
wrong("StridedVGG", "ModuleList|Sequential")(
    strided(
        wrap="self.body = layers",
        forward=("for layer in self.body: x = layer(x)", "return self.dense(x.mean((2, 3)))"),
    )
)
wrong("StridedVGG", "channels")(strided(update="pass"))
wrong("StridedVGG", "all places|flatten|dense layer gets|fits one size")(
    strided(
        more=("self.dense = nn.Linear(c * 9, num_classes)",),
        forward=("return self.dense(self.body(x).flatten(1))",),
    )
)
wrong("StridedVGG", "shapes cannot be multiplied|dense layer gets")(
    strided(forward=("return self.dense(self.body(x).flatten(1))",))
)
wrong("StridedVGG", "returns None")(strided(forward=("self.dense(self.body(x).mean((2, 3)))",)))
wrong("StridedVGG", "classes|arguments")(strided(more=("self.dense = nn.Linear(c, 7)",)))
wrong("StridedVGG", "moved into the convolution before|convolution of its own|lacks")(
    module(
        "StridedVGG",
        "config, num_classes",
        [
            "layers, c = [], 1",
            "for k, w in enumerate(config):",
            "    if w == 'M': continue",
            "    s = 2 if config[k + 1: k + 2] == ['M'] else 1",
            "    layers += [nn.Conv2d(c, w, 3, s, 1), nn.BatchNorm2d(w), nn.ReLU()]",
            "    c = w",
            "self.body = nn.Sequential(*layers)",
            "self.dense = nn.Linear(c, num_classes)",
        ],
        ["return self.dense(self.body(x).mean((2, 3)))"],
    )
)

AVERAGE = "self.average = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())"
PLAIN = "self.dense = nn.Linear(c, num_classes)"


def pooled(down=DOWN, dense=PLAIN, **options):
    """With the average as a layer, as the package's head has it."""
    forward = ("return self.dense(self.average(self.body(x)))",)
    return strided(down=down, more=(AVERAGE, dense), forward=forward, **options)


right("StridedVGG")(pooled())
wrong("StridedVGG", 'at "M" the ReLU comes before')(
    pooled(down=DOWN.replace("nn.BatchNorm2d(c), nn.ReLU()", "nn.ReLU(), nn.BatchNorm2d(c)"))
)
wrong("StridedVGG", "at the numbers the ReLU comes before")(
    pooled(conv=CONV.replace("nn.BatchNorm2d(w), nn.ReLU()", "nn.ReLU(), nn.BatchNorm2d(w)"))
)
wrong("StridedVGG", "number of classes is typed in")(pooled(dense="self.dense = nn.Linear(c, 7)"))
wrong("StridedVGG", "two dense layers")(
    pooled(dense="self.dense = nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, num_classes))")
)
wrong("StridedVGG", "into the convolution behind")(
    module(
        "StridedVGG",
        "config, num_classes",
        [
            "layers, c, s = [], 1, 1",
            "for w in config:",
            "    if w == 'M': s = 2; continue",
            "    layers += [nn.Conv2d(c, w, 3, s, 1), nn.BatchNorm2d(w), nn.ReLU()]",
            "    c, s = w, 1",
            "self.body = nn.Sequential(*layers)",
            PLAIN,
            AVERAGE,
        ],
        ["return self.dense(self.average(self.body(x)))"],
    )
)

# pool_the_head ----------------------------------------------------------------------------------------------

FIND = ["c = [m for m in model.features.modules() if isinstance(m, nn.Conv2d)][-1].out_channels", "k = [m for m in model.head.modules() if isinstance(m, nn.Linear)][-1].out_features"]  # fmt: skip


def pool(*lines, find=FIND, head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k)"):
    return function(
        "pool_the_head(model)", *find, *(lines or (f"model.head = nn.Sequential({head})", "return model"))
    )


class _Pool(nn.Module):
    def __init__(self, c, k):
        super().__init__()
        self.fc = nn.Linear(c, k)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


_SPACE["Pool"] = _Pool
right("pool_the_head")(pool())
right("pool_the_head")(pool("model.head = Pool(c, k)"))
right("pool_the_head")(
    pool(
        "setattr(model, 'head', nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Conv2d(c, k, 1), nn.Flatten()))",
        "return model",
    )
)
right("pool_the_head")(
    pool(
        "model.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k))",
        "return model",
        find=["with torch.no_grad(): c = model.features(torch.zeros(1, 1, 8, 8)).shape[1]", "k = model.head[-1].out_features"],
    )
)  # fmt: skip
right("pool_the_head")(
    pool(
        "model.features.append(nn.AdaptiveAvgPool2d(1))",
        "model.head = nn.Sequential(nn.Flatten(), nn.Linear(c, k))",
    )
)
wrong("pool_the_head", "greatest value|max-pool")(
    pool(head="nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(c, k)")
)
wrong("pool_the_head", "still the old one")(
    pool("head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k))", "return model")
)
wrong("pool_the_head", "still the old one")(
    pool(
        "model.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k))",
        "return model",
    )
)
wrong("pool_the_head", "unchanged|in place")(
    pool(
        "new = copy.deepcopy(model)",
        "new.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k))",
        "return new",
    )
)
wrong("pool_the_head", "layers with weights|one dense layer")(
    pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 20), nn.ReLU(), nn.Linear(20, k)")
)
wrong("pool_the_head", "shapes cannot be multiplied|dense layer gets|flatten")(
    pool(head="nn.AdaptiveAvgPool2d(1), nn.Linear(c, k)")
)
wrong("pool_the_head", "shape|flatten")(pool(head="nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, k, 1)"))
wrong("pool_the_head", "classes")(pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 7)"))
wrong("pool_the_head", "first dense layer|classes")(
    pool(find=[FIND[0], "k = [m for m in model.head.modules() if isinstance(m, nn.Linear)][0].out_features"])
)
wrong("pool_the_head", "shapes cannot be multiplied|dense layer gets")(
    pool(
        find=[
            "c = [m for m in model.features.modules() if isinstance(m, nn.Conv2d)][0].out_channels",
            FIND[1],
        ]
    )
)
wrong("pool_the_head", "attribute")(pool(find=["c = model.features[-2].out_channels", FIND[1]]))
wrong("pool_the_head", "softmax")(
    pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k), nn.Softmax(1)")
)
wrong("pool_the_head", "sees all places|one size|values")(
    pool(
        find=[FIND[1], "c = [m for m in model.head.modules() if isinstance(m, nn.Linear)][0].in_features"],
        head="nn.Flatten(), nn.Linear(c, k)",
    )
)
wrong("pool_the_head", "dense layer.*missing")(pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten()"))
wrong("pool_the_head", "bias")(
    pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k, bias=False)")
)
wrong("pool_the_head", "dropout")(
    pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(c, k)")
)
wrong("pool_the_head", "new head|returned")(
    pool(
        "model.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k))",
        "return model.head",
    )
)
wrong("pool_the_head", "keep what they have learned|other values")(
    pool("for p in model.features.parameters(): nn.init.zeros_(p)", "model.head = Pool(c, k)", "return model")
)
wrong("pool_the_head", "window|size|shape|average")(
    pool(head="nn.AvgPool2d(3), nn.Flatten(), nn.Linear(c, k)")
)
wrong("pool_the_head", "ReLU")(pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, k), nn.ReLU()"))
wrong("pool_the_head", "frozen|gradient")(
    pool(
        "for p in model.features.parameters(): p.requires_grad = False",
        "model.head = Pool(c, k)",
        "return model",
    )
)

wrong("pool_the_head", "average is missing")(pool(head="nn.Flatten(), nn.Linear(c, k)"))
wrong("pool_the_head", "flatten before it")(pool(head="nn.AdaptiveAvgPool2d(1), nn.Linear(c, k)"))
wrong("pool_the_head", "as the old head did")(
    pool(find=["c = model.head[1].in_features", "k = model.head[-1].out_features"])
)
wrong("pool_the_head", "as the old head did")(
    pool("model.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), *model.head)", "return model", find=[])
)
wrong("pool_the_head", "not what the \\*last\\*")(
    pool(find=["c = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).out_channels", FIND[1]])
)
wrong("pool_the_head", "end in 6 channels")(pool(find=["c = 512", FIND[1]]))
wrong("pool_the_head", "windows of a fixed size")(pool(head="nn.AvgPool2d(3), nn.Flatten(), nn.Linear(c, k)"))
wrong("pool_the_head", "look for the last")(pool(find=["c = model.features[-1].out_channels", FIND[1]]))
right("pool_the_head")(pool(head="nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(k)"))

# fold_batch_norm --------------------------------------------------------------------------------------------

S = "s = norm.weight / torch.sqrt(norm.running_var + norm.eps)"
B0 = "b = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias"
NEW = "new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups)"
W = "    new.weight.copy_(conv.weight * s.view(-1, 1, 1, 1))"
B = "    new.bias.copy_(norm.bias + (b - norm.running_mean) * s)"


def fold(s=S, b0=B0, new=NEW, w=W, b=B, end="return new"):
    return function("fold_batch_norm(conv, norm)", s, b0, new, "with torch.no_grad():", w, b, end)


right("fold_batch_norm")(fold())
right("fold_batch_norm")(
    function(
        "fold_batch_norm(conv, norm)",
        "new = copy.deepcopy(conv)",
        "s = (norm.running_var + norm.eps).rsqrt() * norm.weight.data",
        "new.weight.data = new.weight.data * s.reshape(-1, 1, 1, 1)",
        "old = 0.0 if conv.bias is None else conv.bias.data",
        "new.bias = nn.Parameter(norm.bias.data - norm.running_mean * s + old * s)",
        "return new.eval()",
    )
)
right("fold_batch_norm")(
    function(
        "fold_batch_norm(conv, norm)",
        "from torch.nn.utils.fusion import fuse_conv_bn_eval",
        "return fuse_conv_bn_eval(conv, norm)",
    )
)
right("fold_batch_norm")(
    function(
        "fold_batch_norm(conv, norm)",
        "out = copy.deepcopy(conv)",
        "if out.bias is None: out.bias = nn.Parameter(torch.zeros(conv.out_channels))",
        "for k in range(conv.out_channels):",
        "    g = norm.weight[k].item() / math.sqrt(norm.running_var[k].item() + norm.eps)",
        "    out.weight.data[k] *= g",
        "    out.bias.data[k] = norm.bias[k] + g * (out.bias[k] - norm.running_mean[k])",
        "return out",
    )
)
right("fold_batch_norm")(
    function(
        "fold_batch_norm(conv, norm)",
        "new = copy.deepcopy(conv)",
        "with torch.no_grad():",
        "    zero = norm(torch.zeros(1, conv.out_channels, 1, 1)).flatten()",
        "    one = norm(torch.ones(1, conv.out_channels, 1, 1)).flatten()",
        "    new.weight = nn.Parameter(torch.einsum('oihw,o->oihw', conv.weight, one - zero))",
        "    new.bias = nn.Parameter(zero + (one - zero) * conv.bias if conv.bias is not None else zero)",
        "return new",
    )
)
wrong("fold_batch_norm", "eps is missing")(fold(s="s = norm.weight / norm.running_var.sqrt()"))
wrong("fold_batch_norm", "root is missing")(fold(s="s = norm.weight / (norm.running_var + norm.eps)"))
wrong("fold_batch_norm", "under the root")(fold(s="s = norm.weight / (norm.running_var.sqrt() + norm.eps)"))
wrong("fold_batch_norm", "norm.weight, is missing")(fold(s="s = 1 / (norm.running_var + norm.eps).sqrt()"))
wrong("fold_batch_norm", "multiplies")(fold(s="s = norm.weight * (norm.running_var + norm.eps).sqrt()"))
wrong("fold_batch_norm", "own bias is forgotten")(fold(b0="b = 0"))
wrong("fold_batch_norm", "None|own bias|bias")(fold(b0="b = conv.bias"))
wrong("fold_batch_norm", "running mean is not")(fold(b="    new.bias.copy_(norm.bias + b * s)"))
wrong("fold_batch_norm", "norm.bias, is missing")(fold(b="    new.bias.copy_((b - norm.running_mean) * s)"))
wrong("fold_batch_norm", "added|subtract")(
    fold(b="    new.bias.copy_(norm.bias + (b + norm.running_mean) * s)")
)
wrong("fold_batch_norm", "not scaled")(fold(b="    new.bias.copy_(norm.bias + b - norm.running_mean * s)"))
wrong("fold_batch_norm", "not scaled")(fold(b="    new.bias.copy_(norm.bias + b - norm.running_mean)"))
wrong("fold_batch_norm", "random|never set")(fold(b="    pass"))
wrong("fold_batch_norm", "weights stay")(fold(w="    new.weight.copy_(conv.weight)"))
wrong("fold_batch_norm", "size of tensor|shapes|input channels|first axis")(
    fold(w="    new.weight.copy_(conv.weight * s)")
)
wrong("fold_batch_norm", "stride")(fold(new=NEW.replace("stride=conv.stride, ", "")))
wrong("fold_batch_norm", "padding")(fold(new=NEW.replace("padding=conv.padding, ", "")))
wrong("fold_batch_norm", "dilation|groups")(fold(new=NEW.replace("dilation=conv.dilation, ", "")))
wrong("fold_batch_norm", "size of tensor|shapes|groups")(fold(new=NEW.replace(", groups=conv.groups", "")))
wrong("fold_batch_norm", "changed and returned|make a new one")(
    function(
        "fold_batch_norm(conv, norm)",
        S,
        B0,
        "conv.weight.data *= s.view(-1, 1, 1, 1)",
        "conv.bias = nn.Parameter((norm.bias + (b - norm.running_mean) * s).data)",
        "return conv",
    )
)
wrong("fold_batch_norm", "has changed|make a new one|shares")(
    function(
        "fold_batch_norm(conv, norm)",
        S,
        B0,
        NEW,
        "new.weight = conv.weight",
        "new.weight.data *= s.view(-1, 1, 1, 1)",
        "new.bias.data = norm.bias + (b - norm.running_mean) * s",
        "return new",
    )
)
wrong("fold_batch_norm", "still in what is returned")(fold(end="return nn.Sequential(new, norm)"))
wrong("fold_batch_norm", "still in what is returned")(
    function("fold_batch_norm(conv, norm)", "return nn.Sequential(conv, norm)")
)
wrong("fold_batch_norm", "returns numbers|layer")(fold(end="return new.weight, new.bias"))
wrong("fold_batch_norm", "returns nothing|return")(fold(end="print(new)"))
wrong("fold_batch_norm", "needs one|where the given convolution has no bias|NoneType|no bias")(
    function(
        "fold_batch_norm(conv, norm)",
        S,
        "new = copy.deepcopy(conv)",
        "new.weight.data *= s.view(-1, 1, 1, 1)",
        "if new.bias is not None:",
        "    new.bias.data = norm.bias.data + (conv.bias.data - norm.running_mean) * s.data",
        "return new",
    )
)
wrong("fold_batch_norm", "own")(fold(s="s = norm.weight / torch.sqrt(norm.running_var + 1e-5)"))
wrong("fold_batch_norm", "copy of the convolution alone")(
    function("fold_batch_norm(conv, norm)", "return copy.deepcopy(conv)")
)
wrong("fold_batch_norm", "Parameter")(
    function(
        "fold_batch_norm(conv, norm)",
        S,
        B0,
        "new = copy.deepcopy(conv)",
        "new.weight = conv.weight * s.view(-1, 1, 1, 1)",
        "return new",
    )
)

wrong("fold_batch_norm", "lost the padding")(
    fold(new="new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size)")
)
wrong("fold_batch_norm", "lost the groups")(
    fold(
        new=NEW.replace(", groups=conv.groups", ""),
        w="    new.weight = nn.Parameter(conv.weight * s.view(-1, 1, 1, 1))",
    )
)
wrong("fold_batch_norm", "is a parameter: nn.Parameter")(
    function(
        "fold_batch_norm(conv, norm)",
        S,
        "new = copy.deepcopy(conv)",
        "new.weight = conv.weight * s.view(-1, 1, 1, 1)",
        "return new",
    )
)
wrong("fold_batch_norm", "without bias has `bias` None")(fold(b0="b = conv.bias"))

# unit_variance ----------------------------------------------------------------------------------------------

HOOK = ["seen = []", "h = conv.register_forward_hook(lambda m, i, o: seen.append(o.detach().clone()))", "with torch.no_grad(): model(images)", "h.remove()", "s = seen[0].std()"]  # fmt: skip
APPLY = ["conv.weight.data /= s", "if conv.bias is not None: conv.bias.data /= s"]


def unit(
    hook=HOOK,
    apply=APPLY,
    convs="[m for m in model.modules() if isinstance(m, nn.Conv2d)]",
    before=(),
    end=(),
):
    return function("unit_variance(model, images)", *before, f"for conv in {convs}:", *(f"    {line}" for line in (*hook, *apply)), *(end or ("return model",)))  # fmt: skip


right("unit_variance")(unit())
right("unit_variance")(
    function(
        "unit_variance(model, images)",
        "def scale(conv, given, out):",
        "    s = out.std()",
        "    conv.weight.div_(s)",
        "    if conv.bias is not None: conv.bias.div_(s)",
        "    return out / s",
        "handles = [m.register_forward_hook(scale) for m in model.modules() if type(m) is nn.Conv2d]",
        "with torch.no_grad(): model(images)",
        "for h in handles: h.remove()",
    )
)
right("unit_variance")(
    unit(
        apply=[
            "with torch.no_grad():",
            "    for p in conv.parameters(): p.copy_(p / s)",
        ],
        hook=["import numpy as np", "seen = {}", "def keep(m, i, o): seen['out'] = o.detach().numpy().copy()", "h = conv.register_forward_hook(keep)", "model(images)", "h.remove()", "s = float(np.std(seen['out']))"],
    )
)  # fmt: skip
right("unit_variance")(
    function(
        "unit_variance(model, images)",
        "convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]",
        "for conv in convs:",
        "    for _ in range(3):",
        "        outs = []",
        "        with torch.inference_mode():",
        "            h = conv.register_forward_pre_hook(lambda m, i: outs.append(i[0].clone()))",
        "            model(images)",
        "            h.remove()",
        "        with torch.no_grad(): s = conv(outs[0].clone()).var().sqrt()",
        "        conv.weight = nn.Parameter(conv.weight.detach() / s)",
        "        if conv.bias is not None: conv.bias = nn.Parameter(conv.bias.detach() / s)",
    )
)
wrong("unit_variance", "variance; the standard|root")(unit(hook=[*HOOK[:-1], "s = seen[0].var()"]))
wrong("unit_variance", "multiplies")(
    unit(apply=["conv.weight.data *= s", "if conv.bias is not None: conv.bias.data *= s"])
)
wrong("unit_variance", "bias is left|bias")(unit(apply=APPLY[:1]))
wrong("unit_variance", "before anything is scaled|anew")(
    function(
        "unit_variance(model, images)",
        "convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]",
        "seen = []",
        "hs = [c.register_forward_hook(lambda m, i, o: seen.append(o.std().item())) for c in convs]",
        "model(images)",
        "for h in hs: h.remove()",
        "for c, s in zip(convs, seen):",
        "    c.weight.data /= s",
        "    if c.bias is not None: c.bias.data /= s",
    )
)
wrong("unit_variance", "ReLU")(unit(hook=[*HOOK[:-1], "s = seen[0].relu().std()"]))
wrong("unit_variance", "hook is left behind|hooks are left behind")(
    unit(hook=[*HOOK[:3], "s = seen[0].std()"])
)
wrong("unit_variance", "inside the hook")(
    unit(hook=["seen = []", "h = conv.register_forward_hook(lambda m, i, o: seen.append(o))", *HOOK[2:]])
)
wrong("unit_variance", "each channel")(
    unit(
        hook=[*HOOK[:-1], "s = seen[0].std((0, 2, 3))"],
        apply=["conv.weight.data /= s.view(-1, 1, 1, 1)", "if conv.bias is not None: conv.bias.data /= s"],
    )
)
wrong("unit_variance", "spread of the weights")(unit(hook=["s = conv.weight.data.std()"]))
wrong("unit_variance", "from the last to the first|last to")(
    unit(convs="[m for m in model.modules() if isinstance(m, nn.Conv2d)][::-1]")
)
wrong("unit_variance", "unchanged|copy|nothing has changed")(unit(before=["model = copy.deepcopy(model)"]))
wrong("unit_variance", "nothing has changed|never put back")(unit(apply=["w = conv.weight / s"]))
wrong("unit_variance", "in-place|in place|no_grad")(
    unit(apply=["conv.weight /= s", "if conv.bias is not None: conv.bias /= s"])
)
wrong("unit_variance", "dense layer")(
    unit(convs="[m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]")
)
wrong("unit_variance", "only the first")(unit(end=["return model"], apply=[*APPLY, "break"]))
wrong("unit_variance", "drawn anew|multiple of what")(
    function(
        "unit_variance(model, images)",
        "for m in model.modules():",
        "    if isinstance(m, nn.Conv2d): nn.init.kaiming_normal_(m.weight)",
    )
)
wrong("unit_variance", "zero")(
    unit(apply=["conv.weight.data /= s", "if conv.bias is not None: conv.bias.data.zero_()"])
)
wrong("unit_variance", "mean of the values|mean")(unit(hook=[*HOOK[:-1], "s = seen[0].mean()"]))
wrong("unit_variance", "greatest")(unit(hook=[*HOOK[:-1], "s = seen[0].abs().max()"]))
wrong("unit_variance", "norm of all|norm")(unit(hook=[*HOOK[:-1], "s = seen[0].norm()"]))
wrong("unit_variance", "goes into")(
    unit(
        hook=[
            "seen = []",
            "h = conv.register_forward_hook(lambda m, i, o: seen.append(i[0].clone()))",
            *HOOK[2:],
        ]
    )
)
wrong("unit_variance", "subscript|Sequential|index|iterate|attribute")(
    function(
        "unit_variance(model, images)",
        "x = images",
        "for layer in model:",
        "    if isinstance(layer, nn.Conv2d):",
        "        s = layer(x).std().detach()",
        "        layer.weight.data /= s",
        "        layer.bias.data /= s",
        "    x = layer(x)",
    )
)
wrong("unit_variance", "NoneType|None")(unit(apply=["conv.weight.data /= s", "conv.bias.data /= s"]))
wrong("unit_variance", "nothing has changed|children|copy")(
    function("unit_variance(model, images)", "model(images).std()", "return model")
)
wrong("unit_variance", "images' own deviations")(unit(hook=[*HOOK[:-1], "s = seen[0].std((1, 2, 3)).mean()"]))
wrong("unit_variance", "inside an nn.Sequential are left out")(
    unit(convs="[m for m in model.children() if isinstance(m, nn.Conv2d)]")
)
wrong("unit_variance", "evaluation mode")(unit(before=["model.eval()"]))
wrong("unit_variance", "bias is set to zero")(
    unit(hook=["if conv.bias is not None: nn.init.zeros_(conv.bias)", *HOOK])
)
wrong("unit_variance", "mean square|around the mean")(
    unit(hook=[*HOOK[:-1], "s = seen[0].square().mean().sqrt()"])
)
