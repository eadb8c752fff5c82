"""The results explorer: its data are the records', its page computes what fercourse.evaluate does, offline.

A small book with the page is built once, from the committed records of trainings on a CPU.
Other states, without a record and with five seeds of everything, are the same pages with other data.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hard_book
import nbformat
import numpy as np
import pytest
import test_book
import yaml
from recorded import example
from scipy.stats import binomtest
from test_book import AT_REST, AXE, FOLLOWED, GRAVE, SEEN

from fercourse.data import load_faces
from fercourse.data.hashes import official, signatures
from fercourse.evaluate.metrics import metrics
from fercourse.evaluate.significance import bootstrap_interval, compare, mcnemar
from fercourse.explorer import CURVES, LEFT_OUT, MOST_SEEDS, SHOWN, accuracies, explorer_data, explorer_script
from fercourse.grids import grid
from fercourse.records import Record, final_entries, is_final, load_records, pack_classes

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "book" / "_static" / "explorer"
MOST_BYTES = 1_000_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
TABLE = official()
RANDOM = np.random.default_rng(3)


def made_up(model: str, recipe: str = "paper1", share: float = 0.65, **changes: Any) -> Record:
    """A record whose curves and bins of confidence are filled as a real one's are."""
    record = example(recipe, with_test=True, model=model, **changes)
    if not is_final(record["config"], final_entries()):
        del record["test"]
    epochs = len(record["history"]["epoch"])
    for name in CURVES:
        scale = 2 if name.endswith("loss") else 1
        record["history"][name] = [float(f"{v:.5g}") for v in scale * RANDOM.random(epochs)]
    for code, split in ((1, "val"), (2, "test")):
        if split not in record:
            continue
        labels = TABLE.labels[TABLE.splits == code]
        right = RANDOM.random(len(labels)) < share
        preds = np.where(right, labels, (labels + RANDOM.integers(1, 7, len(labels))) % 7)
        confidence = RANDOM.beta(5, 2, len(labels))
        place = np.minimum((15 * confidence).astype(int), 14)
        record[split] |= {
            "preds": pack_classes(preds),
            "accuracy": float((preds == labels).mean()),
            "reliability": {
                "count": np.bincount(place, minlength=15).tolist(),
                "confidence_sum": [round(v, 3) for v in np.bincount(place, confidence, 15).tolist()],
                "hits": np.bincount(place[preds == labels], minlength=15).tolist(),
            },
        }
    return Record(record)


@pytest.fixture(scope="module")
def everything() -> list[Record]:
    """Five seeds of every training that the explorer shows."""
    configs = [c for name in SHOWN for c in grid(name, seeds=MOST_SEEDS)]
    wanted = {json.dumps(c.to_dict(), sort_keys=True): c.to_dict() for c in configs}
    records = [made_up(c.pop("model"), c.pop("recipe"), **c) for c in wanted.values()]
    # Beside the grids: what final.yml lists of recipes that the course brings.
    own = [(entry["model"], entry["recipe"]) for entry in final_entries()]
    own = [(model, recipe) for model, recipe in own if recipe in ("quick", "quick20", "growing", "strong50")]
    return records + [made_up(*one, seed=seed) for one in own for seed in range(MOST_SEEDS)]


def network(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in data["networks"] if one["id"] == name)


# --- The data -----------------------------------------------------------------------------------------------


def unpacked(text: str, n: int) -> list[int]:
    places = [LETTERS.index(letter) for letter in text]
    return [half for place in places for half in divmod(place, 8)][:n]


def test_the_data_are_what_the_records_hold() -> None:
    records = load_records(ROOT / "results")
    data = explorer_data(records)
    shown = {one["name"]: one for found in data["networks"] for one in found["records"]}
    again = [record for record in records if record.tta != "none"]  # shown already, seen in more views
    records = [record for record in records if record.tta == "none"]
    assert data["left_out"] == ({LEFT_OUT["tta"]: len(again)} if again else {})
    assert shown.keys() == {record.name for record in records}
    for record in records:
        one = shown[record.name]
        for split in ("val", "test"):
            stored = data["splits"][split]
            assert unpacked(one[split]["preds"], stored["n"]) == record.preds(split).tolist()
            assert unpacked(stored["labels"], stored["n"]) == record.labels(split).tolist()
            assert stored["twins"] == np.flatnonzero(record.twins(split)).tolist()
            values = record.metrics(split)
            assert {key: one[split][key] for key in ("accuracy", "ece", "nll")} == {
                key: values[key] for key in ("accuracy", "ece", "nll")
            }
            for key in ("count", "hits"):
                assert one[split]["reliability"][key] == values["reliability"][key]
        for name, unit in CURVES.items():
            drawn = np.array(one["history"][name]) * unit
            assert np.abs(drawn - record.history[name]).max() <= unit / 2 + 1e-9
        assert one["parameters"] == record.data["parameters"]


def test_five_seeds_of_everything_fit_into_a_megabyte(everything: list[Record]) -> None:
    data = explorer_data(everything)
    assert all(len(one["records"]) == MOST_SEEDS for one in data["networks"])
    assert sum(len(one["records"]) for one in data["networks"]) == len(everything)
    assert len(explorer_script(data).encode()) < MOST_BYTES


def test_what_is_left_out_is_counted() -> None:
    records = [
        made_up("resnet18"),
        made_up("resnet18", epochs=3),
        made_up("resnet18", class_weights=False),
        *(made_up("vgg16", seed=seed) for seed in range(MOST_SEEDS + 2)),
        Record(example("strong", model="small_vgg")),
        Record(example("strong", model="small_vgg", tta="ten-crop")),
        Record(example("strong", model="small_vgg", fit_on="train+val")),
    ]
    other = example(model="vgg11")
    other["data"] = {**other["data"], "fingerprint": "0" * 64}
    data = explorer_data([*records, Record(other)])
    assert data["left_out"] == {
        LEFT_OUT["shortened"]: 1,
        LEFT_OUT["data"]: 1,
        LEFT_OUT["val"]: 1,
        LEFT_OUT["long"]: 1,
        LEFT_OUT["tta"]: 1,
        LEFT_OUT["fit_on"]: 1,
        LEFT_OUT["seeds"]: 2,
    }
    assert len(network(data, "resnet18-paper1")["records"]) == 1
    assert [one["seed"] for one in network(data, "vgg16-paper1")["records"]] == list(range(MOST_SEEDS))


def test_a_training_on_a_cpu_is_no_seed_of_one_on_a_gpu() -> None:
    slow = example(model="vgg11", seed=1)
    slow["environment"] = {**slow["environment"], "device_kind": "cpu"}
    slow["name"] += "-cpu"
    data = explorer_data([made_up("vgg11"), Record(slow)])
    assert network(data, "vgg11-paper1-cpu")["label"] == "vgg11, paper1, CPU"
    assert len(network(data, "vgg11-paper1")["records"]) == 1


def test_what_has_no_record_is_pending() -> None:
    data = explorer_data([made_up("vgg16"), made_up("vgg16", seed=1)])
    assert accuracies(network(data, "vgg19-paper1")) == {"seeds": "none", "val": "pending", "test": "pending"}
    both = [record["test"]["accuracy"] for record in network(data, "vgg16-paper1")["records"]]
    spread = f"{np.mean(both):.1%} ± {100 * np.std(both, ddof=1):.1f}"
    assert accuracies(network(data, "vgg16-paper1"))["test"] == spread
    assert accuracies(network(explorer_data([made_up("resnet18", augment={"crop": 0.0})]), FLIP))["test"] == (
        "not reported"
    )


FLIP = "resnet18-paper1-crop=0.0"


# --- The book -----------------------------------------------------------------------------------------------

TOC = """\
format: jb-book
root: book/welcome
parts:
  - caption: The results
    chapters:
      - file: book/results/explorer
      - file: book/grids
      - file: book/references
      - file: notebooks/09_the_comparison
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of a book with the explorer, and a folder of results beside them."""
    folder = tmp_path_factory.mktemp("explorer")
    for name in ("_config.yml", "book/_ext", "book/_static", "book/references.bib", "results"):
        origin, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if origin.is_dir() else shutil.copyfile)(origin, target)
    for name in ("book/results", "notebooks"):
        (folder / name).mkdir()
    shutil.copy(ROOT / "book" / "results" / "explorer.md", folder / "book" / "results")
    nbformat.write(hard_book.chapter(), folder / "notebooks" / "09_the_comparison.ipynb")
    (folder / "_toc.yml").write_text(TOC)
    (folder / "book" / "welcome.md").write_text("# A book\n\nIt holds one page that matters, and this one.\n")
    (folder / "book" / "grids.md").write_text("# Grids\n\nA page that another leads to, of a few words.\n")
    (folder / "book" / "references.md").write_text("# References\n\n```{bibliography}\n```\n")
    return folder


def build(source: Path) -> Path:
    before = os.environ.get("FERCOURSE_RESULTS")
    os.environ["FERCOURSE_RESULTS"] = str(source / "results")
    try:
        return test_book.build(source, source)[0]
    finally:
        os.environ.pop("FERCOURSE_RESULTS")
        if before is not None:
            os.environ["FERCOURSE_RESULTS"] = before


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages, with the committed records, in a folder that stays as it is."""
    return Path(shutil.copytree(build(source), tmp_path_factory.mktemp("pages") / "two"))


def other(built: Path, name: str, records: list[Record]) -> Path:
    folder = Path(shutil.copytree(built, built.parent / name))
    (folder / "_static" / "explorer" / "data.js").write_text(explorer_script(explorer_data(records)))
    return folder


@pytest.fixture(scope="module")
def full(built: Path, everything: list[Record]) -> Path:
    return other(built, "full", everything)


@pytest.fixture(scope="module")
def none(built: Path) -> Path:
    return other(built, "none", [])


def test_the_page_follows_the_records(built: Path, source: Path) -> None:
    """Only the records change between the two builds."""
    page, data = "book/results/explorer.html", "_static/explorer/data.js"
    assert "vgg19-paper1-seed7" not in (built / data).read_text()
    record = made_up("vgg19", seed=7)
    (source / "results" / "runs" / f"{record.name}.json").write_text(json.dumps(record.data))
    again = build(source)
    assert "vgg19-paper1-seed7" in (again / data).read_text()
    shown = f"{record.metrics('test')['accuracy']:.1%}"
    row = rf"vgg19, paper1</th><td>[^<]*</td><td>7</td><td>[\d.]+%</td><td>{shown}</td>"
    assert re.search(row, (again / page).read_text())
    assert (again / page).read_text() != (built / page).read_text()


def test_only_the_page_itself_loads_the_data(built: Path) -> None:
    loads = {path.name for path in built.rglob("*.html") if "explorer/data.js" in path.read_text()}
    assert loads == {"explorer.html"}


def test_the_table_can_be_read_without_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    extension = importlib.import_module("fercourse_explorer")
    text = extension.networks_table(explorer_data([]))
    assert text.count("<td>pending</td><td>pending</td>") == len(explorer_data([])["networks"])
    assert "fercourse reproduce table2 --data fer2013.csv --seeds 5" in text
    assert "paper&#x27;s best" in text
    assert extension.left_out({"left_out": {"trainings & more": 2}}) == (
        "<p>Recorded, but not shown here: 2 trainings &amp; more.</p>"
    )
    sys.modules.pop("fercourse_explorer")


# --- What the page computes ---------------------------------------------------------------------------------


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    tab.errors, tab.asked = [], []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.on("console", lambda line: tab.errors.append(line.text) if line.type == "error" else None)
    tab.on("request", lambda request: tab.asked.append(request.url))
    yield tab
    assert not tab.errors
    tab.close()


@pytest.fixture
def visit(tab: Any) -> Callable[..., Any]:
    """Open the explorer of a built book as a file, as somebody who has downloaded it does."""

    def opened(folder: Path, state: str = "") -> Any:
        tab.goto((folder / "book" / "results" / "explorer.html").as_uri() + state)
        return tab

    return opened


#: The cells of the table whose caption begins with the given words, by row.
CELLS = """words => {
  const captions = [...document.querySelectorAll(".explorer caption")];
  const found = captions.find(caption => caption.textContent.startsWith(words)).closest("table");
  return [...found.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent));
}"""


#: What a screen reader is told beside the status.
ASIDE = "document.querySelector('[data-part=choice] .visually-hidden').textContent"


def cells(tab: Any, caption: str) -> dict[str, list[str]]:
    return {first: rest for first, *rest in tab.evaluate(CELLS, caption)}


def status(tab: Any) -> str:
    return tab.inner_text(".explorer-status")


def points(share: float, digits: int = 1) -> str:
    return f"{100 * share:+.{digits}f} points".replace("-", "\u2212")


def test_statistics_are_those_of_the_package(tab: Any) -> None:
    tab.goto("about:blank")
    for name in ("statistics", "model", "faces"):
        tab.add_script_tag(path=SCRIPTS / f"{name}.js")
    for a, b in ((0, 0), (1, 0), (3, 9), (200, 511), (60, 60), (705, 940), (2000, 1)):
        labels = np.zeros(a + b + 1, int)
        one = np.where(np.arange(len(labels)) < a, 0, 1)
        expected = mcnemar(labels, one, np.where(one == 0, 1, np.append(np.zeros(a + b, int), 1)))
        assert (expected["only_a"], expected["only_b"]) == (a, b)
        assert tab.evaluate("([a, b]) => explorer.statistics.mcnemar(a, b)", [a, b]) == pytest.approx(
            expected["p"], rel=1e-9
        )
    for hits, n in ((0, 55), (55, 55), (6, 55), (2359, 3589), (1, 1)):
        found = tab.evaluate("([hits, n]) => explorer.statistics.wilson(hits, n)", [hits, n])
        assert found == pytest.approx(list(binomtest(hits, n).proportion_ci(method="wilson")), abs=1e-12)
        wanted = bootstrap_interval(np.zeros(n, int), np.where(np.arange(n) < hits, 0, 1))
        found = tab.evaluate("([hits, n]) => explorer.statistics.accuracyInterval(hits, n)", [hits, n])
        assert found == pytest.approx(list(wanted), abs=1e-12)
    faces = load_faces("synthetic-easy").test.images[:5]
    table = explorer_data([])["table"]
    found = tab.evaluate(
        """([table, images]) => {
          const all = new explorer.faces.Signatures(table);
          const bytes = images.map(image => Uint8Array.from(image));
          return [bytes.map(image => all.of(image)), bytes.map(image => explorer.faces.crc32(image))];
        }""",
        [table, faces.reshape(5, -1).tolist()],
    )
    assert found[0] == signatures(faces).tolist()
    assert found[1] == [zlib.crc32(image.tobytes()) for image in faces]


@pytest.mark.parametrize("split", ["val", "test"])
def test_two_records_are_compared_as_the_package_does(visit: Callable, built: Path, split: str) -> None:
    records = {record.name: record for record in load_records(ROOT / "results")}
    a, b = (records[f"{name}-quick-seed0-cpu"] for name in ("basic_cnn", "small_vgg"))
    state = f"#a=basic_cnn-quick-cpu@0&b=small_vgg-quick-cpu@0&split={split}"
    tab = visit(built, state)
    labels, preds = a.labels(split), (a.preds(split), b.preds(split))
    expected = compare(labels, *preds)
    values = [metrics(labels, preds=one, twins=a.twins(split)) for one in preds]
    shown = cells(tab, "Measured on")
    for name, key in (
        ("accuracy", "accuracy"),
        ("on images without a twin", "accuracy_without_twins"),
        ("balanced accuracy", "balanced_accuracy"),
        ("macro F1", "macro_f1"),
    ):
        one, two = (value[key] for value in values)
        assert shown[name] == [f"{one:.1%}", f"{two:.1%}", points(two - one)], name
    intervals = [" to ".join(f"{end:.1%}" for end in bootstrap_interval(labels, one)) for one in preds]
    assert shown["its 95% interval"][:2] == intervals
    assert shown["calibration error (ECE)"][:2] == [f"{r.data[split]['ece']:.1%}" for r in (a, b)]
    test = cells(tab, "McNemar")["0, 0"]
    assert test[:3] == [f"{expected['only_a']}", f"{expected['only_b']}", points(expected["difference"], 2)]
    p = expected["p_mcnemar"]
    assert test[3] == ("below 0.0001" if p < 0.0001 else f"{p:.4f}")
    for letter, value in zip("AB", values, strict=True):
        matrix = list(cells(tab, f"{letter}: ").values())
        assert [[int(cell) for cell in row[:7]] for row in matrix] == value["confusion"]
    difference = np.array(values[1]["confusion"]) - np.array(values[0]["confusion"])
    signed = [[f"{v:+d}".replace("-", "\u2212") if v else "0" for v in row] for row in difference.tolist()]
    assert list(cells(tab, "B \u2212 A: images").values()) == signed
    recall = [row[1].split(" ")[0] for row in cells(tab, "Recall").values()]
    assert recall == [f"{value:.1%}" for value in values[0]["per_class_recall"]]
    assert f"{expected['disagreements']:,} images" in tab.inner_text(".explorer-count")
    assert f"{expected['accuracy_a']:.1%}" in status(tab)
    rows = cells(tab, "The records behind")
    assert rows["record"] == [a.name, b.name]
    assert rows["what it is"] == ["CPU", "CPU"]
    links = tab.locator("[data-part=records] a").evaluate_all("links => links.map(link => link.href)")
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    at = f"{config['repository']['url']}/blob/main/results/runs"
    assert links == [f"{at}/{record.name}.json" for record in (a, b)]


def test_all_seeds_are_summed_up(visit: Callable, full: Path, everything: list[Record]) -> None:
    groups = [
        [r for r in everything if r.name.startswith(f"{name}-paper1-seed")] for name in ("vgg16", "vgg19")
    ]
    tab = visit(full, "#a=vgg16-paper1&b=vgg19-paper1@all&split=test")
    shown = cells(tab, "Measured on")["accuracy"]
    values = [np.array([record.metrics("test")["accuracy"] for record in group]) for group in groups]
    assert shown[:2] == [f"{one.mean():.1%} ± {100 * one.std(ddof=1):.1f}" for one in values]
    tests = cells(tab, "McNemar")
    assert list(tests) == [f"{seed}, {seed}" for seed in range(5)]
    labels = groups[0][0].labels("test")
    low = 0
    for seed, (one, two) in enumerate(zip(*groups, strict=True)):
        expected = compare(labels, one.preds("test"), two.preds("test"))
        assert tests[f"{seed}, {seed}"][:2] == [f"{expected['only_a']}", f"{expected['only_b']}"]
        low += expected["p_mcnemar"] < 0.05
    assert f"p is below 0.05 in {low} of 5 pairs" in tab.inner_text("[data-part=accuracy]")
    answers = [np.stack([record.preds("test") for record in group], axis=1) for group in groups]
    votes = [np.array([np.bincount(five, minlength=7).argmax() for five in one]) for one in answers]
    tab.select_option("#explorer-kind", "a")
    wanted = int(((votes[0] == labels) & (votes[1] != labels)).sum())
    assert tab.inner_text(".explorer-count").startswith(f"{wanted:,} images")
    twins = groups[0][0].twins("test")
    for selector, value in (("label", "3"), ("answer-a", "3"), ("answer-b", "4"), ("twins", "none")):
        tab.select_option(f"#explorer-{selector}", value)
    wanted = np.flatnonzero((labels == 3) & (votes[0] == 3) & (votes[1] == 4) & ~twins)
    shown = tab.evaluate(CELLS, "Images of")
    assert [int(row[0]) for row in shown] == wanted[:25].tolist()
    agree = (answers[1][wanted[0]] == 4).sum()
    assert shown[0][1:4] == ["happy", shown[0][2], f"✗ sad ({agree} of 5)"]
    mean = np.mean([record.metrics("test")["confusion"] for record in groups[0]], axis=0)
    assert cells(tab, "A: ")["happy"][3] == f"{mean[3, 3]:.1f}"
    assert tab.locator("[data-part=curves] svg polyline").count() >= 4 * 10


def test_shares_of_rows_add_up(visit: Callable, built: Path) -> None:
    tab = visit(built)
    tab.select_option("#explorer-unit", "shares")
    for row in cells(tab, "A: ").values():
        assert sum(int(cell) for cell in row[:7]) == pytest.approx(100, abs=4)
    assert "percent" in tab.evaluate(ASIDE)


def test_without_a_record_all_is_pending(visit: Callable, none: Path) -> None:
    tab = visit(none)
    assert "no training is recorded yet" in tab.inner_text("[data-part=choice]")
    assert tab.locator(".explorer select").count() == 0
    assert tab.locator(".explorer", has_text="Pending").count() == tab.locator(".explorer").count()


def test_what_is_not_reported_on_test_says_so(visit: Callable, full: Path) -> None:
    tab = visit(full, f"#a={FLIP.replace('=', '%3D')}&b=resnet18-paper1&split=test")
    assert "reported on val alone" in status(tab)
    for part in ("accuracy", "confusion", "recall", "reliability", "disagreements"):
        assert "Choose the split val" in tab.inner_text(f"[data-part={part}]")
    tab.select_option("#explorer-split", "val")
    assert "On val, A (resnet18, paper1, crop 0, 5 seeds)" in status(tab).replace("crop 0.0", "crop 0")
    assert tab.locator("[data-part=accuracy] table").count() == 2


def test_the_address_holds_the_choice(visit: Callable, full: Path) -> None:
    tab = visit(full)
    tab.select_option("#explorer-a", "vgg11-paper1")
    tab.select_option("#explorer-a-seed", "3")
    tab.select_option("#explorer-b", "se_resnet34-paper1")
    tab.select_option("#explorer-split", "val")
    said, address = status(tab), tab.url
    assert "vgg11, paper1, seed 3" in said
    tab.goto("about:blank")
    tab.goto(address)
    assert status(tab) == said
    assert tab.input_value("#explorer-a-seed") == "3"
    tab.evaluate("location.hash = '#a=vgg13-paper1@1&b=vgg11-paper1@2'")
    tab.wait_for_function("document.querySelector('.explorer-status').textContent.includes('vgg13')")
    assert tab.input_value("#explorer-a") == "vgg13-paper1"


@pytest.mark.parametrize("state", ["a=nothing@0", "a=vgg11-paper1@99", "split=train", "a=%3Cimg%20src=x%3E"])
def test_an_address_that_names_nothing_is_answered_in_words(visit: Callable, full: Path, state: str) -> None:
    tab = visit(full, f"#{state}")
    assert "which is not recorded here" in status(tab)
    assert tab.locator(".explorer img").count() == 0
    tab.click("text=Swap A and B")
    assert "not recorded" not in status(tab)


def test_pending_networks_cannot_be_chosen(visit: Callable, built: Path) -> None:
    tab = visit(built)
    option = tab.locator("#explorer-a option[value='resnet18-paper1']")
    assert option.inner_text() == "resnet18, paper1: pending"
    assert option.is_disabled()


# --- By keyboard, by ear, on a telephone --------------------------------------------------------------------


def press_until(tab: Any, selector: str) -> None:
    for _ in range(80):
        tab.keyboard.press("Tab")
        if tab.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is out of the keyboard's reach")


def test_all_is_done_by_keyboard(visit: Callable, built: Path) -> None:
    tab = visit(built)
    tab.locator("[data-part=choice]").evaluate("part => { part.tabIndex = -1; part.focus(); }")
    order = ["#explorer-a", "#explorer-a-seed", "#explorer-b", "#explorer-b-seed", "#explorer-split"]
    for selector in order:
        tab.keyboard.press("Tab")
        assert tab.evaluate("selector => document.activeElement.matches(selector)", selector), selector
        style = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid", selector
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("ArrowDown")  # small_vgg, then basic_cnn
    assert "B (basic_cnn" in status(tab)
    assert tab.evaluate("document.activeElement.id") == "explorer-b", "the keyboard lost its place"
    tab.keyboard.press("ArrowUp")
    press_until(tab, "#explorer-split")
    before = status(tab)
    tab.keyboard.press("ArrowUp")  # test, then val
    assert "On val" in status(tab) != before
    assert tab.evaluate("document.activeElement.id") == "explorer-split", "the keyboard lost its place"
    press_until(tab, "#explorer-kind")
    tab.keyboard.press("ArrowDown")
    assert re.match(r"\d+ images; shown are 1 to 25\.", tab.evaluate(ASIDE))
    press_until(tab, ".explorer-pages button:not(:disabled)")
    tab.keyboard.press("Enter")
    assert "shown are 26 to 50" in tab.evaluate(ASIDE)
    assert tab.evaluate("document.activeElement.textContent") == "Next"
    while tab.evaluate("document.activeElement.textContent") == "Next":
        tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.textContent") == "Previous", (
        "the end of the list holds no keyboard"
    )
    press_until(tab, "#explorer-table")
    press_until(tab, "#explorer-folder")


def test_tables_and_charts_can_be_heard(visit: Callable, full: Path) -> None:
    tab = visit(full)
    assert tab.locator(".explorer-status[role=status][aria-live=polite]").count() == 1
    for table in tab.locator(".explorer-scroll table").all():
        assert table.locator("caption").inner_text(timeout=1000).strip() or not table.is_visible()
        assert table.locator("thead th[scope=col]").count() > 2
    for figure in tab.locator("figure").all():
        assert len(figure.get_attribute("aria-label")) > 80
        assert figure.locator("svg").count() >= 1
        assert figure.get_attribute("role") == "img"


@pytest.mark.parametrize("folder", ["built", "full", "none"])
def test_everyone_can_read_it_on_every_screen(
    visit: Callable,
    folder: str,
    axe: str,
    request: pytest.FixtureRequest,
) -> None:
    tab = visit(request.getfixturevalue(folder))
    tab.evaluate("for (const fold of document.querySelectorAll('.bd-article details')) fold.open = true")
    tab.evaluate(axe)
    for width, scheme in ((1280, "light"), (1280, "dark"), (360, "light")):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        tab.wait_for_function(FOLLOWED, arg=scheme)
        tab.evaluate(AT_REST)
        seen = tab.evaluate(SEEN)
        assert seen["width"] <= width
        assert not seen["cut"], (width, scheme)
        grave = [
            (one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"])
            for one in tab.evaluate(AXE, [])["violations"]
            if one["impact"] in GRAVE or one["id"] == "region"
        ]
        assert not grave, (width, scheme)


def test_charts_follow_the_width(visit: Callable, built: Path) -> None:
    tab = visit(built)
    widths = {}
    for width in (1280, 360):
        tab.set_viewport_size({"width": width, "height": 800})
        tab.evaluate(AT_REST)
        chart = tab.locator("[data-part=recall] svg")
        widths[width] = chart.bounding_box()["width"]
        assert chart.locator("text").first.evaluate("text => getComputedStyle(text).fontSize") == "12px"
    assert widths[360] < 340 < widths[1280]


# --- The reader's own copy ----------------------------------------------------------------------------------

GREYS = [" ".join(str((k // step) % 10) for k in range(48 * 48)) for step in (1, 2, 3, 5, 7)]


def row_of(place: int, label: int, usage: str, columns: str = "emotion,pixels,Usage") -> str:
    values = {"emotion": str(label), "pixels": GREYS[place % len(GREYS)], "usage": usage}
    return ",".join(values[name.strip().lower()] for name in columns.split(","))


def copy_of(path: Path, columns: str = "emotion,pixels,Usage", wrong: int = 0) -> Path:
    """A table with the official labels (but for the first few of test) and drawn patterns as pictures."""
    with path.open("w") as file:
        file.write(f"{columns}\n{row_of(0, 3, 'Training', columns)}\n")
        for code, usage in ((1, "PublicTest"), (2, "PrivateTest")):
            for place, label in enumerate(TABLE.labels[TABLE.splits == code].tolist()):
                other = (label + 1) % 7 if code == 2 and place < wrong else label
                file.write(row_of(place, other, usage, columns) + "\n")
    return path


def said(tab: Any, words: str) -> str:
    """Wait until what is said of the copy matches; return it."""
    tab.wait_for_function(
        "words => new RegExp(words).test(document.querySelector('.explorer-said').textContent)", arg=words
    )
    return tab.inner_text(".explorer-said")


@pytest.mark.parametrize(("columns", "wrong"), [("emotion,pixels,Usage", 0), ("emotion, Usage, pixels", 3)])
def test_faces_of_a_local_copy_appear_and_stay_here(
    visit: Callable, built: Path, tmp_path: Path, columns: str, wrong: int
) -> None:
    tab = visit(built, "#split=test")
    tab.select_option("#explorer-kind", "all")
    before, kept = len(tab.asked), tab.evaluate("JSON.stringify(localStorage)")
    tab.set_input_files("#explorer-table", copy_of(tmp_path / "copy.csv", columns, wrong))
    words = said(tab, "is read")
    assert ("test: this copy differs from the official one in 3 labels" in words) == (wrong == 3)
    assert "3,589 pictures" in words
    assert "the numbers may not belong to these pictures" in words
    faces = tab.locator("canvas.explorer-face")
    assert faces.count() == 25
    label = tab.evaluate("document.querySelector('.explorer-list tbody td:nth-of-type(2)').textContent")
    described = faces.first.get_attribute("aria-label")
    assert re.match(rf"Image 0, labelled {label}; A answers \w+; B answers \w+$", described)
    greys = faces.nth(1).evaluate(
        "face => [...face.getContext('2d').getImageData(0, 0, 48, 48).data].filter((_, k) => k % 4 === 0)"
    )
    assert greys == [int(grey) for grey in GREYS[1].split()]
    assert not tab.asked[before:], "choosing a copy made a request"
    assert tab.evaluate("JSON.stringify(localStorage)") == kept
    tab.click("text=Forget the copy")
    assert faces.count() == 0
    assert said(tab, "forgotten")


HEAD = "emotion,pixels,Usage\n"
WRONG = {
    "another table": ("a,b,c\n1,2,3\n", "does not name the columns"),
    "an empty file": ("", "is empty"),
    "no PublicTest": (HEAD + row_of(0, 3, "PrivateTest") + "\n", "holds no row of PublicTest"),
    "too few rows": (
        HEAD + "".join(row_of(0, 3, use) + "\n" for use in ("PublicTest", "PrivateTest", "PrivateTest")),
        "holds 1 row of PublicTest instead of 3,589",
    ),
    "a pixel above 255": (HEAD + "3,256 " + GREYS[0][2:] + ",PublicTest\n", "row 1: a pixel is above 255"),
    "a pixel of letters": (HEAD + "3,x" + GREYS[0][1:] + ",PublicTest\n", "not a whole number"),
    "too few pixels": (HEAD + "3,1 2 3,PublicTest\n", "3 pixels instead of 2,304"),
    "a label that is none": (HEAD + row_of(0, 9, "PublicTest"), "the label is 9; expected 0 to 6"),
    "two columns": (HEAD + "3,1 2 3\n", "fewer than three columns"),
    "no table at all": ("emotion" * 300_000, "longer than a megabyte"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_in_a_sentence(
    visit: Callable, built: Path, tmp_path: Path, name: str
) -> None:
    text, words = WRONG[name]
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    tab = visit(built)
    tab.set_input_files("#explorer-table", path)
    assert len(said(tab, words)) < 250
    assert tab.locator("canvas").count() == 0
    assert tab.locator("progress:visible").count() == 0


def test_reading_can_be_stopped(visit: Callable, built: Path) -> None:
    words = visit(built).evaluate(
        """async () => {
          const stop = new AbortController();
          const file = new File(["emotion,pixels,Usage\\n"], "copy.csv");
          stop.abort();
          try { await explorer.faces.readTable(file, {}, () => 0, stop.signal); }
          catch (error) { return error.message; }
        }"""
    )
    assert words.startswith("Stopped")


def test_another_folder_of_faces_is_refused(visit: Callable, built: Path, tmp_path: Path) -> None:
    from PIL import Image

    for place, image in enumerate(load_faces("synthetic-easy").test.images[:8]):
        folder = tmp_path / "test" / ("happy" if place % 2 else "Sadness")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{place}.png")
    tab = visit(built)
    tab.set_input_files("#explorer-folder", tmp_path / "test")
    said(tab, r"Only \d of 8 images of this folder are FER-2013's")
    (tmp_path / "test" / "happy").rename(tmp_path / "test" / "elated")
    tab.set_input_files("#explorer-folder", tmp_path / "test")
    said(tab, "does not lie in a folder of one of the seven classes")


def test_the_images_of_a_folder_find_their_numbers(
    visit: Callable, built: Path, real_data: Path, tmp_path: Path
) -> None:
    """Whatever they are called: the copy's own numbers are taken away first."""
    names = sorted((real_data / "kaggle" / "test" / "disgust").glob("PrivateTest*"))
    (tmp_path / "test" / "disgust").mkdir(parents=True)
    for place, path in enumerate(names):
        shutil.copy(path, tmp_path / "test" / "disgust" / f"{place}.jpg")
    tab = visit(built, "#split=test")
    tab.set_input_files("#explorer-folder", tmp_path / "test")
    words = said(tab, "is read")
    # A picture with a twin in val may stand for that one.
    assert sum(map(int, re.findall(r"(\d+) of 3,589 images are there", words))) == len(names)
    assert "but are alike" in words
    tab.select_option("#explorer-kind", "all")
    tab.select_option("#explorer-label", "1")
    shown = {number for number, face, *_ in tab.evaluate(CELLS, "Images of") if not face}
    first = explorer_data([])["splits"]["test"]["first_row"]
    assert shown <= {str(int(re.search(r"\d+", path.name)[0]) - first) for path in names}
    assert len(shown) == tab.locator("canvas").count() > 20


def test_the_page_works_offline(visit: Callable, built: Path, tab: Any) -> None:
    tab.context.set_offline(True)
    assert "B \u2212 A is" in status(visit(built))
    assert all(url.startswith("file:") for url in tab.asked)
