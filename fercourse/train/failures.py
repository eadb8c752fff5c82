"""What a training says when it cannot go on: a loss that is no number, memory that does not suffice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import torch
from torch import nn

from fercourse.checkpoint import save_checkpoint
from fercourse.config import WHOLE
from fercourse.errors import FercourseError, one_line
from fercourse.recipes import TrainConfig


class TrainingFailed(FercourseError):
    """A training that its own values do not allow: the loss is no number, or memory does not suffice."""


def check_sizes(model: nn.Module, config: TrainConfig, device: torch.device) -> None:
    """Raise FercourseError where the network, on that device, does not take images its epochs will have."""
    training = model.training
    model.eval()
    try:
        for side in sorted({config.side(epoch) for epoch in range(config.epochs)} - {WHOLE}):
            try:
                with torch.no_grad():
                    model(torch.zeros(1, 1, side, side, device=device))
            except Exception as error:  # a network of the reader's own may fail in any way
                raise FercourseError(
                    f"This network ({config.model}) takes no images of {side} by {side} pixels, which sizes "
                    f"asks for ({one_line(error)}): choose larger ones, or set sizes to [] to train on whole "
                    "ones."
                ) from error
    finally:
        model.train(training)


def stop_at_bad_loss(
    step: int, loss: float, indices: list[int], epoch: int, folder: Path | None, model: nn.Module
) -> NoReturn:
    """Save the weights as they are and raise TrainingFailed naming step, loss and the batch's images."""
    saved = "no folder was given, so no state was saved"
    if folder is not None:
        path = folder / f"failed-epoch{epoch}-step{step}.safetensors"
        facts = {"epoch": epoch, "step": step, "loss": str(loss), "indices": indices}
        save_checkpoint(path, model.state_dict(), facts)
        saved = f"the weights are in {path}"
    shown = ", ".join(map(str, indices[:8])) + (f", ... ({len(indices)} images)" if len(indices) > 8 else "")
    raise TrainingFailed(
        f"The loss became {loss:g} at step {step} of epoch {epoch}, on the training images {shown}; {saved}. "
        "A lower lr, or precision=fp32, often mends it."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch ran out of memory; its CPU allocator says so only in the message."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def batch_that_fits(step: Callable[[int], None], batch_size: int) -> str:
    """Halve the batch until ``step`` (forward and backward on that many images) fits; say what was found."""
    size = batch_size // 2
    while size:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            step(size)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            size //= 2
        else:
            return f"a batch of {size} fits (set batch_size={size})"
    return "not even one image fits: close other programs or choose a smaller network"
