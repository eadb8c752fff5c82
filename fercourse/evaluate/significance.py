"""How sure a number is: intervals, and whether two networks differ on the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fercourse.errors import FercourseError, nearest
from fercourse.evaluate.metrics import NUM_CLASSES, checked_classes

#: Seeds below which nothing is claimed of a network: the spread of two is hardly known.
FEWEST_SEEDS = 3


def prediction_interval(values: np.ndarray | Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Return the interval (low, high) in which the value of one further seed is expected.

    From Student's t with n - 1 degrees of freedom: mean +- t * s * sqrt(1 + 1 / n), for seeds whose values
    are normally distributed (Hahn & Meeker 1991, section 4.7). It is wider than the interval of the mean: a
    paper that trained once reports one value, not a mean.

    Args:
        values: one value a seed, two or more.

    Raises:
        FercourseError: fewer than two values, a value that is not finite, a level outside (0, 1).
    """
    from scipy.special import stdtrit  # Student's t; scipy.stats takes a second to import

    sample = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(sample) < 2 or not np.isfinite(sample).all():
        raise FercourseError(
            f"The values of {len(sample)} seeds are {sample.tolist()}; expected two finite values or more."
        )
    reach = stdtrit(len(sample) - 1, _tails(level)[1]) * sample.std(ddof=1) * np.sqrt(1 + 1 / len(sample))
    return float(sample.mean() - reach), float(sample.mean() + reach)


def welch_interval(
    values_a: np.ndarray | Sequence[float], values_b: np.ndarray | Sequence[float], *, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval (low, high) of b's mean minus a's, whose spreads may differ (Welch 1947).

    Args:
        values_a, values_b: one value a seed, two or more of each.

    Raises:
        FercourseError: fewer than two values of one, a value that is not finite, a level outside (0, 1).
    """
    from scipy.special import stdtrit

    samples = [np.asarray(values, dtype=np.float64).reshape(-1) for values in (values_a, values_b)]
    if min(map(len, samples)) < 2 or not all(np.isfinite(sample).all() for sample in samples):
        raise FercourseError(
            f"The values are {samples[0].tolist()} and {samples[1].tolist()}; expected two finite ones or "
            "more of each."
        )
    parts = [(sample.var(ddof=1) / len(sample), len(sample) - 1) for sample in samples]
    variance, difference = sum(part for part, _ in parts), float(samples[1].mean() - samples[0].mean())
    if not variance > 0:
        return difference, difference
    freedom = variance**2 / sum(part**2 / n for part, n in parts)
    reach = float(stdtrit(freedom, _tails(level)[1]) * np.sqrt(variance))
    return difference - reach, difference + reach


def bootstrap_interval(
    labels: np.ndarray,
    preds: np.ndarray,
    *,
    metric: str = "accuracy",
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval (low, high) of a metric over the images (Efron 1979).

    A resampled test set matters only by how often each pair (label, predicted class) is in it, so the pairs'
    counts are drawn, from the multinomial distribution, instead of the images: the same interval, much
    faster. For accuracy alone nothing is drawn: its resampled hits are binomial, and the interval is that of
    endless repeats, the same wherever it is computed.

    Args:
        metric: 'accuracy', 'balanced_accuracy' or 'macro_f1'.
        level: probability that the interval is to have.
        repeats, seed: resampled test sets, and what draws them (not for accuracy).

    Raises:
        FercourseError: as `metrics`; an unknown metric; a level outside (0, 1).
    """
    labels, preds = checked_classes(labels=labels, preds=preds)
    score, k = _score(metric), NUM_CLASSES
    if metric == "accuracy":
        from scipy.stats import binom

        n = len(labels)
        low, high = binom.ppf(_tails(level), n, (labels == preds).mean()) / n
        return float(low), float(high)
    counts = _resampled(labels * k + preds, k**2, repeats, seed).reshape(-1, k, k)
    return _percentiles(score(counts), level)


def mcnemar(labels: np.ndarray, preds_a: np.ndarray, preds_b: np.ndarray) -> dict[str, Any]:
    """Return the exact McNemar test (McNemar 1947) of two networks on the same images.

    Under the hypothesis that neither is the better one, an image that exactly one of them gets right is as
    likely one's as the other's; the p value is two-sided, from the binomial distribution, exact for few and
    for many.

    Returns:
        ``only_a`` and ``only_b``: images that only this one gets right; ``p``.

    Raises:
        FercourseError: as `metrics`.
    """
    from scipy.stats import binomtest

    labels, preds_a, preds_b = checked_classes(labels=labels, preds_a=preds_a, preds_b=preds_b)
    hits_a, hits_b = preds_a == labels, preds_b == labels
    only_a, only_b = int((hits_a & ~hits_b).sum()), int((hits_b & ~hits_a).sum())
    discordant = only_a + only_b
    p = float(binomtest(only_a, discordant, 0.5).pvalue) if discordant else 1.0
    return {"only_a": only_a, "only_b": only_b, "p": p}


def paired_bootstrap(
    labels: np.ndarray,
    preds_a: np.ndarray,
    preds_b: np.ndarray,
    *,
    metric: str = "accuracy",
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the bootstrap of the difference between two networks on the same resampled images.

    Returns:
        ``difference``, the metric of b minus that of a; ``low`` and ``high``, its percentile interval; ``p``,
        two-sided: twice the smaller share of resampled differences on one side of zero, (k + 1) / (repeats +
        1) so that it is never 0 (Davison & Hinkley 1997); ``metric``, ``level``, ``repeats``, ``seed``.

    Raises:
        FercourseError: as `bootstrap_interval`.
    """
    labels, preds_a, preds_b = checked_classes(labels=labels, preds_a=preds_a, preds_b=preds_b)
    score, k = _score(metric), NUM_CLASSES
    cells = (labels * k + preds_a) * k + preds_b
    observed = np.bincount(cells, minlength=k**3).reshape(1, k, k, k)
    counts = _resampled(cells, k**3, repeats, seed).reshape(-1, k, k, k)
    # Summing out the other network's axis leaves each one's confusion matrix.
    differences = score(counts.sum(2)) - score(counts.sum(3))
    below, above = int((differences <= 0).sum()), int((differences >= 0).sum())
    low, high = _percentiles(differences, level)
    return {
        "difference": float((score(observed.sum(2)) - score(observed.sum(3)))[0]),
        "low": low,
        "high": high,
        "p": min(1.0, 2 * (min(below, above) + 1) / (repeats + 1)),
        "metric": metric,
        "level": level,
        "repeats": repeats,
        "seed": seed,
    }


def compare_seeds(
    labels: np.ndarray,
    preds_a: np.ndarray,
    preds_b: np.ndarray,
    *,
    same_weights: bool = False,
    level: float = 0.95,
) -> dict[str, Any]:
    """Return how far the accuracies of two networks differ, each trained with several seeds, and how surely.

    Two things could have come out otherwise: the seeds, each network's own, and the test images, the same for
    both. The variance of the difference is the sum of the two parts: of each network's mean over its seeds,
    and of the mean over the images of what b gets right more often than a. Student's t, with the degrees of
    freedom of Welch and Satterthwaite, allows for the spread of few seeds being hardly known. What varies
    from image to image with the seed is counted in both parts: the interval is rather too wide than too
    narrow (as with Owen's 2007 bootstrap of rows and columns).

    Args:
        labels: (N,).
        preds_a, preds_b: predicted classes, (seeds, N), two seeds or more; their numbers may differ.
        same_weights: row i of both is the same trained network, looked at in two ways. Then what a seed
            brings, it brings to both: the seeds' part is that of the mean of the differences row by row.
        level: probability that the interval is to have.

    Returns:
        ``difference``, the mean accuracy of b minus that of a, as a share; ``low`` and ``high``, its
        interval; ``p``, two-sided; ``seeds_a``, ``seeds_b``; ``level``.

    Raises:
        FercourseError: as `metrics`; predictions that are not (seeds, N); fewer than two seeds; the same
            weights, but not the same number of rows.
    """
    from scipy.special import stdtr, stdtrit

    hits = []
    for name, preds in (("preds_a", preds_a), ("preds_b", preds_b)):
        rows = np.asarray(preds)
        if rows.ndim != 2 or len(rows) < 2:
            raise FercourseError(
                f"{name} has shape {rows.shape}; expected (seeds, {len(labels)}) with two seeds or more."
            )
        pairs = [checked_classes(labels=labels, **{name: row}) for row in rows]
        hits.append(np.stack([truth == guess for truth, guess in pairs]).astype(np.float64))
    if same_weights and len(hits[0]) != len(hits[1]):
        raise FercourseError(
            f"preds_a has {len(hits[0])} rows and preds_b {len(hits[1])}; expected one of each for the same "
            "weights."
        )
    gain = hits[1].mean(0) - hits[0].mean(0)  # of each image
    parts = [(gain.var(ddof=1) / len(gain), len(gain) - 1)]
    seeds = [hits[1] - hits[0]] if same_weights else hits
    parts += [(rows.mean(1).var(ddof=1) / len(rows), len(rows) - 1) for rows in seeds]
    variance = sum(part for part, _ in parts)
    difference, reach = float(gain.mean()), 0.0
    p = float(difference == 0)  # where nothing varies
    if variance > 0:
        freedom = variance**2 / sum(part**2 / n for part, n in parts)
        reach = float(stdtrit(freedom, _tails(level)[1]) * np.sqrt(variance))
        p = float(2 * stdtr(freedom, -abs(difference) / np.sqrt(variance)))
    return {
        "difference": difference,
        "low": difference - reach,
        "high": difference + reach,
        "p": p,
        "seeds_a": len(hits[0]),
        "seeds_b": len(hits[1]),
        "level": level,
    }


def compare(labels: np.ndarray, preds_a: np.ndarray, preds_b: np.ndarray) -> dict[str, Any]:
    """Return what there is to say about two networks on the same images.

    Returns:
        ``n``; ``accuracy_a``, ``accuracy_b``; ``difference`` (b - a) with its 95% interval ``low``, ``high``
        and ``p_bootstrap`` from `paired_bootstrap`; ``only_a``, ``only_b`` and ``p_mcnemar`` from `mcnemar`;
        ``disagreements``, images on which the predicted classes differ.

    Raises:
        FercourseError: as `metrics`.
    """
    labels, preds_a, preds_b = checked_classes(labels=labels, preds_a=preds_a, preds_b=preds_b)
    bootstrap, test = paired_bootstrap(labels, preds_a, preds_b), mcnemar(labels, preds_a, preds_b)
    return {
        "n": len(labels),
        "accuracy_a": float((labels == preds_a).mean()),
        "accuracy_b": float((labels == preds_b).mean()),
        **{name: bootstrap[name] for name in ("difference", "low", "high", "level")},
        "p_bootstrap": bootstrap["p"],
        "only_a": test["only_a"],
        "only_b": test["only_b"],
        "p_mcnemar": test["p"],
        "disagreements": int((preds_a != preds_b).sum()),
    }


def _resampled(cells: np.ndarray, kinds: int, repeats: int, seed: int) -> np.ndarray:
    """Return how often each kind of image is in each resampled test set: (repeats, kinds)."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise FercourseError(f"repeats={repeats!r} is not a whole number from 1 up.")
    counts = np.bincount(cells, minlength=kinds)
    return np.random.default_rng(seed).multinomial(len(cells), counts / len(cells), size=repeats)


def _score(metric: str) -> Callable[[np.ndarray], np.ndarray]:
    if metric not in _SCORES:
        raise FercourseError(
            f"Metric {metric!r} is not one of {', '.join(_SCORES)}{nearest(metric, _SCORES)}."
        )
    return _SCORES[metric]


def _tails(level: float) -> tuple[float, float]:
    """Return the shares below the two ends of a central interval."""
    if not 0 < level < 1:
        raise FercourseError(f"level={level!r} is not a probability between 0 and 1, such as 0.95.")
    return (1 - level) / 2, (1 + level) / 2


def _percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, _tails(level))
    return float(low), float(high)


# Metrics of many confusion matrices at once, (R, 7, 7) to (R,), for scikit-learn scores one at a time; a test
# holds them to its values.


def _accuracy(confusion: np.ndarray) -> np.ndarray:
    return np.trace(confusion, axis1=1, axis2=2) / confusion.sum((1, 2))


def _balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    hits, images = np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(2)
    return (hits / np.maximum(images, 1)).sum(1) / (images > 0).sum(1)


def _macro_f1(confusion: np.ndarray) -> np.ndarray:
    hits, either = np.diagonal(confusion, axis1=1, axis2=2), confusion.sum(1) + confusion.sum(2)
    return (2 * hits / np.maximum(either, 1)).sum(1) / (either > 0).sum(1)


_SCORES = {"accuracy": _accuracy, "balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1}
