"""Judging a function: beside a reference, on many inputs, and beside the mistakes that are often made."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fercourse.check.core import Wrong, differs, run, want_function

#: What a case calls the value that the function returns.
RESULT = "what it returns"


@dataclass(frozen=True)
class Case:
    """One call of the student's function.

    Attributes:
        make: returns the arguments, fresh for each call, the same each time.
        words: the input, in words, for the message.
        observe: from (result, arguments after the call) to what is compared, by name in the order that a
            student should mend them; by default only what is returned.
        rtol, atol: how far numbers may be from the reference's.
        may_change: whether the function may change its arguments.
    """

    make: Callable[[], tuple[Any, ...]]
    words: str
    observe: Callable[[Any, tuple[Any, ...]], dict[str, Any]] | None = None
    rtol: float = 1e-4
    atol: float = 1e-6
    may_change: bool = False

    def seen(self, result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        """Return what is compared."""
        return {RESULT: result} if self.observe is None else self.observe(result, arguments)

    def difference(self, found: dict[str, Any], expected: dict[str, Any]) -> tuple[str, str] | None:
        """Return the first name that differs and how, or None."""
        for name, value in expected.items():
            if words := differs(found.get(name), value, rtol=self.rtol, atol=self.atol):
                return name, words
        return None


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that students give: what it computes, and what to tell them."""

    function: Callable[..., Any]
    message: str


def of(*arguments: Any, words: str | None = None, **options: Any) -> Case:
    """Return the case of these arguments; each call gets a deep copy."""
    return Case(lambda: copy.deepcopy(arguments), words or ", ".join(map(_brief, arguments)), **options)


def judge_function(
    answer: Any,
    name: str,
    *,
    reference: Callable[..., Any],
    cases: Sequence[Case],
    mistakes: Sequence[Mistake] = (),
) -> None:
    """Compare a student's function with the reference on every case.

    Raises:
        Wrong: naming the mistake where the answer computes what one of ``mistakes`` does on all cases, or
            at least on the first that fails; else what was found and expected, and on which input.
        NotAttempted: the stub is still there.
    """
    want_function(answer, name)
    found, failures = [], []
    for case in cases:
        arguments = case.make()
        before = None if case.may_change else copy.deepcopy(arguments)
        result = run(answer, *arguments, what=f"{name}, called with {case.words},")
        if before is not None and _changed(before, arguments):
            raise Wrong(
                f"{name} changes its argument, called with {case.words}: work on a copy, or the caller "
                "finds other values than before."
            )
        seen = case.seen(result, arguments)
        theirs = case.make()
        expected = case.seen(reference(*theirs), theirs)
        found.append(seen)
        if difference := case.difference(seen, expected):
            failures.append((case, seen, *difference))
    if not failures:
        return
    case, seen, what, words = failures[0]
    where = f"Called with {case.words}: {what}: {words}." if what != RESULT else (
        f"Called with {case.words}, {words}."
    )  # fmt: skip
    whole = list(zip(cases, found, strict=True))
    for tried in (whole, [(case, seen)]):
        for mistake in mistakes:
            if all(_does(mistake, one, theirs) for one, theirs in tried):
                raise Wrong(f"{mistake.message}\n{where}")
    raise Wrong(where)


def _does(mistake: Mistake, case: Case, found: dict[str, Any]) -> bool:
    arguments = case.make()
    try:
        seen = case.seen(mistake.function(*arguments), arguments)
    except Exception:  # a mistake need not work on every input
        return False
    return case.difference(found, seen) is None


def _changed(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    for one, other in zip(before, after, strict=True):
        try:
            if differs(other, one, rtol=0, atol=0):
                return True
        except Exception:
            continue
    return False


def _brief(value: Any) -> str:
    """Return a value in few words: numbers as they are, arrays by shape."""
    if getattr(value, "shape", ()):
        kind = str(getattr(value, "dtype", "")).replace("torch.", "")
        return f"{kind} values of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
