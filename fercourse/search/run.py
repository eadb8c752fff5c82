"""A search under way: one trial after the other, each an ordinary run folder."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from fercourse.errors import FercourseError
from fercourse.files import locked
from fercourse.search import study as kept
from fercourse.search.study import Search, Trial

if TYPE_CHECKING:
    import optuna
    import torch

    from fercourse.data.faces import Faces

LOCK = ".search.lock"


@dataclass(frozen=True)
class Outcome:
    """How a search stands when it ends for now.

    Attributes:
        trials: all of it so far, in order.
        stopped: '' (as many as were asked for), 'budget' or 'interrupt'.
    """

    trials: list[Trial]
    stopped: str


def time_needed(search: Search, faces: Faces, place: torch.device, trials: int) -> float:
    """Return the seconds that so many trials take if none is stopped early, by a few timed steps."""
    from fercourse.sweep.pace import measure_pace
    from fercourse.sweep.plan import Cell, seconds_left

    cell = Cell(search.base, "", "new", final=False)
    return trials * seconds_left(cell, measure_pace(search.base, place), faces)


def trials_left(folder: Path, search: Search, trials: int) -> int:
    """Return how many trials a folder's search lacks, and leave the folder as it is.

    Raises:
        FercourseError: a number below 1; whatever `study.open_study` and `study.check_same` raise.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise FercourseError(f"The number of trials is {trials!r}; expected a whole number of at least 1.")
    kept.import_optuna()
    if not (folder / kept.DB).is_file():
        return trials
    study = kept.open_study(folder)
    with kept.storage_errors(folder / kept.DB):
        kept.check_same(study, search, folder)
        return max(0, trials - _finished(study))


def run_search(
    search: Search,
    faces: Faces,
    folder: Path,
    *,
    trials: int,
    device: str | None = None,
    budget: float | None = None,
    progress: bool = True,
) -> Outcome:
    """Try settings until the search has so many trials; stop at any moment, and go on with the same call.

    Each trial is trained by `fercourse.runs.train_run` into ``folder/trial-NNN`` and judged by its best val
    accuracy; nothing here asks for the test split. What a trial tries depends on the seed and on the trials
    before it alone, so that a search that was interrupted finds what an undisturbed one would have found.

    Args:
        faces: the data set of ``search.data``.
        folder: of this search alone; holds ``search.db`` and the run folders.
        trials: finished ones in all, those of earlier calls among them.
        budget: seconds after which it stops, the state saved.

    Raises:
        FercourseError: no Optuna, a number below 1, a folder of another search or in use, a file that cannot
            be used, and whatever ends a training without being the fault of the tried values.
    """
    trials_left(folder, search, trials)
    path, stopped = folder / kept.DB, ""
    with locked(folder / LOCK, f"{folder} is being searched in"), kept.storage_errors(path):
        study = kept.open_study(folder, create=True)
        kept.begin(study, search, folder)
        kept.recover(study)
        bar = tqdm(
            total=trials * search.base.epochs,
            initial=_finished(study) * search.base.epochs,
            unit="epoch",
            disable=not progress,
        )
        try:
            with _alarm(budget) as rung, bar:
                while (done := _finished(study)) < trials:
                    if rung():  # where the terminal has Ctrl-C ignored, nothing was raised
                        raise KeyboardInterrupt
                    _one_trial(study, search, faces, folder, done + 1, device, bar)
        except KeyboardInterrupt:
            stopped = "budget" if rung() else "interrupt"
            # What it was training is marked now, for whoever looks at the file; it goes on next time.
            kept.recover(study)
        return Outcome(kept.trials_of(study), stopped)


def _finished(study: optuna.Study) -> int:
    """Return the trials that came to an end, early or not."""
    states = kept.import_optuna().trial.TrialState
    return len(study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))


def _one_trial(
    study: optuna.Study,
    search: Search,
    faces: Faces,
    folder: Path,
    number: int,
    device: str | None,
    bar: tqdm,
) -> None:
    """Ask for a setting, train it, and enter how it went."""
    from fercourse.runs import train_run
    from fercourse.train import TrainingFailed

    optuna = kept.import_optuna()
    # Anew for each trial, from the seed and its number: the file keeps trials, and no random numbers. A
    # search that goes on would otherwise propose its first settings once more.
    study.sampler = optuna.samplers.TPESampler(
        n_startup_trials=kept.STARTUP, seed=search.base.seed * 100_003 + number
    )
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=kept.UNPRUNED, n_warmup_steps=search.warm_up)
    trial = study.ask(distributions_of(search))
    name = trial.user_attrs.get(kept.RUN) or f"trial-{number:03d}"
    trial.set_user_attr(kept.RUN, name)
    epochs, reported = search.base.epochs, 0
    begun = bar.n
    best = max((each.value or 0.0 for each in kept.trials_of(study)), default=0.0)

    def follow(history: list[dict[str, float]]) -> None:
        nonlocal reported
        for row in history[reported:]:
            trial.report(row["val_accuracy"], int(row["epoch"]))
        reported = len(history)
        bar.n = begun + reported
        bar.set_description_str(f"trial {number}, epoch {reported}/{epochs}", refresh=False)
        now = f"val {history[-1]['val_accuracy']:.1%}"
        bar.set_postfix_str(f"{now}, best before {best:.1%}" if best else now, refresh=False)
        bar.refresh()
        if reported < epochs and trial.should_prune():
            trial.set_user_attr(kept.SECONDS, sum(row["seconds"] for row in history))
            raise optuna.TrialPruned

    bar.set_description_str(f"trial {number}, epoch 0/{epochs}")
    config = kept.trial_config(search, trial.params)
    try:
        _, fit = train_run(
            config,
            faces,
            folder / name,
            resume=True,
            device=device,
            progress=False,
            on_epoch=follow,
        )
        if fit.history:  # of a training that had ended when its process was killed, nothing was followed
            follow(fit.history)
        trial.set_user_attr(kept.SECONDS, fit.seconds)
        study.tell(trial, max(row["val_accuracy"] for row in fit.history))
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        _forget(folder / name, "best", "last")
    except TrainingFailed as error:
        # Optuna's own 'failed' trials teach its sampler nothing; one that was pruned at once counts as bad.
        trial.set_user_attr(kept.REASON, str(error))
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        _forget(folder / name, "best", "last")
    else:
        _forget(folder / name, "last")
    bar.n = begun + epochs
    bar.refresh()


def distributions_of(search: Search) -> dict[str, Any]:
    """Return the space of a search in Optuna's terms."""
    kinds = kept.import_optuna().distributions
    return {
        name: kinds.CategoricalDistribution(span.choices)
        if span.choices
        else kinds.FloatDistribution(span.low, span.high, log=span.log)
        for name, span in search.space.items()
    }


def _forget(run: Path, *names: str) -> None:
    """Delete weights of a finished trial that nobody will want: they would fill the disk."""
    for name in names:
        (run / f"{name}.safetensors").unlink(missing_ok=True)


@contextmanager
def _alarm(seconds: float | None) -> Iterator[Callable[[], bool]]:
    """Interrupt the main thread after so many seconds, as Ctrl-C would: a training then saves its state.

    Yields:
        A function that says whether it has; the interrupt has been raised by then.
    """
    gate, inside, over = threading.Lock(), True, False

    def ring() -> None:
        nonlocal over
        with gate:
            if inside:
                over = True
                _thread.interrupt_main()

    def rung() -> bool:
        with gate:
            return over

    timer = threading.Timer(seconds or 0.0, ring)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield rung
    finally:
        timer.cancel()
        with gate:
            inside = False
