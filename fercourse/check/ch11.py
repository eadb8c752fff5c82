"""Checkers of chapter 11, Beyond the papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.check.ch03 import _Watched, _WatchedSGD
from fercourse.check.core import Exercise, Wrong, as_array, differs
from fercourse.check.functions import RESULT, TRACE, Case, Mistake, judge_function, of
from fercourse.check.modules import Trial, judge_module, variants


def _mistakes(function: Callable[..., Any], kinds: Mapping[str, str]) -> list[Mistake]:
    return [Mistake(partial(function, kind=kind), words) for kind, words in kinds.items()]


def _causes(judge: Callable[[], None], causes: Mapping[str, str]) -> None:
    """Judge; put before an exception that came out the likely cause, by a pattern of what it says."""
    try:
        judge()
    except Wrong as wrong:
        said = str(wrong)
        if " raised " in said:
            for pattern, words in causes.items():
                if re.search(pattern, said):
                    raise Wrong(f"{words}\n{said}") from wrong
        raise


# lbp_codes --------------------------------------------------------------------------------------------------

_RING = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
_STARTS = ("upper left", "above", "upper right", "right", "lower right", "below", "lower left", "left")


def _lbp(image: Any, kind: str = "right") -> Any:
    pixels = np.asarray(image)
    wide = pixels.astype(int)
    if kind in ("zeros", "edge", "reflect", "wrap"):
        modes = {"zeros": "constant"}
        wide = np.pad(wide, 1, mode=modes.get(kind, kind))  # type: ignore[call-overload]
    height, width = wide.shape[0] - 2, wide.shape[1] - 2
    centre = wide[1:-1, 1:-1]
    ring = list(_RING)
    if kind.startswith("from "):
        start = int(kind[5:])
        ring = ring[start:] + ring[:start]
    if kind.startswith("back from "):
        start = int(kind[10:])
        ring = [ring[(start - i) % 8] for i in range(8)]
    if kind == "rows":
        ring = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)]
    if kind == "columns":
        ring = [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2), (2, 2)]
    if kind == "four":
        ring = [(0, 1), (1, 2), (2, 1), (1, 0)]
    weights = [2**bit for bit in range(len(ring))]
    if kind in ("bits reversed", "bits reversed, greater"):
        weights.reverse()
    weights = {
        "count": [1] * 8,
        "linear": list(range(1, 9)),
        "linear from zero": list(range(8)),
        "doubled": [2 * w for w in weights],
        "squares": [bit**2 for bit in range(8)],
    }.get(kind, weights)
    around = [wide[r : r + height, c : c + width] for r, c in ring]
    compare: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "greater": lambda one: one > centre,
        "bits reversed, greater": lambda one: one > centre,
        "smaller": lambda one: one <= centre,
        "less": lambda one: one < centre,
        "equal": lambda one: one == centre,
        "unequal": lambda one: one != centre,
        "always": lambda one: np.ones_like(one, dtype=bool),
        "wrapped by half": lambda one: (one - centre) % 256 < 128,
        "mean": lambda one: one >= np.mean([*around, centre], axis=0),
        "mean of eight": lambda one: one >= np.mean(around, axis=0),
        "whole mean": lambda one: one >= wide.mean(),
        "fixed": lambda one: one >= 128,
        "positive": lambda one: one > 0,
    }
    bits = [compare.get(kind, lambda one: one >= centre)(one).astype(int) for one in around]
    codes = np.array(sum(w * b for w, b in zip(weights, bits, strict=True)))
    if kind == "brightness":
        codes = np.array(sum(w * one for w, one in zip(weights, around, strict=True)))
    if kind == "last seven":
        codes = np.array(sum(2**i * b for i, b in enumerate(bits[1:])))
    if kind == "nine":
        every = [wide[r : r + height, c : c + width] >= centre for r in range(3) for c in range(3)]
        codes = np.array(sum(2**i * b for i, b in enumerate(every)))
    if kind.startswith("shifted"):
        shifted = _lbp(image, "wrap")[:height, :width]
        return shifted if kind == "shifted" else np.roll(shifted, (-1, -1), (0, 1))
    if kind.startswith("skimage"):
        from skimage.feature import local_binary_pattern

        theirs = local_binary_pattern(pixels, 8, 1)
        return theirs if kind == "skimage whole" else theirs[1:-1, 1:-1]
    if kind == "seven bits":
        codes -= 128 * bits[7]
    if kind == "without the first":
        codes -= bits[0]
    if kind == "square":
        codes[:, height:] = 0
    if kind == "square rows":
        codes[width:] = 0
    if kind == "last row":
        codes[-1] = 0
    if kind == "last column":
        codes[:, -1] = 0
    if kind == "both last":
        codes[-1], codes[:, -1] = 0, 0
    whole = np.zeros((wide.shape[0], wide.shape[1]), dtype=int)
    whole[1:-1, 1:-1] = codes
    others: dict[str, Callable[[], Any]] = {
        "whole": lambda: whole,
        "flat": lambda: codes.ravel(),
        "short": lambda: codes[:-1, :-1],
        "bits": lambda: np.stack(bits, -1),
        "bits first": lambda: np.stack(bits),
        "transposed": lambda: codes.T,
        "histogram": lambda: np.bincount(codes.ravel(), minlength=256),
        "last bit": lambda: 128 * bits[7],
        "or": lambda: np.bitwise_or.reduce([bit * b for bit, b in enumerate(bits)]),
        "scaled": lambda: codes / 255,
        "scaled by 256": lambda: codes / 256,
        "highest bit": lambda: np.max([w * b for w, b in zip(weights, bits, strict=True)], axis=0),
        "last comparison": lambda: bits[7],
        "first row": lambda: codes[0],
        "first pixel": lambda: codes[0, 0],
        "signed": lambda: codes.astype(np.uint8).astype(np.int8),
    }
    return others.get(kind, lambda: codes)()


_LBP_MISTAKES = {
    "greater": "A neighbour that is exactly as bright counts too: at least as bright, >= and not >.",
    "smaller": "The comparison is the other way round: the bit is 1 where the *neighbour* is at least as bright as the pixel.",
    "less": "The comparison is the other way round: the bit is 1 where the neighbour is brighter or equal, not darker.",
    "equal": "Only neighbours of the same value count here; those that are brighter count too.",
    "unequal": "Every neighbour that differs counts, darker ones as well: a difference of uint8 is never negative (3 - 5 is 254). Compare, or "
    "make integers first.",
    "always": "Every neighbour counts: a difference of uint8 is never negative (3 - 5 is 254). Compare the two, or make integers first.",
    "wrapped by half": "A difference of uint8 is made signed, which turns differences beyond 127 round: compare the two values themselves.",
    "mean": "The neighbours are compared with the mean of the patch; compare them with the pixel in the middle.",
    "mean of eight": "The neighbours are compared with their own mean; compare them with the pixel in the middle.",
    "whole mean": "The neighbours are compared with the mean of the image; compare them with the pixel in the middle.",
    "rows": "The neighbours are taken row by row; go round the pixel, clockwise.",
    "columns": "The neighbours are taken column by column; go round the pixel, clockwise.",
    "back from 0": "It goes round counter-clockwise (or rows and columns are exchanged): after the upper left comes the one above.",
    **{f"from {i}": f"The direction is right, but it begins with the neighbour {_STARTS[i]}; begin at the upper left." for i in range(1, 8)},
    **{
        f"back from {i}": f"It begins with the neighbour {_STARTS[i]} and goes counter-clockwise; begin at the upper left and go clockwise."
        for i in range(1, 8)
        if i != 7
    },
    "bits reversed": "The weights run the other way: upper left counts 1, and left, the last, 128.",
    "back from 7": "The weights run the other way: upper left counts 1, and left, the last, 128.",
    "bits reversed, greater": "The weights run the other way (upper left counts 1), and a neighbour exactly as bright counts too.",
    "count": "That counts the neighbours that are at least as bright; each has a weight of its own, 1, 2, 4 to 128.",
    "linear": "The weights are 1, 2, 3 to 8; they double each time: 1, 2, 4 to 128.",
    "linear from zero": "The weights are 0, 1, 2 to 7, the bits' numbers; the weight of bit b is 2 ** b.",
    "squares": "The weights are the squares of the bits' numbers, b ** 2; the weight is 2 ** b.",
    "doubled": "All codes are twice what they should be: the first neighbour counts 1 = 2 ** 0.",
    "four": "Only the four neighbours beside the pixel are compared; there are eight, with the corners.",
    "brightness": "The neighbours' values are added up with the weights; only whether they are at least as bright counts.",
    "seven bits": "The eighth neighbour, left, is missing: does the loop stop before it?",
    "without the first": "The first neighbour, upper left, is missing.",
    "last bit": "Only the last neighbour is left: add the bits up, codes += ..., and do not replace them.",
    "or": "The bits' numbers, 0 to 7, are put together; the weight of bit b is 2 ** b.",
    "scaled": "The codes are divided by 255; integers from 0 to 255 are asked for.",
    "scaled by 256": "The codes are divided by 256; integers from 0 to 255 are asked for.",
    "fixed": "The neighbours are compared with a fixed grey; compare them with the pixel in the middle.",
    "positive": "The neighbours are compared with 0; compare them with the pixel in the middle.",
    "last seven": "The first neighbour, upper left, is left out, and all others have half their weight.",
    "nine": "The pixel itself is among the nine that are compared; only its eight neighbours are, clockwise.",
    "shifted": "The pixel in the middle is one row up and one column to the left of where it belongs: the first with eight neighbours is "
    "image[1, 1]. (A negative index reads from the other end.)",
    "shifted twice": "The pixel in the middle is one row up and one column to the left of where it belongs: the first with eight neighbours is "
    "image[1, 1]. (A negative index reads from the other end.)",
    "skimage": "That is scikit-image's order: it begins at the right, goes counter-clockwise and interpolates the corners. Compare the eight neighbours "
    "themselves.",
    "skimage whole": "That is scikit-image's code, with another order, interpolated corners, and a border.",
    "highest bit": "Only the last neighbour that is bright enough counts: add the bits up, codes += ..., and do not replace them.",
    "last comparison": "Only the last comparison is left: add the bits up with their weights.",
    "square": "It works on square images only: a part of a wide image stays zero. Height and width are two numbers.",
    "square rows": "It works on square images only: a part of a high image stays zero. Height and width are two numbers.",
    "zeros": "The border is padded with zeros; only pixels with eight neighbours have a code: (H - 2, W - 2).",
    "edge": "The border is repeated; only pixels with eight neighbours have a code: (H - 2, W - 2).",
    "reflect": "The border is mirrored; only pixels with eight neighbours have a code: (H - 2, W - 2).",
    "wrap": "The image is continued at its other side (np.roll does that); only pixels with eight neighbours have a code: (H - 2, W - 2).",
    "whole": "The border is there, with zeros; only pixels with eight neighbours have a code: cut it off, (H - 2, W - 2).",
    "flat": "All codes stand in one row; they form a picture, (H - 2, W - 2).",
    "short": "A row and a column are missing at the end: range(1, H - 1) ends before H - 1 already.",
    "last row": "The last row of codes is still zero: does a loop end a row early?",
    "last column": "The last column of codes is still zero: does a loop end a column early?",
    "both last": "The last row and column of codes are still zero: do the loops end early?",
    "bits": "Those are the eight bits of each pixel; add them up with their weights, 1 to 128.",
    "bits first": "Those are eight pictures of bits; add them up with their weights, 1 to 128.",
    "transposed": "Rows and columns are exchanged: the first axis is the height.",
    "histogram": "That counts how often each code occurs, the second step of LBP; the codes themselves are asked for.",
    "first row": "That is the first row alone: does a `return` stand inside the loop?",
    "first pixel": "That is the code of the first pixel alone: does a `return` stand inside the loop?",
    "signed": "The codes are kept in int8, which ends at 127: make them int.",
}  # fmt: skip


def _explain_lbp(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    """Say what can be told without knowing the mistake: kind, shape, and which bits are set."""
    found, right = as_array(seen[RESULT]), np.asarray(expected[RESULT])
    if found is None or found.dtype.kind != "f":
        return None if found is None else "The codes are text; they are integers from 0 to 255."
    image = arguments[0]
    if any(_does_lbp(found, image, kind) for kind in _LBP_MISTAKES):
        return None
    if found.shape == image.shape:
        return "There is a code for every pixel, the border too; only pixels with eight neighbours have one: (H - 2, W - 2)."
    if found.shape != right.shape or not np.array_equal(found, found.round()) or found.min() < 0:
        return None

    def ones(codes: np.ndarray) -> np.ndarray:
        return np.array([f"{int(code):b}".count("1") for code in codes.ravel()])

    if np.array_equal(ones(found), ones(right)):
        return "As many bits are set as should be, but they have other weights: upper left 1, above 2, upper right 4, and so on, clockwise."
    if np.array_equal(ones(found), 8 - ones(right)):
        return "Those bits are set that should not be: is the comparison the other way round?"
    if found.max() > 255:
        return "A code goes beyond 255 = 1 + 2 + 4 + ... + 128: eight neighbours, each counted once, the first one 1."
    return (
        "Other bits are set than should be: look at what is compared. Each of the eight neighbours is compared with the pixel in the middle of "
        "them, image[row, column], and counts where it is at least as bright."
    )


def _does_lbp(found: np.ndarray, image: np.ndarray, kind: str) -> bool:
    try:
        return differs(found, _lbp(image, kind)) is None
    except Exception:  # a mistake need not work on every input
        return False


def _judge_lbp_codes(answer: Any) -> str:
    draw = np.random.default_rng(11)
    ties = (30 * draw.integers(0, 4, (6, 6))).astype(np.uint8)
    wide = draw.integers(0, 256, (4, 7), dtype=np.uint8)
    high = (60 * draw.integers(0, 5, (7, 5))).astype(np.uint8)
    one = np.array([[9, 40, 9], [9, 9, 3], [200, 9, 8]], dtype=np.uint8)
    flat = np.full((4, 5), 77, dtype=np.uint8)

    def judge() -> None:
        judge_function(
            answer,
            "lbp_codes",
            reference=_lbp,
            cases=[
                of(ties, words="a 6 x 6 image in which many neighbours are equal"),
                of(wide, words="a 4 x 7 image"),
                of(high, words="a 7 x 5 image"),
                of(one, words="the image [[9, 40, 9], [9, 9, 3], [200, 9, 8]]"),
                of(flat, words="a 4 x 5 image of one grey"),
            ],
            mistakes=_mistakes(_lbp, _LBP_MISTAKES),
            explain=_explain_lbp,
        )

    _causes(
        judge,
        {
            r"Cannot cast ufunc|out of bounds for (u?int8|bool)": "The codes do not fit where they are put: np.zeros_like(image) makes uint8, "
            "and a comparison makes bool. Make the codes with dtype=int.",
            r"with a (4 x 7|7 x 5) image.*(broadcast|out of bounds|must match|could not|shape)": "It works on square images only: height and "
            "width are two numbers, image.shape[0] and image.shape[1].",
            r"out of bounds|out of range": "It runs over the border: only pixels with eight neighbours have a code, rows 1 to H - 2.",
            r"could not broadcast|not be broadcast|must match": "Slices of different sizes meet: each neighbour's slice must have the shape "
            "(H - 2, W - 2), such as image[:-2, :-2], image[:-2, 1:-1], image[:-2, 2:].",
        },
    )
    return "A code says what surrounds a pixel, and does not change when the whole picture gets brighter."


lbp_codes = Exercise("ch11", "lbp_codes", _judge_lbp_codes)


# Losses: squared_hinge and distillation ---------------------------------------------------------------------

_REACHES = "whether a gradient reaches the logits"
_GRADIENT = "the gradient of the logits"
_TEACHER = "whether a gradient reaches the teacher"


def _loss_case(make: Callable[[], tuple[Any, ...]], words: str) -> Case:
    """A call of a loss; its value and its gradients are compared."""

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        logits, *rest = arguments
        seen: dict[str, Any] = {RESULT: result}
        gradient: Any = None
        leaves = [one for one in (logits, *rest) if isinstance(one, Tensor) and one.requires_grad]
        found: Sequence[Any] = [None] * len(leaves)
        if isinstance(result, Tensor) and result.requires_grad:
            total = result.float().sum()
            found = torch.autograd.grad(total, leaves, allow_unused=True)
        gradient = found[0]
        seen[_REACHES] = int(gradient is not None)
        seen[_GRADIENT] = "none" if gradient is None else gradient
        if len(leaves) > 1:
            seen[_TEACHER] = int(found[1] is not None and bool(found[1].abs().sum() > 0))
        if isinstance(result, Tensor):
            seen[RESULT] = result.detach()
        return seen

    return Case(make, words, observe, rtol=2e-4, atol=1e-5)


def _explain_loss(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    if differs(seen[RESULT], expected[RESULT]):
        return None
    if not seen[_REACHES]:
        return (
            "The value is right, but no gradient comes through: is the loss a plain number (.item(), float), detached, made in NumPy or "
            "under torch.no_grad()? Nothing could be trained by it."
        )
    if differs(seen[_GRADIENT], expected[_GRADIENT], rtol=1e-3, atol=1e-4):
        return "The value is right, but its gradient is not: is a part of the logits detached?"
    if seen.get(_TEACHER):
        return "A gradient reaches the teacher's logits, so that the teacher would learn too: detach them."
    return None


def _hinge(logits: Tensor, labels: Tensor, kind: str = "right") -> Any:
    classes = logits.shape[1]
    one_hot = F.one_hot(labels, classes).to(logits.dtype)
    signs = 2 * one_hot - 1
    z = {
        "softmax": lambda: logits.softmax(1),
        "softmax mean": lambda: logits.softmax(1),
        "log softmax": lambda: logits.log_softmax(1),
        "sigmoid": lambda: logits.sigmoid(),
        "tanh": lambda: logits.tanh(),
    }.get(kind, lambda: logits)()
    gap = 1 - signs * z
    h = gap.clamp(min=0)
    right = logits.gather(1, labels[:, None])
    rivals = (1 - right + logits).clamp(min=0) * (1 - one_hot)
    kinds: dict[str, Callable[[], Any]] = {
        "mean of all": lambda: h.square().mean(),
        "softmax mean": lambda: h.square().mean(),
        "sum of all": lambda: h.square().sum(),
        "plain": lambda: h.sum(1).mean(),
        "plain mean": lambda: h.mean(),
        "plain sum": lambda: h.sum(),
        "no clamp": lambda: gap.square().sum(1).mean(),
        "no clamp mean": lambda: gap.square().mean(),
        "no clamp plain": lambda: gap.sum(1).mean(),
        "clamp max": lambda: gap.clamp(max=0).square().sum(1).mean(),
        "clamp one": lambda: gap.clamp(0, 1).square().sum(1).mean(),
        "zeros and ones": lambda: (1 - one_hot * logits).clamp(min=0).square().sum(1).mean(),
        "flipped": lambda: (1 + signs * logits).clamp(min=0).square().sum(1).mean(),
        "own": lambda: (h.square() * one_hot).sum(1).mean(),
        "others": lambda: (h.square() * (1 - one_hot)).sum(1).mean(),
        "rivals": lambda: rivals.square().sum(1).mean(),
        "rivals plain": lambda: rivals.sum(1).mean(),
        "rivals multi": lambda: F.multi_margin_loss(logits, labels, p=2),
        "rivals multi plain": lambda: F.multi_margin_loss(logits, labels),
        "greatest": lambda: h.square().amax(1).mean(),
        "greatest rival": lambda: rivals.amax(1).square().mean(),
        "per image": lambda: h.square().sum(1),
        "matrix": lambda: h.square(),
        "per class": lambda: h.square().sum(0),
        "classes": lambda: h.square().sum(0).mean(),
        "half": lambda: h.square().sum(1).mean() / 2,
        "square of sum": lambda: h.sum(1).square().mean(),
        "square of mean": lambda: h.sum(1).mean().square(),
        "root": lambda: h.square().sum(1).sqrt().mean(),
        "no margin": lambda: (-signs * logits).clamp(min=0).square().sum(1).mean(),
        "margin half": lambda: (0.5 - signs * logits).clamp(min=0).square().sum(1).mean(),
        "margin plus": lambda: (-1 - signs * logits).clamp(min=0).square().sum(1).mean(),
        "cubed": lambda: h.pow(3).sum(1).mean(),
        "abs": lambda: gap.abs().sum(1).mean(),
        "negative": lambda: -h.square().sum(1).mean(),
        "entropy": lambda: F.cross_entropy(logits, labels),
        "inner square": lambda: (1 - (signs * logits).square()).clamp(min=0).sum(1).mean(),
        "squared sign": lambda: (1 - (signs * logits)).square().clamp(min=0, max=1).sum(1).mean(),
        "first image": lambda: h.square()[0].sum(),
        "last image": lambda: h.square()[-1].sum(),
        "less one": lambda: h.square().sum(1).sum() / (len(h) - 1),
        "soft": lambda: F.softplus(gap).square().sum(1).mean(),
    }
    return kinds.get(kind, lambda: h.square().sum(1).mean())()


_HINGE_MISTAKES = {
    "mean of all": "It is divided by the number of classes as well: .mean() over both axes. Sum over the classes, then take the mean over the images.",
    "sum of all": "It is the sum over the images; take their mean, or a larger batch has a larger loss.",
    "plain": "The square is missing: what is missing to the margin counts squared.",
    "plain mean": "The square is missing, and the mean runs over the classes as well; sum over the classes.",
    "plain sum": "The square is missing, and the images are added up; take their mean.",
    "no clamp": "Beyond the margin nothing is missing: clamp at 0 *before* the square. Without it, this is the squared error to +1 and -1.",
    "no clamp mean": "Beyond the margin nothing is missing: clamp at 0 before the square; and sum over the classes.",
    "no clamp plain": "Neither clamped at 0 nor squared: only what is missing to the margin counts, squared.",
    "clamp max": "The clamp keeps the wrong side: what is missing is positive, clamp(min=0).",
    "clamp one": "What is missing is cut off at 1; it has no upper limit, clamp(min=0).",
    "squared sign": "The clamp comes after the square, where nothing is negative any more: clamp before.",
    "zeros and ones": "The other classes have sign 0 here; theirs is -1: 2 * one_hot - 1.",
    "flipped": "The signs are the other way round: +1 for the label's class, and 1 *minus* sign times logit.",
    "own": "Only the label's own class counts here; the other classes should be below -1, and count too.",
    "others": "Only the other classes count here; the label's own should be above 1, and counts too.",
    "rivals": "That compares each class with the label's class (Crammer and Singer's loss); here each logit has a margin of its own.",
    "rivals plain": "That compares each class with the label's class, without a square; here each logit has a margin of its own.",
    "rivals multi": "multi_margin_loss compares each class with the label's class; here each logit has a margin of its own.",
    "rivals multi plain": "multi_margin_loss compares each class with the label's class; here each logit has a margin of its own, squared.",
    "greatest": "Only the worst class of each image counts; add up all classes.",
    "greatest rival": "Only the strongest rival counts, compared with the label's class; here each logit has a margin of its own, and all are added up.",
    "softmax": "There is a softmax before the margin: the logits themselves are held to it.",
    "softmax mean": "There is a softmax before the margin, and the mean runs over the classes; the logits themselves are held to it.",
    "log softmax": "There is a log-softmax before the margin: the logits themselves are held to it.",
    "sigmoid": "There is a sigmoid before the margin: the logits themselves are held to it.",
    "tanh": "There is a tanh before the margin: the logits themselves are held to it.",
    "per image": "That is one loss an image: take their mean, one number.",
    "matrix": "That is a value for each image and class: sum over the classes, then the mean over the images.",
    "per class": "The sum runs over the images (dim=0); sum over the classes, dim=1, then take the mean over the images.",
    "classes": "The axes are exchanged: the sum runs over the images and the mean over the classes. Sum over dim=1.",
    "half": "It is halved; no factor is asked for.",
    "square of sum": "The sum is squared; square each class first, then add up.",
    "square of mean": "The mean is squared; square what is missing in each class first.",
    "root": "A root is taken; the squares themselves are added up.",
    "no margin": "The margin is missing: 1 - sign * logit.",
    "margin half": "The margin is 0.5; it is 1.",
    "margin plus": "The margin has the wrong sign: 1 - sign * logit.",
    "cubed": "It is the third power; square it.",
    "abs": "That is the distance to the margin from either side; beyond it nothing counts: clamp at 0, then square.",
    "negative": "The sign is the other way round: a loss grows with what is missing.",
    "entropy": "That is cross-entropy; a margin is asked for.",
    "inner square": "The logit is squared; square what is missing, after the clamp.",
    "first image": "That is the first image alone: take the mean over all (does a `return` stand inside the loop?).",
    "last image": "That is the last image alone: add the images up, and divide by how many there are.",
    "less one": "It is divided by one image less; take the mean.",
    "soft": "softplus is a smooth hinge, and never exactly 0; clamp at 0.",
}  # fmt: skip


Parts = Mapping[str, tuple[Any, str]]


def _two_faults(tables: Sequence[Parts], value: Callable[..., Any], found: float) -> str | None:
    """Return what one or two parts, taken wrongly, give the value that was found; in each table the first is right."""
    singles = [(place, name) for place, table in enumerate(tables) for name in list(table)[1:]]
    pairs = [
        (one, other) for i, one in enumerate(singles) for other in singles[i + 1 :] if one[0] != other[0]
    ]
    for faults in [*((one,) for one in singles), *pairs]:
        chosen = [next(iter(table)) for table in tables]
        for place, name in faults:
            chosen[place] = name
        try:
            given = float(value(*(table[name][0] for table, name in zip(tables, chosen, strict=True))))
        except Exception:  # not every two go together
            continue
        if np.isclose(given, found, rtol=3e-6, atol=1e-9):
            return "\n".join(tables[place][name][1] for place, name in faults)
    return None


_HINGE_Z: Parts = {
    "": (lambda z: z, ""),
    "softmax": (lambda z: z.softmax(1), "There is a softmax before the margin: the logits themselves are held to it."),
    "log": (lambda z: z.log_softmax(1), "There is a log-softmax before the margin: the logits themselves are held to it."),
    "sigmoid": (torch.sigmoid, "There is a sigmoid before the margin: the logits themselves are held to it."),
    "tanh": (torch.tanh, "There is a tanh before the margin: the logits themselves are held to it."),
    "unit": (lambda z: z / z.norm(dim=1, keepdim=True), "The logits are scaled to length 1 first; they are held to the margin as they are."),
    "centred": (lambda z: z - z.mean(1, keepdim=True), "The mean of the logits is taken off first; they are held to the margin as they are."),
    "below max": (lambda z: z - z.amax(1, keepdim=True), "The greatest logit is taken off first; they are held to the margin as they are."),
}  # fmt: skip
_HINGE_SIGNS: Parts = {
    "": (lambda z, y: 2 * F.one_hot(y, z.shape[1]) - 1, ""),
    "flipped": (lambda z, y: 1 - 2 * F.one_hot(y, z.shape[1]), "The signs are the other way round: +1 for the label's class, -1 for the others."),
    "zeros": (lambda z, y: F.one_hot(y, z.shape[1]), "The other classes have sign 0 here; theirs is -1: 2 * one_hot - 1."),
    "ones": (lambda z, _: torch.ones_like(z), "All classes have the sign +1; the others than the label's have -1."),
    "minus": (lambda z, _: -torch.ones_like(z), "All classes have the sign -1; the label's has +1: is it never set?"),
    "columns": (
        lambda z, y: (2 * F.one_hot(y, z.shape[1]).amax(0, keepdim=True) - 1).expand_as(z),
        "A class has the sign +1 for *every* image as soon as one image has it as label: signs[:, labels] sets whole columns; "
        "signs[torch.arange(B), labels] sets one an image.",
    ),
    "answers": (lambda z, _: 2 * F.one_hot(z.argmax(1), z.shape[1]) - 1, "The signs are made from the greatest logit; they come from the labels."),
    "numbers": (lambda z, y: (2 * y[:, None] - 1).expand_as(z), "The labels, as numbers, are taken for signs: each class has a sign of its own, +1 or -1."),
}  # fmt: skip
_HINGE_GAP: Parts = {
    "": (lambda s, z: 1 - s * z, ""),
    "plus": (lambda s, z: 1 + s * z, "It is 1 *minus* sign times logit."),
    "other side": (lambda s, z: s * z - 1, "What is missing is 1 - sign * logit, not sign * logit - 1."),
    "less": (lambda s, z: s - z, "The logit is taken from the sign, sign - logit; multiply by the sign: 1 - sign * logit."),
    "both": (lambda s, z: 1 - s - z, "The sign is subtracted; multiply by it: 1 - sign * logit."),
    "none": (lambda s, z: -s * z, "The margin is missing: 1 - sign * logit."),
    "abs": (lambda s, z: 1 - (s * z).abs(), "The amount of the logit is taken, so that the wrong side is as good as the right one."),
    "squared": (lambda s, z: 1 - (s * z) ** 2, "The logit is squared; square what is missing."),
    "two": (lambda s, z: 2 - s * z, "The margin is 2; it is 1."),
    "half": (lambda s, z: 0.5 - s * z, "The margin is 0.5; it is 1."),
}  # fmt: skip
_HINGE_CUT: Parts = {
    "": (lambda gap: gap.clamp(min=0), ""),
    "none": (lambda gap: gap, "Beyond the margin nothing is missing: clamp at 0, before the square."),
    "max": (lambda gap: gap.clamp(max=0), "The clamp keeps the wrong side: clamp(min=0)."),
    "one": (lambda gap: gap.clamp(0, 1), "What is missing is cut off at 1; it has no upper limit."),
    "min one": (lambda gap: gap.clamp(min=1), "The clamp is at 1; it is at 0."),
    "abs": (lambda gap: gap.abs(), "The distance to the margin counts from either side; beyond it nothing is missing: clamp at 0."),
    "soft": (F.softplus, "softplus is a smooth hinge, and never exactly 0; clamp at 0."),
    "leaky": (F.leaky_relu, "A leaky ReLU lets negative values through; clamp at 0."),
    "steps": (lambda gap: (gap > 0).float(), "Whether something is missing is counted; how much, squared, is asked for."),
}  # fmt: skip
_HINGE_POWER: Parts = {
    "": (torch.square, ""),
    "plain": (lambda h: h, "The square is missing: what is missing to the margin counts squared."),
    "cubed": (lambda h: h**3, "It is the third power; square it."),
    "double": (lambda h: 2 * h, "It is doubled, not squared: ** 2."),
    "half": (lambda h: h**2 / 2, "It is halved; no factor is asked for."),
    "root": (torch.sqrt, "A root is taken; square it."),
}
_HINGE_SUM: Parts = {
    "": (lambda q, _: q.sum(1).mean(), ""),
    "mean": (lambda q, _: q.mean(), "It is divided by the number of classes as well: sum over the classes, then take the mean over the images."),
    "sum": (lambda q, _: q.sum(), "It is the sum over the images; take their mean."),
    "per class": (lambda q, _: q.sum(0).mean(), "It is divided by the number of classes in place of images: sum over dim=1, then the mean over the images."),
    "greatest image": (lambda q, _: q.sum(1).max(), "The image with the greatest loss alone counts; take the mean over all."),
    "median": (lambda q, _: q.sum(1).median(), "The median over the images is taken; take the mean."),
    "least": (lambda q, _: q.sum(1).min(), "The image with the least loss alone counts; take the mean over all."),
    "first": (lambda q, _: q[0].sum(), "That is the first image alone: take the mean over all."),
    "last": (lambda q, _: q[-1].sum(), "That is the last image alone: add the images up, and divide by how many there are."),
    "greatest": (lambda q, _: q.amax(1).mean(), "Only the worst class of each image counts; add up all classes."),
    "signed": (lambda q, s: (q * s).sum(1).mean(), "What is missing is multiplied by the sign once more: all of it is added up."),
    "own": (lambda q, s: q[s > 0].sum() / len(q), "Only the label's own class counts here; the others, which should be below -1, count too."),
    "others": (lambda q, s: q[s < 0].sum() / len(q), "Only the other classes count here; the label's own, which should be above 1, counts too."),
    "rest": (lambda q, _: q.sum() / (q > 0).sum(), "It is the mean over what is above 0; sum over the classes, then take the mean over the images."),
    "fewer": (lambda q, _: q.sum() / (len(q) * (q.shape[1] - 1)), "It is divided by the other classes as well; sum over the classes, mean over the images."),
    "negative": (lambda q, _: -q.sum(1).mean(), "The sign is the other way round: a loss grows with what is missing."),
    "root": (lambda q, _: q.sum(1).sqrt().mean(), "A root is taken; the squares themselves are added up."),
    "log": (lambda q, _: q.sum(1).log().mean(), "A logarithm is taken; none is asked for."),
}  # fmt: skip


def _explain_hinge(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found = as_array(seen[RESULT])
    if not differs(seen[RESULT], expected[RESULT], rtol=2e-4, atol=1e-5):
        return _explain_loss(seen, expected, arguments)
    if found is None or found.dtype.kind != "f" or found.size != 1:
        return None
    logits, labels = arguments[0].detach(), arguments[1]

    def value(z: Any, signs: Any, gap: Any, cut: Any, power: Any, add: Any) -> Any:
        s, x = signs(logits, labels), z(logits)
        return add(power(cut(gap(s, x))), s)

    tables = (_HINGE_Z, _HINGE_SIGNS, _HINGE_GAP, _HINGE_CUT, _HINGE_POWER, _HINGE_SUM)
    if told := _two_faults(tables, value, found.item()):
        return told
    one_hot = F.one_hot(labels, logits.shape[1]).float()
    others = {
        "hinge_embedding_loss": F.hinge_embedding_loss(logits, 2 * one_hot - 1),
        "soft_margin_loss": F.soft_margin_loss(logits, 2 * one_hot - 1),
        "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits(logits, one_hot),
        "mse_loss": F.mse_loss(logits, one_hot),
    }
    for name, other in others.items():
        if np.isclose(other.item(), found.item(), rtol=1e-5):
            return f"That is PyTorch's {name}, another loss: write clamp(1 - sign * logit), squared."
    right = float(expected[RESULT])
    if right < found.item() < 1.2 * right:
        return "Is something added to the loss (a penalty on logits or weights)? Only what is missing to the margins counts."
    return None


def _judge_squared_hinge(answer: Any) -> str:
    def case(images: int, classes: int, seed: int, labels: list[int], words: str) -> Case:
        def make() -> tuple[Any, ...]:
            draw = torch.Generator().manual_seed(seed)
            logits = 1.5 * torch.randn(images, classes, generator=draw)
            return logits.requires_grad_(), torch.tensor(labels)

        return _loss_case(make, f"logits of shape {(images, classes)}{words}")

    def judge() -> None:
        judge_function(
            answer,
            "squared_hinge",
            reference=_hinge,
            cases=[
                case(6, 7, 1, [0, 6, 3, 3, 1, 5], ""),
                case(3, 4, 2, [0, 1, 1], " and no image of classes 2 and 3"),
                case(1, 7, 3, [2], ", one image"),
                case(5, 2, 4, [0, 1, 1, 0, 1], ", two classes"),
                case(4, 9, 5, [8, 0, 7, 4], ", nine classes"),
            ],
            mistakes=_mistakes(_hinge, _HINGE_MISTAKES),
            explain=_explain_hinge,
        )

    _causes(
        judge,
        {
            r"logits of shape \(6, 7\).*(must match the size|broadcast)": "Labels (B,) and logits (B, K) do not fit together: make a sign for each "
            "class, F.one_hot(labels, K), or pick columns with logits.gather.",
            r"must match the size|broadcast|out of bounds|smaller than num_classes|out of range": "The number of classes is that of the logits, "
            "logits.shape[1]: F.one_hot(labels) alone makes as many columns as the greatest label needs, and a 7 that is typed in fits 7 "
            "classes only.",
            r"inconsistent target size": "multilabel_margin_loss is another loss: compare each logit with its own margin.",
            r"one_hot.*(Long|int64|index)|only applicable to index tensor": "F.one_hot takes the labels, whole numbers: are the arguments "
            "exchanged?",
        },
    )
    return "Beyond its margin an image has no gradient: the training spends itself on the others."


squared_hinge = Exercise("ch11", "squared_hinge", _judge_squared_hinge)


# SpatialGate ------------------------------------------------------------------------------------------------


class _Gate(nn.Module):
    """The right gate, and with another ``kind`` the wrong ones."""

    def __init__(self, kernel_size: int, kind: str = "right") -> None:
        super().__init__()
        self.kind = kind
        single = kind in ("mean only", "max only", "sum of both", "product", "std only")
        options: dict[str, Any] = {"padding": kernel_size // 2, "bias": False}
        if kind == "reflect":
            options["padding_mode"] = "reflect"
        if kind == "replicate":
            options["padding_mode"] = "replicate"
        if kind == "circular":
            options["padding_mode"] = "circular"
        if kind == "dilated":
            options |= {"dilation": 2, "padding": kernel_size - 1}
        self.conv = nn.Conv2d(1 if single else 3 if kind == "three" else 2, 1, kernel_size, **options)
        self.norm = nn.BatchNorm2d(1) if kind == "norm" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        kind = self.kind
        mean, greatest = x.mean(1, keepdim=True), x.amax(1, keepdim=True)
        least, total = x.amin(1, keepdim=True), x.sum(1, keepdim=True)
        pairs: dict[str, Callable[[], tuple[Tensor, ...]]] = {
            "max first": lambda: (greatest, mean),
            "mean only": lambda: (mean,),
            "max only": lambda: (greatest,),
            "std only": lambda: (x.std(1, keepdim=True),),
            "sum of both": lambda: (mean + greatest,),
            "product": lambda: (mean * greatest,),
            "mean twice": lambda: (mean, mean),
            "max twice": lambda: (greatest, greatest),
            "least": lambda: (mean, least),
            "sum": lambda: (total, greatest),
            "std": lambda: (mean, x.std(1, keepdim=True)),
            "median": lambda: (x.median(1, keepdim=True).values, greatest),
            "abs": lambda: (mean, x.abs().amax(1, keepdim=True)),
            "places of max": lambda: (mean, x.argmax(1, keepdim=True).to(x.dtype)),
            "first channels": lambda: (x[:, :1], x[:, 1:2]),
            "three": lambda: (mean, greatest, least),
            "sigmoid before": lambda: (mean.sigmoid(), greatest.sigmoid()),
            "relu before": lambda: (mean.relu(), greatest.relu()),
        }
        both = torch.cat(pairs.get(kind, lambda: (mean, greatest))(), dim=1)
        if kind == "mean of picture":
            return x * self.conv(both).mean((2, 3), keepdim=True).sigmoid()
        weights = self.norm(self.conv(both))
        acts: dict[str, Callable[[Tensor], Tensor]] = {
            "none": lambda w: w,
            "sigmoid before": lambda w: w,
            "relu": torch.relu,
            "tanh": torch.tanh,
            "softmax": lambda w: w.flatten(1).softmax(1).view_as(w),
            "softmax channels": lambda w: w.softmax(1),
            "rows": lambda w: w.softmax(3),
            "columns": lambda w: w.softmax(2),
            "batch": lambda w: w.softmax(0),
            "hardsigmoid": F.hardsigmoid,
            "sigmoid twice": lambda w: w.sigmoid().sigmoid(),
            "relu then sigmoid": lambda w: w.relu().sigmoid(),
            "negative": lambda w: 1 - w.sigmoid(),
            "double": lambda w: 2 * w.sigmoid(),
            "silu": F.silu,
            "hard": lambda w: (w > 0).to(w.dtype) + 0 * w,
        }
        gates = acts.get(kind, torch.sigmoid)(weights)
        outs: dict[str, Callable[[], Tensor]] = {
            "gates": lambda: gates,
            "gates everywhere": lambda: gates.expand_as(x),
            "added": lambda: x + gates,
            "residual": lambda: x + x * gates,
            "twice": lambda: x * gates * gates,
            "divided": lambda: x / gates,
            "detached": lambda: x * gates.detach() + 0 * gates,
            "detached input": lambda: x.detach() * gates,
            "summed": lambda: (x * gates).sum(1, keepdim=True),
            "pooled": lambda: mean * gates,
            "relu after": lambda: (x * gates).relu(),
            "both": lambda: both * gates,
        }
        return outs.get(kind, lambda: x * gates)()


_GATE_MISTAKES = {
    "max first": "The two pictures stand in the other order: first the mean, then the greatest value.",
    "mean only": "Only the mean over the channels is used; the greatest value is the second picture.",
    "max only": "Only the greatest value over the channels is used; the mean is the first picture.",
    "std only": "The standard deviation is used; two pictures are asked for, mean and greatest value.",
    "std": "The second picture is the standard deviation; the greatest value is asked for.",
    "sum of both": "Mean and greatest value are added up; keep them apart, as two channels: torch.cat.",
    "product": "Mean and greatest value are multiplied; keep them apart, as two channels: torch.cat.",
    "mean twice": "The mean stands there twice; the second picture is the greatest value.",
    "max twice": "The greatest value stands there twice; the first picture is the mean.",
    "least": "The second picture is the least value; the greatest is asked for.",
    "sum": "The first picture is the sum over the channels; take their mean.",
    "median": "The first picture is the median; take the mean.",
    "abs": "The second picture is the greatest amount, without its sign; take the greatest value.",
    "places of max": "The second picture says *which* channel is greatest (argmax, or the second thing that max returns); take its value.",
    "first channels": "The convolution gets two channels of the input; it should get their mean and their greatest value.",
    "three": "There are three pictures; two are asked for, mean and greatest value.",
    "sigmoid before": "The sigmoid comes before the convolution; the gates are what comes out of it after the convolution.",
    "relu before": "There is a ReLU before the convolution, which cuts off what is negative.",
    "norm": "There is batch norm between the convolution and the sigmoid; none is asked for.",
    "none": "The sigmoid is missing: gates lie between 0 and 1.",
    "relu": "There is a ReLU where the sigmoid belongs: gates lie between 0 and 1.",
    "tanh": "There is a tanh where the sigmoid belongs: gates lie between 0 and 1, and do not change signs.",
    "silu": "There is a SiLU where the sigmoid belongs: gates lie between 0 and 1.",
    "hard": "The gates are 0 or 1, and nothing can be learned through them; take the sigmoid.",
    "hardsigmoid": "There is a hard sigmoid; the sigmoid itself is asked for.",
    "sigmoid twice": "There are two sigmoids, one after the other.",
    "relu then sigmoid": "There is a ReLU before the sigmoid, so that no gate can be below one half.",
    "softmax": "There is a softmax over the places, whose gates add up to 1; each place has a sigmoid of its own.",
    "softmax channels": "There is a softmax over a single channel, which is always 1; take the sigmoid.",
    "rows": "There is a softmax along a row; each place has a sigmoid of its own.",
    "columns": "There is a softmax along a column; each place has a sigmoid of its own.",
    "batch": "There is a softmax over the images of the batch; each place has a sigmoid of its own.",
    "negative": "The gates are turned round, one minus the sigmoid.",
    "double": "The gates are doubled; they lie between 0 and 1.",
    "mean of picture": "There is one gate for the whole picture; each place has one of its own.",
    "reflect": "The border is mirrored; plain padding, with zeros, is asked for.",
    "replicate": "The border is repeated; plain padding, with zeros, is asked for.",
    "circular": "The border is continued at the other side; plain padding, with zeros, is asked for.",
    "dilated": "The convolution is dilated, and looks at other places.",
    "gates": "Those are the gates alone; multiply the input by them.",
    "gates everywhere": "Those are the gates alone; multiply the input by them.",
    "added": "The gates are added to the input; multiply by them.",
    "residual": "The input is added once more, x + x * gates; multiply only.",
    "twice": "The input is multiplied by the gates twice.",
    "divided": "The input is divided by the gates; multiply.",
    "detached": "The gates are detached: neither the convolution nor what comes before would learn from them.",
    "detached input": "The input is detached: no gradient would reach what comes before.",
    "summed": "The channels are added up; the output has all of them, each scaled.",
    "pooled": "The mean is multiplied by the gates; multiply the input.",
    "both": "The two summaries are multiplied by the gates; multiply the input itself.",
    "relu after": "There is a ReLU after the gates; none is asked for.",
}


class _Axes(nn.Module):
    """Summaries along an axis that is not the channels': what comes out has the input's shape all the same."""

    def __init__(self, kernel_size: int, kind: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        axes: dict[str, Any] = {"rows": 2, "columns": 3, "all": (2, 3), "batch": 0}
        axis = axes[self.kind]
        if self.kind == "all":
            pair = (x.mean(1, keepdim=True).mean((2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True))
        else:
            pair = (x.mean(axis, keepdim=True).mean(1, keepdim=True), x.amax((1, axis), keepdim=True))
        return x * self.conv(torch.cat(pair, 1)).sigmoid()


def _judge_spatial_gate(answer: Any) -> str:
    def judge() -> None:
        judge_module(
            answer,
            "SpatialGate",
            reference=_Gate,
            trials=[Trial((3,), (6, 5, 6, 6)), Trial((7,), (3, 4, 9, 8)), Trial((5,), (1, 2, 5, 7)), Trial((1,), (2, 3, 4, 4))],
            mistakes=[*variants(_Gate, _GATE_MISTAKES), *variants(_Axes, {
                "rows": "The summaries run over rows or columns; take them over the channels, dim=1.",
                "columns": "The summaries run over rows or columns; take them over the channels, dim=1.",
                "all": "The summaries run over the whole picture; take them over the channels, at each place.",
                "batch": "The summaries run over the images of the batch too; take them over the channels of each image, dim=1.",
            })],
        )  # fmt: skip

    _causes(
        judge,
        {
            r"zero-dimensional": "The mean and the greatest value of everything are taken; take them over the channels, dim=1, with keepdim=True.",
            r"size: \[6, 2, 1, 6, 6\]": "torch.stack makes a new axis: either torch.cat with keepdim=True, or torch.stack without it.",
            r"to have 2 channels, but got 10": "Both summaries still have all channels: pooling layers summarise places; take mean and greatest value over "
            "the channels, dim=1.",
            r"non-singleton dimension 1\b": "The convolution has several output channels; one gate a place is asked for, nn.Conv2d(2, 1, ...).",
            r"torch.return_types|got tuple|'max' object|must be Tensor, not max": "x.max(dim=1) returns values *and* places: take .values, or "
            "x.amax(dim=1).",
            r"expected input.* to have 2 channels, but got 5 channels": "The convolution gets the feature map itself; it should get the mean "
            "and the greatest value of the channels, two pictures (dim=1, with keepdim=True).",
            r"expected input.* to have 2 channels, but got 1 channels": "The convolution gets one picture; put the mean and the greatest value "
            "together as two channels: torch.cat([...], dim=1).",
            r"to have 2 channels, but got|Expected 3D|Dimension out of range|Sizes of tensors must match": "The two summaries do not fit "
            "together as channels: keep the axis with keepdim=True, (B, 1, H, W), and put them together along dim=1.",
            r"to have 1 channels, but got 2": "The convolution is made for one channel and gets two: nn.Conv2d(2, 1, ...).",
            r"to have \d+ channels, but got": "The convolution is made for another number of channels than it gets: two go in, whatever the input "
            "has, and one comes out: nn.Conv2d(2, 1, ...).",
            r"must match the size of tensor|not be broadcast": "The gates have another height and width than the input: pad the convolution, "
            "padding=kernel_size // 2.",
            r"got an invalid combination|positional argument|unexpected keyword": "It is called in a way that it cannot be called: "
            "look at the arguments.",
        },
    )
    # A bias is set to zero above, since before batch norm it would change nothing. Here it does.
    trial = Trial((3,), (2, 3, 4, 4))
    gate = trial.build(answer)
    gate(trial.input())  # a lazy layer has its weights from here on
    if more := sum(weight.numel() for weight in gate.parameters()) - 2 * 3 * 3:
        raise Wrong(
            f"It has {18 + more} weights with a 3 x 3 kernel; expected 18. Is there a bias? The convolution has none, bias=False."
        )
    return "It costs 2 k^2 weights, however wide the network is."


SpatialGate = Exercise("ch11", "SpatialGate", _judge_spatial_gate)


# mixup_step -------------------------------------------------------------------------------------------------


def _mix(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    share: float,
    partner: Tensor,
    *,
    image: str = "right",
    loss: str = "right",
    step: str = "right",
    gives: str = "number",
) -> Any:
    """The right step, and with other options the wrong ones."""
    rest = 1 - share
    if image == "greater share":
        share, rest = max(share, rest), min(share, rest)
    if image == "drawn both":
        partner = torch.randperm(len(images))
    if step != "mode":
        model.train(step != "eval")
    if step != "no clear" and step != "clear between":
        optimizer.zero_grad()
    if step == "early":
        optimizer.step()
    inverse = partner.argsort()
    images_of: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: images,
        "swapped": lambda: rest * images + share * images[partner],
        "half": lambda: (images + images[partner]) / 2,
        "sum": lambda: images + images[partner],
        "no weight": lambda: images + rest * images[partner],
        "partner alone": lambda: images[partner],
        "own alone": lambda: share * images,
        "flipped": lambda: share * images + rest * images.flip(0),
        "rolled": lambda: share * images + rest * images.roll(1, 0),
        "drawn": lambda: share * images + rest * images[torch.randperm(len(images))],
        "inverse": lambda: share * images + rest * images[inverse],
        "minus": lambda: share * images - rest * images[partner],
        "in place": lambda: images.mul_(share).add_(rest * images[partner]),
        "into": lambda: images.copy_(share * images + rest * images[partner]),
        "mirror": lambda: share * images + rest * images.flip(-1),
        "rounded": lambda: (share * images + rest * images[partner]).round(),
        "cut": lambda: torch.cat([images[: round(share * len(images))], images[partner][round(share * len(images)) :]]),
    }  # fmt: skip
    others = {"drawn labels": lambda: labels[torch.randperm(len(labels))], "flipped labels": lambda: labels.flip(0),
              "inverse labels": lambda: labels[inverse], "rolled labels": lambda: labels.roll(1, 0)}  # fmt: skip
    if loss == "two batches":
        a, b = model(images), model(images[partner])
        value = share * F.cross_entropy(a, labels) + rest * F.cross_entropy(b, labels[partner])
        logits = a
    elif loss == "two calls":
        mixed = images_of["right" if image == "right" else image]() if image != "right" else (
            share * images + rest * images[partner]
        )  # fmt: skip
        logits, again = model(mixed), model(mixed)
        value = share * F.cross_entropy(logits, labels) + rest * F.cross_entropy(again, labels[partner])
    else:
        logits = model(images_of.get(image, lambda: share * images + rest * images[partner])())
        theirs = others.get(loss, lambda: labels[partner])()
        own, other = F.cross_entropy(logits, labels), F.cross_entropy(logits, theirs)
        classes = logits.shape[1]
        one_hot = [F.one_hot(one, classes).float() for one in (labels, theirs)]
        soft = share * one_hot[0] + rest * one_hot[1]
        losses: dict[str, Callable[[], Tensor]] = {
            "own": lambda: own,
            "partner": lambda: other,
            "swapped": lambda: rest * own + share * other,
            "half": lambda: (own + other) / 2,
            "sum": lambda: own + other,
            "share own": lambda: share * own,
            "no weight": lambda: own + rest * other,
            "greater": lambda: own if share >= 0.5 else other,
            "numbers": lambda: F.cross_entropy(logits, (share * labels + rest * theirs).long()),
            "rounded numbers": lambda: F.cross_entropy(logits, (share * labels + rest * theirs).round().long()),
            "softmax": lambda: F.cross_entropy(logits.softmax(1), soft),
            "mse": lambda: F.mse_loss(logits.softmax(1), soft),
            "bce": lambda: F.binary_cross_entropy_with_logits(logits, soft),
            "summed": lambda: len(images) * (share * own + rest * other),
            "smoothed": lambda: share * F.cross_entropy(logits, labels, label_smoothing=0.1) + rest * F.cross_entropy(logits, theirs, label_smoothing=0.1),
            "best of": lambda: torch.minimum(own, other),
            "nll": lambda: share * F.nll_loss(logits, labels) + rest * F.nll_loss(logits, theirs),
            "shuffled": lambda: share * own + rest * F.cross_entropy(logits[partner], labels),
        }  # fmt: skip
        value = losses.get(loss, lambda: share * own + rest * other)()
    if step == "clear between":
        value.backward()
        optimizer.zero_grad()
        optimizer.step()
    else:
        if step != "no backward":
            value.backward()
        if step not in ("no step", "early"):
            optimizer.step()
        if step == "twice":
            optimizer.step()
    gifts: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "graph": lambda: value,
        "sum": lambda: value.item() * len(images),
        "logits": lambda: logits.detach(),
        "own": lambda: F.cross_entropy(logits, labels).item(),
        "accuracy": lambda: (logits.argmax(1) == labels).float().mean().item(),
        "list": lambda: [value.item()],
    }
    return gifts.get(gives, lambda: value.item())()


_MIX_IMAGES = {
    "plain": "The images are not mixed: the model sees them as they came.",
    "swapped": "The shares of the images are exchanged: `share` belongs to the image itself, 1 - share to its partner.",
    "half": "The images are mixed half and half; `share` says how much of each.",
    "sum": "The two images are added up without their shares: share * images + (1 - share) * images[partner].",
    "no weight": "The image itself counts fully here; it has the weight `share`.",
    "partner alone": "The model sees the partners alone; the images themselves have the share `share`.",
    "own alone": "The partners' part of the images is missing: + (1 - share) * images[partner].",
    "flipped": "Each image is mixed with the one from the other end of the batch; its partner is images[partner].",
    "rolled": "Each image is mixed with its neighbour in the batch; its partner is images[partner].",
    "drawn": "The partners are drawn anew; they are given: images[partner].",
    "greater share": "The greater of share and 1 - share is given to the image itself; `share` is, even below one half.",
    "drawn both": "The partners are drawn anew; they are given: images[partner] and labels[partner].",
    "inverse": "The partners are those that *have* the image as partner (an inverse permutation); index with `partner` itself.",
    "minus": "The partners' images are subtracted; add them.",
    "in place": "The images that were passed in are changed, and mixed with partners that are changed already: make a new tensor.",
    "into": "The images that were passed in are changed (*=, +=, or copy_): make a new tensor, or the next epoch trains on mixtures of mixtures.",
    "mirror": "Each image is mixed with its own mirror image; its partner is images[partner].",
    "rounded": "The mixed images are rounded: leave them as they are.",
    "cut": "A part of the batch is exchanged for the partners; every image is mixed, pixel by pixel.",
}
_MIX_LOSSES = {
    "own": "The images are mixed, the labels are not: the partners' labels belong to the loss, with 1 - share.",
    "partner": "Only the partners' labels count here; the own ones belong to the loss with `share`.",
    "swapped": "The shares of the two losses are exchanged: `share` belongs to the own labels.",
    "half": "The two losses count half and half; their weights are share and 1 - share.",
    "sum": "The two losses are added up without their weights, share and 1 - share.",
    "share own": "The partners' part of the loss is missing: + (1 - share) * cross_entropy(logits, labels[partner]).",
    "no weight": "The own labels count fully here; they have the weight `share`.",
    "greater": "Only the label with the greater share counts; both do, each with its share.",
    "numbers": "The labels are averaged as numbers: class 2 and class 6 do not make class 4. Average the two losses.",
    "rounded numbers": "The labels are averaged as numbers: class 2 and class 6 do not make class 4. Average the two losses.",
    "softmax": "There is a softmax before the loss, but cross_entropy applies its own: give it the logits.",
    "mse": "That is a squared error; the mean of two cross-entropies is asked for.",
    "bce": "That is a binary cross-entropy, class by class; the mean of two cross-entropies is asked for.",
    "summed": "The loss is added up over the images; take its mean.",
    "smoothed": "There is label smoothing in the loss; none is asked for.",
    "nll": "nll_loss takes log-probabilities; cross_entropy takes the logits.",
    "shuffled": "The logits are put in the partners' order, and not the labels: cross_entropy(logits, labels[partner]).",
    "best of": "The smaller of the two losses is taken; average them with share and 1 - share.",
    "two batches": "The model is called on the images and on their partners, and nothing is mixed but losses: call it once, on the mixed images.",
    "two calls": "The model is called twice on the mixed images, and batch norm counts them twice: call it once, and use its logits twice.",
    "drawn labels": "The partners of the labels are drawn anew, so that labels and images do not belong together: labels[partner].",
    "flipped labels": "The labels come from the other end of the batch, the images from `partner`: labels[partner].",
    "rolled labels": "The labels are those of the neighbours in the batch, the images those of `partner`: labels[partner].",
    "inverse labels": "Labels and images have different partners: index both with `partner` itself.",
}
_MIX_STEPS = {
    "mode": "The model stays in evaluation mode: batch norm and dropout then do not train. Call model.train().",
    "eval": "The model is put into evaluation mode: batch norm and dropout then do not train. Call model.train().",
    "no clear": "The gradients of the step before are still there and are added to: optimizer.zero_grad() belongs before backward.",
    "clear between": "zero_grad comes between backward and step: the step then has nothing to go by.",
    "no backward": "There is no loss.backward() that reaches the weights: without gradients the step changes nothing.",
    "no step": "There is no optimizer.step(): gradients alone change nothing.",
    "early": "The step comes before backward: it goes by the gradients of the batch before.",
    "twice": "The optimiser takes two steps; one is asked for.",
}
_MIX_GIVES = {
    "nothing": "The step is right, and returns nothing: return the loss as a number, loss.item().",
    "graph": "The step is right, but what it returns still holds the graph of the whole step: return a number, loss.item().",
    "sum": "The step is right, but the loss that it returns is added up over the images; return the mean.",
    "logits": "The step is right, but it returns the logits; return the loss as a number.",
    "own": "The step is right, but it returns the loss with the own labels alone; return the mixed one.",
    "accuracy": "The step is right, but it returns the accuracy; return the loss.",
    "list": "The step is right, but it returns a list or tuple; return the number alone.",
}


def _mix_case(seed: int, batch: int, share: float) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        model = _Watched(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 7))
        images, labels = torch.randn(batch, 1, 8, 8), (torch.arange(batch) * 3 + seed) % 7
        partner = torch.randperm(batch).roll(1)
        if torch.equal(partner, partner.argsort()):
            partner = torch.arange(batch).roll(2)
        optimizer = _WatchedSGD(model.parameters(), lr=0.1, momentum=0.5)
        model.events = optimizer.events = []
        model.eval()
        F.cross_entropy(model(images.flip(0)), labels).backward()  # gradients that must not stay
        optimizer.step()  # a momentum that must
        model.get_parameter("0.weight").register_post_accumulate_grad_hook(
            lambda _: model.events.append("backward")
        )
        model.events.clear()
        torch.manual_seed(77)  # for partners that are drawn
        return model, images, labels, optimizer, share, partner

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model, images, labels, _, _, partner = arguments
        if isinstance(result, (list, tuple)) and len(result) == 1:
            result = "a list"
        elif isinstance(result, Tensor) and result.requires_grad:
            result = "a tensor that still holds the graph of the whole step"
        # Where gradients are cleared makes no difference, as long as it is before backward.
        done = list(model.events)
        start = done.index("backward") if "backward" in done else len(done)
        early = [event for event in done[:start] if event != "clear"]
        cleared = ["clear"] * ("clear" in done[:start])
        return {
            TRACE: [*cleared, *early, *done[start:]],
            "the images that were passed in": images,
            "the labels that were passed in": labels,
            "the partners that were passed in": partner,
            "the statistics of batch norm": torch.cat(
                [model.get_buffer("1.running_mean"), model.get_buffer("1.running_var")]
            ),
            "the weights after the step": torch.cat([p.detach().flatten() for p in model.parameters()]),
            RESULT: result,
        }

    words = f"a small network in eval mode, {batch} images, SGD and a share of {share}"
    return Case(make, words, observe, rtol=3e-4, atol=3e-6, may_change=True)


def _explain_mix(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    done = seen[TRACE]
    calls = sum(event.startswith("forward") for event in done)
    if not calls:
        return "The model is never called: logits = model(mixed images)."
    if calls > 1:
        return "The model is called more than once: call it once, on the mixed images, and use its logits for both losses."
    if next(event for event in done if event.startswith("forward")).endswith("eval mode"):
        return _MIX_STEPS["mode"]
    for name in ("images", "labels", "partners"):
        if differs(seen[f"the {name} that were passed in"], expected[f"the {name} that were passed in"]):
            return f"The {name} that were passed in are changed: make a new tensor."
    if differs(
        seen["the statistics of batch norm"], expected["the statistics of batch norm"], rtol=1e-3, atol=1e-5
    ):
        return "The model gets other images than share * images + (1 - share) * images[partner]."
    if differs(
        seen["the weights after the step"], expected["the weights after the step"], rtol=3e-4, atol=3e-6
    ):
        if "backward" not in done:
            return _MIX_STEPS["no backward"]
        steps = done.count("step")
        if steps != 1:
            return (
                _MIX_STEPS["no step"]
                if not steps
                else f"The optimiser takes {steps} steps; one is asked for."
            )
        if done.index("step") < done.index("backward"):
            return _MIX_STEPS["early"]
        places = [place for place, event in enumerate(done) if event == "clear"]
        if any(done.index("backward") < place < done.index("step") for place in places):
            return _MIX_STEPS["clear between"]
        if not any(place < done.index("backward") for place in places):
            return _MIX_STEPS["no clear"]
        if not differs(seen[RESULT], expected[RESULT], rtol=3e-4, atol=3e-6):
            return (
                "The loss that is returned is right, but the weights move otherwise: is backward called on another loss, or are the gradients changed "
                "(clipping, scaling) or used by another optimiser?"
            )
        return "The images are mixed rightly and the calls are in order, but the loss is another than share * cross_entropy(logits, labels) + (1 - share) * cross_entropy(logits, labels[partner])."
    return None


def _judge_mixup_step(answer: Any) -> str:
    mistakes = [
        Mistake(
            partial(_mix, image="swapped", loss="swapped"),
            "`share` belongs to the image itself and its own label, 1 - share to the partner's; here it is the other way round in both.",
        )
    ]
    for option, table in (
        ("step", _MIX_STEPS),
        ("image", _MIX_IMAGES),
        ("loss", _MIX_LOSSES),
        ("gives", _MIX_GIVES),
    ):
        mistakes += [Mistake(partial(_mix, **{option: kind}), words) for kind, words in table.items()]  # type: ignore[arg-type]
    mistakes += [
        Mistake(partial(_mix, image=image, loss=loss), f"{_MIX_IMAGES[image]} (And the loss: {_MIX_LOSSES[loss]})")
        for image, loss in (("plain", "own"), ("half", "half"), ("drawn", "own"), ("flipped", "flipped labels"), ("partner alone", "partner"), ("into", "own"), ("half", "own"), ("rolled", "rolled labels"), ("inverse", "inverse labels"), ("swapped", "own"))
    ]  # fmt: skip

    def judge() -> None:
        judge_function(
            answer,
            "mixup_step",
            reference=_mix,
            cases=[_mix_case(1, 8, 0.75), _mix_case(2, 5, 0.3), _mix_case(3, 6, 1.0)],
            mistakes=mistakes,
            explain=_explain_mix,
        )

    _causes(
        judge,
        {
            r"target dtype to be Long|expected scalar type|not implemented for 'Float'": "The labels are averaged as numbers: class 2 and class 6 do not make class 4. "
            "Average the two losses, or make one-hot targets.",
            r"Target \d+ is out of bounds": "`partner` holds places in the batch and no labels: labels[partner].",
            r"does not require grad": "The model is called under torch.no_grad(), or its output is detached, and nothing can be trained.",
            r"a second time|already been freed": "backward is called twice on the same graph: add the losses up first, and call it once.",
        },
    )
    return "Targets between two classes, and images between two faces: nobody has ever seen them, and a network can be trained on them."


mixup_step = Exercise("ch11", "mixup_step", _judge_mixup_step)


# ema_update -------------------------------------------------------------------------------------------------


class _Averaged(nn.Module):
    """A network with what an average may forget: a frozen weight, batch norm, a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 2)
        self.gain = nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("centre", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        rows = self.norm(self.conv(x)).mean((2, 3)) * self.gain
        return self.head(rows) - self.centre


def _ema(average: nn.Module, model: nn.Module, decay: float, kind: str = "right") -> Any:
    """The right update, and with another ``kind`` the wrong ones."""
    statistics = ("running_mean", "running_var")
    with torch.no_grad():
        if kind == "into the model":
            average, model = model, average
        weights = dict(model.named_parameters())
        buffers = dict(model.named_buffers())
        changes: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "swapped": lambda a, b: (1 - decay) * a + decay * b,
            "copied": lambda _, b: b.clone(),
            "copied, no buffers": lambda _, b: b.clone(),
            "nothing": lambda a, _: a,
            "weights stay": lambda a, _: a,
            "added": lambda a, b: a + (1 - decay) * b,
            "full": lambda a, b: decay * a + b,
            "half": lambda a, b: (a + b) / 2,
            "away": lambda a, b: a - (1 - decay) * (b - a),
            "shrunk": lambda a, _: decay * a,
            "only new": lambda _, b: (1 - decay) * b,
            "plus decay": lambda a, b: (a + decay * b) / (1 + decay),
            "fixed": lambda a, b: 0.9 * a + 0.1 * b,
            "fixed 99": lambda a, b: 0.99 * a + 0.01 * b,
            "fixed 999": lambda a, b: 0.999 * a + 0.001 * b,
            "twice": lambda a, b: decay * (decay * a + (1 - decay) * b) + (1 - decay) * b,
            "minus": lambda a, b: decay * a - (1 - decay) * b,
            "squared": lambda a, b: decay**2 * a + (1 - decay**2) * b,
        }
        change = changes.get(kind, lambda a, b: decay * a + (1 - decay) * b)
        names = list(weights)
        for name, value in average.named_parameters():
            skipped = {
                "not frozen": not weights[name].requires_grad,
                "first": name != names[0],
                "last": name != names[-1],
                "weights only": not name.endswith("weight"),
                "no batch norm": "norm" in name,
                "matrices": value.dim() < 2,
            }.get(kind, False)
            if kind == "shared":
                value.data = weights[name].data
            elif not skipped:
                value.copy_(change(value.clone(), weights[name].detach()))
        for name, held in average.named_buffers():
            last = name.rpartition(".")[2]
            other = buffers[name]
            if kind in (
                "no buffers",
                "nothing",
                "shared",
                "copied, no buffers",
                "swapped, no buffers",
                "shrunk",
            ):
                continue
            floating, statistic = held.is_floating_point(), last in statistics
            skipped = {
                "buffers averaged": not floating,
                "no count": not floating,
                "batch norm only": last == "centre",
                "statistics only": not statistic,
                "mean only": last != "running_mean",
            }.get(kind, False)
            averaged = {
                "buffers averaged": True,
                "all averaged": True,
                "floats averaged": floating,
                "statistics averaged": statistic,
            }.get(kind, False)
            if skipped:
                continue
            if averaged:
                other = change(held.float(), other.float()).to(held.dtype)
            elif kind == "swapped, averaged" and floating:
                other = (1 - decay) * held + decay * other
            elif kind == "reset" and statistic:
                other = torch.full_like(held, float(last == "running_var"))
            held.copy_(other)
        if kind == "aliased buffers":
            for one, two in zip(average.modules(), model.modules(), strict=True):
                one._buffers = dict(two._buffers)
        if kind == "both":
            for name, value in model.named_parameters():
                value.copy_(dict(average.named_parameters())[name])
    return None


_EMA_MISTAKES = {
    "swapped": "The weights are exchanged: `decay` is the share that the average *keeps*, 1 - decay that of the model. (lerp_ takes the share of the new "
    "value, 1 - decay.)",
    "into the model": "It is the model that is moved; move the average, and leave the model alone.",
    "both": "The model gets the average's weights as well: it must go on training from its own.",
    "copied": "The average is a copy of the model: its own past is missing, decay * average.",
    "copied, no buffers": "The average is a copy of the model's parameters: its own past is missing, and so are the buffers.",
    "nothing": "The average: nothing changes in it (is a copy of it changed, copy.deepcopy or clone()?). In `for p in ...: p = ...` the name p gets a new tensor, and the network keeps the old one: change it in place (mul_, "
    "add_, lerp_, copy_). state_dict() of a network that is changed must be loaded back, too.",
    "weights stay": "The parameters do not change, only the buffers do. In `for p in ...: p = ...` the name p gets a new tensor, and the network keeps "
    "the old one: change it in place (mul_, add_, lerp_, copy_).",
    "no buffers": "The buffers are left as they were: running mean, running variance and count of batches become the model's. parameters() does not "
    "list them; buffers() and state_dict() do.",
    "swapped, no buffers": "The weights are exchanged (`decay` is what the average keeps), and the buffers are left as they were.",
    "buffers averaged": "The buffers are averaged like weights (and the count is left out); they become the model's, as they are.",
    "floats averaged": "The running statistics are averaged like weights; they are averages already, and become the model's as they are.",
    "all averaged": "Everything in state_dict() is averaged, even the count of batches, a whole number: buffers become the model's, as they are.",
    "statistics averaged": "The running statistics are averaged like weights; they are averages already, and become the model's as they are.",
    "swapped, averaged": "The buffers are averaged like weights; they become the model's, as they are.",
    "no count": "The count of batches is left as it was; every buffer becomes the model's, whole numbers too.",
    "batch norm only": "Only the buffers of batch norm are copied; a module may have others: take all of buffers().",
    "statistics only": "Only running mean and variance are copied; take all of buffers().",
    "mean only": "Only the running mean is copied; take all of buffers(), the variance and the count of batches too.",
    "reset": "The running statistics are reset; they become the model's.",
    "added": "The old average is not made smaller: decay * average + (1 - decay) * model.",
    "full": "The model's weights count fully: they have the share 1 - decay.",
    "half": "It is the plain mean of both; `decay` says how much of each.",
    "away": "The average moves away from the model: the sign is the other way round.",
    "minus": "The model's part is subtracted; add it.",
    "shrunk": "The average is only made smaller: + (1 - decay) * model is missing.",
    "only new": "The average's own past is missing: decay * average + ...",
    "plus decay": "The shares are decay and 1 - decay, and add up to 1 without dividing.",
    "fixed": "The decay is typed in, 0.9: take it from the argument.",
    "fixed 99": "The decay is typed in, 0.99: take it from the argument.",
    "fixed 999": "The decay is typed in, 0.999: take it from the argument.",
    "twice": "The update is made twice.",
    "squared": "The decay counts twice, decay ** 2.",
    "not frozen": "Parameters that do not learn (requires_grad=False) are left out; move every parameter.",
    "first": "Only the first parameter is moved: does a `return` stand inside the loop?",
    "last": "Only the last parameter is moved: is the update indented into the loop?",
    "weights only": "Only parameters called weight are moved; biases and others belong to the average too.",
    "no batch norm": "The scale and shift of batch norm are parameters, and are moved like all others.",
    "matrices": "Only parameters of two axes and more are moved; biases and batch norm's belong to the average too.",
    "shared": "The average now holds the model's own tensors, and follows it from here on: copy values, do not share tensors.",
    "aliased buffers": "The average now holds the model's own buffers, and follows it from here on: copy values, buffer.copy_(...).",
}


def _ema_case(seed: int, decay: float, grad: bool, words: str) -> Case:
    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        networks = []
        for number in range(2):
            network = _Averaged()
            for value in [*network.parameters(), *network.buffers()]:
                if value.is_floating_point():
                    value.data.copy_(torch.randn(value.shape) + 2 * number)
                else:
                    value.fill_(5 + 12 * number)
            networks.append(network)
        average, model = networks
        average.eval().requires_grad_(grad)
        model.train()
        return average, model, decay

    def flat(values: Any) -> Tensor:
        return (
            torch.cat([value.detach().double().flatten() for value in values]) if values else torch.zeros(1)
        )

    def observe(_: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        average, model, _decay = arguments
        own = {id(value) for value in model.state_dict(keep_vars=True).values()}
        theirs = {value.data_ptr() for value in model.state_dict(keep_vars=True).values()}
        kept = average.state_dict(keep_vars=True).values()
        named = dict(average.named_buffers())
        return {
            "the model": flat([*model.parameters(), *model.buffers()]),
            "the parameters of the average": flat(list(average.parameters())),
            "the running mean and variance of the average": flat([named[name] for name in ("norm.running_mean", "norm.running_var") if name in named]),
            "the other buffers of the average": flat([v for k, v in named.items() if "running" not in k]),
            "tensors that the average shares with the model": sum(id(v) in own or v.data_ptr() in theirs for v in kept),
            "tensors of the average that are part of a graph": sum(v.grad_fn is not None for v in kept),
            "how many of the model's modules are in training mode": sum(one.training for one in model.modules()),
        }  # fmt: skip

    return Case(make, words, observe, rtol=1e-4, atol=1e-5, may_change=True)


def _explain_ema(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    wrong = [name for name, value in expected.items() if differs(seen[name], value, rtol=1e-4, atol=1e-5)]
    if seen["tensors that the average shares with the model"]:
        return _EMA_MISTAKES["shared"]
    if "the model" in wrong:
        return "The model itself is changed; it must go on training from its own weights."
    if wrong == ["tensors of the average that are part of a graph"]:
        return "The values are right, but the average now remembers how it was computed, step after step: put the update under torch.no_grad()."
    if wrong == ["how many of the model's modules are in training mode"]:
        return "The average is right, but the model is left in evaluation mode, and would go on training in it: leave the model alone."
    if wrong and "parameters" not in wrong[0]:
        return "The parameters are right, the buffers are not: each becomes the model's, as it is."
    return None


def _judge_ema_update(answer: Any) -> str:
    def judge() -> None:
        judge_function(
            answer,
            "ema_update",
            reference=_ema,
            cases=[
                _ema_case(1, 0.8, True, "a small network with batch norm, and decay=0.8"),
                _ema_case(2, 0.95, False, "an average that needs no gradients, and decay=0.95"),
                _ema_case(3, 0.0, True, "decay=0"),
            ],
            mistakes=_mistakes(_ema, _EMA_MISTAKES),
            explain=_explain_ema,
        )

    _causes(
        judge,
        {
            r"a leaf Variable that requires grad": "The parameters are changed in place while gradients are tracked: put the update under torch.no_grad().",
            r"lerp|can't be cast|expected dtype|Long|int64": "The count of batches is a whole number and cannot be averaged: copy the buffers, average the "
            "parameters alone.",
            r"no attribute 'running_(mean|var)'|'num_batches_tracked'": "Not every layer has running statistics: go through buffers(), which lists those "
            "there are.",
            r"can't contain": "A name such as 'conv.weight' is a path and no attribute: change the parameter in place, parameter.mul_(...), or copy_.",
            r"not NoneType": "Gradients are no part of the average: take the parameters themselves.",
            r"object is not iterable": "A network is no list: go through average.parameters() and model.parameters().",
            r"not subscriptable|indices must be|has no attribute 'items'": "parameters() and buffers() give values one after another, without names: "
            "zip(average.parameters(), model.parameters()), or named_parameters().",
            r"unsupported operand type": "A network cannot be added to a network: go through their parameters.",
        },
    )
    return "One line more for the buffers, and the average can be evaluated at any time."


ema_update = Exercise("ch11", "ema_update", _judge_ema_update)


# distillation -----------------------------------------------------------------------------------------------


def _distil(
    logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float,
    weight: float,
    kind: str = "right",
) -> Any:
    """The right loss, and with another ``kind`` the wrong ones."""
    t = temperature
    teacher = teacher_logits if kind == "teacher learns" else teacher_logits.detach()
    axis = 0 if kind in ("over images", "over images, mean") else 1
    p = (teacher / t).log_softmax(axis)
    q = (logits / t).log_softmax(axis)
    if kind in ("teacher at one", "no temperature", "no temperature, no factor"):
        p = teacher.log_softmax(1)
    if kind in ("student at one", "no temperature", "no temperature, no factor"):
        q = logits.log_softmax(1)
    if kind == "times":
        p, q = (teacher * t).log_softmax(1), (logits * t).log_softmax(1)
    if kind == "student detached":
        q = q.detach()
    if kind == "late":
        p, q = (teacher.softmax(1) / t).log_softmax(1), (logits.softmax(1) / t).log_softmax(1)
    if kind == "log late":
        p, q = (teacher.log_softmax(1) / t), (logits.log_softmax(1) / t)
    terms = p.exp() * (p - q)
    soft = terms.sum(1).mean()
    soft = {
        "reversed": lambda: (q.exp() * (q - p)).sum(1).mean(),
        "reversed, mean": lambda: (q.exp() * (q - p)).mean(),
        "mean": lambda: terms.mean(),
        "over images, mean": lambda: terms.mean(),
        "sum": lambda: terms.sum(),
        "entropy": lambda: -(p.exp() * q).sum(1).mean(),
        "entropy mean": lambda: -(p.exp() * q).mean(),
        "mse": lambda: F.mse_loss(logits, teacher),
        "mse probs": lambda: F.mse_loss(q.exp(), p.exp()),
        "mse logs": lambda: F.mse_loss(q, p),
        "no logs": lambda: F.kl_div(q.exp(), p.exp(), reduction="batchmean"),
        "no logs, mean": lambda: F.kl_div(q.exp(), p.exp()),
        "log of target": lambda: F.kl_div(q, p, reduction="batchmean"),
        "swapped arguments": lambda: F.kl_div(p.exp(), q, reduction="batchmean"),
        "log target": lambda: F.kl_div(q, p.exp(), reduction="batchmean", log_target=True),
        "hard teacher": lambda: F.cross_entropy(logits, teacher.argmax(1)),
        "symmetric": lambda: (terms.sum(1).mean() + (q.exp() * (q - p)).sum(1).mean()) / 2,
        "negative": lambda: -soft,
        "abs": lambda: (p.exp() - q.exp()).abs().sum(1).mean(),
        "difference": lambda: (p - q).sum(1).mean(),
    }.get(kind, lambda: soft)()
    hard = {
        "hard at t": lambda: F.cross_entropy(logits / t, labels),
        "hard of teacher": lambda: F.cross_entropy(teacher, labels),
        "hard twice softened": lambda: F.cross_entropy(q.exp(), labels),
        "hard of softmax": lambda: F.cross_entropy(logits.softmax(1), labels),
        "hard sum": lambda: F.cross_entropy(logits, labels, reduction="sum"),
    }.get(kind, lambda: F.cross_entropy(logits, labels))()
    factor = {
        "no factor": 1.0, "no temperature, no factor": 1.0, "factor once": t, "divided": 1 / t**2,
        "fourth": t**4, "twice": 2 * t, "root": t**0.5,
    }.get(kind, t**2)  # fmt: skip
    wholes: dict[str, Callable[[], Any]] = {
        "swapped": lambda: (1 - weight) * factor * soft + weight * hard,
        "factor on both": lambda: factor * (weight * soft + (1 - weight) * hard),
        "factor on hard": lambda: weight * soft + factor * (1 - weight) * hard,
        "soft alone": lambda: weight * factor * soft,
        "soft unweighted": lambda: factor * soft,
        "hard alone": lambda: (1 - weight) * hard,
        "hard unweighted": lambda: hard,
        "sum": lambda: weight * factor * soft + (1 - weight) * hard,
        "both whole": lambda: factor * soft + hard,
        "hard whole": lambda: weight * factor * soft + hard,
        "soft whole": lambda: factor * soft + (1 - weight) * hard,
        "minus": lambda: weight * factor * soft - (1 - weight) * hard,
        "half": lambda: (factor * soft + hard) / 2,
        "pair": lambda: (factor * soft, hard),
        "per image": lambda: (
            weight * factor * terms.sum(1) + (1 - weight) * F.cross_entropy(logits, labels, reduction="none")
        ),
        "per image, soft": lambda: weight * factor * terms.sum(1) + (1 - weight) * hard,
        "matrix": lambda: weight * factor * terms + (1 - weight) * hard,
    }
    return wholes.get(kind, lambda: weight * factor * soft + (1 - weight) * hard)()


_DISTIL_MISTAKES = {
    "no factor": "The factor temperature ** 2 is missing from the soft part.",
    "factor once": "The factor is temperature ** 2, not temperature.",
    "divided": "The soft part is divided by temperature ** 2: multiply.",
    "fourth": "The factor is temperature ** 2; here it stands there twice.",
    "twice": "The factor is 2 * temperature; it is temperature ** 2.",
    "root": "The factor is the root of the temperature; it is temperature ** 2.",
    "no temperature": "The temperature is only in the factor: both logits are divided by it before the softmax.",
    "no temperature, no factor": "The temperature is not used: both logits are divided by it before the softmax, and the soft part is multiplied by its square.",
    "teacher at one": "Only the student's logits are divided by the temperature; the teacher's are too.",
    "student at one": "Only the teacher's logits are divided by the temperature; the student's are too.",
    "times": "The logits are multiplied by the temperature; divide by it.",
    "late": "The temperature comes after the softmax; divide the logits, before it.",
    "log late": "The temperature divides log-probabilities, which are then none any more; divide the logits, before the softmax.",
    "over images": "The softmax runs over the images (dim=0); the classes of one image add up to 1, dim=1.",
    "over images, mean": "The softmax runs over the images (dim=0), and the mean over the classes too: dim=1 and batchmean.",
    "reversed": "The divergence is the wrong way round: KL(p || q) weighs by the teacher's p. In F.kl_div the *student's* log comes first.",
    "reversed, mean": "The divergence is the wrong way round, and divided by the classes: KL(p || q) weighs by the teacher's p.",
    "mean": "The divergence is divided by the number of classes as well: sum over the classes, reduction='batchmean'.",
    "sum": "The divergence is added up over the images: take their mean, reduction='batchmean'.",
    "entropy": "That is the cross-entropy of p and q. It is larger than KL(p || q) by the entropy of p; its gradient is the same, but it is not 0 "
    "where both agree.",
    "entropy mean": "That is the cross-entropy of p and q, divided by the classes; KL(p || q) is asked for, sum p (log p - log q).",
    "mse": "That is the squared error of the logits; KL(p || q) is asked for.",
    "mse probs": "That is the squared error of the probabilities; KL(p || q) is asked for.",
    "mse logs": "That is the squared error of log-probabilities; KL(p || q) is asked for.",
    "abs": "That is the distance of the probabilities; KL(p || q) is asked for.",
    "difference": "The weights p are missing from the sum: sum p (log p - log q).",
    "no logs": "F.kl_div takes the *logarithm* of the student's probabilities first: log_softmax.",
    "no logs, mean": "F.kl_div takes the *logarithm* of the student's probabilities first, log_softmax; and reduction='batchmean'.",
    "log of target": "F.kl_div gets the teacher's log-probabilities as if they were probabilities: softmax, or log_target=True.",
    "swapped arguments": "The arguments of F.kl_div are exchanged: first the logarithm of the student's, then the teacher's probabilities.",
    "log target": "log_target=True says that the teacher's come as logarithms; these are probabilities.",
    "hard teacher": "The student is taught the teacher's answers, one class each; the probabilities are what it should learn.",
    "symmetric": "That is the mean of both divergences; KL(p || q) alone is asked for.",
    "negative": "The sign of the divergence is the other way round: log p - log q.",
    "student detached": "The student's part is detached: no gradient of the soft part reaches it.",
    "teacher learns": "A gradient reaches the teacher's logits, so that the teacher would learn too: detach them.",
    "hard at t": "The cross-entropy with the labels takes the logits as they are, not divided by the temperature.",
    "hard of teacher": "The cross-entropy is that of the teacher's logits; the student's are to learn the labels.",
    "hard twice softened": "cross_entropy gets probabilities; it applies its own softmax: give it the logits.",
    "hard of softmax": "There is a softmax before cross_entropy, which applies its own: give it the logits.",
    "hard sum": "The cross-entropy is added up over the images; take the mean.",
    "swapped": "The weights are exchanged: `weight` belongs to the soft part, 1 - weight to the labels.",
    "factor on both": "The factor temperature ** 2 multiplies both parts; it belongs to the soft one alone.",
    "factor on hard": "The factor temperature ** 2 multiplies the part with the labels; it belongs to the soft one.",
    "soft alone": "The part with the labels is missing: + (1 - weight) * cross-entropy.",
    "soft unweighted": "That is the soft part alone, without its weight; the part with the labels is missing.",
    "hard alone": "The soft part is missing.",
    "hard unweighted": "That is the cross-entropy with the labels alone; the soft part is missing.",
    "both whole": "The weights are missing: weight for the soft part, 1 - weight for the labels.",
    "hard whole": "The part with the labels counts fully; it has the weight 1 - weight.",
    "soft whole": "The soft part counts fully; it has the weight `weight`.",
    "minus": "The part with the labels is subtracted; add it.",
    "half": "The two parts count half and half; `weight` says how much.",
    "pair": "Those are the two parts; add them up with their weights, and return one number.",
    "per image": "That is one loss an image; take their mean.",
    "per image, soft": "The soft part is one number an image; take their mean.",
    "matrix": "The soft part is one number for each image and class: sum over the classes, mean over the images.",
}  # fmt: skip


_AT: Parts = {
    "": (lambda z, t: z / t, ""),
    "one": (lambda z, _: z, "{} logits are not divided by the temperature before the softmax."),
    "times": (lambda z, t: z * t, "{} logits are multiplied by the temperature; divide by it."),
    "square": (lambda z, t: z / t**2, "{} logits are divided by the square of the temperature; divide by the temperature itself."),
}  # fmt: skip
_DIVERGENCES: Parts = {
    "reversed": (lambda p, q: (q * (q / p).log()).sum(1).mean(), "The divergence is the wrong way round: KL(p || q) weighs by the teacher's p."),
    "reversed mean": (lambda p, q: (q * (q / p).log()).mean(), "The divergence is the wrong way round, and divided by the classes."),
    "mean": (lambda p, q: (p * (p / q).log()).mean(), "The divergence is divided by the number of classes as well: sum over the classes, reduction='batchmean'."),
    "sum": (lambda p, q: (p * (p / q).log()).sum(), "The divergence is added up over the images: take their mean, reduction='batchmean'."),
    "classes": (lambda p, q: (p * (p / q).log()).sum(0).mean(), "The divergence is divided by the number of classes in place of images: sum over dim=1."),
    "entropy": (lambda p, q: -(p * q.log()).sum(1).mean(), "That is the cross-entropy of p and q, larger than KL(p || q) by the entropy of p; its gradient is the same."),
    "entropy mean": (lambda p, q: -(p * q.log()).mean(), "That is the cross-entropy of p and q, divided by the classes; KL(p || q) is asked for."),
    "no log p": (lambda p, q: (p * (p - q.log())).sum(1).mean(), "The logarithm of p is missing: p * (log p - log q)."),
    "no logs": (lambda p, q: (p * (p - q)).sum(1).mean(), "The logarithms are missing: p * (log p - log q)."),
    "kl of q": (lambda p, q: (p * (p.log() - q)).sum(1).mean(), "The logarithm of the student's q is missing: F.kl_div takes log_softmax first."),
    "kl of q mean": (lambda p, q: (p * (p.log() - q)).mean(), "The logarithm of the student's q is missing, and the sum over the classes."),
    "sign": (lambda p, q: (p * (q / p).log()).sum(1).mean(), "The sign of the divergence is the other way round: log p - log q."),
    "log2": (lambda p, q: (p * (p / q).log2()).sum(1).mean(), "The logarithm is to the base 2; the natural one is asked for."),
    "kl log2": (lambda p, q: (p * (p.log() - q.log2())).sum(1).mean(), "One logarithm is to the base 2; both are natural ones."),
    "log10": (lambda p, q: (p * (p / q).log10()).sum(1).mean(), "The logarithm is to the base 10; the natural one is asked for."),
    "squared": (lambda p, q: (p - q).square().mean(), "That is the squared error of the probabilities; KL(p || q) is asked for."),
    "squared sum": (lambda p, q: (p - q).square().sum(1).mean(), "That is the squared error of the probabilities; KL(p || q) is asked for."),
    "squared logs": (lambda p, q: (p.log() - q.log()).square().mean(), "That is the squared error of log-probabilities; KL(p || q) is asked for."),
    "answers": (lambda p, q: -q.log().gather(1, p.argmax(1, keepdim=True)).mean(), "The student is taught the teacher's answers, one class each; the probabilities are what it should learn."),
    "first": (lambda p, q: (p * (p / q).log())[0].sum(), "Only the first image's divergence counts; take the mean over all."),
    "symmetric": (lambda p, q: ((p - q) * (p / q).log()).sum(1).mean() / 2, "That is the mean of both divergences; KL(p || q) alone is asked for."),
    "both": (lambda p, q: ((p - q) * (p / q).log()).sum(1).mean(), "Both divergences are added up; KL(p || q) alone is asked for."),
    "twice": (lambda p, q: (p * (p / q.softmax(1)).log()).sum(1).mean(), "The student's probabilities go through softmax twice."),
}  # fmt: skip


def _of_probs(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda p, q: function(p.softmax(1), q.softmax(1))


_SOFT: Parts = {
    "": (_of_probs(lambda p, q: (p * (p / q).log()).sum(1).mean()), ""),
    **{name: (_of_probs(function), words) for name, (function, words) in _DIVERGENCES.items()},
    "sigmoid": (lambda p, q: F.kl_div(q.sigmoid().log(), p.sigmoid(), reduction="batchmean"), "There are sigmoids where softmax over the classes belongs."),
    "images": (lambda p, q: F.kl_div(q.log_softmax(0), p.softmax(0), reduction="batchmean"), "The softmax runs over the images (dim=0); the classes of one image add up to 1, dim=1."),
    "logits": (lambda p, q: (p - q).square().mean(), "That is the squared error of the logits; KL(p || q) is asked for."),
    "raw": (lambda p, q: F.kl_div(q, p.softmax(1), reduction="batchmean"), "F.kl_div gets the student's logits as they are: log_softmax is missing."),
}  # fmt: skip
_FACTOR: Parts = {
    "": (lambda t: t**2, ""),
    "none": (lambda _: 1.0, "The factor temperature ** 2 is missing from the soft part."),
    "once": (lambda t: t, "The factor is temperature ** 2, not temperature."),
    "cube": (lambda t: t**3, "The factor is temperature ** 2, not its third power."),
    "fourth": (lambda t: t**4, "The factor temperature ** 2 stands there twice."),
    "double": (lambda t: 2 * t, "The factor is 2 * temperature; it is temperature ** 2."),
    "over": (lambda t: 1 / t, "The soft part is divided by the temperature: multiply by its square."),
    "over square": (lambda t: 1 / t**2, "The soft part is divided by temperature ** 2: multiply."),
    "root": (lambda t: t**0.5, "The factor is the root of the temperature; it is temperature ** 2."),
    "typed 4": (lambda _: 4.0, "A temperature is typed into the factor: take it from the argument."),
    "typed 9": (lambda _: 9.0, "A temperature is typed into the factor: take it from the argument."),
    "typed 16": (lambda _: 16.0, "A temperature is typed into the factor: take it from the argument."),
}
_HARD: Parts = {
    "": (lambda z, w, y, t: F.cross_entropy(z, y), ""),
    "cool": (lambda z, w, y, t: F.cross_entropy(z / t, y), "The cross-entropy with the labels takes the logits as they are, not divided by the temperature."),
    "nll": (lambda z, w, y, t: F.nll_loss(z, y), "nll_loss takes log-probabilities; cross_entropy takes the logits."),
    "nll probs": (lambda z, w, y, t: F.nll_loss(z.softmax(1), y), "nll_loss takes *log*-probabilities, and here gets probabilities: cross_entropy(logits, labels)."),
    "softmax": (lambda z, w, y, t: F.cross_entropy(z.softmax(1), y), "There is a softmax before cross_entropy, which applies its own: give it the logits."),
    "cool softmax": (lambda z, w, y, t: F.cross_entropy((z / t).softmax(1), y), "cross_entropy gets probabilities at the temperature; give it the logits."),
    "teacher": (lambda z, w, y, t: F.cross_entropy(w, y), "The cross-entropy is that of the teacher's logits; the student's are to learn the labels."),
    "answers": (lambda z, w, y, t: F.cross_entropy(z, w.argmax(1)), "The labels are replaced by the teacher's answers: this part takes the labels."),
    "sum": (lambda z, w, y, t: F.cross_entropy(z, y, reduction="sum"), "The cross-entropy is added up over the images; take the mean."),
    "smooth": (lambda z, w, y, t: F.cross_entropy(z, y, label_smoothing=0.1), "There is label smoothing in the loss; none is asked for."),
    "times": (lambda z, w, y, t: t**2 * F.cross_entropy(z, y), "The factor temperature ** 2 multiplies the part with the labels; it belongs to the soft one."),
    "none": (lambda z, w, y, t: 0.0, "The part with the labels is missing."),
}  # fmt: skip
_MIXED: Parts = {
    "": (lambda soft, hard, w: w * soft + (1 - w) * hard, ""),
    "swapped": (lambda soft, hard, w: (1 - w) * soft + w * hard, "The weights are exchanged: `weight` belongs to the soft part, 1 - weight to the labels."),
    "sum": (lambda soft, hard, w: soft + hard, "The weights are missing: weight for the soft part, 1 - weight for the labels."),
    "hard whole": (lambda soft, hard, w: w * soft + hard, "The part with the labels counts fully; it has the weight 1 - weight."),
    "soft whole": (lambda soft, hard, w: soft + (1 - w) * hard, "The soft part counts fully; it has the weight `weight`."),
    "soft whole, w": (lambda soft, hard, w: soft + w * hard, "`weight` belongs to the soft part, 1 - weight to the labels."),
    "both w": (lambda soft, hard, w: w * (soft + hard), "Both parts have the weight `weight`; the labels have 1 - weight."),
    "half": (lambda soft, hard, w: (soft + hard) / 2, "The two parts count half and half; `weight` says how much."),
    "minus": (lambda soft, hard, w: w * soft - (1 - w) * hard, "The part with the labels is subtracted; add it."),
    "brackets": (lambda soft, hard, w: w * soft + 1 - w * hard, "The brackets are missing: (1 - weight) * hard."),
    "squared": (lambda soft, hard, w: w**2 * soft + (1 - w) * hard, "The weight is squared too: brackets around (weight * temperature) ** 2 take both."),
    "fixed 7": (lambda soft, hard, w: 0.7 * soft + 0.3 * hard, "The weights are typed in, 0.7 and 0.3: take them from the argument."),
    "fixed 9": (lambda soft, hard, w: 0.9 * soft + 0.1 * hard, "The weights are typed in, 0.9 and 0.1: take them from the argument."),
    "fixed 5": (lambda soft, hard, w: 0.5 * soft + 0.5 * hard, "The weights are typed in; take them from the argument."),
}  # fmt: skip


def _judge_distillation(answer: Any) -> str:
    def case(images: int, classes: int, seed: int, temperature: float, weight: float) -> Case:
        def make() -> tuple[Any, ...]:
            draw = torch.Generator().manual_seed(seed)
            logits, teacher = (2 * torch.randn(images, classes, generator=draw) for _ in range(2))
            labels = torch.randint(0, classes, (images,), generator=draw)
            return logits.requires_grad_(), teacher.requires_grad_(), labels, temperature, weight

        words = f"logits of shape {(images, classes)}, temperature={temperature}, weight={weight}"
        return _loss_case(make, words)

    def judge() -> None:
        judge_function(
            answer,
            "distillation",
            reference=_distil,
            cases=[
                case(6, 7, 1, 3.0, 0.7),
                case(3, 4, 2, 2, 0.45),
                case(1, 7, 3, 1.5, 0.5),
                case(5, 2, 4, 4.0, 0.9),
            ],
            mistakes=_mistakes(_distil, _DISTIL_MISTAKES),
            explain=_explain_distil,
        )

    _causes(
        judge,
        {
            r"unsupported operand type\(s\) for \^|\^:": "A power is written temperature ** 2; ^ is something else.",
            r"must match the size|broadcast": "Two shapes do not fit together: labels (B,) belong to cross_entropy alone, the divergence is of two (B, K).",
            r"Long|Int|not implemented for": "Whole numbers come where others are expected: cross_entropy takes logits, then labels.",
            r"not a valid value for reduction": "The reductions of F.kl_div are 'none', 'batchmean', 'sum' and 'mean'.",
        },
    )
    return (
        "At weight 1 the labels are not needed, so a student can learn from faces that nobody has labelled."
    )


def _explain_distil(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
    found = as_array(seen[RESULT])
    if not differs(seen[RESULT], expected[RESULT], rtol=2e-4, atol=1e-5):
        return _explain_loss(seen, expected, arguments)
    if found is None or found.dtype.kind != "f" or found.size != 1:
        return None
    if np.isnan(found).any():
        return (
            "The result is NaN: F.kl_div takes the student's *log*-probabilities first and the teacher's probabilities second, and a "
            "logarithm of a negative number is none."
        )
    logits, teacher, labels, t, w = (one.detach() if isinstance(one, Tensor) else one for one in arguments)

    def value(theirs: Any, ours: Any, soft: Any, factor: Any, hard: Any, mixed: Any) -> Any:
        divergence = soft(theirs(teacher, t), ours(logits, t))
        return mixed(factor(t) * divergence, hard(logits, teacher, labels, t), w)

    both = [
        {key: (f, words.format(who)) for key, (f, words) in _AT.items()}
        for who in ("The teacher's", "The student's")
    ]
    if told := _two_faults((*both, _SOFT, _FACTOR, _HARD, _MIXED), value, found.item()):
        return told
    p, hard = teacher.softmax(1) / t, F.cross_entropy(logits, labels)
    for q in (logits.log_softmax(1) / t, (logits.softmax(1) / t).log()):
        late = F.kl_div(q, p, reduction="batchmean")
        if np.isclose(float(w * t**2 * late + (1 - w) * hard), found.item(), rtol=1e-5):
            return "The temperature divides probabilities, after the softmax; divide the logits, before it."
    return None


distillation = Exercise("ch11", "distillation", _judge_distillation)


# honest_search ----------------------------------------------------------------------------------------------


class _Network:
    """What `train` returns: accuracies, and the number of the training."""

    def __init__(self, number: int, val: float, test: float) -> None:
        self.number, self.val, self.test = number, val, test


def _search(settings: Any, train: Any, on_val: Any, on_test: Any, kind: str = "right") -> Any:
    """The right search, and with another ``kind`` the wrong ones."""
    settings = list(settings)
    given = {
        "without the first": settings[1:],
        "without the last": settings[:-1],
        "first alone": settings[:1],
    }
    settings = given.get(kind, settings)
    if kind == "one network":
        network = train(settings[0])
        networks = [network] * len(settings)
    else:
        networks = [train(setting) for setting in settings]
        if kind == "trained twice":
            networks = [train(setting) for setting in settings]
    vals = [on_val(network) for network in networks]
    everywhere = {
        "by test",
        "by test, honest val",
        "by test, val twice",
        "test of all",
        "mean of both",
        "best test",
        "both best",
        "test list",
        "least gap",
        "mean test",
    }
    tests = [on_test(network) for network in networks] if kind in everywhere else []
    if kind == "test of better":
        best_so_far = -1.0
        for setting, network, val in zip(settings, networks, vals, strict=True):
            if val > best_so_far:
                best_so_far = val
                kept = setting, val, on_test(network)
        return kept
    scores = vals
    if kind in ("by test", "by test, val twice", "best test"):
        scores = tests
    if kind == "mean of both":
        scores = [(a + b) / 2 for a, b in zip(vals, tests, strict=True)]
    place = int(np.argmax(scores))
    if kind == "last of equals":
        place = len(scores) - 1 - int(np.argmax(scores[::-1]))
    if kind in ("previous", "previous at first"):
        rising = [
            i
            for i in range(len(vals))
            if (i == 0 and kind == "previous at first") or (i and vals[i] > vals[i - 1])
        ]
        place = rising[-1] if rising else 0
    if kind == "until worse":
        place = next((i - 1 for i in range(1, len(vals)) if vals[i] < vals[i - 1]), len(vals) - 1)
    if kind == "least gap":
        gaps = [abs(val - test) for val, test in zip(vals, tests, strict=True)]
        place = gaps.index(min(gaps))
    if kind == "worst":
        place = int(np.argmin(scores))
    if kind == "last":
        place = len(scores) - 1
    network, setting = networks[place], settings[place]
    if kind == "last network":
        network = networks[-1]
    if kind == "trained again":
        network = train(setting)
    if kind == "trained again, new val":
        network = train(setting)
        return setting, on_val(network), on_test(network)
    if kind == "none tested":
        return setting, vals[place]
    if kind == "tested on val":
        return setting, vals[place], on_val(network)
    if kind == "both test":
        value = on_test(network)
        return setting, value, value
    if kind == "both best":
        return setting, max(vals), max(tests)
    if kind == "by test, val twice":
        return setting, max(vals), tests[place]
    if kind == "test list":
        return setting, vals[place], tests
    value = tests[place] if tests else on_test(network)
    if kind == "tested twice":
        on_test(network)
    gifts: dict[str, Callable[[], Any]] = {
        "place": lambda: (place, vals[place], value),
        "network": lambda: (network, vals[place], value),
        "order": lambda: (setting, value, vals[place]),
        "order two": lambda: (vals[place], setting, value),
        "order three": lambda: (vals[place], value, setting),
        "setting alone": lambda: setting,
        "test alone": lambda: value,
        "two": lambda: (setting, value),
        "mean test": lambda: (setting, vals[place], sum(tests) / len(tests)),
        "val network": lambda: (setting, network, value),
        "last val": lambda: (setting, vals[-1], value),
        "rounded": lambda: (setting, round(vals[place], 1), round(value, 1)),
        "whole": lambda: (setting, round(vals[place]), round(value)),
        "mean val": lambda: (setting, sum(vals) / len(vals), value),
        "vals": lambda: (setting, vals, value),
        "gap": lambda: (setting, vals[place], vals[place] - value),
        "dictionary": lambda: {"setting": setting, "val": vals[place], "test": value},
        "percent": lambda: (setting, 100 * vals[place], 100 * value),
        "four": lambda: (setting, vals[place], value, network),
    }
    return gifts.get(kind, lambda: (setting, vals[place], value))()


_SEARCH_MISTAKES = {
    "by test": "The setting is chosen by its accuracy on test, so that the luck of the choice is in the number that is reported: choose by val.",
    "best test": "The setting is chosen by its accuracy on test, so that the luck of the choice is in the number that is reported: choose by val.",
    "by test, val twice": "The setting is chosen by its accuracy on test: choose by val.",
    "mean of both": "The test split takes part in the choice: choose by val alone.",
    "both best": "The best accuracy on test of all is reported, whichever network has it: report the one that val has chosen.",
    "test of all": "Every network is measured on test, though val chooses: look at test once, with the network that was chosen.",
    "test of better": "Test is looked at whenever a network is better than those before: look at it once, after the loop.",
    "test list": "Every network is measured on test and all are returned: look at test once, with the network that was chosen.",
    "tested twice": "Test is looked at twice: keep the number.",
    "last of equals": "Of equal accuracies on val the last one is taken; take the first: > and not >=.",
    "worst": "The setting with the *lowest* accuracy on val is taken.",
    "last": "The last setting is taken, whatever its accuracy on val.",
    "first alone": "Only the first setting is tried: does a `return` stand inside the loop?",
    "last network": "The network that is tested is the last one that was trained; keep the one that was best on val.",
    "trained again": "The chosen setting is trained once more, which gives another network than the one that val has chosen: keep the network.",
    "trained again, new val": "The chosen setting is trained once more, which gives another network than the one that val has chosen: keep the network.",
    "trained twice": "Each setting is trained twice: keep the network, and measure that one.",
    "one network": "Only one network is trained; each setting needs one.",
    "without the first": "The first setting is left out.",
    "without the last": "The last setting is left out.",
    "none tested": "The accuracy on test is missing: setting, val and test are asked for.",
    "tested on val": "The third value is the accuracy on val once more; it should be on_test(network).",
    "both test": "The second value is the accuracy on test; it should be the one on val.",
    "place": "That is the place of the setting in the list; return the setting itself.",
    "network": "That is the network; return its setting.",
    "order": "The two accuracies are exchanged: setting, val, test.",
    "order two": "The order is setting, val, test.",
    "order three": "The order is setting, val, test.",
    "setting alone": "That is the setting alone; return setting, accuracy on val and accuracy on test.",
    "test alone": "That is the accuracy on test alone; return setting, accuracy on val and accuracy on test.",
    "two": "The accuracy on val is missing: setting, val and test are asked for.",
    "previous at first": "Each accuracy on val is compared with the one before; compare it with the best so far.",
    "previous": "Each accuracy on val is compared with the one before; compare it with the best so far.",
    "until worse": "The search ends as soon as a setting is worse than the one before: try them all.",
    "least gap": "The setting is chosen by how near val and test are; choose by val alone, and do not look at test.",
    "mean test": "The mean accuracy of all on test is reported: look at test once, with the network that was chosen.",
    "val network": "The second value is a network; it should be its accuracy on val.",
    "last val": "The second value is the last network's accuracy on val; it should be the chosen one's.",
    "rounded": "The accuracies are rounded: return them as on_val and on_test give them.",
    "whole": "The accuracies are rounded: return them as on_val and on_test give them.",
    "mean val": "The second value is the mean over all settings; it should be the chosen network's.",
    "vals": "The second value is a list; it should be the chosen network's accuracy on val.",
    "gap": "The third value is a difference; it should be the accuracy on test.",
    "dictionary": "That is a dictionary; return three values, setting, val and test.",
    "percent": "The accuracies are in per cent; return them as on_val and on_test give them.",
    "four": "Those are four values; three are asked for, setting, val and test.",
}


def _search_case(settings: list[Any], vals: list[float], tests: list[float], words: str) -> Case:
    def make() -> tuple[Any, ...]:
        log: dict[str, list[Any]] = {"train": [], "val": [], "test": []}

        def train(setting: Any) -> _Network:
            if setting not in settings:
                raise ValueError("train takes one of the settings")
            place = settings.index(setting)
            again = sum(one == place for one in log["train"])
            log["train"].append(place)
            # A training that is repeated gives another network.
            return _Network(len(log["train"]), vals[place] - 0.07 * again, tests[place] - 0.05 * again)

        def on_val(network: _Network) -> float:
            log["val"].append(network.number)
            return network.val

        def on_test(network: _Network) -> float:
            log["test"].append(network.number)
            return network.test

        train.log = log  # type: ignore[attr-defined]
        return list(settings), train, on_val, on_test

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        log = arguments[1].log
        three = isinstance(result, (tuple, list)) and len(result) == 3
        if isinstance(result, np.ndarray) and result.shape == (3,):
            three, result = True, list(result)
        told = list(result) if three else [result, "missing", "missing"]
        for i in (0, 1, 2):
            if isinstance(told[i], _Network):
                told[i] = "a network"
        return {
            "how often each setting is trained": np.bincount(
                np.array(log["train"], dtype=int), minlength=len(settings)
            ),
            "the setting": told[0],
            "the accuracy on val": told[1],
            "the accuracy on test": told[2],
            "how often test is looked at (2 for more than once)": min(
                2 if len(settings) > 1 else 1, len(log["test"])
            ),
            TRACE: len(log["test"]),
        }

    return Case(make, words, observe)


def _explain_search(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    trained, looked = as_array(seen["how often each setting is trained"]), seen[TRACE]
    assert trained is not None
    if not trained.any():
        return "Nothing is trained: network = train(setting), for each setting."
    wrong = [name for name, value in expected.items() if name != TRACE and differs(seen[name], value)]
    if len(wrong) == 1 and wrong[0].startswith("how often test"):
        return (
            f"Test is looked at {looked} times: once, with the network that val has chosen."
            if looked
            else "Test is never looked at: on_test(network), with the network that val has chosen."
        )
    if seen["the setting"] is None and seen["the accuracy on val"] == "missing":
        return "Nothing is returned: end with return setting, accuracy on val, accuracy on test."
    if trained.min() < trained.max() and not trained.all():
        missing = np.flatnonzero(trained == 0)
        which = (
            "The first"
            if missing.tolist() == [0]
            else "The last"
            if missing.tolist() == [len(trained) - 1]
            else "A"
        )
        return f"{which} setting is left out: train each one, once."
    if trained.max() > 1:
        return "A setting is trained once more, which gives another network: train each one once, keep the network, and measure that one."
    if seen["the setting"] is None:
        return "No setting is found where all accuracies on val are low: begin with the first network, or with None, not with a number."
    return None


def _judge_honest_search(answer: Any) -> str:
    rates = [{"lr": lr} for lr in (0.1, 0.03, 0.01, 0.003)]

    def judge() -> None:
        judge_function(
            answer,
            "honest_search",
            reference=_search,
            cases=[
                _search_case(rates, [0.61, 0.70, 0.66, 0.52], [0.60, 0.64, 0.68, 0.55], "four settings, the second best on val and the third on test"),
                _search_case([8, 16, 32, 64, 128], [0.5, 0.63, 0.58, 0.63, 0.63], [0.52, 0.57, 0.66, 0.71, 0.6], "five settings, three of which are equal on val"),
                _search_case(["adam", "sgd"], [0.74, 0.41], [0.69, 0.72], "two settings, the first best on val"),
                _search_case([{"width": 4}, {"width": 8}, {"width": 16}], [0.3, 0.35, 0.4], [0.39, 0.33, 0.31], "three settings, the last best on val"),
                _search_case([(2, 2)], [0.0], [0.1], "one setting, right about no val image"),
            ],
            mistakes=_mistakes(_search, _SEARCH_MISTAKES),
            explain=_explain_search,
        )  # fmt: skip

    _causes(
        judge,
        {
            r"unhashable": "A setting may be a dictionary, which cannot be a key or stand in a set: keep setting, accuracy and network together, in a tuple.",
            r"not supported between instances of '(dict|_Network|NoneType|float|int)'": "Where accuracies are equal, max and sorted go on to compare settings "
            "or networks, and None cannot be compared at all: give them key=..., or compare accuracies by hand.",
            r"'NoneType'": "Something is still None: with a first best of 0, a network that is right about nothing is never taken. Begin with the first one.",
            r"missing \d+ required positional|takes \d+ positional": "train takes a setting; on_val and on_test take a network.",
            r"train takes one of the settings": "train takes one setting, not the list, a place in it or a part of it: for setting in settings.",
            r"has no attribute '(val|test)'|object has no attribute": "on_val and on_test take what train returns, the network.",
            r"index out of range|out of bounds": "A place in one list is used in another that is shorter.",
        },
    )
    return "Whoever reads the third number may believe it: nothing was chosen by it."


honest_search = Exercise("ch11", "honest_search", _judge_honest_search)

__all__ = [
    "SpatialGate",
    "distillation",
    "ema_update",
    "honest_search",
    "lbp_codes",
    "mixup_step",
    "squared_hinge",
]
