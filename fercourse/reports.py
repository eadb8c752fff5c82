"""What the command line prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fercourse.data.faces import EMOTIONS


def percent(value: float) -> str:
    """Return a share from 0 to 1 as text, such as '70.80 %'."""
    return f"{100 * value:.2f} %"


def columns(rows: list[list[str]]) -> str:
    """Return rows of equal length as left-aligned text columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def networks(table: Sequence[Mapping[str, Any]]) -> str:
    """Return `fercourse.models.model_table` as text, with its notes below."""
    rows = [["name", "parameters", "paper", "MMACs", "input", "stem"]]
    for row in table:
        paper = "-" if row["paper_params"] is None else f"{row['paper_params'] / 1e6:.1f} M"
        size = row["input_size"]
        shape = "x".join(map(str, size)) if isinstance(size, (list, tuple)) else str(size)
        rows.append(
            [row["name"], f"{row['params']:,}", paper, f"{row['mmacs']:,.0f}", shape, str(row["stem"])]
        )
    notes = [f"\n{row['name']}: {row['note']}" for row in table if row.get("note")]
    return "\n".join([columns(rows), *notes])


def measured(split: str, values: Mapping[str, Any]) -> str:
    """Return the metrics of a split as text, with its interval, and times where there are any."""
    lines = [
        f"{split}: {values['n']:,} images",
        f"  accuracy            {percent(values['accuracy'])}, "
        f"95 % interval {percent(values['accuracy_interval'][0])} to "
        f"{percent(values['accuracy_interval'][1])}",
    ]
    if values.get("accuracy_without_twins") is not None:
        lines.append(
            f"  ... without twins   {percent(values['accuracy_without_twins'])} "
            f"({values['n_without_twins']:,} images that stand in no other split)"
        )
    lines += [
        f"  balanced accuracy   {percent(values['balanced_accuracy'])}",
        f"  macro-F1            {percent(values['macro_f1'])}",
        f"  calibration error   {percent(values['ece'])}",
        f"  neg. log-likelihood {values['nll']:.4f}",
        "",
    ]
    rows = [["label \\ predicted", *EMOTIONS, "recall"]]
    for emotion, counts, recall in zip(
        EMOTIONS, values["confusion"], values["per_class_recall"], strict=True
    ):
        shown = "-" if recall is None or recall != recall else percent(recall)
        rows.append([emotion, *map(str, counts), shown])
    for timed in values.get("time", {}).get("timings", []):
        lines.insert(
            -1,
            f"  time, batch {timed['batch_size']:<7} {timed['ms']:,.0f} ms for {values['n']:,} images"
            + (f" (from {timed['images_timed']})" if timed["extrapolated"] else ""),
        )
    return "\n".join(lines) + "\n" + columns(rows) + "\n"


def predictions(pictures: Sequence[Mapping[str, Any]]) -> str:
    """Return what `fercourse predict` found as text: a line a face, with its likeliest labels."""
    rows = [["picture", "face", "label", "how sure", "else"]]
    for picture in pictures:
        if not picture["faces"]:
            rows.append([picture["file"], "none found", "-", "-", "-"])
        for number, face in enumerate(picture["faces"], start=1):
            square = face["square"]
            place = f"{square['side']} px at {square['x']}, {square['y']}"
            ranked = sorted(face["probabilities"].items(), key=lambda pair: -pair[1])
            (label, first), *others = ranked
            rows.append(
                [
                    picture["file"] if number == 1 else "",
                    place if picture["found_by"] == "haar" else f"whole ({place})",
                    label,
                    f"{100 * first:.0f} %, {sureness(first)}",
                    ", ".join(f"{name} {100 * value:.0f} %" for name, value in others[:2]),
                ]
            )
    return columns(rows)


def sureness(probability: float) -> str:
    """Return a probability of the likeliest of seven labels in words."""
    for least, words in ((0.9, "rather sure"), (0.6, "likely"), (0.4, "unsure")):
        if probability >= least:
            return words
    return "a guess"


def comparison(a: str, b: str, split: str, result: Mapping[str, Any]) -> str:
    """Return what `fercourse.evaluate.compare` found about networks A and B as text."""
    low, high = (100 * value for value in (result["low"], result["high"]))
    verdict = "a difference" if result["p_mcnemar"] < 0.05 else "no difference that these images can show"
    return "\n".join(
        [
            f"On {split}, {result['n']:,} images:",
            f"  A  {a}: {percent(result['accuracy_a'])}",
            f"  B  {b}: {percent(result['accuracy_b'])}",
            f"  B - A: {100 * result['difference']:+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}",
            f"  they disagree on {result['disagreements']:,} images; McNemar's test:",
            f"  p = {result['p_mcnemar']:.3g}, {verdict} (for one seed each)",
        ]
    )
