"""Damaged inputs that once got past a reader (found by test_mutations.py), each by its name."""

from __future__ import annotations

import io
import json
import shutil
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_mutations import declared_png, small_record, zipped

from fercourse.checkpoint import load_checkpoint, save_checkpoint
from fercourse.cli.options import changes_of
from fercourse.data import cache, load_faces
from fercourse.data.synthetic import synthetic_faces
from fercourse.data.votes import VOTE_COLUMNS, read_votes
from fercourse.errors import FercourseError, one_line, shown
from fercourse.logits import load_logits, save_logits
from fercourse.recipes import config_from_dict, make_config
from fercourse.records import check_record, final_entries, read_record
from fercourse.runs import load_best, train_run

DEEP = "[" * 20_000 + "]" * 20_000


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FERCOURSE_CACHE", str(tmp_path / "cache"))


def refused(match: str, function, *arguments) -> None:
    with pytest.raises(FercourseError, match=match) as caught:
        function(*arguments)
    assert str(caught.value).isprintable()


ARRAYS = {
    "images": np.zeros((3, 48, 48), np.uint8),
    "labels": np.arange(3),
    "usage": np.array(["Training", "PublicTest", "PrivateTest"]),
}


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def members(**changed: bytes) -> dict[str, bytes]:
    return {f"{name}.npy": npy(array) for name, array in ARRAYS.items()} | {
        f"{name}.npy": data for name, data in changed.items()
    }


BROKEN_HEADER = npy(ARRAYS["labels"]).replace(b"{'descr'", b"{((((((", 1)
BEYOND_UNICODE = npy(ARRAYS["usage"]).replace("T".encode("utf-32-le"), b"\xff\xff\xff\x7f", 1)


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"labels": npy(np.array(3))}, "no array of labels"),  # TypeError
        ({"labels": BROKEN_HEADER}, "cannot be read"),  # tokenize.TokenError
        ({"usage": BEYOND_UNICODE}, "text in 'usage' is damaged"),  # SystemError
        ({"labels": b"no array"}, "'labels' is no array"),
        ({"labels": npy(np.full(3, 2**64 - 1, np.uint64))}, "a label is 18446744073709551615"),  # read as -1
    ],
)
def test_npz(tmp_path, changed, match):
    (tmp_path / "a.npz").write_bytes(zipped(members(**changed), zipfile.ZIP_STORED))
    refused(match, load_faces, tmp_path / "a.npz")


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (15_000, 15_000), (1, 60_000)])
def test_an_image_that_promises_gigabytes(tmp_path, size):
    """Pillow's DecompressionBombError came through; what is just below its limit took minutes."""
    folder = tmp_path / "copy" / "train" / "happy"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(declared_png(*size))
    refused("cannot be read as an image", load_faces, tmp_path / "copy")


def test_a_zipped_image_that_promises_gigabytes(tmp_path):
    data = bytearray(zipped({"train/happy/a.png": b"x" * 100}, zipfile.ZIP_STORED))
    directory = data.index(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 2**32 - 2)
    (tmp_path / "a.zip").write_bytes(data)
    refused("unpacks to more than 64 MiB", load_faces, tmp_path / "a.zip")


def test_a_file_name_of_two_lines_makes_no_message_of_two_lines(tmp_path):
    folder = tmp_path / "copy" / "train" / "two\nlines"
    folder.mkdir(parents=True)
    Image.new("L", (48, 48)).save(folder / "a.png")
    refused(r"two\\nlines/a\.png' does not lie in a folder", load_faces, tmp_path / "copy")


@pytest.mark.parametrize("counts", ["5", "1_0" + ",0" * 9, "٣" + ",0" * 9, "9" * 30 + ",0" * 9])
def test_votes(tmp_path, counts):
    """One count was given to all ten columns; Python's own spellings of numbers were taken for counts."""
    path = tmp_path / "fer2013new.csv"
    path.write_text(
        f"Usage,Image name,{','.join(VOTE_COLUMNS)}\nTraining,fer0.png,{counts}\n", encoding="utf-8"
    )
    refused("row 1: expected a Usage, an image name and 10 counts", read_votes, path)


@pytest.mark.parametrize("name", ["labels", "rows", "images"])
@pytest.mark.parametrize("data", [npy(np.array(3)), BROKEN_HEADER, b"none"])
def test_a_cached_entry_is_read_around(tmp_path, name, data):
    np.savez(tmp_path / "a.npz", **ARRAYS)
    load_faces(tmp_path / "a.npz")
    (entry,) = (tmp_path / "cache" / "faces").iterdir()
    with zipfile.ZipFile(entry) as archive:
        kept = {member: archive.read(member) for member in archive.namelist()}
    entry.write_bytes(zipped({**kept, f"{name}.npy": data}, zipfile.ZIP_STORED))
    with pytest.warns(UserWarning, match="damaged"):
        faces = load_faces(tmp_path / "a.npz")
    assert [len(part) for part in faces] == [1, 1, 1]


@pytest.mark.parametrize("text", [DEEP, "[]", "3", '{"key": []}', '{"key": "../x"}', "\udcff"])
def test_what_is_loaded_by_default_is_forgotten_if_damaged(tmp_path, text):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "default.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    assert cache.default_key() is None


@pytest.mark.parametrize("facts", ["[1]", '"text"', "null", "3", DEEP, "{"])
def test_a_checkpoint_whose_facts_are_no_facts(tmp_path, monkeypatch, facts):
    """The checksum is right: another program, or another version, wrote them."""
    monkeypatch.setattr("fercourse.checkpoint.json.dumps", lambda _: facts)
    save_checkpoint(tmp_path / "a.safetensors", {"w": torch.ones(2)}, {})
    refused("expected facts by name|facts in .* cannot be read", load_checkpoint, tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A finished run of a tiny network."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train_run(CONFIG, FACES, folder, device="cpu", progress=False)
    return folder


CONFIG = make_config(
    "basic_cnn",
    "smoke",
    epochs=1,
    batch_size=4,
    class_weights=False,
    bias_init=False,
    precision="fp32",
    model_options={"widths": [2], "dense_width": 2},
)
FACES = synthetic_faces(sizes=(4, 2, 0))


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: DEEP,  # RecursionError
        lambda run: json.dumps({**run, "config": 3}),  # TypeError
        lambda run: json.dumps({**run, "environment": {}}),  # KeyError, where the commit is told
        lambda run: json.dumps({**run, "data": {"layout": None, "fingerprint": "x"}}),
    ],
)
def test_a_runs_description(tmp_path, trained, damage):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "run.json").write_text(damage(json.loads((folder / "run.json").read_text())))
    refused(r"run\.json (cannot be read|is not a run of fercourse)", load_best, folder)
    refused(r"run\.json", lambda: train_run(CONFIG, FACES, folder, resume=True, device="cpu", progress=False))
    refused(r"run\.json", lambda: train_run(CONFIG, FACES, folder, device="cpu", progress=False))


@pytest.mark.parametrize(
    "change",
    [
        {"identity": True},  # AttributeError
        {"identity": {"config": 5}},
        {"history": "none"},
        {"history": [3]},
        {"history": []},
        {"epoch": None},
        {"batch_losses": ["x"]},
    ],
)
def test_a_checkpoints_facts_are_of_the_right_kind(tmp_path, trained, change):
    folder = shutil.copytree(trained, tmp_path / "run")
    for name in ("best.safetensors", "last.safetensors"):
        tensors, facts = load_checkpoint(folder / name)
        save_checkpoint(folder / name, tensors, {**facts, **change})
    refused(r"best\.safetensors", load_best, folder)
    refused(
        r"last\.safetensors",
        lambda: train_run(CONFIG, FACES, folder, resume=True, device="cpu", progress=False),
    )


@pytest.mark.parametrize("damage", ["one is missing", "one is larger"])
def test_kept_weights_of_another_network(tmp_path, trained, damage):
    """They were found out when the training had ended, by torch, in several lines."""
    folder = shutil.copytree(trained, tmp_path / "run")
    tensors, facts = load_checkpoint(folder / "last.safetensors")
    name = next(name for name in tensors if name.startswith("best/"))
    taken = tensors.pop(name)
    if damage == "one is larger":
        tensors[name] = taken.repeat(2, *[1] * (taken.ndim - 1))
    save_checkpoint(folder / "last.safetensors", tensors, facts)
    refused(
        "best weights are of another network",
        lambda: train_run(CONFIG, FACES, folder, resume=True, device="cpu", progress=False),
    )


def record() -> dict:
    return small_record(make_config("basic_cnn", "smoke"))


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**30), True])
def test_a_record_holds_numbers_that_are_numbers(tmp_path, value):
    data = record()
    data["history"]["val_accuracy"][1] = value
    refused("history/val_accuracy/1", read_record, write(tmp_path / "r.json", data))


def test_a_records_configuration_too(tmp_path):
    data = record()
    data["config"]["lr"] = float("nan")
    refused("not JSON compliant", read_record, write(tmp_path / "r.json", data))


def test_a_record_counts_in_whole_numbers(tmp_path):
    data = record()
    data["config"]["seed"] = 1.0
    refused("config/seed", read_record, write(tmp_path / "r.json", data))


def test_predictions_that_inflate_without_measure():
    import base64

    data = record()
    data["val"]["preds"] = base64.b64encode(zlib.compress(b"0" * 50_000_000, 9)).decode()
    refused("predictions cut short, or more than 10,000,000", check_record, data, "x")


def test_a_records_odd_keys_stay_on_one_line(tmp_path):
    data = record()
    data["environment"]["versions"]["a\n\x1b[2J"] = 3
    refused("environment/versions/a", read_record, write(tmp_path / "r.json", data))


@pytest.mark.parametrize("damage", ["no zip", "crc", "no array", "nan"])
def test_logits(tmp_path, damage):
    kept = read_record(write(tmp_path / "r.json", record()))
    path = save_logits(kept, {"val": np.eye(7)[np.arange(12) % 7]}, tmp_path)
    values = np.eye(7, dtype=np.float16)[np.arange(12) % 7]
    whole = zipped({"val.npy": npy(values)}, zipfile.ZIP_STORED)
    path.write_bytes(
        {
            "no zip": whole[4:],
            "crc": whole.replace(npy(values)[-8:], b"12345678", 1),
            "no array": zipped({"val": b"text"}),
            "nan": zipped({"val.npy": npy(values + np.float16("nan"))}),
        }[damage]
    )
    refused(str(path.name), load_logits, kept, "val", tmp_path)


@pytest.mark.parametrize(
    "text",
    ["[a\nb: c", "- 2001-99-99", "- !!bool x", "- &a [*a]", '- "\\x1b"\n- [', "- {? [1]: 2}", "- " * 999],
)
def test_final_yml_is_refused_on_one_line(tmp_path, text):
    (tmp_path / "final.yml").write_text(text)
    refused(r"final\.yml", final_entries, tmp_path)


def test_final_yml_is_a_list(tmp_path):
    (tmp_path / "final.yml").write_text("{model: a, recipe: b, why: c}")
    refused("expected a list", final_entries, tmp_path)


def test_final_ymls_changes_are_by_name(tmp_path):
    (tmp_path / "final.yml").write_text("- {model: vgg11, recipe: quick, why: x, changes: [lr, 1]}")
    refused("changes are", final_entries, tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"recipe": ["paper1"]}, "recipe is"),  # unhashable
        ({"lr": 10**400}, "lr is"),  # OverflowError
        ({"max_steps": 10**400}, "max_steps is"),
        ({"weight_decay": float("inf")}, "weight_decay is"),
        ({"model_options": {"dropout": "much"}}, "basic_cnn's option dropout is 'much'"),  # TypeError
        ({"model_options": {"widths": [None]}}, "basic_cnn's option widths"),
        ({"model_options": {"widths": 3}}, "basic_cnn's option widths is 3"),
        ({"model_options": {"depth": 3}}, "no option 'depth'"),
        ({"optimizer": "x" * 9000}, "optimizer is"),
        ({"augment": {"fill": "x" * 9000}}, "fill="),
        ({"y" * 9000: 1}, "has no value"),
    ],
)
def test_a_configuration(change, match):
    values = {"model": "basic_cnn", **change}
    refused(match, config_from_dict, values)
    with pytest.raises(FercourseError) as caught:
        config_from_dict(values)
    assert len(str(caught.value)) < 1000


def test_a_recipe_that_is_no_name():
    refused("Recipe", make_config, "basic_cnn", ["paper1"])


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ("model=vgg11", "argument of its own"),  # TypeError
        ("recipe=quick", "argument of its own"),
        ("model.x=1", "argument of its own"),
        ("lr=!!bool x", "cannot be read"),  # KeyError
        ("lr=2001-99-99", "cannot be read"),
        ("lr=2001-01-01", "cannot be read"),
        ("lr=&a [*a]", "cannot be read"),  # a list in itself
        ("lr=0x" + "f" * 900, "lr is|cannot be read"),  # more digits than Python writes
        ("lr=" + "[" * 3000, "at most 1000 characters"),  # five seconds
        ("lr=" + "[" * 999, "cannot be read"),
    ],
)
def test_a_setting(setting, match):
    started = time.monotonic()
    refused(match, lambda: make_config("basic_cnn", **changes_of([setting])))
    assert time.monotonic() - started < 3


def test_text_for_messages():
    assert one_line(ValueError("a\n  b\x1b\udcff\u2028")) == r"a b\x1b\udcff"
    assert one_line(ValueError("")) == "ValueError"
    assert len(one_line("x" * 9999)) == 200
    assert shown("a\n") == r"'a\n'"
    assert shown(1 << 20_000) == "<int too large to show>"
    assert len(shown("x" * 9999)) == 100
