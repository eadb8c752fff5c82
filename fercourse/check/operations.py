"""What a module does in its forward pass, operation by operation, and how that differs from the right one.

The last resort where no labelled mistake fits: an answer is never refused for what stands here, only told.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fercourse.check.core import differs

_NAMES = {
    "linear": "a dense layer",
    "batch_norm": "batch norm",
    "instance_norm": "instance norm",
    "group_norm": "group norm",
    "layer_norm": "layer norm",
    "log_softmax": "log-softmax",
    "relu": "ReLU",
    "cat": "concatenation",
    "add": "an addition",
}
_ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish"),
    *("hardsigmoid", "hardtanh", "sigmoid", "tanh", "softplus", "softmax", "log_softmax"),
}
_KINDS = {
    *("conv2d", "linear", "batch_norm", "instance_norm", "group_norm", "layer_norm", "add", "cat"),
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "dropout", "dropout2d"),
    *_ACTIVATIONS,
}
#: Other ways of writing what is in the tables above; where one is used, nothing is said to be missing.
_DISGUISES = {"clamp", "maximum", "where", "amax", "mean", "einsum", "matmul", "mul", "pad", "sum", "unfold"}


class _Listen(TorchFunctionMode):
    """Notes every function of PyTorch that is called, as long as it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").strip("_")
        if name in ("iadd", "radd"):
            name = "add"
        if name == "boolean_dispatch" or name.endswith("_with_indices"):
            name = "max_pool2d"
        counts = bool(args) and isinstance(args[0], Tensor) and not args[0].is_floating_point()
        if name in _KINDS | _DISGUISES and not counts:  # batch norm counts its batches
            self.calls.append((name, _described(name, args, kwargs)))
        return func(*args, **kwargs)


def _pair(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def _x(value: Any) -> str:
    return "x".join(map(str, _pair(value)))


def _described(name: str, args: Any, kwargs: Any) -> str:
    if name == "conv2d":
        given = dict(
            zip(("input", "weight", "bias", "stride", "padding", "dilation", "groups"), args, strict=False)
        )
        given.update(kwargs)
        shape = given["weight"].shape
        steps, padding = _pair(given.get("stride", 1)), given.get("padding", 0)
        around = [n // 2 for n in shape[2:]] if padding == "same" else _pair(padding)
        groups = f", {given['groups']} groups" if given.get("groups", 1) != 1 else ""
        return f"a {_x(tuple(shape[2:]))} convolution with stride {steps[0]} and padding {around[0]}{groups}"
    if name in ("max_pool2d", "avg_pool2d"):
        given = dict(zip(("input", "kernel_size", "stride", "padding"), args, strict=False))
        given.update(kwargs)
        size = given.get("kernel_size")
        stride: Any = given.get("stride") or size
        more = (
            f" and padding {_pair(given['padding'])[0]}"
            if given.get("padding") not in (None, 0, (0, 0))
            else ""
        )
        more += ", rounding the size up (ceil_mode)" if given.get("ceil_mode") else ""
        return f"{name[:3]}-pooling of {_x(size)} with stride {_pair(stride)[0]}{more}"
    return _NAMES.get(name, name)


def operations(module: nn.Module, x: Tensor) -> list[tuple[str, str]]:
    """Return (name, description) of what is computed in the forward pass, first to last."""
    with torch.no_grad(), _Listen() as heard:
        module(x)
    return heard.calls


def tell(student: nn.Module, model: nn.Module, x: Tensor, *, same_weights: bool) -> str | None:
    """Return in words what most likely makes a student's module differ from the right one, or None."""
    looks: list[Callable[[nn.Module, nn.Module, Tensor], str | None]] = [_alone, _random, _compared]
    if same_weights:
        looks[1:1] = [_relation]
        looks.append(_where)
    for look in looks:
        try:
            if words := look(copy.deepcopy(student), copy.deepcopy(model), x.clone()):
                return words
        except Exception:  # a guess is not worth an error
            continue
    return None


def _alone(student: nn.Module, model: nn.Module, x: Tensor) -> str | None:
    """What shows without a comparison: no weights at all, layers that are not used, or used twice."""
    if any(True for _ in model.parameters()) and not any(True for _ in student.parameters()):
        return (
            "It has no weights that PyTorch knows of: layers are made in __init__ and kept, self.name = ..., "
            "not made in forward."
        )
    calls: Counter[str] = Counter()
    hooks = [
        one.register_forward_pre_hook(lambda _, __, key=key: calls.update([key]))
        for key, one in student.named_modules()
        if next(one.parameters(recurse=False), None) is not None
    ]
    try:
        with torch.no_grad():
            student(x)
    finally:
        for hook in hooks:
            hook.remove()
    for key, one in student.named_modules():
        if key and not list(one.children()) and next(one.parameters(), None) is not None and not calls[key]:
            return f"self.{key} is made, and never called in forward."
    for key, count in calls.items():
        if key and count > 1:
            return f"self.{key} is called {count} times: each place needs a layer, with weights, of its own."
    return _without_part(student, x)


def _without_part(student: nn.Module, x: Tensor) -> str | None:
    pairs = [(key, value) for key, value in student.named_parameters() if value.requires_grad]
    was = student.training
    student.train()
    try:
        out = student(x.detach().clone())
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(8))
        found = torch.autograd.grad((out * weights).sum(), [value for _, value in pairs], allow_unused=True)
    finally:
        student.train(was)
    for (key, _), gradient in zip(pairs, found, strict=True):
        if gradient is None:
            layer = key.rpartition(".")[0] or key
            return f"The result of self.{layer} has no part in what forward returns: is it thrown away?"
    return None


def _relation(student: nn.Module, model: nn.Module, x: Tensor) -> str | None:
    """How the student's output follows from the right one, weights being the same."""
    for one in student.modules():
        if getattr(one, "padding_mode", "zeros") != "zeros":
            return (
                f"The padding is {one.padding_mode!r}; expected padding with zeros, "
                f"which nn.Conv2d does by itself."
            )
    student.eval()
    model.eval()
    with torch.no_grad():
        found, right = student(x), model(x)
        if not differs(found, right, rtol=1e-3, atol=1e-4):
            return None  # it is the training mode or the gradient that differs
        if not found.is_floating_point():
            return (
                f"It returns {found.dtype} numbers: whole ones, as of argmax. Return the values themselves."
            )
        outs: tuple[tuple[Callable[[], Tensor], str], ...] = (
            (lambda: right.softmax(1), "There is a softmax at the end."),
            (lambda: right.log_softmax(1), "There is a log-softmax at the end."),
            (lambda: right.sigmoid(), "There is a sigmoid at the end."),
            (lambda: right.tanh(), "There is a tanh at the end."),
            (lambda: right.relu(), "There is a ReLU at the end that was not asked for."),
            (lambda: -right, "The sign is the other way round."),
            (lambda: right + x, "The input is added at the end (a shortcut), which was not asked for."),
            (lambda: right - x, "The input is subtracted, or a shortcut is missing."),
            (
                lambda: right.mean(0, keepdim=True).expand_as(right),
                "It averages over the images of the batch.",
            ),
            (
                lambda: model(x.mean(0, keepdim=True).expand_as(x)),
                "It averages over the images of the batch.",
            ),
            (lambda: model(x.relu()), "There is a ReLU on the input that was not asked for."),
            (lambda: model(-x), "The sign of the input is turned round."),
            (lambda: model(x.transpose(-1, -2)), "Height and width of the input are exchanged."),
            (lambda: right.transpose(-1, -2), "The last two axes of the output are exchanged."),
            (lambda: right.flatten(1), "The output is flattened, which was not asked for."),
            (lambda: right[None], "The output has an axis too many in front."),
            (lambda: nn.functional.normalize(right), "The output is normalised to length one."),
            (lambda: right[:1], "Only the first image's output is returned."),
            (lambda: x, "The input comes back as it went in."),
        )
        for make, words in outs:
            try:
                if not differs(found, make(), rtol=1e-3, atol=1e-4):
                    return words
            except Exception:
                continue
        if found.shape == right.shape:
            ratio = (found / right)[right.abs() > 1e-3]
            if ratio.numel() > 2 and float((ratio - ratio.mean()).abs().max()) < 1e-3:
                return f"It is {float(ratio.mean()):.4g} times the right output, everywhere."
    return None


def _random(student: nn.Module, model: nn.Module, x: Tensor) -> str | None:
    """Whether two passes differ where those of the right module do not."""
    for mode, words in ((False, "evaluation"), (True, "training")):
        values = []
        for module, seed in ((student, 1), (student, 2), (model, 1), (model, 2)):
            module.train(mode)
            torch.manual_seed(seed)
            with torch.no_grad():
                values.append(module(x))
        if differs(values[0], values[1]) and not differs(values[2], values[3]):
            return f"Two passes in {words} mode differ: there is dropout, or other chance, not asked for."
    return None


def _compared(student: nn.Module, model: nn.Module, x: Tensor) -> str | None:
    """The first operation that is too many, missing, in another place or with other settings."""
    theirs, ours = operations(student, x), operations(model, x)
    disguised = any(name in _DISGUISES for name, _ in theirs)
    theirs, ours = ([call for call in calls if call[0] in _KINDS] for calls in (theirs, ours))
    there, wanted = (Counter(name for name, _ in calls) for calls in (theirs, ours))
    told = dict((*ours, *theirs))
    if extra := [name for name in there if name not in wanted]:
        kind = extra[0]
        instead = sorted(_ACTIVATIONS & (wanted.keys() - there.keys())) if kind in _ACTIVATIONS else []
        also = (
            f", where {_NAMES.get(instead[0], instead[0])} belongs"
            if instead
            else ", which was not asked for"
        )
        return f"It uses {told[kind]}{also}."
    if not disguised:
        for name in wanted:
            if not there[name]:
                return f"There is no {told[name].removeprefix('an ').removeprefix('a ')} in its forward."
        for name in wanted:
            if there[name] != wanted[name]:
                return f"It uses {told[name]} {times(there[name])}; expected {times(wanted[name])}."
    if [name for name, _ in theirs] != [name for name, _ in ours] and there == wanted:
        return f"The order is another: here {_row(theirs)}; expected {_row(ours)}."
    for number, (one, other) in enumerate(zip(theirs, ours, strict=False), start=1):
        if one[0] == other[0] and one[1] != other[1]:
            return f"Step {number} of the forward pass is {one[1]}; expected {other[1]}."
    return None


def _where(student: nn.Module, model: nn.Module, x: Tensor) -> str | None:
    """Between which layers the first difference arises, where layers are the same in the same order."""
    for one in student.modules():
        eps = getattr(one, "eps", None)
        if isinstance(one, nn.BatchNorm2d) and eps != 1e-5:
            return f"A batch norm has eps={eps}; the usual 1e-05 is expected."
    student.eval()
    model.eval()
    heard: list[list[tuple[str, Tensor, Tensor]]] = []
    for module in (student, model):
        notes: list[tuple[str, Tensor, Tensor]] = []
        hooks = [
            one.register_forward_hook(
                lambda _, given, out, key=key, notes=notes: notes.append((key, given[0].clone(), out.clone()))
            )
            for key, one in module.named_modules()
            if next(one.parameters(recurse=False), None) is not None
        ]
        try:
            with torch.no_grad():
                module(x)
        finally:
            for hook in hooks:
                hook.remove()
        heard.append(notes)
    if len(heard[0]) != len(heard[1]) or not heard[0]:
        return None
    last = ""
    for (key, given, out), (_, wanted, right) in zip(*heard, strict=True):
        if given.shape != wanted.shape or differs(given, wanted, rtol=1e-3, atol=1e-4):
            place = f"between self.{last} and self.{key}" if last else f"before self.{key}"
            return f"What is done {place} is not as asked: other values arrive at self.{key}."
        if differs(out, right, rtol=1e-3, atol=1e-4):
            return f"self.{key} gets the right values and gives others: look at its settings."
        last = key
    return f"All is right as far as self.{last}: what is done after it is not what was asked for."


def times(count: int) -> str:
    """Return 'once', 'twice' or '5 times'."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _row(calls: Iterable[tuple[str, str]]) -> str:
    return ", ".join(_NAMES.get(name, name).removeprefix("a ") for name, _ in itertools.islice(calls, 12))


def tell_shape(found: Tensor, expected: Tensor, x: Tensor) -> str | None:
    """Return in words how the shape of an output is wrong, or None."""
    if not found.is_floating_point():
        return f"It returns {found.dtype} numbers, as argmax does: return the values themselves."
    one, other = tuple(found.shape), tuple(expected.shape)
    if [n for n in one if n != 1] == [n for n in other if n != 1] and len(one) != len(other):
        return (
            "The values are as many as expected, but axes of length one are too many or missing: flatten it."
        )
    if sorted(one) == sorted(other):
        return "The axes are in another order."
    if len(one) != len(other):
        if found.numel() == expected.numel():
            return "The values are as many as expected, in another shape."
        return f"The output has {len(one)} axes; expected {len(other)}."
    if one[0] != other[0]:
        return "The first axis is the batch: one output for each image."
    if len(one) == 4 and one[:2] == other[:2]:
        return _tell_size(one, other, tuple(x.shape))
    if one[1] != other[1]:
        return f"It has {one[1]} channels or classes; expected {other[1]}, which is what the arguments say."
    return None


def _tell_size(one: tuple[int, ...], other: tuple[int, ...], given: tuple[int, ...]) -> str:
    if one[2:] == given[2:]:
        return "Height and width stay as they were; they should become smaller (stride or pooling)."
    if other[2:] == given[2:]:
        return "Height and width should stay as they were: look at padding (1 for a 3x3) and stride."
    if all(a == 2 * b for a, b in zip(one[2:], other[2:], strict=True)):
        return "Height and width are twice what they should be: a stride or a pooling is missing."
    if all(2 * a in (b, b - 1) for a, b in zip(one[2:], other[2:], strict=True)):
        return "Height and width are halved once too often."
    if all(a - b == 1 for a, b in zip(one[2:], other[2:], strict=True)):
        return "Height and width are one too large: an odd size is rounded up, or the padding is too large."
    if all(a < b for a, b in zip(one[2:], other[2:], strict=True)):
        return "Height and width are too small: is a padding missing, or a stride too large?"
    return "Height and width are too large: look at stride, padding and the window of the pooling."
