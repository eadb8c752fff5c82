"""What chapter 6 defines inline computes the same as what the package has under that name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from inline import assert_same, inline
from torch.nn import functional as F

from fercourse import layers
from fercourse.models import create_model, resnet

COMPARED = {"SqueezeExcite", "SEBasicBlock"}


@pytest.fixture(scope="module")
def gated() -> dict[str, Any]:
    return inline("06_squeeze_and_excitation")


@pytest.mark.parametrize(("channels", "squeezed"), [(8, 2), (12, 3), (5, 1)])
def test_the_gates(gated: dict[str, Any], channels: int, squeezed: int) -> None:
    packaged = layers.SqueezeExcite(channels, squeeze_channels=squeezed)
    ours, x = gated["SqueezeExcite"](channels, squeeze_channels=squeezed), torch.randn(2, channels, 6, 4)
    assert_same(ours, packaged, x)
    torch.testing.assert_close(ours.gates(x), packaged.gates(x))


@pytest.mark.parametrize(("channels", "stride"), [(32, 1), (16, 1), (16, 2)])
def test_the_block(gated: dict[str, Any], channels: int, stride: int) -> None:
    packaged = resnet.BasicBlock(channels, 32, stride=stride, se_reduction=8)
    ours = gated["SEBasicBlock"](channels, 32, stride=stride, se_reduction=8)
    assert_same(ours, packaged, F.relu(torch.randn(2, channels, 8, 8)))


@pytest.mark.parametrize(("name", "depths"), [("se_resnet18", (2, 2, 2, 2)), ("se_resnet34", (3, 4, 6, 3))])
def test_the_networks(gated: dict[str, Any], name: str, depths: tuple[int, ...]) -> None:
    ours = resnet.ResNet(block=gated["SEBasicBlock"], depths=depths, shortcut=True, se_reduction=16)
    packaged = create_model(name)
    ours.load_state_dict(packaged.state_dict())
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), packaged.eval()(x))
