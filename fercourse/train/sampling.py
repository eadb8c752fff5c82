"""Which images an epoch trains on, and in which order: functions of the seed and the epoch alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fercourse.errors import FercourseError
from fercourse.recipes import TrainConfig


@dataclass(frozen=True)
class Joined:
    """Several splits as one: images uint8, (N, 48, 48), and labels int64, (N,)."""

    images: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, *splits: Any) -> Joined:
        """Return the splits one after the other."""
        return cls(
            np.concatenate([split.images for split in splits]),
            np.concatenate([split.labels for split in splits]),
        )


def check_targets(targets: np.ndarray | None, count: int, config: TrainConfig) -> None:
    """Raise FercourseError unless soft labels are given where they are asked for, a row an image."""
    if config.soft_labels == "none" and targets is not None:
        raise FercourseError("Soft labels were given, but soft_labels is 'none': set it, or leave them out.")
    if config.soft_labels == "none":
        return
    if targets is None or targets.dtype != np.float32 or targets.shape[:1] != (count,) or targets.ndim != 2:
        found = "none were given" if targets is None else f"got {targets.dtype} of shape {targets.shape}"
        raise FercourseError(
            f"soft_labels is {config.soft_labels!r}, which needs targets, float32 of shape ({count}, 7); "
            f"{found}."
        )


def used_positions(labels: np.ndarray, config: TrainConfig) -> np.ndarray:
    """Return the sorted positions of the images trained on: all, or a share of every class by the seed."""
    if config.train_fraction == 1:
        return np.arange(len(labels))
    generator = np.random.default_rng([config.seed, 1 << 31])
    members = (generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels))
    return np.sort(np.concatenate([m[: max(1, round(config.train_fraction * len(m)))] for m in members]))


def epoch_order(labels: np.ndarray, config: TrainConfig, epoch: int) -> torch.Tensor:
    """Return an epoch's positions (epochs count from 0), int64, shuffled by (seed, epoch) alone."""
    order = np.random.default_rng([config.seed, epoch]).permutation(used_positions(labels, config))
    if config.max_steps is not None:
        order = order[: config.max_steps * config.batch_size]
    return torch.from_numpy(order)


def mixup_shares(config: TrainConfig, epoch: int, steps: int) -> torch.Tensor | None:
    """Return the share that an epoch's every step leaves to an image, float32 (steps,); None without mixup.

    From Beta(mixup, mixup), by (seed, epoch) alone: drawn on the host beforehand, like the order, so that a
    captured step finds its share on the device and a resumed one finds the same.
    """
    if not config.mixup:
        return None
    drawn = np.random.default_rng([config.seed, epoch, 1]).beta(config.mixup, config.mixup, steps)
    return torch.from_numpy(drawn.astype(np.float32))
