"""How much of the best trial's accuracy is luck: whoever wins among many has been lucky too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fercourse.errors import FercourseError

#: Standard errors of a difference within which two trials count as not told apart.
REACH = 2.0


@dataclass(frozen=True)
class Luck:
    """What chance does to the best of several accuracies on the same images; all are shares of 1.

    Attributes:
        images: how many images each accuracy was measured on.
        trials: how many accuracies there are.
        best: the greatest of them.
        error: the standard error of one accuracy as high as the best, sqrt(p (1 - p) / images).
        contenders: how many of the trials lie so near the best that the images cannot tell them apart.
        likely: by how much the best is expected to be above its own true accuracy, if the contenders are
            equally good in truth.
        most: the same, if all trials are.
    """

    images: int
    trials: int
    best: float
    error: float
    contenders: int
    likely: float
    most: float

    @property
    def expected(self) -> float:
        """The accuracy to expect of the best trial on as many fresh images."""
        return self.best - self.likely


def expected_maximum(count: int) -> float:
    """Return the mean of the greatest of ``count`` independent standard normal numbers.

    The integral of x times the greatest one's density, k phi(x) Phi(x)^(k - 1) (David & Nagaraja 2003,
    section 3.1), by the trapezoidal rule, which is exact to twelve digits here.

    Raises:
        FercourseError: a count below 1.
    """
    from scipy.special import log_ndtr

    if count < 1:
        raise FercourseError(f"The greatest of {count} numbers was asked for; expected 1 or more.")
    x = np.linspace(-12, 12, 4801)
    density = np.exp(math.log(count) - x**2 / 2 + (count - 1) * log_ndtr(x)) / math.sqrt(2 * math.pi)
    return float(np.trapezoid(x * density, x))


def luck_of(accuracies: Sequence[float], images: int) -> Luck:
    """Return how far the best of several accuracies, measured on the same images, is to be trusted.

    An accuracy of p on n images scatters by sqrt(p (1 - p) / n), whatever the network. Trials that lie below
    the best by at most two standard errors of a difference are its contenders: if they were equally good,
    the best of them would be above its true accuracy by the expected maximum of so many errors. The errors
    are taken as independent. Networks that see the same images share a part of theirs, which makes the true
    value smaller; the seed's own scatter, which is not counted, makes it larger.

    Args:
        accuracies: one a trial, shares from 0 to 1.
        images: images of val.

    Raises:
        FercourseError: no accuracy, one outside [0, 1], or no image.
    """
    sample = np.asarray(accuracies, dtype=np.float64)
    if not len(sample) or not ((sample >= 0) & (sample <= 1)).all() or images < 1:
        raise FercourseError(
            f"{len(sample)} accuracies on {images} images; expected shares from 0 to 1, and an image."
        )
    best = float(sample.max())
    error = math.sqrt(best * (1 - best) / images)
    contenders = int((sample >= best - REACH * math.sqrt(2) * error).sum())
    return Luck(
        images=images,
        trials=len(sample),
        best=best,
        error=error,
        contenders=contenders,
        likely=error * expected_maximum(contenders),
        most=error * expected_maximum(len(sample)),
    )
