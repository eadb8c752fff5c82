"""An ensemble of recorded networks: who belongs to it, what it predicts, and its record, written once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fercourse.errors import FercourseError, one_line, shown
from fercourse.evaluate.ensemble import RULE, Selection, ensemble_logits, select_members
from fercourse.evaluate.metrics import metrics
from fercourse.experiments import holds_out_val, results_folder
from fercourse.files import locked, write_text
from fercourse.packing import unpack_classes
from fercourse.records import RECORDS, kept_split

FOLDER = "ensembles"
_NAME = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9_.=-]{0,99}")
_KEYS = {
    "format", "name", "rule", "candidates", "marks", "picks", "nll", "tta", "fingerprint", "environment",
    "val",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network that may become a member.

    Attributes:
        name: its record's.
        config: as `TrainConfig.to_dict` writes it.
        tta: the test-time augmentation of its logits.
        fingerprint: of the data.
        marks: what must be said of it, such as 'CPU'.
        logits: by split, (N, 7).
        labels, twins: by split, (N,).
    """

    name: str
    config: Mapping[str, Any]
    tta: str
    fingerprint: str
    marks: str
    logits: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    twins: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members by `fercourse.evaluate.ensemble.select_members`, and metrics of what they predict, by split.

    Each split's metrics also have ``logits``, the logarithm of mean probabilities, float32 (N, 7).
    """

    candidates: tuple[Candidate, ...]
    selection: Selection
    results: Mapping[str, dict[str, Any]]


def build_ensemble(candidates: Sequence[Candidate]) -> Ensemble:
    """Return the ensemble of some candidates: its members are chosen on val, whatever else they bring.

    Raises:
        FercourseError: two candidates have one name, different data or tracks, or val was trained on.
    """
    names = [each.name for each in candidates]
    for each in candidates:
        if names.count(each.name) > 1:
            raise FercourseError(f"{each.name} was named twice; an ensemble weighs its members by itself.")
        if each.fingerprint != candidates[0].fingerprint:
            raise FercourseError(f"{each.name} and {names[0]} are of different data: no ensemble of them.")
        if each.config.get("track") != candidates[0].config.get("track"):
            raise FercourseError(
                f"{each.name} is of the track {each.config.get('track')}, {names[0]} of "
                f"{candidates[0].config.get('track')}: tracks are never mixed."
            )
        if not holds_out_val(each.config):
            raise FercourseError(
                f"{each.name} was trained on val, by which the members are chosen: leave it out."
            )
    selection = select_members({c.name: c.logits["val"] for c in candidates}, candidates[0].labels["val"])
    found = {each.name: each for each in candidates}
    results = {}
    for split in ("val", "test"):
        if all(split in each.logits for each in candidates):
            first = candidates[0]
            logits = ensemble_logits(
                [found[name].logits[split] for name in selection.weights], list(selection.weights.values())
            )
            values = metrics(first.labels[split], logits=logits, twins=first.twins[split])
            results[split] = {**values, "logits": logits}
    return Ensemble(tuple(candidates), selection, results)


def write_ensemble(
    ensemble: Ensemble,
    name: str,
    environment: Mapping[str, Any],
    folder: str | os.PathLike[str] | None = None,
) -> Path:
    """Write an ensemble's record to ``ensembles/<name>.json`` of the results folder, once; return the path.

    Raises:
        FercourseError: the name has other characters than letters, digits and ``_.=-`` or begins with a dot,
            the networks answered for other data than FER-2013, or a record of that name exists: what test has
            said cannot be asked again.
    """
    from fercourse.data.hashes import OFFICIAL_FINGERPRINT

    if not _NAME.fullmatch(name):
        raise FercourseError(
            f"--name is {shown(name)}; expected letters, digits, '_', '.', '=' or '-', and no dot in front."
        )
    if ensemble.candidates[0].fingerprint != OFFICIAL_FINGERPRINT:
        raise FercourseError(
            "These networks answered for other data than the official FER-2013; only an ensemble on those is "
            "recorded. Leave out --record."
        )
    kinds = sorted({each.tta for each in ensemble.candidates})
    data = {
        "format": 1,
        "name": name,
        "rule": RULE,
        "candidates": [each.name for each in ensemble.candidates],
        "marks": sorted({each.marks for each in ensemble.candidates if each.marks}),
        "picks": list(ensemble.selection.picks),
        "nll": [round(value, 6) for value in ensemble.selection.nll],
        "tta": kinds[0] if len(kinds) == 1 else "mixed",
        "fingerprint": ensemble.candidates[0].fingerprint,
        "environment": dict(environment),
        **{split: kept_split(values) for split, values in ensemble.results.items()},
    }
    path = Path(folder or results_folder()) / FOLDER / f"{name}.json"
    with locked(path.parent / ".writing.lock", f"{path.parent} is being written to", timeout=60):
        if path.exists():
            raise FercourseError(f"{path} exists: an ensemble is recorded once, under a name of its own.")
        lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
        write_text(path, "{\n" + lines + "\n}\n")
    return path


def load_ensembles(folder: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Return every ensemble's record, by name; each with ``preds`` unpacked, int64 (N,), by split.

    Raises:
        FercourseError: a file is no such record.
    """
    found = []
    for path in sorted((Path(folder or results_folder()) / FOLDER).glob(RECORDS)):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or not data.keys() >= _KEYS or data["name"] != path.stem:
                raise ValueError(f"expected {', '.join(sorted(_KEYS))}")
            if not set(data["picks"]) <= set(data["candidates"]) or len(data["picks"]) != len(data["nll"]):
                raise ValueError("its members are not of its candidates")
            splits = [split for split in ("val", "test") if split in data]
            data["preds"] = {split: unpack_classes(data[split]["preds"]) for split in splits}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise FercourseError(f"{path} is not the record of an ensemble: {one_line(error)}.") from error
        found.append(data)
    return found
