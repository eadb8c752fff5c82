"""The book as one PDF: what Chromium prints can be read, searched, and found one's way in.

Two pages in every run; the whole book, which takes minutes, where FERCOURSE_SLOW is set.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import facts
import pdf
import pytest

from fercourse.errors import FercourseError

MIB = 2**20


@dataclass
class Printed:
    """What a PDF of Chromium holds, as far as these tests look."""

    size: int
    pages: list[int]  # how often each page shows text or a picture
    titles: list[str]
    fonts: int
    embedded: int
    tagged: bool
    links: set[str]


def read(path: Path) -> Printed:
    """Read a PDF as Chromium writes it, whose objects lie open and whose streams are deflated."""
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    starts = {int(found[1]): found.start() for found in re.finditer(rb"(?:^|\n)(\d+) 0 obj\b", data)}

    def stream(number: int) -> bytes:
        start = data.index(b"stream\n", starts[number]) + len(b"stream\n")
        head = data[starts[number] : start]
        raw = data[start : start + int(re.search(rb"/Length (\d+)", head)[1])]
        return zlib.decompress(raw) if b"FlateDecode" in head else raw

    shown = []
    for found in re.finditer(rb"/Type /Page\n.*?endobj", data, re.DOTALL):
        contents = re.search(rb"/Contents (\[[^\]]*\]|\d+ 0 R)", found[0])[1]
        text = b"".join(stream(int(number)) for number in re.findall(rb"(\d+) 0 R", contents))
        shown.append(len(re.findall(rb"\b(?:T[jJ]|Do)\b", text)))
    return Printed(
        size=len(data),
        pages=shown,
        titles=[_text(raw) for raw in re.findall(rb"/Title (\((?:[^()\\]|\\.)*\)|<[0-9A-Fa-f]+>)", data)],
        fonts=len(re.findall(rb"/Type /FontDescriptor\b", data)),
        # A font of type 3 is its glyphs, drawn; Chromium makes one of each that it may not embed as it is.
        embedded=len(re.findall(rb"/FontFile[23]?\b|/Subtype /Type3\b", data)),
        tagged=b"/StructTreeRoot" in data and b"/MarkInfo" in data,
        links={raw.decode("latin-1") for raw in re.findall(rb"/URI \(([^)]*)\)", data)},
    )


def _text(raw: bytes) -> str:
    body = bytes.fromhex(raw[1:-1].decode()) if raw.startswith(b"<") else re.sub(rb"\\(.)", rb"\1", raw[1:-1])
    return body.decode("utf-16" if body.startswith(b"\xfe\xff") else "latin-1")


def check(printed: Printed) -> None:
    """What holds for every PDF of the book."""
    assert printed.tagged, "a screen reader finds no order in it"
    assert printed.fonts
    assert printed.embedded == printed.fonts, "a font is missing on another machine"
    # The line at the foot of an empty page shows text too.
    foot = min(printed.pages)
    empty = [number for number, count in enumerate(printed.pages, start=1) if count < 12]
    assert len(empty) <= 0.01 * len(printed.pages), (foot, empty)
    assert not {link for link in printed.links if not re.match(r"https?:|mailto:", link)}


@pytest.fixture(scope="module", autouse=True)
def chromium() -> None:
    pytest.importorskip("playwright.sync_api")
    try:
        pdf.browser()
    except FercourseError as error:
        pytest.skip(str(error))


def test_two_pages_are_printed(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "two.pdf"
    pdf.make(["book/setup", "notebooks/01_the_data_set"], target, root)
    printed = read(target)
    check(printed)
    assert {"Set up", "1. The data set", "Contents", "The same picture twice", "Quiz"} <= set(printed.titles)
    assert "Preprocessing and imbalance" not in printed.titles
    assert 8 < len(printed.pages) < 40
    assert printed.size < 5 * MIB


def test_a_page_that_is_not_in_the_book_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FercourseError, match=r"book/nowhere is not in _toc\.yml"):
        pdf.make(["book/nowhere"], tmp_path / "no.pdf", root)
    assert not list(tmp_path.iterdir())


def test_without_chromium_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert pdf.main([]) == 1
    assert "printed by Chromium" in capsys.readouterr().err


def test_solutions_are_left_out(root: Path) -> None:
    files = [entry["file"] for part in pdf.contents(root, [])["parts"] for entry in part["chapters"]]
    assert "notebooks/01_the_data_set" in files
    assert not [name for name in files if "/solutions/" in name]


@pytest.mark.skipif(not os.environ.get("FERCOURSE_SLOW"), reason="FERCOURSE_SLOW is not set: minutes")
def test_the_whole_book_is_printed(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "book.pdf"
    pdf.make([], target, root)
    printed = read(target)
    check(printed)
    assert {f"{chapter.number}. {chapter.title}" for chapter in facts.chapters(root)} <= set(printed.titles)
    assert printed.size < 30 * MIB
