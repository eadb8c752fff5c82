"""Ensembles: members by likelihood on val alone, and a record that is written once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import example

from fercourse.data.hashes import OFFICIAL_FINGERPRINT, official
from fercourse.ensembles import Candidate, build_ensemble, load_ensembles, write_ensemble
from fercourse.errors import FercourseError
from fercourse.evaluate.ensemble import ensemble_logits, select_members
from fercourse.logits import save_logits
from fercourse.records import pack_classes, read_record, write_record

RANDOM = np.random.default_rng(5)


def guesses(labels: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """Logits that know the label with a strength, in noise of their own."""
    noise = np.random.default_rng(seed).normal(size=(len(labels), 7))
    noise[np.arange(len(labels)), labels] += strength
    return noise.astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return RANDOM.integers(0, 7, 500)


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return float(-np.log(shares[np.arange(len(labels)), labels]).mean())


def test_a_weighted_mean_of_probabilities(labels: np.ndarray) -> None:
    one, two = guesses(labels, 2, 0), guesses(labels, 1, 1)
    shares = [np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (one, two)]
    np.testing.assert_allclose(
        np.exp(ensemble_logits([one, two], [3, 1])), 0.75 * shares[0] + 0.25 * shares[1], rtol=1e-5
    )


def test_every_pick_is_the_best_there_is(labels: np.ndarray) -> None:
    """Each step by hand: of all candidates, the one that makes the mean most likely; the best on the way."""
    candidates = {f"net{i}": guesses(labels, 1.5 + 0.3 * (i % 3), i) for i in range(5)}
    candidates["useless"] = guesses(labels, -1, 9)
    found = select_members(candidates, labels, most=12)
    assert "useless" not in found.picks
    assert found.nll[-1] == min(found.nll) < found.nll[0]
    for place, pick in enumerate(found.picks):
        before = list(found.picks[:place])
        after = {}
        for name in candidates:
            members = [*before, name]
            after[name] = nll(ensemble_logits([candidates[m] for m in members], [1] * len(members)), labels)
        assert after[pick] == pytest.approx(min(after.values()), abs=1e-6)
        assert found.nll[place] == pytest.approx(after[pick], abs=1e-5)
    assert min(nll(candidates[name], labels) for name in candidates) > found.nll[-1]
    assert sum(found.weights.values()) == len(found.picks)


def test_one_may_be_picked_again(labels: np.ndarray) -> None:
    """Half of the weak one would hurt, and the strong one alone be the best so far: it is not the end."""
    strong, weak = guesses(labels, 2.2, 0), guesses(labels, 1.8, 1)
    half = ensemble_logits([strong, weak], [1, 1])
    assert nll(half, labels) > nll(strong, labels)
    found = select_members({"strong": strong, "weak": weak}, labels)
    assert found.weights["strong"] > found.weights.get("weak", 0) > 0
    assert select_members({"b": strong, "a": strong}, labels).picks == ("a",)


@pytest.mark.parametrize(
    ("candidates", "said"), [({}, "at least one"), ({"a": np.zeros((3, 7))}, r"shape \(3, 7\)")]
)
def test_what_cannot_be_selected_from(labels: np.ndarray, candidates: dict[str, Any], said: str) -> None:
    with pytest.raises(FercourseError, match=said):
        select_members(candidates, labels)


def candidate(called: str, labels: np.ndarray, seed: int, **changes: Any) -> Candidate:
    splits = {"val": labels, "test": labels[::-1].copy()}
    logits = {split: guesses(values, 2, seed + place) for place, (split, values) in enumerate(splits.items())}
    twins = {split: np.zeros(len(labels), bool) for split in splits}
    made = Candidate(called, {"fit_on": "train"}, "none", OFFICIAL_FINGERPRINT, "", logits, splits, twins)
    return dataclasses.replace(made, **changes)


def test_test_chooses_nothing(labels: np.ndarray) -> None:
    """The same members whatever test says."""
    usual = [candidate(f"net{i}", labels, 10 * i) for i in range(4)]
    turned = [
        dataclasses.replace(c, logits={**c.logits, "test": guesses(c.labels["test"], 5 * i, 99)})
        for i, c in enumerate(usual)
    ]
    blind = [dataclasses.replace(c, logits={"val": c.logits["val"]}) for c in usual]
    found = [build_ensemble(each) for each in (usual, turned, blind)]
    assert found[0].selection == found[1].selection == found[2].selection
    assert found[0].selection == select_members({c.name: c.logits["val"] for c in usual}, labels)
    assert list(found[2].results) == ["val"]
    assert found[0].results["test"]["accuracy"] != found[1].results["test"]["accuracy"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": {"fit_on": "train+val"}}, "was trained on val"),
        ({"fingerprint": "0" * 64}, "different data"),
        ({"config": {"track": "extra"}}, "tracks are never mixed"),
        ({"name": "first"}, "named twice"),
    ],
)
def test_who_cannot_be_a_candidate(labels: np.ndarray, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(FercourseError, match=said):
        build_ensemble([candidate("first", labels, 0), candidate("second", labels, 5, **changes)])


def test_an_ensemble_is_recorded_once(labels: np.ndarray, tmp_path: Path) -> None:
    found = build_ensemble([candidate(f"net{i}", labels, 10 * i) for i in range(3)])
    path = write_ensemble(found, "three", {"commit": "0" * 40}, tmp_path)
    with pytest.raises(FercourseError, match="recorded once"):
        write_ensemble(found, "three", {}, tmp_path)
    with pytest.raises(FercourseError, match="--name is"):
        write_ensemble(found, "../three", {}, tmp_path)
    with pytest.raises(FercourseError, match="no dot in front"):
        write_ensemble(found, ".three", {}, tmp_path)
    drawn = [candidate(f"net{i}", labels, i, fingerprint="0" * 64) for i in range(2)]
    with pytest.raises(FercourseError, match="other data than the official FER-2013"):
        write_ensemble(build_ensemble(drawn), "drawn", {}, tmp_path)
    (read,) = load_ensembles(tmp_path)
    assert read["picks"] == list(found.selection.picks)
    assert "Caruana" in read["rule"]
    assert (read["preds"]["test"] == found.results["test"]["logits"].argmax(1)).all()
    stored = json.loads(path.read_text())
    for damage in ({"picks": ["who"]}, {"name": "other"}, {"val": None}, {"picks": None}):
        path.write_text(json.dumps({**stored, **damage}))
        with pytest.raises(FercourseError, match="not the record of an ensemble"):
            load_ensembles(tmp_path)


@pytest.fixture
def three_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records of a configuration that final.yml lists, with logits of val and test."""
    monkeypatch.setenv("FERCOURSE_RESULTS", str(tmp_path))
    (tmp_path / "final.yml").write_text(
        "- {model: small_vgg, recipe: strong, why: a test, logits: true, tta: [ten-crop]}\n"
    )
    table, names = official(), []
    for seed in range(3):
        data = example("strong", with_test=True, model="small_vgg", seed=seed, tta="ten-crop")
        logits = {}
        for place, split in enumerate(("val", "test"), start=1):
            logits[split] = guesses(table.labels[table.splits == place], 2.2, 10 * seed + place)
            data[split]["preds"] = pack_classes(logits[split].argmax(1))
        save_logits(read_record(write_record(data, tmp_path)), logits, tmp_path)
        names.append(data["name"])
    return names


def test_the_command_on_records(
    three_records: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from fercourse.cli import main
    from fercourse.results import ingredients

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            main(["ensemble", *arguments])
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        return (status, *capsys.readouterr())

    assert run(*three_records)[0] == 0
    assert not (tmp_path / "ensembles").exists()
    assert "needs a name" in run(*three_records, "--record")[2]
    status, out, error = run(*three_records, "--split", "test", "--name", "three", "--record")
    assert status == 0, error
    assert "of 3 candidates belong" in out
    assert "test: accuracy" in out
    assert "recorded once" in run(*three_records, "--split", "test", "--name", "three", "--record")[2]
    (found,) = load_ensembles()
    assert found["candidates"] == three_records
    row = ingredients.strong_table().frame.loc["ensemble three"]
    assert row["test, ten crops"] == f"{found['test']['accuracy']:.1%}"
    assert (row["test"], row["seeds"]) == ("none", f"{len(set(found['picks']))} networks")
