"""Eyes, brows, nose and mouth, and how action units move them.

Every function paints one part on a `Patch`; the numbers are displacements in face units at intensity 1.
"""

from __future__ import annotations

import numpy as np

from fercourse.data.synthetic.canvas import Patch, blend, fill, line, mark, ridge, smooth, soft
from fercourse.data.synthetic.head import Rows


def paint_socket(patch: Patch, p: Rows, side: int) -> None:
    """Shade the eye socket and the fold under the eye (AU6, AU7)."""
    x, y = patch.u * side - p["eye_x"], patch.v - p["eye_y"]
    mark(patch.grey, soft((x + 0.03) ** 2 * 7.0 + (y + 0.06) ** 2 * 16.0), 0.17)
    fold = 0.14 + 0.5 * p["AU6"] + 0.2 * p["AU7"] + 0.22 * p["age"]
    arc = ridge(y - 0.2 + x * x * 0.9 + 0.03 * p["AU6"], 0.055) * smooth(-0.27, 0.12, -np.abs(x))
    mark(patch.grey, arc, np.minimum(fold, 0.6) * 0.62)
    crow = ridge(np.abs(y - 0.02) - (x - 0.2) * 0.45, 0.035) * ridge(x - 0.4, 0.13)
    # A raised brow folds the forehead above it.
    lines = ridge(y + 0.64, 0.03) + ridge(y + 0.53, 0.03)
    lines *= smooth(-0.3, 0.3, -np.abs(x + 0.1))
    mark(patch.grey, lines, np.minimum(p["AU1"], p["AU2"]) * (0.12 + 0.22 * p["age"]))
    mark(patch.grey, crow, p["AU6"] * 0.4 * (0.5 + p["age"]))


def paint_eye(patch: Patch, p: Rows, side: int) -> None:
    """Paint one eye: white, iris, pupil, highlight, lids and lashes (AU5, AU6, AU7, AU9)."""
    x, y = patch.u * side - p["eye_x"], patch.v - p["eye_y"]
    y = y + p["eye_tilt"] * x
    t = x / p["eye_w"]
    bow = 1.0 - t * t
    upper_half = p["eye_h"] * 0.9 * (1.0 + 0.75 * p["AU5"]) * (1.0 - 0.38 * p["AU7"]) * (1.0 - 0.3 * p["AU9"])
    lower_half = (
        p["eye_h"] * 0.82 * (1.0 - 0.45 * p["AU7"]) * (1.0 - 0.6 * p["AU6"]) * (1.0 + 0.15 * p["AU5"])
    )
    lower_half = np.maximum(lower_half * (1.0 - 0.25 * p["AU9"]), 0.012)
    # The upper lid is highest nearer the nose, the lower lid lowest nearer the temple: an almond, not a lens.
    upper = y + upper_half * bow * (1.0 - 0.18 * t) - 0.02 * p["AU6"] + 0.012 * p["AU4"]
    lower = lower_half * bow * (1.0 + 0.22 * t) - y - 0.02 * p["AU6"]
    above, below = fill(-upper, patch.ip), fill(-lower, patch.ip)
    ends = np.clip((1.0 - np.abs(t)) * p["eye_w"] * patch.ip + 0.5, 0.0, 1.0)
    open_ = above * below * ends
    white = (0.72 + 0.26 * p["skin"]) * (1.0 - 0.3 * ridge(upper, 0.09)) - 0.1 * t * t
    blend(patch.grey, open_, white)
    ix, iy = x - p["gaze_x"] * side, y - p["gaze_y"] - 0.004
    radius = np.sqrt(ix * ix + iy * iy)
    iris = fill(radius - p["iris_r"], patch.ip) * open_
    ring = p["iris_tone"] * (0.65 + 0.9 * soft((ix * ix + (iy - 0.05) ** 2) * 90.0))
    blend(patch.grey, iris, ring)
    blend(patch.grey, line(radius - p["iris_r"] + 0.01, 0.025, patch.ip) * open_, 0.07)
    blend(patch.grey, fill(radius - 0.5 * p["iris_r"], patch.ip) * open_, 0.04)
    gx, gy = ix + 0.045 * side, iy + 0.045
    blend(patch.grey, fill(np.sqrt(gx * gx + gy * gy) - 0.034, patch.ip) * open_, 0.97)
    # Lid lines: the upper is heavy and passes the outer corner, the lower hardly there.
    reach = np.clip((1.12 + 0.12 * p["lashes"] - t) * 4.0, 0.0, 1.0) * np.clip((t + 1.08) * 5.0, 0.0, 1.0)
    lid = line(upper + 0.012, 0.05 + 0.022 * p["lashes"], patch.ip) * reach
    blend(patch.grey, lid, 0.06 + 0.1 * p["skin"])
    low = line(lower, 0.03, patch.ip) * ends
    mark(patch.grey, low, 0.42)
    crease = ridge(upper + 0.085 + 0.03 * p["AU5"], 0.032) * ends
    mark(patch.grey, crease, 0.16 + 0.2 * p["crease"])


def paint_brow(patch: Patch, p: Rows, side: int) -> None:
    """Paint one eyebrow (AU1 raises its inner end, AU2 the outer, AU4 lowers and draws it inward)."""
    lean = 1.0 + p["asym_brow"] * side
    au1, au2, au4 = p["AU1"] * lean, p["AU2"] * lean, p["AU4"]
    start = 0.14 - 0.045 * au4 + 0.01 * p["AU1"]
    s = (patch.u * side - start) * (1.0 / 0.6)
    inner = np.maximum(1.0 - s, 0.0)
    inner = inner * inner
    inner_lift = -0.215 * au1 + 0.225 * au4 * (1.0 - 0.78 * np.minimum(au1, 1.0)) + 0.05 * p["AU9"]
    outer_lift = -0.2 * au2 + 0.03 * au4 + 0.02 * p["AU9"] + 0.015 * p["AU1"]
    arch = 0.16 * s * (1.0 - s) * (1.0 + 0.5 * au2)
    middle = (
        p["brow_y"]
        + inner * inner_lift
        + (1.0 - inner) * outer_lift
        - arch
        + p["brow_slope"] * (1.0 - 2.0 * s)
    )
    middle = middle + 0.05 * s * s
    thick = p["brow_thick"] * (1.0 - 0.5 * np.clip(s, 0.0, 1.0)) * (0.8 + 0.2 * np.clip(s * 5.0, 0.0, 1.0))
    ends = np.clip(s * 6.0 + 0.5, 0.0, 1.0) * np.clip((1.0 - s) * 7.0 + 0.4, 0.0, 1.0)
    cover = fill(np.abs(patch.v - middle) - thick * 0.5, patch.ip) * ends
    dark = np.minimum(p["skin"] * p["brow_tone"], p["hair"] + 0.12)
    blend(patch.grey, cover * 0.94, dark)


def paint_nose(patch: Patch, p: Rows) -> None:
    """Paint the nose (AU9 lifts and widens it)."""
    u, v = patch.u, patch.v
    across = np.abs(u)
    wrinkle = p["AU9"]
    tip = p["eye_y"] + p["nose_l"] + 0.16 - 0.08 * wrinkle
    wide = p["nose_w"] * (1.0 + 0.22 * wrinkle + 0.1 * p["AU10"] + 0.06 * p["AU12"])
    # Bridge: one flank in shade, the ridge lit.
    along = smooth(p["eye_y"] + 0.02, 0.3, v) * smooth(-tip, 0.2, -v)
    flank = ridge(u - 0.11 * (1.0 + 0.6 * along), 0.1) - ridge(u + 0.11 * (1.0 + 0.6 * along), 0.1)
    mark(patch.grey, flank * along, 0.6 * p["light_x"] * -1.0)
    mark(patch.grey, ridge(across - 0.13 - 0.04 * along, 0.08) * along, 0.1)
    mark(patch.grey, ridge(u, 0.07) * along, -0.1)
    mark(patch.grey, soft(u * u * 90.0 + (v - tip + 0.05) ** 2 * 90.0), -0.16)
    mark(patch.grey, soft(u * u * 11.0 + (v - tip - 0.12) ** 2 * 60.0), 0.24)
    wx, wy = (across - wide) * 1.0, v - tip + 0.01
    wing = ridge(np.sqrt(wx * wx + wy * wy) - 0.06, 0.035) * smooth(0.0, 0.06, across - wide + 0.02)
    mark(patch.grey, wing, 0.2 + 0.2 * wrinkle)
    nx, ny = (across - wide * 0.5) / (0.36 * wide), (v - tip - 0.035 + across * 0.12) / 0.03
    nostril = fill((np.sqrt(nx * nx + ny * ny) - 1.0) * 0.04, patch.ip)
    mark(patch.grey, nostril, 0.5)
    base = ridge(v - tip - 0.06 + across * 0.14, 0.035) * smooth(-wide - 0.02, 0.08, -across)
    mark(patch.grey, base, 0.2)


def paint_furrows(patch: Patch, p: Rows) -> None:
    """Paint the furrows between the brows (AU4, less where AU1 smooths them) and across the nose (AU9)."""
    across, v = np.abs(patch.u), patch.v
    root = p["brow_y"] + 0.12
    glabella = ridge(across - 0.06 - 0.05 * (v - root), 0.034) * ridge(v - root - 0.02, 0.2)
    depth = 0.55 * np.minimum(p["AU4"], 1.0) * (1.0 - 0.45 * np.minimum(p["AU1"], 1.0))
    mark(patch.grey, np.minimum(glabella * 1.3, 1.0), depth)
    bridge = v - p["eye_y"] - 0.02 + across * 0.8
    stripes = ridge(bridge, 0.042) + ridge(bridge - 0.12, 0.042) + ridge(bridge + 0.12, 0.042)
    mark(patch.grey, stripes * smooth(-0.24, 0.1, -across), 0.55 * np.minimum(p["AU9"], 1.0))


def paint_cheeks(patch: Patch, p: Rows) -> None:
    """Paint cheeks (AU6, AU12) and the folds from the nose to the mouth's corners (AU9, AU10, AU12)."""
    across, v = np.abs(patch.u), patch.v
    raised = np.minimum(0.7 * p["AU6"] + 0.5 * p["AU12"], 1.2)
    apple = soft((across - 0.56) ** 2 * 11.0 + (v - 0.27 + 0.06 * raised) ** 2 * 18.0)
    mark(patch.grey, apple, -0.03 - 0.11 * raised)
    mark(patch.grey, soft((across - 0.68) ** 2 * 14.0 + (v - 0.52) ** 2 * 9.0), 0.05 + 0.06 * raised)
    start = p["eye_y"] + p["nose_l"] + 0.1
    s = (v - start) * (1.0 / 0.42)
    pull = p["AU12"] * 0.2 + p["AU10"] * 0.05 + p["AU20"] * 0.06
    path = p["nose_w"] + 0.06 + s * (0.2 + pull) - 0.1 * s * s + s * (1.0 - s) * 0.95 * p["AU12"]
    fold = ridge(across - path, 0.055) * np.clip(s * 5.0, 0.0, 1.0) * np.clip((0.85 - s) * 2.2, 0.0, 1.0)
    depth = 0.05 + 0.16 * p["age"] + 0.28 * p["AU10"] + 0.2 * p["AU12"] + 0.16 * p["AU9"]
    mark(patch.grey, fold, np.minimum(depth, 0.42))


class Mouth:
    """The curves of every mouth on a patch: middle, opening and the lips' edges, moved by action units."""

    def __init__(self, patch: Patch, p: Rows) -> None:
        names = ("AU10", "AU12", "AU15", "AU17", "AU20", "AU23", "AU25", "AU26")
        self.au = au = {unit: np.minimum(p[unit], 1.15) for unit in names}
        for unit in ("AU25", "AU26"):  # lips at rest stay closed
            au[unit] = np.maximum(au[unit] - 0.12, 0.0) * (1.0 / 0.88)
        round_ = 1.0 - np.minimum(au["AU12"], 1.0)  # a jaw drops to a round mouth, unless it smiles
        stretch = 0.28 * au["AU12"] + 0.3 * au["AU20"] - 0.34 * au["AU26"] * (0.2 + 0.8 * round_)
        self.width = p["mouth_w"] * (1.0 + stretch - 0.12 * au["AU23"] - 0.08 * au["AU17"])
        self.t = patch.u / self.width
        self.within = np.clip(self.t, -1.15, 1.15)
        self.squared = self.within * self.within
        self.bow = np.maximum(1.0 - self.squared, 0.0)
        self.bend = p["mouth_curve"] - 0.31 * au["AU12"] + 0.26 * au["AU15"]
        centre = p["mouth_y"] + self.bend * (1.0 + p["asym_mouth"] * self.within) * (self.squared - 0.25)
        boxy = np.minimum(0.75 * au["AU10"] + 0.85 * au["AU20"], 1.0)
        arch = self.bow * (1.0 + np.minimum(boxy + 0.6 * au["AU26"] * round_, 1.0) * self.squared)
        self.centre = centre - 0.09 * au["AU17"] * self.bow - 0.15 * au["AU10"] * arch
        self.opening = 0.13 * au["AU25"] * (1.0 + 0.45 * au["AU12"]) + 0.05 * au["AU10"] + 0.4 * au["AU26"]
        self.top = self.centre - self.opening * (0.34 - 0.16 * au["AU12"]) * arch
        self.bottom = self.centre + self.opening * (0.66 + 0.16 * au["AU12"]) * arch
        self.thin = (1.0 - 0.75 * au["AU23"]) * (1.0 - 0.2 * au["AU20"]) * (1.0 - 0.12 * au["AU12"])
        dip = np.maximum(1.0 - 22.0 * self.squared, 0.0)
        self.upper_edge = self.top - p["lip"] * self.thin * self.bow * (1.0 - 0.28 * dip) - 0.008
        self.lower_edge = self.bottom + p["lip"] * 1.25 * self.thin * self.bow + 0.008


def paint_chin(patch: Patch, mouth: Mouth) -> None:
    """Shade below the lower lip, and the arc of a chin pushed up (AU17)."""
    below = patch.v - mouth.lower_edge - 0.055
    mark(patch.grey, soft((below * below) * 130.0) * np.maximum(1.0 - 1.8 * mouth.squared, 0.0), 0.2)
    arc = ridge(patch.v - mouth.lower_edge - 0.12 - 0.35 * mouth.squared, 0.045)
    mark(patch.grey, arc * np.maximum(1.0 - 1.3 * mouth.squared, 0.0), 0.42 * mouth.au["AU17"])


def paint_mouth(patch: Patch, p: Rows, mouth: Mouth) -> None:
    """Paint lips, opening, tongue and teeth."""
    v, ip, au, squared, opening = patch.v, patch.ip, mouth.au, mouth.squared, mouth.opening
    ends = np.clip((1.0 - np.abs(mouth.t)) * mouth.width * ip + 0.5, 0.0, 1.0)
    lips = fill(mouth.upper_edge - v, ip) * fill(v - mouth.lower_edge, ip) * ends
    glow = ridge(v - mouth.bottom - p["lip"] * 0.6, 0.05) * np.maximum(1.0 - 2.2 * squared, 0.0)
    shade = 0.84 + 0.2 * fill(mouth.centre - v, ip) + 0.24 * glow * mouth.thin
    blend(patch.grey, lips, p["lip_tone"] * p["skin"] * shade)
    inside = fill(mouth.top - v, ip) * fill(v - mouth.bottom, ip) * ends * np.minimum(opening * 30.0, 1.0)
    tongue = soft(squared * 1.6 + ((v - mouth.bottom) * (1.0 / 0.2)) ** 2)
    blend(patch.grey, inside, 0.07 + 0.22 * tongue * np.minimum(opening * 2.5, 1.0))
    # Upper teeth fill a smile and edge an open mouth; stretched lips (AU20) show the lower ones too.
    shown = np.minimum(0.11 * au["AU12"] + 0.085 * au["AU10"] + 0.05 * au["AU20"] + 0.03, 0.16)
    teeth = inside * fill(v - mouth.top - shown * (0.35 + 0.65 * mouth.bow), ip)
    low = inside * fill(mouth.bottom - 0.1 * au["AU20"] * mouth.bow - v, ip)
    low *= np.minimum(au["AU20"] * 1.6, 1.0)
    gaps = 1.0 - 0.1 * ridge(np.abs(mouth.within * 4.0 - np.floor(mouth.within * 4.0) - 0.5) - 0.5, 0.12)
    blend(patch.grey, np.maximum(teeth, low), (0.66 + 0.3 * p["skin"]) * (1.0 - 0.25 * squared) * gaps)
    seam = line(v - mouth.centre, 0.05, ip) * ends
    mark(patch.grey, seam, 0.68 * (1.0 - np.minimum(opening * 9.0, 1.0)))
    cx, cy = (np.abs(mouth.t) - 1.0) * mouth.width, v - p["mouth_y"] - 0.75 * mouth.bend
    mark(patch.grey, soft((cx * cx + cy * cy) * 320.0), 0.26)
