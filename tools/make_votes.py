"""Write results/audits/ferplus.json: what ten people said of each image, and how two records fare by it.

    python tools/make_votes.py path/to/fer2013.csv path/to/fer2013new.csv

Counts alone; no image, and no row that could be traced to one, is in the file.
"""

from __future__ import annotations

import json
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fercourse.data import EMOTIONS, FaceSet, load_faces
from fercourse.data.votes import VOTES_AS_EMOTIONS
from fercourse.files import write_text
from fercourse.records import read_record

AUDITS = Path(__file__).resolve().parents[1] / "results" / "audits"
#: Records whose predictions on the test split are held against the votes.
RECORDS = ("basic_cnn-quick-seed0-cpu", "small_vgg-quick-seed0-cpu")


def votes_of(part: FaceSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of most votes, 7 for another answer or a tie, and its share of the votes."""
    assert part.votes is not None
    votes = part.votes
    top = votes.max(axis=1)
    clear = (votes == top[:, None]).sum(axis=1) == 1
    as_class = np.full(votes.shape[1], len(EMOTIONS))
    as_class[list(VOTES_AS_EMOTIONS)] = np.arange(len(EMOTIONS))
    return np.where(clear, as_class[votes.argmax(axis=1)], len(EMOTIONS)), top / votes.sum(axis=1).clip(1)


def summary(part: FaceSet) -> dict[str, Any]:
    """Return counts of one split: labels against votes, and how many images have how firm a vote."""
    assert part.votes is not None
    chosen, firm = votes_of(part)
    table = np.zeros((len(EMOTIONS), len(EMOTIONS) + 1), np.int64)
    np.add.at(table, (part.labels, chosen), 1)
    mine = part.votes[:, list(VOTES_AS_EMOTIONS)][np.arange(len(part)), part.labels]
    return {
        "images": len(part),
        "labels_by_vote": table.tolist(),
        "share_of_votes_for_label": round(float((mine / part.votes.sum(axis=1).clip(1)).mean()), 4),
        "share_of_votes_for_top": round(float(firm.mean()), 4),
    }


def by_firmness(part: FaceSet, preds: np.ndarray) -> list[dict[str, Any]]:
    """Return who agrees with whom, by the share of the commonest vote: from 0, 0.4, 0.6, 0.8, and all.

    Agreement is counted where the voters have one first choice among the classes; neither a label nor a
    network can agree with a tie.
    """
    chosen, firm = votes_of(part)
    edges, rows = (0.0, 0.4, 0.6, 0.8, 1.0, np.inf), []
    for low, high in pairwise(edges):
        within = (firm >= low) & (firm < high)
        here = within & (chosen < len(EMOTIONS))
        rows.append(
            {
                "from": low,
                "images": int(within.sum()),
                "with_a_first_choice": int(here.sum()),
                "label_is_vote": int((chosen == part.labels)[here].sum()),
                "pred_is_label": int((preds == part.labels)[here].sum()),
                "pred_is_vote": int((preds == chosen)[here].sum()),
            }
        )
    return rows


def main(source: str, votes: str) -> None:
    faces = load_faces(source, votes=votes)
    records = {}
    for name in RECORDS:
        record = read_record(name)
        preds = record.preds("test")
        if not np.array_equal(record.labels("test"), faces.test.labels):
            sys.exit(f"{name} was not recorded on these test images.")
        chosen, _ = votes_of(faces.test)
        same = chosen == faces.test.labels
        other = ~same & (chosen < len(EMOTIONS))  # a clear vote for another class
        records[name] = {
            "right_where_label_is_vote": int((preds == faces.test.labels)[same].sum()),
            "label_is_vote": int(same.sum()),
            "right_elsewhere": int((preds == faces.test.labels)[~same].sum()),
            "clear_elsewhere": int(other.sum()),
            "label_elsewhere": int((preds == faces.test.labels)[other].sum()),
            "vote_elsewhere": int((preds == chosen)[other].sum()),
            "by_firmness": by_firmness(faces.test, preds),
        }
    found: dict[str, Any] = {
        "source": "fer2013new.csv (FER+, Barsoum et al., 2016) beside fer2013.csv",
        "fingerprint": faces.fingerprint,
        "fercourse": metadata.version("fercourse"),
        "numpy": np.__version__,
        "classes": [*EMOTIONS, "another answer, or a tie"],
        "splits": {part.split: summary(part) for part in faces},
        "records": records,
    }
    write_text(AUDITS / "ferplus.json", json.dumps(found, indent=1) + "\n")
    print(json.dumps({split: found["splits"][split]["images"] for split in ("train", "val", "test")}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
