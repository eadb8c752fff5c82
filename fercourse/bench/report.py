"""A bench's record: checked, written and read; and as tables, for the terminal and for the README."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

from fercourse.bench.summary import SAYS, SLOWER, summarise
from fercourse.errors import FercourseError
from fercourse.files import write_text
from fercourse.records import results_folder
from fercourse.reports import columns

#: Pairs of one run that differ by more were disturbed by something else: a quiet machine stays well below.
BUSY = 1.3


def times(ratio: Mapping[str, float], *, span: bool = True) -> str:
    """Return a ratio in words: '2.0x (1.9 to 2.1)'."""
    text = f"{ratio['ratio']:.2f}x"
    return f"{text} ({ratio['low']:.2f} to {ratio['high']:.2f})" if span else text


def share(value: float | None) -> str:
    """Return a share as text, '-' where it is not known."""
    return "-" if value is None else f"{value:.0%}"


def scatter(record: Mapping[str, Any]) -> float:
    """Return how far the pairs of one network differ: greatest ratio to least, the median over networks."""
    compared = [row for row in record["summary"].get("small", []) if row["variant"] != "PyTorch"]
    rows = [*record["summary"]["train"].values(), *compared]
    return median([row["high"] / row["low"] for row in rows]) if rows else 1.0


def where(record: Mapping[str, Any]) -> str:
    """Return what a record was measured on, how often, and whether something disturbed it."""
    environment, settings = record["environment"], record["settings"]
    bf16 = ""
    if environment["device_kind"] == "cpu":
        bf16 = " with bf16" if environment["cpu_multiplies_bf16"] else " without bf16"
    disturbed = f" that scatter {scatter(record):.1f}-fold: a busy machine" if scatter(record) > BUSY else ""
    return (
        f"{environment['device']}{bf16}, PyTorch {environment['versions']['torch']}, "
        f"{settings['repeats']} pairs{disturbed}"
    )


def report(record: Mapping[str, Any]) -> str:
    """Return a record's summary as text."""
    summary = record["summary"]
    lines = [
        f"On {where(record)}, in batches of {record['settings']['batch_size']}: medians (least to greatest)."
    ]

    def table(title: str, rows: list[list[str]]) -> None:
        if len(rows) > 1:
            lines.extend(["", title, columns(rows)])

    table(
        "Training, images a second",
        [["network", "usual loop", "ours", "ratio", "format", "of the matmul peak", "peak memory, MiB"]]
        + [
            [
                model,
                f"{row['usual']:,.1f}",
                f"{row['ours']:,.1f}",
                times(row),
                row["precision"],
                f"{share(row['usual_share'])} -> {share(row['ours_share'])}",
                memory(row),
            ]
            for model, row in summary["train"].items()
        ],
    )
    if any(row["published_share"] for row in summary["train"].values()):
        shares = ", ".join(f"{m} {share(row['published_share'])}" for m, row in summary["train"].items())
        lines.extend(["", f"Share of the card's published dense peak: {shares}"])
    for model, rungs in summary["ladder"].items():
        table(
            f"From the usual loop to ours, {model}",
            [["step", "images a second", "ratio to the usual loop"]]
            + [[describe(row["rung"], record), f"{row['value']:,.1f}", times(row)] for row in rungs],
        )
    table(
        "Choices that change the speed otherwise",
        [["choice", "network", "compared with", "speed"]]
        + [[SLOWER[row["choice"]][1], row["model"], compared(row), times(row)] for row in summary["slower"]],
    )
    table(
        "Evaluation, images a second",
        [["network", "usual loop", "ours", "ratio"]]
        + [
            [model, f"{row['usual']:,.0f}", f"{row['ours']:,.0f}", times(row)]
            for model, row in summary["evaluate"].items()
        ],
    )
    table(
        "Reading fer2013.csv, seconds",
        [["reader", "torchvision", "ours", "ratio"]]
        + [
            [name, f"{row['usual_seconds']:.1f}", f"{row['seconds']:.2f}", times(row)]
            for name, row in summary["load"].items()
        ],
    )
    table("The small network, images a second", small_rows(record))
    return "\n".join(lines)


def describe(rung: str, record: Mapping[str, Any]) -> str:
    """Return what a rung of the ladder changes, in words; the last one depends on the device."""
    if rung == "ours" and record["environment"]["device_kind"] == "cuda":
        return SAYS["graphs"]
    return SAYS[rung]


def compared(row: Mapping[str, Any]) -> str:
    """Return what a choice was measured against, in words."""
    return "the usual loop" if row["compared_with"] == "usual" else "ours"


def memory(row: Mapping[str, Any]) -> str:
    """Return the peak memory of the usual loop and of ours in MiB: of the GPU where there is one."""
    kind = "host_mib" if row["ours_device_mib"] is None else "device_mib"
    pair = [row[f"{name}_{kind}"] for name in ("usual", "ours")]
    return " -> ".join("-" if value is None else f"{value:,.0f}" for value in pair)


def markdown(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the README's table of every record: training speed and memory."""
    parts = []
    for record in records:
        parts.append(
            f"On {where(record)}, in batches of {record['settings']['batch_size']}: medians (least to "
            "greatest).\n"
        )
        rows = [["network", "usual loop, images/s", "ours, images/s", "ratio", "share of the matmul peak",
                 "peak memory, MiB"]]  # fmt: skip
        for model, row in record["summary"]["train"].items():
            rows.append(
                [
                    model,
                    f"{row['usual']:,.1f}",
                    f"{row['ours']:,.1f}",
                    times(row),
                    f"{share(row['usual_share'])} → {share(row['ours_share'])}",
                    memory(row).replace("->", "→"),
                ]
            )
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "| --- |" + " ---: |" * (len(rows[0]) - 1))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def small_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Return what was measured of the small network as rows of text, the first with what stands in them."""
    rows = [["program", "images at a time", "images a second", "ms an image", "ratio to PyTorch"]]
    for row in record["summary"].get("small", []):
        speed = row["value"]
        rows.append(
            [row["variant"], str(row["batch_size"]), f"{speed:,.0f}", f"{1000 / speed:.2f}", times(row)]
        )
    return rows


def markdown_small(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the README's table of the small network from every record that has measured it."""
    parts = []
    for record in records:
        lines = ["| " + " | ".join(row) + " |" for row in small_rows(record)]
        lines.insert(1, "| --- |" + " ---: |" * 4)
        parts.append(f"On {where(record)}: medians (least to greatest).\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


@functools.lru_cache(maxsize=1)
def _validator() -> Any:
    import jsonschema

    schema = json.loads(resources.files("fercourse").joinpath("bench/record.schema.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def check_record(record: Any, source: str) -> dict[str, Any]:
    """Return a bench's record, if it is one.

    Raises:
        FercourseError: it does not follow ``bench/record.schema.json``, or its summary is not the one that
            follows from its measurements.
    """
    error = next(iter(sorted(_validator().iter_errors(record), key=lambda e: list(map(str, e.path)))), None)
    if error is not None:
        where = "/".join(map(str, error.path)) or "the whole"
        raise FercourseError(f"{source} is not a bench's record: {where}: {error.message[:200]}.")
    if record["summary"] != summarise(record):
        raise FercourseError(
            f"{source} holds a summary that does not follow from its measurements: make the record anew with "
            "`fercourse bench --out`."
        )
    return record


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check a bench's record; errors as in `check_record`, also for a file that is no JSON."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FercourseError(f"{path} cannot be read as a bench's record ({error}).") from error
    return check_record(record, str(path))


def load_records(folder: str | os.PathLike[str] | None = None, kind: str = "bench") -> list[dict[str, Any]]:
    """Return every record in a folder of the results folder, by name; none where there is none.

    Args:
        kind: 'bench', or 'bench/small': records of the small network alone.
    """
    return [read_record(path) for path in sorted((Path(folder or results_folder()) / kind).glob("*.json"))]


def write_record(record: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Check a record and write it, a line a measurement."""
    check_record(record, "What was to be recorded")
    rows = ",\n".join(f"  {json.dumps(row)}" for row in record["measurements"])
    parts = []
    for key, value in record.items():
        text = f"[\n{rows}\n ]" if key == "measurements" else json.dumps(value, indent=1).replace("\n", "\n ")
        parts.append(f" {json.dumps(key)}: {text}")
    write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")
