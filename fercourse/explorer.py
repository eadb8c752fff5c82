"""The data of the book's results explorer: every full-length training, its predictions and its curves.

One dict of plain JSON, which the page's scripts (book/_static/explorer) read; the book's build writes it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fercourse.data.faces import EMOTIONS, SPLITS
from fercourse.data.hashes import DIVISORS, NOISE, OFFICIAL_FINGERPRINT, REACH, STEPS, official, packed_signs
from fercourse.evaluate.metrics import BINS
from fercourse.grids import GRIDS
from fercourse.recipes import make_config
from fercourse.records import (
    LONG,
    Record,
    experiment,
    final_entries,
    holds_out_val,
    load_records,
    record_name,
)
from fercourse.results import PENDING
from fercourse.results.recorded import Identity, identity

#: The grids whose rows the explorer shows, pending ones included, and what each is called there. The others
#: are many trainings judged on val alone: with them the data would grow beyond what a page should load.
SHOWN = {
    "table2": "Paper 1, Table 2: the networks",
    "table1": "Paper 1, Table 1: the augmentations",
    "readings": "Paper 1: squeeze-and-excitation after the sum",
    "controls": "Controls: ResNets without shortcuts",
    "paper2": "Paper 2",
}
#: Where the configurations stand that final.yml lists and no grid above does.
OTHERS = "The course's own"
#: Seeds of one configuration that are shown: more would not fit into the megabyte.
MOST_SEEDS = 5
#: Why a record is not shown, in the order in which it is asked.
LEFT_OUT = {
    "shortened": "shortened trainings",
    "data": "trainings on data other than FER-2013",
    "val": "trainings judged on val alone, such as those of the ablations",
    "tta": "trainings shown already, evaluated once more with several views of each image",
    "fit_on": "trainings on train and val together, which leave nothing to choose by",
    "long": f"trainings of more than {LONG} epochs, whose curves are too long for this page",
    "seeds": f"trainings beyond the first {MOST_SEEDS} seeds of a configuration",
}
#: The curves that are drawn, and the unit in which their values are whole numbers: it saves a tenth of all.
CURVES = {"train_loss": 0.001, "val_loss": 0.001, "train_accuracy": 0.0001, "val_accuracy": 0.0001}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def pack_pairs(classes: np.ndarray) -> str:
    """Return classes 0 to 7, shape (N,), as text: two a letter of the base 64 alphabet, the first high.

    A class takes 3 bits, so that a script reads them by a look at the alphabet, in every browser; deflating
    the digits would save less than a tenth. An odd last letter is filled up with 0.
    """
    even = np.append(classes, 0) if len(classes) % 2 else np.asarray(classes)
    return "".join(_LETTERS[8 * high + low] for high, low in even.reshape(-1, 2).tolist())


def explorer_data(records: Iterable[Record] | None = None) -> dict[str, Any]:
    """Return everything the explorer shows.

    Args:
        records: those to choose from; None for all of the results folder.

    Returns:
        ``emotions``; ``bins``, the number of bins of confidence; ``curves``, the unit of every
        curve's values; ``splits``, for val and test the labels,
        twins and signatures; ``table``, how signatures are formed (`fercourse.data.hashes`); ``networks``,
        a dict for each configuration with its ``records`` (none: pending) in the order of `SHOWN`;
        ``left_out``, how many records are not shown, by reason.
    """
    kept: list[tuple[Identity, Record]] = []
    left_out = dict.fromkeys(LEFT_OUT.values(), 0)
    places = _places()
    for record in load_records() if records is None else records:
        key = identity(record.data["config"])
        if record.data["shortened"]:
            left_out[LEFT_OUT["shortened"]] += 1
        elif record.data["data"]["fingerprint"] != OFFICIAL_FINGERPRINT:
            left_out[LEFT_OUT["data"]] += 1
        elif record.tta != "none":
            left_out[LEFT_OUT["tta"]] += 1
        elif not holds_out_val(record.data["config"]):
            left_out[LEFT_OUT["fit_on"]] += 1
        elif record.data["config"]["epochs"] > LONG:
            left_out[LEFT_OUT["long"]] += 1
        elif key not in places:
            left_out[LEFT_OUT["val"]] += 1
        else:
            kept.append((key, record))
    networks: list[dict[str, Any]] = []
    for key, place in places.items():
        found: dict[str, list[Record]] = {}
        for other, record in kept:
            if other == key:
                found.setdefault(_without_seed(record.name), []).append(record)
        pending: dict[str, list[Record]] = {place["id"]: []}
        for name, group in (found or pending).items():
            group.sort(key=lambda record: record.seed)
            left_out[LEFT_OUT["seeds"]] += len(group[MOST_SEEDS:])
            marks = group[0].qualifiers if group else ""
            networks.append(
                {
                    **place,
                    "id": name,
                    "label": ", ".join(filter(None, [place["label"], marks])),
                    "qualifiers": marks,
                    "records": [_record(record) for record in group[:MOST_SEEDS]],
                }
            )
    return {
        "emotions": list(EMOTIONS),
        "bins": BINS,
        "curves": CURVES,
        "splits": {split: _split(split) for split in ("val", "test")},
        "table": {
            "signs": base64.b64encode(packed_signs().tobytes()).decode(),
            "divisors": DIVISORS.tolist(),
            "scale": (STEPS / NOISE).tolist(),
            "reach": REACH,
        },
        "networks": networks,
        "left_out": {reason: count for reason, count in left_out.items() if count},
    }


def explorer_script(data: Mapping[str, Any]) -> str:
    """Return the data as a script that sets ``window.fercourseExplorer``.

    A script can be loaded by a page that was opened as a file, where fetching JSON is refused.
    """
    return f"window.fercourseExplorer = {json.dumps(data, separators=(',', ':'), allow_nan=False)};\n"


def _places() -> dict[Identity, dict[str, Any]]:
    """Return what is shown of each configuration, recorded or not, in order, by its key."""
    places: dict[Identity, dict[str, Any]] = {}

    def add(model: str, recipe: str, changes: Mapping[str, Any], group: str, shows: str, grid: str) -> None:
        config = make_config(model, recipe, **changes).to_dict()
        if not holds_out_val(config) or config["epochs"] > LONG:
            return
        values = [f"{key.split('.')[-1]} {value}" for key, value in experiment(config).items()]
        places.setdefault(
            identity(config),
            {
                "id": _without_seed(record_name(config, "fer2013.csv", "cuda")),
                "label": ", ".join([model, recipe, *values]),
                "group": group,
                "shows": shows,
                "grid": grid,
            },
        )

    for name, title in SHOWN.items():
        for row in GRIDS[name]():
            add(row.model, row.recipe, row.changes or {}, title, row.shows, name)
    for entry in final_entries():
        add(entry["model"], entry["recipe"], _nested(entry.get("changes")), OTHERS, entry["why"], "")
    return places


def _nested(changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return flat changes, as final.yml has them ('augment.crop'), as `make_config` takes them."""
    nested: dict[str, Any] = {}
    for key, value in (changes or {}).items():
        outer, _, inner = key.partition(".")
        if inner:
            nested.setdefault(outer, {})[inner] = value
        else:
            nested[key] = value
    return nested


def _without_seed(name: str) -> str:
    return re.sub(r"-seed\d+", "", name)


def _split(split: str) -> dict[str, Any]:
    table = official()
    here = table.splits == SPLITS.index(split)
    twins = np.isin(table.groups[here], table.groups[~here])
    return {
        "n": int(here.sum()),
        "first_row": int(np.flatnonzero(here)[0]),
        "labels": pack_pairs(table.labels[here]),
        "twins": np.flatnonzero(twins).tolist(),
        "signatures": base64.b64encode(table.signatures[here].tobytes()).decode(),
        "checks": base64.b64encode(table.checks[here].astype("<u2").tobytes()).decode(),
    }


def _record(record: Record) -> dict[str, Any]:
    data = record.data
    history = record.history
    return {
        "name": record.name,
        "seed": record.seed,
        "parameters": data["parameters"],
        "epochs": len(history["epoch"]),
        "best_epoch": data["best_epoch"],
        "minutes": round(float(history["seconds"].sum()) / 60, 1),
        "train_accuracy": data["train_accuracy"],
        "commit": data["environment"]["commit"],
        "device": data["environment"]["device"],
        "precision": data["environment"]["precision"],
        "history": {
            name: [round(float(value) / unit) for value in history[name]] for name, unit in CURVES.items()
        },
        **{split: _answers(record, split) for split in ("val", "test") if record.has(split)},
    }


def _answers(record: Record, split: str) -> dict[str, Any]:
    stored = record.data[split]
    return {
        "preds": pack_pairs(record.preds(split)),
        "accuracy": float((record.preds(split) == record.labels(split)).mean()),
        "nll": stored["nll"],
        "ece": stored["ece"],
        "reliability": {
            "count": stored["reliability"]["count"],
            "confidence_sum": [round(value, 2) for value in stored["reliability"]["confidence_sum"]],
            "hits": stored["reliability"]["hits"],
        },
    }


def accuracies(network: Mapping[str, Any]) -> dict[str, str]:
    """Return ``seeds``, ``val`` and ``test`` of one of the data's networks, as text for a table."""
    cells = {"seeds": ", ".join(str(record["seed"]) for record in network["records"]) or "none"}
    for split in ("val", "test"):
        values = np.array([record[split]["accuracy"] for record in network["records"] if split in record])
        spread = f" ± {100 * values.std(ddof=1):.1f}" if len(values) > 1 else ""
        missing = "not reported" if network["records"] else PENDING
        cells[split] = f"{values.mean():.1%}{spread}" if len(values) else missing
    return cells
