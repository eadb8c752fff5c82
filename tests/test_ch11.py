"""Chapter 11: the record of hand-crafted features follows from the protocol, on the official data."""

from __future__ import annotations

import json

import pytest

from fercourse.papers import CITED, TABLE2
from fercourse.records import results_folder

CRAFTED = json.loads((results_folder() / "hand-crafted.json").read_text(encoding="utf-8"))
AUDIT = json.loads((results_folder() / "audits" / "fer2013.json").read_text(encoding="utf-8"))


def test_the_data_are_the_official_ones() -> None:
    assert CRAFTED["data"]["fingerprint"] == AUDIT["fingerprint"]
    assert CRAFTED["environment"]["versions"]["scikit-image"]
    assert set(CRAFTED["features"]) == {"LBP", "ORB", "HOG"}


@pytest.mark.parametrize("name", list(CRAFTED["features"]))
def test_c_was_chosen_on_val(name: str) -> None:
    found = CRAFTED["features"][name]
    tried = {float(c): value for c, value in found["val_accuracy_by_c"].items()}
    assert tried[found["c"]] == max(tried.values()) == found["val_accuracy"]
    low, high = found["test_interval"]
    assert low < found["test_accuracy"] < high
    assert len(found["test_recalls"]) == len(CRAFTED["emotions"])
    counts = AUDIT["counts"]["test"]
    hits = sum(r * counts[e] for r, e in zip(found["test_recalls"], CRAFTED["emotions"], strict=True))
    assert hits / sum(counts.values()) == pytest.approx(found["test_accuracy"], abs=1e-3)


def test_what_others_are_cited_with_lies_about_where_the_papers_are() -> None:
    low, high = (f(row.test for row in TABLE2.values()) for f in (min, max))
    assert all(low < share < high + 0.05 for share in CITED.values())
