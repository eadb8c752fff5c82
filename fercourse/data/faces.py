"""What every source of data becomes: three sets of labelled 48x48 grey images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fercourse.errors import FercourseError

#: Class order of the data set, never alphabetical: the label of a face is its place in this tuple.
EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
#: The protocol's names; FER-2013 calls them Training, PublicTest and PrivateTest.
SPLITS = ("train", "val", "test")
#: Label of an image that came without one (the challenge's own test file).
UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class FaceSet:
    """One split: images, labels, and where each image stood in its source.

    Attributes:
        images: uint8, shape (N, 48, 48), 0 is black.
        labels: int64, shape (N,), places in `EMOTIONS`, or -1 (`UNLABELLED`).
        split: 'train', 'val' or 'test'.
        rows: int64, shape (N,): the row in the source file, which joins FER+ votes to images.
        votes: FER+ votes, int64 of shape (N, 10), columns as in fer2013new.csv; None without votes.
        truth: what is known of drawn faces (arrays with first axis N); empty for photographs.

    Raises:
        FercourseError: shapes, dtypes or label values are not these.
    """

    images: np.ndarray
    labels: np.ndarray
    split: str
    rows: np.ndarray
    votes: np.ndarray | None = None
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise FercourseError(f"Split {self.split!r} is not one of {', '.join(SPLITS)}.")
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (48, 48):
            raise FercourseError(
                f"The {self.split} images are {self.images.dtype} of shape {self.images.shape}; "
                "expected uint8 of shape (N, 48, 48)."
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise FercourseError(
                f"The {self.split} labels are {self.labels.dtype} of shape {self.labels.shape}; "
                f"expected int64 of shape ({len(self.images)},)."
            )
        if len(self.labels) and not (self.labels.min() >= UNLABELLED and self.labels.max() < len(EMOTIONS)):
            raise FercourseError(
                f"The {self.split} labels run from {self.labels.min()} to {self.labels.max()}; "
                f"expected 0 to {len(EMOTIONS) - 1} (or -1 for an image without a label)."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> np.ndarray:
        """Images a class, int64 of shape (7,), in the order of `EMOTIONS`, the unlabelled left out."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(EMOTIONS))

    def subset(self, index: np.ndarray | slice) -> FaceSet:
        """Return the faces that ``index`` (positions, a mask or a slice) selects, in its order."""
        return FaceSet(
            images=self.images[index],
            labels=self.labels[index],
            split=self.split,
            rows=self.rows[index],
            votes=None if self.votes is None else self.votes[index],
            truth={name: values[index] for name, values in self.truth.items()},
        )


@dataclass(frozen=True, eq=False)
class Faces:
    """The three splits of one source; unpacks as ``train, val, test = load_faces(...)``.

    Attributes:
        train, val, test: the splits; one may be empty (length 0) where the source has none.
        layout: the kind of source, such as 'fer2013.csv', 'kaggle folder' or 'synthetic'.
        source: the path or description it was read from.
        notes: what the reader wants said aloud (a split recovered, labels missing), a sentence each.
        details: facts the audit uses and the arrays no longer show (original size, file naming).
    """

    train: FaceSet
    val: FaceSet
    test: FaceSet
    layout: str
    source: str
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[FaceSet]:
        return iter((self.train, self.val, self.test))

    def __getitem__(self, split: str) -> FaceSet:
        if split not in SPLITS:
            raise FercourseError(f"Split {split!r} is not one of {', '.join(SPLITS)}.")
        return getattr(self, split)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of every split's images and labels: equal exactly when the data are."""
        digest = hashlib.sha256()
        for faces in self:
            digest.update(f"{faces.split}:{len(faces)};".encode())
            digest.update(np.ascontiguousarray(faces.images).data)
            digest.update(np.ascontiguousarray(faces.labels, dtype="<i8").data)
        return digest.hexdigest()
