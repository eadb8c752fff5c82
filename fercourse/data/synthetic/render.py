"""From parameter tables to pictures and masks, in small batches and several threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fercourse.data.synthetic import features, head
from fercourse.data.synthetic.canvas import Array, Canvas, Patch
from fercourse.data.synthetic.parameters import PARAMETERS
from fercourse.errors import FercourseError

#: Names of the masks: the parts of a face, less what stands before it.
PARTS = ("mouth", "eyes", "brows", "nose", "head")
#: Least and greatest side of a picture in pixels.
SIZES = (16, 1024)
_BATCH = 160  # faces painted at once; the pictures do not depend on it


def _noise(canvas: Canvas, p: head.Rows) -> Array:
    """Return grain of standard deviation 1: a hash of the face's key and the pixel, four bytes summed."""
    key = p["noise_key"].astype(np.uint32)
    pixel = np.arange(canvas.size * canvas.size, dtype=np.uint32).reshape(1, canvas.size, canvas.size)
    x = (key * np.uint32(0x9E3779B1)) ^ (pixel * np.uint32(0x85EBCA77))
    for shift, factor in ((16, 0x21F0AAAD), (15, 0x735A2D97)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(15)
    pairs = (x & np.uint32(0x00FF00FF)) + ((x >> np.uint32(8)) & np.uint32(0x00FF00FF))
    total = (pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))
    return (total.astype(np.float32) - np.float32(510.0)) * np.float32(1.0 / 147.8)


def _blur(grey: Array, p: head.Rows, size: int) -> Array:
    """Return the pictures blurred by a 3x3 binomial of the asked width; the border repeats."""
    weight = p["blur"] * (size / np.float32(48.0))
    weight = np.minimum(weight * weight * np.float32(0.5), np.float32(0.33))
    for axis in (1, 2):
        before = np.take(grey, np.maximum(np.arange(size) - 1, 0), axis=axis)
        before += np.take(grey, np.minimum(np.arange(size) + 1, size - 1), axis=axis)
        before *= weight
        grey = grey * (1.0 - 2.0 * weight)
        grey += before
    return grey


def _paint(
    table: Array, size: int, without: frozenset[str], with_masks: bool
) -> tuple[Array, dict[str, Array]]:
    """Return uint8 pictures and boolean masks of the faces of one parameter table."""
    p = head.Rows.of(table)
    canvas = Canvas(p, size)
    form = head.Head(canvas, p)
    masks: dict[str, Array] = {}
    if with_masks:
        masks = {part: np.zeros(canvas.grey.shape, dtype=bool) for part in PARTS}
        masks["head"] = form.inside >= 0.5
    head.paint_background(canvas, p)
    hair = head.Hair(canvas, p, form)
    hair.paint_behind()
    head.paint_body(canvas, p)
    head.paint_ears(canvas, p)
    head.paint_head(canvas, p, form)
    for index, chosen, picture, shape in _some(canvas, p, form, p.where("beard", 1, 2, 3, 4)):
        head.paint_beard(picture, chosen, shape)
        canvas.grey[index] = picture.grey
    _features(canvas, p, without, masks)
    for index, chosen, picture, _ in _some(canvas, p, form, p.where("glasses", 1, 2)):
        head.paint_glasses(picture, chosen)
        canvas.grey[index] = picture.grey
    cover = hair.paint(p)
    for part in PARTS[:-1] if masks else ():
        masks[part][:, hair.rows] &= cover < 0.5
    for index, chosen, picture, _ in _some(canvas, p, form, p.where("occluder", 1, 2, 3)):
        cover = head.occluder_cover(picture, chosen)
        head.paint_occluder(picture, chosen, cover)
        canvas.grey[index] = picture.grey
        for mask in masks.values():
            mask[index] &= cover < 0.5
    grey = _blur(canvas.grey, p, size) if p["blur"].any() else canvas.grey
    grey = (grey - 0.5) * p["gain"] + 0.5
    if p["noise"].any():
        grey += _noise(canvas, p) * p["noise"]
    np.clip(grey, 0.0, 1.0, out=grey)
    grey *= 255.0
    return np.rint(grey, out=grey).astype(np.uint8), masks


def _features(canvas: Canvas, p: head.Rows, without: frozenset[str], masks: dict[str, Array]) -> None:
    """Paint eyes, brows, nose and mouth, each on the patch of pixels it can reach."""

    def paint(part: str, patch: Patch, stroke: Callable[..., None], *more: Any) -> None:
        if part in without:
            return
        before = patch.grey.copy() if masks else patch.grey
        stroke(patch, p, *more)
        if masks:
            patch.put_mask(before != patch.grey, masks[part])

    for side in (-1, 1):
        patch = canvas.patch(side * p["eye_x"], p["eye_y"] - 0.17, 22, 24)
        features.paint_socket(patch, p, side)
        paint("eyes", patch, features.paint_eye, side)
        paint("brows", patch, features.paint_brow, side)
        patch.put(patch.grey, canvas.grey)
    middle = np.zeros_like(p["scale"])
    patch = canvas.patch(middle, middle + 0.12, 32, 27)
    features.paint_cheeks(patch, p)
    paint("nose", patch, features.paint_nose)
    features.paint_furrows(patch, p)
    patch.put(patch.grey, canvas.grey)
    patch = canvas.patch(middle, p["mouth_y"] + 0.07, 30, 25)
    mouth = features.Mouth(patch, p)
    features.paint_chin(patch, mouth)
    paint("mouth", patch, features.paint_mouth, mouth)
    patch.put(patch.grey, canvas.grey)


def _some(
    canvas: Canvas, p: head.Rows, form: head.Head, index: Array
) -> Iterator[tuple[Array, head.Rows, Canvas, head.Head]]:
    """Yield the faces ``index`` selects as a smaller batch, once; nothing where none is selected."""
    if len(index):
        yield index, p.take(index), canvas.take(index), form.take(index)


def draw(
    parameters: Array,
    *,
    size: int = 48,
    without: tuple[str, ...] = (),
    masks: bool = False,
    threads: int | None = None,
) -> Array | tuple[Array, dict[str, Array]]:
    """Draw the faces of a parameter table.

    Args:
        parameters: float32 (N, len(PARAMETERS)), such as ``truth['parameters']`` of a split of drawn faces.
        size: side of the pictures in pixels.
        without: parts of `PARTS` to leave out, all but 'head'.
        masks: also return where each part is.
        threads: how many threads draw; all processors if None. The pictures do not depend on it.

    Returns:
        uint8 (N, size, size); with ``masks`` a pair of it and {part: bool (N, size, size)}.

    Raises:
        FercourseError: the table has another shape, the size is not 16 to 1024, or a part is unknown.
    """
    parameters = np.ascontiguousarray(parameters, dtype=np.float32)
    if parameters.ndim != 2 or parameters.shape[1] != len(PARAMETERS):
        raise FercourseError(
            f"The parameters of drawn faces have shape {parameters.shape}; expected (N, {len(PARAMETERS)})."
        )
    if not SIZES[0] <= size <= SIZES[1]:
        raise FercourseError(f"Faces are drawn at {SIZES[0]} to {SIZES[1]} pixels, not {size}.")
    unknown = set(without) - set(PARTS[:-1])
    if unknown:
        raise FercourseError(
            f"No part {sorted(unknown)[0]!r} to leave out; choose from {', '.join(PARTS[:-1])}."
        )
    # glibc keeps freed memory for reuse up to the size of the largest block freed so far; without this the
    # painters' short-lived arrays go back to the system and come again page by page, which doubles the time.
    largest = np.empty(2**24, dtype=np.uint8)
    del largest
    images = np.empty((len(parameters), size, size), dtype=np.uint8)
    found = {part: np.empty(images.shape, dtype=bool) for part in PARTS} if masks else {}
    batch = max(1, round(_BATCH * (48 / size) ** 2))

    def paint(start: int) -> None:
        rows = slice(start, start + batch)
        images[rows], areas = _paint(parameters[rows], size, frozenset(without), masks)
        for part in found:
            found[part][rows] = areas[part]

    starts = range(0, len(parameters), batch)
    workers = min(threads or os.cpu_count() or 1, max(1, len(starts)))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(paint, starts))
    return (images, found) if masks else images
