"""Make the slides of the 90-minute lesson from the chapters: `make slides` writes _build/slides.html.

book/teaching.yml says which parts of which chapters a slide shows; text, code and outputs are taken from
the committed notebooks, so that a slide cannot say anything else than the book. The result is one file that
asks for nothing else: pictures are in it, and its own policy forbids every request. It scrolls from slide
to slide, and prints one a page.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import yaml
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from fercourse.files import write_text

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "_build" / "slides.html"
TEMPLATE = Path(__file__).with_name("slides.html")
_KINDS = ("say", "quote", "code", "output", "both")
_MARKDOWN = MarkdownIt("commonmark").enable("table")
_CODE = HtmlFormatter(style="a11y-high-contrast-light", nowrap=True)


def plan(root: Path = ROOT) -> dict[str, Any]:
    """Return what book/teaching.yml holds."""
    return yaml.safe_load((root / "book" / "teaching.yml").read_text(encoding="utf-8"))


# Finding ---------------------------------------------------------------------------------------------------


def notebook_of(number: int, root: Path) -> nbformat.NotebookNode:
    """Return the notebook of a chapter, as students open it, with outputs."""
    paths = list((root / "notebooks").glob(f"{number:02d}_*.ipynb"))
    if len(paths) != 1:
        raise ValueError(f"book/teaching.yml: {len(paths)} notebooks begin with {number:02d}_; expected one.")
    return nbformat.read(paths[0], as_version=4)


def section_of(notebook: nbformat.NotebookNode, title: str) -> list[nbformat.NotebookNode]:
    """Return the cells of a section; of the Markdown cells at its ends, the part that belongs to it."""
    found: list[nbformat.NotebookNode] = []
    inside = seen = False
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            if inside:
                found.append(cell)
            continue
        for part in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
            if part.startswith("## "):
                inside = part.splitlines()[0].removeprefix("## ").strip() == title
                seen = seen or inside
            if inside and part.strip():
                found.append(nbformat.v4.new_markdown_cell(part))
    if not seen:
        raise ValueError(f"book/teaching.yml: no chapter has the section {title!r} there.")
    return found


def paragraphs(cells: list[nbformat.NotebookNode]) -> list[str]:
    """Return the paragraphs of a section, its heading and minutes left out."""
    texts = [
        part
        for cell in cells
        if cell.cell_type == "markdown"
        for part in re.split(r"\n(?:>\s*)?\n", cell.source)
    ]
    return [text.strip() for text in texts if not re.match(r"#|\*\d+ minutes|<", text.strip())]


def only(found: list[Any], what: str, phrase: str, section: str) -> Any:
    """Return the one thing that was found; raise ValueError where there are none or more."""
    if len(found) != 1:
        raise ValueError(
            f"book/teaching.yml: {phrase!r} is in {len(found)} {what} of the section {section!r}; "
            "expected one."
        )
    return found[0]


# Showing ---------------------------------------------------------------------------------------------------


def markdown(text: str) -> str:
    """Return Markdown as HTML, without links into the book, and without formulas, which need a typesetter."""
    if re.search(r"(?<!\\)\$[^$\n]+\$", text):
        raise ValueError(f"A slide can show no formula: choose another paragraph than {text[:60]!r}.")
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    return _MARKDOWN.render(text)


def code(cell: nbformat.NotebookNode) -> str:
    """Return a cell's source, coloured."""
    lines = highlight(cell.source, PythonLexer(), _CODE)
    return f'<pre class="code" tabindex="0" role="region" aria-label="Code"><code>{lines}</code></pre>'


def outputs(cell: nbformat.NotebookNode) -> Iterator[str]:
    """Yield what a cell printed and drew.

    Raises:
        ValueError: it has shown nothing, or a picture without a text for those who do not see it.
    """
    shown = False
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            if not alt:
                raise ValueError(f"The picture of {cell.id} has no text for those who do not see it.")
            png = "".join(data["image/png"]).replace("\n", "")
            yield f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}">'
        elif "text/html" in data:
            table = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
            yield f'<div class="table" tabindex="0" role="region" aria-label="Table">{table}</div>'
        elif text := output.get("text") or data.get("text/plain"):
            printed = html.escape(text.rstrip())
            yield f'<pre class="printed" tabindex="0" role="region" aria-label="Output">{printed}</pre>'
        else:
            continue
        shown = True
    if not shown:
        raise ValueError(f"{cell.id} has no output that a slide could show.")


def parts(entry: dict[str, Any], root: Path) -> Iterator[str]:
    """Yield the parts of a slide as HTML."""
    section = entry.get("section", "")
    cells = section_of(notebook_of(entry["chapter"], root), section) if section else []
    for part in entry["show"]:
        ((kind, phrase),) = part.items()
        if kind not in _KINDS:
            raise ValueError(
                f"book/teaching.yml: a slide shows {kind!r}; expected one of {', '.join(_KINDS)}."
            )
        if kind == "say":
            yield markdown(phrase)
        elif kind == "quote":
            found = [
                text
                for text in paragraphs(cells)
                if phrase in " ".join(re.sub(r"^> ?", "", text, flags=re.M).split())
            ]
            yield markdown(only(found, "paragraphs", phrase, section))
        else:
            among = [
                cell for cell in cells if cell.cell_type == "code" and "@title Solution" not in cell.source
            ]
            cell = only([one for one in among if phrase in one.source], "cells", phrase, section)
            if kind != "output":
                yield code(cell)
            if kind != "code":
                yield from outputs(cell)


def slides(root: Path = ROOT) -> list[str]:
    """Return the slides of the lesson as HTML."""
    found: list[str] = []
    start = 0
    steps = plan(root)["lesson"]
    count = sum(len(step["slides"]) for step in steps)
    for step in steps:
        end = start + step["minutes"]
        for number, entry in enumerate(step["slides"]):
            title = html.escape(entry.get("title") or entry["section"])
            place = f"chapter {entry['chapter']}, {entry['section']}" if "chapter" in entry else step["title"]
            level = 2 if found else 1
            # The notes of a step stand on its first slide.
            notes = f'<aside class="notes" hidden>{markdown(step["teacher"])}</aside>' if number == 0 else ""
            body = "\n".join(parts(entry, root))
            wide = ' class="wide"' if "<img" in body and ("<pre" in body or "<p>" in body) else ""
            found.append(
                f'<section id="s{len(found) + 1}" tabindex="-1" '
                f'aria-label="Slide {len(found) + 1} of {count}">\n'
                f"<h{level}>{title}</h{level}>\n<div{wide}>\n{body}\n</div>\n{notes}\n"
                f"<footer><span>Minute {start} to {end}</span><span>{html.escape(place)}</span>"
                f"<span>{len(found) + 1} / {count}</span></footer>\n</section>"
            )
        start = end
    return found


def page(root: Path = ROOT) -> str:
    """Return the file of slides, whole."""
    template = TEMPLATE.read_text(encoding="utf-8")
    style = _CODE.get_style_defs(".code")
    style = "\n".join(line for line in style.splitlines() if line.startswith(".code "))
    return template.replace("/* code */", style).replace("<!-- slides -->", "\n".join(slides(root)))


def main() -> int:
    """Write the slides and say where they are."""
    write_text(TARGET, page())
    print(f"The slides are at {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
