"""The results explorer: writes its data at every build, and puts its parts and scripts on its page.

The data come from the records as they are then; whenever they differ from those of the last build, the page
is read again. Nothing is committed that could be out of date.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

PAGE = "book/results/explorer"
DATA = "explorer/data.js"
#: In the order in which they build on each other; plain scripts, since modules cannot be loaded from a file.
SCRIPTS = ("statistics", "model", "tables", "charts", "parts", "curves", "faces", "disagreements", "page")
#: What stands in a part until its script has filled it.
WAITING = "This part is filled in by a script in your browser, which has not run (yet)."

# Of the build that is going on: the data, and the script that holds them.
_now: dict[str, Any] = {}


def collect(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> Iterable[str]:
    """Gather the data, write them where the page looks for them, and name the page if they have changed."""
    if PAGE not in env.found_docs:
        return []
    from fercourse.explorer import explorer_data, explorer_script
    from fercourse.files import write_text

    data = explorer_data()
    theme = app.config.html_theme_options
    if theme.get("repository_url"):
        branch = theme.get("repository_branch") or "main"
        data["records_at"] = f"{theme['repository_url'].rstrip('/')}/blob/{branch}/results/runs/"
    script = explorer_script(data)
    _now.update(data=data)
    if app.builder.format == "html":
        write_text(Path(app.outdir) / "_static" / DATA, script)
    digest, known = sha256(script.encode()).hexdigest(), getattr(env, "fercourse_explorer", None)
    env.fercourse_explorer = digest  # type: ignore[attr-defined]
    return [] if known == digest else [PAGE]


def networks_table(data: dict[str, Any]) -> str:
    """Return the table of what is recorded, as HTML, for readers with and without scripts."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for network in data["networks"]:
        groups.setdefault((network["group"], network["grid"]), []).append(network)
    return (
        '<div class="explorer-scroll" tabindex="0" role="region" aria-label="What is recorded">'
        '<table class="table explorer-table"><caption><span>What is recorded: accuracy as mean and standard '
        "deviation over the seeds</span></caption>"
        '<thead><tr><th scope="col">training</th><th scope="col">what it shows</th><th scope="col">seeds</th>'
        '<th scope="col">val</th><th scope="col">test</th></tr></thead>'
        + "".join(_rows(group, grid, networks) for (group, grid), networks in groups.items())
        + "</table></div>"
    )


def _rows(group: str, grid: str, networks: list[dict[str, Any]]) -> str:
    """Return one group of the table, with the command that runs what is missing in it."""
    from fercourse.explorer import accuracies

    command = ""
    if grid and not all(network["records"] for network in networks):
        command = f"<br>pending: <code>fercourse reproduce {grid} --data fer2013.csv --seeds 5</code>"
    rows = [f'<tr><th scope="rowgroup" colspan="5">{html.escape(group)}{command}</th></tr>']
    for network in networks:
        cells = accuracies(network)
        texts = [network["shows"], cells["seeds"], cells["val"], cells["test"]]
        rows.append(
            f'<tr><th scope="row">{html.escape(network["label"])}</th>'
            + "".join(f"<td>{html.escape(text)}</td>" for text in texts)
            + "</tr>"
        )
    return f"<tbody>{''.join(rows)}</tbody>"


def left_out(data: dict[str, Any]) -> str:
    """Return the sentence that says how many records are not shown, and why."""
    reasons = [f"{count} {reason}" for reason, count in data["left_out"].items()]
    return f"<p>Recorded, but not shown here: {html.escape('; '.join(reasons))}.</p>" if reasons else ""


class Explorer(SphinxDirective):
    """``{explorer} NAME``: a part that the script fills in; ``networks`` is a table at once."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name == "networks":
            inside = networks_table(_now["data"]) + left_out(_now["data"])
        else:
            inside = f'<div class="explorer" data-part="{html.escape(name)}"><p>{WAITING}</p></div>'
        return [nodes.raw("", inside, format="html")]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the explorer's data, scripts and style on its page alone."""
    if page != PAGE:
        return
    app.add_css_file("explorer/explorer.css")
    for name in (DATA, *(f"explorer/{script}.js" for script in SCRIPTS)):
        app.add_js_file(name, loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_directive("explorer", Explorer)
    app.connect("env-get-outdated", collect)
    app.connect("html-page-context", add_scripts, priority=500)
