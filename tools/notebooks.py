"""Make notebooks/ from chapters/: what students open and the same with solutions, run, with their outputs.

    python tools/notebooks.py                  every chapter (what `make notebooks` does)
    python tools/notebooks.py chapters/01_the_data_set.py

A chapter is a text notebook (jupytext's percent format). Of an exercise it holds one code cell, its right
answer, marked ``exercise="name"``, in which the lines between ``# solution`` and ``# end`` are the student's
to write; and one markdown cell marked ``hint="name"``. From these two come

- in notebooks/NN_name.ipynb: the stub, the cell that checks it, the hint (folded) and the solution (folded,
  with names of its own, checked too);
- in notebooks/solutions/NN_name.ipynb: the right answer, the cell that checks it, the hint;
- in fercourse/check/answers.json: what `.hint()` and `.solution()` print.

Made so that a second run changes nothing: cell ids follow from the chapter's name, times and widget state
are not kept, and of the metadata only what readers see the effect of. book/status.md says when a notebook was
made and how long it took; a row changes only when its notebook does.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import re
import sys
import textwrap
import time
import tokenize
from datetime import UTC, datetime
from pathlib import Path

import jupytext
import nbformat
import palette
from nbclient import NotebookClient
from nbformat import NotebookNode
from readme import with_table

from fercourse.errors import nearest
from fercourse.files import write_text

ROOT = Path(__file__).resolve().parents[1]
ANSWERS = ROOT / "fercourse" / "check" / "answers.json"
STATUS = ROOT / "book" / "status.md"
#: The SHA-256 of every picture in a notebook. A picture that was not made here is not in it.
PICTURES = ROOT / "notebooks" / "pictures.json"
BEGIN, END = "<!-- notebooks: begin -->", "<!-- notebooks: end -->"
#: Seconds that one cell may take.
CELL_TIMEOUT = 300
#: What a notebook is run with, here and by nbval (tests/conftest.py): drawn faces, no widgets, no bars.
SETTINGS = {"FERCOURSE_BUDGET": "smoke", "FERCOURSE_STATIC": "1", "TQDM_DISABLE": "1"}

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_LANGUAGE = {
    "name": "python",
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "pygments_lexer": "ipython3",
}
_CELL_METADATA = ("tags", "mystnb", "cellView", "jupyter")
#: Folds a cell in the book, in Colab and in JupyterLab, each of which has its own way.
_FOLDED = {
    "tags": ["hide-cell"],
    "cellView": "form",
    "jupyter": {"source_hidden": True},
    "mystnb": {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"},
}


def read_chapter(path: Path, *, solved: bool = False) -> NotebookNode:
    """Return a chapter as a notebook without outputs: what students open, or the one with solutions.

    Raises:
        ValueError: an exercise is not marked as it should be; the message says which and how.
    """
    notebook = jupytext.read(path, fmt="py:percent")
    hints = {cell.metadata["hint"] for cell in notebook.cells if "hint" in cell.metadata}
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        if "exercise" in cell.metadata:
            name = cell.metadata["exercise"]
            if name not in hints:
                raise ValueError(f"{path.name}: exercise {name!r} has no markdown cell with hint={name!r}.")
            cells += exercise_cells(cell, path.stem, solved=solved)
        elif "hint" in cell.metadata:
            cells += hint_cells(cell, [*notebook.cells], path.stem, solved=solved)
        else:
            cells.append(cell)
    notebook.cells = cells
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": _LANGUAGE})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{path.stem}-{number:03d}".replace("_", "-")
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in _CELL_METADATA if key in cell.metadata}
        )
    return notebook


# Exercises -------------------------------------------------------------------------------------------------


def checker(stem: str) -> str:
    """Return the module of a chapter's checkers: 'ch01' for 01_the_data_set."""
    return f"ch{stem[:2]}"


def exercise_cells(cell: NotebookNode, stem: str, *, solved: bool) -> list[NotebookNode]:
    """Return the stub (or the right answer) and the cell that checks it."""
    name = cell.metadata["exercise"]
    if name not in bound_names(cell.source):
        raise ValueError(f"{stem}: exercise {name!r} defines {bound_names(cell.source)}, and not {name}.")
    source = without_marks(cell.source) if solved else stub(cell.source, name)
    check = f"{checker(stem)}.{name}.check({name})"
    return [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell(check)]


def hint_cells(
    cell: NotebookNode, chapter: list[NotebookNode], stem: str, *, solved: bool
) -> list[NotebookNode]:
    """Return the folded hint and, for students, the folded solution."""
    name = cell.metadata["hint"]
    found = [other for other in chapter if other.metadata.get("exercise") == name]
    if len(found) != 1:
        raise ValueError(f"{stem}: the hint {name!r} belongs to {len(found)} exercises; expected one.")
    hint = f"<details><summary>Hint</summary>\n\n{cell.source.strip()}\n\n</details>"
    cells = [nbformat.v4.new_markdown_cell(hint)]
    if not solved:
        answer = solution_name(name)
        source = (
            f"#@title Solution\n{renamed(without_marks(found[0].source))}\n\n"
            f"assert {checker(stem)}.{name}.check({answer})"
        )
        # An assertion, so that nothing below the student's own verdict says "correct" but the student's.
        cells.append(nbformat.v4.new_code_cell(source, metadata=_FOLDED))
    return cells


def without_marks(source: str) -> str:
    """Return an exercise's right answer, without the marks."""
    lines = [line for line in source.splitlines() if line.strip() not in ("# solution", "# end")]
    return "\n".join(lines)


def stub(source: str, name: str) -> str:
    """Return an exercise with a stub wherever the student is to write.

    Raises:
        ValueError: a mark is missing or stands where it should not.
    """
    lines: list[str] = []
    inside = False
    for line in source.splitlines():
        mark = line.strip()
        if mark == "# solution":
            if inside:
                raise ValueError(f"exercise {name!r}: two '# solution' without an '# end' between them.")
            inside = True
            indent = line[: len(line) - len(line.lstrip())]
            lines += [f"{indent}# Your code here.", f"{indent}raise NotImplementedError"]
        elif mark == "# end":
            if not inside:
                raise ValueError(f"exercise {name!r}: '# end' without a '# solution' before it.")
            inside = False
        elif not inside:
            lines.append(line)
    if inside or "raise NotImplementedError" not in "\n".join(lines):
        raise ValueError(f"exercise {name!r}: expected lines between '# solution' and '# end'.")
    return "\n".join(lines)


def answer_lines(source: str) -> int:
    """Return how many lines of code an exercise asks for, comments and blanks left out."""
    inside, count = False, 0
    for line in map(str.strip, source.splitlines()):
        if line in ("# solution", "# end"):
            inside = line == "# solution"
        elif inside and line and not line.startswith("#"):
            count += 1
    return count


def bound_names(source: str) -> list[str]:
    """Return the names that a cell binds at its top level, imports left out."""
    names = []
    for node in ast.parse(re.sub(r"^(\s*)[!%].*", r"\1pass", source, flags=re.MULTILINE)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.For, ast.With)):
            parts = ast.walk(node)
            names += [p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)]
    return names


def solution_name(name: str) -> str:
    """Return what a name is called in a folded solution: train_step_solution, PooledHeadSolution."""
    return f"{name}_solution" if name == name.lower() else f"{name}Solution"


def renamed(source: str) -> str:
    """Return code in which what it binds has other names, so that a student's own work stays as it is."""
    names = set(bound_names(source))
    new = {name: solution_name(name) for name in names}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = source.splitlines(keepends=True)
    for number in range(len(tokens) - 1, -1, -1):
        token = tokens[number]
        if token.type != tokenize.NAME or token.string not in new:
            continue
        before = tokens[number - 1].string if number else ""
        if before == "." or (before in ("(", ",") and tokens[number + 1].string == "="):
            continue  # an attribute of something else, or the name of an argument
        row, column = token.start[0] - 1, token.start[1]
        line = lines[row]
        lines[row] = line[:column] + new[token.string] + line[column + len(token.string) :]
    return "".join(lines)


def answers(chapters: list[Path]) -> str:
    """Return what answers.json must hold: hint and solution of every exercise of these chapters."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for path in chapters:
        cells = jupytext.read(path, fmt="py:percent").cells
        for cell in cells:
            for kind in ("exercise", "hint"):
                if kind in cell.metadata:
                    entry = found.setdefault(checker(path.stem), {}).setdefault(cell.metadata[kind], {})
                    text = without_marks(cell.source) if kind == "exercise" else plain(cell.source)
                    entry["solution" if kind == "exercise" else "hint"] = text
    return json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def plain(markdown: str) -> str:
    """Return a hint as one paragraph, without the marks that only Markdown needs."""
    return textwrap.dedent(re.sub(r"[*`$]", "", markdown)).replace("\n", " ").strip()


# Running ---------------------------------------------------------------------------------------------------


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
    client.execute(env={**os.environ, **SETTINGS})
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNEL, "language_info": _LANGUAGE})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    palette.shrink(notebook)
    nbformat.validate(notebook)
    return notebook


def keep_measured(notebook: NotebookNode, before: NotebookNode) -> None:
    """Put the outputs of ``before`` back where a cell prints times, which differ from run to run.

    This is for cells with the tag 'measured', as long as no code of the notebook has changed.
    """
    if [cell.source for cell in notebook.cells] != [cell.source for cell in before.cells]:
        return
    for cell, old in zip(notebook.cells, before.cells, strict=True):
        if "measured" in cell.metadata.get("tags", []):
            cell.outputs = old.outputs


def target(chapter: Path, *, solved: bool) -> Path:
    """Return where a chapter's notebook lies."""
    folder = ROOT / "notebooks"
    return (folder / "solutions" if solved else folder) / f"{chapter.stem}.ipynb"


def note_status(path: Path, notebook: NotebookNode, seconds: float) -> None:
    """Enter a notebook that has changed into the table of book/status.md."""
    text = STATUS.read_text(encoding="utf-8")
    rows = {}
    for line in text.splitlines():
        if found := re.match(r"\| \[([^\]]+)\]", line):
            rows[found[1]] = line
    name = path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    exempt = sum("nbval-ignore-output" in cell.metadata.get("tags", []) for cell in code)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    link = f"[{name}](../notebooks/{name}.ipynb)"
    rows[name] = f"| {link} | {made} | {seconds:.0f} s | {len(code)} | {exempt} |"
    there = [rows[key] for key in sorted(rows) if (ROOT / "notebooks" / f"{key}.ipynb").exists()]
    own = [row.split(" | ")[2:] for key in rows if "/" not in key for row in [rows[key]] if row in there]
    took, cells, free = (sum(int(re.sub(r"\D", "", values[column])) for values in own) for column in range(3))
    there.append(f"| all but the solutions, as `make test` runs them | | {took} s | {cells} | {free} |")
    table = [
        "| notebook | made | took | code cells | not compared |",
        "| --- | --- | ---: | ---: | ---: |",
        *there,
    ]
    write_text(STATUS, with_table(text, "\n".join(table) + "\n", BEGIN, END))


def pictures(notebook: NotebookNode) -> list[str]:
    """Return the SHA-256 of every picture among a notebook's outputs."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/"):
                    found.append(hashlib.sha256("".join(data).strip().encode()).hexdigest())
    return found


def list_pictures() -> str:
    """Return what pictures.json must hold: the pictures of every notebook, all made in smoke."""
    listed = {}
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            name = path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
            listed[name] = pictures(nbformat.read(path, as_version=4))
    return json.dumps(listed, indent=1) + "\n"


def main(names: list[str]) -> int:
    """Make the notebooks of the named chapters, or of all."""
    every = sorted((ROOT / "chapters").glob("*.py"))
    known = {path.stem: path for path in every}
    for name in names:
        if Path(name).stem not in known:
            print(
                f"{name} is no chapter{nearest(Path(name).stem, known)}; expected one of "
                f"{', '.join(str(path.relative_to(ROOT)) for path in every)}.",
                file=sys.stderr,
            )
            return 2
    write_text(ANSWERS, answers(every))
    for chapter in [known[Path(name).stem] for name in names] or every:
        for solved in (False, True):
            path = target(chapter, solved=solved)
            notebook = read_chapter(chapter, solved=solved)
            if solved and notebook.cells == read_chapter(chapter).cells:
                continue  # it has no exercises that are checked
            path.parent.mkdir(parents=True, exist_ok=True)
            start = time.perf_counter()
            notebook = run(notebook, path.parent)
            if path.exists():
                keep_measured(notebook, nbformat.read(path, as_version=4))
            text = nbformat.writes(notebook) + "\n"
            seconds = time.perf_counter() - start
            changed = not path.exists() or path.read_text(encoding="utf-8") != text
            if changed:
                write_text(path, text)
                note_status(path, notebook, seconds)
            print(
                f"{path.relative_to(ROOT)}: {len(notebook.cells)} cells, {seconds:.1f} s"
                + ("" if changed else ", unchanged")
            )
    write_text(PICTURES, list_pictures())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
