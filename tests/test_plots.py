"""Figures: the arrays that go in are what is drawn, and nothing global changes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")
import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from fercourse import plots
from fercourse.data import EMOTIONS
from fercourse.papers import TABLE2

#: Millions of multiply-accumulates of paper 1's networks, in the order of its table.
SIZES = (340, 510, 700, 890, 1255, 2620, 2910, 1256, 2621, 2920, 98, 67, 20)


@pytest.fixture(autouse=True)
def _clean_figures():
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def drawn(ax) -> None:
    ax.figure.canvas.draw()


@pytest.mark.parametrize("titles", [None, list("abcde"), list("abc")])
def test_faces_are_shown_in_order(titles) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    axes = plots.faces(images, titles, columns=3)
    assert axes.shape == (2, 3)
    for place, ax in enumerate(axes.flat):
        shown = [image.get_array() for image in ax.images]
        assert len(shown) == (place < 5)
        if shown:
            np.testing.assert_array_equal(shown[0], images[place])
            assert ax.images[0].get_clim() == (0, 255)
        expected = titles[place] if titles and place < len(titles) else ""
        assert ax.get_title() == expected
    drawn(axes[0, 0])
    boxes = [ax.get_position() for ax in axes.flat]
    assert all(min(box.x0, box.y0) >= 0 and max(box.x1, box.y1) <= 1 for box in boxes)
    assert axes[0, 0].get_position().y0 > axes[1, 0].get_position().y1


def test_signed_maps_share_a_scale_about_zero() -> None:
    axes = plots.faces(np.stack([np.full((4, 4), -3.0), np.full((4, 4), 1.0)]), signed=True)
    assert {ax.images[0].get_clim() for ax in axes.flat} == {(-3.0, 3.0)}
    drawn(plots.faces(np.zeros((1, 4, 4)), signed=True)[0, 0])


def test_float_images_share_a_scale() -> None:
    axes = plots.faces(np.stack([np.full((4, 4), 10.0), np.full((4, 4), 20.0)]))
    assert {ax.images[0].get_clim() for ax in axes.flat} == {(10.0, 20.0)}


@pytest.mark.parametrize(
    ("images", "titles"),
    [(np.zeros((3, 48)), None), (np.zeros((0, 48, 48)), None), (np.zeros((3, 4, 4)), ["a", "b"])],
)
def test_wrong_images_are_refused(images, titles) -> None:
    with pytest.raises(ValueError, match="N, height, width"):
        plots.faces(images, titles)


def test_class_counts_stack_the_splits_largest_on_top() -> None:
    train, test = np.array([5, 1, 3, 9, 4, 2, 7]), np.arange(7)
    ax = plots.class_counts({"train": train, "test": test})
    drawn(ax)
    names = [label.get_text() for label in ax.get_yticklabels()]
    order = [EMOTIONS.index(name) for name in names]
    assert list((train + test)[order]) == sorted(train + test)
    widths = np.array([patch.get_width() for patch in ax.patches]).reshape(2, 7)
    np.testing.assert_array_equal(widths, [train[order], test[order]])
    assert ax.texts[-1].get_text() == f"{(train + test).max()} ({(train + test).max() / 52:.1%})"


def test_histogram_draws_shares() -> None:
    ax = plots.histogram({"a": np.array([1, 3]), "b": np.array([10, 10])}, np.arange(3), label="value")
    drawn(ax)
    values = [patch.get_data().values for patch in ax.patches]
    np.testing.assert_allclose(values, [[0.25, 0.75], [0.5, 0.5]])


def test_matrix_draws_the_share_of_each_row() -> None:
    counts = np.diag([8, 0, 3, 4, 5, 6, 7])
    counts[0, 6] = 2
    ax = plots.matrix(counts)
    drawn(ax)
    texts = np.array([text.get_text() for text in ax.texts]).reshape(7, 7)
    assert (texts[0, 0], texts[0, 6], texts[2, 2]) == ("80", "20", "100")
    assert set(texts[1]) == {"0"}, "a class without images is not a division by zero"
    assert ax.get_ylabel() == "label"


def test_history_counts_epochs_from_one() -> None:
    ax = plots.history({"train": [0.2, 0.4, 0.6], "val": [0.3, 0.5]}, label="accuracy", best=2)
    drawn(ax)
    assert [list(line.get_xdata()) for line in ax.lines] == [[1, 2, 3], [1, 2], [2, 2]]
    assert ax.get_ylabel() == "accuracy"


def test_ladder_draws_each_step_once_and_keeps_names_apart() -> None:
    ax = plots.ladder(
        {"a": [("first", 1.0, 0.9, 1.2), ("last", 2.0, 2.0, 2.5)], "b": [("last", 3.0, 2.0, 3.0)]}
    )
    assert [text.get_text() for text in ax.get_yticklabels()] == ["first", "last"]
    first, second = ax.containers
    assert first.lines[0].get_xdata().tolist() == [1.0, 2.0]
    assert second.lines[0].get_xdata().tolist() == [3.0]
    bars = [segment[:, 0].tolist() for segment in first.lines[2][0].get_segments()]
    assert np.allclose(bars, [[0.9, 1.2], [2.0, 2.5]])
    rows = first.lines[0].get_ydata()[1], second.lines[0].get_ydata()[0]
    assert rows[0] < 1 < rows[1], "two networks lie on top of each other"
    assert ax.yaxis_inverted()


def test_accuracy_against_cost_draws_every_network_once_with_its_name_beside_it() -> None:
    points = {"paper": [("a", 1.0, 0.6), ("b", 10.0, 0.7), ("c", 11.0, 0.699)], "ours": [("b", 10.0, 0.72)]}
    ax = plots.accuracy_against_cost(points, {"paper": [0, 1]}, label="parameters")
    drawn(ax)
    assert ax.get_xscale() == "log"
    offsets = [tuple(one) for shown in ax.collections for one in np.round(shown.get_offsets(), 6)]
    assert offsets == [(1.0, 60.0), (10.0, 70.0), (11.0, 69.9), (10.0, 72.0)]
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c", "b"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["paper", "ours"]
    (line,) = ax.lines
    assert np.allclose(np.c_[line.get_xdata(), line.get_ydata()], [[1.0, 60.0], [10.0, 70.0]])
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2)), "names cover each other"
    crowd = {"paper": [("near", 1.0, 0.6), ("far_away", 300.0, 0.7), ("beside_it", 900.0, 0.7)]}
    ax = plots.accuracy_against_cost(crowd)
    drawn(ax)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2)), "names cover each other"
    marks = ax.transData.transform([(cost, 100 * share) for _, cost, share in crowd["paper"]])
    assert not [box for box in boxes for x, y in marks if box.contains(x, y)], "a name covers a point"
    alone = plots.accuracy_against_cost({"paper": points["paper"]})
    assert alone.get_legend() is None


def test_a_name_stands_nearer_to_its_own_point_than_to_another() -> None:
    """The papers' large networks, pressed together by one that is far below them."""
    points = {
        "paper": [(name, size, row.test) for (name, row), size in zip(TABLE2.items(), SIZES, strict=True)],
        "ours": [("mobilenet_v3_small", SIZES[-1], 0.49)],
    }
    ax = plots.accuracy_against_cost(points)
    drawn(ax)
    networks = [one for group in points.values() for one in group]
    marks = ax.transData.transform([(cost, 100 * share) for _, cost, share in networks])
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the lines that lead to points
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2)), "names cover each other"
    for place, box in enumerate(boxes):
        away = np.hypot(*(marks - np.clip(marks, box.min, box.max)).T)
        assert away[place] <= away.min() + 1, networks[place]


def test_figures_go_where_they_are_told_and_change_no_setting() -> None:
    before = dict(mpl.rcParams)
    _, (left, right) = plt.subplots(1, 2)
    assert plots.history({"a": [1, 2]}, ax=left) is left
    assert plots.matrix(np.eye(7), ax=right) is right
    assert dict(mpl.rcParams) == before
    plots.use_style()
    assert mpl.rcParams["figure.facecolor"] == "white"


# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: linear RGB as seen without one kind of cone.
MACHADO = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(linear: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB, in which 10 is a difference that is seen at a glance."""
    t = SRGB_TO_XYZ @ np.clip(linear, 0, 1) / (SRGB_TO_XYZ @ np.ones(3))
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest_colours(palette: Sequence[str], seen: np.ndarray) -> float:
    srgb = np.array([to_rgb(colour) for colour in palette])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    labs = [lab(seen @ colour) for colour in linear]
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(labs, 2))


@pytest.mark.parametrize("vision", MACHADO)
def test_the_palette_is_told_apart_with_every_colour_vision(vision: str) -> None:
    seen = np.array(MACHADO[vision])
    assert nearest_colours(plots.PALETTE, seen) > 10
    if vision == "deuteranopia":
        assert nearest_colours(("#d62728", "#2ca02c", "#8c564b"), seen) < 10, "red and green would pass too"


def test_seeds_are_dots_beside_the_paper_and_pending_without() -> None:
    ax = plots.seeds({"flip": [0.5, 0.7], "crop": []}, paper={"flip": 0.6, "crop": 0.65})
    points = {(x, y) for line in ax.lines for x, y in zip(*line.get_data(), strict=True)}
    assert {(50.0, 0.0), (70.0, 0.0), (60.0, 0.0), (65.0, 1.0)} <= {
        (round(x, 9), float(y)) for x, y in points
    }
    assert [text.get_text() for text in ax.texts] == ["pending"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["flip", "crop"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one seed", "mean", "the paper"]
    drawn(ax)


def test_the_best_so_far_is_of_trials_that_ran_to_their_end() -> None:
    trials = [("complete", 0.5), ("pruned", 0.9), ("failed", None), ("complete", 0.4), ("complete", 0.6)]
    ax = plots.best_so_far(trials, luck=0.02)
    lines = {line.get_label(): np.asarray(line.get_xydata()) for line in ax.lines}
    np.testing.assert_allclose(lines["best so far"][:, 1], [50, 50, 50, 50, 60])
    np.testing.assert_allclose(lines["ran to its end"], [[1, 50], [4, 40], [5, 60]])
    np.testing.assert_allclose(lines["stopped early"], [[2, 90]])
    np.testing.assert_allclose(lines["failed"], [[3, 40]])
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (58, 60)
    drawn(ax)


def test_shares_stand_beside_what_chance_gives() -> None:
    ax = plots.shares({"lr": (0.7, 0.4), "batch_size": (0.3, 0.5)})
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([70, 30])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [40, 50])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["lr", "batch size"]
    drawn(ax)
