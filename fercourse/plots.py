"""Figures of the course: arrays in, Axes out.

Every function draws into ``ax`` (or a new figure of a fitting size) and returns the Axes; none calls ``show``
or changes matplotlib's settings. `use_style` sets how the figures look: on white, so that they read the
same in the book's light and dark theme, in Jupyter and on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from fercourse.data.faces import EMOTIONS

#: Okabe and Ito's palette ("Color Universal Design", 2008), told apart with every common colour vision; in
#: this order neighbours differ in lightness too, so that a grey print still reads.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")

_STYLE: dict[Any, Any] = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 110,
    "axes.facecolor": "white",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.grid": False,
    "font.size": 10,
    "legend.frameon": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "svg.hashsalt": "fercourse",
}


def use_style() -> None:
    """Make the figures of this process look as in the book; a notebook calls it once, at its top."""
    mpl.rcParams.update(_STYLE)


def faces(
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 7,
    size: float = 1.0,
    signed: bool = False,
) -> np.ndarray:
    """Show images in a grid, row by row.

    Args:
        images: shape (N, height, width). uint8 is shown as 0 to 255, a float between its extremes over all
            images, so that images of one grid can be compared.
        titles: a line over each image (N of them), or over each column (as many as there are columns).
        columns: images a row.
        size: width of one image in inches.
        signed: colour instead of grey: blue below zero, white at zero, red above, with one scale for all.

    Returns:
        The Axes, shape (rows, columns); those without an image are blank.

    Raises:
        ValueError: ``images`` is not (N, height, width) with N at least 1, or ``titles`` fit neither number.
    """
    images = np.asarray(images)
    columns = min(columns, len(images))
    if images.ndim != 3 or not len(images) or len(titles or images) not in (len(images), columns):
        raise ValueError(
            f"Expected images of shape (N, height, width) and N titles or one a column; "
            f"got {images.shape} and {0 if titles is None else len(titles)} titles."
        )
    if signed:
        limit = float(np.abs(images).max()) or 1.0
        shown: dict[str, Any] = {"cmap": "RdBu_r", "norm": TwoSlopeNorm(0.0, -limit, limit)}
    elif images.dtype == np.uint8:
        shown = {"cmap": "gray", "vmin": 0, "vmax": 255}
    else:
        shown = {"cmap": "gray", "vmin": float(images.min()), "vmax": float(images.max())}

    # Placed by hand, in inches: exact gaps, and far faster than a layout solver over hundreds of Axes.
    rows, gap, line = -(-len(images) // columns), 0.05, 0.24
    titled = 0 if not titles else rows if len(titles) == len(images) else 1
    tall = size * images.shape[1] / images.shape[2]
    width, height = columns * (size + gap) + gap, rows * (tall + gap) + titled * line + gap
    figure = plt.figure(figsize=(width, height))
    axes = np.empty((rows, columns), dtype=object)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        top = height - row * (tall + gap) - min(row + 1, titled) * line - gap
        box = ((gap + column * (size + gap)) / width, (top - tall) / height, size / width, tall / height)
        axes[row, column] = ax = figure.add_axes(box)
        ax.set_axis_off()
        if place < len(images):
            ax.imshow(images[place], **shown)
            if titles and row < titled:
                ax.set_title(titles[place], fontsize=9, loc="center", pad=3)
    return axes


def class_counts(
    counts: Mapping[str, np.ndarray], *, classes: Sequence[str] = EMOTIONS, ax: Axes | None = None
) -> Axes:
    """Draw images a class as horizontal bars, the splits end to end, the largest class on top.

    Args:
        counts: a split's name to its counts, shape (classes,).
        classes: names in the order of the counts.
    """
    ax = _axes(ax, 6.4, 3.2)
    total = np.sum(list(counts.values()), axis=0)
    order = np.argsort(total, kind="stable")
    left = np.zeros(len(classes), dtype=np.int64)
    for (split, values), colour in zip(counts.items(), PALETTE, strict=False):
        widths = np.asarray(values)[order]
        ax.barh([classes[k] for k in order], widths, left=left, label=split, color=colour)
        left += widths
    for place, count in enumerate(left):
        ax.annotate(
            f"{count:,} ({count / max(1, total.sum()):.1%})",
            (count, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    ax.set_xlim(0, 1.2 * max(1, int(left.max())))
    ax.set_xlabel("images")
    ax.legend(loc="lower right")
    return ax


def histogram(
    counts: Mapping[str, np.ndarray], edges: np.ndarray, *, label: str = "", ax: Axes | None = None
) -> Axes:
    """Draw histograms that were counted elsewhere as outlines, each scaled to a share of its own total.

    Args:
        counts: a name to its counts, shape (bins,).
        edges: shape (bins + 1,).
        label: what is counted, under the axis.
    """
    ax = _axes(ax, 6.4, 3.0)
    for (name, values), colour in zip(counts.items(), PALETTE, strict=False):
        share = np.asarray(values) / max(1, np.sum(values))
        ax.stairs(share, edges, label=name, color=colour, linewidth=1.4)
    ax.set_xlabel(label)
    ax.set_ylabel("share")
    ax.set_ylim(bottom=0)
    if len(counts) > 1:
        ax.legend()
    return ax


def matrix(
    counts: np.ndarray,
    *,
    classes: Sequence[str] = EMOTIONS,
    rows: str = "label",
    columns: str = "prediction",
    ax: Axes | None = None,
) -> Axes:
    """Draw a confusion matrix: each cell its row's share in per cent, so that the diagonal is the recall.

    Args:
        counts: shape (classes, classes); row: what an image is labelled, column: what it was taken for.
        rows, columns: what the two sides are, where not labels and predictions.
    """
    ax = _axes(ax, 5.4, 4.6)
    counts = np.asarray(counts)
    share = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    sns.heatmap(
        share,
        annot=True,
        fmt=".0f",
        cmap="Blues",
        vmin=0,
        vmax=100,
        square=True,
        linewidths=0.5,
        cbar_kws={"label": f"% of the {rows}", "shrink": 0.8},
        xticklabels=list(classes),
        yticklabels=list(classes),
        ax=ax,
    )
    ax.set_xlabel(columns)
    ax.set_ylabel(rows)
    ax.tick_params(axis="x", rotation=45)
    ax.tick_params(axis="y", rotation=0)
    return ax


def history(
    curves: Mapping[str, Sequence[float]], *, label: str = "", best: int | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one value an epoch for each named curve, epochs counted from 1.

    Args:
        curves: a name to its values; the curves may differ in length.
        label: what the values are.
        best: the epoch whose weights were kept, marked by a vertical line.
    """
    ax = _axes(ax, 6.4, 3.0)
    for (name, values), colour, line in zip(
        curves.items(), PALETTE, ("-", "--", "-.", ":") * 2, strict=False
    ):
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
    ax = _axes(ax, 7.0, 0.9 + 0.45 * len(places))
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


def accuracy_against_cost(
    points: Mapping[str, Sequence[tuple[str, float, float]]],
    fronts: Mapping[str, Sequence[int]] | None = None,
    *,
    label: str = "parameters",
    ax: Axes | None = None,
) -> Axes:
    """Draw networks by cost (logarithmic) and accuracy, each with its name beside it.

    Args:
        points: a name, such as 'paper', to its networks: (network, cost, accuracy as a share).
        fronts: for some of these names, the places of the networks that no other beats, from the cheapest to
            the dearest: they are joined by steps, below which a network is beaten.
        label: what the cost is.
    """
    ax = _axes(ax, 6.4, 4.6)
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
    taken = [ax.transData.transform((one[1], 100 * one[2])) for group in points.values() for one in group]
    boxes: list[tuple[float, ...]] = [(x - 8, y - 5, x + 8, y + 5) for x, y in taken]
    for name, cost, accuracy in [network for networks in points.values() for network in networks]:
        boxes.append(_name_beside(ax, name, cost, 100 * accuracy, boxes))
    return ax


def _name_beside(
    ax: Axes, name: str, x: float, y: float, boxes: Sequence[tuple[float, ...]]
) -> tuple[float, ...]:
    """Write a name where it covers none of the boxes (in pixels), if there is a place; return its box."""
    scale = ax.figure.dpi / 72
    width, height = (0.58 * 8 * len(name) * scale, 9 * scale)
    centre = ax.transData.transform((x, y))
    choices = []
    around = [(side, up) for up in (0, 1, -1, 2, -2) for side in (0, 1, -1) if side or up]
    for number, (side, up) in enumerate(around):
        left = centre[0] + (6 * scale if side > 0 else -width - 6 * scale if side < 0 else -width / 2)
        low = centre[1] - height / 2 + up * 10 * scale
        box = (left, low, left + width, low + height)
        hits = sum(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in boxes)
        choices.append((hits, number, box))
    _, _, box = min(choices)
    ax.annotate(name, (x, y), xytext=(np.array(box[:2]) - centre) / scale, textcoords="offset points",
                fontsize=8, color="0.2", va="bottom",
                bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.4, "linewidth": 0})  # fmt: skip
    return box


def pending(what: str, *, ax: Axes | None = None) -> Axes:
    """Draw the place of a figure whose training has not been recorded yet; it says 'pending' and of what."""
    ax = _axes(ax, 6.4, 1.6)
    text = "\n".join(["pending", *wrap(what, 60)])
    ax.text(0.5, 0.5, text, ha="center", va="center", color="0.35", transform=ax.transAxes)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color="0.6", linestyle="--")
    return ax


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax
