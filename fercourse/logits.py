"""Logits of the few runs whose calibration or ensembling is shown: float16, beside their records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fercourse.data.arrays import read_arrays
from fercourse.errors import FercourseError
from fercourse.files import atomic_path
from fercourse.records import Record, final_entries, is_final, results_folder


def keeps_logits(record: Record, folder: str | os.PathLike[str] | None = None) -> bool:
    """Whether final.yml lists the record's configuration with ``logits: true``."""
    wanted = [entry for entry in final_entries(folder) if entry.get("logits")]
    return is_final(record.data["config"], wanted, record.tta)


def save_logits(
    record: Record, logits: Mapping[str, np.ndarray], folder: str | os.PathLike[str] | None = None
) -> Path:
    """Write logits by split, (N, 7), as float16 to ``logits/<record name>.npz`` of the results folder.

    Raises:
        FercourseError: rounding to float16 would change a predicted class of the record by more than ties do,
            or the file cannot be written.
    """
    halved = {}
    for split, values in logits.items():
        with np.errstate(over="ignore"):  # told below
            halved[split] = values.astype(np.float16)
        changed = (halved[split].argmax(1) != values.argmax(1)).mean()
        if not np.isfinite(halved[split]).all() or changed > 0.002:
            raise FercourseError(f"The {split} logits of {record.name} do not fit into float16.")
    path = Path(folder or results_folder()) / "logits" / f"{record.name}.npz"
    with atomic_path(path) as temporary:
        # numpy's stub takes the names for its own flags.
        np.savez_compressed(temporary, **halved)  # type: ignore[arg-type]
    return path


def load_logits(record: Record, split: str, folder: str | os.PathLike[str] | None = None) -> np.ndarray:
    """Return a record's logits on 'val' or 'test', float32, (N, 7).

    Raises:
        FercourseError: none were kept, or they are not this record's.
    """
    path = Path(folder or results_folder()) / "logits" / f"{record.name}.npz"
    stored = read_arrays(path, "expected logits by split") if path.is_file() else {}
    if split not in stored:
        raise FercourseError(
            f"No {split} logits of {record.name} at {path}; they are kept where final.yml asks for them."
        )
    preds = record.preds(split)
    values = stored[split]
    right = values.dtype.kind == "f" and values.shape == (len(preds), 7) and bool(np.isfinite(values).all())
    if not right or (values.argmax(1) != preds).mean() > 0.002:
        raise FercourseError(f"{path} does not belong to the record {record.name}: its classes are others.")
    return values.astype(np.float32)
