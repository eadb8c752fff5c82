"""Files of npm packages, fetched when the book is built, for what no Python package carries.

The program `npm` fetches a package from wherever it is set up to; what it brings is compared with the SHA-512
that stands here, and the few files that a page loads are kept in the user's cache. The next build needs no
network. Where nothing can be fetched, the build says so in a line and goes on: it is the page that must do
without, and say that it does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sphinx.application import Sphinx

from fercourse.data.cache import cache_folder
from fercourse.errors import FercourseError, one_line
from fercourse.files import write_text

#: Beside the kept files: the SHA-256 of each, by its path.
LIST = "files.json"
SECONDS = 300
#: Without a network, npm would try for minutes before it says so.
PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")


def files_of(name: str, version: str, integrity: str, members: Sequence[str]) -> Path:
    """Return a folder that holds these files of an npm package, fetched if need be.

    Args:
        name, version: as npm has them, such as ``onnxruntime-web`` and ``1.30.0``.
        integrity: of the package's archive, ``sha512-`` and base64: `npm view NAME@VERSION dist.integrity`.
        members: paths in the package, such as ``dist/ort.wasm.min.mjs``; the folder holds no others.

    Raises:
        FercourseError: there is no npm, it fetches nothing, the archive is another or lacks a member, or
            the cache cannot be written; the cache is as it was.
    """
    algorithm, _, wanted = integrity.partition("-")
    if algorithm != "sha512" or len(base64.b64decode(wanted)) != hashlib.sha512().digest_size:
        raise FercourseError(f"{name}: the integrity {integrity!r} is no SHA-512; npm view shows it.")
    if any(PurePosixPath(member).is_absolute() or ".." in member.split("/") for member in members):
        raise FercourseError(f"{name}: {', '.join(members)} must be paths within the package.")
    # Named after what is in it: another archive or another choice of files is another folder.
    choice = hashlib.sha256("\n".join([integrity, *sorted(members)]).encode()).hexdigest()[:12]
    folder = cache_folder() / "npm" / f"{name.replace('/', '+')}-{version}-{choice}"
    if not _is_whole(folder, members):
        _fetch(name, version, wanted, members, folder)
    return folder


def bring(app: Sphinx, name: str, version: str, integrity: str, members: Sequence[str], place: str) -> str:
    """Copy files of an npm package into ``_static/PLACE`` of the built book, under their last names.

    Returns:
        An empty string; or, where they cannot be had, why, in a sentence that is also written to the
        terminal. It is no warning of Sphinx's, which would fail a build with ``-W``.
    """
    try:
        folder = files_of(name, version, integrity, members)
        target = Path(app.outdir) / "_static" / place
        target.mkdir(parents=True, exist_ok=True)
        for member in members:
            shutil.copyfile(folder / member, target / PurePosixPath(member).name)
    except (FercourseError, OSError) as error:
        reason = one_line(error, 400)
        print(f"note: the book is built without {name} {version}: {reason}", file=sys.stderr)
        return reason
    return ""


def _is_whole(folder: Path, members: Sequence[str]) -> bool:
    try:
        sums = json.loads((folder / LIST).read_text(encoding="utf-8"))
        return all(_sha256(folder / member) == sums[member] for member in members)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(name: str, version: str, wanted: str, members: Sequence[str], folder: Path) -> None:
    """Fetch, compare and unpack in a folder of its own, which then gets its name."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as temporary:
            archive = _pack(name, version, Path(temporary))
            with archive.open("rb") as file:
                found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
            if found != wanted:
                raise FercourseError(
                    f"{name} {version} as npm brought it has the SHA-512 {found}, not {wanted}; "
                    "nothing of it is used."
                )
            ready = Path(temporary) / "ready"
            _unpack(archive, members, ready)
            write_text(ready / LIST, json.dumps({member: _sha256(ready / member) for member in members}))
            if folder.exists():  # damaged, or made by another build meanwhile; whole, whoever is first
                folder.rename(Path(temporary) / "old")
            ready.rename(folder)
    except OSError as error:
        if not _is_whole(folder, members):
            raise FercourseError(
                f"{name} {version} cannot be kept in {folder.parent}: {error.strerror or error}; "
                "set FERCOURSE_CACHE to a folder that can be written to."
            ) from error


def _pack(name: str, version: str, folder: Path) -> Path:
    """Let npm write a package's archive into a folder; return its path."""
    npm = shutil.which("npm")
    if npm is None:
        raise FercourseError("The program npm is not installed here; it comes with Node.js.")
    # A folder without a package.json, and no scripts: nothing of the package is run.
    command = [npm, "pack", f"{name}@{version}", "--ignore-scripts", "--silent", *PATIENCE]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise FercourseError(f"npm has not brought {name} {version} within {SECONDS} seconds.") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        # Its own message would name an address, which is nobody's business but this machine's.
        raise FercourseError(
            f"npm cannot fetch {name} {version} (status {done.returncode}); is there a network? "
            f"`npm pack {name}@{version}` says more."
        )
    return archives[0]


def _unpack(archive: Path, members: Sequence[str], folder: Path) -> None:
    """Write the wanted files of an archive, all of which lie below one folder in it, and no other."""
    missing = set(members)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for entry in tar:
                path = entry.name.partition("/")[2]
                content = tar.extractfile(entry) if path in missing and entry.isfile() else None
                if content is None:
                    continue
                missing.remove(path)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError) as error:
        raise FercourseError(f"{archive.name} is no archive of npm's: {one_line(error)}.") from error
    if missing:
        raise FercourseError(f"{archive.name} lacks {', '.join(sorted(missing))}.")
