"""The page's face detector: weights from an npm package, as an ONNX file for the runtime in use.

The package `@vladmandic/face-api` (MIT licence) ships the "tiny face detector" of face-api.js, a YOLO of
seven layers, a byte a weight. Its own program is 1.3 MB of JavaScript with a second runtime in it, and would
bring ages and names of faces within reach. The page needs one network of it: its weights are read here, and
written as ONNX, together with the arithmetic from its answer to boxes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fercourse_npm
import numpy as np
from fercourse_demo import PAGE
from sphinx.application import Sphinx

from fercourse.errors import FercourseError, one_line
from fercourse.files import atomic_path

NAME, VERSION = "@vladmandic/face-api", "1.7.15"
INTEGRITY = "sha512-WDMmK3CfNLo8jylWqMoQgf4nIst3M0fzx1dnac96wv/dvMTN4DxC/Pq1DGtduDk1lktCamQ3MIDXFnvrdHTXDw=="
WEIGHTS, MANIFEST = (
    "model/tiny_face_detector_model.bin",
    "model/tiny_face_detector_model-weights_manifest.json",
)
MEMBERS = (WEIGHTS, MANIFEST, "LICENSE")
#: Below ``_static`` of the built book.
PLACE = "demo/detector"
#: From the package's src/tinyFaceDetector/const.ts and src/tinyYolov2/leaky.ts.
ANCHORS = (
    (1.603231, 2.094468),
    (6.041143, 7.080126),
    (2.882459, 3.518061),
    (4.266906, 5.178857),
    (9.041765, 10.66308),
)
MEAN_RGB = (117.001, 114.697, 97.404)
LEAK = 0.1
OPSET = 17  # of 2021: what every onnxruntime since knows
IR_VERSION = 8


@dataclass(frozen=True)
class Weights:
    """An array as tfjs stores it: uint8 ``stored``, which means ``stored * scale + least``."""

    stored: np.ndarray
    scale: float
    least: float


def read_weights(weights: bytes, manifest: str) -> dict[str, Weights]:
    """Return the weights by name from tfjs's format: a manifest, and bytes with a scale for each array.

    Raises:
        FercourseError: the two do not belong together.
    """
    arrays, start = {}, 0
    for group in json.loads(manifest):
        for entry in group["weights"]:
            shape, code = entry["shape"], entry["quantization"]
            count = int(np.prod(shape))
            stored = np.frombuffer(weights[start : start + count], np.uint8)
            if len(stored) != count or code["dtype"] != "uint8":
                raise FercourseError(f"The detector's weights end within {entry['name']}: a damaged file.")
            arrays[entry["name"]] = Weights(stored.reshape(shape), code["scale"], code["min"])
            start += count
    if start != len(weights):
        raise FercourseError(f"The detector's weights have {len(weights)} bytes; expected {start}.")
    return arrays


def load_weights() -> dict[str, Weights]:
    """Return the detector's weights, fetched if need be.

    Raises:
        FercourseError: the package cannot be fetched, or the weights are not the ones expected.
    """
    source = fercourse_npm.files_of(NAME, VERSION, INTEGRITY, MEMBERS)
    return read_weights((source / WEIGHTS).read_bytes(), (source / MANIFEST).read_text(encoding="utf-8"))


class _Graph:
    """Nodes and constants of an ONNX graph, each named after what it makes."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def add(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def detector(weights: dict[str, Weights]) -> bytes:
    """Return the detector as an ONNX file.

    Input ``pixels``: uint8 (S, S, 4), red, green, blue and one that is left alone, as canvases give them; S
    is any multiple of 32. Output ``boxes``: float32 (S / 32, S / 32, 5, 5): for each cell and anchor the
    centre from the cell's corner, width and height, all in cells, and the score, 0 to 1.
    """
    from onnx import TensorProto, checker, helper

    graph = _Graph()
    constant, add = graph.constant, graph.add
    colours = add(
        "Slice",
        ["pixels", *(constant(k, [v], np.int64) for k, v in (("from", 0), ("to", 3), ("axis", 2)))],
        "colours",
    )
    x = add("Cast", [colours], "cast", to=TensorProto.FLOAT)
    x = add("Sub", [x, constant("mean", MEAN_RGB)], "centred")
    x = add("Mul", [x, constant("scale", [1 / 255])], "scaled")
    x = add("Transpose", [x], "planes", perm=[2, 0, 1])
    x = add("Unsqueeze", [x, constant("first", [0], np.int64)], "batch")

    def read(name: str, *axes: int) -> str:
        """Stay with the bytes, a quarter of the file; the runtime makes floats of them once, as it starts."""
        one = weights[name]
        stored = constant(f"{name}/bytes", one.stored.transpose(axes) if axes else one.stored, np.uint8)
        floats = add("Cast", [stored], f"{name}/floats", to=TensorProto.FLOAT)
        scaled = add("Mul", [floats, constant(f"{name}/scale", one.scale)], f"{name}/scaled")
        return add("Add", [scaled, constant(f"{name}/least", one.least)], name)

    def convolve(x: str, filters: str, layer: str) -> str:
        # tfjs: height, width, in, out; ONNX: out, in, height, width.
        return add("Conv", [x, read(f"{layer}/{filters}", 3, 2, 0, 1), read(f"{layer}/bias")], layer)

    layers = sorted(name.split("/")[0] for name in weights if name.endswith("bias"))
    *middle, last = layers
    for layer in middle:
        if f"{layer}/filters" in weights:
            x = convolve(x, "filters", layer)
        else:
            kernel = read(f"{layer}/depthwise_filter", 2, 3, 0, 1)
            channels = weights[f"{layer}/depthwise_filter"].stored.shape[2]
            x = add("Conv", [x, kernel], f"{layer}/each", group=channels, pads=[1, 1, 1, 1])
            x = convolve(x, "pointwise_filter", layer)
        x = add("LeakyRelu", [x], f"{layer}/leaky", alpha=LEAK)
        step = 1 if layer == middle[-1] else 2
        x = add(
            "MaxPool", [x], f"{layer}/pool", kernel_shape=[2, 2], strides=[step, step], auto_pad="SAME_UPPER"
        )
    x = convolve(x, "filters", last)

    x = add("Transpose", [x], "cells", perm=[0, 2, 3, 1])
    shape = add("Shape", [x], "shape", start=1, end=3)
    wanted = add("Concat", [shape, constant("five", [len(ANCHORS), 5], np.int64)], "wanted", axis=0)
    x = add("Reshape", [x, wanted], "answers")
    parts = ["centre", "extent", "surety"]
    split = helper.make_node("Split", [x, constant("parts", [2, 2, 1], np.int64)], parts, axis=3)
    graph.nodes.append(split)
    sides = add("Mul", [add("Exp", ["extent"], "raised"), constant("anchors", ANCHORS)], "sides")
    add(
        "Concat",
        [add("Sigmoid", ["centre"], "middle"), sides, add("Sigmoid", ["surety"], "score")],
        "boxes",
        axis=3,
    )
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "tiny_face_detector",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["side", "side", 4])],
            [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["cells", "cells", len(ANCHORS), 5])],
            graph.constants,
        ),
        producer_name="fercourse",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def write_detector(folder: Path) -> None:
    """Write ``detector.onnx`` and the package's licence into a folder.

    Raises:
        FercourseError: the package cannot be fetched, or the weights are not the ones expected.
    """
    source = fercourse_npm.files_of(NAME, VERSION, INTEGRITY, MEMBERS)
    with atomic_path(folder / "detector.onnx") as path:
        path.write_bytes(detector(load_weights()))
    shutil.copyfile(source / "LICENSE", folder / "LICENSE.txt")


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the detector into the built book, or say why not; the page then says what is missing."""
    if error is not None or app.builder.format != "html" or PAGE not in app.env.found_docs:
        return
    try:
        write_detector(Path(app.outdir) / "_static" / PLACE)
    except (FercourseError, ImportError, OSError) as reason:
        print(f"note: the book is built without a face detector: {one_line(reason, 400)}", file=sys.stderr)


def setup(app: Sphinx) -> None:
    app.connect("build-finished", write)
