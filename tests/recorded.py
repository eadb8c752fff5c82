"""Records made up for tests: whole and valid, of trainings that never were."""

from __future__ import annotations

from typing import Any

import numpy as np

from fercourse.data.hashes import OFFICIAL_FINGERPRINT, official
from fercourse.environment import LIBRARIES
from fercourse.recipes import make_config
from fercourse.records import (
    holds_out_val,
    is_shortened,
    kept_history,
    pack_classes,
    pack_floats,
    record_name,
)

COLUMNS = ("lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")
RANDOM = np.random.default_rng(0)


def split_of(labels: np.ndarray, share_right: float) -> dict[str, Any]:
    """Predictions of which about that share is right, as a record holds them."""
    right = RANDOM.random(len(labels)) < share_right
    preds = np.where(right, labels, RANDOM.integers(0, 7, len(labels)))
    return {
        "ferplus": {"images": 3000, "accuracy": 0.8123},
        "accuracy": float((preds == labels).mean()),
        "nll": 1.2345,
        "ece": 0.0456,
        "reliability": {
            "count": [len(labels)] + [0] * 14,
            "confidence_sum": [0.5 * len(labels)] + [0.0] * 14,
            "hits": [int((preds == labels).sum())] + [0] * 14,
        },
        "preds": pack_classes(preds),
    }


def example(
    recipe: str = "paper1",
    with_test: bool = False,
    *,
    model: str = "resnet18",
    tta: str = "none",
    **changes: Any,
) -> dict[str, Any]:
    """A record as large as they come: every epoch of the recipe, every batch's loss of the first three."""
    config = make_config(model, recipe, **changes).to_dict()
    table = official()
    epochs = config["epochs"]
    batches = -(-28_709 // config["batch_size"])
    record = {
        "format": 1,
        "name": record_name(config, "fer2013.csv", "cuda", tta),
        "shortened": is_shortened(config),
        "config": config,
        "parameters": 11_171_271,
        "environment": {
            "commit": "0" * 40,
            "python": "3.12.1",
            "system": "Linux",
            "versions": dict.fromkeys(("fercourse", *LIBRARIES), "2.11.0+cu130"),
            "device": "a GPU",
            "device_kind": "cuda",
            "precision": "bf16",
        },
        "data": {
            "layout": "fer2013.csv",
            "fingerprint": OFFICIAL_FINGERPRINT,
            "sizes": {"train": 28709, "val": 3589, "test": 3589},
        },
        "history": kept_history(
            [
                {"epoch": epoch, **{name: float(RANDOM.random()) for name in COLUMNS}}
                for epoch in range(1, epochs + 1)
            ]
        ),
        "best_epoch": 3,
        "batch_losses": pack_floats(np.linspace(2, 1.2, 3 * batches) + RANDOM.normal(0, 0.15, 3 * batches)),
        "train_accuracy": 0.9,
        "val": split_of(table.labels[table.splits == 1], 0.6),
    }
    if tta != "none":
        record["tta"] = tta
    if not holds_out_val(config):
        del record["val"], record["history"]["val_loss"], record["history"]["val_accuracy"]
    if with_test:
        record["test"] = split_of(table.labels[table.splits == 2], 0.6)
    return record


def example_search(trials: int = 12, *, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A record of a search, with a trial of each kind of end among them."""
    from fercourse.search.space import rounded, space_of, values_of

    config = make_config("small_vgg", "quick", seed=seed, **changes)
    space = space_of(config)
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number in range(trials):
        params = {
            name: int(random.choice(span.choices)) if span.choices else random.uniform(span.low, span.high)
            for name, span in space.items()
        }
        state = {5: "failed", 7: "pruned"}.get(number, "complete")
        epochs = {"failed": 0, "pruned": config.epochs - 1, "complete": config.epochs}[state]
        value = None if state == "failed" else round(0.6 + 0.05 * random.random(), 6)
        params = rounded(params if number else values_of(config, space))
        rows.append(
            {"state": state, "value": value, "epochs": epochs, "seconds": 12.5 * epochs, "params": params}
        )
    shares = {name: {"share": 0.1, "by_chance": 0.3} for name in space}
    shares[next(iter(space))]["share"] = 0.5
    record = example("quick", model="small_vgg", seed=seed, **changes)
    environment = {key: value for key, value in record["environment"].items() if key != "precision"}
    environment["versions"] = {**environment["versions"], "optuna": "5.0.0"}
    return {
        "format": 1,
        "name": f"{record['name']}-{trials}trials",
        "shortened": record["shortened"],
        "config": record["config"],
        "space": {name: span.to_dict() for name, span in space.items()},
        "sampler": "TPE",
        "pruner": "median",
        "environment": environment,
        "data": record["data"],
        "interruptions": 1,
        "importances": shares,
        "trials": rows,
    }
