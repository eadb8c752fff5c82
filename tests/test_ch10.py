"""Chapter 10: its inline definitions against the package's, and the counted votes of FER+."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from inline import inline

from fercourse import explain
from fercourse.layers import ConvNormAct, pooled_head
from fercourse.records import read_record, results_folder

COMPARED = {"grad_cam", "occlusion"}


@pytest.fixture(scope="module")
def defined() -> dict[str, Any]:
    return inline("10_what_the_network_looks_at")


def test_the_inline_definitions(defined: dict[str, Any]) -> None:
    torch.manual_seed(0)
    body = torch.nn.Sequential(ConvNormAct(1, 6, stride=2), ConvNormAct(6, 8))
    model = torch.nn.Sequential(body, pooled_head(8, 7)).eval()
    images, targets = torch.randn(4, 1, 24, 24), torch.tensor([1, 0, 6, 1])
    one, other = (place(model, images, targets, body[1]) for place in (defined["grad_cam"], explain.grad_cam))
    torch.testing.assert_close(one, other)
    for options in ({}, {"size": 6, "stride": 3}):
        one, other = (
            place(model, images, targets, **options) for place in (defined["occlusion"], explain.occlusion)
        )
        torch.testing.assert_close(one, other)


def test_the_votes_were_counted_on_the_official_file() -> None:
    audits = results_folder() / "audits"
    votes = json.loads((audits / "ferplus.json").read_text())
    audit = json.loads((audits / "fer2013.json").read_text())
    assert votes["fingerprint"] == audit["fingerprint"]
    for split, counted in votes["splits"].items():
        table = np.array(counted["labels_by_vote"])
        assert table.sum(1).tolist() == list(audit["counts"][split].values())
        assert counted["images"] == table.sum()
        assert 0 < counted["share_of_votes_for_label"] < counted["share_of_votes_for_top"] < 1
    agree = np.trace(np.array(votes["splits"]["test"]["labels_by_vote"])[:, :7])
    for name, told in votes["records"].items():
        right = (read_record(name).preds("test") == read_record(name).labels("test")).sum()
        assert told["label_is_vote"] == agree
        assert told["right_where_label_is_vote"] + told["right_elsewhere"] == right
        rows = pd.DataFrame(told["by_firmness"]).sum()
        assert rows["images"] == votes["splits"]["test"]["images"]
        assert rows["with_a_first_choice"] == told["label_is_vote"] + told["clear_elsewhere"]
        assert rows["label_is_vote"] == agree
        assert rows["pred_is_label"] == told["right_where_label_is_vote"] + told["label_elsewhere"]
        assert rows["pred_is_vote"] == told["right_where_label_is_vote"] + told["vote_elsewhere"]
