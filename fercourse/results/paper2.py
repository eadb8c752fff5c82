"""Paper 2's pair, the basic CNN and ResNet50V2: first epochs, all epochs, volatility, and the rare class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from fercourse.data.faces import EMOTIONS, SPLITS
from fercourse.evaluate.significance import FEWEST_SEEDS
from fercourse.papers import EARLY
from fercourse.results.recorded import PENDING, Group, groups
from fercourse.results.shown import (
    Shown,
    counted,
    gain_told,
    listed,
    percent,
    record_links,
    seeds_of,
    state_told,
)

#: Batch norm's share of the newest batch in its running statistics, and whose habit it is.
MOMENTA = {0.01: "Keras's momentum", 0.1: "PyTorch's momentum"}
NAMES = {"basic_cnn": "basic CNN", "resnet50v2": "ResNet50V2"}
#: The epochs that 'the initial stage' may mean; the paper names none.
FIRST = (1, 2, 3, 5, 10)


def paper2_groups() -> dict[str, dict[str, Group]]:
    """Return, for each batch norm momentum by name, the groups of both networks by model."""
    from fercourse.models import model_options

    found: dict[str, dict[str, Group]] = {name: {} for name in MOMENTA.values()}
    for group in groups("paper2"):
        options = {**model_options(group.model), **group.config.model_options}
        found[MOMENTA[options["bn_momentum"]]][group.model] = group
    return {momentum: {model: pair[model] for model in NAMES} for momentum, pair in found.items()}


def rows() -> dict[str, Group]:
    """Return the four rows by name, such as 'ResNet50V2, Keras's momentum'."""
    return {
        f"{NAMES[model]}, {momentum}": group
        for momentum, pair in paper2_groups().items()
        for model, group in pair.items()
    }


def pairs() -> dict[str, tuple[Group, Group]]:
    """Return what is compared, in words: both networks with one momentum, and as in the recipe."""
    found = paper2_groups()
    together = {f"With {name}": (pair["basic_cnn"], pair["resnet50v2"]) for name, pair in found.items()}
    mixed = {model: group for pair in found.values() for model, group in pair.items() if not _changed(group)}
    return {**together, "As the recipe has them": (mixed["basic_cnn"], mixed["resnet50v2"])}


def _changed(group: Group) -> bool:
    """Whether the row has another momentum than the network of its recipe."""
    return "bn_momentum" in group.config.model_options


def curves(group: Group, column: str = "val_accuracy") -> np.ndarray:
    """Return a column of the history of every seed, float64, (seeds, epochs)."""
    return np.array([record.history[column] for record in group.records], dtype=np.float64)


def batch_curves(group: Group, width: int = 50) -> np.ndarray:
    """Return the losses of the first epochs' batches, means of ``width`` in a row: (seeds, stretches)."""
    found = []
    for record in group.records:
        losses = record.batch_losses.astype(np.float64)
        whole = len(losses) // width * width
        found.append(losses[:whole].reshape(-1, width).mean(1))
    return np.array(found)


def batches_per_epoch(group: Group) -> int:
    """Return the batches of an epoch, the last and smaller one included."""
    from fercourse.data.hashes import official

    images = int((official().splits == 0).sum() * group.config.train_fraction)
    return -(-images // group.config.batch_size)


def overtakes_at(challenger: np.ndarray, other: np.ndarray) -> int | None:
    """Return the first epoch, from 1, from which the challenger's mean over seeds stays above the other's.

    Args:
        challenger, other: (seeds, epochs), of the same number of epochs; seeds may differ.

    Returns:
        The epoch; 1 if it is above from the start; None if it is not above in the last epoch.
    """
    above = challenger.mean(0) > other.mean(0)
    if not above[-1]:
        return None
    below = np.flatnonzero(~above)
    return int(below[-1]) + 2 if len(below) else 1


def volatility(accuracies: np.ndarray) -> np.ndarray:
    """Return how a curve goes up and down: the standard deviation of its change from epoch to epoch.

    Args:
        accuracies: (seeds, epochs), shares.

    Returns:
        One value a seed, in points. A steady rise of the same step each epoch has 0.
    """
    return 100 * np.diff(accuracies, axis=1).std(axis=1, ddof=1)


def class_shares() -> np.ndarray:
    """Return each class's share of the official training images, (7,)."""
    from fercourse.data.hashes import official

    table = official()
    return np.bincount(table.labels[table.splits == 0], minlength=len(EMOTIONS)) / (table.splits == 0).sum()


def recalls(group: Group, split: str = "test") -> np.ndarray:
    """Return the recall of every class for every seed that holds the split, (seeds, 7)."""
    found = []
    for record in group.records:
        if record.has(split):
            labels, preds = record.labels(split), record.preds(split)
            found.append([float((preds[labels == k] == k).mean()) for k in range(len(EMOTIONS))])
    return np.array(found).reshape(-1, len(EMOTIONS))


def confusion(group: Group, split: str = "test") -> np.ndarray | None:
    """Return the confusion matrix summed over the seeds, int64 (7, 7), or None without a record."""
    from sklearn.metrics import confusion_matrix

    found = [
        confusion_matrix(record.labels(split), record.preds(split), labels=np.arange(len(EMOTIONS)))
        for record in group.records
        if record.has(split)
    ]
    return np.sum(found, axis=0) if found else None


# Tables -----------------------------------------------------------------------------------------------------


def _parts(cells: Callable[[str, Group], dict[str, object]]) -> dict[str, pd.DataFrame]:
    return {
        momentum: pd.DataFrame({NAMES[model]: cells(model, group) for model, group in pair.items()}).T
        for momentum, pair in paper2_groups().items()
    }


def early_table() -> Shown:
    """Accuracy on val after the first epochs, beside what the paper says of 'the initial stage'."""

    def cells(model: str, group: Group) -> dict[str, object]:
        found = curves(group)
        return {
            "paper": f"about {EARLY[model]}",
            **{
                f"epoch {epoch}": percent(found[:, epoch - 1] if found.size else (), digits=0)
                for epoch in FIRST
            },
        }

    return Shown(
        "Accuracy on val after the first epochs: mean ± standard deviation over the seeds", _parts(cells)
    )


def end_table() -> Shown:
    """Accuracy of the kept weights and volatility."""

    def cells(_: str, group: Group) -> dict[str, object]:
        swing = volatility(curves(group)) if group.records else np.array([])
        early = volatility(curves(group)[:, : FIRST[-1]]) if group.records else np.array([])
        return {
            "val": percent(group.accuracies("val")),
            "test": percent(group.accuracies()),
            f"volatility, first {FIRST[-1]} epochs": _points(early),
            "volatility, all epochs": _points(swing),
            "seeds": seeds_of(group),
        }

    return Shown(
        "Accuracy of the weights that were kept, and volatility of val accuracy in points", _parts(cells)
    )


def _points(values: np.ndarray) -> str:
    if not len(values):
        return PENDING
    spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread}"


def recall_table() -> Shown:
    """Recall of every class beside its share of the training set, the rarest class first."""
    shares = class_shares()
    parts = {}
    for momentum, pair in paper2_groups().items():
        found = {model: recalls(group) for model, group in pair.items()}
        parts[momentum] = pd.DataFrame(
            {
                EMOTIONS[k]: {
                    "share of train": f"{shares[k]:.1%}",
                    **{f"recall, {NAMES[model]}": percent(found[model][:, k]) for model in NAMES},
                }
                for k in np.argsort(shares, kind="stable")
            }
        ).T
    return Shown("Recall on test by class, the rarest first", parts, corner="class")


def records_table() -> Shown:
    """Where every number comes from."""
    return Shown("The records of every row", _parts(lambda _, group: {"records": record_links(group)}))


# Sentences --------------------------------------------------------------------------------------------------


def early_told() -> list[str]:
    """Say, for each pair, which network is ahead in the first epochs, and by how much."""
    told = []
    for pair, networks in pairs().items():
        basic, resnet = (curves(group) for group in networks)
        if not basic.size or not resnet.size:
            told.append(f"{pair}: {PENDING}.")
            continue
        gaps = 100 * (basic.mean(0) - resnet.mean(0))[: FIRST[-1]]
        ahead = int((gaps > 0).sum())
        told.append(
            f"{pair}, the basic CNN is ahead in {ahead} of the first {counted(len(gaps), 'epoch')}; after "
            f"the first, by {gaps[0]:+.1f} points."
        )
    return told


def overtake_told() -> list[str]:
    """Say, for each pair, whether ResNet50V2 overtakes the basic CNN for good, and when."""
    told = []
    for pair, networks in pairs().items():
        basic, resnet = (curves(group) for group in networks)
        if not basic.size or not resnet.size:
            told.append(f"{pair}: {PENDING}.")
            continue
        epoch, epochs = overtakes_at(resnet, basic), resnet.shape[1]
        seeds = f"means of {_spoken(len(resnet), len(basic))}"
        if epoch is None:
            gap = 100 * (basic.mean(0) - resnet.mean(0))[-1]
            verb = f"does not overtake within {epochs} epochs, and is {gap:.1f} points behind after the last"
        elif epoch == 1:
            verb = "is ahead from the first epoch on"
        else:
            verb = f"overtakes at epoch {epoch} and stays ahead up to epoch {epochs}"
        told.append(f"{pair}, ResNet50V2 {verb} ({seeds}).")
    return told


def _spoken(one: int, other: int) -> str:
    return counted(one, "seed") if one == other else f"{one} and {counted(other, 'seed')}"


def difference_told() -> list[str]:
    """Say how far the weights that were kept differ on test."""
    return [
        f"{pair}, ResNet50V2 minus basic CNN, points on test: {gain_told(resnet, basic, 'test')}."
        for pair, (basic, resnet) in pairs().items()
    ]


def volatility_told() -> list[str]:
    """Say which network's accuracy on val goes up and down more."""
    told = []
    for pair, networks in pairs().items():
        if not all(group.records for group in networks):
            told.append(f"{pair}: {PENDING}.")
            continue
        basic, resnet = (volatility(curves(group)) for group in networks)
        more = resnet.mean() > basic.mean()
        apart = resnet.min() > basic.max() if more else resnet.max() < basic.min()
        how = ", every seed of it" if apart else " on average, but the seeds overlap"
        if (fewest := min(len(basic), len(resnet))) < FEWEST_SEEDS:
            how = f" in what is recorded, {counted(fewest, 'seed')}: too few to say more"
        told.append(
            f"{pair}, ResNet50V2 is {'more' if more else 'less'} volatile than the basic CNN{how} "
            f"({resnet.mean():.2f} and {basic.mean():.2f} points)."
        )
    return told


def rarest_told() -> list[str]:
    """Say of each row whether the rarest class has the lowest recall, and in how many of the seeds."""
    rarest = int(class_shares().argmin())
    name, told = EMOTIONS[rarest], []
    for row, group in rows().items():
        found = recalls(group)
        if not len(found):
            told.append(f"{row}: {PENDING}.")
            continue
        means, lowest = found.mean(0), int(found.mean(0).argmin())
        times = int((found.argmin(1) == rarest).sum())
        verdict = (
            f"{name}, the rarest class, has the lowest recall, {means[rarest]:.1%}"
            if lowest == rarest
            else f"{EMOTIONS[lowest]} has the lowest recall, {means[lowest]:.1%}; {name}, the rarest class, "
            f"has {means[rarest]:.1%}"
        )
        told.append(
            f"{row}: {verdict}. {name.capitalize()} is lowest in {times} of {counted(len(found), 'seed')}."
        )
    return told


def disgust_share_told() -> str:
    """Say how rare the rarest class is, in all three splits."""
    from fercourse.data.hashes import official

    table, rarest = official(), int(class_shares().argmin())
    counts = [
        f"{int(((table.splits == place) & (table.labels == rarest)).sum()):,} images of {split}"
        for place, split in enumerate(SPLITS)
    ]
    return f"The rarest class is {EMOTIONS[rarest]}: {listed(counts)}; {class_shares()[rarest]:.1%} of train."


def state() -> str:
    """Say how far paper 2's rows are filled."""
    return state_told(rows(), "test")
