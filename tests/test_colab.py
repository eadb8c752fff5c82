"""The emulation of Colab: each notebook alone, and nothing of it is left."""

from __future__ import annotations

import sys
from pathlib import Path

import colab
import nbformat
import psutil
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook


def notebook(folder: Path, last: str) -> Path:
    """A notebook that begins as the course's do, and notes in ``folder`` which process runs it."""
    note = f"import os, pathlib\npathlib.Path({str(folder / 'kernel')!r}).write_text(str(os.getpid()))"
    cells = [
        new_code_cell('COURSE = "git+https://example.org/course"'),
        new_code_cell(note),
        new_code_cell(last),
    ]
    path = folder / "some.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("last", ["assert COURSE == 'some.whl'", "1 / 0"])
def test_no_kernel_is_left(last: str, tmp_path: Path) -> None:
    path = notebook(tmp_path, last)
    if last == "1 / 0":
        with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
            colab.run(path, Path(sys.executable), Path("some.whl"))
    else:
        colab.run(path, Path(sys.executable), Path("some.whl"))
    assert not psutil.pid_exists(int((tmp_path / "kernel").read_text()))


def test_a_notebook_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="first cell has no line COURSE"):
        colab.point_at(new_notebook(cells=[new_code_cell("1")]), Path("some.whl"))
