"""The same grid on a Ray cluster: each training a task, GPUs shared by fraction, records gathered here.

Ray starts a task again when its process or machine dies; it goes on from its run folder where it sees that.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError
from fercourse.files import locked
from fercourse.sweep.cell import keep, measure_cell
from fercourse.sweep.local import Outcome

if TYPE_CHECKING:
    from fercourse.data.faces import Faces
    from fercourse.sweep.plan import Plan


def run_grid_on_ray(
    plan: Plan,
    faces: Faces,
    *,
    runs: str | os.PathLike[str],
    results: str | os.PathLike[str],
    jobs: int = 1,
    device: str | None = None,
    threads: int | None = None,
    budget: float | None = None,
    address: str | None = None,
    report: Callable[[str, dict[str, Any]], None] = lambda *_: None,
) -> Outcome:
    """Train and record a plan's open cells, as `fercourse.sweep.run_grid`, but for these arguments:

    ``faces`` are sent to the machines once; ``jobs`` trainings share a GPU, or the processors of a machine;
    ``address`` of a running cluster ('auto' finds it), None starts one here.
    """
    try:
        import ray
        from ray.util.queue import Queue
    except ImportError as error:
        raise FercourseError("Ray is not installed: pip install 'fercourse[sweep]'.") from error
    with locked(Path(runs) / ".grid.lock", f"{runs} is being filled"):
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # sends nothing unless asked to
        try:
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # it raises many kinds, plain Exception among them
            raise FercourseError(f"No Ray cluster at {address or 'this machine'}: {error}") from error
        # Of the smallest machine, or a training would wait for ever for more cores than any has.
        cores = (node["Resources"].get("CPU") for node in ray.nodes() if node["Alive"])
        threads = threads or max(1, int(min(filter(None, cores), default=1)) // jobs)
        gpus = 1 / jobs if device != "cpu" and ray.cluster_resources().get("GPU") else 0
        events, images = Queue(), ray.put(faces)
        # No limit of retries: what a process had saved before it died is not lost, so each gets further.
        train: Any = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=-1)(_train)
        rest = (images, Path(runs).resolve(), device, threads, events)
        tasks = {train.remote(cell, *rest): cell.name for cell in plan.open}
        try:
            return _gather(ray, tasks, events, results, budget, report)
        finally:
            ray.shutdown()


def _train(cell: Any, faces: Faces, runs: Path, device: str | None, threads: int, events: Any) -> Any:
    options: Any = {"final": cell.final, "device": device, "threads": threads}
    options["report"] = lambda event: events.put((cell.name, event))
    return measure_cell(cell.config, faces, runs / cell.name, **options)


def _gather(ray: Any, tasks: dict, events: Any, results: Any, budget: float | None, report: Any) -> Outcome:
    outcome = Outcome()
    deadline = None if budget is None else time.monotonic() + budget
    while tasks:
        try:
            if deadline is not None and time.monotonic() >= deadline:
                raise KeyboardInterrupt
            done, _ = ray.wait(list(tasks), timeout=0.5)
            while not events.empty():
                report(*events.get())
            for task in done:
                name, event = tasks.pop(task), dict[str, Any]()
                try:
                    event["recorded"] = str(keep(ray.get(task), results))
                except ray.exceptions.TaskCancelledError:
                    event["stopped"] = True
                except Exception as error:  # of any kind: the others go on
                    event["failed"] = str(getattr(error, "cause", None) or error)
                outcome.end(name, event)
                report(name, event)
        except KeyboardInterrupt:  # tasks save their state as at Ctrl-C
            deadline = None
            for task in tasks:
                ray.cancel(task)
    return outcome
