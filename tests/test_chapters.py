"""What a chapter defines inline is compared with the package's, in tests/test_chNN.py."""

from __future__ import annotations

import importlib
from pathlib import Path

from inline import inline_names


def test_every_inline_definition_is_compared() -> None:
    """A definition that is added to a chapter needs a comparison in that chapter's tests."""
    compared = {}
    for path in sorted(Path(__file__).parent.glob("test_ch[0-9][0-9].py")):
        names = getattr(importlib.import_module(path.stem), "COMPARED", set())
        compared[path.stem.removeprefix("test_ch")] = set(names)
    found = {stem[:2]: names for stem, names in inline_names().items()}
    assert found
    assert found == {number: names for number, names in compared.items() if names}
