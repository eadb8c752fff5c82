"""Whether a network can learn: gradients at every weight, and one batch known by heart."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercourse.check.probes.forward import Setting, named
from fercourse.check.probes.source import explain
from fercourse.check.probes.watch import Watch

#: Images to learn by heart: few, so that it is quick; enough that nobody is right by luck.
IMAGES = 8
#: Adam's learning rates, tried in this order from the same weights, and the share of the time each may take.
RATES = ((1e-3, 0.5), (1e-2, 0.75), (1e-4, 1.0))
#: Steps between two looks at the result, the fewest that the first rate gets, and the most that any gets.
LOOK, FEWEST, MOST = 5, 15, 300
#: Steps after which logits that are still the same for every image will stay so.
ENOUGH = 50
#: Multiply-accumulates that the first rate gets whatever the clock says: small networks are then judged alike
#: on fast and slow machines.
AT_LEAST = 1e11


@dataclass
class Training:
    """What a short training found out; ``problem`` says why there was none."""

    images: int = 0
    steps: int = 0
    rate: float = 0.0
    first_loss: float = math.nan
    loss: float = math.nan
    right: int = 0  # at best, in any step
    lowest: float = math.inf
    learnt: bool = False
    spread: float = 1.0  # how much logits differ between images at first, as a share of the largest
    alike: bool = False  # the logits are the same for every image
    dropped: bool = False  # dropout was switched off
    problem: str = ""
    silent: dict[str, str] = field(default_factory=dict)  # parameter -> 'unused', 'none' or 'zero'
    cut: str = ""


def try_training(setting: Setting, macs: int | None, seconds: float) -> Training:
    """Train on one batch until every image is right, or the time is up; with ``seconds=0``, for a few steps.

    A gradient that is zero at first may come to life: that of a branch behind a scale that starts at zero,
    for one. So each parameter is watched until it has had a gradient, in any step.
    """
    model = setting.model.train()
    count = IMAGES
    images, labels = setting.images(count, seed=3), setting.labels(count)
    found = Training(images=count)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and p.numel()}
    silent = dict.fromkeys(trained, "none")
    watch = Watch(model, dropout=False)
    inner = [(module, module.dropout) for module in model.modules() if isinstance(module, _WITH_RATE)]
    for module, _ in inner:
        module.dropout = 0.0
    start = [(tensor, tensor.detach().clone()) for tensor in chain(model.parameters(), model.buffers())]
    # A step forward and backward computes three times the forward's.
    fewest = max(FEWEST, min(MOST, AT_LEAST / (3 * count * macs))) if macs else FEWEST
    begin, wall = time.thread_time(), time.perf_counter()  # its own time: other programs may be busy
    try:
        for rate, share in RATES if seconds else RATES[:1]:
            with torch.no_grad():
                for tensor, value in start:
                    tensor.copy_(value)
            found.rate = rate
            optimizer = torch.optim.Adam(trained.values(), lr=rate)
            for step in range(MOST + 1 if seconds else LOOK):
                with watch:
                    logits = model(images)
                loss = F.cross_entropy(logits.float(), labels)
                _look(found, step, logits, loss, labels)
                if not logits.requires_grad or (found.alike and step >= ENOUGH):
                    break
                if not math.isfinite(found.loss) or (found.learnt and step % LOOK == 0):
                    break
                spent = max(time.thread_time() - begin, (time.perf_counter() - wall) / 4)
                if (
                    seconds
                    and spent > share * seconds
                    and step % LOOK == 0
                    and (step >= fewest or rate != RATES[0][0])
                ):
                    break
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                _hear(silent, trained)
                optimizer.step()
            if found.learnt or not logits.requires_grad:
                break
    except (Exception, SystemExit) as error:
        found.problem = explain(error, "a training step")
    finally:
        for module, before in inner:
            module.dropout = before
        model.zero_grad(set_to_none=True)
        if not (found.learnt and math.isfinite(found.loss)):
            with torch.no_grad():
                for tensor, value in start:
                    tensor.copy_(value)
        model.eval()
    found.dropped = bool(watch.drops) or any(before for _, before in inner)
    used = watch.used
    found.silent = {
        name: "unused" if state == "none" and id(trained[name]) not in used else state
        for name, state in silent.items()
    }
    found.cut = watch.cut()
    return found


#: Layers that hand their rate to one fused function, out of sight of `Watch`.
_WITH_RATE = (nn.MultiheadAttention, nn.RNNBase)


def _look(found: Training, step: int, logits: Tensor, loss: Tensor, labels: Tensor) -> None:
    logits = logits.detach().float()
    found.steps, found.loss = step, float(loss)
    if step == 0:
        found.first_loss = found.loss
        found.spread = float((logits - logits.mean(0)).abs().max() / (logits.abs().max() + 1e-12))
    right = int((logits.argmax(1) == labels).sum())
    found.right, found.lowest = max(found.right, right), min(found.lowest, found.loss)  # NaN is never lower
    found.learnt = right == len(labels) and math.isfinite(found.loss)
    found.alike = bool((logits - logits[:1]).abs().max() <= 1e-6 * logits.abs().max() + 1e-12)


def _hear(silent: dict[str, str], trained: dict[str, nn.Parameter]) -> None:
    """Take the parameters that have a gradient out of ``silent``."""
    for name in list(silent):
        gradient = trained[name].grad
        if gradient is None:
            continue
        if gradient.is_sparse or bool(gradient.any()):
            del silent[name]
        else:
            silent[name] = "zero"


def judge_gradients(found: Training, total: int, frozen: int) -> tuple[bool, str]:
    """Return whether a gradient reached every parameter that is to learn, and the sentence that says so."""
    # A bias behind which a norm subtracts the mean has no gradient but for rounding, rightly.
    heard = found.silent
    silent = {
        name: state
        for name, state in heard.items()
        if not (state == "zero" and name.endswith("bias") and name[:-4] + "weight" not in heard)
    }
    kept = f"; {frozen} frozen (requires_grad=False)" if frozen else ""
    if not total:
        return False, (
            f"all {frozen} parameter tensors are frozen: set requires_grad=True for those that are to learn"
            if frozen
            else "the network has no parameters, so it cannot learn: make layers in __init__, as self.x = ..."
        )
    if found.problem:
        return False, found.problem
    if not silent:
        return True, f"it reaches all {total} parameter tensors{kept}"
    parts = []
    for state in ("unused", "none", "zero"):
        if names := [name for name, value in silent.items() if value == state]:
            parts.append(f"{named(names)} ({len(names)} of {total}) {_reason(state, found)}")
    return False, "; ".join(parts)


def _reason(state: str, found: Training) -> str:
    if state == "unused":
        return "never used in forward: call the layer there, or leave it out of __init__"
    cut = f" The way is cut by {found.cut}." if found.cut else ""
    if state == "none":
        advice = (
            "" if cut else " Look for .detach(), .data, no_grad, .item(), or a result that is thrown away."
        )
        return f"used, but no gradient comes back.{cut}{advice}"
    return (
        "have a gradient of zero in every step: multiplied by zero (weights that all start there?), behind "
        "a ReLU that is never positive, or "
        f"before a step without slope (round, sign, clamp).{cut}"
    )


def judge_overfit(found: Training, num_classes: int) -> tuple[bool, str]:
    """Return whether the batch was learnt, and the sentence that says so."""
    off = ", dropout switched off" if found.dropped else ""
    if found.learnt:
        return True, (
            f"all {found.images} images right after {found.steps} steps of Adam, learning rate "
            f"{found.rate:g}{off}; "
            f"loss {found.first_loss:.1f} -> {found.loss:.1f}"
        )
    if not math.isfinite(found.loss):
        return False, f"the loss became {found.loss} at every learning rate tried: values grow without bounds"
    guess = math.log(num_classes)
    tried = ", ".join(f"{rate:g}" for rate, _ in RATES[: [rate for rate, _ in RATES].index(found.rate) + 1])
    if found.alike:
        reason = (
            "the logits are the same for every image: is the image lost on the way (multiplied by zero, a "
            "ReLU that is never positive, layers that saturate, a variable overwritten)?"
        )
    elif found.first_loss > 20 * guess:
        reason = (
            f"the loss begins at {found.first_loss:.3g}: the weights start too large, or values grow from "
            "layer to layer; try PyTorch's own start, or batch norm"
        )
    elif found.spread < 1e-3:
        reason = (
            "at the start the logits hardly differ from image to image: too many layers that saturate or "
            "shrink (sigmoid, tanh, no norm); try ReLU and batch norm"
        )
    else:
        reason = (
            "look for a layer that loses the image (report.shapes()), for saturated activations, for outputs "
            "that cannot be large, and for too few features"
        )
    return False, (
        f"at best {found.right} of {found.images} images right with Adam (learning rates {tried}{off}), loss "
        f"{found.lowest:.2f}, where guessing gives {guess:.2f}: {reason}"
    )
