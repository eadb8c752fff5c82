"""Answers to the exercises of chapter 9, The final comparison."""

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


SPACE = {"np": np, "math": math, "torch": torch, "F": F, "nn": nn, "nan": math.nan, "copy": copy}  # fmt: skip
_function = partial(written_function, SPACE)

_module = partial(written_module, SPACE)

# class_recalls ----------------------------------------------------------------------------------------------


def recalls(*lines):
    return _function("class_recalls(confusion)", *lines)


D, S = "hits = np.diag(confusion)", "rows = confusion.sum(axis=1)"
R = "recalls = hits / rows"
right("class_recalls")(recalls(D, S, R, "return recalls, np.nanmean(recalls)"))
right("class_recalls")(
    recalls(
        "out = []",
        "for i in range(len(confusion)):",
        "    total = sum(confusion[i])",
        "    out.append(confusion[i][i] / total if total > 0 else None)",
        "known = [r for r in out if r is not None]",
        "return out, sum(known) / len(known)",
    )
)
right("class_recalls")(
    recalls(
        "c = torch.as_tensor(confusion).double()",
        "r = c.diagonal() / c.sum(1)",
        "return r, r[~r.isnan()].mean()",
    )
)
right("class_recalls")(
    recalls(
        S,
        "r = np.full(len(rows), np.nan)",
        "np.divide(confusion.diagonal(), rows, out=r, where=rows > 0)",
        "return [r.tolist(), float(r[rows > 0].mean())]",
    )
)
right("class_recalls")(
    recalls(
        "shares = confusion / confusion.sum(1, keepdims=True)",
        "return tuple(shares[i, i] for i in range(len(shares))), np.nanmean(np.diagonal(shares))",
    )
)
B = "return recalls, np.nanmean(recalls)"
wrong("class_recalls", "precision|rows are the labels")(
    recalls(D, "recalls = hits / confusion.sum(axis=0)", B)
)
wrong("class_recalls", "all images")(recalls(D, "recalls = hits / confusion.sum()", B))
wrong("class_recalls", "counts")(recalls(D, "return hits, hits.mean()"))
wrong("class_recalls", "counts")(recalls(D, S, R, "return hits, np.nanmean(recalls)"))
wrong("class_recalls", "recalls alone|two values")(recalls(D, S, "return hits / rows"))
wrong("class_recalls", "one number|two values")(recalls(D, S, "return np.nanmean(hits / rows)"))
wrong("class_recalls", "swapped")(recalls(D, S, R, "return np.nanmean(recalls), recalls"))
wrong("class_recalls", "NaN as soon as")(recalls(D, S, R, "return recalls, recalls.mean()"))
wrong("class_recalls", "recall of 0 in the balanced")(
    recalls(D, S, R, "return recalls, np.nan_to_num(recalls).mean()")
)
wrong("class_recalls", "NaN, neither 0 nor 1")(
    recalls(
        D, S, "recalls = np.where(rows > 0, hits / np.maximum(rows, 1), 0)", "return recalls, recalls.mean()"
    )
)
wrong("class_recalls", "NaN, neither 0 nor 1")(
    recalls(
        D,
        S,
        "recalls = np.where(rows > 0, hits / np.maximum(rows, 1), 0)",
        "return recalls, recalls[rows > 0].mean()",
    )
)
wrong("class_recalls", "keeps its place|left out")(
    recalls(D, S, "recalls = (hits / rows)[rows > 0]", "return recalls, recalls.mean()")
)
wrong("class_recalls", "is the accuracy")(recalls(D, S, R, "return recalls, hits.sum() / confusion.sum()"))
wrong("class_recalls", "is the accuracy|large classes")(
    recalls(D, S, R, "return recalls, np.nansum(recalls * rows) / rows.sum()")
)
wrong("class_recalls", "median")(recalls(D, S, R, "return recalls, np.nanmedian(recalls)"))
wrong("class_recalls", "per cent")(recalls(D, S, "recalls = 100 * hits / rows", B))
wrong("class_recalls", "per cent|100 times")(recalls(D, S, R, "return recalls, 100 * np.nanmean(recalls)"))
wrong("class_recalls", "F1")(recalls(D, S, "recalls = 2 * hits / (rows + confusion.sum(0))", B))
wrong("class_recalls", "whole matrix|diagonal")(
    recalls(
        "shares = confusion / confusion.sum(1, keepdims=True)", "return shares, np.nanmean(np.diag(shares))"
    )
)
wrong("class_recalls", "rounds|rounded down|whole numbers|//")(
    recalls(D, S, "recalls = hits // np.maximum(rows, 1)", B)
)
wrong("class_recalls", "greatest")(recalls(S, "recalls = confusion.max(1) / rows", B))
wrong("class_recalls", "missed|rest")(recalls(D, S, "recalls = 1 - hits / rows", B))
wrong("class_recalls", "sum of the recalls|divide by how many")(
    recalls(D, S, R, "return recalls, np.nansum(recalls)")
)
wrong("class_recalls", "rounded")(recalls(D, S, "recalls = (hits / rows).round(2)", B))
wrong("class_recalls", "return|None")(recalls(D, S, R, "print(recalls, np.nanmean(recalls))"))
wrong("class_recalls", "ZeroDivisionError")(
    recalls(
        "out = [int(confusion[i][i]) / int(sum(confusion[i])) for i in range(len(confusion))]",
        "return out, sum(out) / len(out)",
    )
)
wrong("class_recalls", "how frequent")(
    recalls(S, "recalls = rows / confusion.sum()", "return recalls, np.nanmean(recalls)")
)
wrong("class_recalls", "typed in|7|index|out of bounds|broadcast|shape")(
    recalls("recalls = [confusion[i, i] / confusion[i].sum() for i in range(7)]", B)
)
wrong("class_recalls", "changes its argument")(recalls("confusion[:] = confusion + confusion.T", D, S, R, B))
wrong("class_recalls", "precision")(recalls(D, S, R, "return recalls, np.nanmean(hits / confusion.sum(0))"))


wrong("class_recalls", "has a recall of 0; NaN is for")(
    recalls(D, S, "recalls = np.array([h / r if h else np.nan for h, r in zip(hits, rows)])", B)
)
wrong("class_recalls", "no hit has a recall of 0|keeps its place")(
    recalls(
        D, S, "recalls = np.array([h / r for h, r in zip(hits, rows) if h])", "return recalls, recalls.mean()"
    )
)

# mcnemar_p --------------------------------------------------------------------------------------------------


def mcnemar(*lines):
    return _function("mcnemar_p(labels, preds_a, preds_b)", *lines)


H = "ra, rb = preds_a == labels, preds_b == labels"
C = "a, b = int((ra & ~rb).sum()), int((rb & ~ra).sum())"
M = "m, k = a + b, min(a, b)"
T = "tail = sum(math.comb(m, i) for i in range(k + 1)) / 2 ** m"
right("mcnemar_p")(mcnemar(H, C, M, T, "return min(1, 2 * tail)"))
right("mcnemar_p")(
    mcnemar(
        "from scipy.stats import binomtest",
        H,
        C,
        "if a + b == 0: return 1",
        "return binomtest(a, a + b).pvalue",
    )
)
right("mcnemar_p")(
    mcnemar(
        "from scipy.stats import binom",
        H,
        "b = np.logical_and(rb, np.logical_not(ra)).sum()",
        "m = np.logical_xor(ra, rb).sum()",
        "return np.minimum(1.0, 2 * binom.cdf(np.minimum(b, m - b), m, 0.5))",
    )
)
right("mcnemar_p")(
    mcnemar(
        "a = b = 0",
        "for y, p, q in zip(labels, preds_a, preds_b):",
        "    a += p == y and q != y",
        "    b += q == y and p != y",
        "p, term = 0.0, 0.5 ** (a + b)",
        "for i in range(min(a, b) + 1):",
        "    p += term",
        "    term = term * (a + b - i) / (i + 1)",
        "return torch.tensor(min(2 * p, 1.0), dtype=torch.float64)",
    )
)
wrong("mcnemar_p", "one-sided")(mcnemar(H, C, M, T, "return tail"))
wrong("mcnemar_p", "exceed 1|min\\(1")(mcnemar(H, C, M, T, "return 2 * tail"))
wrong("mcnemar_p", "smaller of the two")(mcnemar(H, C, "m, k = a + b, a", T, "return min(1, 2 * tail)"))
wrong("mcnemar_p", "smaller of the two")(mcnemar(H, C, "m, k = a + b, b", T, "return min(1, 2 * tail)"))
wrong("mcnemar_p", "smaller|one-sided")(mcnemar(H, C, "m, k = a + b, b", T, "return tail"))
wrong("mcnemar_p", "greater count|smaller")(
    mcnemar(H, C, "m, k = a + b, max(a, b)", T, "return min(1, 2 * tail)")
)
wrong("mcnemar_p", "range\\(k \\+ 1\\)|last term")(
    mcnemar(H, C, M, "tail = sum(math.comb(m, i) for i in range(k)) / 2 ** m", "return min(1, 2 * tail)")
)
wrong("mcnemar_p", "begins at 0|no head")(
    mcnemar(
        H, C, M, "tail = sum(math.comb(m, i) for i in range(1, k + 1)) / 2 ** m", "return min(1, 2 * tail)"
    )
)
wrong("mcnemar_p", "exactly this count")(mcnemar(H, C, M, "return math.comb(m, k) / 2 ** m"))
wrong("mcnemar_p", "exactly this count")(mcnemar(H, C, M, "return min(1, 2 * math.comb(m, k) / 2 ** m)"))
wrong("mcnemar_p", "chi-squared approx")(
    mcnemar(H, C, "if a + b == 0: return 1.0", "return math.erfc(math.sqrt((a - b) ** 2 / (a + b) / 2))")
)
wrong("mcnemar_p", "chi-squared approx")(
    mcnemar(
        "from scipy.stats import chi2",
        H,
        C,
        "if a + b == 0: return 1.0",
        "return chi2.sf(max(abs(a - b) - 1, 0) ** 2 / (a + b), 1)",
    )
)
wrong("mcnemar_p", "statistic")(mcnemar(H, C, "if a + b == 0: return 0.0", "return (a - b) ** 2 / (a + b)"))
wrong("mcnemar_p", "not all images")(
    mcnemar(H, C, "m, k = len(labels), min(a, b)", T, "return min(1, 2 * tail)")
)
wrong("mcnemar_p", "both get right cancel|all hits")(
    mcnemar(
        "a, b = int((preds_a == labels).sum()), int((preds_b == labels).sum())",
        M,
        T,
        "return min(1, 2 * tail)",
    )
)
wrong("mcnemar_p", "both get wrong")(
    mcnemar(H, C, "m, k = int((preds_a != preds_b).sum()), min(a, b)", T, "return min(1, 2 * tail)")
)
wrong("mcnemar_p", "unpaired")(
    mcnemar(
        H,
        "n, p, q = len(labels), ra.mean(), rb.mean()",
        "z = (p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / n)",
        "return math.erfc(abs(z) / math.sqrt(2))",
    )
)
wrong("mcnemar_p", "one minus|rest")(mcnemar(H, C, M, T, "return 1 - min(1, 2 * tail)"))
wrong("mcnemar_p", "return p itself")(mcnemar(H, C, M, T, "return min(1, 2 * tail) < 0.05"))
wrong("mcnemar_p", "all ways|2 \\*\\* m")(
    mcnemar(H, C, M, "return 2 * sum(math.comb(m, i) for i in range(k + 1))")
)
wrong("mcnemar_p", "mid-p|half")(mcnemar(H, C, M, T, "return min(1, 2 * tail - math.comb(m, k) / 2 ** m)"))
wrong("mcnemar_p", "p is 1, not 0")(mcnemar(H, C, M, T, "return min(1, 2 * tail) if m else 0.0"))
wrong("mcnemar_p", "ZeroDivision|divided by nothing|chi-squared")(
    mcnemar(H, C, "return math.erfc(abs(a - b) / math.sqrt(2 * (a + b)))")
)
wrong("mcnemar_p", "returns nothing|return")(mcnemar(H, C, M, T, "print(min(1, 2 * tail))"))
wrong("mcnemar_p", "two counts|still to be computed")(mcnemar(H, C, "return a, b"))
wrong("mcnemar_p", "rounded")(mcnemar(H, C, M, T, "return round(min(1, 2 * tail), 3)"))
wrong("mcnemar_p", "most extreme case alone|add up")(mcnemar(H, C, M, "return min(1, 2 * 0.5 ** m)"))
wrong("mcnemar_p", "both are right or both wrong")(
    mcnemar(H, "a, b = int((ra & rb).sum()), int((~ra & ~rb).sum())", M, T, "return min(1, 2 * tail)")
)
wrong("mcnemar_p", "difference of the accuracies")(mcnemar(H, "return abs(ra.mean() - rb.mean())"))


right("mcnemar_p")(
    mcnemar(
        "from fractions import Fraction",
        H,
        C,
        M,
        "return min(Fraction(1), sum(Fraction(2 * math.comb(m, i), 2 ** m) for i in range(k + 1)))",
    )
)
ONE = "if a + b == 0: return 1.0"
wrong("mcnemar_p", "range\\(k \\+ 1\\)|last term")(
    mcnemar(H, C, ONE, M, "return min(1, 2 * sum(math.comb(m, i) for i in range(k)) / 2 ** m)")
)
wrong("mcnemar_p", "begins at 0|no head")(
    mcnemar(H, C, ONE, M, "return min(1, 2 * sum(math.comb(m, i) for i in range(1, k + 1)) / 2 ** m)")
)
wrong("mcnemar_p", "doubled twice")(
    mcnemar(H, C, ONE, M, "return min(1, 2 * sum(math.comb(m, i) for i in range(k + 1)) / 2 ** (m - 1))")
)
wrong("mcnemar_p", "all tosses come first")(
    mcnemar(H, C, M, "return min(1, 2 * sum(math.comb(i, m) for i in range(k + 1)) / 2 ** m)")
)
wrong("mcnemar_p", "one minus|rest")(mcnemar(H, C, ONE, M, T, "return 1 - min(1, 2 * tail)"))

# pareto_front -----------------------------------------------------------------------------------------------


def front(*lines):
    return _function("pareto_front(costs, accuracies)", *lines)


N = "n = range(len(costs))"
right("pareto_front")(
    front(
        N,
        "def beaten(j):",
        "    return any(costs[i] <= costs[j] and accuracies[i] >= accuracies[j] and (costs[i] < costs[j] or accuracies[i] > accuracies[j]) for i in n)",
        "return sorted((j for j in n if not beaten(j)), key=lambda j: costs[j])",
    )
)
right("pareto_front")(
    front(
        "c, a = np.asarray(costs), np.asarray(accuracies)",
        "beats = (c[:, None] <= c) & (a[:, None] >= a) & ((c[:, None] < c) | (a[:, None] > a))",
        "kept = np.flatnonzero(~beats.any(axis=0))",
        "return kept[np.argsort(c[kept])]",
    )
)
right("pareto_front")(
    front(
        "order = np.lexsort((-np.array(accuracies), costs))",
        "a = np.array(accuracies)[order]",
        "before = np.concatenate([[-1], np.maximum.accumulate(a)[:-1]])",
        "return torch.tensor(order[a > before])",
    )
)
right("pareto_front")(
    front(
        "import pandas as pd",
        "frame = pd.DataFrame({'c': costs, 'a': accuracies}).sort_values(['c', 'a'], ascending=[True, False])",
        "best = frame['a'].cummax().shift(fill_value=-1)",
        "return tuple(frame.index[frame['a'] > best])",
    )
)
right("pareto_front")(
    front(
        "left, out = set(range(len(costs))), []",
        "while left:",
        "    best = max(left, key=lambda i: (accuracies[i], -costs[i]))",
        "    out.insert(0, best)",
        "    left = {i for i in left if costs[i] < costs[best]}",
        "return out",
    )
)
O = "order = sorted(range(len(costs)), key=lambda i: (costs[i], -accuracies[i]))"
LOOP = ["out, best = [], -1", "for i in order:", "    if accuracies[i] > best:", "        out.append(i)", "        best = accuracies[i]"]  # fmt: skip
wrong("pareto_front", "look at the more accurate first|same cost")(
    front("order = sorted(range(len(costs)), key=lambda i: costs[i])", *LOOP, "return out")
)
wrong("pareto_front", "order in which they came|as (they|given)")(front(O, *LOOP, "return sorted(out)"))
wrong("pareto_front", "dearest to the cheapest")(front(O, *LOOP, "return out[::-1]"))
wrong("pareto_front", "are the points")(front(O, *LOOP, "return [(costs[i], accuracies[i]) for i in out]"))
wrong("pareto_front", "costs of the right")(front(O, *LOOP, "return [costs[i] for i in out]"))
wrong("pareto_front", "accuracies of the right")(front(O, *LOOP, "return [accuracies[i] for i in out]"))
wrong("pareto_front", "says of every point")(front(O, *LOOP, "return [i in out for i in range(len(costs))]"))
wrong("pareto_front", "sort first")(front("order = range(len(costs))", *LOOP, "return out"))
wrong("pareto_front", "one of the two is enough|\\*and\\*")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] < costs[j] or accuracies[i] > accuracies[j] for i in n)], key=lambda j: costs[j])",
    )
)
wrong("pareto_front", "tie")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] < costs[j] and accuracies[i] > accuracies[j] for i in n)], key=lambda j: costs[j])",
    )
)
wrong("pareto_front", "same cost")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] < costs[j] and accuracies[i] >= accuracies[j] for i in n)], key=lambda j: (costs[j], -accuracies[j]))",
    )
)
wrong("pareto_front", "same accuracy")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] <= costs[j] and accuracies[i] > accuracies[j] for i in n)], key=lambda j: costs[j])",
    )
)
wrong("pareto_front", "must \\*raise\\*|same accuracy")(
    front(O, *LOOP[:2], "    if accuracies[i] >= best:", *LOOP[3:], "return out")
)
wrong("pareto_front", "itself|every point is beaten|empty")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] <= costs[j] and accuracies[i] >= accuracies[j] for i in n)], key=lambda j: costs[j])",
    )
)
wrong("pareto_front", "greater cost counts|cheap is better|dear")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] >= costs[j] and accuracies[i] >= accuracies[j] and i != j for i in n)], key=lambda j: costs[j])",
    )
)
wrong("pareto_front", "lower accuracy")(
    front(
        N,
        "return sorted([j for j in n if not any(costs[i] <= costs[j] and accuracies[i] <= accuracies[j] and i != j for i in n)], key=lambda j: costs[j])",
    )
)
wrong("pareto_front", "neighbour")(
    front(O, "return [i for n, i in enumerate(order) if n == 0 or accuracies[i] > accuracies[order[n - 1]]]")
)
wrong("pareto_front", "are beaten")(front(O, *LOOP, "return [i for i in order if i not in out]"))
wrong("pareto_front", "two ends")(front(O, *LOOP, "return [out[0], out[-1]] if len(out) > 1 else out"))
wrong("pareto_front", "most accurate point alone")(
    front("return [max(range(len(costs)), key=lambda i: accuracies[i])]")
)
wrong("pareto_front", "cheapest point alone")(
    front("return [costs.index(min(costs))] if isinstance(costs, list) else [int(costs.argmin())]")
)
wrong("pareto_front", "ratio")(
    front("return [max(range(len(costs)), key=lambda i: accuracies[i] / costs[i])]")
)
wrong("pareto_front", "all points, by cost")(front(O, "return order"))
wrong("pareto_front", "places in the sorted list")(front(O, *LOOP, "return [order.index(i) for i in out]"))
wrong("pareto_front", "how many")(front(O, *LOOP, "return len(out)"))
wrong("pareto_front", "return")(front(O, *LOOP, "print(out)"))
wrong("pareto_front", "return. stand inside the loop|first value")(
    front(
        O,
        "best, out = -1, []",
        "for i in order:",
        "    if accuracies[i] > best:",
        "        out.append(i)",
        "        best = accuracies[i]",
        "    return out",
    )
)
wrong("pareto_front", "changes its argument|AttributeError")(front("costs.sort()", O, *LOOP, "return out"))
wrong("pareto_front", "hull")(
    front(
        O,
        *LOOP,
        "hull = []",
        "for i in out:",
        "    while len(hull) > 1 and (accuracies[hull[-1]] - accuracies[hull[-2]]) * (costs[i] - costs[hull[-2]]) <= (accuracies[i] - accuracies[hull[-2]]) * (costs[hull[-1]] - costs[hull[-2]]):",
        "        hull.pop()",
        "    hull.append(i)",
        "return hull",
    )
)


wrong("pareto_front", "cheapest is missing")(
    front(O, "out, best = [], accuracies[order[0]]", *LOOP[1:], "return out")
)
wrong("pareto_front", "dearest of the front is missing")(front(O, *LOOP, "return out[:-1]"))
wrong("pareto_front", "lower accuracy counts")(
    front(O, "out, best = [], 2", LOOP[1], "    if accuracies[i] < best:", *LOOP[3:], "return out")
)
wrong("pareto_front", "per cost are compared|best ratio")(
    front(
        "ratio = [a / c for a, c in zip(accuracies, costs)]",
        O,
        "out, best = [], -1",
        "for i in order:",
        "    if ratio[i] > best:",
        "        out.append(i)",
        "        best = ratio[i]",
        "return out",
    )
)

# without_leaks ----------------------------------------------------------------------------------------------


def keep(*lines):
    return _function("without_leaks(train, held_out)", *lines)


right("without_leaks")(
    keep(
        "both = np.concatenate([held_out, held_out[:, :, ::-1]])",
        "same = (train[:, None] == both[None]).all(axis=(2, 3))",
        "return ~same.any(axis=1)",
    )
)
right("without_leaks")(
    keep(
        "out = []",
        "for image in train:",
        "    leak = any(np.array_equal(image, h) or np.array_equal(np.fliplr(image), h) for h in held_out)",
        "    out.append(not leak)",
        "return out",
    )
)
right("without_leaks")(
    keep(
        "a, b = torch.from_numpy(train).flatten(1).float(), torch.from_numpy(held_out)",
        "b = torch.cat([b, b.flip(-1)]).flatten(1).float()",
        "return torch.cdist(a, b, compute_mode='donot_use_mm_for_euclid_dist').min(1).values > 0.5",
    )
)
right("without_leaks")(
    keep(
        "import hashlib",
        "def digest(image): return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()",
        "held = {digest(h) for h in held_out}",
        "mask = np.ones(len(train), dtype=int)",
        "for i in range(len(train)):",
        "    if digest(train[i]) in held or digest(train[i][:, ::-1]) in held: mask[i] = 0",
        "return mask",
    )
)
X = "same = (train[:, None] == held_out[None]).all((2, 3)).any(1)"
Y = "mirror = (train[:, None, :, ::-1] == held_out[None]).all((2, 3)).any(1)"
wrong("without_leaks", "mirrored copy slips")(keep(X, "return ~same"))
wrong("without_leaks", "plain ones are not")(keep(Y, "return ~mirror"))
wrong("without_leaks", "wrong way round")(keep(X, Y, "return same | mirror"))
wrong("without_leaks", "wrong way round")(keep(X, "return same"))
wrong("without_leaks", "upside down")(
    keep(X, "mirror = (train[:, None, ::-1] == held_out[None]).all((2, 3)).any(1)", "return ~(same | mirror)")
)
wrong("without_leaks", "half a turn")(
    keep(
        X,
        "mirror = (train[:, None, ::-1, ::-1] == held_out[None]).all((2, 3)).any(1)",
        "return ~(same | mirror)",
    )
)
wrong("without_leaks", "upside down are taken out too")(
    keep(
        X,
        Y,
        "up = (train[:, None, ::-1] == held_out[None]).all((2, 3)).any(1)",
        "return ~(same | mirror | up)",
    )
)
wrong("without_leaks", "places of the images that stay")(
    keep(X, Y, "return np.flatnonzero(~(same | mirror))")
)
wrong("without_leaks", "places of the leaks")(keep(X, Y, "return np.where(same | mirror)[0]"))
wrong("without_leaks", "images that stay")(keep(X, Y, "return train[~(same | mirror)]"))
wrong("without_leaks", "how many stay")(keep(X, Y, "return (~(same | mirror)).sum()"))
wrong("without_leaks", "first held-out")(
    keep(
        "h = held_out[0]",
        "return np.array([not ((t == h).all() or (t[:, ::-1] == h).all()) for t in train])",
    )
)
wrong("without_leaks", "any place")(
    keep(
        "out = np.ones(len(train), bool)",
        "for i, (t, h) in enumerate(zip(train, held_out)):",
        "    out[i] = not ((t == h).all() or (t[:, ::-1] == h).all())",
        "return out",
    )
)
wrong("without_leaks", "same sum")(
    keep(
        "sums = set(held_out.sum((1, 2)).tolist())",
        "return np.array([int(t.sum()) not in sums for t in train])",
    )
)
wrong("without_leaks", "same sum|same grey values")(
    keep("means = set(held_out.mean((1, 2)).tolist())", "return ~np.isin(train.mean((1, 2)), list(means))")
)
wrong("without_leaks", "grey level")(
    keep(
        "both = np.concatenate([held_out, held_out[:, :, ::-1]]).astype(int)",
        "return np.array([np.abs(both - t.astype(int)).max((1, 2)).min() > 1 for t in train])",
    )
)
wrong("without_leaks", "within the training set")(
    keep(
        "seen = {h.tobytes() for h in held_out} | {h[:, ::-1].tobytes() for h in held_out}",
        "out = []",
        "for t in train:",
        "    out.append(t.tobytes() not in seen)",
        "    seen.add(t.tobytes())",
        "return np.array(out)",
    )
)
wrong("without_leaks", "which held-out images")(
    keep(
        "known = {t.tobytes() for t in train} | {t[:, ::-1].tobytes() for t in train}",
        "return np.array([h.tobytes() not in known for h in held_out])",
    )
)
wrong("without_leaks", "one equal pixel")(keep("return ~(train[:, None] == held_out[None]).any((1, 2, 3))"))
wrong("without_leaks", "\\*and\\*")(keep(X, Y, "return ~(same & mirror)"))
wrong("without_leaks", "unhashable|bytes")(
    keep("known = {h for h in held_out}", "return np.array([t not in known for t in train])")
)
wrong("without_leaks", "one equal pixel|`in`|pixel")(
    keep("return np.array([t not in held_out for t in train])")
)
wrong("without_leaks", "changes its argument|read-only")(
    keep("held_out[:] = held_out[:, :, ::-1].copy()", X, "return ~same")
)
wrong("without_leaks", "return")(keep(X, Y, "print(~(same | mirror))"))
wrong("without_leaks", "nothing is taken out|same answer")(keep("return np.ones(len(train), bool)"))
wrong("without_leaks", "wrong way round|True or False|number")(
    keep(
        "known = {h.tobytes() for h in held_out} | {h[:, ::-1].tobytes() for h in held_out}",
        "return [t.tobytes() in known for t in train]",
    )
)


wrong("without_leaks", "share a row")(
    keep(
        "known = {h[0].tobytes() for h in held_out} | {h[0, ::-1].tobytes() for h in held_out}",
        "return np.array([t[0].tobytes() not in known for t in train])",
    )
)
wrong("without_leaks", "rows and columns")(
    keep(
        "known = {h.tobytes() for h in held_out} | {h.T.tobytes() for h in held_out}",
        "return np.array([t.tobytes() not in known for t in train])",
    )
)

# Ensemble ---------------------------------------------------------------------------------------------------


def ensemble(*forward, start=("self.networks = nn.ModuleList(networks)",)):
    return _module("Ensemble", ", networks", start, forward)


P = "probs = torch.stack([net(x).softmax(1) for net in self.networks])"
right("Ensemble")(ensemble(P, "return torch.log(probs.mean(0))"))
right("Ensemble")(
    ensemble(
        "logs = torch.stack([F.log_softmax(n(x), dim=-1) for n in self.nets])",
        "return torch.logsumexp(logs, 0) - math.log(len(self.nets))",
        start=("self.nets = nn.ModuleList(networks)",),
    )
)
right("Ensemble")(
    ensemble(
        "total = 0",
        "for net in self.body:",
        "    total = total + F.softmax(net(x), dim=1)",
        "return (total / len(self.body)).clamp(min=1e-12).log()",
        start=("self.body = nn.Sequential(*networks)",),
    )
)
right("Ensemble")(
    ensemble(
        "parts = [getattr(self, f'net{i}')(x).softmax(-1) for i in range(self.count)]",
        "return sum(parts).log()",
        start=("self.count = len(networks)", "for i, n in enumerate(networks): setattr(self, f'net{i}', n)"),
    )
)
right("Ensemble")(
    ensemble(
        "out = torch.stack([n(x) for n in self.n.values()], dim=-1)",
        "return out.softmax(dim=1).mean(dim=-1).add(1e-9).log()",
        start=("self.n = nn.ModuleDict({str(i): copy.deepcopy(n) for i, n in enumerate(networks)})",),
    )
)
wrong("Ensemble", "averaged probabilities")(ensemble(P, "return probs.mean(0)"))
wrong("Ensemble", "added up")(ensemble(P, "return probs.sum(0)"))
wrong("Ensemble", "geometric mean")(ensemble("return torch.stack([n(x) for n in self.networks]).mean(0)"))
wrong("Ensemble", "geometric mean|averaged; average first|averaged, which")(
    ensemble("return torch.stack([n(x).log_softmax(1) for n in self.networks]).mean(0)")
)
wrong("Ensemble", "logits are added up")(ensemble("return sum(n(x) for n in self.networks)"))
wrong("Ensemble", "images of the batch|dim=0")(
    ensemble("return torch.stack([n(x).softmax(0) for n in self.networks]).mean(0).log()")
)
wrong("Ensemble", "over the networks")(
    ensemble("return torch.stack([n(x) for n in self.networks]).softmax(0).mean(0).log()")
)
wrong("Ensemble", "only the first")(ensemble("return self.networks[0](x)"))
wrong("Ensemble", "only the last")(
    ensemble("for n in self.networks:", "    out = n(x).softmax(1)", "return out.log()")
)
wrong("Ensemble", "one after the other|chain|mat1|input of the next")(
    ensemble("for n in self.networks:", "    x = n(x)", "return x")
)
wrong("Ensemble", "votes")(
    ensemble("return sum(F.one_hot(n(x).argmax(1), n(x).shape[1]).float() for n in self.networks)")
)
wrong("Ensemble", "greatest prob")(ensemble(P, "return probs.max(0).values.log()"))
wrong("Ensemble", "ModuleList")(
    ensemble(P, "return probs.mean(0).log()", start=("self.networks = networks",))
)
wrong("Ensemble", "ModuleList")(
    ensemble(P, "return probs.mean(0).log()", start=("self.networks = list(networks)",))
)
wrong("Ensemble", "no gradient")(ensemble("with torch.no_grad():", "    " + P, "return probs.mean(0).log()"))
wrong("Ensemble", "no gradient")(ensemble(P, "return probs.mean(0).log().detach()"))
wrong("Ensemble", "returns None")(ensemble(P, "probs.mean(0).log()"))
wrong("Ensemble", "softmax after the average")(ensemble(P, "return probs.mean(0).softmax(1)"))
wrong("Ensemble", "softmax of its logits, then|before they are added")(
    ensemble("return torch.logsumexp(torch.stack([n(x) for n in self.networks]), 0)")
)
wrong("Ensemble", "sign")(ensemble(P, "return -probs.mean(0).log()"))
wrong("Ensemble", "first axis|one row an image|axes|batch")(ensemble(P, "return probs.mean(1).log()"))
wrong("Ensemble", "axes|one row|shape|tensor")(ensemble(P, "return probs.log()"))
wrong("Ensemble", "returns list")(ensemble("return [n(x) for n in self.networks]"))
wrong("Ensemble", "typed in")(
    ensemble("return ((self.networks[0](x).softmax(1) + self.networks[1](x).softmax(1)) / 2).log()")
)
wrong("Ensemble", "whole|argmax|int64|first axis|axes|classes")(ensemble(P, "return probs.mean(0).argmax(1)"))
wrong("Ensemble", "none of its own")(
    ensemble(
        P,
        "return probs.mean(0).log()",
        start=("self.networks = nn.ModuleList(networks)", "self.mix = nn.Linear(3, 3)"),
    )
)
wrong("Ensemble", "no attribute|self.name")(
    ensemble(P, "return probs.mean(0).log()", start=("networks = nn.ModuleList(networks)",))
)
wrong("Ensemble", "median")(ensemble(P, "return probs.median(0)[0].log()"))


wrong("Ensemble", "after the average as well")(ensemble(P, "return F.log_softmax(probs.mean(0), dim=1)"))
wrong("Ensemble", "votes of the networks")(
    ensemble(
        "votes = [F.one_hot(n(x).argmax(1), n(x).shape[1]).float() for n in self.networks]",
        "return torch.stack(votes).mean(0).log()",
    )
)
wrong("Ensemble", "output of the one before")(
    ensemble("return self.networks(x)", start=("self.networks = nn.Sequential(*networks)",))
)
wrong("Ensemble", "requires_grad_")(
    ensemble(
        P,
        "return probs.mean(0).log()",
        start=("self.networks = nn.ModuleList(networks)", "self.networks.requires_grad_(False)"),
    )
)

# Contender --------------------------------------------------------------------------------------------------


def contender(start, *forward):
    return _module("Contender", "", start, forward)


def body(*layers):
    return [f"self.body = nn.Sequential({', '.join(layers)})"]


def cbr(i, o, s=1, g=1):
    return f"nn.Conv2d({i}, {o}, 3, {s}, 1, groups={g}, bias=False), nn.BatchNorm2d({o}), nn.ReLU()"


HEAD = "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 7)"
GO = "return self.body(x)"
right("Contender")(contender(body(cbr(1, 16, 2), cbr(16, 32, 2), cbr(32, 64, 2), HEAD), GO))
right("Contender")(
    contender(
        [
            "self.a, self.b = nn.Conv2d(1, 24, 5, 2, 2), nn.Conv2d(24, 48, 3, 2, 1)",
            "self.d1, self.d2 = nn.Linear(48 * 16, 128), nn.Linear(128, 7)",
        ],
        "x = F.max_pool2d(F.relu(self.b(F.relu(self.a(x)))), 3)",
        "x = F.dropout(x.flatten(1), 0.3, self.training)",
        "return self.d2(F.relu(self.d1(x)))",
    )
)
right("Contender")(
    contender(
        [
            "self.stem = nn.Conv2d(1, 32, 4, 4)",
            "self.mix = nn.Conv2d(32, 32, 3, padding=1, groups=32)",
            "self.wide, self.narrow = nn.Linear(32, 96), nn.Linear(96, 32)",
            "self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 7)",
        ],
        "x = self.stem(x)",
        "y = self.norm((x + self.mix(x)).permute(0, 2, 3, 1))",
        "y = y + self.narrow(F.gelu(self.wide(y)))",
        "return self.head(y.mean((1, 2)))",
    )
)
right("Contender")(
    contender(body("nn.Flatten()", "nn.Linear(2304, 100)", "nn.ReLU()", "nn.Linear(100, 7)"), GO)
)
wrong("Contender", "parameters; at most")(
    contender(body("nn.Flatten()", "nn.Linear(2304, 512)", "nn.ReLU()", "nn.Linear(512, 7)"), GO)
)
wrong("Contender", "million multiply-accumulates an image; at most")(
    contender(body(cbr(1, 64), cbr(64, 64), cbr(64, 64), HEAD), GO)
)
wrong("Contender", "softmax")(contender(body(cbr(1, 16, 2), cbr(16, 64, 2), HEAD, "nn.Softmax(1)"), GO))
wrong("Contender", "sigmoid")(contender(body(cbr(1, 16, 2), cbr(16, 64, 2), HEAD, "nn.Sigmoid()"), GO))
wrong("Contender", "ReLU at the end")(contender(body(cbr(1, 16, 2), cbr(16, 64, 2), HEAD, "nn.ReLU()"), GO))
wrong("Contender", "10|classes")(
    contender(
        body(cbr(1, 16, 2), cbr(16, 64, 2), "nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)"), GO
    )
)
wrong("Contender", "flatten|axes of length one")(
    contender(body(cbr(1, 16, 2), "nn.AdaptiveAvgPool2d(1)", "nn.Conv2d(16, 7, 1)"), GO)
)
wrong("Contender", "channels")(contender(body(cbr(3, 16, 2), cbr(16, 64, 2), HEAD), GO))
wrong("Contender", "returns None")(contender(body(cbr(1, 64, 4), HEAD), "self.body(x)"))
wrong("Contender", "no gradient|never used|gradient")(
    contender([*body(cbr(1, 64, 4), HEAD), "self.spare = nn.Linear(3, 3)"], GO)
)
wrong("Contender", "gradient")(
    contender(
        [*body(cbr(1, 16, 2), cbr(16, 64, 2)), "self.head = nn.Linear(64, 7)"],
        "return self.head(self.body(x).mean((2, 3)).detach())",
    )
)
wrong("Contender", "not all are seen")(
    contender(
        [f"self.layers = [nn.Conv2d(1, 64, 4, 4), nn.Linear(64, 7)]"],
        "return self.layers[1](self.layers[0](x).relu().mean((2, 3)))",
    )
)
wrong("Contender", "twice|random|dropout")(
    contender(body(cbr(1, 64, 4), HEAD), "return self.body(F.dropout(x, 0.5))")
)
wrong("Contender", "by itself|batch|alone")(
    contender(body(cbr(1, 16, 2), cbr(16, 64, 2), HEAD), "return self.body(x - x.mean(0))")
)
wrong("Contender", "same for every image|right")(
    contender(body("nn.Conv2d(1, 64, 4, 4)", HEAD), "return self.body(torch.zeros_like(x) + 1.0)")
)
wrong("Contender", "fewer arguments|missing")(
    _module("Contender", ", width", body(cbr(1, 64, 4), HEAD), [GO])
)
wrong("Contender", "mat1 and mat2|dense layer gets")(
    contender(body(cbr(1, 16, 2), "nn.Flatten()", "nn.Linear(16, 7)"), GO)
)
wrong("Contender", "number of images|first axis|batch|reshape|view|invalid for input")(
    contender(
        [*body(cbr(1, 16, 2), cbr(16, 64, 2)), "self.head = nn.Linear(64, 7)"],
        "return self.head(self.body(x).mean((2, 3))).view(8, 7)",
    )
)
wrong("Contender", "object")(contender(body(cbr(1, 16, 2), cbr(16, 64, 2), HEAD), GO)())
wrong("Contender", "super")(
    type("Contender", (nn.Module,), {"__init__": lambda self: setattr(self, "a", nn.Linear(3, 3))})
)
wrong("Contender", "whole|argmax|int64|axes|classes")(
    contender(body(cbr(1, 16, 2), cbr(16, 64, 2), HEAD), "return self.body(x).argmax(1)")
)
right("Contender")(
    contender(
        ["self.a, self.b, self.c = nn.LazyConv2d(32, 3, 2, 1), nn.LazyConv2d(64, 3, 2, 1), nn.LazyLinear(7)"],
        "return self.c(F.relu(self.b(F.relu(self.a(x)))).mean((2, 3)))",
    )
)
right("Contender")(
    contender(
        [
            "self.patch, self.head = nn.Conv2d(1, 32, 8, 8), nn.Linear(32, 7)",
            "self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)",
        ],
        "return self.head(self.layer(self.patch(x).flatten(2).transpose(1, 2)).mean(1))",
    )
)
wrong("Contender", "squeeze")(
    contender(
        body(cbr(1, 16, 2), cbr(16, 64, 2), "nn.AdaptiveAvgPool2d(1)", "nn.Conv2d(64, 7, 1)"),
        "return self.body(x).squeeze()",
    )
)
