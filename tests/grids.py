"""Small grids for the tests: trainings of seconds, and a driver that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from fercourse.data import load_faces
from fercourse.recipes import TrainConfig, make_config
from fercourse.sweep import Plan, make_plan

TESTS = Path(__file__).parent


def small(seed: int = 0, **changes: Any) -> TrainConfig:
    """A training of forty steps, in a second or two, with everything a large one has."""
    options = {"widths": (8, 8, 8, 8), "dense_width": 16}
    values = {"epochs": 4, "max_steps": 10, "batch_size": 16, "model_options": options, **changes}
    return make_config("basic_cnn", "smoke", seed=seed, **values)


def plan_of(configs: list[TrainConfig], data: Path, folder: Path) -> Plan:
    """The plan of these trainings, with run folders and records below ``folder``."""
    faces = load_faces(data)
    return make_plan(configs, faces, runs=folder / "runs", results=folder / "results", device_kind="cpu")


def records_in(folder: Path) -> dict[str, Any]:
    """All records by name, without what no two runs share: the commit and the seconds."""
    found = {}
    for path in sorted((folder / "results" / "runs").glob("[!.]*.json")):
        record = json.loads(path.read_text())
        del record["environment"]["commit"], record["history"]["seconds"]
        found[path.name] = record
    return found


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from grids import plan_of, small
data, folder, engine, count, jobs = Path({data!r}), Path({folder!r}), {engine!r}, {count}, {jobs}
plan = plan_of([small(seed, epochs={epochs}) for seed in range(count)], data, folder)
options = dict(runs=folder / "runs", results=folder / "results", jobs=jobs, device="cpu", threads=1)
options["report"] = lambda name, event: print(name, event, flush=True)
if engine == "ray":
    from fercourse.data import load_faces
    from fercourse.sweep.on_ray import run_grid_on_ray
    outcome = run_grid_on_ray(plan, load_faces(data), **options)
else:
    from fercourse.sweep import run_grid
    outcome = run_grid(plan, str(data), **options)
print("OUTCOME", vars(outcome), flush=True)
"""


def start(
    data: Path, folder: Path, *, engine: str = "local", count: int = 3, jobs: int = 2, epochs: int = 4
) -> subprocess.Popen:
    """Start a grid of ``count`` small trainings in a process of its own."""
    code = DRIVER.format(
        tests=str(TESTS),
        data=str(data),
        folder=str(folder),
        engine=engine,
        count=count,
        jobs=jobs,
        epochs=epochs,
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "FERCOURSE_CHECKPOINT_SECONDS": "0"},
    )


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes that a driver has started."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(processes: list[Any]) -> None:
    """Kill at once, as a power cut does."""
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
