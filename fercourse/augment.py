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
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fercourse.errors import FercourseError, nearest

#: What stands where the input has nothing: black, its edge, or its mirror image.
FILLS = ("zeros", "border", "reflection")
#: Random boxes are drawn until one fits, ten times at most, as torchvision does.
ATTEMPTS = 10
#: Numbers a random box takes: whether it happens, areas, ratios, and two for its position.
BOX = 1 + 2 * ATTEMPTS + 2
#: Numbers taken for each image, by use: flip, crop, zoom, shear, rotation, translation, erasing. The first of
#: each decides whether the transform happens.
USES = (1, BOX, 2, 3, 2, 3, BOX)
DRAWS_PER_IMAGE = sum(USES)

Pair = tuple[float, float]
_PROBABILITIES = ("flip", "crop", "zoom", "shear", "rotation", "translation", "erasing")
_LIMITS = {  # least and greatest value of each field of `Augmentation`
    **dict.fromkeys((*_PROBABILITIES, "erasing_value"), (0, 1, "a number")),
    **dict.fromkeys(("crop_scale", "erasing_scale"), (1e-3, 1, "a range")),
    **dict.fromkeys(("crop_ratio", "erasing_ratio", "zoom_range"), (0.01, 100, "a range")),
    "shear_degrees": (0, 80, "a pair"),
    "rotation_degrees": (0, 180, "a number"),
    "translation_fraction": (0, 1, "a pair"),
}


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Which transforms an image gets, how often and how far; everything is off until asked for.

    `flip` to `erasing`, where a single number, are the probabilities with which an image gets the transform,
    by itself; 1.0 gives Keras-style ranges that are always on.

    Attributes:
        flip: horizontal flip.
        crop: random resized crop (Szegedy et al. 2015, as in torchvision): a box of `crop_scale` of the area,
            drawn uniformly, and width / height in `crop_ratio`, log-uniformly, stretched over the image.
        zoom: about the centre, by a factor in `zoom_range`; above 1 enlarges (in Keras it shrinks).
        shear: by up to `shear_degrees` along x, or a pair: along x and along y.
        rotation: by up to `rotation_degrees` either way.
        translation: by up to `translation_fraction` of width and height either way, not in whole pixels.
        erasing: random erasing (Zhong et al. 2020): a box of `erasing_scale` of the area, height / width in
            `erasing_ratio`, set to `erasing_value`.
        fill: what stands where the moved image leaves a gap: 'zeros' (black), 'border' or 'reflection'.

    Raises:
        FercourseError: a probability outside [0, 1], a range upside down or out of bounds, an unknown fill.
    """

    flip: float = 0.0
    crop: float = 0.0
    crop_scale: Pair = (0.5, 1.0)
    crop_ratio: Pair = (3 / 4, 4 / 3)
    zoom: float = 0.0
    zoom_range: Pair = (0.8, 1.2)
    shear: float = 0.0
    shear_degrees: float | Pair = 10.0
    rotation: float = 0.0
    rotation_degrees: float = 10.0
    translation: float = 0.0
    translation_fraction: Pair = (0.2, 0.2)
    erasing: float = 0.0
    erasing_scale: Pair = (0.02, 0.33)
    erasing_ratio: Pair = (0.3, 3.3)
    erasing_value: float = 0.0
    fill: str = "zeros"

    def __post_init__(self) -> None:
        for name, (low, high, kind) in _LIMITS.items():
            value = self.shear_pair if name == "shear_degrees" else getattr(self, name)
            values = list(value) if kind != "a number" and isinstance(value, tuple | list) else [value]
            good = all(isinstance(v, int | float) and low <= v <= high for v in values)
            good = good and len(values) == (1 if kind == "a number" else 2)
            if not good or (kind == "a range" and values != sorted(values)):
                raise FercourseError(f"{name}={value!r} is not {kind} from {low:g} to {high:g}.")
        if self.fill not in FILLS:
            hint = nearest(str(self.fill), FILLS)
            raise FercourseError(f"fill={self.fill!r} is not one of {', '.join(FILLS)}{hint}.")

    @property
    def shear_pair(self) -> Pair:
        """Greatest shear along x and along y, in degrees."""
        return self.shear_degrees if isinstance(self.shear_degrees, tuple | list) else (self.shear_degrees, 0)

    @property
    def moves(self) -> bool:
        """Whether anything but flip and crop can happen, so that places outside the image come into view."""
        return max(self.zoom, self.shear, self.rotation, self.translation) > 0


class Draws(NamedTuple):
    """What was drawn for each of B images: tensors (B,) or (B, k), float32 but for `flip`.

    An image that does not get a transform has its neutral value: scale 1, the whole image as its crop, ...
    """

    flip: Tensor  # (B,) bool
    crop: Tensor  # (B, 4) top, left, height, width in whole pixels
    scale: Tensor  # (B,) zoom factor
    shear: Tensor  # (B, 2) degrees along x and y
    angle: Tensor  # (B,) degrees counter-clockwise
    shift: Tensor  # (B, 2) pixels to the right and down
    erase: Tensor  # (B, 4) top, left, height, width in whole pixels


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
    if chosen.crop or chosen.moves:
        crop = crop_matrices(draws, size) if chosen.crop else None
        fill = chosen.fill if chosen.moves else "border"  # without a gap to fill, the quickest
        batch = resample(batch, frame_matrices(draws), crop, fill=fill)
    elif chosen.flip:
        batch = torch.where(draws.flip[:, None, None, None], batch.flip(-1), batch)
    return erase(batch, draws, chosen.erasing_value) if chosen.erasing else batch


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
    # torchvision counts the ratio of a crop as width / height and that of an erasure as height / width.
    erasing_ratio = (1 / a.erasing_ratio[1], 1 / a.erasing_ratio[0])
    # Where no attempt fits, a crop is the largest central box of a ratio in range, an erasure nothing.
    height = min(size, round(size / a.crop_ratio[0]))
    width = min(size, round(size * a.crop_ratio[1]))
    central = ((size - height) // 2, (size - width) // 2, height, width)
    boxes = _boxes(crop[:, 1:], size, size, a.crop_scale, a.crop_ratio, central)
    erased = _boxes(erasing[:, 1:], size, size - 1, a.erasing_scale, erasing_ratio, (0, 0, 0, 0))
    scale = a.zoom_range[0] + zoom[:, 1:] * (a.zoom_range[1] - a.zoom_range[0])
    angle = _either_way(rotation[:, 1:], (a.rotation_degrees,))
    reach = (a.translation_fraction[0] * size, a.translation_fraction[1] * size)
    return Draws(
        flip=flip[:, 0] < a.flip,
        crop=_rows_where(crop[:, 0] < a.crop, boxes, (0, 0, size, size)),
        scale=_rows_where(zoom[:, 0] < a.zoom, scale, (1,))[:, 0],
        shear=_rows_where(shear[:, 0] < a.shear, _either_way(shear[:, 1:], a.shear_pair), (0, 0)),
        angle=_rows_where(rotation[:, 0] < a.rotation, angle, (0,))[:, 0],
        shift=_rows_where(translation[:, 0] < a.translation, _either_way(translation[:, 1:], reach), (0, 0)),
        erase=_rows_where(erasing[:, 0] < a.erasing, erased, (0, 0, 0, 0)),
    )


def frame_matrices(draws: Draws) -> Tensor:
    """Return (B, 3, 3): from the output back through translation, rotation, shear, zoom and flip.

    Seen forwards, the (cropped) image is flipped first and translated last: without the flip, these are the
    inverses of torchvision's ``affine(angle=-angle, translate=shift, scale=scale, shear=shear)``.
    """
    one = torch.ones_like(draws.scale)
    side = one - 2 * draws.flip.to(one.dtype)
    shear_x, shear_y = torch.tan(torch.deg2rad(draws.shear)).unbind(1)
    angle = torch.deg2rad(draws.angle)
    cos, sin = torch.cos(angle), torch.sin(angle)
    return (
        _matrices(xx=side / draws.scale, yy=one / draws.scale)
        @ _matrices(xx=one, xy=shear_x, yy=one)
        @ _matrices(xx=one, yx=shear_y, yy=one)
        @ _matrices(xx=cos, xy=-sin, yx=sin, yy=cos)
        @ _matrices(xx=one, x=-draws.shift[:, 0], yy=one, y=-draws.shift[:, 1])
    )


def crop_matrices(draws: Draws, size: int) -> Tensor:
    """Return (B, 3, 3): from the cropped image, stretched to ``size``, to its place in the whole image."""
    top, left, height, width = draws.crop.unbind(1)
    x, y = left + (width - size) / 2, top + (height - size) / 2
    return _matrices(xx=width / size, x=x, yy=height / size, y=y)


def resample(images: Tensor, frame: Tensor, crop: Tensor | None = None, *, fill: str = "zeros") -> Tensor:
    """Resample a batch once, bilinearly, by each image's matrix ``crop @ frame``.

    Args:
        images: float, (B, C, S, S).
        frame: (B, 3, 3) of the images' dtype, as from `frame_matrices`.
        crop: (B, 3, 3), as from `crop_matrices`; None for the whole image.
        fill: one of `FILLS`, beginning at the edge of the crop, as if the image were cropped, then moved;
            zeros are mixed in over the pixel around that edge, as in grid_sample.

    Returns:
        As ``images``.
    """
    size = images.shape[-1]
    if crop is None:
        return _sample(images, _places(frame, size), fill)
    scale, centre = crop[:, (0, 1), (0, 1)][..., None, None], crop[:, :2, 2][..., None, None]
    if fill == "reflection":
        # Beyond its edge the frame is its own mirror image: a triangle wave, of period 2 frames.
        wave = (_places(frame, size) / size + 0.5).remainder(2)
        places = (0.5 - (1 - wave).abs()) * size * scale + centre
    else:
        places = _places(crop @ frame, size)
    # A crop is cut out before it is stretched: what lies beyond its outermost pixels is not mixed in.
    reach = (scale * size - 1) / 2
    batch = _sample(images, torch.clamp(places, centre - reach, centre + reach), "border")
    if fill == "zeros":
        # Bilinear weights among zeros: 1 up to the centre of the outermost pixel, 0 a pixel further.
        inside = ((size + 1) / 2 - _places(frame, size).abs()).clamp(0, 1)
        batch = batch * inside.prod(dim=1, keepdim=True)
    return batch


def erase(images: Tensor, draws: Draws, value: float = 0.0) -> Tensor:
    """Return images (B, C, S, S) with the box ``draws.erase`` of each set to ``value``."""
    top, left, height, width = draws.erase[..., None, None].unbind(1)
    x = torch.arange(images.shape[-1], device=images.device)
    y = x[:, None]
    box = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
    return images.masked_fill(box[:, None], value)


def _sample(images: Tensor, places: Tensor, fill: str) -> Tensor:
    """Sample at places (B, 2, S, S): x before y, in pixels from the centre."""
    grid = (places * (2 / images.shape[-1])).permute(0, 2, 3, 1)  # planes of x and y: quicker on a CPU
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=fill, align_corners=False)


def _places(matrices: Tensor, size: int) -> Tensor:
    """Return where each pixel of the output is seen: (B, 2, S, S), x before y, in pixels from the centre."""
    x = torch.arange(size, device=matrices.device, dtype=matrices.dtype) - (size - 1) / 2
    along_x, along_y, offset = matrices[:, :2, :, None, None].unbind(2)
    return along_x * x + (along_y * x[:, None] + offset)


def _matrices(*, xx: Tensor, yy: Tensor, **others: Tensor) -> Tensor:
    """Return (B, 3, 3) from entries (B,): x' = xx x + xy y + x, y' = yx x + yy y + y (0 if not given)."""
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    xy, x, yx, y = (others.get(name, zero) for name in ("xy", "x", "yx", "y"))
    return torch.stack((xx, xy, x, yx, yy, y, zero, zero, one), dim=1).unflatten(1, (3, 3))


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
    return _rows_where(fits.any(dim=1), torch.cat((corner, sides), dim=1), otherwise)


def _rows_where(condition: Tensor, rows: Tensor, otherwise: tuple[int, ...]) -> Tensor:
    """Return rows (B, k) where the condition (B,) holds, elsewhere k constants (without a host copy)."""
    columns = zip(rows.unbind(1), otherwise, strict=True)
    return torch.stack([torch.where(condition, column, float(value)) for column, value in columns], dim=1)


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
