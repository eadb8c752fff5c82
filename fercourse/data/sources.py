"""Where the data come from: a path, the environment, the cache, Kaggle, or the drawn faces."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fercourse.data import cache as store
from fercourse.data import folders, hashes
from fercourse.data.faces import SPLITS, Faces
from fercourse.data.tables import TABLES, read_npz, read_pair, read_table
from fercourse.data.votes import join_votes
from fercourse.errors import FercourseError, nearest, one_line

#: The public copy on Kaggle that is fetched where no source is named; it needs no account.
KAGGLE_DATASET = "msambare/fer2013"
#: Names of the drawn faces: 'synthetic' is the standard difficulty.
SYNTHETIC = ("synthetic", "synthetic-easy", "synthetic-standard", "synthetic-hard")
#: Bytes beyond which a zipped table is not unpacked; fer2013.csv has 301 million.
LARGEST_TABLE = 1 << 30
#: The file of FER+ votes that is joined where it lies in or beside the source.
VOTES = "fer2013new.csv"


class Found(NamedTuple):
    """A source on disk: its layout, its main path, the files its content consists of, and its reader."""

    layout: str
    path: Path
    files: list[store.File]
    read: Callable[[], Faces]


def load_faces(
    source: str | os.PathLike[str] | None = None,
    *,
    votes: str | os.PathLike[str] | None = None,
    cache: bool = True,
) -> Faces:
    """Load the three splits of a data set: uint8 images (N, 48, 48) and int64 labels each.

    Args:
        source: a ``fer2013.csv`` or ``icml_face_data.csv``, the challenge's ``train.csv`` beside
            ``test.csv``, a folder of images ``train/<class>/`` and ``test/<class>/``, a folder or .zip that
            holds any of these, an .npz with ``images``, ``labels`` and ``usage``; or 'synthetic',
            'synthetic-easy', 'synthetic-hard' for drawn faces. None looks for data in this order: the
            environment variable FERCOURSE_DATA, what was loaded and found to be FER-2013 before, Kaggle's
            public copy, and at last, with a loud warning, the drawn faces.
        votes: FER+ votes, a ``fer2013new.csv``; None takes the one that lies beside the source, if any.
        cache: keep parsed data for the next load and use what was kept (see `fercourse.data.cache`).

    Returns:
        The splits, with notes on whatever a user should know of this source.

    Raises:
        FercourseError: the source is absent, unreadable or wrong; the message says what and where.
    """
    if source is None:
        source = os.environ.get("FERCOURSE_DATA") or None
    if source is None:
        return _load_default(votes, cache)
    if str(source).startswith("synthetic") and not Path(source).exists():
        return _draw(str(source), votes)
    found = find_source(source)
    if votes is None:
        places = [found.path, found.path.parent] if found.path.is_dir() else [found.path.parent]
        votes = next((place / VOTES for place in places if (place / VOTES).is_file()), None)
    elif not Path(votes).is_file():
        raise FercourseError(f"There is no file of FER+ votes at {votes}; name a fer2013new.csv.")
    return _load(found, None if votes is None else Path(votes), cache)[0]


def find_source(source: str | os.PathLike[str]) -> Found:
    """Find out what lies at a path.

    Raises:
        FercourseError: nothing lies there, or nothing that holds FER-2013 in a known layout.
    """
    path = Path(source).expanduser()
    if not path.exists():
        known = nearest(path.name, SYNTHETIC)
        raise FercourseError(
            f"There is no file or folder {path}{known}; name a fer2013.csv, a folder or .zip of the data, "
            "or 'synthetic'."
        )
    if path.is_dir():
        return _find_in_folder(path)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        pair = path.parent / "test.csv" if path.name == "train.csv" else path.parent / "train.csv"
        if path.name in ("train.csv", "test.csv") and pair.is_file():
            return _pair(path.parent)
        layout = path.name if path.name in TABLES else "table"
        return Found(layout, path, store.list_files(path), lambda: read_table(path))
    if suffix == ".zip":
        return Found("zip", path, store.list_files(path), lambda: _read_zip(path))
    if suffix == ".npz":
        return Found("npz", path, store.list_files(path), lambda: read_npz(path))
    raise FercourseError(
        f"{path} is of no kind that can be read: expected a .csv, .npz, .zip or a folder"
        + ("; unpack the archive first." if suffix in (".gz", ".tar", ".tgz", ".7z", ".rar", ".xz") else ".")
    )


def _find_in_folder(path: Path) -> Found:
    for folder in (path, path / "fer2013"):
        for name in TABLES:
            if (folder / name).is_file():
                return find_source(folder / name)
        if (folder / "train.csv").is_file() and (folder / "test.csv").is_file():
            return _pair(folder)
    try:
        files = store.list_files(path)
    except OSError as error:
        raise FercourseError(f"Cannot read the folder {path}: {error.strerror or error}.") from error
    images = [file for file in files if file.path.lower().endswith(folders.IMAGE_SUFFIXES)]
    if images:
        return Found("kaggle folder", path, images, lambda: folders.read_folder(path))
    archives = [file for file in files if file.path.lower().endswith((".zip", ".npz"))]
    if len(archives) == 1:
        return find_source(archives[0].path)
    what = (
        "is empty" if not files else f"holds no FER-2013 data (but {Path(files[0].path).name} and the like)"
    )
    raise FercourseError(
        f"The folder {path} {what}; expected fer2013.csv, icml_face_data.csv, train.csv beside test.csv, or "
        "images in train/<class>/ and test/<class>/."
    )


def _pair(folder: Path) -> Found:
    train, test = folder / "train.csv", folder / "test.csv"
    return Found(
        "train.csv and test.csv",
        folder,
        [*store.list_files(train), *store.list_files(test)],
        lambda: read_pair(train, test),
    )


def _load(found: Found, votes: Path | None, cache: bool) -> tuple[Faces, str | None]:
    """Load from the cache or the source; return the faces and their key in the cache (None without)."""
    key = None
    if cache:
        salt = found.layout
        if votes is not None:
            try:
                salt += hashlib.sha256(votes.read_bytes()).hexdigest()
            except OSError as error:
                raise FercourseError(f"Cannot read the FER+ votes in {votes}: {one_line(error)}.") from error
        key = store.content_key(found.files, found.path, salt)
        if (kept := store.read_entry(key)) is not None:
            return replace(kept, source=str(found.path)), key
    faces = found.read()
    if votes is not None:
        faces = join_votes(faces, votes)
    # What is FER-2013, whole, may be loaded without being named from now on.
    if key is not None and store.write_entry(key, faces) and is_complete(faces):
        store.remember_default(key)
    return faces, key


def is_complete(faces: Faces) -> bool:
    """Whether every official image is there: its row recovered, in its split, with its label.

    This is what a download must pass; `fercourse.data.audit` says in words what is amiss elsewhere.
    """
    table = hashes.official()
    for code, part in enumerate(faces):
        own = np.flatnonzero(table.splits == code)
        if len(part) != len(own) or not np.array_equal(
            part.counts, np.bincount(table.labels[own], minlength=7)
        ):
            return False
    images = np.concatenate([part.images for part in faces])
    labels = np.concatenate([part.labels for part in faces])
    splits = np.repeat(np.arange(len(SPLITS)), [len(part) for part in faces])
    rows = hashes.assign_rows(hashes.match(images), labels, splits)
    return bool(
        (rows >= 0).all()
        and np.array_equal(table.labels[rows], labels)
        and np.array_equal(table.splits[rows], splits)
    )


def _load_default(votes: str | os.PathLike[str] | None, cache: bool) -> Faces:
    if cache and (key := store.default_key()) and (kept := store.read_entry(key)) is not None:
        return kept if votes is None else join_votes(kept, Path(votes))
    try:
        faces = _download(cache)
    except FercourseError as error:
        message = (
            f"NO FER-2013 DATA: {error} The faces you get are DRAWN, not photographs, and no result on them "
            "says anything of FER-2013. Set FERCOURSE_DATA to your copy, or name it."
        )
        warnings.warn(message, stacklevel=3)
        print(f"fercourse: {message}", file=sys.stderr)
        return _draw("synthetic", votes)
    return faces if votes is None else join_votes(faces, Path(votes))


def _download(cache: bool) -> Faces:
    """Fetch Kaggle's public copy and accept it only when every official image is in it.

    Raises:
        FercourseError: kagglehub is not installed, the network or the server fails, or the copy is not whole.
    """
    try:
        import kagglehub
    except ImportError as error:
        raise FercourseError(f"kagglehub is not installed ({error}).") from error
    trouble = ""
    for again in (False, True):
        try:
            # A second try fetches anew what an interrupted download left in kagglehub's own folder.
            folder = kagglehub.dataset_download(KAGGLE_DATASET, force_download=again)
        except Exception as error:  # whatever the network, the server or the library raises
            why = (str(error).splitlines() or [""])[0][:150]
            raise FercourseError(
                f"{KAGGLE_DATASET} could not be fetched from Kaggle ({type(error).__name__}: {why})."
            ) from error
        try:
            found = find_source(folder)
            faces = found.read()
        except FercourseError as error:
            trouble = str(error)
            continue
        if is_complete(faces):
            if cache:
                key = store.content_key(found.files, found.path, found.layout)
                if store.write_entry(key, faces):
                    store.remember_default(key)
            return faces
        trouble = f"the copy in {folder} is not whole, or not FER-2013 ({sum(map(len, faces)):,} images)."
    raise FercourseError(f"{KAGGLE_DATASET} was fetched from Kaggle twice, but {trouble}")


def _draw(source: str, votes: str | os.PathLike[str] | None) -> Faces:
    if source not in SYNTHETIC:
        raise FercourseError(
            f"There is no source {source!r}{nearest(source, SYNTHETIC)}; the drawn faces are "
            f"{', '.join(SYNTHETIC)}."
        )
    if votes is not None:
        raise FercourseError("FER+ votes belong to photographs; drawn faces have none: leave votes out.")
    from fercourse.data.synthetic import synthetic_faces

    return synthetic_faces(source.partition("-")[2] or "standard")


def _read_zip(path: Path) -> Faces:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            tables = [name for want in TABLES for name in names if name.split("/")[-1] == want]
            if not tables:
                return replace(folders.read_zip_images(archive, path), layout="kaggle zip")
            if archive.getinfo(tables[0]).file_size > LARGEST_TABLE:
                raise ValueError(f"{tables[0]} unpacks to more than {LARGEST_TABLE >> 30} GiB")
            # The table's reader goes back and forth in its file, so it is unpacked for the while.
            with tempfile.TemporaryDirectory(prefix="fercourse-") as folder:
                unpacked = archive.extract(tables[0], folder)
                faces = read_table(Path(unpacked), f"{path}/{tables[0]}")
            return replace(faces, source=str(path))
    except FercourseError:
        raise
    except Exception as error:  # zipfile and the decoders behind it trust what headers say
        raise FercourseError(
            f"{path} is no .zip that can be read ({one_line(error)}); it may be cut short or something else "
            "under that name: fetch it again."
        ) from error
