"""The slides: one file that loads nothing, says what the chapters say, and works by keyboard."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import slides
from bs4 import BeautifulSoup

COUNT = sum(len(step["slides"]) for step in slides.plan()["lesson"])


@pytest.fixture(scope="module")
def text() -> str:
    return slides.page()


@pytest.fixture(scope="module")
def page(text: str) -> BeautifulSoup:
    return BeautifulSoup(text, "html.parser")


def test_every_slide_is_there_with_a_title_and_its_pictures(page: BeautifulSoup) -> None:
    sections = page.find_all("section")
    assert len(sections) == COUNT >= 15
    assert [len(one.find_all(["h1", "h2"])) for one in sections] == [1] * COUNT
    assert len(page.find_all("h1")) == 1
    pictures = page.find_all("img")
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture["src"].startswith("data:image/png;base64,iVBOR")
        assert len(picture["alt"]) > 20
    assert len(page.find_all("aside", class_="notes")) == len(slides.plan()["lesson"])
    assert page.find_all("section")[-1].find("footer").get_text(" ").startswith("Minute 84 to 90")


def test_nothing_is_loaded(text: str, page: BeautifulSoup) -> None:
    assert not page.find_all(["link", "iframe", "video", "audio"])
    assert not [tag for tag in page.find_all(src=True) if not tag["src"].startswith("data:")]
    assert not re.search(r"url\(|@import", text)
    assert (
        "default-src 'none'" in page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    )
    assert not re.search(r"\{\{|<!-- slides|/\* code", text)


def test_a_slide_says_what_the_chapter_says(tmp_path: Path, root: Path) -> None:
    """Change the notebook, and the slide changes; take the cell away, and making the slides fails."""
    for name in ("book", "notebooks"):
        (tmp_path / name).mkdir()
    shutil.copy(root / "book" / "teaching.yml", tmp_path / "book")
    for path in (root / "notebooks").glob("0*.ipynb"):
        shutil.copy(path, tmp_path / "notebooks")
    chapter = next((tmp_path / "notebooks").glob("01_*.ipynb"))
    before = slides.page(tmp_path)
    chapter.write_text(
        chapter.read_text().replace("Which class is the smallest", "Which class is the smallest of all")
    )
    assert "smallest of all" not in before
    assert "smallest of all" in slides.page(tmp_path)
    chapter.write_text(chapter.read_text().replace("plots.class_counts(", "plots.other("))
    with pytest.raises(ValueError, match=r"'plots.class_counts' is in 0 cells of the section 'Seven words"):
        slides.page(tmp_path)


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(ValueError, match="no formula"):
        slides.markdown("Take $x^2$ of it.")
    assert "href" not in slides.markdown("See [the other chapter](02_preprocessing.ipynb).")
    cell = nbformat.v4.new_code_cell("plot()")
    with pytest.raises(ValueError, match="no output"):
        list(slides.outputs(cell))
    cell.outputs = [nbformat.v4.new_output("display_data", data={"image/png": "iVBOR"})]
    with pytest.raises(ValueError, match="no text"):
        list(slides.outputs(cell))


# In a browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(text: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("slides") / "slides.html"
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720}, offline=True)
    seen: list[str] = []
    opened.on("request", lambda request: seen.append(request.url))
    opened.on("pageerror", lambda error: seen.append(f"error: {error}"))
    opened.on("console", lambda line: seen.append(line.text) if line.type == "error" else None)
    opened.goto(address)
    yield opened
    assert [one for one in seen if not one.startswith((address, "data:"))] == []
    opened.close()


WHERE = """() => [...document.querySelectorAll("section")]
  .findIndex(slide => Math.abs(slide.getBoundingClientRect().top) < 3) + 1"""


def test_keys_lead_through_the_lesson(tab: Any) -> None:
    assert tab.evaluate(WHERE) == 1
    for key, at in (
        ("ArrowRight", 2),
        (" ", 3),
        ("PageDown", 4),
        ("ArrowLeft", 3),
        ("End", COUNT),
        ("ArrowRight", COUNT),
        ("Home", 1),
    ):
        tab.keyboard.press(key)
        for _ in range(50):
            if tab.evaluate(WHERE) == at:
                break
            tab.wait_for_timeout(100)
        assert tab.evaluate(WHERE) == at, key
    assert tab.locator(".notes:visible").count() == 0
    tab.keyboard.press("n")
    assert tab.locator(".notes:visible").count() == len(slides.plan()["lesson"])
    assert tab.locator("#notes").get_attribute("aria-pressed") == "true"
    tab.click("#next")
    assert tab.locator("#now").inner_text() == f"Slide 2 of {COUNT}"


def test_a_slide_fits_the_screen(tab: Any) -> None:
    heights = tab.evaluate(
        "[...document.querySelectorAll('section')].map(s => s.getBoundingClientRect().height)"
    )
    assert {number: height for number, height in enumerate(heights, 1) if height > 721} == {}
    cut = "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.innerText)"
    assert tab.locator("pre").evaluate_all(cut) == []
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_axe_finds_nothing_on_the_slides(tab: Any, axe: str) -> None:
    tab.keyboard.press("n")
    # The page's own policy lets no script be added; the tab may.
    found = tab.evaluate(f"() => {{ {axe}; return axe.run(document, {{resultTypes: ['violations']}}); }}")[
        "violations"
    ]
    grave = [
        (one["id"], node["html"][:160])
        for one in found
        for node in one["nodes"]
        if one["impact"] in ("serious", "critical")
    ]
    assert not grave, json.dumps(grave, indent=1)


def test_printing_gives_every_slide_a_page(tab: Any) -> None:
    printed = tab.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type /Page\b", printed)) == COUNT
