"""A search's record: what was tried and what it gave, in at most 15 KB of JSON; read without Optuna."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError, one_line
from fercourse.files import write_text
from fercourse.records import MAX_BYTES, RECORDS, qualifiers_of, results_folder
from fercourse.schemas import check_schema
from fercourse.search.luck import Luck
from fercourse.search.report import FEWEST, best_first, luck_in
from fercourse.search.space import Range, range_from_dict
from fercourse.search.study import STARTUP, UNPRUNED, Trial, interruptions, read_search, trials_of

if TYPE_CHECKING:
    import optuna

FOLDER = "searches"


@dataclass(frozen=True, eq=False)
class SearchRecord:
    """One record; ``data`` is the whole of its JSON."""

    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.data["name"]

    @property
    def model(self) -> str:
        return self.data["config"]["model"]

    @property
    def space(self) -> dict[str, Range]:
        """What was searched."""
        return {name: range_from_dict(values) for name, values in self.data["space"].items()}

    @property
    def trials(self) -> list[Trial]:
        """The trials in order; run folders are not kept."""
        return [
            Trial(number=number, run="", **trial) for number, trial in enumerate(self.data["trials"], start=1)
        ]

    @property
    def best(self) -> Trial:
        """The best trial that ran to its end."""
        return best_first(self.trials)[0]

    @property
    def luck(self) -> Luck:
        """How much of the best trial's accuracy may be luck."""
        luck = luck_in(self.trials, self.data["data"]["sizes"]["val"])
        assert luck is not None  # `check_search` has seen a complete trial
        return luck

    @property
    def qualifiers(self) -> str:
        """What to say wherever the search is shown: 'CPU', 'shortened', '20% of train', or nothing."""
        share = self.data["config"]["train_fraction"]
        marks = [qualifiers_of(self.data), f"{share:.0%} of train" if share < 1 else ""]
        return ", ".join(filter(None, marks))


def record_of(study: optuna.Study, importances: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the record of a study that nobody works on.

    Args:
        importances: what `fercourse.search.report.importances` returned.

    Raises:
        FercourseError: a trial is under way, or was cut off and not taken up again; too few ran to their end.
    """
    from fercourse.records import is_shortened, record_name

    search, environment = read_search(study)
    trials, cut_off = trials_of(study), interruptions(study)
    waiting = [trial for trial in study.get_trials(deepcopy=False) if not trial.state.is_finished()]
    if waiting:
        raise FercourseError(
            "A trial is under way, or was cut off: let the search go on (same command) before it is recorded."
        )
    if len(best_first(trials)) < FEWEST:
        raise FercourseError(
            f"{len(best_first(trials))} trials have run to their end; a record has {FEWEST} or more."
        )
    config = search.base.to_dict()
    name = record_name(config, search.data["layout"], search.device_kind)
    return {
        "format": 1,
        "name": f"{name}-{len(trials)}trials",
        "shortened": is_shortened(config),
        "config": config,
        "space": {name: span.to_dict() for name, span in search.space.items()},
        "sampler": f"TPE, {STARTUP} trials drawn at random first, of which trial 1 is the recipe",
        "pruner": f"median of the trials so far, from epoch {search.warm_up} and trial {UNPRUNED + 1} on",
        "environment": environment,
        "data": dict(search.data),
        "interruptions": cut_off,
        "importances": importances,
        "trials": [
            {
                "state": trial.state,
                "value": None if trial.value is None else round(trial.value, 6),
                "epochs": trial.epochs,
                "seconds": round(trial.seconds, 1),
                "params": trial.params,
            }
            for trial in trials
        ],
    }


def check_search(data: Any, source: str) -> SearchRecord:
    """Return the record, if it is one of a search.

    Raises:
        FercourseError: it does not follow ``search/record.schema.json``, or its parts do not fit each other.
    """
    not_one = f"{source} is not a record of a search"
    check_schema(data, "search/record.schema.json", not_one)
    record = SearchRecord(data)
    for trial in record.trials:
        at = f"{not_one}: trial {trial.number}, {trial.state},"
        wrong = [name for name, value in trial.params.items() if value not in record.space.get(name, ())]
        if wrong or trial.params.keys() != record.space.keys():
            what = wrong[0] if wrong else "one or more values"
            raise FercourseError(f"{at} has {what} outside what was searched.")
        if (trial.value is None) != (trial.state == "failed" or not trial.epochs):
            raise FercourseError(f"{at} has the value {trial.value}.")
        if trial.epochs > data["config"]["epochs"] or (
            trial.state == "complete" and trial.epochs < data["config"]["epochs"]
        ):
            raise FercourseError(f"{at} has {trial.epochs} epochs.")
    if not best_first(record.trials):
        raise FercourseError(f"{not_one}: no trial ran to its end.")
    unknown = set(data["importances"] or ()) - record.space.keys()
    if unknown:
        raise FercourseError(f"{not_one}: the importance of {sorted(unknown)[0]} is of nothing searched.")
    return record


def read_search_record(path: str | os.PathLike[str]) -> SearchRecord:
    """Read and check one record; errors as in `check_search`, also for a file that is no JSON."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FercourseError(
            f"{path} cannot be read as JSON ({one_line(error)}): restore it from version control."
        ) from error
    return check_search(data, str(path))


def load_searches(folder: str | os.PathLike[str] | None = None) -> list[SearchRecord]:
    """Return every record in ``searches`` of the results folder, by name; none where there is none."""
    return [
        read_search_record(path) for path in sorted((Path(folder or results_folder()) / FOLDER).glob(RECORDS))
    ]


def write_search(data: Mapping[str, Any], folder: str | os.PathLike[str] | None = None) -> Path:
    """Check a record and write it to ``searches/<name>.json`` of the results folder, once; return the path.

    Raises:
        FercourseError: it is no record, is over 15 KB, or there is one of that name.
    """
    record = check_search(data, "What was to be recorded")
    rows = ",\n".join(f"  {json.dumps(trial)}" for trial in data["trials"])
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in data.items() if key != "trials"]
    text = "{\n" + ",\n".join([*lines, f' "trials": [\n{rows}\n ]']) + "\n}\n"
    if len(text.encode()) > MAX_BYTES:
        raise FercourseError(
            f"{record.name} would take {len(text.encode())} bytes; at most {MAX_BYTES} are kept."
        )
    path = Path(folder or results_folder()) / FOLDER / f"{record.name}.json"
    if path.exists():
        raise FercourseError(f"{path} exists: a record is written once. Delete it yourself if it is wrong.")
    write_text(path, text)
    return path
