"""What every test shares: quiet libraries and the real data, where there is a copy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read by tqdm when it is imported, here and in the kernels of notebooks. MPLBACKEND must not be set: the
# kernels choose their own, which keeps a figure as the output of its cell.
os.environ["TQDM_DISABLE"] = "1"
os.environ.pop("MPLBACKEND", None)
# A user's own data set or cache must not change what a test sees.
os.environ.pop("FERCOURSE_DATA", None)

ROOT = Path(__file__).parents[1]


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
