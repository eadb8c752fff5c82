"""From a box of the page's face detector to the square that FER-2013's faces were cut with, by measurement.

FER-2013's faces are squares that OpenCV's Haar cascade drew (Goodfellow et al. 2013). This program lets the
cascade (as `fercourse predict` does: it needs OpenCV 4, the package's extra "faces") and the page's detector
look at the same pictures, one of scikit-image's and your own, and writes how the two differ, as medians, to
book/_static/demo/detector/square.json, which the page reads:

    python tools/detector_square.py FOLDER...

The pictures are only looked at by the two programs: none is kept. The committed figures are of scikit-image's
astronaut, of the photographs in the demo of @vladmandic/face-api 1.7.15, and of those with a whole face in
the tests of face_recognition 1.3.0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "book" / "_static" / "demo" / "detector" / "square.json"
#: As book/_static/demo/detect.js has them.
SIDE, LEAST_SCORE, MOST_OVERLAP, STRIDE = 416, 0.5, 0.4, 32
#: Sides of the detector's input: faces of several sizes from each picture.
SIDES = (224, 320, 416, 512, 608)
LONGEST = 1000  # pixels of a picture as both see it
#: Haar finds faces where none are: a box counts where both agree on its middle, and roughly on its size.
MOST_OFF, SIZES = 0.5, (0.5, 2.0)


def boxes(answer: np.ndarray) -> np.ndarray:
    """Return what detect.js makes of the detector's answer: float (N, 5), x, y, width, height and score.

    The corner at the top left, in pixels of the detector's input; the surest first, each face once.
    """
    rows, columns, _ = np.indices(answer.shape[:3])
    found = answer.astype(np.float64)
    found[..., 0] += columns - found[..., 2] / 2
    found[..., 1] += rows - found[..., 3] / 2
    found[..., :4] *= STRIDE
    found = found.reshape(-1, 5)
    found = found[found[:, 4] >= LEAST_SCORE]
    kept: list[np.ndarray] = []
    for box in found[np.argsort(-found[:, 4], kind="stable")]:
        if all(_overlap(box, other) <= MOST_OVERLAP for other in kept):
            kept.append(box)
    return np.array(kept).reshape(-1, 5)


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:4], b[:2] + b[2:4])
    common = float(np.prod(np.maximum(high - low, 0)))
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def look(session: Any, image: Image.Image, side: int = SIDE) -> np.ndarray:
    """Return the page's detector's boxes in pixels of an RGB picture, as `boxes` gives them."""
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    pixels = np.zeros((side, side, 4), np.uint8)
    pixels[:height, :width, :3] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    found = boxes(session.run(None, {"pixels": pixels})[0])
    found[:, :4] /= scale
    return found


def pairs(haar: np.ndarray, ours: np.ndarray) -> Iterator[tuple[float, float, float]]:
    """Yield for each face that both found: Haar's side, and how far its middle lies right and down.

    Args:
        haar: (N, 3), x, y and side, as `fercourse.predict` gives them.
        ours: (M, 5), as `look` gives them.

    All three are shares of the root of the other box's area.
    """
    for x, y, width, height, _ in ours:
        size = (width * height) ** 0.5
        middle = np.array([x + width / 2, y + height / 2])
        for box in haar:
            right, down = (box[:2] + box[2] / 2 - middle) / size
            if max(abs(right), abs(down)) < MOST_OFF and SIZES[0] < box[2] / size < SIZES[1]:
                yield box[2] / size, right, down
                break


def summary(found: Sequence[tuple[float, float, float]]) -> dict[str, Any]:
    """Return the medians that the page uses, the quartiles, and of how many faces they are."""
    sides, right, down = np.array(found).T

    def quartiles(values: np.ndarray) -> list[float]:
        return [round(float(value), 3) for value in np.quantile(values, [0.25, 0.75])]

    return {
        "side": round(float(np.median(sides)), 3),
        "down": round(float(np.median(down)), 3),
        "side_quartiles": quartiles(sides),
        "down_quartiles": quartiles(down),
        "right": round(float(np.median(right)), 3),
        "pairs": len(found),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="*", type=Path, help="folders of pictures with faces")
    folders = parser.parse_args().folder
    from skimage import data

    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    source = import_module("fercourse_detector")
    from fercourse.errors import FercourseError
    from fercourse.files import write_text
    from fercourse.predict import haar

    weights = source.load_weights()
    session = onnxruntime.InferenceSession(source.detector(weights))
    pictures = [Image.fromarray(data.astronaut())]
    for folder in folders:
        paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".png")]
        pictures += [Image.open(path).convert("RGB") for path in paths]
    found: list[tuple[float, float, float]] = []
    for picture in pictures:
        picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        try:
            squares = [(one.x, one.y, one.side) for one in haar.find_faces(picture)]
        except FercourseError as error:
            sys.exit(str(error))
        for side in SIDES:
            found += pairs(np.array(squares, float).reshape(-1, 3), look(session, picture, side))
    record = {
        **summary(found),
        "pictures": len(pictures),
        "sides": list(SIDES),
        "detector": f"{source.NAME} {source.VERSION}",
        "against": f"OpenCV {version('opencv-python-headless')}, {haar.CASCADE}",
    }
    write_text(RECORD, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
