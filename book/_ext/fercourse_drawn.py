"""What the page of the small network needs to draw faces: the renderer's tables, written at every build.

They come from fercourse.data.synthetic as it is then, so that the page draws what the package draws.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fercourse_demo import PAGE
from sphinx.application import Sphinx

TABLES = "demo/tables.js"


def tables_module(tables: dict[str, Any]) -> str:
    """Return the JavaScript module that holds the tables."""
    # A module, not JSON to be fetched: drawing is ready as soon as its module is there.
    text = json.dumps(tables, separators=(",", ":"))
    return f"// Written when the book is built.\nexport default {text};\n"


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the tables where book/_static/demo/drawn.js looks for them."""
    if error is not None or app.builder.format != "html" or PAGE not in app.env.found_docs:
        return
    from fercourse.data.synthetic.tables import drawing_tables
    from fercourse.files import write_text

    write_text(Path(app.outdir) / "_static" / TABLES, tables_module(drawing_tables()))


def setup(app: Sphinx) -> None:
    app.connect("build-finished", write)
