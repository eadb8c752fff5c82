"""What a training shows while it runs: a bar over all its steps, and once, how long it will take."""

from __future__ import annotations

import time

import torch
from tqdm.auto import tqdm

from fercourse.config import WHOLE
from fercourse.device import describe_device
from fercourse.recipes import TrainConfig
from fercourse.train.state import State

#: Steps by whose pace the time that is left is told, and those before them that are not timed: on a GPU the
#: first ones choose kernels and capture the step, and the host runs ahead of the device.
TIMED_STEPS = {"cpu": 20, "cuda": 50}
LEFT_OUT = {"cpu": 0, "cuda": 10}


class StepBar:
    """A progress bar over the steps of all epochs, from where a resumed training begins."""

    def __init__(
        self, config: TrainConfig, steps: int, begun: int, device: torch.device, *, shown: bool
    ) -> None:
        self.epochs, self.total, self.begun, self.device, self.shown = (
            config.epochs,
            config.epochs * steps,
            begun,
            device,
            shown,
        )
        self.config, self.steps = config, steps
        self.held_out = config.fit_on == "train"
        self.started = time.monotonic()
        self.bar = tqdm(
            total=self.total,
            initial=begun,
            desc=config.model,
            unit="step",
            disable=not shown,
            mininterval=0.5,
        )

    def advance(self, done: int) -> bool:
        """Count one step, the ``done``-th of all; return whether it is time to show values."""
        kind = "cuda" if self.device.type == "cuda" else "cpu"
        timed, first = TIMED_STEPS[kind], self.begun + LEFT_OUT[kind]
        if self.shown and done in (first, first + timed):
            if kind == "cuda":
                torch.cuda.synchronize(self.device)
            if done == first:
                self.started = time.monotonic()
            else:
                pace = (time.monotonic() - self.started) / timed  # of steps as the last one was
                minutes = pace * self._left(done) / 60
                told = f"{minutes:.1f} minutes to go on {describe_device(self.device)}, by {timed} steps."
                self.bar.write(told, self.bar.fp)
        return bool(self.bar.update(1))

    def _left(self, done: int) -> float:
        """Return how many steps like the ``done``-th are left: one on smaller images counts for less."""
        epoch, step = divmod(done - 1, self.steps)
        whole = (self.config.side(epoch) / WHOLE) ** 2  # of its epoch
        return self.steps * (self.config.work(epoch) / whole) - (step + 1)

    def show(self, state: State) -> None:
        """Show where the training stands; reads the totals, so that the host waits for the device."""
        totals = state.totals
        self.bar.set_postfix_str(
            f"epoch {state.epoch + 1}/{self.epochs}, loss {(totals.loss / totals.images).item():.3f}, "
            f"accuracy {(totals.hits / totals.images).item():.1%}, "
            + (f"best val {max(state.best_accuracy, 0):.1%}" if self.held_out else "val trained on"),
            refresh=False,
        )

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()
