"""Checkers of chapter 10, What the network looks at."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.check.core import Exercise, Wrong, as_array, differs, run
from fercourse.check.functions import RESULT, TRACE, Case, Mistake, judge_function, of
from fercourse.check.guesses import guess
from fercourse.check.modules import Trial, build_answer, forward

Seen = dict[str, Any]
#: From what was seen, what was expected and the arguments to where the mistake must lie, or None.
Fallback = Callable[[Seen, Seen, tuple[Any, ...]], str | None]


def _judge(
    answer: Any,
    name: str,
    *,
    fallback: Fallback,
    crashes: tuple[tuple[str, str], ...] = (),
    explain: Fallback | None = None,
    **options: Any,
) -> None:
    """Judge a function; where no mistake fits, say at least where it must lie, and why it may have crashed."""
    kept: list[tuple[Seen, Seen, tuple[Any, ...]]] = []

    def listen(seen: Seen, expected: Seen, arguments: tuple[Any, ...]) -> str | None:
        kept.append((seen, expected, arguments))
        return explain(seen, expected, arguments) if explain else None

    try:
        judge_function(answer, name, explain=listen, **options)
    except Wrong as wrong:
        said = str(wrong)
        if kept and said.startswith("Called with") and (told := fallback(*kept[-1])):
            raise Wrong(f"{told}\n{said}") from wrong
        if " raised " in said:
            for words, cause in crashes:
                if words in said:
                    raise Wrong(f"{cause}\n{said}") from wrong
        raise


_ONE_NUMBER = (
    "cannot be converted to Scalar",
    ".item() and float() take a single number; here there is one for each image.",
)

# relevance_ratio --------------------------------------------------------------------------------------------


def _ratio(relevance: Tensor, mask: Tensor, kind: str = "right") -> Any:
    """The right answer, or a wrong one."""
    kept, m = relevance.clamp(min=0), mask.float()
    pixels = m[0].numel()
    inside, total, area = (kept * m).sum((1, 2)), kept.sum((1, 2)), m.mean((1, 2))
    share = inside / total
    ratio = share / area

    def of_map(values: Tensor) -> Tensor:
        return (values * m).sum((1, 2)) / values.sum((1, 2)) / area

    low, high = relevance.amin((1, 2), keepdim=True), relevance.amax((1, 2), keepdim=True)
    signed_inside, signed_total = (relevance * m).sum((1, 2)), relevance.sum((1, 2))
    peak = m.flatten(1).gather(1, relevance.flatten(1).argmax(1, keepdim=True))[:, 0]
    kinds: dict[str, Callable[[], Any]] = {
        "signed": lambda: of_map(relevance),
        "abs": lambda: of_map(relevance.abs()),
        "square": lambda: of_map(relevance**2),
        "signed inside": lambda: signed_inside / total / area,
        "signed total": lambda: inside / signed_total / area,
        "batch, signed": lambda: (relevance * m).sum() / relevance.sum() / m.mean(),
        "batch share": lambda: (kept * m).sum() / kept.sum(),
        "cut at one": lambda: of_map(relevance.clamp(0, 1)),
        "negative": lambda: of_map(relevance.clamp(max=0)),
        "positive counted": lambda: of_map((relevance > 0).float()),
        "mean over area": lambda: (kept * m).mean((1, 2)) / area,
        "sum over area": lambda: inside / area,
        "area of the rest": lambda: share / (1 - area),
        "root": lambda: ratio.sqrt(),
        "above one": lambda: ratio > 1,
        "share": lambda: share,
        "signed share": lambda: signed_inside / signed_total,
        "sum inside": lambda: inside,
        "mean inside": lambda: inside / m.sum((1, 2)),
        "outside mean": lambda: (inside / m.sum((1, 2))) / ((kept * (1 - m)).sum((1, 2)) / (1 - m).sum((1, 2))),
        "odds": lambda: inside / (total - inside),
        "outside": lambda: (kept * (1 - m)).sum((1, 2)) / total / (1 - m).mean((1, 2)),
        "outside, its area": lambda: (1 - share) / area,
        "count": lambda: share / m.sum((1, 2)),
        "times pixels": lambda: share * pixels,
        "upside down": lambda: area / share,
        "product": lambda: share * area,
        "difference": lambda: share - area,
        "positive pixels": lambda: ((relevance > 0) & mask).float().sum((1, 2)) / (relevance > 0).float().sum((1, 2)) / area,
        "iou": lambda: ((relevance > 0) & mask).float().sum((1, 2)) / ((relevance > 0) | mask).float().sum((1, 2)),
        "batch": lambda: (kept * m).sum() / kept.sum() / m.mean(),
        "mean over images": lambda: ratio.mean(),
        "nanmean over images": lambda: ratio.nanmean(),
        "batch total": lambda: inside / kept.sum() / area,
        "batch area": lambda: share / m.mean(),
        "zero": lambda: ratio.nan_to_num(0.0),
        "one": lambda: ratio.nan_to_num(1.0),
        "guarded": lambda: share.nan_to_num(0.0) / area.clamp(min=1e-6),
        "guarded total": lambda: inside / total.clamp(min=1e-6) / area,
        "left out": lambda: ratio[~ratio.isnan()],
        "first mask": lambda: (kept * m[:1]).sum((1, 2)) / total / m[0].mean(),
        "first image": lambda: ratio[:1].expand(len(ratio)),
        "rows": lambda: (kept * m).sum(1) / kept.sum(1) / m.mean(1),
        "columns": lambda: (kept * m).sum(2) / kept.sum(2) / m.mean(2),
        "peak": lambda: peak,
        "peak over area": lambda: peak / area,
        "by peak": lambda: inside / kept.amax((1, 2)) / area,
        "scaled": lambda: of_map((relevance - low) / (high - low)),
        "softmax": lambda: of_map(relevance.flatten(1).softmax(1).view_as(relevance)),
        "sigmoid": lambda: of_map(relevance.sigmoid()),
        "exp": lambda: of_map(relevance.exp()),
        "48": lambda: share / (m.sum((1, 2)) / 48**2),
        "logarithm": lambda: ratio.log2(),
        "pixel map": lambda: kept * m,
        "per cent": lambda: 100 * ratio,
    }  # fmt: skip
    return kinds.get(kind, lambda: ratio)()


_RATIO_MISTAKES = {
    "signed": "Negative relevance is counted with its sign; it counts as 0: clamp(min=0) first.",
    "abs": "Negative relevance is counted as if it were positive (abs); it counts as 0: clamp(min=0).",
    "square": "The relevance is squared; take it as it is, and its negative values as 0.",
    "signed inside": "Inside the mask negative relevance is still counted: clamp before both sums.",
    "signed total": "In the whole relevance negative values are still counted: clamp before both sums.",
    "batch, signed": "All images are put together into one number, and negative relevance counts with its sign: clamp(min=0), and sum over the axes 1 and 2 alone.",
    "batch share": "All images are put together into one number: sum over the axes 1 and 2 alone, and divide by each mask's share of the area.",
    "cut at one": "Relevance above 1 is cut off; only negative values count as 0: clamp(min=0).",
    "negative": "clamp(max=0) keeps the negative values; clamp(min=0) keeps the positive ones.",
    "positive counted": "Pixels with positive relevance are counted; add up the relevance itself.",
    "mean over area": "That is the mean relevance inside the mask; set it against the mean over the whole map.",
    "sum over area": "The relevance inside is not made a share: divide by the sum of all relevance.",
    "area of the rest": "The area is that of the rest, outside the mask.",
    "root": "A root is taken of the ratio.",
    "above one": "That says whether the score is above 1; return the score itself.",
    "share": "That is the share of the relevance inside the mask; divide it by the mask's share of the area.",
    "signed share": "That is the share of the relevance inside the mask, with negative values in it: clamp, and divide by the mask's share of the area.",
    "sum inside": "That is the relevance inside the mask, summed: make it a share of all relevance, and divide by the mask's share of the area.",
    "mean inside": "That is the mean relevance inside the mask; set it against the mean over the whole map.",
    "outside mean": "Inside is compared with *outside*; the share of all relevance against the share of the whole area is asked for.",
    "odds": "Relevance inside is divided by that outside; make it a share of all relevance, and divide by the mask's share of the area.",
    "outside": "That is the score of what lies outside the mask: is the mask turned round?",
    "outside, its area": "That is the share of relevance outside the mask: is the mask turned round?",
    "count": "The area is a number of pixels there; take its share, the mean of the mask.",
    "times pixels": "The share is multiplied by the number of pixels; divide by the mask's share of the area.",
    "upside down": "It is upside down: the share of relevance over the share of the area.",
    "product": "The two shares are multiplied; divide the share of relevance by the share of the area.",
    "difference": "The two shares are subtracted; their ratio is asked for.",
    "positive pixels": "Pixels with positive relevance are counted; add up the relevance itself.",
    "iou": "That is the overlap of two areas (IoU); a ratio of two shares is asked for.",
    "batch": "All images are put together into one number: sum over the axes 1 and 2 alone, and return one score an image.",
    "mean over images": "The scores are averaged into one number; return one an image, (B,).",
    "nanmean over images": "The scores are averaged into one number; return one an image, (B,).",
    "batch total": "Each image's relevance is divided by that of the whole batch: sum over the axes 1 and 2 alone.",
    "batch area": "The area is that of all masks together: each image has a mask of its own, mean over the axes 1 and 2.",
    "zero": "Without relevance or with an empty mask there is no score: NaN, and not 0. Is a small number added under the fraction, or NaN replaced?",
    "one": "Without relevance or with an empty mask there is no score: NaN, and not 1.",
    "guarded": "An image without relevance or mask should give NaN; here a guard under the fraction makes it another number.",
    "guarded total": "An image without relevance should give NaN; here a guard under the fraction makes it 0.",
    "left out": "Images without a score are left out; each keeps its place, with NaN.",
    "first mask": "The first image's mask is used for all; each image has its own.",
    "first image": "The first image's score is repeated; each image has its own.",
    "rows": "One axis is left over: sum over both axes of the picture, (1, 2).",
    "columns": "One axis is left over: sum over both axes of the picture, (1, 2).",
    "peak": "That says whether the highest point lies in the mask (the pointing game); all relevance counts here.",
    "peak over area": "That looks at the highest point alone (the pointing game); all relevance counts here.",
    "by peak": "The relevance is divided by its greatest value; divide by its sum, which makes shares.",
    "scaled": "The map is stretched from its least to its greatest value, which gives relevance to pixels that have none; clamp negative values to 0 instead.",
    "softmax": "A softmax is taken over the map; take the relevance itself, negative values as 0.",
    "sigmoid": "A sigmoid is taken of the map; take the relevance itself, negative values as 0.",
    "exp": "The exponential of the map is taken; take the relevance itself, negative values as 0.",
    "48": "The area is typed in as 48 x 48; take the mean of the mask, which fits every size.",
    "logarithm": "That is the logarithm of the ratio; the ratio itself is asked for.",
    "pixel map": "That is the map with everything outside set to 0; sum over the axes 1 and 2 and make shares.",
    "per cent": "That is in per cent; a plain ratio is asked for.",
}  # fmt: skip


def _ratio_case(shape: tuple[int, int, int], words: str, seed: int, gaps: bool = False) -> Case:
    draw = torch.Generator().manual_seed(seed)
    relevance = torch.randn(shape, generator=draw) + 0.4 + torch.arange(shape[0])[:, None, None] * 0.3
    mask = torch.rand(shape, generator=draw) < torch.linspace(0.25, 0.55, shape[0])[:, None, None]
    if gaps:
        mask[0] = False
        relevance[2] = 0.0
        relevance[3] = -relevance[3].abs() - 0.1
    return of(relevance, mask, words=words)


def _where_ratio(seen: Seen, expected: Seen, arguments: tuple[Any, ...]) -> str | None:
    found, right = as_array(seen[RESULT]), as_array(expected[RESULT])
    if found is None or right is None or found.dtype.kind != "f":
        return None
    if found.size == 1 < right.size:
        return "That is one number for all images: sum over the axes 1 and 2 alone, and return one score an image."
    if found.shape != right.shape:
        return "Return one number an image, (B,): sum and average over the axes (1, 2), without keepdim."
    lost = np.isnan(right) & ~np.isnan(found)
    if lost.any() and not differs(found[~lost], right[~lost]):
        return _RATIO_MISTAKES["zero"]
    area = arguments[1].float().mean((1, 2)).numpy()
    told = f"{right[0] * area[0]:.4g} of its relevance lies inside, on {area[0]:.4g} of the area"
    return None if np.isnan(right[0]) else f"Compare the two shares one by one: of the first image, {told}."


def _judge_relevance_ratio(answer: Any) -> str:
    try:
        _judge(
            answer,
            "relevance_ratio",
            fallback=_where_ratio,
            crashes=(
                _ONE_NUMBER,
                (
                    "must match the size",
                    "One value an image, (B,), cannot meet one of another shape: sum relevance and mask over the axes (1, 2).",
                ),
                (
                    "Boolean value",
                    "`if` wants one answer, and there is one for each image: clamp, torch.where, or a loop over the images.",
                ),
            ),
            reference=_ratio,
            cases=[
                _ratio_case((3, 6, 8), "three maps of 6 x 8", 0),
                _ratio_case((1, 5, 5), "a single map of 5 x 5", 1),
                _ratio_case((4, 4, 4), "four maps of 4 x 4", 2),
                _ratio_case(
                    (6, 7, 4), "maps of which some have no relevance, or an empty mask", 3, gaps=True
                ),
            ],
            mistakes=[Mistake(partial(_ratio, kind=kind), words) for kind, words in _RATIO_MISTAKES.items()],
        )
    except Wrong as wrong:
        said = str(wrong)
        if "raised" in said and ("could not infer output dtype" in said or "Input dtype must be" in said):
            raise Wrong(
                f"The mask is a bool tensor, which has no mean: mask.float() makes it numbers.\n{said}"
            ) from wrong
        raise
    return (
        "Now hold it against a map that knows nothing. A disc in the middle scores more than you would think."
    )


relevance_ratio = Exercise("ch10", "relevance_ratio", _judge_relevance_ratio)


# accuracy_by_group ------------------------------------------------------------------------------------------


def _by_group(right: Any, groups: Any, kind: str = "right") -> Any:
    """The right answer, or a wrong one."""
    right, groups = np.asarray(right), np.asarray(groups)
    z = {"z of one": 1.0, "90 per cent": 1.645, "99 per cent": 2.576, "z of two": 2.0}.get(kind, 1.96)
    found: dict[Any, Any] = {}
    for group in np.unique(groups):
        hits = right[groups == group]
        if kind == "others":
            hits = right[groups != group]
        n: Any = len(hits)
        p = float(hits.mean())
        if kind == "errors":
            p = 1 - p
        if kind == "of all":
            p = hits.sum() / len(right)
        if kind in ("n of all", "overall, all"):
            n = len(right)
        if kind == "n of hits":
            n = np.float64(hits.sum())  # 0 of them gives NaN, as in a student's lines
        if kind in ("overall", "overall, all"):
            p = float(right.mean())
        low, high = _ends(p, n, z, kind, len(np.unique(groups)))
        key = str(group) if kind == "text keys" else group.item()
        values: dict[str, Any] = {
            "ends": (low, high),
            "accuracy alone": p,
            "order": (low, p, high),
            "high first": (p, high, low),
            "half": (p, p - low, high - p),
            "half twice": (p, (high - low) / 2, (high - low) / 2),
            "middle": ((low + high) / 2, low, high),
            "with n": (p, low, high, n),
            "per cent": (100 * p, 100 * low, 100 * high),
            "hits": (p * n, low, high),
            "count": (n, low, high),
        }
        found[key] = values.get(kind, (p, low, high))
    kinds: dict[str, Callable[[], Any]] = {
        "list": lambda: list(found.values()),
        "pairs": lambda: list(found.items()),
        "last": lambda: dict([list(found.items())[-1]]),
        "first": lambda: dict([next(iter(found.items()))]),
        "places": lambda: dict(enumerate(found.values())),
        "one": lambda: list(found.values())[-1],
    }
    return kinds.get(kind, lambda: found)()


def _ends(p: float, n: int, z: float, kind: str, groups: int) -> tuple[float, float]:
    if kind == "plain, n - 1":
        n = n - 1
    if kind == "bonferroni":
        from statistics import NormalDist

        z = NormalDist().inv_cdf(1 - 0.05 / (2 * groups))
    variance = p * (1 - p)
    plain = z * math.sqrt(variance / n)
    middle, inner, scale = p + z**2 / (2 * n), variance / n + z**2 / (4 * n**2), 1 + z**2 / n
    half = z * math.sqrt(inner)
    with np.errstate(all="ignore"):
        sample = z * math.sqrt(variance / (n - 1)) if n > 1 else math.nan
    ends: dict[str, Callable[[], tuple[float, float]]] = {
        "normal": lambda: (p - plain, p + plain),
        "normal cut": lambda: (max(0.0, p - plain), min(1.0, p + plain)),
        "normal sample": lambda: (p - sample, p + sample),
        "half not divided": lambda: (middle / scale - half, middle / scale + half),
        "middle not divided": lambda: (middle - half / scale, middle + half / scale),
        "not divided": lambda: (middle - half, middle + half),
        "not shifted": lambda: ((p - half) / scale, (p + half) / scale),
        "centred": lambda: (p - half / scale, p + half / scale),
        "z twice": lambda: ((middle - z * half) / scale, (middle + z * half) / scale),
        "no z": lambda: ((middle - half / z) / scale, (middle + half / z) / scale),
        "no root": lambda: ((middle - z * inner) / scale, (middle + z * inner) / scale),
        "4n": lambda: _pair(middle, z * math.sqrt(variance / n + z**2 / (4 * n)), scale),
        "2n": lambda: _pair(middle, z * math.sqrt(variance / n + z**2 / (2 * n**2)), scale),
        "n": lambda: _pair(p + z**2 / n, half, scale),
        "z not squared": lambda: _pair(p + z / (2 * n), half, scale),
        "no root n": lambda: _pair(middle, z * math.sqrt(variance + z**2 / (4 * n**2)), scale),
        "inner lost": lambda: _pair(middle, plain, scale),
        "multiplied": lambda: ((middle - half) * scale, (middle + half) * scale),
        "scale z": lambda: _pair(middle, half, 1 + z / n),
        "precedence": lambda: (middle - half / scale, middle + half / scale),
        "z2 / 2 * n": lambda: _pair(p + z**2 / 2 * n, half, scale),
        "both times n": lambda: _pair(p + z**2 / 2 * n, z * math.sqrt(variance / n + z**2 / 4 * n**2), scale),
        "z2 / 4 * n2": lambda: _pair(middle, z * math.sqrt(variance / n + z**2 / 4 * n**2), scale),
        "only variance divided": lambda: _pair(middle, z * math.sqrt((variance + z**2 / (4 * n**2)) / n), scale),
        "no variance": lambda: _pair(middle, z * math.sqrt(p / n + z**2 / (4 * n**2)), scale),
        "minus inside": lambda: _pair(middle, z * math.sqrt(abs(variance / n - z**2 / (4 * n**2))), scale),
        "minus beside": lambda: _pair(p - z**2 / (2 * n), half, scale),
        "minus below": lambda: _pair(middle, half, 1 - z**2 / n if n != z**2 else 1.0),
        "scale without n": lambda: _pair(middle, half, 1 + z**2),
        "scale times n": lambda: _pair(middle, half, 1 + z**2 * n),
        "scale 2n": lambda: _pair(middle, half, 1 + z**2 / (2 * n)),
        "scale n2": lambda: _pair(middle, half, 1 + z**2 / n**2),
        "scale alone": lambda: _pair(middle, half, z**2 / n),
        "variance n2": lambda: _pair(middle, z * math.sqrt(variance / n**2 + z**2 / (4 * n**2)), scale),
        "z inside not squared": lambda: _pair(middle, z * math.sqrt(variance / n + z / (4 * n**2)), scale),
        "n2 without 4": lambda: _pair(middle, z * math.sqrt(variance / n + z**2 / n**2), scale),
        "only upper divided": lambda: (middle - half, (middle + half) / scale),
        "only lower divided": lambda: ((middle - half) / scale, middle + half),
        "halved": lambda: _pair(middle, half / 2, scale),
        "doubled": lambda: _pair(middle, 2 * half, scale),
        "clopper": lambda: _exact(p, n),
        "laplace": lambda: _agresti(p, n, z),
        "range": lambda: (0.0, 1.0),
    }  # fmt: skip
    return ends.get(kind, lambda: _pair(middle, half, scale))()


def _exact(p: float, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(round(p * n), n).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


def _agresti(p: float, n: int, z: float) -> tuple[float, float]:
    more = n + z**2
    q = (p * n + z**2 / 2) / more
    half = z * math.sqrt(q * (1 - q) / more)
    return q - half, q + half


def _pair(middle: float, half: float, scale: float) -> tuple[float, float]:
    return (middle - half) / scale, (middle + half) / scale


_GROUP_MISTAKES = {
    "normal": "Those are the ends of the plain interval, p plus and minus z standard errors; Wilson's is asked for, which has a width even where all answers are right.",
    "normal cut": "That is the plain interval, cut off at 0 and 1; Wilson's is asked for.",
    "normal sample": "That is the plain interval, with n - 1; Wilson's is asked for.",
    "z of one": "z is 1 there, or missing: that is one standard error to each side. z = 1.96 for 95%.",
    "90 per cent": "z is 1.645 there, which belongs to 90%; take 1.96.",
    "99 per cent": "z is 2.576 there, which belongs to 99%; take 1.96.",
    "z of two": "z is 2 there; take 1.96.",
    "bonferroni": "z is raised for the number of groups; take 1.96 for each.",
    "half not divided": "The half width, with the root, is not divided by 1 + z²/n; everything above the line is.",
    "middle not divided": "The middle is not divided by 1 + z²/n; everything above the line is: mind the brackets.",
    "precedence": "The middle is not divided by 1 + z²/n; everything above the line is: mind the brackets.",
    "not divided": "1 + z²/n is missing below the line.",
    "not shifted": "z²/(2n) is missing beside p: Wilson's middle is drawn towards one half.",
    "centred": "The interval lies around p; Wilson's lies around (p + z²/(2n)) / (1 + z²/n).",
    "z twice": "z stands before the root twice.",
    "no z": "z is missing before the root.",
    "no root": "The square root is missing.",
    "4n": "Inside the root it is z²/(4n²): n is squared as well.",
    "2n": "Inside the root it is z²/(4n²), and not z²/(2n²).",
    "n": "Beside p it is z²/(2n), and not z²/n.",
    "z not squared": "Beside p it is z²/(2n): z is squared.",
    "no root n": "Inside the root p(1 - p) is divided by n.",
    "inner lost": "Inside the root z²/(4n²) is missing.",
    "multiplied": "It is multiplied by 1 + z²/n; divide.",
    "scale z": "Below the line it is 1 + z²/n: z is squared.",
    "z2 / 2 * n": "z**2 / 2 * n multiplies by n: write z**2 / (2 * n).",
    "both times n": "z**2 / 2 * n and z**2 / 4 * n**2 multiply by n: write z**2 / (2 * n) and z**2 / (4 * n**2).",
    "z2 / 4 * n2": "z**2 / 4 * n**2 multiplies by n²: write z**2 / (4 * n**2).",
    "only variance divided": "Inside the root only p(1 - p) is divided by n, not the other term as well: mind the brackets.",
    "no variance": "Inside the root it is p(1 - p) / n; the factor 1 - p is missing.",
    "range": "The ends are always 0 and 1; compute Wilson's interval.",
    "minus inside": "Inside the root z²/(4n²) is added, not subtracted.",
    "minus beside": "Beside p z²/(2n) is added, not subtracted.",
    "minus below": "Below the line it is 1 plus z²/n, not minus.",
    "scale without n": "Below the line it is 1 + z²/n: n is missing.",
    "scale times n": "Below the line z² is divided by n, not multiplied.",
    "scale 2n": "Below the line it is 1 + z²/n, not z²/(2n).",
    "scale n2": "Below the line it is 1 + z²/n, not z²/n².",
    "scale alone": "Below the line it is 1 + z²/n: the 1 is missing.",
    "variance n2": "Inside the root p(1 - p) is divided by n, not by n².",
    "z inside not squared": "Inside the root it is z²/(4n²): z is squared.",
    "n2 without 4": "Inside the root it is z²/(4n²): the 4 is missing.",
    "only upper divided": "Only the upper end is divided by 1 + z²/n; both are: mind the brackets.",
    "only lower divided": "Only the lower end is divided by 1 + z²/n; both are: mind the brackets.",
    "halved": "The half width is halved once more.",
    "doubled": "The half width is doubled.",
    "clopper": "That is the exact interval of Clopper and Pearson; Wilson's is asked for.",
    "laplace": "That is the interval of Agresti and Coull; Wilson's is asked for.",
    "count": "The first number is how many images the group has; the accuracy is asked for.",
    "of all": "The hits of a group are divided by all images; divide by those of the group.",
    "n of hits": "n is the number of right answers there; it is the number of the group's images.",
    "n of all": "n is the number of all images; in each group it is the group's own.",
    "overall": "That is the accuracy over all images in every group: choose the group's answers, right[groups == group].",
    "others": "Those are the answers of everyone *outside* the group: == chooses the group.",
    "overall, all": "That is the accuracy over all images in every group: choose the group's answers, right[groups == group].",
    "errors": "Those are the shares of wrong answers; the accuracy is asked for.",
    "ends": "Return three numbers a group: the accuracy comes first.",
    "accuracy alone": "Those are the accuracies alone: return three numbers a group, with the ends of the interval.",
    "order": "The accuracy comes first, then the lower and the upper end.",
    "high first": "The upper end stands before the lower: accuracy, low, high.",
    "half": "Those are distances from the accuracy; return the ends of the interval themselves.",
    "half twice": "Those are half widths; return the ends of the interval themselves.",
    "middle": "The first number is the middle of the interval; return the accuracy itself.",
    "with n": "There are four numbers a group; accuracy, low and high are asked for.",
    "per cent": "That is in per cent; shares are asked for.",
    "hits": "The first number is the count of right answers; divide it by n.",
    "text keys": "The groups' names are turned to text; keep them as they come, so that a number stays a number.",
    "list": "Those are the numbers alone, in a list; return a dictionary from group to its three numbers.",
    "pairs": "Those are pairs in a list; make them a dictionary, dict(...).",
    "last": "Only the last group is there: is the dictionary made anew in the loop, or returned after it with one entry?",
    "first": "Only the first group is there: does a `return` stand inside the loop?",
    "places": "The keys are places, 0, 1, 2; the groups themselves are asked for.",
    "one": "That is one group's numbers; return a dictionary with all groups.",
}  # fmt: skip


def _tidy_groups(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    """Take keys in boxes (NumPy's, torch's) for what they hold, and a table for its rows."""
    if type(result).__name__ == "DataFrame" and hasattr(result, "index"):
        return {RESULT: result}
    if isinstance(result, dict):
        result = {
            key.item() if hasattr(key, "item") else key: value
            for key, value in result.items()
        }  # fmt: skip
        result = {
            key: tuple(value.values()) if isinstance(value, dict) and len(value) == 3 else value
            for key, value in result.items()
        }
    return {RESULT: result}


def _explain_groups(seen: Seen, expected: Seen, arguments: tuple[Any, ...]) -> str | None:
    found, right = seen[RESULT], expected[RESULT]
    if type(found).__name__ in ("DataFrame", "Series"):
        return "That is a table; return a plain dictionary from group to (accuracy, low, high)."
    if not isinstance(found, dict):
        return None
    if found and set(map(str, found)) == set(map(str, right)) and set(found) != set(right):
        return _GROUP_MISTAKES["text keys"]
    missing = set(right) - set(found)
    if found and missing:
        return (
            f"Not all groups are there: {len(found)} of {len(right)}. Take every value that stands in groups."
        )
    if any(isinstance(value, dict) for value in found.values()):
        return "Each group has a dictionary of its own; a tuple (accuracy, low, high) is asked for."
    for group, value in right.items():
        given = as_array(found.get(group))
        if given is None or given.shape != (3,) or given.dtype.kind != "f":
            return _where_groups(seen, expected, arguments)
        if np.isnan(given).any():
            return f"Group {group!r} has NaN: it has {'one image' if value[0] in (0, 1) else 'images'}, and Wilson's ends exist for any number of them from one."
    return _where_groups(seen, expected, arguments)


def _where_groups(seen: Seen, expected: Seen, _: tuple[Any, ...]) -> str | None:
    """Say which of accuracy, middle and width is wrong."""
    found, right = seen[RESULT], expected[RESULT]
    if not isinstance(found, dict) or set(found) != set(right):
        return None
    for group, value in right.items():
        one = found[group]
        if isinstance(one, (tuple, list)) and any(isinstance(item, (tuple, list)) for item in one):
            return "The three numbers are nested: return (accuracy, low, high), without more brackets."
        given = as_array(one)
        if given is None or given.shape != (3,):
            return "Return three numbers a group: accuracy, low, high."
        for digits in (1, 2, 3, 4):
            if not differs(given, np.round(value, digits)) and differs(given, value):
                return f"The numbers are rounded to {digits} decimals: return the values themselves."
        if differs(given[0], value[0]):
            return f"The accuracy of group {group!r} is wrong: take the share of right answers among this group's alone."
        low, high = given[1:]
        if not differs(given[1:], value[1:], rtol=1e-3):
            continue
        if low > high:
            return "The lower end is above the upper one."
        middle, half = (low + high) / 2, (high - low) / 2
        right_middle, right_half = (value[1] + value[2]) / 2, (value[2] - value[1]) / 2
        if not differs(middle, right_middle, rtol=1e-3):
            return "The middle of the interval is right, its width is not: look at z and the root, and at what divides them."
        if not differs(half, right_half, rtol=1e-3):
            return "The width of the interval is right, its middle is not: look at p + z²/(2n), and at what divides it."
        if not differs(middle / right_middle, half / right_half, rtol=1e-3):
            return "Middle and width are wrong by the same factor: look at 1 + z²/n below the line."
        return "The accuracy is right, middle and width of the interval are not: compare them with the formula, and mind the brackets."
    return None


def _judge_accuracy_by_group(answer: Any) -> str:
    draw = np.random.default_rng(4)
    words = np.array(["glasses", "none", "round"])[draw.choice(3, 60, p=[0.2, 0.5, 0.3])]
    few = np.array([3, 3, 3, 3, 7, 7, 7, 11, 3, 11])
    hits = np.array([True, True, True, True, False, False, False, True, True, False])
    _judge(
        answer,
        "accuracy_by_group",
        fallback=_where_groups,
        crashes=(
            (
                "division by zero",
                "Something is divided by a number that can be 0, such as n - 1 for a group of one, or p for a group that is all wrong.",
            ),
            (
                "math domain",
                "The root is taken of something negative: what stands inside is a sum of two terms.",
            ),
            ("no attribute 'unique'", "An array has no method unique: np.unique(groups), or set(groups)."),
            (
                "did not contain a loop",
                "Groups may be text, with which one cannot compute: go through np.unique(groups).",
            ),
            (
                "unhashable",
                "A group is looked up by its name, one of np.unique(groups), and not by an array.",
            ),
            ("invalid literal", "Groups may be text: keep their names as they come."),
            (
                "list indices",
                "An array is chosen from by a comparison, right[groups == group]; a list cannot.",
            ),
            ("takes no keyword", "It is called with two arrays, right and groups."),
        ),
        reference=_by_group,
        cases=[
            of(
                draw.random(60) < 0.7,
                words,
                words="60 answers in three groups, named by text",
                observe=_tidy_groups,
            ),
            of(
                draw.random(25) < 0.4,
                draw.integers(0, 2, 25),
                words="25 answers in the groups 0 and 1",
                observe=_tidy_groups,
            ),
            of(
                hits,
                few,
                words="ten answers, with a group that is all right and one that is all wrong",
                observe=_tidy_groups,
            ),
            of(
                np.array([True, False, True]),
                np.array(["b", "a", "b"]),
                words="three answers, one of them alone in its group",
                observe=_tidy_groups,
            ),
        ],
        mistakes=[Mistake(partial(_by_group, kind=kind), text) for kind, text in _GROUP_MISTAKES.items()],
        explain=_explain_groups,
    )
    return "Small groups get wide intervals, which is what keeps one from reading too much into them."


accuracy_by_group = Exercise("ch10", "accuracy_by_group", _judge_accuracy_by_group)


# deletion_curve ---------------------------------------------------------------------------------------------


class _Blobs(nn.Module):
    """A small network without randomness whose answers depend on every pixel and channel."""

    def __init__(self, channels: int, pixels: int, classes: int, seed: int) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(
            2 * torch.randn(classes, channels * pixels, generator=draw) / math.sqrt(channels * pixels)
        )
        self.more = nn.Parameter(
            torch.randn(classes, channels * pixels, generator=draw) / math.sqrt(channels * pixels)
        )
        self.shift = nn.Parameter(torch.randn(classes, generator=draw) / 2)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return flat @ self.weight.T + flat.square() @ self.more.T + self.shift


def _deletion(
    model: nn.Module, images: Tensor, targets: Tensor, maps: Tensor, steps: int, kind: str = "right"
) -> Any:
    """The right curve, or a wrong one."""
    batch, channels, pixels = len(images), images.shape[1], maps[0].numel()
    flat = maps.abs().flatten(1) if kind == "abs" else maps.flatten(1)
    order = flat.argsort(1, descending=kind not in ("least", "insert least"))
    if kind == "first map":
        order = order[:1].expand(batch, -1)
    if kind == "mean map":
        order = flat.mean(0).argsort(descending=True).expand(batch, -1)
    if kind == "batch":
        ranks = torch.empty(batch * pixels, dtype=torch.long)
        ranks[flat.flatten().argsort(descending=True)] = torch.arange(batch * pixels)
    if kind == "brightness":
        order = images.flatten(2).mean(1).argsort(1, descending=True)
    if kind == "brightness least":
        order = images.flatten(2).mean(1).argsort(1)
    if kind == "values":
        order = flat.sort(1, descending=True).values.long() % pixels
    if kind == "flat ranks":
        order = flat.flatten().argsort(descending=True)[: 10**6] % pixels
        order = order.expand(batch, -1)
    if kind == "in reading order":
        order = torch.arange(pixels).expand(batch, -1)
    if kind == "transposed":
        order = maps.transpose(1, 2).flatten(1).argsort(1, descending=True)
    if kind == "ranks":
        order = order.argsort(1)
    start = {"from one": 1}.get(kind, 0)
    stop = {"without end": steps, "one more": steps + 2}.get(kind, steps + 1)
    values: list[Tensor] = []
    answers = model(images).argmax(1) if kind == "predicted" else targets
    with torch.no_grad():
        for step in range(start, stop):
            count = pixels * step // steps
            if kind == "rounded up":
                count = -(-pixels * step // steps)
            if kind == "nearest":
                count = round(pixels * step / steps)
            if kind == "rounded step":
                count = step * (pixels // steps)
            if kind == "steps and one":
                count = int(pixels * step / (steps + 1))
            if kind == "same each step":
                count = pixels // steps
            if kind == "of all values":
                count = min(pixels, channels * pixels * step // steps)
            if kind == "width alone":
                count = min(pixels, maps.shape[2] * step // steps)
            if kind == "last step first":
                count = pixels * (steps - step) // steps
            if kind == "half of them":
                count = pixels * step // (2 * steps)
            if kind == "one pixel a step":
                count = step
            if kind == "one pixel more":
                count = min(pixels, count + 1)
            fill = {"ones": 1.0, "mean": float(images.mean())}.get(kind, 0.0)
            covered = images.clone()
            for image in range(batch):
                places = order[image, :count]
                if kind == "batch":
                    places = torch.nonzero(ranks[image * pixels : (image + 1) * pixels] < batch * count)[:, 0]
                if kind == "threshold share":
                    top = flat[image].max()
                    places = (
                        torch.nonzero(flat[image] >= top * (1 - step / steps))[:, 0] if step else places[:0]
                    )
                if kind == "one band":
                    places = order[image, max(0, pixels * (step - 1) // steps) : count]
                if kind == "one place":
                    places = order[image, count - 1 : count] if count else places[:0]
                one = covered[image].flatten(1)
                if kind in ("insert", "insert least"):
                    kept = torch.zeros_like(one)
                    kept[:, places] = one[:, places]
                    one = kept
                elif kind == "first channel":
                    one[0, places] = fill
                elif kind == "own mean":
                    one[:, places] = images[image].mean()
                elif kind == "map minimum":
                    one[:, places] = maps.min()
                elif kind == "minus one":
                    one[:, places] = -1.0
                elif kind == "negated":
                    one[:, places] = -one[:, places]
                elif kind == "batch mean image":
                    one[:, places] = images.mean(0).flatten(1)[:, places]
                elif kind == "noise":
                    one[:, places] = torch.randn(channels, len(places))
                elif kind == "image minimum":
                    one[:, places] = images[image].min()
                else:
                    one[:, places] = fill
                covered[image] = one.view_as(covered[image])
            out = model(covered)
            probs = {
                "logits": lambda out=out: out,
                "log": lambda out=out: out.log_softmax(1),
                "over batch": lambda out=out: out.softmax(0),
                "sigmoid": lambda out=out: out.sigmoid(),
            }.get(kind, lambda out=out: out.softmax(1))()
            own = probs.gather(1, answers[:, None])[:, 0]
            whole = probs.mean() if kind == "all classes" else None
            value = {
                "sum": lambda own=own: own.sum(),
                "median": lambda own=own: own.median(),
                "first image": lambda own=own: own[0],
                "each": lambda own=own: own,
                "top": lambda probs=probs: probs.amax(1).mean(),
                "accuracy": lambda out=out: (out.argmax(1) == targets).float().mean(),
                "right share": lambda out=out: (out.argmax(1) == targets).float().mean(),
                "all classes": lambda whole=whole: whole,
                "most": lambda own=own: own.max(),
                "least certain": lambda own=own: own.min(),
                "error": lambda own=own: 1 - own.mean(),
                "spread": lambda own=own: own.std(),
                "last image": lambda own=own: own[-1],
                "geometric": lambda own=own: own.log().mean().exp(),
                "first target": lambda probs=probs: probs[:, targets[0]].mean(),
                "cross": lambda probs=probs: probs[:, targets].mean(),
                "loss": lambda out=out: F.cross_entropy(out, targets),
            }.get(kind, lambda own=own: own.mean())()
            values.append(value)
    curve = torch.stack(values)
    return {
        "fall": lambda: curve[0] - curve,
        "relative": lambda: curve / curve[0],
        "area": lambda: curve.mean(),
        "trapezoid": lambda: torch.trapezoid(curve) / steps,
        "without start": lambda: curve[1:],
        "reversed": lambda: curve.flip(0),
        "last": lambda: curve[-1],
        "steps down": lambda: curve[:-1] - curve[1:],
        "pairs": lambda: torch.stack((torch.linspace(0, 1, len(curve)), curve), 1),
    }.get(kind, lambda: curve)()


_DELETION_MISTAKES = {
    "least": "The *least* relevant pixels go first: argsort goes upwards unless descending=True.",
    "abs": "Pixels are sorted by |relevance|; a negative value speaks against the class, and goes last.",
    "first map": "The first image's map decides for all; each image goes by its own.",
    "mean map": "The mean of all maps decides for all images; each image goes by its own.",
    "batch": "The pixels of all images are ranked together; sort each image's own, dim=1 of the flattened maps.",
    "in reading order": "Pixels go in reading order, row by row: sort them by the map.",
    "transposed": "Rows and columns are exchanged between map and image.",
    "ranks": "Ranks are used as places: one argsort gives the places, from the most relevant on; a second one gives ranks.",
    "from one": "The first value, with nothing taken away, is missing: i begins at 0.",
    "without start": "The first value, with nothing taken away, is missing: i begins at 0.",
    "without end": "The last value, with everything taken away, is missing: range(steps + 1).",
    "one more": "There is a value too many: i goes from 0 to steps.",
    "rounded up": "The number of pixels is rounded up; i * H * W // steps rounds down.",
    "nearest": "The number of pixels is rounded to the nearest; i * H * W // steps rounds down.",
    "rounded step": "H * W // steps is rounded first and then multiplied by i; multiply first: i * H * W // steps.",
    "one pixel a step": "One pixel more a step is taken away; it is a share of them all, i * H * W // steps.",
    "one pixel more": "There is a pixel too many in each step: [:count] takes count of them.",
    "ones": "Pixels are set to 1; set them to 0.",
    "mean": "Pixels are set to the mean of the images; set them to 0.",
    "own mean": "Pixels are set to the mean of their image; set them to 0.",
    "image minimum": "Pixels are set to the least value of their image; set them to 0.",
    "threshold share": "Pixels are chosen by a threshold on the relevance; a number of them, i * H * W // steps, is asked for.",
    "one band": "In each step only the newest pixels are taken away, and the ones before are back; take away all up to there.",
    "one place": "In each step a single pixel is taken away; take away all up to there.",
    "insert": "The most relevant pixels are kept and all others taken away (insertion); it is the other way round.",
    "insert least": "The least relevant pixels are kept alone; take the most relevant ones away.",
    "first channel": "Only the first channel is set to 0; take the pixels out of every channel.",
    "logits": "Those are logits; take the softmax over the classes first.",
    "log": "Those are log-probabilities; take the probabilities themselves, softmax.",
    "over batch": "The softmax is taken over the images; take it over the classes, dim=1.",
    "sigmoid": "A sigmoid is taken of each logit; take the softmax over the classes.",
    "sum": "The images' probabilities are added up; take their mean.",
    "median": "The median over the images is taken; take the mean.",
    "first image": "Only the first image counts; take the mean over all.",
    "each": "Each image has a curve of its own there; take the mean over the images.",
    "top": "The greatest probability is taken, of whatever class; take that of the target.",
    "predicted": "The class that the network names is followed; follow the target, which may be another.",
    "accuracy": "That is the share of right answers; the target's mean probability is asked for.",
    "all classes": "The mean is taken over all classes, where it is always the same; choose the target's probability.",
    "first target": "The first image's target is used for all; each image has its own: gather(1, targets[:, None]).",
    "cross": "probs[:, targets] takes every target for every image; take each image's own: gather(1, targets[:, None]).",
    "loss": "That is the cross-entropy; the target's mean probability is asked for.",
    "fall": "That is how far the probability has fallen; return the probability itself.",
    "relative": "The curve is divided by its first value; return the probability itself.",
    "area": "That is the mean of the curve; return all its steps + 1 values.",
    "trapezoid": "That is the area under the curve; return all its steps + 1 values.",
    "last step first": "The curve is in reverse order: value 0 is with nothing taken away.",
    "steps and one": "The pixels are divided among steps + 1; i * H * W // steps takes the last ones away as well.",
    "same each step": "Every step takes away the same number of pixels; for value i it is i * H * W // steps.",
    "of all values": "H * W counts the pixels of one channel; the channels are not counted.",
    "width alone": "The number of pixels is a share of H * W; here only one of the two is taken.",
    "half of them": "Only half of the pixels are gone at the end.",
    "brightness": "Pixels are sorted by the image's own values; sort them by the map.",
    "brightness least": "Pixels are sorted by the image's own values; sort them by the map.",
    "values": "The sorted *values* are used as places; argsort gives the places.",
    "map minimum": "Pixels are set to the map's least value; set them to 0.",
    "minus one": "Pixels are set to -1; set them to 0.",
    "negated": "Pixels change their sign; set them to 0.",
    "batch mean image": "Pixels are set to the mean image; set them to 0.",
    "most": "The greatest probability among the images is taken; take their mean.",
    "least certain": "The least probability among the images is taken; take their mean.",
    "error": "That is one minus the probability; return the target's probability itself.",
    "spread": "That is the spread over the images; take their mean.",
    "last image": "Only the last image counts; take the mean over all.",
    "geometric": "That is the geometric mean over the images (the log-probabilities are averaged); take the plain mean of the probabilities.",
    "reversed": "The curve is in reverse order: value 0 is with nothing taken away.",
    "last": "That is the last value alone; return all steps + 1.",
    "steps down": "Those are differences of neighbours; return the probabilities themselves.",
    "pairs": "Return the probabilities alone, (steps + 1,), without the shares.",
}  # fmt: skip


def _deletion_case(shape: tuple[int, int, int, int], classes: int, steps: int, seed: int) -> Case:
    def make() -> tuple[Any, ...]:
        draw = torch.Generator().manual_seed(seed)
        batch, channels, height, width = shape
        images = torch.randn(shape, generator=draw) + 0.3
        maps = torch.randn((batch, height, width), generator=draw) + torch.arange(batch)[:, None, None] / 2
        targets = torch.randint(0, classes, (batch,), generator=draw)
        if batch > 1:
            targets[1] = (targets[0] + 1) % classes
        model = _Blobs(channels, height * width, classes, seed).eval()
        return model, images, targets, maps, steps

    batch, channels, height, width = shape
    words = f"{batch} image{'s' * (batch > 1)} of {channels} x {height} x {width}, {classes} classes and {steps} steps"

    before = make()

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        same = [torch.equal(one, other) for one, other in zip(arguments[1:4], before[1:4], strict=True)]
        if isinstance(result, (list, tuple)) and result and all(isinstance(one, Tensor) for one in result):
            result = torch.stack([one.detach() for one in result])
        return {
            "whether the images are as before": str(same[0]),
            "whether targets and maps are as before": str(all(same[1:])),
            "whether the model is in evaluation mode": str(not arguments[0].training),
            RESULT: result,
        }

    return Case(make, words, observe, rtol=1e-3, atol=1e-5, may_change=True)


def _explain_deletion(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    if seen["whether the images are as before"] == "False":
        return (
            "The caller's images are changed: make a copy first, images.clone() (flatten, view and indexing share memory "
            "with the images)."
        )
    if seen["whether targets and maps are as before"] == "False":
        return "The caller's maps or targets are changed: work on a copy."
    if seen["whether the model is in evaluation mode"] == "False":
        return "The model is put into training mode; leave it in evaluation mode."
    found, right = as_array(seen[RESULT]), as_array(expected[RESULT])
    assert right is not None
    if found is None or found.dtype.kind != "f":
        return None
    if found.shape == right.shape and not differs(found, np.full_like(right, right[0])):
        return "The curve is flat: nothing is taken away. Does the model get the covered images, and not the old ones?"
    if (
        found.shape == right.shape
        and len(right) > 2
        and not differs(found[1:], np.full_like(right[1:], right[-1]))
    ):
        return "From the first step on everything is gone: is the number of pixels a share of them, i * H * W // steps?"
    return None


def _where_deletion(seen: Seen, expected: Seen, arguments: tuple[Any, ...]) -> str | None:
    """Say at which end of the curve the mistake shows."""
    found, right = as_array(seen[RESULT]), as_array(expected[RESULT])
    if found is None or right is None or found.dtype.kind != "f":
        return None
    if found.shape != right.shape:
        if found.ndim == 1:
            return f"There are {len(found)} values; steps + 1, that is {len(right)}, are asked for, with i from 0 to steps."
        if found.ndim == 2 and len(arguments[1]) in found.shape:
            return "There is an axis too many: take the mean over the images in each step."
        return "Return one number a step, (steps + 1,)."
    first, last = (differs(found[at], right[at], rtol=1e-3) is None for at in (0, -1))
    if not first:
        return (
            "Even the first value is wrong, where nothing is taken away: look at what is computed of the logits (softmax over the "
            "classes, each image's own target, mean over the images), or at how many pixels go for i = 0."
        )
    if not last:
        return (
            "The first value is right. The last, with everything set to 0, is not: are pixels set to something else, are not all "
            "of them (or not all channels) taken away, or is the map or image altered besides?"
        )
    return (
        "Both ends are right. What lies between is not: look at the order in which pixels go, each image by its own map, the most "
        "relevant first, and at how many there are in each step."
    )


def _judge_deletion_curve(answer: Any) -> str:
    try:
        _judge(
            answer,
            "deletion_curve",
            fallback=_where_deletion,
            crashes=(
                _ONE_NUMBER,
                (
                    "tuple index out of range",
                    "maps has three axes, (B, H, W), a single map two: look at which shape is asked for its size.",
                ),
                (
                    "is out of bounds",
                    "Places count the pixels of a flattened map, from 0 to H * W - 1: flatten the image before choosing by them, or make rows and columns of them, place // W and place % W.",
                ),
                ("slice indices", "A number of pixels is a float: // gives whole numbers, / does not."),
                (
                    "must match the size",
                    "Shapes do not fit: maps (B, H, W) meet images (B, C, H, W) with an axis of channels, maps[:, None].",
                ),
                ("does not require grad", "No gradient is needed here: leave backward out."),
                (
                    "Can't call numpy",
                    "Wrap it in torch.no_grad(), or detach the probabilities, before they become numbers.",
                ),
            ),
            reference=_deletion,
            cases=[
                _deletion_case((3, 1, 6, 6), 7, 4, 0),
                _deletion_case((4, 3, 5, 4), 5, 7, 1),
                _deletion_case((1, 2, 4, 6), 4, 5, 2),
                _deletion_case((2, 1, 3, 3), 3, 1, 3),
            ],
            mistakes=[
                Mistake(partial(_deletion, kind=kind), text) for kind, text in _DELETION_MISTAKES.items()
            ],
            explain=_explain_deletion,
        )
    except Wrong as wrong:
        said = str(wrong)
        if "raised" in said and ("view size is not compatible" in said or "expanded size" in said):
            raise Wrong(
                f"Flattened and whole images are mixed up: look at the shapes (B, C, H * W) and (B, C, H, W).\n{said}"
            ) from wrong
        if "raised" in said and ("int64" in said or "index" in said.lower()) and "float" in said.lower():
            raise Wrong(
                f"A number of pixels, or a place, is a float: // gives whole numbers, / does not.\n{said}"
            ) from wrong
        if "raised" in said and "slice indices" in said:
            raise Wrong(
                f"A number of pixels is a float: // gives whole numbers, / does not.\n{said}"
            ) from wrong
        raise
    return "The lower this curve, the better the map knows what the network needs. Try it on `maps`, the noise among them."


deletion_curve = Exercise("ch10", "deletion_curve", _judge_deletion_curve)


# ClassMaps --------------------------------------------------------------------------------------------------


def _class_maps(features: nn.Module, dense: nn.Linear, x: Tensor, kind: str = "right") -> Tensor:
    """The right maps, or wrong ones."""
    maps, weight = features(x), dense.weight
    if kind == "detached features":
        maps = maps.detach()
    if kind == "squared":
        weight = weight**2
    if kind == "positive weights":
        weight = weight.relu()
    if kind == "absolute weights":
        weight = weight.abs()
    if kind == "own weights":
        weight = torch.zeros_like(weight)
    if kind == "spread":
        maps = maps.mean((2, 3), keepdim=True).expand_as(maps)
    if kind == "features normed":
        maps = maps / maps.amax((2, 3), keepdim=True)
    b, c, h, w = maps.shape
    out = torch.einsum("kc,bchw->bkhw", weight, maps)
    bias = torch.zeros(len(weight)) if dense.bias is None else dense.bias
    if kind not in ("no bias", "no bias, relu"):
        out = out + bias[:, None, None]
    kinds: dict[str, Callable[[], Tensor]] = {
        "relu": lambda: out.relu(),
        "no bias, relu": lambda: out.relu(),
        "softmax": lambda: out.softmax(1),
        "sigmoid": lambda: out.sigmoid(),
        "log softmax": lambda: out.log_softmax(1),
        "pixel softmax": lambda: out.flatten(2).softmax(2).view_as(out),
        "shared": lambda: out / (h * w),
        "bias twice": lambda: out + bias[:, None, None],
        "bias shared": lambda: out - bias[:, None, None] * (1 - 1 / (h * w)),
        "bias summed": lambda: out + bias[:, None, None] * (h * w - 1),
        "last axis": lambda: out.permute(0, 2, 3, 1),
        "transposed": lambda: out.transpose(2, 3),
        "scrambled": lambda: (torch.einsum("kc,bpc->bpk", weight, maps.flatten(2).transpose(1, 2)) + bias).reshape(b, len(weight), h, w),
        "scrambled before": lambda: (maps.reshape(b, h, w, c) @ weight.T + bias).permute(0, 3, 1, 2),
        "scrambled twice": lambda: (maps.reshape(-1, c) @ weight.T + bias).reshape(b, len(weight), h, w),
        "scrambled rows": lambda: (maps.reshape(-1, c) @ weight.T + bias).reshape(b, h, w, -1).permute(0, 3, 1, 2),
        "logits": lambda: out.mean((2, 3)),
        "logits kept": lambda: out.mean((2, 3), keepdim=True),
        "logits spread": lambda: out.mean((2, 3), keepdim=True).expand_as(out),
        "spread": lambda: out,
        "sum": lambda: out.sum((2, 3)),
        "flat": lambda: out.flatten(2),
        "flat places": lambda: out.flatten(2).transpose(1, 2),
        "features": lambda: maps,
        "upsampled": lambda: F.interpolate(out, size=x.shape[2:], mode="bilinear"),
        "upsampled nearest": lambda: F.interpolate(out, size=x.shape[2:]),
        "centred": lambda: out - out.mean((2, 3), keepdim=True),
        "scaled": lambda: (out - out.amin((2, 3), keepdim=True)) / (out.amax((2, 3), keepdim=True) - out.amin((2, 3), keepdim=True)),
        "scaled by peak": lambda: out / out.amax((2, 3), keepdim=True),
        "detached": lambda: out.detach(),
        "best class": lambda: out.gather(1, out.mean((2, 3)).argmax(1)[:, None, None, None].expand(b, 1, h, w)),
        "best class flat": lambda: out.gather(1, out.mean((2, 3)).argmax(1)[:, None, None, None].expand(b, 1, h, w))[:, 0],
        "first image": lambda: out[:1],
        "batch mean": lambda: out.mean(0, keepdim=True).expand_as(out),
        "features relu": lambda: torch.einsum("kc,bchw->bkhw", weight, maps.relu()) + bias[:, None, None],
        "turned weight": lambda: torch.einsum("ck,bchw->bkhw", weight, maps) + bias[:, None, None],
        "squeezed": lambda: out.squeeze(),
        "squeezed image": lambda: out[0],
        "normed channels": lambda: torch.einsum("kc,bchw->bkhw", weight, F.normalize(maps, dim=1)) + bias[:, None, None],
        "weighted again": lambda: out * maps.mean(1, keepdim=True),
        "gated": lambda: out * out.sigmoid(),
        "times places": lambda: out * (h * w),
        "tanh": lambda: out.tanh(),
        "absolute": lambda: out.abs(),
        "softmax of weights": lambda: torch.einsum("kc,bchw->bkhw", weight.softmax(1), maps) + bias[:, None, None],
        "features sigmoid": lambda: torch.einsum("kc,bchw->bkhw", weight, maps.sigmoid()) + bias[:, None, None],
        "means of features": lambda: maps.mean(1, keepdim=True).expand(b, len(weight), h, w),
        "class means": lambda: weight.mean(1)[:, None, None] * maps.mean(1, keepdim=True) + bias[:, None, None],
        "summed over classes": lambda: out.sum(1, keepdim=True),
    }  # fmt: skip
    return kinds.get(kind, lambda: out)()


_MAPS_MISTAKES = {
    "no bias": "The dense layer's bias is missing: it belongs to every place, so that the mean holds it once.",
    "no bias, relu": "The bias is missing, and a ReLU cuts negative values off: the mean must give the logit.",
    "relu": "A ReLU cuts negative values off; without them the mean is no longer the logit.",
    "softmax": "A softmax is taken over the classes; the mean of the maps must be the logit itself.",
    "log softmax": "A log-softmax is taken; the mean of the maps must be the logit itself.",
    "sigmoid": "A sigmoid is taken; the mean of the maps must be the logit itself.",
    "pixel softmax": "A softmax is taken over the places; the mean of the maps must be the logit itself.",
    "shared": "The maps are divided by the number of places, so that their *sum* is the logit; the mean is asked for.",
    "bias twice": "The bias is added twice: the dense layer adds its own.",
    "bias shared": "The bias is divided among the places; in a mean it stays itself, so add the whole of it at every place.",
    "bias summed": "The bias is multiplied by the number of places; add it once at every place.",
    "last axis": "The classes are the last axis; bring them back to the second place: (B, classes, h, w).",
    "transposed": "Height and width are exchanged on the way; only the channels change places.",
    "scrambled": "reshape or view does not move axes, it re-cuts the numbers, and places get mixed up: use movedim, permute or transpose.",
    "scrambled before": "reshape or view does not move axes, it re-cuts the numbers, and channels get mixed with places: use movedim, permute or transpose.",
    "scrambled twice": "reshape or view does not move axes, it re-cuts the numbers, and channels get mixed with places: use movedim, permute or transpose.",
    "scrambled rows": "reshape or view does not move axes, it re-cuts the numbers, and channels get mixed with places: use movedim, permute or transpose.",
    "logits": "Those are the logits, one number a class: leave out the mean over the places.",
    "logits kept": "Those are the logits, one number a class: leave out the mean over the places.",
    "logits spread": "Every place has the same value, the logit: apply the dense layer at each place, without the mean.",
    "spread": "Every place has the same value: the maps are averaged before the dense layer; leave the mean out.",
    "sum": "Those are sums over the places, one number a class: return the maps.",
    "flat": "The places are flattened into one axis; return (B, classes, h, w).",
    "flat places": "The places are flattened into one axis; return (B, classes, h, w).",
    "features": "Those are the features themselves; the dense layer is not applied.",
    "upsampled": "The maps are stretched to the image's size; leave them as they are, (B, classes, h, w).",
    "upsampled nearest": "The maps are stretched to the image's size; leave them as they are, (B, classes, h, w).",
    "centred": "The maps' mean is taken off; it must be the logit.",
    "scaled": "The maps are scaled to between 0 and 1; their mean must be the logit.",
    "scaled by peak": "The maps are divided by their greatest value; their mean must be the logit.",
    "squared": "The weights are squared; use them as they are.",
    "positive weights": "Negative weights are cut off; use them as they are.",
    "absolute weights": "The weights are taken without their signs; use them as they are.",
    "features normed": "The features are scaled first; use them as they are.",
    "features relu": "A ReLU is applied to the features; use them as they come, negative values too.",
    "turned weight": "The dense layer's weight is turned round: it is (classes, channels).",
    "best class": "That is the map of the class with the highest logit; all classes are asked for.",
    "best class flat": "That is the map of the class with the highest logit; all classes are asked for.",
    "first image": "Only the first image has maps.",
    "batch mean": "The maps are averaged over the images; each has its own.",
    "summed over classes": "The classes are added up; each has a map of its own.",
    "squeezed": "An axis of length one is squeezed away, which happens to a batch of one: the maps keep four axes.",
    "squeezed image": "Only the first image has maps, and the axis of the images is gone.",
    "normed channels": "The features are scaled first; use them as they are.",
    "weighted again": "The maps are multiplied by the features once more; their mean must be the logit.",
    "gated": "The maps are multiplied by their own sigmoid; their mean must be the logit.",
    "times places": "The maps are multiplied by the number of places; their mean must be the logit.",
    "tanh": "A tanh is taken; the mean of the maps must be the logit itself.",
    "absolute": "The signs are lost: negative values speak against a class, and the mean must be the logit.",
    "softmax of weights": "A softmax is taken over the weights; use them as they are.",
    "features sigmoid": "A sigmoid is taken of the features; use them as they are.",
    "means of features": "Those are means of the features; the dense layer is not applied.",
    "class means": "The weights are averaged over the channels; each channel has its own.",
}  # fmt: skip


def _maps_trial(
    channels: int, classes: int, bias: bool, shape: tuple[int, ...], seed: int
) -> tuple[Any, ...]:
    torch.manual_seed(seed)
    features = nn.Sequential(
        nn.Conv2d(shape[1], channels, 3, stride=2, padding=1),
        nn.BatchNorm2d(channels),
        nn.Hardtanh(-1.5, 2.0),
    )
    dense = nn.Linear(channels, classes, bias=bias)
    with torch.no_grad():
        features.get_buffer("1.running_mean").normal_()
        features.get_buffer("1.running_var").uniform_(0.5, 2.0)
        if bias:
            dense.bias.normal_()
    return features.eval(), dense, torch.randn(shape)


_MAPS_TRIALS = (
    (6, 7, True, (3, 1, 12, 10), "features of 6 channels, a dense layer to 7 classes, three images"),
    (5, 5, True, (2, 3, 8, 8), "as many classes as channels, 5, and images of three channels"),
    (4, 3, False, (1, 1, 6, 10), "a dense layer without a bias, and one image"),
)  # fmt: skip


def _judge_class_maps(answer: Any) -> str:
    name = "ClassMaps"
    for number, (channels, classes, bias, shape, words) in enumerate(_MAPS_TRIALS):
        features, dense, x = _maps_trial(channels, classes, bias, shape, number)
        trial = Trial((features, dense), shape)
        try:
            module = _built(answer, name, features, dense, words)
            module.eval()
            features.eval()
            found = _shown(module, x, name, trial, words)
        except Wrong as wrong:
            raise _maps_crash(wrong, number) from wrong
        with torch.no_grad():
            expected = _class_maps(features, dense, x)
        difference = differs(found, expected, rtol=1e-3, atol=1e-5)
        if difference:
            raise Wrong(_maps_fault(module, features, dense, x, found, difference, number, words))
        _maps_parts(module, features, dense, x, name)
    return "No gradient needed: with such an ending, this is what Grad-CAM shows, up to a factor, the bias and its ReLU."


def _built(answer: Any, name: str, features: nn.Module, dense: nn.Linear, words: str) -> nn.Module:
    before = [value.detach().clone() for value in (*features.parameters(), *dense.parameters())]

    class _Named(Trial):
        @property
        def words(self) -> str:
            return f" with {words}"

    module = build_answer(answer, name, _Named((features, dense), ()))
    after = [*features.parameters(), *dense.parameters()]
    if any(not torch.equal(one, other) for one, other in zip(before, after, strict=True)):
        raise Wrong(f"{name} changes the weights that it is given: use them as they are.")
    return module


def _shown(module: nn.Module, x: Tensor, name: str, trial: Trial, words: str) -> Tensor:
    class _Named(Trial):
        @property
        def words(self) -> str:
            return f" with {words}"

    torch.manual_seed(0)
    return forward(module, x, name, _Named(trial.arguments, trial.shape))


def _maps_crash(wrong: Wrong, number: int) -> Wrong:
    """Name the likely cause of what crashed."""
    said = str(wrong)
    if "raised" not in said:
        return wrong
    if "NoneType" in said and number == 2:
        return Wrong(
            f"A dense layer may have no bias: dense.bias is then None. Calling the layer itself takes care of it.\n{said}"
        )
    if "mat1 and mat2" in said or "size mismatch" in said:
        return Wrong(
            "nn.Linear works on the last axis, which must be the channels: bring them there first, x.movedim(1, -1).\n"
            + said
        )
    if "weight should have at least three dimensions" in said:
        return Wrong(
            f"A convolution's weight has four axes: dense.weight[:, :, None, None] is a 1 x 1 kernel.\n{said}"
        )
    if "Given groups=1, weight of size" in said and number == 0:
        return Wrong(
            f"The weight is turned round, or the channels are not where a convolution looks for them: dense.weight is (classes, channels), its input (B, channels, h, w).\n{said}"
        )
    if "name 'features' is not defined" in said or "name 'dense' is not defined" in said:
        return Wrong(
            f"In forward it is self.features and self.dense, set in __init__ by self.features = features.\n{said}"
        )
    if "must match the size of tensor" in said:
        return Wrong(
            f"A bias (classes,) meets maps (B, classes, h, w): give it two axes, bias[:, None, None].\n{said}"
        )
    if "Can't call numpy" in said:
        return Wrong(
            f"NumPy cannot follow gradients: stay in torch, the maps must remain part of the network.\n{said}"
        )
    if "is invalid for input of size" in said:
        return Wrong(
            f"A size is typed in, or axes are in another order than thought: print the shapes before view or reshape.\n{said}"
        )
    if "before Module.__init__" in said:
        return Wrong(f"super().__init__() must come first in __init__.\n{said}")
    if number == 1 and ("channels" in said or "size" in said):
        return Wrong(
            f"Is a number of channels or classes typed in? dense.in_features and dense.out_features tell them.\n{said}"
        )
    return wrong


def _maps_fault(
    module: nn.Module,
    features: nn.Module,
    dense: nn.Linear,
    x: Tensor,
    found: Tensor,
    difference: str,
    number: int,
    words: str,
) -> str:
    where = f"With {words}: {difference}."
    for kind, text in _MAPS_MISTAKES.items():
        try:
            with torch.no_grad():
                other = _class_maps(features, dense, x, kind)
        except Exception:
            continue
        if differs(found, other, rtol=1e-3, atol=1e-5) is None:
            return f"{text}\n{where}"
    own = sum(value.numel() for value in module.parameters())
    given = sum(value.numel() for value in (*features.parameters(), *dense.parameters()))
    again = run(module, x.clone())
    if isinstance(again, Tensor) and differs(again.detach(), found):
        return f"Two calls give two answers: is a layer made anew in forward, or is dropout left on?\n{where}"
    if own > given or own == given:
        fresh = not any(
            value.shape.numel() == dense.weight.numel()
            and torch.equal(value.detach().flatten(), dense.weight.flatten())
            for value in module.parameters()
        )
        if fresh:
            return (
                "The trained weights of the dense layer are not in it: is a new layer built, and left with the weights it "
                f"starts from? Use `dense` itself, or copy its weight and bias.\n{where}"
            )
    if number and found.shape[1:2] != (dense.out_features,):
        return f"The number of classes is typed in; dense.out_features tells it.\n{where}"
    with torch.no_grad():
        right = _class_maps(features, dense, x)
    if found.shape == right.shape:
        if differs(found.mean((2, 3)), right.mean((2, 3)), rtol=1e-3, atol=1e-4) is None:
            return f"The maps' means are the logits, but the values stand at other places: axes or places are mixed up on the way.\n{where}"
        if differs(found.sort(1).values, right.sort(1).values, rtol=1e-3, atol=1e-5) is None:
            return f"The values are right, and the classes are in another order.\n{where}"
        return f"The maps' means are not the logits: weights, bias or features are used otherwise than the dense layer does.\n{where}"
    return f"The shape is another: (B, classes, h, w), with h and w those of the features, is asked for.\n{where}"


def _maps_parts(module: nn.Module, features: nn.Module, dense: nn.Linear, x: Tensor, name: str) -> None:
    """Raise `Wrong` unless gradients pass and the module holds what it was given."""
    values = x.clone().requires_grad_()
    out = run(module, values, what=name)
    if not out.requires_grad:
        raise Wrong(
            "The maps are cut off from the network (detach, .data, no_grad): gradients could no longer pass."
        )
    (gradient,) = torch.autograd.grad(out.sum(), values, allow_unused=True)
    if gradient is None or not gradient.abs().sum():
        raise Wrong(
            "The features are cut off (detach, .data or no_grad): no gradient comes back to the images."
        )
    held = {id(value) for value in module.parameters()}
    if not any(id(value) in held for value in features.parameters()):
        raise Wrong(
            f"{name} does not hold `features` as a part that PyTorch knows (a copy, a list, or a function around it?): its weights "
            "would be neither moved nor saved with it. Write self.features = features."
        )
    if not any(
        value.numel() == dense.weight.numel()
        and torch.equal(value.detach().flatten(), dense.weight.detach().flatten())
        for value in module.parameters()
    ):
        raise Wrong(
            f"{name} does not hold the dense layer's weight as a parameter (a plain tensor, .data, or a list?): it would be "
            "neither moved nor saved with it. Write self.dense = dense."
        )
    if any(not value.requires_grad for value in (*features.parameters(), *dense.parameters())):
        raise Wrong(
            f"{name} freezes the weights that it is given (requires_grad is off); leave them as they are."
        )
    run(module.train, what=name)
    if not features.training:
        raise Wrong(f"{name} keeps `features` in evaluation mode; which mode it is in, the caller decides.")
    x = torch.cat((x, x + 0.5))
    found = run(module, x, what=f"{name} in training mode")
    if not features.training:
        raise Wrong(f"{name} puts `features` into evaluation mode; which mode it is in, the caller decides.")
    with torch.no_grad():
        expected = _class_maps(features, dense, x)
    if words := differs(found, expected, rtol=1e-3, atol=1e-5):
        raise Wrong(
            f"{name} is right in evaluation mode, and gives something else in training mode: {words}."
        )


ClassMaps = Exercise("ch10", "ClassMaps", _judge_class_maps)


# fit_temperature --------------------------------------------------------------------------------------------


def _least(
    loss: Callable[[float], float], low: float = math.log(0.02), high: float = math.log(60.0)
) -> float:
    """Return the temperature with the least loss, by golden section over its logarithm."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = low, high
    for _ in range(34):
        c, d = b - ratio * (b - a), a + ratio * (b - a)
        if loss(math.exp(c)) < loss(math.exp(d)):
            b = d
        else:
            a = c
    return math.exp((a + b) / 2)


def _nll(logits: Tensor, labels: Tensor) -> Callable[[float], float]:
    z = logits.double()
    return lambda t: F.cross_entropy(z / t, labels).item()


def _temperature(logits: Tensor, labels: Tensor, kind: str = "right") -> Any:
    """The right temperature, or a wrong one."""
    z = logits.double()
    best = _least(_nll(logits, labels))
    hot = F.one_hot(labels, logits.shape[1]).double()

    def confidence() -> float:
        accuracy = (z.argmax(1) == labels).double().mean().item()

        def gap(t: float) -> float:
            return abs((z / t).softmax(1).amax(1).mean().item() - accuracy)

        return _least(gap)

    kinds: dict[str, Callable[[], Any]] = {
        "inverse": lambda: 1 / best,
        "logarithm": lambda: math.log(best),
        "square": lambda: best**2,
        "root": lambda: math.sqrt(best),
        "one": lambda: 1.0,
        "brier": lambda: _least(lambda t: ((z / t).softmax(1) - hot).square().mean().item()),
        "confidence": confidence,
        "spread": lambda: z.std().item(),
        "spread population": lambda: z.std(correction=0).item(),
        "mean spread": lambda: z.std(1).mean().item(),
        "greatest": lambda: z.abs().max().item(),
        "loss": lambda: _nll(logits, labels)(best),
        "loss as given": lambda: F.cross_entropy(z, labels).item(),
        "pair": lambda: (best, _nll(logits, labels)(best)),
        "scaled": lambda: logits / best,
        "probs": lambda: (logits / best).softmax(1),
        "softmax first": lambda: _least(lambda t: F.cross_entropy(z.softmax(1) / t, labels).item()),
        "log softmax first": lambda: best,
        "per class": lambda: [_least(_nll(logits[labels == k], labels[labels == k])) for k in range(logits.shape[1])],
        "first class": lambda: _least(_nll(logits[:, :2], labels.clamp(max=1))),
        "right ones": lambda: _least(_nll(logits[z.argmax(1) == labels], labels[z.argmax(1) == labels])),
        "first half": lambda: _least(_nll(logits[: len(labels) // 2], labels[: len(labels) // 2])),
        "sharpest": lambda: _least(lambda t: -(z / t).softmax(1).amax(1).mean().item()),
        "top labels": lambda: _least(_nll(logits, z.argmax(1))),
        "greatest loss": lambda: 1.0,
    }  # fmt: skip
    return kinds.get(kind, lambda: best)()


_ARRIVED = (
    "It has not arrived: the loss still falls further along the way from 1. Take more steps, longer ones, or learn the "
    "logarithm of T."
)
_TEMPERATURE_MISTAKES = {
    "inverse": "It is upside down, one over T: the logits are *divided* by the temperature.",
    "logarithm": "That is the logarithm of the temperature: return its exponential.",
    "square": "It is the square of the temperature.",
    "root": "It is the square root of the temperature.",
    "one": "The temperature never moves from 1: does the loss depend on it, and does a step follow backward?",
    "brier": "That makes the squared error of the probabilities (the Brier score) least; the cross-entropy is asked for.",
    "confidence": "That makes the mean confidence equal to the accuracy; the cross-entropy should be least.",
    "spread": "That is the standard deviation of the logits, which knows nothing of the labels.",
    "spread population": "That is the standard deviation of the logits, which knows nothing of the labels.",
    "mean spread": "That is the standard deviation of the logits, which knows nothing of the labels.",
    "greatest": "That is the greatest logit, which knows nothing of the labels.",
    "loss": "That is the least loss; the temperature at which it is reached is asked for.",
    "loss as given": "That is the loss; the temperature at which it is least is asked for.",
    "pair": "Return the temperature alone.",
    "scaled": "Those are the scaled logits; the temperature is asked for.",
    "probs": "Those are probabilities; the temperature is asked for.",
    "softmax first": "A softmax is taken before dividing by the temperature: divide the logits, cross_entropy takes its own softmax.",
    "per class": "There is a temperature for each class; one for all is asked for.",
    "right ones": "Only answers that are right are used; then the surest is the best. Use all.",
    "first half": "Only half of the images are used.",
    "top labels": "The network's own answers are taken for the labels: then the surest is the best.",
}  # fmt: skip


def _temperature_case(scale: float, classes: int, count: int, seed: int, words: str) -> Case:
    draw = torch.Generator().manual_seed(seed)
    logits = 1.3 * torch.randn((count, classes), generator=draw)
    logits[:, 1] += 0.5
    noise = -torch.log(-torch.log(torch.rand((count, classes), generator=draw).clamp(1e-6, 1 - 1e-6)))
    labels = (logits + noise).argmax(1)  # drawn with the logits' own probabilities: T is near 1
    return of(logits * scale, labels, words=words, rtol=0.02, atol=1e-6)


def _explain_temperature(
    seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]
) -> str | None:
    found, right = as_array(seen[RESULT]), float(expected[RESULT])
    if type(seen[RESULT]).__name__ == "OptimizeResult":
        return "That is SciPy's whole answer; the temperature is its .x."
    if isinstance(seen[RESULT], dict):
        return "That is a dictionary; return the temperature, a number."
    if found is None:
        return None
    if found.size != 1:
        return "That is more than one number; return one temperature for all images."
    value = float(found.ravel()[0]) if found.dtype.kind == "f" else math.nan
    if math.isnan(value):
        return "The temperature is NaN: has it become 0 or negative on the way? Learn its logarithm, or take smaller steps."
    if (value <= 0.045 and right > 0.05) or value > 25:
        dtype = getattr(seen[RESULT], "dtype", None)
        whole = isinstance(seen[RESULT], int) or (dtype is not None and "int" in str(dtype))
        if whole and value > 25:
            return "A whole number as large as this is a *place* in the grid: return the temperature that stands there, grid[place]."
        if value > 0:
            return (
                "It lies at the edge of what is to be searched. Is the greatest looked for instead of the least (argmax), is it "
                "something that only falls, such as nll_loss of what are no log-probabilities, or has the descent run away "
                "(gradients not cleared, steps too long)?"
            )
    if value <= 0:
        return "The temperature is not positive: learn its logarithm, or keep to a grid above 0."
    if abs(value - 1) < 0.01 and right < 0.9:
        return (
            "It is 1 where less is right: does the search begin at 1, or does the temperature never move from where it "
            "starts?"
        )
    step = math.log(value) / math.log(right) if abs(math.log(right)) > 0.1 else None
    if step is not None and 0.0 < step < 0.98:
        loss, z = _nll(arguments[0], arguments[1]), arguments[0]
        rough = abs(value / right - 1) < 0.12
        ends = [
            v
            for v in (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15)
            if abs(value / v - 1) < 0.015
        ]
        if ends and not rough:
            return f"The search ends at {ends[0]}, and the least loss lies beyond: look from 0.05 to 20."
        if rough and loss(value) > loss(right):
            return f"Near, but too coarse: within 2% is asked for, and it is {abs(value / right - 1):.0%} off. A finer grid, or more steps."
        if z.numel():
            return _ARRIVED
    if step is not None and step > 1.3:
        return "It has gone past the least loss: the steps are too long, or something else than the mean cross-entropy is made least."
    if abs(value / right - 1) < 0.25:
        return f"Near, but too coarse: within 2% is asked for, and it is {abs(value / right - 1):.0%} off. A finer grid, or more steps."
    return None


def _where_temperature(seen: Seen, expected: Seen, arguments: tuple[Any, ...]) -> str | None:
    found, right = as_array(seen[RESULT]), float(expected[RESULT])
    if found is None or found.size != 1 or found.dtype.kind != "f":
        return None
    value, loss = float(found.ravel()[0]), _nll(arguments[0], arguments[1])
    return (
        f"At {value:.4g} the mean cross-entropy of logits / T is {loss(value):.4g}, at {right:.4g} it is {loss(right):.4g}: "
        "something else is made least. Is it F.cross_entropy(logits / T, labels), over all images?"
    )


def _judge_fit_temperature(answer: Any) -> str:
    try:
        _judge(
            answer,
            "fit_temperature",
            fallback=_where_temperature,
            crashes=(_ONE_NUMBER,),
            reference=_temperature,
            cases=[
                _temperature_case(3.3, 7, 400, 0, "logits that are far too sure"),
                _temperature_case(0.31, 7, 300, 1, "logits that are far too modest"),
                _temperature_case(1.55, 4, 350, 2, "four classes, a little too sure"),
                _temperature_case(13.0, 3, 300, 3, "three classes, and logits that are extremely sure"),
                _temperature_case(0.085, 5, 300, 4, "five classes, and logits that are extremely modest"),
            ],
            mistakes=[
                Mistake(partial(_temperature, kind=kind), text)
                for kind, text in _TEMPERATURE_MISTAKES.items()
            ],
            explain=_explain_temperature,
        )
    except Wrong as wrong:
        said = str(wrong)
        if "raised" in said and "does not require grad" in said:
            raise Wrong(
                "The temperature does not require a gradient: make it torch.ones(1, requires_grad=True) or an nn.Parameter, "
                f"and do not wrap the loop in no_grad.\n{said}"
            ) from wrong
        if "raised" in said and "leaf" in said:
            raise Wrong(
                f"An optimiser takes leaves only: a tensor that is made directly, and not computed from another.\n{said}"
            ) from wrong
        if "raised" in said and ("division by zero" in said or "ZeroDivision" in said):
            raise Wrong(
                f"A temperature of 0 is tried: the grid begins above 0, such as at 0.05.\n{said}"
            ) from wrong
        if "raised" in said and "closure" in said:
            raise Wrong(
                f"LBFGS takes a function that computes the loss: optimizer.step(closure).\n{said}"
            ) from wrong
        raise
    return (
        "One number, fitted in an instant, and no answer changes. Fit it on val; on test it would be a leak."
    )


fit_temperature = Exercise("ch10", "fit_temperature", _judge_fit_temperature)


# right_reasons_step -----------------------------------------------------------------------------------------

_FREE = "whether what it returns is free of the graph"
_CE, _PENALTY, _WEIGHTS = (
    "the cross-entropy it returns",
    "the penalty it returns",
    "the weights after the step",
)


class _Heard(nn.Module):
    """A small smooth network that notes what is done with it."""

    def __init__(self, classes: int, height: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dense = nn.Linear(4 * height * width, classes)
        self.__dict__["events"] = []

    def train(self, mode: bool = True) -> _Heard:
        self.__dict__.setdefault("events", []).append("train" if mode else "eval")
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        self.__dict__["events"].append(f"forward in {'train' if self.training else 'eval'} mode")
        return self.dense(F.softplus(self.norm(self.conv(x))).flatten(1))

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.__dict__["events"].append("clear")
        super().zero_grad(set_to_none)


class _HeardSGD(torch.optim.SGD):
    """An optimiser that notes into the list of its network."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.__dict__.setdefault("events", []).append("clear")
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:
        self.__dict__.setdefault("events", []).append("step")
        return super().step(closure)


def _reasons(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    masks: Tensor,
    optimizer: torch.optim.Optimizer,
    strength: float,
    *,
    kind: str = "right",
    clear: str = "before",
    update: str = "once",
    gives: str = "both",
) -> Any:
    """The right step, and with other options the wrong ones."""
    if kind != "as it was":
        model.train(kind != "eval")
    x = images.detach().clone()
    if kind == "masked images":
        x = x * masks[:, None]
    x.requires_grad_()
    logits = model(x * ~masks[:, None]) if kind == "hidden pixels" else model(x)
    z = logits
    losses: dict[str, Callable[[], Tensor]] = {
        "softmax first": lambda: F.cross_entropy(z.softmax(1), labels),
        "nll": lambda: F.nll_loss(z, labels),
        "smoothed": lambda: F.cross_entropy(z, labels, label_smoothing=0.1),
    }
    loss = losses.get(kind, lambda: F.cross_entropy(z, labels))()
    each = F.cross_entropy(z, labels, reduction="none")
    own = z.gather(1, labels[:, None])[:, 0]
    target: dict[str, Callable[[], Tensor]] = {
        "mean of logits": lambda: own.mean(),
        "loss": lambda: loss,
        "summed loss": lambda: each.sum(),
        "every log": lambda: z.log_softmax(1).sum(),
        "own log": lambda: z.log_softmax(1).gather(1, labels[:, None]).sum(),
        "own probability": lambda: z.softmax(1).gather(1, labels[:, None]).sum(),
        "every logit": lambda: z.sum(),
        "greatest": lambda: z.amax(1).sum(),
        "cross": lambda: z[:, labels].sum(),
        "first label": lambda: z[:, labels[0]].sum(),
        "class 0": lambda: z[:, 0].sum(),
        "greatest probability": lambda: z.softmax(1).amax(1).sum(),
        "squared logit": lambda: own.square().sum(),
        "margin": lambda: (own - z.mean(1)).sum(),
    }
    (gradient,) = torch.autograd.grad(target.get(kind, lambda: own.sum())(), x, create_graph=True)
    m = masks[:, None].float()
    m = {"inverted": lambda: 1 - m, "no mask": lambda: torch.ones_like(m), "first mask": lambda: m[:1]}.get(
        kind, lambda: m
    )()
    forbidden = gradient * m
    if kind == "no channel":
        forbidden = gradient * masks.float()
    if kind == "input":
        forbidden = x * m
    if kind == "gradient times input":
        forbidden = gradient * x * m
    penalties: dict[str, Callable[[], Tensor]] = {
        "abs": lambda: forbidden.abs().sum((1, 2, 3)).mean(),
        "signed": lambda: forbidden.sum((1, 2, 3)).mean(),
        "mean of pixels": lambda: forbidden.square().mean(),
        "mean of masked": lambda: forbidden.square().sum() / m.sum(),
        "mean of masked an image": lambda: (forbidden.square().sum((1, 2, 3)) / m.sum((1, 2, 3))).mean(),
        "sum": lambda: forbidden.square().sum(),
        "root": lambda: forbidden.flatten(1).norm(dim=1).mean(),
        "square of sum": lambda: forbidden.sum((1, 2, 3)).square().mean(),
        "square of mean": lambda: forbidden.mean((1, 2, 3)).square().mean(),
        "median": lambda: forbidden.square().sum((1, 2, 3)).median(),
        "largest image": lambda: forbidden.square().sum((1, 2, 3)).max(),
        "absolute sum": lambda: forbidden.sum((1, 2, 3)).abs().mean(),
        "positive sum": lambda: forbidden.relu().sum((1, 2, 3)).mean(),
        "greatest pixel": lambda: forbidden.abs().amax((1, 2, 3)).mean(),
        "halved": lambda: forbidden.square().sum((1, 2, 3)).mean() / 2,
        "root of all": lambda: forbidden.norm(),
        "positive": lambda: forbidden.relu().square().sum((1, 2, 3)).mean(),
        "rows": lambda: forbidden.square().sum((2, 3)).mean() if forbidden.shape[1] > 1 else forbidden.square().sum(3).mean(),
    }  # fmt: skip
    penalty = penalties.get(kind, lambda: forbidden.square().sum((1, 2, 3)).mean())()
    if kind == "no graph":
        used: Tensor = penalty.detach()
    else:
        used = penalty
    totals: dict[str, Callable[[], Tensor]] = {
        "no strength": lambda: loss + used,
        "strength squared": lambda: loss + strength**2 * used,
        "strength on loss": lambda: strength * loss + used,
        "strength on both": lambda: strength * (loss + used),
        "divided": lambda: loss + used / strength if strength else loss,
        "between": lambda: (1 - strength) * loss + strength * used,
        "minus": lambda: loss - strength * used,
        "penalty alone": lambda: strength * used if used.requires_grad else loss * 0,
        "loss alone": lambda: loss + 0 * strength,
        "product": lambda: loss * (1 + strength * used),
        "penalty squared": lambda: loss + strength * used.square(),
        "more loss": lambda: (1 + strength) * loss + used,
        "sum loss": lambda: each.sum() + strength * used,
    }
    total = totals.get(kind, lambda: loss + strength * used)()
    if clear == "before":
        optimizer.zero_grad()
    if update == "before":
        optimizer.step()
    if kind == "leaked gradients":
        own.sum().backward(retain_graph=True)
    if update != "no backward" and total.requires_grad:
        total.backward()
    if clear == "between":
        optimizer.zero_grad()
    if update in ("once", "twice"):
        optimizer.step()
    if update == "twice":
        optimizer.step()
    if clear == "end":
        optimizer.zero_grad()
    first, second = loss.item(), penalty.item()
    if kind == "sum loss":
        first = each.sum().item()
    if gives == "after":
        again = images.detach().clone().requires_grad_()
        out = model(again)
        own_again = out.gather(1, labels[:, None]).sum()
        (g,) = torch.autograd.grad(own_again, again)
        first, second = F.cross_entropy(out, labels).item(), (g * m).square().sum((1, 2, 3)).mean().item()
    kinds: dict[str, Callable[[], Any]] = {
        "total": lambda: total.item(),
        "loss": lambda: first,
        "swapped": lambda: (second, first),
        "with strength": lambda: (first, strength * second),
        "total and penalty": lambda: (total.item(), second),
        "loss and total": lambda: (first, total.item()),
        "three": lambda: (total.item(), first, second),
        "nothing": lambda: None,
        "graph": lambda: (loss, penalty),
        "total in graph": lambda: total,
        "logits": lambda: logits.detach(),
    }
    return kinds.get(gives, lambda: (first, second))()


def _reasons_case(batch: int, classes: int, size: tuple[int, int], strength: float, seed: int) -> Case:
    draw = torch.Generator().manual_seed(seed)
    given = torch.randn(batch, 1, *size, generator=draw)
    masked = torch.rand(batch, *size, generator=draw) < torch.linspace(0.2, 0.5, batch)[:, None, None]
    if batch > 3:
        masked[2] = False  # an image in which all may be looked at

    def make() -> tuple[Any, ...]:
        torch.manual_seed(seed)
        model = _Heard(classes, *size)
        images, masks = given.clone(), masked.clone()
        labels = torch.arange(batch) % classes
        optimizer = _HeardSGD(model.parameters(), lr=0.05, momentum=0.5)
        events: list[str] = []
        model.__dict__["events"] = optimizer.__dict__["events"] = events
        model.eval()
        F.cross_entropy(model(images.flip(0)), labels).backward()  # gradients that must not stay
        optimizer.step()  # a momentum that must
        model.conv.weight.register_post_accumulate_grad_hook(lambda _: events.append("backward"))
        events.clear()
        return model, images, labels, masks, optimizer, strength

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        model, images, masks = arguments[0], arguments[1], arguments[3]
        seen: dict[str, Any] = {
            TRACE: _done(model.__dict__["events"]),
            "whether the images are as before": str(torch.equal(images.detach(), given)),
            "whether the masks are as before": str(torch.equal(masks, masked)),
            _WEIGHTS: torch.cat([p.detach().flatten() for p in model.parameters()]),
        }
        pair, held = result, []
        if isinstance(pair, (Tensor, np.ndarray)) and pair.shape == (2,):
            held = [pair]
            pair = list(pair)
        if isinstance(pair, (tuple, list)) and len(pair) == 2:
            held = [one for one in (*held, *pair) if isinstance(one, Tensor) and one.requires_grad]
            values = [one.detach() if isinstance(one, Tensor) else one for one in pair]
            seen[_CE], seen[_PENALTY] = ("nothing" if one is None else one for one in values)
        else:
            seen[_CE] = "nothing" if result is None else "not two numbers"
            seen[_PENALTY] = "nothing" if result is None else result
        seen[_FREE] = "no" if held else "yes"
        return seen

    words = f"a small network in eval mode, {batch} images, {classes} classes and strength {strength:g}"
    return Case(make, words, observe, rtol=1e-3, atol=1e-5, may_change=True)


def _done(events: list[str]) -> dict[str, Any]:
    """Return what counts of the order of events, however it is written."""
    back = events.index("backward") if "backward" in events else len(events)
    step = events.index("step") if "step" in events else len(events)
    return {
        "forward": any(event.startswith("forward") for event in events),
        "in eval mode": "forward in eval mode" in events,
        "backward": "backward" in events,
        "steps": events.count("step"),
        "cleared before": "clear" in events[:back],
        "cleared between": "clear" in events[back:step],
    }


_REASONS_KINDS = {
    "as it was": "The model stays in evaluation mode: call model.train() first.",
    "eval": "The model is put into evaluation mode: a training step wants model.train().",
    "mean of logits": "The gradient is that of the *mean* of the logits, and smaller by the number of images: sum them.",
    "loss": "The gradient of the cross-entropy is taken; take that of each image's own logit.",
    "summed loss": "The gradient of the cross-entropy is taken (or of the log-probability); take that of each image's own logit.",
    "every log": "The gradient of all classes' log-probabilities is taken, as in the paper; here it is that of each image's own logit.",
    "own log": "The gradient of the log-probability, or of the cross-entropy, is taken; take that of each image's own logit.",
    "own probability": "The gradient of the probability is taken; take that of the logit.",
    "every logit": "The logits of all classes are summed; choose each image's own: gather(1, labels[:, None]).",
    "greatest": "The gradient is that of the greatest logit; take that of the label, which may be another.",
    "cross": "logits[:, labels] takes every label for every image; take each image's own: gather(1, labels[:, None]).",
    "first label": "The first image's label is used for all; each image has its own.",
    "class 0": "The logit of class 0 is taken; take each image's own, of its label.",
    "greatest probability": "The gradient is that of the greatest probability; take that of the label's logit.",
    "squared logit": "The logit is squared before its gradient is taken; square the gradient.",
    "margin": "The mean of the logits is taken off; take the label's logit itself.",
    "masked images": "The images are multiplied by the mask before the model sees them; the mask belongs to the gradient.",
    "hidden pixels": "The model does not see the masked pixels; it should see the images as they are, and be punished for looking.",
    "median": "The median over the images is taken; take the mean.",
    "largest image": "Only the image with the greatest penalty counts; take the mean.",
    "absolute sum": "The gradient is summed with its signs, which can cancel out: square it first.",
    "positive sum": "Negative gradients are cut off, and nothing is squared; sum the squares.",
    "softmax first": "There is a softmax before the cross-entropy, which applies its own: give it the logits.",
    "nll": "nll_loss takes log-probabilities, not logits: use cross_entropy.",
    "smoothed": "There is label smoothing, which was not asked for.",
    "inverted": "The mask is turned round: it is True where the network must *not* look, and only there the gradient counts.",
    "no channel": "Gradient (B, 1, H, W) and masks (B, H, W) are multiplied as they are, so that every image meets every mask: give the masks the axis of channels, masks[:, None].",
    "no mask": "There is no mask: the gradient of all pixels is punished.",
    "first mask": "The first image's mask is used for all; each image has its own.",
    "input": "The pixels themselves are punished; it is the gradient by them that counts.",
    "gradient times input": "The gradient is multiplied by the image; the gradient alone counts.",
    "abs": "The gradient's absolute values are summed; their squares are asked for.",
    "signed": "The gradient is summed with its signs, which can cancel out: square it first.",
    "mean of pixels": "The mean over the pixels is taken; sum over the pixels, and take the mean over the images.",
    "mean of masked": "The mean over the masked pixels is taken; sum over the pixels, and take the mean over the images.",
    "mean of masked an image": "The mean over the masked pixels is taken; sum over the pixels, and take the mean over the images.",
    "sum": "The penalty is summed over the images; take their mean.",
    "root": "A root is taken (a norm); the sum of the squares is asked for.",
    "root of all": "A root is taken (a norm); the sum of the squares is asked for.",
    "square of sum": "The gradient is summed first and squared then; square each pixel's.",
    "square of mean": "The gradient is averaged first and squared then; square each pixel's.",
    "greatest pixel": "Only the greatest gradient counts; sum the squares over all pixels.",
    "halved": "The penalty is halved.",
    "positive": "Negative gradients are cut off; both signs count.",
    "rows": "One axis too few is summed: sum over all pixels of an image, (1, 2, 3), and take the mean over the images.",
    "no graph": "The penalty has no effect on the step: its gradient by the weights is lost. Ask for create_graph=True, and do not detach.",
    "no strength": "The strength has no part in it.",
    "strength squared": "The strength is multiplied twice.",
    "strength on loss": "The strength multiplies the cross-entropy; it belongs to the penalty.",
    "strength on both": "The strength multiplies both; it belongs to the penalty alone.",
    "divided": "The penalty is divided by the strength; multiply.",
    "between": "The cross-entropy is multiplied by 1 - strength; it keeps its full weight.",
    "minus": "The penalty is subtracted: the step then makes the network look there.",
    "penalty alone": "Only the penalty is minimised; the cross-entropy belongs to it.",
    "product": "Cross-entropy and penalty are multiplied; add them.",
    "penalty squared": "The penalty is squared once more.",
    "more loss": "The strength multiplies the cross-entropy; it belongs to the penalty.",
    "sum loss": "The cross-entropy is summed over the images; take its mean.",
    "leaked gradients": "A backward for the penalty leaves gradients in the weights, which are added to those of the loss: use torch.autograd.grad by the images, or clear after it.",
}  # fmt: skip
_REASONS_CLEAR = {
    "never": "The gradients of the step before are still there and are added to: optimizer.zero_grad() belongs before backward.",
    "between": "zero_grad comes between backward and step: the step then has nothing to go by.",
    "end": "The gradients are cleared at the end only; those that were there before this step still count.",
}
_REASONS_UPDATE = {
    "never": "There is no optimizer.step(): gradients alone change nothing.",
    "no backward": "There is no backward of the whole loss: without gradients the step changes nothing.",
    "before": "The step comes before backward: it goes by the gradients of the batch before.",
    "twice": "The optimiser takes two steps.",
}
_REASONS_GIVES = {
    "total": "That is one number, the whole loss; return two: the cross-entropy and the penalty.",
    "loss": "That is one number; return two: the cross-entropy and the penalty.",
    "swapped": "The two numbers are swapped: first the cross-entropy, then the penalty.",
    "with strength": "The penalty is returned times the strength; return the penalty itself.",
    "total and penalty": "The first number is the whole loss; return the cross-entropy alone.",
    "loss and total": "The second number is the whole loss; return the penalty alone.",
    "three": "There are three numbers; return two: the cross-entropy and the penalty.",
    "nothing": "It returns nothing: return the two numbers.",
    "graph": "It returns tensors that keep the graph of the whole step in memory: return .item() of both.",
    "total in graph": "It returns the whole loss as a tensor; return two numbers: the cross-entropy and the penalty, .item() of both.",
    "logits": "It returns the logits; return two numbers: the cross-entropy and the penalty.",
    "after": "Those are the values after the step, which cost a second pass: return those from before it.",
}


def _explain_reasons(seen: Seen, *_: Any) -> str | None:
    done = seen[TRACE]
    if seen["whether the images are as before"] != "True":
        return "The caller's images are changed: work on a copy, images.clone()."
    if seen["whether the masks are as before"] != "True":
        return "The caller's masks are changed: work on a copy."
    if not done["forward"]:
        return "The model is never called: logits = model(x)."
    if done["in eval mode"]:
        return _REASONS_KINDS["as it was"]
    if seen[_CE] == "nothing":
        return _REASONS_GIVES["nothing"]
    if isinstance(seen[_PENALTY], (tuple, list)):
        return f"It returns {len(seen[_PENALTY])} values; return two: (cross-entropy, penalty)."
    if isinstance(seen[_PENALTY], dict):
        return "It returns a dictionary; return two numbers: (cross-entropy, penalty)."
    if seen[_WEIGHTS].isnan().any():
        return (
            "The weights are NaN after the step. Is a root (a norm) taken, or something divided, where the masked gradient is 0? "
            "The sum of the squares is asked for."
        )
    if not done["steps"]:
        return f"{_REASONS_UPDATE['never']} (Weights moved by hand lack the optimiser's momentum.)"
    if done["steps"] > 1:
        return _REASONS_UPDATE["twice"]
    if not done["backward"]:
        return _REASONS_UPDATE["no backward"]
    if done["cleared between"]:
        return _REASONS_CLEAR["between"]
    if not done["cleared before"]:
        return _REASONS_CLEAR["never"]
    return None


def _where_reasons(seen: Seen, expected: Seen, _: tuple[Any, ...]) -> str | None:
    """Say which part is wrong: the step, the cross-entropy, the penalty, or what is returned of them."""
    moved = differs(seen[_WEIGHTS], expected[_WEIGHTS], rtol=1e-3, atol=1e-5) is not None
    if seen[_CE] == "not two numbers":
        more = "and the weights move otherwise than they should" if moved else "the step itself is right"
        return f"Return two numbers, (cross-entropy, penalty), both from before the step; {more}."
    ce = differs(seen[_CE], expected[_CE], rtol=1e-3) is not None
    penalty = differs(seen[_PENALTY], expected[_PENALTY], rtol=1e-3, atol=1e-6) is not None
    if not moved:
        if ce and penalty:
            return "The step is right, what is returned is not: the cross-entropy and the penalty, both from before the step."
        told = guess([seen[_CE if ce else _PENALTY]], [expected[_CE if ce else _PENALTY]])
        which = "first number is not the cross-entropy" if ce else "second number is not the penalty"
        if not ce and not penalty:
            return _REASONS_GIVES["graph"]
        return f"The step is right, and the {which} from before it. {told or ''}".rstrip()
    if ce:
        return (
            "The cross-entropy is wrong already: it is F.cross_entropy(logits, labels) of the logits of the images as they are, in "
            "training mode, mean over the images."
        )
    if penalty:
        return (
            "The cross-entropy is right, the penalty is not. Go through it: the gradient of the sum of the own logits by "
            "the images, only where the mask is True, squared, summed over the pixels of an image, mean over the images."
        )
    return (
        "Both numbers are right, and the weights move otherwise: is cross-entropy + strength x penalty given to backward, with the "
        "penalty's graph kept (create_graph=True, no detach, no .item() before), and does nothing else change the gradients, such as "
        "clipping, or an earlier backward?"
    )


def _judge_right_reasons_step(answer: Any) -> str:
    name = "right_reasons_step"

    def wrong(text: str, **options: Any) -> Mistake:
        return Mistake(partial(_reasons, **options), text)

    mistakes = [
        *(wrong(text, clear=clear) for clear, text in _REASONS_CLEAR.items()),
        *(wrong(text, update=update) for update, text in _REASONS_UPDATE.items()),
        *(wrong(text, kind=kind) for kind, text in _REASONS_KINDS.items()),
        *(wrong(text, gives=gives) for gives, text in _REASONS_GIVES.items()),
    ]
    try:
        _judge(
            answer,
            name,
            fallback=_where_reasons,
            reference=_reasons,
            cases=[
                _reasons_case(6, 7, (5, 4), 0.3, 1),
                _reasons_case(4, 3, (4, 4), 2.5, 2),
                _reasons_case(5, 5, (3, 6), 0.0, 3),
                _reasons_case(1, 4, (4, 5), 1.7, 4),
            ],
            mistakes=mistakes,
            explain=_explain_reasons,
        )
    except Wrong as wrong_answer:
        raise _reasons_crash(wrong_answer) from wrong_answer
    return "The penalty is a gradient that is itself differentiated. Few lines, and it costs about one more backward pass."


def _reasons_crash(wrong: Wrong) -> Wrong:
    """Name the likely cause of what crashed."""
    said = str(wrong)
    if "raised" not in said:
        return wrong
    causes = (
        ("One of the differentiated Tensors", "The images have no part in what is differentiated: the model must be given the very tensor that requires a gradient (x, not images)."),
        ("appears to not have been used in the graph", "The images have no part in what is differentiated: the model must be given the very tensor that requires a gradient (x, not images)."),
        ("grad can be implicitly created only for scalar", "The gradient is taken of several numbers at once: sum the logits first, .sum()."),
        ("Trying to backward through the graph a second time", "The graph was freed by the first gradient: create_graph=True keeps it."),
        ("does not require grad", "Something is cut off from the graph: x.requires_grad_() before the model is called, create_graph=True, and no .item(), detach or no_grad on the way."),
        ("'float' object has no attribute 'item'", "penalty or cross-entropy is a plain number already: keep tensors until the step is taken, or nothing can be differentiated."),
        ("'tuple' object", "torch.autograd.grad returns a tuple: (gradient,) = torch.autograd.grad(...), or take its [0]."),
        ("tuple indices", "torch.autograd.grad returns a tuple: (gradient,) = torch.autograd.grad(...), or take its [0]."),
        ("must match the size of tensor", "Gradient (B, 1, H, W) and masks (B, H, W) do not fit: give the masks the axis of channels, masks[:, None]."),
        ("'NoneType'", "Something is None: x.grad is there only after a backward, and of a tensor that requires a gradient."),
        ("Dimension out of range", "There is no such axis: the gradient is (B, 1, H, W)."),
        ("modified by an inplace operation", "The optimiser's step changes the weights that a later gradient needs: compute both parts first, then step."),
        ("can be converted to an index", "torch.autograd.grad returns a tuple: (gradient,) = torch.autograd.grad(...), or take its [0]."),
        ("gather", "gather wants whole numbers of the same number of axes: labels[:, None]."),
        ("Index tensor must have", "gather wants whole numbers of the same number of axes: labels[:, None]."),
    )  # fmt: skip
    for words, cause in causes:
        if words in said:
            return Wrong(f"{cause}\n{said}")
    return wrong


right_reasons_step = Exercise("ch10", "right_reasons_step", _judge_right_reasons_step)
