"""The readers: every value checked, every mistake named by its row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fercourse.data.faces import SPLITS, FaceSet
from fercourse.data.fer2013 import MD5, read_csv, split_table
from fercourse.data.votes import majority_labels, read_votes, vote_shares
from fercourse.errors import FercourseError

USAGES = ["Training"] * 70 + ["PublicTest"] * 20 + ["PrivateTest"] * 20


@pytest.fixture(scope="module")
def made():
    """110 images whose pixels take every value from 0 to 255, in all lengths of digits."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (len(USAGES), 48, 48)).astype(np.uint8)
    images[1] = generator.integers(0, 10, (48, 48))
    images[2] = 0
    images[3] = 255
    return images, generator.integers(0, 7, len(USAGES))


def rows_of(images, labels, order=("emotion", "pixels", "Usage"), quote=""):
    for image, label, usage in zip(images, labels, USAGES, strict=True):
        pixels = quote + " ".join(map(str, image.ravel())) + quote
        cells = {"emotion": str(label), "pixels": pixels, "Usage": usage}
        yield ",".join(cells[name] for name in order)


def write(path: Path, lines, end="\n", last=True) -> Path:
    path.write_bytes((end.join(lines) + (end if last else "")).encode())
    return path


@pytest.mark.parametrize(
    ("header", "order", "end", "last", "quote"),
    [
        ("emotion,pixels,Usage", ("emotion", "pixels", "Usage"), "\n", True, ""),
        ("emotion, Usage, pixels", ("emotion", "Usage", "pixels"), "\n", False, ""),
        ("Usage,emotion,pixels", ("Usage", "emotion", "pixels"), "\r\n", True, '"'),
        ('"emotion","pixels","Usage"', ("emotion", "pixels", "Usage"), "\r\n", False, '"'),
        ("﻿emotion,pixels,Usage", ("emotion", "pixels", "Usage"), "\n", True, " "),
    ],
)
def test_every_spelling_gives_the_same_arrays(tmp_path, made, header, order, end, last, quote):
    images, labels = made
    path = write(tmp_path / "x.csv", [header, *rows_of(images, labels, order, quote)], end, last)
    table = read_csv(path)
    assert table.images.dtype == np.uint8
    assert table.labels.dtype == np.int64
    np.testing.assert_array_equal(table.images, images)
    np.testing.assert_array_equal(table.labels, labels)
    faces = split_table(table, layout="x", source="x")
    assert [len(part) for part in faces] == [70, 20, 20]
    np.testing.assert_array_equal(faces.val.images, images[70:90])
    np.testing.assert_array_equal(faces.test.rows, np.arange(90, 110))


def test_rows_of_mixed_splits_keep_their_place(tmp_path, made):
    images, labels = made
    lines = list(rows_of(images, labels))
    order = np.random.default_rng(1).permutation(len(lines))
    faces = split_table(
        read_csv(write(tmp_path / "x.csv", ["emotion,pixels,Usage", *(lines[i] for i in order)])),
        layout="x",
        source="x",
    )
    for part in faces:
        np.testing.assert_array_equal(part.images, images[order[part.rows]])
        assert {USAGES[row] for row in order[part.rows]} == {
            dict(zip(SPLITS, ("Training", "PublicTest", "PrivateTest"), strict=True))[part.split]
        }


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(0, 999), min_size=4, max_size=12), pad=st.integers(0, 3))
def test_numbers_are_read_as_python_reads_them(values, pad):
    from fercourse.data.fer2013 import _numbers

    text = np.frombuffer((" " * pad + (" " * (pad + 1)).join(map(str, values)) + " ").encode(), np.uint8)
    found, ends, right = _numbers(text)
    assert right == (max(values) <= 255)
    assert np.count_nonzero(ends) == len(values)
    if right:
        assert found.tolist() == values


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda cells: cells.__setitem__(0, "9"), r"row 101: the label is '9'; expected 0 to 6"),
        (lambda cells: cells.__setitem__(0, "x"), r"row 101: the label is 'x'"),
        (lambda cells: cells.__setitem__(0, ""), r"row 101: the label is ''"),
        (
            lambda cells: cells.__setitem__(1, cells[1].rsplit(" ", 1)[0]),
            r"row 101: 2,303 pixels instead of 2,304",
        ),
        (lambda cells: cells.__setitem__(1, cells[1] + " 7"), r"row 101: 2,305 pixels instead of 2,304"),
        (lambda cells: cells.__setitem__(1, ""), r"row 101: 0 pixels"),
        (lambda cells: cells.__setitem__(1, "300" + cells[1][3:]), r"row 101: a pixel is '300"),
        (lambda cells: cells.__setitem__(1, cells[1] + "00000"), r"row 101: a pixel is"),
        (lambda cells: cells.__setitem__(1, cells[1].replace(" ", " -", 1)), r"row 101: a pixel is '-"),
        (lambda cells: cells.__setitem__(1, cells[1].replace(" ", ". ", 1)), r"row 101: a pixel is"),
        (
            lambda cells: cells.__setitem__(1, cells[1].replace(" ", "\t", 1)),
            r"row 101: a pixel|row 101: 2,30|rows",
        ),
        (lambda cells: cells.__setitem__(2, "Test"), r"row 101: the Usage is 'Test'; expected Training"),
        (lambda cells: cells.pop(), r"row 101: 2 comma-separated fields instead of 3"),
        (lambda cells: cells.append("1"), r"row 101: 4 comma-separated fields"),
        (lambda cells: cells.clear(), r"row 101: the row is empty"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, made, spoil, message):
    lines = list(rows_of(*made))
    cells = lines[100].split(",")
    spoil(cells)
    lines[100] = ",".join(cells)
    with pytest.raises(FercourseError, match=message):
        read_csv(write(tmp_path / "x.csv", ["emotion,pixels,Usage", *lines]))


def test_fields_swapped_between_rows_do_not_cancel_out(tmp_path, made):
    """A pixel too many in one row and one too few in the next: the block's total is right."""
    lines = list(rows_of(*made))
    first, second = lines[10].split(","), lines[11].split(",")
    first[1] += " 5"
    second[1] = second[1].rsplit(" ", 1)[0]
    lines[10], lines[11] = ",".join(first), ",".join(second)
    with pytest.raises(FercourseError, match="row 11: 2,305 pixels"):
        read_csv(write(tmp_path / "x.csv", ["emotion,pixels,Usage", *lines]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"emotion,pixels,Usage\n", "holds a header and no row"),
        (b"Dear diary,\ntoday I had soup.\n", "is no FER-2013 table"),
        (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40, "is no FER-2013 table"),
        (b"emotion,emotion,pixels\n", "is no FER-2013 table"),
        (b"emotion,pixels,Usage\n" + b"\n" * 100_000 + b"0,1,Training\n", "row 1: the row is empty"),
        (b"emotion,pixels,Usage\n0,12 13 14,Training", "row 1: 3 pixels"),
    ],
)
def test_files_that_are_no_table(tmp_path, data, message):
    path = tmp_path / "fer2013.csv"
    path.write_bytes(data)
    with pytest.raises(FercourseError, match=message):
        read_csv(path)


def test_absent_and_unreadable_files(tmp_path):
    with pytest.raises(FercourseError, match="Cannot read"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(FercourseError, match="Cannot read"):
        read_csv(tmp_path)


def test_a_file_cut_short_is_named(tmp_path, made):
    path = write(tmp_path / "x.csv", ["emotion,pixels,Usage", *rows_of(*made)])
    whole = path.read_bytes()
    for cut in (1, 5, 1000, 9000):
        path.write_bytes(whole[: len(whole) - cut])
        if cut == 1:
            assert len(read_csv(path).labels) == 110
        else:
            with pytest.raises(FercourseError, match=r"row (110|109)"):
                read_csv(path)


def test_a_majority_is_more_than_half_of_the_votes():
    """Ties, contempt, unknown and 'no face' make no label; a single vote does not count against it."""
    votes = np.array(
        [
            [6, 0, 0, 1, 3, 0, 0, 0, 0, 0],  # neutral: 6 of 9
            [5, 0, 0, 0, 5, 0, 0, 0, 0, 0],  # a tie
            [0, 4, 0, 0, 0, 0, 0, 0, 3, 1],  # happy: 4 of 7
            [0, 4, 3, 0, 2, 0, 0, 0, 0, 0],  # happy leads, without a majority
            [0, 0, 0, 0, 0, 0, 0, 9, 0, 0],  # contempt
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 10],
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        ]
    )
    images, labels = np.zeros((7, 48, 48), np.uint8), np.zeros(7, np.int64)
    found = majority_labels(FaceSet(images, labels, "test", np.arange(7), votes=votes))
    assert found.tolist() == [6, -1, 3, -1, -1, -1, -1]
    assert found.dtype == np.int64
    with pytest.raises(FercourseError, match=r"no FER\+ votes"):
        majority_labels(FaceSet(images, labels, "test", np.arange(7)))


def test_shares_of_votes_are_soft_labels():
    """A single vote is a slip; contempt, unknown and 'no face' name none of the seven; or the label stays."""
    # neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, no face
    votes = np.array(
        [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 6, 2, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]]
    )
    images = np.zeros((3, 48, 48), np.uint8)
    faces = FaceSet(images, np.array([0, 3, 6]), "train", np.arange(3), votes=votes)
    # angry, disgust, fear, happy, sad, surprise, neutral
    expected = [[3 / 9, 2 / 9, 0, 0, 0, 0, 4 / 9], [0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    shares = vote_shares(faces)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, expected, rtol=1e-6)
    assert votes[0, 3] == 1, "the votes themselves stay"
    with pytest.raises(FercourseError, match=r"no FER\+ votes"):
        vote_shares(FaceSet(images, np.array([0, 3, 6]), "train", np.arange(3)))


def test_votes(tmp_path):
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    path = tmp_path / "fer2013new.csv"
    path.write_text(
        header + "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0\nPrivateTest,,0,0,0,0,0,0,0,0,0,10\n"
    )
    votes, usage = read_votes(path)
    assert votes.tolist() == [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0], [0] * 9 + [10]]
    assert usage.tolist() == [0, 2]
    path.write_text(header + "Training,fer0000000.png,4,0,0,1,3,2,0,0,0\n")
    with pytest.raises(FercourseError, match="row 1"):
        read_votes(path)
    path.write_text(header + "Training,fer0000000.png,4,0,0,-1,3,2,0,0,0,0\n")
    with pytest.raises(FercourseError, match="negative"):
        read_votes(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FercourseError, match="does not hold FER"):
        read_votes(path)


READ = """
import hashlib, json, resource, sys
from fercourse.data.fer2013 import read_csv
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = read_csv(sys.argv[1])
added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(json.dumps([added, hashlib.sha256(table.images).hexdigest(), hashlib.sha256(table.labels).hexdigest()]))
"""


def test_the_real_files_in_little_memory(real_data):
    """Both files hold the arrays of the .npz, and reading adds less than 200 MB to the process."""
    import hashlib

    with np.load(real_data / "fer2013.npz") as stored:
        expected = [
            hashlib.sha256(stored["images"]).hexdigest(),
            hashlib.sha256(stored["labels"].astype(np.int64)).hexdigest(),
        ]
    for name in MD5:
        output = subprocess.run(
            [sys.executable, "-c", READ, str(real_data / name)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        added, *digests = json.loads(output)
        assert digests == expected
        assert added < 200


@pytest.mark.slow
def test_six_times_as_fast_as_torchvision(real_data, tmp_path):
    """On the first rows of the file, in the same run; `fercourse bench` measures on all of it."""
    import time

    from torchvision.datasets import FER2013

    with open(real_data / "fer2013.csv", "rb") as file:
        head = file.read(9_000_000)
        file.seek(-3_000_000, os.SEEK_END)
        tail = file.read()
    (tmp_path / "fer2013").mkdir()
    path = tmp_path / "fer2013" / "fer2013.csv"
    path.write_bytes(head[: head.rindex(b"\n") + 1] + tail[tail.index(b"\n") + 1 :])
    read_csv(path)
    resources, ratios = dict(FER2013._RESOURCES), []
    try:
        FER2013._RESOURCES["fer"] = ("fer2013.csv", None)  # not the official file: no checksum
        for _ in range(2):
            start = time.perf_counter()
            table = read_csv(path)
            ours = time.perf_counter() - start
            start = time.perf_counter()
            splits = FER2013(tmp_path, "train"), FER2013(tmp_path, "test")
            ratios.append((time.perf_counter() - start) / ours)
            assert sum(map(len, splits)) == len(table.labels)
    finally:
        FER2013._RESOURCES.update(resources)
    assert max(ratios) > 6, ratios
