"""Paper 1's Table 1 beside ours, for the book's page: ResNet18's accuracy on val by augmentation."""

from __future__ import annotations

import pandas as pd

from fercourse.papers import TABLE1
from fercourse.results.recorded import PENDING, Group, groups
from fercourse.results.shown import (
    Shown,
    gain,
    gain_told,
    letters,
    letters_told,
    percent,
    record_links,
    seeds_of,
    state_told,
    within_told,
)

#: Paper 1's four steps from row to row of Table 1, each of one switch: (what it asks, row, beside which row).
STEPS = (
    ("flip", "flip alone", "no augmentation"),
    ("crop, beside flip", "flip and crop", "flip alone"),
    ("rotation, beside flip and crop", "flip, crop and rotation", "flip and crop"),
    ("erasing, beside flip and crop", "flip, crop and erasing", "flip and crop"),
)


def rows() -> dict[str, Group]:
    """Return Table 1's rows by their names in `fercourse.papers.TABLE1`, in its order."""
    ours = {group.shows.partition(":")[0]: group for group in groups("table1")}
    return {name: ours[name] for name in TABLE1}


def accuracy_table() -> Shown:
    """Accuracy on val by augmentation: the paper's, ours, without twins, letters, seeds."""
    found = rows()
    display = letters(found, "val").letters
    frame = {
        name: {
            "paper": f"{TABLE1[name]:.2%}",
            "ours": percent(group.accuracies("val")),
            "letters": display[name],
            "without twins": percent(group.accuracies("val", without_twins=True)),
            "seeds": seeds_of(group),
        }
        for name, group in found.items()
    }
    caption = "ResNet18's accuracy on val by augmentation: mean ± standard deviation over the seeds"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="augmentation")


def records_table() -> Shown:
    """Where Table 1's numbers come from."""
    frame = {name: {"records": record_links(group)} for name, group in rows().items()}
    return Shown("The records of every row", {"": pd.DataFrame(frame).T}, corner="augmentation")


def steps_table() -> Shown:
    """What each switch adds: the paper's difference, and ours with its interval."""
    found = rows()
    frame = {
        step: {
            "paper": f"{100 * (TABLE1[row] - TABLE1[beside]):+.2f}",
            "ours": gain_told(found[row], found[beside], "val"),
        }
        for step, row, beside in STEPS
    }
    caption = "What each step adds to the accuracy on val, in points (95% interval)"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="step")


def steps_told() -> list[str]:
    """Say of each step whether our interval lies on the paper's side of zero."""
    groups_of, told = rows(), []
    for step, row, beside in STEPS:
        printed, found = TABLE1[row] - TABLE1[beside], gain(groups_of[row], groups_of[beside], "val")
        claim = f"{step}: {'better' if printed > 0 else 'worse'} in the paper; "
        if found is None:
            told.append(f"{claim}ours is {PENDING}.")
        elif found["low"] > 0 or found["high"] < 0:
            same = (found["low"] > 0) == (printed > 0)
            told.append(f"{claim}{'so it is' if same else 'the other way round'} in ours.")
        else:
            told.append(f"{claim}not decided by ours, whose interval contains zero.")
    return told


def state() -> str:
    """Say how far Table 1 is filled."""
    return state_told(rows(), "val")


def letters_of_all() -> str:
    """Say how many pairs of augmentations differ on val."""
    return letters_told(rows(), "val")


def within() -> str:
    """Say for how many augmentations the paper's accuracy is one that a further seed of ours might give."""
    return within_told(rows(), TABLE1, "val")
