"""Checkers of chapter 3, A first CNN and the training loop."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.check.core import Exercise, as_array, differs
from fercourse.check.functions import RESULT, TRACE, Case, Mistake, judge_function, of
from fercourse.check.modules import Trial, Variant, judge_module
from fercourse.check.operations import times

# output_sizes -----------------------------------------------------------------------------------------------


def _output_sizes(
    size: int, layers: list[tuple[int, int, int]], *, step: Callable[..., Any] | None = None
) -> list[Any]:
    sizes = []
    for kernel, stride, padding in layers:
        size = (step or _one_size)(size, kernel, stride, padding)
        sizes.append(size)
    return sizes


def _one_size(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


_DIVISIONS: dict[str, Callable[[int, int], Any]] = {
    "//": lambda n, s: n // s,
    "/": lambda n, s: n / s,
    "/ (rounded up)": lambda n, s: -(-n // s),
    "*": lambda n, s: n * s,
    "%": lambda n, s: n % s,
    "": lambda n, s: n,
}


def _explain_sizes(seen: dict[str, Any], _: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Work out which formula the student used, layer by layer, each from their own size before."""
    sizes, (size, layers) = seen[RESULT], arguments
    array = as_array(sizes)
    if array is None or array.dtype.kind != "f" or array.shape != (len(layers),):
        return None
    before = [float(size), *array.tolist()[:-1]]
    steps = list(zip(before, layers, array.tolist(), strict=True))
    fits = []
    for (word, divide), a, b, c, d, e in itertools.product(
        _DIVISIONS.items(), (1, 2), (2, 1, 0, -1, -2), (-1, 0, 1), (0, -1, 1, 2), (1, 0, 2, -1)
    ):
        if all(abs(divide(a * n + b * q + c * k + d, s) + e - m) < 1e-9 for n, (k, s, q), m in steps):
            far = (word != "//") * 2 + (a != 1) * 3 + abs(b - 2) + abs(c + 1) + abs(d) * 1.5 + abs(e - 1)
            fits.append((far, word, a, b, c, d, e))
    if fits:
        _, word, a, b, c, d, e = min(fits)
        inner = " ".join(
            f"{'-' if n < 0 else '+'} {abs(n) if abs(n) != 1 or not name else ''}{' ' if abs(n) > 1 and name else ''}{name}"
            for n, name in ((a, "n"), (b, "p"), (c, "k"), (d, ""))
            if n
        ).removeprefix("+ ")
        formula = f"({inner}) {word} s" if word else inner
        formula += f" {'-' if e < 0 else '+'} {abs(e)}" if e else ""
        return f"Each layer seems to give {formula}, where the window finds (n + 2 p - k) // s + 1 places."
    for number, (n, (k, s, q), m) in enumerate(steps, start=1):
        if n == int(n) and m != _one_size(int(n), k, s, q):
            return (
                f"Layer {number} is the first that is wrong: in {n:g} pixels, with kernel {k}, stride {s} and padding "
                f"{q}, the window finds ({n:g} + 2 * {q} - {k}) // {s} + 1 = {_one_size(int(n), k, s, q)} places."
            )
    return None


def _judge_output_sizes(answer: Any) -> str:
    cases = [
        of(48, [(3, 1, 1), (2, 2, 0), (3, 2, 1)], words="48, [(3, 1, 1), (2, 2, 0), (3, 2, 1)]"),
        of(47, [(2, 2, 0), (5, 3, 0)], words="47, [(2, 2, 0), (5, 3, 0)]"),
        of(48, [(7, 2, 3), (3, 2, 1), (1, 2, 0), (3, 1, 0)]),
        of(48, [], words="48, []"),
    ]  # fmt: skip

    def wrong(step: Callable[[int, int, int, int], Any], message: str) -> Mistake:
        return Mistake(partial(_output_sizes, step=step), message)

    judge_function(
        answer,
        "output_sizes",
        reference=_output_sizes,
        cases=cases,
        mistakes=[
            wrong(
                lambda n, k, s, p: (n + p - k) // s + 1,
                "The padding is added on both sides: twice.",
            ),
            wrong(lambda n, k, s, p: (n + 2 * p - k) // s, "One is missing: the first window is at step 0."),
            wrong(
                lambda n, k, s, p: (n + 2 * p - k) / s + 1,
                "Sizes are whole: a window that does not fit any more is left out, so divide with //.",
            ),
            wrong(
                lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1,
                "Rounded up: a window that does not fit any more is left out, so round down.",
            ),
            wrong(
                lambda n, k, s, p: round((n + 2 * p - k) / s) + 1,
                "Rounded to the nearest: a window that does not fit any more is left out, so round down.",
            ),
            wrong(lambda n, k, s, p: n + 2 * p - k + 1, "The stride is not used."),
            wrong(lambda n, k, s, p: n // s, "Only the stride is used; kernel and padding count too."),
            wrong(lambda n, k, s, p: -(-n // s), "Only the stride is used; kernel and padding count too."),
            wrong(lambda n, k, s, p: (n - k) // s + 1, "The padding is not used: it adds to both sides."),
            wrong(
                lambda n, k, s, p: (n + 2 * p) // s, "The kernel is not used: its first place needs k pixels."
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * p) // s + 1,
                "The kernel is not used: its first place needs k pixels.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * p - 1) // s + 1,
                "The kernel is not used: its first place needs k pixels.",
            ),
            wrong(
                lambda n, k, s, p: (n - 2 * p - k) // s + 1,
                "The padding makes the picture larger: add it, twice.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * p + k) // s + 1,
                "The kernel is subtracted: its first place uses up k pixels.",
            ),
            wrong(
                lambda n, k, s, p: n + 2 * p - k // s + 1,
                "Brackets: subtract the kernel before dividing, (n + 2 p - k) // s + 1.",
            ),
            wrong(
                lambda n, k, s, p: n + (2 * p - k) // s + 1,
                "Brackets: the size is divided by the stride too, (n + 2 p - k) // s + 1.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * p - k) // (s + 1),
                "Brackets: the one is added after dividing, (n + 2 p - k) // s + 1.",
            ),
            wrong(
                lambda n, k, s, p: (n - k) // s + 1 + 2 * p,
                "The padding is added before dividing by the stride.",
            ),
            wrong(
                lambda n, k, s, p: (n - k) // s + 2 * p,
                "The padding is added before dividing by the stride, and the one after.",
            ),
            wrong(lambda n, k, s, p: (n + 2 * p - k + s) / s, "Sizes are whole: divide with //."),
            wrong(
                lambda n, k, s, p: (n + 2 * p - k) * s + 1,
                "The stride divides: each step of the window takes s pixels.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * s - k) // max(p, 1) + 1,
                "The order is (kernel, stride, padding); here stride and padding are swapped.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * p - s) // k + 1,
                "The order is (kernel, stride, padding); here kernel and stride are swapped.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * k - p) // s + 1,
                "The order is (kernel, stride, padding); here kernel and padding are swapped.",
            ),
            Mistake(
                lambda size, layers: [layer[-1] for layer in zip(_output_sizes(size, layers))][::-1],
                "The sizes are in reverse order: first layer first.",
            ),
            Mistake(
                lambda size, layers: [size, *_output_sizes(size, layers)][:-1],
                "The list holds the size before each layer; the size after it is asked for.",
            ),
            Mistake(
                lambda size, layers: [max(1, n) for n in _output_sizes(size, layers[::-1])],
                "The layers are taken from the last to the first.",
            ),
            wrong(
                lambda n, k, s, p: (n + 2 * p - k + 1) // s, "The one is added after dividing by the stride."
            ),
            Mistake(
                lambda size, layers: [_one_size(size, *layer) for layer in layers],
                "Each layer is given the size of the image: it should get the size that the one before left.",
            ),
            Mistake(
                lambda size, layers: _output_sizes(size, layers)[-1],
                "That is the last size alone; the list should hold the size after every layer.",
            ),
            Mistake(
                lambda size, layers: [size, *_output_sizes(size, layers)],
                "The list begins with the size of the image; it should begin with the size after layer 1.",
            ),
        ],
        explain=_explain_sizes,
    )
    return "The same formula holds for convolutions and for pooling."


output_sizes = Exercise("ch03", "output_sizes", _judge_output_sizes)


# PooledHead -------------------------------------------------------------------------------------------------


class _Pooled(nn.Module):
    """The right head, and with other options the wrong ones."""

    def __init__(self, channels: int, num_classes: int, *, pool: str = "mean", after: str = "") -> None:
        super().__init__()
        self.dense = nn.Linear(channels, num_classes)
        self.pool, self.after = pool, after

    def forward(self, x: Tensor) -> Tensor:
        values = {
            "mean": lambda: x.mean((2, 3)),
            "sum": lambda: x.sum((2, 3)),
            "max": lambda: x.amax((2, 3)),
            "one": lambda: x[:, :, 0, 0],
            "middle": lambda: x[:, :, x.shape[2] // 2, x.shape[3] // 2],
            "median": lambda: x.median(3)[0].median(2)[0],
            "flat median": lambda: x.flatten(2).median(2)[0],
            "std": lambda: x.std((2, 3)),
            "least": lambda: x.amin((2, 3)),
            "length": lambda: x.mean((2, 3)) / x.shape[2],
            "area": lambda: x.mean((2, 3)) / (x.shape[2] * x.shape[3]),
            "half": lambda: x.sum((2, 3)) / x.shape[2],
            "norm": lambda: x.flatten(2).norm(dim=2),
            "squares": lambda: x.square().mean((2, 3)),
            "channels": lambda: x.flatten(2).mean(1),
        }[self.pool]()
        if self.after == "relu before":
            values = values.relu()
        out = self.dense(values)
        if self.after == "softmax":
            return out.softmax(1)
        if self.after == "log":
            return out.log_softmax(1)
        return out.relu() if self.after == "relu" else out


def _judge_pooled_head(answer: Any) -> str:
    trials = [Trial((8, 7), (3, 8, 5, 5)), Trial((16, 4), (2, 16, 3, 6)), Trial((5, 2), (1, 5, 1, 1))]
    variants: dict[str, dict[str, Any]] = {
        "That adds the values up; the average divides by how many there are.": {"pool": "sum"},
        "That takes the greatest value of each channel; the average is asked for.": {"pool": "max"},
        "That takes one corner of each channel; the average is over all its values.": {"pool": "one"},
        "That takes the middle of each channel; the average is over all its values.": {"pool": "middle"},
        "That takes the median of each channel; the average is asked for.": {"pool": "median"},
        "That takes the median of all values; the average is asked for.": {"pool": "flat median"},
        "That takes the standard deviation of each channel; the average is asked for.": {"pool": "std"},
        "That takes the least value of each channel; the average is asked for.": {"pool": "least"},
        "The average is divided by the height once more; mean divides by all already.": {"pool": "length"},
        "The average is divided by height and width once more; mean divides by them.": {"pool": "area"},
        "The sum is divided by the height alone; divide by height times width.": {"pool": "half"},
        "That takes the length (norm) of each channel; the average is asked for.": {"pool": "norm"},
        "That takes the mean of the squares; the average of the values is asked for.": {"pool": "squares"},
        "There is a softmax at the end: cross_entropy applies its own, so return the logits.": {
            "after": "softmax"
        },
        "There is a log-softmax at the end: cross_entropy applies its own, so return the logits.": {
            "after": "log"
        },
        "There is a ReLU after the dense layer: logits may be negative.": {"after": "relu"},
        "There is a ReLU before the dense layer that was not asked for.": {"after": "relu before"},
    }
    flat = (
        "The dense layer sees all positions (flatten): average over height and width first, or the head fits "
        "one image size only."
    )
    pool = partial(nn.AdaptiveAvgPool2d, 1)
    judge_module(
        answer,
        "PooledHead",
        reference=_Pooled,
        trials=trials,
        mistakes=[
            *(Variant(partial(_Pooled, **options), message) for message, options in variants.items()),
            Variant(lambda c, n: nn.Sequential(nn.Flatten(), nn.Linear(c * 25, n)), flat),
            Variant(
                lambda c, n: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, n, 1)),
                "The shape is (B, num_classes, 1, 1): flatten it to (B, num_classes).",
            ),
            Variant(
                lambda c, n: nn.Sequential(pool(), nn.Flatten(), nn.Linear(c, n, bias=False)),
                "The dense layer has no bias: with it, the classifier can know how frequent each class is.",
            ),
            Variant(
                lambda c, n: nn.Sequential(pool(), nn.Flatten(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, n)),
                "One dense layer is enough here: this has a hidden one as well.",
            ),
        ],
    )
    return "It takes images of any size, and costs channels x classes weights, however large they are."


PooledHead = Exercise("ch03", "PooledHead", _judge_pooled_head)


# DoubleBlock ------------------------------------------------------------------------------------------------


def _conv(i: int, o: int, *, bias: bool = False, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, padding=1, bias=bias, **options)


def _double(i: int, o: int, kind: str = "right") -> nn.Sequential:
    one, two, pool = (_conv(i, o), nn.BatchNorm2d(o)), (_conv(o, o), nn.BatchNorm2d(o)), nn.MaxPool2d(2)
    relu = nn.ReLU
    layers: dict[str, list[nn.Module]] = {
        "right": [*one, relu(), *two, relu(), pool],
        "no norm": [_conv(i, o), relu(), _conv(o, o), relu(), pool],
        "one norm": [*one, relu(), _conv(o, o), relu(), pool],
        "last norm": [_conv(i, o), relu(), *two, relu(), pool],
        "no relu": [*one, *two, pool],
        "first relu": [*one, relu(), *two, pool],
        "last relu": [*one, *two, relu(), pool],
        "norm last": [one[0], relu(), one[1], two[0], relu(), two[1], pool],
        "no pool": [*one, relu(), *two, relu()],
        "pool first": [pool, *one, relu(), *two, relu()],
        "pool between": [*one, relu(), pool, *two, relu()],
        "two pools": [*one, relu(), pool, *two, relu(), nn.MaxPool2d(2)],
        "average": [*one, relu(), *two, relu(), nn.AvgPool2d(2)],
        "stride": [*one, relu(), _conv(o, o, stride=2), nn.BatchNorm2d(o), relu()],
        "single": [*one, relu(), pool],
        "unpadded": [nn.Conv2d(i, o, 3), one[1], relu(), nn.Conv2d(o, o, 3), two[1], relu(), pool],
        "narrow": [_conv(i, i), nn.BatchNorm2d(i), relu(), *one, relu(), pool],
        "pool 3": [*one, relu(), *two, relu(), nn.MaxPool2d(3, 2, 1)],
    }
    shared = [one[0], nn.BatchNorm2d(o), relu(), two[0], relu(), pool]
    if kind == "one conv":
        return nn.Sequential(one[0], one[1], relu(), one[0], two[1], relu(), pool)
    if kind == "shared norm":
        shared.insert(4, shared[1])
        return nn.Sequential(*shared)
    return nn.Sequential(*layers[kind])


_DOUBLE_MISTAKES = {
    "no norm": "There is no batch norm: one belongs after each convolution, before its ReLU.",
    "one norm": "The second convolution has no batch norm after it.",
    "last norm": "The first convolution has no batch norm after it.",
    "shared norm": "Both convolutions share one batch norm: each needs its own, with its own statistics.",
    "no relu": "There is no ReLU: without it two convolutions are no more than one larger one.",
    "first relu": "The ReLU after the second batch norm is missing.",
    "last relu": "The ReLU between the two convolutions is missing.",
    "norm last": "The order is convolution, batch norm, ReLU; here the ReLU comes before the batch norm.",
    "no pool": "There is no max-pooling at the end: height and width should be halved.",
    "pool first": "The pooling comes first: the convolutions then see half the image. It belongs at the end.",
    "pool between": "The pooling stands between the convolutions; it belongs at the end.",
    "two pools": "Height and width are halved twice; the block should halve them once, at its end.",
    "average": "That pools by the average; max-pooling keeps the strongest response, nn.MaxPool2d(2).",
    "stride": "A stride of 2 halves the image here; the block should do it by max-pooling.",
    "single": "There is one convolution only; the block has two.",
    "unpadded": "The convolutions have no padding and lose two pixels each: padding=1 keeps the size.",
    "narrow": "The first convolution should already give out_channels; here it keeps in_channels.",
    "one conv": "The second convolution is the first one again: each needs weights of its own.",
    "pool 3": "The pooling window is 3 wide; windows of 2 do not overlap: nn.MaxPool2d(2).",
}


def _judge_double_block(answer: Any) -> str:
    judge_module(
        answer,
        "DoubleBlock",
        reference=_double,
        trials=[Trial((3, 6), (4, 3, 12, 12)), Trial((1, 8), (2, 1, 10, 14)), Trial((5, 5), (2, 5, 9, 9))],
        mistakes=[Variant(partial(_double, kind=kind), text) for kind, text in _DOUBLE_MISTAKES.items()],
    )
    return (
        "Two convolutions of 3x3 see 5x5 pixels, as chapter 4 will show, with fewer weights than one of 5x5."
    )


DoubleBlock = Exercise("ch03", "DoubleBlock", _judge_double_block)


# train_step -------------------------------------------------------------------------------------------------


class _Watched(nn.Sequential):
    """A network that notes what is done with it, in order."""

    events: list[str]

    def train(self, mode: bool = True) -> _Watched:
        self.__dict__.setdefault("events", []).append("train" if mode else "eval")
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        self.events.append(f"forward in {'train' if self.training else 'eval'} mode")
        return super().forward(x)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.events.append("clear")
        super().zero_grad(set_to_none)


class _WatchedSGD(torch.optim.SGD):
    """An optimiser that notes into the list of its network."""

    events: list[str]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.__dict__.setdefault("events", []).append("clear")
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:
        self.__dict__.setdefault("events", []).append("step")
        return super().step(closure)


def _step_case(seed: int, batch: int) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        model = _Watched(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 7))
        images, labels = torch.randn(batch, 1, 8, 8), torch.arange(batch) % 7
        optimizer = _WatchedSGD(model.parameters(), lr=0.1, momentum=0.5)
        model.events = optimizer.events = []
        model.eval()
        F.cross_entropy(model(images.flip(0)), labels).backward()  # gradients that must not stay
        optimizer.step()  # a momentum that must
        weight = model.get_parameter("0.weight")
        weight.register_post_accumulate_grad_hook(lambda _: model.events.append("backward"))
        model.events.clear()
        return model, images, labels, optimizer

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model = arguments[0]
        seen: dict[str, Any] = {
            TRACE: list(model.events),
            "the running mean of batch norm": model.get_buffer("1.running_mean"),
            "the weights after the step": torch.cat([p.detach().flatten() for p in model.parameters()]),
        }
        if isinstance(result, (list, tuple)) and len(result) == 1:
            result = "a list"
        elif isinstance(result, Tensor) and result.requires_grad:
            result = "a tensor that still holds the graph of the whole step"
        seen[RESULT] = result
        return seen

    words = f"a small network in eval mode, {batch} images and SGD"
    return Case(make, words, observe, rtol=2e-4, atol=2e-6, may_change=True)


def _explain_step(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    """Name what shows in the order of events; asked only of a step that came out wrong."""
    if seen[RESULT] == "a list" and not any(
        differs(seen[name], value, rtol=2e-4, atol=2e-6)
        for name, value in expected.items()
        if name not in (TRACE, RESULT)
    ):
        return "It returns a list or tuple with the loss in it; return the number alone, loss.item()."
    done = seen[TRACE]
    forwards = [event for event in done if event.startswith("forward")]
    if not forwards:
        return "The model is never called: logits = model(images)."
    if forwards[0].endswith("eval mode"):
        return _EVAL_MODE
    steps, backwards = done.count("step"), done.count("backward")
    if not differs(seen["the weights after the step"], expected["the weights after the step"], rtol=1e-4):
        return None
    if not backwards:
        return "There is no loss.backward() that reaches the weights: without gradients the step changes nothing."
    if not steps:
        return "There is no optimizer.step(): gradients alone change nothing, and weights moved by hand lack momentum."
    if steps > 1:
        return f"The optimiser takes {steps} steps; one step on the whole batch is asked for."
    if backwards > 1:
        return f"backward is called {times(backwards)}: the gradients of all of them are added up."
    step, backward = done.index("step"), done.index("backward")
    if step < backward:
        return "The step comes before backward: it goes by the gradients of the batch before."
    clears = [place for place, event in enumerate(done) if event == "clear"]
    if any(backward < place < step for place in clears):
        return "zero_grad comes between backward and step: the step then has nothing to go by."
    if not any(place < backward for place in clears):
        return _NO_CLEAR
    return (
        "The right calls in the right order, but the weights move otherwise: the loss should be the mean "
        "cross-entropy of the logits, and nothing should change the gradients (such as clipping) before the step."
    )


_EVAL_MODE = (
    "The model stays in evaluation mode: batch norm and dropout then do not train. Call model.train()."
)
_NO_CLEAR = (
    "The gradients of the step before are still there and are added to: optimizer.zero_grad() belongs "
    "before backward."
)


def _step(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    mode: bool | None = True,
    clear: str = "before",
    loss_of: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    update: str = "after",
    gives: str = "number",
) -> Any:
    """The right step, and with other options the wrong ones."""
    if mode is not None:
        model.train(mode)
    if clear == "before":
        optimizer.zero_grad()
    if update == "before":
        optimizer.step()
    logits = model(images)
    loss = loss_of(logits, labels)
    if update != "no backward":
        loss.backward()
    if clear == "after backward":
        optimizer.zero_grad()
    if update == "after":
        optimizer.step()
    if update == "twice":
        optimizer.step()
        optimizer.step()
    if clear == "end":
        optimizer.zero_grad()
    return {
        "number": lambda: loss.item(),
        "share": lambda: loss.item() / len(images),
        "nothing": lambda: None,
        "graph": lambda: loss,
        "sum": lambda: loss.item() * len(images),
        "logits": lambda: logits.detach(),
        "accuracy": lambda: (logits.argmax(1) == labels).float().mean().item(),
        "again": lambda: loss_of(model(images), labels).item(),
    }[gives]()


def _judge_train_step(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_step, **options), message)

    softmax = "There is a softmax before the loss, but cross_entropy applies its own: give it the logits."
    single = [
        wrong(_NO_CLEAR, clear="never"),
        wrong(
            "The gradients are cleared at the end only; those that were there before this step still count.",
            clear="end",
        ),
        wrong(
            "zero_grad comes between backward and step: the step then has nothing to go by.",
            clear="after backward",
        ),
        wrong(
            "The step comes before backward: it goes by the gradients of the batch before.", update="before"
        ),
        wrong("There is no optimizer.step(): gradients alone change nothing.", update="never"),
        wrong(
            "There is no loss.backward(): without gradients the step changes nothing.", update="no backward"
        ),
        wrong("The optimiser takes two steps.", update="twice"),
        wrong(softmax, loss_of=lambda x, y: F.cross_entropy(x.softmax(1), y)),
        wrong(
            "nll_loss takes log-probabilities, not logits: use cross_entropy.",
            loss_of=lambda x, y: F.nll_loss(x, y),
        ),
        wrong(
            "The loss is summed over the batch; the mean keeps the learning rate independent of its size.",
            loss_of=lambda x, y: F.cross_entropy(x, y, reduction="sum"),
        ),
        wrong(
            "That is the squared error; the cross-entropy is asked for.",
            loss_of=lambda x, y: F.mse_loss(x, F.one_hot(y, 7).float()),
        ),
        wrong(
            "That is the squared error of the probabilities; the cross-entropy is asked for.",
            loss_of=lambda x, y: F.mse_loss(x.softmax(1), F.one_hot(y, 7).float()),
        ),
        wrong(
            "There is label smoothing, which was not asked for.",
            loss_of=lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
        ),
        wrong(
            "That is the binary cross-entropy, as if each class were a question of its own: use cross_entropy.",
            loss_of=lambda x, y: F.binary_cross_entropy_with_logits(x, F.one_hot(y, 7).float()),
        ),
        wrong(
            "There is a log-softmax before cross_entropy, which applies its own: harmless, and not needed.",
            loss_of=lambda x, y: F.cross_entropy(x.log_softmax(1), y) * 1.0,
        ),
        wrong("The sign is wrong: the step climbs the loss.", loss_of=lambda x, y: -F.cross_entropy(x, y)),
        wrong(
            "The loss is divided by the batch, but cross_entropy has taken the mean already.",
            loss_of=lambda x, y: F.cross_entropy(x, y) / len(y),
        ),
        wrong(
            "There is a ReLU before the loss: logits may be negative.",
            loss_of=lambda x, y: F.cross_entropy(x.relu(), y),
        ),
        wrong(
            "There is a sigmoid before the loss: cross_entropy takes logits.",
            loss_of=lambda x, y: F.cross_entropy(x.sigmoid(), y),
        ),
        wrong(
            "There is a softmax before the loss, over the wrong axis besides: cross_entropy takes logits.",
            loss_of=lambda x, y: F.cross_entropy(x.softmax(0), y),
        ),
        wrong("It returns nothing: return the loss as a number, loss.item().", gives="nothing"),
        wrong(
            "It returns the loss as a tensor that keeps the graph of the whole step in memory: return "
            "loss.item().",
            gives="graph",
        ),
        wrong("It returns the loss times the batch: return the mean loss itself.", gives="sum"),
        wrong("It returns the loss divided by the batch: the mean has been taken already.", gives="share"),
        wrong("It returns the logits: return the loss, loss.item().", gives="logits"),
        wrong("It returns the accuracy: return the loss, loss.item().", gives="accuracy"),
        wrong(
            "It returns the loss after the step, which costs a second pass: return that of the first.",
            gives="again",
        ),
    ]
    both = [
        wrong(_EVAL_MODE, mode=mode, clear=clear, gives=gives)
        for mode in (None, False)
        for clear in ("before", "never")
        for gives in ("number", "graph")
    ]
    judge_function(
        answer,
        "train_step",
        reference=_step,
        cases=[_step_case(1, 14), _step_case(2, 6)],
        mistakes=[*single, *both],
        explain=_explain_step,
    )
    return "Every network of this course is trained by this step, and by nothing else."


train_step = Exercise("ch03", "train_step", _judge_train_step)


# accuracy ---------------------------------------------------------------------------------------------------


class _Probe(nn.Module):
    """A network that notes how it is used, and answers otherwise in training mode."""

    def __init__(self, answers: Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.answers = answers
        self.batches: list[int] = []
        self.gradients = False

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        self.gradients |= torch.is_grad_enabled()
        # The first pixel of an image is its number.
        numbers = x.flatten(1)[:, :1]
        noise = (numbers * 7.3 + torch.arange(7) * 2.1).sin() * 0.4
        logits = (F.one_hot(self.answers[numbers[:, 0].long()], 7) + noise) * self.scale
        return -logits if self.training else logits


def _accuracy_case(seed: int, count: int, batch_size: int, training: bool) -> Case:
    def make() -> tuple[Any, ...]:
        draw = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 7, (count,), generator=draw)
        images = torch.randn(count, 1, 4, 4, generator=draw)
        images[:, 0, 0, 0] = torch.arange(count)
        wrong = torch.rand(count, generator=draw) < 0.4
        # The last, smaller batch is nearly all wrong, so that a mean of means differs.
        wrong[-(count % batch_size or 1) :] = True
        wrong[-1] = False
        return (
            _Probe(torch.where(wrong, (labels + 1) % 7, labels)).train(training),
            images,
            labels,
            batch_size,
        )

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        probe = arguments[0]
        return {
            TRACE: list(probe.batches),
            RESULT: result,
            "how many images it looked at": sum(probe.batches),
            "whether no batch is larger than batch_size": str(max(probe.batches, default=0) <= batch_size),
            "whether gradients are tracked": str(probe.gradients),
            "the mode it leaves the model in": "train" if probe.training else "eval",
        }

    mode = "training" if training else "evaluation"
    words = f"a network in {mode} mode, {count} images and batch_size={batch_size}"
    return Case(make, words, observe, may_change=True)


def _accuracy(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    *,
    mode: str = "restored",
    means: bool = False,
    drop: bool = False,
    whole: bool = False,
    tracked: bool = False,
    gives: Callable[[float, int], Any] = lambda hits, count: hits / count,
    pick: Callable[[Tensor], Tensor] = lambda logits: logits.argmax(1),
) -> Any:
    """The right loop, and with other options the wrong ones."""
    before = model.training
    if mode != "as it is":
        model.eval()
    hits, shares = 0, []
    with torch.set_grad_enabled(tracked):
        step = len(images) if whole else batch_size
        for start in range(0, len(images), step):
            x, y = images[start : start + step], labels[start : start + step]
            if drop and len(x) < step:
                continue
            right = int((pick(model(x)) == y).sum())
            hits += right
            shares.append(right / len(x))
    if mode == "restored":
        model.train(before)
    if mode == "train":
        model.train()
    return sum(shares) / len(shares) if means else gives(hits, len(labels))


def _explain_accuracy(seen: dict[str, Any], _: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Name an accuracy by what was looked at, and by what else it could be."""
    probe, images, labels, batch_size = arguments
    batches, count = seen[TRACE], len(images)
    if not batches:
        return "The model is never called: model(images[...])."
    with torch.no_grad():
        logits = probe.eval()(images).float()
    hits = (logits.argmax(1) == labels).float()
    parts, number = hits.split(batch_size), math.ceil(count / batch_size)
    confidence, loss = logits.softmax(1).amax(1), F.cross_entropy(logits, labels)
    train_hits = ((-logits).argmax(1) == labels).float()
    looked = sum(batches)
    whole = sum(
        float((one.argmax() == y).sum())
        for one, y in zip(logits.split(batch_size), labels.split(batch_size), strict=True)
    )
    other: list[tuple[float, str]] = [
        (float(hits.sum() / number), "The hits are divided by the number of batches; divide by that of images."),
        (float(hits.sum() / (count / batch_size)), "The hits are divided by the number of batches; divide by that of images."),
        (float(hits.sum() / batch_size), "The hits are divided by batch_size; divide by the number of images."),
        (float(hits.sum() / (number * batch_size)), "The last batch is counted as if it were full: divide by len(images)."),
        (0.0, "It comes out as 0: is the division cut to a whole number (// or int), or is argmax() without dim=1, "
         "one number for the whole batch?"),
        (whole / count, "argmax() without dim gives one number for the whole batch: argmax(dim=1)."),
        (float(hits.sum() // count), "The division is cut to a whole number (//): use /."),
        (float(parts[-1].sum() / count), "Only the last batch's hits are kept: add them up, hits += ..."),
        (float(parts[-1].mean()), "That is the accuracy of the last batch alone: add up hits over all."),
        (float(sum(part.mean() for part in parts)), "The accuracies of the batches are added up; count hits, divide once."),
        (float(loss), "That is the mean loss; the share of right answers is asked for."),
        (float(loss * count), "That is the sum of the losses; the share of right answers is asked for."),
        (float(hits.sum() / len(parts[-1])), "The hits of all are divided by the size of the last batch: divide by len(images)."),
        (float(sum(part.mean() for part in parts) / count), "Accuracies of batches are added up and divided by the "
         "images: count hits, divide once."),
        (float(sum(bool(part.any()) for part in parts) / count), "any() tells of a batch whether there is a hit; count them, sum()."),
        (float(sum(bool(part.all()) for part in parts) / count), "all() tells of a batch whether everything is right; count hits, sum()."),
        (float((hits.sum() + 1) / count), "There is one hit too many: does the count begin at 0?"),
        (float((hits.sum() - 1) / count), "There is one hit too few: does the count begin at 0?"),
        (float(hits.sum() / (count - 1)), "The hits are divided by one image too few."),
        (float(hits.sum() / (count + 1)), "The hits are divided by one image too many."),
        (float(-hits.sum() / count), "The hits are subtracted (-=); add them up, +=."),
        (float(labels.float().mean()), "That is the mean of the labels' numbers; compare preds with labels."),
        (float(logits.argmax(1).float().mean()), "That is the mean of the predicted numbers; compare preds with labels."),
        (float(confidence.mean()), "That is how sure the network is (its probabilities), not how often it is right."),
        (float(count), "That is the number of images."),
        (float(count - hits.sum()), "That is the number of wrong answers; the share of right ones is asked for."),
        (float(train_hits.sum()), "That is the number of hits in training mode; call model.eval(), and divide."),
    ]  # fmt: skip
    if looked < count:
        if len(batches) == 1:
            return "Only the first batch is looked at: does a `return` or `break` stand inside the loop?"
        return f"Only {looked} of {count} images are looked at: where does the loop stop?"
    found = as_array(seen[RESULT])
    if found is not None and found.size == 1 and found.dtype.kind == "f":
        for value, words in other:
            if abs(found.item() - value) < 1e-4:
                return words
    if looked > count and max(batches) <= batch_size:
        return f"Images are looked at more than once, {looked} instead of {count}: a step of the loop is batch_size."
    if found is None or found.size != 1 or found.dtype.kind != "f" or looked != count:
        return None
    if any(abs(found.item() * scale - float(hits.sum() / count)) < 1e-4 for scale in (0.01, 100)):
        return None
    if abs(found.item() - round(float(hits.mean()), 2)) < 1e-6 or found.item() in (0, 1):
        return None
    return (
        f"All images are looked at, and {int(hits.sum())} of {count} are right; what is returned would be "
        f"{found.item() * count:.4g} of them: is each answer argmax(dim=1), compared with its own label?"
    )


def _judge_accuracy(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_accuracy, **options), message)

    training = (
        "The network is left in training mode: batch norm and dropout then disturb every answer. Call "
        "model.eval()."
    )
    means = (
        "That averages the batches' accuracies: the last, smaller batch counts as much as a full one. Count "
        "hits, divide once."
    )
    mistakes = [
        wrong(means, means=True),
        wrong("The last batch is left out when it is smaller than the others.", drop=True),
        wrong(
            "The last batch is left out when it is smaller, and the rest divided by what is left.",
            drop=True,
            means=True,
        ),
        wrong(
            "Gradients are tracked: torch.no_grad() or torch.inference_mode() saves their memory and time.",
            tracked=True,
        ),
        wrong(
            "The model is left in evaluation mode, although it came in training mode: the caller's training "
            "would go on without batch norm and dropout. Put it back.",
            mode="eval",
        ),
        wrong(
            "The model is in training mode at the end, whatever mode it came in: put it back as it was.",
            mode="train",
        ),
        wrong("All images go through at once; batches of batch_size keep memory bounded.", whole=True),
        wrong(training, mode="as it is"),
        wrong("Give a share from 0 to 1, not per cent.", gives=lambda hits, count: 100 * hits / count),
        wrong("That is the number of hits: divide by the number of images.", gives=lambda hits, _: hits),
        wrong("That is the share of wrong answers.", gives=lambda hits, count: 1 - hits / count),
        wrong(
            "The answer is the class with the greatest logit (argmax); this takes the least.",
            pick=lambda logits: logits.argmin(1),
        ),
    ]
    mistakes += [
        wrong(text, **{**one, **two})
        for text, one in ((means, {"means": True}), (training, {"mode": "as it is"}))
        for two in ({"tracked": True}, {"mode": "eval"}, {"mode": "eval", "tracked": True})
        if not (one.keys() & two.keys())
    ]
    mistakes.append(
        wrong("Gradients are tracked, and the model is left in evaluation mode.", mode="eval", tracked=True)
    )
    judge_function(
        answer,
        "accuracy",
        reference=_accuracy,
        cases=[
            _accuracy_case(1, 25, 10, training=True),
            _accuracy_case(2, 41, 8, training=False),
            _accuracy_case(3, 5, 64, training=True),
        ],
        mistakes=mistakes,
        explain=_explain_accuracy,
    )
    return "The same number for every batch size, and the model is as it was."


accuracy = Exercise("ch03", "accuracy", _judge_accuracy)


# fit_best ---------------------------------------------------------------------------------------------------


class _Notebook(nn.Sequential):
    """A network that notes when a state is put back into it."""

    events: list[str]

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        self.events.append("load")
        return super().load_state_dict(*args, **kwargs)


def _fit_case(accuracies: list[float]) -> Case:
    def make() -> tuple[Any, ...]:
        model = _Notebook(nn.Linear(1, 1), nn.BatchNorm1d(1))
        events: list[str] = []
        begun: list[float] = []
        model.events = events
        with torch.no_grad():
            model[0].weight.fill_(0.0)  # type: ignore[operator]

        def train_epoch(network: nn.Module) -> None:
            events.append("train")
            begun.append(network.get_parameter("0.weight").item())
            with torch.no_grad():
                network.get_parameter("0.weight").add_(1.0)
                network.get_buffer("1.running_mean").add_(1.0)

        def validate(network: nn.Module) -> float:
            events.append("validate")
            epoch = int(network.get_parameter("0.weight").item())
            return accuracies[epoch - 1] if 1 <= epoch <= len(accuracies) else 0.05

        train_epoch.events, train_epoch.begun = events, begun  # type: ignore[attr-defined]
        return model, train_epoch, validate, len(accuracies)

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model, train_epoch = arguments[0], arguments[1]
        if isinstance(result, nn.Module):
            result = "the model"
        elif isinstance(result, dict):
            result = "the weights"
        return {
            TRACE: list(train_epoch.events),
            "how many epochs were trained": train_epoch.events.count("train"),
            "the epochs after which training went on": list(train_epoch.begun),
            "the epoch whose weights the model holds": model[0].weight.item(),
            "the epoch whose batch-norm statistics it holds": model[1].running_mean.item(),
            RESULT: result,
        }

    return Case(make, f"{len(accuracies)} epochs with val accuracies {accuracies}", observe, may_change=True)


def _explain_fit(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Name what shows in the order of events and in the epoch that is kept."""
    done, epochs = seen[TRACE], arguments[3]
    trained = done.count("train")
    if not trained:
        return "train_epoch(model) is never called: nothing is trained."
    if "validate" not in done:
        return "validate(model) is never called: without it no epoch is better than another."
    if trained != epochs:
        if trained == 1:
            return "One epoch alone is trained: does a `return` stand inside the loop?"
        if abs(trained - epochs) == 1:
            return f"It trains one epoch too {'few' if trained < epochs else 'many'}: range(epochs)."
        return f"It trains {trained} epochs; expected {epochs}."
    if done[0] == "validate" or [event for event in done if event != "load"][-1] == "train":
        return "validate comes before train_epoch: the accuracy is that of the epoch before."
    names = list(expected)
    begun, held = seen[names[2]], seen[names[3]]
    if begun != expected[names[2]]:
        return (
            "The kept weights are put back within the loop, so that training does not go on from its last "
            "epoch: put them back once, after the loop."
        )
    if held == epochs != expected[names[3]]:
        if "load" not in done:
            return (
                "The best weights are never put back into the model that was given: model.load_state_dict(...) "
                "after the loop. (Giving the name model to a copy leaves the caller's as it is.)"
            )
        return (
            "The model ends with its last weights. Either they are kept in every epoch (is best never "
            "updated?), or what is kept are references, which train on with the model: keep a copy, "
            "copy.deepcopy(model.state_dict())."
        )
    if held == 0:
        return "The model ends with the weights from before the first epoch."
    if seen.get(RESULT) == "the weights":
        return "It returns the weights; return the best accuracy."
    return None


def _fit_best(
    model: nn.Module,
    train_epoch: Callable[[nn.Module], None],
    validate: Callable[[nn.Module], float],
    epochs: int,
    *,
    copied: str = "deep",
    restore: bool = True,
    ties: bool = False,
    gives: str = "best",
    least: bool = False,
    stop: bool = False,
    against: str = "best",
) -> Any:
    """The right loop, and with other options the wrong ones."""
    best, kept, last, kept_epoch = (float("inf") if least else -1.0), None, 0.0, 0
    before, every = best, []
    for epoch in range(1, epochs + 1):
        train_epoch(model)
        last = validate(model)
        bound = {"best": best, "before": before, "start": -1.0}[against]
        better = last < bound if least else (last >= bound if ties else last > bound)
        before = last
        every.append(last)
        if better:
            best, kept_epoch = last, epoch
            kept = {
                "deep": lambda: copy.deepcopy(model.state_dict()),
                "not": lambda: model.state_dict(),
                "shallow": lambda: dict(model.state_dict()),
                "parameters": lambda: {k: v.detach().clone() for k, v in model.named_parameters()},
            }[copied]()
        elif stop:
            break
    if restore and kept is not None:
        model.load_state_dict(kept, strict=False)
    return {
        "best": best,
        "last": last,
        "nothing": None,
        "epoch": kept_epoch,
        "epoch from 0": kept_epoch - 1,
        "mean": sum(every) / len(every),
        "all": every,
        "model": model,
        "both": (best, kept_epoch),
    }[gives]


def _judge_fit_best(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_fit_best, **options), message)

    shallow = (
        "The model ends with its last weights: state_dict() gives references, which train on with the model. "
        "Keep a copy, copy.deepcopy(model.state_dict())."
    )
    none = "The best weights are never put back: model.load_state_dict(...) after the loop."
    judge_function(
        answer,
        "fit_best",
        reference=_fit_best,
        cases=[
            _fit_case([0.3, 0.6, 0.5, 0.6, 0.4]),
            _fit_case([0.2, 0.1, 0.05]),
            _fit_case([0.1, 0.2, 0.3]),
            _fit_case([0.5, 0.2, 0.4, 0.3]),
            _fit_case([0.0, 0.0]),
        ],
        mistakes=[
            wrong(
                f"{shallow} (Or they are never put back: model.load_state_dict(...) after the loop.)",
                copied="not",
            ),
            wrong(shallow, copied="shallow"),
            wrong(none, restore=False),
            wrong(none, restore=False, gives="last"),
            wrong(
                "The weights are those of the best epoch, the running statistics of batch norm are the last: "
                "state_dict() holds both, parameters() only the weights.",
                copied="parameters",
            ),
            wrong(
                "Of two epochs that are equally good, this keeps the later; keep the first (> and not >=).",
                ties=True,
            ),
            wrong("It returns the last accuracy; return the best.", gives="last"),
            wrong("It returns nothing: return the best accuracy on val.", gives="nothing"),
            wrong("It returns the number of the epoch; return its accuracy.", gives="epoch"),
            wrong("It returns the number of the epoch; return its accuracy.", gives="epoch from 0"),
            wrong("It returns the mean of the accuracies; return the best.", gives="mean"),
            wrong("It returns the accuracies of all epochs; return the best alone.", gives="all"),
            wrong("Each epoch is compared with the one before, not with the best so far.", against="before"),
            wrong(
                "Every epoch counts as better: is best never updated, best = found?",
                against="start",
                gives="last",
            ),
            wrong("It returns the model; return the best accuracy on val.", gives="model"),
            wrong("It returns two values; return the best accuracy alone.", gives="both"),
            wrong("It keeps the worst epoch: greater is better.", least=True),
            wrong(
                "It stops at the first epoch that is not better: accuracies jump from epoch to epoch, so "
                "train on to the end.",
                stop=True,
            ),
        ],
        explain=_explain_fit,
    )
    return "Chosen on val, weights and running statistics together."


fit_best = Exercise("ch03", "fit_best", _judge_fit_best)

__all__ = ["DoubleBlock", "PooledHead", "accuracy", "fit_best", "output_sizes", "train_step"]
