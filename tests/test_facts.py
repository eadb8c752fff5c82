"""What the book counts of itself is what is there, and what teachers read is what the checkers say."""

from __future__ import annotations

import importlib
import random
import re
import shutil
import sys
from pathlib import Path

import facts
import mistakes
import pytest
import slides
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
CHAPTERS = facts.chapters()
CHECKED = mistakes.checkers()
PLAN = slides.plan()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_answers_are_counted_as_the_tests_collect_them(chapter: facts.Chapter) -> None:
    """They are counted in the text of the file; a loop around an entry would escape."""
    book = importlib.import_module(f"answers.{chapter.checker}").ANSWERS
    for one in chapter.exercises:
        assert one.right == sum(name == one.name for name, _ in book.right), one.name
        assert one.wrong == sum(name == one.name for name, _, _ in book.wrong), one.name
    assert sum(one.wrong for one in chapter.exercises) == len(book.wrong)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_minutes_are_those_of_the_parts(chapter: facts.Chapter) -> None:
    practice = sum(one.minutes for one in chapter.exercises)
    assert practice == chapter.practice
    assert sum(minutes for _, minutes in chapter.sections) == chapter.reading + practice
    assert [one.number for one in chapter.exercises] == list(range(1, len(chapter.exercises) + 1))


def test_words_are_what_one_reads() -> None:
    text = "Two *words*, `code`, $x + y$, [a link](https://example.org/not)\n\n```\nnot this\n```\n<br> don't"
    assert facts.words(text) == 5


def test_numbers_follow_the_files(tmp_path: Path) -> None:
    """A file more is counted, without a word typed."""
    for name in ("chapters", "notebooks", "book", "results", "fercourse/check", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    shutil.copytree(ROOT / "results" / "runs", tmp_path / "results" / "runs")
    before = {one.name: one.value for one in facts.numbers(tmp_path)}
    assert before == {one.name: one.value for one in facts.numbers(ROOT)}
    assert all(value > 0 for value in before.values()), before
    record = next((tmp_path / "results" / "runs").glob("*.json"))
    shutil.copy(record, record.with_name("another-seed1-cpu.json"))
    (tmp_path / "tests" / "test_more.py").write_text("def test_one() -> None: ...\n")
    with (tmp_path / "tests" / "answers" / "ch05.py").open("a") as file:
        file.write('\nwrong("ResidualBlock", "words")(None)\n')
    facts.chapters.cache_clear()
    facts.answers.cache_clear()
    after = {one.name: one.value for one in facts.numbers(tmp_path)}
    changed = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert changed == {"records of trainings": 1, "test functions": 1, "wrong answers told apart": 1}


# What students get wrong -----------------------------------------------------------------------------------


def test_what_teachers_read_is_up_to_date() -> None:
    assert not mistakes.stale(mistakes.read()), "run `make mistakes`"
    assert mistakes.read().keys() == set(CHECKED)


@pytest.mark.parametrize("checker", CHECKED)
def test_what_teachers_read_is_what_the_checkers_say(checker: str) -> None:
    """One answer an exercise, by lot, but the same in every run."""
    book = importlib.import_module(f"answers.{checker}").ANSWERS
    exercises = importlib.import_module(f"fercourse.check.{checker}")
    said = facts.collected(ROOT)[checker]
    for exercise in sorted({name for name, _, _ in book.wrong}):
        tried = [answer for name, answer, _ in book.wrong if name == exercise]
        answer = random.Random(exercise).choice(tried)
        found = mistakes.sentence(getattr(exercises, exercise).check(answer).message)
        blank = {re.sub(r"\d+(\.\d+)?", "0", text) for text, _ in said[exercise]}
        assert found is None or re.sub(r"\d+(\.\d+)?", "0", found) in blank, (exercise, found)


def test_most_wrong_answers_are_answered_with_a_name() -> None:
    for chapter in CHAPTERS:
        for one in chapter.exercises:
            assert sum(count for _, count in one.mistakes) >= 0.6 * one.wrong, one.name


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("The minus is missing.\nCalled with 3, found 4.", "The minus is missing."),
        ("Called with 3, found 4, expected 5.", None),
        ("Your code raised ValueError: no", None),
        ("Divide, do not multiply. Called with 3, found 4.", "Divide, do not multiply."),
    ],
)
def test_a_verdict_that_names_nothing_is_left_out(message: str, named: str | None) -> None:
    assert mistakes.sentence(message) == named


# The plans -------------------------------------------------------------------------------------------------


def test_the_lesson_takes_ninety_minutes() -> None:
    assert sum(step["minutes"] for step in PLAN["lesson"]) == 90


def test_the_weeks_name_chapters_and_exercises_that_exist() -> None:
    there = {chapter.number: chapter for chapter in CHAPTERS}
    planned = [number for week in PLAN["weeks"] for number in week["chapters"]]
    assert planned == sorted(set(planned))
    assert there.keys() <= set(planned), "a chapter belongs to no week"
    assert set(planned) - there.keys() <= PLAN["coming"].keys()
    for week in PLAN["weeks"]:
        for number, wanted in week["chapters"].items():
            known = {one.number for one in there[number].exercises} if number in there else set(wanted)
            assert set(wanted) <= known, f"chapter {number} has no exercise {set(wanted) - known}"
        for page in week["pages"]:
            assert (ROOT / "book" / f"{page}.md").exists()


def test_every_page_that_counts_gets_its_numbers() -> None:
    import fercourse_teaching as teaching

    asked = {
        name: teaching.MARK.findall(path.read_text(encoding="utf-8"))
        for path in facts.pages()
        for name in [path.stem]
    }
    assert {name: marks for name, marks in asked.items() if marks} == {
        "teaching": ["lesson", "weeks", "minutes"],
        "mistakes": ["mistakes"],
        "numbers": ["numbers", "numbers-by-chapter"],
    }
    for part in teaching.PARTS.values():
        made = part(ROOT)
        assert len(made.splitlines()) >= len(PLAN["weeks"])


def test_a_sentence_with_signs_is_shown_as_it_is() -> None:
    import fercourse_teaching as teaching

    assert teaching.plain("4 * width, `a * b` and <x>_y") == r"4 \* width, `a * b` and \<x\>\_y"
    assert teaching.plain("use torch.no_grad() twice. No.") == "use `torch.no_grad`() twice. No."
    assert teaching.plain("one ` alone") == r"one \` alone"
    assert [teaching.hours(m) for m in (45, 60, 115)] == ["45 min", "1 h", "1 h 55 min"]


def test_the_tables_of_the_guide_hold_no_number_of_a_chapter() -> None:
    """Minutes and counts come from the chapters: none is typed into the prose."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    captions = {part["caption"]: [entry["file"] for entry in part["chapters"]] for part in toc["parts"]}
    assert captions["For teachers"] == ["book/teaching", "book/mistakes", "book/add_a_chapter"]
    text = (ROOT / "book" / "numbers.md").read_text(encoding="utf-8")
    assert not re.search(r"\d", text.replace("FER-2013", "")), "a number on the page of numbers is typed"
