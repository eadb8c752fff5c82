"""What chapter 2 defines inline computes the same as what the package has."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
import torch
from inline import inline

from fercourse.augment import Draws, draw, frame_matrices, resample
from fercourse.augmentation import Augmentation

COMPARED = {"affine", "flip", "zoom", "move", "shear", "rotate", "warp"}


@pytest.fixture(scope="module")
def places() -> dict[str, Any]:
    return inline("02_preprocessing")


def forward(places: dict[str, Any], draws: Draws, image: int) -> torch.Tensor:
    """Return the chapter's matrix of one image's draws, from the input to the output."""
    steps = []
    if draws.flip is not None and draws.flip[image] < 0:
        steps.append(places["flip"]())
    if draws.zoom is not None:
        steps.append(places["zoom"](draws.zoom[image].item()))
    if draws.shear is not None:
        steps.append(places["shear"](draws.shear[image, 0].item()))
    if draws.angle is not None:
        steps.append(places["rotate"](draws.angle[image].item()))
    if draws.shift is not None:
        steps.append(places["move"](*draws.shift[image].tolist()))
    return reduce(lambda done, step: step @ done, steps)


@pytest.mark.parametrize("kind", ["flip", "zoom", "shear", "rotation", "translation", "all"])
def test_matrices_and_sampling_are_the_packages(places: dict[str, Any], kind: str) -> None:
    kinds = ("flip", "zoom", "shear", "rotation", "translation") if kind == "all" else (kind,)
    wanted = Augmentation(**dict.fromkeys(kinds, 1.0), rotation_degrees=40.0, shear_degrees=20.0)
    draws = draw(6, 48, wanted, generator=torch.Generator().manual_seed(1))
    frames = frame_matrices(draws)
    assert frames is not None
    images = torch.rand(6, 1, 48, 48, generator=torch.Generator().manual_seed(2))
    packaged = resample(images, frames, None)
    for image in range(6):
        matrix = forward(places, draws, image)
        torch.testing.assert_close(torch.linalg.inv(matrix), frames[image], rtol=1e-4, atol=1e-4)
        ours = places["warp"](images[image : image + 1], matrix)[0]
        torch.testing.assert_close(ours, packaged[image], rtol=1e-3, atol=1e-3)


def test_affine_is_the_matrix_of_its_numbers(places: dict[str, Any]) -> None:
    matrix = places["affine"](xx=2.0, xy=3.0, x=4.0, yx=5.0, yy=6.0, y=7.0)
    assert matrix.tolist() == [[2.0, 3.0, 4.0], [5.0, 6.0, 7.0], [0.0, 0.0, 1.0]]
    assert torch.equal(places["affine"](), torch.eye(3))
