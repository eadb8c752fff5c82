"""What a printed number stands for, and the words for what came of a claim."""

from __future__ import annotations

import math
from decimal import Decimal

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
BY_ITSELF = "contradicted by the paper itself"
BY_DATA = "contradicted by the data"
NOT_COMPARABLE = "not comparable"
NOT_DECIDABLE = "not decidable"
PENDING = "pending"

#: Every verdict and what it means, in the order in which they are shown.
VERDICTS = {
    REPRODUCED: "our measurement agrees with the claim",
    NOT_REPRODUCED: "our measurement speaks against the claim",
    BY_ITSELF: "the paper's own tables or arithmetic speak against the claim",
    BY_DATA: "the data set speaks against the claim",
    NOT_COMPARABLE: "measured on another machine, which is not known",
    NOT_DECIDABLE: "no measurement that we have, or that the claim allows, decides it",
    PENDING: "waits for records of trainings, or for times",
}


def printed_range(value: float | int, *, whole: bool = False) -> tuple[float, float]:
    """Return [low, high): every number that is printed as ``value``, rounded or cut after its last digit.

    Authors do both: among paper 1's accuracies are some that fit only as cut, and some only as rounded. So
    1.3 stands for 1.25 up to, but not including, 1.4.

    Args:
        value: as the paper prints it; its last digit is the last that ``repr`` shows.
        whole: it is a whole number whose last zeros are not meant, as in 'about 3500'.
    """
    number = Decimal(repr(value))
    if whole:
        digits = str(int(value))
        unit = Decimal(10) ** (len(digits) - len(digits.rstrip("0")))
    else:
        unit = Decimal(10) ** min(0, int(number.as_tuple().exponent))
    return float(number - unit / 2), float(number + unit)


def possible_share(value: float, n: int, digits: int = 4) -> bool:
    """Whether some whole number of ``n`` images, divided by n, is printed as ``value``, rounded or cut.

    The test of Brown and Heathers (2017), which they call GRIM, for accuracies of ``digits`` decimals.
    """
    low, high = value - 0.5 * 10**-digits, value + 10**-digits
    # A hair of room: 0.68545 as a float may lie on either side of itself.
    first = math.ceil((low - 1e-12) * n)
    return first / n < high - 1e-12


def overlap(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Whether two intervals have a number in common."""
    return first[0] <= second[1] and second[0] <= first[1]
