"""`fercourse reproduce`: the tables of the papers, as grids of trainings."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fercourse.cli.options import Data, Device, Json, Quiet, Settings, app, changes_of, print_json
from fercourse.errors import FercourseError

if TYPE_CHECKING:
    import torch

    from fercourse.sweep import Plan
    from fercourse.sweep.local import Outcome


@app.command(short_help="Train and record a table of a paper; stop and go on at will.")
def reproduce(
    grid: Annotated[
        str,
        typer.Argument(
            help="table2, table1, paper2, controls, readings, ablations, scarce, ingredients, strong, "
            "laptop, extra, distilled, all, smoke."
        ),
    ],
    data: Data = None,
    seeds: Annotated[int, typer.Option(help="Trainings of every row, with seeds 0, 1, ...")] = 1,
    jobs: Annotated[
        int | None, typer.Option(help="Trainings at a time. Default: measured on a GPU, 1 on a CPU.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Stop after so many minutes, in order.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Only say what there is to do.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder for the run folders.")] = Path("runs"),
    results: Annotated[
        Path | None, typer.Option(help="Folder of the records. Default: FERCOURSE_RESULTS, else results/.")
    ] = None,
    settings: Settings = None,
    device: Device = None,
    engine: Annotated[str, typer.Option(help="local, or ray: a Ray cluster (extra `sweep`).")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster, such as auto. Default: one on this machine.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train and record a table of a paper; stop at any moment, and go on with the same command.

    Says first what is recorded, what was cut off and what is new, and how long that takes. Test accuracies
    are recorded for the configurations that final.yml of the results folder lists, val for all.
    """
    from fercourse.data import load_faces
    from fercourse.device import pick_device
    from fercourse.grids import grid as configs_of
    from fercourse.records import results_folder
    from fercourse.sweep import make_plan
    from fercourse.sweep.live import View
    from fercourse.sweep.local import Outcome, best_jobs, run_grid
    from fercourse.sweep.plan import describe_plan, describe_results

    begun = time.monotonic()
    if engine not in ("local", "ray"):
        raise FercourseError(f"Engine {engine!r} does not exist; expected local or ray.")
    for name, value in (("jobs", jobs), ("budget", budget)):
        if value is not None and value <= 0:
            raise FercourseError(f"--{name} is {value}; expected a number above 0.")
    configs = configs_of(grid, seeds, changes_of(settings or []))
    faces = load_faces(data)
    place = pick_device(device)
    kept = results or results_folder()
    plan = make_plan(configs, faces, runs=runs, results=kept, device_kind=place.type)
    pace = _paces(plan, place, quiet)
    if jobs is None:
        jobs = 1
        if place.type == "cuda" and len(plan.open) > 1 and not plan_only:
            jobs, rates = best_jobs(plan.open[0].config.to_dict(), device)
            told = ", ".join(f"{count}: {rate:,.0f}" for count, rate in rates.items())
            typer.echo(f"Images a second by trainings at a time: {told}. Taking {jobs}.", err=True)
    seconds = plan.seconds(pace, faces)
    if not as_json or not plan_only:
        typer.echo(describe_plan(plan, seconds, jobs), err=as_json)
    outcome = Outcome(not_started=[cell.name for cell in plan.open])
    if not plan_only and plan.open:
        with View(plan, quiet=quiet) as view:
            options: dict[str, Any] = {
                "runs": runs,
                "results": kept,
                "jobs": jobs,
                "device": device,
                "budget": None if budget is None else max(0.0, 60 * budget - (time.monotonic() - begun)),
                "report": view.event,
            }
            if engine == "ray":
                from fercourse.sweep.on_ray import run_grid_on_ray

                outcome = run_grid_on_ray(plan, faces, address=address, **options)
            else:
                outcome = run_grid(plan, data, **options)
    _tell(outcome, plan, seconds, as_json)
    recorded = [cell.record for cell in plan.of("recorded") if cell.record]
    recorded += [kept / "runs" / f"{name}.json" for name in outcome.recorded]
    if recorded and not as_json and not plan_only:
        typer.echo(describe_results(recorded))
    if outcome.failed:
        raise typer.Exit(1)


def _paces(plan: Plan, place: torch.device, quiet: bool) -> dict[str, float]:
    """Measure every network of the open cells once."""
    from tqdm import tqdm

    from fercourse.sweep.pace import measure_pace
    from fercourse.sweep.plan import pace_key

    kinds = {pace_key(cell.config): cell.config for cell in plan.open}
    bar = tqdm(kinds.items(), desc="timing each network", unit="network", disable=quiet, leave=False)
    return {key: measure_pace(config, place) for key, config in bar}


def _tell(outcome: Outcome, plan: Plan, seconds: dict[str, float], as_json: bool) -> None:
    """Say how it ended, and what to do next."""
    from fercourse.sweep.plan import STATES

    if as_json:
        states = {state: [cell.name for cell in plan.of(state)] for state in STATES}
        print_json({"plan": states, "seconds": seconds, "outcome": vars(outcome)})
        return
    if not plan.open:
        typer.echo("Everything is recorded.")
    for name, reason in outcome.failed.items():
        typer.echo(f"{name} failed: {reason}", err=True)
    left = [*outcome.stopped, *outcome.failed, *outcome.not_started]
    if left and outcome.recorded:
        typer.echo(f"{len(outcome.recorded)} recorded now; {len(left)} are left: the same command goes on.")
    elif left:
        typer.echo(f"{len(left)} are left to train: the same command goes on.")
    elif outcome.recorded:
        typer.echo(f"All {len(outcome.recorded)} recorded.")
