"""fercourse: facial expression recognition on FER-2013, done again and measured.

Names are loaded when first used, so that importing the package is quick, prints nothing, and needs neither
PyTorch nor matplotlib where only records are read.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

_HOMES = {
    "fercourse.check": ("check_model",),
    "fercourse.data": ("EMOTIONS", "SPLITS", "Faces", "FaceSet", "audit", "load_faces"),
    "fercourse.errors": ("FercourseError",),
    "fercourse.evaluate": ("compare", "metrics"),
    "fercourse.models": ("MODELS", "create_model", "model_table"),
    "fercourse.augmentation": ("Augmentation",),
    "fercourse.recipes": ("RECIPES", "TrainConfig", "make_config"),
    "fercourse.records": ("Record", "load_records"),
    "fercourse.runs": ("train_run",),
    "fercourse.train": ("fit", "train_one_epoch"),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = (
    "augment",
    "check",
    "data",
    "evaluate",
    "layers",
    "models",
    "plots",
    "predict",
    "recipes",
    "records",
    "runs",
    "train",
)

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("fercourse")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"fercourse.{name}")
    raise AttributeError(f"module 'fercourse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
