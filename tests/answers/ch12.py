"""Answers to the exercises of chapter 12, From notebook to browser."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math
import statistics
import time
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from answers import Answers, written_function, written_module
from fercourse.data import EMOTIONS
from fercourse.evaluate import bootstrap_interval

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong

SPACE = {
    "np": np, "math": math, "torch": torch, "F": F, "nn": nn, "copy": copy, "statistics": statistics, "time": time,
    "EMOTIONS": EMOTIONS, "bootstrap_interval": bootstrap_interval,
}  # fmt: skip
_function = partial(written_function, SPACE)
_module = partial(written_module, SPACE)

# to_48 ------------------------------------------------------------------------------------------------------


def square(*lines):
    return _function("to_48(frame)", *lines)


SIZE = "h, w = frame.shape[:2]"
CELL = "k = min(h, w) // 48; s = 48 * k"
CUT = "t, l = (h - s) // 2, (w - s) // 2; c = frame[t:t + s, l:l + s].astype(np.float32)"
GREY = "g = 0.299 * c[..., 0] + 0.587 * c[..., 1] + 0.114 * c[..., 2]"
MEAN = "m = g.reshape(48, k, 48, k).mean((1, 3))"
END = "return (m / 255).reshape(1, 1, 48, 48).astype(np.float32)"

right("to_48")(square(SIZE, CELL, CUT, GREY, MEAN, END))
right("to_48")(
    square(
        "from PIL import Image",
        SIZE, CELL,
        "t, l = (h - s) // 2, (w - s) // 2",
        "image = Image.fromarray(frame).convert('L').crop((l, t, l + s, t + s))",
        "small = np.asarray(image.resize((48, 48), Image.Resampling.BOX), np.float32)",
        "return torch.from_numpy(small / 255)[None, None]",
    )
)  # fmt: skip
right("to_48")(
    square(
        "x = torch.from_numpy(frame).permute(2, 0, 1).float() / 255",
        "side = min(x.shape[1:]) // 48 * 48",
        "top, left = (x.shape[1] - side) // 2, (x.shape[2] - side) // 2",
        "x = x[:, top:top + side, left:left + side]",
        "x = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)",
        "return F.interpolate(x[None], size=48, mode='area')",
    )
)
right("to_48")(
    square(
        SIZE, CELL,
        "out = np.zeros((1, 1, 48, 48), dtype='float32')",
        "for i in range(48):",
        "    for j in range(48):",
        "        block = frame[(h - s) // 2 + i * k:(h - s) // 2 + (i + 1) * k, (w - s) // 2 + j * k:(w - s) // 2 + (j + 1) * k]",
        "        r, g, b = block.reshape(-1, 3).mean(0)",
        "        out[0, 0, i, j] = (0.299 * r + 0.587 * g + 0.114 * b) / 255",
        "return out",
    )
)  # fmt: skip
right("to_48")(
    square(
        "from skimage.transform import downscale_local_mean",
        SIZE, CELL, CUT, GREY,
        "return downscale_local_mean(g, (k, k)).astype(np.float32)[None, None] / 255",
    )
)  # fmt: skip
right("to_48")(
    square(
        SIZE,
        CELL,
        CUT,
        "g = torch.tensor(c @ np.array([0.299, 0.587, 0.114], np.float32))",
        "return F.avg_pool2d(g[None, None], k) / 255",
    )
)

wrong("to_48", "0 to 255|divide by 255")(
    square(SIZE, CELL, CUT, GREY, MEAN, "return m[None, None].astype(np.float32)")
)
wrong("to_48", "shape .* is not")(square(SIZE, CELL, CUT, GREY, MEAN, "return (m / 255).astype(np.float32)"))
wrong("to_48", "shape .* is not")(
    square(SIZE, CELL, CUT, GREY, MEAN, "return (m / 255).astype(np.float32)[None, ..., None]")
)
wrong("to_48", "float64")(
    square(SIZE, CELL, CUT, GREY, MEAN, "return (m / 255)[None, None].astype(np.float64)")
)
wrong("to_48", "uint8|whole numbers|All is 0")(
    square(SIZE, CELL, CUT, GREY, MEAN, "return (m / 255)[None, None].astype(np.uint8)")
)
wrong("to_48", "corner")(square(SIZE, CELL, "c = frame[:s, :s].astype(np.float32)", GREY, MEAN, END))
wrong("to_48", "multiple of 48")(
    square(
        SIZE,
        "s = min(h, w); t, l = (h - s) // 2, (w - s) // 2",
        "g = torch.tensor(frame[t:t + s, l:l + s] @ np.array([0.299, 0.587, 0.114])).float()",
        "return F.interpolate(g[None, None], (48, 48), mode='area') / 255",
    )
)
wrong("to_48", "squeezed")(
    square(
        "g = torch.tensor(frame @ np.array([0.299, 0.587, 0.114])).float()",
        "return F.interpolate(g[None, None], (48, 48), mode='area') / 255",
    )
)
wrong("to_48", "nearest")(square(SIZE, CELL, CUT, GREY, "m = g[::k, ::k]", END))
wrong("to_48", "nearest")(square(SIZE, CELL, CUT, GREY, "m = g[k // 2::k, k // 2::k]", END))
wrong("to_48", "bilinear")(
    square(
        SIZE,
        CELL,
        CUT,
        GREY,
        "return F.interpolate(torch.tensor(g)[None, None], (48, 48), mode='bilinear') / 255",
    )
)
wrong("to_48", "antialias")(
    square(
        "from PIL import Image",
        SIZE, CELL,
        "t, l = (h - s) // 2, (w - s) // 2",
        "image = Image.fromarray(frame[t:t + s, l:l + s]).convert('L').resize((48, 48), Image.Resampling.BILINEAR)",
        "return np.asarray(image, dtype=np.float32)[None, None] / 255",
    )
)  # fmt: skip
wrong("to_48", "plain mean of the colours")(square(SIZE, CELL, CUT, "g = c.mean(2)", MEAN, END))
wrong("to_48", "other weights")(
    square("from skimage.color import rgb2gray", SIZE, CELL, CUT, "g = rgb2gray(c / 255) * 255", MEAN, END)
)
wrong("to_48", "red and blue")(
    square(SIZE, CELL, CUT, "g = 0.114 * c[..., 0] + 0.587 * c[..., 1] + 0.299 * c[..., 2]", MEAN, END)
)
wrong("to_48", "channel is kept")(square(SIZE, CELL, CUT, "g = c[..., 1]", MEAN, END))
wrong("to_48", "axes of the reshape")(
    square(SIZE, CELL, CUT, GREY, "m = g.reshape(k, 48, k, 48).mean((0, 2))", END)
)
wrong("to_48", "added up")(square(SIZE, CELL, CUT, GREY, "m = g.reshape(48, k, 48, k).sum((1, 3))", END))
wrong("to_48", "normalised|-1 to 1")(
    square(SIZE, CELL, CUT, GREY, MEAN, "return ((m / 255 - 0.5) / 0.5)[None, None].astype(np.float32)")
)
wrong("to_48", "255 twice")(square(SIZE, CELL, CUT, "c = c / 255", GREY, MEAN, END))
wrong("to_48", "three colours")(
    square(
        SIZE,
        CELL,
        CUT,
        "m = c.reshape(48, k, 48, k, 3).mean((1, 3)) / 255",
        "return m.transpose(2, 0, 1)[None].astype(np.float32)",
    )
)
wrong("to_48", "mirrored")(square(SIZE, CELL, CUT, GREY, MEAN, "m = m[:, ::-1]", END))
wrong("to_48", "middle 48 x 48|Only the middle")(square(SIZE, "k = 1; s = 48", CUT, GREY, MEAN, END))
wrong("to_48", "swapped")(
    square(
        SIZE,
        CELL,
        "l, t = (h - s) // 2, (w - s) // 2; c = frame[t:t + s, l:l + s].astype(np.float32)",
        GREY,
        "m = g.reshape(48, k, 48, k).mean((1, 3))",
        END,
    )
)
wrong("to_48", "multiple of 48")(square(SIZE, "s = min(h, w); k = s // 48", CUT, GREY, MEAN, END))
wrong("to_48", "256")(square(SIZE, CELL, CUT, GREY, MEAN, "return (m / 256)[None, None].astype(np.float32)"))
wrong("to_48", "own (greatest|least)")(
    square(SIZE, CELL, CUT, GREY, MEAN, "return (m / m.max())[None, None].astype(np.float32)")
)
wrong("to_48", "nothing")(square(SIZE, CELL, CUT, GREY, MEAN, "print(m / 255)"))
wrong("to_48", "changes its argument")(
    square(SIZE, CELL, "out = (lambda c: c)(frame)", CUT, GREY, MEAN, "frame //= 2", END)
)

# Packed -----------------------------------------------------------------------------------------------------


def packed(start, forward):
    return _module("Packed", "network, mean, std", start, [line.replace("(x)", "(x)") for line in forward])


START = ["self.network = network", "self.mean, self.std = mean, std"]
PREP = "x = (x / 255 - self.mean) / self.std"
right("Packed")(packed(START, [PREP, "return self.network(x).softmax(1)"]))
right("Packed")(
    packed(
        [
            "self.net = network",
            "self.register_buffer('m', torch.tensor(mean))",
            "self.register_buffer('s', torch.tensor(std))",
        ],
        ["x = x.div(255).sub(self.m).div(self.s)", "return torch.softmax(self.net(x), dim=-1)"],
    )
)
right("Packed")(
    packed(
        [
            "self.body = nn.Sequential(network, nn.Softmax(dim=1))",
            "self.a = 1 / (255 * std)",
            "self.b = -mean / std",
        ],
        ["return self.body(x * self.a + self.b)"],
    )
)
right("Packed")(
    packed(
        START,
        ["with torch.no_grad():", "    z = self.network((x / 255.0 - self.mean) / self.std)",
         "    e = torch.exp(z - z.max(dim=1, keepdim=True).values)", "    return e / e.sum(dim=1, keepdim=True)"],
    )
)  # fmt: skip
right("Packed")(
    packed(
        [
            "self.network = copy.deepcopy(network).eval()",
            "self.mean = nn.Parameter(torch.tensor(float(mean)), requires_grad=False)",
            "self.std = std",
        ],
        [
            "x = x.clone()",
            "x /= 255",
            "x -= self.mean",
            "x /= self.std",
            "return F.log_softmax(self.network(x), 1).exp()",
        ],
    )
)
SOFT = "return F.softmax(self.network(x), dim=1)"
wrong("Packed", "not divided by 255")(packed(START, ["x = (x - self.mean) / self.std", SOFT]))
wrong("Packed", "comes last")(packed(START, ["x = (x - self.mean) / self.std / 255", SOFT]))
wrong("Packed", "mean is not subtracted")(packed(START, ["x = x / 255 / self.std", SOFT]))
wrong("Packed", "not divided by std")(packed(START, ["x = x / 255 - self.mean", SOFT]))
wrong("Packed", "brackets|before the mean")(packed(START, ["x = x / 255 / self.std - self.mean", SOFT]))
wrong("Packed", "no part in it")(packed(START, ["x = x / 255", SOFT]))
wrong("Packed", "as they come")(packed(START, [SOFT]))
wrong("Packed", "logits")(packed(START, [PREP, "return self.network(x)"]))
wrong("Packed", "dim 0|over the images")(packed(START, [PREP, "return self.network(x).softmax(0)"]))
wrong("Packed", "log_softmax|logarithm")(packed(START, [PREP, "return F.log_softmax(self.network(x), 1)"]))
wrong("Packed", "sigmoid")(packed(START, [PREP, "return torch.sigmoid(self.network(x))"]))
wrong("Packed", "classes; return")(packed(START, [PREP, "return self.network(x).argmax(1)"]))
wrong("Packed", "changes the caller|caller's pixels")(
    packed(START, ["x /= 255", "x = (x - self.mean) / self.std", SOFT])
)
wrong("Packed", "in a list|eval\\(\\) does not reach")(
    packed(
        ["self.network = [network]", "self.mean, self.std = mean, std"],
        [PREP, "return F.softmax(self.network[0](x), dim=1)"],
    )
)
wrong("Packed", "does not reach|not find")(
    packed(
        ["self.run = lambda x: network(x)", "self.mean, self.std = mean, std"],
        [PREP, "return F.softmax(self.run(x), dim=1)"],
    )
)
wrong("Packed", "training mode")(packed(START, [PREP, "self.network.train()", SOFT]))
wrong("Packed", "typed in")(packed(START, ["x = (x / 255 - 0.5) / 0.25", SOFT]))
wrong("Packed", "own mean|own statistics")(
    packed(START, ["x = x / 255", "x = (x - x.mean()) / x.std()", SOFT])
)
wrong("Packed", "twice")(packed(START, [PREP, "return self.network(x).softmax(1).softmax(1)"]))
wrong("Packed", "kept in __init__|self\\.")(packed(["self.network = network"], [PREP, SOFT]))
wrong("Packed", "return.* missing|nothing")(packed(START, [PREP, "F.softmax(self.network(x), dim=1)"]))
wrong("Packed", "multiplied by std")(packed(START, ["x = (x / 255 - self.mean) * self.std", SOFT]))
wrong("Packed", "255 twice")(packed(START, ["x = x / 255", PREP, SOFT]))
wrong("Packed", "in whole batch|whole batch|over all logits")(
    packed(START, [PREP, "z = self.network(x).exp()", "return z / z.sum()"])
)
wrong("Packed", "shape .* is not|first image")(
    packed(START, [PREP, "return self.network(x).softmax(1).squeeze()"])
)
wrong("Packed", "first image")(packed(START, [PREP, "return self.network(x).softmax(1)[0]"]))
wrong("Packed", "own greatest")(packed(START, ["x = (x / x.max() - self.mean) / self.std", SOFT]))

# fold -------------------------------------------------------------------------------------------------------


def folded(*lines):
    return _function("fold(conv, norm)", *lines)


NEW = "new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)"
S = "s = norm.weight / torch.sqrt(norm.running_var + norm.eps)"
OLD = "b = conv.bias if conv.bias is not None else torch.zeros_like(norm.bias)"
W = "new.weight.data = conv.weight.data * s.data.view(-1, 1, 1, 1)"
BIAS = "new.bias.data = (norm.bias + s * (b - norm.running_mean)).data"
R = "return new"
right("fold")(folded(NEW, S, OLD, W, BIAS, R))
right("fold")(
    folded(
        "from torch.nn.utils.fusion import fuse_conv_bn_eval",
        "return fuse_conv_bn_eval(copy.deepcopy(conv).eval(), copy.deepcopy(norm).eval())",
    )
)
right("fold")(
    folded(
        "new = copy.deepcopy(conv)",
        "with torch.no_grad():",
        "    std = (norm.running_var + norm.eps) ** 0.5",
        "    for channel in range(conv.out_channels):",
        "        new.weight[channel] *= norm.weight[channel] / std[channel]",
        "    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean",
        "    new.bias = nn.Parameter(shift * norm.weight / std + norm.bias)",
        "return new",
    )
)
right("fold")(
    folded(
        "gain = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)",
        "new = copy.deepcopy(conv)",
        "new.weight = nn.Parameter(torch.einsum('oihw,o->oihw', conv.weight.detach(), gain))",
        "old = 0 if conv.bias is None else conv.bias.detach()",
        "new.bias = nn.Parameter(norm.bias.detach() + gain * old - gain * norm.running_mean)",
        "return new.eval()",
    )
)
wrong("fold", "eps is missing")(folded(NEW, "s = norm.weight / norm.running_var.sqrt()", OLD, W, BIAS, R))
wrong("fold", "eps is typed")(
    folded(NEW, "s = norm.weight / (norm.running_var + 1e-5).sqrt()", OLD, W, BIAS, R)
)
wrong("fold", "after the root")(
    folded(NEW, "s = norm.weight / (norm.running_var.sqrt() + norm.eps)", OLD, W, BIAS, R)
)
wrong("fold", "root is missing|by the variance")(
    folded(NEW, "s = norm.weight / (norm.running_var + norm.eps)", OLD, W, BIAS, R)
)
wrong("fold", "gamma")(folded(NEW, "s = 1 / (norm.running_var + norm.eps).sqrt()", OLD, W, BIAS, R))
wrong("fold", "own bias is lost")(
    folded(NEW, S, W, "new.bias.data = (norm.bias - s * norm.running_mean).data", R)
)
wrong("fold", "own bias goes through")(
    folded(NEW, S, OLD, W, "new.bias.data = (norm.bias + b - s * norm.running_mean).data", R)
)
wrong("fold", "beta")(folded(NEW, S, OLD, W, "new.bias.data = (s * (b - norm.running_mean)).data", R))
wrong("fold", "running mean is not subtracted")(
    folded(NEW, S, OLD, W, "new.bias.data = (norm.bias + s * b).data", R)
)
wrong("fold", "has no bias")(
    folded(
        "new = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, bias=False)",
        S, W, R,
    )
)  # fmt: skip
wrong("fold", "last axis")(folded(NEW, S, OLD, "new.weight.data = conv.weight.data * s.data", BIAS, R))
wrong("fold", "input channels")(
    folded(NEW, S, OLD, "new.weight.data = conv.weight.data * s.data[None, :, None, None]", BIAS, R)
)
wrong("fold", "weights are still the old")(
    folded(NEW, S, OLD, "new.weight.data = conv.weight.data.clone()", BIAS, R)
)
wrong("fold", "stride of conv")(
    folded(
        NEW.replace(
            "conv.stride, conv.padding, conv.dilation, conv.groups",
            "padding=conv.padding, dilation=conv.dilation, groups=conv.groups",
        ),
        S,
        OLD,
        W,
        BIAS,
        R,
    )
)
wrong("fold", "padding of conv")(
    folded(
        NEW.replace("conv.padding, conv.dilation, conv.groups", "dilation=conv.dilation, groups=conv.groups"),
        S,
        OLD,
        W,
        BIAS,
        R,
    )
)
wrong("fold", "stride, padding and dilation")(
    folded(
        NEW.replace(", conv.stride, conv.padding, conv.dilation, conv.groups", ", groups=conv.groups"),
        S,
        OLD,
        W,
        BIAS,
        R,
    )
)
wrong("fold", "groups")(folded(NEW.replace(", conv.groups", ""), S, OLD, W, BIAS, R))
wrong("fold", "not as it was")(
    folded(
        S,
        OLD,
        "conv.weight.data *= s.data.view(-1, 1, 1, 1)",
        "conv.bias = nn.Parameter((norm.bias + s * (b - norm.running_mean)).data)",
        "return conv",
    )
)
wrong("fold", "one behind the other")(folded("return nn.Sequential(conv, norm)"))
wrong("fold", "weight and bias alone")(
    folded(S, OLD, "return conv.weight * s.view(-1, 1, 1, 1), norm.bias + s * (b - norm.running_mean)")
)
wrong("fold", "without bias|bias. None")(
    folded(NEW, S, W, "new.bias.data = (norm.bias + s * (conv.bias - norm.running_mean)).data", R)
)
wrong("fold", "no_grad|in place")(
    folded(NEW, S, OLD, "new.weight *= 0", "new.weight += conv.weight * s.view(-1, 1, 1, 1)", BIAS, R)
)
wrong("fold", "nn.Parameter")(
    folded(NEW, S, OLD, "new.weight = conv.weight.detach() * s.detach().view(-1, 1, 1, 1)", BIAS, R)
)
wrong("fold", "born with")(folded(NEW, S, OLD, R))
wrong("fold", "running_mean and running_var")(
    folded(NEW, "s = norm.weight / (norm.var + norm.eps).sqrt()", OLD, W, BIAS, R)
)
wrong("fold", "running mean is added")(
    folded(NEW, S, OLD, W, "new.bias.data = (norm.bias + s * (b + norm.running_mean)).data", R)
)
wrong("fold", "beta.* is multiplied by s|after the scaling")(
    folded(NEW, S, OLD, W, "new.bias.data = (s * (b - norm.running_mean + norm.bias)).data", R)
)
wrong("fold", "mean must be multiplied")(
    folded(NEW, S, OLD, W, "new.bias.data = (norm.bias + s * b - norm.running_mean).data", R)
)

_MADE = (
    "new = nn.Conv2d(conv.in_channels, conv.out_channels, {}, conv.stride, conv.padding, conv.dilation, {})"
)
wrong("fold", "groups of conv are not")(
    folded(
        _MADE.format("conv.kernel_size", "1"), S, OLD, "with torch.no_grad():",
        "    new.weight.copy_(conv.weight * s[:, None, None, None])",
        "    new.bias.copy_(norm.bias + s * (b - norm.running_mean))", R,
    )
)  # fmt: skip
wrong("fold", "height of the kernel")(
    folded(
        _MADE.format("conv.kernel_size[0]", "conv.groups"), S, OLD, "with torch.no_grad():",
        "    new.weight.copy_(conv.weight * s[:, None, None, None])",
        "    new.bias.copy_(norm.bias + s * (b - norm.running_mean))", R,
    )
)  # fmt: skip
wrong("fold", "width of the kernel")(
    folded(
        _MADE.format("conv.kernel_size[1]", "conv.groups"), S, OLD, "with torch.no_grad():",
        "    new.weight.copy_(conv.weight * s[:, None, None, None])",
        "    new.bias.copy_(norm.bias + s * (b - norm.running_mean))", R,
    )
)  # fmt: skip
wrong("fold", "another mode")(folded("norm.eval(); conv.eval()", NEW, S, OLD, W, BIAS, R))
wrong("fold", "has no bias")(
    folded(
        "new = copy.deepcopy(conv)", S, W,
        "if new.bias is not None:",
        "    new.bias.data = (norm.bias + s * (conv.bias - norm.running_mean)).data", R,
    )
)  # fmt: skip

# quantise ---------------------------------------------------------------------------------------------------


def grid(*lines):
    return _function("quantise(x, low, high)", *lines)


WIDE = "low, high = min(low, 0), max(high, 0)"
SCALE = "scale = (high - low) / 255"
ZERO = "zero = round(-low / scale)"
Q = "q = torch.clamp(torch.round(x / scale) + zero, 0, 255)"
BACK = "return q, (q - zero) * scale"
right("quantise")(grid(WIDE, SCALE, ZERO, Q, BACK))
right("quantise")(
    grid(
        "low, high = min(0.0, low), max(0.0, high)",
        SCALE,
        "zero = int(np.rint(-low / scale))",
        "q = (x / scale + zero).round().clamp(0, 255).to(torch.uint8)",
        "back = scale * (q.float() - zero)",
        "return [q, back]",
    )
)
right("quantise")(
    grid(
        WIDE, SCALE, ZERO,
        "q = torch.quantize_per_tensor(x, scale, zero, torch.quint8)",
        "return q.int_repr(), q.dequantize()",
    )
)  # fmt: skip
right("quantise")(
    grid(
        "a = np.asarray(x, dtype=np.float64)",
        "lo, hi = (low if low < 0 else 0), (high if high > 0 else 0)",
        "step = (hi - lo) / 255.0",
        "z = math.floor(-lo / step + 0.5)",
        "q = np.clip(np.rint(a / step) + z, 0, 255).astype(int)",
        "return q, (q - z) * step",
    )
)
right("quantise")(
    grid(
        WIDE, SCALE, ZERO,
        "clipped = x.clamp(low, high)",
        "q = (clipped / scale).round().long() + zero",
        "return q, (q - zero).float() * scale",
    )
)  # fmt: skip
wrong("quantise", "must contain 0")(grid(SCALE, ZERO, Q, BACK))
wrong("quantise", "from both sides")(grid("low = min(low, 0)", SCALE, ZERO, Q, BACK))
wrong("quantise", "from both sides")(grid("high = max(high, 0)", SCALE, ZERO, Q, BACK))
wrong("quantise", "from x itself")(
    grid("low, high = min(x.min().item(), 0), max(x.max().item(), 0)", SCALE, ZERO, Q, BACK)
)
wrong("quantise", "255 steps")(grid(WIDE, "scale = (high - low) / 256", ZERO, Q, BACK))
wrong("quantise", "symmetric")(
    grid(WIDE, "scale = max(-low, high) / 127", "zero = 0", "q = (x / scale).round().clamp(-127, 127)", BACK)
)
wrong("quantise", "wrong sign")(grid(WIDE, SCALE, "zero = round(low / scale)", Q, BACK))
wrong("quantise", "not rounded")(
    grid(WIDE, SCALE, "zero = -low / scale", "q = (x / scale + zero).round().clamp(0, 255)", BACK)
)
wrong("quantise", "rounded down|cut to whole")(
    grid(WIDE, SCALE, ZERO, "q = torch.clamp((x / scale).floor() + zero, 0, 255)", BACK)
)
wrong("quantise", "rounded down|cut to whole")(
    grid(WIDE, SCALE, ZERO, "q = torch.clamp(x / scale + zero, 0, 255).int()", BACK)
)
wrong("quantise", "cut to whole|rounded down")(
    grid(WIDE, SCALE, ZERO, "q = torch.clamp((x / scale).int() + zero, 0, 255)", BACK)
)
wrong("quantise", "clipped")(grid(WIDE, SCALE, ZERO, "q = torch.round(x / scale) + zero", BACK))
wrong("quantise", "signed")(
    grid(WIDE, SCALE, ZERO, "q = torch.clamp(torch.round(x / scale) + zero, -128, 127)", BACK)
)
wrong("quantise", "zero point is forgotten")(grid(WIDE, SCALE, ZERO, Q, "return q, q * scale"))
wrong("quantise", "uint8")(
    grid(WIDE, SCALE, ZERO, Q, "q = q.to(torch.uint8)", "return q, (q - zero) * scale")
)
wrong("quantise", "brackets")(grid(WIDE, SCALE, ZERO, Q, "return q, q * scale - zero"))
wrong("quantise", "multiply")(grid(WIDE, SCALE, ZERO, Q, "return q, (q - zero) / scale"))
wrong("quantise", "no whole numbers")(
    grid(WIDE, SCALE, ZERO, "q = torch.clamp(x / scale + zero, 0, 255)", BACK)
)
wrong("quantise", "swapped")(grid(WIDE, SCALE, ZERO, Q, "return (q - zero) * scale, q"))
wrong("quantise", "two tensors")(grid(WIDE, SCALE, ZERO, Q, "return q"))
wrong("quantise", "two tensors|found 4")(
    grid(WIDE, SCALE, ZERO, Q, "return q, (q - zero) * scale, scale, zero")
)
wrong("quantise", "divide by it")(
    grid(WIDE, SCALE, ZERO, "q = torch.clamp(torch.round(x * scale) + zero, 0, 255)", BACK)
)
wrong("quantise", "always 128")(grid(WIDE, SCALE, "zero = 128", Q, BACK))
wrong("quantise", "x itself")(grid(WIDE, SCALE, ZERO, Q, "return q, x"))
wrong("quantise", "starts from low")(grid(WIDE, SCALE, ZERO, Q, "return q, low + q * scale"))
wrong("quantise", "round\\(\\) of Python|\\.round\\(\\)|one number")(
    grid(WIDE, SCALE, ZERO, "q = min(max(int(x / scale) + zero, 0), 255)", BACK)
)
wrong("quantise", "come round|256 is 0")(
    grid(
        WIDE,
        SCALE,
        ZERO,
        "q = (torch.round(x / scale) + zero).to(torch.int64).to(torch.uint8)",
        "return q, (q.float() - zero) * scale",
    )
)
wrong("quantise", "changes its argument")(
    grid(WIDE, SCALE, ZERO, "x /= scale", "q = (x.round() + zero).clamp(0, 255)", BACK)
)

wrong("quantise", "back is not")(
    grid(
        WIDE, SCALE, ZERO, "q = torch.round(x / scale) + zero",
        "return q.clamp(0, 255), (q - zero) * scale",
    )
)  # fmt: skip
wrong("quantise", "places of int8")(
    grid(
        WIDE, SCALE, "zero = round(-low / scale) - 128",
        "q = torch.clamp(torch.round(x / scale) + zero, -128, 127)", BACK,
    )
)  # fmt: skip

# calibration_images -----------------------------------------------------------------------------------------


def calibration(*lines):
    return _function("calibration_images(faces, per_class)", *lines)


HELD = "held = {image.tobytes() for part in (faces.val, faces.test) for image in part.images}"
FREE = "free = np.array([i for i, image in enumerate(faces.train.images) if image.tobytes() not in held])"
ONCE = "free = np.array(sorted({faces.train.images[i].tobytes(): i for i in free}.values()))"
PICK = "picked = np.concatenate([free[faces.train.labels[free] == c][:per_class] for c in range(7)])"
GIVE = "return faces.train.images[picked][:, None].astype(np.float32) / 255"
right("calibration_images")(calibration(HELD, FREE, ONCE, PICK, GIVE))
right("calibration_images")(
    calibration(
        "rng = np.random.default_rng(3)",
        HELD,
        "chosen = []",
        "for c in range(7):",
        "    pool = {}",
        "    for image, label in zip(faces.train.images, faces.train.labels):",
        "        if label == c and image.tobytes() not in held: pool[image.tobytes()] = image",
        "    pool = list(pool.values())",
        "    for k in rng.permutation(len(pool))[:per_class]: chosen.append(torch.from_numpy(pool[k]))",
        "return torch.stack(chosen).unsqueeze(1).float().div(255)",
    )
)
right("calibration_images")(
    calibration(
        "import pandas as pd",
        "held = [i.tobytes() for i in np.concatenate([faces['val'].images, faces['test'].images])]",
        "table = pd.DataFrame({'key': [i.tobytes() for i in faces.train.images], 'label': faces.train.labels})",
        "table = table[~table['key'].isin(held)].drop_duplicates('key')",
        "rows = table.sample(frac=1, random_state=0).groupby('label').head(per_class).index",
        "return np.float32(faces.train.images[rows] / 255).reshape(-1, 1, 48, 48)",
    )
)
right("calibration_images")(
    calibration(
        "flat = faces.train.images.reshape(len(faces.train.images), -1)",
        "others = np.concatenate([faces.val.images, faces.test.images]).reshape(-1, 48 * 48)",
        "out = []",
        "for c in range(7):",
        "    mine = np.unique(flat[faces.train.labels == c], axis=0)",
        "    keep = [row for row in mine if not (others == row).all(1).any()]",
        "    out.extend(keep[:per_class])",
        "return (np.array(out) / 255).astype('float32').reshape(-1, 1, 48, 48)",
    )
)
ANY = "picked = np.concatenate([np.flatnonzero(faces.{0}.labels == c)[:per_class] for c in range(7)])"
wrong("calibration_images", "those of test")(
    calibration(ANY.format("test"), "return faces.test.images[picked][:, None].astype(np.float32) / 255")
)
wrong("calibration_images", "those of val")(
    calibration(ANY.format("val"), "return faces.val.images[picked][:, None].astype(np.float32) / 255")
)
wrong("calibration_images", "also stand in val or test")(calibration(ANY.format("train"), GIVE))
wrong("calibration_images", "in val.* not left out")(
    calibration("held = {image.tobytes() for image in faces.test.images}", FREE, ONCE, PICK, GIVE)
)
wrong("calibration_images", "in test.* not left out")(
    calibration("held = {image.tobytes() for image in faces.val.images}", FREE, ONCE, PICK, GIVE)
)
wrong("calibration_images", "chosen twice|different ones")(calibration(HELD, FREE, PICK, GIVE))
wrong("calibration_images", "of each class are asked")(
    calibration(HELD, FREE, ONCE, "picked = free[:per_class]", GIVE)
)
wrong("calibration_images", "number of each class|class by class|class is missing|of one class|too many")(
    calibration(HELD, FREE, ONCE, "picked = free[:7 * per_class]", GIVE)
)
wrong("calibration_images", "divide by 255")(
    calibration(HELD, FREE, ONCE, PICK, "return faces.train.images[picked][:, None].astype(np.float32)")
)
wrong("calibration_images", "one channel|axes")(
    calibration(HELD, FREE, ONCE, PICK, "return faces.train.images[picked].astype(np.float32) / 255")
)
wrong("calibration_images", "one channel|axes")(
    calibration(
        HELD, FREE, ONCE, PICK, "return faces.train.images[picked][..., None].astype(np.float32) / 255"
    )
)
wrong("calibration_images", "float64")(
    calibration(HELD, FREE, ONCE, PICK, "return faces.train.images[picked][:, None] / 255")
)
wrong("calibration_images", "255 twice")(
    calibration(
        HELD, FREE, ONCE, PICK, "return faces.train.images[picked][:, None].astype(np.float32) / 255 / 255"
    )
)
wrong("calibration_images", "places or labels")(calibration(HELD, FREE, ONCE, PICK, "return picked"))
wrong("calibration_images", "more than once|replacement")(
    calibration(
        HELD, FREE, ONCE, "rng = np.random.default_rng(0)",
        "pools = [free[faces.train.labels[free] == c] for c in range(7)]",
        "picked = np.concatenate([rng.choice(p, per_class) for p in pools if len(p)])", GIVE,
    )
)  # fmt: skip
wrong("calibration_images", "fewer images than per_class")(
    calibration(
        HELD, FREE, ONCE, "rng = np.random.default_rng(0)",
        "pools = [free[faces.train.labels[free] == c] for c in range(7)]",
        "picked = np.concatenate([rng.choice(p, per_class, replace=False) for p in pools if len(p)])", GIVE,
    )
)  # fmt: skip
wrong("calibration_images", "all of train")(
    calibration("return faces.train.images[:, None].astype(np.float32) / 255")
)
wrong("calibration_images", "left out|fewer images than")(
    calibration(HELD, FREE, ONCE, "pools = [free[faces.train.labels[free] == c] for c in range(7)]",
                "picked = np.concatenate([p[:per_class] for p in pools if len(p) >= per_class])", GIVE)
)  # fmt: skip
wrong("calibration_images", "one too many")(
    calibration(HELD, FREE, ONCE, PICK.replace("[:per_class]", "[:per_class + 1]"), GIVE)
)
wrong("calibration_images", "too few")(
    calibration(HELD, "picked = np.concatenate([np.flatnonzero(faces.train.labels == c)[:per_class] for c in range(7)])",
                "picked = np.array([i for i in picked if faces.train.images[i].tobytes() not in held])", GIVE)
)  # fmt: skip
wrong("calibration_images", "class is missing")(
    calibration(HELD, FREE, ONCE, PICK.replace("range(7)", "range(1, 7)"), GIVE)
)
wrong("calibration_images", "without their labels|images alone")(
    calibration(HELD, FREE, ONCE, PICK, GIVE + ", faces.train.labels[picked]")
)
wrong("calibration_images", "normalised")(
    calibration(
        HELD,
        FREE,
        ONCE,
        PICK,
        "return ((faces.train.images[picked][:, None] / 255 - 0.5) / 0.25).astype(np.float32)",
    )
)
wrong("calibration_images", "uint8|whole numbers|All|No|divide")(
    calibration(HELD, FREE, ONCE, PICK, "return faces.train.images[picked][:, None]")
)
wrong("calibration_images", "bytes")(calibration("held = set(faces.test.images)", FREE, ONCE, PICK, GIVE))
wrong("calibration_images", "cut down to the smallest|left out|too few")(
    calibration(
        HELD,
        FREE,
        ONCE,
        "least = min([per_class] + [n for n in np.bincount(faces.train.labels[free], minlength=7) if n])",
        PICK.replace("per_class", "least"),
        GIVE,
    )
)

# same_answers -----------------------------------------------------------------------------------------------


def same(*lines):
    return _function("same_answers(reference, other, batches)", *lines)


def loop(*inner, start="worst, ok = 0.0, True", end="return worst, ok"):
    return same(start, "for batch in batches:", *("    " + line for line in inner), end)


AB = "a, b = reference(batch), other(batch)"
BAD = "if a.shape != b.shape or not np.isfinite(b).all(): worst, ok = np.inf, False; continue"
GAP = "gap = np.abs(a - b).max()"
KEEP = "worst = max(worst, gap)"
LIMIT = "ok = ok and bool(gap <= 1e-4 * np.abs(a).max())"
right("same_answers")(loop(AB, BAD, GAP, KEEP, LIMIT))
right("same_answers")(
    same(
        "def gap(a, b):",
        "    if np.shape(a) != np.shape(b): return float('inf')",
        "    d = np.abs(np.subtract(a, b, dtype=np.float64)).max()",
        "    return d if np.isfinite(d) else float('inf')",
        "pairs = [(reference(x), other(x)) for x in batches]",
        "gaps = [gap(a, b) for a, b in pairs]",
        "return max(gaps), all(g <= np.abs(a).max() * 0.0001 for g, (a, b) in zip(gaps, pairs))",
    )
)
right("same_answers")(
    loop(
        "a, b = torch.as_tensor(reference(batch)).double(), torch.as_tensor(other(batch)).double()",
        "fits = a.shape == b.shape and bool(torch.isfinite(b).all())",
        "gap = (a - b).abs().max().item() if fits else math.inf",
        "ok &= gap <= 1e-4 * a.abs().max().item()",
        "worst = gap if gap > worst else worst",
    )
)
right("same_answers")(
    same(
        "worst, agree = [], []",
        "for batch in batches:",
        "    a = np.array(reference(batch)); b = np.array(other(batch))",
        "    if a.shape == b.shape:",
        "        d = np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf)",
        "        worst.append(np.amax(d)); agree.append(np.allclose(b, a, rtol=0, atol=1e-4 * np.abs(a).max()))",
        "    else:",
        "        worst.append(np.inf); agree.append(False)",
        "return np.max(worst), np.all(agree)",
    )
)
wrong("same_answers", "mean difference")(loop(AB, BAD, "gap = np.abs(a - b).mean()", KEEP, LIMIT))
wrong("same_answers", "keep their sign")(loop(AB, BAD, "gap = (b - a).max()", KEEP, LIMIT))
wrong("same_answers", "keep their sign")(loop(AB, BAD, "gap = (a - b).max()", KEEP, LIMIT))
wrong("same_answers", "absolute value is taken of the greatest|absolute value")(
    loop(AB, BAD, "gap = abs((b - a).max())", KEEP, LIMIT)
)
wrong("same_answers", "whatever the logits")(loop(AB, BAD, GAP, KEEP, "ok = ok and bool(gap <= 1e-4)"))
wrong("same_answers", "fixed number")(loop(AB, BAD, GAP, KEEP, "ok = ok and bool(gap < 1e-5)"))
wrong("same_answers", "allclose")(loop(AB, BAD, GAP, KEEP, "ok = ok and np.allclose(a, b)"))
wrong("same_answers", "allclose")(
    loop(AB, BAD, GAP, KEEP, "ok = ok and np.allclose(b, a, rtol=1e-4, atol=0)")
)
wrong("same_answers", "same class")(
    loop(AB, BAD, GAP, KEEP, "ok = ok and bool((a.argmax(1) == b.argmax(1)).all())")
)
wrong("same_answers", "last bit")(loop(AB, BAD, GAP, KEEP, "ok = ok and np.array_equal(a, b)"))
wrong("same_answers", "NaN")(
    loop(
        AB,
        "if a.shape != b.shape: worst, ok = np.inf, False; continue",
        GAP,
        KEEP,
        "ok = ok and not gap > 1e-4 * np.abs(a).max()",
    )
)
wrong("same_answers", "NaN|finite")(
    loop(AB, "if a.shape != b.shape: worst, ok = np.inf, False; continue", GAP, KEEP, LIMIT)
)
wrong("same_answers", "NaN is left out")(
    loop(
        AB,
        "if a.shape != b.shape: worst, ok = np.inf, False; continue",
        "gap = np.nanmax(np.abs(a - b))",
        KEEP,
        LIMIT,
    )
)
wrong("same_answers", "shapes")(
    loop(AB, "if not np.isfinite(b).all(): worst, ok = np.inf, False; continue", GAP, KEEP, LIMIT)
)
wrong("same_answers", "first batch")(
    same(
        "batch = batches[0]",
        AB,
        "if a.shape != b.shape or not np.isfinite(b).all(): return np.inf, False",
        GAP,
        "return gap, bool(gap <= 1e-4 * np.abs(a).max())",
    )
)
wrong("same_answers", "last batch|decided by the last")(
    loop(
        AB,
        "if a.shape != b.shape or not np.isfinite(b).all(): worst, ok = np.inf, False; continue",
        GAP,
        KEEP,
        "ok = bool(gap <= 1e-4 * np.abs(a).max())",
    )
)
wrong("same_answers", "with its sign")(loop(AB, BAD, GAP, KEEP, "ok = ok and bool(gap <= 1e-4 * a.max())"))
right("same_answers")(loop(AB, BAD, GAP, KEEP, "ok = ok and bool(gap <= 1e-4 * np.abs(b).max())"))
wrong("same_answers", "own logit")(
    loop(AB, BAD, "gap = (np.abs(a - b) / np.abs(a)).max()", KEEP, "ok = ok and bool(gap <= 1e-4)")
)
wrong("same_answers", "as it is|divided by the largest")(
    loop(AB, BAD, "gap = np.abs(a - b).max() / np.abs(a).max()", KEEP, "ok = ok and bool(gap <= 1e-4)")
)
wrong("same_answers", "two values")(loop(AB, BAD, GAP, KEEP, LIMIT, end="return ok"))
wrong("same_answers", "swapped")(loop(AB, BAD, GAP, KEEP, LIMIT, end="return ok, worst"))
wrong("same_answers", "ten times too wide")(
    loop(AB, BAD, GAP, KEEP, "ok = ok and bool(gap <= 1e-3 * np.abs(a).max())")
)
wrong("same_answers", "squared")(loop(AB, BAD, "gap = ((a - b) ** 2).max()", KEEP, LIMIT))
wrong("same_answers", "One batch that agrees|last agrees|decided")(
    loop(
        AB,
        BAD.replace(", ok = np.inf, False", " = np.inf"),
        GAP,
        KEEP,
        "ok = ok or bool(gap <= 1e-4 * np.abs(a).max())",
        start="worst, ok = 0.0, False",
    )
)
wrong("same_answers", "passed over|infinite")(
    loop(AB, "if a.shape != b.shape or not np.isfinite(b).all(): ok = False; continue", GAP, KEEP, LIMIT)
)
wrong("same_answers", "One limit serves all|last batch's limit")(
    loop(
        AB,
        BAD,
        GAP,
        KEEP,
        "top = max(top, np.abs(a).max())",
        start="worst, ok, top = 0.0, True, 0.0",
        end="return worst, bool(ok and worst <= 1e-4 * top)",
    )
)
wrong("same_answers", "one batch at a time")(
    same("a, b = reference(batches), other(batches)", GAP, "return gap, gap <= 1e-4 * np.abs(a).max()")
)
wrong("same_answers", "shapes")(
    loop(
        "a, b = reference(batch), other(batch)",
        "if not np.isfinite(b).all(): worst, ok = np.inf, False; continue",
        "b = np.broadcast_to(b, a.shape)",
        GAP,
        KEEP,
        LIMIT,
    )
)

wrong("same_answers", "stops at the first batch")(
    loop(AB, BAD, GAP, KEEP, "if gap > 1e-4 * np.abs(a).max(): return worst, False")
)

# median_ms --------------------------------------------------------------------------------------------------


def timing(*lines):
    return _function("median_ms(call, make_input, clock, repeats)", *lines)


FOR = "for _ in range(repeats):"
right("median_ms")(
    timing(
        "x = make_input()",
        "call(x)",
        "t = []",
        FOR,
        "    a = clock(); call(x); b = clock()",
        "    t.append(b - a)",
        "return np.median(t) * 1000",
    )
)
right("median_ms")(
    timing(
        "inputs = [make_input() for _ in range(repeats + 1)]",
        "taken = []",
        "for x in inputs:",
        "    begun = clock()",
        "    call(x)",
        "    taken.append(1e3 * (clock() - begun))",
        "return statistics.median(taken[1:])",
    )
)
right("median_ms")(
    timing(
        "for _ in range(3): call(make_input())",
        "def once():",
        "    x = make_input()",
        "    start = clock()",
        "    call(x)",
        "    return clock() - start",
        "times = sorted(once() for _ in range(repeats))",
        "middle = repeats // 2",
        "seconds = times[middle] if repeats % 2 else (times[middle - 1] + times[middle]) / 2",
        "return torch.tensor(seconds * 1000, dtype=torch.float64)",
    )
)
X, WARM, T = "x = make_input()", "call(x)", "t = []"
EACH = "    a = clock(); call(x); t.append(1000 * (clock() - a))"
wrong("median_ms", "cold call")(timing(X, T, FOR, EACH, "return statistics.median(t)"))
wrong("median_ms", "takes the mean")(timing(X, WARM, T, FOR, EACH, "return statistics.mean(t)"))
wrong("median_ms", "input is timed")(
    timing(
        "call(make_input())",
        T,
        FOR,
        "    a = clock(); call(make_input()); t.append(1000 * (clock() - a))",
        "return statistics.median(t)",
    )
)
wrong("median_ms", "mean|whole loop")(
    timing(X, WARM, "a = clock()", FOR, "    call(x)", "return 1000 * (clock() - a) / repeats")
)
wrong("median_ms", "in seconds")(
    timing(X, WARM, T, FOR, EACH.replace("1000 * ", ""), "return statistics.median(t)")
)
wrong("median_ms", "input.*cold.*mean|input|mean")(
    timing("a = clock()", FOR, "    call(make_input())", "return 1000 * (clock() - a) / repeats")
)
wrong("median_ms", "cold.*mean|mean.*cold")(timing(X, T, FOR, EACH, "return statistics.mean(t)"))
wrong("median_ms", "least time")(timing(X, WARM, T, FOR, EACH, "return min(t)"))
wrong("median_ms", "never asked")(
    timing(X, WARM, T, FOR, EACH.replace("clock()", "time.perf_counter()"), "return statistics.median(t)")
)
wrong("median_ms", "not sorted")(timing(X, WARM, T, FOR, EACH, "return t[len(t) // 2]"))
wrong("median_ms", "sum of all")(timing(X, WARM, T, FOR, EACH, "return sum(t)"))
wrong("median_ms", "typed in")(timing(X, WARM, T, "for _ in range(5):", EACH, "return statistics.median(t)"))
wrong("median_ms", "typed in")(
    timing(X, WARM, T, "for _ in range(100):", EACH, "return statistics.median(t)")
)
wrong("median_ms", "one fewer")(timing(X, T, FOR, EACH, "return statistics.median(t[1:])"))
wrong("median_ms", "it is timed with the others")(
    timing(X, T, "for _ in range(repeats + 1):", EACH, "return statistics.median(t)")
)
wrong("median_ms", "sign")(
    timing(
        X,
        WARM,
        T,
        FOR,
        "    a = clock(); call(x); t.append(1000 * (a - clock()))",
        "return statistics.median(t)",
    )
)
wrong("median_ms", "call\\(x\\)|takes the input")(
    timing(X, "call()", T, FOR, EACH, "return statistics.median(t)")
)
wrong("median_ms", "clock\\(\\) gives the time|clock is a function")(
    timing(
        X, WARM, T, FOR, "    a = clock; call(x); t.append(1000 * (clock - a))", "return statistics.median(t)"
    )
)
wrong("median_ms", "without its brackets|brackets")(
    timing("x = make_input", WARM, T, FOR, EACH, "return statistics.median(t)")
)
wrong("median_ms", "microseconds")(
    timing(X, WARM, T, FOR, EACH.replace("1000", "1e6"), "return statistics.median(t)")
)
wrong("median_ms", "nothing")(timing(X, WARM, T, FOR, EACH, "print(statistics.median(t))"))
wrong("median_ms", "Making the input is timed")(
    timing(
        "call(make_input())",
        T,
        FOR,
        "    a = clock(); x = make_input(); call(x); t.append(1000 * (clock() - a))",
        "return np.median(t)",
    )
)
wrong("median_ms", "range\\(repeats\\)")(
    timing(X, WARM, T, "for _ in repeats:", EACH, "return statistics.median(t)")
)

wrong("median_ms", "mean of both")(timing(X, WARM, T, FOR, EACH, "return sorted(t)[len(t) // 2]"))
wrong("median_ms", "mean of both")(timing(X, WARM, T, FOR, EACH, "return statistics.median_low(t)"))
wrong("median_ms", "clock anew")(
    timing(
        X, WARM, T, "b = clock()", FOR,
        "    call(x); t.append(1000 * (clock() - b))", "return statistics.median(t)",
    )
)  # fmt: skip

# model_card -------------------------------------------------------------------------------------------------


def card(change="pass", start=""):
    return _function(
        "model_card(record)",
        start or "pass",
        "m = record.metrics('test')",
        "recall = dict(zip(EMOTIONS, m['per_class_recall']))",
        "sizes = record.data['data']['sizes']",
        "weak = min(recall, key=recall.get)",
        "card = dict(name=record.name, data=record.data['data']['fingerprint'], train=sizes['train'], val=sizes['val'], test=sizes['test'],",
        "    accuracy=m['accuracy'], interval=bootstrap_interval(record.labels('test'), record.preds('test')),",
        "    without_twins=m['accuracy_without_twins'], recall=recall, intended_use='For teaching how networks are compared.',",
        "    out_of_scope='Do not use it to watch or judge people at work or in school.', limits=f'Noisy labels; {weak} is rarely found.',",
        "    contact='fer@example.org', licence='MIT')",
        change,
        "return card",
    )


right("model_card")(card())
right("model_card")(
    _function(
        "model_card(record)",
        "labels, preds = np.array(record.labels('test')), np.array(record.preds('test'))",
        "hits = labels == preds",
        "p, n = hits.mean(), len(hits)",
        "e = 1.96 * math.sqrt(p * (1 - p) / n)",
        "recall = {name: float(hits[labels == k].mean()) for k, name in enumerate(EMOTIONS)}",
        "card = {'name': record.name, 'data': 'FER-2013, ' + record.data['data']['fingerprint'][:12]}",
        "card.update(record.data['data']['sizes'])",
        "card['accuracy'], card['interval'] = p, [p - e, p + e]",
        "card['without_twins'] = hits[~record.twins('test')].mean()",
        "card['recall'] = recall",
        "card['intended_use'] = ['Exercises in a course', 'Studying calibration']",
        "card['out_of_scope'] = ['Any decision on a person', 'Medical use']",
        "card['limits'] = 'Worst: ' + sorted(recall, key=lambda k: recall[k])[0].capitalize() + '. Trained once.'",
        "card['contact'] = 'https://example.org/issues'",
        "card['license'] = 'CC BY 4.0'",
        "return card",
    )
)
right("model_card")(
    card(
        "card.update(accuracy=f\"{m['accuracy']:.1%}\", train=f\"{sizes['train']:,}\", interval='{:.1%} to {:.1%}'.format(*card['interval']), recall={k: round(v, 3) for k, v in recall.items()})"
    )
)
right("model_card")(
    card(
        "card.update(interval=torch.tensor(card['interval']), accuracy=np.float32(m['accuracy']), without_twins=round(m['accuracy_without_twins'], 4), recall={k.title(): f'{v:.1%}' for k, v in recall.items()})"
    )
)
wrong("model_card", "accuracy on val")(card("card['accuracy'] = record.metrics('val')['accuracy']"))
wrong("model_card", "on train")(card("card['accuracy'] = record.data['train_accuracy']"))
wrong("model_card", "balanced")(card("card['accuracy'] = m['balanced_accuracy']"))
wrong("model_card", "typed")(card("card['accuracy'] = 0.5703538590136529"))
wrong("model_card", "per cent")(card("card['accuracy'] = 100 * m['accuracy']"))
wrong("model_card", "all test images")(card("card['without_twins'] = m['accuracy']"))
wrong("model_card", "without a twin")(card("card['accuracy'] = m['accuracy_without_twins']"))
wrong("model_card", "interval is that of val")(
    card("card['interval'] = bootstrap_interval(record.labels('val'), record.preds('val'))")
)
wrong("model_card", "68%|one standard error")(
    card(
        "e = (m['accuracy'] * (1 - m['accuracy']) / sizes['test']) ** 0.5; card['interval'] = (m['accuracy'] - e, m['accuracy'] + e)"
    )
)
wrong("model_card", "margin")(
    card(
        "e = (m['accuracy'] * (1 - m['accuracy']) / sizes['test']) ** 0.5; card['interval'] = (-1.96 * e, 1.96 * e)"
    )
)
wrong("model_card", "one number")(card("card['interval'] = 0.016"))
wrong("model_card", "typed|does not even hold|follows")(card("card['interval'] = (0.554, 0.586)"))
wrong("model_card", "alphabet")(card("card['recall'] = dict(zip(sorted(EMOTIONS), m['per_class_recall']))"))
wrong("model_card", "list")(card("card['recall'] = m['per_class_recall']"))
wrong("model_card", "precision")(
    card("c = np.array(m['confusion']); card['recall'] = dict(zip(EMOTIONS, np.diag(c) / c.sum(0)))")
)
wrong("model_card", "that of val")(
    card("card['recall'] = dict(zip(EMOTIONS, record.metrics('val')['per_class_recall']))")
)
wrong("model_card", "counts")(card("card['recall'] = dict(zip(EMOTIONS, np.diag(np.array(m['confusion']))))"))
wrong("model_card", "typed wrong|record says")(
    card("card['recall'] = {**recall, 'fear': recall['fear'] + 0.1}")
)
wrong("model_card", "numbers for names")(card("card['recall'] = dict(enumerate(m['per_class_recall']))"))
wrong("model_card", "lacks surprise")(
    card("card['recall'] = {k: v for k, v in recall.items() if k != 'surprise'}")
)
wrong("model_card", "typed in")(card("card['limits'] = 'The rare class disgust is found badly.'"))
wrong("model_card", "most often")(card("card['limits'] = 'Beware of ' + max(recall, key=recall.get)"))
wrong("model_card", "does not name the class")(card("card['limits'] = 'Small pictures from the web.'"))
wrong("model_card", "all seven")(card("card['limits'] = 'It knows only ' + ', '.join(EMOTIONS)"))
wrong("model_card", "must not do")(card("card['out_of_scope'] = 'Pictures larger than 48 pixels.'"))
wrong("model_card", "say the same")(card("card['out_of_scope'] = card['intended_use']"))
wrong("model_card", "says nothing yet")(card("card['intended_use'] = 'TODO'"))
wrong("model_card", "What not to build")(
    card("card['intended_use'] = 'To monitor the mood of employees in meetings.'")
)
wrong("model_card", "address")(card("card['contact'] = 'the authors of the course'"))
wrong("model_card", "lacks licence")(card("del card['licence']"))
wrong("model_card", "network's, not the record's")(card("card['name'] = record.model"))
wrong("model_card", "fingerprint")(card("card['data'] = 'fer2013.csv'"))
wrong("model_card", "size of test|size of val|size of train")(card("card['train'] = sizes['val']"))
wrong("model_card", "typed in")(card("card['train'] = 28709"))
wrong("model_card", "all splits")(card("card['train'] = sum(sizes.values())"))
wrong("model_card", "returns text")(card("card = str(card)"))
wrong("model_card", "return.*missing")(card("card = None"))
wrong("model_card", "per_class_recall")(card(start="record.metrics('test')['recall']"))
wrong("model_card", "no dictionary")(card(start="record['name']"))
wrong("model_card", "within")(card("card = {'name': card.pop('name'), 'card': card}"))
wrong("model_card", "function that makes one")({"name": "small_vgg-quick-seed0-cpu", "accuracy": 0.657})
wrong("model_card", "exchanged")(card("card['interval'] = card['interval'][::-1]"))
wrong("model_card", "rounded")(card("card['accuracy'] = round(m['accuracy'], 1)"))
