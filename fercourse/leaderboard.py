"""A leaderboard on your own disk, on which your networks stand beside the recorded ones.

Networks are ranked by their accuracy on val, and never on test: whoever looks at a ranking and changes the
network chooses on the images that it was measured on, and those are then no longer unseen.
"""

from __future__ import annotations

import atexit
import functools
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fercourse.errors import FercourseError, one_line, shown
from fercourse.files import locked, write_text

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

    from fercourse.course import Session

FILE = "leaderboard.json"
MAX_NAME = 60
#: What each row of the file holds. None where MACs could not be counted.
_KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "group": (str,),
    "val_accuracy": (float,),
    "val_images": (int,),
    "parameters": (int,),
    "macs": (int, type(None)),
}


def enter(
    model: nn.Module | str,
    name: str,
    session: Session,
    *,
    trained: bool = False,
    replace: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """Train a network within the session's budget, measure it on val, and enter it under a name.

    It is measured on all of the session's val images, as they are, without averaging over mirror images.

    Args:
        model: a network, (B, 1, 48, 48) -> (B, 7), or a name in `fercourse.models.MODELS`.
        name: what the board calls it.
        session: what `fercourse.course.start` returned.
        trained: the network has been trained already; measure it as it is, in a group of its own.
        replace: replace the row of that name, if there is one; without it a name is entered once.
        changes: as for `Session.train`, such as epochs=20; networks are ranked with others of the same.

    Returns:
        The row: name, group (data and recipe), val_accuracy, val_images, parameters, and macs, the
        multiply-accumulates for one image, None where they cannot be counted.

    Raises:
        FercourseError: no session; no usable name, or one that is taken; a file that is no leaderboard or
            cannot be written; no network, or one that does not give finite logits (B, 7).
    """
    import numpy as np

    from fercourse.course import Session
    from fercourse.evaluate import metrics, predict

    if not isinstance(session, Session):
        raise FercourseError(
            f"The session is {shown(session)}; expected what fercourse.course.start returned."
        )
    name = name.strip() if isinstance(name, str) else name
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or not name.isprintable():
        raise FercourseError(f"The name is {shown(name)}; expected 1 to {MAX_NAME} characters on one line.")
    if trained and (isinstance(model, str) or changes):
        raise FercourseError(
            "trained=True takes a network that has been trained, and no changes of a recipe."
        )
    path = place(session)
    if not replace:
        _refuse_taken(name, _read(path), path)  # before hours of training, not after them
    if not isinstance(model, str):
        _want_logits(model, session.device)
    group = group_of(session, model, trained=trained, **changes)
    network = model if trained and not isinstance(model, str) else session.train(model, **changes)[0]
    val = session.faces.val
    logits = predict(network, val.images, device=session.device)
    if not np.isfinite(logits).all():
        raise FercourseError(f"The logits of {name!r} are not all finite: did its training diverge?")
    row = {
        "name": name,
        "group": group,
        "val_accuracy": metrics(val.labels, logits=logits)["accuracy"],
        "val_images": len(val),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "macs": count_macs(network),
    }
    with locked(path.with_suffix(".lock"), f"{path} is being written to", timeout=60):
        rows = _read(path)
        if not replace:
            _refuse_taken(name, rows, path)
        rows = [other for other in rows if other["name"] != name]
        lines = ",\n".join(json.dumps(entry, allow_nan=False) for entry in [*rows, row])
        write_text(path, f'{{"format": 1, "rows": [\n{lines}\n]}}\n')
    return row


def table(session: Session) -> pd.DataFrame:
    """Return the board: your networks and the recorded ones, the best on val first within each group.

    A group is one data set and one recipe, with the track extra apart. Accuracies of different groups cannot
    be compared, those on drawn faces and on FER-2013 least of all, so each stands under its own heading, this
    session's first.

    Raises:
        FercourseError: the file is no leaderboard.
    """
    import pandas as pd

    from fercourse.models import model_table
    from fercourse.results import label, reported

    macs = {row["name"]: round(1e6 * row["mmacs"]) for row in model_table()}
    rows = [{**row, "whose": "yours"} for row in _read(place(session))]
    for record in reported():
        if record.data["data"]["layout"].startswith("synthetic") or not record.has("val"):
            continue
        val = record.metrics("val")
        rows.append(
            {
                "name": label(record),
                "group": f"FER-2013, recipe {record.recipe}{_changes(record.data['config'])}"
                + ", track extra" * (record.data["config"]["track"] == "extra"),
                "val_accuracy": val["accuracy"],
                "val_images": val["n"],
                "parameters": record.data["parameters"],
                "macs": None if record.data["config"]["model_options"] else macs.get(record.model),
                "whose": "recorded",
            }
        )
    here = group_of(session)
    rows.sort(key=lambda row: (row["group"] != here, row["group"], -row["val_accuracy"], row["name"]))
    shown_rows = [
        {
            "group": row["group"],
            "network": row["name"],
            "whose": row["whose"],
            "accuracy on val": f"{row['val_accuracy']:.1%}",
            "val images": f"{row['val_images']:,}",
            "parameters": f"{row['parameters']:,}",
            "million MACs": "unknown" if row["macs"] is None else f"{row['macs'] / 1e6:,.1f}",
        }
        for row in rows
    ]
    columns = list(shown_rows[0]) if shown_rows else ["group", "network"]
    return pd.DataFrame(shown_rows, columns=columns).set_index(["group", "network"])


def group_of(
    session: Session, model: nn.Module | str = "basic_cnn", *, trained: bool = False, **changes: Any
) -> str:
    """Return what a training is ranked with: the data, and the recipe with its changes."""
    from fercourse.data.hashes import OFFICIAL_FINGERPRINT

    faces = session.faces
    if faces.layout == "synthetic":
        data = "drawn faces"
    elif faces.fingerprint == OFFICIAL_FINGERPRINT:
        data = "FER-2013"
    else:
        data = f"your copy of faces ({faces.fingerprint[:8]})"
    if trained:
        return f"{data}, trained elsewhere"
    if session.smoke:
        return f"{data}, smoke"
    # A network of one's own is trained as `Session.train` does: by the recipe of the basic CNN.
    config = session.config(model if isinstance(model, str) else "basic_cnn", **changes)
    return f"{data}, recipe {config.recipe}{_changes(config.to_dict())}"


def _changes(config: Mapping[str, Any]) -> str:
    """Return what a configuration changes in its recipe, as a heading says it."""
    from fercourse.experiments import experiment

    return "".join(f", {key}={value}" for key, value in experiment(config).items())


def place(session: Session) -> Path:
    """Return the path of the session's board. While the book is made, it is a folder that is thrown away."""
    from fercourse.course import STATIC

    return (_passing() if os.environ.get(STATIC) else session.folder) / FILE


@functools.cache
def _passing() -> Path:
    """A folder that lasts as long as this process: what a page shows must not depend on games before it."""
    folder = tempfile.TemporaryDirectory(prefix="fercourse-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def count_macs(network: nn.Module) -> int | None:
    """Return the multiply-accumulates for one image, or None where torch's counter cannot say."""
    import copy

    import torch

    from fercourse.evaluate.cost import measure_macs

    try:
        return measure_macs(copy.deepcopy(network).cpu().float().eval(), torch.zeros(2, 1, 48, 48)) or None
    except Exception:  # it has run already; that it cannot be copied or counted costs it nothing
        return None


def _want_logits(network: Any, device: torch.device) -> None:
    """Raise unless it is a network that gives seven logits an image: before hours of training, not after."""
    import torch

    if not isinstance(network, torch.nn.Module):
        made = "the class itself: make one of it, with ()" if isinstance(network, type) else shown(network)
        raise FercourseError(f"The network is {made}; expected an nn.Module, or the name of a model.")
    try:
        with torch.no_grad():
            out = network.to(device).eval()(torch.rand(2, 1, 48, 48, device=device))
    except Exception as error:
        raise FercourseError(
            f"The network fails on two images, (2, 1, 48, 48): {type(error).__name__}, {one_line(error)}"
        ) from error
    found = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
    if found != (2, 7):
        raise FercourseError(f"For two images the network gives {found}; expected logits, (2, 7).")


def _refuse_taken(name: str, rows: list[dict[str, Any]], path: Path) -> None:
    if any(row["name"] == name for row in rows):
        raise FercourseError(
            f"{path} has a network called {name!r} already: choose another name, or replace=True to enter it "
            "anew."
        )


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a board; none where there is no file yet."""
    if not path.exists():
        return []
    try:
        board = json.loads(path.read_text(encoding="utf-8"))
        rows = board["rows"]
        right = board["format"] == 1 and isinstance(rows, list) and all(map(_is_row, rows))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FercourseError(
            f"{path} cannot be read as a leaderboard ({one_line(error)}): mend it or delete it."
        ) from error
    if not right:
        raise FercourseError(
            f"{path} is no leaderboard: expected rows with {', '.join(_KINDS)}; mend it or delete it."
        )
    return rows


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == _KINDS.keys()
        and all(type(row[key]) in kinds for key, kinds in _KINDS.items())
        and math.isfinite(row["val_accuracy"])
        and 0 <= row["val_accuracy"] <= 1
    )
