"""One cell of a grid, from wherever it stands to its record; the same on this machine and on a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError
from fercourse.experiments import holds_out_val
from fercourse.grids import evaluations

if TYPE_CHECKING:
    import numpy as np

    from fercourse.data.faces import Faces
    from fercourse.recipes import TrainConfig

#: A process that was stopped may still be writing its state when the next one starts.
PATIENCE = 120.0

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Measured:
    """What a finished cell leaves: its record, and the logits of val and test where they are kept.

    ``further``: the same of its evaluations with test-time augmentation (`fercourse.grids.evaluations`).
    """

    record: dict[str, Any]
    logits: dict[str, np.ndarray]
    further: tuple[Measured, ...] = ()


def measure_cell(
    config: TrainConfig,
    faces: Faces,
    folder: str | os.PathLike[str],
    *,
    final: bool,
    device: str | None = None,
    threads: int | None = None,
    report: Report = lambda _: None,
) -> Measured:
    """Train a configuration to its end, going on where it stopped, and measure it.

    Args:
        folder: of this run alone; its checkpoint is there.
        final: whether its configuration is listed in final.yml, so that the test split is opened.
        threads: of a CPU; the same number gives the same bits.
        report: called at the start and after every epoch with epoch, epochs, val_accuracy (the best so far;
            None where val is trained on) and seconds_left.

    Raises:
        FercourseError: whatever `fercourse.runs.train_run` and `evaluate_run` raise.
        KeyboardInterrupt: stopped; the state is saved.
    """
    import torch

    from fercourse.runs import evaluate_run, make_record, train_run

    begun, first = time.monotonic(), None

    def on_epoch(history: list[dict[str, float]]) -> None:
        nonlocal first
        if first is None:
            first = len(history) - 1
        done = len(history)
        accuracies = [row["val_accuracy"] for row in history if "val_accuracy" in row]
        report(
            {
                "epoch": done,
                "epochs": config.epochs,
                "val_accuracy": max(accuracies, default=None),
                "seconds_left": (time.monotonic() - begun)
                * config.work(done)
                / (config.work(first) - config.work(done)),
            }
        )

    report({"epoch": 0, "epochs": config.epochs, "val_accuracy": None, "seconds_left": None})
    held_out = ("val",) if holds_out_val(config.to_dict()) else ()
    splits = ("train", *held_out, "test") if final else ("train", *held_out)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        options: dict[str, Any] = {"device": device, "progress": False}
        train_run(config, faces, folder, resume=True, wait=PATIENCE, on_epoch=on_epoch, **options)
        found = []
        for tta in evaluations(config):
            # Of the training set, one accuracy is enough.
            asked = splits if tta == "none" else splits[1:]
            results = evaluate_run(folder, faces, asked, tta=tta, **options)
            logits = {split: results[split]["logits"] for split in splits[1:]}
            found.append(Measured(make_record(folder, results, tta=tta), logits))
    finally:
        torch.set_num_threads(before)
    return replace(found[0], further=tuple(found[1:]))


def keep(measured: Measured, results: str | os.PathLike[str]) -> Path:
    """Write a cell's records, and its logits where final.yml asks for them; return the first record's path.

    A record that is there already, of the same run, is left as it is.

    Raises:
        FercourseError: whatever `fercourse.records.write_record` raises.
    """
    from fercourse.logits import keeps_logits, save_logits
    from fercourse.records import read_record, write_record

    path = Path(results) / "runs" / f"{measured.record['name']}.json"
    if not path.exists():
        write_record(measured.record, results)
    record = read_record(path)
    if record.data["data"]["fingerprint"] != measured.record["data"]["fingerprint"]:
        raise FercourseError(f"{path} is of other data: name another results folder (--results).")
    if record.data["history"] != measured.record["history"]:
        raise FercourseError(
            f"{path} is of another training with this configuration and seed: further records would be put "
            "beside it as if they were its own. Name another results folder (--results), or remove it."
        )
    if keeps_logits(record, results):
        save_logits(record, measured.logits, results)
    for other in measured.further:
        keep(other, results)
    return path
