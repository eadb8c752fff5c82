"""Time the reader of fer2013.csv against torchvision's on the same file in the same run, and its memory.

    python tools/bench_load.py path/to/fer2013.csv [--repeats 3] [--skip-torchvision]

Each measurement runs in a process of its own, the two readers in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = """
import json, resource, sys, time
from fercourse.data.fer2013 import read_csv
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
table = read_csv(sys.argv[1])
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "added_mib": (after - before) / 1024, "rows": len(table.labels)}))
"""
THEIRS = """
import json, resource, sys, time
from torchvision.datasets import FER2013
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
train, test = FER2013(sys.argv[1], "train"), FER2013(sys.argv[1], "test")
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "added_mib": (after - before) / 1024, "rows": len(train) + len(test)}))
"""
CACHED = """
import json, sys, time
from fercourse.data import load_faces
load_faces(sys.argv[1])
start = time.perf_counter()
faces = load_faces(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - start, "rows": sum(map(len, faces))}))
"""


def measure(code: str, *arguments: str) -> dict[str, float]:
    output = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(output.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csv", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-torchvision", action="store_true")
    options = parser.parse_args()
    path = options.csv.resolve()
    ours, theirs, cached = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "fer2013"
        root.mkdir()
        (root / "fer2013.csv").symlink_to(path)
        for _ in range(options.repeats):
            ours.append(measure(OURS, str(path)))
            if not options.skip_torchvision:
                theirs.append(measure(THEIRS, folder))
            cached.append(measure(CACHED, str(path)))
    for name, runs in (("fercourse", ours), ("torchvision", theirs), ("fercourse, cached", cached)):
        if runs:
            seconds = [run["seconds"] for run in runs]
            memory = (
                f", adds {max(run['added_mib'] for run in runs):.0f} MiB" if "added_mib" in runs[0] else ""
            )
            print(f"{name:<18} median {statistics.median(seconds):.2f} s (of {len(runs)}){memory}")
    if theirs:
        ratios = [b["seconds"] / a["seconds"] for a, b in zip(ours, theirs, strict=True)]
        print(f"{'ratio':<18} median {statistics.median(ratios):.1f}, {min(ratios):.1f} to {max(ratios):.1f}")


if __name__ == "__main__":
    main()
