"""Make the book as one PDF: `make pdf` writes _build/fercourse.pdf.

    python tools/pdf.py                             the whole book, without the notebooks of solutions
    python tools/pdf.py book/setup book/ethics      the first page and these only

Sphinx writes the book as one page of HTML, and Chromium prints it: with an outline, tags for screen
readers, page numbers, all that is folded opened, and long lines of code wrapped. Chromium is found as the
tests find it: CHROMIUM names it, or it is on the path. Formulas are set before it prints, from the book's
own copy of MathJax.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from fercourse.environment import chromium
from fercourse.errors import FercourseError
from fercourse.files import atomic_path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "_build" / "fercourse.pdf"
LEFT_OUT = "Solutions"
STYLE = Path(__file__).with_name("pdf.css")
SETTLED = "() => window.MathJax?.startup ? MathJax.startup.promise.then(() => document.fonts.ready) : 0"
#: Opens what is folded, and puts the contents, with links, after the first page.
PREPARE = """() => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  for (const box of document.querySelectorAll(".toggle-hidden")) box.classList.remove("toggle-hidden");
  const first = document.querySelector(".toctree-wrapper");
  const contents = document.createElement("nav");
  contents.className = "contents";
  contents.append(Object.assign(document.createElement("h2"), { textContent: "Contents" }));
  const list = document.createElement("ol");
  for (const head of document.querySelectorAll(".toctree-wrapper > section > :is(h1, h2)")) {
    const link = document.createElement("a");
    link.href = `#${head.parentElement.id}`;
    link.textContent = [...head.childNodes].filter((n) => n.nodeType === 3 || !n.matches(".headerlink"))
      .map((n) => n.textContent).join("");
    const entry = document.createElement("li");
    entry.append(link);
    list.append(entry);
  }
  contents.append(list);
  first?.before(contents);
  // A link to a file beside the page would lead nowhere from a PDF.
  for (const link of document.querySelectorAll("a[href]"))
    if (!/^(#|https?:|mailto:)/.test(link.getAttribute("href"))) link.removeAttribute("href");
}"""
FOOTER = (
    '<div style="font-size:8px;width:100%;margin:0 18mm;display:flex;justify-content:space-between;'
    'color:#555">'
    '<span>TITLE</span><span><span class="pageNumber"></span> / <span class="totalPages"></span></span></div>'
)


def contents(root: Path, wanted: list[str]) -> dict[str, Any]:
    """Return the book's contents without solutions; only the wanted files, where any are named."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = [part for part in toc["parts"] if part["caption"] != LEFT_OUT]
    if wanted:
        parts = [
            {**part, "chapters": kept}
            for part in parts
            if (kept := [entry for entry in part["chapters"] if entry["file"] in wanted])
        ]
        known = {entry["file"] for part in parts for entry in part["chapters"]}
        if missing := [name for name in wanted if name not in known]:
            raise FercourseError(f"{missing[0]} is not in _toc.yml: expected a page such as book/setup.")
    return {**toc, "parts": parts}


def browser() -> str:
    """Return the program that prints."""
    return chromium("The PDF is printed by")


def single_page(root: Path, folder: Path, wanted: list[str]) -> Path:
    """Build the book as one page of HTML below ``folder``, and return the page."""
    toc = contents(root, wanted)
    (folder / "toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [program, "build", ".", "--builder", "singlehtml", "--quiet",
               "--toc", str(folder / "toc.yml"), "--path-output", str(folder)]  # fmt: skip
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    page = folder / "_build" / "singlehtml" / f"{toc['root']}.html"
    if done.returncode or not page.exists():
        raise FercourseError(f"The book could not be built: {(done.stderr or done.stdout)[-1500:]}")
    # Sphinx writes the page into book/ and every address in it as if it lay above.
    text = page.read_text(encoding="utf-8").replace(f'href="{toc["root"]}.html#', 'href="#')
    above = folder / "_build" / "singlehtml" / "book.html"
    above.write_text(text, encoding="utf-8")
    return above


def print_page(page: Path, target: Path, title: str) -> None:
    """Print a page of HTML into ``target``, and nothing where that fails."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, atomic_path(target) as unfinished:
        started = driver.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        tab = started.new_page(color_scheme="light", viewport={"width": 900, "height": 1200})
        tab.set_default_timeout(300_000)
        tab.goto(page.as_uri(), wait_until="load")
        tab.evaluate(SETTLED)
        tab.evaluate(PREPARE)
        tab.add_style_tag(content=STYLE.read_text(encoding="utf-8"))
        tab.wait_for_timeout(500)
        tab.pdf(
            path=str(unfinished),
            format="A4",
            margin={"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"},
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER.replace("TITLE", title),
            tagged=True,
            outline=True,
        )
        started.close()


def make(wanted: list[str], target: Path, root: Path = ROOT) -> None:
    """Make the PDF of the book, or of its first page and the wanted ones."""
    browser()  # before minutes of building
    title = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"]
    with tempfile.TemporaryDirectory() as folder:
        target.parent.mkdir(parents=True, exist_ok=True)
        print_page(single_page(root, Path(folder), wanted), target, title)


def main(wanted: list[str]) -> int:
    """Make the PDF and say where it is."""
    try:
        make(wanted, TARGET)
    except FercourseError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The book is at {TARGET.relative_to(ROOT)}, {TARGET.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
