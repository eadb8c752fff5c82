"""The network that travels with the package: whole, small, documented, and the same in every file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fercourse
from fercourse.checkpoint import load_checkpoint, save_checkpoint
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import synthetic_faces
from fercourse.errors import FercourseError
from fercourse.models import create_model
from fercourse.records import read_record

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
import small_network  # noqa: E402 - it needs both

FOLDER = Path(fercourse.__file__).parent / "small"
FLOAT, INT8, HALF = "small.onnx", "small-int8.onnx", "small.safetensors"


@pytest.fixture(scope="module")
def small() -> dict:
    return json.loads((FOLDER / "small.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Drawn faces, float32 (200, 1, 48, 48) in [0, 1]."""
    return synthetic_faces(sizes=(200, 0, 0)).train.images[:, None].astype(np.float32) / 255


def run(name: str, images: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(FOLDER / name, providers=["CPUExecutionProvider"])
    return dict(zip(("logits", "maps"), session.run(["logits", "maps"], {"images": images}), strict=True))


def weights(name: str) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(FOLDER / name).graph.initializer}


@torch.inference_mode()
def by_torch(model: nn.Module, images: np.ndarray) -> np.ndarray:
    return model.eval()(torch.from_numpy(images)).numpy()


def half(small: dict) -> nn.Module:
    model = create_model(small["model"], **small["model_options"])
    model.load_state_dict(load_checkpoint(FOLDER / HALF)[0])
    return model


def test_sizes(small: dict) -> None:
    assert (FOLDER / FLOAT).stat().st_size <= 5_000_000
    assert (FOLDER / INT8).stat().st_size <= 1_400_000
    network = create_model(small["model"], **small["model_options"])
    assert small["parameters"] == sum(p.numel() for p in network.parameters()) <= 1_200_000


def test_the_files_are_those_that_were_measured(small: dict) -> None:
    assert sorted(small["files"]) == sorted([FLOAT, INT8, HALF])
    assert {path.name for path in FOLDER.iterdir()} == {FLOAT, INT8, HALF, "small.json", "README.md"}
    for name, about in small["files"].items():
        content = (FOLDER / name).read_bytes()
        assert about["bytes"] == len(content)
        assert about["sha256"] == hashlib.sha256(content).hexdigest(), f"{name} was changed"


def test_what_is_said_of_it_is_the_records(small: dict) -> None:
    record = read_record(small["record"])
    assert record.model == small["model"]
    assert record.data["data"] == small["data"]
    assert record.qualifiers == small["qualifiers"]
    for split in ("val", "test"):
        # Folded batch norm may decide a tie otherwise.
        assert small["files"][FLOAT][split]["accuracy"] == pytest.approx(
            record.data[split]["accuracy"], abs=0.0006
        )
        for name in (INT8, HALF):
            assert (
                abs(small["files"][name][split]["accuracy"] - small["files"][FLOAT][split]["accuracy"])
                <= 0.003
            )
    recorded = record.metrics("test")
    assert small["test"]["recall"] == pytest.approx(recorded["per_class_recall"], abs=0.02)
    assert small["test"]["without_twins"] == pytest.approx(recorded["accuracy_without_twins"], abs=0.001)
    assert tuple(small["classes"]) == EMOTIONS


def test_the_scheme_was_chosen_on_val(small: dict) -> None:
    found = small["quantisation"]
    best = max(found["tried"], key=lambda row: (row["val_accuracy"], row["val_agreement"]))
    assert found["chosen"] == best["scheme"]
    assert best["val_accuracy"] == small["files"][INT8]["val"]["accuracy"]
    assert found["calibration"]["split"] == "train"
    metadata = {entry.key: entry.value for entry in onnx.load(FOLDER / INT8).metadata_props}
    assert metadata["quantisation"] == found["chosen"]
    assert metadata["name"] == small["record"]
    assert not any("test" in key for row in found["tried"] for key in row)


def test_the_temperature_helps_on_val(small: dict) -> None:
    about = small["files"][FLOAT]["val"]
    assert about["ece"] <= about["ece_without_temperature"] + 0.005
    assert 0.2 < small["temperature"] < 5


def test_float32_is_what_pytorch_computes(small: dict, images: np.ndarray) -> None:
    """The weights of the file, batch norm folded, in the package's own network without batch norm."""
    stored = weights(FLOAT)
    network = create_model(small["model"], **{**small["model_options"], "norm": "none"})
    body = {name.removeprefix("model."): value for name, value in stored.items() if "stages" in name}
    state = {name: torch.from_numpy(value.copy()) for name, value in body.items()}
    dense = next(value for value in stored.values() if value.shape == (7, 256, 1, 1))
    state["head.3.weight"] = torch.from_numpy(dense[:, :, 0, 0].copy())
    state["head.3.bias"] = torch.tensor(small["bias"])
    network.load_state_dict(state)
    expected = by_torch(network, images)
    found = run(FLOAT, images)["logits"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_float16_is_float32_rounded(small: dict, images: np.ndarray) -> None:
    tensors = load_checkpoint(FOLDER / HALF)[0]
    assert {t.dtype for t in tensors.values() if t.dim() > 1} == {torch.float16}
    expected = run(FLOAT, images)["logits"]
    np.testing.assert_allclose(by_torch(half(small), images), expected, rtol=0, atol=0.02)


def test_eight_bits_agree_with_float32(images: np.ndarray, small: dict) -> None:
    exact, rounded = run(FLOAT, images)["logits"], run(INT8, images)["logits"]
    assert (exact.argmax(1) == rounded.argmax(1)).mean() >= 0.95
    assert np.abs(exact - rounded).mean() < 0.1
    assert small["files"][INT8]["agrees_with_float32_on_test"] > 0.95
    stored = onnx.load(FOLDER / INT8).graph.initializer
    in_bytes = sum(
        np.prod(t.dims) for t in stored if t.data_type in (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
    )
    assert in_bytes > 0.99 * small["parameters"] - 7 * 256 - 2000  # all but the last layer and the biases


@pytest.mark.parametrize("name", [FLOAT, INT8])
def test_maps_add_up_to_the_logits(small: dict, images: np.ndarray, name: str) -> None:
    found = run(name, images[:20])
    assert found["maps"].shape == (20, 7, 6, 6)
    sums = found["maps"].mean((2, 3)) + np.array(small["bias"], np.float32)
    np.testing.assert_allclose(sums, found["logits"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", [FLOAT, INT8, HALF, "small.json", "README.md"])
def test_no_path_is_in_the_files(root: Path, name: str) -> None:
    content = (FOLDER / name).read_bytes()
    for place in (str(root), str(Path.home()), "/tmp/", "site-packages"):
        assert len(place) < 2 or place.encode() not in content, place


def test_the_card_is_made_of_what_was_measured(small: dict) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert text == small_network.card(small), (
        "run tools/small_network.py: the model card is older than its text"
    )
    assert "$" not in text
    small["files"][FLOAT]["test"]["accuracy"] = 0.123
    assert "12.30 %" in small_network.card(small)
    small["test"]["recall"][3] = 0.0123
    assert "**happy** is found least often (1.23 %" in small_network.card(small)


def test_the_same_weights_and_images_give_the_same_bytes(images: np.ndarray) -> None:
    faces = (255 * images[:64, 0]).astype(np.uint8)
    scheme = small_network.SCHEMES[0]
    first, second = (small_network.quantised(FOLDER / FLOAT, scheme, faces) for _ in range(2))
    assert first == second
    other = small_network.quantised(FOLDER / FLOAT, scheme, faces // 2)
    assert other != first, "the calibration images change nothing"


def test_weights_give_the_same_bytes_at_each_run(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(3), "b": torch.ones(2, 2).half()}
    contents = set()
    for number in range(20):
        path = tmp_path / f"{number}.safetensors"
        save_checkpoint(path, tensors, {"model": "m"})
        small_network.in_order(path)
        contents.add(path.read_bytes())
        found, facts = load_checkpoint(path)
        assert facts == {"model": "m"}
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert len(contents) == 1


def test_the_best_temperature() -> None:
    draw = np.random.default_rng(0)
    logits = 2 * draw.standard_normal((20_000, 7))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (shares.cumsum(1) > draw.random((len(logits), 1))).argmax(1)
    assert small_network.best_temperature(labels, 3 * logits) == pytest.approx(3, rel=0.03)


def test_another_runs_record_is_refused(tmp_path: Path) -> None:
    record = read_record("small_vgg-quick-seed0-cpu")
    run = {**record.data, "config": {**record.data["config"], "seed": 1}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    faces = synthetic_faces(sizes=(4, 0, 0))
    with pytest.raises(FercourseError, match=r"holds the run small_vgg-quick-seed1-cpu, and the record is"):
        small_network.checked(tmp_path, record, faces)
    (tmp_path / "run.json").write_text(json.dumps(record.data))
    with pytest.raises(FercourseError, match="is other data than"):
        small_network.checked(tmp_path, record, faces)
    logits = np.eye(7)[record.preds("val")]
    small_network.same_as_recorded(record, "val", logits)
    with pytest.raises(FercourseError, match="these are not its weights"):
        small_network.same_as_recorded(record, "val", np.roll(logits, 1, axis=0))


@pytest.mark.slow
def test_the_accuracy_is_that_of_the_file(real_data: Path, small: dict) -> None:
    from fercourse.data import load_faces

    faces = load_faces(real_data / "fer2013.csv")
    assert faces.fingerprint == small["data"]["fingerprint"]
    answer = small_network.by_onnx((FOLDER / INT8).read_bytes(), 1)
    right = (answer(faces.val.images).argmax(1) == faces.val.labels).mean()
    assert right == pytest.approx(small["files"][INT8]["val"]["accuracy"], abs=0.002)
