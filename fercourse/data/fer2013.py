"""The comma-separated files of FER-2013: fer2013.csv, icml_face_data.csv and the train.csv/test.csv pair.

The reader works on blocks of a quarter of a megabyte, small enough for a processor's cache: every number in a
block is put together from its digits by a handful of array operations, so that no Python code runs per pixel,
and nothing but the images themselves is held in memory.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm import tqdm

from fercourse.data.faces import EMOTIONS, SPLITS, UNLABELLED, Faces, FaceSet
from fercourse.errors import FercourseError

PIXELS = 48 * 48
#: The file's own names of the splits.
USAGES = {"training": 0, "publictest": 1, "privatetest": 2}
#: MD5 of the challenge's files: with either, the data are official whatever else is known of them.
MD5 = {
    "fer2013.csv": "f8428a1edbd21e88f42c73edd2a14f95",
    "icml_face_data.csv": "b114b9e04e6949e5fe8b6a98b3892b1d",
}
_BLOCK = 1 << 18
_HEADERS = ({"emotion", "pixels", "usage"}, {"emotion", "pixels"}, {"pixels"})
_TRIMMED = b' "\r\t'
_LABELS = {str(label).encode(): label for label in range(len(EMOTIONS))}


@dataclass(frozen=True)
class Table:
    """One file's rows: uint8 images (N, 48, 48), int64 labels (N,), int8 usage (N,); -1 where not given."""

    images: np.ndarray
    labels: np.ndarray
    usage: np.ndarray
    columns: tuple[str, ...]


def read_csv(path: str | os.PathLike[str], *, progress: bool | None = None) -> Table:
    """Read a file of the challenge and check every value of it.

    Args:
        path: a file with the columns ``pixels`` and, in any order, ``emotion`` and ``Usage``.
        progress: show a bar on stderr; None shows it only on a terminal.

    Raises:
        FercourseError: the file is absent, empty, no such table, or a row is wrong: a label other than
            0 to 6, other than 2,304 pixels, a pixel above 255, a Usage that is not known. Rows are counted
            from 1 below the header.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            columns = _read_header(file, path, size)
            bar = tqdm(
                total=size,
                unit="B",
                unit_scale=True,
                desc=path.name,
                leave=False,
                disable=None if progress is None else not progress,
            )
            with bar:
                return _read_rows(file, path, size, columns, bar)
    except OSError as error:
        raise FercourseError(f"Cannot read {path}: {error.strerror or error}.") from error


def split_table(table: Table, *, layout: str, source: str, notes: tuple[str, ...] = ()) -> Faces:
    """Sort a table's rows into the three splits by its Usage column (kept in the file's order).

    Neighbouring rows of one split, as in the official file, are views of the table, not copies.
    """
    parts: list[FaceSet] = []
    for code, split in enumerate(SPLITS):
        rows = np.flatnonzero(table.usage == code)
        together = len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows)
        index = slice(rows[0], rows[-1] + 1) if together else rows
        parts.append(FaceSet(table.images[index], table.labels[index], split, rows))
    details = {"columns": list(table.columns), "sizes": {"48x48": len(table.labels)}, "rows": "source"}
    train, val, test = parts
    return Faces(train, val, test, layout, source, notes, details)


def _read_header(file: BinaryIO, path: Path, size: int) -> tuple[str, ...]:
    if size == 0:
        raise FercourseError(f"{path} is empty; expected the header 'emotion,pixels,Usage' and a row a face.")
    line = file.readline(4096)
    names = tuple(name.strip(' "\r\n\t').lower() for name in line.decode("utf-8-sig", "replace").split(","))
    if set(names) not in _HEADERS or len(set(names)) != len(names):
        raise FercourseError(
            f"{path} is no FER-2013 table: its first line is {line[:50]!r}, expected the columns emotion, "
            "pixels and Usage (or emotion, pixels; or pixels). Name a fer2013.csv or icml_face_data.csv."
        )
    return names


def _end_of_rows(file: BinaryIO, start: int, size: int) -> int:
    """Where the last row ends, leaving out line breaks and blanks after it."""
    end = size
    while end > start:
        step = min(1 << 16, end - start)
        file.seek(end - step)
        kept = len(file.read(step).rstrip(b" \r\n\t"))
        if kept:
            return end - step + kept
        end -= step
    return start


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytearray]:
    """Whole rows, about a block at a time; each block ends with a line break."""
    file.seek(start)
    left = end - start
    rest = b""
    while left > 0:
        data = file.read(min(_BLOCK, left))
        if not data:  # the file shrank while being read
            break
        left -= len(data)
        cut = data.rfind(b"\n") + 1 if left else len(data)
        if cut == 0:
            rest += data
            continue
        block = bytearray(rest)
        block += data[:cut]
        rest = data[cut:]
        if block[-1] != 10:
            block += b"\n"
        yield block
    if rest:
        yield bytearray(rest + b"\n")


def _read_rows(file: BinaryIO, path: Path, size: int, columns: tuple[str, ...], bar: tqdm) -> Table:
    start = file.tell()
    end = _end_of_rows(file, start, size)
    # No row is shorter than 2,304 digits and as many separators; pages that stay untouched cost no memory.
    room = (end - start + 1) // (2 * PIXELS) + 1
    images = np.empty((room, PIXELS), np.uint8)
    labels = np.full(room, UNLABELLED, np.int64)
    usage = np.full(room, -1, np.int8)
    count = 0
    workers = max(1, min(4, os.cpu_count() or 1))
    pending: deque[tuple[Future[None], int]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for block in _blocks(file, start, end):
                rows = block.count(b"\n")
                if count + rows > room:
                    # Too many line breaks for so few bytes: some row is too short. Find it.
                    _explain(bytes(block), columns, path, count)
                to = slice(count, count + rows)
                task = pool.submit(_parse, block, columns, path, count, images[to], labels[to], usage[to])
                pending.append((task, len(block)))
                count += rows
                while len(pending) > 2 * workers:
                    done, length = pending.popleft()
                    done.result()
                    bar.update(length)
            for done, length in pending:
                done.result()
                bar.update(length)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if count == 0:
        raise FercourseError(
            f"{path} holds a header and no row; expected a row a face. Fetch the file again."
        )
    return Table(images[:count].reshape(-1, 48, 48), labels[:count], usage[:count], columns)


def _parse(
    block: bytearray,
    columns: tuple[str, ...],
    path: Path,
    first: int,
    images: np.ndarray,
    labels: np.ndarray,
    usage: np.ndarray,
) -> None:
    """Parse a block of whole rows into the arrays; ``first`` rows came before it."""
    text = np.frombuffer(block, np.uint8)
    breaks = np.flatnonzero(text == 10)
    begins = np.concatenate(([0], breaks[:-1] + 1))
    commas = np.flatnonzero(text == 44)
    inner = len(columns) - 1
    if len(commas) != inner * len(breaks):
        _explain(bytes(block), columns, path, first)
    bounds = np.column_stack((begins - 1, commas.reshape(len(breaks), inner), breaks))
    if (np.diff(bounds, axis=1) < 1).any():
        _explain(bytes(block), columns, path, first)
    try:
        for name, target, known in (("emotion", labels, _LABELS), ("usage", usage, _USAGES)):
            if name in columns:
                place = columns.index(name)
                edges = bounds[:, place : place + 2].tolist()
                target[:] = [known[bytes(block[a + 1 : b].strip(_TRIMMED))] for a, b in edges]
    except KeyError:
        _explain(bytes(block), columns, path, first)
    # Blank out all but the pixels, so that every number left is a pixel.
    place = columns.index("pixels")
    edges = bounds[:, place : place + 2].tolist()
    previous = 0
    for a, b in edges:
        text[previous : a + 1] = 32
        while b > a + 1 and block[b - 1] in _TRIMMED:
            b -= 1
            text[b] = 32
        while a + 1 < b and block[a + 1] in _TRIMMED:
            a += 1
            text[a] = 32
        previous = b
    text[previous:] = 32
    values, ends, right = _numbers(text)
    counts = [np.count_nonzero(ends[a + 1 : b]) for a, b in edges]
    if not right or counts != [PIXELS] * len(breaks):
        _explain(bytes(block), columns, path, first, bounds[:, place : place + 2])
    images[:] = values.reshape(len(breaks), PIXELS)


_USAGES = {
    spelling.encode(): USAGES[name.lower()]
    for name in ("Training", "PublicTest", "PrivateTest")
    for spelling in (name, name.lower())
}


def _numbers(text: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Decimal numbers of up to three digits in uint8 ``text`` of digits and blanks.

    Returns:
        The numbers (uint8), a mask of where each one's last digit stands, and whether all is right:
        no other character, no number above 255.
    """
    digits = text - np.uint8(48)
    is_digit = digits < 10
    clean = np.count_nonzero(is_digit) + np.count_nonzero(text == 32) == len(text)
    digits *= is_digit.view(np.uint8)
    two = is_digit[1:] & is_digit[:-1]
    three = two[1:] & two[:-1]
    # count_nonzero is twenty times as fast as any here.
    four = np.count_nonzero(three[1:] & three[:-1])
    hundreds = digits[:-2] * three.view(np.uint8)
    value = digits.copy()
    digits *= np.uint8(10)
    value[1:] += digits[:-1] * two.view(np.uint8)
    value[2:] += hundreds * np.uint8(100)
    # 256 to 299 wrap around to less than 200.
    over = np.count_nonzero(hundreds > 2) + np.count_nonzero((hundreds == 2) & (value[2:] < 200))
    ends = is_digit
    ends[:-1] &= ~is_digit[1:]
    return np.compress(ends, value), ends, clean and not four and not over


def _explain(
    block: bytes, columns: tuple[str, ...], path: Path, first: int, pixels: np.ndarray | None = None
) -> None:
    """Raise the error that names the first wrong row of a block, and what is wrong with it.

    ``pixels`` are the bounds of the pixel fields where the other fields are known to be right: they have been
    blanked out by then.
    """
    lines = block.split(b"\n")[:-1] if pixels is None else [block[a + 1 : b] for a, b in pixels]
    for index, line in enumerate(lines):
        where = f"{path}, row {first + index + 1}"
        if pixels is not None:
            fields = {"pixels": line.decode("latin-1").strip(' "\r\t')}
        else:
            cells = [cell.decode("latin-1").strip(' "\r\t') for cell in line.split(b",")]
            if cells == [""]:
                raise FercourseError(f"{where}: the row is empty; expected {', '.join(columns)}.")
            if len(cells) != len(columns):
                raise FercourseError(
                    f"{where}: {len(cells)} comma-separated fields instead of {len(columns)} "
                    f"({', '.join(columns)}); the file may be cut short: fetch it again."
                )
            fields = dict(zip(columns, cells, strict=True))
        label = fields.get("emotion", "0")
        if label.encode("latin-1") not in _LABELS:
            raise FercourseError(f"{where}: the label is {label[:20]!r}; expected 0 to {len(EMOTIONS) - 1}.")
        use = fields.get("usage", "Training")
        if use.encode("latin-1") not in _USAGES:
            raise FercourseError(
                f"{where}: the Usage is {use[:30]!r}; expected Training, PublicTest or PrivateTest."
            )
        numbers = fields["pixels"].split()
        for number in numbers:
            if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) <= 255):
                raise FercourseError(
                    f"{where}: a pixel is {number[:20]!r}; expected whole numbers from 0 to 255."
                )
        if len(numbers) != PIXELS:
            raise FercourseError(
                f"{where}: {len(numbers):,} pixels instead of {PIXELS:,} (48x48); the file may be cut short: "
                "fetch it again."
            )
    raise FercourseError(f"{path}, rows {first + 1} and on: the rows are malformed; fetch the file again.")
