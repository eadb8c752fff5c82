"""Make notebooks/ from chapters/: run every chapter from top to bottom and keep its outputs.

    python tools/notebooks.py                  every chapter (what `make notebooks` does)
    python tools/notebooks.py chapters/01_the_data_set.py

Made so that a second run changes nothing: cell ids follow from the chapter's name, times and widget state are
not kept, and of the metadata only what readers see the effect of.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
#: Seconds that one cell may take.
CELL_TIMEOUT = 120

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_LANGUAGE = {
    "name": "python",
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "pygments_lexer": "ipython3",
}
_CELL_METADATA = ("tags", "mystnb", "cellView", "jupyter")


def read_chapter(path: Path) -> NotebookNode:
    """Return a chapter (percent format) as a notebook without outputs, its ids and metadata settled."""
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": _LANGUAGE})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{path.stem}-{number:03d}".replace("_", "-")
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in _CELL_METADATA if key in cell.metadata}
        )
    return notebook


def run(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Run every cell in ``folder`` and return the notebook with outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # else it depends on the load where a text output is cut in two
        store_widget_state=True,  # False fails where a cell shows an Output widget
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": _LANGUAGE})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.validate(notebook)
    return notebook


def main(names: list[str]) -> int:
    """Make the notebooks of the named chapters, or of all."""
    chapters = [Path(name) for name in names] or sorted((ROOT / "chapters").glob("*.py"))
    for path in chapters:
        start = time.perf_counter()
        target = ROOT / "notebooks" / f"{path.stem}.ipynb"
        target.parent.mkdir(exist_ok=True)
        notebook = run(read_chapter(path), target.parent)
        target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        print(f"{target.relative_to(ROOT)}: {len(notebook.cells)} cells, {time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
