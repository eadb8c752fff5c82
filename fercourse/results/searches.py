"""What a recorded search for hyperparameters found, and how much of it is luck."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fercourse.data.faces import EMOTIONS, SPLITS
from fercourse.results.recorded import PENDING
from fercourse.results.shown import RecordLinks, Shown, counted, listed
from fercourse.search.records import FOLDER, SearchRecord, load_searches
from fercourse.search.report import best_first, counts_told, luck_told

#: Trials that the table of the best shows.
SHOWN = 6


def main_search() -> SearchRecord | None:
    """Return the search that the page shows, None without a record.

    The one that says most: trained in full before shortened, on FER-2013 before drawn faces, on a GPU before
    a CPU, on all of train before a part, with more trials before fewer.
    """

    def order(record: SearchRecord) -> tuple:
        data = record.data
        return (
            data["data"]["layout"].startswith("synthetic"),
            data["shortened"],
            -data["config"]["train_fraction"],
            data["environment"]["device_kind"] == "cpu",
            -len(data["trials"]),
            record.name,
        )

    return min(load_searches(), key=order, default=None)


def marked_search(record: SearchRecord) -> str:
    """Return the searched network with what must be said of its trainings: 'basic_cnn (CPU)'."""
    return f"{record.model} ({record.qualifiers})" if record.qualifiers else record.model


def best_table() -> Shown:
    """The best trials of the search, and the recipe's own values, which were trial 1."""
    record = main_search()
    if record is None:
        frame = pd.DataFrame({"accuracy on val": {"best": PENDING}})
        return Shown("The best trials of the search", {"": frame}, corner="trial")
    rows = {}
    for place, trial in enumerate(best_first(record.trials)):
        if place < SHOWN or trial.number == 1:
            name = f"{trial.number}, the recipe" if trial.number == 1 else str(trial.number)
            values = {key.replace("_", " "): f"{value:g}" for key, value in trial.params.items()}
            rows[name] = {"accuracy on val": f"{trial.value:.1%}", **values}
    caption = f"The best trials of the search with {marked_search(record)}"
    return Shown(caption, {"": pd.DataFrame(rows).T}, corner="trial")


def space_table() -> Shown:
    """What was searched, and how much each hyperparameter decided."""
    record = main_search()
    caption = "What was searched, and its share of the differences in accuracy"
    if record is None:
        frame = pd.DataFrame({"from, to": {"learning rate": PENDING}})
        return Shown(caption, {"": frame}, corner="hyperparameter")
    shares = record.data["importances"] or {}
    names = [*shares, *(name for name in record.space if name not in shares)]
    rows = {
        name.replace("_", " "): {
            "values": record.space[name].told(),
            "share": f"{shares[name]['share']:.0%}" if name in shares else "not computed",
            "by chance up to": f"{shares[name]['by_chance']:.0%}" if name in shares else "not computed",
        }
        for name in names
    }
    return Shown(caption, {"": pd.DataFrame(rows).T}, corner="hyperparameter")


def records_table() -> Shown:
    """Every recorded search."""
    rows = {
        record.name: {
            "trials": str(len(record.trials)),
            "best on val": f"{record.best.value:.1%}",
            "expected of it": f"{record.luck.expected:.1%}",
            "record": RecordLinks((("record", record.name),), folder=FOLDER),
        }
        for record in load_searches()
    }
    if not rows:
        rows = {
            "a first search": dict.fromkeys(("trials", "best on val", "expected of it", "record"), PENDING)
        }
    return Shown("Every recorded search", {"": pd.DataFrame(rows).T}, corner="search")


def state() -> str:
    """Say what was searched, on what, and how the trials ended."""
    record = main_search()
    if record is None:
        return f"No search has been recorded yet: what it found is {PENDING}."
    config, where = record.data["config"], record.data["environment"]
    share, epochs = config["train_fraction"], counted(config["epochs"], "epoch")
    part = "" if share == 1 else f" on {share:.0%} of the training images"
    steps = "" if config["max_steps"] is None else f", {config['max_steps']} steps each at most"
    times = record.data["interruptions"]
    cut_off = f", and taken up again after {counted(times, 'interruption')}" if times else ""
    return (
        f"{record.model} by the recipe {config['recipe']}, {epochs}{part}{steps}, on {where['device']}; "
        f"seed {config['seed']}{cut_off}. {counts_told(record.trials)}."
    )


def found_told() -> str:
    """Say what the best trial reached, and what it is ahead of the recipe's own values."""
    record = main_search()
    if record is None:
        return f"What a search gains is {PENDING}."
    best, first = record.best, record.trials[0]
    told = f"Trial {best.number} is the best, with {best.value:.1%} on val"
    if best.number == 1:
        return f"{told}: the recipe's own values, which no other trial beat."
    if first.state != "complete" or first.value is None or best.value is None:
        return f"{told}; trial 1, the recipe's own values, did not run to its end."
    gained = f"{100 * (best.value - first.value):.1f} points more than trial 1, the recipe's own values."
    return f"{told}, {gained} {_floor_told(record)}".strip()


def _floor_told(record: SearchRecord) -> str:
    """Say what calling every face the same would give; '' for data whose labels are not known here."""
    from fercourse.data.hashes import OFFICIAL_FINGERPRINT, official

    if record.data["data"]["fingerprint"] != OFFICIAL_FINGERPRINT:
        return ""
    table = official()
    counts = np.bincount(table.labels[table.splits == SPLITS.index("val")], minlength=len(EMOTIONS))
    most = int(counts.argmax())
    return f"Calling every face {EMOTIONS[most]} gives {counts[most] / counts.sum():.1%}."


def luck() -> list[str]:
    """Say how much of the best trial's accuracy may be luck."""
    record = main_search()
    if record is None:
        return [f"How much of the best is luck is {PENDING}."]
    return luck_told(record.luck, lambda share: f"{share:.1%}")


def mattered() -> str:
    """Say which hyperparameters decided more than chance would let them."""
    record = main_search()
    if record is None:
        return f"What mattered is {PENDING}."
    shares = record.data["importances"]
    if not shares:
        return "Too few trials ran to their end to say what mattered."
    beyond = [name.replace("_", " ") for name, each in shares.items() if each["share"] > each["by_chance"]]
    trials = counted(len(best_first(record.trials)), "complete trial")
    if not beyond:
        return f"From {trials}, no hyperparameter has a share that chance would not give it as well."
    verb = "has" if len(beyond) == 1 else "have"
    return f"From {trials}, {listed(beyond)} {verb} a larger share than chance gives in 19 of 20 deals."
