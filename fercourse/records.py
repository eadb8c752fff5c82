"""A run's record: what was trained, where, how it went and what it predicts, in at most 15 KB of JSON.

Everything the book shows of a training is computed from these files, without torch and without the data set.
"""

from __future__ import annotations

import functools
import json
import os
import sysconfig
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fercourse.errors import FercourseError, nearest, one_line, shown
from fercourse.files import clear_temporary, locked, write_text
from fercourse.packing import pack_classes, pack_floats, unpack_classes, unpack_floats  # noqa: F401 - to be found here
from fercourse.schemas import check_schema

MAX_BYTES = 15_000
#: Names of records; a dot begins that of a file whose writing was cut off.
RECORDS = "[!.]*.json"
#: Keys of a configuration that do not make another experiment.
_SAME_EXPERIMENT = ("model", "recipe", "seed", "precision", "track")


def results_folder() -> Path:
    """Return the folder of records: ``FERCOURSE_RESULTS``, the checkout's ``results``, or the installed."""
    if os.environ.get("FERCOURSE_RESULTS"):
        return Path(os.environ["FERCOURSE_RESULTS"])
    checkout = Path(__file__).parent.parent / "results"
    return checkout if checkout.is_dir() else Path(sysconfig.get_path("data")) / "share/fercourse/results"


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
    def history(self) -> dict[str, np.ndarray]:
        """One array a column of the history (epoch, lr, train_loss, ...), one value an epoch."""
        return {name: np.asarray(values) for name, values in self.data["history"].items()}

    @property
    def batch_losses(self) -> np.ndarray:
        """The loss of every batch of the first 3 epochs, float32."""
        return unpack_floats(self.data["batch_losses"])

    @property
    def qualifiers(self) -> str:
        """What to say wherever the record is shown: 'CPU', 'shortened', 'drawn faces', or nothing."""
        return qualifiers_of(self.data)

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
                "for the configurations that results/final.yml lists."
            )
        return unpack_classes(self.data[split]["preds"])

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of the split the record was evaluated on, int64, shape (N,).

        FER-2013's come from the table of hashes that the package ships, drawn faces' are drawn again.

        Raises:
            FercourseError: the record is of other data, whose labels are not known here.
        """
        return _labels(self.data["data"]["fingerprint"], self.data["data"]["layout"], split)[0]

    def twins(self, split: str) -> np.ndarray:
        """Return bool, shape (N,): which images of the split stand, pixel for pixel, in another split too."""
        return _labels(self.data["data"]["fingerprint"], self.data["data"]["layout"], split)[1]

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
def _labels(fingerprint: str, layout: str, split: str) -> tuple[np.ndarray, np.ndarray]:
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


def experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration (as `TrainConfig.to_dict` writes it) changes in its recipe, flat.

    Keys are 'lr' or 'augment.rotation'; seed and precision, which make no other experiment, are left out.

    Raises:
        FercourseError: the recipe does not exist.
    """
    from fercourse.recipes import make_config  # needs torch; reading records does not come here

    def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key, value in values.items():
            nested = isinstance(value, Mapping)
            pairs.update(flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
        return pairs

    usual = flat(make_config(config["model"], config["recipe"]).to_dict())
    return {
        key: value
        for key, value in flat(config).items()
        if usual.get(key) != value and key not in _SAME_EXPERIMENT
    }


def is_shortened(config: Mapping[str, Any]) -> bool:
    """Whether a configuration trains less than its recipe says: fewer epochs, or a limit of steps."""
    from fercourse.recipes import RECIPES, TrainConfig

    usual = RECIPES[config["recipe"]].get("epochs", TrainConfig.epochs)
    return config["epochs"] < usual or config["max_steps"] is not None


def record_name(config: Mapping[str, Any], layout: str, device_kind: str) -> str:
    """Return the name under which a run is recorded, such as 'small_vgg-quick-seed0-cpu'.

    It says model, recipe, every change of the recipe, the data where they are not FER-2013, the seed, and
    whether the run was shortened or made on a CPU.
    """
    parts = [config["model"], config["recipe"]]
    for key, value in experiment(config).items():
        shown = "_".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(f"{key.removeprefix('augment.').removeprefix('model_options.')}={shown}")
    if layout.startswith("synthetic"):
        parts.append(layout)
    parts.append(f"seed{config['seed']}")
    if is_shortened(config):
        parts.append("shortened")
    if device_kind != "cuda":
        parts.append(device_kind)
    return "-".join(parts).replace("/", "_")


def final_entries(folder: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Return the configurations listed in ``final.yml`` of the results folder; none without the file.

    Each has model, recipe, why, and optionally ``changes`` of the recipe as `experiment` returns them.

    Raises:
        FercourseError: the file is not such a list.
    """
    import yaml

    path = Path(folder or results_folder()) / "final.yml"
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > 1000:  # YAML takes seconds for so many, one in the other
            raise ValueError("it has more than 1,000 brackets")
        entries = yaml.safe_load(text) or []
    except Exception as error:  # YAML's own errors, and whatever its dates, tags and anchors lead to
        raise FercourseError(f"{path} cannot be read ({one_line(error)}).") from error
    listed = isinstance(entries, list)
    for entry in entries if listed else [entries]:
        if not listed or not isinstance(entry, dict) or not {"model", "recipe", "why"} <= entry.keys():
            raise FercourseError(f"{path} holds {shown(entry)}; expected a list of model, recipe and why.")
        if not isinstance(entry.get("changes") or {}, dict):
            raise FercourseError(f"{path}: changes are {shown(entry['changes'])}; expected values by name.")
    return entries


def is_final(config: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a configuration is listed as one whose test predictions are reported."""
    return any(
        entry["model"] == config["model"]
        and entry["recipe"] == config["recipe"]
        and dict(entry.get("changes") or {}) == experiment(config)
        for entry in entries
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
        epochs = len(data["history"]["epoch"])
        wrong = {len(values) for values in data["history"].values()} != {epochs} or data[
            "best_epoch"
        ] > epochs
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
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FercourseError(
            f"{path} cannot be read as JSON ({one_line(error)}): restore it from version control."
        ) from error
    return check_record(data, str(path))


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
    if record.has("test") and not is_final(data["config"], final_entries(folder)):
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
