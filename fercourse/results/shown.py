"""What a table of results says in its cells, and how two groups of trainings are compared in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pandas as pd

from fercourse.evaluate.letters import holm, significance_letters
from fercourse.evaluate.significance import FEWEST_SEEDS, compare_seeds, prediction_interval
from fercourse.records import Record
from fercourse.results.recorded import PENDING, Group, identity

#: In place of a number that a paper does not report.
NOT_REPORTED = "none"
#: Probability of calling networks different that are not, for all pairs together.
LEVEL = 0.05


@dataclass(frozen=True)
class Shown:
    """A table ready to be shown.

    Attributes:
        caption: what the table is, in a line.
        parts: frames with the same columns, one below the other, each with a heading; '' for none. The index
            names the rows. A cell is text or `RecordLinks`.
        corner: what the index holds.
    """

    caption: str
    parts: Mapping[str, pd.DataFrame]
    corner: str = "network"

    @property
    def frame(self) -> pd.DataFrame:
        """All parts in one."""
        return pd.concat(list(self.parts.values()))


@dataclass(frozen=True)
class RecordLinks:
    """A cell that leads to records: what each is called there, its name, and their folder in results."""

    links: tuple[tuple[str, str], ...] = field(default=())
    folder: str = "runs"

    def __str__(self) -> str:
        return ", ".join(text for text, _ in self.links) or PENDING


def record_links(group: Group) -> RecordLinks:
    """Return the cell that leads to every record of a group, by its seed."""
    links = ((", ".join(filter(None, [f"seed {r.seed}", r.qualifiers])), r.name) for r in group.records)
    return RecordLinks(tuple(links))


def marked(name: str, group: Group) -> str:
    """Return a row's name with what must be said of its trainings: 'basic CNN (CPU)'."""
    return f"{name} ({group.mark})" if group.mark else name


def percent(values: Iterable[float], digits: int = 1) -> str:
    """Return '70.1% ± 0.3', mean and standard deviation over the seeds of shares; 'pending' of none."""
    sample = np.asarray(list(values), dtype=np.float64)
    if not len(sample):
        return PENDING
    spread = f" ± {100 * sample.std(ddof=1):.{digits}f}" if len(sample) > 1 else ""
    return f"{sample.mean():.{digits}%}{spread}"


def seeds_of(group: Group, split: str = "val") -> str:
    """Return how many seeds hold a split, as a cell; 'CPU' where they were trained on one."""
    count = sum(record.has(split) for record in group.records)
    return marked(str(count), group) if count else PENDING


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return '1 seed' or '5 seeds'."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """Return 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def predictions(group: Group, split: str) -> np.ndarray:
    """Return the predicted classes of every seed that holds the split, int64, (seeds, N)."""
    return np.array([record.preds(split) for record in group.records if record.has(split)])


def enough(group: Group, split: str) -> bool:
    """Whether a group has the seeds that a claim needs."""
    return sum(record.has(split) for record in group.records) >= FEWEST_SEEDS


def gain(group: Group, other: Group, split: str) -> dict[str, float] | None:
    """Return `compare_seeds` of two groups, the first minus the other; None if either has too few seeds.

    Evaluations of the same trainings, such as plain ones and by ten crops, are compared training by training.
    """
    same_weights = identity(group.config.to_dict()) == identity(other.config.to_dict())
    if same_weights:
        pairs = _of_same_weights(group, other)
        group, other = (replace(group, records=records) for records in pairs)
    if not enough(group, split) or not enough(other, split):
        return None
    labels = next(record for record in group.records if record.has(split)).labels(split)
    preds = predictions(other, split), predictions(group, split)
    return compare_seeds(labels, *preds, same_weights=same_weights)


def _of_same_weights(group: Group, other: Group) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the records of two groups that one training has in both: its history tells it from others."""
    pairs = [
        (one, two)
        for one in group.records
        for two in other.records
        if one.seed == two.seed and one.data["history"] == two.data["history"]
    ]
    return tuple(one for one, _ in pairs), tuple(two for _, two in pairs)


def gain_told(group: Group, other: Group, split: str) -> str:
    """Return '+1.30 (0.42 to 2.18)': points by which a group is better than another, and the 95% interval.

    With fewer seeds than a claim needs, the difference stands alone and says of how many it is.
    """
    found = gain(group, other, split)
    if found is not None:
        low, high = 100 * found["low"], 100 * found["high"]
        return f"{100 * found['difference']:+.2f} ({low:+.2f} to {high:+.2f})"
    ours, theirs = group.accuracies(split), other.accuracies(split)
    if not len(ours) or not len(theirs):
        return PENDING
    fewest = counted(min(len(ours), len(theirs)), "seed")
    return f"{100 * (ours.mean() - theirs.mean()):+.2f} ({fewest}: no interval)"


@dataclass(frozen=True)
class Letters:
    """A compact letter display: names to letters, 'pending' for those with too few seeds, and the counts."""

    letters: Mapping[str, str]
    compared: int
    pairs: int
    differ: int


def letters(rows: Mapping[str, Group], split: str) -> Letters:
    """Return the letters of networks on a split, from all pairs that have the seeds that a claim needs.

    Each pair is compared by `compare_seeds`, and the p values are corrected by Holm's method for the number
    of pairs. 'a' is the letter of the best mean.
    """
    ready = {name: group for name, group in rows.items() if enough(group, split)}
    order = sorted(ready, key=lambda name: -ready[name].accuracies(split).mean())
    found = {(one, other): gain(ready[one], ready[other], split) for one, other in combinations(order, 2)}
    corrected = holm({pair: values["p"] for pair, values in found.items() if values is not None})
    differ = [pair for pair, p in corrected.items() if p < LEVEL]
    display = significance_letters(order, differ)
    return Letters(
        {name: display.get(name, PENDING) for name in rows}, len(ready), len(corrected), len(differ)
    )


def state_told(rows: Mapping[str, Group], split: str) -> str:
    """Say how many rows have the seeds that a claim needs."""
    ready = sum(enough(group, split) for group in rows.values())
    if not any(group.records for group in rows.values()):
        return f"None of the {len(rows)} rows has a record yet: all of ours is {PENDING}."
    told = f"{ready} of the {len(rows)} rows have records of {FEWEST_SEEDS} seeds or more."
    on_cpu = [f"'{name}' ({group.mark})" for name, group in rows.items() if group.mark]
    return f"{told} Trained without a GPU: {listed(on_cpu)}." if on_cpu else told


def letters_told(rows: Mapping[str, Group], split: str) -> str:
    """Say how many pairs of rows differ."""
    found = letters(rows, split)
    if not found.pairs:
        return f"Letters are {PENDING}: two rows with {FEWEST_SEEDS} seeds are needed."
    return f"Of {counted(found.pairs, 'pair')}, {found.differ or 'none'} differ{'s' * (found.differ < 2)}."


def within_told(rows: Mapping[str, Group], paper: Mapping[str, float], split: str) -> str:
    """Say for how many rows the paper's accuracy is one that a further seed of ours might give."""
    ready = {name: group for name, group in rows.items() if name in paper and enough(group, split)}
    if not ready:
        return f"Whether the paper's accuracies fit ours is {PENDING}."
    outside = []
    for name, group in ready.items():
        low, high = prediction_interval(group.accuracies(split))
        if not low <= paper[name] <= high:
            outside.append(f"'{name}' ({'above' if paper[name] > high else 'below'})")
    told = (
        f"For {len(ready) - len(outside)} of {counted(len(ready), 'row')}, the paper's accuracy lies in our "
        "95% interval for one further seed"
    )
    return f"{told}; it lies outside for {listed(outside)}." if outside else f"{told}."
