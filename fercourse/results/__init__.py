"""Tables of recorded results for chapters and pages: what has a record shows it, what has none is 'pending'.

A table fills by itself as its records land; only the papers' own numbers are typed (`fercourse.papers`).
`recorded` finds a grid's records, and `shown` says them in a table's cells; `networks`, `augmentations`,
`paper2`, `choices`, `ingredients` and `searches` make the tables and sentences of the pages of results.
"""

from __future__ import annotations

from fercourse.results.recorded import (
    PENDING,
    Group,
    best,
    confusions,
    difference,
    groups,
    inference_times,
    label,
    pareto_front,
    reported,
    results_table,
    table1,
    table2,
)

__all__ = [
    "PENDING",
    "Group",
    "best",
    "confusions",
    "difference",
    "groups",
    "inference_times",
    "label",
    "pareto_front",
    "reported",
    "results_table",
    "table1",
    "table2",
]
