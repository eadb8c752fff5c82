"""Augmentation on the device, per image: draw numbers, compose one matrix an image, resample once.

Transforms that each resample blur the picture again and again, and treat images one by one. Here an image's
flip, random resized crop, zoom, shear, rotation and translation are multiplied into one matrix, and the whole
batch is resampled once, on the device where it lies. `augment` does no more than this::

    draws = draw(len(images), 48, Augmentation(flip=0.5, crop=0.5, erasing=0.5), generator=generator)
    batch = resample(to_float(images), frame_matrices(draws), crop_matrices(draws, 48))
    batch = erase(batch, draws)

Places are counted in pixels from the centre of the (square) image, x to the right and y down; a matrix takes
a place in the output to the place in the input that is seen there. The picture is what torchvision's
resized_crop, horizontal_flip, affine and erase give one after the other, but for the extra blur.

`draw` takes the same `DRAWS_PER_IMAGE` numbers an image from the generator whatever is switched on, each with
one use: switching a transform on or off leaves the draws of the others as they were. No shape depends on data
and nothing waits for the host, so that a CUDA graph can capture it all (register the generator with it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fercourse.augmentation import FILLS, Augmentation, Pair
from fercourse.errors import FercourseError, nearest

#: Random boxes are drawn until one fits, ten times at most, as torchvision does.
ATTEMPTS = 10
#: Numbers a random box takes: whether it happens, areas, ratios, and two for its position.
BOX = 1 + 2 * ATTEMPTS + 2
#: Numbers taken for each image, by use: flip, crop, zoom, shear, rotation, translation, erasing. The first of
#: each decides whether the transform happens.
USES = (1, BOX, 2, 3, 2, 3, BOX)
DRAWS_PER_IMAGE = sum(USES)

#: Images resampled together on a CPU: what they need stays in its cache.
CHUNK = 32


class Draws(NamedTuple):
    """What was drawn for each of B images: float32 (B, k), or None where the transform is switched off.

    An image that does not get a transform has its neutral value: factor 1, the whole image as its crop, ...
    """

    flip: Tensor | None = None  # (B, 1): -1 mirrors, 1 does not
    crop: Tensor | None = None  # (B, 4): top, left, height, width in whole pixels
    zoom: Tensor | None = None  # (B, 1): factor
    shear: Tensor | None = None  # (B, 2): degrees along x and y
    angle: Tensor | None = None  # (B, 1): degrees counter-clockwise
    shift: Tensor | None = None  # (B, 2): pixels to the right and down
    erase: Tensor | None = None  # (B, 4): top, left, height, width in whole pixels


def augment(
    images: Tensor,
    augmentation: Augmentation | None = None,
    *,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Tensor:
    """Return a batch in which each image is transformed by draws of its own.

    Args:
        images: uint8, (B, S, S) or (B, 1, S, S), on any device.
        augmentation: what to do; or give its fields as arguments: ``augment(images, flip=0.5, crop=0.5)``.
        generator: on the images' device; that device's global one if None.

    Returns:
        float32, (B, 1, S, S), in [0, 1]. With everything off: exactly `to_float`. With flip and erasing only:
        exactly the pixels. Otherwise an image that no transform hit is off by rounding (under 1e-5).

    Raises:
        FercourseError: images of another dtype or shape, an unknown option or a bad value.
    """
    chosen = _chosen(augmentation, options)
    batch = to_float(images)
    size = batch.shape[-1]
    if batch.shape[-2] != size:
        raise FercourseError(f"Images are {batch.shape[-2]} by {size} pixels; augmentation expects squares.")
    draws = draw(len(batch), size, chosen, generator=generator, device=batch.device)
    if draws.flip is not None and not chosen.crop and not chosen.moves:
        batch = torch.where(draws.flip[:, :, None, None] < 0, batch.flip(-1), batch)
    else:
        fill = chosen.fill if chosen.moves else "border"  # without a gap to fill, the quickest
        batch = resample(batch, frame_matrices(draws), crop_matrices(draws, size), fill=fill)
    return erase(batch, draws, chosen.erasing_value)


def to_float(images: Tensor) -> Tensor:
    """Return uint8 images, (B, H, W) or (B, 1, H, W), as value / 255: float32, (B, 1, H, W).

    Raises:
        FercourseError: another shape, or another dtype (nobody can know the range of float images).
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        found = f"of dtype {images.dtype}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise FercourseError(f"The images are {found}; expected a torch tensor of dtype uint8, 0 to 255.")
    if images.ndim == 3:
        images = images.unsqueeze(1)
    if images.ndim != 4 or images.shape[1] != 1:
        raise FercourseError(f"The images have shape {tuple(images.shape)}; expected (B, 48, 48) in grey.")
    return images.to(torch.float32).div_(255)


def draw(
    batch_size: int,
    size: int,
    augmentation: Augmentation,
    *,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> Draws:
    """Draw the transforms of ``batch_size`` images of ``size`` x ``size`` pixels.

    One call of the generator gives uniform numbers (batch_size, `DRAWS_PER_IMAGE`), used as `USES` says; a
    generator that is not on the device raises `FercourseError`.
    """
    device, a = torch.device(device), augmentation
    if generator is not None and generator.device.type != device.type:
        made = f"torch.Generator(device={device.type!r})"
        raise FercourseError(f"The generator is on {generator.device}, the images on {device}; use {made}.")
    numbers = torch.rand((batch_size, DRAWS_PER_IMAGE), generator=generator, device=device)
    flip, crop, zoom, shear, rotation, translation, erasing = numbers.split(USES, dim=1)
    whole = (0, 0, size, size)
    # Where no attempt fits, a crop is the largest central box of a ratio in range, an erasure nothing.
    height, width = min(size, round(size / a.crop_ratio[0])), min(size, round(size * a.crop_ratio[1]))
    central = ((size - height) // 2, (size - width) // 2, height, width)
    # torchvision counts the ratio of a crop as width / height and that of an erasure as height / width.
    erasing_ratio = (1 / a.erasing_ratio[1], 1 / a.erasing_ratio[0])
    low, high = a.zoom_range
    reach = (a.translation_fraction[0] * size, a.translation_fraction[1] * size)
    return Draws(
        flip=_given(flip, a.flip, lambda _: -torch.ones_like(flip), (1,)),
        crop=_given(
            crop, a.crop, lambda u: _boxes(u, size, size, a.crop_scale, a.crop_ratio, central), whole
        ),
        zoom=_given(zoom, a.zoom, lambda u: low + u * (high - low), (1,)),
        shear=_given(shear, a.shear, lambda u: _either_way(u, a.shear_pair), (0, 0)),
        angle=_given(rotation, a.rotation, lambda u: _either_way(u, (a.rotation_degrees,)), (0,)),
        shift=_given(translation, a.translation, lambda u: _either_way(u, reach), (0, 0)),
        erase=_given(
            erasing,
            a.erasing,
            lambda u: _boxes(u, size, size - 1, a.erasing_scale, erasing_ratio, (0, 0, 0, 0)),
            (0, 0, 0, 0),
        ),
    )


def frame_matrices(draws: Draws) -> Tensor | None:
    """Return (B, 3, 3): from the output back through translation, rotation, shear, zoom and flip.

    Seen forwards, the (cropped) image is flipped first and translated last: without the flip, these are the
    inverses of torchvision's ``affine(angle=-angle, translate=shift, scale=zoom, shear=shear)``. None where
    all five are switched off.
    """
    steps = []
    if draws.flip is not None:
        steps.append(_matrices(xx=draws.flip[:, 0]))
    if draws.zoom is not None:
        steps.append(_matrices(xx=1 / draws.zoom[:, 0], yy=1 / draws.zoom[:, 0]))
    if draws.shear is not None:
        along_x, along_y = torch.tan(torch.deg2rad(draws.shear)).unbind(1)
        steps += [_matrices(xy=along_x), _matrices(yx=along_y)]
    if draws.angle is not None:
        angle = torch.deg2rad(draws.angle[:, 0])
        cos, sin = torch.cos(angle), torch.sin(angle)
        steps.append(_matrices(xx=cos, xy=-sin, yx=sin, yy=cos))
    if draws.shift is not None:
        steps.append(_matrices(x=-draws.shift[:, 0], y=-draws.shift[:, 1]))
    return reduce(_product, steps) if steps else None


def crop_matrices(draws: Draws, size: int) -> Tensor | None:
    """Return (B, 3, 3): from the cropped image, stretched to ``size``, to its place in the whole image."""
    if draws.crop is None:
        return None
    top, left, height, width = draws.crop.unbind(1)
    x, y = left + (width - size) / 2, top + (height - size) / 2
    return _matrices(xx=width / size, x=x, yy=height / size, y=y)


def resample(images: Tensor, frame: Tensor | None, crop: Tensor | None, *, fill: str = "zeros") -> Tensor:
    """Resample a batch once, bilinearly, by each image's matrix ``crop @ frame``.

    Args:
        images: float, (B, C, S, S).
        frame: (B, 3, 3) of the images' dtype, as from `frame_matrices`; None: does not move.
        crop: (B, 3, 3), as from `crop_matrices`; None: the whole image.
        fill: one of `FILLS`, beginning at the edge of the crop, as if the image were cropped, then moved;
            zeros are mixed in over the pixel around that edge, as in grid_sample.

    Returns:
        As ``images``.

    Raises:
        FercourseError: an unknown fill.
    """
    if fill not in FILLS:
        raise FercourseError(f"fill={fill!r} is not one of {', '.join(FILLS)}{nearest(str(fill), FILLS)}.")
    size = images.shape[-1]
    if images.device.type == "cpu" and len(images) > CHUNK:
        parts = zip(*(_chunks(t, len(images)) for t in (images, frame, crop)), strict=True)
        return torch.cat([resample(*part, fill=fill) for part in parts])
    if crop is None:
        return images if frame is None else _sample(images, _places(frame, size), fill)
    if frame is None:
        frame, fill = torch.eye(3, dtype=crop.dtype, device=crop.device)[None], "border"
    scale, centre = crop[:, :2, :2].diagonal(dim1=1, dim2=2)[..., None, None], crop[:, :2, 2, None, None]
    centre = centre * (2 / size)
    if fill == "reflection":
        # Beyond its edge the frame is its own mirror image: a triangle wave, of period 2 frames.
        wave = (_places(frame, size) / 2 + 0.5).remainder(2)
        places = (1 - 2 * (1 - wave).abs()) * scale + centre
    else:
        places = _places(_product(crop, frame), size)
    # A crop is cut out before it is stretched: what lies beyond its outermost pixels is not mixed in.
    reach = scale - 1 / size
    places = torch.minimum(torch.maximum(places, centre - reach), centre + reach)  # quicker than clamp
    batch = _sample(images, places, "border")
    if fill == "zeros":
        # Bilinear weights among zeros: 1 up to the centre of the outermost pixel, 0 a pixel further.
        inside = ((size + 1) / 2 - (size / 2) * _places(frame, size).abs()).clamp(0, 1)
        batch = batch * inside[:, :1] * inside[:, 1:]
    return batch


def shrink(images: Tensor, side: int) -> Tensor:
    """Return images (B, C, S, S) as (B, C, side, side): each pixel a weighted mean of those it covers.

    torchvision's antialiased bilinear resize. As it is for a ``side`` of S.
    """
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def erase(images: Tensor, draws: Draws, value: float = 0.0) -> Tensor:
    """Return images (B, C, S, S) with the box ``draws.erase`` of each set to ``value``."""
    if draws.erase is None:
        return images
    top, left, height, width = draws.erase[..., None, None, None].unbind(1)
    x = torch.arange(images.shape[-1], device=images.device)
    y = x[:, None]
    rows, columns = (y >= top) & (y < top + height), (x >= left) & (x < left + width)
    return images.masked_fill(rows & columns, value)


def _sample(images: Tensor, places: Tensor, fill: str) -> Tensor:
    """Sample bilinearly at places (B, 2, S, S), as from `_places`."""
    grid = places.permute(0, 2, 3, 1)  # x and y stay in planes of their own: quicker on a CPU
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=fill, align_corners=False)


def _places(matrices: Tensor, size: int) -> Tensor:
    """Return where each output pixel is seen: (B, 2, S, S), x before y, from -1 to 1 edge to edge."""
    x = torch.arange(size, device=matrices.device, dtype=matrices.dtype) - (size - 1) / 2
    along_x, along_y, offset = (matrices[..., :2, :, None, None] * (2 / size)).unbind(-3)
    return along_x * x + (along_y * x[:, None] + offset)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right, (B, 3, 3), in full precision where autocast or TF32 would move pixels."""
    return (left[..., None] * right[..., None, :, :]).sum(-2)


def _matrices(**entries: Tensor) -> Tensor:
    """Return (B, 3, 3) from entries (B,): x' = xx x + xy y + x, y' = yx x + yy y + y; else the identity's."""
    zero = torch.zeros_like(next(iter(entries.values())))
    one = zero + 1
    xx, xy, x = (entries.get(name, default) for name, default in (("xx", one), ("xy", zero), ("x", zero)))
    yx, yy, y = (entries.get(name, default) for name, default in (("yx", zero), ("yy", one), ("y", zero)))
    return torch.stack((xx, xy, x, yx, yy, y, zero, zero, one), dim=1).unflatten(1, (3, 3))


def _chunks(tensor: Tensor | None, count: int) -> Sequence[Tensor | None]:
    return [None] * -(-count // CHUNK) if tensor is None else tensor.split(CHUNK)


def _given(
    numbers: Tensor, probability: float, drawn: Callable[[Tensor], Tensor], neutral: tuple[int, ...]
) -> Tensor | None:
    """Return what ``drawn`` makes of the numbers where the first of them says so, elsewhere the constants."""
    if not probability:
        return None
    return _rows_where(numbers[:, :1] < probability, drawn(numbers[:, 1:]), neutral)


def _boxes(
    numbers: Tensor, size: int, largest: int, scale: Pair, ratio: Pair, otherwise: tuple[int, ...]
) -> Tensor:
    """Return (B, 4): the first box that fits, of area ``scale`` and width / height ``ratio``."""
    areas, ratios, position = numbers.split((ATTEMPTS, ATTEMPTS, 2), dim=1)
    area = (scale[0] + areas * (scale[1] - scale[0])) * size**2
    aspect = torch.exp(math.log(ratio[0]) + ratios * math.log(ratio[1] / ratio[0]))
    height, width = torch.sqrt(area / aspect).round(), torch.sqrt(area * aspect).round()
    fits = (height > 0) & (height <= largest) & (width > 0) & (width <= largest)
    first = fits.int().argmax(dim=1, keepdim=True)
    sides = torch.cat((height.gather(1, first), width.gather(1, first)), dim=1)
    # In float32 the product can round up to the end of its range, which is one place too far.
    corner = torch.minimum((position * (size - sides + 1)).floor(), size - sides)
    return _rows_where(fits.any(dim=1, keepdim=True), torch.cat((corner, sides), dim=1), otherwise)


def _rows_where(condition: Tensor, rows: Tensor, otherwise: tuple[int, ...]) -> Tensor:
    """Return rows (B, k) where the condition (B, 1) holds, elsewhere k constants."""
    constants = torch.empty_like(rows)
    for column, value in zip(constants.unbind(1), otherwise, strict=True):
        column.fill_(value)  # a kernel on the device; a tensor of the constants would be a copy from the host
    return torch.where(condition, rows, constants)


def _either_way(numbers: Tensor, reach: tuple[float, ...]) -> Tensor:
    """Return uniform numbers (B, k) stretched to -reach..reach."""
    return torch.stack([(2 * numbers[:, k] - 1) * most for k, most in enumerate(reach)], dim=1)


def _chosen(augmentation: Augmentation | None, options: dict[str, Any]) -> Augmentation:
    known = Augmentation.__dataclass_fields__
    for name in options.keys() - known.keys():
        raise FercourseError(f"Unknown option {name!r} of augment{nearest(name, known)}.")
    if augmentation is not None and options:
        raise FercourseError(f"Give augment an Augmentation or its fields ({', '.join(options)}), not both.")
    return augmentation or Augmentation(**options)
