"""The built book: no warning, no broken link, nothing from elsewhere, readable by everyone, on every screen.

Builds it once, from the committed outputs, as `make book` does but into a folder of the test's own; and a
small book of hard cases, with everything that chapters may hold (hard_book.py). Chromium then reads both over
HTTP, below a path, as GitHub Pages serves them.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import hard_book
import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from served import served

BUILD_SECONDS = 60
PAGE_BYTES = 1_500_000
BOOK_BYTES = 60_000_000
#: Neither in the contents nor in a notebook, yet read.
OTHER_PAGES = ("search.html", "genindex.html")
#: An address that is not in the book, deep enough that no relative link would work.
NOWHERE = "notebooks/a/b/nowhere.html"
#: How axe-core rates what it finds; "moderate" and "minor" are seen as well, but need not be mended.
GRAVE = ("serious", "critical")

Pages = dict[str, BeautifulSoup]


# --- Building -----------------------------------------------------------------------------------------------


def build(source: Path, folder: Path) -> tuple[Path, float]:
    """Build the book of ``source`` below ``folder``; return the pages' folder and the seconds it took."""
    program = Path(sys.executable).with_name("jupyter-book")
    command = [
        str(program),
        "build",
        ".",
        "-W",
        "-n",
        "--keep-going",
        "--quiet",
        "--path-output",
        str(folder),
    ]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    html = folder / "_build" / "html"
    assert done.returncode == 0, done.stdout + done.stderr
    assert html.is_dir(), done.stdout + done.stderr
    return html, seconds


@pytest.fixture(scope="module")
def built_in(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    return build(root, tmp_path_factory.mktemp("book"))


@pytest.fixture(scope="module")
def built(built_in: tuple[Path, float]) -> Path:
    return built_in[0]


@pytest.fixture(scope="module")
def hard_source(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hard_book.write(root, tmp_path_factory.mktemp("hard"))


@pytest.fixture(scope="module")
def hard(hard_source: Path) -> Path:
    return build(hard_source, hard_source)[0]


def parse(html: Path) -> Pages:
    return {
        path.relative_to(html).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in html.rglob("*.html")
        if "_static" not in path.relative_to(html).parts
    }


@pytest.fixture(scope="module")
def pages(built: Path) -> Pages:
    return parse(built)


@pytest.fixture(scope="module")
def both(pages: Pages, hard: Path) -> Pages:
    """The pages of the book, and those of the hard cases below "hard/"."""
    return pages | {f"hard/{name}": page for name, page in parse(hard).items()}


def files_of(entry: dict[str, Any]) -> list[str]:
    """Return the files that an entry of _toc.yml names, at any depth."""
    below = [part for key in ("parts", "chapters", "sections") for part in entry.get(key, [])]
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [name for part in below for name in files_of(part)]


@pytest.fixture(scope="module")
def toc(root: Path) -> list[str]:
    return files_of(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def config(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def prefix(config: dict[str, Any]) -> str:
    """The path below which the book is published."""
    return urlsplit(config["html"]["baseurl"]).path.rstrip("/") + "/"


# --- What is written ----------------------------------------------------------------------------------------


def test_every_page_of_the_contents_is_there(pages: Pages, toc: list[str]) -> None:
    assert {f"{name}.html" for name in toc} | {"index.html", "404.html", *OTHER_PAGES} <= pages.keys()


@pytest.mark.alone
def test_the_build_is_quick(built_in: tuple[Path, float]) -> None:
    assert built_in[1] < BUILD_SECONDS


def test_pages_and_book_are_small(built: Path) -> None:
    sizes = {
        path.relative_to(built).as_posix(): path.stat().st_size for path in built.rglob("*") if path.is_file()
    }
    assert sum(sizes.values()) < BOOK_BYTES
    assert not {name: size for name, size in sizes.items() if name.endswith(".html") and size > PAGE_BYTES}


def test_a_second_build_finds_nothing_to_complain_of(hard: Path, hard_source: Path) -> None:
    def content() -> dict[Path, str]:
        # myst-nb writes one style sheet after the pages, whose first links to it have no checksum yet.
        return {
            path: re.sub(r"\?v=\w+", "", path.read_text(encoding="utf-8")) for path in hard.rglob("*.html")
        }

    before = content()
    os.utime(hard_source / "book" / "welcome.md")
    build(hard_source, hard_source)
    assert content() == before


def test_every_relative_link_and_anchor_exists(built: Path, pages: Pages) -> None:
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


def test_every_picture_is_described(both: Pages) -> None:
    for name, page in both.items():
        for image in page.find_all("img"):
            alt = image.get("alt", "")
            button = image.find_parent(class_="btn")
            if alt == "" and button and button.get_text(strip=True):
                continue  # a sign beside the words that say the same
            assert len(alt) > 20, f"{name}: {image}"
            assert " " in alt.strip(), f"{name}: the path stands for a description: {image}"
            assert not re.search(r"_images|_static|\.(png|svg|jpe?g)\b", alt), f"{name}: {image}"


def test_headings_are_in_order(both: Pages) -> None:
    for name, page in both.items():
        levels = [int(tag.name[1]) for tag in page.find_all(re.compile(r"^h[1-6]$"))]
        assert levels.count(1) == 1, f"{name} has {levels.count(1)} first-level headings"
        assert levels[0] == 1, f"{name} begins with a heading of level {levels[0]}"
        for above, below in pairwise(levels):
            assert below <= above + 1, f"{name}: after level {above} comes level {below}"


def test_nothing_is_loaded_from_elsewhere(both: Pages) -> None:
    """Also where no browser is; Chromium looks at the requests themselves below."""
    loaded = [
        (name, tag.name, address)
        for name, page in both.items()
        for tag in page.find_all(["script", "img", "iframe", "link", "source", "video", "audio", "embed"])
        if (address := tag.get("src") or (tag.get("href") if is_loaded(tag) else ""))
        and urlsplit(address).netloc
    ]
    assert not loaded


def is_loaded(link: Tag) -> bool:
    return link.name == "link" and bool(
        {"stylesheet", "preload", "icon", "preconnect"} & set(link.get("rel", []))
    )


def test_notebooks_open_in_colab(config: dict[str, Any], pages: Pages, toc: list[str]) -> None:
    slug = urlsplit(config["repository"]["url"]).path.strip("/")
    for name in notebooks_of(toc):
        wanted = f"https://colab.research.google.com/github/{slug}/blob/main/{name}.ipynb"
        assert pages[f"{name}.html"].find("a", href=wanted), f"no button to {wanted}"


def notebooks_of(toc: list[str]) -> list[str]:
    names = [name for name in toc if name.startswith("notebooks/")]
    assert names
    return names


def test_the_download_is_the_committed_notebook(
    root: Path, built: Path, pages: Pages, toc: list[str]
) -> None:
    for name in notebooks_of(toc):
        button = pages[f"{name}.html"].find("a", class_="btn-download-source-button")
        assert button.has_attr("download"), f"{name}: the browser would show the file"
        target = (built / f"{name}.html").parent / button["href"]
        assert target.name == f"{Path(name).name}.ipynb"
        assert target.read_bytes() == (root / f"{name}.ipynb").read_bytes()


def test_solutions_have_their_buttons_too(hard: Path, hard_source: Path) -> None:
    name = "notebooks/solutions/01_hard"
    page = parse(hard)[f"{name}.html"]
    assert page.find("a", href=re.compile(rf"colab.*/{name}\.ipynb$"))
    target = (hard / f"{name}.html").parent / page.find("a", class_="btn-download-source-button")["href"]
    assert target.read_bytes() == (hard_source / f"{name}.ipynb").read_bytes()


def test_a_shared_link_shows_what_it_leads_to(
    config: dict[str, Any], built: Path, pages: Pages, toc: list[str]
) -> None:
    base, title = config["html"]["baseurl"], config["title"]
    for name in [f"{name}.html" for name in toc] + ["index.html"]:
        tags = {tag["property"]: tag["content"] for tag in pages[name].find_all("meta", property=True)}
        assert tags["og:site_name"] == title
        assert tags["og:title"] == pages[name].find("h1").get_text().rstrip("#")
        assert len(tags["og:description"]) > 40, name
        assert tags["og:url"] == (f"{base}/" if name == "index.html" else f"{base}/{name}")
        assert tags["og:image"].startswith(f"{base}/")
        assert (built / tags["og:image"].removeprefix(f"{base}/")).is_file()
        assert len(tags["og:image:alt"]) > 20


def test_pages_know_their_address(config: dict[str, Any], built: Path, pages: Pages, toc: list[str]) -> None:
    base = config["html"]["baseurl"]
    sitemap = (built / "sitemap.xml").read_text(encoding="utf-8")
    for name in toc:
        assert pages[f"{name}.html"].find("link", rel="canonical")["href"] == f"{base}/{name}.html"
        assert f"<loc>{base}/{name}.html</loc>" in sitemap


def test_the_address_of_the_book_leads_to_its_first_page(pages: Pages, toc: list[str]) -> None:
    index = pages["index.html"]
    assert index.html["lang"] == "en"
    assert index.find("meta", attrs={"http-equiv": "refresh"})["content"] == f"0; url={toc[0]}.html"
    assert index.find("a", href=f"{toc[0]}.html")


def test_no_photograph_is_in_the_book(root: Path, built: Path) -> None:
    """Every picture of a page comes from book/_static or from a cell of a notebook."""
    ours = {path.name for path in (root / "book" / "_static").iterdir()}
    for path in (built / "_images").iterdir():
        # myst-nb names the pictures of outputs by the hash of their content.
        assert path.name in ours or len(path.stem) == 64, path.name


# --- What a browser makes of it -----------------------------------------------------------------------------


@dataclass
class Visit:
    """What was seen on one page: ``at`` and ``axe`` for each width and colour scheme."""

    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    formulas: dict[str, Any] = field(default_factory=dict)
    at: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    axe: dict[tuple[int, str], list[dict[str, Any]]] = field(default_factory=dict)


# What makes axe slow is the contrast of every word of code and every cell of a table. Of those that hold
# nothing but words, in one colour and size on one ground, that rule looks at the first, and all other rules
# at everything.
AXE = """(only) => {
  const places = new Map([[null, {ground: "", edge: Infinity}]]);
  const place = (box) => {
    if (!places.has(box)) {
      const outer = place(box.parentElement);
      const {backgroundColor, backgroundImage, opacity, overflowX} = getComputedStyle(box);
      const own = `${backgroundColor} ${backgroundImage} ${opacity};`;
      places.set(box, {
        ground: outer.ground + (own === "rgba(0, 0, 0, 0) none 1;" ? "" : own),
        edge: overflowX === "visible" ? outer.edge : Math.min(outer.edge, box.getBoundingClientRect().right),
      });
    }
    return places.get(box);
  };
  const seen = new Set();
  const again = [];
  for (const word of document.querySelectorAll(".bd-article :not(:has(*))")) {
    word.removeAttribute("data-looked-at");
    if (!word.checkVisibility({visibilityProperty: true})) continue;
    const {color, fontSize, fontWeight, textShadow} = getComputedStyle(word);
    const {ground, edge} = place(word);
    const known = [color, fontSize, fontWeight, textShadow, ground].join();
    // A single sign, or what is to be scrolled to, axe does not judge.
    const judged = /\\w\\w/.test(word.textContent) && word.getBoundingClientRect().right <= edge;
    if (seen.has(known)) again.push(word);
    else if (judged) seen.add(known);
  }
  for (const word of again) word.setAttribute("data-looked-at", "");
  axe.configure({rules: [{id: "color-contrast", selector: ":not([data-looked-at])"}]});
  return axe.run(document, {
    preload: false,
    resultTypes: ["violations"],
    ...(only.length ? {runOnly: only} : {rules: {"label-content-name-mismatch": {enabled: true}}}),
  });
}"""
SETTLED = (
    "() => window.MathJax?.startup ? MathJax.startup.promise.then(() => document.fonts.ready, () => 0) : 0"
)
FORMULAS = """() => ({
  written: document.querySelectorAll(".math").length,
  unset: [...document.querySelectorAll(".math")].filter((e) => !e.querySelector("mjx-container")).length,
  silent: [...document.querySelectorAll("mjx-container")].filter((e) => !e.querySelector("mjx-assistive-mml math")).length,
  wrong: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")].map((e) => e.textContent),
})"""  # noqa: E501
FOLLOWED = "scheme => document.documentElement.dataset.theme === scheme"
# The sidebars glide to their places, and course.js looks at the boxes 100 ms after the last change: the
# last wait here begins after its, and so ends after it, on a machine of any speed.
AT_REST = """() => new Promise((done) => {
  let widths, since;
  const look = (now) => {
    const found = [...document.querySelectorAll(".bd-article, .bd-article :is(pre, table, .text_html)")].map((box) => box.clientWidth);
    if (String(found) !== widths) [widths, since] = [String(found), now];
    now - since < 200 ? requestAnimationFrame(look) : setTimeout(done, 150);
  };
  requestAnimationFrame(look);
})"""  # noqa: E501
SEEN = """() => ({
  width: document.documentElement.scrollWidth,
  theme: document.documentElement.dataset.theme,
  // Boxes that cut off what they hold, or that scroll and cannot be reached by keyboard.
  cut: [...document.querySelectorAll(".bd-article :is(pre, table, img, .text_html, mjx-container, details)")]
    .filter((element) => {
      const box = element.getBoundingClientRect();
      if (!box.width || box.right <= innerWidth + 1) return false;
      for (let outer = element; outer && outer.tagName !== "BODY"; outer = outer.parentElement) {
        const way = getComputedStyle(outer).overflowX;
        const scrolls = way === "auto" || way === "scroll";
        if (scrolls && outer.getBoundingClientRect().right <= innerWidth + 1) return outer.tabIndex !== 0;
      }
      return true;
    })
    .map((element) => element.outerHTML.slice(0, 120)),
})"""


def visit(tab: Any, address: str, axe: str, at: tuple[tuple[int, str], ...]) -> Visit:
    """Open a page once, unfold what is folded, and look at it with each width and colour scheme."""
    seen = Visit()
    watched = {
        "request": lambda request: seen.requests.append(request.url),
        "requestfailed": lambda request: seen.failed.append(request.url),
        "response": lambda answer: seen.failed.append(answer.url) if answer.status >= 400 else None,
        "pageerror": lambda error: seen.errors.append(str(error)),
        "console": lambda line: seen.errors.append(line.text) if line.type == "error" else None,
    }
    for name, listener in watched.items():
        tab.on(name, listener)
    tab.emulate_media(color_scheme=at[0][1], reduced_motion="reduce")
    tab.set_viewport_size({"width": at[0][0], "height": 800})
    tab.goto(address, wait_until="load")
    tab.evaluate(SETTLED)
    seen.formulas = tab.evaluate(FORMULAS)
    tab.evaluate("for (const fold of document.querySelectorAll('.bd-article details')) fold.open = true")
    tab.evaluate(axe)
    for width, scheme in at:
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        tab.set_viewport_size({"width": width, "height": 800})
        for _ in range(50):  # a busy machine is slow to follow
            if tab.evaluate(FOLLOWED, scheme):
                break
            tab.wait_for_timeout(100)
        tab.evaluate(AT_REST)
        seen.at[width, scheme] = tab.evaluate(SEEN)
        # Another colour scheme changes colours only.
        only = ["color-contrast", "link-in-text-block"] if scheme == "dark" else []
        seen.axe[width, scheme] = tab.evaluate(AXE, only)["violations"]
    for name, listener in watched.items():
        tab.remove_listener(name, listener)
    return seen


LOOKS = ((1280, "light"), (1280, "dark"), (360, "light"))


@pytest.fixture(scope="module")
def address(built: Path, prefix: str) -> Iterator[str]:
    with served(built, prefix) as at:
        yield at


@pytest.fixture(scope="module")
def hard_address(hard: Path, prefix: str) -> Iterator[str]:
    with served(hard, prefix) as at:
        yield at


@pytest.fixture(scope="module")
def visits(toc: list[str], browser: Any, axe: str, address: str, hard_address: str) -> dict[str, Visit]:
    names = [f"{name}.html" for name in toc] + [*OTHER_PAGES, NOWHERE]
    hard_names = ["book/welcome.html", "book/references.html", "notebooks/01_hard.html"]
    context = browser.new_context()
    tab = context.new_page()
    found = {}
    for name in names:
        # A page of solutions has its chapter's cells again: one look tells whether it holds anything else.
        looks = LOOKS[:1] if "/solutions/" in name else LOOKS
        found[address + name] = visit(tab, address + name, axe, looks)
    # Here the page is opened in the dark and on a telephone first.
    found |= {
        hard_address + name: visit(tab, hard_address + name, axe, ((360, "dark"), *LOOKS))
        for name in hard_names
    }
    context.close()
    return found


def test_reading_asks_no_other_host_for_anything(
    visits: dict[str, Visit], address: str, hard_address: str
) -> None:
    for name, seen in visits.items():
        home = address if name.startswith(address) else hard_address
        assert len(seen.requests) > 5, name
        assert not [url for url in seen.requests if not url.startswith((home, "data:", "blob:"))], name
        assert not [url for url in seen.failed if url != name or NOWHERE not in name], name


def test_pages_have_no_script_error(visits: dict[str, Visit]) -> None:
    for name, seen in visits.items():
        # Chromium writes that a page was answered with 404, which is what it is there for.
        assert not [error for error in seen.errors if NOWHERE not in name or "404" not in error], name


def test_pages_fit_the_screen(visits: dict[str, Visit]) -> None:
    for name, seen in visits.items():
        for (width, _), page in seen.at.items():
            assert page["width"] <= width, f"{name} is {page['width']} wide on a screen of {width}"
            assert not page["cut"], f"{name} at {width}: cut off, or out of the keyboard's reach"


def test_pages_follow_the_reader_s_colours(visits: dict[str, Visit]) -> None:
    for name, seen in visits.items():
        assert {look: page["theme"] for look, page in seen.at.items()} == {
            look: look[1] for look in seen.at
        }, name


def test_axe_finds_nothing_grave(visits: dict[str, Visit]) -> None:
    found = [
        (name, look, problem["id"], node["html"][:200], node["failureSummary"])
        for name, seen in visits.items()
        for look, problems in seen.axe.items()
        for problem in problems
        if problem["impact"] in GRAVE or problem["id"] == "region"
        for node in problem["nodes"]
    ]
    assert not found, json.dumps(found, indent=1)


def test_no_word_of_low_contrast_escapes_axe(chapter: Any, axe: str) -> None:
    """Although of words that look alike it sees one: whatever a look at all of them finds is found."""
    chapter.set_viewport_size({"width": 1280, "height": 800})
    chapter.evaluate("for (const fold of document.querySelectorAll('.bd-article details')) fold.open = true")
    chapter.evaluate(axe)

    def pale(script: str) -> list[str]:
        found = [one for one in chapter.evaluate(script, [])["violations"] if one["id"] == "color-contrast"]
        return sorted(node["target"][0] for one in found for node in one["nodes"])

    everything = "() => axe.run(document, {runOnly: ['color-contrast']})"
    assert pale(AXE) == []
    planted = chapter.evaluate(
        """() => {
          let planted = 0;
          for (const where of [".highlight pre span", "td", "p", "li"]) {
            for (const [k, one] of document.querySelectorAll(`.bd-article ${where}`).entries()) {
              if (k % 7 !== 3) continue;
              one.style[k % 2 ? "color" : "backgroundColor"] = `rgb(153, 153, ${120 + planted})`;
              planted += 1;
            }
          }
          return planted;
        }"""
    )
    found = pale(AXE)
    chapter.evaluate("axe.reset()")
    assert planted > 10
    # Signs of one letter are judged by neither, nor what lies outside of its box.
    assert len(found) > planted / 4
    assert found == pale(everything)


def test_formulas_are_set_and_can_be_heard(visits: dict[str, Visit], hard_address: str) -> None:
    for name, seen in visits.items():
        assert (seen.formulas["unset"], seen.formulas["silent"], seen.formulas["wrong"]) == (0, 0, []), name
    chapter = visits[f"{hard_address}notebooks/01_hard.html"]
    assert chapter.formulas["written"] >= 6
    asked = " ".join(chapter.requests)
    for part in ("MathJax_Main-Regular.woff", "extensions/boldsymbol.js", "extensions/cancel.js"):
        assert part in asked, "the hard chapter no longer makes MathJax fetch its parts"


def test_a_page_without_formulas_loads_no_mathjax(visits: dict[str, Visit]) -> None:
    for name, seen in visits.items():
        assert ("mathjax" in " ".join(seen.requests)) == (seen.formulas["written"] > 0), name


def test_a_page_is_quickly_there(
    built: Path, visits: dict[str, Visit], address: str, record_property: Any
) -> None:
    """All that reading a page transfers, compressed as GitHub Pages does: text, but no picture or font."""

    @cache
    def size(url: str) -> int:
        path = unquote(urlsplit(url.removeprefix(address)).path)
        content = (built / path if "nowhere" not in path else built / "404.html").read_bytes()
        packed = Path(path).suffix in (".html", ".css", ".js", ".svg", ".json")
        return len(gzip.compress(content)) if packed else len(content)

    sizes = {
        name.removeprefix(address): sum(size(url) for url in set(seen.requests) if url.startswith(address))
        for name, seen in visits.items()
        if name.startswith(address)
    }
    record_property("transferred", sizes)
    assert max(sizes.values()) < PAGE_BYTES, sizes
    assert min(sizes.values()) > 100_000, "pages load less than their style"


def test_the_reader_chooses_the_colours(browser: Any, address: str, toc: list[str]) -> None:
    tab = browser.new_page(color_scheme="light")
    tab.goto(f"{address}{toc[0]}.html")
    themes = set()
    for _ in range(3):  # light, dark, and as the system has it
        tab.click("button.theme-switch-button")
        themes.add(tab.evaluate("document.documentElement.dataset.theme"))
        sign = tab.locator(".theme-switch:visible")
        assert sign.count() == 1
        assert sign.evaluate("i => getComputedStyle(i, '::before').content") not in ("none", "normal")
    assert themes == {"light", "dark"}
    tab.close()


def test_a_missing_page_says_so_and_leads_back(browser: Any, address: str, toc: list[str]) -> None:
    tab = browser.new_page()
    assert tab.goto(address + NOWHERE).status == 404
    assert "not found" in tab.inner_text("h1").lower()
    tab.click(f"nav.bd-links a[href$='{toc[1]}.html']")
    assert tab.url == f"{address}{toc[1]}.html"
    tab.goto(address + NOWHERE)
    tab.keyboard.press("Control+k")
    tab.keyboard.type("network")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#search-results li")
    assert tab.url.startswith(f"{address}search.html")
    tab.close()


@pytest.mark.parametrize("way", ["served", "as a file"])
def test_search_finds_a_chapter(
    browser: Any, built: Path, pages: Pages, address: str, toc: list[str], way: str
) -> None:
    chapter = notebooks_of(toc)[0]
    text = " ".join(tag.get_text() for tag in pages[f"{chapter}.html"].select("article section > p"))
    word = max(re.findall(r"\b[a-z]{6,14}\b", text), key=len)
    search = f"{address}search.html" if way == "served" else (built / "search.html").as_uri()
    tab = browser.new_page()
    tab.goto(search)
    tab.fill("main form.bd-search input", word)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#search-results li a")
    found = [
        link.get_attribute("href").split("?")[0].split("#")[0]
        for link in tab.query_selector_all("#search-results li a")
    ]
    assert f"{chapter}.html" in found, f"{word!r} is in {chapter}, but was found in {found}"
    tab.close()


def test_search_does_not_find_what_is_not_there(browser: Any, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}search.html?q=zygomaticusses")
    tab.wait_for_function("document.querySelector('#search-results').innerText.includes('did not match')")
    assert not tab.query_selector_all("#search-results li a")
    tab.close()


# --- The hard cases -----------------------------------------------------------------------------------------


@pytest.fixture
def chapter(browser: Any, hard_address: str) -> Iterator[Any]:
    """The hard chapter in a tab of 360 pixels."""
    tab = browser.new_page(viewport={"width": 360, "height": 800}, reduced_motion="reduce")
    tab.goto(f"{hard_address}notebooks/01_hard.html", wait_until="load")
    tab.evaluate(SETTLED)
    tab.evaluate(AT_REST)
    yield tab
    tab.close()


def test_folds_open_by_keyboard_and_show_where_one_is(chapter: Any) -> None:
    folds = chapter.locator(".bd-article details")
    assert folds.count() == 6, "three of the text, and three of code: cell, source and output"
    reached = set()
    for _ in range(150):
        chapter.keyboard.press("Tab")
        at = chapter.evaluate(
            """() => {
              const now = document.activeElement;
              const folds = [...document.querySelectorAll(".bd-article details")];
              if (now.tagName !== "SUMMARY" || !now.closest(".bd-article")) return null;
              const style = getComputedStyle(now);
              return [folds.indexOf(now.parentElement), style.outlineStyle, parseFloat(style.outlineWidth)];
            }"""
        )
        if at is None or at[0] in reached:
            continue
        assert at[1] == "solid"
        assert at[2] >= 2
        chapter.keyboard.press("Enter")
        assert folds.nth(at[0]).evaluate(
            "fold => fold.open && fold.lastElementChild.getBoundingClientRect().height > 0"
        )
        reached.add(at[0])
    assert reached == set(range(6))


def test_a_summary_is_as_large_as_a_finger(chapter: Any) -> None:
    for summary in chapter.locator(".bd-article details:not([class]) > summary").all():
        assert summary.bounding_box()["height"] >= 44
        assert chapter.evaluate("e => getComputedStyle(e).cursor", summary.element_handle()) == "pointer"


def test_wide_things_are_moved_by_keyboard(chapter: Any) -> None:
    for name in (
        ".cell_input pre",
        ".text_html",
        ".pst-scrollable-table-container",
        "mjx-container[display]",
    ):
        wide = chapter.locator(f".bd-article {name}[tabindex='0']").first
        wide.focus()
        assert wide.evaluate("box => box.scrollWidth > box.clientWidth"), name
        chapter.keyboard.press("ArrowRight")
        chapter.wait_for_function("box => box.scrollLeft > 0", arg=wide.element_handle(), timeout=5000)


def test_narrow_things_are_no_stops_of_the_keyboard(chapter: Any) -> None:
    assert chapter.locator("mjx-container:not([display])[tabindex='0']").count() <= 1
    chapter.set_viewport_size({"width": 1280, "height": 800})
    chapter.evaluate(AT_REST)
    assert chapter.locator("mjx-container.MathJax:not([display])[tabindex]").count() == 0


def test_code_is_reached_by_keyboard_after_the_sidebars_have_moved(chapter: Any) -> None:
    """On the way it is wide enough, and the theme, which looks then, takes it out of the keyboard's reach."""
    code = chapter.locator(".cell_input pre").first
    code.evaluate("pre => { pre.closest('.bd-article').style.width = '4000px' }")
    chapter.evaluate(AT_REST)
    code.evaluate("pre => { pre.tabIndex = -1 }")
    code.evaluate("pre => { pre.closest('.bd-article').style.width = '300px' }")
    chapter.evaluate(AT_REST)
    assert code.evaluate("pre => pre.scrollWidth > pre.clientWidth && pre.tabIndex === 0")


@pytest.mark.parametrize("verdict", ["right", "wrong", "open"])
def test_a_checker_s_words_are_all_on_the_screen(chapter: Any, verdict: str) -> None:
    block = chapter.locator(f".output.verdict-{verdict} pre")
    assert block.count() == 1
    assert block.evaluate("pre => pre.scrollWidth <= pre.clientWidth")
    assert block.evaluate("pre => parseFloat(getComputedStyle(pre).borderLeftWidth)") > 3


def test_printing_unfolds_what_is_folded(chapter: Any) -> None:
    count = chapter.locator(".bd-article details").count()
    chapter.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert chapter.locator(".bd-article details[open]").count() == count
    chapter.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert chapter.locator(".bd-article details[open]").count() == 0


def test_a_widget_asks_for_no_script(hard: Path) -> None:
    """Its state is not kept, the picture beside it shows the same, and the scripts come from two CDNs."""
    page = parse(hard)["notebooks/01_hard.html"]
    assert not page.find("script", src=re.compile("require|html-manager|embed-amd"))


def test_cards_and_tabs_work(browser: Any, hard_address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{hard_address}book/welcome.html")
    cards = tab.locator(".sd-card")
    assert cards.count() == 2
    boxes = [card.bounding_box() for card in cards.all()]
    assert boxes[0]["y"] == boxes[1]["y"], "cards no longer stand side by side"
    tab.get_by_text("Windows", exact=True).click()
    assert tab.get_by_text("Install WSL first.").is_visible()
    assert not tab.get_by_text("Install make.").is_visible()
    tab.close()


def test_a_formula_is_set_in_a_page_opened_as_a_file(browser: Any, hard: Path) -> None:
    tab = browser.new_page()
    tab.goto((hard / "notebooks" / "01_hard.html").as_uri(), wait_until="load")
    tab.evaluate(SETTLED)
    formulas = tab.evaluate(FORMULAS)
    assert (formulas["unset"], formulas["wrong"]) == (0, [])
    tab.close()
