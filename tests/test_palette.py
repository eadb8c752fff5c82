"""Pictures with fewer colours look the same, or stay as they are."""

from __future__ import annotations

import base64
import io

import numpy as np
import palette
import pytest
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image


def png(pixels: np.ndarray, mode: str = "RGB", **options) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8), mode).save(written, "PNG", **options)
    return written.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def drawn() -> bytes:
    figure = Figure(figsize=(5, 3), dpi=110)
    axes = figure.subplots()
    for k in range(6):
        axes.plot(np.cumsum(np.random.default_rng(k).normal(size=50)), label=f"line {k}")
    axes.legend()
    written = io.BytesIO()
    figure.savefig(written)
    return written.getvalue()


def test_a_figure_becomes_smaller_and_looks_the_same(drawn: bytes) -> None:
    made = palette.smaller(drawn)
    assert len(made) < 0.6 * len(drawn)
    off = np.abs(pixels(made) - pixels(drawn)).max(axis=2)
    assert np.percentile(off, 99.9) <= palette.TOLERANCE
    assert off.mean() < 0.5
    assert Image.open(io.BytesIO(made)).info["dpi"] == pytest.approx((110, 110), abs=0.1)
    assert palette.smaller(drawn) == made
    assert palette.smaller(made) == made, "a second time changes nothing"


def test_greys_are_kept_to_the_bit() -> None:
    wave = np.add.outer(np.arange(128), np.arange(128))[..., None].repeat(3, 2)
    content = png(wave)
    assert np.array_equal(pixels(palette.smaller(content)), pixels(content))


def test_what_would_show_stays() -> None:
    y, x = np.mgrid[:120, :120] * 2
    many = png(np.stack([x, y, (x * 3 + y * 5) % 256], axis=2))
    assert palette.smaller(many) == many
    seen_through = np.zeros((20, 20, 4))
    seen_through[..., 3] = 100
    assert palette.smaller(png(seen_through, "RGBA")) == png(seen_through, "RGBA")
    assert palette.smaller(png(np.zeros((4, 4)), "L")) == png(np.zeros((4, 4)), "L")


def test_a_notebook_s_pictures_are_made_smaller_and_nothing_else(drawn: bytes) -> None:
    text = base64.b64encode(drawn).decode()
    outputs = [
        new_output("display_data", {"image/png": text, "text/plain": "<Figure>"}),
        new_output("stream", name="stdout", text="12.5%\n"),
    ]
    notebook = new_notebook(cells=[new_markdown_cell("# A"), new_code_cell("draw()", outputs=outputs)])
    palette.shrink(notebook)
    picture, stream = notebook.cells[1].outputs
    assert base64.b64decode(picture.data["image/png"]) == palette.smaller(drawn)
    assert picture.data["text/plain"] == "<Figure>"
    assert stream.text == "12.5%\n"
