"""Answers as students write them, right and wrong, on which the checkers are tried.

A wrong one is labelled with words that its verdict must hold: those that name the mistake. None is copied
from a checker: each is written as somebody would who knows the exercise's text alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answers:
    """The answers of a chapter: (exercise, answer), and (exercise, answer, what the verdict must say)."""

    right: list[tuple[str, Any]] = field(default_factory=list)
    wrong: list[tuple[str, Any, re.Pattern[str]]] = field(default_factory=list)

    def is_right(self, exercise: str) -> Callable[[Any], Any]:
        """Enter what is decorated as a right answer."""

        def enter(answer: Any) -> Any:
            self.right.append((exercise, answer))
            return answer

        return enter

    def is_wrong(self, exercise: str, says: str) -> Callable[[Any], Any]:
        """Enter what is decorated as a wrong answer, whose verdict must match ``says``."""

        def enter(answer: Any) -> Any:
            self.wrong.append((exercise, answer, re.compile(says, re.IGNORECASE)))
            return answer

        return enter
