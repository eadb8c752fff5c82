"""What the commands share: the application, options that several of them have, and how they print."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any

import typer

from fercourse.errors import FercourseError, shown

app = typer.Typer(
    help="Facial expression recognition on FER-2013: look at the data, train, measure, compare.\n\n"
    "A first round, in a minute on a laptop: fercourse train basic_cnn --data synthetic --recipe smoke "
    "--out runs/first",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="fer2013.csv, icml_face_data.csv, a folder or .zip of the Kaggle copy, or 'synthetic'. "
        "Default: FERCOURSE_DATA, the cache, Kaggle's copy by kagglehub, else drawn faces.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or mps. Default: the best there is.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bars.")]


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a value of the recipe: --set epochs=3 --set augment.flip=0."),
]


#: Characters of a value; the YAML reader takes seconds for thousands of brackets.
LONGEST = 1000


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def changes_of(settings: list[str]) -> dict[str, Any]:
    """Turn ``["lr=0.001", "augment.flip=0"]`` into changes for `make_config`; values are read as YAML."""
    import yaml

    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise FercourseError(
                f"--set {shown(setting)} is not a setting: expected key=value, such as lr=0.001."
            )
        if key.split(".")[0] in ("model", "recipe"):
            raise FercourseError(f"--set {shown(setting)}: {shown(key)} is an argument of its own.")
        if len(text) > LONGEST:
            raise FercourseError(f"--set {shown(setting)}: a value has at most {LONGEST} characters.")
        try:
            value = yaml.safe_load(text)
            json.dumps(value)
        except Exception as error:  # YAML's own errors, and whatever its dates, tags and anchors lead to
            raise FercourseError(
                f"--set {shown(setting)}: the value cannot be read as a number, text or a list in YAML."
            ) from error
        if isinstance(value, str):
            with contextlib.suppress(ValueError):  # YAML 1.1 takes 1e-3 for text
                value = float(value)
        place = changes
        *parents, name = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise FercourseError(f"--set {shown(setting)}: {shown(parent)} was set to a value before.")
        place[name] = tuple(value) if isinstance(value, list) else value
    return changes
