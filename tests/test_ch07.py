"""What chapter 7 defines inline computes the same as what the package has under that name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from inline import assert_same, inline

from fercourse import layers
from fercourse.models import create_model, mobilenet

COMPARED = {"InvertedResidual", "MobileNetV2", "V2_TABLE", "divisible"}


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    return inline("07_small_networks")


@pytest.mark.parametrize(
    ("channels", "expansion", "stride"), [(8, 6, 1), (8, 6, 2), (4, 6, 1), (8, 1, 1), (4, 1, 2)]
)
def test_the_block(small: dict[str, Any], channels: int, expansion: int, stride: int) -> None:
    packaged = layers.InvertedResidual(channels, 8, expanded_channels=expansion * channels, stride=stride)
    ours = small["InvertedResidual"](channels, 8, expansion, stride)
    assert_same(ours, packaged, torch.randn(2, channels, 8, 8))


def test_the_network(small: dict[str, Any]) -> None:
    ours, packaged = small["MobileNetV2"](small["V2_TABLE"]), create_model("mobilenet_v2")
    ours.load_state_dict(packaged.state_dict())
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), packaged.eval()(x))


def test_the_table(small: dict[str, Any]) -> None:
    """It is the published one, but for the stride that paper 1 changes."""
    strides = mobilenet.strides_with_last([stage.stride for stage in mobilenet.MOBILENET_V2], 1)
    wanted = [(*stage[:3], stride) for stage, stride in zip(mobilenet.MOBILENET_V2, strides, strict=True)]
    assert [tuple(row) for row in small["V2_TABLE"]] == wanted


def test_the_rounding(small: dict[str, Any]) -> None:
    for quarters in range(1, 1200):
        assert small["divisible"](quarters / 4) == mobilenet.divisible(quarters / 4)
