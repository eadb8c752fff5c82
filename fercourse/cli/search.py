"""`fercourse search`: hyperparameters found by trying."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fercourse.cli.options import Data, Device, Json, Quiet, Settings, app, changes_of, print_json
from fercourse.errors import FercourseError

if TYPE_CHECKING:
    from fercourse.search.run import Outcome


@app.command(short_help="Search hyperparameters around a recipe, judged on val.")
def search(
    what: Annotated[
        str, typer.Argument(help="A network's name; with --show or --record a folder that a search wrote.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the search: search.db and a run folder a trial.")
    ] = None,
    data: Data = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="Where it starts: paper1, paper2, quick, quick20, growing, strong, strong50, smoke."
        ),
    ] = "quick",
    trials: Annotated[int, typer.Option(help="Settings to try in all, those of earlier calls counted.")] = 20,
    over: Annotated[
        str | None, typer.Option(help="What to search, with commas between. Default: all; see --plan.")
    ] = None,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Of what is proposed, and of every training.")] = 0,
    budget: Annotated[float | None, typer.Option(help="Stop after so many minutes, the state saved.")] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Only say what is searched, and how long it takes.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print what a folder's search has found.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write a folder's search into the results folder, once.")
    ] = False,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Search hyperparameters around a recipe with Optuna, judged on val alone.

    Stop at any moment, and go on with the same command. Each trial is a run folder, which `fercourse
    evaluate` measures. Needs Optuna (extra `chapters`).
    """
    if show or record:
        if out is not None:
            raise FercourseError("--show and --record are given a search's folder alone: leave out --out.")
        _look(Path(what), record, as_json)
        return
    if (Path(what) / "search.db").is_file():
        raise FercourseError(f"{what} is the folder of a search: add --show to see it.")
    if out is None and not plan_only:
        raise FercourseError("A search needs a folder to work in: --out searches/first.")
    if budget is not None and budget <= 0:
        raise FercourseError(f"--budget is {budget:g}; expected a number of minutes above 0.")
    begun = time.monotonic()
    from fercourse.data import load_faces
    from fercourse.device import describe_device, pick_device
    from fercourse.recipes import make_config
    from fercourse.search.report import space_told
    from fercourse.search.run import run_search, time_needed, trials_left
    from fercourse.search.space import space_of
    from fercourse.search.study import search_of
    from fercourse.sweep.plan import duration

    changes = changes_of(settings or [])
    base = make_config(what, recipe, **{"seed": seed, **changes})
    space = space_of(base, only=over.split(",") if over is not None else None, fixed=_keys(changes))
    place = pick_device(device)
    faces = load_faces(data)
    asked = search_of(base, space, faces, place.type)
    left = trials_left(out or Path(), asked, trials) if out is not None else trials
    if plan_only or not quiet:
        typer.echo(space_told(space), err=not plan_only)
    if left and (plan_only or not quiet):
        seconds = time_needed(asked, faces, place, left)
        told = f"{left} of {trials} trials to go, {base.epochs} epochs each: about {duration(seconds)} on "
        told += f"{describe_device(place)} if none is stopped early."
        if budget is not None and 60 * budget < seconds:
            share = int(left * 60 * budget / seconds)
            told += f" The budget is enough for about {share} of them; the same command goes on."
        typer.echo(told, err=not plan_only)
    if plan_only or out is None:
        return
    outcome = run_search(
        asked,
        faces,
        out,
        trials=trials,
        device=device,
        budget=None if budget is None else max(0.0, 60 * budget - (time.monotonic() - begun)),
        progress=not quiet,
    )
    if as_json or not outcome.stopped:
        _look(out, False, as_json)
    _tell(outcome, out, data, trials)


def _keys(changes: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the keys that --set names, such as 'augment.flip'."""
    found: list[str] = []
    for key, value in changes.items():
        found += _keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


def _look(folder: Path, record: bool, as_json: bool) -> None:
    """Print what a folder's search has found; write its record."""
    from fercourse.search import report
    from fercourse.search import study as kept
    from fercourse.search.records import record_of, write_search

    study = kept.open_study(folder)
    with kept.storage_errors(folder / kept.DB):
        asked, _ = kept.read_search(study)
        trials = kept.trials_of(study)
        found = report.importances(study)
        images = asked.data["sizes"]["val"]
        if as_json:
            print_json(report.to_json(trials, report.luck_in(trials, images), found))
        else:
            typer.echo(report.report(trials, asked.space, images, found))
        if record:
            path = write_search(record_of(study, found))
            typer.echo(f"Record written: {path}", err=as_json)


def _tell(outcome: Outcome, out: Path, data: str | None, trials: int) -> None:
    """Say what to do next."""
    from fercourse.search.report import best_first

    best = best_first(outcome.trials)
    if best:
        where = f" --data {data}" if data else ""
        typer.echo(f"Measure the best trial with: fercourse evaluate {out / best[0].run}{where}", err=True)
    if outcome.stopped:
        reason = "The budget is used up" if outcome.stopped == "budget" else "Stopped"
        done = f"{len(outcome.trials)} of {trials} trials"
        typer.echo(f"{reason} after {done}. The state is saved: the same command goes on.", err=True)
        if outcome.stopped == "interrupt":
            raise typer.Exit(130)
