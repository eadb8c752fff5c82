"""The bench: what it compares is comparable, its clocks count right, its figures follow from measurements."""

from __future__ import annotations

import copy
import inspect
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import readme
import torch
from torch import nn
from torchvision import transforms

from fercourse.bench import ladder, page, usual, worker
from fercourse.bench import small as small_network
from fercourse.bench.jobs import FEWEST, Job, Window, take
from fercourse.bench.report import (
    check_record,
    load_records,
    markdown,
    markdown_small,
    read_record,
    report,
    times,
    where,
    write_record,
)
from fercourse.bench.run import Settings, plan
from fercourse.bench.summary import SAYS, SLOWER, published_peak, ratios, summarise
from fercourse.cli import main
from fercourse.device import Precision
from fercourse.errors import FercourseError
from fercourse.models import create_model
from fercourse.recipes import make_config
from fercourse.train import class_weights, make_optimizer, train_one_epoch

CPU = torch.device("cpu")
CLI = [sys.executable, "-m", "fercourse.cli"]


@pytest.fixture(scope="module")
def small_file(tmp_path_factory) -> Path:
    """A file of 130 noisy images in the layout of fer2013.csv."""
    pixels = np.random.default_rng(0).integers(0, 256, (130, 2304))
    rows = [f"{i % 7},{' '.join(map(str, row))},Training\n" for i, row in enumerate(pixels)]
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory, small_file: Path) -> dict:
    """The smallest record there is: one round of basic_cnn, made by the command itself."""
    path = tmp_path_factory.mktemp("bench") / "small.json"
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--models", "basic_cnn", "--parts", "train", "--seconds", "0", "--repeats", "1",
              "--device", "cpu", "--data", str(small_file), "--quiet", "--out", str(path)])  # fmt: skip
    assert not ended.value.code
    return read_record(path)


# What is compared ------------------------------------------------------------------------------------------


def recipe_of(compose: transforms.Compose) -> dict[str, object]:
    """Read torchvision's transforms as fields of an `Augmentation`."""
    flip, crop, scaling = compose.transforms
    (box,) = crop.transforms
    assert [type(step).__name__ for step in (flip, box, scaling)] == [
        "RandomHorizontalFlip", "RandomResizedCrop", "ToTensor",
    ]  # fmt: skip
    assert box.size == (48, 48)
    return {"flip": flip.p, "crop": crop.p, "crop_scale": tuple(box.scale), "crop_ratio": tuple(box.ratio)}


def test_the_usual_loop_augments_as_the_recipe_does() -> None:
    wanted = make_config("basic_cnn").augment
    found = recipe_of(usual.train_transform)
    assert found == {name: getattr(wanted, name) for name in found}
    assert not any((wanted.moves, wanted.erasing)), "the recipe does more than the usual loop"
    planted = transforms.Compose(
        [transforms.RandomHorizontalFlip(0.5),
         transforms.RandomApply([transforms.RandomResizedCrop(48, scale=(0.08, 1.0))], 0.5),
         transforms.ToTensor()]
    )  # fmt: skip
    assert recipe_of(planted) != found


def test_the_usual_loop_has_the_recipe_s_numbers() -> None:
    config = make_config("basic_cnn")
    (group,) = usual.make_optimizer(nn.Linear(2, 2)).param_groups
    assert (group["lr"], group["weight_decay"], group["fused"]) == (config.lr, config.weight_decay, None)
    images, labels = np.zeros((100, 48, 48), np.uint8), np.arange(100) % 7
    loader = usual.make_train_loader(images, labels)
    assert (loader.batch_size, loader.num_workers) == (config.batch_size, 2)
    first = next(iter(usual.make_test_loader(images + 255, labels, num_workers=0)))
    assert first[0].shape == (64, 1, 48, 48)
    assert first[0].max() == 1.0
    assert first[1].tolist() == labels[:64].tolist()
    assert "channels_last" not in inspect.getsource(usual)


def test_the_usual_loop_learns() -> None:
    """Two grey levels, two classes: a loop that only looked busy would stay at a half."""
    labels = np.arange(192) % 2
    images = np.where(labels, 200, 50).astype(np.uint8)[:, None, None].repeat(48, 1).repeat(48, 2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.BatchNorm1d(9), nn.Linear(9, 7))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    loader = usual.make_train_loader(images, labels, num_workers=0)
    losses = [usual.train(model, loader, nn.CrossEntropyLoss(), optimizer, CPU)[0] for _ in range(5)]
    assert losses[-1] < 0.3 * losses[0]
    held = usual.make_test_loader(images, labels, num_workers=0)
    assert usual.evaluate(model, held, nn.CrossEntropyLoss(), CPU)[1] == 1.0


def trained(loop: str, rung: ladder.Rung) -> tuple[float, dict[str, torch.Tensor]]:
    """Train 2 batches and a half by the engine or by the ladder's loop; return the loss and the weights."""
    config = make_config("basic_cnn")
    torch.manual_seed(1)
    images, labels = torch.randint(0, 256, (80, 48, 48), dtype=torch.uint8), torch.arange(80) % 7
    model = create_model("basic_cnn", widths=(4, 8))
    model.to(memory_format=torch.channels_last if rung.channels_last else torch.contiguous_format)
    weight = class_weights(np.bincount(labels.numpy()))
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(80)
    torch.manual_seed(3)
    if loop == "ladder":
        loss, _ = ladder.train_steps(
            model, images, labels, ladder.make_optimizer(model, rung), rung, order=order, batch_size=32,
            generator=generator, augmentation=config.augment, weight=weight,
        )  # fmt: skip
    else:
        totals = train_one_epoch(
            model, images, labels, make_optimizer(model, config), order=order, batch_size=32,
            generator=generator, augmentation=config.augment, weight=weight,
            precision=Precision("fp32", rung.channels_last),
        )  # fmt: skip
        loss = totals.loss.item() / int(totals.images)
    return loss, model.state_dict()


def test_the_top_of_the_ladder_is_the_engine_bit_for_bit() -> None:
    top = ladder.rungs("cpu", Precision("fp32", True))[-1]
    assert (top.item, top.channels_last, top.fused) == (False, True, True)
    (loss, ours), (other, theirs) = trained("ladder", top), trained("engine", top)
    assert loss == pytest.approx(other, rel=1e-6)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("rung", ladder.rungs("cpu", Precision("fp32", True)), ids=lambda rung: rung.name)
def test_every_rung_does_the_same_mathematics(rung: ladder.Rung) -> None:
    (loss, ours), (other, theirs) = trained("ladder", rung), trained("engine", rung)
    assert loss == pytest.approx(other, rel=1e-4)
    assert all(torch.allclose(ours[n].double(), theirs[n].double(), atol=2e-4) for n in ours)


def test_each_rung_changes_one_thing() -> None:
    for kind, precision in (
        ("cpu", Precision("fp32", True)),
        ("cuda", Precision("bf16", True)),
        ("cuda", Precision("fp16", True)),
        ("mps", Precision("fp32", False)),
    ):
        steps = ladder.rungs(kind, precision)
        for lower, upper in itertools.pairwise(steps):
            changed = [name for name in vars(upper) if getattr(upper, name) != getattr(lower, name)]
            assert len(changed) == 2, (kind, changed)  # its name, and what it is about
        assert steps[-1].precision == precision.name
        assert {rung.name for rung in steps} <= SAYS.keys()


# The clocks ------------------------------------------------------------------------------------------------


def test_the_window_times_work_and_waiting_and_nothing_before() -> None:
    def slow_loader():
        for _ in range(100):
            time.sleep(0.01)
            yield "batch"

    def owner(window: Window) -> int:
        worked = 0
        for _ in window:
            time.sleep(0.3 if worked == 0 else 0.02)  # a first step that is slow is not to count
            worked += 1
        return worked

    ended = []
    window = Window(slow_loader(), 0.2, warm_up=1, wait=lambda: None, at_end=lambda: ended.append(1))
    worked = owner(window)
    assert window.steps == worked - 1
    assert 0.03 <= window.elapsed / window.steps < 0.06
    assert window.elapsed >= 0.2
    assert ended == [1]
    shortest = Window(["a"], 0.0, warm_up=1, wait=lambda: None)  # begins its loader anew
    assert owner(shortest) == FEWEST + 1


def test_take_counts_the_steps_it_timed() -> None:
    calls: list[int] = []

    def run(steps: int) -> None:
        calls.append(steps)
        time.sleep(0.002 * steps)

    steps, elapsed = take(run, 0.2, warm_up=3, wait=lambda: None)
    assert calls[0] == 3
    assert steps == sum(calls[1:])
    assert 0.19 <= elapsed < 0.4
    assert len(calls) < 12, "it waits for the device too often"
    assert take(run, 0.0, 1, lambda: None)[0] == FEWEST


# The plan --------------------------------------------------------------------------------------------------


def test_what_is_compared_is_measured_side_by_side() -> None:
    mmacs = {"basic_cnn": 33.1, "resnet18": 1247.0}
    jobs = plan(Settings(models=tuple(mmacs), repeats=2), mmacs, CPU)
    first = [job.variant for job in jobs if (job.what, job.model, job.round) == ("train", "basic_cnn", 0)]
    second = [job.variant for job in jobs if (job.what, job.model, job.round) == ("train", "basic_cnn", 1)]
    assert {"usual", "on_device", "ours", "no workers", "one thread"} <= set(first)
    assert second == first[::-1]
    assert [j.variant for j in jobs if (j.what, j.model, j.round) == ("train", "resnet18", 0)] == [
        "usual",
        "ours",
    ]
    known = {"usual", "ours", *SAYS, *SLOWER}
    assert {job.variant for job in jobs if job.what == "train"} <= known
    assert not [job for job in jobs if job.what == "load"]
    readers = plan(Settings(models=("basic_cnn",), parts=("load",), repeats=1), mmacs, CPU, "fer2013.csv")[1:]
    assert [job.variant for job in readers] == ["usual", "ours", "cached"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ("resnet81",)}, "did you mean 'resnet18'"),
        ({"parts": ("trian",)}, "did you mean 'train'"),
        ({"models": ()}, "nothing to measure"),
        ({"repeats": 0}, "at least one repeat"),
        ({"seconds": -1.0}, "seconds from 0"),
        ({"seconds": float("nan")}, "seconds from 0"),
    ],
)
def test_a_mistake_is_one_sentence(options: dict, message: str) -> None:
    with pytest.raises(FercourseError, match=message):
        Settings(**options)


def test_too_few_images_are_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "fer2013.csv"
    row = f"3,{' '.join(['7'] * 2304)},Training\n"
    path.write_text("emotion,pixels,Usage\n" + 20 * row)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--data", str(path), "--quiet"])
    assert ended.value.code == 1
    assert "20 training images" in capsys.readouterr().err


# The record ------------------------------------------------------------------------------------------------


def test_a_small_bench_makes_a_record(measured: dict) -> None:
    taken = [(row["what"], row["variant"]) for row in measured["measurements"]]
    assert taken == [("matmul", "fp32"), ("train", "usual"), ("train", "ours")]
    usual_row, ours = measured["measurements"][1:]
    assert usual_row["steps"] == ours["steps"] == FEWEST
    assert (usual_row["channels_last"], ours["channels_last"]) == (False, True)
    assert usual_row["host_mib"] > usual_row["workers_mib"] > ours["workers_mib"] == 0
    assert measured["data"] == {"layout": "fer2013.csv", "training_images": 130}
    text = report(measured)
    assert f"{measured['summary']['train']['basic_cnn']['ratio']:.2f}x" in text
    assert "basic_cnn" in markdown([measured])


def test_a_busy_machine_is_told_by_its_scatter(measured: dict) -> None:
    assert "busy" not in where(measured)
    shaken = copy.deepcopy(measured)
    shaken["summary"]["train"]["basic_cnn"].update(low=0.5, high=1.5)
    assert "scatter 3.0-fold: a busy machine" in where(shaken)


def test_ratios_are_those_of_the_pairs() -> None:
    def row(variant: str, number: int, speed: float) -> dict:
        return {"variant": variant, "round": number, "images_per_second": speed}

    rows = [row("usual", 0, 10), row("ours", 0, 20), row("ours", 1, 12), row("usual", 1, 4),
            row("usual", 2, 8), row("ours", 2, 8), row("ours", 3, 99)]  # fmt: skip
    found = ratios(rows, "ours", "usual")
    assert found == {"value": 12, "against": 8, "ratio": 2.0, "low": 1.0, "high": 3.0}
    assert ratios(rows, "graphs", "usual") is None


def test_the_summary_follows_from_the_measurements(measured: dict) -> None:
    row = measured["summary"]["train"]["basic_cnn"]
    matmul, usual_row, ours = measured["measurements"]
    assert row["ratio"] == ours["images_per_second"] / usual_row["images_per_second"]
    share = 6e6 * measured["mmacs"]["basic_cnn"] * ours["images_per_second"] / matmul["flops"]
    assert row["ours_share"] == pytest.approx(share)
    assert 0.01 < share < 1
    faster = copy.deepcopy(measured)
    faster["measurements"][2]["images_per_second"] *= 2
    with pytest.raises(FercourseError, match="does not follow from its measurements"):
        check_record(faster, "It")
    faster["summary"] = summarise(faster)
    assert check_record(faster, "It")["summary"]["train"]["basic_cnn"]["ratio"] == 2 * row["ratio"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.pop("environment"),
        lambda record: record["measurements"][1].pop("host_mib"),
        lambda record: record["measurements"][1].update(steps=1),
        lambda record: record["measurements"][1].update(what="dream"),
        lambda record: record.update(hostname="mine"),
    ],
)
def test_a_damaged_record_is_refused(measured: dict, damage, tmp_path: Path) -> None:
    broken = copy.deepcopy(measured)
    damage(broken)
    with pytest.raises(FercourseError, match="not a bench's record"):
        write_record(broken, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_what_is_written_is_read_again(measured: dict, tmp_path: Path) -> None:
    write_record(measured, tmp_path / "bench" / "a.json")
    assert load_records(tmp_path) == [measured]
    (tmp_path / "bench" / "b.json").write_text("{")
    with pytest.raises(FercourseError, match="cannot be read"):
        load_records(tmp_path)
    assert load_records(tmp_path / "nowhere") == []


def test_known_cards_have_a_peak() -> None:
    assert published_peak("NVIDIA H200") == 989e12
    assert published_peak("Tesla T4") == 65e12
    assert published_peak("NVIDIA A100-SXM4-80GB") == 312e12
    assert published_peak("NVIDIA L40S") is None  # not an L4
    assert published_peak("CPU (AMD EPYC, 2 threads)") is None


def test_the_readme_and_the_page_show_what_is_recorded(root: Path) -> None:
    records = load_records(root / "results")
    assert records, "there is no record in results/bench"
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_table(text, markdown(records)) == text, "run `python tools/readme.py`"
    changed = copy.deepcopy(records)
    for row in changed[0]["summary"]["train"].values():
        row["ratio"] += 0.01
    assert readme.with_table(text, markdown(changed)) != text
    page = nbformat.read(root / "notebooks" / "why_is_it_fast.ipynb", as_version=4)
    shown = json.dumps([cell.get("outputs", "") for cell in page.cells])
    for record in records:
        for row in record["summary"]["train"].values():
            assert times(row) in shown, "run `make notebooks`"
    with pytest.raises(ValueError, match="lost its marks"):
        readme.with_table("no marks", "table")


def test_records_hold_nothing_of_the_machine_they_come_from(root: Path) -> None:
    for record in load_records(root / "results"):
        assert not record["environment"]["commit"].endswith("+changes"), "measure from a clean checkout"
        assert record["data"]["layout"] in ("synthetic", "fer2013.csv")


# The small network -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(tmp_path_factory, small_file: Path) -> dict:
    """One round of the small network, one picture at a time, made by the command itself."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("bench") / "small.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_network, "BATCH_SIZES", (1,))
        with pytest.raises(SystemExit) as ended:
            main(["bench", "--parts", "small", "--seconds", "0", "--repeats", "1", "--device", "cpu",
                  "--data", str(small_file), "--quiet", "--out", str(path)])  # fmt: skip
    assert not ended.value.code
    return read_record(path)


def test_the_small_network_s_programs_take_turns() -> None:
    pytest.importorskip("onnxruntime")
    jobs = plan(Settings(models=("basic_cnn",), parts=("small",), repeats=2), {"basic_cnn": 33.1}, CPU)
    programs = ["PyTorch", "onnxruntime", "onnxruntime, 8 bits"]
    assert [(job.what, job.variant) for job in jobs[:3]] == [("small", name) for name in programs]
    assert [job.variant for job in jobs if job.round == 1 and job.batch_size == 64] == programs[::-1]
    assert sorted({(job.round, job.batch_size) for job in jobs}) == [(0, 1), (0, 64), (1, 1), (1, 64)]
    assert len(jobs) == 12
    assert small_network.variants("cuda") == ["PyTorch"]


def test_a_record_of_the_small_network(answered: dict) -> None:
    assert [row["precision"] for row in answered["measurements"]] == ["fp32", "fp32", "int8"]
    assert {row["batch_size"] for row in answered["measurements"]} == {1}
    first, *others = answered["summary"]["small"]
    assert (first["variant"], first["ratio"]) == ("PyTorch", 1)
    for row, measurement in zip(others, answered["measurements"][1:], strict=True):
        assert row["value"] == measurement["images_per_second"]
        assert row["ratio"] == row["value"] / first["value"]
    text = report(answered)
    assert "The small network, images a second" in text
    assert "Training" not in text
    assert "in batches of" not in text
    assert f"{others[1]['ratio']:.2f}x" in markdown_small([answered])
    damaged = copy.deepcopy(answered)
    damaged["measurements"][0].pop("batch_size")
    with pytest.raises(FercourseError, match="'batch_size' is a required property"):
        check_record(damaged, "It")


def test_the_page_takes_turns_one_face_at_a_time() -> None:
    settings = Settings(models=("basic_cnn",), parts=("small",), repeats=2)
    jobs = plan(settings, {"basic_cnn": 33.1}, CPU, book=True)
    in_page = [job for job in jobs if job.variant in page.PAGES]
    assert [(job.round, job.batch_size) for job in in_page] == [(0, 1), (0, 1), (1, 1), (1, 1)]
    assert [job.variant for job in in_page[2:]] == [job.variant for job in in_page[:2]][::-1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no built book .*make book"),
        ("{", "holds no built book"),
        ('{"runtime": {"missing": "no npm"}}', r"cannot run a network \(no npm\)"),
        ('{"runtime": {"missing": ""}}', "there is none: install it, or name it in CHROMIUM"),
    ],
)
def test_a_book_that_cannot_be_measured(
    content: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright")
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if content is not None:
        (tmp_path / page.SCRIPTS).mkdir(parents=True)
        (tmp_path / page.SCRIPTS / "demo.json").write_text(content)
    with pytest.raises(FercourseError, match=said):
        page.check_book(tmp_path)


@pytest.mark.parametrize("variant", small_network.VARIANTS)
def test_every_program_answers_as_many_images_as_are_counted(variant: str, monkeypatch) -> None:
    pytest.importorskip("onnxruntime")
    from fercourse import predict as package

    asked: list[tuple[int, int]] = []
    right = package.load_network

    def counted(path, **options):
        network = right(path, **options)

        def logits(images: np.ndarray, batch_size: int) -> np.ndarray:
            found = network.logits(images, batch_size)
            asked.append((len(found), batch_size))
            return found

        return package.Network(network.name, logits)

    monkeypatch.setattr(package, "load_network", counted)
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    found = worker.measure(Job("small", variant, "small", 0, 4), images, np.zeros(3, int), CPU, 0)
    assert {size for _, size in asked} == {4}
    taken = 4 * (found["steps"] + 1)  # and a batch to warm up
    assert sum(count for count, _ in asked) == taken
    assert found["images_per_second"] == pytest.approx(4 * found["steps"] / found["seconds"])


def test_the_readme_shows_the_small_network(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    table = markdown_small(load_records(root / "results", "bench/small"))
    assert readme.with_table(text, table, *readme.SMALL) == text, "run `python tools/readme.py`"


# Ends ------------------------------------------------------------------------------------------------------


def running(group_of: str) -> list[int]:
    """Process ids whose environment holds the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if group_of.encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, small_file: Path) -> None:
    mark = f"FERCOURSE_BENCH_TEST={os.getpid()}"
    out = tmp_path / "never.json"
    process = subprocess.Popen(
        [*CLI, "bench", "--models", "basic_cnn", "--parts", "train", "--seconds",
         "600", "--device", "cpu", "--data", str(small_file), "--out", str(out)],
        stderr=subprocess.PIPE, text=True, env={**os.environ, mark.split("=")[0]: mark.split("=")[1]},
    )  # fmt: skip
    try:
        # The command, its server with the resource tracker, the measurement, and the loader's two workers.
        deadline = time.monotonic() + 60
        while len(running(mark)) < 6 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(running(mark)) >= 6, "the measurement did not start"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        assert "Nothing was written" in said
        assert "Traceback" not in said
        deadline = time.monotonic() + 10
        while running(mark) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not running(mark)
        assert not out.exists()
    finally:
        for left in running(mark):
            os.kill(left, signal.SIGKILL)
        process.wait()


def test_a_measurement_that_fails_says_which(small_file: Path) -> None:
    from fercourse.bench.run import Bench
    from fercourse.data import load_faces

    with Bench(load_faces(small_file), Settings(), CPU, None) as bench:
        with pytest.raises(FercourseError, match="Measuring train basic_cnn nonsense failed"):
            bench.take(Job("train", "nonsense", "basic_cnn"))
        folder = bench.images.parent
        assert folder.exists()
    assert not folder.exists()
