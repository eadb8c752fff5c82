"""The ledger in the book: every claim of the two papers with its verdict, computed while the book is built.

Three things for pages: the directive ``ledger-summary`` (how many claims have which verdict), the directive
``ledger-table`` (all claims, which ledger.js lets one filter), and the role ``ledger``:

    {ledger}`verdict resnets-above-vggs`   the verdict, linked to the claim's row; so ours, claimed, reason
    {ledger}`count pending`                how many claims have a verdict; `count all`
    {ledger}`tally table2-*-params reproduced`   how many claims of such names have a verdict: '11 of 13'
    {ledger}`printed table2.vgg11.test`    a number as the paper prints it
    {ledger}`error table2.vgg11.test`      the standard error of an accuracy on the test images
    {ledger}`errors A B`                   how many standard errors two accuracies differ by, as if unrelated
"""

from __future__ import annotations

import functools
import hashlib
import html
import math
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective, SphinxRole

PAGE = "book/results/ledger"
#: A sign beside the word, so that verdicts can be told apart at a glance; never by colour alone.
SIGNS = {
    "reproduced": "✔",
    "not reproduced": "✘",
    "contradicted by the paper itself": "≠",
    "contradicted by the data": "≠",
    "not comparable": "–",
    "not decidable": "?",
    "pending": "…",
}
#: How near a claim's words are to the paper's.
WORDS = {"table": "", "quoted": "quoted", "paraphrased": "in our words", "implied": "implied"}
PAGES = {"table1": "Table 1", "table2": "Table 2", "paper2": "paper 2"}


def sources() -> list[Path]:
    """Return every file that a verdict may depend on."""
    import fercourse
    from fercourse.records import results_folder

    results, package = results_folder(), Path(fercourse.__file__).parent
    found = [p for p in results.rglob("*") if p.suffix in (".json", ".yml") and p.name != "ledger.json"]
    parts = ("ledger", "models", "evaluate", "results")
    code = [package / f"{name}.py" for name in ("papers", "grids", "recipes", "records")]
    return sorted([*found, *code, *(p for part in parts for p in (package / part).glob("*.py"))])


def state() -> str:
    """Return a digest that changes when one of the sources does, comes or goes."""
    stamps = [(str(path), path.stat().st_mtime_ns) for path in sources() if path.is_file()]
    return hashlib.sha256(repr(stamps).encode()).hexdigest()


@functools.lru_cache(maxsize=1)
def _judged(_: str) -> Any:
    from fercourse.ledger import Evidence, judge_all

    evidence = Evidence()
    return evidence, judge_all(evidence)


def judged() -> Any:
    """Return the evidence and every claim with its verdict; computed once for all pages."""
    return _judged(state())


def read_again(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Name the pages that show verdicts, if anything that these depend on has changed."""
    now = state()
    before, env.fercourse_ledger = getattr(env, "fercourse_ledger", None), now  # type: ignore[attr-defined]
    return [] if before == now else [name for name in env.found_docs if "ledger" in env.metadata[name]]


def verdict_html(verdict: str) -> str:
    kind = verdict.replace(" ", "-")
    return (
        f'<span class="ledger-verdict ledger-{kind}">'
        f'<span class="ledger-sign" aria-hidden="true">{SIGNS[verdict]}</span> {verdict}</span>'
    )


class Summary(SphinxDirective):
    """``ledger-summary``: a table of the verdicts, what each means, and how many claims have it."""

    def run(self) -> list[nodes.Node]:
        from fercourse.ledger import VERDICTS

        self.env.metadata[self.env.docname]["ledger"] = "shown"
        claims = judged()[1]
        counts = {paper: Counter(o.verdict for o in claims if o.claim.paper == paper) for paper in (1, 2)}
        rows = "".join(
            f'<tr><th scope="row">{verdict_html(verdict)}</th><td>{meaning}</td>'
            f"<td>{counts[1][verdict]}</td><td>{counts[2][verdict]}</td></tr>"
            for verdict, meaning in VERDICTS.items()
        )
        text = (
            '<div class="ledger-box" tabindex="0" role="region" aria-label="Verdicts, counted">'
            f'<table class="ledger-summary"><caption>{len(claims)} claims by verdict</caption><thead><tr>'
            '<th scope="col">verdict</th><th scope="col">it means</th><th scope="col">paper 1</th>'
            f'<th scope="col">paper 2</th></tr></thead><tbody>{rows}</tbody></table></div>'
        )
        return [nodes.raw("", text, format="html")]


class Table(SphinxDirective):
    """``ledger-table``: every claim, a row each, and the form that ledger.js filters them with."""

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["ledger"] = "table"
        claims = judged()[1]
        config = yaml.safe_load((Path(self.env.srcdir) / "_config.yml").read_text(encoding="utf-8"))
        where = config["repository"]
        self.blob = f"{where['url']}/blob/{where['branch']}/results"
        columns = ("claim", "the paper", "ours", "verdict, and why", "see")
        head = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in columns)
        body = "".join(self.row(one, columns) for one in claims)
        text = (
            f"{form(claims)}"
            '<table class="ledger" role="table" id="ledger-table"><caption>Claims of both papers</caption>'
            f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
            f'<tbody role="rowgroup">{body}</tbody></table>'
        )
        return [nodes.raw("", text, format="html")]

    def row(self, one: Any, columns: tuple[str, ...]) -> str:
        claim, found = one.claim, one.finding
        words = WORDS[claim.words]
        cells = (
            f"<p>{html.escape(claim.claim)}</p><p class='ledger-where'>"
            f'<a href="#{claim.id}" aria-label="Link to {claim.id}">#</a> Paper {claim.paper}, '
            f"{html.escape(claim.where)}{f' ({words})' if words else ''}</p>",
            html.escape(one.claimed) or "<span class='ledger-none'>no number</span>",
            html.escape(found.ours) or "<span class='ledger-none'>none yet</span>",
            f"{verdict_html(found.verdict)}<p>{html.escape(found.reason)}</p>"
            + (f"<p class='ledger-where'>Decided by: {html.escape(found.test)}</p>" if found.test else ""),
            self.links(one),
        )
        first, *rest = cells
        text = f'<th scope="row" role="rowheader">{first}</th>' + "".join(
            f'<td role="cell" data-label="{name}">{cell}</td>'
            for name, cell in zip(columns[1:], rest, strict=True)
        )
        return (
            f'<tr role="row" id="{claim.id}" data-paper="{claim.paper}" data-verdict="{found.verdict}" '
            f'data-kind="{one.kind}">{text}</tr>'
        )

    def links(self, one: Any) -> str:
        """Return the links of a claim: its chapter, the page of its numbers, the records behind it."""
        claim, docs = one.claim, self.env.found_docs
        found = []
        for name in sorted(docs):
            if name.startswith(f"notebooks/{claim.chapter:02d}_"):
                found.append((name, f"chapter {claim.chapter}"))
        if claim.page in docs:
            found.append((claim.page, PAGES.get(Path(claim.page).name, Path(claim.page).name)))
        uri = self.env.app.builder.get_relative_uri
        text = "".join(f'<li><a href="{uri(self.env.docname, name)}">{said}</a></li>' for name, said in found)
        records = [
            f'<li><a href="{self.blob}/runs/{name}.json">{html.escape(name)}</a></li>'
            for name in one.finding.records
        ]
        text = f"<ul>{text}</ul>" if text else ""
        if records:
            text += (
                f'<details class="ledger-records"><summary>{len(records)} '
                f"record{'s' * (len(records) > 1)}</summary><ul>{''.join(records)}</ul></details>"
            )
        return text


def form(claims: Any) -> str:
    """Return the form that filters; hidden until the script that serves it has been read."""
    from fercourse.ledger import VERDICTS

    def choose(name: str, label: str, counts: Counter[Any], order: Any) -> str:
        options = "".join(
            f'<option value="{value}">{value} ({counts[value]})</option>' for value in order if counts[value]
        )
        return (
            f'<label for="ledger-{name}">{label}</label><select id="ledger-{name}" name="{name}">'
            f'<option value="">all</option>{options}</select>'
        )

    parts = (
        choose("paper", "Paper", Counter(one.claim.paper for one in claims), (1, 2)),
        choose("verdict", "Verdict", Counter(one.verdict for one in claims), VERDICTS),
        choose("kind", "Kind", kinds := Counter(one.kind for one in claims), sorted(kinds)),
        '<label for="ledger-text">Words</label><input type="search" id="ledger-text" name="text" '
        'autocomplete="off">',
    )
    fields = "".join(f"<div>{part}</div>" for part in parts)
    return (
        '<form class="ledger-filter" id="ledger-filter" aria-label="Filter the claims" hidden>'
        f'{fields}<button type="reset">Show all</button>'
        f'<p id="ledger-count" role="status">{len(claims)} claims</p></form>'
    )


class LedgerRole(SphinxRole):
    """``ledger``: a verdict, a value or a count within a sentence; see the head of this module."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        self.env.metadata[self.env.docname].setdefault("ledger", "shown")
        try:
            return [self.answer(*self.text.split(" ", 1))], []
        except (KeyError, ValueError, TypeError) as error:
            message = self.inliner.reporter.error(f"ledger role {self.text!r}: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]

    def answer(self, what: str, about: str) -> nodes.Node:
        from fercourse.ledger import VERDICTS
        from fercourse.ledger.claims import look_up

        evidence, claims = judged()
        if what == "count":
            if about != "all" and about not in VERDICTS:
                raise ValueError(f"{about!r} is no verdict")
            return nodes.Text(str(sum(about in ("all", one.verdict) for one in claims)))
        if what == "tally":
            pattern, _, verdict = about.partition(" ")
            if verdict not in VERDICTS:
                raise ValueError(f"{verdict!r} is no verdict")
            some = [one for one in claims if fnmatch(one.claim.id, pattern)]
            return nodes.Text(f"{sum(one.verdict == verdict for one in some)} of {len(some)}")
        if what == "printed":
            value = look_up(about)
            return nodes.Text(f"{value:.2%}" if isinstance(value, float) else f"{value:,}")
        if what in ("error", "errors"):
            shares = [look_up(reference) for reference in about.split()]
            n = evidence.images("test")
            whole = math.sqrt(sum(share * (1 - share) / n for share in shares))
            if what == "error":
                return nodes.Text(f"{100 * whole:.2f}")
            return nodes.Text(f"{abs(shares[0] - shares[1]) / whole:.1f}")
        one = {one.claim.id: one for one in claims}.get(about)
        if one is None:
            raise ValueError(f"results/claims.yml has no claim {about!r}")
        text = {
            "verdict": one.verdict,
            "ours": one.finding.ours or "none yet",
            "claimed": one.claimed,
            "reason": one.finding.reason,
        }[what]
        if what != "verdict":
            return nodes.Text(text)
        address = self.env.app.builder.get_relative_uri(self.env.docname, PAGE)
        return nodes.reference("", text, refuri=f"{address}#{about}", internal=True)


def bring_along(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the style where the ledger is shown, and the script where it is filtered."""
    shown = app.env.metadata[page].get("ledger") if page in app.env.metadata else None
    if shown:
        app.add_css_file("ledger.css")
    if shown == "table":
        app.add_js_file("ledger.js", loading_method="defer")


def setup(app: Sphinx) -> None:
    app.add_directive("ledger-summary", Summary)
    app.add_directive("ledger-table", Table)
    app.add_role("ledger", LedgerRole())
    app.connect("env-get-outdated", read_again)
    app.connect("html-page-context", bring_along)
