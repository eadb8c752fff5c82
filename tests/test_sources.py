"""Where data come from: layouts on disk, the cache, Kaggle and the last resort."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
import types
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from fercourse.data import EMOTIONS, cache, hashes, load_faces
from fercourse.data import sources as sources_module
from fercourse.errors import FercourseError

USAGES = ("Training", "PublicTest", "PrivateTest")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own, and no data set of the user's."""
    monkeypatch.setenv("FERCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FERCOURSE_DATA", raising=False)


@pytest.fixture(scope="module")
def made():
    """30 smooth images, labels and usages."""
    generator = np.random.default_rng(3)
    coarse = generator.integers(0, 256, (30, 6, 6)).astype(np.uint8)
    images = np.stack([np.asarray(Image.fromarray(image).resize((48, 48))) for image in coarse])
    return images, generator.integers(0, 7, 30), np.repeat(USAGES, [16, 7, 7])


def write_csv(path, made):
    images, labels, usages = made
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))},{usage}\n"
        for image, label, usage in zip(images, labels, usages, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("emotion,pixels,Usage\n" + "".join(rows))
    return path


def write_folder(root, made, *, names=None, name="{usage}_{row:08d}.png", size=None, flat=False):
    images, labels, usages = made
    for row, (image, label, usage) in enumerate(zip(images, labels, usages, strict=True)):
        split = "" if flat else "train" if usage == "Training" else "test"
        folder = root / split / (names or EMOTIONS)[label]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        if size:
            picture = picture.resize((size, size), Image.Resampling.NEAREST)
        picture.save(folder / name.format(usage=usage, row=row))
    return root


def in_order(images, labels):
    """Images and labels in an order of their own: a folder's files come in that of their names."""
    key = images.reshape(len(images), -1)[:, ::97]
    order = np.lexsort((*key.T, labels))
    return images[order], labels[order]


def same(faces, made):
    images, labels, usages = made
    for part, usage in zip(faces, USAGES, strict=True):
        expected = images[usages == usage], labels[usages == usage]
        found = part.images, part.labels
        if "folder" in faces.layout or "zip" in faces.layout:
            expected, found = in_order(*expected), in_order(*found)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_csv_by_file_and_by_folder(tmp_path, made):
    path = write_csv(tmp_path / "data" / "fer2013.csv", made)
    for source in (path, path.parent, str(path), tmp_path / "data"):
        faces = load_faces(source)
        same(faces, made)
        assert faces.layout == "fer2013.csv"
        assert "30 rows instead of 35,887" in faces.notes[0]
    same(load_faces(path, cache=False), made)


def test_torchvisions_root_is_understood(tmp_path, made):
    write_csv(tmp_path / "root" / "fer2013" / "fer2013.csv", made)
    same(load_faces(tmp_path / "root"), made)


def test_npz(tmp_path, made):
    images, labels, usages = made
    np.savez(tmp_path / "fer2013.npz", images=images, labels=labels, usage=usages)
    same(load_faces(tmp_path / "fer2013.npz"), made)
    np.savez(tmp_path / "bad.npz", images=images)
    with pytest.raises(FercourseError, match="expected the arrays images"):
        load_faces(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", images=images, labels=labels + 3, usage=usages)
    with pytest.raises(FercourseError, match="labels run from"):
        load_faces(tmp_path / "bad.npz")


def test_kaggle_folder_and_zip(tmp_path, made):
    root = write_folder(tmp_path / "kaggle", made)
    faces = load_faces(root)
    same(faces, made)
    assert faces.details["split_from"] == "file names"
    archive = shutil.make_archive(str(tmp_path / "fer"), "zip", root)
    zipped = load_faces(archive)
    same(zipped, made)
    assert zipped.layout == "kaggle zip"
    shutil.make_archive(str(tmp_path / "outer" / "archive"), "zip", tmp_path, "kaggle")
    same(load_faces(tmp_path / "outer"), made)


def test_a_zip_of_the_csv(tmp_path, made):
    write_csv(tmp_path / "in" / "fer2013.csv", made)
    archive = shutil.make_archive(str(tmp_path / "fer"), "zip", tmp_path / "in")
    same(load_faces(archive), made)


def test_classes_go_by_name_never_by_place(tmp_path, made):
    other = ("Anger", "disgusted", "fearful", "Happiness", "sadness", "surprised", "Neutral")
    same(load_faces(write_folder(tmp_path / "a", made, names=other)), made)
    numbered = tuple(f"{label}_{name}" for label, name in enumerate(sorted(EMOTIONS)))
    faces = load_faces(
        write_folder(
            tmp_path / "b",
            made,
            names=[next(folder for folder in numbered if folder.endswith(name)) for name in EMOTIONS],
        )
    )
    same(faces, made)
    bad = (*EMOTIONS[:6], "contempt")
    with pytest.raises(FercourseError, match="does not lie in a folder of the seven classes"):
        load_faces(write_folder(tmp_path / "c", made, names=bad))


def test_folders_with_a_validation_set_are_taken_as_they_are(tmp_path, made):
    root = write_folder(tmp_path / "a", made, name="im{row}.png")
    for folder in ("validation/happy",):
        (root / folder).mkdir(parents=True)
    Image.fromarray(made[0][0]).save(root / "validation" / "happy" / "x.png")
    faces = load_faces(root)
    assert [len(part) for part in faces] == [16, 1, 14]
    assert faces.details["split_from"] == "folders"


def test_unknown_splits_are_said(tmp_path, made):
    faces = load_faces(write_folder(tmp_path / "a", made, name="im{row}.png"))
    assert [len(part) for part in faces] == [16, 0, 14]
    assert any("file names do not tell the split" in note for note in faces.notes)
    flat = load_faces(write_folder(tmp_path / "b", made, name="im{row}.png", flat=True))
    assert [len(part) for part in flat] == [30, 0, 0]


def test_large_images_are_resized_and_said(tmp_path, made):
    faces = load_faces(write_folder(tmp_path / "a", made, size=192))
    same(faces, made)  # four times as wide by repetition: the mean of each 4x4 block is the pixel
    assert any("192x192" in note for note in faces.notes)
    assert faces.details["sizes"] == {"192x192": 30}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_other_colour_modes(tmp_path, mode):
    grey = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.uint8)
    (tmp_path / "train" / "sad").mkdir(parents=True)
    Image.fromarray(grey).convert(mode).save(tmp_path / "train" / "sad" / "x.png")
    np.testing.assert_array_equal(load_faces(tmp_path).train.images[0], grey)


def test_what_cannot_be_read_is_named(tmp_path, made):
    def refuses(path, words):
        with pytest.raises(FercourseError, match=words):
            load_faces(path)

    refuses(tmp_path / "absent", "There is no file or folder")
    refuses(tmp_path / "syntetic", "did you mean")
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", "is empty; expected fer2013.csv")
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "readme.txt").write_text("hello")
    refuses(tmp_path / "noise", "holds no FER-2013 data")
    (tmp_path / "random.zip").write_bytes(np.random.default_rng(0).bytes(5000))
    refuses(tmp_path / "random.zip", "is no .zip that can be read")
    (tmp_path / "empty.zip").write_bytes(b"")
    refuses(tmp_path / "empty.zip", "is no .zip that can be read")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    refuses(tmp_path / "a.tar.gz", "unpack the archive first")
    (tmp_path / "fer2013.csv").write_text("just some text\n")
    refuses(tmp_path / "fer2013.csv", "is no FER-2013 table")
    (tmp_path / "x.npz").write_bytes(b"PK nonsense")
    refuses(tmp_path / "x.npz", "cannot be read")
    root = write_folder(tmp_path / "kaggle", made)
    whole = shutil.make_archive(str(tmp_path / "whole"), "zip", root)
    with open(whole, "rb") as file:
        (tmp_path / "cut.zip").write_bytes(file.read()[:-300])
    refuses(tmp_path / "cut.zip", "is no .zip that can be read")
    broken = next(root.glob("test/*/*.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    refuses(root, f"{broken.name} cannot be read as an image")
    with zipfile.ZipFile(tmp_path / "nothing.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refuses(tmp_path / "nothing.zip", "holds no FER-2013 data")


def test_the_challenges_pair(tmp_path, made):
    images, labels, _ = made
    rows = [" ".join(map(str, image.ravel())) for image in images]
    (tmp_path / "train.csv").write_text(
        "emotion,pixels\n"
        + "".join(f"{label},{row}\n" for label, row in zip(labels[:16], rows[:16], strict=True))
    )
    with pytest.raises(FercourseError, match="no column Usage"):
        load_faces(tmp_path / "train.csv")
    (tmp_path / "test.csv").write_text("pixels\n" + "\n".join(rows[16:]))
    for source in (tmp_path, tmp_path / "train.csv", tmp_path / "test.csv"):
        faces = load_faces(source)
        assert len(faces.train) == 16
        assert (np.concatenate([faces.val.labels, faces.test.labels]) == -1).all()
        assert any("no labels" in note for note in faces.notes)


def test_drawn_faces_by_name():
    with pytest.raises(FercourseError, match="did you mean 'synthetic-hard'"):
        load_faces("synthetic-hart")
    with pytest.raises(FercourseError, match="drawn faces have none"):
        load_faces("synthetic", votes="x")


class Counter:
    """Counts how often a source is really read."""

    def __init__(self, monkeypatch):
        self.count = 0
        original = sources_module.read_table

        def counting(*args, **keywords):
            self.count += 1
            return original(*args, **keywords)

        monkeypatch.setattr(sources_module, "read_table", counting)


def age(path, seconds=10):
    """The cache trusts times only when they have settled; this sets the modification time back."""
    past = time.time() - seconds
    os.utime(path, (past, past))


def test_the_second_load_comes_from_the_cache(tmp_path, made, monkeypatch):
    reads = Counter(monkeypatch)
    path = write_csv(tmp_path / "fer2013.csv", made)
    first = load_faces(path)
    second = load_faces(path)
    assert reads.count == 1
    assert second.fingerprint == first.fingerprint
    assert second.notes == first.notes
    assert second.details == first.details
    copy = tmp_path / "elsewhere" / "fer2013.csv"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    moved = load_faces(copy)
    assert reads.count == 1, "the same bytes elsewhere need no second parse"
    assert moved.source == str(copy)


def test_an_edited_file_is_never_served_stale(tmp_path, made, monkeypatch):
    """Same size, same modification time: only the content differs."""
    reads = Counter(monkeypatch)
    path = write_csv(tmp_path / "fer2013.csv", made)
    age(path)
    stamp = os.stat(path)
    time.sleep(0.08)
    load_faces(path)
    load_faces(path)
    data = path.read_bytes()
    at = data.index(b"\n") + 1
    edited = data[:at] + (b"1" if data[at : at + 1] != b"1" else b"2") + data[at + 1 :]
    path.write_bytes(edited)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert os.stat(path).st_size == stamp.st_size
    faces = load_faces(path)
    assert faces.train.labels[0] == int(edited[at : at + 1])
    assert reads.count == 2


def test_an_edited_folder_is_never_served_stale(tmp_path, made):
    root = write_folder(tmp_path / "kaggle", made)
    time.sleep(0.08)
    before = load_faces(root)
    target = next(root.glob("train/*/*.png"))
    Image.fromarray(np.full((48, 48), 7, np.uint8)).save(target)
    changed = load_faces(root)
    assert changed.fingerprint != before.fingerprint
    target.unlink()
    assert len(load_faces(root).train) == len(before.train) - 1


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_entries_are_noticed_and_made_again(tmp_path, made, monkeypatch, damage):
    reads = Counter(monkeypatch)
    path = write_csv(tmp_path / "fer2013.csv", made)
    load_faces(path)
    entry = next((tmp_path / "cache" / "faces").glob("*.npz"))
    data = bytearray(entry.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 3] ^= 255
    else:
        data = bytearray(b"" if damage == "empty" else b"not an archive")
    entry.write_bytes(data)
    with pytest.warns(UserWarning, match="damaged"):
        faces = load_faces(path)
    same(faces, made)
    assert reads.count == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(load_faces(path), made)
    assert reads.count == 2


def test_a_damaged_index_only_costs_time(tmp_path, made):
    path = write_csv(tmp_path / "fer2013.csv", made)
    time.sleep(0.08)
    load_faces(path)
    for index in (tmp_path / "cache" / "index").glob("*.json"):
        index.write_text("{")
    same(load_faces(path), made)


def test_a_cache_that_cannot_be_written(tmp_path, made, monkeypatch):
    """A file where the folder should be: root, too, cannot write below it."""
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("FERCOURSE_CACHE", str(tmp_path / "blocked"))
    path = write_csv(tmp_path / "fer2013.csv", made)
    with pytest.warns(UserWarning, match="not cached"):
        same(load_faces(path), made)


def test_old_entries_make_room(tmp_path, made):
    for number in range(cache.ENTRIES + 3):
        labels = made[1].copy()
        labels[0] = number % 7
        labels[1] = number // 7
        load_faces(write_csv(tmp_path / str(number) / "fer2013.csv", (made[0], labels, made[2])))
    assert len(list((tmp_path / "cache" / "faces").glob("*.npz"))) == cache.ENTRIES


def stub_kagglehub(monkeypatch, download):
    module = types.ModuleType("kagglehub")
    module.dataset_download = download
    monkeypatch.setitem(sys.modules, "kagglehub", module)


def drawn(monkeypatch):
    """Stand-in for the drawn faces, which have tests of their own: only who is asked matters here."""
    asked = []
    module = types.ModuleType("fercourse.data.synthetic")
    module.synthetic_faces = lambda preset: asked.append(preset) or "drawn"
    monkeypatch.setitem(sys.modules, "fercourse.data.synthetic", module)
    return asked


def offline(*_, **__):
    raise ConnectionError("no route to host")


def test_without_data_or_network_the_drawn_faces_come_loudly(monkeypatch, capsys):
    asked = drawn(monkeypatch)
    stub_kagglehub(monkeypatch, offline)
    with pytest.warns(UserWarning, match=r"NO FER-2013 DATA.*no route to host.*DRAWN"):
        assert load_faces() == "drawn"
    assert asked == ["standard"]
    assert "NO FER-2013 DATA" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.warns(UserWarning, match="kagglehub is not installed"):
        assert load_faces() == "drawn"


def test_the_environment_comes_first(tmp_path, made, monkeypatch):
    monkeypatch.setenv("FERCOURSE_DATA", str(write_csv(tmp_path / "fer2013.csv", made)))
    same(load_faces(), made)


def test_what_is_not_fer2013_is_not_remembered(tmp_path, made, monkeypatch):
    drawn(monkeypatch)
    stub_kagglehub(monkeypatch, offline)
    load_faces(write_csv(tmp_path / "fer2013.csv", made))
    with pytest.warns(UserWarning, match="NO FER-2013 DATA"):
        assert load_faces() == "drawn"


def test_an_interrupted_download_leaves_nothing(tmp_path, made, monkeypatch):
    """Half a copy, an interruption, and on the next run the library takes its half for whole."""
    drawn(monkeypatch)
    folder = tmp_path / "hub"
    calls = []

    def download(name, force_download=False):
        calls.append((name, force_download))
        if len(calls) == 1:
            write_folder(folder, tuple(part[:10] for part in made))
            raise KeyboardInterrupt
        return str(folder)

    stub_kagglehub(monkeypatch, download)
    with pytest.raises(KeyboardInterrupt):
        load_faces()
    with pytest.warns(UserWarning, match="not whole"):
        assert load_faces() == "drawn"
    # It was told to fetch anew before it was given up.
    assert calls == [(sources_module.KAGGLE_DATASET, again) for again in (False, False, True)]
    assert cache.default_key() is None


def test_the_real_download(real_data, monkeypatch):
    """The layout as Kaggle serves it: whole on the second try, then from the cache without a call."""
    calls = []

    def download(name, force_download=False):
        assert name == "msambare/fer2013"
        calls.append(force_download)
        return str(real_data / "kaggle" / ("." if force_download else "test/angry"))

    stub_kagglehub(monkeypatch, download)
    faces = load_faces()
    assert calls == [False, True]
    assert [len(part) for part in faces] == list(hashes.OFFICIAL_SIZES.values())
    assert faces.details["rows"] == "official"
    np.testing.assert_array_equal(faces.val.rows, np.arange(28709, 32298))
    again = load_faces()
    assert again.fingerprint == faces.fingerprint
    assert len(calls) == 2
    # Votes are joined by the recovered rows: the label of a happy face agrees with its voters.
    voted = load_faces(votes=real_data / "fer2013new.csv")
    happy = voted.test.labels == EMOTIONS.index("happy")
    assert (voted.test.votes[happy].argmax(axis=1) == 1).mean() > 0.9


def test_the_real_csv_and_its_cache(real_data):
    faces = load_faces(real_data / "fer2013.csv")
    assert faces.fingerprint == hashes.OFFICIAL_FINGERPRINT
    assert faces.train.votes.shape == (28709, 10)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        again = load_faces(real_data / "fer2013.csv")
        seconds.append(time.perf_counter() - start)
    assert again.fingerprint == faces.fingerprint
    assert min(seconds) < 0.3, seconds
    assert cache.default_key()
    np.testing.assert_array_equal(load_faces().test.images, faces.test.images)


def test_images_recovered_without_names(real_data, tmp_path):
    """Renamed copies of a sample of official images: the split comes from the table of hashes."""
    with np.load(real_data / "fer2013.npz") as stored:
        rows = np.arange(0, 35887, 90)
        images, labels = stored["images"][rows], stored["labels"][rows]
    for number, row in enumerate(np.random.default_rng(0).permutation(len(rows))):
        folder = tmp_path / "all" / ("train" if rows[row] < 28709 else "test") / EMOTIONS[labels[row]]
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(images[row]).save(buffer, "jpeg", quality=92)
        (folder / f"im{number}.jpg").write_bytes(buffer.getvalue())
    faces = load_faces(tmp_path / "all")
    assert faces.details["split_from"] == "table of image hashes"
    assert any("recovered from the table" in note for note in faces.notes)
    np.testing.assert_array_equal(faces.val.rows, rows[(rows >= 28709) & (rows < 32298)])
    np.testing.assert_array_equal(faces.test.labels, labels[rows >= 32298])
