"""Checkers of chapter 13, The clinic. What is mended is tried on planted data, where the mistake would show."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fercourse.check.clinic import MISTAKES, PATIENTS, consult
from fercourse.check.core import Exercise, Wrong, as_array, run, want_function, want_module
from fercourse.check.functions import RESULT, Case, Mistake, judge_function, of
from fercourse.data import EMOTIONS
from fercourse.errors import nearest, shown

__all__ = ["MISTAKES", "PATIENTS", "consult"]


class _Told(BaseException):
    """What a planted model has to say to the student; no `except Exception` of theirs or ours catches it."""


class _Shared(list[Any]):
    """A list that copies of its owner go on sharing."""

    def __deepcopy__(self, _: Any) -> _Shared:
        return self


def _call(
    function: Callable[..., Any], *args: Any, what: str, causes: dict[str, str] | None = None, **options: Any
) -> Any:
    """Call the student's code; of an exception, say what is likely to have caused it."""
    try:
        return run(function, *args, what=what, **options)
    except _Told as error:
        raise Wrong(str(error)) from error
    except Wrong as error:
        raise _caused(error, causes or {}) from error


def _caused(error: Wrong, causes: dict[str, str]) -> Wrong:
    """Return what was raised, with its likely cause in front."""
    text = str(error)
    if " raised " in text:
        for part, cause in causes.items():
            if part.lower() in text.lower():
                return Wrong(f"{cause}\n{text}")
    return error


def _judge(answer: Any, name: str, causes: dict[str, str], **how: Any) -> None:
    """Judge a function as `judge_function` does, with the likely cause in front of an exception."""
    try:
        judge_function(answer, name, **how)
    except Wrong as error:
        raise _caused(error, causes) from error


def _number(value: Any) -> float | None:
    """Return one number of any kind, in a box or not; None where it is none."""
    if isinstance(value, (bool, np.bool_)):
        return None
    array = as_array(value)
    if array is None or array.dtype.kind != "f" or array.size != 1:
        return None
    return float(array.item())


# diagnose ---------------------------------------------------------------------------------------------------


def _diagnosis(found: Any, patient: str) -> tuple[str, int]:
    """Return mistake and finding of what a student returned; anything else is told."""
    asked = "return two values, the mistake's name and the number of the finding that decides"
    if found is None:
        raise Wrong(f"For patient {patient} it returns None: is a `return` missing?")
    if isinstance(found, str):
        raise Wrong(f"For patient {patient} it returns one text: {asked}.")
    if isinstance(found, dict):
        raise Wrong(f"For patient {patient} it returns a dictionary: {asked}, of this patient alone.")
    try:
        values = list(itertools.islice(found, 5))  # some never end
    except TypeError:
        values = []
    if len(values) != 2:
        raise Wrong(f"For patient {patient} it returns {shown(found, 40)}: {asked}.")
    name, finding = values
    if isinstance(finding, str) and finding.strip() in MISTAKES:
        raise Wrong(f"For patient {patient} the two values are swapped: first the mistake, then the finding.")
    if not isinstance(name, str):
        raise Wrong(
            f"For patient {patient} the mistake is {shown(name, 40)}; give its name, one of MISTAKES."
        )
    known = {one.lower(): one for one in MISTAKES}
    given = " ".join(name.split()).lower()
    if given not in known:
        close = nearest(given, list(known))
        raise Wrong(
            f"For patient {patient}: there is no {shown(name, 40)} among the twelve{close}. Copy the name as it is listed."
        )
    number = _number(int(finding) if isinstance(finding, str) and finding.strip().isdigit() else finding)
    count = len(PATIENTS[patient].findings)
    if number is None or number != int(number) or not 1 <= number <= count:
        raise Wrong(
            f"For patient {patient} the finding is {shown(finding, 40)}; it is a number from 1 to {count}, as in the chart."
        )
    return known[given], int(number)


def _judge_diagnose(answer: Any) -> str:
    if isinstance(answer, dict):
        raise Wrong(
            "diagnose should be a function; put the dictionary into it and return diagnoses[patient]."
        )
    want_function(answer, "diagnose")
    found: dict[str, tuple[str, int]] = {}
    missing = ""
    for patient in PATIENTS:
        causes = {
            "KeyError": f"There is no diagnosis of patient {patient} yet, or its letter is written otherwise.",
            "positional argument": "diagnose takes one argument, the patient's letter.",
        }
        try:
            found[patient] = _diagnosis(
                _call(answer, patient, what=f"diagnose({patient!r})", causes=causes), patient
            )
        except Wrong as error:
            missing = missing or str(error)
    if len(found) > 2 and len({name for name, _ in found.values()}) == 1:
        raise Wrong(
            "All patients get the same diagnosis: is the argument used? Each suffers from another mistake."
        )
    right = [
        p
        for p, (name, finding) in found.items()
        if (name, finding) == (PATIENTS[p].mistake, PATIENTS[p].decisive)
    ]
    score = f"({len(right)} of {len(PATIENTS)} are right, finding included.)"
    for patient, (name, finding) in found.items():
        one = PATIENTS[patient]
        if name != one.mistake:
            raise Wrong(f"Patient {patient}. {consult(patient, name)}\n{score}")
        if finding != one.decisive:
            raise Wrong(
                f"Patient {patient}: the mistake is right, but finding {finding} ({one.findings[finding - 1]}) does not "
                f"decide: {one.common[finding]}.\n{score}"
            )
    if missing:
        raise Wrong(f"{missing}\n{score}")
    return "Eight of eight, each by the finding that no other mistake would give."


diagnose = Exercise("ch13", "diagnose", _judge_diagnose)


# macro_f1 ---------------------------------------------------------------------------------------------------


def _counts(labels: Any, preds: Any, classes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, p = np.asarray(labels), np.asarray(preds)
    hits = np.array([((y == k) & (p == k)).sum() for k in classes], float)
    return (
        hits,
        np.array([(y == k).sum() for k in classes], float),
        np.array([(p == k).sum() for k in classes], float),
    )


def _macro_f1(labels: Any, preds: Any, *, kind: str = "right", over: str = "seen") -> Any:
    """The right answer, and with other options the wrong ones."""
    y, p = np.asarray(labels), np.asarray(preds)
    if over == "common":
        classes: Any = np.intersect1d(y, p)
    else:
        classes = {"seen": np.union1d(y, p), "labels": np.unique(y), "preds": np.unique(p), "seven": np.arange(7),
                   "to the last": np.arange(max(y.max(), p.max()) + 1), "six": np.arange(1, 7), "to the last label": np.arange(y.max() + 1),
                   "hit": np.unique(y[y == p])}[over]  # fmt: skip
    if not len(classes):
        return 0.0
    hits, rows, columns = _counts(y, p, classes)
    with np.errstate(all="ignore"):
        precision, recall = hits / columns, hits / rows
        p0, r0 = np.nan_to_num(precision), np.nan_to_num(recall)
        f1 = np.where(rows + columns > 0, 2 * hits / (rows + columns), 0.0)
        raw = 2 * precision * recall / (precision + recall)
        kinds: dict[str, Callable[[], Any]] = {
            "right": lambda: f1.mean(),
            "micro": lambda: (y == p).mean(),
            "weighted": lambda: (f1 * rows).sum() / rows.sum(),
            "by column": lambda: (f1 * columns).sum() / columns.sum(),
            "of means": lambda: (
                2 * p0.mean() * r0.mean() / (p0.mean() + r0.mean()) if p0.mean() + r0.mean() else 0.0
            ),
            "precision": lambda: p0.mean(),
            "recall": lambda: r0.mean(),
            "nanmean": lambda: np.nanmean(raw),
            "nan": lambda: raw.mean(),
            "classes": lambda: f1,
            "jaccard": lambda: np.nan_to_num(hits / (rows + columns - hits)).mean(),
            "no two": lambda: f1.mean() / 2,
            "average": lambda: ((p0 + r0) / 2).mean(),
            "geometric": lambda: np.sqrt(p0 * r0).mean(),
            "product": lambda: (p0 * r0).mean(),
            "first": lambda: f1[0],
            "last": lambda: f1[-1],
            "median": lambda: np.median(f1),
            "least": lambda: f1.min(),
            "greatest": lambda: f1.max(),
            "sum": lambda: f1.sum(),
            "f2": lambda: np.nan_to_num(5 * hits / (4 * rows + columns)).mean(),
            "halves": lambda: ((y == p).mean() + f1.mean()) / 2,
            "per cent": lambda: 100 * f1.mean(),
            "wrong denominator": lambda: np.nan_to_num(2 * hits / (rows + columns - hits)).mean(),
            "against all": lambda: np.mean(
                [(2 * ((y != k) & (p != k)).sum()) / max(1, (y != k).sum() + (p != k).sum()) for k in classes]
            ),
            "ones": lambda: np.where(hits > 0, f1, 1.0).mean(),
        }
        return kinds[kind]()


def _explain_f1(seen: dict[str, Any], *_: Any) -> str | None:
    found = _number(seen[RESULT])
    if found is None:
        return None
    if np.isnan(found):
        return "It is NaN: 0 is divided by 0. A class that occurs and is never hit has an F1 of 0; one that occurs neither among the labels nor among the predictions does not count."
    if found > 1 + 1e-9:
        return "F1 cannot be above 1."
    return None


def _judge_macro_f1(answer: Any) -> str:
    draw = np.random.default_rng(13)

    def case(words: str, labels: Any, preds: Any) -> Case:
        return of(np.asarray(labels), np.asarray(preds), words=words, rtol=1e-6)

    y = draw.choice(7, 200, p=(0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17))
    y[:7] = np.arange(7)
    p = np.where(draw.random(200) < 0.6, y, draw.integers(0, 7, 200))
    p[:7] = np.arange(7)
    never = np.where(p == 1, 3, p)
    some = (y != 1) & (y != 5)
    absent = np.where((p == 1) | (p == 5), 3, p)[some]
    invented = p[some].copy()
    invented[:2] = (1, 5)

    def wrong(message: str, **options: Any) -> Mistake:
        return Mistake(partial(_macro_f1, **options), message)

    unlabelled = "A class that is predicted without having an image has an F1 of 0, and counts; here it is left out: the mean is over the classes of the labels alone."
    _judge(
        answer,
        "macro_f1",
        causes={
            "ZeroDivision": "A class may have no image, or no prediction, or no hit: F1 as 2 h / (n + m) needs no other quotient, and is 0 without a hit.",
            "multiclass": "f1_score must be told which mean it is to take: average=\"macro\".",
            "truth value of an array": "`and`, `or` and == without brackets do not go image by image: (labels == k) & (preds == k).",
        },
        reference=_macro_f1,
        cases=[
            case("200 labels and predictions of seven classes", y, p),
            case("labels [0, 0, 2, 2, 2, 5] and predictions [0, 5, 2, 2, 0, 2]", [0, 0, 2, 2, 2, 5], [0, 5, 2, 2, 0, 2]),
            case("predictions that never name class 1", y, never),
            case("labels without classes 1 and 5, which nobody predicts", y[some], absent),
            case("labels without classes 1 and 5, which are predicted all the same", y[some], np.where(np.isin(invented, (0, 2)), 1, invented)),
            case("labels [0, 0, 2, 2, 2] and predictions [0, 2, 2, 2, 0]", [0, 0, 2, 2, 2], [0, 2, 2, 2, 0]),
            case("labels [3, 3, 3, 6] and predictions [3, 3, 3, 3]", [3, 3, 3, 6], [3, 3, 3, 3]),
            case("one image, wrongly answered", [4], [2]),
            case("one image, rightly answered", [6], [6]),
        ],
        mistakes=[
            wrong("That is the accuracy, and so is micro-F1: every hit counts the same. Take F1 class by class, then their mean.", kind="micro"),
            wrong("The mean is weighted by how many images a class has, so that a small class hardly counts: take the plain mean.", kind="weighted"),
            wrong("The mean is weighted by how often a class is predicted: take the plain mean.", kind="by column"),
            wrong("That is the F1 of the mean precision and the mean recall; take F1 of each class first, then the mean.", kind="of means"),
            wrong("That is the mean precision: F1 looks at recall as well.", kind="precision"),
            wrong("That is the mean recall, the balanced accuracy: F1 looks at precision as well.", kind="recall"),
            *(wrong("That is the mean recall over the classes that have images, the balanced accuracy: F1 looks at precision as well.", kind="recall", over=over) for over in ("labels",)),
            wrong("A class that is never hit is left out (its F1 is 0/0 if computed from precision and recall, and the NaN is skipped): it counts as 0.", kind="nanmean"),
            wrong("A class that is never hit is left out: it has an F1 of 0, and counts.", over="hit"),
            wrong("A class that is never hit gets an F1 of 1: it is 0.", kind="ones"),
            wrong("Those are the F1 of each class; their mean is asked for.", kind="classes"),
            wrong("That is hits over the union (Jaccard); F1 is 2 hits / (images + predictions of the class).", kind="jaccard"),
            wrong("The factor 2 is missing: F1 = 2 P R / (P + R).", kind="no two"),
            wrong("F1 is the harmonic mean of precision and recall, 2 P R / (P + R), not their plain mean.", kind="average"),
            wrong("F1 is the harmonic mean of precision and recall, not the root of their product.", kind="geometric"),
            wrong("That is precision times recall: F1 = 2 P R / (P + R).", kind="product"),
            wrong("That is the F1 of the first class alone: does the `return` stand inside the loop?", kind="first"),
            wrong("That is the F1 of the last class alone: gather them in a list.", kind="last"),
            wrong("That is the median over the classes; the mean is asked for.", kind="median"),
            wrong("That is the least F1; the mean is asked for.", kind="least"),
            wrong("That is the greatest F1; the mean is asked for.", kind="greatest"),
            wrong("The F1 are added up: divide by the number of classes.", kind="sum"),
            wrong("That is F2, in which recall weighs more.", kind="f2"),
            wrong("That is the mean of accuracy and macro-F1; macro-F1 alone is asked for.", kind="halves"),
            wrong("It is in per cent: a share between 0 and 1 is asked for.", kind="per cent"),
            wrong("The hits are taken away below: 2 hits / (images + predictions), where the hits are in both.", kind="wrong denominator"),
            wrong("That is the F1 of *not* being in the class.", kind="against all"),
            wrong(unlabelled, over="labels"),
            wrong("A class that has images and is never predicted has an F1 of 0, and counts; here the mean is over the predicted classes alone.", over="preds"),
            wrong("The mean is over the classes that are both labelled and predicted; one of the two is enough.", over="common"),
            wrong("The mean is always over seven classes; leave out a class that is neither among the labels nor among the predictions.", over="seven"),
            wrong("The mean is over all numbers up to the greatest class; leave out a class that is neither among the labels nor among the predictions.", over="to the last"),
            wrong("The mean is over all numbers up to the greatest label: take the classes that occur among labels or predictions.", over="to the last label"),
            wrong("Class 0 is left out.", over="six"),
        ],
        explain=_explain_f1,
    )  # fmt: skip
    return "Report it beside the accuracy, never instead, and say which mean it is."


macro_f1 = Exercise("ch13", "macro_f1", _judge_macro_f1)


# to_emotions ------------------------------------------------------------------------------------------------


def _to_emotions(labels: Any, folders: Sequence[str]) -> np.ndarray:
    places = np.array([EMOTIONS.index(name) for name in folders])
    return places[np.asarray(labels)]


def _one_after_the_other(labels: Any, folders: Sequence[str], order: int = 1) -> np.ndarray:
    result = np.array(labels)
    for place, name in list(enumerate(folders))[::order]:
        result[result == place] = EMOTIONS.index(name)
    return result


_BY_NAME = sorted(EMOTIONS)


def _judge_to_emotions(answer: Any) -> str:
    draw = np.random.default_rng(4)

    def case(words: str, folders: Sequence[str], labels: Any = None) -> Case:
        given = draw.permutation(np.r_[np.arange(len(folders)), draw.integers(0, len(folders), 12)])
        return of(
            given if labels is None else np.asarray(labels, np.int64),
            list(folders),
            words=words,
            observe=_listed,
        )

    few = [name for name in _BY_NAME if name != "disgust"]
    five = ["angry", "happy", "neutral", "sad", "surprise"]
    found = ["surprise", "fear", "angry", "neutral", "sad", "disgust", "happy"]

    def table(labels: Any, names: Sequence[str]) -> np.ndarray:
        return np.array([EMOTIONS.index(n) for n in names])[np.asarray(labels)]

    _judge(
        answer,
        "to_emotions",
        causes={
            "only integer scalar": "A list takes one number at a time: go through the labels, or make the table an array.",
            "tuple indices must be": "EMOTIONS[...] asks for a number; the place of a name is EMOTIONS.index(name).",
            "list indices must be": "A list takes one whole number at a time: go through the labels, or make the table an array.",
            "is not in list": "A folder may be missing, so that not every emotion stands in `folders`: look up folders[label] in EMOTIONS.",
            "KeyError": "The table lacks one of the labels or names: it needs a place for each name in `folders`.",
            "out of bounds": "The table has fewer places than there are folders, or is asked the wrong way round: one place for each folder.",
            "out of range": "`folders` is asked for more names than it has: label k means folders[k].",
        },
        reference=_to_emotions,
        cases=[
            case("the seven folders in alphabetical order", _BY_NAME),
            case("six folders, disgust missing", few),
            case("seven folders in no order", found),
            case("five folders", five),
            case("two folders, ['sad', 'happy']", ["sad", "happy"]),
            case("folders in the data set's own order", EMOTIONS),
            case("one image", _BY_NAME, [5]),
        ],
        mistakes=[
            Mistake(lambda y, f: np.asarray(y), "The labels come out as they went in: number k still means folder k, not EMOTIONS[k]."),
            Mistake(lambda y, f: np.array([list(f).index(e) if e in f else 0 for e in EMOTIONS])[np.asarray(y)], "The way back is taken: that is the folder of a label in the data set's order. Look up the *name*, folders[label], in EMOTIONS."),
            Mistake(lambda y, f: np.argsort([EMOTIONS.index(n) for n in f])[np.asarray(y)], "The way back is taken (argsort gives it): look up the *name*, folders[label], in EMOTIONS."),
            Mistake(lambda y, f: table(y, _BY_NAME), "The seven folders in alphabetical order are taken for granted: use `folders`, in which one may be missing or the order another."),
            Mistake(lambda y, f: table(y, sorted(f)), "The folders are sorted first: `folders` is already in the order in which the labels count."),
            Mistake(_one_after_the_other, "The labels are replaced one class after the other in the same array: what has become another class already is replaced again. Compare with the labels as they were."),
            Mistake(partial(_one_after_the_other, order=-1), "The labels are replaced one class after the other in the same array: what has become another class already is replaced again. Compare with the labels as they were."),
            Mistake(lambda y, f: np.array([f[i] for i in np.asarray(y)]), "Those are the names; their places in EMOTIONS are asked for, as numbers."),
            Mistake(lambda y, f: np.array([sorted(EMOTIONS).index(f[i]) for i in np.asarray(y)]), "The names are looked up in the alphabetical order: look them up in EMOTIONS as it stands."),
            Mistake(lambda y, f: np.array([f.index(EMOTIONS[i]) for i in np.asarray(y)]), "The way back is taken: the name of a label is folders[label], and its place is in EMOTIONS."),
            Mistake(lambda y, f: np.array([EMOTIONS.index(n) for n in f]), "That is the table from folders to classes; apply it to the labels: table[labels]."),
            Mistake(lambda y, f: np.sort(_to_emotions(y, f)), "The labels are sorted: each must stay with its image."),
            Mistake(lambda y, f: np.where(np.asarray(y) == 4, 6, np.where(np.asarray(y) == 6, 4, np.asarray(y))), "Two classes are exchanged; the seven folders in alphabetical order differ in three: neutral, sad and surprise."),
            Mistake(lambda y, f: np.eye(7, dtype=int)[_to_emotions(y, f)], "Those are one-hot rows; one number an image is asked for."),
            Mistake(lambda y, f: _to_emotions(y, f) + 1, "Classes are counted from 0 in EMOTIONS."),
            Mistake(lambda y, f: {n: EMOTIONS.index(n) for n in f}, "That is the table from names to classes; apply it to the labels."),
        ],
        explain=_explain_emotions,
    )  # fmt: skip
    return "From names, never from places: it holds for any folders, in any order."


def _listed(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    """Take iterators that hold numbers for lists."""
    if isinstance(result, (map, range)):
        result = list(result)
    return {RESULT: result}


def _explain_emotions(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    found, right = as_array(seen[RESULT]), np.asarray(expected[RESULT])
    if found is not None and found.dtype.kind in "US":
        return "Those are names; their places in EMOTIONS are asked for, as numbers."
    if found is None or found.shape != right.shape or found.dtype.kind != "f":
        return None
    bad = sorted({arguments[1][label] for label in np.asarray(arguments[0])[found != right]})
    if not bad:
        return None
    return f"Wrong for the folders {', '.join(bad)} alone: each label is the place of its folder's name in EMOTIONS."


to_emotions = Exercise("ch13", "to_emotions", _judge_to_emotions)


# splits -----------------------------------------------------------------------------------------------------

_USAGE = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


def _splits(paths: Sequence[str], names: dict[str, str] = _USAGE) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for path in paths:
        usage = str(path).rpartition("/")[2].partition("_")[0]
        if usage in names:
            found[names[usage]].append(path)
    return found


def _by(rule: Callable[[str], str | None]) -> Callable[[Sequence[str]], Any]:
    def split(paths: Sequence[str]) -> Any:
        found: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for path in paths:
            if (name := rule(path)) is not None:
                found[name].append(path)
        return found

    return split


def _folder(path: str) -> str | None:
    return "train" if "/train/" in path else "test" if "/test/" in path else None


def _anywhere(*order: str) -> Callable[[str], str | None]:
    def rule(path: str) -> str | None:
        return next((_USAGE[word] for word in order if word in path), None)

    return rule


def _halves(paths: Sequence[str]) -> Any:
    found = _by(_folder)(paths)
    held = found["test"]
    return {"train": found["train"], "val": held[: len(held) // 2], "test": held[len(held) // 2 :]}


def _tidy_paths(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    """Take paths for texts, and tuples and arrays for lists."""
    if isinstance(result, dict):
        result = {
            key: value
            if isinstance(value, list) and all(isinstance(p, str) for p in value)
            else [str(p) if isinstance(p, PurePath) else p for p in value]
            if isinstance(value, (list, tuple, np.ndarray))
            else value
            for key, value in result.items()
        }
    return {RESULT: result}


_MERGED = "PublicTest and PrivateTest are merged, as they lie in the folder test (and as in torchvision's FER2013): PublicTest is val, PrivateTest test, and only the file's name tells them apart."
_ROUGH: dict[Callable[[Sequence[str]], Any], str] = {
    lambda p: _splits(p, {"Training": "train", "PublicTest": "test", "PrivateTest": "val"}): "Val and test are swapped: PublicTest is val, PrivateTest is test.",
    _halves: "What is in the folder test is cut into halves; the file's name says what is val and what is test.",
    lambda p: _merge(_splits(p), "test"): _MERGED,
    lambda p: _merge(_splits(p), "val"): _MERGED,
}  # fmt: skip


def _sorted(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: sorted(map(str, paths)) for name, paths in found.items()}


def _explain_splits(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, right = seen[RESULT], expected[RESULT]
    if isinstance(found, (list, tuple)) and len(found) == 3:
        return "It returns three lists; a dictionary with the keys 'train', 'val' and 'test' is asked for."
    if not isinstance(found, dict):
        return None
    if set(found) == set(_USAGE):
        return "The keys are the data set's names; they are 'train', 'val' and 'test', PublicTest being val and PrivateTest test."
    if set(right) - set(found):
        missing = ", ".join(sorted(set(right) - set(found)))
        return f"The key {missing} is missing: all three are asked for, with an empty list where there is no image."
    if set(found) - set(right):
        return None
    for name, value in found.items():
        if isinstance(value, (int, np.integer)):
            return "Those are counts; the paths themselves are asked for."
        if isinstance(value, (set, frozenset)):
            return "A set has no order: give the paths in a list, in the order in which they came."
        if not isinstance(value, list):
            return f"What stands under {name!r} is {type(value).__name__}, not a list of paths."
    if len({id(value) for value in found.values()}) == 1 and any(found.values()):
        return "All three keys hold one and the same list (dict.fromkeys makes it so): each needs a list of its own."
    if not any(found.values()) and any(right.values()):
        return "All three lists are empty: names only *begin* with Training, PublicTest or PrivateTest, as in PrivateTest_88305.jpg; and nothing is to be looked up on the disk, as the paths are given."
    flat = [path for value in found.values() for path in value]
    given = list(arguments[0])
    for rule, text in _ROUGH.items():
        if sum(map(bool, found.values())) > 1 and _sorted(rule(given)) == _sorted(found):
            return text
    for name, usage in zip(("train", "val", "test"), _USAGE, strict=True):
        strangers = [path for path in found[name] if path not in right[name]]
        if strangers and strangers[0] not in given:
            base = str(strangers[0]) in {p.rpartition("/")[2] for p in given}
            return "Those are the files' names; the whole paths are asked for, as they came." if base else (
                f"Under {name!r} there is {shown(strangers[0], 60)}, which was not given."
            )  # fmt: skip
        if strangers:
            own = strangers[0].rpartition("/")[2].partition("_")[0]
            if own not in _USAGE:
                return f"A file that is no image of the three kinds, {shown(strangers[0], 60)}, is put under {name!r}: leave it out."
            where = (
                " A folder above it has a misleading name."
                if usage in strangers[0] or name in strangers[0].rpartition("/")[0]
                else ""
            )
            return f"{shown(strangers[0], 70)} is put under {name!r}; its own name says {own}.{where}"
        if sorted(found[name]) == sorted(right[name]) and found[name] != right[name]:
            return "The paths are all there, in another order: leave them in the order in which they came."
    if len(flat) < sum(map(len, right.values())):
        lost = next(path for value in right.values() for path in value if path not in flat)
        return f"{shown(lost, 70)} is in none of the three."
    return None


def _judge_splits(answer: Any) -> str:
    draw = np.random.default_rng(9)

    def files(root: str, counts: dict[str, int], folders: dict[str, str] | None = None) -> list[str]:
        places = folders or {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
        return [
            f"{root}{places[usage]}/{EMOTIONS[draw.integers(7)]}/{usage}_{draw.integers(10**7)}.jpg"
            for usage, count in counts.items()
            for _ in range(count)
        ]

    def mixed(paths: list[str]) -> list[str]:
        return [paths[i] for i in draw.permutation(len(paths))]

    plain = mixed(files("archive/", {"Training": 12, "PublicTest": 4, "PrivateTest": 7}))
    nested = mixed(files("/home/test/train/fer/", {"Training": 5, "PublicTest": 4, "PrivateTest": 3}))
    named = mixed(
        files("/data/PrivateTest_copy/", {"Training": 3, "PublicTest": 3, "PrivateTest": 2})
        + files("/data/PublicTest_copy/", {"Training": 2, "PublicTest": 2, "PrivateTest": 3})
        + files("/data/Training_run/", {"Training": 2, "PublicTest": 2, "PrivateTest": 2})
    )
    others = mixed(
        [*plain[:9], "archive/test/Thumbs.db", "archive/train/happy/.DS_Store", "archive/readme.txt"]
    )
    within = mixed(
        [*plain[:9], "archive/test/happy/old_PrivateTest_12.jpg", "archive/train/fear/my_Training_7.jpg"]
    )
    alone = files("fer/", {"PrivateTest": 3})
    elsewhere = mixed(
        files("fer/", {"Training": 3, "PublicTest": 3, "PrivateTest": 3},
              {"Training": "a", "PublicTest": "b", "PrivateTest": "c"})
    )  # fmt: skip

    def case(paths: list[str], words: str) -> Case:
        return of(paths, words=words, observe=_tidy_paths)

    def wrong(message: str, function: Callable[..., Any]) -> Mistake:
        return Mistake(function, message)

    swapped = "Val and test are swapped: PublicTest is val, PrivateTest is test."
    by_folder = "The folder decides; but the folder test holds val and test mixed, and only the file's name tells them apart."
    above = "The word is looked for in the whole path, and a folder above may hold it too: look at the file's own name."

    def reversed_roles(paths: Sequence[str]) -> Any:
        return _splits(paths, {"Training": "train", "PublicTest": "test", "PrivateTest": "val"})

    def own_name(path: str) -> str:
        return path.rpartition("/")[2]

    _judge(
        answer,
        "splits",
        causes={
            "files among them": "A file that is none of the three kinds stops the program: leave it out.",
            "No such file": "The files need not be there: only the paths are given.",
            "KeyError": "A file's name is none of the three, or a key is missing at the start: begin with three empty lists.",
        },
        reference=_splits,
        cases=[
            case(plain, "the paths of a common copy, in no order"),
            case(nested, "a copy under /home/test/train/fer/"),
            case(elsewhere, "a copy whose folders have other names"),
            case(named, "copies under folders such as /data/PrivateTest_copy/"),
            case(others, "paths with files among them that are no images"),
            case(alone, "paths of PrivateTest alone"),
            case(within, "paths with old_PrivateTest_12.jpg and my_Training_7.jpg among them"),
            case([], "no path at all"),
        ],
        mistakes=[
            wrong(swapped, reversed_roles),
            wrong(by_folder, _by(_folder)),
            wrong(by_folder, _by(lambda p: {"train": "train", "test": "val"}.get(_folder(p) or ""))),
            wrong("What is in the folder test is cut into halves; the file's name says what is val and what is test.", _halves),
            wrong("PublicTest and PrivateTest are merged into test, as in torchvision's FER2013; val is empty.", lambda p: _merge(_splits(p), "test")),
            wrong("PublicTest and PrivateTest are merged into val; test is empty.", lambda p: _merge(_splits(p), "val")),
            *(wrong(above, _by(_anywhere(*order))) for order in (("Training", "PublicTest", "PrivateTest"), ("PublicTest", "PrivateTest", "Training"), ("PrivateTest", "PublicTest", "Training"), ("Training", "PrivateTest", "PublicTest"), ("PublicTest", "Training", "PrivateTest"))),
            wrong("Everything that is neither Training nor PublicTest is called test, also files that are no images of the data set: leave them out.", _by(lambda p: {"Training": "train", "PublicTest": "val"}.get(own_name(p).partition("_")[0], "test"))),
            wrong("Everything that is neither Training nor PrivateTest is called val, also files that are no images of the data set: leave them out.", _by(lambda p: {"Training": "train", "PrivateTest": "test"}.get(own_name(p).partition("_")[0], "val"))),
            wrong("Everything that is neither PublicTest nor PrivateTest is called train, also files that are no images of the data set: leave them out.", _by(lambda p: {"PublicTest": "val", "PrivateTest": "test"}.get(own_name(p).partition("_")[0], "train"))),
            wrong("The word is looked for anywhere in the file's own name; it must stand at its start, as in PrivateTest_88305.jpg.", _by(lambda p: _anywhere("Training", "PublicTest", "PrivateTest")(own_name(p)))),
            wrong("The paths are sorted: leave them in the order in which they came.", lambda p: _splits(sorted(p))),
            wrong("Those are counts; the paths themselves are asked for.", lambda p: {k: len(v) for k, v in _splits(p).items()}),
            wrong("Those are the files' names; the whole paths are asked for, as they came.", lambda p: {k: [own_name(x) for x in v] for k, v in _splits(p).items()}),
            wrong("Copies of train stand in val, too.", lambda p: _splits(p) | {"val": _splits(p)["train"]}),
            wrong("Val and test hold the same images: PublicTest is val alone, PrivateTest is test alone.", lambda p: _splits(p) | {"val": _splits(p)["test"]}),
        ],
        explain=_explain_splits,
    )  # fmt: skip
    return "The file's own name decides, so that no folder can mix the roles."


def _merge(found: dict[str, list[str]], into: str) -> dict[str, list[str]]:
    both = found["val"] + found["test"]
    return {"train": found["train"], "val": [], "test": []} | {into: both}


splits = Exercise("ch13", "splits", _judge_splits)


# accuracy_of ------------------------------------------------------------------------------------------------


class _Planted(nn.Module):
    """Answers as planted, image by image, and notes how it was asked. In train mode it answers otherwise."""

    def __init__(self, preds: np.ndarray, in_training: np.ndarray, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.table = {True: torch.as_tensor(in_training), False: torch.as_tensor(preds)}
        self.classes = classes
        self.asked = _Shared()
        self.modes = _Shared()

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise _Told(
                f"The model is asked with a tensor of shape {tuple(x.shape)}; it takes batches (B, 1, height, width), also of one image."
            )
        places = x.detach()[:, 0, 0, 0]
        whole = places.round().long()
        if len(x) == 0:
            raise _Told("The model is asked with a batch of no images: stop when there are none left.")
        if (places - whole).abs().max() > 1e-4 or whole.min() < 0 or whole.max() >= len(self.table[False]):
            raise _Told("The images are changed before the model sees them: give them to it as they are.")
        self.asked.append(whole.numpy())
        self.modes.append((self.training, torch.is_grad_enabled()))
        return 4 * nn.functional.one_hot(self.table[self.training][whole], self.classes) * self.weight - 1


def _evaluation(n: int, seed: int, share: float) -> tuple[Tensor, np.ndarray, _Planted]:
    """Return images, labels and a model that is right on most of the images, less often on the last ones."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 7, n)
    hit = draw.random(n) < np.linspace(share, share - 0.5, n)
    hit[0] = True
    if n > 1:
        hit[-1] = False
    preds = np.where(hit, labels, (labels + 1 + draw.integers(0, 6, n)) % 7)
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    images[:, 0, 0, 0] = torch.arange(n).float()
    return images, labels, _Planted(preds, np.where(draw.random(n) < 0.5, preds, (labels + 2) % 7), 7)


def _named_share(found: float, hits: np.ndarray, size: int) -> str | None:
    """Say which other number of the same answers it is."""
    n, batches = len(hits), [hits[i : i + size] for i in range(0, len(hits), size)]
    whole = n // size * size
    kinds: list[tuple[float, str]] = [
        (100 * hits.mean(), "It is in per cent: a share between 0 and 1 is asked for."),
        (hits.sum(), "It is the number of hits: divide by the number of images."),
        (1 - hits.mean(), "It is the share of wrong answers: is it != for ==, or has .argmax(dim=1) lost its dim?"),
        (np.mean([b.mean() for b in batches]), "It is the plain mean of the batches' accuracies. The last batch is smaller, and counts as much as a whole one: count hits, and divide once by the number of images."),
        (np.mean([b.mean() for b in batches[: max(1, n // size)]]), "The last batch, which is smaller, is left out of the mean."),
        (hits[:whole].sum() / n, "The hits of the last batch are missing, though its images are counted."),
        (hits.sum() / whole if whole else -1, "The images of the last batch are missing below: divide by all images."),
        (hits.sum() / (len(batches) * size), "It is divided by batches times batch_size; the last batch is smaller: divide by the number of images."),
        (sum(b.mean() for b in batches), "The batches' accuracies are added up: count hits, and divide once by the number of images."),
        (hits.sum() / len(batches), "The hits are divided by the number of batches: divide by the number of images."),
        (hits.sum() / size, "The hits are divided by batch_size: divide by the number of images."),
        (sum(b.mean() * size for b in batches) / n, "Each batch is weighted by batch_size; the last one is smaller: weigh by its own length."),
        (sum(b.mean() * size for b in batches) / (len(batches) * size), "It is the plain mean of the batches' accuracies; the last batch is smaller."),
        (sum(b.sum() / size for b in batches) / len(batches), "Hits of each batch are divided by batch_size, also those of the last one, which is smaller."),
        (batches[-1].mean(), "It is the accuracy of the last batch alone: add up over the batches."),
        (batches[-1].sum() / n, "Only the hits of the last batch are counted: add them up (+=)."),
        (batches[0].mean(), "It is the accuracy of the first batch alone: does the `return` stand inside the loop?"),
        (batches[0].sum() / n, "Only the hits of the first batch are counted: does the `return` stand inside the loop?"),
        (sum(b.mean() * len(b) for b in batches) / whole if whole else -1, "The images of the last batch are missing below: divide by all images."),
        (np.median([b.mean() for b in batches]), "It is the median of the batches' accuracies."),
        (0.0, "It is 0: are predictions (the class with the greatest logit) compared with labels, and the hits kept?"),
    ]  # fmt: skip
    return next((words for value, words in kinds if np.isclose(found, value, atol=1e-6)), None)


def _judge_accuracy_of(answer: Any) -> str:
    want_function(answer, "accuracy_of")
    causes = {
        "requires grad": "Gradients are on, so that the logits hang on the model: evaluate under torch.no_grad().",
        "ZeroDivision": "With fewer images than batch_size the loop makes no batch at all: the last, smaller batch must count.",
        "expected a non-empty list": "With fewer images than batch_size the loop makes no batch at all: the last, smaller batch must count.",
        "non-empty TensorList": "With fewer images than batch_size the loop makes no batch at all: the last, smaller batch must count.",
        "tensor a (7)": "The seven logits of an image meet its label: is .argmax(dim=1) missing, or along another axis?",
        "must match the size": "Predictions and labels of one batch differ in number: the last batch is smaller than batch_size.",
        "not support argument 0": "Is .argmax(1) missing? The model returns logits, (B, 7).",
        "positional argument": "accuracy_of takes four arguments: model, images, labels, batch_size.",
    }
    #         images, batch size, in train mode beforehand
    for number, (n, size, trains) in enumerate(
        [
            (10, 4, False),
            (11, 4, True),
            (3, 8, True),
            (12, 4, False),
            (5, 1, True),
            (9, 9, False),
            (65, 32, True),
            (1, 6, False),
        ]
    ):
        images, labels, model = _evaluation(n, 30 + number, 0.9)
        model.train(trains)
        kept_images, kept_labels = images.clone(), torch.as_tensor(labels.copy())
        given = torch.as_tensor(labels)
        words = f"{n} images in batches of {size}, model in {'train' if trains else 'eval'} mode"
        found = _call(
            answer, model, images, given, size, what=f"accuracy_of, called with {words},", causes=causes
        )
        _judge_evaluation(found, model, labels, size, trains, words)
        if not (torch.equal(images, kept_images) and torch.equal(given, kept_labels)):
            raise Wrong("It changes the images or labels that it is given: work on a copy.")
        if model.weight.grad is not None:
            raise Wrong("It computes gradients; to measure, none are needed: torch.no_grad().")
    return "Every image once, all images alike: no batch size can change this number."


def _judge_evaluation(
    found: Any, model: _Planted, labels: np.ndarray, size: int, trains: bool, words: str
) -> None:
    """Judge how the model was asked, then the number."""
    where = f"Called with {words}"
    n = len(labels)
    seen = np.concatenate(model.asked) if model.asked else np.zeros(0, int)
    lengths = [len(one) for one in model.asked]
    times = np.bincount(seen, minlength=n)
    unseen, again = int((times == 0).sum()), int((times > 1).sum())
    if found is None:
        raise Wrong(f"It returns None: is a `return` missing?\n{where}.")
    if not lengths:
        if n < size:
            raise Wrong(
                f"The model is never asked: fewer images than batch_size make one smaller batch, which is dropped.\n{where}."
            )
        raise Wrong(f"The model is never asked.\n{where}.")
    if max(lengths) > size:
        raise Wrong(
            f"A batch of {max(lengths)} images is given to the model; batch_size is {size}, and more may not fit into memory.\n{where}."
        )
    if unseen:
        last = set(np.flatnonzero(times == 0)) == set(range(n - unseen, n))
        if lengths == [min(size, n)] and n > 2 * size:
            raise Wrong(
                f"Only the first batch is evaluated: does the `return` stand inside the loop?\n{where}, {unseen} of {n} images never reach the model."
            )
        if last and unseen < size:
            raise Wrong(
                f"The last batch, which is smaller, is dropped.\n{where}, {unseen} of {n} images never reach the model."
            )
        raise Wrong(f"Images are left out.\n{where}, {unseen} of {n} images never reach the model.")
    if again:
        if times.min() > 1:
            raise Wrong(f"Each image reaches the model {times.min()} times; once is enough.\n{where}.")
        raise Wrong(
            f"Some images count twice: is the last batch filled up, or do batches overlap?\n{where}, {again} of {n} images reach the model more than once."
        )
    if any(training for training, _ in model.modes):
        raise Wrong(
            f"The model is evaluated in train mode, in which dropout is on and batch norm uses the batch's own statistics: call model.eval() first.\n{where}."
        )
    hits = model.table[False].numpy() == labels
    number = _number(found)
    if number is None:
        array = as_array(found)
        if isinstance(found, (tuple, list)) or (array is not None and array.size > 1):
            raise Wrong(
                f"It returns several values; one number is asked for: divide all hits by all images.\n{where}."
            )
        raise Wrong(f"It returns {shown(found, 40)}; a number between 0 and 1 is asked for.\n{where}.")
    if (
        number > 1
        and abs(number - round(number)) > 1e-6
        and not np.isclose(number, 100 * hits.mean(), atol=1e-3)
    ):
        raise Wrong(
            f"A share cannot be above 1: is it a loss, or are batches' accuracies added up?\n{where}, it is {number:.6g}."
        )
    if not np.isclose(number, hits.mean(), atol=1e-6):
        told = _named_share(number, hits, size) or ""
        if not told and np.isclose(number, hits.mean(), atol=0.00501):
            told = "It is rounded: return the share itself."
        raise Wrong(
            f"{told}\n{where}, it is {number:.6g}, expected {hits.mean():.6g} ({hits.sum()} of {n}).".lstrip()
        )
    if any(grad for _, grad in model.modes):
        raise Wrong(
            f"Gradients are on while the model answers, which costs memory for nothing: put the loop under torch.no_grad().\n{where}."
        )
    if model.training != trains:
        before, after = ("train", "eval") if trains else ("eval", "train")
        raise Wrong(
            f"The model came in {before} mode and is left in {after} mode: note model.training first, and call model.train(...) with it at the end.\n{where}."
        )


accuracy_of = Exercise("ch13", "accuracy_of", _judge_accuracy_of)


# InputLayer -------------------------------------------------------------------------------------------------


def _input(mean: Any, std: Any, images: Any, kind: str = "right") -> Tensor:
    """The right answer, and with other kinds the wrong ones."""
    x = torch.as_tensor(images)
    whole = not x.is_floating_point()
    f = x.float()
    top = f.max()
    once = f / 255 if whole else f
    kinds: dict[str, Callable[[], Tensor]] = {
        "right": lambda: (once - mean) / std,
        "always": lambda: (f / 255 - mean) / std,
        "never": lambda: (f - mean) / std,
        "twice": lambda: (once / 255 - mean) / std,
        "max": lambda: ((f / 255 if top > 1 else f) - mean) / std,
        "max or equal": lambda: ((f / 255 if top >= 1 else f) - mean) / std,
        "max 2": lambda: ((f / 255 if top > 2 else f) - mean) / std,
        "mean": lambda: ((f / 255 if f.mean() > 1 else f) - mean) / std,
        "by max": lambda: (f / top - mean) / std,
        "turned": lambda: ((f if whole else f / 255) - mean) / std,
        "only": lambda: once,
        "256": lambda: ((f / 256 if whole else f) - mean) / std,
        "no std": lambda: once - mean,
        "no mean": lambda: once / std,
        "times": lambda: (once - mean) * std,
        "after": lambda: once / std - mean,
        "brackets": lambda: once - mean / std,
        "plus": lambda: (once + mean) / std,
        "own": lambda: (once - once.mean()) / once.std(),
        "own each": lambda: (once - once.mean((1, 2), keepdim=True)) / once.std((1, 2), keepdim=True),
        "typed": lambda: (once - 0.5) / 0.5,
        "typed quarter": lambda: (once - 0.5) / 0.25,
        "variance": lambda: (once - mean) / std**2,
        "root": lambda: (once - mean) / std**0.5,
        "before": lambda: (f - mean) / 255 / std if whole else (f - mean) / std,
        "after all": lambda: (f - mean) / std / 255 if whole else (f - mean) / std,
        "127": lambda: (f / 127.5 - 1 - mean) / std if whole else (f - mean) / std,
        "clamp": lambda: ((once - mean) / std).clamp(0, 1),
        "swapped": lambda: (once - std) / mean,
        "normalised twice": lambda: ((once - mean) / std - mean) / std,
        "std 255": lambda: (once - mean / 255) / (std / 255),
        "clipped": lambda: (f.clamp(0, 1) - mean) / std,
        "floats bare": lambda: (once - mean) / std if whole else f,
        "mean up": lambda: ((f / 255 if whole else f * 255) - mean) / std,
    }
    return kinds[kind]()[:, None].to(torch.float32)


def _about_input(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    """Compare shape and values; of which kind the numbers are is asked afterwards."""
    if isinstance(result, Tensor):
        return {"its shape": str(tuple(result.shape)), RESULT: result.float()}
    return {"its shape": None, RESULT: result}


def _explain_input(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found, right = seen[RESULT], expected[RESULT]
    if not isinstance(found, Tensor):
        return None if found is None else "A tensor is asked for."
    if found.shape != right.shape:
        b, h, w = arguments[2].shape
        if tuple(found.shape) == (b, h, w):
            return "The channel axis is missing: (N, height, width) becomes (N, 1, height, width), by unsqueeze(1)."
        if tuple(found.shape) == (b, h, w, 1):
            return "The channel axis stands last; it belongs after the images: (N, 1, height, width)."
        if tuple(found.shape) == (1, b, h, w):
            return "The new axis stands first; it belongs after the images: (N, 1, height, width), by unsqueeze(1)."
        if tuple(found.shape) == (b, 1, w, h):
            return "Height and width are exchanged."
        if tuple(found.shape) == (b, 3, h, w):
            return "There are three channels; these images have one."
        return None
    if torch.allclose(found, right, atol=0.02):
        return "The values are right up to rounding: they seem to be computed in half precision. Convert to float32 first."
    if not torch.isfinite(found).all():
        return "Some values are not finite: is something divided by the greatest value, or by the spread, of a batch that is all black?"
    if float(found.std()) < 1e-6 < float(right.std()):
        return "All values are nearly equal: the pixels seem to be cut to whole numbers on the way (uint8, or //)."
    return None


def _judge_input_layer(answer: Any) -> str:
    want_module(answer, "InputLayer")
    draw = torch.Generator().manual_seed(6)
    modes = itertools.cycle((True, False))
    causes = {
        "result type": "An operation in place (/=) cannot turn uint8 into floats: images = images.float() / 255.",
        "Byte": "The pixels are uint8 still: make floats of them before computing, images.float().",
        "no attribute 'mean'": "Keep the arguments: self.mean = mean and self.std = std in __init__.",
        "name 'mean' is not defined": "Keep the arguments: self.mean = mean in __init__, and use self.mean in forward.",
        "name 'std' is not defined": "Keep the arguments: self.std = std in __init__, and use self.std in forward.",
        "is invalid for input of size": "A size is typed in: images may have any height and width, so use unsqueeze(1).",
        "expected 4D": "A batch norm or convolution needs the channel axis first: images.unsqueeze(1).",
    }

    def through(mean: float, std: float, images: Tensor) -> Any:
        layer = answer(mean, std)
        layer.train(next(modes))
        return layer(images)

    def bytes_(*shape: int, top: int = 256) -> Tensor:
        return torch.randint(0, top, shape, generator=draw, dtype=torch.uint8)

    def floats(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw)

    def case(mean: float, std: float, images: Tensor, words: str) -> Case:
        return of(
            mean, std, images, words=f"mean {mean}, std {std} and {words}", observe=_about_input, atol=2e-5
        )

    spotted = torch.zeros(1, 10, 10, dtype=torch.uint8)
    spotted[0, 3, 4:6] = torch.tensor([9, 40], dtype=torch.uint8)
    brink = "The greatest value decides whether to divide; it does not tell a dark uint8 image from a float one: a uint8 batch may hold nothing above 1. Look at the dtype."
    wrong: dict[str, str] = {
        "always": "Floats are divided by 255 too: they come scaled already (ToTensor does it), and are scaled twice.",
        "never": "uint8 pixels are not divided by 255.",
        "twice": "The pixels are divided by 255 twice.",
        "max": brink,
        "max or equal": brink,
        "max 2": brink,
        "mean": "The mean of the pixels decides whether to divide; a dark uint8 image has a small one: look at the dtype.",
        "by max": "It divides by the greatest value of the batch, so that a face depends on the others beside it: by 255.",
        "turned": "The wrong kind is divided: uint8 holds 0 to 255, floats are scaled already.",
        "only": "The pixels are scaled, and not normalised: take away mean, divide by std.",
        "256": "The greatest pixel is 255: divide by 255, not by 256.",
        "no std": "std is not used: divide by it after taking away mean.",
        "no mean": "mean is not taken away.",
        "times": "It multiplies by std: divide.",
        "after": "mean is taken away after dividing by std: (x - mean) / std.",
        "brackets": "The brackets are missing: x - mean / std divides mean alone; (x - mean) / std.",
        "plus": "mean is added: take it away.",
        "own": "The batch's own mean and spread are used, so that a face depends on the others beside it: use the mean and std that are given.",
        "own each": "Each image's own mean and spread are used: use the mean and std that are given.",
        "typed": "Mean and std are typed in: use those that are given.",
        "typed quarter": "Mean and std are typed in: use those that are given.",
        "variance": "It divides by std squared.",
        "root": "It divides by the root of std.",
        "before": "mean is taken away before dividing by 255; it is meant for pixels from 0 to 1.",
        "after all": "It is normalised before it is divided by 255; mean and std are meant for pixels from 0 to 1.",
        "127": "uint8 is brought to -1 to 1 first; mean and std are meant for pixels from 0 to 1.",
        "clamp": "The result is cut off at 0 and 1.",
        "swapped": "mean and std are exchanged.",
        "normalised twice": "It is normalised twice.",
        "std 255": "mean and std are divided by 255; they are meant for pixels from 0 to 1 already.",
        "clipped": "Pixels above 1 are cut off: uint8 is to be divided by 255.",
        "floats bare": "Floats come out as they went in; they are scaled already, but not normalised: take away mean and divide by std for both kinds.",
        "mean up": "Floats are multiplied by 255; they hold 0 to 1, as they should.",
    }
    cases = [
        case(0.5, 0.25, bytes_(4, 6, 5), "four uint8 images of 6 x 5 pixels"),
        case(0.4, 0.2, floats(3, 4, 4), "three float images, already from 0 to 1"),
        case(0.4, 0.25, spotted, "a uint8 image that is black but for two pixels"),
        case(0.4, 0.25, spotted, "a uint8 image that is black but for two pixels"),
        case(0.3, 0.5, bytes_(2, 4, 4, top=2), "two uint8 images so dark that no pixel is above 1"),
        case(0.5, 0.25, torch.zeros(1, 4, 4, dtype=torch.uint8), "one black uint8 image"),
        case(0.45, 0.3, floats(2, 3, 3) / 300, "two very dark float images"),
        case(0.5077, 0.255, floats(2, 5, 4).double(), "two float64 images, already from 0 to 1"),
        case(0.0, 1.0, bytes_(1, 7, 7), "one uint8 image"),
        case(0.2, 2.0, torch.ones(2, 2, 2), "two white float images"),
    ]
    for one in cases:  # what cannot run is told with its cause; a stub, as one
        building = {"positional argument": "InputLayer is built from two arguments, mean and std."}
        mean, std, images = one.make()
        layer = _call(answer, mean, std, what=f"InputLayer({mean}, {std})", causes=building)
        told = f"The layer, called with {one.words},"
        inside, outside = (
            _call(layer.train(mode), images.clone(), what=told, causes=causes) for mode in (True, False)
        )
        if (
            isinstance(inside, Tensor)
            and isinstance(outside, Tensor)
            and inside.shape == outside.shape
            and not torch.allclose(inside.float(), outside.float(), equal_nan=True)
        ):
            raise Wrong(
                "In train mode it computes something else than in eval mode: scaling must not depend on the mode, only on the dtype."
            )
    judge_function(
        through,
        "InputLayer",
        reference=_input,
        cases=cases,
        mistakes=[Mistake(partial(_input, kind=kind), text) for kind, text in wrong.items()],
        explain=_explain_input,
    )
    for one in cases:
        kind = getattr(through(*one.make()), "dtype", torch.float32)
        if kind != torch.float32:
            name = str(kind).removeprefix("torch.")
            raise Wrong(
                f"The values are right, as {name}; the network's weights are float32: .float() at the end.\nCalled with {one.words}."
            )
    return "Scaled once, whatever it is given; and a dark picture is still a picture."


InputLayer = Exercise("ch13", "InputLayer", _judge_input_layer)


# FlipInTraining ---------------------------------------------------------------------------------------------


class _Watcher(nn.Module):
    """A network that notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(24, 7)
        self.seen: list[Tensor] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        self.modes.append(self.training)
        return self.dense(x.flatten(1))


def _how(x: Tensor, seen: Tensor) -> list[str]:
    """Say of each image what has been done to it."""
    changes = {"same": x, "flipped": x.flip(-1), "upside": x.flip(-2), "both": x.flip(-1, -2)}
    return [
        next((name for name, other in changes.items() if torch.equal(other[i], seen[i])), "else")
        for i in range(len(x))
    ]


def _judge_flip(answer: Any) -> str:
    want_module(answer, "FlipInTraining")
    causes = {
        "size of tensor a": "The lots need a shape that fits images (N, 1, height, width): one lot an image is (N, 1, 1, 1). Or are height and width exchanged (transpose), in place of left and right?",
        "positional argument": "FlipInTraining(network) takes the network, and its forward the images.",
        "no attribute 'network'": "Keep the network: self.network = network in __init__.",
        "no attribute 'forward'": "Keep the network: self.network = network in __init__.",
    }
    torch.manual_seed(20_240_713)  # one that nobody types
    watcher = _Watcher()
    model = _call(answer, watcher, what="FlipInTraining(network)", causes=causes)
    draw = torch.Generator().manual_seed(8)
    parameters = list(model.parameters())
    if not any(p is watcher.dense.weight for p in parameters):
        raise Wrong(
            "The network's parameters are not among the module's: register it as a layer, self.network = network (not in a list, not as a copy)."
        )
    if len(parameters) > 2:
        raise Wrong("The module has parameters besides the network's: flipping needs none.")

    def ask(count: int, words: str, grad: bool = True) -> tuple[Tensor, Any, list[Tensor]]:
        x = torch.rand(count, 1, 4, 6, generator=draw)
        kept = x.clone()
        watcher.seen.clear()
        watcher.modes.clear()
        mode, seed = model.training, torch.initial_seed()
        with torch.set_grad_enabled(grad):
            out = _call(model, x, what=f"The module, {words},", causes=causes)
        if not torch.equal(x, kept):
            raise Wrong(
                "It changes the images that it is given (in place): the caller finds flipped faces. Make new ones, such as torch.where(...) or x.flip(-1)."
            )
        if torch.initial_seed() != seed:
            raise Wrong(
                "It sets the seed in forward, which makes all later random numbers of the program the same, and hides the mistake instead of mending it: in evaluation no image may be flipped at all."
            )
        if model.training != mode:
            raise Wrong(
                "Its mode is another after forward: leave model.training to those who call train() and eval()."
            )
        if not watcher.seen:
            raise Wrong(f"The network is not asked, {words}: does its call stand inside the `if`?")
        if not isinstance(out, Tensor):
            raise Wrong(f"It returns {shown(out, 40)}; return what the network gives.")
        return x, out, list(watcher.seen)

    _flips_in_evaluation(model, watcher, ask)
    _flips_in_training(model, watcher, ask)
    model.eval()
    for _ in range(6):  # a mode that was noted once, at building or at the first call, shows here
        x, _out, seen = ask(4, "in eval mode again, after training")
        if set(_how(x, seen[0])) != {"same"}:
            raise Wrong(
                "Back in eval mode after training, it still flips: ask self.training in forward, each time."
            )
    return "In training a face may look either way; in evaluation it is what it is, at every call."


def _flips_in_evaluation(
    model: nn.Module, watcher: _Watcher, ask: Callable[..., tuple[Tensor, Any, list[Tensor]]]
) -> None:
    model.eval()
    flips, calls = [], 0
    for number in range(12):
        x, out, seen = ask((5, 1, 8)[number % 3], "in eval mode", grad=number % 2 == 0)
        if any(watcher.modes):
            raise Wrong(
                "In eval mode the network inside is in train mode: register it as a layer, and leave the modes alone."
            )
        how = [_how(x, one) if one.shape == x.shape else ["else"] for one in seen]
        calls = max(calls, len(seen))
        flips.append([name for one in how for name in one])
        expected = watcher.dense(x.flatten(1))
        if {"else"} & set(flips[-1]):
            if any(len(one) > len(x) for one in seen):
                raise Wrong(
                    "In eval mode the network gets more images than were given (faces and their mirror images, it seems): each image once, as it is."
                )
            raise Wrong(
                "In eval mode the images are changed before the network sees them: give them as they are."
            )
        if (
            calls == 1
            and set(flips[-1]) == {"same"}
            and (out.shape != expected.shape or not torch.equal(out, expected))
        ):
            raise Wrong("In eval mode what the network gives is changed: return it as it is.")
    if calls > 1:
        two = {tuple(sorted(Counter(one))) for one in flips} == {("flipped", "same")} and calls == 2
        text = "the face and its mirror image" if two else f"{calls} random versions"
        raise Wrong(
            f"In eval mode the network is asked {calls} times and the answers are averaged over {text}. "
            + (
                "That is test-time augmentation, another method: the network's own answer is asked for."
                if two
                else "An average of random answers is still random: give the images once, as they are."
            )
        )
    kinds = {name for one in flips for name in one}
    if kinds == {"flipped"}:
        raise Wrong(
            "In eval mode every image is flipped, each time: the answer is the same twice, and still not that for the face as it is."
        )
    if kinds != {"same"}:
        under = [set(one) == {"same"} for one in flips]
        if all(under[1::2]) and not all(under[::2]):
            raise Wrong(
                "In eval mode it flips when gradients are on: whether gradients are on does not tell the mode; self.training does."
            )
        if all(set(one) in ({"same"}, {"flipped"}) for one in flips):
            raise Wrong(
                "In eval mode it still flips, at random, now all images of a batch, now none: ask self.training."
            )
        raise Wrong(
            "In eval mode it still flips images: ask self.training, and give the images as they are where it is False."
        )


def _flips_in_training(
    model: nn.Module, watcher: _Watcher, ask: Callable[..., tuple[Tensor, Any, list[Tensor]]]
) -> None:
    model.train()
    before = [p.clone() for p in model.parameters()]
    patterns: list[list[str]] = []
    by_pixel = True
    for number in range(24):
        x, out, seen = ask(1 if number % 6 == 5 else 20, "in train mode", grad=number % 2 == 0)
        if not all(watcher.modes):
            raise Wrong("In train mode the network inside is in eval mode: leave the modes alone.")
        if len(seen) != 1 or seen[0].shape != x.shape:
            raise Wrong(
                "In train mode the network must be asked once, with as many images as were given, each flipped or not."
            )
        patterns.append(_how(x, seen[0]))
        by_pixel &= bool(torch.all((seen[0] == x) | (seen[0] == x.flip(-1))))
        if not torch.equal(out, watcher.dense(seen[0].flatten(1))):
            raise Wrong(
                "In train mode what the network gives is changed, or belongs to images in another order: return it as it is."
            )
    kinds = Counter(name for one in patterns for name in one)
    if kinds["upside"] or kinds["both"]:
        raise Wrong(
            "In train mode images are turned upside down: left and right are the *last* axis, x.flip(-1)."
        )
    if kinds["else"] and by_pixel:
        raise Wrong(
            "In train mode a lot is drawn for each pixel, which mixes the face and its mirror image: one lot an image, of shape (N, 1, 1, 1)."
        )
    if kinds["else"]:
        raise Wrong(
            "In train mode images are changed otherwise than by exchanging left and right: shuffled, or flipped along the axis of the batch?"
        )
    if not kinds["flipped"]:
        raise Wrong(
            "In train mode nothing is flipped any more: the augmentation is gone, and with it what training gains from it. It belongs there; only evaluation is to be spared."
        )
    if not kinds["same"]:
        raise Wrong("In train mode every image is flipped: each with probability one half.")
    with_grad, without = (sum("flipped" in one for one in patterns[i::2]) for i in (0, 1))
    if not without or not with_grad:
        raise Wrong("In train mode it flips only when gradients are on: ask self.training.")
    whole = [one for one in patterns if len(one) > 1]
    if all(len(set(one)) == 1 for one in whole):
        raise Wrong(
            "In train mode a batch is flipped as a whole or not at all: one lot for each image, such as torch.rand(len(x)) < 0.5."
        )
    if len({tuple(one) for one in whole}) == 1:
        raise Wrong(
            "In train mode the same places of the batch are flipped each time: draw a new lot for each image at every call, without a fixed seed."
        )
    if all(one.count("flipped") in (len(one) // 2, (len(one) + 1) // 2) for one in whole):
        raise Wrong(
            "In train mode exactly half of each batch is flipped, so that the images' lots hang together (and an image alone is always, or never, flipped): draw one for each image, such as torch.rand(len(x)) < 0.5."
        )
    share = kinds["flipped"] / kinds.total()
    if not 0.38 < share < 0.62:
        raise Wrong(f"In train mode {share:.0%} of the images are flipped; one half is asked for.")
    single = [one[0] for one in patterns if len(one) == 1]
    assert single
    x, out, seen = ask(6, "in train mode")
    if not out.requires_grad:
        raise Wrong(
            "In train mode no gradient reaches the network: is something detached, or under torch.no_grad()?"
        )
    out.sum().backward()
    if any(p.grad is None for p in model.parameters()):
        raise Wrong("In train mode no gradient reaches the network's parameters.")
    if not all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)):
        raise Wrong("It changes the network's parameters in forward.")


FlipInTraining = Exercise("ch13", "FlipInTraining", _judge_flip)


# fit --------------------------------------------------------------------------------------------------------


class _Growing(nn.Module):
    """A model whose one weight and one running statistic count the epochs that it was trained for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.statistic: Tensor
        self.register_buffer("statistic", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class _Log:
    """Trains and measures a `_Growing` model as planted, and notes in which order that was asked for."""

    def __init__(self, tables: dict[str, list[float]]) -> None:
        self.tables = tables
        self.trained = 0
        self.asked: list[tuple[str, int, int]] = []  # split, epochs in the weights, epochs trained by then

    def train_one_epoch(self, model: Any) -> None:
        self._check(model)
        self.trained += 1
        if self.trained >= len(self.tables["val"]):
            raise _Told(
                f"It trains more than {len(self.tables['val']) - 1} epochs, which is what `epochs` says."
            )
        with torch.no_grad():
            model.weight += 1
            model.statistic += 1

    def accuracy(self, model: Any, split: Any) -> float:
        self._check(model)
        if split not in self.tables:
            raise _Told(
                f"accuracy is asked for {shown(split, 30)}; the splits are called 'train', 'val' and 'test'."
            )
        age, running = round(float(model.weight[0].detach())), round(float(model.statistic[0]))
        if age != running and split == "test":
            raise _Told(
                "The weights are of one epoch and the running statistics of another: keep model.state_dict(), which holds both, not the parameters alone."
            )
        self.asked.append((split, age, self.trained))
        return self.tables[split][age]

    @staticmethod
    def _check(model: Any) -> None:
        if not isinstance(model, _Growing):
            raise _Told(
                f"It passes {type(model).__name__} where the model belongs: train_one_epoch(model), accuracy(model, split)."
            )


def _first_best(values: Sequence[float]) -> int:
    return max(range(1, len(values)), key=lambda epoch: (values[epoch], -epoch))


_ROLES: list[tuple[str, list[float], list[float]]] = [
    # val and test by epoch, from 0, the untrained model
    ("five epochs", [0.1, 0.42, 0.55, 0.61, 0.52, 0.58], [0.1, 0.40, 0.50, 0.57, 0.63, 0.54]),
    ("four epochs, the first of which is the best", [0.2, 0.60, 0.50, 0.44, 0.40], [0.2, 0.51, 0.56, 0.59, 0.58]),
    ("four epochs, the last of which is the best", [0.2, 0.30, 0.40, 0.50, 0.60], [0.2, 0.52, 0.47, 0.49, 0.45]),
    ("six epochs, two of which are equally good on val", [0.2, 0.30, 0.62, 0.50, 0.62, 0.40, 0.39], [0.2, 0.35, 0.41, 0.66, 0.58, 0.55, 0.5]),
    ("one epoch", [0.1, 0.35], [0.1, 0.33]),
    ("three epochs, nothing right on val in any of them", [0.0, 0.0, 0.0, 0.0], [0.2, 0.14, 0.25, 0.3]),
    ("three epochs, none as good on val as the untrained model", [0.9, 0.30, 0.52, 0.41], [0.9, 0.33, 0.39, 0.47]),
]  # fmt: skip


@contextlib.contextmanager
def _somewhere_else() -> Iterator[None]:
    """Let code that writes a file do so in a folder that goes away."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)


def _judge_fit(answer: Any) -> str:
    want_function(answer, "fit")
    causes = {
        "UnboundLocalError": "No epoch was kept: is the best so far set to 0 at the start, and compared by >? An accuracy of 0 must do as well; begin below 0.",
        "_Growing": "What is kept is the model itself, which goes on being trained: keep a copy of model.state_dict().",
        "cannot pickle 'generator'": "model.parameters() is a generator and cannot be copied: keep a copy of model.state_dict().",
        "NoneType": "No epoch was kept: is the best so far set to 0 at the start, and compared by >? An accuracy of 0 must do as well; begin below 0.",
        "deepcopy protocol": "Only the graph's leaves can be copied: copy the state_dict, whose tensors are detached.",
        "not callable": 'train_one_epoch and accuracy are functions: call them, train_one_epoch(model) and accuracy(model, "val").',
        "positional argument": "fit takes four arguments: model, train_one_epoch, accuracy, epochs; train_one_epoch takes the model, accuracy the model and the name of a split.",
    }
    with _somewhere_else():
        for words, val, test in _ROLES:
            model, epochs = _Growing(), len(val) - 1
            train = [0.05 + 0.9 * i / epochs for i in range(epochs + 1)]
            log = _Log({"val": val, "test": test, "train": train})
            told = f"fit, called with {words},"
            found = _call(answer, model, log.train_one_epoch, log.accuracy, epochs, what=told, causes=causes)
            _judge_choice(found, model, log, epochs, words)
    return "Val chooses, test is asked once, and the model that you hold is the one that you report."


def _judge_choice(found: Any, model: _Growing, log: _Log, epochs: int, words: str) -> None:
    """Judge what was asked of which split, then the choice, then what is returned and left."""
    where = f"Called with {words}"
    val, test = log.tables["val"], log.tables["test"]
    best, on_test, on_train = (_first_best(log.tables[name]) for name in ("val", "test", "train"))
    asked = [one for one in log.asked if one[0] == "test"]
    if not log.trained:
        raise Wrong(f"Nothing is trained: call train_one_epoch(model) in each epoch.\n{where}.")
    if log.trained == epochs - 1 > 1:
        raise Wrong(
            f"It trains {log.trained} of {epochs} epochs: does the range end one too soon, as range(1, epochs) does, or does a `return` or `break` stand inside the loop?\n{where}."
        )
    if log.trained < epochs:
        raise Wrong(
            f"It trains {log.trained} of {epochs} epochs: does a `return` or `break` stand inside the loop?\n{where}."
        )
    try:
        pair = () if isinstance(found, (str, dict)) else tuple(itertools.islice(found, 5))
    except TypeError:
        pair = ()
    epoch = _number(pair[0]) if len(pair) == 2 else None
    if epoch is not None and len(asked) > 1 and epoch == on_test != best:
        raise Wrong(
            f"The epoch is chosen by test, and reported on test: the highest of many looks at the same images. Choose by val.\n{where}, epoch {on_test} is the best on test, {best} on val."
        )
    if len(asked) > 1:
        early = [one for one in asked if one[2] < epochs]
        text = "in the course of the training" if early else "at the end"
        raise Wrong(
            f"Test is asked {len(asked)} times, {text}; once is allowed, after everything has been chosen. Whoever looks more often will choose by it sooner or later.\n{where}."
        )
    if not asked:
        raise Wrong(
            f"Test is never asked: the accuracy that is returned must be that of the kept weights on test.\n{where}."
        )
    if not any(one[0] == "val" for one in log.asked):
        if any(one[0] == "train" for one in log.asked):
            raise Wrong(
                f"The epoch is chosen by train, which rises to the end, and val is never asked: choose by val.\n{where}."
            )
        raise Wrong(f"Val is never asked: by what is the epoch chosen?\n{where}.")
    if asked[0][2] < epochs:
        raise Wrong(f"Test is asked before the training is over: once, at the end.\n{where}.")
    if found is None:
        raise Wrong(f"It returns None: is a `return` missing?\n{where}.")
    if len(pair) != 2:
        raise Wrong(
            f"Return two values, the epoch that was kept and its accuracy on test; it returns {shown(found, 50)}.\n{where}."
        )
    share = _number(pair[1])
    if epoch is None or share is None:
        raise Wrong(
            f"Return two numbers, the epoch that was kept and its accuracy on test; it returns {shown(found, 50)}.\n{where}."
        )
    if epoch != best and np.isclose(share, best) and not np.isclose(share, epoch):
        raise Wrong(f"The two values are swapped: first the epoch, then the accuracy.\n{where}.")
    if epoch != int(epoch):
        raise Wrong(
            f"The first value is {shown(pair[0], 30)}; it is the number of the epoch that was kept.\n{where}."
        )
    _judge_epoch(int(epoch), log, best, on_train, epochs, where)
    used = asked[0][1]
    held = round(float(model.weight[0].detach()))
    if used != best:
        if used == epochs:
            raise Wrong(
                f"Test is measured with the weights of the last epoch, not with those of epoch {best}. Keep a *copy* of the best state_dict (copy.deepcopy; the dictionary itself goes on changing with the training), and load it back before asking test.\n{where}."
            )
        raise Wrong(
            f"Test is measured with the weights of epoch {used}, not with those of epoch {best}.\n{where}."
        )
    if not np.isclose(share, test[best]):
        if np.isclose(share, val[best]):
            raise Wrong(
                f"The accuracy returned is that on val, which is the best of many looks; report test.\n{where}."
            )
        if np.isclose(share, 100 * test[best]):
            raise Wrong(f"The accuracy is in per cent; a share is asked for.\n{where}.")
        raise Wrong(
            f"The accuracy returned is {share:.4g}; on test, epoch {best} has {test[best]:.4g}.\n{where}."
        )
    if held != best:
        raise Wrong(
            f"The number is right, but the model is left with the weights of epoch {held}, not of epoch {best}, which was measured: load the kept weights into `model` itself.\n{where}."
        )
    if round(float(model.statistic[0])) != best:
        raise Wrong(
            f"The weights are back, the running statistics are not: keep model.state_dict(), which holds both, not the parameters alone.\n{where}."
        )


def _judge_epoch(epoch: int, log: _Log, best: int, on_train: int, epochs: int, where: str) -> None:
    """Name a wrong choice of the epoch."""
    val, test = log.tables["val"], log.tables["test"]
    if epoch == best:
        return
    ages = {age for split, age, _ in log.asked if split == "val"}
    if val[epoch] == val[best] if 0 < epoch <= epochs else False:
        raise Wrong(
            f"Of equally good epochs the later one is kept; the first is asked for: compare by >, not by >=.\n{where}."
        )
    if epoch == 0 and 0 in ages:
        raise Wrong(
            f"The untrained model is among the choices: look at val after each epoch, not before the first.\n{where}."
        )
    if epoch == 0 and best == 1 and not any(val[1:]):
        raise Wrong(
            f"No epoch is kept where nothing is right on val: is the best so far 0 at the start, and compared by >? An accuracy of 0 must do as well; begin below 0.\n{where}."
        )
    if epoch == best - 1 and 0 not in ages:
        raise Wrong(f"Epochs are counted from 1; {epoch} is returned for epoch {best}.\n{where}.")
    if 0 in ages and epochs not in ages:
        raise Wrong(
            f"Val is asked before the epoch's training, so that each accuracy is noted for the epoch after it, and the last epoch is never judged.\n{where}."
        )
    if epoch == best + 1:
        raise Wrong(f"The epoch is one too high: {epoch} is returned for epoch {best}.\n{where}.")
    if epoch == epochs:
        text = "train" if any(split == "train" for split, *_ in log.asked) and on_train == epochs else ""
        if text:
            raise Wrong(f"The epoch is chosen by train, which rises to the end: choose by val.\n{where}.")
        raise Wrong(
            f"The last epoch is kept, or the number of the last is returned; the best on val is epoch {best}.\n{where}."
        )
    if epoch == _first_best(test) and test[epoch] != test[best]:
        raise Wrong(f"The epoch is the best on test; choose by val.\n{where}.")
    if epoch == min(range(1, epochs + 1), key=lambda i: val[i]):
        raise Wrong(f"The epoch with the *lowest* accuracy on val is kept.\n{where}.")
    if 0 < epoch <= epochs and epoch == next((i for i in range(1, epochs) if val[i + 1] < val[i]), -1):
        raise Wrong(
            f"The choice ends at the first epoch after which val falls; a later one is better.\n{where}."
        )
    raise Wrong(
        f"Epoch {epoch} is returned; the best on val is epoch {best}. No epoch is good enough for a bar that begins too high, such as an accuracy of 0 compared by >.\n{where}."
    )


fit = Exercise("ch13", "fit", _judge_fit)


# split_then_augment -----------------------------------------------------------------------------------------


def _twins(n: int, seed: int, *, copies: int, big: int = 0, side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return images in the order of their classes, some of them copies or mirror images of others."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (n, side, side + 1), dtype=np.uint8)
    labels = np.sort(draw.integers(0, 7, n))
    places = draw.permutation(n)
    for one, other in places[: 4 * copies].reshape(-1, 4)[:, :2]:
        images[one] = images[other]
    for one, other in places[: 4 * copies].reshape(-1, 4)[:, 2:]:
        images[one] = images[other][:, ::-1]
    for number, place in enumerate(places[n - big :]):
        images[place] = images[places[n - 1]] if number % 2 else images[places[n - 1]][:, ::-1]
    return images, labels


def _key(image: np.ndarray) -> bytes:
    """Return the same bytes for an image and its mirror image."""
    return min(image.tobytes(), image[:, ::-1].tobytes())


def _as_images(value: Any, like: np.ndarray) -> np.ndarray | None:
    if isinstance(value, Tensor):
        value = value.detach().numpy()
    try:
        array = np.asarray(value)
    except Exception:
        return None
    if array.size == 0:
        return np.zeros((0, *like.shape[1:]), like.dtype)
    return array if array.dtype.kind in "uif" else None


def _judge_split(answer: Any) -> str:
    want_function(answer, "split_then_augment")
    causes = {
        "unhashable": "An array cannot stand in a set or be a key; its bytes can: image.tobytes().",
        "truth value of an array": "Two images are compared by ==, which gives an array: np.array_equal, or compare their bytes.",
        "The least populated class": "Do not ask for a stratified split: some classes here have one image only.",
        "positional argument": "split_then_augment takes four arguments: images, labels, share, seed.",
        "to unpack": "Labels and images are unpacked wrongly: four arrays are asked for.",
    }
    kept: dict[str, tuple[np.ndarray, ...]] = {}
    rounds = [
        ("60 images without copies", _twins(60, 1, copies=0), 0.25, 0),
        ("60 images, some of them copies or mirror images of others", _twins(60, 2, copies=6), 0.25, 0),
        ("the same with another share", _twins(60, 2, copies=6), 0.5, 0),
        ("80 images, a third of them copies or mirror images of others", _twins(80, 3, copies=13), 0.3, 1),
        ("80 images, twelve of them versions of one face", _twins(80, 4, copies=4, big=12), 0.2, 2),
        ("41 images", _twins(41, 5, copies=5), 0.2, 7),
    ]
    for words, (images, labels), share, seed in rounds:
        given = images.copy(), labels.copy()
        told = f"split_then_augment, called with {words},"
        np.random.seed(3)  # noqa: NPY002
        found = _call(answer, *given, share, seed, what=told, causes=causes)
        if not (np.array_equal(given[0], images) and np.array_equal(given[1], labels)):
            raise Wrong(
                f"It changes the images or labels that it is given (shuffled or flipped in place): work on a copy.\nCalled with {words}."
            )
        kept[words] = _judge_sides(found, images, labels, share, words)
        np.random.seed(4)  # noqa: NPY002
        torch.manual_seed(4)
        again = _judge_sides(
            _call(answer, *given, share, seed, what=told, causes=causes), images, labels, share, words
        )
        if Counter(map(bytes, again[2])) != Counter(map(bytes, kept[words][2])):
            raise Wrong(
                f"Called twice with the same seed, it gives two splits: draw from np.random.default_rng(seed).\nCalled with {words}."
            )
    words, (images, labels), share, _ = rounds[1]
    others = [
        _judge_sides(
            _call(
                answer, images.copy(), labels.copy(), share, seed, what="split_then_augment", causes=causes
            ),
            images,
            labels,
            share,
            words,
        )[2]
        for seed in (5, 6, 7)
    ]
    if all(Counter(map(bytes, one)) == Counter(map(bytes, kept[words][2])) for one in others):
        raise Wrong("Another seed gives the same split: use `seed`.")
    tested = [set(one[3].tolist()) for one in kept.values()]
    if all(len(classes) <= 3 for classes in tested):
        raise Wrong(
            "Test holds two or three classes only: the images come in the order of their folders, so shuffle before cutting."
        )
    return "First the faces are dealt out, each with all its versions; then train, and train alone, is augmented."


def _judge_sides(
    found: Any, images: np.ndarray, labels: np.ndarray, share: float, words: str
) -> tuple[np.ndarray, ...]:
    """Judge one split by what must hold, and return it as four arrays."""
    where = f"Called with {words} and share {share}"
    if found is None:
        raise Wrong(f"It returns None: is a `return` missing?\n{where}.")
    asked = "return train images, train labels, test images, test labels"
    if not isinstance(found, (tuple, list)) or len(found) != 4:
        raise Wrong(
            f"It returns {len(found) if isinstance(found, (tuple, list)) else 'no'} values; {asked}.\n{where}."
        )
    sides: list[tuple[np.ndarray, np.ndarray]] = []
    for number, name in ((0, "train"), (2, "test")):
        x, y = _as_images(found[number], images), _as_images(found[number + 1], labels)
        if x is not None and x.ndim == 1 and y is not None and y.ndim == 3:
            raise Wrong(f"Images and labels are exchanged: {asked}.\n{where}.")
        if x is not None and y is not None and number == 0 and y.ndim == 3:
            raise Wrong(
                f"The second value holds images (the order of train_test_split, it seems); {asked}.\n{where}."
            )
        if x is None or x.ndim != 3 or x.shape[1:] != images.shape[1:]:
            raise Wrong(
                f"The {name} images have shape {None if x is None else x.shape}; (number, {images.shape[1]}, {images.shape[2]}) is asked for. Are they indices?\n{where}."
            )
        if y is None or y.shape != (len(x),):
            raise Wrong(
                f"There are {len(x)} {name} images and labels of shape {None if y is None else y.shape}: one label an image.\n{where}."
            )
        if x.dtype != images.dtype and not np.array_equal(x, x.astype(images.dtype)):
            raise Wrong(
                f"The pixels of the {name} images are changed, or of another kind: copies and mirror images only.\n{where}."
            )
        sides.append((x.astype(images.dtype), y.astype(np.int64)))
    (train, train_labels), (test, test_labels) = sides
    if not len(test) or not len(train):
        raise Wrong(f"One side is empty.\n{where}.")

    def rows(x: np.ndarray, y: np.ndarray) -> Counter[tuple[bytes, int]]:
        return Counter(zip((one.tobytes() for one in x), y.tolist(), strict=True))

    given, mirrored = rows(images, labels), rows(images[:, :, ::-1], labels)
    in_test, in_train = rows(test, test_labels), rows(train, train_labels)
    faces = {one.tobytes() for one in images} | {one[:, ::-1].tobytes() for one in images}
    for name, side in (("train", train), ("test", test)):
        if any(one.tobytes() not in faces for one in side):
            upside = {one[::-1].tobytes() for one in images}
            text = (
                " They are upside down: left and right are the last axis."
                if any(one.tobytes() in upside for one in side)
                else ""
            )
            raise Wrong(
                f"In {name} there are images that are neither given ones nor their mirror images.{text}\n{where}."
            )
    keys = {_key(one) for one in test}
    leaks = {_key(one) for one in train} & keys
    if leaks:
        _name_leak(train, test, images, where)
    if in_test - given and not in_train - given and len(test) > len(train):
        raise Wrong(f"The sides are exchanged: first train, with its mirror images, then test.\n{where}.")
    if in_test - given:
        extra = in_test - given
        if not Counter(key for key, _ in in_test.elements()) - Counter(key for key, _ in given.elements()):
            raise Wrong(
                f"Test images have labels of others: take labels by the same indices as images.\n{where}."
            )
        if extra <= mirrored or all(key in mirrored for key in extra):
            raise Wrong(
                f"Test is augmented too: it holds mirror images that were not given. Test must hold the given images as they are.\n{where}."
            )
        raise Wrong(f"Test holds an image more often than it was given.\n{where}.")
    rest = given - in_test
    wanted = rest.copy()
    for key, n in rest.items():
        flipped = np.frombuffer(key[0], images.dtype).reshape(images.shape[1:])[:, ::-1].tobytes()
        wanted[flipped, key[1]] += n
    if in_train != wanted:
        _name_train(in_train, wanted, rest, train, where)
    n, groups = len(images), Counter(map(_key, images))
    slack = 0.15 * n + max(groups.values())
    if abs(len(test) - share * n) > slack:
        turned = abs(len(test) - (1 - share) * n) <= slack
        raise Wrong(
            f"Test holds {len(test)} of {n} images; about {share:.0%} are asked for.{' The sides are exchanged, it seems.' if turned else ''}\n{where}."
        )
    return train, train_labels, test, test_labels


def _name_leak(
    train: np.ndarray,
    test: np.ndarray,
    images: np.ndarray,
    where: str,
) -> None:
    """Raise what kind of leak there is."""
    known = {one.tobytes() for one in train}
    exact = sum(one.tobytes() in known for one in test)
    count = sum(_key(one) in {_key(t) for t in train} for one in test)
    alone = len({_key(one) for one in images}) == len(images)
    if alone and len(train) + len(test) == 2 * len(images):
        raise Wrong(
            f"It is still augmented before it is split: of {len(test)} test images, {count} have themselves or their mirror image in train. Split the given images first.\n{where}."
        )
    if alone and len(train) >= 2 * len(images):
        raise Wrong(f"Train is made of all images: those of test are among them.\n{where}.")
    if alone:
        raise Wrong(
            f"Of {len(test)} test images, {count} have themselves or their mirror image in train, although no image was given twice.\n{where}."
        )
    if _copies_apart(train, test, images):
        raise Wrong(
            f"Copies are torn apart: of {len(test)} test images, {count} have a copy or a mirror image in train. Deal out groups of faces, each with all its copies and mirror images.\n{where}."
        )
    raise Wrong(
        f"Mirror images are torn apart: of {len(test)} test images, {exact} stand in train after it is augmented, as mirror images of other given ones. Give an image and its mirror image one key, such as the smaller of both as bytes.\n{where}."
    )


def _copies_apart(train: np.ndarray, test: np.ndarray, images: np.ndarray) -> bool:
    """Whether an image that was given twice, pixel for pixel, lies on both sides."""
    times = Counter(one.tobytes() for one in images)
    on_test = Counter(one.tobytes() for one in test)
    known = {one.tobytes() for one in train}
    return any(times[key] > 1 and 0 < on_test[key] < times[key] and key in known for key in on_test)


def _name_train(
    in_train: Counter[tuple[bytes, int]],
    wanted: Counter[tuple[bytes, int]],
    rest: Counter[tuple[bytes, int]],
    train: np.ndarray,
    where: str,
) -> None:
    """Raise what is wrong with train, of which nothing leaks."""
    pixels, asked = (Counter(key for key, _ in one.elements()) for one in (in_train, wanted))
    if pixels == asked:
        raise Wrong(
            f"Train images have labels of others: a mirror image has the label of its face, and labels must be put together in the same order as images.\n{where}."
        )
    if in_train == rest:
        raise Wrong(
            f"Train is not augmented: each of its images belongs there with its mirror image.\n{where}."
        )
    once = Counter(key for key, _ in rest.elements())
    if pixels == once + once:
        raise Wrong(
            f"Train holds its images twice, and no mirror image: left and right are the last axis, [:, :, ::-1].\n{where}."
        )
    lost = sum((asked - pixels).values())
    if not pixels - asked:
        if set(pixels) == set(asked):
            raise Wrong(
                f"Copies are removed within train; all given images stay, on the one side or the other. Copies *within* a side do no harm.\n{where}, {lost} images are missing."
            )
        if rest.total() == len(train):
            raise Wrong(f"Train holds either the image or its mirror image; both are asked for.\n{where}.")
        raise Wrong(
            f"Images are lost, {lost} with their mirror images counted: removed, perhaps, where they should have gone to the side of their copies.\n{where}."
        )
    if not asked - pixels:
        raise Wrong(
            f"Train holds images more often than asked for: each once, and its mirror image once.\n{where}."
        )
    raise Wrong(
        f"Train is not the rest of the images with their mirror images: {lost} are missing, {sum((pixels - asked).values())} too many.\n{where}."
    )


split_then_augment = Exercise("ch13", "split_then_augment", _judge_split)
