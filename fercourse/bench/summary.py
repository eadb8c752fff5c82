"""From single measurements to ratios: everything the page and the tables say is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

#: Dense peak of a GPU's matrix units in FLOP/s, bf16 or (before Ampere) fp16, by words of the name that
#: PyTorch gives it; from NVIDIA's data sheets (H200 and H100 SXM, A100, L4, T4, V100 SXM2), which print twice
#: as much for H200, H100 and L4, with structured sparsity.
PUBLISHED_PEAK = {
    "H200": 989e12,
    "H100 80GB HBM3": 989e12,
    "A100": 312e12,
    "L4": 121e12,
    "T4": 65e12,
    "V100": 125e12,
}

#: What a rung changes in the one before it, in a few words.
SAYS = {
    "usual": "the usual loop",
    "on_device": "images as one tensor on the device, augmented there, a batch at a time",
    "no_item": "loss and hits summed on the device: no .item() in a step",
    "channels_last": "channels_last",
    "fused": "fused Adam",
    "bf16": "forward pass in bf16",
    "fp16": "forward pass in fp16",
    "pick_kernels": "cuDNN times its kernels and keeps the fastest",
    "ours": "fercourse.train",
    "graphs": "the whole step as one CUDA graph: fercourse.train",
}

#: What a choice is compared with, and what it says.
SLOWER = {
    "bf16 on a CPU without it": ("ours", "bf16 on a CPU without bf16 instructions"),
    "one thread": ("ours", "one thread"),
    "contiguous": ("ours", "contiguous: each channel a plane of its own"),
    "no workers": ("usual", "the usual loop with num_workers=0"),
    "compiled": ("ours", "torch.compile (its minute at the start not counted)"),
}

#: What the course aimed at before it was measured: ours to the usual loop, at batches of 64, by device name.
TARGETS = {
    "CPU": {"resnet18": 2.5, "vgg11": 2.5, "basic_cnn": 2, "se_resnet34": 2, "mobilenet_v3_small": 2},
    "H200": {"resnet18": 2, "se_resnet34": 2, "vgg11": 5, "basic_cnn": 10, "mobilenet_v3_small": 10},
}


def published_peak(device: str) -> float | None:
    """Return the published peak of a GPU in FLOP/s by its name, or None where it is not known."""
    words = device.replace("-", " ").split()
    for name, flops in PUBLISHED_PEAK.items():
        if all(word in words for word in name.split()):
            return flops
    return None


def ratios(
    measurements: Sequence[Mapping[str, Any]], variant: str, against: str, key: str = "images_per_second"
) -> dict[str, float] | None:
    """Return how many times as much a variant reaches as another, from the pairs of each round.

    Returns:
        ``value`` and ``against`` (medians over the rounds), ``ratio`` (the median of the pairs' ratios),
        ``low`` and ``high`` (the least and the greatest of them); None where there is no pair.
    """
    by_round: dict[str, dict[int, float]] = {variant: {}, against: {}}
    for row in measurements:
        if row["variant"] in by_round:
            by_round[row["variant"]][row["round"]] = row[key]
    rounds = sorted(by_round[variant].keys() & by_round[against].keys())
    if not rounds:
        return None
    first, second = ([by_round[name][number] for number in rounds] for name in (variant, against))
    pairs = [a / b for a, b in zip(first, second, strict=True)]
    return {
        "value": median(first),
        "against": median(second),
        "ratio": median(pairs),
        "low": min(pairs),
        "high": max(pairs),
    }


def summarise(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary of a record's measurements: train, ladder, slower, evaluate, load, and small if any.

    ``train``: a model's images a second by the usual loop and by ours, ratio, peak memory of both, the share
    of what the device multiplies at most that they reach, and ``most``, the images a second at that most. An
    image takes 6 operations for each multiply-accumulate: a product and a sum, forward and twice backward.
    ``small``: for each program and batch size, images a second and their ratio to PyTorch's.
    """
    found: dict[str, Any] = {"train": {}, "ladder": {}, "slower": [], "evaluate": {}, "load": {}}
    rows = record["measurements"]
    matmul = {row["variant"]: row["flops"] for row in rows if row["what"] == "matmul"}
    peak = published_peak(record["environment"]["device"])

    def of(what: str, model: str = "") -> list[Mapping[str, Any]]:
        return [row for row in rows if row["what"] == what and row["model"] == model]

    for model, mmacs in record["mmacs"].items():
        trained = of("train", model)
        if pair := ratios(trained, "ours", "usual"):
            ours, usual = (_only(trained, variant) for variant in ("ours", "usual"))
            precision = ours[0]["precision"]
            work = 6e6 * mmacs
            found["train"][model] = {
                "usual": pair["against"],
                "ours": pair["value"],
                **{key: pair[key] for key in ("ratio", "low", "high")},
                "precision": precision,
                "usual_share": pair["against"] * work / matmul["fp32"],
                "ours_share": pair["value"] * work / matmul[precision],
                "published_share": None if peak is None else pair["value"] * work / peak,
                "most": matmul[precision] / work,
                **{
                    f"{name}_{kind}": _greatest(some, kind)
                    for name, some in (("usual", usual), ("ours", ours))
                    for kind in ("host_mib", "device_mib")
                },
            }
            variants = list(dict.fromkeys(row["variant"] for row in trained if row["round"] == 0))
            steps = [name for name in variants if name not in ("usual", "ours", *SLOWER)]
            if steps:
                found["ladder"][model] = [
                    {"rung": name, **(ratios(trained, name, "usual") or {})} for name in (*steps, "ours")
                ]
        for name, (against, _) in SLOWER.items():
            if pair := ratios(trained, name, against):
                found["slower"].append({"choice": name, "model": model, "compared_with": against, **pair})
        if pair := ratios(of("evaluate", model), "ours", "usual"):
            found["evaluate"][model] = {"usual": pair["against"], "ours": pair["value"],
                                        **{key: pair[key] for key in ("ratio", "low", "high")}}  # fmt: skip
    loads = of("load")
    for name in ("ours", "cached"):
        if pair := ratios(loads, "usual", name, "seconds"):
            found["load"][name] = {
                "usual_seconds": pair["value"],
                "seconds": pair["against"],
                **{key: pair[key] for key in ("ratio", "low", "high")},
            }
    if small := of("small", "small"):
        found["small"] = [
            {"variant": variant, "batch_size": size, **(ratios(some, variant, "PyTorch") or {})}
            for size in sorted({row["batch_size"] for row in small})
            for some in [[row for row in small if row["batch_size"] == size]]
            for variant in dict.fromkeys(row["variant"] for row in some if row["round"] == 0)
        ]
    return found


def _only(rows: Sequence[Mapping[str, Any]], variant: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["variant"] == variant]


def _greatest(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    known = [row[key] for row in rows if row[key] is not None]
    return max(known, default=None)
