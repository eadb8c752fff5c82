"""Grids: planned, run, stopped, killed and gone on with; each training once, its record as if undisturbed."""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import random
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from grids import kill, plan_of, records_in, small, start, workers_of

from fercourse.data import load_faces
from fercourse.errors import FercourseError
from fercourse.files import locked
from fercourse.grids import GRIDS, INGREDIENTS, Row, evaluations, grid
from fercourse.recipes import make_config
from fercourse.records import is_shortened, read_record, record_name
from fercourse.runs import train_run
from fercourse.sweep import cell, local, make_plan, pace, run_grid
from fercourse.sweep.cell import keep, measure_cell
from fercourse.sweep.pace import measure_pace
from fercourse.sweep.plan import describe_plan, duration, pace_key

#: Kills of `test_killed_at_any_moment`; `make test-faults` asks for 50.
KILLS = int(os.environ.get("FERCOURSE_KILLS", 5))


def run(plan, data, folder, **options):
    values = {"jobs": 2, "device": "cpu", "threads": 1, **options}
    return run_grid(plan, str(data), runs=folder / "runs", results=folder / "results", **values)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, small_faces):
    """A grid of three trainings that nothing disturbed: what every other way must lead to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    outcome = run(plan_of([small(seed) for seed in range(3)], small_faces, folder), small_faces, folder)
    assert len(outcome.recorded) == 3
    return records_in(folder)


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_has_a_record_name_for_each_cell(name):
    configs = grid(name, seeds=3)
    names = [record_name(config.to_dict(), "csv", "cuda") for config in configs]
    assert len(set(names)) == len(names)
    seeds = [config.seed for config in configs]
    assert seeds == sorted(seeds)
    if name != "all":
        assert seeds.count(0) == seeds.count(1) == seeds.count(2)


def test_all_is_every_grid_the_papers_comparison_first_and_what_they_leave_open_once():
    configs = grid("all", seeds=2)
    assert configs[:13] == grid("table2")
    first, second = ([c for c in configs if c.seed == seed] for seed in (0, 1))
    for name in set(GRIDS) - {"all", "smoke"}:
        assert all(config in first for config in grid(name))
    many = ("table2", "table1", "paper2", "controls", "readings", "ingredients", "strong", "laptop", "extra")
    again = [c for name in (*many, "distilled") for c in grid(name, 2)]
    assert {str(c) for c in second} == {str(c) for c in again if c.seed == 1}


def test_the_command_names_every_grid():
    from fercourse.cli.grid import reproduce

    help_text = reproduce.__annotations__["grid"]
    assert all(name in help_text for name in GRIDS)


def test_table2_is_the_thirteen_networks_of_the_paper():
    from fercourse.models import model_table

    paper = {row["name"] for row in model_table() if row["paper"] == "paper 1"}
    assert len(paper) == 13
    assert {config.model for config in grid("table2")} == paper


def test_table1_shares_its_best_row_with_table2():
    assert grid("table1")[0] == grid("table2")[0]


def test_scarce_labels_share_their_whole_rows_with_table1():
    configs = grid("scarce")
    assert configs[:2] == grid("table1")[:2]
    assert [config.train_fraction for config in configs] == [1.0] * 3 + [0.1] * 3 + [0.3] * 3
    assert [config.augment.crop for config in configs] == [0.5, 0.0, 0.5] * 3
    assert [config.pretrained for config in configs] == ["none", "none", "imagenet"] * 3


def test_paper_2s_pair_is_trained_with_either_batch_norm():
    """Keras keeps 0.99 of its running statistics at every batch, PyTorch 0.9."""
    from torch import nn

    from fercourse.runs import build_model

    momenta = {}
    for config in grid("paper2"):
        norms = [m for m in build_model(config).modules() if isinstance(m, nn.BatchNorm2d)]
        momenta.setdefault(config.model, []).append({norm.momentum for norm in norms})
    assert momenta == {"basic_cnn": [{0.1}, {0.01}], "resnet50v2": [{0.01}, {0.1}]}


@pytest.mark.parametrize(
    "name", ["table2", "paper2", "controls", "readings", "strong", "laptop", "extra", "distilled"]
)
def test_rows_that_are_reported_on_test_are_listed_beforehand(name):
    from fercourse.records import final_entries, is_final

    entries = final_entries()
    for config in grid(name):
        assert all(is_final(config.to_dict(), entries, tta) for tta in evaluations(config)), config


def test_ingredients_are_added_to_paper_1s_recipe_and_taken_out_of_strong_one_by_one():
    """All of them added make the recipe strong in 50 epochs; all taken out leave paper 1's."""
    added, removed = {"augment": {}, "model_options": {}}, {"augment": {}, "model_options": {}}
    for add, without in INGREDIENTS.values():
        for changes, part in ((added, add), (removed, without)):
            for key, value in part.items():
                changes[key] = {**changes[key], **value} if isinstance(value, dict) else value
    base, full, *rest = grid("ingredients")
    same = {"track": "strong", "recipe": full.recipe}
    together = make_config("small_vgg", "paper1", **added)
    assert dataclasses.replace(together, **same) == full
    same = {"track": "paper", "recipe": base.recipe}
    assert dataclasses.replace(make_config("small_vgg", "strong50", **removed), **same) == base
    assert len(rest) == 2 * len(INGREDIENTS)
    assert not any(is_shortened(config.to_dict()) for config in (base, full, *rest))
    assert {evaluations(config) for config in rest} == {("none",)}
    assert evaluations(base) == evaluations(full) == ("none", "ten-crop")


def test_the_recipe_strong_is_on_fer_2013_alone_and_extra_says_so():
    assert {config.track for config in grid("strong")} == {"strong"}
    assert {config.track for config in grid("extra")} == {"extra"}
    assert {config.fit_on for config in grid("strong")} == {"train", "train+val"}
    assert {config.epochs for config in grid("strong")} == {make_config("vgg19", "strong").epochs}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tabel2",), "did you mean 'table2'"),
        (("table2", 0), "whole number from 1"),
        (("table2", 1.5), "1.5"),
    ],
)
def test_a_wrong_grid_is_told(arguments, said):
    with pytest.raises(FercourseError, match=said):
        grid(*arguments)


def test_a_failing_training_stops_no_other_and_a_second_start_does_only_what_is_left(tmp_path, small_faces):
    good = [small(0, epochs=1), small(1, epochs=1)]
    bad = small(2, optimizer="sgd", lr=1e9)
    plan = plan_of([good[0], bad, good[1]], small_faces, tmp_path)
    assert [cell.state for cell in plan.cells] == ["new"] * 3
    events = []
    outcome = run(plan, small_faces, tmp_path, report=lambda name, event: events.append((name, event)))
    assert list(outcome.failed) == [plan.cells[1].name], outcome
    assert sorted(outcome.recorded) == sorted(plan.cells[i].name for i in (0, 2))
    assert "The loss became" in outcome.failed[plan.cells[1].name]
    assert {"recorded", "failed", "epoch"} <= {key for _, event in events for key in event}
    before = {path: path.read_bytes() for path in (tmp_path / "results" / "runs").glob("*.json")}
    again = plan_of([good[0], bad, good[1]], small_faces, tmp_path)
    assert [cell.state for cell in again.cells] == ["recorded", "recorded", "new"]
    outcome = run(again, small_faces, tmp_path)
    assert not outcome.recorded
    assert before == {path: path.read_bytes() for path in before}


def test_the_budget_stops_in_order_and_the_next_start_goes_on(tmp_path, small_faces):
    plan = plan_of([small(0, epochs=2000), small(1, epochs=2000)], small_faces, tmp_path)
    begun = []

    def report(_, event):
        if event.get("epoch") == 1:
            begun.append(time.monotonic())

    outcome = run(plan, small_faces, tmp_path, jobs=1, budget=20, report=report)
    assert begun, "20 seconds did not suffice for an epoch"
    assert outcome.stopped == [plan.cells[0].name]
    assert outcome.not_started == [plan.cells[1].name]
    again = plan_of([small(1, epochs=2000), small(0, epochs=2000)], small_faces, tmp_path)
    assert [(cell.config.seed, cell.state) for cell in again.cells] == [(0, "cut off"), (1, "new")]
    assert again.cells[0].epochs_done >= 1


def test_killed_at_any_moment(tmp_path, small_faces, undisturbed):
    """The whole grid, its driver alone, or one training is killed, again and again; nothing is lost."""
    moments = random.Random(11)
    killed = {"all": 0, "driver": 0, "training": 0}
    done = 0
    starts = 0
    count = 3 if KILLS < 10 else 12  # enough to train for so many kills
    while sum(killed.values()) < KILLS:
        if done == count:  # all recorded before the last kill: begin anew, elsewhere
            tmp_path = tmp_path / "more"
        starts += 1
        assert starts < 4 * KILLS
        process = start(small_faces, tmp_path, count=count)
        deadline = time.monotonic() + moments.uniform(0.5, 12)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if process.poll() is None:
            workers = workers_of(process)
            kind = moments.choice(["all", "driver", "training"])
            if kind == "all":
                kill([process, *workers])
            elif kind == "driver":
                kill([process])
            elif workers:
                kill([moments.choice(workers)])
                process.communicate(timeout=300)
            killed[kind] += 1
        kill([process])
        process.communicate(timeout=60)
        done = len(records_in(tmp_path))
    process = start(small_faces, tmp_path, count=count)
    output, _ = process.communicate(timeout=600)
    assert "OUTCOME" in output, output
    records = records_in(tmp_path)
    assert len(records) == count
    for name, record in undisturbed.items():
        assert records[name] == record, name
    for path in (tmp_path / "runs").rglob(".*-????????.*"):
        raise AssertionError(f"{path} was left behind")


def test_two_starts_at_once(tmp_path, small_faces):
    plan = plan_of([small()], small_faces, tmp_path)
    with (
        locked(tmp_path / "runs" / ".grid.lock", "held"),
        pytest.raises(FercourseError, match=r"is being filled by another process .*wait for it, or stop it"),
    ):
        run(plan, small_faces, tmp_path)
    with (
        locked(tmp_path / "run" / ".lock", "held"),
        pytest.raises(FercourseError, match="is being trained in by another process"),
    ):
        train_run(small(), load_faces(small_faces), tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_full_disk_loses_nothing(tmp_path, small_faces, undisturbed):
    """Files may grow to 20 KB only: no checkpoint fits. Then there is room again."""

    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from grids import plan_of, small\n"
        "from fercourse.sweep import run_grid\n"
        "data, folder = Path(sys.argv[2]), Path(sys.argv[3])\n"
        "outcome = run_grid(plan_of([small()], data, folder), str(data), runs=folder / 'runs',\n"
        "    results=folder / 'results', device='cpu', threads=1)\n"
        "print(outcome.failed)\n"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__), str(small_faces), str(tmp_path)]
    full = subprocess.run(command, capture_output=True, text=True, preexec_fn=no_room)
    assert "Cannot write" in full.stdout, full.stdout + full.stderr
    assert not records_in(tmp_path)
    outcome = run(plan_of([small()], small_faces, tmp_path), small_faces, tmp_path)
    assert len(outcome.recorded) == 1
    for name, record in records_in(tmp_path).items():
        assert record == undisturbed[name]


def test_a_clock_set_back_changes_nothing(tmp_path, small_faces, undisturbed, monkeypatch):
    now = [2_000_000_000.0]

    def backwards():
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", backwards)
    measured = measure_cell(small(), load_faces(small_faces), tmp_path, final=False, device="cpu", threads=1)
    record = json.loads(json.dumps(measured.record))
    del record["environment"]["commit"], record["history"]["seconds"]
    assert record == undisturbed[f"{record['name']}.json"]


def test_a_training_is_recorded_once_for_each_way_of_evaluating_it(tmp_path, small_faces, monkeypatch):
    """A row with test-time augmentation: two records of one training, and without one of them it is open."""
    config = small(0, max_steps=2, epochs=1)
    changes = {"epochs": 1, "batch_size": 16, "model_options": dict(config.model_options)}
    row = Row("basic_cnn", "smoke", "a test", changes, tta=("none", "ten-crop"))
    monkeypatch.setitem(GRIDS, "views", lambda: [row])
    assert evaluations(config) == ("none", "ten-crop")
    assert evaluations(small(0, epochs=2)) == ("none",)
    faces = load_faces(small_faces)
    measured = measure_cell(config, faces, tmp_path / "runs" / "a", final=False, device="cpu")
    path = keep(measured, tmp_path / "results")
    plain, crops = sorted(
        map(read_record, (tmp_path / "results" / "runs").glob("*.json")), key=lambda record: len(record.name)
    )
    assert (path.stem, crops.tta) == (plain.name, "ten-crop")
    assert plain.data["train_accuracy"] is not None
    assert crops.data["train_accuracy"] is None
    assert crops.data["val"]["nll"] != plain.data["val"]["nll"]
    assert plan_of([config], small_faces, tmp_path).cells[0].record == path
    (tmp_path / "results" / "runs" / f"{crops.name}.json").unlink()
    assert plan_of([config], small_faces, tmp_path).cells[0].record is None
    # Trained once more elsewhere: its ten crops are not put beside the first training's plain record.
    again = measure_cell(config, faces, tmp_path / "runs" / "b", final=False, device="cpu")
    with pytest.raises(FercourseError, match="is of another training with this configuration and seed"):
        keep(again, tmp_path / "results")
    assert not (tmp_path / "results" / "runs" / f"{crops.name}.json").exists()
    keep(measured, tmp_path / "results")
    assert (tmp_path / "results" / "runs" / f"{crops.name}.json").exists()


def test_records_of_other_data_are_refused(tmp_path, small_faces, undisturbed):
    assert undisturbed
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)
    name, record = next(iter(undisturbed.items()))
    record = json.loads(json.dumps(record))
    record["data"]["fingerprint"] = "0" * 64
    record["environment"]["commit"] = "unknown"
    record["history"]["seconds"] = [1.0] * 4
    (folder / name).write_text(json.dumps(record))
    with pytest.raises(FercourseError, match="recorded on other data"):
        plan_of([small(seed) for seed in range(3)], small_faces, tmp_path)


def test_a_record_of_a_gpu_counts_on_a_cpu_too(tmp_path, small_faces, undisturbed):
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)
    name, record = next(iter(undisturbed.items()))
    record = json.loads(json.dumps(record))
    record["environment"] |= {"commit": "unknown", "device_kind": "cuda"}
    record["history"]["seconds"] = [1.0] * 4
    record["name"] = record["name"].removesuffix("-cpu")
    (folder / name.replace("-cpu.json", ".json")).write_text(json.dumps(record))
    states = {
        cell.config.seed: cell.state for cell in plan_of([small(0), small(1)], small_faces, tmp_path).cells
    }
    assert states == {0: "recorded", 1: "new"}
    on_gpu = make_plan(
        [small(0)], load_faces(small_faces), runs=tmp_path, results=tmp_path / "results", device_kind="cuda"
    )
    assert on_gpu.cells[0].state == "recorded"


@pytest.mark.parametrize("batch_size", [64, 5000])
def test_the_pace_counts_the_steps_it_took(monkeypatch, batch_size):
    """Also with batches of which an epoch of the trial has fewer than it was asked for."""
    import torch

    monkeypatch.setattr(pace, "CPU_BATCH", 5000)
    monkeypatch.setattr(pace, "IMAGES", 128)
    stepper = pace.Stepper(small(batch_size=batch_size), torch.device("cpu"))
    begun = time.perf_counter()
    per_image = stepper.take(40)
    elapsed = time.perf_counter() - begun
    count = max(128, batch_size)
    assert int(stepper.totals.images) == count
    assert 0.3 * elapsed < per_image * count <= elapsed


def test_trainings_at_once_are_measured_and_a_waiting_worker_can_be_stopped(monkeypatch):
    monkeypatch.setattr(local, "TRIED_JOBS", (1, 2))
    monkeypatch.setattr(local, "TRIED_SECONDS", 0.5)
    jobs, rates = local.best_jobs(small().to_dict(), "cpu")
    assert jobs in rates
    assert all(rate > 0 for rate in rates.values())
    events = queue.Queue()
    job = {"job": "pace", "config": small().to_dict(), "device": "cpu", "seconds": 60}
    worker = local.Worker("waits", job, events, subprocess.DEVNULL)
    assert events.get(timeout=120)[1] == {"ready": True}
    worker.stop()
    assert events.get(timeout=60)[1] == {"status": 130}


def test_a_plan_says_how_long(tmp_path, small_faces):
    import torch

    config = small()
    measured = measure_pace(config, torch.device("cpu"))
    plan = plan_of([config, small(1)], small_faces, tmp_path)
    seconds = plan.seconds({pace_key(config): measured}, load_faces(small_faces))
    assert seconds[plan.cells[0].name] == pytest.approx(4 * measured * (160 + 100 / 3))
    growing = plan_of([small(sizes=[[0.5, 24]])], small_faces, tmp_path)
    assert pace_key(growing.cells[0].config) == pace_key(config)  # measured on whole images
    (told,) = growing.seconds({pace_key(config): measured}, load_faces(small_faces)).values()
    assert told == pytest.approx(measured * ((2 * 0.25 + 2) * 160 + 4 * 100 / 3))
    text = describe_plan(plan, seconds, 2)
    assert "2 trainings: 0 recorded, 0 cut off, 2 new." in text
    assert [duration(s) for s in (None, 5, 600, 7200)] == ["?", "5 s", "10 min", "2.0 h"]


def test_the_time_that_is_left_counts_small_images_for_less(monkeypatch, tmp_path):
    """Of four epochs the first two see a quarter of the pixels; the first was done in 10 s."""

    def trains(*_, on_epoch, **__):
        for done in (1, 3):
            on_epoch([{}] * done)
        raise KeyboardInterrupt

    clock, told = iter([0.0, 10.0, 60.0]), []
    monkeypatch.setattr("fercourse.runs.train_run", trains)
    monkeypatch.setattr(cell, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with pytest.raises(KeyboardInterrupt):
        measure_cell(small(sizes=[[0.5, 24]]), None, tmp_path, final=False, report=told.append)
    assert [event["seconds_left"] for event in told] == [None, 90.0, 40.0]


def test_on_ray_with_a_training_killed_and_the_driver_killed(tmp_path, small_faces):
    """Two workers of a Ray cluster on this machine: the same records as without Ray, whatever is killed."""
    pytest.importorskip("ray")

    def wait_for(found, process):
        deadline = time.monotonic() + 180
        while not (answer := found()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        return answer

    def trainings():
        names = ((each, each.name()) for each in psutil.process_iter() if each.is_running())
        return [each for each, name in names if name.startswith("ray::_train")]

    def states():
        return list((tmp_path / "runs").glob("*/last.safetensors"))

    process = start(small_faces, tmp_path, engine="ray", epochs=40)
    assert wait_for(states, process), process.communicate(timeout=60)
    first = states()[0].stat().st_mtime_ns
    kill(trainings()[:1])
    assert wait_for(lambda: states()[0].stat().st_mtime_ns > first and len(trainings()) == 2, process)
    kill([process])
    process.communicate(timeout=60)
    states_before = len(states())
    process = start(small_faces, tmp_path, engine="ray", epochs=40)
    output, _ = process.communicate(timeout=400)
    assert "OUTCOME" in output, output
    assert states_before >= 1
    assert len(records_in(tmp_path)) == 3, output
    folder = tmp_path / "without"
    process = start(small_faces, folder, epochs=40)
    output, _ = process.communicate(timeout=400)
    assert records_in(tmp_path) == records_in(folder)


def test_a_failure_on_ray_is_told(tmp_path, small_faces):
    pytest.importorskip("ray")
    from fercourse.sweep.on_ray import run_grid_on_ray

    with pytest.raises(FercourseError, match="No Ray cluster at auto"):
        run_grid_on_ray(
            plan_of([small()], small_faces, tmp_path),
            load_faces(small_faces),
            runs=tmp_path / "runs",
            results=tmp_path / "results",
            address="auto",
        )
