"""Smaller pictures for the committed notebooks: 256 colours are enough for a figure, where they are."""

from __future__ import annotations

import base64
import io

import numpy as np
from nbformat import NotebookNode
from PIL import Image

#: How far, of 255, one pixel in a thousand may be off; pictures that would be further off stay as they are.
#: What is off by that much is the smoothed edge of a letter.
TOLERANCE = 12


def smaller(png: bytes) -> bytes:
    """Return a picture with at most 256 colours, or the same where that shows or saves nothing.

    The same picture gives the same bytes. Pictures that can be seen through stay as they are.
    """
    picture = Image.open(io.BytesIO(png))
    if picture.mode not in ("RGB", "RGBA"):
        return png
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
        return png
    whole = picture.convert("RGB")
    few = whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
    off = np.abs(np.asarray(few.convert("RGB"), np.int16) - np.asarray(whole, np.int16)).max(axis=2)
    if np.percentile(off, 99.9) > TOLERANCE:
        return png
    written = io.BytesIO()
    few.save(written, "PNG", optimize=True, **({"dpi": picture.info["dpi"]} if "dpi" in picture.info else {}))
    return min(written.getvalue(), png, key=len)


def shrink(notebook: NotebookNode) -> None:
    """Make the pictures of a notebook's outputs smaller, in place."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                made = smaller(base64.b64decode(data["image/png"]))
                data["image/png"] = base64.b64encode(made).decode()
