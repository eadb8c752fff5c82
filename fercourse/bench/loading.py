"""Reading fer2013.csv: our reader, our cache, and torchvision's reader, each measured on the same file."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

#: How the file is read: the names of the variants.
READERS = ("usual", "ours", "cached")


def measure(reader: str, source: str) -> dict[str, float | None]:
    """Read a fer2013.csv; return seconds, the memory it added at its peak, and the rows read.

    Args:
        reader: 'usual', torchvision's FER2013 (train, then test); 'ours', the reader without the cache;
            'cached', `load_faces` of a file that was read before.
        source: the file; torchvision takes the official one only.
    """
    from fercourse.bench.memory import peak_mib
    from fercourse.data import load_faces
    from fercourse.data.fer2013 import read_csv

    with tempfile.TemporaryDirectory() as folder:
        if reader == "usual":
            from torchvision.datasets import FER2013

            root = Path(folder) / "fer2013"
            root.mkdir()
            (root / "fer2013.csv").symlink_to(Path(source).resolve())
        elif reader == "cached":
            os.environ["FERCOURSE_CACHE"] = folder
            load_faces(source)
        before = peak_mib()
        start = time.perf_counter()
        if reader == "usual":
            rows = sum(len(FER2013(folder, split)) for split in ("train", "test"))
        elif reader == "ours":
            rows = len(read_csv(Path(source)).labels)
        else:
            rows = sum(map(len, load_faces(source)))
        seconds = time.perf_counter() - start
    added = peak_mib() - before
    return {"seconds": seconds, "added_mib": None if added != added else round(added, 1), "rows": rows}
