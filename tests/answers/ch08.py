"""Answers to the exercises of chapter 8, The augmentation ablation."""

# ruff: noqa
# mypy: ignore-errors

import itertools
import math
import random
import statistics

import numpy as np
import scipy
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from functools import partial

from answers import Answers, written_function

ANSWERS = Answers()
right, wrong = ANSWERS.is_right, ANSWERS.is_wrong


SPACE = {
        "np": np, "torch": torch, "F": F, "nn": nn, "stats": stats, "scipy": scipy, "math": math,
        "itertools": itertools, "statistics": statistics, "random": random,
    }  # fmt: skip
_function = partial(written_function, SPACE)

# effects ----------------------------------------------------------------------------------------------------


def eff(*lines):
    return _function("effects(accuracy)", *lines)


M = "m = accuracy.mean(axis=2)"
A = "a = (m[1, 0] - m[0, 0] + m[1, 1] - m[0, 1]) / 2"
B = "b = (m[0, 1] - m[0, 0] + m[1, 1] - m[1, 0]) / 2"
I = "i = (m[1, 1] - m[0, 1]) - (m[1, 0] - m[0, 0])"
R = "return a, b, i"
right("effects")(eff(M, A, B, I, R))
right("effects")(eff(M, "return [m[1].mean() - m[0].mean(), m[:, 1].mean() - m[:, 0].mean(), m[0, 0] + m[1, 1] - m[0, 1] - m[1, 0]]"))  # fmt: skip
right("effects")(
    eff(
        "none, b = (np.mean(x) for x in accuracy[0])",
        "a, both = (statistics.fmean(list(x)) for x in accuracy[1])",
        "return np.array([(a + both) / 2 - (none + b) / 2, (b + both) / 2 - (none + a) / 2, both - a - b + none])",
    )
)
right("effects")(
    eff(
        "t = torch.as_tensor(accuracy).mean(-1)",
        "sign = torch.tensor([-1.0, 1.0], dtype=t.dtype)",
        "return (sign @ t).mean() * 0 + (t * sign[:, None]).sum() / 2, (t * sign).sum() / 2, sign @ t @ sign",
    )
)
wrong("effects", "alone")(eff(M, "a = m[1, 0] - m[0, 0]", "b = m[0, 1] - m[0, 0]", I, R))
wrong("effects", "beside")(eff(M, "a = m[1, 1] - m[0, 1]", "b = m[1, 1] - m[1, 0]", I, R))
wrong("effects", "axes|exchanged|another order")(eff(M, A, B, I, "return b, a, i"))
wrong("effects", "halved")(eff(M, A, B, I, "return a, b, i / 2"))
wrong("effects", "sign of the interaction")(eff(M, A, B, I, "return a, b, -i"))
wrong("effects", "neither is missing")(eff(M, A, B, "i = m[1, 1] - m[1, 0] - m[0, 1]", R))
wrong("effects", "both do together|both bring")(eff(M, A, B, "i = m[1, 1] - m[0, 0]", R))
wrong("effects", "nothing is left")(eff(M, A, B, "i = (m[1, 1] - m[0, 0]) - (a + b)", R))
wrong("effects", "multiplied")(eff(M, A, B, "i = a * b", R))
wrong("effects", "mean over the seeds is missing")(eff("m = accuracy", A, B, I, R))
wrong("effects", "first seed")(eff("m = accuracy[:, :, 0]", A, B, I, R))
wrong("effects", "median")(eff("m = np.median(accuracy, axis=2)", A, B, I, R))
wrong("effects", "added up")(eff(M, A, B, I, "return 2 * a, 2 * b, i"))
wrong("effects", "sign")(eff(M, A, B, I, "return -a, -b, i"))
wrong("effects", "interaction is missing")(eff(M, A, B, "return a, b"))
wrong("effects", "dictionary")(eff(M, A, B, I, "return {'a': a, 'b': b, 'interaction': i}"))
wrong("effects", "return")(eff(M, A, B, I, "print(a, b, i)"))
wrong("effects", "100 times")(eff(M, A, B, I, "return 100 * a, 100 * b, 100 * i"))
wrong("effects", "better of the two")(eff(M, A, B, "i = m[1, 1] - max(m[0, 1], m[1, 0])", R))
wrong("effects", "rounded")(eff(M, A, B, I, "return round(a, 3), round(b, 3), round(i, 3)"))

# prediction_interval ----------------------------------------------------------------------------------------


def pi(*lines):
    return _function("prediction_interval(values, level=0.95)", *lines)


N, S, T = (
    "n, m = len(values), np.mean(values)",
    "s = np.std(values, ddof=1)",
    "t = stats.t.ppf((1 + level) / 2, n - 1)",
)
H, E = "h = t * s * np.sqrt(1 + 1 / n)", "return m - h, m + h"
right("prediction_interval")(pi(N, S, T, H, E))
right("prediction_interval")(
    pi(N, "return stats.t.interval(level, n - 1, loc=m, scale=values.std(ddof=1) * math.sqrt(1 + 1 / n))")
)
right("prediction_interval")(
    pi(
        "v = [float(x) for x in values]",
        "n, m, s = len(v), statistics.mean(v), statistics.stdev(v)",
        "h = -stats.t.ppf((1 - level) / 2, df=n - 1) * (s * s + s * s / n) ** 0.5",
        "return [m - h, m + h]",
    )
)
right("prediction_interval")(
    pi(
        "v = torch.as_tensor(values, dtype=torch.float64)",
        "alpha = 1 - level",
        "h = float(stats.t(len(v) - 1).ppf(1 - alpha / 2)) * v.std() * (1 + 1 / len(v)) ** 0.5",
        "return torch.stack([v.mean() - h, v.mean() + h])",
    )
)
wrong("prediction_interval", "interval of the \\*mean")(pi(N, S, T, "h = t * s / np.sqrt(n)", E))
wrong("prediction_interval", "normal distribution")(pi(N, S, "t = stats.norm.ppf((1 + level) / 2)", H, E))
wrong("prediction_interval", "1.96 is typed")(pi(N, S, "t = 1.96", H, E))
wrong("prediction_interval", "factor 2")(pi(N, S, "return m - 2 * s, m + 2 * s"))
wrong("prediction_interval", "ddof=1")(pi(N, "s = np.std(values)", T, H, E))
wrong("prediction_interval", "one side")(pi(N, S, "t = stats.t.ppf(level, n - 1)", H, E))
wrong("prediction_interval", "level is not used")(pi(N, S, "t = stats.t.ppf(0.975, n - 1)", H, E))
wrong("prediction_interval", "mean itself is uncertain")(pi(N, S, T, "h = t * s", E))
wrong("prediction_interval", "not n:")(pi(N, S, "t = stats.t.ppf((1 + level) / 2, n)", H, E))
wrong("prediction_interval", "variance")(pi(N, "s = np.var(values, ddof=1)", T, H, E))
wrong("prediction_interval", "root is missing")(pi(N, S, T, "h = t * s * (1 + 1 / n)", E))
wrong("prediction_interval", "exchanged")(pi(N, S, T, H, "return m + h, m - h"))
wrong("prediction_interval", "both ends|how far")(pi(N, S, T, H, "return h"))
wrong("prediction_interval", "how far the ends are")(pi(N, S, T, H, "return m, h"))
wrong("prediction_interval", "percentiles")(
    pi("return np.percentile(values, [50 * (1 - level), 50 * (1 + level)])")
)
wrong("prediction_interval", "worst and the best")(pi("return min(values), max(values)"))
wrong("prediction_interval", "return")(pi(N, S, T, H, "print(m - h, m + h)"))
wrong("prediction_interval", "negative|1 - level")(pi(N, S, "t = stats.t.ppf((1 - level) / 2, n - 1)", H, E))
wrong("prediction_interval", "level is not alpha")(pi(N, S, "t = stats.t.ppf(1 - level / 2, n - 1)", H, E))
wrong("prediction_interval", "interval of the \\*mean")(
    pi("return stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))")
)
wrong("prediction_interval", "ddof=1")(
    pi(N, "s = values.std()", "h = stats.norm.ppf((1 + level) / 2) * s", E)
)

# permutation_p ----------------------------------------------------------------------------------------------


def pp(*lines):
    return _function("permutation_p(a, b)", *lines)


D = "d = b - a"
P = "means = np.array([np.mean(np.array(s) * d) for s in itertools.product([1, -1], repeat=len(d))])"
right("permutation_p")(pp(D, P, "return np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)"))
right("permutation_p")(
    pp(
        "d = [float(x - y) for x, y in zip(a, b)]",
        "hits = 0",
        "for code in range(2 ** len(d)):",
        "    total = sum(x if code >> k & 1 else -x for k, x in enumerate(d))",
        "    if abs(total) >= abs(sum(d)) - 1e-9:",
        "        hits += 1",
        "return hits / 2 ** len(d)",
    )
)
right("permutation_p")(
    pp(
        "result = stats.permutation_test((a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type='samples', n_resamples=np.inf, vectorized=True)",
        "return result.pvalue",
    )
)
right("permutation_p")(
    pp(
        "d = torch.as_tensor(b - a)",
        "sums = torch.zeros(1, dtype=d.dtype)",
        "for one in d:",
        "    sums = torch.cat([sums + one, sums - one])",
        "return (sums.abs() >= d.sum().abs() - 1e-9).double().mean()",
    )
)
wrong("permutation_p", "one side")(pp(D, P, "return np.mean(means >= d.mean())"))
wrong("permutation_p", "one side")(pp("d = a - b", P, "return np.mean(means >= d.mean() - 1e-12)"))
wrong("permutation_p", ">=")(pp(D, P, "return np.mean(np.abs(means) > abs(d.mean()) + 1e-12)"))
wrong("permutation_p", "absolute")(pp(D, P, "return np.mean(np.abs(means) >= d.mean() - 1e-12)"))
wrong("permutation_p", "divide by all")(pp(D, P, "return np.sum(np.abs(means) >= abs(d.mean()) - 1e-12)"))
wrong("permutation_p", "one is added|drawn at random")(
    pp(D, P, "return (np.sum(np.abs(means) >= abs(d.mean()) - 1e-12) + 1) / (len(means) + 1)")
)
wrong("permutation_p", "paired t test")(pp("return stats.ttest_rel(a, b).pvalue"))
wrong("permutation_p", "not paired")(pp("return stats.ttest_ind(a, b, equal_var=False).pvalue"))
wrong("permutation_p", "Wilcoxon")(pp("return stats.wilcoxon(a, b).pvalue"))
wrong("permutation_p", "as if seeds were not paired|not paired")(
    pp(
        "both, n = np.concatenate([a, b]), len(a)",
        "gaps = []",
        "for chosen in itertools.combinations(range(2 * n), n):",
        "    rest = [k for k in range(2 * n) if k not in chosen]",
        "    gaps.append(both[rest].mean() - both[list(chosen)].mean())",
        "return np.mean(np.abs(gaps) >= abs(b.mean() - a.mean()) - 1e-12)",
    )
)
wrong("permutation_p", "0 and 1")(
    pp(D, P.replace("[1, -1]", "[0, 1]"), "return np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)")
)
wrong("permutation_p", "1 whatever")(
    pp(
        D,
        "means = [np.mean(np.abs(np.array(s) * d)) for s in itertools.product([1, -1], repeat=len(d))]",
        "return np.mean(np.array(means) >= np.mean(np.abs(d)) - 1e-12)",
    )
)
wrong("permutation_p", "drawn at random")(
    pp(
        D,
        "rng = np.random.default_rng(0)",
        "means = (rng.choice([-1, 1], size=(9999, len(d))) * d).mean(axis=1)",
        "return np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)",
    )
)
wrong("permutation_p", "5%")(pp(D, P, "return np.mean(np.abs(means) >= abs(d.mean()) - 1e-12) < 0.05"))
wrong("permutation_p", "nearer|rest")(pp(D, P, "return np.mean(np.abs(means) < abs(d.mean()) - 1e-12)"))
wrong("permutation_p", "doubled")(pp(D, P, "return 2 * np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)"))
wrong("permutation_p", "sign test")(pp("return stats.binomtest(int(np.sum(b > a)), len(a)).pvalue"))
wrong("permutation_p", "return|None")(pp(D, P, "p = np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)"))
wrong("permutation_p", "observed difference")(pp("return abs(b.mean() - a.mean())"))
wrong("permutation_p", "1 whatever")(
    pp(
        "gaps = [np.mean(np.array(x) - a) for x in itertools.permutations(b)]",
        "return np.mean(np.abs(gaps) >= abs(np.mean(b - a)) - 1e-9)",
    )
)

# holm -------------------------------------------------------------------------------------------------------


def ho(*lines):
    return _function("holm(p_values)", *lines)


right("holm")(
    ho(
        "p = np.asarray(p_values)",
        "order = np.argsort(p)",
        "m = len(p)",
        "out, most = [0.0] * m, 0.0",
        "for k, place in enumerate(order):",
        "    most = max(most, (m - k) * p[place])",
        "    out[place] = min(1.0, most)",
        "return out",
    )
)
right("holm")(
    ho(
        "p = np.array(p_values)",
        "s = np.minimum(1, np.maximum.accumulate(np.sort(p) * np.arange(len(p), 0, -1)))",
        "return s[np.argsort(np.argsort(p))]",
    )
)
right("holm")(
    ho(
        "m = len(p_values)",
        "return [min(1, max((m - sum(r < q for r in p_values)) * q for q in p_values if q <= p)) for p in p_values]",
    )
)
right("holm")(
    ho(
        "p, order = torch.sort(torch.tensor(p_values, dtype=torch.float64))",
        "adjusted = (p * torch.arange(len(p), 0, -1)).cummax(0)[0].clamp(max=1)",
        "return torch.empty_like(p).scatter_(0, order, adjusted)",
    )
)
HO = ("p = np.array(p_values)", "m, order = len(p), np.argsort(p)", "adj = p[order] * (m - np.arange(m))")
BACK = ("out = np.empty(m)", "out[order] = adj", "return out")
MAX, ONE = "adj = np.maximum.accumulate(adj)", "adj = np.minimum(adj, 1)"
wrong("holm", "Bonferroni")(ho("return [min(1, p * len(p_values)) for p in p_values]"))
wrong("holm", "Bonferroni")(ho("return np.array(p_values) * len(p_values)"))
wrong("holm", "greatest so far")(ho(*HO, ONE, *BACK))
wrong("holm", "above 1")(ho(*HO, MAX, *BACK))
wrong("holm", "sorted")(ho(*HO, MAX, ONE, "return adj"))
wrong("holm", "way back")(ho(*HO, MAX, ONE, "return adj[order]"))
wrong("holm", "one too small")(ho(*HO[:2], "adj = p[order] * (m - 1 - np.arange(m))", MAX, ONE, *BACK))
wrong("holm", "wrong way")(ho(*HO[:2], "adj = p[order] * (1 + np.arange(m))", MAX, ONE, *BACK))
wrong("holm", "Benjamini")(ho("return stats.false_discovery_control(p_values)"))
wrong("holm", "Hochberg|smallest so far")(ho(*HO, "adj = np.minimum.accumulate(adj[::-1])[::-1]", ONE, *BACK))
wrong("holm", "below 5%")(ho(*HO, MAX, ONE, "out = np.empty(m)", "out[order] = adj", "return out < 0.05"))
wrong("holm", "order given")(
    ho("m = len(p_values)", "return [min(1, p * (m - k)) for k, p in enumerate(p_values)]")
)
wrong("holm", "Sidak")(ho("return [1 - (1 - p) ** len(p_values) for p in p_values]"))
wrong("holm", "greatest down")(
    ho("p = np.array(p_values)", "m, order = len(p), np.argsort(-p)", HO[2], MAX, ONE, *BACK)
)
wrong("holm", "divided")(ho("return [p / len(p_values) for p in p_values]"))
wrong("holm", "changes its argument")(
    ho("p_values.sort()", "m = len(p_values)", "return [min(1, p * (m - k)) for k, p in enumerate(p_values)]")
)
wrong("holm", "as they are")(ho("return p_values"))
wrong("holm", "return|None")(ho(*HO, MAX, ONE, "out = np.empty(m)", "out[order] = adj"))

# mirrored_step ----------------------------------------------------------------------------------------------


def ms(*lines):
    return _function("mirrored_step(model, images, labels, optimizer, p=0.5)", *lines)


TR, Q = "model.train()", "x = images.float() / 255"
FL = "x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < p, x.flip(-1), x)"
LO = "loss = F.cross_entropy(model(x), labels)"
ST = ("optimizer.zero_grad()", "loss.backward()", "optimizer.step()")
RE = "return loss.item()"
right("mirrored_step")(ms(TR, Q, FL, LO, *ST, RE))
right("mirrored_step")(
    ms(
        "x = images.clone()",
        "chosen = torch.rand(x.shape[0]) < p",
        "x[chosen] = x[chosen].flip(3)",
        "model.train(True)",
        "optimizer.zero_grad()",
        "loss = nn.CrossEntropyLoss()(model(x / 255), labels)",
        "loss.backward()",
        "optimizer.step()",
        "return loss.detach()",
    )
)
right("mirrored_step")(
    ms(
        "optimizer.zero_grad(set_to_none=True)",
        "faces = torch.stack([im.flip(dims=(-1,)) if random.random() < p else im for im in images])",
        "faces = faces.to(torch.float32).div(255.0)",
        "loss = F.nll_loss(model.train()(faces).log_softmax(1), labels)",
        "loss.backward()",
        "optimizer.step()",
        "return float(loss)",
    )
)
right("mirrored_step")(
    ms(
        TR,
        "lots = torch.bernoulli(torch.full((images.size(0),), float(p))).view(-1, 1, 1, 1)",
        "x = (lots * torch.fliplr(images.float().permute(0, 3, 1, 2)).permute(0, 2, 3, 1) + (1 - lots) * images) / 255",
        LO,
        *ST,
        "return loss.item()",
    )
)
wrong("mirrored_step", "whole batch")(ms(TR, Q, "if torch.rand(()) < p: x = x.flip(-1)", LO, *ST, RE))
wrong("mirrored_step", "upside down")(ms(TR, Q, FL.replace("flip(-1)", "flip(-2)"), LO, *ST, RE))
wrong("mirrored_step", "no image is ever")(ms(TR, Q, LO, *ST, RE))
wrong("mirrored_step", "every image is|no image|100%")(ms(TR, Q, "x = x.flip(-1)", LO, *ST, RE))
wrong("mirrored_step", "order of the images")(ms(TR, Q, FL.replace("flip(-1)", "flip(0)"), LO, *ST, RE))
wrong("mirrored_step", "are changed")(
    ms(TR, "m = torch.rand(len(images)) < p", "images[m] = images[m].flip(-1)", Q, LO, *ST, RE)
)
wrong("mirrored_step", "0 to 255")(ms(TR, "x = images.float()", FL, LO, *ST, RE))
wrong("mirrored_step", "evaluation mode")(ms(Q, FL, LO, *ST, RE))
wrong("mirrored_step", "the same images")(ms(TR, Q, "torch.manual_seed(0)", FL, LO, *ST, RE))
wrong("mirrored_step", "wrong way")(ms(TR, Q, FL.replace("< p", "> p"), LO, *ST, RE))
wrong("mirrored_step", "p is not used")(ms(TR, Q, FL.replace("< p", "< 0.5"), LO, *ST, RE))
wrong("mirrored_step", "uniform")(ms(TR, Q, FL.replace("torch.rand(", "torch.randn("), LO, *ST, RE))
wrong("mirrored_step", "step\\(\\) is called never")(ms(TR, Q, FL, LO, *ST[:2], RE))
wrong("mirrored_step", "zero_grad|still there")(ms(TR, Q, FL, LO, *ST[1:], RE))
wrong("mirrored_step", "no gradient|backward")(ms(TR, Q, FL, LO, ST[0], ST[2], RE))
wrong("mirrored_step", "no gradient|zero")(ms(TR, Q, FL, LO, ST[1], ST[0], ST[2], RE))
wrong("mirrored_step", "return")(ms(TR, Q, FL, LO, *ST))
wrong("mirrored_step", "graph|item")(ms(TR, Q, FL, LO, *ST, "return loss"))
wrong("mirrored_step", "softmax")(
    ms(TR, Q, FL, "loss = F.cross_entropy(model(x).softmax(1), labels)", *ST, RE)
)
wrong("mirrored_step", "take the place|added to the batch")(
    ms(TR, Q, "x = torch.cat([x, x.flip(-1)])", "labels = torch.cat([labels, labels])", LO, *ST, RE)
)
wrong("mirrored_step", "Single pixels")(
    ms(TR, Q, "x = torch.where(torch.rand_like(x) < p, x.flip(-1), x)", LO, *ST, RE)
)
wrong("mirrored_step", "mirrored|given images|called")(
    ms(TR, "loss = F.cross_entropy(model(images.float() / 255), labels)", Q, FL, *ST, RE)
)

# Mixup ------------------------------------------------------------------------------------------------------


def mix(*lines, start=("self.alpha = alpha",)):
    space = {"nn": nn, "F": F, "torch": torch, "np": np, "random": random}
    text = ["class Mixup(nn.Module):", "    def __init__(self, alpha):", "        super().__init__()"]
    text += ["        " + line for line in start] + ["    def forward(self, images, targets):"]
    exec("\n".join(text + ["        " + line for line in lines]), space)
    return space["Mixup"]


EV = "if not self.training: return images, targets"
LA = "lam = torch.distributions.Beta(self.alpha, self.alpha).sample()"
OR = "order = torch.randperm(len(images))"
X, Y = "x = lam * images + (1 - lam) * images[order]", "y = lam * targets + (1 - lam) * targets[order]"
XY = "return x, y"
right("Mixup")(mix(EV, LA, OR, X, Y, XY))
right("Mixup")(
    mix(
        "if self.training:",
        "    lam = np.random.beta(self.a, self.a)",
        "    p = torch.randperm(images.shape[0], device=images.device)",
        "    images = torch.lerp(images[p], images, lam)",
        "    targets = targets[p] + lam * (targets - targets[p])",
        "return images, targets",
        start=("self.a = alpha",),
    )
)
right("Mixup")(
    mix(
        "if self.training is False:",
        "    return [images, targets]",
        "lam = float(self.beta.sample())",
        "order = list(range(len(images)))",
        "random.shuffle(order)",
        "blend = lambda t: t.mul(lam).add(t[order], alpha=1 - lam)",
        "return blend(images), blend(targets)",
        start=("self.beta = torch.distributions.Beta(torch.tensor(alpha), torch.tensor(alpha))",),
    )
)
right("Mixup")(mix(EV, "g = torch.distributions.Gamma(self.alpha, 1.0).sample((2,))", "lam = g[0] / g.sum()", OR, "return tuple((1 - lam) * t + lam * t[order] for t in (images, targets))"))  # fmt: skip
wrong("Mixup", "evaluation")(mix(LA, OR, X, Y, XY))
wrong("Mixup", "leaves the targets")(mix(EV, LA, OR, X, "return x, targets"))
wrong("Mixup", "leaves the images")(mix(EV, LA, OR, Y, "return images, y"))
wrong("Mixup", "different partners|order once")(mix(EV, LA, OR, X, OR, Y, XY))
wrong("Mixup", "different shares")(mix(EV, LA, OR, X, LA, Y, XY))
wrong("Mixup", "every time")(mix(EV, "lam = 0.5", OR, X, Y, XY))
wrong("Mixup", "uniform")(mix(EV, "lam = torch.rand(())", OR, X, Y, XY))
wrong("Mixup", "each image")(
    mix(
        EV,
        "lam = torch.distributions.Beta(self.alpha, self.alpha).sample((len(images),))",
        OR,
        "l = lam.view(-1, 1, 1, 1)",
        "return l * images + (1 - l) * images[order], lam[:, None] * targets + (1 - lam[:, None]) * targets[order]",
    )
)
wrong("Mixup", "every time|anew")(
    mix(
        EV,
        "lam = self.lam",
        OR,
        X,
        Y,
        XY,
        start=("self.lam = torch.distributions.Beta(alpha, alpha).sample()",),
    )
)
wrong("Mixup", "same pairs")(mix(EV, LA, X.replace("images[order]", "images.flip(0)"), Y.replace("targets[order]", "targets.flip(0)"), XY))  # fmt: skip
wrong("Mixup", "exchanged")(mix(EV, LA, OR, X, "y = (1 - lam) * targets + lam * targets[order]", XY))
wrong("Mixup", "one tensor")(mix(EV, LA, OR, X, "return x"))
wrong("Mixup", "one half")(mix(EV, LA, "lam = max(lam, 1 - lam)", OR, X, Y, XY))
wrong("Mixup", "add up")(mix(EV, LA, OR, "x = lam * images + images[order]", Y, XY))
wrong("Mixup", "partner of several")(
    mix(EV, LA, "order = torch.randint(len(images), (len(images),))", X, Y, XY)
)
wrong("Mixup", "both parameters")(
    mix(EV, "lam = torch.distributions.Beta(self.alpha, 1.0).sample()", OR, X, Y, XY)
)
wrong("Mixup", "in place")(
    mix(EV, LA, OR, "images.mul_(lam).add_(images[order] * (1 - lam))", Y, "return images, y")
)
wrong("Mixup", "None|return")(mix(LA, OR, X, Y, "if self.training: return x, y"))
wrong("Mixup", "does not mix")(mix("return images, targets"))
wrong("Mixup", "two")(mix(EV, LA, OR, X, Y, "return x, targets, targets[order], lam"))


# Found by trying -----------------------------------------------------------------------------------------------

wrong("effects", "is a mean missing")(
    eff(M, "return m[1] - m[0], m[:, 1] - m[:, 0], m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0]")
)
wrong("effects", "last axis")(eff("m = accuracy.mean(axis=0)", A, B, I, R))
wrong("effects", "relative|ratio")(
    eff(M, "a = m[1].mean() / m[0].mean() - 1", "b = m[:, 1].mean() / m[:, 0].mean() - 1", I, R)
)
wrong("effects", "alone[^$]*\n[^$]*alone[^$]*halved|halved")(
    eff(M, "a = m[1, 0] - m[0, 0]", "b = m[0, 1] - m[0, 0]", I, "return a, b, i / 2")
)
wrong("prediction_interval", "width is")(pi(N, S, T, "h = 0.7 * t * s", E))
wrong("prediction_interval", "normal distribution")(
    pi("return stats.norm.interval(level, np.mean(values), np.std(values, ddof=1))")
)
wrong("prediction_interval", "not of 1 \\+ n|1 \\+ n")(pi(N, S, T, "h = t * s * np.sqrt(1 + n)", E))
wrong("permutation_p", "no share|drawn at random|near")(
    pp(
        D,
        "rng = np.random.default_rng(1)",
        "means = (rng.choice([-1, 1], size=(300, len(d))) * d).mean(axis=1)",
        "return np.mean(np.abs(means) >= abs(d.mean()) - 1e-12)",
    )
)
wrong("permutation_p", "not paired|signs|patterns")(
    pp("return stats.permutation_test((a, b), lambda x, y: np.mean(x) - np.mean(y), n_resamples=999).pvalue")
)
wrong("holm", "factors")(ho(*HO[:2], "adj = p[order] * np.sqrt(m - np.arange(m))", MAX, ONE, *BACK))
wrong("holm", "greatest so far|factors|minimum")(
    ho(
        "p = sorted(p_values)",
        "m = len(p)",
        "d = {q: min(1, q * (m - k)) for k, q in enumerate(p)}",
        "return [d[q] for q in p_values]",
    )
)
wrong("mirrored_step", "0 and 1")(ms(TR, "x = (images.float() / 255 - 0.5) / 0.5", FL, LO, *ST, RE))
wrong("mirrored_step", "0 and 1")(ms(TR, "x = images.float() / 256", FL, LO, *ST, RE))
wrong("mirrored_step", "same number")(
    ms(
        TR,
        Q,
        "chosen = torch.randperm(len(x))[:round(p * len(x))]",
        "x[chosen] = x[chosen].flip(-1)",
        LO,
        *ST,
        RE,
    )
)
wrong("mirrored_step", "2 times")(
    ms(
        TR,
        Q,
        "loss = (1 - p) * F.cross_entropy(model(x), labels) + p * F.cross_entropy(model(x.flip(-1)), labels)",
        *ST,
        RE,
    )
)
wrong("mirrored_step", "accuracy")(
    ms(
        TR,
        Q,
        FL,
        "logits = model(x)",
        "loss = F.cross_entropy(logits, labels)",
        *ST,
        "return (logits.argmax(1) == labels).float().mean().item()",
    )
)
wrong("Mixup", "two are asked for")(mix(EV, LA, OR, X, Y, "return x, y, lam"))
wrong("Mixup", "both parameters|spreads|one half|uniform")(
    mix(EV, "lam = torch.distributions.Beta(2 * self.alpha, 2 * self.alpha).sample()", OR, X, Y, XY)
)
wrong("Mixup", "returns one tensor|two")(mix(EV, LA, OR, "return lam * images + (1 - lam) * images[order]"))
wrong("Mixup", "exchanged or rounded|leaves|different|not mixed")(
    mix(EV, LA, OR, X, "y = targets if lam > 0.5 else targets[order]", XY)
)

# Answers of a second reader -----------------------------------------------------------------------------------

wrong("effects", "seeds are the last")(eff("m = accuracy.mean(axis=0)", "a = (m[1] - m[0]).mean()", B, I, R))
wrong("prediction_interval", "t.cdf gives a share")(
    pi(
        "n = len(values)",
        "h = stats.t.cdf((1 + level) / 2, n - 1) * np.std(values, ddof=1) * np.sqrt(1 + 1 / n)",
        "return np.mean(values) - h, np.mean(values) + h",
    )
)
wrong("prediction_interval", "standard error of the mean")(
    pi(
        "n = len(values)",
        "h = stats.t.ppf((1 + level) / 2, n - 1) * stats.sem(values) * np.sqrt(1 + 1 / n)",
        "return np.mean(values) - h, np.mean(values) + h",
    )
)
wrong("permutation_p", "unequal in the last digit")(
    pp(D, P, "return np.mean(np.abs(means) >= abs(d.mean()))")
)
wrong("permutation_p", "unequal in the last digit")(
    pp(
        "d = [y - x for x, y in zip(a, b)]",
        "sums = [abs(sum(s * v for s, v in zip(p, d))) for p in itertools.product((1, -1), repeat=len(d))]",
        "return sum(s >= abs(sum(d)) for s in sums) / len(sums)",
    )
)
right("permutation_p")(
    pp(
        "def mean(x, y, axis):",
        "    return np.mean(x - y, axis=axis)",
        "return stats.permutation_test((a, b), mean, permutation_type='samples', n_resamples=np.inf).pvalue",
    )
)
right("permutation_p")(
    pp(
        D,
        "bits = (np.arange(2 ** len(d))[:, None] >> np.arange(len(d))) & 1",
        "means = np.abs((1 - 2 * bits) @ d / len(d))",
        "return (np.isclose(means, abs(d.mean())) | (means > abs(d.mean()))).mean()",
    )
)
right("holm")(
    ho(
        "import pandas as pd",
        "s = pd.Series(np.asarray(p_values, dtype=float)).sort_values(kind='stable')",
        "return (s * np.arange(len(s), 0, -1)).cummax().clip(upper=1).sort_index()",
    )
)
wrong("mirrored_step", "divided as whole numbers")(
    ms("model.train()", "x = (images // 255).float()", FL, LO, *ST, RE)
)
wrong("Mixup", "the modes are exchanged")(
    mix(
        "if self.training: return images, targets",
        LA,
        OR,
        "x = lam * images + (1 - lam) * images[order]",
        "y = lam * targets + (1 - lam) * targets[order]",
        "return x, y",
    )
)
wrong("Mixup", "one number an image")(
    mix(
        EV,
        LA,
        OR,
        "x = lam * images + (1 - lam) * images[order]",
        "y = (lam * targets + (1 - lam) * targets[order]).argmax(1)",
        "return x, y",
    )
)
wrong("Mixup", "CutMix")(
    mix(
        EV,
        LA,
        OR,
        "x = torch.where(torch.rand(images.shape[-2:]) < lam, images, images[order])",
        "y = lam * targets + (1 - lam) * targets[order]",
        "return x, y",
    )
)
