"""What every test shares: quiet libraries, the real data where there is a copy, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notebooks import SETTINGS

# For the kernels of notebooks too: what they were made with. MPLBACKEND must not be set: the kernels choose
# their own, which keeps a figure as the output of its cell.
os.environ.update(SETTINGS)
os.environ.pop("MPLBACKEND", None)
# `make test` runs a process for every core: with threads of their own they would stand in each other's way.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A user's own data set or cache must not change what a test sees, nor may a test believe itself in Colab.
os.environ.pop("FERCOURSE_DATA", None)
os.environ.pop("COLAB_RELEASE_TAG", None)

# A shell without job control starts what runs in its background with Ctrl-C ignored, and so would every
# process of a test that is stopped by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]

#: What takes minutes, longest first: begun last, it would keep one process busy while the others wait.
LONG = (
    "test_book.py",
    "test_sweep.py",
    "test_demo.py",
    "test_checkers.py",
    "test_cli.py",
    "test_explorer.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest come first; `--dist loadfile` then gives them away in that order."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real FER-2013 in its layouts; skips the test where there is none."""
    folder = os.environ.get("FERCOURSE_TEST_DATA")
    if not folder:
        pytest.skip("FERCOURSE_TEST_DATA names no folder with the real FER-2013")
    return Path(folder)


@pytest.fixture(scope="session")
def small_faces(tmp_path_factory) -> Path:
    """A file of 700 drawn faces in the layout of fer2013.csv, to train on in seconds."""
    from fercourse.data import load_faces

    faces = load_faces("synthetic-easy")
    path = tmp_path_factory.mktemp("data") / "fer2013.csv"
    with path.open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for split, usage, count in (
            ("train", "Training", 500),
            ("val", "PublicTest", 100),
            ("test", "PrivateTest", 100),
        ):
            for image, label in zip(faces[split].images[:count], faces[split].labels[:count], strict=True):
                file.write(f"{label},{' '.join(map(str, image.ravel()))},{usage}\n")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no Chromium on this machine (CHROMIUM names one)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The program of axe-core, to be evaluated in a page."""
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
