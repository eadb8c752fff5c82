"""Paper 1's Table 2 beside ours, for the book's page: accuracy, cost, time and records of every network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fercourse.papers import TABLE2
from fercourse.results.recorded import PENDING, Group, groups, inference_times
from fercourse.results.shown import (
    NOT_REPORTED,
    Shown,
    counted,
    gain_told,
    letters,
    letters_told,
    listed,
    marked,
    percent,
    record_links,
    seeds_of,
    state_told,
    within_told,
)

PAPER, CONTROLS, READINGS = (
    "Paper 1's networks",
    "Controls, not in the paper: without shortcuts",
    "The other reading of the paper: squeeze-and-excitation after the sum",
)
AFTER = ", after the sum"
#: The network whose time is the unit of ratios.
BASE = "resnet18"


def table2_rows() -> dict[str, dict[str, Group]]:
    """Return the networks of the page of Table 2 by heading, each by its name, in the order shown."""
    ours = {group.model: group for group in groups("table2")}
    after = {group.model: group for group in groups("readings")}
    return {
        PAPER: {name: ours[name] for name in TABLE2},
        CONTROLS: {group.model: group for group in groups("controls")},
        READINGS: {name + AFTER: after[name] for name in TABLE2 if name in after},
    }


def rows() -> dict[str, Group]:
    """Return all networks of the page of Table 2 by name."""
    return {name: group for part in table2_rows().values() for name, group in part.items()}


def _parts(cells: Any) -> dict[str, pd.DataFrame]:
    """Return a frame a heading, of what ``cells(name, group)`` gives for a row."""
    return {
        heading: pd.DataFrame({name: cells(name, group) for name, group in rows.items()}).T
        for heading, rows in table2_rows().items()
    }


def _printed(name: str, column: str) -> str:
    return f"{getattr(TABLE2[name], column):.2%}" if name in TABLE2 else NOT_REPORTED


def test_table() -> Shown:
    """Accuracy on test: the paper's, ours, ours on images without a twin, letters, seeds."""
    display = letters(rows(), "test").letters

    def cells(name: str, group: Group) -> dict[str, str]:
        return {
            "paper": _printed(name, "test"),
            "ours": percent(group.accuracies()),
            "letters": display[name],
            "without twins": percent(group.accuracies(without_twins=True)),
            "seeds": seeds_of(group, "test"),
        }

    return Shown("Accuracy on test: mean ± standard deviation over the seeds", _parts(cells))


def split_table() -> Shown:
    """Accuracy on train and val, the paper's and ours."""

    def cells(name: str, group: Group) -> dict[str, str]:
        trained = [record.data["train_accuracy"] for record in group.records]
        return {
            "train, paper": _printed(name, "train"),
            "train, ours": percent(value for value in trained if value is not None),
            "val, paper": _printed(name, "val"),
            "val, ours": percent(group.accuracies("val")),
        }

    return Shown("Accuracy on train and val: mean ± standard deviation over the seeds", _parts(cells))


@functools.lru_cache(maxsize=64)
def _cost(model: str, options: tuple[tuple[str, Any], ...]) -> tuple[int, float]:
    """Return parameters and multiply-accumulates of an image, computed from the network, which is not run."""
    import torch

    from fercourse.models import count_macs, create_model

    with torch.device("meta"):
        network = create_model(model, **dict(options)).eval()
    params = sum(parameter.numel() for parameter in network.parameters())
    return params, count_macs(network, torch.zeros(1, 1, 48, 48))[1]


def cost(group: Group) -> tuple[int, float]:
    """Return a group's parameters and its multiply-accumulates for one image of 48x48 pixels."""
    return _cost(group.model, tuple(group.config.model_options.items()))


def cost_table() -> Shown:
    """Parameters, computed and the paper's, and multiply-accumulates."""

    def cells(name: str, group: Group) -> dict[str, str]:
        params, macs = cost(group)
        return {
            "parameters, paper": f"{TABLE2[name].params / 1e6:.1f} M" if name in TABLE2 else NOT_REPORTED,
            "parameters, computed": f"{params:,}",
            "multiply-accumulates": f"{macs / 1e6:,.0f} M",
        }

    return Shown("What a network costs: parameters, and multiply-accumulates for one image", _parts(cells))


def counts_told() -> str:
    """Say which of the paper's parameter counts are not those of our networks, and why as far as is known."""
    from fercourse.models import NOTES

    apart = [
        f"{name} ({params / 1e6:.3f} million computed, {row.params / 1e6:.1f} million in the paper; "
        f"{NOTES[name]})"
        for name, row in TABLE2.items()
        for params in [_cost(name, ())[0]]
        if name in NOTES and round(params / 1e6, 1) != row.params / 1e6
    ]
    return f"{counted(len(apart), 'count does', 'counts do')} not agree: {listed(apart)}."


def records_table() -> Shown:
    """Where every number comes from."""
    return Shown(
        "The records of every row",
        _parts(lambda _, group: {"records": record_links(group)}),
    )


def times() -> Iterator[tuple[str, dict[int, dict[str, dict[str, float]]]]]:
    """Yield each measured machine's name and, by batch size, each network's row of times."""
    for measured in inference_times():
        batches: dict[int, dict[str, dict[str, float]]] = {}
        for row in measured["rows"]:
            batches.setdefault(row["batch_size"], {})[row["model"]] = row
        name = measured["device_name"]
        if measured["device_kind"] == "cpu" and "thread" not in name:
            name += f", {counted(measured['threads'], 'thread')}"
        yield name, batches


def times_table() -> Shown:
    """Milliseconds for the 3,589 test images, on each machine that was measured."""
    printed = {name: f"{row.milliseconds:,.1f}" for name, row in TABLE2.items()}
    caption = "Milliseconds for the 3,589 test images, by images in a batch"
    return _times(caption, printed, lambda rows, name: f"{rows[name]['ms']:,.1f}")


def ratios_table() -> Shown:
    """The same times as multiples of ResNet18's."""
    base = TABLE2[BASE].milliseconds
    printed = {name: f"{row.milliseconds / base:.2f}" for name, row in TABLE2.items()}
    caption = "Time as a multiple of ResNet18's, by images in a batch"
    return _times(caption, printed, lambda rows, name: f"{rows[name]['ms'] / rows[BASE]['ms']:.2f}")


def _times(
    caption: str,
    printed: Mapping[str, str],
    cell: Callable[[Mapping[str, Mapping[str, float]], str], str],
) -> Shown:
    """Return a frame a machine, with the paper's beside each; one that is pending without any."""
    parts = {}
    for machine, batches in list(times()) or [("", {})]:
        frame = {}
        for name in TABLE2:
            row = {"paper": printed[name]}
            for size, column in ((64, "batches of 64"), (1, "single images")):
                timed = batches.get(size, {})
                row[column] = cell(timed, name) if {name, BASE} <= timed.keys() else PENDING
            frame[name] = row
        parts[machine] = pd.DataFrame(frame).T
    return Shown(caption, parts)


def times_told() -> list[str]:
    """Say how the times were measured, a sentence a machine."""
    told = []
    for machine, batches in times():
        counts = {size: next(iter(rows.values()))["images_timed"] for size, rows in batches.items()}
        parts = [f"{count:,.0f} images in batches of {size}" for size, count in counts.items() if size > 1]
        parts += [f"{count:,.0f} single images" for size, count in counts.items() if size == 1]
        told.append(f"{machine}: from {listed(parts)}, multiplied up to 3,589 where fewer.")
    return told or [f"Ours are {PENDING}."]


def cost_points(price: str) -> dict[str, list[tuple[str, float, float]]]:
    """Return (network, cost in millions, test accuracy) of the paper's networks, its accuracies and ours.

    Args:
        price: 'parameters' or 'macs', computed for both, so that a network stands above itself.
    """
    found = table2_rows()[PAPER]
    place = {"parameters": 0, "macs": 1}[price]
    prices = {name: cost(group)[place] / 1e6 for name, group in found.items()}
    points = {
        "paper": [(name, prices[name], TABLE2[name].test) for name in found],
        "ours, mean over seeds": [
            (marked(name, group), prices[name], float(group.accuracies().mean()))
            for name, group in found.items()
            if len(group.accuracies())
        ],
    }
    return {name: listed_points for name, listed_points in points.items() if listed_points}


# Sentences --------------------------------------------------------------------------------------------------


def state() -> str:
    """Say how far Table 2 is filled."""
    return state_told(rows(), "test")


def letters_of_all() -> str:
    """Say how many pairs of networks differ on test."""
    return letters_told(rows(), "test")


def within() -> str:
    """Say for how many networks the paper's test accuracy is one that a further seed of ours might give."""
    return within_told(rows(), {name: row.test for name, row in TABLE2.items()}, "test")


def twins_told() -> str:
    """Say how much the images that stand in another split too add to the accuracy on test."""
    drops = {
        name: 100 * float((group.accuracies() - group.accuracies(without_twins=True)).mean())
        for name, group in rows().items()
        if len(group.accuracies())
    }
    if not drops:
        return f"How much the twins add is {PENDING}."
    low, high = min(drops, key=drops.__getitem__), max(drops, key=drops.__getitem__)
    return (
        f"Accuracy on all test images minus that on those without a twin is "
        f"{np.mean(list(drops.values())):+.2f} points on average over {counted(len(drops), 'network')}, "
        f"from {drops[low]:+.2f} ({low}) to {drops[high]:+.2f} ({high})."
    )


def shortcuts_told() -> list[str]:
    """Say what shortcuts add to a network of the same layers, and what the paper compares instead."""
    found = rows()
    pairs = (("resnet18", "plain18"), ("resnet34", "plain34"), ("resnet18", "vgg16"), ("resnet34", "vgg16"))
    return [
        f"{one} minus {other}, points on test: {gain_told(found[one], found[other], 'test')}."
        for one, other in pairs
    ]
