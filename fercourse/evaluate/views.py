"""Test-time augmentation: the views of an image whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from fercourse.errors import FercourseError, nearest

if TYPE_CHECKING:
    from torch import Tensor

#: 'none': the image; 'flip': and its mirror image; 'ten-crop': four corners and the centre, and their mirror
#: images, as in AlexNet (Krizhevsky et al., 2012), here of 44 of 48 pixels.
TTA = ("none", "flip", "ten-crop")
#: Side of a crop as a share of the image's.
CROP = 44 / 48


def check_tta(tta: str) -> None:
    """Raise FercourseError unless ``tta`` is one of `TTA`."""
    if tta not in TTA:
        raise FercourseError(f"tta is {tta!r}; expected {', '.join(TTA)}{nearest(str(tta), TTA)}.")


def views(images: Tensor, tta: str = "none") -> list[Tensor]:
    """Return the views of a batch: 1, 2 or 10 tensors like ``images``, (B, C, S, S).

    A crop is stretched over the whole image, bilinearly: every network takes the size it was made for, and
    its features have the size of those of `fercourse.augmentation.WINDOW_44`.

    Raises:
        FercourseError: an unknown tta.
    """
    from torch.nn import functional as F

    check_tta(tta)
    if tta == "none":
        return [images]
    if tta == "flip":
        return [images, images.flip(-1)]
    size = images.shape[-1]
    side = round(CROP * size)
    last, middle = size - side, (size - side) // 2
    corners = [(0, 0), (0, last), (last, 0), (last, last), (middle, middle)]
    crops = [
        F.interpolate(
            images[..., top : top + side, left : left + side], size=(size, size), mode="bilinear",
            align_corners=False,
        )
        for top, left in corners
    ]  # fmt: skip
    return [view for crop in crops for view in (crop, crop.flip(-1))]


def averaged(network: Callable[[Tensor], Tensor], images: Tensor, tta: str = "none") -> Tensor:
    """Return the logits of a batch, float32 (B, K): with views, the logarithm of their mean probabilities.

    Softmax gives the mean back, so that every metric reads it as it reads logits.

    Raises:
        FercourseError: an unknown tta.
    """
    import torch

    found = [network(view).float() for view in views(images, tta)]
    if len(found) == 1:
        return found[0]
    return torch.stack([logits.log_softmax(-1) for logits in found]).logsumexp(0) - math.log(len(found))
