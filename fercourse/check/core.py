"""What every checker shares: an exercise with check, hint and solution, and three verdicts told apart.

In the style of Kaggle's learntools: an answer is *not attempted*, *not yet* right (with the reason), or
*correct*. A checker never raises on what a student passes, whatever it is.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import itertools
import json
import linecache
import random
import sysconfig
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from fercourse.check.advice import advice_for
from fercourse.errors import FercourseError, one_line, shown

NOT_ATTEMPTED, NOT_YET, CORRECT = "not attempted", "not yet", "correct"
_MARKS = {NOT_ATTEMPTED: "○ Not attempted.", NOT_YET: "✘ Not yet.", CORRECT: "✔ Correct."}
#: Columns of a verdict, which must fit a page of the book.
WIDTH = 76
#: Hints and solutions, copied from the chapters by `make notebooks`.
ANSWERS = Path(__file__).with_name("answers.json")


class Wrong(Exception):
    """The answer is wrong; the message tells the student why, on which input, what was expected and found."""


class NotAttempted(Exception):
    """The stub is still what it was; the message tells what to do."""


@dataclass(frozen=True)
class Verdict:
    """What a checker says of an answer. ``status`` is one of NOT_ATTEMPTED, NOT_YET and CORRECT."""

    status: str
    message: str

    def __bool__(self) -> bool:
        return self.status == CORRECT

    def __repr__(self) -> str:
        lines = f"{_MARKS[self.status]} {self.message}".rstrip().splitlines()
        # Lines that begin with blanks quote code, which wrapping would spoil.
        return "\n".join(
            part
            for line in lines
            for part in (
                [line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."]
                if line.startswith(" ")
                else textwrap.wrap(line, WIDTH) or [""]
            )
        )


class Exercise:
    """One exercise of a chapter.

    Args:
        chapter: such as 'ch03'.
        name: the exercise's name, which is that of what the student writes.
        judge: takes the answer; raises `Wrong` or `NotAttempted`, or returns what to say of a right one.
    """

    def __init__(self, chapter: str, name: str, judge: Callable[[Any], str | None]) -> None:
        self.chapter, self.name, self.judge = chapter, name, judge
        self.__doc__ = judge.__doc__

    def __repr__(self) -> str:
        return f"Exercise {self.name} of {self.chapter}: .check({self.name}), .hint(), .solution()"

    def check(self, answer: Any = ...) -> Verdict:
        """Say whether an answer is right, and if not, why. Takes anything and raises nothing."""
        try:
            with _undisturbed():
                if answer is None or isinstance(answer, EllipsisType) or is_empty(answer):
                    raise NotAttempted(f"Write {self.name}, run its cell, then run this one again.")
                praise = self.judge(answer)
            return Verdict(CORRECT, praise or "")
        except NotAttempted as verdict:
            return Verdict(NOT_ATTEMPTED, str(verdict))
        except Wrong as verdict:
            return Verdict(NOT_YET, str(verdict))
        except (Exception, SystemExit, GeneratorExit) as error:  # it breaks where nobody expects it to
            where = students_line(error)
            return Verdict(
                NOT_YET,
                f"While {self.name} was looked at, {type(error).__name__} was raised: {_said(error)}"
                + (f"\n{where}" if where else ""),
            )

    def hint(self) -> None:
        """Print the hint."""
        print(textwrap.fill(self._text("hint"), WIDTH))

    def solution(self) -> None:
        """Print one right answer; others are right too."""
        print(self._text("solution"))

    def _text(self, kind: str) -> str:
        try:
            return json.loads(ANSWERS.read_text(encoding="utf-8"))[self.chapter][self.name][kind]
        except (OSError, ValueError, KeyError) as error:
            raise FercourseError(
                f"{ANSWERS.name} has no {kind} of {self.chapter}.{self.name}: run `make notebooks`."
            ) from error


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Judge with fixed seeds, gradients on and prints swallowed; leave the student's random numbers alone."""
    import torch

    # The old global generator, because it is the one that a student's np.random.rand() draws from.
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with (
        torch.random.fork_rng(devices=devices),
        _same_defaults(),
        np.errstate(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        try:
            warnings.simplefilter("ignore")
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)
            torch.manual_seed(0)
            random.seed(0)
            np.random.seed(0)  # noqa: NPY002
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)  # noqa: NPY002


@contextlib.contextmanager
def _same_defaults() -> Iterator[None]:
    """Put back what students' code may set for all: whether gradients are tracked, and the default dtype."""
    import torch

    default, tracked = torch.get_default_dtype(), torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_default_dtype(default)
        torch.set_grad_enabled(tracked)


def run(function: Callable[..., Any], *args: Any, what: str = "your code", **kwargs: Any) -> Any:
    """Call the student's code; an exception becomes a `Wrong` that shows it as theirs, with their line.

    Raises:
        NotAttempted: the stub's own NotImplementedError came out.
        Wrong: anything else came out.
    """
    try:
        with _same_defaults():
            return function(*args, **kwargs)
    except NotImplementedError as error:
        # PyTorch raises it too, for a forward that is missing or a dtype that a layer cannot compute with.
        last = traceback.extract_tb(error.__traceback__)[-1]
        if not is_library(last.filename) and (not str(error) or last.line == "raise NotImplementedError"):
            raise NotAttempted("There is still a stub to fill in.") from error
        raise Wrong(_raised(what, error)) from error
    except (Exception, SystemExit, GeneratorExit) as error:
        raise Wrong(_raised(what, error)) from error


def _raised(what: str, error: BaseException) -> str:
    where = students_line(error)
    # "your code" begins a sentence; a name stays as it is written.
    message = f"{what.replace('your code', 'Your code')} raised {type(error).__name__}: {_said(error)}"
    if advice := advice_for(_said(error)):
        message += f"\n{advice}"
    return message + (f"\n{where}" if where else "")


def _said(error: BaseException) -> str:
    """Return an error's message; an error of the student's own may be unable to tell it."""
    try:
        return one_line(error)
    except Exception:
        return "(its message cannot be shown)"


def is_library(filename: str) -> bool:
    """Whether a file is Python's, an installed package's or the course's own, and not the student's."""
    paths = sysconfig.get_paths()
    roots = {paths[name] for name in ("stdlib", "purelib", "platlib")} | {str(Path(__file__).parents[1])}
    # On Debian and Colab packages lie in dist-packages, which Python does not always tell of.
    packages = {"site-packages", "dist-packages"} & set(Path(filename).parts)
    return bool(packages) or filename.startswith((*roots, "<frozen"))


def students_line(error: BaseException) -> str:
    """Return '  line 3: `the line`' of the last code that is no library's, or an empty text."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not is_library(frame.filename) and frame.lineno is not None:
            line = linecache.getline(frame.filename, frame.lineno).strip() or (frame.line or "")
            place = f"  in line {frame.lineno} of {frame.name}:"
            separator = " " if len(place) + 1 + len(line) <= WIDTH else "\n    "
            return f"{place}{separator}{line}" if line else ""
    return ""


def is_empty(answer: Any) -> bool:
    """Whether a function has no body but its docstring, `pass` or `...`."""
    if not inspect.isfunction(answer):
        return False
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(answer)))
    except (OSError, TypeError, SyntaxError):
        return False
    if not (len(tree.body) == 1 and isinstance(tree.body[0], ast.FunctionDef)):
        return False
    return all(
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in tree.body[0].body
    )


def want_function(answer: Any, name: str) -> None:
    """Raise `Wrong` for what cannot be called as a function, such as the result of calling it."""
    import torch

    if inspect.isclass(answer) or isinstance(answer, torch.nn.Module):
        raise Wrong(f"{name} should be a function, and is {_kind(answer)}.")
    if not callable(answer):
        raise Wrong(
            f"{name} should be a function, and is {_kind(answer)}: pass the function itself, without "
            "calling it."
        )


def want_module(answer: Any, name: str) -> None:
    """Raise `Wrong` for what is no class of modules, such as an object of it."""
    import torch

    if isinstance(answer, torch.nn.Module):
        raise Wrong(f"{name} is an object: pass the class itself, without the brackets that build one.")
    if not inspect.isclass(answer):
        raise Wrong(f"{name} should be a class derived from nn.Module, and is {_kind(answer)}.")
    if not issubclass(answer, torch.nn.Module):
        raise Wrong(f"The class {name} is not derived from nn.Module: write class {name}(nn.Module).")


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if inspect.isfunction(value):
        return f"the function {value.__name__}"
    return f"{type(value).__name__} {shown(value, 40)}"


# Values -----------------------------------------------------------------------------------------------------


def as_array(value: Any) -> np.ndarray | None:
    """Return numbers of any common kind as float64 or bool or text NumPy array; None where they are none."""
    import torch

    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype.is_floating_point else value).numpy()
    if isinstance(value, (dict, set, str, bytes)) or value is None or callable(value):
        return None
    try:
        if isinstance(value, (list, tuple)) and any(isinstance(item, torch.Tensor) for item in value):
            value = [as_array(item) for item in value]
        array = np.asarray(value)
    except Exception:
        return None
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    return array if array.dtype.kind in "US" else None


def differs(found: Any, expected: Any, *, rtol: float = 1e-4, atol: float = 1e-6) -> str | None:
    """Return in words how a value differs from the expected one, or None where it does not.

    Numbers, arrays, tensors and lists of numbers are compared by shape and value, so that a float32 tensor
    agrees with a list; mappings key by key; the rest by equality.
    """
    if found is None:
        return "it returns None (is a `return` missing?)"
    if isinstance(expected, dict):
        if not hasattr(found, "keys"):
            return f"it is {_kind(found)}, expected a dictionary"
        missing = [key for key in expected if key not in found]
        extra = [key for key in found if key not in expected]
        if missing or extra:
            return "; ".join(
                f"{word} {', '.join(map(shown, keys[:4]))}"
                for word, keys in (("it lacks", missing), ("it has besides", extra))
                if keys
            )
        for key, value in expected.items():
            if difference := differs(found[key], value, rtol=rtol, atol=atol):
                return f"at {shown(key)}, {difference}"
        return None
    if isinstance(expected, (list, tuple)) and any(
        isinstance(item, (list, tuple, dict, np.ndarray)) or hasattr(item, "detach") for item in expected
    ):
        return _sequence_differs(found, expected, rtol, atol)
    if isinstance(expected, str) or as_array(expected) is None:
        try:
            same = bool(found == expected)
        except Exception:
            same = False
        return None if same else f"found {shown(found, 60)}, expected {shown(expected, 60)}"
    return _numbers_differ(found, expected, rtol, atol)


def _sequence_differs(found: Any, expected: Any, rtol: float, atol: float) -> str | None:
    try:
        items = list(itertools.islice(found, len(expected) + 1000))
    except TypeError:
        return f"it is {_kind(found)}, expected {len(expected)} values"
    if len(items) != len(expected):
        return f"it has {len(items)} values, expected {len(expected)}"
    for number, (one, other) in enumerate(zip(items, expected, strict=True), start=1):
        if difference := differs(one, other, rtol=rtol, atol=atol):
            return f"value {number} of {len(expected)}: {difference}"
    return None


def _numbers_differ(found: Any, expected: Any, rtol: float, atol: float) -> str | None:
    ours, theirs = as_array(expected), as_array(found)
    assert ours is not None
    if theirs is None:
        return f"it is {_kind(found)}, expected {_described(ours)}"
    if theirs.shape != ours.shape:
        if theirs.size == ours.size == 1:
            theirs = theirs.reshape(ours.shape)  # one number is one number, in a box or not
        else:
            return f"its shape is {_shape(theirs)}, expected {_shape(ours)}"
    if theirs.dtype.kind != ours.dtype.kind:
        return f"found {shown(theirs.ravel()[:3].tolist())}, expected {shown(ours.ravel()[:3].tolist())}"
    if ours.dtype.kind in "US":
        bad = theirs != ours
    else:
        bad = ~np.isclose(theirs, ours, rtol=rtol, atol=atol, equal_nan=True)
        if np.isnan(theirs).any() and not np.isnan(ours).any():
            return f"{int(np.isnan(theirs).sum())} of {theirs.size} values are NaN (not a number)"
    if not bad.any():
        return None
    if ours.ndim == 0 or ours.size == 1:
        return f"found {_number(theirs.item())}, expected {_number(ours.item())}"
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = where[0] if len(where) == 1 else where
    return (
        f"{int(bad.sum())} of {bad.size} values differ; at [{str(place).strip('()')}] found "
        f"{_number(theirs[where])}, expected {_number(ours[where])}"
    )


def _number(value: Any) -> str:
    if isinstance(value, np.str_):
        value = str(value)
    return f"{value:.6g}" if isinstance(value, (int, float, np.number)) else shown(value)


def _shape(array: np.ndarray) -> str:
    return "() (a single number)" if array.ndim == 0 else str(array.shape)


def _described(array: np.ndarray) -> str:
    return "a number" if array.ndim == 0 else f"numbers of shape {array.shape}"
