"""The page's face detector: it finds a face, from files of its own, and says so where it cannot."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from served import served

from fercourse.errors import FercourseError

ROOT = Path(__file__).parents[1]

sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "tools")]

import detector_square  # noqa: E402
import fercourse_demo  # noqa: E402
import fercourse_detector  # noqa: E402
import fercourse_npm  # noqa: E402

#: Faces in a picture of the folder, as ImageData where asked for.
FIND = """async ([name, data, side]) => {
  const { findFaces } = await import("./demo/detect.js");
  const bitmap = await createImageBitmap(await (await fetch(name)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const source = data ? context.getImageData(0, 0, canvas.width, canvas.height) : canvas;
  return findFaces(source, side ? { side } : {});
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts as a build leaves them, the runtime, the detector, and a picture."""
    folder = tmp_path_factory.mktemp("detect")
    shutil.copytree(ROOT / "book" / "_static" / "demo", folder / "demo")
    try:
        runtime = fercourse_npm.files_of(*fercourse_demo.RUNTIME)
        fercourse_detector.write_detector(folder / "demo" / "detector")
    except FercourseError as error:
        pytest.skip(f"npm's files cannot be had: {error}")
    (folder / "demo" / "ort").mkdir()
    for member in fercourse_demo.RUNTIME[3]:
        shutil.copy(runtime / member, folder / "demo" / "ort")
    picture().save(folder / "picture.png")
    (folder / "index.html").write_text("<!doctype html><title>Faces</title>")
    return folder


@pytest.fixture
def tab(browser: Any, folder: Path) -> Iterator[Any]:
    """An empty page beside the scripts."""
    with served(folder, "/book/") as address:
        tab = browser.new_page()
        tab.asked = []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.goto(address + "index.html")
        yield tab
        tab.close()
        assert all(url.startswith((address, f"blob:{address[:16]}")) or "favicon" in url for url in tab.asked)


def picture() -> Image.Image:
    """A photograph that scikit-image brings, free of rights: an astronaut, facing the camera."""
    return Image.fromarray(pytest.importorskip("skimage").data.astronaut())


#: Where its face is, hair and all: left, top, right and bottom.
WITHIN = (155, 40, 295, 220)


def test_the_face_of_a_photograph_is_found(tab: Any) -> None:
    assert not any("detector" in url for url in tab.asked)  # nothing is loaded before it is needed
    found = tab.evaluate(FIND, ["picture.png", False, 0])
    assert [face["score"] > 0.5 for face in found] == [True]
    x, y, side = (found[0][name] for name in ("x", "y", "side"))
    assert WITHIN[0] < x < x + side < WITHIN[2]
    assert WITHIN[1] < y < y + side < WITHIN[3]
    assert side > 0.6 * (WITHIN[2] - WITHIN[0])
    again = tab.evaluate(FIND, ["picture.png", True, 224])
    for name in ("x", "y", "side"):
        assert again[0][name] == pytest.approx(found[0][name], abs=0.2 * side)
    assert sum("detector.onnx" in url for url in tab.asked) == 1


def test_boxes_are_those_of_the_program_that_measured_the_square(tab: Any, folder: Path) -> None:
    """The same squares from Python's decoder, in a picture with one face large and one small."""
    both = Image.new("RGB", (700, 512), (90, 90, 90))
    both.paste(picture())
    both.paste(picture().crop((100, 0, 356, 256)).resize((188, 188)), (512, 300))
    both.save(folder / "both.png")
    found = tab.evaluate(FIND, ["both.png", False, 0])
    session = onnxruntime.InferenceSession(folder / "demo" / "detector" / "detector.onnx")
    measured = json.loads(detector_square.RECORD.read_text())
    expected = detector_square.look(session, both)
    assert len(found) == len(expected) == 2
    for face, (x, y, width, height, score) in zip(found, expected, strict=True):
        size = (width * height) ** 0.5
        assert face["score"] == pytest.approx(score, abs=0.05)
        assert face["side"] == pytest.approx(size * measured["side"], rel=0.05)
        assert face["x"] + face["side"] / 2 == pytest.approx(x + width / 2, abs=0.05 * size)
        middle = y + height / 2 + size * measured["down"]
        assert face["y"] + face["side"] / 2 == pytest.approx(middle, abs=0.05 * size)


def test_each_face_is_kept_once(tab: Any) -> None:
    """Of boxes upon each other the surest stays, as in the program that measured."""
    random = np.random.default_rng(4)
    answer = np.concatenate(
        [random.random((6, 6, 5, 2)), random.uniform(2, 4, (6, 6, 5, 2)), random.random((6, 6, 5, 1)) ** 3],
        axis=3,
    ).astype(np.float32)
    found = tab.evaluate(
        """async (answer) => {
          const { boxesOf } = await import("./demo/detect.js");
          const boxes = boxesOf(Float32Array.from(answer), 6, 5);
          return boxes.map((one) => ["x", "y", "width", "height", "score"].map((name) => one[name]));
        }""",
        answer.ravel().tolist(),
    )
    expected = detector_square.boxes(answer)
    assert 2 < len(expected) < (answer[..., 4] >= 0.5).sum() / 2  # most lie upon others
    assert np.array(found) == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_nothing_is_found_where_nothing_is(tab: Any, folder: Path) -> None:
    Image.new("RGB", (40, 300), (200, 180, 160)).save(folder / "plain.png")
    assert tab.evaluate(FIND, ["plain.png", False, 0]) == []


def test_a_book_without_the_detector_says_so(tab: Any) -> None:
    tab.route("**/detector.onnx", lambda route: route.fulfill(status=404))
    said = tab.evaluate(
        """async () => {
          const { findFaces } = await import("./demo/detect.js");
          const answer = findFaces(new ImageData(9, 9));
          return answer.catch((error) => `${error.constructor.name}: ${error.message}`);
        }"""
    )
    assert said.startswith("Refused: ")
    assert "Move the square yourself." in said
    tab.unroute("**/detector.onnx")
    assert tab.evaluate(FIND, ["picture.png", False, 0])  # once it is there, it is found


def test_damaged_weights_are_refused() -> None:
    manifest = json.dumps(
        [
            {
                "weights": [
                    {
                        "name": "conv8/bias",
                        "shape": [3],
                        "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1},
                    }
                ]
            }
        ]
    )
    read = fercourse_detector.read_weights(bytes([0, 2, 6]), manifest)["conv8/bias"]
    assert (read.stored * read.scale + read.least).tolist() == [-1, 0, 2]
    for weights in (b"ab", b"abcd"):
        with pytest.raises(FercourseError, match="weights"):
            fercourse_detector.read_weights(weights, manifest)


def test_the_square_is_the_median_of_what_both_detectors_found() -> None:
    haar = np.array([[0, 0, 900], [10, 10, 100], [300, 300, 50]])
    ours = np.array([[15.0, 20, 80, 80, 0.9], [600, 600, 50, 50, 0.8]])
    found = list(detector_square.pairs(haar, ours))
    assert found == [(1.25, pytest.approx(5 / 80), pytest.approx(0))]
    facts = detector_square.summary([(1.0, 0, -0.1), (1.2, 0, -0.2), (1.1, 0.3, 0)])
    assert (facts["side"], facts["down"], facts["right"], facts["pairs"]) == (1.1, -0.1, 0, 3)
