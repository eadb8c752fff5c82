"""Checkers of chapter 1, The data set."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import nn

from fercourse.check.core import Exercise, Wrong, differs, run
from fercourse.check.functions import Mistake, judge_function, of
from fercourse.check.modules import Trial, build_answer, forward

_PREFIXES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


# split_of ---------------------------------------------------------------------------------------------------


def _split_of(name: str) -> str:
    return _PREFIXES[PurePosixPath(name).name.split("_")[0]]


def _by_prefix(**splits: str) -> Callable[[str], str]:
    return lambda name: splits[PurePosixPath(name).name.split("_")[0]]


def _judge_split_of(answer: Any) -> str:
    names = (
        "train/angry/Training_3908.jpg",
        "test/angry/PublicTest_88305097.jpg",
        "test/happy/PrivateTest_10131363.jpg",
        "somewhere/else/PublicTest_1.png",
        "PrivateTest_7.jpg",
        "data/PublicTest/train/Training_12.jpg",
    )
    judge_function(
        answer,
        "split_of",
        reference=_split_of,
        cases=[of(name, words=repr(name)) for name in names],
        mistakes=[
            Mistake(
                lambda name: name.split("/")[0],
                "The first folder does not tell: test/ holds both held-out splits. The file name does.",
            ),
            Mistake(
                lambda name: "test" if "test/" in name else "train",
                "The folder does not tell: test/ holds both held-out splits. The file name does.",
            ),
            Mistake(
                _by_prefix(Training="train", PublicTest="test", PrivateTest="val"),
                "Validation and test are swapped: PublicTest is val, PrivateTest is test.",
            ),
            Mistake(
                _by_prefix(Training="train", PublicTest="test", PrivateTest="test"),
                "PublicTest is not the test split: it is val, for choosing. PrivateTest is test.",
            ),
            Mistake(
                _by_prefix(Training="Training", PublicTest="PublicTest", PrivateTest="PrivateTest"),
                "That is the file's own word for the split; the course's are train, val and test.",
            ),
            Mistake(
                lambda name: next(split for prefix, split in _PREFIXES.items() if prefix in name),
                "A folder may hold such a word too: look at the file's name alone, after the last slash.",
            ),
            Mistake(
                lambda name: next(split for prefix, split in reversed(_PREFIXES.items()) if prefix in name),
                "A folder may hold such a word too: look at the file's name alone, after the last slash.",
            ),
        ],
    )
    for name in ("test/sad/im12.png", "train/PublicTest/face.jpg", "train/fear/3908.jpg"):
        _must_fail(answer, name)
    return "Every name has its split, and a name that does not tell is refused."


def _must_fail(answer: Callable[[str], Any], name: str) -> None:
    try:
        found = answer(name)
    except (ValueError, KeyError, RuntimeError, LookupError, AssertionError) as error:
        if isinstance(error, KeyError) or name.split("/")[-1] not in str(error):
            raise Wrong(
                f"{name!r} is refused, but with {type(error).__name__}: {error}. Whoever reads that should "
                "learn which name was meant and what was expected: raise ValueError with a sentence that "
                "holds the name."
            ) from error
        return
    except Exception as error:
        raise Wrong(
            f"{name!r} ends in {type(error).__name__}: {error}. Raise ValueError with a sentence that "
            "names the file."
        ) from error
    if found is None:
        raise Wrong(
            f"{name!r} does not tell its split, and split_of returns None, which goes unnoticed until much "
            "later: raise ValueError."
        )
    raise Wrong(
        f"{name!r} does not tell its split, but split_of says {found!r}. A guess here would put images into "
        "the wrong split without a word: raise ValueError."
    )


split_of = Exercise("ch01", "split_of", _judge_split_of)


# lazy_accuracies --------------------------------------------------------------------------------------------


def _lazy(
    train: np.ndarray,
    test: np.ndarray,
    *,
    choose: str = "train",
    draw: str = "both",
    balanced: str = "recall",
    scale: float = 1.0,
) -> tuple[float, float, float]:
    """The right answer, and with other options the wrong ones that come to mind."""
    p, q = np.asarray(train) / np.sum(train), np.asarray(test) / np.sum(test)
    best = int(np.argmax(p if choose == "train" else q))
    always = p[best] if choose == "train on train" else q[best]
    drawn = {"both": (p * q).sum(), "train": (p * p).sum(), "test": (q * q).sum(), "even": 1 / len(p)}[draw]
    even = {"recall": 1 / len(p), "same": always, "of all": q[best] / len(p)}[balanced]
    return scale * always, scale * drawn, scale * even


def _judge_lazy_accuracies(answer: Any) -> str:
    names = ("always the most frequent class", "at random", "balanced accuracy")

    def observe(result: Any, _: Any) -> dict[str, Any]:
        try:
            values = list(result.values() if isinstance(result, dict) else result)
        except TypeError:
            values = [result]
        if len(values) != 3:
            return dict.fromkeys(names, result)
        return dict(zip(names, values, strict=True))

    fer_train = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965])
    fer_test = np.array([491, 55, 528, 879, 594, 416, 626])
    cases = [
        of(fer_train, fer_test, words="the counts of FER-2013", observe=observe),
        of(np.array([60, 30, 10]), np.array([2, 5, 3]), observe=observe,
           words="train counts [60, 30, 10] and test counts [2, 5, 3]"),
        of(np.array([1, 8]), np.array([6, 2]), observe=observe,
           words="train counts [1, 8] and test counts [6, 2]"),
    ]  # fmt: skip
    judge_function(
        answer,
        "lazy_accuracies",
        reference=_lazy,
        cases=cases,
        mistakes=[
            Mistake(partial(_lazy, scale=100), "Give shares from 0 to 1, not per cent."),
            Mistake(
                partial(_lazy, choose="test"),
                "The most frequent class must be chosen on train: choosing it on test is already a leak.",
            ),
            Mistake(
                partial(_lazy, choose="train on train"),
                "(a) is measured on train; the question is how many test images are right.",
            ),
            Mistake(
                partial(_lazy, draw="train"),
                "(b) squares the frequencies of train: the labels come with the frequencies of test.",
            ),
            Mistake(
                partial(_lazy, draw="test"),
                "(b) draws answers with the frequencies of test; they should be drawn with those of train.",
            ),
            Mistake(
                partial(_lazy, draw="even"),
                "(b) draws every class equally often; it should draw with the frequencies of train.",
            ),
            Mistake(
                partial(_lazy, balanced="same"),
                "The balanced accuracy is the mean of the seven recalls, each class weighing the same: one "
                "recall is 1 here and the others are 0.",
            ),
            Mistake(
                partial(_lazy, balanced="of all"),
                "The balanced accuracy averages recalls, not shares of all images: the recall of the class "
                "that is always answered is 1.",
            ),
        ],
    )
    return "Whatever a network reaches, hold it against these."


lazy_accuracies = Exercise("ch01", "lazy_accuracies", _judge_lazy_accuracies)


# count_twins ------------------------------------------------------------------------------------------------


def _count_twins(a: np.ndarray, b: np.ndarray) -> int:
    seen = {image.tobytes() for image in a}
    return sum(image.tobytes() in seen for image in b)


def _twin_parts(seed: int, size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Two parts with copies across, within b, and pairs that only look like copies."""
    draw = np.random.default_rng(seed)
    a = draw.integers(0, 256, (size, 48, 48), dtype=np.uint8)
    a[-3:] = a[:3]  # twins within a: each is still one image of b's world
    fresh = draw.integers(0, 256, (size // 2, 48, 48), dtype=np.uint8)
    same_sum = a[5:8].reshape(3, -1)[:, ::-1].reshape(3, 48, 48)
    nearly = a[8:11].copy()
    nearly[:, 24, 24] ^= 1
    first_row = fresh[:2].copy()
    first_row[:, 0] = a[11:13, 0]
    copies = a[[0, 0, 1, 20, 21, 21, 21, 30]]
    b = np.concatenate([fresh, same_sum, nearly, first_row, copies])
    return a, b[draw.permutation(len(b))]


def _judge_count_twins(answer: Any) -> str:
    cases = [
        of(*_twin_parts(seed), words="two parts with copies within each, and images that are nearly copies")
        for seed in (1, 2)
    ]
    none = np.zeros((0, 48, 48), np.uint8)
    one, other = _twin_parts(3)
    cases += [
        of(one, one[::-1].copy(), words="a part and the same in reverse order"),
        of(other[:10], one[40:50], words="two parts without a copy"),
        of(none, one[:5], words="an empty part a"),
    ]

    def keys(a: np.ndarray, key: Callable[[np.ndarray], Any]) -> list[Any]:
        return [key(image) for image in a]

    def by(key: Callable[[np.ndarray], Any]) -> Callable[..., int]:
        return lambda a, b: sum(k in set(keys(a, key)) for k in keys(b, key))

    mistakes = [
        Mistake(
            lambda a, b: len(set(keys(a, bytes)) & set(keys(b, bytes))),
            "That counts different pictures: an image that stands in b twice is two images of b.",
        ),
        Mistake(
            lambda a, b: sum((Counter(keys(a, bytes)) & Counter(keys(b, bytes))).values()),
            "That pairs off copies one to one. Each image of b counts if it stands in a at all.",
        ),
        Mistake(
            lambda a, b: sum(Counter(keys(b, bytes))[k] for k in keys(a, bytes)),
            "That counts pairs: an image of b with two copies in a is still one image of b.",
        ),
        Mistake(
            lambda a, b: _count_twins(b, a),
            "That counts the images of a that stand in b; the question is how many images of b stand in a.",
        ),
        Mistake(
            by(lambda image: int(image.sum())),
            "Images with the same sum of pixels are not the same image; some of b only look alike.",
        ),
        Mistake(
            by(lambda image: float(image.mean())),
            "Images with the same mean are not the same image; some of b only look alike.",
        ),
        Mistake(
            by(lambda image: image[0].tobytes()),
            "Images with the same first row are not the same image: compare all pixels.",
        ),
        Mistake(
            lambda _, b: len(b),
            "`image in array` asks whether any single pixel agrees, not whether the image does.",
        ),
        Mistake(
            lambda _, b: len(b) - len(set(keys(b, bytes))),
            "That counts copies within b; the question is about copies between the two.",
        ),
        Mistake(
            lambda a, b: len({*keys(a, bytes), *keys(b, bytes)}),
            "That counts the different images of both together.",
        ),
        Mistake(lambda *_: 0, "Nothing is found at all: what is compared, an image or its place in memory?"),
    ]
    judge_function(answer, "count_twins", reference=_count_twins, cases=cases, mistakes=mistakes)
    a, b = _twin_parts(5, 400)
    seconds = []
    for function in (answer, _count_twins):
        begun = time.perf_counter()
        run(function, a, b, what="count_twins")
        seconds.append(time.perf_counter() - begun)
    if seconds[0] > 0.2 + 20 * seconds[1]:
        whole = seconds[0] * (28_709 / len(a)) * (3_589 / len(b))
        return (
            f"But it compares each with each: on train and test of FER-2013 it would take about "
            f"{whole / 60:.0f} minutes. A set of `image.tobytes()` finds every image at once."
        )
    return "Copies are found, and each image is looked at once."


count_twins = Exercise("ch01", "count_twins", _judge_count_twins)


# ScalePixels ------------------------------------------------------------------------------------------------


def _scale(x: torch.Tensor, mean: float, std: float, kind: str = "right") -> torch.Tensor:
    x = x.float()
    share = x / 255
    return {
        "right": (share - mean) / std,
        "raw": (x - mean) / std,
        "share": share,
        "no std": share - mean,
        "no mean": share / std,
        "times": (share - mean) * std,
        "order": share / std - mean,
        "own": (share - share.mean()) / share.std(),
        "each": (share - share.mean((1, 2), keepdim=True)) / share.std((1, 2), keepdim=True),
        "variance": (share - mean) / std**2,
        "twice": (share / 255 - mean) / std,
    }[kind]


_SCALE_MISTAKES = {
    "raw": "The pixels run from 0 to 255, mean and std are those of pixels from 0 to 1: divide by 255 first.",
    "share": "The pixels are divided by 255, but mean and std are not used.",
    "no std": "The mean is taken off, but nothing is divided by the standard deviation.",
    "no mean": "Nothing is taken off: subtract the mean before you divide by the standard deviation.",
    "times": "Divide by the standard deviation; this multiplies by it.",
    "order": "Brackets: (x / 255 - mean) / std, not x / 255 / std - mean.",
    "own": "This uses the batch's own mean and std. They must be the two numbers from train.",
    "each": "This uses each image's own mean and std. They must be the two numbers from train.",
    "variance": "Divide by the standard deviation, not by its square.",
    "twice": "The pixels are divided by 255 twice.",
}


def _judge_scale_pixels(answer: Any) -> str:
    name, given = "ScalePixels", {"mean": 0.5077, "std": 0.255}
    for mean, std, batch in ((0.5077, 0.255, 5), (0.25, 0.5, 1), (0.0, 1.0, 3)):
        trial = Trial((mean, std), (batch, 48, 48))
        module = build_answer(answer, name, trial)
        draw = torch.Generator().manual_seed(batch)
        x = torch.randint(0, 256, (batch, 48, 48), dtype=torch.uint8, generator=draw)
        out = forward(module, x, name, trial)
        expected = _scale(x, mean, std)[:, None]
        where = f"{name}({mean}, {std}), called with {batch} uint8 images of shape (48, 48)"
        if out.dim() == 3 and out.shape == x.shape:
            raise Wrong(
                f"A network wants a channel: {where}, gives shape {tuple(out.shape)}; expected "
                f"{tuple(expected.shape)}. unsqueeze(1) or [:, None] adds it."
            )
        if out.shape == (1, *x.shape) and batch > 1:
            raise Wrong(
                f"The channel comes second: {where}, gives shape {tuple(out.shape)}; expected "
                f"{tuple(expected.shape)}."
            )
        if words := differs(out, expected, rtol=1e-4, atol=1e-4):
            for kind, message in _SCALE_MISTAKES.items():
                if not differs(out.reshape(-1), _scale(x, mean, std, kind).reshape(-1), rtol=1e-3):
                    raise Wrong(f"{message}\n{where}: {words}.")
            if not differs(out.reshape(-1), ((x - mean) / std).to(torch.uint8).reshape(-1)):
                raise Wrong(
                    f"The numbers stay whole, in uint8: convert with x.float() first.\n{where}: {words}."
                )
            raise Wrong(f"{where}: {words}.")
        if out.dtype != torch.float32:
            raise Wrong(f"{where}, gives {out.dtype}; networks compute in float32: x.float().")
    module = answer(*given.values())
    if trained := [key for key, _ in module.named_parameters()]:
        raise Wrong(
            f"{', '.join(trained)} would be trained: an nn.Parameter is what the optimiser changes. Mean and "
            "std are facts of the data: register_buffer keeps them."
        )
    if not module.state_dict():
        raise Wrong(
            "The values are right, but mean and std are plain attributes: they would be missing from "
            "state_dict, so a saved network forgets them, and stay behind when the network moves to the GPU. "
            "Keep them with self.register_buffer(name, torch.tensor(value))."
        )
    held = torch.cat([value.double().reshape(-1) for value in module.state_dict().values()])
    if len(module.state_dict()) < 2 and held.numel() < 2:
        raise Wrong("Only one of the two numbers is in state_dict: register both as buffers.")
    return "Right values, and they travel with the network."


ScalePixels = Exercise("ch01", "ScalePixels", _judge_scale_pixels)


# images_needed ----------------------------------------------------------------------------------------------


def _needed(
    a: float,
    b: float,
    errors: float = 2.0,
    *,
    kind: str = "right",
    rounding: Callable[[float], Any] = math.ceil,
) -> Any:
    variance = {
        "right": a * (1 - a) + b * (1 - b),
        "one": a * (1 - a),
        "other": b * (1 - b),
        "minus": a * (1 - a) - b * (1 - b),
        "sum of errors": (math.sqrt(a * (1 - a)) + math.sqrt(b * (1 - b))) ** 2,
        "root": math.sqrt(a * (1 - a)) + math.sqrt(b * (1 - b)),
        "no rest": a + b,
    }[kind]
    return rounding(variance * (errors / (b - a)) ** 2)


def _judge_images_needed(answer: Any) -> str:
    cases = [
        of(0.69, 0.70, 2.0, words="0.69, 0.70, 2.0", rtol=1e-9, atol=1.0),
        of(0.70, 0.65, 2.0, words="0.70, 0.65, 2.0", rtol=1e-9, atol=1.0),
        of(0.50, 0.52, 3.0, words="0.50, 0.52, 3.0", rtol=1e-9, atol=1.0),
    ]

    def wrong(compute: Callable[[float, float, float], float], message: str) -> Mistake:
        return Mistake(lambda a, b, errors: math.ceil(compute(a, b, errors)), message)

    judge_function(
        answer,
        "images_needed",
        reference=_needed,
        cases=cases,
        mistakes=[
            Mistake(
                partial(_needed, kind="one"),
                "That counts the luck of one set only. Both are drawn, so the variances add up.",
            ),
            Mistake(
                partial(_needed, kind="other"),
                "That counts the luck of one set only. Both are drawn, so the variances add up.",
            ),
            Mistake(
                partial(_needed, kind="sum of errors"),
                "Standard errors do not add up; variances do.",
            ),
            Mistake(
                partial(_needed, kind="root"),
                "Variances add up: p (1 - p), without the square root, before you solve for n.",
            ),
            Mistake(
                partial(_needed, kind="no rest"),
                "The variance of a share is p (1 - p) / n; the (1 - p) is missing.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) * errors / abs(b - a),
                "n is under a square root in the standard error: the ratio must be squared.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) * errors / (b - a) ** 2,
                "The number of standard errors must be squared too.",
            ),
            wrong(
                lambda a, b, _: (a * (1 - a) + b * (1 - b)) / (b - a) ** 2,
                "The number of standard errors is not used: this is the answer for one.",
            ),
            wrong(
                lambda a, b, errors: math.sqrt((a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2),
                "One square root too many: n itself is asked for.",
            ),
            wrong(
                lambda a, b, errors: 2 * (a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2,
                "That is for both sets together; each must have half of it.",
            ),
        ],
    )
    for a, b, errors in ((0.69, 0.70, 2.0), (0.5, 0.52, 3.0)):
        found = run(answer, a, b, errors, what="images_needed")
        if float(found) != int(found) or int(found) not in {
            math.ceil(_needed(a, b, errors, rounding=float) + slip) for slip in (-1e-6, 1e-6)
        }:
            raise Wrong(
                f"images_needed({a}, {b}, {errors}) is {found}; expected {_needed(a, b, errors)}. Images "
                "come whole, and with fewer the difference would be under the bound: round up (math.ceil)."
            )
    return "So many are needed for two separate sets; on the same images, paired tests need fewer."


images_needed = Exercise("ch01", "images_needed", _judge_images_needed)


# PriorOnly --------------------------------------------------------------------------------------------------


def _judge_prior_only(answer: Any) -> str:
    name = "PriorOnly"
    for numbers in ([3995, 436, 4097, 7215, 4830, 3171, 4965], [10, 20, 30, 40, 50, 60, 70]):
        counts = torch.tensor(numbers)
        trial = Trial((counts,), (4, 1, 48, 48))
        module = build_answer(answer, name, Trial((counts.clone(),), trial.shape))
        where = f"{name}(torch.tensor({numbers})), called with 4 images,"
        trial = Trial((), trial.shape)  # the sentences name the class alone
        out = forward(module, torch.randn(4, 1, 48, 48), name, trial)
        prior = counts / counts.sum()
        if tuple(out.shape) == (7,):
            raise Wrong(f"{where} gives 7 logits; expected 7 for each image, shape (4, 7): expand them.")
        if tuple(out.shape) == (1, 7):
            raise Wrong(f"{where} gives shape (1, 7); expected (4, 7), a row for each image.")
        if tuple(out.shape) != (4, 7):
            raise Wrong(f"{where} gives shape {tuple(out.shape)}; expected (4, 7).")
        if differs(out, out[:1].expand(4, 7)):
            raise Wrong(f"{where} answers differently from image to image; it should ignore the pixels.")
        row = out[0].detach()
        _prior_values(row, counts, prior, where)
        parameters = list(module.parameters())
        if not parameters:
            raise Wrong(
                "The right logits, but nothing to train: a tensor is found by the optimiser only when it is "
                "an nn.Parameter."
            )
        other = forward(module, torch.randn(2, 1, 48, 48), name, trial)
        if tuple(other.shape) != (2, 7):
            raise Wrong(f"{name} gives shape {tuple(other.shape)} for 2 images; expected (2, 7).")
        if not other.requires_grad:
            raise Wrong(f"No gradient reaches the parameters of {name}: detach or .data in forward?")
        _prior_learns(answer, module, counts)
    return "The least a network can know. Chapter 2 starts every network from here."


def _prior_values(row: torch.Tensor, counts: torch.Tensor, prior: torch.Tensor, where: str) -> None:
    """Raise `Wrong` unless the softmax of the logits is the prior, naming what they are instead."""
    if not differs(row.softmax(0), prior, rtol=1e-3):
        return
    kinds = {
        "These are the frequencies themselves. Softmax takes logits: their logarithm.": prior,
        "These are the counts. Softmax takes logits: the logarithm of the frequencies.": counts.float(),
        "These logits are all alike: start them at the logarithm of the frequencies.": row[:1].expand(7),
        "The sign is wrong: rare classes come out as likely.": -prior.log(),
        "These logits are in base 10: softmax undoes the natural logarithm, torch.log.": prior.log10(),
        "These logits are in base 2: softmax undoes the natural logarithm, torch.log.": prior.log2(),
        "These are probabilities after a softmax; a network returns the logits before it.": prior.softmax(0),
    }
    for message, value in kinds.items():
        if not differs(row - row.mean(), value - value.mean(), rtol=1e-3, atol=1e-5):
            raise Wrong(f"{message} {where} found {_three(row)}.")
    raise Wrong(
        f"{where} has logits whose softmax is {_three(row.softmax(0))}; expected the frequencies, "
        f"{_three(prior)}."
    )


def _prior_learns(answer: type[nn.Module], module: nn.Module, counts: torch.Tensor) -> None:
    """Raise `Wrong` unless training moves the logits of this object, and of no other."""
    labels = torch.tensor([1, 1, 1, 0])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    x = torch.zeros(4, 1, 48, 48)
    first = nn.functional.cross_entropy(module(x), labels)
    first.backward()
    optimizer.step()
    if not nn.functional.cross_entropy(module(x), labels) < first:
        raise Wrong(
            "A step of gradient descent leaves its loss as it was: do the logits depend on the parameter?"
        )
    fresh = answer(counts.clone())(x)[0].softmax(0)
    if differs(fresh, counts / counts.sum(), rtol=1e-3):
        raise Wrong("Two objects of the class share their parameter: make it in __init__.")


def _three(values: torch.Tensor) -> str:
    return "(" + ", ".join(f"{float(v):.3g}" for v in values[:3]) + ", ...)"


PriorOnly = Exercise("ch01", "PriorOnly", _judge_prior_only)

__all__ = ["PriorOnly", "ScalePixels", "count_twins", "images_needed", "lazy_accuracies", "split_of"]
