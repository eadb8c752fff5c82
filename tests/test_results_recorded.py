"""Fronts, differences, and what the papers count: what chapter 9 takes from the package of results."""

from __future__ import annotations

import copy
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from fercourse import results
from fercourse.errors import FercourseError
from fercourse.evaluate import mcnemar
from fercourse.papers import COUNTS, TABLE2
from fercourse.records import pack_classes, read_record, record_name, results_folder


def test_the_front_is_what_no_other_beats() -> None:
    draw = np.random.default_rng(0)
    for size in (1, 2, 7, 12):
        costs, accuracies = draw.integers(0, 6, (2, size))  # many ties

        def beaten(j: int, c: np.ndarray = costs, a: np.ndarray = accuracies) -> bool:
            return any(c[i] <= c[j] and a[i] >= a[j] and (c[i] < c[j] or a[i] > a[j]) for i in range(len(c)))

        front = results.pareto_front(costs, accuracies)
        assert sorted(front) == [j for j in range(size) if not beaten(j)]
        assert list(costs[front]) == sorted(costs[front])
    assert results.pareto_front([], []) == []


def test_paper_2_merges_val_and_test() -> None:
    counts = json.loads((results_folder() / "audits/fer2013.json").read_text())["counts"]
    train, val, test = (sum(counts[split].values()) for split in ("train", "val", "test"))
    assert COUNTS["training images, table"] == train
    assert COUNTS["test images, table"] == val + test


@pytest.fixture
def landed(tmp_path: Path, monkeypatch) -> Path:
    """A results folder in which two networks of Table 2 have records of two seeds each."""
    template = dict(read_record("small_vgg-quick-seed0-cpu").data)
    labels = read_record("small_vgg-quick-seed0-cpu").labels("test")
    draw = np.random.default_rng(1)
    runs = tmp_path / "runs"
    runs.mkdir()
    from fercourse.recipes import make_config

    for (model, share), seed in product((("resnet18", 0.72), ("vgg16", 0.68)), (0, 1)):
        data = copy.deepcopy(template)
        data["config"] = make_config(model, "paper1", seed=seed).to_dict()
        data["environment"]["device_kind"] = "cuda"
        data["name"] = record_name(data["config"], "fer2013.csv", "cuda")
        preds = np.where(draw.random(len(labels)) < share, labels, (labels + 1) % 7)
        data["test"]["preds"] = pack_classes(preds)
        data["test"]["accuracy"] = float((preds == labels).mean())
        (runs / f"{data['name']}.json").write_text(json.dumps(data))
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    return tmp_path


def test_a_difference_is_pending_until_both_records_land(landed: Path) -> None:
    ours = {group.model: group for group in results.groups("table2")}
    assert set(ours) == set(TABLE2)
    assert results.difference(ours["resnet18"], ours["se_resnet18"]) == "pending"
    told = results.difference(ours["resnet18"], ours["vgg16"])
    pairs = [
        (one, other)
        for one, other in zip(ours["resnet18"].records, ours["vgg16"].records, strict=True)
        if one.seed == other.seed
    ]
    gaps = [100 * (a.metrics("test")["accuracy"] - b.metrics("test")["accuracy"]) for a, b in pairs]
    low = sum(mcnemar(a.labels("test"), a.preds("test"), b.preds("test"))["p"] < 0.05 for a, b in pairs)
    assert told == (
        f"{np.mean(gaps):+.2f} points ± {np.std(gaps, ddof=1):.2f} (2 seeds, McNemar's p below 0.05 in {low})"
    )
    assert results.difference(ours["vgg16"], ours["resnet18"]).startswith("-")
    (landed / "runs" / f"{ours['vgg16'].records[1].name}.json").unlink()
    ours = {group.model: group for group in results.groups("table2")}
    assert "(1 seed, " in results.difference(ours["resnet18"], ours["vgg16"])


def test_a_seed_counts_once_and_the_gpu_s_record_stands(landed: Path) -> None:
    path = landed / "runs" / "resnet18-paper1-seed0.json"
    data = json.loads(path.read_text())
    data["environment"]["device_kind"] = "cpu"
    data["name"] = "resnet18-paper1-seed0-cpu"
    (landed / "runs" / f"{data['name']}.json").write_text(json.dumps(data))
    group = next(group for group in results.groups("table2") if group.model == "resnet18")
    assert [record.name for record in group.records] == ["resnet18-paper1-seed0", "resnet18-paper1-seed1"]
    path.unlink()
    group = next(group for group in results.groups("table2") if group.model == "resnet18")
    assert [record.seed for record in group.records] == [0, 1]
    assert group.mark == "1 of 2 on a CPU"


def test_another_copy_of_fer2013_is_in_no_table(landed: Path) -> None:
    path = landed / "runs" / "resnet18-paper1-seed0.json"
    data = json.loads(path.read_text())
    data["data"] |= {"layout": "kaggle folder", "fingerprint": "0" * 64}
    path.write_text(json.dumps(data))
    group = next(group for group in results.groups("table2") if group.model == "resnet18")
    assert [record.seed for record in group.records] == [1]
    assert [record.seed for record in results.reported(["resnet18"], "paper1")] == [1]
    assert list(results.results_table(["resnet18"], "paper1")) == ["resnet18, paper1, seed 1"]


def test_a_changed_recipe_has_a_column_of_its_own(landed: Path) -> None:
    from fercourse.recipes import make_config

    path = landed / "runs" / "vgg16-paper1-seed0.json"
    data = json.loads(path.read_text())
    data["config"] = make_config("vgg16", "paper1", model_options={"dropout": 0.5}).to_dict()
    data["name"] = record_name(data["config"], "fer2013.csv", "cuda")
    (landed / "runs" / f"{data['name']}.json").write_text(json.dumps(data))
    assert set(results.results_table(["vgg16"], "paper1")) == {
        "vgg16, paper1, seed 0",
        "vgg16, paper1, seed 1",
        "vgg16, paper1, dropout 0.5, seed 0",
    }


def test_a_record_that_names_no_recipe_is_named_itself(landed: Path) -> None:
    path = landed / "runs" / "vgg16-paper1-seed0.json"
    path.write_text(path.read_text().replace('"recipe": "paper1"', '"recipe": "paper9"'))
    with pytest.raises(FercourseError, match=r"The record vgg16-paper1-seed0: .*paper9"):
        results.groups("table2")
