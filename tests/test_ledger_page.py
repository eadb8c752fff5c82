"""The ledger as pages: a small book of them, built from made-up records, and read in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup
from recorded import example
from served import served
from test_book import AT_REST, AXE, GRAVE, SEEN

from fercourse.ledger import VERDICTS, Evidence, Judged, judge_all

PAGES = ("book/results/ledger", "book/results/what_the_papers_show")
STAND_INS = ("grids", "results/table2")


@pytest.fixture(scope="module")
def filled(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with three seeds of two networks; their names must appear as links."""
    folder = tmp_path_factory.mktemp("filled") / "results"
    shutil.copytree(root / "results", folder)
    for model in ("resnet18", "vgg16"):
        for seed in range(3):
            record = example(with_test=True, model=model, seed=seed)
            (folder / "runs" / f"{record['name']}.json").write_text(json.dumps(record))
    return folder


def build(root: Path, source: Path, results: Path) -> subprocess.CompletedProcess[str]:
    """Build a book of the two pages and what they refer to, with this project's configuration."""
    for folder in ("_ext", "_static", "results"):
        shutil.copytree(root / "book" / folder, source / "book" / folder, dirs_exist_ok=True)
    for name in ("_config.yml", "book/references.bib"):
        shutil.copy(root / name, source / name)
    (source / "book" / "glossary.md").write_text(
        "# Words\n\n```{glossary}\nrecord\n  A file.\n\nsqueeze-and-excitation\n  Gates.\n\nbatch norm\n  "
        "A layer.\n```\n"
    )
    for name in STAND_INS:
        (source / "book" / f"{name}.md").write_text("# A page\n\nIt stands in for another one of the book.\n")
    toc = {
        "format": "jb-book",
        "root": PAGES[1],
        "chapters": [
            {"file": name} for name in (PAGES[0], "book/glossary", "book/grids", "book/results/table2")
        ],
    }
    (source / "_toc.yml").write_text(yaml.safe_dump(toc))
    program = Path(sys.executable).with_name("jupyter-book")
    return subprocess.run(
        [str(program), "build", ".", "-W", "-n", "--keep-going", "--quiet"],
        cwd=source, capture_output=True, text=True, check=False,
        env={**os.environ, "FERCOURSE_RESULTS": str(results), "PYTHONPATH": str(root)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def source(root: Path, filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("book")
    done = build(root, source, filled)
    assert done.returncode == 0, done.stdout + done.stderr
    return source


@pytest.fixture(scope="module")
def built(source: Path) -> Path:
    return source / "_build" / "html"


@pytest.fixture(scope="module")
def claims(filled: Path) -> list[Judged]:
    return judge_all(Evidence(filled))


@pytest.fixture(scope="module")
def table(built: Path) -> BeautifulSoup:
    return BeautifulSoup((built / f"{PAGES[0]}.html").read_text(encoding="utf-8"), "html.parser")


# --- What is written ----------------------------------------------------------------------------------------


def test_every_claim_has_a_row_with_its_verdict_and_links(
    table: BeautifulSoup, claims: list[Judged], root: Path
) -> None:
    address = yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"]
    rows = {row["id"]: row for row in table.select("#ledger-table tbody tr")}
    assert list(rows) == [one.claim.id for one in claims]
    for one in claims:
        row = rows[one.claim.id]
        assert row["data-verdict"] == one.verdict
        assert one.finding.reason in row.get_text()
        links = [a["href"] for a in row.select("details a")]
        assert links == [f"{address}/blob/main/results/runs/{name}.json" for name in one.finding.records]
    assert rows["table2-resnet18-test"].find("a", href="table2.html")
    assert len(rows["resnet18-above-vgg16"].select("details a")) == 6


def test_the_summary_counts_the_rows(table: BeautifulSoup, claims: list[Judged]) -> None:
    counted = Counter((one.verdict, one.claim.paper) for one in claims)
    rows = table.select("table.ledger-summary tbody tr")
    for row, verdict in zip(rows, VERDICTS, strict=True):
        assert verdict in row.th.get_text()
        assert [int(cell.get_text()) for cell in row.find_all("td")[1:]] == [
            counted[verdict, p] for p in (1, 2)
        ]


def test_the_essay_says_what_the_ledger_says(built: Path, claims: list[Judged]) -> None:
    page = BeautifulSoup((built / f"{PAGES[1]}.html").read_text(encoding="utf-8"), "html.parser")
    verdicts = {one.claim.id: one.verdict for one in claims}
    links = [a for a in page.select("article a[href*='#']") if "ledger.html#" in a["href"]]
    assert len(links) > 10
    for link in links:
        assert link.get_text() == verdicts[link["href"].partition("#")[2]]
    words = page.select_one("article").get_text().split()
    assert 500 <= len(words) <= 1100
    counted = sum(v == "reproduced" for name, v in verdicts.items() if name.endswith("-params"))
    assert f"{counted} of 13 are those of the networks" in " ".join(words)
    assert f"Of the {len(claims)} claims there" in " ".join(words)


def test_a_new_record_changes_the_built_page(root: Path, source: Path, filled: Path) -> None:
    record = example(with_test=True, model="vgg11")
    path = filled / "runs" / f"{record['name']}.json"
    path.write_text(json.dumps(record))
    try:
        done = build(root, source, filled)
        assert done.returncode == 0, done.stdout + done.stderr
        page = (source / "_build" / "html" / f"{PAGES[0]}.html").read_text(encoding="utf-8")
        assert f"{record['name']}.json" in page
    finally:
        path.unlink()
        assert build(root, source, filled).returncode == 0


def test_a_wrong_role_stops_the_build(root: Path, filled: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "book" / "results", tmp_path / "book" / "results")
    page = tmp_path / "book" / "grids.md"
    build(root, tmp_path, filled)
    page.write_text("# A page\n\n{ledger}`verdict resnets-above-vgg` and {ledger}`count pendig`\n")
    program = Path(sys.executable).with_name("jupyter-book")
    done = subprocess.run(
        [str(program), "build", ".", "-W", "-n", "--keep-going", "--quiet"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "FERCOURSE_RESULTS": str(filled), "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "no claim 'resnets-above-vgg'" in done.stderr
    assert "'pendig' is no verdict" in done.stderr


# --- What a browser makes of it -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    with served(built, "/book/") as at:
        yield f"{at}{PAGES[0]}.html"


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    tab = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    tab.errors = []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.goto(address, wait_until="load")
    yield tab
    assert not tab.errors
    tab.close()


def shown(tab: Any) -> list[str]:
    return tab.evaluate(
        "[...document.querySelectorAll('#ledger-table tbody tr')].filter(r => !r.hidden).map(r => r.id)"
    )


def said(tab: Any) -> str:
    return tab.inner_text("#ledger-count")


def test_filters_by_keyboard_alone_and_says_how_many(tab: Any, claims: list[Judged]) -> None:
    assert len(shown(tab)) == len(claims)
    tab.focus("#ledger-paper")
    tab.keyboard.type("2")
    assert shown(tab) == [one.claim.id for one in claims if one.claim.paper == 2]
    tab.keyboard.press("Tab")
    tab.keyboard.type("not dec")
    wanted = [o.claim.id for o in claims if o.claim.paper == 2 and o.verdict == "not decidable"]
    assert shown(tab) == wanted
    assert said(tab) == f"{len(wanted)} of {len(claims)} claims"
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.type("People SAMPLES")
    assert shown(tab) == []
    assert said(tab) == f"0 of {len(claims)} claims"
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.wait_for_function("() => !document.querySelector('#ledger-table tbody tr[hidden]')")
    assert said(tab) == f"All {len(claims)} claims"
    assert "#" not in tab.url


def test_the_view_stands_in_the_address(
    tab: Any,
    browser: Any,
    address: str,
    claims: list[Judged],
) -> None:
    tab.select_option("#ledger-kind", "cause")
    tab.fill("#ledger-text", "disgust")
    assert shown(tab) == ["disgust-because-few"]
    link = tab.url
    assert link == f"{address}#kind=cause&text=disgust"
    other = browser.new_page()
    other.goto(link)
    assert shown(other) == ["disgust-because-few"]
    assert other.input_value("#ledger-text") == "disgust"
    other.close()
    tab.evaluate("location.hash = 'paper=1&verdict=contradicted by the data'")
    tab.wait_for_function("document.querySelector('#ledger-verdict').value === 'contradicted by the data'")
    assert shown(tab) == [
        o.claim.id for o in claims if o.claim.paper == 1 and o.verdict == "contradicted by the data"
    ]
    tab.evaluate("location.hash = 'verdict=true'")
    tab.wait_for_function("document.querySelector('#ledger-count').textContent.includes('is not there')")
    assert len(shown(tab)) == len(claims)


def test_a_link_to_a_claim_leads_to_it(tab: Any) -> None:
    tab.select_option("#ledger-paper", "1")
    tab.evaluate("location.hash = 'disgust-because-few'")
    tab.wait_for_function("!document.getElementById('disgust-because-few').hidden")
    row = tab.locator("#disgust-because-few")
    assert row.evaluate("row => row.getBoundingClientRect().top < innerHeight")


def test_without_javascript_the_whole_table_stands_there(
    browser: Any,
    address: str,
    claims: list[Judged],
) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address)
    assert tab.locator("#ledger-table tbody tr:visible").count() == len(claims)
    assert not tab.locator("#ledger-filter").is_visible()
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light")])
def test_everyone_can_read_it(tab: Any, axe: str, width: int, scheme: str) -> None:
    tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    tab.set_viewport_size({"width": width, "height": 800})
    tab.reload(wait_until="load")
    tab.evaluate("for (const fold of document.querySelectorAll('.bd-article details')) fold.open = true")
    tab.evaluate(AT_REST)
    seen = tab.evaluate(SEEN)
    assert seen["width"] <= width
    assert not seen["cut"]
    tab.evaluate(axe)
    found = [
        (problem["id"], node["html"][:200], node["failureSummary"])
        for problem in tab.evaluate(AXE, [])["violations"]
        if problem["impact"] in GRAVE or problem["id"] == "region"
        for node in problem["nodes"]
    ]
    assert not found, json.dumps(found, indent=1)
    row = tab.locator("#ledger-table tbody tr").first
    assert row.evaluate("r => getComputedStyle(r).display") == ("block" if width == 360 else "table-row")


def test_the_filter_is_as_large_as_a_finger(tab: Any) -> None:
    for field in tab.locator("#ledger-filter :is(select, input, button)").all():
        assert field.bounding_box()["height"] >= 44
