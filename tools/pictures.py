"""Draw the pictures of the book's pages from the course's own faces: `make pictures`.

Deterministic: the same version of the drawn faces gives the same files. README's picture, book.png, is a
screenshot of the built book instead (`python tools/pictures.py --book`; needs Chromium, at CHROMIUM).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fercourse.data import EMOTIONS
from fercourse.data.synthetic import ACTION_UNITS, PROTOTYPES, draw_faces, emotion_units
from fercourse.files import atomic_path

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
#: The person on the book's logo.
LOGO = 4


def wall(rows: int, columns: int, *, side: int, gap: int, seed: int) -> Image.Image:
    """Draw faces of many people and every emotion, side by side; transparent between them."""
    count = rows * columns
    rng = np.random.default_rng(seed)
    labels = np.concatenate([rng.permutation(len(EMOTIONS)) for _ in range(-(-count // len(EMOTIONS)))])[
        :count
    ]
    units = np.zeros((count, len(ACTION_UNITS)))
    for place, label in enumerate(labels):
        ways = PROTOTYPES[EMOTIONS[label]]
        for unit, value in ways[rng.integers(min(2, len(ways)))][1].items():
            units[place, ACTION_UNITS.index(unit)] = value * rng.uniform(0.8, 1.1)
    faces = draw_faces(
        units,
        identity=np.arange(count) + 100 * seed,
        size=side,
        yaw=rng.normal(0, 0.15, count),
        roll=rng.normal(0, 0.06, count),
        gaze_x=rng.normal(0, 0.03, count),
        light_x=rng.normal(0, 0.1, count),
    )
    picture = Image.new("LA", (columns * (side + gap) - gap, rows * (side + gap) - gap))
    for place, face in enumerate(faces):
        row, column = divmod(place, columns)
        picture.paste(rounded(face), (column * (side + gap), row * (side + gap)))
    return picture


def rounded(face: np.ndarray) -> Image.Image:
    """Give a face round corners, transparent beyond them."""
    side = len(face)
    corner = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(corner).rounded_rectangle((0, 0, 4 * side - 1, 4 * side - 1), side // 2, fill=255)
    return Image.merge("LA", (Image.fromarray(face), corner.resize((side, side), Image.Resampling.LANCZOS)))


def save(picture: Image.Image, name: str) -> None:
    with atomic_path(STATIC / name) as path:
        picture.save(path, optimize=True)
    print(
        f"book/_static/{name}: {picture.width} x {picture.height}, {(STATIC / name).stat().st_size:,} bytes"
    )


def screenshot(page: Path, name: str, width: int, height: int) -> None:
    """Save a picture of a built page as a reader with a screen of this size sees it."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": height})
        tab.goto(page.resolve().as_uri())
        with atomic_path(STATIC / name) as path:
            tab.screenshot(path=path)
            picture = Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE)
            picture.save(path, optimize=True)
        browser.close()
    print(f"book/_static/{name}: {(STATIC / name).stat().st_size:,} bytes")


def main(arguments: list[str]) -> int:
    if arguments == ["--book"]:
        screenshot(ROOT / "_build" / "html" / "book" / "welcome.html", "book.png", 1280, 800)
        return 0
    save(wall(4, 9, side=96, gap=8, seed=3), "welcome.png")
    save(rounded(draw_faces(emotion_units("happy"), identity=LOGO, size=160)[0]), "logo.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
