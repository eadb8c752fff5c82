"""Losses, mixup and averages beyond the papers, beside torch's, scikit-learn's and timm's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fercourse.errors import FercourseError
from fercourse.layers import SpatialAttention
from fercourse.regularise import Ema, distillation_loss, mixup, squared_hinge_loss


def batch(images: int = 6, classes: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(images, classes, generator=draw),
        torch.randint(0, classes, (images,), generator=draw),
    )


@pytest.mark.parametrize(("images", "classes"), [(6, 7), (1, 7), (5, 3)])
def test_squared_hinge_by_hand(images: int, classes: int) -> None:
    logits, labels = batch(images, classes)
    loss = squared_hinge_loss(logits, labels).item()
    signs = np.where(np.arange(classes) == labels.numpy()[:, None], 1, -1)
    by_hand = (np.maximum(0, 1 - signs * logits.numpy()) ** 2).sum(1).mean()
    assert loss == pytest.approx(by_hand, rel=1e-5)


def test_squared_hinge_is_that_of_sklearn_s_sgd() -> None:
    sgd = pytest.importorskip("sklearn.linear_model._sgd_fast")
    theirs = sgd.SquaredHinge(1.0)  # of one class and its sign
    if not hasattr(theirs, "py_loss"):
        pytest.skip("this scikit-learn keeps its loss to itself")
    logits, labels = batch(5, 4)
    values = [
        sum(theirs.py_loss(z, 1.0 if k == label else -1.0) for k, z in enumerate(row))
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert squared_hinge_loss(logits, labels).item() == pytest.approx(np.mean(values), rel=1e-5)


def test_squared_hinge_has_no_gradient_beyond_the_margin() -> None:
    logits = torch.tensor([[2.0, -3.0, -1.5]], requires_grad=True)
    squared_hinge_loss(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_mixup_is_timm_s_with_the_same_share() -> None:
    timm_mixup = pytest.importorskip("timm.data.mixup")
    images, labels = torch.rand(6, 1, 4, 4), torch.tensor([0, 1, 2, 3, 4, 5])
    mixed, targets = mixup(
        images, labels, alpha=0.4, num_classes=7, generator=torch.Generator().manual_seed(3)
    )
    draw = torch.Generator().manual_seed(3)
    torch._standard_gamma(torch.full((2,), 0.4, dtype=torch.float64), generator=draw)
    partner = torch.randperm(6, generator=draw)
    share = next(targets[i, i].item() for i in range(6) if partner[i] != i)
    torch.testing.assert_close(mixed, share * images + (1 - share) * images[partner])
    # timm mixes with the batch turned round; on such a pair both must give the same targets.
    theirs = timm_mixup.mixup_target(labels, 7, share, smoothing=0.0)
    ours = share * F.one_hot(labels, 7) + (1 - share) * F.one_hot(labels.flip(0), 7)
    torch.testing.assert_close(theirs, ours.float())
    torch.testing.assert_close(targets.sum(1), torch.ones(6))


def test_mixup_draws_from_the_beta_distribution() -> None:
    labels = torch.arange(2)
    shares = []
    for seed in range(400):
        draw = torch.Generator().manual_seed(seed)
        _, targets = mixup(torch.rand(2, 1), labels, alpha=0.2, num_classes=2, generator=draw)
        shares.append(targets[0, 0].item())
    beyond = np.mean((np.array(shares) < 0.05) | (np.array(shares) > 0.95))
    assert beyond > 0.5  # mostly a little
    images, targets = mixup(torch.ones(2, 1), labels, alpha=0, num_classes=2)
    assert (images == 1).all()
    assert torch.equal(targets, torch.eye(2))
    with pytest.raises(FercourseError, match="alpha"):
        mixup(torch.ones(2, 1), labels, alpha=-1, num_classes=2)


def test_mixup_leaves_its_input_and_torch_s_numbers_alone() -> None:
    images, labels = torch.rand(4, 1, 2, 2), torch.arange(4)
    before, state = images.clone(), torch.get_rng_state()
    mixup(images, labels, alpha=1.0, num_classes=7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_distillation_keeps_its_size_at_any_temperature(temperature: float) -> None:
    logits, labels = batch()
    teacher = batch(seed=1)[0]
    logits.requires_grad_()
    teacher.requires_grad_()
    loss = distillation_loss(logits, teacher, labels, temperature=temperature, weight=1.0)
    p, q = (teacher / temperature).softmax(1), (logits / temperature).softmax(1)
    assert loss.item() == pytest.approx((temperature**2 * (p * (p / q).log()).sum(1).mean()).item(), rel=1e-4)
    loss.backward()
    # d/dz of T^2 KL is T (q - p) / B.
    torch.testing.assert_close(logits.grad, (temperature * (q - p) / len(labels)).detach())
    assert teacher.grad is None


def test_distillation_s_other_end_is_cross_entropy() -> None:
    logits, labels = batch()
    loss = distillation_loss(logits, batch(seed=1)[0], labels, temperature=3, weight=0.0)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels))


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def test_ema_is_torch_s_with_buffers() -> None:
    torch.manual_seed(0)
    model = network()
    ours = Ema(model, decay=0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(model)  # its first call copies
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(8, 1, 4, 4)).square().sum().backward()
        optimizer.step()
        ours.update(model)
        theirs.update_parameters(model)
    for one, other in zip(ours.model.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(one, other)
        assert not one.requires_grad
    for one, other in zip(ours.model.buffers(), model.buffers(), strict=True):
        assert torch.equal(one, other)
        assert one.data_ptr() != other.data_ptr()
    assert not ours.model.training
    assert model.training


def test_ema_refuses_a_decay_that_forgets_nothing() -> None:
    for decay in (1.0, -0.1):
        with pytest.raises(FercourseError, match="decay"):
            Ema(network(), decay=decay)


@pytest.mark.parametrize("kernel_size", [3, 7])
def test_spatial_attention_is_timm_s_without_its_batch_norm(kernel_size: int) -> None:
    cbam = pytest.importorskip("timm.layers.cbam")
    theirs = cbam.SpatialAttn(kernel_size)
    theirs.conv.bn = nn.Identity()
    ours = SpatialAttention(kernel_size)
    with torch.no_grad():
        ours.conv.weight.copy_(theirs.conv.conv.weight)
    x = torch.randn(2, 5, 6, 4)
    torch.testing.assert_close(ours(x), copy.deepcopy(theirs)(x))
    assert ours.gates(x).shape == (2, 1, 6, 4)
    assert sum(p.numel() for p in ours.parameters()) == 2 * kernel_size**2
