"""What the book needs and neither Jupyter Book 1 nor its theme does; each part says what it mends."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config


def place_book(app: Sphinx, config: Config) -> None:
    """Let everything that must know the book's address follow from html.baseurl in _config.yml."""
    config.html_baseurl = config.html_baseurl.rstrip("/") + "/"
    config.notfound_urls_prefix = urlsplit(config.html_baseurl).path
    config.ogp_site_url = config.html_baseurl


def drop_thebe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Leave out sphinx-thebe's scripts: unused here, and declared twice a page, which is a page error."""

    def is_thebe(script: Any) -> bool:
        body = getattr(script, "attributes", {}).get("body") or ""
        return "thebe" in str(getattr(script, "filename", "") or "") or "THEBE_JS_URL" in body

    context["script_files"] = [script for script in context.get("script_files", []) if not is_thebe(script)]


def setup(app: Sphinx) -> dict[str, Any]:
    # Before sphinxext-opengraph and sphinx-notfound-page read what is set here (default priority: 500).
    app.connect("config-inited", place_book, priority=100)
    app.connect("html-page-context", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
