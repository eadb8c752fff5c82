"""Every network of the course, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints

import torch
from torch import nn

from fercourse.errors import FercourseError, nearest
from fercourse.models.basic_cnn import basic_cnn
from fercourse.models.mobilenet import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
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
from fercourse.models.resnetv2 import resnet50v2
from fercourse.models.vgg import small_vgg, vgg11, vgg13, vgg16, vgg19
from fercourse.papers import TABLE2

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
    "resnet50v2": resnet50v2,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
}

#: Name -> (family, the paper compared with). Paper 1 is Li (2023), paper 2 is Gao.
ORIGINS: dict[str, tuple[str, str | None]] = {
    "basic_cnn": ("CNN", "paper 2"),
    "small_vgg": ("VGG", None),
    "vgg11": ("VGG", "paper 1"),
    "vgg13": ("VGG", "paper 1"),
    "vgg16": ("VGG", "paper 1"),
    "vgg19": ("VGG", "paper 1"),
    "resnet18": ("ResNet", "paper 1"),
    "resnet34": ("ResNet", "paper 1"),
    "resnet50": ("ResNet", "paper 1"),
    "plain18": ("plain", None),
    "plain34": ("plain", None),
    "se_resnet18": ("SE-ResNet", "paper 1"),
    "se_resnet34": ("SE-ResNet", "paper 1"),
    "se_resnet50": ("SE-ResNet", "paper 1"),
    "resnet50v2": ("ResNetV2", "paper 2"),
    "mobilenet_v2": ("MobileNet", "paper 1"),
    "mobilenet_v3_large": ("MobileNet", "paper 1"),
    "mobilenet_v3_small": ("MobileNet", "paper 1"),
}

#: Parameters as paper 1's Table 2 prints them; paper 2 prints none.
PAPER_PARAMS = {name: row.params for name, row in TABLE2.items()}

#: Where our parameters and the paper's differ by more than its printing of one decimal, and why.
NOTES = {
    "mobilenet_v2": "the paper's count fits the variant with shortcut='projection'",
    "mobilenet_v3_small": "unexplained: no published variant has the paper's count",
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
                f"{nearest(option, known)}."
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
            f"There is no model {name!r}; the models are {', '.join(MODELS)}{nearest(name, MODELS)}."
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


def model_table(image_size: int = 48) -> list[dict[str, Any]]:
    """Describe every network of `MODELS`, computed from the network itself; what `fercourse models` shows.

    No network is allocated or run: they live on torch's 'meta' device.

    Args:
        image_size: height and width of the one-channel input, in pixels.

    Returns:
        One dict a network: ``name``; ``params``; ``paper_params`` as the paper prints it, or None;
        ``mmacs``, millions of multiply-accumulates an image in convolutions and dense layers (half of what
        torch's FlopCounterMode counts); ``stem``, the first layers in words; ``input_size`` [C, H, W];
        ``feature_size`` [C, H, W] of ``forward_features``; ``family``; ``paper``, 'paper 1', 'paper 2' or
        None; ``note`` where params and paper_params disagree, else None.
    """
    rows: list[dict[str, Any]] = []
    for name in MODELS:
        with torch.device("meta"):
            model = create_model(name).eval()
        features, macs = count_macs(model, torch.zeros(1, 1, image_size, image_size))
        family, paper = ORIGINS[name]
        rows.append(
            {
                "name": name,
                "params": sum(parameter.numel() for parameter in model.parameters()),
                "paper_params": PAPER_PARAMS.get(name),
                "mmacs": round(macs / 1e6, 1),
                "stem": describe_stem(model),
                "input_size": [1, image_size, image_size],
                "feature_size": features,
                "family": family,
                "paper": paper,
                "note": NOTES.get(name),
            }
        )
    return rows


def count_macs(model: nn.Module, image: torch.Tensor) -> tuple[list[int], int]:
    """Return the shape [C, H, W] of a network's features and its multiply-accumulates for one image.

    Convolutions and batch norm are replaced, for good, by stand-ins that give zeros of the right shape and
    need no weights: pass a network made for this on the 'meta' device. A test holds the count against torch's
    FlopCounterMode, which is not used here because it loads torch's compiler, for seconds.
    """
    macs = 0

    def convolve(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        nonlocal macs
        kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:])
        macs += conv.weight.numel() * height * width
        return x.new_zeros(len(x), conv.out_channels, height, width)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            setattr(module, "forward", partial(convolve, module))  # noqa: B010
        elif isinstance(module, nn.BatchNorm2d):
            setattr(module, "forward", lambda x: x)  # noqa: B010
        elif isinstance(module, nn.Linear):
            macs += module.weight.numel()
    with torch.inference_mode():
        features = model.forward_features(image)  # type: ignore[operator]
    return list(features.shape[1:]), macs


def describe_stem(model: nn.Module) -> str:
    """Return a network's first convolution, and the max-pool of its stem if it has one, in words."""
    conv = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    text = f"{conv.kernel_size[0]}x{conv.kernel_size[1]} conv, {conv.out_channels}, stride {conv.stride[0]}"
    stem = getattr(model, "stem", nn.Identity())
    pools = any(isinstance(module, nn.MaxPool2d) for module in stem.modules())
    return text + ", max-pool" if pools else text
