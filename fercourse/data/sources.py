"""Where the data come from: a path, the environment, the cache, Kaggle, or the drawn faces."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from fercourse.data import cache as store
from fercourse.data.faces import Faces
from fercourse.data.fer2013 import read_csv, split_table
from fercourse.errors import FercourseError


def load_faces(
    source: str | os.PathLike[str] | None = None,
    *,
    votes: str | os.PathLike[str] | None = None,
    cache: bool = True,
) -> Faces:
    """Load the three splits of a data set."""
    if source is None:
        source = os.environ.get("FERCOURSE_DATA")
    if source is None:
        raise FercourseError("No source named.")
    if str(source).startswith("synthetic"):
        from fercourse.data.synthetic import synthetic_faces

        return synthetic_faces(str(source).partition("-")[2] or "standard")
    path = Path(source).expanduser()
    if path.is_dir() and (path / "fer2013.csv").is_file():
        path = path / "fer2013.csv"
    key = store.content_key([path], path, "csv") if cache else ""
    if cache and (kept := store.read_entry(key)):
        return replace(kept, source=str(path))
    faces = split_table(read_csv(path), layout="fer2013.csv", source=str(path))
    if cache:
        store.write_entry(key, faces)
    return faces
