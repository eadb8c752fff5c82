"""Drawn faces: deterministic, labelled truthfully, hard enough, and moved by their action units."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from fercourse.data.faces import EMOTIONS, Faces
from fercourse.data.synthetic import (
    ACTION_UNITS,
    PARAMETERS,
    PARTS,
    PRESETS,
    PROTOTYPES,
    draw,
    draw_faces,
    emotion_units,
    masks,
    portraits,
    render,
    synthetic_faces,
)
from fercourse.errors import FercourseError


@pytest.fixture(scope="module")
def faces() -> Faces:
    return synthetic_faces(sizes=(2000, 60, 800))


def test_shapes_types_and_names(faces: Faces) -> None:
    assert faces.layout == "synthetic"
    for part, size in zip(faces, (2000, 60, 800), strict=True):
        assert part.images.shape == (size, 48, 48)
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        truth = part.truth
        assert truth["units"].shape == (size, len(ACTION_UNITS))
        assert truth["units"].dtype == np.float32
        assert truth["parameters"].shape == (size, len(PARAMETERS))
        assert truth["corrupted"].dtype == bool
        assert {"intensity", "yaw", "pitch", "roll", "clean_label"} <= set(truth)
        assert part.subset(slice(5, 9)).truth["units"].shape[0] == 4


def test_a_seed_gives_the_same_bytes_on_every_machine() -> None:
    faces = synthetic_faces(sizes=(40, 10, 10), seed=3)
    digest = hashlib.sha256(faces.train.images.tobytes() + faces.train.labels.astype("<i8").tobytes())
    # The first 16 digits; they change with DATA_VERSION and with nothing else.
    assert digest.hexdigest()[:16] == "e4be2885eac52b72"


def test_seeds_and_splits_differ(faces: Faces) -> None:
    other = synthetic_faces(sizes=(60, 60, 0), seed=1)
    assert not (faces.train.images[:60] == other.train.images).all(axis=(1, 2)).any()
    assert not (faces.train.images[:60] == faces.val.images).all(axis=(1, 2)).any()


def test_a_small_split_is_the_beginning_of_a_large_one(faces: Faces) -> None:
    small = synthetic_faces(sizes=(100, 0, 7))
    for part in ("train", "test"):
        count = len(small[part])
        np.testing.assert_array_equal(small[part].images, faces[part].images[:count])
        np.testing.assert_array_equal(small[part].labels, faces[part].labels[:count])
        for name, values in small[part].truth.items():
            np.testing.assert_array_equal(values, faces[part].truth[name][:count])


@pytest.mark.parametrize(("batch", "threads"), [(7, 1), (64, 3), (500, 2)])
def test_batches_and_threads_change_nothing(
    faces: Faces, batch: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_BATCH", batch)
    images, found = draw(faces.train.truth["parameters"][:150], masks=True, threads=threads)
    np.testing.assert_array_equal(images, faces.train.images[:150])
    monkeypatch.undo()
    for part, mask in masks(faces.train.truth["parameters"][:150]).items():
        np.testing.assert_array_equal(found[part], mask)


def test_another_order_gives_the_same_pictures(faces: Faces) -> None:
    order = np.random.default_rng(0).permutation(200)
    again = draw(faces.train.truth["parameters"][order])
    np.testing.assert_array_equal(again, faces.train.images[order])


def test_class_imbalance_is_that_of_fer2013() -> None:
    labels = synthetic_faces(sizes=(2000, 0, 0), seed=5).train.labels
    expected = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965]) / 28709
    spread = np.sqrt(expected * (1 - expected) / len(labels))
    share = np.bincount(labels, minlength=7) / len(labels)
    assert np.all(np.abs(share - expected) < 4 * spread)


def test_truth_agrees_with_the_labels(faces: Faces) -> None:
    part = faces.train
    np.testing.assert_array_equal(part.truth["clean_label"], part.labels)
    assert not part.truth["corrupted"].any()
    neutral = part.labels == EMOTIONS.index("neutral")
    assert np.all(part.truth["intensity"][neutral] == 0)
    low, high = PRESETS["standard"].intensity
    assert part.truth["intensity"][~neutral].min() >= low
    assert part.truth["intensity"][~neutral].max() <= high
    assert part.truth["units"][neutral].max() < 0.25
    strong = part.truth["intensity"] > 0.8
    for emotion, unit in (("happy", "AU12"), ("sad", "AU15"), ("angry", "AU4"), ("surprise", "AU2")):
        chosen = strong & (part.labels == EMOTIONS.index(emotion))
        others = strong & ~chosen
        column = part.truth["units"][:, ACTION_UNITS.index(unit)]
        assert column[chosen].mean() > 0.75 > 0.45 > column[others].mean()
    np.testing.assert_array_equal(part.truth["yaw"], part.truth["parameters"][:, PARAMETERS.index("yaw")])


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_label_noise_corrupts_that_share_of_the_training_labels(faces: Faces, share: float) -> None:
    noisy = synthetic_faces(sizes=(2000, 0, 300), label_noise=share)
    wrong = noisy.train.labels != noisy.train.truth["clean_label"]
    np.testing.assert_array_equal(wrong, noisy.train.truth["corrupted"])
    assert abs(wrong.mean() - share) < 4 * np.sqrt(share * (1 - share) / 2000)
    np.testing.assert_array_equal(noisy.train.images, faces.train.images)
    np.testing.assert_array_equal(noisy.train.truth["clean_label"], faces.train.labels)
    np.testing.assert_array_equal(noisy.test.labels, noisy.test.truth["clean_label"])


def _sharp(faces: Faces, count: int) -> np.ndarray:
    """Return parameters of faces without blur and grain, which would spread a part beyond its mask."""
    table = faces.train.truth["parameters"][:count].copy()
    table[:, [PARAMETERS.index("blur"), PARAMETERS.index("noise")]] = 0
    return table


@pytest.mark.parametrize("part", PARTS[:-1])
def test_erasing_a_part_changes_the_pixels_of_its_mask_only(faces: Faces, part: str) -> None:
    table = _sharp(faces, 160)
    whole, found = draw(table, masks=True)
    changed = np.not_equal(draw(table, without=(part,)), whole)
    bare = (table[:, PARAMETERS.index("style")] == 0) & (table[:, PARAMETERS.index("occluder")] == 0)
    assert bare.sum() >= 5
    assert not (changed & ~found[part])[bare].any()
    # Hair and objects hide a part where they cover more than half of a pixel.
    assert (changed & ~found[part]).sum() < 0.06 * changed.sum()
    assert (changed & found[part]).sum() > 0.75 * found[part].sum()
    assert 0.01 < np.median(found[part].mean(axis=(1, 2))) < 0.15


def test_masks_lie_on_the_head_and_leave_out_the_occluder(faces: Faces) -> None:
    table = _sharp(faces, 200)
    found = masks(table)
    for part in PARTS[:-1]:
        assert (found[part] & found["head"]).sum() > 0.97 * found[part].sum()
    covered = table[:, PARAMETERS.index("occluder")] > 0
    assert 10 < covered.sum() < 60
    bare = table.copy()
    bare[:, PARAMETERS.index("occluder")] = 0
    hidden = masks(bare)["head"] & ~found["head"]
    assert hidden[covered].any(axis=(1, 2)).mean() > 0.8
    assert not hidden[~covered].any()
    for part in PARTS[:-1]:
        assert not (found[part] & hidden).any()
    assert np.not_equal(draw(bare), draw(table))[hidden].mean() > 0.9


def _mouth(units: dict[str, float]) -> tuple[float, float, float]:
    """Return rows of the mouth's corners and middle, and its height, in 144ths of the picture."""
    mask = masks(portraits(units, identity=11), size=144)["mouth"][0]
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.arange(144)[:, None]
    middle_row = (rows * mask).sum(axis=0)[columns] / mask.sum(axis=0)[columns]
    ends = np.concatenate([middle_row[:4], middle_row[-4:]])
    centre = middle_row[len(columns) // 2 - 3 : len(columns) // 2 + 3]
    return float(ends.mean()), float(centre.mean()), float(mask[:, columns].sum(axis=0).max())


def test_units_move_what_they_name() -> None:
    rest = _mouth({})
    smile, frown, gape = _mouth({"AU12": 1.0}), _mouth({"AU15": 1.0}), _mouth({"AU26": 1.0, "AU25": 0.6})
    assert smile[0] < rest[0] - 4  # AU12 raises the corners
    assert frown[0] > rest[0] + 4  # AU15 lowers them
    assert gape[2] > rest[2] + 12  # AU26 opens the mouth

    def brow(units: dict[str, float]) -> float:
        mask = masks(portraits(units, identity=11), size=144)["brows"][0]
        return (np.arange(144)[:, None] * mask).sum() / mask.sum()

    assert brow({"AU1": 1.0, "AU2": 1.0}) < brow({}) - 5
    assert brow({"AU4": 1.0}) > brow({}) + 1.5


def test_draw_faces_draws_any_size_person_and_pose() -> None:
    happy = emotion_units("happy")
    people = draw_faces(happy, identity=range(6), size=96)
    assert people.shape == (6, 96, 96)
    assert people.dtype == np.uint8
    assert len({person.tobytes() for person in people}) == 6
    np.testing.assert_array_equal(people[3], draw_faces(happy, identity=3, size=96)[0])
    slide = draw_faces({"AU12": np.linspace(0, 1, 5)}, identity=2)
    assert slide.shape == (5, 48, 48)
    assert len({face.tobytes() for face in slide}) == 5
    assert (draw_faces({}, yaw=0.6) != draw_faces({})).mean() > 0.1
    as_array = np.zeros(len(ACTION_UNITS))
    as_array[ACTION_UNITS.index("AU4")] = 1
    np.testing.assert_array_equal(draw_faces(as_array), draw_faces({"AU4": 1}))


def test_a_small_picture_is_the_large_one_seen_from_afar() -> None:
    large = draw_faces(emotion_units("surprise"), identity=range(8), size=192).astype(float)
    small = draw_faces(emotion_units("surprise"), identity=range(8)).astype(float)
    shrunk = large.reshape(8, 48, 4, 48, 4).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 6


def test_prototypes_are_named_and_sum_to_one() -> None:
    assert tuple(sorted(PROTOTYPES)) == tuple(sorted(EMOTIONS))
    for ways in PROTOTYPES.values():
        assert sum(probability for probability, _ in ways) == pytest.approx(1)
        for _, values in ways:
            assert set(values) <= set(ACTION_UNITS)
    assert emotion_units("happy", intensity=0.5)["AU12"] == 0.5


def test_a_linear_classifier_finds_them_hard_but_not_random(faces: Faces) -> None:
    from sklearn.linear_model import RidgeClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    # Pixels of 24 x 24: an eighth of the time, and a little more accurate than all of them.
    pixels = [
        part.images.reshape(-1, 24, 2, 24, 2).mean(axis=(2, 4)).reshape(len(part), -1) / 255.0
        for part in (faces.train, faces.test)
    ]
    with threadpool_limits(1):
        best = max(
            RidgeClassifier(alpha=alpha)
            .fit(pixels[0], faces.train.labels)
            .score(pixels[1], faces.test.labels)
            for alpha in (30.0, 100.0, 300.0)
        )
    majority = faces.test.counts.max() / len(faces.test)
    assert majority + 0.05 < best < 0.55


def test_presets_are_ordered_by_difficulty() -> None:
    """Nearest class mean among 400 faces: crude, but what is easy for it is easy."""
    found = []
    for preset in ("easy", "standard", "hard"):
        train, _, test = synthetic_faces(preset, sizes=(800, 0, 600))
        x, y = (part.images.reshape(len(part), -1).astype(np.float64) for part in (train, test))
        means = np.stack([x[train.labels == k].mean(axis=0) for k in range(7)])
        guess = ((y[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
        found.append(np.mean([(guess[test.labels == k] == k).mean() for k in range(7)]))
    assert found[0] > found[1] + 0.05 > found[2] + 0.05


def test_drawing_is_fast() -> None:
    """A fraction of the rate in results/drawn-faces.json, in processor time: other programs may run."""
    synthetic_faces(sizes=(200, 0, 0))
    start = time.process_time()
    synthetic_faces(sizes=(1000, 0, 0))
    assert 1000 / (time.process_time() - start) > 500


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"preset": "standrad"}, "did you mean 'standard'"),
        ({"sizes": (1, 2)}, "three whole numbers"),
        ({"sizes": (1, -2, 3)}, "three whole numbers"),
        ({"label_noise": 1.5}, "from 0 to 1"),
        ({"seed": -1}, "whole number from 0"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(FercourseError, match=words):
        synthetic_faces(**arguments)  # type: ignore[arg-type]


def test_mistakes_in_drawing_are_named() -> None:
    with pytest.raises(FercourseError, match="AU12"):
        draw_faces({"AU21": 1})
    with pytest.raises(FercourseError, match="no parameter"):
        draw_faces({}, beards=1)
    with pytest.raises(FercourseError, match="same number"):
        draw_faces({"AU12": [0, 1]}, identity=[1, 2, 3])
    with pytest.raises(FercourseError, match="16 to 1024"):
        draw_faces({}, size=4)
    with pytest.raises(FercourseError, match="emotion"):
        emotion_units("hapy")
    with pytest.raises(FercourseError, match="variants 0 to 2"):
        emotion_units("happy", variant=9)
    with pytest.raises(FercourseError, match="leave out"):
        draw(np.zeros((1, len(PARAMETERS)), np.float32), without=("ear",))
    with pytest.raises(FercourseError, match="shape"):
        masks(np.zeros((2, 3), np.float32))


def test_numpy_is_enough() -> None:
    code = (
        "import sys; from fercourse.data.synthetic import synthetic_faces; synthetic_faces(sizes=(3, 0, 0));"
        "assert not {'torch', 'sklearn', 'scipy', 'matplotlib', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
