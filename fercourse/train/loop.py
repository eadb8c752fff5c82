"""The training loop: two plain functions, shared by every network."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from fercourse.augment import to_float
from fercourse.augmentation import Augmentation
from fercourse.device import Precision, describe_device, fastest_kernels, pick_device, pick_precision
from fercourse.errors import FercourseError
from fercourse.evaluate import predict
from fercourse.recipes import TrainConfig
from fercourse.train.failures import TrainingFailed, batch_that_fits, is_out_of_memory, stop_at_bad_loss
from fercourse.train.optim import (
    class_counts,
    class_weights,
    make_optimizer,
    make_scheduler,
    set_log_prior,
)
from fercourse.train.progress import StepBar
from fercourse.train.sampling import epoch_order, used_positions
from fercourse.train.state import (
    LAST,
    Parts,
    State,
    TrainingLog,
    deferred_interrupt,
    digest_of,
    load_state,
    save_state,
)
from fercourse.train.step import StepGraphs, Totals, step_graphs, train_step

#: Epochs whose every batch loss is kept (paper 2's claim is about the first ones).
BATCH_LOSS_EPOCHS = 3


class Labelled(Protocol):
    """What `fit` trains on: ``images`` uint8 (N, 48, 48) and ``labels`` int64 (N,), as in `FaceSet`."""

    @property
    def images(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Fit:
    """What a training leaves behind; the model itself holds the best epoch's weights.

    Attributes:
        history: a mapping an epoch: epoch, lr, train_loss, train_accuracy, val_loss, val_accuracy, seconds.
        batch_losses: the loss of every batch of the first 3 epochs.
        best_epoch: the first epoch with the highest val accuracy, counted from 1 (0: none was trained).
        precision: the number format used, and whether channels_last.
        device: the device's name.
    """

    history: list[dict[str, float]]
    batch_losses: list[float]
    best_epoch: int
    precision: Precision
    device: str

    @property
    def seconds(self) -> float:
        """Training and validation time of all epochs, in seconds, over all processes that had a part."""
        return sum(row["seconds"] for row in self.history)


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
            )
        if scheduler is not None:
            scheduler.step()
        if on_step is not None:
            on_step(step, totals)
    return totals


def fit(
    model: nn.Module,
    train: Labelled,
    val: Labelled,
    config: TrainConfig,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    device: str | torch.device | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    checkpoint_seconds: float = 60.0,
    graphs: bool | None = None,
    on_epoch: Callable[[list[dict[str, float]]], None] | None = None,
) -> Fit:
    """Train a model by a configuration; leave it with the weights of the best epoch by val accuracy.

    Order of images, augmentation and dropout depend on ``config.seed`` alone; on a CPU with the same number
    of threads the result is the same to the bit, also after an interruption. The model's initial weights are
    the caller's: seed before creating it.

    Args:
        model: any module that maps (B, 1, 48, 48) to (B, 7); it is moved to the device.
        train, val: `FaceSet` or anything with ``images`` and ``labels``.
        out: folder for the checkpoint, history.csv and TensorBoard's log; None keeps nothing.
        resume: go on from the folder's checkpoint where there is one.
        checkpoint_seconds: how often the state is saved; also saved at Ctrl-C and at the end.
        graphs: replay each step as a CUDA graph; None: on CUDA, yes.
        on_epoch: called with the history after every epoch.

    Raises:
        FercourseError: an unlabelled or empty split, a checkpoint of another training; as `TrainingFailed` a
            loss that is not finite, memory that does not suffice (the message names a batch size that does).
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
    """
    for name, split in (("train", train), ("val", val)):
        if not len(split.labels) or split.labels.min() < 0:
            raise FercourseError(
                f"The {name} split is empty or holds images without a label; fit needs both."
            )
    folder = None if out is None else Path(out)
    resuming = folder is not None and (folder / LAST).exists()
    if resuming and not resume:
        raise FercourseError(
            f"{folder} already holds a training: resume it (--resume), or name another folder for a new one."
        )
    place = device if isinstance(device, torch.device) else pick_device(device)
    precision = pick_precision(model, place, config.precision)
    model.to(place, memory_format=precision.memory_format)  # type: ignore[call-overload]
    counts = class_counts(model, train.labels[used_positions(train.labels, config)])
    if config.bias_init and not resuming:
        set_log_prior(model, counts)
    weight = class_weights(counts).to(place) if config.class_weights else None
    steps = math.ceil(len(epoch_order(train.labels, config, 0)) / config.batch_size)
    optimizer = make_optimizer(model, config)
    scheduler = make_scheduler(optimizer, config, steps)
    scaler = torch.amp.GradScaler(place.type) if precision.name == "fp16" else None
    parts = Parts(model, optimizer, scheduler, scaler, torch.Generator(device=place))
    identity = {"config": config.to_dict(), "data": digest_of(train, val), "precision": precision.name}
    if folder is not None and resuming:
        state = load_state(folder, identity, parts, place)
    else:
        state = State(Totals.zeros(place, steps))

    images, labels = torch.from_numpy(train.images).to(place), torch.from_numpy(train.labels).to(place)
    val_images, val_labels = torch.from_numpy(val.images).to(place), torch.from_numpy(val.labels)
    log = TrainingLog(folder, state.history, tensorboard)
    bar = StepBar(config, steps, state.epoch * steps + state.step, place, shown=progress)
    saved_at = started = time.monotonic()
    before = state.seconds  # of this epoch, in an earlier process
    order = epoch_order(train.labels, config, state.epoch)
    arguments: dict[str, Any] = {
        "generator": parts.generator,
        "precision": precision,
        "augmentation": config.augment,
        "weight": weight,
        "label_smoothing": config.label_smoothing,
        "scaler": scaler,
    }
    graphs_used = None
    if place.type == "cuda" if graphs is None else graphs:
        graphs_used = step_graphs(
            model, images, labels, optimizer, totals=state.totals, longest=len(order), **arguments
        )

    def save() -> None:
        nonlocal saved_at
        if folder is not None:
            save_state(folder, identity, state, parts)
        saved_at = time.monotonic()

    def on_step(step: int, totals: Totals) -> None:
        state.step, state.seconds = step + 1, before + time.monotonic() - started
        # Reading a value makes the host wait for the device: on a GPU only when the bar is drawn.
        if bar.advance(state.epoch * steps + state.step) or place.type == "cpu":
            check(totals)
            bar.show(state)
        if asked.is_set() or time.monotonic() - saved_at > checkpoint_seconds:
            save()
        if asked.is_set():
            raise KeyboardInterrupt

    def check(totals: Totals) -> None:
        step = int(totals.bad_step)
        if step >= 0:
            batch = order[step * config.batch_size : (step + 1) * config.batch_size].tolist()
            stop_at_bad_loss(step, totals.batch_losses[step].item(), batch, state.epoch + 1, folder, model)

    def probe(size: int) -> None:
        with precision.autocast(place):
            logits = model(to_float(images[:size]).contiguous(memory_format=precision.memory_format))
        F.cross_entropy(logits.float(), labels[:size]).backward()

    try:
        with deferred_interrupt() as asked, fastest_kernels():
            while state.epoch < config.epochs:
                order = epoch_order(train.labels, config, state.epoch)
                if state.step == 0:
                    # Dropout draws from the global stream, augmentation from its own: both start anew.
                    torch.manual_seed(config.seed * 100_003 + state.epoch)
                    parts.generator.manual_seed(config.seed * 100_003 + state.epoch)
                totals = train_one_epoch(
                    model,
                    images,
                    labels,
                    optimizer,
                    order=order.to(place),
                    batch_size=config.batch_size,
                    scheduler=None if isinstance(scheduler, ReduceLROnPlateau) else scheduler,
                    totals=state.totals,
                    first_step=state.step,
                    on_step=on_step,
                    graphs=graphs_used,
                    **arguments,
                )
                check(totals)
                logits = torch.from_numpy(predict(model, val_images, precision=precision.name))
                val_loss = F.cross_entropy(logits, val_labels).item()
                val_accuracy = (logits.argmax(1) == val_labels).double().mean().item()
                seconds = before + time.monotonic() - started
                state.history.append(
                    {
                        "epoch": state.epoch + 1,
                        "lr": optimizer.param_groups[0]["lr"],  # of the last step
                        "train_loss": totals.loss.item() / totals.images.item(),
                        "train_accuracy": totals.hits.item() / totals.images.item(),
                        "val_loss": val_loss,
                        "val_accuracy": val_accuracy,
                        "seconds": round(seconds, 2),
                    }
                )
                if state.epoch < BATCH_LOSS_EPOCHS:
                    state.batch_losses += totals.batch_losses.tolist()
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step(val_accuracy)
                state.epoch, state.step, state.seconds = state.epoch + 1, 0, 0.0
                if val_accuracy > state.best_accuracy:
                    state.best_accuracy, state.best_epoch = val_accuracy, state.epoch
                    state.best_weights = copy.deepcopy(model.state_dict())
                state.totals.reset()
                before, started = 0.0, time.monotonic()
                log.epoch(state.history)
                if on_epoch is not None:
                    on_epoch(state.history)
                if state.epoch == config.epochs or asked.is_set() or started - saved_at > checkpoint_seconds:
                    save()
                if asked.is_set():
                    raise KeyboardInterrupt
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not is_out_of_memory(error):
            raise
        raise TrainingFailed(
            f"Memory does not suffice for a batch of {config.batch_size} images of {config.model} on "
            f"{describe_device(place)}: {batch_that_fits(probe, config.batch_size)}."
        ) from error
    finally:
        bar.close()
        log.close()
    if state.best_weights:
        model.load_state_dict(state.best_weights)
    return Fit(state.history, state.batch_losses, state.best_epoch, precision, describe_device(place))
