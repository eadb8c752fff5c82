"""What is measured, and two clocks: for loops that own a loader, and for steps that can be counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

BATCH_SIZE = 64  # paper 1's
#: Batches before the clock starts: libraries choose kernels, workers fill their queues, graphs are made.
WARM_UP = {"cpu": 1, "cuda": 8, "mps": 4}
#: Batches that are timed at least, however slow.
FEWEST = 2


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        what: 'train', 'evaluate', 'matmul', 'load' or 'small'.
        variant: 'usual', 'ours', the name of a `Rung`, of a choice in `SLOWER`, a number format, a reader or
            a program that runs the small network.
        model: name of the network; empty where there is none.
        round: measurements of one round are compared with each other.
        batch_size: images at a time.
    """

    what: str
    variant: str
    model: str = ""
    round: int = 0
    batch_size: int = BATCH_SIZE


class Window:
    """Hands on a loader's batches, over and over, until enough time is over: its owner's loop is then timed.

    The clock runs from one batch handed on to another: `steps` times the work on a batch and the wait for the
    next. A loader's start anew after each epoch belongs to that, its first start does not.

    Args:
        at_end: called before the loop ends, while the loader's workers are still there.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        seconds: float,
        warm_up: int,
        wait: Callable[[], None],
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.loader, self.seconds, self.warm_up = loader, seconds, warm_up
        self.wait, self.at_end = wait, at_end
        self.steps, self.elapsed = 0, 0.0

    def __iter__(self) -> Iterator[Any]:
        handed, started = 0, 0.0
        while True:
            for batch in self.loader:
                steps = handed - self.warm_up
                if steps == 0:
                    self.wait()
                    started = time.perf_counter()
                elif steps >= FEWEST and time.perf_counter() - started >= self.seconds:
                    self.wait()
                    self.steps, self.elapsed = steps, time.perf_counter() - started
                    self.at_end()
                    return
                yield batch
                handed += 1


def take(
    run: Callable[[int], None], seconds: float, warm_up: int, wait: Callable[[], None]
) -> tuple[int, float]:
    """Let ``run`` take steps until enough time is over; return their number and the seconds they took.

    ``run(n)`` takes n steps. It is called for ever more of them, so that the device is waited for a few times
    only, and not after every step.
    """
    run(warm_up)
    wait()
    steps, elapsed, started = 0, 0.0, time.perf_counter()
    while steps < FEWEST or elapsed < 0.95 * seconds:
        left = (seconds - elapsed) * steps / elapsed if steps else 1
        more = max(1, min(round(left), 4 * steps))
        run(more)
        wait()
        steps, elapsed = steps + more, time.perf_counter() - started
    return steps, elapsed
