"""A search in its file: opened, recognised, read back, and put in order after a kill."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError, one_line, shown
from fercourse.experiments import holds_out_val
from fercourse.search.space import Range, config_of, range_from_dict, rounded, values_of

if TYPE_CHECKING:
    import optuna

    from fercourse.data.faces import Faces
    from fercourse.recipes import TrainConfig

DB = "search.db"
STUDY = "fercourse"
#: Seconds to wait for whoever else writes to the file.
PATIENCE = 30.0
#: What the study, and each trial, remembers beside Optuna's own.
SEARCH, RUN, CONTINUES, REASON, SECONDS = "search", "run", "continues", "reason", "seconds"
#: Trials before Optuna's sampler models anything; until then it draws at random.
STARTUP = 10
#: Trials that end before the pruner stops any.
UNPRUNED = 5


@dataclass(frozen=True)
class Search:
    """What is searched: two searches with the same are one search.

    Attributes:
        base: what every trial starts from; its seed is also that of the sampler.
        space: names of `fercourse.search.space.KNOBS` to ranges.
        data: layout, fingerprint and sizes, as a run's ``run.json`` has them.
        device_kind: 'cpu', 'cuda' or 'mps': numbers of different formats are not compared.
    """

    base: TrainConfig
    space: Mapping[str, Range]
    data: Mapping[str, Any]
    device_kind: str

    @property
    def warm_up(self) -> int:
        """Epochs before a trial can be stopped early: half of them.

        With a schedule that ends at a known step, a trial in its first half says little of its end: a high
        learning rate looks bad until it falls.
        """
        return (self.base.epochs + 1) // 2

    def facts(self) -> dict[str, Any]:
        """Return the search as plain JSON values."""
        return {
            "config": self.base.to_dict(),
            "space": {name: span.to_dict() for name, span in self.space.items()},
            "data": dict(self.data),
            "device_kind": self.device_kind,
        }


def search_of(base: TrainConfig, space: Mapping[str, Range], faces: Faces, device_kind: str) -> Search:
    """Return the search of a configuration's space on a data set, whose test split it never asks for.

    Raises:
        FercourseError: a configuration without an epoch, or one that trains on val, which is to judge.
    """
    from fercourse.runs import layout_of

    if base.epochs < 1:
        raise FercourseError(f"epochs is {base.epochs}; a search needs trainings of 1 or more.")
    if not holds_out_val(base.to_dict()):
        raise FercourseError("fit_on is 'train+val'; a search judges its trials on val: leave it at 'train'.")
    sizes = {split.split: len(split) for split in faces}
    data = {"layout": layout_of(faces), "fingerprint": faces.fingerprint, "sizes": sizes}
    return Search(base, space, data, device_kind)


@dataclass(frozen=True)
class Trial:
    """One setting that was tried, whatever interrupted it meanwhile.

    Attributes:
        number: its place in the search, from 1.
        state: 'complete', 'pruned' (stopped early, as it was behind), 'failed' (its loss was no number, or
            memory did not suffice) or 'running'.
        params: the tried values, by name.
        value: the best val accuracy of its epochs; None without one.
        epochs: finished epochs.
        seconds: what they took.
        run: its run folder, within the search's.
        reason: of a failure.
    """

    number: int
    state: str
    params: dict[str, float]
    value: float | None
    epochs: int
    seconds: float
    run: str
    reason: str = ""


def import_optuna() -> Any:
    """Return Optuna, silenced to warnings.

    Raises:
        FercourseError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise FercourseError(
            "A search needs Optuna: pip install optuna (the package's extra 'chapters')."
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and its layers raise about a search's file into one sentence.

    Raises:
        FercourseError: the file is locked, damaged, not writable, or of another version of Optuna.
    """
    try:
        yield
    except Exception as error:
        said = _storage_problem(error)
        if said is None:
            raise
        if "locked" in said or "busy" in said:
            advice = "another program has held it for long: close it; the same command goes on"
        elif "full" in said or "readonly" in said or "unable to open" in said:
            advice = "choose a folder that can be written to and has room"
        else:
            advice = "restore it from a copy, or name another folder"
        raise FercourseError(f"{path} cannot be used ({one_line(said)}): {advice}.") from error


def _storage_problem(error: BaseException) -> str | None:
    """Return what is wrong with the file, if that is what an exception is about."""
    optuna, sqlalchemy = sys.modules["optuna"], sys.modules["sqlalchemy.exc"]
    kinds = (sqlite3.Error, sqlalchemy.SQLAlchemyError, optuna.exceptions.StorageInternalError)
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    if isinstance(error, RuntimeError) and "table schema" in str(error):
        return str(error)
    if not isinstance(error, kinds):
        return None
    # The innermost is SQLite's own; the layers around it add advice on other databases.
    return str(next((each for each in reversed(chain) if isinstance(each, sqlite3.Error)), error))


def open_study(folder: Path, *, create: bool = False) -> optuna.Study:
    """Open the study in a folder's ``search.db``; errors of the file are those of `storage_errors`.

    Raises:
        FercourseError: no Optuna; no such file and ``create`` is False; a file without a search of ours.
    """
    optuna = import_optuna()
    path = folder / DB
    if not path.is_file() and not create:
        raise FercourseError(
            f"{folder} holds no search ({DB} is missing): name a folder that `fercourse search --out` wrote."
        )
    with storage_errors(path):
        # A connection made here: the path within an address would lose its ?, # and %.
        connect = {"creator": lambda: sqlite3.connect(path, timeout=PATIENCE, check_same_thread=False)}
        storage = optuna.storages.RDBStorage("sqlite:///search.db", engine_kwargs=connect)
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
        if STUDY not in names and (names or not create):
            raise FercourseError(f"{path} holds no search of fercourse: name another folder.")
        return optuna.create_study(
            storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True
        )


def begin(study: optuna.Study, search: Search, folder: Path) -> None:
    """Enter a search into its new study, or see to it that the study is of this search.

    Trial 1 is the recipe itself, so that a search shows what it has gained.

    Raises:
        FercourseError: the study is of another model, recipe, space, data set or kind of device.
    """
    if SEARCH not in study.user_attrs:
        import torch

        from fercourse.device import describe_device
        from fercourse.runs import environment

        where = environment()
        where |= {
            "device": describe_device(torch.device(search.device_kind)),
            "device_kind": search.device_kind,
        }
        where["versions"]["optuna"] = sys.modules["optuna"].__version__
        study.set_user_attr(SEARCH, {**search.facts(), "environment": where})
    check_same(study, search, folder)
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(values_of(search.base, search.space))


def check_same(study: optuna.Study, search: Search, folder: Path) -> None:
    """See to it that a study, if anything is in it, is of this search.

    Raises:
        FercourseError: it is not; the message names the first thing in which they differ.
    """
    advice = "go on with the same, or name another folder"
    before, now = study.user_attrs.get(SEARCH), search.facts()
    if before is None:
        return
    if before["device_kind"] != now["device_kind"]:
        raise FercourseError(
            f"{folder} holds a search on {before['device_kind']}, not on {now['device_kind']}: {advice}."
        )
    old, new = (list(facts["space"]) for facts in (before, now))
    if old != new:
        raise FercourseError(
            f"{folder} holds a search over {', '.join(old)}, not over {', '.join(new)}: {advice}."
        )
    for what in ("config", "data", "space"):
        for name in {**before[what], **now[what]}:
            was, value = before[what].get(name), now[what].get(name)
            if was != value:
                differs = f"{name} = {shown(was, 50)}, not {shown(value, 50)}"
                raise FercourseError(f"{folder} holds a search with {differs}: {advice}.")


def read_search(study: optuna.Study) -> tuple[Search, dict[str, Any]]:
    """Return the search that a study holds, and the environment that it began in.

    Raises:
        FercourseError: it holds none.
    """
    from fercourse.recipes import config_from_dict

    facts = study.user_attrs.get(SEARCH)
    if not isinstance(facts, dict):
        raise FercourseError(
            "The search was stopped before its first trial: begin it again with the same command."
        )
    space = {name: range_from_dict(values) for name, values in facts["space"].items()}
    search = Search(config_from_dict(facts["config"]), space, facts["data"], facts["device_kind"])
    return search, facts["environment"]


def recover(study: optuna.Study) -> int:
    """Put a study in order that nobody works on: what was running failed, and is to go on; return how many.

    A trial that was cut off is marked as failed, for Optuna cannot take it up again, and a new one with the
    same values is put in its place. It works in the same run folder, and so goes on from its last saved step.
    """
    optuna = import_optuna()
    states = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    trials = study.get_trials(deepcopy=False)
    continued = {trial.user_attrs.get(CONTINUES) for trial in trials}
    cut_off = [trial for trial in trials if trial.state == states.FAIL and trial.number not in continued]
    for trial in cut_off:
        attributes = {CONTINUES: trial.number}
        if RUN in trial.user_attrs:
            attributes[RUN] = trial.user_attrs[RUN]
        study.enqueue_trial(trial.params, user_attrs=attributes)
    return len(cut_off)


def trials_of(study: optuna.Study) -> list[Trial]:
    """Return the trials of a study in order; one that was interrupted and taken up again is one trial."""
    states = import_optuna().trial.TrialState
    names = {states.COMPLETE: "complete", states.PRUNED: "pruned", states.RUNNING: "running"}
    found: list[Trial] = []
    search = read_search(study)[0]
    for trial in study.get_trials(deepcopy=False):
        if trial.state not in names:  # cut off, or waiting: its successor stands for it
            continue
        attributes, seen = trial.user_attrs, trial.intermediate_values
        reason = attributes.get(REASON, "")
        state = "failed" if reason else names[trial.state]
        value = trial.value if state == "complete" else max(seen.values(), default=None)
        # As they were trained with: `config_of` rounds them.
        params = rounded({name: trial.params[name] for name in search.space if name in trial.params})
        found.append(
            Trial(
                number=len(found) + 1,
                state=state,
                params=params,
                value=None if state == "failed" else value,
                epochs=len(seen),
                seconds=float(attributes.get(SECONDS, 0.0)),
                run=attributes.get(RUN, ""),
                reason=reason,
            )
        )
    return found


def interruptions(study: optuna.Study) -> int:
    """Return how often a trial of a study was cut off."""
    states = import_optuna().trial.TrialState
    return len(study.get_trials(deepcopy=False, states=(states.FAIL,)))


def trial_config(search: Search, params: Mapping[str, float]) -> TrainConfig:
    """Return what a trial with these values trains."""
    return config_of(search.base, params)
