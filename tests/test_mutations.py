"""Every reader against damaged input: a right result or one clear sentence, and nothing half-written.

FERCOURSE_MUTATIONS is the number of damaged inputs over all readers: 500 unless set, 10,000 in
`make test-faults`. They are the same ones at every run.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import resource
import shutil
import signal
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from mutate import TOKENS, VALUES, damaged_bytes, damaged_json, damaged_json_text, damaged_table, dump
from PIL import Image

from fercourse.checkpoint import load_checkpoint, save_checkpoint
from fercourse.cli.options import changes_of
from fercourse.data import EMOTIONS, Faces, cache, load_faces
from fercourse.data.synthetic import synthetic_faces
from fercourse.data.votes import VOTE_COLUMNS, read_votes
from fercourse.errors import FercourseError
from fercourse.logits import load_logits, save_logits
from fercourse.models import create_model, model_options
from fercourse.recipes import TrainConfig, config_from_dict, make_config
from fercourse.records import (
    Record,
    check_record,
    final_entries,
    is_final,
    pack_classes,
    pack_floats,
    read_record,
)
from fercourse.runs import load_best, read_run, train_run

TOTAL = int(os.environ.get("FERCOURSE_MUTATIONS", "500"))
#: Seconds for one input, many times what the slowest takes, and bytes that it may make the process grow by.
SECONDS, MEMORY = 30, 4 << 30
Files = dict[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader, its valid input, how that is damaged, and what must hold of a result."""

    files: Files
    damage: Callable[[Any, Files], Files]
    read: Callable[[Path], Any]
    check: Callable[[Any, Path], None]
    share: float = 1.0
    leaves: tuple[str, ...] = ()  # files that reading may leave in the folder
    writes: bool = False  # a good input is continued and so may change


class Hang(BaseException):
    """The time for one input is over; no reader catches it."""


@contextmanager
def limits() -> Iterator[None]:
    """Stop a hang and an allocation without measure."""

    def stop(*_: object) -> None:
        raise Hang(f"more than {SECONDS} s for one input")

    before = signal.signal(signal.SIGALRM, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if statm.exists():
        grown = int(statm.read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (grown, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def content(folder: Path) -> Files:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def put(folder: Path, files: Files) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def attempt(reader: Reader, files: Files, root: Path) -> str:
    """Read the files once; return 'read' or 'refused', or fail."""
    folder, kept = root / "input", root / "cache"
    put(folder, files)
    before = content(folder)
    os.environ["FERCOURSE_CACHE"] = str(kept)
    result = refusal = None
    with warnings.catch_warnings(), limits():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)  # overflow: a wrong number
        try:
            result = reader.read(folder)
        except FercourseError as error:
            refusal = str(error)
        else:
            reader.check(result, folder)
    if refusal is not None:
        # One line that a terminal can show: no control characters out of a damaged file.
        assert refusal.isprintable(), repr(refusal)
        assert 20 < len(refusal) < 2000, refusal
        assert refusal.endswith((".", "?")), refusal
    after = {name: data for name, data in content(folder).items() if name not in reader.leaves}
    if reader.writes and refusal is None:
        assert before.keys() <= after.keys() <= before.keys() | reader.files.keys()
    else:
        assert after == before
    for name in content(kept):
        assert name.endswith((".npz", ".json")), name
        assert not Path(name).name.startswith("."), name
    return "read" if refusal is None else "refused"


# What must hold of a result.


def check_faces(faces: Any, _: Path) -> None:
    assert isinstance(faces, Faces)
    for part in faces:  # a FaceSet checks its dtypes, shapes and labels itself
        assert part.rows.shape == part.labels.shape
        assert len(part.counts) == 7
    assert sum(map(len, faces)) > 0
    json.dumps([faces.layout, faces.source, faces.notes, faces.details])


def naive_rows(path: Path) -> list[tuple[int, str, list[int]]]:
    """The rows of a table by Python's own means, told apart by the columns' names."""
    header, *lines = path.read_bytes().decode("utf-8-sig", "replace").rstrip(" \r\n\t").split("\n")
    names = [name.strip(' "\r\t').lower() for name in header.split(",")]
    rows = []
    for line in lines:
        fields = dict(zip(names, (field.strip(' "\r\t') for field in line.split(",")), strict=True))
        numbers = [int(number) for number in fields["pixels"].split(" ") if number]
        rows.append((int(fields.get("emotion", -1)), fields.get("usage", "").lower(), numbers))
    return rows


def check_table(name: str) -> Callable[[Any, Path], None]:
    def check(faces: Any, folder: Path) -> None:
        check_faces(faces, folder)
        expected: dict[str, list[tuple[int, list[int]]]] = {
            "training": [],
            "publictest": [],
            "privatetest": [],
        }
        for label, usage, pixels in naive_rows(folder / name):
            expected[usage].append((label, pixels))
        for part, rows in zip(faces, expected.values(), strict=True):
            assert part.labels.tolist() == [label for label, _ in rows]
            assert part.images.reshape(len(part), -1).tolist() == [pixels for _, pixels in rows]

    return check


def check_config(config: Any, _: Path) -> None:
    assert isinstance(config, TrainConfig)
    assert isinstance(config.recipe, str)
    values = json.loads(json.dumps(config.to_dict(), allow_nan=False))
    assert config_from_dict(values).to_dict() == values
    with torch.device("meta"), contextlib.suppress(FercourseError):
        create_model(config.model, **config.model_options)


def check_record_(record: Any, folder: Path) -> None:
    assert isinstance(record, Record)
    assert isinstance(record.name, str)
    assert isinstance(record.qualifiers, str)
    assert record.batch_losses.dtype == np.float32
    assert all(values.dtype.kind in "if" and values.ndim == 1 for values in record.history.values())
    preds, sizes = record.preds("val"), record.data["data"]["sizes"]
    assert len(preds) == sizes["val"] == sum(record.data["val"]["reliability"]["count"])
    assert set(np.unique(preds)) <= set(range(7))
    assert len({len(values) for values in record.history.values()}) == 1
    assert record.data["best_epoch"] <= len(record.history["epoch"])
    assert check_record(json.loads((folder / "r.json").read_text()), "again").name == record.name
    json.dumps(record.data, allow_nan=False)
    assert isinstance(record.seed, int)


# The valid inputs.


def csv_bytes(faces: Faces, header: str, line: str) -> bytes:
    rows = [header]
    for part, usage in zip(faces, ("Training", "PublicTest", "PrivateTest"), strict=True):
        for image, label in zip(part.images, part.labels, strict=True):
            rows.append(line.format(label=label, usage=usage, pixels=" ".join(map(str, image.ravel()))))
    return ("\n".join(rows) + "\n").encode()


def image_files(faces: Faces) -> Files:
    files = {}
    kinds = {"train": "jpg", "val": "png", "test": "bmp"}
    for part, name in zip(faces, ("Training", "PublicTest", "PrivateTest"), strict=True):
        for row, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, {"jpg": "JPEG"}.get(kinds[part.split], kinds[part.split]))
            split = "train" if part.split == "train" else "test"
            files[f"{split}/{EMOTIONS[label]}/{name}_{row}.{kinds[part.split]}"] = stream.getvalue()
    return files


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2013, 7, 1, 0, 0, 0)), data, method)
    return stream.getvalue()


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def arrays_of(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# Damage.


def one_of(damage: Callable[[bytes], st.SearchStrategy[bytes]]) -> Callable[[Any, Files], Files]:
    """Damage one of the files, or take it away."""

    def apply(draw: Any, files: Files) -> Files:
        files = dict(files)
        name = draw(st.sampled_from(sorted(files)))
        if draw(st.integers(0, 19)) == 0:
            del files[name]
        else:
            files[name] = draw(damage(files[name]))
        return files

    return apply


def table_files(draw: Any, files: Files) -> Files:
    return one_of(damaged_table)(draw, files)


def image_damage(draw: Any, files: Files) -> Files:
    """Injured, renamed, foreign and empty image files."""
    files = dict(files)
    for _ in range(draw(st.sampled_from((1, 2)))):
        name = draw(st.sampled_from(sorted(files)))
        kind = draw(st.sampled_from(("bytes", "bytes", "bytes", "name", "gone", "foreign", "empty", "large")))
        if kind == "bytes":
            files[name] = draw(damaged_bytes(files[name]))
        elif kind == "gone" and len(files) > 1:
            del files[name]
        elif kind == "name":
            new = draw(st.sampled_from(NAMES))
            files[new] = files.pop(name)
        elif kind == "foreign":
            files[draw(st.sampled_from(NAMES))] = draw(
                st.sampled_from((b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"text"))
            )
        elif kind == "empty":
            files[name] = b""
        elif kind == "large":
            files[name] = LARGE[draw(st.sampled_from(sorted(LARGE)))]
    return files


def declared_png(width: int, height: int) -> bytes:
    """A PNG whose header promises this size, with hardly any data."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "png")
    data = bytearray(stream.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


LARGE = {
    "huge": declared_png(2**31 - 1, 2**31 - 1),
    "bomb": declared_png(15000, 15000),
    "thin": declared_png(1, 60000),
    "none": declared_png(0, 0),
}
NAMES = (
    "train/happy/é.jpg", "train/Happy/PublicTest_9.JPG", "train/contempt/Training_1.jpg", "test/5/x.jpg",
    "x.png", "train/happy.jpg", "validation/sad/y.jpg", "train/sad/Training_99999999999999999999.jpg",
    "test/sad/.hidden.jpg", "train/sad/PrivateTest_35886.png", "fer2013.csv", "train/1. happy/z.jpeg",
    "a/b/c/d/fear/x.bmp", "notes.txt", "train/sad/Training_-1.jpg", "train/sad/two\nlines.jpg",
    "train/two\nlines/x.jpg", "train/\x1b[2J/x.jpg",
)  # fmt: skip


def zip_damage(draw: Any, files: Files) -> Files:
    """Injured bytes of the archive, or whole archives of damaged members."""
    ((name, data),) = files.items()
    if draw(st.booleans()):
        return {name: draw(damaged_bytes(data))}
    members = arrays_of(data)
    members = (
        table_files(draw, members)
        if draw(st.booleans()) and any(member.endswith(".csv") for member in members)
        else image_damage(draw, members)
    )
    if draw(st.integers(0, 3)) == 0:
        members[
            draw(st.sampled_from(("../up.jpg", "/train/sad/x.jpg", "train/sad/", "C:\\x.jpg", "a" * 300)))
        ] = b"x"
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    made = zipped(members, draw(st.sampled_from(methods)))
    # Archives whose every byte is right but for one: a method, a flag, a size.
    return {name: draw(damaged_bytes(made)) if draw(st.integers(0, 3)) == 0 else made}


def npz_damage(draw: Any, files: Files) -> Files:
    """Injured bytes, or right archives of other, damaged or missing arrays."""
    ((name, data),) = files.items()
    if draw(st.integers(0, 2)) == 0:
        return {name: draw(damaged_bytes(data))}
    members = arrays_of(data)
    for _ in range(draw(st.sampled_from((1, 1, 2)))):
        if not members:
            break
        member = draw(st.sampled_from(sorted(members)))
        kind = draw(st.sampled_from(("bytes", "head", "gone", "other", "other", "swap")))
        if kind == "bytes":
            members[member] = draw(damaged_bytes(members[member]))
        elif kind == "head":
            old, new = draw(st.sampled_from(HEADS))
            members[member] = members[member].replace(old, new, 1)
        elif kind == "gone":
            del members[member]
        elif kind == "other":
            stream = io.BytesIO()
            np.save(stream, draw(st.sampled_from(ARRAYS)), allow_pickle=True)
            members[member] = stream.getvalue()
        else:
            other = draw(st.sampled_from(sorted(members)))
            members[member], members[other] = members[other], members[member]
    return {name: zipped(members, zipfile.ZIP_STORED)}


#: Of equal length, so that the header's own length stays right.
HEADS = (
    (b"'shape': (8,", b"'shape': (-8"), (b"'shape': (8,", b"'shape': (9,"), (b"'shape'", b"'shapo'"),
    (b"False", b"None "), (b"(8, 48, 48), }", b"(9**9**9,), } "), (b"'|u1'", b"'|O8'"), (b"'<i8'", b"'<f8'"),
    (b"'<i8'", b"'>i8'"), (b"{'descr'", b"{((((((("), (b"'<i8'", b"'V8' "), (b"NUMPY", b"NUMPX"),
    (b"\x01\x00", b"\x09\x00"), (b"(8, 48, 48), } ", b"(8, 10**30), } "),
    (b"(8, 48, 48), }    ", b"(99999999999999,)}"),
)  # fmt: skip
ARRAYS = (
    np.eye(7, dtype=np.float16)[np.arange(12) % 7],
    np.eye(7, dtype=np.float16)[np.arange(1, 13) % 7],
    np.full((12, 7), np.nan, np.float16),
    np.eye(7, dtype=np.int8)[np.arange(12) % 7],
    np.array(3), np.zeros(0), np.zeros((8, 48, 48)), np.zeros((8, 48, 48), np.uint8), np.full(8, np.nan),
    np.full(8, 7), np.full(8, 2**63, np.uint64), np.full(8, -1), np.array(["Training"] * 8),
    np.array(["Testing"] * 8), np.array([b"x"] * 8), np.zeros((8, 1), np.int64), np.array([None] * 8),
    np.zeros(8, "M8[s]"), np.zeros(8, [("a", "u1")]), np.ones(8, bool), np.zeros((8, 48, 0), np.uint8),
    np.array(["é\0\x1b"] * 8), np.zeros(8, complex), np.arange(8),
)  # fmt: skip


def resealed(draw: Any, data: bytes, folder: Path) -> bytes:
    """A checkpoint with other facts or tensors, sealed again: what another version might have written."""
    path = folder / "sealed.safetensors"
    path.write_bytes(data)
    tensors, facts = load_checkpoint(path)
    if draw(st.integers(0, 2)):
        facts = draw(damaged_json(facts))
    if not draw(st.integers(0, 2)) or not isinstance(facts, dict):
        for _ in range(draw(st.sampled_from((1, 2)))):
            name = draw(st.sampled_from(sorted(tensors)))
            kind = draw(st.sampled_from(("gone", "shape", "dtype", "name", "nan", "scalar")))
            tensor = tensors.pop(name)
            if kind == "shape":
                tensors[name] = torch.cat((tensor.reshape(-1), tensor.reshape(-1)))
            elif kind == "dtype":
                tensors[name] = tensor.to(draw(st.sampled_from((torch.int8, torch.float64, torch.bool))))
            elif kind == "name":
                tensors[name + draw(st.sampled_from(("x", "/", "/x/y", ".0")))] = tensor
            elif kind == "nan":
                tensors[name] = torch.full_like(tensor.float(), torch.nan)
            elif kind == "scalar":
                tensors[name] = torch.tensor(draw(st.sampled_from((-1, 0, 10**6))))
    if isinstance(facts, dict):
        save_checkpoint(path, tensors, facts)
    result = path.read_bytes()
    path.unlink()
    return result


def run_damage(checkpoint: str) -> Callable[[Any, Files], Files]:
    def apply(draw: Any, files: Files) -> Files:
        files = dict(files)
        kind = draw(st.sampled_from(("run", "run", "bytes", "sealed", "sealed", "gone", "swap")))
        if kind == "run":
            files["run.json"] = draw(damaged_json_text(json.loads(files["run.json"])))
        elif kind == "bytes":
            files[checkpoint] = draw(damaged_bytes(files[checkpoint]))
        elif kind == "sealed":
            with tempfile.TemporaryDirectory() as folder:
                files[checkpoint] = resealed(draw, files[checkpoint], Path(folder))
        elif kind == "gone":
            del files[draw(st.sampled_from(sorted(files)))]
        else:
            files["last.safetensors"], files["best.safetensors"] = (
                files["best.safetensors"],
                files["last.safetensors"],
            )
        return files

    return apply


def finals_damage(draw: Any, files: Files) -> Files:
    """YAML instead of JSON: its own types, anchors and tags."""
    if draw(st.booleans()):
        return {"final.yml": draw(damaged_bytes(files["final.yml"]))}
    if draw(st.booleans()):
        place = draw(st.integers(0, len(files["final.yml"])))
        text = draw(st.sampled_from(YAML)).encode("utf-8", "surrogatepass")
        return {"final.yml": files["final.yml"][:place] + text + files["final.yml"][place:]}
    return {"final.yml": draw(damaged_json_text(yaml.safe_load(files["final.yml"])))}


YAML = (
    "2001-99-99", "!!python/object/apply:os.system [ls]", "&a [*a]", "*b", "{? [1]: 2}", "? {a: 1}\n: 2",
    "0x", "1e999", "\t", "- - - - -", "a: b: c", "!!binary x", "!!timestamp 1", "<<: 3", "%YAML 9.9",
    "--- 1\n--- 2", "\0", "[" * 500, "{a: " * 3000, "0b2", "1:99:99", "-.inf", ".nan", "~", "!!int x",
    "!!float ''", "!!set {a, b}", "&a {x: *a}", "é\u2028", "9" * 5000, "'", '"\\x"', "|2\n x", "!<!> x",
    "!!omap [a: 1]", "!!null x", "!!bool x", "- [a, {b: [c", "=", "<<",
)  # fmt: skip


OPTIONS = json.dumps({"model": "basic_cnn", "model_options": model_options("basic_cnn")})


def config_damage(draw: Any, files: Files) -> Files:
    values = json.loads(draw(st.sampled_from((files["config.json"], OPTIONS))))
    return {"config.json": dump(draw(damaged_json(values))).encode()}


@st.composite
def setting(draw: Any) -> str:
    """An argument of --set: a right key with a wrong value, or anything else."""
    names = [
        *TrainConfig.__dataclass_fields__,
        "augment.flip",
        "augment.crop_scale",
        "model_options.dropout",
        "augment.x",
    ]
    key = draw(st.sampled_from(names) | st.sampled_from(names) | st.sampled_from(("lr", *TOKENS)))
    if draw(st.integers(0, 5)) == 0:
        key = f"{key}.{draw(st.sampled_from(names))}"
    value = draw(
        st.sampled_from(("1", "0.1", "true", "[0.25, 1]", "adamw", "1e-3", "{}"))
        | st.sampled_from(TOKENS)
        | st.sampled_from(YAML)
        | st.sampled_from(VALUES).map(str)
        | st.text(max_size=8)
    )
    return draw(st.sampled_from((*["{}={}"] * 9, "{}{}", "{}=[{}]", "={}{}", "{}={{a: {}}}"))).format(
        key, value
    )


def settings_damage(draw: Any, _: Files) -> Files:
    return {
        "settings.txt": "\x02".join(draw(st.lists(setting(), min_size=1, max_size=2))).encode(
            "utf-8", "surrogatepass"
        )
    }


def read_settings(folder: Path) -> TrainConfig:
    given_ = (folder / "settings.txt").read_bytes().decode("utf-8", "surrogatepass").split("\x02")
    return make_config("basic_cnn", "paper1", **changes_of(given_))


def check_finals(entries: Any, _: Path) -> None:
    assert isinstance(entries, list)
    config = make_config("basic_cnn").to_dict()
    assert is_final(config, entries) in (True, False)


def check_votes(result: Any, folder: Path) -> None:
    votes, usage = result
    lines = (folder / "fer2013new.csv").read_text(encoding="utf-8-sig").rstrip().splitlines()[1:]
    expected = [line.split(",") for line in lines]
    assert votes.dtype == np.int64
    assert votes.tolist() == [[int(cell) for cell in cells[2:]] for cells in expected]
    assert [("training", "publictest", "privatetest")[code] for code in usage] == [
        cells[0].strip().lower() for cells in expected
    ]


def check_logits(values: Any, folder: Path) -> None:
    record = read_record(folder / "r.json")
    assert (values.dtype, values.shape) == (np.float32, (len(record.preds("val")), 7))
    assert (values.argmax(1) == record.preds("val")).all()
    assert np.isfinite(values).all()


def cache_damage(draw: Any, files: Files) -> Files:
    name = draw(st.sampled_from([name for name in files if name.startswith("kept/")]))
    if name.endswith(".json"):
        return {**files, name: draw(damaged_json_text(json.loads(files[name])))}
    if draw(st.booleans()):
        return {**files, name: draw(damaged_bytes(files[name]))}
    (entry,) = npz_damage(draw, {"": files[name]}).values()
    if draw(st.booleans()):
        arrays = arrays_of(files[name])
        meta = json.loads(np.load(io.BytesIO(arrays["meta.npy"])).tobytes())
        stream = io.BytesIO()
        text = draw(damaged_json_text(meta))
        np.save(stream, np.frombuffer(text, np.uint8))
        entry = zipped({**arrays, "meta.npy": stream.getvalue()}, zipfile.ZIP_STORED)
    return {**files, name: entry}


@pytest.fixture(scope="module")
def readers(tmp_path_factory) -> dict[str, Reader]:
    """Every reader with a small valid input, made from drawn faces."""
    root = tmp_path_factory.mktemp("valid")
    os.environ["FERCOURSE_CACHE"] = str(root / "cache")
    faces = synthetic_faces(sizes=(4, 2, 2))
    table = csv_bytes(faces, "emotion,pixels,Usage", "{label},{pixels},{usage}")
    icml = csv_bytes(faces, "emotion, Usage, pixels", "{label},{usage},{pixels}")
    pair = {
        "train.csv": csv_bytes(faces, "emotion,pixels", '{label},"{pixels}"'),
        "test.csv": csv_bytes(faces, "pixels", '"{pixels}"'),
    }
    pictures = image_files(faces)
    arrays = {
        "images": np.concatenate([part.images for part in faces]),
        "labels": np.concatenate([part.labels for part in faces]),
        "usage": np.repeat(["Training", "PublicTest", "PrivateTest"], [4, 2, 2]),
    }
    votes = ",".join(("Usage", "Image name", *VOTE_COLUMNS)) + "".join(
        f"\n{usage},fer{row:07d}.png,{','.join(str((row + k) % 9) for k in range(10))}"
        for row, usage in enumerate(arrays["usage"])
    )

    # A run of a tiny network, and its record.
    config = make_config(
        "basic_cnn", "smoke", epochs=2, batch_size=4, class_weights=False, bias_init=False, precision="fp32",
        model_options={"widths": [2, 2, 4], "dense_width": 4},
    )  # fmt: skip
    run = root / "run"
    train_run(config, faces, run, device="cpu", progress=False)
    (run / "history.csv").unlink()
    (run / ".lock").unlink(missing_ok=True)
    trained = content(run)
    record = small_record(config)
    (root / "r.json").write_text(json.dumps(record))
    logits = np.eye(7)[np.arange(12) % 7]
    save_logits(read_record(root / "r.json"), {"val": logits}, root)
    (logit_file,) = (root / "logits").iterdir()
    entries = [
        {"model": "small_vgg", "recipe": "quick", "why": "the default"},
        {
            "model": "resnet18",
            "recipe": "paper1",
            "changes": {"lr": 0.1, "augment.crop": 0.5},
            "why": "x",
            "logits": True,
        },
    ]

    # The cache, of a file that has not changed for long: the index is written for such only.
    source = root / "cached" / "fer2013.csv"
    put(source.parent, {"fer2013.csv": table})
    os.utime(source, (1e9, 1e9))
    time.sleep(0.1)
    load_faces(source)
    cache.remember_default(next(iter((root / "cache" / "faces").iterdir())).stem)
    kept = {f"kept/{name}": data for name, data in content(root / "cache").items()}
    assert len(kept) == 3

    def read_cached(folder: Path) -> Faces:
        shutil.copytree(folder / "kept", os.environ["FERCOURSE_CACHE"])
        key = cache.default_key()
        assert key is None or key.isalnum()
        return load_faces(source)

    def check_best(result: Any, folder: Path) -> None:
        network, facts = result
        assert facts["identity"]["config"] == read_run(folder)["config"] == config.to_dict()
        assert not network.training
        assert [row["epoch"] for row in facts["history"]] == [1, 2][: len(facts["history"])]
        assert type(facts["epoch"]) is int
        assert type(facts["val_accuracy"]) in (int, float)
        pack_floats(facts["batch_losses"])
        with torch.inference_mode():
            assert network(torch.zeros(2, 1, 48, 48)).shape == (2, 7)

    def resume(folder: Path) -> Any:
        return train_run(config, faces, folder, resume=True, device="cpu", progress=False)

    def check_resumed(result: Any, folder: Path) -> None:
        _, fit = result
        assert [row["epoch"] for row in fit.history] == [1, 2]
        assert all(type(value) in (int, float) for row in fit.history for value in row.values())
        # Resuming a finished run needs no best.safetensors; what it finds there is another reader's affair.
        with contextlib.suppress(FercourseError):
            load_best(folder)

    tensors, facts = load_checkpoint(run / "best.safetensors")

    def check_checkpoint(result: Any, _: Path) -> None:
        assert result[1] == facts
        assert result[0].keys() == tensors.keys()
        assert all(torch.equal(result[0][name], tensors[name]) for name in tensors)

    any_bytes = one_of(damaged_bytes)
    return {
        "fer2013.csv": Reader(
            {"fer2013.csv": table},
            table_files,
            lambda f: load_faces(f / "fer2013.csv"),
            check_table("fer2013.csv"),
            3,
        ),
        "icml_face_data.csv": Reader(
            {"icml_face_data.csv": icml}, table_files, load_faces, check_table("icml_face_data.csv"), 2
        ),
        "train.csv and test.csv": Reader(pair, table_files, load_faces, check_faces),
        "npz": Reader({"fer2013.npz": npz(arrays)}, npz_damage, load_faces, check_faces, 2),
        "zip of images": Reader({"a.zip": zipped(pictures)}, zip_damage, load_faces, check_faces, 2),
        "zip of a table": Reader(
            {"a.zip": zipped({"fer2013/fer2013.csv": table})},
            zip_damage,
            lambda f: load_faces(f / "a.zip"),
            check_faces,
            2,
        ),
        "folder": Reader(pictures, image_damage, load_faces, check_faces, 2),
        "votes": Reader(
            {"fer2013new.csv": votes.encode()},
            table_files,
            lambda f: read_votes(f / "fer2013new.csv"),
            check_votes,
            2,
        ),
        "cache": Reader(kept, cache_damage, read_cached, check_faces, 2),
        "checkpoint": Reader(
            {"best.safetensors": trained["best.safetensors"]},
            any_bytes,
            lambda f: load_checkpoint(f / "best.safetensors"),
            check_checkpoint,
            2,
        ),
        "run": Reader(trained, run_damage("best.safetensors"), load_best, check_best, 3),
        "resume": Reader(
            trained, run_damage("last.safetensors"), resume, check_resumed, 3, (".lock", "history.csv"), True
        ),
        "record": Reader(
            {"r.json": json.dumps(record).encode()},
            lambda draw, files: {"r.json": draw(damaged_json_text(json.loads(files["r.json"])))},
            lambda f: read_record(f / "r.json"),
            check_record_,
            3,
        ),
        "logits": Reader(
            {f"logits/{logit_file.name}": logit_file.read_bytes(), "r.json": json.dumps(record).encode()},
            lambda draw, files: {
                **files,
                **npz_damage(draw, {f"logits/{logit_file.name}": files[f"logits/{logit_file.name}"]}),
            },
            lambda f: load_logits(read_record(f / "r.json"), "val", f),
            check_logits,
        ),
        "final.yml": Reader(
            {"final.yml": yaml.safe_dump(entries).encode()}, finals_damage, final_entries, check_finals, 2
        ),
        "configuration": Reader(
            {"config.json": json.dumps(make_config("se_resnet18", "paper2").to_dict()).encode()},
            config_damage,
            lambda f: config_from_dict(json.loads((f / "config.json").read_text())),
            check_config,
            4,
        ),
        "settings": Reader({"settings.txt": b"lr=0.001"}, settings_damage, read_settings, check_config, 4),
    }


def small_record(config: TrainConfig) -> dict[str, Any]:
    """A record of 12 val images; not one that a training made, as its accuracy would be no one's."""
    count = [0] * 15
    count[7] = 12
    return {
        "format": 1,
        "name": "basic_cnn-smoke-seed0-shortened-cpu",
        "shortened": True,
        "config": config.to_dict(),
        "parameters": 1000,
        "environment": {
            "commit": "0" * 40,
            "python": "3.11.7",
            "system": "Linux",
            "versions": {"torch": "2.6.0"},
            "device": "CPU",
            "device_kind": "cpu",
            "precision": "fp32",
        },
        "data": {"layout": "synthetic", "fingerprint": "0" * 64, "sizes": {"train": 4, "val": 12, "test": 2}},
        "history": {
            name: [1, 2] if name == "epoch" else [0.5, 0.25]
            for name in ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")
        },
        "best_epoch": 2,
        "batch_losses": pack_floats([1.5, 0.5]),
        "train_accuracy": None,
        "val": {
            "accuracy": 0.5,
            "nll": 1.5,
            "ece": 0.1,
            "reliability": {"count": count, "confidence_sum": [0.5] * 15, "hits": [0] * 15},
            "preds": pack_classes(np.arange(12) % 7),
        },
    }


NAMES_OF_READERS = (
    "fer2013.csv", "icml_face_data.csv", "train.csv and test.csv", "npz", "zip of images", "zip of a table",
    "folder", "votes", "cache", "checkpoint", "run", "resume", "record", "logits", "final.yml",
    "configuration", "settings",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FERCOURSE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", NAMES_OF_READERS)
def test_what_is_valid_is_read(readers, name, tmp_path):
    """Without this, a reader that refuses everything would pass."""
    assert attempt(readers[name], readers[name].files, tmp_path) == "read"


@pytest.mark.parametrize("name", NAMES_OF_READERS)
def test_damaged_input(readers, name, tmp_path):
    reader = readers[name]
    shares = sum(other.share for other in readers.values())
    outcomes: Counter[str] = Counter()
    slowest, number = 0.0, itertools.count()

    # No shrinking: it takes minutes, and the input that failed is kept as it was.
    @settings(
        max_examples=max(5, round(TOTAL * reader.share / shares)),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(st.data())
    def damaged(data: st.DataObject) -> None:
        nonlocal slowest
        files = reader.damage(data.draw, dict(reader.files))
        root = tmp_path / str(next(number))
        root.mkdir()
        started = time.monotonic()
        try:
            outcomes[attempt(reader, files, root)] += 1
        except BaseException as error:
            error.add_note(f"the damaged input is kept in {root / 'input'}")
            raise
        slowest = max(slowest, time.monotonic() - started)
        shutil.rmtree(root)

    started = time.monotonic()
    damaged()
    print(f"\n{name}: {dict(outcomes)} in {time.monotonic() - started:.1f} s, slowest {slowest:.2f} s")
    assert outcomes["refused"] + (name == "cache") * outcomes["read"] > 0  # a damaged cache is read around
