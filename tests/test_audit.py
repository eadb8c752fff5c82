"""The audit on the real data, as it is and with what is done to copies in the wild planted in it."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from fercourse.data import SPLITS, Faces, FaceSet, aggregates, audit, hashes, load_faces, twins
from fercourse.data.audit import image_digests
from fercourse.data.verdict import compare

TRAIN, VAL, TEST = np.arange(28709), np.arange(28709, 32298), np.arange(32298, 35887)
Resampling = Image.Resampling


def jpeg(image: Image.Image, quality: int = 95) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer))


def alter(images: np.ndarray, function, quality: int = 95) -> np.ndarray:
    """Each image through ``function`` and saved as JPEG."""
    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(lambda image: jpeg(function(Image.fromarray(image)), quality), images)))


def as_faces(images, labels, sizes=(28709, 3589, 3589), details=None) -> Faces:
    ends = np.cumsum(sizes)
    parts = [
        FaceSet(images[end - size : end], labels[end - size : end], split, np.arange(size))
        for split, size, end in zip(SPLITS, sizes, ends, strict=True)
    ]
    return Faces(*parts, layout="test", source="test", details=details or {})


@pytest.fixture(scope="module")
def real(real_data):
    """Official images and labels, in the file's order."""
    with np.load(real_data / "fer2013.npz") as stored:
        return stored["images"], stored["labels"]


@pytest.fixture(scope="module")
def copy(real_data):
    """The Kaggle copy (JPEG of quality 95), sorted by official row: where a plant may grow."""
    faces = load_faces(real_data / "kaggle", cache=False)
    assert faces.details["rows"] == "official"
    return faces


def planted(copy) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([part.images for part in copy]), np.concatenate([part.labels for part in copy])


def test_the_official_file(real_data):
    found = audit(load_faces(real_data / "fer2013.csv", cache=False))
    assert found.verdict == "official"
    assert found.reasons == ()
    assert found.fingerprint == hashes.OFFICIAL_FINGERPRINT
    assert list(found.counts["train"].values()) == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert list(found.counts["val"].values()) == [467, 56, 496, 895, 653, 415, 607]
    assert list(found.counts["test"].values()) == [491, 55, 528, 879, 594, 416, 626]
    assert found.duplicates["distinct"] == 34034
    assert found.duplicates["groups"] == 1516
    assert found.duplicates["surplus"] == 1853
    assert found.duplicates["groups_across_splits"] == 557
    assert found.duplicates["test_in_train"] == 288
    assert found.duplicates["val_in_train"] == 280
    assert found.duplicates["conflicting_labels"] == 57
    assert sum(found.constant.values()) == 13
    assert found.pixels["train"]["mean"] == pytest.approx(0.5077, abs=5e-5)
    assert found.pixels["train"]["std"] == pytest.approx(0.2550, abs=5e-5)
    assert found.pixels["all"]["std"] == pytest.approx(0.2551, abs=5e-5)
    assert found.ferplus["agreement"] == pytest.approx(0.64, abs=0.006)
    report = found.report()
    for words in (
        "Verdict: OFFICIAL\n",
        "28,709",
        "34,034 distinct",
        "288 test and 280 val",
        "48x48 (35,887)",
    ):
        assert words in report
    assert json.loads(json.dumps(found.to_dict()))["verdict"] == "official"


def test_the_committed_audit_is_of_the_official_file(root):
    """The book replays it: it must be what the test above asserts, and hold no single face."""
    record = json.loads((root / "results" / "audits" / "fer2013.json").read_text())
    assert record["fingerprint"] == hashes.OFFICIAL_FINGERPRINT
    assert record["verdict"] == "official"
    assert record["duplicates"]["distinct"] == 34034
    path = root / "results" / "audits" / "fer2013-aggregates.npz"
    assert path.stat().st_size < 150_000
    with np.load(path) as stored:
        assert stored["mean_faces"].shape == (7, 48, 48)
        assert stored["histograms"].sum() == 35887 * 2304
        # The mean of thousands of faces is soft; a face is not.
        assert np.abs(np.diff(stored["mean_faces"].astype(float))).mean() < 3


def test_the_kaggle_copy(copy):
    found = audit(copy)
    assert found.verdict == "official pixels re-encoded", found.reasons
    assert found.duplicates["groups_across_splits"] == 557
    assert found.naming["split_from"] == "file names"
    assert "PrivateTest_#.jpg (3,589)" in found.report()


@pytest.mark.parametrize("quality", [75, 80, 85, 90, 100])
def test_jpeg_of_any_decent_quality_passes(real, quality):
    """On every sixth image; that the others are missing is all that is said."""
    images, labels = real
    rows = np.arange(0, len(images), 6)
    sizes = [int(np.isin(rows, split).sum()) for split in (TRAIN, VAL, TEST)]
    faces = as_faces(alter(images[rows], lambda image: image, quality), labels[rows], sizes)
    reasons = compare(faces).reasons
    assert len(reasons) == 1
    assert "of the official images are missing" in reasons[0]


WHOLE = {
    "blur": (lambda image: image.filter(ImageFilter.GaussianBlur(1)), "fine detail|match no official"),
    "slight blur": (lambda image: image.filter(ImageFilter.GaussianBlur(0.5)), "fine detail"),
    "lanczos": (
        lambda image: image.resize((224, 224), Resampling.LANCZOS).resize((48, 48), Resampling.LANCZOS),
        "fine detail",
    ),
    "bilinear": (
        lambda image: image.resize((224, 224), Resampling.BILINEAR).resize((48, 48), Resampling.BILINEAR),
        "fine detail",
    ),
    "equalise": (ImageOps.equalize, "match no official"),
    "brighter": (lambda image: image.point(lambda value: min(255, value + 3)), "match no official|brighter"),
    "contrast": (lambda image: ImageEnhance.Contrast(image).enhance(1.05), "match no official|stronger"),
    "rotation": (lambda image: image.rotate(5, Resampling.BILINEAR), "match no official"),
    "flip": (ImageOps.mirror, "official images mirrored"),
}


def quarter(real, copy, function=None, every=1) -> list[str]:
    """The reasons for every fourth image of the copy, ``function`` applied to every so many of the test ones.

    That the other images are missing is always said and left out here. The altered images are made of the
    official ones and saved once as JPEG, of the copy's own quality.
    """
    images, labels = planted(copy)
    rows = np.arange(0, len(images), 4)
    images, labels = images[rows], labels[rows]
    if function is not None:
        some = np.flatnonzero(rows >= TEST[0])[::every]
        images[some] = alter(real[0][rows[some]], function)
    sizes = [int(np.isin(rows, split).sum()) for split in (TRAIN, VAL, TEST)]
    reasons = compare(as_faces(images, labels, sizes)).reasons
    return [reason for reason in reasons if "official images are missing" not in reason]


def test_the_untouched_quarter_has_no_fault(real, copy):
    assert quarter(real, copy) == []
    assert quarter(real, copy, lambda image: image) == []


@pytest.mark.parametrize("name", WHOLE)
def test_an_altered_test_split_is_called_out(real, copy, name):
    function, words = WHOLE[name]
    reasons = quarter(real, copy, function)
    assert any(re.search(words, reason) for reason in reasons), reasons
    assert not any("train" in reason for reason in reasons), reasons


@pytest.mark.parametrize("name", ["blur", "slight blur", "equalise", "rotation", "flip", "brighter"])
def test_a_few_altered_images_are_called_out(real, copy, name):
    """One test image in ten."""
    assert quarter(real, copy, WHOLE[name][0], every=10)


def test_counts_do_not_excuse_altered_images(real, copy):
    """Every image and label is there, and one test image in twenty is mirrored."""
    images, labels = planted(copy)
    images[TEST[::20]] = alter(real[0][TEST[::20]], ImageOps.mirror)
    assert compare(as_faces(images, labels)).verdict == "not the benchmark"


def test_labels_changed(copy):
    images, labels = planted(copy)
    changed = np.random.default_rng(0).choice(len(labels), 20, replace=False)
    labels[changed] = (labels[changed] + 1) % 7
    found = compare(as_faces(images, labels))
    assert found.verdict == "not the benchmark"
    assert sum(found.numbers["wrong_label"].values()) == 20


def test_labels_exchanged_with_every_count_right(copy):
    images, labels = planted(copy)
    a, b = TEST[labels[TEST] == 3][:5], TEST[labels[TEST] == 4][:5]
    labels[a], labels[b] = 4, 3
    found = compare(as_faces(images, labels))
    assert found.verdict == "not the benchmark"
    assert found.numbers["wrong_label"] == {"train": 0, "val": 0, "test": 10}


def test_split_again(copy):
    """One image in a hundred exchanged between train and test, within its class: every count is right."""
    images, labels = planted(copy)
    order = np.arange(len(labels))
    for label in range(7):
        mine, theirs = TRAIN[labels[TRAIN] == label], TEST[labels[TEST] == label]
        some = len(theirs) // 20
        order[mine[:some]], order[theirs[:some]] = theirs[:some], mine[:some]
    found = compare(as_faces(images[order], labels[order]))
    assert found.verdict == "not the benchmark"
    assert any("stand in another split" in reason for reason in found.reasons)


def test_val_and_test_swapped(copy):
    images, labels = planted(copy)
    order = np.concatenate((TRAIN, TEST, VAL))
    found = compare(as_faces(images[order], labels[order]))
    assert found.verdict == "not the benchmark"
    assert any("are swapped" in reason for reason in found.reasons)


def test_training_images_in_test_with_counts_kept(copy):
    images, labels = planted(copy)
    for place in TEST[::40]:
        images[place] = images[TRAIN[labels[TRAIN] == labels[place]][place % 400]]
    found = compare(as_faces(images, labels))
    assert found.verdict == "not the benchmark"
    assert any("further copies" in reason for reason in found.reasons)
    assert any("are missing" in reason for reason in found.reasons)


def test_one_pixel_in_the_whole_file(real):
    images, labels = real[0].copy(), real[1]
    images[-1, 20, 20] ^= 1
    found = compare(as_faces(images, labels))
    assert found.verdict == "not the benchmark"
    assert "pixels were altered" in found.reasons[0]


def test_another_order_is_still_official(real):
    images, labels = real
    order = np.concatenate((np.random.default_rng(0).permutation(TRAIN), VAL, TEST))
    assert compare(as_faces(images[order], labels[order])).verdict == "official"


def test_rows_missing(real):
    images, labels = real
    found = compare(as_faces(images[10:], labels[10:], (28699, 3589, 3589)))
    assert found.verdict == "not the benchmark"
    assert found.numbers["missing"] == {"train": 10, "val": 0, "test": 0}


def test_sizes_other_than_48_are_never_official(real):
    found = compare(as_faces(*real, details={"sizes": {"224x224": 35887}}))
    assert found.verdict == "not the benchmark"
    assert "not 48x48 but 224x224" in found.reasons[0]


def test_the_challenge_pair_has_its_split_recovered(real, real_data, tmp_path):
    """As the challenge gave it, labels in train.csv alone (of which some rows will do here)."""
    with open(real_data / "fer2013.csv") as file:
        rows = [line.split(",")[:2] for number, line in enumerate(file) if 0 < number <= 50 or number > 28709]
    (tmp_path / "train.csv").write_text(
        "emotion,pixels\n" + "".join(f"{label},{pixels}\n" for label, pixels in rows[:50])
    )
    (tmp_path / "test.csv").write_text("pixels\n" + "".join(f"{pixels}\n" for _, pixels in rows[50:]))
    faces = load_faces(tmp_path, cache=False)
    np.testing.assert_array_equal(faces.val.images, real[0][VAL])
    np.testing.assert_array_equal(faces.test.images, real[0][TEST])
    found = audit(faces)
    assert found.verdict == "not the benchmark"
    assert "7,178 images have no label, so nothing can be evaluated on them." in found.reasons


def random_faces(sizes=(60, 20, 20)) -> Faces:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (sum(sizes), 48, 48)).astype(np.uint8)
    return as_faces(images, generator.integers(0, 7, sum(sizes)), sizes)


def test_other_images_without_any_real_data():
    faces = random_faces()
    faces.test.images[3] = faces.train.images[5]
    faces.test.images[4] = faces.val.images[5]
    faces.val.images[0] = faces.val.images[1]
    faces.train.images[0] = 9
    faces.train.images[1:3] = faces.train.images[7]
    faces.train.labels[[1, 2, 7]] = [0, 0, 1]
    found = audit(faces)
    assert found.verdict == "not the benchmark"
    assert any("match no official image" in reason for reason in found.reasons)
    assert found.duplicates == {
        "distinct": 95,
        "groups": 4,
        "surplus": 5,
        "groups_across_splits": 2,
        "val_in_train": 0,
        "test_in_train": 1,
        "test_in_train_or_val": 2,
        "val_in_train_or_test": 1,
        "conflicting_labels": found.duplicates["conflicting_labels"],
    }
    assert found.duplicates["conflicting_labels"] >= 1
    assert found.constant == {"train": 1, "val": 0, "test": 0}
    masks = twins(faces)
    assert np.flatnonzero(masks["test"]).tolist() == [3, 4]
    assert np.flatnonzero(masks["val"]).tolist() == [5]
    assert np.flatnonzero(masks["train"]).tolist() == [5]


def test_twins_on_the_real_data(real):
    masks = twins(as_faces(*real))
    train, test = set(image_digests(real[0][TRAIN]).tolist()), image_digests(real[0][TEST]).tolist()
    assert sum(digest in train for digest in test) == 288
    assert masks["test"].sum() == 314  # 26 more stand in val only


def test_aggregates_are_what_numpy_says():
    faces = random_faces()
    found = aggregates(faces)
    mine = faces.train.images[faces.train.labels == 2].astype(float)
    np.testing.assert_allclose(found["mean_faces"][2], mine.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["std_faces"][2], mine.std(axis=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["mean_face"], faces.train.images.mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(
        found["histograms"][1], np.bincount(faces.val.images.ravel(), minlength=256)
    )
    assert found["counts"].sum() == 100


def test_signatures_do_not_depend_on_chunks(real):
    whole = hashes.signatures(real[0][:5000])
    np.testing.assert_array_equal(whole[4100:4200], hashes.signatures(real[0][4100:4200]))
    np.testing.assert_array_equal(whole, hashes.official().signatures[:5000])


def test_an_empty_split_is_no_obstacle():
    faces = random_faces((30, 0, 10))
    assert audit(faces).verdict == "not the benchmark"
    assert "val" in audit(faces).report()
