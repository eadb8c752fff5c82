"""Distillation: the loss by hand, the same training however it is run, and no teacher that must not teach."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from test_train import assert_same, faces, record_on_tape, settings, step_module, step_once, tiny, train_tiny
from torch.nn import functional as F

from fercourse.data import load_faces
from fercourse.errors import FercourseError
from fercourse.grids import GRIDS
from fercourse.recipes import make_config
from fercourse.regularise import distillation_loss
from fercourse.runs import train_run
from fercourse.sweep.pace import Stepper
from fercourse.sweep.plan import pace_key
from fercourse.teachers import TEACHERS, load_teachers, teacher_runs
from fercourse.train import Lesson, Teachers, fit

SMALL = {"widths": (8, 8, 8, 8), "dense_width": 16}
TAUGHT = {"teacher": "a+b", "teacher_share": 0.75, "teacher_temperature": 2.0}


def teachers(temperature: float = 2.0, seed: int = 5) -> Teachers:
    torch.manual_seed(seed)
    return Teachers([tiny(), tiny()], temperature)


def test_several_are_asked_as_one() -> None:
    both = teachers(3.0)
    images = torch.rand(4, 1, 48, 48)
    mean = torch.stack([(member(images) / 3).softmax(1) for member in both.members]).mean(0)
    assert torch.allclose((both(images) / 3).softmax(1), mean, atol=1e-6)
    assert not both.training
    assert not any(one.requires_grad for one in both.parameters())
    sure = Teachers(both.members, 1e-3)  # shares too small for a float32
    assert sure(images).isfinite().all()
    alone = Teachers(list(both.members)[:1], 3.0)
    assert torch.allclose(alone(images).softmax(1), both.members[0](images).softmax(1), atol=1e-5)


@pytest.mark.parametrize("share", [None, 0.3])
def test_the_loss_of_a_taught_step_by_hand(share: float | None) -> None:
    lesson = Lesson(teachers(), 0.75)
    images, labels = torch.from_numpy(faces(100).images[:8]), torch.from_numpy(faces(100).labels[:8])
    before = lesson.teachers.digest()
    totals, logits = step_once(None if share is None else torch.tensor([share]), labels, lesson=lesson)
    seen = images[:, None] / 255
    own = F.cross_entropy(logits, labels)
    if share is not None:
        seen = share * seen + (1 - share) * seen.roll(1, 0)
        own = share * own + (1 - share) * F.cross_entropy(logits, labels.roll(1, 0))
    with torch.no_grad():
        taught = lesson.teachers(seen)
    softened = (taught / 2).softmax(1)
    far = (softened * (softened.log() - (logits / 2).log_softmax(1))).sum(1).mean()
    assert totals.batch_losses.item() == pytest.approx((0.75 * 4 * far + 0.25 * own).item(), rel=1e-5)
    assert lesson.teachers.digest() == before
    if share is None:  # what chapter 11 teaches is the same loss
        expected = distillation_loss(logits, taught, labels, temperature=2.0, weight=0.75)
        assert totals.batch_losses.item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_interrupted_training_goes_on_with_the_same_teachers(tmp_path: Path) -> None:
    config = settings(**TAUGHT, mixup=0.4, ema=0.5)
    whole = train_tiny(config, tmp_path / "whole", teachers=teachers())
    untaught = train_tiny(settings(mixup=0.4, ema=0.5))
    assert whole[1].batch_losses != untaught[1].batch_losses

    def stop(history: list[dict[str, float]]) -> None:
        if len(history) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_tiny(config, tmp_path / "cut", teachers=teachers(), on_epoch=stop, checkpoint_seconds=0)
    again = tiny()
    data = (faces(100), faces(40, 1), config)
    options = {"out": tmp_path / "cut", "resume": True, "device": "cpu", "progress": False}
    with pytest.raises(FercourseError, match="with other teachers"):
        fit(again, *data, teachers=teachers(seed=6), **options)
    assert_same(*whole, again, fit(again, *data, teachers=teachers(), **options))


def test_captured_steps_are_taught_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(**TAUGHT, lr=2**-7, factor=0.5, patience=1)
    plain, recorded = train_tiny(config, teachers=teachers()), []

    class OnTape(step_module.StepGraphs):
        def __init__(self, step, optimizer, generator, totals, order, **_):
            capture = record_on_tape([step.args[0]], optimizer, totals, recorded)
            super().__init__(step, optimizer, generator, totals, order, capture)

    monkeypatch.setattr(step_module, "StepGraphs", OnTape)
    captured = train_tiny(config, teachers=teachers(), graphs=True)
    assert recorded
    assert_same(*plain, *captured)


@pytest.mark.parametrize(("changes", "given"), [({}, True), (TAUGHT, False)])
def test_teachers_are_given_where_they_are_asked_for(changes: dict, given: bool) -> None:
    with pytest.raises(FercourseError, match="were given"):
        train_tiny(settings(**changes), teachers=teachers() if given else None)


# Runs -------------------------------------------------------------------------------------------------------


def small(**changes):
    values = {"epochs": 2, "max_steps": 4, "batch_size": 16, "model_options": SMALL, **changes}
    return make_config("basic_cnn", "smoke", **values)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, small_faces: Path) -> Path:
    """Two finished teachers, one that has seen val, one of the track extra."""
    folder = tmp_path_factory.mktemp("runs")
    configs = {
        "one": small(),
        "two": small(seed=1),
        "seen-val": small(fit_on="train+val", schedule="constant"),
        "more": small(track="extra"),
    }
    for name, config in configs.items():
        train_run(config, load_faces(small_faces), folder / name, device="cpu", progress=False)
    return folder


def test_a_run_is_taught_by_runs_beside_it(runs: Path, small_faces: Path) -> None:
    loaded = load_faces(small_faces)
    config = small(teacher="one+two")
    _, result = train_run(config, loaded, runs / "taught", device="cpu", progress=False)
    _, plain = train_run(small(), loaded, runs / "plain", device="cpu", progress=False)
    assert result.history[0]["train_loss"] != plain.history[0]["train_loss"]
    # What a run on a CPU is called is found by the name without it.
    shutil.move(runs / "two", runs / "two-cpu")
    try:
        _, again = train_run(config, loaded, runs / "again", device="cpu", progress=False)
    finally:
        shutil.move(runs / "two-cpu", runs / "two")
    assert again.batch_losses == result.batch_losses


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("thre", r"teacher thre has no run in .*train it first"),
        ("one+seen-val", "seen-val was trained on val too"),
        ("more", "is of the track 'extra'"),
    ],
)
def test_who_must_not_teach_is_named(runs: Path, small_faces: Path, teacher: str, said: str) -> None:
    with pytest.raises(FercourseError, match=said):
        load_teachers(small(teacher=teacher), load_faces(small_faces).fingerprint, runs)


def test_a_teacher_that_is_missing_is_missed_before_anything_is_written(
    runs: Path, small_faces: Path
) -> None:
    with pytest.raises(FercourseError, match="train it first"):
        train_run(small(teacher="nobody"), load_faces(small_faces), runs / "early", progress=False)
    assert not [path.name for path in (runs / "early").iterdir() if path.name != ".lock"]


def test_who_has_seen_val_may_teach_who_will(runs: Path, small_faces: Path) -> None:
    config = small(teacher="seen-val", fit_on="train+val", schedule="constant")
    found = load_teachers(config, load_faces(small_faces).fingerprint, runs)
    assert found is not None
    assert len(found.members) == 1


def test_a_teacher_of_other_data_or_unfinished_is_refused(
    runs: Path, small_faces: Path, tmp_path: Path
) -> None:
    with pytest.raises(FercourseError, match="trained on other data"):
        load_teachers(small(teacher="one"), "0" * 64, runs)
    shutil.copytree(runs / "one", tmp_path / "one")
    run = json.loads((tmp_path / "one" / "run.json").read_text())
    # As if more had been asked for: the checkpoint says so as well.
    from fercourse.checkpoint import load_checkpoint, save_checkpoint

    run["config"]["epochs"] = 5
    tensors, facts = load_checkpoint(tmp_path / "one" / "best.safetensors")
    facts["identity"]["config"]["epochs"] = 5
    save_checkpoint(tmp_path / "one" / "best.safetensors", tensors, facts)
    (tmp_path / "one" / "run.json").write_text(json.dumps(run))
    with pytest.raises(FercourseError, match="finished 2 of 5 epochs"):
        load_teachers(small(teacher="one"), load_faces(small_faces).fingerprint, tmp_path)


# What is planned --------------------------------------------------------------------------------------------


def test_a_company_is_of_the_grid_strong() -> None:
    from fercourse.grids import grid
    from fercourse.records import record_name

    known = {record_name(config.to_dict(), "fer2013.csv", "cuda") for config in grid("strong", seeds=5)}
    assert set(TEACHERS["strong"]) <= known
    (row,) = GRIDS["distilled"]()
    config = make_config(row.model, row.recipe, **row.changes)
    assert teacher_runs(config) == TEACHERS["strong"]
    assert record_name(config.to_dict(), "fer2013.csv", "cuda") == "small_vgg-strong-teacher=strong-seed0"


def test_the_pace_counts_the_teachers() -> None:
    config = small(teacher="resnet18-strong-seed0")
    stepper = Stepper(config, torch.device("cpu"))
    assert len(stepper.arguments["lesson"].teachers.members) == 1
    assert pace_key(config) != pace_key(small())
    assert stepper.take(1) > Stepper(small(), torch.device("cpu")).take(1)
