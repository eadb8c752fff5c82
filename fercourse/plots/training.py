"""What trainings gave: curves, seeds, networks by their cost, steps of speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from fercourse.plots.style import LINES, PALETTE, axes_of


def history(
    curves: Mapping[str, Sequence[float]], *, label: str = "", best: int | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one value an epoch for each named curve, epochs counted from 1.

    Args:
        curves: a name to its values; the curves may differ in length.
        label: what the values are.
        best: the epoch whose weights were kept, marked by a vertical line.
    """
    ax = axes_of(ax, 6.4, 3.0)
    for (name, values), colour, line in zip(curves.items(), PALETTE, LINES, strict=False):
        ax.plot(np.arange(1, len(values) + 1), values, line, color=colour, label=name)
    if best is not None:
        ax.axvline(best, color="0.6", linewidth=1)
        ax.annotate("kept", (best, 1), xycoords=("data", "axes fraction"), xytext=(3, -10), fontsize=9,
                    textcoords="offset points", color="0.35")  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(label)
    if len(curves) > 1:
        ax.legend()
    return ax


def ladder(
    rungs: Mapping[str, Sequence[tuple[str, float, float, float]]],
    *,
    label: str = "times as fast as the usual loop",
    ax: Axes | None = None,
) -> Axes:
    """Draw steps from top to bottom, for each name a line of points with bars from the least to the greatest.

    Args:
        rungs: a name to its steps: (what is changed, ratio, low, high); names may differ in their steps.
        label: what the ratios are.
    """
    places: dict[str, int] = {}
    for step in (step for steps in rungs.values() for step in steps):
        places.setdefault(step[0], len(places))
    ax = axes_of(ax, 7.0, 0.9 + 0.45 * len(places))
    for number, ((name, steps), colour, marker) in enumerate(
        zip(rungs.items(), PALETTE, "osD^vPX", strict=False)
    ):
        ratios, low, high = np.array([step[1:] for step in steps]).T
        # Side by side within a row, else the bars of one network hide another's.
        y = np.array([places[step[0]] for step in steps]) + 0.16 * (number - (len(rungs) - 1) / 2)
        ax.errorbar(ratios, y, xerr=(ratios - low, high - ratios), color=colour, marker=marker, label=name,
                    linewidth=1, capsize=2, markersize=5)  # fmt: skip
    ax.axvline(1, color="0.6", linewidth=1)
    ax.set_yticks(range(len(places)), ["\n".join(wrap(step, 36)) for step in places])
    ax.invert_yaxis()
    ax.set_xlabel(label)
    ax.legend()
    return ax


def seeds(
    rows: Mapping[str, Sequence[float]],
    *,
    paper: Mapping[str, float] | None = None,
    label: str = "accuracy on val, %",
    dot: str = "one seed",
    ax: Axes | None = None,
) -> Axes:
    """Draw a dot for each seed and a bar at their mean, a row an experiment; 'pending' where there is none.

    Args:
        rows: a name to its accuracies, shares between 0 and 1, from top to bottom; empty: not run yet.
        paper: a name to what a paper reports of it, drawn as a diamond.
        label: what the accuracies are.
        dot: what one dot is.
    """
    paper, names = paper or {}, list(rows)
    ax = axes_of(ax, 6.4, 1.0 + 0.42 * len(names))
    for place, name in enumerate(names):
        values = 100 * np.asarray(rows[name], dtype=np.float64)
        if len(values):
            ax.plot(values, np.full(len(values), place), "o", color=PALETTE[0], alpha=0.6, markersize=5)
            ax.plot([values.mean()] * 2, [place - 0.28, place + 0.28], color=PALETTE[6], linewidth=1.6)
        else:
            ax.annotate("pending", (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9,
                        color="0.35")  # fmt: skip
        if name in paper:
            ax.plot(100 * paper[name], place, "D", color=PALETTE[5], fillstyle="none", markersize=7)
    keys: list[tuple[str, dict[str, Any]]] = []
    if any(len(values) for values in rows.values()):
        keys.append((dot, {"marker": "o", "linestyle": "", "color": PALETTE[0], "alpha": 0.6}))
        keys.append(("mean", {"marker": "|", "linestyle": "", "color": PALETTE[6], "markersize": 11}))
    if paper:
        keys.append(("the paper", {"marker": "D", "linestyle": "", "color": PALETTE[5], "fillstyle": "none"}))
    handles = [ax.plot([], [], label=name, **style)[0] for name, style in keys]
    ax.set_yticks(range(len(names)), ["\n".join(wrap(name, 26)) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(label)
    if handles:
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(handles))
    return ax


def accuracy_against_cost(
    points: Mapping[str, Sequence[tuple[str, float, float]]],
    fronts: Mapping[str, Sequence[int]] | None = None,
    *,
    label: str = "parameters",
    named: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw networks by cost (logarithmic) and accuracy, each with its name beside it.

    Args:
        points: a name, such as 'paper', to its networks: (network, cost, accuracy as a share).
        fronts: for some of these names, the places of the networks that no other beats, from the cheapest to
            the dearest: they are joined by steps, below which a network is beaten.
        label: what the cost is.
        named: which of the names of ``points`` have their networks named; None for all. Else a network's
            points of one cost are joined by a thin line, so that one name serves all of them.
    """
    settled = ax is not None  # axes of ours still move when they are laid out
    ax = axes_of(ax, 6.4, 4.6)
    series = list(zip(points.items(), PALETTE, "osD^vPX", strict=False))
    for (name, networks), colour, marker in series:
        costs, accuracies = np.array([network[1:] for network in networks], float).reshape(-1, 2).T
        ax.scatter(costs, 100 * accuracies, color=colour, marker=marker, s=28, label=name, zorder=3)
        front = list((fronts or {}).get(name, ()))
        if front:
            ax.step(costs[front], 100 * accuracies[front], where="post", color=colour, linewidth=1, alpha=0.6)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.18, y=0.08)
    ax.set_xlabel(label)
    ax.set_ylabel("accuracy in %")
    if len(series) > 1:
        ax.legend(loc="lower right")
    if not settled and isinstance(ax.figure, Figure):
        ax.figure.draw_without_rendering()
    ax.autoscale_view()  # else limits are set when drawn, and names stand where points were before
    taken = [ax.transData.transform((one[1], 100 * one[2])) for group in points.values() for one in group]
    boxes: list[tuple[float, ...]] = [(x - 8, y - 5, x + 8, y + 5) for x, y in taken]
    shown = {name: networks for name, networks in points.items() if named is None or name in named}
    if named is not None:
        ends: dict[tuple[str, float], list[float]] = {}
        for network, cost, accuracy in (one for group in points.values() for one in group):
            ends.setdefault((network, cost), []).append(100 * accuracy)
        for (_, cost), heights in ends.items():
            ax.plot([cost, cost], [min(heights), max(heights)], color="0.7", linewidth=0.8, zorder=1)
    for name, cost, accuracy in [network for networks in shown.values() for network in networks]:
        boxes.append(_name_beside(ax, name, cost, 100 * accuracy, boxes, np.array(taken)))
    return ax


def _name_beside(
    ax: Axes, name: str, x: float, y: float, boxes: Sequence[tuple[float, ...]], points: np.ndarray
) -> tuple[float, ...]:
    """Write a name where it covers none of the boxes, if there is a place, and return its box.

    Of such places, one is taken to which no other of the points, (N, 2), is as near; boxes and points are in
    pixels. A name above or below its point has a thin line to it.
    """
    text = ax.annotate(name, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8, color="0.2",
                       va="bottom", bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.4, "linewidth": 0},
                       arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 0,
                                   "shrinkB": 3})  # fmt: skip
    scale, (width, height) = ax.figure.dpi / 72, Text.get_window_extent(text).size
    centre = ax.transData.transform((x, y))
    choices = []
    lines = (0, 1, -1, 2, -2, 3, -3, 4, -4)
    around = [(side, up) for up in lines for side in (0, 1, -1) if side or up]
    for number, (side, up) in enumerate(around):
        left = centre[0] + (6 * scale if side > 0 else -width - 6 * scale if side < 0 else -width / 2)
        low = centre[1] - height / 2 + up * 10 * scale
        box = (left, low, left + width, low + height)
        hits = sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in boxes)
        away = np.hypot(*(points - np.clip(points, box[:2], box[2:])).T)
        own = np.hypot(*(centre - np.clip(centre, box[:2], box[2:])))
        choices.append((hits, int((away < own).sum()), number, box))
    _, _, number, box = min(choices)
    text.set_position((np.array(box[:2]) - centre) / scale)
    if not around[number][1] and text.arrow_patch is not None:
        text.arrow_patch.set_visible(False)
    return box
