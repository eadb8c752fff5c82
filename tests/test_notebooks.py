"""The committed notebooks are what the chapters make, ran from top to bottom, and read well everywhere.

That they run again with the same outputs is nbval's part: `make test` gives it every student's notebook, and
`make test-all` the solutions too.
"""

from __future__ import annotations

import ast
import json
import re
import statistics
from functools import cache
from pathlib import Path

import nbformat
import pytest

import notebooks

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("*.py"))
#: The course's own; other pages of the kind have neither exercises that are checked nor a quiz.
NUMBERED = [path for path in CHAPTERS if path.stem[:2].isdigit()]
MADE = [(path, solved) for path in CHAPTERS for solved in ((False, True) if path in NUMBERED else (False,))]


def of(chapter: Path, solved: bool = False) -> nbformat.NotebookNode:
    return nbformat.read(notebooks.target(chapter, solved=solved), as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@cache
def exercises(chapter: Path) -> dict[str, str]:
    """The exercises of a chapter and their right answers, marks included."""
    cells = notebooks.jupytext.read(chapter, fmt="py:percent").cells
    return {cell.metadata["exercise"]: cell.source for cell in cells if "exercise" in cell.metadata}


@cache
def prose(chapter: Path) -> str:
    return "\n\n".join(cell.source for cell in of(chapter).cells if cell.cell_type == "markdown")


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


every_notebook = pytest.mark.parametrize(
    ("chapter", "solved"), MADE, ids=lambda value: value.stem if isinstance(value, Path) else str(value)
)
every_chapter = pytest.mark.parametrize("chapter", NUMBERED, ids=lambda path: path.stem)


# One source ------------------------------------------------------------------------------------------------


def test_every_notebook_has_a_chapter_and_every_chapter_its_notebooks() -> None:
    there = {path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert there == {notebooks.target(chapter, solved=solved) for chapter, solved in MADE}
    assert len(NUMBERED) >= 3


@every_notebook
def test_notebook_is_the_chapter(chapter: Path, solved: bool) -> None:
    source, committed = notebooks.read_chapter(chapter, solved=solved), of(chapter, solved)
    for ours, theirs in zip(source.cells, committed.cells, strict=True):
        assert (ours.cell_type, ours.id, ours.source) == (theirs.cell_type, theirs.id, theirs.source), (
            "a notebook differs from its chapter: run `make notebooks`"
        )
        assert ours.metadata == theirs.metadata
    assert source.metadata == committed.metadata
    nbformat.validate(committed)


def test_answers_are_those_of_the_chapters() -> None:
    assert notebooks.ANSWERS.read_text(encoding="utf-8") == notebooks.answers(CHAPTERS)


@every_notebook
def test_notebook_ran_from_top_to_bottom(chapter: Path, solved: bool) -> None:
    cells = code_cells(of(chapter, solved))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error" or "raises-exception" in tags(cell)
            assert output.get("name") != "stderr", f"a warning is shown in {cell.id}: {output.text}"


@every_chapter
def test_every_answer_is_judged(chapter: Path) -> None:
    """Stubs are not attempted; what the chapter gives as the solution is right, in both notebooks."""
    for solved in (False, True):
        for cell in code_cells(of(chapter, solved)):
            for name in exercises(chapter):
                if re.fullmatch(rf"ch\d\d\.{name}\.check\({name}\)", cell.source):
                    (output,) = cell.outputs
                    assert output.data["text/plain"].startswith("✔" if solved else "○"), (cell.id, output)
                elif f".{name}.check(" in cell.source:
                    assert f"assert {notebooks.checker(chapter.stem)}.{name}.check(" in cell.source
                    assert not cell.outputs, "a student would take this for a verdict on the own answer"


def test_making_a_notebook_twice_gives_the_same_file(tmp_path: Path) -> None:
    chapter = tmp_path / "09_small.py"
    chapter.write_text(
        "# %% [markdown]\n# # Small\n\n# %% tags=[\"a-tag\"] other=1\nprint('out')\n{'b': 1}\n\n"
        "# %%\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\n"
    )
    first, second = (nbformat.writes(notebooks.run(notebooks.read_chapter(chapter), tmp_path)) for _ in "ab")
    assert first == second
    made = nbformat.reads(first, as_version=4)
    assert [cell.id for cell in made.cells] == ["09-small-001", "09-small-002", "09-small-003"]
    assert made.cells[1].metadata == {"tags": ["a-tag"]}
    assert made.cells[1].outputs[0].text == "out\n"
    assert "image/png" in made.cells[2].outputs[-1].data


EXERCISE = """# %% [markdown]
# # Small

# %% exercise="double"
def double(x):
    \"\"\"Twice.\"\"\"
    # solution
    result = 2 * x
    return result
    # end


# %% [markdown] hint="double"
# *Add* `x` to itself.
"""


def chapter_of(folder: Path, text: str) -> Path:
    path = folder / "07_small.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_stub_checker_hint_and_solution_come_from_one_exercise(tmp_path: Path) -> None:
    chapter = chapter_of(tmp_path, EXERCISE)
    student = [cell.source for cell in notebooks.read_chapter(chapter).cells]
    assert student[1] == (
        'def double(x):\n    """Twice."""\n    # Your code here.\n    raise NotImplementedError'
    )
    assert student[2] == "ch07.double.check(double)"
    assert student[3] == "<details><summary>Hint</summary>\n\n*Add* `x` to itself.\n\n</details>"
    assert student[4].startswith("#@title Solution\ndef double_solution(x):")
    assert student[4].endswith("    return result\n\nassert ch07.double.check(double_solution)")
    solved = [cell.source for cell in notebooks.read_chapter(chapter, solved=True).cells]
    assert solved[1].endswith("    result = 2 * x\n    return result")
    assert len(solved) == 4
    assert json.loads(notebooks.answers([chapter]))["ch07"]["double"]["hint"] == "Add x to itself."


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    # end\n", "", "between '# solution' and '# end'"),
        ("    # solution\n", "", "without a '# solution'"),
        ("    # end\n", "    # solution\n    # end\n", "two '# solution'"),
        ('hint="double"', 'hint="twice"', "no markdown cell with hint='double'"),
        ("def double", "def twice", "and not double"),
    ],
)
def test_an_exercise_that_is_marked_wrongly_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        notebooks.read_chapter(chapter_of(tmp_path, EXERCISE.replace(old, new)))


def test_solutions_leave_names_of_arguments_and_attributes_alone() -> None:
    source = "scale = 2\n\ndef double(x, scale=1):\n    return x.double(scale=scale)\n"
    new = notebooks.renamed(source)
    assert "scale_solution = 2" in new
    assert "def double_solution(x, scale=1):" in new
    assert "x.double(scale=scale_solution)" in new


def test_a_measured_output_is_kept_while_the_code_is_the_same() -> None:
    def one(output: str, source: str) -> nbformat.NotebookNode:
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["measured"]})
        cell.outputs = [nbformat.v4.new_output("stream", text=output)]
        return nbformat.v4.new_notebook(cells=[cell])

    new, changed = one("2 s", "time()"), one("2 s", "time(1)")
    notebooks.keep_measured(new, one("1 s", "time()"))
    notebooks.keep_measured(changed, one("1 s", "time()"))
    assert (new.cells[0].outputs[0].text, changed.cells[0].outputs[0].text) == ("1 s", "2 s")


# What a reader meets ---------------------------------------------------------------------------------------


@every_notebook
def test_every_figure_has_a_text(chapter: Path, solved: bool) -> None:
    for cell in code_cells(of(chapter, solved)):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 20, f"{cell.id} shows a figure without a text for those who do not see it"


def test_the_first_cell_is_the_same_in_every_notebook() -> None:
    first = {code_cells(of(chapter, solved))[0].source for chapter, solved in MADE}
    assert len(first) == 1
    text = first.pop()
    assert "--no-deps" in text
    assert "course.start(BUDGET)" in text


@every_notebook
def test_no_directive_that_only_the_book_understands(chapter: Path, solved: bool) -> None:
    for cell in of(chapter, solved).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"^\s*(```\{|:::|\{[a-z]+\}`)|\{[a-z:]+\}`", cell.source, re.MULTILINE), (
                cell.id
            )


@every_notebook
def test_solutions_are_folded_everywhere(chapter: Path, solved: bool) -> None:
    """Jupyter, Colab and the book each have their own way to fold a cell; a solution needs all three."""
    for cell in code_cells(of(chapter, solved)):
        if re.match(r"# ?@title", cell.source):
            assert "hide-cell" in cell.metadata.tags
            assert cell.metadata.cellView == "form"
            assert cell.metadata.jupyter.source_hidden is True


def names_read(source: str) -> set[str]:
    tree = ast.parse(re.sub(r"^(\s*)[!%].*", r"\1pass", source, flags=re.MULTILINE))
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


@every_chapter
def test_no_later_cell_needs_an_answer(chapter: Path) -> None:
    """Neither the student's answer, which may be missing, nor the solution, which may not have been run."""
    bound: set[str] = set()
    solutions: set[str] = set()
    for cell in code_cells(of(chapter)):
        checks = re.fullmatch(r"ch\d\d\.(\w+)\.check\(\1\)", cell.source)
        if not checks:
            own = set(notebooks.bound_names(cell.source))
            assert not (names_read(cell.source) - own) & (bound | solutions), cell.id
            if "@title Solution" in cell.source:
                assert not own & bound, f"{cell.id} overwrites what the student wrote"
                solutions |= own
            if "# Your code here." in cell.source:
                bound |= own


@every_chapter
def test_a_chapter_tells_what_it_is_for(chapter: Path) -> None:
    text = prose(chapter)
    for word in ("**By the end you can**", "**You need**", "**Time**", "## Quiz", "## Exercises",
                 "## What to take along", "## Further reading"):  # fmt: skip
        assert word in text, word
    assert text.count("> **Predict.**") >= 3
    assert text.index("## Quiz") < text.index("## Exercises") < text.index("## What to take along")


@every_chapter
def test_minutes_add_up(chapter: Path) -> None:
    text = prose(chapter)
    told = re.search(r"\*\*Time\*\* (\d+) minutes to read and run, (\d+) more for the \w+ exercises?", text)
    assert told, "the chapter does not say how long it takes"
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    minutes = {}
    for section in sections:
        title = section.splitlines()[0]
        if title not in ("What to take along", "Further reading"):
            found = re.search(r"\A.*\n\n\*(\d+) minutes", section)
            assert found, f"section {title!r} does not say how long it takes"
            minutes[title] = int(found[1])
    single = [
        int(found) for found in re.findall(r"^\*(?:Easy|Medium|Hard), (\d+) minutes\.", text, re.MULTILINE)
    ]
    assert minutes.pop("Exercises") == sum(single) == int(told[2])
    assert sum(minutes.values()) == int(told[1])


@every_chapter
def test_exercises_rise_and_change_real_code(chapter: Path) -> None:
    text = prose(chapter)
    heads = re.findall(
        r"^### Exercise (\d+)\. .+\n\n\*(Easy|Medium|Hard), \d+ minutes\.(.*)\*$", text, re.MULTILINE
    )
    assert [int(number) for number, _, _ in heads] == list(range(1, len(exercises(chapter)) + 1))
    levels = [("Easy", "Medium", "Hard").index(level) for _, level, _ in heads]
    assert levels == sorted(levels)
    counted = [name for name, source in exercises(chapter).items() if notebooks.answer_lines(source) >= 3]
    assert len(counted) >= 5, counted
    assert sum("Changes a module" in kind or "Changes the training" in kind for _, _, kind in heads) >= 2


@every_chapter
def test_the_quiz_answers_every_option(chapter: Path) -> None:
    quiz = prose(chapter).split("## Quiz")[1].split("## Exercises")[0]
    questions = re.split(r"^\*\*\d+\. ", quiz, flags=re.MULTILINE)[1:]
    assert len(questions) >= 3
    for question in questions:
        options = re.findall(r"<details><summary>(.+?)</summary>\n\n(.+?)\n\n</details>", question, re.DOTALL)
        assert len(options) >= 3, question
        assert all(len(feedback) > 40 for _, feedback in options), question
        right = [feedback for _, feedback in options if re.match(r"Yes\b", feedback)]
        assert len(right) == 1, f"{len(right)} options are called right: {question[:60]}"


@every_chapter
def test_cells_are_short(chapter: Path) -> None:
    for solved in (False, True):
        lengths = [len(cell.source.splitlines()) for cell in code_cells(of(chapter, solved))]
        assert statistics.median(lengths) <= 7, lengths
        assert max(lengths) <= 30, lengths


# What is compared ------------------------------------------------------------------------------------------


@every_notebook
def test_few_cells_are_not_compared_and_each_is_followed_by_one_that_is(chapter: Path, solved: bool) -> None:
    cells = code_cells(of(chapter, solved))
    exempt = [number for number, cell in enumerate(cells) if "nbval-ignore-output" in tags(cell)]
    assert len(exempt) <= 0.15 * len(cells)
    assert not any(tag in tags(cell) for cell in cells for tag in ("nbval-skip", "nbval-raises-exception"))
    for number in exempt:
        after = cells[number + 1]
        assert "nbval-ignore-output" not in tags(after), f"{after.id} is not compared either"
        assert re.search(r"^assert ", after.source, re.MULTILINE), f"{after.id} asserts nothing of {number}"
        assert after.outputs, f"{after.id} prints nothing that could be compared"


# No photograph ---------------------------------------------------------------------------------------------


@every_notebook
def test_a_notebook_was_made_of_drawn_faces(chapter: Path, solved: bool) -> None:
    (printed,) = code_cells(of(chapter, solved))[0].outputs
    assert "Budget smoke" in printed.text
    assert "drawn faces; accuracies on them say nothing about FER-2013" in printed.text


def test_every_picture_of_a_notebook_was_made_here() -> None:
    """A picture from a notebook that somebody ran on photographs has another hash."""
    assert notebooks.PICTURES.read_text(encoding="utf-8") == notebooks.list_pictures()


def test_another_picture_is_noticed() -> None:
    notebook = of(NUMBERED[0])
    before = notebooks.pictures(notebook)
    cell = next(c for c in code_cells(notebook) if any("image/png" in o.get("data", {}) for o in c.outputs))
    cell.outputs[-1].data["image/png"] = "AAAA" + cell.outputs[-1].data["image/png"][4:]
    assert notebooks.pictures(notebook) != before
    assert len(before) > 5


def test_the_verdict_that_the_book_shows_is_the_checkers() -> None:
    """book/how_to_use.md prints what a student reads; this is what the checker says."""
    from fercourse.check import ch01

    page = (ROOT / "book" / "how_to_use.md").read_text(encoding="utf-8")
    shown = re.search(r"```text\n(✘.+?)\n```", page, re.DOTALL)
    assert shown
    said = repr(ch01.count_twins.check(lambda a, b: sum(image in a for image in b)))
    assert " ".join(said.split()) == " ".join(shown[1].split())


def test_every_network_of_both_papers_has_a_training_cell_of_its_own() -> None:
    from fercourse.models import model_table

    cells = [cell.source for path in NUMBERED for cell in notebooks.read_chapter(path).cells]
    calls = [re.findall(r'session\.train\(\s*"(\w+)"', source) for source in cells]
    alone = {names[0] for names in calls if len(names) == 1}
    assert {row["name"] for row in model_table() if row["paper"]} <= alone


def test_a_name_that_is_no_chapter_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = notebooks.ANSWERS.read_bytes()
    assert notebooks.main(["chapters/05_residual_lerning.py"]) == 2
    said = capsys.readouterr().err
    assert "05_residual_lerning.py is no chapter (did you mean '05_residual_learning'?)" in said
    assert "chapters/01_the_data_set.py" in said
    assert notebooks.ANSWERS.read_bytes() == before
