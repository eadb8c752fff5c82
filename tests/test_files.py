"""Files are whole or absent."""

from __future__ import annotations

import errno
import os

import pytest

from fercourse.errors import FercourseError
from fercourse.files import atomic_path, write_text


def test_writes_whole_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_text(path, "héllo")
    assert path.read_text(encoding="utf-8") == "héllo"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half of the ne")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    path = tmp_path / "note.txt"
    with (
        pytest.raises(FercourseError, match=r"Cannot write .*note\.txt: No space left") as caught,
        atomic_path(path),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FercourseError, match="Cannot write"):
        write_text(tmp_path / "file" / "note.txt", "x")
