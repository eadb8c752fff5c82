"""Answers to the exercises of chapter 3, A first CNN and the training loop."""

# ruff: noqa
# mypy: ignore-errors

import copy
import io
import itertools
import math
from functools import reduce

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from answers import Answers

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong


# output_sizes -----------------------------------------------------------------------------------------------


@right("output_sizes")
def sizes_counted(size, layers):
    sizes = []
    for kernel, stride, padding in layers:
        size = len(range(-padding, size + padding - kernel + 1, stride))
        sizes.append(size)
    return sizes


@right("output_sizes")
def sizes_accumulated(size, layers):
    step = lambda n, layer: (n - layer[0] + 2 * layer[2]) // layer[1] + 1
    return list(itertools.accumulate(layers, step, initial=size))[1:]


@right("output_sizes")
def sizes_measured(size, layers):
    x, sizes = torch.zeros(1, 1, size, size), []
    for k, s, p in layers:
        x = nn.Conv2d(1, 1, k, stride=s, padding=p)(x)
        sizes.append(x.shape[-1])
    return sizes


@right("output_sizes")
def sizes_recursive(size, layers):
    if not layers:
        return []
    (k, s, p), *rest = layers
    first = math.floor((size + 2 * p - k) / s + 1)
    return [first] + sizes_recursive(first, rest)


@right("output_sizes")
def sizes_numpy(size, layers):
    sizes = np.zeros(len(layers), dtype=int)
    for i, (k, s, p) in enumerate(layers):
        before = size if i == 0 else sizes[i - 1]
        sizes[i] = np.floor_divide(before + 2 * p - k, s) + 1
    return sizes


@right("output_sizes")
def sizes_reduced(size, layers):
    return tuple(
        reduce(lambda done, l: [*done, (done[-1] + 2 * l[2] - l[0]) // l[1] + 1], layers, [size])[1:]
    )


@wrong("output_sizes", "both sides|twice")
def sizes_padding_once(size, layers):
    out = []
    for k, s, p in layers:
        size = (size + p - k) // s + 1
        out.append(size)
    return out


@wrong("output_sizes", "one is missing")
def sizes_without_one(size, layers):
    out = []
    for k, s, p in layers:
        size = (size + 2 * p - k) // s
        out.append(size)
    return out


@wrong("output_sizes", "//|whole")
def sizes_divided(size, layers):
    out = []
    for k, s, p in layers:
        size = (size + 2 * p - k) / s + 1
        out.append(size)
    return out


@wrong("output_sizes", "rounded up|round down")
def sizes_ceil(size, layers):
    out = []
    for k, s, p in layers:
        size = math.ceil((size + 2 * p - k) / s) + 1
        out.append(size)
    return out


@wrong("output_sizes", "size of the image|one before")
def sizes_from_the_image(size, layers):
    return [(size + 2 * p - k) // s + 1 for k, s, p in layers]


@wrong("output_sizes", "last (size|value) alone")
def sizes_last(size, layers):
    for k, s, p in layers:
        size = (size + 2 * p - k) // s + 1
    return size


@wrong("output_sizes", "begins with the size of the image")
def sizes_with_the_first(size, layers):
    sizes = [size]
    for k, s, p in layers:
        sizes.append((sizes[-1] + 2 * p - k) // s + 1)
    return sizes


@wrong("output_sizes", "return")
def sizes_printed(size, layers):
    for k, s, p in layers:
        size = (size + 2 * p - k) // s + 1
        print(size)


@wrong("output_sizes", "inside the loop|first layer alone|after the loop")
def sizes_returns_in_the_loop(size, layers):
    sizes = []
    for k, s, p in layers:
        size = (size + 2 * p - k) // s + 1
        sizes.append(size)
        return sizes
    return sizes


@wrong("output_sizes", "stride is not used")
def sizes_without_stride(size, layers):
    sizes = []
    for k, s, p in layers:
        size = size + 2 * p - k + 1
        sizes.append(size)
    return sizes


@wrong("output_sizes", "padding")
def sizes_without_padding(size, layers):
    sizes = []
    for k, s, p in layers:
        size = (size - k) // s + 1
        sizes.append(size)
    return sizes


@wrong("output_sizes", "order|kernel, stride, padding|swapped")
def sizes_swapped(size, layers):
    sizes = []
    for k, p, s in layers:
        size = (size + 2 * p - k) // max(s, 1) + 1
        sizes.append(size)
    return sizes


@wrong("output_sizes", "generator")
def sizes_generator(size, layers):
    for k, s, p in layers:
        size = (size + 2 * p - k) // s + 1
        yield size


@wrong("output_sizes", "changes its argument")
def sizes_popping(size, layers):
    sizes = []
    while layers:
        k, s, p = layers.pop(0)
        size = (size + 2 * p - k) // s + 1
        sizes.append(size)
    return sizes


@wrong("output_sizes", "kernel")
def sizes_kernel_forgotten(size, layers):
    sizes = []
    for k, s, p in layers:
        size = (size + 2 * p) // s
        sizes.append(size)
    return sizes


@wrong("output_sizes", "both|tuple|pair|height|one number")
def sizes_pairs(size, layers):
    sizes = []
    for k, s, p in layers:
        size = (size + 2 * p - k) // s + 1
        sizes.append((size, size))
    return sizes


@wrong("output_sizes", "TypeError[\\s\\S]*in line \\d+ of sizes_no_loop")
def sizes_no_loop(size, layers):
    kernel, stride, padding = layers
    return (size + 2 * padding - kernel) // stride + 1


@wrong("output_sizes", "brackets|before|stride")
def sizes_precedence(size, layers):
    sizes = []
    for k, s, p in layers:
        size = size + 2 * p - k // s + 1
        sizes.append(size)
    return sizes


# PooledHead -------------------------------------------------------------------------------------------------


@right("PooledHead")
class HeadSequential(nn.Sequential):
    def __init__(self, channels, num_classes):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


@right("PooledHead")
class HeadConvolution(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, x):
        return self.conv(F.adaptive_avg_pool2d(x, (1, 1)))[:, :, 0, 0]


@right("PooledHead")
class HeadConvolutionFirst(nn.Module):
    """A 1x1 convolution and an average can change places."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x):
        return self.conv(x).flatten(2).mean(-1)


@right("PooledHead")
class HeadByHand(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.w = nn.Parameter(torch.randn(num_classes, channels) * 0.01)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x):
        return torch.einsum("bchw,kc->bk", x, self.w) / (x.shape[2] * x.shape[3]) + self.bias


@right("PooledHead")
class HeadTransposed(nn.Module):
    """Its matrix stands the other way round, which is as good."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(channels, num_classes) * 0.01)
        self.shift = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x):
        return x.mean((2, 3)) @ self.matrix + self.shift


@right("PooledHead")
class HeadLazy(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.fc = nn.LazyLinear(num_classes)

    def forward(self, x):
        b, c, h, w = x.shape
        return self.fc(x.reshape(b, c, h * w).sum(2) / (h * w))


@right("PooledHead")
class HeadWindow(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.layers = nn.ModuleDict({"fc": nn.Linear(channels, num_classes)})

    def forward(self, x):
        x = F.avg_pool2d(x, x.shape[2:])
        return self.layers["fc"](x.view(x.size(0), -1))


def _head(body, make=nn.Linear):
    """Return a class with one dense layer and this forward."""

    def __init__(self, channels, num_classes):
        nn.Module.__init__(self)
        self.fc = make(channels, num_classes)

    return type("PooledHead", (nn.Module,), {"__init__": __init__, "forward": body})


wrong("PooledHead", "softmax")(_head(lambda self, x: self.fc(x.mean((2, 3))).softmax(-1)))
wrong("PooledHead", "log-softmax")(_head(lambda self, x: F.log_softmax(self.fc(x.mean((2, 3))), dim=1)))
wrong("PooledHead", "ReLU after")(_head(lambda self, x: F.relu(self.fc(x.mean((2, 3))))))
wrong("PooledHead", "greatest|max")(_head(lambda self, x: self.fc(x.amax((2, 3)))))
wrong("PooledHead", "adds the values up|sum")(_head(lambda self, x: self.fc(x.sum((2, 3)))))
wrong("PooledHead", "returns None")(_head(lambda self, x: None))
wrong("PooledHead", "mat1 and mat2")(_head(lambda self, x: self.fc(x.mean(1))))
wrong("PooledHead", "mat1 and mat2|height and width|one axis|axis")(_head(lambda self, x: self.fc(x.mean(2))))
wrong("PooledHead", "mat1 and mat2")(_head(lambda self, x: self.fc(x.mean((1, 2)))))
wrong("PooledHead", "one corner")(_head(lambda self, x: self.fc(x[:, :, 0, 0])))
wrong("PooledHead", "mean over the batch|batch|images")(
    _head(lambda self, x: self.fc(x.mean((0, 2, 3))).expand(len(x), -1))
)
wrong("PooledHead", "no bias")(
    _head(lambda self, x: self.fc(x.mean((2, 3))), lambda c, n: nn.Linear(c, n, bias=False))
)
wrong("PooledHead", "flatten")(
    _head(lambda self, x: self.fc(x.flatten(1)), lambda c, n: nn.Linear(c * 25, n))
)
wrong("PooledHead", "num_classes, 1, 1")(
    _head(lambda self, x: self.fc(F.adaptive_avg_pool2d(x, 1)), lambda c, n: nn.Conv2d(c, n, 1))
)
wrong("PooledHead", "detach|gradient")(_head(lambda self, x: self.fc(x.mean((2, 3)).detach())))
wrong("PooledHead", "class number|argmax|tensor|logits")(
    _head(lambda self, x: self.fc(x.mean((2, 3))).argmax(1))
)
wrong("PooledHead", "hidden one|hidden")(
    _head(
        lambda self, x: self.fc(x.mean((2, 3))),
        lambda c, n: nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, n)),
    )
)
wrong("PooledHead", "dropout")(_head(lambda self, x: self.fc(F.dropout(x.mean((2, 3)), 0.5, self.training))))
wrong("PooledHead", "sigmoid")(_head(lambda self, x: self.fc(x.mean((2, 3))).sigmoid()))
wrong("PooledHead", "typed in")(_head(lambda self, x: self.fc(x.mean((2, 3))), lambda c, n: nn.Linear(c, 7)))
wrong("PooledHead", "mat1 and mat2|in_features|swapped|order")(
    _head(lambda self, x: self.fc(x.mean((2, 3))), lambda c, n: nn.Linear(n, c))
)
wrong("PooledHead", "ReLU on the input")(_head(lambda self, x: self.fc(F.relu(x).mean((2, 3)))))
wrong("PooledHead", "Output size is too small[\\s\\S]*typed in")(
    _head(lambda self, x: self.fc(F.avg_pool2d(x, 5).flatten(1)))
)
wrong("PooledHead", "normalis|batch norm")(
    _head(
        lambda self, x: self.fc(x.mean((2, 3))),
        lambda c, n: nn.Sequential(nn.BatchNorm1d(c), nn.Linear(c, n)),
    )
)
wrong("PooledHead", "never called in forward")(_head(lambda self, x: x.mean((2, 3))))


@wrong("PooledHead", "self|not defined")
class HeadForgotSelf(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        dense = nn.Linear(channels, num_classes)

    def forward(self, x):
        return dense(x.mean((2, 3)))


@wrong("PooledHead", "super\\(\\).__init__|before Module.__init__")
class HeadWithoutSuper(nn.Module):
    def __init__(self, channels, num_classes):
        self.dense = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.dense(x.mean((2, 3)))


@wrong("PooledHead", "in forward|__init__|parameters|never learn|no weights")
class HeadMadeInForward(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.channels, self.num_classes = channels, num_classes

    def forward(self, x):
        return nn.Linear(self.channels, self.num_classes)(x.mean((2, 3)))


@wrong("PooledHead", "missing 1 required|forward")
class HeadForwardWithoutSelf(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.dense = nn.Linear(channels, num_classes)

    def forward(x):
        return self.dense(x.mean((2, 3)))


@wrong("PooledHead", "forward")
class HeadMisspeltForward(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.dense = nn.Linear(channels, num_classes)

    def foward(self, x):
        return self.dense(x.mean((2, 3)))


wrong("PooledHead", "is an object|pass the class")(HeadSequential(8, 7))


# DoubleBlock ------------------------------------------------------------------------------------------------


@right("DoubleBlock")
class BlockSequential(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        layers = []
        for i in (in_channels, out_channels):
            layers += [
                nn.Conv2d(i, out_channels, 3, padding="same", bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.MaxPool2d(2))

    def forward(self, x):
        return self.layers(x)


@right("DoubleBlock")
class BlockNested(nn.Module):
    class Half(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.norm, self.conv = nn.BatchNorm2d(o), nn.Conv2d(i, o, (3, 3), 1, 1)

        def forward(self, x):
            return torch.relu_(self.norm(self.conv(x)))

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.second = BlockNested.Half(out_channels, out_channels)
        self.first = BlockNested.Half(in_channels, out_channels)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)

    def forward(self, x):
        return self.pool(self.second(self.first(x)))


@right("DoubleBlock")
class BlockList(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        widths = [in_channels, out_channels, out_channels]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:]))
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in range(2))

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = norm(conv(x)).clamp(min=0)
        b, c, h, w = x.shape
        x = x[:, :, : h // 2 * 2, : w // 2 * 2]
        return x.reshape(b, c, h // 2, 2, w // 2, 2).amax((3, 5))


@right("DoubleBlock")
class BlockPadded(nn.Module):
    """Padding as a layer of its own, pooling before the last ReLU: the same values."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.a = nn.Sequential(
            nn.ZeroPad2d(1), nn.Conv2d(in_channels, out_channels, 3), nn.BatchNorm2d(out_channels)
        )
        self.b = nn.Sequential(
            nn.ZeroPad2d(1), nn.Conv2d(out_channels, out_channels, 3), nn.BatchNorm2d(out_channels)
        )

    def forward(self, x):
        x = self.b(F.relu(self.a(x), inplace=True))
        return F.relu(
            F.adaptive_max_pool2d(
                x[..., : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2], (x.shape[2] // 2, x.shape[3] // 2)
            )
        )


@right("DoubleBlock")
class BlockInherited(nn.Sequential):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.add_module("conv1", nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1))
        self.add_module("bn1", nn.BatchNorm2d(out_channels))
        self.add_module("relu1", nn.ReLU(inplace=True))
        self.add_module("conv2", nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1))
        self.add_module("bn2", nn.BatchNorm2d(out_channels))
        self.add_module("relu2", nn.ReLU(inplace=True))
        self.add_module("pool", nn.MaxPool2d(2, 2))


@right("DoubleBlock")
class BlockFunctional(nn.Module):
    """Weights made by hand, one ReLU object used twice."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.weight1 = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.weight2 = nn.Parameter(torch.empty(out_channels, out_channels, 3, 3))
        for weight in (self.weight1, self.weight2):
            nn.init.kaiming_normal_(weight)
        self.bn1, self.bn2 = nn.BatchNorm2d(out_channels), nn.BatchNorm2d(out_channels)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.bn1(F.conv2d(x, self.weight1, padding=1)))
        x = self.act(self.bn2(F.conv2d(x, self.weight2, padding=1)))
        return F.max_pool2d(x, kernel_size=2, stride=2)


def _block(*layers):
    """Return a class of these layers in a row; i and o stand for the channels."""

    def __init__(self, in_channels, out_channels):
        nn.Module.__init__(self)
        made = eval("lambda i, o: [" + ", ".join(layers) + "]", {"nn": nn})(in_channels, out_channels)
        self.layers = nn.Sequential(*made)

    return type(
        "DoubleBlock", (nn.Module,), {"__init__": __init__, "forward": lambda self, x: self.layers(x)}
    )


C1, C2 = "nn.Conv2d(i, o, 3, padding=1)", "nn.Conv2d(o, o, 3, padding=1)"
N, R, P = "nn.BatchNorm2d(o)", "nn.ReLU()", "nn.MaxPool2d(2)"

wrong("DoubleBlock", "no batch norm")(_block(C1, R, C2, R, P))
wrong("DoubleBlock", "second convolution has no batch norm")(_block(C1, N, R, C2, R, P))
wrong("DoubleBlock", "first convolution has no batch norm")(_block(C1, R, C2, N, R, P))
wrong("DoubleBlock", "There is no ReLU")(_block(C1, N, C2, N, P))
wrong("DoubleBlock", "ReLU between the two convolutions is missing")(_block(C1, N, C2, N, R, P))
wrong("DoubleBlock", "ReLU after the second batch norm is missing")(_block(C1, N, R, C2, N, P))
wrong("DoubleBlock", "ReLU comes before the batch norm")(_block(C1, R, N, C2, R, N, P))
wrong("DoubleBlock", "no max-pooling")(_block(C1, N, R, C2, N, R))
wrong("DoubleBlock", "no padding")(_block("nn.Conv2d(i, o, 3)", N, R, "nn.Conv2d(o, o, 3)", N, R, P))
wrong("DoubleBlock", "stands between the convolutions|halved twice")(_block(C1, N, R, P, C2, N, R))
wrong("DoubleBlock", "halved twice")(_block(C1, N, R, P, C2, N, R, P))
wrong("DoubleBlock", "pools by the average")(_block(C1, N, R, C2, N, R, "nn.AvgPool2d(2)"))
wrong("DoubleBlock", "one convolution only")(_block(C1, N, R, P))
wrong("DoubleBlock", "stride of 2")(
    _block("nn.Conv2d(i, o, 3, padding=1)", N, R, "nn.Conv2d(o, o, 3, 2, 1)", N, R)
)
wrong("DoubleBlock", "keeps in_channels")(
    _block("nn.Conv2d(i, i, 3, padding=1)", "nn.BatchNorm2d(i)", R, C1, N, R, P)
)
wrong("DoubleBlock", "expected input|to have \\d+ channels|in_channels")(_block(C1, N, R, C1, N, R, P))
wrong("DoubleBlock", "three convolutions|third|it has besides")(_block(C1, N, R, C2, N, R, C2, N, R, P))
wrong("DoubleBlock", "5x5|it lacks a 3x3")(
    _block("nn.Conv2d(i, o, 5, padding=2)", N, R, "nn.Conv2d(o, o, 5, padding=2)", N, R, P)
)
wrong("DoubleBlock", "leaky|GELU|another activation|nn.ReLU")(
    _block(C1, N, "nn.LeakyReLU(0.1)", C2, N, "nn.LeakyReLU(0.1)", P)
)
wrong("DoubleBlock", "sigmoid|another activation")(_block(C1, N, "nn.Sigmoid()", C2, N, "nn.Sigmoid()", P))
wrong("DoubleBlock", "dropout")(_block(C1, N, R, "nn.Dropout(0.5)", C2, N, R, P))
wrong("DoubleBlock", "dropout")(_block(C1, N, R, C2, N, R, P, "nn.Dropout2d(0.25)"))
wrong("DoubleBlock", "stride=1|stride 1|halved")(_block(C1, N, R, C2, N, R, "nn.MaxPool2d(2, stride=1)"))
wrong("DoubleBlock", "max-pooling of 4x4")(_block(C1, N, R, C2, N, R, "nn.MaxPool2d(4)"))
wrong("DoubleBlock", "instance|group|another normalisation|batch norm")(
    _block(C1, "nn.InstanceNorm2d(o)", R, C2, "nn.InstanceNorm2d(o)", R, P)
)
wrong("DoubleBlock", "1x1|3x3|it lacks")(_block("nn.Conv2d(i, o, 1)", N, R, "nn.Conv2d(o, o, 1)", N, R, P))
wrong("DoubleBlock", "batch norm.*before|before.*convolution|order")(
    _block("nn.BatchNorm2d(i)", R, C1, N, R, C2, P)
)
wrong("DoubleBlock", "running|BatchNorm1d|expected 2D|ValueError")(
    _block(C1, "nn.BatchNorm1d(o)", R, C2, "nn.BatchNorm1d(o)", R, P)
)
wrong("DoubleBlock", "affine|scale and shift|it lacks")(
    _block(C1, "nn.BatchNorm2d(o, affine=False)", R, C2, "nn.BatchNorm2d(o, affine=False)", R, P)
)
wrong("DoubleBlock", "changes its input|in-place")(_block("nn.ReLU(inplace=True)", C1, N, R, C2, N, R, P))
wrong("DoubleBlock", "padding")(_block("nn.Conv2d(i, o, 3, padding=1)", N, R, "nn.Conv2d(o, o, 3)", N, R, P))
wrong("DoubleBlock", "ceil_mode|rounded up|odd")(
    _block(C1, N, R, C2, N, R, "nn.MaxPool2d(2, ceil_mode=True)")
)
wrong("DoubleBlock", "reflect|padding with zeros|zeros")(
    _block(
        "nn.Conv2d(i, o, 3, padding=1, padding_mode='reflect')",
        N,
        R,
        "nn.Conv2d(o, o, 3, padding=1, padding_mode='reflect')",
        N,
        R,
        P,
    )
)


@wrong("DoubleBlock", "share one batch norm")
class BlockOneNorm(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = F.relu(self.bn(self.conv1(x)))
        x = F.relu(self.bn(self.conv2(x)))
        return F.max_pool2d(x, 2)


@wrong("DoubleBlock", "does not find them|plain list|nn.ModuleList")
class BlockPlainList(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.layers = [
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
        ]

    def forward(self, x):
        x = F.relu(self.layers[1](self.layers[0](x)))
        x = F.relu(self.layers[3](self.layers[2](x)))
        return F.max_pool2d(x, 2)


@wrong("DoubleBlock", "returns None")
class BlockNoReturn(BlockOneNorm):
    def forward(self, x):
        x = F.relu(self.bn(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.bn(self.conv2(x))), 2)


@wrong("DoubleBlock", "never called in forward")
class BlockOneConvolution(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn1, self.bn2 = nn.BatchNorm2d(out_channels), nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv1(x) if x.shape[1] == self.conv1.in_channels else x))
        return F.max_pool2d(x, 2)


@wrong("DoubleBlock", "not assigned|result|thrown away|no part in")
class BlockResultLost(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        self.bn2(self.conv2(x))
        return F.max_pool2d(F.relu(x), 2)


@wrong("DoubleBlock", "an addition, which was not asked for")
class BlockWithShortcut(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)) + x)
        return F.max_pool2d(x, 2)


# train_step -------------------------------------------------------------------------------------------------


@right("train_step")
def step_layer(model, images, labels, optimizer):
    criterion = nn.CrossEntropyLoss()
    optimizer.zero_grad(set_to_none=False)
    model = model.train()
    loss = criterion(model(images), labels)
    loss.backward()
    optimizer.step()
    return float(loss)


@right("train_step")
def step_grad(model, images, labels, optimizer):
    model.train(True)
    loss = F.nll_loss(F.log_softmax(model(images), dim=-1), labels)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters)):
        p.grad = g
    optimizer.step()
    return loss.detach().cpu().item()


@right("train_step")
def step_closure(model, images, labels, optimizer):
    model.train()
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        seen.append(loss.item())
        return loss

    optimizer.step(closure)
    return seen[0]


@right("train_step")
def step_by_hand(model, images, labels, optimizer):
    for module in model.modules():
        module.training = True
    with torch.enable_grad():
        logits = model(images)
        loss = (logits.logsumexp(1) - logits.gather(1, labels[:, None])[:, 0]).mean()
    model.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@right("train_step")
def step_one_hot(model, images, labels, optimizer):
    model.train()
    for p in model.parameters():
        p.grad = None
    logits = model(images)
    target = F.one_hot(labels, logits.shape[1]).float()
    loss = -(target * logits.log_softmax(1)).sum() / len(labels)
    loss.backward()
    optimizer.step()
    value = loss.tolist()
    optimizer.zero_grad()
    return value


@right("train_step")
def step_tensor(model, images, labels, optimizer):
    """A number that has let go of its graph is a number."""
    model.train()
    optimizer.zero_grad()
    F.cross_entropy(logits := model(images), labels).backward()
    optimizer.step()
    return np.float32(F.cross_entropy(logits.detach(), labels))


def _step(*lines):
    """Return the function of these lines."""
    space = {"F": F, "nn": nn, "torch": torch}
    exec("def train_step(model, images, labels, optimizer):\n    " + "\n    ".join(lines), space)
    return space["train_step"]


T, Z, L, B, S, I = (
    "model.train()", "optimizer.zero_grad()", "loss = F.cross_entropy(model(images), labels)",
    "loss.backward()", "optimizer.step()", "return loss.item()",
)  # fmt: skip

wrong("train_step", "zero_grad")(_step(T, L, B, S, I))
wrong("train_step", "evaluation mode")(_step(Z, L, B, S, I))
wrong("train_step", "evaluation mode")(_step("model.eval()", Z, L, B, S, I))
wrong("train_step", "loss.backward\\(\\)")(_step(T, Z, L, S, I))
wrong("train_step", "no optimizer.step\\(\\)")(_step(T, Z, L, B, I))
wrong("train_step", "between backward and step")(_step(T, L, B, Z, S, I))
wrong("train_step", "step comes before backward")(_step(T, Z, L, S, B, I))
wrong("train_step", "at the end only")(_step(T, L, B, S, Z, I))
wrong("train_step", "returns nothing|return loss.item")(_step(T, Z, L, B, S))
wrong("train_step", "keeps the graph")(_step(T, Z, L, B, S, "return loss"))
wrong("train_step", "softmax before the loss|there is a softmax")(
    _step(T, Z, "loss = F.cross_entropy(F.softmax(model(images), dim=1), labels)", B, S, I)
)
wrong("train_step", "nll_loss")(_step(T, Z, "loss = F.nll_loss(model(images), labels)", B, S, I))
wrong("train_step", "summed")(
    _step(T, Z, "loss = F.cross_entropy(model(images), labels, reduction='sum')", B, S, I)
)
wrong("train_step", "accuracy")(
    _step(
        T,
        Z,
        "logits = model(images)",
        "loss = F.cross_entropy(logits, labels)",
        B,
        S,
        "return (logits.argmax(1) == labels).float().mean().item()",
    )
)
wrong("train_step", "loss after the step")(
    _step(T, Z, L, B, S, "return F.cross_entropy(model(images), labels).item()")
)
wrong("train_step", "two steps")(_step(T, Z, L, B, S, S, I))
wrong("train_step", "TypeError|cross_entropy_loss\\(\\)|arguments")(
    _step(T, Z, "loss = F.cross_entropy(images, labels, model)", B, S, I)
)
wrong("train_step", "no_grad|does not require grad")(
    _step(T, Z, "with torch.no_grad():", "    loss = F.cross_entropy(model(images), labels)", B, S, I)
)
wrong("train_step", "squared error")(
    _step(T, Z, "loss = F.mse_loss(model(images), F.one_hot(labels, 7).float())", B, S, I)
)
wrong("train_step", "swapped|labels|order|RuntimeError|shape")(
    _step(T, Z, "loss = F.cross_entropy(labels, model(images))", B, S, I)
)
wrong("train_step", "argmax|does not require grad|classes")(
    _step(T, Z, "loss = F.cross_entropy(model(images).argmax(1).float(), labels.float())", B, S, I)
)
wrong("train_step", "text|string|str")(_step(T, Z, L, B, S, "return f'{loss.item():.4f}'"))
wrong("train_step", "rounded")(_step(T, Z, L, B, S, "return round(loss.item(), 2)"))
wrong("train_step", "two values|alone|tuple")(_step(T, Z, L, B, S, "return loss.item(), model"))
wrong("train_step", "sum|times the batch|over the batch")(
    _step(T, Z, L, B, S, "return loss.item() * len(images)")
)
wrong("train_step", "brackets|called|item")(_step(T, Z, L, B, S, "return loss.item"))
wrong("train_step", "backward.*brackets|no loss.backward|without gradients|brackets")(
    _step(T, Z, L, "loss.backward", S, I)
)
wrong("train_step", "zero_grad|cleared|gradients")(_step(T, "optimizer.zero_grad", L, B, S, I))
wrong("train_step", "optimi[sz]er.*own|new optimi[sz]er|momentum|given")(
    _step(T, Z, L, B, "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)", S, I)
)
wrong("train_step", "smoothing")(
    _step(T, Z, "loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)", B, S, I)
)
wrong("train_step", "evaluation mode")(_step(L, B, S, Z, "return loss"))
wrong("train_step", "AttributeError")(_step(T, Z, L, B, S, "return loss.value()"))
wrong("train_step", "loop|steps|more than one|for each")(
    _step(
        T,
        "for x, y in zip(images.split(2), labels.split(2)):",
        "    optimizer.zero_grad()",
        "    loss = F.cross_entropy(model(x), y)",
        "    loss.backward()",
        "    optimizer.step()",
        I,
    )
)
wrong("train_step", "takes 3 steps")(
    _step(
        T,
        "for _ in range(3):",
        "    optimizer.zero_grad()",
        "    loss = F.cross_entropy(model(images), labels)",
        "    loss.backward()",
        "    optimizer.step()",
        I,
    )
)
wrong("train_step", "clipping")(
    _step(T, Z, L, B, "torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)", S, I)
)
wrong("train_step", "twice")(_step(T, Z, L, "loss.backward(retain_graph=True)", "loss.backward()", S, I))
wrong("train_step", "binary|cross_entropy")(
    _step(
        T,
        Z,
        "loss = F.binary_cross_entropy_with_logits(model(images), F.one_hot(labels, 7).float())",
        B,
        S,
        I,
    )
)


# accuracy ---------------------------------------------------------------------------------------------------


@right("accuracy")
def accuracy_loader(model, images, labels, batch_size):
    from torch.utils.data import DataLoader, TensorDataset

    mode, hits = model.training, 0
    model.eval()
    with torch.no_grad():
        for x, y in DataLoader(TensorDataset(images, labels), batch_size=batch_size):
            hits += torch.eq(model(x).max(dim=1).indices, y).sum().item()
    if mode:
        model.train()
    return hits / len(labels)


@right("accuracy")
@torch.no_grad()
def accuracy_split(model, images, labels, batch_size):
    before = {m: m.training for m in model.modules()}
    model.eval()
    logits = torch.cat([model(x) for x in images.split(batch_size)])
    for m, mode in before.items():
        m.training = mode
    return (logits.argmax(-1) == labels).float().mean()


@right("accuracy")
def accuracy_numpy(model, images, labels, batch_size):
    was = model.training
    try:
        model.train(False)
        with torch.inference_mode():
            preds = [model(x).numpy().argmax(axis=1) for x in torch.split(images, batch_size)]
    finally:
        model.train(was)
    return np.mean(np.concatenate(preds) == labels.numpy())


@right("accuracy")
def accuracy_chunks(model, images, labels, batch_size):
    training = model.training
    model.eval()
    hits = []
    i = 0
    while i < len(images):
        with torch.set_grad_enabled(False):
            best = model(images[i : i + batch_size]).topk(1).indices.squeeze(1)
        hits.extend((best == labels[i : i + batch_size]).tolist())
        i += batch_size
    model.train(training)
    return sum(hits) / len(hits)


@right("accuracy")
def accuracy_weighted(model, images, labels, batch_size):
    """A mean of means is right when it is weighted."""
    training = model.training
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for x, y in zip(images.split(batch_size), labels.split(batch_size)):
            total += (F.softmax(model(x), dim=1).argmax(1) == y).float().mean().item() * len(x)
    model.train(training)
    return total / images.shape[0]


@right("accuracy")
def accuracy_one_by_one(model, images, labels, batch_size):
    """Batches of at most batch_size: one is at most that."""
    training = model.training
    model.eval()
    with torch.no_grad():
        right = [int(model(x[None]).argmax()) == int(y) for x, y in zip(images, labels)]
    model.train(training)
    return float(np.mean(right))


def _accuracy(*, before="was = model.training", mode="model.eval()", grad="torch.no_grad()",
              start="hits = 0", loop="for i in range(0, len(images), batch_size):",
              batch="x, y = images[i:i + batch_size], labels[i:i + batch_size]",
              count="hits += (model(x).argmax(1) == y).sum().item()",
              after="model.train(was)", end="return hits / len(images)"):  # fmt: skip
    lines = [
        before,
        mode,
        start,
        f"with {grad}:",
        "    " + loop,
        "        " + batch,
        "        " + count,
        after,
        end,
    ]
    space = {"F": F, "nn": nn, "torch": torch, "np": np}
    exec("def accuracy(model, images, labels, batch_size):\n    " + "\n    ".join(lines), space)
    return space["accuracy"]


assert _accuracy()
MEANS = {"start": "parts = []", "count": "parts.append((model(x).argmax(1) == y).float().mean().item())", "end": "return sum(parts) / len(parts)"}  # fmt: skip
wrong("accuracy", "averages the batches")(_accuracy(**MEANS))
wrong("accuracy", "training mode")(_accuracy(mode="pass"))
wrong("accuracy", "evaluation mode")(_accuracy(after="pass"))
wrong("accuracy", "training mode at the end")(_accuracy(after="model.train()"))
wrong("accuracy", "gradients are tracked")(_accuracy(grad="torch.enable_grad()"))
wrong("accuracy", "evaluation mode.*gradients|gradients are tracked, and")(
    _accuracy(grad="torch.enable_grad()", after="pass")
)
wrong("accuracy", "all images go through at once|at once")(
    _accuracy(loop="for _ in range(1):", batch="x, y = images, labels")
)
wrong("accuracy", "last batch is left out")(
    _accuracy(loop="for i in range(0, len(images) - batch_size + 1, batch_size):")
)
wrong("accuracy", "per cent")(_accuracy(end="return 100 * hits / len(images)"))
wrong("accuracy", "number of hits")(_accuracy(end="return hits"))
wrong("accuracy", "wrong answers")(_accuracy(count="hits += (model(x).argmax(1) != y).sum().item()"))
wrong("accuracy", "takes the least")(_accuracy(count="hits += (model(x).argmin(1) == y).sum().item()"))
wrong("accuracy", "return")(_accuracy(end="print(hits / len(images))"))
wrong("accuracy", "number of batches|divide")(_accuracy(end="return hits / (len(images) / batch_size)"))
wrong("accuracy", "first batch|inside the loop|after the loop")(
    _accuracy(count="hits += (model(x).argmax(1) == y).sum().item(); break")
)
wrong("accuracy", "last batch")(_accuracy(count="hits = (model(x).argmax(1) == y).sum().item()"))
wrong("accuracy", "dim|axis|IndexError|over the batch|RuntimeError|argmax")(
    _accuracy(count="hits += (model(x).argmax(0) == y).sum().item()")
)
wrong("accuracy", "dim|axis|argmax")(_accuracy(count="hits += (model(x).argmax() == y).sum().item()"))
wrong("accuracy", "batch_size|full batches|last batch")(
    _accuracy(
        start="hits = total = 0",
        count="hits += (model(x).argmax(1) == y).sum().item(); total += batch_size",
        end="return hits / total",
    )
)
wrong("accuracy", "loss")(
    _accuracy(count="hits += F.cross_entropy(model(x).float(), y, reduction='sum').item()")
)
wrong("accuracy", "accuracy alone|two values|one number|tuple")(_accuracy(end="return hits, len(images)"))
wrong("accuracy", "probabilit|confiden|share of right")(
    _accuracy(count="hits += model(x).float().softmax(1).max(1).values.sum().item()")
)
wrong("accuracy", "rounded")(_accuracy(end="return round(hits / len(images), 2)"))
wrong("accuracy", "whole|//|rounded|argmax")(_accuracy(end="return hits // len(images)"))
wrong("accuracy", "batch_size.*32|own batch size|larger than batch_size")(
    _accuracy(loop="for i in range(0, len(images), 32):", batch="x, y = images[i:i + 32], labels[i:i + 32]")
)
wrong("accuracy", "mode")(_accuracy(before="model.eval(); was = model.training"))
wrong("accuracy", "overlap|more than once|looked at")(_accuracy(loop="for i in range(0, len(images)):"))
wrong("accuracy", "labels|batch|RuntimeError|size of tensor")(
    _accuracy(batch="x, y = images[i:i + batch_size], labels")
)
wrong("accuracy", "training mode")(_accuracy(mode="model.train()"))
wrong("accuracy", "averages the batches")(_accuracy(**MEANS, grad="torch.enable_grad()", after="pass"))
wrong("accuracy", "eval.*brackets|training mode|brackets")(_accuracy(mode="model.eval"))
wrong("accuracy", "percent|text|string|str")(_accuracy(end="return f'{hits / len(images):.1%}'"))
wrong("accuracy", "off by one|last image|looked at|left out")(
    _accuracy(
        loop="for i in range(0, len(images) - 1, batch_size):",
        batch="x, y = images[i:min(i + batch_size, len(images) - 1)], labels[i:min(i + batch_size, len(images) - 1)]",
    )
)


# fit_best ---------------------------------------------------------------------------------------------------


@right("fit_best")
def fit_clone(model, train_epoch, validate, epochs):
    history = []
    for _ in range(epochs):
        train_epoch(model)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        history.append((validate(model), state))
    best = max(history, key=lambda item: item[0])
    model.load_state_dict(best[1])
    return best[0]


@right("fit_best")
def fit_saved(model, train_epoch, validate, epochs):
    best, file = float("-inf"), None
    for epoch in range(epochs):
        train_epoch(model)
        accuracy = validate(model)
        if accuracy > best:
            best, file = accuracy, io.BytesIO()
            torch.save(model.state_dict(), file)
    file.seek(0)
    model.load_state_dict(torch.load(file))
    return best


@right("fit_best")
def fit_whole_model(model, train_epoch, validate, epochs):
    best = None
    for _ in range(epochs):
        train_epoch(model)
        now = validate(model)
        if best is None or now > best[0]:
            best = now, copy.deepcopy(model)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            value.copy_(best[1].state_dict()[key])
    return best[0]


@right("fit_best")
def fit_two_dictionaries(model, train_epoch, validate, epochs):
    best = -math.inf
    while epochs > 0:
        train_epoch(model)
        epochs -= 1
        if (accuracy := validate(model)) > best:
            best = accuracy
            parameters = {k: v.detach().clone() for k, v in model.named_parameters()}
            buffers = {k: v.clone() for k, v in model.named_buffers()}
    model.load_state_dict({**parameters, **buffers})
    return torch.tensor(best)


@right("fit_best")
def fit_numpy(model, train_epoch, validate, epochs):
    accuracies, states = np.zeros(epochs), []
    for i in range(epochs):
        train_epoch(model)
        accuracies[i] = validate(model)
        states.append(copy.deepcopy(dict(model.state_dict())))
    model.load_state_dict(states[accuracies.argmax()])
    return accuracies.max()


def _fit(*, start="best, kept = -1.0, None", loop="for epoch in range(epochs):", train="train_epoch(model)",
         found="found = validate(model)", when="if found > best:", keep="best, kept = found, copy.deepcopy(model.state_dict())",
         after="pass", restore="model.load_state_dict(kept)", end="return best"):  # fmt: skip
    lines = [
        start,
        loop,
        "    " + train,
        "    " + found,
        "    " + when,
        "        " + keep,
        "    " + after,
        restore,
        end,
    ]
    space = {"copy": copy, "torch": torch, "nn": nn}
    exec("def fit_best(model, train_epoch, validate, epochs):\n    " + "\n    ".join(lines), space)
    return space["fit_best"]


wrong("fit_best", "references|copy")(_fit(keep="best, kept = found, model.state_dict()"))
wrong("fit_best", "references|copy")(_fit(keep="best, kept = found, model.state_dict().copy()"))
wrong("fit_best", "references|copy")(_fit(keep="best, kept = found, copy.copy(model.state_dict())"))
wrong("fit_best", "never put back")(_fit(restore="pass"))
wrong("fit_best", "keeps the later")(_fit(when="if found >= best:"))
wrong("fit_best", "last accuracy")(_fit(end="return found"))
wrong("fit_best", "returns nothing|return the best")(_fit(end="pass"))
wrong("fit_best", "number of the epoch")(
    _fit(keep="best, kept, where = found, copy.deepcopy(model.state_dict()), epoch", end="return where")
)
wrong("fit_best", "returns the model")(_fit(end="return model"))
wrong("fit_best", "two values")(_fit(end="return best, model"))
wrong("fit_best", "worst epoch|greater is better")(
    _fit(start="best, kept = 2.0, None", when="if found < best:")
)
wrong("fit_best", "stops at the first")(_fit(after="if found < best: break"))
wrong("fit_best", "running statistics")(
    _fit(
        keep="best, kept = found, {k: v.clone() for k, v in model.named_parameters()}",
        restore="model.load_state_dict(kept, strict=False)",
    )
)
wrong("fit_best", "best.*0|starts? at|no epoch|None|never better")(_fit(start="best, kept = 0.0, None"))
wrong("fit_best", "epochs|one too few|range")(_fit(loop="for epoch in range(1, epochs):"))
wrong("fit_best", "epochs|one too many|range")(_fit(loop="for epoch in range(epochs + 1):"))
wrong("fit_best", "every epoch|in the loop|puts back")(
    _fit(after="model.load_state_dict(kept)", restore="pass")
)
wrong("fit_best", "never updated|best is not|best = ")(
    _fit(keep="kept = copy.deepcopy(model.state_dict())", end="return found")
)
wrong("fit_best", "validate[sd]? before|before it is trained|before train|epoch before")(
    _fit(train="found = validate(model) if epoch else 0.0", found="train_epoch(model)")
)
wrong("fit_best", "not trained|train_epoch|how many epochs")(_fit(train="pass", found="found = 0.5"))
wrong("fit_best", "references|same object|copy|other name")(
    _fit(keep="best, kept = found, model", restore="model.load_state_dict(kept.state_dict())")
)
wrong("fit_best", "never put back")(
    _fit(keep="best, kept = found, copy.deepcopy(model)", restore="model = kept")
)
wrong("fit_best", "strict|missing key|Missing|running statistics|RuntimeError")(
    _fit(keep="best, kept = found, {k: v.clone() for k, v in model.named_parameters()}")
)
wrong("fit_best", "weights|state_dict|dictionary")(_fit(end="return kept"))
wrong("fit_best", "first epoch alone|after the loop|inside the loop")(_fit(after="return best"))
wrong("fit_best", "mean|average")(
    _fit(
        start="best, kept, every = -1.0, None, []",
        after="every.append(found)",
        end="return sum(every) / len(every)",
    )
)
wrong("fit_best", "list|history|all accuracies|best alone|values")(
    _fit(start="best, kept, every = -1.0, None, []", after="every.append(found)", end="return every")
)
wrong("fit_best", "rounded")(_fit(end="return round(best)"))
wrong("fit_best", "NameError[\\s\\S]*in line|UnboundLocalError[\\s\\S]*in line|not defined|not associated")(
    _fit(start="kept = None")
)
wrong("fit_best", "every epoch counts as better")(_fit(when="if True:"))
wrong("fit_best", "per cent")(_fit(end="return 100 * best"))
wrong("fit_best", "brackets|called|function")(_fit(found="found = validate"))
wrong("fit_best", "data_ptr|clone|copy|references")(
    _fit(keep="best, kept = found, {k: v.detach() for k, v in model.state_dict().items()}")
)
wrong("fit_best", "best is not|every|better than the one before|before")(
    _fit(
        when="if found > (0.0 if epoch == 0 else last):",
        start="best, kept, last = -1.0, None, 0.0",
        after="last = found",
    )
)
