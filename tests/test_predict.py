"""From pictures of every kind to labels: what is cut out, who answers, and what is said if it cannot be."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from fercourse.cli import main
from fercourse.data import EMOTIONS
from fercourse.data.synthetic import synthetic_faces
from fercourse.errors import FercourseError
from fercourse.predict import (
    Square,
    centred_square,
    find_faces,
    load_network,
    load_small,
    missing_cascade,
    networks,
    predict,
    prepare,
    read_picture,
    small_facts,
)
from fercourse.predict.pictures import picture_files, upright

GREY = 48


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Drawn faces, uint8 (40, 48, 48)."""
    return synthetic_faces(sizes=(40, 0, 0)).train.images


@pytest.fixture(scope="module")
def colours() -> Image.Image:
    """A picture in colour, wider than high, without any symmetry."""
    draw = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return Image.fromarray(draw).resize((200, 150), Image.Resampling.BICUBIC)


@pytest.fixture
def no_opencv(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # `import cv2` then fails
    missing_cascade.cache_clear()
    yield
    missing_cascade.cache_clear()


def command(capsys, *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["predict", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


# From a picture to 48x48 -----------------------------------------------------------------------------------


def by_hand(pixels: np.ndarray, square: Square) -> np.ndarray:
    """The same, as the interfaces have it: edges repeated, grey, a triangle filter that widens."""
    height, width = pixels.shape[:2]
    rows = np.clip(np.arange(square.y, square.y + square.side), 0, height - 1)
    columns = np.clip(np.arange(square.x, square.x + square.side), 0, width - 1)
    r, g, b = (pixels[rows][:, columns, channel].astype(np.int64) for channel in range(3))
    grey = ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(float)
    scale = square.side / GREY
    reach = max(1.0, scale)
    weights = np.zeros((GREY, square.side))
    for out in range(GREY):
        centre = (out + 0.5) * scale
        places = np.arange(square.side) + 0.5
        weights[out] = np.clip(1 - np.abs(places - centre) / reach, 0, None)
        weights[out] /= weights[out].sum()
    return weights @ grey @ weights.T


@pytest.mark.parametrize(
    "square",
    [(25, 0, 150), (3, 7, 31), (0, 0, 48), (-40, -10, 120), (150, 100, 90), (-30, -30, 300), (5, 5, 1)],
)
def test_a_square_is_cut_made_grey_and_brought_to_size(colours: Image.Image, square: tuple) -> None:
    found = prepare(colours, square)
    assert (found.dtype, found.shape) == (np.uint8, (48, 48))
    expected = by_hand(np.asarray(colours), Square(*square))
    assert np.abs(found - expected).max() <= 1.01


def test_without_a_square_it_is_the_largest_in_the_middle(colours: Image.Image) -> None:
    assert centred_square((200, 150)) == Square(25, 0, 150)
    assert centred_square((7, 30)) == Square(0, 11, 7)
    np.testing.assert_array_equal(prepare(colours), prepare(colours, (25, 0, 150)))
    np.testing.assert_array_equal(prepare(np.asarray(colours)), prepare(colours))


def test_a_face_of_the_data_set_stays_as_it_is(faces: np.ndarray) -> None:
    np.testing.assert_array_equal(prepare(faces[0]), faces[0])
    np.testing.assert_array_equal(prepare(Image.fromarray(faces[1]).convert("RGB")), faces[1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_note_says(tmp_path: Path, colours: Image.Image, orientation: int) -> None:
    """Eight files that all show the same picture, each stored in its own way."""
    turn = Image.Transpose
    undo = [turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE, turn.ROTATE_90,
            turn.TRANSVERSE, turn.ROTATE_270]  # fmt: skip
    stored = colours.transpose(undo[orientation - 2]) if orientation > 1 else colours
    note = Image.Exif()
    note[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=note)
    found = read_picture(tmp_path / "turned.png")
    np.testing.assert_array_equal(np.asarray(found), np.asarray(colours))
    np.testing.assert_array_equal(prepare(Image.open(tmp_path / "turned.png")), prepare(colours))


def test_a_note_that_is_wrong_does_not_make_a_picture_damaged(tmp_path: Path, colours: Image.Image) -> None:
    """A resolution written as text, beside a sound note of how the picture lies."""
    orientation, resolution = (0x0112, 3, 1, 6), (0x011A, 2, 4, int.from_bytes(b"300\0", "little"))
    notes = struct.pack("<2sHIH", b"II", 42, 8, 2)
    notes += b"".join(struct.pack("<HHII", *one) for one in (orientation, resolution)) + bytes(4)
    stored = colours.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "a.png", exif=b"Exif\0\0" + notes)
    with Image.open(tmp_path / "a.png") as image, pytest.raises(TypeError):
        ImageOps.exif_transpose(image)  # what is to be got round
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.png")), np.asarray(colours))
    np.testing.assert_array_equal(prepare(Image.open(tmp_path / "a.png")), prepare(colours))
    stored.save(tmp_path / "b.png", exif=b"Exif\0\0no notes at all")
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "b.png")), np.asarray(stored))


def grey_of(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L")).astype(int)


def test_what_is_transparent_lies_over_grey(tmp_path: Path, colours: Image.Image) -> None:
    alpha = Image.new("L", colours.size, 255)
    alpha.paste(0, (0, 0, 100, 150))
    clear = colours.copy()
    clear.putalpha(alpha)
    clear.save(tmp_path / "clear.png")
    found = np.asarray(read_picture(tmp_path / "clear.png"))
    assert (found[:, :100] == 128).all()
    np.testing.assert_array_equal(found[:, 100:], np.asarray(colours)[:, 100:])
    clear.convert("LA").save(tmp_path / "grey.png")
    found = grey_of(read_picture(tmp_path / "grey.png"))
    assert (found[:, :100] == 128).all()
    assert np.abs(found[:, 100:] - grey_of(colours)[:, 100:]).max() <= 1
    # A palette of which one colour is no colour.
    palette = colours.quantize(16)
    palette.save(tmp_path / "palette.gif", transparency=3)
    found = grey_of(read_picture(tmp_path / "palette.gif"))
    assert (found[np.asarray(palette) == 3] == 128).all()
    assert (np.asarray(palette) == 3).any()


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "I", "F", "PA", "La", "RGBa", "RGBX"]
)
def test_every_kind_of_pixel_shows_the_same_face(faces: np.ndarray, mode: str) -> None:
    face = Image.fromarray(faces[2])
    if mode in ("I;16", "I"):
        picture = Image.fromarray(faces[2].astype(np.uint16 if mode == "I;16" else np.int32) * 257)
        assert picture.mode == mode
    elif mode == "F":
        picture = Image.fromarray(faces[2].astype(np.float32) / 255)
    elif mode in ("La", "RGBa"):
        picture = face.convert("LA" if mode == "La" else "RGBA").convert(mode)
    elif mode in ("PA", "P"):
        picture = face.convert("P").convert(mode)
    else:
        picture = (
            face.convert("RGB").convert(mode) if mode != "1" else face.convert("1", dither=Image.Dither.NONE)
        )
    found = prepare(picture).astype(int)
    expected = np.where(faces[2] >= 128, 255, 0) if mode == "1" else faces[2].astype(int)
    assert np.abs(found - expected).max() <= 2


def test_sixteen_bits_from_a_file(tmp_path: Path, faces: np.ndarray) -> None:
    Image.fromarray(faces[3].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(prepare(read_picture(tmp_path / "deep.png")), faces[3])


def test_of_an_animation_the_first_picture_counts(tmp_path: Path, faces: np.ndarray) -> None:
    pictures = [Image.fromarray(face) for face in faces[:3]]
    for name in ("many.gif", "many.png", "many.tiff"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
        np.testing.assert_array_equal(prepare(read_picture(tmp_path / name)), faces[0])


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "webp", "tif", "ppm", "jp2", "tga", "ico"])
def test_formats(tmp_path: Path, faces: np.ndarray, suffix: str) -> None:
    Image.fromarray(faces[4]).save(tmp_path / f"face.{suffix}")
    assert np.abs(prepare(read_picture(tmp_path / f"face.{suffix}")).astype(int) - faces[4]).mean() < 6


def test_tiny_and_long_pictures(tmp_path: Path) -> None:
    for size in ((1, 1), (1, 500), (3000, 2)):
        Image.new("RGB", size, (90, 90, 90)).save(tmp_path / "odd.png")
        assert (prepare(read_picture(tmp_path / "odd.png")) == 90).all()


def test_what_cannot_be_prepared_is_refused(faces: np.ndarray) -> None:
    with pytest.raises(FercourseError, match=r"float64 of shape \(48, 48\); expected uint8"):
        prepare(faces[0] / 255)
    with pytest.raises(FercourseError, match=r"shape \(48, 48, 2\)"):
        prepare(np.zeros((48, 48, 2), np.uint8))
    with pytest.raises(FercourseError, match="no pixels"):
        prepare(np.zeros((0, 48), np.uint8))
    for side in (0, -3, 193):
        with pytest.raises(
            FercourseError, match=f"side of {side} pixels; expected at least 1, and at most 4 times"
        ):
            prepare(faces[0], (0, 0, side))
    with pytest.raises(FercourseError, match="from 0 to 255, and how bright"):
        upright(Image.fromarray(np.linspace(0, 255, 48 * 48, dtype=np.float32).reshape(48, 48)))


# Files -----------------------------------------------------------------------------------------------------


def bomb(path: Path, side: int) -> Path:
    """A PNG of a few bytes that says it has so many pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    return path


def test_what_is_no_picture_is_told(tmp_path: Path, faces: np.ndarray) -> None:
    def said(path: Path) -> str:
        with pytest.raises(FercourseError) as error:
            read_picture(path)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "There is no picture" in said(tmp_path / "missing.jpg")
    assert "is a folder; expected a picture" in said(tmp_path)
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert "is empty" in said(tmp_path / "empty.jpg")
    (tmp_path / "text.png").write_text("emotion,pixels,Usage\n")
    assert "is not a picture, or not in a format that is read here" in said(tmp_path / "text.png")
    (tmp_path / "drawing.eps").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EndComments\n"
    )
    assert "is not a picture, or not in a format" in said(tmp_path / "drawing.eps")
    Image.fromarray(faces[0]).resize((300, 300)).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    assert "is damaged or cut short" in said(tmp_path / "cut.jpg")
    for side in (30_000, 10_000):  # Pillow refuses the first, and only warns of the second
        assert "would take more than 89,478,485 pixels" in said(bomb(tmp_path / "bomb.png", side))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "tif", "bmp", "ppm"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, faces: np.ndarray, suffix: str) -> None:
    """Cut anywhere, or with bytes changed: a picture or a sentence, never another exception."""
    draw = np.random.default_rng(0)
    Image.fromarray(faces[0]).save(tmp_path / f"face.{suffix}")
    whole = bytearray((tmp_path / f"face.{suffix}").read_bytes())
    for _ in range(60):
        changed = bytearray(whole)
        for place in draw.integers(0, min(len(whole), 120), 2):  # where a file says what it is
            changed[place] = draw.integers(256)
        path = tmp_path / f"changed.{suffix}"
        path.write_bytes(changed[: draw.choice([len(whole), draw.integers(1, len(whole))])])
        try:
            assert prepare(read_picture(path)).shape == (48, 48)
        except FercourseError as error:
            assert str(path) in str(error)


def test_a_folder_is_its_pictures(tmp_path: Path, faces: np.ndarray) -> None:
    (tmp_path / "b").mkdir()
    for name in ("2.PNG", "1.jpg", "b/0.gif", ".hidden.png", "notes.txt"):
        path = tmp_path / name
        Image.fromarray(faces[0]).save(path) if path.suffix != ".txt" else path.write_text("")
    found = picture_files([tmp_path, tmp_path / "2.PNG", tmp_path / "notes.txt"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        "1.jpg",
        "2.PNG",
        "b/0.gif",
        "notes.txt",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FercourseError, match="empty holds no picture, nor do the folders in it"):
        picture_files([tmp_path / "empty"])


# Networks --------------------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_small_network(faces: np.ndarray) -> None:
    model, facts = load_small(), small_facts()
    assert not model.training
    with torch.inference_mode():
        logits = model(torch.from_numpy(faces[:, None]).float() / 255)
    expected = (logits / facts["temperature"]).softmax(1).numpy()
    found = predict(faces)
    assert (found.dtype, found.shape) == (np.float32, (40, 7))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(predict([faces[7]]), expected[7:8], atol=1e-5)
    assert predict([]).shape == (0, 7)


def test_the_onnx_files_say_the_same(faces: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    folder = Path(networks.__file__).parents[1] / "small"
    expected = predict(faces)
    network = load_network(folder / "small.onnx")
    assert network.name == small_facts()["record"]
    np.testing.assert_allclose(predict(faces, network), expected, atol=2e-3)
    rounded = predict(faces, load_network(folder / "small-int8.onnx"))
    assert np.abs(rounded - expected).mean() < 0.03


def test_works_without_onnxruntime(faces: np.ndarray, monkeypatch) -> None:
    for name in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)
    networks._small_network.cache_clear()
    assert predict(faces[:2]).shape == (2, 7)
    folder = Path(networks.__file__).parents[1] / "small"
    with pytest.raises(FercourseError, match="needs onnxruntime: pip install onnxruntime"):
        load_network(folder / "small.onnx")


def test_wrong_images_are_refused(faces: np.ndarray) -> None:
    with pytest.raises(FercourseError, match=r"float64 of shape \(40, 48, 48\); expected uint8"):
        predict(faces / 255)
    with pytest.raises(FercourseError, match=r"of shape \(48, 48\); expected"):
        predict(faces[0])


def test_a_run_predicts(tmp_path: Path, faces: np.ndarray) -> None:
    from fercourse.recipes import make_config
    from fercourse.runs import load_best, train_run

    config = make_config("basic_cnn", "smoke", epochs=1, batch_size=8, max_steps=1, precision="fp32")
    train_run(config, synthetic_faces(sizes=(16, 6, 0)), tmp_path / "run", device="cpu", progress=False)
    network = load_network(tmp_path / "run")
    assert network.name == f"basic_cnn of {tmp_path / 'run'}"
    with torch.inference_mode():
        logits = load_best(tmp_path / "run")[0](torch.from_numpy(faces[:, None]).float() / 255)
    np.testing.assert_allclose(predict(faces, network), logits.softmax(1).numpy(), atol=1e-5)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FercourseError, match="There is no network"):
        load_network(tmp_path / "missing.onnx")
    with pytest.raises(FercourseError, match="holds no run"):
        load_network(tmp_path)
    pytest.importorskip("onnxruntime")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(FercourseError, match=r"text\.onnx cannot be loaded as an ONNX network"):
        load_network(tmp_path / "text.onnx")


def simple_onnx(path: Path, shape: list, outputs: int = 7, name: str = "logits", **facts: str) -> Path:
    """A network that gives the mean grey of each image, `outputs` times."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ones = helper.make_tensor("ones", kind, [shape[1], outputs], [1.0] * shape[1] * outputs)
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "ones"], [name]),
    ]
    graph = helper.make_graph(
        nodes, "simple", [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info(name, kind, [shape[0], outputs])], [ones],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(proto, facts)
    path.write_bytes(proto.SerializeToString())
    return path


def test_an_onnx_file_that_does_not_fit_is_refused(tmp_path: Path, faces: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")

    def refused(match: str, *arguments, **facts: str) -> None:
        with pytest.raises(FercourseError, match=match):
            load_network(simple_onnx(tmp_path / "other.onnx", *arguments, **facts))

    refused(r"takes .*224.*; expected one input, images, float32 \(N, 1, 48, 48\)", ["N", 1, 224, 224])
    refused("takes .*; expected one input", ["N", 3, 48, 48])
    refused(r"gives .*; expected logits, float32 \(N, 7\)", ["N", 1, 48, 48], 8)
    refused("gives .*; expected logits", ["N", 1, 48, 48], 7, "answers")
    refused("has the classes 'happy,sad'; expected angry,", ["N", 1, 48, 48], classes="happy,sad")
    refused("has the temperature '-1'; expected a number above 0", ["N", 1, 48, 48], temperature="-1")
    # One made for one image at a time is taken.
    network = load_network(simple_onnx(tmp_path / "one.onnx", [1, 1, 48, 48], temperature="0.5"))
    np.testing.assert_allclose(network.logits(faces[:3], 64)[:, 0], faces[:3].mean((1, 2)) / 255, rtol=1e-5)
    assert (network.name, network.temperature) == ("one.onnx", 0.5)
    # And one made for batches of another size: what is missing of the last one is filled up.
    network = load_network(simple_onnx(tmp_path / "four.onnx", [4, 1, 48, 48]))
    np.testing.assert_allclose(network.logits(faces[:6], 64)[:, 0], faces[:6].mean((1, 2)) / 255, rtol=1e-5)


def test_a_network_that_cannot_be_run_is_no_fault_of_the_pictures(
    tmp_path: Path, colours: Image.Image, capsys, monkeypatch
) -> None:
    for name in ("a.png", "b.png"):
        colours.save(tmp_path / name)

    def broken(*_: object) -> np.ndarray:
        raise FercourseError("net.onnx cannot be run (no such operator).")

    monkeypatch.setattr("fercourse.predict.load_network", lambda _: networks.Network("net.onnx", broken))
    code, _, told = command(capsys, tmp_path, "--faces", "whole", "--quiet")
    assert code == 1
    assert told.count("net.onnx cannot be run") == 1
    assert "could not be read" not in told


def test_damaged_facts_are_told(tmp_path: Path, monkeypatch) -> None:
    for text in ("{", "[]", '{"classes": ["happy"]}'):
        (tmp_path / "small.json").write_text(text)
        monkeypatch.setattr(networks, "_place", lambda name: tmp_path / name)
        with pytest.raises(FercourseError, match=r"small\.json cannot be read .* install fercourse again"):
            small_facts()


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch) -> None:
    from fercourse.checkpoint import load_checkpoint, save_checkpoint

    folder = Path(networks.__file__).parents[1] / "small"
    tensors, _ = load_checkpoint(folder / "small.safetensors")
    (tmp_path / "small.json").write_bytes((folder / "small.json").read_bytes())
    save_checkpoint(tmp_path / "small.safetensors", {k: 2 * v for k, v in tensors.items()}, {})
    monkeypatch.setattr(networks, "_place", lambda name: tmp_path / name)
    with pytest.raises(FercourseError, match="is not the file that was measured"):
        load_small()


# The command -----------------------------------------------------------------------------------------------


def test_json_of_one_picture(tmp_path: Path, colours: Image.Image, capsys) -> None:
    colours.save(tmp_path / "a.png")
    code, out, _ = command(capsys, tmp_path / "a.png", "--faces", "whole", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["classes"] == list(EMOTIONS)
    assert found["network"] == small_facts()["record"]
    assert found["errors"] == []
    assert "Labels, not feelings" in found["caution"]
    (picture,) = found["pictures"]
    assert (picture["file"], picture["width"], picture["height"]) == (str(tmp_path / "a.png"), 200, 150)
    assert picture["found_by"] == "whole"
    (face,) = picture["faces"]
    assert face["square"] == {"x": 25, "y": 0, "side": 150}
    (expected,) = predict([prepare(colours)])
    assert list(face["probabilities"]) == list(EMOTIONS)
    np.testing.assert_allclose(list(face["probabilities"].values()), expected, atol=6e-5)
    assert face["label"] == EMOTIONS[expected.argmax()]


def test_a_table_and_words_of_caution(tmp_path: Path, faces: np.ndarray, capsys) -> None:
    for number in range(3):
        Image.fromarray(faces[number]).save(tmp_path / f"{number}.png")
    code, out, err = command(capsys, tmp_path, "--faces", "whole")
    assert code == 0
    head, *rows = out.splitlines()
    assert head.split() == ["picture", "face", "label", "how", "sure", "else"]
    probs = predict(faces[:3])
    for row, path, shares in zip(rows, sorted(tmp_path.iterdir()), probs, strict=True):
        assert row.startswith(str(path))
        assert "whole (48 px at 0, 0)" in row
        assert f"{EMOTIONS[shares.argmax()]} " in row
        assert f"{100 * shares.max():.0f} %" in row
    wrong = 100 * (1 - small_facts()["files"]["small.safetensors"]["test"]["accuracy"])
    assert f"wrong about {wrong:.0f} of 100" in err
    assert "Labels, not feelings" in err
    _, out, err = command(capsys, tmp_path / "0.png", "--faces", "whole", "--quiet")
    assert err == ""


def test_one_bad_file_stops_nothing(tmp_path: Path, faces: np.ndarray, capsys) -> None:
    for number in (0, 2):
        Image.fromarray(faces[number]).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_text("no picture")
    code, out, err = command(capsys, tmp_path, tmp_path / "gone.jpg", "--faces", "whole", "--json")
    assert code == 1
    found = json.loads(out)
    assert [Path(row["file"]).name for row in found["pictures"]] == ["0.png", "2.png"]
    assert [Path(row["file"]).name for row in found["errors"]] == ["1.png", "gone.jpg"]
    assert "2 of 4 pictures could not be read" in err
    assert "1.png is not a picture" in err
    assert "Traceback" not in err
    code, out, _ = command(capsys, tmp_path, "--faces", "whole")
    assert (code, len(out.splitlines())) == (1, 3)


def test_nothing_but_bad_files(tmp_path: Path, capsys) -> None:
    code, out, err = command(capsys, tmp_path / "gone.jpg", "--quiet")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"fercourse: There is no picture {tmp_path / 'gone.jpg'}: look at the name and the folder.",
        "fercourse: 1 of 1 pictures could not be read.",
    ]


@pytest.mark.usefixtures("no_opencv")
def test_wrong_words_are_told(tmp_path: Path, capsys) -> None:
    code, _, err = command(capsys, tmp_path, "--faces", "harr")
    assert code == 1
    assert "is not one of auto, whole, haar (did you mean 'haar'?)." in err
    code, _, err = command(capsys, tmp_path, "--faces", "haar")
    assert code == 1
    assert "OpenCV is not installed (pip install 'opencv-python-headless<5'" in err
    code, _, err = command(capsys, tmp_path)
    assert "holds no picture" in err
    Image.new("L", (60, 60)).save(tmp_path / "a.png")
    code, _, err = command(capsys, tmp_path, "--model", tmp_path / "none.onnx")
    assert (code, "There is no network" in err) == (1, True)


@pytest.mark.usefixtures("no_opencv")
def test_without_opencv_the_whole_picture_is_taken_and_that_is_said(
    tmp_path: Path, colours: Image.Image, capsys
) -> None:
    colours.save(tmp_path / "a.png")
    code, out, err = command(capsys, tmp_path / "a.png")
    assert code == 0
    assert "whole (150 px at 25, 0)" in out
    assert "Faces are not looked for: OpenCV is not installed" in err
    with pytest.raises(FercourseError, match="Faces cannot be found here: OpenCV is not installed"):
        find_faces(colours)


def test_an_opencv_without_cascades_is_told(monkeypatch) -> None:
    """From version 5 on, OpenCV has none."""
    import types

    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__="5.0.0"))
    missing_cascade.cache_clear()
    try:
        assert "OpenCV 5.0.0 has no Haar cascades any more" in str(missing_cascade())
    finally:
        missing_cascade.cache_clear()


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, faces: np.ndarray, capsys, monkeypatch) -> None:
    from fercourse.cli import predict as command_module

    for number in range(4):
        Image.fromarray(faces[number]).save(tmp_path / f"{number}.png")
    right = command_module.look

    def stopped(path: Path, *others):
        if path.name == "2.png":
            raise KeyboardInterrupt
        return right(path, *others)

    monkeypatch.setattr(command_module, "look", stopped)
    code, out, err = command(capsys, tmp_path, "--faces", "whole", "--json")
    assert code == 130
    assert len(json.loads(out)["pictures"]) == 2
    assert "Stopped after 2 of 4 pictures" in err


def test_help_warns(capsys) -> None:
    code, out, _ = command(capsys, "--help")
    assert code == 0
    words = " ".join(out.replace("│", " ").split())
    assert "Labels, not feelings" in words
    assert "Do not use it to judge, sort or watch anybody" in words
    assert "one JSON document" in words


# Faces -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cascade() -> None:
    missing_cascade.cache_clear()
    if reason := missing_cascade():
        pytest.skip(reason)


@pytest.fixture
def crowd(faces: np.ndarray) -> tuple[Image.Image, list[tuple[int, int, int]]]:
    """Two drawn faces on a plain background, and where they are; the second is larger."""
    places = [(40, 60, 180), (300, 90, 260)]
    picture = Image.new("RGB", (640, 420), (140, 140, 140))
    for number, (x, y, side) in zip((2, 25), places, strict=True):
        face = Image.fromarray(faces[number]).resize((side, side), Image.Resampling.BICUBIC)
        picture.paste(face.convert("RGB"), (x, y))
    return picture, places


def near(square: Square, place: tuple[int, int, int]) -> bool:
    """Whether a found square shares most of a drawn one: intersection over union above a half."""
    sides = [
        min(square[axis] + square.side, place[axis] + place[2]) - max(square[axis], place[axis])
        for axis in (0, 1)
    ]
    both = max(0, sides[0]) * max(0, sides[1])
    return both / (square.side**2 + place[2] ** 2 - both) > 0.5


@pytest.mark.usefixtures("cascade")
def test_faces_are_found_the_largest_first(crowd) -> None:
    picture, places = crowd
    found = find_faces(picture)
    assert [near(square, place) for square, place in zip(found, places[::-1], strict=True)] == [True, True]
    assert find_faces(Image.new("L", (300, 200), 77)) == []
    # Squares are in pixels of the picture, also where it was made smaller for the search.
    large = picture.resize((6 * 640, 6 * 420), Image.Resampling.BICUBIC)
    found = find_faces(large)
    assert near(found[0], tuple(6 * value for value in places[1]))


@pytest.mark.usefixtures("cascade")
def test_a_turned_picture_is_searched_upright(crowd) -> None:
    picture, places = crowd
    note = Image.Exif()
    note[0x0112] = 6
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.info["exif"] = note.tobytes()
    assert near(find_faces(turned)[0], places[1])


@pytest.mark.usefixtures("cascade")
def test_every_face_of_a_picture_is_answered(tmp_path: Path, crowd, faces: np.ndarray, capsys) -> None:
    picture, _ = crowd
    picture.save(tmp_path / "crowd.png")
    Image.new("L", (300, 200), 77).save(tmp_path / "nobody.png")
    Image.fromarray(faces[25]).save(tmp_path / "ready.png")
    code, out, err = command(capsys, tmp_path, "--json")
    assert code == 0
    crowded, nobody, ready = json.loads(out)["pictures"]
    assert (crowded["found_by"], len(crowded["faces"])) == ("haar", 2)
    square = Square(**crowded["faces"][1]["square"])
    expected = predict([prepare(picture, square)])[0]
    np.testing.assert_allclose(list(crowded["faces"][1]["probabilities"].values()), expected, atol=6e-5)
    # A picture of the size of the training images is a face already; one without a face is answered whole.
    assert (nobody["found_by"], ready["found_by"]) == ("whole", "whole")
    assert ready["faces"][0]["square"] == {"x": 0, "y": 0, "side": 48}
    assert "No face was found in" in err
    assert "nobody.png" in err
    assert "ready.png" not in err
    _, out, _ = command(capsys, tmp_path / "nobody.png", "--faces", "haar", "--json")
    assert json.loads(out)["pictures"][0]["faces"] == []
    _, out, _ = command(capsys, tmp_path, "--faces", "haar")
    assert "none found" in out
    assert len(out.splitlines()) == 1 + 2 + 1 + out.count("ready.png")
