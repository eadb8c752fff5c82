"""The vocabulary of `results/claims.yml`: every way in which a claim can be measured, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fercourse.ledger import curves, numbers, rankings
from fercourse.ledger.evidence import Finding

#: Name -> a function of the evidence, the claimed value, and the keywords that a claim gives under ``with``.
MEASURES: dict[str, Callable[..., Finding]] = {
    "accuracy": numbers.accuracy,
    "gain": numbers.gain,
    "parameters": numbers.parameters,
    "time": numbers.time,
    "count": numbers.count,
    "fewest_images": numbers.fewest_images,
    "same": numbers.same,
    "higher": rankings.higher,
    "cheapest": rankings.cheapest,
    "control": rankings.control,
    "hardest": rankings.hardest,
    "because": rankings.because,
    "early": curves.early,
    "more_volatile": curves.more_volatile,
}

#: What kind of claim a measure is of, as readers choose among them.
KINDS = {
    "accuracy": "accuracy",
    "gain": "difference",
    "parameters": "parameters",
    "time": "time",
    "count": "count",
    "fewest_images": "count",
    "same": "count",
    "higher": "ranking",
    "cheapest": "ranking",
    "control": "cause",
    "hardest": "ranking",
    "because": "cause",
    "early": "curve",
    "more_volatile": "curve",
}


def as_printed(measure: str, value: Any) -> str:
    """Return a claimed value as readers know it from the paper: '68.54%', '9.2 million', '+1.34 points'."""
    if value is None:
        return ""
    if measure == "parameters":
        return f"{value / 1e6:.1f} million"
    if measure == "time":
        return f"{value:,.1f} ms"
    if measure == "gain":
        return f"{100 * value:+g} points"
    if measure == "early":
        return f"about {value:g}"
    if measure in ("accuracy", "same", "higher"):
        return f"{value:.2%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
