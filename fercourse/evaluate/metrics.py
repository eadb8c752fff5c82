"""What is measured of predictions: accuracy and its kin, recall by class, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from fercourse.errors import FercourseError

#: As many as ``EMOTIONS`` (a test holds them equal): training, which evaluates, must not import the data.
NUM_CLASSES = 7
#: Equal bins of confidence for calibration, as in Guo et al. 2017.
BINS = 15


def metrics(
    labels: np.ndarray,
    *,
    logits: np.ndarray | None = None,
    preds: np.ndarray | None = None,
    twins: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return every metric of predictions against ``labels``, from ``logits`` (N, 7) or from ``preds`` (N,).

    Args:
        labels: int (N,), 0 to 6.
        twins: bool (N,), True where the very same image also stands in another split.

    Returns:
        ``n``; ``accuracy``; ``macro_f1``, the mean F1 over the classes that occur among labels or
        predictions; ``per_class_recall``, 7 numbers, None for a class without an image;
        ``balanced_accuracy``, the mean of those there are; ``confusion``, 7 rows (label) of 7 counts
        (predicted class).

        With logits also ``nll``, negative log-likelihood in nats an image; ``ece``, expected calibration
        error over 15 bins of confidence (Guo et al. 2017); ``reliability``, what it is computed from: lists
        ``count``, ``confidence_sum`` and ``hits``, a number a bin.

        With twins also ``accuracy_without_twins`` (None if no image is left) and ``n_without_twins``.

    Raises:
        FercourseError: no images, different lengths, labels outside 0 to 6, logits that are not finite.
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

    if (logits is None) == (preds is None):
        raise FercourseError("metrics needs either logits or preds, and not both.")
    scores = None if logits is None else _checked_logits(logits)
    given = {"logits": scores.argmax(1)} if scores is not None else {"preds": np.asarray(preds)}
    labels, guesses = checked_classes(labels=labels, **given)
    classes = np.arange(NUM_CLASSES)
    confusion = confusion_matrix(labels, guesses, labels=classes)
    present, seen = confusion.sum(1) > 0, (confusion.sum(0) + confusion.sum(1)) > 0
    recall = recall_score(labels, guesses, labels=classes, average=None, zero_division=0.0)
    result: dict[str, Any] = {
        "n": len(labels),
        "accuracy": float(accuracy_score(labels, guesses)),
        "macro_f1": float(
            f1_score(labels, guesses, labels=classes[seen], average="macro", zero_division=0.0)
        ),
        "balanced_accuracy": float(recall[present].mean()),
        "per_class_recall": [float(r) if p else None for r, p in zip(recall, present, strict=True)],
        "confusion": confusion.tolist(),
    }
    if scores is not None:
        result |= _calibration(labels, scores)
    if twins is not None:
        mask = np.asarray(twins)
        if mask.shape != labels.shape or mask.dtype != np.bool_:
            raise FercourseError(
                f"twins is {mask.dtype} of shape {mask.shape}; expected bools for {len(labels)} images."
            )
        kept = (labels == guesses)[~mask]
        result["n_without_twins"] = len(kept)
        result["accuracy_without_twins"] = float(kept.mean()) if len(kept) else None
    return result


def _calibration(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    from scipy.special import log_softmax

    log_probs = log_softmax(logits, axis=1)
    confidence, hits = np.exp(log_probs.max(1)), logits.argmax(1) == labels
    # Bins are open below and closed above, so that a confidence of 1 is in the last one.
    place = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    count = np.bincount(place, minlength=BINS)
    confidence_sum = np.bincount(place, weights=confidence, minlength=BINS)
    right = np.bincount(place, weights=hits, minlength=BINS).astype(int)
    return {
        "nll": float(-log_probs[np.arange(len(labels)), labels].mean()),
        "ece": float(np.abs(confidence_sum - right).sum() / len(labels)),
        "reliability": {
            "count": count.tolist(),
            "confidence_sum": confidence_sum.tolist(),
            "hits": right.tolist(),
        },
    }


def checked_classes(**arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays of classes as int64, (N,), all of one length, at least 1, with values from 0 to 6.

    Raises:
        FercourseError: they are not, by the name each was given.
    """
    result = []
    for name, array in arrays.items():
        values = np.asarray(array)
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
            raise FercourseError(
                f"{name} is {values.dtype} of shape {values.shape}; expected whole numbers, (N,)."
            )
        result.append(values.astype(np.int64))
    (first, *others), (values, *rest) = arrays, result
    for name, other in zip(others, rest, strict=True):
        if len(other) != len(values):
            raise FercourseError(
                f"There are {len(values)} {first} but {len(other)} {name}; both must be of the same images."
            )
    if not len(values):
        raise FercourseError(f"There are no {first}: nothing can be measured on no images.")
    for name, values in zip(arrays, result, strict=True):
        if values.min() < 0 or values.max() >= NUM_CLASSES:
            raise FercourseError(
                f"{name} run from {values.min()} to {values.max()}; expected classes from 0 to "
                f"{NUM_CLASSES - 1} (images without a label cannot be evaluated)."
            )
    return tuple(result)


def _checked_logits(logits: np.ndarray) -> np.ndarray:
    scores = np.asarray(logits)
    if scores.ndim != 2 or scores.shape[1] != NUM_CLASSES or scores.dtype.kind != "f":
        raise FercourseError(
            f"logits is {scores.dtype} of shape {scores.shape}; expected floats of shape (N, {NUM_CLASSES})."
        )
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).any(1).sum())
        raise FercourseError(
            f"The logits of {bad} of {len(scores)} images are not finite; did training diverge?"
        )
    return scores.astype(np.float64)
