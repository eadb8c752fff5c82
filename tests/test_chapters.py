"""What a chapter defines inline is compared with the package's, in tests/test_chNN.py."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from inline import CHAPTERS, inline_names

import notebooks
from fercourse import results
from fercourse.papers import EARLY
from fercourse.recipes import make_config


def test_every_inline_definition_is_compared() -> None:
    """A definition that is added to a chapter needs a comparison in that chapter's tests."""
    compared = {}
    for path in sorted(Path(__file__).parent.glob("test_ch[0-9][0-9].py")):
        names = getattr(importlib.import_module(path.stem), "COMPARED", set())
        compared[path.stem.removeprefix("test_ch")] = set(names)
    found = {stem[:2]: names for stem, names in inline_names().items()}
    assert found
    assert found == {number: names for number, names in compared.items() if names}


def test_chapter_9_shows_paper_2s_pair_by_its_own_recipe() -> None:
    """The grid has the same two networks again, with the other's batch norm: those are controls."""
    chapter = notebooks.jupytext.read(CHAPTERS / "09_the_comparison.py", fmt="py:percent")
    (cell,) = [cell.source for cell in chapter.cells if 'results.groups("paper2")' in cell.source]
    names: dict[str, Any] = {"results": results, "EARLY": EARLY, "np": np, "pd": pd}
    exec(compile(cell, "chapter 9", "exec"), names)
    assert names["pair"].keys() == EARLY.keys()
    for model, group in names["pair"].items():
        assert group.config == make_config(model, "paper2")
