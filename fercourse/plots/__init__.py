"""Figures of the course: arrays in, Axes out.

Every function draws into ``ax`` (or a new figure of a fitting size) and returns the Axes; none calls ``show``
or changes matplotlib's settings. `use_style` sets how the figures look: on white, so that they read the
same in the book's light and dark theme, in Jupyter and on paper.
"""

from fercourse.plots.data import class_counts, faces, histogram, matrix
from fercourse.plots.runs import by_share, spans
from fercourse.plots.searches import best_so_far, shares
from fercourse.plots.style import PALETTE, pending, use_style
from fercourse.plots.training import accuracy_against_cost, history, ladder, seeds

__all__ = [
    "PALETTE", "accuracy_against_cost", "best_so_far", "by_share", "class_counts", "faces", "histogram",
    "history", "ladder", "matrix", "pending", "seeds", "shares", "spans", "use_style",
]  # fmt: skip
