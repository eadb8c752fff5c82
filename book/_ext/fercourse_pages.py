"""Corrections to the pages that the theme makes: what a keyboard or a screen reader would stumble over.

The theme's templates are long, and a copy of one would have to follow every version of it. So the pages are
corrected after they have been rendered, by name of what is wrong; tests/test_book.py sees whether it worked.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.jinja2glue import BuiltinTemplateLoader

#: How an exercise's checker begins what it says, and the class that course.css gives a colour.
VERDICTS = {"✔": "verdict-right", "✘": "verdict-wrong", "○": "verdict-open"}

#: (what is wrong, pattern, replacement)
MENDS = (
    (
        "a second title, for print, makes two first-level headings, and one of them may be empty",
        r'(id="jb-print-docs-body" class="onlyprint">\s*)<h1>(.*?)</h1>',
        r'\1<p class="print-title">\2</p>',
    ),
    (
        "the heading of the printed contents stands before the title",
        r'(<div id="jb-print-toc">\s*(?:<div>\s*)?)<h2>(.*?)</h2>',
        r'\1<p class="print-contents">\2</p>',
    ),
    (
        "logo and search field belong to no landmark",
        r'<div id="pst-primary-sidebar" class="',
        r'<div id="pst-primary-sidebar" role="region" aria-label="This book" class="',
    ),
    (
        "the button that leads back to the top belongs to no landmark",
        r'(<button type="button" class="btn rounded-pill" id="pst-back-to-top">.*?</button>)',
        r'<div role="region" aria-label="Back to top">\1</div>',
    ),
    (
        "the search button is named otherwise than it reads",
        r'(<button class="btn search-button-field[^>]*?) title="[^"]*" aria-label="[^"]*"',
        r"\1",
    ),
    (
        "the button of the colour scheme is named otherwise than its symbols read",
        r'(<i class="theme-switch [^>]*?) title="[^"]*"',
        r"\1",
    ),
    (
        "a sign beside a button's words is read out as well",
        r'(<img alt=")[^"]* logo("\s+src="[^"]*_static/images/logo_)',
        r"\1\2",
    ),
    (
        "folded code is announced as hidden content, whatever its summary says",
        r'<summary aria-label="Toggle hidden content">',
        r"<summary>",
    ),
    (
        "an entry of the references has a role that is deprecated and does not fit into a list",
        r'role="doc-biblioentry"',
        r'role="listitem"',
    ),
    (
        "a download opens as a page of text",
        r'(<a href="[^"]*")( target="_blank"\s+class="btn btn-sm btn-download-[a-z]+-button)',
        r"\1 download\2",
    ),
    (
        "1.5 MB of script draw a dozen signs, which the theme's own fonts hold as well",
        r'\s*<script defer src="[^"]*scripts/fontawesome\.js[^"]*"></script>',
        "",
    ),
    (
        "a sign is a letter of a font, which would be read out",
        r'<(i|span) class="((?:theme-switch )?fa[bsr]?(?:-(?:solid|regular|brands))? )',
        r'<\1 aria-hidden="true" class="\2',
    ),
    (
        "the same link to the next or previous page is given twice",
        r'(<link rel="(?:next|prev)"[^>]*>)\s*\1',
        r"\1",
    ),
)
_MENDS = tuple((re.compile(pattern, re.DOTALL), replacement) for _, pattern, replacement in MENDS)
_SEARCH_SCRIPTS = re.compile(
    r'\s*<script src="[^"]*(?:_static/searchtools|_static/language_data|searchindex)\.js[^"]*"></script>'
)
_VIEWPORT = re.compile(r'\s*<meta name="viewport"[^>]*>')


def mend(page: str) -> str:
    """Return a rendered page without what ``MENDS`` lists."""
    for pattern, replacement in _MENDS:
        page = pattern.sub(replacement, page)
    # Docutils, Sphinx and the theme each declare the width of the screen.
    first = _VIEWPORT.search(page)
    if first:
        page = page[: first.end()] + _VIEWPORT.sub("", page[first.end() :])
    return page


class MendedPages(BuiltinTemplateLoader):
    """Sphinx's templates, with ``mend`` as the last step."""

    def render(self, template: str, context: dict[str, Any]) -> str:  # type: ignore[override]
        rendered = super().render(template, context)
        if not template.endswith(".html"):
            return rendered
        if context.get("pagename") != "search":
            # The whole index on every page, for a search as one types, which is off.
            rendered = _SEARCH_SCRIPTS.sub("", rendered)
        return mend(rendered)


def settle(app: Sphinx, config: Config) -> None:
    """Use the corrected pages, and load no script for widgets: their pictures stand beside them."""
    config.template_bridge = "fercourse_pages.MendedPages"
    config.nb_ipywidgets_js = {}  # from two CDNs otherwise


def drop_unused(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Leave out sphinx-thebe: unused here, and declared twice on each page, which is a page error."""

    def is_thebe(asset: Any) -> bool:
        body = getattr(asset, "attributes", {}).get("body") or ""
        return "thebe" in str(getattr(asset, "filename", "") or "") or "THEBE_JS_URL" in body

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context.get(kind, []) if not is_thebe(asset)]


def mark_verdicts(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Give what a checker printed a class of its own; its sign, not its colour, says what it is."""
    for block in doctree.findall(nodes.literal_block):
        verdict = VERDICTS.get(block.astext().lstrip()[:1])
        if verdict and "output" in block["classes"]:
            block["classes"].append(verdict)


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Write the page at the book's address, which leads to the first; with title and picture for links.

    Sphinx-external-toc would write one that is nothing but a redirection, without a title or a language.
    """
    if error is not None or app.builder.name != "html":
        return
    config, first = app.config, app.builder.get_target_uri(app.config.root_doc)
    title, base = html.escape(config.html_title), html.escape(config.html_baseurl)
    source = (Path(app.outdir) / first).read_text(encoding="utf-8")
    shared = "\n".join(re.findall(r'<meta (?:property="og:|name="description")[^>]*>', source))
    shared = shared.replace(f'"{base}{first}"', f'"{base}"')
    (Path(app.outdir) / "index.html").write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<meta http-equiv="refresh" content="0; url={first}">
<link rel="canonical" href="{base}{first}">
{shared}
</head>
<body><main><h1>{title}</h1><p>The book begins at <a href="{first}">its first page</a>.</p></main></body>
</html>
""",
        encoding="utf-8",
    )


def setup(app: Sphinx) -> None:
    app.connect("config-inited", settle)
    app.connect("html-page-context", drop_unused, priority=900)
    app.connect("doctree-resolved", mark_verdicts)
    app.connect("build-finished", write_index, priority=100)  # before sphinx-external-toc
