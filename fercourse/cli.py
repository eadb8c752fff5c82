"""The `fercourse` command: data, models, train, evaluate, compare."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fercourse.errors import FercourseError

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


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _columns(rows: list[list[str]]) -> str:
    """Return rows as left-aligned text columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


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
    rows = [["name", "parameters", "paper", "MMACs", "input", "stem"]]
    for row in table:
        paper = "-" if row["paper_params"] is None else f"{row['paper_params'] / 1e6:.1f} M"
        size = row["input_size"]
        shape = "x".join(map(str, size)) if isinstance(size, (list, tuple)) else str(size)
        rows.append(
            [row["name"], f"{row['params']:,}", paper, f"{row['mmacs']:,.0f}", shape, str(row["stem"])]
        )
    typer.echo(_columns(rows))
    for row in table:
        if row.get("note"):
            typer.echo(f"\n{row['name']}: {row['note']}")


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
            f"{_percent(best['val_accuracy'])}, after {result.seconds:.0f} s on {result.device}. "
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
    from fercourse.data import EMOTIONS, load_faces
    from fercourse.data.faces import SPLITS
    from fercourse.errors import nearest
    from fercourse.runs import evaluate_run, make_record

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
    results = evaluate_run(
        run, load_faces(data), splits, device=device, flip_average=flip_average, progress=not quiet
    )
    written = None
    if record:
        from fercourse.records import write_record

        written = write_record(make_record(run, results))
    for values in results.values():
        del values["logits"]
    if as_json:
        _print_json(results)
        return
    for name, values in results.items():
        typer.echo(_report(name, values, EMOTIONS))
    if written:
        typer.echo(f"Record written: {written}")


def _report(split: str, values: Mapping[str, Any], emotions: tuple[str, ...]) -> str:
    lines = [
        f"{split}: {values['n']:,} images",
        f"  accuracy           {_percent(values['accuracy'])}",
    ]
    if values.get("accuracy_without_twins") is not None:
        lines.append(
            f"  ... without twins  {_percent(values['accuracy_without_twins'])} "
            f"({values['n_without_twins']:,} images that stand in no other split)"
        )
    lines += [
        f"  balanced accuracy  {_percent(values['balanced_accuracy'])}",
        f"  macro-F1           {_percent(values['macro_f1'])}",
        f"  calibration error  {_percent(values['ece'])}",
        f"  neg. log-likelihood {values['nll']:.4f}",
        "",
    ]
    rows = [["label \\ predicted", *emotions, "recall"]]
    for emotion, counts, recall in zip(
        emotions, values["confusion"], values["per_class_recall"], strict=True
    ):
        shown = "-" if recall is None or recall != recall else _percent(recall)
        rows.append([emotion, *map(str, counts), shown])
    return "\n".join(lines) + _columns(rows) + "\n"


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A record: its name or file.")],
    b: Annotated[str, typer.Argument(help="Another record, on the same data.")],
    split: Annotated[str, typer.Option(help="val or test.")] = "val",
    as_json: Json = False,
) -> None:
    """Test whether two recorded networks differ: McNemar's test and a paired bootstrap over the images."""
    from fercourse.evaluate import compare as compare_predictions
    from fercourse.records import read_record

    if split not in ("val", "test"):
        raise FercourseError(f"Split {split!r} is not in records; expected val or test.")
    first, second = read_record(a), read_record(b)
    if first.data["data"]["fingerprint"] != second.data["data"]["fingerprint"]:
        raise FercourseError(f"{first.name} and {second.name} are of different data: nothing to compare.")
    result = compare_predictions(first.labels(split), first.preds(split), second.preds(split))
    if as_json:
        _print_json({"a": first.name, "b": second.name, "split": split, **result})
        return
    marks = {
        record.name: f" ({record.qualifiers})" if record.qualifiers else "" for record in (first, second)
    }
    typer.echo(_comparison(first.name + marks[first.name], second.name + marks[second.name], split, result))


def _comparison(a: str, b: str, split: str, result: Mapping[str, Any]) -> str:
    low, high = (100 * value for value in (result["low"], result["high"]))
    verdict = "a difference" if result["p_mcnemar"] < 0.05 else "no difference that these images can show"
    return "\n".join(
        [
            f"On {split}, {result['n']:,} images:",
            f"  A  {a}: {_percent(result['accuracy_a'])}",
            f"  B  {b}: {_percent(result['accuracy_b'])}",
            f"  B - A: {100 * result['difference']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}",
            f"  they disagree on {result['disagreements']:,} images; p = {result['p_mcnemar']:.3g}:",
            f"  {verdict} (for one seed each)",
        ]
    )


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
