"""Files that are either whole or absent, and folders that one process at a time works in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fercourse.errors import FercourseError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends without error.

    A reader sees the old file or the new one, never half of it. The parent folder is made if need be.

    Raises:
        FercourseError: the folder cannot be written to, or the disk is full; ``path`` is as it was.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last: writers such as numpy.savez append one that they miss.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FercourseError(
            f"Cannot write {path}: {reason}. Choose a folder that can be written to and has room."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, whole or not at all; errors as in `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def clear_temporary(folder: str | os.PathLike[str]) -> None:
    """Delete what killed writers have left in a folder that nobody else writes to (see `locked`)."""
    for path in Path(folder).glob(".*-????????.*"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: str | os.PathLike[str], busy: str, *, timeout: float = 0.0) -> Iterator[None]:
    """Hold the lock file ``path`` while the block runs; it frees itself if the process dies.

    Args:
        path: made if need be, with its folder, and left behind: deleting it could let two in at once.
        busy: what to say if another process holds it, without a full stop.
        timeout: seconds to wait for it.

    Raises:
        FercourseError: another process holds it, or the folder cannot be written to.
    """
    path = Path(path)
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout)
    except Timeout as error:
        raise FercourseError(
            f"{busy} by another process (it holds {path}): wait for it, or stop it."
        ) from error
    except NotImplementedError:
        pass  # a file system without locks, such as a mounted cloud drive: better without than not at all
    except OSError as error:
        raise FercourseError(
            f"Cannot write {path}: {error.strerror or error}. Choose a folder that can be written to."
        ) from error
    try:
        yield
    finally:
        lock.release()
