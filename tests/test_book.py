"""The built book: no warning, no broken link, pictures described, nothing from elsewhere, no page error.

Builds it once, from the committed outputs, as `make book` does but into a folder of the test's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

WIDTHS = (1280, 360)


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "-n", "--keep-going",
         "--quiet", "--path-output", str(folder)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    html = folder / "_build" / "html"
    assert done.returncode == 0, done.stdout + done.stderr
    assert html.is_dir(), done.stdout + done.stderr
    return html


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[str, BeautifulSoup]:
    return {
        path.relative_to(built).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in built.rglob("*.html")
        if "_static" not in path.relative_to(built).parts
    }


@pytest.fixture(scope="module")
def toc(root: Path) -> list[str]:
    content = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    return [content["root"]] + [entry["file"] for part in content["parts"] for entry in part["chapters"]]


def test_every_page_of_the_contents_is_there(pages: dict[str, BeautifulSoup], toc: list[str]) -> None:
    assert {f"{name}.html" for name in toc} | {"index.html", "404.html"} <= pages.keys()


def test_every_relative_link_and_anchor_exists(built: Path, pages: dict[str, BeautifulSoup]) -> None:
    ids = {name: {tag["id"] for tag in page.find_all(id=True)} for name, page in pages.items()}
    broken, count = [], 0
    for name, page in pages.items():
        if name == "404.html":  # served at any address, so its links start at the root of the site
            continue
        for tag in page.find_all(["a", "img", "script", "link", "source", "iframe"]):
            parts = urlsplit(tag.get("href") or tag.get("src") or "")
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            count += 1
            target = (built / name).parent / unquote(parts.path) if parts.path else built / name
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                broken.append((name, parts.geturl()))
                continue
            there = target.resolve().relative_to(built.resolve()).as_posix()
            if parts.fragment and there in ids and unquote(parts.fragment) not in ids[there]:
                broken.append((name, parts.geturl()))
    assert not broken
    assert count > 50


def test_every_picture_is_described(pages: dict[str, BeautifulSoup]) -> None:
    for name, page in pages.items():
        for image in page.find_all("img"):
            alt = image.get("alt", "")
            assert alt or image.get("aria-hidden") == "true", f"{name}: {image}"
            assert "_images" not in alt, f"{name}: the path stands for a description: {image}"


def test_nothing_is_loaded_from_elsewhere(pages: dict[str, BeautifulSoup]) -> None:
    loaded = [
        (name, tag.name, address)
        for name, page in pages.items()
        for tag in page.find_all(["script", "img", "iframe", "link"])
        if (address := tag.get("src") or (tag.get("href") if "stylesheet" in tag.get("rel", []) else ""))
        and urlsplit(address).netloc
    ]
    assert not loaded


def test_chapters_open_in_colab(root: Path, pages: dict[str, BeautifulSoup], toc: list[str]) -> None:
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    slug = urlsplit(config["repository"]["url"]).path.strip("/")
    for name in (name for name in toc if name.startswith("notebooks/")):
        wanted = f"https://colab.research.google.com/github/{slug}/blob/main/{name}.ipynb"
        assert pages[f"{name}.html"].find("a", href=wanted), f"no button to {wanted}"


def test_pages_know_their_address(root: Path, built: Path, pages: dict[str, BeautifulSoup]) -> None:
    base = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["html"]["baseurl"]
    for name in ("book/welcome.html", "book/setup.html"):
        assert pages[name].find("link", rel="canonical")["href"] == f"{base}/{name}"
    assert f"<loc>{base}/book/welcome.html</loc>" in (built / "sitemap.xml").read_text(encoding="utf-8")


def test_no_photograph_is_in_the_book(root: Path, built: Path) -> None:
    """Every picture of a page comes from book/_static or from a cell of a notebook."""
    ours = {path.name for path in (root / "book" / "_static").iterdir()}
    for path in (built / "_images").iterdir():
        # myst-nb names the pictures of outputs by the hash of their content.
        assert path.name in ours or len(path.stem) == 64, path.name


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no Chromium on this machine (CHROMIUM names one)")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_show_without_error_or_overflow(
    built: Path, toc: list[str], browser, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for name in toc:
        tab = context.new_page()
        errors: list[str] = []
        tab.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        tab.on(
            "console", lambda line, errors=errors: errors.append(line.text) if line.type == "error" else None
        )
        tab.goto((built / f"{name}.html").as_uri())
        assert not errors, (name, errors)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, (
            f"{name} is wider than the screen"
        )
        assert tab.evaluate("document.documentElement.dataset.theme") == scheme
        tab.close()
    context.close()
