"""Is this copy the benchmark? Every image is compared with the official one by way of the table of hashes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fercourse.data import hashes
from fercourse.data.faces import SPLITS, Faces

OFFICIAL = "official"
RE_ENCODED = "official pixels re-encoded"
OTHER = "not the benchmark"

#: JPEG at quality 100, 95, 90, 85, 80 and 75: the median distance of the official images' signatures from the
#: official ones, and the fine detail left (measured; tests/test_audit.py measures it again).
_JPEG_DISTANCE = (0.22, 1.00, 1.46, 1.95, 2.26, 2.65)
_JPEG_DETAIL = (1.00, 0.995, 0.974, 0.944, 0.918, 0.891)
#: Beyond these a copy is rougher than JPEG of quality 75, or smoother than JPEG of its own roughness.
_MAX_DISTANCE, _DETAIL_SLACK = 3.2, 0.04
#: Grey levels by which a copy may be brighter or darker on average.
_MAX_SHIFT = 0.4
#: Mean and standard deviation of all official pixels, as a part of full white.
_MEAN, _STD = 0.5074, 0.2551
#: An image this many times as far from its official one as is usual in its copy was treated differently.
_OUTLIER = 3.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the table of official hashes says of a copy.

    Attributes:
        verdict: 'official', 'official pixels re-encoded' or 'not the benchmark'.
        reasons: why it is not the benchmark, a sentence each; empty otherwise.
        numbers: the counts and measures behind it (JSON-able).
        rows: int64 (N,), the official row of each image, -1 where none, over train, val and test in turn.
    """

    verdict: str
    reasons: tuple[str, ...]
    numbers: dict[str, Any]
    rows: np.ndarray


def compare(faces: Faces) -> Comparison:
    """Compare every image, its label and its split with the official data set."""
    table = hashes.official()
    images = np.concatenate([part.images for part in faces])
    labels = np.concatenate([part.labels for part in faces])
    splits = np.repeat(np.arange(len(SPLITS)), [len(part) for part in faces])
    hints = np.concatenate([part.rows for part in faces])
    found = hashes.match(images)
    known = found.groups >= 0
    rows = hashes.assign_rows(found, labels, splits, hints)
    placed = rows >= 0
    wrong_split = placed & (table.splits[rows] != splits)
    wrong_label = placed & (labels >= 0) & (table.labels[rows] != labels)
    surplus = known & ~placed
    missing = np.ones(len(table), bool)
    missing[rows[placed]] = False
    unlabelled = int((labels < 0).sum())
    numbers: dict[str, Any] = {
        "images": len(images),
        "exact": int(found.exact.sum()),
        "near": int((known & ~found.exact).sum()),
        "unknown": _by_split(~known, splits),
        "surplus_copies": _by_split(surplus, splits),
        "wrong_split": _by_split(wrong_split, splits),
        "wrong_label": _by_split(wrong_label, splits),
        "missing": _by_split(missing, table.splits),
        "unlabelled": unlabelled,
    }
    reasons = _reasons_of_pixels(faces, images, found, splits, numbers)
    if (~known).mean() > 0.01:
        mean, std = float(images.mean()) / 255, float(_std(images)) / 255
        if abs(mean - _MEAN) > 0.003 or abs(std - _STD) > 0.003:
            reasons.append(
                f"The pixels' mean and standard deviation are {mean:.3f} and {std:.3f} of full white; the "
                f"official ones are {_MEAN:.3f} and {_STD:.3f}."
            )
    if surplus.any():
        reasons.append(
            f"{_spread(surplus, splits)} are further copies of official images: they stand here more often "
            "than in the official data."
        )
    if wrong_split.any():
        moves = wrong_split & (splits > 0) & (table.splits[rows] > 0)
        swapped = moves.sum() == wrong_split.sum() and moves.sum() > 0.9 * (splits > 0).sum()
        reasons.append(
            "PublicTest and PrivateTest are swapped: what this copy calls val is the official test split."
            if swapped
            else f"{_spread(wrong_split, splits)} stand in another split than the official one."
        )
    if wrong_label.any():
        reasons.append(f"{_spread(wrong_label, splits)} carry another label than the official one.")
    if missing.any():
        reasons.append(f"{_spread(missing, table.splits)} of the official images are missing.")
    if unlabelled:
        reasons.append(f"{unlabelled:,} images have no label, so nothing can be evaluated on them.")
    if not reasons:
        return Comparison(OFFICIAL if found.exact.all() else RE_ENCODED, (), numbers, rows)
    return Comparison(OTHER, tuple(reasons), numbers, rows)


def _reasons_of_pixels(
    faces: Faces, images: np.ndarray, found: hashes.Match, splits: np.ndarray, numbers: dict[str, Any]
) -> list[str]:
    reasons = []
    sizes = faces.details.get("sizes", {})
    other = sum(count for size, count in sizes.items() if size != "48x48")
    if other:
        common = next(size for size in sizes if size != "48x48")
        reasons.append(
            f"{other:,} images are not 48x48 but {common} or the like: resized, so not official pixels."
        )
    known = found.groups >= 0
    if (~known).any():
        lost = np.flatnonzero(~known)
        mirrored = hashes.match(np.ascontiguousarray(images[lost][:, :, ::-1]))
        flips = int((mirrored.distance < _MAX_DISTANCE * 2).sum())
        numbers["mirrored"] = flips
        text = f"{_spread(~known, splits)} match no official image: altered, augmented or foreign"
        reasons.append(f"{text} ({flips:,} of them are official images mirrored)." if flips else f"{text}.")
    near = known & ~found.exact
    if not near.any():
        return reasons
    if found.exact.sum() > near.sum():
        # Where most pixels are official, re-encoding is no excuse for the others.
        reasons.append(
            f"{_spread(near, splits)} are close to official images, but their pixels were altered."
        )
        return reasons
    for code, split in enumerate(SPLITS):
        chosen = near & (splits == code)
        if chosen.any():
            reasons += _treatment(split, found, chosen, numbers)
    outliers = near.copy()
    outliers[near] = _score(found.difference[near]) > _OUTLIER
    numbers["outliers"] = _by_split(outliers, splits)
    # JPEG of any quality from 75 on has none; a copy with a few odd files may still be the benchmark.
    if outliers.sum() > 3:
        reasons.append(
            f"{_spread(outliers, splits)} differ from the official images far more than the rest of this "
            "copy: altered one by one."
        )
    return reasons


def _treatment(split: str, found: hashes.Match, chosen: np.ndarray, numbers: dict[str, Any]) -> list[str]:
    """What was done to a split's images as a whole, beyond what JPEG does."""
    distance = float(np.median(found.distance[chosen]))
    detail = hashes.fine_detail(found.groups[chosen], found.difference[chosen])
    shift = float(np.median(found.difference[chosen, 0]))
    for name, value in (("distance", distance), ("fine_detail", detail), ("brightness", shift)):
        numbers.setdefault(name, {})[split] = round(value, 3)
    expected = float(np.interp(distance, _JPEG_DISTANCE, _JPEG_DETAIL))
    if distance > 2 * _MAX_DISTANCE:  # too far to say more
        return [f"The {split} images differ from the official ones by far more than JPEG of quality 75 does."]
    reasons = []
    if abs(shift) > _MAX_SHIFT:
        than = "brighter" if shift > 0 else "darker"
        reasons.append(f"The {split} images are {abs(shift):.1f} grey levels {than} than the official ones.")
    if chosen.sum() >= 50 and detail < expected - _DETAIL_SLACK:
        reasons.append(
            f"{1 - detail:.0%} of the fine detail of the {split} images is gone (JPEG as close to the "
            f"originals takes {max(0.0, 1 - expected):.0%}): blurred, turned, or resized there and back."
        )
    elif chosen.sum() >= 50 and detail > 1 + 0.75 * _DETAIL_SLACK:
        reasons.append(
            f"The fine detail of the {split} images is {detail - 1:.0%} stronger: sharpened or enhanced."
        )
    elif distance > _MAX_DISTANCE:
        reasons.append(
            f"The {split} images differ from the official ones by more than JPEG of quality 75 does."
        )
    return reasons


def _std(images: np.ndarray) -> float:
    counts = np.zeros(256, np.int64)
    for block in np.array_split(images, 40):
        counts += np.bincount(block.reshape(-1), minlength=256)
    levels = np.arange(256)
    mean = (counts * levels).sum() / counts.sum()
    return float(np.sqrt((counts * (levels - mean) ** 2).sum() / counts.sum()))


def _score(difference: np.ndarray) -> np.ndarray:
    """How far each image is from its official one, as a multiple of what is usual in this copy."""
    usual = 1.4826 * np.median(np.abs(difference), axis=0)
    scaled = difference / np.maximum(usual, hashes.STEPS)
    return np.sqrt((scaled**2).mean(axis=1))


def _by_split(mask: np.ndarray, splits: np.ndarray) -> dict[str, int]:
    return {split: int((mask & (splits == code)).sum()) for code, split in enumerate(SPLITS)}


def _spread(mask: np.ndarray, splits: np.ndarray) -> str:
    """'1,234 images (1,000 train, 234 test)'."""
    where = ", ".join(f"{count:,} {split}" for split, count in _by_split(mask, splits).items() if count)
    return f"{int(mask.sum()):,} images ({where})"
