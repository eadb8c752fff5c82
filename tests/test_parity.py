"""The networks against trusted implementations: same parameters, and same logits to 1e-9 in double precision.

The comparison is with the unadapted networks (their published stems, strides and heads). Every weight and
every running statistic of the reference is random, so that no term of the sum can go missing unseen.
"""

from __future__ import annotations

import math
import os
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from fercourse.models import create_model
from fercourse.models.resnet import BasicBlock

models = pytest.importorskip("torchvision.models")

TOLERANCE = 1e-9


def randomise(model: nn.Module, gain: float = 2.0, seed: int = 0) -> nn.Module:
    """Fill a network, in double precision, with weights and statistics that keep its signals near 1."""
    model = model.double()
    if next(model.parameters()).is_meta:
        model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.ndim > 1:
                fan_in = tensor[0].numel()
                tensor.normal_(0.0, math.sqrt(gain / fan_in), generator=generator)
            elif key.endswith(("bias", "running_mean")):
                tensor.normal_(0.0, 0.1, generator=generator)
            elif tensor.is_floating_point():  # scales and variances of batch norm
                tensor.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def copy_weights(reference: nn.Module, ours: nn.Module) -> nn.Module:
    """Load the reference's tensors into ours in order, shape by shape."""
    theirs = reference.state_dict()
    keys = list(ours.state_dict())
    assert len(keys) == len(theirs)
    renamed = {}
    for key, (their_key, tensor) in zip(keys, theirs.items(), strict=True):
        assert ours.state_dict()[key].shape == tensor.shape, (key, their_key)
        renamed[key] = tensor
    ours.load_state_dict(renamed, assign=True)
    return ours.eval()


def meta_model(name: str, **options) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, in_channels=3, **options)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def images(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def assert_same_logits(reference: nn.Module, ours: nn.Module, size: int = 64) -> None:
    with torch.inference_mode():
        expected, logits = reference(images(size)), ours(images(size))
    assert logits.dtype == torch.float64
    assert expected.std() > 1e-3, "the reference's logits say nothing"
    assert expected[0].sub(expected[1]).abs().max() > 1e-3, (
        "the reference's logits do not depend on the image"
    )
    difference = (logits - expected).abs().max().item()
    assert difference < TOLERANCE, f"the logits differ by {difference:.2g}"


# --- torchvision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16", "vgg19"])
def test_vgg(name, norm):
    builder = getattr(models, name if norm == "none" else f"{name}_bn")
    with torch.device("meta"):
        reference = builder(num_classes=7, init_weights=False)
    ours = meta_model(name, norm=norm, original_head=True, dropout=0.5)
    assert count(ours) == count(reference)
    assert list(map(str, ours.head[2:])) == list(map(str, reference.classifier))
    if (name, norm) != ("vgg11", "none"):
        # 120 million weights of the head are compared once; here one dense layer stands for them.
        with torch.device("meta"):
            reference.classifier = nn.Linear(512 * 7 * 7, 7)
            ours.head = ours.head[:2].append(nn.Linear(512 * 7 * 7, 7))
    reference = randomise(reference)
    assert_same_logits(reference, copy_weights(reference, ours), size=96)  # 3x3 features, told apart by 7x7


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_resnet(name):
    reference = randomise(getattr(models, name)(num_classes=7))
    ours = meta_model(name, stem="7x7")
    assert count(ours) == count(reference)
    assert_same_logits(reference, copy_weights(reference, ours))


@pytest.mark.parametrize("width_mult", [1.0, 0.35])
def test_mobilenet_v2(width_mult):
    reference = randomise(models.mobilenet_v2(num_classes=7, width_mult=width_mult))
    ours = meta_model("mobilenet_v2", stem_stride=2, last_stride=2, width_mult=width_mult)
    assert count(ours) == count(reference)
    assert_same_logits(reference, copy_weights(reference, ours))


@pytest.mark.parametrize("width_mult", [1.0, 0.75])
@pytest.mark.parametrize("name", ["mobilenet_v3_large", "mobilenet_v3_small"])
def test_mobilenet_v3(name, width_mult):
    reference = randomise(getattr(models, name)(num_classes=7, width_mult=width_mult))
    ours = meta_model(name, stem_stride=2, last_stride=2, width_mult=width_mult)
    assert count(ours) == count(reference)
    assert_same_logits(reference, copy_weights(reference, ours))


# --- timm --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["se_resnet18", "se_resnet34", "se_resnet50"])
def test_se_resnet(name):
    timm = pytest.importorskip("timm")
    reference = randomise(timm.create_model(f"legacy_{name.replace('_', '')}", num_classes=7))
    ours = meta_model(name, stem="7x7", stride_in="1x1")  # as in Caffe, where these weights come from
    assert count(ours) == count(reference)
    ours.stem[1] = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # Caffe's too: no padding on the left and top
    for block in ours.stages.modules():
        if isinstance(block, BasicBlock):
            block.residual[1].act = nn.ReLU()  # timm's alone: the papers have no ReLU before the sum
    assert_same_logits(reference, copy_weights(reference, ours))


# --- Keras -------------------------------------------------------------------------------------------------


@pytest.fixture
def keras():
    """Keras on its torch backend and the processor, computing in double precision."""
    if os.environ.setdefault("KERAS_BACKEND", "torch") != "torch":
        pytest.skip("KERAS_BACKEND is set to something other than torch")
    keras = pytest.importorskip("keras")
    floatx = keras.config.floatx()
    keras.config.set_floatx("float64")
    with keras.device("cpu"):
        yield keras
    keras.config.set_floatx(floatx)
    keras.utils.clear_session()


def keras_name(key: str) -> tuple[str, str]:
    """Return the layer and the variable of Keras's ResNet50V2 that a tensor of ours stands for."""
    path, _, variable = key.rpartition(".")
    variable = {"running_mean": "moving_mean", "running_var": "moving_variance"}.get(variable, variable)
    layers = {"stem.0": "conv1_conv", "postact.0": "post_bn", "head.3": "predictions"}
    if path not in layers:
        stage, block, inner = re.fullmatch(r"stages\.(\d+)\.(\d+)\.(.+)", path).groups()
        names = {
            "preact.0": "preact_bn",
            "projection": "0_conv",
            "residual.0": "1_conv",
            "residual.1": "1_bn",
            "residual.3": "2_conv",
            "residual.4": "2_bn",
            "residual.6": "3_conv",
        }
        layers[path] = f"conv{int(stage) + 2}_block{int(block) + 1}_{names[inner]}"
    layer = layers[path]
    if variable == "weight":
        variable = "gamma" if layer.endswith("bn") else "kernel"
    elif variable == "bias" and layer.endswith("bn"):
        variable = "beta"
    return layer, variable


def stay_in_double_precision(keras, network) -> None:
    """Have three kinds of layer compute what they do, without casting double precision to single inside."""

    def batch_norm(layer, inputs, training=None, mask=None):  # noqa: ARG001 - Keras passes them
        moments = layer.moving_mean, layer.moving_variance
        scale = {"offset": layer.beta, "scale": layer.gamma, "epsilon": layer.epsilon}
        return keras.ops.batch_normalization(inputs, *moments, axis=layer.axis, **scale)

    def average_pooling(layer, inputs):  # noqa: ARG001
        return inputs.mean((1, 2))

    def dense(layer, inputs, training=None):  # noqa: ARG001
        return inputs @ layer.kernel.value + layer.bias.value

    calls = {
        keras.layers.BatchNormalization: batch_norm,
        keras.layers.GlobalAveragePooling2D: average_pooling,
        keras.layers.Dense: dense,
    }
    for layer in network.layers:
        if type(layer) in calls:
            layer.call = partial(calls[type(layer)], layer)


def test_resnet50v2(keras):
    reference = keras.applications.ResNet50V2(
        weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None
    )
    stay_in_double_precision(keras, reference)
    ours = randomise(meta_model("resnet50v2"), gain=0.5)
    assert count(ours) == sum(math.prod(variable.shape) for variable in reference.trainable_variables)
    assigned = 0
    for key, tensor in ours.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        layer, variable = keras_name(key)
        weight = getattr(reference.get_layer(layer), variable)
        # Keras keeps kernels as (height, width, in, out) and (in, out).
        values = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor
        assert tuple(weight.shape) == tuple(values.shape), (key, layer)
        weight.assign(values.numpy())
        assigned += 1
    assert assigned == len(reference.weights)
    with torch.inference_mode():
        logits = ours(images()).numpy()
    expected = reference(images().permute(0, 2, 3, 1).numpy(), training=False)
    expected = keras.ops.convert_to_numpy(expected)
    assert expected.dtype == np.float64
    assert expected.std() > 1e-3
    difference = np.abs(logits - expected).max()
    assert difference < TOLERANCE, f"the logits differ by {difference:.2g}"
