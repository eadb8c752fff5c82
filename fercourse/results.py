"""Tables of recorded results for the chapters: what has a record shows it, what has none is 'pending'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from fercourse.evaluate.significance import bootstrap_interval
from fercourse.records import Record, final_entries, load_records

PENDING = "pending"


def reported(models: Sequence[str] | None = None, recipe: str | None = None) -> list[Record]:
    """Return the records whose test accuracy may be reported, those of the named networks and recipe."""
    return [
        record
        for record in load_records()
        if record.has("test")
        and (models is None or record.model in models)
        and (recipe is None or record.recipe == recipe)
    ]


def best(records: Iterable[Record]) -> Record | None:
    """Return the record with the best val accuracy (nothing is chosen on test), or None of none."""
    return max(records, key=lambda record: record.metrics("val")["accuracy"], default=None)


def label(record: Record) -> str:
    """Return how a record is named wherever it is shown: network, recipe, what is special, seed."""
    return ", ".join(filter(None, [record.model, record.recipe, record.qualifiers, f"seed {record.seed}"]))


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
    val, test = record.metrics("val"), record.metrics("test")
    low, high = bootstrap_interval(record.labels("test"), record.preds("test"))
    return {
        "test accuracy": f"{test['accuracy']:.1%}",
        "its 95% interval": f"{low:.1%} to {high:.1%}",
        "on images without a twin": f"{test['accuracy_without_twins']:.1%}",
        "balanced accuracy": f"{test['balanced_accuracy']:.1%}",
        "accuracy on val": f"{val['accuracy']:.1%}",
        "parameters": f"{record.data['parameters']:,}",
        "epochs": str(len(record.history["epoch"])),
        "minutes of training": f"{record.history['seconds'].sum() / 60:.0f}",
    }


def confusions(record: Record, split: str = "test") -> np.ndarray:
    """Return a record's confusion matrix, int64 (7, 7): rows are labels, columns predictions."""
    return np.array(record.metrics(split)["confusion"])
