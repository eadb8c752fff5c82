"""The page "Try it": PyTorch's logits and Pillow's pixels in the browser, every way in, every way it fails.

A small book with the page is built once and served as GitHub Pages does. What needs the runtime is skipped
where npm could not bring it, and only there.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hard_book
import nbformat
import numpy as np
import pytest
import test_book
from bs4 import BeautifulSoup
from PIL import Image
from served import served
from test_book import AT_REST, AXE, FOLLOWED, GRAVE, SEEN

import fercourse
from fercourse.bench import page
from fercourse.bench.jobs import Job
from fercourse.data import EMOTIONS, load_faces
from fercourse.data.synthetic import synthetic_faces
from fercourse.models import create_model
from fercourse.predict import Square, load_network, prepare, read_picture

ROOT = Path(__file__).parents[1]
SMALL = Path(fercourse.__file__).parent / "small"
PREFIX = "/fercourse/"
MILLISECONDS = 15  # a face, in float32
CAMERA = "--use-fake-device-for-media-stream"

TOC = """\
format: jb-book
root: book/welcome
parts:
  - caption: The results
    chapters:
      - file: book/demo
      - file: book/ethics
      - file: book/references
      - file: notebooks/10_what_the_network_looks_at
      - file: notebooks/12_from_notebook_to_browser
"""


# --- What is counted ----------------------------------------------------------------------------------------


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    return importlib.import_module("fercourse_demo")


def test_bins_are_joined_until_they_hold_enough(extension: Any) -> None:
    reliability = {"count": [0, 4, 100, 30, 80, 0, 3], "hits": [0, 1, 40, 20, 60, 0, 3]}
    bins = extension.joined_bins(reliability, 100)
    assert [(one["count"], one["hits"]) for one in bins] == [(104, 41), (113, 83)]
    assert [(one["from"], one["to"]) for one in bins] == [(0, 3 / 7), (3 / 7, 1)]
    assert extension.joined_bins({"count": [0, 5], "hits": [0, 4]}, 100) == [
        {"from": 0.0, "to": 1.0, "count": 5, "hits": 4}
    ]


def test_the_count_is_that_of_the_measured_network(extension: Any) -> None:
    facts = json.loads((SMALL / "small.json").read_text())
    found, missing, _ = extension.networks(SMALL)
    assert not missing
    for one in found:
        measured = facts["files"][one["file"]]["test"]
        counted = one["calibration"]
        assert counted["n"] == facts["data"]["sizes"]["test"]
        right = sum(part["hits"] for part in counted["bins"])
        assert right / counted["n"] == pytest.approx(measured["accuracy"], abs=1e-6)
        assert all(part["count"] >= extension.LEAST_IMAGES for part in counted["bins"])
        assert counted["bins"][-1]["to"] == 1
        assert one["bytes"] == (SMALL / one["file"]).stat().st_size


def test_how_often_each_word_is_found_is_said(extension: Any) -> None:
    facts = json.loads((SMALL / "small.json").read_text())
    words = BeautifulSoup(extension.recall_sentence(facts), "html.parser").get_text()
    low, high = facts["test"]["accuracy_interval"]
    assert f"(95% interval: {low:.1%} to {high:.1%})" in words
    for word, share in zip(facts["classes"], facts["test"]["recall"], strict=True):
        assert f"{word} in {share:.0%}" in words
    assert words.index("happy") < words.index("disgust")
    assert "Pending" in extension.recall_sentence({})


def test_without_the_network_the_page_says_so(extension: Any, tmp_path: Path) -> None:
    found, missing, _ = extension.networks(tmp_path)
    assert not found
    assert "built without the small network" in missing
    assert "Pending" in extension.calibration_table(None)


# --- The book -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of a book with this one, and with stand-ins of those that it leads to."""
    folder = tmp_path_factory.mktemp("demo")
    for name in ("_config.yml", "book/_ext", "book/_static", "book/references.bib", "book/demo.md"):
        origin, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if origin.is_dir() else shutil.copyfile)(origin, target)
    (folder / "notebooks").mkdir()
    for name in ("10_what_the_network_looks_at", "12_from_notebook_to_browser"):
        nbformat.write(hard_book.chapter(), folder / "notebooks" / f"{name}.ipynb")
    (folder / "_toc.yml").write_text(TOC)
    (folder / "book" / "welcome.md").write_text("# A book\n\nIt holds one page that matters, and this one.\n")
    (folder / "book" / "references.md").write_text("# References\n\n```{bibliography}\n```\n")
    headings = re.findall(r"^#+ .+$", (ROOT / "book" / "ethics.md").read_text(), re.MULTILINE)
    (folder / "book" / "ethics.md").write_text("\n\nA sentence of some words.\n\n".join(headings) + "\n")
    return test_book.build(folder, folder)[0]


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    with served(built, PREFIX) as at:
        yield at


@pytest.fixture(scope="module")
def data(built: Path) -> dict[str, Any]:
    return json.loads((built / "_static" / "demo" / "demo.json").read_text())


@pytest.fixture
def runtime(data: dict[str, Any]) -> dict[str, Any]:
    """What is known of the runtime; skips the test where there was no npm to bring it."""
    if data["runtime"]["missing"]:
        pytest.skip(f"no onnxruntime-web: {data['runtime']['missing']}")
    return data["runtime"]


#: What Chromium writes when a page asks for what a test has taken away.
EXPECTED = re.compile("404|Failed to load resource")


@pytest.fixture
def tabs(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open tabs that watch for errors, and for requests to anywhere else."""
    opened = []

    def new(address: str, program: Any = browser, **options: Any) -> Any:
        missing, script = options.pop("missing", False), options.pop("script", "")
        options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options}
        context = program.new_context(**options)
        tab = context.new_page()
        tab.set_default_timeout(30_000)
        tab.wrong, tab.asked = [], []
        tab.on("pageerror", lambda error: tab.wrong.append(str(error)))
        tab.on("console", lambda line: tab.wrong.append(line.text) if line.type == "error" else None)
        context.on("request", lambda request: tab.asked.append(request.url))
        if script:
            tab.add_init_script(script)
        tab.goto(f"{address}book/demo.html")
        opened.append((address, tab, missing))
        return tab

    yield new
    for address, tab, missing in opened:
        wrong = [line for line in tab.wrong if not (missing and EXPECTED.search(line))]
        assert not wrong
        elsewhere = [url for url in tab.asked if not url.startswith((address, "blob:", "data:"))]
        assert not elsewhere
        tab.context.close()


def ready(tab: Any) -> Any:
    tab.wait_for_selector(".demo-ready")
    tab.wait_for_selector(".demo-square[aria-label*='pixels wide']")  # a picture is there
    return tab


@pytest.fixture
def tab(tabs: Callable[..., Any], address: str) -> Any:
    return ready(tabs(address))


def start(tab: Any) -> Any:
    tab.click(".demo-start")
    tab.wait_for_selector(".demo-summary:not(:empty)", timeout=90_000)
    return tab


@pytest.fixture
def started(runtime: dict[str, Any], tab: Any) -> Any:
    assert runtime["bytes"] > 1_000_000
    return start(tab)


def messages(tab: Any) -> str:
    return "\n".join(tab.locator(".demo-message").all_inner_texts())


SAID = """words => [...document.querySelectorAll(".demo-message")]
  .some(one => one.checkVisibility() && new RegExp(words).test(one.textContent))"""


def says(tab: Any, words: str) -> str:
    """Wait until a message of the page matches; return all messages."""
    tab.wait_for_function(SAID, arg=words)
    return messages(tab)


def shares(tab: Any) -> list[float]:
    return [float(text.rstrip("%")) / 100 for text in tab.locator(".demo-share").all_inner_texts()]


def said_share(tab: Any) -> float:
    """Return the share of the first word, as the sentence says it."""
    said = re.search(r"\((\d+)%\)", tab.inner_text(".demo-summary"))
    assert said
    return int(said[1]) / 100


def other_shares(tab: Any, before: list[float]) -> list[float]:
    """Wait until the network has answered otherwise; return the shares."""
    within(tab, lambda: shares(tab) != before)
    return shares(tab)


def within(tab: Any, holds: Callable[[], bool], seconds: float = 20) -> bool:
    """Return whether something comes to hold, looking ten times a second: machines differ in speed."""
    for _ in range(int(10 * seconds)):
        if holds():
            return True
        tab.wait_for_timeout(100)
    return holds()


TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
#: The 48 x 48 greys that the page shows enlarged as what the network sees.
SEEN_FACE = """() => {
  const canvas = document.querySelector(".demo-pictures canvas");
  const step = canvas.width / 48;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.width);
  const at = (y, x) => data[4 * (Math.floor((y + 0.5) * step) * canvas.width + Math.floor((x + 0.5) * step))];
  return Array.from({ length: 2304 }, (_, k) => at(Math.floor(k / 48), k % 48));
}"""


def seen_face(tab: Any) -> np.ndarray:
    tab.evaluate(TWO_FRAMES)  # it is drawn with the next frame of the screen
    return np.array(tab.evaluate(SEEN_FACE), np.uint8).reshape(48, 48)


# --- The same numbers as in Python --------------------------------------------------------------------------

RUN = """async ([folder, file, faces]) => {
  const { startRuntime, download, openNetwork } = await import(folder + "network.js");
  const { classes, networks } = await (await fetch(folder + "demo.json")).json();
  const { temperature } = networks.find((one) => one.file === file);
  const content = await download(folder + file);
  const network = await openNetwork(await startRuntime(), content, classes, temperature);
  const bytes = Uint8Array.from(atob(faces), (letter) => letter.charCodeAt(0));
  const found = [];
  for (let k = 0; k < bytes.length; k += 2304) {
    const { logits, probs, maps } = await network.run(bytes.slice(k, k + 2304));
    found.push({ logits, probs, maps: [...maps.values] });
  }
  await network.close();
  return found;
}"""


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """200 faces, uint8 (200, 48, 48): of the real test split where it is, drawn ones otherwise."""
    folder = os.environ.get("FERCOURSE_TEST_DATA")
    if folder:
        return load_faces(Path(folder) / "fer2013.csv").test.images[::17][:200]
    return synthetic_faces(sizes=(200, 0, 0)).train.images


def answers(tab: Any, address: str, file: str, faces: np.ndarray) -> dict[str, np.ndarray]:
    text = base64.b64encode(faces.tobytes()).decode()
    found = tab.evaluate(RUN, [f"{address}_static/demo/", file, text])
    return {key: np.array([one[key] for one in found]) for key in found[0]}


@pytest.mark.usefixtures("runtime")
def test_logits_are_those_of_pytorch(tab: Any, address: str, faces: np.ndarray) -> None:
    """PyTorch's has the file's own weights, in which batch norm is folded into the convolutions."""
    onnx = pytest.importorskip("onnx")
    import torch

    facts = json.loads((SMALL / "small.json").read_text())
    network = create_model(facts["model"], **{**facts["model_options"], "norm": "none"}).eval()
    stored = {
        one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy())
        for one in onnx.load(SMALL / "small.onnx").graph.initializer
    }
    state = {name.removeprefix("model."): value for name, value in stored.items() if "stages" in name}
    dense = next(one for one in stored.values() if tuple(one.shape) == (7, 256, 1, 1))
    state["head.3.weight"] = dense[:, :, 0, 0]
    state["head.3.bias"] = torch.tensor(facts["bias"])
    network.load_state_dict(state)
    with torch.inference_mode():
        expected = network(torch.from_numpy(faces[:, None].astype(np.float32) / 255)).numpy()
    found = answers(tab, address, "small.onnx", faces)
    assert found["logits"].shape == (200, 7)
    assert np.abs(found["logits"] - expected).max() < 1e-3
    means = found["maps"].reshape(200, 7, -1).mean(2) + np.array(facts["bias"])
    assert np.abs(means - found["logits"]).max() < 1e-3
    # The shares are those of `fercourse predict`, temperature included.
    raised = np.exp(expected / facts["temperature"])
    assert np.abs(found["probs"] - raised / raised.sum(1, keepdims=True)).max() < 1e-3


@pytest.mark.usefixtures("runtime")
def test_eight_bits_are_those_of_python(tab: Any, address: str, faces: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    expected = load_network(SMALL / "small-int8.onnx", threads=1).logits(faces, 50)
    found = answers(tab, address, "small-int8.onnx", faces)["logits"]
    # A value halfway between two of the 256 points may fall to either side, and the next layers carry it on.
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.97
    assert np.abs(found - expected).mean() < 0.02


PREPARE = """async ([folder, cases]) => {
  const { prepare } = await import(folder + "prepare.js");
  return cases.map(({ pixels, width, height, square }) => {
    const data = Uint8ClampedArray.from(atob(pixels), (letter) => letter.charCodeAt(0));
    return [...prepare({ data, width, height }, square)];
  });
}"""
#: Width, height, and the square: x, y, side.
SIZES = [
    (48, 48, (0, 0, 48)),
    (47, 48, (0, 0, 47)),
    (49, 60, (0, 5, 49)),
    (1, 1, (0, 0, 1)),
    (3, 2, (-1, -1, 5)),
    (20, 31, (0, 4, 20)),
    (96, 96, (0, 0, 96)),
    (97, 95, (1, 0, 95)),
    (100, 300, (10, 150, 77)),
    (333, 500, (100, 100, 333)),
    (640, 480, (80, 0, 480)),
    (640, 480, (-50, -30, 600)),
    (640, 480, (500, 400, 200)),
    (1200, 900, (13, 17, 787)),
]


def drawn_picture(width: int, height: int, kind: str) -> Image.Image:
    """Waves, an edge and grain in colour; with parts that can be seen through where the kind is RGBA."""
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(width).integers(0, 256, (height, width))
    layers = [127 + 127 * np.sin(x / 7 + y / 11), grain, np.where(x > width / 2, 230, 20), (x + y) % 256]
    return Image.fromarray(np.stack(layers, axis=-1)[..., : len(kind)].astype(np.uint8), kind)


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("kind", ["RGB", "RGBA"])
def test_pixels_are_those_of_pillow(tab: Any, address: str, kind: str, tmp_path: Path) -> None:
    cases, expected = [], []
    for width, height, square in SIZES:
        picture = drawn_picture(width, height, kind)
        picture.save(tmp_path / "picture.png")
        expected.append(prepare(read_picture(tmp_path / "picture.png"), Square(*square)))
        pixels = base64.b64encode(np.asarray(picture.convert("RGBA")).tobytes()).decode()
        place = dict(zip(("x", "y", "side"), square, strict=True))
        cases.append({"pixels": pixels, "width": width, "height": height, "square": place})
    found = tab.evaluate(PREPARE, [f"{address}_static/demo/", cases])
    for size, one, other in zip(SIZES, found, expected, strict=True):
        difference = np.abs(np.array(one).reshape(48, 48) - other.astype(int))
        assert difference.max() <= 1, size
        assert difference.mean() < 0.05, size


FILES = ["rgb.png", "grey.png", "see-through.png", "palette.png", "turned.jpg", "wide.webp"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_becomes_what_it_becomes_in_python(tab: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    picture = drawn_picture(420, 300, "RGBA" if name.startswith("see") else "RGB")
    if name.startswith("grey"):
        picture = picture.convert("L")
    if name.startswith("palette"):
        picture = picture.quantize(64)
    options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    if name.endswith("jpg"):
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by a quarter
        options = {"exif": exif, "quality": 95, "subsampling": 0}
    picture.save(path, **options)
    tab.click("text=A file")
    tab.set_input_files("#demo-file", path)
    says(tab, "Read: 300 × 420" if name.endswith("jpg") else "Read: 420 × 300")
    difference = np.abs(seen_face(tab).astype(int) - prepare(read_picture(path)))
    # Two decoders of a JPEG may round otherwise; a canvas keeps colours multiplied by how opaque they are.
    assert difference.max() <= (2 if name.startswith(("turned", "see")) else 1)
    assert difference.mean() < (0.5 if name.startswith(("turned", "see")) else 0.05)


MEASURE = """async ([folder, file]) => {
  const { startRuntime, download, openNetwork } = await import(folder + "network.js");
  const { classes } = await (await fetch(folder + "demo.json")).json();
  window.measured ??= await openNetwork(await startRuntime(), await download(folder + file), classes);
  return window.measured.measure(new Uint8Array(2304).fill(90), 20);
}"""


@pytest.mark.usefixtures("runtime")
@pytest.mark.usefixtures("browser")
def test_the_bench_runs_the_page(built: Path) -> None:
    page.check_book(built)
    job = Job("small", "the book's page, 8 bits", "small", 0, 1)
    with ThreadPoolExecutor(1) as elsewhere:  # one playwright a thread
        found = elsewhere.submit(page.measure, job, built, 0.2).result()
    assert found["steps"] >= 2
    assert found["seconds"] >= 0.2
    assert found["images_per_second"] == pytest.approx(found["steps"] / found["seconds"])
    assert (found["threads"], found["precision"]) == (1, "int8")


@pytest.mark.alone
@pytest.mark.usefixtures("runtime")
def test_a_face_is_quick(tab: Any, address: str, record_property: Any) -> None:
    """The least of many medians: whatever else the machine does meanwhile is none of the network's time."""
    medians: list[float] = []
    end = time.monotonic() + 60
    while not medians or (min(medians) >= MILLISECONDS and time.monotonic() < end):
        medians.append(tab.evaluate(MEASURE, [f"{address}_static/demo/", "small.onnx"]))
    record_property("milliseconds", min(medians))
    assert min(medians) < MILLISECONDS


# --- What is shown ------------------------------------------------------------------------------------------


def test_nothing_large_is_loaded_before_the_reader_wishes(tab: Any, data: dict[str, Any]) -> None:
    assert not [url for url in tab.asked if re.search(r"\.onnx|\.wasm|ort|drawn|detect", url)]
    assert seen_face(tab).std() > 20
    button = tab.locator(".demo-start")
    if not data["runtime"]["missing"]:
        size = data["runtime"]["bytes"] + data["networks"][0]["bytes"]
        assert button.inner_text() == f"Start the network ({size / 1e6:.1f} MB to load)"
    assert not tab.locator(".demo-bars").is_visible()


def test_shares_words_and_map_follow_the_picture(started: Any, data: dict[str, Any]) -> None:
    seen: dict[str, str] = {}
    found = shares(started)
    for k, word in enumerate(data["samples"]["words"][:7]):
        started.locator(f"input[name=demo-sample][value='{k}']").check(force=True)
        found = other_shares(started, found) if seen else found  # it begins with the first
        assert sum(found) == pytest.approx(1, abs=0.005)
        top = EMOTIONS[int(np.argmax(found))]
        assert started.inner_text(".demo-top .demo-word") == top
        summary = started.inner_text(".demo-summary")
        assert f"{top} (" in summary
        counted = data["networks"][0]["calibration"]
        part = next(one for one in counted["bins"] if max(found) <= one["to"] + 0.0005)
        rate = part["hits"] / part["count"]
        level = "torn" if rate < 0.5 else "clear" if rate >= counted["accuracy"] else "leans"
        assert started.get_attribute(".demo-summary", "data-level") == level
        backing = started.inner_text(".demo-backing")
        assert f"the label of {part['hits']:,} in {part['count']:,}: {rate:.0%}" in backing
        assert "nobody has counted" in backing
        assert f"Most speaks for {top} in the" in started.inner_text(".demo-pictures")
        seen[word] = summary
    assert len(set(seen.values())) > 3
    started.locator("input[name=demo-word][value='1']").check()
    assert "Most speaks for disgust in the" in started.inner_text(".demo-pictures")
    label = started.locator(".demo-pictures canvas").nth(1).get_attribute("aria-label")
    assert "class activation map of disgust" in label
    assert re.search(r"[\d.]+ ms a face", started.inner_text(".demo-numbers"))


WORDS = """async ([folder, probs, calibration]) => {
  const { inWords } = await import(folder + "words.js");
  return inWords(probs, ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"], calibration);
}"""
COUNTED = {
    "split": "test",
    "accuracy": 0.6,
    "bins": [
        {"from": 0.1, "to": 0.4, "count": 1000, "hits": 499},
        {"from": 0.4, "to": 0.8, "count": 200, "hits": 100},
        {"from": 0.8, "to": 1.0, "count": 100, "hits": 60},
    ],
}


SAYINGS = [
    ([0.3, 0, 0, 0, 0.4, 0, 0.3], COUNTED, "torn", "torn between sad (40%) and angry (30%)."),
    ([0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.1], COUNTED, "torn", "angry (20%), fear (20%) and sad (20%)"),
    ([0, 0, 0, 0.41, 0.39, 0.2, 0], COUNTED, "leans", "leans towards happy (41%); next comes sad (39%)."),
    ([0, 0, 0, 0.9, 0.1, 0, 0], COUNTED, "clear", "happy (90%) clearly first; next comes sad (10%)."),
    ([0, 0, 0, 0.9, 0.1, 0, 0], None, "leans", "leans towards happy (90%)"),
    ([0, 0, 0, 0.45, 0.4, 0.15, 0], None, "torn", "torn between happy (45%) and sad (40%)."),
]


def test_words_follow_from_the_count(tab: Any, address: str) -> None:
    for probs, counted, level, words in SAYINGS:
        found = tab.evaluate(WORDS, [f"{address}_static/demo/", probs, counted])
        assert found["level"] == level, probs
        assert words in found["summary"]
        assert ("no record" in found["backing"]) == (counted is None), probs
        if level == "clear":
            assert found["backing"].endswith("that word was the label of 60 in 100: 60%.")
            assert "between 80% and 100%" in found["backing"]


def test_it_can_be_heard_and_does_not_chatter(started: Any) -> None:
    spoken = started.locator(".demo-app > [role=status]")
    assert within(started, lambda: spoken.inner_text() == started.inner_text(".demo-summary"))
    started.evaluate(
        """() => {
          window.told = [];
          const place = document.querySelector(".demo-app > [role=status]");
          new MutationObserver(() => window.told.push(place.textContent)).observe(place, { childList: true });
        }"""
    )
    started.focus(".demo-square")
    for _ in range(12):
        started.keyboard.press("ArrowLeft")
        started.keyboard.press("-")
    within(started, lambda: started.evaluate("window.told.length") > 0)
    started.wait_for_timeout(1200)  # and no more of it
    assert started.evaluate("window.told.length") == 1
    assert started.evaluate("window.told[0]") == started.inner_text(".demo-summary")


def test_int8_can_be_chosen(started: Any) -> None:
    before = shares(started)
    started.click("text=int8")
    says(started, "int8 is ready")
    after = other_shares(started, before)
    assert after == pytest.approx(before, abs=0.1)
    assert after != before


# --- The square ---------------------------------------------------------------------------------------------


def place(tab: Any) -> tuple[int, int, int]:
    found = re.search(
        r"(\d+) pixels wide, (-?\d+) from the left, (-?\d+)", tab.get_attribute(".demo-square", "aria-label")
    )
    side, x, y = map(int, found.groups())
    return x, y, side


@pytest.fixture
def wide(tab: Any, tmp_path: Path) -> Any:
    """The page with a picture of 600 x 400 pixels."""
    drawn_picture(600, 400, "RGB").save(tmp_path / "wide.png")
    tab.click("text=A file")
    tab.set_input_files("#demo-file", tmp_path / "wide.png")
    says(tab, "Read: 600 × 400")
    return tab


def test_the_square_is_moved_by_keyboard(wide: Any, tmp_path: Path) -> None:
    assert place(wide) == (100, 0, 400)
    wide.focus(".demo-square")
    wide.keyboard.press("ArrowRight")
    assert place(wide) == (120, 0, 400)
    wide.keyboard.press("Shift+ArrowDown")
    assert place(wide) == (120, 1, 400)
    wide.keyboard.press("-")
    x, y, side = place(wide)
    assert side == 364
    assert (x, y) == (138, 19)
    found = seen_face(wide)
    expected = prepare(read_picture(tmp_path / "wide.png"), Square(x, y, side))
    assert np.abs(found.astype(int) - expected).max() <= 1
    for _ in range(60):
        wide.keyboard.press("ArrowLeft")
        wide.keyboard.press("+")
    assert place(wide)[2] == 600
    assert place(wide)[0] == -300, "the middle stays in the picture"
    wide.keyboard.press("Home")
    assert place(wide) == (100, 0, 400)


def test_the_map_is_told_as_it_is(tab: Any, address: str) -> None:
    told = tab.evaluate(
        """async ([folder, maps]) => {
          const { mapInWords } = await import(folder + "map.js");
          return maps.map((cells) => mapInWords(cells, 3, "sad"));
        }""",
        [f"{address}_static/demo/", [[0, 0, 0, 0, 0, 0, -1, 0, 2], [-3, -1, -2, -3, -3, -3, -3, -3, -3]]],
    )
    assert told == [
        "Most speaks for sad in the lower right",
        "Nothing in it speaks for sad; least speaks against it in the upper middle",
    ]


def test_the_square_is_moved_by_pointer(wide: Any) -> None:
    wide.locator(".demo-stage").evaluate("stage => stage.scrollIntoView({ block: 'center' })")
    box = wide.locator(".demo-stage").bounding_box()
    zoom = box["width"] / 600

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        wide.mouse.move(box["x"] + zoom * start[0], box["y"] + zoom * start[1])
        wide.mouse.down()
        wide.mouse.move(box["x"] + zoom * end[0], box["y"] + zoom * end[1], steps=4)
        wide.mouse.up()

    drag((300, 200), (350, 210))
    assert place(wide) == pytest.approx((150, 10, 400), abs=3)
    drag((549, 409 - 12), (350, 210))  # its corner at the lower right
    x, y, side = place(wide)
    assert (x, y) == pytest.approx((150, 10), abs=3)
    assert side == pytest.approx(212, abs=16)
    drag((40, 350), (60, 300))  # beside it: it comes
    assert place(wide)[0] + side / 2 == pytest.approx(60, abs=4)
    wide.mouse.move(box["x"] + 5, box["y"] + 5)
    assert place(wide)[0] + side / 2 == pytest.approx(60, abs=4), "it follows a pointer that is up"


def test_two_fingers_size_the_square(tabs: Callable, address: str) -> None:
    tab = ready(tabs(address, viewport={"width": 360, "height": 800}, has_touch=True))
    x, _, side = place(tab)
    tab.locator(".demo-stage").scroll_into_view_if_needed()
    box = tab.locator(".demo-stage").bounding_box()
    touch = tab.context.new_cdp_session(tab)
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": middle[0] + k * apart, "y": middle[1], "id": k} for k in (-1, 1)]
        touch.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else points}
        )

    fingers("touchStart", 80)
    for apart in (70, 60, 50, 40):
        fingers("touchMove", apart)
    fingers("touchEnd", 40)
    within(tab, lambda: place(tab)[2] <= side * 0.55)
    assert place(tab)[2] == pytest.approx(side / 2, rel=0.1)
    assert place(tab)[0] + place(tab)[2] / 2 == pytest.approx(x + side / 2, abs=3)


# --- Sources ------------------------------------------------------------------------------------------------


def picture_file(name: str, content: bytes, mime: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": mime, "buffer": content}


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    drawn_picture(width, height, "RGB").save(buffer, "PNG")
    return buffer.getvalue()


#: The same picture, said to be of 90,000 x 90,000 pixels: what a file does that is made to fill a memory.
HUGE = png(8, 8)[:16] + 2 * (90_000).to_bytes(4, "big") + png(8, 8)[24:]
BROKEN = {
    "empty": (b"", "is empty"),
    "words": (b"no picture at all", "cannot be read as a picture"),
    "broken off": (png(200, 200)[:60], "cannot be read as a picture"),
    "a page": (
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "cannot be read as a picture",
    ),
    "huge": (HUGE, "too many|cannot be read as a picture"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_picture_is_refused(tab: Any, name: str) -> None:
    content, words = BROKEN[name]
    tab.click("text=A file")
    before = seen_face(tab)
    tab.set_input_files("#demo-file", picture_file("picture.png", content))
    assert "“picture.png”" in says(tab, words)
    assert np.array_equal(seen_face(tab), before)
    tab.set_input_files("#demo-file", picture_file("good.png", png(64, 64)))
    says(tab, "Read: 64 × 64")


def test_a_large_photograph_is_made_smaller(tab: Any) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4200, 5600), 90, np.uint8)).save(buffer, "JPEG")
    tab.click("text=A file")
    tab.set_input_files("#demo-file", picture_file("large.jpg", buffer.getvalue(), "image/jpeg"))
    says(tab, "It has 5600 × 4200 pixels, and is made smaller")
    assert np.abs(seen_face(tab).astype(int) - 90).max() <= 1


def test_a_picture_that_is_read_too_late_is_dropped(tab: Any) -> None:
    tab.evaluate(
        """() => {
          const read = createImageBitmap;
          window.createImageBitmap = async (...given) => {
            const bitmap = await read(...given);
            await new Promise((go) => (window.go = go));
            return bitmap;
          };
        }"""
    )
    before = seen_face(tab)
    tab.click("text=A file")
    tab.set_input_files("#demo-file", picture_file("late.png", png(64, 64)))
    tab.wait_for_function("Boolean(window.go)")
    tab.click("text=Drawn faces")
    tab.evaluate("() => go()")
    tab.wait_for_timeout(300)
    assert np.array_equal(seen_face(tab), before)
    assert "Read" not in messages(tab)
    assert tab.input_value("#demo-file") == "", "the same file cannot be chosen again"


def test_the_square_stays_on_the_same_part_of_drawn_faces(tab: Any) -> None:
    tab.focus(".demo-square")
    for key in ("-", "-", "ArrowDown"):
        tab.keyboard.press(key)
    chosen = place(tab)
    tab.locator("input[name=demo-sample][value='3']").check(force=True)
    assert place(tab) == chosen
    tab.click("text=A file")
    tab.set_input_files("#demo-file", picture_file("small.png", png(64, 64)))
    says(tab, "Read: 64")
    assert place(tab) == (0, 0, 64)


@pytest.mark.usefixtures("runtime")
def test_faces_of_one_picture_are_not_put_on_another(tab: Any, data: dict[str, Any]) -> None:
    if not data["modules"]["detect"]:
        pytest.skip("npm brought the runtime, but not the detector")
    held: list[Any] = []
    tab.route("**/detector.onnx", lambda route: held.append(route))
    tab.click("text=A file")
    tab.set_input_files("#demo-file", ROOT / "book" / "_static" / "welcome.png")
    says(tab, "Read: ")
    tab.click("text=Find the face")
    assert within(tab, lambda: bool(held))
    tab.set_input_files("#demo-file", picture_file("other.png", png(64, 64)))
    says(tab, "Read: 64 × 64")
    for route in held:
        route.continue_()
    tab.wait_for_function("!document.querySelector('.demo-stage-side button').disabled")
    tab.wait_for_timeout(500)
    assert place(tab) == (0, 0, 64)
    assert "The square is on" not in messages(tab)


GIVE = """([kind, name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name));
  const event = kind === "drop"
    ? new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: given, bubbles: true });
  document.querySelector(".demo-stage").dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(tab: Any, kind: str) -> None:
    tab.evaluate(GIVE, [kind, "face.png", base64.b64encode(png(80, 60)).decode()])
    says(tab, "Read: 80 × 60")
    assert tab.locator("input[name=demo-source][value=file]").is_checked()


def test_a_face_is_drawn_with_sliders(started: Any) -> None:
    of_sample = shares(started)
    started.click("text=Draw one")
    started.wait_for_selector(".demo-panel input[type=range]")
    found = other_shares(started, of_sample)
    before = seen_face(started)
    slider = started.locator(".demo-panel input[type=range]:visible").nth(2)
    slider.focus()
    started.keyboard.press("End")
    assert other_shares(started, found) != found
    assert not np.array_equal(seen_face(started), before)


def test_faces_are_found(started: Any) -> None:
    """In a picture of many drawn faces: the square goes from one to the next."""
    started.click("text=A file")
    started.set_input_files("#demo-file", ROOT / "book" / "_static" / "welcome.png")
    said = says(started, r"The square is on face 1 of \d+|cannot be looked for")
    if "cannot be looked for" in said:
        pytest.skip(said)  # npm brought the runtime, but not the detector
    first = place(started)
    assert 16 <= first[2] < 200
    started.click("text=Find the face")
    says(started, r"The square is on face 2 of \d+")
    assert place(started) != first


# --- The camera ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filming(browser: Any) -> Iterator[Any]:
    """Chromium with a camera that films a test picture, and a name for this machine that is no localhost."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    rules = "--host-resolver-rules=MAP book.example 127.0.0.1"
    started = browser.browser_type.launch(executable_path=program, args=["--no-sandbox", CAMERA, rules])
    yield started
    started.close()


#: Keeps the cameras that the page was given, and can make the next one wait.
STREAMS = """
  window.streams = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.streams.push(stream);
    await window.wait;
    return stream;
  };
"""
ENDED = "() => streams.every((one) => one.getTracks().every(({ readyState }) => readyState === 'ended'))"
HIDE = """() => {
  Object.defineProperty(document, "hidden", { value: true, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def film(tab: Any) -> Any:
    tab.click("text=Your camera")
    tab.click("text=Start the camera")
    return tab


@pytest.mark.usefixtures("runtime")
def test_the_camera_is_seen_to_be_on_and_goes_off(tabs: Callable, filming: Any, address: str) -> None:
    tab = ready(tabs(address, filming, permissions=["camera"], script=STREAMS))
    assert not tab.evaluate("document.title").startswith("●")
    start(film(tab))
    tab.wait_for_selector(".demo-on:visible")
    assert tab.evaluate("document.title").startswith("● Camera on")
    tab.wait_for_function("/frames a second/.test(document.querySelector('.demo-numbers').textContent)")
    before = seen_face(tab)
    assert within(tab, lambda: not np.array_equal(seen_face(tab), before)), "the picture stands still"
    assert not tab.evaluate(ENDED)
    tab.click("text=Stop the camera")
    assert "off" in messages(tab)
    assert tab.evaluate(ENDED)
    assert not tab.locator(".demo-on").is_visible()
    assert not tab.evaluate("document.title").startswith("●")
    before = seen_face(tab)
    tab.wait_for_timeout(400)
    assert np.array_equal(seen_face(tab), before)
    assert within(tab, lambda: said_share(tab) == pytest.approx(max(shares(tab)), abs=0.006)), (
        "the words are of an earlier frame"
    )
    assert tab.evaluate("document.activeElement.textContent") == "Start the camera"
    # Another source, and a page out of sight, switch it off as well.
    tab.click("text=Start the camera")
    tab.wait_for_selector(".demo-on:visible")
    tab.click("text=Drawn faces")
    assert not tab.locator(".demo-on").is_visible()
    assert tab.evaluate(ENDED)
    film(tab).wait_for_selector(".demo-on:visible")
    assert not tab.evaluate(ENDED)
    tab.evaluate(HIDE)
    assert "out of sight" in says(tab, "switched off")
    assert not tab.locator(".demo-on").is_visible()
    assert tab.evaluate(ENDED)


@pytest.mark.parametrize("meanwhile", ["out of sight", "another source", "away and back"])
def test_a_camera_that_comes_too_late_is_switched_off(
    tabs: Callable, filming: Any, address: str, meanwhile: str
) -> None:
    tab = ready(tabs(address, filming, permissions=["camera"], script=STREAMS))
    tab.evaluate("() => { window.wait = new Promise((go) => (window.go = go)); }")
    film(tab)
    assert within(tab, lambda: tab.evaluate("streams.length > 0"))
    if meanwhile == "out of sight":
        tab.evaluate(HIDE)
    else:
        tab.click("text=Drawn faces")
    if meanwhile == "away and back":
        tab.click("text=Your camera")
    tab.evaluate("() => go()")
    assert within(tab, lambda: tab.evaluate(ENDED))
    assert ("out of sight" in messages(tab)) == (meanwhile == "out of sight")
    assert not tab.locator(".demo-on").is_visible()
    assert tab.locator("text=Start the camera").is_enabled()


def test_the_keyboard_keeps_its_place_when_the_camera_goes_on(
    tabs: Callable, filming: Any, address: str
) -> None:
    tab = ready(tabs(address, filming, permissions=["camera"]))
    tab.click("text=Your camera")
    tab.focus("text=Start the camera")
    tab.keyboard.press("Enter")
    says(tab, "The camera is on")
    assert within(tab, lambda: tab.evaluate("document.activeElement.textContent") == "Stop the camera")


def test_an_answer_that_never_settles_is_said_now_and_then(tab: Any, address: str) -> None:
    """Another first word five times a second, for a minute of a clock that is turned by hand."""
    told = tab.evaluate(
        """async (folder) => {
          const { Speaker } = await import(folder + "speak.js");
          const speaker = new Speaker();
          let now = 0;
          performance.now = () => now;
          const told = [];
          for (let k = 0; k < 300; k++, now += 200) {
            const before = speaker.element.textContent;
            speaker.slowly(`words ${k}`, k);
            if (speaker.element.textContent !== before) told.push(now / 1000);
          }
          delete performance.now;
          return told;
        }""",
        f"{address}_static/demo/",
    )
    assert told[0] <= 7
    gaps = np.diff(told)
    assert gaps.min() >= 6
    assert gaps.max() <= 7


@pytest.mark.usefixtures("runtime")
def test_the_camera_does_not_make_it_chatter(tabs: Callable, filming: Any, address: str) -> None:
    tab = start(film(ready(tabs(address, filming, permissions=["camera"]))))
    tab.evaluate(
        """() => {
          window.told = 0;
          const place = document.querySelector(".demo-app > [role=status]");
          new MutationObserver(() => (window.told += 1)).observe(place, { childList: true });
        }"""
    )
    tab.wait_for_timeout(5000)
    assert tab.evaluate("window.told") <= 1
    said = tab.locator(".demo-app > [role=status]")
    assert within(tab, lambda: bool(said.text_content())), "it says nothing at all"


def test_a_refused_camera_is_answered_in_words(tabs: Callable, filming: Any, address: str) -> None:
    tab = film(ready(tabs(address, filming, permissions=[])))
    assert "everything else here works without" in says(tab, "The camera was refused")
    assert tab.locator("text=Start the camera").is_enabled()
    assert within(tab, lambda: tab.evaluate("document.activeElement.textContent") == "Start the camera")


def test_no_camera_is_answered_in_words(tabs: Callable, address: str) -> None:
    says(film(ready(tabs(address, permissions=["camera"]))), "No camera was found")


def test_a_page_without_https_is_answered_in_words(tabs: Callable, filming: Any, address: str) -> None:
    tab = film(ready(tabs(address.replace("127.0.0.1", "book.example"), filming)))
    says(tab, "only to pages that come over https")


# --- What may be missing ------------------------------------------------------------------------------------


def test_without_webassembly_it_says_so(tabs: Callable, address: str) -> None:
    tab = ready(tabs(address, script="delete globalThis.WebAssembly;"))
    says(tab, "no WebAssembly")
    assert tab.locator(".demo-start").is_disabled()
    assert seen_face(tab).std() > 20, "the rest of the page works"


def copied(built: Path, folder: Path, **changes: Any) -> Path:
    """The pages again, with other data for this one."""
    target = Path(shutil.copytree(built, folder / "pages"))
    path = target / "_static" / "demo" / "demo.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return target


def test_a_book_built_without_npm_says_so(built: Path, tabs: Callable, tmp_path: Path) -> None:
    reason = "The program npm is not installed here; it comes with Node.js."
    pages = copied(built, tmp_path, runtime={"missing": reason, "bytes": 0})
    shutil.rmtree(pages / "_static" / "demo" / "ort", ignore_errors=True)
    with served(pages, PREFIX) as at:
        tab = ready(tabs(at))
        assert reason in says(tab, "built without the runtime")
        assert tab.locator(".demo-start").is_disabled()


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("ort/ort-wasm-simd-threaded.wasm", "wasm is not there .status 404."),
        ("ort/ort.wasm.min.mjs", "lacks the runtime"),
        ("ort/ort-wasm-simd-threaded.mjs", "The runtime cannot load this network"),
        ("small.onnx", "small.onnx is not there"),
    ],
)
def test_a_lost_file_is_answered_in_words(
    built: Path, tabs: Callable, tmp_path: Path, lost: str, words: str
) -> None:
    pages = copied(built, tmp_path)
    (pages / "_static" / "demo" / lost).unlink()
    with served(pages, PREFIX) as at:
        tab = ready(tabs(at, missing=True))
        tab.click(".demo-start")
        says(tab, words)
        assert tab.locator(".demo-start").is_enabled()
        assert not tab.locator(".demo-app progress").is_visible()


@pytest.mark.usefixtures("runtime")
def test_without_memory_it_says_so(browser: Any, tabs: Callable, address: str) -> None:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    small = browser.browser_type.launch(
        executable_path=program, args=["--no-sandbox", "--js-flags=--wasm-max-mem-pages=20"]
    )
    tab = ready(tabs(address, small, missing=True))
    tab.click(".demo-start")
    says(tab, "no memory left")
    small.close()


def test_without_scripts_it_says_what_it_needs(browser: Any, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}book/demo.html")
    assert "needs JavaScript" in tab.inner_text(".demo")
    assert "python -m http.server" in tab.inner_text(".demo")
    assert "must not be used to judge" in tab.inner_text("article")
    context.close()


# --- A network of the reader's own --------------------------------------------------------------------------

IMAGES, LOGITS = ("images", 1, ["N", 1, 48, 48]), ("logits", 1, ["N", 7])


def little_network(
    *, inputs: Any = (IMAGES,), outputs: Any = (LOGITS,), outside: bool = False, **facts: str
) -> bytes:
    """An ONNX file: the mean of each of seven rows' strips, or whatever is asked for."""
    onnx = pytest.importorskip("onnx")
    size = int(np.prod([axis if isinstance(axis, int) else 1 for axis in inputs[0][2][1:]]))
    values = np.zeros((size, 7), np.float32)
    values[np.arange(size), np.arange(size) * 7 // size] = 0.02
    weight = onnx.numpy_helper.from_array(values, "weight")
    if outside:
        weight.data_location = onnx.TensorProto.EXTERNAL
    nodes = [
        onnx.helper.make_node("Flatten", [inputs[0][0]], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weight"], [outputs[0][0]]),
        *(onnx.helper.make_node("Identity", [outputs[0][0]], [name]) for name, *_ in outputs[1:]),
    ]
    described = [[onnx.helper.make_tensor_value_info(*one) for one in group] for group in (inputs, outputs)]
    graph = onnx.helper.make_graph(nodes, "little", *described, [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.helper.set_model_props(model, facts)
    return model.SerializeToString()


def own(tab: Any, content: bytes, name: str = "mine.onnx") -> Any:
    tab.click("text=your own file")
    tab.set_input_files(
        "#demo-own", {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    return tab


REFUSED = {
    "empty": (lambda: b"", "The file is empty"),
    "a checkpoint": (lambda: b"PK\3\4" + b"x" * 99, "a zip archive, as PyTorch writes"),
    "weights": (lambda: (80).to_bytes(8, "little") + b'{"a": 1}', "weights alone .safetensors."),
    "a page": (lambda: b"<!doctype html><title>404</title>", "text, such as a page"),
    "noise": (lambda: np.random.default_rng(0).bytes(4000), "no ONNX file, or it is damaged"),
    "half": (lambda: little_network()[:9000], "no ONNX file, or it is damaged"),
    "colour": (
        lambda: little_network(inputs=[("images", 1, ["N", 3, 48, 48])]),
        r"input images is float32 \(N, 3, 48, 48\); expected float32 \(N, 1, 48, 48\)",
    ),
    "larger": (
        lambda: little_network(inputs=[("images", 1, ["N", 1, 64, 64])]),
        r"is float32 \(N, 1, 64, 64\)",
    ),
    "bytes": (lambda: little_network(inputs=[("images", 2, ["N", 1, 48, 48])]), r"is uint8 \(N, 1, 48, 48\)"),
    "batches of 64": (lambda: little_network(inputs=[("images", 1, [64, 1, 48, 48])]), r"\(64, 1, 48, 48\)"),
    "two inputs": (lambda: little_network(inputs=[IMAGES, ("mask", 1, ["N"])]), r"2 inputs \(images, mask\)"),
    "another name": (
        lambda: little_network(outputs=[("output", 1, ["N", 7])]),
        "no output called logits, but output",
    ),
    "eight words": (
        lambda: little_network(outputs=[("logits", 1, ["N", 8])]),
        r"logits are float32 \(N, 8\)",
    ),
    "three outputs": (
        lambda: little_network(outputs=[LOGITS, ("a", 1, ["N", 7]), ("b", 1, ["N", 7])]),
        r"3 outputs \(logits, a, b\)",
    ),
    "another output": (
        lambda: little_network(outputs=[LOGITS, ("probs", 1, ["N", 7])]),
        "an output called probs",
    ),
    "another order": (lambda: little_network(classes=",".join(sorted(EMOTIONS))), "in this order"),
    "other maps": (
        lambda: little_network(outputs=[LOGITS, ("maps", 1, ["N", 256, 6, 6])]),
        r"maps are float32 \(N, 256, 6, 6\); expected float32 \(N, 7, H, H\)",
    ),
    "maps that are no square": (
        lambda: little_network(outputs=[LOGITS, ("maps", 1, ["N", 7, 6, 5])]),
        r"maps are float32 \(N, 7, 6, 5\)",
    ),
    "weights outside": (lambda: little_network(outside=True), "weights lie in another file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_does_not_fit_is_refused_with_the_reason(tab: Any, name: str) -> None:
    make, words = REFUSED[name]
    found = own(tab, make())
    assert "mine.onnx is refused" in says(found, words)
    assert found.locator(".demo-start").is_disabled()
    assert not [url for url in found.asked if ".wasm" in url], "the runtime was loaded for nothing"


def test_a_network_too_large_is_refused(tab: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(200_000_001)
    tab.click("text=your own file")
    tab.set_input_files("#demo-own", path)
    says(tab, "The file has 200 MB; more than 200 MB is too much")


def test_a_network_that_cannot_run_is_refused(started: Any) -> None:
    """The runtime does not know one of its operators; the network before it goes on answering."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(little_network())
    model.graph.node[0].op_type = "FlattenWell"
    found = own(started, model.SerializeToString())
    assert "FlattenWell" in says(found, "cannot load this network.*goes on answering")
    before = shares(started)
    started.locator("input[name=demo-sample][value='3']").check(force=True)
    assert other_shares(started, before) != before
    assert sum(shares(started)) == pytest.approx(1, abs=0.005)


#: Answers grey, with which it is tried when it is loaded, and nothing that has a darker pixel.
def failing_network() -> bytes:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(little_network())
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([0.5]), "half"))
    for node in (
        onnx.helper.make_node("Sqrt", ["less"], ["root"]),
        onnx.helper.make_node("Sub", ["images", "half"], ["less"]),
    ):
        model.graph.node.insert(0, node)
    model.graph.node[2].input[0] = "root"
    return model.SerializeToString()


def test_a_network_that_fails_shows_no_answer_of_another_face(started: Any) -> None:
    own(started, failing_network())
    says(started, "no finite numbers")
    assert within(started, lambda: not started.locator(".demo-summary").is_visible())
    assert not started.locator(".demo-pictures figure").nth(1).is_visible()
    started.click("text=float32")
    says(started, "float32 is ready")
    started.wait_for_selector(".demo-summary:visible")
    assert "no finite" not in messages(started)


@pytest.mark.usefixtures("runtime")
def test_of_two_networks_on_their_way_the_last_one_counts(tab: Any) -> None:
    held: list[Any] = []
    tab.route("**/small.onnx", lambda route: held.append(route))
    tab.click(".demo-start")
    assert within(tab, lambda: bool(held))
    tab.click("text=int8")
    says(tab, "int8 is ready")
    held.pop().continue_()
    tab.wait_for_timeout(500)
    assert "float32" not in messages(tab)
    assert tab.locator("input[name=demo-network][value=int8]").is_checked()


@pytest.mark.usefixtures("runtime")
def test_a_file_of_ones_own_that_comes_while_another_network_loads(tab: Any) -> None:
    held: list[Any] = []
    tab.route("**/small.onnx", lambda route: held.append(route))
    tab.click(".demo-start")
    assert within(tab, lambda: bool(held))
    own(tab, b"", "empty.onnx")
    says(tab, "empty.onnx is refused")
    held.pop().continue_()
    assert "empty.onnx is refused" in says(tab, "float32 is ready")
    own(tab, little_network(name="mine"))
    says(tab, "mine is ready")


@pytest.mark.usefixtures("runtime")
def test_a_file_of_ones_own_is_started_where_another_was_loading(tab: Any) -> None:
    held: list[Any] = []
    tab.route("**/small.onnx", lambda route: held.append(route))
    tab.click(".demo-start")
    assert within(tab, lambda: bool(held))
    own(tab, little_network(name="mine"))
    says(tab, "mine is ready")
    held.pop().continue_()
    tab.wait_for_timeout(500)
    assert "float32" not in messages(tab)


@pytest.mark.usefixtures("runtime")
def test_an_export_of_chapter_12_runs(tab: Any) -> None:
    pytest.importorskip("onnxscript")
    import torch

    from fercourse.export import to_onnx

    torch.manual_seed(0)
    model = create_model("basic_cnn").eval()
    facts = {
        "name": "basic_cnn-quick-seed3",
        "model": "basic_cnn",
        "recipe": "quick",
        "classes": ",".join(EMOTIONS),
    }
    own(tab, to_onnx(model, facts).SerializeToString())
    says(tab, "The file fits")
    assert "model basic_cnn; recipe quick" in tab.inner_text("article")
    start(tab)
    assert "basic_cnn-quick-seed3 is ready. It has no second output, maps" in messages(tab)
    face = torch.from_numpy(seen_face(tab)[None, None].astype(np.float32) / 255)
    with torch.inference_mode():
        expected = torch.softmax(model(face), 1)[0].tolist()
    assert shares(tab) == pytest.approx(expected, abs=0.0006)
    assert "brings no record" in tab.inner_text(".demo-backing")
    assert "counted" not in tab.inner_text(".demo-backing")
    assert tab.locator(".demo-pictures figure:visible").count() == 1
    assert tab.locator(".demo-bars input:visible").count() == 0
    tab.click("text=float32")
    says(tab, "float32 is ready")
    tab.locator(".demo-pictures figure").nth(1).wait_for(state="visible")
    # And back: the same file is asked once more.
    tab.click("text=your own file")
    says(tab, "basic_cnn-quick-seed3 is ready")
    assert within(tab, lambda: shares(tab) == pytest.approx(expected, abs=0.0006))


def test_a_network_is_dropped(tab: Any) -> None:
    tab.evaluate(GIVE, ["drop", "dropped.onnx", base64.b64encode(little_network()).decode()])
    says(tab, "The file fits|runtime")
    assert tab.locator("input[name=demo-network][value=own]").is_checked()
    assert "dropped.onnx says nothing of itself" in tab.inner_text("article")


# --- By keyboard, on every screen, offline ------------------------------------------------------------------


def press_until(tab: Any, selector: str) -> None:
    for _ in range(80):
        tab.keyboard.press("Tab")
        if tab.evaluate("selector => document.activeElement.matches(selector)", selector):
            style = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid" or "demo-sample" in selector, selector
            return
    raise AssertionError(f"{selector} is out of the keyboard's reach")


@pytest.mark.usefixtures("runtime")
def test_all_is_done_by_keyboard(tab: Any) -> None:
    tab.locator(".demo").evaluate("part => { part.tabIndex = -1; part.focus(); }")
    press_until(tab, "input[name=demo-source]")
    press_until(tab, "input[name=demo-sample]")
    before = seen_face(tab)
    tab.keyboard.press("ArrowRight")
    assert not np.array_equal(seen_face(tab), before)
    press_until(tab, ".demo-square")
    before = place(tab)
    tab.keyboard.press("-")
    assert place(tab)[2] < before[2]
    press_until(tab, ".demo-start")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".demo-summary:not(:empty)", timeout=90_000)
    assert tab.evaluate("document.activeElement !== document.body"), "the keyboard lost its place"
    press_until(tab, "input[name=demo-word]")
    tab.keyboard.press("ArrowDown")
    assert "Most speaks for angry" in tab.inner_text(".demo-pictures")
    press_until(tab, "input[name=demo-network]")
    tab.keyboard.press("ArrowDown")
    says(tab, "int8 is ready")
    tab.keyboard.press("ArrowDown")
    press_until(tab, "#demo-own")


SMALL_THINGS = """[...document.querySelectorAll(".demo-app button, .demo-tabs label")]
  .filter((one) => one.offsetHeight && one.offsetHeight < 44).length"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_way_back_to_the_top_can_be_read(tab: Any, axe: str, scheme: str) -> None:
    tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    tab.wait_for_function(FOLLOWED, arg=scheme)
    tab.evaluate("document.querySelector('#pst-back-to-top').style.display = 'block'")
    tab.evaluate(axe)
    tab.evaluate(AT_REST)
    found = [one["nodes"] for one in tab.evaluate(AXE, [])["violations"] if one["id"] == "color-contrast"]
    assert not found


@pytest.mark.parametrize("source", ["Drawn faces", "Draw one", "A file", "Your camera"])
def test_everyone_can_read_it_on_every_screen(
    tabs: Callable, filming: Any, address: str, axe: str, source: str, data: dict[str, Any]
) -> None:
    tab = ready(tabs(address, filming, permissions=["camera"]))
    if not data["runtime"]["missing"]:
        start(tab)
    tab.click(f"text={source}")
    if source == "Your camera":
        tab.click("text=Start the camera")
        tab.wait_for_selector(".demo-on:visible")
    if source == "Draw one":
        tab.wait_for_selector(".demo-panel input[type=range]")
    tab.click("text=your own file")
    tab.evaluate(TWO_FRAMES)
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
        small = tab.evaluate(SMALL_THINGS)
        assert small == 0, "smaller than a finger"


def test_once_loaded_it_needs_no_network(started: Any, data: dict[str, Any]) -> None:
    assert within(started, lambda: any("drawn.js" in url for url in started.asked))
    started.wait_for_load_state("networkidle")
    started.context.set_offline(True)
    asked = len(started.asked)
    before = shares(started)
    started.locator("input[name=demo-sample][value='3']").check(force=True)
    assert other_shares(started, before) != before
    started.click("text=Draw one")
    started.wait_for_selector(".demo-panel input[type=range]:visible")
    started.click("text=A file")
    started.set_input_files("#demo-file", ROOT / "book" / "_static" / "welcome.png")
    says(started, "Read: ")
    if data["modules"]["detect"]:
        says(started, r"The square is on face 1 of \d+")
    assert not [url for url in started.asked[asked:] if not url.startswith(("blob:", "data:"))]
