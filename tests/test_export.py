"""ONNX files: the network itself, all of it in one file, and nothing of the machine that wrote it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from fercourse import export as export_module
from fercourse.cli import main
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import synthetic_faces
from fercourse.errors import FercourseError
from fercourse.export import TOLERANCE, compare_with_torch, export_onnx, to_onnx
from fercourse.models import MODELS, create_model
from fercourse.recipes import make_config
from fercourse.runs import load_best, train_run

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(sizes=(16, 6, 0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, faces):
    """Make a run of a network: two steps by the smoke recipe."""
    root = tmp_path_factory.mktemp("runs")

    def train(model: str) -> Path:
        folder = root / model
        if not folder.exists():
            config = make_config(model, "smoke", epochs=1, batch_size=8, max_steps=2, precision="fp32")
            train_run(config, faces, folder, device="cpu", progress=False)
        return folder

    return train


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A basic_cnn, exported once."""
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return path, export_onnx(trained("basic_cnn"), path)


def assert_nothing_left(folder: Path, *expected: str) -> None:
    assert sorted(p.name for p in folder.iterdir()) == sorted(expected)


def without_weights(path: Path) -> bytes:
    """Return the file's bytes without the trained numbers: among millions, some spell any three letters."""
    proto = onnx.load(path)
    for tensor in proto.graph.initializer:
        tensor.ClearField("raw_data")
    return proto.SerializeToString()


def logits(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images})[0]


def assert_same_logits(path: Path, model: torch.nn.Module, images: np.ndarray) -> None:
    with torch.inference_mode():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits(path, images), expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "model",
    ["small_vgg", "se_resnet18", pytest.param("mobilenet_v3_small", marks=pytest.mark.slow)],
)
def test_the_file_answers_as_the_run_does(trained, tmp_path, faces, model):
    path = tmp_path / "model.onnx"
    facts = export_onnx(trained(model), path)
    assert facts["bytes"] == path.stat().st_size
    assert 0 <= facts["max_difference"] <= TOLERANCE * facts["max_logit"]
    images = faces.val.images[:5, None].astype(np.float32) / 255  # a batch size that the export did not try
    assert_same_logits(path, load_best(trained(model))[0], images)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("FERCOURSE_EXPORT_ALL"), reason="FERCOURSE_EXPORT_ALL is not set")
@pytest.mark.parametrize("model", MODELS)
def test_every_network_can_be_exported(tmp_path, model):
    """With weights and statistics of no training, which hide no layer; takes minutes."""
    torch.manual_seed(0)
    network = create_model(model)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, std=0.3)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            module.momentum = None  # the average over all batches
    for _ in range(2):
        network(torch.rand(8, 1, 48, 48))
    network.eval()
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(network, {"model": model}).SerializeToString())
    assert compare_with_torch(path, network, str(path))["max_logit"] > 0
    assert str(Path(export_module.__file__).parents[1]).encode() not in path.read_bytes()


def test_input_and_output(exported):
    path, facts = exported
    assert facts["path"] == str(path)
    graph = onnx.load(path).graph

    def shape(value):
        sides = value.type.tensor_type.shape.dim
        return [side.dim_value or side.dim_param for side in sides]

    (images,), (out,) = graph.input, graph.output
    assert (images.name, out.name) == ("images", "logits")
    assert images.type.tensor_type.elem_type == out.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert shape(images) == ["batch", 1, 48, 48]
    assert shape(out) == ["batch", 7]


def test_weights_lie_in_the_one_file(exported):
    path, facts = exported
    assert_nothing_left(path.parent, "model.onnx")
    proto = onnx.load(path, load_external_data=False)
    assert not any(tensor.external_data for tensor in proto.graph.initializer)
    weights = sum(np.prod(tensor.dims) for tensor in proto.graph.initializer)
    assert facts["bytes"] > 4 * weights > 3_000_000


def test_no_path_of_the_machine_is_in_the_bytes(exported, root, trained):
    content = exported[0].read_bytes()
    folders = {
        root,
        Path(export_module.__file__).parent,
        Path.home(),
        Path.cwd(),
        Path(sys.prefix),
        Path(sysconfig.get_path("purelib")),
        Path(torch.__file__).parent,
        trained("basic_cnn").parent,
        exported[0].parent,
    }
    for folder in folders:
        for name in {str(folder), str(folder.resolve())}:
            assert len(name) < 2 or name.encode() not in content, name
    assert b"site-packages" not in content
    assert b".py" not in without_weights(exported[0])


def test_metadata_say_what_it_is(exported, trained, faces):
    path, facts = exported
    proto = onnx.load(path)
    found = {entry.key: entry.value for entry in proto.metadata_props}
    assert found == facts["metadata"]
    assert found["model"] == "basic_cnn"
    assert (found["recipe"], found["seed"]) == ("smoke", "0")
    assert found["classes"].split(",") == list(EMOTIONS)
    assert found["data_fingerprint"] == faces.fingerprint
    run = json.loads((trained("basic_cnn") / "run.json").read_text())
    assert found["commit"] == run["environment"]["commit"]
    assert json.loads(found["config"]) == run["config"]
    assert "from 0 (black) to 1 (white)" in found["input"]
    # Whoever meets the file is told that this was no full training, and on what.
    assert {"shortened", "cpu", "synthetic"} <= set(found["name"].split("-"))


def test_the_same_weights_give_the_same_bytes(exported, trained, tmp_path):
    """Also in another process, whose hashes are seeded otherwise; the exporter says nothing to the user."""
    path = tmp_path / "again.onnx"
    command = [sys.executable, "-m", "fercourse.cli", "export", str(trained("basic_cnn")), str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": "77"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{path}: 3.9 MB, logits within ")
    assert len(done.stdout.splitlines()) == 1
    assert path.read_bytes() == exported[0].read_bytes()


def test_json(exported, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        export_module, "export_onnx", lambda _, path, **__: {**exported[1], "path": str(path)}
    )
    with pytest.raises(SystemExit) as ended:
        main(["export", str(trained("basic_cnn")), str(tmp_path / "m.onnx"), "--json"])
    assert ended.value.code in (0, None)
    facts = json.loads(capsys.readouterr().out)
    assert facts["path"] == str(tmp_path / "m.onnx")
    assert facts["metadata"]["model"] == "basic_cnn"


def fails(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, arguments)])
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_maps_are_a_second_output(trained, tmp_path, faces, capsys):
    path = tmp_path / "model.onnx"
    with pytest.raises(SystemExit) as ended:
        main(["export", str(trained("small_vgg")), str(path), "--maps"])
    assert not ended.value.code
    images = faces.val.images[:5, None].astype(np.float32) / 255
    network = load_best(trained("small_vgg"))[0]
    assert_same_logits(path, network, images)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["logits", "maps"]
    (maps,) = session.run(["maps"], {"images": images})
    assert maps.shape == (5, 7, 6, 6)
    bias = network.head[-1].bias.detach().numpy()
    np.testing.assert_allclose(maps.mean((2, 3)) + bias, logits(path, images), atol=1e-5)
    assert "maps: float32 (N, 7, h, w)" in str(onnx.load(path).metadata_props)
    capsys.readouterr()
    assert "Class activation maps need a head of global average pooling" in fails(
        capsys, trained("basic_cnn"), tmp_path / "other.onnx", "--maps"
    )
    assert_nothing_left(tmp_path, "model.onnx")


def test_turned_maps_are_refused(trained, tmp_path, monkeypatch):
    """Their means, and so the logits, are right; the places are not."""
    right = export_module.to_onnx

    def wrong(model, metadata):
        proto = right(model, metadata)
        for node in proto.graph.node:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    names[place] = "upright" if name == "maps" else name
        turn = onnx.helper.make_node("Transpose", ["upright"], ["maps"], perm=[0, 1, 3, 2])
        proto.graph.node.append(turn)
        return proto

    monkeypatch.setattr(export_module, "to_onnx", wrong)
    with pytest.raises(FercourseError, match="was not written: on 1 images its maps differ from PyTorch's"):
        export_onnx(trained("small_vgg"), tmp_path / "model.onnx", maps=True)
    assert_nothing_left(tmp_path)


def test_another_networks_answers_are_refused(trained, tmp_path, monkeypatch):
    """One weight of one layer is off by a little in what the exporter wrote: nothing is left behind."""
    right = export_module.to_onnx

    def wrong(model, metadata):
        proto = right(model, metadata)
        bias = next(t for t in proto.graph.initializer if list(t.dims) == [7])
        values = onnx.numpy_helper.to_array(bias).copy()
        values[3] += 0.002
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return proto

    monkeypatch.setattr(export_module, "to_onnx", wrong)
    (tmp_path / "model.onnx").write_text("an older file")
    with pytest.raises(FercourseError, match=r"model\.onnx was not written: on 1 images its logits differ"):
        export_onnx(trained("basic_cnn"), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_text() == "an older file"
    assert_nothing_left(tmp_path, "model.onnx")


def test_zeros_around_a_max_pool_stay_zeros(tmp_path):
    """onnxruntime merges the padding into the pool, whose own padding is minus infinity."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, bias=False),  # inputs are positive: the outputs of some channels are not
        torch.nn.ZeroPad2d(1),
        torch.nn.MaxPool2d(12),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 4 * 4, 7),
    ).eval()
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(network, {}).SerializeToString())
    assert compare_with_torch(path, network, "it")["max_difference"] < 1e-5


def test_where_the_newer_exporter_fails_the_older_one_serves(trained, tmp_path, monkeypatch):
    def broken(_):
        raise TypeError("Field onnx.AttributeProto.i: Expected an int, got a boolean.")

    monkeypatch.setattr(export_module, "_by_graph_capture", broken)
    facts = export_onnx(trained("basic_cnn"), tmp_path / "model.onnx")
    assert facts["max_difference"] <= TOLERANCE * facts["max_logit"]
    assert b".py" not in without_weights(tmp_path / "model.onnx")
    monkeypatch.setattr(export_module, "_by_tracing", broken)
    with pytest.raises(FercourseError, match="cannot translate this network"):
        export_onnx(trained("basic_cnn"), tmp_path / "other.onnx")
    assert_nothing_left(tmp_path, "model.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(trained, tmp_path, monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)  # `import package` then fails
    line = fails(capsys, trained("basic_cnn"), tmp_path / "model.onnx")
    assert f"needs {package}, " in line
    assert "pip install onnx onnxscript onnxruntime" in line
    assert_nothing_left(tmp_path)


def test_a_run_that_is_not_there(tmp_path, capsys):
    assert "holds no run" in fails(capsys, tmp_path / "nothing", tmp_path / "model.onnx")
    assert_nothing_left(tmp_path)


def test_a_run_that_lacks_what_is_told(trained, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "best.safetensors").write_bytes((trained("basic_cnn") / "best.safetensors").read_bytes())
    run = json.loads((trained("basic_cnn") / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "environment": {}}))
    assert "run.json" in fails(capsys, folder, tmp_path / "model.onnx")
    assert_nothing_left(tmp_path, "run")


def test_a_place_that_cannot_be_written(trained, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "Cannot write" in fails(capsys, trained("basic_cnn"), tmp_path / "file" / "model.onnx")
    assert "is a folder" in fails(capsys, trained("basic_cnn"), tmp_path)
    assert_nothing_left(tmp_path, "file")
