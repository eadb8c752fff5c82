"""The page's drawn faces: the same pictures as the package draws, and controls that everybody can use."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import served

from fercourse.data import EMOTIONS
from fercourse.data import synthetic as faces
from fercourse.data.synthetic.tables import drawing_tables
from fercourse.data.synthetic.units import LIMIT

ROOT = Path(__file__).parents[1]

sys.path.insert(0, str(ROOT / "book" / "_ext"))

from fercourse_drawn import tables_module  # noqa: E402

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Drawn faces</title>
<meta name="viewport" content="width=device-width"></head>
<body><main><h1>A drawn face</h1><div id="here"></div></main></body></html>"""
DRAW = """async ([rows, size]) => {
  const { drawFace } = await import("./demo/drawn.js");
  return rows.map((row) => Array.from(drawFace(row, { size })));
}"""
MOUNT = """async () => {
  const { mountSliders } = await import("./demo/drawn.js");
  window.seen = [];
  const changed = (...given) => window.seen.push(given);
  window.controls = mountSliders(document.getElementById("here"), changed, { size: 48 });
}"""

SMALLEST = (
    "Math.min(...[...document.querySelectorAll('button, select, input, summary')].map(e => e.offsetHeight))"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The scripts as a build leaves them, below a path as on GitHub Pages."""
    folder = tmp_path_factory.mktemp("drawn")
    shutil.copytree(ROOT / "book" / "_static" / "demo", folder / "demo")
    (folder / "demo" / "tables.js").write_text(tables_module(drawing_tables()))
    (folder / "index.html").write_text(PAGE)
    with served(folder, "/book/") as found:
        yield found


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    """An empty page beside the scripts; nothing may go wrong on it, and nothing be asked for elsewhere."""
    tab = browser.new_page(viewport={"width": 360, "height": 800})
    errors: list[str] = []
    asked: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address + "index.html")
    yield tab
    assert not errors
    assert all(url.startswith(address) or url.endswith("/favicon.ico") for url in asked)
    tab.close()


def difference(tab: Any, rows: np.ndarray, size: int = 48) -> np.ndarray:
    """The absolute difference between the page's faces and Python's."""
    drawn = np.array(tab.evaluate(DRAW, [rows.tolist(), size])).reshape(len(rows), size, size)
    expected = faces.draw(rows, size=size)
    assert isinstance(expected, np.ndarray)
    return np.abs(drawn - expected.astype(int))


@pytest.mark.parametrize("preset", list(faces.PRESETS))
def test_random_faces_are_pythons(tab: Any, preset: str) -> None:
    found = faces.synthetic_faces(preset, sizes=(100, 0, 0), seed=11).train.truth["parameters"]
    off = difference(tab, found)
    assert off.max() <= 2
    assert off.mean() < 0.1


@pytest.mark.parametrize("size", [33, 80, 160])
def test_other_sizes_are_pythons(tab: Any, size: int) -> None:
    found = faces.synthetic_faces("hard", sizes=(12, 0, 0), seed=2).train.truth["parameters"]
    off = difference(tab, found, size)
    assert off.max() <= 2
    assert off.mean() < 0.1


def test_prototypes_extremes_and_every_choice_are_pythons(tab: Any) -> None:
    units = [way for ways in faces.PROTOTYPES.values() for _, way in ways]
    units += [{unit: LIMIT} for unit in faces.ACTION_UNITS]
    units += [dict.fromkeys(faces.ACTION_UNITS, LIMIT), {}]
    rows = [faces.portraits(one, identity=place)[0] for place, one in enumerate(units)]
    happy = faces.emotion_units("happy")
    for style in range(len(drawing_tables(1)["styles"])):
        rows += [faces.portraits(happy, style=style, yaw=0.5, light_x=-0.4)[0]]
    for name, count in (("beard", 5), ("glasses", 3), ("collar", 3), ("occluder", 4)):
        more = {"occ_long": 1, "occ_wide": 0.25, "occ_tone": 0.3} if name == "occluder" else {}
        rows += [faces.portraits(happy, style=2, roll=-0.3, **{name: k}, **more)[0] for k in range(count)]
    rows += [faces.portraits({}, noise=0.06, noise_key=2**24 - 1, blur=1.2, scale=1.25, pitch=-0.7)[0]]
    off = difference(tab, np.array(rows))
    assert off.max() <= 2
    assert off.mean() < 0.1


def test_some_parameters_by_name_are_enough(tab: Any) -> None:
    drawn = tab.evaluate(
        'async () => Array.from((await import("./demo/drawn.js")).drawFace({ AU12: 1, yaw: 0.2 }))'
    )
    expected = faces.draw_faces({"AU12": 1}, yaw=0.2)[0]
    assert np.abs(np.array(drawn).reshape(48, 48) - expected.astype(int)).max() <= 2
    for values, words in (
        ("{ AU11: 1 }", 'no parameter "AU11"'),
        ("[1, 2]", f"{len(faces.PARAMETERS)} parameters, not 2"),
        ("{}, { size: 8 }", "16 to 1024 pixels, not 8"),
    ):
        said = tab.evaluate(
            f"""async () => {{
              const {{ drawFace }} = await import("./demo/drawn.js");
              try {{ return String(drawFace({values})); }} catch (error) {{ return error.message; }}
            }}"""
        )
        assert words in said


def test_a_face_is_drawn_in_less_than_ten_milliseconds(tab: Any) -> None:
    fastest = tab.evaluate(
        """async () => {
          const { drawFace } = await import("./demo/drawn.js");
          const times = Array.from({ length: 60 }, (_, k) => {
            const begun = performance.now();
            drawFace({ AU12: k / 60, glasses: 1, blur: 0.4, noise: 0.02 });
            return performance.now() - begun;
          });
          return Math.min(...times.slice(20));
        }"""
    )
    assert fastest < 10


# --- The controls -------------------------------------------------------------------------------------------


def last(tab: Any) -> tuple[np.ndarray, dict[str, float]]:
    """The last picture that the controls gave, and its parameters."""
    greys, size, values = tab.evaluate(
        "() => { const [g, s, v] = seen.at(-1); return [Array.from(g), s, v]; }"
    )
    return np.array(greys).reshape(size, size), values


def test_a_button_shows_its_emotion(tab: Any) -> None:
    tab.evaluate(MOUNT)
    assert [b.inner_text() for b in tab.query_selector_all("[aria-pressed]")] == list(EMOTIONS)
    assert last(tab)[1]["AU12"] == 0
    for emotion in EMOTIONS:
        tab.get_by_role("button", name=emotion).click()
        greys, values = last(tab)
        assert {u: v for u in faces.ACTION_UNITS if (v := values[u])} == faces.emotion_units(emotion)
        expected = faces.draw_faces(faces.emotion_units(emotion))[0]
        assert np.abs(greys - expected.astype(int)).max() <= 2
        assert tab.locator('[aria-pressed="true"]').all_inner_texts() == [emotion]


def test_sliders_move_by_keyboard_and_say_what_they_are(tab: Any) -> None:
    tab.evaluate(MOUNT)
    for unit, meaning in faces.UNIT_MEANINGS.items():
        slider = tab.get_by_role("slider", name=f"{unit}: {meaning}")
        slider.focus()
        before = tab.evaluate("seen.length")
        tab.keyboard.press("End")
        assert last(tab)[1][unit] == LIMIT
        assert slider.get_attribute("aria-valuetext") == f"{LIMIT:.0%}"
        tab.keyboard.press("ArrowLeft")
        assert last(tab)[1][unit] == pytest.approx(LIMIT - 0.01)
        assert tab.evaluate("seen.length") == before + 2
    assert tab.locator('[aria-pressed="true"]').count() == 0  # no longer the emotion of a button
    tab.get_by_role("slider", name="Strength").fill("0.5")
    assert last(tab)[1]["AU12"] == pytest.approx((LIMIT - 0.01) / 2)
    tab.get_by_role("button", name="Start again").click()
    assert not any(last(tab)[1][unit] for unit in faces.ACTION_UNITS)
    assert tab.input_value("input[id$=strength]") == "1"


def test_the_page_says_how_python_draws_the_same_face(tab: Any) -> None:
    """A person, choices and settings of the picture: the call that is shown draws what is seen."""
    tab.evaluate(MOUNT)
    tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    tab.get_by_role("button", name="surprise").click()
    tab.get_by_label("Person", exact=True).select_option(label="Person 5")
    tab.get_by_label("Glasses").select_option(label="round")
    tab.get_by_label("Hair, or what covers it").select_option(label="hat")
    tab.get_by_role("slider", name="Head turned").fill("-0.4")
    tab.get_by_role("slider", name="Skin").fill("0.5")
    tab.get_by_role("slider", name="Strength").fill("0.8")
    call = tab.inner_text(".sliders pre")
    assert "identity=4" in call
    assert "yaw=-0.4" in call
    expected = eval(call, {"draw_faces": faces.draw_faces})[0]
    assert np.abs(last(tab)[0] - expected.astype(int)).max() <= 2


def test_the_controls_are_accessible_on_a_small_screen(tab: Any, axe: str) -> None:
    tab.evaluate(MOUNT)
    tab.wait_for_function("document.styleSheets.length === 1")
    tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate(SMALLEST) >= 44  # a finger's width
    tab.evaluate(axe)
    found = tab.evaluate(
        "axe.run().then((result) => result.violations.map((one) => [one.id, one.nodes[0].html]))"
    )
    assert not found


# --- The tables ---------------------------------------------------------------------------------------------


def test_tables_hold_what_the_package_has() -> None:
    tables = drawing_tables(3)
    assert tables["parameters"] == list(faces.PARAMETERS)
    assert dict(tables["units"]) == faces.UNIT_MEANINGS
    assert list(tables["prototypes"]) == list(EMOTIONS)
    assert np.float32(tables["people"]).tolist() == faces.portraits({}, identity=[0, 1, 2]).tolist()
    everyone = np.float32(drawing_tables()["people"])
    for name, (low, high) in tables["ranges"].items():
        assert low < high
        column = everyone[:, faces.PARAMETERS.index(name)]
        assert (column < low).sum() + (column > high).sum() <= 2, name
