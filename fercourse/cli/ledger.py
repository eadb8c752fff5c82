"""`fercourse ledger`: what became of every claim."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fercourse.cli.options import Json, app, print_json
from fercourse.errors import FercourseError, nearest

if TYPE_CHECKING:
    from fercourse.ledger import Judged


@app.command(short_help="Judge every claim of both papers by all there is.")
def ledger(
    verdict: Annotated[str | None, typer.Option(help="Show the claims with this verdict only.")] = None,
    paper: Annotated[int | None, typer.Option(help="Show the claims of paper 1 or 2 only.")] = None,
    claim: Annotated[str | None, typer.Option(help="Show one claim whole, by its id.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the ledger is written. Default: results/ledger.json of a checkout."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; end with status 1 if the ledger is out of date.")
    ] = False,
    chapters: Annotated[
        bool, typer.Option("--chapters", help="Only list the chapters whose notebooks wait to be made anew.")
    ] = False,
    made: Annotated[bool, typer.Option("--made", help="Note that those chapters have been made.")] = False,
    as_json: Json = False,
) -> None:
    """Hold every claim of both papers against their own tables, the data and the records.

    Reads results/claims.yml and all records; says what has changed since the last time.
    """
    from fercourse.files import write_text
    from fercourse.ledger import VERDICTS, Evidence, judge_all, ledger_text, read_ledger
    from fercourse.ledger.judge import changes
    from fercourse.ledger.stale import chapters_to_make

    if verdict is not None and verdict not in VERDICTS:
        raise FercourseError(
            f"There is no verdict {verdict!r}{nearest(verdict, VERDICTS)}; there are {', '.join(VERDICTS)}."
        )
    if paper not in (None, 1, 2):
        raise FercourseError(f"--paper is {paper}; expected 1 or 2.")
    evidence = Evidence()
    root = evidence.folder.resolve().parent
    in_checkout = (root / "pyproject.toml").is_file()
    path = out or (evidence.folder / "ledger.json" if in_checkout else None)
    before = read_ledger(path or "")
    if chapters:
        typer.echo("\n".join(before["chapters_to_make"]), nl=bool(before["chapters_to_make"]))
        return
    judged = judge_all(evidence)
    stale = chapters_to_make(root, evidence.records, before["records"]) if in_checkout else []
    names = sorted({str(chapter.relative_to(root)) for chapter in stale} | set(before["chapters_to_make"]))
    waiting = [] if made else names
    text = ledger_text(judged, evidence, waiting)
    changed = changes(before, judged) if before["claims"] else []
    if check:
        if path is None or not path.exists() or path.read_text(encoding="utf-8") != text:
            typer.echo("\n".join(["The ledger is out of date: `fercourse ledger` writes it anew.", *changed]))
            raise typer.Exit(1)
        typer.echo("The ledger is up to date.")
        return
    if path is not None:
        write_text(path, text)
    wanted = [
        one
        for one in judged
        if verdict in (None, one.verdict)
        and paper in (None, one.claim.paper)
        and claim in (None, one.claim.id)
    ]
    if claim is not None and not wanted:
        raise FercourseError(
            f"There is no claim {claim!r}{nearest(claim, [one.claim.id for one in judged])} among those "
            "asked for; `fercourse ledger` lists them."
        )
    if as_json:
        print_json([one.to_dict() for one in wanted])
        return
    typer.echo(whole(wanted[0]) if claim else table(wanted))
    if claim is None:
        counts = Counter(one.verdict for one in wanted)
        typer.echo("\n" + ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name]))
    if changed:
        typer.echo("\n".join(["", "Changed since the last time:", *changed]))
    if waiting:
        typer.echo(
            "\nThese chapters must be made anew to show all records (`make results` does so):\n"
            + "\n".join(waiting)
        )


def table(judged: list[Judged]) -> str:
    """Return a line a claim: id, what is claimed, ours, verdict."""
    from fercourse.reports import columns

    rows = [
        [one.claim.id, one.claimed, textwrap.shorten(one.finding.ours, 40, placeholder=" ..."), one.verdict]
        for one in judged
    ]
    return columns([["claim", "paper", "ours", "verdict"], *rows])


def whole(one: Judged) -> str:
    """Return one claim with all there is about it."""
    claim, found = one.claim, one.finding
    interval = f"{found.low:.4f} to {found.high:.4f}" if found.low is not None else ""
    parts = {
        "claim": claim.claim,
        "value": one.claimed,
        "stands": f"paper {claim.paper}, {claim.where} ({claim.words})",
        "verdict": found.verdict,
        "because": found.reason,
        "ours": found.ours,
        "interval": interval,
        "test": found.test,
        "seeds": str(found.seeds or ""),
        "chapter": str(claim.chapter),
        "records": ", ".join(found.records),
    }
    lines = [claim.id]
    for name, text in parts.items():
        if text:
            lines.append(textwrap.fill(text, 100, initial_indent=f"  {name:10}", subsequent_indent=" " * 12))
    return "\n".join(lines)
