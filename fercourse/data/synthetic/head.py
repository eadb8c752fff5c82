"""Everything around the features: background, shoulders, ears, the head itself, hair, beards, glasses."""

from __future__ import annotations

import copy

import numpy as np

from fercourse.data.synthetic.canvas import Array, Canvas, blend, fill, line, mark, ridge, smooth, soft
from fercourse.data.synthetic.parameters import BEARDS, COLUMN, GLASSES, STYLES

HEAD_V = -0.05  # middle of the head


class Rows:
    """Parameters by name, each of shape (N, 1, 1), ready to meet pixels."""

    def __init__(self, table: Array) -> None:
        self._table = table

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


# A style of hair: how far it stands out above and beside the head; the face's window in it (its top, half-width,
# squareness, whether it closes below the chin); how far down it reaches beside and behind the face; waves,
# strands; and the tone: 0 hair, 1 fabric.
_STYLE_TABLE = np.array([
    # above side   top    width square closed beside behind waves strands fabric
    [0.00, 0.00, -9.00, 9.00, 0.0, 0, -9.0, -9.0, 0.000, 0.00, 0],  # bald
    [0.03, 0.02, -0.84, 0.93, 0.5, 0, -0.10, -9.0, 0.000, 0.04, 0],  # cropped
    [0.12, 0.06, -0.80, 0.92, 0.6, 0, -0.02, -9.0, 0.015, 0.10, 0],  # short
    [0.12, 0.08, -0.64, 0.90, 0.8, 0, 0.10, -9.0, 0.020, 0.16, 0],  # fringe
    [0.15, 0.07, -0.82, 0.92, 0.5, 0, 0.00, -9.0, 0.000, 0.14, 0],  # parted
    [0.10, 0.16, -0.90, 0.89, 0.1, 0, 1.60, 1.60, 0.000, 0.14, 0],  # long
    [0.12, 0.20, -0.66, 0.88, 0.8, 0, 0.75, 0.95, 0.000, 0.14, 0],  # bob
    [0.05, 0.02, -0.88, 0.96, 0.2, 0, -0.05, -9.0, 0.000, 0.10, 0],  # bun
    [0.30, 0.30, -0.80, 0.90, 0.3, 0, 0.20, 0.45, 0.050, 0.22, 0],  # curls
    [0.14, 0.14, -0.76, 0.87, 0.1, 1, 1.70, 1.70, 0.000, 0.10, 1],  # headscarf
    [0.30, 0.16, -0.66, 0.99, 0.7, 0, -0.28, -9.0, 0.000, 0.00, 1],  # turban
    [0.16, 0.07, -0.68, 1.00, 0.9, 0, -0.40, -9.0, 0.000, 0.06, 1],  # hat
], dtype=np.float32)  # fmt: skip


def _waves(x: Array) -> Array:
    """Return a smooth wave of period 1 between -1 and 1, made of parabolas."""
    x = x - np.floor(x)
    return np.where(x < 0.5, 16.0 * x * (0.5 - x), -16.0 * (x - 0.5) * (1.0 - x)).astype(np.float32)


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
    canvas.grey[:] = p["back_tone"] + p["back_slope"] * v + p["light_x"] * np.float32(0.35) * u
    canvas.grey += soft((u * u + v * v) * np.float32(0.25)) * np.float32(0.06)


def paint_body(canvas: Canvas, p: Rows) -> None:
    """Paint neck, shoulders and collar; the chin's shadow falls on the neck."""
    across = np.abs(canvas.u0)
    v = canvas.v0
    neck = fill(across - p["head_w"] * 0.56 - ridge(v - 1.5, 0.5) * 0.12, canvas.ip)
    neck *= smooth(0.4, 0.2, v)
    shade = 0.66 + 0.16 * smooth(1.35, 0.5, v) + p["light_x"] * canvas.u0
    blend(canvas.grey, neck, p["skin"] * shade)
    # Round, V-shaped or high collar.
    kind = p["collar"]
    neckline = np.where(kind == 1, 1.72 - across * 0.9, 1.56 - across * across * 0.5) - 0.3 * (kind == 2)
    top = np.maximum(neckline, 1.14 + 0.34 * across)
    top = np.where(across < 0.62, np.maximum(neckline, 1.2), 1.04 + 0.36 * across).astype(np.float32)
    cloth = fill(top - v, canvas.ip)
    blend(canvas.grey, cloth, p["cloth"] * (0.9 + 0.5 * p["light_x"] * canvas.u0))
    mark(canvas.grey, line(v - top - 0.05, 0.035, canvas.ip), 0.25)


def paint_ears(canvas: Canvas, p: Rows) -> None:
    """Paint both ears; turning the head hides one and shows the other."""
    across = np.abs(canvas.u0 + p["yaw"] * 0.09) - p["head_w"] - 0.02
    along = canvas.v0 - 0.02
    x, y = across / (0.13 * p["ears"]), along / (0.24 * p["ears"])
    squared = x * x + y * y
    ear = fill((np.sqrt(squared) - 1.0) * 0.16, canvas.ip)
    blend(canvas.grey, ear, p["skin"] * (0.86 + p["light_x"] * canvas.u0))
    mark(canvas.grey, soft(squared * 2.2), 0.35)


def paint_head(canvas: Canvas, p: Rows, head: Head) -> None:
    """Paint the head as a rounded form lit from ``light_x``, ``light_y``."""
    depth = np.sqrt(np.maximum(1.0 - head.squared, 0.0))
    depth *= 0.24
    depth += 0.8
    depth += p["light_x"] * head.x
    depth += p["light_y"] * head.y
    u, v = canvas.u, canvas.v
    # Forehead and chin catch the light, the temples and the hollows of the cheeks do not.
    depth += soft(u * u * 2.2 + (v + 0.75) ** 2 * 5.0) * 0.05
    depth += soft(u * u * 9.0 + (v - 1.02) ** 2 * 14.0) * 0.05
    depth *= p["skin"]
    blend(canvas.grey, head.inside, depth)


def _outline(canvas: Canvas, p: Rows, head: Head, style: Array) -> Array:
    """Return the signed distance to the outside of the hair; it hangs straight below the eyes."""
    above, side, waves = style[0] * (0.7 + 0.6 * p["volume"]), style[1], style[8]
    y = np.minimum(canvas.v0 - HEAD_V, 0.0) / (head.half_height * (1.0 + above))
    x = canvas.u0 / (p["head_w"] * (1.0 + side))
    radius = np.sqrt(x * x + y * y - 0.2 * x * x * y * y)
    if waves.any():
        radius = radius + waves * 0.6 * _waves(canvas.u0 * 2.3 + canvas.v0 * 1.1) * _waves(
            canvas.v0 * 2.1 - canvas.u0 * 0.7
        )
    return (radius - 1.0) * p["head_w"]


def _tone(canvas: Canvas, p: Rows, style: Array) -> Array:
    """Return the grey of hair or fabric: strands or folds, a sheen, the light's side."""
    u, v = canvas.u0, canvas.v0
    fabric = style[10]
    base = np.where(fabric > 0, 0.2 + 0.65 * p["volume"], p["hair"])
    strands = _waves(u * (3.2 - 1.2 * fabric) * (1.0 + 0.35 * (v + 1.0)) + v * fabric * 1.4)
    curly = style[8] > 0.03
    if curly.any():
        strands = np.where(curly, _waves(u * 2.6 + v) * _waves(v * 2.8 - 0.6 * u) * 1.5, strands)
    tone = 1.0 + style[9] * strands + 0.9 * p["light_x"] * u
    tone += ridge(v + 0.98 - 0.3 * u * u, 0.22) * (0.25 - 0.1 * fabric)
    tone *= base + 0.02
    return tone.astype(np.float32)


def _each_style(p: Rows) -> Array:
    return np.moveaxis(_STYLE_TABLE[p["style"][:, 0, 0].astype(np.intp)], 1, 0)[:, :, None, None]


def paint_hair_behind(canvas: Canvas, p: Rows, head: Head) -> None:
    """Paint the hair or scarf that the neck stands before."""
    style = _each_style(p)
    cover = fill(_outline(canvas, p, head, style), canvas.ip)
    cover *= smooth(style[7], 0.12, -canvas.v0 + 2.0 * style[7])
    blend(canvas.grey, cover, _tone(canvas, p, style) * 0.72)


def hair_cover(canvas: Canvas, p: Rows, head: Head) -> Array:
    """Return the coverage of hair, scarf or hat in front of the head (N, size, size)."""
    style = _each_style(p)
    top, width, square, closed, beside = style[2] + p["hairline"], style[3], style[4], style[5], style[6]
    middle = 0.25
    parted = p["style"] == STYLES.index("parted")
    long = p["style"] == STYLES.index("long")
    y = canvas.v + np.where(parted, (canvas.u - p["part"]) * p["part"] * 0.9, 0.0)
    y = y - np.where(long, 0.42 * np.abs(canvas.u - 0.3 * p["part"]), 0.0)
    y = y - middle
    y = np.where(y < 0, y / (middle - top), closed * y / 0.94)
    x = canvas.u * (1.0 / (width * p["head_w"]))
    radius = np.sqrt(np.maximum(x * x + y * y - square * x * x * y * y, 0.0))
    fringe = style[8] * _waves(canvas.u * 2.6)
    outside = fill((1.0 - radius) * width + fringe, canvas.ip)
    outside *= fill(_outline(canvas, p, head, style), canvas.ip)
    outside *= smooth(0.0, 0.16, beside - canvas.v0)
    return outside


def paint_hair(canvas: Canvas, p: Rows, cover: Array) -> None:
    """Paint hair, scarf or hat, and the shadow it throws on the face."""
    style = _each_style(p)
    shadow = np.zeros_like(cover)
    drop = max(1, round(canvas.size / 32))
    shadow[:, drop:] = cover[:, :-drop]
    mark(canvas.grey, shadow, 0.22)
    tone = _tone(canvas, p, style)
    turban = p["style"] == STYLES.index("turban")
    hat = p["style"] == STYLES.index("hat")
    folds = ridge(_waves(canvas.v0 * 1.5 + np.abs(canvas.u0) * 0.7), 0.35) * 0.3
    band = fill(-0.94 - canvas.v + 0.1 * canvas.u * canvas.u, canvas.ip) * 0.3
    tone *= 1.0 - np.where(turban, folds, 0.0) - np.where(hat, band, 0.0)
    short = np.where(p["style"] == STYLES.index("cropped"), 0.82, 1.0)
    blend(canvas.grey, cover * short, tone)


def paint_beard(canvas: Canvas, p: Rows, head: Head) -> None:
    """Paint stubble, a beard or a moustache; the mouth is painted later, on top."""
    u, v = canvas.u, canvas.v
    across = np.abs(u)
    kind = p["beard"]
    mouth = p["mouth_y"]
    # A full beard's edge runs from the sideburns below the cheekbones to the upper lip.
    edge = mouth - 0.2 - 0.75 * np.maximum(across - 0.42, 0.0)
    full = smooth(edge, 0.14, v) * head.inside
    chin = soft((across / 0.36) ** 2 * 0.5 + ((v - mouth - 0.36) / 0.34) ** 2 * 0.5)
    chin = np.minimum(chin * 3.0, 1.0) * head.inside
    lift = 0.07 * np.minimum(p["AU10"] + p["AU9"] * 0.6, 1.0) + 0.1 * p["AU12"] * (across / 0.4) ** 2
    drop = 0.1 * p["AU15"] * (across / 0.4) ** 2
    top = mouth - 0.17 - lift + drop + 0.08 * (across / 0.4) ** 2
    moustache = fill(np.abs(v - top) - 0.085 + 0.05 * (across / 0.42) ** 2, canvas.ip) * smooth(-0.44, 0.08, -across)
    cover = np.where(kind == BEARDS.index("goatee"), np.maximum(chin, moustache), full)
    cover = np.where(kind == BEARDS.index("moustache"), moustache, cover)
    stubble = kind == BEARDS.index("stubble")
    # Light hair barely shows on light skin: a beard is never close to the skin's tone.
    tone = np.minimum(p["hair"], p["skin"] * 0.55) * (0.9 + 0.12 * _waves(u * 3.1) + 0.6 * p["light_x"] * u)
    blend(canvas.grey, cover * np.where(stubble, 0.38, 0.88), tone)


def paint_glasses(canvas: Canvas, p: Rows) -> None:
    """Paint round or square frames with a bridge, temples and a faint glint."""
    across = np.abs(canvas.u)
    x, y = (across - p["eye_x"] - 0.01), (canvas.v - p["eye_y"] - 0.03)
    round_ = p["glasses"] == GLASSES.index("round")
    circle = np.sqrt(x * x + y * y) - 0.33
    box = np.maximum(np.abs(x) - 0.36, np.abs(y) - 0.25)
    corner = np.sqrt(np.maximum(np.abs(x) - 0.26, 0.0) ** 2 + np.maximum(np.abs(y) - 0.15, 0.0) ** 2) - 0.1
    rim = np.where(round_, circle, np.maximum(box, corner)).astype(np.float32)
    canvas.grey += fill(rim, canvas.ip) * ridge(x + y + 0.16, 0.09) * np.float32(0.07)
    frame = line(rim, 0.055, canvas.ip)
    bridge = line(y + 0.05 - across * 0.3, 0.05, canvas.ip) * fill(across - 0.1, canvas.ip)
    temple = line(y + 0.08, 0.06, canvas.ip) * smooth(0.76, 0.06, across) * fill(across - p["head_w"], canvas.ip)
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
