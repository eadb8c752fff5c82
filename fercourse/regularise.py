"""Losses and averages that go beyond the two papers: each is a few lines, a citation, and torch alone."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.errors import FercourseError


def squared_hinge_loss(logits: Tensor, labels: Tensor, *, margin: float = 1.0) -> Tensor:
    """Return the loss of a linear L2-SVM on the last layer, one class against the rest (Tang, 2013).

    Each logit should be above the margin for the image's own class and below minus the margin for the others;
    what is missing is squared, added up over the classes and averaged over the batch.

    Args:
        logits: (B, K).
        labels: int64, (B,).
    """
    signs = 2 * F.one_hot(labels, logits.shape[1]).to(logits.dtype) - 1  # (B, K), 1 or -1
    return (margin - signs * logits).clamp(min=0).square().sum(1).mean()


def mixup(
    images: Tensor,
    labels: Tensor,
    *,
    alpha: float,
    num_classes: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return weighted means of pairs of images, and of their one-hot labels (Zhang et al., 2018).

    One weight a batch, from Beta(alpha, alpha); each image's partner is any place of the same batch, its own
    too. The loss is `torch.nn.functional.cross_entropy` with these soft targets.

    Args:
        images: float, (B, ...).
        labels: int64, (B,).
        alpha: 0 mixes nothing; 0.2 mixes mostly a little; 1 any share alike.
        generator: on the CPU; None for torch's own.

    Returns:
        images of the same shape, and targets (B, num_classes) whose rows add up to 1.

    Raises:
        FercourseError: alpha is negative.
    """
    if not alpha >= 0:
        raise FercourseError(f"mixup's alpha is {alpha}; expected 0 or more.")
    targets = F.one_hot(labels, num_classes).to(images.dtype)
    if alpha == 0:
        return images, targets
    # Two gamma variates make a beta variate, and torch's take a generator.
    pair = torch._standard_gamma(torch.full((2,), float(alpha), dtype=torch.float64), generator=generator)
    share = float(pair[0] / pair.sum())
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    mixed = share * images + (1 - share) * images[partner]
    return mixed, share * targets + (1 - share) * targets[partner]


def taught_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return ``T^2 * KL(teacher at T || student at T)``, averaged over a batch.

    Hinton, Vinyals & Dean (2015). The factor T^2 keeps the size of the gradient, which shrinks with 1 / T^2.
    None of it reaches the teacher.

    Args:
        logits, teacher_logits: (B, K).
        temperature: T, above 0; what both are divided by.
    """
    divergence = F.kl_div(
        (logits / temperature).log_softmax(1),
        (teacher_logits.detach() / temperature).log_softmax(1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def distillation_loss(
    logits: Tensor, teacher_logits: Tensor, labels: Tensor, *, temperature: float, weight: float
) -> Tensor:
    """Return a student's loss: part of it from a teacher's softened shares (Hinton, Vinyals & Dean, 2015).

    ``weight`` times `taught_loss`, and the rest of it cross-entropy with the labels.

    Args:
        logits, teacher_logits: (B, K).
        labels: int64, (B,).
        temperature: T, above 0; what both logits are divided by in the first part.
        weight: of the first part, 0 to 1.
    """
    soft = taught_loss(logits, teacher_logits, temperature)
    return weight * soft + (1 - weight) * F.cross_entropy(logits, labels)


class Ema:
    """An exponential moving average of a network's weights, evaluated in place of the last ones.

    Polyak & Juditsky (1992) averaged the path of an optimiser; as an exponential average it is Inception v3's
    (Szegedy et al., 2016). Running statistics are copied as they stand: they are averages already, and an
    average network that keeps the first ones would normalise by the statistics of untrained layers.

    Args:
        model: averaged from its present weights on; it is left alone.
        decay: the share that the average keeps at each `update`.

    Attributes:
        model: the average, a network in evaluation mode.

    Raises:
        FercourseError: the decay is not from 0 up to below 1.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        if not 0 <= decay < 1:
            raise FercourseError(f"decay is {decay}; expected at least 0 and below 1.")
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the network's weights, after a step of its training."""
        for mean, value in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(value, 1 - self.decay)
        for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
