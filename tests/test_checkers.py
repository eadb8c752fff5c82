"""Every checker is tried on right answers, on the mistakes that students make, and on nonsense."""

# ruff: noqa: ARG002, ARG005

from __future__ import annotations

import difflib
import importlib
import itertools
import json
import linecache
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import numpy as np
import pytest
import torch
from torch import nn

import notebooks
from fercourse.check.clinic import PATIENTS
from fercourse.check.core import CORRECT, NOT_ATTEMPTED, NOT_YET, WIDTH, Exercise, Verdict
from fercourse.errors import FercourseError

ROOT = Path(__file__).parents[1]
#: Seconds that one check may take on a busy machine; on a quiet one none takes two.
PATIENCE = 15.0


def chapters() -> dict[str, Path]:
    """Return the chapters that have checkers, by the checkers' name."""
    found = {notebooks.checker(path.stem): path for path in sorted((ROOT / "chapters").glob("[0-9]*.py"))}
    return {name: path for name, path in found.items() if (ROOT / f"fercourse/check/{name}.py").exists()}


CHAPTERS = chapters()


def checkers(chapter: str) -> ModuleType:
    return importlib.import_module(f"fercourse.check.{chapter}")


def exercises() -> list[Any]:
    return [
        pytest.param(value, id=f"{chapter}-{name}")
        for chapter in CHAPTERS
        for name, value in vars(checkers(chapter)).items()
        if isinstance(value, Exercise)
    ]


def answers(kind: str) -> list[Any]:
    found = []
    for chapter in CHAPTERS:
        if (ROOT / f"tests/answers/{chapter}.py").exists():
            book = importlib.import_module(f"answers.{chapter}").ANSWERS
            for number, (name, *rest) in enumerate(getattr(book, kind)):
                label = getattr(rest[0], "__name__", type(rest[0]).__name__)
                found.append(pytest.param(chapter, name, *rest, id=f"{chapter}-{name}-{number}-{label}"))
    return found


def check(exercise: Exercise, answer: Any) -> Verdict:
    """Check an answer, and see that it takes no time and fits the page."""
    begun = time.perf_counter()
    verdict = exercise.check(answer)
    assert time.perf_counter() - begun < PATIENCE
    assert isinstance(verdict, Verdict)
    assert max(map(len, repr(verdict).splitlines())) <= WIDTH
    return verdict


@pytest.fixture(scope="module", autouse=True)
def optimizers_imported() -> None:
    """The first optimiser of a process imports for seconds, which are not a checker's."""
    torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)


# Right and wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chapter", "name", "answer"), answers("right"))
def test_right_answer_passes(chapter: str, name: str, answer: Any) -> None:
    verdict = check(getattr(checkers(chapter), name), answer)
    assert verdict.status == CORRECT, repr(verdict)
    assert verdict
    assert repr(verdict).startswith("✔ Correct.")


@pytest.mark.parametrize(("chapter", "name", "answer", "says"), answers("wrong"))
def test_wrong_answer_is_named(chapter: str, name: str, answer: Any, says: Any) -> None:
    verdict = check(getattr(checkers(chapter), name), answer)
    assert verdict.status == NOT_YET, repr(verdict)
    assert not verdict
    assert repr(verdict).startswith("✘ Not yet. ")
    assert says.search(verdict.message), f"does not name {says.pattern!r}:\n{verdict}"


@pytest.mark.parametrize("chapter", [c for c in CHAPTERS if (ROOT / f"tests/answers/{c}.py").exists()])
def test_every_exercise_has_right_and_wrong_answers(chapter: str) -> None:
    book = importlib.import_module(f"answers.{chapter}").ANSWERS
    for name, value in vars(checkers(chapter)).items():
        if isinstance(value, Exercise):
            assert sum(one == name for one, _ in book.right) >= 3, name
            assert sum(one == name for one, _, _ in book.wrong) >= 8, name


# The chapter's own ------------------------------------------------------------------------------------------


def cells(chapter: str) -> list[Any]:
    return jupytext.read(CHAPTERS[chapter], fmt="py:percent").cells


_SPACES: dict[str, dict[str, Any]] = {}


def imported(chapter: str) -> dict[str, Any]:
    """Return a namespace in which the chapter's imports have run."""
    if chapter not in _SPACES:
        source = next(
            cell.source for cell in cells(chapter) if f"from fercourse.check import {chapter}" in cell.source
        )
        _SPACES[chapter] = {"__name__": "__main__"}
        exec(source, _SPACES[chapter])
    return dict(_SPACES[chapter])


def parts(kind: str) -> list[Any]:
    return [
        pytest.param(chapter, cell.metadata[kind], cell, id=f"{chapter}-{cell.metadata[kind]}")
        for chapter in CHAPTERS
        for cell in cells(chapter)
        if kind in cell.metadata
    ]


def run_cell(source: str, space: dict[str, Any], number: int = 7) -> None:
    """Run code as IPython does, which keeps a cell's lines for tracebacks."""
    name = f"/tmp/ipykernel_4242/{number}.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), space)


@pytest.mark.parametrize(("chapter", "name", "cell"), parts("exercise"))
def test_solution_passes_and_stub_is_not_attempted(chapter: str, name: str, cell: Any) -> None:
    exercise = getattr(checkers(chapter), name)
    solved = imported(chapter)
    run_cell(notebooks.without_marks(cell.source), solved)
    verdict = check(exercise, solved[name])
    assert verdict.status == CORRECT, repr(verdict)

    stub = imported(chapter)
    run_cell(notebooks.stub(cell.source, name), stub)
    verdict = check(exercise, stub[name])
    assert verdict.status == NOT_ATTEMPTED, repr(verdict)
    assert repr(verdict).startswith("○ Not attempted. ")


@pytest.mark.parametrize(("chapter", "name", "cell"), parts("exercise"))
def test_folded_solution_passes_under_its_own_name(chapter: str, name: str, cell: Any) -> None:
    space = imported(chapter)
    run_cell(notebooks.renamed(notebooks.without_marks(cell.source)), space)
    renamed = f"{name}_solution" if name == name.lower() else f"{name}Solution"
    assert check(getattr(checkers(chapter), name), space[renamed]).status == CORRECT


@pytest.mark.parametrize(("chapter", "name", "cell"), parts("exercise"))
def test_solution_and_hint_print_what_the_chapter_says(
    chapter: str, name: str, cell: Any, capsys: Any
) -> None:
    exercise = getattr(checkers(chapter), name)
    assert exercise.solution() is None
    assert capsys.readouterr().out.rstrip("\n") == notebooks.without_marks(cell.source)
    hint = next(one for one in cells(chapter) if one.metadata.get("hint") == name)
    assert exercise.hint() is None
    printed = capsys.readouterr().out
    assert " ".join(printed.split()) == " ".join(notebooks.plain(hint.source).split())
    assert max(map(len, printed.splitlines())) <= WIDTH


def test_answers_json_is_what_the_chapters_give() -> None:
    every = sorted((ROOT / "chapters").glob("*.py"))
    assert notebooks.ANSWERS.read_text(encoding="utf-8") == notebooks.answers(every), "run `make notebooks`"
    known = json.loads(notebooks.ANSWERS.read_text(encoding="utf-8"))
    for chapter in CHAPTERS:
        names = {name for name, value in vars(checkers(chapter)).items() if isinstance(value, Exercise)}
        assert set(known[chapter]) == names


def test_an_exercise_without_a_hint_says_what_to_do() -> None:
    with pytest.raises(FercourseError, match="make notebooks"):
        Exercise("ch99", "nothing", lambda answer: None).hint()


# Nonsense ---------------------------------------------------------------------------------------------------


class Hostile:
    """An object that fights back."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no ==")

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        raise RuntimeError("no len")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("no iter")

    def __bool__(self) -> bool:
        raise RuntimeError("no bool")


class HostileCallable(Hostile):
    def __call__(self, *_: Any, **__: Any) -> Any:
        return Hostile()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


class NoModule:
    def __init__(self, *_: Any, **__: Any) -> None:
        pass


class OtherArguments(nn.Module):
    def __init__(self, *, colour: str, size: int, weight: float, height: float) -> None:
        super().__init__()


def module_that(body: Any, start: Any = lambda self: None) -> type[nn.Module]:
    """Return a class of modules that takes any arguments and whose forward is ``body``."""

    def __init__(self: Any, *_: Any, **__: Any) -> None:
        nn.Module.__init__(self)
        self.layer = nn.Linear(1, 1)
        start(self)

    return type("Nonsense", (nn.Module,), {"__init__": __init__, "forward": lambda self, *_, **__: body()})


def raises(error: BaseException) -> Any:
    raise error


def meddles(*arguments: Any, **_: Any) -> None:
    """Change whatever is global, and whatever comes in."""
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    for argument in arguments:
        if isinstance(argument, (np.ndarray, torch.Tensor)):
            argument[...] = 0
        elif isinstance(argument, list):
            argument.clear()
        elif isinstance(argument, nn.Module):
            for value in argument.parameters():
                value.data.zero_()


def prints_a_lot(*_: Any, **__: Any) -> None:
    import sys

    for _ in range(2000):
        print("noise" * 20)
    print("noise", file=sys.stderr)


def endless(*_: Any, **__: Any) -> Any:
    return endless()


def itself(*_: Any, **__: Any) -> Any:
    return itself


def numbers(*_: Any, **__: Any) -> Iterator[int]:
    yield from itertools.count()


NONSENSE: dict[str, Any] = {
    "None": None,
    "a number": 3,
    "a text": "text",
    "nan": float("nan"),
    "an empty list": [],
    "an empty dictionary": {},
    "NotImplemented": NotImplemented,
    "a type": int,
    "a module of Python": random,
    "a tensor": torch.zeros(3),
    "an array": np.zeros(3),
    "a generator": (n for n in range(3)),
    "an object that fights back": Hostile(),
    "its class": Hostile,
    "a callable that fights back": HostileCallable(),
    "a function without arguments": lambda: 3,
    "returns None": lambda *_, **__: None,
    "returns nan": lambda *_, **__: float("nan"),
    "returns a nan tensor": lambda *_, **__: torch.full((4, 7), float("nan")),
    "returns complex": lambda *_, **__: 1j,
    "returns text": lambda *_, **__: "text",
    "returns objects": lambda *_, **__: np.array([None, {}], dtype=object),
    "returns an array of bool": lambda *_, **__: np.ones((3, 3), dtype=bool),
    "returns a huge array": lambda *_, **__: np.zeros((300, 48, 48)),
    "returns a dictionary": lambda *_, **__: {1: 2},
    "returns a ragged list": lambda *_, **__: [[1], [2, 3]],
    "returns a set": lambda *_, **__: {1, 2},
    "returns itself": itself,
    "counts for ever": numbers,
    "raises": lambda *_, **__: raises(ValueError("no")),
    "raises the unspeakable": lambda *_, **__: raises(Unspeakable()),
    "raises StopIteration": lambda *_, **__: raises(StopIteration()),
    "raises GeneratorExit": lambda *_, **__: raises(GeneratorExit()),
    "exits": lambda *_, **__: exit(),
    "never ends": endless,
    "prints": prints_a_lot,
    "meddles": meddles,
    "a class that is no module": NoModule,
    "nn.Module itself": nn.Module,
    "nn.Linear": nn.Linear,
    "a module of other arguments": OtherArguments,
    "a module": nn.Linear(3, 3),
    "a module without forward": type(
        "Empty", (nn.Module,), {"__init__": lambda s, *_: nn.Module.__init__(s)}
    ),
    "a module without super": type("NoSuper", (nn.Module,), {"__init__": lambda s, *_: None}),
    "forward None": module_that(lambda: None),
    "forward nan": module_that(lambda: torch.full((4, 7), float("nan"))),
    "forward wrong dtype": module_that(lambda: torch.ones(4, 7, dtype=torch.int8)),
    "forward complex": module_that(lambda: torch.ones(4, 7, dtype=torch.complex64)),
    "forward a number": module_that(lambda: 3),
    "forward no axes": module_that(lambda: torch.ones(())),
    "forward no images": module_that(lambda: torch.ones(0, 7)),
    "forward a tuple": module_that(lambda: (torch.ones(3), None)),
    "forward exits": module_that(lambda: raises(SystemExit())),
    "forward raises": module_that(lambda: raises(RuntimeError("no"))),
    "forward meddles": module_that(lambda: meddles()),
    "forward hostile": module_that(Hostile),
    "a module that exits": module_that(lambda: None, lambda self: raises(SystemExit(1))),
    "a module that is recursive": module_that(lambda: endless()),
    "a module that holds what cannot be copied": module_that(
        lambda: torch.ones(4, 7), lambda self: setattr(self, "computed", self.layer.weight * 2)
    ),
}


def state() -> tuple[Any, ...]:
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],  # noqa: NPY002
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        np.geterr(),
    )


@pytest.mark.parametrize("exercise", exercises())
def test_nonsense_is_told_and_leaves_no_trace(exercise: Exercise, capfd: Any) -> None:
    for kind, answer in NONSENSE.items():
        before = state()
        verdict = check(exercise, answer)
        assert verdict.status in (NOT_YET, NOT_ATTEMPTED), kind
        assert verdict.message
        assert state() == before, f"{kind} changed what is global"
        assert "noise" not in verdict.message
    out = capfd.readouterr()
    assert out.out == ""
    assert out.err == ""


def test_what_was_set_stays_set() -> None:
    exercise = checkers("ch01").PriorOnly
    try:
        torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            space = imported("ch01")
            cell = next(one for one in cells("ch01") if one.metadata.get("exercise") == "PriorOnly")
            run_cell(notebooks.without_marks(cell.source), space)
            assert check(exercise, space["PriorOnly"]).status == CORRECT
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_keyboard_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        checkers("ch01").split_of.check(lambda name: raises(KeyboardInterrupt()))


@pytest.mark.parametrize("exercise", exercises())
def test_nothing_passed_is_not_attempted(exercise: Exercise) -> None:
    for verdict in (exercise.check(), exercise.check(None), exercise.check(...)):
        assert verdict.status == NOT_ATTEMPTED
        assert exercise.name in verdict.message
    assert repr(exercise)
    assert exercise.name in repr(exercise)


# Exceptions are shown as the student's ----------------------------------------------------------------------


def test_the_student_s_line_is_quoted_from_a_cell() -> None:
    space: dict[str, Any] = {}
    run_cell("def split_of(name):\n    parts = name.split('/')\n    return parts[17].lower()\n", space, 11)
    verdict = checkers("ch01").split_of.check(space["split_of"])
    assert "IndexError: list index out of range" in verdict.message
    assert "in line 3 of split_of: return parts[17].lower()" in verdict.message


def test_the_student_s_line_is_quoted_where_a_library_raises() -> None:
    space: dict[str, Any] = {"nn": nn}
    source = (
        "class PooledHead(nn.Module):\n"
        "    def __init__(self, channels, num_classes):\n"
        "        super().__init__()\n"
        "        self.dense = nn.Linear(channels, num_classes)\n"
        "\n"
        "    def forward(self, x):\n"
        "        return self.dense(x.flatten(1))\n"
    )
    run_cell(source, space, 12)
    verdict = checkers("ch03").PooledHead.check(space["PooledHead"])
    assert verdict.status == NOT_YET
    assert "mat1 and mat2 shapes cannot be multiplied" in verdict.message
    assert "in line 7 of forward: return self.dense(x.flatten(1))" in verdict.message


def test_a_half_filled_stub_is_not_attempted_yet() -> None:
    space: dict[str, Any] = {"nn": nn}
    source = (
        "class PooledHead(nn.Module):\n"
        "    def __init__(self, channels, num_classes):\n"
        "        super().__init__()\n"
        "        self.dense = nn.Linear(channels, num_classes)\n"
        "    def forward(self, x):\n"
        "        # Your code here.\n"
        "        raise NotImplementedError\n"
    )
    run_cell(source, space, 13)
    assert checkers("ch03").PooledHead.check(space["PooledHead"]).status == NOT_ATTEMPTED


def test_an_empty_function_is_not_attempted() -> None:
    for number, body in enumerate(("pass", "...", '"""Return something."""')):
        space: dict[str, Any] = {}
        run_cell(f"def split_of(name):\n    {body}\n", space, 20 + number)
        assert checkers("ch01").split_of.check(space["split_of"]).status == NOT_ATTEMPTED


def test_a_long_line_is_cut_and_long_text_is_wrapped() -> None:
    verdict = Verdict(NOT_YET, f"{'word ' * 60}\n  in line 3 of f: {'x' * 300}")
    lines = repr(verdict).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0].startswith("✘ Not yet. word")
    assert repr(Verdict(CORRECT, "")) == "✔ Correct."
    assert repr(Verdict(NOT_ATTEMPTED, "Write it.")) == "○ Not attempted. Write it."


def test_the_clinic_s_charts_are_the_checker_s_and_no_number_is_a_good_guess() -> None:
    source = (ROOT / "chapters" / "13_the_clinic.py").read_text(encoding="utf-8")
    charts = re.findall(r"# Its chart:\n#\n((?:# (?:\d\. |   ).*\n)+)", source)
    assert len(charts) == len(PATIENTS)
    for chart, (letter, patient) in zip(charts, PATIENTS.items(), strict=True):
        lines = re.findall(r"# \d\. (.*)", chart)
        for line, finding in zip(lines, patient.findings, strict=True):
            nearest = max(
                patient.findings, key=lambda one: difflib.SequenceMatcher(None, line.lower(), one).ratio()
            )
            assert nearest == finding, f"patient {letter}: {line}"
        assert set(patient.common) == set(range(1, len(lines) + 1)) - {patient.decisive}, letter
        folded = source.split(f"<summary>Diagnosis of patient {letter}</summary>")[1].split("</details>")[0]
        assert re.findall(r"by finding (\d)", folded)[0] == str(patient.decisive), letter
    numbers = Counter(patient.decisive for patient in PATIENTS.values())
    assert max(numbers.values()) <= 2, "one number would be right for most patients"
