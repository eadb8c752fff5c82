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

        from fercourse.device import pick_precision
        from fercourse.regularise import Ema
        from fercourse.runs import build_model
        from fercourse.teachers import stand_ins
        from fercourse.train import (
            Lesson,
            Totals,
            class_weights,
            graphs_wanted,
            make_optimizer,
            mixup_shares,
            step_graphs,
        )

        self.device = device
        self.batch_size = min(config.batch_size, CPU_BATCH) if device.type == "cpu" else config.batch_size
        self.model = build_model(config)
        self.precision = pick_precision(self.model, device, config.precision)
        self.model.to(device, memory_format=self.precision.memory_format)  # type: ignore[call-overload]
        self.steps_per_epoch = max(1, IMAGES // self.batch_size)
        count = self.steps_per_epoch * self.batch_size
        self.images = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8).to(device)
        self.labels = torch.randint(0, 7, (count,)).to(device)
        self.optimizer = make_optimizer(self.model, config)
        self.totals = Totals.zeros(device, self.steps_per_epoch)
        counts = torch.bincount(self.labels, minlength=7).cpu().numpy()
        shares = mixup_shares(config, 0, self.steps_per_epoch)
        teachers = stand_ins(config)
        if teachers is not None:
            teachers.to(device, memory_format=self.precision.memory_format)  # type: ignore[call-overload]
        self.arguments: dict[str, Any] = {
            "generator": torch.Generator(device=device),
            "precision": self.precision,
            "augmentation": config.augment,
            "weight": class_weights(counts).to(device) if config.class_weights else None,
            "label_smoothing": config.label_smoothing,
            "scaler": torch.amp.GradScaler(device.type) if self.precision.name == "fp16" else None,
            "shares": None if shares is None else shares.to(device),
            "ema": Ema(self.model, decay=config.ema) if config.ema else None,
            "lesson": None if teachers is None else Lesson(teachers, config.teacher_share),
        }
        self.graphs = None
        if graphs_wanted(device):
            self.graphs = step_graphs(
                self.model,
                self.images,
                self.labels,
                self.optimizer,
                totals=self.totals,
                longest=count,
                **self.arguments,
            )

    def take(self, steps: int) -> float:
        """Take steps, an epoch's at most; return the seconds an image took, the last result awaited."""
        import torch

        from fercourse.device import fastest_kernels
        from fercourse.train import train_one_epoch

        self.totals.reset()
        count = min(steps, self.steps_per_epoch) * self.batch_size
        begun = time.perf_counter()
        with fastest_kernels():
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
        return (time.perf_counter() - begun) / count

    def images_a_second(self, seconds: float) -> float:
        """Train for so long at least, and return the images a second."""
        images, begun = 0, time.perf_counter()
        steps = 1 if self.device.type == "cpu" else self.steps_per_epoch
        while time.perf_counter() - begun < seconds:
            self.take(steps)
            images += int(self.totals.images)
        return images / (time.perf_counter() - begun)


def measure_pace(config: TrainConfig, device: torch.device) -> float:
    """Return the seconds a training image takes, from a few steps after warming up."""
    stepper = Stepper(config, device)
    warm_up, steps = (1, 2) if device.type == "cpu" else (8, 40)
    stepper.take(warm_up)
    return stepper.take(steps)
