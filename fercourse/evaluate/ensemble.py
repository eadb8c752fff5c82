"""Networks that answer together: which of them belong, decided on val, and what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fercourse.errors import FercourseError
from fercourse.evaluate.metrics import checked_classes

#: Picks that are tried: the hundredth of a hundred changes little.
MOST_PICKS = 100
#: What is recorded as the rule of membership.
RULE = (
    "greedy forward selection with replacement by log-likelihood on val, the likeliest of all of up "
    f"to {MOST_PICKS} picks (Caruana et al., 2004)"
)
#: Nats by which likelihoods must differ to be told apart: sums of floats differ by less.
_EQUAL = 1e-9


@dataclass(frozen=True)
class Selection:
    """Who belongs to an ensemble.

    Attributes:
        picks: names in the order in which they were picked; one picked twice weighs double.
        nll: negative log-likelihood on val, in nats an image, after each pick.
    """

    picks: tuple[str, ...]
    nll: tuple[float, ...]

    @property
    def weights(self) -> dict[str, int]:
        """How often each member was picked, the first one first."""
        return dict(Counter(self.picks))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return log probabilities, float64, of logits (..., K)."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def ensemble_logits(members: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return the logarithm of the weighted mean of the members' probabilities: float32, (N, K).

    Softmax gives the mean back, so that every metric reads it as it reads logits.

    Args:
        members: logits, (N, K) each.
        weights: a weight a member, above 0.
    """
    shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    mean = sum(share * np.exp(log_softmax(each)) for share, each in zip(shares, members, strict=True))
    return np.log(np.maximum(mean, 1e-30)).astype(np.float32)


def select_members(
    candidates: Mapping[str, np.ndarray], labels: np.ndarray, *, most: int = MOST_PICKS
) -> Selection:
    """Return who belongs to the ensemble with the greatest likelihood on val that greedy picking finds.

    Beginning with nobody, the candidate is added that makes the mean of probabilities most likely, ``most``
    times; one may be picked again, which gives it more weight. Of the ensembles on the way, the most likely
    one is taken, the smallest of equals. It does not end at the first pick that does not help: beside one
    strong network an equal share of a weak one may hurt, and a third of it help. Of equal candidates, the
    first by name is picked, so that the same candidates give the same ensemble.

    Args:
        candidates: names to logits on val, (N, 7).
        labels: int (N,), 0 to 6.

    Raises:
        FercourseError: no candidate, or logits of another number of images.
    """
    if not candidates:
        raise FercourseError("An ensemble needs at least one candidate.")
    for name, logits in candidates.items():
        if logits.shape != (len(labels), 7):
            raise FercourseError(
                f"The logits of {name} have shape {logits.shape}; expected ({len(labels)}, 7)."
            )
    (labels,) = checked_classes(labels=labels)
    # Of every candidate, the probability of each image's own label is all that the likelihood asks for.
    right = {
        name: np.exp(log_softmax(candidates[name]))[np.arange(len(labels)), labels]
        for name in sorted(candidates)
    }
    total, picks, course = np.zeros(len(labels)), list[str](), list[float]()
    while len(picks) < most:
        found = {
            name: float(-np.log(np.maximum((total + own) / (len(picks) + 1), 1e-30)).mean())
            for name, own in right.items()
        }
        name = min(found, key=lambda each: round(found[each] / _EQUAL))
        total += right[name]
        picks.append(name)
        course.append(found[name])
    length = 1 + next(place for place, nll in enumerate(course) if nll <= min(course) + _EQUAL)
    return Selection(tuple(picks[:length]), tuple(course[:length]))
