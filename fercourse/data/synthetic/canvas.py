"""A batch of pictures to paint on, and the few strokes everything is made of.

Pictures are drawn at their own size with analytic anti-aliasing: a pixel's coverage is ``0.5 - d * ip``,
limited to 0..1, with d the signed distance to the shape's edge (negative inside) in face units and ip pixels
a unit.
Strokes use +, -, *, / and square roots only, which every machine rounds alike.
"""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np

PIXELS_PER_UNIT = 19.0  # of an average head in a picture of 48 pixels
Array = np.ndarray


class Parameters(Protocol):
    """What a canvas needs of a batch's parameters: values by name, each of shape (N, 1, 1)."""

    def __getitem__(self, name: str, /) -> Array: ...

    def __len__(self) -> int: ...


def fill(distance: Array, ip: Array) -> Array:
    """Return the coverage of a shape from signed ``distance`` (negative inside)."""
    cover = distance * -ip
    cover += 0.5
    return cover.clip(0.0, 1.0, out=cover)


def line(distance: Array, width: Array | float, ip: Array) -> Array:
    """Return the coverage of a stroke ``width`` wide where ``distance`` is 0; a thin one is fainter."""
    cover = np.abs(distance)
    cover *= -ip
    cover += width * ip * 0.5 + 0.5
    cover.clip(0.0, 1.0, out=cover)
    cover *= np.minimum(width * ip, 1.0)
    return cover


def soft(squared: Array) -> Array:
    """Return a soft spot, 1 in the middle, 0 where ``squared`` (distance over radius, squared) passes 1."""
    spot = np.subtract(1.0, squared)
    np.maximum(spot, 0.0, out=spot)
    spot *= spot
    return spot


def ridge(distance: Array, radius: Array | float) -> Array:
    """Return a soft line: 1 where ``distance`` is 0, falling to 0 at ``radius``."""
    fade = distance / radius
    fade *= fade
    return np.maximum(np.subtract(1.0, fade, out=fade), 0.0, out=fade)


def smooth(edge: Array | float, width: Array | float, value: Array) -> Array:
    """Return a ramp from 0 to 1 as ``value`` passes from ``edge`` - width/2 to ``edge`` + width/2."""
    ramp = (value - edge) * (1.0 / width) + 0.5
    return ramp.clip(0.0, 1.0, out=ramp)


def blend(grey: Array, cover: Array, tone: Array | float) -> None:
    """Paint ``tone`` over ``grey`` where ``cover`` is 1, in place."""
    change = tone - grey
    change *= cover
    grey += change


def mark(grey: Array, cover: Array, strength: Array | float) -> None:
    """Darken ``grey`` by the share ``strength`` (lighten, where negative) where ``cover`` is 1, in place.

    Marks multiply, so that they show on every skin.
    """
    factor = cover * -strength
    factor += 1.0
    grey *= factor


class Patch:
    """Part of every picture of a batch: grey values, face coordinates u and v, pixels a unit.

    The coordinates follow the face's features as the head turns. `Canvas.patch` makes them.
    """

    def __init__(self, grey: Array, u: Array, v: Array, ip: Array, place: list[tuple[slice, slice]]) -> None:
        self.grey, self.u, self.v, self.ip = grey, u, v, ip
        self._place = place

    def put(self, values: Array, pictures: Array) -> None:
        """Write ``values`` (such as the patch's ``grey``) into ``pictures`` where the patch came from."""
        # A loop of plain copies: indexing all at once with arrays takes several times as long.
        for picture, window, (rows, columns) in zip(pictures, values, self._place, strict=True):
            picture[rows, columns] = window

    def put_mask(self, values: Array, pictures: Array) -> None:
        """Add the boolean ``values`` to the masks ``pictures`` where the patch came from."""
        for picture, window, (rows, columns) in zip(pictures, values, self._place, strict=True):
            picture[rows, columns] |= window


class Canvas:
    """Pictures of N faces: float32 ``grey`` of shape (N, size, size), 0 black, 1 white."""

    def __init__(self, p: Parameters, size: int) -> None:
        """Take parameters of shape (N, 1, 1) and the side of the pictures in pixels."""
        self.size = size
        self.count = len(p)
        self.grey = np.zeros((self.count, size, size), dtype=np.float32)
        zoom = size / 48.0
        self.ip = p["scale"] * np.float32(PIXELS_PER_UNIT * zoom)
        self._inverse = np.float32(1.0) / self.ip
        # Rotation without sine and cosine: the tangent of half the angle gives both by division.
        half = p["roll"] * 0.5
        half = half * (1.0 + half * half * np.float32(1.0 / 3.0))
        self._cos = (1.0 - half * half) / (1.0 + half * half)
        self._sin = 2.0 * half / (1.0 + half * half)
        self._x = (p["shift_x"] + 24.0) * np.float32(zoom)
        self._y = (p["shift_y"] + 23.8) * np.float32(zoom)
        self._yaw, self._pitch = p["yaw"] * np.float32(0.32), p["pitch"] * np.float32(0.22)
        steps = np.arange(size, dtype=np.float32) + np.float32(0.5)
        self.u0, self.v0 = self._straight(steps[None, :, None], steps[None, None, :])
        self.u, self.v = self.turned(self.u0, self.v0)

    def take(self, index: Array) -> Canvas:
        """Return a copy of some of the pictures as a canvas of its own."""
        other = copy.copy(self)
        other.count = len(index)
        for name in (
            "grey",
            "ip",
            "u0",
            "v0",
            "u",
            "v",
            "_inverse",
            "_cos",
            "_sin",
            "_x",
            "_y",
            "_yaw",
            "_pitch",
        ):
            setattr(other, name, getattr(self, name)[index])
        return other

    def band(self, low: float, high: float) -> tuple[Canvas, slice]:
        """Return the rows where a face has v between ``low`` and ``high``: a view to paint on, and which.

        Strokes that stay within those v lose nothing by it and cost less.
        """
        edges = self.v0[:, :, [0, -1]]
        needed = ((edges.min(axis=2) <= high) & (edges.max(axis=2) >= low)).any(axis=0)
        rows = np.flatnonzero(needed)
        part = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
        other = copy.copy(self)
        for name in ("grey", "u0", "v0", "u", "v"):
            setattr(other, name, getattr(self, name)[:, part])
        return other, part

    def _straight(self, y: Array, x: Array) -> tuple[Array, Array]:
        dx, dy = (x - self._x) * self._inverse, (y - self._y) * self._inverse
        return self._cos * dx + self._sin * dy, self._cos * dy - self._sin * dx

    def turned(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Return the coordinates of the features at head coordinates u and v: yaw and pitch move them."""
        across = u * u
        across *= -0.8
        across += 1.0
        across *= self._yaw
        along = v * v
        along *= -0.4
        along += 1.0
        along *= self._pitch
        return np.add(across, u, out=across), np.add(along, v, out=along)

    def patch(self, u: Array, v: Array, width: float, height: float) -> Patch:
        """Return a copy of the pixels around feature point (u, v), of the same size for every face.

        ``u`` and ``v`` have shape (N, 1, 1); ``width`` and ``height`` are in pixels of a 48-pixel picture.
        """
        uh, vh = u, v
        for _ in range(2):  # undo `turned`, nearly: the windows have room to spare
            uh = u - self._yaw * (1.0 - 0.8 * uh * uh)
            vh = v - self._pitch * (1.0 - 0.4 * vh * vh)
        x = self._x + (self._cos * uh - self._sin * vh) * self.ip
        y = self._y + (self._sin * uh + self._cos * vh) * self.ip
        zoom = self.size / 48.0
        wide, tall = min(self.size, round(width * zoom)), min(self.size, round(height * zoom))
        left = np.clip(np.floor(x - (wide / 2 - 0.5)), 0, self.size - wide)
        top = np.clip(np.floor(y - (tall / 2 - 0.5)), 0, self.size - tall)
        steps = np.arange(max(wide, tall), dtype=np.float32) + np.float32(0.5)
        straight = self._straight(top + steps[None, :tall, None], left + steps[None, None, :wide])
        place = [
            (slice(row, row + tall), slice(column, column + wide))
            for row, column in zip(
                top.ravel().astype(int).tolist(), left.ravel().astype(int).tolist(), strict=True
            )
        ]
        grey = np.empty((self.count, tall, wide), dtype=np.float32)
        for picture, window, (rows, columns) in zip(self.grey, grey, place, strict=True):
            window[:] = picture[rows, columns]
        return Patch(grey, *self.turned(*straight), self.ip, place)
