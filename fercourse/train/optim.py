"""What the loss and the optimiser are built from: class weights, initial bias, optimiser, schedule."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from fercourse.errors import FercourseError
from fercourse.recipes import TrainConfig


def class_weights(counts: np.ndarray) -> torch.Tensor:
    """Return a loss weight a class, float32 (K,): N / (K * count), so that the mean over images is 1.

    Paper 1 weighs by inverse training frequency and names no scale. PyTorch's cross-entropy divides a batch's
    loss by its summed weights, so the scale cancels; this one keeps the numbers readable. A class without
    images gets the weight it would have with one.
    """
    weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32))


def log_prior(counts: np.ndarray) -> torch.Tensor:
    """Return the log share of every class, float32 (K,): the logits of a network that only knows how often.

    A class without images counts as having one, which keeps the logarithm finite.
    """
    floor = np.maximum(counts, 1)
    return torch.from_numpy(np.log(floor / floor.sum()).astype(np.float32))


def output_layer(model: nn.Module) -> nn.Linear | None:
    """Return the last linear layer in the order of definition: the classifier of every network here."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return layers[-1] if layers else None


def class_counts(model: nn.Module, labels: np.ndarray) -> np.ndarray:
    """Return images a class, int64 (K,), for as many classes as the model has outputs."""
    layer = output_layer(model)
    return np.bincount(labels, minlength=layer.out_features if layer is not None else 0)


def set_log_prior(model: nn.Module, counts: np.ndarray) -> None:
    """Set the classifier's bias to the log class prior, as paper 1 does.

    Raises:
        FercourseError: the model does not end in a linear layer with a bias and an output a class.
    """
    layer = output_layer(model)
    if layer is None or layer.bias is None or layer.out_features != len(counts):
        raise FercourseError(
            f"bias_init needs a model whose last nn.Linear has a bias and {len(counts)} outputs; "
            f"{type(model).__name__} has {layer}. Set bias_init=False, or give the model such a layer."
        )
    with torch.no_grad():
        layer.bias.copy_(log_prior(counts))


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the configured optimiser; weight decay spares biases and norms (tensors of one dimension)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.weight_decay:
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    else:
        groups = [{"params": parameters}]
    # One kernel for all tensors, in place of several for each.
    fused = parameters[0].device.type in ("cpu", "cuda")
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=fused
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, fused=fused)


def make_scheduler(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps_per_epoch: int
) -> LRScheduler | ReduceLROnPlateau:
    """Return the configured schedule: 'plateau' is stepped once an epoch, the others once a batch."""
    if config.schedule == "plateau":
        # Keras, which paper 1's wording follows, acts at the `patience`-th epoch without a better value,
        # PyTorch at the one after it.
        return ReduceLROnPlateau(
            optimizer, mode="max", factor=config.factor, patience=config.patience - 1, threshold=0.0
        )
    steps = max(1, config.epochs * steps_per_epoch)
    if config.schedule == "one_cycle":
        return OneCycleLR(optimizer, max_lr=config.lr, total_steps=steps, cycle_momentum=False)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    return ConstantLR(optimizer, factor=1.0)
