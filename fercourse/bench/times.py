"""How long every network takes over the test images, measured together on one machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from fercourse.errors import FercourseError, nearest, one_line
from fercourse.files import write_text

#: Images of FER-2013's test split: every time is that of so many.
TEST_IMAGES = 3589
BATCH_SIZES = (64, 1)
#: Images that are really run, by kind of device and batch size; the time of the others is multiplied.
MOST_IMAGES = {"cpu": {64: 128, 1: 32}, "other": {64: TEST_IMAGES, 1: 1024}}


def measure_times(
    models: Sequence[str] | None = None,
    *,
    device: str | None = None,
    rounds: int = 3,
    progress: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Time the forward pass of every network in turn, round by round; return the record.

    A machine that grows slower meanwhile slows all networks of a round, and every other round runs backwards:
    ratios between networks hold even where times do not. The networks have fresh weights and see noise, as
    neither changes the time. Computed in fp32, as accuracies are.

    Args:
        models: names in `fercourse.models.MODELS`; None for all.
        device: as for `fercourse.device.pick_device`.
        rounds: times each network is measured.
        say: called with what there is to say beforehand.

    Raises:
        FercourseError: an unknown network, no rounds, a device that is not there.
    """
    import torch
    from tqdm import tqdm

    from fercourse.device import describe_device, pick_device, pick_precision
    from fercourse.environment import environment
    from fercourse.evaluate import time_inference
    from fercourse.models import MODELS, create_model

    names = list(MODELS if models is None else models)
    for name in names:
        if name not in MODELS:
            raise FercourseError(
                f"Network {name!r} does not exist{nearest(name, MODELS)}. There are {', '.join(MODELS)}."
            )
    if not names or isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise FercourseError(f"There are {len(names)} networks and {rounds!r} rounds; expected one or more.")
    place = pick_device(device)
    most = MOST_IMAGES["cpu" if place.type == "cpu" else "other"]
    images = np.random.default_rng(0).integers(0, 256, (TEST_IMAGES, 48, 48), dtype=np.uint8)
    networks = {}
    for name in names:
        network = create_model(name)
        network.to(memory_format=pick_precision(network, place, "fp32").memory_format)
        networks[name] = network

    def milliseconds(name: str, batch_size: int, batches: int) -> float:
        network = networks[name].to(place)
        found = time_inference(
            network, images, batch_sizes=(batch_size,), repeats=1, device=str(place), most_batches=batches
        )
        networks[name] = network.to("cpu")  # twenty at once need more memory than some cards have
        return found["timings"][0]["ms"]

    # One warm image each, for the estimate. In a batch, an image takes no longer than alone; each network is
    # warmed up by as many images as are timed.
    alone = sum(milliseconds(name, 1, 1) for name in names) / 1000 / TEST_IMAGES
    seconds = 2 * alone * rounds * sum(most.values())
    say(f"{len(names)} networks, {rounds} rounds: at most about {max(1, seconds / 60):.0f} min.")
    taken: dict[tuple[str, int], list[float]] = {}
    with tqdm(total=rounds * len(names) * len(BATCH_SIZES), unit="network", disable=not progress) as bar:
        for number in range(rounds):
            for batch_size in BATCH_SIZES:
                for name in names if number % 2 == 0 else names[::-1]:
                    bar.set_description(f"{name}, batch {batch_size}")
                    batches = -(-most[batch_size] // batch_size)
                    ms = milliseconds(name, batch_size, batches)
                    taken.setdefault((name, batch_size), []).append(round(ms, 3))
                    bar.update()
    return {
        "format": 1,
        "environment": {
            **environment(),
            "device": describe_device(place),
            "device_kind": place.type,
            "threads": torch.get_num_threads(),
            "precision": "fp32",
        },
        "images": TEST_IMAGES,
        "measurements": [
            {
                "model": name,
                "batch_size": batch_size,
                "images_timed": min(TEST_IMAGES, most[batch_size]),
                "ms": taken[name, batch_size],
            }
            for name in names
            for batch_size in BATCH_SIZES
        ],
    }


def write_times(record: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a record of times as JSON, a line a measurement, whole or not at all."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in record["measurements"])
    head = {key: value for key, value in record.items() if key != "measurements"}
    text = json.dumps(head, indent=1)[:-2]
    write_text(Path(path), f'{text},\n "measurements": [\n{rows}\n ]\n}}\n')


def read_times(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a record of times and return what `summarised` makes of it.

    Raises:
        FercourseError: the file is not such a record.
    """
    try:
        return summarised(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FercourseError(
            f"{path} is not a record of times ({one_line(error)}): make it anew with `fercourse times`."
        ) from error


def summarised(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's measurements with their median, least and greatest.

    Returns:
        ``device_name``, ``device_kind``, ``threads``, ``versions``, and ``rows``: a dictionary a measurement
        with ``model``, ``batch_size``, ``images_timed``, and ``ms``, ``ms_low``, ``ms_high``: milliseconds
        for all of the 3,589 test images.

    Raises:
        ValueError, KeyError, TypeError: it is not a record of times.
    """
    where = record["environment"]
    if record["format"] != 1 or record["images"] != TEST_IMAGES:
        raise ValueError(f"format {record['format']}, {record['images']} images")
    rows = []
    for row in record["measurements"]:
        values = [float(value) for value in row["ms"]]
        if not values or not 0 < min(values) <= max(values) < float("inf"):
            raise ValueError(f"{row['model']} took {values} ms")
        rows.append(
            {
                "model": str(row["model"]),
                "batch_size": int(row["batch_size"]),
                "images_timed": int(row["images_timed"]),
                "ms": median(values),
                "ms_low": min(values),
                "ms_high": max(values),
            }
        )
    return {
        "device_name": str(where["device"]),
        "device_kind": str(where["device_kind"]),
        "threads": int(where["threads"]),
        "versions": dict(where["versions"]),
        "rows": rows,
    }


def report_times(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows of `read_times` as text: milliseconds, and the ratio to ResNet18 at the same batch."""
    from fercourse.reports import columns

    base = {row["batch_size"]: row["ms"] for row in rows if row["model"] == "resnet18"}
    table = [["network", "batch", "ms for 3,589 images", "least to greatest", "times ResNet18's"]]
    for row in sorted(rows, key=lambda row: -row["batch_size"]):
        ratio = f"{row['ms'] / base[row['batch_size']]:.2f}" if base else "-"
        span = f"{row['ms_low']:,.0f} to {row['ms_high']:,.0f}"
        table.append([row["model"], str(row["batch_size"]), f"{row['ms']:,.0f}", span, ratio])
    return columns(table)
