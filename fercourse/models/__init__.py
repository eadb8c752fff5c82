"""Every network of the course, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from torch import nn

from fercourse.errors import FercourseError, nearest
from fercourse.models.basic_cnn import basic_cnn
from fercourse.models.resnet import (
    plain18,
    plain34,
    resnet18,
    resnet34,
    resnet50,
    se_resnet18,
    se_resnet34,
    se_resnet50,
)
from fercourse.models.vgg import small_vgg, vgg11, vgg13, vgg16, vgg19

#: Name -> builder. A builder takes keywords only; `model_options` lists them.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "basic_cnn": basic_cnn,
    "small_vgg": small_vgg,
    "vgg11": vgg11,
    "vgg13": vgg13,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "plain18": plain18,
    "plain34": plain34,
    "se_resnet18": se_resnet18,
    "se_resnet34": se_resnet34,
    "se_resnet50": se_resnet50,
}


def create_model(name: str, num_classes: int = 7, in_channels: int = 1, **options: Any) -> nn.Module:
    """Build a network by name, with fresh weights drawn from torch's global generator.

    Every network maps images (B, in_channels, 48, 48), float, to logits (B, num_classes), has
    ``forward_features`` (the last feature map) and ``head`` with ``forward(x) = head(forward_features(x))``,
    and its last dense layer is ``model.head[-1]``.

    Args:
        name: a key of `MODELS`.
        num_classes: logits an image.
        in_channels: 1 for grey images, 3 for colour.
        **options: what `model_options` lists for the name.

    Raises:
        FercourseError: no network has that name, it has no such option, or a value is out of range.
    """
    known = model_options(name)
    for option in options:
        if option not in known:
            raise FercourseError(
                f"{name} has no option {option!r}; its options are {', '.join(known)}"
                f"{nearest(option, known) or '.'}"
            )
    for what, count in (("num_classes", num_classes), ("in_channels", in_channels)):
        if not isinstance(count, int) or count < 1:
            raise FercourseError(f"{what} is {count!r}; expected a whole number of at least 1.")
    return MODELS[name](num_classes=num_classes, in_channels=in_channels, **options)


def model_options(name: str) -> dict[str, Any]:
    """Return the options of a network and their defaults, beside num_classes and in_channels.

    Raises:
        FercourseError: no network has that name.
    """
    if name not in MODELS:
        raise FercourseError(
            f"There is no model {name!r}; the models are {', '.join(MODELS)}{nearest(name, MODELS) or '.'}"
        )
    builder = MODELS[name]
    network = get_type_hints(builder)["return"]
    # What a network's constructor gives no default for is its structure, which the builder fixes.
    defaults = {
        parameter.name: parameter.default
        for function in (network, builder)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is not inspect.Parameter.empty
    }
    return {
        option: value for option, value in defaults.items() if option not in ("num_classes", "in_channels")
    }
