"""What claims are held against: records, the audit of the data, times, and the networks' parameters."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fercourse.errors import FercourseError, shown
from fercourse.papers import TABLE1, TABLE2
from fercourse.records import RECORDS, Record, load_records, results_folder


@dataclass(frozen=True)
class Finding:
    """What a measure found.

    Attributes:
        verdict: a key of `fercourse.ledger.rules.VERDICTS`.
        reason: why, in a sentence or two.
        ours: our value with its spread, as it is shown; empty where there is none.
        test: what decided, such as 'prediction interval'.
        seeds: trainings behind our value (of each network, the least).
        low, high: the ends of the interval that decided, or None.
        records: names of the records behind it.
    """

    verdict: str
    reason: str
    ours: str = ""
    test: str = ""
    seeds: int = 0
    low: float | None = None
    high: float | None = None
    records: tuple[str, ...] = ()


#: A row of a grid: a network as its recipe has it, what a row is called, or a mapping of ``model``, options
#: of that model and, where it is not the measure's, ``grid``.
RowName = str | Mapping[str, Any]


class Evidence:
    """All there is, each part read once and only when asked for.

    Args:
        folder: the results folder; None for the one in use.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self.folder = Path(folder or results_folder())
        self._groups: dict[str, list[Any]] = {}
        self._compared: dict[Any, dict[str, Any]] = {}

    @functools.cached_property
    def records(self) -> list[Record]:
        return load_records(self.folder)

    @functools.cached_property
    def audit(self) -> dict[str, Any]:
        """The audit of the official data.

        Raises:
            FercourseError: it cannot be read.
        """
        path = self.folder / "audits" / "fer2013.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FercourseError(f"{path} cannot be read: restore it from version control.") from error

    def images(self, split: str) -> int:
        """Return how many images a split of the official data has."""
        return sum(self.audit["counts"][split].values())

    @functools.cached_property
    def times(self) -> list[dict[str, Any]]:
        """What `fercourse times` recorded, a machine each."""
        from fercourse.bench.times import read_times

        return [read_times(path) for path in sorted((self.folder / "times").glob(RECORDS))]

    @functools.cache  # noqa: B019 - an Evidence lives as long as one ledger is made
    def parameters(self, model: str, options: tuple[tuple[str, Any], ...] = ()) -> int:
        """Return the parameters of a network, counted without allocating them."""
        import torch

        from fercourse.models import create_model

        with torch.device("meta"):
            return sum(p.numel() for p in create_model(model, **dict(options)).parameters())

    def has_grid(self, grid: str) -> bool:
        from fercourse.grids import GRIDS

        return grid in GRIDS

    def group(self, grid: str, row: RowName) -> Any:
        """Return the `fercourse.results.Group` of a grid's row.

        Raises:
            FercourseError: the grid has no such row.
        """
        from fercourse.grids import GRIDS
        from fercourse.results import groups

        wanted = {"model": row} if isinstance(row, str) else dict(row)
        grid = wanted.pop("grid", grid)
        if grid not in GRIDS:
            raise FercourseError(f"A claim asks for the grid {shown(grid)}, which does not exist.")
        if grid not in self._groups:
            self._groups[grid] = groups(grid, self.records)
        model = wanted.pop("model")
        for group in self._groups[grid]:
            named = isinstance(row, str) and group.shows.partition(":")[0] == row
            plain = group.model == model and dict(group.config.model_options) == wanted
            if named or (plain and (wanted or _as_its_recipe(group.config))):
                return group
        raise FercourseError(f"A claim asks for {shown(row)} of the grid {grid}, which has no such row.")

    def printed(self, grid: str, row: RowName, split: str) -> float | None:
        """Return the accuracy that paper 1 prints for a row, or None where it prints none."""
        name = row if isinstance(row, str) else row["model"]
        if grid == "table1" and split == "val" and name in TABLE1:
            return TABLE1[name]
        return getattr(TABLE2[name], split) if grid == "table2" and name in TABLE2 else None

    def compare(self, better: Any, other: Any, split: str) -> dict[str, Any]:
        """Return `compare_seeds` of two groups, with better's accuracy minus other's as its difference."""
        from fercourse.evaluate.significance import compare_seeds

        pair = [[record for record in group.records if record.has(split)] for group in (other, better)]
        key = (split, names(pair[0]), names(pair[1]))
        if key not in self._compared:
            labels = pair[0][0].labels(split)
            preds = [np.stack([record.preds(split) for record in records]) for records in pair]
            self._compared[key] = compare_seeds(labels, *preds)
        return self._compared[key]


def _as_its_recipe(config: Any) -> bool:
    from fercourse.records import experiment

    return not experiment(config.to_dict())


def held(group: Any, split: str) -> list[Record]:
    """Return a group's records that hold the split: on train, those whose accuracy there was measured."""
    if split == "train":
        return [record for record in group.records if record.data["train_accuracy"] is not None]
    return [record for record in group.records if record.has(split)]


def accuracy_of(record: Record, split: str) -> float:
    """Return a record's accuracy: on train as it was measured, on val and test from its predictions."""
    if split == "train":
        return float(record.data["train_accuracy"])
    return float((record.preds(split) == record.labels(split)).mean())


def names(*groups: Sequence[Record]) -> tuple[str, ...]:
    """Return the names of the records, each once, in their order."""
    return tuple(dict.fromkeys(record.name for group in groups for record in group))
