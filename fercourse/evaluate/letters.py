"""Which of many networks differ, in a letter or two each: Holm's correction and compact letter displays."""

from __future__ import annotations

import string
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

from fercourse.errors import FercourseError

Key = TypeVar("Key", bound=Hashable)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Return p values corrected for their number, such that errors of any kind stay below the level together.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none becomes smaller
    than one before it (Holm 1979, 'A simple sequentially rejective multiple test procedure').

    Args:
        p_values: what was tested to its p value, between 0 and 1.

    Returns:
        The same keys in the same order, with corrected values, at most 1.

    Raises:
        FercourseError: a value is not between 0 and 1.
    """
    for key, p in p_values.items():
        if not 0 <= p <= 1:
            raise FercourseError(f"The p value of {key} is {p}; expected a number between 0 and 1.")
    corrected, greatest = {}, 0.0
    for place, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        greatest = max(greatest, min(1.0, p_values[key] * (len(p_values) - place)))
        corrected[key] = greatest
    return {key: corrected[key] for key in p_values}


def significance_letters(names: Sequence[str], differ: Collection[tuple[str, str]]) -> dict[str, str]:
    """Return letters such that two names share one if, and only if, they do not differ significantly.

    By insertion and absorption (Piepho 2004, 'An algorithm for a letter-based representation of all-pairwise
    comparisons'): all begin with one letter; each pair that differs splits every letter that both have into
    one for each of them; a letter whose names all have another letter in common is taken back.

    Args:
        names: what was compared, in the order in which letters are given out, usually the best first.
        differ: the pairs that differ, each in either order.

    Returns:
        Each name's letters in alphabetical order, in the order of the names.

    Raises:
        FercourseError: a name stands twice, a pair is not of two of the names, or 52 letters are too few.
    """
    known = set(names)
    if len(known) < len(names):
        raise FercourseError(f"A name stands twice in {list(names)}; expected each once.")
    groups = [known] if names else []
    for one, other in differ:
        if one == other or not {one, other} <= known:
            raise FercourseError(f"The pair {(one, other)} is not of two of the names {list(names)}.")
        split = [
            part for group in groups if {one, other} <= group for part in (group - {one}, group - {other})
        ]
        groups = [group for group in groups if not {one, other} <= group]
        for part in sorted(split, key=len, reverse=True):
            if not any(part <= group for group in groups):
                groups.append(part)
    if len(groups) > len(string.ascii_letters):
        raise FercourseError(
            f"{len(groups)} letters are needed and there are {len(string.ascii_letters)}: compare fewer."
        )
    groups.sort(key=lambda group: [name not in group for name in names])
    return {
        name: "".join(
            letter for letter, group in zip(string.ascii_letters, groups, strict=False) if name in group
        )
        for name in names
    }
