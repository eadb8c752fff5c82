"""Convolutions by tiles: the same answers, fewer products, and only where that pays."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")

ROOT = Path(__file__).parents[1]
SMALL = ROOT / "fercourse" / "small" / "small.onnx"


@pytest.fixture
def winograd(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    return importlib.import_module("fercourse_winograd")


def answers(proto: Any, images: np.ndarray) -> list[np.ndarray]:
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})


def kernels(proto: Any) -> list[list[int]]:
    """The shapes of the weights of all convolutions."""
    dims = {one.name: list(one.dims) for one in proto.graph.initializer}
    return [dims[node.input[1]] for node in proto.graph.node if node.op_type == "Conv"]


def exported(*layers: nn.Module, channels: int = 32, side: int = 12) -> Any:
    """Layers with random weights, after one that is not looked at, as ONNX."""
    from fercourse.export import to_onnx

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.AvgPool2d(48 // side), nn.Conv2d(1, channels, 1), *layers)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x).flatten(1)[:, :7]

    torch.manual_seed(0)
    return to_onnx(Net().eval(), {})


def test_the_small_network_answers_the_same(winograd: Any) -> None:
    proto = onnx.load(SMALL)
    before = proto.SerializeToString()
    found = winograd.with_fewer_products(proto)
    assert proto.SerializeToString() == before, "the given model was changed"
    images = np.random.default_rng(0).random((5, 1, 48, 48), dtype=np.float32)
    for one, other in zip(answers(proto, images), answers(found, images), strict=True):
        assert np.abs(one - other).max() < 1e-4 * max(1, np.abs(one).max())
    # Six of its eight convolutions: the first two see 48 x 48 pixels.
    assert sum(kernel[2:] == [3, 3] for kernel in kernels(proto)) == 8
    assert sum(kernel[2:] == [3, 3] for kernel in kernels(found)) == 2
    assert len(found.SerializeToString()) < 1.01 * len(before), "the transformed weights are stored"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("side", [6, 12, 24])
def test_with_and_without_bias_at_every_side(winograd: Any, bias: bool, side: int) -> None:
    proto = exported(nn.Conv2d(32, 40, 3, padding=1, bias=bias), side=side)
    found = winograd.with_fewer_products(proto)
    assert [40, 32, 3, 3] in kernels(proto)
    assert [40, 32, 3, 3] not in kernels(found)
    images = np.random.default_rng(1).random((3, 1, 48, 48), dtype=np.float32)
    (one,), (other,) = answers(proto, images), answers(found, images)
    assert np.abs(one - other).max() < 1e-5


@pytest.mark.parametrize(
    ("layer", "side"),
    [
        (nn.Conv2d(32, 32, 3, padding=1, stride=2), 12),
        (nn.Conv2d(32, 32, 3, padding=2, dilation=2), 12),
        (nn.Conv2d(32, 32, 3), 12),
        (nn.Conv2d(32, 32, 5, padding=2), 12),
        (nn.Conv2d(32, 32, 1), 12),
        (nn.Conv2d(32, 32, 3, padding=1, groups=2), 12),
        (nn.Conv2d(32, 8, 3, padding=1), 12),
        (nn.Conv2d(32, 32, 3, padding=1), 48),
        (nn.Conv2d(32, 32, 3, padding=1), 3),
    ],
)
def test_other_layers_stay(winograd: Any, layer: nn.Module, side: int) -> None:
    proto = exported(layer, side=side)
    assert kernels(winograd.with_fewer_products(proto)) == kernels(proto)
