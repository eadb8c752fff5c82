"""Everything around the features: background, shoulders, ears, the head itself, hair, beards, glasses."""

from __future__ import annotations

import copy

import numpy as np

from fercourse.data.synthetic.canvas import Array, Canvas, blend, fill, line, mark, ridge, smooth, soft
from fercourse.data.synthetic.parameters import BEARDS, COLUMN, GLASSES, STYLES
from fercourse.data.synthetic.units import ACTION_UNITS

HEAD_V = -0.05  # middle of the head


class Rows:
    """Parameters by name, each of shape (N, 1, 1), ready to meet pixels."""

    def __init__(self, table: Array) -> None:
        self._table = table

    @classmethod
    def of(cls, table: Array) -> Rows:
        """Take a parameter table; faces move most at the start of an action, so weak ones can be seen."""
        moved = table.copy()
        units = moved[:, : len(ACTION_UNITS)]
        units *= 1.25 - 0.25 * units
        return cls(moved)

    def __getitem__(self, name: str) -> Array:
        return self._table[:, COLUMN[name], None, None]

    def __len__(self) -> int:
        return len(self._table)

    def where(self, name: str, *values: int) -> Array:
        """Return the places of the faces whose parameter is one of ``values``."""
        return np.flatnonzero(np.isin(self._table[:, COLUMN[name]], values))

    def take(self, index: Array) -> Rows:
        """Return the parameters of some faces."""
        return Rows(self._table[index])


#: A style of hair: how far it stands out above and beside the head; the face's window in it (its top,
#: half-width, squareness, whether it closes below the chin, how a parting tilts it, how it rises to a peak);
#: how far down it reaches beside and behind the face; whether it hangs straight; waves, strands; 1: fabric.
STYLE_COLUMNS = (
    "above", "side", "top", "width", "square", "closed", "tilt", "peak", "beside", "behind", "hangs", "waves",
    "strands", "fabric",
)  # fmt: skip
STYLE_TABLE = np.array([
    [0.00, 0.00, -9.00, 9.00, 0.0, 0, 0.0, 0.00, -9.0, -9.0, 0, 0.000, 0.00, 0],  # bald
    [0.03, 0.02, -0.90, 0.93, 0.5, 0, 0.0, 0.00, -0.10, -9.0, 1, 0.000, 0.04, 0],  # cropped
    [0.12, 0.06, -0.88, 0.92, 0.6, 0, 0.2, 0.00, -0.02, -9.0, 1, 0.015, 0.09, 0],  # short
    [0.12, 0.08, -0.76, 0.90, 0.8, 0, 0.1, 0.00, 0.10, -9.0, 1, 0.020, 0.12, 0],  # fringe
    [0.15, 0.07, -0.88, 0.92, 0.5, 0, 0.5, 0.00, 0.00, -9.0, 1, 0.000, 0.10, 0],  # parted
    [0.10, 0.14, -0.94, 0.90, 0.1, 0, 0.0, 0.34, 1.60, 1.60, 1, 0.000, 0.12, 0],  # long
    [0.12, 0.18, -0.78, 0.89, 0.8, 0, 0.0, 0.00, 0.75, 0.95, 1, 0.000, 0.12, 0],  # bob
    [0.05, 0.02, -0.94, 0.96, 0.2, 0, 0.0, 0.00, -0.05, -9.0, 1, 0.000, 0.08, 0],  # tied
    [0.28, 0.30, -0.88, 0.91, 0.3, 0, 0.0, 0.00, 0.45, 9.0, 0, 0.050, 0.22, 0],  # curls
    [0.12, 0.13, -0.86, 0.90, 0.1, 1, 0.0, 0.00, 1.70, 1.70, 1, 0.000, 0.07, 1],  # headscarf
    [0.26, 0.14, -0.76, 0.99, 0.6, 0, 0.0, 0.10, -0.28, -9.0, 1, 0.000, 0.00, 1],  # turban
    [0.14, 0.07, -0.78, 1.00, 0.9, 0, 0.0, 0.00, -0.40, -9.0, 1, 0.000, 0.05, 1],  # hat
], dtype=np.float32)  # fmt: skip


def _waves(x: Array) -> Array:
    """Return a smooth wave of period 1 between -1 and 1, made of parabolas."""
    x = x - np.floor(x + 0.5)
    bow = np.abs(x)
    bow *= -16.0
    bow += 8.0
    bow *= x
    return bow


class Head:
    """The outline of the heads and their roundness, computed once for everything that follows it."""

    def __init__(self, canvas: Canvas, p: Rows) -> None:
        self.half_height = p["head_h"] - 0.05
        self.y = (canvas.v0 - HEAD_V) / self.half_height
        below = np.maximum(self.y, 0.0)
        jaw = p["AU26"] * np.float32(0.1)
        self.y -= below * (jaw / (self.half_height + jaw))
        below *= below
        below *= -p["taper"]
        below += 1.0
        self.x = canvas.u0 / (p["head_w"] * below)
        xx, yy = self.x * self.x, self.y * self.y
        radius = xx + yy
        xx *= yy
        xx *= p["square"]
        radius -= xx
        np.maximum(radius, 0.0, out=radius)
        self.squared = radius
        self.radius = np.sqrt(radius)
        self.inside = fill((self.radius - 1.0) * p["head_w"], canvas.ip)

    def take(self, index: Array) -> Head:
        """Return the outlines of some of the heads."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            setattr(other, name, value[index])
        return other


def paint_background(canvas: Canvas, p: Rows) -> None:
    """Paint a wall with a soft light on it."""
    u, v = canvas.u0, canvas.v0
    np.multiply(p["back_slope"], v, out=canvas.grey)
    canvas.grey += (p["light_x"] * 0.35) * u
    canvas.grey += p["back_tone"]


def paint_body(canvas: Canvas, p: Rows) -> None:
    """Paint neck, shoulders and collar; the chin's shadow falls on the neck."""
    canvas, _ = canvas.band(0.4, 9.0)
    across = np.abs(canvas.u0)
    v = canvas.v0
    neck = fill(across - p["head_w"] * 0.57, canvas.ip)
    neck *= smooth(0.5, 0.2, v)
    shade = smooth(1.35, 0.5, v) * 0.16 + 0.64
    shade += p["light_x"] * canvas.u0
    shade *= p["skin"]
    blend(canvas.grey, neck, shade)
    # Shoulders fall away from the neck; before it the neckline is round, V-shaped or high.
    kind = p["collar"]
    steep = 0.25 + 0.4 * (kind == 1) - 0.32 * (kind == 2)
    top = np.maximum(across * 0.45 + 0.99, (1.25 + 0.57 * steep) - across * steep)
    cloth = fill(np.subtract(top, v, out=top), canvas.ip)
    blend(canvas.grey, cloth, p["cloth"] * (0.92 + 0.4 * p["light_x"] * canvas.u0))


def paint_ears(canvas: Canvas, p: Rows) -> None:
    """Paint both ears; turning the head hides one and shows the other."""
    canvas, _ = canvas.band(-0.5, 0.5)
    across = np.abs(canvas.u0 + p["yaw"] * 0.09)
    across -= p["head_w"] + 0.01
    across /= 0.13 * p["ears"]
    along = (canvas.v0 - 0.02) / (0.23 * p["ears"])
    squared = across * across
    squared += along * along
    ear = fill((np.sqrt(squared) - 1.0) * 0.16, canvas.ip)
    blend(canvas.grey, ear, p["skin"] * (0.86 + p["light_x"] * canvas.u0))
    mark(canvas.grey, soft(squared * 2.2), 0.3)


def paint_head(canvas: Canvas, p: Rows, head: Head) -> None:
    """Paint the head as a rounded form lit from ``light_x``, ``light_y``."""
    depth = np.subtract(1.0, head.squared)
    np.maximum(depth, 0.0, out=depth)
    np.sqrt(depth, out=depth)
    depth *= 0.26
    depth += 0.79
    depth += p["light_x"] * head.x
    depth += p["light_y"] * head.y
    # Forehead and chin catch the light.
    u, v = canvas.u, canvas.v
    uu = u * u
    above = v + 0.72
    above *= above
    above *= 5.0
    above += 2.2 * uu
    depth += soft(above) * 0.06
    depth *= p["skin"]
    depth += soft(uu * 9.0 + (v - 1.0) ** 2 * 14.0) * 0.035
    blend(canvas.grey, head.inside, depth)


class Hair:
    """Hair, scarf or hat of every face: where its outside is and how it is lit, front and back."""

    def __init__(self, canvas: Canvas, p: Rows, head: Head) -> None:
        style = STYLE_TABLE[p["style"][:, 0, 0].astype(np.intp)]
        self._style = {name: style[:, column, None, None] for column, name in enumerate(STYLE_COLUMNS)}
        s = self._style
        # Styles that end above the cheeks leave the lower rows alone.
        self.canvas, self.rows = canvas.band(
            -9.0, max(0.0, float(s["beside"].max()), float(s["behind"].max())) + 0.2
        )
        u, v = self.canvas.u0, self.canvas.v0
        reach = v - HEAD_V
        hanging = np.minimum(reach, 0.0)
        hanging += (reach - hanging) * (1.0 - s["hangs"])
        hanging *= 1.0 / (head.half_height * (1.0 + s["above"] * (0.7 + 0.6 * p["volume"])))
        hanging *= hanging
        across = u * (1.0 / (p["head_w"] * (1.0 + s["side"])))
        across *= across
        squared = across + hanging
        across *= hanging
        across *= 0.2
        squared -= across
        np.maximum(squared, 0.0, out=squared)
        radius = np.sqrt(squared, out=squared)
        for index in _one(s["waves"] > 0):
            ruffle = _waves(u[index] * 2.3 + v[index] * 1.1) * _waves(v[index] * 2.1 - u[index] * 0.7)
            radius[index] += ruffle * s["waves"][index] * 0.6
        radius -= 1.0
        radius *= p["head_w"]
        self.outline = fill(radius, canvas.ip)
        self.tone = self._tone(p, u, v)

    def _tone(self, p: Rows, u: Array, v: Array) -> Array:
        """Return the grey of hair or fabric: strands or folds, a sheen, the light's side."""
        s = self._style
        fabric = s["fabric"]
        base = p["hair"] + fabric * (0.2 + 0.6 * p["volume"] - p["hair"])
        bend = 1.0 + 0.3 * v
        tone = _waves(u * bend * (5.3 - 3.4 * fabric) + v * (1.3 * fabric))
        tone += _waves(u * bend * 1.9)
        tone *= s["strands"] * 0.7 * (1.2 - base)
        for index in _one(s["waves"] > 0.03):
            a, b = u[index], v[index]
            curl = _waves(2.1 * a + 1.2 * b + 0.3 * _waves(1.7 * b - 0.9 * a))
            curl *= _waves(2.4 * b - 1.4 * a + 0.3 * _waves(1.9 * a + 0.6 * b))
            tone[index] = curl * (0.42 - 0.34 * base[index])
        sheen = ridge(v + 0.98 - 0.3 * u * u, 0.24)
        sheen *= 0.26 * (1.05 - base)
        tone += sheen
        tone += 0.9 * p["light_x"] * u
        for index in _one(p["style"] == STYLES.index("turban")):
            tone[index] -= ridge(_waves(v[index] * 1.5 + np.abs(u[index]) * 0.7), 0.35) * 0.22
        for index in _one(p["style"] == STYLES.index("hat")):
            tone[index] -= ridge(v[index] + 0.96 - 0.1 * u[index] * u[index], 0.05) * 0.4
        tone += 1.0
        tone *= base + 0.015
        return tone

    def paint_behind(self) -> None:
        """Paint the hair or scarf that the neck stands before."""
        behind = self._style["behind"]
        for index in _one(behind > 0):
            cover = smooth(0.0, 0.12, behind[index] - self.canvas.v0[index])
            cover *= self.outline[index]
            grey = self.canvas.grey[index]
            blend(grey, cover, self.tone[index] * 0.72)
            self.canvas.grey[index] = grey

    def paint(self, p: Rows) -> Array:
        """Paint the front and the shadow it throws on the face; return its coverage in ``rows``."""
        s, canvas = self._style, self.canvas
        middle = 0.25
        y = canvas.v - middle
        y += (canvas.u - p["part"]) * (p["part"] * s["tilt"])
        y -= np.abs(canvas.u - 0.3 * p["part"]) * s["peak"]
        below = np.maximum(y, 0.0)
        y -= below
        y *= 1.0 / (middle - s["top"] - p["hairline"])
        below *= s["closed"] * (1.0 / 0.94)
        y += below
        y *= y
        x = canvas.u * (1.0 / (s["width"] * p["head_w"]))
        x *= x
        squared = x + y
        x *= y
        x *= s["square"]
        squared -= x
        np.maximum(squared, 0.0, out=squared)
        radius = np.sqrt(squared, out=squared)
        np.subtract(1.0, radius, out=radius)
        radius *= s["width"]
        for index in _one((s["waves"] > 0) & (s["fabric"] == 0)):
            radius[index] += s["waves"][index] * _waves(canvas.u[index] * 2.6)
        cover = fill(radius, canvas.ip)
        cover *= self.outline
        cover *= smooth(0.0, 0.16, s["beside"] - canvas.v0)
        drop = max(1, round(canvas.size / 32))
        shadow = cover[:, :-drop] * -0.22
        shadow += 1.0
        canvas.grey[:, drop:] *= shadow
        cropped = 1.0 - np.float32(0.15) * (p["style"] == STYLES.index("cropped"))
        blend(canvas.grey, cover * cropped, self.tone)
        return cover


def _one(chosen: Array) -> list[Array]:
    """Return the places where ``chosen`` holds, in a list to loop over once, or never if there are none."""
    index = np.flatnonzero(chosen)
    return [index] if len(index) else []


def paint_beard(canvas: Canvas, p: Rows, head: Head) -> None:
    """Paint stubble, a beard or a moustache; the mouth is painted later, on top."""
    u, v = canvas.u, canvas.v
    across = np.abs(u)
    kind = p["beard"]
    mouth = p["mouth_y"]
    # A full beard's edge runs from the sideburns below the cheekbones to the upper lip.
    edge = mouth - 0.2 - 1.1 * np.maximum(across - 0.4, 0.0) ** 2 - 0.25 * np.maximum(across - 0.36, 0.0)
    full = smooth(edge, 0.14, v) * head.inside
    chin = soft((across / 0.36) ** 2 * 0.5 + ((v - mouth - 0.36) / 0.34) ** 2 * 0.5)
    chin = np.minimum(chin * 3.0, 1.0) * head.inside
    lift = 0.07 * np.minimum(p["AU10"] + p["AU9"] * 0.6, 1.0) + 0.1 * p["AU12"] * (across / 0.4) ** 2
    drop = 0.1 * p["AU15"] * (across / 0.4) ** 2
    top = mouth - 0.17 - lift + drop + 0.08 * (across / 0.4) ** 2
    moustache = fill(np.abs(v - top) - 0.066 + 0.04 * (across / 0.42) ** 2, canvas.ip) * smooth(
        -0.44, 0.08, -across
    )
    cover = np.where(kind == BEARDS.index("goatee"), np.maximum(chin, moustache), full)
    cover = np.where(kind == BEARDS.index("moustache"), moustache, cover)
    stubble = kind == BEARDS.index("stubble")
    # Light hair barely shows on light skin: a beard is never close to the skin's tone.
    tone = np.minimum(p["hair"], p["skin"] * 0.55) * (0.9 + 0.12 * _waves(u * 3.1) + 0.6 * p["light_x"] * u)
    blend(canvas.grey, cover * np.where(stubble, 0.38, 0.88), tone)


def paint_glasses(canvas: Canvas, p: Rows) -> None:
    """Paint round or square frames with a bridge, temples and a faint glint."""
    across = np.abs(canvas.u)
    x, y = (across - p["eye_x"] - 0.01), (canvas.v - p["eye_y"] - 0.06)
    round_ = p["glasses"] == GLASSES.index("round")
    circle = np.sqrt(x * x + y * y) - 0.3
    box = np.maximum(np.abs(x) - 0.36, np.abs(y) - 0.22)
    corner = np.sqrt(np.maximum(np.abs(x) - 0.26, 0.0) ** 2 + np.maximum(np.abs(y) - 0.12, 0.0) ** 2) - 0.1
    rim = np.where(round_, circle, np.maximum(box, corner)).astype(np.float32)
    canvas.grey += fill(rim, canvas.ip) * ridge(x + y + 0.16, 0.09) * np.float32(0.07)
    frame = line(rim, 0.045, canvas.ip)
    bridge = line(y + 0.05 - across * 0.3, 0.05, canvas.ip) * fill(across - 0.1, canvas.ip)
    temple = (
        line(y + 0.08, 0.06, canvas.ip) * smooth(0.76, 0.06, across) * fill(across - p["head_w"], canvas.ip)
    )
    blend(canvas.grey, np.maximum(np.maximum(frame, bridge), temple), p["frame_tone"])


def occluder_cover(canvas: Canvas, p: Rows) -> Array:
    """Return the coverage of a hand, a cup or a bar before the face (N, size, size)."""
    u, v = canvas.u0 - p["occ_x"], canvas.v0 - p["occ_y"]
    turn = p["occ_turn"]
    x, y = u + turn * v, v - turn * u
    x = np.maximum(np.abs(x) - p["occ_long"] + p["occ_wide"], 0.0)
    distance = np.sqrt(x * x + y * y) - p["occ_wide"]
    return fill(distance, canvas.ip)


def paint_occluder(canvas: Canvas, p: Rows, cover: Array) -> None:
    """Paint what stands before the face."""
    u, v = canvas.u0 - p["occ_x"], canvas.v0 - p["occ_y"]
    y = (v - p["occ_turn"] * u) / p["occ_wide"]
    tone = np.where(p["occluder"] == 1, p["skin"] * 0.95, p["occ_tone"])
    shade = 1.0 - 0.16 * y * y + 0.4 * p["light_x"] * u
    fingers = np.where(p["occluder"] == 1, ridge(np.abs(y) - 0.4, 0.16) * 0.3, 0.0)
    blend(canvas.grey, cover, tone * (shade - fingers))
