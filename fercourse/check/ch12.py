"""Checkers of chapter 12, From notebook to browser."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fercourse.check.core import Exercise, Wrong, as_array, differs, run, want_function, want_module
from fercourse.check.functions import RESULT, TRACE, Case, Mistake, judge_function, of
from fercourse.check.guesses import guess
from fercourse.data.faces import EMOTIONS, Faces, FaceSet
from fercourse.errors import shown


def _with_causes(judge: Callable[[], None], causes: Sequence[tuple[str, str]]) -> None:
    """Judge; where the answer's own code raised, say first what is the likely cause of that."""
    try:
        judge()
    except Wrong as wrong:
        text = str(wrong)
        if " raised " in text:
            for pattern, cause in causes:
                if re.search(pattern, text):
                    raise Wrong(f"{cause}\n{text}") from wrong
        raise


# to_48 ------------------------------------------------------------------------------------------------------

_GREY = {
    "right": (0.299, 0.587, 0.114),
    "blue first": (0.114, 0.587, 0.299),
    "mean": (1 / 3, 1 / 3, 1 / 3),
    "709": (0.2126, 0.7152, 0.0722),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "sum": (1, 1, 1),
    "red and green": (0.587, 0.299, 0.114),
}


def _to_48(
    frame: Any, *, crop: str = "middle", grey: str = "right", shrink: str = "area", end: str = "right"
) -> Any:
    """The right answer, and with other options the wrong ones."""
    height, width = frame.shape[:2]
    least = min(height, width)
    side = 48 * (least // 48)
    top, left = (height - side) // 2, (width - side) // 2
    cut = {
        "middle": (top, left, side, side),
        "corner": (0, 0, side, side),
        "end": (height - side, width - side, side, side),
        "up": (-((side - height) // 2), -((side - width) // 2), side, side),
        "swapped": (left, top, side, side),
        "top": (0, left, side, side),
        "left": (top, 0, side, side),
        "all": ((height - least) // 2, (width - least) // 2, least, least),
        "all from corner": (0, 0, least, least),
        "whole": (0, 0, height, width),
        "48": ((height - 48) // 2, (width - 48) // 2, 48, 48),
        "48 from corner": (0, 0, 48, 48),
    }[crop]
    x = torch.as_tensor(np.asarray(frame)).double()[cut[0] : cut[0] + cut[2], cut[1] : cut[1] + cut[3]]
    if grey == "max":
        x = x.amax(2)
    elif grey == "hls":
        x = (x.amax(2) + x.amin(2)) / 2
    else:
        x = x @ torch.tensor(_GREY[grey], dtype=torch.float64)
    cell = max(1, x.shape[0] // 48)
    box = x[None, None]
    square = x[: 48 * cell, : 48 * cell]
    blocks = square.reshape(48, cell, 48, -1)
    ways: dict[str, Callable[[], Tensor]] = {
        "area": lambda: F.interpolate(box, (48, 48), mode="area")[0, 0],
        "first": lambda: F.interpolate(box, (48, 48), mode="nearest")[0, 0],
        "centre": lambda: F.interpolate(box, (48, 48), mode="nearest-exact")[0, 0],
        "bilinear": lambda: F.interpolate(box, (48, 48), mode="bilinear")[0, 0],
        "corners": lambda: F.interpolate(box, (48, 48), mode="bilinear", align_corners=True)[0, 0],
        "antialias": lambda: F.interpolate(box, (48, 48), mode="bilinear", antialias=True)[0, 0],
        "bicubic": lambda: F.interpolate(box, (48, 48), mode="bicubic")[0, 0],
        "bicubic antialias": lambda: F.interpolate(box, (48, 48), mode="bicubic", antialias=True)[0, 0],
        "max": lambda: blocks.amax((1, 3)),
        "median": lambda: blocks.permute(0, 2, 1, 3).flatten(2).median(2).values,
        "sum": lambda: blocks.sum((1, 3)),
        "axes": lambda: square.reshape(cell, 48, -1, 48).mean((0, 2)),
        "axes 2": lambda: square.reshape(48, 48, cell, -1).mean((2, 3)),
        "rows only": lambda: blocks.mean(1)[:, :, 0],
    }
    x = ways[shrink]()
    x = {
        "right": lambda: x / 255,
        "0 to 255": lambda: x,
        "twice": lambda: x / 255**2,
        "256": lambda: x / 256,
        "minus one to one": lambda: x / 127.5 - 1,
        "normalised": lambda: (x / 255 - 0.5) / 0.25,
        "stretched": lambda: (x - x.min()) / (x.max() - x.min()),
        "by its greatest": lambda: x / x.max(),
        "standardised": lambda: (x - x.mean()) / x.std(),
        "own std": lambda: (x - x.mean()) / x.std(correction=0),
        "whole": lambda: (x / 255).floor(),
        "rounded": lambda: (x / 255).round(),
        "turned": lambda: x.T / 255,
        "mirrored": lambda: x.flip(1) / 255,
        "upside down": lambda: x.flip(0) / 255,
        "inverted": lambda: 1 - x / 255,
    }[end]()
    return x[None, None].float()


_SQUARE_MISTAKES = {
    ("crop", "corner"): "The square is the upper left corner; cut it out of the middle.",
    ("crop", "end"): "The square is the lower right corner; cut it out of the middle.",
    ("crop", "up"): "The margins are rounded up; round the upper and the left margin down, with //.",
    ("crop", "swapped"): "The two margins are swapped: the upper one follows from the height, the left one from the width.",
    ("crop", "top"): "The square is in the middle from left to right, but at the upper edge.",
    ("crop", "left"): "The square is in the middle from top to bottom, but at the left edge.",
    ("crop", "all"): "The square takes the whole shorter side; its side is to be a multiple of 48, so that every pixel is the "
    "mean of the same number of pixels.",
    ("crop", "all from corner"): "The square begins in the corner, and its side is no multiple of 48.",
    ("crop", "whole"): "The whole frame is squeezed into a square: cut out a square first, or faces become thin.",
    ("crop", "48"): "Only the middle 48 x 48 pixels are cut out; take as large a square as fits, then make it small.",
    ("crop", "48 from corner"): "Only 48 x 48 pixels of the corner are cut out; take as large a square as fits, from the middle.",
    ("grey", "blue first"): "Red and blue are exchanged: the frame is in the order red, green, blue.",
    ("grey", "red and green"): "The weights of red and green are exchanged: 0.299 red, 0.587 green.",
    ("grey", "mean"): "Grey is the plain mean of the colours; weigh them with 0.299, 0.587 and 0.114.",
    ("grey", "709"): "These are other weights for grey (0.2126, 0.7152, 0.0722; some libraries have them): 0.299, 0.587 and "
    "0.114 are asked for.",
    ("grey", "red"): "Only the red channel is kept; grey is a mixture of all three.",
    ("grey", "green"): "Only the green channel is kept; grey is a mixture of all three.",
    ("grey", "blue"): "Only the blue channel is kept; grey is a mixture of all three.",
    ("grey", "sum"): "The colours are added up; weigh them with 0.299, 0.587 and 0.114.",
    ("grey", "max"): "Grey is the greatest of the colours; weigh them with 0.299, 0.587 and 0.114.",
    ("grey", "hls"): "That is the mean of greatest and least colour; weigh them with 0.299, 0.587 and 0.114.",
    ("shrink", "first"): "One pixel of each area is taken and the others are dropped (nearest); take the mean of the area.",
    ("shrink", "centre"): "One pixel of each area is taken and the others are dropped (nearest); take the mean of the area.",
    ("shrink", "bilinear"): "Bilinear without antialiasing looks at four pixels of each area; take the mean of the whole area.",
    ("shrink", "corners"): "Bilinear with align_corners looks at four pixels of each area; take the mean of the whole area.",
    ("shrink", "antialias"): "Bilinear with antialiasing weighs the pixels and reaches beyond the area; take the plain mean (a box).",
    ("shrink", "bicubic"): "That is bicubic; take the plain mean of each area (a box).",
    ("shrink", "bicubic antialias"): "That is bicubic; take the plain mean of each area (a box).",
    ("shrink", "max"): "That is the greatest pixel of each area (max-pooling); take the mean.",
    ("shrink", "median"): "That is the median of each area; take the mean.",
    ("shrink", "sum"): "The pixels of each area are added up; take their mean.",
    ("shrink", "axes"): "The axes of the reshape are mixed up: (48, cell, 48, cell), with the mean over axes 1 and 3.",
    ("shrink", "axes 2"): "The axes of the reshape are mixed up: (48, cell, 48, cell), with the mean over axes 1 and 3.",
    ("shrink", "rows only"): "The mean is taken in one direction only, and in the other one pixel is kept.",
    ("end", "0 to 255"): "The values run from 0 to 255: divide by 255.",
    ("end", "twice"): "It is divided by 255 twice.",
    ("end", "256"): "It is divided by 256; white is 255, and is to become 1.",
    ("end", "minus one to one"): "The values run from -1 to 1; the network wants 0 to 1.",
    ("end", "normalised"): "It is normalised; this network does that itself, and wants values from 0 to 1.",
    ("end", "stretched"): "The contrast is stretched to this picture's own least and greatest value; only divide by 255.",
    ("end", "by its greatest"): "It is divided by this picture's own greatest value; divide by 255, whatever the picture.",
    ("end", "standardised"): "It is standardised by this picture's own mean and spread; only divide by 255.",
    ("end", "own std"): "It is standardised by this picture's own mean and spread; only divide by 255.",
    ("end", "whole"): "All is 0: the values were turned to whole numbers after the division, or divided with //.",
    ("end", "rounded"): "Only 0 and 1 are left: the values are rounded after the division.",
    ("end", "turned"): "Rows and columns are exchanged.",
    ("end", "mirrored"): "The picture is mirrored; only the display of a camera is.",
    ("end", "upside down"): "The picture stands upside down.",
    ("end", "inverted"): "Black and white are exchanged.",
}  # fmt: skip


def _picture(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    shape = [int(size) for size in getattr(result, "shape", ())]
    kind = str(getattr(result, "dtype", type(result).__name__)).replace("torch.", "")
    array = as_array(result)
    if array is not None and array.dtype.kind == "f" and array.size == 48 * 48:
        array = array.reshape(1, 1, 48, 48)
        return {"its values": array, "its shape": shape, "its number format": kind}
    return {"its shape": shape, "its values": result, "its number format": kind}


def _explain_picture(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    shape, values = seen["its shape"], as_array(seen["its values"])
    if values is None or values.dtype.kind != "f":
        return (
            guess([seen["its values"]], [expected["its values"]])
            or "Return an array or a tensor of 48 x 48 grey values."
        )
    if values.size == 48 * 48 and not differs(values, expected["its values"], atol=0.0085, rtol=0):
        if shape != [1, 1, 48, 48]:
            return (
                f"The values are right, the shape {tuple(shape)} is not: a network takes (images, channels, height, width), so "
                "(1, 1, 48, 48)."
            )
        kind = seen["its number format"]
        return f"The values are right, the number format {kind} is not: the file's input is float32, and a runtime refuses others."
    if values.size == 3 * 48 * 48:
        return "There are three colours left: make it grey, one channel."
    if values.size != 48 * 48:
        sides = shape[-2:] if len(shape) > 1 else shape
        return (
            f"It is not 48 x 48 but of shape {tuple(shape)}: is the size typed in, or only cropped ({sides})?"
        )
    if not np.isfinite(values).all():
        return "Some values are no numbers."
    if values.max() > 1.5:
        return "The values go beyond 1: divide by 255."
    if seen["its number format"] == "uint8":
        return "It is uint8, whole numbers: shares between 0 and 1 need float32."
    return None


def _frame(height: int, width: int) -> np.ndarray:
    draw = np.random.default_rng(height + width)
    slope = np.linspace(0, 120, height)[:, None, None] + np.linspace(0, 60, width)[None, :, None]
    noise = draw.integers(0, 130, (height, width, 3)) * np.array([0.8, 0.5, 0.3])
    return np.clip(slope * np.array([0.5, 1.0, 0.7]) + noise, 0, 255).astype(np.uint8)


def _judge_to_48(answer: Any) -> str:
    def case(height: int, width: int) -> Case:
        words = f"a frame of {height} x {width} pixels"
        return of(_frame(height, width), words=words, rtol=0, atol=0.0085, observe=_picture)

    # Rounding on the way is allowed in the others, and white stays white with it.
    white = of(
        np.full((96, 97, 3), 255, np.uint8), words="a white frame", rtol=0, atol=1e-3, observe=_picture
    )

    def judge() -> None:
        judge_function(
            answer,
            "to_48",
            reference=_to_48,
            cases=[case(184, 170), case(150, 197), case(251, 200), case(101, 99), case(48, 70), white],
            mistakes=[
                Mistake(partial(_to_48, **{name: kind}), message)
                for (name, kind), message in _SQUARE_MISTAKES.items()
            ],
            explain=_explain_picture,
        )

    _with_causes(
        judge,
        [
            ("cannot reshape|invalid for input of size", "The square does not divide into 48 x 48 areas: its side must be a multiple of 48, 48 * (side // 48)."),
            ("permute|dims", "The frame is (height, width, colours): colours come last there, and first in PyTorch."),
            ("Byte|uint8|can only be either float|to be floating", "The frame is uint8: convert it to float before you compute with it."),
        ],
    )  # fmt: skip
    return "The same numbers as a careful page would make: this is the parity test."


to_48 = Exercise("ch12", "to_48", _judge_to_48)


# Packed -----------------------------------------------------------------------------------------------------


def _packed(network: nn.Module, mean: float, std: float, pixels: Tensor, kind: str = "right") -> Any:
    network.eval()
    x = pixels / 255
    if kind in ("batch", "batch softmax"):
        network.train()
    inputs: dict[str, Callable[[], Tensor]] = {
        "no 255": lambda: (pixels - mean) / std,
        "255 last": lambda: (pixels - mean) / std / 255,
        "256": lambda: (pixels / 256 - mean) / std,
        "255 twice": lambda: (pixels / 255**2 - mean) / std,
        "no mean": lambda: x / std,
        "no std": lambda: x - mean,
        "neither": lambda: x,
        "raw": lambda: pixels,
        "std first": lambda: x / std - mean,
        "times std": lambda: (x - mean) * std,
        "plus mean": lambda: (x + mean) / std,
        "variance": lambda: (x - mean) / std**2,
        "root": lambda: (x - mean) / std**0.5,
        "own statistics": lambda: (x - x.mean()) / x.std(),
        "own mean": lambda: (x - x.mean()) / std,
        "swapped": lambda: (x - std) / mean,
        "own greatest": lambda: (pixels / pixels.max() - mean) / std,
        "inverted": lambda: (1 - x - mean) / std,
        "undone": lambda: x * std + mean,
        "typed": lambda: (x - 0.5) / 0.25,
        "typed too": lambda: (x - 0.5077) / 0.255,
        "mean times 255": lambda: (pixels - 255 * mean) / std,
        "clamped": lambda: ((x - mean) / std).clamp(0, 1),
    }
    logits = network(inputs.get(kind, lambda: (x - mean) / std)())
    outputs: dict[str, Callable[[], Any]] = {
        "logits": lambda: logits,
        "log": lambda: logits.log_softmax(1),
        "images": lambda: logits.softmax(0),
        "sigmoid": lambda: logits.sigmoid(),
        "argmax": lambda: logits.argmax(1),
        "greatest": lambda: logits.softmax(1).amax(1),
        "twice": lambda: logits.softmax(1).softmax(1),
        "shares": lambda: logits / logits.sum(1, keepdim=True),
        "positive shares": lambda: logits.abs() / logits.abs().sum(1, keepdim=True),
        "all": lambda: logits.flatten().softmax(0).reshape(logits.shape),
        "exp": lambda: logits.exp(),
        "exp of all": lambda: logits.exp() / logits.exp().sum(),
        "first": lambda: logits.softmax(1)[0],
        "negative": lambda: (-logits).softmax(1),
        "per cent": lambda: 100 * logits.softmax(1),
        "summed": lambda: logits.softmax(1).mean(0),
    }
    return outputs.get(kind, lambda: logits.softmax(1))()


_PACKED_MISTAKES = {
    "no 255": "The pixels run from 0 to 255 and are not divided by 255, before mean and std.",
    "255 last": "The division by 255 comes last; mean and std belong to pixels from 0 to 1, so divide first.",
    "mean times 255": "The mean is scaled to 0 to 255, but std is not: divide the pixels by 255 first, then use both as they are.",
    "256": "It is divided by 256; the network was trained on pixels divided by 255.",
    "255 twice": "It is divided by 255 twice.",
    "no mean": "The mean is not subtracted.",
    "no std": "It is not divided by std.",
    "neither": "The pixels are divided by 255, but mean and std have no part in it.",
    "raw": "The pixels go into the network as they come: divide by 255, subtract the mean, divide by std.",
    "std first": "It is divided by std before the mean is subtracted: put brackets around the difference.",
    "times std": "It is multiplied by std; divide.",
    "plus mean": "The mean is added; subtract it.",
    "variance": "It is divided by the square of std.",
    "root": "It is divided by the square root of std.",
    "own statistics": "The pictures' own mean and spread are used; take those that the network was trained with, mean and std.",
    "own mean": "The pictures' own mean is subtracted; take the one that the network was trained with.",
    "swapped": "mean and std are exchanged.",
    "own greatest": "It is divided by the pictures' own greatest value; divide by 255, whatever comes.",
    "inverted": "Black and white are exchanged.",
    "undone": "That undoes a normalisation: subtract the mean and divide by std.",
    "typed": "Mean and std are typed in (0.5 and 0.25); they are arguments.",
    "typed too": "FER-2013's mean and std are typed in; they are arguments.",
    "clamped": "The normalised values are cut off at 0 and 1.",
    "logits": "Those are logits; a softmax over the classes is missing.",
    "log": "Those are logarithms of probabilities (log_softmax); take softmax.",
    "images": "The softmax runs over the images (dim 0), so that an answer depends on its neighbours; take dim=1.",
    "all": "The softmax runs over all logits of the batch; take dim=1.",
    "exp of all": "The exponentials are divided by the sum over the whole batch; sum over the classes, dim=1.",
    "exp": "The exponentials are not divided by their sum.",
    "sigmoid": "That is a sigmoid, one yes or no for each class; a softmax shares one whole among the seven.",
    "argmax": "Those are the classes; return the seven probabilities.",
    "greatest": "Those are the greatest probabilities alone; return all seven.",
    "twice": "The softmax is taken twice, which flattens the probabilities.",
    "shares": "The logits are divided by their sum; they may be negative, so take the softmax.",
    "positive shares": "The logits are divided by their sum; they may be negative, so take the softmax.",
    "first": "Only the first image's probabilities come back; return them for all.",
    "summed": "The probabilities are averaged over the images; return them for each.",
    "negative": "The logits have the wrong sign before the softmax.",
    "per cent": "The probabilities are in per cent; shares that sum to 1 are asked for.",
    "batch": "The network within is in training mode, although eval() was called on your module: keep it as an attribute, "
    "self.network, and do not call train() on it.",
}  # fmt: skip


def _small_network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.AvgPool2d(12), nn.Flatten(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 7)
        )
        norm = network[2]
        assert isinstance(norm, nn.BatchNorm1d)
        norm.running_mean = 0.3 * torch.randn(16)
        norm.running_var = 0.5 + torch.rand(16)
        nn.init.normal_(network[4].weight, std=0.6)  # type: ignore[arg-type]
    return network.train()


def _pixels(count: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 4, 4, generator=draw) * 235
    return (F.interpolate(coarse, (48, 48)) + 10 * torch.rand(count, 1, 48, 48, generator=draw)).float()


def _judge_packed(answer: Any) -> str:
    want_module(answer, "Packed")

    def build_and_call(network: nn.Module, mean: float, std: float, pixels: Tensor) -> Any:
        wanted = {id(value) for value in network.parameters()}
        count = len(wanted)
        module = answer(network, mean, std)
        if not isinstance(module, nn.Module) or not hasattr(module, "_parameters"):
            raise Wrong("Packed(...) is no nn.Module: does __init__ begin with super().__init__()?")
        inner = module.network if hasattr(module, "network") else None
        if sum(1 for _ in module.parameters()) < count:
            kept = (
                "in a list or dictionary"
                if isinstance(inner, (list, tuple, dict))
                else "where PyTorch does not find it"
            )
            raise Wrong(
                f"The network is kept {kept}: eval() does not reach it and its weights would not be saved. Write "
                "self.network = network."
            )
        module.train()
        module.eval()
        result = module(pixels)
        if any(one.training for one in module.modules()):
            raise Wrong(_PACKED_MISTAKES["batch"])
        return result

    def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        if isinstance(result, Tensor):
            result = result.detach()
        return {RESULT: result, "the pixels that came in": arguments[3]}

    def explain(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
        found, right = seen[RESULT], expected[RESULT]
        if not differs(found, right):
            return "Right, but it changes the caller's pixels (an in-place operation such as /= or div_): make a new tensor."
        if not isinstance(found, Tensor):
            return guess([found], [right])
        again = _packed(*arguments)
        if not differs(found.reshape(-1), again.reshape(-1)) and found.shape != again.shape:
            return f"The probabilities are right, their shape {tuple(found.shape)} is not: (N, 7), also for one image."
        with torch.no_grad():
            if found.shape == right.shape and bool((found.sum(1) - 1).abs().max() > 1e-3):
                return "The seven numbers of an image do not sum to 1."
        if differs(seen["the pixels that came in"], arguments[3]):
            return "The caller's pixels are changed on the way (an in-place operation such as /= or sub_): make new tensors."
        return None

    def case(count: int, seed: int, mean: float, std: float, light: float = 1.0) -> Case:
        return Case(
            lambda: (_small_network(seed), mean, std, light * _pixels(count, seed)),
            f"mean {mean} and std {std}, and {count} {'dark ' * (light < 1)}image{'s' * (count > 1)}",
            observe=observe,
            rtol=1e-3,
            atol=1e-5,
            may_change=True,
        )

    def named(network: nn.Module, mean: float, std: float, pixels: Tensor) -> Any:
        return build_and_call(network, mean, std, pixels)

    def judge() -> None:
        try:
            judge_function(
                _bare(named),
                "Packed",
                reference=lambda *arguments: _packed(*arguments).detach(),
                cases=[
                    case(3, 0, 0.45, 0.3),
                    case(1, 1, 0.2, 0.6),
                    case(5, 2, 0.5077, 0.255),
                    case(2, 3, 0.3, 0.5, 0.004),
                ],
                mistakes=[
                    Mistake(lambda n, m, s, x, kind=kind: _packed(n, m, s, x, kind).detach(), message)
                    for kind, message in _PACKED_MISTAKES.items()
                ],
                explain=explain,
            )
        except Wrong as wrong:
            if isinstance(wrong.__cause__, Wrong):
                raise Wrong(str(wrong.__cause__)) from wrong
            raise

    _with_causes(
        judge,
        [
            ("object has no attribute '(mean|std|network|net|model)'", "What forward needs must be kept in __init__: self.network, self.mean, self.std."),
            ("Byte|uint8|Long", "Whole numbers were made of the pixels: the network computes in float32."),
            ("forward.. takes|positional argument", "forward takes the pixels alone; network, mean and std come with __init__."),
            ("before Module.__init__", "__init__ must begin with super().__init__()."),
        ],
    )  # fmt: skip
    return "Whoever runs this file cannot forget the scaling."


def _bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a callable that is not taken for an empty answer."""
    return lambda *arguments: function(*arguments)


Packed = Exercise("ch12", "Packed", _judge_packed)


# fold -------------------------------------------------------------------------------------------------------


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d, kind: str = "right") -> Any:
    """The right answer, or a wrong one."""
    with torch.no_grad():
        gamma, beta = norm.weight, norm.bias
        assert norm.running_mean is not None
        assert norm.running_var is not None
        mean, var, eps = norm.running_mean, norm.running_var, norm.eps
        old = torch.zeros_like(beta) if conv.bias is None else conv.bias
        scales: dict[str, Callable[[], Tensor]] = {
            "no eps": lambda: gamma / var.sqrt(),
            "no root": lambda: gamma / (var + eps),
            "no root or eps": lambda: gamma / var,
            "eps outside": lambda: gamma / (var.sqrt() + eps),
            "eps typed": lambda: gamma / (var + 1e-5).sqrt(),
            "no gamma": lambda: 1 / (var + eps).sqrt(),
            "times": lambda: gamma * (var + eps).sqrt(),
            "inverse": lambda: (var + eps).sqrt() / gamma,
            "square": lambda: gamma / (var + eps) ** 2,
            "one": lambda: torch.ones_like(gamma),
        }
        s = scales.get(kind, lambda: gamma / (var + eps).sqrt())()
        biases: dict[str, Callable[[], Tensor]] = {
            "no beta": lambda: s * (old - mean),
            "no mean": lambda: beta + s * old,
            "plus mean": lambda: beta + s * (old + mean),
            "old unscaled": lambda: beta + old - s * mean,
            "old dropped": lambda: beta - s * mean,
            "mean unscaled": lambda: beta + s * old - mean,
            "both unscaled": lambda: beta + old - mean,
            "beta scaled": lambda: s * (beta + old - mean),
            "beta only": lambda: beta.clone(),
            "old only": lambda: old.clone(),
            "no bias": lambda: torch.zeros_like(beta),
            "minus": lambda: s * (old - mean) - beta,
            "reversed": lambda: beta + s * (mean - old),
            "gamma only": lambda: beta + gamma * (old - mean),
        }
        bias = biases.get(kind, lambda: beta + s * (old - mean))()
        weight = conv.weight
        if kind == "weight unscaled":
            new = weight.clone()
        elif kind == "along width":
            new = weight * s
        elif kind == "along height":
            new = weight * s[:, None]
        elif kind == "along inputs":
            new = weight * s[None, :, None, None]
        elif kind == "one scale":
            new = weight * s.mean()
        elif kind == "first scale":
            new = weight * s[0]
        elif kind == "divided":
            new = weight / s[:, None, None, None]
        elif kind == "batch statistics":
            new = weight * s[:, None, None, None]
        else:
            new = weight * s[:, None, None, None]
        options: dict[str, Any] = {
            "stride": conv.stride,
            "padding": conv.padding,
            "dilation": conv.dilation,
            "groups": conv.groups,
        }
        lost = {"stride lost": ["stride"], "padding lost": ["padding"], "dilation lost": ["dilation"],
                "all lost": ["stride", "padding", "dilation"], "two lost": ["stride", "dilation"],
                "both lost": ["padding", "dilation"]}.get(kind, [])  # fmt: skip
        for name in lost:
            del options[name]
        if kind == "padding from kernel":
            options["padding"] = (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)
        if kind == "first stride":
            options["stride"] = conv.stride[0]
        if kind == "first padding":
            options["padding"] = conv.padding[0]
        if kind == "first dilation":
            options["dilation"] = conv.dilation[0]
        kernel: Any = conv.kernel_size[1] if kind == "last kernel" else conv.kernel_size
        made = nn.Conv2d(conv.in_channels, conv.out_channels, kernel, bias=kind != "no bias", **options)
        if kind == "fresh":
            return made
        made.weight.copy_(new)
        if made.bias is not None:
            made.bias.copy_(bias)
    return made


_FOLD_MISTAKES = {
    "no eps": "eps is missing under the root: divide by the root of running_var + eps.",
    "eps typed": "eps is typed in; batch norms differ in it, so take norm.eps.",
    "eps outside": "eps is added after the root; it belongs under it.",
    "no root": "The root is missing: divide by the standard deviation, the root of running_var + eps, not by the variance.",
    "no root or eps": "It is divided by the variance: the root of running_var + eps is wanted.",
    "no gamma": "norm.weight (gamma) has no part in the scale.",
    "times": "The scale is multiplied by the standard deviation; divide by it.",
    "inverse": "The scale is upside down: gamma over the standard deviation.",
    "square": "It is divided by the square of the variance: take the root instead.",
    "one": "Nothing is scaled: weight and bias must be multiplied by gamma over the standard deviation.",
    "no beta": "norm.bias (beta) is not added to the new bias.",
    "no mean": "The running mean is not subtracted: the new bias is beta + s * (old bias - mean).",
    "plus mean": "The running mean is added; subtract it.",
    "old unscaled": "The convolution's own bias goes through the batch norm as well: multiply it by s, too.",
    "old dropped": "The convolution's own bias is lost: where there is one, s * bias is part of the new bias.",
    "mean unscaled": "The running mean must be multiplied by s before it is subtracted.",
    "both unscaled": "In the new bias, old bias minus mean must be multiplied by s.",
    "beta scaled": "norm.bias (beta) is multiplied by s; it is added after the scaling, as it is.",
    "beta only": "The new bias is norm.bias alone; s * (old bias - running mean) is missing.",
    "old only": "The bias is still the old one: the new one is beta + s * (old bias - running mean).",
    "no bias": "The new convolution has no bias: beta + s * (old bias - running mean) has to go somewhere.",
    "minus": "norm.bias (beta) is subtracted; add it.",
    "reversed": "In the new bias, mean and old bias have the wrong sign: s * (old bias - mean).",
    "gamma only": "In the new bias, the difference is multiplied by gamma alone; multiply it by s, gamma over the standard deviation.",
    "weight unscaled": "The weights are still the old ones: multiply them by s, one value for each output channel.",
    "along width": "s is multiplied along the last axis of the weight, the width of the kernel; the output channels are the first: "
    "s[:, None, None, None].",
    "along height": "s is multiplied along the kernel's height; the output channels are the first axis: s[:, None, None, None].",
    "along inputs": "s is multiplied along the input channels; the output channels are the first axis: s[:, None, None, None].",
    "one scale": "One scale serves all channels; each output channel has its own.",
    "first scale": "The first channel's scale serves all; each output channel has its own.",
    "divided": "The weights are divided by s; multiply.",
    "stride lost": "The stride of conv is not carried over.",
    "padding lost": "The padding of conv is not carried over.",
    "dilation lost": "The dilation of conv is not carried over.",
    "all lost": "Stride, padding and dilation of conv are not carried over.",
    "two lost": "Stride and dilation of conv are not carried over.",
    "both lost": "Padding and dilation of conv are not carried over.",
    "padding from kernel": "The padding is guessed from the kernel; carry over conv.padding.",
    "first stride": "Only the first of the two strides is carried over: height and width may differ.",
    "first padding": "Only the first of the two paddings is carried over: height and width may differ.",
    "first dilation": "Only the first of the two dilations is carried over: height and width may differ.",
    "last kernel": "Only the width of the kernel is carried over: it need not be a square, so pass conv.kernel_size.",
    "fresh": "The new convolution keeps the weights it was born with: copy the folded ones into it.",
}  # fmt: skip


def _conv_and_norm(
    seed: int, channels: tuple[int, int], kernel: Any, eps: float, **options: Any
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        conv = nn.Conv2d(*channels, kernel, **options)
        norm = nn.BatchNorm2d(channels[1], eps=eps)
        with torch.no_grad():
            norm.weight.uniform_(0.5, 2).mul_(torch.where(torch.arange(channels[1]) == 1, -1, 1))
            norm.bias.uniform_(-1, 1)
            norm.running_mean = torch.rand(channels[1]) + 0.3
            norm.running_var = 0.2 + 2 * torch.rand(channels[1])
            norm.running_var[0] = 2e-5  # here, eps matters most
            if conv.bias is not None:
                conv.bias.uniform_(0.3, 1)
    return conv, norm.eval()


def _judge_fold(answer: Any) -> str:
    def case(
        words: str,
        channels: tuple[int, int],
        kernel: Any,
        eps: float = 1e-3,
        training: bool = False,
        **options: Any,
    ) -> Case:
        x = torch.randn(2, channels[0], 9, 8, generator=torch.Generator().manual_seed(len(words)))

        def make() -> tuple[Any, ...]:
            conv, norm = _conv_and_norm(len(words), channels, kernel, eps, **options)
            return conv.train(training), norm.train(training)

        def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
            conv, norm = arguments
            before = make()
            whole = all(
                torch.equal(one, other)
                for old, new in zip(before, (conv, norm), strict=True)
                for one, other in zip(old.state_dict().values(), new.state_dict().values(), strict=True)
            )
            kind = "nn.Conv2d" if isinstance(result, nn.Conv2d) else type(result).__name__
            modes = all(old.training == new.training for old, new in zip(before, (conv, norm), strict=True))
            seen: dict[str, Any] = {
                "what comes back": kind,
                "whether both are as before": whole,
                "whether both are in the mode they were in": modes,
            }
            if isinstance(result, nn.Conv2d):
                try:
                    with torch.no_grad():
                        seen["its output"] = result.eval()(x)
                        old, new = before[0].weight.flatten(1), result.weight.flatten(1)
                        fresh = old.shape == new.shape and bool(
                            (F.cosine_similarity(old, new, dim=1).abs() < 0.7).all()
                        )
                        seen[TRACE] = (fresh, result.groups != before[0].groups, result.bias is None)
                except Exception as error:
                    seen["its output"] = f"{type(error).__name__}: {error}"
            else:
                seen["its output"] = None
            return seen

        return Case(make, words, observe=observe, rtol=1e-3, atol=1e-4, may_change=True)

    def explain(seen: dict[str, Any], _: dict[str, Any], __: tuple[Any, ...]) -> str | None:
        kind = seen["what comes back"]
        fresh, groups_lost, no_bias = seen.get(TRACE, (False, False, False))
        if kind != "nn.Conv2d":
            return {
                "Sequential": "That is both, one behind the other; one nn.Conv2d that does the work of both is asked for.",
                "tuple": "Those are weight and bias alone; put them into a new nn.Conv2d and return it.",
                "list": "Those are weight and bias alone; put them into a new nn.Conv2d and return it.",
                "Tensor": "That is a tensor; put weight and bias into a new nn.Conv2d and return it.",
                "Parameter": "That is a weight alone; put weight and bias into a new nn.Conv2d and return it.",
                "dict": "That is a dictionary; load it into a new nn.Conv2d and return that.",
                "NoneType": "It returns nothing (None): is a `return` missing?",
                "BatchNorm2d": "That is the batch norm; return the new convolution.",
                "type": "That is a class; build an object of it.",
            }.get(kind, f"It returns {kind}; one nn.Conv2d is asked for.")
        if not seen["whether both are as before"]:
            return (
                "conv or norm is not as it was: the folded weights belong into a new nn.Conv2d (or into copy.deepcopy(conv)), or "
                "the network that they come from is spoilt."
            )
        found = seen["its output"]
        if isinstance(found, str):
            if "groups" in found or "channels" in found:
                return f"The new convolution takes another number of channels: are groups carried over, and the weight's shape?\n{found[:150]}"
            return f"The new convolution cannot be run: {found[:150]}"
        if not seen["whether both are in the mode they were in"]:
            return (
                "conv or norm is left in another mode: eval() on it reaches the network that it belongs to. Nothing here needs it; "
                "running_mean and running_var can be read in any mode."
            )
        if no_bias:
            return _FOLD_MISTAKES["no bias"]
        if groups_lost:
            return "The groups of conv are not carried over."
        return _FOLD_MISTAKES["fresh"] if fresh else None

    def judge() -> None:
        judge_function(
            answer,
            "fold",
            reference=_fold,
            cases=[
                case("a 3x3 convolution from 3 to 3 channels", (3, 3), 3, padding=1, bias=False),
                case("a convolution with a bias and stride 2", (4, 6), 3, eps=0.05, stride=2, padding=1),
                case("a depthwise convolution with dilation 2", (4, 4), 3, padding=2, dilation=2, groups=4, bias=False),
                case("a 1x3 convolution, other strides in each direction", (2, 5), (1, 3), stride=(1, 2), padding=(0, 2)),
                case("a convolution in training mode, in two groups", (4, 8), 3, eps=0.1, training=True, groups=2),
            ],
            mistakes=[Mistake(partial(_fold, kind=kind), words) for kind, words in _FOLD_MISTAKES.items()],
            explain=explain,
        )  # fmt: skip

    _with_causes(
        judge,
        [
            ("NoneType", "A convolution without bias has `bias` None: take 0 for it then."),
            (r"doesn't match the broadcast shape \[5, 2, 1, 3\]", "Only the height of the kernel is carried over: it need not be a square, so pass conv.kernel_size."),
            ("must match the size of tensor|broadcast|must match except", "s has one value for each output channel, the first axis of the weight: s[:, None, None, None]; and with groups, the weight has fewer input channels."),
            ("leaf Variable|in-place", "A parameter is changed in place: do that under torch.no_grad(), or make a new one with nn.Parameter."),
            ("cannot assign", "A layer's weight is a parameter: wrap the tensor in nn.Parameter, or copy_ it under torch.no_grad()."),
            ("has no attribute '(var|mean|gamma|beta)'", "The statistics are called running_mean and running_var; gamma and beta are norm.weight and norm.bias."),
            ("num_features", "norm.num_features is the number of channels."),
        ],
    )  # fmt: skip
    return "One layer fewer, and the same answers."


fold = Exercise("ch12", "fold", _judge_fold)


# quantise ---------------------------------------------------------------------------------------------------


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _quantise(x: Tensor, low: float, high: float, kind: str = "right") -> Any:
    """The right answer, or a wrong one."""
    x = x.double()
    given = (low, high)
    if kind == "own range":
        low, high = float(x.min()), float(x.max())
    if kind == "wider range":
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    if kind == "symmetric":
        high = max(abs(low), abs(high))
        low = -high
    if kind not in ("no widening", "only low", "only high"):
        low, high = min(low, 0.0), max(high, 0.0)
    elif kind == "only low":
        low = min(low, 0.0)
    elif kind == "only high":
        high = max(high, 0.0)
    steps = {"256": 256, "254": 254, "127": 127, "128": 128}.get(kind, 255)
    scale = (high - low) / steps
    if kind.startswith("signed grid"):
        scale = max(abs(low), abs(high)) / (128 if kind.endswith("128") else 127)
    if kind == "width before":
        scale = (given[1] - given[0]) / 255
    if kind == "only high over":
        scale = high / 255
    if kind == "inverse scale":
        scale = 1 / scale
    zero: float = {
        "zero plus": _round(low / scale),
        "zero of high": _round(high / scale),
        "zero unrounded": -low / scale,
        "zero down": math.floor(-low / scale),
        "zero up": math.ceil(-low / scale),
        "zero 0": 0,
        "signed grid": 0,
        "signed grid 128": 0,
        "zero 128": 128,
        "zero low": low,
        "zero of 255": _round(255 - high / scale),
    }.get(kind, _round(-low / scale))
    ratio = x / scale
    whole = {
        "down": lambda: ratio.floor(),
        "up": lambda: ratio.ceil(),
        "towards zero": lambda: ratio.trunc(),
        "not rounded": lambda: ratio,
    }.get(kind, lambda: (ratio + 0.5).floor() if kind != "zero unrounded" else ratio)()
    if kind == "times scale":
        whole = (x * scale).round()
    if kind == "int8 grid":
        zero -= 128
    places = whole - zero if kind == "minus zero" else whole + zero
    unclipped = places
    if kind == "zero unrounded":
        places = places.round()
    if kind == "after zero down":
        places = (ratio + zero).floor()
    ends = {"no clip": None, "to 256": (0, 256), "signed": (-128, 127), "int8 grid": (-128, 127), "127 below": (-127, 127), "signed grid": (-127, 127), "signed grid 128": (-128, 127), "from 1": (1, 255),
            "wrapped": None, "below only": (0, math.inf), "above only": (-math.inf, 255), "to 1": (0, 1),
            "to the range": given}.get(kind, (0, 255))  # fmt: skip
    if ends is not None:
        places = places.clamp(*ends)
    if kind == "wrapped":
        places = places % 256
    if kind == "int8":
        places = (places + 128) % 256 - 128
    back = {
        "back without zero": lambda: scale * places,
        "back plus zero": lambda: scale * (places + zero),
        "back divided": lambda: (places - zero) / scale,
        "back zero unscaled": lambda: scale * places - zero,
        "back wrapped": lambda: scale * ((places - zero) % 256),
        "back from low": lambda: low + scale * places,
        "back unclipped": lambda: scale * (unclipped - zero),
        "back is x": lambda: x,
        "back clipped x": lambda: x.clamp(low, high),
        "back over 255": lambda: places / 255,
        "back whole": lambda: (scale * (places - zero)).round(),
        "back minus low": lambda: scale * places - low,
        "back is places": lambda: places - zero,
    }.get(kind, lambda: scale * (places - zero))()
    return places, back


_GRID_MISTAKES = {
    "no widening": "The range must contain 0: widen it first, low = min(low, 0) and high = max(high, 0).",
    "only low": "The range must contain 0 from both sides: a range below 0 needs high = max(high, 0).",
    "only high": "The range must contain 0 from both sides: a range above 0 needs low = min(low, 0).",
    "width before": "The scale is computed from the range before it is widened to contain 0.",
    "own range": "The range is taken from x itself; low and high were measured beforehand, on the calibration set.",
    "wider range": "The range is widened to hold all of x; low and high are fixed, and what lies beyond is clipped.",
    "symmetric": "That grid is symmetric around 0; this one runs from low to high.",
    "signed grid": "That grid is symmetric around 0; this one runs from low to high, on places from 0 to 255.",
    "signed grid 128": "That grid is symmetric around 0; this one runs from low to high, on places from 0 to 255.",
    "256": "256 points have 255 steps between them: divide the width by 255.",
    "254": "256 points have 255 steps between them: divide the width by 255.",
    "127": "That is the scale of a symmetric grid; here the width is divided by 255.",
    "128": "That is the scale of a symmetric grid; here the width is divided by 255.",
    "only high over": "The scale is the width of the range, high - low, over 255, not high over 255.",
    "inverse scale": "The scale is upside down: width / 255.",
    "times scale": "x is multiplied by the scale; divide by it to get the place.",
    "zero plus": "The zero point has the wrong sign: it is -low / scale, rounded.",
    "zero of high": "The zero point is computed from high; it is -low / scale, rounded.",
    "zero unrounded": "The zero point is not rounded, so that 0 is no point of the grid: round -low / scale.",
    "zero down": "The zero point is rounded down (int or //); round it to the nearest.",
    "zero up": "The zero point is rounded up; round it to the nearest.",
    "zero 0": "The zero point is 0: add -low / scale, rounded, or negative numbers have no place.",
    "zero 128": "The zero point is always 128; it follows from the range, -low / scale, rounded.",
    "zero low": "The zero point is low itself; it is a place on the grid, -low / scale, rounded.",
    "down": "x / scale is rounded down (floor, // or a cast to int); round it to the nearest.",
    "after zero down": "The places are rounded down (a cast to int); round to the nearest.",
    "up": "x / scale is rounded up; round it to the nearest.",
    "towards zero": "x / scale is cut to whole numbers (int or trunc); round it to the nearest.",
    "not rounded": "The places are no whole numbers: round.",
    "minus zero": "The zero point is subtracted; add it to get the place.",
    "no clip": "What lies beyond the range must be clipped: clamp the places to 0 to 255.",
    "to 256": "The last place is 255, not 256: clamp to 0 to 255.",
    "from 1": "The first place is 0, not 1: clamp to 0 to 255.",
    "signed": "Those are places of signed numbers, -128 to 127; 0 to 255 are asked for.",
    "int8 grid": "Those are the places of int8, from -128 to 127; 0 to 255 are asked for, so the zero point is not moved by 128.",
    "127 below": "Those are places of signed numbers, -127 to 127; 0 to 255 are asked for.",
    "below only": "Places above 255 are not clipped.",
    "above only": "Places below 0 are not clipped.",
    "to 1": "The places are clamped to 0 to 1; clamp to 0 to 255.",
    "to the range": "The places are clamped to low and high; those bound x, the places run from 0 to 255.",
    "wrapped": "Numbers beyond the range come round at the other end: in uint8, 256 is 0. Clamp first, convert then.",
    "int8": "Places above 127 became negative: int8 ends at 127, so take uint8.",
    "back without zero": "On the way back the zero point is forgotten: scale * (q - zero point).",
    "back plus zero": "On the way back the zero point is added; subtract it.",
    "back divided": "On the way back it is divided by the scale; multiply.",
    "back zero unscaled": "On the way back brackets are missing: scale * (q - zero point).",
    "back wrapped": "On the way back negative numbers came out large: q - zero point was computed in uint8, where 3 - 60 is 199. "
    "Convert to float first.",
    "back from low": "On the way back it starts from low; then 0 does not come back as 0. Use scale * (q - zero point).",
    "back minus low": "On the way back low is subtracted; use scale * (q - zero point).",
    "back unclipped": "q is clipped, back is not: compute it from the clipped places, for no others are stored.",
    "back is x": "back is x itself; it is what the places stand for, with their rounding error.",
    "back clipped x": "back is x, clipped; it is what the places stand for, with their rounding error.",
    "back over 255": "On the way back it is divided by 255: use scale * (q - zero point).",
    "back whole": "The numbers that come back are rounded again.",
    "back is places": "back are steps from the zero point; multiply them by the scale.",
}  # fmt: skip


def _explain_grid(seen: dict[str, Any], expected: dict[str, Any], _: tuple[Any, ...]) -> str | None:
    if "how many values come back" in seen and seen["how many values come back"] != "two":
        return f"Return two tensors, the places q and what they stand for, back; found {seen['how many values come back']}."
    q, back = (as_array(seen[name]) for name in ("the places q", "what they stand for, back"))
    right_q, right_back = (as_array(expected[name]) for name in ("the places q", "what they stand for, back"))
    assert right_q is not None
    assert right_back is not None
    if q is None or q.dtype.kind != "f":
        return "q should be a tensor of numbers."
    if (
        back is not None
        and not differs(back, right_q, atol=1e-3)
        and not differs(q, right_back, rtol=1e-3, atol=1e-4)
    ):
        return "The two are swapped: first the places, then what they stand for."
    if q.shape != right_q.shape and q.size == right_q.size:
        return "The shape of x is lost: both tensors have it."
    if (
        back is not None
        and not differs(q, right_q, rtol=0, atol=1e-3)
        and differs(back, right_back, rtol=1e-3, atol=1e-4)
    ):
        return None
    if not differs(q, right_back, rtol=1e-3, atol=1e-4):
        return "The first value is already what the places stand for; first come the places, whole numbers from 0 to 255."
    return None


def _grid(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    try:
        count = len(result) if isinstance(result, (tuple, list)) else 1
    except Exception:
        count = 1
    if count != 2:
        found = "nothing (is a `return` missing?)" if result is None else "one" if count == 1 else str(count)
        return {"how many values come back": found, "the places q": None, "what they stand for, back": None}
    return {
        "how many values come back": "two",
        "the places q": result[0],
        "what they stand for, back": result[1],
    }


def _on_grid(seed: int, low: float, high: float, shape: tuple[int, ...], beyond: bool = False) -> Tensor:
    """Return numbers of the range that lie well away from the middle between two points."""
    draw = torch.Generator().manual_seed(seed)
    wide_low, wide_high = min(low, 0.0), max(high, 0.0)
    scale = (wide_high - wide_low) / 255
    first, last = low / scale, high / scale
    if beyond:
        first, last = first - 80, last + 80
    steps = torch.rand(shape, generator=draw, dtype=torch.float64) * (last - first) + first
    steps = steps.floor() + 0.4 * (2 * torch.rand(shape, generator=draw, dtype=torch.float64) - 1)
    return (scale * steps).float()


def _judge_quantise(answer: Any) -> str:
    def case(seed: int, low: float, high: float, shape: tuple[int, ...], beyond: bool = False) -> Case:
        x = _on_grid(seed, low, high, shape, beyond)
        words = f"x of shape {shape}{', some of it beyond the range' * beyond}, low={low} and high={high}"
        return of(x, low, high, words=words, rtol=1e-3, atol=1e-4, observe=_grid)

    def judge() -> None:
        judge_function(
            answer,
            "quantise",
            reference=_quantise,
            cases=[
                case(0, -0.7, 1.1, (40,)),
                case(1, -0.6, 1.95, (5, 8), beyond=True),
                case(2, 0.2, 1.0, (30,)),
                case(3, -3.1, -1.0, (2, 3, 5)),
                case(4, -13.0, 4.1, (25,), beyond=True),
                case(5, 0.0, 6.0, (12, 1)),
            ],
            mistakes=[
                Mistake(partial(_quantise, kind=kind), words) for kind, words in _GRID_MISTAKES.items()
            ],
            explain=_explain_grid,
        )

    _with_causes(
        judge,
        [
            ("'(float|int)' object has no attribute|must be Tensor, not", "low, high, scale and zero point are plain numbers: use round, min and max for them, and PyTorch for x."),
            ("division by zero", "The scale became 0: is the width of the range computed with whole numbers, or from one end alone?"),
            ("type .* doesn't define __round__|__round__", "round() of Python is for one number; a tensor has .round()."),
            ("cannot be converted to Scalar|only one element|only integer tensors|scalar", "int() and round() take one number; use x.round() for a tensor."),
        ],
    )  # fmt: skip
    return "Zero comes back as zero, and nothing is further off than half a step, but what was clipped."


quantise = Exercise("ch12", "quantise", _judge_quantise)


# calibration_images -----------------------------------------------------------------------------------------


def _faces(
    seed: int,
    counts: Sequence[int],
    *,
    ordered: bool,
    twins: Sequence[tuple[str, int]] = (),
    doubles: int = 0,
) -> Faces:
    """Return small made-up splits; the first images of some classes of train also stand in val or test."""
    draw = np.random.default_rng(seed)

    def split(name: str, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat(np.arange(7), sizes)
        if not (ordered and name == "train"):
            labels = draw.permutation(labels)
        return draw.integers(0, 256, (len(labels), 48, 48), dtype=np.uint8), labels.astype(np.int64)

    parts = {"train": split("train", counts), "val": split("val", [3] * 7), "test": split("test", [3] * 7)}
    images, labels = parts["train"]
    for number, (name, label) in enumerate(twins):
        places = np.flatnonzero(labels == label)
        source = places[sum(1 for other in twins[:number] if other[1] == label)]
        parts[name][0][number] = images[source]
        parts[name][1][number] = label
    for number in range(doubles):  # the same picture twice in train, close together
        places = np.flatnonzero(labels == 2)
        images[places[2 * number + 1]] = images[places[2 * number]]
    made = {
        name: FaceSet(images=one, labels=other, split=name, rows=np.arange(len(one)))
        for name, (one, other) in parts.items()
    }
    return Faces(made["train"], made["val"], made["test"], layout="made up", source="the checker")


def _key(image: np.ndarray) -> bytes:
    return np.ascontiguousarray(image).tobytes()


def _judge_calibration_case(answer: Any, words: str, faces: Faces, per_class: int) -> None:
    given = copy.deepcopy(faces)
    called = f"Called with {words} and per_class={per_class}"
    result = run(
        answer, given, per_class, what=f"calibration_images, called with {words} and per_class={per_class},"
    )

    def wrong(message: str, facts: str) -> Wrong:
        return Wrong(f"{message}\n{called}, {facts}")

    for ours, theirs in zip(faces, given, strict=True):
        if not (np.array_equal(ours.images, theirs.images) and np.array_equal(ours.labels, theirs.labels)):
            raise wrong(
                "It changes the faces that it is given: work on a copy.", f"{ours.split} is not what it was."
            )
    if isinstance(result, tuple) and len(result) == 2:
        raise wrong("Return the images alone, without their labels.", "it returns two values.")
    array = as_array(result)
    if array is None or array.dtype.kind != "f":
        message = guess([result], [np.zeros((7, 1, 48, 48))])
        raise wrong(message or "Return one array or tensor of images.", f"it returns {shown(result, 40)}.")
    if not array.size:
        raise wrong(
            "No image is left: are too many thrown out, or none chosen?", "it returns an empty array."
        )
    shape = tuple(array.shape)
    if array.ndim == 1:
        raise wrong(
            "Those are numbers, such as places or labels; return the images themselves.",
            f"its shape is {shape}.",
        )
    size = int(array.size)
    if size % (48 * 48) or not {48} <= set(shape[1:]):
        raise wrong("Return images of 48 x 48 pixels, one channel.", f"its shape is {shape}.")
    flat = array.reshape(-1, 48, 48)
    if not np.isfinite(flat).all():
        raise wrong("Some values are no numbers.", "not all values are finite.")
    highest, lowest = float(flat.max()), float(flat.min())
    scaled = flat * 255
    if lowest < -0.01:
        raise wrong(
            "The images are normalised; this network does that itself, and wants values from 0 to 1.",
            f"the least value is {lowest:.3g}.",
        )
    if highest > 1.5:
        scaled = flat
    elif 0 < highest < 0.01:
        scaled = flat * 255**2
    keys = [_key(np.clip(np.rint(image), 0, 255).astype(np.uint8)) for image in scaled]
    train = {
        _key(image): int(label) for image, label in zip(faces.train.images, faces.train.labels, strict=True)
    }
    sets = {name: {_key(image) for image in faces[name].images} for name in ("val", "test")}
    unknown = [key for key in keys if key not in train and not any(key in one for one in sets.values())]
    if unknown:
        if np.allclose(flat * 256, np.rint(flat * 256), atol=1e-3) and highest < 1:
            raise wrong("It is divided by 256; divide by 255.", f"the greatest value is {highest:.4f}.")
        inverted = [_key(np.clip(255 - np.rint(image), 0, 255).astype(np.uint8)) for image in scaled]
        if all(key in train for key in inverted):
            raise wrong("Black and white are exchanged.", "the images are negatives.")
        turned = [_key(np.clip(np.rint(image.T), 0, 255).astype(np.uint8)) for image in scaled]
        if all(key in train for key in turned):
            raise wrong("Rows and columns of the pictures are exchanged.", "the images are turned.")
        if shape[-1] == 1 or (len(shape) == 4 and shape[1] != 1):
            raise wrong("The axes are mixed up: (images, 1, 48, 48).", f"its shape is {shape}.")
        raise wrong(
            "Some of these pictures are none of the given ones: pass on pixels as they are, divided by 255.",
            f"{len(unknown)} of {len(keys)} pictures are unknown.",
        )
    for name in ("test", "val"):
        only = [key for key in keys if key in sets[name] and key not in train]
        if all(key in sets[name] for key in keys) and only:
            raise wrong(
                f"The images are those of {name}; calibration images come from train.",
                f"all {len(keys)} are of {name}.",
            )
        if only:
            raise wrong(
                f"Some images come from {name}; calibration images come from train alone.",
                f"{len(only)} of {len(keys)} are of {name}.",
            )
    classes = np.bincount([train[key] for key in keys], minlength=7)
    available = np.zeros(7, int)
    for key, label in train.items():
        available[label] += not any(key in one for one in sets.values())
    wanted = np.minimum(available, per_class)
    facts = f"it returns {classes.tolist()} images of the seven classes; {wanted.tolist()} are expected."
    if len(keys) == len(faces.train) > wanted.sum():
        raise wrong("That is all of train: choose per_class images of each class.", facts)
    leaked = {name: sum(key in one for key in keys) for name, one in sets.items()}
    if any(leaked.values()):
        if classes.max() <= per_class and all(leaked.values()):
            told = "Images of train that also stand in val or test are not left out."
        elif leaked["test"]:
            told = "An image of train that also stands in test is not left out."
        else:
            told = "An image of train that also stands in val is not left out; val is held out too."
        if (
            classes.sum() == per_class
            and (classes > 0).sum() < 7 <= classes.size
            and per_class < wanted.sum()
        ):
            told = f"per_class counts all images together; that many of each class are asked for. {told}"
        raise wrong(told, f"{leaked['val']} also stand in val and {leaked['test']} in test.")
    if len(set(keys)) < len(keys):
        repeated = len(keys) - len(set(keys))
        drawn = sum(
            1
            for key in set(keys)
            if keys.count(key) > sum(key == _key(image) for image in faces.train.images)
        )
        told = (
            "The same image is chosen more than once (drawn with replacement?)."
            if drawn
            else "A picture that stands in train twice is chosen twice: different ones are asked for."
        )
        raise wrong(told, f"{repeated} of {len(keys)} are repetitions.")
    if not np.array_equal(classes, wanted):
        if classes.sum() == per_class:
            told = "per_class counts all images together; that many of each class are asked for."
        elif (classes > 0).sum() == 1 and (available > 0).sum() > 1:
            told = (
                "All images are of one class: train may be sorted, so the first ones are not a fair choice."
            )
        elif any(classes[label] == 0 < wanted[label] for label in range(7)):
            missing = [EMOTIONS[label] for label in range(7) if classes[label] == 0 < wanted[label]]
            scarce = all(available[EMOTIONS.index(name)] < per_class for name in missing)
            if scarce:
                told = f"A class with fewer images than per_class is left out ({', '.join(missing)}): take all there are."
            else:
                told = f"A class is missing ({', '.join(missing)}): do labels run from 0 to 6, and is train sorted?"
        elif (classes > wanted).any() and not (classes < wanted).any():
            one_more = np.array_equal(classes, np.minimum(available, per_class + 1))
            told = (
                "It takes one too many of each class: compare with <, not <=."
                if one_more
                else "It takes too many images of a class."
            )
        elif classes.sum() == min(7 * per_class, len(train)) or classes.sum() == wanted.sum():
            told = "The number is right, but not the number of each class: choose class by class."
        elif len(set(classes[wanted > 0].tolist())) == 1 and classes.max() == wanted[wanted > 0].min():
            told = "All classes are cut down to the smallest; take per_class of each, and all of a class that has fewer."
        elif np.array_equal(np.minimum(classes, wanted), classes):
            told = "It takes too few of a class: where an image is left out, for its copy in val or test or in train, the next one takes its place."
        else:
            told = "The number of images of each class is wrong."
        raise wrong(told, facts)
    if highest > 1.5:
        raise wrong("The pixels run from 0 to 255: divide by 255.", f"the greatest value is {highest:.3g}.")
    if highest < 0.01:
        raise wrong("It is divided by 255 twice, or scaled twice.", f"the greatest value is {highest:.3g}.")
    if shape != (len(keys), 1, 48, 48):
        raise wrong("The axes are (images, 1, 48, 48), with one channel.", f"its shape is {shape}.")
    kind = str(getattr(result, "dtype", "a list")).replace("torch.", "")
    if kind != "float32":
        raise wrong(
            f"The file's input is float32, and a runtime refuses others; this is {kind}.",
            f"its number format is {kind}.",
        )


def _judge_calibration_images(answer: Any) -> str:
    want_function(answer, "calibration_images")
    twins = [("val", 0), ("test", 0), ("test", 3), ("val", 5), ("test", 6)]
    trials = [
        ("train in the order of its classes", _faces(0, [9] * 7, ordered=True, twins=twins), 4),
        ("a class of two images, one of them also in test", _faces(1, [8, 2, 9, 12, 7, 8, 10], ordered=False, twins=[*twins, ("test", 1)]), 5),
        ("a class that is missing, and pictures that stand in train twice", _faces(2, [5, 0, 9, 6, 5, 6, 7], ordered=True, twins=twins[1:], doubles=3), 3),
        ("classes of four images", _faces(3, [4] * 7, ordered=False), 6),
    ]  # fmt: skip

    def judge() -> None:
        for words, faces, per_class in trials:
            _judge_calibration_case(answer, words, faces, per_class)

    _with_causes(
        judge,
        [
            ("larger sample than population|Sample larger", "A class may have fewer images than per_class: take min(per_class, how many there are)."),
            ("unhashable", "An array cannot stand in a set: its bytes can, image.tobytes()."),
            ("index .* out of bounds|out of range", "A class may have fewer images than per_class: take all there are."),
            ("non-empty|need at least one array|a must be greater|empty sequence", "A class may have no image at all: nothing is to be chosen from it."),
            ("not subscriptable|has no attribute '(x|y|data|keys)'", "The splits are faces.train, faces.val and faces.test, each with .images and .labels."),
            ("truth value", "Comparing arrays gives an array: (a == b).all(), or compare their bytes."),
        ],
    )  # fmt: skip
    return "Fair to every class, and blind to what will be measured."


calibration_images = Exercise("ch12", "calibration_images", _judge_calibration_images)


# same_answers -----------------------------------------------------------------------------------------------


def _gap(kind: str, expected: np.ndarray, found: np.ndarray) -> float:
    """Return how far the logits are apart, in one way or another."""
    difference = found - expected
    return float(
        {
            "mean": lambda: np.abs(difference).mean(),
            "signed": lambda: difference.max(),
            "signed other": lambda: (-difference).max(),
            "of greatest": lambda: abs(found.max() - expected.max()),
            "abs of max": lambda: abs(difference.max()),
            "sum": lambda: np.abs(difference).sum(),
            "square": lambda: (difference**2).max(),
            "root mean square": lambda: np.sqrt((difference**2).mean()),
            "mean square": lambda: (difference**2).mean(),
            "least": lambda: np.abs(difference).min(),
            "relative gap": lambda: np.abs(difference).max() / np.abs(expected).max(),
            "relative each": lambda: (np.abs(difference) / np.abs(expected)).max(),
            "nan left out": lambda: np.nanmax(np.abs(difference)),
            "softmax": lambda: np.abs(_softmax(found) - _softmax(expected)).max(),
            "first image": lambda: np.abs(difference[0]).max(),
        }.get(kind, lambda: np.abs(difference).max())()
    )


def _limit(kind: str, expected: np.ndarray, overall: float) -> float:
    """Return how far they may be apart."""
    largest = {
        "largest signed": lambda: expected.max(),
        "mean size": lambda: np.abs(expected).mean(),
        "overall": lambda: overall,
        "spread": lambda: expected.max() - expected.min(),
        "std": lambda: expected.std(),
    }.get(kind, lambda: np.abs(expected).max())()
    return {
        "absolute": 1e-4, "absolute 5": 1e-5, "absolute 6": 1e-6, "absolute 3": 1e-3, "zero": 0.0,
        "1e-3": 1e-3 * largest, "1e-5": 1e-5 * largest, "1e-6": 1e-6 * largest, "1e-2": 1e-2 * largest,
        "relative gap": 1e-4, "relative each": 1e-4, "over": 1e-4 / largest,
    }.get(kind, 1e-4 * largest)  # fmt: skip


def _same(reference: Any, other: Any, batches: Sequence[Any], kind: str = "right") -> Any:
    """The right answer, or a wrong one."""
    pairs = [(np.asarray(reference(one), float), np.asarray(other(one), float)) for one in batches]
    if kind == "first batch":
        pairs = pairs[:1]
    if kind == "last batch":
        pairs = pairs[-1:]
    gaps: list[float] = []
    agree: list[bool] = []
    overall = max(float(np.abs(one).max()) for one, _ in pairs)
    with np.errstate(all="ignore"):
        for expected, found in pairs:
            fits = found.shape == expected.shape
            finite = bool(np.isfinite(found).all())
            if kind == "shape ignored":
                fits = True
            if not fits or (not finite and kind not in ("nan passes", "nan gap", "nan left out", "inf only")):
                gaps.append(np.inf)
                agree.append(False)
                if kind == "stops":
                    break
                continue
            gap = _gap(kind, expected, found)
            limit = _limit(kind, expected, overall)
            good = gap <= limit
            if kind == "nan passes":
                good = not gap > limit
            if kind == "nan passes" and math.isnan(gap):
                gap = 0.0
            if kind == "allclose":
                good = bool(np.allclose(found, expected))
            if kind == "allclose 1e-4":
                good = bool(np.allclose(found, expected, rtol=1e-4))
            if kind == "allclose atol":
                good = bool(np.allclose(found, expected, atol=1e-4))
            if kind == "allclose rtol only":
                good = bool(np.allclose(found, expected, rtol=1e-4, atol=0))
            if kind == "allclose both":
                good = bool(np.allclose(found, expected, rtol=1e-4, atol=1e-4))
            if kind == "classes":
                good = bool((found.argmax(1) == expected.argmax(1)).all())
            if kind == "equal":
                good = bool(np.array_equal(found, expected))
            gaps.append(gap)
            agree.append(good)
            if kind == "stops" and not good:
                break
    gap = max(gaps)
    if kind == "last gap":
        gap = gaps[-1]
    if kind == "mean gap":
        gap = float(np.mean(gaps))
    if kind == "sum gap":
        gap = float(np.sum(gaps))
    if kind == "gaps":
        return gaps, all(agree)
    together = {
        "any": any(agree),
        "last agrees": agree[-1],
        "first agrees": agree[0],
        "disagree": not all(agree),
        "overall last": bool(gap <= 1e-4 * np.abs(pairs[-1][0]).max()),
        "each agrees": agree,
    }.get(kind, all(agree))
    if kind == "finite gap" and not math.isfinite(gap):
        gap = max((one for one in gaps if math.isfinite(one)), default=0.0)
    if kind == "zero gap" and not math.isfinite(gap):
        gap = 0.0
    if kind == "nan instead" and not math.isfinite(gap):
        gap = math.nan
    return gap, together


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


_SAME_MISTAKES = {
    "mean": "That is the mean difference; one wrong logit disappears in it, so take the greatest.",
    "signed": "The differences keep their sign, so that logits that are too small do not count: take the absolute value.",
    "signed other": "The differences keep their sign, so that logits that are too large do not count: take the absolute value.",
    "of greatest": "That compares the greatest logits of each; subtract first, then take the greatest absolute value.",
    "abs of max": "The absolute value is taken of the greatest difference; take it of every difference, then the greatest.",
    "sum": "The differences are added up; take the greatest.",
    "square": "The differences are squared; take their absolute value.",
    "root mean square": "That is the root of the mean square; take the greatest absolute difference.",
    "mean square": "That is the mean square; take the greatest absolute difference.",
    "least": "That is the least difference; take the greatest.",
    "softmax": "That compares probabilities; compare the logits.",
    "first image": "Only the first image of each batch is compared.",
    "relative gap": "The difference is divided by the largest logit; return it as it is, and use the largest logit for the limit alone.",
    "relative each": "Each difference is divided by its own logit, and logits near 0 make that large; the limit is 1e-4 of the "
    "batch's largest logit.",
    "absolute": "The limit is 1e-4 whatever the logits; it is 1e-4 of the batch's largest absolute logit.",
    "absolute 5": "The limit is a fixed number; it is 1e-4 of the batch's largest absolute logit.",
    "absolute 6": "The limit is a fixed number; it is 1e-4 of the batch's largest absolute logit.",
    "absolute 3": "The limit is a fixed number; it is 1e-4 of the batch's largest absolute logit.",
    "zero": "Equality to the last bit is asked; rounding alone moves the last digits, so the limit is 1e-4 of the largest logit.",
    "equal": "Equality to the last bit is asked; rounding alone moves the last digits, so the limit is 1e-4 of the largest logit.",
    "1e-3": "The limit is ten times too wide: 1e-4 of the largest logit.",
    "1e-2": "The limit is a hundred times too wide: 1e-4 of the largest logit.",
    "1e-5": "The limit is ten times too narrow: 1e-4 of the largest logit.",
    "1e-6": "The limit is a hundred times too narrow: 1e-4 of the largest logit.",
    "over": "1e-4 is divided by the largest logit; multiply.",
    "largest signed": "The largest logit is taken with its sign; a logit of -5 is large too, so take the absolute value.",
    "mean size": "The limit follows from the mean size of the logits; take the largest absolute one.",
    "spread": "The limit follows from the spread of the logits; take the largest absolute one.",
    "std": "The limit follows from the standard deviation of the logits; take the largest absolute one.",
    "overall": "One limit serves all batches; each batch is measured by its own largest logit.",
    "overall last": "The greatest difference is compared with the last batch's limit; compare each batch with its own.",
    "allclose": "np.allclose has other limits (each logit's own size, and 1e-8): the limit is 1e-4 of the batch's largest logit.",
    "allclose 1e-4": "np.allclose measures each logit by its own size; the limit is 1e-4 of the batch's largest logit.",
    "allclose rtol only": "np.allclose measures each logit by its own size; the limit is 1e-4 of the batch's largest logit.",
    "allclose atol": "np.allclose with atol=1e-4 has a fixed limit; it is 1e-4 of the batch's largest logit.",
    "allclose both": "np.allclose adds a fixed limit and one of each logit's size; the limit is 1e-4 of the batch's largest logit.",
    "classes": "The same class is not the same answer: compare the logits with their limit.",
    "nan passes": "NaN gets through: it is neither larger nor smaller than the limit. Look with np.isfinite.",
    "nan gap": "NaN gets through to the difference, where it is neither large nor small: it must be infinite. Look with np.isfinite.",
    "nan left out": "NaN is left out of the comparison (nanmax); it is no agreement, and the difference is infinite.",
    "nan instead": "Where a shape differs or a value is not finite, the difference is infinite, not NaN.",
    "finite gap": "Where a shape differs or a value is not finite, the difference is infinite; such batches are passed over in it.",
    "zero gap": "Where a shape differs or a value is not finite, the difference is infinite, not 0.",
    "shape ignored": "The shapes are not compared: NumPy stretches (1, 7) to the batch's shape, and a frozen batch size goes unseen.",
    "first batch": "Only the first batch is compared (is the `return` inside the loop?).",
    "last batch": "Only the last batch counts.",
    "stops": "It stops at the first batch that does not agree; the greatest difference is asked for over all batches.",
    "last gap": "The difference is that of the last batch; keep the greatest of all.",
    "mean gap": "The difference is the mean over the batches; keep the greatest.",
    "sum gap": "The differences of the batches are added up; keep the greatest.",
    "gaps": "Those are the differences of each batch; return the greatest of them.",
    "any": "One batch that agrees is enough here; all must.",
    "last agrees": "Whether they agree is decided by the last batch alone; all must.",
    "first agrees": "Whether they agree is decided by the first batch alone; all must.",
    "disagree": "It says True where they do not agree: turn it round.",
    "each agrees": "Those are answers for each batch; return one, whether all agree.",
}  # fmt: skip


def _outcome(result: Any, _: tuple[Any, ...]) -> dict[str, Any]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        return {"the two values": shown(result, 60), "the difference": None, "whether they agree": None}
    return {"the two values": "two", "the difference": result[0], "whether they agree": result[1]}


def _explain_same(seen: dict[str, Any], _: dict[str, Any], __: tuple[Any, ...]) -> str | None:
    if seen["the two values"] != "two":
        if seen["the two values"] == "None":
            return "It returns nothing (None): is a `return` missing?"
        return "Return two values: the greatest difference, and whether they agree."
    first, second = seen["the difference"], seen["whether they agree"]
    if isinstance(first, (bool, np.bool_)) and not isinstance(second, (bool, np.bool_)):
        return "The two are swapped: first the difference, then whether they agree."
    if isinstance(second, str):
        return "Whether they agree is True or False, not text."
    return None


def _judge_same_answers(answer: Any) -> str:
    def case(words: str, outputs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Case:
        batches = [
            np.full((len(one), 1, 2, 2), float(number), np.float32) for number, (one, _) in enumerate(outputs)
        ]

        def reference(batch: Any) -> np.ndarray:
            if isinstance(batch, (list, tuple)):
                raise TypeError("one batch at a time, not a list of them")
            return outputs[int(np.asarray(batch).flat[0])][0].copy()

        def other(batch: Any) -> np.ndarray:
            return outputs[int(np.asarray(batch).flat[0])][1].copy()

        return of(reference, other, batches, words=words, rtol=1e-3, atol=1e-9, observe=_outcome)

    draw = np.random.default_rng(0)

    def logits(count: int, largest: float) -> np.ndarray:
        made = draw.uniform(-0.5, 0.5, (count, 7))
        made[0, 2] = 1.0
        return (largest * made).astype(np.float32)

    def moved(one: np.ndarray, by: float, where: tuple[int, int] = (0, 4)) -> np.ndarray:
        other = one.astype(np.float64).copy()
        other += 0.1 * by * draw.uniform(-1, 1, one.shape)
        other[where] = one[where] + by
        return other

    a, b, c, d = logits(3, 5.0), logits(1, 4.0), logits(8, 6.0), logits(4, 0.01)
    e, f, g, h = logits(2, 1000.0), logits(5, 2.0), logits(4, 100.0), logits(4, 0.1)
    near_zero = logits(3, 3.0)
    near_zero[1, 1] = 1e-6
    negative = -logits(3, 5.0)
    nan, inf = moved(c, 5e-5), moved(b, 1e-5)
    nan[3, 3], inf[0, 0] = np.nan, np.inf
    reached = moved(f, 3e-4, (0, 2))
    judge = partial(
        judge_function,
        answer,
        "same_answers",
        reference=_same,
        cases=[
            case("three batches that agree", [(a, moved(a, 2e-5)), (b, moved(b, -9e-5)), (c, moved(c, 5e-5))]),
            case("logits that are all larger by a hair", [(a, a.astype(np.float64) * (1 + 5e-6))]),
            case("gaps that are tiny", [(a, moved(a, 3e-6)), (b, moved(b, 2e-6))]),
            case("small logits that agree", [(d, moved(d, 8e-7))]),
            case("a logit that is too small in the second of three batches", [(a, moved(a, 1e-5)), (c, moved(c, -0.3, (2, 4))), (b, moved(b, 2e-5))]),
            case("a logit that is too large in the last batch", [(a, moved(a, 1e-5)), (c, moved(c, 0.02, (5, 1)))]),
            case("large logits", [(e, moved(e, 0.03)), (e, moved(e, -0.005))]),
            case("small logits", [(d, moved(d, 3e-5)), (d, moved(d, 1e-7))]),
            case("a logit next to zero", [(near_zero, moved(near_zero, 8e-5, (1, 1)))]),
            case("a gap next to zero that is tiny", [(near_zero, moved(near_zero, 2e-5, (1, 1)))]),
            case("a largest logit that is negative", [(negative, moved(negative, 4e-4, (1, 0)))]),
            case("a batch of large logits and one of small ones", [(g, moved(g, 1e-3)), (h, moved(h, 8e-4))]),
            case("one of small logits, then one of large ones", [(h, moved(h, 8e-4)), (g, moved(g, 1e-3))]),
            case("a gap just above the limit", [(f, reached)]),
            case("a NaN in the second of three batches", [(a, moved(a, 1e-5)), (c, nan), (b, moved(b, 1e-5))]),
            case("an infinite logit", [(b, inf), (a, moved(a, 1e-5))]),
            case("an other that always answers for one image", [(b, moved(b, 1e-5)), (np.repeat(b, 4, 0), moved(b, 1e-5))]),
            case("an other with eight classes", [(a, np.zeros((3, 8)))]),
        ],
        mistakes=[Mistake(partial(_same, kind=kind), words) for kind, words in _SAME_MISTAKES.items()],
        explain=_explain_same,
    )  # fmt: skip
    _with_causes(
        judge,
        [
            ("one batch at a time", "reference and other are called with one batch at a time: loop over batches."),
            ("broadcast|must match|inhomogeneous", "Compare the shapes before you subtract: where they differ, the difference is infinite."),
            ("has no attribute '(abs|detach|numpy|max|shape)'|bad operand", "The functions return arrays: np.abs(found - expected).max()."),
            ("truth value", "A comparison of arrays gives an array: take .all() or .max() first."),
            ("'list' object (is not callable|has no)|not callable", "reference and other are called with one batch at a time, not with the list."),
        ],
    )  # fmt: skip
    return "NaN, a frozen batch size and a lost sign would have got past an easier test."


same_answers = Exercise("ch12", "same_answers", _judge_same_answers)


# median_ms --------------------------------------------------------------------------------------------------


class _World:
    """A clock that stands still but for what is done: a cold first call, an interruption now and then.

    However often somebody warms up, the median stays the same. Where repeats is even, the two calls in the middle
    differ, so that it shows who takes one of them alone.
    """

    def __init__(self, unit: float, even: bool) -> None:
        self.now, self.unit, self.log = 500.0, unit, ""
        self.durations = (6.0, 40.0, 4.0, 5.0, 3.0, 7.0) if even else (4.0, 40.0, 4.0, 3.0, 4.0)

    def clock(self) -> float:
        self.log += "c"
        return self.now

    def make_input(self) -> _Input:
        self.log += "m"
        self.now += 0.017 * self.unit
        return _Input()

    def call(self, x: Any) -> int:
        if isinstance(x, (list, tuple)) and x and isinstance(x[0], _Input):
            raise TypeError("call takes one input, not a list of them")
        if not isinstance(x, _Input):
            raise TypeError("call takes what make_input() returns")
        number = self.log.count("r")
        self.now += (
            0.15 if number == 0 else self.durations[(number - 1) % len(self.durations)] / 1000
        ) * self.unit
        self.log += "r"
        return 0


class _Input:
    """What the made-up network runs on."""


def _median_ms(
    call: Any,
    make_input: Any,
    clock: Any,
    repeats: int,
    *,
    warm: str = "yes",
    timed_input: str = "no",
    take: str = "median",
    unit: float = 1000.0,
) -> Any:
    if timed_input == "no":
        x = make_input()
    if warm == "yes":
        call(make_input() if timed_input != "no" else x)
    taken, since = [], []
    whole = clock()
    if timed_input == "once":
        x = make_input()
    for _ in range(repeats + (warm == "counted")):
        begun = clock()
        if timed_input == "each":
            x = make_input()
        call(x)
        taken.append(unit * (clock() - begun))
        since.append(unit * (clock() - whole))
    total = unit * (clock() - whole)
    taken = taken[1:] if warm == "dropped" else taken
    taken = sorted(taken) if take != "unsorted" else taken
    return {
        "median": lambda: float(np.median(taken)),
        "mean": lambda: total / repeats if warm in ("yes", "no") else float(np.mean(taken)),
        "mean of each": lambda: float(np.mean(taken)),
        "total": lambda: total,
        "least": lambda: taken[0],
        "greatest": lambda: taken[-1],
        "last": lambda: taken[-1],
        "unsorted": lambda: taken[len(taken) // 2],
        "upper": lambda: taken[len(taken) // 2],
        "lower": lambda: taken[(len(taken) - 1) // 2],
        "since": lambda: float(np.median(since)),
        "trimmed": lambda: float(np.mean(taken[1:-1])),
    }[take]()


_TAKES = {
    "median": "",
    "mean": "It takes the mean (or the time of the whole loop, divided), which one interruption spoils: take the median of single calls.",
    "mean of each": "It takes the mean, which one interruption spoils: take the median.",
    "total": "It returns the sum of all calls: take the median of single calls.",
    "least": "It takes the least time, the luckiest call: take the median.",
    "greatest": "It takes the greatest time, the most disturbed call: take the median.",
    "unsorted": "It takes the call in the middle of the list, which is not sorted: sort first, or use statistics.median.",
    "upper": "Of an even number of calls it takes the upper of the two in the middle; the median is the mean of both, as in statistics.median.",
    "lower": "Of an even number of calls it takes the lower of the two in the middle; the median is the mean of both, as in statistics.median.",
    "since": "Each call is timed from the start of the loop: ask the clock anew before every call.",
    "trimmed": "It takes the mean without the extremes: take the median.",
}
_WARM = {
    "yes": "",
    "no": "The first, cold call is timed with the others: call once before, without the clock.",
    "counted": "There is one call more, but it is timed with the others: the warm-up call does not count.",
    "dropped": "The first of the calls is left out, so that one fewer than repeats is timed: make one call more.",
}
_INPUTS = {
    "no": "",
    "each": "Making the input is timed with each call: make it before the clock starts.",
    "once": "Making the input is timed: make it before the clock starts.",
}
_UNITS = {1000.0: "", 1.0: "That is in seconds: milliseconds are asked for.", 1e6: "That is in microseconds: milliseconds are asked for.",
          0.001: "It is divided by 1000; a second has 1000 milliseconds, so multiply."}  # fmt: skip


def _judge_median_ms(answer: Any) -> str:
    def case(repeats: int, unit: float) -> Case:
        def make() -> tuple[Any, ...]:
            world = _World(unit, even=repeats % 2 == 0)
            return world.call, world.make_input, world.clock, repeats

        def observe(result: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
            log = arguments[0].__self__.log
            runs = log.count("r")
            return {
                RESULT: result,
                "whether it makes a first call that does not count, and then as many as asked for": repeats
                < runs
                <= repeats + 10,
                TRACE: ("c" in log, runs),
            }

        return Case(make, f"repeats={repeats}", observe=observe, rtol=1e-6, atol=1e-9, may_change=True)

    def explain(seen: dict[str, Any], expected: dict[str, Any], arguments: tuple[Any, ...]) -> str | None:
        found = as_array(seen[RESULT])
        asked, runs = seen[TRACE]
        if not asked:
            return "The clock that is passed in is never asked: use clock(), or nobody can test the function."
        if found is not None and found.size == 1 and not differs(found, expected[RESULT], rtol=1e-6):
            if runs <= 2 < arguments[3]:
                return f"call is timed once, and repeats is {arguments[3]}: is the `return` inside the loop?"
            if runs < arguments[3] or runs > arguments[3] + 10:
                return f"call runs {runs} times, and repeats is {arguments[3]}: is a number typed in?"
            return (
                "The time is right here, by the median's grace, but the first, cold call is among those that count: make one call before, "
                "to warm up, then as many as asked for."
            )
        return None

    mistakes = []
    for (take, one), (timed, two), (unit, three), (warm, four) in itertools.product(
        _TAKES.items(), _INPUTS.items(), _UNITS.items(), _WARM.items()
    ):
        told = [text for text in (two, four, one, three) if text]
        if told:
            mistakes.append(
                (
                    len(told),
                    Mistake(
                        partial(_median_ms, warm=warm, timed_input=timed, take=take, unit=unit),
                        " ".join(told),
                    ),
                )
            )
    mistakes.sort(key=lambda pair: pair[0])  # the simplest explanation first
    judge = partial(
        judge_function,
        answer,
        "median_ms",
        reference=_median_ms,
        cases=[case(7, 1.0), case(3, 2.5), case(12, 0.4), case(25, 1.0)],
        mistakes=[mistake for _, mistake in mistakes],
        explain=explain,
    )
    _with_causes(
        judge,
        [
            ("call.. missing|missing 1 required positional argument: 'x'", "call takes the input: call(x)."),
            ("not a list of them", "call takes one input: call(x), for each x of the list."),
            ("call takes what make_input", "call takes what make_input() returns; is the function itself passed, without its brackets?"),
            ("and '(method|function|builtin_function_or_method)'|'(method|function)' and", "clock is a function: clock() gives the time."),
            ("no median for empty data|mean requires at least one|division by zero", "No call was timed: does the loop run repeats times?"),
            ("'float' object is not callable", "clock() returns a number; it is called once too often."),
            ("'int' object is not iterable", "repeats is a number: range(repeats)."),
            ("make_input.* takes 1 positional|takes 1 positional argument but 2 were given", "make_input and clock take nothing: make_input(), clock()."),
        ],
    )  # fmt: skip
    return "Warm, one call at a time, and the median: this number can be repeated."


median_ms = Exercise("ch12", "median_ms", _judge_median_ms)


# model_card -------------------------------------------------------------------------------------------------

_KEYS = (
    "name", "data", "train", "val", "test", "accuracy", "interval", "without_twins", "recall", "intended_use", "out_of_scope",
    "limits", "contact", "licence",
)  # fmt: skip
_TEXTS = {
    "intended_use": "what the network is for",
    "out_of_scope": "what it must not be used for",
    "limits": "what to know of its weaknesses",
    "contact": "whom to ask",
    "licence": "under which terms it may be used",
}
#: What one must not do with it; a card that rules out anything of the kind names one of these.
_MISUSE = (
    r"work|employ|job|hir(e|ing)|recruit|applica|school|educat|pupil|student|classroom|exam|health|medic|diagnos|patient|therap|lie\b|lies|"
    r"lying|decept|police|polic|crim|border|surveil|monitor|watch|insur|credit|judg|decision|decid|scor|assess|people|person|someone|"
    r"individual|anyone|anybody|child|feel|emotion|real|product|commerc|advert|security|identif|safety|court|law|public|customer|driver"
)


@cache
def _records() -> list[Any]:
    """Return the recorded networks and one made up, in which another class is found least often."""
    from fercourse.records import Record, load_records, pack_classes

    found = [
        record
        for record in load_records()
        if record.has("test") and record.has("val") and record.recipe == "quick"
    ][:2]
    first = found[0]
    data = copy.deepcopy(dict(first.data))
    labels = first.labels("test")
    draw = np.random.default_rng(5)
    hit = draw.random(len(labels)) < np.array([0.61, 0.72, 0.83, 0.9, 0.55, 0.35, 0.66])[labels]
    preds = np.where(hit, labels, (labels + 1 + draw.integers(0, 6, len(labels))) % 7)
    data["name"] = "a-made-up-network-seed3"
    data["test"] = {**data["test"], "preds": pack_classes(preds)}
    data["data"] = {
        **data["data"],
        "fingerprint": "4c1d" * 16,
        "sizes": {**data["data"]["sizes"], "train": 14_354},
    }

    class MadeUp(Record):
        """A record with the labels of another one."""

        def labels(self, split: str) -> np.ndarray:
            return first.labels(split)

        def twins(self, split: str) -> np.ndarray:
            return first.twins(split)

    return [*found, MadeUp(data)]


def _number(value: Any) -> float | None:
    """Return the number that a card gives, also one in text such as '57.0%' or '28,709'."""
    if isinstance(value, str):
        text = value.strip().replace(",", "").replace(" ", "")
        match = re.fullmatch(r"(-?[0-9.]+(?:e-?[0-9]+)?)(%?)(?:images)?", text)
        try:
            return float(match[1]) / (100 if match[2] else 1) if match else None
        except ValueError:
            return None
    if isinstance(value, (bool, np.bool_)):
        return None
    array = as_array(value)
    return (
        float(array.reshape(()))
        if array is not None and array.dtype.kind == "f" and array.size == 1
        else None
    )


def _near(value: float, right: float | None, within: float = 6e-4) -> bool:
    return right is not None and abs(value - right) <= within


@cache
def _facts(place: int) -> dict[str, Any]:
    """Return what the record at this place says, and what could be mistaken for it."""
    from sklearn.metrics import precision_recall_fscore_support

    from fercourse.evaluate import bootstrap_interval, metrics

    record = _records()[place]
    labels, preds = record.labels("test"), record.preds("test")
    test = metrics(labels, preds=preds, twins=record.twins("test"))
    val = metrics(record.labels("val"), preds=record.preds("val"), twins=record.twins("val"))
    precision, _, f1, support = precision_recall_fscore_support(
        labels, preds, labels=range(7), zero_division=0.0
    )
    accuracy = test["accuracy"]
    error = math.sqrt(accuracy * (1 - accuracy) / len(labels))
    twins = record.twins("test")
    return {
        "test": test,
        "val": val,
        "precision": precision,
        "f1": f1,
        "support": support,
        "hits": np.diag(np.array(test["confusion"])),
        "interval": bootstrap_interval(labels, preds),
        "val interval": bootstrap_interval(record.labels("val"), record.preds("val")),
        "balanced interval": bootstrap_interval(labels, preds, metric="balanced_accuracy"),
        "error": error,
        "shares": {
            "the accuracy on val, on which was chosen": val["accuracy"],
            "the accuracy on train": record.data["train_accuracy"],
            "the balanced accuracy": test["balanced_accuracy"],
            "macro-F1": test["macro_f1"],
            "the error, one minus the accuracy": 1 - accuracy,
            "the accuracy on all test images": accuracy,
            "the accuracy on the images without a twin": test["accuracy_without_twins"],
            "the accuracy on val's images without a twin": val["accuracy_without_twins"],
            "the accuracy on the images that have a twin": float((labels == preds)[twins].mean())
            if twins.any()
            else None,
            "the standard error": error,
        },
    }


def _share(card: Any, key: str, right: float, facts: dict[str, Any], typed: list[float]) -> str | None:
    """Return what is wrong with a share of the card, or None."""
    value = _number(card[key])
    if value is None:
        return f"{key} should be a number, a share between 0 and 1; it is {shown(card[key], 40)}."
    if _near(value, right):
        return None
    if _near(value / 100, right, 6e-4):
        return f"{key} is in per cent; a share between 0 and 1 is asked for."
    for words, other in facts["shares"].items():
        if not _near(right, other, 1e-9) and _near(value, other, 1e-5):
            return f"{key} is {words}. The record says {right:.4f}."
    if any(_near(value, other) for other in typed):
        return f"{key} is that of another record: is the number typed in? The record says {right:.4f}."
    if _near(value, right, 6e-3) or value in (round(right, 1), round(right, 2)):
        return f"{key} is {value:g}, the record says {right:.4f}: rounded too much, or typed wrong?"
    return f"{key} is {value:g}, and the record says {right:.4f}: take it from record.metrics('test')."


def _interval(card: Any, facts: dict[str, Any]) -> str | None:
    value = card["interval"]
    if isinstance(value, str):
        value = [part for part in re.split(r"\s*(?:to|–|-|,|;|and)\s*", value.strip(" ()[]")) if part]
    if isinstance(value, dict):
        value = list(value.values())
    try:
        ends = [_number(one) for one in value]
    except TypeError:
        ends = [_number(value)]
    except Exception:
        ends = [None]
    if len(ends) == 1:
        return "interval is one number; it has two, the lower and the upper end."
    if len(ends) != 2 or None in ends:
        return f"interval should be two numbers, the lower and the upper end; it is {shown(card['interval'], 40)}."
    low, high = (float(one) for one in ends if one is not None)
    right, error, accuracy = facts["interval"], facts["error"], facts["test"]["accuracy"]
    wide = 0.0015  # other ways to an interval of 95% differ by less

    def close(one: tuple[float, float]) -> bool:
        return abs(low - one[0]) <= wide and abs(high - one[1]) <= wide

    if close(right):
        return None
    if abs(low - right[1]) <= wide and abs(high - right[0]) <= wide:
        return "interval has its ends exchanged: first the lower, then the upper one."
    if abs(low / 100 - right[0]) <= wide and abs(high / 100 - right[1]) <= wide:
        return "interval is in per cent; shares between 0 and 1 are asked for."
    if close(facts["val interval"]):
        return "interval is that of val; the accuracy it goes with is that of test."
    if close((accuracy - error, accuracy + error)):
        return "interval reaches one standard error to each side, which is 68%; 95% take 1.96."
    if close(facts["balanced interval"]):
        return "interval is that of the balanced accuracy; the one of the accuracy is asked for."
    for factor, level in ((1.645, 90), (2.576, 99)):
        if close((accuracy - factor * error, accuracy + factor * error)):
            return f"interval is that of {level}%; 95% is asked for."
    if high < 0.2:
        return "interval holds a margin or a standard error; give its two ends, as bootstrap_interval does."
    if not low <= accuracy <= high:
        return f"interval, {low:.3f} to {high:.3f}, does not even hold the accuracy, {accuracy:.3f}: is it typed, or another record's?"
    return f"interval is {low:.4f} to {high:.4f}; from the record follows {right[0]:.4f} to {right[1]:.4f} (bootstrap_interval)."


def _recall(card: Any, facts: dict[str, Any], first: np.ndarray | None) -> str | None:
    value, right = card["recall"], np.array(facts["test"]["per_class_recall"])
    if isinstance(value, (list, tuple, np.ndarray)):
        return "recall is a list; give each class its name: dict(zip(EMOTIONS, ...))."
    if not isinstance(value, dict):
        return f"recall should be a dictionary, each class by name and its recall; it is {shown(value, 40)}."
    if set(value) == set(range(7)):
        return "recall has numbers for names; readers of a card know the classes by name: dict(zip(EMOTIONS, ...))."
    named = {str(key).strip().lower(): one for key, one in value.items()}
    missing = [name for name in EMOTIONS if name not in named]
    if missing:
        return f"recall lacks {', '.join(missing)}: it has all seven classes."
    found = [_number(named[name]) for name in EMOTIONS]
    if None in found:
        return f"recall of {EMOTIONS[found.index(None)]} is no number."
    values = np.array(found, dtype=float)

    def close(other: Any, within: float = 6e-4) -> bool:
        return np.shape(other) == (7,) and bool(
            np.allclose(values, np.asarray(other, float), rtol=0, atol=within)
        )

    if close(right):
        return None
    if close(100 * right, 6e-2):
        return "recall is in per cent; shares between 0 and 1 are asked for."
    order = [sorted(EMOTIONS).index(name) for name in EMOTIONS]
    if close(right[order]):
        return (
            "recall gives the classes the wrong names: their order is that of EMOTIONS, not the alphabet's."
        )
    if bool(np.allclose(np.nan_to_num(values), facts["precision"], atol=6e-4)):
        return "recall is the precision (divided by the columns); divide the diagonal by the sums of the rows, the labels."
    if close(facts["f1"]):
        return "recall is F1; give the recall."
    if close(facts["val"]["per_class_recall"]):
        return "recall is that of val; give that of test."
    if close(facts["hits"]) or close(facts["hits"] / len(_records()[0].labels("test"))):
        return "recall holds counts, or shares of all images: divide the hits of each class by the images of that class."
    if close(facts["support"]) or close(facts["support"] / facts["support"].sum()):
        return "recall tells how frequent the classes are; it is the share of each class that is found."
    if close(1 - right):
        return "recall is the share that is missed; give the share that is found."
    if close(np.full(7, facts["test"]["accuracy"])) or close(np.full(7, facts["test"]["balanced_accuracy"])):
        return "recall is the same for all classes: give each its own."
    if first is not None and close(first):
        return "recall is that of another record: are the numbers typed in?"
    off = int(np.abs(values - right).argmax())
    if int((np.abs(values - right) > 6e-4).sum()) <= 3:
        return f"recall of {EMOTIONS[off]} is {values[off]:g}, and the record says {right[off]:.4f}: typed wrong, or rounded too much?"
    if sorted(np.round(values, 3)) == sorted(np.round(right, 3)):
        return "recall gives the classes the wrong names: their order is that of EMOTIONS."
    if close(right, 6e-3):
        return "recall is rounded too much: keep three decimals."
    return f"recall of {EMOTIONS[off]} is {values[off]:g}, and the record says {right[off]:.4f}."


def _words(card: Any, facts: dict[str, Any]) -> str | None:
    """Return what is wrong with the texts of a card, or None."""
    for key, what in _TEXTS.items():
        value = card[key]
        if isinstance(value, (list, tuple)) and value and all(isinstance(one, str) for one in value):
            value = "; ".join(value)
        if not isinstance(value, str):
            return f"{key} should be text, {what}; it is {shown(value, 40)}."
        text = value.strip()
        if not text or re.fullmatch(
            r"(?i)[.\s?x-]*|todo.*|tbd.*|n/?a|none|nothing|unknown|to be (done|written).*|lorem.*|your text.*",
            text,
        ):
            return f"{key} says nothing yet: write {what}."
        if len(text) < (3 if key == "licence" else 5 if key == "contact" else 15):
            return f"{key} is too short to be of use: write {what}."
    use, out, limits, contact = (
        "; ".join(card[key]) if not isinstance(card[key], str) else card[key]
        for key in ("intended_use", "out_of_scope", "limits", "contact")
    )
    if use.strip() == out.strip():
        return "intended_use and out_of_scope say the same."
    if not re.search(_MISUSE, out, re.IGNORECASE):
        return "out_of_scope names nothing that one must not do: watching, judging or sorting people, at work, in schools, in health ..."
    bold = re.search(
        r"(?i)monitor|surveil|employee|applicant|recruit|hiring|diagnos|lie detect|police|border|how (people|someone|a person|students?) (really )?feels?",
        use,
    )
    if bold and not re.search(r"(?i)\b(not|no|never|without|nor)\b", use):
        return f"intended_use offers what must not be done with it ({bold[0]}): see the page on ethics, What not to build."
    recall = dict(zip(EMOTIONS, facts["test"]["per_class_recall"], strict=True))
    weakest = min(recall, key=lambda name: recall[name])
    if not re.search(rf"\b{weakest}", limits, re.IGNORECASE):
        said = [name for name in EMOTIONS if re.search(rf"\b{name}", limits, re.IGNORECASE)]
        if said == [max(recall, key=lambda name: recall[name])]:
            return f"limits names the class that is found most often, {said[0]}; the one with the least recall is {weakest}."
        if said:
            return f"limits names {', '.join(said)}; the class with the least recall in this record is {weakest}: is the name typed in?"
        return f"limits does not name the class with the least recall, here {weakest}."
    others = [name for name in EMOTIONS if re.search(rf"\b{name}", limits, re.IGNORECASE)]
    if len(others) == 7:
        return "limits names all seven classes: say which of them has the least recall."
    if not re.search(
        r"\S+@\S+\.\w+|https?://\S+|www\.\S+|\w+\.(com|org|net|edu|io|eu|de|ac|uk|fr|example)\b", contact
    ):
        return "contact has no address: an e-mail or a web address, so that somebody answers."
    return None


def _judge_card(answer: Any, place: int) -> None:
    record, facts = _records()[place], _facts(place)
    where = f"For the record {record.name}"
    card = run(answer, copy.copy(record), what=f"model_card, called with the record {record.name},")
    if card is None:
        raise Wrong(f"It returns nothing (None): is a `return` missing?\n{where}.")
    if isinstance(card, str):
        raise Wrong(f"It returns text; a dictionary with the keys of the table is asked for.\n{where}.")
    if not isinstance(card, dict):
        raise Wrong(
            f"It returns {type(card).__name__}; a dictionary with the keys of the table is asked for.\n{where}."
        )
    card = {"licence" if key == "license" else key: value for key, value in card.items()}
    missing = [key for key in _KEYS if key not in card]
    if missing:
        nested = [
            key
            for key, value in card.items()
            if isinstance(value, dict) and set(missing) & set(map(str, value))
        ]
        advice = (
            f"They are within {nested[0]!r}: all keys belong to the card itself."
            if nested
            else "Compare with the table of keys."
        )
        raise Wrong(f"The card lacks {', '.join(missing)}. {advice}\n{where}.")
    sizes, source = record.data["data"]["sizes"], record.data["data"]
    others = [_facts(other) for other in range(len(_records())) if other != place]
    told: str | None = None
    if card["name"] != record.name:
        told = (
            "name is the network's, not the record's: record.name tells recipe, seed and device too."
            if card["name"] == record.model
            else f"name is {shown(card['name'], 50)}; the record's is {record.name}: is it typed in?"
        )
    elif not (isinstance(card["data"], str) and source["fingerprint"][:8] in card["data"]):
        by_name = isinstance(card["data"], str) and re.search(r"(?i)fer|layout|csv", card["data"])
        told = (
            "data names the file; many copies have that name, and only the fingerprint tells them apart."
            if by_name
            else f"data is {shown(card['data'], 40)}; it should be the fingerprint of the data, record.data['data']['fingerprint']."
        )
    for key in ("train", "val", "test"):
        value = None if told else _number(card[key])
        if told or value == sizes[key]:
            continue
        swapped = [name for name, size in sizes.items() if value == size]
        if value is None:
            told = f"{key} should be how many images it has, a number; it is {shown(card[key], 40)}."
        elif swapped:
            told = f"{key} is the size of {swapped[0]}."
        elif value == sum(sizes.values()):
            told = f"{key} counts the images of all splits."
        else:
            told = f"{key} is {value:,.0f}, and the record says {sizes[key]:,}: is the number typed in?"
    test = facts["test"]
    told = told or _share(
        card, "accuracy", test["accuracy"], facts, [one["test"]["accuracy"] for one in others]
    )
    told = told or _interval(card, facts)
    told = told or _share(
        card,
        "without_twins",
        test["accuracy_without_twins"],
        facts,
        [one["test"]["accuracy_without_twins"] for one in others],
    )
    told = told or _recall(card, facts, np.array(others[0]["test"]["per_class_recall"]))
    told = told or _words(card, facts)
    if told:
        raise Wrong(f"{told}\n{where}.")


def _judge_model_card(answer: Any) -> str:
    if isinstance(answer, dict):
        raise Wrong("model_card is a dictionary; it should be a function that makes one from any record.")
    want_function(answer, "model_card")

    def judge() -> None:
        for place in range(len(_records())):
            _judge_card(answer, place)

    _with_causes(
        judge,
        [
            ("KeyError: 'recall'", "The recalls are called per_class_recall in record.metrics('test')."),
            ("KeyError: '(test_accuracy|accuracy_test|fingerprint|sizes|layout)'", "record.data['data'] has sizes and fingerprint; the accuracy is in record.metrics('test')."),
            ("KeyError", "There is no such key: print record.metrics('test').keys() and record.data.keys()."),
            ("'Record' object is not subscriptable|'MadeUp' object is not subscriptable", "A record is no dictionary: record.data is one, and record.metrics('test') gives another."),
            ("'MadeUp' object has no attribute|'Record' object has no attribute", "A record has name, data, metrics(split), labels(split) and preds(split)."),
            ("'method' object|not subscriptable", "record.metrics is a function: record.metrics('test')['accuracy']."),
            ("bootstrap_interval|labels|preds", "bootstrap_interval takes labels and predictions: record.labels('test'), record.preds('test')."),
        ],
    )  # fmt: skip
    return "A page that says what it is worth, and of which record every number is."


model_card = Exercise("ch12", "model_card", _judge_model_card)
