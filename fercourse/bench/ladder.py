"""The way from the usual loop to ours, one step at a time, as one loop with switches.

The loop is for measuring and for reading. Training itself is `fercourse.train`; with every switch set as
there, the loop below computes the same to the bit (a test holds it to that).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from fercourse.augment import augment
from fercourse.augmentation import Augmentation
from fercourse.device import Precision


@dataclass(frozen=True)
class Rung:
    """One way to run a training step; every field that differs from the defaults is a step away from them.

    Attributes:
        name: its name in a record.
        item: read loss and hits after every step, for which the host waits.
        channels_last: memory layout: the channels of a pixel side by side, in place of planes.
        fused: Adam's update of all tensors in one kernel.
        precision: number format of the forward pass.
        pick_kernels: let cuDNN time its kernels and keep the fastest.
    """

    name: str
    item: bool = True
    channels_last: bool = False
    fused: bool | None = None
    precision: str = "fp32"
    pick_kernels: bool = False


def rungs(device_kind: str, precision: Precision) -> list[Rung]:
    """Return the rungs between the usual loop and ours for a device and what `pick_precision` chose there."""
    steps = [Rung("on_device")]

    def then(name: str, **changes: bool | str) -> None:
        steps.append(replace(steps[-1], name=name, **changes))  # type: ignore[arg-type]

    then("no_item", item=False)
    if precision.channels_last:
        then("channels_last", channels_last=True)
    if device_kind in ("cpu", "cuda"):
        then("fused", fused=True)
    if precision.name != "fp32":
        then(precision.name, precision=precision.name)
    if device_kind == "cuda":
        then("pick_kernels", pick_kernels=True)
    return steps


def train_steps(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    rung: Rung,
    *,
    order: torch.Tensor,
    batch_size: int,
    generator: torch.Generator,
    augmentation: Augmentation,
    weight: torch.Tensor,
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[float, float]:
    """Train on the images in the given order, once; return loss and accuracy.

    The model lies in memory as the rung says, the optimiser is `make_optimizer`'s for it; arguments are those
    of `fercourse.train.train_one_epoch`, images and labels on the device.
    """
    precision = Precision(rung.precision, rung.channels_last)
    model.train()
    total_loss: float | torch.Tensor = 0.0
    hits: float | torch.Tensor = 0
    for batch in order.split(batch_size):
        x = augment(images[batch], augmentation, generator=generator)
        x = x.contiguous(memory_format=precision.memory_format)
        y = labels[batch]
        with precision.autocast(images.device):
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y, weight=weight)
        optimizer.zero_grad(set_to_none=True)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        step_loss, step_hits = loss.detach() * len(batch), (logits.argmax(1) == y).sum()
        total_loss = total_loss + (step_loss.item() if rung.item else step_loss)
        hits = hits + (step_hits.item() if rung.item else step_hits)
    return float(total_loss) / len(order), float(hits) / len(order)


def make_optimizer(model: nn.Module, rung: Rung) -> torch.optim.Optimizer:
    """Return Adam at paper 1's learning rate, fused where the rung says so, else as PyTorch chooses."""
    return torch.optim.Adam(model.parameters(), lr=3e-4, fused=rung.fused)
