"""Everything a drawn face depends on, as one row of numbers: who, which expression, how photographed.

Face units: half the width of an average head is 1, u runs to the right of the picture, v downward, the origin
between eyes and nose. An average head is 19 pixels a unit in a 48-pixel picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fercourse.data.synthetic.stream import Stream
from fercourse.data.synthetic.units import ACTION_UNITS
from fercourse.errors import FercourseError, nearest

#: Hair styles and head coverings, in the order of the parameter ``style``.
STYLES = (
    "bald",
    "cropped",
    "short",
    "fringe",
    "parted",
    "long",
    "bob",
    "tied",
    "curls",
    "headscarf",
    "turban",
    "hat",
)
_STYLE_WEIGHTS = (7, 12, 16, 8, 12, 12, 8, 7, 10, 4, 2, 2)
#: Beards, in the order of the parameter ``beard``.
BEARDS = ("none", "stubble", "full", "goatee", "moustache")
#: Glasses, in the order of the parameter ``glasses``.
GLASSES = ("none", "round", "square")

_IDENTITY = (
    "head_w", "head_h", "taper", "square", "eye_x", "eye_y", "eye_w", "eye_h", "eye_tilt", "iris_r",
    "iris_tone", "crease", "lashes", "brow_y", "brow_thick", "brow_slope", "brow_tone", "nose_l", "nose_w",
    "mouth_y", "mouth_w", "lip", "lip_tone", "mouth_curve", "age", "skin", "hair", "style", "volume",
    "hairline", "part", "beard", "glasses", "frame_tone", "cloth", "collar", "ears",
)  # fmt: skip
_PHOTOGRAPH = (
    "asym_brow", "asym_mouth", "gaze_x", "gaze_y", "yaw", "pitch", "roll", "scale", "shift_x", "shift_y",
    "light_x", "light_y", "gain", "back_tone", "back_slope", "noise", "noise_key", "blur", "occluder",
    "occ_x", "occ_y", "occ_turn", "occ_long", "occ_wide", "occ_tone",
)  # fmt: skip
#: Columns of a parameter table (float32, one row a face).
PARAMETERS = (*ACTION_UNITS, *_IDENTITY, *_PHOTOGRAPH)
COLUMN = {name: column for column, name in enumerate(PARAMETERS)}


@dataclass(frozen=True)
class Preset:
    """How hard the faces are to read; angles in radians, shifts in pixels of 48.

    Attributes:
        intensity: lowest and highest intensity of an expression.
        roll, yaw, pitch, scale, shift_x, shift_y, light_x, light_y, gain: standard deviations.
        noise, blur: lowest and highest (noise as a share of the grey range, blur in pixels).
        occlusion, glasses, beard: probabilities (of a beard, where the hair style admits one).
        resting: how far a face at rest resembles an expression (1 is the standard).
    """

    intensity: tuple[float, float]
    roll: float
    yaw: float
    pitch: float
    scale: float
    shift_x: float
    shift_y: float
    light_x: float
    light_y: float
    gain: float
    noise: tuple[float, float]
    blur: tuple[float, float]
    occlusion: float
    glasses: float
    beard: float
    resting: float


PRESETS = {
    "easy": Preset(
        intensity=(0.7, 1.0), roll=0.05, yaw=0.15, pitch=0.12, scale=0.03, shift_x=0.7, shift_y=0.6,
        light_x=0.12, light_y=0.07, gain=0.07, noise=(0.0, 0.02), blur=(0.0, 0.3), occlusion=0.0,
        glasses=0.12, beard=0.2, resting=0.5,
    ),
    "standard": Preset(
        intensity=(0.4, 1.0), roll=0.13, yaw=0.36, pitch=0.29, scale=0.065, shift_x=1.6, shift_y=1.3,
        light_x=0.2, light_y=0.12, gain=0.14, noise=(0.005, 0.035), blur=(0.0, 0.65), occlusion=0.15,
        glasses=0.15, beard=0.3, resting=1.0,
    ),
    "hard": Preset(
        intensity=(0.15, 0.8), roll=0.22, yaw=0.5, pitch=0.42, scale=0.1, shift_x=2.6, shift_y=2.2,
        light_x=0.34, light_y=0.2, gain=0.2, noise=(0.01, 0.08), blur=(0.2, 1.1), occlusion=0.35,
        glasses=0.25, beard=0.4, resting=1.5,
    ),
}  # fmt: skip


def preset_named(name: str) -> Preset:
    """Return the preset, or raise `FercourseError` that lists the ones there are."""
    if name not in PRESETS:
        raise FercourseError(
            f"No preset of drawn faces is called {name!r}{nearest(str(name), PRESETS)}. "
            f"Choose one of {', '.join(PRESETS)}."
        )
    return PRESETS[name]


def identity(stream: Stream, preset: Preset) -> dict[str, np.ndarray]:
    """Return the parameters of a person at rest (name -> float64 of shape (N,))."""
    s = stream
    style = s.choice("style", _STYLE_WEIGHTS)
    masculine = s.uniform("beard grows") < 0.5
    admits = (
        ~np.isin(style, [STYLES.index(name) for name in ("long", "bob", "tied", "headscarf")]) & masculine
    )
    beard = np.where(
        admits & (s.uniform("bearded") < 2.0 * preset.beard), 1 + s.choice("beard", (3, 3, 2, 2)), 0
    )
    skin = s.uniform("skin", 0.4, 0.84)
    # Hair is dark for most people, of any skin; light and grey hair stay apart from the skin's own tone.
    pale = s.uniform("pale hair") < 0.28
    hair = np.where(pale, s.uniform("hair tone", 0.36, 0.92), s.uniform("hair tone", 0.07, 0.26))
    hair = np.where(np.abs(hair - skin) < 0.12, skin - 0.2, hair)
    age = np.clip(s.normal("age", 0.35, 0.3), 0.0, 1.0)
    wide = np.where(masculine, 1.0, -1.0)
    return {
        "head_w": s.normal("head_w", 0.96, 0.04) + 0.015 * wide,
        "head_h": s.normal("head_h", 1.27, 0.05),
        "taper": np.clip(s.normal("taper", 0.25, 0.07) - 0.05 * wide, 0.08, 0.42),
        "square": np.clip(s.normal("square", 0.24, 0.08) + 0.06 * wide, 0.05, 0.45),
        "eye_x": s.normal("eye_x", 0.43, 0.022),
        "eye_y": s.normal("eye_y", -0.13, 0.028),
        "eye_w": s.normal("eye_w", 0.262, 0.012),
        "eye_h": s.normal("eye_h", 0.126, 0.012),
        "eye_tilt": s.normal("eye_tilt", -0.03, 0.05),
        "iris_r": s.normal("iris_r", 0.116, 0.005),
        "iris_tone": s.uniform("iris_tone", 0.1, 0.45),
        "crease": s.uniform("crease", 0.0, 1.0),
        "lashes": np.clip(s.normal("lashes", 0.5, 0.3) - 0.25 * wide, 0.0, 1.0),
        "brow_y": s.normal("brow_y", -0.47, 0.025),
        "brow_thick": np.clip(s.normal("brow_thick", 0.098, 0.018) + 0.012 * wide, 0.055, 0.15),
        "brow_slope": s.normal("brow_slope", 0.0, 0.026 * preset.resting),
        "brow_tone": s.uniform("brow_tone", 0.24, 0.44),
        "nose_l": s.normal("nose_l", 0.36, 0.03),
        "nose_w": s.normal("nose_w", 0.165, 0.02),
        "mouth_y": s.normal("mouth_y", 0.68, 0.025),
        "mouth_w": s.normal("mouth_w", 0.4, 0.032),
        "lip": np.clip(s.normal("lip", 0.082, 0.018) - 0.008 * wide, 0.04, 0.13),
        "lip_tone": s.uniform("lip_tone", 0.58, 0.8),
        "mouth_curve": s.normal("mouth_curve", 0.0, 0.018 * preset.resting),
        "age": age,
        "skin": skin,
        "hair": hair,
        "style": style,
        "volume": s.uniform("volume"),
        "hairline": s.normal("hairline", 0.0, 0.04),
        "part": np.where(s.uniform("side of the parting") < 0.5, -1.0, 1.0) * s.uniform("part", 0.15, 0.5),
        "beard": beard,
        "glasses": np.where(s.uniform("wears glasses") < preset.glasses, 1 + s.choice("glasses", (1, 1)), 0),
        "frame_tone": s.uniform("frame_tone", 0.05, 0.32),
        "cloth": s.uniform("cloth", 0.12, 0.9),
        "collar": s.choice("collar", (2, 2, 1)),
        "ears": s.normal("ears", 1.0, 0.1),
    }


def photograph(stream: Stream, preset: Preset) -> dict[str, np.ndarray]:
    """Return the parameters of one picture: pose, light, camera, what stands in the way (float64, (N,))."""
    s = stream
    return {
        "asym_brow": s.normal("asym_brow", 0.0, 0.12),
        "asym_mouth": s.normal("asym_mouth", 0.0, 0.12),
        "gaze_x": s.normal("gaze_x", 0.0, 0.022),
        "gaze_y": s.normal("gaze_y", 0.0, 0.01),
        "yaw": s.normal("yaw", 0.0, preset.yaw),
        "pitch": s.normal("pitch", 0.0, preset.pitch),
        "roll": s.normal("roll", 0.0, preset.roll),
        "scale": np.clip(s.normal("scale", 1.0, preset.scale), 0.75, 1.25),
        "shift_x": s.normal("shift_x", 0.0, preset.shift_x),
        "shift_y": s.normal("shift_y", 0.0, preset.shift_y),
        "light_x": s.normal("light_x", 0.0, preset.light_x),
        "light_y": s.normal("light_y", -0.06, preset.light_y),
        "gain": np.clip(s.normal("gain", 1.0, preset.gain), 0.7, 1.4),
        "back_tone": s.uniform("back_tone", 0.12, 0.92),
        "back_slope": s.normal("back_slope", 0.0, 0.12),
        "noise": s.uniform("noise", *preset.noise),
        "noise_key": s.bits("noise_key") >> np.uint64(40),  # 24 bits: exact in float32
        "blur": s.uniform("blur", *preset.blur),
        "occluder": np.where(
            s.uniform("occluded") < preset.occlusion, 1 + s.choice("occluder", (1, 1, 1)), 0
        ),
        "occ_x": s.normal("occ_x", 0.0, 0.6),
        "occ_y": s.uniform("occ_y", -0.7, 1.2),
        "occ_turn": s.uniform("occ_turn", -0.6, 0.6),
        "occ_long": s.uniform("occ_long", 0.6, 1.3),
        "occ_wide": s.uniform("occ_wide", 0.16, 0.3),
        "occ_tone": s.uniform("occ_tone", 0.15, 0.85),
    }


#: A calm portrait: straight on, evenly lit, nothing in the way. What `draw_faces` starts from.
STUDIO: dict[str, float] = {
    **dict.fromkeys(_PHOTOGRAPH, 0.0),
    "scale": 1.0, "gain": 1.0, "light_x": 0.1, "light_y": -0.08, "back_tone": 0.82, "back_slope": -0.06,
}  # fmt: skip


def table(units: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
    """Return the float32 parameter table (N, len(PARAMETERS)) of unit intensities and named values."""
    out = np.empty((len(units), len(PARAMETERS)), dtype=np.float32)
    out[:, : len(ACTION_UNITS)] = units
    for name in (*_IDENTITY, *_PHOTOGRAPH):
        out[:, COLUMN[name]] = values[name]
    return out
