"""What of a grid is recorded, what can be resumed, what is new, and how long the rest will take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fercourse.errors import FercourseError
from fercourse.grids import evaluations
from fercourse.records import final_entries, is_final, read_record, record_name

if TYPE_CHECKING:
    from fercourse.data.faces import Faces
    from fercourse.recipes import TrainConfig

#: What a cell can be, in the order in which cells run.
STATES = ("recorded", "cut off", "new")


@dataclass(frozen=True)
class Cell:
    """One training of a grid.

    Attributes:
        config: what is trained.
        name: that of its record, and of its run folder.
        state: 'recorded', 'cut off' (its run folder holds a state) or 'new'.
        final: whether final.yml lists its configuration, so that its test accuracy is recorded.
        epochs_done: finished before now.
        record: the record it counts as recorded by, None without, or without one of its evaluations.
    """

    config: TrainConfig
    name: str
    state: str
    final: bool
    epochs_done: int = 0
    record: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A grid's cells in the order in which they run: cut off before new, each as the grid orders them."""

    cells: Sequence[Cell]

    def of(self, state: str) -> list[Cell]:
        """Return the cells in that state."""
        return [cell for cell in self.cells if cell.state == state]

    @property
    def open(self) -> list[Cell]:
        """The cells that are still to be trained, in order."""
        return [*self.of("cut off"), *self.of("new")]

    def seconds(self, pace: Mapping[str, float], faces: Faces) -> dict[str, float]:
        """Return the seconds each open cell will take on its own, by name.

        Args:
            pace: seconds a whole training image, by what `pace_key` says of a configuration.
        """
        return {cell.name: seconds_left(cell, pace[pace_key(cell.config)], faces) for cell in self.open}


def pace_key(config: TrainConfig) -> str:
    """Return what decides a configuration's pace: network and options, batch size, averages and teachers."""
    extras = f" mixup {config.mixup > 0} ema {config.ema > 0}" if config.mixup or config.ema else ""
    if config.teacher != "none":
        extras += f" teacher {config.teacher}"
    return f"{config.model} {sorted(dict(config.model_options).items())} {config.batch_size}{extras}"


def seconds_left(cell: Cell, pace: float, faces: Faces) -> float:
    """Return the seconds a cell's remaining epochs take, an image of val at a third of one of train."""
    config = cell.config
    held_out = config.fit_on == "train"
    images = config.train_fraction * (len(faces.train) + (0 if held_out else len(faces.val)))
    if config.max_steps is not None:
        images = min(images, config.max_steps * config.batch_size)
    validation = (config.epochs - cell.epochs_done) * (len(faces.val) / 3 if held_out else 0)
    return pace * (config.work(cell.epochs_done) * images + validation)


def make_plan(
    configs: Sequence[TrainConfig],
    faces: Faces,
    *,
    runs: str | os.PathLike[str],
    results: str | os.PathLike[str],
    device_kind: str,
) -> Plan:
    """Find out where each configuration stands.

    A cell counts as recorded by a record of this kind of device, or of a GPU: what a GPU has recorded need
    not be trained again on a CPU.

    Raises:
        FercourseError: a record of that name is of other data.
    """
    from fercourse.runs import layout_of

    entries = final_entries(results)
    layout = layout_of(faces)
    cells = []
    for config in configs:
        values = config.to_dict()
        name = record_name(values, layout, device_kind)
        found = []
        for tta in evaluations(config):
            names = (record_name(values, layout, kind, tta) for kind in (device_kind, "cuda"))
            paths = (Path(results) / "runs" / f"{each}.json" for each in names)
            found.append(next(filter(Path.is_file, paths), None))
        record = found[0] if all(found) else None
        done = _epochs_done(Path(runs) / name)
        state = "recorded" if record else "new" if done is None else "cut off"
        if record and read_record(record).data["data"]["fingerprint"] != faces.fingerprint:
            raise FercourseError(
                f"{record} was recorded on other data than {faces.source}: use that data, or gather the "
                "records of this one elsewhere (--results FOLDER)."
            )
        cells.append(Cell(config, name, state, is_final(values, entries), done or 0, record))
    return Plan(sorted(cells, key=lambda cell: STATES.index(cell.state)))


def _epochs_done(folder: Path) -> int | None:
    """Return the finished epochs of a run folder; None if it holds no state."""
    from fercourse.train.state import LAST

    if not (folder / LAST).exists():
        return None
    try:
        return max(0, len((folder / "history.csv").read_text().splitlines()) - 1)
    except OSError:
        return 0


def describe_plan(plan: Plan, seconds: Mapping[str, float], jobs: int) -> str:
    """Return a plan as text for people: how many cells in each state, and the time of the open ones."""
    from fercourse.reports import columns

    counts = ", ".join(f"{len(plan.of(state))} {state}" for state in STATES)
    rows = [["", "cell", "state", "time on its own"]]
    for number, cell in enumerate(plan.open, 1):
        done = f"cut off after epoch {cell.epochs_done}" if cell.state == "cut off" else cell.state
        rows.append([str(number), cell.name, done, duration(seconds[cell.name])])
    lines = [f"{len(plan.cells)} trainings: {counts}."]
    if plan.open:
        total = sum(seconds.values())
        lines += [columns(rows), f"About {duration(total / jobs)} to go, {jobs} at a time."]
    return "\n".join(lines)


def describe_results(paths: Iterable[Path]) -> str:
    """Return records as a table: best epoch, accuracy on val and, where it was opened, on test."""
    from fercourse.reports import columns, percent

    rows = [["recorded", "best epoch", "val", "test"]]
    for record in map(read_record, paths):
        accuracies = [
            percent(record.data[split]["accuracy"]) if record.has(split) else "-" for split in ("val", "test")
        ]
        rows.append([record.name, str(record.data["best_epoch"]), *accuracies])
    return columns(rows)


def duration(seconds: float | None) -> str:
    """Return a time for people: '45 s', '12 min', '3.5 h'; '?' for None."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
