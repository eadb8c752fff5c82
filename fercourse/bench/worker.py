"""Takes one measurement; runs in a process of its own, so that its memory is nobody else's."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from fercourse.bench import ladder, loading, page, small
from fercourse.bench.jobs import BATCH_SIZE, WARM_UP, Job, Window, take
from fercourse.bench.memory import Memory
from fercourse.bench.summary import SLOWER
from fercourse.device import DTYPES, Precision, fastest_kernels, pick_precision
from fercourse.errors import FercourseError
from fercourse.models import create_model
from fercourse.recipes import make_config
from fercourse.train import (
    Totals,
    class_weights,
    graphs_wanted,
    make_optimizer,
    step_graphs,
    train_one_epoch,
)
from fercourse.train.optim import class_counts


def measure(job: Job, images: np.ndarray, labels: np.ndarray, device: torch.device, seconds: float) -> dict:
    """Take a measurement of training, evaluation or matrix products; return what a record keeps of it.

    Args:
        images, labels: the training images, uint8 (N, 48, 48), and int64 (N,).
        seconds: how long to measure.
    """
    if job.what == "matmul":
        return matmul(DTYPES[job.variant] or torch.float32, device, seconds)
    if job.what == "small":
        return measure_small(job, images, device, seconds)
    if job.variant == "one thread":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    model = create_model(job.model)
    precision = pick_precision(model, device)
    if job.variant == "bf16 on a CPU without it":
        precision = Precision("bf16", precision.channels_last)
    elif job.variant == "contiguous":
        precision = Precision(precision.name, False)
    usual = job.variant in ("usual", "no workers")
    rung = next((r for r in ladder.rungs(device.type, precision) if r.name == job.variant), None)
    if not (usual or rung or job.variant == "ours" or job.variant in SLOWER):
        raise FercourseError(f"there is no variant {job.variant!r}.")
    if usual or rung is not None:
        precision = Precision(*(("fp32", False) if rung is None else (rung.precision, rung.channels_last)))
    model.to(device, memory_format=precision.memory_format)  # type: ignore[call-overload]
    weight = class_weights(class_counts(model, labels)).to(device)
    memory = Memory(device)
    if usual:
        steps, elapsed = _usual(job, model, images, labels, weight, device, seconds, memory)
    else:
        run = (
            _evaluate(model, images, precision)
            if job.what == "evaluate"
            else _train(model, images, labels, weight, device, precision, rung, job.variant == "compiled")
        )
        steps, elapsed = take(run, seconds, WARM_UP[device.type], wait_for(device))
        memory.read_workers()
    return {
        "images_per_second": BATCH_SIZE * steps / elapsed,
        "steps": steps,
        "seconds": elapsed,
        "threads": torch.get_num_threads(),
        "precision": precision.name,
        "channels_last": precision.channels_last,
        **memory.peak(),
    }


def measure_small(job: Job, images: np.ndarray, device: torch.device, seconds: float) -> dict:
    """Take a measurement of the small network; the images are bytes, as pictures are, and are scaled."""
    memory = Memory(device)
    run = small.runner(job, images, device)
    steps, elapsed = take(run, seconds, WARM_UP[device.type], wait_for(device))
    return {
        "images_per_second": job.batch_size * steps / elapsed,
        "steps": steps,
        "seconds": elapsed,
        "threads": torch.get_num_threads(),
        "precision": small.VARIANTS[job.variant][1],
        **memory.peak(),
    }


def _usual(
    job: Job,
    model: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    weight: torch.Tensor,
    device: torch.device,
    seconds: float,
    memory: Memory,
) -> tuple[int, float]:
    from fercourse.bench import usual

    workers = 0 if job.variant == "no workers" else 2
    make = usual.make_train_loader if job.what == "train" else usual.make_test_loader
    loader = make(images, labels, num_workers=workers)
    window = Window(loader, seconds, WARM_UP[device.type], wait_for(device), memory.read_workers)
    criterion = nn.CrossEntropyLoss(weight=weight)
    if job.what == "train":
        usual.train(model, window, criterion, usual.make_optimizer(model), device)
    else:
        usual.evaluate(model, window, criterion, device)
    return window.steps, window.elapsed


def _train(
    model: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    weight: torch.Tensor,
    device: torch.device,
    precision: Precision,
    rung: ladder.Rung | None,
    compiled: bool,
) -> Callable[[int], None]:
    """Return a function that takes n training steps: the engine's own, or a rung's of the ladder."""
    config = make_config("basic_cnn")  # of paper 1's recipe, all but the model's name is read
    x, y = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    generator = torch.Generator(device=device).manual_seed(0)
    scaler = torch.amp.GradScaler(device.type) if precision.name == "fp16" else None
    steps_per_epoch = len(x) // BATCH_SIZE

    def orders(steps: int) -> list[torch.Tensor]:
        epochs = [steps_per_epoch] * (steps // steps_per_epoch) + [steps % steps_per_epoch]
        return [torch.randperm(len(x))[: n * BATCH_SIZE].to(device) for n in epochs if n]

    if rung is not None:
        slow_optimizer = ladder.make_optimizer(model, rung)
        torch.backends.cudnn.benchmark = rung.pick_kernels

        def climb(steps: int) -> None:
            for order in orders(steps):
                ladder.train_steps(
                    model, x, y, slow_optimizer, rung, order=order, batch_size=BATCH_SIZE, scaler=scaler,
                    generator=generator, augmentation=config.augment, weight=weight,
                )  # fmt: skip

        return climb

    optimizer = make_optimizer(model, config)
    totals = Totals.zeros(device, steps_per_epoch)
    arguments: dict[str, Any] = {
        "generator": generator, "precision": precision, "augmentation": config.augment, "weight": weight,
        "scaler": scaler,
    }  # fmt: skip
    if compiled:
        model = torch.compile(model)  # type: ignore[assignment]
    graphs = None
    if graphs_wanted(device):
        longest = steps_per_epoch * BATCH_SIZE
        graphs = step_graphs(model, x, y, optimizer, totals=totals, longest=longest, **arguments)

    def run(steps: int) -> None:
        for order in orders(steps):
            totals.reset()
            with fastest_kernels():
                train_one_epoch(
                    model, x, y, optimizer, order=order, batch_size=BATCH_SIZE, totals=totals, graphs=graphs,
                    **arguments,
                )  # fmt: skip

    return run


def _evaluate(model: nn.Module, images: np.ndarray, precision: Precision) -> Callable[[int], None]:
    from fercourse.evaluate import predict

    x = torch.from_numpy(images).to(next(model.parameters()).device)

    def run(steps: int) -> None:
        """Predict as many images as there are in so many of the usual loop's batches."""
        left = steps * BATCH_SIZE
        while left > 0:
            predict(model, x[:left], precision=precision.name)
            left -= len(x)

    return run


def matmul(dtype: torch.dtype, device: torch.device, seconds: float) -> dict[str, float]:
    """Return the fastest product of two large square matrices, in FLOP/s: what the device can do at most.

    On CUDA, fp32 is multiplied as TF32, as PyTorch has cuDNN do it in convolutions unless told otherwise.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    best, size = 0.0, 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, device=device).to(dtype)
    b = torch.randn(size, size, device=device).to(dtype)

    def run(times: int) -> None:
        for _ in range(times):
            a @ b

    parts = 3 if seconds else 1  # the fastest third: others may have had the device for a while
    for _ in range(parts):
        times, elapsed = take(run, seconds / parts, 1, wait_for(device))
        best = max(best, 2 * size**3 * times / elapsed)
    return {"flops": best}


def wait_for(device: torch.device) -> Callable[[], None]:
    """Return a function that waits until the device has done all it was told to do."""
    if device.type == "cpu":
        return lambda: None
    return getattr(torch, device.type).synchronize


def work(pipe: Any, job: Job, arguments: dict[str, Any]) -> None:
    """Take a measurement in a process made for it; send ``(result, None)`` or ``(None, error)``."""
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C reaches the parent only, which ends this process and its workers together
    # How this process was started is no choice of the usual loop's: its workers start as they do anywhere.
    multiprocessing.set_start_method(arguments["start_method"], force=True)
    try:
        if job.what == "load":
            pipe.send((loading.measure(job.variant, arguments["source"]), None))
            return
        if job.variant in page.PAGES:
            pipe.send((page.measure(job, arguments["book"], arguments["seconds"]), None))
            return
        with np.load(arguments["images"]) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        device = torch.device(arguments["device"])
        pipe.send((measure(job, images, labels, device, arguments["seconds"]), None))
    except Exception as error:  # told by the parent, which knows what was measured
        pipe.send((None, f"{type(error).__name__}: {error}"))
