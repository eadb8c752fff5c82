"""MathJax from the book's own folder: Sphinx would load it from a CDN, and a reader offline would see TeX.

The Python package sphinx-mathjax-offline carries the whole of MathJax 3, 24 MB of it. A page needs 2 MB:
the program, its fonts, and the extensions of TeX that it fetches when a formula uses one. The context menu is
off: it is what would fetch the rest, and it makes every formula a stop of the tab key. Formulas still carry
MathML, which screen readers read.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.fileutil import copy_asset

PACKAGE = "sphinx-mathjax-offline"
PROGRAM = "tex-mml-chtml.js"
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


def setup(app: Sphinx) -> None:
    app.connect("config-inited", use_local_copy)
    app.connect("builder-inited", copy_mathjax)
