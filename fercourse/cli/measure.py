"""`fercourse evaluate` and `fercourse compare`: what a training is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fercourse.cli.options import Data, Device, Json, Quiet, app, print_json
from fercourse.errors import FercourseError
from fercourse.reports import comparison, measured


@app.command(short_help="Measure a trained network, on val unless told otherwise.")
def evaluate(
    run: Annotated[Path, typer.Argument(help="A folder that `fercourse train` wrote.")],
    data: Data = None,
    split: Annotated[list[str] | None, typer.Option(help="train, val or test; may be repeated.")] = None,
    tta: Annotated[
        str,
        typer.Option(
            help="Test-time augmentation: none, flip (the mirror image too) or ten-crop (corners, centre "
            "and their mirror images). Probabilities are averaged."
        ),
    ] = "none",
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
    from fercourse.evaluate.views import check_tta
    from fercourse.runs import evaluate_run, load_best, make_record

    splits = tuple(split or ("val",))
    for name in splits:
        if name not in SPLITS:
            raise FercourseError(f"Split {name!r} is not one of {', '.join(SPLITS)}{nearest(name, SPLITS)}.")
    check_tta(tta)
    if record:
        from fercourse.records import final_entries, is_final
        from fercourse.runs import check_finished, read_run

        config = read_run(run)["config"]
        check_finished(run, config, load_best(run)[1])
        if "test" in splits and not is_final(config, final_entries(), tta):
            how = "as configured" if tta == "none" else f"as configured, with tta {tta}"
            raise FercourseError(
                f"{config['model']} by recipe {config['recipe']} ({how}) is not listed in "
                "results/final.yml: list it there before its test predictions are recorded, or record val."
            )
    faces = load_faces(data)
    results = evaluate_run(run, faces, splits, device=device, tta=tta, progress=not quiet)
    written = None
    if record:
        from fercourse.logits import keeps_logits, save_logits
        from fercourse.records import read_record, write_record

        written = write_record(make_record(run, results, tta=tta))
        if keeps_logits(kept := read_record(written)):
            save_logits(kept, {name: results[name]["logits"] for name in results if name != "train"})
    for name, values in results.items():
        preds = values.pop("logits").argmax(1)
        values["accuracy_interval"] = bootstrap_interval(faces[name].labels, preds)
        if timing:
            values["time"] = time_inference(load_best(run)[0], faces[name].images, device=device)
    if as_json:
        print_json(results)
        return
    for name, values in results.items():
        typer.echo(measured(name, values))
    if written:
        typer.echo(f"Record written: {written}")


@app.command(short_help="Ask whether two networks differ by more than luck.")
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
        print_json({"a": first["name"], "b": second["name"], "split": split, **result})
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
