"""How figures look, and the place of one that is still to come."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes

#: Okabe and Ito's palette ("Color Universal Design", 2008), told apart with every common colour vision; in
#: this order neighbours differ in lightness too, so that a grey print still reads.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")

#: Line styles beside the colours, so that nothing is told by colour alone.
LINES = ("-", "--", "-.", ":") * 2

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


def pending(what: str, *, ax: Axes | None = None) -> Axes:
    """Draw the place of a figure whose training has not been recorded yet; it says 'pending' and of what."""
    ax = axes_of(ax, 6.4, 1.6)
    text = "\n".join(["pending", *wrap(what, 60)])
    ax.text(0.5, 0.5, text, ha="center", va="center", color="0.35", transform=ax.transAxes)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set(visible=True, color="0.6", linestyle="--")
    return ax


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the axes that were given, or those of a new figure, in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax
