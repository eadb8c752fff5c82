"""What a result depends on beside its configuration: versions, commit, Python, system."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from fercourse.errors import FercourseError

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "scipy", "pillow")


def commit() -> str:
    """Return the commit the package runs from, with '+changes' where its files differ, or 'unknown'.

    A checkout is asked through git; an installation from a git address remembers its commit; for files that
    were copied without either, FERCOURSE_COMMIT says it.
    """
    package = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(package), *arguments], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        if git("ls-files", "__init__.py"):  # else the checkout is somebody else's, around our installation
            changed = git("status", "--porcelain", "--untracked-files=no", ".")
            return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        source = json.loads(metadata.distribution("fercourse").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        source = {}
    return source.get("vcs_info", {}).get("commit_id") or os.environ.get("FERCOURSE_COMMIT") or "unknown"


def environment() -> dict[str, Any]:
    """Return what a result depends on beside its configuration: versions, commit, Python, system."""
    versions: dict[str, str | None] = {}
    for name in ("fercourse", *LIBRARIES):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": versions,
    }


def chromium(purpose: str) -> str:
    """Return the program of Chromium: the one that CHROMIUM names, or the first that is found.

    Args:
        purpose: how the message begins where there is none, such as 'The PDF is printed by'.

    Raises:
        FercourseError: there is none.
    """
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        raise FercourseError(f"{purpose} Chromium, and there is none: install it, or name it in CHROMIUM.")
    return program
