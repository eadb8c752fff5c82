"""The command line as a user meets it: a whole round on drawn faces, and one sentence for every mistake."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fercourse.cli import main
from fercourse.data import load_faces
from fercourse.records import experiment, final_entries, is_final, load_records, read_record

CLI = [sys.executable, "-m", "fercourse.cli"]


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Return status, stdout and stderr of a command, run in this process."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    code = ended.value.code
    return (code if isinstance(code, int) else 0 if code is None else 1), output.out, output.err


def fails(capsys, *arguments: object) -> str:
    """Return the one sentence on stderr of a command that must fail."""
    status, _, error = run(capsys, *arguments)
    assert status == 1, error
    lines = [line for line in error.splitlines() if line.startswith("fercourse: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small_faces) -> Path:
    """A run of two epochs."""
    out = tmp_path_factory.mktemp("runs") / "first"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "train",
                "basic_cnn",
                "--data",
                str(small_faces),
                "--recipe",
                "smoke",
                "--out",
                str(out),
                "--quiet",
            ]
        )
    assert ended.value.code in (0, None)
    return out


@pytest.mark.slow
def test_the_first_command_of_the_readme_takes_under_a_minute(tmp_path):
    out = tmp_path / "x"
    command = [*CLI, "train", "basic_cnn", "--data", "synthetic", "--recipe", "smoke", "--out", str(out)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0, result.stderr
    # Processor time, because a test machine does other things beside; two cores for a minute are 120 s.
    assert after.ru_utime - before.ru_utime < 110
    assert "Best epoch" in result.stdout
    assert "minutes to go on" in result.stderr
    assert {path.name for path in out.iterdir()} >= {"run.json", "history.csv", "best.safetensors"}


def test_models_as_json(capsys):
    status, out, _ = run(capsys, "models", "--json")
    table = {row["name"]: row["params"] for row in json.loads(out)}
    assert status == 0
    assert table["resnet18"] == 11_171_271
    assert len(table) >= 18
    assert "resnet18" in run(capsys, "models")[1]


def test_data_as_json_and_text(capsys, small_faces):
    status, out, _ = run(capsys, "data", small_faces, "--json")
    assert status == 0
    assert json.loads(out)["verdict"] == "not the benchmark"
    assert "not the benchmark" in run(capsys, "data", small_faces)[1].lower()


def test_evaluate_says_what_scikit_learn_says(capsys, trained, small_faces):
    from sklearn.metrics import accuracy_score

    from fercourse.evaluate import predict
    from fercourse.runs import load_best

    status, out, _ = run(
        capsys,
        "evaluate",
        trained,
        "--data",
        small_faces,
        "--split",
        "val",
        "--split",
        "test",
        "--json",
        "--quiet",
    )
    assert status == 0
    results = json.loads(out)
    test = load_faces(small_faces).test
    model, facts = load_best(trained)
    preds = predict(model, test.images).argmax(1)
    assert results["test"]["accuracy"] == pytest.approx(accuracy_score(test.labels, preds))
    assert results["val"]["accuracy"] == pytest.approx(facts["val_accuracy"], abs=0.011)
    low, high = results["test"]["accuracy_interval"]
    assert low < results["test"]["accuracy"] < high
    text = run(capsys, "evaluate", trained, "--data", small_faces, "--quiet", "--time")[1]
    assert "time, batch 64" in text
    assert "balanced accuracy" in text
    assert "surprise" in text


def test_record_and_compare(capsys, trained, small_faces, tmp_path, monkeypatch):
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    status, out, error = run(capsys, "evaluate", trained, "--data", small_faces, "--record", "--quiet")
    assert status == 0, error
    (record,) = load_records()
    assert "Record written" in out
    assert record.name.startswith("basic_cnn-smoke-seed0")
    assert not record.has("test")
    assert len(record.batch_losses) == 2 * 8  # two epochs of 500 images, 64 at a time
    assert record.history["epoch"].tolist() == [1, 2]
    assert "written once" in fails(capsys, "evaluate", trained, "--data", small_faces, "--record", "--quiet")
    # Labels of other people's data are not in the package: said, not guessed.
    assert "not known here" in fails(capsys, "compare", record.name, record.name)
    message = fails(
        capsys, "evaluate", trained, "--data", small_faces, "--split", "test", "--record", "--quiet"
    )
    assert "final.yml" in message


def test_a_training_on_train_and_val_is_measured_on_test_alone(capsys, small_faces, tmp_path, monkeypatch):
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path / "results"))
    out = tmp_path / "out"
    options = ("--recipe", "smoke", "--out", out, "--data", small_faces, "--quiet")
    changes = ("max_steps=2", "epochs=1", "fit_on=train+val", "schedule=cosine")
    settings = [part for change in changes for part in ("--set", change)]
    status, told, error = run(capsys, "train", "basic_cnn", *options, *settings)
    assert status == 0, error
    assert "Only test is held out now" in told
    measure = ("evaluate", out, "--data", small_faces, "--quiet")
    assert "not that of a held-out split" in fails(capsys, *measure)
    assert run(capsys, *measure, "--split", "test")[0] == 0
    # Recorded, once final.yml lists it, with test alone.
    assert "not listed" in fails(capsys, *measure, "--split", "test", "--record")
    (tmp_path / "results").mkdir(exist_ok=True)
    listed = "{epochs: 1, max_steps: 2, fit_on: train+val, schedule: cosine}"
    (tmp_path / "results" / "final.yml").write_text(
        f"- {{model: basic_cnn, recipe: smoke, why: a test, changes: {listed}}}\n"
    )
    assert run(capsys, *measure, "--split", "test", "--record")[0] == 0
    (record,) = load_records()
    assert (record.has("val"), record.has("test")) == (False, True)
    assert "val trained on too" in record.qualifiers


def test_a_run_that_still_trains_is_not_measured_for_a_record(capsys, trained, small_faces, monkeypatch):
    """Its weights of now would stand beside the history of a later epoch."""
    from fercourse import runs

    model, facts = runs.load_best(trained)
    unfinished = {**facts, "history": facts["history"][:1]}
    monkeypatch.setattr(runs, "load_best", lambda _: (model, unfinished))
    monkeypatch.setattr(runs, "evaluate_run", lambda *_, **__: pytest.fail("test was opened"))
    said = fails(capsys, "evaluate", trained, "--data", small_faces, "--record", "--quiet")
    assert "has finished 1 of 2 epochs: resume it first" in said


def test_test_time_augmentation_is_part_of_a_record(capsys, trained, small_faces, tmp_path, monkeypatch):
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    measure = ("evaluate", trained, "--data", small_faces, "--record", "--quiet")
    for tta in ("none", "flip", "ten-crop"):
        assert run(capsys, *measure, "--tta", tta)[0] == 0
    found = {record.tta: record for record in load_records()}
    assert set(found) == {"none", "flip", "ten-crop"}
    assert "tta" not in found["none"].data
    assert found["ten-crop"].name == found["none"].name.replace("-seed0", "-tta=ten-crop-seed0")
    assert "ten-crop" in found["ten-crop"].qualifiers
    assert found["none"].data["val"]["nll"] != found["flip"].data["val"]["nll"]
    assert "did you mean 'flip'" in fails(capsys, *measure, "--tta", "flp")
    # Listed without it, test is not opened with it.
    config = found["none"].data["config"]
    entry = {
        "model": config["model"],
        "recipe": config["recipe"],
        "why": "a test",
        "changes": experiment(config),
    }
    (tmp_path / "final.yml").write_text(json.dumps([entry]))
    assert "with tta flip" in fails(capsys, *measure, "--split", "test", "--tta", "flip")
    assert is_final(config, final_entries(tmp_path))
    (tmp_path / "final.yml").write_text(json.dumps([{**entry, "tta": ["flip"]}]))
    assert is_final(config, final_entries(tmp_path), "flip")
    assert not is_final(config, final_entries(tmp_path))


def test_a_record_on_drawn_faces_says_which(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path / "results"))
    source, out = "synthetic-easy", tmp_path / "out"
    common = ("--data", source, "--quiet")
    settings = ("--recipe", "smoke", "--set", "max_steps=2", "--set", "epochs=1", "--out", out)
    assert run(capsys, "train", "basic_cnn", *common, *settings)[0] == 0
    assert run(capsys, "evaluate", out, *common, "--record")[0] == 0
    (record,) = load_records()
    assert "-synthetic-easy-seed0-shortened" in record.name
    assert "drawn faces" in record.qualifiers
    assert record.metrics("val")["accuracy"] == pytest.approx(record.data["val"]["accuracy"])


def test_compare_two_recorded_networks(capsys, monkeypatch, tmp_path):
    from recorded import example

    from fercourse.records import write_record

    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    for seed in (0, 1):
        write_record(example(seed=seed))
    names = [record.name for record in load_records()]
    status, out, _ = run(capsys, "compare", *names, "--json")
    assert status == 0
    result = json.loads(out)
    first, second = map(read_record, names)
    labels = first.labels("val")
    gain = (second.preds("val") == labels).mean() - (first.preds("val") == labels).mean()
    assert result["difference"] == pytest.approx(gain)
    assert "they disagree" in run(capsys, "compare", *names)[1]


def test_compare_two_folders(capsys, trained, small_faces):
    status, out, error = run(capsys, "compare", trained, trained, "--data", small_faces, "--json")
    assert status == 0, error
    assert json.loads(out)["difference"] == 0
    assert json.loads(out)["n"] == 100


def test_stopped_and_resumed_by_command(tmp_path, small_faces):
    """Ctrl-C from outside: status 130, a state on the disk, and --resume ends as if nothing had happened."""

    def command(out):
        return [
            *CLI, "train", "basic_cnn", "--data", str(small_faces), "--recipe", "smoke", "--out", str(out),
            "--set", "epochs=4", "--json", "--device", "cpu",
        ]  # fmt: skip

    whole = subprocess.run(command(tmp_path / "whole"), capture_output=True, text=True, check=True)
    process = subprocess.Popen(
        command(tmp_path / "parts"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    history = tmp_path / "parts" / "history.csv"
    deadline = time.monotonic() + 120
    while not history.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(2)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "--resume goes on" in error
    again = subprocess.run(
        [*command(tmp_path / "parts"), "--resume"], capture_output=True, text=True, check=True
    )

    def rows(result):
        return [
            {k: v for k, v in row.items() if k != "seconds"} for row in json.loads(result.stdout)["history"]
        ]

    assert rows(again) == rows(whole)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def csv_of(label: object = 3, pixels: str | None = None) -> str:
    return f"emotion,pixels,Usage\n{label},{pixels or ' '.join(['7'] * 2304)},Training\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("fer2013.csv", "Dear reader,\nthis is not the file.\n", "fer2013.csv"),
        ("fer2013.zip", np.random.default_rng(0).bytes(5000), "fer2013.zip"),
        ("fer2013.csv", csv_of(label=9), "9"),
        ("fer2013.csv", csv_of(pixels=" ".join(["7"] * 2303)), "2,303 pixels"),
        ("fer2013.csv", csv_of(pixels=" ".join(["300"] + ["7"] * 2303)), "300"),
        ("fer2013.csv", "", "fer2013.csv"),
    ],
    ids=["text", "zip", "label", "short row", "bright pixel", "empty file"],
)
@pytest.mark.parametrize("command", ["data", "train"])
def test_wrong_data_is_one_sentence(capsys, tmp_path, name, content, said, command):
    path = write(tmp_path / name, content)
    out = tmp_path / "out"
    arguments = ("data", path) if command == "data" else ("train", "basic_cnn", "--data", path, "--out", out)
    assert said in fails(capsys, *arguments)
    assert not out.exists()


def test_wrong_folders(capsys, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, tmp_path / "absent"):
        assert str(folder) in fails(capsys, "data", folder)
    assert "holds no run" in fails(capsys, "evaluate", empty, "--data", "synthetic")


def test_wrong_names(capsys, tmp_path, trained, small_faces):
    out = tmp_path / "out"
    assert "did you mean 'basic_cnn'" in fails(capsys, "train", "basic_cn", "--out", out)
    assert " (did you mean 'smoke'?). The recipes are" in fails(
        capsys, "train", "basic_cnn", "--recipe", "smok", "--out", out
    )
    assert "did you mean 'epochs'" in fails(capsys, "train", "basic_cnn", "--set", "epoch=3", "--out", out)
    assert "key=value" in fails(capsys, "train", "basic_cnn", "--set", "epochs", "--out", out)
    assert "'tset'" in fails(capsys, "evaluate", trained, "--data", small_faces, "--split", "tset")
    assert "'train'" in fails(capsys, "compare", "a", "b", "--split", "train")
    assert "There is no record" in fails(capsys, "compare", "a", "b")
    assert "cannot be used on this machine" in fails(
        capsys, "train", "basic_cnn", "--data", small_faces, "--out", out, "--device", "cuda:99"
    )
    assert not out.exists()


def test_numbers_may_be_written_as_people_write_them(capsys, tmp_path, small_faces):
    status, _, error = run(
        capsys, "train", "basic_cnn", "--data", small_faces, "--recipe", "smoke", "--set", "lr=1e-3",
        "--set", "epochs=0", "--set", "augment.flip=0.25", "--out", tmp_path / "out", "--quiet",
    )  # fmt: skip
    assert status == 0, error
    config = json.loads((tmp_path / "out" / "run.json").read_text())["config"]
    assert config["lr"] == 0.001
    assert config["augment"]["flip"] == 0.25


def test_reproduce_plans_stops_at_its_budget_and_exports_its_plan(capsys, tmp_path, small_faces):
    folders = ("--runs", tmp_path / "runs", "--results", tmp_path / "results", "--device", "cpu", "--quiet")
    command = ("reproduce", "smoke", "--data", small_faces, "--seeds", 2, *folders)
    status, text, _ = run(capsys, *command, "--plan", "--json")
    plan = json.loads(text)
    assert status == 0
    assert len(plan["plan"]["new"]) == 6 == len(plan["seconds"])
    assert not (tmp_path / "runs").exists()
    status, text, _ = run(capsys, *command, "--budget", 0.0001)
    assert status == 0
    assert "6 trainings: 0 recorded, 0 cut off, 6 new." in text
    assert "6 are left to train: the same command goes on." in text
    assert not list((tmp_path / "results").glob("runs/*.json"))


def test_reproduce_says_what_is_wrong(capsys, small_faces):
    assert "did you mean 'table2'" in fails(capsys, "reproduce", "table22", "--data", small_faces)
    assert "expected local or ray" in fails(capsys, "reproduce", "smoke", "--engine", "rai")
    assert "--jobs is 0" in fails(capsys, "reproduce", "smoke", "--jobs", "0")
    assert "--budget is -1" in fails(capsys, "reproduce", "smoke", "--budget", "-1")


def test_a_run_folder_is_not_overwritten_or_mixed(capsys, trained, small_faces):
    arguments = (
        "train",
        "basic_cnn",
        "--data",
        small_faces,
        "--recipe",
        "smoke",
        "--out",
        trained,
        "--quiet",
    )
    assert "already holds a run" in fails(capsys, *arguments)
    assert "another config" in fails(capsys, *arguments, "--resume", "--seed", 1)
    assert "trained on other data" in fails(capsys, "evaluate", trained, "--data", "synthetic", "--quiet")


def test_damaged_runs_are_refused(capsys, tmp_path, trained, small_faces):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(trained, broken)
    weights = (broken / "best.safetensors").read_bytes()
    write(broken / "best.safetensors", weights[: len(weights) // 2])
    assert "cut short" in fails(capsys, "evaluate", broken, "--data", small_faces, "--quiet")
    write(broken / "run.json", "{")
    assert "cannot be read" in fails(capsys, "evaluate", broken, "--data", small_faces, "--quiet")


def test_a_folder_that_cannot_be_written(capsys, tmp_path, small_faces):
    blocked = write(tmp_path / "file", "") / "run"
    if os.geteuid():  # root writes everywhere
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        blocked = locked / "run"
    message = fails(
        capsys, "train", "basic_cnn", "--data", small_faces, "--recipe", "smoke", "--out", blocked, "--quiet"
    )
    assert "Cannot write" in message
    assert str(blocked) in message


def test_a_full_disk(tmp_path, small_faces):
    """The system refuses to write more than 1 MB to a file; the checkpoint takes more."""
    command = [
        *CLI, "train", "basic_cnn", "--data", str(small_faces), "--recipe", "smoke",
        "--out", str(tmp_path / "out"), "--quiet",
    ]  # fmt: skip
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert result.returncode == 1, result.stderr
    assert "fercourse: Cannot write" in result.stderr
    assert "Traceback" not in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", "run.json", "history.csv"}


def test_the_list_of_commands_is_not_cut_and_stands_in_the_book_and_the_readme(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(capsys, "--help")
    lines = out.split("Commands:\n")[1].splitlines()
    assert lines
    assert not [line for line in lines if "..." in line or not line.endswith(".")]
    root = Path(__file__).parents[1]
    for page in ("README.md", "book/setup.md"):
        text = (root / page).read_text(encoding="utf-8")
        assert not [line for line in lines if f"fercourse {line.split()[0]}" not in text], page


@pytest.mark.parametrize("command", [[], ["data"], ["models"], ["train"], ["evaluate"], ["compare"]])
def test_help_teaches(capsys, command):
    status, out, _ = run(capsys, *command, "--help")
    assert status == 0
    assert len(out) > 200
    assert "--" in out
