"""Which chapters' notebooks show fewer records than there are now."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from fercourse.grids import GRIDS
from fercourse.records import Record


def chapters_to_make(root: Path, records: Iterable[Record], known: Collection[str]) -> list[Path]:
    """Return the chapters to be made anew with `tools/notebooks.py`, below ``root``; none outside a checkout.

    A chapter shows a record if its code names the record's grid, or its network and recipe.

    Args:
        records: all there are.
        known: names of those that were there when the ledger was written last.
    """
    new = [record for record in records if record.name not in known]
    stale = []
    for chapter in sorted((root / "chapters").glob("[0-9]*.py")):
        code = "\n".join(
            line for line in chapter.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
        )
        if "results." in code and any(_shows(code, record) for record in new):
            stale.append(chapter)
    return stale


def _shows(code: str, record: Record) -> bool:
    if f'"{record.model}"' in code and f'"{record.recipe}"' in code:
        return True
    for name, rows in GRIDS.items():
        if name == "all":  # its parts are asked for
            continue
        named = re.search(rf'"{name}"|results\.{name}\(', code) is not None
        if named and any((row.model, row.recipe) == (record.model, record.recipe) for row in rows()):
            return True
    return False
