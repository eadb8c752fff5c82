"""Write the README's table of speed anew from the records in results/bench.

python tools/readme.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from fercourse.bench.report import load_records, markdown
from fercourse.files import write_text

ROOT = Path(__file__).resolve().parents[1]
#: What the table stands between.
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def with_table(text: str, table: str) -> str:
    """Return a text with the table between its marks.

    Raises:
        ValueError: the text has no such marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"The README has lost its marks {BEGIN} and {END}.")
    return f"{before}{begin}\n{table}{end}{after}"


def main() -> int:
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    new = with_table(text, markdown(load_records(ROOT / "results")))
    if new != text:
        write_text(path, new)
    print("README.md: the table of speed is", "the same" if new == text else "new")
    return 0


if __name__ == "__main__":
    sys.exit(main())
