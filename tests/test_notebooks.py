"""The committed notebooks are what the chapters make, ran from top to bottom, and read well everywhere.

That they run again with the same outputs is nbval's part: `make test` gives it every notebook.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

import notebooks

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("*.py"))


def of(chapter: Path) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{chapter.stem}.ipynb", as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_has_a_chapter_and_every_chapter_a_notebook() -> None:
    made = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert made == {path.stem for path in CHAPTERS}
    assert CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_notebook_is_the_chapter(chapter: Path) -> None:
    source, committed = notebooks.read_chapter(chapter), of(chapter)
    for ours, theirs in zip(source.cells, committed.cells, strict=True):
        assert (ours.cell_type, ours.id, ours.source) == (theirs.cell_type, theirs.id, theirs.source), (
            "a notebook differs from its chapter: run `make notebooks`"
        )
        assert ours.metadata == theirs.metadata
    assert source.metadata == committed.metadata
    nbformat.validate(committed)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_notebook_ran_from_top_to_bottom(chapter: Path) -> None:
    cells = code_cells(of(chapter))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error" or "raises-exception" in cell.metadata.get("tags", [])
            assert output.get("name") != "stderr", f"a warning is shown in {cell.id}: {output.text}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_has_a_text(chapter: Path) -> None:
    for cell in code_cells(of(chapter)):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 20, f"{cell.id} shows a figure without a text for those who do not see it"


def test_the_first_cell_is_the_same_in_every_notebook() -> None:
    first = {code_cells(of(chapter))[0].source for chapter in CHAPTERS}
    assert len(first) == 1
    assert 'find_spec("fercourse")' in first.pop()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_no_directive_that_only_the_book_understands(chapter: Path) -> None:
    for cell in of(chapter).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"^(```\{|:::|\{[a-z]+\}`)", cell.source, re.MULTILINE), cell.id


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_solutions_are_folded_everywhere(chapter: Path) -> None:
    """Jupyter, Colab and the book each have their own way to fold a cell; a solution needs all three."""
    for cell in code_cells(of(chapter)):
        if cell.source.startswith("#@title Solution"):
            assert "hide-cell" in cell.metadata.tags
            assert cell.metadata.cellView == "form"
            assert cell.metadata.jupyter.source_hidden is True


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
