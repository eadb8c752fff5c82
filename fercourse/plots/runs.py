"""What several seeds of a training gave: curves with the seeds' span, and accuracy by number of labels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from fercourse.plots.style import LINES, PALETTE, axes_of


def spans(
    curves: Mapping[str, np.ndarray],
    *,
    x: np.ndarray | None = None,
    xlabel: str = "epoch",
    label: str = "",
    levels: Mapping[str, float] | None = None,
    marks: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean over seeds of each named curve, and between their least and greatest a band.

    Args:
        curves: a name to its values, (seeds, steps); one without a seed is left out.
        x: places of the steps, (steps,), for all curves; None for 1, 2, ...
        xlabel, label: what the steps and the values are.
        levels: a name to a value, drawn as a thin horizontal line with its name at the right end.
        marks: a name to a place, drawn as a thin vertical line with its name at the top.
    """
    ax = axes_of(ax, 6.4, 3.2)
    styles = zip(PALETTE, LINES, strict=False)
    for (name, values), (colour, line) in zip(curves.items(), styles, strict=False):
        if not len(values):
            continue
        places = np.arange(1, values.shape[1] + 1) if x is None else x[: values.shape[1]]
        ax.plot(places, values.mean(0), line, color=colour, label=name, linewidth=1.6)
        ax.fill_between(places, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)
    for name, value in (levels or {}).items():
        ax.axhline(value, color="0.45", linewidth=0.8, zorder=0)
        ax.annotate(name, (1, value), xycoords=("axes fraction", "data"), xytext=(0, 2), fontsize=9,
                    ha="right", textcoords="offset points", color="0.25",
                    bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.4, "linewidth": 0})  # fmt: skip
    for name, place in (marks or {}).items():
        ax.axvline(place, color="0.75", linewidth=0.8, zorder=0)
        ax.annotate(name, (place, 1), xycoords=("data", "axes fraction"), xytext=(3, -3), fontsize=9,
                    va="top", textcoords="offset points", color="0.35")  # fmt: skip
    if x is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(xlabel)
    ax.set_ylabel(label)
    if ax.get_legend_handles_labels()[0]:
        # In a narrow figure one below the other: two names side by side would be wider than it.
        columns = 1 if ax.figure.bbox.width < 5 * ax.figure.dpi else 2
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)
    return ax


def by_share(
    ways: Mapping[str, Mapping[float, np.ndarray]],
    *,
    label: str = "accuracy on val, %",
    ax: Axes | None = None,
) -> Axes:
    """Draw accuracy by the share of the training images: a dot a seed, and a line through the means.

    Args:
        ways: a name to its shares, each with the accuracies of its seeds (shares between 0 and 1).
        label: what the accuracies are.
    """
    ax = axes_of(ax, 6.4, 3.8)
    shares = sorted({share for found in ways.values() for share in found})
    for number, ((name, found), colour, line, marker) in enumerate(
        zip(ways.items(), PALETTE, LINES, "osD^vPX", strict=False)
    ):
        ready = {share: 100 * np.asarray(values) for share, values in sorted(found.items()) if len(values)}
        if not ready:
            continue
        # A little to the side of each other, else the dots of one way hide another's.
        aside = 1.02 ** (number - (len(ways) - 1) / 2)
        for share, values in ready.items():
            ax.plot(
                np.full(len(values), share * aside), values, marker, color=colour, alpha=0.5, markersize=4
            )
        means = [values.mean() for values in ready.values()]
        ax.plot(
            np.array(list(ready)) * aside, means, line, marker=marker, color=colour, label=name, markersize=6
        )
    ax.set_xscale("log")
    ax.set_xticks(shares, [f"{share:.0%}" for share in shares])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("share of the training images (logarithmic)")
    ax.set_ylabel(label)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax
