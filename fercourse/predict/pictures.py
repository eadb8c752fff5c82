"""From a file or a picture of any kind to 48x48 grey pixels, as the training images are."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from fercourse.errors import FercourseError, one_line

SIDE = 48  # of the training images
#: What transparent pixels lie over: grey, which is nearest to any background.
BEHIND = 128
#: Formats that are read. Others that Pillow knows run programs of their own (EPS) or hold no photographs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA", "ICO")


class Square(NamedTuple):
    """A square of a picture: left edge, upper edge and side, in pixels of the upright picture."""

    x: int
    y: int
    side: int


def read_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Return a picture from a file: upright, in 8 bits, grey ('L') or colour ('RGB'), see `upright`.

    Of an animation it is the first frame.

    Raises:
        FercourseError: there is no such file, it is empty, damaged, no picture in one of `FORMATS`, or would
            take more pixels than Pillow holds to be safe (a decompression bomb).
    """
    path = Path(path)
    if path.is_dir():
        raise FercourseError(f"{path} is a folder; expected a picture.")
    if not path.exists():
        raise FercourseError(f"There is no picture {path}: look at the name and the folder.")
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]  # which there are depends on Pillow's version
    try:
        if not path.stat().st_size:
            raise FercourseError(f"{path} is empty: copy or save the picture again.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a file's notes
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=known) as image:
                image.load()
                return upright(image)
    except FercourseError as error:
        raise FercourseError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FercourseError(
            f"{path} would take more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels, as files do that are made "
            "to fill a memory: make the picture smaller."
        ) from error
    except UnidentifiedImageError as error:
        raise FercourseError(
            f"{path} is not a picture, or not in a format that is read here ({', '.join(known)}): "
            "save it as JPEG or PNG."
        ) from error
    except PermissionError as error:
        raise FercourseError(f"{path} cannot be read: you are not allowed to ({one_line(error)}).") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise FercourseError(
            f"{path} is damaged or cut short ({one_line(error)}): copy or save the picture again."
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its EXIF note says, in 8 bits, as 'L' (grey) or 'RGB'.

    16 bits become 8, palettes become colours, transparent pixels lie over mid-grey (128). Colour profiles are
    not looked at. What is so already is returned as it is.

    Raises:
        FercourseError: values of 32 bits or floating point whose range is not known.
    """
    image = _turned(image)
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_in_8_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image  # Pillow knows no way of one step
        image = image.convert("RGBA")
        behind = Image.new("RGBA", image.size, (BEHIND, BEHIND, BEHIND, 255))
        return Image.alpha_composite(behind, image).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


#: The note's number in EXIF, and what undoes each way in which a picture may lie (EXIF 2.3, 4.6.4).
_ORIENTATION = 0x0112
#: Where Pillow keeps it.
_NOTES = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _turned(image: Image.Image) -> Image.Image:
    """Return a picture as its EXIF note says, without the note; one whose notes cannot be read as it is.

    Pillow's own `ImageOps.exif_transpose` writes all other notes anew, and fails where a camera wrote one of
    them wrongly.
    """
    try:
        method = _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # notes are data of anybody's making, and the pixels do not depend on them
        method = None
    if method is None:
        return image
    turned = image.transpose(method)
    for name in _NOTES:
        turned.info.pop(name, None)
    return turned


def _in_8_bits(values: np.ndarray) -> np.ndarray:
    """16-bit grey as 8-bit grey; floats from 0 to 1 as well."""
    most = 1.0 if values.dtype.kind == "f" else 65535.0
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= most):
        low, high = float(values.min()), float(values.max())
        raise FercourseError(
            f"the picture's values run from {low:g} to {high:g}, and how bright they are is not known: save "
            "it with 8 or 16 bits."
        )
    return np.round(values * (255.0 / most)).astype(np.uint8)


def centred_square(size: tuple[int, int]) -> Square:
    """Return the largest square in the middle of a picture of this width and height."""
    width, height = size
    side = min(width, height)
    return Square((width - side) // 2, (height - side) // 2, side)


def prepare(
    image: Image.Image | np.ndarray, square: Square | tuple[int, int, int] | None = None
) -> np.ndarray:
    """Return a square of a picture as the networks see it: grey, uint8, (48, 48), 0 is black.

    Cut out, made grey as Pillow's 'L' does, (19595 R + 38470 G + 7471 B + 32768) >> 16, and brought to size
    by Pillow's BILINEAR, whose triangle widens when it shrinks, so that no pixel is passed over. The page of
    the book that runs the network does the same.

    Args:
        image: a picture of Pillow's, of any mode (see `upright`), or uint8 (H, W), (H, W, 3) or (H, W, 4).
        square: x, y and side in pixels of the upright picture; it may reach over the edge, whose pixels are
            then repeated. None: the largest one in the middle.

    Raises:
        FercourseError: the array is no picture, or the square has no side or one beyond all pictures.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,), (4,)):
            raise FercourseError(
                f"The picture is {image.dtype} of shape {image.shape}; expected uint8, (H, W), (H, W, 3) or "
                "(H, W, 4)."
            )
        if not image.size:
            raise FercourseError(f"The picture has no pixels (shape {image.shape}).")
        image = Image.fromarray(image)
    image = upright(image)
    x, y, side = (round(value) for value in square or centred_square(image.size))
    if not 1 <= side <= 4 * max(image.size):
        raise FercourseError(
            f"The square has a side of {side} pixels; expected at least 1, and at most 4 times the picture's "
            f"{max(image.size)}."
        )
    # What lies beyond an edge repeats its pixels: each row and column asks for the nearest one there is.
    columns = np.clip(np.arange(x, x + side), 0, image.width - 1)
    rows = np.clip(np.arange(y, y + side), 0, image.height - 1)
    left, top = int(columns[0]), int(rows[0])
    grey = np.asarray(image.crop((left, top, int(columns[-1]) + 1, int(rows[-1]) + 1)).convert("L"))
    cut = grey[np.ix_(rows - top, columns - left)]
    return np.array(Image.fromarray(cut).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def picture_files(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that names stand for: of a folder all pictures in it and below, in order of name.

    Raises:
        FercourseError: a folder holds no picture.
    """
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    files: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)  # also one that is not there: that is told when it is read
            continue
        inside = sorted(
            one
            for one in path.rglob("*")
            if one.suffix.lower() in known and one.is_file() and not one.name.startswith(".")
        )
        if not inside:
            raise FercourseError(
                f"{path} holds no picture, nor do the folders in it: expected files such as face.jpg."
            )
        files += inside
    return list(dict.fromkeys(files))
