"""The `fercourse` command: data, models, train, evaluate, compare."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fercourse.errors import FercourseError
from fercourse.reports import comparison, measured, networks, percent

app = typer.Typer(
    help="Facial expression recognition on FER-2013: look at the data, train, measure, compare.\n\n"
    "A first round, in a minute on a laptop: fercourse train basic_cnn --data synthetic --recipe smoke "
    "--out runs/first",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="fer2013.csv, icml_face_data.csv, a folder or .zip of the Kaggle copy, or 'synthetic'. "
        "Default: FERCOURSE_DATA, the cache, Kaggle's copy by kagglehub, else drawn faces.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the best there is.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


@app.command()
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
        _print_json(report.to_dict())
    else:
        typer.echo(report.report())


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks: parameters, the paper's parameters, multiplications, stem, input size."""
    from fercourse.models import model_table

    table = model_table()
    if as_json:
        _print_json(table)
        return
    typer.echo(networks(table))


def _changes(settings: list[str]) -> dict[str, Any]:
    """Turn ``["lr=0.001", "augment.flip=0"]`` into changes for `make_config`; values are read as YAML."""
    import yaml

    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise FercourseError(f"--set {setting!r} is not a setting: expected key=value, such as lr=0.001.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise FercourseError(f"--set {setting!r}: the value cannot be read as YAML.") from error
        if isinstance(value, str):
            with contextlib.suppress(ValueError):  # YAML 1.1 takes 1e-3 for text
                value = float(value)
        place = changes
        *parents, name = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise FercourseError(f"--set {setting!r}: {parent} was set to a value before.")
        place[name] = tuple(value) if isinstance(value, list) else value
    return changes


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="A network's name; `fercourse models` lists them.")],
    out: Annotated[Path, typer.Option(help="Folder for the run: checkpoint, log, configuration.")],
    data: Data = None,
    recipe: Annotated[str, typer.Option(help="paper1, paper2, quick or smoke.")] = "paper1",
    seed: Annotated[int, typer.Option(help="Decides initial weights, order, augmentation and dropout.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value of the recipe: --set epochs=3 --set augment.flip=0."),
    ] = None,
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

    changes = _changes(settings or [])
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
    if as_json:
        _print_json({"out": str(out), "best_epoch": result.best_epoch, "history": result.history})
    elif best:
        typer.echo(
            f"Best epoch {result.best_epoch} of {len(result.history)}: val accuracy "
            f"{percent(best['val_accuracy'])}, after {result.seconds:.0f} s on {result.device}. "
            f"Measure it with: fercourse evaluate {out}" + (f" --data {data}" if data else "")
        )
    else:
        typer.echo(f"0 epochs: nothing was trained; {out} holds the configuration.")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A folder that `fercourse train` wrote.")],
    data: Data = None,
    split: Annotated[list[str] | None, typer.Option(help="train, val or test; may be repeated.")] = None,
    flip_average: Annotated[
        bool, typer.Option("--flip-average", help="Average each image's prediction with its mirror image's.")
    ] = False,
    timing: Annotated[
        bool,
        typer.Option("--time", help="Also time the network over each split, one by one and 64 at a time."),
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the run's record into the results folder (once).")
    ] = False,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure a run's best weights: accuracy, macro-F1, recall a class, calibration, confusion matrix.

    Opens val unless told otherwise. Open test once, at the very end: every choice belongs on val.
    """
    from fercourse.data import load_faces
    from fercourse.data.faces import SPLITS
    from fercourse.errors import nearest
    from fercourse.evaluate import bootstrap_interval, time_inference
    from fercourse.runs import evaluate_run, load_best, make_record

    splits = tuple(split or ("val",))
    for name in splits:
        if name not in SPLITS:
            raise FercourseError(f"Split {name!r} is not one of {', '.join(SPLITS)}{nearest(name, SPLITS)}.")
    if record and flip_average:
        raise FercourseError("A record holds plain predictions: leave out --flip-average or --record.")
    if record:
        from fercourse.records import final_entries, is_final
        from fercourse.runs import read_run

        config = read_run(run)["config"]
        if "test" in splits and not is_final(config, final_entries()):
            raise FercourseError(
                f"{config['model']} by recipe {config['recipe']} (as configured) is not listed in "
                "results/final.yml: list it there before its test predictions are recorded, or record val."
            )
    faces = load_faces(data)
    results = evaluate_run(run, faces, splits, device=device, flip_average=flip_average, progress=not quiet)
    written = None
    if record:
        from fercourse.logits import keeps_logits, save_logits
        from fercourse.records import read_record, write_record

        written = write_record(make_record(run, results))
        if keeps_logits(kept := read_record(written)):
            save_logits(kept, {name: results[name]["logits"] for name in results if name != "train"})
    for name, values in results.items():
        preds = values.pop("logits").argmax(1)
        values["accuracy_interval"] = bootstrap_interval(faces[name].labels, preds)
        if timing:
            values["time"] = time_inference(load_best(run)[0], faces[name].images, device=device)
    if as_json:
        _print_json(results)
        return
    for name, values in results.items():
        typer.echo(measured(name, values))
    if written:
        typer.echo(f"Record written: {written}")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A record (name or file), or a folder that train wrote.")],
    b: Annotated[str, typer.Argument(help="Another one, of the same data.")],
    split: Annotated[str, typer.Option(help="val or test.")] = "val",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Test whether two networks differ: McNemar's test and a paired bootstrap over the same images.

    Records bring their predictions along; folders are evaluated on --data.
    """
    from fercourse.evaluate import compare as compare_predictions

    if split not in ("val", "test"):
        raise FercourseError(f"Split {split!r} cannot be compared; expected val or test.")
    first, second = (_predictions(name, split, data) for name in (a, b))
    if first["fingerprint"] != second["fingerprint"]:
        raise FercourseError(
            f"{first['name']} and {second['name']} are of different data: nothing to compare."
        )
    result = compare_predictions(first["labels"], first["preds"], second["preds"])
    if as_json:
        _print_json({"a": first["name"], "b": second["name"], "split": split, **result})
    else:
        typer.echo(comparison(first["name"], second["name"], split, result))


def _predictions(source: str, split: str, data: str | None) -> dict[str, Any]:
    """Return name, fingerprint, labels and preds of a run folder (evaluated now) or of a record."""
    if Path(source).is_dir():
        from fercourse.data import load_faces
        from fercourse.runs import evaluate_run

        faces = load_faces(data)
        preds = evaluate_run(source, faces, (split,))[split]["logits"].argmax(1)
        labels = faces[split].labels
        return {"name": source, "fingerprint": faces.fingerprint, "labels": labels, "preds": preds}
    from fercourse.records import read_record

    record = read_record(source)
    return {
        "name": f"{record.name} ({record.qualifiers})" if record.qualifiers else record.name,
        "fingerprint": record.data["data"]["fingerprint"],
        "labels": record.labels(split),
        "preds": record.preds(split),
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one sentence on stderr and status 1."""
    try:
        app(arguments)
    except FercourseError as error:
        typer.echo(f"fercourse: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
