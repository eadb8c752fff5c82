"""`fercourse data` and `fercourse models`: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from fercourse.cli.options import Json, app, print_json
from fercourse.reports import networks


@app.command(short_help="Say whether a copy of FER-2013 is the benchmark.")
def data(
    path: Annotated[
        str | None, typer.Argument(help="What to look at; default as for --data of train.")
    ] = None,
    votes: Annotated[str | None, typer.Option(help="FER+ votes, fer2013new.csv.")] = None,
    as_json: Json = False,
) -> None:
    """Say whether a copy of FER-2013 is the benchmark, and what is in it.

    Counts a split and class, duplicates within and across splits, conflicting labels, constant images, FER+
    agreement, and a verdict: 'official', 'official pixels re-encoded' or 'not the benchmark', with reasons.
    """
    from fercourse.data import audit, load_faces

    report = audit(load_faces(path, votes=votes))
    if as_json:
        print_json(report.to_dict())
    else:
        typer.echo(report.report())


@app.command(short_help="List the networks, their sizes and those of the papers.")
def models(as_json: Json = False) -> None:
    """List the networks: parameters, the paper's parameters, multiplications, stem, input size."""
    from fercourse.models import model_table

    table = model_table()
    if as_json:
        print_json(table)
        return
    typer.echo(networks(table))
