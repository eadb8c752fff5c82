"""What a chapter defines inline, to teach it, computes the same as what the package has under that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import notebooks
from fercourse import layers
from fercourse.augmentation import Augmentation
from fercourse.device import Precision
from fercourse.evaluate import metrics, predict
from fercourse.models import create_model, resnet
from fercourse.train import train_one_epoch

CHAPTERS = Path(__file__).parents[1] / "chapters"


def inline(stem: str) -> dict[str, Any]:
    """Run a chapter's imports and the cells that it marks as definitions of its own; return their names."""
    names: dict[str, Any] = {}
    for cell in notebooks.jupytext.read(CHAPTERS / f"{stem}.py", fmt="py:percent").cells:
        imports = cell.source.startswith(("import ", "from ")) and "use_style" in cell.source
        if imports or "inline" in cell.metadata.get("tags", []):
            exec(compile(cell.source, stem, "exec"), names)
    return names


@pytest.fixture(scope="module")
def first_cnn() -> dict[str, Any]:
    return inline("03_a_first_cnn")


@pytest.fixture(scope="module")
def residual() -> dict[str, Any]:
    return inline("05_residual_learning")


def assert_same(ours: nn.Module, packaged: nn.Module, x: torch.Tensor) -> None:
    """Same weights by the same names, same outputs and gradients, in evaluation and in training."""
    ours.load_state_dict(packaged.state_dict())
    for mode in (False, True):
        results = []
        for module in (ours.train(mode), packaged.train(mode)):
            torch.manual_seed(3)  # the same dropout
            module.zero_grad()
            inputs = x.clone().requires_grad_()
            out = module(inputs)
            out.square().sum().backward()
            results.append((out.detach(), inputs.grad))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other)
    for name, value in packaged.state_dict().items():  # running statistics too
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_the_brick(first_cnn: dict[str, Any]) -> None:
    assert_same(first_cnn["ConvNormAct"](3, 5), layers.ConvNormAct(3, 5), torch.randn(4, 3, 9, 9))


def test_the_basic_cnn(first_cnn: dict[str, Any]) -> None:
    assert_same(first_cnn["BasicCNN"](), create_model("basic_cnn"), torch.randn(4, 1, 48, 48))


def faces(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=draw)
    return images, torch.randint(0, 7, (count,), generator=draw)


def test_the_loop(first_cnn: dict[str, Any]) -> None:
    images, labels = faces(70)
    models = []
    for packaged in (False, True):
        torch.manual_seed(1)
        model = create_model("basic_cnn", dropout=0.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        torch.manual_seed(2)
        if packaged:
            totals = train_one_epoch(
                model, images, labels, optimizer,
                order=torch.randperm(70), batch_size=32, generator=torch.Generator(),
                precision=Precision("fp32", channels_last=False), augmentation=Augmentation(),
            )  # fmt: skip
            result = (float(totals.loss / totals.images), float(totals.hits / totals.images))
        else:
            pixels = images.unsqueeze(1).float() / 255
            result = first_cnn["train_one_epoch"](model, pixels, labels, optimizer, batch_size=32)
        models.append((result, model))
    assert models[0][0] == pytest.approx(models[1][0], abs=1e-4)
    for one, other in zip(models[0][1].parameters(), models[1][1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_evaluation(first_cnn: dict[str, Any]) -> None:
    images, labels = faces(50)
    model = create_model("basic_cnn")
    loss, accuracy = first_cnn["evaluate"](model, images.unsqueeze(1).float() / 255, labels, batch_size=16)
    logits = predict(model, images.numpy(), progress=False)
    measured = metrics(labels=labels.numpy(), logits=logits)
    assert accuracy == pytest.approx(measured["accuracy"])
    assert loss == pytest.approx(measured["nll"], rel=1e-4)


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


def test_every_inline_definition_is_compared() -> None:
    """A definition that is added to a chapter needs a comparison here."""
    known = {
        "ConvNormAct", "BasicCNN", "train_one_epoch", "evaluate",
        "BasicBlock", "shortcut", "ResNet", "Bottleneck",
    }  # fmt: skip
    found = set()
    for path in sorted(CHAPTERS.glob("[0-9]*.py")):
        for cell in notebooks.jupytext.read(path, fmt="py:percent").cells:
            if "inline" in cell.metadata.get("tags", []):
                found |= set(notebooks.bound_names(cell.source))
    assert found == known
