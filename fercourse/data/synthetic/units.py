"""Facial action units, and which of them make an expression.

Units are those of the Facial Action Coding System (Ekman and Friesen 1978); the combinations follow EMFACS
(Friesen and Ekman 1983), adjusted until 48 pixels show them. Intensities run from 0 (at rest) to 1.
"""

from __future__ import annotations

import numpy as np

from fercourse.data.faces import EMOTIONS
from fercourse.data.synthetic.stream import Stream
from fercourse.errors import FercourseError, nearest

#: Names of the columns of ``truth['units']`` and what each unit does.
UNIT_MEANINGS = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU5": "upper lid raiser",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU10": "upper lip raiser",
    "AU12": "lip corner puller",
    "AU15": "lip corner depressor",
    "AU17": "chin raiser",
    "AU20": "lip stretcher",
    "AU23": "lip tightener",
    "AU25": "lips part",
    "AU26": "jaw drop",
}
ACTION_UNITS = tuple(UNIT_MEANINGS)
#: Greatest intensity that is drawn; 1 is the full action.
LIMIT = 1.2

#: Ways to show each emotion: (probability, {unit: intensity}).
PROTOTYPES: dict[str, tuple[tuple[float, dict[str, float]], ...]] = {
    "angry": (
        (0.6, {"AU4": 1, "AU5": 0.55, "AU7": 0.6, "AU23": 1, "AU17": 0.3}),
        (0.4, {"AU4": 1, "AU5": 0.5, "AU7": 0.6, "AU9": 0.15, "AU10": 0.35, "AU25": 0.8, "AU20": 0.3}),
    ),
    "disgust": (
        (0.6, {"AU9": 1, "AU10": 0.9, "AU4": 0.45, "AU7": 0.7, "AU17": 0.4, "AU6": 0.3}),
        (0.4, {"AU9": 0.95, "AU10": 1, "AU4": 0.4, "AU7": 0.7, "AU15": 0.5, "AU25": 0.5, "AU6": 0.3}),
    ),
    "fear": (
        (0.6, {"AU1": 1, "AU2": 0.45, "AU4": 0.75, "AU5": 1, "AU20": 1, "AU25": 0.8, "AU26": 0.3}),
        (0.4, {"AU1": 1, "AU2": 0.5, "AU4": 0.7, "AU5": 1, "AU20": 1, "AU25": 0.7, "AU26": 0.5}),
    ),
    "happy": (
        (0.65, {"AU6": 0.8, "AU12": 1, "AU25": 0.9}),
        (0.25, {"AU6": 0.7, "AU12": 1}),
        (0.1, {"AU6": 0.9, "AU12": 1, "AU25": 1, "AU26": 0.55}),
    ),
    "sad": (
        (0.5, {"AU1": 1, "AU4": 0.55, "AU15": 1, "AU17": 0.6}),
        (0.5, {"AU1": 1, "AU4": 0.6, "AU15": 0.95, "AU17": 0.1, "AU7": 0.25}),
    ),
    "surprise": (
        (0.75, {"AU1": 1, "AU2": 1, "AU5": 0.9, "AU26": 1, "AU25": 0.6}),
        (0.25, {"AU1": 1, "AU2": 1, "AU5": 1, "AU26": 0.65, "AU25": 0.5}),
    ),
    "neutral": ((1.0, {}),),
}


def emotion_units(emotion: str, *, variant: int = 0, intensity: float = 1.0) -> dict[str, float]:
    """Return the action units of one way to show ``emotion``, scaled by ``intensity``.

    Args:
        emotion: a name in `EMOTIONS`.
        variant: which of the emotion's `PROTOTYPES`, from 0 (the commonest).
        intensity: 0 gives a face at rest, 1 the full expression.

    Raises:
        FercourseError: there is no such emotion or variant.
    """
    if emotion not in PROTOTYPES:
        raise FercourseError(
            f"No emotion is called {emotion!r}{nearest(str(emotion), EMOTIONS)}. "
            f"Choose one of {', '.join(EMOTIONS)}."
        )
    ways = PROTOTYPES[emotion]
    if not 0 <= variant < len(ways):
        raise FercourseError(f"Emotion {emotion!r} has variants 0 to {len(ways) - 1}, not {variant}.")
    return {unit: value * intensity for unit, value in ways[variant][1].items()}


def sample_units(stream: Stream, labels: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Return float64 unit intensities of shape (N, 15) for faces with these classes and intensities.

    Each unit is the prototype's value times the intensity, varied by 12%, plus the small movement that a face
    at rest has too. A unit that does not define the expression is missing in 8% of the faces.
    """
    table = np.zeros((len(EMOTIONS), 3, len(ACTION_UNITS)))
    variant = np.zeros(len(labels), dtype=np.int64)
    for place, emotion in enumerate(EMOTIONS):
        ways = PROTOTYPES[emotion]
        for number, (_, values) in enumerate(ways):
            for unit, value in values.items():
                table[place, number, ACTION_UNITS.index(unit)] = value
        chosen = stream.choice("variant", tuple(probability for probability, _ in ways))
        variant = np.where(labels == place, chosen, variant)
    value = table[labels, variant]
    units = np.empty_like(value)
    for column, unit in enumerate(ACTION_UNITS):
        defining = value[:, column] >= 0.95
        if unit == "AU26":  # a surprised mouth that stays shut is not read as surprise
            defining = defining | (labels == EMOTIONS.index("surprise"))
        kept = defining | (stream.uniform(f"{unit} kept") >= 0.08)
        varied = value[:, column] * intensity * (1.0 + stream.normal(f"{unit} strength", 0.0, 0.12))
        units[:, column] = varied * kept + np.abs(stream.normal(f"{unit} idle", 0.0, 0.04))
    return np.clip(units, 0.0, LIMIT)
