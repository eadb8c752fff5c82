"""What comes out of a network: shape, kind of numbers, and whether an image is judged by itself alone."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fercourse.check.probes.source import Line, explain
from fercourse.check.probes.watch import Watch
from fercourse.errors import shown

#: Images of the first try: no usual batch size, so that one written into the network shows.
COUNT = 5
#: Tried where that fails, and seconds after which no larger batch is.
USUAL_SIZES, PATIENCE = (1, 2, 4, 8, 10, 16, 32, 64, 100, 128), 4.0
#: Share of the largest logit by which answers to the same image may differ: rounding, in another order.
SAME = 1e-4
_LAST = {
    "Softmax": "softmax inside the network: the rows sum to one. Cross-entropy applies softmax itself, so "
    "return the logits before it, and take softmax where probabilities are shown",
    "SoftmaxOverImages": "softmax inside the network, and over the wrong axis: the rows do not sum to one. "
    "Cross-entropy applies softmax itself, so return the logits before it",
    "Sigmoid": "a sigmoid at the end: every value lies between 0 and 1. Cross-entropy applies softmax "
    "itself, so return the logits before it",
    "Relu": "a ReLU at the end: no logit can be negative, and where it is zero nothing is learnt. Return "
    "the last dense layer's output as it is",
    "Tanh": "a tanh at the end: no logit can leave [-1, 1], so the network can never be sure. Return the "
    "last dense layer's output as it is",
}
#: Steps behind the last computation that only change the shape.
_RESHAPES = ("View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "Permute", "T", "Alias",
             "Clone", "ToCopy", "Select", "Slice", "Mean")  # fmt: skip


@dataclass
class Setting:
    """The network that is tried (a copy, changed at will) and what it is for."""

    model: nn.Module
    in_channels: int
    size: tuple[int, int]
    num_classes: int
    device: torch.device
    layers: list[tuple[str, str, Any, int]] = field(default_factory=list)
    foreign: list[Line] = field(default_factory=list)  # where forward uses weights that are not the network's

    def images(self, count: int, seed: int = 0) -> Tensor:
        """Draw random stripes and clouds, float32 in [0, 1], (count, in_channels, height, width).

        The pictures differ in brightness, contrast, direction, scale and content, as photographs do: a small
        network that averages over positions would find all pictures of mere noise alike.
        """
        generator = torch.Generator().manual_seed(seed)

        def draw(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(count, self.in_channels, 1, 1, generator=generator)

        y = torch.arange(self.size[0])[:, None]
        x = torch.arange(self.size[1])
        angle, length, shift = draw(0, math.pi), draw(3, 24), draw(0, 2 * math.pi)
        waves = torch.sin((x * torch.cos(angle) + y * torch.sin(angle)) * 2 * math.pi / length + shift)
        coarse = torch.rand(count, self.in_channels, 6, 6, generator=generator) - 0.5
        clouds = F.interpolate(coarse, self.size, mode="bilinear", align_corners=False)
        pictures = draw(0.2, 0.8) + draw(0.1, 0.4) * waves + 0.4 * clouds
        return pictures.clamp(0, 1).to(self.device)

    def labels(self, count: int) -> Tensor:
        """Draw labels, int64 (count,), as many of each class as possible."""
        generator = torch.Generator().manual_seed(1)
        order = torch.randperm(count, generator=generator)
        return (order % self.num_classes).to(self.device)


def try_forward(setting: Setting) -> tuple[str, bool]:
    """Run the network in both modes; return what is wrong, if anything, and whether going on makes sense."""
    model = setting.model
    hooks = [module.register_forward_hook(_note(setting, name)) for name, module in model.named_children()]
    try:
        for mode in (False, True):
            model.train(mode)
            images = setting.images(COUNT)
            before = images.clone()
            watch = Watch(model, finite=True)
            try:
                with watch:
                    logits = model(images)
                problem = wrong_output(logits, COUNT, setting.num_classes)
            except (Exception, SystemExit) as error:
                problem = explain(error)
            setting.foreign += [line for _, line in watch.foreign.values() if line]
            if problem:
                only = _sizes_that_work(setting) if not mode else []
                if only:
                    return _fixed(only, problem), False
                return ("in training mode, " if mode else "") + problem, False
            if not torch.isfinite(logits).all():
                name, line = watch.first_bad or ("", None)
                where = f", first made by {name}" if name else ""
                where += f" ({line})" if line else ""
                return f"the output holds NaN or infinite values{where}", False
            if not mode and (kind := _last_step(logits, setting.num_classes)):
                return _LAST[kind], True
            if not torch.equal(before, images):
                return (
                    "forward changes the images that it is given (an operation in place, such as x -= mean "
                    "or inplace=True in the first layer): work on a copy"
                ), True
            for hook in hooks:
                hook.remove()
    finally:
        for hook in hooks:
            hook.remove()
        model.eval()
    return "", True


def _note(setting: Setting, name: str) -> Any:
    def hook(module: nn.Module, _: Any, output: Any) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else type(output).__name__
        count = sum(parameter.numel() for parameter in module.parameters())
        setting.layers.append((name, type(module).__name__, shape, count))

    return hook


def wrong_output(output: Any, count: int, num_classes: int) -> str:
    """Return what is wrong with the type and shape of a network's output for ``count`` images, in words."""
    expected = f"expected logits of shape ({count}, {num_classes}) for {count} images"
    if output is None:
        return f"forward returned None: its `return` is missing; {expected}"
    if isinstance(output, tuple | list):
        return f"forward returned a {type(output).__name__} of {len(output)} values; {expected}, alone"
    if isinstance(output, dict):
        return f"forward returned a dict with {shown(list(output), 40)}; {expected}, alone"
    if not isinstance(output, Tensor):
        return f"forward returned {shown(output, 40)}, a {type(output).__name__}; {expected}"
    shape = tuple(output.shape)
    found = f"the output has shape {shape}; {expected}"
    if shape == (count, num_classes):
        if not output.is_floating_point():
            return (
                f"the output is {output.dtype}, not float: return the logits, from which the loss is "
                f"computed, and "
                "take argmax afterwards"
            )
        return ""
    if shape == (num_classes, count):
        return f"{found}: it is transposed, images belong on the first axis"
    if shape == (num_classes,) and count == 1:
        return f"{found}: squeeze() also took the batch's axis away; use flatten(1)"
    if shape[:2] == (count, num_classes) and all(side == 1 for side in shape[2:]):
        return f"{found}: flatten the last axes, with x.flatten(1) or nn.Flatten()"
    if shape[:2] == (count, num_classes):
        return f"{found}: average over height and width first, as with x.mean((2, 3))"
    if shape == (count,):
        return f"{found}: one number an image; return one a class, without argmax, max or squeeze"
    if len(shape) == 2 and shape[0] == count:
        return f"{found}: the last layer's out_features is {shape[1]} and should be {num_classes}"
    if len(shape) == 2 and shape[1] == num_classes:
        if count > 1 and shape[0] == 1:
            return f"{found}: the images have become one; keep the first axis, with x.flatten(1)"
        return f"{found}: a view has mixed images with positions; keep the first axis, with x.flatten(1)"
    if not shape or (num_classes not in shape and count not in shape):
        return f"{found}: return the logits of the last layer"
    return found


def _sizes_that_work(setting: Setting) -> list[int]:
    works = []
    begin = time.perf_counter()
    for size in USUAL_SIZES:
        if time.perf_counter() - begin > PATIENCE:
            break
        try:
            with torch.no_grad():
                output = setting.model(setting.images(size))
        except (Exception, SystemExit):
            continue
        if not wrong_output(output, size, setting.num_classes):
            works.append(size)
    return works


def _fixed(works: list[int], problem: str) -> str:
    sizes = " or ".join(map(str, works))
    return (
        f"forward works for a batch of {sizes} only, not for {COUNT} images: a batch size is written into "
        f"it, as in x.view({works[-1]}, -1). Use x.flatten(1), or len(x). (With {COUNT}: {problem})"
    )


def _last_step(logits: Tensor, num_classes: int) -> str:
    """Return which squashing function made the output, if one did: the graph says, or the numbers do."""
    values = logits.detach().float()
    sums = values.sum(1)
    spread = values.std() > 0 or num_classes > 1
    if spread and bool((values >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
        return "Softmax"
    step = logits.grad_fn
    for _ in range(6):
        name = type(step).__name__.partition("Backward")[0]
        if name == "Softmax":  # the rows do not sum to one
            return "SoftmaxOverImages"
        if name in _LAST:
            return name
        if name not in _RESHAPES or not step or not step.next_functions:
            return ""
        step = step.next_functions[0][0]
    return ""


def try_eval(setting: Setting) -> str:
    """Ask twice in evaluation mode about the same images; return why the answers differ, if they do."""
    model = setting.model.eval()
    images = setting.images(4)
    watch = Watch(model)
    with torch.no_grad(), watch:
        first, second = model(images), model(images)
    awake = [name or "the network itself" for name, module in model.named_modules() if module.training]
    if awake:
        return f"eval() does not reach {named(awake)}: its train() is overridden without super().train(mode)"
    if watch.drops:
        line = next((line for line in watch.drops if line), None)
        where = f" ({line})" if line else ""
        return (
            f"dropout still drops in evaluation mode{where}: write F.dropout(x, p, "
            f"training=self.training), or "
            "use nn.Dropout, made in __init__ and kept as an attribute of its own"
        )
    if _same(first, second):
        return ""
    begin = "the same images give other logits the second time, in evaluation mode: "
    lines = [line for _, line in watch.foreign.values() if line]
    if lines:
        return f"{begin}a layer is made anew in every forward ({lines[0]}); make it in __init__"
    if watch.random:
        line = next((line for line in watch.random if line), None)
        where = f" ({line})" if line else ""
        return f"{begin}forward draws random numbers{where}; do so only `if self.training`"
    return f"{begin}forward changes something that it keeps, such as an attribute; start from the same state"


def try_batch(setting: Setting) -> str:
    """Put an image beside others, and by itself; return why its logits change, if they do."""
    model = setting.model.eval()
    images = setting.images(4)
    others = torch.cat([images[:1], 1 - setting.images(3, seed=2)])
    with torch.no_grad():
        beside, elsewhere = model(images), model(others)
    norms = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        and not isinstance(module, nn.modules.instancenorm._InstanceNorm)
        and (module.training or module.running_mean is None)
    ]
    reason = (
        f"batch norm without running statistics ({named(norms)}): leave track_running_stats=True, and "
        "let eval() reach it"
        if norms
        else "look for a mean, std, softmax or norm over axis 0, for a batch norm with training=True, or for "
        "a view that mixes images"
    )
    if not _same(beside[:1], elsewhere[:1], beside):
        return f"in evaluation mode the logits of an image depend on the other images of the batch: {reason}"
    try:
        with torch.no_grad():
            alone = model(images[:1])
    except (Exception, SystemExit) as error:
        return f"a batch of one image fails: {explain(error)}"
    if problem := wrong_output(alone, 1, setting.num_classes):
        return f"a batch of one image fails: {problem}"
    if not _same(beside[:1], alone, beside):
        return f"in evaluation mode an image alone gets other logits than in a batch: {reason}"
    return ""


def _same(a: Tensor, b: Tensor, scale: Tensor | None = None) -> bool:
    """Whether two tensors agree to `SAME` of the largest value."""
    largest = float((a if scale is None else scale).abs().max())
    return float((a - b).abs().max()) <= SAME * largest + 1e-12


def named(names: list[str], most: int = 3) -> str:
    """Return the first few names and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
