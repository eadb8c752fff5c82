"""Judging a function: beside a reference, on many inputs, and beside the mistakes that are often made."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fercourse.check.core import Wrong, differs, run, want_function
from fercourse.check.guesses import guess

#: What a case calls the value that the function returns.
RESULT = "what it returns"
#: What a case may note of the way in which the result came about: never judged, but it tells mistakes apart.
TRACE = "the way there"


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
            if name == TRACE:
                continue
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
    explain: Callable[[dict[str, Any], dict[str, Any], tuple[Any, ...]], str | None] | None = None,
) -> None:
    """Compare a student's function with the reference on every case.

    Args:
        explain: from (what was seen, what was expected, fresh arguments) of the first case that fails to the
            name of the mistake, or None; asked where no mistake fits on all cases.

    Raises:
        Wrong: naming the mistake where the answer computes what one of ``mistakes`` does on all cases, or
            at least on the first that fails; else how what was found relates to what was expected; and on
            which input.
        NotAttempted: the stub is still there.
    """
    want_function(answer, name)
    tried: list[_Tried] = []
    for case in cases:
        arguments = case.make()
        before = None if case.may_change else copy.deepcopy(arguments)
        try:
            result = run(answer, *arguments, what=f"{name}, called with {case.words},")
        except Wrong:
            if any(one.differs for one in tried):
                break  # the values before say more than where it ended
            raise
        if before is not None and _changed(before, arguments):
            raise Wrong(
                f"{name} changes its argument, called with {case.words}: work on a copy, or the caller "
                "finds other values than before."
            )
        seen = case.seen(result, arguments)
        theirs = case.make()
        expected = case.seen(reference(*theirs), theirs)
        tried.append(_Tried(case, seen, expected, case.difference(seen, expected)))
    failures = [one for one in tried if one.differs]
    if not failures:
        return
    first = failures[0]
    assert first.differs is not None
    what, words = first.differs
    where = f"Called with {first.case.words}: {what}: {words}." if what != RESULT else (
        f"Called with {first.case.words}, {words}."
    )  # fmt: skip
    raise Wrong(f"{message}\n{where}" if (message := _named(tried, mistakes, explain)) else where)


@dataclass(frozen=True)
class _Tried:
    """A case, what was seen and expected, and the first difference: its name and how."""

    case: Case
    seen: dict[str, Any]
    expected: dict[str, Any]
    differs: tuple[str, str] | None


def _named(
    tried: Sequence[_Tried],
    mistakes: Sequence[Mistake],
    explain: Callable[[dict[str, Any], dict[str, Any], tuple[Any, ...]], str | None] | None,
) -> str | None:
    """Return the name of the mistake: a labelled one on all cases, an explanation, or the nearest."""
    failures = [one for one in tried if one.differs]
    first = failures[0]
    assert first.differs is not None
    what = first.differs[0]
    # Of several that compute the same, the one that goes the same way (see `TRACE`) comes first.
    whole = [mistake for mistake in mistakes if all(_does(mistake, one) for one in tried)]
    for mistake in whole:
        if _does(mistake, first, trace=True):
            return mistake.message
    if explain is not None and (message := explain(first.seen, first.expected, first.case.make())):
        return message
    if whole:
        return whole[0].message
    for mistake in mistakes:
        if all(_does(mistake, one) for one in failures):
            return mistake.message
    if what == RESULT:
        pairs = [(one.seen.get(what), one.expected[what]) for one in tried]
        agrees = [one.differs is None or one.differs[0] != what for one in tried]
        if message := guess([one for one, _ in pairs], [one for _, one in pairs], agrees=agrees):
            return message
    for last in (None, what):  # what comes after the first difference may be a mistake of its own
        for mistake in mistakes:
            if _does(mistake, first, last=last):
                return mistake.message
    return None


def _does(mistake: Mistake, tried: _Tried, *, trace: bool = False, last: str | None = None) -> bool:
    """Whether a mistake gives what was seen: everything, or as far as the name ``last``."""
    arguments = tried.case.make()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            seen = tried.case.seen(mistake.function(*arguments), arguments)
    except Exception:  # a mistake need not work on every input
        return False
    if trace and tried.seen.get(TRACE) != seen.get(TRACE):
        return False
    if last is not None:
        seen = dict(list(seen.items())[: list(seen).index(last) + 1])
        if not differs(seen[last], tried.expected[last]):
            return False
    return tried.case.difference(tried.seen, seen) is None


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
