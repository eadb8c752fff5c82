"""Checkers of chapter 1, The data set."""

from __future__ import annotations

import itertools
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

from fercourse.check.core import Exercise, Wrong, as_array, differs, run, students_line
from fercourse.check.functions import RESULT, Mistake, judge_function, of
from fercourse.check.guesses import guess
from fercourse.check.modules import Trial, build_answer, forward
from fercourse.check.operations import tell_shape
from fercourse.errors import one_line, shown

_PREFIXES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


# split_of ---------------------------------------------------------------------------------------------------


def _split_of(name: str) -> str:
    return _PREFIXES[PurePosixPath(name).name.split("_")[0]]


def _by_prefix(**splits: str) -> Callable[[str], str]:
    return lambda name: splits[PurePosixPath(name).name.split("_")[0]]


def _explain_split(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, right, name = seen[RESULT], expected[RESULT], arguments[0]
    if isinstance(found, str) and found in ("train", "val", "test"):
        words = ("Training", "PublicTest", "PrivateTest")
        if any(word in name.rpartition("/")[0] for word in words):
            return "A folder may hold such a word too: look at the file's name alone, after the last slash."
        if name.startswith(("train/", "test/")) and found == name.split("/")[0]:
            return "The folder does not tell: test/ holds both held-out splits. The file name does."
        if {found, right} == {"val", "test"}:
            return "PublicTest is val, for choosing; PrivateTest is test, for reporting."
        return (
            f"A file whose name begins with {PurePosixPath(name).name.split('_')[0]!r} belongs to {right!r}."
        )
    if isinstance(found, str):
        return "The answer must be one of the three words 'train', 'val' and 'test', exactly."
    return None


def _bare_name_alone(answer: Any) -> None:
    """Raise `Wrong` where a file is known by its bare name, and not with folders before it."""
    try:
        known = callable(answer) and answer("Training_3908.jpg") == "train"
    except Exception:
        return
    try:
        found = answer("train/angry/Training_3908.jpg") if known else "train"
    except (ValueError, KeyError) as error:
        raise Wrong(
            "'Training_3908.jpg' is known, and 'train/angry/Training_3908.jpg' is not "
            f"({type(error).__name__}: {one_line(error)}): the folders stand before the name. Look at what follows "
            "the last slash."
        ) from error
    if found is None:
        raise Wrong(
            "'Training_3908.jpg' is known, and 'train/angry/Training_3908.jpg' gives None: the folders stand before "
            "the name. Look at what follows the last slash."
        )


def _judge_split_of(answer: Any) -> str:
    names = (
        "train/angry/Training_3908.jpg",
        "test/angry/PublicTest_88305097.jpg",
        "test/happy/PrivateTest_10131363.jpg",
        "somewhere/else/PublicTest_1.png",
        "PrivateTest_7.jpg",
        "data/PublicTest/train/Training_12.jpg",
    )
    _bare_name_alone(answer)
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
                _by_prefix(Training="train", PublicTest="validation", PrivateTest="test"),
                "The course calls PublicTest 'val', and not 'validation'.",
            ),
            Mistake(
                lambda name: _split_of(name).capitalize(),
                "The course writes its splits in small letters: train, val, test.",
            ),
            Mistake(
                lambda name: {"train": 0, "val": 1, "test": 2}[_split_of(name)],
                "A name is asked for, 'train', 'val' or 'test', not a number.",
            ),
            Mistake(lambda name: PurePosixPath(name).name, "That is the file's name, not its split."),
            Mistake(
                lambda name: PurePosixPath(name).parent.name,
                "That is the folder, in most copies the emotion; the file's name tells the split.",
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
        explain=_explain_split,
    )
    for name in ("test/sad/im12.png", "train/PublicTest/face.jpg", "train/fear/face_3908.jpg"):
        _must_fail(answer, name)
    return "Every name has its split, and a name that does not tell is refused."


def _must_fail(answer: Callable[[str], Any], name: str) -> None:
    sentence = "raise ValueError with a sentence that holds the name."
    try:
        found = answer(name)
    except ValueError as error:
        if PurePosixPath(name).stem not in str(error):
            raise Wrong(
                f"{name!r} is refused, but the sentence, {one_line(error)!r}, does not say which file is meant: "
                f"{sentence}"
            ) from error
        return
    except (Exception, SystemExit) as error:
        # Whatever else is raised reads as a fault of the program, and not of the file.
        raise Wrong(
            f"{name!r} is refused, but with {type(error).__name__} ({one_line(error)}), which whoever calls "
            f"split_of does not expect: {sentence}\n{students_line(error)}"
        ) from error
    if found is None:
        raise Wrong(
            f"{name!r} does not tell its split, and split_of returns None, which goes unnoticed until much "
            "later: raise ValueError."
        )
    if isinstance(found, BaseException):
        raise Wrong(f"{name!r}: the error is returned, not raised: write raise ValueError(...).")
    if found in ("train", "val", "test") and any(word in name.rpartition("/")[0] for word in _PREFIXES):
        raise Wrong(
            f"{name!r} does not tell its split, but split_of says {found!r}. A folder may hold such a word "
            "too: look at the file's name alone, after the last slash."
        )
    raise Wrong(
        f"{name!r} does not tell its split, but split_of says {shown(found)}. A guess here would put images "
        "into the wrong split without a word: raise ValueError."
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


_LAZY = ("always the most frequent class", "at random", "balanced accuracy")
_HOW_MANY = "how many values it returns"


def _see_lazy(result: Any, _: Any) -> dict[str, Any]:
    try:
        values = list(itertools.islice(result.values() if isinstance(result, dict) else result, 100))
    except Exception:
        values = [result]
    if result is None or isinstance(result, str) or len(values) != 3:
        count = None if result is None else "text" if isinstance(result, str) else len(values)
        return {_HOW_MANY: count, **dict.fromkeys(_LAZY)}
    return {_HOW_MANY: 3, **dict(zip(_LAZY, values, strict=True))}


def _explain_lazy(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Name each of the three shares by what else it could be."""
    train, test = (np.asarray(part, float) for part in arguments)
    p, q = train / train.sum(), test / test.sum()
    best, k = int(p.argmax()), len(p)
    if seen[_HOW_MANY] is None:
        return "It returns nothing: return always, at_random, balanced."
    if seen[_HOW_MANY] != 3:
        return "Return three shares, (a), (b) and (c): return always, at_random, balanced."
    right = {name: float(np.asarray(expected[name])) for name in _LAZY}
    divide = "Counts are no shares: divide each by the sum of its own array."
    other: dict[str, list[tuple[Any, str]]] = {
        _LAZY[0]: [
            (q.max(), "(a) chooses the class on test, which is a leak: it must be chosen on train."),
            (p[best], "(a) is measured on train; the question is how many test images are right."),
            (best, "(a) is the class's number, argmax; the share of test images that have it is asked for."),
            (test[best], divide),
            (train[best], divide),
            (test[best] / train.sum(), "(a) divides by the images of train: test's own sum belongs there."),
            (test[best] / (train.sum() + test.sum()), "(a) divides by all images: test's own sum belongs there."),
            (test[best] / train[best], "(a) divides by the class's images in train: test's own sum belongs there."),
            (q.min(), "(a) is the share of the rarest class; the most frequent one in train is asked for."),
            (q[int(p.argmin())], "(a) takes the rarest class of train (argmin); the most frequent is asked for."),
            (1 / k, "(a) is one over the number of classes, as if all were equally frequent in test."),
            (1 - q[best], "(a) is the share of wrong answers."),
            (train[best] / test.sum(), "(a) divides train's count by test's sum; both must be of test."),
            (p[best] * q[best], "(a) multiplies the two shares; the answer is always the same class, so q alone."),
            (right[_LAZY[1]], "The order is (a) always, (b) at random, (c) balanced."),
            (right[_LAZY[2]], "The order is (a) always, (b) at random, (c) balanced."),
        ],
        _LAZY[1]: [
            ((p * p).sum(), "(b) squares the frequencies of train: the labels come with those of test."),
            ((q * q).sum(), "(b) draws answers with the frequencies of test; they should be drawn with train's."),
            (1 / k, "(b) draws every class equally often; it should draw with the frequencies of train."),
            ((p * q).mean(), "(b) takes the mean of the products; the chances of all classes add up: their sum."),
            (p * q, "(b) gives a value a class; the chances of all classes add up: their sum is missing."),
            ((train * test).sum(), divide),
            ((train * test).sum() / train.sum(), divide),
            ((train * test).sum() / test.sum(), divide),
            ((train * test).sum() / (train.sum() + test.sum()), divide),
            (1 - (p * q).sum(), "(b) is the share of wrong answers."),
            (p.mean(), "(b) is a mean of frequencies; multiply train's with test's and add up."),
            ((p + q).sum() / k, "(b) adds the frequencies; both must happen at once, so multiply."),
            ((p + q).sum(), "(b) adds the frequencies; both must happen at once, so multiply."),
            ((p + q).mean() / 2, "(b) is a mean of frequencies; multiply train's with test's and add up."),
            ((p * q).max(), "(b) takes one class alone; the chances of all classes add up."),
            (p[best] * q[best], "(b) takes one class alone; the chances of all classes add up."),
            (np.sqrt(p * q).sum(), "(b) takes a square root: the chance of a hit is p times q, added up."),
            (q[best], "(b) is the same as (a); here the answer is drawn anew for each image."),
            (p.max(), "(b) is the share of the most frequent class; here the answer is drawn for each image."),
        ],
        _LAZY[2]: [
            (right[_LAZY[0]], "The balanced accuracy is the mean of the recalls, each class weighing the same: one "
             "recall is 1 here and the others are 0."),
            (right[_LAZY[1]], "(c) is the same as (b); the balanced accuracy of (a) is the mean of the recalls."),
            (q[best] / k, "The balanced accuracy averages recalls, not shares of all images: the recall of the class "
             "that is always answered is 1."),
            (1 / 7, "(c) is 1/7 whatever the number of classes: one over len(train_counts)."),
            (1.0, "(c) is the recall of one class; the mean over all classes is asked for."),
            (0.0, "(c): the recall of the class that is always answered is 1, not 0."),
            (k, "(c) is the number of classes: one over it."),
            (1 / (k - 1), "(c) divides by one class too few."),
            (1 - 1 / k, "(c) is the share of the classes that are never right."),
            (p[best] / k, "The balanced accuracy averages recalls: that of the class that is answered is 1."),
            (p.max(), "(c) is a share of train; recalls are counted on test."),
            (q[best] / 2, "(c) averages over two; there are as many recalls as classes, one of them 1."),
            (0.5, "(c): there are as many recalls as classes, one of them 1."),
        ],
    }  # fmt: skip
    for number, name in enumerate(_LAZY):
        if not differs(seen[name], right[name]):
            continue
        for value, words in other[name]:
            if not differs(seen[name], value) and seen[name] is not None:
                return words
            if np.ndim(value) == 0 and not differs(seen[name], 100 * value):
                return "Give shares from 0 to 1, not per cent." if value == right[name] else words
        if not differs(seen[name], 100 * right[name]):
            return "Give shares from 0 to 1, not per cent."
        told = guess([seen[name]], [right[name]])
        near = as_array(seen[name])
        if told is None and near is not None and near.size == 1 and near.dtype.kind == "f":
            off = abs(near.item() - right[name])
            told = (
                "Near, but not equal: is it drawn at random? The chance can be computed, without drawing."
                if off < 0.05
                else "It is no share, which lies from 0 to 1."
                if not 0 <= near.item() <= 1
                else None
            )
        words = (
            "the share of test that has the class most frequent in train",
            "the sum over the classes of train's frequency times test's",
            "the mean of the recalls, one of them 1 and the others 0",
        )[number]
        return f"({'abc'[number]}): {told or f'expected {words}.'}"
    return None


def _judge_lazy_accuracies(answer: Any) -> str:
    fer_train = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965])
    fer_test = np.array([491, 55, 528, 879, 594, 416, 626])
    cases = [
        of(fer_train, fer_test, words="the counts of FER-2013", observe=_see_lazy),
        of(np.array([60, 30, 10]), np.array([2, 5, 3]), observe=_see_lazy,
           words="train counts [60, 30, 10] and test counts [2, 5, 3]"),
        of(np.array([1, 8]), np.array([6, 2]), observe=_see_lazy,
           words="train counts [1, 8] and test counts [6, 2]"),
    ]  # fmt: skip
    judge_function(
        answer,
        "lazy_accuracies",
        reference=_lazy,
        cases=cases,
        explain=_explain_lazy,
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
    diagonal = a[13:15].copy()
    off = ~np.eye(48, dtype=bool)
    diagonal[:, off] = 255 - diagonal[:, off]
    copies = a[[0, 0, 1, 20, 21, 21, 21, 30]]
    b = np.concatenate([fresh, same_sum, nearly, first_row, diagonal, copies])
    b = b[draw.permutation(len(b))]
    b[7] = a[7]  # one stands at the same place in both
    return a, b


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
        def count(a: np.ndarray, b: np.ndarray) -> int:
            seen = set(keys(a, key))
            return sum(k in seen for k in keys(b, key))

        return count

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
            lambda a, b: len(b) if len(a) else 0,
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
        Mistake(
            lambda a, b: sum(np.array_equal(one, other) for one, other in zip(a, b, strict=False)),
            "That compares images at the same place; a copy may stand anywhere in a.",
        ),
        Mistake(
            lambda a, b: len(b) - _count_twins(a, b),
            "That counts the images of b that are not in a: the others are asked for.",
        ),
        Mistake(
            lambda a, b: _count_twins(a, b) / len(b),
            "That is a share of b; how many they are is asked for.",
        ),
        Mistake(
            lambda a, b: _count_twins(a, b) / len(a),
            "That is a share; how many they are is asked for.",
        ),
        Mistake(
            lambda a, b: _count_twins(a, b) > 0,
            "That says whether there is a copy; how many there are is asked for.",
        ),
        Mistake(
            lambda a, b: int(_count_twins(a, b[:1])),
            "It stops after the first image of b: does a `return` stand inside the loop?",
        ),
        Mistake(
            lambda a, b: int(_count_twins(a, b) > 0),
            "It stops at the first copy that it finds, or counts no further than 1.",
        ),
        Mistake(
            lambda a, b: int(_count_twins(a[:1], b)),
            "It looks at the first image of a alone: does a `return` stand inside the loop?",
        ),
        Mistake(
            lambda a, b: sum(int((a == image).sum()) for image in b),
            "That counts pixels that agree; an image counts when all of its pixels do.",
        ),
        Mistake(
            lambda a, b: sum(int((a == image).any((1, 2)).sum()) for image in b),
            "That counts pairs with any single pixel in common: all pixels must agree, .all().",
        ),
        Mistake(
            lambda a, b: sum(bool((a == image).any()) for image in b),
            "One pixel in common is not enough: all must agree, .all().",
        ),
        Mistake(
            lambda a, b: int(np.isin(a, b).sum()),
            "That counts pixels whose value occurs in b: compare whole images.",
        ),
        Mistake(
            lambda a, b: _count_twins(a, b) // 2,
            "That is half of them, as if each copy were counted twice.",
        ),
        Mistake(
            by(lambda image: bytes(np.ascontiguousarray(image.diagonal()))),
            "Images with the same diagonal are not the same image: compare all pixels.",
        ),
        Mistake(
            by(lambda image: image.reshape(-1)[::2].tobytes()),
            "Every second pixel is not the whole image: compare all pixels.",
        ),
        Mistake(
            lambda a, b: len(np.intersect1d(a, b)),
            "That counts the pixel values that both have: compare whole images.",
        ),
        Mistake(
            lambda a, b: int(np.isin(b, a).sum()),
            "That counts pixels whose value occurs in a: compare whole images.",
        ),
        Mistake(
            lambda a, b: int(np.isin(b, a).all((1, 2)).sum()),
            "That asks of each pixel whether its value occurs anywhere in a: compare whole images.",
        ),
        Mistake(
            lambda a, b: len(a) + len(b) - len({*keys(a, bytes), *keys(b, bytes)}),
            "That counts copies within a and within b as well; those between the two are asked for.",
        ),
        Mistake(
            lambda a, b: len(a) - len(set(keys(a, bytes)) - set(keys(b, bytes))),
            "That counts images of a; the question is how many images of b stand in a.",
        ),
        Mistake(
            lambda a, b: len(set(keys(b, bytes)) - set(keys(a, bytes))),
            "That counts the different images of b that are not in a.",
        ),
        Mistake(
            lambda a, b: _count_twins(a, b) + _count_twins(b, a),
            "That counts the images of a that stand in b as well; those of b alone are asked for.",
        ),
        Mistake(
            by(lambda image: image[0, 0]),
            "Images with the same first pixel are not the same image: compare all pixels.",
        ),
        Mistake(
            by(lambda image: image[:, 0].tobytes()),
            "Images with the same first column are not the same image: compare all pixels.",
        ),
        Mistake(
            by(lambda image: (float(image.mean()), float(image.std()))),
            "Images with the same mean and spread are not the same image; some of b only look alike.",
        ),
        Mistake(
            by(lambda image: bytes(sorted(image.ravel().tolist()))),
            "Images with the same pixels in another order are not the same image.",
        ),
        Mistake(lambda a, b: len(b), "Every image of b is counted: what does the comparison ask?"),
        Mistake(lambda a, b: len(a), "That is the number of images of a."),
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
        "last bracket": share - mean / std,
        "256": (x / 256 - mean) / std,
        "plus": (share + mean) / std,
        "reversed": (mean - share) / std,
        "swapped": (share - std) / mean,
        "floor": (x.div(255, rounding_mode="floor") - mean) / std,
        "typed": (share - 0.5077) / 0.255,
        "shifted": x / 127.5 - 1,
        "back": share * std + mean,
        "late": (x - mean) / std / 255,
        "late mean": (x - 255 * mean) / std,
        "late std": (x - mean) / (255 * std),
        "standard error": (share - mean) / (std + 1),
        "root": (share - mean) / max(std, 1e-9) ** 0.5,
        "norm 1": nn.functional.normalize(x, dim=1),
        "norm 2": nn.functional.normalize(x, dim=2),
        "sigmoid": ((share - mean) / std).sigmoid(),
        "tanh": ((share - mean) / std).tanh(),
        "clamped": ((share - mean) / std).clamp(0, 1),
        "no negative": ((share - mean) / std).clamp(min=0),
        "clamped 1": ((share - mean) / std).clamp(-1, 1),
        "half": ((x.half() / 255 - mean) / std).float(),
        "layer": nn.functional.layer_norm(share, share.shape[-1:]),
        "layer 2": nn.functional.layer_norm(share, share.shape[-2:]),
        "max": (x / x.max() - mean) / std,
        "minmax": (share - share.min()) / (share.max() - share.min()),
        "zero": torch.zeros_like(x),
        "pixels": x,
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
    "last bracket": "Brackets: (x / 255 - mean) / std, not x / 255 - mean / std.",
    "256": "Pixels run from 0 to 255: divide by 255, not 256.",
    "plus": "The mean is added; subtract it.",
    "reversed": "The sign is the other way round: the mean is subtracted from the pixels.",
    "swapped": "Mean and std are swapped.",
    "floor": "The division by 255 is cut to whole numbers (//): use / on floats.",
    "typed": "The numbers 0.5077 and 0.255 are typed in: use those that the object was given.",
    "shifted": "That scales to -1 to 1; mean and std are not used.",
    "back": "That is the way back, x * std + mean: subtract the mean, divide by the standard deviation.",
    "late": "Divide by 255 first: mean and std are those of pixels from 0 to 1.",
    "late mean": "The mean is scaled to 255 and the standard deviation is not: divide by 255 first.",
    "late std": "The standard deviation is scaled to 255 and the mean is not: divide by 255 first.",
    "root": "That divides by the square root of std, which is a standard deviation already.",
    "norm 1": "F.normalize makes columns one long; it has nothing to do with mean and std.",
    "norm 2": "F.normalize makes rows one long; it has nothing to do with mean and std.",
    "sigmoid": "There is a sigmoid that was not asked for.",
    "tanh": "There is a tanh that was not asked for.",
    "clamped": "The values are cut to 0 to 1; they should be near zero, and may be negative.",
    "no negative": "Negative values are cut off; they should be near zero, and may be negative.",
    "clamped 1": "The values are cut to -1 to 1; leave them as they are.",
    "half": "That computes in float16, which is too coarse: float32, x.float().",
    "layer": "That uses each row's own mean and std. They must be the two numbers from train.",
    "layer 2": "That uses each image's own mean and std. They must be the two numbers from train.",
    "max": "That divides by the greatest pixel of the batch; divide by 255, whatever the batch.",
    "minmax": "That uses the batch's own least and greatest values; use mean and std of train.",
    "zero": "Everything comes out as 0: whole numbers (uint8) cannot hold what lies between 0 and 1.",
    "pixels": "The pixels come out as they went in.",
}


def _numbers_in_use(module: nn.Module) -> int:
    """Return how many of the numbers in state_dict change the output when they change, at most 2."""
    x = torch.arange(256, dtype=torch.uint8).repeat(9).reshape(1, 48, 48)
    module.eval()
    with torch.no_grad():
        before, used = module(x.clone()), 0
        for value in module.state_dict().values():
            if not value.is_floating_point():
                continue
            for place in range(min(4, value.numel())):
                kept = value.reshape(-1)[place].item()
                value.view(-1)[place] = kept * 1.5 + 0.25
                used += bool(differs(module(x.clone()), before))
                value.view(-1)[place] = kept
                if used == 2:
                    return used
    return used


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
        if out.shape == (*x.shape, 1):
            raise Wrong(
                f"The channel comes second, after the batch: {where}, gives shape {tuple(out.shape)} with the "
                f"channel last; expected {tuple(expected.shape)}."
            )
        if out.dim() == 4 and out.shape[1] == 3:
            raise Wrong(
                f"The pictures are grey, with one channel: {where}, gives three channels, shape "
                f"{tuple(out.shape)}; expected {tuple(expected.shape)}."
            )
        if out.shape == (1, *x.shape) and batch > 1:
            raise Wrong(
                f"The channel comes second: {where}, gives shape {tuple(out.shape)}; expected "
                f"{tuple(expected.shape)}."
            )
        if words := differs(out, expected, rtol=1e-4, atol=1e-4):
            if out.numel() != expected.numel():
                raise Wrong(f"{tell_shape(out, expected, x) or 'The shape is wrong.'}\n{where}: {words}.")
            for kind, message in _SCALE_MISTAKES.items():
                if not differs(out.reshape(-1), _scale(x, mean, std, kind).reshape(-1), rtol=1e-3):
                    raise Wrong(f"{message}\n{where}: {words}.")
            if not differs(out.reshape(-1), ((x - mean) / std).to(torch.uint8).reshape(-1)):
                raise Wrong(
                    f"The numbers stay whole, in uint8: convert with x.float() first.\n{where}: {words}."
                )
            told = guess([out.reshape(-1).double()], [expected.reshape(-1).double()])
            raise Wrong(f"{told}\n{where}: {words}." if told else f"{where}: {words}.")
        if out.dtype != torch.float32:
            raise Wrong(f"{where}, gives {out.dtype}; networks compute in float32: x.float().")
    module = build_answer(answer, name, Trial(tuple(given.values()), (1, 48, 48)))
    if trained := [key for key, value in module.named_parameters() if value.requires_grad]:
        raise Wrong(
            f"{', '.join(trained)} would be trained: an nn.Parameter is what the optimiser changes. Mean and "
            "std are facts of the data: register_buffer keeps them."
        )
    if not module.state_dict():
        kept = [key for key, _ in module.named_buffers()]
        raise Wrong(
            f"The values are right, but {' and '.join(kept)} are buffers with persistent=False, which state_dict "
            "leaves out: a saved network forgets them."
            if kept
            else "The values are right, but mean and std are plain attributes: they would be missing from "
            "state_dict, so a saved network forgets them, and stay behind when the network moves to the GPU. "
            "Keep them with self.register_buffer(name, torch.tensor(value))."
        )
    used = _numbers_in_use(module)
    if used < 2:
        raise Wrong(
            f"{'Only one' if used else 'None'} of the two numbers that forward uses is in state_dict: what a "
            "saved network would bring back must be what forward computes with. Register both as buffers, and use "
            "self.mean and self.std in forward."
        )
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


def _explain_needed(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, (a, b, _) = as_array(seen[RESULT]), arguments
    if found is None or found.size != 1 or found.dtype.kind != "f":
        return None
    value, right = float(found.item()), expected[RESULT]
    if np.isnan(value):
        return "It is no number (nan): a square root of something negative?"
    if value < 0 or (b < a and (value <= 1 or value >= 1e5)):
        return f"Here b is smaller than a: b - a is negative. Use its size, abs(b - a), or its square. ({right} images.)"
    return None


def _judge_images_needed(answer: Any) -> str:
    cases = [
        of(0.69, 0.70, 2.0, words="0.69, 0.70, 2.0", rtol=1e-9, atol=1.0),
        of(0.70, 0.65, 2.0, words="0.70, 0.65, 2.0", rtol=1e-9, atol=1.0),
        of(0.50, 0.52, 3.0, words="0.50, 0.52, 3.0", rtol=1e-9, atol=1.0),
        of(0.61, 0.68, 2.0, words="0.61, 0.68, 2.0", rtol=1e-9, atol=1.0),
        # So different that what agrees near 0.7 by chance does not here.
        of(0.50, 0.95, 20.0, words="0.50, 0.95, 20.0", rtol=1e-9, atol=1.0),
        of(0.90, 0.20, 25.0, words="0.90, 0.20, 25.0", rtol=1e-9, atol=1.0),
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
                lambda a, b, errors: abs(a * (1 - a) - b * (1 - b)) * (errors / (b - a)) ** 2,
                "The variances are subtracted; those of two independent shares add up.",
            ),
            wrong(
                lambda a, b, errors: (a + b) / 2 * (1 - (a + b) / 2) * (errors / (b - a)) ** 2,
                "That is the variance at the mean of the two, once: both sets are drawn, so the variances add up.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) / 2 * (errors / (b - a)) ** 2,
                "That is the mean of the two variances; they add up, without dividing by two.",
            ),
            wrong(
                lambda a, b, errors: (a + b) * (2 - a - b) / 2 * (errors / (b - a)) ** 2,
                "That takes the variance at the mean of the two, twice: each has its own, p (1 - p).",
            ),
            wrong(
                lambda a, b, _: (a * (1 - a) + b * (1 - b)) * (2 / (b - a)) ** 2,
                "The argument errors is not used: this is the answer for two, whatever is given.",
            ),
            wrong(
                lambda a, b, _: (a * (1 - a) + b * (1 - b)) * (1.96 / (b - a)) ** 2,
                "The argument errors is not used: this is the answer for 1.96, whatever is given.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) * ((b - a) / errors) ** 2,
                "That is upside down: divide by the square of the difference, multiply by that of errors.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) / ((b - a) * errors) ** 2,
                "The errors stand on the wrong side: more of them need more images, so multiply.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) / errors / (b - a) ** 2,
                "The errors stand on the wrong side: more of them need more images, so multiply.",
            ),
            wrong(
                lambda a, b, errors: a * (1 - a) * b * (1 - b) * (errors / (b - a)) ** 2,
                "The variances are multiplied; those of two independent shares add up.",
            ),
            wrong(
                lambda a, b, errors: (a * b + (1 - a) * (1 - b)) * (errors / (b - a)) ** 2,
                "The variance of a share is p (1 - p), for each of the two.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - b) + b * (1 - a)) * (errors / (b - a)) ** 2,
                "The variance of a share is p (1 - p): a (1 - a) and b (1 - b), not crossed.",
            ),
            wrong(
                lambda a, b, errors: (a**2 + b**2) * (errors / (b - a)) ** 2,
                "The variance of a share is p (1 - p), not p squared.",
            ),
            wrong(
                lambda a, b, errors: math.sqrt(a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2,
                "Variances belong there, without the square root: p (1 - p) for each of the two.",
            ),
            wrong(
                lambda a, b, errors: abs(b - a) * (1 - abs(b - a)) * (errors / (b - a)) ** 2,
                "The variance is that of each share, p (1 - p), not that of their difference as if it were a share.",
            ),
            wrong(
                lambda a, b, errors: (b - a) * (1 - (b - a)) * (errors / (b - a)) ** 2,
                "The variance is that of each share, p (1 - p), not that of their difference as if it were a share.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 + a) + b * (1 + b)) * (errors / (b - a)) ** 2,
                "The variance of a share is p (1 - p), with a minus.",
            ),
            wrong(
                lambda a, b, errors: (errors / (b - a)) ** 2,
                "The variances are not used: p (1 - p) for each of the two.",
            ),
            wrong(
                lambda a, b, errors: 0.5 * (errors / (b - a)) ** 2,
                "That takes the greatest possible variance, 1/4 each; a and b are known, so p (1 - p).",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) * (errors / (b - a)),
                "n is under a square root in the standard error: the ratio must be squared.",
            ),
            wrong(
                lambda a, b, errors: 100**2 * (a * (1 - a) + b * (1 - b)) * (errors / (b - a)) ** 2,
                "Shares and per cent are mixed.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) * errors**2 / abs(b - a),
                "The difference must be squared too.",
            ),
            wrong(
                lambda a, b, errors: (a * (1 - a) + b * (1 - b)) ** 2 * (errors / (b - a)) ** 2,
                "The variances are squared; they are squares already.",
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
        explain=_explain_needed,
    )
    for a, b, errors in ((0.69, 0.70, 2.0), (0.5, 0.52, 3.0), (0.6, 0.7, 2.5), (0.61, 0.68, 2.0)):
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
        if tuple(out.shape) == (7, 4):
            raise Wrong(
                f"{where} gives shape (7, 4): a column for each image; expected (4, 7), a row for each."
            )
        if tuple(out.shape) != (4, 7):
            raise Wrong(
                f"One row of 7 logits for each image, no other axis: {where} gives shape {tuple(out.shape)}; expected (4, 7)."
            )
        if differs(out, out[:1].expand(4, 7)):
            raise Wrong(f"{where} answers differently from image to image; it should ignore the pixels.")
        row = out[0].detach()
        again = build_answer(answer, name, Trial((counts.clone(),), (4, 1, 48, 48)))
        if differs(again(torch.zeros(4, 1, 48, 48))[0], row, rtol=1e-3):
            raise Wrong(
                f"Two objects of {name} start with different logits: they are random. Start them at the logarithm "
                "of the frequencies, (counts / counts.sum()).log()."
            )
        _prior_values(row, counts, prior, where)
        parameters = list(module.parameters())
        if sum(one.numel() for one in parameters) > 7:
            names = ", ".join(f"{key} {tuple(one.shape)}" for key, one in module.named_parameters())
            raise Wrong(
                f"The seven logits should be the only parameter; it has {names}. The others would learn to look, "
                "or learn nothing."
            )
        if not parameters:
            raise Wrong(
                "The right logits, but nothing to train: a tensor is found by the optimiser only when it is "
                "an nn.Parameter of the object, self.logits = nn.Parameter(...) in __init__."
            )
        other = forward(module, torch.randn(2, 1, 48, 48), name, trial)
        if tuple(other.shape) != (2, 7):
            raise Wrong(f"{name} gives shape {tuple(other.shape)} for 2 images; expected (2, 7).")
        if not other.requires_grad:
            raise Wrong(f"No gradient reaches the parameters of {name}: detach or .data in forward?")
        _prior_learns(answer, module, counts)
    return "The least a network can know. Chapter 2 shows when a network should start from here."


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
        "These are logarithms of 1 + the counts: the rare classes come out wrong. log(counts / counts.sum()).": (
            1 + counts.float()
        ).log(),
        "These are logarithms of 1 + the frequencies: log(counts / counts.sum()), without the one.": (
            1 + prior
        ).log(),
        "These are logarithms of one minus the frequencies: log(counts / counts.sum()).": (1 - prior).log(),
        "These are logits of each class against the rest, log(p / (1 - p)), for a sigmoid; softmax undoes log(p).": (
            prior / (1 - prior)
        ).log(),
        "These are counts divided by the greatest. Softmax takes logits: the logarithm of the frequencies.": counts
        / counts.max(),
        "These are one over the frequencies, as class weights are. Softmax takes logits: log(p).": 1 / prior,
        "These are frequencies in per cent. Softmax takes logits: the logarithm of the frequencies.": 100
        * prior,
        "These are square roots of the frequencies. Softmax undoes the logarithm, torch.log.": prior.sqrt(),
        "These are frequencies to the e, exp; softmax does that itself: take the logarithm.": prior.exp(),
        "These are products p log p, as in the entropy: the logarithm alone.": prior * prior.log(),
        "The logarithm is taken twice, or its sign is lost: log(counts / counts.sum()).": (
            -prior.log()
        ).log(),
        "The softmax of the logarithm is p again: return the logarithm, and no softmax.": prior.log().softmax(
            0
        ),
        "These are the counts less their mean. Softmax takes logits: log(p).": (
            counts - counts.float().mean()
        )
        / counts.float().std(),
        "These are probabilities after a softmax; a network returns the logits before it.": prior.softmax(0),
    }
    for message, value in kinds.items():
        if not differs(row - row.mean(), value - value.mean(), rtol=1e-3, atol=1e-5):
            raise Wrong(f"{message} {where} found {_three(row)}.")
    raise Wrong(
        "Softmax should give back the frequencies: start the logits at (counts / counts.sum()).log().\n"
        f"{where} has logits whose softmax is {_three(row.softmax(0))}; expected the frequencies, "
        f"{_three(prior)}."
    )


def _prior_learns(answer: type[nn.Module], module: nn.Module, counts: torch.Tensor) -> None:
    """Raise `Wrong` unless training moves the logits of this object, and of no other."""
    labels = torch.tensor([1, 1, 1, 0])
    x = torch.zeros(4, 1, 48, 48)
    first = nn.functional.cross_entropy(module(x), labels)
    first.backward()
    with torch.no_grad():  # a step by hand: the first optimiser of a session takes seconds to import
        for value in module.parameters():
            if value.grad is not None:
                value.sub_(0.5 * value.grad)
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
