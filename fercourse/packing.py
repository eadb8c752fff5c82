"""Predictions and losses as short text, for records."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

import numpy as np

#: A few damaged bytes can inflate to gigabytes; no split has so many images.
_MOST_BYTES = 10_000_000


def pack_classes(classes: np.ndarray) -> str:
    """Return classes 0 to 9, any integer dtype, shape (N,), as text: their digits, deflated, in base 64."""
    digits = "".join(map(str, classes.tolist())).encode()
    return base64.b64encode(zlib.compress(digits, 9)).decode()


def unpack_classes(text: str) -> np.ndarray:
    """Return the classes that `pack_classes` packed: int64, shape (N,)."""
    digits = _inflate(base64.b64decode(text, validate=True), "predictions")
    return np.frombuffer(digits, dtype=np.uint8).astype(np.int64) - ord("0")


#: Before numbers whose bytes are sorted and deflated; base 64, as in older records, has no colon.
_SORTED = "z:"


def pack_floats(values: Iterable[float]) -> str:
    """Return numbers as float16 (3 digits), all first bytes before all second ones, deflated, in base 85.

    The bytes that hold sign and exponent are nearly the same in all losses, so that apart from the others
    they take little: a record of 2,694 losses would not fit its 15 KB otherwise.
    """
    pairs = np.asarray(list(values), dtype="<f2").view(np.uint8).reshape(-1, 2)
    return _SORTED + base64.b85encode(zlib.compress(pairs.T.tobytes(), 9)).decode()


def unpack_floats(text: str) -> np.ndarray:
    """Return the numbers that `pack_floats` packed, or packed before it sorted bytes: float32, shape (N,)."""
    if not text.startswith(_SORTED):
        return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2").astype(np.float32)
    inflated = _inflate(base64.b85decode(text.removeprefix(_SORTED)), "numbers")
    pairs = np.frombuffer(inflated, dtype=np.uint8).reshape(2, -1)
    return np.ascontiguousarray(pairs.T).view("<f2").reshape(-1).astype(np.float32)


#: Before numbers of 5 digits, packed.
_SERIES = "f4:"


def pack_series(values: Iterable[float]) -> str:
    """Return numbers as float32, all first bytes before all second ones and so on, deflated, in base 85.

    For the columns of a long history: half of the room that their digits take.
    """
    quads = np.asarray(list(values), dtype="<f4").view(np.uint8).reshape(-1, 4)
    return _SERIES + base64.b85encode(zlib.compress(quads.T.tobytes(), 9)).decode()


def unpack_series(text: str) -> np.ndarray:
    """Return the numbers that `pack_series` packed, rounded to 5 digits: float64, shape (N,)."""
    if not text.startswith(_SERIES):
        raise ValueError("a column of the history is neither a list nor packed numbers")
    inflated = _inflate(base64.b85decode(text.removeprefix(_SERIES)), "numbers")
    quads = np.frombuffer(inflated, dtype=np.uint8).reshape(4, -1)
    numbers = np.ascontiguousarray(quads.T).view("<f4").reshape(-1)
    return np.array([float(f"{value:.5g}") for value in numbers.tolist()])


def _inflate(deflated: bytes, what: str) -> bytes:
    """Return what was deflated; ValueError where it was cut short or is longer than any split has images."""
    inflater = zlib.decompressobj()
    data = inflater.decompress(deflated, _MOST_BYTES)
    if not inflater.eof:
        raise ValueError(f"{what} cut short, or more than {_MOST_BYTES:,} bytes of them")
    return data
