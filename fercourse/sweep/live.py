"""What a grid shows while it runs: a line a run on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fercourse.sweep.plan import Plan, duration


class View:
    """Follows the events of a grid's cells."""

    def __init__(self, plan: Plan, *, quiet: bool = False) -> None:
        self.plan, self.quiet = plan, quiet
        self.console = Console(stderr=True)
        self.rows: dict[str, dict[str, Any]] = {}
        self.begun = time.monotonic()
        live = not quiet and self.console.is_terminal
        self.live = Live(console=self.console, refresh_per_second=2) if live else None

    def __enter__(self) -> View:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.update(self._table(), refresh=True)
            self.live.stop()

    def event(self, name: str, event: Mapping[str, Any]) -> None:
        """Take in one event of a cell: the keys of `fercourse.sweep.cell`, or recorded, failed, stopped."""
        row = self.rows.setdefault(name, {"state": "training"})
        row.update(event)
        for end in ("recorded", "failed", "stopped"):
            if end in event:
                row["state"] = end
        if self.live is not None:
            self.live.update(self._table())
        elif not self.quiet:
            print(self._line(name, row), file=sys.stderr, flush=True)

    def _line(self, name: str, row: Mapping[str, Any]) -> str:
        if row["state"] == "failed":
            return f"{name}: failed: {row['failed']}"
        if row["state"] != "training" or not row.get("epoch"):
            return f"{name}: {row['state']}"
        accuracy = row["val_accuracy"]
        best = "" if accuracy is None else f" best val {accuracy:.2%},"
        return f"{name}: epoch {row['epoch']}/{row['epochs']},{best} {duration(row['seconds_left'])} left"

    def _table(self) -> Table:
        done = sum(row["state"] == "recorded" for row in self.rows.values())
        open_cells = len(self.plan.open)
        table = Table(
            title=f"{done} of {open_cells} recorded, {duration(time.monotonic() - self.begun)} so far",
            title_justify="left",
        )
        for heading in ("cell", "epoch", "best val", "time left", "state"):
            table.add_column(heading)
        for name, row in self.rows.items():
            accuracy = row.get("val_accuracy")
            table.add_row(
                name,
                f"{row.get('epoch', 0)}/{row.get('epochs', '?')}",
                "" if accuracy is None else f"{accuracy:.2%}",
                duration(row.get("seconds_left")) if row["state"] == "training" else "",
                row["state"],
            )
        return table
