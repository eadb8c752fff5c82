"""What chapter 4 defines inline computes the same as what the package has under that name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from inline import CHAPTERS, inline

import notebooks
from fercourse.models import create_model, vgg

COMPARED = {"VGG"}


@pytest.fixture(scope="module")
def depth() -> dict[str, Any]:
    """The names of the inline cells, and the lists that the networks are built from."""
    names = inline("04_depth")
    cells = notebooks.jupytext.read(CHAPTERS / "04_depth.py", fmt="py:percent").cells
    exec(next(cell.source for cell in cells if cell.source.startswith("CONFIGS = ")), names)
    return names


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19"])
def test_the_lists_are_the_tables(depth: dict[str, Any], name: str) -> None:
    text = " ".join("M" if item == "M" else str(item) for item in depth["CONFIGS"][name])
    stages = [tuple(int(width) for width in stage.split()) for stage in text.split("M")]
    assert tuple(stages) == getattr(vgg, name.upper())


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19"])
def test_the_networks(depth: dict[str, Any], name: str, norm: str) -> None:
    ours, packaged = depth["VGG"](depth["CONFIGS"][name], norm=norm), create_model(name, norm=norm)
    values = packaged.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    x = torch.randn(2, 1, 16, 16)
    for mode in (False, True):
        with torch.no_grad():
            torch.testing.assert_close(ours.train(mode)(x), packaged.train(mode)(x))
