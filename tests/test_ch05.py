"""What chapter 5 defines inline computes the same as what the package has under that name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from inline import assert_same, inline
from torch.nn import functional as F

from fercourse.models import create_model, resnet

COMPARED = {"BasicBlock", "shortcut", "ResNet", "Bottleneck"}


@pytest.fixture(scope="module")
def residual() -> dict[str, Any]:
    return inline("05_residual_learning")


@pytest.mark.parametrize("name", ["BasicBlock", "Bottleneck"])
@pytest.mark.parametrize(("channels", "stride"), [(8, 1), (8, 2), (32, 1)])
def test_the_blocks(residual: dict[str, Any], name: str, channels: int, stride: int) -> None:
    packaged = getattr(resnet, name)(channels, 8, stride=stride)
    assert_same(residual[name](channels, 8, stride), packaged, F.relu(torch.randn(2, channels, 8, 8)))


@pytest.mark.parametrize(
    ("name", "block", "depths"),
    [
        ("resnet18", "BasicBlock", (2, 2, 2, 2)),
        ("resnet34", "BasicBlock", (3, 4, 6, 3)),
        ("resnet50", "Bottleneck", (3, 4, 6, 3)),
    ],
)
def test_the_networks(residual: dict[str, Any], name: str, block: str, depths: tuple[int, ...]) -> None:
    ours, packaged = residual["ResNet"](residual[block], depths), create_model(name)
    ours.load_state_dict(packaged.state_dict())
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), packaged.eval()(x))
