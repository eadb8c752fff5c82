"""What can be counted in the course, from its files alone: chapters, minutes, exercises, mistakes, cells.

The book's pages for teachers, its page of numbers and the tests read it from here, so that no such number is
typed anywhere. Nothing is run, and torch is not imported: checkers and answers are read as text.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
LEVELS = ("Easy", "Medium", "Hard")


@dataclass(frozen=True)
class Exercise:
    """One exercise: what its chapter says of it, and what its checker is tried on."""

    name: str
    number: int
    title: str
    level: str
    minutes: int
    kind: str
    right: int
    wrong: int
    mistakes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Chapter:
    """One numbered chapter; cells and figures are those of the notebook that students open."""

    number: int
    stem: str
    title: str
    reading: int
    practice: int
    sections: tuple[tuple[str, int], ...]
    exercises: tuple[Exercise, ...]
    predicts: int
    questions: int
    cells: int
    exempt: int
    figures: int
    words: int

    @property
    def checker(self) -> str:
        """The module of its checkers, such as 'ch05'."""
        return f"ch{self.number:02d}"


# Chapters --------------------------------------------------------------------------------------------------


@cache
def chapters(root: Path = ROOT) -> tuple[Chapter, ...]:
    """Return the numbered chapters in their order."""
    return tuple(_chapter(root, path) for path in sorted((root / "chapters").glob("[0-9][0-9]_*.py")))


def _chapter(root: Path, path: Path) -> Chapter:
    cells = jupytext.read(path, fmt="py:percent").cells
    text = "\n\n".join(
        cell.source for cell in cells if cell.cell_type == "markdown" and "hint" not in cell.metadata
    )
    title = re.search(r"^# (.+)", text, re.MULTILINE)
    time = re.search(r"\*\*Time\*\* (\d+) minutes to read and run, (\d+) more", text)
    if not (title and time):
        raise ValueError(
            f"{path.name} has no title, or does not say **Time** N minutes to read and run, M more."
        )
    notebook = nbformat.read(root / "notebooks" / f"{path.stem}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    quiz = text.partition("\n## Quiz")[2].partition("\n## ")[0]
    return Chapter(
        number=int(path.stem[:2]),
        stem=path.stem,
        title=title[1].strip(),
        reading=int(time[1]),
        practice=int(time[2]),
        sections=tuple(
            (found[1], int(found[2]))
            for found in re.finditer(r"^## (.+)\n\n\*(\d+) minutes", text, re.MULTILINE)
        ),
        exercises=tuple(_exercises(root, path, cells)),
        predicts=text.count("> **Predict.**"),
        questions=len(re.findall(r"^\*\*\d+\. ", quiz, re.MULTILINE)),
        cells=len(code),
        exempt=sum("nbval-ignore-output" in cell.metadata.get("tags", []) for cell in code),
        figures=sum(
            any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])) for cell in code
        ),
        words=words("\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")),
    )


def _exercises(root: Path, path: Path, cells: list[Any]) -> Iterator[Exercise]:
    checker = f"ch{path.stem[:2]}"
    tried, said = answers(root, checker), collected(root).get(checker, {})
    head = re.compile(
        rf"^### Exercise (\d+)\. (.+)\n\n\*({'|'.join(LEVELS)}), (\d+) minutes\.\s*(.*?)\*$", re.MULTILINE
    )
    before = ""
    for cell in cells:
        if cell.cell_type == "markdown":
            before += f"\n\n{cell.source}"
        elif "exercise" in cell.metadata:
            name = cell.metadata["exercise"]
            heads = list(head.finditer(before))
            if not heads:
                raise ValueError(f"{path.name}: before exercise {name!r} stands no heading of an exercise.")
            number, title, level, minutes, kind = heads[-1].groups()
            right, wrong = (len(tried[what].get(name, ())) for what in ("right", "wrong"))
            yield Exercise(
                name,
                int(number),
                title,
                level,
                int(minutes),
                kind.strip(". "),
                right,
                wrong,
                tuple(said.get(name, ())),
            )


def words(markdown: str) -> int:
    """Return how many words a reader reads: without code, formulas, marks and addresses."""
    text = re.sub(
        r"^```.*?^```|\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|<[^>]+>|\]\([^)]*\)", " ", markdown, flags=re.M | re.S
    )
    return len(re.findall(r"[^\W\d_](?:[\w'’-]*\w)?", text))


# Answers --------------------------------------------------------------------------------------


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")


@cache
def answers(root: Path, checker: str) -> dict[str, dict[str, list[str]]]:
    """Return the labels of the right and the wrong answers that a chapter's checkers are tried on.

    Each is entered by a call such as ``wrong("name", "words that must come back")(answer)``, or as
    a decorator. Of a right one the label is empty.
    """
    found: dict[str, dict[str, list[str]]] = {"right": {}, "wrong": {}}
    for node in ast.walk(_parsed(root / "tests" / "answers" / f"{checker}.py")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in found:
            name, *label = (str(one.value) for one in node.args if isinstance(one, ast.Constant))
            found[node.func.id].setdefault(name, []).append(*label or [""])
    return found


@cache
def collected(root: Path) -> dict[str, dict[str, list[tuple[str, int]]]]:
    """Return what `make mistakes` kept: for each chapter and exercise, what was said, and how often."""
    path = root / "book" / "mistakes.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        chapter: {name: [(text, count) for text, count in said] for name, said in entry["said"].items()}
        for chapter, entry in kept.items()
    }


# The whole book --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """One number of the book: what is counted, what it tells, and what it does not."""

    name: str
    value: int
    tells: str
    but: str


def pages(root: Path = ROOT) -> list[Path]:
    """Return the book's pages of prose."""
    return sorted((root / "book").rglob("*.md"))


def terms(root: Path = ROOT) -> int:
    """Return how many terms the glossary explains."""
    text = (root / "book" / "glossary.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\{glossary\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return sum(bool(re.match(r"\S", line)) for block in blocks for line in block.splitlines())


def count_tests(root: Path = ROOT) -> int:
    """Return how many test functions there are; most are run on several inputs."""
    trees = [_parsed(path) for path in sorted((root / "tests").rglob("test_*.py"))]
    return sum(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        for tree in trees
        for node in ast.walk(tree)
    )


def records(root: Path = ROOT) -> list[str]:
    """Return the names of the trainings of which a record is kept."""
    return sorted(path.stem for path in (root / "results" / "runs").glob("*.json"))


def numbers(root: Path = ROOT) -> list[Number]:
    """Return the book's numbers, counted."""
    found = chapters(root)
    exercises = [one for chapter in found for one in chapter.exercises]
    hours = sum(chapter.reading + chapter.practice for chapter in found)
    kept = records(root)
    prose = sum(words(path.read_text(encoding="utf-8")) for path in pages(root))
    bibliography = (root / "book" / "references.bib").read_text(encoding="utf-8")
    return [
        Number("chapters", len(found), "files in `chapters/` that have a number",
               "not the pages beside the course"),
        Number("minutes", hours, "what the chapters' heads promise, for reading and for exercises",
               "our estimate for somebody who meets the subject for the first time; nobody was timed"),
        Number("words", prose + sum(chapter.words for chapter in found),
               "words of prose in chapters and pages, without code, formulas and references",
               "length is no merit"),
        Number("exercises", len(exercises), "each with a stub, a checker, a hint and a solution",
               "not *Predict* and quiz"),
        Number("exercises that change a module or a training",
               sum("Changes" in one.kind for one in exercises),
               "the student's code becomes part of a network or of its training, evaluation included",
               "says nothing about how hard they are"),
        Number("right answers tried", sum(one.right for one in exercises),
               "answers written differently that must pass, beside the solution",
               "other right answers exist; one that is refused is a mistake of ours"),
        Number("wrong answers told apart", sum(one.wrong for one in exercises),
               "answers with a known mistake, which must be refused with words that name it",
               "we wrote them ourselves: a share of the mistakes that a class will make is not among them"),
        Number("predictions", sum(chapter.predicts for chapter in found),
               "places where you are asked to decide before you run the next cell", "nobody checks them"),
        Number("quiz questions", sum(chapter.questions for chapter in found), "each option has an answer",
               "one right option each"),
        Number("code cells", sum(chapter.cells for chapter in found),
               "cells of the notebooks that students open; all run from top to bottom, on drawn faces",
               "checks and folded solutions are among them"),
        Number("cells whose output is compared", sum(chapter.cells - chapter.exempt for chapter in found),
               "run again by `make test`, and held to the output that the book shows",
               "the others train or time; an assertion in the next cell holds them to a range"),
        Number("figures", sum(chapter.figures for chapter in found),
               "pictures that cells of the chapters draw, each with a text for those who do not see it",
               "none shows a photograph of a single person"),
        Number("records of trainings", len(kept),
               "complete trainings on FER-2013 of which configuration, history and predictions are kept",
               f"{sum(name.endswith('-cpu') for name in kept)} of them ran on a processor; "
               "what has no record is *pending*"),
        Number("terms", terms(root), "words that the glossary explains", "as this course uses them"),
        Number("references", len(re.findall(r"^@\w+\{", bibliography, re.MULTILINE)),
               "works in the bibliography", "chapters link to further ones"),
        Number("test functions", count_tests(root),
               "functions of the test suite; most run on many inputs, such as every network or answer",
               "that a test passes shows what it looks at, and nothing else"),
    ]  # fmt: skip
