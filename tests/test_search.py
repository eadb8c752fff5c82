"""Searches: resumed as if undisturbed, judged on val alone, and honest about the luck of the best."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import example_search

pytest.importorskip("optuna")
from fercourse import runs
from fercourse.cli import main
from fercourse.data import load_faces
from fercourse.data.faces import Faces, FaceSet
from fercourse.errors import FercourseError
from fercourse.files import locked
from fercourse.models import MODELS
from fercourse.recipes import RECIPES, make_config
from fercourse.runs import evaluate_run
from fercourse.search import report, study
from fercourse.search.luck import expected_maximum, luck_of
from fercourse.search.records import (
    check_search,
    load_searches,
    read_search_record,
    record_of,
    write_search,
)
from fercourse.search.run import LOCK, distributions_of, run_search
from fercourse.search.space import KNOBS, config_of, space_of, values_of

SMALL = {"widths": (8, 8, 8, 8), "dense_width": 16}
TRIALS = 6


def base(**changes: Any):
    """Trainings of a second: four epochs of eight small steps."""
    values = {"epochs": 4, "max_steps": 8, "batch_size": 16, "model_options": SMALL, **changes}
    return make_config("basic_cnn", "smoke", **values)


def asked(faces: Faces, config=None, **limits: Any) -> study.Search:
    config = config or base()
    limits = {"fixed": ("batch_size",), **limits}
    return study.search_of(config, space_of(config, **limits), faces, "cpu")


def arguments(data: Path, out: Path, *more: object) -> list[str]:
    """The command line of the search that `asked` describes."""
    settings = ("epochs=4", "max_steps=8", "batch_size=16", "model_options.widths=[8,8,8,8]",
                "model_options.dense_width=16")  # fmt: skip
    given = [word for setting in settings for word in ("--set", setting)]
    return ["search", "basic_cnn", "--recipe", "smoke", "--data", str(data), "--out", str(out), "--device",
            "cpu", *given, *map(str, more)]  # fmt: skip


def fails(capsys, *words: object) -> str:
    """Return the one sentence of a command that must fail."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    error = capsys.readouterr().err
    assert ended.value.code == 1, error
    (line,) = [line for line in error.splitlines() if line.startswith("fercourse: ")]
    return line


def found(folder: Path) -> list[dict[str, Any]]:
    """All trials, without the seconds."""
    trials = study.trials_of(study.open_study(folder))
    return [{key: value for key, value in vars(trial).items() if key != "seconds"} for trial in trials]


@pytest.fixture(scope="module")
def faces(small_faces: Path) -> Faces:
    return load_faces(small_faces)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, faces: Faces) -> Path:
    """A search that nothing disturbed."""
    folder = tmp_path_factory.mktemp("searches") / "undisturbed"
    outcome = run_search(asked(faces), faces, folder, trials=TRIALS, device="cpu", progress=False)
    assert not outcome.stopped
    assert len(outcome.trials) == TRIALS
    return folder


# --- What is searched ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("model", MODELS)
def test_the_whole_space_makes_configurations(model: str, recipe: str) -> None:
    config = make_config(model, recipe)
    space = space_of(config)
    for pick in (lambda span: span.low, lambda span: span.high, lambda span: (span.low + span.high) / 3):
        values = {k: span.choices[-1] if span.choices else pick(span) for k, span in space.items()}
        tried = config_of(config, values)
        assert tried.lr == pytest.approx(values["lr"], rel=1e-2)
        assert tried != config
        assert {name: KNOBS[name].value(tried) for name in space} == pytest.approx(values, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("model", ["basic_cnn", "small_vgg", "resnet18"])
def test_the_quick_recipe_lies_in_its_own_space(model: str) -> None:
    config = make_config(model, "quick")
    own = config_of(config, values_of(config, space_of(config)))
    dropout = own.model_options["dropout"]
    assert replace(own, model_options={}) == config
    assert dropout == KNOBS["dropout"].value(config)


def test_what_is_set_or_not_named_is_not_searched() -> None:
    config = make_config("small_vgg", "quick")
    assert "lr" not in space_of(config, fixed=("lr", "epochs"))
    assert list(space_of(config, only=["erasing", "lr"])) == ["lr", "erasing"]
    assert "rotation_degrees" not in space_of(make_config("small_vgg", "paper1"))
    with pytest.raises(FercourseError, match=r"no hyperparameter 'learning'"):
        space_of(config, only=["learning"])
    with pytest.raises(FercourseError, match="did you mean 'dropout'"):
        space_of(config, only=["drop_out"])
    with pytest.raises(FercourseError, match="--set lr holds it"):
        space_of(config, only=["lr"], fixed=("lr",))
    with pytest.raises(FercourseError, match="does not use it"):
        space_of(config, only=["crop"])


# --- Under way ----------------------------------------------------------------------------------------------


def test_the_first_trial_is_the_recipe_and_each_is_an_ordinary_run(undisturbed: Path, faces: Faces) -> None:
    trials = study.trials_of(study.open_study(undisturbed))
    search = asked(faces)
    assert trials[0].params == pytest.approx(values_of(search.base, search.space))
    assert len({tuple(trial.params.items()) for trial in trials}) == TRIALS
    assert [trial.run for trial in trials] == [f"trial-{number:03d}" for number in range(1, TRIALS + 1)]
    best = report.best_first(trials)[0]
    assert best.value == max(trial.value for trial in trials if trial.state == "complete")
    measured = evaluate_run(undisturbed / best.run, faces, device="cpu", progress=False)["val"]
    assert measured["accuracy"] == pytest.approx(best.value)
    complete = [trial for trial in trials if trial.state == "complete"]
    curves = [val_curve(undisturbed / trial.run) for trial in complete]
    assert [trial.value for trial in complete] == pytest.approx([max(curve) for curve in curves])
    run = json.loads((undisturbed / best.run / "run.json").read_text())
    assert run["config"] == study.trial_config(search, best.params).to_dict()
    assert not list(undisturbed.glob("*/last.safetensors")), "the disk fills with states nobody needs"


def val_curve(run: Path) -> list[float]:
    with (run / "history.csv").open(newline="") as file:
        return [float(row["val_accuracy"]) for row in csv.DictReader(file)]


def test_a_trial_counts_by_its_best_epoch(
    faces: Faces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose weights the run keeps; so small a training seldom has a first, a best and a last that differ."""

    def trained(*args: Any, **options: Any) -> Any:
        path, fit = train_run(*args, **options)
        for row, accuracy in zip(fit.history, (0.1, 0.4, 0.3, 0.2), strict=True):
            row["val_accuracy"] = accuracy
        return path, fit

    train_run = runs.train_run
    monkeypatch.setattr(runs, "train_run", trained)
    outcome = run_search(asked(faces), faces, tmp_path / "s", trials=1, device="cpu", progress=False)
    assert [trial.value for trial in outcome.trials] == [0.4]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_was_stopped_finds_what_an_undisturbed_one_finds(
    how: signal.Signals, undisturbed: Path, small_faces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    goes = arguments(small_faces, out, "--trials", TRIALS, "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-m", "fercourse.cli", *goes],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FERCOURSE_CHECKPOINT_SECONDS": "0"},
    )
    history = out / "trial-003" / "history.csv"
    while process.poll() is None and not (history.exists() and len(history.read_text().splitlines()) > 2):
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate(timeout=120)
    assert process.returncode == (-9 if how == signal.SIGKILL else 130), said
    if how == signal.SIGINT:
        assert "the same command goes on" in said
        assert "Traceback" not in said
    # Its first epoch, of which the state was saved: of a training that began anew the seconds would differ.
    first = history.read_text().splitlines()[:2]
    main_of(goes)
    assert history.read_text().splitlines()[:2] == first
    assert found(out) == found(undisturbed)
    after = study.open_study(out)
    assert study.interruptions(after) == 1
    taken_up = [trial for trial in after.get_trials() if study.CONTINUES in trial.user_attrs]
    cut_off = [trial for trial in after.get_trials() if trial.state.name == "FAIL"]
    assert [trial.user_attrs[study.CONTINUES] for trial in taken_up] == [trial.number for trial in cut_off]
    assert [trial.params for trial in taken_up] == [trial.params for trial in cut_off]


def main_of(words: list[str]) -> None:
    """Run a command that must succeed, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code in (0, None)


def test_more_trials_go_on_from_those_there_are(undisturbed: Path, faces: Faces, tmp_path: Path) -> None:
    search, options = asked(faces), {"device": "cpu", "progress": False}
    for trials in (2, 2, 3):
        outcome = run_search(search, faces, tmp_path / "s", trials=trials, **options)
        assert len(outcome.trials) == trials
    assert found(tmp_path / "s") == found(undisturbed)[:3]
    # Another seed trains the recipe otherwise, and proposes something else.
    other = asked(faces, base(seed=1))
    run_search(other, faces, tmp_path / "other", trials=2, **options)
    theirs, ours = found(tmp_path / "other"), found(undisturbed)
    assert theirs[0]["params"] == ours[0]["params"]
    assert theirs[1]["params"] != ours[1]["params"]


class Closed(FaceSet):
    """A test split that may be counted and not looked at, once it is closed."""

    closed = False

    def __getattribute__(self, name: str) -> Any:
        if name in ("images", "labels") and Closed.closed:
            raise AssertionError(f"the {name} of the test split were asked for")
        return super().__getattribute__(name)

    def __len__(self) -> int:
        return 100


def test_the_test_split_is_never_opened(faces: Faces, tmp_path: Path, undisturbed: Path) -> None:
    class Sealed(Faces):
        fingerprint = faces.fingerprint  # of all splits, as run.json has it

    closed = Closed(faces.test.images, faces.test.labels, "test", faces.test.rows)
    sealed = Sealed(faces.train, faces.val, closed, faces.layout, faces.source)
    try:
        Closed.closed = True
        with pytest.raises(AssertionError, match="asked for"):
            sealed.test.labels.any()
        run_search(asked(sealed), sealed, tmp_path / "s", trials=1, device="cpu", progress=False)
    finally:
        Closed.closed = False
    assert found(tmp_path / "s") == found(undisturbed)[:1]
    assert "test" not in json.dumps(found(undisturbed))


def test_a_trial_that_is_behind_is_stopped_early(faces: Faces, tmp_path: Path) -> None:
    import optuna

    folder, search = tmp_path, asked(faces)
    kept = study.open_study(folder, create=True)
    study.begin(kept, search, folder)
    # Five trials that are nearly always right: whoever comes after them is behind.
    for number in range(study.UNPRUNED):
        params = {**values_of(search.base, search.space), "erasing": 0.1 * number}
        kept.add_trial(
            optuna.trial.create_trial(
                params=params,
                distributions=distributions_of(search),
                value=0.99,
                intermediate_values=dict.fromkeys(range(1, 5), 0.99),
            )
        )
    outcome = run_search(search, faces, folder, trials=study.UNPRUNED + 1, device="cpu", progress=False)
    (pruned,) = [trial for trial in outcome.trials if trial.state != "complete"]
    assert (pruned.state, pruned.epochs) == ("pruned", search.warm_up)
    assert pruned.value is not None
    assert report.counts_told(outcome.trials) == "6 trials: 5 complete, 1 stopped early"
    assert not list((folder / pruned.run).glob("*.safetensors"))
    assert pruned not in report.best_first(outcome.trials)


def test_a_training_that_diverges_is_a_failed_trial_and_all_goes_on(faces: Faces, tmp_path: Path) -> None:
    search = asked(faces, base(lr=1e30, epochs=1))
    outcome = run_search(search, faces, tmp_path, trials=2, device="cpu", progress=False)
    assert [trial.state for trial in outcome.trials] == ["failed", "failed"]
    assert "The loss became" in outcome.trials[0].reason
    assert outcome.trials[0].value is None
    with pytest.raises(FercourseError, match="0 trials have run to their end"):
        record_of(study.open_study(tmp_path), None)


def test_the_budget_ends_in_time_and_keeps_the_state(faces: Faces, tmp_path: Path) -> None:
    search, begun = asked(faces, base(epochs=2000)), time.monotonic()
    options: dict[str, Any] = {"trials": 2, "device": "cpu", "progress": False}
    outcome = run_search(search, faces, tmp_path, budget=4.0, **options)
    assert outcome.stopped == "budget"
    assert time.monotonic() - begun < 40  # of many minutes
    assert outcome.trials == []
    epochs = len((tmp_path / "trial-001" / "history.csv").read_text().splitlines())
    outcome = run_search(search, faces, tmp_path, budget=2.0, **options)
    assert outcome.stopped == "budget"
    assert len((tmp_path / "trial-001" / "history.csv").read_text().splitlines()) > epochs
    assert not (tmp_path / "trial-002").exists()
    assert study.interruptions(study.open_study(tmp_path)) == 2


def test_the_time_and_the_space_are_told_beforehand(small_faces: Path, tmp_path: Path, capsys) -> None:
    main_of(arguments(small_faces, tmp_path / "new", "--trials", 30, "--over", "lr,erasing", "--plan"))
    told = capsys.readouterr().out
    assert re.search(r"^lr +0.0001 to 0.01, logarithmic +\w+", told, re.M)
    assert "dropout" not in told
    assert re.search(r"30 of 30 trials to go, 4 epochs each: about \d+ \w+ on CPU", told)
    main_of(arguments(small_faces, tmp_path / "new", "--trials", 9999, "--budget", 1, "--plan"))
    assert re.search(r"enough for about \d+ of them", capsys.readouterr().out)
    assert not (tmp_path / "new").exists()


# --- Mistakes -----------------------------------------------------------------------------------------------


def test_a_folder_of_another_search_is_refused(
    undisturbed: Path, small_faces: Path, faces: Faces, capsys
) -> None:
    goes = arguments(small_faces, undisturbed, "--trials", TRIALS)
    said = [
        fails(capsys, "search", "small_vgg", *goes[2:16]),
        fails(capsys, *goes, "--over", "lr,erasing"),
        fails(capsys, *goes, "--seed", 3),
        fails(capsys, *goes[:5], "synthetic-easy", *goes[6:]),
    ]
    assert "model = 'basic_cnn', not 'small_vgg'" in said[0]
    assert "holds a search over lr, weight_decay" in said[1]
    assert "seed = 0, not 3" in said[2]
    assert "with layout" in said[3]
    assert all(str(undisturbed) in line for line in said)
    on_gpu = replace(asked(faces), device_kind="cuda")
    with pytest.raises(FercourseError, match="a search on cpu, not on cuda"):
        run_search(on_gpu, faces, undisturbed, trials=TRIALS)
    with locked(undisturbed / LOCK, "held"):
        status = subprocess.run(
            [sys.executable, "-m", "fercourse.cli", *arguments(small_faces, undisturbed, "--trials", 99)],
            capture_output=True,
            text=True,
        )
    assert status.returncode == 1
    assert "is being searched in by another process" in status.stderr


def test_wrong_input_is_answered(undisturbed: Path, small_faces: Path, tmp_path: Path, capsys) -> None:
    goes = arguments(small_faces, tmp_path / "new")
    assert "at least 1" in fails(capsys, *goes, "--trials", 0)
    assert "above 0" in fails(capsys, *goes, "--budget", 0)
    assert "1 or more" in fails(capsys, *goes, "--set", "epochs=0")
    assert "no hyperparameter 'width'" in fails(capsys, *goes, "--over", "width")
    assert "needs a folder" in fails(capsys, "search", "basic_cnn")
    assert "holds no search" in fails(capsys, "search", tmp_path, "--show")
    assert "add --show" in fails(capsys, "search", undisturbed)
    assert "leave out --out" in fails(capsys, "search", undisturbed, "--show", "--out", tmp_path)
    assert not (tmp_path / "new" / "search.db").exists()


def test_without_optuna_the_extra_is_named(monkeypatch, small_faces: Path, tmp_path: Path, capsys) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = fails(capsys, *arguments(small_faces, tmp_path / "new", "--trials", 1))
    assert "needs Optuna" in said
    assert "chapters" in said


def test_a_file_that_cannot_be_used_is_answered(
    undisturbed: Path, faces: Faces, tmp_path: Path, monkeypatch
) -> None:
    import optuna

    monkeypatch.setattr(study, "PATIENCE", 0.1)
    (tmp_path / study.DB).write_text("no data base\n" * 500)
    with pytest.raises(FercourseError, match=r"cannot be used \(file is not a database\): restore"):
        run_search(asked(faces), faces, tmp_path, trials=1)
    (tmp_path / study.DB).unlink()
    optuna.create_study(storage=f"sqlite:///{tmp_path / study.DB}", study_name="mine")
    with pytest.raises(FercourseError, match="holds no search of fercourse"):
        run_search(asked(faces), faces, tmp_path, trials=1)
    holder = sqlite3.connect(undisturbed / study.DB)
    holder.execute("begin exclusive")
    try:
        with pytest.raises(FercourseError, match=r"database is locked\): another program"):
            run_search(asked(faces), faces, undisturbed, trials=TRIALS + 1, progress=False)
    finally:
        holder.close()
    assert len(found(undisturbed)) == TRIALS


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    folder = tmp_path / "a search? 100% #1"
    folder.mkdir()
    study.open_study(folder, create=True)
    assert (folder / study.DB).is_file()


# --- How sure it is -----------------------------------------------------------------------------------------


def test_the_expected_maximum_is_that_of_the_books() -> None:
    # David & Nagaraja 2003, section 3.2: 0, 1 / sqrt(pi), 3 / (2 sqrt(pi)), and 1.53875 for ten.
    exact = {1: 0.0, 2: 1 / math.sqrt(math.pi), 3: 1.5 / math.sqrt(math.pi), 10: 1.5387527}
    assert {count: expected_maximum(count) for count in exact} == pytest.approx(exact, abs=1e-6)
    drawn = np.random.default_rng(0).standard_normal((20_000, 300)).max(1).mean()
    assert expected_maximum(300) == pytest.approx(drawn, abs=0.01)


def test_luck_is_what_equally_good_trials_show() -> None:
    images, truth, trials = 3589, 0.65, 30
    drawn = np.random.default_rng(0).binomial(images, truth, (400, trials)) / images
    lucks = [luck_of(list(row), images) for row in drawn]
    gained = drawn.max(1).mean() - truth
    assert np.mean([luck.most for luck in lucks]) == pytest.approx(gained, rel=0.05)
    # Nearly all count as contenders, so that the estimate is nearly whole, and the best loses its luck.
    assert np.mean([luck.likely for luck in lucks]) == pytest.approx(gained, rel=0.1)
    assert np.mean([luck.expected for luck in lucks]) == pytest.approx(truth, abs=0.002)


def test_a_clear_winner_is_not_called_lucky() -> None:
    luck = luck_of([0.70, 0.60, 0.55], 3589)
    assert (luck.contenders, luck.trials) == (1, 3)
    assert luck.likely == pytest.approx(0, abs=1e-12)
    assert "No other trial comes near it" in " ".join(report.luck_told(luck))
    near = luck_of([0.70, 0.69, 0.55], 3589)
    assert near.contenders == 2
    assert near.likely == pytest.approx(math.sqrt(0.7 * 0.3 / 3589) / math.sqrt(math.pi), rel=1e-6)
    assert near.likely < near.most
    for values, images in (([], 10), ([1.2], 10), ([0.5], 0)):
        with pytest.raises(FercourseError, match="expected shares"):
            luck_of(values, images)


def test_what_matters_stands_out_from_chance() -> None:
    import optuna

    kinds = optuna.distributions
    space = {name: kinds.FloatDistribution(0.0, 1.0) for name in ("lr", "dropout", "erasing")}
    made = optuna.create_study()
    random = np.random.default_rng(0)
    for _ in range(30):
        params = dict(zip(space, random.random(3).tolist(), strict=True))
        trial = optuna.trial.create_trial(params=params, distributions=space, value=params["lr"] ** 2)
        made.add_trial(trial)
    shares = report.importances(made, deals=8)
    assert next(iter(shares)) == "lr"
    assert shares["lr"]["share"] > shares["lr"]["by_chance"]
    assert shares["dropout"]["share"] < shares["dropout"]["by_chance"]
    assert sum(each["share"] for each in shares.values()) == pytest.approx(1, abs=0.01)
    assert report.importances(made, deals=8) == shares
    assert report.importances(optuna.create_study()) is None


# --- Shown and recorded -------------------------------------------------------------------------------------


def test_a_search_is_shown_and_recorded(undisturbed: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    monkeypatch.setattr(report, "DEALS", 3)
    main_of(["search", str(undisturbed), "--record"])
    said = capsys.readouterr().out
    assert said.startswith(f"{TRIALS} trials: ")
    assert "1 (the recipe)" in said
    assert "points above its own true accuracy" in said or "No other trial comes near" in said
    (record,) = load_searches(tmp_path)
    assert record.name == (
        "basic_cnn-smoke-widths=8_8_8_8-dense_width=16-epochs=4-batch_size=16-max_steps=8-seed0-shortened-cpu"
        f"-{TRIALS}trials"
    )
    assert record.qualifiers == "shortened, CPU"
    assert [trial.params for trial in record.trials] == [trial["params"] for trial in found(undisturbed)]
    assert record.best.number == report.best_first(record.trials)[0].number
    assert record.data["environment"]["versions"]["optuna"]
    with pytest.raises(SystemExit):
        main(["search", str(undisturbed), "--record"])
    assert "a record is written once" in capsys.readouterr().err
    main_of(["search", str(undisturbed), "--show", "--json"])
    values = json.loads(capsys.readouterr().out)
    assert len(values["trials"]) == TRIALS
    assert values["luck"]["images"] == 100


def changed(**changes: Any) -> dict[str, Any]:
    """A record in which one value of its third trial, or one of its own, is another."""
    record = example_search()
    for key, value in changes.items():
        place = record["trials"][2] if key in record["trials"][2] else record
        place[key] = value
    return record


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 99}, "has 99 epochs"),
        ({"epochs": 1}, "complete, has 1 epochs"),
        ({"value": None}, "has the value None"),
        ({"value": 1.5}, "trials/2/value"),
        ({"value": float("nan")}, "trials/2/value"),
        ({"state": "failed"}, "failed, has the value"),
        ({"params": {"lr": 0.001}}, "one or more values outside"),
        ({"seconds": -1.0}, "trials/2/seconds"),
        ({"importances": {"width": {"share": 0.5, "by_chance": 0.5}}}, "importance of width"),
        ({"trials": []}, "trials"),
        ({"test": 0.7}, "'test' was unexpected"),
    ],
)
def test_a_record_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    assert check_search(example_search(), "x").best
    with pytest.raises(FercourseError, match="x is not a record of a search") as refused:
        check_search(changed(**changes), "x")
    assert said in str(refused.value)


def test_a_search_judges_on_val_and_so_leaves_it_out_of_training(small_faces: Path) -> None:
    with pytest.raises(FercourseError, match=r"fit_on is 'train\+val'; a search judges its trials on val"):
        asked(load_faces(small_faces), base(fit_on="train+val", schedule="constant"))


def test_trial_1_is_the_recipe_itself() -> None:
    """A window of one size is no crop of varying size, and is left as it is."""
    for recipe in ("quick", "strong"):
        config = make_config("small_vgg", recipe)
        space = space_of(config)
        assert "crop" not in space
        assert config_of(config, values_of(config, space)).augment == config.augment
    assert "crop" in space_of(make_config("small_vgg", "paper1"))


def test_values_outside_of_the_space_are_refused(tmp_path: Path) -> None:
    record = example_search()
    record["trials"][1]["params"]["lr"] = 5.0
    with pytest.raises(FercourseError, match="trial 2, complete, has lr outside what was searched"):
        write_search(record, tmp_path)
    (tmp_path / "cut.json").write_text(json.dumps(example_search())[:500])
    with pytest.raises(FercourseError, match="cannot be read as JSON"):
        read_search_record(tmp_path / "cut.json")


def test_recorded_searches_are_records() -> None:
    for record in load_searches():
        assert record.best.value is not None
        assert record.luck.expected <= record.best.value
