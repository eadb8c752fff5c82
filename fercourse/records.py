"""A run's record: what was trained, where, how it went and what it predicts, in at most 15 KB of JSON.

Everything the book shows of a training is computed from these files, without torch and without the data set.
"""

from __future__ import annotations

import functools
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fercourse.errors import FercourseError, nearest, one_line
from fercourse.experiments import (  # noqa: F401 - to be found here
    experiment,
    final_entries,
    holds_out_val,
    is_final,
    is_shortened,
    record_name,
    results_folder,
)
from fercourse.files import clear_temporary, locked, write_text
from fercourse.packing import (  # noqa: F401 - to be found here
    pack_classes,
    pack_floats,
    pack_series,
    unpack_classes,
    unpack_floats,
    unpack_series,
)
from fercourse.schemas import check_schema

MAX_BYTES = 15_000
#: Epochs beyond which the columns of a history are packed: their digits would not fit.
LONG = 100
#: Names of records; a dot begins that of a file whose writing was cut off.
RECORDS = "[!.]*.json"


@dataclass(frozen=True, eq=False)
class Record:
    """One record; ``data`` is the whole of its JSON, the properties are what is asked for most."""

    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.data["name"]

    @property
    def model(self) -> str:
        return self.data["config"]["model"]

    @property
    def recipe(self) -> str:
        return self.data["config"]["recipe"]

    @property
    def seed(self) -> int:
        return self.data["config"]["seed"]

    @property
    def tta(self) -> str:
        """The test-time augmentation of the predictions, a name in `fercourse.evaluate.views.TTA`."""
        return self.data.get("tta", "none")

    @property
    def history(self) -> dict[str, np.ndarray]:
        """One array a column of the history (epoch, lr, train_loss, ...), one value an epoch."""
        return {
            name: unpack_series(values) if isinstance(values, str) else np.asarray(values)
            for name, values in self.data["history"].items()
        }

    @property
    def batch_losses(self) -> np.ndarray:
        """The loss of every batch of the first 3 epochs, float32."""
        return unpack_floats(self.data["batch_losses"])

    @property
    def qualifiers(self) -> str:
        """What to say wherever the record is shown: 'CPU', 'shortened', 'val trained on too', or nothing."""
        marks = [qualifiers_of(self.data)]
        if not holds_out_val(self.data["config"]):
            marks.append("val trained on too")
        if self.data["config"].get("soft_labels", "none") != "none":
            marks.append("FER+ votes")
        if self.tta != "none":
            marks.append(self.tta)
        return ", ".join(filter(None, marks))

    def has(self, split: str) -> bool:
        """Whether the record holds predictions on 'val' or 'test'."""
        return split in self.data

    def preds(self, split: str) -> np.ndarray:
        """Return the predicted classes on 'val' or 'test', int64, shape (N,), in the data set's order.

        Raises:
            FercourseError: the record holds none for that split.
        """
        if not self.has(split):
            raise FercourseError(
                f"Record {self.name} holds no predictions on {split!r}; test predictions are kept only "
                "for the configurations that results/final.yml lists, val's where val was not trained on."
            )
        return unpack_classes(self.data[split]["preds"])

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of the split the record was evaluated on, int64, shape (N,).

        FER-2013's come from the table of hashes that the package ships, drawn faces' are drawn again.

        Raises:
            FercourseError: the record is of other data, whose labels are not known here.
        """
        return labels_of(self.data["data"]["fingerprint"], self.data["data"]["layout"], split)[0]

    def twins(self, split: str) -> np.ndarray:
        """Return bool, shape (N,): which images of the split stand, pixel for pixel, in another split too."""
        return labels_of(self.data["data"]["fingerprint"], self.data["data"]["layout"], split)[1]

    def metrics(self, split: str) -> dict[str, Any]:
        """Return `fercourse.evaluate.metrics` of the record's predictions, and its nll, ece and reliability.

        Computed from the stored predictions at each call; only what needs logits is read from the record.
        """
        from fercourse.evaluate.metrics import metrics

        values = metrics(self.labels(split), preds=self.preds(split), twins=self.twins(split))
        return {**values, **{key: self.data[split][key] for key in ("nll", "ece", "reliability")}}


def qualifiers_of(data: Mapping[str, Any]) -> str:
    """Return what to say of a record, of whatever kind: 'shortened', 'CPU', 'drawn faces', or nothing."""
    marks = []
    if data["shortened"]:
        marks.append("shortened")
    if data["environment"]["device_kind"] == "cpu":
        marks.append("CPU")
    if data["data"]["layout"].startswith("synthetic"):
        marks.append("drawn faces")
    return ", ".join(marks)


@functools.lru_cache(maxsize=8)
def labels_of(fingerprint: str, layout: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, int64 (N,), and twins, bool (N,), of known data: FER-2013's, or the drawn faces'.

    Raises:
        FercourseError: the data are not known here.
    """
    from fercourse.data.audit import twins
    from fercourse.data.faces import SPLITS
    from fercourse.data.hashes import OFFICIAL_FINGERPRINT, official

    if fingerprint == OFFICIAL_FINGERPRINT:
        table = official()
        here = table.splits == SPLITS.index(split)
        return table.labels[here], np.isin(table.groups[here], table.groups[~here])
    if layout.startswith("synthetic"):
        from fercourse.data import load_faces

        faces = load_faces(layout)
        if faces.fingerprint == fingerprint:
            return faces[split].labels, twins(faces)[split]
    raise FercourseError(
        f"The labels of the data with fingerprint {fingerprint[:12]} are not known here: only official "
        "FER-2013 and the drawn faces of this version are; evaluate the run on its own data instead."
    )


def check_record(data: Any, source: str) -> Record:
    """Return the record, if it is one.

    Raises:
        FercourseError: it does not follow ``record.schema.json`` or its parts do not fit each other.
    """
    check_schema(data, "record.schema.json", f"{source} is not a record")
    record = Record(data)
    try:
        json.dumps(data, allow_nan=False)  # what the schema leaves open, a configuration's values, included
        history = record.history
        epochs = len(history["epoch"])
        wrong = {len(values) for values in history.values()} != {epochs} or data["best_epoch"] > epochs
        wrong |= not all(np.isfinite(values).all() for values in history.values())
        held_out = holds_out_val(data["config"])
        wrong |= record.has("val") != held_out or ("val_accuracy" in history) != held_out
        unpack_floats(data["batch_losses"])
        for split in ("val", "test"):
            if record.has(split):
                preds = record.preds(split)
                wrong |= len(preds) != data["data"]["sizes"][split] or preds.min() < 0 or preds.max() > 6
                wrong |= sum(data[split]["reliability"]["count"]) != len(preds)
    except (ValueError, zlib.error, KeyError) as problem:
        raise FercourseError(
            f"{source} is not a record: a value is damaged ({one_line(problem)})."
        ) from problem
    if wrong:
        raise FercourseError(
            f"{source} is not a record: its predictions, counts or epochs do not fit each other."
        )
    return record


def read_record(path: str | os.PathLike[str]) -> Record:
    """Read and check one record.

    Raises:
        FercourseError: no such file (the nearest name is given), not JSON, or not a record.
    """
    path = Path(path)
    if not path.is_file():
        runs = results_folder() / "runs"
        known = {p.stem: p for p in sorted(runs.glob(RECORDS))}
        if path.name in known:  # a bare name
            return read_record(known[path.name])
        raise FercourseError(f"There is no record {path}{nearest(path.stem, known)}; records lie in {runs}.")
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise FercourseError(
            f"{path} cannot be read as JSON ({one_line(error)}): restore it from version control."
        ) from error
    return Record(data) if _stands(text) else check_record(data, str(path))


@functools.lru_cache(maxsize=1024)
def _stands(text: str) -> bool:
    """Whether a text is a record, found out once: a page asks for all records many times."""
    try:
        check_record(json.loads(text), "It")
    except FercourseError:
        return False
    return True


def load_records(folder: str | os.PathLike[str] | None = None) -> list[Record]:
    """Return every record in ``runs`` of the results folder, by name; an empty list where there is none."""
    return [read_record(path) for path in sorted((Path(folder or results_folder()) / "runs").glob(RECORDS))]


def write_record(data: Mapping[str, Any], folder: str | os.PathLike[str] | None = None) -> Path:
    """Check a record and write it to ``runs/<name>.json`` of the results folder, once; return the path.

    Raises:
        FercourseError: it is no record, is over 15 KB, holds test predictions of a configuration that
            final.yml does not list, or a record of that name exists already.
    """
    folder = Path(folder or results_folder())
    record = check_record(data, "What was to be recorded")
    if record.has("test") and not is_final(data["config"], final_entries(folder), record.tta):
        raise FercourseError(
            f"{record.name} holds test predictions, but {folder / 'final.yml'} does not list its "
            "configuration: list it before the test split is opened, or record val only."
        )
    # A line an entry: readable, and small changes make small diffs.
    lines = ",\n".join(
        f" {json.dumps(key)}: {json.dumps(value, separators=(', ', ': '))}" for key, value in data.items()
    )
    text = "{\n" + lines + "\n}\n"
    if len(text.encode()) > MAX_BYTES:
        raise FercourseError(
            f"{record.name} would take {len(text.encode())} bytes; at most {MAX_BYTES} are kept."
        )
    path = folder / "runs" / f"{record.name}.json"
    with locked(path.parent / ".writing.lock", f"{path.parent} is being written to", timeout=60):
        clear_temporary(path.parent)
        if path.exists():
            raise FercourseError(
                f"{path} exists: a record is written once. Delete it yourself if it is wrong."
            )
        write_text(path, text)
    return path


def kept_history(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return what a record keeps of a training's history: a column each, of 5 digits; a long one packed."""
    columns: dict[str, Any] = {"epoch": [row["epoch"] for row in rows]}
    for key in rows[0] if rows else ():
        if key != "epoch":
            values = [float(f"{row[key]:.5g}") for row in rows]
            columns[key] = pack_series(values) if len(rows) > LONG else values
    return columns


def kept_split(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record keeps of a split's `fercourse.evaluate.metrics` and ``logits``, (N, 7)."""
    reliability = values["reliability"]
    sums = [round(value, 3) for value in reliability["confidence_sum"]]
    votes = {"ferplus": values["ferplus"]} if "ferplus" in values else {}
    return {
        **votes,
        "accuracy": values["accuracy"],
        "nll": round(values["nll"], 6),
        "ece": round(values["ece"], 6),
        "reliability": {**reliability, "confidence_sum": sums},
        "preds": pack_classes(np.argmax(values["logits"], axis=1)),
    }
