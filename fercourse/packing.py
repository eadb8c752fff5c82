"""Predictions and losses as short text, for records."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable

import numpy as np

#: A few damaged bytes can inflate to gigabytes; no split has so many images.
_MOST_CLASSES = 10_000_000


def pack_classes(classes: np.ndarray) -> str:
    """Return classes 0 to 9, any integer dtype, shape (N,), as text: their digits, deflated, in base 64."""
    digits = "".join(map(str, classes.tolist())).encode()
    return base64.b64encode(zlib.compress(digits, 9)).decode()


def unpack_classes(text: str) -> np.ndarray:
    """Return the classes that `pack_classes` packed: int64, shape (N,)."""
    inflater = zlib.decompressobj()
    digits = inflater.decompress(base64.b64decode(text, validate=True), _MOST_CLASSES)
    if not inflater.eof:
        raise ValueError(f"predictions cut short, or more than {_MOST_CLASSES:,}")
    return np.frombuffer(digits, dtype=np.uint8).astype(np.int64) - ord("0")


def pack_floats(values: Iterable[float]) -> str:
    """Return numbers as float16 (3 digits) in base 64."""
    return base64.b64encode(np.asarray(list(values), dtype="<f2").tobytes()).decode()


def unpack_floats(text: str) -> np.ndarray:
    """Return the numbers that `pack_floats` packed: float32, shape (N,)."""
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f2").astype(np.float32)
