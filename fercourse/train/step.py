"""One training step, and the same step as a CUDA graph.

The host describes a step to a GPU kernel by kernel, hundreds of them; for a small network that takes longer
than the computing. A CUDA graph is the recorded description: one call replays the whole step, from the draw
of the augmentation to the optimiser. What a step reads and writes must then lie at fixed places on the
device: sums, the cursor in the epoch's order and the learning rate are tensors there.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from fercourse.augment import augment, shrink
from fercourse.augmentation import Augmentation
from fercourse.device import Precision
from fercourse.regularise import Ema
from fercourse.train.lesson import Lesson

#: Cross-entropy of guessing among 7 classes is 1.95; a loss this far above it does not come back.
EXPLODED = 1e3
#: Steps of a batch size taken plainly before its capture: libraries make their workspaces and pick kernels.
WARM_UP = 3


@dataclass
class Totals:
    """Sums over the steps of an epoch so far, kept on the device so that no step waits for them."""

    loss: torch.Tensor  # sum over images of their batch's mean loss
    hits: torch.Tensor  # images classified right
    images: torch.Tensor  # images seen, int64
    steps: torch.Tensor  # steps taken, int64
    bad_step: torch.Tensor  # first step whose loss was not finite or exploded; -1 while none
    batch_losses: torch.Tensor  # of each step, float32 (most_steps,); 0 from `steps` on

    @classmethod
    def zeros(cls, device: torch.device, most_steps: int) -> Totals:
        """Return empty totals on a device, with room for the losses of so many steps."""
        # MPS has no float64; 30,000 losses of about 2 still sum to 7 digits in float32.
        dtype = torch.float32 if device.type == "mps" else torch.float64

        def count(value: int) -> torch.Tensor:
            return torch.full((), value, dtype=torch.int64, device=device)

        loss = torch.zeros((), dtype=dtype, device=device)
        return cls(loss, count(0), count(0), count(0), count(-1), torch.zeros(most_steps, device=device))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def reset(self) -> None:
        """Begin another epoch, in place: a captured step goes on writing here."""
        for name, tensor in self.tensors().items():
            tensor.fill_(-1 if name == "bad_step" else 0)

    def add(self, loss: torch.Tensor, hits: torch.Tensor, images: int) -> None:
        """Count one step: its mean loss, its hits and the number of its images; nothing waits."""
        self.loss += loss * images
        self.hits += hits
        self.batch_losses.index_copy_(0, self.steps[None], loss[None])
        is_bad = ~torch.isfinite(loss) | (loss > EXPLODED)
        self.bad_step.copy_(torch.where((self.bad_step < 0) & is_bad, self.steps, self.bad_step))
        self.steps += 1
        self.images += images


def train_step(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    batch: torch.Tensor,
    *,
    totals: Totals,
    generator: torch.Generator,
    precision: Precision,
    augmentation: Augmentation | None = None,
    weight: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
    scaler: torch.amp.GradScaler | None = None,
    targets: torch.Tensor | None = None,
    shares: torch.Tensor | None = None,
    ema: Ema | None = None,
    lesson: Lesson | None = None,
    side: int | None = None,
) -> None:
    """Take one step on the images at the positions ``batch``, int64 (B,); arguments as `train_one_epoch`."""
    x = augment(images[batch], augmentation, generator=generator)  # (B, 1, 48, 48), [0, 1]
    y = labels[batch]
    wanted = y if targets is None else targets[batch]  # (B,) or (B, 7)
    if shares is not None:
        share = shares.index_select(0, totals.steps[None]).squeeze(0)
        # The epoch's order is shuffled: the neighbour in the batch is as good a partner as any.
        x = share * x + (1 - share) * x.roll(1, 0)
    x = x.contiguous(memory_format=precision.memory_format)
    # Teachers see the picture whole: they were trained on whole ones.
    seen = x if side is None else shrink(x, side).contiguous(memory_format=precision.memory_format)
    with precision.autocast(images.device):
        logits = model(seen)  # (B, 7)

    def loss_of(target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits.float(), target, weight=weight, label_smoothing=label_smoothing)

    loss = loss_of(wanted)
    if shares is not None:
        loss = share * loss + (1 - share) * loss_of(wanted.roll(1, 0))
        y = torch.where(share < 0.5, y.roll(1, 0), y)  # what most of the picture shows: for the hits
    if lesson is not None:
        loss = lesson.loss(logits, x, loss, precision)
    optimizer.zero_grad(set_to_none=True)
    if scaler is None:
        loss.backward()
        optimizer.step()
    else:  # fp16: scaled up so that small gradients do not round to zero
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    if ema is not None:
        ema.update(model)
    with torch.no_grad():
        totals.add(loss.detach(), (logits.argmax(1) == y).sum(), len(batch))


def graphs_wanted(device: torch.device) -> bool:
    """Whether steps are replayed as CUDA graphs: on CUDA, unless ``FERCOURSE_GRAPHS`` is 0."""
    return device.type == "cuda" and os.environ.get("FERCOURSE_GRAPHS", "1") != "0"


def capture_on_cuda(
    step: Callable[[], None],
    generator: torch.Generator,
    pool: torch.cuda.MemPool | tuple[int, int] | None,
    stream: torch.cuda.Stream | None,
) -> Callable[[], None]:
    """Return a function that replays the kernels ``step`` starts; capturing starts none of them.

    On a ``stream`` of the step's device: PyTorch's own choice is one of the current device, where a step on
    another leaves nothing to replay.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)  # PyTorch's own is registered always
    # Other threads (a progress bar, a log) may go on using the device meanwhile.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):  # type: ignore[arg-type]
        step()
    return graph.replay


class StepGraphs:
    """Runs training steps on a GPU: the first of every batch size plainly, then as a captured graph.

    The same kernels in the same order on the same numbers as the plain loop; only the learning rate reaches
    them as a float32 on the device, in place of a Python float.

    Args:
        step: takes the positions of a batch, int64 (B,), and trains on it (`train_step`, bound).
        optimizer: fused, so that it can be captured (see `fercourse.train.make_optimizer`).
        generator: the augmentation's.
        totals: what ``step`` writes to; its ``images`` is the cursor in the order.
        order: int64, on the device; the epoch's positions are copied into it (`begin`).
        capture: for tests: how a step is recorded.
        scaler: the step's, in fp16.
    """

    def __init__(
        self,
        step: Callable[[torch.Tensor], None],
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        totals: Totals,
        order: torch.Tensor,
        capture: Callable[..., Callable[[], None]] = capture_on_cuda,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.step, self.optimizer, self.generator, self.totals = step, optimizer, generator, totals
        self.order, self.capture, self.scaler = order, capture, scaler
        on_cuda = order.device.type == "cuda"
        self.stream = torch.cuda.Stream(order.device) if on_cuda else None
        self.pool = torch.cuda.graph_pool_handle() if on_cuda else None
        self.lr = [torch.zeros((), device=order.device) for _ in optimizer.param_groups]
        self.rates: list[float] = []  # what stands in them
        self.taken: Counter[int] = Counter()  # plain steps of each batch size
        self.replays: dict[int, Callable[[], None]] = {}
        self.places: dict[int, torch.Tensor] = {}
        self.failed = False

    def begin(self, order: torch.Tensor) -> None:
        """Load an epoch's positions, at most as many as there is room for."""
        self.order[: len(order)].copy_(order)

    def run(self, size: int) -> None:
        """Take the next step, on ``size`` images from the cursor on."""
        if size not in self.places:
            self.places[size] = torch.arange(size, device=self.order.device)
        if size not in self.replays and not self.failed and self.taken[size] >= WARM_UP:
            self._capture(size)
        if size in self.replays:
            rates = [group["lr"] for group in self.optimizer.param_groups]
            if rates != self.rates:
                for tensor, rate in zip(self.lr, rates, strict=True):
                    tensor.fill_(rate)
                self.rates = rates
            self.replays[size]()
        else:
            self._plainly(size)
            self.taken[size] += 1

    def _next(self, size: int) -> None:
        self.step(self.order.index_select(0, self.totals.images + self.places[size]))

    def _plainly(self, size: int) -> None:
        if self.stream is None:
            self._next(size)
            return
        # Warming up on a side stream, as capture needs: memory of the main one does not enter the graph.
        main = torch.cuda.current_stream(self.order.device)
        self.stream.wait_stream(main)
        with torch.cuda.stream(self.stream):
            self._next(size)
        main.wait_stream(self.stream)

    def _capture(self, size: int) -> None:
        groups = self.optimizer.param_groups
        plain = [dict(group) for group in groups]
        self.optimizer.zero_grad(set_to_none=True)  # gradients then lie in the graph's own memory
        try:
            for group, tensor in zip(groups, self.lr, strict=True):
                group["lr"] = tensor
                if "capturable" in group:  # Adam's word for it, which warns where a step is not captured
                    group["capturable"] = True
            self.replays[size] = self.capture(
                lambda: self._next(size), self.generator, self.pool, self.stream
            )
        except RuntimeError as error:
            self.failed = True
            self._forget_captures()
            warnings.warn(
                f"This step cannot be captured as a CUDA graph ({error}); training goes on without, slower.",
                stacklevel=2,
            )
        finally:
            for group, before in zip(groups, plain, strict=True):
                group.update(before)

    def _forget_captures(self) -> None:
        """Leave nothing of a failed capture behind that keeps plain steps from being taken."""
        self.replays.clear()
        self.optimizer.zero_grad(set_to_none=True)
        if self.scaler is not None:  # it counts a step that was never taken
            self.scaler._per_optimizer_states.clear()
        if self.order.device.type == "cuda":
            # PyTorch before 2.13 leaves its generators marked as captured where the capture was cut off, and
            # they then refuse to draw. A copy of their states has no mark.
            for generator in (self.generator, torch.cuda.default_generators[self.order.device.index]):
                generator.graphsafe_set_state(generator.clone_state())


def step_graphs(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    totals: Totals,
    longest: int,
    generator: torch.Generator,
    **options: Any,
) -> StepGraphs:
    """Return what `train_one_epoch` takes as ``graphs``: its steps, with these arguments, as CUDA graphs.

    Args:
        totals: the sums of every epoch; begin one by ``totals.reset()``.
        longest: positions of the longest order that will be trained on.
        options: precision, augmentation, weight, label_smoothing, scaler, targets, shares, ema, lesson and
            side, as in `train_step`.
    """
    step = partial(
        train_step, model, images, labels, optimizer, totals=totals, generator=generator, **options
    )
    order = torch.zeros(longest, dtype=torch.int64, device=images.device)
    return StepGraphs(step, optimizer, generator, totals, order, scaler=options.get("scaler"))
