"""Measures of claims that print a number: accuracies, gains, parameters, times, counts.

Each takes the evidence, the claimed value, and keywords that `results/claims.yml` gives under ``with``. Each
asks the paper's own tables first, then the data, then our records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fercourse.ledger.claims import look_up
from fercourse.ledger.evidence import Evidence, Finding, RowName, accuracy_of, held, names
from fercourse.ledger.rules import (
    BY_DATA,
    BY_ITSELF,
    NOT_COMPARABLE,
    NOT_DECIDABLE,
    NOT_REPRODUCED,
    PENDING,
    REPRODUCED,
    overlap,
    possible_share,
    printed_range,
)
from fercourse.papers import MACHINES, NAMES, TABLE2

#: What decides about a number of which several trainings tell.
PREDICTION = "95% prediction interval for one further seed"
#: What the audit knows: a name for claims.yml, how it is said, and how it is taken from the audit.
QUANTITIES: dict[str, tuple[str, Any]] = {
    "train": ("training images", lambda e: e.images("train")),
    "val": ("images of PublicTest", lambda e: e.images("val")),
    "test": ("images of PrivateTest", lambda e: e.images("test")),
    "held out": ("images of PublicTest and PrivateTest", lambda e: e.images("val") + e.images("test")),
    "all": ("images", lambda e: sum(map(e.images, e.audit["counts"]))),
    "classes": ("classes", lambda e: len(e.audit["emotions"])),
    "image size": ("as the size of its images", lambda e: " and ".join(e.audit["image_sizes"])),
    "people": ("people", lambda e: e.audit.get("people")),
}


def fewest() -> int:
    """Return how many seeds a claim needs."""
    from fercourse.evaluate.significance import FEWEST_SEEDS

    return FEWEST_SEEDS


def waiting(groups: Sequence[Any], split: str) -> Finding | None:
    """Return a finding that says which seeds are missing, or None where each group has enough."""
    short = [(group, len(held(group, split))) for group in groups]
    short = [(group, count) for group, count in short if count < fewest()]
    if not short:
        return None
    least = min(count for _, count in short)
    most = max(count for _, count in short)
    # Options of a network tell the rows of one network apart.
    told = dict.fromkeys(
        ", ".join([group.model, *(f"{key} {value}" for key, value in group.config.model_options.items())])
        for group, _ in short
    )
    which = ", ".join(told) if len(told) <= 3 else f"{len(told)} networks"
    count = f"{'at most ' * (least < most)}{most} seed{'s are' * (most > 1) or ' is'}"
    found = count if most else "no seed is"
    return Finding(
        PENDING,
        f"A verdict needs {fewest()} seeds of each network; {found} recorded of {which}.",
        seeds=least,
        records=names(*(held(group, split) for group in groups)),
    )


def points(value: float, digits: int = 2) -> str:
    """Return a difference of shares as '+1.34 points'."""
    return f"{100 * value:+.{digits}f} points"


def mean_and_spread(values: np.ndarray) -> str:
    """Return accuracies as '70.10% ± 0.31'."""
    spread = f" ± {100 * values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2%}{spread}"


def accuracy(
    evidence: Evidence, claimed: float, *, row: RowName, split: str, grid: str = "table2"
) -> Finding:
    """Judge a printed accuracy: a share of the split's images, and one that a further seed may have."""
    from fercourse.evaluate.significance import prediction_interval

    group = evidence.group(grid, row)
    records, n = held(group, split), evidence.images(split)
    values = np.array([accuracy_of(record, split) for record in records])
    shown = mean_and_spread(values) if len(values) else ""
    about: dict[str, Any] = {"ours": shown, "seeds": len(values), "records": names(records)}
    if not possible_share(claimed, n):
        near = sorted({round(k / n, 6) for k in (int(claimed * n), int(claimed * n) + 1)})
        return Finding(
            BY_DATA,
            f"No whole number of the split's {n:,} images gives {claimed:.2%}, rounded or cut; the shares "
            f"next to it are {near[0]:.3%} and {near[1]:.3%}.",
            test="possible shares",
            **about,
        )
    if short := waiting([group], split):
        return Finding(PENDING, short.reason, **about)
    low, high = prediction_interval(values)
    inside = low <= claimed <= high
    return Finding(
        REPRODUCED if inside else NOT_REPRODUCED,
        f"{claimed:.2%} lies {'in' if inside else 'outside'} the interval from {low:.2%} to {high:.2%}, in "
        "which a further training of ours is expected.",
        test=PREDICTION,
        low=low,
        high=high,
        **about,
    )


def gain(
    evidence: Evidence, claimed: float, *, better: RowName, other: RowName, split: str, grid: str
) -> Finding:
    """Judge a stated difference of two rows, first by the paper's table, then by our seeds, pair by pair."""
    from fercourse.evaluate.significance import prediction_interval

    low_printed, high_printed = printed_range(claimed)
    printed = [evidence.printed(grid, row, split) for row in (better, other)]
    own = ""
    if None not in printed:
        table = round(printed[0] - printed[1], 4)  # type: ignore[operator]
        if not low_printed - 1e-9 <= table < high_printed - 1e-9:
            return Finding(
                BY_ITSELF,
                f"Its own table has {points(table)}, which is not printed as {points(claimed)}.",
                test="the paper's table",
            )
        own = f" Its own table has {points(table)}."
    groups = [evidence.group(grid, row) for row in (better, other)]
    others = {record.seed: record for record in held(groups[1], split)}
    pairs = [(record, others[record.seed]) for record in held(groups[0], split) if record.seed in others]
    differences = np.array([accuracy_of(a, split) - accuracy_of(b, split) for a, b in pairs])
    spread = f" ± {100 * differences.std(ddof=1):.2f}" if len(pairs) > 1 else ""
    about: dict[str, Any] = {
        "ours": points(differences.mean()) + spread if len(pairs) else "",
        "seeds": len(pairs),
        "records": names([a for a, _ in pairs], [b for _, b in pairs]),
    }
    if len(pairs) < fewest():
        short = waiting(groups, split)
        reason = short.reason if short else f"A verdict needs {fewest()} seeds that both networks have."
        return Finding(PENDING, reason + own, **about)
    low, high = prediction_interval(differences)
    fits = overlap((low, high), (low_printed, np.nextafter(high_printed, 0)))
    # An interval that has room for the printed gain and for none says nothing of either.
    wide = fits and low <= 0 <= high and not low_printed <= 0 <= high_printed
    return Finding(
        NOT_DECIDABLE if wide else REPRODUCED if fits else NOT_REPRODUCED,
        f"A further pair of ours is expected between {points(low)} and {points(high)}, which "
        f"{'has room for' if fits else 'has no room for'} what is printed as {100 * claimed:g}"
        f"{' and for no difference' * wide}.{own}",
        test=PREDICTION,
        low=low,
        high=high,
        **about,
    )


def parameters(
    evidence: Evidence, claimed: int, *, model: str, variants: Sequence[dict[str, Any]] = ()
) -> Finding:
    """Judge a printed count of parameters: the network as published, and which variant would fit instead."""
    low, high = printed_range(claimed / 1e6)
    count = evidence.parameters(model)
    fits = low <= count / 1e6 < high
    rounded = f"{count / 1e6:.1f}" == f"{claimed / 1e6:.1f}"
    way = "rounded or cut" if not fits else "rounded" if rounded else "cut after the first decimal"
    others = []
    for options in () if fits else variants:
        other = evidence.parameters(model, tuple(sorted(options.items())))
        word = "fits" if low <= other / 1e6 < high else "does not fit either"
        told = ", ".join(f"{key} {value}" for key, value in options.items())
        others.append(f"With {told} it has {other / 1e6:.3f} million, which {word}.")
    return Finding(
        REPRODUCED if fits else NOT_REPRODUCED,
        " ".join(
            [
                f"As published, with one channel and seven classes, {NAMES[model]} has {count / 1e6:.3f} "
                "million, "
                f"{'printed as' if fits else 'which is not printed as'} {claimed / 1e6:.1f}, {way}.",
                *others,
            ]
        ),
        ours=f"{count / 1e6:.3f} million",
        test="counted",
    )


def time(evidence: Evidence, claimed: float, *, model: str, reference: str = "resnet18") -> Finding:
    """Judge a printed time: only on the paper's machine can it be; the ratio to a reference stands beside."""
    ratio = claimed / TABLE2[reference].milliseconds
    found = {}
    for times in evidence.times:
        rows = {row["model"]: row for row in times["rows"] if row["batch_size"] > 1}
        if {model, reference} <= rows.keys():
            found[times["device_name"]] = rows
    shown = "; ".join(
        f"{rows[model]['ms']:,.0f} ms on {device}, {rows[model]['ms'] / rows[reference]['ms']:.2f} of "
        f"{NAMES[reference]}'s"
        for device, rows in found.items()
    )
    own = f"The paper's is {ratio:.2f} of {NAMES[reference]}'s."
    machine = MACHINES[1]
    if machine is None:
        return Finding(
            NOT_COMPARABLE,
            f"The paper does not name its machine. {own}"
            + ("" if found else " No times of ours are recorded yet."),
            ours=shown,
        )
    if machine not in found:
        return Finding(
            PENDING, f"No times from {machine}, the paper's machine, are recorded. {own}", ours=shown
        )
    row = found[machine][model]
    fits = row["ms_low"] <= claimed <= row["ms_high"]
    return Finding(
        REPRODUCED if fits else NOT_REPRODUCED,
        f"On the paper's machine ours lie between {row['ms_low']:,.1f} and {row['ms_high']:,.1f} ms. {own}",
        ours=shown,
        test="range of our timings",
        low=row["ms_low"],
        high=row["ms_high"],
    )


def count(
    evidence: Evidence,
    claimed: int | str,
    *,
    quantity: str | Sequence[str],
    about: bool = False,
    same_as: Sequence[str] = (),
    shares_of: Sequence[str] = (),
) -> Finding:
    """Judge a count of the data set.

    Args:
        quantity: a name of `QUANTITIES`, or several of which one must fit.
        about: the last zeros of the claimed number are not meant.
        same_as: references to the paper's own numbers, one of which must agree.
        shares_of: splits whose accuracies in its Table 2 must be shares of so many images.
    """

    def fits(number: Any) -> bool:
        low, high = printed_range(claimed, whole=True) if about else (claimed, claimed)  # type: ignore[arg-type]
        return low <= number < high if about else number == claimed

    said = f"{claimed:,}" if isinstance(claimed, int) else str(claimed)
    asked = [quantity] if isinstance(quantity, str) else list(quantity)
    known = {name: QUANTITIES[name][1](evidence) for name in asked}
    ours = "; ".join(_said(name, number) for name, number in known.items() if number is not None)
    own = {reference: look_up(reference) for reference in same_as}
    if own and not any(map(fits, own.values())):
        told = " and ".join(f"{number:,}" for number in own.values())
        return Finding(BY_ITSELF, f"Its own table has {told}.", ours=ours, test="the paper's table")
    cells = [(name, split, getattr(row, split)) for name, row in TABLE2.items() for split in shares_of]
    wrong = [cell for cell in cells if not possible_share(cell[2], int(claimed))]
    if wrong:
        return Finding(
            BY_ITSELF,
            f"Of the {len(cells)} accuracies in its Table 2 on these splits, {len(wrong)} are no share of "
            f"{said} images, rounded or cut; the first is {wrong[0][2]:.2%}.",
            ours=ours,
            test="possible shares",
        )
    if all(number is None for number in known.values()):
        names_ = ", ".join(QUANTITIES[name][0] for name in asked)
        return Finding(NOT_DECIDABLE, f"The data set does not tell: it holds no count of {names_}.")
    right = any(fits(number) for number in known.values() if number is not None)
    verb = "fits" if right else "does not fit"
    return Finding(
        REPRODUCED if right else BY_DATA,
        f"The official file has {ours}; {said} {verb}.",
        ours=ours,
        test="counted",
    )


def _said(name: str, number: Any) -> str:
    return (
        f"{number:,} {QUANTITIES[name][0]}" if isinstance(number, int) else f"{number} {QUANTITIES[name][0]}"
    )


def same(evidence: Evidence, claimed: float, *, as_: str) -> Finding:
    """Judge whether two numbers of a paper, which must be the same, are."""
    other = look_up(as_)
    equal = claimed == other
    return Finding(
        REPRODUCED if equal else BY_ITSELF,
        f"It prints {claimed:.2%} and {other:.2%}.",
        test="the paper's table",
    )


def fewest_images(evidence: Evidence, claimed: None, *, emotion: str, split: str = "train") -> Finding:
    """Judge whether a class has the fewest images."""
    counts = evidence.audit["counts"][split]
    least = min(counts, key=lambda name: counts[name])
    return Finding(
        REPRODUCED if least == emotion else BY_DATA,
        f"Of {evidence.images(split):,} images, {counts[emotion]:,} are labelled {emotion}; the fewest are "
        f"of {least}, {counts[least]:,}.",
        ours=f"{counts[emotion]:,} images",
        test="counted",
    )
