"""A training is one frozen configuration: every value checked, in a mapping or out of one."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fercourse.augmentation import Augmentation
from fercourse.errors import FercourseError, nearest, shown

OPTIMIZERS = ("adam", "adamw", "sgd")
#: Pixels a side of FER-2013's images.
WHOLE = 48
#: What a float can hold; whole numbers can be greater.
_GREATEST = sys.float_info.max
SCHEDULES = ("plateau", "one_cycle", "cosine", "constant")
TRACKS = ("paper", "strong", "extra")
PRETRAINED = ("none", "imagenet")
FIT_ON = ("train", "train+val")
SOFT_LABELS = ("none", "ferplus")
#: Values of a configuration that older records and runs do not have, switched off.
LATER: Mapping[str, Any] = {
    "mixup": 0.0,
    "ema": 0.0,
    "fit_on": "train",
    "soft_labels": "none",
    "teacher": "none",
    "teacher_share": 0.9,
    "teacher_temperature": 4.0,
    "sizes": (),
}
#: Names of runs: no path leads out of their folder.
_RUNS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]*(\+[A-Za-z0-9_][A-Za-z0-9_.=-]*)*")


def _fail(name: str, value: object, expected: str) -> None:
    raise FercourseError(f"{name} is {shown(value)}; expected {expected}.")


def _number(
    name: str, value: Any, low: float, high: float, *, whole: bool = False, above: bool = False
) -> None:
    """Check one number: finite, whole where asked for, within [low, high] or (low, high]."""
    kind = "a whole number" if whole else "a number"
    span = f"{kind} {'above' if above else 'from'} {low:g}" + ("" if math.isinf(high) else f" to {high:g}")
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    # Compared, not converted: a whole number may be too large for a float. NaN is in no range.
    right = right and low <= value <= high and value < _GREATEST
    if not right or (above and value == low):
        _fail(name, value, span)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training, and nothing else.

    Attributes:
        model: a name in `fercourse.models.MODELS`; ``model_options`` go to its builder.
        recipe: the recipe this started from; a changed value does not change the name.
        epochs: passes over the training set; 0 trains nothing.
        batch_size: images a step; the last batch of an epoch keeps what is left over.
        optimizer: adam, adamw or sgd (with ``momentum``, Nesterov).
        lr: learning rate; with one_cycle, the peak.
        schedule: 'plateau' multiplies lr by ``factor`` when val accuracy has not improved for ``patience``
            epochs; 'one_cycle' and 'cosine' run over all steps; 'constant'.
        label_smoothing: mass moved from the label to all classes.
        class_weights: weigh each class's loss by its inverse training frequency.
        bias_init: start the last layer's bias at the log class prior of the training set.
        pretrained: 'none', or 'imagenet' to start from torchvision's weights (see `fercourse.transfer`).
        train_fraction: share of the training images used, drawn class by class by ``seed``.
        max_steps: stop every epoch after so many steps; None for all. For smoke runs.
        mixup: alpha of mixup (see `fercourse.regularise.mixup`); 0 mixes nothing.
        ema: decay of the moving average of weights (see `fercourse.regularise.Ema`), which is then what is
            evaluated and kept; 0 keeps none.
        fit_on: 'train', or 'train+val': val is then trained on too and can choose nothing any more; the last
            epoch is kept, and no accuracy on val is measured.
        soft_labels: 'none', or 'ferplus': the shares of FER+ votes in place of the label (see
            `fercourse.data.votes.vote_shares`); of the track 'extra'.
        teacher: 'none'; or a name in `fercourse.teachers.TEACHERS`, or names of runs, joined by '+': trained
            networks whose shares of the same picture are learnt too.
        teacher_share: the part of the loss that is the teachers'.
        teacher_temperature: what teachers' and student's logits are divided by in that part.
        sizes: smaller images first: pairs (share, pixels), both rising. Up to that share of the epochs,
            images are shrunk to that many pixels a side after augmentation; afterwards they are whole.
        precision: auto, fp32, bf16 or fp16 (see `fercourse.device.pick_precision`).

    Raises:
        FercourseError: a value is outside its range, or the model does not exist (the nearest is named).
    """

    model: str
    model_options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = "paper1"
    track: str = "paper"
    epochs: int = 50
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float = 3e-4
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "plateau"
    factor: float = 0.1
    patience: int = 4
    label_smoothing: float = 0.0
    class_weights: bool = False
    bias_init: bool = False
    augment: Augmentation = field(default_factory=Augmentation)
    pretrained: str = "none"
    train_fraction: float = 1.0
    max_steps: int | None = None
    precision: str = "auto"
    seed: int = 0
    mixup: float = 0.0
    ema: float = 0.0
    fit_on: str = "train"
    soft_labels: str = "none"
    teacher: str = "none"
    teacher_share: float = 0.9
    teacher_temperature: float = 4.0
    sizes: tuple[tuple[float, int], ...] = ()

    def __post_init__(self) -> None:
        from fercourse.models import MODELS  # torch is needed from here on, not for reading recipes

        for name in ("model", "recipe"):
            if not isinstance(getattr(self, name), str):
                _fail(name, getattr(self, name), "a name")
        if self.model not in MODELS:
            raise FercourseError(
                f"Model {shown(self.model)} does not exist{nearest(self.model, MODELS)}. "
                f"The models are {', '.join(MODELS)}."
            )
        if not isinstance(self.model_options, Mapping):
            _fail("model_options", self.model_options, "a mapping of option names to values")
        _check_options(self.model, self.model_options)
        if not isinstance(self.augment, Augmentation):
            _fail("augment", self.augment, "an Augmentation")
        choices = {
            "optimizer": OPTIMIZERS,
            "schedule": SCHEDULES,
            "track": TRACKS,
            "pretrained": PRETRAINED,
            "fit_on": FIT_ON,
            "soft_labels": SOFT_LABELS,
        }
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise FercourseError(
                    f"{name} is {shown(value)}; expected {', '.join(known)}{nearest(shown(value), known)}."
                )
        if self.precision not in ("auto", "fp32", "bf16", "fp16"):
            _fail("precision", self.precision, "auto, fp32, bf16 or fp16")
        if self.pretrained != "none" and self.track != "extra":
            _fail("track", self.track, "'extra', for a training that starts from weights of other images")
        if self.soft_labels != "none" and self.track != "extra":
            _fail("track", self.track, "'extra', for a training on other people's labels than FER-2013's")
        if self.fit_on != "train" and self.schedule == "plateau":
            _fail("schedule", self.schedule, "one that does not look at val, which is trained on")
        for name in ("class_weights", "bias_init"):
            if not isinstance(getattr(self, name), bool):
                _fail(name, getattr(self, name), "true or false")
        infinity = math.inf
        _number("epochs", self.epochs, 0, 100_000, whole=True)
        _number("batch_size", self.batch_size, 1, 1_000_000, whole=True)
        _number("patience", self.patience, 1, 100_000, whole=True)
        _number("seed", self.seed, 0, 2**31 - 1, whole=True)
        _number("lr", self.lr, 0, infinity, above=True)
        _number("momentum", self.momentum, 0, 0.9999)
        _number("weight_decay", self.weight_decay, 0, infinity)
        _number("factor", self.factor, 0, 1, above=True)
        _number("label_smoothing", self.label_smoothing, 0, 0.99)
        _number("train_fraction", self.train_fraction, 0, 1, above=True)
        _number("mixup", self.mixup, 0, 100)
        _number("ema", self.ema, 0, 0.999999)
        _number("teacher_share", self.teacher_share, 0, 1, above=True)
        _number("teacher_temperature", self.teacher_temperature, 0, 1000, above=True)
        if not isinstance(self.teacher, str) or not _RUNS.fullmatch(self.teacher):
            _fail("teacher", self.teacher, "'none', or names of runs, joined by '+'")
        if self.max_steps is not None:
            _number("max_steps", self.max_steps, 1, infinity, whole=True)
        object.__setattr__(self, "sizes", _checked_sizes(self.sizes))

    def side(self, epoch: int) -> int:
        """Return the pixels a side of the images of an epoch (counted from 0), as ``sizes`` says."""
        for share, pixels in self.sizes:
            if epoch < math.floor(share * self.epochs + 1e-9):  # 0.29 * 100 is 28.999...
                return pixels
        return WHOLE

    def work(self, done: int = 0) -> float:
        """Return how many epochs of whole images those after the first ``done`` are worth in pixels."""
        return sum(self.side(epoch) ** 2 for epoch in range(done, self.epochs)) / WHOLE**2

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain JSON values (tuples become lists).

        What came after the first records is left out where it is switched off, so that a training is written,
        named and resumed as it always was.
        """
        values = _plain(asdict(self))
        return {
            key: value for key, value in values.items() if key not in LATER or _plain(LATER[key]) != value
        }


def _check_options(model: str, options: Mapping[str, Any]) -> None:
    """Raise FercourseError for an option that the model has not, or whose value is of another kind.

    What a builder is given then is what it knows how to judge: numbers, text and lists of whole numbers.
    """
    from fercourse.models import model_options

    defaults = model_options(model)
    for key, value in options.items():
        if key not in defaults:
            raise FercourseError(
                f"{model} has no option {shown(key)}{nearest(shown(key), defaults)}; its options are "
                f"{', '.join(defaults)}."
            )
        name, default = f"{model}'s option {key}", defaults[key]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                _fail(name, value, "true or false")
        elif isinstance(default, str):
            if not isinstance(value, str):
                _fail(name, value, "a name")
        elif isinstance(default, (list, tuple)):
            if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 100:
                _fail(name, value, "a list of whole numbers")
            for item in value:
                _number(name, item, 1, 100_000, whole=True)
        elif value is not None or isinstance(default, (int, float)):
            whole = default is None or isinstance(default, int)
            _number(name, value, 0, 100_000, whole=whole)


def _checked_sizes(sizes: Any) -> tuple[tuple[float, int], ...]:
    """Return the pairs of ``sizes`` as tuples; raise FercourseError where they are none, or do not rise."""
    expected = (
        f"pairs of a share of the epochs, above 0 and below 1, and pixels a side, 16 to {WHOLE - 1}, both "
        "rising from pair to pair, such as [[0.5, 32]]"
    )
    if not isinstance(sizes, (list, tuple)):
        _fail("sizes", sizes, expected)
    pairs: list[tuple[float, int]] = []
    for pair in sizes:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            _fail("sizes", sizes, expected)
        share, pixels = pair
        numbers = isinstance(share, float) and isinstance(pixels, int) and not isinstance(pixels, bool)
        above = pairs[-1] if pairs else (0.0, 15)
        if not numbers or not above[0] < share < 1 or not above[1] < pixels < WHOLE:
            _fail("sizes", sizes, expected)
        pairs.append((share, pixels))
    return tuple(pairs)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def config_from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """Return the configuration that `TrainConfig.to_dict` wrote.

    Raises:
        FercourseError: a key is unknown or missing, or a value is wrong.
    """
    if not isinstance(values, Mapping) or not isinstance(values.get("model"), str):
        raise FercourseError("The configuration has no model; expected what TrainConfig.to_dict() returns.")
    known_keys(values, TrainConfig, "configuration")
    augment = values.get("augment", {})
    if not isinstance(augment, Mapping):
        _fail("augment", augment, "a mapping")
    return TrainConfig(**{**values, "augment": Augmentation(**checked_augment(augment))})


def checked_augment(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return augmentation values with lists as tuples; unknown keys fail."""
    known_keys(values, Augmentation, "augmentation")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def known_keys(values: Mapping[str, Any], cls: type, what: str) -> None:
    """Raise FercourseError for a key that is no field of a dataclass; the nearest is named."""
    names = [item.name for item in dataclasses.fields(cls)]
    for key in values:
        if key not in names:
            raise FercourseError(
                f"The {what} has no value {shown(key)}{nearest(shown(key), names)}. "
                f"It has {', '.join(names)}."
            )
