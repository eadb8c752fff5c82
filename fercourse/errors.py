"""The one exception for mistakes a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class FercourseError(ValueError):
    """A mistake outside the program: a wrong file, name or value.

    The message is one sentence or two that name the file or value, what was expected and what to do.
    The command line prints it without a traceback and exits with status 1.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest of the known names, or an empty string.

    In brackets, so that the sentence around it goes on or ends as it would without.
    """
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {match[0]!r}?)" if match else ""


def one_line(error: BaseException | str, limit: int = 200) -> str:
    """Return an error's message as one line of at most ``limit`` characters that any terminal can show."""
    text = " ".join(str(error).split()) or type(error).__name__
    return _cut("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), limit)


def shown(value: Any, limit: int = 100) -> str:
    """Return ``repr(value)``, cut at ``limit`` characters, for a message about a value of any kind."""
    try:
        return _cut(repr(value), limit)
    except (ValueError, RecursionError):  # a number of more than 4,300 digits; lists nested too deep
        return f"<{type(value).__name__} too large to show>"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
