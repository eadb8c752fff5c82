"""What a copy of FER-2013 holds: counts, duplicates, leaks between splits, label noise, and a verdict."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fercourse.data.faces import EMOTIONS, SPLITS, Faces
from fercourse.data.verdict import compare
from fercourse.data.votes import VOTE_COLUMNS, VOTES_AS_EMOTIONS

#: An image whose pixels have a smaller standard deviation than this shows nothing.
CONSTANT_STD = 2.0


@dataclass(frozen=True)
class Audit:
    """The findings; every field is JSON-able.

    Attributes:
        verdict: 'official', 'official pixels re-encoded' or 'not the benchmark'.
        reasons: why it is not the benchmark, a sentence each; empty otherwise.
        notes: what the reader had to say (a split recovered, labels missing).
        layout, source, fingerprint: what was read; SHA-256 of images and labels (`Faces.fingerprint`).
        counts: images a split and class.
        unlabelled: images a split without a label.
        image_sizes: images by their size in the source, '48x48' and others.
        naming: how folders and files are named, where there are any.
        pixels: mean and standard deviation a split and for all, in units of full white (0 to 1).
        duplicates: exact copies: distinct images, groups, surplus, across splits, with conflicting labels.
        constant: images a split that are (nearly) constant.
        ferplus: agreement of the label with the top FER+ vote; None without votes.
        official: how the images compare with the official table (counts and measures).
    """

    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    layout: str
    source: str
    fingerprint: str
    counts: dict[str, dict[str, int]]
    unlabelled: dict[str, int]
    image_sizes: dict[str, int]
    naming: dict[str, Any]
    pixels: dict[str, dict[str, float]]
    duplicates: dict[str, int]
    constant: dict[str, int]
    ferplus: dict[str, Any] | None
    official: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries, lists, numbers and strings."""
        return {**asdict(self), "reasons": list(self.reasons), "notes": list(self.notes)}

    def report(self) -> str:
        """The findings as text for a terminal."""
        lines = [f"{self.source} ({self.layout})", f"Verdict: {self.verdict.upper()}"]
        lines += [f"  - {reason}" for reason in self.reasons]
        if self.notes:
            lines += ["Notes:", *(f"  - {note}" for note in self.notes)]
        lines += ["", "Images      " + "".join(f"{name:>9}" for name in EMOTIONS) + "    total"]
        for split in SPLITS:
            counts = self.counts[split]
            total = sum(counts.values()) + self.unlabelled[split]
            lines.append(
                f"  {split:<10}" + "".join(f"{counts[name]:9,}" for name in EMOTIONS) + f"{total:9,}"
            )
        if any(self.unlabelled.values()):
            bare = ", ".join(f"{count:,} {split}" for split, count in self.unlabelled.items() if count)
            lines.append(f"  without a label: {bare}")
        lines.append("")
        for title, shown in (("Image sizes", self.image_sizes), *self.naming.items()):
            if isinstance(shown, dict):
                text = ", ".join(f"{key} ({count:,})" for key, count in shown.items())
            else:
                text = ", ".join(shown) if isinstance(shown, list) else str(shown)
            lines.append(f"{title.replace('_', ' ').capitalize():<14} {text}")
        means = ", ".join(f"{name} {v['mean']:.4f} +- {v['std']:.4f}" for name, v in self.pixels.items())
        lines.append(f"{'Pixels / 255':<14} {means}")
        found = self.duplicates
        lines += [
            f"{'Duplicates':<14} {found['distinct']:,} distinct images; {found['groups']:,} groups of equal "
            f"ones hold {found['surplus']:,} surplus copies",
            f"{'':<14} {found['groups_across_splits']:,} groups cross splits: {found['test_in_train']:,} "
            f"test and {found['val_in_train']:,} val images also stand in train",
            f"{'':<14} {found['conflicting_labels']:,} groups carry more than one label",
            f"{'Constant':<14} {sum(self.constant.values()):,} images are (nearly) constant",
        ]
        if self.ferplus:
            lines.append(
                f"{'FER+':<14} the label agrees with the top vote on {self.ferplus['agreement']:.1%} of "
                f"{self.ferplus['images']:,} images"
            )
        known = self.official
        lines.append(
            f"{'Against the':<14} {known['exact']:,} images have official pixels, {known['near']:,} nearly, "
            f"{sum(known['unknown'].values()):,} are unknown"
        )
        lines.append(f"{'official table':<14} {sum(known['missing'].values()):,} official images are missing")
        lines.append(f"{'Fingerprint':<14} sha256:{self.fingerprint}")
        return "\n".join(lines)


def audit(
    source: str | os.PathLike[str] | Faces | None, *, votes: str | os.PathLike[str] | None = None
) -> Audit:
    """Say what a source holds and whether it is the benchmark.

    Args:
        source: anything `fercourse.data.load_faces` takes, or faces that were loaded.
        votes: FER+ votes to join; None takes those that lie beside the source.

    Raises:
        FercourseError: the source cannot be read.
    """
    from fercourse.data.sources import load_faces
    from fercourse.data.votes import join_votes

    if isinstance(source, Faces):
        faces = source if votes is None else join_votes(source, votes)
    else:
        faces = load_faces(source, votes=votes)
    found = compare(faces)
    return Audit(
        verdict=found.verdict,
        reasons=found.reasons,
        notes=faces.notes,
        layout=faces.layout,
        source=faces.source,
        fingerprint=faces.fingerprint,
        counts={part.split: dict(zip(EMOTIONS, part.counts.tolist(), strict=True)) for part in faces},
        unlabelled={part.split: int((part.labels < 0).sum()) for part in faces},
        image_sizes=dict(faces.details.get("sizes", {"48x48": sum(map(len, faces))})),
        naming={
            key: faces.details[key]
            for key in ("split_from", "class_folders", "file_names", "suffixes", "columns")
            if key in faces.details
        },
        pixels=_pixels(faces),
        duplicates=_duplicates(faces),
        constant={part.split: int((_stds(part.images) < CONSTANT_STD).sum()) for part in faces},
        ferplus=_agreement(faces),
        official=found.numbers,
    )


def image_digests(images: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each image's pixels (BLAKE2b): uint8 (N, 48, 48) to uint64 (N,)."""
    flat = np.ascontiguousarray(images).reshape(len(images), 48 * 48)
    joined = b"".join(hashlib.blake2b(image.data, digest_size=8).digest() for image in flat)
    return np.frombuffer(joined, "<u8")


def twins(faces: Faces) -> dict[str, np.ndarray]:
    """Which images stand, pixel for pixel, in another split as well.

    Returns:
        A mask for each split, bool of shape (N,): for 'test' the images with a twin in train or val, for
        'val' those with one in train or test, for 'train' those with one in val or test.
    """
    digests = {part.split: image_digests(part.images) for part in faces}
    return {
        split: np.isin(own, np.concatenate([digests[other] for other in SPLITS if other != split]))
        for split, own in digests.items()
    }


def aggregates(faces: Faces) -> dict[str, np.ndarray]:
    """Pictures and counts that show no single face, for the book.

    Returns:
        ``mean_faces`` float32 (7, 48, 48), the mean training image of each class (0 to 255, NaN for an empty
        class); ``std_faces`` float32 (7, 48, 48), the standard deviation; ``mean_face`` and ``std_face``
        float32 (48, 48) of all training images; ``histograms`` int64 (3, 256), grey levels a split;
        ``counts`` int64 (3, 7).
    """
    train = faces.train
    means = np.full((len(EMOTIONS), 48, 48), np.nan)
    stds = means.copy()
    total, squares = np.zeros((48, 48)), np.zeros((48, 48))
    for label in range(len(EMOTIONS)):
        chosen = np.flatnonzero(train.labels == label)
        if not len(chosen):
            continue
        first, second = np.zeros((48, 48)), np.zeros((48, 48))
        for start in range(0, len(chosen), 1024):
            block = train.images[chosen[start : start + 1024]].astype(np.float64)
            first += block.sum(axis=0)
            second += (block**2).sum(axis=0)
        means[label] = first / len(chosen)
        stds[label] = np.sqrt(np.maximum(second / len(chosen) - means[label] ** 2, 0))
        total += first
        squares += second
    labelled = max(1, int((train.labels >= 0).sum()))
    return {
        "mean_faces": means.astype(np.float32),
        "std_faces": stds.astype(np.float32),
        "mean_face": (total / labelled).astype(np.float32),
        "std_face": np.sqrt(np.maximum(squares / labelled - (total / labelled) ** 2, 0)).astype(np.float32),
        "histograms": np.stack([_histogram(part.images) for part in faces]),
        "counts": np.stack([part.counts for part in faces]),
    }


def _histogram(images: np.ndarray) -> np.ndarray:
    counts = np.zeros(256, np.int64)
    for start in range(0, len(images), 1024):
        counts += np.bincount(images[start : start + 1024].reshape(-1), minlength=256)
    return counts


def _pixels(faces: Faces) -> dict[str, dict[str, float]]:
    levels = np.arange(256) / 255
    histograms = {part.split: _histogram(part.images) for part in faces}
    histograms["all"] = sum(histograms.values(), np.zeros(256, np.int64))
    out = {}
    for name, counts in histograms.items():
        if total := counts.sum():
            mean = float((counts * levels).sum() / total)
            std = float(np.sqrt((counts * (levels - mean) ** 2).sum() / total))
            out[name] = {"mean": round(mean, 6), "std": round(std, 6)}
    return out


def _stds(images: np.ndarray) -> np.ndarray:
    out = np.empty(len(images))
    for start in range(0, len(images), 1024):
        out[start : start + 1024] = (
            images[start : start + 1024].reshape(-1, 48 * 48).std(axis=1, dtype=np.float32)
        )
    return out


def _duplicates(faces: Faces) -> dict[str, int]:
    digests = np.concatenate([image_digests(part.images) for part in faces])
    labels = np.concatenate([part.labels for part in faces])
    splits = np.repeat(np.arange(len(SPLITS)), [len(part) for part in faces])
    _, group, sizes = np.unique(digests, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    there = np.zeros((len(sizes), len(SPLITS)), bool)
    there[group, splits] = True
    named = np.zeros((len(sizes), len(EMOTIONS)), bool)
    named[group[labels >= 0], labels[labels >= 0]] = True
    train, val, test = there[group].T
    return {
        "distinct": len(sizes),
        "groups": int((sizes > 1).sum()),
        "surplus": int(len(digests) - len(sizes)),
        "groups_across_splits": int((there.sum(axis=1) > 1).sum()),
        "val_in_train": int(((splits == 1) & train).sum()),
        "test_in_train": int(((splits == 2) & train).sum()),
        "test_in_train_or_val": int(((splits == 2) & (train | val)).sum()),
        "val_in_train_or_test": int(((splits == 1) & (train | test)).sum()),
        "conflicting_labels": int((named.sum(axis=1) > 1).sum()),
    }


def _agreement(faces: Faces) -> dict[str, Any] | None:
    parts = [part for part in faces if part.votes is not None]
    if not parts:
        return None
    votes = np.concatenate([part.votes for part in parts if part.votes is not None])
    labels = np.concatenate([part.labels for part in parts])
    # Votes for contempt, for 'unknown' and for 'no face' have no label to agree with.
    seven = votes[:, list(VOTES_AS_EMOTIONS)]
    counted = (labels >= 0) & (seven.sum(axis=1) > 0)
    agree = counted & (seven.argmax(axis=1) == labels)
    by_class = {}
    for label, name in enumerate(EMOTIONS):
        mine = counted & (labels == label)
        by_class[name] = round(float(agree[mine].mean()), 4) if mine.any() else None
    return {
        "images": int(counted.sum()),
        "agreement": round(float(agree.sum() / max(1, counted.sum())), 4),
        "by_class": by_class,
        "no_face": int((votes.argmax(axis=1) == VOTE_COLUMNS.index("NF")).sum()),
    }
