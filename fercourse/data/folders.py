"""Copies of FER-2013 as folders of image files, unpacked or zipped: {train,test}/<class>/*.jpg."""

from __future__ import annotations

import functools
import io
import os
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from fercourse.data.faces import EMOTIONS, SPLITS, Faces, FaceSet
from fercourse.data.hashes import OFFICIAL_SIZES, VAL_OR_TEST, assign_rows, match, official
from fercourse.errors import FercourseError, one_line

#: Other names under which copies keep the seven classes.
SYNONYMS = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "afraid": "fear", "happiness": "happy",
    "sadness": "sad", "surprised": "surprise", "suprise": "surprise", "neutrality": "neutral",
}  # fmt: skip
_SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "publictest": "val", "test": "test", "testing": "test", "privatetest": "test",
}  # fmt: skip
_PREFIXES = {"training": "train", "publictest": "val", "privatetest": "test"}
_NAME = re.compile(r"^(training|publictest|privatetest)[_-]?(\d+)?", re.IGNORECASE)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

#: Pixels a side beyond which an image is taken for damaged, and bytes of a zipped one.
LARGEST, LARGEST_FILE = 4096, 1 << 26

_CHUNK = 64


class Entry(NamedTuple):
    """One image file: its path below the source's root, class, and split by its folder (None without one)."""

    name: str
    label: int
    split: str | None


@functools.cache
def class_of(folder: str) -> int | None:
    """The label that a folder's name stands for, by name, never by alphabetical place; None for no class."""
    name = re.sub(r"^\d+[\s_.-]+", "", folder.strip().lower())
    name = SYNONYMS.get(name, name)
    if name in EMOTIONS:
        return EMOTIONS.index(name)
    return int(name) if name in {str(label) for label in range(len(EMOTIONS))} else None


def list_images(names: Sequence[str], where: str) -> list[Entry]:
    """Sort the image files of a copy by class and split; other files are left out.

    Raises:
        FercourseError: there is no image file, or one lies in no folder of the seven classes.
    """
    entries = []
    for name in sorted(names):
        parts = name.split("/")
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if hidden or not name.lower().endswith(IMAGE_SUFFIXES):
            continue
        label = class_of(parts[-2]) if len(parts) > 1 else None
        if label is None:
            raise FercourseError(
                f"{where}: {_plain(name)} does not lie in a folder of the seven classes "
                f"({', '.join(EMOTIONS)}); expected train/<class>/... and test/<class>/..."
            )
        splits = [_SPLIT_FOLDERS[part.lower()] for part in parts[:-1] if part.lower() in _SPLIT_FOLDERS]
        entries.append(Entry(name, label, splits[-1] if splits else None))
    if not entries:
        raise FercourseError(
            f"{where} holds no FER-2013 data: expected fer2013.csv, icml_face_data.csv, or images in "
            "train/<class>/ and test/<class>/."
        )
    return entries


def read_folder(path: Path, *, progress: bool | None = None) -> Faces:
    """Read a folder of images below ``train`` and ``test``, or below the classes alone.

    Raises:
        FercourseError: as `list_images`, or an image cannot be decoded.
    """
    names = []
    for folder, _, files in os.walk(path):
        below = os.path.relpath(folder, path).replace(os.sep, "/")
        names += files if below == "." else [f"{below}/{name}" for name in files]
    entries = list_images(names, str(path))
    return _read(entries, lambda name: (path / name).read_bytes(), str(path), "folder", progress)


def read_zip_images(archive: zipfile.ZipFile, path: Path, *, progress: bool | None = None) -> Faces:
    """Read the same layouts from an open .zip; errors as `read_folder`."""
    entries = list_images([info.filename for info in archive.infolist() if not info.is_dir()], str(path))

    def read(name: str) -> bytes:
        if archive.getinfo(name).file_size > LARGEST_FILE:
            raise ValueError(f"unpacks to more than {LARGEST_FILE >> 20} MiB")
        return archive.read(name)

    return _read(entries, read, str(path), "zip", progress)


def _plain(name: str) -> str:
    """A file's name for a message: as it is, or with its odd characters escaped."""
    return name if name.isprintable() else repr(name)


def decode(data: bytes) -> tuple[np.ndarray, tuple[int, int], str]:
    """Decode an image file to uint8 (48, 48); return it with the file's own size and colour mode."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        size, mode = image.size, image.mode
        if max(size) > LARGEST:  # a few bytes may promise gigabytes
            raise ValueError(f"{size[0]}x{size[1]} pixels; at most {LARGEST} a side are read")
        grey = image if mode == "L" else image.convert("L")
        if size != (48, 48):
            grey = grey.resize(
                (48, 48), Image.Resampling.BOX if min(size) >= 48 else Image.Resampling.BICUBIC
            )
        return np.asarray(grey), size, mode


def _read(
    entries: list[Entry], read: Callable[[str], bytes], where: str, kind: str, progress: bool | None
) -> Faces:
    images = np.empty((len(entries), 48, 48), np.uint8)
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()

    def load(start: int) -> list[tuple[tuple[int, int], str]]:
        kinds = []
        for place in range(start, min(start + _CHUNK, len(entries))):
            name = entries[place].name
            try:
                images[place], size, mode = decode(read(name))
            except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to
                raise FercourseError(
                    f"{where}: {_plain(name)} cannot be read as an image ({one_line(error, 80)}); fetch the "
                    "copy again."
                ) from error
            kinds.append((size, mode))
        return kinds

    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 1))) as pool:
        try:
            bar = tqdm(
                total=len(entries),
                unit="image",
                desc=Path(where).name,
                leave=False,
                disable=None if progress is None else not progress,
            )
            with bar:
                for kinds in pool.map(load, range(0, len(entries), _CHUNK)):
                    sizes.update(size for size, _ in kinds)
                    modes.update(mode for _, mode in kinds)
                    bar.update(len(kinds))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return _sort(entries, images, where, kind, sizes, modes)


def _sort(
    entries: list[Entry],
    images: np.ndarray,
    where: str,
    kind: str,
    sizes: Counter[tuple[int, int]],
    modes: Counter[str],
) -> Faces:
    """Decide each image's split and official row, and say how it was decided."""
    notes: list[str] = []
    labels = np.array([entry.label for entry in entries], np.int64)
    given = np.array([-1 if entry.split is None else SPLITS.index(entry.split) for entry in entries])
    named = np.full(len(entries), -1)
    hints = np.full(len(entries), -1)
    for place, entry in enumerate(entries):
        if found := _NAME.match(posixpath.basename(entry.name)):
            named[place] = SPLITS.index(_PREFIXES[found[1].lower()])
            hints[place] = int(found[2]) if found[2] and len(found[2]) < 12 else -1
    wide = {f"{width}x{height}": count for (width, height), count in sizes.most_common()}
    if set(sizes) != {(48, 48)}:
        other = len(entries) - sizes[(48, 48)]
        notes.append(
            f"{other:,} images were not 48x48 (the most common size is {next(iter(wide))}); resized."
        )
    # With a folder of its own the validation set is not mixed into test, and the folders say it all.
    splits, how = given.copy(), "folders"
    mixed = (given == SPLITS.index("test")) if not (given == SPLITS.index("val")).any() else given == -2
    open_ = mixed | (given < 0)
    if open_.any():
        if (named[open_] >= 0).all():
            from_name = open_ & ~(mixed & (named == SPLITS.index("train")))
            splits[from_name] = named[from_name]
            how = "file names"
        else:
            # Whatever says nothing stays where its folder put it; without one it is training data.
            splits[given < 0] = SPLITS.index("train")
            how = "folders alone"
    matched = match(images)
    wanted = np.where(named >= 0, named, np.where(mixed & (how == "folders alone"), VAL_OR_TEST, splits))
    rows = assign_rows(matched, labels, wanted, hints)
    if how == "folders alone":
        known = open_ & (rows >= 0)
        share = known.sum() / open_.sum()
        if share > 0.5:
            target = official().splits[np.maximum(rows, 0)]
            move = known & ((given < 0) | (target != SPLITS.index("train")))
            splits[move] = target[move]
            how = "table of image hashes"
            notes.append(
                f"The file names do not tell the split: that of {known.sum():,} of {open_.sum():,} images "
                "was recovered from the table of official image hashes."
            )
        else:
            notes.append(
                "The file names do not tell the split and the images are not the official ones: "
                f"{SPLITS[int(splits[open_][0])]} is as the folders say."
            )
    whole = (rows >= 0).all() and len(rows) > 0
    own = rows if whole else np.arange(len(entries))
    parts: list[FaceSet] = []
    for code, split in enumerate(SPLITS):
        index = np.flatnonzero(splits == code)
        index = index[np.argsort(own[index], kind="stable")]
        parts.append(FaceSet(images[index], labels[index], split, own[index].astype(np.int64)))
    details = {
        "sizes": wide,
        "modes": dict(modes),
        "rows": "official" if whole else "file order",
        "split_from": how,
        "file_names": _naming(entries),
        "suffixes": dict(Counter(posixpath.splitext(entry.name)[1].lower() for entry in entries)),
        "class_folders": sorted({posixpath.basename(posixpath.dirname(entry.name)) for entry in entries}),
        "names_disagree": int(((named >= 0) & (named != splits)).sum()),
    }
    if sum(OFFICIAL_SIZES.values()) != len(entries):
        notes.append(f"{len(entries):,} images instead of {sum(OFFICIAL_SIZES.values()):,}.")
    train, val, test = parts
    return Faces(train, val, test, f"kaggle {kind}", where, tuple(notes), details)


def _naming(entries: list[Entry]) -> dict[str, int]:
    """How the files are named: digits as #, the most common patterns with their counts."""
    patterns = Counter(re.sub(r"\d+", "#", posixpath.basename(entry.name)) for entry in entries)
    return dict(patterns.most_common(6))
