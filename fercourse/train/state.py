"""What a training must remember to go on exactly where it stopped, and the log it leaves."""

from __future__ import annotations

import hashlib
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from fercourse.checkpoint import load_checkpoint, save_checkpoint
from fercourse.errors import FercourseError, one_line, shown
from fercourse.files import atomic_path
from fercourse.regularise import Ema
from fercourse.train.step import Totals

LAST = "last.safetensors"
BEST = "best.safetensors"


@dataclass
class State:
    """Where a training stands."""

    totals: Totals
    epoch: int = 0  # finished epochs
    step: int = 0  # finished steps of the epoch under way
    seconds: float = 0.0  # spent in the epoch under way
    history: list[dict[str, float]] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    best_epoch: int = 0  # counted from 1; 0 before the first
    best_accuracy: float = -1.0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class Parts:
    """The objects of a training that have a state of their own."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any
    scaler: torch.amp.GradScaler | None
    generator: torch.Generator
    ema: Ema | None = None


def digest_of(*splits: Any, targets: np.ndarray | None = None) -> str:
    """Return a SHA-256 (hex) of the splits' images and labels, and of soft labels where there are any.

    A checkpoint belongs to its data.
    """
    digest = hashlib.sha256()
    for split in splits:
        digest.update(f"{split.images.shape};".encode())
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels).data)
    if targets is not None:
        digest.update(np.ascontiguousarray(targets).data)
    return digest.hexdigest()


def save_state(folder: Path, identity: dict[str, Any], state: State, parts: Parts) -> None:
    """Write ``last.safetensors`` (everything) and ``best.safetensors`` (weights of the best epoch so far)."""
    device = state.totals.loss.device
    tensors = {f"model/{name}": tensor for name, tensor in parts.model.state_dict().items()}
    if parts.ema is not None:
        tensors |= {f"ema/{name}": tensor for name, tensor in parts.ema.model.state_dict().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best_weights.items()}
    optimizer = parts.optimizer.state_dict()
    for index, values in optimizer["state"].items():
        tensors |= {
            f"optimizer/{index}/{name}": tensor for name, tensor in values.items() if tensor is not None
        }
    tensors["random/cpu"] = torch.get_rng_state()
    tensors["random/augment"] = parts.generator.get_state()
    if device.type == "cuda":
        tensors["random/cuda"] = torch.cuda.get_rng_state(device)
    tensors |= {f"totals/{name}": tensor for name, tensor in state.totals.tensors().items()}
    facts = {
        "identity": identity,
        "groups": optimizer["param_groups"],
        "scheduler": parts.scheduler.state_dict(),
        "scaler": parts.scaler.state_dict() if parts.scaler else None,
        **{
            name: getattr(state, name)
            for name in ("epoch", "step", "seconds", "history", "batch_losses", "best_epoch", "best_accuracy")
        },
    }
    if state.best_weights:
        # Written first: if the second write fails, the older state leads to this epoch again.
        save_checkpoint(
            folder / BEST,
            state.best_weights,
            {
                "identity": identity,
                "epoch": state.best_epoch,
                "val_accuracy": state.best_accuracy if state.best_accuracy >= 0 else None,  # not held out
                "history": state.history,
                "batch_losses": state.batch_losses,
            },
        )
    save_checkpoint(folder / LAST, tensors, facts)


def _same_training(path: Path, stored: dict[str, Any], identity: dict[str, Any]) -> None:
    """Raise FercourseError where the checkpoint's configuration, data or number format differ from ours."""
    before, now = stored.get("config", {}), identity["config"]
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            raise FercourseError(
                f"{path} belongs to a training with {one_line(name)} = {shown(before.get(name))}, not "
                f"{shown(now.get(name))}: resume with the same values, or name another folder."
            )
    for name, advice in (
        ("data", "resume with the same data"),
        ("teachers", "resume with the same teachers"),
        ("precision", "resume on the same kind of device, or set precision"),
    ):
        if stored.get(name) != identity.get(name):
            raise FercourseError(
                f"{path} belongs to a training with other {name} ({shown(stored.get(name), 14)}, "
                f"now {shown(identity.get(name), 14)}): {advice}, or name another folder."
            )


def check_facts(path: Path, facts: dict[str, Any], *numbers: str, held_out: bool) -> None:
    """Check what a checkpoint says of a training's course: the epoch, these numbers, losses and history.

    ``held_out`` says whether val was not trained on: the history has its columns then.

    Raises:
        FercourseError: one of them is absent or of another kind than `save_state` writes.
    """

    def fail(what: str, value: Any) -> None:
        raise FercourseError(f"{path} says {what} is {shown(value)}: restore it from a copy or train again.")

    def is_number(value: Any) -> bool:
        return type(value) in (int, float)

    for name in ("epoch", *numbers):
        value = facts.get(name)
        whole = name in ("epoch", "step", "best_epoch")
        if not is_number(value) or (whole and (type(value) is not int or value < 0)):
            fail(name, value)
    columns = {"epoch", "lr", "train_loss", "train_accuracy", "seconds"}
    columns |= {"val_loss", "val_accuracy"} if held_out else set()
    history, losses = facts.get("history"), facts.get("batch_losses")
    if not isinstance(history, list) or len(history) < facts["epoch"]:
        fail("the history", history)
    for number, row in enumerate(history or [], 1):
        if not isinstance(row, dict) or not columns <= row.keys() or row["epoch"] != number:
            fail(f"epoch {number} of the history", row)
        if not all(map(is_number, row.values())):
            fail(f"epoch {number} of the history", row)
    if not isinstance(losses, list) or not all(map(is_number, losses)):
        fail("batch_losses", losses)


def load_state(folder: Path, identity: dict[str, Any], parts: Parts, device: torch.device) -> State:
    """Read ``last.safetensors`` into the parts and return the state.

    Raises:
        FercourseError: the file is damaged, foreign, or of another configuration, data set or precision.
    """
    path = folder / LAST
    tensors, facts = load_checkpoint(path)
    stored = facts.get("identity")
    if not isinstance(stored, dict) or not isinstance(stored.get("config"), dict):
        raise FercourseError(f"{path} does not say what it was trained with: name another folder.")
    _same_training(path, stored, identity)
    held_out = identity["config"].get("fit_on", "train") == "train"
    check_facts(path, facts, "step", "seconds", "best_epoch", "best_accuracy", held_out=held_out)
    try:
        return _restore(tensors, facts, parts, device)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise FercourseError(
            f"{path} holds another training state than this version of fercourse writes "
            f"({one_line(error)}): go on with the version that wrote it, or train anew in another folder."
        ) from error


def _restore(
    tensors: dict[str, torch.Tensor], facts: dict[str, Any], parts: Parts, device: torch.device
) -> State:
    """Put a checkpoint's tensors and facts into the parts, and return the state.

    What is only kept, and used when the training ends, is held against the parts now.
    """

    def group(prefix: str) -> dict[str, torch.Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    parts.model.load_state_dict(group("model/"))
    if parts.ema is not None:
        parts.ema.model.load_state_dict(group("ema/"))
    own, best = parts.model.state_dict(), group("best/")
    if {name: tensor.shape for name, tensor in (best or own).items()} != {
        name: tensor.shape for name, tensor in own.items()
    }:
        raise ValueError("its best weights are of another network")
    parameters = [p for each in parts.optimizer.param_groups for p in each["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in group("optimizer/").items():
        index, key = name.split("/")
        like = parameters[int(index)]
        if tensor.shape == like.shape:
            # The fused kernels walk through memory side by side: moments must lie as their weights do,
            # channels last or not, or each weight would get another one's moments.
            tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        moments.setdefault(int(index), {})[key] = tensor
    groups = [  # how a step is carried out is this process's own affair
        {**saved, "fused": own["fused"]}
        for saved, own in zip(facts["groups"], parts.optimizer.param_groups, strict=True)
    ]
    parts.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    parts.scheduler.load_state_dict(facts["scheduler"])
    if parts.scaler is not None:
        parts.scaler.load_state_dict(facts["scaler"])
    torch.set_rng_state(tensors["random/cpu"])
    parts.generator.set_state(tensors["random/augment"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random/cuda"], device)
    totals = Totals(**{name: tensor.to(device) for name, tensor in group("totals/").items()})
    return State(
        totals,
        facts["epoch"],
        facts["step"],
        facts["seconds"],
        facts["history"],
        facts["batch_losses"],
        facts["best_epoch"],
        facts["best_accuracy"],
        {name: tensor.to(device) for name, tensor in best.items()},
    )


class TrainingLog:
    """history.csv, rewritten whole after every epoch, and TensorBoard's event file where asked for."""

    def __init__(self, folder: Path | None, history: list[dict[str, float]], tensorboard: bool) -> None:
        self.path = None if folder is None else folder / "history.csv"
        self.writer = None
        if tensorboard and folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # seconds of import, for those who want it

            # purge_step: a resumed training hides what was logged after its checkpoint.
            self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=len(history) + 1)

    def epoch(self, history: list[dict[str, float]]) -> None:
        """Log the last row of the history."""
        if self.path is not None:
            with atomic_path(self.path) as temporary:
                pd.DataFrame(history).to_csv(temporary, index=False)
        if self.writer is not None:
            row = history[-1]
            for name, value in row.items():
                if name != "epoch":
                    self.writer.add_scalar(name.replace("_", "/", 1), value, row["epoch"])
            self.writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()


@contextmanager
def deferred_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event that the loop reads between steps; a second one acts at once.

    An interrupt in the middle of an optimiser step would leave weights that belong to no step.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # Python delivers signals to the main thread only
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(signum: int, frame: Any) -> None:  # noqa: ARG001 - the signature of a handler
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
