"""`fercourse ensemble`: networks that answer together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fercourse.cli.options import Data, Device, Json, Quiet, app, print_json
from fercourse.errors import FercourseError
from fercourse.reports import ensembled

if TYPE_CHECKING:
    from fercourse.ensembles import Candidate


@app.command()
def ensemble(
    sources: Annotated[
        list[str], typer.Argument(help="Records whose logits are kept, or folders that train wrote.")
    ],
    data: Data = None,
    split: Annotated[list[str] | None, typer.Option(help="val or test; may be repeated.")] = None,
    tta: Annotated[str, typer.Option(help="Of run folders: none, flip or ten-crop.")] = "none",
    name: Annotated[str | None, typer.Option(help="What the ensemble's record is to be called.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the ensemble's record (once).")] = False,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Choose the members of an ensemble on val, and measure it.

    The rule is fixed: greedy forward selection, with replacement, by the log-likelihood on val. Test chooses
    nothing; open it once, with --split val --split test --record, when the candidates are settled.
    """
    from fercourse.ensembles import build_ensemble, write_ensemble
    from fercourse.environment import environment

    splits = tuple(dict.fromkeys(["val", *(split or [])]))
    for each in splits:
        if each not in ("val", "test"):
            raise FercourseError(f"Split {each!r} is not one of val, test.")
    if record and name is None:
        raise FercourseError("An ensemble's record needs a name: --name NAME.")
    found = build_ensemble([_candidate(source, splits, data, tta, device, not quiet) for source in sources])
    path = write_ensemble(found, str(name), environment()) if record else None
    if as_json:
        results = {
            key: {k: v for k, v in values.items() if k != "logits"} for key, values in found.results.items()
        }
        print_json({"weights": found.selection.weights, "nll": found.selection.nll, "results": results})
        return
    typer.echo(ensembled(found))
    if path:
        typer.echo(f"Record written: {path}")


def _candidate(
    source: str, splits: tuple[str, ...], data: str | None, tta: str, device: str | None, progress: bool
) -> Candidate:
    """Return a record's kept logits, or a run's, evaluated now."""
    from fercourse.ensembles import Candidate
    from fercourse.experiments import final_entries, is_final, record_name

    if not Path(source).is_dir():
        from fercourse.logits import load_logits
        from fercourse.records import read_record

        kept = read_record(source)
        return Candidate(
            kept.name,
            kept.data["config"],
            kept.tta,
            kept.data["data"]["fingerprint"],
            kept.qualifiers,
            {each: load_logits(kept, each) for each in splits},
            {each: kept.labels(each) for each in splits},
            {each: kept.twins(each) for each in splits},
        )
    from fercourse.data import load_faces
    from fercourse.data.audit import twins
    from fercourse.runs import evaluate_run, read_run

    run = read_run(source)
    if "test" in splits and not is_final(run["config"], final_entries(), tta):
        raise FercourseError(
            f"{source} is not listed in results/final.yml (as configured, tta {tta}): its test predictions "
            "belong to no ensemble. List it before it is trained, or leave out --split test."
        )
    faces = load_faces(data)
    results = evaluate_run(source, faces, splits, device=device, tta=tta, progress=progress)
    repeated, kind = twins(faces), run["environment"]["device_kind"]
    return Candidate(
        record_name(run["config"], run["data"]["layout"], kind, tta),
        run["config"],
        tta,
        faces.fingerprint,
        "CPU" if kind == "cpu" else "",
        {each: results[each]["logits"] for each in splits},
        {each: faces[each].labels for each in splits},
        {each: repeated[each] for each in splits},
    )
