"""Convolutions of 3 x 3 with fewer products, for the runtime of the page "Try it".

After Winograd, as Lavin and Gray (2016, "Fast algorithms for convolutional neural networks") write it,
F(2 x 2, 3 x 3): each tile of 4 x 4 inputs gives 2 x 2 outputs by 16 products for each pair of channels, in
place of 36. The sums that it needs before and after are convolutions with constants. Up to the last digits of
float32 the answers are the same, and so are the stored weights: the runtime transforms them as it starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: B transposed, G and A transposed of Lavin and Gray, section 4.1.
INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], np.float32)
WEIGHT = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
ANSWER = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], np.float32)
#: Larger pictures have so many tiles, and fewer channels so few products, that the sums cost what is saved.
MOST_SIDE, LEAST_CHANNELS = 24, 32


def _products(matrix: np.ndarray) -> np.ndarray:
    """Return the products of a matrix's rows by rows and columns by columns, (r, c) -> (r * r, c * c)."""
    return np.kron(matrix, matrix).astype(np.float32)


def with_fewer_products(proto: Any) -> Any:
    """Return an ONNX model whose 3 x 3 convolutions of stride 1 are computed by tiles, where that pays.

    Args:
        proto: ``onnx.ModelProto``; pictures of fixed, even sides. It is not changed.
    """
    from onnx import helper, numpy_helper, shape_inference

    model = type(proto)()
    model.CopyFrom(proto)
    graph = model.graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in shape_inference.infer_shapes(model).graph.value_info
    }
    weights = {one.name: list(one.dims) for one in graph.initializer}
    nodes: list[Any] = []

    def constant(name: str, values: Any) -> str:
        if name not in weights:
            weights[name] = []
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def step(kind: str, *inputs: str, to: str = "", **options: Any) -> str:
        """Add a node; return the name of what comes out."""
        out = to or f"winograd.{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [out], **options))
        return out

    def tiled(node: Any) -> None:
        picture, kernel, *bias = node.input
        channels, height, width = shapes[picture][1:]
        made = weights[kernel][0]
        rows, columns = height // 2, width // 2

        def shaped(values: str, *shape: int, to: str = "") -> str:
            return step("Reshape", values, constant(f"winograd.shape.{shape}", np.array(shape)), to=to)

        flat = shaped(kernel, -1, 9)
        spread = step("MatMul", flat, constant("winograd.weight", _products(WEIGHT).T))
        spread = step("Transpose", shaped(spread, made, channels, 16), perm=[2, 1, 0])
        tiles = step(
            "Conv",
            shaped(picture, -1, 1, height, width),
            constant("winograd.input", _products(INPUT).reshape(16, 1, 4, 4)),
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )
        tiles = step("Transpose", shaped(tiles, -1, channels, 16, rows * columns), perm=[0, 2, 3, 1])
        answers = step("Transpose", step("MatMul", tiles, spread), perm=[0, 3, 1, 2])
        answers = step(
            "Conv",
            shaped(answers, -1, 16, rows, columns),
            constant("winograd.answer", _products(ANSWER).reshape(4, 16, 1, 1)),
        )
        answers = step("DepthToSpace", answers, blocksize=2)
        if bias:
            column = shaped(bias[0], 1, made, 1, 1)
            step("Add", shaped(answers, -1, made, height, width), column, to=node.output[0])
        else:
            shaped(answers, -1, made, height, width, to=node.output[0])

    for node in graph.node:
        if _pays(node, shapes, weights):
            tiled(node)
        else:
            nodes.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _pays(node: Any, shapes: dict[str, list[int]], weights: dict[str, list[int]]) -> bool:
    """Whether a node is a convolution that tiles make quicker, and all that is needed of it is known."""
    if node.op_type != "Conv" or node.input[0] not in shapes or node.input[1] not in weights:
        return False
    options = {one.name: list(one.ints) or one.i or one.s for one in node.attribute}
    usual = {"strides": [1, 1], "dilations": [1, 1], "pads": [1] * 4, "group": 1, "kernel_shape": [3, 3]}
    if any(options.get(name, value) != value for name, value in usual.items()) or "pads" not in options:
        return False
    made, channels, *kernel = weights[node.input[1]]
    height, width = shapes[node.input[0]][2:]
    small = 0 < max(height, width) <= MOST_SIDE and height % 2 == width % 2 == 0
    return kernel == [3, 3] and small and min(made, channels) >= LEAST_CHANNELS
