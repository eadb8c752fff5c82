"""Checkers of chapter 9, The final comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fercourse.check.core import Exercise, Wrong, as_array, differs, run
from fercourse.check.functions import RESULT, Case, Mistake, judge_function, of
from fercourse.check.guesses import guess
from fercourse.check.modules import Trial, build_answer, forward
from fercourse.check.operations import tell_shape
from fercourse.leaderboard import count_macs

# class_recalls ----------------------------------------------------------------------------------------------


def _class_recalls(confusion: np.ndarray, *, recall: str = "rows", balance: str = "mean") -> tuple[Any, Any]:
    """The right answer, and with other options the wrong ones."""
    counts = np.asarray(confusion, float)
    hits, rows, columns = np.diag(counts), counts.sum(1), counts.sum(0)
    with np.errstate(all="ignore"):
        right = hits / rows
        values: dict[str, Callable[[], Any]] = {
            "rows": lambda: right,
            "columns": lambda: hits / columns,
            "total": lambda: hits / counts.sum(),
            "hits": lambda: hits,
            "rest": lambda: 1 - right,
            "f1": lambda: 2 * hits / (rows + columns),
            "zeros": lambda: np.nan_to_num(right),
            "ones": lambda: np.nan_to_num(right, nan=1.0),
            "nan at zero": lambda: np.where(hits > 0, right, np.nan),
            "zero hits left out": lambda: right[hits > 0],
            "left out": lambda: right[rows > 0],
            "shares": lambda: counts / rows[:, None],
            "max": lambda: counts.max(1) / rows,
            "per cent": lambda: 100 * right,
            "support": lambda: rows / counts.sum(),
            "whole": lambda: hits // rows,
            "others": lambda: hits / (rows - hits),
            "one more": lambda: hits / (rows + 1),
            "specificity": lambda: (counts.sum() - rows - columns + hits) / (counts.sum() - rows),
            "one against all": lambda: (counts.sum() - rows - columns + 2 * hits) / counts.sum(),
            "first row": lambda: counts[0] / counts[0].sum(),
        }
        recalls = values[recall]()
        present = rows > 0
        flat = recalls if np.ndim(recalls) == 1 else right
        scores: dict[str, Callable[[], Any]] = {
            "mean": lambda: np.nanmean(flat),
            "plain": lambda: flat.mean(),
            "zeros": lambda: np.nan_to_num(flat).mean(),
            "present": lambda: flat[present].mean(),
            "accuracy": lambda: hits.sum() / counts.sum(),
            "median": lambda: np.nanmedian(flat),
            "least": lambda: np.nanmin(flat),
            "greatest": lambda: np.nanmax(flat),
            "sum": lambda: np.nansum(flat),
            "geometric": lambda: np.exp(np.log(flat[present]).mean()),
            "per cent": lambda: 100 * np.nanmean(flat),
            "precision": lambda: np.nanmean(hits / columns),
            "spread": lambda: np.nanstd(flat),
            "f1": lambda: np.nanmean(2 * hits / (rows + columns)),
            "by column": lambda: np.nansum(flat * columns) / columns.sum(),
            "chance": lambda: (np.nanmean(flat) - 1 / len(flat)) / (1 - 1 / len(flat)),
            "over classes less one": lambda: np.nansum(flat) / (len(flat) - 1),
        }
        return recalls, scores[balance]()


def _tidy(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    """Take None for 'no number', and numbers in boxes, as students write them."""
    if isinstance(result, (tuple, list)) and len(result) == 2 and isinstance(result[0], (tuple, list)):
        recalls = [math.nan if value is None else value for value in result[0]]
        result = (recalls, result[1])
    return {RESULT: result}


def _explain_recalls(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    found, right = seen[RESULT], expected[RESULT]
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        array = as_array(found)
        if array is not None and array.shape == right[0].shape:
            return "Those are the recalls alone: return two values, the recalls and the balanced accuracy."
        if array is not None and array.size == 1:
            return "That is one number: return two values, the recalls and the balanced accuracy."
        return "Return two values: the recalls, one a class, and the balanced accuracy."
    swapped = as_array(found[0]), as_array(found[1])
    if all(one is not None for one in swapped) and swapped[0].size == 1 < swapped[1].size:  # type: ignore[union-attr]
        return "The two values are swapped: first the recalls, then the balanced accuracy."
    if words := differs(found[0], right[0]):
        given = as_array(found[0])
        if np.isnan(right[0]).any() and given is not None and given.shape == right[0].shape:
            known = ~np.isnan(right[0])
            if not differs(given[known], right[0][known]):
                return "A class without images has no recall: NaN belongs in its place."
        told = guess([found[0]], [right[0]])
        diagonal = as_array(found[0])
        if diagonal is not None and diagonal.ndim == 1 and not differs(diagonal, np.diag(arguments[0])):
            return "The recalls are counts: divide each by the images of its class."
        return f"The recalls are wrong. {told}" if told else f"The recalls are wrong: {words}."
    told = guess([found[1]], [right[1]])
    return f"The recalls are right, the balanced accuracy is not. {told or ''}".rstrip()


def _judge_class_recalls(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_class_recalls, **options), message)

    whole = np.array([[8, 1, 1], [2, 3, 0], [4, 0, 16]])
    gap = np.array([[5, 2, 1, 0], [0, 0, 0, 0], [3, 1, 6, 2], [0, 0, 1, 3]])
    never = np.array([[7, 0, 3], [2, 0, 1], [1, 0, 9]])
    seven = np.random.default_rng(3).integers(0, 40, (7, 7)) + 30 * np.eye(7, dtype=np.int64)
    judge_function(
        answer,
        "class_recalls",
        reference=_class_recalls,
        cases=[
            of(whole, words="the matrix [[8, 1, 1], [2, 3, 0], [4, 0, 16]]", observe=_tidy),
            of(never, words="a matrix in which class 1 is never predicted", observe=_tidy),
            of(seven, words="a matrix of seven classes", observe=_tidy),
            of(gap, words="a matrix with a class of which there is no image", observe=_tidy),
        ],
        mistakes=[
            wrong("That is the precision: rows are the labels, so divide by the sums of the rows, not of the columns.", recall="columns"),
            wrong("The recalls are divided by all images; divide each by the images of its own class.", recall="total"),
            wrong("The recalls are counts: divide each by the images of its class.", recall="hits"),
            wrong("Those are the shares that are missed; recall is what is found.", recall="rest"),
            wrong("That is F1, which mixes recall and precision.", recall="f1"),
            wrong("A class without images has no recall: NaN, neither 0 nor 1.", recall="zeros", balance="mean"),
            wrong("A class without images has no recall: NaN, neither 0 nor 1.", recall="zeros", balance="zeros"),
            wrong("A class without images has no recall: NaN, neither 0 nor 1.", recall="zeros", balance="present"),
            wrong("A class without images has no recall: NaN, neither 0 nor 1.", recall="ones"),
            wrong("A class that has images and no hit has a recall of 0; NaN is for a class without images alone.", recall="nan at zero"),
            wrong("A class that has images and no hit has a recall of 0, and keeps its place; here it is left out.", recall="zero hits left out"),
            wrong("A class without images keeps its place among the recalls, as NaN; here it is left out.", recall="left out"),
            wrong("Those are the rows as shares, the whole matrix; the recalls are its diagonal.", recall="shares"),
            wrong("That takes the greatest value of each row; the recall is the one on the diagonal.", recall="max"),
            wrong("The recalls are in per cent; shares between 0 and 1 are asked for.", recall="per cent", balance="mean"),
            wrong("That is how frequent each class is; divide the diagonal by it.", recall="support"),
            wrong("// rounds the recalls down to whole numbers: divide with /.", recall="whole"),
            wrong("The recalls are hits over misses; divide by all images of the class.", recall="others"),
            wrong("That is the specificity, the share of the *other* classes' images that are not taken for this one.", recall="specificity"),
            wrong("That counts the images that are rightly not this class as hits too; recall looks at the class's own images alone.", recall="one against all"),
            wrong("That is the standard deviation of the recalls; their mean is asked for.", balance="spread"),
            wrong("That is macro-F1; the balanced accuracy is the mean of the recalls.", balance="f1"),
            wrong("The mean is weighted by how often each class is predicted; all classes count the same.", balance="by column"),
            wrong("There is a one too many under the fraction.", recall="one more"),
            wrong("The balanced accuracy is NaN as soon as one class has no image: take the mean of those that have one.", balance="plain"),
            wrong("The class without images counts as a recall of 0 in the balanced accuracy: leave it out of the mean.", balance="zeros"),
            wrong("That is the accuracy, in which large classes count more; the balanced one is the mean of the recalls.", balance="accuracy"),
            wrong("That is the median of the recalls; their mean is asked for.", balance="median"),
            wrong("That is the least recall; the balanced accuracy is the mean of the recalls.", balance="least"),
            wrong("That is the greatest recall; the balanced accuracy is the mean of the recalls.", balance="greatest"),
            wrong("The balanced accuracy is the sum of the recalls: divide by how many there are.", balance="sum"),
            wrong("That is the geometric mean of the recalls; the plain mean is asked for.", balance="geometric"),
            wrong("The balanced accuracy is in per cent; a share is asked for.", balance="per cent"),
            wrong("That is the mean precision: divide by the rows, not by the columns.", balance="precision"),
            wrong("That is corrected for chance; the plain mean is asked for.", balance="chance"),
            wrong("The sum is always divided by one class less; count the classes that have images.", balance="over classes less one"),
        ],
        explain=_explain_recalls,
    )  # fmt: skip
    return "With these two, a network that never names a small class can no longer hide it."


class_recalls = Exercise("ch09", "class_recalls", _judge_class_recalls)


# mcnemar_p --------------------------------------------------------------------------------------------------


def _tail(k: int, m: int) -> float:
    """Return the chance of at most k heads in m tosses."""
    return sum(math.comb(m, i) for i in range(k + 1)) / 2**m


def _mcnemar(
    labels: np.ndarray, preds_a: np.ndarray, preds_b: np.ndarray, kind: str = "right", guarded: bool = False
) -> Any:
    """The right answer or a wrong one; with ``guarded``, 1 where no image tells the two apart."""
    hits_a, hits_b = preds_a == labels, preds_b == labels
    a, b = int((hits_a & ~hits_b).sum()), int((hits_b & ~hits_a).sum())
    m, k, n = a + b, min(a, b), len(labels)
    if guarded and not m:
        return 1.0
    if kind in ("right", "zero", "nan") and not m:
        return {"right": 1.0, "zero": 0.0, "nan": math.nan}[kind]
    if not m and kind in ("chi", "corrected", "z", "z sample", "statistic", "corrected statistic"):
        return 0.0 if "statistic" in kind else 1.0
    unequal = int((preds_a != preds_b).sum())
    right_a, right_b = int(hits_a.sum()), int(hits_b.sum())

    def chi(statistic: float) -> float:
        return math.erfc(math.sqrt(statistic / 2))

    def unpaired() -> float:
        p, q = right_a / n, right_b / n
        return chi((p - q) ** 2 / ((p * (1 - p) + q * (1 - q)) / n))

    kinds: dict[str, Callable[[], Any]] = {
        "one sided": lambda: _tail(k, m),
        "doubled freely": lambda: 2 * _tail(k, m),
        "a alone": lambda: min(1.0, 2 * _tail(a, m)),
        "b alone": lambda: min(1.0, 2 * _tail(b, m)),
        "a one sided": lambda: _tail(a, m),
        "b one sided": lambda: _tail(b, m),
        "greater": lambda: min(1.0, 2 * _tail(max(a, b), m)),
        "below": lambda: min(1.0, 2 * (_tail(k - 1, m) if k else 0.0)),
        "point": lambda: math.comb(m, k) / 2**m,
        "two points": lambda: min(1.0, 2 * math.comb(m, k) / 2**m),
        "mid": lambda: min(1.0, 2 * _tail(k, m) - math.comb(m, k) / 2**m),
        "chi": lambda: chi((a - b) ** 2 / m),
        "corrected": lambda: chi(max(0, abs(a - b) - 1) ** 2 / m),
        "statistic": lambda: (a - b) ** 2 / m,
        "corrected statistic": lambda: (abs(a - b) - 1) ** 2 / m,
        "all images": lambda: min(1.0, 2 * _tail(k, n)),
        "hits of all": lambda: min(1.0, 2 * _tail(min(right_a, right_b), n)),
        "hits": lambda: min(1.0, 2 * _tail(min(right_a, right_b), right_a + right_b)),
        "unequal": lambda: min(1.0, 2 * _tail(k, unequal)),
        "unequal too": lambda: min(1.0, 2 * _tail(min(a, unequal - a), unequal)),
        "unpaired": unpaired,
        "rest": lambda: 1 - min(1.0, 2 * _tail(k, m)),
        "swapped": lambda: min(1.0, 2 * float(sum(math.comb(i, m) for i in range(k + 1))) / 2**m),
        "twice doubled": lambda: min(1.0, 4 * _tail(k, m)),
        "freely twice doubled": lambda: 4 * _tail(k, m),
        "small": lambda: min(1.0, 2 * _tail(k, m)) < 0.05,
        "max": lambda: max(1.0, 2 * _tail(k, m)),
        "all tosses": lambda: 1.0,
        "halved": lambda: _tail(k, m) / 2,
        "logarithm": lambda: -math.log10(min(1.0, 2 * _tail(k, m))),
        "gap": lambda: min(1.0, 2 * _tail(abs(a - b), m)),
        "one way": lambda: min(1.0, 2 * (k + 1) * math.comb(m, k) / 2**m),
        "short power": lambda: min(1.0, 2 * sum(math.comb(m, i) * 0.5**i for i in range(k + 1))),
        "z": lambda: chi((a - b) ** 2 / (m - (a - b) ** 2 / n)),
        "z sample": lambda: chi((a - b) ** 2 / ((m - (a - b) ** 2 / n) * n / (n - 1))),
        "no power": lambda: 2 * sum(math.comb(m, i) for i in range(k + 1)),
        "from one": lambda: min(1.0, 2 * (_tail(k, m) - 1 / 2**m)),
        "half": lambda: min(1.0, 2 * 0.5**m),
        "share": lambda: k / m,
        "difference": lambda: abs(a - b) / n,
        "counts": lambda: (a, b),
        "least": lambda: k,
        "both wrong": lambda: min(
            1.0, 2 * _tail(min(int((hits_a & hits_b).sum()), int((~hits_a & ~hits_b).sum())), int((hits_a == hits_b).sum()))
        ),
    }  # fmt: skip
    return kinds.get(kind, lambda: min(1.0, 2 * _tail(k, m)))()


_MCNEMAR_MISTAKES = {
    "one sided": "That is one-sided: the other network could as well have been the luckier one, so double it.",
    "doubled freely": "Doubled, it can exceed 1, which no probability does: take min(1, ...).",
    "zero": "Where no image tells the two apart, nothing speaks against chance: p is 1, not 0.",
    "nan": "Where no image tells the two apart, nothing speaks against chance: p is 1, not NaN.",
    "a alone": "The tail must start from the smaller of the two counts, whichever network it belongs to.",
    "b alone": "The tail must start from the smaller of the two counts, whichever network it belongs to.",
    "a one sided": "That is one-sided, for one network: start from the smaller count, and double.",
    "b one sided": "That is one-sided, for one network: start from the smaller count, and double.",
    "greater": "That is the tail from the greater count, which holds nearly everything: take the smaller.",
    "below": "The tail includes the count itself: range(k + 1), or the last term is missing.",
    "point": "That is the chance of exactly this count; add up those that are as extreme or more.",
    "two points": "That is the chance of exactly this count, doubled; add up those that are as extreme or more.",
    "mid": "That counts the observed case half (the mid-p value); the exact test counts it whole.",
    "chi": "That is the chi-squared approximation; the exact test adds up binomial probabilities.",
    "corrected": "That is the chi-squared approximation with its correction; the exact test adds up binomial "
    "probabilities.",
    "statistic": "That is the chi-squared statistic and no probability.",
    "corrected statistic": "That is the chi-squared statistic and no probability.",
    "all images": "The tosses are only the images that exactly one network gets right, not all images.",
    "hits of all": "That compares all hits with all images; only images that exactly one gets right count.",
    "hits": "That counts all hits of both; images that both get right cancel out, so leave them out.",
    "unequal": "Among the images with different predictions are some that both get wrong; they say nothing.",
    "unequal too": "Among the images with different predictions are some that both get wrong; they say nothing.",
    "unpaired": "That is the unpaired test of two accuracies; the networks saw the same images.",
    "rest": "It is one minus the p value.",
    "swapped": "p comes out as 0: in math.comb(m, i), all tosses come first and then the heads.",
    "twice doubled": "It is doubled twice: each of the 2**m sequences counts once, and the sum is doubled once.",
    "freely twice doubled": "It is doubled twice: each of the 2**m sequences counts once, and the sum is doubled once.",
    "small": "That is whether p is small; return p itself.",
    "max": "max(1, ...) is at least 1 always; the cap is min(1, ...).",
    "all tosses": "It is always 1: is the tail added up over all tosses, or up to the wrong count?",
    "halved": "The tail is halved; both sides count, so double it.",
    "logarithm": "That is the logarithm of p; return p itself.",
    "gap": "The tail must end at the smaller count, min(a, b), not at the difference of the two.",
    "one way": "math.comb(m, i) with the running i, not the last one, over and over.",
    "short power": "Every sequence of m tosses has probability 1 / 2**m, whatever the number of heads.",
    "z": "That is a normal approximation; the exact test adds up binomial probabilities.",
    "z sample": "That is a normal approximation; the exact test adds up binomial probabilities.",
    "no power": "The number of ways must be divided by all ways, 2 ** m.",
    "from one": "The tail begins at 0: the case of no head at all is missing.",
    "half": "That is the chance of the most extreme case alone; add up all cases from 0 to the smaller count.",
    "share": "That is a share of the images on which one alone is right; p is a probability of tosses.",
    "difference": "That is the difference of the accuracies, and no probability.",
    "counts": "Those are the two counts; from them, p is still to be computed.",
    "least": "That is the smaller count; from it, p is still to be computed.",
    "both wrong": "Those are the images on which both are right or both wrong; the others are wanted.",
}


def _explain_mcnemar(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    """Find counts of which the found value would be the p value, or a part of it."""
    array = as_array(seen[RESULT])
    if array is None or array.size != 1 or array.dtype.kind != "f":
        return None
    found, right = float(array.reshape(())), float(expected[RESULT])
    if found == 1 > right:
        return "p comes out as 1: does the tail end at the smaller count, and is it divided by 2**m?"
    labels, preds_a, preds_b = arguments
    hits_a, hits_b = preds_a == labels, preds_b == labels
    a, b = int((hits_a & ~hits_b).sum()), int((hits_b & ~hits_a).sum())
    if right >= 1:
        return None
    both, neither = int((hits_a & hits_b).sum()), int((~hits_a & ~hits_b).sum())
    unequal = int((preds_a != preds_b).sum())
    # Counts that one may have taken, and no others: by luck alone, some p value fits nearly any number.
    heads = {min(a, b), both, neither, both + a, both + b, neither + a, neither + b, unequal - a, unequal - b}
    tosses = {a + b, len(labels), unequal, 2 * both + a + b, 2 * neither + a + b, both + neither}
    for m in sorted(tosses):
        for k in sorted(heads):
            if 2 * k > m or (m, k) == (a + b, min(a, b)):
                continue
            for value, words in ((2 * _tail(k, m), "the p value"), (_tail(k, m), "the one-sided p value")):
                if math.isclose(found, value, rel_tol=1e-7):
                    return (
                        f"That is {words} of {k} heads in {m} tosses; here {min(a, b)} of {a + b} are right: only images that "
                        "exactly one of the two networks gets right count."
                    )
    return None


def _number(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    """Take exact fractions and decimals for the numbers that they are."""
    exact = isinstance(result, (Fraction, Decimal))
    truth = isinstance(result, (bool, np.bool_))
    return {RESULT: float(result) if exact else result, "whether it is a number": not truth}


def _images(a: int, b: int, both: int, neither: int, unequal: int) -> tuple[Any, ...]:
    """Return labels and predictions: so many images only A gets right, only B, both, neither."""
    labels = np.arange(a + b + both + neither + unequal) % 7
    other, third = (labels + 1) % 7, (labels + 3) % 7
    kinds = np.repeat(np.arange(5), (a, b, both, neither, unequal))
    preds_a = np.choose(kinds, (labels, other, labels, other, third))
    preds_b = np.choose(kinds, (other, labels, labels, other, other))
    order = np.random.default_rng(a + 7 * b).permutation(len(labels))
    return labels[order], preds_a[order], preds_b[order]


def _judge_mcnemar_p(answer: Any) -> str:
    def case(a: int, b: int, both: int = 11, neither: int = 5, unequal: int = 4) -> Case:
        words = f"{a + b + both + neither + unequal} images, {a} of which only A gets right and {b} only B"
        return of(*_images(a, b, both, neither, unequal), words=words, rtol=1e-6, atol=1e-12, observe=_number)

    judge_function(
        answer,
        "mcnemar_p",
        reference=_mcnemar,
        cases=[case(1, 6), case(9, 4), case(3, 3), case(60, 85, 90, 20, 15), case(2, 0), case(0, 0)],
        mistakes=[
            Mistake(partial(_mcnemar, kind=kind, guarded=guarded), words)
            for guarded in (False, True)
            for kind, words in _MCNEMAR_MISTAKES.items()
        ],
        explain=_explain_mcnemar,
    )
    return "It needs nothing but two counts, and no assumption but that a coin is fair."


mcnemar_p = Exercise("ch09", "mcnemar_p", _judge_mcnemar_p)


# pareto_front -----------------------------------------------------------------------------------------------


def _front(costs: Sequence[float], accuracies: Sequence[float], kind: str = "right") -> Any:
    places = range(len(costs))

    def beats(i: int, j: int) -> bool:
        """Whether i beats j."""
        no_worse = costs[i] <= costs[j] and accuracies[i] >= accuracies[j]
        better = costs[i] < costs[j], accuracies[i] > accuracies[j]
        return {
            "either": any(better),
            "strict": all(better),
            "tied cost": better[0] and accuracies[i] >= accuracies[j],
            "tied accuracy": costs[i] <= costs[j] and better[1],
            "dear": costs[i] >= costs[j] and accuracies[i] >= accuracies[j] and i != j,
            "low": costs[i] <= costs[j] and accuracies[i] <= accuracies[j] and i != j,
            "worst": costs[i] >= costs[j] and accuracies[i] <= accuracies[j] and i != j,
        }.get(kind, no_worse and any(better))

    front = [j for j in places if not any(beats(i, j) for i in places)]
    by_cost = sorted(front, key=lambda i: (costs[i], -accuracies[i]))
    stable = sorted(front, key=lambda i: costs[i])
    order = sorted(places, key=lambda i: costs[i])
    tied = sorted(places, key=lambda i: (costs[i], -accuracies[i]))

    def running(order: Sequence[int], equal: bool = False) -> list[int]:
        kept: list[int] = []
        for i in order:
            if (
                not kept
                or accuracies[i] > accuracies[kept[-1]]
                or (equal and accuracies[i] == accuracies[kept[-1]])
            ):
                kept.append(i)
        return kept

    def neighbours(order: list[int]) -> list[int]:
        return [i for n, i in enumerate(order) if n == 0 or accuracies[i] > accuracies[order[n - 1]]]

    def falling() -> list[int]:
        kept: list[int] = []
        for i in tied:
            if not kept or accuracies[i] < accuracies[kept[-1]]:
                kept.append(i)
        return kept

    def ratios() -> list[int]:
        kept: list[int] = []
        for i in tied:
            if not kept or accuracies[i] / costs[i] > accuracies[kept[-1]] / costs[kept[-1]]:
                kept.append(i)
        return kept

    def hull() -> list[int]:
        kept: list[int] = []
        for i in by_cost:
            while len(kept) > 1:
                p, q = kept[-2], kept[-1]
                rise = (accuracies[q] - accuracies[p]) * (costs[i] - costs[p])
                if rise > (accuracies[i] - accuracies[p]) * (costs[q] - costs[p]):
                    break
                kept.pop()
            kept.append(i)
        return kept

    kinds: dict[str, Callable[[], Any]] = {
        "as given": lambda: front,
        "strict": lambda: stable,
        "tied accuracy": lambda: stable,
        "dearest first": lambda: by_cost[::-1],
        "points": lambda: [(costs[i], accuracies[i]) for i in by_cost],
        "costs": lambda: [costs[i] for i in by_cost],
        "accuracies": lambda: [accuracies[i] for i in by_cost],
        "mask": lambda: [i in front for i in places],
        "beaten": lambda: sorted(set(places) - set(front), key=lambda i: costs[i]),
        "beaten as given": lambda: sorted(set(places) - set(front)),
        "all": lambda: tied,
        "all by cost": lambda: order,
        "empty": list,
        "without the cheapest": lambda: by_cost[1:],
        "without the dearest": lambda: by_cost[:-1],
        "falling run": falling,
        "ratio run": ratios,
        "unsorted run": lambda: running(list(places)),
        "equal run": lambda: running(sorted(places, key=lambda i: (costs[i], -accuracies[i])), equal=True),
        "plain run": lambda: running(order),
        "neighbours": lambda: neighbours(tied),
        "neighbours by cost": lambda: neighbours(order),
        "hull": hull,
        "ends": lambda: sorted({by_cost[0], by_cost[-1]}, key=lambda i: costs[i]),
        "best": lambda: [max(places, key=lambda i: accuracies[i])],
        "cheapest": lambda: [min(places, key=lambda i: (costs[i], -accuracies[i]))],
        "first cheapest": lambda: [min(places, key=lambda i: costs[i])],
        "ratio": lambda: [max(places, key=lambda i: accuracies[i] / costs[i])],
        "by accuracy": lambda: sorted(places, key=lambda i: -accuracies[i]),
        "places in order": lambda: [tied.index(i) for i in by_cost],
        "places in order of cost": lambda: [order.index(i) for i in by_cost],
        "how many": lambda: len(front),
    }
    return kinds.get(kind, lambda: by_cost)()


_FRONT_MISTAKES = {
    "as given": "The right points, in the order in which they came; from the cheapest to the dearest is asked for.",
    "dearest first": "The right points, from the dearest to the cheapest; the other way round is asked for.",
    "points": "Those are the points; their places in the two lists are asked for.",
    "costs": "Those are the costs of the right points; their places in the lists are asked for.",
    "accuracies": "Those are the accuracies of the right points; their places in the lists are asked for.",
    "mask": "That says of every point whether it is on the front; the places of those that are, are asked for.",
    "beaten": "Those are the points that are beaten; the others are asked for.",
    "beaten as given": "Those are the points that are beaten; the others are asked for.",
    "either": "A point is beaten by one that is no worse in cost *and* in accuracy; here one of the two is enough.",
    "strict": "Where two points tie in cost or in accuracy, the one that is better in the other beats: no worse in "
    "both, better in one, is enough.",
    "tied cost": "Of two points of the same cost, the less accurate is beaten.",
    "tied accuracy": "Of two points of the same accuracy, the dearer is beaten.",
    "dear": "The greater cost counts as the better one here; cheap is better.",
    "low": "The lower accuracy counts as the better one here.",
    "worst": "Both are turned round: this is the front of the worst, dear and inaccurate.",
    "unsorted run": "Going through the points and keeping those that raise the accuracy works from the cheapest to "
    "the dearest: sort first.",
    "equal run": "Of two points of the same accuracy, the dearer is beaten: it must *raise* the accuracy.",
    "plain run": "Of two points of the same cost, the less accurate is beaten: where costs tie, look at the more "
    "accurate first.",
    "neighbours": "Each point is compared with its neighbour in cost alone; compare it with the best so far.",
    "neighbours by cost": "Each point is compared with its neighbour in cost alone; compare it with the best so far.",
    "hull": "That is the convex hull: a point may lie below the line between two others and still be beaten by none.",
    "ends": "Those are the two ends of the front; the points between them belong to it too.",
    "best": "That is the most accurate point alone; cheaper ones that nothing beats belong to the front too.",
    "cheapest": "That is the cheapest point alone; dearer ones that nothing beats belong to the front too (does a "
    "`return` stand inside the loop?).",
    "first cheapest": "That is the cheapest point alone; dearer ones that nothing beats belong to the front too (does a "
    "`return` stand inside the loop?).",
    "ratio": "That is the best ratio of accuracy to cost, one point; the front has no price for accuracy.",
    "all": "Those are all points, by cost; leave out what another beats.",
    "all by cost": "Those are all points, by cost; leave out what another beats.",
    "empty": "Nothing is left: is every point beaten by itself? A point beats another only if it is better in one of the "
    "two.",
    "without the cheapest": "The cheapest is missing, and nothing beats it: the best accuracy so far must begin below all.",
    "without the dearest": "The dearest of the front is missing, the most accurate of all: does a loop end too early?",
    "falling run": "The lower accuracy counts as the better one here.",
    "ratio run": "Accuracies per cost are compared; the front compares costs and accuracies, each for itself.",
    "by accuracy": "Those are all points, by accuracy; leave out what another beats.",
    "places in order": "Those are places in the sorted list; places in the lists as they came are asked for.",
    "places in order of cost": "Those are places in the sorted list; places in the lists as they came are asked for.",
    "how many": "That is how many they are; their places are asked for.",
}  # fmt: skip


def _explain_front(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Say of one place why it does or does not belong."""
    costs, accuracies = arguments
    right, found = expected[RESULT], seen[RESULT]
    if isinstance(found, (set, frozenset)):
        return "A set has no order: return a list, from the cheapest to the dearest."
    array = as_array(found)
    if array is None or array.ndim != 1 or array.dtype.kind != "f":
        return None
    places = array.tolist()
    if sorted(places) == sorted(right):
        return "The right points, in another order; from the cheapest to the dearest is asked for."
    if any(place not in range(len(costs)) for place in places) or sorted(places) == sorted(
        p + 1 for p in right
    ):
        return None

    def named(place: int) -> str:
        return f"place {place} (cost {costs[place]:g}, accuracy {accuracies[place]:g})"

    for j in map(int, places):
        for i in range(len(costs)):
            no_worse = costs[i] <= costs[j] and accuracies[i] >= accuracies[j]
            if no_worse and (costs[i] < costs[j] or accuracies[i] > accuracies[j]):
                return f"A beaten point is among them: {named(j)} is beaten by {named(i)}."
    missing = [place for place in right if place not in places]
    return (
        f"A point is missing: no other beats {named(missing[0])}."
        if missing
        else "A point stands there twice."
    )


def _judge_pareto_front(answer: Any) -> str:
    def case(costs: list[float], accuracies: list[float], kind: type = list) -> Case:
        make = (lambda values: values) if kind is list else np.array
        return of(make(costs), make(accuracies), words=f"{costs}, {accuracies}")

    judge_function(
        answer,
        "pareto_front",
        reference=_front,
        cases=[
            case([9.2, 2.3, 21.4, 14.7, 1.8, 4.2], [0.685, 0.648, 0.708, 0.695, 0.617, 0.636]),
            case([5.0, 3.0, 4.0, 1.0, 2.0, 6.0], [0.7, 0.6, 0.65, 0.5, 0.68, 0.69]),
            case([4.0, 2.0, 2.0, 7.0, 3.0, 5.0], [0.6, 0.5, 0.55, 0.6, 0.58, 0.4]),
            case([8.0, 1.0, 3.0, 3.0], [0.7, 0.4, 0.2, 0.6]),
            case([3.0], [0.6]),
            case([11.0, 10.0, 14.0, 12.0], [0.6, 0.4, 0.7, 0.59], np.ndarray),
        ],
        mistakes=[Mistake(partial(_front, kind=kind), words) for kind, words in _FRONT_MISTAKES.items()],
        explain=_explain_front,
    )
    return (
        "Everything off the front can be had cheaper or better; on it, only you know what accuracy is worth."
    )


pareto_front = Exercise("ch09", "pareto_front", _judge_pareto_front)


# without_leaks ----------------------------------------------------------------------------------------------


def _flip(images: np.ndarray) -> np.ndarray:
    return images[:, :, ::-1]


def _is_in(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], bool)


def _keep(train: np.ndarray, held_out: np.ndarray, kind: str = "right") -> Any:
    exact, mirrored = _is_in(train, held_out), _is_in(_flip(train), held_out)
    leaked = exact | mirrored
    count = min(len(train), len(held_out))

    def near(limit: float) -> np.ndarray:
        gaps = np.abs(train[:, None].astype(float) - held_out[None])
        flipped = np.abs(_flip(train)[:, None].astype(float) - held_out[None])
        return ~(np.minimum(gaps.max((2, 3)), flipped.max((2, 3))) <= limit).any(1)

    def same(of: Callable[[np.ndarray], Any]) -> np.ndarray:
        known = {of(image) for image in held_out}
        return np.array([of(image) not in known for image in train])

    def by_place() -> np.ndarray:
        out = np.ones(len(train), bool)
        hits = (train[:count] == held_out[:count]).all((1, 2)) | (
            _flip(train[:count]) == held_out[:count]
        ).all((1, 2))
        out[:count] = ~hits
        return out

    def distinct() -> np.ndarray:
        seen: set[bytes] = set()
        out = ~leaked
        for i, image in enumerate(train):
            out[i] &= image.tobytes() not in seen
            seen.add(image.tobytes())
        return out

    kinds: dict[str, Callable[[], Any]] = {
        "exact": lambda: ~exact,
        "mirrored": lambda: ~mirrored,
        "upside down": lambda: ~(exact | _is_in(train[:, ::-1], held_out)),
        "any flip": lambda: ~(leaked | _is_in(train[:, ::-1], held_out) | _is_in(train[:, ::-1, ::-1], held_out)),
        "both flips": lambda: ~(leaked | _is_in(train[:, ::-1], held_out)),
        "turned": lambda: ~(exact | _is_in(train[:, ::-1, ::-1], held_out)),
        "leaked": lambda: leaked,
        "exact leaked": lambda: exact,
        "places": lambda: np.flatnonzero(~leaked),
        "leaked places": lambda: np.flatnonzero(leaked),
        "images": lambda: train[~leaked],
        "leaked images": lambda: train[leaked],
        "how many": lambda: int((~leaked).sum()),
        "first": lambda: ~((train == held_out[0]).all((1, 2)) | (_flip(train) == held_out[0]).all((1, 2))),
        "last": lambda: ~((train == held_out[-1]).all((1, 2)) | (_flip(train) == held_out[-1]).all((1, 2))),
        "with mask": lambda: (train[~leaked], ~leaked),
        "by place": by_place,
        "sums": lambda: same(lambda image: int(image.sum())),
        "histograms": lambda: same(lambda image: tuple(np.sort(image.ravel()))),
        "one row": lambda: ~np.array(
            [any((image == other).all(1).any() or (image[:, ::-1] == other).all(1).any() for other in held_out) for image in train]
        ),
        "transposed": lambda: ~(exact | _is_in(train.transpose(0, 2, 1), held_out)),
        "near": lambda: near(2),
        "nearer": lambda: near(1),
        "distinct": distinct,
        "only distinct": lambda: np.array([(train == image).all((1, 2)).sum() == 1 for image in train]),
        "other side": lambda: ~(_is_in(held_out, train) | _is_in(_flip(held_out), train)),
        "any pixel": lambda: ~(train[:, None] == held_out[None]).any((1, 2, 3)),
        "both": lambda: ~(exact & mirrored),
        "nothing": lambda: np.ones(len(train), bool),
    }  # fmt: skip
    return kinds.get(kind, lambda: ~leaked)()


_LEAK_MISTAKES = {
    "exact": "A mirrored copy slips through: compare the held-out images turned left to right as well.",
    "mirrored": "Mirrored copies are found, and plain ones are not: both are leaks.",
    "upside down": "That turns images upside down; a mirror exchanges left and right, the last axis.",
    "any flip": "Images that are upside down are taken out too; only left and right are exchanged by a mirror.",
    "both flips": "Images that are upside down are taken out too; only left and right are exchanged by a mirror.",
    "turned": "That turns images by half a turn; a mirror exchanges left and right alone, the last axis.",
    "leaked": "It is the wrong way round: True is asked for where an image may stay.",
    "exact leaked": "It is the wrong way round, True where an image may stay, and mirrored copies slip through.",
    "places": "Those are the places of the images that stay; a True or False for every image is asked for.",
    "leaked places": "Those are the places of the leaks; a True or False for every training image is asked for.",
    "images": "Those are the images that stay; a True or False for every image is asked for (labels need it too).",
    "leaked images": "Those are the leaked images; a True or False for every training image is asked for.",
    "how many": "That is how many stay; a True or False for every training image is asked for.",
    "first": "Only the first held-out image is compared: each training image must differ from all of them.",
    "last": "Only the last held-out image counts: a later one must not undo what an earlier one has found.",
    "with mask": "Return the array of booleans alone.",
    "by place": "Image 1 is compared with image 1, and so on; a leak may stand at any place.",
    "sums": "Images with the same sum (or mean) are taken for the same: compare all pixels.",
    "histograms": "Images with the same grey values in other places are taken for the same: places count.",
    "one row": "Images that share a row are taken for the same: compare all rows.",
    "transposed": "That exchanges rows and columns; a mirror exchanges left and right, the last axis.",
    "near": "Images that differ by a grey level or two are taken out as well; only exact copies are asked for.",
    "nearer": "Images that differ by one grey level are taken out as well; only exact copies are asked for.",
    "distinct": "Copies within the training set are taken out as well; they are no leak.",
    "only distinct": "That finds copies within the training set; the held-out images are not looked at.",
    "other side": "That says which held-out images stand in train; the training images are to be judged.",
    "any pixel": "One equal pixel is enough here; all of them must be equal.",
    "both": "An image is taken out only if it is a copy *and* a mirrored copy; one is enough.",
    "nothing": "Nothing is taken out.",
}


def _explain_leaks(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Say of one training image what was done with it, and why that is wrong."""
    train, held_out = arguments
    found, right = as_array(seen[RESULT]), expected[RESULT]
    if isinstance(seen[RESULT], (tuple, list)) and len(seen[RESULT]) == 2 and len(right) != 2:
        return "Return the array of booleans alone."
    if found is None or found.dtype.kind != "f":
        return None
    if found.shape != right.shape:
        if found.shape == (int(right.sum()),) and found.size and bool((found == found[0]).all()):
            return (
                "There is a value for those that stay alone; every training image needs one, True or False."
            )
        return None
    if not np.isin(found, (0, 1)).all():
        return "True or False (1 or 0) is asked for, for every training image."
    place = int(np.flatnonzero(found != right)[0])
    image = train[place][None]
    if not right[place]:
        how = "a copy" if _is_in(image, held_out)[0] else "a mirrored copy"
        return f"Training image {place} is {how} of a held-out image, and stays."
    others = np.delete(train, place, axis=0)
    same = " (it has a copy within train, which is no leak)" if _is_in(image, others)[0] else ""
    return f"Training image {place} is taken out, and equals no held-out image, mirrored or not{same}."


def _leak_case(seed: int, words: str, shape: tuple[int, int], plant: Callable[[Any, Any], None]) -> Case:
    def make() -> tuple[Any, ...]:
        draw = np.random.default_rng(seed)
        train = draw.integers(3, 250, (9, *shape), dtype=np.uint8)
        held_out = draw.integers(3, 250, (7, *shape), dtype=np.uint8)
        plant(train, held_out)
        return train, held_out

    return Case(make, words)


def _judge_without_leaks(answer: Any) -> str:
    def exact(train: Any, held_out: Any) -> None:
        train[1], train[5] = held_out[4], held_out[5]

    def mirrored(train: Any, held_out: Any) -> None:
        train[0], train[5], train[8] = held_out[3], held_out[6][:, ::-1], held_out[0][:, ::-1]
        held_out[5] = np.maximum(held_out[5], held_out[5][:, ::-1])
        train[3] = held_out[5]
        train[6] = held_out[1].T

    def decoys(train: Any, held_out: Any) -> None:
        train[0] = held_out[2]
        train[1], train[2] = held_out[3][::-1], held_out[4][::-1, ::-1]
        train[3] = held_out[5] + 1
        train[4] = held_out[6].reshape(-1)[::-1].reshape(held_out[6].shape)
        train[4, 0, 0], train[4, -1, -1] = train[4, -1, -1], train[4, 0, 0]
        train[5, 0] = held_out[0, 0]
        train[6] = train[5]
        train[7] = held_out[1][:, ::-1]
        train[8] = held_out[0] - 1

    judge_function(
        answer,
        "without_leaks",
        reference=_keep,
        cases=[
            _leak_case(1, "9 training images, of which 1 and 5 stand in held_out", (8, 8), exact),
            _leak_case(
                2,
                "9 training images, 0 and 3 copies (3 is its own mirror image), 5 and 8 mirrored, 6 "
                "with rows and columns exchanged",
                (8, 8),
                mirrored,
            ),
            _leak_case(
                3,
                "9 training images: 0 a copy, 7 a mirrored one, 1 and 2 upside down, 3 and 8 off by one, 5 and 6 "
                "the same, with the first row of a held-out image",
                (6, 5),
                decoys,
            ),
            _leak_case(4, "9 training images, none of which stands in held_out", (5, 7), lambda *_: None),
        ],
        mistakes=[Mistake(partial(_keep, kind=kind), words) for kind, words in _LEAK_MISTAKES.items()],
        explain=_explain_leaks,
    )
    return "Cut or compressed copies still pass; for those one compares images by distance, and looks."


without_leaks = Exercise("ch09", "without_leaks", _judge_without_leaks)


# Ensemble ---------------------------------------------------------------------------------------------------


class _Networks(list[nn.Module]):
    """A list that is short in a message."""

    def __repr__(self) -> str:
        return f"[{', '.join(f'network {i + 1}' for i in range(len(self)))}]"


_Networks.__name__, _Networks.__module__ = "list", "builtins"  # as a student who passes it on whole is told


def _networks(count: int, classes: int, seed: int) -> _Networks:
    torch.manual_seed(seed)
    networks = _Networks()
    for _ in range(count):
        layer = nn.Linear(16, classes)
        nn.init.normal_(layer.weight, std=0.6)
        networks.append(nn.Sequential(nn.Flatten(), layer))
    return networks


def _wrong_ensembles(logits: Tensor) -> dict[str, Callable[[], Tensor]]:
    """What else may come out, by what to say of it; ``logits`` has shape (networks, images, classes)."""
    probs = logits.softmax(2)
    votes = nn.functional.one_hot(logits.argmax(2), logits.shape[2]).float()
    return {
        "Those are the averaged probabilities: return their logarithm, so that cross_entropy and softmax can take "
        "it like any logits.": lambda: probs.mean(0),
        "Those are probabilities, added up: average them, and return the logarithm.": lambda: probs.sum(0),
        "There is a softmax after the average as well: the probabilities are averaged already, take their "
        "logarithm.": lambda: probs.mean(0).softmax(1),
        "The softmax runs over the images of the batch (dim=0): a distribution belongs to one image, dim=1.": lambda: (
            logits.softmax(1).mean(0).log()
        ),
        "The softmax runs over the images of the batch, and the logarithm is missing.": lambda: logits.softmax(1).mean(0),
        "Those are the votes of the networks: average their probabilities instead.": lambda: votes.mean(0),
        "Those are counted votes: average the probabilities of the networks instead.": lambda: votes.sum(0),
        "The greatest probability of each class is taken; average them.": lambda: probs.amax(0).log(),
        "That takes the greatest probabilities; average them, and return the logarithm.": lambda: probs.amax(0),
        "The softmax runs over the networks: it belongs to the classes of each network.": lambda: (
            logits.softmax(0).mean(0).log()
        ),
        "The sign is the other way round: log of a probability is negative.": lambda: -probs.mean(0).log(),
        "Each network's probabilities must be made before they are added: softmax of its logits, then the "
        "average.": lambda: logits.logsumexp(0),
        "The median of the probabilities is taken; average them.": lambda: probs.median(0).values.log(),
        "A logarithm is taken of each network's probabilities and then averaged; average first.": lambda: (
            probs.log().mean(0)
        ),
        "The product of the probabilities is taken; average them.": lambda: probs.prod(0),
        "Logarithms are averaged and taken back, which gives the geometric mean; average the probabilities, then "
        "take the logarithm.": lambda: probs.log().mean(0).exp(),
        "The logarithm is to the base 10; the natural one is the inverse of what softmax does.": lambda: (
            probs.mean(0).log10()
        ),
        "The logarithm is to the base 2; the natural one is the inverse of what softmax does.": lambda: (
            probs.mean(0).log2()
        ),
        "log1p is the logarithm of one more; take log.": lambda: probs.mean(0).log1p(),
        "logit is the inverse of the sigmoid; of softmax it is the logarithm.": lambda: probs.mean(0).logit(),
        "A sigmoid judges each class by itself; softmax gives the probabilities here.": lambda: (
            logits.sigmoid().mean(0).log()
        ),
        "A sigmoid judges each class by itself, and the logarithm is missing; take softmax.": lambda: (
            logits.sigmoid().mean(0)
        ),
        "Only the most confident network has a say; average the probabilities of all.": lambda: torch.stack(
            [probs[i, j] for j, i in enumerate(probs.amax(2).argmax(0).tolist())]
        ).log(),
    }  # fmt: skip


def _judge_ensemble(answer: Any) -> str:
    name = "Ensemble"
    for number, (count, classes, images) in enumerate(((2, 7, 5), (3, 4, 3), (1, 7, 4))):
        networks = _networks(count, classes, seed=number)
        trial = Trial((networks,), (images, 1, 4, 4))
        given = f"{name}({networks}), of {classes} classes"
        x = trial.input(number)
        logits = torch.stack([network(x) for network in networks]).detach()
        expected = logits.softmax(2).mean(0)
        module = build_answer(answer, name, trial)
        module.eval()
        fed = _watch(networks)
        try:
            out = forward(module, x, name, trial)
        except Wrong as error:
            if any(shape != x.shape for shape in fed):
                raise Wrong(f"{_FED}\n{error}") from error
            raise
        if out.shape != expected.shape:
            told = tell_shape(out, expected, x) or "One row an image and one value a class is asked for."
            raise Wrong(f"{told}\n{given}, gives shape {tuple(out.shape)}; expected {tuple(expected.shape)}.")
        again = forward(module, x, name, trial)
        if again.shape == out.shape and differs(again.detach(), out.detach(), rtol=1e-4, atol=1e-5):
            raise Wrong(f"{given}, gives other values each time: nothing is to be drawn here.")
        if words := differs(out.detach().float().softmax(1), expected, rtol=1e-3, atol=1e-4):
            _name_ensemble(
                out.detach().float(), logits, number, f"{given}: softmax of what it gives: {words}."
            )
        _judge_members(module, networks, x, given)
    return "A board ranks it by accuracy; its cost is that of all its networks together."


_FED = "A network is fed with the output of the one before it: each gets the images."


def _watch(networks: _Networks) -> list[tuple[int, ...]]:
    """Return a list that fills with the shapes of what the networks are called with."""
    fed: list[tuple[int, ...]] = []
    for network in networks:
        network.register_forward_pre_hook(lambda _, given: fed.append(tuple(given[0].shape)))
    return fed


def _name_ensemble(out: Tensor, logits: Tensor, number: int, fault: str) -> None:
    """Raise `Wrong`, naming what came out instead of the right logits."""
    if number:
        first = "two networks of 7 classes" if number == 1 else "several networks"
        fault += f"\nWith {first} it was right: is a number of networks or classes typed in?"
    for message, make in _wrong_ensembles(logits).items():
        if not differs(out, make(), rtol=1e-3, atol=1e-4):
            raise Wrong(f"{message}\n{fault}")
    if bool(out.isnan().any()):
        raise Wrong(
            "Some values are NaN: is a logarithm taken of something negative, such as logits? softmax comes "
            f"first.\n{fault}"
        )
    mean = logits.softmax(2).mean(0)
    ratio = out / mean
    if not differs(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-3, atol=1e-4):
        raise Wrong(
            f"Those are {float(ratio[0, 0]):.4g} times the averaged probabilities: divide by the number of networks, "
            f"and return the logarithm.\n{fault}"
        )
    found = out.softmax(1)
    votes = nn.functional.one_hot(logits.argmax(2), logits.shape[2]).float()
    several = len(logits) > 1
    kinds = {
        "The logits (or the logarithms) are averaged, which gives the geometric mean; average the probabilities, "
        "then take the logarithm.": logits.mean(0),
        "The logits are added up: that multiplies the probabilities; average them.": logits.sum(0),
        "There is a softmax (or log_softmax) after the average as well: the probabilities are averaged already, take "
        "their logarithm.": logits.softmax(2).mean(0),
        "Those are the votes of the networks: average their probabilities instead.": votes.mean(0).log(),
        "Only the first network has a say.": logits[0],
        "Only the last network has a say.": logits[-1],
        "The first network is left out.": logits[1:].softmax(2).mean(0).log() if several else logits[0],
        "The last network is left out.": logits[:-1].softmax(2).mean(0).log() if several else logits[0],
        "The logarithm is taken twice, or of something else than the averaged probabilities.": logits.softmax(2)
        .mean(0).log().log_softmax(1).abs().log(),
        "The greatest logit of each class is taken; average the probabilities.": logits.amax(0),
    }  # fmt: skip
    for message, wrong in kinds.items():
        if not differs(found, wrong.softmax(1), rtol=1e-3, atol=1e-4):
            raise Wrong(f"{message}\n{fault}")
    raise Wrong(fault)


def _judge_members(module: nn.Module, networks: _Networks, x: Tensor, given: str) -> None:
    """Raise `Wrong` where the networks are not the module's own, or no gradient reaches them."""
    held = sum(parameter.numel() for parameter in module.parameters())
    wanted = sum(parameter.numel() for network in networks for parameter in network.parameters())
    if held < wanted:
        raise Wrong(
            f"{given}: the values are right, but PyTorch sees {held} of {wanted} parameters: keep the networks in an "
            "nn.ModuleList, or .eval(), .to(device) and state_dict() pass them by."
        )
    if held > wanted:
        raise Wrong(
            f"{given}: it has {held} parameters, the networks together {wanted}: none of its own is needed."
        )
    module.train()
    loss = run(
        lambda: nn.functional.cross_entropy(module(x), torch.zeros(len(x), dtype=torch.long)), what=given
    )
    if not loss.requires_grad:
        raise Wrong(
            f"{given}: no gradient comes through (no_grad, detach, .data or requires_grad_(False)): leave that to whoever calls it."
        )
    loss.backward()
    silent = sum(parameter.grad is None for parameter in module.parameters())
    if silent:
        raise Wrong(f"{given}: no gradient reaches {silent} of its parameters.")


Ensemble = Exercise("ch09", "Ensemble", _judge_ensemble)


# Contender --------------------------------------------------------------------------------------------------

MOST_PARAMETERS, MOST_MACS = 300_000, 60_000_000
_ASKED = ("builds", "shapes", "parameters", "gradient", "one batch", "eval", "batch")


def _judge_contender(answer: Any) -> str:
    from fercourse.check.model import check_model

    name, trial = "Contender", Trial((), (3, 1, 48, 48))
    network = build_answer(answer, name, trial)
    network.eval()
    out = forward(network, trial.input().sigmoid(), name, trial)
    if out.shape != (3, 7):
        told = (
            tell_shape(out, torch.zeros(3, 7), trial.input())
            or "One row of seven logits an image is asked for."
        )
        raise Wrong(
            f"{told}\n{name}(), for images (3, 1, 48, 48), gives {tuple(out.shape)}; expected (3, 7)."
        )
    _judge_logits(out.detach().float())
    _judge_range(build_answer(answer, name, trial).eval(), trial.input().sigmoid())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if parameters > MOST_PARAMETERS:
        raise Wrong(
            f"{name} has {parameters:,} parameters; at most {MOST_PARAMETERS:,} compete here. A dense layer after "
            "flatten is often the largest part: average over the places instead; and the widest convolutions follow."
        )
    macs = count_macs(network)
    if macs is not None and macs > MOST_MACS:
        raise Wrong(
            f"{name} takes {macs / 1e6:,.0f} million multiply-accumulates an image; at most {MOST_MACS / 1e6:.0f} "
            "million compete here. Each convolution is paid at every place: stride or pool earlier, or widen later."
        )
    report = check_model(answer, export=False, seconds=2.0)
    for check in report.checks:
        if check.name in _ASKED and check.status == "failed":
            raise Wrong(f"{name}, {check.name}: {check.sentence.rstrip('.')}.")
    cost = "" if macs is None else f" and {macs / 1e6:,.1f} million multiply-accumulates"
    return f"{parameters:,} parameters{cost}: it may compete. Enter it, with leaderboard.enter."


def _judge_logits(out: Tensor) -> None:
    """Raise `Wrong` where what comes out has been through a softmax, a sigmoid or a ReLU."""
    if not torch.isfinite(out).all():
        raise Wrong("Some of the logits are not finite (NaN or infinite) before anything has been learned.")
    if bool((out >= 0).all()) and not differs(out.sum(1), torch.ones(len(out)), rtol=1e-4, atol=1e-4):
        raise Wrong("There is a softmax at the end: cross_entropy applies its own, so return the logits.")
    if bool((out >= 0).all()) and bool((out == 0).any()) and bool((out > 0).any()):
        raise Wrong("There is a ReLU at the end: logits may be negative.")


@torch.no_grad()
def _judge_range(network: nn.Module, x: Tensor) -> None:
    """Raise `Wrong` where the output stays between 0 and 1, whatever the weights."""
    outs = []
    network(x)  # lazy layers get their weights
    for factor in (1, -8, -8):
        for parameter in network.parameters():
            parameter.mul_(factor)
        out = network(x)
        if not isinstance(out, Tensor) or not torch.isfinite(out).all():
            return
        outs.append(out.float())
    seen = torch.cat(outs)
    if bool((seen >= 0).all()) and bool((seen <= 1).all()) and bool((seen > 0).any()):
        raise Wrong(
            "All values lie between 0 and 1, as after a sigmoid: logits may be any number, return them bare."
        )


Contender = Exercise("ch09", "Contender", _judge_contender)

__all__ = ["Contender", "Ensemble", "class_recalls", "mcnemar_p", "pareto_front", "without_leaks"]
