"""What augmentation is asked for: a description that needs no torch, for `fercourse.augment` to carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fercourse.errors import FercourseError, nearest, shown

#: What stands where the input has nothing: black, its edge, or its mirror image.
FILLS = ("zeros", "border", "reflection")

Pair = tuple[float, float]
#: What makes a random resized crop a window of 44 of 48 pixels: 0.84 of the area, in a square.
WINDOW_44: dict[str, Any] = {"crop_scale": (0.84, 0.84), "crop_ratio": (1.0, 1.0)}
# Of each field: least and greatest value, how many numbers, and what it is called.
_LIMITS = {
    **dict.fromkeys(
        ("flip", "crop", "zoom", "shear", "rotation", "translation", "erasing"), (0, 1, 1, "a probability")
    ),
    **dict.fromkeys(("crop_scale", "erasing_scale"), (0, 1, 2, "a pair of areas, smaller first,")),
    **dict.fromkeys(("crop_ratio", "erasing_ratio"), (0.01, 100, 2, "a pair of ratios, smaller first,")),
    "zoom_range": (0.01, 100, 2, "a pair of factors, smaller first,"),
    "shear_degrees": (0, 80, 2, "an angle, or a pair of them,"),
    "rotation_degrees": (0, 180, 1, "an angle"),
    "translation_fraction": (0, 1, 2, "a pair of fractions"),
    "erasing_value": (0, 1, 1, "a grey value"),
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
        for name, (low, high, count, kind) in _LIMITS.items():
            value = getattr(self, name)
            values: Any = self.shear_pair if name == "shear_degrees" else value if count == 2 else (value,)
            good = isinstance(values, tuple | list) and len(values) == count
            good = good and all(isinstance(v, int | float) and low <= v <= high for v in values)
            if not good or ("smaller first" in kind and values[0] > values[1]):
                raise FercourseError(f"{name}={shown(value)} is not {kind} from {low:g} to {high:g}.")
        if self.fill not in FILLS:
            hint = nearest(shown(self.fill), FILLS)
            raise FercourseError(f"fill={shown(self.fill)} is not one of {', '.join(FILLS)}{hint}.")

    @property
    def shear_pair(self) -> Pair:
        """Greatest shear along x and along y, in degrees."""
        return self.shear_degrees if isinstance(self.shear_degrees, tuple | list) else (self.shear_degrees, 0)

    @property
    def moves(self) -> bool:
        """Whether anything but flip and crop can happen, so that places outside the image come into view."""
        return max(self.zoom, self.shear, self.rotation, self.translation) > 0
