"""Drawn faces with known ground truth: `synthetic_faces` for training, `draw_faces` for pictures."""

from fercourse.data.synthetic.dataset import DATA_VERSION, draw_faces, masks, portraits, synthetic_faces
from fercourse.data.synthetic.parameters import PARAMETERS, PRESETS
from fercourse.data.synthetic.render import PARTS, draw
from fercourse.data.synthetic.units import ACTION_UNITS, PROTOTYPES, UNIT_MEANINGS, emotion_units

__all__ = [
    "ACTION_UNITS", "DATA_VERSION", "PARAMETERS", "PARTS", "PRESETS", "PROTOTYPES", "UNIT_MEANINGS", "draw",
    "draw_faces", "emotion_units", "masks", "portraits", "synthetic_faces",
]  # fmt: skip
