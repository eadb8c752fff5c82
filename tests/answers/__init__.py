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


def written_function(space: dict[str, Any], head: str, *lines: str) -> Any:
    """Return the function of a head, such as 'double(x)', and the lines of its body, as somebody types it."""
    names = dict(space)
    exec("\n    ".join((f"def {head}:", *lines)), names)
    return names[head.partition("(")[0]]


def written_module(space: dict[str, Any], name: str, arguments: str, start: Any, forward: Any) -> Any:
    """Return the class of the lines of its __init__ and its forward, as somebody types it."""
    names = dict(space)
    lines = [
        f"class {name}(nn.Module):",
        f"    def __init__({', '.join(filter(None, ('self', arguments.lstrip(', '))))}):",
        "        super().__init__()",
        *(f"        {line}" for line in start),
        "    def forward(self, x):",
        *(f"        {line}" for line in forward),
    ]
    exec("\n".join(lines), names)
    return names[name]
