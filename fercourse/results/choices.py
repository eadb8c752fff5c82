"""What the papers leave open, tried both ways; both readings of squeeze-and-excitation; few labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fercourse.evaluate.significance import mcnemar
from fercourse.papers import TABLE2
from fercourse.recipes import TrainConfig
from fercourse.records import Record, experiment
from fercourse.results.recorded import PENDING, Group, groups
from fercourse.results.shown import (
    LEVEL,
    Shown,
    counted,
    gain_told,
    percent,
    record_links,
    seeds_of,
)

#: What is left open, by the part of a configuration that answers it.
QUESTIONS = {
    "augment.crop_scale": "How small a crop may be (ResNet18)",
    "augment.rotation_degrees": "How far a rotation turns (ResNet18)",
    "augment.erasing_scale": "How large an area is erased (ResNet18)",
    "class_weights": "Class weights and initial bias (ResNet18)",
    "bias_init": "Class weights and initial bias (ResNet18)",
    "model_options.norm": "Batch norm and dropout in VGG (VGG16)",
    "model_options.dropout": "Batch norm and dropout in VGG (VGG16)",
    "model_options.shortcut": "The shortcut of a block that changes its width (MobileNetV2)",
}
WAYS = ("no augmentation", "flip and crop", "flip and crop, from ImageNet's weights")


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """One answer to what a paper leaves open, and the settled one beside it."""

    question: str
    group: Group
    settled: Group
    changed: Mapping[str, Any]


def choices() -> list[Choice]:
    """Return every row of the ablations that answers an open question, in the grid's order.

    Its settled counterpart is the configuration with the same changes but those that answer the question.
    """
    rows = groups("ablations")
    known = {_key(group.config): group for group in reversed([*rows, *groups("table1"), *groups("table2")])}
    found = []
    for group in rows:
        changes = experiment(group.config.to_dict())
        asked = [key for key in changes if key in QUESTIONS]
        if not asked:
            continue
        rest = {key: value for key, value in changes.items() if key not in asked}
        settled = known[group.model, group.config.recipe, str(sorted(rest.items()))]
        found.append(Choice(QUESTIONS[asked[0]], group, settled, {key: changes[key] for key in asked}))
    return found


def _key(config: TrainConfig) -> tuple[str, str, str]:
    return config.model, config.recipe, str(sorted(experiment(config.to_dict()).items()))


def _value(config: TrainConfig, key: str) -> str:
    """Return a part of a configuration as text, such as '0.5 to 1' of 'augment.crop_scale'."""
    value: Any = config.to_dict()
    for part in key.split("."):
        if part not in value:  # an option of the network that keeps its default
            from fercourse.models import model_options

            value = model_options(config.model)[part]
        else:
            value = value[part]
    if isinstance(value, list):
        return " to ".join(f"{one:g}" for one in value)
    if isinstance(value, float):
        return f"{value:g}"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _said(config: TrainConfig, keys: Mapping[str, Any] | list[str]) -> str:
    return ", ".join(f"{key.rpartition('.')[2].replace('_', ' ')} {_value(config, key)}" for key in keys)


def shared_seed(choice: Choice, split: str = "val") -> tuple[Record, Record] | None:
    """Return the first seed's records of both answers, the choice's and the settled one's; None without."""
    settled = {record.seed: record for record in choice.settled.records if record.has(split)}
    for record in choice.group.records:
        if record.seed in settled and record.has(split):
            return record, settled[record.seed]
    return None


def choices_table() -> Shown:
    """Accuracy on val of every answer, with the difference from the settled one and McNemar's p."""
    parts: dict[str, dict[str, dict[str, object]]] = {}
    keys: dict[str, list[str]] = {}
    for choice in choices():
        keys.setdefault(choice.question, []).extend(
            key for key in choice.changed if key not in keys.get(choice.question, [])
        )
    for choice in choices():
        rows = parts.setdefault(choice.question, {})
        if not rows:
            settled = choice.settled
            rows[_said(settled.config, keys[choice.question])] = {
                "val": percent(settled.accuracies("val")),
                "difference": "settled",
                "McNemar's p": "settled",
                "seeds": seeds_of(settled),
            }
        told = {"difference": PENDING, "McNemar's p": PENDING}
        pair = shared_seed(choice)
        if pair is not None:
            labels, (ours, settled_preds) = pair[0].labels("val"), (record.preds("val") for record in pair)
            points = 100 * float((ours == labels).mean() - (settled_preds == labels).mean())
            told = {
                "difference": f"{points:+.2f}",
                "McNemar's p": f"{mcnemar(labels, settled_preds, ours)['p']:.3f}",
            }
        rows[_said(choice.group.config, list(choice.changed))] = {
            "val": percent(choice.group.accuracies("val")),
            **told,
            "seeds": seeds_of(choice.group),
        }
    caption = "Accuracy on val by what the papers leave open; differences in points, of one seed"
    return Shown(caption, {name: pd.DataFrame(rows).T for name, rows in parts.items()}, corner="choice")


def choices_told() -> str:
    """Say how many differences are significant, and how many would be by chance alone."""
    pairs = [shared_seed(choice) for choice in choices()]
    ready = [pair for pair in pairs if pair is not None]
    if not ready:
        return f"All {len(pairs)} comparisons are {PENDING}."
    low = sum(
        mcnemar(ours.labels("val"), settled.preds("val"), ours.preds("val"))["p"] < LEVEL
        for ours, settled in ready
    )
    waiting = f" ({len(pairs) - len(ready)} {PENDING})" if len(ready) < len(pairs) else ""
    return (
        f"Of {counted(len(ready), 'comparison')}{waiting}, {low} {'has' if low == 1 else 'have'} a p below "
        f"{LEVEL}; if no choice mattered, {LEVEL * len(ready):.1f} would be expected on average."
    )


def choices_records() -> Shown:
    """Where the numbers of the open choices come from."""
    parts: dict[str, dict[str, dict[str, object]]] = {}
    for choice in choices():
        rows = parts.setdefault(choice.question, {})
        if not rows:
            rows["settled"] = {"records": record_links(choice.settled)}
        said = _said(choice.group.config, list(choice.changed))
        rows[said] = {"records": record_links(choice.group)}
    return Shown(
        "The records of every row",
        {name: pd.DataFrame(rows).T for name, rows in parts.items()},
        corner="choice",
    )


# Both readings ----------------------------------------------------------------------------------------------


def readings() -> dict[str, tuple[Group, Group]]:
    """Return each SE-ResNet, in the paper's order: (the gate in the branch, the gate after the sum)."""
    branch = {group.model: group for group in groups("table2")}
    after = {group.model: group for group in groups("readings")}
    return {name: (branch[name], after[name]) for name in TABLE2 if name in after}


def readings_table() -> Shown:
    """Both readings of where squeeze-and-excitation stands, each a full row."""
    frame = {
        name: {
            "paper": f"{TABLE2[name].test:.2%}",
            "in the branch": percent(branch.accuracies()),
            "after the sum": percent(after.accuracies()),
            "after minus branch": gain_told(after, branch, "test"),
            "seeds": " and ".join(dict.fromkeys(str(len(one.accuracies())) for one in (branch, after))),
        }
        for name, (branch, after) in readings().items()
    }
    caption = (
        "Accuracy on test by where squeeze-and-excitation stands; the difference in points (95% interval)"
    )
    return Shown(caption, {"": pd.DataFrame(frame).T})


def plain_gains_table() -> Shown:
    """What squeeze-and-excitation adds to each ResNet, by both readings, beside the paper."""
    plain = {group.model: group for group in groups("table2")}
    frame = {}
    for name, (branch, after) in readings().items():
        base = name.removeprefix("se_")
        frame[f"{name} minus {base}"] = {
            "paper": f"{100 * (TABLE2[name].test - TABLE2[base].test):+.2f}",
            "in the branch": gain_told(branch, plain[base], "test"),
            "after the sum": gain_told(after, plain[base], "test"),
        }
    caption = "What squeeze-and-excitation adds on test, in points (95% interval)"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="pair")


# Few labels -------------------------------------------------------------------------------------------------


def scarce() -> dict[float, dict[str, Group]]:
    """Return the rows of few labels: share of the training images to way (of `WAYS`) to group."""
    found: dict[float, dict[str, Group]] = {}
    for group in groups("scarce"):
        if group.config.pretrained != "none":
            way = WAYS[2]
        else:
            way = WAYS[1] if group.config.augment.flip else WAYS[0]
        found.setdefault(group.config.train_fraction, {})[way] = group
    return {share: {way: found[share][way] for way in WAYS} for share in sorted(found)}


def scarce_table() -> Shown:
    """Accuracy on val by share of the training images, each way a column."""
    frame = {
        f"{share:.0%}": {way: group.summary("val") for way, group in ways.items()}
        for share, ways in scarce().items()
    }
    caption = "ResNet18's accuracy on val by share of the training images"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="share of train")


def scarce_gains() -> Shown:
    """What augmentation and outside weights add, by share."""
    frame = {
        f"{share:.0%}": {
            "flip and crop": gain_told(ways[WAYS[1]], ways[WAYS[0]], "val"),
            "ImageNet's weights, beside both": gain_told(ways[WAYS[2]], ways[WAYS[1]], "val"),
        }
        for share, ways in scarce().items()
    }
    caption = "What each adds on val, in points (95% interval)"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="share of train")


def scarce_records() -> Shown:
    """Where the numbers of few labels come from."""
    frame = {
        f"{share:.0%}, {way}": {"records": record_links(group)}
        for share, ways in scarce().items()
        for way, group in ways.items()
    }
    return Shown("The records of every row", {"": pd.DataFrame(frame).T}, corner="row")


def scarce_told() -> list[str]:
    """Say with which share of the labels augmentation adds most, and what ImageNet's weights add there."""
    told = []
    for way, other, what in ((WAYS[1], WAYS[0], "Flip and crop"), (WAYS[2], WAYS[1], "ImageNet's weights")):
        gains = {
            share: 100 * float(ways[way].accuracies("val").mean() - ways[other].accuracies("val").mean())
            for share, ways in scarce().items()
            if len(ways[way].accuracies("val")) and len(ways[other].accuracies("val"))
        }
        if len(gains) < len(scarce()):
            told.append(
                f"Where {what[0].lower() + what[1:] if way == WAYS[1] else what} add most is {PENDING}."
            )
            continue
        most = max(gains, key=gains.__getitem__)
        least = min(gains, key=gains.__getitem__)
        told.append(
            f"{what} add most with {most:.0%} of the labels ({gains[most]:+.2f} points) and least with "
            f"{least:.0%} ({gains[least]:+.2f} points), by the means over the seeds."
        )
    return told


def scarce_points() -> dict[str, dict[float, np.ndarray]]:
    """Return accuracy on val of every seed: way to share to (seeds,)."""
    return {way: {share: ways[way].accuracies("val") for share, ways in scarce().items()} for way in WAYS}
