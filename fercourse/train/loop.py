"""The training loop, shared by every network: epochs, and what is done between two of them."""

from __future__ import annotations

import copy
import math
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fercourse.augment import to_float
from fercourse.device import Precision, describe_device, fastest_kernels, pick_device, pick_precision
from fercourse.errors import FercourseError
from fercourse.evaluate import predict
from fercourse.recipes import TrainConfig
from fercourse.regularise import Ema
from fercourse.train.epoch import train_one_epoch
from fercourse.train.failures import (
    TrainingFailed,
    batch_that_fits,
    check_sizes,
    is_out_of_memory,
    stop_at_bad_loss,
)
from fercourse.train.lesson import Lesson, Teachers
from fercourse.train.optim import (
    class_counts,
    class_weights,
    make_optimizer,
    make_scheduler,
    set_log_prior,
)
from fercourse.train.progress import StepBar
from fercourse.train.sampling import Joined, check_targets, epoch_order, mixup_shares, used_positions
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
from fercourse.train.step import Totals, graphs_wanted, step_graphs

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
        history: a mapping an epoch: epoch, lr, train_loss, train_accuracy, val_loss, val_accuracy, seconds;
            without val's two where val was trained on.
        batch_losses: the loss of every batch of the first 3 epochs.
        best_epoch: the epoch whose weights are kept, counted from 1 (0: none was trained): the first with the
            highest val accuracy, or the last where val was trained on.
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


def fit(
    model: nn.Module,
    train: Labelled,
    val: Labelled,
    config: TrainConfig,
    *,
    targets: np.ndarray | None = None,
    teachers: Teachers | None = None,
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

    With ``config.ema``, those are the average's, and val accuracy is the average's. With ``config.fit_on`` of
    'train+val', both are trained on, nothing is measured on val, and the last epoch's weights are kept.

    Order of images, augmentation, mixup and dropout depend on ``config.seed`` alone; on a CPU with the same
    number of threads the result is the same to the bit, also after an interruption. The model's initial
    weights are the caller's: seed before creating it.

    Args:
        model: any module that maps (B, 1, 48, 48) to (B, 7); it is moved to the device.
        train, val: `FaceSet` or anything with ``images`` and ``labels``.
        targets: float32, (N, 7): soft labels of the images trained on, train's, then val's where they are
            fitted too; given where ``config.soft_labels`` asks for them, and only there.
        teachers: given where ``config.teacher`` asks for them, and only there.
        out: folder for the checkpoint, history.csv and TensorBoard's log; None keeps nothing.
        resume: go on from the folder's checkpoint where there is one.
        checkpoint_seconds: how often the state is saved; also saved at Ctrl-C and at the end.
        graphs: replay each step as a CUDA graph; None: on CUDA, unless ``FERCOURSE_GRAPHS`` is 0.
        on_epoch: called with the history after every epoch.

    Raises:
        FercourseError: an unlabelled or empty split, a checkpoint of another training, targets or teachers
            that are missing or do not fit, sizes that the network does not take; as `TrainingFailed` a loss
            that is not finite, memory that does not suffice (the message names a batch size that does).
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
    if (teachers is None) != (config.teacher == "none"):
        raise FercourseError(
            f"teacher is {config.teacher!r}, but {'no' if teachers is None else 'its'} networks were given: "
            "load them with fercourse.teachers.load_teachers, or set teacher to 'none'."
        )
    identity = {"config": config.to_dict(), "data": digest_of(train, val, targets=targets)}
    if teachers is not None:
        identity["teachers"] = teachers.digest()
    held_out = config.fit_on == "train"
    if not held_out:
        train = Joined.of(train, val)
    check_targets(targets, len(train.labels), config)
    model.to(place, memory_format=precision.memory_format)  # type: ignore[call-overload]
    check_sizes(model, config, place)
    counts = class_counts(model, train.labels[used_positions(train.labels, config)])
    if config.bias_init and not resuming:
        set_log_prior(model, counts)
    weight = class_weights(counts).to(place) if config.class_weights else None
    steps = math.ceil(len(epoch_order(train.labels, config, 0)) / config.batch_size)
    optimizer = make_optimizer(model, config)
    scheduler = make_scheduler(optimizer, config, steps)
    scaler = torch.amp.GradScaler(place.type) if precision.name == "fp16" else None
    ema = Ema(model, decay=config.ema) if config.ema else None
    evaluated = model if ema is None else ema.model
    parts = Parts(model, optimizer, scheduler, scaler, torch.Generator(device=place), ema)
    identity["precision"] = precision.name
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
    soft = None if targets is None else torch.from_numpy(targets).to(place)
    # At a fixed place on the device, refilled each epoch: a captured step reads it there.
    shares = torch.zeros(steps, device=place) if config.mixup else None
    lesson = None
    if teachers is not None:
        teachers.to(place, memory_format=precision.memory_format)  # type: ignore[call-overload]
        lesson = Lesson(teachers, config.teacher_share)
    arguments: dict[str, Any] = {
        "generator": parts.generator,
        "precision": precision,
        "augmentation": config.augment,
        "weight": weight,
        "label_smoothing": config.label_smoothing,
        "scaler": scaler,
        "targets": soft,
        "shares": shares,
        "ema": ema,
        "lesson": lesson,
    }
    graphs_used = None
    graphs = graphs_wanted(place) if graphs is None else graphs

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
                side = config.side(state.epoch)
                if side != arguments.get("side"):
                    arguments["side"] = side
                    if graphs:  # a captured step has one shape
                        graphs_used = step_graphs(
                            model,
                            images,
                            labels,
                            optimizer,
                            totals=state.totals,
                            longest=len(order),
                            **arguments,
                        )
                drawn = mixup_shares(config, state.epoch, steps)
                if shares is not None and drawn is not None:
                    shares.copy_(drawn)
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
                row = {
                    "epoch": state.epoch + 1,
                    "lr": optimizer.param_groups[0]["lr"],  # of the last step
                    "train_loss": totals.loss.item() / totals.images.item(),
                    "train_accuracy": totals.hits.item() / totals.images.item(),
                }
                if held_out:
                    logits = torch.from_numpy(predict(evaluated, val_images, precision=precision.name))
                    row["val_loss"] = F.cross_entropy(logits, val_labels).item()
                    row["val_accuracy"] = (logits.argmax(1) == val_labels).double().mean().item()
                row["seconds"] = round(before + time.monotonic() - started, 2)
                state.history.append(row)
                if state.epoch < BATCH_LOSS_EPOCHS:
                    state.batch_losses += totals.batch_losses.tolist()
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step(row["val_accuracy"])
                state.epoch, state.step, state.seconds = state.epoch + 1, 0, 0.0
                if not held_out or row["val_accuracy"] > state.best_accuracy:
                    state.best_accuracy = row.get("val_accuracy", state.best_accuracy)
                    state.best_epoch = state.epoch
                    state.best_weights = copy.deepcopy(evaluated.state_dict())
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
        # The frames of the step that failed hold its tensors, which would be missing for the search below.
        traceback.clear_frames(error.__traceback__)
        optimizer.zero_grad(set_to_none=True)
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
