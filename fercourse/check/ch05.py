"""Checkers of chapter 5, Residual learning."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fercourse.check.core import Exercise, Wrong, differs
from fercourse.check.functions import RESULT, Case, Mistake, judge_function
from fercourse.check.modules import Trial, Variant, build_answer, forward, judge_module, variants

# Two 3x3 convolutions ---------------------------------------------------------------------------------------


class _Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, *, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        second = stride if kind == "stride second" else 1
        first = 1 if kind == "stride second" else stride
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, first, 1, bias=False)
        self.norm1 = nn.Identity() if kind in ("no norm", "no first norm") else nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, second, 1, bias=False)
        self.norm2 = nn.Identity() if kind in ("no norm", "no last norm") else nn.BatchNorm2d(out_channels)
        if kind == "shared norm":
            self.norm2 = self.norm1
        same = stride == 1 and in_channels == out_channels
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            kernel, padding = (3, 1) if kind == "3x3 projection" else (1, 0)
            conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
            layers: list[nn.Module] = [conv]
            if kind != "bare projection":
                layers.append(nn.BatchNorm2d(out_channels))
            if kind == "projection relu":
                layers.append(nn.ReLU())
            self.shortcut = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        out = self.norm1(self.conv1(x))
        if kind != "no relu between":
            out = out.relu()
        if kind == "add early":
            out = out + self.shortcut(x)
        out = self.conv2(out)
        if kind == "sum before norm":
            return self.norm2(out + self.shortcut(x)).relu()
        out = self.norm2(out)
        if kind in ("add early", "plain"):
            return out.relu()
        if kind in ("relu before sum", "relu twice"):
            out = out.relu()
        shortcut = self.shortcut(x)
        out = {
            "product": lambda: out * shortcut,
            "minus": lambda: out - shortcut,
            "mean": lambda: (out + shortcut) / 2,
            "relu of input": lambda: out + shortcut.relu(),
            "twice": lambda: out + 2 * shortcut,
            "detached": lambda: out + shortcut.detach(),
        }.get(kind, lambda: out + shortcut)()
        return out if kind in ("relu before sum", "no last relu") else out.relu()


_BASIC_MISTAKES = {
    "plain": "There is no shortcut: the input is never added to what the two convolutions make of it.",
    "relu before sum": "The last ReLU comes before the sum: add the input first, then apply it.",
    "relu twice": "There is a ReLU before the sum as well: the branch could then only add, never subtract.",
    "no last relu": "The ReLU after the sum is missing.",
    "no relu between": "The ReLU between the two convolutions is missing.",
    "add early": "The input is added after the first convolution already; add it after the second batch norm.",
    "sum before norm": "The input is added before the second batch norm, which then changes the shortcut too.",
    "no norm": "There is no batch norm: one belongs after each convolution.",
    "no first norm": "The first convolution has no batch norm after it.",
    "no last norm": "The second convolution has no batch norm after it.",
    "shared norm": "Both convolutions share one batch norm: each needs its own, with its own statistics.",
    "product": "Input and branch are multiplied; add them.",
    "minus": "The input is subtracted; add it.",
    "mean": "Sum, not mean: halving at every block would shrink the signal to nothing.",
    "relu of input": "The shortcut goes through a ReLU: it should be left as it is.",
    "twice": "The input is added twice.",
    "detached": "The shortcut is detached: the gradient, too, should pass through it.",
}


def _same_width(channels: int, kind: str = "right") -> nn.Module:
    return _Basic(channels, channels, kind=kind)


class _Projected(_Basic):
    """The block with a projection where none is needed."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)
        self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))


def _judge_residual_block(answer: Any) -> str:
    judge_module(
        answer,
        "ResidualBlock",
        reference=_same_width,
        trials=[Trial((4,), (2, 4, 8, 8)), Trial((6,), (3, 6, 5, 7))],
        mistakes=[
            *variants(_same_width, _BASIC_MISTAKES),
            Variant(_Projected, "The shortcut needs no convolution here: shapes agree, so add x itself."),
        ],
    )
    return "With both convolutions at zero it passes its input on: it can do no harm before it has learned."


ResidualBlock = Exercise("ch05", "ResidualBlock", _judge_residual_block)


# A block that halves ----------------------------------------------------------------------------------------


class _Always(_Basic):
    """Projects even where the shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, stride)
        conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class _Pooled(_Basic):
    """Shortcut without weights: pooled, filled up with zeros (the ResNet paper's option A, or nearly)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, average: bool) -> None:
        super().__init__(in_channels, out_channels, stride)
        self.shortcut = nn.Identity()
        self.average, self.missing, self.stride = average, out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        s = self.stride
        less = nn.functional.avg_pool2d(x, s, ceil_mode=True) if self.average else x[:, :, ::s, ::s]
        return (out + nn.functional.pad(less, (0, 0, 0, 0, 0, max(0, self.missing)))).relu()


_DOWN_MISTAKES = {
    **_BASIC_MISTAKES,
    "bare projection": "The 1x1 convolution of the shortcut has no batch norm after it.",
    "projection relu": "There is a ReLU on the shortcut: it should carry positive and negative values alike.",
    "3x3 projection": "The shortcut's convolution is 3x3; 1x1 is enough to match the channels.",
    "stride second": "The second convolution strides; the first should, so that the second works on less.",
}


def _judge_down_block(answer: Any) -> str:
    judge_module(
        answer,
        "DownBlock",
        reference=_Basic,
        trials=[
            Trial((4, 6, 2), (2, 4, 8, 8)),
            Trial((4, 4, 1), (2, 4, 8, 8)),
            Trial((3, 5, 1), (2, 3, 6, 6)),
            Trial((5, 5, 2), (2, 5, 7, 9)),
        ],
        mistakes=[
            *variants(_Basic, _DOWN_MISTAKES),
            Variant(
                _Always,
                "Where stride is 1 and the channels agree, the shortcut should be the input itself, without a "
                "convolution.",
            ),
            Variant(
                partial(_Pooled, average=False),
                "The shortcut skips pixels and fills up with zeros (the paper's option A); a 1x1 convolution "
                "with batch norm is asked for.",
            ),
            Variant(
                partial(_Pooled, average=True),
                "The shortcut averages and fills up with zeros; a 1x1 convolution with batch norm is asked for.",
            ),
        ],
    )
    return "This is the block of ResNet18 and ResNet34, whole."


DownBlock = Exercise("ch05", "DownBlock", _judge_down_block)


# Bottleneck -------------------------------------------------------------------------------------------------


class _Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, in_channels: int, width: int, stride: int, *, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        out = 4 * width if kind != "no expansion" else width
        if kind == "doubled":
            out = 2 * width
        strides = {"stride first": (stride, 1, 1), "stride last": (1, 1, stride)}.get(kind, (1, stride, 1))
        middle = (1, 0) if kind == "all 1x1" else (3, 1)
        edge = (3, 1) if kind == "all 3x3" else (1, 0)
        wide = out if kind == "wide" else width
        self.conv1 = nn.Conv2d(in_channels, wide, edge[0], strides[0], edge[1], bias=False)
        self.norm1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, middle[0], strides[1], middle[1], bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.conv3 = nn.Conv2d(wide, out, edge[0], strides[2], edge[1], bias=False)
        self.norm3 = nn.Identity() if kind == "no last norm" else nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out or kind == "always projected":
            layers: list[nn.Module] = [nn.Conv2d(in_channels, out, 1, stride, bias=False)]
            if kind != "bare projection":
                layers.append(nn.BatchNorm2d(out))
            self.shortcut = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        out = self.norm1(self.conv1(x))
        out = out if kind == "no first relu" else out.relu()
        out = self.norm2(self.conv2(out))
        out = out if kind == "no middle relu" else out.relu()
        out = self.norm3(self.conv3(out))
        if kind in ("relu before sum", "relu twice"):
            out = out.relu()
        if kind != "plain":
            out = out + self.shortcut(x)
        return out if kind in ("relu before sum", "no last relu") else out.relu()


_BOTTLENECK_MISTAKES = {
    "plain": "There is no shortcut: the input is never added.",
    "no expansion": "The last convolution gives width channels; it should give 4 * width.",
    "doubled": "The last convolution gives 2 * width channels; it should give 4 * width.",
    "wide": "The first two convolutions are 4 * width wide; the bottleneck is that they are width wide.",
    "stride first": "The first 1x1 strides and throws three of four pixels away unseen; the 3x3 should stride.",
    "stride last": "The last 1x1 strides; the 3x3 in the middle should.",
    "all 3x3": "All convolutions are 3x3; first and last are 1x1.",
    "all 1x1": "All convolutions are 1x1; the middle one is 3x3, else the block sees no neighbours.",
    "relu before sum": "The last ReLU comes before the sum: add the input first.",
    "relu twice": "There is a ReLU before the sum as well: the branch could then only add, never subtract.",
    "no last relu": "The ReLU after the sum is missing.",
    "no first relu": "The ReLU after the first batch norm is missing.",
    "no middle relu": "The ReLU after the second batch norm is missing.",
    "no last norm": "The last convolution has no batch norm after it.",
    "bare projection": "The 1x1 convolution of the shortcut has no batch norm after it.",
    "always projected": "Where the shapes agree, the shortcut should be the input itself.",
}


def _judge_bottleneck_block(answer: Any) -> str:
    judge_module(
        answer,
        "BottleneckBlock",
        reference=_Bottleneck,
        trials=[
            Trial((8, 4, 2), (2, 8, 8, 8)),
            Trial((12, 3, 1), (2, 12, 6, 6)),
            Trial((5, 3, 1), (2, 5, 5, 7)),
            Trial((16, 4, 2), (2, 16, 6, 6)),
            Trial((4, 4, 1), (2, 4, 6, 6)),
        ],
        mistakes=variants(_Bottleneck, _BOTTLENECK_MISTAKES),
    )
    return "Four times the channels for about the cost of the basic block: what makes ResNet50 affordable."


BottleneckBlock = Exercise("ch05", "BottleneckBlock", _judge_bottleneck_block)


# Pre-activation ---------------------------------------------------------------------------------------------


class _PreAct(nn.Module):
    """BN, ReLU, conv, twice, and the input added; ``kind`` names what is wrong with it, if anything."""

    def __init__(self, channels: int, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        if kind in ("post", "post without relu"):
            out = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu())) + x
            return out.relu() if kind == "post" else out
        if kind == "relu first":
            return x + self.conv2(self.norm2(self.conv1(self.norm1(x.relu())).relu()))
        first = self.norm1(x)
        first = first if kind == "no first relu" else first.relu()
        out = self.norm2(self.conv1(first))
        out = self.conv2(out if kind == "no second relu" else out.relu())
        shortcut = (
            first if kind == "activated shortcut" else self.norm1(x) if kind == "normed shortcut" else x
        )
        if kind != "plain":
            out = out + shortcut
        return out.relu() if kind in ("relu last", "plain relu") else out


_PREACT_MISTAKES = {
    "plain": "There is no shortcut: the input is never added.",
    "relu last": "There is a ReLU after the sum: leave it out, so that the sum passes on untouched.",
    "post": "That is the first kind of block: batch norm and ReLU should come before each convolution.",
    "post without relu": "Batch norm should come before each convolution, not after it.",
    "activated shortcut": "What is added is the input after batch norm and ReLU; add x itself.",
    "normed shortcut": "What is added is the input after batch norm; add x itself.",
    "no first relu": "The ReLU before the first convolution is missing.",
    "no second relu": "The ReLU before the second convolution is missing.",
    "relu first": "The order is batch norm, ReLU, convolution; here a ReLU comes before the batch norm.",
}


def _judge_pre_act_block(answer: Any) -> str:
    judge_module(
        answer,
        "PreActBlock",
        reference=_PreAct,
        trials=[Trial((4,), (2, 4, 8, 8)), Trial((6,), (3, 6, 5, 7))],
        mistakes=variants(_PreAct, _PREACT_MISTAKES),
    )
    return "Nothing stands on the shortcut now: a row of such blocks only adds."


PreActBlock = Exercise("ch05", "PreActBlock", _judge_pre_act_block)


# gradient_norms ---------------------------------------------------------------------------------------------


def _norm_case(seed: int, stale: bool) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 16, 5), nn.ReLU(), nn.Linear(5, 7)
        )
        images, labels = torch.randn(6, 1, 6, 6), torch.arange(6) % 7
        if stale:
            nn.functional.cross_entropy(model(2 * images), labels).backward()
        return model, images, labels

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model = arguments[0]
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        return {RESULT: result, "the weights, which must stay": weights}

    words = "a small network" + (" that still has gradients of another batch" if stale else "")
    return Case(make, words, observe, rtol=1e-3, may_change=True)


def _norms(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    clear: bool = True,
    of: Callable[[Tensor], Any] = lambda gradient: gradient.norm().item(),
    reduction: str = "mean",
    keys: Callable[[str], bool] = lambda name: True,
    step: bool = False,
    values: bool = False,
    softmax: bool = False,
    squared: bool = False,
) -> dict[str, Any]:
    """The right answer, and with other options the wrong ones."""
    if clear:
        model.zero_grad()
    logits = model(images)
    if squared:
        loss = nn.functional.mse_loss(logits, nn.functional.one_hot(labels, logits.shape[1]).float())
    else:
        loss = nn.functional.cross_entropy(
            logits.softmax(1) if softmax else logits, labels, reduction=reduction
        )
    loss.backward()
    if step:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(parameter.grad, alpha=0.1)  # type: ignore[arg-type]
    return {
        name: of(parameter.detach() if values else parameter.grad)  # type: ignore[arg-type]
        for name, parameter in model.named_parameters()
        if keys(name)
    }


def _judge_gradient_norms(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_norms, **options), message)

    judge_function(
        answer,
        "gradient_norms",
        reference=_norms,
        cases=[_norm_case(1, stale=False), _norm_case(2, stale=True)],
        mistakes=[
            wrong("Gradients of another batch were there and are added to: model.zero_grad() first.", clear=False),
            wrong("That is the norm of the weights, not of their gradients.", values=True),
            wrong("That is the norm squared.", of=lambda g: g.square().sum().item()),
            wrong("That is the greatest value; the norm is the root of the sum of squares.",
                  of=lambda g: g.abs().max().item()),
            wrong("That is the mean of the absolute values; the norm is the root of the sum of squares.",
                  of=lambda g: g.abs().mean().item()),
            wrong("That is the sum of the absolute values; the norm is the root of the sum of squares.",
                  of=lambda g: g.abs().sum().item()),
            wrong("That is the mean of the gradient, in which signs cancel.", of=lambda g: g.mean().item()),
            wrong("That is the sum of the gradient, in which signs cancel.", of=lambda g: g.sum().item()),
            wrong("That is the root of the mean of squares; the norm takes their sum.",
                  of=lambda g: g.square().mean().sqrt().item()),
            wrong("That is the standard deviation.", of=lambda g: g.std().item()),
            wrong("Those are the gradients; a number each is asked for, their norm.", of=lambda g: g.clone()),
            wrong("The biases are missing: every parameter is asked for.", keys=lambda name: "weight" in name),
            wrong("The loss is summed over the batch; take the mean, cross_entropy's default.", reduction="sum"),
            wrong("That is the squared error's gradient; the cross-entropy is asked for.", squared=True),
            wrong("There is a softmax before cross_entropy, which applies its own.", softmax=True),
            wrong("The weights have moved: measuring takes no step.", step=True),
            wrong("The norm is divided by the number of weights; leave it whole.",
                  of=lambda g: g.norm().item() / g.numel()),
            wrong("The norm is divided by the root of the number of weights; leave it whole.",
                  of=lambda g: g.norm().item() / g.numel() ** 0.5),
            wrong("That is the greatest value, signed; the norm is the root of the sum of squares.",
                  of=lambda g: g.max().item()),
            wrong("Those are shapes; a number each is asked for, the norm of the gradient.",
                  of=lambda g: tuple(g.shape)),
        ],
    )  # fmt: skip
    return "One number a layer: enough to see where a deep network stops hearing its loss."


gradient_norms = Exercise("ch05", "gradient_norms", _judge_gradient_norms)


# StochasticDepth --------------------------------------------------------------------------------------------


class _Twice(nn.Module):
    """A branch that is easily told from its input: -3 x + 1, counted."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(-3.0))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.weight * x + 1


def _judge_stochastic_depth(answer: Any) -> str:
    name = "StochasticDepth"
    for survive in (0.8, 0.5):
        trial = Trial((), (4, 2, 3, 3))
        branch = _Twice()
        module = build_answer(answer, name, Trial((branch, survive), trial.shape))
        x = torch.randn(4, 2, 3, 3)
        told = f"{name}(branch, {survive})"
        _in_evaluation(module, branch, x, survive, told, trial)
        _in_training(module, branch, x, survive, told, trial)
    module = build_answer(answer, name, Trial((_Twice(), 1.0), trial.shape))
    module.train()
    if words := differs(forward(module, x, name, trial), x + _Twice()(x)):
        raise Wrong(f"{name}(branch, 1.0) in training should always be x + branch(x): {words}.")
    if not any(isinstance(one, _Twice) for one in module.modules()):
        raise Wrong(
            "The branch is not one of the module's own: self.branch = branch in __init__ registers it, so that "
            "its weights are trained, moved and saved."
        )
    return "Each training step trains another, shallower network; evaluation uses all of them at once."


def _in_evaluation(
    module: nn.Module, branch: _Twice, x: Tensor, survive: float, told: str, trial: Trial
) -> None:
    """Raise `Wrong` unless evaluation is x + survive * branch(x), naming what it is instead."""
    module.eval()
    outs = [forward(module, x, "StochasticDepth", trial).detach() for _ in range(8)]
    value = branch(x).detach()
    if any(not torch.equal(outs[0], out) for out in outs[1:]):
        raise Wrong(
            f"{told} gives another output each time in evaluation mode: lots are drawn in training only "
            "(self.training)."
        )
    if not differs(outs[0], x + survive * value, rtol=1e-3, atol=1e-4):
        return
    kinds = {
        "In evaluation the branch must be scaled by its probability of surviving: it was there in that share "
        "of the steps only.": x + value,
        "In evaluation the branch is scaled by the probability of being dropped; use that of surviving.": x
        + (1 - survive) * value,
        "In evaluation the branch is divided by its probability of surviving; multiply.": x + value / survive,
        "In evaluation the branch is left out altogether.": x,
        "In evaluation the input is missing: x + survive * branch(x).": survive * value,
        "In evaluation the input is scaled as well; scale the branch alone.": survive * (x + value),
    }
    for message, wrong in kinds.items():
        if not differs(outs[0], wrong, rtol=1e-3, atol=1e-4):
            raise Wrong(f"{message} ({told})")
    raise Wrong(
        f"{told} in evaluation should be x + {survive} * branch(x): "
        f"{differs(outs[0], x + survive * value, rtol=1e-3, atol=1e-4)}."
    )


def _in_training(
    module: nn.Module, branch: _Twice, x: Tensor, survive: float, told: str, trial: Trial
) -> None:
    """Raise `Wrong` unless training is x or x + branch(x), by one lot for the batch, in the right shares."""
    module.train()
    value, times = branch(x).detach(), 400
    torch.manual_seed(11)
    kept = 0
    for _ in range(times):
        out = forward(module, x, "StochasticDepth", trial)
        if not differs(out, x + value, rtol=1e-3, atol=1e-4):
            kept += 1
        elif differs(out, x):
            _name_training(out.detach(), x, value, survive, told)
    share, slack = kept / times, 4 * (survive * (1 - survive) / times) ** 0.5
    if abs(share - survive) <= slack:
        return
    if abs(share - (1 - survive)) <= slack:
        raise Wrong(
            f"{told} drops the branch in {1 - share:.0%} of the steps and keeps it in {share:.0%}: {survive} is "
            "the probability that it survives."
        )
    if kept in (0, times):
        raise Wrong(
            f"{told} {'always' if kept else 'never'} keeps the branch in training: draw a lot in each forward, "
            "for instance torch.rand(()) < survive."
        )
    raise Wrong(f"{told} keeps the branch in {share:.0%} of {times} training steps; expected {survive:.0%}.")


def _name_training(out: Tensor, x: Tensor, value: Tensor, survive: float, told: str) -> None:
    """Raise `Wrong` for one training output that is neither x nor x + branch(x)."""
    kinds = {
        "In training the kept branch is divided by its probability (that is 'inverted' scaling, as dropout "
        "does). The paper scales in evaluation instead, and so should this.": x + value / survive,
        "In training the kept branch is scaled; scaling is for evaluation.": x + survive * value,
        "A dropped step should pass the input on; this passes zeros.": torch.zeros_like(x),
        "The input is missing from the sum: x + branch(x).": value,
    }
    for message, wrong in kinds.items():
        if not differs(out, wrong, rtol=1e-3, atol=1e-4):
            raise Wrong(f"{message} ({told})")
    per_image = [
        not differs(a, b, rtol=1e-3, atol=1e-4) or not differs(a, b + c, rtol=1e-3, atol=1e-4)
        for a, b, c in zip(out, x, value, strict=True)
    ]
    if all(per_image):
        raise Wrong(f"{told} draws a lot for each image; one for the whole batch is asked for.")
    kept = ((out - x) / value).flatten()
    if bool(((kept.abs() < 1e-3) | ((kept - 1).abs() < 1e-3)).all()):
        raise Wrong(f"{told} drops single values, as dropout does; the whole branch goes or stays.")
    raise Wrong(f"{told} in training gives neither x nor x + branch(x): {differs(out, x + value)}.")


StochasticDepth = Exercise("ch05", "StochasticDepth", _judge_stochastic_depth)

__all__ = [
    "BottleneckBlock", "DownBlock", "PreActBlock", "ResidualBlock", "StochasticDepth", "gradient_norms",
]  # fmt: skip
