"""Make fercourse/small/, the network that travels with the package, from a run and its record.

    python tools/small_network.py RUNDIR RECORD_JSON [--data path/to/fer2013.csv]

Writes the network as ONNX in float32 and in 8 bits, as safetensors in float16, small.json with what was
measured of each file on the real data, and from that README.md, the model card. The 8-bit file's ranges come
from training images, its scheme is chosen on val (PublicTest); test (PrivateTest) is opened for what is kept.
Nothing of a single face is in the files. Needs onnx, onnxscript and onnxruntime.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import onnx
from onnxruntime import InferenceSession, SessionOptions, quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from tqdm import tqdm

from fercourse.checkpoint import save_checkpoint
from fercourse.data import EMOTIONS, audit, load_faces, twins
from fercourse.data.faces import Faces, FaceSet
from fercourse.errors import FercourseError
from fercourse.evaluate import bootstrap_interval, metrics, predict
from fercourse.export import INPUT, OUTPUT, clear_notes, export_onnx
from fercourse.files import atomic_path, write_text
from fercourse.records import Record, final_entries, is_final, read_record, record_name
from fercourse.reports import percent
from fercourse.runs import environment, load_best, read_run

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "fercourse" / "small"
CARD = Path(__file__).with_name("model_card.md")
FLOAT, INT8, HALF = "small.onnx", "small-int8.onnx", "small.safetensors"
#: What a file may take, in bytes, and the network in parameters: it is fetched by a page, over any network.
MOST_BYTES = {FLOAT: 5_000_000, INT8: 1_400_000, HALF: 2_500_000}
MOST_PARAMETERS = 1_200_000
#: How far a file's accuracy may be from that of float32, as a share of the images.
FARTHEST = 0.003
#: Training images that ranges are read from, drawn with this seed.
CALIBRATED, SEED = 512, 0
Answer = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scheme:
    """One way to lay the grids of 256 points; activations are unsigned in all of them."""

    weights: str
    per_channel: bool
    calibration: str

    @property
    def name(self) -> str:
        return f"{self.weights}, per {'channel' if self.per_channel else 'tensor'}, {self.calibration}"


#: Unsigned weights, or signed ones of 7 bits: products of signed ones of 8 bits overflow in 16 bits on
#: processors without VNNI, which then give other answers (chapter 12).
SCHEMES = [
    Scheme(weights, per_channel, calibration)
    for weights, per_channel in (("uint8", True), ("uint8", False), ("int8 of 7 bits", True))
    for calibration in ("least and greatest", "percentile")
]
METHODS = {
    "least and greatest": quantization.CalibrationMethod.MinMax,
    "percentile": quantization.CalibrationMethod.Percentile,
}


class Reader(quantization.CalibrationDataReader):
    """Hands uint8 images (N, 48, 48) to onnxruntime, 64 at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self.batches = batches(images, 64)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield uint8 images (N, 48, 48) as the network takes them, float32 (size, 1, 48, 48) in [0, 1]."""
    for start in range(0, len(images), size):
        yield images[start : start + size, None].astype(np.float32) / 255


def quantised(path: Path, scheme: Scheme, images: np.ndarray) -> bytes:
    """Return an ONNX file of `export_onnx` in 8 bits (static quantisation), calibrated on uint8 images.

    The convolutions of the body are in 8 bits. The last one, which makes the maps, and the mean behind it
    stay in float32: they are a thousandth of the work, and so maps and logits fit to the last digits.
    """
    before = onnx.load(path)
    maps = next(node.name for node in before.graph.node if "maps" in node.output)
    kind = quantization.QuantType.QUInt8 if scheme.weights == "uint8" else quantization.QuantType.QInt8
    with tempfile.TemporaryDirectory() as folder:
        prepared, written = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        with contextlib.redirect_stdout(io.StringIO()):  # it tells its steps
            quantization.quantize_static(
                prepared,
                written,
                Reader(images),
                per_channel=scheme.per_channel,
                reduce_range=scheme.weights != "uint8",
                activation_type=quantization.QuantType.QUInt8,
                weight_type=kind,
                calibrate_method=METHODS[scheme.calibration],
                op_types_to_quantize=["Conv", "MaxPool"],
                nodes_to_exclude=[maps],
            )
        proto = onnx.load(written)
    clear_notes(proto)
    facts = {entry.key: entry.value for entry in before.metadata_props}
    onnx.helper.set_model_props(proto, {**facts, "quantisation": scheme.name})
    proto.graph.name, proto.doc_string = before.graph.name, before.doc_string
    proto.producer_name, proto.domain = before.producer_name, before.domain
    return proto.SerializeToString(deterministic=True)


def add_fact(path: Path, key: str, value: str) -> None:
    """Add a line to an ONNX file's metadata."""
    proto = onnx.load(path)
    onnx.helper.set_model_props(proto, {**{e.key: e.value for e in proto.metadata_props}, key: value})
    with atomic_path(path) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))


def by_onnx(content: bytes, threads: int) -> Answer:
    """Return what turns uint8 images into logits, float32 (N, 7), by an ONNX file."""
    options = SessionOptions()
    options.intra_op_num_threads = threads
    session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: np.concatenate([session.run([OUTPUT], {INPUT: b})[0] for b in batches(images, 64)])


def halved(tensors: dict[str, Any]) -> dict[str, Any]:
    """Return weights as float16; what has one number a channel stays as it is: it takes next to no room.

    Running variances can be smaller than the least number of float16.
    """
    return {name: t.half() if t.dim() > 1 and t.is_floating_point() else t for name, t in tensors.items()}


def in_order(path: Path) -> None:
    """Put the notes in a safetensors file's head in order: the library writes them in another at each run."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
    if len(text) != length:
        raise FercourseError(
            f"The head of {path.name} cannot be put in order: safetensors writes it otherwise."
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content[:8] + text + content[8 + length :])


def best_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Return the temperature T that makes softmax(logits / T) likeliest (Guo et al., 2017), 3 digits."""

    def loss(log_t: float) -> float:
        return -log_softmax(logits / np.exp(log_t), axis=1)[np.arange(len(labels)), labels].mean()

    return round(float(np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x)), 3)


def measured(split: FaceSet, logits: np.ndarray, temperature: float) -> dict[str, Any]:
    """Return what small.json says of one file on one split; with temperature, where nothing else is said."""
    plain, shared = (metrics(split.labels, logits=logits / t) for t in (1.0, temperature))
    return {
        "accuracy": round(shared["accuracy"], 6),
        "nll": round(shared["nll"], 6),
        "ece": round(shared["ece"], 6),
        "ece_without_temperature": round(plain["ece"], 6),
        # How often it is right when it is how sure: the book's page tells it beside every answer.
        "reliability": {
            **shared["reliability"],
            "confidence_sum": [round(value, 3) for value in shared["reliability"]["confidence_sum"]],
        },
    }


def checked(run: Path, record: Record, faces: Faces) -> None:
    """Refuse a record that is not this run's, or data that are not the benchmark's.

    Raises:
        FercourseError: so it is.
    """
    asked = read_run(run)
    name = record_name(asked["config"], asked["data"]["layout"], asked["environment"]["device_kind"])
    if asked["config"] != record.data["config"] or asked["data"] != record.data["data"]:
        raise FercourseError(f"{run} holds the run {name}, and the record is {record.name}: name its own.")
    if faces.fingerprint != asked["data"]["fingerprint"]:
        raise FercourseError(f"{faces.source} is other data than {run} was trained on: name those.")
    if not record.has("test") or not is_final(record.data["config"], final_entries()):
        raise FercourseError(
            f"{record.name} has no predictions on test that final.yml allows: list and record it first."
        )
    if record.data["parameters"] > MOST_PARAMETERS:
        raise FercourseError(
            f"{record.name} has {record.data['parameters']:,} parameters; at most {MOST_PARAMETERS:,} fit."
        )


def same_as_recorded(record: Record, split: str, logits: np.ndarray) -> None:
    """Refuse weights whose predictions are not the record's, but for ties."""
    changed = float((logits.argmax(1) != record.preds(split)).mean())
    if changed > 0.002:
        raise FercourseError(
            f"{percent(changed)} of the predictions on {split} are not those of {record.name}: these are not "
            "its weights."
        )


def choose(path: Path, faces: Faces, expected: np.ndarray, threads: int) -> tuple[bytes, dict[str, Any]]:
    """Return the 8-bit file with the highest accuracy on val, and what was tried.

    Of equal ones, the one that agrees with float32 on more images of val.
    """
    some = np.random.default_rng(SEED).permutation(len(faces.train))[:CALIBRATED]
    images = faces.train.images[np.sort(some)]
    tried, files = [], []
    for scheme in tqdm(SCHEMES, desc="8 bits", unit="scheme"):
        content = quantised(path, scheme, images)
        preds = by_onnx(content, threads)(faces.val.images).argmax(1)
        files.append(content)
        tried.append(
            {
                "scheme": scheme.name,
                "bytes": len(content),
                "val_accuracy": round(float((preds == faces.val.labels).mean()), 6),
                "val_agreement": round(float((preds == expected.argmax(1)).mean()), 6),
            }
        )
    best = max(range(len(tried)), key=lambda n: (tried[n]["val_accuracy"], tried[n]["val_agreement"]))
    return files[best], {
        "chosen": tried[best]["scheme"],
        "reason": "the highest accuracy on val of those tried; of equal ones, the one that agrees with "
        "float32 on more images. Signed weights of 8 bits were not tried: their products overflow in "
        "16 bits on processors without VNNI, which then answer otherwise.",
        "calibration": {"split": "train", "images": CALIBRATED, "seed": SEED},
        "tried": tried,
    }


def make(run: Path, record: Record, faces: Faces, folder: Path, threads: int = 1) -> dict[str, Any]:
    """Write the three files of weights into a folder; return what small.json says.

    Raises:
        FercourseError: record, run and data do not belong together, or a file is too large or too far from
            float32.
    """
    checked(run, record, faces)
    model, facts = load_best(run)
    export_onnx(run, folder / FLOAT, maps=True)
    tensors = halved(model.state_dict())
    save_checkpoint(folder / HALF, tensors, {"model": record.model, "record": record.name})
    in_order(folder / HALF)
    model.load_state_dict(tensors)  # float32 again, with the digits that float16 has left
    answers: dict[str, Answer] = {
        FLOAT: by_onnx((folder / FLOAT).read_bytes(), threads),
        HALF: lambda images: predict(model, images),
    }
    logits = {(name, "val"): answer(faces.val.images) for name, answer in answers.items()}
    same_as_recorded(record, "val", logits[FLOAT, "val"])
    temperature = best_temperature(faces.val.labels, logits[FLOAT, "val"])
    add_fact(folder / FLOAT, "temperature", str(temperature))
    content, found = choose(folder / FLOAT, faces, logits[FLOAT, "val"], threads)
    with atomic_path(folder / INT8) as temporary:
        temporary.write_bytes(content)
    answers[INT8] = by_onnx(content, threads)
    logits[INT8, "val"] = answers[INT8](faces.val.images)
    # All is chosen: from here on, test may be opened.
    for name, answer in answers.items():
        logits[name, "test"] = answer(faces.test.images)
    same_as_recorded(record, "test", logits[FLOAT, "test"])
    files: dict[str, dict[str, Any]] = {}
    for name in (FLOAT, INT8, HALF):
        stored = (folder / name).read_bytes()
        files[name] = {
            "bytes": len(stored),
            "sha256": hashlib.sha256(stored).hexdigest(),
            **{split: measured(faces[split], logits[name, split], temperature) for split in ("val", "test")},
            "agrees_with_float32_on_test": round(
                float((logits[name, "test"].argmax(1) == logits[FLOAT, "test"].argmax(1)).mean()), 6
            ),
        }
        if len(stored) > MOST_BYTES[name]:
            raise FercourseError(
                f"{name} takes {len(stored):,} bytes; at most {MOST_BYTES[name]:,} are kept."
            )
        for split in ("val", "test"):
            apart = abs(files[name][split]["accuracy"] - files[FLOAT][split]["accuracy"])
            if apart > FARTHEST:
                raise FercourseError(
                    f"{name} is {percent(apart)} from float32 on {split}; at most {percent(FARTHEST)} are "
                    "kept: try other schemes."
                )
    measured_on_test = metrics(
        faces.test.labels, logits=logits[FLOAT, "test"] / temperature, twins=twins(faces)["test"]
    )
    low, high = bootstrap_interval(faces.test.labels, logits[FLOAT, "test"].argmax(1))
    return {
        "format": 1,
        "model": record.model,
        "model_options": record.data["config"]["model_options"],
        "record": record.name,
        "recipe": record.recipe,
        "track": record.data["config"]["track"],
        "qualifiers": record.qualifiers,
        "epoch": facts["epoch"],
        "parameters": record.data["parameters"],
        "classes": list(EMOTIONS),
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "shape": ["N", 1, 48, 48],
            "range": [0, 1],
            "prepared": "a square of the picture, grey as Pillow's L, 48x48 as Pillow's BILINEAR "
            "(antialiased), divided by 255",
        },
        "outputs": {"logits": ["N", len(EMOTIONS)], "maps": ["N", len(EMOTIONS), 6, 6]},
        "bias": [float(value) for value in tensors["head.3.bias"]],
        "temperature": temperature,
        "probabilities": "softmax(logits / temperature); the temperature was fitted on val",
        "data": record.data["data"],
        "files": files,
        "quantisation": found,
        "test": {
            "accuracy_interval": [round(low, 6), round(high, 6)],
            "without_twins": round(measured_on_test["accuracy_without_twins"], 6),
            "images_without_twins": measured_on_test["n_without_twins"],
            "macro_f1": round(measured_on_test["macro_f1"], 6),
            "balanced_accuracy": round(measured_on_test["balanced_accuracy"], 6),
            "recall": [round(value, 6) for value in measured_on_test["per_class_recall"]],
            "confusion": measured_on_test["confusion"],
        },
        "environment": made_with(),
    }


def made_with() -> dict[str, Any]:
    """Return where the files were made, with the versions of what wrote them."""
    about = environment()
    for name in ("onnx", "onnxruntime", "onnxscript"):
        about["versions"][name] = metadata.version(name)
    return about


def card(small: dict[str, Any]) -> str:
    """Return the model card (Mitchell et al., 2019), `model_card.md` filled with what `make` has measured."""
    test, files, classes = small["test"], small["files"], small["classes"]
    float32 = files[FLOAT]
    recall = dict(zip(classes, test["recall"], strict=True))
    least, most = min(recall, key=lambda c: recall[c]), max(recall, key=lambda c: recall[c])
    counts = {name: sum(row) for name, row in zip(classes, test["confusion"], strict=True)}
    confusion = {
        (label, pred): count
        for label, row in zip(classes, test["confusion"], strict=True)
        for pred, count in zip(classes, row, strict=True)
        if label != pred
    }
    mistakes = sorted(confusion, key=lambda pair: -confusion[pair])[:3]
    rows = [
        f"| `{name}` | {kind} | {about['bytes'] / 1e6:.2f} MB | {percent(about['val']['accuracy'])} "
        f"| {percent(about['test']['accuracy'])} | {percent(about['test']['ece'])} "
        f"| {percent(about['agrees_with_float32_on_test'])} |"
        for (name, about), kind in zip(files.items(), ("float32", "8 bits", "float16"), strict=True)
    ]
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        {key: small[key] for key in ("model", "record", "recipe", "track", "epoch", "temperature")},
        qualifiers=f"; {small['qualifiers']}" if small["qualifiers"] else "",
        parameters=f"{small['parameters']:,}",
        classes=", ".join(classes),
        files="\n".join(rows),
        scheme=small["quantisation"]["chosen"],
        reason=small["quantisation"]["reason"],
        calibrated=small["quantisation"]["calibration"]["images"],
        fingerprint=small["data"]["fingerprint"],
        **{split: f"{number:,}" for split, number in small["data"]["sizes"].items()},
        accuracy=percent(float32["test"]["accuracy"]),
        low=percent(test["accuracy_interval"][0]),
        high=percent(test["accuracy_interval"][1]),
        without_twins=percent(test["without_twins"]),
        images_without_twins=f"{test['images_without_twins']:,}",
        balanced=percent(test["balanced_accuracy"]),
        macro_f1=percent(test["macro_f1"]),
        ece=percent(float32["test"]["ece"]),
        ece_plain=percent(float32["test"]["ece_without_temperature"]),
        nll=f"{float32['test']['nll']:.3f}",
        recalls="\n".join(
            f"| {name} | {counts[name]} | {percent(value)} |" for name, value in recall.items()
        ),
        least=least,
        least_recall=percent(recall[least]),
        most=most,
        most_recall=percent(recall[most]),
        mistakes="; ".join(
            f"{label} taken for {pred} ({confusion[label, pred]} of {counts[label]})"
            for label, pred in mistakes
        ),
        wrong=f"{100 * (1 - float32['test']['accuracy']):.0f}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="a folder that `fercourse train` wrote")
    parser.add_argument("record", help="its record, with predictions on test")
    parser.add_argument("--data", help="fer2013.csv; default: as for `fercourse train`")
    arguments = parser.parse_args()
    try:
        faces = load_faces(arguments.data)
        found = audit(faces)
        if found.verdict != "official":
            sys.exit(found.report())
        # Into a folder beside it first: a tool that is stopped, or a file refused, leaves the old ones.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            small = make(arguments.run, read_record(arguments.record), faces, folder)
            for file in (FLOAT, INT8, HALF):
                with atomic_path(FOLDER / file) as temporary:
                    temporary.write_bytes((folder / file).read_bytes())
        write_text(FOLDER / "small.json", json.dumps(small, indent=1) + "\n")
        write_text(FOLDER / "README.md", card(small))
    except FercourseError as error:
        sys.exit(f"small_network: {error}")
    for name, about in small["files"].items():
        print(f"{name}: {about['bytes']:,} bytes, {percent(about['test']['accuracy'])} on test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
