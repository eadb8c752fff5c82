"""Whole data sets made of tables: a .csv with a Usage column, the challenge's pair of .csv files, an .npz."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from fercourse.data import hashes
from fercourse.data.arrays import read_arrays
from fercourse.data.faces import SPLITS, UNLABELLED, Faces, FaceSet
from fercourse.data.fer2013 import USAGES, Table, read_csv, split_table
from fercourse.errors import FercourseError

#: Files that hold all three splits, the preferred one first (as in torchvision).
TABLES = ("fer2013.csv", "icml_face_data.csv")


def read_table(path: Path, shown: str | None = None) -> Faces:
    """Read one file that holds all three splits; ``shown`` is what to call it.

    Raises:
        FercourseError: as `read_csv`, or the file has no column Usage.
    """
    table = read_csv(path)
    name = Path(shown or path).name
    notes: tuple[str, ...] = ()
    if len(table.labels) != len(hashes.official()):
        notes = (f"{len(table.labels):,} rows instead of {len(hashes.official()):,}.",)
    if "usage" not in table.columns:
        raise FercourseError(
            f"{shown or path} has no column Usage, so its splits are not known; put the challenge's "
            "train.csv and test.csv in one folder and name that, or use fer2013.csv."
        )
    layout = name if name in TABLES else "table"
    return split_table(table, layout=layout, source=shown or str(path), notes=notes)


def read_pair(train: str | os.PathLike[str], test: str | os.PathLike[str]) -> Faces:
    """Read the challenge's train.csv (labelled) and test.csv (no labels: -1, `UNLABELLED`).

    test.csv holds PublicTest and PrivateTest without telling them apart; where its pixels are official, the
    table of image hashes does.

    Raises:
        FercourseError: as `read_csv`, or a file has the wrong columns.
    """
    first, second = read_csv(train), read_csv(test)
    if set(first.columns) != {"emotion", "pixels"}:
        raise FercourseError(f"{train} has the columns {', '.join(first.columns)}; expected emotion, pixels.")
    if set(second.columns) - {"emotion", "pixels"}:
        raise FercourseError(f"{test} has the columns {', '.join(second.columns)}; expected pixels alone.")
    table = hashes.official()
    notes = []
    if "emotion" not in second.columns:
        notes.append(
            f"{Path(test).name} has no labels: the {len(second.labels):,} val and test images carry "
            f"{UNLABELLED}, and nothing can be evaluated on them."
        )
    found = hashes.match(second.images)
    # Twins within the file are told apart by the official order.
    hints = np.flatnonzero(table.splits > 0)[0] + np.arange(len(second.labels))
    rows = hashes.assign_rows(found, second.labels, np.full(len(second.labels), hashes.VAL_OR_TEST), hints)
    usage = np.where(rows >= 0, table.splits[rows], 2).astype(np.int8)
    how = "table of image hashes" if (usage == 1).any() else "none"
    if how == "none":
        notes.append("What is PublicTest in it is not known: all of it is given as test.")
    else:
        notes.append("PublicTest and PrivateTest were told apart by the table of official image hashes.")
    joined = Table(
        np.concatenate((first.images, second.images)),
        np.concatenate((first.labels, second.labels)),
        np.concatenate((np.zeros(len(first.labels), np.int8), usage)),
        first.columns,
    )
    faces = split_table(
        joined, layout="train.csv and test.csv", source=str(Path(train).parent), notes=tuple(notes)
    )
    return replace(faces, details={**faces.details, "split_from": how})


def read_npz(path: Path) -> Faces:
    """Read an .npz with images (uint8, N x 48 x 48), labels and usage (Training, PublicTest or PrivateTest).

    Raises:
        FercourseError: the file cannot be read, or an array is missing or not of that kind.
    """
    expected = "expected the arrays images (uint8, N x 48 x 48), labels and usage"
    arrays = read_arrays(path, expected)
    for name in ("images", "labels", "usage"):
        if name not in arrays or arrays[name].ndim == 0:
            raise FercourseError(f"{path} has no array of {name}; {expected}.")
    images, labels, usage = arrays["images"], arrays["labels"], arrays["usage"]
    if not len(images) == len(labels) == len(usage) or not np.issubdtype(labels.dtype, np.integer):
        raise FercourseError(f"{path}: images, labels and usage do not belong together; {expected}.")
    if (labels != labels.astype(np.int64)).any():  # they would wrap around
        raise FercourseError(f"{path}: a label is {labels.max()}; {expected}.")
    places = np.array([USAGES.get(str(name).strip().lower(), -1) for name in usage], np.int8)
    if (places < 0).any():
        row = int(np.flatnonzero(places < 0)[0])
        raise FercourseError(
            f"{path}, row {row + 1}: the usage is {str(usage[row])[:30]!r}; expected Training, PublicTest or "
            "PrivateTest."
        )
    parts: list[FaceSet] = []
    for code, split in enumerate(SPLITS):
        rows = np.flatnonzero(places == code)
        parts.append(FaceSet(images[rows], labels[rows].astype(np.int64), split, rows))
    details = {"sizes": {"48x48": len(images)}, "rows": "source"}
    train, val, test = parts
    return Faces(train, val, test, "npz", str(path), details=details)
