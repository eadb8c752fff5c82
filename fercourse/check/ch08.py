"""Checkers of chapter 8, The augmentation ablation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.check.core import Exercise, Wrong, as_array, differs, run
from fercourse.check.functions import RESULT, Case, Mistake, judge_function, of
from fercourse.check.modules import Trial, build_answer

# effects ----------------------------------------------------------------------------------------------------


def _effects(accuracy: Any) -> tuple[float, float, float]:
    m = np.asarray(accuracy).mean(2)
    a, b = m[1].mean() - m[0].mean(), m[:, 1].mean() - m[:, 0].mean()
    return float(a), float(b), float(m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0])


_MAIN: tuple[tuple[Callable[[np.ndarray], float], str], ...] = (
    (lambda m: m[1, 0] - m[0, 0], "That is what {x} does alone; a main effect is the mean of its effect alone and beside {y}."),
    (lambda m: m[1, 1] - m[0, 1], "That is what {x} does beside {y}; a main effect is the mean of that and its effect alone."),
    (lambda m: m[1].mean() - m[0, 0], "The mean with {x} is compared with the row that has neither; compare it with the mean without {x}."),
    (lambda m: m[1, 1] - m[0, 0], "That is what both do together; {x} alone is to be changed, on the mean over {y}."),
    (lambda m: m[0].mean() - m[1].mean(), "The sign of the effect of {x} is the other way round: with, less without."),
    (lambda m: m[0, 0] - m[1, 0], "The sign of the effect of {x} is the other way round, and it is that of {x} alone."),
    (lambda m: m[1].sum() - m[0].sum(), "The two effects of {x} (alone, and beside {y}) are added up; take their mean."),
    (lambda m: m[1].mean() / m[0].mean() - 1, "That is the relative gain by {x}; a difference is asked for."),
    (lambda m: m[1].mean() / m[0].mean(), "That is a ratio; a difference is asked for."),
    (lambda m: m[1].mean(), "That is the mean with {x}; what it has over the mean without {x} is asked for."),
    (lambda m: m[0].mean(), "That is the mean without {x}; the effect is the mean with {x} less that."),
    (lambda m: m[1].mean() - m.mean(), "The mean with {x} is compared with the mean of all, which holds {x} too: half the effect."),
    (lambda m: m[:, 1].mean() - m[:, 0].mean(), "That is the effect of {y}: the first axis is A, the second B, and the seeds are the last."),
    (lambda m: m[0, 1] - m[0, 0], "That is the effect of {y} alone: the axes are exchanged, and the mean is missing."),
    (lambda m: m[1, 1] - m[1, 0], "That is what {y} does beside {x}: the axes are exchanged, and the mean is missing."),
    (lambda m: m[1, 0] - m[0, 1], "That compares {x} alone with {y} alone; compare rows that differ in {x} only."),
    (lambda m: (m[1, 1] - m[0, 0]) / 2, "That is half of what both do together; compare rows that differ in {x} only."),
    (lambda m: abs(m[1].mean() - m[0].mean()), "The sign of the effect of {x} is lost: an effect may be negative."),
)  # fmt: skip
_INTERACTION: tuple[tuple[Callable[[np.ndarray], float], str], ...] = (
    (lambda m: (m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0]) / 2, "The interaction is halved, as some books do; here it is the whole difference of the two effects."),
    (lambda m: (m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0]) / 4, "The interaction is divided by four; here it is the whole difference of the two effects."),
    (lambda m: -(m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0]), "The sign of the interaction is the other way round: the effect beside the other, less the effect alone."),
    (lambda m: m[1, 1] - m[0, 0], "That is what both do together; the interaction is what is left of it when both effects alone are taken off."),
    (lambda m: m[1, 1] - m[0, 1] - m[1, 0], "The row with neither is missing from the interaction: add it back, for both effects have taken it off."),
    (lambda m: m[1, 1] - m[0, 1] - m[1, 0] - m[0, 0], "The row with neither belongs to the interaction with a plus."),
    (lambda m: m[1, 1] + m[0, 1] - m[1, 0] - m[0, 0], "A sign is wrong: that is an effect of B, twice, and no interaction."),
    (lambda m: m[1, 1] - m[0, 1] + m[1, 0] - m[0, 0], "A sign is wrong: that is an effect of A, twice, and no interaction."),
    (lambda m: m[1, 1] - max(m[0, 1], m[1, 0]), "That compares both with the better of the two; the interaction compares both with the sum of the two effects."),
    (lambda m: m[1, 1] - (m[0, 1] + m[1, 0]) / 2, "That compares both with the mean of the two; the interaction compares both with the sum of the two effects."),
    (lambda m: m[1, 1] - m[0, 1], "That is the effect of A beside B; the interaction takes its effect alone off."),
    (lambda m: m[1, 1] - m[1, 0], "That is the effect of B beside A; the interaction takes its effect alone off."),
    (lambda m: (m[1].mean() - m[0].mean()) * (m[:, 1].mean() - m[:, 0].mean()), "The main effects are multiplied; the interaction is a difference of two effects of one transform."),
    (lambda m: (m[1, 0] - m[0, 0]) * (m[0, 1] - m[0, 0]), "The effects are multiplied; the interaction is a difference of two effects of one transform."),
    (lambda m: (m[1].mean() - m[0].mean()) + (m[:, 1].mean() - m[:, 0].mean()), "The main effects are added up; the interaction is a difference of two effects of one transform."),
    (lambda m: (m[1].mean() - m[0].mean()) - (m[:, 1].mean() - m[:, 0].mean()), "That is the difference of the two main effects; the interaction compares one transform's effect with and without the other."),
    (lambda m: (m[1, 0] - m[0, 0]) - (m[0, 1] - m[0, 0]), "That compares A alone with B alone; the interaction compares A beside B with A alone."),
    (lambda m: m[1, 1], "That is the accuracy with both; the interaction is a difference of two effects of one transform."),
    (lambda m: 0.0, "The two main effects together are always what both bring together, so that nothing is left: take the effects *alone* off, not the main effects."),
    (lambda m: m[1, 1] - ((m[1].mean() - m[0].mean()) + (m[:, 1].mean() - m[:, 0].mean())), "The sum of the main effects is taken from an accuracy: the interaction is a difference of two effects of one transform."),
    (lambda m: abs(m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0]), "The sign of the interaction is lost: it may be negative."),
    (lambda m: m[1, 1] / m[0, 1] - m[1, 0] / m[0, 0], "Those are ratios; the interaction is a difference of differences."),
    (lambda m: (m[1, 1] / m[0, 1]) / (m[1, 0] / m[0, 0]), "Those are ratios; the interaction is a difference of differences."),
)  # fmt: skip
_OVER_SEEDS: tuple[tuple[Callable[[np.ndarray], np.ndarray], str], ...] = (
    (lambda x: np.median(x, axis=2), "The median over the seeds is taken; take the mean."),
    (lambda x: x[:, :, 0], "Only the first seed is used: take the mean over the last axis."),
    (lambda x: x[:, :, -1], "Only the last seed is used: take the mean over the last axis."),
    (lambda x: x.max(axis=2), "The best seed of each cell is taken: take the mean, or luck decides."),
    (lambda x: x.sum(axis=2), "The seeds are added up; take their mean."),
    (lambda x: x.mean(axis=0)[:, :2], "The mean is taken over A; the seeds are the last axis, axis=2."),
    (lambda x: x.mean(axis=1)[:, :2], "The mean is taken over B; the seeds are the last axis, axis=2."),
    (lambda x: x.std(axis=2, ddof=1), "The spread over the seeds is taken; take their mean."),
)


def _of_means(m: np.ndarray) -> tuple[Any, Any, Any]:
    return (
        m[1].mean(0) - m[0].mean(0),
        m[:, 1].mean(0) - m[:, 0].mean(0),
        m[1, 1] - m[0, 1] - m[1, 0] + m[0, 0],
    )


def _explain_effects(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    """Name what is wrong with each of the three numbers, by the formula that gives it."""
    found, right = as_array(seen[RESULT]), np.array(expected[RESULT])
    if found is None and isinstance(seen[RESULT], (tuple, list)) and len(seen[RESULT]) == 3:
        sizes = [one.size for one in map(as_array, seen[RESULT]) if one is not None]
        for number, size in enumerate(sizes, start=1):
            if size != 1:
                return f"Number {number} is {size} values, where one is asked for: is a mean missing?"
    if found is None or found.dtype.kind != "f" or found.shape != (3,):
        return None
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2) and np.allclose(found, right[list(order)]):
            return "The three numbers are right, in another order: effect of A, effect of B, interaction."
    m = arguments[0].mean(2)
    words = []
    for value, table, wrong, named in (
        (0, m, _MAIN, {"x": "A", "y": "B"}),
        (1, m.T, _MAIN, {"x": "B", "y": "A"}),
        (2, m, _INTERACTION, {}),
    ):
        if np.isclose(found[value], right[value], atol=1e-9):
            continue
        fits = [text for formula, text in wrong if np.isclose(found[value], formula(table), atol=1e-9)]
        if fits:
            words.append(f"Number {value + 1}: {fits[0].format(**named)}")
    return "\n".join(words) or None


def _judge_effects(answer: Any) -> str:
    draw = np.random.default_rng(5)
    tables = [draw.uniform(0.4, 0.8, (2, 2, seeds)) for seeds in (5, 3, 1)]
    judge_function(
        answer,
        "effects",
        reference=_effects,
        cases=[of(table, words=f"accuracies of {table.shape[2]} seeds in each cell") for table in tables],
        mistakes=[
            Mistake(_of_means, "The mean over the seeds is missing: each of the three is one number."),
            *(Mistake(lambda x, f=f: _of_means(f(x)), text) for f, text in _OVER_SEEDS),
            Mistake(lambda x: _effects(x)[:2], "The interaction is missing: three numbers are asked for."),
            Mistake(lambda x: _effects(x)[2], "That is the interaction alone: three numbers are asked for."),
            Mistake(lambda x: _effects(np.swapaxes(x, 0, 1)), "The axes are exchanged: the first one is A."),
        ],
        explain=_explain_effects,
    )
    return "Two main effects alone would tell half of the story; the third number says whether they add up."


effects = Exercise("ch08", "effects", _judge_effects)


# prediction_interval ----------------------------------------------------------------------------------------


def _t(q: float, df: int, function: str = "ppf") -> float:
    from scipy.stats import t

    return float(getattr(t, function)(q, df)) if df > 0 else math.nan


def _z(q: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(q))


def _interval(values: Any, level: float = 0.95) -> tuple[float, float]:
    x = np.asarray(values, dtype=float)
    n = len(x)
    half = _t((1 + level) / 2, n - 1) * x.std(ddof=1) * math.sqrt(1 + 1 / n)
    return float(x.mean() - half), float(x.mean() + half)


def _halves(x: np.ndarray, level: float) -> Iterator[tuple[float, list[str]]]:
    """Yield half widths that students compute, the right one among them, with what is wrong with each."""
    n = len(x)
    quantiles = [
        (_t((1 + level) / 2, n - 1), ""),
        (_z((1 + level) / 2), "The factor is the normal distribution's; with few seeds the spread is uncertain too: t with n - 1 degrees of freedom."),
        (_t(level, n - 1), "The factor leaves the whole rest on one side; both sides share it: t.ppf((1 + level) / 2)."),
        (_z(level), "The factor is the normal distribution's and one-sided: t.ppf((1 + level) / 2, n - 1)."),
        (_t((1 + level) / 2, n), "t has n - 1 degrees of freedom, not n: the mean has used one up."),
        (_t((1 + level) / 2, n - 2), "t has n - 1 degrees of freedom, not n - 2."),
        (_t(0.975, n - 1), "The level is not used: 95% is typed in."),
        (1.96, "The factor 1.96 is typed in: it is right for many seeds and a level of 95% only; take it from t."),
        (2.0, "The factor 2 is typed in: it is a rule of thumb for many seeds; take it from t."),
        (_t(1 - level, n - 1), "The factor is taken at 1 - level; it belongs at (1 + level) / 2."),
        (_t((1 - level) / 2, n - 1), "The factor is taken at (1 - level) / 2, where it is negative; it belongs at (1 + level) / 2."),
        (_t(1 - level / 2, n - 1), "The factor is taken at 1 - level / 2; level is not alpha: (1 + level) / 2."),
        (_t(level / 2, n - 1), "The factor is taken at level / 2; it belongs at (1 + level) / 2."),
        (1.0, "The factor from the t distribution is missing: one standard deviation holds about two thirds."),
        (_t((1 + level) / 2, n - 1, "cdf"), "t.cdf gives a share for a value; the value for a share is asked for: t.ppf."),
        (_t((1 + level) / 2, n - 1, "pdf"), "t.pdf gives a density; the value for a share is asked for: t.ppf."),
        (_t(level, n - 1, "cdf"), "t.cdf gives a share for a value; the value for a share is asked for: t.ppf((1 + level) / 2, n - 1)."),
    ]  # fmt: skip
    spreads = [
        (x.std(ddof=1), ""),
        (x.std(), "The standard deviation divides by n; that of a sample divides by n - 1: ddof=1."),
        (x.var(ddof=1), "That is the variance; take its root, the standard deviation."),
        (x.var(), "That is the variance, divided by n; take the standard deviation with ddof=1."),
        (np.abs(x - x.mean()).mean(), "That is the mean distance; take the standard deviation."),
    ]
    roots = [
        (math.sqrt(1 + 1 / n), ""),
        (
            math.sqrt((1 + 1 / n) / n),
            "The standard error of the mean stands where the standard deviation of the seeds belongs: s is not divided by the root of n.",
        ),
        (math.sqrt(1 / n), "That is the interval of the *mean*. One further seed varies as a single one does: the root is of 1 + 1/n."),
        (1.0, "The mean itself is uncertain too: the root of 1 + 1/n is missing."),
        (1 + 1 / n, "The root is missing: sqrt(1 + 1/n), not 1 + 1/n."),
        (1 / n, "It is divided by n; the factor is sqrt(1 + 1/n)."),
        (math.sqrt(n), "It is multiplied by the root of n; the factor is sqrt(1 + 1/n)."),
        (math.sqrt(1 + n), "The root is of 1 + 1/n, not of 1 + n."),
        (1 + math.sqrt(1 / n), "The one belongs under the root: sqrt(1 + 1/n)."),
        (math.sqrt(1 - 1 / n), "The uncertainties of the mean and of one seed add up: 1 + 1/n, not 1 - 1/n."),
        (math.sqrt(1 + 1 / max(1, n - 1)), "The mean is that of n seeds: 1 + 1/n, not 1 + 1/(n - 1)."),
        (math.sqrt(2 / n), "That is for the difference of two means; one further seed needs sqrt(1 + 1/n)."),
        (math.sqrt(2), "That is for the difference of two seeds; the mean of n is surer: sqrt(1 + 1/n)."),
        (1 / math.sqrt(1 + 1 / n), "It is divided by sqrt(1 + 1/n): multiply."),
    ]  # fmt: skip
    products = itertools.product(quantiles, spreads, roots)
    for chosen in sorted(
        products, key=lambda parts: sum(bool(text) + 2 * ("1 - 1/n" in text) for _, text in parts)
    ):
        yield math.prod(float(value) for value, _ in chosen), [text for _, text in chosen if text]


def _explain_interval(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    """Name what is wrong with the middle and with the width."""
    found = as_array(seen[RESULT])
    x, level = np.asarray(arguments[0], float), (*arguments, 0.95)[1]
    if found is None or found.dtype.kind != "f" or found.size not in (1, 2) or not np.isfinite(found).all():
        return None
    low, high = expected[RESULT]
    said: list[str] = []
    if found.size == 1:
        half = abs(found.item())
        if np.isclose(half, high, atol=1e-9) or np.isclose(half, low, atol=1e-9):
            return "Only one end is returned: (low, high) is asked for."
        ends = "That is how far the ends are from the mean"
        said.append(f"{ends}; return both ends, (mean - half, mean + half).")
        wide = "That is the width of the interval; return its ends, (low, high)."
        fits = {1.0: said[0], 2.0: wide}
        for times, text in fits.items():
            for value, wrong in _halves(x, level):
                if np.isclose(half, times * value, rtol=1e-5):
                    return "\n".join([text, *wrong])
        return None
    one, other = found.ravel()
    middles = [(x.mean(), ""), (np.median(x), "The middle is the median; take the mean."),
               (0.0, "The interval lies about 0: add the mean."),
               (x.max(), "The middle is the best seed; take the mean."), (x[-1], "The middle is the last seed; take the mean.")]  # fmt: skip
    if np.isclose(one, x.mean()) and not np.isclose(one, other):
        text = "That is the mean and how far the ends are from it; return the ends, (low, high)."
        for value, wrong in _halves(x, level):
            if np.isclose(abs(other), value, rtol=1e-5):
                return "\n".join([text, *wrong])
    for middle, text in middles:
        if np.isclose((one + other) / 2, middle, atol=1e-9):
            for value, wrong in _halves(x, level):
                if np.isclose(abs(other - one) / 2, abs(value), rtol=1e-5):
                    negative = value < 0
                    swapped = (
                        ""
                        if (one < other) or negative
                        else "The ends are exchanged: the lower one comes first (a factor taken at (1 - level) / 2 is negative)."
                    )
                    words = [part for part in (text, *wrong, swapped) if part]
                    return "\n".join(words) or None
            ratio = abs(other - one) / (high - low)
            return text or f"The middle is right; the width is {ratio:.3g} times t * s * sqrt(1 + 1/n)."
    return None


def _judge_prediction_interval(answer: Any) -> str:
    draw = np.random.default_rng(8)

    def case(n: int, *level: float) -> Case:
        values = (0.7 + 0.02 * draw.standard_normal(n)).round(4)
        words = f"{n} accuracies" + "".join(f" and level {one}" for one in level)
        return of(values, *level, words=words, rtol=1e-5)

    def percentiles(values: np.ndarray, level: float = 0.95) -> Any:
        return np.quantile(values, [(1 - level) / 2, (1 + level) / 2])

    judge_function(
        answer,
        "prediction_interval",
        reference=_interval,
        cases=[case(5), case(5, 0.8), case(12, 0.9), case(2)],
        mistakes=[
            Mistake(percentiles, "Those are percentiles of the few seeds there are, which reach no further than they do; "
                    "a further seed may lie outside."),
            Mistake(lambda v, level=0.95: (v.min(), v.max()), "Those are the worst and the best seed; a further one may lie outside."),
        ],
        explain=_explain_interval,
    )  # fmt: skip
    return "Compare it with the interval of the mean: a paper's single run is one further seed, not a mean."


prediction_interval = Exercise("ch08", "prediction_interval", _judge_prediction_interval)


# permutation_p ----------------------------------------------------------------------------------------------


def _signs(n: int) -> np.ndarray:
    return np.array(list(itertools.product((1, -1), repeat=n)))


def _permutation_p(
    a: Any, b: Any, *, count: Callable[[np.ndarray, float], Any] | None = None, signs: Any = _signs
) -> float:
    """The right answer; with another ``count`` of (means over all patterns, observed mean), a wrong one."""
    d = np.asarray(b, dtype=float) - np.asarray(a, dtype=float)
    means = (signs(len(d)) * d).mean(1)
    if count is not None:
        return float(count(means, d.mean()))
    return float((np.abs(means) >= abs(d.mean()) - 1e-12).mean())


_OF_VAL = (
    np.array([2227, 2199, 2257, 2183, 2253, 2225]) / 3589,
    np.array([2229, 2221, 2273, 2193, 2243, 2236]) / 3589,
)


def _unpaired(a: np.ndarray, b: np.ndarray) -> float:
    both, n = np.concatenate([a, b]), len(a)
    total, observed = both.sum(), abs(b.mean() - a.mean())
    hits, count = 0, 0
    for chosen in itertools.combinations(range(2 * n), n):
        first = both[list(chosen)].sum()
        hits += abs((total - first) - first) / n >= observed - 1e-12
        count += 1
    return hits / count


def _scipy(
    name: str, *, of_difference: bool = False, **options: Any
) -> Callable[[np.ndarray, np.ndarray], float]:
    def p(a: np.ndarray, b: np.ndarray) -> float:
        from scipy import stats

        function = getattr(stats, name)
        result = function(b - a, **options) if of_difference else function(a, b, **options)
        return float(result.pvalue)

    return p


def _sign_test(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import binomtest

    return float(binomtest(int((b > a).sum()), len(a)).pvalue)


def _explain_p(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, right = as_array(seen[RESULT]), expected[RESULT]
    if found is None or found.dtype.kind != "f" or found.size != 1:
        return None
    p, n = found.item(), len(arguments[0])
    if np.array_equal(arguments[0], _OF_VAL[0]) and 0 < p < right:
        return "Some means are equal, and come out unequal in the last digit: allow for it, >= ... - 1e-9."
    if p > 1 + 1e-9:
        if np.isclose(p, right * 2**n):
            return f"That is how many patterns there are; divide by all, 2 ** {n}."
        return "A share is asked for, which cannot be above 1."
    if p < 0:
        return "A share is asked for, which cannot be negative."
    if p == 0:
        return "It is 0, and cannot be: the signs as they are count too, and are as far from 0 as observed."
    if np.isclose(p * (2**n + 1), right * 2**n + 1):
        return "One is added above and below, as for patterns drawn at random; here all are counted, the given one among them."
    if abs(p - right) < 0.06 and not np.isclose(p * 2**n, round(p * 2**n), atol=1e-6):
        return f"It is near the right value: signs seem to be drawn at random. There are only 2 ** {n} patterns: go through all."
    if not np.isclose(p * 2**n, round(p * 2**n), atol=1e-6):
        return f"It is no share of the 2 ** {n} patterns of signs: are all gone through, each counted once?"
    return f"It counts {p * 2**n:.0f} of the 2 ** {n} patterns, where {right * 2**n:.0f} are at least as far from 0 as observed."


def _judge_permutation_p(answer: Any) -> str:
    draw = np.random.default_rng(21)

    def case(n: int, shift: int) -> Case:
        # Multiples of 1/1024: sums are exact, so that equal means are equal in every order of adding.
        a = draw.integers(560, 680, n) / 1024
        b = a + draw.integers(-12, 13, n) / 1024 + shift / 1024
        return of(a, b, words=f"the accuracies of two rows with {n} seeds each")

    cases = [case(6, 7), case(5, -9), case(8, 6), case(7, 0), case(4, 30)]

    def wrong(count: Callable[[np.ndarray, float], Any], message: str) -> Mistake:
        return Mistake(partial(_permutation_p, count=count), message)

    some = 1e-12
    judge_function(
        answer,
        "permutation_p",
        reference=_permutation_p,
        cases=cases,
        mistakes=[
            wrong(lambda m, o: (m >= o - some).mean(), "Only one side is counted; as far from 0 in either direction: compare absolute values."),
            wrong(lambda m, o: (m <= o + some).mean(), "Only one side is counted; as far from 0 in either direction: compare absolute values."),
            wrong(lambda m, o: (m >= abs(o) - some).mean(), "Only one side is counted: take the absolute value of the patterns' means as well."),
            wrong(lambda m, o: (m <= -abs(o) + some).mean(), "Only one side is counted: take the absolute value of the patterns' means."),
            wrong(lambda m, o: (abs(m) > abs(o) + some).mean(), "Patterns exactly as far from 0 as observed count too: >=, not >."),
            wrong(lambda m, o: (abs(m) > abs(o)).mean(), "Patterns exactly as far from 0 as observed count too: >=, not >."),
            wrong(lambda m, o: (m > abs(o) + some).mean(), "Patterns exactly as far count too (>=), and both sides do: compare absolute values."),
            wrong(lambda m, o: (m > o + some).mean(), "Patterns exactly as far count too (>=), and both sides do: compare absolute values."),
            wrong(lambda m, o: (abs(m) >= o - some).mean(), "The observed mean may be negative: take its absolute value as well."),
            wrong(lambda m, o: 1 - (abs(m) >= abs(o) - some).mean(), "That is the rest: the share of patterns that are nearer to 0 than observed."),
            wrong(lambda m, o: (abs(m) <= abs(o) + some).mean(), "Those are the patterns that are nearer to 0; count those at least as far: >=."),
            wrong(lambda m, o: (abs(m) >= abs(o) - some).sum(), "That is how many patterns there are; divide by all of them."),
            wrong(lambda m, o: ((abs(m) >= abs(o) - some).sum() + 1) / (len(m) + 1), "One is added above and below, as for patterns drawn at random; here all are counted, the given one among them."),
            wrong(lambda m, o: ((abs(m) >= abs(o) - some).sum() - 1) / (len(m) - 1), "The pattern as given is left out; it is one of all, and counts."),
            wrong(lambda m, o: ((abs(m) >= abs(o) - some).sum() - 1) / len(m), "The pattern as given is left out; it is one of all, and counts."),
            wrong(lambda m, o: (abs(m) >= abs(o) - some).mean() / 2, "It is halved; both sides count in full."),
            wrong(lambda m, o: 2 * (abs(m) >= abs(o) - some).mean(), "It is doubled; with absolute values both sides are counted already."),
            wrong(lambda m, o: min(1, 2 * (abs(m) >= abs(o) - some).mean()), "It is doubled; with absolute values both sides are counted already."),
            wrong(lambda m, o: 2 * (m >= o - some).mean(), "One side is doubled, which goes above 1 where the mean is negative: compare absolute values."),
            wrong(lambda m, o: abs(o), "That is the observed difference; the share of patterns at least as far from 0 is asked for."),
            wrong(lambda m, o: o, "That is the observed difference; the share of patterns at least as far from 0 is asked for."),
            wrong(lambda m, o: (m == o).mean(), "Only patterns equal to the observed mean are counted; count all that are at least as far from 0."),
            wrong(lambda m, o: np.isclose(m, o).mean(), "Only patterns equal to the observed mean are counted; count all that are at least as far from 0."),
            Mistake(lambda a, b: _permutation_p(a, b, signs=lambda n: (_signs(n) + 1) // 2), "The signs are 0 and 1, which leaves differences out; they are +1 and -1."),
            Mistake(lambda a, b: _permutation_p(a, b, signs=lambda n: np.concatenate([-np.eye(n) * 2 + 1])), "Only one sign is turned at a time; there are 2 ** n patterns: itertools.product((1, -1), repeat=n)."),
            Mistake(_unpaired, "All accuracies are shuffled between the rows, as if seeds were not paired: exchange within a seed only, that is, turn signs of differences."),
            Mistake(_scipy("ttest_rel"), "That is the paired t test, which takes a distribution for granted; count sign patterns instead."),
            Mistake(_scipy("ttest_ind"), "That is a t test for rows that are not paired; count sign patterns of the differences."),
            Mistake(_scipy("ttest_ind", equal_var=False), "That is Welch's t test, for rows that are not paired; count sign patterns of the differences."),
            Mistake(_scipy("wilcoxon"), "That is Wilcoxon's test, which looks at ranks alone; compare the means of the differences."),
            Mistake(_scipy("wilcoxon", of_difference=True), "That is Wilcoxon's test, which looks at ranks alone; compare the means of the differences."),
            Mistake(_scipy("mannwhitneyu"), "That is the Mann-Whitney test, for rows that are not paired; count sign patterns of the differences."),
            Mistake(_sign_test, "That is the sign test, which forgets how large the differences are; compare means."),
            Mistake(lambda a, b: 1.0, "It is 1 whatever the rows: are the signs applied to the differences, and the absolute value taken of their *mean*, not of each? "
                    "(To shuffle one row alone changes no mean.)"),
            Mistake(lambda a, b: _permutation_p(a, b) < 0.05, "The share itself is asked for, not whether it is below 5%."),
            Mistake(lambda a, b: float((abs(np.median(_signs(len(a)) * (b - a), axis=1)) >= abs(np.median(b - a)) - some).mean()), "The medians are compared; compare the means."),
            Mistake(lambda a, b: float(((_signs(len(a)) * (b - a)).std(axis=1) >= (b - a).std() - some).mean()), "The spreads are compared; compare the means."),
            Mistake(lambda a, b: float((_signs(len(a)) * (b - a) >= 0).mean()), "Single differences are counted; count patterns, by the mean of each."),
            Mistake(lambda a, b: float((abs((_signs(len(a)) * (b - a)).sum(1)) >= abs((b - a).mean()) - some).mean()), "The sums of the patterns are compared with a mean: mean with mean, or sum with sum."),
            Mistake(lambda a, b: float((abs((_signs(len(a)) * (b - a)).mean(1)) >= abs((b - a).sum()) - some).mean()), "The means of the patterns are compared with a sum: mean with mean, or sum with sum."),
        ],
        explain=_explain_p,
    )  # fmt: skip
    # Some patterns here have equal means, which come out unequal in the last digit.
    rounded = of(*_OF_VAL, words="the accuracies of two rows with 6 seeds each, on 3,589 images")
    judge_function(answer, "permutation_p", reference=_permutation_p, cases=[rounded], explain=_explain_p)
    return "With five seeds no p value can be below 1/16: too few to call anything significant this way."


permutation_p = Exercise("ch08", "permutation_p", _judge_permutation_p)


# holm -------------------------------------------------------------------------------------------------------


def _holm(
    p_values: Any,
    *,
    factors: Callable[[int], np.ndarray] = lambda m: np.arange(m, 0, -1),
    climb: Callable[[np.ndarray], np.ndarray] = np.maximum.accumulate,
    limit: bool = True,
    back: str = "right",
    descending: bool = False,
) -> np.ndarray:
    """The right answer, and with other options the wrong ones."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(-p if descending else p, kind="stable")
    adjusted = climb(p[order] * factors(len(p)))
    if limit:
        adjusted = np.minimum(adjusted, 1)
    if back == "sorted":
        return adjusted
    if back == "gather":
        return adjusted[order]
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result


def _downwards(values: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate(values[::-1])[::-1]


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _explain_holm(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Tell what the p values seem to be multiplied by, in ascending order."""
    found, p = as_array(seen[RESULT]), np.array(arguments[0])
    if found is None or found.dtype.kind != "f" or found.shape != p.shape or not np.isfinite(found).all():
        return None
    order = np.argsort(p)
    if np.allclose(np.sort(found), np.sort(expected[RESULT])):
        return "The values are right, but not at their places: bring each back to the place of its p value."
    factors = ", ".join(f"{one:.3g}" for one in (found / p)[order])
    return f"From the smallest p value to the greatest, the factors come out as {factors}; Holm's begin with {len(p)}, {len(p) - 1}."


def _judge_holm(answer: Any) -> str:
    lists = [
        [0.3, 0.001, 0.02, 0.021, 0.04],
        [0.012, 0.6, 0.03, 0.9, 0.0004, 0.013],
        [0.04, 0.01, 0.03],
        [0.2, 0.5],
        [0.03],
    ]

    def wrong(message: str, **options: Any) -> list[Mistake]:
        """The mistake, alone and with others beside it that it does not hide."""
        free: list[dict[str, Any]] = [
            {},
            {"climb": _same},
            {"limit": False},
            {"climb": _same, "limit": False},
        ]
        return [Mistake(partial(_holm, **{**extra, **options}), message) for extra in free]

    def ascending(m: int) -> np.ndarray:
        return np.arange(1, m + 1)

    def ranks(m: int) -> np.ndarray:
        return m / np.arange(1, m + 1)

    def rejected(p: Any) -> Any:
        return _holm(p) < 0.05

    judge_function(
        answer,
        "holm",
        reference=_holm,
        cases=[of(one) for one in lists],
        mistakes=[
            Mistake(partial(_holm, climb=_same), "An adjusted p value must not be below that of a smaller one: keep the greatest so far (np.maximum.accumulate)."),
            Mistake(partial(_holm, limit=False), "A p value cannot be above 1: min(1, ...)."),
            Mistake(partial(_holm, climb=_same, limit=False), "Two things are missing: no adjusted p value below that of a smaller one (keep the greatest so far), and none above 1."),
            Mistake(lambda p: [min(1.0, v * len(p)) for v in p], "That is Bonferroni: every p value times how many there are. Holm's second smallest is multiplied by one less, and so on."),
            Mistake(lambda p: [v * len(p) for v in p], "That is Bonferroni (and without a limit of 1): Holm's second smallest is multiplied by one less, and so on."),
            Mistake(lambda p: [v / len(p) for v in p], "The p values are divided; multiply them, or divide the 5% that they are compared with."),
            *wrong("The values are right, but sorted: bring each back to the place of its p value.", back="sorted"),
            *wrong("The way back is wrong: with order = argsort(p), the k-th smallest belongs at order[k], result[order] = adjusted.", back="gather"),
            Mistake(partial(_holm, climb=_downwards), "That is Hochberg's way, from the greatest p value down (the smallest so far); Holm goes from the smallest up."),
            Mistake(partial(_holm, climb=np.minimum.accumulate), "The smallest so far is kept; it must be the greatest so far, np.maximum.accumulate."),
            Mistake(partial(_holm, factors=ranks, climb=_downwards), "That is Benjamini and Hochberg's adjustment, which bounds the share of false discoveries; Holm's factors are m, m - 1, ..., 1."),
            Mistake(partial(_holm, factors=ranks, climb=_same), "The factors m / rank are Benjamini and Hochberg's; Holm's are m, m - 1, ..., 1."),
            *wrong("The factors are m / rank, as Benjamini and Hochberg's; Holm's are m, m - 1, ..., 1.", factors=ranks),
            *wrong("The factors are one too small: the smallest p value is multiplied by m, the greatest by 1.", factors=lambda m: np.arange(m - 1, -1, -1)),
            *wrong("The factors are one too large: the smallest p value is multiplied by m, the greatest by 1.", factors=lambda m: np.arange(m + 1, 1, -1)),
            *wrong("The factors go the wrong way: the *smallest* p value is multiplied by m, the greatest by 1.", factors=ascending),
            *wrong("The p values are sorted from the greatest down: the *smallest* is multiplied by m.", descending=True),
            *wrong("The p values are sorted from the greatest down, and the factors rise with them: the running maximum must go from the smallest up.", descending=True, factors=ascending),
            *wrong("It is divided by the factors: multiply.", factors=lambda m: 1 / np.arange(m, 0, -1)),
            *wrong("The factors are all m: Holm's second smallest is multiplied by m - 1, and so on.", factors=lambda m: np.full(m, m)),
            Mistake(lambda p: [min(1.0, v * (len(p) - i)) for i, v in enumerate(p)], "The p values are taken in the order given: sort them first, the smallest is multiplied by m."),
            Mistake(lambda p: [v * (len(p) - i) for i, v in enumerate(p)], "The p values are taken in the order given: sort them first, the smallest is multiplied by m."),
            Mistake(lambda p: np.minimum(1, np.maximum.accumulate([v * (len(p) - i) for i, v in enumerate(p)])), "The p values are taken in the order given: sort them first, the smallest is multiplied by m."),
            Mistake(lambda p: [1 - (1 - v) ** len(p) for v in p], "That is Sidak's adjustment, the same power for all; Holm's factors are m, m - 1, ..., 1."),
            Mistake(lambda p: list(p), "The p values are returned as they are."),
            Mistake(lambda p: sorted(p), "The p values are sorted, and not adjusted."),
            Mistake(rejected, "That says which are below 5%; the adjusted p values themselves are asked for."),
            Mistake(lambda p: list(np.argsort(p)), "That is the order of the p values; the adjusted values are asked for."),
            Mistake(lambda p: max(1.0, 0) * np.maximum(1, _holm(p, limit=False)), "The limit is the wrong way: min(1, ...), not max."),
            Mistake(lambda p: np.minimum(1, np.cumsum(np.sort(p) * np.arange(len(p), 0, -1)))[np.argsort(np.argsort(p))], "The values are added up on the way; the greatest so far is meant."),
        ],
        explain=_explain_holm,
    )  # fmt: skip
    return "Valid whatever the tests have to do with one another, and never weaker than Bonferroni."


holm = Exercise("ch08", "holm", _judge_holm)


# mirrored_step ----------------------------------------------------------------------------------------------


class _Seen(nn.Module):
    """A small network that notes what it is given, and in which mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 7))
        self.inputs: list[tuple[Any, bool]] = []

    def forward(self, x: Any) -> Any:
        self.inputs.append((x.detach().clone() if isinstance(x, Tensor) else x, self.training))
        return self.body(x)


class _Counted(torch.optim.SGD):
    """Notes the gradients that it is asked to step with."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.0)
        self.steps: list[list[Tensor | None]] = []
        self.cleared = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.cleared += 1
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:
        loss = closure() if closure is not None else None
        groups = [p for group in self.param_groups for p in group["params"]]
        self.steps.append([None if p.grad is None else p.grad.clone() for p in groups])
        return loss


def _kinds(x: Tensor, images: Tensor) -> dict[str, Tensor]:
    """Whether each image of a batch is, in value / 255, one of these."""
    plain = images.float() / 255
    versions = {
        "as it is": plain,
        "mirrored": plain.flip(-1),
        "upside down": plain.flip(-2),
        "turned": plain.flip((-1, -2)),
        "transposed": plain.transpose(-1, -2),
        "mirrored from 0 to 255": images.float().flip(-1),
        "from 0 to 255": images.float(),
        "divided twice": plain / 255,
        "divided twice and mirrored": plain.flip(-1) / 255,
    }
    return {
        name: torch.isclose(x.float(), value, atol=1e-6).flatten(1).all(1) for name, value in versions.items()
    }


def _steps(
    answer: Any, p: float, times: int, count: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Any, _Seen, _Counted]]:
    """Take steps with the student's function: yield what was given, returned and noted at each."""
    torch.manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8)
    labels = torch.arange(count) % 7
    model = _Seen()
    optimizer = _Counted(model.parameters())
    for number in range(times):
        kept = images.clone(), labels.clone()
        if number % 2:
            model.eval()
        model.inputs.clear()
        optimizer.steps.clear()
        optimizer.cleared = 0
        told = f"mirrored_step, on {count} images with p={p},"
        result = run(answer, model, images, labels, optimizer, p, what=told)
        if not torch.equal(images, kept[0]):
            raise Wrong(
                "The images given are changed: the next epoch would begin from mirrored ones. Make a new tensor "
                "(torch.where, or a clone)."
            )
        if not torch.equal(labels, kept[1]):
            raise Wrong("The labels given are changed: a mirrored face keeps its label.")
        yield images, labels, result, model, optimizer


def _judge_mirrored_step(answer: Any) -> str:
    from fercourse.check.core import want_function

    want_function(answer, "mirrored_step")
    mirrored: list[Tensor] = []
    for images, labels, result, model, optimizer in _steps(answer, 0.5, 30, 16, 3):
        x = _one_pass(model, optimizer)
        mirrored.append(_which(x, images, model.inputs[0][1]))
        _right_gradient(x, labels, result, model, optimizer)
    _by_lot(torch.stack(mirrored), 0.5)
    others = []
    for images, _, _, model, optimizer in _steps(answer, 0.2, 40, 16, 4):
        others.append(_which(_one_pass(model, optimizer), images, model.inputs[0][1]))
    _by_lot(torch.stack(others), 0.2)
    for p, expected in ((0.0, False), (1.0, True)):
        for images, _, _, model, optimizer in _steps(answer, p, 2, 16, 5):
            share = _which(_one_pass(model, optimizer), images, True).float().mean().item()
            if share != float(expected):
                raise Wrong(
                    f"With p={p:.0f}, {share:.0%} of the images are mirrored; it should be {expected:.0%}."
                )
    for images, _, _, model, optimizer in _steps(answer, 0.5, 2, 5, 6):  # a batch of another size
        _which(_one_pass(model, optimizer), images, True)
    return "Drawn and mirrored where the images lie, a batch needs no loop and no copy to the host."


def _one_pass(model: _Seen, optimizer: _Counted) -> Tensor:
    """Return what the network was given, or raise `Wrong` where the step is no step."""
    if not model.inputs:
        raise Wrong("The model is never called: the step begins with logits = model(...).")
    if len(model.inputs) > 1:
        raise Wrong(f"The model is called {len(model.inputs)} times in one step: once, on the whole batch.")
    if len(optimizer.steps) != 1:
        word = "never" if not optimizer.steps else f"{len(optimizer.steps)} times"
        raise Wrong(f"optimizer.step() is called {word}; a step takes one.")
    return model.inputs[0][0]


def _which(x: Any, images: Tensor, training: bool) -> Tensor:
    """Return which images were mirrored, or raise `Wrong` for a batch that holds anything else."""
    if not isinstance(x, Tensor):
        raise Wrong(f"The model is given {type(x).__name__}; expected a tensor.")
    if x.shape != images.shape:
        extra = ""
        if x.dim() == 4 and len(x) == 2 * len(images):
            extra = " The mirrored images take the place of the others; they are not added to the batch."
        raise Wrong(f"The model is given shape {tuple(x.shape)}; expected {tuple(images.shape)}.{extra}")
    if not x.is_floating_point():
        raise Wrong(f"The model is given {x.dtype}; convert to float and divide by 255.")
    kinds = _kinds(x, images)
    good = kinds["as it is"] | kinds["mirrored"]
    if bool(good.all()):
        if not training:
            raise Wrong("The model is left in evaluation mode where it was in it: call model.train() first.")
        return kinds["mirrored"]
    bad = ~good
    if bool((kinds["from 0 to 255"] | kinds["mirrored from 0 to 255"])[bad].all()):
        raise Wrong("The model is given values from 0 to 255: divide by 255.")
    if bool((kinds["divided twice"] | kinds["divided twice and mirrored"])[bad].all()):
        raise Wrong("The values are divided by 255 twice.")
    if bool(kinds["upside down"][bad].all()):
        raise Wrong("Some images stand upside down: mirror left and right, the last axis, flip(-1).")
    if bool(kinds["turned"][bad].all()):
        raise Wrong("Some images are turned upside down and mirrored: flip the last axis alone, flip(-1).")
    if bool(kinds["transposed"][bad].all()):
        raise Wrong("Height and width are exchanged in some images: mirror with flip(-1).")
    plain = images.float() / 255
    rows = plain.flatten(1)
    if all(
        any(torch.allclose(one, other, atol=1e-6) for other in torch.cat([rows, plain.flip(-1).flatten(1)]))
        for one in x.float().flatten(1)
    ):
        raise Wrong(
            "The order of the images is changed (flip(0) turns the batch round): images no longer meet their labels."
        )
    pixels = torch.isclose(x.float(), plain, atol=1e-6) | torch.isclose(x.float(), plain.flip(-1), atol=1e-6)
    if bool(pixels.all()):
        raise Wrong(
            "Single pixels or rows are mirrored, each on its own: draw one number an image, of shape "
            "(B, 1, 1, 1)."
        )
    whole = (images // 255).float()
    if bool((torch.isclose(x.float(), whole) | torch.isclose(x.float(), whole.flip(-1)))[bad].all()):
        raise Wrong(
            "The values are 0 or 1 only: divided as whole numbers. Convert to float, then divide by 255."
        )
    if bool((x[bad] == 0).flatten(1).all(1).any()):
        raise Wrong("Some images are all zeros: those that are not mirrored stay as they are.")
    mixture = (plain + plain.flip(-1)) / 2
    if bool(torch.isclose(x.float(), mixture, atol=1e-6).flatten(1).all(1)[bad].all()):
        raise Wrong("Image and mirror image are averaged: each image is one or the other.")
    values, wanted = x.float().flatten(1).sort(1)[0], plain.flatten(1).sort(1)[0]  # whichever way they stand
    slope = (values[0, -1] - values[0, 0]) / (wanted[0, -1] - wanted[0, 0])
    offset = values[0, 0] - slope * wanted[0, 0]
    if torch.allclose(values, slope * wanted + offset, atol=1e-3):
        raise Wrong(
            f"The values lie from {values.min():.3g} to {values.max():.3g}; divide by 255, so that they lie between "
            "0 and 1, and do no more."
        )
    raise Wrong("The model is given images that are neither as they were nor mirrored (in value / 255).")


def _by_lot(mirrored: Tensor, p: float) -> None:
    """Raise `Wrong` unless each image of each step was mirrored by a draw of its own; bool (steps, B)."""
    share = mirrored.float().mean().item()
    steps = mirrored.float().mean(1)
    if share in (0.0, 1.0):
        word = "Every image is" if share else "No image is ever"
        raise Wrong(f"{word} mirrored with p={p}: draw a number for each, torch.rand(len(images)) < p.")
    if bool(((steps == 0) | (steps == 1)).all()):
        raise Wrong(
            "One draw decides for the whole batch: draw a number for each image, torch.rand(len(images))."
        )
    if bool((mirrored == mirrored[0]).all()):
        if len({int(n) for n in mirrored.sum(1)}) == 1 and abs(share - p) < 0.05:
            raise Wrong(
                "The same images are mirrored at every step: draw anew each time, without a fixed seed."
            )
        raise Wrong("The same images are mirrored at every step: draw anew each time.")
    slack = 4 * (p * (1 - p) / mirrored.numel()) ** 0.5
    if abs(share - p) <= slack:
        if len({int(n) for n in mirrored.sum(1)}) == 1:
            raise Wrong("The same number of images is mirrored at every step: decide for each on its own.")
        return
    if abs(share - (1 - p)) <= slack:
        raise Wrong(
            f"With p={p}, {share:.0%} of the images are mirrored: the comparison is the wrong way, rand < p."
        )
    if abs(share - 0.5) <= slack:
        raise Wrong(f"With p={p}, half of the images are mirrored: p is not used.")
    raise Wrong(
        f"With p={p}, {share:.0%} of the images are mirrored (torch.rand is uniform, torch.randn is not)."
    )


def _right_gradient(x: Tensor, labels: Tensor, result: Any, model: _Seen, optimizer: _Counted) -> None:
    """Raise `Wrong` unless the step's gradient and the loss returned are those of this batch."""

    def gradients(loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, list(model.parameters())))

    logits = model.body(x)
    loss = F.cross_entropy(logits, labels)
    expected = gradients(loss)
    stepped = optimizer.steps[0]
    if any(one is None for one in stepped):
        raise Wrong(
            "At the step there is no gradient: loss.backward() comes before, optimizer.zero_grad() first of all."
        )
    if any(differs(one, other, rtol=1e-3, atol=1e-5) for one, other in zip(stepped, expected, strict=True)):
        kinds = {
            "The gradient is zero at the step: optimizer.zero_grad() comes before loss.backward().": [0 * g for g in expected],
            "The loss is summed over the batch; take the mean, cross_entropy's default.": gradients(F.cross_entropy(model.body(x), labels, reduction="sum")),
            "There is a softmax before cross_entropy, which applies its own.": gradients(F.cross_entropy(model.body(x).softmax(1), labels)),
        }  # fmt: skip
        for message, wrong in kinds.items():
            if not any(
                differs(one, other, rtol=1e-3, atol=1e-5) for one, other in zip(stepped, wrong, strict=True)
            ):
                raise Wrong(message)
        if not optimizer.cleared:
            raise Wrong(
                "Gradients of the step before are still there and are added to: optimizer.zero_grad()."
            )
        raise Wrong("The gradient at the step is not that of the mean cross-entropy on the mirrored batch.")
    if result is None:
        raise Wrong("mirrored_step returns nothing (None): return the loss as a number, loss.item().")
    if isinstance(result, Tensor) and result.requires_grad:
        raise Wrong("The loss returned still holds its graph, and all activations with it: loss.item().")
    if words := differs(result, loss.item(), rtol=1e-3, atol=1e-5):
        share = (logits.argmax(1) == labels).float().mean().item()
        if not differs(result, share):
            raise Wrong("That is the accuracy; return the loss.")
        if not differs(result, loss.item() * len(labels), rtol=1e-3):
            raise Wrong("The loss returned is multiplied by the number of images; return the mean.")
        raise Wrong(f"The loss returned is not that of the step: {words}.")


mirrored_step = Exercise("ch08", "mirrored_step", _judge_mirrored_step)


# Mixup ------------------------------------------------------------------------------------------------------

_B = 8


def _judge_mixup(answer: Any) -> str:
    name = "Mixup"
    # Every image has a pixel of its own and every target a class of its own: a mixture shows what is in it.
    images = torch.eye(_B).reshape(_B, 1, 2, 4)
    targets = torch.eye(_B)
    trial = Trial((0.4,), (_B, 1, 2, 4))
    module = build_answer(answer, name, trial)
    told = f"{name}(0.4)"
    module.eval()
    for _ in range(5):
        x, y = _mixed(module, images, targets, told)
        if differs(x, images) or differs(y, targets):
            trained = [_mixed(module.train(), images, targets, told) for _ in range(5)]
            if not any(differs(x, images) or differs(y, targets) for x, y in trained):
                raise Wrong(
                    f"{told} mixes in evaluation mode, and does not in training: the modes are exchanged."
                )
            raise Wrong(
                f"{told} mixes in evaluation mode too; images are measured as they are: look at self.training."
            )
    for alpha in (0.4, 6.0):
        module = build_answer(answer, name, Trial((alpha,), trial.shape)).train()
        told, times = f"{name}({alpha})", 300
        torch.manual_seed(9)
        seen = [_parts(*_mixed(module, images, targets, told), told) for _ in range(times)]
        _by_beta(np.array([lam for lam, _ in seen]), alpha, told)
        orders = {tuple(order.tolist()) for _, order in seen}
        if len(orders) == 1:
            raise Wrong(
                f"{told} always mixes the same pairs: take a new random order each time, torch.randperm."
            )
        if len(orders) <= _B:
            raise Wrong(
                f"{told} has only {len(orders)} different pairings in {times} calls: torch.randperm gives any order."
            )
    module = build_answer(answer, name, trial).train()
    x, y = torch.rand(3, 1, 5, 5), F.one_hot(torch.tensor([1, 4, 4]), 7).float()
    out = _mixed(module, x, y, f"{name}(0.4), on a batch of 3,")
    if out[0].shape != x.shape or out[1].shape != y.shape:
        raise Wrong(f"{name}(0.4), on images {tuple(x.shape)}, gives shape {tuple(out[0].shape)}.")
    return "Cross-entropy takes such targets as they are: F.cross_entropy(logits, mixed)."


def _mixed(module: nn.Module, images: Tensor, targets: Tensor, told: str) -> tuple[Tensor, Tensor]:
    """Return the student's (images, targets), or raise `Wrong` saying why there are none."""
    before = images.clone(), targets.clone()
    out = run(module, images, targets, what=f"{told}")
    if not torch.equal(images, before[0]) or not torch.equal(targets, before[1]):
        raise Wrong(f"{told} changes what it is given, in place: make new tensors.")
    if out is None:
        raise Wrong(
            f"The forward of {told} returns None: is a `return` missing, or on a path that is not taken?"
        )
    if isinstance(out, Tensor):
        raise Wrong(f"{told} returns one tensor; two are asked for: images, targets.")
    if isinstance(out, (tuple, list)) and len(out) != 2:
        raise Wrong(f"{told} returns {len(out)} values; two are asked for: images and targets, both mixed.")
    if not isinstance(out, (tuple, list)) or not all(isinstance(one, Tensor) for one in out):
        raise Wrong(f"{told} returns {type(out).__name__}; a pair of tensors is asked for: images, targets.")
    return out[0], out[1]


def _parts(x: Tensor, y: Tensor, told: str) -> tuple[float, Tensor]:
    """Return the share and the partners of a mixture, or raise `Wrong` for what is none."""
    if x.shape != (_B, 1, 2, 4) or y.shape != (_B, _B):
        if x.numel() == _B * _B and x.shape == (_B, _B) and y.dim() == 4:
            raise Wrong(f"{told} returns the targets first; images, then targets.")
        if x.shape == (_B, 1, 2, 4) and y.dim() == 1:
            raise Wrong(
                f"The targets of {told} are one number an image (argmax?): a mixture has the shares of both classes, "
                f"shape (B, classes)."
            )
        raise Wrong(f"{told} gives shapes {tuple(x.shape)} and {tuple(y.shape)}; both keep theirs.")
    weights, shares = x.detach().reshape(_B, _B).double(), y.detach().double()
    same = torch.eye(_B, dtype=torch.float64)
    alone = [bool(torch.allclose(one, same, atol=1e-6)) for one in (weights, shares)]
    if alone[0] and not alone[1]:
        raise Wrong(f"{told} mixes the targets and leaves the images as they are.")
    if alone[1] and not alone[0]:
        raise Wrong(
            f"{told} mixes the images and leaves the targets as they are: a mixture has the labels of both."
        )
    if bool(((weights - weights.round()).abs() < 1e-6).all()) and not torch.allclose(
        weights.sum(1), torch.ones(_B, dtype=torch.float64)
    ):
        raise Wrong(
            f"In {told} each pixel comes from one image or the other (as in CutMix); mixup takes lam of every pixel of "
            "the one and 1 - lam of the other."
        )
    if not torch.allclose(weights.sum(1), torch.ones(_B, dtype=torch.float64), atol=1e-4):
        raise Wrong(
            f"In an image of {told} the shares add up to {weights.sum(1)[0].item():.3g}; lam and 1 - lam add up to 1."
        )
    if not torch.allclose(weights, shares, atol=1e-4):
        _name_targets(weights, shares, told)
    if bool((weights < -1e-6).any()):
        raise Wrong(f"In {told} a share is negative: lam lies between 0 and 1.")
    own = weights.diagonal()
    partner = (weights - torch.diag(own)).argmax(1)
    others = weights - torch.diag(own)
    if bool(((others > 1e-6).sum(1) > 1).any()):
        raise Wrong(f"In {told} an image is mixed of more than two.")
    moved = own < 1 - 1e-6
    fixed = ~moved  # paired with itself, which a random order may do
    partner[fixed] = torch.arange(_B)[fixed]
    if not bool(moved.any()):
        return math.nan, partner
    lam = own[moved]
    if not torch.allclose(lam, lam[0].expand_as(lam), atol=1e-4):
        raise Wrong(f"{told} draws a share for each image; one for the whole batch is asked for.")
    if len(set(partner.tolist())) < _B and lam[0] > 1e-6:
        raise Wrong(
            f"In {told} an image is the partner of several (randint?): a random *order*, torch.randperm, uses each once."
        )
    return lam[0].item(), partner


def _name_targets(weights: Tensor, shares: Tensor, told: str) -> None:
    """Raise `Wrong` for targets that are not mixed as the images are."""
    own, other = weights.diagonal(), shares.diagonal()
    flipped = weights.clone()
    flipped = torch.where(weights > 1e-9, 1 - weights, torch.zeros_like(weights))
    if torch.allclose(
        torch.where((weights > 1e-9) & (weights < 1 - 1e-9), flipped, weights), shares, atol=1e-4
    ):
        raise Wrong(
            f"In {told} the shares of the targets are exchanged: lam for the image's own label, as for its pixels."
        )
    if torch.allclose(((weights > 1e-9) & (shares > 1e-9)).double(), (weights > 1e-9).double()):
        raise Wrong(f"In {told} images and targets are mixed with different shares: draw lam once for both.")
    if not torch.allclose(shares.sum(1), torch.ones(_B, dtype=torch.float64), atol=1e-4):
        raise Wrong(
            f"The targets of {told} add up to {shares.sum(1)[0].item():.3g} in a row; lam and 1 - lam add up to 1."
        )
    hard = bool((((shares - 1).abs() < 1e-6) | (shares.abs() < 1e-6)).all())
    if hard:
        raise Wrong(
            f"The targets of {told} are not mixed, but exchanged or rounded: lam * targets + (1 - lam) * targets[order]."
        )
    if torch.allclose(own.max(), other.max(), atol=1e-4) or torch.allclose(own.min(), other.min(), atol=1e-4):
        raise Wrong(f"In {told} images and targets have different partners: draw the order once for both.")
    raise Wrong(
        f"In {told} images and targets are mixed by different draws: draw lam and the order once for both."
    )


def _by_beta(lams: np.ndarray, alpha: float, told: str) -> None:
    """Raise `Wrong` unless shares look like draws of Beta(alpha, alpha)."""
    lams = lams[np.isfinite(lams)]
    if not len(lams):
        raise Wrong(f"{told} does not mix in training mode.")
    if np.ptp(lams) < 1e-6:
        raise Wrong(
            f"{told} mixes with the share {lams[0]:.3g} every time: draw lam in forward, anew for each batch, from "
            "Beta(alpha, alpha)."
        )
    mean, variance = lams.mean(), lams.var()
    expected = 1 / (4 * (2 * alpha + 1))
    slack = 4 * (expected / len(lams)) ** 0.5
    if lams.min() > 0.5 - 1e-6 or lams.max() < 0.5 + 1e-6:
        word = "above" if mean > 0.5 else "below"
        raise Wrong(
            f"The share in {told} is never {'below' if word == 'above' else 'above'} one half (max or min of lam and 1 - lam?): take lam as drawn."
        )
    uniform = abs(variance - 1 / 12) < 0.012
    if abs(mean - 0.5) <= slack and 0.7 < variance / expected < 1.4:
        return
    if abs(mean - 0.5) <= slack and uniform:
        raise Wrong(
            f"The share in {told} seems to be uniform: draw it from Beta(alpha, alpha), and use alpha."
        )
    one_sided = {"Beta(alpha, 1)": alpha / (alpha + 1), "Beta(1, alpha)": 1 / (alpha + 1)}
    for words, value in one_sided.items():
        if abs(mean - value) < 0.05:
            raise Wrong(f"The share in {told} seems to be drawn from {words}: both parameters are alpha.")
    if abs(mean - 0.5) > slack:
        raise Wrong(f"The share in {told} is {mean:.2f} on average; Beta(alpha, alpha) has one half.")
    wide = "wider" if variance > expected else "narrower"
    raise Wrong(
        f"The share in {told} spreads {wide} than Beta(alpha, alpha): its standard deviation is {variance**0.5:.2f}, "
        f"expected {expected**0.5:.2f}. Are both parameters alpha?"
    )


Mixup = Exercise("ch08", "Mixup", _judge_mixup)

__all__ = ["Mixup", "effects", "holm", "mirrored_step", "permutation_p", "prediction_interval"]
