"""What a search has found, as text for people: its best trials, what mattered, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError
from fercourse.reports import columns, percent
from fercourse.search.luck import Luck, luck_of
from fercourse.search.space import KNOBS, Range
from fercourse.search.study import Trial, import_optuna

if TYPE_CHECKING:
    import optuna

#: Trials a table shows.
SHOWN = 8
#: Complete trials below which no importance is computed: a forest needs something to split.
FEWEST = 4
#: How often the accuracies are dealt out anew, to see what importance chance gives.
DEALS = 20


def importances(study: optuna.Study, *, deals: int | None = None) -> dict[str, dict[str, float]] | None:
    """Return how much each hyperparameter decided among the trials that ran to their end.

    Functional ANOVA (Hutter, Hoos & Leyton-Brown 2014), as `optuna.importance` has it: how much of the
    accuracies' variance over the space each parameter by itself accounts for, in a forest fitted to the
    trials, as a share of what all of them do one by one. With few trials a forest sees what is not there. So
    the same is computed with the accuracies dealt out to the trials at random, where nothing matters.

    Args:
        deals: how often they are dealt out; None for `DEALS`.

    Returns:
        Name to ``share``, and ``by_chance``, which the parameter's share stays below in 19 of 20 deals; the
        greatest share first. None with fewer than 4 complete trials, or if all are equally good.
    """
    import numpy as np

    optuna = import_optuna()
    state = optuna.trial.TrialState.COMPLETE
    trials = [trial for trial in study.get_trials(states=(state,)) if trial.value is not None]
    values = np.array([trial.value for trial in trials])
    if len(trials) < FEWEST or np.ptp(values) == 0:
        return None

    def shares(values: np.ndarray) -> dict[str, float]:
        copy = optuna.create_study(direction="maximize")
        for trial, value in zip(trials, values, strict=True):
            copy.add_trial(
                optuna.trial.create_trial(
                    params=trial.params, distributions=trial.distributions, value=float(value)
                )
            )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(copy, evaluator=evaluator)

    found = shares(values)
    random = np.random.default_rng(0)
    dealt = [shares(random.permutation(values)) for _ in range(DEALS if deals is None else deals)]
    return {
        name: {
            "share": round(float(share), 3),
            "by_chance": round(float(np.quantile([each[name] for each in dealt], 0.95)), 3),
        }
        for name, share in sorted(found.items(), key=lambda pair: -pair[1])
    }


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that ran to their end, the best first; of equally good ones the earliest."""
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))


def counts_told(trials: Sequence[Trial]) -> str:
    """Return '12 trials: 8 complete, 3 stopped early, 1 failed'."""
    said = {"complete": "complete", "pruned": "stopped early", "failed": "failed", "running": "under way"}
    numbers = {state: sum(trial.state == state for trial in trials) for state in said}
    parts = [f"{number} {said[state]}" for state, number in numbers.items() if number]
    total = f"{len(trials)} trial{'s' * (len(trials) != 1)}"
    return f"{total}: {', '.join(parts)}" if parts else total


def luck_in(trials: Sequence[Trial], images: int) -> Luck | None:
    """Return `luck_of` of the trials that ran to their end; None without one."""
    values = [trial.value for trial in trials if trial.state == "complete" and trial.value is not None]
    return luck_of(values, images) if values else None


def luck_told(luck: Luck, say: Callable[[float], str] = percent) -> list[str]:
    """Say what the best trial's accuracy is worth, in sentences.

    Args:
        say: how a share is written.
    """
    told = [
        f"On {luck.images:,} images an accuracy of {say(luck.best)} has a standard error of "
        f"{100 * luck.error:.2f} points, whatever the network."
    ]
    if luck.contenders > 1:
        told += [
            f"{luck.contenders} of {luck.trials} complete trials are so near the best that these images "
            f"cannot tell them apart. If they are equally good, the best of them is ahead by luck alone, and "
            f"about {100 * luck.likely:.1f} points above its own true accuracy.",
            f"So expect about {say(luck.expected)} of it on fresh images, and choose among these trials "
            "by more seeds, not by this ranking.",
        ]
    elif luck.trials > 1:
        told.append("No other trial comes near it: most of its lead is its own.")
    if luck.trials > 1:
        told.append(
            f"Had all {luck.trials} been equally good, luck would have given {100 * luck.most:.1f} points. "
            "The trials' errors are taken as independent here. Trials that see the same images share a part "
            "of them, and have less luck."
        )
    return told


def table(trials: Sequence[Trial], space: Mapping[str, Range], most: int = SHOWN) -> str:
    """Return the best trials as text columns, and after them the recipe's own if it is not among them."""
    ranked = best_first(trials)
    rows = [["", "trial", "val", "epochs", *space]]
    for place, trial in enumerate(ranked, 1):
        if place <= most or trial.number == 1:
            name = f"{trial.number} (the recipe)" if trial.number == 1 else str(trial.number)
            values = [f"{trial.params[key]:g}" if key in trial.params else "-" for key in space]
            rows.append([str(place), name, percent(trial.value or 0.0), str(trial.epochs), *values])
    return columns(rows)


def importance_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return `importances` as text columns."""
    rows = [["hyperparameter", "share", "by chance up to", ""]]
    for name, values in found.items():
        beyond = "more than chance gives" if values["share"] > values["by_chance"] else ""
        rows.append([name, f"{values['share']:.0%}", f"{values['by_chance']:.0%}", beyond])
    return columns(rows)


def space_told(space: Mapping[str, Range]) -> str:
    """Return what is searched, a line each, with the reason for its range."""
    return columns(
        [
            ["searched", "values", "why"],
            *([name, span.told(), KNOBS[name].why] for name, span in space.items()),
        ]
    )


def report(
    trials: Sequence[Trial],
    space: Mapping[str, Range],
    images: int,
    found: Mapping[str, Mapping[str, float]] | None,
) -> str:
    """Return all of it as text.

    Args:
        images: of val.
        found: what `importances` returned.

    Raises:
        FercourseError: no trial has come to its end yet.
    """
    if not trials:
        raise FercourseError("No trial has come to its end yet: let the search go on with the same command.")
    parts = [f"{counts_told(trials)}."]
    luck = luck_in(trials, images)
    if luck is None:
        return f"{parts[0]} None has run to its end yet."
    parts.append(table(trials, space))
    if found is None:
        parts.append(f"What mattered is not computed from fewer than {FEWEST} complete trials that differ.")
    else:
        parts.append(importance_table(found))
    parts.append("How sure this is:\n" + "\n".join(f"- {line}" for line in luck_told(luck)))
    return "\n\n".join(parts)


def to_json(trials: Sequence[Trial], luck: Luck | None, found: Any) -> dict[str, Any]:
    """Return all of it as plain JSON values, an empty list where no trial has come to its end."""
    return {
        "trials": [vars(trial) for trial in trials],
        "luck": None if luck is None else {**vars(luck), "expected": luck.expected},
        "importances": found,
    }
