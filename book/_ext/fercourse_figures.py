"""The figures of the pages of results: what each draws, and what it says to those who do not see it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from fercourse import plots
from fercourse.papers import EARLY, TABLE1, TABLE2
from fercourse.results import PENDING, augmentations, choices, networks, paper2, pareto_front, searches
from fercourse.results.recorded import Group
from fercourse.results.searches import marked_search
from fercourse.results.shown import listed, marked

#: Inches; the narrow one is shown where the screen has at most 600 pixels, at about its own size.
WIDTHS = {"wide": 6.6, "narrow": 3.5}


@dataclass(frozen=True)
class Drawn:
    """A figure to be drawn in any width.

    Attributes:
        alt: what is seen.
        caption: what it is, below it.
        heights: inches in the wide and in the narrow form.
        draw: draws into axes.
        fit: what is done to the narrow form afterwards.
        margins: left, right, bottom and top of the axes in inches from the edges, where names are placed by
            pixel and the axes must not move afterwards; None to have them found.
    """

    alt: str
    caption: str
    heights: tuple[float, float]
    draw: Callable[[Axes], object]
    fit: Callable[[Axes], object] | None = None
    margins: tuple[float, float, float, float] | None = None

    def png(self, width: float) -> bytes:
        """Return the figure as a PNG file, of the same bytes whenever it shows the same."""
        with mpl.rc_context():
            plots.use_style()
            # Without pyplot: nothing is kept, whatever happens.
            narrow = width < WIDTHS["wide"]
            height = self.heights[narrow]
            layout = None if self.margins else "constrained"
            figure = Figure(figsize=(width, height), layout=layout, dpi=mpl.rcParams["figure.dpi"])
            ax = figure.subplots()
            if self.margins:
                left, right, bottom, top = self.margins
                ax.set_position(
                    (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
                )
            self.draw(ax)
            if narrow and self.fit:
                self.fit(ax)
            kept = io.BytesIO()
            figure.savefig(kept, format="png", dpi=150, metadata={"Software": None})
        return kept.getvalue()


def fit_seeds(ax: Axes) -> None:
    """Break the names of rows, and set the key closer."""
    names = [tick.get_text().replace("\n", " ") for tick in ax.get_yticklabels()]
    ax.set_yticks(
        ax.get_yticks(), ["\n".join(wrap(name, 15, break_long_words=False)) for name in names], fontsize=8
    )
    handles, labels = ax.get_legend_handles_labels()
    ax.get_legend().remove()
    ax.figure.legend(
        handles, labels, loc="outside upper center", ncols=len(labels), columnspacing=0.9, handletextpad=0.2
    )


def fit_matrix(ax: Axes) -> None:
    """Leave out the scale of colours: every cell has its number."""
    ax.collections[0].colorbar.remove()


def fit_costs(ax: Axes) -> None:
    """Fewer ticks, and the key above."""
    ax.xaxis.set_major_locator(LogLocator())
    if ax.get_legend():
        ax.legend(loc="lower left", bbox_to_anchor=(-0.1, 1.0), ncols=2, columnspacing=0.9, handletextpad=0.2)


def spread(rows: Mapping[str, Sequence[float] | np.ndarray]) -> str:
    """Return what a figure of seeds shows, for its alternative text."""
    ready = {name: np.asarray(values) for name, values in rows.items() if len(values)}
    if not ready:
        return f"No training of ours has been recorded: every row says {PENDING}."
    best = max(ready, key=lambda name: ready[name].mean())
    least = min(ready, key=lambda name: ready[name].mean())
    told = f"Our means lie between {ready[least].mean():.1%} ({least}) and {ready[best].mean():.1%} ({best})"
    waiting = len(rows) - len(ready)
    return (
        f"{told}; {waiting} {'row says' if waiting == 1 else 'rows say'} {PENDING}."
        if waiting
        else f"{told}."
    )


def _seeds(rows: dict[str, Group], paper: dict[str, float], split: str, what: str) -> Drawn:
    values = {marked(name, group): group.accuracies(split) for name, group in rows.items()}
    paper = {marked(name, rows[name]): value for name, value in paper.items()}
    height = 1.1 + 0.36 * len(rows)
    return Drawn(
        alt=f"Accuracy on {split}, a row each of {len(rows)} {what}. A diamond marks what the paper reports, "
        f"from {min(paper.values()):.1%} to {max(paper.values()):.1%}; dots are our seeds, a bar their mean. "
        + spread(values),
        caption=f"Accuracy on {split}: a dot a seed, a bar at the mean, and the paper's number as a diamond.",
        heights=(height, height),
        draw=lambda ax: plots.seeds(values, paper=paper, label=f"accuracy on {split}, %", ax=ax),
        fit=fit_seeds,
    )


def table2_seeds() -> Drawn:
    return _seeds(networks.rows(), {name: row.test for name, row in TABLE2.items()}, "test", "networks")


def table1_seeds() -> Drawn:
    return _seeds(augmentations.rows(), TABLE1, "val", "augmentations")


def _cost(price: str, label: str) -> Drawn:
    points = networks.cost_points(price)
    fronts = {name: pareto_front(*np.array([one[1:] for one in found]).T) for name, found in points.items()}
    whose = {"paper": "the paper’s"}
    told = [
        f"{whose.get(name, 'our')} front, which no network beats, goes from the cheapest to the dearest over "
        f"{listed([found[place][0] for place in fronts[name]])}"
        for name, found in points.items()
    ]
    ours = "" if len(points) > 1 else f" Ours are {PENDING}."
    marks = (
        "Circles are the paper's accuracies, squares ours."
        if len(points) > 1
        else f"All accuracies are the paper's; ours are {PENDING}."
    )
    costs = [one[1] for one in points["paper"]]
    last = list(points)[-1]
    return Drawn(
        alt=f"Test accuracy of paper 1's networks against {label}, on a logarithmic axis from "
        f"{min(costs):,.0f} to {max(costs):,.0f}: {'; '.join(told)}.{ours}",
        caption=f"Accuracy on test against {label}. {marks} Steps join networks that no other beats.",
        heights=(4.8, 6.4),
        draw=lambda ax: plots.accuracy_against_cost(points, fronts, label=label, named=[last], ax=ax),
        fit=fit_costs,
        margins=(0.6, 0.75, 0.6, 0.45),
    )


def table2_parameters() -> Drawn:
    return _cost("parameters", "millions of parameters")


def table2_macs() -> Drawn:
    return _cost("macs", "millions of multiply-accumulates")


def _or_pending(
    curves: dict[str, np.ndarray], what: str, draw: Callable[[Axes], object]
) -> Callable[[Axes], object]:
    if any(len(values) for values in curves.values()):
        return draw
    return lambda ax: plots.pending(what, ax=ax)


def _height(curves: dict[str, np.ndarray], wide: float, narrow: float) -> tuple[float, float]:
    return (wide, narrow) if any(len(values) for values in curves.values()) else (1.5, 1.5)


def _read(curves: dict[str, np.ndarray], at: int, form: str, when: str) -> str:
    """Return the mean of every curve at a step, in words."""
    ready = {name: values[:, at].mean() for name, values in curves.items() if len(values)}
    if not ready:
        return f"Nothing is recorded yet: a frame says {PENDING}."
    return f"{when} the means are {listed([f'{value:{form}} for {name}' for name, value in ready.items()])}."


def paper2_batches() -> Drawn:
    rows, width = paper2.rows(), 50
    curves = {marked(name, group): paper2.batch_curves(group, width) for name, group in rows.items()}
    epoch = paper2.batches_per_epoch(next(iter(rows.values())))
    steps = max((values.shape[1] for values in curves.values() if len(values)), default=0)
    x = (np.arange(steps) + 0.5) * width
    what = "training loss by batch in the first three epochs"
    return Drawn(
        alt=f"Curves of the {what}, for each network and batch norm momentum, with a band over the seeds. "
        + _read(curves, -1, ".2f", "At the end"),
        caption=f"The {what}, each point the mean of {width} batches: lines are means over the seeds, bands "
        f"reach from the lowest seed to the highest. An epoch has {epoch} batches.",
        heights=_height(curves, 3.9, 4.1),
        draw=_or_pending(
            curves,
            what,
            lambda ax: plots.spans(
                curves,
                x=x,
                xlabel="batch",
                label="training loss",
                marks={f"epoch {k + 1} ends": (k + 1) * epoch for k in range(2)},
                ax=ax,
            ),
        ),
    )


def _epochs(column: str, what: str, epochs: int | None, levels: dict[str, float]) -> Drawn:
    rows = paper2.rows()
    curves = {marked(name, group): paper2.curves(group, column) for name, group in rows.items()}
    shown = {name: values[:, :epochs] if len(values) else values for name, values in curves.items()}
    when = "all epochs" if epochs is None else f"the first {epochs} epochs"
    lines = f" Thin lines mark {listed(list(levels))}." if levels else ""
    return Drawn(
        alt=f"Curves of the {what} over {when}, for each network and batch norm momentum, with a band over "
        f"the seeds.{lines} " + _read(shown, -1, ".0%", "At the end"),
        caption=f"The {what} over {when}: lines are means over the seeds, bands reach from the lowest "
        "seed to the highest.",
        heights=_height(shown, 3.9, 4.1),
        draw=_or_pending(
            shown,
            f"{what} over {when}",
            lambda ax: plots.spans(shown, label=what, levels=levels, ax=ax),
        ),
    )


def paper2_first() -> Drawn:
    levels = {f"the paper: about {value}, {paper2.NAMES[model]}": value for model, value in EARLY.items()}
    return _epochs("val_accuracy", "accuracy on val", paper2.FIRST[-1], levels)


def paper2_first_train() -> Drawn:
    return _epochs("train_accuracy", "accuracy on train", paper2.FIRST[-1], {})


def paper2_all() -> Drawn:
    return _epochs("val_accuracy", "accuracy on val", None, {})


def _matrix(row: str) -> Drawn:
    group = paper2.rows()[row]
    found, row = paper2.confusion(group), marked(row, group)
    if found is None:
        told, heights = f"Nothing is recorded yet: a frame says {PENDING}.", (1.5, 1.5)
    else:
        recall = np.diag(found) / np.maximum(1, found.sum(1))
        names = paper2.EMOTIONS
        each = [f"{share:.0%} for {name}" for name, share in zip(names, recall, strict=True)]
        told = f"The recalls on the diagonal are {listed(each)}."
        heights = (4.9, 3.9)
    what = f"confusion matrix on test of the {row}"
    return Drawn(
        alt=f"The {what}, seven rows and seven columns, each cell its row's share in per cent. {told}",
        caption=f"The {what}, all seeds together: each row is a label, and its cells add up to 100%.",
        heights=heights,
        draw=(lambda ax: plots.pending(what, ax=ax))
        if found is None
        else (lambda ax: plots.matrix(found, ax=ax)),
        fit=None if found is None else fit_matrix,
    )


def _row(model: str, momentum: float) -> str:
    return f"{paper2.NAMES[model]}, {paper2.MOMENTA[momentum]}"


def scarce() -> Drawn:
    points = choices.scarce_points()
    ready = {way: {s: v for s, v in found.items() if len(v)} for way, found in points.items()}
    told = [
        f"{way}: {listed([f'{values.mean():.1%} with {share:.0%}' for share, values in found.items()])}"
        for way, found in ready.items()
        if found
    ]
    what = "accuracy on val by share of the training images"
    pending = f"Nothing is recorded yet: a frame says {PENDING}."
    return Drawn(
        alt=f"ResNet18's {what}, a line each for three ways. {'; '.join(told) + '.' if told else pending}",
        caption=f"ResNet18's {what}: a dot a seed, lines through the means.",
        heights=(4.2, 4.2) if told else (1.5, 1.5),
        draw=(lambda ax: plots.by_share(points, ax=ax)) if told else (lambda ax: plots.pending(what, ax=ax)),
    )


def search_history() -> Drawn:
    record = searches.main_search()
    what = "accuracy on val of every trial of a search"
    if record is None:
        return _pending(what)
    trials, luck = record.trials, record.luck
    ended = {state: sum(t.state == state for t in trials) for state in ("complete", "pruned", "failed")}
    return Drawn(
        alt=f"{what[0].upper()}{what[1:]} with {marked_search(record)}, in order: {ended['complete']} ran to "
        f"their end, {ended['pruned']} were stopped early, {ended['failed']} failed. Steps mark the best so "
        f"far, which ends at {luck.best:.1%}, in trial {record.best.number}. Below it, a band of "
        f"{100 * luck.likely:.1f} points is the luck to expect of the best.",
        caption=f"The {what} with {marked_search(record)}, and the best so far. The band is the luck to "
        "expect of the best, if those near it are equally good.",
        heights=(4.0, 4.4),
        draw=lambda ax: plots.best_so_far([(t.state, t.value) for t in trials], luck=luck.likely, ax=ax),
    )


def search_shares() -> Drawn:
    record = searches.main_search()
    what = "share of each hyperparameter in the differences between trials"
    if record is None:
        return _pending(what)
    found = {
        name: (values["share"], values["by_chance"])
        for name, values in (record.data["importances"] or {}).items()
    }
    told = listed([f"{own:.0%} for {name.replace('_', ' ')} ({by:.0%})" for name, (own, by) in found.items()])
    height = 1.3 + 0.36 * len(found)
    return Drawn(
        alt=f"Bars of the {what}, and in brackets what chance gives it at most in 19 of 20 deals: {told}.",
        caption=f"The {what} with {marked_search(record)}. An upright line is what chance gives it at most "
        "in 19 of 20 deals of the same accuracies to the trials.",
        heights=(height, height + 0.3),
        draw=lambda ax: plots.shares(found, ax=ax),
    )


def _pending(what: str) -> Drawn:
    return Drawn(
        alt=f"The place of a figure of the {what}: nothing is recorded yet, and a frame says {PENDING}.",
        caption=f"The {what}.",
        heights=(1.5, 1.5),
        draw=lambda ax: plots.pending(what, ax=ax),
    )


FIGURES: dict[str, Callable[[], Drawn]] = {
    "table2-seeds": table2_seeds,
    "table2-parameters": table2_parameters,
    "table2-macs": table2_macs,
    "table1-seeds": table1_seeds,
    "paper2-batches": paper2_batches,
    "paper2-first": paper2_first,
    "paper2-first-train": paper2_first_train,
    "paper2-all": paper2_all,
    "paper2-matrix-basic": lambda: _matrix(_row("basic_cnn", 0.1)),
    "paper2-matrix-resnet": lambda: _matrix(_row("resnet50v2", 0.01)),
    "scarce": scarce,
    "search-history": search_history,
    "search-shares": search_shares,
}
