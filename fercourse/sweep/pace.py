"""How fast a configuration trains on a device, measured by a few steps of the real loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from fercourse.recipes import TrainConfig

#: Images that stand for the training set; the pace does not depend on what is in them.
IMAGES = 4096
#: On a CPU a step's time is in proportion to its images: a small batch tells as much, sooner.
CPU_BATCH = 16


class Stepper:
    """Trains on random images, as `fercourse.train.fit` would, a given number of steps at a time."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        import torch

        from fercourse.device import fastest_kernels, pick_precision
        from fercourse.runs import build_model
        from fercourse.train import Totals, class_weights, make_optimizer, step_graphs

        self.config, self.device, self.fastest_kernels = config, device, fastest_kernels
        self.batch_size = min(config.batch_size, CPU_BATCH) if device.type == "cpu" else config.batch_size
        self.model = build_model(config)
        self.precision = pick_precision(self.model, device, config.precision)
        self.model.to(device, memory_format=self.precision.memory_format)  # type: ignore[call-overload]
        self.images = torch.randint(0, 256, (IMAGES, 48, 48), dtype=torch.uint8).to(device)
        self.labels = torch.randint(0, 7, (IMAGES,)).to(device)
        self.optimizer = make_optimizer(self.model, config)
        self.totals = Totals.zeros(device, IMAGES // self.batch_size + 1)
        counts = torch.bincount(self.labels, minlength=7).cpu().numpy()
        self.arguments: dict[str, Any] = {
            "generator": torch.Generator(device=device),
            "precision": self.precision,
            "augmentation": config.augment,
            "weight": class_weights(counts).to(device) if config.class_weights else None,
            "label_smoothing": config.label_smoothing,
            "scaler": torch.amp.GradScaler(device.type) if self.precision.name == "fp16" else None,
        }
        self.graphs = None
        if device.type == "cuda":
            self.graphs = step_graphs(
                self.model,
                self.images,
                self.labels,
                self.optimizer,
                totals=self.totals,
                longest=IMAGES,
                **self.arguments,
            )

    def take(self, steps: int) -> float:
        """Take at most an epoch's steps; return the seconds until the last result is there."""
        import torch

        from fercourse.train import train_one_epoch

        self.totals.reset()
        count = min(steps, IMAGES // self.batch_size) * self.batch_size
        begun = time.perf_counter()
        with self.fastest_kernels():
            train_one_epoch(
                self.model,
                self.images,
                self.labels,
                self.optimizer,
                order=torch.arange(count, device=self.device),
                batch_size=self.batch_size,
                totals=self.totals,
                graphs=self.graphs,
                **self.arguments,
            )
        self.totals.loss.item()  # waits
        return time.perf_counter() - begun

    def images_in(self, seconds: float) -> int:
        """Train for so long, and return how many images that were."""
        images, begun = 0, time.perf_counter()
        steps = 1 if self.device.type == "cpu" else IMAGES // self.batch_size
        while time.perf_counter() - begun < seconds:
            self.take(steps)
            images += int(self.totals.images)
        return images


def measure_pace(config: TrainConfig, device: torch.device) -> float:
    """Return the seconds a training image takes, from a few steps after warming up."""
    stepper = Stepper(config, device)
    if device.type == "cpu":
        stepper.take(1)
        steps = 2
    else:
        stepper.take(8)
        steps = 40
    return stepper.take(steps) / (steps * stepper.batch_size)
