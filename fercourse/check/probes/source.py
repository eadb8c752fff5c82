"""Whose line it was: the student's code told from PyTorch's, and what an exception means in plain words."""

from __future__ import annotations

import linecache
import re
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fercourse.errors import one_line

_CHECKERS = str(Path(__file__).parents[1])
_STANDARD = sysconfig.get_paths()["stdlib"]


@dataclass(frozen=True)
class Line:
    """A line of the student's code: function, number in its cell or file, and text."""

    function: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"line {self.number} of {self.function}" + (f", `{self.text}`" if self.text else "")


def is_student(filename: str) -> bool:
    """Whether a file is the student's: no installed library, not Python's own, not the checkers."""
    installed = "site-packages" in filename or "dist-packages" in filename
    return not (installed or filename.startswith((_CHECKERS, _STANDARD, "<frozen", "<string>")))


def raised_at(error: BaseException) -> Line | None:
    """Return the innermost line of the student's code in an exception's traceback, if there is one."""
    found = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if is_student(frame.f_code.co_filename):
            found = _line(frame, number)
    return found


def called_from(depth: int = 1) -> tuple[Line | None, bool]:
    """Return the innermost line of the student's code now running, and whether it made the call itself."""
    frame: FrameType | None = sys._getframe(depth + 1)
    direct = True
    while frame is not None:
        filename = frame.f_code.co_filename
        if is_student(filename):
            return _line(frame, frame.f_lineno), direct
        if not filename.startswith(_CHECKERS):
            direct = False
        frame = frame.f_back
    return None, False


def _line(frame: FrameType, number: int) -> Line:
    text = linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()
    return Line(frame.f_code.co_name, number, text if len(text) <= 60 else text[:57] + "...")


def explain(error: BaseException, what: str = "forward") -> str:
    """Return what was raised, on which line of the student's, and what to try where the cause is known."""
    at = raised_at(error)
    place = f" ({at})" if at else ""
    return f"{what} raised {type(error).__name__}{place}: {one_line(error, 160)}{_advice(str(error))}"


def _advice(message: str) -> str:
    for pattern, advice in _CAUSES:
        if found := re.search(pattern, message, re.DOTALL):
            text = message if message.rstrip().endswith((".", "!", "?")) else ""
            return (" " if text else ". ") + found.expand(advice)
    return ""


#: Parts of PyTorch's messages and what they mean here; groups of the pattern appear in the advice.
_CAUSES = (
    (
        r"mat1 and mat2 shapes cannot be multiplied \(1x\d+ and|size mismatch, got input",
        "All images have become one row: flatten from axis 1 on, with x.flatten(1).",
    ),
    (
        r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x",
        r"A dense layer made for \2 features gets \1: its in_features must be channels x height x width of "
        "what is flattened before it.",
    ),
    (
        r"to have (\d+) channels, but got (\d+) channels",
        r"A convolution made for \1 channels gets \2: its in_channels must be the out_channels of the layer "
        "before it, and the first one's those of the images (check_model's in_channels).",
    ),
    (
        r"running_mean should contain (\d+) elements not (\d+)",
        r"A batch norm made for \2 channels gets \1: num_features must be the out_channels before it.",
    ),
    (
        r"is missing the required \"forward\" function",
        "Define forward(self, x) in the class, indented there.",
    ),
    (
        r"before Module.__init__\(\) call|object has no attribute '_modules'",
        "Call super().__init__() on the first line of __init__.",
    ),
    (
        r"forward\(\) takes \d+ positional arguments? but \d+ (was|were) given",
        "Write def forward(self, x): it is called with the images and nothing else.",
    ),
    (r"forward\(\) missing \d+ required", "forward is called with the images alone: give the rest defaults."),
    (
        r"same dtype|expected scalar type|should be the same|must have the same dtype",
        "Images are float32 and lie on the network's device: weights and whatever is made in forward must "
        "too.",
    ),
    (
        r"The size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)",
        r"Two tensors of different sizes (\1 and \2) meet: a shortcut needs the shape of the branch that it "
        "is added to.",
    ),
    (
        r"Output size is too small|Kernel size can't be greater|non-positive size",
        "The image has become smaller than a kernel: use fewer poolings, smaller strides, or padding.",
    ),
    (
        r"modified by an inplace operation",
        "Write x = x + y in place of x += y, and leave inplace=True out, where a value is needed again.",
    ),
    (
        r"view size is not compatible",
        "Use reshape or flatten(1) in place of view after a permutation of the axes.",
    ),
    (r"Expected more than 1 value per channel", "Batch norm needs more than one value a channel to average."),
    (
        r"object has no attribute '(\w+)'",
        r"Is \1 made in __init__, as self.\1, under the same name?",
    ),
)
