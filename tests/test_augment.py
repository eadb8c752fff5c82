"""Augmentation against torchvision, one transform at a time, and what its random numbers promise."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import RandomErasing, RandomResizedCrop
from torchvision.transforms import functional as tv

from fercourse.augment import (
    DRAWS_PER_IMAGE,
    FILLS,
    Augmentation,
    Draws,
    augment,
    crop_matrices,
    draw,
    erase,
    frame_matrices,
    resample,
    to_float,
)
from fercourse.errors import FercourseError

SIZE = 48
BILINEAR = tv.InterpolationMode.BILINEAR
EVERYTHING = {name: 1.0 for name in ("crop", "zoom", "shear", "rotation", "translation", "erasing")}


@pytest.fixture
def noise() -> torch.Tensor:
    """Eight images of independent pixels: any misplaced sample shows."""
    return torch.rand((8, 1, SIZE, SIZE), dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.randint(0, 256, (8, SIZE, SIZE), generator=torch.Generator().manual_seed(2)).to(torch.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def difference(ours: torch.Tensor, theirs: list[torch.Tensor]) -> float:
    """Greatest difference over all images, all pixels, borders included."""
    return float((ours - torch.stack(theirs)).abs().max())


def test_crop_and_resize_is_torchvisions(noise):
    boxes = [(0, 0, 48, 48), (0, 0, 34, 34), (14, 14, 34, 34), (3, 7, 40, 29), (20, 0, 28, 48), (0, 5, 48, 1),
             (47, 47, 1, 1), (1, 1, 46, 46)]  # fmt: skip
    draws = Draws(crop=torch.tensor(boxes, dtype=torch.float64))
    theirs = [
        tv.resized_crop(image, *box, [SIZE, SIZE], BILINEAR, antialias=False)
        for image, box in zip(noise, boxes, strict=True)
    ]
    for fill in FILLS:
        ours = resample(noise, frame_matrices(draws), crop_matrices(draws, SIZE), fill=fill)
        assert difference(ours, theirs) < 1e-10, fill


def test_rotation_is_torchvisions(noise):
    angles = [0.0, 10.0, -10.0, 33.3, 90.0, 180.0, -0.5, 45.0]
    draws = Draws(angle=torch.tensor(angles, dtype=torch.float64)[:, None])
    ours = resample(noise, frame_matrices(draws), None)
    # torchvision builds its grid in float32 only if asked for float32 images.
    theirs = [tv.rotate(image, angle, BILINEAR) for image, angle in zip(noise, angles, strict=True)]
    assert difference(ours, theirs) < 1e-10


@pytest.mark.parametrize("transform", ["shift", "zoom", "shear", "all at once"])
def test_affine_is_torchvisions(noise, transform):
    def numbers(low: float, high: float, columns: int, seed: int) -> torch.Tensor:
        drawn = torch.rand((8, columns), dtype=torch.float64, generator=generator(seed))
        return low + (high - low) * drawn

    given = {
        "shift": numbers(-20, 20, 2, 1),
        "zoom": numbers(0.5, 2, 1, 2),
        "shear": numbers(-30, 30, 2, 3),
        "angle": numbers(-180, 180, 1, 4),
    }
    if transform != "all at once":
        given = {transform: given[transform]}
    draws = Draws(**given)
    ours = resample(noise, frame_matrices(draws), None)
    theirs = [
        tv.affine(
            image,
            angle=-float(given["angle"][k]) if "angle" in given else 0.0,
            translate=given["shift"][k].tolist() if "shift" in given else [0, 0],
            scale=float(given["zoom"][k]) if "zoom" in given else 1.0,
            shear=given["shear"][k].tolist() if "shear" in given else [0.0, 0.0],
            interpolation=BILINEAR,
        )
        for k, image in enumerate(noise)
    ]
    assert difference(ours, theirs) < 1e-10
