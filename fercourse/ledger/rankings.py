"""Measures of claims without a number of their own: which is better, cheapest, hardest, and why.

Each asks the paper's own tables first, then our records, as in `fercourse.ledger.numbers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fercourse.data.faces import EMOTIONS
from fercourse.ledger.evidence import Evidence, Finding, RowName, accuracy_of, held, names
from fercourse.ledger.numbers import PREDICTION, points, waiting
from fercourse.ledger.rules import (
    BY_ITSELF,
    NOT_DECIDABLE,
    NOT_REPRODUCED,
    PENDING,
    REPRODUCED,
)
from fercourse.papers import NAMES, TABLE2

PAIRED = "95% interval over images and seeds"


def _printed(row: RowName) -> str:
    name = row if isinstance(row, str) else row["model"]
    return NAMES.get(name, name)


def higher(
    evidence: Evidence,
    claimed: float | None,
    *,
    better: Sequence[RowName],
    other: Sequence[RowName],
    split: str = "test",
    grid: str = "table2",
) -> Finding:
    """Judge whether each of some rows is more accurate than each of some others.

    Reproduced if the whole interval of every pair lies on the claimed side. One pair that lies on the other
    side is enough against it; among many pairs one will by luck, so its p value must stay below 5% after
    Bonferroni's correction.
    """
    pairs = [(a, b) for a in better for b in other]
    printed = [[evidence.printed(grid, row, split) for row in pair] for pair in pairs]
    for (a, b), (first, second) in zip(pairs, printed, strict=True):
        if first is not None and second is not None and first <= second:
            below = sum(None not in p and p[0] <= p[1] for p in printed)  # type: ignore[operator]
            rest = f"; the claim fails in {below} of its {len(pairs)} pairs" if len(pairs) > 1 else ""
            return _beside(
                Finding(
                    BY_ITSELF,
                    f"Its own table has {_printed(a)} at {first:.2%} and {_printed(b)} at {second:.2%}"
                    f"{rest}.",
                    test="the paper's table",
                ),
                evidence.group(grid, a),
                evidence.group(grid, b),
                split,
            )
    groups = [(evidence.group(grid, a), evidence.group(grid, b)) for a, b in pairs]
    every = [group for pair in groups for group in pair]
    ready = [pair for pair in groups if waiting(pair, split) is None]
    compared = [evidence.compare(a, b, split) for a, b in ready]
    records = names(*(held(group, split) for group in every))
    against = [c for c in compared if c["high"] < 0 and c["p"] * len(pairs) < 0.05]
    weakest = min(compared, key=lambda c: c["low"], default=None)
    about: dict[str, Any] = {"records": records, "test": PAIRED if compared else ""}
    if weakest is not None:
        about |= {
            "ours": points(weakest["difference"]) + (", the least of the pairs" if len(pairs) > 1 else ""),
            "low": weakest["low"],
            "high": weakest["high"],
            "seeds": min(len(held(group, split)) for group in every),
        }
    if against:
        worst = min(against, key=lambda c: c["high"])
        about |= {"ours": points(worst["difference"]), "low": worst["low"], "high": worst["high"]}
        many = f"; it is one of {len(against)} such pairs of {len(pairs)}" if len(pairs) > 1 else ""
        return Finding(
            NOT_REPRODUCED,
            f"Ours differ the other way: {_between(worst)}{many}.",
            **about,
        )
    if short := waiting(every, split):
        done = f" {len(ready)} of {len(pairs)} pairs can be compared." if len(pairs) > 1 else ""
        return Finding(PENDING, short.reason + done, **about)
    assert weakest is not None
    if weakest["low"] > 0:
        return Finding(
            REPRODUCED, f"The whole interval lies on the claimed side: {_between(weakest)}.", **about
        )
    open_ = sum(c["low"] <= 0 for c in compared)
    many = f" in {open_} of {len(pairs)} pairs" if len(pairs) > 1 else ""
    return Finding(NOT_DECIDABLE, f"The interval contains zero{many}: {_between(weakest)}.", **about)


def _beside(finding: Finding, better: Any, other: Any, split: str) -> Finding:
    """Return what the paper's own numbers decided, with our difference of the same two networks beside it."""
    pair = [held(group, split) for group in (better, other)]
    if not all(pair):
        return finding
    means = [np.mean([accuracy_of(record, split) for record in records]) for records in pair]
    return replace(
        finding,
        ours=points(float(means[0] - means[1])),
        seeds=min(map(len, pair)),
        records=names(*pair),
    )


def _between(compared: Mapping[str, Any]) -> str:
    return f"{points(compared['low'])} to {points(compared['high'])}"


def cheapest(evidence: Evidence, claimed: None, *, model: str, quantity: str) -> Finding:
    """Judge whether a network has the fewest parameters of Table 2 ('params') or takes the least time."""
    column = {name: getattr(row, quantity) for name, row in TABLE2.items()}
    least = min(column, key=lambda name: column[name])
    if least != model:
        return Finding(
            BY_ITSELF, f"Its own table has {NAMES[least]} at {column[least]:,}.", test="the paper's table"
        )
    if quantity == "params":
        ours = {name: evidence.parameters(name) for name in TABLE2}
        found = sorted(ours, key=lambda name: ours[name])
        return Finding(
            REPRODUCED if found[0] == model else NOT_REPRODUCED,
            f"Counted in our networks, {NAMES[found[0]]} has the fewest, {ours[found[0]] / 1e6:.2f} million, "
            f"and {NAMES[found[1]]} follows with {ours[found[1]] / 1e6:.2f}.",
            ours=f"{ours[model] / 1e6:.3f} million",
            test="counted",
        )
    return _fastest(evidence, model)


def _fastest(evidence: Evidence, model: str) -> Finding:
    """Judge by our times, on every machine that has all networks: surely the least, surely not, or open."""
    second = sorted(row.milliseconds for row in TABLE2.values())[1]
    lead = 1 - TABLE2[model].milliseconds / second
    seen = {}
    for times in evidence.times:
        rows = {row["model"]: row for row in times["rows"] if row["batch_size"] > 1}
        if rows.keys() >= TABLE2.keys():
            seen[times["device_name"]] = rows
    if not seen:
        return Finding(
            PENDING,
            f"No times of ours are recorded. In the paper's own it leads by {lead:.0%}, untold how timed.",
        )
    words, surely = [], []
    for device, rows in seen.items():
        rest = {name: rows[name] for name in TABLE2 if name != model}
        next_ = min(rest, key=lambda name: rest[name]["ms"])
        if rows[model]["ms_high"] < min(row["ms_low"] for row in rest.values()):
            surely.append(True)
        elif rows[model]["ms_low"] > min(row["ms_high"] for row in rest.values()):
            surely.append(False)
        words.append(f"{rows[model]['ms']:,.0f} ms on {device}, {NAMES[next_]} {rest[next_]['ms']:,.0f}")
    verdict = NOT_DECIDABLE
    if len(surely) == len(seen) and len(set(surely)) == 1:
        verdict = REPRODUCED if surely[0] else NOT_REPRODUCED
    told = {REPRODUCED: "It is the fastest", NOT_REPRODUCED: "Another is faster"}.get(
        verdict, "Machines differ, or the ranges of the timings overlap"
    )
    return Finding(
        verdict, f"{told}: {'; '.join(words)}.", ours="; ".join(words), test="range of our timings"
    )


def control(
    evidence: Evidence,
    claimed: None,
    *,
    with_: Sequence[RowName],
    without: Sequence[RowName],
    split: str = "test",
    needs: str = "",
) -> Finding:
    """Judge whether a part of a network lets it go deeper: the same step in depth with it and without it.

    Reproduced if the step costs accuracy without the part, and demonstrably more than with it. Not reproduced
    if it costs accuracy with the part too, or brings some without it, so that there was nothing to prevent.

    Args:
        with_, without: (shallow, deep), rows with their ``grid``; without none, nothing can decide.
        needs: what a control would be, for the reason.
    """
    if not without:
        return Finding(NOT_DECIDABLE, f"It says why, and no training can tell: it would need {needs}.")
    groups = [evidence.group("", row) for row in (*with_, *without)]
    records = names(*(held(group, split) for group in groups))
    if short := waiting(groups, split):
        return replace(short, records=records)
    kept, gone = (evidence.compare(deep, shallow, split) for shallow, deep in (groups[:2], groups[2:]))
    ours = f"{points(kept['difference'])} with, {points(gone['difference'])} without"
    about: dict[str, Any] = {
        "ours": ours,
        "test": PAIRED,
        "seeds": min(len(held(group, split)) for group in groups),
        "records": records,
        "low": kept["low"],
        "high": kept["high"],
    }
    steps = f"The step in depth is {_between(kept)} with it, {_between(gone)} without it"
    if kept["high"] < 0:
        return Finding(NOT_REPRODUCED, f"{steps}: it costs accuracy all the same.", **about)
    if gone["low"] > 0:
        return Finding(NOT_REPRODUCED, f"{steps}: there is no degradation to prevent.", **about)
    if gone["high"] < 0 and kept["low"] > gone["high"]:
        return Finding(REPRODUCED, f"{steps}: it costs accuracy only without it.", **about)
    return Finding(NOT_DECIDABLE, f"{steps}: the intervals do not tell the two apart.", **about)


def recalls(record: Any, split: str) -> np.ndarray:
    """Return the recall of every class, float64 (7,)."""
    labels = record.labels(split)
    hits = np.bincount(labels[record.preds(split) == labels], minlength=len(EMOTIONS))
    return hits / np.bincount(labels, minlength=len(EMOTIONS))


def hardest(
    evidence: Evidence,
    claimed: None,
    *,
    emotion: str,
    row: RowName,
    grid: str = "paper2",
    split: str = "test",
) -> Finding:
    """Judge whether a class has the lowest recall: it minus the lowest of the others, seed by seed."""
    from fercourse.evaluate.significance import prediction_interval

    group = evidence.group(grid, row)
    records, place = held(group, split), EMOTIONS.index(emotion)
    table = np.array([recalls(record, split) for record in records]).reshape(-1, len(EMOTIONS))
    behind = table[:, place] - np.delete(table, place, axis=1).min(1, initial=np.inf)
    about: dict[str, Any] = {"seeds": len(records), "records": names(records)}
    if len(records):
        about["ours"] = f"recall {table[:, place].mean():.1%}, {points(behind.mean(), 1)} against the next"
    if short := waiting([group], split):
        return Finding(PENDING, short.reason, **about)
    low, high = prediction_interval(behind)
    about |= {"low": low, "high": high, "test": PREDICTION}
    told = f"its recall is expected {points(low, 1)} to {points(high, 1)} from the lowest of the others"
    if high < 0:
        return Finding(REPRODUCED, f"It is the lowest: {told}.", **about)
    if low > 0:
        lowest = EMOTIONS[int(table.mean(0).argmin())]
        return Finding(NOT_REPRODUCED, f"Another class, {lowest}, is lower: {told}.", **about)
    return Finding(NOT_DECIDABLE, f"It may be the lowest or not: {told}.", **about)


def because(
    evidence: Evidence,
    claimed: None,
    *,
    emotion: str,
    grid: str,
    row: RowName,
    needs: str,
    split: str = "test",
) -> Finding:
    """Judge a cause of a class's low recall: where that is taken away, in a grid, is it still the lowest?

    Args:
        grid: the control; while there is no such grid, nothing can decide.
        needs: what the control would be, for the reason.
    """
    if not evidence.has_grid(grid):
        return Finding(
            NOT_DECIDABLE, f"It says why, and none of our trainings can tell: it would need {needs}."
        )
    found = hardest(evidence, None, emotion=emotion, row=row, grid=grid, split=split)
    turned = {REPRODUCED: NOT_REPRODUCED, NOT_REPRODUCED: REPRODUCED}.get(found.verdict, found.verdict)
    return replace(found, verdict=turned, reason=f"With {needs}: {found.reason}")
