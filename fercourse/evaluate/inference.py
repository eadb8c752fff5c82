"""A network over a set of images: its logits, and the time it takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fercourse.errors import FercourseError
from fercourse.evaluate.metrics import NUM_CLASSES
from fercourse.evaluate.views import averaged

if TYPE_CHECKING:
    import torch


def predict(
    model: torch.nn.Module,
    images: np.ndarray | torch.Tensor,
    *,
    batch_size: int = 256,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    tta: str = "none",
    progress: bool = False,
) -> np.ndarray:
    """Return the logits of ``images``: float32, (N, 7), in their order, the same at every call.

    The model is evaluated (dropout off, batch norm by its running statistics), and every part of it is put
    back in the mode it was in.

    Args:
        model: takes float (B, 1, 48, 48) in [0, 1] and returns logits (B, 7).
        images: uint8, (N, 48, 48) or (N, 1, 48, 48); scaled by `fercourse.augment.to_float`.
        device: where to compute, the model is moved there; None: where it is.
        precision: 'fp32', or 'bf16' or 'fp16' by autocast.
        tta: test-time augmentation, a name in `fercourse.evaluate.views.TTA`: average the probabilities of
            several views of each image, and return the logarithm of the average.
        progress: show a progress bar on stderr.

    Raises:
        FercourseError: no images, images that are not uint8, an unknown precision or tta, output that is not
            (B, 7).
    """
    import torch
    from tqdm import tqdm

    from fercourse.augment import to_float

    faces = _as_tensor(images)
    _positive("batch_size", batch_size)
    device = _device(model, device)
    rows = []
    with _evaluating(model, device, precision):
        starts = range(0, len(faces), batch_size)
        for start in tqdm(starts, desc="predict", unit="batch", disable=not progress, leave=False):
            batch = to_float(faces[start : start + batch_size].to(device))
            logits = averaged(model, batch, tta)
            if logits.shape != (len(batch), NUM_CLASSES):
                expected = (len(batch), NUM_CLASSES)
                raise FercourseError(f"The model returned {tuple(logits.shape)}; expected logits {expected}.")
            rows.append(logits)
    return torch.cat(rows).cpu().numpy()  # one wait for the device, not one a batch


def time_inference(
    model: torch.nn.Module,
    images: np.ndarray | torch.Tensor,
    *,
    batch_sizes: Sequence[int] = (1, 64),
    repeats: int = 5,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    most_batches: int = 256,
) -> dict[str, Any]:
    """Return the time a network takes over ``images``, in milliseconds: the median of warm repeats.

    Timed are the scaling of uint8 images that lie on the device already, and the forward pass; the clock
    stops when the last result is there. Batches beyond ``most_batches`` are not run: the time of the others
    is multiplied, and the answer says so.

    Returns:
        ``device``, ``device_name``, ``threads``, ``precision``, ``n`` and ``timings``, for each batch size:
        ``batch_size``, ``ms`` for all n images, ``ms_repeats`` (each repeat's), ``images_timed`` in each
        repeat and ``extrapolated`` (bool).

    Raises:
        FercourseError: as `predict`; a batch size or number of repeats below 1.
    """
    import torch

    from fercourse.augment import to_float
    from fercourse.device import describe_device

    faces = _as_tensor(images)
    for name, value in (("repeats", repeats), ("most_batches", most_batches)):
        _positive(name, value)
    device = _device(model, device)
    faces = faces.to(device)

    def wait() -> None:
        if device.type != "cpu":
            getattr(torch, device.type).synchronize()

    timings = []
    with _evaluating(model, device, precision):
        for batch_size in batch_sizes:
            _positive("batch_size", batch_size)
            timed = faces[: batch_size * most_batches]
            batches = timed.split(batch_size)
            taken = []
            # The first run is not counted: it makes workspaces, picks algorithms and fills caches.
            for _ in range(1 + repeats):
                wait()
                start = time.perf_counter()
                for batch in batches:
                    model(to_float(batch))
                wait()
                taken.append(1000 * (time.perf_counter() - start) * len(faces) / len(timed))
            timings.append(
                {
                    "batch_size": batch_size,
                    "ms": statistics.median(taken[1:]),
                    "ms_repeats": taken[1:],
                    "images_timed": len(timed),
                    "extrapolated": len(timed) < len(faces),
                }
            )
    return {
        "device": device.type,
        "device_name": describe_device(device),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "n": len(faces),
        "timings": timings,
    }


def _as_tensor(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    import torch

    tensor = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
    if isinstance(tensor, torch.Tensor) and tensor.ndim and not len(tensor):
        raise FercourseError(
            "There are no images to evaluate; does this source have the split that was asked for?"
        )
    return tensor


def _device(model: torch.nn.Module, device: str | torch.device | None) -> torch.device:
    import torch

    from fercourse.device import pick_device

    if device is not None:
        return pick_device(str(device))
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def _evaluating(model: torch.nn.Module, device: torch.device, precision: str) -> Iterator[None]:
    """Evaluation mode on the device, without gradients and by deterministic algorithms; undone at the end.

    In fp32, convolutions multiply in fp32 too: cuDNN would take TF32, with 10 bits of mantissa, unasked.
    """
    import torch

    from fercourse.device import DTYPES

    if precision not in DTYPES:
        raise FercourseError(f"Precision {precision!r} is not one of {', '.join(DTYPES)}.")
    modes = [(module, module.training) for module in model.modules()]
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    try:
        cudnn.deterministic, cudnn.benchmark = True, False
        cudnn.allow_tf32 = cudnn.allow_tf32 and precision != "fp32"
        model.to(device).eval()
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32"),
        ):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = before
        for module, training in modes:
            module.training = training


def _positive(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FercourseError(f"{name}={value!r} is not a whole number from 1 up.")
