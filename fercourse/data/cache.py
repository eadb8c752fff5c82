"""A second load in a blink: parsed faces, kept by the content of what they were parsed from.

An entry's name is a hash of the source's bytes, so an edited source finds no entry. Hashing 300 MB takes
longer than a load should, so an index remembers the hash of a file by its size, inode and times, as git does;
POSIX systems set the change time themselves at every write, whatever a program then does to the modification
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fercourse.data.arrays import read_arrays
from fercourse.data.faces import SPLITS, Faces, FaceSet
from fercourse.errors import FercourseError
from fercourse.files import atomic_path, write_text

#: Goes into every key: raise it when a reader changes what it makes of the same bytes.
READER = 1
#: Entries kept; the one unused for longest makes room.
ENTRIES = 6

_CHUNK = 1 << 23
#: What JSON of another kind, or nested too deep, leads to; a FercourseError is a ValueError.
_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def cache_folder() -> Path:
    """The folder of parsed data: ``FERCOURSE_CACHE``, else the platform's own cache folder / fercourse."""
    if chosen := os.environ.get("FERCOURSE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fercourse"


class File(NamedTuple):
    """A file as it stands: what changes when it is written to."""

    path: str
    size: int
    modified: int
    changed: int
    inode: int


def list_files(path: str | os.PathLike[str]) -> list[File]:
    """The files that make up a source: itself, or every file under a folder that is not hidden, by name."""
    if not os.path.isdir(path):
        return [_file(os.fspath(path), os.stat(path))]
    found: list[File] = []
    folders = [os.fspath(path)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.path)
                else:
                    found.append(_file(entry.path, entry.stat()))
    return sorted(found)


def _file(path: str, stat: os.stat_result) -> File:
    return File(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def content_key(files: Sequence[File], root: Path, salt: str) -> str:
    """A hash of the files' names below ``root`` and bytes, and of ``salt`` and the reader's version.

    Asks the index first and reads the bytes only where it does not know these files as they stand now.

    Raises:
        FercourseError: a file cannot be read.
    """
    try:
        signature = _signature(files)
        index = cache_folder() / "index" / (_hex(f"{os.path.abspath(root)}|{files[0].path}") + ".json")
        content = _recall(index, signature)
        if content is None:
            started = time.time_ns()
            content = _content(files, root)
            # A file written again within one tick of the clock looks the same: trust only what has settled.
            newest = max(max(file.modified, file.changed) for file in files)
            coarse = any(file.changed % 1_000_000_000 == 0 for file in files)
            settled = started - newest > (2_000_000_000 if coarse else 50_000_000)
            if settled and _signature([_file(file.path, os.stat(file.path)) for file in files]) == signature:
                with contextlib.suppress(FercourseError):
                    write_text(index, json.dumps({"signature": signature, "content": content}))
    except OSError as error:
        raise FercourseError(f"Cannot read {error.filename or root}: {error.strerror or error}.") from error
    return _hex(f"{READER}|{salt}|{content}")


def read_entry(key: str) -> Faces | None:
    """The faces kept under ``key``; None where there are none. A damaged entry is removed, with a warning."""
    path = _entry(key)
    try:
        if not path.is_file():
            return None
        # Members are stored, not compressed, and zipfile checks each one's checksum as it is read.
        arrays = read_arrays(path, "expected an entry of the cache")
        faces = _unpack(arrays, json.loads(arrays.pop("meta").tobytes().decode()))
    except _BROKEN:
        warnings.warn(f"The cached data in {path} are damaged; reading the source again.", stacklevel=3)
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return faces


def write_entry(key: str, faces: Faces) -> bool:
    """Keep ``faces`` under ``key``; return False, with a warning, where the folder cannot be written."""
    parts = list(faces)
    arrays = {
        "images": np.concatenate([part.images for part in parts]),
        "labels": np.concatenate([part.labels for part in parts]),
        "rows": np.concatenate([part.rows for part in parts]),
    }
    if all(part.votes is not None for part in parts):
        arrays["votes"] = np.concatenate([part.votes for part in parts])
    meta = {
        "sizes": [len(part) for part in parts],
        "layout": faces.layout,
        "source": faces.source,
        "notes": faces.notes,
        "details": faces.details,
    }
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    path = _entry(key)
    try:
        with atomic_path(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
    except FercourseError as error:
        warnings.warn(f"{error} The data are not cached; set FERCOURSE_CACHE.", stacklevel=3)
        return False
    with contextlib.suppress(OSError):
        kept = sorted(path.parent.glob("*.npz"), key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in kept[ENTRIES:]:
            entry.unlink()
    return True


def remember_default(key: str) -> None:
    """Make ``key`` what is loaded when no source is named."""
    with contextlib.suppress(FercourseError):
        write_text(cache_folder() / "default.json", json.dumps({"key": key}))


def default_key() -> str | None:
    """The key that `remember_default` wrote last; None where there is none."""
    try:
        key = json.loads((cache_folder() / "default.json").read_text(encoding="utf-8"))["key"]
    except _BROKEN:
        return None
    return key if isinstance(key, str) and key.isalnum() else None


def _entry(key: str) -> Path:
    return cache_folder() / "faces" / f"{key}.npz"


def _unpack(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> Faces:
    sizes = meta["sizes"]
    if any(type(size) is not int or size < 0 for size in sizes):
        raise FercourseError("The entry's sizes are no sizes.")
    for array in arrays.values():
        if array.ndim == 0 or len(array) != sum(sizes):
            raise FercourseError("The entry's sizes do not add up.")
    if arrays["rows"].dtype != np.int64 or arrays["rows"].ndim != 1:
        raise FercourseError("The entry's rows are no row numbers.")
    if not isinstance(meta["details"], dict) or not all(isinstance(note, str) for note in meta["notes"]):
        raise FercourseError("The entry's notes and details are of another kind.")
    parts: list[FaceSet] = []
    start = 0
    for split, size in zip(SPLITS, sizes, strict=True):
        to = slice(start, start + size)
        votes = arrays["votes"][to] if "votes" in arrays else None
        parts.append(
            FaceSet(arrays["images"][to], arrays["labels"][to], split, arrays["rows"][to], votes=votes)
        )
        start += size
    train, val, test = parts
    layout, source = str(meta["layout"]), str(meta["source"])
    return Faces(train, val, test, layout, source, tuple(meta["notes"]), meta["details"])


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _signature(files: Sequence[File]) -> str:
    return _hex(repr([tuple(file) for file in files]))


def _recall(index: Path, signature: str) -> str | None:
    try:
        known = json.loads(index.read_text(encoding="utf-8"))
        return known["content"] if known["signature"] == signature else None
    except _BROKEN:
        return None


def _content(files: Sequence[File], root: Path) -> str:
    """A hash of names and bytes, taken chunk by chunk on all processors."""
    chunks = [(file.path, start) for file in files for start in range(0, max(1, file.size), _CHUNK)]

    def digest(chunk: tuple[str, int]) -> bytes:
        file, start = chunk
        with open(file, "rb", buffering=0) as handle:
            handle.seek(start)
            name = os.path.relpath(file, root) if len(files) > 1 else ""
            parts = hashlib.sha256(f"{name}|{start}|".encode("utf-8", "surrogateescape"))
            left = _CHUNK
            while left and (data := handle.read(min(left, 1 << 20))):
                parts.update(data)
                left -= len(data)
            return parts.digest()

    with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool:
        whole = hashlib.sha256()
        for part in pool.map(digest, chunks):
            whole.update(part)
    return whole.hexdigest()
