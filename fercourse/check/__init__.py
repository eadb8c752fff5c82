"""What students' answers are checked with: `check_model` for any network, and a module for each chapter.

    from fercourse.check import ch03
    ch03.train_step.check(train_step)

An exercise takes the student's object as an argument and knows nothing else of the notebook. `core` has the
verdicts, `functions` and `modules` the two ways of judging: beside a reference, on many inputs, and beside
the mistakes that are often made, so that a wrong answer can be told which of them it is.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"check_model": "fercourse.check.model", "Exercise": "fercourse.check.core"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fercourse.check' has no attribute {name!r}")
