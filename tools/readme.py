"""Write the README's tables of speed anew from the records in results/bench.

python tools/readme.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from fercourse.bench.report import load_records, markdown, markdown_small
from fercourse.files import write_text

ROOT = Path(__file__).resolve().parents[1]
#: What the table stands between.
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SMALL = "<!-- bench of the small network: begin -->", "<!-- bench of the small network: end -->"


def with_table(text: str, table: str, begin: str = BEGIN, end: str = END) -> str:
    """Return a text with the table between its marks.

    Raises:
        ValueError: the text has no such marks.
    """
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"The text has lost its marks {begin} and {end}.")
    return f"{before}{begin}\n{table}{end}{after}"


def main() -> int:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    new = with_table(text, markdown(load_records(ROOT / "results")))
    new = with_table(new, markdown_small(load_records(ROOT / "results", "bench/small")), *SMALL)
    if new != text:
        write_text(path, new)
    print("README.md: the tables of speed are", "the same" if new == text else "new")
    return 0


if __name__ == "__main__":
    sys.exit(main())
