"""Answers to the exercises of chapter 11, Beyond the papers."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from answers import Answers, written_function, written_module

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong

SPACE = {"np": np, "math": math, "torch": torch, "F": F, "nn": nn, "copy": copy}
_function = partial(written_function, SPACE)
_module = partial(written_module, SPACE)


# lbp_codes --------------------------------------------------------------------------------------------------


def lbp(*lines):
    return _function("lbp_codes(image)", *lines)


RING = "ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]"
SIZE = "h, w = image.shape"
OUT = "out = np.zeros((h - 2, w - 2), int)"


def looped(
    test,
    ring=RING,
    out=OUT,
    add="out[y - 1, x - 1] += 2**b",
    rows="range(1, h - 1)",
    columns="range(1, w - 1)",
):
    return lbp(
        SIZE, ring, out,
        f"for y in {rows}:",
        f"    for x in {columns}:",
        "        for b, (i, j) in enumerate(ring):",
        f"            if {test}:",
        f"                {add}",
        "return out",
    )  # fmt: skip


AT_LEAST = "image[y + i, x + j] >= image[y, x]"
right("lbp_codes")(looped(AT_LEAST))
right("lbp_codes")(
    lbp(
        "c = image[1:-1, 1:-1]",
        "n = [image[:-2, :-2], image[:-2, 1:-1], image[:-2, 2:], image[1:-1, 2:], image[2:, 2:], image[2:, 1:-1], image[2:, :-2], image[1:-1, :-2]]",
        "return sum((one >= c).astype(np.uint8) << b for b, one in enumerate(n))",
    )
)
right("lbp_codes")(
    lbp(
        "wide = torch.from_numpy(image.astype(np.int64))",
        RING,
        "patches = torch.stack([torch.roll(wide, (-i, -j), (0, 1))[1:-1, 1:-1] for i, j in ring])",
        "bits = (patches - wide[1:-1, 1:-1] >= 0).long()",
        "return (bits * 2 ** torch.arange(8)[:, None, None]).sum(0)",
    )
)
right("lbp_codes")(
    lbp(
        "def code(y, x):",
        "    p = image[y : y + 3, x : x + 3].astype(float)",
        "    around = [*p[0], p[1, 2], *p[2, ::-1], p[1, 0]]",
        "    return sum(2**b for b, v in enumerate(around) if not v < p[1, 1])",
        "return [[code(y, x) for x in range(image.shape[1] - 2)] for y in range(image.shape[0] - 2)]",
    )
)
wrong("lbp_codes", "at least as bright")(looped("image[y + i, x + j] > image[y, x]"))
wrong("lbp_codes", "other way round")(looped("image[y, x] >= image[y + i, x + j]"))
wrong("lbp_codes", "other way round")(looped("image[y + i, x + j] < image[y, x]"))
wrong("lbp_codes", "uint8|never negative")(looped("image[y + i, x + j] - image[y, x] >= 0"))
wrong("lbp_codes", "uint8|never negative")(looped("image[y + i, x + j] - image[y, x] > 0"))
wrong("lbp_codes", "counter-clockwise")(looped("image[y + j, x + i] >= image[y, x]"))
wrong("lbp_codes", "row by row")(
    looped(AT_LEAST, ring="ring = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]")
)
wrong("lbp_codes", "begins with the neighbour right")(
    looped(AT_LEAST, ring="ring = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]")
)
wrong("lbp_codes", "begins with the neighbour above")(
    looped(AT_LEAST, ring="ring = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]")
)
wrong("lbp_codes", "weights run the other way")(looped(AT_LEAST, add="out[y - 1, x - 1] += 2 ** (7 - b)"))
wrong("lbp_codes", "counts the neighbours")(looped(AT_LEAST, add="out[y - 1, x - 1] += 1"))
wrong("lbp_codes", "1, 2, 3")(looped(AT_LEAST, add="out[y - 1, x - 1] += b + 1"))
wrong("lbp_codes", "twice what")(looped(AT_LEAST, add="out[y - 1, x - 1] += 2 ** (b + 1)"))
wrong("lbp_codes", "squares of")(looped(AT_LEAST, add="out[y - 1, x - 1] += b**2"))
wrong("lbp_codes", "add the bits up")(looped(AT_LEAST, add="out[y - 1, x - 1] = 2**b"))
wrong("lbp_codes", "border is there")(
    looped(AT_LEAST, out="out = np.zeros((h, w), int)", add="out[y, x] += 2**b")
)
wrong("lbp_codes", "last row and column")(looped(AT_LEAST, rows="range(1, h - 2)", columns="range(1, w - 2)"))
wrong("lbp_codes", "over the border")(
    looped(AT_LEAST, out="out = np.zeros((h, w), int)", rows="range(h)", columns="range(w)")
)
wrong("lbp_codes", "square images")(looped(AT_LEAST, columns="range(1, h - 1)"))
wrong("lbp_codes", "dtype=int")(
    lbp(SIZE, RING, "out = np.zeros_like(image[1:-1, 1:-1])", "for b, (i, j) in enumerate(ring):",
        "    out += (image[1 + i : h - 1 + i, 1 + j : w - 1 + j] >= image[1:-1, 1:-1]) * 2**b", "return out")
)  # fmt: skip
wrong("lbp_codes", "continued at its other side")(
    lbp(
        RING,
        "return sum((np.roll(image, (-i, -j), (0, 1)) >= image).astype(int) * 2**b for b, (i, j) in enumerate(ring))",
    )
)
wrong("lbp_codes", "padded with zeros")(
    lbp(
        RING,
        SIZE,
        "big = np.pad(image, 1)",
        "return sum((big[1 + i : 1 + h + i, 1 + j : 1 + w + j] >= image) * 2**b for b, (i, j) in enumerate(ring))",
    )
)
wrong("lbp_codes", "four neighbours")(looped(AT_LEAST, ring="ring = [(-1, 0), (0, 1), (1, 0), (0, -1)]"))
wrong("lbp_codes", "mean of the image")(looped("image[y + i, x + j] >= image.mean()"))


# squared_hinge ----------------------------------------------------------------------------------------------


def hinge(*lines):
    return _function("squared_hinge(logits, labels)", *lines)


SIGNS = "t = 2 * F.one_hot(labels, logits.shape[1]) - 1"
right("squared_hinge")(hinge(SIGNS, "return (torch.relu(1 - t * logits) ** 2).sum(1).mean()"))
right("squared_hinge")(
    hinge(
        "t = -torch.ones_like(logits)",
        "t[torch.arange(len(labels)), labels] = 1",
        "gap = 1 - t * logits",
        "return torch.where(gap > 0, gap, 0 * gap).pow(2).sum() / len(logits)",
    )
)
right("squared_hinge")(
    hinge(
        "total = 0",
        "for row, label in zip(logits, labels):",
        "    for k in range(len(row)):",
        "        z = row[k] if k == label else -row[k]",
        "        if z < 1:",
        "            total = total + (1 - z) ** 2",
        "return total / len(labels)",
    )
)
right("squared_hinge")(
    hinge(
        "own = logits.gather(1, labels.view(-1, 1))",
        "every = F.relu(1 + logits).square().sum(1, keepdim=True)",
        "return (every - F.relu(1 + own).square() + F.relu(1 - own).square()).mean()",
    )
)
right("squared_hinge")(
    hinge(
        "t = torch.eye(logits.size(-1))[labels] * 2 - 1",
        "return F.mse_loss(torch.clamp(t * logits, max=1), torch.ones_like(logits)) * logits.size(-1)",
    )
)
wrong("squared_hinge", "number of classes as well")(
    hinge(SIGNS, "return torch.relu(1 - t * logits).square().mean()")
)
wrong("squared_hinge", "sum over the images")(
    hinge(SIGNS, "return torch.relu(1 - t * logits).square().sum()")
)
wrong("squared_hinge", "square is missing")(hinge(SIGNS, "return torch.relu(1 - t * logits).sum(1).mean()"))
wrong("squared_hinge", "clamp at 0")(hinge(SIGNS, "return (1 - t * logits).square().sum(1).mean()"))
wrong("squared_hinge", "clamp at 0")(
    hinge(SIGNS, "return (1 - t * logits).square().clamp(min=0).sum(1).mean()")
)
wrong("squared_hinge", "have sign 0")(
    hinge(
        "t = F.one_hot(labels, logits.shape[1])", "return torch.relu(1 - t * logits).square().sum(1).mean()"
    )
)
wrong("squared_hinge", "signs are the other way")(
    hinge(SIGNS, "return torch.relu(1 + t * logits).square().sum(1).mean()")
)
wrong("squared_hinge", "margin is missing")(
    hinge(SIGNS, "return torch.relu(-t * logits).square().sum(1).mean()")
)
wrong("squared_hinge", "own class counts")(
    hinge("own = logits[torch.arange(len(labels)), labels]", "return torch.relu(1 - own).square().mean()")
)
wrong("squared_hinge", "multi_margin|compares each class")(
    hinge("return F.multi_margin_loss(logits, labels, p=2)")
)
wrong("squared_hinge", "compares each class")(
    hinge(
        "own = logits.gather(1, labels[:, None])",
        "gap = torch.relu(1 - (own - logits)) ** 2",
        "gap = gap * (1 - F.one_hot(labels, logits.shape[1]))",
        "return gap.sum(1).mean()",
    )
)
wrong("squared_hinge", "softmax before")(
    hinge(SIGNS, "return torch.relu(1 - t * logits.softmax(1)).square().sum(1).mean()")
)
wrong("squared_hinge", "one loss an image")(hinge(SIGNS, "return torch.relu(1 - t * logits).square().sum(1)"))
wrong("squared_hinge", "no gradient")(
    hinge(SIGNS, "return torch.relu(1 - t * logits).square().sum(1).mean().item()")
)
wrong("squared_hinge", "no gradient")(
    hinge(SIGNS, "z = logits.detach()", "return torch.relu(1 - t * z).square().sum(1).mean()")
)
wrong("squared_hinge", "no gradient")(
    hinge(
        "with torch.no_grad():",
        "    " + SIGNS,
        "    return torch.relu(1 - t * logits).square().sum(1).mean()",
    )
)
wrong("squared_hinge", "number of classes is that of the logits")(
    hinge("t = 2 * F.one_hot(labels) - 1", "return torch.relu(1 - t * logits).square().sum(1).mean()")
)
wrong("squared_hinge", "number of classes is that of the logits")(
    hinge("t = 2 * F.one_hot(labels, 7) - 1", "return torch.relu(1 - t * logits).square().sum(1).mean()")
)
wrong("squared_hinge", "do not fit together")(
    hinge("return torch.relu(1 - labels * logits).square().sum(1).mean()")
)
wrong("squared_hinge", "axes are exchanged")(
    hinge(SIGNS, "return torch.relu(1 - t * logits).square().sum(0).mean()")
)
wrong("squared_hinge", "sum is squared")(
    hinge(SIGNS, "return torch.relu(1 - t * logits).sum(1).square().mean()")
)
wrong("squared_hinge", "cross-entropy")(hinge("return F.cross_entropy(logits, labels)"))
wrong("squared_hinge", "worst class")(
    hinge(SIGNS, "return torch.relu(1 - t * logits).square().amax(1).mean()")
)
wrong("squared_hinge", "wrong side")(
    hinge(SIGNS, "return (1 - t * logits).clamp(max=0).square().sum(1).mean()")
)
wrong("squared_hinge", "returns? (nothing|None)")(
    hinge(SIGNS, "loss = torch.relu(1 - t * logits).square().sum(1).mean()")
)


# SpatialGate ------------------------------------------------------------------------------------------------


def gate(conv, *forward, more=()):
    return _module("SpatialGate", "kernel_size", [conv, *more], forward)


CONV = "self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)"
MEAN, MAX = "m = x.mean(1, keepdim=True)", "g = x.amax(1, keepdim=True)"
CAT = "w = self.conv(torch.cat([m, g], 1))"
right("SpatialGate")(
    gate(CONV, MEAN, "g, _ = x.max(dim=1, keepdim=True)", CAT, "return x * torch.sigmoid(w)")
)
right("SpatialGate")(
    gate(
        "self.look = nn.Sequential(nn.Conv2d(2, 1, kernel_size, padding='same', bias=False), nn.Sigmoid())",
        "two = torch.stack((x.mean(dim=1), x.max(dim=1).values), dim=1)",
        "return self.look(two).expand_as(x) * x",
    )
)
right("SpatialGate")(
    gate(
        "self.weight = nn.Parameter(torch.randn(1, 2, kernel_size, kernel_size))",
        "two = torch.cat([torch.mean(x, 1, True), torch.amax(x, 1, True)], dim=1)",
        "gates = F.conv2d(two, self.weight, padding=self.weight.shape[-1] // 2)",
        "return torch.mul(x, 1 / (1 + (-gates).exp()))",
    )
)
right("SpatialGate")(
    gate(
        "self.pad = nn.ZeroPad2d(kernel_size // 2)",
        "s = x.sum(1, keepdim=True) / x.shape[1]",
        "g = x.sort(dim=1, descending=True).values[:, :1]",
        "return torch.einsum('bchw,bohw->bchw', x, self.conv(self.pad(torch.cat((s, g), 1))).sigmoid())",
        more=("self.conv = nn.Conv2d(2, 1, (kernel_size, kernel_size), bias=False)",),
    )
)
wrong("SpatialGate", "sigmoid is missing")(gate(CONV, MEAN, MAX, CAT, "return x * w"))
wrong("SpatialGate", "other order")(
    gate(CONV, MEAN, MAX, "return x * self.conv(torch.cat([g, m], 1)).sigmoid()")
)
wrong("SpatialGate", "gates alone")(gate(CONV, MEAN, MAX, CAT, "return w.sigmoid()"))
wrong("SpatialGate", "added")(gate(CONV, MEAN, MAX, CAT, "return x + w.sigmoid()"))
wrong("SpatialGate", "once more")(gate(CONV, MEAN, MAX, CAT, "return x + x * w.sigmoid()"))
wrong("SpatialGate", "softmax over the places")(
    gate(CONV, MEAN, MAX, CAT, "return x * w.flatten(1).softmax(1).reshape(w.shape)")
)
wrong("SpatialGate", "single channel")(gate(CONV, MEAN, MAX, CAT, "return x * w.softmax(1)"))
wrong("SpatialGate", "tanh")(gate(CONV, MEAN, MAX, CAT, "return x * w.tanh()"))
wrong("SpatialGate", "ReLU where")(gate(CONV, MEAN, MAX, CAT, "return x * w.relu()"))
wrong("SpatialGate", "which.? channel")(
    gate(CONV, MEAN, "g = x.max(1, keepdim=True)[1].float()", CAT, "return x * w.sigmoid()")
)
wrong("SpatialGate", "values \\*and\\* places|\\.values")(
    gate(CONV, MEAN, "g = x.max(1, keepdim=True)", CAT, "return x * w.sigmoid()")
)
wrong("SpatialGate", "keepdim")(
    gate(CONV, "return x * self.conv(torch.cat([x.mean(1), x.amax(1)], 1)).sigmoid()")
)
wrong("SpatialGate", "another height|pad the convolution")(
    gate("self.conv = nn.Conv2d(2, 1, kernel_size, bias=False)", MEAN, MAX, CAT, "return x * w.sigmoid()")
)
wrong("SpatialGate", "another height|pad the convolution")(
    gate(
        "self.conv = nn.Conv2d(2, 1, kernel_size, padding=1, bias=False)",
        MEAN,
        MAX,
        CAT,
        "return x * w.sigmoid()",
    )
)
wrong("SpatialGate", "only the mean")(
    gate(
        "self.conv = nn.Conv2d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)",
        MEAN,
        "return x * self.conv(m).sigmoid()",
    )
)
wrong("SpatialGate", "added up; keep them apart")(
    gate(
        "self.conv = nn.Conv2d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)",
        MEAN,
        MAX,
        "return x * self.conv(m + g).sigmoid()",
    )
)
wrong("SpatialGate", "feature map itself")(gate(CONV, "return x * self.conv(x).sigmoid()"))
wrong("SpatialGate", "changes its input")(gate(CONV, MEAN, MAX, CAT, "x *= w.sigmoid()", "return x"))
wrong("SpatialGate", "detached|no gradient")(gate(CONV, MEAN, MAX, CAT, "return x * w.sigmoid().detach()"))
wrong("SpatialGate", "ReLU after")(gate(CONV, MEAN, MAX, CAT, "return (x * w.sigmoid()).relu()"))
wrong("SpatialGate", "batch norm")(
    gate(CONV, MEAN, MAX, CAT, "return x * self.bn(w).sigmoid()", more=("self.bn = nn.BatchNorm2d(1)",))
)
wrong("SpatialGate", "least value")(
    gate(CONV, MEAN, "g = x.amin(1, keepdim=True)", CAT, "return x * w.sigmoid()")
)
wrong("SpatialGate", "channels, dim=1|2 channels|whole picture|shape")(
    gate(
        CONV,
        "m, g = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)",
        CAT,
        "return x * w.sigmoid()",
    )
)
wrong("SpatialGate", "bias=False")(
    gate(
        "self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)",
        MEAN,
        MAX,
        CAT,
        "return x * w.sigmoid()",
    )
)
wrong("SpatialGate", "images of the batch")(
    gate(
        CONV,
        "m, g = x.mean((0, 1), keepdim=True), x.amax((0, 1), keepdim=True)",
        CAT,
        "return x * w.sigmoid()",
    )
)


# mixup_step -------------------------------------------------------------------------------------------------


def step(*lines):
    return _function("mixup_step(model, images, labels, optimizer, share, partner)", *lines)


TRAIN, CLEAR = "model.train()", "optimizer.zero_grad()"
MIXED = "x = share * images + (1 - share) * images[partner]"
LOGITS = "z = model(x)"
LOSS = "loss = share * F.cross_entropy(z, labels) + (1 - share) * F.cross_entropy(z, labels[partner])"
BACK, MOVE, GIVE = "loss.backward()", "optimizer.step()", "return loss.item()"
right("mixup_step")(step(TRAIN, CLEAR, MIXED, LOGITS, LOSS, BACK, MOVE, GIVE))
right("mixup_step")(
    step(
        "model.train(True)",
        "z = model(torch.lerp(images[partner], images, share))",
        "targets = share * F.one_hot(labels, z.shape[1]) + (1 - share) * F.one_hot(labels[partner], z.shape[1])",
        "loss = F.cross_entropy(z, targets)",
        "model.zero_grad()",
        BACK,
        MOVE,
        "return float(loss)",
    )
)
right("mixup_step")(
    step(
        "for p in model.parameters():",
        "    p.grad = None",
        TRAIN,
        "others = torch.index_select(images, 0, partner)",
        "logp = model(images * share + others * (1 - share)).log_softmax(1)",
        "rows = torch.arange(len(labels))",
        "loss = -(share * logp[rows, labels] + (1 - share) * logp[rows, labels[partner]]).mean()",
        BACK,
        MOVE,
        "return loss.detach()",
    )
)
wrong("mixup_step", "shares of the images are exchanged")(
    step(
        TRAIN,
        "z = model((1 - share) * images + share * images[partner])",
        LOSS,
        CLEAR,
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "half and half")(
    step(TRAIN, "z = model(0.5 * images + 0.5 * images[partner])", LOSS, CLEAR, BACK, MOVE, GIVE)
)
wrong("mixup_step", "numbers")(
    step(
        TRAIN,
        MIXED,
        LOGITS,
        "loss = F.cross_entropy(z, (share * labels + (1 - share) * labels[partner]).long())",
        CLEAR,
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "labels are not")(
    step(TRAIN, CLEAR, MIXED, LOGITS, "loss = F.cross_entropy(z, labels)", BACK, MOVE, GIVE)
)
wrong("mixup_step", "images are not mixed")(step(TRAIN, CLEAR, "z = model(images)", LOSS, BACK, MOVE, GIVE))
wrong("mixup_step", "shares of the images are exchanged")(
    step(TRAIN, CLEAR, "x = (1 - share) * images + share * images[partner]", LOGITS, LOSS, BACK, MOVE, GIVE)
)
wrong("mixup_step", "shares of the two losses")(
    step(
        TRAIN,
        CLEAR,
        MIXED,
        LOGITS,
        "loss = (1 - share) * F.cross_entropy(z, labels) + share * F.cross_entropy(z, labels[partner])",
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "other way round in both")(
    step(TRAIN, CLEAR, "share = 1 - share", MIXED, LOGITS, LOSS, BACK, MOVE, GIVE)
)
wrong("mixup_step", "without their weights")(
    step(
        TRAIN,
        CLEAR,
        MIXED,
        LOGITS,
        "loss = F.cross_entropy(z, labels) + F.cross_entropy(z, labels[partner])",
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "as numbers")(
    step(
        TRAIN,
        CLEAR,
        MIXED,
        LOGITS,
        "y = (share * labels + (1 - share) * labels[partner]).long()",
        "loss = F.cross_entropy(z, y)",
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "evaluation mode")(step(CLEAR, MIXED, LOGITS, LOSS, BACK, MOVE, GIVE))
wrong("mixup_step", "gradients of the step before")(step(TRAIN, MIXED, LOGITS, LOSS, BACK, MOVE, GIVE))
wrong("mixup_step", "optimizer.step")(step(TRAIN, CLEAR, MIXED, LOGITS, LOSS, BACK, GIVE))
wrong("mixup_step", "backward")(step(TRAIN, CLEAR, MIXED, LOGITS, LOSS, MOVE, GIVE))
wrong("mixup_step", "between backward and step")(step(TRAIN, MIXED, LOGITS, LOSS, BACK, CLEAR, MOVE, GIVE))
wrong("mixup_step", "returns nothing")(step(TRAIN, CLEAR, MIXED, LOGITS, LOSS, BACK, MOVE))
wrong("mixup_step", "graph")(step(TRAIN, CLEAR, MIXED, LOGITS, LOSS, BACK, MOVE, "return loss"))
wrong("mixup_step", "passed in are changed")(
    step(
        TRAIN,
        CLEAR,
        "others = images[partner]",
        "images *= share",
        "images += (1 - share) * others",
        "x = images",
        LOGITS,
        LOSS,
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "passed in are changed")(
    step(
        TRAIN,
        CLEAR,
        "images *= share",
        "images += (1 - share) * images[partner]",
        "x = images",
        LOGITS,
        LOSS,
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "called (twice|more than once|on the images and)")(
    step(
        TRAIN,
        CLEAR,
        "loss = share * F.cross_entropy(model(images), labels) + (1 - share) * F.cross_entropy(model(images[partner]), labels[partner])",
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "called (twice|more than once)")(
    step(
        TRAIN,
        CLEAR,
        MIXED,
        "loss = share * F.cross_entropy(model(x), labels) + (1 - share) * F.cross_entropy(model(x), labels[partner])",
        BACK,
        MOVE,
        GIVE,
    )
)
wrong("mixup_step", "other end of the batch")(
    step(TRAIN, CLEAR, "x = share * images + (1 - share) * images.flip(0)", LOGITS, LOSS, BACK, MOVE, GIVE)
)
wrong("mixup_step", "drawn anew")(
    step(TRAIN, CLEAR, "partner = torch.randperm(len(images))", MIXED, LOGITS, LOSS, BACK, MOVE, GIVE)
)
wrong("mixup_step", "softmax before")(
    step(TRAIN, CLEAR, MIXED, "z = model(x).softmax(1)", LOSS, BACK, MOVE, GIVE)
)


# ema_update -------------------------------------------------------------------------------------------------


def ema(*lines):
    return _function("ema_update(average, model, decay)", *lines)


NO = "with torch.no_grad():"
PAIRS = "    for a, b in zip(average.parameters(), model.parameters()):"
BUFFERS = "    for a, b in zip(average.buffers(), model.buffers()):"
COPY = "        a.copy_(b)"
right("ema_update")(ema(NO, PAIRS, "        a.lerp_(b, 1 - decay)", BUFFERS, COPY))
right("ema_update")(
    ema(
        "for a, b in zip(average.parameters(), model.parameters()):",
        "    a.data = decay * a.data + (1 - decay) * b.data",
        "for a, b in zip(average.buffers(), model.buffers()):",
        "    a.data = b.data.clone()",
        "return average",
    )
)
right("ema_update")(
    ema(
        "old = {k: v.detach().clone() for k, v in average.named_parameters()}",
        "average.load_state_dict(model.state_dict())",
        NO,
        "    for k, p in average.named_parameters():",
        "        p.mul_(1 - decay).add_(old[k], alpha=decay)",
    )
)
right("ema_update")(
    ema(
        "state, other = average.state_dict(), model.state_dict()",
        "names = [k for k, _ in model.named_parameters()]",
        "new = {k: decay * state[k] + (1 - decay) * other[k] if k in names else other[k] for k in state}",
        "average.load_state_dict(new)",
    )
)
right("ema_update")(
    ema(
        NO,
        "    own = dict(average.named_buffers())",
        "    for k, v in model.named_buffers():",
        "        own[k].copy_(v)",
        "    torch._foreach_mul_(list(average.parameters()), decay)",
        "    torch._foreach_add_(list(average.parameters()), list(model.parameters()), alpha=1 - decay)",
    )
)
wrong("ema_update", "buffers are left")(ema(NO, PAIRS, "        a.lerp_(b, 1 - decay)"))
wrong("ema_update", "exchanged.*(decay|lerp)")(ema(NO, PAIRS, "        a.lerp_(b, decay)", BUFFERS, COPY))
wrong("ema_update", "exchanged")(
    ema(NO, PAIRS, "        a.copy_((1 - decay) * a + decay * b)", BUFFERS, COPY)
)
wrong("ema_update", "parameters do not change")(
    ema(NO, PAIRS, "        a = decay * a + (1 - decay) * b", BUFFERS, COPY)
)
wrong("ema_update", "nothing changes")(
    ema(NO, PAIRS, "        a = decay * a + (1 - decay) * b", BUFFERS, "        a = b")
)
wrong("ema_update", "shares?|follows")(ema(NO, PAIRS, "        a.data = b.data", BUFFERS, COPY))
wrong("ema_update", "no_grad")(
    ema(
        "for a, b in zip(average.parameters(), model.parameters()):",
        "    a.mul_(decay).add_(b, alpha=1 - decay)",
        "for a, b in zip(average.buffers(), model.buffers()):",
        "    a.copy_(b)",
    )
)
wrong("ema_update", "copy of the model")(ema("average.load_state_dict(model.state_dict())"))
wrong("ema_update", "everything in state_dict|whole number")(
    ema(
        "s, m = average.state_dict(), model.state_dict()",
        "for k in s:",
        "    s[k].copy_(decay * s[k] + (1 - decay) * m[k])",
    )
)
wrong("ema_update", "whole number")(
    ema(
        "s, m = average.state_dict(), model.state_dict()",
        "for k in s:",
        "    s[k].mul_(decay).add_(m[k], alpha=1 - decay)",
    )
)
wrong("ema_update", "averages already|averaged like weights")(
    ema(
        NO,
        PAIRS,
        "        a.lerp_(b, 1 - decay)",
        BUFFERS,
        "        if a.is_floating_point():",
        "            a.lerp_(b, 1 - decay)",
        "        else:",
        "            a.copy_(b)",
    )
)
wrong("ema_update", "count of batches")(
    ema(
        NO,
        PAIRS,
        "        a.lerp_(b, 1 - decay)",
        BUFFERS,
        "        if a.is_floating_point():",
        "            a.copy_(b)",
    )
)
wrong("ema_update", "only running mean and variance|statistics")(
    ema(
        NO,
        PAIRS,
        "        a.lerp_(b, 1 - decay)",
        "    m = dict(model.named_buffers())",
        "    for k, v in average.named_buffers():",
        "        if 'running' in k:",
        "            v.copy_(m[k])",
    )
)
wrong("ema_update", "buffers of batch norm")(
    ema(
        NO,
        PAIRS,
        "        a.lerp_(b, 1 - decay)",
        "    for a, b in zip(average.modules(), model.modules()):",
        "        if isinstance(a, nn.BatchNorm2d):",
        "            for x, y in zip(a.buffers(), b.buffers()):",
        "                x.copy_(y)",
    )
)
wrong("ema_update", "model that is moved")(
    ema(
        NO,
        "    for a, b in zip(average.parameters(), model.parameters()):",
        "        b.mul_(decay).add_(a, alpha=1 - decay)",
        "    for a, b in zip(average.buffers(), model.buffers()):",
        "        b.copy_(a)",
    )
)
wrong("ema_update", "not made smaller")(ema(NO, PAIRS, "        a.add_(b, alpha=1 - decay)", BUFFERS, COPY))
wrong("ema_update", "count fully")(ema(NO, PAIRS, "        a.mul_(decay).add_(b)", BUFFERS, COPY))
wrong("ema_update", "left in evaluation mode")(
    ema("model.eval()", NO, PAIRS, "        a.lerp_(b, 1 - decay)", BUFFERS, COPY)
)
wrong("ema_update", "requires_grad=False")(
    ema(NO, PAIRS, "        if b.requires_grad:", "            a.lerp_(b, 1 - decay)", BUFFERS, COPY)
)
wrong("ema_update", "typed in")(ema(NO, PAIRS, "        a.mul_(0.99).add_(b, alpha=0.01)", BUFFERS, COPY))
wrong("ema_update", "first parameter")(
    ema(NO, BUFFERS, COPY, PAIRS, "        a.lerp_(b, 1 - decay)", "        return average")
)
wrong("ema_update", "follows it from here")(
    ema(
        NO,
        PAIRS,
        "        a.lerp_(b, 1 - decay)",
        "    for a, b in zip(average.modules(), model.modules()):",
        "        for k in a._buffers:",
        "            setattr(a, k, b._buffers[k])",
    )
)


# distillation -----------------------------------------------------------------------------------------------


def distil(*lines):
    return _function("distillation(logits, teacher_logits, labels, temperature, weight)", *lines)


P = "p = (teacher_logits.detach() / temperature).softmax(1)"
Q = "q = (logits / temperature).log_softmax(1)"
KL = "soft = F.kl_div(q, p, reduction='batchmean')"
HARD = "hard = F.cross_entropy(logits, labels)"
SUM = "return weight * temperature**2 * soft + (1 - weight) * hard"
right("distillation")(distil(P, Q, KL, HARD, SUM))
right("distillation")(
    distil(
        "with torch.no_grad():",
        "    t = F.softmax(teacher_logits / temperature, dim=-1)",
        "s = F.softmax(logits / temperature, dim=-1)",
        "soft = (t * (t / s).log()).sum(-1).mean()",
        "return soft * weight * temperature * temperature + F.nll_loss(F.log_softmax(logits, 1), labels) * (1 - weight)",
    )
)
right("distillation")(
    distil(
        "t = torch.log_softmax(teacher_logits.detach() / temperature, 1)",
        Q,
        "soft = nn.KLDivLoss(reduction='sum', log_target=True)(q, t) / len(labels)",
        "return (1 - weight) * nn.CrossEntropyLoss()(logits, labels) + weight * soft * temperature**2",
    )
)
right("distillation")(
    distil(
        P, Q,
        "total = 0",
        "for i in range(len(labels)):",
        "    kl = sum(p[i, k] * (p[i, k].log() - q[i, k]) for k in range(logits.shape[1]))",
        "    total = total + weight * temperature**2 * kl - (1 - weight) * logits[i].log_softmax(0)[labels[i]]",
        "return total / len(labels)",
    )
)  # fmt: skip
wrong("distillation", "factor temperature \\*\\* 2 is missing")(
    distil(P, Q, KL, HARD, "return weight * soft + (1 - weight) * hard")
)
wrong("distillation", "not temperature")(
    distil(P, Q, KL, HARD, "return weight * temperature * soft + (1 - weight) * hard")
)
wrong("distillation", "weights are exchanged")(
    distil(P, Q, KL, HARD, "return (1 - weight) * temperature**2 * soft + weight * hard")
)
wrong("distillation", "wrong way round")(
    distil(
        "p = (teacher_logits.detach() / temperature).log_softmax(1)",
        "q = (logits / temperature).softmax(1)",
        "soft = F.kl_div(p, q, reduction='batchmean')",
        HARD,
        SUM,
    )
)
wrong("distillation", "divided by the number of classes")(distil(P, Q, "soft = F.kl_div(q, p)", HARD, SUM))
wrong("distillation", "added up over the images")(
    distil(P, Q, "soft = F.kl_div(q, p, reduction='sum')", HARD, SUM)
)
wrong("distillation", "logarithm")(distil(P, "q = (logits / temperature).softmax(1)", KL, HARD, SUM))
wrong("distillation", "NaN|as if they were")(
    distil(P, Q, "soft = F.kl_div(q, p.log(), reduction='batchmean')", HARD, SUM)
)
wrong("distillation", "only the student")(distil("p = teacher_logits.detach().softmax(1)", Q, KL, HARD, SUM))
wrong("distillation", "only the teacher")(distil(P, "q = logits.log_softmax(1)", KL, HARD, SUM))
wrong("distillation", "multiplied by the temperature")(
    distil(
        "p = (teacher_logits.detach() * temperature).softmax(1)",
        "q = (logits * temperature).log_softmax(1)",
        KL,
        HARD,
        SUM,
    )
)
wrong("distillation", "entropy of p")(distil(P, Q, "soft = -(p * q).sum(1).mean()", HARD, SUM))
wrong("distillation", "entropy of p")(
    distil(P, Q, "soft = F.cross_entropy(logits / temperature, p)", HARD, SUM)
)
wrong("distillation", "as they are")(
    distil(P, Q, KL, "hard = F.cross_entropy(logits / temperature, labels)", SUM)
)
wrong("distillation", "teacher would learn")(
    distil("p = (teacher_logits / temperature).softmax(1)", Q, KL, HARD, SUM)
)
wrong("distillation", "both parts")(
    distil(P, Q, KL, HARD, "return temperature**2 * (weight * soft + (1 - weight) * hard)")
)
wrong("distillation", "part with the labels is missing")(
    distil(P, Q, KL, "return weight * temperature**2 * soft")
)
wrong("distillation", "weights are missing")(distil(P, Q, KL, HARD, "return temperature**2 * soft + hard"))
wrong("distillation", "counts fully")(distil(P, Q, KL, HARD, "return weight * temperature**2 * soft + hard"))
wrong("distillation", "squared error of the logits")(
    distil("soft = F.mse_loss(logits, teacher_logits.detach())", HARD, SUM)
)
wrong("distillation", "over the images \\(dim=0\\)")(
    distil(
        "p = (teacher_logits.detach() / temperature).softmax(0)",
        "q = (logits / temperature).log_softmax(0)",
        KL,
        HARD,
        SUM,
    )
)
wrong("distillation", "no gradient")(
    distil(P, Q, KL, HARD, "return (weight * temperature**2 * soft + (1 - weight) * hard).item()")
)
wrong("distillation", "one class each")(
    distil("soft = F.cross_entropy(logits, teacher_logits.argmax(1))", HARD, SUM)
)
wrong("distillation", "sign of the divergence")(
    distil(P, Q, "soft = (p * (q - p.log())).sum(1).mean()", HARD, SUM)
)


# honest_search ----------------------------------------------------------------------------------------------


def search(*lines):
    return _function("honest_search(settings, train, on_val, on_test)", *lines)


right("honest_search")(
    search(
        "tried = [(s, n, on_val(n)) for s in settings for n in [train(s)]]",
        "s, n, v = max(tried, key=lambda one: one[2])",
        "return s, v, on_test(n)",
    )
)
right("honest_search")(
    search(
        "networks = [train(s) for s in settings]",
        "scores = np.array([on_val(n) for n in networks])",
        "i = int(scores.argmax())",
        "return [settings[i], scores[i], on_test(networks[i])]",
    )
)
right("honest_search")(
    search(
        "best = -math.inf",
        "for s in settings:",
        "    n = train(s)",
        "    if on_val(n) > best:",
        "        best, kept, network = on_val(n), s, n",
        "test = on_test(network)",
        "return kept, best, test",
    )
)
NETS = "nets = [train(s) for s in settings]"
VALS = "vals = [on_val(n) for n in nets]"
I = "i = vals.index(max(vals))"
wrong("honest_search", "chosen by its accuracy on test")(
    search(
        NETS,
        "tests = [on_test(n) for n in nets]",
        "i = tests.index(max(tests))",
        "return settings[i], on_val(nets[i]), tests[i]",
    )
)
wrong("honest_search", "though val chooses")(
    search(NETS, VALS, "tests = [on_test(n) for n in nets]", I, "return settings[i], vals[i], tests[i]")
)
wrong("honest_search", "whenever a network is better")(
    search(
        "best = (None, -1, None)",
        "for s in settings:",
        "    n = train(s)",
        "    if on_val(n) > best[1]:",
        "        best = (s, on_val(n), on_test(n))",
        "return best",
    )
)
wrong("honest_search", "trained once more")(
    search(NETS, VALS, I, "return settings[i], vals[i], on_test(train(settings[i]))")
)
wrong("honest_search", "trained twice|trained once more|keep the network")(
    search(
        "vals = [on_val(train(s)) for s in settings]",
        I,
        "n = train(settings[i])",
        "return settings[i], vals[i], on_test(n)",
    )
)
wrong("honest_search", "trained once more")(
    search(
        "best, kept = -1, None",
        "for s in settings:",
        "    if on_val(train(s)) > best:",
        "        best, kept, n = on_val(train(s)), s, train(s)",
        "return kept, best, on_test(n)",
    )
)
wrong("honest_search", "last one that was trained")(
    search(
        "best = -1",
        "for s in settings:",
        "    n = train(s)",
        "    v = on_val(n)",
        "    if v > best:",
        "        best, kept = v, s",
        "return kept, best, on_test(n)",
    )
)
wrong("honest_search", "equal accuracies")(
    search(
        "best = -1",
        "for s in settings:",
        "    n = train(s)",
        "    v = on_val(n)",
        "    if v >= best:",
        "        best, kept, net = v, s, n",
        "return kept, best, on_test(net)",
    )
)
wrong("honest_search", "lowest")(
    search(NETS, VALS, "i = vals.index(min(vals))", "return settings[i], vals[i], on_test(nets[i])")
)
wrong("honest_search", "exchanged")(search(NETS, VALS, I, "return settings[i], on_test(nets[i]), vals[i]"))
wrong("honest_search", "place of the setting")(search(NETS, VALS, I, "return i, vals[i], on_test(nets[i])"))
wrong("honest_search", "on val once more")(
    search(NETS, VALS, I, "return settings[i], vals[i], on_val(nets[i])")
)
wrong("honest_search", "accuracy on test is missing")(search(NETS, VALS, I, "return settings[i], vals[i]"))
wrong("honest_search", "setting alone")(search(NETS, VALS, I, "return settings[i]"))
wrong("honest_search", "takes part in the choice")(
    search(
        NETS,
        "vals = [on_val(n) for n in nets]",
        "both = [v + on_test(n) for v, n in zip(vals, nets)]",
        "i = both.index(max(both))",
        "return settings[i], vals[i], on_test(nets[i])",
    )
)
wrong("honest_search", "still None|all accuracies on val are low|no value yet|first best")(
    search(
        "best, kept, net = 0, None, None",
        "for s in settings:",
        "    n = train(s)",
        "    if on_val(n) > best:",
        "        best, kept, net = on_val(n), s, n",
        "return kept, best, on_test(net)",
    )
)
wrong("honest_search", "cannot be a key")(
    search(
        "nets = {s: train(s) for s in settings}",
        "best = max(nets, key=lambda s: on_val(nets[s]))",
        "return best, on_val(nets[best]), on_test(nets[best])",
    )
)
wrong("honest_search", "go on to compare|key=")(
    search(
        NETS, "v, n, s = max((on_val(n), n, s) for n, s in zip(nets, settings))", "return s, v, on_test(n)"
    )
)
wrong("honest_search", "only the first setting")(
    search("for s in settings:", "    n = train(s)", "    return s, on_val(n), on_test(n)")
)
wrong("honest_search", "first setting is left out")(
    search(
        "nets = [train(s) for s in settings[1:]]" if False else "settings = settings[1:] or settings",
        NETS,
        VALS,
        I,
        "return settings[i], vals[i], on_test(nets[i])",
    )
)
wrong("honest_search", "looked at twice")(
    search(NETS, VALS, I, "on_test(nets[i])", "return settings[i], vals[i], on_test(nets[i])")
)
wrong("honest_search", "dictionary")(
    search(NETS, VALS, I, "return {'setting': settings[i], 'val': vals[i], 'test': on_test(nets[i])}")
)
