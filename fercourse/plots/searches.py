"""What a search for hyperparameters gave: the best so far, and what each hyperparameter decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fercourse.plots.style import PALETTE, axes_of


def best_so_far(
    trials: Sequence[tuple[str, float | None]],
    *,
    luck: float = 0.0,
    label: str = "accuracy on val, %",
    ax: Axes | None = None,
) -> Axes:
    """Draw every trial of a search, and the best of those that ran to their end so far as steps.

    Args:
        trials: in order, each 'complete', 'pruned' or 'failed' with its accuracy as a share of 1, or None.
        luck: by how much the best is expected to be above its true accuracy: a band below the last step.
        label: what the accuracies are.
    """
    ax = axes_of(ax, 6.4, 3.4)
    numbers = np.arange(1, len(trials) + 1)
    values = np.array([np.nan if value is None else 100 * value for _, value in trials])
    states = np.array([state for state, _ in trials])
    marks = {"complete": ("o", "ran to its end"), "pruned": ("x", "stopped early")}
    for (state, (marker, name)), colour in zip(marks.items(), (PALETTE[0], PALETTE[5]), strict=True):
        here = states == state
        if here.any():
            ax.plot(numbers[here], values[here], marker, color=colour, markersize=6, label=name)
    failed = numbers[states == "failed"]
    if len(failed):
        low = np.nanmin(values)
        ax.plot(failed, np.full(len(failed), low), "v", color=PALETTE[6], markersize=6, label="failed")
    kept = np.where(states == "complete", values, -np.inf)
    best = np.maximum.accumulate(kept)
    begun = np.isfinite(best)
    ax.step(numbers[begun], best[begun], where="post", color=PALETTE[2], label="best so far")
    if luck:
        top = best[-1]
        ax.fill_between(
            [0.5, len(trials) + 0.5],
            top - 100 * luck,
            top,
            color=PALETTE[1],
            alpha=0.25,
            linewidth=0,
            label="luck of the best",
        )
    ax.set_xlim(0.5, len(trials) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trial (1 is the recipe)")
    ax.set_ylabel(label)
    # Below one another in a narrow figure: side by side the names would be wider than it.
    columns = 2 if ax.figure.bbox.width < 5 * ax.figure.dpi else 3
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, columnspacing=1.0)
    return ax


def shares(found: Mapping[str, tuple[float, float]], *, ax: Axes | None = None) -> Axes:
    """Draw how much each hyperparameter decided, and what chance would give it.

    Args:
        found: a name to its share of 1, and the share that it stays below by chance.
    """
    ax = axes_of(ax, 6.4, 1.0 + 0.36 * len(found))
    own, chance = 100 * np.array(list(found.values()), dtype=np.float64).reshape(-1, 2).T
    places = np.arange(len(found))
    ax.barh(places, own, height=0.6, color=PALETTE[0], label="its share")
    ax.plot(chance, places, "|", color=PALETTE[5], markersize=16, markeredgewidth=2, label="by chance up to")
    ax.set_yticks(places, [name.replace("_", " ") for name in found])
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_xlim(0, 100)
    ax.set_xlabel("share of the differences, %")
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, columnspacing=1.0)
    return ax
