"""What a wrong value has to do with the right one: the last resort where no labelled mistake fits."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fercourse.check.core import as_array
from fercourse.errors import shown

Numbers = np.ndarray
#: From the right value to a wrong one, and what to say of it. The first that fits every failing case counts.
_RELATIONS: tuple[tuple[Callable[[Numbers], Any], str], ...] = (
    (lambda e: -e, "The sign is the other way round."),
    (lambda e: 100 * e, "It is 100 times too large: a share is asked for, not per cent."),
    (lambda e: e / 100, "It is 100 times too small."),
    (lambda e: e + 1, "It is one too large."),
    (lambda e: e - 1, "It is one too small."),
    (lambda e: 1 - e, "It is the rest, one minus the right value."),
    (lambda e: 1 / e, "It is upside down, one over the right value."),
    (lambda e: e**2, "It is the square of the right value."),
    (lambda e: np.sqrt(e), "It is the square root of the right value."),
    (lambda e: np.log(e), "It is the logarithm of the right value."),
    (lambda e: np.exp(e), "It is e to the power of the right value."),
    (lambda e: np.floor(e), "It is rounded down to a whole number: keep the decimals."),
    (lambda e: np.ceil(e), "It is rounded up to a whole number: keep the decimals."),
    *(
        (lambda e, d=digits: np.round(e, d), f"It is rounded to {digits} decimals: return the value itself.")
        for digits in range(7)
    ),
    (lambda e: e[::-1], "The values are in reverse order."),
    (lambda e: np.sort(e), "The values are sorted: leave them in the order asked for."),
    (lambda e: np.cumsum(e), "The values are added up along the way."),
    (lambda e: e.T, "Rows and columns are exchanged (transposed)."),
)


def guess(found: Sequence[Any], expected: Sequence[Any], *, agrees: Sequence[bool] = ()) -> str | None:
    """Return in words what all the wrong values have in common, or None.

    Args:
        found, expected: what the student's function returned on each input, and what was right.
        agrees: which of them are right; those are left out of all but the last question.
    """
    wrong = [i for i in range(len(found)) if not (agrees and agrees[i])]
    if not wrong:
        return None
    pairs = [(found[i], expected[i]) for i in wrong]
    return _kind(pairs) or _numbers(pairs) or _always_the_same(found, expected)


def _kind(pairs: list[tuple[Any, Any]]) -> str | None:
    """Name a value that is of the wrong kind altogether."""
    first, right = pairs[0]
    if first is None:
        printed = isinstance(sys.stdout, io.StringIO) and sys.stdout.getvalue().strip()
        if printed:
            return (
                "It prints, and returns nothing (None): end with `return`, so that others can use the value."
            )
        return "It returns nothing (None): is a `return` missing, or on a path that is not taken?"
    if isinstance(first, BaseException):
        return f"It returns the error: write raise {type(first).__name__}(...), not return."
    if inspect.isgenerator(first) or (hasattr(first, "__next__") and hasattr(first, "__iter__")):
        return "It returns a generator, which holds no values yet: put them into a list, list(...)."
    if isinstance(first, dict) and not isinstance(right, dict):
        return "It returns a dictionary; something else is asked for."
    if isinstance(right, dict) and right:
        return _dictionary(first, right)
    if callable(first) and not callable(right):
        return "It returns a function, not what the function gives: brackets are missing after its name."
    if isinstance(first, (list, tuple)) and first and all(isinstance(item, str) for item in first):
        return "It holds text (strings) instead of numbers: leave out str(...)."
    if isinstance(first, str) and not isinstance(right, str):
        return "It returns text (a string): return the value itself, and print or format it elsewhere."
    return None


def _dictionary(found: Any, right: dict[Any, Any]) -> str | None:
    """Name what is wrong with what should be a dictionary."""
    if not isinstance(found, dict):
        pairs = isinstance(found, (list, tuple)) and all(
            isinstance(one, tuple) and len(one) == 2 for one in found
        )
        if pairs and found:
            return "It returns pairs in a list; make them a dictionary, dict(...)."
        if isinstance(found, (list, tuple)):
            return "It returns the values alone; a dictionary with a name for each is asked for."
        return "It returns one value; a dictionary with a value for each name is asked for."
    if set(found) != set(right):
        if not found:
            return "The dictionary is empty."
        if len(found) == len(right):
            one, other = shown(next(iter(found)), 40), shown(next(iter(right)), 40)
            return f"The keys are others: {one} where {other} belongs."
        return None
    arrays = [as_array(found[key]) for key in right]
    if any(one is None or one.dtype.kind == "U" for one in arrays):
        return "The values are no numbers."
    if any(one.size != 1 for one in arrays if one is not None):
        return "The values are tensors, arrays or shapes; one number each is asked for."
    values = np.array([one.item() for one in arrays if one is not None])
    if not values.any():
        return "All values are 0: are they cleared, or read, at the wrong place?"
    return _numbers([(values, np.array([float(np.asarray(right[key])) for key in right]))])


def _numbers(pairs: list[tuple[Any, Any]]) -> str | None:
    arrays = [(as_array(one), as_array(other)) for one, other in pairs]
    if any(one is None or other is None or "U" in one.dtype.kind + other.dtype.kind for one, other in arrays):
        return _one_of_several(pairs)
    known = [(one, other) for one, other in arrays if one is not None and other is not None]
    if words := _of_other_shape(known):
        return words
    for relation, words in _RELATIONS:
        if all(_is(relation, one, other) for one, other in known):
            return words
    return _in_proportion(known)


def _is(relation: Callable[[Numbers], Any], found: Numbers, expected: Numbers) -> bool:
    with np.errstate(all="ignore"):
        try:
            value = np.asarray(relation(expected))
            return found.shape == value.shape and np.allclose(found, value, rtol=1e-5, atol=1e-9)
        except (TypeError, ValueError, IndexError):
            return False


def _one_of_several(pairs: list[tuple[Any, Any]]) -> str | None:
    """Name several values, of any kinds, where one was asked for."""
    places = []
    for one, other in pairs:
        right = as_array(other)
        if not isinstance(one, (tuple, list)) or right is None or right.ndim or right.dtype.kind == "U":
            return None
        values = [as_array(item) for item in one]
        fits = [
            i
            for i, value in enumerate(values)
            if value is not None
            and value.dtype.kind == "f"
            and value.size == 1
            and np.isclose(value.item(), right)
        ]
        if not fits:
            return None
        places.append((len(values), fits[0]))
    if len(set(places)) != 1:
        return None
    count, place = places[0]
    count_word = {1: "a list of one value", 2: "two values"}.get(count, f"{count} values")
    return f"It returns {count_word}, of which number {place + 1} is right: return that one alone."


def _of_other_shape(pairs: list[tuple[Numbers, Numbers]]) -> str | None:
    found, expected = pairs[0]
    if found.shape == expected.shape:
        return None
    several: list[tuple[str, Callable[[Numbers, Numbers], Any]]] = []
    if expected.ndim == 0:
        words = f"It returns {found.size} values where one number is asked for"
        several = [
            (f"{words}: their sum is missing.", lambda f, e: np.isclose(f.sum(), e)),
            (f"{words}: their mean is missing.", lambda f, e: f.size and np.isclose(f.mean(), e)),
            (f"{words}: how many they are is right, len(...).", lambda f, e: f.size == e),
            (
                f"{words}: the first is right; return it alone.",
                lambda f, e: f.size and np.isclose(f.flat[0], e),
            ),
            (
                f"{words}: the last is right; return it alone.",
                lambda f, e: f.size and np.isclose(f.flat[-1], e),
            ),
            (
                f"{words}: the greatest is right; return it alone.",
                lambda f, e: f.size and np.isclose(f.max(), e),
            ),
            (f"{words}: a list, and not one number.", lambda f, _: f.ndim > 0),
        ]
    elif expected.ndim == 1 and found.ndim == 1:
        several = [
            (
                "Only the first values are there, and they are right: does a `return` stand inside the loop, "
                "or does the loop end too early?",
                lambda f, e: 0 < f.size < e.size and np.allclose(f, e[: f.size]),
            ),
            ("The list is empty: is anything appended?", lambda f, e: f.size == 0 < e.size),
            (
                "The first value is missing; the others are right.",
                lambda f, e: f.size + 1 == e.size and np.allclose(f, e[1:]),
            ),
            (
                "There is a value too many in front; the others are right.",
                lambda f, e: f.size == e.size + 1 and np.allclose(f[1:], e),
            ),
            (
                "There are values too many at the end; the others are right.",
                lambda f, e: f.size > e.size > 0 and np.allclose(f[: e.size], e),
            ),
        ]
    elif expected.ndim == 1 and found.ndim == 0:
        several = [
            (
                "That is the last value alone; the list of all is asked for.",
                lambda f, e: e.size and np.isclose(f, e[-1]),
            ),
            (
                "That is the first value alone: does a `return` stand inside the loop?",
                lambda f, e: e.size and np.isclose(f, e[0]),
            ),
            (
                "That is the sum of the values; the list of them is asked for.",
                lambda f, e: np.isclose(f, e.sum()),
            ),
            ("That is one number; a list of them is asked for.", lambda *_: True),
        ]
    elif expected.ndim == 1 and found.ndim == 2 and found.size:
        several = [
            (
                "Each value is itself a list or tuple; one number each is asked for.",
                lambda f, e: f.ndim == 2 and f.shape[0] == e.shape[0],
            ),
            (
                "It is a list in a list: one pair of brackets too many.",
                lambda f, _: f.ndim == 2 and f.shape[0] == 1,
            ),
        ]
    with np.errstate(all="ignore"):
        for words, holds in several:
            asked = [pair for pair in pairs if pair[1].size] or pairs
            if all(holds(one, other) for one, other in asked):
                return words
    return None


def _in_proportion(pairs: list[tuple[Numbers, Numbers]]) -> str | None:
    """Name one factor or one difference between all that is found and all that is expected."""
    if any(one.shape != other.shape for one, other in pairs):
        return None
    found = np.concatenate([one.ravel() for one, _ in pairs])
    expected = np.concatenate([other.ravel() for _, other in pairs])
    if len(expected) < 2 or not np.isfinite(found).all() or np.ptp(expected) == 0:
        return None
    if (expected != 0).all():
        ratio = found / expected
        if np.allclose(ratio, ratio[0], rtol=1e-4) and ratio[0]:
            return f"Whatever the input, it is {ratio[0]:.4g} times the right value."
    if np.ptp(found - expected) < 1e-6 * max(1.0, float(np.abs(expected).max())):
        return f"Whatever the input, it is {found[0] - expected[0]:+.4g} beside the right value."
    return None


def _always_the_same(found: Sequence[Any], expected: Sequence[Any]) -> str | None:
    """Name an answer that does not depend on the input, such as one that was typed in."""
    ours = [as_array(value) for value in expected]
    theirs = [as_array(value) for value in found]
    if len(theirs) < 2 or any(one is None for one in (*ours, *theirs)):
        return None
    one_answer = all(np.array_equal(theirs[0], other) for other in theirs[1:])  # type: ignore[arg-type]
    if one_answer and not all(np.array_equal(ours[0], other) for other in ours[1:]):  # type: ignore[arg-type]
        return "It gives the same answer whatever the input: are the arguments used?"
    return None
