"""The networks that predict: the small one that travels with the package, a run's, or an ONNX file."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fercourse.data.faces import EMOTIONS
from fercourse.errors import FercourseError, one_line, shown

if TYPE_CHECKING:
    from torch import nn

#: Beside the package's modules: weights, `small.json` and the model card.
SMALL, WEIGHTS = "small", "small.safetensors"
#: Faces answered at a time.
BATCH_SIZE = 64


@dataclass(frozen=True)
class Network:
    """Something that answers, and what is known of it.

    Attributes:
        name: a record's name, or the file's or folder's.
        logits: uint8 (N, 48, 48), and how many to answer at a time -> float32 (N, 7), in the order of
            `EMOTIONS`.
        temperature: what logits are divided by before the softmax: 1 unless it was fitted (Guo et al., 2017).
        accuracy: on FER-2013's test split; None where it is not known.
    """

    name: str
    logits: Callable[[np.ndarray, int], np.ndarray]
    temperature: float = 1.0
    accuracy: float | None = None


def predict(images: np.ndarray | Sequence[np.ndarray], network: Network | None = None) -> np.ndarray:
    """Return the probabilities of the seven labels for faces, float32 (N, 7), in the order of `EMOTIONS`.

    They add up to 1 also for a picture that shows no face. Labels, not feelings.

    Args:
        images: uint8, (N, 48, 48), or a list of what `prepare` returns; none at all gives (0, 7).
        network: of `load_network`; None: the small one that travels with the package.

    Raises:
        FercourseError: images of another shape or dtype, or the network cannot be loaded.
    """
    from scipy.special import softmax

    faces = np.asarray(images) if len(images) else np.zeros((0, 48, 48), np.uint8)
    if faces.dtype != np.uint8 or faces.shape[1:] != (48, 48):
        raise FercourseError(
            f"The images are {faces.dtype} of shape {faces.shape}; expected uint8 (N, 48, 48), as `prepare` "
            "makes them of a picture."
        )
    network = network or _small_network()
    if not len(faces):
        return np.zeros((0, len(EMOTIONS)), np.float32)
    return softmax(network.logits(faces, BATCH_SIZE) / network.temperature, axis=1).astype(np.float32)


def small_facts() -> dict[str, Any]:
    """Return what is known of the small network, as ``small.json`` says it.

    ``model``, ``record``, ``parameters``, ``classes``, ``temperature``, ``files`` with each one's bytes,
    SHA-256, and accuracy, nll and ece on val and test, and more.

    Raises:
        FercourseError: the installation lacks the file, or it is damaged.
    """
    path = _place("small.json")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if tuple(facts["classes"]) != EMOTIONS:
            raise ValueError(f"classes are {facts['classes']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FercourseError(
            f"{path} cannot be read ({one_line(error)}): install fercourse again."
        ) from error
    return facts


def load_small() -> nn.Module:
    """Return the small network that travels with the package, in evaluation mode, on the CPU.

    A `fercourse.models` network like any other: float32 (N, 1, 48, 48) in [0, 1] to logits (N, 7). Its
    weights are kept as float16. For probabilities, divide the logits by ``small_facts()["temperature"]`` and
    take the softmax, or call `predict`.

    Raises:
        FercourseError: its files are absent or not those that were measured.
    """
    from fercourse.checkpoint import load_checkpoint
    from fercourse.models import create_model

    facts, path = small_facts(), _place(WEIGHTS)
    tensors, _ = load_checkpoint(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != facts["files"][WEIGHTS]["sha256"]:
        raise FercourseError(f"{path} is not the file that was measured: install fercourse again.")
    model = create_model(facts["model"], **facts["model_options"])
    model.load_state_dict(tensors)
    return model.eval()


def load_network(source: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Network:
    """Return a network that `predict` takes: the small one (None), a run folder's best, or an ONNX file's.

    Args:
        threads: of onnxruntime; None for as many as there are processors, at most 4. PyTorch has its own.

    Raises:
        FercourseError: there is no such file or folder, it holds no network, or one that does not fit.
    """
    if source is None:
        return _small_network()
    path = Path(source)
    if path.is_dir():
        from fercourse.runs import load_best, read_run

        run = read_run(path)
        return Network(f"{run['config']['model']} of {path}", _by_torch(load_best(path)[0]))
    if not path.exists():
        raise FercourseError(
            f"There is no network {path}: name a folder that `fercourse train` wrote, or an ONNX file."
        )
    return _by_onnx(path, threads or min(4, os.cpu_count() or 1))


@functools.lru_cache(maxsize=1)
def _small_network() -> Network:
    facts = small_facts()
    accuracy = facts["files"][WEIGHTS]["test"]["accuracy"]
    return Network(facts["record"], _by_torch(load_small()), float(facts["temperature"]), float(accuracy))


def _place(name: str) -> Path:
    return Path(str(resources.files("fercourse"))) / SMALL / name


def _by_torch(model: nn.Module) -> Callable[[np.ndarray, int], np.ndarray]:
    import torch

    from fercourse.device import pick_precision
    from fercourse.evaluate import predict as logits_of

    # The layout of training is faster on a CPU than the one that files are read into.
    model.to(memory_format=pick_precision(model, torch.device("cpu"), "fp32").memory_format)
    return lambda images, batch_size: logits_of(model, images, batch_size=batch_size)


def _by_onnx(path: Path, threads: int) -> Network:
    try:
        import onnxruntime
    except ImportError as error:
        raise FercourseError(
            f"{path} needs onnxruntime: pip install onnxruntime (the package's extra 'export'), or name a "
            "run folder."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = threads  # by itself it pins them, which containers forbid
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise FercourseError(
            f"{path} cannot be loaded as an ONNX network ({one_line(error)}): make it with `fercourse "
            "export`."
        ) from error
    inputs = {one.name: (one.type, list(one.shape)) for one in session.get_inputs()}
    outputs = {one.name: (one.type, list(one.shape)) for one in session.get_outputs()}
    kind, shape_in = inputs.get("images", ("", []))
    if list(inputs) != ["images"] or kind != "tensor(float)" or shape_in[1:] != [1, 48, 48]:
        raise FercourseError(
            f"{path} takes {shown(inputs)}; expected one input, images, float32 (N, 1, 48, 48)."
        )
    kind, shape = outputs.get("logits", ("", []))
    if kind != "tensor(float)" or len(shape) != 2 or shape[1] != len(EMOTIONS):
        raise FercourseError(f"{path} gives {shown(outputs)}; expected logits, float32 (N, {len(EMOTIONS)}).")
    told = session.get_modelmeta().custom_metadata_map
    classes = told.get("classes", ",".join(EMOTIONS))
    if classes != ",".join(EMOTIONS):
        raise FercourseError(f"{path} has the classes {shown(classes)}; expected {','.join(EMOTIONS)}.")

    # A file may have been made for one size of batch: its first dimension is then a number.
    fixed = shape_in[0] if isinstance(shape_in[0], int) else None

    def logits(images: np.ndarray, batch_size: int) -> np.ndarray:
        rows, step = [], fixed or batch_size
        for start in range(0, len(images), step):
            batch = images[start : start + step, None].astype(np.float32) / 255
            asked = len(batch)
            if fixed:  # what is missing of a batch is filled with the last image, whose answers are dropped
                batch = np.concatenate([batch, batch[-1:].repeat(fixed - asked, 0)])
            try:
                rows.append(session.run(["logits"], {"images": batch})[0][:asked])
            except Exception as error:
                raise FercourseError(f"{path} cannot be run ({one_line(error)}).") from error
        found = np.concatenate(rows)
        if not np.isfinite(found).all():
            raise FercourseError(f"{path} gives logits that are not finite: train or export it again.")
        return found

    try:
        temperature = float(told.get("temperature", 1))
        if not 0 < temperature < float("inf"):
            raise ValueError
    except ValueError as error:
        raise FercourseError(
            f"{path} has the temperature {shown(told['temperature'])}; expected a number above 0."
        ) from error
    return Network(told.get("name") or path.name, logits, temperature)
