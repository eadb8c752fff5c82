"""The page "Try it": what it loads is put beside its scripts at every build, and nothing of it is committed.

The small network's files come from fercourse/small, how often it is right from its record, the sample faces
from the course's drawn faces, and the runtime, onnxruntime-web, from npm. What is missing is written down for
the page, which says so in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import fercourse_winograd
import numpy as np
from docutils import nodes
from fercourse_npm import bring
from PIL import Image
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

PAGE = "book/demo"
FOLDER = "demo"
DATA = f"{FOLDER}/demo.json"
RUNTIME = (
    "onnxruntime-web",
    "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    ("dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm"),
)
#: What the network's files are called on the page; the first is the one that is offered.
LABELS = {"small.onnx": "float32", "small-int8.onnx": "int8"}
#: Neighbouring bins of confidence are joined until they hold as many images: a share of that many is known to
#: about 10 points (95%).
LEAST_IMAGES = 100
SAMPLE_SIDE, PEOPLE = 192, (3, 8)
WITHOUT = "This copy of the book was built without the small network: only a file of your own can be run."
WAITING = (
    "This part is filled in by a script in your browser, which has not run (yet). It needs JavaScript, and a "
    "page that comes from a server: with a copy of the book on your disk, run "
    "<code>python -m http.server</code> in the folder of its pages and open the address that it prints."
)

# Of the build that is going on.
_now: dict[str, Any] = {}


def joined_bins(reliability: Mapping[str, Any], least: int = LEAST_IMAGES) -> list[dict[str, Any]]:
    """Return a record's bins of confidence, neighbours joined until each holds ``least`` images.

    Args:
        reliability: ``count`` and ``hits``, a number for each of equally wide bins from 0 to 1.

    Returns:
        A dict a bin: ``from`` (excluded) and ``to`` (included), the ends of the confidence, ``count`` images
        and ``hits`` among them, those with the right answer. The first begins at 0: it holds less sure
        answers than any that was counted, too. A bin with fewer than ``least`` is the only one.
    """
    counts, hits = reliability["count"], reliability["hits"]
    bins: list[dict[str, Any]] = []
    for place, (count, right) in enumerate(zip(counts, hits, strict=True)):
        if not bins and not count:
            continue
        ends = {"from": place / len(counts) if bins else 0.0, "to": (place + 1) / len(counts)}
        if not bins or bins[-1]["count"] >= least:
            bins.append({**ends, "count": count, "hits": right})
        else:
            _join(bins[-1], {**ends, "count": count, "hits": right})
    if len(bins) > 1 and bins[-1]["count"] < least:
        _join(bins[-2], bins.pop())
    return bins


def _join(one: dict[str, Any], other: Mapping[str, Any]) -> None:
    one["to"] = other["to"]
    one["count"] += other["count"]
    one["hits"] += other["hits"]


def calibration(measured: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how often a file's network is right, by how sure it is, on test.

    Args:
        measured: what small.json says of the file on test: ``accuracy``, ``reliability``.

    Returns:
        ``split``, ``n``, ``accuracy`` and ``bins`` as of `joined_bins`; None where nothing is counted.
    """
    if "reliability" not in measured:
        return None
    bins = joined_bins(measured["reliability"])
    n = sum(one["count"] for one in bins)
    return {"split": "test", "n": n, "accuracy": measured["accuracy"], "bins": bins}


def networks(folder: Path) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """Return the network's files, why there are none (or an empty text), and what small.json says of them."""
    try:
        facts = json.loads((folder / "small.json").read_text(encoding="utf-8"))
        sizes = {name: (folder / name).stat().st_size for name in LABELS}
    except (OSError, ValueError):
        return [], WITHOUT, {}
    found = []
    for name, label in LABELS.items():
        measured = facts["files"][name]["test"]
        entry = {"id": label, "label": f"{facts['model']}, {label}", "file": name, "bytes": sizes[name]}
        says = f"right for {measured['accuracy']:.1%} of the test images"
        more = {"says": says, "temperature": facts["temperature"], "calibration": calibration(measured)}
        found.append({**entry, **more})
    return found, "", facts


def file_for_page(path: Path) -> bytes:
    """Return a network's file as the page gets it: float32 with fewer products, where onnx is installed."""
    try:
        import onnx
    except ImportError:
        return path.read_bytes()
    if LABELS[path.name] != "float32":
        return path.read_bytes()
    proto = fercourse_winograd.with_fewer_products(onnx.load(path))
    return bytes(proto.SerializeToString(deterministic=True))


def samples() -> tuple[Image.Image, list[str]]:
    """Return drawn faces side by side in one grey picture, and the word each is drawn as."""
    from fercourse.data import EMOTIONS
    from fercourse.data.synthetic import draw_faces, emotion_units

    drawn = [(person, word) for person in PEOPLE for word in EMOTIONS]
    faces = [draw_faces(emotion_units(word), identity=who, size=SAMPLE_SIDE)[0] for who, word in drawn]
    return Image.fromarray(np.concatenate(faces, axis=1)), [word for _, word in drawn]


def collect(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> Iterable[str]:
    """Write what the page loads, and name the page if that has changed since the last build."""
    if PAGE not in env.found_docs:
        return []
    from fercourse.data import EMOTIONS
    from fercourse.files import atomic_path, write_text

    small = Path(str(resources.files("fercourse"))) / "small"
    scripts = Path(app.srcdir) / "book" / "_static" / FOLDER
    found, missing, facts = networks(small)
    data: dict[str, Any] = {
        "classes": list(EMOTIONS),
        "networks": found,
        "missing": missing,
        "modules": {name: (scripts / f"{name}.js").exists() for name in ("drawn", "detect")},
    }
    sheet, words = samples()
    data["samples"] = {"file": "samples.png", "side": SAMPLE_SIDE, "words": words}
    if app.builder.format == "html":
        target = Path(app.outdir) / "_static" / FOLDER
        target.mkdir(parents=True, exist_ok=True)
        reason = bring(app, *RUNTIME, f"{FOLDER}/ort")
        files = [] if reason else [target / "ort" / Path(member).name for member in RUNTIME[3]]
        data["runtime"] = {"missing": reason, "bytes": sum(file.stat().st_size for file in files)}
        for network in found:
            with atomic_path(target / network["file"]) as temporary:
                temporary.write_bytes(file_for_page(small / network["file"]))
        with atomic_path(target / "samples.png") as temporary:
            sheet.save(temporary, "PNG", optimize=True)
        write_text(Path(app.outdir) / "_static" / DATA, json.dumps(data, separators=(",", ":")))
    _now.update(data=data, facts=facts)
    digest = sha256(json.dumps([data, facts], sort_keys=True).encode()).hexdigest()
    known = getattr(env, "fercourse_demo", None)
    env.fercourse_demo = digest  # type: ignore[attr-defined]
    return [] if known == digest else [PAGE]


def calibration_table(counted: Mapping[str, Any] | None) -> str:
    """Return the table of how often the network is right when it is how sure, as HTML."""
    if counted is None:
        return "<p>Pending: there is no count of the network's answers here.</p>"
    rows = [
        f"<tr><th scope='row'>{one['from']:.0%} to {one['to']:.0%}</th><td>{one['count']:,}</td>"
        f"<td>{one['hits']:,}</td><td>{one['hits'] / one['count']:.0%}</td></tr>"
        for one in counted["bins"]
    ]
    names = ("share of its first word", "images", "right", "right, in percent")
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    return (
        '<div class="pst-scrollable-table-container"><table class="table demo-table"><caption>All '
        f"{counted['n']:,} {counted['split']} images of FER-2013; right for {counted['accuracy']:.1%} of them"
        f"</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def recall_sentence(facts: Mapping[str, Any]) -> str:
    """Return how often the network is right on test, with the interval, and how often it finds each word."""
    if not facts:
        return "<p>Pending: there is no record of the network here.</p>"
    test, n = facts["test"], facts["data"]["sizes"]["test"]
    low, high = test["accuracy_interval"]
    order = sorted(zip(test["recall"], facts["classes"], strict=True), reverse=True)
    (most, first), *others = [(f"{share:.0%}", f"<em>{word}</em>") for share, word in order]
    listed = ", ".join(f"{word} in {share}" for share, word in others[:-1])
    accuracy = facts["files"][next(iter(LABELS))]["test"]["accuracy"]
    return (
        f"<p>In float32 it is right for {accuracy:.1%} of FER-2013's {n:,} test images (95% interval: "
        f"{low:.1%} to {high:.1%}). It does not find all words equally often: {first} in {most} of its "
        f"images, {listed}, and {others[-1][1]} in {others[-1][0]}.</p>"
    )


class Demo(SphinxDirective):
    """``{demo} app``: the part that the script fills in; ``calibration``, ``recall``: what was measured."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] == "calibration":
            found = _now["data"]["networks"]
            inside = calibration_table(found[0]["calibration"] if found else None)
        elif self.arguments[0] == "recall":
            inside = recall_sentence(_now["facts"])
        elif self.arguments[0] == "app":
            inside = f'<div class="demo"><p>{WAITING}</p></div>'
        else:
            raise self.error(f"{self.arguments[0]!r} is no part of the page: app, calibration or recall")
        return [nodes.raw("", inside, format="html")]


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load script and style on the page alone."""
    if page == PAGE:
        app.add_css_file(f"{FOLDER}/demo.css")
        app.add_js_file(f"{FOLDER}/demo.js", type="module")


def setup(app: Sphinx) -> None:
    app.add_directive("demo", Demo)
    app.connect("env-get-outdated", collect)
    app.connect("html-page-context", add_scripts, priority=500)
