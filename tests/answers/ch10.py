"""Answers to the exercises of chapter 10, What the network looks at."""

# ruff: noqa
# mypy: ignore-errors

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from functools import partial

from answers import Answers, written_function, written_module

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong


SPACE = {"np": np, "math": math, "torch": torch, "F": F, "nn": nn, "copy": copy}
_function = partial(written_function, SPACE)
_module = partial(written_module, SPACE)

# relevance_ratio --------------------------------------------------------------------------------------------


def ratio(*lines):
    return _function("relevance_ratio(relevance, mask)", *lines)


RC = "r = relevance.clamp(min=0)"
right("relevance_ratio")(
    ratio(
        "r = F.relu(relevance)",
        "m = mask.float()",
        "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))",
    )
)
right("relevance_ratio")(
    ratio(
        "out = []",
        "for r, m in zip(relevance, mask):",
        "    r = torch.where(r > 0, r, 0.0)",
        "    if r.sum() == 0 or not m.any():",
        "        out.append(float('nan'))",
        "    else:",
        "        out.append((r[m].mean() / r.mean()).item())",
        "return out",
    )
)
right("relevance_ratio")(
    ratio(
        "r = np.maximum(relevance.numpy(), 0)",
        "m = mask.numpy()",
        "with np.errstate(all='ignore'):",
        "    return np.einsum('bij,bij->b', r, m) / r.sum(axis=(1, 2)) * m[0].size / m.sum(axis=(1, 2))",
    )
)
right("relevance_ratio")(
    ratio(
        "r = relevance * (relevance > 0)",
        "r, m = r.flatten(1), mask.flatten(1)",
        "r = r / r.sum(1, keepdim=True)",
        "return torch.masked_fill(r, ~m, 0).sum(1) * m.shape[1] / m.sum(1)",
    )
)
M = "m = mask.float()"
wrong("relevance_ratio", "sign|clamp")(
    ratio(M, "return (relevance * m).sum((1, 2)) / relevance.sum((1, 2)) / m.mean((1, 2))")
)
wrong("relevance_ratio", "abs|positive")(
    ratio(M, "r = relevance.abs()", "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))")
)
wrong("relevance_ratio", "share of the area")(ratio(M, RC, "return (r * m).sum((1, 2)) / r.sum((1, 2))"))
wrong("relevance_ratio", "mean relevance inside")(ratio(M, RC, "return (r * m).sum((1, 2)) / m.sum((1, 2))"))
wrong("relevance_ratio", "outside")(
    ratio(
        M,
        RC,
        "i = (r * m).sum((1, 2)) / m.sum((1, 2))",
        "o = (r * (1 - m)).sum((1, 2)) / (1 - m).sum((1, 2))",
        "return i / o",
    )
)
wrong("relevance_ratio", "number of pixels")(
    ratio(M, RC, "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.sum((1, 2))")
)
wrong("relevance_ratio", "one number|one score")(ratio(M, RC, "return (r * m).sum() / r.sum() / m.mean()"))
wrong("relevance_ratio", "averaged|one score")(
    ratio(M, RC, "s = (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))", "return s.nanmean()")
)
wrong("relevance_ratio", "upside down")(
    ratio(M, RC, "return m.mean((1, 2)) / ((r * m).sum((1, 2)) / r.sum((1, 2)))")
)
wrong("relevance_ratio", "subtracted")(
    ratio(M, RC, "return (r * m).sum((1, 2)) / r.sum((1, 2)) - m.mean((1, 2))")
)
wrong("relevance_ratio", "multiplied")(
    ratio(M, RC, "return (r * m).sum((1, 2)) / r.sum((1, 2)) * m.mean((1, 2))")
)
wrong("relevance_ratio", "NaN")(
    ratio(M, RC, "s = (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))", "return torch.nan_to_num(s)")
)
wrong("relevance_ratio", "NaN|small number|guard")(
    ratio(M, RC, "return (r * m).sum((1, 2)) / (r.sum((1, 2)) + 1e-8) / (m.mean((1, 2)) + 1e-8)")
)
wrong("relevance_ratio", "pointing game")(
    ratio(M, "i = relevance.flatten(1).argmax(1)", "return m.flatten(1)[torch.arange(len(m)), i]")
)
wrong("relevance_ratio", "turned round|outside")(
    ratio("m = (~mask).float()", RC, "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))")
)
wrong("relevance_ratio", "greatest")(
    ratio(M, RC, "return (r * m).sum((1, 2)) / r.amax((1, 2)) / m.mean((1, 2))")
)
wrong("relevance_ratio", "whole batch")(ratio(M, RC, "return (r * m).sum((1, 2)) / r.sum() / m.mean((1, 2))"))
wrong("relevance_ratio", "all masks together")(
    ratio(M, RC, "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean()")
)
wrong("relevance_ratio", "axis is left|\\(1, 2\\)")(
    ratio(M, RC, "return (r * m).sum(1) / r.sum(1) / m.mean(1)")
)
wrong("relevance_ratio", "softmax")(
    ratio(
        M,
        "r = relevance.flatten(1).softmax(1).view_as(relevance)",
        "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))",
    )
)
wrong("relevance_ratio", "changes its argument")(
    ratio(
        M,
        "relevance[relevance < 0] = 0",
        "return (relevance * m).sum((1, 2)) / relevance.sum((1, 2)) / m.mean((1, 2))",
    )
)
wrong("relevance_ratio", "mask.float|bool")(
    ratio(RC, "return (r * mask).sum((1, 2)) / r.sum((1, 2)) / mask.mean((1, 2))")
)
wrong("relevance_ratio", "48")(
    ratio(RC, "return (r * mask).sum((1, 2)) / r.sum((1, 2)) / (mask.sum((1, 2)) / 48 ** 2)")
)
wrong("relevance_ratio", "return")(
    ratio(M, RC, "print((r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2)))")
)
wrong("relevance_ratio", "stretched")(
    ratio(
        M,
        "lo = relevance.amin((1, 2), keepdim=True)",
        "hi = relevance.amax((1, 2), keepdim=True)",
        "r = (relevance - lo) / (hi - lo)",
        "return (r * m).sum((1, 2)) / r.sum((1, 2)) / m.mean((1, 2))",
    )
)

# accuracy_by_group ------------------------------------------------------------------------------------------


def groups(*lines):
    return _function("accuracy_by_group(right, groups)", *lines)


def wilson(
    middle="p + z**2 / (2 * n)",
    inner="p * (1 - p) / n + z**2 / (4 * n**2)",
    scale="1 + z**2 / n",
    last="(p, (c - h) / s, (c + h) / s)",
    z="1.96",
    chosen="right[groups == g]",
    root="np.sqrt({})",
    result="out",
):
    return groups(
        f"z, out = {z}, {{}}",
        "for g in np.unique(groups):",
        f"    hits = {chosen}",
        "    n, p = len(hits), hits.mean()",
        f"    c, s = {middle}, {scale}",
        f"    h = z * {root.format(inner)}",
        f"    out[g] = {last}",
        f"return {result}",
    )


right("accuracy_by_group")(wilson())
right("accuracy_by_group")(
    groups(
        "from scipy.stats import binomtest",
        "from statistics import NormalDist",
        "level = 2 * NormalDist().cdf(1.96) - 1",
        "out = {}",
        "for g in set(groups.tolist()):",
        "    m = groups == g",
        "    k, n = int(right[m].sum()), int(m.sum())",
        "    ci = binomtest(k, n).proportion_ci(level, method='wilson')",
        "    out[g] = [k / n, ci.low, ci.high]",
        "return out",
    )
)
right("accuracy_by_group")(
    groups(
        "import pandas as pd",
        "t = pd.Series(right).groupby(groups).agg(['mean', 'size'])",
        "out = {}",
        "for g, (p, n) in t.iterrows():",
        "    d = 1 + 1.96 ** 2 / n",
        "    mid = (p + 1.96 ** 2 / 2 / n) / d",
        "    half = 1.96 / d * (p * (1 - p) / n + 1.96 ** 2 / 4 / n ** 2) ** 0.5",
        "    out[g] = np.array([p, mid - half, mid + half])",
        "return out",
    )
)
right("accuracy_by_group")(
    groups(
        "counts = {}",
        "for r, g in zip(right, groups):",
        "    k, n = counts.get(g, (0, 0))",
        "    counts[g] = (k + bool(r), n + 1)",
        "def ends(k, n, z=1.96):",
        "    a, b, c = 1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2",
        "    root = math.sqrt(max(0.0, b * b - 4 * a * c))",
        "    return k / n, (-b - root) / (2 * a), (-b + root) / (2 * a)",
        "return {g: ends(k, n) for g, (k, n) in counts.items()}",
    )
)
right("accuracy_by_group")(wilson(last="torch.tensor([p, (c - h) / s, (c + h) / s])"))
wrong("accuracy_by_group", "plain interval")(
    wilson(last="(p, p - z * np.sqrt(p * (1 - p) / n), p + z * np.sqrt(p * (1 - p) / n))")
)
wrong("accuracy_by_group", "plain interval")(
    wilson(last="(p, max(0, p - z * np.sqrt(p * (1 - p) / n)), min(1, p + z * np.sqrt(p * (1 - p) / n)))")
)
wrong("accuracy_by_group", "one standard error|z is 1")(wilson(z="1.0"))
wrong("accuracy_by_group", "1.645")(wilson(z="1.645"))
wrong("accuracy_by_group", "half width|not divided")(wilson(last="(p, c / s - h, c / s + h)"))
wrong("accuracy_by_group", "middle is not divided|brackets")(wilson(last="(p, c - h / s, c + h / s)"))
wrong("accuracy_by_group", "missing below the line")(wilson(last="(p, c - h, c + h)"))
wrong("accuracy_by_group", "missing beside p|drawn towards")(wilson(middle="p"))
wrong("accuracy_by_group", "around p")(wilson(last="(p, p - h / s, p + h / s)"))
wrong("accuracy_by_group", "root is missing")(wilson(root="({})"))
wrong("accuracy_by_group", "squared as well")(wilson(inner="p * (1 - p) / n + z**2 / (4 * n)"))
wrong("accuracy_by_group", "squared")(wilson(middle="p + z / (2 * n)"))
wrong("accuracy_by_group", "divided by n")(wilson(inner="p * (1 - p) + z**2 / (4 * n**2)"))
wrong("accuracy_by_group", "multiplies by n")(wilson(middle="p + z**2 / 2 * n"))
wrong("accuracy_by_group", "all images")(
    wilson(scale="0; n = len(right); c, s = p + z**2 / (2 * n), 1 + z**2 / n")
)
wrong("accuracy_by_group", "outside|everyone")(wilson(chosen="right[groups != g]"))
wrong("accuracy_by_group", "over all images")(wilson(chosen="right"))
wrong("accuracy_by_group", "wrong answers")(wilson(chosen="~right[groups == g]"))
wrong("accuracy_by_group", "accuracy comes first|three numbers")(wilson(last="((c - h) / s, (c + h) / s)"))
wrong("accuracy_by_group", "accuracies alone|three numbers")(wilson(last="p"))
wrong("accuracy_by_group", "accuracy comes first")(wilson(last="((c - h) / s, p, (c + h) / s)"))
wrong("accuracy_by_group", "before the lower")(wilson(last="(p, (c + h) / s, (c - h) / s)"))
wrong("accuracy_by_group", "distances")(wilson(last="(p, p - (c - h) / s, (c + h) / s - p)"))
wrong("accuracy_by_group", "half widths")(wilson(last="(p, h / s, h / s)"))
wrong("accuracy_by_group", "number of right answers")(
    wilson(scale="0; n = hits.sum(); c, s = p + z**2 / (2 * n), 1 + z**2 / n")
)
wrong("accuracy_by_group", "multiply by n")(
    wilson(middle="p + z**2 / 2 * n", inner="p * (1 - p) / n + z**2 / 4 * n**2")
)
wrong("accuracy_by_group", "middle of the interval")(wilson(last="(c / s, (c - h) / s, (c + h) / s)"))
wrong("accuracy_by_group", "per cent")(wilson(last="(100 * p, 100 * (c - h) / s, 100 * (c + h) / s)"))
wrong("accuracy_by_group", "turned to text")(wilson(result="{str(g): v for g, v in out.items()}"))
wrong("accuracy_by_group", "dictionary")(wilson(result="list(out.values())"))
wrong("accuracy_by_group", "dictionary")(wilson(result="list(out.items())"))
wrong("accuracy_by_group", "return. stand inside|first group|Not all groups")(
    groups(
        "out, z = {}, 1.96",
        "for g in np.unique(groups):",
        "    hits = right[groups == g]",
        "    n, p = len(hits), hits.mean()",
        "    h = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))",
        "    out[g] = p, (p + z**2 / (2 * n) - h) / (1 + z**2 / n), (p + z**2 / (2 * n) + h) / (1 + z**2 / n)",
        "    return out",
    )
)
wrong("accuracy_by_group", "return")(wilson(result="print(out)"))
wrong("accuracy_by_group", "rounded")(
    wilson(last="(round(p, 2), round((c - h) / s, 2), round((c + h) / s, 2))")
)
wrong("accuracy_by_group", "dictionary of its own|four numbers|three")(
    wilson(last="(p, (c - h) / s, (c + h) / s, n)")
)
wrong(
    "accuracy_by_group",
    "number that can be 0|NaN|divided by|width of the interval|middle and width|its width",
)(wilson(root="math.sqrt(p * (1 - p) / int(n - 1)) + 0 * ({})"))

# deletion_curve ---------------------------------------------------------------------------------------------


def deletion(*lines):
    return _function("deletion_curve(model, images, targets, maps, steps)", *lines)


def curve(
    order="maps.flatten(1).argsort(dim=1, descending=True)",
    steps="range(steps + 1)",
    count="order.shape[1] * i // steps",
    copied="images.clone()",
    zero="one.flatten(1)[:, order[b, :count]] = 0",
    out="model(x).softmax(1)",
    value="p[torch.arange(len(p)), targets].mean()",
    last="torch.stack(curve)",
):
    return deletion(
        f"order = {order}",
        "curve = []",
        "with torch.no_grad():",
        f"    for i in {steps}:",
        f"        count = {count}",
        f"        x = {copied}",
        "        for b, one in enumerate(x):",
        f"            {zero}",
        f"        p = {out}",
        f"        curve.append({value})",
        f"return {last}",
    )


right("deletion_curve")(curve())
right("deletion_curve")(curve(last="[v.item() for v in curve]"))
right("deletion_curve")(
    deletion(
        "b, c, h, w = images.shape",
        "ranks = (-maps).reshape(b, -1).argsort(1).argsort(1).reshape(b, 1, h, w)",
        "out = torch.zeros(steps + 1)",
        "for i in range(steps + 1):",
        "    keep = ranks >= i * h * w // steps",
        "    logp = F.log_softmax(model(images * keep), dim=-1)",
        "    out[i] = logp[range(b), targets].exp().mean()",
        "return out.detach()",
    )
)
right("deletion_curve")(
    deletion(
        "n = maps[0].numel()",
        "values = []",
        "for i in range(steps + 1):",
        "    k = n * i // steps",
        "    x = images.clone()",
        "    for image, m in zip(x, maps):",
        "        top = torch.topk(m.reshape(-1), k).indices",
        "        image.view(image.shape[0], -1)[:, top] = 0",
        "    loss = F.cross_entropy(model(x), targets, reduction='none')",
        "    values.append(torch.exp(-loss).mean().item())",
        "return np.array(values)",
    )
)
right("deletion_curve")(
    deletion(
        "x = images.clone()",
        "order = np.argsort(-maps.numpy().reshape(len(maps), -1), axis=1)",
        "curve, done, w = [], 0, maps.shape[2]",
        "for i in range(steps + 1):",
        "    upto = i * order.shape[1] // steps",
        "    for b in range(len(x)):",
        "        for place in order[b, done:upto]:",
        "            x[b, :, place // w, place % w] = 0",
        "    done = upto",
        "    curve.append(torch.softmax(model(x), 1).gather(1, targets.unsqueeze(1)).mean())",
        "return torch.stack(curve)",
    )
)
wrong("deletion_curve", "least\\* relevant|descending")(curve(order="maps.flatten(1).argsort(dim=1)"))
wrong("deletion_curve", "relevance\\||abs|negative value")(
    curve(order="maps.abs().flatten(1).argsort(dim=1, descending=True)")
)
wrong("deletion_curve", "ranked together|each image")(
    deletion(
        "order = maps.flatten().argsort(descending=True)",
        "curve = []",
        "for i in range(steps + 1):",
        "    keep = torch.ones(maps.numel())",
        "    keep[order[:maps.numel() * i // steps]] = 0",
        "    p = model(images * keep.view(len(maps), 1, *maps.shape[1:])).softmax(1)",
        "    curve.append(p.gather(1, targets[:, None]).mean())",
        "return torch.stack(curve)",
    )
)
wrong("deletion_curve", "first image's map|first map")(curve(zero="one.flatten(1)[:, order[0, :count]] = 0"))
wrong("deletion_curve", "i begins at 0|first value")(curve(steps="range(1, steps + 1)"))
wrong("deletion_curve", "range\\(steps \\+ 1\\)|last value")(curve(steps="range(steps)"))
wrong("deletion_curve", "rounded first")(curve(count="i * (order.shape[1] // steps)"))
wrong("deletion_curve", "One pixel more a step|share of them")(curve(count="i"))
wrong("deletion_curve", "nearest")(curve(count="round(order.shape[1] * i / steps)"))
wrong("deletion_curve", "set to 1|set them to 0")(curve(zero="one.flatten(1)[:, order[b, :count]] = 1"))
wrong("deletion_curve", "mean of (the|their) image")(
    curve(zero="one.flatten(1)[:, order[b, :count]] = images[b].mean()")
)
wrong("deletion_curve", "first channel")(curve(zero="one[0].flatten()[order[b, :count]] = 0"))
wrong("deletion_curve", "copy|clone")(curve(copied="images"))
wrong("deletion_curve", "logits")(curve(out="model(x)"))
wrong("deletion_curve", "log-prob")(curve(out="model(x).log_softmax(1)"))
wrong("deletion_curve", "over the images|over the classes")(curve(out="model(x).softmax(0)"))
wrong("deletion_curve", "take their mean|added up")(curve(value="p[torch.arange(len(p)), targets].sum()"))
wrong("deletion_curve", "curve of its own|mean over the images")(
    curve(value="p[torch.arange(len(p)), targets]")
)
wrong("deletion_curve", "greatest probability")(curve(value="p.max(1).values.mean()"))
wrong("deletion_curve", "share of right")(curve(value="(p.argmax(1) == targets).float().mean()"))
wrong("deletion_curve", "every target for every|gather")(curve(value="p[:, targets].mean()"))
wrong("deletion_curve", "insertion|other way round")(curve(zero="one.flatten(1)[:, order[b, count:]] = 0"))
wrong("deletion_curve", "has fallen")(curve(last="curve[0] - torch.stack(curve)"))
wrong("deletion_curve", "mean of the curve|all its steps")(curve(last="torch.stack(curve).mean()"))
wrong("deletion_curve", "area under")(curve(last="torch.trapezoid(torch.stack(curve)) / steps"))
wrong("deletion_curve", "newest pixels")(
    curve(zero="one.flatten(1)[:, order[b, max(0, order.shape[1] * (i - 1) // steps):count]] = 0")
)
wrong("deletion_curve", "flat|nothing is taken away")(curve(out="model(images).softmax(1)"))
wrong("deletion_curve", "float|//")(curve(count="order.shape[1] * i / steps"))
wrong("deletion_curve", "mean of all maps")(
    curve(order="maps.mean(0).flatten().argsort(descending=True).expand(len(maps), -1)")
)
wrong("deletion_curve", "return")(curve(last="print(curve)"))
wrong("deletion_curve", "names|follow")(curve(value="p.gather(1, model(images).argmax(1)[:, None]).mean()"))
wrong("deletion_curve", "Ranks are used")(
    curve(order="maps.flatten(1).argsort(dim=1, descending=True).argsort(1)")
)

# ClassMaps --------------------------------------------------------------------------------------------------


def maps(*forward, start=("self.features = features", "self.dense = dense")):
    return _module("ClassMaps", ", features, dense", start, forward)


right("ClassMaps")(
    maps("m = self.features(x)", "return self.dense(m.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)")
)
right("ClassMaps")(
    maps(
        "return F.conv2d(self.features(x), self.dense.weight[:, :, None, None], self.dense.bias)",
    )
)
right("ClassMaps")(
    maps(
        "return self.conv(self.features(x))",
        start=(
            "self.features = features",
            "k, c = dense.weight.shape",
            "self.conv = nn.Conv2d(c, k, 1, bias=dense.bias is not None)",
            "with torch.no_grad():",
            "    self.conv.weight.copy_(dense.weight[:, :, None, None])",
            "    if dense.bias is not None:",
            "        self.conv.bias.copy_(dense.bias)",
        ),
    )
)
right("ClassMaps")(
    maps(
        "m = self.net[0](x)",
        "out = torch.einsum('bchw,kc->bkhw', m, self.net[1].weight)",
        "if self.net[1].bias is not None:",
        "    out = out + self.net[1].bias.view(1, -1, 1, 1)",
        "return out",
        start=("self.net = nn.ModuleList([features, dense])",),
    )
)
right("ClassMaps")(
    maps(
        "m = self.features(x)",
        "b, c, h, w = m.shape",
        "out = self.dense(m.flatten(2).transpose(1, 2))",
        "return out.transpose(1, 2).reshape(b, -1, h, w)",
    )
)
P = "m = self.features(x).permute(0, 2, 3, 1)"
E = "out = torch.einsum('bchw,kc->bkhw', self.features(x), self.dense.weight)"
wrong("ClassMaps", "bias is missing")(maps(E, "return out"))
wrong("ClassMaps", "bring them back|last axis")(maps(P, "return self.dense(m)"))
wrong("ClassMaps", "ReLU")(maps(P, "return F.relu(self.dense(m)).permute(0, 3, 1, 2)"))
wrong("ClassMaps", "softmax")(maps(P, "return self.dense(m).softmax(-1).permute(0, 3, 1, 2)"))
wrong("ClassMaps", "re-cuts|reshape or view")(
    maps(
        "m = self.features(x)",
        "b, c, h, w = m.shape",
        "return self.dense(m.reshape(b, h, w, c)).permute(0, 3, 1, 2)",
    )
)
wrong("ClassMaps", "re-cuts|reshape or view")(
    maps(P, "b, h, w, c = m.shape", "return self.dense(m).reshape(b, -1, h, w)")
)
wrong("ClassMaps", "logits")(maps("return self.dense(self.features(x).mean((2, 3)))"))
wrong("ClassMaps", "Every place has the same")(
    maps(
        "m = self.features(x)",
        "z = self.dense(m.mean((2, 3)))",
        "return z[:, :, None, None].expand(-1, -1, *m.shape[2:])",
    )
)
wrong("ClassMaps", "number of places|\\*sum\\*")(
    maps(P, "out = self.dense(m).permute(0, 3, 1, 2)", "return out / out[0, 0].numel()")
)
wrong("ClassMaps", "dense layer is not applied|features themselves")(maps("return self.features(x)"))
wrong("ClassMaps", "stretched")(
    maps(
        P,
        "out = self.dense(m).permute(0, 3, 1, 2)",
        "return F.interpolate(out, x.shape[2:], mode='bilinear')",
    )
)
wrong("ClassMaps", "Height and width are exchanged")(
    maps("m = self.features(x).transpose(1, 3)", "return self.dense(m).permute(0, 3, 1, 2)")
)
wrong("ClassMaps", "weights (of the dense layer are not|that it starts)|new layer")(
    maps(
        "return self.conv(self.features(x))",
        start=("self.features = features", "self.conv = nn.Conv2d(dense.in_features, dense.out_features, 1)"),
    )
)
wrong("ClassMaps", "bias is missing")(
    maps(
        "return self.conv(self.features(x))",
        start=(
            "self.features = features",
            "self.conv = nn.Conv2d(dense.in_features, dense.out_features, 1, bias=False)",
            "self.conv.weight.data = dense.weight.data[:, :, None, None].clone()",
        ),
    )
)
wrong("ClassMaps", "cut off")(maps(P, "return self.dense(m.detach()).permute(0, 3, 1, 2)"))
wrong("ClassMaps", "cut off")(
    maps(
        "with torch.no_grad():",
        "    m = self.features(x)",
        "return self.dense(m.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)",
    )
)
wrong("ClassMaps", "does not hold .features")(
    maps(
        "m = self.parts[0](x).permute(0, 2, 3, 1)",
        "return self.parts[1](m).permute(0, 3, 1, 2)",
        start=("self.parts = [features, dense]",),
    )
)
wrong("ClassMaps", "dense layer's weight as a parameter")(
    maps(
        "return F.conv2d(self.features(x), self.w, self.b)",
        start=(
            "self.features = features",
            "self.w = dense.weight.data[:, :, None, None]",
            "self.b = None if dense.bias is None else dense.bias.data",
        ),
    )
)
wrong("ClassMaps", "may have no bias")(maps(E, "return out + self.dense.bias[:, None, None]"))
wrong("ClassMaps", "typed in|re-cuts|channels")(
    maps(
        "m = self.features(x)",
        "b, c, h, w = m.shape",
        "out = self.dense(m.flatten(2).transpose(1, 2))",
        "return out.transpose(1, 2).reshape(b, 7, h, w)",
    )
)
wrong("ClassMaps", "last axis|channels")(maps("return self.dense(self.features(x))"))
wrong("ClassMaps", "None: is a .return")(maps(P, "self.dense(m)"))
wrong("ClassMaps", "evaluation mode")(
    maps("self.features.eval()", P, "return self.dense(m).permute(0, 3, 1, 2)")
)
wrong("ClassMaps", "weights that it is given")(
    maps(
        P,
        "return self.dense(m).permute(0, 3, 1, 2)",
        start=("self.features = features", "self.dense = dense", "nn.init.normal_(self.dense.weight)"),
    )
)
wrong("ClassMaps", "freezes")(
    maps(
        P,
        "return self.dense(m).permute(0, 3, 1, 2)",
        start=("self.features = features.requires_grad_(False)", "self.dense = dense"),
    )
)
wrong("ClassMaps", "signs|absolute")(
    maps(
        "out = torch.einsum('bchw,kc->bkhw', self.features(x), self.dense.weight.abs())",
        "return out if self.dense.bias is None else out + self.dense.bias[:, None, None]",
    )
)
wrong("ClassMaps", "ReLU is applied to the features|negative values")(
    maps("m = F.relu(self.features(x)).permute(0, 2, 3, 1)", "return self.dense(m).permute(0, 3, 1, 2)")
)
wrong("ClassMaps", "highest logit")(
    maps(
        P,
        "out = self.dense(m).permute(0, 3, 1, 2)",
        "best = out.mean((2, 3)).argmax(1)",
        "return out[torch.arange(len(out)), best]",
    )
)
wrong("ClassMaps", "super")(
    type(
        "ClassMaps",
        (nn.Module,),
        {
            "__init__": lambda self, features, dense: setattr(self, "features", features),
            "forward": lambda self, x: x,
        },
    )
)

# fit_temperature --------------------------------------------------------------------------------------------


def temperature(*lines):
    return _function("fit_temperature(logits, labels)", *lines)


def grid(points, loss="F.cross_entropy(logits / t, labels)", last="best"):
    return temperature(
        "best, least = None, float('inf')",
        f"for t in {points}:",
        "    t = float(t)",
        f"    loss = float({loss})",
        "    if loss < least:",
        "        best, least = t, loss",
        f"return {last}",
    )


FINE = "np.geomspace(0.03, 30, 700)"
right("fit_temperature")(grid(FINE))
right("fit_temperature")(
    temperature(
        "from scipy.optimize import minimize_scalar",
        "f = lambda s: F.cross_entropy(logits.double() / math.exp(s), labels).item()",
        "return math.exp(minimize_scalar(f, bounds=(-4, 4), method='bounded').x)",
    )
)
right("fit_temperature")(
    temperature(
        "s = torch.zeros(1, requires_grad=True)",
        "opt = torch.optim.LBFGS([s], lr=0.5, max_iter=200, line_search_fn='strong_wolfe')",
        "def closure():",
        "    opt.zero_grad()",
        "    loss = F.cross_entropy(logits / s.exp(), labels)",
        "    loss.backward()",
        "    return loss",
        "opt.step(closure)",
        "return s.exp()",
    )
)
right("fit_temperature")(
    temperature(
        "s = nn.Parameter(torch.zeros(()))",
        "opt = torch.optim.Adam([s], lr=0.05)",
        "for _ in range(400):",
        "    opt.zero_grad()",
        "    F.nll_loss((logits * torch.exp(-s)).log_softmax(1), labels).backward()",
        "    opt.step()",
        "return math.exp(s.item())",
    )
)
right("fit_temperature")(
    temperature(
        "a, b = 0.01, 100.0",
        "loss = lambda t: F.cross_entropy(logits / t, labels).item()",
        "for _ in range(100):",
        "    c, d = a ** (2 / 3) * b ** (1 / 3), a ** (1 / 3) * b ** (2 / 3)",
        "    a, b = (a, d) if loss(c) < loss(d) else (c, b)",
        "return torch.tensor((a * b) ** 0.5)",
    )
)
wrong("fit_temperature", "upside down|divided")(grid(FINE, loss="F.cross_entropy(logits * t, labels)"))
wrong("fit_temperature", "search ends|search begin|beyond")(grid("np.linspace(1, 5, 2001)"))
wrong("fit_temperature", "search ends|search begin|beyond")(grid("np.linspace(0.1, 10, 4000)"))
wrong("fit_temperature", "search ends|beyond|coarse")(grid("np.arange(0.5, 3.0, 0.01)"))
wrong("fit_temperature", "coarse|arrived|search ends")(grid("np.arange(0.1, 20, 0.1)"))
wrong("fit_temperature", "coarse|rounded")(grid("np.geomspace(0.05, 20, 30)"))
wrong("fit_temperature", "logarithm")(
    grid("np.linspace(-4, 4, 800)", loss="F.cross_entropy(logits / math.exp(t), labels)")
)
wrong("fit_temperature", "Brier|squared error")(
    grid(FINE, loss="((logits / t).softmax(1) - F.one_hot(labels, logits.shape[1])).square().mean()")
)
wrong("fit_temperature", "confidence equal")(
    grid(
        FINE,
        loss="((logits / t).softmax(1).max(1).values.mean() - (logits.argmax(1) == labels).float().mean()).abs()",
    )
)
wrong("fit_temperature", "least loss; the temp")(grid(FINE, last="least"))
wrong("fit_temperature", "alone")(grid(FINE, last="(best, least)"))
wrong("fit_temperature", "scaled logits")(grid(FINE, last="logits / best"))
wrong("fit_temperature", "standard deviation")(temperature("return logits.std()"))
wrong("fit_temperature", "softmax is taken before")(
    grid("np.geomspace(0.02, 60, 900)", loss="F.cross_entropy(logits.softmax(1) / t, labels)")
)
wrong("fit_temperature", "arrived")(
    temperature(
        "t = torch.ones(1, requires_grad=True)",
        "opt = torch.optim.SGD([t], lr=0.01)",
        "for _ in range(50):",
        "    opt.zero_grad()",
        "    F.cross_entropy(logits / t, labels).backward()",
        "    opt.step()",
        "return t.item()",
    )
)
wrong("fit_temperature", "never moves|arrived")(
    temperature(
        "t = torch.ones(1, requires_grad=True)",
        "opt = torch.optim.Adam([t], lr=0.01)",
        "for _ in range(50):",
        "    opt.zero_grad()",
        "    F.cross_entropy(logits, labels).add(0 * t).sum().backward()",
        "    opt.step()",
        "return t.item()",
    )
)
wrong("fit_temperature", "does not require a gradient")(
    temperature(
        "t = torch.ones(1)",
        "loss = F.cross_entropy(logits / t, labels)",
        "loss.backward()",
        "return t.item()",
    )
)
wrong("fit_temperature", "temperature of 0|grid begins above|division|divided")(
    temperature(
        "losses = [(logits / t).logsumexp(1).mean().item() / t for t in range(20)]",
        "return losses.index(min(losses))",
    )
)
wrong("fit_temperature", "changes its argument")(temperature("logits /= 2", "return 2.0"))
wrong("fit_temperature", "return|None")(grid(FINE, last="print(best)"))
wrong("fit_temperature", "right are used|Only answers")(
    temperature(
        "ok = logits.argmax(1) == labels",
        "grid = np.geomspace(0.02, 60, 900)",
        "return grid[np.argmin([F.cross_entropy(logits[ok] / t, labels[ok]).item() for t in grid])]",
    )
)
wrong("fit_temperature", "NaN|positive|arrived|past the least|run away")(
    temperature(
        "t = torch.ones(1, requires_grad=True)",
        "opt = torch.optim.SGD([t], lr=50.0)",
        "for _ in range(300):",
        "    opt.zero_grad()",
        "    F.cross_entropy(logits / t, labels).backward()",
        "    opt.step()",
        "return t.item()",
    )
)

# right_reasons_step -----------------------------------------------------------------------------------------


def reasons(*lines):
    return _function("right_reasons_step(model, images, labels, masks, optimizer, strength)", *lines)


def step(
    mode="model.train()",
    x="x = images.clone().requires_grad_(True)",
    logits="logits = model(x)",
    ce="ce = F.cross_entropy(logits, labels)",
    own="own = logits.gather(1, labels[:, None]).sum()",
    grad="g = torch.autograd.grad(own, x, create_graph=True)[0]",
    penalty="penalty = (g * masks.unsqueeze(1)).pow(2).sum((1, 2, 3)).mean()",
    total="total = ce + strength * penalty",
    update=("optimizer.zero_grad()", "total.backward()", "optimizer.step()"),
    last="return ce.item(), penalty.item()",
):
    return reasons(
        *(line for line in (mode, x, logits, ce, own, grad, penalty, total, *update, last) if line)
    )


right("right_reasons_step")(step())
right("right_reasons_step")(
    step(
        own="own = logits[range(len(labels)), labels]",
        grad="(g,) = torch.autograd.grad(own, [x], grad_outputs=torch.ones_like(own), create_graph=True)",
        penalty="penalty = torch.where(masks[:, None], g, 0.0).square().sum() / len(images)",
        last="return float(ce), float(penalty)",
    )
)
right("right_reasons_step")(
    reasons(
        "optimizer.zero_grad()",
        "model.train(True)",
        "x = images.detach().clone()",
        "x.requires_grad = True",
        "z = model(x)",
        "onehot = F.one_hot(labels, z.shape[1])",
        "g = torch.autograd.grad((z * onehot).sum(), x, create_graph=True)[0].squeeze(1)",
        "pen = g[masks].pow(2).sum() / images.shape[0]",
        "ce = -z.log_softmax(1)[torch.arange(len(z)), labels].mean()",
        "torch.autograd.backward([ce, strength * pen])",
        "optimizer.step()",
        "return torch.stack([ce, pen]).tolist()",
    )
)
right("right_reasons_step")(
    reasons(
        "model.train()",
        "x = images.clone().requires_grad_()",
        "z = model(x)",
        "sum(z[i, k] for i, k in enumerate(labels)).backward(create_graph=True)",
        "g = x.grad",
        "penalty = ((g[:, 0] * masks) ** 2).flatten(1).sum(1).mean()",
        "loss = F.cross_entropy(z, labels)",
        "optimizer.zero_grad(set_to_none=True)",
        "(loss + penalty * strength).backward()",
        "optimizer.step()",
        "return loss.detach(), penalty.detach()",
    )
)
right("right_reasons_step")(
    reasons(
        "model.train()",
        "images.requires_grad_(True)",
        "z = model(images)",
        "g, = torch.autograd.grad(z.gather(1, labels.view(-1, 1)).sum(), images, create_graph=True)",
        "images.requires_grad_(False)",
        "pen = (masks.float()[:, None] * g * g).sum(dim=[1, 2, 3]).mean(0)",
        "ce = nn.CrossEntropyLoss()(z, labels)",
        "optimizer.zero_grad()",
        "(ce + strength * pen).backward()",
        "optimizer.step()",
        "return ce.item(), pen.item()",
    )
)
wrong("right_reasons_step", "create_graph")(
    step(grad="g = torch.autograd.grad(own, x, retain_graph=True)[0]")
)
wrong("right_reasons_step", "create_graph|freed")(step(grad="g = torch.autograd.grad(own, x)[0]"))
wrong("right_reasons_step", "create_graph")(
    step(penalty="penalty = (g.detach() * masks.unsqueeze(1)).pow(2).sum((1, 2, 3)).mean()")
)
wrong("right_reasons_step", "train")(step(mode=""))
wrong("right_reasons_step", "evaluation mode")(step(mode="model.eval()"))
wrong("right_reasons_step", "gradients of the step before|zero_grad")(
    step(update=("total.backward()", "optimizer.step()"))
)
wrong("right_reasons_step", "between backward and step|nothing to go by")(
    step(update=("total.backward()", "optimizer.zero_grad()", "optimizer.step()"))
)
wrong("right_reasons_step", "no optimizer.step")(step(update=("optimizer.zero_grad()", "total.backward()")))
wrong("right_reasons_step", "no backward")(step(update=("optimizer.zero_grad()", "optimizer.step()")))
wrong("right_reasons_step", "squares|absolute")(
    step(penalty="penalty = (g * masks.unsqueeze(1)).abs().sum((1, 2, 3)).mean()")
)
wrong("right_reasons_step", "turned round")(
    step(penalty="penalty = (g * ~masks.unsqueeze(1)).pow(2).sum((1, 2, 3)).mean()")
)
wrong("right_reasons_step", "no mask|all pixels")(step(penalty="penalty = g.pow(2).sum((1, 2, 3)).mean()"))
wrong("right_reasons_step", "mean over the pixels")(
    step(penalty="penalty = (g * masks.unsqueeze(1)).pow(2).mean()")
)
wrong("right_reasons_step", "summed over the images")(
    step(penalty="penalty = (g * masks.unsqueeze(1)).pow(2).sum()")
)
wrong("right_reasons_step", "root|norm")(
    step(penalty="penalty = (g * masks.unsqueeze(1)).flatten(1).norm(dim=1).mean()")
)
wrong("right_reasons_step", "summed first|squared then")(
    step(penalty="penalty = (g * masks.unsqueeze(1)).sum((1, 2, 3)).pow(2).mean()")
)
wrong("right_reasons_step", "of the cross-entropy is taken")(step(own="own = ce"))
wrong("right_reasons_step", "\\*mean\\*|number of images")(
    step(own="own = logits.gather(1, labels[:, None]).mean()")
)
wrong("right_reasons_step", "greatest logit")(step(own="own = logits.max(1).values.sum()"))
wrong("right_reasons_step", "all classes are summed")(step(own="own = logits.sum()"))
wrong("right_reasons_step", "log-probabilit")(step(own="own = logits.log_softmax(1).sum()"))
wrong("right_reasons_step", "log-probabilit")(
    step(own="own = logits.log_softmax(1).gather(1, labels[:, None]).sum()")
)
wrong("right_reasons_step", "gradient of the probability")(
    step(own="own = logits.softmax(1).gather(1, labels[:, None]).sum()")
)
wrong("right_reasons_step", "every label for every")(step(own="own = logits[:, labels].sum()"))
wrong("right_reasons_step", "strength has no part")(step(total="total = ce + penalty"))
wrong("right_reasons_step", "subtracted")(step(total="total = ce - strength * penalty"))
wrong("right_reasons_step", "Only the penalty")(step(total="total = strength * penalty"))
wrong("right_reasons_step", "multiplies the cross-entropy|belongs to the penalty")(
    step(total="total = strength * ce + penalty")
)
wrong("right_reasons_step", "one number")(step(last="return total.item()"))
wrong("right_reasons_step", "swapped")(step(last="return penalty.item(), ce.item()"))
wrong("right_reasons_step", "times the strength")(step(last="return ce.item(), strength * penalty.item()"))
wrong("right_reasons_step", "whole loss")(step(last="return total.item(), penalty.item()"))
wrong("right_reasons_step", "keep the graph")(step(last="return ce, penalty"))
wrong("right_reasons_step", "returns nothing")(step(last="print(ce.item(), penalty.item())"))
wrong("right_reasons_step", "very tensor|no part in what is diff")(step(logits="logits = model(images)"))
wrong("right_reasons_step", "tuple")(step(grad="g = torch.autograd.grad(own, x, create_graph=True)"))
wrong("right_reasons_step", "axis of channels|summed over|do not fit|every label|mask")(
    step(penalty="penalty = (g * masks).pow(2).sum((1, 2, 3)).mean()")
)
wrong("right_reasons_step", "sum the logits")(step(own="own = logits.gather(1, labels[:, None])"))
wrong("right_reasons_step", "images are changed")(
    step(x="images *= 0.5; x = images.clone().requires_grad_()")
)
wrong("right_reasons_step", "leaves gradients|added to")(
    step(
        own="optimizer.zero_grad(); own = logits.gather(1, labels[:, None]).sum()",
        grad="own.backward(create_graph=True); g = x.grad",
        update=("total.backward()", "optimizer.step()"),
    )
)
wrong("right_reasons_step", "pixels themselves")(
    step(penalty="penalty = (x * masks.unsqueeze(1)).pow(2).sum((1, 2, 3)).mean()")
)
