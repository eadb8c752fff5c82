"""What the book needs and neither Jupyter Book 1 nor its theme does; each part says what it mends.

``fercourse_book`` settles the address, ``fercourse_mathjax`` brings the formulas' typesetter along, and
``fercourse_pages`` corrects the pages themselves. ``fercourse_ledger`` shows what became of every claim,
``fercourse_results`` what is recorded, ``fercourse_explorer`` brings the results explorer its data,
``fercourse_demo`` the page "Try it" its network and runtime, ``fercourse_drawn`` what it draws faces with,
``fercourse_detector`` what it finds them with, and ``fercourse_teaching`` writes what is
counted into pages.
"""

from __future__ import annotations

import gc
from typing import Any
from urllib.parse import urlsplit

import fercourse_demo
import fercourse_detector
import fercourse_drawn
import fercourse_explorer
import fercourse_ledger
import fercourse_mathjax
import fercourse_pages
import fercourse_results
import fercourse_teaching
from sphinx.application import Sphinx
from sphinx.config import Config


def place_book(app: Sphinx, config: Config) -> None:
    """Let everything that must know the book's address or name follow from _config.yml."""
    config.html_baseurl = config.html_baseurl.rstrip("/") + "/"
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path
    config.ogp_site_url = config.html_baseurl
    # Jupyter Book leaves Sphinx's "Project name not set", which would stand under every shared link.
    config.project = config.html_title


def setup(app: Sphinx) -> dict[str, Any]:
    # Pages are trees of a million nodes: to look through them all for garbage takes a tenth of the build.
    gc.set_threshold(200_000, 50, 50)
    # Before sphinxext-opengraph and sphinx-notfound-page read what is set here (default priority: 500).
    app.connect("config-inited", place_book, priority=100)
    fercourse_mathjax.setup(app)
    fercourse_ledger.setup(app)
    fercourse_pages.setup(app)
    fercourse_results.setup(app)
    fercourse_explorer.setup(app)
    fercourse_demo.setup(app)
    fercourse_drawn.setup(app)
    fercourse_detector.setup(app)
    fercourse_teaching.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
