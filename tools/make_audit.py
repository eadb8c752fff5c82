"""Write results/audits/fer2013.json and fer2013-aggregates.npz from the real data: the book replays them.

    python tools/make_audit.py path/to/fer2013.csv [path/to/fer2013new.csv]

Counts, duplicates, agreement and mean faces; no single face is in either file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from fercourse.data import EMOTIONS, aggregates, audit, load_faces, twins
from fercourse.files import atomic_path, write_text

AUDITS = Path(__file__).resolve().parents[1] / "results" / "audits"


def main(source: str, votes: str | None = None) -> None:
    faces = load_faces(source, votes=votes)
    found = audit(faces)
    if found.verdict != "official":
        sys.exit(found.report())
    record = found.to_dict()
    record["source"] = Path(faces.source).name  # not where it lay on this machine
    pictures = aggregates(faces)
    record["emotions"] = list(EMOTIONS)
    record["twins"] = {split: int(mask.sum()) for split, mask in twins(faces).items()}
    record["class_mean_pixel"] = {
        name: round(float(picture.mean()) / 255, 4)
        for name, picture in zip(EMOTIONS, pictures["mean_faces"], strict=True)
    }
    write_text(AUDITS / "fer2013.json", json.dumps(record, indent=1) + "\n")
    path = AUDITS / "fer2013-aggregates.npz"
    with atomic_path(path) as temporary:
        # Half precision is to a quarter of a grey level, finer than any screen shows.
        small = {
            key: value.astype(np.float16) if value.dtype == np.float32 else value
            for key, value in pictures.items()
        }
        np.savez_compressed(temporary, **small)  # type: ignore[arg-type]
    print(found.report())
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
