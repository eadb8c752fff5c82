"""What carries a network beyond the papers: every ingredient of the recipe strong, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fercourse.ensembles import load_ensembles
from fercourse.evaluate.letters import holm
from fercourse.grids import BASE, FULL, INGREDIENTS, TEN_CROP
from fercourse.papers import TABLE2
from fercourse.records import labels_of
from fercourse.results.recorded import PENDING, Group, groups
from fercourse.results.shown import (
    LEVEL,
    NOT_REPORTED,
    RecordLinks,
    Shown,
    counted,
    gain,
    gain_told,
    listed,
    percent,
    record_links,
    seeds_of,
    state_told,
)

#: Paper 1's best network, whose accuracy on test everything beyond the papers is held against.
PAPERS_BEST = max(TABLE2, key=lambda name: TABLE2[name].test)
#: How a column is headed, by the test-time augmentation.
VIEWS = {"none": "test", "ten-crop": "test, ten crops"}


@dataclass(frozen=True, eq=False)
class Compared:
    """One comparison of the table: the trainings with and without an ingredient, all else equal."""

    group: Group
    other: Group


def ends() -> dict[str, Group]:
    """Return what the ingredients lead from and to: paper 1's recipe and all of them, each by both views."""
    plain, crops = ({g.shows: g for g in groups("ingredients", tta=tta)} for tta in VIEWS)
    return {
        BASE: plain[BASE],
        f"{BASE}, {TEN_CROP}": crops[BASE],
        FULL: plain[FULL],
        f"{FULL}, {TEN_CROP}": crops[FULL],
    }


def comparisons() -> dict[str, dict[str, Compared]]:
    """Return of each ingredient what it is 'alone' and 'left out': added to the base, taken out of all."""
    plain = {group.shows: group for group in groups("ingredients")}
    found = {
        name: {
            "alone": Compared(plain[f"with {name}"], plain[BASE]),
            "left out": Compared(plain[f"without {name}"], plain[FULL]),
        }
        for name in INGREDIENTS
    }
    end = ends()
    found[TEN_CROP] = {
        "alone": Compared(end[f"{BASE}, {TEN_CROP}"], end[BASE]),
        "left out": Compared(end[FULL], end[f"{FULL}, {TEN_CROP}"]),
    }
    return found


def corrected() -> dict[tuple[str, str], float]:
    """Return the p value of every comparison that has its seeds, by ingredient and kind, by Holm's method."""
    tested = {
        (name, kind): gain(pair.group, pair.other, "val")
        for name, kinds in comparisons().items()
        for kind, pair in kinds.items()
    }
    return holm({key: values["p"] for key, values in tested.items() if values is not None})


def ingredients_table() -> Shown:
    """What each ingredient brings alone and what leaving it out costs, on val, with its corrected p value."""
    p = corrected()

    def cells(name: str, kinds: Mapping[str, Compared]) -> dict[str, str]:
        told: dict[str, str] = {}
        for kind, pair in kinds.items():
            told[kind] = gain_told(pair.group, pair.other, "val")
            told[f"p, {kind}"] = _p_told(p.get((name, kind)))
        counts = [seeds_of(pair.group) for pair in kinds.values()]
        return {**told, "seeds": counts[0] if counts[0] == counts[1] else ", ".join(counts)}

    frame = pd.DataFrame({name: cells(name, kinds) for name, kinds in comparisons().items()}).T
    caption = (
        "Accuracy on val by ingredient, in points: added to paper 1's recipe, and left out of all of them"
    )
    return Shown(caption, {"": frame}, corner="ingredient")


def _p_told(p: float | None) -> str:
    return PENDING if p is None else "below 0.001" if p < 0.001 else f"{p:.3f}"


def ends_table() -> Shown:
    """Accuracy on val of both ends of the table, plain and with ten crops."""
    frame = {
        name: {
            "val": percent(group.accuracies("val")),
            "without twins": percent(group.accuracies("val", without_twins=True)),
            "seeds": seeds_of(group),
        }
        for name, group in ends().items()
    }
    caption = "The small network's accuracy on val: mean ± standard deviation over the seeds"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="recipe")


def records_table() -> Shown:
    """Where the numbers of the ingredients come from."""
    rows: dict[str, RecordLinks] = {name: record_links(group) for name, group in ends().items()}
    for name, kinds in comparisons().items():
        if name != TEN_CROP:
            rows |= {f"{name}, {kind}": record_links(pair.group) for kind, pair in kinds.items()}
    frame = pd.DataFrame({name: {"records": cell} for name, cell in rows.items()}).T
    return Shown("The records of every ingredient", {"": frame}, corner="row")


def state() -> str:
    """Say how far the table of ingredients is filled."""
    return state_told({group.shows: group for group in groups("ingredients")}, "val")


def told() -> list[str]:
    """Say which ingredients help alone, and which are missed: where the corrected p is below the level."""
    p = corrected()
    pairs = comparisons()
    if not p:
        return [f"What each ingredient brings alone is {PENDING}.", f"What each one costs is {PENDING}."]
    lines = []
    for kind, heading, how in (
        ("alone", "Added alone", "with"),
        ("left out", "Left out of all", "without"),
    ):
        ready = [name for name in pairs if (name, kind) in p]
        better, worse = list[str](), list[str]()
        for name in ready:
            pair = pairs[name][kind]
            found = gain(pair.group, pair.other, "val")
            if found is not None and p[name, kind] < LEVEL:
                (better if found["difference"] > 0 else worse).append(name)
        undecided = len(ready) - len(better) - len(worse)
        lines.append(
            f"{heading}, of {counted(len(ready), 'ingredient')}: better {how} {listed(better) or 'none'}; "
            f"worse {how} {listed(worse) or 'none'}; {undecided or 'none'} undecided."
        )
    return lines


# --- The trainings at full length ---------------------------------------------------------------------------


def _reported(tta: str) -> dict[str, Group]:
    """Return the trainings beyond the papers that are reported on test, by what they are called.

    What a processor can train is among them: the small network's 50 epochs, the end of the ingredients, and
    its trainings by the recipes quick20 and growing.
    """
    short = [group for group in groups("ingredients", tta=tta) if group.shows == FULL]
    found = {}
    for group in (*groups("strong", tta=tta), *groups("distilled", tta=tta), *short):
        name = f"{group.model}, strong"
        if group.shows == FULL:
            name += f" in {group.config.epochs} epochs"
        if group.config.teacher != "none":
            name += ", taught"
        if group.config.fit_on != "train":
            name += ", on train and val"
        found[name] = group
    for group in groups("laptop", tta=tta):
        recipe = group.config.recipe.rstrip("0123456789")
        found[f"{group.model}, {recipe} in {group.config.epochs} epochs"] = group
    return found


def strong_table() -> Shown:
    """Accuracy on test by the recipe strong, plainly and with ten crops, beside the papers' best."""
    views = {tta: _reported(tta) for tta in VIEWS}
    best = dict.fromkeys(VIEWS.values(), NOT_REPORTED)
    frame: dict[str, dict[str, str]] = {
        f"paper 1's best: {PAPERS_BEST}": {
            **best,
            VIEWS["none"]: f"{TABLE2[PAPERS_BEST].test:.2%}",
            "without twins": NOT_REPORTED,
            "val": f"{TABLE2[PAPERS_BEST].val:.2%}",
            "seeds": NOT_REPORTED,
        }
    }
    for name, group in views["none"].items():
        frame[name] = {
            **{heading: percent(views[tta][name].accuracies()) for tta, heading in VIEWS.items()},
            "without twins": percent(group.accuracies(without_twins=True)),
            "val": percent(group.accuracies("val")) if group.config.fit_on == "train" else "trained on",
            "seeds": seeds_of(group, "test"),
        }
    together = {
        f"ensemble {found['name']}": {
            # Evaluated one way; members of several ways stand in the first column.
            **dict.fromkeys(VIEWS.values(), NOT_REPORTED),
            VIEWS.get(found["tta"], VIEWS["none"]): _of_ensemble(found, "test"),
            "without twins": _of_ensemble(found, "test", without_twins=True),
            "val": _of_ensemble(found, "val"),
            "seeds": ", ".join([counted(len(set(found["picks"])), "network"), *_marks(found)]),
        }
        for found in load_ensembles()
    } or {"ensemble": dict.fromkeys(next(iter(frame.values())), PENDING)}
    caption = "Accuracy on test beyond the papers: mean ± standard deviation over the seeds"
    parts = {
        "single networks": pd.DataFrame(frame).T,
        "networks that answer together": pd.DataFrame(together).T,
    }
    return Shown(caption, parts)


def _marks(found: Mapping[str, Any]) -> list[str]:
    """Return what must be said of an ensemble's networks; a column says how they were evaluated."""
    return sorted({mark for marks in found["marks"] for mark in marks.split(", ")} - set(VIEWS))


def _of_ensemble(found: Mapping[str, Any], split: str, *, without_twins: bool = False) -> str:
    """Return an ensemble's accuracy as text; 'pending' where the split was not opened."""
    if split not in found["preds"]:
        return PENDING
    labels, twins = labels_of(found["fingerprint"], "", split)
    hits = found["preds"][split] == labels
    return percent([float((hits[~twins] if without_twins else hits).mean())])


def extra_table() -> Shown:
    """FER-2013's labels or FER+ votes: what a network is trained on, and by which labels it is judged."""
    frame = {}
    alone = {group.model: group for group in groups("strong") if group.config.fit_on == "train"}
    for votes in groups("extra"):
        for group, labels in ((alone[votes.model], "FER-2013's labels"), (votes, "FER+ votes")):
            judged = [r.data["test"]["ferplus"] for r in group.records if "ferplus" in r.data.get("test", {})]
            frame[f"{group.model} on {labels}"] = {
                "FER-2013's labels": percent(group.accuracies()),
                "FER+ majority": percent(each["accuracy"] for each in judged),
                "images with a majority": f"{judged[0]['images']:,}" if judged else PENDING,
                "seeds": seeds_of(group, "test"),
            }
    caption = "Accuracy on test by the labels of training (rows) and of judging (columns)"
    return Shown(caption, {"": pd.DataFrame(frame).T}, corner="network, trained on")


def extra_records() -> Shown:
    """Where the numbers of FER+ votes come from."""
    frame = {group.shows: {"records": record_links(group)} for group in groups("extra")}
    return Shown("The records of the track extra", {"": pd.DataFrame(frame).T})


def strong_records() -> Shown:
    """Where the numbers of the recipe strong come from."""
    frame = {
        f"{name}{', ten crops' * (tta != 'none')}": {"records": record_links(group)}
        for tta in VIEWS
        for name, group in _reported(tta).items()
    }
    return Shown("The records of the trainings beyond the papers", {"": pd.DataFrame(frame).T})


def strong_told() -> str:
    """Say how the recipe strong stands to paper 1's best, by the network that both have trained."""
    group = next(g for g in groups("strong") if g.model == PAPERS_BEST and g.config.fit_on == "train")
    values, paper = group.accuracies(), TABLE2[PAPERS_BEST].test
    if not len(values):
        return f"What the recipe alone brings to {PAPERS_BEST}, paper 1's best network, is {PENDING}."
    return (
        f"The recipe alone changes {PAPERS_BEST}, paper 1's best network, by "
        f"{100 * (values.mean() - paper):+.2f} points: {group.summary()} in place of {paper:.2%}."
    )
