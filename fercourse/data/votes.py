"""FER+ votes: ten people's opinion of every FER-2013 image, joined to the images by official row.

Source: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
Distribution" (2016), the file fer2013new.csv.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fercourse.data import hashes
from fercourse.data.faces import SPLITS, Faces, FaceSet
from fercourse.data.fer2013 import USAGES
from fercourse.errors import FercourseError, one_line

#: The columns of votes, in the file's order.
VOTE_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
#: A count of votes as written: int() would also take '1_0' and digits of other scripts.
_COUNT = re.compile(r"[ \t]*-?[0-9]{1,6}[ \t\r]*")
#: The FER+ columns that stand for `EMOTIONS`, in its order.
VOTES_AS_EMOTIONS = (4, 5, 6, 1, 3, 2, 0)


def read_votes(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the FER+ votes (fer2013new.csv): int64 of shape (N, 10), and the usage of each row, int8 (N,).

    Source: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
    Label Distribution" (2016); rows stand in the order of fer2013.csv.

    Raises:
        FercourseError: the file is absent or is not that table.
    """
    path = Path(path)
    try:
        # Not splitlines(): it also breaks at characters that are no line breaks to anyone else.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FercourseError(f"Cannot read the FER+ votes in {path}: {one_line(error)}.") from error
    header = [name.strip() for name in lines[0].split(",")] if lines else []
    if header != ["Usage", "Image name", *VOTE_COLUMNS]:
        raise FercourseError(
            f"{path} does not hold FER+ votes: its first line is {','.join(header)[:60]!r}, expected "
            "'Usage,Image name,neutral,happiness,...' as in fer2013new.csv."
        )
    while lines and not lines[-1].strip():
        lines.pop()
    votes = np.empty((len(lines) - 1, len(VOTE_COLUMNS)), np.int64)
    usage = np.empty(len(lines) - 1, np.int8)
    for row, line in enumerate(lines[1:]):
        fields = line.split(",")
        try:
            usage[row] = USAGES[fields[0].strip().lower()]
            if len(fields) != 2 + len(VOTE_COLUMNS) or not all(map(_COUNT.fullmatch, fields[2:])):
                raise ValueError("not a row of votes")
            votes[row] = list(map(int, fields[2:]))
        except (KeyError, ValueError):
            raise FercourseError(
                f"{path}, row {row + 1}: expected a Usage, an image name and {len(VOTE_COLUMNS)} counts of "
                f"votes, found {line[:60]!r}."
            ) from None
    if len(votes) and votes.min() < 0:
        row = int(np.flatnonzero(votes.min(axis=1) < 0)[0])
        raise FercourseError(f"{path}, row {row + 1}: a count of votes is negative.")
    return votes, usage


def vote_shares(faces: FaceSet) -> np.ndarray:
    """Return what FER+ says of each face as a target: float32, (N, 7), rows adding up to 1, as `EMOTIONS`.

    As the data set's own code does, a single vote for an emotion counts as a slip and is left out. Votes for
    contempt, 'unknown' and 'no face' name none of the seven. A face that keeps no vote keeps its label.

    Raises:
        FercourseError: the faces have no votes.
    """
    if faces.votes is None:
        raise FercourseError(
            f"The {faces.split} faces have no FER+ votes: put fer2013new.csv beside the data, "
            "or name it (load_faces(source, votes=...))."
        )
    votes = faces.votes[:, VOTES_AS_EMOTIONS].astype(np.float32)
    votes[votes <= 1] = 0
    without = votes.sum(1) == 0
    votes[without] = np.eye(len(VOTES_AS_EMOTIONS), dtype=np.float32)[faces.labels[without]]
    return votes / votes.sum(1, keepdims=True)


def majority_labels(faces: FaceSet) -> np.ndarray:
    """Return the emotion that more than half of the FER+ votes name: int64, (N,), -1 where there is none.

    As the data set's own code does in its 'majority' mode, single votes are left out, and a face that most
    call contempt, unknown or no face at all belongs to no class.

    Raises:
        FercourseError: the faces have no votes.
    """
    if faces.votes is None:
        raise FercourseError(f"The {faces.split} faces have no FER+ votes to find a majority among.")
    votes = np.where(faces.votes > 1, faces.votes, 0)
    top = votes.argmax(1)
    agreed = 2 * votes.max(1) > votes.sum(1)
    of_column = np.full(len(VOTE_COLUMNS), -1)
    of_column[list(VOTES_AS_EMOTIONS)] = np.arange(len(VOTES_AS_EMOTIONS))
    return np.where(agreed, of_column[top], -1).astype(np.int64)


def join_votes(faces: Faces, path: str | os.PathLike[str]) -> Faces:
    """Join FER+ votes to images by official row; an image that is not official gets no votes (zeros).

    Raises:
        FercourseError: the file holds no FER+ votes, or hardly an image of ``faces`` is official.
    """
    votes, usage = read_votes(path)
    table = hashes.official()
    if len(votes) != len(table) or not np.array_equal(usage, table.splits):
        raise FercourseError(
            f"{path} has {len(votes):,} rows of votes; expected {len(table):,}, in the order of fer2013.csv."
        )
    images = np.concatenate([part.images for part in faces])
    labels = np.concatenate([part.labels for part in faces])
    splits = np.repeat(np.arange(len(SPLITS)), [len(part) for part in faces])
    # A file's own rows, or the numbers recovered from a folder, settle which of several twins is meant.
    hints = np.concatenate([part.rows for part in faces])
    rows = hashes.assign_rows(hashes.match(images), labels, splits, hints)
    missing = int((rows < 0).sum())
    if missing > len(rows) // 2:
        raise FercourseError(
            f"The votes in {path} belong to FER-2013, and {missing:,} of the {len(rows):,} images of "
            f"{faces.source} are none of its images; leave the votes out."
        )
    joined = np.where(rows[:, None] >= 0, votes[rows], 0)
    notes = faces.notes
    if missing:
        notes = (*notes, f"{missing:,} images are not official and have no FER+ votes.")
    ends = np.cumsum([len(part) for part in faces])
    parts = [
        replace(part, votes=joined[end - len(part) : end]) for part, end in zip(faces, ends, strict=True)
    ]
    return replace(faces, train=parts[0], val=parts[1], test=parts[2], notes=notes)
