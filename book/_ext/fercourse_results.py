"""Tables, figures and sentences of recorded results, computed as the book is built.

Three directives and a role take the name of what is shown from the registers below; nothing that they show is
typed or committed:

    ```{result-table} table2-test
    ```

A page that has one is read again whenever a record, or the package's module that makes it, has changed.
"""

from __future__ import annotations

import hashlib
import html
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import fercourse_figures as figures
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

from fercourse.errors import FercourseError, nearest
from fercourse.files import atomic_path
from fercourse.records import results_folder
from fercourse.results import PENDING, augmentations, choices, ingredients, networks, paper2, searches
from fercourse.results.shown import RecordLinks, Shown

TABLES: dict[str, Callable[[], Shown]] = {
    "table2-test": networks.test_table,
    "table2-splits": networks.split_table,
    "table2-cost": networks.cost_table,
    "table2-times": networks.times_table,
    "table2-ratios": networks.ratios_table,
    "table2-records": networks.records_table,
    "table1-val": augmentations.accuracy_table,
    "table1-steps": augmentations.steps_table,
    "table1-records": augmentations.records_table,
    "paper2-early": paper2.early_table,
    "paper2-end": paper2.end_table,
    "paper2-recall": paper2.recall_table,
    "paper2-records": paper2.records_table,
    "choices": choices.choices_table,
    "choices-records": choices.choices_records,
    "readings": choices.readings_table,
    "readings-gains": choices.plain_gains_table,
    "scarce": choices.scarce_table,
    "scarce-gains": choices.scarce_gains,
    "scarce-records": choices.scarce_records,
    "ingredients": ingredients.ingredients_table,
    "ingredients-ends": ingredients.ends_table,
    "ingredients-records": ingredients.records_table,
    "strong": ingredients.strong_table,
    "strong-records": ingredients.strong_records,
    "extra": ingredients.extra_table,
    "extra-records": ingredients.extra_records,
    "search": searches.best_table,
    "search-space": searches.space_table,
    "search-records": searches.records_table,
}
TEXTS: dict[str, Callable[[], str | list[str]]] = {
    "table2-state": networks.state,
    "table2-letters": networks.letters_of_all,
    "table2-within": networks.within,
    "table2-twins": networks.twins_told,
    "table2-shortcuts": networks.shortcuts_told,
    "table2-counts": networks.counts_told,
    "table2-times": networks.times_told,
    "table1-state": augmentations.state,
    "table1-letters": augmentations.letters_of_all,
    "table1-within": augmentations.within,
    "table1-steps": augmentations.steps_told,
    "paper2-state": paper2.state,
    "paper2-early": paper2.early_told,
    "paper2-overtake": paper2.overtake_told,
    "paper2-difference": paper2.difference_told,
    "paper2-volatility": paper2.volatility_told,
    "paper2-rarest": paper2.rarest_told,
    "paper2-disgust": paper2.disgust_share_told,
    "choices": choices.choices_told,
    "scarce": choices.scarce_told,
    "ingredients-state": ingredients.state,
    "ingredients": ingredients.told,
    "strong": ingredients.strong_told,
    "search-state": searches.state,
    "search-found": searches.found_told,
    "search-luck": searches.luck,
    "search-mattered": searches.mattered,
}
#: Key of a page's metadata that says it shows results.
SHOWS = "fercourse-results"
Made = TypeVar("Made")


def entry(register: Mapping[str, Made], name: str, kind: str) -> Made:
    """Return what a register holds under a name.

    Raises:
        FercourseError: it holds nothing of that name; the nearest is given.
    """
    if name not in register:
        raise FercourseError(
            f"There is no {kind} {name!r} of results{nearest(name, register)}. "
            f"There are {', '.join(register)}."
        )
    return register[name]


def note(env: BuildEnvironment, made: object) -> None:
    """Mark the page as one that shows results, and as made by the module of what it shows."""
    env.metadata[env.docname][SHOWS] = "yes"
    for source in {inspect.getsourcefile(made), *_shared_sources()}:  # type: ignore[arg-type]
        env.note_dependency(str(Path(str(source)).resolve()))


@lru_cache(maxsize=1)
def _shared_sources() -> tuple[str, ...]:
    import fercourse
    from fercourse import papers

    package = Path(fercourse.__file__).parent
    names = (
        *("results/recorded.py", "results/shown.py", "grids.py", "evaluate/significance.py"),
        *("search/records.py", "search/report.py", "search/luck.py", "search/space.py"),
    )
    return (str(papers.__file__), __file__, *(str(package / name) for name in names))


# --- Tables -------------------------------------------------------------------------------------------------


def table_html(shown: Shown, blob: str) -> str:
    """Return a table that can be read aloud, in a box of its own that scrolls when it is too wide.

    Args:
        blob: address of the repository's files, before a path.
    """
    caption = html.escape(shown.caption)
    columns = [html.escape(str(name)) for name in next(iter(shown.parts.values())).columns]
    head = "".join(f'<th scope="col">{name}</th>' for name in (html.escape(shown.corner), *columns))
    bodies = []
    for heading, frame in shown.parts.items():
        rows = []
        if heading:
            rows.append(
                f'<tr class="part"><th scope="rowgroup" colspan="{len(columns) + 1}">'
                f"<span>{html.escape(heading)}</span></th></tr>"
            )
        for name, row in zip(frame.index, frame.itertuples(index=False), strict=True):
            cells = "".join(_cell(value, blob, str(name)) for value in row)
            rows.append(f'<tr><th scope="row">{html.escape(str(name))}</th>{cells}</tr>')
        bodies.append(f"<tbody>{''.join(rows)}</tbody>")
    return (
        f'<div class="results-table" role="region" tabindex="0" aria-label="{caption}"><table>'
        f"<caption><span>{caption}</span></caption><thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
    )


def _cell(value: object, blob: str, row: str) -> str:
    if isinstance(value, RecordLinks) and value.links:
        links = (
            f'<a href="{html.escape(blob)}/results/{value.folder}/{html.escape(name)}.json" '
            f'aria-label="{html.escape(f"{text} of {row}")}">{html.escape(text)}</a>'
            for text, name in value.links
        )
        return f'<td class="records">{" ".join(links)}</td>'
    text = str(value)
    return f"<td{' class=pending' * (text == PENDING)}>{html.escape(text)}</td>"


def blob_address(env: BuildEnvironment) -> str:
    """Return the address of the repository's files, which _config.yml sets."""
    options = env.config.html_theme_options
    return f"{options.get('repository_url', '').rstrip('/')}/blob/{options.get('repository_branch', 'main')}"


class ResultTable(SphinxDirective):
    """A table of the register ``TABLES``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            make = entry(TABLES, self.arguments[0], "table")
            text = table_html(make(), blob_address(self.env))
        except FercourseError as error:
            raise self.error(str(error)) from error
        note(self.env, make)
        return [nodes.raw("", text, format="html")]


# --- Sentences ----------------------------------------------------------------------------------------------


class ResultText(SphinxDirective):
    """A paragraph, or a list of sentences, of the register ``TEXTS``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            make = entry(TEXTS, self.arguments[0], "text")
            told = make()
        except FercourseError as error:
            raise self.error(str(error)) from error
        note(self.env, make)
        if isinstance(told, str):
            return [nodes.paragraph(told, told)]
        items = [nodes.list_item("", nodes.paragraph(line, line)) for line in told]
        return [nodes.bullet_list("", *items)]


class Result(SphinxRole):
    """A sentence of the register ``TEXTS``, within a line."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            make = entry(TEXTS, self.text, "text")
            told = make()
        except FercourseError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        note(self.env, make)
        return [nodes.Text(told if isinstance(told, str) else " ".join(told))], []


# --- Figures ------------------------------------------------------------------------------------------------


class result_figure(nodes.General, nodes.Element):
    """A figure, drawn for a wide screen and for a telephone; ``wide`` and ``narrow`` are files."""


class ResultFigure(SphinxDirective):
    """A figure of the register ``FIGURES``, with a text for those who do not see it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        folder = Path(self.env.doctreedir) / "results_figures"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            make = entry(figures.FIGURES, self.arguments[0], "figure")
            drawn = make()
            places = {}
            for kind, width in figures.WIDTHS.items():
                content = drawn.png(width)
                # Named by what it holds, as myst-nb names the pictures of notebooks.
                places[kind] = f"{hashlib.sha256(content).hexdigest()}.png"
                with atomic_path(folder / places[kind]) as path:
                    Path(path).write_bytes(content)
        except FercourseError as error:
            raise self.error(str(error)) from error
        note(self.env, make)
        return [result_figure("", alt=drawn.alt, caption=drawn.caption, **places)]


def visit_figure(translator: Any, node: result_figure) -> None:
    """Write the picture, and see to it that its files are in the book."""
    builder = translator.builder
    target = Path(builder.outdir) / builder.imagedir
    target.mkdir(parents=True, exist_ok=True)
    for kind in figures.WIDTHS:
        place = target / node[kind]
        if not place.exists():
            place.write_bytes((Path(builder.env.doctreedir) / "results_figures" / node[kind]).read_bytes())
    alt, caption = html.escape(node["alt"]), html.escape(node["caption"])
    translator.body.append(
        f'<figure class="results-figure"><picture>'
        f'<source media="(max-width: 600px)" srcset="{builder.imgpath}/{node["narrow"]}">'
        f'<img src="{builder.imgpath}/{node["wide"]}" alt="{alt}" loading="lazy"></picture>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
    raise nodes.SkipNode


# --- What has changed ---------------------------------------------------------------------------------------


def state() -> list[tuple[str, int, int]]:
    """Return what tells whether any file of results has changed: names, times and sizes."""
    folder = results_folder()
    files: Iterable[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        (path.relative_to(folder).as_posix(), path.stat().st_mtime_ns, path.stat().st_size) for path in files
    ]


def outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Read pages of results again if a file of results was added, changed or removed since they were."""
    before, now = getattr(env, "fercourse_results_state", None), state()
    env.fercourse_results_state = now  # type: ignore[attr-defined]
    if before == now:
        return []
    return [name for name, values in env.metadata.items() if SHOWS in values and name in env.found_docs]


def setup(app: Sphinx) -> None:
    app.add_directive("result-table", ResultTable)
    app.add_directive("result-figure", ResultFigure)
    app.add_directive("result-text", ResultText)
    app.add_role("result", Result())
    app.add_node(result_figure, html=(visit_figure, None))
    app.add_css_file("results.css")
    app.connect("env-get-outdated", outdated)
