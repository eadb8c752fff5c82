"""Records: written once, checked, small, readable without torch, and honest about what they are."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from recorded import RANDOM, example, split_of

from fercourse.errors import FercourseError
from fercourse.recipes import make_config
from fercourse.records import (
    LONG,
    MAX_BYTES,
    Record,
    check_record,
    experiment,
    is_final,
    is_shortened,
    kept_history,
    load_records,
    pack_classes,
    pack_floats,
    read_record,
    record_name,
    results_folder,
    unpack_classes,
    unpack_floats,
    write_record,
)


@pytest.fixture
def listed(tmp_path):
    (tmp_path / "final.yml").write_text("- {model: resnet18, recipe: paper1, why: Table 2}\n")
    return tmp_path


def test_packing_is_exact():
    classes = RANDOM.integers(0, 7, 3589)
    assert unpack_classes(pack_classes(classes)).tolist() == classes.tolist()
    values = [0.5, 1.9461, 3e-3]
    assert unpack_floats(pack_floats(values)) == pytest.approx(values, rel=1e-3)
    half = RANDOM.normal(1.5, 0.5, 2694).astype(np.float16)
    assert unpack_floats(pack_floats(half)).astype(np.float16).tobytes() == half.tobytes()
    assert unpack_floats(pack_floats([])).shape == (0,)


def test_losses_packed_by_an_earlier_version_are_read():
    import base64

    values = np.array([1.5, 0.25, 2.0], dtype="<f2")
    assert unpack_floats(base64.b64encode(values.tobytes()).decode()).tolist() == values.tolist()


@pytest.mark.parametrize("text", ["z:", "z:abc", "z:" + pack_floats([1.5] * 9)[2:-5], "z:\x7f\x00"])
def test_losses_cut_short_are_no_record(text):
    with pytest.raises((ValueError, zlib.error)):
        unpack_floats(text)
    data = example()
    data["batch_losses"] = text
    with pytest.raises(FercourseError, match="a value is damaged"):
        check_record(data, "x")


def test_paper_2s_records_fit_with_twice_as_many_batches(listed):
    """Batches of 32: 2,694 losses in three epochs."""
    (listed / "final.yml").write_text("- {model: resnet50v2, recipe: paper2, why: a pair}\n")
    data = example("paper2", with_test=True, model="resnet50v2")
    assert len(unpack_floats(data["batch_losses"])) == 2694
    assert write_record(data, listed).stat().st_size <= MAX_BYTES


def test_the_largest_record_fits_and_comes_back(listed):
    data = example(with_test=True)
    path = write_record(data, listed)
    assert path.name == "resnet18-paper1-seed0.json"
    assert 5_000 < path.stat().st_size <= MAX_BYTES
    assert read_record(path).data == json.loads(json.dumps(data))
    assert [record.name for record in load_records(listed)] == ["resnet18-paper1-seed0"]


def test_metrics_are_computed_from_the_predictions(listed):
    from sklearn.metrics import accuracy_score, f1_score

    record = read_record(write_record(example(with_test=True), listed))
    labels, preds = record.labels("test"), record.preds("test")
    values = record.metrics("test")
    assert values["accuracy"] == pytest.approx(accuracy_score(labels, preds))
    assert values["accuracy"] == pytest.approx(record.data["test"]["accuracy"])
    assert values["macro_f1"] == pytest.approx(f1_score(labels, preds, average="macro"))
    twins = record.twins("test")
    assert values["accuracy_without_twins"] == pytest.approx((labels == preds)[~twins].mean())
    assert np.array(values["confusion"]).sum() == 3589


def test_official_labels_and_twins_need_no_data():
    """Counts as measured on the official file."""
    record = check_record(example(with_test=True), "example")
    assert np.bincount(record.labels("test")).tolist() == [491, 55, 528, 879, 594, 416, 626]
    assert np.bincount(record.labels("val")).tolist() == [467, 56, 496, 895, 653, 415, 607]
    # 288 test images stand in train; some more stand in val only.
    assert 288 <= record.twins("test").sum() < 400


def test_a_record_is_written_once(listed):
    write_record(example(), listed)
    with pytest.raises(FercourseError, match="is written once"):
        write_record(example(), listed)


def test_test_predictions_need_a_line_in_final_yml(listed):
    data = example(with_test=True, lr=0.1)
    with pytest.raises(FercourseError, match="does not list its configuration"):
        write_record(data, listed)
    with pytest.raises(FercourseError, match="does not list its configuration"):
        write_record(example(with_test=True), listed / "elsewhere")
    assert load_records(listed) == []
    del data["test"]
    assert write_record(data, listed).name == "resnet18-paper1-lr=0.1-seed0.json"


def test_final_entries_mean_exactly_one_experiment():
    entry = {"model": "resnet18", "recipe": "paper1", "changes": {"augment.crop": 0.0}, "why": "Table 1"}
    no_crop = make_config("resnet18", augment={"crop": 0.0}, seed=4).to_dict()
    assert is_final(no_crop, [entry])
    assert not is_final(make_config("resnet18").to_dict(), [entry])
    assert not is_final(make_config("resnet18", augment={"crop": 0.0, "flip": 0.0}).to_dict(), [entry])


def test_votes_are_said_wherever_a_record_is_shown():
    votes = example("strong", model="small_vgg", soft_labels="ferplus", track="extra", tta="flip")
    assert Record(votes).qualifiers == "FER+ votes, flip"
    assert votes["name"] == "small_vgg-strong-soft_labels=ferplus-tta=flip-seed0"


def test_a_long_history_is_packed_to_the_same_digits():
    """Of 200 epochs; the curves that are drawn are those that were measured."""
    rows = [
        {"epoch": epoch, "lr": 0.05 / epoch, "val_accuracy": epoch / 3589, "seconds": 12.345678 + epoch}
        for epoch in range(1, 201)
    ]
    for count in (LONG, LONG + 1, 200):
        data = example("strong", model="small_vgg")
        kept = kept_history(rows[:count])
        assert isinstance(kept["lr"], str) == (count > LONG)
        found = Record({**data, "history": kept}).history
        for key in rows[0]:
            assert found[key].tolist() == [float(f"{row[key]:.5g}") for row in rows[:count]]
    for model, changes in (("vgg19", {"model_options": {"dropout": 0.5}}), ("small_vgg", {})):
        data = example("strong", with_test=True, model=model, tta="ten-crop", **changes)
        check_record(data, "example")
        assert len(json.dumps(data)) < MAX_BYTES
    damaged = {**data, "history": {**data["history"], "lr": data["history"]["lr"][:-9]}}
    with pytest.raises(FercourseError, match=r"damaged|do not fit"):
        check_record(damaged, "example")
    with pytest.raises(FercourseError, match="damaged"):
        check_record({**data, "history": {**data["history"], "lr": "0.05"}}, "example")


def test_a_training_on_val_has_no_accuracy_on_val(tmp_path):
    """Whoever asks for it is told, and a record that claims one is refused."""
    data = example("quick", model="small_vgg", fit_on="train+val")
    assert read_record(write_record(data, tmp_path)).qualifiers == "val trained on too"
    record = check_record(data, "example")
    assert not record.has("val")
    with pytest.raises(FercourseError, match="val's where val was not trained on"):
        record.metrics("val")
    usual = example("quick", model="small_vgg")
    for key in ("val", "history"):
        with pytest.raises(FercourseError, match="do not fit each other"):
            check_record({**data, key: usual[key]}, "example")
    del usual["val"]
    with pytest.raises(FercourseError, match="do not fit each other"):
        check_record(usual, "example")


def test_names_say_what_is_special():
    def name(layout="fer2013.csv", kind="cuda", model="resnet18", recipe="paper1", **changes):
        return record_name(make_config(model, recipe, **changes).to_dict(), layout, kind)

    assert name(seed=4) == "resnet18-paper1-seed4"
    assert name(kind="cpu") == "resnet18-paper1-seed0-cpu"
    assert name(epochs=5) == "resnet18-paper1-epochs=5-seed0-shortened"
    assert name(max_steps=9).endswith("-max_steps=9-seed0-shortened")
    assert name(augment={"rotation": 0.5}) == "resnet18-paper1-rotation=0.5-seed0"
    assert name(model_options={"norm": "none"}, model="vgg11") == "vgg11-paper1-norm=none-seed0"
    assert name(layout="synthetic") == "resnet18-paper1-synthetic-seed0"
    assert name(precision="fp32") == name()
    assert experiment(make_config("resnet18", epochs=60).to_dict()) == {"epochs": 60}
    assert not is_shortened(make_config("resnet18", epochs=60).to_dict())


def change(data, path, value):
    changed = copy.deepcopy(data)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("name",), "../escape"),
        (("val",), None),
        (("val", "accuracy"), 71.2),
        (("val", "preds"), "not base 64!"),
        (("val", "preds"), pack_classes(np.zeros(10, dtype=int))),
        (("val", "preds"), pack_classes(np.full(3589, 7))),
        (("val", "reliability", "count"), [1] * 15),
        (("data", "fingerprint"), "abc"),
        (("data", "sizes", "val"), 100),
        (("history", "lr"), [0.1]),
        (("best_epoch",), 51),
        (("batch_losses",), "???"),
        (("environment", "commit"), None),
        (("environment", "device_kind"), "abacus"),
        (("config", "seed"), None),
        (("comment",), "typed in"),
    ],
)
def test_planted_mistakes_are_found(path, value):
    with pytest.raises(FercourseError, match="is not a record"):
        check_record(change(example(), path, value), "example")


def test_what_is_not_a_record_is_refused(tmp_path):
    for name, content in {
        "a.json": "{",
        "b.json": "[]",
        "c.json": '{"format": 1}',
        "d.json": "\udcff",
    }.items():
        path = tmp_path / name
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(FercourseError, match=name):
            read_record(path)


def test_an_unknown_name_names_the_nearest(listed, monkeypatch):
    write_record(example(), listed)
    monkeypatch.setenv("FERCOURSE_RESULTS", str(listed))
    assert results_folder() == listed
    assert read_record("resnet18-paper1-seed0").seed == 0
    with pytest.raises(FercourseError, match="did you mean 'resnet18-paper1-seed0'"):
        read_record("resnet18-paper1-seed")


def test_drawn_faces_are_drawn_again_for_their_labels():
    from fercourse.data import load_faces

    faces = load_faces("synthetic")
    data = example()
    data["data"] = {
        "layout": "synthetic",
        "fingerprint": faces.fingerprint,
        "sizes": {split.split: len(split) for split in faces},
    }
    data["val"] = split_of(faces.val.labels, 0.5)
    record = check_record(data, "example")
    assert (record.labels("val") == faces.val.labels).all()
    assert record.qualifiers == "drawn faces"
    data["data"]["fingerprint"] = "0" * 64
    with pytest.raises(FercourseError, match="not known here"):
        check_record(data, "example").metrics("val")


def test_committed_records_are_records_and_need_no_torch():
    """A reader of the book's numbers needs neither torch nor the data set."""
    code = """
import sys
import zlib
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not installed")
sys.meta_path.insert(0, NoTorch())
import fercourse
from fercourse.records import load_records
for record in load_records():
    for split in ("val", "test"):
        if record.has(split):
            values = record.metrics(split)
            assert abs(values["accuracy"] - record.data[split]["accuracy"]) < 1e-9, record.name
    assert record.name
print(len(load_records()))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) == len(load_records())


def test_committed_records_are_named_for_what_they_are():
    for record in load_records():
        layout, kind = record.data["data"]["layout"], record.data["environment"]["device_kind"]
        assert record.name == record_name(record.data["config"], layout, kind, record.tta)
        assert record.data["shortened"] == is_shortened(record.data["config"])
        assert (results_folder() / "runs" / f"{record.name}.json").stat().st_size <= MAX_BYTES


def test_copied_files_are_told_their_commit(monkeypatch, tmp_path):
    """As on a machine that got the files without their history."""
    from fercourse import environment as runs

    monkeypatch.setattr(runs, "__file__", str(tmp_path / "fercourse" / "runs.py"))
    monkeypatch.setattr(runs.metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: None))
    monkeypatch.delenv("FERCOURSE_COMMIT", raising=False)
    assert runs.commit() == "unknown"
    monkeypatch.setenv("FERCOURSE_COMMIT", "0123abc")
    assert runs.commit() == "0123abc"
