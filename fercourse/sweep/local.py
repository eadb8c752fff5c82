"""A grid on this machine: a process a training, some at a time, safe to stop at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fercourse.files import locked
from fercourse.sweep.plan import Cell, Plan

LOG = "log.txt"
#: Most trainings at once that are tried on a GPU, and how long each number is.
TRIED_JOBS = (1, 2, 4)
TRIED_SECONDS = 6.0


@dataclass
class Outcome:
    """How a grid ended: names of cells by how they ended; ``failed`` with its reason."""

    recorded: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    not_started: list[str] = field(default_factory=list)

    def end(self, name: str, event: Mapping[str, Any]) -> None:
        """Enter how a cell ended: its event has 'recorded', 'failed' or 'stopped'."""
        if "recorded" in event:
            self.recorded.append(name)
        elif "failed" in event:
            self.failed[name] = event["failed"]
        elif "stopped" in event:
            self.stopped.append(name)


class Worker:
    """A process of `fercourse.sweep.worker`; its events arrive in a queue, with the key given."""

    def __init__(self, key: str, job: dict[str, Any], events: queue.Queue, log: IO[bytes] | int) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the parent alone, which then stops it in order.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fercourse.sweep.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self.say(json.dumps(job))
        threading.Thread(target=self._listen, args=(key, events), daemon=True).start()

    def say(self, line: str) -> None:
        """Write a line to the worker; one that died already is told by its status."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """Ask it to save its state and end."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def _listen(self, key: str, events: queue.Queue) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                events.put((key, json.loads(line)))
            except ValueError:  # cut short: the process was killed
                continue
        events.put((key, {"status": self.process.wait()}))


def run_grid(
    plan: Plan,
    data: str | None,
    *,
    runs: str | os.PathLike[str],
    results: str | os.PathLike[str],
    jobs: int = 1,
    device: str | None = None,
    threads: int | None = None,
    budget: float | None = None,
    report: Callable[[str, dict[str, Any]], None] = lambda *_: None,
) -> Outcome:
    """Train and record a plan's open cells in their order.

    The folder ``runs`` is locked meanwhile. A cell that fails does not stop the others. At the end of the
    budget, or at Ctrl-C, whatever trains saves its state and stops; the same call goes on from there.

    Args:
        data: what `fercourse.data.load_faces` takes; every process reads it for itself.
        runs: a folder for the run folders, ``<name of the record>/``.
        results: the folder of records.
        jobs: trainings at a time.
        threads: of each on a CPU; None: the processors shared among the jobs.
        budget: seconds.
        report: called with a cell's name and event (see `fercourse.sweep.live`).

    Raises:
        FercourseError: another process works in ``runs``.
    """
    with locked(Path(runs) / ".grid.lock", f"{runs} is being filled"):
        return _run(
            plan.open,
            lambda cell: {
                "job": "measure",
                "config": cell.config.to_dict(),
                "data": data,
                "folder": str(Path(runs) / cell.name),
                "results": str(results),
                "final": cell.final,
                "device": device,
                "threads": threads or max(1, (os.cpu_count() or 1) // jobs),
            },
            Path(runs),
            jobs,
            budget,
            report,
        )


def _run(
    cells: list[Cell],
    job_of: Callable[[Cell], dict[str, Any]],
    runs: Path,
    jobs: int,
    budget: float | None,
    report: Callable[[str, dict[str, Any]], None],
) -> Outcome:
    outcome = Outcome()
    waiting, running = list(cells), dict[str, Worker]()
    events: queue.Queue = queue.Queue()
    deadline = None if budget is None else time.monotonic() + budget
    stopping = False
    while running or (waiting and not stopping):
        try:
            over = deadline is not None and time.monotonic() >= deadline
            if over and not stopping:
                stopping = True
                for worker in running.values():
                    worker.stop()
            while waiting and len(running) < jobs and not stopping:
                cell = waiting.pop(0)
                (runs / cell.name).mkdir(parents=True, exist_ok=True)
                with (runs / cell.name / LOG).open("ab") as log:
                    running[cell.name] = Worker(cell.name, job_of(cell), events, log)
            try:
                name, event = events.get(timeout=0.2)
            except queue.Empty:
                continue
            if "status" in event:
                running.pop(name).stop()
                event = _ended(name, event["status"], outcome, runs)
            outcome.end(name, event)
            if event:
                report(name, event)
        except KeyboardInterrupt:
            stopping, deadline = True, None
            for worker in running.values():
                worker.stop()
    outcome.not_started = [cell.name for cell in waiting]
    return outcome


def _ended(name: str, status: int, outcome: Outcome, runs: Path) -> dict[str, Any]:
    """Return the event of a process that ended, unless it told its end itself."""
    if name in outcome.recorded or name in outcome.failed:
        return {}
    if status == 130:
        return {"stopped": True}
    return {"failed": f"its process ended with status {status}; see {runs / name / LOG}"}


def best_jobs(config: dict[str, Any], device: str | None) -> tuple[int, dict[int, float]]:
    """Measure how many trainings at once get most images trained on a GPU: 1, 2 or 4.

    Processes share a GPU by time slices; whether that fills gaps or costs more than it gains depends on the
    card and the network.

    Args:
        config: as `TrainConfig.to_dict` writes it; the network to measure with.

    Returns:
        The number, and the images a second of all processes together for each number tried. More at once
        must gain 5 %, because each also takes memory.
    """
    rates: dict[int, float] = {}
    for count in TRIED_JOBS:
        events: queue.Queue = queue.Queue()
        job = {"job": "pace", "config": config, "device": device, "seconds": TRIED_SECONDS}
        workers = [Worker(str(i), job, events, subprocess.DEVNULL) for i in range(count)]
        rates[count], ready, gone = 0.0, 0, 0
        try:
            while gone < count:
                _, event = events.get()
                if "ready" in event:
                    ready += 1
                    if ready == count:
                        for worker in workers:
                            worker.say("go")
                rates[count] += event.get("rate", 0)
                if "status" in event:
                    gone += 1
                    if event["status"] != 0:  # such as too little memory for so many
                        for worker in workers:
                            worker.stop()
        finally:
            for worker in workers:
                worker.stop()
    best = TRIED_JOBS[0]
    for count in TRIED_JOBS[1:]:
        if rates[count] > 1.05 * rates[best]:
            best = count
    return best, rates
