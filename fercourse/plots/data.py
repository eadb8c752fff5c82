"""Faces, their classes and values, and matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from fercourse.data.faces import EMOTIONS
from fercourse.plots.style import LINES, PALETTE, axes_of


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
    ax = axes_of(ax, 6.4, 3.2)
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
    ax = axes_of(ax, 6.4, 3.0)
    for (name, values), colour, line in zip(counts.items(), PALETTE, LINES, strict=False):
        share = np.asarray(values) / max(1, np.sum(values))
        ax.stairs(share, edges, label=name, color=colour, linestyle=line, linewidth=1.4)
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
    import seaborn as sns  # brings scipy.stats, a second; no other picture needs it

    ax = axes_of(ax, 5.4, 4.6)
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
