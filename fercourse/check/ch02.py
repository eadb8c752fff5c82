"""Checkers of chapter 2, Preprocessing and imbalance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from fercourse.check.core import Exercise, Wrong, as_array, differs
from fercourse.check.functions import RESULT, Case, Mistake, judge_function
from fercourse.check.modules import Trial, build_answer, forward

#: What stands behind PyTorch's words where they meet this chapter's exercises.
_MEANINGS = {
    "could not infer output dtype": "uint8 holds whole numbers, which have no mean: convert with .float() first.",
    "std and var only support": "uint8 holds whole numbers, which have no deviation: convert with .float() first.",
    "cannot assign": "A bias must stay an nn.Parameter: write into it, bias.copy_(...), under torch.no_grad().",
    "one_hot is only applicable": "The labels come as whole numbers of dtype int64: leave them so.",
    "from < to": "torch.randint never draws its upper end: the last place that fits is H - side, so draw "
    "below H - side + 1.",
    "expects to.*random_|from.*to.*expected": "torch.randint(low, high) needs high above low.",
    "'Tensor' and 'NoneType'": "Without weights, the argument weights is None: treat that case by itself.",
    "weight tensor should be defined": "F.cross_entropy takes a weight for each class, and looks up itself which image "
    "gets which; weight[labels] is for losses that are weighted by hand.",
    "object has no attribute 'backward'": "After .item() it is a plain number, without a way back: call backward on the "
    "tensor.",
    "got Long": "Shares are floats: .long() would round all but the ones to 0.",
    "empty range": "There is one place too few to draw from: H - side is a place too.",
}


def _told(wrong: Wrong) -> Wrong:
    """Add what usually stands behind an error of PyTorch's."""
    text = str(wrong)
    for words, meaning in _MEANINGS.items():
        if words in text and "raised" in text:
            return Wrong(f"{meaning}\n{text}")
    return wrong


# standardise ------------------------------------------------------------------------------------------------

_SPLITS = ("train", "val", "test")
_HOW_MANY = "how many splits it returns"


def _split_case(seed: int, contrast: tuple[float, float, float]) -> Case:
    def make() -> tuple[Any, ...]:
        draw = torch.Generator().manual_seed(seed)
        ranges = ((40, 230, contrast[0]), (70, 250, contrast[1]), (0, 160, contrast[2]))
        return tuple(
            (low + (high - low) * torch.rand(count, 6, 9, generator=draw) * share).to(torch.uint8)
            for (low, high, share), count in zip(ranges, (60, 20, 30), strict=True)
        )

    def observe(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
        if isinstance(result, dict):
            result = [result[name] for name in _SPLITS if name in result]
        several = isinstance(result, (list, tuple))
        values = list(result) if several else [result]
        seen: dict[str, Any] = {_HOW_MANY: len(values)}
        if len(values) == 3:
            seen |= dict(zip(_SPLITS, values, strict=True))
        return seen

    words = "uint8 images of 6 by 9 pixels: 60 of train, 20 of val, 30 of test"
    return Case(make, words, observe, rtol=2e-3, atol=2e-3)


def _standard(
    *splits: Tensor,
    scale: float = 255.0,
    statistics: Callable[[list[Tensor], int], Tensor] = lambda all_, _: all_[0],
    axes: Any = None,
    change: Callable[[Tensor, Any, Any], Tensor] = lambda x, mean, std: (x - mean) / std,
    of: Callable[[Tensor], tuple[Any, Any]] | None = None,
) -> list[Tensor]:
    """The right answer, and with other options the wrong ones."""
    values = [split.float() / scale for split in splits]
    result = []
    for place, x in enumerate(values):
        source = statistics(values, place)
        if of is not None:
            mean, std = of(source)
        elif axes is None:
            mean, std = source.mean(), source.std()
        else:
            mean, std = source.mean(axes, keepdim=True), source.std(axes, keepdim=True)
        result.append(change(x, mean, std))
    return result


def _judge_standardise(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_standard, **options), message)

    everything = torch.cat
    mistakes = [
        wrong("Each split is standardised by its own mean and deviation; val and test must use those of train.",
              statistics=lambda all_, place: all_[place]),
        wrong("Mean and deviation are taken over all three splits: val and test leak in. Train's alone.",
              statistics=lambda all_, _: everything(all_)),
        wrong("Mean and deviation are taken over train and val together: val leaks in. Train's alone.",
              statistics=lambda all_, _: everything(all_[:2])),
        wrong("Mean and deviation are taken over train and test together: test leaks in. Train's alone.",
              statistics=lambda all_, _: everything(all_[::2])),
        wrong("Test is standardised by its own mean and deviation; it must use those of train.",
              statistics=lambda all_, place: all_[2 * (place == 2)]),
        wrong("Val is standardised by its own mean and deviation; it must use those of train.",
              statistics=lambda all_, place: all_[1 * (place == 1)]),
        wrong("Val and test are standardised by the statistics of val; use those of train.",
              statistics=lambda all_, place: all_[1 * (place > 0)]),
        wrong("Mean and deviation are those of val; use those of train.", statistics=lambda all_, _: all_[1]),
        wrong("Mean and deviation are those of test; use those of train.", statistics=lambda all_, _: all_[2]),
        wrong("The pixels are scaled to 0 to 1 but not standardised: subtract train's mean, divide by its deviation.",
              change=lambda x, *_: x),
        wrong("The pixels are only converted to float: subtract train's mean, divide by its deviation.",
              change=lambda x, *_: 255 * x),
        wrong("The mean is subtracted, but the division by the standard deviation is missing.",
              change=lambda x, mean, _: x - mean),
        wrong("The mean is subtracted, but the division by the standard deviation is missing (and by 255).",
              change=lambda x, mean, _: 255 * (x - mean)),
        wrong("The division by the standard deviation is there, but the mean is not subtracted.",
              change=lambda x, _, std: x / std),
        wrong("That divides by the variance; divide by its root, the standard deviation.",
              change=lambda x, mean, std: (x - mean) / std**2),
        wrong("That divides by the variance of the pixels from 0 to 255; divide by its root, the deviation.",
              change=lambda x, mean, std: (x - mean) / (255 * std**2)),
        wrong("That divides by the root of the standard deviation.",
              change=lambda x, mean, std: (x - mean) / std.sqrt()),
        wrong("That multiplies by the standard deviation; divide.", change=lambda x, mean, std: (x - mean) * std),
        wrong("Brackets are missing: x - mean / std divides only the mean.",
              change=lambda x, mean, std: x - mean / std),
        wrong("Brackets are missing: x - mean / std divides only the mean.",
              change=lambda x, mean, std: 255 * x - mean / std),
        wrong("The mean is subtracted from bytes, which wrap round below 0: convert with .float() first.",
              change=lambda x, mean, std: ((255 * x).round() - (255 * mean).floor()).remainder(256) / (255 * std)),
        wrong("The mean is subtracted from bytes, which wrap round below 0: convert with .float() first.",
              change=lambda x, mean, std: ((255 * x).round() - (255 * mean).floor()).remainder(256) / 255 / std),
        wrong("The mean is added; subtract it.", change=lambda x, mean, std: (x + mean) / std),
        wrong("The sign is the other way round: x minus the mean, not the mean minus x.",
              change=lambda x, mean, std: (mean - x) / std),
        wrong("Mean and deviation are exchanged.", change=lambda x, mean, std: (x - std) / mean),
        wrong("The pixels run from 0 to 255, but mean and deviation are those of pixels from 0 to 1.",
              change=lambda x, mean, std: (255 * x - mean) / std),
        wrong("The pixels run from 0 to 1, but mean and deviation are those of pixels from 0 to 255.",
              change=lambda x, mean, std: (x - 255 * mean) / (255 * std)),
        wrong("The images are scaled twice: the statistics belong to pixels that were divided by 255 once.",
              change=lambda x, mean, std: (x / 255 - mean) / std),
        wrong("The division by 255 comes once more at the end, after standardising.",
              change=lambda x, mean, std: (x - mean) / std / 255),
        wrong("There is a mean for each pixel (mean over the images); one number for all pixels is asked for.",
              axes=(0,)),
        wrong("There is a mean for each image, which takes its own light from it; one number for all is asked for.",
              statistics=lambda all_, place: all_[place], axes=(1, 2)),
        wrong("There is a mean for each image, which takes its own light from it; one number for all is asked for.",
              statistics=lambda all_, place: all_[place], axes=(2,)),
        wrong("That scales by the least and greatest pixel; mean and standard deviation are asked for.",
              of=lambda x: (x.min(), x.max() - x.min())),
        wrong("That takes the mean of the three splits' means and deviations: val and test leak in. Train's alone.",
              statistics=lambda all_, _: torch.stack([torch.stack([x.mean(), x.std()]) for x in all_]).mean(0),
              of=lambda both: (both[0], both[1])),
        wrong("Test is scaled to 0 to 1 but not standardised.",
              statistics=lambda all_, place: all_[0] if place < 2 else torch.tensor([0.0, 1.0]),
              of=lambda x: (x.mean(), x.std()) if x.numel() > 2 else (0.0, 1.0)),
        wrong("Val is scaled to 0 to 1 but not standardised.",
              statistics=lambda all_, place: all_[0] if place != 1 else torch.tensor([0.0, 1.0]),
              of=lambda x: (x.mean(), x.std()) if x.numel() > 2 else (0.0, 1.0)),
        wrong("The mean is cut off to a whole number: keep its decimals.",
              of=lambda x: ((255 * x.mean()).floor() / 255, x.std())),
        wrong("The mean is rounded to a whole number: keep its decimals.",
              of=lambda x: ((255 * x.mean()).round() / 255, x.std())),
        wrong("That averages the deviations of single images; take the deviation over all pixels of all of them.",
              of=lambda x: (x.mean(), x.std((1, 2)).mean())),
        wrong("That averages the deviations of single pixels; take the deviation over all pixels of all images.",
              of=lambda x: (x.mean(), x.std(0).mean())),
        wrong("That is the mean distance from the mean; the standard deviation is the root of the mean square.",
              of=lambda x: (x.mean(), (x - x.mean()).abs().mean())),
        wrong("The result is cut off at 0 and 1 (clamp); standardised values lie on both sides of 0.",
              change=lambda x, mean, std: ((x - mean) / std).clamp(0, 1)),
        wrong("The result is cut off at -1 and 1 (clamp); leave it as it is.",
              change=lambda x, mean, std: ((x - mean) / std).clamp(-1, 1)),
        wrong("The pixels are scaled by 0.5 typed in, to -1 to 1; train's mean and deviation are asked for.",
              change=lambda x, mean, std: 2 * x - 1),
        wrong("The sign is lost (abs): standardised values lie on both sides of 0.",
              change=lambda x, mean, std: ((x - mean) / std).abs()),
        wrong("That uses the median; the mean is asked for.", of=lambda x: (x.median(), x.std())),
        wrong("0.5 is typed in as mean and deviation; compute them from train.", of=lambda _: (0.5, 0.5)),
        wrong("The mean and deviation of FER-2013 are typed in; compute them from the train that you are given.",
              of=lambda _: (0.5077, 0.2550)),
        wrong("The mean and deviation of ImageNet are typed in; compute them from train.",
              of=lambda _: (0.485, 0.229)),
        wrong("Only train is standardised; val and test are scaled to 0 to 1 and left so. Is train's mean taken after "
              "train was overwritten? All splits must be in the same units.", statistics=lambda all_, place: all_[0] if place == 0 else torch.tensor([0.0, 1.0]),
              of=lambda x: (x.mean(), x.std()) if x.numel() > 2 else (0.0, 1.0)),
    ]  # fmt: skip
    try:
        judge_function(
            answer, "standardise", reference=_standard,
            cases=[_split_case(1, (1.0, 1.0, 1.0)), _split_case(2, (0.5, 0.9, 1.4))],
            mistakes=mistakes, explain=_explain_standard,
        )  # fmt: skip
    except Wrong as wrong_answer:
        raise _told(wrong_answer) from wrong_answer
    return "Val and test need not have mean 0 after that, and should not: they are seen in train's units."


def _explain_standard(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    if seen[_HOW_MANY] != 3:
        return "Three splits are asked for: return train, val and test, in this order."
    for one, other in itertools.permutations(_SPLITS, 2):
        if not differs(seen[one], expected[other], rtol=2e-3, atol=2e-3):
            return f"Under {one} stands {other}: return train, val and test, in this order."
    for name in _SPLITS:
        if name not in seen:
            continue
        value = as_array(seen[name])
        if value is None or value.dtype.kind not in "biuf":
            return f"What is returned for {name} is no array of numbers; return three tensors."
        if np.isnan(value).any():
            return (
                "There is NaN: a deviation of 0, as whole-number division (// 255) or uint8 arithmetic gives, or "
                "0 divided by 0."
            )
        if value.shape != tuple(np.shape(expected[name])):
            return f"{name} changes its shape: each image stays as it is, pixel for pixel."
    values = [as_array(seen[name]) for name in _SPLITS]
    if all(v is not None and np.allclose(v, np.round(v)) for v in values):
        return "The values are whole numbers: the result must be float, and uint8 arithmetic wraps at 256."
    first = as_array(seen["train"])
    if first is not None and differs(first, expected["train"], rtol=2e-3, atol=2e-3):
        mean, std = first.mean(), first.std()
        if abs(mean) < 0.01 and abs(std - 1) < 0.01:
            return None
        return f"Train comes out with mean {mean:.3g} and deviation {std:.3g}; it should have 0 and 1."
    return "Train is right; val or test is not: they must be scaled by exactly the same two numbers."


standardise = Exercise("ch02", "standardise", _judge_standardise)


# soft_cross_entropy -----------------------------------------------------------------------------------------

_GRADIENT = "the gradient that reaches the logits"


def _soft_case(seed: int, kind: str, count: int, classes: int) -> Case:
    def make() -> tuple[Any, ...]:
        draw = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(count, classes, generator=draw)
        labels = torch.randint(0, classes, (count,), generator=draw)
        if kind == "large":
            logits[torch.arange(count), labels] += 1000
        if kind == "far":
            logits[torch.arange(count), labels] -= 200
        targets = F.one_hot(labels, classes).float()
        if kind == "shares":
            targets = (torch.randn(count, classes, generator=draw)).softmax(1)
        if kind == "smoothed":
            targets = 0.8 * targets + 0.2 / classes
        return logits.requires_grad_(), targets

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        seen: dict[str, Any] = {RESULT: result}
        if isinstance(result, Tensor) and result.numel() == 1 and result.requires_grad:
            (seen[_GRADIENT],) = torch.autograd.grad(result.sum(), arguments[0], allow_unused=True)
        return seen

    told = {
        "hot": "one-hot targets", "shares": "targets that are shares of all classes",
        "smoothed": "smoothed one-hot targets", "large": "logits near 1000, as a network may give, and one-hot targets",
        "far": "logits of the right class that are 200 below the others",
    }[kind]  # fmt: skip
    return Case(make, f"{count} images, {classes} classes, {told}", observe)


def _soft(
    logits: Tensor,
    targets: Tensor,
    *,
    log_probs: Callable[[Tensor], Tensor] = lambda z: z.log_softmax(1),
    each: Callable[[Tensor, Tensor], Tensor] = lambda log_p, t: -(t * log_p).sum(1),
    total: Callable[[Tensor], Tensor] = lambda losses: losses.mean(),
    hard: bool = False,
) -> Tensor:
    """The right answer, and with other options the wrong ones."""
    if hard:
        targets = F.one_hot(targets.argmax(1), targets.shape[1]).float()
    return total(each(log_probs(logits), targets))


class _ReadyMade(TorchFunctionMode):
    """Notes whether the loss that is to be written is called instead."""

    used = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.used = self.used or func is F.cross_entropy
        return func(*args, **(kwargs or {}))


def _judge_soft_cross_entropy(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_soft, **options), message)

    zero = (
        "The logarithm of a share that is 0 is minus infinity, and 0 times that is NaN: use log_softmax, which "
        "never rounds to 0 before the logarithm."
    )
    mistakes = [
        wrong("The losses are summed over the batch; take their mean.", total=lambda losses: losses.sum()),
        wrong("That is the mean over images and classes; sum over the classes, then take the mean over the images.",
              each=lambda log_p, t: -(t * log_p)),
        wrong("The losses are added up over classes and images; take the mean over the images.",
              each=lambda log_p, t: -(t * log_p), total=lambda losses: losses.sum()),
        wrong("That is averaged over the classes; sum over the classes, mean over the images.",
              each=lambda log_p, t: -(t * log_p).mean(1), total=lambda losses: losses.sum()),
        wrong("The minus is missing: a logarithm of a share is negative, a loss positive.",
              each=lambda log_p, t: (t * log_p).sum(1)),
        wrong("The softmax is missing: that sums the logits themselves.", log_probs=lambda z: z),
        wrong("The logarithm is missing: that sums the shares themselves.", log_probs=lambda z: z.softmax(1)),
        wrong("The logarithm of the logits is taken, without softmax.", log_probs=lambda z: z.log()),
        wrong("The softmax runs over the images (dim 0); the shares of each image should add up to 1 (dim 1).",
              log_probs=lambda z: z.log_softmax(0)),
        wrong("The softmax is applied twice: once is enough.", log_probs=lambda z: z.softmax(1).log_softmax(1)),
        wrong("The targets go through a softmax: they are shares already.",
              each=lambda log_p, t: -(t.softmax(1) * log_p).sum(1)),
        wrong("That takes a sigmoid of each logit; the shares of a softmax add up to 1.", log_probs=F.logsigmoid),
        wrong("That is a binary cross-entropy for each class; the classes exclude each other: use a softmax.",
              log_probs=lambda z: z,
              each=lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none").sum(1)),
        wrong("That is a binary cross-entropy, averaged over all classes; use a softmax, and sum over the classes.",
              log_probs=lambda z: z,
              each=lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none").mean(1)),
        wrong("That is a binary cross-entropy for each class; only the target's classes count: sum target * log share.",
              each=lambda log_p, t: -(t * log_p + (1 - t) * (1 - log_p.exp()).log()).sum(1)),
        wrong("That is a binary cross-entropy for each class; only the target's classes count: sum target * log share.",
              each=lambda log_p, t: -(t * log_p + (1 - t) * (1 - log_p.exp()).log()).mean(1)),
        wrong("That takes the greatest term instead of the sum over the classes.",
              each=lambda log_p, t: -(t * log_p).max(1).values),
        wrong("That is a matrix product, which pairs every target with every image; multiply element by element.",
              each=lambda log_p, t: -(t @ log_p.T)),
        wrong("The targets are smoothed by 0.1; take them as they are.",
              each=lambda log_p, t: -((0.9 * t + 0.1 / t.shape[1]) * log_p).sum(1)),
        wrong("That is a logarithm to base 2; the natural one is asked for.",
              log_probs=lambda z: z.log_softmax(1) / math.log(2)),
        wrong("That is a logarithm to base 10; the natural one is asked for.",
              log_probs=lambda z: z.log_softmax(1) / math.log(10)),
        wrong("Only the class with the greatest target counts there; all shares of the target should.", hard=True),
        wrong("Only the class with the greatest target counts there, times its share; all shares should.",
              each=lambda log_p, t: -(t * log_p).gather(1, t.argmax(1, keepdim=True))[:, 0]),
        wrong("That is the Kullback-Leibler divergence, which is less by the entropy of the targets.",
              each=lambda log_p, t: (torch.xlogy(t, t) - t * log_p).sum(1)),
        wrong("The two are exchanged: the logarithm is of the network's shares, not of the targets.",
              each=lambda log_p, t: -(log_p.exp() * (t + 1e-9).log()).sum(1)),
        wrong("The two are exchanged: the logarithm is of the network's shares, not of the targets.",
              each=lambda log_p, t: -(log_p.exp() * t.log()).sum(1)),
        wrong("That is the squared error of the shares; the cross-entropy is asked for.",
              each=lambda log_p, t: (log_p.exp() - t).square().sum(1)),
        wrong("That is the squared error of the shares; the cross-entropy is asked for.",
              each=lambda log_p, t: (log_p.exp() - t).square().mean(1)),
        wrong("Shares are summed before the logarithm; the logarithm comes first, then the sum weighted by targets.",
              each=lambda log_p, t: -(t * log_p.exp()).sum(1).log(), hard=False),
        wrong("That is one image's loss alone; the mean over all is asked for.", total=lambda losses: losses[0]),
        wrong("That is one image's loss alone; the mean over all is asked for.", total=lambda losses: losses[-1]),
        wrong("That is the greatest loss of the batch; take the mean.", total=lambda losses: losses.max()),
        wrong("The sum is divided by the number of classes; divide by the number of images.",
              each=lambda log_p, t: -(t * log_p).sum(1) / t.shape[1], total=lambda losses: losses.sum()),
        wrong("The sum of the exponentials runs over the whole batch; each image has its own (dim 1).",
              log_probs=lambda z: z - z.flatten().logsumexp(0)),
        wrong("The exponential is missing in the sum: log of the sum of exp(logits) is subtracted.",
              log_probs=lambda z: z - z.sum(1, keepdim=True).log()),
    ]  # fmt: skip
    ready_made = _ReadyMade()
    try:
        with ready_made:
            judge_function(
            answer, "soft_cross_entropy", reference=_soft,
            cases=[_soft_case(1, "hot", 6, 7), _soft_case(2, "shares", 5, 7), _soft_case(3, "smoothed", 7, 3),
                   _soft_case(4, "large", 4, 7), _soft_case(5, "far", 4, 7)],
            mistakes=mistakes, explain=partial(_explain_soft, zero),
        )  # fmt: skip
    except Wrong as wrong_answer:
        raise _told(wrong_answer) from wrong_answer
    if ready_made.used:
        raise Wrong(
            "The value is right, but F.cross_entropy computed it (nn.CrossEntropyLoss calls it too); the exercise is "
            "to write it: log_softmax, targets, sum, mean."
        )
    return "With one-hot targets it is what F.cross_entropy gives for the indices; yours takes any shares."


def _explain_soft(
    zero: str, seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    found = as_array(seen[RESULT])
    large = bool(arguments[0].detach().abs().max() > 100)
    if found is not None and found.size == 1 and found.dtype.kind == "f" and not np.isfinite(found).all():
        if large:
            return f"With large logits, exp overflows or a share rounds to 0. {zero}"
        return (
            f"It is not finite: a logarithm of 0 or of a negative number, such as a logit without exp? {zero}"
        )
    if found is not None and not differs(found, expected[RESULT]) and _GRADIENT not in seen:
        return (
            "The value is right, but no gradient comes back from it: return the tensor, without .item(), detach "
            "or NumPy, or a network cannot be trained with it."
        )
    if not differs(seen[RESULT], expected[RESULT]) and _GRADIENT in seen:
        return "The value is right, but its gradient is not: is a part detached?"
    if large and found is not None:
        return (
            "For small logits it is right; where a share rounds to 0 the loss is cut off (is something added to the "
            "share, or is it clamped, before the logarithm?). log_softmax needs none of it."
        )
    return None


soft_cross_entropy = Exercise("ch02", "soft_cross_entropy", _judge_soft_cross_entropy)


# start_at_prior ---------------------------------------------------------------------------------------------


class _Headed(nn.Module):
    """A small network whose last dense layer is ``head[-1]``, as in all networks of the course."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(1, 3, 3)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 5), nn.ReLU(), nn.Linear(5, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


_BIAS, _LAST, _REST = "the softmax of the last layer's bias", "the last layer's weights", "the other layers"
_LEARNS, _RUNS = "whether the bias is a parameter that learns", "whether the network still runs"


def _prior_case(seed: int, counts: list[int], weights: list[float] | None) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        given = (_Headed(len(counts)), torch.tensor(counts))
        return given if weights is None else (*given, torch.tensor(weights))

    def observe(_: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model = arguments[0]
        last = model.head[-1]
        if not isinstance(last, nn.Linear) or last.bias is None:
            return {_BIAS: "gone"}
        try:
            with torch.no_grad():
                model(torch.ones(2, 1, 6, 6))
            runs = True
        except Exception:
            runs = False
        others = [value for name, value in model.named_parameters() if not name.startswith("head.3")]
        return {
            _BIAS: last.bias.detach().double().softmax(0),
            _LAST: last.weight.detach(),
            _REST: torch.cat([value.detach().flatten() for value in others]),
            _LEARNS: isinstance(last.bias, nn.Parameter)
            and last.bias.requires_grad
            and last.weight.requires_grad,
            _RUNS: runs,
        }

    words = f"a small network, counts {counts}" + ("" if weights is None else f" and weights {weights}")
    return Case(make, words, observe, rtol=1e-3, atol=1e-6, may_change=True)


def _started(
    model: Any,
    counts: Tensor,
    weights: Tensor | None = None,
    *,
    bias_of: Callable[[Tensor, Tensor], Tensor] = lambda n, w: (n * w / (n * w).sum()).log(),
    layer: int = -1,
    add: bool = False,
    zero: bool = False,
    fill: bool = False,
    freeze: bool = False,
) -> None:
    """The right answer, and with other options the wrong ones."""
    n = counts.double()
    bias = bias_of(n, torch.ones_like(n) if weights is None else weights.double())
    last = model.head[layer]
    with torch.no_grad():
        if fill:
            last.weight.copy_(bias[:, None].expand_as(last.weight))
        else:
            last.bias.copy_(bias + last.bias if add else bias)
        if zero:
            last.weight.zero_()
    if freeze:
        last.bias.requires_grad_(False)


def _judge_start_at_prior(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_started, **options), message)

    def bias(message: str, bias_of: Callable[[Tensor, Tensor], Tensor]) -> Mistake:
        return wrong(message, bias_of=bias_of)

    logits = "Softmax takes logits: the logarithm of the shares."
    mistakes = [
        bias("The weights are not used: with them the best constant answer has shares counts * weights.",
             lambda n, w: n.log()),
        bias(f"The bias holds the shares themselves. {logits}", lambda n, w: n * w / (n * w).sum()),
        bias(f"The bias holds the shares without their weights, and no logarithm. {logits}", lambda n, w: n / n.sum()),
        bias(f"The bias holds the counts, or their log_softmax. {logits}", lambda n, w: n),
        bias(f"The bias holds counts times weights, or their log_softmax. {logits}", lambda n, w: n * w),
        bias("The sign is the other way round: rare classes come out as likely.", lambda n, w: -(n * w).log()),
        bias("The counts are divided by the weights; multiply: a weight of 2 makes an image count twice.",
             lambda n, w: (n / w).log()),
        bias("The weights are added to the logarithm; multiply the counts by them before it.",
             lambda n, w: (n / n.sum()).log() + w),
        bias("The logarithm of the shares is multiplied by the weights; multiply the counts by them before it.",
             lambda n, w: (n / n.sum()).log() * w),
        bias("The weights are added to the counts; multiply.", lambda n, w: (n + w).log()),
        bias("The weights are squared: each counts once.", lambda n, w: (n * w**2).log()),
        bias("The root of the weights is taken; multiply by the weights themselves.", lambda n, w: (n * w**0.5).log()),
        bias("That is the logarithm of the weights alone: the counts are missing.", lambda n, w: w.log()),
        bias("That is a logarithm to base 10; softmax undoes the natural one, torch.log.",
             lambda n, w: (n * w).log10()),
        bias("That is a logarithm to base 2; softmax undoes the natural one, torch.log.", lambda n, w: (n * w).log2()),
        bias("That is log(1 + ...): without the one, else the shares come out wrong.",
             lambda n, w: (n * w / (n * w).sum()).log1p()),
        bias("That is log(1 + counts): without the one, else the shares come out wrong.",
             lambda n, w: (n * w).log1p()),
        bias("Those are logits of each class against the rest, log(p / (1 - p)), for a sigmoid; softmax undoes log(p).",
             lambda n, w: (n * w / (n * w).sum()).logit()),
        bias("The bias is one over the shares, as class weights are; the logarithm of the shares is asked for.",
             lambda n, w: n.sum() / n),
        bias("The bias holds inverse frequencies of mean one, as class weights do; the logarithm of the shares is asked for.",
             lambda n, w: n.sum() / (len(n) * n)),
        bias("The softmax is taken of the logarithm, which gives the shares back: leave it out.",
             lambda n, w: (n * w).log().softmax(0)),
        bias("That is the root of the shares; their logarithm is asked for.",
             lambda n, w: (n * w / (n * w).sum()).sqrt()),
        bias("Those are products p log p, as in the entropy: the logarithm alone.",
             lambda n, w: (lambda p: p * p.log())(n * w / (n * w).sum())),
        bias("That is the logarithm of one minus the shares.", lambda n, w: (1 - n * w / (n * w).sum()).log()),
        bias("All classes get the same bias: the counts are not used.", lambda n, w: torch.zeros_like(n)),
        bias("The log_softmax of the counts themselves is as unequal as e to the counts: take their logarithm.",
             lambda n, w: n.log_softmax(0)),
        wrong("The prior is added to the bias that was there; set it instead.", add=True),
        wrong("The weights of the last layer are set to zero as well: then no gradient reaches the layers before it. "
              "Only the bias is to be changed.", zero=True),
        wrong("The shares are written into the weights; they belong into the bias.", fill=True),
        wrong("The bias no longer learns (requires_grad is off): the prior is where it starts, not where it stays.",
              freeze=True),
    ]  # fmt: skip
    try:
        judge_function(
            answer, "start_at_prior", reference=_started,
            cases=[_prior_case(1, [400, 44, 410, 722, 483, 317, 497], None),
                   _prior_case(2, [400, 44, 410, 722, 483, 317, 497], [1.0, 5.0, 1.0, 0.5, 0.8, 1.2, 0.8]),
                   _prior_case(3, [10, 30, 60], [6.0, 2.0, 1.0])],
            mistakes=mistakes, explain=_explain_prior,
        )  # fmt: skip
    except Wrong as wrong_answer:
        raise _told(wrong_answer) from wrong_answer
    return "With weights of inverse frequency the shares come out equal: the bias that fits paper 1's own loss is zero."


def _explain_prior(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    last = arguments[0].head[-1]
    if isinstance(seen[_BIAS], str):
        return "The last layer no longer has a bias, or is no dense layer: set its bias and leave the rest."
    if not differs(seen[_BIAS], last.bias.detach().double().softmax(0), rtol=1e-3):
        if differs(seen[_LAST], expected[_LAST]):
            return "The bias is as it was, and the weights of the last layer have changed: it should be the other way."
        if differs(seen[_REST], expected[_REST]):
            return "The bias of the last layer is as it was; another layer has changed. The last one is model.head[-1]."
        return (
            "The bias of the last layer is as it was: change model.head[-1].bias in place, under torch.no_grad(), "
            "in the model that is given and not in a copy."
        )
    if differs(seen[_BIAS], expected[_BIAS], rtol=1e-3):
        if torch.isnan(torch.as_tensor(seen[_BIAS])).any():
            return "The bias holds NaN or infinite values: the logarithm of 0 or of a negative number?"
        found, shares = torch.as_tensor(seen[_BIAS]).log(), torch.as_tensor(expected[_BIAS])
        if found.shape == shares.shape and torch.isfinite(found).all():
            found, shares = found - found.mean(), shares - shares.mean()
            slope = (found @ shares / (shares @ shares)).item()
            if slope > 0 and torch.allclose(found, slope * shares, atol=1e-4 * slope):
                return "The bias grows in proportion to the shares: the logarithm is missing, which softmax undoes."
        return None
    if differs(seen[_LAST], expected[_LAST]):
        return (
            "The bias is right, but the weights of the last layer have changed: only the bias is to be set, in the "
            "layer that is there."
        )
    if differs(seen[_REST], expected[_REST]):
        return "The bias is right, but other layers have changed as well: leave them as they are."
    if not seen[_LEARNS]:
        return "The bias no longer learns: it should stay an nn.Parameter that requires a gradient."
    if not seen[_RUNS]:
        return "The bias is right, but the network no longer runs: is the bias of another dtype than the weights?"
    return None


start_at_prior = Exercise("ch02", "start_at_prior", _judge_start_at_prior)


# weighted_step ----------------------------------------------------------------------------------------------

_AFTER = "the weights after the step"


def _step_case(seed: int, counts: list[int], batch: int, lr: float) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        classes = len(counts)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, classes))
        images, labels = torch.randn(batch, 1, 4, 4), torch.randint(0, classes, (batch,))
        F.cross_entropy(model(images.flip(0)), labels).backward()  # gradients that must not stay
        return model, images, labels, torch.tensor(counts), lr

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model = arguments[0]
        return {
            _AFTER: torch.cat([value.detach().flatten() for value in model.parameters()]),
            RESULT: result,
        }

    words = f"{batch} images, counts {counts}, lr {lr}"
    return Case(make, words, observe, rtol=1e-3, atol=1e-5, may_change=True)


def _weighted(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    counts: Tensor,
    lr: float,
    *,
    weight_of: Callable[[Tensor], Tensor] = lambda n: 1 / n,
    by_batch: bool = False,
    total: Callable[[Tensor, Tensor], Tensor] = lambda losses, w: (w * losses).sum() / w.sum(),
    clear: bool = True,
    softmax: bool = False,
    sign: bool = False,
    on_logits: bool = False,
    bare: bool = False,
    smoothing: float = 0.0,
    rate: Callable[[float], float] = lambda lr: lr,
    only: Callable[[str], bool] = lambda name: True,
    gives: str = "loss",
) -> Any:
    """The right step, and with other options the wrong ones."""
    if clear:
        model.zero_grad()
    n = counts.double()
    if by_batch:
        n = torch.bincount(labels, minlength=len(counts)).clamp(min=1).double()
    weights = weight_of(n).float()

    def loss_now() -> Tensor:
        logits = model(images)
        if bare:
            losses = F.nll_loss(logits, labels, reduction="none")
        elif on_logits:
            return F.cross_entropy(logits * weights, labels)
        elif smoothing:
            return F.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
        else:
            losses = F.cross_entropy(logits.softmax(1) if softmax else logits, labels, reduction="none")
        return total(losses, weights[labels])

    loss = loss_now()
    loss.backward()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if only(name) and value.grad is not None:
                value.sub_(rate(lr) * (value.grad.sign() if sign else value.grad))
    plain = F.cross_entropy(model(images), labels)
    return {
        "loss": loss.item(), "after": loss_now().item(), "plain": plain.item(), "nothing": None,
        "sum": loss.item() * len(images), "share": loss.item() / len(images),
    }[gives]  # fmt: skip


def _judge_weighted_step(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_weighted, **options), message)

    def mean(n: Tensor) -> Tensor:
        return n.sum() / (len(n) * n)

    def by_images(losses: Tensor, w: Tensor) -> Tensor:
        return (w * losses).mean()

    scale = (
        "The weighted losses are divided by the number of images; divide by the sum of their weights, as "
        "F.cross_entropy(..., weight=...) does, so that the scale of the weights does not matter."
    )
    single: list[tuple[str, dict[str, Any]]] = [
        ("The losses are not weighted: F.cross_entropy(logits, labels, weight=...) or by hand.",
         {"weight_of": torch.ones_like}),
        ("The weights are the counts: frequent classes then count even more. Their inverse is asked for.",
         {"weight_of": lambda n: n}),
        ("The weights are counted in this batch; use the counts of the training set that are given.",
         {"by_batch": True}),
        ("The weights are one over the root of the counts; one over the counts is asked for.",
         {"weight_of": lambda n: n**-0.5}),
        ("The weights are one over the squared counts; one over the counts is asked for.",
         {"weight_of": lambda n: n**-2}),
        ("The weights are one minus the share of each class; one over it is asked for.",
         {"weight_of": lambda n: 1 - n / n.sum()}),
        ("The weights are minus the logarithm of the shares; one over the shares is asked for.",
         {"weight_of": lambda n: -(n / n.sum()).log()}),
        ("The weights are one over the logarithm of the counts; one over the counts is asked for.",
         {"weight_of": lambda n: 1 / n.log()}),
        ("The weights are the logarithm of the counts; one over the counts is asked for.",
         {"weight_of": lambda n: n.log()}),
        ("The weights are one over the logarithm of 1 + the counts.", {"weight_of": lambda n: 1 / n.log1p()}),
        ("The weights are cut off to whole numbers (//): divide with / instead.", {"weight_of": lambda n: n.sum() // n}),
        ("The weights are cut off to whole numbers (//): divide with / instead.",
         {"weight_of": lambda n: n.sum() // (len(n) * n)}),
        ("The weights are cut off to whole numbers (//): divide with / instead.", {"weight_of": lambda n: n.max() // n}),
        ("The weights go through a softmax; one over the counts is asked for.",
         {"weight_of": lambda n: mean(n).softmax(0)}),
        ("The weights are those of one over 1 + the count.", {"weight_of": lambda n: 1 / (n + 1)}),
        ("The weights are in reverse order: each must stand at its own class.", {"weight_of": lambda n: 1 / n.flip(0)}),
        (scale, {"weight_of": mean, "total": by_images}),
        (scale, {"weight_of": lambda n: 1 / n, "total": by_images}),
        (scale, {"weight_of": lambda n: n.sum() / n, "total": by_images}),
        (scale, {"weight_of": lambda n: n.max() / n, "total": by_images}),
        (scale, {"weight_of": lambda n: n.min() / n, "total": by_images}),
        (scale, {"weight_of": lambda n: (1 / n) / (1 / n).sum(), "total": by_images}),
        (scale, {"weight_of": lambda n: len(n) * (1 / n) / (1 / n).sum(), "total": by_images}),
        ("The weighted losses are summed; divide by the sum of their weights.",
         {"weight_of": mean, "total": lambda losses, w: (w * losses).sum()}),
        ("The weighted losses are summed; divide by the sum of their weights.",
         {"total": lambda losses, w: (w * losses).sum()}),
        ("The mean loss is multiplied by the mean weight; each image's loss has a weight of its own.",
         {"weight_of": mean, "total": lambda losses, w: losses.mean() * w.mean()}),
        ("The losses are divided by their weights; multiply.", {"total": lambda losses, w: (losses / w).sum() / (1 / w).sum()}),
        ("The gradients of an earlier batch are still there and are added to: model.zero_grad() before backward.",
         {"clear": False}),
        ("There is a softmax before cross_entropy, which applies its own: give it the logits.", {"softmax": True}),
        ("The step goes up the slope: subtract lr times the gradient.", {"rate": lambda lr: -lr}),
        ("The learning rate is not used: subtract lr times the gradient.", {"rate": lambda lr: 1.0}),
        ("The gradient is divided by lr; multiply.", {"rate": lambda lr: 1 / lr}),
        ("Nothing moves: the step is missing, works on copies (value = value - ... makes a new tensor; value -= ... changes "
         "it in place), or zero_grad comes between backward and step, which then has nothing to go by.",
         {"rate": lambda lr: 0.0}),
        ("Every weight moves by lr, whatever the size of its gradient, as a sign or Adam's first step does; plain "
         "gradient descent subtracts lr times the gradient.", {"sign": True}),
        ("The weights of the classes multiply the logits; they multiply the losses.", {"on_logits": True}),
        ("The weights of the classes multiply the logits; they multiply the losses.",
         {"on_logits": True, "weight_of": mean}),
        ("The weights of the classes multiply the logits; they multiply the losses.",
         {"on_logits": True, "weight_of": lambda n: n.sum() / n}),
        ("log_softmax is missing: F.nll_loss takes logarithms of shares; F.cross_entropy takes logits.", {"bare": True}),
        ("The targets are smoothed; take the labels as they are.", {"smoothing": 0.1}),
        ("Only weights move; biases are parameters too.", {"only": lambda name: "weight" in name}),
        ("Only biases move; all parameters should.", {"only": lambda name: "bias" in name}),
        ("Only the last layer moves; all parameters should.", {"only": lambda name: name.startswith("3")}),
        ("The step is taken twice as far: are there two steps, or two backward passes?", {"rate": lambda lr: 2 * lr}),
    ]  # fmt: skip
    returns = {
        "after": "The step is right; what it returns is the loss after it. Return the loss that the step was made from.",
        "plain": "The step is right; what it returns is the loss without weights after it.",
        "sum": "The step is right; the returned loss is multiplied by the number of images.",
        "share": "The step is right; the returned loss is divided by the number of images once more.",
    }
    try:
        judge_function(
            answer, "weighted_step", reference=_weighted,
            cases=[_step_case(1, [400, 44, 410, 722], 12, 0.5), _step_case(2, [9, 30, 3, 60, 20, 25, 7], 20, 0.1)],
            mistakes=[*(wrong(text, **options) for text, options in single),
                      *(wrong(text, gives=kind) for kind, text in returns.items()),
                      *(wrong(f"{one} And {other[0].lower()}{other[1:]}", **a, **b)
                        for (one, a), (other, b) in itertools.combinations(single, 2) if ({"clear", "softmax"} & (a.keys() | b.keys())) and not a.keys() & b.keys())],
            explain=_explain_step,
        )  # fmt: skip
    except Wrong as wrong_answer:
        raise _told(wrong_answer) from wrong_answer
    return "Every class now pulls as hard as every other, however few images it has."


def _explain_step(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    if differs(seen[_AFTER], expected[_AFTER], rtol=1e-3, atol=1e-5):
        before = torch.cat([value.detach().flatten() for value in arguments[0].parameters()])
        if not differs(seen[_AFTER], before, rtol=1e-6):
            return (
                "The weights are as they were. A step needs loss.backward(), and then, under torch.no_grad(), for "
                "each parameter: value -= lr * value.grad, which changes it in place (value = value - ... does not)."
            )
        extra = seen[_AFTER] - expected[_AFTER]
        decay = extra @ before / (before @ before)
        if decay < 0 and torch.allclose(extra, decay * before, rtol=0, atol=1e-5):
            return "All weights shrink besides: plain gradient descent has no weight decay."
        return _direction(seen[_AFTER] - before, expected[_AFTER] - before, arguments)
    if seen[RESULT] is None:
        return "The step is right; the loss is not returned: return loss.item()."
    if isinstance(seen[RESULT], (list, tuple)):
        return "The step is right; return the loss alone, as a number."
    weights = (1 / arguments[3].double()).float()
    if not differs(
        seen[RESULT], F.cross_entropy(arguments[0](arguments[1]), arguments[2]).detach(), rtol=1e-3
    ):
        return "The step is right; the returned loss is the one without weights."
    losses = F.cross_entropy(arguments[0](arguments[1]), arguments[2], reduction="none").detach()
    if not differs(seen[RESULT], weights[arguments[2]] * losses, rtol=1e-3):
        return "The step is right; it returns a loss for each image: return the weighted mean."
    return "The step is right; what it returns is not the weighted loss that the step was made from."


def _direction(found: Tensor, expected: Tensor, arguments: tuple[Any, ...]) -> str | None:
    """Say whether a step is right but for its length, or is that of another loss."""

    def along(other: Tensor) -> float | None:
        scale = (found @ other / (other @ other)).item()
        return (
            scale
            if torch.allclose(found, scale * other, rtol=1e-2, atol=1e-3 * found.abs().max().item())
            else None
        )

    if (scale := along(expected)) is not None:
        return (
            f"The step goes the right way, but is {scale:.3g} times as long as it should: divide the weighted sum of the "
            "losses by the sum of their weights (F.cross_entropy(..., weight=...) does), and use lr once."
        )
    model, images, labels = arguments[:3]
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    plain = torch.cat([value.grad.flatten() for value in model.parameters()])
    if along(plain) is not None:
        return "The step goes along the gradient of the loss without weights: each image's loss needs its own weight."
    return None


weighted_step = Exercise("ch02", "weighted_step", _judge_weighted_step)


# forward_matrix ---------------------------------------------------------------------------------------------

Matrix = np.ndarray


def _shifted(right: float, down: float) -> Matrix:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def _turned(degrees: float, *, radians: bool = False, sense: int = 1) -> Matrix:
    angle = sense * (degrees if radians else math.radians(degrees))
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]])


def _placed(
    size: int,
    flip: bool,
    degrees: float,
    right: float,
    down: float,
    *,
    centre: Callable[[int], float] = lambda size: (size - 1) / 2,
    order: str = "frt",
    sense: int = 1,
    radians: bool = False,
    mirror: tuple[float, float] = (-1, 1),
    flips: Callable[[bool], bool] = lambda flip: flip,
    shift: Callable[[float, float], tuple[float, float]] = lambda right, down: (right, down),
    centred: str = "fr",
    moves: int = 1,
    end: Callable[[Matrix], Matrix] = lambda m: m,
) -> Matrix:
    """The right answer, and with other options the wrong ones."""
    middle = centre(size)
    there, back = _shifted(-middle, -middle), _shifted(middle, middle)
    parts = {
        "f": np.diag([*mirror, 1.0]) if flips(flip) else np.eye(3),
        "r": _turned(degrees, radians=radians, sense=sense),
        "t": _shifted(*shift(right, down)),
    }
    matrix = np.eye(3)
    for name in order:  # the first is applied first
        part = parts[name]
        if name in centred:
            part = back @ part @ there if moves > 0 else there @ part @ back
        matrix = part @ matrix
    return end(matrix)


def _half_placed(size: int, flip: bool, degrees: float, right: float, down: float, *, what: str) -> Matrix:
    """Return the matrix with a part of the work left out or done in another way."""
    middle = (size - 1) / 2
    there, back = _shifted(-middle, -middle), _shifted(middle, middle)
    turn, move = _turned(degrees), _shifted(right, down)
    mirror = np.diag([-1.0 if flip else 1.0, 1.0, 1.0])
    if what == "not back":
        return move @ turn @ mirror @ there
    if what == "not there":
        return move @ back @ turn @ mirror
    if what == "by element":
        return move * back * turn * mirror * there
    if what == "units":
        return _shifted(2 * right / size, 2 * down / size) @ turn @ mirror
    aside = np.array([[-1.0, 0, size], [0, 1, 0], [0, 0, 1]]) if flip else np.eye(3)
    return move @ back @ turn @ there @ aside


def _judge_forward_matrix(answer: Any) -> str:
    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_placed, **options), message)

    single: list[tuple[str, dict[str, Any]]] = [
        ("That turns clockwise. With y downwards, anticlockwise is [[cos, sin], [-sin, cos]].", {"sense": -1}),
        ("The degrees are used as radians: math.radians(degrees).", {"radians": True}),
        ("That turns and mirrors about the corner, pixel (0, 0): move the centre there first, and back after.",
         {"centre": lambda size: 0.0}),
        ("The centre is taken at size / 2. Pixel centres run from 0 to size - 1, so it is (size - 1) / 2.",
         {"centre": lambda size: size / 2}),
        ("The centre is rounded down to a whole pixel: (size - 1) / 2, with its half.",
         {"centre": lambda size: float((size - 1) // 2)}),
        ("The centre is taken at size // 2. Pixel centres run from 0 to size - 1, so it is (size - 1) / 2, with its half.",
         {"centre": lambda size: float(size // 2)}),
        ("The centre is taken at size - 1, the last pixel: half of that.", {"centre": lambda size: size - 1.0}),
        ("The move to the centre and back is the other way round: first minus the centre, last plus the centre.",
         {"moves": -1}),
        ("It is turned first and mirrored then; mirror first. The matrix of what comes first stands on the right.",
         {"order": "rft"}),
        ("It is moved first and turned then: move last. The matrix of what comes last stands on the left.",
         {"order": "tfr"}),
        ("The order is reversed: the matrix of what comes first stands on the right of the product.",
         {"order": "trf"}),
        ("It is moved before it is turned: move last. The matrix of what comes last stands on the left.",
         {"order": "ftr"}),
        ("It is moved before it is mirrored: move last. The matrix of what comes last stands on the left.",
         {"order": "rtf"}),
        ("That mirrors top and bottom; left and right change places, so x gets the minus.", {"mirror": (1, -1)}),
        ("That mirrors both axes, which is a turn by 180 degrees; only x gets the minus.", {"mirror": (-1, -1)}),
        ("The mirroring is missing, or has no effect.", {"flips": lambda flip: False}),
        ("It is mirrored when flip is False as well.", {"flips": lambda flip: True}),
        ("It is mirrored when flip is False, and not when it is True.", {"flips": lambda flip: not flip}),
        ("Right and down are exchanged: right belongs to x, the first row.", {"shift": lambda r, d: (d, r)}),
        ("That moves left and up: the signs of the shift are those of the inverse.", {"shift": lambda r, d: (-r, -d)}),
        ("That moves up instead of down: y grows downwards.", {"shift": lambda r, d: (r, -d)}),
        ("That moves left instead of right: x grows to the right.", {"shift": lambda r, d: (-r, d)}),
        ("The shift is missing.", {"shift": lambda r, d: (0.0, 0.0)}),
        ("The shift is in the units of grid_sample, from -1 to 1; pixels are asked for.", {"shift": lambda r, d: (r / 24, d / 24)}),
        ("The turn is missing.", {"sense": 0}),
        ("It is turned about the centre, but mirrored about the corner: both about the centre.", {"centred": "r"}),
        ("It is mirrored about the centre, but turned about the corner: both about the centre.", {"centred": "f"}),
        ("That is the inverse, from the output to the input, as grid_sample wants it; the way forward is asked for.",
         {"end": lambda m: np.linalg.inv(m)}),
        ("Rows and columns are exchanged (transposed): the shift belongs in the last column.", {"end": lambda m: m.T}),
        ("The last row, 0 0 1, is missing: without it matrices cannot be multiplied into one.", {"end": lambda m: m[:2]}),
        ("The shift is left out of the matrix: it needs the third column.", {"end": lambda m: m[:2, :2]}),
        ("It has four rows and columns, or more: for places in a plane, (x, y, 1), it has three.",
         {"end": lambda m: np.pad(m, ((0, 1), (0, 1)))}),
    ]  # fmt: skip
    parts = [
        ("The centre is moved to (0, 0), but never back: after mirroring and turning, move it back.", "not back"),
        ("The centre is moved away at the end, but was never moved to (0, 0) before.", "not there"),
        ("* multiplies matrices element by element; their product is @.", "by element"),
        ("That is in the units of grid_sample, from -1 to 1 about the centre; pixels from the corner are asked for.",
         "units"),
        ("Mirrored, the pixel at x comes to size - 1 - x, not to size - x: the last pixel is number size - 1.",
         "aside"),
    ]  # fmt: skip
    cases = [
        (48, False, 0.0, 3.0, -5.0), (48, True, 0.0, 0.0, 0.0), (48, False, 30.0, 0.0, 0.0),
        (7, True, 20.0, 4.0, -2.5), (48, True, -115.0, 1.5, 6.0), (20, False, 75.0, -3.0, 8.0),
    ]  # fmt: skip
    both = [
        wrong(f"{one} And: {other[0].lower()}{other[1:]}", **a, **b)
        for (one, a), (other, b) in itertools.combinations(single, 2)
        if not a.keys() & b.keys()
    ]
    try:
        judge_function(
            answer, "forward_matrix", reference=_placed,
            cases=[_matrix_case(*case) for case in cases],
            mistakes=[*(wrong(text, **options) for text, options in single),
                      *(Mistake(partial(_half_placed, what=what), text) for text, what in parts), *both],
            explain=_explain_matrix,
        )  # fmt: skip
    except Wrong as wrong_answer:
        raise _told(wrong_answer) from wrong_answer
    return "Five steps, one matrix: the picture has to be sampled only once."


def _matrix_case(size: int, flip: bool, degrees: float, right: float, down: float) -> Case:
    words = f"size={size}, flip={flip}, degrees={degrees:g}, right={right:g}, down={down:g}"
    return Case(lambda: (size, flip, degrees, right, down), words, rtol=1e-3, atol=2e-4)


def _explain_matrix(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    found, right = as_array(seen[RESULT]), as_array(expected[RESULT])
    if found is None or right is None or found.dtype.kind not in "biuf":
        return None
    if found.shape == (1, 3, 3):
        return "It is a batch of one matrix, (1, 3, 3); return the matrix, (3, 3)."
    if found.shape != (3, 3):
        return None
    if np.allclose(found, np.round(found)) and not np.allclose(right, np.round(right)):
        return "The matrix holds whole numbers: make it of floats, or sine and cosine are cut off."
    if np.allclose(found[:2, :2], right[:2, :2], atol=1e-3):
        return (
            "The turn and the mirroring are right, but the last column is not: what becomes of the centre, (size - 1) "
            "/ 2 in x and y? It should end up moved by (right, down), and nothing else."
        )
    if np.allclose(found[:2, 2], right[:2, 2], atol=1e-3):
        return "The last column is right; the upper left 2 by 2, turn and mirroring, is not."
    return None


forward_matrix = Exercise("ch02", "forward_matrix", _judge_forward_matrix)


# RandomErase ------------------------------------------------------------------------------------------------

_NAME = "RandomErase"


def _judge_random_erase(answer: Any) -> str:
    for probability, side, shape in ((0.5, 3, (600, 2, 7, 9)), (0.8, 2, (600, 1, 8, 5))):
        trial = Trial((probability, side), shape)
        try:
            module = build_answer(answer, _NAME, trial)
            x = 0.5 + torch.rand(shape, generator=torch.Generator().manual_seed(side))
            _erase_off(module, x, trial)
            _erase_on(module, x, probability, side, trial)
        except Wrong as wrong_answer:
            raise _told(wrong_answer) from wrong_answer
    trial = Trial((1.0, 3), (4, 1, 3, 3))
    try:
        out = forward(build_answer(answer, _NAME, trial).train(), torch.ones(4, 1, 3, 3), _NAME, trial)
    except Wrong as wrong_answer:
        raise _told(wrong_answer) from wrong_answer
    if out.shape != (4, 1, 3, 3) or out.abs().sum() > 0:
        raise Wrong(f"{_NAME}(1.0, 3) should erase the whole of an image of 3 by 3 pixels, always.")
    return "A module like any other: model.eval() switches it off, and nobody can forget to."


def _erase_off(module: nn.Module, x: Tensor, trial: Trial) -> None:
    """Raise `Wrong` unless evaluation leaves the images alone."""
    module.eval()
    out = forward(module, x, _NAME, trial).detach()
    if out.shape != x.shape:
        raise Wrong(
            f"{_NAME}{trial.words} gives shape {tuple(out.shape)} for images of shape {tuple(x.shape)}; the shape "
            "should stay."
        )
    if differs(out, x):
        if bool(((out == 0) | (out == x)).all()):
            raise Wrong(
                f"{_NAME}{trial.words} erases in evaluation mode too: the images that a network is measured on "
                "stay as they are (if not self.training: return x)."
            )
        raise Wrong(f"In evaluation mode {_NAME}{trial.words} should return x as it is: {differs(out, x)}.")


def _erase_on(module: nn.Module, x: Tensor, probability: float, side: int, trial: Trial) -> None:
    """Raise `Wrong` unless training erases one square in the right share of the images."""
    told = f"{_NAME}{trial.words}, in training, given {len(x)} images of {x.shape[2]} by {x.shape[3]} pixels,"
    module.train()
    out = forward(module, x, _NAME, trial).detach()
    if out.shape != x.shape:
        lost = " Are the images that are spared left out?" if out.shape[1:] == x.shape[1:] else ""
        raise Wrong(f"{told} gives shape {tuple(out.shape)}; expected {tuple(x.shape)}.{lost}")
    gone = out != x
    _erased_values(out, x, gone, told)
    masks = gone.any(1)
    if not torch.equal(gone.all(1), masks):
        raise Wrong(
            f"{told} erases other places in one channel than in another: a square goes through all channels, x[i, :, top : top + side, left : left + side]."
        )
    hit = masks.flatten(1).any(1)
    share = hit.double().mean().item()
    boxes: list[Any] = [_box(mask) for mask in masks[hit]]
    with torch.no_grad():
        masks_again = [(module(x) != x).any(1).flatten(1).any(1) for _ in range(12)]
    shares = {round(one.double().mean().item(), 6) for one in masks_again}
    if probability < 1 and shares == {0.0, 1.0}:
        raise Wrong(
            f"{told} erases in all of them or in none: draw a lot for each image, not one for the batch."
        )
    if not boxes:
        raise Wrong(
            f"{told} erases nothing: is the lot drawn the right way, torch.rand(...) < probability, and is what is "
            "erased also what is returned?"
        )
    if len(boxes) == 1:
        raise Wrong(f"{told} changes a single one of them: does a return stand inside the loop?")
    _erased_shape(boxes, masks[hit], side, x, told)
    if 0 < share < 1 and all(torch.equal(one, hit) for one in masks_again):
        raise Wrong(
            f"{told} erases in the same images each time: draw a lot for each image anew, without a fixed seed, torch.rand(()) < probability."
        )
    if share == 1 and probability < 1:
        raise Wrong(f"{told} erases in every image; expected about {probability:.0%} of them.")
    again = forward(module, x, _NAME, trial).detach()
    if torch.equal(again, out):
        raise Wrong(f"{told} erases the same squares each time: draw lots and places anew in every forward.")
    places = {box[:2] for box in boxes}
    if len(places) == 1:
        where = (
            "draw a place for each image"
            if {box[:2] for box in map(_box, (again != x).any(1)) if box} != places
            else "draw it at random, for each image"
        )
        raise Wrong(f"{told} erases the same place in all of them: {where}.")
    slack = 4.5 * (probability * (1 - probability) / len(x)) ** 0.5
    if abs(share - probability) > slack:
        if abs(share - (1 - probability)) <= slack:
            raise Wrong(
                f"{told} erases in {share:.0%} of them: {probability} is the probability of erasing, not of sparing."
            )
        raise Wrong(
            f"{told} erases in {share:.0%} of them; expected about {probability:.0%}, a lot for each image."
        )
    _erased_places(places, side, x, told)


def _erased_values(out: Tensor, x: Tensor, gone: Tensor, told: str) -> None:
    """Raise `Wrong` where a pixel is neither what it was nor zero."""
    if not bool((out[gone] != 0).any()):
        return
    if torch.isnan(out).any():
        raise Wrong(f"{told} gives NaN; an erased pixel is 0, all others are as they were.")
    ratio = out[gone] / x[gone]
    if ratio.numel() and bool((ratio == 0).logical_or((ratio - ratio.max()).abs() < 1e-4).all()):
        raise Wrong(
            f"{told} scales what is left by {ratio.max():.3g}, as dropout does; erasing leaves the other pixels alone."
        )
    values = out[gone].unique()
    if len(values) == 1:
        raise Wrong(f"{told} sets erased pixels to {values.item():.3g}; 0 is asked for.")
    if not bool((out == x).flatten(1).any(1).any()):
        raise Wrong(f"{told} changes every pixel; all but those of one square stay as they were.")
    if not differs(out.flatten(1).sum(1), x.flatten(1).sum(1)):
        raise Wrong(f"{told} moves pixels or images about; all but those of one square stay as they were.")
    raise Wrong(f"{told} sets erased pixels to other values; 0 is asked for, and the rest as it was.")


def _box(mask: Tensor) -> tuple[int, int, int, int] | None:
    """Return top, left, height and width of what is erased."""
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def _erased_shape(boxes: list[Any], masks: Tensor, side: int, x: Tensor, told: str) -> None:
    """Raise `Wrong` unless each erased image lacks one full square."""
    height, width = x.shape[2:]
    pixels = masks.flatten(1).sum(1)
    full = all(int(count) == box[2] * box[3] for count, box in zip(pixels, boxes, strict=True))
    if not full:
        one = int(pixels[0])
        if int(pixels.max()) == int(pixels.min()) == height * width - side * side:
            raise Wrong(f"{told} keeps the square and erases all the rest: it should be the other way round.")
        raise Wrong(
            f"{told} does not erase a square: in the first image that it hits, {one} pixels are gone, scattered over "
            f"{boxes[0][2]} by {boxes[0][3]}. One square of {side} by {side} is asked for, not single pixels or several "
            "squares."
        )
    sizes = {box[2:] for box in boxes}
    if sizes == {(side, side)}:
        return
    if sizes == {(height, width)}:
        raise Wrong(
            f"{told} erases whole images, or the squares of all images in each (x[:, ...] writes into every image); one square of {side} by {side} pixels is asked for."
        )
    if all(box[2] == height for box in boxes) or all(box[3] == width for box in boxes):
        raise Wrong(
            f"{told} erases a whole band; slice rows and columns: x[i, :, top:top + side, left:left + side]."
        )
    greatest = max(sizes)
    if (side, side) in sizes and greatest == (side, side):
        raise Wrong(
            f"{told} erases squares that are cut off at the edge, such as {min(sizes)[0]} by {min(sizes)[1]}: draw top "
            f"from 0 to H - side and left from 0 to W - side, so that the whole square fits (H is the number of rows, "
            "which come first in x[i, :, rows, columns])."
        )
    if len(sizes) == 1:
        raise Wrong(f"{told} erases {greatest[0]} by {greatest[1]} pixels; expected {side} by {side}.")
    raise Wrong(
        f"{told} erases boxes of different sizes, such as {min(sizes)} and {greatest}; expected {side} by {side} in each."
    )


def _erased_places(places: set[Any], side: int, x: Tensor, told: str) -> None:
    """Raise `Wrong` unless squares are found everywhere where they fit."""
    height, width = x.shape[2:]
    tops, lefts = {top for top, _ in places}, {left for _, left in places}
    rows, columns = set(range(height - side + 1)), set(range(width - side + 1))
    for name, found, wanted, letter in (("top", tops, rows, "H"), ("left", lefts, columns, "W")):
        if found == wanted:
            continue
        if found == wanted - {max(wanted)}:
            raise Wrong(
                f"{told} never erases at the far edge: {name} goes up to {max(found)}, and {max(wanted)} fits too. "
                f"torch.randint(0, n) never draws n: use {letter} - side + 1."
            )
        if len(found) == 1:
            raise Wrong(f"{told} erases at {name} = {min(found)} only; draw it anew for each image.")
        raise Wrong(
            f"{told} erases at {name} from {min(found)} to {max(found)}; expected all from 0 to {max(wanted)}: each "
            "place where the square fits is equally likely."
        )
    if len(places) < 0.8 * len(rows) * len(columns):
        raise Wrong(f"{told} erases on a diagonal only: top and left are two lots, not one.")


RandomErase = Exercise("ch02", _NAME, _judge_random_erase)

__all__ = [
    "RandomErase", "forward_matrix", "soft_cross_entropy", "standardise", "start_at_prior", "weighted_step",
]  # fmt: skip
