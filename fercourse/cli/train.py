"""`fercourse train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fercourse.cli.options import Data, Device, Json, Quiet, Settings, app, changes_of, print_json
from fercourse.reports import percent


@app.command(short_help="Train a network by a recipe; keep the best epoch's weights.")
def train(
    model: Annotated[str, typer.Argument(help="A network's name; `fercourse models` lists them.")],
    out: Annotated[Path, typer.Option(help="Folder for the run: checkpoint, log, configuration.")],
    data: Data = None,
    recipe: Annotated[
        str, typer.Option(help="paper1, paper2, quick, quick20, growing, strong, strong50 or smoke.")
    ] = "paper1",
    seed: Annotated[int, typer.Option(help="Decides initial weights, order, augmentation and dropout.")] = 0,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in --out stopped.")] = False,
    device: Device = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also log for TensorBoard.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a network by a recipe and keep the weights of the best epoch on val.

    The run can be stopped with Ctrl-C and continued with --resume: it ends as if it had never stopped. The
    test split is not touched; `fercourse evaluate` opens it.
    """
    from fercourse.data import load_faces
    from fercourse.recipes import make_config
    from fercourse.runs import train_run

    changes = changes_of(settings or [])
    config = make_config(model, recipe, **{"seed": seed, **changes})
    faces = load_faces(data)
    if not quiet:
        typer.echo(
            f"{faces.source}: {len(faces.train):,} training and {len(faces.val):,} val images.", err=True
        )
    try:
        _, result = train_run(
            config,
            faces,
            out,
            resume=resume,
            device=device,
            progress=not quiet,
            tensorboard=tensorboard,
        )
    except KeyboardInterrupt as error:
        typer.echo("Stopped. The state is saved: the same command with --resume goes on.", err=True)
        raise typer.Exit(130) from error
    best = result.history[result.best_epoch - 1] if result.best_epoch else {}
    measure = f"fercourse evaluate {out}" + (f" --data {data}" if data else "")
    if as_json:
        print_json({"out": str(out), "best_epoch": result.best_epoch, "history": result.history})
    elif best and "val_accuracy" not in best:
        typer.echo(
            f"{len(result.history)} epochs on train and val together, the last is kept, after "
            f"{result.seconds:.0f} s on {result.device}. Only test is held out now: {measure} --split test"
        )
    elif best:
        typer.echo(
            f"Best epoch {result.best_epoch} of {len(result.history)}: val accuracy "
            f"{percent(best['val_accuracy'])}, after {result.seconds:.0f} s on {result.device}. "
            f"Measure it with: {measure}"
        )
    else:
        typer.echo(f"0 epochs: nothing was trained; {out} holds the configuration.")
