"""`fercourse bench` and `fercourse times`: how fast it is here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fercourse.cli.options import Device, Json, Quiet, app, print_json


@app.command(short_help="Measure how fast training is here, beside the usual loop.")
def bench(
    data: Annotated[
        str | None,
        typer.Option(help="Train on these images, named as for train. Default: drawn faces."),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Networks to measure, with commas between.")] = None,
    parts: Annotated[
        str | None, typer.Option(help="Of train,ladder,slower,evaluate,load,small; default: all of them.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long each measurement lasts, at least.")] = 3.0,
    repeats: Annotated[int, typer.Option(help="How often each is taken, in turn with the others.")] = 3,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Also measure torch.compile; needs a C++ compiler and a minute.")
    ] = False,
    book: Annotated[
        Path | None,
        typer.Option(
            help="A built book: also time the small network in its page, by Chromium and playwright."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the record, as JSON, into this file.")] = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure how fast training is here, in turn with the loop that most FER repositories have.

    The part `small` is the small network that travels with the package: how many pictures a second it answers
    by PyTorch, where onnxruntime is installed by its ONNX files, and with --book in the browser.

    Trains on drawn faces unless --data names something else: what is on the images does not change the speed.
    The readers of fer2013.csv are measured where --data is such a file.
    """
    from fercourse.bench.report import report, write_record
    from fercourse.bench.run import MODELS, PARTS, Settings, run
    from fercourse.data import load_faces
    from fercourse.data.synthetic import synthetic_faces

    settings = Settings(
        models=tuple(models.split(",")) if models is not None else MODELS,
        parts=tuple(parts.split(",")) if parts is not None else PARTS,
        seconds=seconds,
        repeats=repeats,
        compile=compiled,
    )
    faces = load_faces(data) if data is not None else synthetic_faces(sizes=(2048, 0, 0))
    source = str(data) if data and data.endswith(".csv") else None

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    if data is None:
        say("The images are drawn faces, as many as FER-2013 has: what they show does not change the speed.")
    try:
        record = run(
            faces,
            settings,
            device=device,
            source=source,
            book=None if book is None else str(book),
            progress=not quiet,
            say=say,
        )
    except KeyboardInterrupt as error:
        typer.echo("Stopped. Nothing was written.", err=True)
        raise typer.Exit(130) from error
    if out is not None:
        write_record(record, out)
    if as_json:
        print_json(record)
    else:
        typer.echo(report(record))
        if out is not None:
            typer.echo(f"Record written: {out}")


@app.command(short_help="Time every network over a test split's number of images.")
def times(
    models: Annotated[
        str | None, typer.Option(help="Networks to time, with commas between. Default: all.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each is timed, in turn with the others.")] = 3,
    out: Annotated[Path | None, typer.Option(help="Write the record, as JSON, into this file.")] = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Time every network over as many images as FER-2013's test split has, 64 at a time and one by one.

    The networks take turns, so that their ratios hold on a machine whose speed changes.
    """
    from fercourse.bench.times import measure_times, report_times, summarised, write_times

    def say(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    names = models.split(",") if models is not None else None
    try:
        record = measure_times(names, device=device, rounds=rounds, progress=not quiet, say=say)
    except KeyboardInterrupt as error:
        typer.echo("Stopped. Nothing was written.", err=True)
        raise typer.Exit(130) from error
    if out is not None:
        write_times(record, out)
    if as_json:
        print_json(record)
    else:
        typer.echo(report_times(summarised(record)["rows"]))
        if out is not None:
            typer.echo(f"Record written: {out}")
