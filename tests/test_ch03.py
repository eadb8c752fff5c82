"""What chapter 3 defines inline computes the same as what the package has under that name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from inline import assert_same, faces, inline

from fercourse import layers
from fercourse.augmentation import Augmentation
from fercourse.device import Precision
from fercourse.evaluate import metrics, predict
from fercourse.models import create_model
from fercourse.train import train_one_epoch

COMPARED = {"ConvNormAct", "BasicCNN", "train_one_epoch", "evaluate"}


@pytest.fixture(scope="module")
def first_cnn() -> dict[str, Any]:
    return inline("03_a_first_cnn")


def test_the_brick(first_cnn: dict[str, Any]) -> None:
    assert_same(first_cnn["ConvNormAct"](3, 5), layers.ConvNormAct(3, 5), torch.randn(4, 3, 9, 9))


def test_the_basic_cnn(first_cnn: dict[str, Any]) -> None:
    assert_same(first_cnn["BasicCNN"](), create_model("basic_cnn"), torch.randn(4, 1, 48, 48))


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
