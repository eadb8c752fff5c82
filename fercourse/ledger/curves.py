"""Measures of claims about how a training goes: its first epochs, and how it jumps from epoch to epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fercourse.ledger.evidence import Evidence, Finding, RowName, held, names
from fercourse.ledger.numbers import PREDICTION, points, waiting
from fercourse.ledger.rules import NOT_DECIDABLE, NOT_REPRODUCED, REPRODUCED, overlap, printed_range
from fercourse.papers import EARLY


def early(
    evidence: Evidence,
    claimed: float | None,
    *,
    rows: Sequence[RowName],
    epochs: int,
    grid: str = "paper2",
) -> Finding:
    """Judge 'about x in the initial stage': is there an epoch at which each network may be at its number?

    Args:
        rows: networks that must be there at one and the same epoch; the numbers are `fercourse.papers.EARLY`.
        epochs: how many count as the initial stage.
    """
    from fercourse.evaluate.significance import prediction_interval

    groups = [evidence.group(grid, row) for row in rows]
    records = names(*(held(group, "val") for group in groups))
    if short := waiting(groups, "val"):
        return replace(short, records=records)
    wanted = [EARLY[group.model] if claimed is None else claimed for group in groups]
    told, holds = [], []
    for epoch in range(1, epochs + 1):
        fits, means = [], []
        for group, value in zip(groups, wanted, strict=True):
            values = np.array([record.history["val_accuracy"][epoch - 1] for record in held(group, "val")])
            below, above = printed_range(value)
            fits.append(overlap(prediction_interval(values), (below, float(np.nextafter(above, 0)))))
            means.append(f"{values.mean():.1%}")
        told.append(f"epoch {epoch}: {' and '.join(means)}")
        if all(fits):
            holds.append(str(epoch))
    which = f"in epoch {', '.join(holds)}" if holds else f"in none of the first {epochs} epochs"
    numbers = " and ".join(f"{value:g}" for value in wanted)
    return Finding(
        REPRODUCED if holds else NOT_REPRODUCED,
        f"A further training of ours may be at what is printed as {numbers} {which}.",
        ours="; ".join(told),
        test=PREDICTION,
        seeds=min(len(held(group, "val")) for group in groups),
        records=records,
    )


def jumpiness(record: Any) -> float:
    """Return the standard deviation of the change of val accuracy from one epoch to the next."""
    return float(np.diff(record.history["val_accuracy"]).std(ddof=1))


def more_volatile(
    evidence: Evidence,
    claimed: None,
    *,
    row: RowName,
    than: RowName,
    grid: str = "paper2",
) -> Finding:
    """Judge whether a network's val accuracy jumps more from epoch to epoch: Welch's t over seeds."""
    from fercourse.evaluate.significance import welch_interval

    groups = [evidence.group(grid, name) for name in (row, than)]
    records = names(*(held(group, "val") for group in groups))
    if short := waiting(groups, "val"):
        return replace(short, records=records)
    one, other = ([jumpiness(record) for record in held(group, "val")] for group in groups)
    low, high = welch_interval(other, one)
    verdict = REPRODUCED if low > 0 else NOT_REPRODUCED if high < 0 else NOT_DECIDABLE
    return Finding(
        verdict,
        f"The jumps of its val accuracy differ by {points(low)} to {points(high)} (standard deviation of the "
        "change from epoch to epoch).",
        ours=f"{100 * np.mean(one):.2f} against {100 * np.mean(other):.2f} points",
        test="Welch's t interval over seeds",
        seeds=min(len(one), len(other)),
        low=low,
        high=high,
        records=records,
    )
