"""One epoch of training: the steps in their order, plain or as CUDA graphs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from fercourse.augmentation import Augmentation
from fercourse.device import Precision
from fercourse.regularise import Ema
from fercourse.train.lesson import Lesson
from fercourse.train.step import StepGraphs, Totals, train_step


def train_one_epoch(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    order: torch.Tensor,
    batch_size: int,
    generator: torch.Generator,
    precision: Precision,
    augmentation: Augmentation | None = None,
    weight: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
    scheduler: LRScheduler | None = None,
    scaler: torch.amp.GradScaler | None = None,
    totals: Totals | None = None,
    first_step: int = 0,
    on_step: Callable[[int, Totals], None] | None = None,
    graphs: StepGraphs | None = None,
    targets: torch.Tensor | None = None,
    shares: torch.Tensor | None = None,
    ema: Ema | None = None,
    lesson: Lesson | None = None,
    side: int | None = None,
) -> Totals:
    """Train on the images in the given order, once.

    Args:
        images: uint8, (N, 48, 48), on the model's device.
        labels: int64, (N,), there too.
        order: positions of the images, int64; the last batch takes what is left over.
        generator: draws the augmentation, on that device.
        weight: a loss weight a class, (7,), as in `torch.nn.functional.cross_entropy`.
        scheduler: stepped after every batch (not the plateau schedule, which `fit` steps by epoch).
        totals, first_step: where an interrupted epoch goes on.
        on_step: called after every step with its number and the totals.
        graphs: runs the steps as CUDA graphs; made (by `step_graphs`) from these same arguments.
        targets: soft labels, float32, (N, 7), there too, for the loss in place of the labels; a hit is one of
            the label.
        shares: mixup's, of every step, float32, on that device; each image is mixed with its neighbour in the
            batch, and a hit is one of the image with the greater share. None mixes nothing.
        ema: a moving average of the weights, which follows every step.
        lesson: teachers on that device, and their part of the loss.
        side: pixels a side that images are shrunk to after augmentation; None leaves them whole.

    Returns:
        The epoch's totals: loss, hits, images, batch losses, still on the device.
    """
    steps = math.ceil(len(order) / batch_size)
    if totals is None:
        totals = Totals.zeros(images.device, steps)
    model.train()
    if graphs is not None:
        graphs.begin(order)
    for step in range(first_step, steps):
        batch = order[step * batch_size : (step + 1) * batch_size]
        if graphs is not None:
            graphs.run(len(batch))
        else:
            train_step(
                model,
                images,
                labels,
                optimizer,
                batch,
                totals=totals,
                generator=generator,
                precision=precision,
                augmentation=augmentation,
                weight=weight,
                label_smoothing=label_smoothing,
                scaler=scaler,
                targets=targets,
                shares=shares,
                ema=ema,
                lesson=lesson,
                side=side,
            )
        if scheduler is not None:
            scheduler.step()
        if on_step is not None:
            on_step(step, totals)
    return totals
