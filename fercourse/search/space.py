"""What a search may change in a recipe, how far, and why so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError, nearest

if TYPE_CHECKING:
    from fercourse.recipes import TrainConfig

#: Significant digits of a tried value, the same in folder, table and record.
DIGITS = 3


@dataclass(frozen=True)
class Range:
    """The values that one hyperparameter may take: from ``low`` to ``high``, or one of ``choices``.

    Attributes:
        log: drawn evenly on a logarithmic scale, for what acts by its order of magnitude.
        choices: whole numbers to choose from; empty for a range.
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the range as plain JSON values."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, "log": self.log}

    def __contains__(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        return bool(self.low <= value <= self.high)

    def nearest(self, value: float) -> float:
        """Return what the range holds nearest to a value."""
        if self.choices:
            return min(self.choices, key=lambda choice: abs(choice - value))
        return min(max(value, self.low), self.high)

    def told(self) -> str:
        """Return the range in words, such as '0.0002 to 0.02, logarithmic'."""
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}" + (", logarithmic" if self.log else "")


def range_from_dict(values: Mapping[str, Any]) -> Range:
    """Return the range that `Range.to_dict` wrote."""
    if "choices" in values:
        return Range(choices=tuple(values["choices"]))
    return Range(values["low"], values["high"], values["log"])


@dataclass(frozen=True)
class Knob:
    """One hyperparameter that can be searched.

    Attributes:
        keys: the values of a configuration that it sets, as `fercourse train --set` names them.
        span: its range for a configuration; None where the configuration has no use for it.
        value: its value in a configuration.
        why: why the range is that wide.
    """

    keys: tuple[str, ...]
    span: Callable[[TrainConfig], Range | None]
    value: Callable[[TrainConfig], float]
    why: str


def _has_dropout(config: TrainConfig) -> bool:
    from fercourse.models import model_options

    return "dropout" in model_options(config.model)


def _dropout(config: TrainConfig) -> float:
    from fercourse.models import model_options

    return float(config.model_options.get("dropout", model_options(config.model)["dropout"]))


#: What can be searched, in the order of tables. What `fercourse search --set` fixes is left out.
KNOBS: dict[str, Knob] = {
    "lr": Knob(
        ("lr",),
        lambda c: Range(_short(c.lr / 10), _short(c.lr * 10), log=True),
        lambda c: c.lr,
        "a tenth of the recipe's to ten times as much: its order of magnitude is what counts",
    ),
    "batch_size": Knob(
        ("batch_size",),
        lambda _: Range(choices=(32, 64, 128, 256)),
        lambda c: c.batch_size,
        "doubled from 32, the smaller paper's, to 256; above that an epoch has too few steps to learn in",
    ),
    "weight_decay": Knob(
        ("weight_decay",),
        # AdamW multiplies it by the learning rate and nothing else; the others add it to the gradient.
        lambda c: Range(1e-3, 0.5, log=True) if c.optimizer == "adamw" else Range(1e-6, 1e-2, log=True),
        lambda c: c.weight_decay,
        "AdamW takes it apart from the gradient, and needs more of it than Adam and SGD do",
    ),
    "label_smoothing": Knob(
        ("label_smoothing",),
        lambda _: Range(0.0, 0.2),
        lambda c: c.label_smoothing,
        "none, to twice the usual tenth",
    ),
    "dropout": Knob(
        ("model_options.dropout",),
        lambda c: Range(0.0, 0.6) if _has_dropout(c) else None,
        _dropout,
        "none, to a little more than the usual half",
    ),
    "rotation_degrees": Knob(
        ("augment.rotation_degrees",),
        lambda c: Range(0.0, 20.0) if c.augment.rotation else None,
        lambda c: c.augment.rotation_degrees,
        "none, to twice the common 10 degrees; where the recipe rotates at all",
    ),
    "translation": Knob(
        ("augment.translation_fraction",),
        lambda c: Range(0.0, 0.2) if c.augment.translation else None,
        lambda c: c.augment.translation_fraction[0],
        "none, to paper 2's 20% of width and height; where the recipe shifts at all",
    ),
    "zoom": Knob(
        ("augment.zoom_range",),
        lambda c: Range(0.0, 0.3) if c.augment.zoom else None,
        lambda c: c.augment.zoom_range[1] - 1,
        "smaller and larger by none, to more than paper 2's 20%; where the recipe zooms at all",
    ),
    "crop": Knob(
        ("augment.crop_scale",),
        # A window of one size is no crop of varying size: trial 1 could not be the recipe itself.
        lambda c: Range(0.3, 1.0) if c.augment.crop and c.augment.crop_scale[1] == 1 else None,
        lambda c: c.augment.crop_scale[0],
        "the least area that a crop keeps; below a third an eye or the mouth is gone; where the recipe "
        "crops, and up to the whole",
    ),
    "erasing": Knob(
        ("augment.erasing",),
        lambda _: Range(0.0, 0.5),
        lambda c: c.augment.erasing,
        "the probability of an erased box: never, to the half of its paper",
    ),
}


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def space_of(
    base: TrainConfig, *, only: Sequence[str] | None = None, fixed: Collection[str] = ()
) -> dict[str, Range]:
    """Return what is searched around a configuration: names of `KNOBS` to ranges.

    Args:
        base: the configuration that every trial starts from.
        only: names to search; None for all that the configuration has a use for.
        fixed: keys of the configuration, such as 'augment.erasing', that the user has set: not searched.

    Raises:
        FercourseError: an unknown name (the nearest is given), one without a use here, one that is fixed, or
            none at all.
    """
    for name in only or ():
        if name not in KNOBS:
            raise FercourseError(
                f"There is no hyperparameter {name!r} to search{nearest(name, KNOBS)}. "
                f"There are {', '.join(KNOBS)}."
            )
    found: dict[str, Range] = {}
    for name, knob in KNOBS.items():
        span = knob.span(base)
        held = next((key for key in knob.keys if key in fixed), None)
        if only is not None and name in only and (span is None or held):
            reason = (
                f"--set {held} holds it" if held else f"{base.model} by recipe {base.recipe} does not use it"
            )
            raise FercourseError(f"{name} cannot be searched: {reason}. Leave it out of --over.")
        if span is not None and not held and (only is None or name in only):
            found[name] = span
    if not found:
        raise FercourseError(f"Nothing is left to search: name one or more of {', '.join(KNOBS)}.")
    return found


def values_of(base: TrainConfig, space: Mapping[str, Range]) -> dict[str, float]:
    """Return a configuration's own values of what is searched, each the nearest that its range holds."""
    return {name: span.nearest(KNOBS[name].value(base)) for name, span in space.items()}


def config_of(base: TrainConfig, values: Mapping[str, float]) -> TrainConfig:
    """Return the configuration with these values of what is searched, rounded to `DIGITS` digits.

    Raises:
        FercourseError: a value is outside what `TrainConfig` takes.
    """
    plain: dict[str, Any] = {}
    augment: dict[str, Any] = {}
    for name, value in rounded(values).items():
        match name:
            case "dropout":
                plain["model_options"] = {**base.model_options, "dropout": value}
            case "rotation_degrees" | "erasing":
                augment[name] = value
            case "translation":
                augment["translation_fraction"] = (value, value)
            case "zoom":
                augment["zoom_range"] = (_short(1 - value), _short(1 + value))
            case "crop":
                augment["crop_scale"] = (value, 1.0)
            case _:
                plain[name] = value
    return dataclasses.replace(base, **plain, augment=dataclasses.replace(base.augment, **augment))


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return values of what is searched with `DIGITS` significant digits; batch sizes stay whole."""
    return {name: value if isinstance(value, int) else _short(value) for name, value in values.items()}
