"""What makes an experiment of a configuration: its changes, its name, and whether it may open test."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fercourse.errors import FercourseError, one_line, shown

#: Keys of a configuration that do not make another experiment.
_SAME_EXPERIMENT = ("model", "recipe", "seed", "precision", "track")


def results_folder() -> Path:
    """Return the folder of records: ``FERCOURSE_RESULTS``, the checkout's ``results``, or the installed."""
    if os.environ.get("FERCOURSE_RESULTS"):
        return Path(os.environ["FERCOURSE_RESULTS"])
    checkout = Path(__file__).parent.parent / "results"
    return checkout if checkout.is_dir() else Path(sysconfig.get_path("data")) / "share/fercourse/results"


def experiment(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration (as `TrainConfig.to_dict` writes it) changes in its recipe, flat.

    Keys are 'lr' or 'augment.rotation'; seed and precision, which make no other experiment, are left out.

    Raises:
        FercourseError: the recipe does not exist.
    """
    from fercourse.recipes import LATER, make_config  # needs torch; reading records does not come here

    def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for key, value in values.items():
            nested = isinstance(value, Mapping)
            pairs.update(flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
        return pairs

    # Older configurations lack what came later; so do newer ones, where it is switched off.
    off = {key: list(value) if isinstance(value, tuple) else value for key, value in LATER.items()}
    own = {**flat(config), **{key: value for key, value in off.items() if key not in config}}
    usual = {**off, **flat(make_config(config["model"], config["recipe"]).to_dict())}
    return {
        key: value for key, value in own.items() if usual.get(key) != value and key not in _SAME_EXPERIMENT
    }


def is_shortened(config: Mapping[str, Any]) -> bool:
    """Whether a configuration trains less than its recipe says: fewer epochs, or a limit of steps."""
    from fercourse.recipes import RECIPES, TrainConfig

    usual = RECIPES[config["recipe"]].get("epochs", TrainConfig.epochs)
    return config["epochs"] < usual or config["max_steps"] is not None


def holds_out_val(config: Mapping[str, Any]) -> bool:
    """Whether a training, by its configuration, never saw val, so that its accuracy there means something."""
    return config.get("fit_on", "train") == "train"


def record_name(config: Mapping[str, Any], layout: str, device_kind: str, tta: str = "none") -> str:
    """Return the name under which a run is recorded, such as 'small_vgg-quick-seed0-cpu'.

    It says model, recipe, every change of the recipe, test-time augmentation, the data where they are not
    FER-2013, the seed, and whether the run was shortened or made on a CPU.
    """
    parts = [config["model"], config["recipe"]]
    for key, value in experiment(config).items():
        shown = _joined(value)
        parts.append(f"{key.removeprefix('augment.').removeprefix('model_options.')}={shown}")
    if tta != "none":
        parts.append(f"tta={tta}")
    if layout.startswith("synthetic"):
        parts.append(layout)
    parts.append(f"seed{config['seed']}")
    if is_shortened(config):
        parts.append("shortened")
    if device_kind != "cuda":
        parts.append(device_kind)
    return "-".join(parts).replace("/", "_").replace("+", "_")


def _joined(value: Any) -> str:
    return "_".join(map(_joined, value)) if isinstance(value, list) else str(value)


def final_entries(folder: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Return the configurations listed in ``final.yml`` of the results folder; none without the file.

    Each has model, recipe, why, and optionally ``changes`` of the recipe as `experiment` returns them, and
    ``tta``, a list of the test-time augmentations by which it is evaluated (without: ['none']).

    Raises:
        FercourseError: the file is not such a list.
    """
    import yaml

    path = Path(folder or results_folder()) / "final.yml"
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > 1000:  # YAML takes seconds for so many, one in the other
            raise ValueError("it has more than 1,000 brackets")
        entries = yaml.safe_load(text) or []
    except Exception as error:  # YAML's own errors, and whatever its dates, tags and anchors lead to
        raise FercourseError(f"{path} cannot be read ({one_line(error)}).") from error
    listed = isinstance(entries, list)
    for entry in entries if listed else [entries]:
        if not listed or not isinstance(entry, dict) or not {"model", "recipe", "why"} <= entry.keys():
            raise FercourseError(f"{path} holds {shown(entry)}; expected a list of model, recipe and why.")
        if not isinstance(entry.get("changes") or {}, dict):
            raise FercourseError(f"{path}: changes are {shown(entry['changes'])}; expected values by name.")
        if not isinstance(entry.get("tta", []), list):
            raise FercourseError(f"{path}: tta is {shown(entry['tta'])}; expected a list of names.")
    return entries


def _told(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes without what makes no other experiment, such as the track."""
    return {key: value for key, value in changes.items() if key not in _SAME_EXPERIMENT}


def is_final(config: Mapping[str, Any], entries: Iterable[Mapping[str, Any]], tta: str = "none") -> bool:
    """Whether a configuration, evaluated so, is listed as one whose test predictions are reported."""
    return any(
        entry["model"] == config["model"]
        and entry["recipe"] == config["recipe"]
        and _told(entry.get("changes") or {}) == experiment(config)
        and tta in entry.get("tta", ["none"])
        for entry in entries
    )
