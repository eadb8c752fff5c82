"""Write results/hand-crafted.json from the real data: hand-crafted features and a linear SVM on FER-2013.

    python tools/make_hand_crafted.py path/to/fer2013.csv

LBP, HOG and ORB as before deep learning, each with scikit-learn's linear SVM (squared hinge, one against the
rest). C is chosen on val (PublicTest) among those listed; then test (PrivateTest) is opened, once for each
feature. Nothing of a single face is in the file. Chapter 11 shows it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from fercourse.data import EMOTIONS, audit, load_faces, twins
from fercourse.data.faces import Faces
from fercourse.environment import environment
from fercourse.evaluate import bootstrap_interval
from fercourse.files import write_text

RECORD = Path(__file__).resolve().parents[1] / "results" / "hand-crafted.json"
SEED = 0
CHOICES = (0.000001, 0.00001, 0.0001)
WORDS = 256
#: ORB takes a fiftieth of a second an image: its words and its SVM come from so many training images, drawn.
ORB_IMAGES = 6000
Sets = dict[str, np.ndarray]


def lbp(images: np.ndarray) -> np.ndarray:
    """Return histograms of the 59 uniform local binary patterns in 6 x 6 cells (Ojala et al., 2002)."""
    from skimage.feature import local_binary_pattern

    rows = []
    for image in images:
        codes = local_binary_pattern(image, 8, 1, "nri_uniform").astype(np.int64)
        cells = codes.reshape(6, 8, 6, 8).swapaxes(1, 2).reshape(36, 64)
        places = cells + 59 * np.arange(36)[:, None]
        rows.append(np.bincount(places.ravel(), minlength=36 * 59))
    return np.sqrt(np.array(rows, dtype=np.float32))


def hog(images: np.ndarray) -> np.ndarray:
    """Return histograms of oriented gradients, 8 directions in cells of 8 pixels (Dalal and Triggs, 2005)."""
    from skimage.feature import hog

    options: dict[str, Any] = {"orientations": 8, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
    return np.array([hog(image, **options) for image in images], dtype=np.float32)


def orb_descriptors(images: np.ndarray) -> list[np.ndarray]:
    """Return ORB descriptors (Rublee et al., 2011) of each image, at twice its size: bool (n, 256)."""
    from skimage.feature import ORB

    found: list[np.ndarray] = []
    for image in images:
        detector = ORB(n_keypoints=40, n_scales=1, fast_threshold=0.02)
        large = np.kron(image, np.ones((2, 2))) / 255
        try:
            detector.detect_and_extract(large)
            found.append(np.asarray(detector.descriptors))
        except RuntimeError:  # no corner anywhere
            found.append(np.zeros((0, 256), dtype=bool))
    return found


def drawn(faces: Faces) -> np.ndarray:
    """Return the places of the training images that ORB learns from."""
    return np.random.default_rng(SEED).permutation(len(faces.train))[:ORB_IMAGES]


def orb(faces: Faces) -> Sets:
    """Return how often each of 256 visual words occurs (Csurka et al., 2004); the words are train's."""
    described = {one.split: orb_descriptors(one.images) for one in faces if one.split != "train"}
    described["train"] = orb_descriptors(faces.train.images[drawn(faces)])
    every = np.concatenate(described["train"])
    some = np.random.default_rng(SEED).choice(len(every), min(100_000, len(every)), replace=False)
    words = MiniBatchKMeans(WORDS, random_state=SEED, n_init=1, batch_size=4096)
    words.fit(every[some].astype(np.float32))
    counts = {}
    for split, images in described.items():
        rows = []
        for one in images:
            named = words.predict(one.astype(np.float32)) if len(one) else np.zeros(0, dtype=np.int64)
            rows.append(np.bincount(named, minlength=WORDS))
        counts[split] = np.sqrt(np.array(rows, dtype=np.float32))
    return counts


def each(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Faces], Sets]:
    """Return what computes a feature for every split."""
    return lambda faces: {one.split: function(one.images) for one in faces}


FEATURES: dict[str, tuple[Callable[[Faces], Sets], str]] = {
    "LBP": (each(lbp), "59 uniform patterns of 8 neighbours at distance 1, in 6 x 6 cells; square roots"),
    "ORB": (
        orb,
        "40 corners at twice the size, one scale; a bag of 256 words; square roots; fewer training images",
    ),
    "HOG": (each(hog), "8 directions, cells of 8 pixels, blocks of 2 x 2"),
}


def measure(faces: Faces, features: Callable[[Faces], Sets], free: np.ndarray) -> dict[str, Any]:
    """Return what a linear SVM reaches; C is chosen on val, and test is opened once."""
    start = time.perf_counter()
    rows = features(faces)
    seconds = time.perf_counter() - start
    scaler = StandardScaler().fit(rows["train"])
    rows = {split: scaler.transform(values) for split, values in rows.items()}
    start = time.perf_counter()
    tried, machines = {}, {}
    labels = faces.train.labels
    if len(labels) != len(rows["train"]):
        labels = labels[drawn(faces)]
    for c in CHOICES:
        machine = LinearSVC(C=c, dual=False, random_state=SEED, tol=1e-2)
        machines[c] = machine.fit(rows["train"], labels)
        tried[c] = float((machine.predict(rows["val"]) == faces.val.labels).mean())
    fitted = time.perf_counter() - start
    best = max(tried, key=lambda c: tried[c])
    labels, preds = faces.test.labels, machines[best].predict(rows["test"])
    low, high = bootstrap_interval(labels, preds)
    recalls = [float((preds[labels == k] == k).mean()) for k in range(len(EMOTIONS))]
    return {
        "training_images": len(rows["train"]),
        "dimensions": int(rows["train"].shape[1]),
        "val_accuracy_by_c": {str(c): round(value, 4) for c, value in tried.items()},
        "c": best,
        "val_accuracy": round(tried[best], 4),
        "test_accuracy": round(float((preds == labels).mean()), 4),
        "test_interval": [round(low, 4), round(high, 4)],
        "test_accuracy_without_twins": round(float((preds == labels)[free].mean()), 4),
        "test_recalls": [round(value, 4) for value in recalls],
        "seconds_features": round(seconds, 1),
        "seconds_svm": round(fitted, 1),
    }


def main(source: str) -> None:
    faces = load_faces(source)
    found = audit(faces)
    if found.verdict != "official":
        sys.exit(found.report())
    about = environment()
    for name in ("scikit-image", "scikit-learn"):
        about["versions"][name] = metadata.version(name)
    record: dict[str, Any] = {
        "what": "hand-crafted features, standardised, and a linear SVM (squared hinge, one against the rest)",
        "protocol": "trained on train, C chosen on val, test opened once for each feature",
        "seed": SEED,
        "environment": about,
        "data": {"layout": found.layout, "fingerprint": found.fingerprint},
        "emotions": list(EMOTIONS),
        "features": {},
    }
    free = ~twins(faces)["test"]
    for name, (features, words) in FEATURES.items():
        record["features"][name] = {"words": words, **measure(faces, features, free)}
        print(name, record["features"][name], flush=True)
        write_text(RECORD, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
