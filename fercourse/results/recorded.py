"""A grid's rows with the records of their seeds, and the chapters' tables of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fercourse.bench.times import read_times
from fercourse.errors import FercourseError
from fercourse.evaluate.significance import bootstrap_interval, mcnemar
from fercourse.grids import GRIDS, Row
from fercourse.papers import TABLE1, TABLE2
from fercourse.recipes import TrainConfig, make_config
from fercourse.records import RECORDS, Record, experiment, final_entries, load_records, results_folder

#: What `identity` returns.
Identity = tuple[str, str, str]
PENDING = "pending"


def reported(models: Sequence[str] | None = None, recipe: str | None = None) -> list[Record]:
    """Return the records whose test accuracy may be reported, those of the named networks and recipe.

    Plain predictions only: what test-time augmentation adds has tables of its own. Trainings on other copies
    of FER-2013 are left out.
    """
    return [
        record
        for record in load_records()
        if record.has("test")
        and record.tta == "none"
        and (_on_drawn_faces(record) or _on_fer2013(record))
        and (models is None or record.model in models)
        and (recipe is None or record.recipe == recipe)
    ]


def best(records: Iterable[Record]) -> Record | None:
    """Return the record with the best val accuracy (nothing is chosen on test), or None of none.

    A training on train and val together has no accuracy on val: it is never the best.
    """
    records = [record for record in records if record.has("val")]
    return max(records, key=lambda record: record.metrics("val")["accuracy"], default=None)


def label(record: Record) -> str:
    """Return how a record is named wherever it is shown: network, recipe, what is special, seed."""
    special = [*changes_told(record.data["config"]), record.qualifiers]
    return ", ".join(filter(None, [record.model, record.recipe, *special, f"seed {record.seed}"]))


def changes_told(config: Mapping[str, Any]) -> list[str]:
    """Return what a configuration changes in its recipe, such as ['dropout 0.5'].

    Without what `Record.qualifiers` says already.
    """
    said = ("fit_on", "soft_labels")
    return [f"{k.rpartition('.')[2]} {value}" for k, value in experiment(config).items() if k not in said]


def results_table(models: Sequence[str] | None = None, recipe: str = "paper1") -> pd.DataFrame:
    """Return a column a record, and one that says 'pending' for each listed training without a record.

    Args:
        models: names in the order to be shown; None for all that results/final.yml lists for the recipe.
        recipe: a name in `fercourse.recipes.RECIPES`.

    Returns:
        Text, ready to be shown: test accuracy and its interval, without twins, balanced, val, size, time.
    """
    listed = [entry["model"] for entry in final_entries() if entry["recipe"] == recipe]
    columns: dict[str, dict[str, str]] = {}
    for model in dict.fromkeys(listed if models is None else models):
        found = reported([model], recipe)
        for record in found:
            columns[label(record)] = _column(record)
        if not found:
            columns[f"{model}, {recipe}"] = {"test accuracy": PENDING}
    return pd.DataFrame(columns).fillna("")


def _column(record: Record) -> dict[str, str]:
    test = record.metrics("test")
    val = f"{record.metrics('val')['accuracy']:.1%}" if record.has("val") else "trained on"
    low, high = bootstrap_interval(record.labels("test"), record.preds("test"))
    return {
        "test accuracy": f"{test['accuracy']:.1%}",
        "its 95% interval": f"{low:.1%} to {high:.1%}",
        "on images without a twin": f"{test['accuracy_without_twins']:.1%}",
        "balanced accuracy": f"{test['balanced_accuracy']:.1%}",
        "accuracy on val": val,
        "parameters": f"{record.data['parameters']:,}",
        "epochs": str(len(record.history["epoch"])),
        "minutes of training": f"{record.history['seconds'].sum() / 60:.0f}",
    }


def confusions(record: Record, split: str = "test") -> np.ndarray:
    """Return a record's confusion matrix, int64 (7, 7): rows are labels, columns predictions."""
    return np.array(record.metrics(split)["confusion"])


@dataclass(frozen=True, eq=False)
class Group:
    """One configuration and the records of its seeds, in their order; none where it is pending."""

    config: TrainConfig
    shows: str
    records: tuple[Record, ...]

    @property
    def model(self) -> str:
        return self.config.model

    @property
    def mark(self) -> str:
        """What to say wherever these trainings are shown: 'CPU', '1 of 5 on a CPU', or nothing."""
        count = sum(record.data["environment"]["device_kind"] == "cpu" for record in self.records)
        return (
            ""
            if not count
            else "CPU"
            if count == len(self.records)
            else f"{count} of {len(self.records)} on a CPU"
        )

    def accuracies(self, split: str = "test", *, without_twins: bool = False) -> np.ndarray:
        """Return the accuracy of every seed that holds the split, float64, shares between 0 and 1."""
        found = []
        for record in self.records:
            if record.has(split):
                hits = record.preds(split) == record.labels(split)
                found.append(float((hits[~record.twins(split)] if without_twins else hits).mean()))
        return np.array(found)

    def summary(self, split: str = "test", *, without_twins: bool = False) -> str:
        """Return '70.1% ± 0.3 (5 seeds)': mean and standard deviation; 'pending' without a record.

        Trainings on a CPU are named: '57.0% (1 seed, CPU)'.
        """
        values = self.accuracies(split, without_twins=without_twins)
        if not len(values):
            return PENDING
        spread = f" ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else ""
        seeds = f"{len(values)} seed{'s' * (len(values) > 1)}"
        return f"{values.mean():.1%}{spread} ({', '.join(filter(None, [seeds, self.mark]))})"


def groups(grid: str, records: Iterable[Record] | None = None, *, tta: str = "none") -> list[Group]:
    """Return a grid's rows with their records, in the grid's order: full-length trainings on FER-2013 only.

    Args:
        grid: a name in `fercourse.grids.GRIDS`.
        records: those to choose from, for one who has loaded them; None loads them all.
        tta: the test-time augmentation by which they were evaluated.
    """
    if records is not None:
        return _grouped(GRIDS[grid](), _full_trainings(records), tta)
    return list(_groups(GRIDS[grid], _state(), tta))


# Records and groups are kept until a file of records changes: a page asks for its grids many times.


def _state() -> tuple[tuple[str, int, int], ...]:
    """Return what tells whether any record has changed: paths, times and sizes."""
    paths = sorted((results_folder() / "runs").glob(RECORDS))
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in paths)


@functools.lru_cache(maxsize=1)
def _loaded(state: tuple[tuple[str, int, int], ...]) -> tuple[Record, ...]:  # noqa: ARG001
    return _full_trainings(load_records())


@functools.lru_cache(maxsize=16)
def _groups(
    rows: Callable[[], list[Row]], state: tuple[tuple[str, int, int], ...], tta: str
) -> tuple[Group, ...]:
    return tuple(_grouped(rows(), _loaded(state), tta))


def _on_drawn_faces(record: Record) -> bool:
    return bool(record.data["data"]["layout"].startswith("synthetic"))


def _on_fer2013(record: Record) -> bool:
    """Whether a record is of the official copy: of others, no labels are known and no number compares."""
    from fercourse.data.hashes import OFFICIAL_FINGERPRINT

    return bool(record.data["data"]["fingerprint"] == OFFICIAL_FINGERPRINT)


def _full_trainings(records: Iterable[Record]) -> tuple[Record, ...]:
    """Return the records of full-length trainings on FER-2013."""
    return tuple(record for record in records if not record.data["shortened"] and _on_fer2013(record))


def _grouped(rows: Iterable[Row], records: Iterable[Record], tta: str) -> list[Group]:
    found: dict[Identity, list[Record]] = {}
    for record in records:
        if record.tta != tta:
            continue
        try:
            key = identity(record.data["config"])
        except FercourseError as error:
            raise FercourseError(f"The record {record.name}: {error}") from error
        found.setdefault(key, []).append(record)
    made = []
    for row in rows:
        config = make_config(row.model, row.recipe, **(row.changes or {}))
        # A seed counts once, also where it was trained on a CPU first and on a GPU later: the latter stays.
        same = sorted(found.get(identity(config.to_dict()), []), key=_is_of_gpu)
        by_seed = {record.seed: record for record in same}
        made.append(Group(config, row.shows, tuple(by_seed[seed] for seed in sorted(by_seed))))
    return made


def _is_of_gpu(record: Record) -> bool:
    return bool(record.data["environment"]["device_kind"] == "cuda")


def identity(config: Mapping[str, Any]) -> Identity:
    """Return what is the same for all seeds of an experiment, and for nothing else.

    Args:
        config: of a record, or `TrainConfig.to_dict`.

    Returns:
        model, recipe, and what differs from the recipe as JSON.
    """
    changes = sorted(experiment(config).items())
    return config["model"], config["recipe"], json.dumps(changes)


def difference(better: Group, other: Group) -> str:
    """Return how two groups differ on test, seed by seed, each pair tested on the same images.

    Returns:
        '+1.30 points ± 0.40 (5 seeds, McNemar's p below 0.05 in 3)'; 'pending' where no seed has both.
    """
    others = {record.seed: record for record in other.records if record.has("test")}
    found, low = [], 0
    for one in better.records:
        if not one.has("test") or one.seed not in others:
            continue
        labels, preds = one.labels("test"), (one.preds("test"), others[one.seed].preds("test"))
        found.append(100 * float((preds[0] == labels).mean() - (preds[1] == labels).mean()))
        low += mcnemar(labels, *preds)["p"] < 0.05
    if not found:
        return PENDING
    spread = f" ± {np.std(found, ddof=1):.2f}" if len(found) > 1 else ""
    seeds = f"{len(found)} seed{'s' * (len(found) > 1)}"
    return f"{np.mean(found):+.2f} points{spread} ({seeds}, McNemar's p below 0.05 in {low})"


def pareto_front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the places of the points that no other beats, from the cheapest to the dearest.

    A point is beaten by one that costs no more and is at least as accurate, and is better in one of the two.
    """
    front: list[int] = []
    order = np.lexsort((-np.asarray(accuracies), np.asarray(costs)))
    for place in map(int, order):
        last = front[-1] if front else None
        equal = last is not None and (costs[last], accuracies[last]) == (costs[place], accuracies[place])
        if last is None or equal or accuracies[place] > accuracies[last]:
            front.append(place)
    return front


def inference_times() -> list[dict[str, Any]]:
    """Return what ``times`` of the results folder holds, a dictionary a machine (`fercourse.bench.times`)."""
    return [read_times(path) for path in sorted((results_folder() / "times").glob(RECORDS))]


def table1() -> pd.DataFrame:
    """Return paper 1's augmentation ablation beside ours: accuracy on val, a row an augmentation."""
    ours = {group.shows.partition(":")[0]: group for group in groups("table1")}
    return pd.DataFrame(
        [
            {"augmentation": name, "paper, val": f"{value:.2%}", "ours, val": ours[name].summary("val")}
            for name, value in TABLE1.items()
        ]
    ).set_index("augmentation")


def table2() -> pd.DataFrame:
    """Return paper 1's comparison beside ours: accuracy on test, a row a network, in the paper's order."""
    ours = {group.model: group for group in groups("table2")}
    return pd.DataFrame(
        [
            {
                "network": name,
                "paper, test": f"{row.test:.2%}",
                "ours, test": ours[name].summary("test"),
                "ours, images without a twin": ours[name].summary("test", without_twins=True),
                "ours, val": ours[name].summary("val"),
            }
            for name, row in TABLE2.items()
        ]
    ).set_index("network")
