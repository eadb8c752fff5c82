"""Times of the networks over the test images: measured in turn, kept whole, read with care."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fercourse import results
from fercourse.bench import times
from fercourse.cli.options import app
from fercourse.errors import FercourseError


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    """Two networks, two rounds, four images a batch size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(times.MOST_IMAGES, "cpu", {64: 64, 1: 4})
        return times.measure_times(["basic_cnn", "resnet18"], rounds=2, device="cpu", progress=False)


def test_every_network_is_timed_in_every_round_at_both_batch_sizes(record):
    found = {(row["model"], row["batch_size"]): row for row in record["measurements"]}
    assert set(found) == {(model, size) for model in ("basic_cnn", "resnet18") for size in (1, 64)}
    assert all(len(row["ms"]) == 2 for row in found.values())
    assert {size: found["resnet18", size]["images_timed"] for size in (1, 64)} == {1: 4, 64: 64}
    # ResNet18 multiplies forty times as often.
    assert min(found["resnet18", 64]["ms"]) > 2 * max(found["basic_cnn", 64]["ms"])


def test_rounds_run_forwards_and_backwards(monkeypatch):
    order = []

    def timed(network, *_, batch_sizes, **__):
        order.append((type(network).__name__, batch_sizes[0]))
        return {"timings": [{"ms": 1.0}]}

    monkeypatch.setattr("fercourse.evaluate.time_inference", timed)
    said: list[str] = []
    times.measure_times(["basic_cnn", "vgg11"], rounds=2, device="cpu", progress=False, say=said.append)
    one, two = ("BasicCNN", 64), ("VGG", 64)
    assert order[2:] == [one, two, (one[0], 1), (two[0], 1), two, one, (two[0], 1), (one[0], 1)]
    assert "2 networks, 2 rounds: at most about" in said[0]


def test_as_many_images_are_timed_as_are_said(monkeypatch):
    monkeypatch.setitem(times.MOST_IMAGES, "cpu", {1: 3, 64: 100})
    asked = {}

    def timed(*_, batch_sizes, most_batches, **__):
        asked[batch_sizes[0]] = batch_sizes[0] * most_batches
        return {"timings": [{"ms": 1.0}]}

    monkeypatch.setattr("fercourse.evaluate.time_inference", timed)
    record = times.measure_times(["basic_cnn"], rounds=1, device="cpu", progress=False)
    for row in record["measurements"]:
        assert row["images_timed"] <= asked[row["batch_size"]] < row["images_timed"] + row["batch_size"]


def test_what_is_written_is_read(record, tmp_path: Path, monkeypatch):
    times.write_times(record, tmp_path / "times" / "here.json")
    assert json.loads((tmp_path / "times" / "here.json").read_text()) == record
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    (found,) = results.inference_times()
    assert found["device_kind"] == "cpu"
    assert found["threads"] >= 1
    row = found["rows"][0]
    assert row["ms_low"] <= row["ms"] <= row["ms_high"]
    assert results.inference_times() == [times.summarised(record)]


def test_without_records_there_are_none(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    assert results.inference_times() == []


def test_the_table_has_ratios_to_resnet18(record):
    lines = times.report_times(times.summarised(record)["rows"]).splitlines()
    assert lines[0].startswith("network")
    assert [line.split()[-1] for line in lines if line.startswith("resnet18")] == ["1.00", "1.00"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record.update(format=2),
        lambda record: record.update(images=7178),
        lambda record: record["measurements"][0].update(ms=[]),
        lambda record: record["measurements"][0].update(ms=[0.0]),
        lambda record: record["measurements"][0].update(ms=[float("nan")]),
        lambda record: record["measurements"][0].pop("model"),
        lambda record: record.pop("environment"),
    ],
)
def test_a_damaged_record_is_told(record, tmp_path: Path, damage):
    broken = json.loads(json.dumps(record))
    damage(broken)
    (tmp_path / "x.json").write_text(json.dumps(broken))
    with pytest.raises(FercourseError, match=r"x\.json is not a record of times .*fercourse times"):
        times.read_times(tmp_path / "x.json")


def test_bad_requests_are_told():
    with pytest.raises(FercourseError, match="did you mean 'resnet18'"):
        times.measure_times(["resnet81"])
    with pytest.raises(FercourseError, match="0 rounds"):
        times.measure_times(["basic_cnn"], rounds=0)


def test_the_command_writes_and_shows(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(times.MOST_IMAGES, "cpu", {64: 64, 1: 2})
    out = tmp_path / "t.json"
    shown = CliRunner().invoke(
        app,
        ["times", "--models", "basic_cnn", "--rounds", "1", "--device", "cpu", "--out", str(out), "--quiet"],
    )
    assert shown.exit_code == 0, shown.output
    assert "basic_cnn" in shown.output
    assert times.read_times(out)["rows"][0]["model"] == "basic_cnn"
