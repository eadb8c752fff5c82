"""MathJax from the book's own folder: Sphinx would load it from a CDN, and a reader offline would see TeX.

The Python package sphinx-mathjax-offline carries the whole of MathJax 3, 24 MB of it. A page needs 2 MB:
the program, its fonts, and the extensions of TeX that it fetches when a formula uses one. The context menu is
off: it is what would fetch the rest, and it makes every formula a stop of the tab key. Formulas still carry
MathML, which screen readers read.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.fileutil import copy_asset

PACKAGE = "sphinx-mathjax-offline"
PROGRAM = "tex-mml-chtml.js"
FORMULAS = (nodes.math, nodes.math_block)
PARTS = (PROGRAM, "output/chtml/fonts/woff-v2", "input/tex/extensions")


def mathjax_folder() -> Path:
    """Return the folder of the installed MathJax; raise ExtensionError where there is none."""
    try:
        folder = Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE}/static/mathjax")))
    except PackageNotFoundError as error:
        raise ExtensionError(f"the book needs the package {PACKAGE}: run `make environment`") from error
    missing = [part for part in PARTS if not (folder / part).exists()]
    if missing:
        raise ExtensionError(f"{folder} lacks {', '.join(missing)}: {PACKAGE} is not the version in the lock")
    return folder


def use_local_copy(app: Sphinx, config: Config) -> None:
    """Point Sphinx at the copy, and leave out what a copy cannot serve."""
    config.mathjax_path = f"mathjax/{PROGRAM}"
    config.mathjax3_config = {"options": {"enableMenu": False}}


def copy_mathjax(app: Sphinx) -> None:
    """Copy the parts that pages load; before pages are written, so that their links carry a checksum."""
    if app.builder.format != "html":
        return
    source, target = mathjax_folder(), Path(app.outdir) / "_static" / "mathjax"
    for part in PARTS:
        place = target / part if (source / part).is_dir() else (target / part).parent
        place.mkdir(parents=True, exist_ok=True)
        copy_asset(str(source / part), str(place))


def only_with_formulas(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Leave MathJax out of pages without a formula; Sphinx takes it along from one page to the next."""
    if doctree is not None and any(doctree.findall(lambda node: isinstance(node, FORMULAS))):
        return

    def is_mathjax(asset: Any) -> bool:
        body = getattr(asset, "attributes", {}).get("body") or ""
        return PROGRAM in str(getattr(asset, "filename", "") or "") or "window.MathJax" in body

    context["script_files"] = [asset for asset in context.get("script_files", []) if not is_mathjax(asset)]


def setup(app: Sphinx) -> None:
    app.connect("config-inited", use_local_copy)
    app.connect("html-page-context", only_with_formulas, priority=950)
    app.connect("builder-inited", copy_mathjax)
