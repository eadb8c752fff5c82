"""Logits are kept where final.yml asks for them, and belong to their record."""

from __future__ import annotations

import numpy as np
import pytest
from recorded import example

from fercourse.errors import FercourseError
from fercourse.logits import keeps_logits, load_logits, save_logits
from fercourse.records import check_record


@pytest.fixture
def record():
    return check_record(example(), "example")


def logits_of(record) -> np.ndarray:
    preds = record.preds("val")
    values = np.random.default_rng(0).normal(size=(len(preds), 7)).astype(np.float32)
    values[np.arange(len(preds)), preds] += 9
    return values


def test_round_trip(record, tmp_path):
    values = logits_of(record)
    path = save_logits(record, {"val": values}, tmp_path)
    assert path.stat().st_size < 60_000
    assert np.allclose(load_logits(record, "val", tmp_path), values, atol=0.01)


def test_only_where_listed(record, tmp_path):
    (tmp_path / "final.yml").write_text("- {model: resnet18, recipe: paper1, why: x}\n")
    assert not keeps_logits(record, tmp_path)
    (tmp_path / "final.yml").write_text("- {model: resnet18, recipe: paper1, why: x, logits: true}\n")
    assert keeps_logits(record, tmp_path)


def test_what_does_not_belong_is_refused(record, tmp_path):
    with pytest.raises(FercourseError, match="No val logits"):
        load_logits(record, "val", tmp_path)
    save_logits(record, {"val": np.roll(logits_of(record), 1, axis=1)}, tmp_path)
    with pytest.raises(FercourseError, match="does not belong to the record"):
        load_logits(record, "val", tmp_path)
    with pytest.raises(FercourseError, match="do not fit into float16"):
        save_logits(record, {"val": logits_of(record) * 1e6}, tmp_path)
