"""Arrays in an .npz file: all of them, or one clear sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fercourse.errors import FercourseError, one_line, shown


def read_arrays(path: str | os.PathLike[str], expected: str) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name. Nothing in the file can run code.

    Args:
        path: the file; zipfile checks every member's checksum as it is read.
        expected: what the file should hold, for the message.

    Raises:
        FercourseError: the file is absent, cut short, no .npz, or an array in it is damaged, of Python
            objects, or larger than memory.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except Exception as error:
        # numpy evaluates the text of headers, and zipfile trusts its own: what damaged ones raise has no
        # common base (TokenError, TypeError, BadZipFile, zlib.error, MemoryError and more were seen).
        raise FercourseError(f"{path} cannot be read ({one_line(error)}); {expected}.") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member without numpy's header comes as bytes
            raise FercourseError(f"{path}: {shown(name)} is no array of numpy's; {expected}.")
        # Beyond the last character of Unicode Python fails with an error of its own interior.
        if array.dtype.kind == "U" and np.array(array).view("<u4").max(initial=0) > 0x10FFFF:
            raise FercourseError(f"{path}: the text in {shown(name)} is damaged; {expected}.")
    return arrays
