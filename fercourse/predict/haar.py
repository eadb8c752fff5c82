"""Faces found by OpenCV's Haar cascade, where OpenCV is installed: FER-2013's faces were cut with it.

Goodfellow et al. (2013) write that OpenCV gave the boxes and people mended some; in those years OpenCV's way
to find faces was this cascade. So its boxes are taken as they are.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fercourse.errors import FercourseError
from fercourse.predict.pictures import Square, upright

CASCADE = "haarcascade_frontalface_default.xml"
#: Pictures are searched at most this long, in pixels: a face that matters is then no smaller than the window.
LONGEST = 1280
#: OpenCV's own defaults in its tutorials; the window of the cascade is 24 pixels wide.
SETTINGS: dict[str, Any] = {"scaleFactor": 1.1, "minNeighbors": 5, "minSize": (24, 24)}


@functools.lru_cache(maxsize=1)
def missing_cascade() -> str | None:
    """Return why faces cannot be found here, in words, or None where they can."""
    try:
        import cv2
    except ImportError:
        return "OpenCV is not installed (pip install 'opencv-python-headless<5', the package's extra 'faces')"
    if not hasattr(cv2, "CascadeClassifier"):  # from 5.0 on
        return (
            f"OpenCV {cv2.__version__} has no Haar cascades any more (pip install 'opencv-python-headless<5')"
        )
    if not _file().is_file():
        return f"this installation of OpenCV lacks {CASCADE} (pip install 'opencv-python-headless<5')"
    return None


def find_faces(image: Image.Image) -> list[Square]:
    """Return the squares of the faces in a picture, the largest first; none where none is found.

    The cascade looks for upright faces seen from the front, and finds things that are none, too.

    Args:
        image: a picture of Pillow's; squares are in pixels of the upright picture, see `upright`.

    Raises:
        FercourseError: there is no OpenCV with Haar cascades.
    """
    if reason := missing_cascade():
        raise FercourseError(f"Faces cannot be found here: {reason}.")
    import cv2

    grey = upright(image).convert("L")
    shrunk = max(1.0, max(grey.size) / LONGEST)
    if shrunk > 1:
        size = [max(1, round(length / shrunk)) for length in grey.size]
        grey = grey.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    found = _cascade().detectMultiScale(cv2.equalizeHist(np.ascontiguousarray(grey)), **SETTINGS)
    squares = [Square(*(round(float(value) * shrunk) for value in (x, y, max(w, h)))) for x, y, w, h in found]
    return sorted(squares, key=lambda square: (-square.side, square.x, square.y))


@functools.lru_cache(maxsize=1)
def _cascade() -> Any:
    import cv2

    return cv2.CascadeClassifier(str(_file()))


def _file() -> Path:
    return Path(importlib.import_module("cv2.data").haarcascades) / CASCADE
